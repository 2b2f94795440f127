//! What the tests say: a world with feeds, a broker that records, a server with a script, a wire that can be cut.

use actix::prelude::*;
use aether::broker::{Answer, Broker, BrokerError, History, HistoryFilter, PresenceStats, Publish, Published, Publisher};
use aether::channel::{ChannelName, ChannelOptions, ChannelRules, ClientInfo, NameSyntax, Namespace, SessionId};
use aether::clock::Clock;
use aether::config::FeedConfig;
use aether::upstream::{
    FeedLimits, FeedReport, FeedSettings, FeedTemplate, Format, GAP_EVENT, GateSettings, Observe, Plan, PoolReport, PoolSettings, Stop, Upstream,
    UpstreamPool, Workshop,
};
use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// Longer than anything here takes, even on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until `state` gives something. `show` tells what was there instead.
pub async fn eventually<T>(what: &str, show: impl Fn() -> String, mut state: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = state() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}; instead:\n{}", show());
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Short, so that everything happens within a test. The slow pace keeps its minutes: a parked feed is seen parked.
pub fn quick() -> FeedLimits {
    FeedLimits {
        connect_timeout: Duration::from_secs(2),
        idle_timeout: Duration::from_secs(5),
        retry_min: Duration::from_millis(10),
        retry_initial: Duration::from_millis(20),
        cool_off: Duration::from_millis(50),
        retry_max: Duration::from_millis(100),
        stable_after: Duration::from_secs(5),
        ..FeedLimits::default()
    }
}

/// Without the pauses that spread the starts of a real pool.
pub fn pool_settings() -> PoolSettings {
    let gate = GateSettings { start_jitter: Duration::ZERO, start_rate: 1_000, start_burst: 1_000, ..GateSettings::default() };
    PoolSettings { gate, sweep_interval: Duration::from_millis(50), save_interval: Duration::from_millis(20), ..PoolSettings::default() }
}

// === broker ===

#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub channel: String,
    pub data: String,
    pub event: Option<String>,
    pub id: Option<String>,
}

/// Records what is published; can be slow, and can be away.
pub struct Recorder {
    pub records: Mutex<Vec<Recorded>>,
    mood: watch::Sender<Mood>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    Ready,
    /// Answers when the mood is another.
    Silent,
    /// Takes so many publications in all and cannot be reached for more.
    Full(usize),
}

impl Recorder {
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
    pub fn records(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.records.lock().unwrap()
    }
    /// What feeds said: everything but the markers of gaps.
    pub fn data(&self) -> Vec<String> {
        self.records().iter().filter(|record| record.event.as_deref() != Some(GAP_EVENT)).map(|record| record.data.clone()).collect()
    }
    pub fn gaps(&self) -> Vec<String> {
        self.records().iter().filter(|record| record.event.as_deref() == Some(GAP_EVENT)).map(|record| record.data.clone()).collect()
    }
}

fn nothing<T>(value: T) -> Answer<Result<T, BrokerError>> {
    Answer::Ready(Ok(value))
}

/// The recorder as the broker sees it. A type of its own, because what waits must own what it records into.
struct Handle(Arc<Recorder>);

impl Broker for Handle {
    fn publish(&self, channel: &ChannelName, _: &ChannelOptions, publish: Publish) -> Answer<Result<Published, BrokerError>> {
        let tag = |name: &str| publish.tags.as_ref().and_then(|tags| tags.get(name).cloned());
        let data = String::from_utf8(publish.data.to_vec()).unwrap();
        let record = Recorded { channel: channel.to_string(), data, event: tag("event"), id: tag("id") };
        let recorder = Arc::clone(&self.0);
        let mood = *recorder.mood.borrow();
        match mood {
            Mood::Full(most) if recorder.records().len() >= most => Answer::Ready(Err(BrokerError::Unreachable { reason: "test" })),
            Mood::Ready | Mood::Full(_) => {
                recorder.records().push(record);
                nothing(None)
            }
            Mood::Silent => Answer::Later(Box::pin(async move {
                let mut moods = recorder.mood.subscribe();
                moods.wait_for(|mood| *mood != Mood::Silent).await.map_err(|_| BrokerError::Unreachable { reason: "test over" })?;
                recorder.records().push(record);
                Ok(None)
            })),
        }
    }
    fn join(&self, _: &ChannelName, _: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        nothing(())
    }
    fn leave(&self, _: &ChannelName, _: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        nothing(())
    }
    fn history(&self, _: &ChannelName, _: &ChannelOptions, _: HistoryFilter) -> Answer<Result<History, BrokerError>> {
        Answer::Ready(Err(BrokerError::Unreachable { reason: "no feed asks for history" }))
    }
    fn remove_history(&self, _: &ChannelName) -> Answer<Result<(), BrokerError>> {
        nothing(())
    }
    fn add_presence(&self, _: &ChannelName, _: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        nothing(())
    }
    fn remove_presence(&self, _: &ChannelName, _: SessionId) -> Answer<Result<(), BrokerError>> {
        nothing(())
    }
    fn presence(&self, _: &ChannelName) -> Answer<Result<Vec<Arc<ClientInfo>>, BrokerError>> {
        nothing(Vec::new())
    }
    fn presence_stats(&self, _: &ChannelName) -> Answer<Result<PresenceStats, BrokerError>> {
        nothing(PresenceStats::default())
    }
}

// === world ===

pub fn feed(name: &str, url: &str, limits: FeedLimits) -> FeedSettings {
    FeedSettings::new(name, url, "ticks:{event}", Format::Data, [("Authorization", "Bearer topsecret")], limits).unwrap()
}

/// Makes feeds of definitions with the waits of these tests, and knows who listens.
#[derive(Default)]
pub struct Shop {
    pub listened: Vec<ChannelName>,
    pub used_percent: Arc<AtomicU8>,
    pub upstream: Option<Upstream>,
}

impl Workshop for Shop {
    fn make(&self, feed: &FeedConfig) -> Result<Plan, Vec<String>> {
        let build = |url: &str, channel: &str| FeedSettings::new(&feed.name, url, channel, Format::Data, [], quick());
        let template = FeedTemplate::new(&feed.name, &feed.url, &feed.channel, &[], build).map_err(|error| vec![error.to_string()])?;
        if template.has_parameters() { Ok(Plan::OnDemand(template)) } else { Ok(Plan::Always(template.fixed().unwrap())) }
    }
    fn used_percent(&self) -> u8 {
        self.used_percent.load(Ordering::Relaxed)
    }
    fn announce(&self) {
        self.listened.iter().for_each(|channel| self.upstream.as_ref().unwrap().wanted(channel));
    }
}

/// A pool with its feeds.
pub struct World {
    pub pool: Addr<UpstreamPool>,
    pub upstream: Upstream,
    pub publisher: Publisher,
    pub broker: Arc<Recorder>,
    pub clock: Clock,
}

/// A world whose pool has not begun.
pub struct Prepared {
    pub upstream: Upstream,
    pub publisher: Publisher,
    pub broker: Arc<Recorder>,
    pub clock: Clock,
}

impl Prepared {
    pub fn begin(self) -> World {
        let Self { upstream, publisher, broker, clock } = self;
        let pool = UpstreamPool::new(upstream.clone(), publisher.clone(), clock.clone()).start();
        World { pool, upstream, publisher, broker, clock }
    }
}

impl World {
    pub fn start(feeds: Vec<FeedSettings>) -> Self {
        Self::with(PoolSettings { feeds, ..pool_settings() })
    }

    pub fn with(settings: PoolSettings) -> Self {
        Self::prepare(settings).begin()
    }

    /// Everything but the pool itself.
    pub fn prepare(settings: PoolSettings) -> Prepared {
        Self::prepare_with(settings, Clock::system())
    }

    pub fn prepare_with(settings: PoolSettings, clock: Clock) -> Prepared {
        let broker = Arc::new(Recorder { records: Mutex::default(), mood: watch::Sender::new(Mood::Ready) });
        let namespaces = vec![Namespace { name: "ticks".to_string(), options: ChannelOptions::default() }];
        let rules = Arc::new(ChannelRules::new(NameSyntax::default(), ChannelOptions::default(), namespaces).unwrap());
        let publisher = Publisher { rules, content: Arc::default(), broker: Arc::new(Handle(Arc::clone(&broker))) };
        Prepared { upstream: Upstream::new(settings, &clock).unwrap(), publisher, broker, clock }
    }

    /// A world with one feed, called `feed`.
    pub fn reading(url: &str, limits: FeedLimits) -> Self {
        Self::start(vec![feed("feed", url, limits)])
    }

    pub fn report(&self) -> PoolReport {
        self.upstream.report(self.clock.now())
    }

    pub fn feed(&self) -> FeedReport {
        self.report().feeds[0].clone()
    }

    pub fn show(&self) -> String {
        let data = self.broker.data();
        let shown: Vec<String> = data.iter().take(20).map(|data| data.chars().take(80).collect()).collect();
        format!("{:#?}\n{} published: {shown:?}", self.report(), data.len())
    }

    pub async fn until(&self, what: &str, condition: impl Fn(&FeedReport) -> bool) -> FeedReport {
        eventually(what, || self.show(), || Some(self.feed()).filter(&condition)).await
    }

    pub async fn until_published(&self, data: &[&str]) {
        let complete = || (self.broker.data() == data).then_some(());
        eventually(&format!("{data:?} published"), || self.show(), complete).await;
    }

    pub async fn stop(self) {
        in_time("the answer of the actor", self.pool.send(Observe)).await.unwrap();
        in_time("the stop of the pool", self.pool.send(Stop)).await.unwrap();
    }
}

// === a server with a script ===

pub enum Act {
    Write(Vec<u8>),
    /// One segment for each byte.
    Drip(Vec<u8>),
    /// The same again and again, until the reader goes.
    Flood(Vec<u8>),
    /// Keeps the connection open until the reader goes.
    Hang,
    /// Goes on when the test says so.
    When(Rc<Notify>),
    /// Cuts the connection with a reset. Otherwise it ends with a FIN.
    Reset,
}

pub const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
pub const CHUNKED: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

pub fn write(text: impl AsRef<[u8]>) -> Act {
    Act::Write(text.as_ref().to_vec())
}

/// A good answer with this much of a stream; open until the reader goes.
pub fn stream(text: impl AsRef<[u8]>) -> Vec<Act> {
    vec![write(HEAD), write(text), Act::Hang]
}

pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[derive(Clone, Debug)]
pub struct Request {
    pub at: Instant,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Answers each request by a script that is given its number and path.
pub struct Server {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    flooded_bytes: Arc<Mutex<u64>>,
    open: watch::Sender<usize>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub async fn start(script: impl Fn(usize, &Request) -> Vec<Act> + 'static) -> Self {
        Self::start_on("127.0.0.1:0", script).await
    }

    pub async fn start_on(address: &str, script: impl Fn(usize, &Request) -> Vec<Act> + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let flooded_bytes = Arc::new(Mutex::new(0));
        let open = watch::Sender::new(0);
        let (known, flooded, counter) = (Arc::clone(&requests), Arc::clone(&flooded_bytes), open.clone());
        let script = Rc::new(script);
        let task = tokio::task::spawn_local(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (known, flooded, counter, script) = (Arc::clone(&known), Arc::clone(&flooded), counter.clone(), script.clone());
                tokio::task::spawn_local(async move {
                    counter.send_modify(|open| *open += 1);
                    // A reader that goes in the middle of an act is no fault of the test.
                    let _ = serve(socket, &known, &flooded, &*script).await;
                    counter.send_modify(|open| *open -= 1);
                });
            }
        });
        Self { address, requests, flooded_bytes, open, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
    /// The `Last-Event-ID` of each request.
    pub fn resumed_from(&self) -> Vec<Option<String>> {
        self.requests().iter().map(|request| request.header("last-event-id").map(String::from)).collect()
    }
    pub fn flooded_bytes(&self) -> u64 {
        *self.flooded_bytes.lock().unwrap()
    }
    pub fn open_connections(&self) -> usize {
        *self.open.borrow()
    }
    pub async fn until_asked(&self, times: usize, world: &World) {
        let show = || format!("{} requests\n{}", self.requests().len(), world.show());
        eventually(&format!("{times} requests"), show, || (self.requests().len() >= times).then_some(())).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut socket: TcpStream,
    known: &Mutex<Vec<Request>>,
    flooded: &Mutex<u64>,
    script: &dyn Fn(usize, &Request) -> Vec<Act>,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if socket.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.lines();
    let path = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_string();
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_string())).collect();
    let request = Request { at: Instant::now(), path, headers };
    let number = {
        let mut known = known.lock().unwrap();
        known.push(request.clone());
        known.len() - 1
    };
    let mut acts = VecDeque::from(script(number, &request));
    while let Some(act) = acts.pop_front() {
        match act {
            Act::Write(bytes) => socket.write_all(&bytes).await?,
            Act::Drip(bytes) => {
                for byte in bytes {
                    socket.write_all(&[byte]).await?;
                    tokio::task::yield_now().await;
                }
            }
            Act::Flood(bytes) => loop {
                let written = socket.write(&bytes).await?;
                *flooded.lock().unwrap() += written as u64;
                // What comes back: nothing but the end of the connection.
                if matches!(socket.try_read(&mut [0; 64]), Ok(0)) {
                    return Ok(());
                }
            },
            Act::Hang => while socket.read(&mut [0; 64]).await? > 0 {},
            Act::When(told) => told.notified().await,
            Act::Reset => {
                socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
                return Ok(());
            }
        }
    }
    Ok(())
}

// === a wire ===

/// Forwards connections to an address, until it is cut.
pub struct Wire {
    pub address: SocketAddr,
    is_whole: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_whole = watch::Sender::new(true);
        let whole = is_whole.subscribe();
        let task = tokio::task::spawn_local(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut whole = whole.clone();
                tokio::task::spawn_local(async move {
                    if !*whole.borrow() {
                        return;
                    }
                    let Ok(mut far) = TcpStream::connect(target).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = whole.wait_for(|whole| !whole) => {}
                    }
                });
            }
        });
        Self { address, is_whole, task }
    }

    /// Ends what is connected and everything that tries to connect.
    pub fn cut(&self) {
        self.is_whole.send_replace(false);
    }
    pub fn heal(&self) {
        self.is_whole.send_replace(true);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

//! The canaries' own side: clients in this process that come in through the hub's own listeners, as all clients do. Each is a socket, a WebSocket
//! handshake, the commands of the protocol, and frames out of that socket; one on every worker, over TLS too where there is TLS. One of them publishes, all
//! of them hear it, and what they hear is news for whoever judges it ([`super::canary`]).
//!
//! A task on a thread of its own, so that it is nobody else's work that they are seen to wait for. Started by the actor that measures, which starts another
//! one when it died; ends when nobody takes its news any more. Deliberately absent: any way into the hub that a client would not have. What is not done
//! for them, on the other side, is to count, limit, trace or tell of them (`guard::roost` says how they are known).

use crate::guard::roost::{Perch, Roost};
use crate::protocol::calling::{self, Head, WireError};
use crate::telemetry::emit;
use crate::telemetry::metrics::{CanaryBack, CanaryGrounded};
use crate::tls::ReloadingResolver;
use crate::topic::fanout::PROBE;
use actix_rt::ArbiterHandle;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_rustls::TlsConnector;

/// From the first packet to the reply that it is subscribed. As long as a canary flies before it is lost.
const OPEN_MAX: Duration = Duration::from_secs(2);

/// For one frame to be taken by the kernel. A canary's frames are so short that only a socket that is dead does not take them.
const WRITE_MAX: Duration = Duration::from_secs(2);

/// How long a canary lives until a new one takes its place, so that the way in is tried as well.
const LIFE: Duration = Duration::from_secs(60);

/// Between the last flight that a canary counts for and its end. Longer than a canary flies before it is lost.
const LEAVING: Duration = Duration::from_secs(3);

/// Time from the start until one that is not there counts as one that gets nothing.
const START_GRACE: Duration = Duration::from_secs(10);

/// Between two looks at who has ended, and whose time is over.
const LOOK: Duration = Duration::from_millis(250);

/// Pause after a canary could not come in; doubled with every further one.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Attempts in a row that end on a worker which has a canary, for each worker. The listener hands sockets out in turns, so one round is nearly always enough.
const TRIES_PER_WORKER: usize = 4;

/// A canary without anything to read for so long, and for three flights, is dead.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Numbers that wait to be published by one canary.
const ORDERS_MAX: usize = 16;

/// The first of the ids of publish commands: those before it belong to connect and subscribe.
const FIRST_PUBLISH: u32 = 3;

/// One of the hub's own listeners.
pub struct Way {
    pub address: SocketAddr,
    /// Of TLS.
    pub certificate: Option<Arc<ReloadingResolver>>,
}

/// Where canaries come from and go to.
pub struct Airfield {
    pub ways: Vec<Way>,
    /// Of the WebSocket endpoint.
    pub path: String,
    pub roost: Arc<Roost>,
    pub workers: usize,
    pub is_draining: Arc<AtomicBool>,
    /// Where they run.
    pub thread: ArbiterHandle,
    /// How many there are.
    pub open: Arc<AtomicUsize>,
    /// Makes the task panic, so that tests can see another one started.
    #[cfg(feature = "test-hooks")]
    pub panics: AtomicBool,
}

/// What happened to canaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It is on its way to so many. `is_timed`: how long that takes counts.
    Flown { number: u64, to: usize, is_timed: bool, at: Instant },
    /// One of them has it.
    Came { number: u64, at: Instant },
    /// It could not be published; so many should have had it.
    Grounded { to: usize },
    /// One came in anew, and how long that took.
    Opened { took: Duration },
}

#[derive(Debug, thiserror::Error)]
pub enum GroundedError {
    #[error("no connection to {at}")]
    Connect { at: SocketAddr, source: io::Error },
    #[error("no TLS with {at}")]
    Tls { at: SocketAddr, source: rustls::Error },
    #[error("{at} did not let it in")]
    Refused { at: SocketAddr, source: WireError },
    #[error("{at} answered what is not the protocol")]
    Answer { at: SocketAddr },
    #[error("{at} did not answer within {} s", OPEN_MAX.as_secs())]
    Slow { at: SocketAddr },
}

trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// A canary that is subscribed.
struct Canary {
    io: Box<dyn Io>,
    incoming: Vec<u8>,
    worker: usize,
    took: Duration,
    /// Given up after the socket: the address is the canary's for as long as the socket is bound to it.
    perch: Perch,
}

/// The flights that a canary counts for: those that began after it came, until it is to leave.
struct Window {
    after: u64,
    until: Cell<u64>,
}

/// A canary on its worker.
struct Sitting {
    orders: mpsc::Sender<u64>,
    task: JoinHandle<()>,
    window: Rc<Window>,
    since: Instant,
    leaving_since: Option<Instant>,
}

impl Sitting {
    fn counts(&self) -> bool {
        self.leaving_since.is_none() && !self.task.is_finished()
    }
}

/// Has canaries fly, one every `interval`, until nobody takes `news` any more.
pub async fn fly(field: Arc<Airfield>, interval: Duration, news: mpsc::Sender<News>) {
    let mut flock = Flock::new(field, interval, news);
    let mut flights = tokio::time::interval(interval);
    flights.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut opening: Option<JoinHandle<Result<Canary, GroundedError>>> = None;
    while !flock.news.is_closed() {
        if opening.is_none() && flock.wants_one(Instant::now()) {
            opening = Some(actix_rt::spawn(flock.open()));
        }
        let opened = async {
            match &mut opening {
                Some(opening) => opening.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            result = opened => {
                opening = None;
                // The outer error is a panic, of which the log tells.
                flock.opened(result.ok());
            }
            _ = flights.tick() => flock.fly(),
            _ = looks.tick() => {
                #[cfg(feature = "test-hooks")]
                assert!(!flock.field.panics.swap(false, Ordering::Relaxed), "a test asked the canaries to panic");
                flock.look(Instant::now());
            }
            () = flock.news.closed() => {}
        }
    }
    flock.field.open.store(0, Ordering::Relaxed);
}

/// Whether flights are timed. While the flock comes together they are not: each canary that comes in has this thread, which all of them share, shake hands for
/// it, and the hub itself is still starting. Neither is the first one after that, which finds everything cold.
#[derive(Debug, Default)]
struct Assembly {
    is_over: bool,
}

impl Assembly {
    /// Asked once a flight. `is_complete`: all have come in, or those who have not had the time to.
    fn times(&mut self, is_complete: bool) -> bool {
        let was_over = self.is_over;
        self.is_over |= is_complete;
        was_over
    }
}

struct Flock {
    field: Arc<Airfield>,
    silence_max: Duration,
    news: mpsc::Sender<News>,
    started: Instant,
    /// By worker.
    sitting: Vec<Option<Sitting>>,
    /// Whether a worker has ever had one.
    was_there: Vec<bool>,
    assembly: Assembly,
    last: u64,
    /// The worker whose canary published last.
    publisher: usize,
    /// Whose turn it is of the ways in.
    way: usize,
    tries: usize,
    pause: Duration,
    next_try: Instant,
}

impl Flock {
    fn new(field: Arc<Airfield>, interval: Duration, news: mpsc::Sender<News>) -> Self {
        let now = Instant::now();
        Self {
            silence_max: SILENCE_MAX.max(interval * 3),
            news,
            started: now,
            sitting: (0..field.workers).map(|_| None).collect(),
            was_there: vec![false; field.workers],
            assembly: Assembly::default(),
            last: 0,
            publisher: 0,
            way: 0,
            tries: 0,
            pause: PAUSE.0,
            next_try: now,
            field,
        }
    }

    fn tell(&self, news: News) {
        // Without room it counts as lost: whoever judges is that far behind.
        let _ = self.news.try_send(news);
    }

    fn is_draining(&self) -> bool {
        self.field.is_draining.load(Ordering::Acquire)
    }

    fn wants_one(&self, now: Instant) -> bool {
        !self.is_draining() && now >= self.next_try && self.sitting.iter().any(Option::is_none)
    }

    /// Has a canary fly to all that are to get it.
    fn fly(&mut self) {
        let workers = self.sitting.len();
        let counts = |sitting: &Option<Sitting>| sitting.as_ref().is_some_and(Sitting::counts);
        let is_due = self.started.elapsed() >= START_GRACE;
        // Of a hub that stops nobody is asked whether he is still there.
        let is_missed = |worker: usize| !self.is_draining() && self.sitting[worker].is_none() && (is_due || self.was_there[worker]);
        let to = (0..workers).filter(|&worker| counts(&self.sitting[worker]) || is_missed(worker)).count();
        if to == 0 {
            return;
        }
        self.last += 1;
        let is_timed = self.assembly.times(is_due || self.was_there.iter().all(|was_there| *was_there));
        let (number, at) = (self.last, Instant::now());
        for turn in 1..=workers {
            let worker = (self.publisher + turn) % workers;
            let takes = |sitting: &Sitting| sitting.counts() && sitting.orders.try_send(number).is_ok();
            if self.sitting[worker].as_ref().is_some_and(takes) {
                self.publisher = worker;
                return self.tell(News::Flown { number, to, is_timed, at });
            }
        }
        self.tell(News::Grounded { to });
    }

    /// Lets go of who has ended and who is to, and has one leave whose time is over.
    fn look(&mut self, now: Instant) {
        for sitting in &mut self.sitting {
            let has_left = |one: &Sitting| one.leaving_since.is_some_and(|since| now.saturating_duration_since(since) >= LEAVING);
            if sitting.as_ref().is_some_and(|one| one.task.is_finished() || has_left(one)) {
                // Its task says goodbye when it has no orders to wait for.
                *sitting = None;
            }
        }
        // One after the other, so that all others are there.
        if self.sitting.iter().flatten().filter(|one| one.counts()).count() == self.sitting.len()
            && let Some(oldest) = self.sitting.iter_mut().flatten().min_by_key(|one| one.since)
            && now.saturating_duration_since(oldest.since) >= LIFE
            && !self.field.is_draining.load(Ordering::Acquire)
        {
            oldest.leaving_since = Some(now);
            oldest.window.until.set(self.last);
        }
        self.count();
    }

    fn count(&self) {
        let open = self.sitting.iter().flatten().filter(|one| one.counts()).count();
        self.field.open.store(open, Ordering::Relaxed);
    }

    fn opened(&mut self, result: Option<Result<Canary, GroundedError>>) {
        match result {
            Some(Ok(canary)) => {
                emit(CanaryBack);
                self.pause = PAUSE.0;
                self.sit(canary);
            }
            failed => {
                if let Some(Err(error)) = failed {
                    emit(CanaryGrounded { error: &error });
                }
                self.next_try = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(PAUSE.1);
            }
        }
        self.count();
    }

    fn sit(&mut self, canary: Canary) {
        let worker = canary.worker;
        if self.sitting.get(worker).is_none_or(Option::is_some) {
            // There is one on that worker: the next one is for the next worker.
            self.tries += 1;
            if self.tries >= TRIES_PER_WORKER * self.sitting.len() {
                self.tries = 0;
                self.next_try = Instant::now() + PAUSE.1;
            }
            return;
        }
        self.tries = 0;
        self.tell(News::Opened { took: canary.took });
        let window = Rc::new(Window { after: self.last, until: Cell::new(u64::MAX) });
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        let task = actix_rt::spawn(live(canary, taken, Rc::clone(&window), self.news.clone(), self.silence_max));
        self.was_there[worker] = true;
        self.sitting[worker] = Some(Sitting { orders, task, window, since: Instant::now(), leaving_since: None });
    }

    /// Opens the next one.
    fn open(&mut self) -> impl Future<Output = Result<Canary, GroundedError>> + 'static {
        self.way = (self.way + 1) % self.field.ways.len();
        let (field, way) = (Arc::clone(&self.field), self.way);
        async move {
            let way = &field.ways[way];
            timeout(OPEN_MAX, open(&field, way)).await.unwrap_or(Err(GroundedError::Slow { at: way.address }))
        }
    }
}

async fn open(field: &Airfield, way: &Way) -> Result<Canary, GroundedError> {
    let began = Instant::now();
    let at = way.address;
    let connect = |source| GroundedError::Connect { at, source };
    let refused = |source| GroundedError::Refused { at, source };
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(connect)?;
    // Bound first, so that it is known where it comes from before it comes.
    socket.bind(SocketAddr::new(at.ip(), 0)).map_err(connect)?;
    let perch = field.roost.expect(socket.local_addr().map_err(connect)?);
    let tcp = socket.connect(at).await.map_err(connect)?;
    tcp.set_nodelay(true).map_err(connect)?;
    let mut io: Box<dyn Io> = match &way.certificate {
        None => Box::new(tcp),
        Some(certificate) => {
            let config = certificate.client_config().map_err(|source| GroundedError::Tls { at, source })?;
            Box::new(TlsConnector::from(Arc::new(config)).connect(ServerName::IpAddress(at.ip().into()), tcp).await.map_err(connect)?)
        }
    };
    io.write_all(&calling::upgrade_request(&at.to_string(), &field.path, None)).await.map_err(connect)?;
    let mut incoming = Vec::new();
    let head = loop {
        read_more(&mut io, &mut incoming).await.map_err(connect)?;
        if let Some(head) = Head::read(&incoming).map_err(refused)? {
            break head;
        }
    };
    head.expect_upgrade().map_err(refused)?;
    incoming.drain(..head.len);
    let (connecting, subscribing) = (json!({ "id": 1, "connect": {} }), json!({ "id": 2, "subscribe": { "channel": PROBE } }));
    say(&mut io, calling::OP_TEXT, format!("{connecting}\n{subscribing}").as_bytes()).await.map_err(connect)?;
    let mut worker = None;
    loop {
        while let Some((opcode, message)) = take_frame(&mut incoming).map_err(refused)? {
            if opcode == calling::OP_CLOSE {
                return Err(refused(calling::close_reason(&message)));
            }
            for line in message.split(|&byte| byte == b'\n') {
                let reply: Value = serde_json::from_slice(line).map_err(|_| GroundedError::Answer { at })?;
                if reply["id"] == 1 {
                    worker = reply["connect"]["data"]["worker"].as_u64().and_then(|worker| usize::try_from(worker).ok());
                }
                if let (Some(worker), true) = (worker, reply["id"] == 2 && reply["subscribe"].is_object()) {
                    return Ok(Canary { io, incoming, worker, took: began.elapsed(), perch });
                }
                if reply["id"].is_number() && reply["error"].is_object() {
                    return Err(GroundedError::Answer { at });
                }
            }
        }
        read_more(&mut io, &mut incoming).await.map_err(connect)?;
    }
}

/// One canary's life: publishes what it is told to, hears what is published, answers pings. Ends when there is nobody to give it orders.
async fn live(canary: Canary, mut orders: mpsc::Receiver<u64>, window: Rc<Window>, news: mpsc::Sender<News>, silence_max: Duration) {
    let Canary { mut io, mut incoming, perch, .. } = canary;
    let mut next_id = FIRST_PUBLISH;
    loop {
        let written = tokio::select! {
            order = orders.recv() => match order {
                Some(number) => {
                    next_id = next_id.wrapping_add(1).max(FIRST_PUBLISH);
                    let publish = json!({ "id": next_id, "publish": { "channel": PROBE, "data": number.to_string() } });
                    say(&mut io, calling::OP_TEXT, publish.to_string().as_bytes()).await
                }
                None => {
                    let _ = say(&mut io, calling::OP_CLOSE, &1_000u16.to_be_bytes()).await;
                    break;
                }
            },
            read = timeout(silence_max, read_more(&mut io, &mut incoming)) => match read {
                Ok(Ok(())) => hear(&mut io, &mut incoming, &window, &news).await,
                Ok(Err(error)) => Err(error),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            },
        };
        if written.is_err() {
            break;
        }
    }
    drop(io);
    drop(perch);
}

/// Takes what has come. An error: the connection is over.
async fn hear(io: &mut Box<dyn Io>, incoming: &mut Vec<u8>, window: &Window, news: &mpsc::Sender<News>) -> io::Result<()> {
    let at = Instant::now();
    while let Some((opcode, message)) = take_frame(incoming).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
        match opcode {
            calling::OP_PING => say(io, calling::OP_PONG, &message).await?,
            calling::OP_CLOSE => return Err(io::ErrorKind::ConnectionAborted.into()),
            calling::OP_TEXT => {
                for line in message.split(|&byte| byte == b'\n') {
                    if line == b"{}" {
                        say(io, calling::OP_TEXT, b"{}").await?;
                    } else if let Some(number) = number_of(line).filter(|number| (window.after + 1..=window.until.get()).contains(number)) {
                        let _ = news.try_send(News::Came { number, at });
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The number of the canary that a message brings. Probes for readiness are numbers too, but not in quotes.
fn number_of(message: &[u8]) -> Option<u64> {
    let message: Value = serde_json::from_slice(message).ok()?;
    message["push"]["pub"]["data"].as_str()?.parse().ok()
}

/// The first whole frame, taken out of what has come.
fn take_frame(incoming: &mut Vec<u8>) -> Result<Option<(u8, Vec<u8>)>, WireError> {
    let Some(frame) = calling::next_frame(incoming, 0)? else { return Ok(None) };
    let payload = incoming[frame.start..frame.end].to_vec();
    incoming.drain(..frame.end);
    Ok(Some((frame.opcode, payload)))
}

async fn read_more(io: &mut Box<dyn Io>, incoming: &mut Vec<u8>) -> io::Result<()> {
    if io.read_buf(incoming).await? == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

async fn say(io: &mut Box<dyn Io>, opcode: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    calling::put_frame(&mut frame, opcode, payload);
    let written = async {
        io.write_all(&frame).await?;
        io.flush().await
    };
    timeout(WRITE_MAX, written).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Where a listener can be reached from this machine: one that listens everywhere is here too.
pub fn from_here(listening: SocketAddr) -> SocketAddr {
    match listening.ip() {
        // A listener for all IPv6 addresses takes IPv4 as well.
        ip if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listening.port()),
        ip => SocketAddr::new(ip, listening.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flight_is_timed_before_all_have_come_in_and_everyone_after() {
        let mut assembly = Assembly::default();
        let timed = [false, false, true, true, false, true].map(|is_complete| assembly.times(is_complete));
        assert_eq!(timed, [false, false, false, true, true, true], "one that leaves later changes nothing");
    }

    #[test]
    fn canaries_are_told_from_probes_and_from_replies() {
        for (message, number) in [
            (&br#"{"push":{"channel":"$admin:probe","pub":{"data":"17","info":{"client":"c"}}}}"#[..], Some(17)),
            (br#"{"push":{"channel":"$admin:probe","pub":{"data":17}}}"#, None),
            (br#"{"push":{"channel":"$admin:probe","pub":{"data":"x"}}}"#, None),
            (br#"{"id":3,"publish":{}}"#, None),
            (b"{", None),
            (b"", None),
        ] {
            assert_eq!(number_of(message), number, "{}", String::from_utf8_lossy(message));
        }
    }

    #[test]
    fn frames_are_taken_one_by_one_and_a_part_of_one_stays() {
        let mut incoming = b"\x81\x01a\x81\x02b".to_vec();
        assert_eq!(take_frame(&mut incoming), Ok(Some((calling::OP_TEXT, b"a".to_vec()))));
        assert_eq!((take_frame(&mut incoming), incoming.len()), (Ok(None), 3));
    }

    #[test]
    fn a_listener_everywhere_is_reached_on_the_loopback() {
        for (listening, here) in
            [("[::]:8000", "127.0.0.1:8000"), ("0.0.0.0:1", "127.0.0.1:1"), ("[::1]:2", "[::1]:2"), ("192.0.2.7:3", "192.0.2.7:3")]
        {
            assert_eq!(from_here(listening.parse().unwrap()), here.parse().unwrap());
        }
    }
}

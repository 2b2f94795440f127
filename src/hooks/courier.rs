//! Carries events to one place: a queue, and one task that empties it.
//!
//! At least once, in order: an event stays at the head of the queue until the other side has said that it has it, and one that it had already may
//! come again. Taken in on any thread, without waiting. Bounded in number and bytes: at the bound the oldest one that is not on its way is dropped and
//! counted, because of two events about one thing the later one is the truth. What must outlive the process is written to the store while it waits ([`Keep`]).
//! What has waited for so long that nobody wants to hear it any more is dropped, wherever it waited.

use super::HooksError;
use super::report::{
    EventsDelivered, EventsDropped, EventsExpired, EventsFailed, EventsKept, EventsLeft, EventsNotKept, EventsRefused, EventsTakenUp,
};
use crate::clock::Clock;
use crate::config::Secret;
use crate::outbound::is_loopback;
use crate::store::{Store, StoreError};
use crate::telemetry::emit;
use crate::telemetry::watchdog::{RestartCause, Restarted, Watched};
use crate::threads;
use crate::upstream::Backoff;
use actix_rt::Arbiter;
use async_trait::async_trait;
use aws_lc_rs::hmac;
use bytes::{BufMut, Bytes};
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, Notify};

/// `t=<Unix seconds>,v1=<hex of HMAC-SHA256 over "<Unix seconds>.<body>">`.
const SIGNATURE: HeaderName = HeaderName::from_static("x-aether-signature");

/// Between two looks at whether the queue is empty when the hub stops.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// What comes within this time is written down together.
const KEEP_PAUSE: Duration = Duration::from_millis(500);

/// Between two tries to read or write what is kept.
const KEEP_RETRY: Duration = Duration::from_secs(2);

/// Time for the last write, when the hub stops.
const KEEP_STOP_MAX: Duration = Duration::from_secs(1);

/// Where events are posted, and how they wait for it.
pub struct CourierSettings<'a> {
    pub waiting: Waiting,
    pub endpoint: &'a str,
    /// Empty: requests are not signed.
    pub secret: &'a Secret,
    pub static_headers: &'a BTreeMap<String, Secret>,
    /// `None`: what waits ends with the process.
    pub keep: Option<Keep>,
}

/// Where what waits outlives the process: one value of the store, a line an event, with the time when it came. It has no more events than the queue may have.
#[derive(Clone)]
pub struct Keep {
    pub store: Arc<dyn Store>,
    pub key: &'static str,
}

/// What of the queue is written down.
#[derive(Default)]
struct Noted {
    /// Whether what an earlier run has left is part of the queue.
    has_read: bool,
    /// The queue's changes up to which it is written.
    changes: u64,
}

/// How events wait.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// Where in the configuration this stands.
    pub path: &'static str,
    /// For one attempt.
    pub timeout: Duration,
    pub retry_initial: Duration,
    pub retry_max: Duration,
    pub events_max: usize,
    pub bytes_max: usize,
    /// What has waited for longer is dropped before the next attempt; `None`: nothing is.
    pub age_max: Option<Duration>,
    pub batch_max: usize,
    /// What comes within this time after the first goes with it.
    pub gather: Duration,
}

/// What takes events to where they go.
#[async_trait]
pub trait Carrier: Send + Sync + 'static {
    /// Where they go, for the log: without secrets.
    fn shown(&self) -> &str;
    /// One attempt; `Ok`: the other side has said that it has them all.
    async fn carry(&self, events: &[Bytes]) -> Result<(), Uncarried>;
}

/// Why events have not arrived, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uncarried {
    /// It may be otherwise later: they are sent again.
    Again(String),
    /// They will never be taken: they are dropped, so that those behind them are.
    Refused(String),
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Waiter {
    event: Bytes,
    /// When it came, in milliseconds of the monotonic clock; below 0, where that was before this process.
    since: i64,
}

/// What waits to be told. Pure.
#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Waiter>,
    bytes: usize,
    /// So many at the head are on their way, and stay until they have arrived.
    sending: usize,
    /// Counts them, so that what has not changed is not written again.
    changes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    events: usize,
    bytes: usize,
    batch: usize,
}

impl Queue {
    /// How many were dropped for it; the new one itself, where nothing else can be.
    fn push(&mut self, waiter: Waiter, bounds: Bounds) -> usize {
        self.bytes += waiter.event.len();
        self.events.push_back(waiter);
        self.trim(bounds)
    }

    /// What an earlier run has left is older than what came since, but for what is on its way already. How many were dropped for it.
    fn take_up(&mut self, left: Vec<Waiter>, bounds: Bounds) -> usize {
        self.bytes += left.iter().map(|waiter| waiter.event.len()).sum::<usize>();
        let newer = self.events.split_off(self.sending);
        self.events.extend(left);
        self.events.extend(newer);
        self.trim(bounds)
    }

    fn trim(&mut self, bounds: Bounds) -> usize {
        self.changes += 1;
        let mut dropped = 0;
        while (self.events.len() > bounds.events || self.bytes > bounds.bytes)
            && let Some(waiter) = self.events.remove(self.sending)
        {
            self.bytes -= waiter.event.len();
            dropped += 1;
        }
        dropped
    }

    /// Drops what came before `oldest`; how many that are. To be called while nothing is on its way.
    fn expire(&mut self, oldest: i64) -> usize {
        self.sending = 0;
        let before = self.events.len();
        self.events.retain(|waiter| {
            let stays = waiter.since >= oldest;
            self.bytes -= if stays { 0 } else { waiter.event.len() };
            stays
        });
        let expired = before - self.events.len();
        self.changes += u64::from(expired > 0);
        expired
    }

    /// The events of the next attempt; empty: there is nothing to tell.
    fn batch(&mut self, bounds: Bounds) -> Vec<Bytes> {
        self.sending = self.events.len().min(bounds.batch);
        self.events.iter().take(self.sending).map(|waiter| waiter.event.clone()).collect()
    }

    /// Those that were on their way have arrived; how many they are.
    fn arrived(&mut self) -> usize {
        self.changes += 1;
        let arrived = std::mem::take(&mut self.sending);
        self.bytes -= self.events.drain(..arrived).map(|waiter| waiter.event.len()).sum::<usize>();
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        arrived
    }
}

pub struct Courier {
    waiting: Waiting,
    bounds: Bounds,
    queue: Mutex<Queue>,
    wanted: Notify,
    is_ending: AtomicBool,
    thread: Arbiter,
    clock: Clock,
    keep: Option<Keep>,
    /// Held while the store is read or written, so that nothing older is written over something newer.
    noted: AsyncMutex<Noted>,
    changed: Notify,
}

/// How events are posted.
struct Post {
    url: Url,
    shown: String,
    headers: HeaderMap,
    /// `None`: requests are not signed.
    key: Option<hmac::Key>,
    client: Client,
    clock: Clock,
}

impl Courier {
    /// Posts events. `None`: there is no address, and nobody is told anything.
    pub fn start(settings: &CourierSettings<'_>, clock: &Clock) -> Result<Option<Arc<Self>>, HooksError> {
        if settings.endpoint.is_empty() {
            return Ok(None);
        }
        let path = settings.waiting.path;
        let url = Url::parse(settings.endpoint).map_err(|_| HooksError::Url { path: path.to_string(), url: settings.endpoint.to_string() })?;
        let mut shown = url.clone();
        shown.set_query(None);
        let key = settings.secret.expose();
        let post = Post {
            headers: super::static_headers(path, settings.static_headers)?,
            key: (!key.is_empty()).then(|| hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())),
            client: super::client(is_loopback(&url)).map_err(HooksError::Client)?,
            shown: shown.into(),
            url,
            clock: clock.clone(),
        };
        Ok(Some(Self::with(settings.waiting, Arc::new(post), settings.keep.clone(), clock)))
    }

    /// Has events carried by `carrier`.
    pub fn with(waiting: Waiting, carrier: Arc<dyn Carrier>, keep: Option<Keep>, clock: &Clock) -> Arc<Self> {
        let courier = Arc::new(Self {
            bounds: Bounds { events: waiting.events_max, bytes: waiting.bytes_max, batch: waiting.batch_max },
            waiting,
            queue: Mutex::default(),
            wanted: Notify::new(),
            is_ending: AtomicBool::new(false),
            thread: threads::arbiter("events"),
            clock: clock.clone(),
            keep,
            noted: AsyncMutex::default(),
            changed: Notify::new(),
        });
        if courier.keep.is_some() {
            courier.thread.spawn(Arc::clone(&courier).note());
        }
        let sending = Arc::clone(&courier);
        courier.thread.spawn(async move {
            // A task that panicked gives its join handle an error; what it had on its way is still in the queue.
            while actix_rt::spawn(Arc::clone(&sending).send(Arc::clone(&carrier))).await.is_err() {
                emit(Restarted { watched: Watched::Courier, cause: RestartCause::Panicked });
            }
        });
        courier
    }

    /// Takes one event, a JSON object, to be told. Never waits.
    pub fn take(&self, event: Bytes) {
        let waiter = Waiter { event, since: self.now() };
        let dropped = self.queue.lock().push(waiter, self.bounds);
        if dropped > 0 {
            emit(EventsDropped { count: dropped, path: self.waiting.path });
        }
        self.wanted.notify_one();
        self.changed.notify_one();
    }

    fn now(&self) -> i64 {
        i64::try_from(self.clock.now()).unwrap_or(i64::MAX)
    }

    /// What to add to times of the monotonic clock to have Unix milliseconds.
    fn epoch(&self) -> i64 {
        self.clock.wall_ms() - self.now()
    }

    /// Events that the other side has not got yet.
    pub fn waiting(&self) -> usize {
        self.queue.lock().events.len()
    }

    /// The hub stops: what waits is told as far as `deadline` allows. What is left is written down for the next run; where that cannot be, it is lost, counted
    /// and said.
    pub async fn close(&self, deadline: Duration) {
        self.is_ending.store(true, Ordering::Release);
        self.wanted.notify_one();
        let told = async {
            while self.waiting() > 0 {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        };
        let _ = tokio::time::timeout(deadline, told).await;
        self.thread.stop();
        let (count, path) = (self.waiting(), self.waiting.path);
        let is_kept = match &self.keep {
            Some(keep) => tokio::time::timeout(KEEP_STOP_MAX, self.write_down(keep)).await.is_ok_and(|written| written.is_ok()),
            None => false,
        };
        match count {
            0 => {}
            _ if is_kept => emit(EventsKept { count, path }),
            _ => emit(EventsLeft { count, path }),
        }
    }

    // === What outlives the process ===

    /// Writes down what waits, for as long as the process lives.
    async fn note(self: Arc<Self>) {
        let Some(keep) = &self.keep else { return };
        loop {
            let mut has_failed = false;
            while let Err(error) = self.write_down(keep).await {
                if !std::mem::replace(&mut has_failed, true) {
                    emit(EventsNotKept { path: self.waiting.path, why: &error });
                }
                tokio::time::sleep(KEEP_RETRY).await;
            }
            self.changed.notified().await;
            tokio::time::sleep(KEEP_PAUSE).await;
        }
    }

    /// Takes up what an earlier run has left, before it is written over; then writes what waits, if that is not what was written last.
    async fn write_down(&self, keep: &Keep) -> Result<(), StoreError> {
        let mut noted = self.noted.lock().await;
        if !noted.has_read {
            let left = keep.store.value(keep.key).await?;
            noted.has_read = true;
            self.take_up(left.map(|text| waiters(&text, self.now(), self.epoch())).unwrap_or_default());
        }
        let (changes, text) = {
            let queue = self.queue.lock();
            if queue.changes == noted.changes {
                return Ok(());
            }
            (queue.changes, text_of(&queue.events, self.epoch()))
        };
        keep.store.put_value(keep.key, text).await?;
        noted.changes = changes;
        Ok(())
    }

    fn take_up(&self, left: Vec<Waiter>) {
        let (path, count) = (self.waiting.path, left.len());
        if count == 0 {
            return;
        }
        let dropped = self.queue.lock().take_up(left, self.bounds);
        emit(EventsTakenUp { count, path });
        if dropped > 0 {
            emit(EventsDropped { count: dropped, path });
        }
        self.wanted.notify_one();
    }

    /// Tells, for as long as the process lives.
    async fn send(self: Arc<Self>, carrier: Arc<dyn Carrier>) {
        let Waiting { path, timeout, retry_initial, retry_max, gather, age_max, .. } = self.waiting;
        let age_max = age_max.map(|most| i64::try_from(most.as_millis()).unwrap_or(i64::MAX));
        let mut waits = Backoff::full_jitter(Duration::ZERO, retry_initial, retry_max);
        let mut dice = SmallRng::from_os_rng();
        let (mut has_failed, mut has_expired) = (false, false);
        loop {
            let expired = age_max.map_or(0, |most| self.queue.lock().expire(self.now().saturating_sub(most)));
            if expired > 0 {
                emit(EventsExpired { count: expired, path, is_first: !std::mem::replace(&mut has_expired, true) });
                self.changed.notify_one();
            }
            if self.waiting() == 0 {
                self.wanted.notified().await;
                continue;
            }
            if !gather.is_zero() && !has_failed && !self.is_ending.load(Ordering::Acquire) {
                tokio::select! {
                    () = tokio::time::sleep(gather) => {}
                    () = self.ending() => {}
                }
            }
            let batch = self.queue.lock().batch(self.bounds);
            let carried = tokio::time::timeout(timeout, carrier.carry(&batch)).await;
            match carried.unwrap_or_else(|_| Err(Uncarried::Again(format!("no answer in {} ms", timeout.as_millis())))) {
                Ok(()) => {
                    let count = self.arrived();
                    emit(EventsDelivered { count, url: carrier.shown(), had_failed: std::mem::take(&mut has_failed) });
                    has_expired = false;
                    waits.reset();
                }
                Err(Uncarried::Refused(why)) => {
                    let count = self.arrived();
                    emit(EventsRefused { count, path, url: carrier.shown(), why: &why });
                    has_failed = false;
                    waits.reset();
                }
                Err(Uncarried::Again(why)) => {
                    emit(EventsFailed { url: carrier.shown(), why: &why, is_first: !std::mem::replace(&mut has_failed, true) });
                    // There is little time left when the hub stops.
                    let wait = waits.next(&mut dice);
                    let wait = if self.is_ending.load(Ordering::Acquire) { wait.min(retry_initial) } else { wait };
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.ending() => tokio::time::sleep(DRAIN_POLL).await,
                    }
                }
            }
        }
    }

    fn arrived(&self) -> usize {
        let count = self.queue.lock().arrived();
        self.changed.notify_one();
        count
    }

    /// Ready when the hub begins to stop; never, when that has begun already.
    async fn ending(&self) {
        if self.is_ending.load(Ordering::Acquire) {
            return std::future::pending().await;
        }
        while !self.is_ending.load(Ordering::Acquire) {
            self.wanted.notified().await;
        }
    }
}

#[async_trait]
impl Carrier for Post {
    fn shown(&self) -> &str {
        &self.shown
    }

    async fn carry(&self, events: &[Bytes]) -> Result<(), Uncarried> {
        let body = body_of(events);
        let unsendable = || Uncarried::Again("the request cannot be made".to_string());
        let mut headers = self.headers.clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &self.key {
            let signature = signature(key, self.clock.wall_seconds(), &body);
            headers.insert(SIGNATURE, HeaderValue::from_str(&signature).map_err(|_| unsendable())?);
        }
        // An address may hold a key in its query, so errors are told without it.
        let told = |error: reqwest::Error| Uncarried::Again(error.without_url().to_string());
        let answer = self.client.post(self.url.clone()).headers(headers).body(body).send().await.map_err(told)?;
        if answer.status().is_success() { Ok(()) } else { Err(Uncarried::Again(format!("it answers {}", answer.status().as_u16()))) }
    }
}

/// What is kept: JSON as this program writes it has no line's end within. Times are those of the outside world there, since no other outlives the process;
/// `epoch` makes them of those here.
fn text_of(events: &VecDeque<Waiter>, epoch: i64) -> Bytes {
    let mut text = Vec::with_capacity(events.iter().map(|waiter| waiter.event.len() + 16).sum());
    for Waiter { event, since } in events {
        text.extend_from_slice(since.saturating_add(epoch).to_string().as_bytes());
        text.push(b' ');
        text.extend_from_slice(event);
        text.push(b'\n');
    }
    text.into()
}

/// The events of it. What is no event would stand in the way of all behind it, and is left out. Nothing comes from the future: where the machine's time
/// was set back meanwhile, it came now.
fn waiters(text: &Bytes, now: i64, epoch: i64) -> Vec<Waiter> {
    let waiter = |line: &[u8]| {
        let space = line.iter().position(|byte| *byte == b' ')?;
        let (time, event) = (std::str::from_utf8(&line[..space]).ok()?.parse::<i64>().ok()?, &line[space + 1..]);
        serde_json::from_slice::<IgnoredAny>(event).ok()?;
        Some(Waiter { event: text.slice_ref(event), since: time.saturating_sub(epoch).min(now) })
    };
    text.split(|byte| *byte == b'\n').filter_map(waiter).collect()
}

/// The body of a request.
fn body_of(events: &[Bytes]) -> Vec<u8> {
    let mut body = b"{\"events\":[".to_vec();
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            body.put_u8(b',');
        }
        body.extend_from_slice(event);
    }
    body.extend_from_slice(b"]}");
    body
}

fn signature(key: &hmac::Key, wall_seconds: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(wall_seconds.to_string().as_bytes());
    context.update(b".");
    context.update(body);
    let mut text = format!("t={wall_seconds},v1=");
    for byte in context.sign().as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { events: 3, bytes: 100, batch: 2 };
    const DAY: Duration = Duration::from_secs(86_400);

    fn event(text: &'static str) -> Waiter {
        came(text, 0)
    }

    fn came(text: &'static str, since: i64) -> Waiter {
        Waiter { event: Bytes::from_static(text.as_bytes()), since }
    }

    #[test]
    fn at_the_bound_the_oldest_that_is_not_on_its_way_is_dropped() {
        let mut queue = Queue::default();
        assert!(queue.batch(BOUNDS).is_empty());
        assert_eq!(["1", "2", "3"].map(|text| queue.push(event(text), BOUNDS)), [0, 0, 0]);
        assert_eq!(body_of(&queue.batch(BOUNDS)), b"{\"events\":[1,2]}");
        assert_eq!(queue.push(event("4"), BOUNDS), 1, "3 goes: 1 and 2 are on their way");
        assert_eq!(body_of(&queue.batch(BOUNDS)), b"{\"events\":[1,2]}", "what has not arrived is sent again");
        assert_eq!(queue.arrived(), 2);
        assert_eq!(body_of(&queue.batch(BOUNDS)), b"{\"events\":[4]}");
        assert_eq!((queue.arrived(), queue.bytes, queue.events.len()), (1, 0, 0));
    }

    #[test]
    fn bytes_are_bounded_too_and_what_fits_nowhere_is_dropped_itself() {
        let mut queue = Queue::default();
        let of = |length: usize| Waiter { event: Bytes::from(vec![b'1'; length]), since: 0 };
        let sixty = || of(60);
        assert_eq!((queue.push(sixty(), BOUNDS), queue.push(sixty(), BOUNDS)), (0, 1));
        assert_eq!((queue.events.len(), queue.bytes), (1, 60));
        queue.batch(BOUNDS);
        assert_eq!(queue.push(sixty(), BOUNDS), 1, "the one on its way stays");
        assert_eq!((queue.arrived(), queue.bytes), (1, 0));
        assert_eq!(queue.push(of(101), BOUNDS), 1);
        assert_eq!((queue.events.len(), queue.bytes), (0, 0));
    }

    #[test]
    fn what_an_earlier_run_has_left_goes_first_and_within_the_same_bounds() {
        let mut queue = Queue::default();
        queue.push(event("8"), BOUNDS);
        queue.batch(BOUNDS);
        queue.push(event("9"), BOUNDS);
        let left = waiters(&Bytes::from_static(b"1 1\n\n2 {\"a\":\nx 3\n4\n5 2\n"), 9, 0);
        assert_eq!(left, [came("1", 1), came("2", 5)], "what is no event is left out");
        assert_eq!(queue.take_up(left, BOUNDS), 1, "three may wait, and 8 is on its way");
        assert_eq!(text_of(&queue.events, 0), "0 8\n5 2\n0 9\n");
        assert_eq!((queue.arrived(), queue.bytes), (1, 2));
        assert_eq!(waiters(&Bytes::new(), 9, 0), []);
    }

    #[test]
    fn what_waits_grows_old_whoever_keeps_it_and_whatever_happens_to_the_time() {
        let mut queue = Queue::default();
        queue.push(came("3", 3_000), BOUNDS);
        queue.batch(BOUNDS);
        // Written by a process whose clock had begun at 100,000 of the outside world's time; read by one whose had at 150,000.
        let kept = text_of(&[came("1", 20_000), came("2", 51_000)].into(), 100_000);
        assert_eq!(kept, "120000 1\n151000 2\n");
        let left = waiters(&kept, 3_000, 150_000);
        assert_eq!(left, [came("1", -30_000), came("2", 1_000)], "the first came half a minute before the process");
        queue.take_up(left, BOUNDS);
        let changes = queue.changes;
        assert_eq!((queue.expire(-30_000), queue.changes), (0, changes), "just old enough to stay");
        assert_eq!((queue.expire(-29_999), queue.bytes, queue.changes), (1, 2, changes + 1), "behind one that is younger and was tried");
        assert_eq!(queue.expire(3_001), 2);
        assert_eq!((queue.events.len(), queue.bytes, queue.batch(BOUNDS).len()), (0, 0, 0));
        assert_eq!(waiters(&kept, 3_000, 50_000), [came("1", 3_000), came("2", 3_000)], "set back by more than a minute: it came now");
    }

    /// Takes nothing as long as it is told so, and remembers what it took.
    #[derive(Default)]
    struct Door {
        is_open: AtomicBool,
        taken: Mutex<Vec<Bytes>>,
    }

    #[async_trait]
    impl Carrier for Door {
        fn shown(&self) -> &str {
            "a door"
        }

        async fn carry(&self, events: &[Bytes]) -> Result<(), Uncarried> {
            if !self.is_open.load(Ordering::Acquire) {
                return Err(Uncarried::Again("closed".to_string()));
            }
            self.taken.lock().extend_from_slice(events);
            Ok(())
        }
    }

    fn courier(door: &Arc<Door>, store: &Arc<dyn Store>, clock: &Clock) -> Arc<Courier> {
        let waiting = Waiting {
            path: "a test",
            timeout: Duration::from_secs(1),
            retry_initial: Duration::from_millis(10),
            retry_max: Duration::from_millis(10),
            events_max: 10,
            bytes_max: 1_000,
            age_max: Some(DAY),
            batch_max: 10,
            gather: Duration::ZERO,
        };
        Courier::with(waiting, Arc::clone(door) as Arc<dyn Carrier>, Some(Keep { store: Arc::clone(store), key: "a-test" }), clock)
    }

    async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
        let told = async {
            while !is().await {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(20), told).await.is_ok(), "{what}");
    }

    #[actix_rt::test]
    async fn what_waits_outlives_a_stop_and_a_crash_and_is_forgotten_when_it_has_arrived_or_is_too_old() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::open(&crate::config::StoreConfig::default(), folder.path()).await.unwrap();
        // Without the times.
        let kept = async || {
            let text = String::from_utf8(store.value("a-test").await.unwrap().unwrap_or_default().to_vec()).unwrap();
            text.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_string())).collect::<Vec<_>>()
        };
        let (door, clock) = (Arc::new(Door::default()), Clock::manual(1_000_000_000));
        let first = courier(&door, &store, &clock);
        first.take("0".into());
        until("it is written down", async || kept().await == ["0"]).await;
        clock.advance(DAY / 2);
        first.take("1".into());
        // A crash may come any moment from now on.
        until("the first two are written down", async || kept().await == ["0", "1"]).await;
        clock.advance(DAY / 2 + Duration::from_secs(1));
        until("the first one is forgotten, since it is too old", async || kept().await == ["1"]).await;
        first.take("2".into());
        first.close(Duration::ZERO).await;
        assert_eq!(kept().await, ["1", "2"], "the last moment's too");

        // Another process, whose clock has begun anew half a day later: one of them has waited for a day, in two processes and between them.
        let clock = Clock::manual(clock.wall_ms() + i64::try_from((DAY / 2).as_millis()).unwrap());
        let second = courier(&door, &store, &clock);
        // What came before it was read could be on its way already, and stay at the head.
        until("what was left is taken up", async || second.waiting() > 0).await;
        second.take("3".into());
        until("what is left waits again", async || kept().await == ["2", "3"]).await;
        door.is_open.store(true, Ordering::Release);
        until("nothing waits", async || second.waiting() == 0).await;
        until("nothing is kept", async || kept().await.is_empty()).await;
        second.close(Duration::ZERO).await;
        let mut taken = door.taken.lock().clone();
        taken.sort();
        assert_eq!(taken, ["2", "3"], "each once");
        store.close().await.unwrap();
    }

    #[test]
    fn a_signature_covers_time_and_body() {
        // RFC 4231, 4.3 (test case 2): key "Jefe" over "what do ya want for nothing?" checks the arithmetic; here only how it is put together.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
        let one = signature(&key, 7, b"{}");
        assert!(one.starts_with("t=7,v1=") && one.len() == "t=7,v1=".len() + 64, "{one}");
        let by_hand = hmac::sign(&key, b"7.{}");
        assert_eq!(one, format!("t=7,v1={}", by_hand.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()));
        assert_ne!(one[4..], signature(&key, 8, b"{}")[4..]);
    }
}

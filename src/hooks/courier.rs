//! Carries events to one place: a queue, and one task that empties it.
//!
//! At least once, in order: an event stays at the head of the queue until the other side has said that it has it, and one that it had already may
//! come again. Taken in on any thread, without waiting. Bounded in number and bytes: at the bound the oldest one that is not on its way is dropped and
//! counted, because of two events about one thing the later one is the truth.

use super::HooksError;
use super::report::{EventsDelivered, EventsDropped, EventsFailed, EventsLeft, EventsRefused};
use crate::clock::Clock;
use crate::config::Secret;
use crate::outbound::is_loopback;
use crate::telemetry::emit;
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
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// `t=<Unix seconds>,v1=<hex of HMAC-SHA256 over "<Unix seconds>.<body>">`.
const SIGNATURE: HeaderName = HeaderName::from_static("x-aether-signature");

/// Between two looks at whether the queue is empty when the hub stops.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// Where events are posted, and how they wait for it.
pub struct CourierSettings<'a> {
    pub waiting: Waiting,
    pub endpoint: &'a str,
    /// Empty: requests are not signed.
    pub secret: &'a Secret,
    pub static_headers: &'a BTreeMap<String, Secret>,
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

/// What waits to be told. Pure.
#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Bytes>,
    bytes: usize,
    /// So many at the head are on their way, and stay until they have arrived.
    sending: usize,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    events: usize,
    bytes: usize,
    batch: usize,
}

impl Queue {
    /// How many were dropped for it; the new one itself, where nothing else can be.
    fn push(&mut self, event: Bytes, bounds: Bounds) -> usize {
        self.bytes += event.len();
        self.events.push_back(event);
        let mut dropped = 0;
        while (self.events.len() > bounds.events || self.bytes > bounds.bytes)
            && let Some(event) = self.events.remove(self.sending)
        {
            self.bytes -= event.len();
            dropped += 1;
        }
        dropped
    }

    /// The events of the next attempt; empty: there is nothing to tell.
    fn batch(&mut self, bounds: Bounds) -> Vec<Bytes> {
        self.sending = self.events.len().min(bounds.batch);
        self.events.iter().take(self.sending).cloned().collect()
    }

    /// Those that were on their way have arrived; how many they are.
    fn arrived(&mut self) -> usize {
        let arrived = std::mem::take(&mut self.sending);
        self.bytes -= self.events.drain(..arrived).map(|event| event.len()).sum::<usize>();
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
        Ok(Some(Self::with(settings.waiting, Arc::new(post))))
    }

    /// Has events carried by `carrier`.
    pub fn with(waiting: Waiting, carrier: Arc<dyn Carrier>) -> Arc<Self> {
        let courier = Arc::new(Self {
            bounds: Bounds { events: waiting.events_max, bytes: waiting.bytes_max, batch: waiting.batch_max },
            waiting,
            queue: Mutex::default(),
            wanted: Notify::new(),
            is_ending: AtomicBool::new(false),
            thread: threads::arbiter("events"),
        });
        let sending = Arc::clone(&courier);
        courier.thread.spawn(async move {
            // A task that panicked gives its join handle an error; what it had on its way is still in the queue.
            while actix_rt::spawn(Arc::clone(&sending).send(Arc::clone(&carrier))).await.is_err() {
                log::error!("the task that carries the events of {} has died; another one goes on", waiting.path);
            }
        });
        courier
    }

    /// Takes one event, a JSON object, to be told. Never waits.
    pub fn take(&self, event: Bytes) {
        let dropped = self.queue.lock().push(event, self.bounds);
        if dropped > 0 {
            emit(EventsDropped { count: dropped, path: self.waiting.path });
        }
        self.wanted.notify_one();
    }

    /// Events that the other side has not got yet.
    pub fn waiting(&self) -> usize {
        self.queue.lock().events.len()
    }

    /// The hub stops: what waits is told as far as `deadline` allows, and what is left is counted.
    pub async fn close(&self, deadline: Duration) {
        self.is_ending.store(true, Ordering::Release);
        self.wanted.notify_one();
        let told = async {
            while self.waiting() > 0 {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        };
        let _ = tokio::time::timeout(deadline, told).await;
        let left = self.waiting();
        if left > 0 {
            emit(EventsLeft { count: left });
        }
        self.thread.stop();
    }

    /// Tells, for as long as the process lives.
    async fn send(self: Arc<Self>, carrier: Arc<dyn Carrier>) {
        let Waiting { path, timeout, retry_initial, retry_max, gather, .. } = self.waiting;
        let mut waits = Backoff::full_jitter(Duration::ZERO, retry_initial, retry_max);
        let mut dice = SmallRng::from_os_rng();
        let mut has_failed = false;
        loop {
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
                    let count = self.queue.lock().arrived();
                    emit(EventsDelivered { count, url: carrier.shown(), had_failed: std::mem::take(&mut has_failed) });
                    waits.reset();
                }
                Err(Uncarried::Refused(why)) => {
                    let count = self.queue.lock().arrived();
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

    fn event(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
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
        let sixty = || Bytes::from(vec![b'1'; 60]);
        assert_eq!((queue.push(sixty(), BOUNDS), queue.push(sixty(), BOUNDS)), (0, 1));
        assert_eq!((queue.events.len(), queue.bytes), (1, 60));
        queue.batch(BOUNDS);
        assert_eq!(queue.push(sixty(), BOUNDS), 1, "the one on its way stays");
        assert_eq!((queue.arrived(), queue.bytes), (1, 0));
        assert_eq!(queue.push(Bytes::from(vec![b'1'; 101]), BOUNDS), 1);
        assert_eq!((queue.events.len(), queue.bytes), (0, 0));
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

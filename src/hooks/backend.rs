//! One backend: who is asked, how many at once, and when nobody is.
//!
//! The requests run on the hooks' own thread, never on a worker. A request that has been sent runs to its end, also when who asked is gone:
//! whether the application has seen it nobody could say otherwise.

use super::report::{HookAsked, HookFailed, HookPaused, HookResumed};
use super::wire::{Answered, Heard, Question, Refused, read};
use crate::broker::Answer;
use crate::clock::Clock;
use crate::protocol::codes::ErrorCode;
use crate::telemetry::emit;
use crate::upstream::{Breaker, BreakerSettings, Leave};
use actix_rt::ArbiterHandle;
use bytes::Bytes;
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// What a backend is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Connect,
    Refresh,
    Rpc,
    Subscribe,
    Publish,
    SubRefresh,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Connect, Self::Refresh, Self::Rpc, Self::Subscribe, Self::Publish, Self::SubRefresh];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Refresh => "refresh",
            Self::Rpc => "rpc",
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::SubRefresh => "sub_refresh",
        }
    }
}

/// Why a backend gave no answer that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Timeout,
    /// It could not be reached, or hung up.
    Io,
    Status(u16),
    TooLarge,
    Garbage,
    /// So many wait already.
    Busy,
    /// It is left alone after many failures.
    Paused,
    /// The thread that asks has died of this request, or the hub stops.
    Gone,
}

impl Failure {
    pub const LABELS: [&str; 8] = ["timeout", "io", "status", "too_large", "garbage", "busy", "paused", "gone"];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Io => "io",
            Self::Status(_) => "status",
            Self::TooLarge => "too_large",
            Self::Garbage => "garbage",
            Self::Busy => "busy",
            Self::Paused => "paused",
            Self::Gone => "gone",
        }
    }
}

/// What a question came to. A failure is none of the application's words.
pub type Outcome<T> = Result<Heard<T>, Failure>;

/// What the client is told of it: a failure may pass, so it may ask again.
pub fn told<T>(outcome: Outcome<T>) -> Heard<T> {
    outcome.unwrap_or_else(|_| Err(ErrorCode::INTERNAL.into()))
}

/// Headers of a client's own request that may be passed on: names in lower case.
pub type PassedHeaders = Arc<[(Box<str>, Box<[u8]>)]>;

/// What is known of who asks, besides what stands in the question itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asker<'a> {
    pub headers: Option<&'a PassedHeaders>,
    pub meta: Option<&'a Bytes>,
}

#[derive(Clone, Debug)]
pub struct BackendSettings {
    pub kind: Kind,
    pub url: Url,
    pub timeout: Duration,
    /// Headers of every request.
    pub headers: HeaderMap,
    /// Names of the client's headers that are passed on, in lower case.
    pub passed: Vec<String>,
    pub is_binary: bool,
    pub tells_meta: bool,
    /// What statuses other than 200 stand for.
    pub statuses: HashMap<u16, Refused>,
    pub limits: Limits,
}

/// What all backends have in common.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub concurrency: usize,
    pub waiting_max: usize,
    pub answer_bytes_max: usize,
    pub breaker: BreakerSettings,
}

pub struct Backend {
    settings: BackendSettings,
    /// The address as logs show it: without its query, in which a key may stand.
    shown: String,
    client: Client,
    thread: ArbiterHandle,
    clock: Clock,
    /// Of requests under way.
    places: Semaphore,
    /// Requests under way and waiting.
    present: AtomicUsize,
    /// The breaker tells failures apart by who failed; here each request fails for itself.
    asked: AtomicU64,
    breaker: Mutex<(Breaker, SmallRng)>,
}

impl Backend {
    pub fn new(settings: BackendSettings, client: Client, thread: ArbiterHandle, clock: Clock) -> Arc<Self> {
        let mut shown = settings.url.clone();
        shown.set_query(None);
        Arc::new(Self {
            shown: shown.into(),
            places: Semaphore::new(settings.limits.concurrency),
            present: AtomicUsize::new(0),
            asked: AtomicU64::new(0),
            breaker: Mutex::new((Breaker::new(settings.limits.breaker), SmallRng::from_os_rng())),
            settings,
            client,
            thread,
            clock,
        })
    }

    /// Asks. The answer comes within the timeout, whatever the backend does.
    pub fn ask<T: Answered>(self: &Arc<Self>, question: Question<'_>, data: &[u8], asker: Asker<'_>) -> Answer<Outcome<T>> {
        let meta = asker.meta.filter(|_| self.settings.tells_meta);
        let Ok(body) = question.write(data, meta, self.settings.is_binary) else {
            return Answer::Ready(Ok(Err(ErrorCode::BAD_REQUEST.into())));
        };
        let asking = match Asking::begin(self) {
            Ok(asking) => asking,
            Err(failure) => {
                emit(HookFailed { kind: self.settings.kind, url: &self.shown, failure });
                return Answer::Ready(Err(failure));
            }
        };
        let headers = self.headers(asker.headers);
        let (reply, answer) = oneshot::channel();
        let is_taken = self.thread.spawn(async move {
            let outcome = asking.ask(headers, body).await;
            // Whoever asked may be gone.
            let _ = reply.send(outcome);
        });
        if !is_taken {
            return Answer::Ready(Err(Failure::Gone));
        }
        Answer::Later(Box::pin(async move { answer.await.unwrap_or(Err(Failure::Gone)) }))
    }

    /// The headers of one request: the configured ones, and over them those of the client that may be passed on.
    fn headers(&self, passed: Option<&PassedHeaders>) -> HeaderMap {
        let mut headers = self.settings.headers.clone();
        let may_pass = |name: &str| self.settings.passed.iter().any(|passed| passed == name);
        let passed = passed.into_iter().flat_map(|passed| passed.iter()).filter(|(name, _)| may_pass(name));
        let passed: Vec<_> =
            passed.filter_map(|(name, value)| Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))).collect();
        passed.iter().for_each(|(name, _)| while headers.remove(name).is_some() {});
        headers.extend(passed);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers
    }

    async fn request<T: Answered>(&self, headers: HeaderMap, body: Vec<u8>) -> Outcome<T> {
        let settings = &self.settings;
        // Never closed, so the place is always given in the end.
        let _place = self.places.acquire().await.map_err(|_| Failure::Gone)?;
        let answer = self.client.post(settings.url.clone()).headers(headers).body(body).send().await.map_err(|_| Failure::Io)?;
        let status = answer.status();
        if status != StatusCode::OK {
            // A redirect is one of these: the hub goes nowhere it was not told to go, least of all with a client's cookies.
            return match settings.statuses.get(&status.as_u16()) {
                Some(refused) => Ok(Err(refused.clone())),
                None => Err(Failure::Status(status.as_u16())),
            };
        }
        let body = collect(answer, settings.limits.answer_bytes_max).await?;
        read(&body).map_err(|_| Failure::Garbage)
    }
}

/// The body, up to so many bytes.
pub(super) async fn collect(mut answer: reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| Failure::Io)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(Failure::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// One request, from its beginning to its end; dropping it makes room.
struct Asking {
    backend: Arc<Backend>,
    id: u64,
    /// It finds out whether the backend is back.
    is_probe: bool,
}

impl Asking {
    fn begin(backend: &Arc<Backend>) -> Result<Self, Failure> {
        let before = backend.present.fetch_add(1, Ordering::AcqRel);
        // From here on dropping it takes it off again.
        let mut asking = Self { backend: Arc::clone(backend), id: backend.asked.fetch_add(1, Ordering::Relaxed), is_probe: false };
        if before >= backend.settings.limits.waiting_max {
            return Err(Failure::Busy);
        }
        let mut breaker = backend.breaker.lock();
        match breaker.0.leave(backend.clock.now()) {
            Leave::Granted => {}
            Leave::Probe => {
                breaker.0.probe();
                asking.is_probe = true;
            }
            Leave::NotBefore(_) | Leave::Later => {
                drop(breaker);
                return Err(Failure::Paused);
            }
        }
        drop(breaker);
        Ok(asking)
    }

    async fn ask<T: Answered>(mut self, headers: HeaderMap, body: Vec<u8>) -> Outcome<T> {
        let backend = Arc::clone(&self.backend);
        let (kind, url) = (backend.settings.kind, backend.shown.as_str());
        let began = Instant::now();
        let outcome = tokio::time::timeout(backend.settings.timeout, backend.request(headers, body)).await.unwrap_or(Err(Failure::Timeout));
        emit(HookAsked { kind, took: began.elapsed() });
        self.is_probe = false;
        let mut breaker = backend.breaker.lock();
        let (breaker, dice) = &mut *breaker;
        match &outcome {
            Ok(_) => {
                if breaker.is_open() {
                    emit(HookResumed { kind, url });
                }
                breaker.succeeded();
            }
            Err(failure) => {
                emit(HookFailed { kind, url, failure: *failure });
                if breaker.failed(self.id, backend.clock.now(), dice) {
                    emit(HookPaused { kind, url });
                }
            }
        }
        outcome
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.backend.present.fetch_sub(1, Ordering::AcqRel);
        if self.is_probe {
            self.backend.breaker.lock().0.probe_lost(self.backend.clock.now());
        }
    }
}

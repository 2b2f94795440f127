//! What operators watch live: events of the house, and traces of one user, session or channel.
//!
//! Costs one load of an atomic where nobody watches. What is watched goes into one bounded queue that `admin` empties; budgets are refilled
//! by `admin` once a second, and what goes beyond them is counted, never queued. Deliberately absent: who may watch, and how it reaches them.

use crate::channel::{SessionId, UserId};
use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use tokio::sync::mpsc;

/// What may wait for `admin`. Beyond it everything is counted as left out.
pub const QUEUE_MAX: usize = 4_096;

/// Events of one kind in one second.
pub const EVENTS_PER_SECOND: u32 = 20;

/// Traces at one time.
pub const TRACES_MAX: usize = 16;

/// Entries of one trace in one second, and in its whole life.
pub const ENTRIES_PER_SECOND: u32 = 100;
pub const ENTRIES_MAX: u32 = 10_000;

/// Bytes of one payload that a trace shows, where it shows payloads.
const PAYLOAD_BYTES_MAX: usize = 1_024;

/// What kinds of events there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    SessionConnected,
    SessionClosed,
    FeedMoved,
    FeedEmergency,
    Maintenance,
    Blocked,
    Unblocked,
    LoginsEnded,
    ConfigReloaded,
    LogLevel,
    Draining,
}

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::SessionConnected,
        Self::SessionClosed,
        Self::FeedMoved,
        Self::FeedEmergency,
        Self::Maintenance,
        Self::Blocked,
        Self::Unblocked,
        Self::LoginsEnded,
        Self::ConfigReloaded,
        Self::LogLevel,
        Self::Draining,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionConnected => "session_connected",
            Self::SessionClosed => "session_closed",
            Self::FeedMoved => "feed_moved",
            Self::FeedEmergency => "feed_emergency",
            Self::Maintenance => "maintenance",
            Self::Blocked => "blocked",
            Self::Unblocked => "unblocked",
            Self::LoginsEnded => "logins_ended",
            Self::ConfigReloaded => "config_reloaded",
            Self::LogLevel => "log_level",
            Self::Draining => "draining",
        }
    }
}

/// What comes out of the queue.
#[derive(Clone, Debug, PartialEq)]
pub enum Tapped {
    Event { kind: Kind, data: Value },
    Entry { trace: u64, data: Value },
}

/// What did not get through in a second, where anything did not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    pub events: Vec<(Kind, u32)>,
    /// By trace.
    pub entries: Vec<(u64, u32)>,
}

/// Whom or what a trace is of.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    User(UserId),
    Session(SessionId),
    Channel(String),
}

/// Who and what an entry is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    pub session: Option<SessionId>,
    pub user: Option<&'a UserId>,
    pub channel: Option<&'a str>,
}

impl Target {
    fn is_met_by(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::User(user) => subject.user == Some(user),
            Self::Session(session) => subject.session == Some(*session),
            Self::Channel(channel) => subject.channel == Some(channel.as_str()),
        }
    }
}

#[derive(Debug)]
pub struct Trace {
    pub id: u64,
    pub target: Target,
    /// The session that asked for it, and which alone may follow it.
    pub owner: SessionId,
    /// Payloads are shown, not only their sizes.
    pub shows_payloads: bool,
    budget: Budget,
    /// Entries that it may still bring.
    left: AtomicU32,
}

impl Trace {
    pub fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

/// What may pass in one second, and what did not.
#[derive(Debug)]
struct Budget {
    left: AtomicU32,
    left_out: AtomicU32,
}

impl Budget {
    const fn new(size: u32) -> Self {
        Self { left: AtomicU32::new(size), left_out: AtomicU32::new(0) }
    }
    fn takes(&self) -> bool {
        let takes = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if !takes {
            self.leaves_out();
        }
        takes
    }
    fn leaves_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }
    /// How many were left out since the last time.
    fn refill(&self, size: u32) -> u32 {
        self.left.store(size, Ordering::Relaxed);
        self.left_out.swap(0, Ordering::Relaxed)
    }
}

/// One of it in a process, like the metrics; separate ones in tests.
pub struct Tap {
    is_watched: AtomicBool,
    is_tracing: AtomicBool,
    queue: ArcSwapOption<mpsc::Sender<Tapped>>,
    events: [Budget; Kind::ALL.len()],
    traces: ArcSwap<Vec<Arc<Trace>>>,
}

static TAP: LazyLock<Tap> = LazyLock::new(Tap::new);

/// The process's tap.
pub fn tap() -> &'static Tap {
    &TAP
}

/// Says that something happened that operators may watch.
pub fn event(kind: Kind, data: impl FnOnce() -> Value) {
    if TAP.is_watched.load(Ordering::Relaxed) {
        TAP.event(kind, data());
    }
}

/// Whether anything is traced: ask before gathering what [`trace`] needs.
pub fn is_tracing() -> bool {
    TAP.is_tracing.load(Ordering::Relaxed)
}

/// Adds an entry to every trace that `subject` meets.
pub fn trace(subject: Subject<'_>, what: &'static str, payload: &[u8], more: Map<String, Value>) {
    if is_tracing() {
        TAP.trace(subject, what, payload, more);
    }
}

impl Tap {
    fn new() -> Self {
        Self {
            is_watched: AtomicBool::new(false),
            is_tracing: AtomicBool::new(false),
            queue: ArcSwapOption::empty(),
            events: std::array::from_fn(|_| Budget::new(EVENTS_PER_SECOND)),
            traces: ArcSwap::default(),
        }
    }

    /// One that nothing else uses.
    #[cfg(test)]
    pub fn for_tests() -> Self {
        Self::new()
    }

    /// The queue, for a new reader. A reader before this one gets nothing any more, and the traces that it began end.
    pub fn open(&self) -> mpsc::Receiver<Tapped> {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        self.queue.store(Some(Arc::new(sender)));
        self.set_traces(Vec::new());
        receiver
    }

    pub fn watch(&self, is_watched: bool) {
        self.is_watched.store(is_watched, Ordering::Relaxed);
    }

    /// Begins a trace. `None`: there are as many as there may be.
    pub fn begin(&self, id: u64, target: Target, owner: SessionId, shows_payloads: bool) -> Option<Arc<Trace>> {
        let mut traces = Vec::clone(&self.traces.load());
        if traces.len() >= TRACES_MAX {
            return None;
        }
        let trace = Arc::new(Trace { id, target, owner, shows_payloads, budget: Budget::new(ENTRIES_PER_SECOND), left: AtomicU32::new(ENTRIES_MAX) });
        traces.push(Arc::clone(&trace));
        self.set_traces(traces);
        Some(trace)
    }

    /// Whether there was one.
    pub fn end(&self, id: u64) -> bool {
        let mut traces = Vec::clone(&self.traces.load());
        let before = traces.len();
        traces.retain(|trace| trace.id != id);
        let is_ended = traces.len() < before;
        self.set_traces(traces);
        is_ended
    }

    pub fn traces(&self) -> Arc<Vec<Arc<Trace>>> {
        self.traces.load_full()
    }

    /// Whether `session` may follow trace `id`: whether it began it.
    pub fn is_owner(&self, id: u64, session: SessionId) -> bool {
        self.traces.load().iter().any(|trace| trace.id == id && trace.owner == session)
    }

    /// A new second begins. What the last one left out: events by kind, entries by trace.
    pub fn refill(&self) -> LeftOut {
        let events = Kind::ALL.into_iter().zip(&self.events).map(|(kind, budget)| (kind, budget.refill(EVENTS_PER_SECOND)));
        let traces = self.traces.load();
        let entries = traces.iter().map(|trace| (trace.id, trace.budget.refill(ENTRIES_PER_SECOND)));
        LeftOut { events: events.filter(|(_, count)| *count > 0).collect(), entries: entries.filter(|(_, count)| *count > 0).collect() }
    }

    /// Only `admin` begins and ends traces, from one thread, so that no change is lost between load and store.
    fn set_traces(&self, traces: Vec<Arc<Trace>>) {
        self.is_tracing.store(!traces.is_empty(), Ordering::Relaxed);
        self.traces.store(Arc::new(traces));
    }

    fn event(&self, kind: Kind, data: Value) {
        let Some(budget) = Kind::ALL.iter().position(|known| *known == kind).map(|index| &self.events[index]) else { return };
        if budget.takes() && !self.send(Tapped::Event { kind, data }) {
            budget.leaves_out();
        }
    }

    fn trace(&self, subject: Subject<'_>, what: &'static str, payload: &[u8], more: Map<String, Value>) {
        for trace in self.traces.load().iter().filter(|trace| trace.target.is_met_by(&subject)) {
            if !trace.budget.takes() {
                continue;
            }
            if trace.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
                trace.budget.leaves_out();
                continue;
            }
            let mut data = more.clone();
            data.insert("what".to_string(), json!(what));
            if let Some(session) = subject.session {
                data.insert("session".to_string(), json!(session.to_string()));
            }
            if let Some(user) = subject.user {
                data.insert("user".to_string(), json!(user.as_str()));
            }
            if let Some(channel) = subject.channel {
                data.insert("channel".to_string(), json!(channel));
            }
            if !payload.is_empty() {
                data.insert("bytes".to_string(), json!(payload.len()));
                if trace.shows_payloads {
                    let shown = &payload[..payload.len().min(PAYLOAD_BYTES_MAX)];
                    data.insert("payload".to_string(), json!(String::from_utf8_lossy(shown)));
                }
            }
            if !self.send(Tapped::Entry { trace: trace.id, data: Value::Object(data) }) {
                trace.budget.leaves_out();
            }
        }
    }

    fn send(&self, tapped: Tapped) -> bool {
        self.queue.load().as_ref().is_some_and(|queue| queue.try_send(tapped).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_sampled_and_what_was_left_out_is_counted() {
        let tap = Tap::new();
        let mut queue = tap.open();
        for number in 0..EVENTS_PER_SECOND + 30 {
            tap.event(Kind::SessionConnected, json!(number));
        }
        tap.event(Kind::FeedMoved, json!("a"));
        let passed = std::iter::from_fn(|| queue.try_recv().ok()).count();
        assert_eq!(passed, EVENTS_PER_SECOND as usize + 1, "each kind has a budget of its own");
        assert_eq!(tap.refill().events, [(Kind::SessionConnected, 30)]);
        assert_eq!(tap.refill(), LeftOut::default());
        tap.event(Kind::SessionConnected, json!(1));
        assert!(queue.try_recv().is_ok(), "a new second");
    }

    #[test]
    fn a_trace_sees_its_target_only_and_payloads_only_where_asked() {
        let tap = Tap::new();
        let mut queue = tap.open();
        let (owner, other) = (SessionId::random(), SessionId::random());
        let alice = UserId::new("alice");
        tap.begin(1, Target::User(alice.clone()), owner, false).unwrap();
        tap.begin(2, Target::Channel("news".to_string()), owner, true).unwrap();
        assert!(tap.is_owner(1, owner) && !tap.is_owner(1, other) && !tap.is_owner(3, owner));
        let subject = Subject { session: Some(other), user: Some(&alice), channel: None };
        tap.trace(subject, "publish", b"secret", Map::new());
        let Tapped::Entry { trace: 1, data } = queue.try_recv().unwrap() else { panic!("no entry") };
        assert_eq!(data, json!({ "what": "publish", "session": other.to_string(), "user": "alice", "bytes": 6 }));
        tap.trace(Subject { channel: Some("news"), ..Subject::default() }, "publication", b"open", Map::new());
        let Tapped::Entry { trace: 2, data } = queue.try_recv().unwrap() else { panic!("no entry") };
        assert_eq!(data["payload"], "open");
        assert!(queue.try_recv().is_err());
        assert!(tap.end(1) && !tap.end(1));
        assert!(tap.is_tracing.load(Ordering::Relaxed));
        assert!(tap.end(2));
        assert!(!tap.is_tracing.load(Ordering::Relaxed), "nobody pays for it any more");
    }

    #[test]
    fn a_trace_is_bounded_in_a_second_and_in_all_and_there_are_only_so_many() {
        let tap = Tap::new();
        let mut queue = tap.open();
        let owner = SessionId::random();
        let trace = tap.begin(1, Target::Session(owner), owner, false).unwrap();
        let subject = Subject { session: Some(owner), ..Subject::default() };
        let mut passed = 0;
        for _ in 0..ENTRIES_MAX / ENTRIES_PER_SECOND + 5 {
            (0..ENTRIES_PER_SECOND + 7).for_each(|_| tap.trace(subject, "ping", b"", Map::new()));
            passed += std::iter::from_fn(|| queue.try_recv().ok()).count();
            assert!(!tap.refill().entries.is_empty());
        }
        assert_eq!((passed, trace.is_spent()), (ENTRIES_MAX as usize, true));
        for id in 2..=TRACES_MAX as u64 {
            assert!(tap.begin(id, Target::Session(owner), owner, false).is_some());
        }
        assert!(tap.begin(99, Target::Session(owner), owner, false).is_none());
    }

    #[test]
    fn a_reader_that_does_not_read_costs_no_memory() {
        let tap = Tap::new();
        let mut queue = tap.open();
        for _ in 0..QUEUE_MAX {
            tap.event(Kind::Draining, json!(1));
            tap.refill();
        }
        tap.event(Kind::Draining, json!(1));
        assert_eq!(tap.refill().events, [(Kind::Draining, 1)], "the queue is full");
        assert_eq!(std::iter::from_fn(|| queue.try_recv().ok()).count(), QUEUE_MAX);
    }
}

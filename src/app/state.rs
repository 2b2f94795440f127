//! What the whole process can be asked about itself: for the metrics, the debug page, and tests that wait for a state.

use super::Addresses;
use crate::broker::{DurableBroker, MemoryBroker};
use crate::clock::Clock;
use crate::guard::admission::Admission;
use crate::mercure::MercureHub;
use crate::metrics::flock::Airfield;
use crate::metrics::{Metrics, Observatory};
use crate::session::hub::Hub;
use crate::store::Store;
use crate::topic::fanout::WorkerCounts;
use crate::topic::registry::Topics;
use crate::upstream::{FeedReport, Places, Reason, Upstream, UpstreamPool};
use actix::Addr;
use parking_lot::RwLock;
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

pub struct State {
    pub admission: Arc<Admission>,
    pub hub: Arc<Hub>,
    pub topics: Arc<Topics>,
    pub broker: Arc<MemoryBroker>,
    pub clock: Clock,
    pub(super) upstream: Upstream,
    pub(super) pool: RwLock<Option<Addr<UpstreamPool>>>,
    pub(super) store: Arc<dyn Store>,
    pub(super) history: Option<Arc<DurableBroker>>,
    pub(super) mercure: Option<Arc<MercureHub>>,
    pub(super) metrics: RwLock<Option<Addr<Metrics>>>,
    /// Where the hub's own canaries fly, once it listens.
    pub canaries: OnceLock<Arc<Airfield>>,
    /// What is measured, where anything is; it looks here itself.
    pub(super) observatory: OnceLock<Weak<Observatory>>,
    /// Set when the sockets are bound.
    pub(super) addresses: OnceLock<Addresses>,
}

/// Everything that is counted, exact at its own moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    pub sessions: usize,
    pub connections: usize,
    pub users: usize,
    pub topics: usize,
    /// Channels attached to workers.
    pub shards: usize,
    /// Subscriptions of all sessions.
    pub members: usize,
    /// Sessions in any phase, by the workers' own count.
    pub session_actors: usize,
    pub timers: usize,
    pub outbox_bytes: usize,
    pub lag_ms: u64,
    pub streams: usize,
    pub history_publications: usize,
    pub history_bytes: usize,
    pub presence: usize,
    pub idempotency_keys: usize,
    pub descriptors: usize,
    pub threads: usize,
    pub memory_allocated_bytes: usize,
    pub memory_resident_bytes: usize,
    pub store_is_up: bool,
    /// Calls of the store that wait.
    pub store_waiting: usize,
    pub store_connections: usize,
    /// Batches and publications of history that wait for the store.
    pub history_waiting: usize,
    pub mercure_subscribers: usize,
    /// Selectors of all Mercure subscribers, where they are told of.
    pub mercure_subscriptions: usize,
    /// Different wildcards (`ticks:*`) that are subscribed to, or were a moment ago.
    pub wildcards: usize,
    /// Different patterns among the selectors.
    pub mercure_patterns: usize,
    /// What is kept for those who come back.
    pub mercure_updates: usize,
    pub mercure_bytes: usize,
    /// Clients of the hub's own, which are counted nowhere else but among descriptors: those that there are, and those that are to be.
    pub canaries: usize,
    pub canaries_wanted: usize,
    pub feed_places: FeedPlaces,
    pub feeds: Vec<FeedCounts>,
    /// How late each worker is.
    #[serde(skip)]
    pub worker_lags_ms: Vec<u64>,
    /// By kind: those of which there may be many, and those of which there is one while it lives.
    #[serde(skip)]
    pub actors: [(&'static str, usize); ACTOR_KINDS],
}

/// Kinds of actors that are told apart.
pub const ACTOR_KINDS: usize = 8;

/// Connections to feeds: those that are there, successors of a rotation, feeds that wait for one, hosts that are left alone.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FeedPlaces {
    pub held: usize,
    pub rotating: usize,
    pub waiting: usize,
    pub breakers_open: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct FeedCounts {
    pub name: String,
    pub state: &'static str,
    pub is_paused: bool,
    pub is_resting: bool,
    pub origin: &'static str,
    /// Since when it is in this state.
    pub since_ms: u64,
    /// How old the connection is.
    pub age_ms: Option<u64>,
    /// Why the last connection or attempt ended.
    pub reason: Option<&'static str>,
    pub detail: String,
    pub last_event_id: String,
    pub events: u64,
    pub dropped: u64,
    pub repeated: u64,
    pub unwanted: u64,
    pub bytes: u64,
    pub errors: u64,
    pub attempts: u64,
    pub failed_attempts: u64,
    pub reconnects: u64,
    pub rotations: u64,
    pub gaps: u64,
    pub panics: u64,
    /// In the last minute, and what is usual.
    pub events_per_minute: u64,
    pub bytes_per_minute: u64,
    pub errors_per_minute: u64,
    pub usual_per_minute: Option<f64>,
    /// Mean lateness in the last minute, where the feed tells its time.
    pub latency_ms: Option<u64>,
    pub silent_ms: Option<u64>,
    pub next_try_in_ms: Option<u64>,
    pub waits_for_broker: bool,
}

impl State {
    pub async fn counts(&self) -> Counts {
        let workers = self.topics.count_workers().await;
        let sum = |of: fn(&WorkerCounts) -> usize| workers.iter().map(of).sum();
        let broker = self.broker.stats();
        let upstream = self.upstream.report(self.clock.now());
        let Places { held, rotating, waiting, breakers_open } = upstream.places;
        let (memory, store) = (Memory::now(), self.store.state());
        let session_actors = sum(|worker| worker.sessions);
        let mercure_subscribers = self.mercure.as_ref().map_or(0, |hub| hub.subscribers());
        let actors = [
            ("session", session_actors),
            ("topic", self.topics.len()),
            ("fanout", workers.len()),
            ("feed", upstream.feeds.iter().filter(|feed| !feed.is_paused).count()),
            ("mercure_subscriber", mercure_subscribers),
            ("upstream", usize::from(self.upstream().is_some_and(|pool| pool.connected()))),
            ("metrics", usize::from(self.metrics().is_some_and(|metrics| metrics.connected()))),
            ("canary", self.canaries.get().map_or(0, |field| field.open.load(Ordering::Relaxed))),
        ];
        let (mercure_updates, mercure_bytes) = self.mercure.as_ref().map_or((0, 0), |hub| hub.kept());
        Counts {
            sessions: self.hub.len(),
            connections: self.admission.count(),
            users: self.hub.users(),
            topics: self.topics.len(),
            shards: sum(|worker| worker.channels),
            members: sum(|worker| worker.members),
            session_actors,
            timers: sum(|worker| worker.timers),
            outbox_bytes: sum(|worker| worker.outbox_bytes),
            lag_ms: workers.iter().map(|worker| worker.lag_ms).max().unwrap_or(0),
            streams: broker.streams,
            history_publications: broker.publications,
            history_bytes: broker.bytes,
            presence: broker.presence_entries,
            idempotency_keys: broker.idempotency_keys,
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
            memory_allocated_bytes: memory.allocated,
            memory_resident_bytes: memory.resident,
            store_is_up: store.trouble.is_none(),
            store_waiting: store.waiting,
            store_connections: store.connections,
            mercure_subscribers,
            mercure_subscriptions: self.mercure.as_ref().map_or(0, |hub| hub.presences().len()),
            wildcards: self.topics.pattern_count(),
            mercure_patterns: self.mercure.as_ref().map_or(0, |hub| hub.patterns().in_use()),
            mercure_updates,
            mercure_bytes,
            history_waiting: self.history.as_ref().map_or(0, |history| history.waiting()),
            canaries: self.canaries.get().map_or(0, |field| field.open.load(Ordering::Relaxed)),
            canaries_wanted: self.canaries.get().map_or(0, |field| field.workers),
            feed_places: FeedPlaces { held, rotating, waiting, breakers_open },
            feeds: upstream.feeds.iter().map(feed).collect(),
            worker_lags_ms: workers.iter().map(|worker| worker.lag_ms).collect(),
            actors,
        }
    }

    pub fn observatory(&self) -> Option<Arc<Observatory>> {
        self.observatory.get().and_then(Weak::upgrade)
    }

    /// The actor that measures, while it lives.
    pub fn metrics(&self) -> Option<Addr<Metrics>> {
        self.metrics.read().clone()
    }

    pub fn upstream(&self) -> Option<Addr<UpstreamPool>> {
        self.pool.read().clone()
    }
}

fn feed(feed: &FeedReport) -> FeedCounts {
    let ms = |time: Duration| time.as_millis() as u64;
    FeedCounts {
        name: feed.name.to_string(),
        state: feed.state.as_str(),
        is_paused: feed.is_paused,
        is_resting: feed.is_resting,
        origin: feed.origin.as_str(),
        since_ms: ms(feed.since),
        age_ms: feed.age.map(ms),
        reason: feed.reason.map(Reason::as_str),
        detail: feed.detail.clone(),
        last_event_id: feed.last_event_id.to_string(),
        events: feed.events,
        dropped: feed.dropped,
        repeated: feed.repeated,
        unwanted: feed.unwanted,
        bytes: feed.bytes,
        errors: feed.errors,
        attempts: feed.attempts,
        failed_attempts: feed.failed_attempts,
        reconnects: feed.reconnects,
        rotations: feed.rotations,
        gaps: feed.gaps,
        panics: feed.panics,
        events_per_minute: feed.events_per_minute,
        bytes_per_minute: feed.bytes_per_minute,
        errors_per_minute: feed.errors_per_minute,
        usual_per_minute: feed.usual_per_minute,
        latency_ms: feed.latency.map(ms),
        silent_ms: feed.silent_for.map(ms),
        next_try_in_ms: feed.next_try_in.map(ms),
        waits_for_broker: feed.waits_for_broker,
    }
}

/// What the allocator says.
pub(super) struct Memory {
    pub(super) allocated: usize,
    pub(super) resident: usize,
}

impl Memory {
    /// Zeros where another allocator is linked, as in a test.
    pub(super) fn now() -> Self {
        use tikv_jemalloc_ctl::{epoch, stats};
        // The figures are those of the last epoch.
        let _ = epoch::advance();
        Self { allocated: stats::allocated::read().unwrap_or(0), resident: stats::resident::read().unwrap_or(0) }
    }
}

pub(super) fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

//! What happens between the hub and its store.

use super::{Event, counter, counter_vec, registered};
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use std::sync::LazyLock;
use std::time::Duration;

/// What a call is about: a label of its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorePart {
    Users,
    Logins,
    Blocks,
    ApiKeys,
    Audit,
    History,
    Values,
    Care,
}

impl StorePart {
    pub const ALL: [Self; 8] = [Self::Users, Self::Logins, Self::Blocks, Self::ApiKeys, Self::Audit, Self::History, Self::Values, Self::Care];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Logins => "logins",
            Self::Blocks => "blocks",
            Self::ApiKeys => "api_keys",
            Self::Audit => "audit",
            Self::History => "history",
            Self::Values => "values",
            Self::Care => "care",
        }
    }
}

/// The values of the label `result`.
pub const STORE_RESULTS: [&str; 6] = ["ok", "conflict", "timeout", "unavailable", "overloaded", "corrupt"];

/// Seconds. A store that is well answers a read within the first ones; the last is the deadline of a call (`store.timeout`) and a little.
const SECONDS: [f64; 10] = [0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 3.0];

static CALLS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let labels: Vec<[&str; 2]> = StorePart::ALL.iter().flat_map(|part| STORE_RESULTS.map(|result| [part.as_str(), result])).collect();
    let labels: Vec<&[&str]> = labels.iter().map(<[_; 2]>::as_slice).collect();
    counter_vec("aether_store_calls_total", "Calls of the store, by what they are about and how they ended.", &["part", "result"], &labels)
});
static CALL_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let options = HistogramOpts::new("aether_store_call_seconds", "How long calls of the store took, waiting included.").buckets(SECONDS.to_vec());
    let family = registered(HistogramVec::new(options, &["part"]));
    StorePart::ALL.iter().for_each(|part| drop(family.with_label_values(&[part.as_str()])));
    family
});
static COMMITS: LazyLock<IntCounter> =
    LazyLock::new(|| counter("aether_store_commits_total", "Transactions committed by SQLite; each holds all writes that waited for it."));
static UP: LazyLock<IntGauge> = LazyLock::new(|| super::gauge("aether_store_up", "Whether the store did what it was last asked: 1, or 0."));

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&CALLS);
    LazyLock::force(&CALL_SECONDS);
    LazyLock::force(&COMMITS);
}

static POOL: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let labels = ["created", "closed", "cleared", "checkout_failed"];
    let help = "What happened in the pool of connections to MongoDB.";
    counter_vec("aether_store_pool_events_total", help, &["event"], &labels.each_ref().map(std::slice::from_ref))
});

/// Something happened in the pool of connections to MongoDB.
#[derive(Clone, Copy, Debug)]
pub enum PoolEvent {
    Created,
    Closed,
    /// All connections were given up, since the server did not answer.
    Cleared,
    CheckoutFailed,
}
impl Event for PoolEvent {
    fn emit(self) {
        let label = match self {
            Self::Created => "created",
            Self::Closed => "closed",
            Self::Cleared => "cleared",
            Self::CheckoutFailed => "checkout_failed",
        };
        POOL.with_label_values(&[label]).inc();
    }
}

/// A call of the store has ended.
pub struct StoreCalled {
    pub part: StorePart,
    /// One of [`STORE_RESULTS`].
    pub result: &'static str,
    pub took: Duration,
}
impl Event for StoreCalled {
    fn emit(self) {
        CALLS.with_label_values(&[self.part.as_str(), self.result]).inc();
        CALL_SECONDS.with_label_values(&[self.part.as_str()]).observe(self.took.as_secs_f64());
    }
}

/// SQLite has committed a group of writes.
pub struct StoreCommitted;
impl Event for StoreCommitted {
    fn emit(self) {
        COMMITS.inc();
    }
}

/// The store was opened, or is to be reached from now on.
pub struct StoreOpened<'a> {
    pub kind: &'static str,
    /// Where it is, without credentials.
    pub place: &'a str,
}
impl Event for StoreOpened<'_> {
    fn emit(self) {
        log::info!("the {} store is {}", self.kind, self.place);
        UP.set(1);
    }
}

/// The store does not do any more what it is asked. Said once, until it does again.
pub struct StoreLost<'a> {
    pub kind: &'static str,
    /// `read` or `write`.
    pub access: &'static str,
    pub reason: &'a str,
}
impl Event for StoreLost<'_> {
    fn emit(self) {
        log::error!("cannot {} the {} store: {}; logins and what else needs it fail, live traffic goes on", self.access, self.kind, self.reason);
        UP.set(0);
    }
}

/// The store works again.
pub struct StoreBack {
    pub kind: &'static str,
    pub access: &'static str,
    pub after: Duration,
    /// Both ways work.
    pub is_whole: bool,
}
impl Event for StoreBack {
    fn emit(self) {
        log::info!("can {} the {} store again, after {:.1} s", self.access, self.kind, self.after.as_secs_f64());
        UP.set(i64::from(self.is_whole));
    }
}

/// A thread of the store panicked and went on with the next call.
pub struct StorePanicked {
    pub thread: &'static str,
}
impl Event for StorePanicked {
    fn emit(self) {
        log::error!("a call panicked on the store's {}; its caller is told that it failed", self.thread);
    }
}

/// SQLite's file was looked at when it was opened.
pub struct StoreChecked {
    pub took: Duration,
    /// The time for it was over before the whole file was read.
    pub is_cut: bool,
}
impl Event for StoreChecked {
    fn emit(self) {
        if self.is_cut {
            log::info!("the quick check of the SQLite store was ended after {} ms; what was read is sound", self.took.as_millis());
        } else {
            log::debug!("the quick check of the SQLite store took {} ms", self.took.as_millis());
        }
    }
}

/// The schema was brought to this version.
pub struct StoreMigrated {
    pub from: u32,
    pub to: u32,
}
impl Event for StoreMigrated {
    fn emit(self) {
        log::info!("the SQLite store went from schema {} to {}", self.from, self.to);
    }
}

/// The database has the indexes of this version.
pub struct StorePrepared {
    pub kind: &'static str,
}
impl Event for StorePrepared {
    fn emit(self) {
        log::info!("the {} store is prepared", self.kind);
    }
}

/// The database could not be given its indexes. Said once; it is tried again, unless it is of a newer version.
pub struct StoreUnprepared<'a> {
    pub reason: &'a str,
}
impl Event for StoreUnprepared<'_> {
    fn emit(self) {
        log::warn!("the store is not prepared: {}", self.reason);
    }
}

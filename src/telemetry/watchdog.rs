//! What the watchdogs had to do: everything that was started anew, and why.

use super::{Event, counter_vec};
use prometheus::IntCounterVec;
use std::sync::LazyLock;

/// Why something was started anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartCause {
    /// A panic had ended it.
    Panicked,
    /// It was there and did not answer in time.
    Unresponsive,
    /// It had ended because an operator wanted it to begin anew.
    Requested,
}

impl RestartCause {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Panicked => "panicked",
            Self::Unresponsive => "unresponsive",
            Self::Requested => "requested",
        }
    }
}

/// What is started anew when it is gone: actors, and tasks that are to run for as long as the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    Admin,
    /// Writes the audit log.
    Audit,
    /// Reads who is kept out.
    Blocks,
    Canaries,
    /// Carries what somebody outside is told: events, alerts, letters.
    Courier,
    /// One a worker.
    Fanout,
    /// The connection of one feed.
    Feed,
    /// Writes publications to the store.
    History,
    /// Reads published keys.
    Jwks,
    /// Serves a worker's Mercure clients.
    Mercure,
    Metrics,
    /// One a worker.
    Timer,
    /// One a channel with subscribers.
    Topic,
    /// The pool of all feeds.
    Upstream,
}

impl Watched {
    pub const ALL: [Self; 14] = [
        Self::Admin,
        Self::Audit,
        Self::Blocks,
        Self::Canaries,
        Self::Courier,
        Self::Fanout,
        Self::Feed,
        Self::History,
        Self::Jwks,
        Self::Mercure,
        Self::Metrics,
        Self::Timer,
        Self::Topic,
        Self::Upstream,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Audit => "audit",
            Self::Blocks => "blocks",
            Self::Canaries => "canaries",
            Self::Courier => "courier",
            Self::Fanout => "fanout",
            Self::Feed => "feed",
            Self::History => "history",
            Self::Jwks => "jwks",
            Self::Mercure => "mercure",
            Self::Metrics => "metrics",
            Self::Timer => "timer",
            Self::Topic => "topic",
            Self::Upstream => "upstream",
        }
    }

    /// For what it can be started anew. Most are known to be gone by that alone; some are asked whether they are there; one may be told to go.
    fn causes(self) -> &'static [RestartCause] {
        use RestartCause::{Panicked, Requested, Unresponsive};
        match self {
            Self::Admin | Self::Metrics => &[Panicked, Unresponsive],
            Self::Upstream => &[Panicked, Unresponsive, Requested],
            Self::Audit
            | Self::Blocks
            | Self::Canaries
            | Self::Courier
            | Self::Fanout
            | Self::Feed
            | Self::History
            | Self::Jwks
            | Self::Mercure
            | Self::Timer
            | Self::Topic => &[Panicked],
        }
    }

    /// How often it was started anew since the process began, for everything that it can be.
    pub fn restarts(self) -> impl Iterator<Item = (RestartCause, u64)> {
        self.causes().iter().map(move |&cause| (cause, RESTARTED.with_label_values(&[self.as_str(), cause.as_str()]).get()))
    }
}

static RESTARTED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let values: Vec<[&str; 2]> =
        Watched::ALL.iter().flat_map(|watched| watched.causes().iter().map(|cause| [watched.as_str(), cause.as_str()])).collect();
    let values: Vec<&[&str]> = values.iter().map(<[_; 2]>::as_slice).collect();
    counter_vec("aether_actor_restarts_total", "Actors and lasting tasks that were started anew, and why.", &["actor", "cause"], &values)
});

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&RESTARTED);
}

/// Counts what another event tells the log of.
pub fn count_restart(watched: Watched, cause: RestartCause) {
    debug_assert!(watched.causes().contains(&cause), "{watched:?} cannot be {cause:?}");
    RESTARTED.with_label_values(&[watched.as_str(), cause.as_str()]).inc();
}

/// Something of which there is one, or one a worker, was gone and is started anew.
pub struct Restarted {
    pub watched: Watched,
    pub cause: RestartCause,
}
impl Event for Restarted {
    fn emit(self) {
        let Self { watched, cause } = self;
        let name = watched.as_str();
        match cause {
            RestartCause::Panicked => log::error!("{name} had panicked and is started anew"),
            RestartCause::Unresponsive => log::error!("{name} does not answer and is started anew"),
            RestartCause::Requested => log::warn!("{name} is started anew, as an operator wants it"),
        }
        count_restart(watched, cause);
    }
}

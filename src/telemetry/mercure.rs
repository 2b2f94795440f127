//! What happens at the Mercure hub.

use super::{Event, counter, counter_vec, gauge};
use crate::auth::TokenError;
use prometheus::{IntCounter, IntCounterVec, IntGauge};
use std::sync::LazyLock;

static UPDATES: LazyLock<IntCounter> = LazyLock::new(|| counter("aether_mercure_updates_total", "Updates published by the Mercure protocol."));
static SUBSCRIBERS: LazyLock<IntCounter> =
    LazyLock::new(|| counter("aether_mercure_subscribers_total", "Connections of Mercure subscribers that have begun."));
static CONNECTED: LazyLock<IntGauge> = LazyLock::new(|| gauge("aether_mercure_subscribers_connected", "Mercure subscribers that are connected."));
static DELIVERED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("aether_mercure_deliveries_total", "Updates written to Mercure subscribers, once for each of them."));
static DROPPED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_mercure_dropped_total",
        "Mercure subscribers whose answer was ended because they, or their worker, could not keep up.",
        &["reason"],
        &[&["slow"], &["behind"]],
    )
});
static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let reasons = Reason::ALL.map(Reason::as_str);
    let values: Vec<[&str; 1]> = reasons.iter().map(|reason| [*reason]).collect();
    let values: Vec<&[&str]> = values.iter().map(|value| value.as_slice()).collect();
    counter_vec("aether_mercure_refused_total", "Requests of the Mercure protocol that were refused, by reason.", &["reason"], &values)
});

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It shows no token, and needs one.
    NoToken,
    BadToken,
    /// The token does not allow it.
    NotAllowed,
    Origin,
    Malformed,
    TooLarge,
    TooMany,
    /// The hub could not do it.
    Failed,
}

impl Reason {
    const ALL: [Self; 8] =
        [Self::NoToken, Self::BadToken, Self::NotAllowed, Self::Origin, Self::Malformed, Self::TooLarge, Self::TooMany, Self::Failed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::BadToken => "bad_token",
            Self::NotAllowed => "not_allowed",
            Self::Origin => "origin",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::TooMany => "too_many",
            Self::Failed => "failed",
        }
    }
}

/// The hub is there: its counters show zeros until something happens.
pub struct MercureEnabled;
impl Event for MercureEnabled {
    fn emit(self) {
        LazyLock::force(&UPDATES);
        LazyLock::force(&SUBSCRIBERS);
        LazyLock::force(&CONNECTED);
        LazyLock::force(&DELIVERED);
        LazyLock::force(&DROPPED);
        LazyLock::force(&REFUSED);
    }
}

/// An update is stored and on its way.
pub struct UpdatePublished {
    pub topics: usize,
}
impl Event for UpdatePublished {
    fn emit(self) {
        log::debug!("mercure: an update with {} topics was published", self.topics);
        UPDATES.inc();
    }
}

/// An answer without an end has begun.
pub struct SubscriberOpened;
impl Event for SubscriberOpened {
    fn emit(self) {
        SUBSCRIBERS.inc();
        CONNECTED.inc();
    }
}

pub struct SubscriberClosed {
    /// It took what it was sent too slowly.
    pub was_slow: bool,
}
impl Event for SubscriberClosed {
    fn emit(self) {
        CONNECTED.dec();
        if self.was_slow {
            log::info!("mercure: a subscriber was cut as slow");
            DROPPED.with_label_values(&["slow"]).inc();
        }
    }
}

/// The log went on without them: they are sent away, and come back with their cursors.
pub struct SubscribersFellBehind {
    pub subscribers: usize,
}
impl Event for SubscribersFellBehind {
    fn emit(self) {
        log::warn!("mercure: {} subscribers are sent away, since updates came faster than they could be given out", self.subscribers);
        DROPPED.with_label_values(&["behind"]).inc_by(self.subscribers as u64);
    }
}

/// Counted once a batch.
pub struct UpdatesDelivered {
    pub count: usize,
}
impl Event for UpdatesDelivered {
    fn emit(self) {
        DELIVERED.inc_by(self.count as u64);
    }
}

pub struct MercureRefused {
    pub reason: Reason,
}
impl Event for MercureRefused {
    fn emit(self) {
        REFUSED.with_label_values(&[self.reason.as_str()]).inc();
    }
}

/// A token was refused. Clients are not told why, so it stands here.
pub struct MercureTokenRefused<'a> {
    pub error: &'a TokenError,
    pub method: &'a str,
}
impl Event for MercureTokenRefused<'_> {
    fn emit(self) {
        log::info!("mercure: the token of a {} is refused: {}", self.method, self.error);
    }
}

//! What happens to the keys that tokens are verified with, and to those who are kept out in spite of a token.

use super::{Event, counter, counter_vec};
use prometheus::{IntCounter, IntCounterVec};
use std::fmt::Display;
use std::sync::LazyLock;

static FETCHES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_jwks_fetches_total",
        "Fetches of published keys (JWKS), by result.",
        &["result"],
        &[&["fetched"], &["failed"], &["out_of_date"]],
    )
});

/// A URL said which keys it has.
pub struct KeysFetched<'a> {
    pub url: &'a str,
    pub keys: usize,
}
impl Event for KeysFetched<'_> {
    fn emit(self) {
        log::debug!("{} has {} keys for tokens", self.url, self.keys);
        FETCHES.with_label_values(&["fetched"]).inc();
    }
}

/// A URL did not say which keys it has. Those that are known stay good for a while.
pub struct KeysNotFetched<'a> {
    pub url: &'a str,
    pub why: &'a dyn Display,
}
impl Event for KeysNotFetched<'_> {
    fn emit(self) {
        log::warn!("cannot fetch the keys of {}: {}", self.url, self.why);
        FETCHES.with_label_values(&["failed"]).inc();
    }
}

/// A URL has been silent for so long that its keys are not used any more.
pub struct KeysOutOfDate<'a> {
    pub url: &'a str,
}
impl Event for KeysOutOfDate<'_> {
    fn emit(self) {
        log::error!("the keys of {} are too old to be used (client.token.jwks_stale_max)", self.url);
        FETCHES.with_label_values(&["out_of_date"]).inc();
    }
}

static BLOCK_LOOKS_FAILED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("aether_block_looks_failed_total", "Looks at the stored blocks (revoked tokens, bans) that failed."));

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&FETCHES);
    LazyLock::force(&BLOCK_LOOKS_FAILED);
}

/// The store did not say who is kept out. Those that are known stay so.
pub struct BlocksNotRead<'a> {
    pub why: &'a dyn Display,
}
impl Event for BlocksNotRead<'_> {
    fn emit(self) {
        log::warn!("cannot read who is kept out: {}", self.why);
        BLOCK_LOOKS_FAILED.inc();
    }
}

/// There are more blocks than a node knows.
pub struct BlocksLeftOut {
    pub max: usize,
}
impl Event for BlocksLeftOut {
    fn emit(self) {
        log::error!("there are {} blocks or more; those behind the first {} keep nobody out", self.max, self.max);
    }
}

/// Live connections were closed because they are kept out by now.
pub struct Evicted {
    pub count: usize,
}
impl Event for Evicted {
    fn emit(self) {
        log::info!("{} connections closed that are kept out by now", self.count);
    }
}

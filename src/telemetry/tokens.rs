//! What happens to the keys that tokens are verified with.

use super::{Event, counter_vec};
use prometheus::IntCounterVec;
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

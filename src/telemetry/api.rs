//! What is asked of the server API.

use super::{Event, counter_vec};
use crate::protocol::codes::Refusal;
use crate::store::StoreError;
use prometheus::IntCounterVec;
use std::sync::LazyLock;

/// The methods, as the label names them.
pub const METHODS: [&str; 17] = [
    "publish",
    "broadcast",
    "subscribe",
    "unsubscribe",
    "disconnect",
    "refresh",
    "presence",
    "presence_stats",
    "history",
    "history_remove",
    "channels",
    "info",
    "rpc",
    "metrics_history",
    "report",
    "upstream_report",
    "batch",
];

static CALLS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let values: Vec<[&str; 2]> = METHODS.iter().flat_map(|&method| ["ok", "error"].map(|result| [method, result])).collect();
    let values: Vec<&[&str]> = values.iter().map(|pair| pair.as_slice()).collect();
    counter_vec(
        "aether_api_calls_total",
        "Calls of the server API that were understood, those inside of a batch included, by method and result.",
        &["method", "result"],
        &values,
    )
});
static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_api_refused_total",
        "Requests to the server API that were not carried out, by reason.",
        &["reason"],
        &[&["key"], &["malformed"], &["too_large"], &["too_slow"], &["too_often"]],
    )
});

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&CALLS);
    LazyLock::force(&REFUSED);
}

/// A call was carried out, or failed with an error of the table.
pub struct ApiCalled<'a> {
    /// One of [`METHODS`].
    pub method: &'static str,
    pub error: Option<&'a Refusal>,
}
impl Event for ApiCalled<'_> {
    fn emit(self) {
        let result = match self.error {
            None => "ok",
            Some(error) => {
                log::debug!("api: {} failed with {} ({})", self.method, error.row.code, error.message());
                "error"
            }
        };
        CALLS.with_label_values(&[self.method, result]).inc();
    }
}

/// The named keys are others than before.
pub struct ApiKeysRead {
    pub keys: usize,
}
impl Event for ApiKeysRead {
    fn emit(self) {
        log::info!("api: {} named keys are known", self.keys);
    }
}

/// The named keys cannot be read; those that were read last count. Told once, until they can be read again.
pub struct ApiKeysUnreadable<'a> {
    pub error: &'a StoreError,
}
impl Event for ApiKeysUnreadable<'_> {
    fn emit(self) {
        log::warn!("api: named keys are those of before, since they cannot be read: {}", self.error);
    }
}

/// Why a request was not even looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiRefusal {
    /// No key was shown, or another one than the configured one.
    Key,
    /// The body is not JSON, or not what the method takes.
    Malformed,
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    TooOften,
}

/// A request was not carried out.
pub struct ApiRefused {
    pub why: ApiRefusal,
}
impl Event for ApiRefused {
    fn emit(self) {
        let reason = match self.why {
            ApiRefusal::Key => "key",
            ApiRefusal::Malformed => "malformed",
            ApiRefusal::TooLarge => "too_large",
            ApiRefusal::TooSlow => "too_slow",
            ApiRefusal::TooOften => "too_often",
        };
        log::info!("api: refused a request ({reason})");
        REFUSED.with_label_values(&[reason]).inc();
    }
}

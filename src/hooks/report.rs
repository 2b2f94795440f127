//! What happens to questions that the application is asked. Neither what is asked nor what is answered is ever logged.

use super::backend::{Failure, Kind};
use crate::telemetry::Event;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts};
use std::sync::LazyLock;
use std::time::Duration;

/// Seconds. The usual timeout is 1 s.
const BUCKETS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 20.0];

static TOOK: LazyLock<HistogramVec> = LazyLock::new(|| {
    let opts =
        HistogramOpts::new("aether_hook_duration_seconds", "Time until a hook was answered or given up, waiting for its turn included, by kind.");
    let family = HistogramVec::new(opts.buckets(BUCKETS.to_vec()), &["hook"]).expect("names of metrics are written well");
    prometheus::register(Box::new(family.clone())).expect("each metric is registered once");
    for kind in Kind::ALL {
        family.with_label_values(&[kind.as_str()]);
    }
    family
});
static FAILED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let opts = Opts::new("aether_hook_failures_total", "Hooks without an answer that counts, by kind and reason.");
    let family = IntCounterVec::new(opts, &["hook", "reason"]).expect("names of metrics are written well");
    prometheus::register(Box::new(family.clone())).expect("each metric is registered once");
    for kind in Kind::ALL {
        Failure::LABELS.iter().for_each(|why| drop(family.with_label_values(&[kind.as_str(), why])));
    }
    family
});

/// A backend was asked.
pub struct HookAsked {
    pub kind: Kind,
    pub took: Duration,
}
impl Event for HookAsked {
    fn emit(self) {
        TOOK.with_label_values(&[self.kind.as_str()]).observe(self.took.as_secs_f64());
    }
}

/// A question has no answer that counts.
pub struct HookFailed<'a> {
    pub kind: Kind,
    pub url: &'a str,
    pub failure: Failure,
}
impl Event for HookFailed<'_> {
    fn emit(self) {
        let Self { kind, url, failure } = self;
        // One line for each would be as many as clients come: the pauses are told louder.
        log::debug!("{} hook {url} failed: {failure:?}", kind.as_str());
        FAILED.with_label_values(&[kind.as_str(), failure.label()]).inc();
    }
}

/// A backend that failed many times in a row is left alone for a while.
pub struct HookPaused<'a> {
    pub kind: Kind,
    pub url: &'a str,
}
impl Event for HookPaused<'_> {
    fn emit(self) {
        log::warn!("{} hook {} fails again and again; clients get error 100 until it answers", self.kind.as_str(), self.url);
    }
}

/// It answers again.
pub struct HookResumed<'a> {
    pub kind: Kind,
    pub url: &'a str,
}
impl Event for HookResumed<'_> {
    fn emit(self) {
        log::info!("{} hook {} answers again", self.kind.as_str(), self.url);
    }
}

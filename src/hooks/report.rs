//! What happens to questions that the application is asked. Neither what is asked nor what is answered is ever logged.

use super::backend::{Failure, Kind};
use crate::telemetry::{Event, counter, counter_vec, registered};
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts};
use std::sync::LazyLock;
use std::time::Duration;

/// Seconds. The usual timeout is 1 s.
const BUCKETS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 20.0];

static TOOK: LazyLock<HistogramVec> = LazyLock::new(|| {
    let opts =
        HistogramOpts::new("aether_hook_duration_seconds", "Time until a hook was answered or given up, waiting for its turn included, by kind.");
    let family = registered(HistogramVec::new(opts.buckets(BUCKETS.to_vec()), &["hook"]));
    for kind in Kind::ALL {
        family.with_label_values(&[kind.as_str()]);
    }
    family
});
static FAILED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let opts = Opts::new("aether_hook_failures_total", "Hooks without an answer that counts, by kind and reason.");
    let family = registered(IntCounterVec::new(opts, &["hook", "reason"]));
    for kind in Kind::ALL {
        Failure::LABELS.iter().for_each(|why| drop(family.with_label_values(&[kind.as_str(), why])));
    }
    family
});

static EVENTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let results: [&[&str]; 6] = [&["delivered"], &["dropped"], &["expired"], &["kept"], &["left"], &["refused"]];
    counter_vec("aether_hook_events_total", "Events that the application was to be told, by what became of them.", &["result"], &results)
});
static EVENT_REQUESTS_FAILED: LazyLock<IntCounter> = LazyLock::new(|| {
    counter("aether_hook_event_requests_failed_total", "Requests with events that the application did not accept; they are repeated.")
});

/// The application has events.
pub struct EventsDelivered<'a> {
    pub count: usize,
    pub url: &'a str,
    pub had_failed: bool,
}
impl Event for EventsDelivered<'_> {
    fn emit(self) {
        if self.had_failed {
            log::info!("{} takes events again", self.url);
        }
        EVENTS.with_label_values(&["delivered"]).inc_by(self.count as u64);
    }
}

/// The application did not say that it has the events. They are sent again.
pub struct EventsFailed<'a> {
    pub url: &'a str,
    pub why: &'a str,
    /// Of those in a row.
    pub is_first: bool,
}
impl Event for EventsFailed<'_> {
    fn emit(self) {
        if self.is_first {
            log::warn!("{} does not take events; they wait and are sent again ({})", self.url, self.why);
        }
        EVENT_REQUESTS_FAILED.inc();
    }
}

/// The other side will never take these events.
pub struct EventsRefused<'a> {
    pub count: usize,
    /// Whose events, as the configuration names it.
    pub path: &'static str,
    pub url: &'a str,
    pub why: &'a str,
}
impl Event for EventsRefused<'_> {
    fn emit(self) {
        log::warn!("{} refuses {} events of {} for good: {}", self.url, self.count, self.path, self.why);
        EVENTS.with_label_values(&["refused"]).inc_by(self.count as u64);
    }
}

/// More events wait than may.
pub struct EventsDropped {
    pub count: usize,
    /// Whose events, as the configuration names it.
    pub path: &'static str,
}
impl Event for EventsDropped {
    fn emit(self) {
        log::debug!("{} events were dropped, since more wait than may ({}.queue_max)", self.count, self.path);
        EVENTS.with_label_values(&["dropped"]).inc_by(self.count as u64);
    }
}

/// Events have waited for so long that they are of no use any more.
pub struct EventsExpired {
    pub count: usize,
    /// Whose events, as the configuration names it.
    pub path: &'static str,
    /// Since the other side last had any.
    pub is_first: bool,
}
impl Event for EventsExpired {
    fn emit(self) {
        if self.is_first {
            log::warn!("{} events of {} waited for longer than they may ({}.queue_max_age) and are dropped", self.count, self.path, self.path);
        }
        EVENTS.with_label_values(&["expired"]).inc_by(self.count as u64);
    }
}

/// The hub stops with events that the other side has not got, and they are lost.
pub struct EventsLeft {
    pub count: usize,
    /// Whose events, as the configuration names it.
    pub path: &'static str,
}
impl Event for EventsLeft {
    fn emit(self) {
        log::warn!("{} events of {} were not told before the hub stopped, and are lost", self.count, self.path);
        EVENTS.with_label_values(&["left"]).inc_by(self.count as u64);
    }
}

/// The hub stops with events that the other side has not got. They are in the store.
pub struct EventsKept {
    pub count: usize,
    /// Whose events, as the configuration names it.
    pub path: &'static str,
}
impl Event for EventsKept {
    fn emit(self) {
        log::info!("{} events of {} were not told before the hub stopped; they will be when it runs again", self.count, self.path);
        EVENTS.with_label_values(&["kept"]).inc_by(self.count as u64);
    }
}

/// What an earlier run has left waits to be told.
pub struct EventsTakenUp {
    pub count: usize,
    /// Whose events, as the configuration names it.
    pub path: &'static str,
}
impl Event for EventsTakenUp {
    fn emit(self) {
        log::info!("{} events of {} are left from before the hub started, and are told now", self.count, self.path);
    }
}

/// What waits could not be read from the store, or written to it. It is tried again, and told all the same.
pub struct EventsNotKept<'a> {
    /// Whose events, as the configuration names it.
    pub path: &'static str,
    pub why: &'a dyn std::fmt::Display,
}
impl Event for EventsNotKept<'_> {
    fn emit(self) {
        log::warn!("events of {} that wait would not outlive the hub: {}", self.path, self.why);
    }
}

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

//! What happened. One struct an event, which knows its log line and its counters; hot loops count locally and emit once a batch.
//!
//! All metrics live in the default registry of the `prometheus` crate. Labels come from closed sets, never from a channel, a user or a URL.

/// Something that happened: written to the log and counted, in one place.
pub trait Event {
    fn emit(self);
}

/// Says that something happened.
pub fn emit(event: impl Event) {
    event.emit();
}

pub mod accounts;
pub mod admin;
pub mod api;
pub mod audit;
pub mod certificates;
pub mod content;
pub mod history;
pub mod http;
pub mod latency;
pub mod logs;
pub mod mail;
pub mod mercure;
pub mod metrics;
pub mod sessions;
pub mod store;
pub mod tokens;
pub mod tap;
pub mod topics;
pub mod watchdog;

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

/// A metric in the default registry. Each name is made once, by the static that holds it.
pub fn registered<C: Collector + Clone + 'static>(metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("names of metrics are written well");
    prometheus::register(Box::new(metric.clone())).expect("each metric is registered once");
    metric
}

pub fn counter(name: &str, help: &str) -> IntCounter {
    registered(IntCounter::new(name, help))
}

pub fn gauge(name: &str, help: &str) -> IntGauge {
    registered(IntGauge::new(name, help))
}

/// A family of counters. All its label values are named here and shown from the start: the set is closed.
pub fn counter_vec(name: &str, help: &str, labels: &[&str], values: &[&[&str]]) -> IntCounterVec {
    let family = registered(IntCounterVec::new(Opts::new(name, help), labels));
    for value in values {
        family.with_label_values(value);
    }
    family
}

static PANICS: std::sync::LazyLock<IntCounter> = std::sync::LazyLock::new(|| counter("aether_panics_total", "Panics: each a defect, each survived."));

/// Shows everything that is counted from the start: a counter that is missing until something happens cannot be told from one of something that
/// never does. Called once, by the app.
pub fn show_from_the_start() {
    std::sync::LazyLock::force(&PANICS);
    accounts::show();
    admin::show();
    api::show();
    audit::show();
    content::show();
    history::show();
    http::show();
    latency::show();
    mail::show();
    metrics::show();
    sessions::show();
    store::show();
    tokens::show();
    topics::show();
    watchdog::show();
}

/// The process's panic hook: one line in the log, one on the counter. The task that panicked ends; the process does not.
pub fn panicked(info: &std::panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    log::error!("panic on thread {}: {info}", thread.name().unwrap_or("without a name"));
    PANICS.inc();
}

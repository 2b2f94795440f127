//! What happens to what is measured.

use super::{Event, counter, counter_vec};
use crate::store::StoreError;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec};
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

static KEPT_BYTES: LazyLock<IntCounter> =
    LazyLock::new(|| counter("aether_metrics_history_bytes_total", "Bytes of measurements written to the store."));
static NOT_KEPT: LazyLock<IntCounter> =
    LazyLock::new(|| counter("aether_metrics_history_failures_total", "Times that measurements could not be written; they are written later."));
static GIVEN_UP: LazyLock<IntCounter> =
    LazyLock::new(|| counter("aether_metrics_history_lost_blocks_total", "Blocks of measurements that never came into the store."));

static GROUNDED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("aether_canaries_grounded_total", "Times that a client of the hub's own could not come in through its listener."));

static CANARIES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_canaries_total",
        "Publications of a client of the hub's own, once for each such client that was to hear it, by what became of them.",
        &["result"],
        &[&["heard"], &["lost"]],
    )
});

static ALERTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let values: Vec<[&str; 2]> =
        ["firing", "repeated", "resolved"].iter().flat_map(|what| ["info", "warning", "critical"].map(|severity| [*what, severity])).collect();
    let values: Vec<&[&str]> = values.iter().map(<[_; 2]>::as_slice).collect();
    counter_vec("aether_alerts_total", "Alerts that were written to the log, by what became of them and severity.", &["what", "severity"], &values)
});

static REPORTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec("aether_reports_total", "Reports that were made because it was time, by what they are about.", &["period"], &[&["day"], &["week"]])
});

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&KEPT_BYTES);
    LazyLock::force(&NOT_KEPT);
    LazyLock::force(&GIVEN_UP);
    LazyLock::force(&ALERTS);
    LazyLock::force(&GROUNDED);
    LazyLock::force(&CANARIES);
    LazyLock::force(&REPORTS);
}

/// Whether the store took what it was last given.
static IS_KEPT: AtomicBool = AtomicBool::new(true);

/// Measurements are in the store.
pub struct HistoryKept {
    pub blocks: usize,
    pub bytes: usize,
}
impl Event for HistoryKept {
    fn emit(self) {
        if !IS_KEPT.swap(true, Ordering::Relaxed) {
            log::info!("measurements are written to the store again");
        }
        log::trace!("{} blocks of measurements with {} bytes are written", self.blocks, self.bytes);
        KEPT_BYTES.inc_by(self.bytes as u64);
    }
}

/// They are not; the newest stay in memory. Said once, until they are.
pub struct HistoryNotKept<'a> {
    pub error: &'a StoreError,
}
impl Event for HistoryNotKept<'_> {
    fn emit(self) {
        if IS_KEPT.swap(false, Ordering::Relaxed) {
            log::warn!("measurements are not written: {}; the newest stay in memory", self.error);
        }
        NOT_KEPT.inc();
    }
}

/// Memory is for the newest: older measurements that the store has not taken are gone.
pub struct HistoryGivenUp {
    pub blocks: usize,
}
impl Event for HistoryGivenUp {
    fn emit(self) {
        GIVEN_UP.inc_by(self.blocks as u64);
    }
}

/// A profile of the heap is there.
pub struct HeapProfileWritten<'a> {
    pub path: &'a Path,
}
impl Event for HeapProfileWritten<'_> {
    fn emit(self) {
        log::info!("a profile of the heap is in {}", self.path.display());
    }
}

/// It could not be written.
pub struct HeapProfileFailed<'a> {
    pub error: &'a dyn std::error::Error,
}
impl Event for HeapProfileFailed<'_> {
    fn emit(self) {
        let why = self.error.source().map(|source| format!(": {source}")).unwrap_or_default();
        log::warn!("no profile of the heap: {}{why}", self.error);
    }
}

/// Whether the last canary that tried came in.
static COMES_IN: AtomicBool = AtomicBool::new(true);

/// A client of the hub's own could not come in. Said once, until one does.
pub struct CanaryGrounded<'a> {
    pub error: &'a (dyn std::error::Error + 'static),
}
impl Event for CanaryGrounded<'_> {
    fn emit(self) {
        GROUNDED.inc();
        if COMES_IN.swap(false, Ordering::Relaxed) {
            let why: Vec<String> = std::iter::successors(Some(self.error), |error| error.source()).map(ToString::to_string).collect();
            log::warn!("a canary of the hub's own does not come in: {}", why.join(": "));
        }
    }
}

/// What became of the canaries of a step.
pub struct CanariesTold {
    pub heard: u64,
    pub lost: u64,
}
impl Event for CanariesTold {
    fn emit(self) {
        CANARIES.with_label_values(&["heard"]).inc_by(self.heard);
        CANARIES.with_label_values(&["lost"]).inc_by(self.lost);
    }
}

/// One came in.
pub struct CanaryBack;
impl Event for CanaryBack {
    fn emit(self) {
        if !COMES_IN.swap(true, Ordering::Relaxed) {
            log::info!("canaries of the hub's own come in again");
        }
    }
}

/// A report was made because it was time.
pub struct ReportMade<'a> {
    pub period: &'static str,
    /// The first day that it is about.
    pub from: &'a str,
    pub findings: usize,
}
impl Event for ReportMade<'_> {
    fn emit(self) {
        log::info!("the report of the {} {} is made; {} things stand out", self.period, self.from, self.findings);
        REPORTS.with_label_values(&[self.period]).inc();
    }
}

/// Something is wrong, is still wrong, or is right again.
pub struct AlertTold<'a> {
    pub what: &'static str,
    pub severity: &'static str,
    pub title: &'a str,
    pub text: &'a str,
}
impl Event for AlertTold<'_> {
    fn emit(self) {
        let Self { what, severity, title, text } = self;
        log::log!(level(what, severity), "alert {what} ({severity}): {title}. {text}");
        ALERTS.with_label_values(&[what, severity]).inc();
    }
}

/// More of the same at the same moment.
pub struct AlertsTold<'a> {
    pub what: &'static str,
    pub severity: &'static str,
    pub rule: &'a str,
    pub more: usize,
}
impl Event for AlertsTold<'_> {
    fn emit(self) {
        let Self { what, severity, rule, more } = self;
        log::log!(level(what, severity), "alert {what} ({severity}): {more} more of the rule {rule}");
        ALERTS.with_label_values(&[what, severity]).inc_by(more as u64);
    }
}

fn level(what: &str, severity: &str) -> log::Level {
    match (what, severity) {
        ("resolved", _) | (_, "info") => log::Level::Info,
        (_, "critical") => log::Level::Error,
        _ => log::Level::Warn,
    }
}

/// The figures of the process under the names that Prometheus has for them, out of the default registry: counting the descriptors of a hub with 10,000
/// clients takes milliseconds, which those who read the counters every second must not pay.
static PROCESS: LazyLock<ProcessCollector> = LazyLock::new(|| {
    // Fails where it is not registered, which is as well.
    let _ = prometheus::unregister(Box::new(ProcessCollector::for_self()));
    ProcessCollector::for_self()
});

/// Takes the figures of the process out of what [`prometheus::gather`] gives.
pub fn set_process_apart() {
    LazyLock::force(&PROCESS);
}

/// Everything that is counted, the process included.
pub fn gather_all() -> Vec<MetricFamily> {
    let process = PROCESS.collect();
    let mut families = prometheus::gather();
    families.extend(process);
    families
}

//! What becomes of the audit log.

use super::{Event, counter, counter_vec};
use prometheus::{IntCounter, IntCounterVec};
use std::fmt;
use std::sync::LazyLock;

static RECORDS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_audit_records_total",
        "Records written to the audit log, by outcome.",
        &["outcome"],
        &[&["begun"], &["done"], &["failed"], &["refused"], &["noted"]],
    )
});
static FAILED: LazyLock<IntCounter> = LazyLock::new(|| {
    counter("aether_audit_failures_total", "Attempts to write to the audit log that failed. What was to be recorded first is refused.")
});
static LOST: LazyLock<IntCounter> = LazyLock::new(|| {
    counter("aether_audit_lost_total", "Notes and outcomes that never came into the audit log; a record there says how many, once it can be written.")
});

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&RECORDS);
    LazyLock::force(&FAILED);
    LazyLock::force(&LOST);
}

/// A record stands in the log. The process's own log gets its hash too, which is out of reach for whoever can only rewrite the store.
pub struct AuditWritten<'a> {
    pub sequence: u64,
    pub actor: &'a str,
    pub action: &'a str,
    pub object: &'a str,
    pub outcome: &'a str,
    pub hash: &'a str,
}
impl Event for AuditWritten<'_> {
    fn emit(self) {
        log::info!(
            "audit {}: {} {} {} {} ({})",
            self.sequence,
            self.actor.escape_debug(),
            self.outcome,
            self.action.escape_debug(),
            self.object.escape_debug(),
            self.hash
        );
        RECORDS.with_label_values(&[self.outcome]).inc();
    }
}

/// A record could not be written.
pub struct AuditFailed<'a> {
    pub why: &'a dyn fmt::Display,
}
impl Event for AuditFailed<'_> {
    fn emit(self) {
        log::error!("cannot write to the audit log: {}", self.why);
        FAILED.inc();
    }
}

/// Records that nobody waited for and that found no room were given up.
pub struct AuditLost {
    pub count: u64,
}
impl Event for AuditLost {
    fn emit(self) {
        LOST.inc_by(self.count);
    }
}

/// Old records were forgotten.
pub struct AuditForgotten {
    pub up_to: u64,
    pub count: u64,
}
impl Event for AuditForgotten {
    fn emit(self) {
        log::info!("audit: {} records up to {} were old enough to be forgotten", self.count, self.up_to);
    }
}

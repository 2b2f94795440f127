//! History on its way to the store.

use super::{Event, counter_vec};
use crate::store::StoreError;
use prometheus::IntCounterVec;
use std::sync::LazyLock;

/// The two ways to the store, as the label names them.
const LANES: [[&str; 1]; 2] = [["durable"], ["accepted"]];

fn by_lane(name: &str, help: &str) -> IntCounterVec {
    counter_vec(name, help, &["durability"], &LANES.each_ref().map(<[&str; 1]>::as_slice))
}

static WRITTEN: LazyLock<IntCounterVec> = LazyLock::new(|| {
    by_lane("aether_history_written_publications_total", "Publications written to the store, by the durability of their namespace.")
});
static FAILED: LazyLock<IntCounterVec> =
    LazyLock::new(|| by_lane("aether_history_failed_writes_total", "Attempts to write history that failed; what is accepted is written again."));
static OVERFLOWED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    by_lane("aether_history_overflowed_publications_total", "Publications that found no room to wait for the store: refused, or kept in memory only.")
});

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&WRITTEN);
    LazyLock::force(&FAILED);
    LazyLock::force(&OVERFLOWED);
}

/// Publications are in the store.
pub struct HistoryWritten {
    pub lane: &'static str,
    pub publications: usize,
}
impl Event for HistoryWritten {
    fn emit(self) {
        WRITTEN.with_label_values(&[self.lane]).inc_by(self.publications as u64);
    }
}

/// The store did not take them.
pub struct HistoryNotWritten<'a> {
    pub lane: &'static str,
    pub publications: usize,
    pub error: &'a StoreError,
    pub is_logged: bool,
}
impl Event for HistoryNotWritten<'_> {
    fn emit(self) {
        FAILED.with_label_values(&[self.lane]).inc();
        if self.is_logged {
            log::warn!("history: {} publications of {} durability are not written: {}", self.publications, self.lane, self.error);
        }
    }
}

/// Too much waits already.
pub struct HistoryOverflowed {
    pub lane: &'static str,
    pub bytes_max: usize,
    pub is_logged: bool,
}
impl Event for HistoryOverflowed {
    fn emit(self) {
        OVERFLOWED.with_label_values(&[self.lane]).inc();
        if self.is_logged {
            log::error!("history: {} bytes of {} durability wait for the store, the most there may be", self.bytes_max, self.lane);
        }
    }
}

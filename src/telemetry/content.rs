//! What is refused because of its payload.

use super::{Event, counter_vec};
use prometheus::IntCounterVec;
use std::sync::LazyLock;

static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let reasons = ["format", "size", "depth", "unreadable", "schema", "html", "no_rule"].map(|reason| [reason]);
    let reasons: Vec<&[&str]> = reasons.iter().map(|reason| reason.as_slice()).collect();
    counter_vec("aether_publications_refused_total", "Payloads that were not what their namespace takes, by reason.", &["reason"], &reasons)
});

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&REFUSED);
}

/// A payload was not published because of what it is. Whoever sent it is told why, so the log is not.
pub struct PublicationRefused {
    pub reason: &'static str,
}

impl Event for PublicationRefused {
    fn emit(self) {
        REFUSED.with_label_values(&[self.reason]).inc();
    }
}

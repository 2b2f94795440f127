//! What becomes of letters, beyond what their couriers count.

use super::{Event, counter};
use crate::document::clean;
use prometheus::IntCounter;
use std::sync::LazyLock;

static RECIPIENTS_REFUSED: LazyLock<IntCounter> = LazyLock::new(|| {
    counter("aether_mail_recipients_refused_total", "Recipients for whom the mail server refused for good what was handed over for each alone.")
});

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&RECIPIENTS_REFUSED);
}

/// A letter for several was handed over for each alone, and will never be taken for this one.
pub struct RecipientRefused<'a> {
    pub server: &'a str,
    pub address: &'a str,
    pub why: &'a str,
}
impl Event for RecipientRefused<'_> {
    fn emit(self) {
        log::warn!("{} refuses letters for {} for good: {}", self.server, clean(self.address), self.why);
        RECIPIENTS_REFUSED.inc();
    }
}

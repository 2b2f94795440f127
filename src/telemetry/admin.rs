//! What operators do.

use super::{Event, counter_vec};
use prometheus::IntCounterVec;
use std::sync::LazyLock;

static COMMANDS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_admin_commands_total",
        "Commands of operators, by what became of them; unrecorded: refused because the audit log could not be written.",
        &["outcome"],
        &[&["done"], &["failed"], &["refused"], &["unrecorded"]],
    )
});

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&COMMANDS);
}

/// A command was carried out or refused. Who and what is in the audit log.
pub struct CommandJudged {
    pub outcome: &'static str,
}
impl Event for CommandJudged {
    fn emit(self) {
        COMMANDS.with_label_values(&[self.outcome]).inc();
    }
}

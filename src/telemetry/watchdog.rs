//! What the watchdogs had to do.

use super::{Event, counter_vec};
use prometheus::IntCounterVec;
use std::sync::LazyLock;

static RESTARTED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_actor_restarts_total",
        "Actors of which there is one and that had died, by actor.",
        &["actor"],
        &[&["admin"], &["blocks"], &["canaries"], &["fanout"], &["jwks"], &["metrics"], &["timer"], &["upstream"]],
    )
});

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&RESTARTED);
}

/// An actor (or a worker's timer) had died and was started anew.
pub struct SingletonRestarted {
    pub actor: &'static str,
}
impl Event for SingletonRestarted {
    fn emit(self) {
        log::error!("{} had died and is started anew", self.actor);
        RESTARTED.with_label_values(&[self.actor]).inc();
    }
}

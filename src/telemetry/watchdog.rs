//! What the watchdogs had to do.

use super::{Event, counter_vec};
use prometheus::IntCounterVec;
use std::sync::LazyLock;

/// Those of which there is one, or one a worker.
const ACTORS: [&str; 8] = ["admin", "blocks", "canaries", "fanout", "jwks", "metrics", "timer", "upstream"];

static RESTARTED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "aether_actor_restarts_total",
        "Actors of which there is one and that had died, by actor.",
        &["actor"],
        &ACTORS.map(|actor| [actor]).each_ref().map(|labels| &labels[..]),
    )
});

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&RESTARTED);
}

/// How often each had to be started anew since the process began.
pub fn restarted() -> Vec<(&'static str, u64)> {
    ACTORS.iter().map(|actor| (*actor, RESTARTED.with_label_values(&[*actor]).get())).collect()
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

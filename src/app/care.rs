//! Has the store forget what is over: logins, blocks, publications, streams.
//!
//! A while after their end, so that somebody who comes back can still be told why a login is none any more. What is over is so by the wall
//! clock, and forgetting cannot be undone; so a clock that has just been set, or a hub that has just started on one that may be wrong, is
//! not believed for a time. Deliberately absent: when something is over, which is whoever put it there.

use crate::clock::{Clock, Millis};
use crate::store::Store;
use std::sync::Arc;
use std::time::Duration;

/// Between two rounds.
const INTERVAL: Duration = Duration::from_secs(60);

/// Parts of one round. Each forgets some thousands of entries at most, so a round never holds up others that write.
const PARTS_MAX: usize = 50;

/// Between two parts.
const PAUSE: Duration = Duration::from_millis(50);

/// How long what is over is kept, milliseconds.
const KEPT_MS: i64 = 24 * 3_600 * 1_000;

/// How long the wall clock must have gone like the monotonic one before it is believed.
const TRUSTED_AFTER_MS: Millis = 30 * 60 * 1_000;

/// By how much the two may differ from one look to the next: more than a clock that is being corrected slowly, less than one that is set.
const DRIFT_MS_MAX: u64 = 5_000;

/// Runs until it is dropped.
pub async fn care(store: Arc<dyn Store>, clock: Clock) {
    let mut trust = Trust::default();
    let mut rounds = tokio::time::interval(INTERVAL);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let (now, wall_ms) = (clock.now(), clock.wall_ms());
        if trust.believes(now, wall_ms) {
            sweep(&*store, wall_ms.saturating_sub(KEPT_MS)).await;
        }
    }
}

async fn sweep(store: &dyn Store, now: i64) {
    for _ in 0..PARTS_MAX {
        // What is wrong with the store is told where every call of it is; the next round tries again.
        let Ok(1..) = store.sweep(now).await else { return };
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the wall clock goes like the monotonic one.
#[derive(Debug, Default)]
struct Trust {
    last: Option<(Millis, i64)>,
    since: Millis,
}

impl Trust {
    fn believes(&mut self, now: Millis, wall_ms: i64) -> bool {
        let is_steady = self.last.is_some_and(|(last_now, last_wall)| {
            let went = i64::try_from(now.saturating_sub(last_now)).unwrap_or(i64::MAX);
            wall_ms.saturating_sub(last_wall).abs_diff(went) <= DRIFT_MS_MAX
        });
        if !is_steady {
            self.since = now;
        }
        self.last = Some((now, wall_ms));
        now.saturating_sub(self.since) >= TRUSTED_AFTER_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_believed_after_it_has_gone_well_for_a_time() {
        const MINUTE: Millis = 60_000;
        let mut trust = Trust::default();
        let mut offset = 1_800_000_000_000;
        let mut believed = |minute: Millis, set_by: i64| {
            offset += set_by;
            trust.believes(minute * MINUTE, offset + (minute * MINUTE) as i64)
        };
        for minute in 0..30 {
            assert!(!believed(minute, 4_000), "at minute {minute}, while it is corrected slowly");
        }
        assert!(believed(30, 0));
        assert!(!believed(31, 365 * 24 * 3_600_000), "it was set by a year");
        for minute in 32..61 {
            assert!(!believed(minute, 0), "at minute {minute}");
        }
        assert!(believed(61, 0));
        assert!(!believed(62, -3_600_000), "it was set back");
    }
}

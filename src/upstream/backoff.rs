//! How long to wait before a feed is tried again. Pure: the dice come from the caller.

use rand::Rng;
use rand::rngs::SmallRng;
use std::time::Duration;

/// Doublings beyond this change nothing, because every maximum is reached long before.
const DOUBLINGS_MAX: u32 = 30;

/// Waits that are random below a bound that doubles with every failure ("full jitter"), so that many clients of one server that failed
/// together do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    initial: Duration,
    max: Duration,
    /// The share of the bound that is always waited.
    steady: Steady,
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Steady {
    Nothing,
    Half,
}

impl Backoff {
    /// Every wait lies between `min` and a bound that starts at `initial` and ends at `max`.
    pub fn full_jitter(min: Duration, initial: Duration, max: Duration) -> Self {
        Self { min, initial, max: max.max(min), steady: Steady::Nothing, failures: 0 }
    }

    /// The same with waits of at least half the bound: for a server that has said no, where coming back at once makes no sense.
    pub fn equal_jitter(initial: Duration, max: Duration) -> Self {
        Self { min: Duration::ZERO, initial, max: max.max(initial), steady: Steady::Half, failures: 0 }
    }

    /// The server's own reconnection time takes the place of the initial bound. `min` and `max` hold whatever it says.
    pub fn advise(&mut self, initial: Duration) {
        self.initial = initial;
    }

    /// The wait after one more failure.
    pub fn next(&mut self, dice: &mut SmallRng) -> Duration {
        let wait = self.roll(dice);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// The wait after an end that is no failure: the bound stays where it is.
    pub fn same(&self, dice: &mut SmallRng) -> Duration {
        self.roll(dice)
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }

    fn roll(&self, dice: &mut SmallRng) -> Duration {
        let bound = self.bound();
        let least = match self.steady {
            Steady::Nothing => self.min,
            Steady::Half => bound / 2,
        };
        dice.random_range(least..=bound)
    }

    fn bound(&self) -> Duration {
        let factor = 1u32 << self.failures.min(DOUBLINGS_MAX);
        self.initial.checked_mul(factor).unwrap_or(Duration::MAX).clamp(self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const MS: Duration = Duration::from_millis(1);

    /// The smallest and the largest of many waits after `failures` failures, in milliseconds.
    fn spread(backoff: &Backoff, failures: u32) -> (u128, u128) {
        let mut dice = SmallRng::seed_from_u64(7);
        let mut backoff = backoff.clone();
        for _ in 0..failures {
            backoff.next(&mut dice);
        }
        let waits: Vec<u128> = (0..2_000).map(|_| backoff.same(&mut dice).as_millis()).collect();
        (*waits.iter().min().unwrap(), *waits.iter().max().unwrap())
    }

    #[test]
    fn the_bound_doubles_and_ends_at_the_maximum() {
        let backoff = Backoff::full_jitter(100 * MS, 1_000 * MS, 30_000 * MS);
        for (failures, bound) in [(0, 1_000), (1, 2_000), (2, 4_000), (4, 16_000), (5, 30_000), (60, 30_000), (4_000, 30_000)] {
            let (least, most) = spread(&backoff, failures);
            assert!((100..100 + bound / 50).contains(&least), "{failures} failures: {least}");
            assert!((bound - bound / 50..=bound).contains(&most), "{failures} failures: {most}");
        }
    }

    #[test]
    fn a_reset_starts_over() {
        let mut dice = SmallRng::seed_from_u64(1);
        let mut backoff = Backoff::full_jitter(100 * MS, 1_000 * MS, 30_000 * MS);
        for _ in 0..10 {
            backoff.next(&mut dice);
        }
        backoff.reset();
        assert!(spread(&backoff, 0).1 <= 1_000);
    }

    #[test]
    fn advice_is_followed_within_the_limits() {
        for (advised, bound) in [(Duration::ZERO, 100), (5_000 * MS, 5_000), (Duration::from_secs(3_600), 30_000), (Duration::MAX, 30_000)] {
            let mut backoff = Backoff::full_jitter(100 * MS, 1_000 * MS, 30_000 * MS);
            backoff.advise(advised);
            let (least, most) = spread(&backoff, 0);
            assert!(least >= 100 && most <= bound && most >= bound - bound / 50, "{advised:?}: {least} to {most}");
        }
    }

    #[test]
    fn equal_jitter_waits_at_least_half() {
        let backoff = Backoff::equal_jitter(60_000 * MS, 900_000 * MS);
        for (failures, bound) in [(0, 60_000), (1, 120_000), (9, 900_000)] {
            let (least, most) = spread(&backoff, failures);
            assert!(least >= bound / 2 && most <= bound, "{failures} failures: {least} to {most}");
        }
    }

    #[test]
    fn odd_limits_do_no_harm() {
        assert_eq!(spread(&Backoff::full_jitter(500 * MS, 100 * MS, 200 * MS), 3), (500, 500), "a minimum above the maximum wins");
        assert_eq!(spread(&Backoff::full_jitter(Duration::ZERO, Duration::ZERO, Duration::ZERO), 3), (0, 0));
        spread(&Backoff::full_jitter(Duration::ZERO, Duration::MAX, Duration::MAX), 3);
    }
}

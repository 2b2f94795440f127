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

/// Share of a quick retry's wait by which it is made longer or shorter, in percent: what failed together must not come back together.
const QUICK_JITTER_PERCENT: u32 = 20;

/// The waits of one feed: first a few quick retries, each one step longer than the one before, then the slow pace with full jitter.
#[derive(Clone, Debug)]
pub struct Retries {
    quick_max: u32,
    step: Duration,
    cool_off: Duration,
    min: Duration,
    max: Duration,
    slow: Backoff,
    failures: u32,
}

/// Whether a wait is one of the quick ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tempo {
    Quick,
    Slow,
}

impl Retries {
    /// `quick_max` retries after about 1, 2, 3… times `step`, then random waits below a bound that goes from `cool_off` to `max`.
    pub fn new(quick_max: u32, step: Duration, cool_off: Duration, min: Duration, max: Duration) -> Self {
        let max = max.max(min);
        Self { quick_max, step, cool_off, min, max, slow: Backoff::full_jitter(min, cool_off.max(step), max), failures: 0 }
    }

    /// The server's own reconnection time takes the place of the step. The limits hold whatever it says.
    pub fn advise(&mut self, step: Duration) {
        self.step = step.clamp(self.min, self.max);
        self.slow.advise(self.cool_off.max(self.step));
    }

    /// The wait after one more failure. Without `may_be_quick` the quick retries count as used up.
    pub fn next(&mut self, may_be_quick: bool, dice: &mut SmallRng) -> (Tempo, Duration) {
        self.failures = self.failures.saturating_add(1);
        if !may_be_quick {
            self.failures = self.failures.max(self.quick_max.saturating_add(1));
        }
        if self.failures <= self.quick_max { (Tempo::Quick, self.quick(dice)) } else { (Tempo::Slow, self.slow.next(dice)) }
    }

    /// The wait after an end that is no failure: the pace stays what it is.
    pub fn same(&self, dice: &mut SmallRng) -> (Tempo, Duration) {
        match self.failures {
            // Full jitter: a server that restarts has all its readers come back.
            0 => (Tempo::Quick, dice.random_range(self.min..=self.step.clamp(self.min, self.max))),
            failures if failures <= self.quick_max => (Tempo::Quick, self.quick(dice)),
            _ => (Tempo::Slow, self.slow.same(dice)),
        }
    }

    pub fn reset(&mut self) {
        self.failures = 0;
        self.slow.reset();
    }

    /// Failures since the last reset.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn quick(&self, dice: &mut SmallRng) -> Duration {
        let wait = self.step.saturating_mul(self.failures);
        let share = wait / 100 * QUICK_JITTER_PERCENT;
        dice.random_range(wait.saturating_sub(share)..=wait.saturating_add(share)).clamp(self.min, self.max)
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

    #[test]
    fn three_quick_retries_and_then_the_slow_pace() {
        let mut bounds = [(u128::MAX, 0); 6];
        let mut tempi = Vec::new();
        for seed in 0..500 {
            let mut dice = SmallRng::seed_from_u64(seed);
            let mut retries = Retries::new(3, 1_000 * MS, 5_000 * MS, 100 * MS, 30_000 * MS);
            tempi.clear();
            for (least, most) in &mut bounds {
                let (tempo, wait) = retries.next(true, &mut dice);
                tempi.push(tempo);
                (*least, *most) = ((*least).min(wait.as_millis()), (*most).max(wait.as_millis()));
            }
        }
        use Tempo::{Quick, Slow};
        assert_eq!(tempi, [Quick, Quick, Quick, Slow, Slow, Slow]);
        let expected = [(800, 1_200), (1_600, 2_400), (2_400, 3_600), (100, 5_000), (100, 10_000), (100, 20_000)];
        for (nth, ((least, most), (low, high))) in bounds.into_iter().zip(expected).enumerate() {
            assert!(least >= low && most <= high, "wait {nth}: {least} to {most}");
            assert!(most - least > (high - low) * 9 / 10, "wait {nth} uses its range: {least} to {most}");
        }
    }

    #[test]
    fn the_quick_retries_can_be_forfeited_and_come_back_with_a_reset() {
        let mut dice = SmallRng::seed_from_u64(1);
        let mut retries = Retries::new(3, 1_000 * MS, 5_000 * MS, 100 * MS, 30_000 * MS);
        assert_eq!(retries.next(false, &mut dice).0, Tempo::Slow);
        assert_eq!(retries.next(true, &mut dice).0, Tempo::Slow, "once forfeited they are gone");
        assert_eq!(retries.same(&mut dice).0, Tempo::Slow);
        retries.reset();
        assert_eq!(retries.next(true, &mut dice).0, Tempo::Quick);
        let mut none = Retries::new(0, 1_000 * MS, 5_000 * MS, 100 * MS, 30_000 * MS);
        assert_eq!(none.next(true, &mut dice).0, Tempo::Slow);
    }

    #[test]
    fn what_a_stream_asks_for_is_held_within_the_limits() {
        let mut dice = SmallRng::seed_from_u64(1);
        for (advised, least, most) in [(0, 100, 120), (5_000, 4_000, 6_000), (3_600_000, 24_000, 30_000)] {
            let mut retries = Retries::new(3, 1_000 * MS, 5_000 * MS, 100 * MS, 30_000 * MS);
            retries.advise(advised * MS);
            let wait = retries.next(true, &mut dice).1.as_millis();
            assert!((least..=most).contains(&wait), "retry: {advised} gives {wait}");
        }
        let mut retries = Retries::new(3, 1_000 * MS, 5_000 * MS, 100 * MS, 30_000 * MS);
        retries.advise(Duration::MAX);
        assert!(retries.same(&mut dice).1 <= 30_000 * MS);
    }
}

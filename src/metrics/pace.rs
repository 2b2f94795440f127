//! How often to measure: as often as configured, less often while the machine is busy. Pure.

use std::time::Duration;

/// A step takes too much when it takes more than this share of the interval, or comes late by as much.
const BUSY_SHARE: u32 = 4;

/// Steps in a row that have to be busy, or calm, before anything changes: one slow disk is no load.
const BUSY_STEPS: u32 = 3;
const CALM_STEPS: u32 = 30;

/// The interval is at most so many times the configured one.
const FACTOR_MAX: u32 = 8;

pub struct Pace {
    interval: Duration,
    factor: u32,
    busy: u32,
    calm: u32,
}

impl Pace {
    pub fn new(interval: Duration) -> Self {
        Self { interval, factor: 1, busy: 0, calm: 0 }
    }

    /// From one step to the next.
    pub fn step(&self) -> Duration {
        self.interval * self.factor
    }

    /// How long a step took, and how late it began.
    pub fn took(&mut self, took: Duration, late: Duration) {
        if took.max(late) > self.step() / BUSY_SHARE {
            (self.busy, self.calm) = (self.busy + 1, 0);
        } else {
            (self.busy, self.calm) = (0, self.calm + 1);
        }
        if self.busy >= BUSY_STEPS && self.factor < FACTOR_MAX {
            (self.factor, self.busy) = (self.factor * 2, 0);
        } else if self.calm >= CALM_STEPS && self.factor > 1 {
            (self.factor, self.calm) = (self.factor / 2, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_is_measured_less_often_until_it_is_calm_again() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(second);
        let mut steps = |count: u32, took_ms: u64, late_ms: u64| {
            (0..count).for_each(|_| pace.took(Duration::from_millis(took_ms), Duration::from_millis(late_ms)));
            pace.step().as_secs()
        };
        assert_eq!(steps(100, 250, 250), 1, "a quarter is not too much");
        assert_eq!(steps(2, 300, 0), 1, "one slow step says nothing");
        assert_eq!(steps(1, 10, 0), 1);
        assert_eq!(steps(3, 300, 0), 2);
        assert_eq!(steps(3, 300, 0), 2, "what was too much for a second is not for two");
        assert_eq!(steps(3, 0, 600), 4, "late is busy too");
        assert_eq!(steps(100, 5_000, 0), 8, "there is a bound");
        assert_eq!(steps(29, 5, 5), 8);
        assert_eq!(steps(1, 5, 5), 4);
        assert_eq!(steps(60, 5, 5), 1);
        assert_eq!(steps(60, 5, 5), 1);
    }
}

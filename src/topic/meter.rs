//! How often something happens: a count over the last seconds, in twelve bytes and without a timer.
//!
//! Pure: the time is handed in.

use crate::clock::Millis;

/// Time over which occurrences are counted.
const WINDOW_MS: Millis = 4_000;

/// Counts in the present window and in the one before it. The rate takes from the window before the share that is not yet [`WINDOW_MS`] ago,
/// as if what happened in it had been spread evenly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    /// Number of the present window, modulo 2^32: half a thousand years.
    window: u32,
    present: u32,
    before: u32,
}

impl Meter {
    /// It happened once.
    pub fn count(&mut self, now: Millis) {
        self.turn(now);
        self.present = self.present.saturating_add(1);
    }

    pub fn per_second(mut self, now: Millis) -> f64 {
        self.turn(now);
        let share_before = 1.0 - (now % WINDOW_MS) as f64 / WINDOW_MS as f64;
        (f64::from(self.present) + f64::from(self.before) * share_before) / (WINDOW_MS as f64 / 1_000.0)
    }

    fn turn(&mut self, now: Millis) {
        let window = (now / WINDOW_MS) as u32;
        match window.wrapping_sub(self.window) {
            0 => return,
            1 => self.before = self.present,
            _ => self.before = 0,
        }
        self.present = 0;
        self.window = window;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_told_at_any_moment() {
        for now in [1_020_000, 1_019_990, 1_018_500, 1_020_100] {
            let mut meter = Meter::default();
            (1_000_000..=now).step_by(10).for_each(|at| meter.count(at));
            let rate = meter.per_second(now);
            assert!((90.0..110.0).contains(&rate), "{rate} at {now}");
        }
    }

    #[test]
    fn what_ended_fades_within_two_windows() {
        let mut meter = Meter::default();
        (0..400).for_each(|_| meter.count(4_000));
        assert_eq!(meter.per_second(4_000), 100.0);
        assert_eq!(meter.per_second(7_999), 100.0);
        assert_eq!(meter.per_second(10_000), 50.0);
        assert_eq!(meter.per_second(12_000), 0.0);
        assert_eq!(meter.per_second(1_000_000), 0.0);
    }

    #[test]
    fn a_count_after_a_long_pause_begins_anew() {
        let mut meter = Meter::default();
        (0..400).for_each(|_| meter.count(4_000));
        meter.count(80_000);
        assert_eq!(meter.per_second(80_000), 0.25);
    }
}

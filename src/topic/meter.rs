//! How often something happens: counts over the last seconds and the last minute, in a few words of memory and without a timer.
//!
//! Pure: the time is handed in.

use crate::clock::Millis;

/// Time over which occurrences are counted.
pub const WINDOW_MS: Millis = 4_000;

/// Whole windows that are remembered: a minute.
pub const WINDOWS: usize = 15;

/// Counts in the present window and in those before it. The rate takes from the window before the share that is not yet [`WINDOW_MS`] ago,
/// as if what happened in it had been spread evenly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    /// Number of the present window, modulo 2^32: half a thousand years.
    window: u32,
    present: u32,
    /// The windows before, the newest first.
    before: [u32; WINDOWS],
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
        rate(f64::from(self.present) + f64::from(self.before[0]) * share_before)
    }

    /// The rates of the last [`WINDOWS`] whole windows, the oldest first.
    pub fn curve(mut self, now: Millis) -> [f64; WINDOWS] {
        self.turn(now);
        std::array::from_fn(|index| rate(f64::from(self.before[WINDOWS - 1 - index])))
    }

    fn turn(&mut self, now: Millis) {
        let window = (now / WINDOW_MS) as u32;
        let passed = window.wrapping_sub(self.window) as usize;
        if passed == 0 {
            return;
        }
        if passed > WINDOWS {
            self.before = [0; WINDOWS];
        } else {
            self.before.copy_within(..WINDOWS - passed, passed);
            self.before[..passed].fill(0);
            self.before[passed - 1] = self.present;
        }
        self.present = 0;
        self.window = window;
    }
}

fn rate(count: f64) -> f64 {
    count / (WINDOW_MS as f64 / 1_000.0)
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

    #[test]
    fn the_last_minute_is_a_curve_of_whole_windows() {
        let mut meter = Meter::default();
        for (at, count) in [(0, 4), (4_000, 8), (12_000, 40), (59_999, 400)] {
            (0..count).for_each(|_| meter.count(at));
        }
        let mut expected = [0.0; WINDOWS];
        (expected[0], expected[1], expected[3], expected[14]) = (1.0, 2.0, 10.0, 100.0);
        assert_eq!(meter.curve(60_000), expected, "what happens now is not over");
        expected.rotate_left(1);
        expected[14] = 0.0;
        assert_eq!(meter.curve(64_000), expected);
        assert_eq!((meter.curve(120_000), meter.curve(10_000_000)), ([0.0; WINDOWS], [0.0; WINDOWS]));
    }
}

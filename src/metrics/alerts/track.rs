//! The evaluator: one rule on one subject, reading by reading. Pure, so that a preview on what was measured last month is judged by the very same
//! code as what is measured now.

use super::rule::{Condition, Rule};

/// Milliseconds on a clock that does not go back.
pub type At = i64;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum State {
    #[default]
    Quiet,
    /// The condition holds, not yet for long enough.
    Pending { since: At },
    Firing {
        since: At,
        fired_at: At,
        /// Since when it has been on the good side, if it is.
        clear_since: Option<At>,
    },
}

/// What a reading changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Nothing,
    Pending,
    /// It was pending and is nothing.
    Passed,
    Fired,
    Resolved,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Track {
    pub state: State,
    /// The worst reading since it began.
    pub peak: Option<f64>,
    /// Whether there was ever a reading: what was never there cannot be gone.
    has_read: bool,
}

impl Track {
    /// One that has fired before this process began.
    pub fn firing(since: At, fired_at: At, peak: Option<f64>) -> Self {
        Self { state: State::Firing { since, fired_at, clear_since: None }, peak, has_read: true }
    }

    pub fn read(&mut self, rule: &Rule, value: Option<f64>, now: At) -> Change {
        self.has_read |= value.is_some();
        if rule.condition == Condition::Gone && !self.has_read {
            return Change::Nothing;
        }
        let change = match self.state {
            State::Quiet => self.begin(rule, value, now),
            State::Pending { since } => match rule.holds(value) {
                Some(true) if now.saturating_sub(since) >= rule.for_ms as At => self.fire(since, now),
                Some(true) | None => Change::Nothing,
                Some(false) => {
                    *self = Self { has_read: true, ..Self::default() };
                    return Change::Passed;
                }
            },
            State::Firing { since, fired_at, clear_since } => match rule.is_clear(value) {
                Some(true) => {
                    let clear_since = clear_since.unwrap_or(now);
                    if now.saturating_sub(clear_since) >= rule.clear_for_ms as At {
                        self.state = State::Quiet;
                        return Change::Resolved;
                    }
                    self.state = State::Firing { since, fired_at, clear_since: Some(clear_since) };
                    Change::Nothing
                }
                Some(false) => {
                    self.state = State::Firing { since, fired_at, clear_since: None };
                    Change::Nothing
                }
                None => Change::Nothing,
            },
        };
        if self.state != State::Quiet
            && let Some(value) = value
        {
            self.peak = Some(self.peak.map_or(value, |peak| rule.worse(peak, value)));
        }
        change
    }

    fn begin(&mut self, rule: &Rule, value: Option<f64>, now: At) -> Change {
        self.peak = None;
        if rule.holds(value) != Some(true) {
            return Change::Nothing;
        }
        if rule.for_ms == 0 {
            return self.fire(now, now);
        }
        self.state = State::Pending { since: now };
        Change::Pending
    }

    fn fire(&mut self, since: At, now: At) -> Change {
        self.state = State::Firing { since, fired_at: now, clear_since: None };
        Change::Fired
    }
}

/// When a rule would have fired, and for how long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview {
    pub firings: Vec<Firing>,
    pub fired: usize,
    pub active_ms: i64,
    /// Steps without a reading.
    pub missing: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Firing {
    pub from: At,
    /// `None`: it would still fire.
    pub to: Option<At>,
    pub peak: Option<f64>,
}

/// Firings that a preview lists; it counts them all.
const LISTED_MAX: usize = 100;

/// What a rule would have done with these readings: times, and readings where there are any.
pub fn preview(rule: &Rule, readings: impl Iterator<Item = (At, Option<f64>)>) -> Preview {
    let (mut track, mut preview, mut firing, mut last) = (Track::default(), Preview::default(), None::<Firing>, 0);
    for (at, value) in readings {
        last = at;
        preview.missing += usize::from(value.is_none());
        match track.read(rule, value, at) {
            Change::Fired => {
                preview.fired += 1;
                firing = Some(Firing { from: at, to: None, peak: track.peak });
            }
            Change::Resolved => preview.ended(firing.take(), Some(at), at, track.peak),
            Change::Nothing | Change::Pending | Change::Passed => {}
        }
    }
    preview.ended(firing, None, last, track.peak);
    preview
}

impl Preview {
    fn ended(&mut self, firing: Option<Firing>, to: Option<At>, until: At, peak: Option<f64>) {
        let Some(firing) = firing else { return };
        self.active_ms += until - firing.from;
        if self.firings.len() < LISTED_MAX {
            self.firings.push(Firing { to, peak, ..firing });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::{Route, Severity};
    use super::*;

    fn rule(condition: Condition, value: f64, clear: Option<f64>, for_ms: u64, clear_for_ms: u64) -> Rule {
        Rule {
            name: "r".to_string(),
            metric: "latency.p99_ms".to_string(),
            condition,
            value,
            clear,
            for_ms,
            clear_for_ms,
            severity: Severity::Warning,
            repeat_ms: 0,
            routes: vec![Route::Page],
            is_enabled: true,
            title: "t".to_string(),
            advice: String::new(),
        }
    }

    /// One reading a second; `.` none. What changed at which second.
    fn changes(rule: &Rule, readings: &[Option<f64>]) -> Vec<(usize, Change)> {
        let mut track = Track::default();
        let changes = readings.iter().enumerate().map(|(second, value)| (second, track.read(rule, *value, second as At * 1_000)));
        changes.filter(|(_, change)| *change != Change::Nothing).collect()
    }

    #[test]
    fn rules_wait_fire_and_clear() {
        use Change::{Fired, Passed, Pending, Resolved};
        let some = |values: &[i32]| values.iter().map(|value| if *value < 0 { None } else { Some(f64::from(*value)) }).collect::<Vec<_>>();
        let above = |for_ms, clear_for_ms| rule(Condition::Above, 50.0, Some(40.0), for_ms, clear_for_ms);
        type Case = (&'static str, Rule, Vec<i32>, Vec<(usize, Change)>);
        let cases: Vec<Case> = vec![
            ("at once", above(0, 0), vec![50, 51, 60, 45, 41, 40], vec![(1, Fired), (5, Resolved)]),
            ("the bound itself is well", above(0, 0), vec![50, 50], vec![]),
            (
                "only what lasts",
                above(2_000, 0),
                vec![60, 60, 50, 60, 60, 60, 60, 0],
                vec![(0, Pending), (2, Passed), (3, Pending), (5, Fired), (7, Resolved)],
            ),
            ("a missing reading keeps it pending", above(2_000, 0), vec![60, -1, -1, -1, 60], vec![(0, Pending), (4, Fired)]),
            ("and firing", above(0, 0), vec![60, -1, -1, 60, 0], vec![(0, Fired), (4, Resolved)]),
            ("not well for long enough", above(0, 2_000), vec![60, 0, 0, 45, 0, 0, 0], vec![(0, Fired), (6, Resolved)]),
            ("between the two bounds nothing changes", above(0, 0), vec![60, 45, 45, 60, 45], vec![(0, Fired)]),
            ("below", rule(Condition::Below, 1.0, None, 1_000, 0), vec![1, 0, 0, 1], vec![(1, Pending), (2, Fired), (3, Resolved)]),
            ("what was never there is not gone", rule(Condition::Gone, 0.0, None, 0, 0), vec![-1, -1], vec![]),
            ("gone", rule(Condition::Gone, 0.0, None, 1_000, 0), vec![-1, 5, -1, -1, 5], vec![(2, Pending), (3, Fired), (4, Resolved)]),
        ];
        for (what, rule, readings, expected) in cases {
            assert_eq!(changes(&rule, &some(&readings)), expected, "{what}: {readings:?}");
        }
    }

    #[test]
    fn the_peak_is_the_worst_since_it_began() {
        let rule = rule(Condition::Below, 10.0, None, 2_000, 0);
        let mut track = Track::default();
        for (second, value) in [9.0, 3.0, 7.0, 8.0].into_iter().enumerate() {
            track.read(&rule, Some(value), second as At * 1_000);
        }
        assert_eq!(track.peak, Some(3.0));
        assert_eq!(track.read(&rule, Some(20.0), 9_000), Change::Resolved);
        assert_eq!(track.peak, Some(3.0), "the one who tells of the end wants to know");
        track.read(&rule, Some(9.5), 10_000);
        assert_eq!(track.peak, Some(9.5));
    }

    #[test]
    fn a_preview_counts_what_would_have_fired() {
        let rule = rule(Condition::Above, 5.0, None, 0, 0);
        let readings = [Some(1.0), Some(6.0), Some(9.0), Some(1.0), None, Some(7.0), Some(8.0)];
        let told = preview(&rule, readings.into_iter().enumerate().map(|(second, value)| (second as At * 1_000, value)));
        assert_eq!((told.fired, told.active_ms, told.missing), (2, 3_000, 1));
        assert_eq!(told.firings[0], Firing { from: 1_000, to: Some(3_000), peak: Some(9.0) });
        assert_eq!(told.firings[1], Firing { from: 5_000, to: None, peak: Some(8.0) });
        let wild = preview(&rule, (0..1_000).map(|second| (second * 1_000, Some(if second % 2 == 0 { 9.0 } else { 0.0 }))));
        assert_eq!((wild.fired, wild.firings.len()), (500, LISTED_MAX));
        assert_eq!(preview(&rule, std::iter::empty()), Preview::default());
    }
}

//! What the hub promises, and how much of what may fail has failed already. Pure.
//!
//! An objective counts good ones among all. The window is made of days, so that a month costs some hundred bytes; the last five minutes are kept
//! step by step. Kept in the store as JSON: a hub that starts anew has not forgotten what went wrong last week.

use crate::calendar::DAY_MS;
use crate::store::WallMs;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Days that an error budget is about.
pub const WINDOW_DAYS: usize = 30;

const WINDOW_MS: f64 = WINDOW_DAYS as f64 * DAY_MS as f64;

/// How long "now" is.
const NOW_MS: u64 = 300_000;

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    Connections,
    Delivery,
    Latency,
    Errors,
    Recovery,
}

impl Objective {
    pub const ALL: [Self; 5] = [Self::Connections, Self::Delivery, Self::Latency, Self::Errors, Self::Recovery];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Delivery => "delivery",
            Self::Latency => "latency",
            Self::Errors => "errors",
            Self::Recovery => "recovery",
        }
    }
}

/// Good ones among all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub good: f64,
    pub all: f64,
}

impl Tally {
    pub fn new(good: f64, all: f64) -> Self {
        Self { good: good.min(all), all }
    }

    fn add(&mut self, more: Self) {
        self.good += more.good;
        self.all += more.all;
    }

    pub fn share(self) -> Option<f64> {
        (self.all > 0.0).then(|| self.good / self.all)
    }
}

/// How an objective stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Standing {
    pub name: &'static str,
    pub goal: f64,
    /// The share of good ones in the last minutes; `None`: there were none at all.
    pub now: Option<f64>,
    /// The same over the whole window.
    pub window: Option<f64>,
    /// 1: nothing failed; 0: as much as may in the whole window, if it is as busy as the part of it that is known; below: more. So one failure
    /// in the first minutes of a hub is as little as it is in a month.
    pub budget_left: Option<f64>,
    pub window_days: usize,
}

/// What the store keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    days: VecDeque<Day>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Day {
    /// Since 1970.
    number: WallMs,
    /// How much of it was measured; what was kept before this was counted is taken for whole.
    #[serde(default = "whole_day")]
    ms: u64,
    tallies: [Tally; Objective::ALL.len()],
}

const fn whole_day() -> u64 {
    DAY_MS as u64
}

impl Day {
    fn add(&mut self, ms: u64, tallies: &[Tally; Objective::ALL.len()]) {
        self.ms = self.ms.saturating_add(ms);
        self.tallies.iter_mut().zip(tallies).for_each(|(known, more)| known.add(*more));
    }
}

/// One step, and how long it was.
struct Step {
    ms: u64,
    tallies: [Tally; Objective::ALL.len()],
}

pub struct Objectives {
    goals: [f64; Objective::ALL.len()],
    kept: Kept,
    recent: VecDeque<Step>,
    recent_ms: u64,
}

impl Objectives {
    /// `goals` in the order of [`Objective::ALL`].
    pub fn new(goals: [f64; Objective::ALL.len()]) -> Self {
        Self { goals, kept: Kept::default(), recent: VecDeque::new(), recent_ms: 0 }
    }

    /// Adds what an earlier run of the hub had counted.
    pub fn remember(&mut self, kept: Kept) {
        let mut days = kept.days;
        days.retain(|day| day.tallies.iter().all(|tally| tally.good.is_finite() && tally.all.is_finite() && tally.good <= tally.all));
        for day in std::mem::take(&mut self.kept.days) {
            match days.iter_mut().find(|known| known.number == day.number) {
                Some(known) => known.add(day.ms, &day.tallies),
                None => days.push_back(day),
            }
        }
        days.make_contiguous().sort_unstable_by_key(|day| day.number);
        self.kept.days = days;
        self.forget();
    }

    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// What a step brought.
    pub fn count(&mut self, wall_ms: WallMs, step_ms: u64, tallies: [Tally; Objective::ALL.len()]) {
        let number = wall_ms.div_euclid(DAY_MS);
        match self.kept.days.iter_mut().find(|day| day.number == number) {
            Some(day) => day.add(step_ms, &tallies),
            None => {
                // Where the clock was set back the days are still in order.
                let place = self.kept.days.partition_point(|day| day.number < number);
                self.kept.days.insert(place, Day { number, ms: step_ms, tallies });
                self.forget();
            }
        }
        self.recent.push_back(Step { ms: step_ms, tallies });
        self.recent_ms += step_ms;
        while self.recent_ms > NOW_MS
            && self.recent.len() > 1
            && let Some(old) = self.recent.pop_front()
        {
            self.recent_ms -= old.ms;
        }
    }

    /// What so many days brought, from the first on; those that are forgotten brought nothing.
    pub fn between(&self, first: WallMs, days: WallMs) -> [Tally; Objective::ALL.len()] {
        let mut sums = [Tally::default(); Objective::ALL.len()];
        for day in self.kept.days.iter().filter(|day| (first..first + days).contains(&day.number)) {
            sums.iter_mut().zip(day.tallies).for_each(|(sum, more)| sum.add(more));
        }
        sums
    }

    pub fn goals(&self) -> [f64; Objective::ALL.len()] {
        self.goals
    }

    fn forget(&mut self) {
        while self.kept.days.len() > WINDOW_DAYS {
            self.kept.days.pop_front();
        }
    }

    pub fn standings(&self) -> [Standing; Objective::ALL.len()] {
        let known_ms: f64 = self.kept.days.iter().map(|day| day.ms as f64).sum();
        // How much of the window is known; more than all of it is the clock's fault.
        let known = (known_ms / WINDOW_MS).min(1.0);
        Objective::ALL.map(|objective| {
            let index = objective as usize;
            let sum = |tallies: &mut dyn Iterator<Item = Tally>| {
                let mut sum = Tally::default();
                tallies.for_each(|tally| sum.add(tally));
                sum
            };
            let now = sum(&mut self.recent.iter().map(|step| step.tallies[index])).share();
            let window = sum(&mut self.kept.days.iter().map(|day| day.tallies[index])).share();
            let goal = self.goals[index];
            let allowed = 1.0 - goal;
            let budget_left = window.filter(|_| allowed > 0.0).map(|window| 1.0 - known * (1.0 - window) / allowed);
            Standing { name: objective.as_str(), goal, now, window, budget_left, window_days: WINDOW_DAYS }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(good: f64, all: f64) -> [Tally; Objective::ALL.len()] {
        let mut tallies = [Tally::default(); Objective::ALL.len()];
        tallies[Objective::Delivery as usize] = Tally::new(good, all);
        tallies
    }

    fn delivery(objectives: &Objectives) -> Standing {
        objectives.standings()[Objective::Delivery as usize]
    }

    #[test]
    fn a_budget_is_used_up_by_what_fails_and_nothing_at_all_is_no_success() {
        let mut objectives = Objectives::new([0.999; 5]);
        let none = delivery(&objectives);
        assert_eq!((none.now, none.window, none.budget_left), (None, None, None));
        objectives.count(0, 1_000, step(0.0, 0.0));
        assert_eq!(delivery(&objectives).now, None);
        for (good, all, left) in [(1_000.0, 1_000.0, 1.0), (999.0, 1_000.0, 0.5), (998.0, 1_000.0, 0.0), (995.0, 1_000.0, -1.0)] {
            objectives.count(0, WINDOW_MS as u64, step(good, all));
            let told = delivery(&objectives).budget_left.unwrap();
            assert!((told - left).abs() < 1e-9, "{good} of {all}: {told}, not {left}");
        }
        assert_eq!(Tally::new(5.0, 3.0).share(), Some(1.0), "there cannot be more good ones than there are");
    }

    #[test]
    fn a_young_hub_has_the_budget_of_the_whole_window_before_it() {
        let left_after = |minutes: u64, lost: f64| {
            let mut objectives = Objectives::new([0.999; 5]);
            let all = minutes as f64 * 600.0;
            objectives.count(0, minutes * 60_000, step(all - lost, all));
            delivery(&objectives).budget_left.unwrap()
        };
        assert!(left_after(10, 1.0) > 0.999, "one of 6,000 is nothing in a month of 26 million");
        // In 43 minutes of silence all of it is gone that a month may bring.
        assert!((left_after(43, 43.0 * 600.0) - (1.0 - 43.0 / 43.2)).abs() < 1e-9);
    }

    #[test]
    fn now_is_five_minutes_and_the_window_thirty_days() {
        let mut objectives = Objectives::new([0.99; 5]);
        objectives.count(0, 1_000, step(0.0, 10.0));
        for second in 1..=300 {
            objectives.count(second * 1_000, 1_000, step(10.0, 10.0));
        }
        assert_eq!(delivery(&objectives).now, Some(1.0));
        assert!(delivery(&objectives).window.unwrap() < 1.0);
        for day in 1..=WINDOW_DAYS as WallMs {
            objectives.count(day * DAY_MS, 1_000, step(10.0, 10.0));
        }
        assert_eq!((delivery(&objectives).window, objectives.kept.days.len()), (Some(1.0), WINDOW_DAYS));
    }

    #[test]
    fn what_an_earlier_run_counted_is_added_in_order_and_nonsense_is_left_out() {
        let mut before = Objectives::new([0.9; 5]);
        for day in [1, 2] {
            before.count(day * DAY_MS, 1_000, step(5.0, 10.0));
        }
        let mut after = Objectives::new([0.9; 5]);
        after.count(2 * DAY_MS, 1_000, step(10.0, 10.0));
        after.count(0, 1_000, step(10.0, 10.0));
        let mut kept: Kept = serde_json::from_str(&serde_json::to_string(before.kept()).unwrap()).unwrap();
        kept.days.push_back(Day { number: 3, ms: 1, tallies: [Tally { good: 2.0, all: 1.0 }; 5] });
        after.remember(kept);
        assert_eq!(after.kept.days.iter().map(|day| day.number).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(delivery(&after).window, Some(30.0 / 40.0));
        let shares = |first, days| after.between(first, days)[Objective::Delivery as usize].share();
        assert_eq!((shares(1, 1), shares(1, 7), shares(3, 7)), (Some(0.5), Some(20.0 / 30.0), None));
    }
}

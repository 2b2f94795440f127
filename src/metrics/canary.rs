//! Canaries: publications of the hub's own, several in a second, that clients of its own publish and hear on every worker ([`super::flock`]). What they
//! tell is what users get: how long it takes, and whether it arrives. Pure: the actor brings the news of them.

use hdrhistogram::Histogram;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// After this time a canary is lost.
const LOST_AFTER: Duration = Duration::from_secs(2);

/// Canaries on their way at most; beyond it the oldest is given up. Ten a second for [`LOST_AFTER`], with much room.
const FLYING_MAX: usize = 256;

/// The percentiles are those of so many steps: of a single one there are too few canaries to say what one in a hundred does.
const STEPS: usize = 60;

/// The longest time that is told apart, microseconds.
const LONGEST_US: u64 = 60_000_000;

struct Flying {
    /// `None`: it is to arrive, and how long that takes says nothing.
    since: Option<Instant>,
    given_up_at: Instant,
    /// Those that it has not come to.
    left: usize,
}

/// What the canaries of a step tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Told {
    /// Each once for everybody who is to hear it.
    pub sent: u64,
    pub lost: u64,
    pub arrived: u64,
    /// Of these, those whose time was taken; and of those, within the goal.
    pub timed: u64,
    pub in_time: u64,
    /// Milliseconds, over the last steps.
    pub percentiles: Option<Percentiles>,
    /// Milliseconds, in this step.
    pub max: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

pub struct Canaries {
    goal: Duration,
    flying: BTreeMap<u64, Flying>,
    step: Told,
    step_max: Option<Duration>,
    step_us: Vec<u64>,
    /// Of the last steps, oldest first.
    steps: VecDeque<Vec<u64>>,
    histogram: Histogram<u32>,
}

impl Canaries {
    /// `goal`: the time within which a message should be there.
    pub fn new(goal: Duration) -> Self {
        Self {
            goal,
            flying: BTreeMap::new(),
            step: Told::default(),
            step_max: None,
            step_us: Vec::new(),
            steps: VecDeque::with_capacity(STEPS),
            histogram: Histogram::new_with_bounds(1, LONGEST_US, 2).expect("the bounds are good ones"),
        }
    }

    /// It is on its way to so many. `is_timed`: how long it takes counts, and not only whether it arrives.
    pub fn flies(&mut self, number: u64, to: usize, is_timed: bool, now: Instant) {
        self.step.sent += to as u64;
        if to > 0 {
            self.flying.insert(number, Flying { since: is_timed.then_some(now), given_up_at: now + LOST_AFTER, left: to });
        }
        while self.flying.len() > FLYING_MAX
            && let Some((_, given_up)) = self.flying.pop_first()
        {
            self.step.lost += given_up.left as u64;
        }
    }

    /// It could not be published: nobody will get it.
    pub fn refused(&mut self, to: usize) {
        self.step.sent += to as u64;
        self.step.lost += to as u64;
    }

    /// It came to one of them. Too late, or twice: it counts as nothing.
    pub fn came(&mut self, number: u64, at: Instant) {
        let Some(flying) = self.flying.get_mut(&number) else { return };
        let since = flying.since;
        flying.left -= 1;
        if flying.left == 0 {
            self.flying.remove(&number);
        }
        self.step.arrived += 1;
        let Some(since) = since else { return };
        let took = at.saturating_duration_since(since);
        self.step.timed += 1;
        self.step.in_time += u64::from(took <= self.goal);
        self.step_max = Some(self.step_max.unwrap_or_default().max(took));
        let us = u64::try_from(took.as_micros()).unwrap_or(LONGEST_US).clamp(1, LONGEST_US);
        self.step_us.push(us);
    }

    /// A step is over.
    pub fn step(&mut self, now: Instant) -> Told {
        while let Some(oldest) = self.flying.first_entry()
            && now >= oldest.get().given_up_at
        {
            self.step.lost += oldest.remove().left as u64;
        }
        self.steps.push_back(std::mem::take(&mut self.step_us));
        if self.steps.len() > STEPS {
            self.steps.pop_front();
        }
        // Made anew from some hundred values: cheaper than to remember what goes out of it.
        self.histogram.reset();
        self.steps.iter().flatten().for_each(|us| self.histogram.saturating_record(*us));
        let ms = |quantile: f64| self.histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        let percentiles = (!self.histogram.is_empty()).then(|| Percentiles { p50: ms(0.5), p95: ms(0.95), p99: ms(0.99) });
        let max = self.step_max.take().map(|took| took.as_secs_f64() * 1_000.0);
        Told { percentiles, max, ..std::mem::take(&mut self.step) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOAL: Duration = Duration::from_millis(50);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_arrives_is_timed_and_what_does_not_is_lost_after_two_seconds() {
        let (mut canaries, start) = (Canaries::new(GOAL), Instant::now());
        let (first, second) = (1, 2);
        canaries.flies(first, 2, true, start);
        canaries.came(first, start + ms(10));
        canaries.came(first, start + ms(80));
        canaries.came(first, start + ms(90));
        canaries.came(77, start + ms(90));
        let told = canaries.step(start + ms(1_000));
        assert_eq!((told.sent, told.arrived, told.in_time, told.lost), (2, 2, 1, 0), "a third arrival, and that of a stranger, count as nothing");
        assert_eq!(told.max, Some(80.0));
        let percentiles = told.percentiles.unwrap();
        assert!((9.9..10.2).contains(&percentiles.p50) && (79.0..81.0).contains(&percentiles.p99), "{percentiles:?}");
        canaries.flies(second, 2, true, start + ms(1_000));
        canaries.came(second, start + ms(1_001));
        assert_eq!(canaries.step(start + ms(2_999)).lost, 0);
        let late = canaries.step(start + ms(3_000));
        assert_eq!((late.sent, late.lost, late.max), (0, 1, None));
        canaries.came(second, start + ms(3_001));
        assert_eq!(canaries.step(start + ms(4_000)).arrived, 0, "too late is lost");
    }

    #[test]
    fn of_one_that_is_not_timed_counts_only_whether_it_arrives() {
        let (mut canaries, start) = (Canaries::new(GOAL), Instant::now());
        canaries.flies(1, 2, false, start);
        canaries.came(1, start + ms(900));
        canaries.flies(2, 1, true, start + ms(900));
        canaries.came(2, start + ms(905));
        let told = canaries.step(start + ms(1_000));
        assert_eq!((told.sent, told.arrived, told.timed, told.in_time, told.max), (3, 2, 1, 1, Some(5.0)));
        assert!(told.percentiles.is_some_and(|percentiles| percentiles.p99 < 6.0), "{told:?}");
        assert_eq!(canaries.step(start + ms(2_000)).lost, 1, "lost is lost");
    }

    #[test]
    fn what_cannot_be_published_is_lost_by_all_and_nothing_grows() {
        let (mut canaries, start) = (Canaries::new(GOAL), Instant::now());
        canaries.refused(2);
        assert_eq!(canaries.step(start), Told { sent: 2, lost: 2, ..Told::default() });
        for number in 0..10 * FLYING_MAX as u64 {
            canaries.flies(number, 1, true, start);
        }
        assert_eq!(canaries.flying.len(), FLYING_MAX);
        assert_eq!(canaries.step(start).lost, 9 * FLYING_MAX as u64);
    }

    #[test]
    fn percentiles_forget_what_is_a_minute_old() {
        let (mut canaries, start) = (Canaries::new(GOAL), Instant::now());
        for step in 0..STEPS as u64 + 1 {
            let at = start + ms(step * 1_000);
            canaries.flies(step, 1, true, at);
            canaries.came(step, at + ms(if step == 0 { 500 } else { 5 }));
            let percentiles = canaries.step(at + ms(999)).percentiles.unwrap();
            assert_eq!(percentiles.p99 > 400.0, step < STEPS as u64, "step {step}: {percentiles:?}");
        }
    }
}

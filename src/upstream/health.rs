//! When a connection is to be replaced though it still works, and when it counts as degraded. Pure: facts and time in, orders out.
//!
//! Three looks at each feed, each with its own interval: the health check, the upkeep of the pool, and the samples of degradation. All
//! intervals and ages are spread by a fifth, by chance, so that feeds that began together do not stay together; how many may be replaced
//! at once is the gate's matter.

use super::figures::Figures;
use super::machine::Reason;
use crate::clock::Millis;
use rand::Rng;
use rand::rngs::SmallRng;
use std::borrow::Cow;
use std::time::Duration;

/// How much longer or shorter an interval may be, in percent.
const JITTER_PERCENT: u64 = 20;

/// Attempts between two rounds of upkeep from which on a share of failures says something.
const ATTEMPTS_MIN: u64 = 10;

/// A share of the usual rate below this many events a minute is not judged by one minute: nothing for a minute is no sign then. Such a
/// feed is judged by its silence.
const JUDGED_PER_MINUTE_MIN: f64 = 1.0;

/// A degraded connection that a rotation did not help is rotated again after this pause, doubling up to the longest.
const ROTATE_AGAIN_MIN: Duration = Duration::from_secs(10 * 60);
const ROTATE_AGAIN_MAX: Duration = Duration::from_secs(2 * 60 * 60);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    pub check_interval: Duration,
    /// An older connection is rotated at a check.
    pub age_max: Duration,
    /// More errors between two checks are a reason to rotate.
    pub errors_max: u64,
    /// A silence of so many intervals of the check is a reason to rotate, if it is unusual. 0: none is.
    pub silence_intervals: u32,
    pub upkeep_interval: Duration,
    /// An older connection is rotated at the upkeep.
    pub upkeep_age_max: Duration,
    /// Of a hundred attempts between two rounds of upkeep, more failures are a reason to rotate.
    pub failure_percent: u64,
    pub degraded: DegradedSettings,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            check_interval: Duration::from_secs(5 * 60),
            age_max: Duration::from_secs(24 * 60 * 60),
            errors_max: 10,
            silence_intervals: 2,
            upkeep_interval: Duration::from_secs(15 * 60),
            upkeep_age_max: Duration::from_secs(12 * 60 * 60),
            failure_percent: 10,
            degraded: DegradedSettings::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DegradedSettings {
    pub interval: Duration,
    /// Fewer events a minute are too few, but only if they are also below the share of what is usual for the feed.
    pub rate_min: u64,
    pub rate_percent: u64,
    /// More errors a minute are too many.
    pub errors_max: u64,
    /// Events that are later on the average are too late.
    pub latency_max: Duration,
    /// More failures in a row before the connection stood are too many.
    pub retries_max: u32,
    /// Bad samples in a row that make a connection degraded, and good ones that make it well again.
    pub bad_samples: u32,
    pub good_samples: u32,
}

impl Default for DegradedSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(15),
            rate_min: 10,
            rate_percent: 20,
            errors_max: 5,
            latency_max: Duration::from_secs(1),
            retries_max: 3,
            bad_samples: 2,
            good_samples: 4,
        }
    }
}

/// Why a connection is replaced though it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    Age,
    Errors,
    Silence,
    /// No event, though bytes come, for longer than this feed is ever silent.
    DataIdle,
    FailureRate,
    Degraded,
    /// An operator wished it.
    Asked,
    /// The pool as a whole is in trouble, and this feed is a part of it.
    Emergency,
}

impl Cause {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Errors => "errors",
            Self::Silence => "silence",
            Self::DataIdle => "data_idle",
            Self::FailureRate => "failure_rate",
            Self::Degraded => "degraded",
            Self::Asked => "asked",
            Self::Emergency => "emergency",
        }
    }

    pub fn reason(self) -> Reason {
        match self {
            Self::DataIdle => Reason::DataIdle,
            Self::Degraded => Reason::Degraded,
            Self::Age | Self::Errors | Self::Silence | Self::FailureRate | Self::Asked | Self::Emergency => Reason::Rotate,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Rotate(Cause),
    Degrade { flaps: bool, detail: Cow<'static, str> },
    Recover,
}

/// What is looked at.
pub struct Facts<'a> {
    /// Of the connection that is read now.
    pub opened_at: Millis,
    pub errors: u64,
    pub attempts: u64,
    pub failed_attempts: u64,
    /// Failures in a row before it stood.
    pub failures: u32,
    /// 0: the second clock of liveness does not run.
    pub data_idle_timeout: Duration,
    pub figures: &'a Figures,
}

/// One feed's rounds.
#[derive(Debug)]
pub struct Keeper {
    next_check: Millis,
    next_upkeep: Millis,
    next_sample: Millis,
    /// By how much, in percent, the ages of the present connection are stretched, and which connection that is.
    stretch: u64,
    stretched_for: Millis,
    errors_at_check: u64,
    attempts_at_upkeep: u64,
    failed_at_upkeep: u64,
    bad: u32,
    good: u32,
    is_degraded: bool,
    rotate_again_at: Millis,
    rotate_pause: Duration,
}

impl Keeper {
    pub fn new(settings: &HealthSettings, now: Millis, dice: &mut SmallRng) -> Self {
        Self {
            next_check: now + jittered(settings.check_interval, dice),
            next_upkeep: now + jittered(settings.upkeep_interval, dice),
            next_sample: now + jittered(settings.degraded.interval, dice),
            stretch: 100,
            stretched_for: Millis::MAX,
            errors_at_check: 0,
            attempts_at_upkeep: 0,
            failed_at_upkeep: 0,
            bad: 0,
            good: 0,
            is_degraded: false,
            rotate_again_at: 0,
            rotate_pause: ROTATE_AGAIN_MIN,
        }
    }

    /// Nothing is connected: what was counted in a row begins anew.
    pub fn disconnected(&mut self) {
        (self.bad, self.good, self.is_degraded) = (0, 0, false);
    }

    /// Looks at a connected feed. Whoever cannot carry out a rotation now asks again later: the reason stays.
    pub fn look(&mut self, settings: &HealthSettings, facts: &Facts<'_>, now: Millis, dice: &mut SmallRng) -> Vec<Order> {
        if self.stretched_for != facts.opened_at {
            (self.stretched_for, self.stretch) = (facts.opened_at, dice.random_range(100 - JITTER_PERCENT..=100 + JITTER_PERCENT));
        }
        let mut orders = Vec::new();
        if now >= self.next_sample {
            self.next_sample = now + jittered(settings.degraded.interval, dice);
            self.sample(&settings.degraded, facts, now, &mut orders);
        }
        let mut causes = Vec::new();
        if !facts.data_idle_timeout.is_zero() && facts.figures.is_unusually_silent(facts.data_idle_timeout, now) {
            causes.push(Cause::DataIdle);
        }
        if now >= self.next_check {
            self.next_check = now + jittered(settings.check_interval, dice);
            causes.extend(self.check(settings, facts, now));
        }
        if now >= self.next_upkeep {
            self.next_upkeep = now + jittered(settings.upkeep_interval, dice);
            causes.extend(self.upkeep(settings, facts, now));
        }
        let ordered = orders.iter().any(|order| matches!(order, Order::Rotate(_)));
        if let (Some(cause), false) = (causes.first(), ordered) {
            orders.push(Order::Rotate(*cause));
        }
        orders
    }

    fn check(&mut self, settings: &HealthSettings, facts: &Facts<'_>, now: Millis) -> Option<Cause> {
        let errors = facts.errors.saturating_sub(self.errors_at_check);
        self.errors_at_check = facts.errors;
        let silence = settings.check_interval * settings.silence_intervals;
        if self.is_older(settings.age_max, facts, now) {
            Some(Cause::Age)
        } else if errors > settings.errors_max {
            Some(Cause::Errors)
        } else if settings.silence_intervals > 0 && facts.figures.is_silent_beyond(silence, now) {
            Some(Cause::Silence)
        } else {
            None
        }
    }

    fn upkeep(&mut self, settings: &HealthSettings, facts: &Facts<'_>, now: Millis) -> Option<Cause> {
        let attempts = facts.attempts.saturating_sub(self.attempts_at_upkeep);
        let failed = facts.failed_attempts.saturating_sub(self.failed_at_upkeep);
        (self.attempts_at_upkeep, self.failed_at_upkeep) = (facts.attempts, facts.failed_attempts);
        if self.is_older(settings.upkeep_age_max, facts, now) {
            Some(Cause::Age)
        } else if attempts >= ATTEMPTS_MIN && failed * 100 > attempts * settings.failure_percent {
            Some(Cause::FailureRate)
        } else {
            None
        }
    }

    fn is_older(&self, age_max: Duration, facts: &Facts<'_>, now: Millis) -> bool {
        let most = age_max.as_millis() as u64 / 100 * self.stretch;
        !age_max.is_zero() && now.saturating_sub(facts.opened_at) > most
    }

    fn sample(&mut self, settings: &DegradedSettings, facts: &Facts<'_>, now: Millis, orders: &mut Vec<Order>) {
        match trouble(settings, facts, now) {
            Some(Trouble { flaps, detail }) => {
                (self.bad, self.good) = (self.bad.saturating_add(1), 0);
                if !self.is_degraded && self.bad >= settings.bad_samples {
                    self.is_degraded = true;
                    (self.rotate_pause, self.rotate_again_at) = (ROTATE_AGAIN_MIN, now);
                    orders.push(Order::Degrade { flaps, detail });
                }
                // A connection that does not last is not made to last by replacing it: that one cools off when it ends.
                if self.is_degraded && !flaps && now >= self.rotate_again_at {
                    self.rotate_again_at = now + self.rotate_pause.as_millis() as Millis;
                    self.rotate_pause = (self.rotate_pause * 2).min(ROTATE_AGAIN_MAX);
                    orders.push(Order::Rotate(Cause::Degraded));
                }
            }
            None => {
                (self.good, self.bad) = (self.good.saturating_add(1), 0);
                if self.is_degraded && self.good >= settings.good_samples {
                    self.is_degraded = false;
                    orders.push(Order::Recover);
                }
            }
        }
    }
}

struct Trouble {
    flaps: bool,
    detail: Cow<'static, str>,
}

fn trouble(settings: &DegradedSettings, facts: &Facts<'_>, now: Millis) -> Option<Trouble> {
    let minute = facts.figures.last_minute(now);
    let flaps = |detail: String| Some(Trouble { flaps: true, detail: detail.into() });
    let slow = |detail: String| Some(Trouble { flaps: false, detail: detail.into() });
    if minute.errors > settings.errors_max {
        return flaps(format!("{} errors in a minute", minute.errors));
    }
    if facts.failures > settings.retries_max {
        return flaps(format!("{} failures in a row", facts.failures));
    }
    if let Some(latency) = minute.latency().filter(|latency| *latency > settings.latency_max) {
        return slow(format!("events are {} ms late", latency.as_millis()));
    }
    let share = facts.figures.usual_per_minute().unwrap_or(0.0) * settings.rate_percent as f64 / 100.0;
    let is_judged = share >= JUDGED_PER_MINUTE_MIN && now.saturating_sub(facts.opened_at) >= 60_000;
    if is_judged && (minute.events as f64) < share.min(settings.rate_min as f64) {
        return slow(format!("{} events in a minute", minute.events));
    }
    None
}

fn jittered(interval: Duration, dice: &mut SmallRng) -> Millis {
    let hundredth = (interval.as_millis() as u64).max(1);
    hundredth * dice.random_range(100 - JITTER_PERCENT..=100 + JITTER_PERCENT) / 100
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::figures::Sums;
    use rand::SeedableRng;

    const MINUTE: Millis = 60_000;
    const HOUR: Millis = 60 * MINUTE;

    /// A feed that lives by itself: `per_minute` events come, and it is looked at every second. What it is ordered to do, and when.
    struct World {
        settings: HealthSettings,
        keeper: Keeper,
        figures: Figures,
        dice: SmallRng,
        now: Millis,
        opened_at: Millis,
        errors: u64,
        attempts: u64,
        failed_attempts: u64,
        failures: u32,
    }

    impl World {
        fn new(seed: u64) -> Self {
            let settings = HealthSettings::default();
            let mut dice = SmallRng::seed_from_u64(seed);
            let keeper = Keeper::new(&settings, 0, &mut dice);
            let mut figures = Figures::new(0);
            figures.opened(0);
            Self { settings, keeper, figures, dice, now: 0, opened_at: 0, errors: 0, attempts: 1, failed_attempts: 0, failures: 0 }
        }

        /// Lets time pass, carrying out rotations like the pool does.
        fn run(&mut self, time: Millis, per_minute: u64, late_ms: u64) -> Vec<(Millis, Order)> {
            let (end, mut all) = (self.now + time, Vec::new());
            while self.now < end {
                self.now += 5_000;
                if per_minute > 0 && (self.now / 5_000).is_multiple_of((12 / per_minute.min(12)).max(1)) {
                    let events = per_minute.div_ceil(12);
                    self.figures.count(&Sums { events, late_ms: late_ms * events, timed: events, ..Sums::default() }, self.now);
                }
                let facts = Facts {
                    opened_at: self.opened_at,
                    errors: self.errors,
                    attempts: self.attempts,
                    failed_attempts: self.failed_attempts,
                    failures: self.failures,
                    data_idle_timeout: Duration::from_secs(10 * 60),
                    figures: &self.figures,
                };
                for order in self.keeper.look(&self.settings, &facts, self.now, &mut self.dice) {
                    if let Order::Rotate(cause) = &order {
                        if matches!(cause, Cause::Silence | Cause::DataIdle) {
                            self.figures.learn_silence(self.now);
                        }
                        self.opened_at = self.now;
                        self.attempts += 1;
                    }
                    all.push((self.now, order));
                }
            }
            all
        }
    }

    fn orders(found: &[(Millis, Order)]) -> Vec<Order> {
        found.iter().map(|(_, order)| order.clone()).collect()
    }

    #[test]
    fn a_well_feed_is_rotated_by_age_alone_and_not_at_the_same_hour_as_its_neighbours() {
        let first: Vec<Millis> = (0..50)
            .map(|seed| {
                let found = World::new(seed).run(30 * HOUR, 60, 5);
                assert!(found.iter().all(|(_, order)| *order == Order::Rotate(Cause::Age)), "{found:?}");
                assert!((2..=3).contains(&found.len()), "twice a day or a little more: {found:?}");
                found[0].0
            })
            .collect();
        let (least, most) = (first.iter().min().unwrap(), first.iter().max().unwrap());
        assert!(*least >= 12 * HOUR * 8 / 10 && *most <= 12 * HOUR * 12 / 10 + 20 * MINUTE && most - least > 3 * HOUR, "{least} to {most}");
    }

    #[test]
    fn many_errors_between_two_checks_rotate() {
        let mut world = World::new(1);
        world.errors = 10;
        assert_eq!(world.run(10 * MINUTE, 60, 5), []);
        world.errors += 11;
        assert_eq!(orders(&world.run(10 * MINUTE, 60, 5)), [Order::Rotate(Cause::Errors)], "once, not at every check");
    }

    #[test]
    fn a_tenth_of_attempts_that_fail_rotate_at_the_upkeep() {
        let mut world = World::new(1);
        (world.attempts, world.failed_attempts) = (21, 2);
        assert_eq!(world.run(20 * MINUTE, 60, 5), []);
        (world.attempts, world.failed_attempts) = (42, 5);
        assert_eq!(orders(&world.run(20 * MINUTE, 60, 5)), [Order::Rotate(Cause::FailureRate)]);
    }

    #[test]
    fn silence_rotates_ever_more_rarely_and_a_quiet_feed_not_at_all() {
        let mut silent = World::new(1);
        silent.run(2 * HOUR, 60, 5);
        let found = silent.run(8 * HOUR, 0, 0);
        let by_silence = found.iter().filter(|(_, order)| matches!(order, Order::Rotate(Cause::DataIdle | Cause::Silence))).count();
        assert!((2..=6).contains(&by_silence), "{found:?}");
        let mut quiet = World::new(1);
        for _ in 0..30 {
            quiet.run(20 * MINUTE, 0, 0);
            quiet.run(5_000, 12, 0);
        }
        let found = quiet.run(9 * HOUR, 0, 0).into_iter().filter(|(at, _)| *at < 11 * HOUR).collect::<Vec<_>>();
        assert!(found.iter().all(|(_, order)| !matches!(order, Order::Degrade { .. })), "{found:?}");
    }

    #[test]
    fn a_rate_is_judged_by_what_is_usual_for_the_feed() {
        // (usual, now, is it degraded)
        for (usual, now, expected) in [(600, 120, false), (600, 12, false), (600, 0, true), (12, 12, false), (12, 0, true), (3, 0, false)] {
            let mut world = World::new(1);
            world.run(3 * HOUR, usual, 5);
            let found = world.run(5 * MINUTE, now, 5);
            let is_degraded = found.iter().any(|(_, order)| matches!(order, Order::Degrade { flaps: false, .. }));
            assert_eq!(is_degraded, expected, "{usual} a minute, then {now}: {found:?}");
        }
    }

    #[test]
    fn lateness_degrades_and_rotates_with_growing_pauses_and_recovers_with_hysteresis() {
        let mut world = World::new(1);
        world.run(HOUR, 60, 5);
        let found = world.run(3 * HOUR, 60, 3_000);
        assert!(matches!(&found[0].1, Order::Degrade { flaps: false, detail } if detail.contains("late")), "{found:?}");
        let rotations: Vec<Millis> = found.iter().filter(|(_, order)| *order == Order::Rotate(Cause::Degraded)).map(|(at, _)| *at).collect();
        assert!((3..=5).contains(&rotations.len()), "{rotations:?}");
        assert!(rotations.windows(3).all(|at| at[2] - at[1] > at[1] - at[0]), "{rotations:?}");
        assert_eq!(orders(&world.run(10 * MINUTE, 60, 5)), [Order::Recover]);
        // One bad sample between good ones is no degradation.
        for _ in 0..20 {
            assert_eq!(world.run(2 * MINUTE, 60, 5), []);
            world.failures = 4;
            assert_eq!(world.run(10_000, 60, 5), []);
            world.failures = 0;
        }
    }

    #[test]
    fn connections_that_do_not_last_cool_off_and_are_not_rotated() {
        let mut world = World::new(1);
        world.failures = 4;
        let found = world.run(HOUR, 60, 5);
        assert!(matches!(&found[..], [(_, Order::Degrade { flaps: true, .. })]), "{found:?}");
        world.keeper.disconnected();
        world.failures = 0;
        assert_eq!(world.run(HOUR, 60, 5), []);
    }
}

//! When the pool as a whole is in trouble, and what is done about it. Pure: facts and time in, incidents with their measures out.
//!
//! The pool carries the measures out, or, in a dry run, only says them. Each kind has its own hysteresis: it takes several bad looks to begin
//! and several good ones to be over, and what it does is repeated at most once in a pause. That a single feed is looked after is the
//! matter of `health`; that a pool is started anew which died is the watchdog's.

use crate::clock::Millis;
use std::sync::Arc;
use std::time::Duration;

/// Looks in a row that begin an emergency, and good ones that end it.
const BAD_LOOKS: u32 = 2;
const GOOD_LOOKS: u32 = 6;

/// What an emergency that goes on does is done again after this.
const REPEAT: Duration = Duration::from_secs(60);

/// The cap on connections goes down, and up again, by this share of the configured one, and never below the least.
const STEP_PERCENT: usize = 10;
const LIMIT_PERCENT_MIN: usize = 50;

/// Resources are free again when they are used by this much less than what began it, so that what was given back does not begin it anew.
const RESTORED_BELOW_PERCENT: u8 = 15;

/// A connection that has brought nothing for this long is let go first.
const IDLE: Duration = Duration::from_secs(60);

/// Degraded feeds below which a share of them says nothing.
const DEGRADED_MIN: usize = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmergencySettings {
    /// Without it nothing is looked at; what operators ask for by hand is done all the same.
    pub is_enabled: bool,
    /// Only say what would be done.
    pub is_dry_run: bool,
    pub look_interval: Duration,
    /// More errors in a minute over all feeds are an emergency. 0: never.
    pub errors_per_minute: u64,
    /// So is more use of memory or descriptors, in percent. 0: never.
    pub used_percent: u8,
    /// So are more degraded feeds of a hundred. 0: never.
    pub degraded_percent: usize,
    /// How long every line about an affected feed is written.
    pub detail_for: Duration,
    /// The cap on connections in ordinary times.
    pub connections_max: usize,
    /// Errors in a minute from which on a feed is one of the affected.
    pub affected_errors: u64,
}

impl Default for EmergencySettings {
    fn default() -> Self {
        Self {
            is_enabled: true,
            is_dry_run: false,
            look_interval: Duration::from_secs(10),
            errors_per_minute: 60,
            used_percent: 90,
            degraded_percent: 30,
            detail_for: Duration::from_secs(10 * 60),
            connections_max: 50,
            affected_errors: 5,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Too many errors over all feeds.
    ErrorRate,
    /// Memory or descriptors are nearly used up.
    Exhaustion,
    /// Too many feeds are degraded at once.
    Degradation,
    /// The pool itself was gone, and the watchdog has started it anew.
    PoolFailure,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::ErrorRate, Self::Exhaustion, Self::Degradation, Self::PoolFailure];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ErrorRate => "error_rate",
            Self::Exhaustion => "exhaustion",
            Self::Degradation => "degradation",
            Self::PoolFailure => "pool_failure",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Begun,
    GoesOn,
    Over,
    /// An operator asked for it.
    ByHand,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::GoesOn => "goes_on",
            Self::Over => "over",
            Self::ByHand => "by_hand",
        }
    }
}

/// One thing that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Replace these feeds' connections, as there is room.
    Rotate(Vec<Arc<str>>),
    /// Write every line about these feeds for a while.
    Detail(Vec<Arc<str>>),
    /// Let go of these feeds' connections; they wait for a place like any other.
    LetGo(Vec<Arc<str>>),
    /// At most so many connections from now on.
    Limit(usize),
    /// End feeds that nobody listens to without their grace, or with it again.
    EndUnwanted(bool),
    /// Take samples of the connections' health more often, or as usual again.
    SampleDensely(bool),
    /// Start the pool anew, with all its connections.
    Restart,
}

impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rotate(feeds) => write!(f, "rotate {}", feeds.join(", ")),
            Self::Detail(feeds) => write!(f, "log every line of {}", feeds.join(", ")),
            Self::LetGo(feeds) => write!(f, "let go of {}", feeds.join(", ")),
            Self::Limit(most) => write!(f, "at most {most} connections"),
            Self::EndUnwanted(true) => f.write_str("end feeds that nobody listens to at once"),
            Self::EndUnwanted(false) => f.write_str("end feeds that nobody listens to after their grace"),
            Self::SampleDensely(true) => f.write_str("judge the feeds more often"),
            Self::SampleDensely(false) => f.write_str("judge the feeds as often as usual"),
            Self::Restart => f.write_str("start the pool anew"),
        }
    }
}

/// One emergency at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    pub kind: Kind,
    pub phase: Phase,
    pub cause: String,
    pub measures: Vec<Measure>,
}

/// What is known of one feed.
#[derive(Clone, Debug)]
pub struct FeedFacts {
    pub name: Arc<str>,
    pub priority: i32,
    pub is_connected: bool,
    pub is_degraded: bool,
    pub errors_per_minute: u64,
    /// How long its connection has brought no event.
    pub silence: Option<Duration>,
}

#[derive(Clone, Debug, Default)]
pub struct PoolFacts {
    pub feeds: Vec<FeedFacts>,
    /// Of what is scarcest, memory or descriptors.
    pub used_percent: u8,
}

#[derive(Debug, Default)]
struct Alarm {
    bad: u32,
    good: u32,
    is_on: bool,
    acted_at: Millis,
}

enum Change {
    Nothing,
    Act(Phase),
    End,
}

impl Alarm {
    fn look(&mut self, is_bad: bool, repeat: Duration, now: Millis) -> Change {
        if is_bad {
            (self.bad, self.good) = (self.bad.saturating_add(1), 0);
        } else {
            (self.good, self.bad) = (self.good.saturating_add(1), 0);
        }
        if !self.is_on && self.bad >= BAD_LOOKS {
            (self.is_on, self.acted_at) = (true, now);
            return Change::Act(Phase::Begun);
        }
        if self.is_on && is_bad && now.saturating_sub(self.acted_at) >= repeat.as_millis() as Millis {
            self.acted_at = now;
            return Change::Act(Phase::GoesOn);
        }
        if self.is_on && self.good >= GOOD_LOOKS {
            self.is_on = false;
            return Change::End;
        }
        Change::Nothing
    }
}

/// Looks at the pool as a whole.
#[derive(Debug)]
pub struct Lookout {
    next_look: Millis,
    errors: Alarm,
    exhaustion: Alarm,
    degradation: Alarm,
    /// The cap as it is now.
    limit: usize,
    restored_at: Millis,
}

impl Lookout {
    pub fn new(settings: &EmergencySettings) -> Self {
        Self {
            next_look: 0,
            errors: Alarm::default(),
            exhaustion: Alarm::default(),
            degradation: Alarm::default(),
            limit: settings.connections_max,
            restored_at: 0,
        }
    }

    /// Whether it is time for the next look. What a look needs costs something.
    pub fn is_due(&mut self, settings: &EmergencySettings, now: Millis) -> bool {
        let is_due = settings.is_enabled && now >= self.next_look;
        if is_due {
            self.next_look = now + settings.look_interval.as_millis() as Millis;
        }
        is_due
    }

    pub fn look(&mut self, settings: &EmergencySettings, facts: &PoolFacts, now: Millis) -> Vec<Incident> {
        let mut incidents = Vec::new();
        let sum: u64 = facts.feeds.iter().map(|feed| feed.errors_per_minute).sum();
        let is_bad = settings.errors_per_minute > 0 && sum > settings.errors_per_minute;
        match self.errors.look(is_bad, REPEAT, now) {
            Change::Act(phase) => incidents.push(Incident { phase, ..error_rate(settings, facts) }),
            Change::End => incidents.push(over(Kind::ErrorRate, format!("{sum} errors in a minute"), Vec::new())),
            Change::Nothing => {}
        }
        let (degraded, connected) = (facts.degraded().count(), facts.connected().count());
        let is_bad = settings.degraded_percent > 0 && degraded >= DEGRADED_MIN && degraded * 100 > connected * settings.degraded_percent;
        match self.degradation.look(is_bad, REPEAT, now) {
            Change::Act(Phase::Begun) => incidents.push(Incident { phase: Phase::Begun, ..degradation(facts) }),
            // Each feed's own health has it rotated again, ever more slowly.
            Change::Act(_) | Change::Nothing => {}
            Change::End => {
                incidents.push(over(Kind::Degradation, format!("{degraded} of {connected} feeds degraded"), vec![Measure::SampleDensely(false)]));
            }
        }
        self.look_at_resources(settings, facts, now, &mut incidents);
        incidents
    }

    fn look_at_resources(&mut self, settings: &EmergencySettings, facts: &PoolFacts, now: Millis, incidents: &mut Vec<Incident>) {
        let (used, most) = (facts.used_percent, settings.used_percent);
        let is_watched = most > 0;
        let is_free = used < most.saturating_sub(RESTORED_BELOW_PERCENT);
        // Between the two nothing gets worse, and nothing is over.
        if is_watched && used <= most && !is_free {
            return;
        }
        let cause = || format!("{used} % of memory or descriptors are used");
        match self.exhaustion.look(is_watched && used > most, settings.look_interval * BAD_LOOKS, now) {
            Change::Act(phase) => {
                let incident = exhaustion(settings, facts, self.limit);
                self.limit = lower(settings, self.limit);
                incidents.push(Incident { phase, cause: cause(), ..incident });
            }
            Change::End => {
                self.restored_at = now;
                incidents.push(over(Kind::Exhaustion, cause(), vec![Measure::EndUnwanted(false)]));
            }
            Change::Nothing => {}
        }
        // Back up one step at a time, so that what began it is noticed in time if it comes back.
        let pause = settings.look_interval.as_millis() as Millis * u64::from(BAD_LOOKS);
        if !self.exhaustion.is_on && self.limit < settings.connections_max && is_free && now.saturating_sub(self.restored_at) >= pause {
            self.restored_at = now;
            self.limit = (self.limit + step(settings)).min(settings.connections_max);
            incidents.push(over(Kind::Exhaustion, cause(), vec![Measure::Limit(self.limit)]));
        }
    }

    /// What would be done about an emergency of this kind now; an operator asks.
    pub fn by_hand(&mut self, kind: Kind, is_dry_run: bool, settings: &EmergencySettings, facts: &PoolFacts, now: Millis) -> Incident {
        let incident = match kind {
            Kind::ErrorRate => error_rate(settings, facts),
            Kind::Degradation => degradation(facts),
            Kind::Exhaustion => {
                let incident = exhaustion(settings, facts, self.limit);
                if !is_dry_run {
                    self.limit = lower(settings, self.limit);
                    // It is taken back by steps, like any other, from now on.
                    self.restored_at = now;
                }
                incident
            }
            Kind::PoolFailure => Incident { kind, phase: Phase::ByHand, cause: String::new(), measures: vec![Measure::Restart] },
        };
        Incident { phase: Phase::ByHand, ..incident }
    }
}

impl PoolFacts {
    fn connected(&self) -> impl Iterator<Item = &FeedFacts> {
        self.feeds.iter().filter(|feed| feed.is_connected)
    }

    fn degraded(&self) -> impl Iterator<Item = &FeedFacts> {
        self.feeds.iter().filter(|feed| feed.is_degraded)
    }
}

fn names<'a>(feeds: impl Iterator<Item = &'a FeedFacts>) -> Vec<Arc<str>> {
    feeds.map(|feed| Arc::clone(&feed.name)).collect()
}

fn over(kind: Kind, cause: String, measures: Vec<Measure>) -> Incident {
    Incident { kind, phase: Phase::Over, cause, measures }
}

fn error_rate(settings: &EmergencySettings, facts: &PoolFacts) -> Incident {
    let sum: u64 = facts.feeds.iter().map(|feed| feed.errors_per_minute).sum();
    let is_affected = |feed: &&FeedFacts| feed.errors_per_minute > settings.affected_errors;
    // Where many feeds have a few errors each, all that have any are meant.
    let mut affected: Vec<&FeedFacts> = facts.feeds.iter().filter(is_affected).collect();
    if affected.is_empty() {
        affected = facts.feeds.iter().filter(|feed| feed.errors_per_minute > 0).collect();
    }
    let mut measures = Vec::new();
    if !affected.is_empty() {
        measures.push(Measure::Detail(names(affected.iter().copied())));
    }
    let connected = names(affected.into_iter().filter(|feed| feed.is_connected));
    if !connected.is_empty() {
        measures.push(Measure::Rotate(connected));
    }
    Incident { kind: Kind::ErrorRate, phase: Phase::Begun, cause: format!("{sum} errors in a minute"), measures }
}

fn degradation(facts: &PoolFacts) -> Incident {
    let degraded = names(facts.degraded());
    let cause = format!("{} of {} feeds degraded", degraded.len(), facts.connected().count());
    let mut measures = vec![Measure::SampleDensely(true)];
    if !degraded.is_empty() {
        measures.push(Measure::Rotate(degraded));
    }
    Incident { kind: Kind::Degradation, phase: Phase::Begun, cause, measures }
}

fn step(settings: &EmergencySettings) -> usize {
    (settings.connections_max * STEP_PERCENT / 100).max(1)
}

fn lower(settings: &EmergencySettings, limit: usize) -> usize {
    let least = (settings.connections_max * LIMIT_PERCENT_MIN / 100).max(1);
    limit.saturating_sub(step(settings)).max(least)
}

/// The least important go first, and of these the ones that have been silent for the longest.
fn exhaustion(settings: &EmergencySettings, facts: &PoolFacts, limit: usize) -> Incident {
    let limit = lower(settings, limit);
    let excess = facts.connected().count().saturating_sub(limit);
    let mut idle: Vec<&FeedFacts> = facts.connected().filter(|feed| feed.silence.is_some_and(|silence| silence >= IDLE)).collect();
    idle.sort_by_key(|feed| (feed.priority, std::cmp::Reverse(feed.silence)));
    idle.truncate(excess);
    let mut measures = vec![Measure::EndUnwanted(true), Measure::Limit(limit)];
    if !idle.is_empty() {
        measures.push(Measure::LetGo(names(idle.into_iter())));
    }
    Incident { kind: Kind::Exhaustion, phase: Phase::Begun, cause: format!("{} % of memory or descriptors are used", facts.used_percent), measures }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> EmergencySettings {
        EmergencySettings { connections_max: 20, ..EmergencySettings::default() }
    }

    fn feed(name: &str) -> FeedFacts {
        FeedFacts { name: name.into(), priority: 0, is_connected: true, is_degraded: false, errors_per_minute: 0, silence: Some(Duration::ZERO) }
    }

    fn feeds(count: usize) -> PoolFacts {
        PoolFacts { feeds: (0..count).map(|nth| feed(&format!("f{nth}"))).collect(), used_percent: 10 }
    }

    /// Looks so many times in a row: what came of it, in words.
    fn look(lookout: &mut Lookout, facts: &PoolFacts, now: &mut Millis, times: u32) -> Vec<String> {
        let mut said = Vec::new();
        for _ in 0..times {
            *now += 10_000;
            assert!(lookout.is_due(&settings(), *now) && !lookout.is_due(&settings(), *now + 9_999));
            for Incident { kind, phase, measures, .. } in lookout.look(&settings(), facts, *now) {
                let measures: Vec<String> = measures.iter().map(Measure::to_string).collect();
                said.push(format!("{} {}: {}", kind.as_str(), phase.as_str(), measures.join("; ")));
            }
        }
        said
    }

    #[test]
    fn in_ordinary_times_nothing_happens() {
        let (mut lookout, mut now) = (Lookout::new(&settings()), 0);
        assert!(look(&mut lookout, &feeds(20), &mut now, 1_000).is_empty());
        let disabled = EmergencySettings { is_enabled: false, ..settings() };
        assert!(!lookout.is_due(&disabled, now + 1_000_000));
    }

    #[test]
    fn many_errors_rotate_the_affected_once_a_minute_until_it_is_over() {
        let (mut lookout, mut now) = (Lookout::new(&settings()), 0);
        let mut facts = feeds(5);
        (facts.feeds[1].errors_per_minute, facts.feeds[2].errors_per_minute, facts.feeds[3].errors_per_minute) = (40, 30, 5);
        facts.feeds[2].is_connected = false;
        assert!(look(&mut lookout, &facts, &mut now, 1).is_empty(), "one look alone says nothing");
        assert_eq!(look(&mut lookout, &facts, &mut now, 1), ["error_rate begun: log every line of f1, f2; rotate f1"]);
        assert_eq!(look(&mut lookout, &facts, &mut now, 12), ["error_rate goes_on: log every line of f1, f2; rotate f1"; 2]);
        let well = feeds(5);
        assert!(look(&mut lookout, &well, &mut now, 5).is_empty(), "not over at once");
        assert_eq!(look(&mut lookout, &well, &mut now, 100), ["error_rate over: "]);
    }

    #[test]
    fn errors_that_are_spread_mean_all_who_have_some() {
        let mut facts = feeds(20);
        facts.feeds.iter_mut().take(16).for_each(|feed| feed.errors_per_minute = 4);
        let Incident { measures, .. } = error_rate(&settings(), &facts);
        assert!(
            matches!(&measures[..], [Measure::Detail(detail), Measure::Rotate(rotate)] if detail.len() == 16 && rotate.len() == 16),
            "{measures:?}"
        );
    }

    #[test]
    fn limits_go_down_by_steps_and_come_back_by_steps() {
        let (mut lookout, mut now) = (Lookout::new(&settings()), 0);
        let mut facts = PoolFacts { used_percent: 95, ..feeds(20) };
        for nth in [3, 4, 5] {
            facts.feeds[nth].silence = Some(IDLE * nth as u32);
        }
        facts.feeds[5].priority = 1;
        let said = look(&mut lookout, &facts, &mut now, 2);
        assert_eq!(said, ["exhaustion begun: end feeds that nobody listens to at once; at most 18 connections; let go of f4, f3"]);
        facts.feeds.truncate(3);
        let said = look(&mut lookout, &facts, &mut now, 20);
        assert_eq!(said.first().unwrap(), "exhaustion goes_on: end feeds that nobody listens to at once; at most 16 connections");
        assert_eq!(said.last().unwrap(), "exhaustion goes_on: end feeds that nobody listens to at once; at most 10 connections", "never below half");
        facts.used_percent = 80;
        assert!(look(&mut lookout, &facts, &mut now, 100).is_empty(), "neither worse nor over");
        facts.used_percent = 60;
        let said = look(&mut lookout, &facts, &mut now, 40);
        assert_eq!(said[0], "exhaustion over: end feeds that nobody listens to after their grace");
        assert_eq!(said[1..], [12, 14, 16, 18, 20].map(|most| format!("exhaustion over: at most {most} connections")));
    }

    #[test]
    fn many_degraded_feeds_are_rotated_and_watched_closely() {
        let (mut lookout, mut now) = (Lookout::new(&settings()), 0);
        let mut facts = feeds(9);
        facts.feeds.iter_mut().take(2).for_each(|feed| feed.is_degraded = true);
        assert!(look(&mut lookout, &facts, &mut now, 10).is_empty(), "two are no emergency");
        facts.feeds[2].is_degraded = true;
        assert_eq!(look(&mut lookout, &facts, &mut now, 100), ["degradation begun: judge the feeds more often; rotate f0, f1, f2"]);
        assert_eq!(look(&mut lookout, &feeds(9), &mut now, 100), ["degradation over: judge the feeds as often as usual"]);
    }

    #[test]
    fn by_hand_everything_can_be_tried_without_doing_it() {
        let (mut lookout, mut facts) = (Lookout::new(&settings()), feeds(20));
        facts.feeds[0].is_degraded = true;
        for kind in Kind::ALL {
            let incident = lookout.by_hand(kind, true, &settings(), &facts, 0);
            assert_eq!((incident.kind, incident.phase), (kind, Phase::ByHand));
        }
        assert_eq!(lookout.limit, 20);
        assert!(lookout.by_hand(Kind::Exhaustion, false, &settings(), &facts, 0).measures.contains(&Measure::Limit(18)));
        let mut now = 0;
        assert_eq!(look(&mut lookout, &facts, &mut now, 3), ["exhaustion over: at most 20 connections"], "and it is taken back");
    }
}

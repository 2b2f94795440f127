//! A circuit breaker for one host: when several feeds fail at it in a row, nobody asks it for a while, then one at a time. Pure.
//!
//! Without it fifty feeds of one host that is down are fifty times its backoff; with it the host is asked by one of them.

use super::backoff::Backoff;
use crate::clock::Millis;
use rand::rngs::SmallRng;
use std::time::Duration;

/// A host that failed only one feed may be well: that feed has a backoff of its own.
const FEEDS_MIN: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failed attempts in a row, of more than one feed, that open it. 0: never.
    pub failures: u32,
    /// The first pause; doubled each time the attempt after it fails.
    pub pause: Duration,
    pub pause_max: Duration,
}

#[derive(Clone, Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: State,
    failures: u32,
    /// Feeds that failed since the last success, as far as it matters how many they are.
    feeds: Vec<u64>,
    pauses: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    /// Nobody asks until then.
    Open {
        until: Millis,
    },
    /// One asks; the others wait for what it learns.
    Probing,
}

/// Whether an attempt may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    Granted,
    /// As the one that finds out whether the host is back.
    Probe,
    NotBefore(Millis),
    /// When the one that asks has its answer.
    Later,
}

impl Breaker {
    pub fn new(settings: BreakerSettings) -> Self {
        let pauses = Backoff::equal_jitter(settings.pause, settings.pause_max);
        Self { settings, state: State::Closed, failures: 0, feeds: Vec::new(), pauses }
    }

    pub fn leave(&self, now: Millis) -> Leave {
        match self.state {
            State::Closed => Leave::Granted,
            State::Open { until } if until > now => Leave::NotBefore(until),
            State::Open { .. } => Leave::Probe,
            State::Probing => Leave::Later,
        }
    }

    /// The attempt for which there was [`Leave::Probe`] begins.
    pub fn probe(&mut self) {
        self.state = State::Probing;
    }

    /// The probe was given up without an answer: another may ask.
    pub fn probe_lost(&mut self, now: Millis) {
        if self.state == State::Probing {
            self.state = State::Open { until: now };
        }
    }

    pub fn succeeded(&mut self) {
        (self.state, self.failures) = (State::Closed, 0);
        self.feeds.clear();
        self.pauses.reset();
    }

    /// Whether this opened it.
    pub fn failed(&mut self, feed: u64, now: Millis, dice: &mut SmallRng) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.feeds.len() < FEEDS_MIN && !self.feeds.contains(&feed) {
            self.feeds.push(feed);
        }
        let is_enough = self.settings.failures > 0 && self.failures >= self.settings.failures && self.feeds.len() >= FEEDS_MIN;
        match self.state {
            State::Closed if !is_enough => false,
            // One that was under way already when it opened tells nothing new.
            State::Open { .. } => false,
            State::Closed | State::Probing => {
                let pause = self.pauses.next(dice);
                let opened = self.state == State::Closed;
                self.state = State::Open { until: now.saturating_add(pause.as_millis() as Millis) };
                opened
            }
        }
    }

    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// Whether it knows nothing that would be lost with it.
    pub fn is_blank(&self) -> bool {
        self.state == State::Closed && self.failures == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const SETTINGS: BreakerSettings = BreakerSettings { failures: 4, pause: Duration::from_secs(10), pause_max: Duration::from_secs(60) };

    fn opened() -> (Breaker, SmallRng) {
        let (mut breaker, mut dice) = (Breaker::new(SETTINGS), SmallRng::seed_from_u64(1));
        let opened: Vec<bool> = (0..4).map(|feed| breaker.failed(feed, 0, &mut dice)).collect();
        assert_eq!(opened, [false, false, false, true]);
        (breaker, dice)
    }

    #[test]
    fn several_feeds_that_fail_in_a_row_open_it_and_one_probes() {
        let (mut breaker, _) = opened();
        let Leave::NotBefore(until) = breaker.leave(0) else { panic!("{breaker:?}") };
        assert!((5_000..=10_000).contains(&until), "{until}");
        assert_eq!(breaker.leave(until), Leave::Probe);
        breaker.probe();
        assert_eq!(breaker.leave(until), Leave::Later);
        breaker.succeeded();
        assert_eq!((breaker.leave(until), breaker.is_blank()), (Leave::Granted, true));
    }

    #[test]
    fn a_probe_that_fails_makes_the_pause_longer_up_to_the_maximum() {
        let (mut breaker, mut dice) = opened();
        let mut now = 0;
        let pauses: Vec<Millis> = (0..6)
            .map(|_| {
                let Leave::NotBefore(until) = breaker.leave(now) else { panic!("{breaker:?}") };
                let pause = until - now;
                now = until;
                breaker.probe();
                assert!(!breaker.failed(1, now, &mut dice), "it was open already");
                pause
            })
            .collect();
        assert!(pauses[1] >= 10_000 && pauses[1] <= 20_000 && pauses[5] >= 30_000 && pauses[5] <= 60_000, "{pauses:?}");
    }

    #[test]
    fn one_feed_alone_does_not_open_it_and_a_success_in_between_neither() {
        let (mut breaker, mut dice) = (Breaker::new(SETTINGS), SmallRng::seed_from_u64(1));
        assert!((0..100).all(|_| !breaker.failed(1, 0, &mut dice)));
        assert!(breaker.failed(2, 0, &mut dice));
        let mut breaker = Breaker::new(SETTINGS);
        for feed in 0..100 {
            assert!(!breaker.failed(feed, 0, &mut dice));
            if feed % 3 == 2 {
                breaker.succeeded();
            }
        }
        let mut never = Breaker::new(BreakerSettings { failures: 0, ..SETTINGS });
        assert!((0..100).all(|feed| !never.failed(feed, 0, &mut dice)));
    }

    #[test]
    fn a_probe_that_is_given_up_does_not_close_the_way_for_ever() {
        let (mut breaker, _) = opened();
        breaker.probe();
        breaker.probe_lost(7);
        assert_eq!(breaker.leave(7), Leave::Probe);
    }
}

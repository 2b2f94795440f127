//! The least time between two publications that one worker gives to the subscribers of a channel: of those that come in between, the newest, at its
//! end. Pure: times go in.
//!
//! Asked by [`super::shard`] where the namespace sets `throttle_interval`. The worker's timer brings what is held, so it comes up to a tick late.

use crate::clock::Millis;
use std::collections::HashSet;

#[derive(Debug)]
pub struct Pace<T> {
    interval_ms: Millis,
    /// Before it nothing is given.
    next_at: Millis,
    held: Option<Held<T>>,
}

/// What waits for its time.
#[derive(Debug)]
pub struct Held<T> {
    pub newest: T,
    /// Who came after it had been published: they are given what comes behind it. By whatever is the same for one of them and no other that is here.
    pub newcomers: HashSet<usize>,
}

/// What becomes of a publication that has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Paced<T> {
    Given(T),
    /// It waits, as the first one.
    Held,
    /// It waits, in the place of an older one.
    HeldInPlace,
}

impl<T> Pace<T> {
    pub fn new(interval_ms: Millis) -> Self {
        Self { interval_ms, next_at: 0, held: None }
    }

    pub fn take(&mut self, newest: T, now: Millis) -> Paced<T> {
        if self.held.is_none() && now >= self.next_at {
            self.next_at = now + self.interval_ms;
            return Paced::Given(newest);
        }
        match self.held.replace(Held { newest, newcomers: HashSet::new() }) {
            None => Paced::Held,
            Some(_) => Paced::HeldInPlace,
        }
    }

    /// Somebody begins to listen.
    pub fn joined(&mut self, who: usize) {
        if let Some(held) = &mut self.held {
            held.newcomers.insert(who);
        }
    }

    /// What is due.
    pub fn release(&mut self, now: Millis) -> Option<Held<T>> {
        if self.held.is_some() && now >= self.next_at {
            self.next_at = now + self.interval_ms;
        } else {
            return None;
        }
        self.held.take()
    }

    pub fn is_holding(&self) -> bool {
        self.held.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_comes_within_the_interval_the_newest_is_given_at_its_end() {
        let mut pace = Pace::new(100);
        for (now, publication, becomes) in [(1_000, 1, Paced::Given(1)), (1_001, 2, Paced::Held), (1_050, 3, Paced::HeldInPlace)] {
            assert_eq!(pace.take(publication, now), becomes, "{publication}");
        }
        assert!(pace.release(1_099).is_none());
        assert_eq!(pace.release(1_100).map(|held| held.newest), Some(3));
        assert!(pace.release(5_000).is_none() && !pace.is_holding());
        // The interval begins anew with what was given last, whatever gave it.
        assert_eq!(pace.take(4, 1_199), Paced::Held);
        // Late as the timer may be, nothing overtakes what is held.
        assert_eq!(pace.take(5, 1_300), Paced::HeldInPlace);
        assert_eq!(pace.release(1_301).map(|held| held.newest), Some(5));
        assert_eq!(pace.take(6, 1_401), Paced::Given(6));
    }

    #[test]
    fn who_comes_later_is_given_what_comes_later() {
        let mut pace = Pace::new(100);
        pace.joined(1);
        assert_eq!(pace.take("a", 0), Paced::Given("a"));
        assert_eq!(pace.take("b", 1), Paced::Held);
        pace.joined(2);
        assert_eq!(pace.take("c", 2), Paced::HeldInPlace, "which is new for 2 as well");
        pace.joined(3);
        let held = pace.release(100).unwrap();
        assert_eq!((held.newest, held.newcomers), ("c", HashSet::from([3])));
    }
}

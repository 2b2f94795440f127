//! Results of the latest publishes that carried an idempotency key.
//!
//! Knows no lock and no clock: `memory` holds the first and hands in the time.

use super::Published;
use crate::clock::Millis;
use std::collections::{HashMap, VecDeque};

/// Tables of fewer places are not worth shrinking.
const PLACES_MIN: usize = 1_024;

/// A channel with one of its keys, or a version epoch, in 16 bytes. Keys are the publisher's own text, as long as its request may be, so
/// that keeping them would need a cap in bytes; and two that collide within five minutes are not to be found, even on purpose.
pub(super) fn digest(channel: &str, text: &str) -> u128 {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    context.update(&(channel.len() as u64).to_be_bytes());
    context.update(channel.as_bytes());
    context.update(text.as_bytes());
    context.finish().as_ref().iter().take(16).fold(0, |number, &byte| number << 8 | u128::from(byte))
}

#[derive(Debug)]
pub(super) struct IdempotencyKeys {
    results: HashMap<u128, (Published, Millis)>,
    /// Oldest first. All keys live equally long, so this is also the order in which they end.
    order: VecDeque<(Millis, u128)>,
    ttl: Millis,
    keys_max: usize,
}

impl IdempotencyKeys {
    pub fn new(keys_max: usize, ttl: Millis) -> Self {
        Self { results: HashMap::new(), order: VecDeque::new(), ttl, keys_max }
    }

    pub fn len(&self) -> usize {
        self.results.len()
    }

    pub fn get(&self, key: u128, now: Millis) -> Option<&Published> {
        self.results.get(&key).filter(|(_, until)| now < *until).map(|(result, _)| result)
    }

    /// Remembers the result of a key that [`Self::get`] did not find. Says how many younger than the TTL had to go for it.
    pub fn remember(&mut self, key: u128, result: Published, now: Millis) -> usize {
        if self.keys_max == 0 {
            return 0;
        }
        self.forget_ended(now, usize::MAX);
        let mut dropped = 0;
        while self.results.len() >= self.keys_max {
            self.forget_oldest();
            dropped += 1;
        }
        // Callers read the clock before they get here and may overtake one another; the order must be kept all the same.
        let until = (now + self.ttl).max(self.order.back().map_or(0, |(until, _)| *until));
        self.results.insert(key, (result, until));
        self.order.push_back((until, key));
        dropped
    }

    /// Forgets keys whose time is over, at most `budget` of them, and says how many.
    pub fn forget_ended(&mut self, now: Millis, budget: usize) -> usize {
        let mut forgotten = 0;
        while forgotten < budget && self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest();
            forgotten += 1;
        }
        if self.order.capacity() > PLACES_MIN && self.order.len() * 4 < self.order.capacity() {
            self.order.shrink_to(self.order.len() * 2);
            self.results.shrink_to(self.results.len() * 2);
        }
        forgotten
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.results.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_channel_from_key() {
        let digests = [digest("a", "bc"), digest("ab", "c"), digest("", "abc"), digest("abc", ""), digest("a", "bd")];
        for (n, one) in digests.iter().enumerate() {
            assert!(!digests[..n].contains(one), "number {n} collides");
        }
        assert_eq!(digest("a", "bc"), digest("a", "bc"));
    }

    #[test]
    fn a_key_is_known_until_its_ttl_is_over() {
        let mut keys = IdempotencyKeys::new(10, 300);
        assert_eq!(keys.remember(1, None, 1_000), 0);
        assert_eq!(keys.get(1, 1_299), Some(&None));
        assert_eq!(keys.get(1, 1_300), None);
        assert_eq!(keys.remember(1, None, 1_300), 0);
        assert_eq!((keys.len(), keys.get(1, 1_599)), (1, Some(&None)));
    }

    #[test]
    fn clocks_read_out_of_turn_do_not_lose_a_key() {
        let mut keys = IdempotencyKeys::new(10, 300);
        keys.remember(1, None, 1_005);
        keys.remember(2, None, 1_000);
        assert_eq!(keys.get(2, 1_304), Some(&None), "it ends no sooner than the one before it");
        assert_eq!(keys.forget_ended(1_304, usize::MAX), 0);
        assert_eq!(keys.forget_ended(1_305, usize::MAX), 2);
        assert_eq!(keys.len(), 0);
    }

    #[test]
    fn the_memory_of_a_burst_returns() {
        let mut keys = IdempotencyKeys::new(100_000, 300);
        for key in 0..50_000 {
            keys.remember(key, None, 1_000);
        }
        assert_eq!(keys.forget_ended(1_300, 20_000), 20_000);
        assert_eq!(keys.forget_ended(1_300, usize::MAX), 30_000);
        assert!(keys.results.capacity() <= PLACES_MIN && keys.order.capacity() <= PLACES_MIN, "{} places kept", keys.results.capacity());
    }

    #[test]
    fn without_room_nothing_is_remembered() {
        let mut keys = IdempotencyKeys::new(0, 300);
        assert_eq!(keys.remember(1, None, 1_000), 0);
        assert_eq!((keys.len(), keys.get(1, 1_000)), (0, None));
    }
}

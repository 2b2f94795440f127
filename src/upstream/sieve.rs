//! Tells repeated events from new ones where repetition is to be expected: after a reconnect, and while two connections to one feed are
//! open at once. Pure.
//!
//! Everywhere else an event is what it is: a feed may use one id as often as it likes. An event is known again by its id, type and data
//! together, so that a feed whose ids are not unique loses nothing.

use crate::protocol::event_stream::StreamEvent;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

/// Events of one of two connections that the other one has not brought yet. Beyond it the oldest is forgotten: then it may come twice.
const AHEAD_MAX: usize = 8_192;

/// An event, by a hash with a key of this process: two different ones are taken for the same once in 10¹⁹.
pub type Key = u64;

/// Which of a feed's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that is read in ordinary times.
    First,
    /// The one that is to take its place.
    Second,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    New,
    /// Published before; with `other_side`, because the other connection brought it: both are at the same point of the feed.
    Repeated {
        other_side: bool,
    },
}

#[derive(Debug)]
pub struct Sieve {
    hasher: RandomState,
    window: Window,
    /// The first connection may repeat what was published before it was made.
    replays: bool,
    /// It has done so, and has brought nothing new since.
    is_replaying: bool,
    /// What a connection that is gone had published beyond the point where its successor joined.
    tail: VecDeque<Key>,
    overlap: Option<Overlap>,
}

/// Two connections at once.
#[derive(Debug, Default)]
struct Overlap {
    /// Published from the first, not seen on the second.
    first_ahead: VecDeque<Key>,
    second_ahead: VecDeque<Key>,
    second_replays: bool,
}

impl Sieve {
    /// `window_max`: events with ids that are remembered.
    pub fn new(window_max: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            window: Window::new(window_max),
            replays: false,
            is_replaying: false,
            tail: VecDeque::new(),
            overlap: None,
        }
    }

    pub fn key(&self, event: &StreamEvent) -> Key {
        self.hasher.hash_one((&event.last_event_id, &event.event_type, &event.data))
    }

    /// The first connection is a new one: what it repeats is dropped until it brings something new.
    pub fn reconnected(&mut self) {
        (self.replays, self.is_replaying, self.overlap) = (true, false, None);
        self.tail.clear();
    }

    /// A second connection is about to be asked for. From now on it is noted what the first one brings.
    pub fn begin_overlap(&mut self) {
        self.overlap = Some(Overlap { second_replays: true, ..Overlap::default() });
    }

    /// The second connection is gone.
    pub fn end_overlap(&mut self) {
        self.overlap = None;
    }

    /// The first connection is gone, the second one takes its place.
    pub fn hand_over(&mut self) {
        if let Some(overlap) = self.overlap.take() {
            (self.replays, self.is_replaying) = (overlap.second_replays, overlap.second_replays);
            self.tail = overlap.first_ahead;
        }
    }

    /// Whether the event is to be published. `has_id`: the event has an id of its own; another only inherits one, and no window can know it.
    pub fn judge(&mut self, side: Side, key: Key, has_id: bool) -> Verdict {
        let repeated = Verdict::Repeated { other_side: false };
        match (side, &mut self.overlap) {
            (Side::First, Some(overlap)) => {
                if catch_up(&mut overlap.second_ahead, key) {
                    return Verdict::Repeated { other_side: true };
                }
            }
            (Side::Second, Some(overlap)) => {
                if catch_up(&mut overlap.first_ahead, key) {
                    return Verdict::Repeated { other_side: true };
                }
                if overlap.second_replays && has_id {
                    overlap.second_replays = self.window.contains(key);
                    return if overlap.second_replays { repeated } else { Verdict::New };
                }
                return Verdict::New;
            }
            (Side::First | Side::Second, None) => {
                if !self.tail.is_empty() {
                    if catch_up(&mut self.tail, key) {
                        return repeated;
                    }
                    // It is beyond what the other had published.
                    self.tail.clear();
                }
            }
        }
        if self.replays && has_id {
            self.replays = self.window.contains(key);
            self.is_replaying = self.replays;
            if self.replays {
                return repeated;
            }
        }
        Verdict::New
    }

    /// The event has been handed on. Not before: what the broker did not take must be taken when it comes again.
    pub fn published(&mut self, side: Side, key: Key, has_id: bool) {
        if let Some(overlap) = &mut self.overlap {
            let ahead = match side {
                Side::First => &mut overlap.first_ahead,
                Side::Second => &mut overlap.second_ahead,
            };
            if ahead.len() >= AHEAD_MAX {
                ahead.pop_front();
            }
            ahead.push_back(key);
        }
        if has_id {
            self.window.push(key);
        }
    }

    /// Whether ids that come may lie before what has been published.
    pub fn is_behind(&self, side: Side) -> bool {
        side == Side::Second || self.is_replaying || self.overlap.is_some() || !self.tail.is_empty()
    }
}

/// Whether `key` is among what the other connection is ahead by; everything up to it is behind both then.
///
/// Sought from the back: of equal events, which only a feed without ids can have, the latest is meant. Where that is wrong an event comes
/// twice; sought from the front one would be lost.
fn catch_up(ahead: &mut VecDeque<Key>, key: Key) -> bool {
    let Some(at) = ahead.iter().rposition(|known| *known == key) else { return false };
    ahead.drain(..=at);
    true
}

/// The latest events, by their keys.
#[derive(Debug)]
struct Window {
    max: usize,
    order: VecDeque<Key>,
    counts: HashMap<Key, u32>,
}

impl Window {
    fn new(max: usize) -> Self {
        Self { max, order: VecDeque::new(), counts: HashMap::new() }
    }

    fn contains(&self, key: Key) -> bool {
        self.counts.contains_key(&key)
    }

    fn push(&mut self, key: Key) {
        if self.max == 0 {
            return;
        }
        if self.order.len() >= self.max
            && let Some(oldest) = self.order.pop_front()
            && let Some(count) = self.counts.get_mut(&oldest)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&oldest);
            }
        }
        self.order.push_back(key);
        *self.counts.entry(key).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives an event to the sieve as a reader does: judged, and if new, published.
    fn feed(sieve: &mut Sieve, side: Side, key: Key, has_id: bool, out: &mut Vec<Key>) -> Verdict {
        let verdict = sieve.judge(side, key, has_id);
        if verdict == Verdict::New {
            out.push(key);
            sieve.published(side, key, has_id);
        }
        verdict
    }

    fn feed_all(sieve: &mut Sieve, keys: impl IntoIterator<Item = Key>, out: &mut Vec<Key>) {
        for key in keys {
            feed(sieve, Side::First, key, true, out);
        }
    }

    #[test]
    fn a_replay_after_a_reconnect_is_dropped_until_something_new_comes() {
        let (mut sieve, mut out) = (Sieve::new(100), Vec::new());
        feed_all(&mut sieve, [1, 2, 3, 3], &mut out);
        assert_eq!(out, [1, 2, 3, 3], "without a reconnect nothing is a repetition");
        sieve.reconnected();
        feed_all(&mut sieve, [2, 3, 4, 2], &mut out);
        assert_eq!(out, [1, 2, 3, 3, 4, 2], "what comes after something new is new");
    }

    #[test]
    fn an_event_without_an_id_of_its_own_is_no_repetition() {
        let (mut sieve, mut out) = (Sieve::new(100), Vec::new());
        feed(&mut sieve, Side::First, 1, false, &mut out);
        sieve.reconnected();
        feed(&mut sieve, Side::First, 1, false, &mut out);
        assert_eq!(out, [1, 1]);
    }

    #[test]
    fn what_was_judged_and_not_published_is_taken_when_it_comes_again() {
        let (mut sieve, mut out) = (Sieve::new(100), Vec::new());
        feed_all(&mut sieve, [1], &mut out);
        assert_eq!(sieve.judge(Side::First, 2, true), Verdict::New);
        sieve.reconnected();
        feed_all(&mut sieve, [1, 2], &mut out);
        assert_eq!(out, [1, 2]);
    }

    #[test]
    fn the_memory_is_bounded() {
        let (mut sieve, mut out) = (Sieve::new(10), Vec::new());
        sieve.begin_overlap();
        feed_all(&mut sieve, (0..100_000).map(|n| n % 7), &mut out);
        assert!(sieve.window.order.len() == 10 && sieve.window.counts.len() <= 7);
        assert!(sieve.overlap.as_ref().unwrap().first_ahead.len() <= AHEAD_MAX);
        let mut none = Sieve::new(0);
        feed_all(&mut none, [1], &mut out);
        none.reconnected();
        assert_eq!(none.judge(Side::First, 1, true), Verdict::New);
    }

    #[test]
    fn equal_events_without_ids_are_rather_repeated_than_lost() {
        let (mut sieve, mut out) = (Sieve::new(10), Vec::new());
        sieve.begin_overlap();
        for _ in 0..3 {
            feed(&mut sieve, Side::First, 9, false, &mut out);
        }
        assert_eq!(feed(&mut sieve, Side::Second, 9, false, &mut out), Verdict::Repeated { other_side: true });
        sieve.hand_over();
        feed(&mut sieve, Side::First, 9, false, &mut out);
        assert_eq!(out.len(), 4, "the next one is new");
    }

    proptest! {
        /// A feed counts up. One connection reads it from the beginning; a second one joins at `joins`, or is given the events after what was
        /// published when it was asked for; they are read in any interleaving, and the first one ends once both have brought one event.
        #[test]
        fn two_connections_bring_every_event_once_and_in_order(
            total in 10u64..200,
            asked_at in 0u64..100,
            replays in any::<bool>(),
            has_id in any::<bool>(),
            steps in prop::collection::vec(any::<bool>(), 600),
        ) {
            let (mut sieve, mut out) = (Sieve::new(1_000), Vec::new());
            let asked_at = asked_at.min(total - 5);
            let (mut first, mut second) = (0, None);
            let mut is_over = false;
            let mut steps = steps.into_iter();
            while out.len() < total as usize {
                if second.is_none() && first == asked_at {
                    sieve.begin_overlap();
                    // A server that keeps its events begins after the id it is told; it may even ignore that and begin at the beginning.
                    second = Some(if replays && has_id { 0 } else { asked_at });
                }
                let take_first = steps.next().unwrap_or(true);
                if is_over {
                    let at = second.as_mut().unwrap();
                    feed(&mut sieve, Side::First, *at, has_id, &mut out);
                    *at += 1;
                } else if let Some(at) = second.as_mut().filter(|at| (!take_first || first == total) && **at < total) {
                    let verdict = feed(&mut sieve, Side::Second, *at, has_id, &mut out);
                    *at += 1;
                    if verdict == (Verdict::Repeated { other_side: true }) {
                        sieve.hand_over();
                        is_over = true;
                    }
                } else {
                    let verdict = feed(&mut sieve, Side::First, first, has_id, &mut out);
                    first += 1;
                    if verdict == (Verdict::Repeated { other_side: true }) {
                        sieve.hand_over();
                        is_over = true;
                    }
                }
            }
            prop_assert_eq!(out, (0..total).collect::<Vec<_>>());
        }
    }
}

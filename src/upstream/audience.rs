//! Who listens to the feeds that always run: one that nobody has listened to for long is let go, and comes back with the first who does.
//!
//! Only feeds whose events are kept nowhere are watched here: what they bring meanwhile nobody would ever see. `app` says which these are, the
//! topic room (through `app`) when a channel gets its first subscriber on this node and loses its last. The pool asks at every sweep who
//! rests. Feeds on demand are the matter of `demand`.

use crate::channel::ChannelName;
use crate::clock::Millis;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use regex::Regex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// How much sooner or later than configured one feed is let go, in percent: feeds that began together do not end together.
const JITTER_PERCENT: u64 = 20;

/// In a round at most this share of the connections is let go, in percent, and at least one.
const ROUND_PERCENT: usize = 10;
const ROUND_MS: Millis = 60_000;

#[derive(Debug)]
pub struct Audience {
    /// Zero: no feed is let go.
    release_after: Duration,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    seats: Vec<Seat>,
    dice: SmallRng,
    /// When the present round began, and how many were let go in it.
    round_at: Millis,
    released: usize,
}

/// One feed, and who listens to it.
#[derive(Debug)]
struct Seat {
    feed: Arc<str>,
    patterns: Vec<Regex>,
    /// Channels of it that have subscribers.
    channels: HashSet<ChannelName>,
    /// When it may be let go, if nobody comes.
    due: Millis,
    is_resting: bool,
}

impl Seat {
    fn has(&self, channel: &ChannelName) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_match(channel.as_str()))
    }

    /// Whether a channel of it may begin with `prefix`.
    fn may_begin_with(&self, prefix: &str) -> bool {
        self.patterns.iter().any(|pattern| {
            let known = beginning_of(pattern.as_str());
            known.starts_with(prefix) || prefix.starts_with(&known)
        })
    }
}

/// The plain text that all names begin with which an expression of [`Seat::patterns`] matches.
fn beginning_of(expression: &str) -> String {
    let mut letters = expression.strip_prefix('^').unwrap_or(expression).chars();
    let mut known = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped) if !escaped.is_alphanumeric() => known.push(escaped),
                _ => break,
            },
            '.' | '^' | '$' | '|' | '?' | '*' | '+' | '(' | ')' | '[' | ']' | '{' | '}' => break,
            plain => known.push(plain),
        }
    }
    known
}

impl Inside {
    fn due(&mut self, release_after: Duration, now: Millis) -> Millis {
        let whole = release_after.as_millis() as Millis;
        now.saturating_add(whole.saturating_mul(self.dice.random_range(100 - JITTER_PERCENT..=100 + JITTER_PERCENT)) / 100)
    }
}

impl Audience {
    pub fn new(release_after: Duration, seed: u64) -> Self {
        let inside = Inside { seats: Vec::new(), dice: SmallRng::seed_from_u64(seed), round_at: 0, released: 0 };
        Self { release_after, inside: Mutex::new(inside) }
    }

    /// Watches one more feed, which publishes into channels like `patterns`. Nobody listens to it yet.
    pub fn watch(&self, feed: Arc<str>, patterns: Vec<Regex>, now: Millis) {
        if self.release_after.is_zero() || patterns.is_empty() {
            return;
        }
        let mut inside = self.inside.lock();
        let due = inside.due(self.release_after, now);
        inside.seats.push(Seat { feed, patterns, channels: HashSet::new(), due, is_resting: false });
    }

    pub fn forget(&self, feed: &str) {
        self.inside.lock().seats.retain(|seat| *seat.feed != *feed);
    }

    /// `channel` has its first subscriber, or is told again. Whether a feed has to come back for it. Quick: called while the channel is locked.
    pub fn wanted(&self, channel: &ChannelName) -> bool {
        self.take_seats(channel, |seat| seat.has(channel))
    }

    /// The same for a pattern, which is for all channels that begin with `prefix`.
    pub fn wanted_by_pattern(&self, pattern: &ChannelName, prefix: &str) -> bool {
        self.take_seats(pattern, |seat| seat.may_begin_with(prefix))
    }

    fn take_seats(&self, channel: &ChannelName, is_for: impl Fn(&Seat) -> bool) -> bool {
        let mut comes_back = false;
        for seat in self.inside.lock().seats.iter_mut().filter(|seat| is_for(seat)) {
            seat.channels.insert(channel.clone());
            comes_back |= std::mem::take(&mut seat.is_resting);
        }
        comes_back
    }

    /// `channel` has lost its last subscriber.
    pub fn unwanted(&self, channel: &ChannelName, now: Millis) {
        let mut inside = self.inside.lock();
        for at in 0..inside.seats.len() {
            if inside.seats[at].channels.remove(channel) && inside.seats[at].channels.is_empty() {
                inside.seats[at].due = inside.due(self.release_after, now);
            }
        }
    }

    /// Decides who is let go now. `held`: how many connections there are.
    pub fn release(&self, held: usize, now: Millis) {
        let inside = &mut *self.inside.lock();
        if now.saturating_sub(inside.round_at) >= ROUND_MS {
            (inside.round_at, inside.released) = (now, 0);
        }
        let most = (held * ROUND_PERCENT / 100).max(1);
        for seat in inside.seats.iter_mut().filter(|seat| !seat.is_resting && seat.channels.is_empty() && seat.due <= now) {
            if inside.released >= most {
                break;
            }
            inside.released += 1;
            seat.is_resting = true;
        }
    }

    pub fn is_resting(&self, feed: &str) -> bool {
        self.inside.lock().seats.iter().any(|seat| seat.is_resting && *seat.feed == *feed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = 60_000;

    fn audience(feeds: usize) -> Audience {
        let audience = Audience::new(Duration::from_secs(30 * 60), 1);
        for nth in 0..feeds {
            audience.watch(format!("f{nth}").into(), vec![Regex::new(&format!("^ticks:{nth}$")).unwrap()], 0);
        }
        audience
    }

    fn resting(audience: &Audience, feeds: usize) -> Vec<usize> {
        (0..feeds).filter(|nth| audience.is_resting(&format!("f{nth}"))).collect()
    }

    #[test]
    fn a_feed_without_listeners_is_let_go_after_its_time_and_comes_back_with_the_first() {
        let (audience, channel) = (audience(1), ChannelName::new("ticks:0"));
        audience.release(1, 24 * MINUTE - 1);
        assert!(resting(&audience, 1).is_empty(), "a fifth sooner at the most");
        assert!(!audience.wanted(&channel), "it is there already");
        assert!(!audience.wanted(&ChannelName::new("ticks:01")), "of nobody");
        audience.release(1, 1_000 * MINUTE);
        assert!(resting(&audience, 1).is_empty(), "somebody listens");
        audience.unwanted(&channel, 1_000 * MINUTE);
        audience.unwanted(&channel, 5_000 * MINUTE);
        audience.release(1, 1_024 * MINUTE - 1);
        assert!(resting(&audience, 1).is_empty(), "the time begins when the last one leaves");
        audience.release(1, 1_036 * MINUTE);
        assert_eq!(resting(&audience, 1), [0]);
        assert!(audience.wanted(&channel));
        assert!(!audience.wanted(&channel), "told again");
        assert!(resting(&audience, 1).is_empty());
        audience.forget("f0");
        assert!(!audience.wanted(&channel));
    }

    #[test]
    fn a_pattern_listens_to_every_feed_that_may_have_a_channel_of_it() {
        for (expression, beginning) in
            [(r"^ticks:host$", "ticks:host"), (r"^ticks:a\.b\-[^:]+$", "ticks:a.b-"), (r"^(?P<a>[^:]+):x$", ""), (r"^\d", ""), ("", "")]
        {
            assert_eq!(beginning_of(expression), beginning, "{expression}");
        }
        let (audience, pattern) = (audience(12), ChannelName::new("ticks:1*"));
        audience.release(1_000, 1_000 * MINUTE);
        assert_eq!(resting(&audience, 12).len(), 12);
        assert!(audience.wanted_by_pattern(&pattern, "ticks:1"));
        assert_eq!(resting(&audience, 12), [0, 2, 3, 4, 5, 6, 7, 8, 9], "1, 10 and 11 are back");
        audience.unwanted(&pattern, 1_000 * MINUTE);
        audience.release(1_000, 2_000 * MINUTE);
        assert_eq!(resting(&audience, 12).len(), 12);
    }

    #[test]
    fn never_more_than_a_tenth_in_a_round() {
        let audience = audience(50);
        let mut counts = vec![0];
        for minute in 1..=60 {
            for second in 0..60 {
                audience.release(50 - counts.last().unwrap(), minute * MINUTE + second * 1_000);
            }
            counts.push(resting(&audience, 50).len());
        }
        let steps: Vec<usize> = counts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| *step <= 5) && steps.iter().filter(|step| **step > 0).count() >= 8, "{steps:?}");
        assert_eq!(counts.last(), Some(&50));
        assert!(counts[23] == 0 && counts[30] < 50, "{counts:?}");
    }

    #[test]
    fn with_zero_nobody_is_let_go() {
        let audience = Audience::new(Duration::ZERO, 1);
        audience.watch("f".into(), vec![Regex::new("^x$").unwrap()], 0);
        audience.release(1, u64::MAX);
        assert!(!audience.is_resting("f"));
    }
}

//! What a feed does, over the last minute and by long habit. Pure: time is an argument.
//!
//! Two memories: a sliding minute, in slots, for rates that are shown and judged; and what is usual for this feed (its rate, its longest
//! silence), so that a feed is compared with itself and a quiet one is not taken for a dead one.

use crate::clock::Millis;
use std::time::Duration;

/// The sliding minute: twelve slots of five seconds.
const SLOTS: usize = 12;
const SLOT_MS: Millis = 5_000;

/// A minute's rate counts this much in the usual rate: half of it is forgotten in about an hour.
const RATE_WEIGHT: f64 = 0.0115;
/// Until so many minutes are known, the usual rate is their mean.
const MINUTES_LEARNED_MIN: u32 = 10;

/// A longest silence counts half after a day without one like it.
const SILENCE_HALF_LIFE_MS: f64 = 24.0 * 60.0 * 60.0 * 1_000.0;
/// Events after which a feed's silences say something.
const EVENTS_LEARNED_MIN: u64 = 20;
/// A silence is unusual when it is this many times the longest one known.
const UNUSUAL_FACTOR: f64 = 4.0;

/// Sums over a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub events: u64,
    pub bytes: u64,
    pub errors: u64,
    /// Of the events that told their time: how late they were, added up, and how many they were.
    pub late_ms: u64,
    pub timed: u64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        self.errors += other.errors;
        self.late_ms = self.late_ms.saturating_add(other.late_ms);
        self.timed += other.timed;
    }

    /// Mean lateness of the events that told their time.
    pub fn latency(&self) -> Option<Duration> {
        (self.timed > 0).then(|| Duration::from_millis(self.late_ms / self.timed))
    }
}

#[derive(Clone, Debug)]
pub struct Figures {
    slots: [Sums; SLOTS],
    /// The number of the newest slot, counted from the clock's beginning.
    newest: Millis,
    habit: Habit,
}

/// What is usual for a feed.
#[derive(Clone, Debug, Default)]
struct Habit {
    /// Events of the minute that is being counted, and when it began; only while connected.
    minute_events: u64,
    minute_at: Option<Millis>,
    per_minute: f64,
    minutes: u32,
    silent_since: Option<Millis>,
    longest_ms: f64,
    longest_at: Millis,
    events: u64,
}

impl Figures {
    pub fn new(now: Millis) -> Self {
        Self { slots: [Sums::default(); SLOTS], newest: now / SLOT_MS, habit: Habit::default() }
    }

    /// A connection is open: its silence begins.
    pub fn opened(&mut self, now: Millis) {
        self.habit.silent_since = Some(now);
        self.habit.minute_at = Some(now);
        self.habit.minute_events = 0;
    }

    /// No connection is there: silence and rate say nothing about the feed until there is one again.
    pub fn ended(&mut self) {
        self.habit.silent_since = None;
        self.habit.minute_at = None;
    }

    pub fn count(&mut self, sums: &Sums, now: Millis) {
        self.turn_to(now);
        self.slots[slot_of(self.newest)].add(sums);
        self.habit.count(sums.events, now);
    }

    /// What came in the last minute.
    pub fn last_minute(&self, now: Millis) -> Sums {
        let newest = now / SLOT_MS;
        let mut sums = Sums::default();
        for back in 0..SLOTS as Millis {
            // Slots that the ring has not been turned to yet hold what is too old.
            let Some(number) = newest.checked_sub(back).filter(|&number| number <= self.newest) else { continue };
            if self.newest - number < SLOTS as Millis {
                sums.add(&self.slots[slot_of(number)]);
            }
        }
        sums
    }

    /// Events a minute that are usual for this feed; `None`: not known yet.
    pub fn usual_per_minute(&self) -> Option<f64> {
        (self.habit.minutes >= MINUTES_LEARNED_MIN).then_some(self.habit.per_minute)
    }

    /// How long the present connection has brought no event.
    pub fn silence(&self, now: Millis) -> Option<Duration> {
        self.habit.silent_since.map(|since| Duration::from_millis(now.saturating_sub(since)))
    }

    /// Whether the present silence is longer than `least` and than this feed has ever been silent, by far. `false` as long as there is no
    /// telling.
    pub fn is_unusually_silent(&self, least: Duration, now: Millis) -> bool {
        self.habit.events >= EVENTS_LEARNED_MIN && self.is_silent_beyond(least, now)
    }

    /// The same for a feed of which too little is known to tell.
    pub fn is_silent_beyond(&self, least: Duration, now: Millis) -> bool {
        let Some(silence) = self.silence(now) else { return false };
        let unusual_ms = self.habit.longest_now(now) * UNUSUAL_FACTOR;
        silence >= least && silence.as_millis() as f64 >= unusual_ms
    }

    /// A silence was taken for unusual and acted upon: it counts as known now, so that it does not seem unusual again at once.
    pub fn learn_silence(&mut self, now: Millis) {
        self.habit.end_silence(now);
    }

    fn turn_to(&mut self, now: Millis) {
        let newest = now / SLOT_MS;
        let turns = newest.saturating_sub(self.newest).min(SLOTS as Millis);
        for back in 0..turns {
            self.slots[slot_of(newest - back)] = Sums::default();
        }
        self.newest = self.newest.max(newest);
    }
}

impl Habit {
    fn count(&mut self, events: u64, now: Millis) {
        self.minute_events += events;
        self.end_minutes(now);
        if events > 0 {
            self.events = self.events.saturating_add(events);
            self.end_silence(now);
        }
    }

    /// The whole minutes that have passed become part of the usual rate.
    fn end_minutes(&mut self, now: Millis) {
        let Some(began) = self.minute_at else { return };
        let minutes = now.saturating_sub(began) / 60_000;
        if minutes == 0 {
            return;
        }
        // Everything since the last look came in these minutes; one step of the mean stands for each, with a bound for very long silences.
        let rate = std::mem::take(&mut self.minute_events) as f64 / minutes as f64;
        for _ in 0..minutes.min(24 * 60) {
            self.minutes = self.minutes.saturating_add(1);
            let weight = RATE_WEIGHT.max(1.0 / f64::from(self.minutes));
            self.per_minute += (rate - self.per_minute) * weight;
        }
        self.minute_at = Some(began + minutes * 60_000);
    }

    fn end_silence(&mut self, now: Millis) {
        let Some(since) = self.silent_since.replace(now) else { return };
        let silence = now.saturating_sub(since) as f64;
        self.longest_ms = self.longest_now(now).max(silence);
        self.longest_at = now;
    }

    fn longest_now(&self, now: Millis) -> f64 {
        self.longest_ms * 0.5f64.powf(now.saturating_sub(self.longest_at) as f64 / SILENCE_HALF_LIFE_MS)
    }
}

fn slot_of(number: Millis) -> usize {
    (number % SLOTS as Millis) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = 60_000;
    const HOUR: Millis = 60 * MINUTE;

    fn events(events: u64) -> Sums {
        Sums { events, ..Sums::default() }
    }

    /// A figure after `minutes` of one event every `every` milliseconds, and the time then.
    fn steady(every: Millis, minutes: Millis) -> (Figures, Millis) {
        let mut figures = Figures::new(0);
        figures.opened(0);
        let mut now = 0;
        while now < minutes * MINUTE {
            now += every;
            figures.count(&events(1), now);
        }
        (figures, now)
    }

    #[test]
    fn the_last_minute_slides() {
        let mut figures = Figures::new(0);
        for second in 0..120 {
            figures.count(&Sums { events: 2, bytes: 10, errors: 1, late_ms: 30, timed: 1 }, second * 1_000);
        }
        let minute = figures.last_minute(119_999);
        assert_eq!((minute.events, minute.bytes, minute.errors, minute.latency()), (120, 600, 60, Some(Duration::from_millis(30))));
        assert_eq!(figures.last_minute(150_000).events, 50, "what is left of it half a minute later");
        assert_eq!(figures.last_minute(180_000), Sums::default());
        assert_eq!(figures.last_minute(HOUR), Sums::default());
        figures.count(&events(1), HOUR);
        assert_eq!(figures.last_minute(HOUR).events, 1, "what was there an hour ago is gone");
        assert_eq!(Sums::default().latency(), None);
    }

    #[test]
    fn the_usual_rate_is_known_after_ten_minutes_and_follows_slowly() {
        let (figures, _) = steady(1_000, 9);
        assert_eq!(figures.usual_per_minute(), None);
        let (mut figures, mut now) = steady(1_000, 30);
        let usual = figures.usual_per_minute().unwrap();
        assert!((59.0..61.0).contains(&usual), "{usual}");
        // An hour at a tenth: half way there.
        for _ in 0..60 {
            now += MINUTE;
            figures.count(&events(6), now);
        }
        let usual = figures.usual_per_minute().unwrap();
        assert!((15.0..40.0).contains(&usual), "{usual}");
    }

    #[test]
    fn minutes_without_a_connection_teach_nothing() {
        let (mut figures, now) = steady(1_000, 30);
        figures.ended();
        figures.count(&events(0), now + 5 * HOUR);
        figures.opened(now + 5 * HOUR);
        figures.count(&events(60), now + 5 * HOUR + MINUTE);
        let usual = figures.usual_per_minute().unwrap();
        assert!((59.0..61.0).contains(&usual), "{usual}");
    }

    #[test]
    fn a_silence_is_unusual_compared_with_this_feed_alone() {
        let least = Duration::from_secs(120);
        // (an event every, silent for, is it unusual)
        let cases = [
            (1_000, 119_000, false),
            (1_000, 120_000, true),
            (60_000, 239_000, false),
            (60_000, 241_000, true),
            (10 * MINUTE, 39 * MINUTE, false),
            (10 * MINUTE, 41 * MINUTE, true),
        ];
        for (every, silent, expected) in cases {
            let (figures, now) = steady(every, 400);
            assert_eq!(figures.is_unusually_silent(least, now + silent), expected, "an event every {every} ms, silent for {silent} ms");
        }
        let (young, now) = steady(1_000, 0);
        assert!(!young.is_unusually_silent(least, now + HOUR), "nothing is known yet");
        let (mut away, now) = steady(1_000, 30);
        away.ended();
        assert!(!away.is_unusually_silent(least, now + HOUR), "no connection, no silence");
    }

    #[test]
    fn a_silence_that_was_acted_upon_is_not_acted_upon_again_at_once() {
        let (mut figures, mut now) = steady(1_000, 30);
        let least = Duration::from_secs(120);
        let mut acts = Vec::new();
        for minute in 0..60 * 24 {
            now += MINUTE;
            if figures.is_unusually_silent(least, now) {
                figures.learn_silence(now);
                acts.push(minute);
            }
        }
        assert!((2..=7).contains(&acts.len()), "a day of silence: acted in the minutes {acts:?}");
        figures.count(&events(1), now);
        let (mut years, mut at) = (figures, now);
        for _ in 0..20 * 24 * 60 {
            at += MINUTE;
            years.count(&events(60), at);
        }
        assert!(years.is_unusually_silent(least, at + 5 * MINUTE), "weeks later the old silence is forgotten");
    }
}

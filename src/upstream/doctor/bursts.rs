//! Whether something between the feed and us collects events before it lets them go. Pure.
//!
//! A server writes whole events and then waits. A buffer on the way lets go when it is full, wherever that cuts the stream, and everything
//! in it at once. So there are two signs: stretches of equal size that end in the middle of an event, and events whose own times
//! lie far apart although they came together. The first stretch tells nothing: many feeds begin with what happened before.

use std::collections::VecDeque;
use std::time::Duration;

/// Silence that separates two bursts. Longer than a round trip, shorter than a pause that somebody would notice.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Bursts that are remembered. More say nothing new.
const KEPT_MAX: usize = 256;
/// No buffer of a proxy is smaller; what is, is a server that writes in small pieces.
const BUFFER_BYTES_MIN: u64 = 1_024;
/// Cut bursts that make a sign; two may be chance.
const CUT_MIN: usize = 2;
/// How far apart the events of one burst must be by their own times. Times in whole seconds are off by one.
const APART_MS_MIN: i64 = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    pub from: Duration,
    pub to: Duration,
    pub bytes: u64,
    pub events: u64,
    /// It ended in the middle of an event.
    pub is_cut: bool,
    /// The earliest and the latest of the events' own times, in milliseconds.
    pub times: Option<(i64, i64)>,
}

#[derive(Debug, Default)]
pub struct Bursts {
    kept: VecDeque<Burst>,
    current: Option<Burst>,
    count: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Buffering {
    /// Too few pauses to tell.
    Unknown,
    /// Events come one by one, or as their own times say.
    Flows,
    /// Bursts end in the middle of an event, and are of one size.
    Cut { bursts: usize, bytes: u64 },
    /// Bursts hold events of so many milliseconds.
    Late { bursts: usize, apart_ms: i64 },
}

impl Bursts {
    /// A portion came: so many bytes with so many events in it.
    pub fn on_portion(&mut self, portion: Burst) {
        if let Some(burst) = self.current.as_mut().filter(|burst| portion.from.saturating_sub(burst.to) < PAUSE_MIN) {
            burst.to = portion.to;
            burst.bytes += portion.bytes;
            burst.events += portion.events;
            burst.is_cut = portion.is_cut;
            burst.times = match (burst.times, portion.times) {
                (Some((low, high)), Some((other_low, other_high))) => Some((low.min(other_low), high.max(other_high))),
                (known, other) => known.or(other),
            };
        } else {
            self.close();
            self.current = Some(portion);
        }
    }

    /// The last burst is one only if a pause followed it.
    pub fn finish(&mut self, at: Duration) {
        if self.current.as_ref().is_some_and(|burst| at.saturating_sub(burst.to) >= PAUSE_MIN) {
            self.close();
        }
        self.current = None;
    }

    fn close(&mut self) {
        let Some(burst) = self.current.take() else { return };
        self.count += 1;
        // The first is kept out, for the reason above.
        if self.count > 1 {
            if self.kept.len() == KEPT_MAX {
                self.kept.pop_front();
            }
            self.kept.push_back(burst);
        }
    }

    pub fn verdict(&self) -> Buffering {
        let with_events = self.kept.iter().filter(|burst| burst.events > 0 || burst.is_cut).count();
        if with_events == 0 {
            return Buffering::Unknown;
        }
        let cut: Vec<u64> = self.kept.iter().filter(|burst| burst.is_cut && burst.bytes >= BUFFER_BYTES_MIN).map(|burst| burst.bytes).collect();
        let (low, high) = cut.iter().fold((u64::MAX, 0), |(low, high), &bytes| (low.min(bytes), high.max(bytes)));
        if cut.len() >= CUT_MIN && cut.len() * 2 >= with_events && high - low <= high / 10 {
            return Buffering::Cut { bursts: cut.len(), bytes: high };
        }
        let apart = |burst: &Burst| burst.times.map(|(low, high)| high - low).unwrap_or_default();
        // What the events' times span beyond the time in which they came was spent waiting somewhere.
        let held = |burst: &Burst| apart(burst) - (burst.to - burst.from).as_millis() as i64;
        let late: Vec<i64> = self.kept.iter().filter(|burst| burst.events > 1).map(held).filter(|&ms| ms >= APART_MS_MIN).collect();
        match late.iter().max() {
            Some(&apart_ms) if late.len() * 2 >= with_events => Buffering::Late { bursts: late.len(), apart_ms },
            _ => Buffering::Flows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bursts as (second, bytes, events, cut, times).
    type Told<'a> = &'a [(u64, u64, u64, bool, Option<(i64, i64)>)];

    fn verdict(told: Told<'_>, end: u64) -> Buffering {
        let mut bursts = Bursts::default();
        for &(second, bytes, events, is_cut, times) in told {
            let at = Duration::from_secs(second);
            bursts.on_portion(Burst { from: at, to: at, bytes, events, is_cut, times });
        }
        bursts.finish(Duration::from_secs(end));
        bursts.verdict()
    }

    #[test]
    fn equal_stretches_that_cut_events_are_a_buffer() {
        let whole: Told<'_> = &[(0, 9_000, 90, false, None), (5, 100, 1, false, None), (9, 100, 1, false, None)];
        let cut: Told<'_> = &[(0, 4_096, 40, true, None), (5, 4_096, 40, true, None), (9, 4_080, 39, true, None)];
        let unequal: Told<'_> = &[(0, 4_096, 40, true, None), (5, 4_096, 40, true, None), (9, 2_080, 39, true, None)];
        let drops: Told<'_> = &[(0, 1, 0, true, None), (1, 1, 0, true, None), (2, 1, 0, true, None), (3, 1, 0, true, None)];
        let rarely: Told<'_> = &[
            (0, 100, 1, false, None),
            (1, 100, 1, false, None),
            (2, 100, 1, false, None),
            (3, 100, 1, false, None),
            (4, 2_048, 1, true, None),
            (5, 100, 1, false, None),
            (6, 2_048, 1, true, None),
        ];
        let once: Told<'_> = &[(0, 100, 1, false, None), (5, 4_096, 40, true, None)];
        for (told, expected) in [
            (whole, Buffering::Flows),
            (cut, Buffering::Cut { bursts: 2, bytes: 4_096 }),
            (unequal, Buffering::Flows),
            (drops, Buffering::Flows),
            (rarely, Buffering::Flows),
            (once, Buffering::Flows),
            (&[], Buffering::Unknown),
            (&cut[..1], Buffering::Unknown),
        ] {
            assert_eq!(verdict(told, 20), expected, "{told:?}");
        }
    }

    #[test]
    fn events_that_came_together_but_happened_apart_are_late() {
        let late: Told<'_> =
            &[(0, 100, 9, false, Some((0, 900_000))), (5, 100, 5, false, Some((1_000, 5_000))), (10, 100, 5, false, Some((6_000, 10_000)))];
        assert_eq!(verdict(late, 20), Buffering::Late { bursts: 2, apart_ms: 4_000 });
        let in_time: Told<'_> = &[(0, 100, 9, false, Some((0, 900_000))), (5, 100, 5, false, Some((4_000, 5_000))), (10, 100, 5, false, None)];
        assert_eq!(verdict(in_time, 20), Buffering::Flows);
        let replayed: Told<'_> = &[(0, 100, 9, false, Some((0, 900_000)))];
        assert_eq!(verdict(replayed, 20), Buffering::Unknown, "what happened before is not late");
    }

    #[test]
    fn portions_without_a_pause_are_one_burst() {
        let mut bursts = Bursts::default();
        for ms in (0..10_000).step_by(100) {
            let at = Duration::from_millis(ms);
            bursts.on_portion(Burst { from: at, to: at, bytes: 50, events: 1, is_cut: false, times: Some((ms as i64, ms as i64)) });
        }
        bursts.finish(Duration::from_secs(10));
        assert_eq!(bursts.verdict(), Buffering::Unknown, "a stream without pauses is not held back");
    }

    #[test]
    fn it_never_holds_more_than_its_share() {
        let mut bursts = Bursts::default();
        for second in 0..10_000 {
            let at = Duration::from_secs(second);
            bursts.on_portion(Burst { from: at, to: at, bytes: 50, events: 1, is_cut: false, times: None });
        }
        assert_eq!(bursts.kept.len(), KEPT_MAX);
    }
}

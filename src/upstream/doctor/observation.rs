//! What a stream was seen to do: counts and extremes, gathered portion by portion in bounded memory. Pure; time is handed in.
//!
//! The events come from the hub's own decoder. It is given one line at a time, so that what the decoder does not tell (line ends, comments,
//! whose id it was, bytes that are no UTF-8) is known of each of its events.

use super::bursts::{Burst, Bursts};
use super::stamps::stamp_of;
use crate::channel::Payload;
use crate::protocol::event_stream::{EventStreamError, EventStreamLimits, EventStreamParser, StreamEvent};
use bytes::Bytes;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// The beginning of a line that is kept: enough for the name of any field and a number behind it.
const LINE_BEGIN_BYTES: usize = 64;
/// Different event names that are told apart.
pub const NAMES_MAX: usize = 32;
/// Ids that are remembered, as hashes, to find those that come twice.
const IDS_MAX: usize = 50_000;
/// The first and the last ids, in their order: what a resumed stream says, and what it is held against.
pub const RECENT_IDS_MAX: usize = 32;
/// Intervals and delays that are kept for their medians.
const SAMPLES_MAX: usize = 1_024;
/// Events whose data is searched for a time.
const STAMPED_EVENTS_MAX: u64 = 5_000;

/// When a portion came: since the headers, and by the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub at: Duration,
    pub wall_ms: i64,
}

/// Something that happens again and again.
#[derive(Clone, Debug, Default)]
pub struct Beats {
    pub count: u64,
    pub first: Option<Duration>,
    last: Option<Duration>,
    longest: Duration,
    intervals: Vec<Duration>,
}

impl Beats {
    fn on(&mut self, at: Duration) {
        self.count += 1;
        self.first.get_or_insert(at);
        if let Some(last) = self.last {
            let interval = at.saturating_sub(last);
            self.longest = self.longest.max(interval);
            if self.intervals.len() < SAMPLES_MAX {
                self.intervals.push(interval);
            }
        }
        self.last = Some(at);
    }

    /// The interval that is longer than half of them.
    pub fn typical(&self) -> Option<Duration> {
        median(&self.intervals)
    }

    /// The longest time without one, from the beginning to `end`.
    pub fn longest_silence(&self, end: Duration) -> Duration {
        let before = self.first.unwrap_or(end);
        let after = end.saturating_sub(self.last.unwrap_or_default());
        self.longest.max(before).max(after)
    }
}

pub fn median<T: Copy + Ord>(samples: &[T]) -> Option<T> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineEnds {
    pub lf: u64,
    pub crlf: u64,
    pub cr: u64,
}

/// The ids that events had of their own.
#[derive(Debug, Default)]
pub struct Ids {
    pub events_with: u64,
    pub repeated: u64,
    /// Neighbours that could be compared, and those of them where the second was not greater.
    pub compared: u64,
    pub not_growing: u64,
    pub beginning: Vec<String>,
    pub recent: VecDeque<String>,
    known: HashSet<u64>,
}

impl Ids {
    fn on(&mut self, id: &str) {
        self.events_with += 1;
        let hash = hash_of(id);
        let is_known = if self.known.len() < IDS_MAX { !self.known.insert(hash) } else { self.known.contains(&hash) };
        self.repeated += u64::from(is_known);
        if let Some(grows) = self.recent.back().and_then(|last| grows(last, id)) {
            self.compared += 1;
            self.not_growing += u64::from(!grows);
        }
        if self.beginning.len() < RECENT_IDS_MAX {
            self.beginning.push(id.to_string());
        }
        if self.recent.len() == RECENT_IDS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(id.to_string());
    }

    /// Whether an event had this id, as far as they are remembered.
    pub fn knows(&self, id: &str) -> bool {
        self.known.contains(&hash_of(id))
    }
}

fn hash_of(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Whether `next` is greater, number by number. `None`: they differ in more than numbers.
fn grows(last: &str, next: &str) -> Option<bool> {
    let numbers = |id: &str| -> Option<Vec<u64>> {
        id.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
    };
    let is_text = |c: &char| !c.is_ascii_digit();
    if !last.chars().filter(is_text).eq(next.chars().filter(is_text)) {
        return None;
    }
    let (last, next) = (numbers(last)?, numbers(next)?);
    (!last.is_empty() && last.len() == next.len()).then(|| next > last)
}

/// How old events were when they came, by their own times.
#[derive(Debug, Default)]
pub struct Delays {
    pub name: Option<&'static str>,
    ms: Vec<i64>,
}

impl Delays {
    pub fn typical_ms(&self) -> Option<i64> {
        median(&self.ms)
    }
}

/// Bytes that are no UTF-8, counted as a reader replaces them: one for each maximal part of a sequence (Unicode, 3.9, U+FFFD substitution).
#[derive(Debug, Default)]
struct Utf8 {
    faults: u64,
    due: u8,
    low: u8,
    high: u8,
}

impl Utf8 {
    fn on(&mut self, bytes: &[u8]) {
        if self.due == 0 && bytes.is_ascii() {
            return;
        }
        for &byte in bytes {
            if self.due > 0 {
                if (self.low..=self.high).contains(&byte) {
                    (self.due, self.low, self.high) = (self.due - 1, 0x80, 0xBF);
                    continue;
                }
                self.faults += 1;
            }
            (self.due, self.low, self.high) = match byte {
                0x00..=0x7F => (0, 0, 0),
                0xC2..=0xDF => (1, 0x80, 0xBF),
                0xE0 => (2, 0xA0, 0xBF),
                0xED => (2, 0x80, 0x9F),
                0xE1..=0xEF => (2, 0x80, 0xBF),
                0xF0 => (3, 0x90, 0xBF),
                0xF1..=0xF3 => (3, 0x80, 0xBF),
                0xF4 => (3, 0x80, 0x8F),
                _ => {
                    self.faults += 1;
                    (0, 0, 0)
                }
            };
        }
    }
}

/// The line that is being read.
#[derive(Debug, Default)]
struct Line {
    begin: Vec<u8>,
    bytes: usize,
    has_nul: bool,
}

pub struct Observation {
    parser: EventStreamParser,
    utf8: Utf8,
    line: Line,
    after_cr: bool,
    /// Since the last empty line a field came, and an id.
    in_block: bool,
    own_id: bool,

    pub bytes: u64,
    pub portions: u64,
    pub portion_bytes_max: usize,
    /// Of every byte, comments included.
    pub sounds: Beats,
    pub comments: Beats,
    pub events: Beats,
    pub lines: u64,
    pub line_bytes_max: usize,
    pub event_bytes_max: usize,
    pub data_bytes: u64,
    pub has_bom: bool,
    pub line_ends: LineEnds,
    pub ids_with_nul: u64,
    pub bad_retries: u64,
    pub retries: u64,
    /// Lines that are no field of the format, and how the first of them begins.
    pub unknown_fields: u64,
    pub unknown_field: Option<String>,
    pub names: Vec<(String, u64)>,
    pub other_names: u64,
    pub ids: Ids,
    pub json: u64,
    pub not_json: u64,
    pub delays: Delays,
    pub bursts: Bursts,
}

impl Observation {
    pub fn new(limits: EventStreamLimits) -> Self {
        Self {
            parser: EventStreamParser::new(limits, Arc::from("")),
            utf8: Utf8::default(),
            line: Line::default(),
            after_cr: false,
            in_block: false,
            own_id: false,
            bytes: 0,
            portions: 0,
            portion_bytes_max: 0,
            sounds: Beats::default(),
            comments: Beats::default(),
            events: Beats::default(),
            lines: 0,
            line_bytes_max: 0,
            event_bytes_max: 0,
            data_bytes: 0,
            has_bom: false,
            line_ends: LineEnds::default(),
            ids_with_nul: 0,
            bad_retries: 0,
            retries: 0,
            unknown_fields: 0,
            unknown_field: None,
            names: Vec::new(),
            other_names: 0,
            ids: Ids::default(),
            json: 0,
            not_json: 0,
            delays: Delays::default(),
            bursts: Bursts::default(),
        }
    }

    /// Reads one portion. After an error the stream cannot be read on.
    pub fn on_portion(&mut self, portion: &[u8], moment: Moment) -> Result<(), EventStreamError> {
        self.bytes += portion.len() as u64;
        self.portions += 1;
        self.portion_bytes_max = self.portion_bytes_max.max(portion.len());
        self.sounds.on(moment.at);
        self.utf8.on(portion);
        let events_before = self.events.count;
        let mut times = None;
        let outcome = self.on_lines(portion, moment, &mut times);
        self.bursts.on_portion(Burst {
            from: moment.at,
            to: moment.at,
            bytes: portion.len() as u64,
            events: self.events.count - events_before,
            is_cut: self.is_in_event(),
            times,
        });
        outcome
    }

    fn on_lines(&mut self, portion: &[u8], moment: Moment, times: &mut Option<(i64, i64)>) -> Result<(), EventStreamError> {
        let mut rest = portion;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                self.line_ends.cr -= 1;
                self.line_ends.crlf += 1;
                self.parser.next_event(&mut &rest[..1])?;
                rest = &rest[1..];
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.extend_line(rest);
                self.parser.next_event(&mut rest)?;
                return Ok(());
            };
            let (mut line, after) = rest.split_at(end + 1);
            self.extend_line(&line[..end]);
            match line[end] {
                b'\r' => {
                    self.line_ends.cr += 1;
                    self.after_cr = true;
                }
                _ => self.line_ends.lf += 1,
            }
            self.end_line(moment.at);
            let event = self.parser.next_event(&mut line)?;
            if let Some(event) = event {
                self.on_event(event, moment, times);
            }
            if !self.in_block {
                self.own_id = false;
            }
            rest = after;
        }
        Ok(())
    }

    fn extend_line(&mut self, part: &[u8]) {
        let kept = part.len().min(LINE_BEGIN_BYTES.saturating_sub(self.line.begin.len()));
        self.line.begin.extend_from_slice(&part[..kept]);
        self.line.bytes += part.len();
        self.line.has_nul |= memchr::memchr(0, part).is_some();
        self.line_bytes_max = self.line_bytes_max.max(self.line.bytes);
    }

    fn end_line(&mut self, at: Duration) {
        let Line { begin, bytes, has_nul } = std::mem::take(&mut self.line);
        let mut begin = &begin[..];
        let mut bytes = bytes;
        if self.lines == 0
            && let Some(rest) = begin.strip_prefix(b"\xEF\xBB\xBF")
        {
            (self.has_bom, begin, bytes) = (true, rest, bytes - 3);
        }
        self.lines += 1;
        if bytes == 0 {
            self.in_block = false;
            return;
        }
        let colon = memchr::memchr(b':', begin);
        let name = &begin[..colon.unwrap_or(begin.len())];
        match name {
            b"" => {
                self.comments.on(at);
                return;
            }
            b"data" | b"event" => {}
            b"id" if has_nul => self.ids_with_nul += 1,
            b"id" => self.own_id = true,
            b"retry" => {
                let value = colon.map_or(&b""[..], |colon| &begin[colon + 1..]);
                let value = value.strip_prefix(b" ").unwrap_or(value);
                let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
                self.retries += 1;
                self.bad_retries += u64::from(!is_number);
            }
            _ => {
                self.unknown_fields += 1;
                self.unknown_field.get_or_insert_with(|| String::from_utf8_lossy(begin).into_owned());
            }
        }
        self.in_block = true;
    }

    fn on_event(&mut self, event: StreamEvent, moment: Moment, times: &mut Option<(i64, i64)>) {
        self.events.on(moment.at);
        self.event_bytes_max = self.event_bytes_max.max(event.data.len());
        self.data_bytes += event.data.len() as u64;
        self.count_name(event.event_type_or_message());
        let own_id = self.own_id.then_some(&*event.last_event_id);
        if let Some(id) = own_id {
            self.ids.on(id);
        }
        if self.events.count <= STAMPED_EVENTS_MAX
            && let Some(stamp) = stamp_of(&event.data, own_id, moment.wall_ms)
        {
            let (low, high) = times.unwrap_or((stamp.ms, stamp.ms));
            *times = Some((low.min(stamp.ms), high.max(stamp.ms)));
            self.delays.name.get_or_insert(stamp.name);
            if self.delays.ms.len() < SAMPLES_MAX {
                self.delays.ms.push(moment.wall_ms - stamp.ms);
            }
        }
        // By the rule that decides what subscribers get.
        match Payload::from_bytes(Bytes::from(event.data)).is_json() {
            true => self.json += 1,
            false => self.not_json += 1,
        }
    }

    fn count_name(&mut self, name: &str) {
        if let Some((_, count)) = self.names.iter_mut().find(|(known, _)| known == name) {
            *count += 1;
        } else if self.names.len() < NAMES_MAX {
            self.names.push((name.to_string(), 1));
        } else {
            self.other_names += 1;
        }
    }

    /// Nothing more comes.
    pub fn finish(&mut self, at: Duration) {
        self.bursts.finish(at);
    }

    pub fn utf8_faults(&self) -> u64 {
        self.utf8.faults
    }

    /// What the stream asked for last.
    pub fn retry(&self) -> Option<Duration> {
        self.parser.retry()
    }

    /// Something has begun that is no complete event yet.
    fn is_in_event(&self) -> bool {
        self.line.bytes > 0 || self.in_block
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WALL: i64 = 1_795_255_200_000;

    fn at(ms: u64) -> Moment {
        Moment { at: Duration::from_millis(ms), wall_ms: WALL + ms as i64 }
    }

    fn seen(portions: &[(u64, &[u8])]) -> Observation {
        let mut observation = Observation::new(EventStreamLimits::default());
        for (ms, portion) in portions {
            observation.on_portion(portion, at(*ms)).unwrap();
        }
        observation
    }

    #[test]
    fn what_the_decoder_does_not_tell() {
        let seen = seen(&[
            (0, b"\xEF\xBB\xBFretry: 5\r\nretry: soon\r\nid: 1\0\r\ndata: a\r\n\r\n"),
            (10, b": x\ndata: b\n\ndata: c\r\rfoo: bar\n{\"x\":1}\n\n"),
        ]);
        assert!(seen.has_bom);
        assert_eq!(seen.line_ends, LineEnds { lf: 6, crlf: 5, cr: 2 });
        assert_eq!((seen.events.count, seen.comments.count, seen.ids_with_nul), (3, 1, 1));
        assert_eq!((seen.retries, seen.bad_retries, seen.retry()), (2, 1, Some(Duration::from_millis(5))));
        assert_eq!((seen.unknown_fields, seen.unknown_field.as_deref()), (2, Some("foo: bar")));
        assert_eq!((seen.ids.events_with, seen.lines), (0, 13));
    }

    #[test]
    fn ids_belong_to_the_event_that_named_them() {
        let seen = seen(&[(0, b"id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\n\nid: 2\ndata: d\n\nid: 1\ndata: e\n\n")]);
        assert_eq!((seen.events.count, seen.ids.events_with, seen.ids.repeated), (5, 3, 1));
        assert_eq!((seen.ids.compared, seen.ids.not_growing), (2, 1));
        assert_eq!(seen.ids.recent, ["1", "2", "1"]);
    }

    #[test]
    fn numbers_grow_wherever_they_stand() {
        for (last, next, expected) in [
            ("1", "2", Some(true)),
            ("9", "10", Some(true)),
            ("2", "2", Some(false)),
            ("1795255200:9", "1795255201:0", Some(true)),
            ("a-1", "a-2", Some(true)),
            ("a-1", "b-2", None),
            ("a", "a", None),
            ("1", "1:2", None),
            ("99999999999999999999999", "1", None),
        ] {
            assert_eq!(grows(last, next), expected, "{last} {next}");
        }
    }

    #[test]
    fn silences_and_intervals() {
        let seen = seen(&[(1_000, b":\n"), (2_000, b":\n"), (3_100, b":\ndata: a\n\n"), (9_000, b"data")]);
        assert_eq!((seen.comments.typical(), seen.comments.count), (Some(Duration::from_millis(1_100)), 3));
        let end = Duration::from_secs(10);
        assert_eq!(seen.sounds.longest_silence(end), Duration::from_millis(5_900));
        assert_eq!(seen.events.longest_silence(end), Duration::from_millis(6_900));
        assert_eq!(Beats::default().longest_silence(end), end);
        assert!(seen.is_in_event());
    }

    #[test]
    fn names_data_and_delays() {
        let seen = seen(&[(500, b"event: a\ndata: {\"ts\":1795255200}\n\nevent: a\ndata: [1]\n\ndata: words\n\n")]);
        assert_eq!(seen.names, [("a".to_string(), 2), ("message".to_string(), 1)]);
        assert_eq!((seen.json, seen.not_json, seen.event_bytes_max), (2, 1, 17));
        assert_eq!((seen.delays.typical_ms(), seen.delays.name), (Some(500), Some("ts")));
    }

    #[test]
    fn whatever_comes_memory_stays_bounded() {
        let limits = EventStreamLimits { line_bytes_max: 1_000, ..EventStreamLimits::default() };
        let mut observation = Observation::new(limits);
        for number in 0..60_000u64 {
            let event = format!("event: e{number}\nid: {number}\ndata: {{\"ts\":1795255200}}\n\n");
            observation.on_portion(event.as_bytes(), at(number * 300)).unwrap();
        }
        assert_eq!((observation.names.len(), observation.other_names), (NAMES_MAX, 60_000 - NAMES_MAX as u64));
        assert_eq!((observation.ids.known.len(), observation.ids.recent.len()), (IDS_MAX, RECENT_IDS_MAX));
        assert!(observation.delays.ms.len() <= SAMPLES_MAX && observation.sounds.intervals.len() <= SAMPLES_MAX);
        let error = observation.on_portion(&[b'x'; 2_000], at(0)).unwrap_err();
        assert_eq!(error, EventStreamError::LineTooLong { max: 1_000 });
        assert!(observation.line.begin.capacity() <= 2 * LINE_BEGIN_BYTES);
    }

    proptest! {
        #[test]
        fn faults_are_counted_as_a_reader_replaces_them(text in proptest::collection::vec(any::<u8>(), 0..200), portion in 1usize..9) {
            let mut utf8 = Utf8::default();
            text.chunks(portion).for_each(|part| utf8.on(part));
            // What is unfinished at the end is one more replacement for somebody who has the whole text.
            let unfinished = u64::from(utf8.due > 0);
            // The text has replacement characters of its own only with the three bytes EF BF BD.
            prop_assume!(!text.windows(3).any(|window| window == b"\xEF\xBF\xBD"));
            let replaced = String::from_utf8_lossy(&text).chars().filter(|&c| c == '\u{fffd}').count() as u64;
            prop_assert_eq!(utf8.faults + unfinished, replaced);
        }

        #[test]
        fn any_portions_are_seen_alike(pieces in proptest::collection::vec(0usize..12, 0..60), portion in 1usize..9) {
            const PIECES: [&[u8]; 12] =
                [b"\n", b"\r", b"\r\n", b"data: {}", b"data", b"id: 4", b"id: \0", b"event: e", b"retry: 12", b": c", b"\xFF", b"x: y"];
            let stream = pieces.iter().map(|&piece| PIECES[piece]).collect::<Vec<_>>().concat();
            let tell = |seen: &Observation| (
                (seen.events.count, seen.comments.count, seen.lines, seen.line_ends, seen.ids_with_nul, seen.retries),
                (seen.ids.events_with, seen.unknown_fields, seen.utf8_faults(), seen.names.clone(), seen.line_bytes_max, seen.is_in_event()),
            );
            let whole = seen(&[(0, &stream)]);
            let parts: Vec<(u64, &[u8])> = stream.chunks(portion).map(|part| (0, part)).collect();
            prop_assert_eq!(tell(&whole), tell(&seen(&parts)));
        }
    }
}

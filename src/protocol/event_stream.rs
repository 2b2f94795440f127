//! The event-stream format (WHATWG HTML, section 9.2, "Server-sent events"), read and written.
//!
//! [`EventStreamParser`] reads: bytes in whatever portions the network cuts them into, events out, every buffer bounded. It is used by
//! the upstream connections. [`OutgoingEvent`] writes, and cannot be made to write a field that its caller did not ask for.
//!
//! Not here: when to reconnect, what an HTTP answer means, what an event becomes. Those are the upstream room's.

use std::sync::Arc;
use std::time::Duration;

/// A comment that carries nothing: keeps proxies from cutting a silent stream, and tells a reader that the peer lives.
pub const HEARTBEAT: &[u8] = b":\n";

/// The byte order mark, dropped once at the very start of a stream.
const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// A line buffer larger than this is given back once its line is done: one huge line must not hold memory for the months to come.
const LINE_BUFFER_KEPT_BYTES: usize = 16 * 1_024;

/// What one stream may make its reader hold. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventStreamLimits {
    /// One line without its end, comments included.
    pub line_bytes_max: usize,
    /// The data of one event, after decoding.
    pub event_bytes_max: usize,
    pub id_bytes_max: usize,
    pub event_type_bytes_max: usize,
}

impl Default for EventStreamLimits {
    fn default() -> Self {
        Self { line_bytes_max: 1 << 20, event_bytes_max: 4 << 20, id_bytes_max: 1_024, event_type_bytes_max: 256 }
    }
}

/// The stream wants its reader to hold more than the reader is willing to. Reading cannot go on: what follows would be misread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventStreamError {
    #[error("a line is longer than {max} bytes")]
    LineTooLong { max: usize },
    #[error("the data of an event is longer than {max} bytes")]
    EventTooLong { max: usize },
    #[error("an event id is longer than {max} bytes")]
    IdTooLong { max: usize },
    #[error("an event type is longer than {max} bytes")]
    EventTypeTooLong { max: usize },
}

/// One event as it was dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEvent {
    /// Empty where the stream named none; browsers then say `message`.
    pub event_type: String,
    pub data: String,
    /// The last id seen up to and including this event. It stays from event to event. Empty: none.
    pub last_event_id: Arc<str>,
    /// Whether the event brought that id itself. Otherwise it only inherits one, and is not known by it.
    pub has_id: bool,
}

impl StreamEvent {
    /// The type under which a browser would dispatch it.
    pub fn event_type_or_message(&self) -> &str {
        if self.event_type.is_empty() { "message" } else { &self.event_type }
    }
}

/// Reads one stream, from the first byte of a response body to its end. A new response needs a new parser.
#[derive(Debug)]
pub struct EventStreamParser {
    limits: EventStreamLimits,
    /// Bytes of the byte order mark seen so far; 3 when the start of the stream is behind us.
    bom_matched: usize,
    /// The last line ended in CR, so that an LF now belongs to it.
    ended_in_cr: bool,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    data: String,
    has_data: bool,
    event_type: String,
    id_buffer: Arc<str>,
    /// The block that is being read has an id.
    has_id: bool,
    last_event_id: Arc<str>,
    retry: Option<Duration>,
}

impl EventStreamParser {
    /// `last_event_id`: the id that the request asked to resume from. Events without an id of their own carry it, as in browsers.
    pub fn new(limits: EventStreamLimits, last_event_id: Arc<str>) -> Self {
        Self {
            limits,
            bom_matched: 0,
            ended_in_cr: false,
            line: Vec::new(),
            data: String::new(),
            has_data: false,
            event_type: String::new(),
            id_buffer: Arc::clone(&last_event_id),
            has_id: false,
            last_event_id,
            retry: None,
        }
    }

    /// Reads from the front of `input`, which it shortens, until an event is complete. `None`: all of `input` is read and more is needed.
    ///
    /// Pulling one event at a time lets the caller hand each on, and wait, before it takes the next. After an error the parser has
    /// lost its place and must be dropped together with the connection.
    pub fn next_event(&mut self, input: &mut &[u8]) -> Result<Option<StreamEvent>, EventStreamError> {
        self.skip_bom(input);
        while !input.is_empty() {
            if std::mem::take(&mut self.ended_in_cr) && input[0] == b'\n' {
                *input = &input[1..];
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', input) else {
                self.keep(input)?;
                *input = &[];
                return Ok(None);
            };
            self.ended_in_cr = input[end] == b'\r';
            let (head, rest) = (&input[..end], &input[end + 1..]);
            *input = rest;
            let event = if self.line.is_empty() {
                self.check_line(head.len())?;
                self.on_line(head)?
            } else {
                self.keep(head)?;
                let mut line = std::mem::take(&mut self.line);
                let event = self.on_line(&line)?;
                if line.capacity() <= LINE_BUFFER_KEPT_BYTES {
                    line.clear();
                    self.line = line;
                }
                event
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// The id to resume from once every event returned so far has been handed on. A block without data moves it too.
    pub fn last_event_id(&self) -> &Arc<str> {
        &self.last_event_id
    }

    /// The reconnection time that the stream asked for last.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The mark may be cut anywhere. What merely began like it is part of the first line.
    fn skip_bom(&mut self, input: &mut &[u8]) {
        while self.bom_matched < BOM.len() && !input.is_empty() {
            if input[0] == BOM[self.bom_matched] {
                *input = &input[1..];
                self.bom_matched += 1;
            } else {
                self.line.extend_from_slice(&BOM[..self.bom_matched]);
                self.bom_matched = BOM.len();
            }
        }
    }

    fn check_line(&self, bytes: usize) -> Result<(), EventStreamError> {
        let max = self.limits.line_bytes_max;
        if bytes > max { Err(EventStreamError::LineTooLong { max }) } else { Ok(()) }
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), EventStreamError> {
        self.check_line(self.line.len().saturating_add(part.len()))?;
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn on_line(&mut self, line: &[u8]) -> Result<Option<StreamEvent>, EventStreamError> {
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let (name, value) = match memchr::memchr(b':', line) {
            Some(0) => return Ok(None),
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        match name {
            b"data" => self.on_data(value)?,
            b"event" => {
                let max = self.limits.event_type_bytes_max;
                if value.len() > max {
                    return Err(EventStreamError::EventTypeTooLong { max });
                }
                self.event_type = String::from_utf8_lossy(value).into_owned();
            }
            b"id" if !value.contains(&0) => {
                let max = self.limits.id_bytes_max;
                if value.len() > max {
                    return Err(EventStreamError::IdTooLong { max });
                }
                self.id_buffer = Arc::from(String::from_utf8_lossy(value));
                self.has_id = !value.is_empty();
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let ms = value.iter().fold(0u64, |ms, digit| ms.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
                self.retry = Some(Duration::from_millis(ms));
            }
            _ => {}
        }
        Ok(None)
    }

    fn on_data(&mut self, value: &[u8]) -> Result<(), EventStreamError> {
        let text = String::from_utf8_lossy(value);
        // The line feed between two data lines is added with the second one, so that none has to be removed at the end.
        let separator = usize::from(self.has_data);
        let max = self.limits.event_bytes_max;
        if self.data.len() + separator + text.len() > max {
            return Err(EventStreamError::EventTooLong { max });
        }
        if self.has_data {
            self.data.push('\n');
        }
        self.data.push_str(&text);
        self.has_data = true;
        Ok(())
    }

    fn dispatch(&mut self) -> Option<StreamEvent> {
        self.last_event_id = Arc::clone(&self.id_buffer);
        let event_type = std::mem::take(&mut self.event_type);
        let has_id = std::mem::take(&mut self.has_id);
        if !std::mem::take(&mut self.has_data) {
            return None;
        }
        Some(StreamEvent { event_type, data: std::mem::take(&mut self.data), last_event_id: Arc::clone(&self.last_event_id), has_id })
    }
}

/// One event to write. Fields that are `None` are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutgoingEvent<'a> {
    pub event_type: Option<&'a str>,
    pub retry: Option<Duration>,
    /// `Some("")` makes readers forget the id they have.
    pub id: Option<&'a str>,
    /// Line ends of any kind separate lines; a reader gets LF for each. `None`: no event is dispatched, but id and retry still count.
    pub data: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("an event's {field} may not contain CR, LF or NUL")]
    ForbiddenCharacter { field: &'static str },
}

impl OutgoingEvent<'_> {
    /// Appends the whole event, its empty line included. Nothing is appended when it fails.
    pub fn encode(&self, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        for (field, value) in [("type", self.event_type), ("id", self.id)] {
            if value.is_some_and(|value| value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0))) {
                return Err(EncodeError::ForbiddenCharacter { field });
            }
        }
        if let Some(event_type) = self.event_type {
            push_field(into, "event", event_type);
        }
        if let Some(retry) = self.retry {
            push_field(into, "retry", &retry.as_millis().to_string());
        }
        if let Some(id) = self.id {
            push_field(into, "id", id);
        }
        if let Some(data) = self.data {
            for line in lines(data) {
                push_field(into, "data", line);
            }
        }
        into.push(b'\n');
        Ok(())
    }
}

fn push_field(into: &mut Vec<u8>, name: &str, value: &str) {
    into.extend_from_slice(name.as_bytes());
    // The blank is always written: without it a value that begins with a blank would lose it.
    into.extend_from_slice(b": ");
    into.extend_from_slice(value.as_bytes());
    into.push(b'\n');
}

/// Splits at CRLF, CR and LF. A text that ends in a line end has an empty last line, because a reader removes one.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match memchr::memchr2(b'\n', b'\r', text.as_bytes()) {
            None => {
                rest = None;
                Some(text)
            }
            Some(end) => {
                let after = if text[end..].starts_with("\r\n") { end + 2 } else { end + 1 };
                rest = Some(&text[after..]);
                Some(&text[..end])
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Type, data, last event id.
    type Seen = (String, String, String);
    /// A rule, a stream, and the events it gives.
    type Case<'a> = (&'a str, &'a [u8], &'a [(&'a str, &'a str, &'a str)]);

    fn read_in_portions<'a>(portions: impl IntoIterator<Item = &'a [u8]>, resumed_from: &str) -> (Vec<Seen>, EventStreamParser) {
        let mut parser = EventStreamParser::new(EventStreamLimits::default(), Arc::from(resumed_from));
        let mut seen = Vec::new();
        for mut portion in portions {
            while let Some(event) = parser.next_event(&mut portion).unwrap() {
                seen.push((event.event_type_or_message().to_string(), event.data, event.last_event_id.to_string()));
            }
            assert!(portion.is_empty(), "a parser that asks for more has read all it was given");
        }
        (seen, parser)
    }

    fn read(stream: &[u8]) -> Vec<Seen> {
        read_in_portions([stream], "").0
    }

    fn seen(events: &[(&str, &str, &str)]) -> Vec<Seen> {
        events.iter().map(|(event_type, data, id)| (event_type.to_string(), data.to_string(), id.to_string())).collect()
    }

    /// Each row is what one rule of the format, or a parser known to have missed it, comes down to. Every row is read whole, byte by
    /// byte, and cut in two at every place.
    #[test]
    fn every_rule_of_the_format_whatever_the_portions() {
        let cases: &[Case] = &[
            ("one line", b"data: a\n\n", &[("message", "a", "")]),
            ("lines are joined by LF", b"data: a\ndata: b\ndata:c\n\n", &[("message", "a\nb\nc", "")]),
            ("CRLF", b"data: a\r\ndata: b\r\n\r\n", &[("message", "a\nb", "")]),
            ("CR", b"data: a\rdata: b\r\r", &[("message", "a\nb", "")]),
            ("line ends mixed", b"data: a\r\ndata: b\ndata: c\rdata: d\n\r", &[("message", "a\nb\nc\nd", "")]),
            (
                "LF CR is two ends, CR LF is one",
                b"data: a\n\rdata: b\r\n\ndata: c\r\r\n",
                &[("message", "a", ""), ("message", "b", ""), ("message", "c", "")],
            ),
            (
                "only one blank is taken off",
                b"data:  a\n\ndata:\ta\n\ndata:a \n\n",
                &[("message", " a", ""), ("message", "\ta", ""), ("message", "a ", "")],
            ),
            ("a colon in the value stays", b"data: a: b\n\ndata::\n\n", &[("message", "a: b", ""), ("message", ":", "")]),
            ("a name alone is an empty value", b"data\n\n", &[("message", "", "")]),
            ("two empty lines of data", b"data\ndata\n\n", &[("message", "\n", "")]),
            ("data with an empty value", b"data:\n\n", &[("message", "", "")]),
            ("trailing empty data line keeps one LF", b"data:a\ndata:\n\n", &[("message", "a\n", "")]),
            ("no data, no event", b"event: x\n\n\n\ndata: a\n\n", &[("message", "a", "")]),
            ("comments", b":\n: c\n:data: no\ndata: a\n:\n\n", &[("message", "a", "")]),
            ("a comment does not end an event", b"data: a\n: c\ndata: b\n\n", &[("message", "a\nb", "")]),
            ("unknown fields", b"foo: bar\nretry2: 1\n:x\ndata: a\nfoo\n\n", &[("message", "a", "")]),
            ("names are not trimmed", b" data: no\ndata : no\n\tdata: no\n\n", &[]),
            ("names are case-sensitive", b"Data: no\nDATA: no\nID: 1\nEvent: x\ndata: a\n\n", &[("message", "a", "")]),
            ("event type", b"event: x\ndata: a\n\ndata: b\n\n", &[("x", "a", ""), ("message", "b", "")]),
            ("the last event type wins", b"event: x\nevent: y\ndata: a\n\n", &[("y", "a", "")]),
            ("an empty event type is message", b"event: x\nevent\ndata: a\n\nevent:\ndata: b\n\n", &[("message", "a", ""), ("message", "b", "")]),
            ("a type without data is forgotten", b"event: x\n\ndata: a\n\n", &[("message", "a", "")]),
            ("an event type of one blank", b"event:  \ndata: a\n\n", &[(" ", "a", "")]),
            ("ids stay", b"id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n", &[("message", "a", "1"), ("message", "b", "1"), ("message", "c", "2")]),
            ("the last id wins", b"id: 1\nid: 2\ndata: a\n\n", &[("message", "a", "2")]),
            (
                "an empty id forgets",
                b"id: 1\ndata: a\n\nid\ndata: b\n\nid: 2\ndata: c\n\nid:\ndata: d\n\n",
                &[("message", "a", "1"), ("message", "b", ""), ("message", "c", "2"), ("message", "d", "")],
            ),
            ("an id with NUL is ignored", b"id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n", &[("message", "a", "1"), ("message", "b", "1")]),
            ("an id without data counts", b"id: 7\n\ndata: a\n\n", &[("message", "a", "7")]),
            ("an id with blanks and unicode", "id:  ä 1 \ndata: a\n\n".as_bytes(), &[("message", "a", " ä 1 ")]),
            ("NUL in data is data", b"data: a\x00b\n\n", &[("message", "a\0b", "")]),
            ("NUL in a name is another name", b"data\x00: a\n\n", &[]),
            ("an unfinished event is dropped", b"data: a\n\ndata: b\n", &[("message", "a", "")]),
            ("an unfinished line is dropped", b"data: a\n\ndata: b", &[("message", "a", "")]),
            ("BOM at the start", b"\xEF\xBB\xBFdata: a\n\n", &[("message", "a", "")]),
            ("BOM twice: the second is part of a name", b"\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\ndata: b\n\n", &[("message", "b", "")]),
            ("BOM later is data", b"data: \xEF\xBB\xBFa\n\n\xEF\xBB\xBFdata: b\n\n", &[("message", "\u{feff}a", "")]),
            ("half a BOM is part of a name", b"\xEF\xBBdata: a\n\ndata: b\n\n", &[("message", "b", "")]),
            ("half a BOM, then a line end", b"\xEF\ndata: b\n\n", &[("message", "b", "")]),
            ("BOM before an empty line", b"\xEF\xBB\xBF\ndata: b\n\n", &[("message", "b", "")]),
            (
                "other separators are data",
                "data: a\u{b}\u{c}\u{85}\u{2028}\u{2029}b\n\n".as_bytes(),
                &[("message", "a\u{b}\u{c}\u{85}\u{2028}\u{2029}b", "")],
            ),
            ("other blanks are data", "data:\u{a0}a\n\ndata:\u{3000}b\n\n".as_bytes(), &[("message", "\u{a0}a", ""), ("message", "\u{3000}b", "")]),
            ("multibyte characters", "data: ää€𝄞\n\n".as_bytes(), &[("message", "ää€𝄞", "")]),
            ("a surrogate is three faults", b"data: \xED\xA0\x80\n\n", &[("message", "\u{fffd}\u{fffd}\u{fffd}", "")]),
            (
                "a cut sequence is one fault",
                b"data: \xF0\x9D\x84\n\ndata: \xE2\x82a\n\n",
                &[("message", "\u{fffd}", ""), ("message", "\u{fffd}a", "")],
            ),
            ("overlong forms and stray bytes", b"data: \xC0\xAF\xFF\x80\n\n", &[("message", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}", "")]),
            ("faults in an id and a type", b"id: \xFF\nevent: \xFE\ndata: a\n\n", &[("\u{fffd}", "a", "\u{fffd}")]),
            ("a fault in a name is another name", b"dat\xFFa: no\ndata: a\n\n", &[("message", "a", "")]),
            ("a stream of nothing", b"", &[]),
            ("a stream of line ends", b"\n\r\r\n\n\r", &[]),
            ("empty line first", b"\n\ndata: a\n\n", &[("message", "a", "")]),
        ];
        for (rule, stream, events) in cases {
            let expected = seen(events);
            assert_eq!(read(stream), expected, "{rule}, whole");
            assert_eq!(read_in_portions(stream.chunks(1), "").0, expected, "{rule}, byte by byte");
            for cut in 0..=stream.len() {
                let (head, tail) = stream.split_at(cut);
                assert_eq!(read_in_portions([head, &[], tail], "").0, expected, "{rule}, cut at {cut}");
            }
        }
    }

    #[test]
    fn a_cr_ends_the_line_at_once() {
        let (events, mut parser) = read_in_portions([&b"data: a\r\r"[..]], "");
        assert_eq!(events, seen(&[("message", "a", "")]), "the event does not wait for the byte after the CR");
        let mut input: &[u8] = b"\ndata: b\n\n";
        assert_eq!(parser.next_event(&mut input).unwrap().unwrap().data, "b", "the LF that follows belongs to the CR");
    }

    #[test]
    fn reconnection_times() {
        let cases: &[(&[u8], Option<u64>)] = &[
            (b"retry: 3000\n", Some(3_000)),
            (b"retry:3000\n", Some(3_000)),
            (b"retry: 0\n", Some(0)),
            (b"retry: 0100\n", Some(100)),
            (b"retry: 1\nretry: 2\n", Some(2)),
            (b"retry: 1\nretry: x\n", Some(1)),
            (b"retry: 99999999999\n", Some(99_999_999_999)),
            (b"retry: 999999999999999999999999999999\n", Some(u64::MAX)),
            (b"retry\n", None),
            (b"retry:\n", None),
            (b"retry:  5\n", None),
            (b"retry: 5 \n", None),
            (b"retry: -5\n", None),
            (b"retry: +5\n", None),
            (b"retry: 5.5\n", None),
            (b"retry: 0x5\n", None),
            (b"retry: 1e3\n", None),
            ("retry: ٣\n".as_bytes(), None),
            (b"retry: 5", None),
        ];
        for (stream, ms) in cases {
            let (_, parser) = read_in_portions([*stream], "");
            assert_eq!(parser.retry(), ms.map(Duration::from_millis), "{}", String::from_utf8_lossy(stream));
        }
    }

    #[test]
    fn the_id_to_resume_from_moves_with_each_block_and_not_with_a_line() {
        let cases: &[(&[u8], &str)] = &[
            (b"data: a\n\n", "start"),
            (b"id: 1\ndata: a\n\n", "1"),
            (b"id: 1\n\n", "1"),
            (b"id: 1\n", "start"),
            (b"id: 1\ndata: a\n", "start"),
            (b"id: 1\n\nid: 2\ndata: a\n", "1"),
            (b"id\n\n", ""),
        ];
        for (stream, id) in cases {
            let (_, parser) = read_in_portions([*stream], "start");
            assert_eq!(&**parser.last_event_id(), *id, "{}", String::from_utf8_lossy(stream));
        }
        assert_eq!(read_in_portions([&b"data: a\n\n"[..]], "start").0, seen(&[("message", "a", "start")]), "events inherit the id resumed from");
    }

    #[test]
    fn limits_hold_exactly_and_name_themselves() {
        let limits = EventStreamLimits { line_bytes_max: 20, event_bytes_max: 10, id_bytes_max: 3, event_type_bytes_max: 4 };
        let cases: &[(&[u8], Option<EventStreamError>)] = &[
            (b":1234567890123456789\n", None),
            (b":12345678901234567890\n", Some(EventStreamError::LineTooLong { max: 20 })),
            (b":123456789012345678901234", Some(EventStreamError::LineTooLong { max: 20 })),
            (b"data:1234567890\n\n", None),
            (b"data:12345678901\n\n", Some(EventStreamError::EventTooLong { max: 10 })),
            (b"data:12345\ndata:6789\n\n", None),
            (b"data:12345\ndata:67890\n\n", Some(EventStreamError::EventTooLong { max: 10 })),
            (b"data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n\n", None),
            (b"data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n", Some(EventStreamError::EventTooLong { max: 10 })),
            // Three faulty bytes become nine.
            (b"data:\xFF\xFF\xFF\n\n", None),
            (b"data:\xFF\xFF\xFF\xFF\n\n", Some(EventStreamError::EventTooLong { max: 10 })),
            (b"id:123\n", None),
            (b"id:1234\n", Some(EventStreamError::IdTooLong { max: 3 })),
            (b"event:1234\n", None),
            (b"event:12345\n", Some(EventStreamError::EventTypeTooLong { max: 4 })),
        ];
        for (stream, expected) in cases {
            for portion in [1, 7, stream.len()] {
                let mut parser = EventStreamParser::new(limits, Arc::from(""));
                let outcome = stream.chunks(portion).try_for_each(|mut portion| {
                    while parser.next_event(&mut portion)?.is_some() {}
                    Ok(())
                });
                assert_eq!(outcome.err(), *expected, "{} in portions of {portion}", String::from_utf8_lossy(stream));
            }
        }
    }

    #[test]
    fn an_endless_line_never_holds_more_than_its_limit() {
        let limits = EventStreamLimits { line_bytes_max: 1 << 16, ..EventStreamLimits::default() };
        let mut parser = EventStreamParser::new(limits, Arc::from(""));
        let portion = [b'x'; 1_000];
        let outcome = (0..1_000).find_map(|_| parser.next_event(&mut &portion[..]).err());
        assert_eq!(outcome, Some(EventStreamError::LineTooLong { max: 1 << 16 }));
        assert!(parser.line.capacity() <= 1 << 17, "{}", parser.line.capacity());
    }

    #[test]
    fn the_buffer_of_a_huge_line_is_given_back() {
        let mut parser = EventStreamParser::new(EventStreamLimits::default(), Arc::from(""));
        let half = vec![b'x'; 500_000];
        assert!(parser.next_event(&mut &half[..]).unwrap().is_none());
        assert!(parser.next_event(&mut &b"\ndata: a\n"[..]).unwrap().is_none());
        assert_eq!(parser.line.capacity(), 0);
    }

    #[test]
    fn writing() {
        let event = OutgoingEvent { event_type: Some("pulse"), retry: Some(Duration::from_secs(1)), id: Some("7"), data: Some("a\r\n b\rc\n") };
        let mut written = Vec::new();
        event.encode(&mut written).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "event: pulse\nretry: 1000\nid: 7\ndata: a\ndata:  b\ndata: c\ndata: \n\n");
        let mut written = Vec::new();
        OutgoingEvent { data: Some(""), ..OutgoingEvent::default() }.encode(&mut written).unwrap();
        assert_eq!(written, b"data: \n\n");
        assert_eq!(read(&written), seen(&[("message", "", "")]), "an event without data is still an event");
    }

    #[test]
    fn no_field_can_be_smuggled_in() {
        for bad in ["a\nb", "a\rb", "a\0b", "\n", "7\n\ndata: forged"] {
            let mut written = b"before".to_vec();
            let with_id = OutgoingEvent { id: Some(bad), data: Some("x"), ..OutgoingEvent::default() };
            assert_eq!(with_id.encode(&mut written), Err(EncodeError::ForbiddenCharacter { field: "id" }), "{bad:?}");
            let with_type = OutgoingEvent { event_type: Some(bad), data: Some("x"), ..OutgoingEvent::default() };
            assert_eq!(with_type.encode(&mut written), Err(EncodeError::ForbiddenCharacter { field: "type" }), "{bad:?}");
            assert_eq!(written, b"before");
        }
    }

    /// Streams made of the pieces that parsers stumble over.
    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(&b"\n"[..]),
            Just(&b"\r"[..]),
            Just(&b"\r\n"[..]),
            Just(&b"\n\n"[..]),
            Just(&b"data: "[..]),
            Just(&b"data"[..]),
            Just(&b"id: 4"[..]),
            Just(&b"id"[..]),
            Just(&b"event: e"[..]),
            Just(&b"retry: 12"[..]),
            Just(&b":"[..]),
            Just(&b" "[..]),
            Just(&b"\0"[..]),
            Just(&BOM[..]),
            Just(&b"\xEF\xBB"[..]),
            Just("ä€𝄞".as_bytes()),
            Just(&b"\xED\xA0\x80"[..]),
            Just(&b"\xFF"[..]),
        ];
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    /// The format taken literally, on the whole stream at once: decode, cut into lines, follow the rules. Slow and unbounded, and so
    /// unlike the parser that the two will hardly be wrong in the same way.
    fn by_the_letter(stream: &[u8]) -> (Vec<Seen>, Option<u64>) {
        let text = String::from_utf8_lossy(stream);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
        let (mut events, mut retry) = (Vec::new(), None);
        let (mut data, mut event_type, mut id) = (String::new(), String::new(), String::new());
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in complete.split('\n').take(if text.contains('\n') { usize::MAX } else { 0 }) {
            if line.is_empty() {
                if let Some(data) = data.strip_suffix('\n') {
                    let name = if event_type.is_empty() { "message" } else { &event_type };
                    events.push((name.to_string(), data.to_string(), id.clone()));
                }
                data.clear();
                event_type.clear();
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "data" => data.extend([value, "\n"]),
                "event" => event_type = value.to_string(),
                "id" if !value.contains('\0') => id = value.to_string(),
                "retry" if !value.is_empty() && value.chars().all(|c| c.is_ascii_digit()) => retry = value.parse().ok(),
                _ => {}
            }
        }
        (events, retry)
    }

    proptest! {
        #[test]
        fn any_portions_give_the_same_events_and_the_letter_agrees(stream in streams(), cuts in proptest::collection::vec(1usize..9, 1..80)) {
            let (expected, retry) = by_the_letter(&stream);
            let (whole, parser) = read_in_portions([&stream[..]], "");
            prop_assert_eq!(&whole, &expected);
            prop_assert_eq!(parser.retry(), retry.map(Duration::from_millis));
            let mut rest = &stream[..];
            let mut portions = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (head, tail) = rest.split_at((*cut).min(rest.len()));
                portions.push(head);
                rest = tail;
            }
            prop_assert_eq!(&read_in_portions(portions, "").0, &expected);
        }

        #[test]
        fn what_is_written_is_read_back(
            events in proptest::collection::vec((proptest::option::of("[^\r\n\0]{0,12}"), proptest::option::of("[^\r\n\0]{0,12}"), "[a-zä€ :\n]{0,24}"), 0..8),
            portion in 1usize..40,
        ) {
            let mut written = Vec::new();
            let mut expected = Vec::new();
            let mut last_id = String::new();
            for (event_type, id, data) in &events {
                OutgoingEvent { event_type: event_type.as_deref(), id: id.as_deref(), data: Some(data), retry: None }.encode(&mut written).unwrap();
                if let Some(id) = id { last_id.clone_from(id); }
                let name = event_type.as_deref().filter(|name| !name.is_empty()).unwrap_or("message");
                expected.push((name.to_string(), data.clone(), last_id.clone()));
            }
            prop_assert_eq!(read_in_portions(written.chunks(portion), "").0, expected);
        }

        #[test]
        fn arbitrary_bytes_never_upset_it(stream in proptest::collection::vec(any::<u8>(), 0..400), portion in 1usize..50) {
            prop_assert_eq!(read_in_portions(stream.chunks(portion), "").0, read(&stream));
        }
    }
}

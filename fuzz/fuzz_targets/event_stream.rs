//! Event streams: whatever a feed sends, the parser does not panic, keeps its limits, and reads the same however the bytes are cut; and what
//! was read can be written and read again.
//!
//! Input: a byte that says how to cut, then the stream.

#![no_main]

use aether::protocol::event_stream::{EventStreamError, EventStreamLimits, EventStreamParser, OutgoingEvent, StreamEvent};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use std::time::Duration;

/// Small, so that short inputs reach all of them.
const LIMITS: EventStreamLimits = EventStreamLimits { line_bytes_max: 60, event_bytes_max: 100, id_bytes_max: 12, event_type_bytes_max: 8 };

/// What a stream came to.
#[derive(Debug, PartialEq)]
struct Seen {
    events: Vec<StreamEvent>,
    error: Option<EventStreamError>,
    last_event_id: Arc<str>,
    retry: Option<Duration>,
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: EventStreamLimits) -> Seen {
    let mut parser = EventStreamParser::new(limits, Arc::from(""));
    let mut events = Vec::new();
    let mut error = None;
    'stream: for mut piece in pieces {
        loop {
            match parser.next_event(&mut piece) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(e) => {
                    error = Some(e);
                    break 'stream;
                }
            }
        }
        assert!(piece.is_empty(), "a parser that asks for more has read all it was given");
    }
    Seen { events, error, last_event_id: Arc::clone(parser.last_event_id()), retry: parser.retry() }
}

fuzz_target!(|input: &[u8]| {
    let Some((&seed, stream)) = input.split_first() else { return };
    let seen = read(std::iter::once(stream), LIMITS);
    assert_eq!(read(aether_fuzz::cut(stream, seed), LIMITS), seen);
    assert_eq!(read(stream.chunks(1), LIMITS), seen);

    let mut written = Vec::new();
    for StreamEvent { event_type, data, last_event_id, .. } in &seen.events {
        assert!(data.len() <= LIMITS.event_bytes_max);
        // These two are measured as they come; a byte that is no UTF-8 is three when it has been replaced.
        assert!(event_type.len() <= 3 * LIMITS.event_type_bytes_max && last_event_id.len() <= 3 * LIMITS.id_bytes_max);
        // A feed may send NUL in a type; we would not.
        let event_type = event_type.replace('\0', "");
        let event = OutgoingEvent { event_type: Some(&event_type), retry: None, id: Some(last_event_id), data: Some(data) };
        event.encode(&mut written).expect("what was read holds no line ends");
    }
    let read_back = read(std::iter::once(&written[..]), EventStreamLimits::default());
    // An id that was inherited has been written like one of the event's own.
    let expected = seen.events.into_iter().map(|event| StreamEvent {
        event_type: event.event_type.replace('\0', ""),
        has_id: !event.last_event_id.is_empty(),
        ..event
    });
    let expected: Vec<_> = expected.collect();
    assert_eq!((read_back.events, read_back.error), (expected, None));
});

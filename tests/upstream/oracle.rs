//! The parser beside one that is not ours: the npm package `eventsource-parser`.

use aether::protocol::event_stream::{EventStreamLimits, EventStreamParser};
use base64::prelude::*;
use rand::prelude::*;
use rand::rngs::StdRng;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

const STREAMS: usize = 2_000;

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Found {
    events: Vec<(String, String)>,
    retry: Option<u64>,
}

/// A stream of the pieces that parsers stumble over. It ends with a line, because that parser waits for more after a CR.
fn stream(dice: &mut StdRng) -> Vec<u8> {
    const PIECES: [&[u8]; 22] = [
        b"\n",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\n\r\n",
        b"data: ",
        b"data:",
        b"data",
        b"a",
        b"event: e",
        b"event",
        b"id: 4\n",
        b"retry: 12\n",
        b"retry: 1x\n",
        b":",
        b" ",
        b"\xEF\xBB\xBF",
        "ä€𝄞".as_bytes(),
        b"\xED\xA0\x80",
        b"\xFF",
        b"\xF0\x9D\x84",
    ];
    let pieces = dice.random_range(0..60);
    let mut stream = (0..pieces).map(|_| PIECES[dice.random_range(0..PIECES.len())]).collect::<Vec<_>>().concat();
    stream.extend_from_slice(b"\n:end\n");
    stream
}

fn ours(stream: &[u8], dice: &mut StdRng) -> Found {
    let mut parser = EventStreamParser::new(EventStreamLimits::default(), Arc::from(""));
    let (mut events, mut rest) = (Vec::new(), stream);
    while !rest.is_empty() {
        let (mut portion, after) = rest.split_at(dice.random_range(1..=rest.len()));
        rest = after;
        while let Some(event) = parser.next_event(&mut portion).unwrap() {
            events.push((event.event_type_or_message().to_string(), event.data));
        }
    }
    Found { events, retry: parser.retry().map(|retry| retry.as_millis() as u64) }
}

#[test]
fn another_parser_finds_the_same_events() {
    let oracle = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/upstream_oracle");
    if !oracle.join("node_modules/eventsource-parser").exists() {
        eprintln!("skipped: tests/upstream_oracle is not installed (npm ci)");
        return;
    }
    let mut dice = StdRng::seed_from_u64(20_261_121);
    let streams: Vec<Vec<u8>> = (0..STREAMS).map(|_| stream(&mut dice)).collect();
    let input = serde_json::to_vec(&streams.iter().map(|stream| BASE64_STANDARD.encode(stream)).collect::<Vec<_>>()).unwrap();
    let mut command = Command::new("node");
    let mut node = command.arg("oracle.mjs").current_dir(oracle).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // The script reads everything before it writes anything.
    node.stdin.take().unwrap().write_all(&input).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    let theirs: Vec<Found> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(theirs.len(), STREAMS);
    let mut events = 0;
    for (stream, theirs) in streams.iter().zip(theirs) {
        events += theirs.events.len();
        assert_eq!(ours(stream, &mut dice), theirs, "{:?}", String::from_utf8_lossy(stream));
    }
    assert!(events > 1_000, "only {events} events compared");
}

//! WebSocket frames: whatever a client sends, the reader does not panic, keeps its limits, and says the same however the bytes are cut.
//!
//! Input: a byte that says how to cut, then what the client sends.

#![no_main]

use aether::protocol::websocket::{FrameError, Incoming, Limits, Opcode, Reader, close_frame, frame};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

/// Small, so that short inputs reach both limits.
const LIMITS: Limits = Limits { message_bytes_max: 400, fragments_max: 4 };

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Incoming>, Option<FrameError>) {
    let (mut reader, mut buf, mut said) = (Reader::new(), BytesMut::new(), Vec::new());
    for piece in pieces {
        buf.extend_from_slice(piece);
        loop {
            match reader.next(&mut buf, &LIMITS) {
                Ok(Some(incoming)) => {
                    let is_last = matches!(incoming, Incoming::Close(_));
                    said.push(incoming);
                    if is_last {
                        return (said, None);
                    }
                }
                Ok(None) => break,
                Err(error) => return (said, Some(error)),
            }
        }
        assert!((1..=LIMITS.message_bytes_max).contains(&reader.wanted(&buf)));
    }
    (said, None)
}

/// Our frame as a client would send it: with the mask bit, and a mask that changes nothing.
fn as_client(frame: &[u8]) -> Vec<u8> {
    let header_len = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    [&[frame[0], frame[1] | 0x80], &frame[2..header_len], &[0; 4], &frame[header_len..]].concat()
}

fuzz_target!(|input: &[u8]| {
    let Some((&seed, bytes)) = input.split_first() else { return };
    let (said, error) = read(std::iter::once(bytes));
    assert_eq!(read(aether_fuzz::cut(bytes, seed)), (said.clone(), error));
    assert_eq!(read(bytes.chunks(1)), (said.clone(), error));
    if let Some(error) = error {
        assert!(matches!(error.close_code(), 1002 | 1007 | 1009) && !error.kind().is_empty());
    }
    for incoming in said {
        let written = match &incoming {
            Incoming::Text(text) => {
                assert!(text.len() <= LIMITS.message_bytes_max && std::str::from_utf8(text).is_ok());
                frame(Opcode::Text, text)
            }
            Incoming::Binary(payload) => {
                assert!(payload.len() <= LIMITS.message_bytes_max);
                frame(Opcode::Binary, payload)
            }
            Incoming::Ping(payload) => frame(Opcode::Ping, payload),
            Incoming::Pong(payload) => frame(Opcode::Pong, payload),
            Incoming::Close(Some(close)) => close_frame(close.code, &close.reason),
            Incoming::Close(None) => frame(Opcode::Close, b""),
        };
        assert_eq!(read(std::iter::once(&as_client(&written)[..])), (vec![incoming], None));
    }
});

//! What a client says and reads on its way into a hub: the upgrade request, the head of the answer, WebSocket frames as clients write and read them.
//! For the command line, and for the canaries of `metrics`.
//!
//! Written apart from the codec that sessions use ([`super::websocket`]), so that a mistake there does not hide behind the same mistake here. No I/O:
//! bytes in, values out.

use std::fmt::Write as _;

/// The longest message that is taken from a server; it is also what the load tool's one read buffer is made for.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// A response head longer than this is no answer of a server that we know.
const HEAD_BYTES_MAX: usize = 16 << 10;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the server's answer is not HTTP/1.1")]
    NotHttp,
    #[error("the server answered {status} instead of {wanted}")]
    Status { status: u16, wanted: &'static str },
    #[error("the server's Sec-WebSocket-Accept does not match")]
    Accept,
    #[error("a frame of {bytes} bytes is longer than the {MESSAGE_BYTES_MAX} that are taken")]
    TooLong { bytes: u64 },
    #[error("a frame that is not understood (fragmented, masked or with reserved bits)")]
    Frame,
    #[error("a body that is not chunked as it says")]
    Chunk,
    #[error("a message that is not of this protocol: {start}")]
    Message { start: String },
    #[error("the server refused command {id}: {message} (code {code})")]
    Refused { id: u32, code: u32, message: String },
    #[error("the server closed with code {code}: {reason}")]
    Closed { code: u16, reason: String },
}

// === HTTP ===

/// A key is sent only to be hashed by the server, so that one key serves all connections; its answer is then a constant (the pair is the
/// example of RFC 6455, 1.3).
const WEBSOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const WEBSOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub fn upgrade_request(host: &str, path: &str, subprotocol: Option<&str>) -> Vec<u8> {
    let mut text = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {WEBSOCKET_KEY}\r\n"
    );
    if let Some(name) = subprotocol {
        let _ = write!(text, "Sec-WebSocket-Protocol: {name}\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Length(usize),
    Chunked,
    UntilClosed,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    pub body: Body,
    accept_matches: bool,
    /// Bytes of the head, the empty line included.
    pub len: usize,
}

impl Head {
    /// The head of a response, or `None` while it is not complete.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, WireError> {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
            return if bytes.len() > HEAD_BYTES_MAX { Err(WireError::NotHttp) } else { Ok(None) };
        };
        let mut lines = bytes[..end].split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let status_line = lines.next().unwrap_or_default();
        let status = status_line
            .strip_prefix(b"HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse().ok())
            .ok_or(WireError::NotHttp)?;
        let mut head = Self { status, body: Body::UntilClosed, accept_matches: false, len: end + 4 };
        if status == 204 || status < 200 {
            head.body = Body::Length(0);
        }
        for line in lines {
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                let length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(WireError::NotHttp)?;
                head.body = Body::Length(length);
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") && value.eq_ignore_ascii_case(b"chunked") {
                head.body = Body::Chunked;
            } else if name.eq_ignore_ascii_case(b"sec-websocket-accept") {
                head.accept_matches = value == WEBSOCKET_ACCEPT.as_bytes();
            }
        }
        Ok(Some(head))
    }

    pub fn expect_upgrade(&self) -> Result<(), WireError> {
        match self.status {
            101 if self.accept_matches => Ok(()),
            101 => Err(WireError::Accept),
            status => Err(WireError::Status { status, wanted: "101" }),
        }
    }

    pub fn expect_success(&self) -> Result<(), WireError> {
        if (200..300).contains(&self.status) { Ok(()) } else { Err(WireError::Status { status: self.status, wanted: "2xx" }) }
    }
}

// === WebSocket frames (RFC 6455, 5.2) ===

pub const OP_TEXT: u8 = 1;
pub const OP_BINARY: u8 = 2;
pub const OP_CLOSE: u8 = 8;
pub const OP_PING: u8 = 9;
pub const OP_PONG: u8 = 10;

/// Clients must mask (RFC 6455, 5.3), so that no page can make a proxy believe things. What these callers send nobody else chooses, so the mask need
/// not be secret, but not zero either, so that the server does its work.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x96, 0x2f];

#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    /// The payload's place in what was given to [`next_frame`].
    pub start: usize,
    pub end: usize,
}

/// The frame that begins at `at`, or `None` while it is not complete.
#[inline]
pub fn next_frame(bytes: &[u8], at: usize) -> Result<Option<Frame>, WireError> {
    let Some(&[first, second]) = bytes.get(at..at + 2) else { return Ok(None) };
    // FIN must be set, RSV1-3 clear, opcode not "continuation", MASK clear.
    if first & 0xf0 != 0x80 || first & 0x0f == 0 || second & 0x80 != 0 {
        return Err(WireError::Frame);
    }
    let (start, len) = match second {
        126 => match bytes.get(at + 2..at + 4) {
            Some(&[high, low]) => (at + 4, usize::from(u16::from_be_bytes([high, low]))),
            _ => return Ok(None),
        },
        127 => match bytes.get(at + 2..at + 10) {
            Some(eight) => {
                let long = eight.iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
                if long > MESSAGE_BYTES_MAX as u64 - 10 {
                    return Err(WireError::TooLong { bytes: long });
                }
                (at + 10, long as usize)
            }
            None => return Ok(None),
        },
        short => (at + 2, usize::from(short)),
    };
    let end = start + len;
    Ok((end <= bytes.len()).then_some(Frame { opcode: first & 0x0f, start, end }))
}

/// Appends a masked frame.
pub fn put_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let start = out.len();
    out.extend_from_slice(payload);
    for (index, byte) in out[start..].iter_mut().enumerate() {
        *byte ^= MASK[index & 3];
    }
}

/// What a close frame says.
pub fn close_reason(payload: &[u8]) -> WireError {
    match payload {
        [high, low, reason @ ..] => {
            WireError::Closed { code: u16::from_be_bytes([*high, *low]), reason: String::from_utf8_lossy(reason).into_owned() }
        }
        // 1005: no code was given (RFC 6455, 7.1.5).
        _ => WireError::Closed { code: 1_005, reason: String::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_response_head_is_read_when_it_is_there() {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nrest";
        let head = Head::read(answer).unwrap().unwrap();
        assert_eq!((head.expect_upgrade(), &answer[head.len..]), (Ok(()), &b"rest"[..]));
        for cut in 0..answer.len() - 4 {
            assert_eq!(Head::read(&answer[..cut]), Ok(None), "{cut}");
        }
        for (text, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n", 200, Body::Length(13)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 200, Body::Chunked),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, Body::Length(0)),
            ("HTTP/1.1 200 OK\r\n\r\n", 200, Body::UntilClosed),
        ] {
            let head = Head::read(text.as_bytes()).unwrap().unwrap();
            assert_eq!((head.status, head.body, head.len), (status, body, text.len()), "{text}");
        }
        for text in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 two\r\n\r\n"] {
            assert_eq!(Head::read(text.as_bytes()), Err(WireError::NotHttp), "{text}");
        }
        assert_eq!(Head::read(&[b'x'; HEAD_BYTES_MAX + 1]), Err(WireError::NotHttp), "endless");
        let refused = Head::read(b"HTTP/1.1 503 Busy\r\n\r\n").unwrap().unwrap();
        assert_eq!(refused.expect_upgrade(), Err(WireError::Status { status: 503, wanted: "101" }));
    }

    proptest! {
        #[test]
        fn no_bytes_of_a_server_make_it_panic(bytes: Vec<u8>) {
            let _ = Head::read(&bytes);
            let _ = next_frame(&bytes, 0);
            let _ = close_reason(&bytes);
        }

        #[test]
        fn frames_have_the_length_they_say(len in prop_oneof![0usize..300, 65_000usize..66_000]) {
            let payload = vec![7u8; len];
            let mut bytes = Vec::new();
            put_frame(&mut bytes, OP_TEXT, &payload);
            // Written with a mask and read without one: take it away as a server would.
            let mask_at = bytes.windows(4).position(|four| four == MASK).unwrap();
            bytes.drain(mask_at..mask_at + 4);
            bytes[1] &= 0x7f;
            for (index, byte) in bytes[mask_at..].iter_mut().enumerate() {
                *byte ^= MASK[index & 3];
            }
            prop_assert_eq!(next_frame(&bytes[..bytes.len() - 1], 0).unwrap().is_some(), false);
            let frame = next_frame(&bytes, 0).unwrap().unwrap();
            prop_assert_eq!((frame.opcode, &bytes[frame.start..frame.end]), (OP_TEXT, &payload[..]));
        }
    }

    #[test]
    fn frames_that_no_server_may_send_are_refused() {
        for bytes in [[0x01, 1], [0x80, 0], [0xc1, 0], [0x81, 0x80]] {
            assert_eq!(next_frame(&bytes, 0), Err(WireError::Frame), "{bytes:x?}");
        }
        assert_eq!(next_frame(&[0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0], 0), Err(WireError::TooLong { bytes: 1 << 40 }));
        assert_eq!(close_reason(&[0x0b, 0xb8, b'b', b'y', b'e']), WireError::Closed { code: 3_000, reason: "bye".into() });
    }
}

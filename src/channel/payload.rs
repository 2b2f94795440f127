//! The bytes of a publication, and what is known about them.

use bytes::Bytes;
use serde_json::value::RawValue;
use std::ops::Deref;

/// What a publication carries. JSON clients can only be sent JSON, and their protocol separates messages by line feeds, so both are
/// settled once here instead of at every delivery: [`Payload::is_json`] is known, and JSON contains no line feed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Payload {
    bytes: Bytes,
    is_json: bool,
}

impl Payload {
    /// Bytes of unknown kind, for instance from a Protobuf client.
    pub fn from_bytes(bytes: Bytes) -> Self {
        match serde_json::from_slice::<&RawValue>(&bytes) {
            Ok(_) => Self { bytes: one_line(bytes), is_json: true },
            Err(_) => Self { bytes, is_json: false },
        }
    }

    /// Bytes that a JSON parser has already found to be one JSON value.
    pub fn from_json(bytes: Bytes) -> Self {
        Self { bytes: one_line(bytes), is_json: true }
    }

    pub fn is_json(&self) -> bool {
        self.is_json
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether the other one holds the same bytes; at once where it is a copy of this one.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.bytes.as_ptr() == other.bytes.as_ptr() && self.bytes.len() == other.bytes.len()) || self.bytes == other.bytes
    }

    /// The same payload in an allocation of its own. A payload is often a small slice of a large receive buffer, and whoever keeps the
    /// slice keeps the whole buffer: what is kept for long is detached first.
    pub fn detached(&self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), is_json: self.is_json }
    }
}

impl Deref for Payload {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Line feeds and carriage returns outside of JSON strings are white space, and inside of them they are not allowed (RFC 8259, 7): so
/// every one of them in valid JSON may become a blank, and nothing else of the payload is touched.
fn one_line(bytes: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &bytes).is_none() {
        return bytes;
    }
    bytes.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect::<Vec<u8>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_recognised_and_otherwise_untouched() {
        let cases: [(&[u8], bool, &[u8]); 7] = [
            (b"{\"b\":1,\"a\":1.50}", true, b"{\"b\":1,\"a\":1.50}"),
            (b"{\n\"a\":\r\n1}", true, b"{ \"a\":  1}"),
            (b"12345678901234567890123", true, b"12345678901234567890123"),
            (b"", false, b""),
            (b"{\"a\":", false, b"{\"a\":"),
            (b"\xff\xfe", false, b"\xff\xfe"),
            (b"line\nfeed", false, b"line\nfeed"),
        ];
        for (input, is_json, kept) in cases {
            let payload = Payload::from_bytes(Bytes::copy_from_slice(input));
            assert_eq!((payload.is_json(), &payload[..]), (is_json, kept), "{}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn a_detached_payload_shares_no_buffer() {
        let buffer = Bytes::from(vec![b'1'; 64]);
        let payload = Payload::from_json(buffer.slice(10..12));
        let detached = payload.detached();
        assert_eq!(detached, payload);
        drop(payload);
        assert!(buffer.is_unique(), "the detached payload still holds the buffer");
    }
}

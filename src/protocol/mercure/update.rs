//! An update as event-stream bytes.

use super::form::hex;
use crate::protocol::event_stream::{EncodeError, OutgoingEvent};
use bytes::Bytes;
use std::fmt::Write;
use std::time::Duration;

/// One update, ready for every subscriber. Empty data still makes an event, since its id matters.
pub fn encode(event_type: Option<&str>, retry_ms: u64, id: &str, data: &str) -> Result<Bytes, EncodeError> {
    let retry = (retry_ms > 0).then(|| Duration::from_millis(retry_ms));
    let mut out = Vec::with_capacity(data.len() + id.len() + 64);
    OutgoingEvent { event_type: event_type.filter(|text| !text.is_empty()), retry, id: Some(id), data: Some(data) }.encode(&mut out)?;
    Ok(out.into())
}

/// A text as one segment of a path: everything but unreserved characters (RFC 3986, 2.3) is percent-encoded, once.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into memory does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A text out of what [`escaped`] made of it. `None`: there is a percent sign that escapes nothing, or what comes out is no UTF-8.
pub fn unescaped(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let (digits, behind) = tail.split_at_checked(2)?;
        out.push(hex(digits[0])? << 4 | hex(digits[1])?);
        rest = behind;
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event_type: Option<&str>, retry_ms: u64, id: &str, data: &str) -> String {
        String::from_utf8(encode(event_type, retry_ms, id, data).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn an_update_is_written_in_the_order_of_the_protocol() {
        assert_eq!(
            written(Some("tick"), 5_000, "urn:1", "a\r\nb\rc\nd"),
            "event: tick\nretry: 5000\nid: urn:1\ndata: a\ndata: b\ndata: c\ndata: d\n\n"
        );
        assert_eq!(written(None, 0, "1", ""), "id: 1\ndata: \n\n");
        assert_eq!(written(Some(""), 0, "1", "x\n"), "id: 1\ndata: x\ndata: \n\n");
        assert!(encode(Some("a\nb"), 0, "1", "x").is_err());
        assert!(encode(None, 0, "a\r", "x").is_err());
    }

    #[test]
    fn a_segment_is_encoded_once() {
        assert_eq!(escaped("https://a/b?é %"), "https%3A%2F%2Fa%2Fb%3F%C3%A9%20%25");
        assert_eq!(escaped("A-z._~0"), "A-z._~0");
        assert_eq!(unescaped("https%3A%2F%2Fa%2Fb%3F%C3%A9%20%25+").as_deref(), Some("https://a/b?é %+"));
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(unescaped(broken), None, "{broken}");
        }
    }
}

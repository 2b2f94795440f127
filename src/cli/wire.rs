//! The bytes of the protocols that the command line speaks as a client: HTTP heads, WebSocket frames, chunked bodies, Centrifuge commands and
//! replies. For the load tool; `aether admin` uses its heads and frames.
//!
//! Written by hand and apart from the hub's own codecs for two reasons: a load tool must cost less than what it measures (no message is
//! parsed that only has to be counted), and a mistake in the hub's codec must not hide behind the same mistake here.

use serde::Deserialize;
use std::fmt::Write as _;

/// The longest message that is taken from a server; it is also the size of the load tool's one read buffer.
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
    #[error("a frame of {bytes} bytes is longer than the {MESSAGE_BYTES_MAX} that the tool takes")]
    TooLong { bytes: u64 },
    #[error("a frame that the tool does not understand (fragmented, masked or with reserved bits)")]
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

pub fn event_stream_request(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\nCache-Control: no-store\r\n\r\n").into_bytes()
}

/// Appends a POST; the path comes in parts, `key` goes into X-API-Key.
pub fn put_post(out: &mut Vec<u8>, host: &str, path: [&str; 3], key: Option<&str>, body: &[u8]) {
    for part in ["POST ", path[0], path[1], path[2], " HTTP/1.1\r\nHost: ", host, "\r\nContent-Type: application/json\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    if let Some(key) = key {
        for part in ["X-API-Key: ", key, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(b"Content-Length: ");
    put_decimal(out, body.len() as u64);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
}

fn put_decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
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

/// Where a chunked body stands (RFC 9112, 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chunked {
    #[default]
    Size,
    SizeRead(usize),
    Extension(usize),
    Data(usize),
    DataEnd,
    /// The last chunk came; the empty line after it is still to come.
    Trailer,
    TrailerLine,
    Over,
}

impl Chunked {
    /// Moves the data in `bytes` to its beginning and returns how much it is.
    pub fn strip(&mut self, bytes: &mut [u8]) -> Result<usize, WireError> {
        let (mut read, mut written) = (0, 0);
        while read < bytes.len() {
            let byte = bytes[read];
            *self = match *self {
                Self::Data(left) => {
                    let take = left.min(bytes.len() - read);
                    bytes.copy_within(read..read + take, written);
                    written += take;
                    read += take;
                    *self = if take == left { Self::DataEnd } else { Self::Data(left - take) };
                    continue;
                }
                Self::Size | Self::SizeRead(_) if byte.is_ascii_hexdigit() => {
                    let before = if let Self::SizeRead(size) = *self { size } else { 0 };
                    let digit = char::from(byte).to_digit(16).unwrap_or_default() as usize;
                    if before > MESSAGE_BYTES_MAX {
                        return Err(WireError::Chunk);
                    }
                    Self::SizeRead(before * 16 + digit)
                }
                Self::SizeRead(size) | Self::Extension(size) if byte == b'\n' => {
                    if size == 0 {
                        Self::Trailer
                    } else {
                        Self::Data(size)
                    }
                }
                Self::SizeRead(size) | Self::Extension(size) => Self::Extension(size),
                Self::DataEnd if byte == b'\r' => Self::DataEnd,
                Self::DataEnd if byte == b'\n' => Self::Size,
                Self::Trailer if byte == b'\r' => Self::Trailer,
                Self::Trailer if byte == b'\n' => Self::Over,
                Self::Trailer => Self::TrailerLine,
                Self::TrailerLine if byte == b'\n' => Self::Trailer,
                Self::TrailerLine => Self::TrailerLine,
                Self::Size | Self::DataEnd | Self::Over => return Err(WireError::Chunk),
            };
            read += 1;
        }
        Ok(written)
    }
}

// === WebSocket frames (RFC 6455, 5.2) ===

pub const OP_TEXT: u8 = 1;
pub const OP_BINARY: u8 = 2;
pub const OP_CLOSE: u8 = 8;
pub const OP_PING: u8 = 9;
pub const OP_PONG: u8 = 10;

/// Clients must mask. What a load tool sends to its own test server needs no secret mask, but one that is not zero, so that the server
/// does its work.
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

// === Centrifuge ===

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Json,
    Protobuf,
}

/// A place in a channel's stream, as the server calls it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub epoch: String,
    pub offset: u64,
}

/// How to subscribe.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// From now on, without a position.
    Live,
    /// Live, and publications as deltas.
    Deltas,
    /// From now on, with a position to come back to.
    Positioned,
    Recover(&'a Position),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Subscribed {
    pub position: Position,
    pub recovered: bool,
}

/// What a reply to a command says, as far as the tool cares.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reply {
    pub id: u32,
    pub subscribed: Option<Subscribed>,
}

/// One message out of a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    Ping,
    /// Not parsed: the mark in it says what the tool wants to know.
    Push(&'a [u8]),
    Reply(&'a [u8]),
}

pub const CONNECT_ID: u32 = 1;
pub const SUBSCRIBE_ID: u32 = 2;

impl Codec {
    pub fn opcode(self) -> u8 {
        match self {
            Self::Json => OP_TEXT,
            Self::Protobuf => OP_BINARY,
        }
    }

    pub fn subprotocol(self) -> Option<&'static str> {
        match self {
            Self::Json => None,
            Self::Protobuf => Some("centrifuge-protobuf"),
        }
    }

    pub fn pong(self) -> &'static [u8] {
        match self {
            Self::Json => b"{}",
            Self::Protobuf => &[0],
        }
    }

    /// The connect command and, with a channel, the subscribe command behind it: the official JavaScript SDK sends both in one frame too.
    pub fn hello(self, token: &str, channel: Option<(&str, Start<'_>)>) -> Vec<u8> {
        match self {
            Self::Json => {
                let connect = if token.is_empty() { serde_json::json!({}) } else { serde_json::json!({ "token": token }) };
                let mut text = serde_json::json!({ "id": CONNECT_ID, "connect": connect }).to_string();
                if let Some((channel, start)) = channel {
                    let subscribe = match start {
                        Start::Live => serde_json::json!({ "channel": channel }),
                        Start::Deltas => serde_json::json!({ "channel": channel, "delta": "fossil" }),
                        Start::Positioned => serde_json::json!({ "channel": channel, "positioned": true, "recoverable": true }),
                        Start::Recover(position) => serde_json::json!({
                            "channel": channel, "recover": true, "epoch": position.epoch, "offset": position.offset,
                            "positioned": true, "recoverable": true,
                        }),
                    };
                    let _ = write!(text, "\n{}", serde_json::json!({ "id": SUBSCRIBE_ID, "subscribe": subscribe }));
                }
                text.into_bytes()
            }
            Self::Protobuf => {
                let mut connect = Vec::new();
                if !token.is_empty() {
                    put_field(&mut connect, 1, token.as_bytes());
                }
                let mut bytes = Vec::new();
                put_command(&mut bytes, CONNECT_ID, 4, &connect);
                if let Some((channel, start)) = channel {
                    let mut subscribe = Vec::new();
                    put_field(&mut subscribe, 1, channel.as_bytes());
                    if let Start::Recover(position) = start {
                        put_number(&mut subscribe, 3, 1);
                        put_field(&mut subscribe, 6, position.epoch.as_bytes());
                        put_number(&mut subscribe, 7, position.offset);
                    }
                    if matches!(start, Start::Deltas) {
                        put_field(&mut subscribe, 12, b"fossil");
                    } else if !matches!(start, Start::Live) {
                        put_number(&mut subscribe, 9, 1);
                        put_number(&mut subscribe, 10, 1);
                    }
                    put_command(&mut bytes, SUBSCRIBE_ID, 5, &subscribe);
                }
                bytes
            }
        }
    }

    /// Appends a publish command. `data` is JSON and the channel one of the tool's own plain names.
    pub fn put_publish(self, out: &mut Vec<u8>, scratch: &mut Vec<u8>, id: u32, channel: &str, data: &[u8]) {
        match self {
            Self::Json => {
                out.extend_from_slice(b"{\"id\":");
                put_decimal(out, u64::from(id));
                out.extend_from_slice(b",\"publish\":{\"channel\":\"");
                out.extend_from_slice(channel.as_bytes());
                out.extend_from_slice(b"\",\"data\":");
                out.extend_from_slice(data);
                out.extend_from_slice(b"}}");
            }
            Self::Protobuf => {
                scratch.clear();
                put_field(scratch, 1, channel.as_bytes());
                put_field(scratch, 2, data);
                put_command(out, id, 7, scratch);
            }
        }
    }

    /// The first message of `frame`, and the rest.
    #[inline]
    pub fn split(self, frame: &[u8]) -> Result<(Message<'_>, &[u8]), WireError> {
        match self {
            Self::Json => {
                let (line, rest) = match memchr::memchr(b'\n', frame) {
                    Some(end) => (&frame[..end], &frame[end + 1..]),
                    None => (frame, &frame[frame.len()..]),
                };
                let message = if line.starts_with(b"{\"push\"") {
                    Message::Push(line)
                } else if line == b"{}" {
                    Message::Ping
                } else {
                    Message::Reply(line)
                };
                Ok((message, rest))
            }
            Self::Protobuf => {
                let (len, body) = varint(frame).ok_or_else(|| not_ours(frame))?;
                if len > body.len() as u64 {
                    return Err(not_ours(frame));
                }
                let (message, rest) = body.split_at(len as usize);
                // Field 4 of Reply, length-delimited, is a push.
                let message = match message.first() {
                    None => Message::Ping,
                    Some(0x22) => Message::Push(message),
                    Some(_) => Message::Reply(message),
                };
                Ok((message, rest))
            }
        }
    }

    /// Reads a reply; one that carries an error is an error.
    pub fn reply(self, bytes: &[u8]) -> Result<Reply, WireError> {
        match self {
            Self::Json => json_reply(bytes),
            Self::Protobuf => protobuf_reply(bytes).ok_or_else(|| not_ours(bytes))?,
        }
    }
}

fn not_ours(bytes: &[u8]) -> WireError {
    WireError::Message { start: String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned() }
}

fn json_reply(bytes: &[u8]) -> Result<Reply, WireError> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(default)]
        id: u32,
        error: Option<WireRefusal>,
        subscribe: Option<WireSubscribed>,
    }
    #[derive(Deserialize)]
    struct WireRefusal {
        #[serde(default)]
        code: u32,
        #[serde(default)]
        message: String,
    }
    #[derive(Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct WireSubscribed {
        epoch: String,
        offset: u64,
        recovered: bool,
    }
    let wire: Wire = serde_json::from_slice(bytes).map_err(|_| not_ours(bytes))?;
    if let Some(refusal) = wire.error {
        return Err(WireError::Refused { id: wire.id, code: refusal.code, message: refusal.message });
    }
    let subscribed =
        wire.subscribe.map(|wire| Subscribed { position: Position { epoch: wire.epoch, offset: wire.offset }, recovered: wire.recovered });
    Ok(Reply { id: wire.id, subscribed })
}

/// `None`: not Protobuf.
fn protobuf_reply(bytes: &[u8]) -> Option<Result<Reply, WireError>> {
    let mut reply = Reply::default();
    let mut refusal = None;
    for field in Fields(bytes) {
        match field? {
            (1, Value::Number(id)) => reply.id = id as u32,
            (2, Value::Bytes(error)) => {
                let (mut code, mut message) = (0, String::new());
                for field in Fields(error) {
                    match field? {
                        (1, Value::Number(number)) => code = number as u32,
                        (2, Value::Bytes(text)) => message = String::from_utf8_lossy(text).into_owned(),
                        _ => {}
                    }
                }
                refusal = Some((code, message));
            }
            (6, Value::Bytes(result)) => {
                let mut subscribed = Subscribed::default();
                for field in Fields(result) {
                    match field? {
                        (6, Value::Bytes(epoch)) => subscribed.position.epoch = String::from_utf8_lossy(epoch).into_owned(),
                        (8, Value::Number(flag)) => subscribed.recovered = flag != 0,
                        (9, Value::Number(offset)) => subscribed.position.offset = offset,
                        _ => {}
                    }
                }
                reply.subscribed = Some(subscribed);
            }
            _ => {}
        }
    }
    Some(match refusal {
        Some((code, message)) => Err(WireError::Refused { id: reply.id, code, message }),
        None => Ok(reply),
    })
}

// === Protobuf, as little as is needed ===

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// The fields of a message; `None` as an item: malformed.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<(u64, Value<'a>)> {
        let (tag, rest) = varint(self.0)?;
        let (value, rest) = match tag & 7 {
            0 => varint(rest).map(|(number, rest)| (Value::Number(number), rest))?,
            1 => (Value::Fixed, rest.get(8..)?),
            2 => {
                let (len, rest) = varint(rest)?;
                let len = usize::try_from(len).ok()?;
                (Value::Bytes(rest.get(..len)?), &rest[len..])
            }
            5 => (Value::Fixed, rest.get(4..)?),
            _ => return None,
        };
        self.0 = rest;
        Some((tag >> 3, value))
    }
}

#[inline]
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    // A 64-bit number takes at most ten bytes.
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_number(out: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(out, field << 3);
    put_varint(out, value);
}

fn put_field(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A length-delimited Command with one request member.
fn put_command(out: &mut Vec<u8>, id: u32, field: u64, request: &[u8]) {
    let mut front = Vec::with_capacity(16);
    put_number(&mut front, 1, u64::from(id));
    put_varint(&mut front, field << 3 | 2);
    put_varint(&mut front, request.len() as u64);
    put_varint(out, (front.len() + request.len()) as u64);
    out.extend_from_slice(&front);
    out.extend_from_slice(request);
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
        fn a_chunked_body_is_the_same_however_it_is_cut(parts in proptest::collection::vec("[a-z]{1,40}", 0..6), cut in 1usize..9) {
            let mut wire = String::new();
            for part in &parts {
                let _ = write!(wire, "{:x};note=1\r\n{part}\r\n", part.len());
            }
            wire.push_str("0\r\nTrailer: x\r\n\r\n");
            let (mut state, mut body) = (Chunked::default(), Vec::new());
            for piece in wire.into_bytes().chunks_mut(cut) {
                let len = state.strip(piece).unwrap();
                body.extend_from_slice(&piece[..len]);
            }
            prop_assert_eq!((String::from_utf8(body).unwrap(), state), (parts.concat(), Chunked::Over));
        }

        #[test]
        fn no_bytes_of_a_server_make_it_panic(mut bytes: Vec<u8>) {
            let _ = Head::read(&bytes);
            let _ = next_frame(&bytes, 0);
            let _ = close_reason(&bytes);
            for codec in [Codec::Json, Codec::Protobuf] {
                let _ = codec.reply(&bytes);
                let mut rest = &bytes[..];
                while let Ok((_, next)) = codec.split(rest) {
                    if next.is_empty() {
                        break;
                    }
                    rest = next;
                }
            }
            let _ = Chunked::default().strip(&mut bytes);
        }

        #[test]
        fn frames_have_the_length_they_say(len in prop_oneof![0usize..300, 65_000usize..66_000]) {
            let payload = vec![7u8; len];
            let mut bytes = Vec::new();
            put_frame(&mut bytes, OP_TEXT, &payload);
            // The tool writes masked and reads unmasked frames: take the mask away as a server would see it.
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

    #[test]
    fn a_frame_of_several_messages_is_split() {
        let json =
            b"{\"push\":{\"a\":1}}\n{}\n{\"id\":2,\"subscribe\":{\"epoch\":\"e\",\"offset\":7,\"recovered\":true,\"publications\":[{\"data\":1}]}}";
        let mut protobuf = Vec::new();
        protobuf.extend_from_slice(&[2, 0x22, 0, 0]);
        let mut subscribe = Vec::new();
        put_field(&mut subscribe, 7, b"\x22\x011");
        put_field(&mut subscribe, 6, b"e");
        put_number(&mut subscribe, 8, 1);
        put_number(&mut subscribe, 9, 7);
        put_command(&mut protobuf, 2, 6, &subscribe);
        for (codec, frame) in [(Codec::Json, &json[..]), (Codec::Protobuf, &protobuf[..])] {
            let (push, rest) = codec.split(frame).unwrap();
            let (ping, rest) = codec.split(rest).unwrap();
            let (reply, rest) = codec.split(rest).unwrap();
            assert!(matches!((push, ping, rest), (Message::Push(_), Message::Ping, [])), "{codec:?}");
            let Message::Reply(reply) = reply else { panic!("{codec:?}: no reply") };
            let expected = Subscribed { position: Position { epoch: "e".into(), offset: 7 }, recovered: true };
            assert_eq!(codec.reply(reply), Ok(Reply { id: 2, subscribed: Some(expected) }), "{codec:?}");
        }
    }

    #[test]
    fn a_refusal_is_an_error_in_both_codecs() {
        let mut error = Vec::new();
        put_number(&mut error, 1, 103);
        put_field(&mut error, 2, b"permission denied");
        let mut protobuf = Vec::new();
        put_number(&mut protobuf, 1, 2);
        put_field(&mut protobuf, 2, &error);
        let expected = Err(WireError::Refused { id: 2, code: 103, message: "permission denied".into() });
        assert_eq!(Codec::Protobuf.reply(&protobuf), expected);
        assert_eq!(Codec::Json.reply(br#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#), expected);
    }

    #[test]
    fn commands_are_those_of_the_protocol() {
        let position = Position { epoch: "ep".into(), offset: 300 };
        let json = String::from_utf8(Codec::Json.hello("t", Some(("c", Start::Recover(&position))))).unwrap();
        let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines,
            [
                serde_json::json!({ "id": 1, "connect": { "token": "t" } }),
                serde_json::json!({ "id": 2, "subscribe": { "channel": "c", "recover": true, "epoch": "ep", "offset": 300, "positioned": true, "recoverable": true } }),
            ]
        );
        let expected: &[u8] = &[
            7, 0x08, 1, 0x22, 3, 0x0a, 1, b't', // id 1, connect { token "t" }
            20, 0x08, 2, 0x2a, 16, 0x0a, 1, b'c', 0x18, 1, 0x32, 2, b'e', b'p', 0x38, 0xac, 0x02, 0x48, 1, 0x50, 1,
        ];
        assert_eq!(Codec::Protobuf.hello("t", Some(("c", Start::Recover(&position)))), expected);
        let mut publish = Vec::new();
        Codec::Protobuf.put_publish(&mut publish, &mut Vec::new(), 5, "c", b"{}");
        assert_eq!(publish, [11, 0x08, 5, 0x3a, 7, 0x0a, 1, b'c', 0x12, 2, b'{', b'}']);
        publish.clear();
        Codec::Json.put_publish(&mut publish, &mut Vec::new(), 5, "c", b"{}");
        assert_eq!(publish, br#"{"id":5,"publish":{"channel":"c","data":{}}}"#);
    }
}

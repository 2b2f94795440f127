//! The bytes of the protocols that the command line speaks as a client: requests, chunked bodies, Centrifuge commands and replies, on top of the
//! heads and frames of [`crate::protocol::calling`]. For the load tool; `aether admin` uses its heads and frames.
//!
//! Written by hand and apart from the hub's own codecs for two reasons: a load tool must cost less than what it measures (no message is
//! parsed that only has to be counted), and a mistake in the hub's codec must not hide behind the same mistake here.

pub use crate::protocol::calling::{
    Body, Head, MESSAGE_BYTES_MAX, OP_BINARY, OP_CLOSE, OP_PING, OP_PONG, OP_TEXT, WireError, close_reason, next_frame, put_frame, upgrade_request,
};
use serde::Deserialize;
use std::fmt::Write as _;

// === HTTP ===

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

//! The Centrifuge protocol in both codecs, written from the specification and sharing nothing with the hub, so that a mistake in the
//! hub's codec cannot hide in the tests' one.
//!
//! Scenarios speak JSON values whatever the codec: for Protobuf they are converted by the tables below. Members that are zero are
//! absent in both directions, as in the JSON codec.

use serde_json::{Map, Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Json,
    Protobuf,
}

impl Codec {
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "centrifuge-json",
            Self::Protobuf => "centrifuge-protobuf",
        }
    }

    /// Several commands as one WebSocket message.
    pub fn encode(self, commands: &[Value]) -> Vec<u8> {
        match self {
            Self::Json => commands.iter().map(Value::to_string).collect::<Vec<_>>().join("\n").into_bytes(),
            Self::Protobuf => {
                let mut frame = Vec::new();
                for command in commands {
                    let body = encode_message(command, COMMAND);
                    put_varint(&mut frame, body.len() as u64);
                    frame.extend_from_slice(&body);
                }
                frame
            }
        }
    }

    /// The replies in one WebSocket message; a ping is `{}`.
    pub fn decode(self, frame: &[u8]) -> Vec<Value> {
        match self {
            Self::Json => {
                let text = std::str::from_utf8(frame).expect("the hub sends UTF-8");
                assert!(!text.ends_with('\n'), "a frame of replies ends without a newline: {text:?}");
                text.split('\n').map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in reply {line:?}"))).collect()
            }
            Self::Protobuf => {
                let mut rest = frame;
                let mut replies = Vec::new();
                while !rest.is_empty() {
                    let length = take_varint(&mut rest) as usize;
                    let (body, after) = rest.split_at(length);
                    replies.push(decode_message(body, REPLY));
                    rest = after;
                }
                replies
            }
        }
    }
}

struct Field {
    number: u64,
    name: &'static str,
    kind: Kind,
}

enum Kind {
    Unsigned,
    Signed,
    Flag,
    Text,
    /// `bytes` that hold JSON, or, where they do not, `{"$bytes": [..]}`.
    Payload,
    Message(&'static [Field]),
    Many(&'static [Field]),
    /// Several texts.
    Texts,
    /// A map of text to text.
    TextMap,
    /// A map of text to messages.
    MessageMap(&'static [Field]),
}

const fn field(number: u64, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind }
}

use Kind::{Flag, Many, Message, MessageMap, Payload, Signed, Text, TextMap, Texts, Unsigned};

static EMPTY: &[Field] = &[];
static CHANNEL_ONLY: &[Field] = &[field(1, "channel", Text)];
static POSITION: &[Field] = &[field(1, "offset", Unsigned), field(2, "epoch", Text)];
static CLIENT_INFO: &[Field] = &[field(1, "user", Text), field(2, "client", Text), field(3, "conn_info", Payload), field(4, "chan_info", Payload)];
static PUBLICATION: &[Field] = &[
    field(4, "data", Payload),
    field(5, "info", Message(CLIENT_INFO)),
    field(6, "offset", Unsigned),
    field(7, "tags", TextMap),
    field(8, "delta", Flag),
    field(9, "time", Signed),
    field(10, "channel", Text),
    field(14, "epoch", Text),
    field(16, "version", Unsigned),
];
static FILTER_NODE: [Field; 6] = [
    field(1, "op", Text),
    field(2, "key", Text),
    field(3, "cmp", Text),
    field(4, "val", Text),
    field(5, "vals", Texts),
    field(6, "nodes", Many(&FILTER_NODE)),
];
static SUBSCRIBE_REQUEST: &[Field] = &[
    field(1, "channel", Text),
    field(2, "token", Text),
    field(3, "recover", Flag),
    field(6, "epoch", Text),
    field(7, "offset", Unsigned),
    field(8, "data", Payload),
    field(9, "positioned", Flag),
    field(10, "recoverable", Flag),
    field(11, "join_leave", Flag),
    field(12, "delta", Text),
    field(13, "tf", Message(&FILTER_NODE)),
    field(14, "flag", Signed),
    field(15, "type", Signed),
    field(16, "phase", Signed),
    field(17, "cursor", Text),
    field(18, "limit", Signed),
    field(19, "asc", Flag),
];
static SUBSCRIBE_RESULT: &[Field] = &[
    field(1, "expires", Flag),
    field(2, "ttl", Unsigned),
    field(3, "recoverable", Flag),
    field(6, "epoch", Text),
    field(7, "publications", Many(PUBLICATION)),
    field(8, "recovered", Flag),
    field(9, "offset", Unsigned),
    field(10, "positioned", Flag),
    field(11, "data", Payload),
    field(12, "was_recovering", Flag),
    field(13, "delta", Flag),
    field(14, "id", Signed),
];
static CONNECT_REQUEST: &[Field] = &[
    field(1, "token", Text),
    field(2, "data", Payload),
    field(3, "subs", MessageMap(SUBSCRIBE_REQUEST)),
    field(4, "name", Text),
    field(5, "version", Text),
    field(6, "headers", TextMap),
    field(7, "flag", Signed),
];
static CONNECT_RESULT: &[Field] = &[
    field(1, "client", Text),
    field(2, "version", Text),
    field(3, "expires", Flag),
    field(4, "ttl", Unsigned),
    field(5, "data", Payload),
    field(6, "subs", MessageMap(SUBSCRIBE_RESULT)),
    field(7, "ping", Unsigned),
    field(8, "pong", Flag),
    field(9, "session", Text),
    field(10, "node", Text),
    field(11, "time", Signed),
];
static HISTORY_REQUEST: &[Field] =
    &[field(1, "channel", Text), field(7, "limit", Signed), field(8, "since", Message(POSITION)), field(9, "reverse", Flag)];
static HISTORY_RESULT: &[Field] = &[field(1, "publications", Many(PUBLICATION)), field(2, "epoch", Text), field(3, "offset", Unsigned)];
static REFRESH_RESULT: &[Field] = &[field(1, "client", Text), field(2, "version", Text), field(3, "expires", Flag), field(4, "ttl", Unsigned)];
static COMMAND: &[Field] = &[
    field(1, "id", Unsigned),
    field(4, "connect", Message(CONNECT_REQUEST)),
    field(5, "subscribe", Message(SUBSCRIBE_REQUEST)),
    field(6, "unsubscribe", Message(CHANNEL_ONLY)),
    field(7, "publish", Message(&[field(1, "channel", Text), field(2, "data", Payload), field(3, "type", Signed), field(4, "key", Text)])),
    field(8, "presence", Message(CHANNEL_ONLY)),
    field(9, "presence_stats", Message(CHANNEL_ONLY)),
    field(10, "history", Message(HISTORY_REQUEST)),
    field(11, "ping", Message(EMPTY)),
    field(12, "send", Message(&[field(1, "data", Payload)])),
    field(13, "rpc", Message(&[field(1, "data", Payload), field(2, "method", Text)])),
    field(14, "refresh", Message(&[field(1, "token", Text)])),
    field(15, "sub_refresh", Message(&[field(1, "channel", Text), field(2, "token", Text)])),
];
static REPLY: &[Field] = &[
    field(1, "id", Unsigned),
    field(2, "error", Message(&[field(1, "code", Unsigned), field(2, "message", Text), field(3, "temporary", Flag)])),
    field(4, "push", Message(PUSH)),
    field(5, "connect", Message(CONNECT_RESULT)),
    field(6, "subscribe", Message(SUBSCRIBE_RESULT)),
    field(7, "unsubscribe", Message(EMPTY)),
    field(8, "publish", Message(EMPTY)),
    field(9, "presence", Message(&[field(1, "presence", MessageMap(CLIENT_INFO))])),
    field(10, "presence_stats", Message(&[field(1, "num_clients", Unsigned), field(2, "num_users", Unsigned)])),
    field(11, "history", Message(HISTORY_RESULT)),
    field(12, "ping", Message(EMPTY)),
    field(13, "rpc", Message(&[field(1, "data", Payload)])),
    field(14, "refresh", Message(REFRESH_RESULT)),
    field(15, "sub_refresh", Message(&[field(1, "expires", Flag), field(2, "ttl", Unsigned)])),
];
static PUSH: &[Field] = &[
    field(1, "id", Signed),
    field(2, "channel", Text),
    field(4, "pub", Message(PUBLICATION)),
    field(5, "join", Message(&[field(1, "info", Message(CLIENT_INFO))])),
    field(6, "leave", Message(&[field(1, "info", Message(CLIENT_INFO))])),
    field(7, "unsubscribe", Message(&[field(2, "code", Unsigned), field(3, "reason", Text)])),
    field(8, "message", Message(&[field(1, "data", Payload)])),
    field(
        9,
        "subscribe",
        Message(&[
            field(1, "recoverable", Flag),
            field(4, "epoch", Text),
            field(5, "offset", Unsigned),
            field(6, "positioned", Flag),
            field(7, "data", Payload),
        ]),
    ),
    field(10, "connect", Message(CONNECT_RESULT)),
    field(11, "disconnect", Message(&[field(1, "code", Unsigned), field(2, "reason", Text), field(3, "reconnect", Flag)])),
    field(12, "refresh", Message(&[field(1, "expires", Flag), field(2, "ttl", Unsigned)])),
];

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first().expect("a varint ends within the frame");
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    panic!("a varint has at most ten bytes");
}

fn put_delimited(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(out, number << 3 | DELIMITED);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// EmulationRequest: node, session and data are fields 1 to 3.
pub fn emulation_request(node: &str, session: &str, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_delimited(&mut out, 1, node.as_bytes());
    put_delimited(&mut out, 2, session.as_bytes());
    put_delimited(&mut out, 3, data);
    out
}

fn encode_message(message: &Value, schema: &[Field]) -> Vec<u8> {
    let members = message.as_object().unwrap_or_else(|| panic!("{message} is an object"));
    let mut out = Vec::new();
    for name in members.keys() {
        assert!(schema.iter().any(|field| field.name == name), "the tests' table has no member {name}");
    }
    for field in schema {
        let Some(value) = members.get(field.name) else { continue };
        match &field.kind {
            Unsigned | Signed => {
                let number = value.as_i64().map(|number| number as u64).or(value.as_u64()).expect("a number");
                put_varint(&mut out, field.number << 3 | VARINT);
                put_varint(&mut out, number);
            }
            Flag => {
                put_varint(&mut out, field.number << 3 | VARINT);
                put_varint(&mut out, u64::from(value.as_bool().expect("a flag")));
            }
            Text => put_delimited(&mut out, field.number, value.as_str().expect("a text").as_bytes()),
            Payload => put_delimited(&mut out, field.number, &payload_bytes(value)),
            Message(inner) => put_delimited(&mut out, field.number, &encode_message(value, inner)),
            Texts => {
                let texts = value.as_array().expect("a list").iter();
                texts.for_each(|text| put_delimited(&mut out, field.number, text.as_str().expect("a text").as_bytes()));
            }
            Many(inner) => {
                value.as_array().expect("a list").iter().for_each(|item| put_delimited(&mut out, field.number, &encode_message(item, inner)))
            }
            TextMap | MessageMap(_) => {
                for (key, value) in value.as_object().expect("a map") {
                    let mut entry = Vec::new();
                    put_delimited(&mut entry, 1, key.as_bytes());
                    match &field.kind {
                        MessageMap(inner) => put_delimited(&mut entry, 2, &encode_message(value, inner)),
                        _ => put_delimited(&mut entry, 2, value.as_str().expect("a text").as_bytes()),
                    }
                    put_delimited(&mut out, field.number, &entry);
                }
            }
        }
    }
    out
}

fn payload_bytes(value: &Value) -> Vec<u8> {
    match value.get("$bytes").and_then(Value::as_array) {
        Some(bytes) => bytes.iter().map(|byte| byte.as_u64().expect("a byte") as u8).collect(),
        None => value.to_string().into_bytes(),
    }
}

fn payload_value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| json!({ "$bytes": bytes }))
}

fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).expect("a string field is UTF-8").to_owned()
}

fn decode_message(mut rest: &[u8], schema: &[Field]) -> Value {
    let mut members = Map::new();
    while !rest.is_empty() {
        let tag = take_varint(&mut rest);
        let (number, wire_type) = (tag >> 3, tag & 7);
        let mut varint = 0;
        let mut bytes: &[u8] = &[];
        match wire_type {
            VARINT => varint = take_varint(&mut rest),
            DELIMITED => {
                let length = take_varint(&mut rest) as usize;
                (bytes, rest) = rest.split_at(length);
            }
            FIXED64 => rest = &rest[8..],
            FIXED32 => rest = &rest[4..],
            other => panic!("wire type {other} is not used by the protocol"),
        }
        let field = schema.iter().find(|field| field.number == number).unwrap_or_else(|| panic!("the hub sent the unknown field {number}"));
        let name = field.name.to_owned();
        match &field.kind {
            Unsigned => drop(members.insert(name, json!(varint))),
            Signed => drop(members.insert(name, json!(varint as i64))),
            Flag => drop(members.insert(name, json!(varint != 0))),
            Text => drop(members.insert(name, json!(text(bytes)))),
            Payload => drop(members.insert(name, payload_value(bytes))),
            Message(inner) => drop(members.insert(name, decode_message(bytes, inner))),
            Texts => list(&mut members, name).push(json!(text(bytes))),
            Many(inner) => list(&mut members, name).push(decode_message(bytes, inner)),
            TextMap | MessageMap(_) => {
                let value = match &field.kind {
                    MessageMap(inner) => Message(inner),
                    _ => Text,
                };
                let (key, value) = decode_entry(bytes, &value);
                members.entry(name).or_insert_with(|| json!({})).as_object_mut().expect("a map").insert(key, value);
            }
        }
    }
    Value::Object(members)
}

fn list(members: &mut Map<String, Value>, name: String) -> &mut Vec<Value> {
    members.entry(name).or_insert_with(|| json!([])).as_array_mut().expect("a list")
}

/// One entry of a map; an absent key or text is the empty one.
fn decode_entry(mut rest: &[u8], kind: &Kind) -> (String, Value) {
    // Decoders of the SDKs take an absent message for null, so an empty one must be written.
    let (mut key, mut value) = (String::new(), matches!(kind, Text).then(|| json!("")));
    while !rest.is_empty() {
        let tag = take_varint(&mut rest);
        assert_eq!(tag & 7, DELIMITED, "keys and values of the protocol's maps are delimited");
        let length = take_varint(&mut rest) as usize;
        let (bytes, after) = rest.split_at(length);
        rest = after;
        match (tag >> 3, kind) {
            (1, _) => key = text(bytes),
            (_, Message(inner)) => value = Some(decode_message(bytes, inner)),
            _ => value = Some(json!(text(bytes))),
        }
    }
    let value = value.unwrap_or_else(|| panic!("the entry {key} of a map has no value"));
    (key, value)
}

#[test]
fn the_tests_own_protobuf_round_trips() {
    let command = json!({ "id": 7, "subscribe": { "channel": "news:é", "recover": true, "offset": 300, "data": { "a": [1, -2.5] } } });
    let frame = Codec::Protobuf.encode(std::slice::from_ref(&command));
    let mut rest = &frame[..];
    let length = take_varint(&mut rest) as usize;
    assert_eq!(length, rest.len());
    assert_eq!(decode_message(rest, COMMAND), command);
    // Wire bytes of {id: 1, connect: {}} as the specification's field numbers demand.
    assert_eq!(Codec::Protobuf.encode(&[json!({ "id": 1, "connect": {} })]), [4, 0x08, 1, 0x22, 0]);
    assert_eq!(Codec::Protobuf.encode(&[json!({})]), [0]);
}

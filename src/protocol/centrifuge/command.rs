//! What clients ask. One frame carries one command or several.

use super::Codec;
use crate::channel::FilterNode;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

/// Commands that one frame may carry. A client that has more to ask sends another frame.
const COMMANDS_PER_FRAME_MAX: usize = 1_024;

/// One command as it stands on the wire. At most one request is meant to be there; [`Command::into_request`] picks it.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct Command {
    #[prost(uint32, tag = "1")]
    #[serde(deserialize_with = "null_as_default")]
    pub id: u32,
    #[prost(message, optional, tag = "4")]
    #[serde(deserialize_with = "object")]
    pub connect: Option<ConnectRequest>,
    #[prost(message, optional, tag = "5")]
    #[serde(deserialize_with = "object")]
    pub subscribe: Option<SubscribeRequest>,
    #[prost(message, optional, tag = "6")]
    #[serde(deserialize_with = "object")]
    pub unsubscribe: Option<UnsubscribeRequest>,
    #[prost(message, optional, tag = "7")]
    #[serde(deserialize_with = "object")]
    pub publish: Option<PublishRequest>,
    #[prost(message, optional, tag = "8")]
    #[serde(deserialize_with = "object")]
    pub presence: Option<PresenceRequest>,
    #[prost(message, optional, tag = "9")]
    #[serde(deserialize_with = "object")]
    pub presence_stats: Option<PresenceStatsRequest>,
    #[prost(message, optional, tag = "10")]
    #[serde(deserialize_with = "object")]
    pub history: Option<HistoryRequest>,
    #[prost(message, optional, tag = "11")]
    #[serde(deserialize_with = "object")]
    pub ping: Option<PingRequest>,
    #[prost(message, optional, tag = "12")]
    #[serde(deserialize_with = "object")]
    pub send: Option<SendRequest>,
    #[prost(message, optional, tag = "13")]
    #[serde(deserialize_with = "object")]
    pub rpc: Option<RpcRequest>,
    #[prost(message, optional, tag = "14")]
    #[serde(deserialize_with = "object")]
    pub refresh: Option<RefreshRequest>,
    #[prost(message, optional, tag = "15")]
    #[serde(deserialize_with = "object")]
    pub sub_refresh: Option<SubRefreshRequest>,
}

/// What a command asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A command without an id and without a `send`.
    Pong,
    Connect(ConnectRequest),
    Subscribe(SubscribeRequest),
    Unsubscribe(UnsubscribeRequest),
    Publish(PublishRequest),
    Presence(PresenceRequest),
    PresenceStats(PresenceStatsRequest),
    History(HistoryRequest),
    Send(SendRequest),
    Rpc(RpcRequest),
    Refresh(RefreshRequest),
    SubRefresh(SubRefreshRequest),
    /// An id, and nothing that we know (`ping` included, which the protocol defines and does not use).
    Unknown,
}

impl Request {
    /// A label for metrics: a closed set.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pong => "pong",
            Self::Connect(_) => "connect",
            Self::Subscribe(_) => "subscribe",
            Self::Unsubscribe(_) => "unsubscribe",
            Self::Publish(_) => "publish",
            Self::Presence(_) => "presence",
            Self::PresenceStats(_) => "presence_stats",
            Self::History(_) => "history",
            Self::Send(_) => "send",
            Self::Rpc(_) => "rpc",
            Self::Refresh(_) => "refresh",
            Self::SubRefresh(_) => "sub_refresh",
            Self::Unknown => "unknown",
        }
    }
}

impl Command {
    /// The request: the first one present, in the order of their field numbers.
    pub fn into_request(self) -> Request {
        if self.id == 0 {
            return self.send.map_or(Request::Pong, Request::Send);
        }
        if let Some(request) = self.connect {
            Request::Connect(request)
        } else if let Some(request) = self.subscribe {
            Request::Subscribe(request)
        } else if let Some(request) = self.unsubscribe {
            Request::Unsubscribe(request)
        } else if let Some(request) = self.publish {
            Request::Publish(request)
        } else if let Some(request) = self.presence {
            Request::Presence(request)
        } else if let Some(request) = self.presence_stats {
            Request::PresenceStats(request)
        } else if let Some(request) = self.history {
            Request::History(request)
        } else if self.ping.is_some() {
            Request::Unknown
        } else if let Some(request) = self.send {
            Request::Send(request)
        } else if let Some(request) = self.rpc {
            Request::Rpc(request)
        } else if let Some(request) = self.refresh {
            Request::Refresh(request)
        } else if let Some(request) = self.sub_refresh {
            Request::SubRefresh(request)
        } else {
            Request::Unknown
        }
    }
}

/// Bit of [`SubscribeRequest::flag`]: answer error 112 instead of subscribing when the missed publications cannot be recovered.
pub const FLAG_REJECT_UNRECOVERED: i64 = 2;

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct ConnectRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "null_as_default")]
    pub token: String,
    #[prost(bytes = "bytes", tag = "2")]
    #[serde(deserialize_with = "raw_json")]
    pub data: Bytes,
    #[prost(map = "string, message", tag = "3")]
    #[serde(deserialize_with = "null_as_default")]
    pub subs: HashMap<String, SubscribeRequest>,
    #[prost(string, tag = "4")]
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "null_as_default")]
    pub version: String,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct SubscribeRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "null_as_default")]
    pub channel: String,
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "null_as_default")]
    pub token: String,
    #[prost(bool, tag = "3")]
    #[serde(deserialize_with = "null_as_default")]
    pub recover: bool,
    #[prost(string, tag = "6")]
    #[serde(deserialize_with = "null_as_default")]
    pub epoch: String,
    #[prost(uint64, tag = "7")]
    #[serde(deserialize_with = "null_as_default")]
    pub offset: u64,
    #[prost(bytes = "bytes", tag = "8")]
    #[serde(deserialize_with = "raw_json")]
    pub data: Bytes,
    #[prost(bool, tag = "9")]
    #[serde(deserialize_with = "null_as_default")]
    pub positioned: bool,
    #[prost(bool, tag = "10")]
    #[serde(deserialize_with = "null_as_default")]
    pub recoverable: bool,
    #[prost(bool, tag = "11")]
    #[serde(deserialize_with = "null_as_default")]
    pub join_leave: bool,
    #[prost(string, tag = "12")]
    #[serde(deserialize_with = "null_as_default")]
    pub delta: String,
    #[prost(message, optional, tag = "13")]
    #[serde(deserialize_with = "object")]
    pub tf: Option<TagsFilter>,
    #[prost(int64, tag = "14")]
    #[serde(deserialize_with = "null_as_default")]
    pub flag: i64,
    #[prost(int32, tag = "15")]
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    pub kind: i32,
}

/// A filter by tags, or a part of one. Both decoders stop at a depth of about a hundred; [`crate::channel::TagsFilter`] is stricter.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct TagsFilter {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "null_as_default")]
    pub op: String,
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "null_as_default")]
    pub key: String,
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "null_as_default")]
    pub cmp: String,
    #[prost(string, tag = "4")]
    #[serde(deserialize_with = "null_as_default")]
    pub val: String,
    #[prost(string, repeated, tag = "5")]
    #[serde(deserialize_with = "null_as_default")]
    pub vals: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    #[serde(deserialize_with = "objects")]
    pub nodes: Vec<TagsFilter>,
}

impl From<TagsFilter> for FilterNode {
    fn from(TagsFilter { op, key, cmp, val, vals, nodes }: TagsFilter) -> Self {
        Self { op, key, cmp, val, vals, nodes: nodes.into_iter().map(Self::from).collect() }
    }
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct UnsubscribeRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "null_as_default")]
    pub channel: String,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct PublishRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "null_as_default")]
    pub channel: String,
    #[prost(bytes = "bytes", tag = "2")]
    #[serde(deserialize_with = "raw_json")]
    pub data: Bytes,
    #[prost(int32, tag = "3")]
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    pub kind: i32,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct PresenceRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "null_as_default")]
    pub channel: String,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct PresenceStatsRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "null_as_default")]
    pub channel: String,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct Since {
    #[prost(uint64, tag = "1")]
    #[serde(deserialize_with = "null_as_default")]
    pub offset: u64,
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "null_as_default")]
    pub epoch: String,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct HistoryRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "null_as_default")]
    pub channel: String,
    #[prost(int32, tag = "7")]
    #[serde(deserialize_with = "null_as_default")]
    pub limit: i32,
    #[prost(message, optional, tag = "8")]
    #[serde(deserialize_with = "object")]
    pub since: Option<Since>,
    #[prost(bool, tag = "9")]
    #[serde(deserialize_with = "null_as_default")]
    pub reverse: bool,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct PingRequest {}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct SendRequest {
    #[prost(bytes = "bytes", tag = "1")]
    #[serde(deserialize_with = "raw_json")]
    pub data: Bytes,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct RpcRequest {
    #[prost(bytes = "bytes", tag = "1")]
    #[serde(deserialize_with = "raw_json")]
    pub data: Bytes,
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "null_as_default")]
    pub method: String,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct RefreshRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "null_as_default")]
    pub token: String,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct SubRefreshRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "null_as_default")]
    pub channel: String,
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "null_as_default")]
    pub token: String,
}

/// `null` counts as absent, as in the reference implementation.
pub(super) fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A member that is an object, and only that: serde would also read an array, as the members in their order.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct Visitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_unit<E>(self) -> Result<Option<T>, E> {
            Ok(None)
        }
        fn visit_map<A: de::MapAccess<'de>>(self, members: A) -> Result<Option<T>, A::Error> {
            T::deserialize(de::value::MapAccessDeserializer::new(members)).map(Some)
        }
    }
    deserializer.deserialize_any(Visitor(PhantomData))
}

/// A list of objects, and only of those.
fn objects<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Element<T>(T);
    impl<'de, T: Default + Deserialize<'de>> Deserialize<'de> for Element<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            object(deserializer).map(|element| Self(element.unwrap_or_default()))
        }
    }
    Ok(Option::<Vec<Element<T>>>::deserialize(deserializer)?.unwrap_or_default().into_iter().map(|Element(element)| element).collect())
}

/// A payload: the bytes of a JSON value as they stand, copied out of the frame (a slice of it would keep the whole read buffer alive).
fn raw_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    Ok(Option::<&RawValue>::deserialize(deserializer)?.map(|raw| Bytes::copy_from_slice(raw.get().as_bytes())).unwrap_or_default())
}

#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("frame carries no command")]
    Empty,
    #[error("frame carries more than {COMMANDS_PER_FRAME_MAX} commands")]
    TooMany,
    #[error("command is not a JSON object")]
    NotAnObject,
    #[error("command is not the JSON of a command")]
    Json(#[source] serde_json::Error),
    #[error("command is not the Protobuf of a command")]
    Protobuf(#[source] prost::DecodeError),
}

impl ConnectRequest {
    /// What a client says that only listens: the request alone, in JSON. Nothing and `null` say nothing.
    pub fn alone(json: &[u8]) -> Result<Self, DecodeError> {
        match json.trim_ascii() {
            b"" | b"null" => Ok(Self::default()),
            object if object.starts_with(b"{") => serde_json::from_slice(object).map_err(DecodeError::Json),
            _ => Err(DecodeError::NotAnObject),
        }
    }
}

impl Codec {
    /// The commands of one frame, in their order.
    pub fn decode(self, frame: &[u8]) -> Result<Vec<Command>, DecodeError> {
        let mut commands = Vec::with_capacity(1);
        match self {
            Self::Json => {
                for line in frame.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                    // serde would read an array as the members of a struct in their order; a command is an object.
                    if line.trim_ascii_start().first() != Some(&b'{') {
                        return Err(DecodeError::NotAnObject);
                    }
                    push(&mut commands, serde_json::from_slice(line).map_err(DecodeError::Json)?)?;
                }
            }
            Self::Protobuf => {
                let mut rest = frame;
                while !rest.is_empty() {
                    push(&mut commands, prost::Message::decode_length_delimited(&mut rest).map_err(DecodeError::Protobuf)?)?;
                }
            }
        }
        if commands.is_empty() { Err(DecodeError::Empty) } else { Ok(commands) }
    }
}

fn push(commands: &mut Vec<Command>, command: Command) -> Result<(), DecodeError> {
    if commands.len() == COMMANDS_PER_FRAME_MAX {
        return Err(DecodeError::TooMany);
    }
    commands.push(command);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    fn json(text: &str) -> Result<Vec<Command>, DecodeError> {
        Codec::Json.decode(text.as_bytes())
    }

    #[test]
    fn commands_of_one_frame_come_in_order() {
        let commands = json("{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\",\"data\":{ \"x\": 1.0 }}}\n").unwrap();
        assert_eq!(commands.len(), 2);
        assert!(matches!(commands[0].clone().into_request(), Request::Connect(_)));
        let Request::Subscribe(subscribe) = commands[1].clone().into_request() else { panic!("{commands:?}") };
        assert_eq!((subscribe.channel.as_str(), &subscribe.data[..]), ("a", &b"{ \"x\": 1.0 }"[..]));

        let mut frame = Vec::new();
        for command in &commands {
            command.encode_length_delimited(&mut frame).unwrap();
        }
        assert_eq!(Codec::Protobuf.decode(&frame).unwrap(), commands);
    }

    #[test]
    fn unknown_members_and_nulls_are_ignored() {
        let commands = json(r#"{"id":3,"subscribe":{"channel":"a","token":null,"new":[[[]]]},"later":1}"#).unwrap();
        assert!(matches!(commands[0].clone().into_request(), Request::Subscribe(_)));
    }

    #[test]
    fn a_filter_is_read_whole_and_no_deeper_than_a_decoder_may_go() {
        let text =
            r#"{"id":1,"subscribe":{"channel":"a","tf":{"op":"and","nodes":[{"key":"k","cmp":"in","vals":["a","b"]},{"op":"not","nodes":[null]}]}}}"#;
        let commands = json(text).unwrap();
        let Request::Subscribe(SubscribeRequest { tf: Some(filter), .. }) = commands[0].clone().into_request() else { panic!("{commands:?}") };
        assert_eq!((filter.op.as_str(), filter.nodes[0].vals.len(), filter.nodes[1].nodes.len()), ("and", 2, 1));
        assert_eq!(Codec::Protobuf.decode(&commands[0].encode_length_delimited_to_vec()).unwrap(), commands);

        let deep = format!(r#"{{"id":1,"subscribe":{{"tf":{}{}}}}}"#, r#"{"nodes":["#.repeat(5_000), "]}".repeat(5_000));
        assert!(json(&deep).is_err());
        let deep = (0..5_000).fold(TagsFilter::default(), |inner, _| TagsFilter { nodes: vec![inner], ..TagsFilter::default() });
        let mut command =
            Command { id: 1, subscribe: Some(SubscribeRequest { tf: Some(deep), ..SubscribeRequest::default() }), ..Command::default() };
        assert!(Codec::Protobuf.decode(&command.encode_length_delimited_to_vec()).is_err());
        // Dropped one level after the other: the recursion of the destructor is this test's own.
        let mut rest = command.subscribe.as_mut().and_then(|subscribe| subscribe.tf.take());
        while let Some(mut filter) = rest {
            rest = filter.nodes.pop();
        }
    }

    #[test]
    fn a_connect_request_may_stand_alone() {
        assert_eq!(ConnectRequest::alone(br#" {"token":"t","subs":{"a":{}}} "#).unwrap().token, "t");
        for nothing in [&b""[..], b" ", b"null", b"{}", b"\r\n"] {
            assert_eq!(ConnectRequest::alone(nothing).unwrap(), ConnectRequest::default());
        }
        for wrong in [&b"[]"[..], b"{", b"{}{}", b"1", b"nul", b"{\"token\":1}", b"\xff"] {
            assert!(ConnectRequest::alone(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn no_id_and_no_send_is_a_pong() {
        assert_eq!(json("{}").unwrap()[0].clone().into_request(), Request::Pong);
        assert_eq!(Codec::Protobuf.decode(&[0]).unwrap()[0].clone().into_request(), Request::Pong);
        assert!(matches!(json(r#"{"send":{"data":1}}"#).unwrap()[0].clone().into_request(), Request::Send(_)));
        assert_eq!(json(r#"{"id":1,"ping":{}}"#).unwrap()[0].clone().into_request(), Request::Unknown);
        assert_eq!(json(r#"{"id":1}"#).unwrap()[0].clone().into_request(), Request::Unknown);
    }

    #[test]
    fn what_is_no_command_is_an_error() {
        let deep = format!(r#"{{"id":1,"rpc":{{"data":{}1{}}}}}"#, "[".repeat(20_000), "]".repeat(20_000));
        assert!(json(&deep).is_ok(), "a deep payload is passed through without recursion");
        for text in [
            "",
            "\n",
            "[]",
            "1",
            "null x",
            "{",
            "{\"id\":-1}",
            "{\"id\":1e400}",
            "{\"id\":\"1\"}",
            "{\"id\":4294967296}",
            "{\"id\":1,\"id\":2}",
            "{\"id\":1}}",
            "\u{feff}{}",
            "{\"id\":1,\"connect\":[]}",
            "{\"id\":1,\"subscribe\":[\"channel\",\"token\"]}",
            "{\"id\":1,\"history\":{\"channel\":\"a\",\"since\":[1,\"e\"]}}",
            "{\"id\":1,\"subscribe\":{\"channel\":\"a\",\"tf\":{\"op\":\"and\",\"nodes\":[[\"\",\"key\",\"ex\"]]}}}",
            "{\"id\":1,\"connect\":{\"token\":\"\\ud800\"}}",
        ] {
            assert!(json(text).is_err(), "{text}");
        }
        assert!(matches!(json(&"{}\n".repeat(COMMANDS_PER_FRAME_MAX + 1)), Err(DecodeError::TooMany)));
        for frame in [&[][..], &[1], &[2, 8], &[0xff; 12], &[3, 0x22, 9, 0]] {
            assert!(Codec::Protobuf.decode(frame).is_err(), "{frame:?}");
        }
    }
}

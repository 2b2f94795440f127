//! Replies in Protobuf. Field numbers are those of the protocol's definition; every message is preceded by its length as a varint.

use super::reply::{self, Body, Push};
use crate::channel;
use bytes::{Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

#[derive(Clone, PartialEq, Message)]
struct Reply {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(message, optional, tag = "2")]
    error: Option<Error>,
    #[prost(message, optional, tag = "4")]
    push: Option<PushMessage>,
    #[prost(message, optional, tag = "5")]
    connect: Option<ConnectResult>,
    #[prost(message, optional, tag = "6")]
    subscribe: Option<SubscribeResult>,
    #[prost(message, optional, tag = "7")]
    unsubscribe: Option<Empty>,
    #[prost(message, optional, tag = "8")]
    publish: Option<Empty>,
    #[prost(message, optional, tag = "9")]
    presence: Option<PresenceResult>,
    #[prost(message, optional, tag = "10")]
    presence_stats: Option<PresenceStatsResult>,
    #[prost(message, optional, tag = "11")]
    history: Option<HistoryResult>,
    #[prost(message, optional, tag = "13")]
    rpc: Option<Data>,
    #[prost(message, optional, tag = "14")]
    refresh: Option<RefreshResult>,
    #[prost(message, optional, tag = "15")]
    sub_refresh: Option<RefreshOfSubscription>,
}

#[derive(Clone, PartialEq, Message)]
struct Empty {}

#[derive(Clone, PartialEq, Message)]
struct Error {
    #[prost(uint32, tag = "1")]
    code: u32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(bool, tag = "3")]
    temporary: bool,
}

#[derive(Clone, PartialEq, Message)]
struct PushMessage {
    #[prost(string, tag = "2")]
    channel: String,
    #[prost(message, optional, tag = "4")]
    publication: Option<Publication>,
    #[prost(message, optional, tag = "5")]
    join: Option<WithInfo>,
    #[prost(message, optional, tag = "6")]
    leave: Option<WithInfo>,
    #[prost(message, optional, tag = "7")]
    unsubscribe: Option<Unsubscribe>,
    #[prost(message, optional, tag = "8")]
    message: Option<Data>,
    #[prost(message, optional, tag = "9")]
    subscribe: Option<SubscribePush>,
    #[prost(message, optional, tag = "11")]
    disconnect: Option<DisconnectPush>,
    #[prost(message, optional, tag = "12")]
    refresh: Option<RefreshPush>,
}

#[derive(Clone, PartialEq, Message)]
struct WithInfo {
    #[prost(message, optional, tag = "1")]
    info: Option<ClientInfo>,
}

#[derive(Clone, PartialEq, Message)]
struct Unsubscribe {
    #[prost(uint32, tag = "2")]
    code: u32,
    #[prost(string, tag = "3")]
    reason: String,
}

#[derive(Clone, PartialEq, Message)]
struct SubscribePush {
    #[prost(bool, tag = "1")]
    recoverable: bool,
    #[prost(string, tag = "4")]
    epoch: String,
    #[prost(uint64, tag = "5")]
    offset: u64,
    #[prost(bool, tag = "6")]
    positioned: bool,
    #[prost(bytes = "bytes", tag = "7")]
    data: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct DisconnectPush {
    #[prost(uint32, tag = "1")]
    code: u32,
    #[prost(string, tag = "2")]
    reason: String,
}

#[derive(Clone, PartialEq, Message)]
struct RefreshPush {
    #[prost(bool, tag = "1")]
    expires: bool,
    #[prost(uint32, tag = "2")]
    ttl: u32,
}

#[derive(Clone, PartialEq, Message)]
struct ClientInfo {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(string, tag = "2")]
    client: String,
    #[prost(bytes = "bytes", tag = "3")]
    conn_info: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    chan_info: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct Publication {
    #[prost(bytes = "bytes", tag = "4")]
    data: Bytes,
    #[prost(message, optional, tag = "5")]
    info: Option<ClientInfo>,
    #[prost(uint64, tag = "6")]
    offset: u64,
    #[prost(btree_map = "string, string", tag = "7")]
    tags: BTreeMap<String, String>,
    #[prost(bool, tag = "8")]
    delta: bool,
    #[prost(string, tag = "10")]
    channel: String,
}

#[derive(Clone, PartialEq, Message)]
struct ConnectResult {
    #[prost(string, tag = "1")]
    client: String,
    #[prost(string, tag = "2")]
    version: String,
    #[prost(bool, tag = "3")]
    expires: bool,
    #[prost(uint32, tag = "4")]
    ttl: u32,
    #[prost(bytes = "bytes", tag = "5")]
    data: Bytes,
    #[prost(message, repeated, tag = "6")]
    subs: Vec<SubsEntry>,
    #[prost(uint32, tag = "7")]
    ping: u32,
    #[prost(bool, tag = "8")]
    pong: bool,
    #[prost(string, tag = "9")]
    session: String,
    #[prost(string, tag = "10")]
    node: String,
    #[prost(int64, tag = "11")]
    time: i64,
}

/// An entry of the map `subs`. Written out, because a map of prost leaves the value away where it is empty, and decoders of SDKs make
/// nothing of an entry without a value.
#[derive(Clone, PartialEq, Message)]
struct SubsEntry {
    #[prost(string, tag = "1")]
    channel: String,
    #[prost(message, optional, tag = "2")]
    result: Option<SubscribeResult>,
}

#[derive(Clone, PartialEq, Message)]
struct SubscribeResult {
    #[prost(bool, tag = "1")]
    expires: bool,
    #[prost(uint32, tag = "2")]
    ttl: u32,
    #[prost(bool, tag = "3")]
    recoverable: bool,
    #[prost(string, tag = "6")]
    epoch: String,
    /// [`PUBLICATIONS`] is this field's number.
    #[prost(message, repeated, tag = "7")]
    publications: Vec<Publication>,
    #[prost(bool, tag = "8")]
    recovered: bool,
    #[prost(uint64, tag = "9")]
    offset: u64,
    #[prost(bool, tag = "10")]
    positioned: bool,
    #[prost(bytes = "bytes", tag = "11")]
    data: Bytes,
    #[prost(bool, tag = "12")]
    was_recovering: bool,
    #[prost(bool, tag = "13")]
    delta: bool,
}

const PUBLICATIONS: u32 = 7;
const REPLY_SUBSCRIBE: u32 = 6;

#[derive(Clone, PartialEq, Message)]
struct PresenceResult {
    #[prost(map = "string, message", tag = "1")]
    presence: HashMap<String, ClientInfo>,
}

#[derive(Clone, PartialEq, Message)]
struct PresenceStatsResult {
    #[prost(uint32, tag = "1")]
    num_clients: u32,
    #[prost(uint32, tag = "2")]
    num_users: u32,
}

#[derive(Clone, PartialEq, Message)]
struct HistoryResult {
    #[prost(message, repeated, tag = "1")]
    publications: Vec<Publication>,
    #[prost(string, tag = "2")]
    epoch: String,
    #[prost(uint64, tag = "3")]
    offset: u64,
}

/// The result of a call, and a message to a client.
#[derive(Clone, PartialEq, Message)]
struct Data {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct RefreshResult {
    #[prost(bool, tag = "3")]
    expires: bool,
    #[prost(uint32, tag = "4")]
    ttl: u32,
}

#[derive(Clone, PartialEq, Message)]
struct RefreshOfSubscription {
    #[prost(bool, tag = "1")]
    expires: bool,
    #[prost(uint32, tag = "2")]
    ttl: u32,
}

pub fn write_reply(reply: &reply::Reply, out: &mut BytesMut) {
    let message = match reply {
        reply::Reply::Error { id, error, message } => {
            let error = Error { code: error.code, message: (*message).to_string(), temporary: error.temporary };
            Reply { id: *id, error: Some(error), ..Reply::default() }
        }
        reply::Reply::Connect { id, result } => Reply { id: *id, connect: Some((*result).into()), ..Reply::default() },
        reply::Reply::Subscribe { id, result } => Reply { id: *id, subscribe: Some((*result).into()), ..Reply::default() },
        reply::Reply::Unsubscribe { id } => Reply { id: *id, unsubscribe: Some(Empty {}), ..Reply::default() },
        reply::Reply::Publish { id } => Reply { id: *id, publish: Some(Empty {}), ..Reply::default() },
        reply::Reply::Presence { id, clients } => {
            let presence = clients.iter().map(|info| (info.client.to_string(), info.as_ref().into())).collect();
            Reply { id: *id, presence: Some(PresenceResult { presence }), ..Reply::default() }
        }
        reply::Reply::PresenceStats { id, clients, users } => {
            let stats = PresenceStatsResult { num_clients: *clients, num_users: *users };
            Reply { id: *id, presence_stats: Some(stats), ..Reply::default() }
        }
        reply::Reply::History { id, result } => {
            let history = HistoryResult {
                publications: plain(&result.publications),
                epoch: result.position.epoch.as_str().to_string(),
                offset: result.position.offset,
            };
            Reply { id: *id, history: Some(history), ..Reply::default() }
        }
        reply::Reply::Rpc { id, data } => Reply { id: *id, rpc: Some(Data { data: (*data).clone() }), ..Reply::default() },
        reply::Reply::Refresh { id, result } => {
            let refresh = RefreshResult { expires: result.ttl.is_some(), ttl: result.ttl.unwrap_or(0) };
            Reply { id: *id, refresh: Some(refresh), ..Reply::default() }
        }
        reply::Reply::SubRefresh { id, result } => {
            let refresh = RefreshOfSubscription { expires: result.ttl.is_some(), ttl: result.ttl.unwrap_or(0) };
            Reply { id: *id, sub_refresh: Some(refresh), ..Reply::default() }
        }
        reply::Reply::Push(push) => Reply { push: Some(push.into()), ..Reply::default() },
    };
    message.encode_length_delimited(out).expect("memory takes what it is given");
}

/// A list of publications, each with the key and length it has inside a subscribe result.
pub fn publications<'a>(publications: impl Iterator<Item = (&'a channel::Publication, Body<'a>)>) -> Bytes {
    let mut out = BytesMut::new();
    for (publication, body) in publications {
        encode_key(PUBLICATIONS, WireType::LengthDelimited, &mut out);
        Publication::new(publication, body).encode_length_delimited(&mut out).expect("memory takes what it is given");
    }
    out.freeze()
}

/// What stands before and after the list of publications in a subscribe reply. Protobuf fields may come in any order, so all other fields
/// stand in front of the list.
pub fn subscribe_reply_around(id: u32, result: &reply::SubscribeResult, publications_len: usize) -> (BytesMut, BytesMut) {
    let others = SubscribeResult::from(result);
    let result_len = others.encoded_len() + publications_len;
    let reply = Reply { id, ..Reply::default() };
    let reply_len = reply.encoded_len() + key_len(REPLY_SUBSCRIBE) + encoded_len_varint(result_len as u64) + result_len;
    let mut head = BytesMut::with_capacity(96);
    encode_varint(reply_len as u64, &mut head);
    reply.encode(&mut head).expect("memory takes what it is given");
    encode_key(REPLY_SUBSCRIBE, WireType::LengthDelimited, &mut head);
    encode_varint(result_len as u64, &mut head);
    others.encode(&mut head).expect("memory takes what it is given");
    (head, BytesMut::new())
}

impl From<&channel::ClientInfo> for ClientInfo {
    fn from(info: &channel::ClientInfo) -> Self {
        Self {
            user: info.user.as_str().to_string(),
            client: info.client.to_string(),
            conn_info: info.conn_info.clone(),
            chan_info: info.chan_info.clone(),
        }
    }
}

impl Publication {
    fn new(publication: &channel::Publication, body: Body) -> Self {
        let (data, delta) = match body {
            Body::Plain | Body::Whole | Body::Under(_) => (publication.data.bytes(), false),
            Body::Patch(patch) => (patch, true),
        };
        Self {
            data: data.clone(),
            info: publication.info.as_deref().map(ClientInfo::from),
            offset: if body.tells_offset() { publication.offset } else { 0 },
            tags: body.tags(publication).map(Cow::into_owned).unwrap_or_default(),
            delta,
            channel: if let Body::Under(channel) = body { channel.to_string() } else { String::new() },
        }
    }
}

fn plain(publications: &[Arc<channel::Publication>]) -> Vec<Publication> {
    publications.iter().map(|publication| Publication::new(publication, Body::Plain)).collect()
}

impl From<&reply::ConnectResult> for ConnectResult {
    fn from(result: &reply::ConnectResult) -> Self {
        Self {
            client: result.client.clone(),
            version: result.version.clone(),
            expires: result.ttl.is_some(),
            ttl: result.ttl.unwrap_or(0),
            data: result.data.clone(),
            subs: result.subs.iter().map(|sub| SubsEntry { channel: sub.channel.to_string(), result: Some((&sub.result).into()) }).collect(),
            ping: result.ping,
            pong: result.pong,
            session: result.session.clone(),
            node: result.node.clone(),
            time: result.time,
        }
    }
}

impl From<&reply::SubscribeResult> for SubscribeResult {
    fn from(result: &reply::SubscribeResult) -> Self {
        let position = result.position.clone().unwrap_or_default();
        Self {
            expires: result.ttl.is_some(),
            ttl: result.ttl.unwrap_or(0),
            recoverable: result.recoverable,
            epoch: position.epoch.as_str().to_string(),
            publications: plain(&result.publications),
            recovered: result.recovered,
            offset: position.offset,
            positioned: result.positioned,
            data: result.data.clone(),
            was_recovering: result.was_recovering,
            delta: result.delta,
        }
    }
}

impl From<&Push<'_>> for PushMessage {
    fn from(push: &Push<'_>) -> Self {
        let with_info = |info: &channel::ClientInfo| Some(WithInfo { info: Some(info.into()) });
        match push {
            Push::Publication { channel, publication, body } => {
                Self { channel: channel.to_string(), publication: Some(Publication::new(publication, *body)), ..Self::default() }
            }
            Push::Join { channel, info } => Self { channel: channel.to_string(), join: with_info(info), ..Self::default() },
            Push::Leave { channel, info } => Self { channel: channel.to_string(), leave: with_info(info), ..Self::default() },
            Push::Unsubscribe { channel, why } => {
                let unsubscribe = Unsubscribe { code: why.code, reason: why.reason.to_string() };
                Self { channel: channel.to_string(), unsubscribe: Some(unsubscribe), ..Self::default() }
            }
            Push::Subscribe { channel, result } => {
                let position = result.position.clone().unwrap_or_default();
                let subscribe = SubscribePush {
                    recoverable: result.recoverable,
                    epoch: position.epoch.as_str().to_string(),
                    offset: position.offset,
                    positioned: result.positioned,
                    data: result.data.clone(),
                };
                Self { channel: channel.to_string(), subscribe: Some(subscribe), ..Self::default() }
            }
            Push::Refresh(result) => {
                let refresh = RefreshPush { expires: result.ttl.is_some(), ttl: result.ttl.unwrap_or(0) };
                Self { refresh: Some(refresh), ..Self::default() }
            }
            Push::Message(data) => Self { message: Some(Data { data: (*data).clone() }), ..Self::default() },
            Push::Disconnect { code, reason } => {
                let disconnect = DisconnectPush { code: u32::from(*code), reason: (*reason).to_string() };
                Self { disconnect: Some(disconnect), ..Self::default() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Epoch, Payload, StreamPosition};
    use crate::protocol::centrifuge::Codec;
    use crate::protocol::codes::ErrorCode;

    fn publication(offset: u64) -> channel::Publication {
        channel::Publication { offset, data: Payload::from_bytes(Bytes::from_static(b"{\"x\":1}")), info: None, tags: None, update: None }
    }

    fn alone(codec: Codec, reply: &reply::Reply) -> BytesMut {
        let mut out = BytesMut::new();
        codec.write(reply, &mut out).unwrap();
        out
    }

    fn result(publications: Vec<Arc<channel::Publication>>) -> reply::SubscribeResult {
        reply::SubscribeResult {
            recoverable: true,
            positioned: true,
            position: Some(StreamPosition { offset: 7, epoch: Epoch::new("abcd") }),
            was_recovering: true,
            recovered: true,
            publications,
            ..reply::SubscribeResult::default()
        }
    }

    #[test]
    fn a_reply_put_together_around_a_shared_list_reads_as_one_written_whole() {
        let list: Vec<_> = (8..11).map(|offset| Arc::new(publication(offset))).collect();
        for codec in Codec::ALL {
            let whole = alone(codec, &reply::Reply::Subscribe { id: 300, result: &result(list.clone()) });
            let shared = codec.encode_publications(list.iter().map(|publication| (publication.as_ref(), Body::Plain))).unwrap();
            let (head, tail) = codec.subscribe_reply_around(300, &result(Vec::new()), shared.len()).unwrap();
            let joined = [&head[..], &shared, &tail].concat();
            match codec {
                Codec::Json => assert_eq!(String::from_utf8_lossy(&joined), String::from_utf8_lossy(&whole)),
                Codec::Protobuf => {
                    assert_eq!(Reply::decode_length_delimited(&joined[..]).unwrap(), Reply::decode_length_delimited(&whole[..]).unwrap());
                }
            }
        }
    }

    #[test]
    fn the_empty_reply_is_the_ping() {
        let mut out = BytesMut::new();
        Reply::default().encode_length_delimited(&mut out).unwrap();
        assert_eq!(&out[..], Codec::Protobuf.ping());
    }

    #[test]
    fn json_replies_are_written_as_the_protocol_shows_them() {
        let channel = channel::ChannelName::new("a\"b");
        let tags = BTreeMap::from([("k".to_string(), "v".to_string())]);
        let info = channel::ClientInfo {
            user: channel::UserId::default(),
            client: channel::SessionId::parse("6ba7b810-9dad-41d1-80b4-00c04fd430c8").unwrap(),
            conn_info: Bytes::from_static(b"{\"n\":1}"),
            chan_info: Bytes::new(),
        };
        let tagged = channel::Publication { tags: Some(Arc::new(tags)), info: Some(Arc::new(info)), ..publication(3) };
        let no_history = reply::HistoryResult::default();
        let cases = [
            (reply::Reply::Publish { id: 3 }, r#"{"id":3,"publish":{}}"#),
            (
                reply::Reply::Error { id: 4, error: ErrorCode::INTERNAL, message: ErrorCode::INTERNAL.message },
                r#"{"id":4,"error":{"code":100,"message":"internal server error","temporary":true}}"#,
            ),
            (reply::Reply::PresenceStats { id: 5, clients: 0, users: 0 }, r#"{"id":5,"presence_stats":{"num_clients":0,"num_users":0}}"#),
            (reply::Reply::Presence { id: 6, clients: &[] }, r#"{"id":6,"presence":{"presence":{}}}"#),
            (reply::Reply::History { id: 7, result: &no_history }, r#"{"id":7,"history":{"publications":[],"epoch":"","offset":0}}"#),
            (
                reply::Reply::Push(Push::Publication { channel: &channel, publication: &tagged, body: Body::Plain }),
                r#"{"push":{"channel":"a\"b","pub":{"data":{"x":1},"info":{"user":"","client":"6ba7b810-9dad-41d1-80b4-00c04fd430c8","conn_info":{"n":1}},"offset":3,"tags":{"k":"v"}}}}"#,
            ),
        ];
        for (reply, text) in cases {
            let encoded = alone(Codec::Json, &reply);
            assert_eq!(std::str::from_utf8(&encoded).unwrap(), text);
            assert!(serde_json::from_slice::<serde_json::Value>(&encoded).is_ok());
        }
    }

    #[test]
    fn a_payload_is_told_as_it_is_or_to_those_who_take_deltas_as_a_text() {
        let channel = channel::ChannelName::new("a");
        let publication = channel::Publication { data: Payload::from_bytes(Bytes::from_static("{\"ä\":\"\\n\"}".as_bytes())), ..publication(2) };
        let patch = Bytes::from_static("3\n3:\"ü1;".as_bytes());
        for (body, json, is_delta) in [
            (Body::Plain, r#"{"push":{"channel":"a","pub":{"data":{"ä":"\n"},"offset":2}}}"#, false),
            (Body::Whole, r#"{"push":{"channel":"a","pub":{"data":"{\"ä\":\"\\n\"}","offset":2}}}"#, false),
            (Body::Patch(&patch), r#"{"push":{"channel":"a","pub":{"data":"3\n3:\"ü1;","offset":2,"delta":true}}}"#, true),
        ] {
            let push = || reply::Reply::Push(Push::Publication { channel: &channel, publication: &publication, body });
            assert_eq!(std::str::from_utf8(&alone(Codec::Json, &push())).unwrap(), json);
            let message = Reply::decode_length_delimited(alone(Codec::Protobuf, &push())).unwrap();
            let told = message.push.unwrap().publication.unwrap();
            assert_eq!((told.delta, &told.data), (is_delta, if is_delta { &patch } else { publication.data.bytes() }));
        }
    }

    #[test]
    fn subscribers_of_a_pattern_are_told_the_channel_and_no_offset() {
        let (pattern, channel) = (channel::ChannelName::new("ticks:*"), channel::ChannelName::new("ticks:a"));
        let own = [("k", "v"), (reply::CHANNEL_TAG, "of the publisher")].map(|(key, value)| (key.to_string(), value.to_string()));
        for (tags, json, told_tags) in
            [(None, r#"{"$channel":"ticks:a"}"#, 1), (Some(Arc::new(channel::Tags::from(own))), r#"{"$channel":"ticks:a","k":"v"}"#, 2)]
        {
            let publication = channel::Publication { tags, ..publication(7) };
            let push = || reply::Reply::Push(Push::Publication { channel: &pattern, publication: &publication, body: Body::Under(&channel) });
            let expected = format!(r#"{{"push":{{"channel":"ticks:*","pub":{{"data":{{"x":1}},"tags":{json},"channel":"ticks:a"}}}}}}"#);
            assert_eq!(std::str::from_utf8(&alone(Codec::Json, &push())).unwrap(), expected);
            let message = Reply::decode_length_delimited(alone(Codec::Protobuf, &push())).unwrap();
            let told = message.push.unwrap().publication.unwrap();
            assert_eq!((told.channel.as_str(), told.offset, told.tags.len()), ("ticks:a", 0, told_tags));
            assert_eq!(told.tags[reply::CHANNEL_TAG], "ticks:a");
        }
    }

    #[test]
    fn what_is_not_json_leaves_the_frame_as_it_was() {
        let binary = channel::Publication { data: Payload::from_bytes(Bytes::from_static(b"\xff")), ..publication(1) };
        let channel = channel::ChannelName::new("a");
        let mut out = BytesMut::new();
        Codec::Json.write(&reply::Reply::Publish { id: 1 }, &mut out).unwrap();
        let before = out.clone();
        let patch = Bytes::from_static(b"a patch");
        for body in [Body::Plain, Body::Whole, Body::Patch(&patch)] {
            assert!(Codec::Json.write(&reply::Reply::Push(Push::Publication { channel: &channel, publication: &binary, body }), &mut out).is_err());
        }
        assert_eq!(out, before);
    }
}

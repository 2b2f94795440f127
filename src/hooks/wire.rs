//! What is asked and answered, as it stands in the bodies. Pure.
//!
//! Strict where a slip would let somebody in: a member that is there but cannot be read makes the whole answer void, and never counts as absent.

use crate::auth::{Overrides, ServerSub};
use crate::channel::{ChannelName, Payload, Tags, UserId};
use crate::protocol::codes::ErrorCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Bytes of an error's text. It goes to the client as it is.
const MESSAGE_BYTES_MAX: usize = 512;

/// Bytes of a disconnect's reason: a close frame carries at most 125, two of them the code (RFC 6455, 5.5).
const REASON_BYTES_MAX: usize = 123;

/// Subscriptions that one answer may make. `client.channel_limit` is asked besides.
const SUBS_MAX: usize = 1_024;

/// One request. What a kind of hook does not say is absent.
#[derive(Debug, Default, Serialize)]
pub struct Question<'a> {
    pub client: String,
    pub transport: &'a str,
    /// Of the client's own messages.
    pub protocol: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub version: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'a str>,
}

/// A question with its payload, as it is posted.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    question: Question<'a>,
    /// Of the payload in this body; `binary`: it is in `b64data`.
    encoding: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b64data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a RawValue>,
}

/// A payload is not JSON, and the backend takes nothing else (`binary_encoding`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

impl<'a> Question<'a> {
    pub fn write(self, data: &'a [u8], meta: Option<&'a Bytes>, is_binary: bool) -> Result<Vec<u8>, NotJson> {
        let body = Body {
            question: self,
            encoding: if is_binary { "binary" } else { "json" },
            data: if is_binary || data.is_empty() { None } else { Some(serde_json::from_slice(data).map_err(|_| NotJson)?) },
            b64data: (is_binary && !data.is_empty()).then(|| STANDARD.encode(data)),
            meta: meta.and_then(|meta| serde_json::from_slice(meta).ok()),
        };
        serde_json::to_vec(&body).map_err(|_| NotJson)
    }
}

/// What a client is told that the backend turns away, or that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    Error {
        error: ErrorCode,
        message: String,
    },
    /// The connection is closed.
    Disconnect {
        code: u16,
        reason: String,
    },
}

impl Refused {
    pub fn error(code: u32, message: &str, temporary: bool) -> Option<Self> {
        let error = ErrorCode::of_application(code, temporary)?;
        let mut message = if message.is_empty() { error.message.to_string() } else { message.to_string() };
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        Some(Self::Error { error, message })
    }

    pub fn disconnect(code: u16, reason: &str) -> Option<Self> {
        let mut reason = reason.to_string();
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        // Below are the codes of WebSocket itself, above is nothing that clients know.
        (3_000..=4_999).contains(&code).then_some(Self::Disconnect { code, reason })
    }
}

impl From<ErrorCode> for Refused {
    fn from(error: ErrorCode) -> Self {
        Self::Error { error, message: error.message.to_string() }
    }
}

/// The answer is none: not JSON, or not of this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage;

/// What stands in an answer: a result, or that the client is turned away.
pub type Heard<T> = Result<T, Refused>;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<WireError>,
    disconnect: Option<WireDisconnect>,
}

#[derive(Deserialize)]
struct WireError {
    code: u32,
    #[serde(default)]
    message: String,
    #[serde(default)]
    temporary: bool,
}

#[derive(Deserialize)]
struct WireDisconnect {
    code: u16,
    #[serde(default)]
    reason: String,
}

/// Reads an answer of one kind.
pub fn read<T: Answered>(body: &[u8]) -> Result<Heard<T>, Garbage> {
    let envelope: Envelope = serde_json::from_slice(body).map_err(|_| Garbage)?;
    if let Some(WireDisconnect { code, reason }) = envelope.disconnect {
        return Ok(Err(Refused::disconnect(code, &reason).ok_or(Garbage)?));
    }
    if let Some(WireError { code, message, temporary }) = envelope.error {
        return Ok(Err(Refused::error(code, &message, temporary).ok_or(Garbage)?));
    }
    let Some(result) = envelope.result else { return T::absent().map(Ok) };
    let wire: T::Wire = serde_json::from_str(result.get()).map_err(|_| Garbage)?;
    T::from_wire(wire).map(Ok)
}

/// A kind of answer, read from what stands on the wire.
pub trait Answered: Sized + Send + 'static {
    type Wire: for<'de> Deserialize<'de>;
    fn from_wire(wire: Self::Wire) -> Result<Self, Garbage>;

    /// What an answer without a result says. Where nothing is said otherwise, it is none: whoever forgets to say yes lets nobody in.
    fn absent() -> Result<Self, Garbage> {
        Err(Garbage)
    }
}

/// Who a client is that showed no token.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    pub user: UserId,
    /// Unix seconds; `None`: never.
    pub expires_at: Option<i64>,
    pub info: Bytes,
    /// Told to the client with the result.
    pub data: Bytes,
    pub subs: Vec<ServerSub>,
    pub meta: Option<Bytes>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct WireAdmitted {
    user: String,
    expire_at: i64,
    info: Option<Box<RawValue>>,
    b64info: String,
    data: Option<Box<RawValue>>,
    b64data: String,
    channels: Vec<String>,
    subs: HashMap<String, WireSub>,
    meta: Option<Box<RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireSub {
    info: Option<Box<RawValue>>,
    b64info: String,
    data: Option<Box<RawValue>>,
    b64data: String,
    #[serde(rename = "override")]
    overrides: WireOverrides,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireOverrides {
    presence: Option<WireFlag>,
    join_leave: Option<WireFlag>,
    force_push_join_leave: Option<WireFlag>,
    force_positioning: Option<WireFlag>,
    force_recovery: Option<WireFlag>,
}

#[derive(Deserialize)]
struct WireFlag {
    value: bool,
}

impl From<WireOverrides> for Overrides {
    fn from(wire: WireOverrides) -> Self {
        let value = |flag: Option<WireFlag>| flag.map(|WireFlag { value }| value);
        Self {
            presence: value(wire.presence),
            join_leave: value(wire.join_leave),
            force_push_join_leave: value(wire.force_push_join_leave),
            force_positioning: value(wire.force_positioning),
            force_recovery: value(wire.force_recovery),
        }
    }
}

/// `None`: the application does not know the client, so that the next rule decides.
impl Answered for Option<Admitted> {
    type Wire = WireAdmitted;

    fn absent() -> Result<Self, Garbage> {
        Ok(None)
    }

    fn from_wire(wire: WireAdmitted) -> Result<Self, Garbage> {
        if wire.subs.len() + wire.channels.len() > SUBS_MAX || wire.channels.iter().chain(wire.subs.keys()).any(String::is_empty) {
            return Err(Garbage);
        }
        let mut subs = BTreeMap::new();
        for (channel, sub) in wire.subs {
            let channel = ChannelName::new(&channel);
            let sub = ServerSub {
                channel: channel.clone(),
                info: payload(sub.info, &sub.b64info)?,
                data: payload(sub.data, &sub.b64data)?,
                overrides: sub.overrides.into(),
            };
            subs.insert(channel, sub);
        }
        for channel in wire.channels {
            let channel = ChannelName::new(&channel);
            subs.entry(channel.clone()).or_insert_with(|| ServerSub::plain(channel));
        }
        Ok(Some(Admitted {
            user: UserId::new(&wire.user),
            expires_at: time(wire.expire_at),
            info: payload(wire.info, &wire.b64info)?,
            data: payload(wire.data, &wire.b64data)?,
            subs: subs.into_values().collect(),
            meta: json(wire.meta),
        }))
    }
}

/// Whether a connection or a subscription goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewed {
    pub is_expired: bool,
    /// Unix seconds; `None`: it never has to be asked about again.
    pub expires_at: Option<i64>,
    /// Replaces what others may know, where there is any.
    pub info: Option<Bytes>,
    /// Replaces the connection's `meta`, where there is any.
    pub meta: Option<Bytes>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct WireRenewed {
    expired: bool,
    expire_at: i64,
    info: Option<Box<RawValue>>,
    b64info: String,
    meta: Option<Box<RawValue>>,
}

impl Answered for Renewed {
    type Wire = WireRenewed;

    fn from_wire(wire: WireRenewed) -> Result<Self, Garbage> {
        let info = payload(wire.info, &wire.b64info)?;
        Ok(Self { is_expired: wire.expired, expires_at: time(wire.expire_at), info: (!info.is_empty()).then_some(info), meta: json(wire.meta) })
    }
}

/// What a call comes to: JSON, or other bytes.
impl Answered for Bytes {
    type Wire = WireData;

    fn from_wire(wire: WireData) -> Result<Self, Garbage> {
        payload(wire.data, &wire.b64data)
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct WireData {
    data: Option<Box<RawValue>>,
    b64data: String,
}

/// A client may subscribe, with these rights.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Allowed {
    /// Unix seconds; `None`: never.
    pub expires_at: Option<i64>,
    pub info: Bytes,
    /// Told to the client with the result.
    pub data: Bytes,
    pub overrides: Overrides,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct WireAllowed {
    expire_at: i64,
    info: Option<Box<RawValue>>,
    b64info: String,
    data: Option<Box<RawValue>>,
    b64data: String,
    #[serde(rename = "override")]
    overrides: WireOverrides,
}

impl Answered for Allowed {
    type Wire = WireAllowed;

    fn from_wire(wire: WireAllowed) -> Result<Self, Garbage> {
        Ok(Self {
            expires_at: time(wire.expire_at),
            info: payload(wire.info, &wire.b64info)?,
            data: payload(wire.data, &wire.b64data)?,
            overrides: wire.overrides.into(),
        })
    }
}

/// A client may publish, and how it is published.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Accepted {
    /// In place of what the client sent.
    pub data: Option<Payload>,
    pub skip_history: bool,
    pub tags: Option<Arc<Tags>>,
    pub idempotency_key: Option<String>,
    pub version: u64,
    pub version_epoch: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct WireAccepted {
    data: Option<Box<RawValue>>,
    b64data: String,
    skip_history: bool,
    tags: Option<Tags>,
    idempotency_key: String,
    version: u64,
    version_epoch: String,
}

impl Answered for Accepted {
    type Wire = WireAccepted;

    fn from_wire(wire: WireAccepted) -> Result<Self, Garbage> {
        let data = if wire.b64data.is_empty() {
            wire.data.map(|data| Payload::from_json(Bytes::from(data.get().as_bytes().to_vec())))
        } else {
            Some(Payload::from_bytes(payload(None, &wire.b64data)?))
        };
        Ok(Self {
            data,
            skip_history: wire.skip_history,
            tags: wire.tags.filter(|tags| !tags.is_empty()).map(Arc::new),
            idempotency_key: (!wire.idempotency_key.is_empty()).then_some(wire.idempotency_key),
            version: wire.version,
            version_epoch: wire.version_epoch,
        })
    }
}

/// 0 and what is before 1970: never.
fn time(expire_at: i64) -> Option<i64> {
    (expire_at > 0).then_some(expire_at)
}

/// JSON on one line, as connections can be sent it.
fn json(value: Option<Box<RawValue>>) -> Option<Bytes> {
    value.map(|value| Payload::from_json(Bytes::from(value.get().as_bytes().to_vec())).bytes().clone())
}

/// The bytes in base64 win; where they are JSON, on one line too.
fn payload(value: Option<Box<RawValue>>, base64: &str) -> Result<Bytes, Garbage> {
    if base64.is_empty() {
        return Ok(json(value).unwrap_or_default());
    }
    let decoded = STANDARD.decode(base64).map_err(|_| Garbage)?;
    Ok(Payload::from_bytes(decoded.into()).bytes().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_says_what_its_kind_knows_and_nothing_else() {
        let question = || Question { client: "c".to_string(), transport: "websocket", protocol: "json", user: Some("u"), ..Question::default() };
        let text = |written: Result<Vec<u8>, NotJson>| String::from_utf8(written.unwrap()).unwrap();
        let meta = Bytes::from_static(b"{\"a\":1.50}");
        assert_eq!(
            text(Question { channel: Some("x"), ..question() }.write(b"{\"b\": 1,\"a\":2}", Some(&meta), false)),
            r#"{"client":"c","transport":"websocket","protocol":"json","user":"u","channel":"x","encoding":"json","data":{"b": 1,"a":2},"meta":{"a":1.50}}"#
        );
        assert_eq!(
            text(Question { method: Some("m"), ..question() }.write(b"\xff", None, true)),
            r#"{"client":"c","transport":"websocket","protocol":"json","user":"u","method":"m","encoding":"binary","b64data":"/w=="}"#
        );
        assert_eq!(question().write(b"\xff", None, false), Err(NotJson));
    }

    #[test]
    fn an_answer_admits_refuses_or_is_garbage() {
        let admitted = read::<Option<Admitted>>(
            br#"{"result":{"user":"42","expire_at":7,"info":{"a":
1},"b64data":"aGk=","channels":["b","a"],"subs":{"a":{"data":5,"override":{"presence":{"value":true}}}},"meta":[1],"caps":[]}}"#,
        );
        let Ok(Ok(Some(admitted))) = admitted else { panic!("{admitted:?}") };
        assert_eq!(
            (admitted.user.as_str(), admitted.expires_at, &admitted.info[..], &admitted.data[..]),
            ("42", Some(7), &b"{\"a\": 1}"[..], &b"hi"[..])
        );
        assert_eq!(admitted.subs.iter().map(|sub| (sub.channel.as_str(), &sub.data[..])).collect::<Vec<_>>(), [("a", &b"5"[..]), ("b", b"")]);
        assert_eq!((admitted.subs[0].overrides.presence, admitted.meta.as_deref()), (Some(true), Some(&b"[1]"[..])));

        let in_base64 = read::<Option<Admitted>>(br#"{"result":{"b64info":"eyJhIjoKMX0=","b64data":"AP8K"}}"#);
        let Ok(Ok(Some(in_base64))) = in_base64 else { panic!("{in_base64:?}") };
        assert_eq!((&in_base64.info[..], &in_base64.data[..]), (&b"{\"a\": 1}"[..], &b"\x00\xff\n"[..]), "bytes that are no JSON stay as they are");

        for nothing in ["{}", r#"{"result":null}"#, r#"{"error":null,"x":[]}"#] {
            assert_eq!(read::<Option<Admitted>>(nothing.as_bytes()), Ok(Ok(None)), "{nothing}");
            assert_eq!(read::<Allowed>(nothing.as_bytes()), Err(Garbage), "{nothing}");
        }
        let refused = |text: &str| read::<Allowed>(text.as_bytes());
        assert_eq!(refused(r#"{"error":{"code":103}}"#), Ok(Err(ErrorCode::PERMISSION_DENIED.into())));
        let Ok(Err(Refused::Error { error, message })) = refused(r#"{"error":{"code":1000,"message":"no","temporary":true}}"#) else { panic!() };
        assert_eq!((error.code, error.temporary, message.as_str()), (1_000, true, "no"));
        assert_eq!(
            refused(r#"{"disconnect":{"code":4500,"reason":"bye"},"result":{}}"#),
            Ok(Err(Refused::Disconnect { code: 4_500, reason: "bye".to_string() })),
            "whoever is sent away does not get in by a result beside it"
        );
        for garbage in [
            "",
            "<html>",
            "[]",
            "{",
            r#"{"result":7}"#,
            r#"{"result":{"expire_at":"7"}}"#,
            r#"{"result":{"b64info":"?"}}"#,
            r#"{"result":{"override":{"presence":true}}}"#,
            r#"{"error":{"code":99}}"#,
            r#"{"error":{"code":2000}}"#,
            r#"{"error":"no"}"#,
            r#"{"disconnect":{"code":1000}}"#,
            r#"{"disconnect":{"code":5000}}"#,
        ] {
            assert_eq!(refused(garbage), Err(Garbage), "{garbage}");
        }
        assert_eq!(read::<Option<Admitted>>(br#"{"result":{"channels":[""]}}"#), Err(Garbage));
        let many = format!(r#"{{"result":{{"channels":[{}]}}}}"#, (0..=SUBS_MAX).map(|n| format!("\"c{n}\"")).collect::<Vec<_>>().join(","));
        assert_eq!(read::<Option<Admitted>>(many.as_bytes()), Err(Garbage));
    }

    #[test]
    fn a_publication_is_replaced_only_where_the_answer_says_so() {
        assert_eq!(read::<Accepted>(b"{\"result\":{}}"), Ok(Ok(Accepted::default())));
        let Ok(Ok(accepted)) = read::<Accepted>(br#"{"result":{"data":{"x":1},"skip_history":true,"tags":{"a":"b"},"version":3}}"#) else { panic!() };
        assert_eq!((accepted.data, accepted.skip_history, accepted.version), (Some(Payload::from_json(Bytes::from_static(b"{\"x\":1}"))), true, 3));
        assert_eq!(accepted.tags.map(|tags| tags.len()), Some(1));
    }

    #[test]
    fn texts_are_cut_to_what_clients_can_be_told() {
        let Some(Refused::Disconnect { reason, .. }) = Refused::disconnect(4_000, &"é".repeat(200)) else { panic!() };
        assert_eq!(reason.len(), 122);
        let Some(Refused::Error { message, .. }) = Refused::error(500, &"é".repeat(500), false) else { panic!() };
        assert_eq!(message.len(), MESSAGE_BYTES_MAX);
    }
}

//! `publish`: one message into one channel. The method that speed matters for: its data is never copied and its answer written at once.

use super::Call;
use super::json::{self, List, Text, Texts, null_as_default};
use crate::broker::{Exclusion, Publish, Published};
use crate::channel::{ChannelName, SessionId, UserId};
use crate::protocol::codes::{ClientError, ErrorCode, Refusal};
use crate::telemetry::latency::{Path, took};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Instant;
use utoipa::ToSchema;

/// Tags of one publication. They travel with it to every subscriber.
pub const TAGS_MAX: usize = 64;

pub const EXAMPLE: &str = r#"{"channel":"news:world","data":{"title":"A launch"},"tags":{"lang":"en"},"idempotency_key":"launch-1"}"#;
pub const EXAMPLE_RESULT: &str = r#"{"offset":1,"epoch":"kXqp"}"#;

/// Publishes one message into one channel.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PublishRequest<'a> {
    /// The channel. Its namespace must be configured (else error 102).
    #[serde(default, borrow)]
    #[schema(value_type = String, required = true)]
    pub channel: Text<'a>,
    /// The message: any JSON. It reaches subscribers byte for byte. Required unless there is `b64data` (else error 107).
    #[serde(default, borrow, deserialize_with = "json::any_json")]
    #[schema(value_type = Value)]
    pub data: Option<&'a RawValue>,
    /// The message as Base64 (RFC 4648, 4), for bytes that are not JSON. Wins over `data`.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub b64data: Text<'a>,
    /// Deliver the message to who is there now; keep it out of the history, without an offset.
    #[serde(default, deserialize_with = "null_as_default")]
    pub skip_history: bool,
    /// Texts that travel with the message, 64 at most.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub tags: Texts<TAGS_MAX>,
    /// A second call with the same key and channel within 300 s publishes nothing and is given the result of the first.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub idempotency_key: Text<'a>,
    /// Accepted and without effect: the namespace says whether subscribers may have deltas.
    #[serde(default, deserialize_with = "null_as_default")]
    #[expect(dead_code, reason = "it is part of the API, so its type is checked")]
    pub delta: bool,
    /// A message whose version is not above the one that the channel's history had last is not published; the result is the position of
    /// the newest. 0: no version. Needs history.
    #[serde(default, deserialize_with = "null_as_default")]
    pub version: u64,
    /// Versions of different epochs are not compared. Empty: compared with whatever came last.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub version_epoch: Text<'a>,
    /// Subscribers that are not given the message, for instance the connection whose action it tells of. It is in the history all the same, and
    /// in what they recover.
    #[serde(default, borrow)]
    pub exclude: Option<ExcludedView<'a>>,
}

/// Connections or users of one list.
pub const EXCLUDED_MAX: usize = 64;

/// Whose connections are left out.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Excluded)]
pub struct ExcludedView<'a> {
    /// Connections, by the `client` that each was told when it connected. 64 at most.
    #[serde(default, borrow)]
    #[schema(value_type = Vec<String>, max_items = 64)]
    pub clients: List<Text<'a>, EXCLUDED_MAX>,
    /// All connections of these users. 64 at most.
    #[serde(default, borrow)]
    #[schema(value_type = Vec<String>, max_items = 64)]
    pub users: List<Text<'a>, EXCLUDED_MAX>,
}

impl ExcludedView<'_> {
    /// Fails on what is no id of a connection, and on the empty user, who would be everybody without a name.
    pub fn read(excluded: Option<Self>) -> Result<Option<Arc<Exclusion>>, ErrorCode> {
        let Some(Self { clients, users }) = excluded.filter(|excluded| !excluded.clients.is_empty() || !excluded.users.is_empty()) else {
            return Ok(None);
        };
        let clients = clients.iter().map(|client| SessionId::parse(client)).collect::<Option<_>>().ok_or(ErrorCode::BAD_REQUEST)?;
        let users: Vec<_> = users.iter().map(|user| UserId::new(user)).collect();
        if users.iter().any(UserId::is_anonymous) {
            return Err(ErrorCode::BAD_REQUEST);
        }
        Ok(Some(Arc::new(Exclusion { clients, users })))
    }
}

/// Where the message ended up in the channel's history. Empty without history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct PublishResult {
    /// Position in the stream, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Which life of the stream the offset belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub epoch: Option<Epoch>,
}

/// An epoch, shared with the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch(pub crate::channel::Epoch);

impl Serialize for Epoch {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl From<Published> for PublishResult {
    fn from(published: Published) -> Self {
        match published {
            Some(position) => Self { offset: Some(position.offset), epoch: Some(Epoch(position.epoch)) },
            None => Self::default(),
        }
    }
}

pub async fn call(call: &Call<'_>, request: PublishRequest<'_>) -> Result<PublishResult, Refusal> {
    let data = json::payload(call.body, request.data, &request.b64data)?;
    if request.channel.is_empty() {
        return Err(ErrorCode::BAD_REQUEST.into());
    }
    let options = call.options(&request.channel)?;
    let data = data.ok_or(ErrorCode::BAD_REQUEST)?;
    let publish = Publish {
        data,
        tags: tags(request.tags),
        skip_history: request.skip_history,
        idempotency_key: key(&request.idempotency_key),
        version: request.version,
        version_epoch: request.version_epoch.to_string(),
        exclude: ExcludedView::read(request.exclude)?,
        ..Publish::default()
    };
    let began = Instant::now();
    let published = call.api.publisher.publish_in(&ChannelName::new(&request.channel), options, publish).await;
    took(Path::ApiPublish, began.elapsed());
    published.map(PublishResult::from).map_err(|error| error.refusal())
}

pub fn tags(tags: Texts<TAGS_MAX>) -> Option<Arc<crate::channel::Tags>> {
    (!tags.0.is_empty()).then(|| Arc::new(tags.0))
}

pub fn key(key: &str) -> Option<String> {
    (!key.is_empty()).then(|| key.to_string())
}

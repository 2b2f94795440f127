//! `broadcast`: the same message into many channels.

use super::json::{self, List, Text, Texts, null_as_default};
use super::publish::{ExcludedView, PublishResult, TAGS_MAX, key, tags};
use super::{Call, Outcome, TURN};
use crate::broker::{Answer, Publish, PublishError, Published};
use crate::channel::{ChannelName, ChannelOptions, Payload};
use crate::protocol::codes::{ClientError, ErrorCode, Refusal};
use crate::telemetry::latency::{Path, took};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use utoipa::ToSchema;

/// Channels of one call.
pub const CHANNELS_MAX: usize = 10_000;

pub const EXAMPLE: &str = r#"{"channels":["news:world","news:space"],"data":{"title":"A launch"}}"#;
pub const EXAMPLE_RESULT: &str = r#"{"responses":[{"result":{"offset":2,"epoch":"kXqp"}},{"result":{"offset":1,"epoch":"mB3d"}}]}"#;

/// Publishes the same message into many channels.
#[derive(Debug, Deserialize, ToSchema)]
pub struct BroadcastRequest<'a> {
    /// The channels, 10000 at most. Each is published into for itself, and may fail for itself.
    #[serde(default, borrow)]
    #[schema(value_type = Vec<String>, required = true, max_items = 10000)]
    pub channels: List<Text<'a>, CHANNELS_MAX>,
    /// The message: any JSON. It reaches subscribers byte for byte. Required unless there is `b64data` (else error 107).
    #[serde(default, borrow, deserialize_with = "json::any_json")]
    #[schema(value_type = Value)]
    pub data: Option<&'a RawValue>,
    /// The message as Base64 (RFC 4648, 4), for bytes that are not JSON. Wins over `data`.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub b64data: Text<'a>,
    /// Deliver the message to who is there now; keep it out of the histories, without offsets.
    #[serde(default, deserialize_with = "null_as_default")]
    pub skip_history: bool,
    /// Texts that travel with the message, 64 at most.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub tags: Texts<TAGS_MAX>,
    /// As in `publish`, for each channel by itself.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub idempotency_key: Text<'a>,
    /// Accepted and without effect: the namespace says whether subscribers may have deltas.
    #[serde(default, deserialize_with = "null_as_default")]
    #[expect(dead_code, reason = "it is part of the API, so its type is checked")]
    pub delta: bool,
    /// As in `publish`, for each channel by itself.
    #[serde(default, deserialize_with = "null_as_default")]
    pub version: u64,
    /// As in `publish`.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub version_epoch: Text<'a>,
    /// As in `publish`.
    #[serde(default, borrow)]
    pub exclude: Option<ExcludedView<'a>>,
}

/// What became of the message in each channel, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct BroadcastResult {
    #[schema(schema_with = super::openapi::publish_outcomes)]
    pub responses: Vec<Outcome<PublishResult>>,
}

/// What is published into each of the channels.
struct Content<'a> {
    data: Payload,
    publish: Publish,
    /// What each namespace makes of the payload, by its options. Asked once a namespace: to read a large payload takes milliseconds, and there
    /// may be ten thousand channels.
    admitted: HashMap<*const ChannelOptions, Result<Payload, Refusal>>,
    call: &'a Call<'a>,
}

impl<'a> Content<'a> {
    /// Begins to publish into one channel.
    fn publish_to(&mut self, channel: &str) -> impl Future<Output = Result<PublishResult, Refusal>> + use<> {
        let begun = self.begin(channel);
        async move { begun?.await.map(PublishResult::from).map_err(|error| error.refusal()) }
    }

    fn begin(&mut self, channel: &str) -> Result<Answer<Result<Published, PublishError>>, Refusal> {
        if channel.is_empty() {
            return Err(ErrorCode::BAD_REQUEST.into());
        }
        let options = self.call.options(channel)?;
        let publisher = &self.call.api.publisher;
        let channel = ChannelName::new(channel);
        let admitted = self
            .admitted
            .entry(Arc::as_ptr(options))
            .or_insert_with(|| publisher.admit(&channel, options, self.data.clone()).map_err(|error| error.refusal()));
        let publish = Publish { data: admitted.clone()?, ..self.publish.clone() };
        Ok(publisher.publish_admitted(&channel, options, publish))
    }
}

pub async fn call(call: &Call<'_>, request: BroadcastRequest<'_>) -> Result<BroadcastResult, ErrorCode> {
    let data = json::payload(call.body, request.data, &request.b64data)?.ok_or(ErrorCode::BAD_REQUEST)?;
    if request.channels.is_empty() {
        return Err(ErrorCode::BAD_REQUEST);
    }
    let publish = Publish {
        tags: tags(request.tags),
        skip_history: request.skip_history,
        idempotency_key: key(&request.idempotency_key),
        version: request.version,
        version_epoch: request.version_epoch.to_string(),
        exclude: ExcludedView::read(request.exclude)?,
        ..Publish::default()
    };
    let began = Instant::now();
    let mut content = Content { data, publish, admitted: HashMap::new(), call };
    let mut responses = Vec::with_capacity(request.channels.len());
    for channels in request.channels.chunks(TURN) {
        // Started together: a broker on the network is asked for all of them before the first answer is waited for.
        let turn: Vec<_> = channels.iter().map(|channel| content.publish_to(channel)).collect();
        responses.extend(futures_util::future::join_all(turn).await.into_iter().map(Outcome));
        tokio::task::yield_now().await;
    }
    took(Path::ApiPublish, began.elapsed());
    Ok(BroadcastResult { responses })
}

//! `subscribe`: connections of a user get a server-side subscription.

use super::json::{self, Text, null_as_default};
use super::{Addressed, Call, Empty};
use crate::auth::{Overrides, ServerSub};
use crate::channel::{ChannelName, Epoch, StreamPosition};
use crate::protocol::codes::ErrorCode;
use crate::session::Subscribed;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

pub const EXAMPLE: &str =
    r#"{"user":"42","channel":"news:world","info":{"role":"editor"},"expire_at":4102444800,"override":{"presence":{"value":true}}}"#;
pub const EXAMPLE_RESULT: &str = "{}";

/// Subscribes connections of a user to a channel: all of them, or those that `client` names. Permissions are not asked for. A connection
/// that is subscribed to the channel already stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SubscribeRequest<'a> {
    /// The user. May be empty if there is `client`.
    #[serde(default, borrow)]
    #[schema(value_type = String, required = true)]
    pub user: Text<'a>,
    #[serde(default, borrow)]
    #[schema(value_type = String, required = true)]
    pub channel: Text<'a>,
    /// Only the connection with this client id.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub client: Text<'a>,
    /// Only the connection with this session id, which clients of HTTP streams, event streams and unidirectional transports are given.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub session: Text<'a>,
    /// What others may know of the subscriber in this channel (`chan_info`): any JSON.
    #[serde(default, borrow)]
    #[schema(value_type = Value)]
    pub info: Option<&'a RawValue>,
    /// `info` as Base64. Wins over it.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub b64info: Text<'a>,
    /// Handed to the client with the subscription: any JSON.
    #[serde(default, borrow)]
    #[schema(value_type = Value)]
    pub data: Option<&'a RawValue>,
    /// `data` as Base64. Wins over it.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub b64data: Text<'a>,
    /// Unix time in seconds at which the subscription ends. 0: never.
    #[serde(default, deserialize_with = "null_as_default")]
    pub expire_at: i64,
    /// Give the client everything that was published after this position.
    #[serde(default, borrow)]
    pub recover_since: Option<Position<'a>>,
    /// Channel options that are different for these subscriptions.
    pub r#override: Option<Override>,
}

/// A place in a channel's stream.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Position<'a> {
    /// Everything up to here is known.
    #[serde(default, deserialize_with = "null_as_default")]
    pub offset: u64,
    /// Which life of the stream the offset belongs to. Empty: not known.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub epoch: Text<'a>,
}

impl From<Position<'_>> for StreamPosition {
    fn from(position: Position<'_>) -> Self {
        Self { offset: position.offset, epoch: Epoch::new(&position.epoch) }
    }
}

/// Options of the channel's namespace that are set differently. What is not here stays as the namespace has it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Override {
    /// Keep them in the channel's presence.
    pub presence: Option<BoolValue>,
    /// Tell others when they come and go.
    pub join_leave: Option<BoolValue>,
    /// Let them catch up with what they missed when they come back.
    pub force_recovery: Option<BoolValue>,
    /// Watch that they miss nothing.
    pub force_positioning: Option<BoolValue>,
    /// Tell them who comes and goes.
    pub force_push_join_leave: Option<BoolValue>,
}

/// A wrapped `true` or `false`, so that `false` differs from nothing.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub struct BoolValue {
    /// What the option is set to.
    #[serde(default, deserialize_with = "null_as_default")]
    pub value: bool,
}

impl From<Override> for Overrides {
    fn from(given: Override) -> Self {
        let value = |option: Option<BoolValue>| option.map(|wrapped| wrapped.value);
        Self {
            presence: value(given.presence),
            join_leave: value(given.join_leave),
            force_push_join_leave: value(given.force_push_join_leave),
            force_positioning: value(given.force_positioning),
            force_recovery: value(given.force_recovery),
        }
    }
}

pub async fn call(call: &Call<'_>, request: SubscribeRequest<'_>) -> Result<Empty, ErrorCode> {
    if request.channel.is_empty() {
        return Err(ErrorCode::BAD_REQUEST);
    }
    call.options(&request.channel)?;
    if !call.api.topics.has_room_for(&ChannelName::new(&request.channel)) {
        return Err(ErrorCode::TOO_MANY_REQUESTS);
    }
    let to = Addressed { user: &request.user, client: &request.client, session: &request.session };
    let subscribed = Subscribed {
        sub: ServerSub {
            channel: ChannelName::new(&request.channel),
            info: json::kept_payload(call.body, request.info, &request.b64info)?,
            data: json::kept_payload(call.body, request.data, &request.b64data)?,
            overrides: request.r#override.map(Overrides::from).unwrap_or_default(),
        },
        expires_at: (request.expire_at > 0).then_some(request.expire_at),
        since: request.recover_since.map(StreamPosition::from),
    };
    call.tell(to.connections(call.api)?, &subscribed).await
}

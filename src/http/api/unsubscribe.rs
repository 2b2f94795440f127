//! `unsubscribe`: subscriptions of a user's connections end.

use super::json::Text;
use super::{Addressed, Call, Empty};
use crate::channel::ChannelName;
use crate::protocol::codes::ErrorCode;
use crate::session::Unsubscribe;
use serde::Deserialize;
use utoipa::ToSchema;

pub const EXAMPLE: &str = r#"{"user":"42","channel":"news:world"}"#;
pub const EXAMPLE_RESULT: &str = "{}";

/// Ends the subscription of a user's connections to one channel or to all. Clients are told with code 2000 and do not come back by themselves.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UnsubscribeRequest<'a> {
    /// The user. May be empty if there is `client`.
    #[serde(default, borrow)]
    #[schema(value_type = String, required = true)]
    pub user: Text<'a>,
    /// Empty: all channels.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub channel: Text<'a>,
    /// Only the connection with this client id.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub client: Text<'a>,
    /// Only the connection with this session id, which clients of HTTP streams, event streams and unidirectional transports are given.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub session: Text<'a>,
}

pub async fn call(call: &Call<'_>, request: UnsubscribeRequest<'_>) -> Result<Empty, ErrorCode> {
    if !request.channel.is_empty() {
        call.options(&request.channel)?;
    } else if !call.caller.may_name_all() {
        return Err(ErrorCode::PERMISSION_DENIED);
    }
    let to = Addressed { user: &request.user, client: &request.client, session: &request.session };
    let channel = (!request.channel.is_empty()).then(|| ChannelName::new(&request.channel));
    call.tell(to.connections(call.api)?, &Unsubscribe { channel }).await
}

//! `refresh`: connections of a user expire later, or now.

use super::json::{self, Text, null_as_default};
use super::{Addressed, Call, Empty};
use crate::protocol::codes::ErrorCode;
use crate::session::Refreshed;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

pub const EXAMPLE: &str = r#"{"user":"42","expire_at":4102444800}"#;
pub const EXAMPLE_RESULT: &str = "{}";

/// Moves the expiry of a user's connections, or ends it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RefreshRequest<'a> {
    /// The user. May be empty if there is `client`.
    #[serde(default, borrow)]
    #[schema(value_type = String, required = true)]
    pub user: Text<'a>,
    /// Only the connection with this client id.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub client: Text<'a>,
    /// Only the connection with this session id, which clients of HTTP streams, event streams and unidirectional transports are given.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub session: Text<'a>,
    /// They are expired: close them with code 3005.
    #[serde(default, deserialize_with = "null_as_default")]
    pub expired: bool,
    /// Unix time in seconds at which they expire from now on. 0: never. In the past: they are closed with code 3005.
    #[serde(default, deserialize_with = "null_as_default")]
    pub expire_at: i64,
    /// What others may know of the client from now on (`conn_info`): any JSON.
    #[serde(default, borrow)]
    #[schema(value_type = Value)]
    pub info: Option<&'a RawValue>,
}

pub async fn call(call: &Call<'_>, request: RefreshRequest<'_>) -> Result<Empty, ErrorCode> {
    let to = Addressed { user: &request.user, client: &request.client, session: &request.session };
    let info = json::kept_payload(call.body, request.info, "")?;
    let refreshed = Refreshed {
        is_expired: request.expired,
        expires_at: (request.expire_at != 0).then_some(request.expire_at),
        info: (!info.is_empty()).then_some(info),
    };
    call.tell(to.connections(call.api)?, &refreshed).await
}

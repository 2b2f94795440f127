//! `disconnect`: connections of a user are closed.

use super::json::{List, Text, null_as_default};
use super::{Addressed, Call, Empty};
use crate::channel::SessionId;
use crate::protocol::codes::{Disconnect, ErrorCode};
use crate::session::Disconnected;
use serde::Deserialize;
use std::ops::RangeInclusive;
use utoipa::ToSchema;

/// Client ids that one call may spare.
pub const WHITELIST_MAX: usize = 1_000;

/// Close codes that an application may choose: those of the protocol and its own (RFC 6455, 7.4.2).
const CODES: RangeInclusive<u32> = 3_000..=4_999;

/// A close frame carries at most 125 bytes, two of them the code (RFC 6455, 5.5).
const REASON_BYTES_MAX: usize = 123;

pub const EXAMPLE: &str = r#"{"user":"42","disconnect":{"code":4501,"reason":"banned"}}"#;
pub const EXAMPLE_RESULT: &str = "{}";

/// Closes connections of a user: all of them, or the one that `client` names.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DisconnectRequest<'a> {
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
    /// Client ids of connections that stay, 1000 at most.
    #[serde(default, borrow)]
    #[schema(value_type = Vec<String>, max_items = 1000)]
    pub whitelist: List<Text<'a>, WHITELIST_MAX>,
    /// Why. Without it: code 3503, `force disconnect`.
    #[serde(default, borrow)]
    pub disconnect: Option<DisconnectReason<'a>>,
}

/// What the client is closed with.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DisconnectReason<'a> {
    /// 3000 to 4999. Clients come back, except after 3500 to 3999 and 4500 to 4999.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schema(minimum = 3000, maximum = 4999)]
    pub code: u32,
    /// At most 123 bytes.
    #[serde(default, borrow)]
    #[schema(value_type = String)]
    pub reason: Text<'a>,
}

pub async fn call(call: &Call<'_>, request: DisconnectRequest<'_>) -> Result<Empty, ErrorCode> {
    let disconnected = match &request.disconnect {
        None => Disconnected::because(Disconnect::FORCE_NO_RECONNECT),
        Some(why) if CODES.contains(&why.code) && why.reason.len() <= REASON_BYTES_MAX => {
            Disconnected { code: why.code as u16, reason: why.reason.to_string() }
        }
        Some(_) => return Err(ErrorCode::BAD_REQUEST),
    };
    let to = Addressed { user: &request.user, client: &request.client, session: &request.session };
    let spared: Vec<_> = request.whitelist.iter().filter_map(|client| SessionId::parse(client)).collect();
    let mut connections = to.connections(call.api)?;
    connections.retain(|found| !spared.contains(&found.facts.session));
    call.tell(connections, &disconnected).await
}

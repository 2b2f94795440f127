//! `presence_stats`: how many are subscribed to a channel.

use super::Call;
use super::json::Text;
use super::presence::channel_with_presence;
use crate::protocol::codes::{ClientError, ErrorCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub const EXAMPLE: &str = r#"{"channel":"chat:lobby"}"#;
pub const EXAMPLE_RESULT: &str = r#"{"num_clients":3,"num_users":2}"#;

/// Asks how many are subscribed to a channel. Needs the option `presence` in its namespace (else error 108).
#[derive(Debug, Deserialize, ToSchema)]
pub struct PresenceStatsRequest<'a> {
    #[serde(default, borrow)]
    #[schema(value_type = String, required = true)]
    pub channel: Text<'a>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PresenceStatsResult {
    /// Connections.
    pub num_clients: usize,
    /// Distinct users; all anonymous ones count as one.
    pub num_users: usize,
}

pub async fn call(call: &Call<'_>, request: PresenceStatsRequest<'_>) -> Result<PresenceStatsResult, ErrorCode> {
    let channel = channel_with_presence(call, &request.channel)?;
    let stats = call.api.publisher.broker.presence_stats(&channel).await.map_err(|error| error.code())?;
    Ok(PresenceStatsResult { num_clients: stats.clients, num_users: stats.users })
}

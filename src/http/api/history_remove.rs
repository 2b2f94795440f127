//! `history_remove`: a channel's history is dropped.

use super::history::channel_with_history;
use super::json::Text;
use super::{Call, Empty};
use crate::protocol::codes::{ClientError, ErrorCode};
use serde::Deserialize;
use utoipa::ToSchema;

pub const EXAMPLE: &str = r#"{"channel":"news:world"}"#;
pub const EXAMPLE_RESULT: &str = "{}";

/// Drops what was published into a channel; offsets go on where they were. Needs history in its namespace (else error 108).
#[derive(Debug, Deserialize, ToSchema)]
pub struct HistoryRemoveRequest<'a> {
    #[serde(default, borrow)]
    #[schema(value_type = String, required = true)]
    pub channel: Text<'a>,
}

pub async fn call(call: &Call<'_>, request: HistoryRemoveRequest<'_>) -> Result<Empty, ErrorCode> {
    let (channel, _) = channel_with_history(call, &request.channel)?;
    call.api.publisher.broker.remove_history(&channel).await.map_err(|error| error.code())?;
    Ok(Empty {})
}

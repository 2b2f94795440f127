//! `presence`: who is subscribed to a channel.

use super::Call;
use super::json::Text;
use crate::channel::{ChannelName, ClientInfo, SessionId};
use crate::http::respond::as_json;
use crate::protocol::codes::{ClientError, ErrorCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use std::sync::Arc;
use utoipa::ToSchema;

pub const EXAMPLE: &str = r#"{"channel":"chat:lobby"}"#;
pub const EXAMPLE_RESULT: &str = r#"{"presence":{"6ba7b810-9dad-41d1-80b4-00c04fd430c8":{"user":"42","client":"6ba7b810-9dad-41d1-80b4-00c04fd430c8","conn_info":{"name":"Ada"}}}}"#;

/// Asks who is subscribed to a channel. Needs the option `presence` in its namespace (else error 108).
#[derive(Debug, Deserialize, ToSchema)]
pub struct PresenceRequest<'a> {
    #[serde(default, borrow)]
    #[schema(value_type = String, required = true)]
    pub channel: Text<'a>,
}

/// The clients by their ids.
#[derive(Debug, Serialize, ToSchema)]
pub struct PresenceResult {
    /// Each client under its id.
    #[serde(serialize_with = "clients")]
    #[schema(value_type = std::collections::BTreeMap<String, ClientView>)]
    pub presence: Vec<Arc<ClientInfo>>,
}

/// What is known of a client.
#[derive(Serialize, ToSchema)]
pub struct ClientView<'a> {
    /// Empty: anonymous.
    user: &'a str,
    /// The connection.
    #[schema(value_type = String)]
    client: Id,
    /// From the connection token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    conn_info: Option<&'a RawValue>,
    /// `conn_info` as Base64, where it is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    b64conn_info: Option<String>,
    /// From the subscription token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    chan_info: Option<&'a RawValue>,
    /// `chan_info` as Base64, where it is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    b64chan_info: Option<String>,
}

#[derive(Clone, Copy)]
struct Id(SessionId);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'a> From<&'a ClientInfo> for ClientView<'a> {
    fn from(info: &'a ClientInfo) -> Self {
        let (conn_info, b64conn_info) = json_or_base64(&info.conn_info);
        let (chan_info, b64chan_info) = json_or_base64(&info.chan_info);
        Self { user: info.user.as_str(), client: Id(info.client), conn_info, b64conn_info, chan_info, b64chan_info }
    }
}

/// Bytes as they can stand in JSON: as they are, or else in Base64. Neither if there are none.
pub fn json_or_base64(bytes: &[u8]) -> (Option<&RawValue>, Option<String>) {
    match as_json(bytes) {
        Some(json) => (Some(json), None),
        None if bytes.is_empty() => (None, None),
        None => (None, Some(STANDARD.encode(bytes))),
    }
}

fn clients<S: Serializer>(clients: &[Arc<ClientInfo>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(clients.iter().map(|info| (Id(info.client), ClientView::from(info.as_ref()))))
}

pub async fn call(call: &Call<'_>, request: PresenceRequest<'_>) -> Result<PresenceResult, ErrorCode> {
    let channel = channel_with_presence(call, &request.channel)?;
    let presence = call.api.publisher.broker.presence(&channel).await.map_err(|error| error.code())?;
    Ok(PresenceResult { presence })
}

/// The channel, if it is there and its namespace keeps presence.
pub fn channel_with_presence(call: &Call<'_>, channel: &str) -> Result<ChannelName, ErrorCode> {
    if channel.is_empty() {
        return Err(ErrorCode::BAD_REQUEST);
    }
    if call.options(channel)?.presence { Ok(ChannelName::new(channel)) } else { Err(ErrorCode::NOT_AVAILABLE) }
}

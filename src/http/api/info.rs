//! `info`: the nodes of the hub and what they carry.

use super::Call;
use crate::protocol::codes::ErrorCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub const EXAMPLE: &str = "{}";
pub const EXAMPLE_RESULT: &str = r#"{"nodes":[{"uid":"6ba7b810-9dad-41d1-80b4-00c04fd430c8","name":"hub-1","version":"0.1.0","num_clients":12,"num_users":10,"num_subs":30,"num_channels":4,"uptime":86400}]}"#;

/// Asks what the nodes of the hub carry.
#[derive(Debug, Deserialize, ToSchema)]
pub struct InfoRequest {}

#[derive(Debug, Serialize, ToSchema)]
pub struct InfoResult {
    /// This one: nodes do not know of one another yet.
    pub nodes: Vec<NodeView>,
}

/// One process of the hub.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeView {
    /// Different at every start.
    pub uid: String,
    /// As configured (`node.name`), or made of host and port.
    pub name: String,
    /// Of Aether.
    pub version: String,
    /// Connections.
    pub num_clients: usize,
    /// Distinct users; all anonymous ones count as one.
    pub num_users: usize,
    /// Subscriptions of all connections.
    pub num_subs: usize,
    /// Channels with subscribers.
    pub num_channels: usize,
    /// Seconds since the start.
    pub uptime: u64,
}

pub async fn call(call: &Call<'_>, _: InfoRequest) -> Result<InfoResult, ErrorCode> {
    let api = call.api;
    let (mut num_subs, mut num_channels) = (0, 0);
    api.topics
        .for_each_watched(|watched| {
            num_subs += watched.subscribers;
            num_channels += 1;
        })
        .await;
    let node = NodeView {
        uid: api.node.uid.clone(),
        name: api.node.name.clone(),
        version: api.node.version.clone(),
        num_clients: api.hub.len(),
        num_users: api.hub.users(),
        num_subs,
        num_channels,
        uptime: api.clock.now().saturating_sub(api.node.started) / 1_000,
    };
    Ok(InfoResult { nodes: vec![node] })
}

//! The WebSocket transport.

use crate::units::ByteSize;
use serde::{Deserialize, Serialize};

/// The WebSocket endpoint of the Centrifuge protocol, JSON and Protobuf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebsocketConfig {
    /// There is no WebSocket endpoint.
    pub disabled: bool,
    pub handler_prefix: String,
    /// Bytes of one message from a client, all its fragments together (1009).
    pub message_size_limit: ByteSize,
    /// Fragments of one message from a client (1009).
    pub fragments_max: usize,
}

impl Default for WebsocketConfig {
    fn default() -> Self {
        Self { disabled: false, handler_prefix: "/connection/websocket".to_string(), message_size_limit: ByteSize::new(65_536), fragments_max: 1_024 }
    }
}

//! The transports beside WebSocket: answers without an end, and what clients of them send beside them. The names are Centrifugo's.

use crate::units::ByteSize;
use serde::{Deserialize, Serialize};

/// Bytes of one request, unless configured: as many as a message on a WebSocket may have.
const REQUEST_BYTES: ByteSize = ByteSize::new(65_536);

/// `POST`, answered by lines of JSON or by Protobuf that come for as long as the client stays. Its commands go by `emulation`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpStreamConfig {
    /// Clients may connect in this way.
    pub enabled: bool,
    pub handler_prefix: String,
    /// Bytes of the commands that a client begins with (413).
    pub max_request_body_size: ByteSize,
}

impl Default for HttpStreamConfig {
    fn default() -> Self {
        Self { enabled: false, handler_prefix: "/connection/http_stream".to_string(), max_request_body_size: REQUEST_BYTES }
    }
}

/// An event stream for the browser's `EventSource`, JSON. Its commands go by `emulation`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SseConfig {
    /// Clients may connect in this way.
    pub enabled: bool,
    pub handler_prefix: String,
    /// Bytes of the commands that a client begins with (413, in the URL 414).
    pub max_request_body_size: ByteSize,
}

impl Default for SseConfig {
    fn default() -> Self {
        Self { enabled: false, handler_prefix: "/connection/sse".to_string(), max_request_body_size: REQUEST_BYTES }
    }
}

/// Where clients of `http_stream` and `sse` send their commands. Served when one of these is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmulationConfig {
    pub handler_prefix: String,
    /// Bytes of one request (413).
    pub max_request_body_size: ByteSize,
}

impl Default for EmulationConfig {
    fn default() -> Self {
        Self { handler_prefix: "/emulation".to_string(), max_request_body_size: REQUEST_BYTES }
    }
}

/// A WebSocket for clients that only listen, JSON. Its messages may be as large as those of `websocket`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UniWebsocketConfig {
    /// Clients may connect in this way.
    pub enabled: bool,
    pub handler_prefix: String,
}

impl Default for UniWebsocketConfig {
    fn default() -> Self {
        Self { enabled: false, handler_prefix: "/connection/uni_websocket".to_string() }
    }
}

/// `POST`, answered by lines of JSON, for clients that only listen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UniHttpStreamConfig {
    /// Clients may connect in this way.
    pub enabled: bool,
    pub handler_prefix: String,
    /// Bytes of the connect request (413).
    pub max_request_body_size: ByteSize,
}

impl Default for UniHttpStreamConfig {
    fn default() -> Self {
        Self { enabled: false, handler_prefix: "/connection/uni_http_stream".to_string(), max_request_body_size: REQUEST_BYTES }
    }
}

/// An event stream for clients that only listen, JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UniSseConfig {
    /// Clients may connect in this way.
    pub enabled: bool,
    pub handler_prefix: String,
    /// Bytes of the connect request (413, in the URL 414).
    pub max_request_body_size: ByteSize,
}

impl Default for UniSseConfig {
    fn default() -> Self {
        Self { enabled: false, handler_prefix: "/connection/uni_sse".to_string(), max_request_body_size: REQUEST_BYTES }
    }
}

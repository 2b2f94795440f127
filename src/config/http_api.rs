//! The server API.

use super::Secret;
use serde::{Deserialize, Serialize};

/// The HTTP API by which an application publishes, inspects and steers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpApiConfig {
    /// There is no API.
    pub disabled: bool,
    pub handler_prefix: String,
    /// What callers must present as `X-API-Key`. Empty: every call is refused (401), unless `insecure`.
    pub key: Secret,
    /// Let everybody call the API without a key. For trying things out only.
    pub insecure: bool,
    /// Serve the API's description (OpenAPI) and a page to read it. Needs no key and tells nothing about this server.
    pub docs: bool,
}

impl Default for HttpApiConfig {
    fn default() -> Self {
        Self { disabled: false, handler_prefix: "/api".to_string(), key: Secret::default(), insecure: false, docs: true }
    }
}

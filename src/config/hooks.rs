//! Hooks: backends of the application that the hub asks over HTTP, and tells what happened. The names are Centrifugo's where it has them.

use super::Secret;
use crate::units::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name in `*_proxy_name` that stands for the backend beside the option itself.
pub const DEFAULT_PROXY: &str = "default";

/// A backend that is asked, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyConfig {
    /// Where requests are posted: http or https, without user and password. Empty: there is no such backend.
    pub endpoint: String,
    /// For the whole of one request, waiting for its turn included.
    pub timeout: HumanDuration,
    /// Headers of the client's own request that are passed on. No others are.
    pub http_headers: Vec<String>,
    /// Payloads are sent as `b64data`, so that they need not be JSON.
    pub binary_encoding: bool,
    /// Tell the backend the connection's `meta`.
    pub include_connection_meta: bool,
    pub http: ProxyHttpConfig,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            timeout: HumanDuration::from_secs(1),
            http_headers: Vec::new(),
            binary_encoding: false,
            include_connection_meta: false,
            http: ProxyHttpConfig::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyHttpConfig {
    /// Headers of every request, for instance the backend's own credentials. Their values are secret. Those of the client come before them.
    pub static_headers: BTreeMap<String, Secret>,
    /// What clients are told in place of error 100 when the backend answers with these statuses.
    pub status_to_code_transforms: Vec<StatusTransform>,
}

/// One status, and what it stands for: an error or a disconnect.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatusTransform {
    pub status_code: u16,
    pub to_error: TransformError,
    pub to_disconnect: TransformDisconnect,
}

/// Code 0: no error.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransformError {
    pub code: u32,
    pub message: String,
    pub temporary: bool,
}

/// Code 0: no disconnect.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransformDisconnect {
    pub code: u16,
    pub reason: String,
}

/// A backend that is asked where this is on.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SwitchedProxyConfig {
    pub enabled: bool,
    #[serde(flatten)]
    pub proxy: ProxyConfig,
}

/// A backend with a name, for single namespaces.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NamedProxyConfig {
    /// What `*_proxy_name` says.
    pub name: String,
    #[serde(flatten)]
    pub proxy: ProxyConfig,
}

/// Who decides about connections.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientProxyConfig {
    /// Asked about clients that connect without a token.
    pub connect: SwitchedProxyConfig,
    /// Asked when a connection's time is over, in place of a new token from the client.
    pub refresh: SwitchedProxyConfig,
}

/// Who decides about channels, in the namespaces where that is on.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelProxyConfig {
    /// Asked about subscriptions (`subscribe_proxy_enabled`).
    pub subscribe: ProxyConfig,
    /// Asked about publications of clients (`publish_proxy_enabled`).
    pub publish: ProxyConfig,
    /// Asked when a subscription's time is over (`sub_refresh_proxy_enabled`).
    pub sub_refresh: ProxyConfig,
}

/// Calls of clients (`rpc`), answered by the application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RpcConfig {
    /// Ends the namespace in a method's name. Empty: no method has one.
    pub namespace_boundary: String,
    pub proxy: ProxyConfig,
    /// Methods whose name has no namespace.
    pub without_namespace: RpcOptions,
    /// Methods by the namespace in their name.
    pub namespaces: Vec<RpcNamespace>,
}

impl Default for RpcConfig {
    fn default() -> Self {
        Self { namespace_boundary: ":".to_string(), proxy: ProxyConfig::default(), without_namespace: RpcOptions::default(), namespaces: Vec::new() }
    }
}

#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RpcOptions {
    /// The application answers these methods.
    pub proxy_enabled: bool,
    /// Which of `proxies` is asked. Empty or `default`: `rpc.proxy`.
    pub proxy_name: String,
}

#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RpcNamespace {
    pub name: String,
    #[serde(flatten)]
    pub options: RpcOptions,
}

/// What all backends have in common, so that a bad one harms nobody else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HooksConfig {
    /// Requests under way to one backend. Further ones wait, within their timeout.
    pub concurrency: usize,
    /// Requests to one backend in all, under way and waiting. Beyond it: error 100 at once.
    pub waiting_max: usize,
    /// Bytes of one answer. Beyond it: error 100.
    pub answer_size_max: ByteSize,
    /// Failures in a row after which a backend is left alone for a while: error 100 at once. 0: never.
    pub breaker_failures: u32,
    /// The first such pause; doubled each time the request after it fails.
    pub breaker_pause: HumanDuration,
    pub breaker_pause_max: HumanDuration,
    pub events: HookEventsConfig,
}

impl Default for HooksConfig {
    fn default() -> Self {
        Self {
            concurrency: 64,
            waiting_max: 1_024,
            answer_size_max: ByteSize::mib(1),
            breaker_failures: 10,
            breaker_pause: HumanDuration::from_secs(1),
            breaker_pause_max: HumanDuration::from_secs(15),
            events: HookEventsConfig::default(),
        }
    }
}

/// What the application can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookEventKind {
    Disconnect,
    Unsubscribe,
    Occupied,
    Vacated,
}

impl HookEventKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Unsubscribe => "unsubscribe",
            Self::Occupied => "occupied",
            Self::Vacated => "vacated",
        }
    }
}

/// Events that the application is told, at least once and in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookEventsConfig {
    /// Where events are posted: http or https, without user and password. Empty: nobody is told.
    pub endpoint: String,
    pub types: Vec<HookEventKind>,
    /// The key that requests are signed with (HMAC-SHA256). Empty: they are not signed.
    pub secret: Secret,
    /// Headers of every request. Their values are secret.
    pub static_headers: BTreeMap<String, Secret>,
    /// For one request.
    pub timeout: HumanDuration,
    /// Events in one request.
    pub batch_max: usize,
    /// Events that may wait. Beyond it the oldest is dropped.
    pub queue_max: usize,
    /// Their bytes. Beyond it the oldest is dropped.
    pub queue_size_max: ByteSize,
    /// The longest first wait before a request is repeated; doubled with every failure.
    pub retry_initial: HumanDuration,
    pub retry_max: HumanDuration,
    /// How long the hub waits for the last ones when it stops.
    pub stop_timeout: HumanDuration,
}

impl Default for HookEventsConfig {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            types: vec![HookEventKind::Disconnect, HookEventKind::Unsubscribe, HookEventKind::Occupied, HookEventKind::Vacated],
            secret: Secret::default(),
            static_headers: BTreeMap::new(),
            timeout: HumanDuration::from_secs(5),
            batch_max: 100,
            queue_max: 10_000,
            queue_size_max: ByteSize::mib(8),
            retry_initial: HumanDuration::from_secs(1),
            retry_max: HumanDuration::from_secs(30),
            stop_timeout: HumanDuration::from_secs(3),
        }
    }
}

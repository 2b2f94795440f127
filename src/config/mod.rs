//! The configuration: a typed tree, its loading, its checks.
//!
//! Every option is a field of a struct in this room, a file a section, with its default beside it and its meaning above it. Options that
//! Centrifugo v6 has too have its name, place and meaning, so that its users bring their file. A later room is handed its own section, never
//! the whole tree. Deliberately absent: reading files or the environment (loading is a function of texts), and changing anything at run time.

mod channel;
mod client;
mod engine;
mod format;
mod http_api;
mod http_server;
mod network;
mod node;
mod observe;
mod secret;
mod upstream;
mod websocket;

pub use channel::ChannelConfig;
pub use client::{ClientConfig, PersonalChannelConfig, SubscriptionTokenConfig, TokenConfig};
pub use engine::{EngineConfig, EngineType, MemoryBrokerConfig, TopicConfig};
pub use format::{FILE_BYTES_MAX, Format, FormatError};
pub use http_api::HttpApiConfig;
pub use http_server::{HttpServerConfig, TlsConfig};
pub use network::{IpNetwork, NetworkError};
pub use node::{NodeConfig, ShutdownConfig};
pub use observe::{DebugConfig, HealthConfig, LiveConfig, LogConfig, LogFormat, LogLevel, PrometheusConfig, ReadyConfig};
pub use secret::Secret;
pub use upstream::{DemoConfig, FeedConfig, FeedFormat, FeedLimits, UpstreamConfig};
pub use websocket::WebsocketConfig;

use serde::{Deserialize, Serialize};

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The folder for what Aether makes itself, such as the development certificate and its secrets. Created when missing.
    pub data_dir: String,
    pub http_server: HttpServerConfig,
    pub client: ClientConfig,
    pub channel: ChannelConfig,
    pub websocket: WebsocketConfig,
    pub http_api: HttpApiConfig,
    pub health: HealthConfig,
    pub ready: ReadyConfig,
    pub prometheus: PrometheusConfig,
    pub live: LiveConfig,
    pub debug: DebugConfig,
    pub log: LogConfig,
    pub node: NodeConfig,
    pub shutdown: ShutdownConfig,
    pub engine: EngineConfig,
    pub memory_broker: MemoryBrokerConfig,
    pub topic: TopicConfig,
    pub upstream: UpstreamConfig,
    pub demo: DemoConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".to_string(),
            http_server: HttpServerConfig::default(),
            client: ClientConfig::default(),
            channel: ChannelConfig::default(),
            websocket: WebsocketConfig::default(),
            http_api: HttpApiConfig::default(),
            health: HealthConfig::default(),
            ready: ReadyConfig::default(),
            prometheus: PrometheusConfig::default(),
            live: LiveConfig::default(),
            debug: DebugConfig::default(),
            log: LogConfig::default(),
            node: NodeConfig::default(),
            shutdown: ShutdownConfig::default(),
            engine: EngineConfig::default(),
            memory_broker: MemoryBrokerConfig::default(),
            topic: TopicConfig::default(),
            upstream: UpstreamConfig::default(),
            demo: DemoConfig::default(),
        }
    }
}

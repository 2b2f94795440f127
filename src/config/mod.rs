//! The configuration: a typed tree, its loading, its checks.
//!
//! Every option is a field of a struct in this room, a file a section, with its default beside it and its meaning above it. Options that
//! Centrifugo v6 has too have its name, place and meaning, so that its users bring their file. A later room is handed its own section, never
//! the whole tree. Deliberately absent: reading files or the environment (loading is a function of texts), and changing anything at run time.

mod accounts;
mod channel;
mod client;
mod engine;
mod format;
mod hooks;
mod http_api;
mod http_server;
mod known;
mod load;
mod node;
mod limits;
mod mercure;
mod metrics;
mod observe;
mod operators;
mod secret;
mod store;
mod streams;
mod upstream;
mod validate;
mod websocket;

pub use accounts::{AccountsConfig, PasswordConfig};
pub use channel::ChannelConfig;
pub use client::{ClientConfig, PersonalChannelConfig, SubscriptionTokenConfig, TokenConfig};
pub use engine::{EngineConfig, EngineType, MemoryBrokerConfig, TopicConfig};
pub use format::{FILE_BYTES_MAX, Format, FormatError};
pub use hooks::{
    ChannelProxyConfig, ClientProxyConfig, DEFAULT_PROXY, HookEventKind, HookEventsConfig, HooksConfig, NamedProxyConfig, ProxyConfig,
    ProxyHttpConfig, RpcConfig, RpcNamespace, RpcOptions, StatusTransform, SwitchedProxyConfig, TransformDisconnect, TransformError,
};
pub use http_api::HttpApiConfig;
pub use http_server::{HttpServerConfig, TlsConfig};
pub use known::{Hint, UnknownOption};
pub use limits::{ApiLimitsConfig, CommandLimitsConfig, ConnectLimitsConfig, LimitsConfig};
pub use load::{ConfigError, Layers, Loaded, Problem, VARIABLE_PREFIX, unknown_warning};
pub use mercure::{MercureConfig, MercureKeyConfig};
pub use metrics::{
    AlertsConfig, AlertsEmailConfig, AlertsWebhookConfig, EmailConfig, EmailTls, MetricsConfig, ObjectivesConfig, ReportsConfig, Weekday,
};
pub use node::{NodeConfig, ShutdownConfig};
pub use observe::{DebugConfig, HealthConfig, LiveConfig, LogConfig, LogFormat, LogLevel, PrometheusConfig, ReadyConfig};
pub use operators::{AuditConfig, OperatorsConfig};
pub use secret::Secret;
pub use store::{MongodbConfig, SqliteConfig, StoreConfig, StoreType, Synchronous};
pub use streams::{EmulationConfig, HttpStreamConfig, SseConfig, UniHttpStreamConfig, UniSseConfig, UniWebsocketConfig};
pub use upstream::{
    DemoConfig, FeedConfig, FeedEmergencyConfig, FeedFormat, FeedHealthConfig, FeedLimits, FeedPoolConfig, FeedStart, UpstreamConfig,
    is_url_parameter,
};
pub use validate::feed_problems;
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
    pub limits: LimitsConfig,
    pub channel: ChannelConfig,
    pub rpc: RpcConfig,
    /// Further backends, for namespaces that name them.
    pub proxies: Vec<NamedProxyConfig>,
    pub hooks: HooksConfig,
    pub websocket: WebsocketConfig,
    pub http_stream: HttpStreamConfig,
    pub sse: SseConfig,
    pub emulation: EmulationConfig,
    pub uni_websocket: UniWebsocketConfig,
    pub uni_http_stream: UniHttpStreamConfig,
    pub uni_sse: UniSseConfig,
    pub http_api: HttpApiConfig,
    pub mercure: MercureConfig,
    pub accounts: AccountsConfig,
    pub health: HealthConfig,
    pub ready: ReadyConfig,
    pub prometheus: PrometheusConfig,
    pub metrics: MetricsConfig,
    pub alerts: AlertsConfig,
    pub reports: ReportsConfig,
    pub email: EmailConfig,
    pub live: LiveConfig,
    pub debug: DebugConfig,
    pub log: LogConfig,
    pub node: NodeConfig,
    pub shutdown: ShutdownConfig,
    pub engine: EngineConfig,
    pub memory_broker: MemoryBrokerConfig,
    pub topic: TopicConfig,
    pub store: StoreConfig,
    pub operators: OperatorsConfig,
    pub audit: AuditConfig,
    pub upstream: UpstreamConfig,
    pub demo: DemoConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".to_string(),
            http_server: HttpServerConfig::default(),
            client: ClientConfig::default(),
            limits: LimitsConfig::default(),
            channel: ChannelConfig::default(),
            rpc: RpcConfig::default(),
            proxies: Vec::new(),
            hooks: HooksConfig::default(),
            websocket: WebsocketConfig::default(),
            http_stream: HttpStreamConfig::default(),
            sse: SseConfig::default(),
            emulation: EmulationConfig::default(),
            uni_websocket: UniWebsocketConfig::default(),
            uni_http_stream: UniHttpStreamConfig::default(),
            uni_sse: UniSseConfig::default(),
            http_api: HttpApiConfig::default(),
            mercure: MercureConfig::default(),
            accounts: AccountsConfig::default(),
            health: HealthConfig::default(),
            ready: ReadyConfig::default(),
            prometheus: PrometheusConfig::default(),
            metrics: MetricsConfig::default(),
            alerts: AlertsConfig::default(),
            reports: ReportsConfig::default(),
            email: EmailConfig::default(),
            live: LiveConfig::default(),
            debug: DebugConfig::default(),
            log: LogConfig::default(),
            node: NodeConfig::default(),
            shutdown: ShutdownConfig::default(),
            engine: EngineConfig::default(),
            memory_broker: MemoryBrokerConfig::default(),
            topic: TopicConfig::default(),
            store: StoreConfig::default(),
            operators: OperatorsConfig::default(),
            audit: AuditConfig::default(),
            upstream: UpstreamConfig::default(),
            demo: DemoConfig::default(),
        }
    }
}

/// The file `config/aether.toml`: every option with its default, its unit and its meaning.
pub const DEFAULT_TOML: &str = include_str!("../../config/aether.toml");

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn load(text: &str) -> Config {
        let loaded =
            Config::load(&Layers { file: Some((text.as_bytes(), Format::Toml)), ..Layers::default() }).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.unknown, []);
        loaded.config
    }

    /// Tables whose members are named by whoever writes them.
    const OF_ANY_NAME: [&str; 4] = [".headers", ".header_files", ".event_channels", ".only_where"];

    /// The options in a tree, as paths; the elements of a list are all one.
    fn paths(tree: &serde_json::Value) -> BTreeSet<String> {
        fn collect(value: &serde_json::Value, path: &str, found: &mut BTreeSet<String>) {
            match value {
                serde_json::Value::Object(members) if !members.is_empty() && !OF_ANY_NAME.iter().any(|table| path.ends_with(table)) => {
                    members.iter().for_each(|(name, value)| collect(value, &format!("{path}.{name}"), found));
                }
                serde_json::Value::Array(elements) if elements.first().is_some_and(serde_json::Value::is_object) => {
                    elements.iter().for_each(|element| collect(element, &format!("{path}[]"), found));
                }
                _ => {
                    found.insert(path.to_string());
                }
            }
        }
        let mut found = BTreeSet::new();
        collect(tree, "", &mut found);
        found
    }

    /// The file with its examples switched on: lines that begin with # and no blank.
    fn with_examples() -> String {
        let is_example = |line: &&str| line.strip_prefix('#').is_some_and(|rest| !rest.is_empty() && !rest.starts_with(' '));
        DEFAULT_TOML.lines().map(|line| if is_example(&line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_default_file_says_what_the_defaults_are() {
        assert_eq!(load(DEFAULT_TOML), Config::default());
    }

    #[test]
    fn the_default_file_has_every_option_and_its_examples_work() {
        let config = load(&with_examples());
        assert_eq!((config.channel.namespaces.len(), config.upstream.feeds.len()), (1, 1));
        let written = serde_json::Value::Object(format::parse(with_examples().as_bytes(), Format::Toml).unwrap());
        assert_eq!(paths(&written), paths(known::tree()));
    }

    #[test]
    fn the_default_file_explains_every_option() {
        // The second list of token options refers to the first.
        let mut referring = false;
        let mut before = "";
        for line in DEFAULT_TOML.lines() {
            referring = (referring || line.contains("further options are those of")) && !line.is_empty();
            if line.contains(" = ") && !line.starts_with('#') && !referring && !line.starts_with("enabled") {
                assert!(before.starts_with("# "), "{line}");
            }
            before = line;
        }
    }
}

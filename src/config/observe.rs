//! What Aether shows of itself: health, readiness, metrics, the Live page, the log.

use super::Secret;
use serde::{Deserialize, Serialize};

/// Answers 200 as long as the process is alive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthConfig {
    pub enabled: bool,
    pub handler_prefix: String,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self { enabled: true, handler_prefix: "/health".to_string() }
    }
}

/// Answers 200 as long as a publication gets through every part of the process, 503 otherwise and during shutdown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadyConfig {
    pub enabled: bool,
    pub handler_prefix: String,
}

impl Default for ReadyConfig {
    fn default() -> Self {
        Self { enabled: true, handler_prefix: "/ready".to_string() }
    }
}

/// Metrics in Prometheus' text format. Off unless asked for: they stand on the port that clients use too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrometheusConfig {
    pub enabled: bool,
    pub handler_prefix: String,
    /// What the one who asks must show: `Authorization: Bearer TOKEN`. Empty: nothing.
    pub token: Secret,
    /// Addresses and networks that may ask. Empty: all.
    pub allowed_addresses: Vec<String>,
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        Self { enabled: false, handler_prefix: "/metrics".to_string(), token: Secret::default(), allowed_addresses: Vec::new() }
    }
}

/// The Live page at `/`: live channels, their messages, a form to publish.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LiveConfig {
    pub enabled: bool,
}

/// `/debug/state`: exact counts of everything that lives in the process, for tests and for the curious. Keep it from strangers.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DebugConfig {
    pub enabled: bool,
}

/// The log, written to standard error.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// The least important lines that are written: `trace`, `debug`, `info`, `warn`, `error`; `none`: nothing.
    pub level: LogLevel,
    /// `text`: for people; `json`: one JSON object a line.
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    // Centrifugo's `fatal` lines are ones after which it ends; ours are of level error.
    #[serde(alias = "fatal")]
    Error,
    None,
}

impl LogLevel {
    pub fn filter(self) -> log::LevelFilter {
        match self {
            Self::Trace => log::LevelFilter::Trace,
            Self::Debug => log::LevelFilter::Debug,
            Self::Info => log::LevelFilter::Info,
            Self::Warn => log::LevelFilter::Warn,
            Self::Error => log::LevelFilter::Error,
            Self::None => log::LevelFilter::Off,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

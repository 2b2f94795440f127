//! Feeds that Aether reads, and the demo feed that it brings along.

use super::Secret;
use crate::units::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Feeds of server-sent events to read. The times and sizes here hold for every feed that does not say otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamConfig {
    /// Feeds that may be configured. A guard against a generated file gone wrong.
    pub feeds_max: usize,
    /// From the first attempt to reach a feed to the headers of its answer.
    pub connect_timeout: HumanDuration,
    /// How long a feed may send nothing, not even a comment, before it is taken for dead and connected anew.
    pub idle_timeout: HumanDuration,
    /// The shortest wait before a feed is tried again, whatever its own `retry:` says.
    pub retry_min: HumanDuration,
    /// The bound of the random wait after the first failure; it doubles with each further one. A feed's `retry:` takes its place.
    pub retry_initial: HumanDuration,
    /// The longest wait before a feed is tried again, whatever its own `retry:` says.
    pub retry_max: HumanDuration,
    /// How long a connection must have delivered until the waits begin at `retry_initial` again.
    pub stable_after: HumanDuration,
    /// Bytes of one line of a feed. A longer one ends the connection.
    pub line_bytes_max: ByteSize,
    /// Bytes of one event of a feed. A longer one ends the connection.
    pub event_bytes_max: ByteSize,
    pub feeds: Vec<FeedConfig>,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            feeds_max: 50,
            connect_timeout: HumanDuration::from_secs(10),
            idle_timeout: HumanDuration::from_secs(90),
            retry_min: HumanDuration::from_ms(100),
            retry_initial: HumanDuration::from_secs(1),
            retry_max: HumanDuration::from_secs(30),
            stable_after: HumanDuration::from_secs(10),
            line_bytes_max: ByteSize::mib(1),
            event_bytes_max: ByteSize::mib(4),
            feeds: Vec::new(),
        }
    }
}

impl UpstreamConfig {
    /// The limits of one feed: its own where it has them, those of all feeds otherwise.
    pub fn limits(&self, feed: &FeedConfig) -> FeedLimits {
        FeedLimits {
            connect_timeout: feed.connect_timeout.unwrap_or(self.connect_timeout),
            idle_timeout: feed.idle_timeout.unwrap_or(self.idle_timeout),
            retry_min: feed.retry_min.unwrap_or(self.retry_min),
            retry_initial: feed.retry_initial.unwrap_or(self.retry_initial),
            retry_max: feed.retry_max.unwrap_or(self.retry_max),
            stable_after: feed.stable_after.unwrap_or(self.stable_after),
            line_bytes_max: feed.line_bytes_max.unwrap_or(self.line_bytes_max),
            event_bytes_max: feed.event_bytes_max.unwrap_or(self.event_bytes_max),
        }
    }
}

/// One feed. Its events become publications of one or several channels.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedConfig {
    /// What logs and metrics call it: letters, digits, `-`, `_`, `.`; unique.
    pub name: String,
    /// Where it is: http or https.
    pub url: String,
    /// The channel of its events. `{name}` stands for the feed's name, `{event}` for the event's type.
    pub channel: String,
    pub format: FeedFormat,
    /// Headers to send, for instance `Authorization`. Their values are never shown.
    pub headers: BTreeMap<String, Secret>,
    /// In place of `upstream.connect_timeout`.
    pub connect_timeout: Option<HumanDuration>,
    /// In place of `upstream.idle_timeout`.
    pub idle_timeout: Option<HumanDuration>,
    /// In place of `upstream.retry_min`.
    pub retry_min: Option<HumanDuration>,
    /// In place of `upstream.retry_initial`.
    pub retry_initial: Option<HumanDuration>,
    /// In place of `upstream.retry_max`.
    pub retry_max: Option<HumanDuration>,
    /// In place of `upstream.stable_after`.
    pub stable_after: Option<HumanDuration>,
    /// In place of `upstream.line_bytes_max`.
    pub line_bytes_max: Option<ByteSize>,
    /// In place of `upstream.event_bytes_max`.
    pub event_bytes_max: Option<ByteSize>,
}

/// What a feed's event becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedFormat {
    /// The event's data: JSON as it is, anything else as a JSON string; the event's type and id become tags.
    #[default]
    Data,
    /// `{"event":…,"id":…,"data":"…"}` with the data as text.
    Envelope,
}

/// The limits of one feed, settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedLimits {
    pub connect_timeout: HumanDuration,
    pub idle_timeout: HumanDuration,
    pub retry_min: HumanDuration,
    pub retry_initial: HumanDuration,
    pub retry_max: HumanDuration,
    pub stable_after: HumanDuration,
    pub line_bytes_max: ByteSize,
    pub event_bytes_max: ByteSize,
}

/// A feed of figures of this machine, served by Aether itself and read back like any other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DemoConfig {
    pub enabled: bool,
    /// Where it is served: address and port. Port 0: any free one.
    pub address: String,
    /// Between two events.
    pub interval: HumanDuration,
}

impl Default for DemoConfig {
    fn default() -> Self {
        Self { enabled: false, address: "127.0.0.1:0".to_string(), interval: HumanDuration::from_ms(100) }
    }
}

//! Where streams and presence live, and what may be kept of them.

use crate::units::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};

/// Where streams and presence live.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineConfig {
    /// `memory`: in this process; gone when it ends.
    #[serde(rename = "type")]
    pub kind: EngineType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineType {
    #[default]
    Memory,
}

/// What the memory engine may keep. At a limit the longest unused goes first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryBrokerConfig {
    /// Bytes of all publications kept as history, over all channels.
    pub history_bytes_max: ByteSize,
    /// Channels whose offset and epoch are remembered.
    pub streams_max: usize,
    /// Idempotency keys that are remembered.
    pub idempotency_keys_max: usize,
}

impl Default for MemoryBrokerConfig {
    fn default() -> Self {
        Self { history_bytes_max: ByteSize::mib(256), streams_max: 250_000, idempotency_keys_max: 100_000 }
    }
}

/// Channels with subscribers on this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicConfig {
    /// How long a channel stays ready after its last subscriber left. Clients that reload a page come back within it.
    pub linger: HumanDuration,
    /// Threads that encode publications and hand them to the workers. Channels are spread over them.
    pub threads: usize,
    /// Bytes of publications that may wait to be encoded, over all channels. Beyond it subscribers catch up from history.
    pub queue_bytes_max: ByteSize,
    /// Different patterns that may be subscribed to at once (error 111 for one more).
    pub wildcards_max: usize,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self { linger: HumanDuration::from_secs(5), threads: 1, queue_bytes_max: ByteSize::mib(64), wildcards_max: 10_000 }
    }
}

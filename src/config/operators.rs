//! Operators: what they may see, and how long it is remembered what they did.

use crate::units::HumanDuration;
use serde::{Deserialize, Serialize};

/// Operators' commands over the WebSocket.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OperatorsConfig {
    /// Traces may show the first bytes of payloads, where they are asked for; otherwise sizes only.
    pub trace_payloads: bool,
}

/// The record of who did what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditConfig {
    /// How long a record is kept. 0: for ever.
    pub retention: HumanDuration,
    /// Records that are kept; the oldest go first. 0: any number.
    pub records_max: u64,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { retention: HumanDuration::from_secs(365 * 24 * 3_600), records_max: 1_000_000 }
    }
}

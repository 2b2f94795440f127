//! This process among others, and its end.

use crate::units::HumanDuration;
use serde::{Deserialize, Serialize};

/// This process among others.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeConfig {
    /// What the API calls this node. Empty: the machine's host name and the port.
    pub name: String,
}

/// What happens on SIGTERM or SIGINT. A second signal ends the process at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShutdownConfig {
    /// The whole of it. What is not done by then is dropped.
    pub timeout: HumanDuration,
    /// Time over which clients are disconnected (3001), so that they do not all come back in the same moment. 0: all at once.
    pub spread: HumanDuration,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { timeout: HumanDuration::from_secs(30), spread: HumanDuration::from_secs(5) }
    }
}

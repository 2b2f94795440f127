//! How often somebody may do something.

use crate::units::OptionalRate;
use serde::{Deserialize, Serialize};

/// Rates are written `20/s`, `600/m`, `100/10s`; `20/s burst 100` lets so many through at once after a pause. Empty: no limit. Too often is
/// answered with error 111, disconnect 3013 or HTTP status 429.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsConfig {
    /// Users, and addresses, that each limit tells apart. Those beyond share one allowance.
    pub identities_max: usize,
    /// New client connections.
    pub connects: ConnectLimitsConfig,
    /// Commands of clients, whatever they are.
    pub commands: CommandLimitsConfig,
    /// Publications of clients.
    pub publishes: CommandLimitsConfig,
    /// Subscriptions of clients.
    pub subscribes: CommandLimitsConfig,
    /// Requests to the server API.
    pub api: ApiLimitsConfig,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            identities_max: 100_000,
            connects: ConnectLimitsConfig::default(),
            commands: CommandLimitsConfig::default(),
            publishes: CommandLimitsConfig::default(),
            subscribes: CommandLimitsConfig::default(),
            api: ApiLimitsConfig::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectLimitsConfig {
    /// Of one user (3013).
    pub per_user: OptionalRate,
    /// From one address, an IPv6 network of 64 bits being one (429 before the upgrade).
    pub per_address: OptionalRate,
    /// In all (429 before the upgrade).
    pub total: OptionalRate,
}

#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CommandLimitsConfig {
    pub per_connection: OptionalRate,
    /// Of one user, all its connections together.
    pub per_user: OptionalRate,
    /// From one address, an IPv6 network of 64 bits being one.
    pub per_address: OptionalRate,
    /// In all.
    pub total: OptionalRate,
}

#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiLimitsConfig {
    /// With one key.
    pub per_key: OptionalRate,
    /// From one address, whatever key it shows.
    pub per_address: OptionalRate,
    /// In all.
    pub total: OptionalRate,
}

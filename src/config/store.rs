//! Where users, logins, the audit log and durable history live.

use super::Secret;
use crate::units::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};

/// Where users, logins, the audit log and durable history live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreConfig {
    /// `sqlite`: a file beside the hub; `mongodb`: a server.
    #[serde(rename = "type")]
    pub kind: StoreType,
    /// Every call of the store is answered within it, whatever the disk or the network does.
    pub timeout: HumanDuration,
    /// Calls that may wait for the store. Beyond it they fail at once.
    pub queue_max: usize,
    /// Bytes of history that may wait to be written, for each durability. Beyond it durable publications fail, and accepted ones are in memory only.
    pub queue_bytes_max: ByteSize,
    pub sqlite: SqliteConfig,
    pub mongodb: MongodbConfig,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            kind: StoreType::Sqlite,
            timeout: HumanDuration::from_ms(2_500),
            queue_max: 10_000,
            queue_bytes_max: ByteSize::mib(64),
            sqlite: SqliteConfig::default(),
            mongodb: MongodbConfig::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreType {
    #[default]
    Sqlite,
    Mongodb,
}

/// The embedded store.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SqliteConfig {
    /// The file. Empty: `aether.db` in `data_dir`.
    pub path: String,
    /// What an answered write survives.
    pub synchronous: Synchronous,
}

/// What an answered write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// Power loss: the disk is waited for at each commit.
    #[default]
    Full,
    /// The end of the process, not of the machine.
    Normal,
}

/// The store on a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MongodbConfig {
    /// A connection string, credentials included.
    pub uri: Secret,
    /// The database. Made when missing.
    pub database: String,
    /// Connections to each server.
    pub pool_max: u32,
    /// How long a server that can take a call is looked for.
    pub server_selection_timeout: HumanDuration,
    /// How long a new connection may take.
    pub connect_timeout: HumanDuration,
}

impl Default for MongodbConfig {
    fn default() -> Self {
        Self {
            uri: Secret::default(),
            database: "aether".to_string(),
            pool_max: 10,
            server_selection_timeout: HumanDuration::from_ms(2_000),
            connect_timeout: HumanDuration::from_ms(2_000),
        }
    }
}

//! What outlives the process: users, logins, blocks, API keys, the audit log, durable history, a few small values.
//!
//! One contract, two implementations: SQLite, embedded, the default; MongoDB, chosen by `store.type`. `contract.rs` tests both. Called by
//! `auth`, `broker`, `admin` and `http`, never by the path of a live publication. Deliberately absent: policy. The store knows no password, no
//! right and no clock; it keeps what it is given, and says when it cannot. Nor does it fall back on anything: a store that is down is down.
//!
//! Every call answers within the store's deadline (`store.timeout`) whatever the disk or the network does. A call that failed with
//! [`StoreError::Timeout`] or [`StoreError::Unavailable`] may have been carried out all the same: every write here can be repeated with the
//! same result.

mod calls;
#[cfg(test)]
mod contract;
mod mongodb;
mod sqlite;
mod watch;

pub use watch::watch;

use crate::channel::{ChannelName, UserId};
use crate::config::{StoreConfig, StoreType};
use async_trait::async_trait;
use bytes::Bytes;
use mongodb::{MongodbSettings, MongodbStore};
use sqlite::{SqliteSettings, SqliteStore};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something with this key is there already, or was changed since it was read.
    #[error("{what} exists already or was changed meanwhile")]
    Conflict { what: &'static str },
    #[error("the {kind} store did not answer in {waited_ms} ms")]
    Timeout { kind: &'static str, waited_ms: u64 },
    /// Down, refusing, full, or not to be read. The text is the driver's, without credentials.
    #[error("the {kind} store cannot {what}: {reason}")]
    Unavailable { kind: &'static str, what: &'static str, reason: String },
    /// More calls wait for the store than `store.queue_max`.
    #[error("too many calls wait for the {kind} store")]
    Overloaded { kind: &'static str },
    /// What was read is not what was ever written.
    #[error("{what} in the {kind} store cannot be understood")]
    Corrupt { kind: &'static str, what: &'static str },
}

impl StoreError {
    /// As metrics call it.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Timeout { .. } => "timeout",
            Self::Unavailable { .. } => "unavailable",
            Self::Overloaded { .. } => "overloaded",
            Self::Corrupt { .. } => "corrupt",
        }
    }
}

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Sqlite(#[from] sqlite::OpenError),
    #[error(transparent)]
    Mongodb(#[from] mongodb::OpenError),
}

/// Opens the store that is configured. `data_dir`: the folder for what the hub makes itself.
pub async fn open(config: &StoreConfig, data_dir: &Path) -> Result<Arc<dyn Store>, OpenError> {
    match config.kind {
        StoreType::Sqlite => {
            let settings = SqliteSettings { timeout: config.timeout.duration(), queue_max: config.queue_max, synchronous: config.sqlite.synchronous };
            Ok(Arc::new(SqliteStore::open(&sqlite_path(config, data_dir), &settings)?))
        }
        StoreType::Mongodb => {
            let mongodb = &config.mongodb;
            let settings = MongodbSettings {
                uri: mongodb.uri.clone(),
                database: mongodb.database.clone(),
                timeout: config.timeout.duration(),
                queue_max: config.queue_max,
                pool_max: mongodb.pool_max,
                server_selection_timeout: mongodb.server_selection_timeout.duration(),
                connect_timeout: mongodb.connect_timeout.duration(),
            };
            Ok(Arc::new(MongodbStore::open(settings).await?))
        }
    }
}

/// The file of the embedded store.
pub fn sqlite_path(config: &StoreConfig, data_dir: &Path) -> PathBuf {
    if config.sqlite.path.is_empty() { data_dir.join("aether.db") } else { PathBuf::from(&config.sqlite.path) }
}

/// What can be said about a store without asking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreState {
    pub kind: &'static str,
    /// Why it does not do what it is asked, if it was so at the last call of that kind.
    pub trouble: Option<String>,
    /// Calls that wait or are being carried out.
    pub waiting: usize,
    /// Open connections to the file or the server.
    pub connections: usize,
}

/// Unix milliseconds.
pub type WallMs = i64;

/// The contract that every store keeps (`contract.rs` tests it).
///
/// A write that was answered with `Ok` is durable: it survives `kill -9` and, with `store.sqlite.synchronous = "full"` or a journaled write
/// concern, power loss. Reads see every write that was answered before they were asked. Lists come in the order of their key and never hold
/// more than `limit` entries. A write that is repeated with equal values, because its answer was lost, is answered as it would have been; only
/// removals say that there is nothing left. What is good until t has ended at t.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// `sqlite` or `mongodb`: for messages and metrics.
    fn kind(&self) -> &'static str;
    /// Looks at what is known; asks nobody.
    fn state(&self) -> StoreState;
    /// Fails when the store cannot be written to at this moment.
    async fn ping(&self) -> Result<(), StoreError>;
    /// Carries out what waits and lets go of everything, once and for all: later calls fail.
    async fn close(&self) -> Result<(), StoreError>;

    // === Users ===
    /// Conflict: there is a user of this name.
    async fn add_user(&self, user: &User) -> Result<(), StoreError>;
    async fn user(&self, name: &UserId) -> Result<Option<User>, StoreError>;
    /// Ordered by name, beginning behind `after`.
    async fn users(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<User>, StoreError>;
    /// Replaces the stored user of this name and version by this one, with the next version. Conflict: there is none.
    async fn replace_user(&self, user: &User) -> Result<(), StoreError>;
    /// Removes the user with all its logins and its settings. Whether there was one.
    async fn remove_user(&self, name: &UserId) -> Result<bool, StoreError>;

    // === Logins ===
    /// Conflict: the id is taken.
    async fn add_login(&self, login: &Login) -> Result<(), StoreError>;
    async fn login(&self, id: LoginId) -> Result<Option<Login>, StoreError>;
    /// All of a user that have not been forgotten, ended ones too, newest first.
    async fn logins_of(&self, user: &UserId, limit: usize) -> Result<Vec<Login>, StoreError>;
    /// Replaces the stored login of this id and generation `from`, unless it has ended. Whether it was replaced.
    async fn replace_login(&self, from: u32, login: &Login) -> Result<bool, StoreError>;
    /// Ends logins that have not ended: one, or all of a user but `except`. The ids of those that ended by this call.
    async fn end_logins(&self, which: &Logins, reason: &str, at: WallMs) -> Result<Vec<LoginId>, StoreError>;

    // === Blocks: revoked token ids, banned users and addresses ===
    /// Adds, or replaces the one of the same kind and subject.
    async fn put_block(&self, block: &Block) -> Result<(), StoreError>;
    /// Whether there was one.
    async fn remove_block(&self, kind: BlockKind, subject: &str) -> Result<bool, StoreError>;
    /// Those that have not ended at `now`, ordered by kind and subject.
    async fn blocks(&self, now: WallMs, limit: usize) -> Result<Vec<Block>, StoreError>;

    // === API keys ===
    /// Adds, or replaces the one of the same id.
    async fn put_api_key(&self, key: &ApiKeyRecord) -> Result<(), StoreError>;
    async fn remove_api_key(&self, id: &str) -> Result<bool, StoreError>;
    /// Ordered by id.
    async fn api_keys(&self, limit: usize) -> Result<Vec<ApiKeyRecord>, StoreError>;

    // === Audit log ===
    /// Conflict: there is a record of this sequence.
    async fn append_audit(&self, record: &AuditRecord) -> Result<(), StoreError>;
    async fn last_audit(&self) -> Result<Option<AuditRecord>, StoreError>;
    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError>;
    /// Forgets records below `sequence`, the oldest first, a bounded part at a time. How many it was; 0: none are left.
    async fn forget_audit(&self, sequence: u64) -> Result<u64, StoreError>;

    // === Durable history ===
    /// Writes all that the batch holds of a channel, or nothing of it, channel by channel in any order. A publication that is there already (same channel, epoch and offset) is replaced; those that a
    /// stream's `size` does not hold any more are forgotten, and those of another epoch.
    async fn append_publications(&self, batch: &[StoredPublication]) -> Result<(), StoreError>;
    /// The streams whose names are above `after`.
    async fn streams(&self, after: Option<&ChannelName>, limit: usize) -> Result<Vec<StoredStream>, StoreError>;
    /// The stream's kept publications, oldest first.
    async fn publications(&self, channel: &ChannelName) -> Result<Vec<StoredPublication>, StoreError>;
    /// Forgets the publications; epoch and offset of the stream stay unless `whole`.
    async fn forget_publications(&self, channel: &ChannelName, whole: bool) -> Result<(), StoreError>;

    // === Settings: how people want their dashboard ===
    /// What this user saved last.
    async fn settings(&self, user: &UserId) -> Result<Option<Settings>, StoreError>;
    /// Saves them in place of those before. Of more than `most` users, those who saved longest ago lose theirs.
    async fn put_settings(&self, user: &UserId, settings: &Settings, most: usize) -> Result<(), StoreError>;

    // === Small values ===
    async fn value(&self, key: &str) -> Result<Option<Bytes>, StoreError>;
    async fn put_value(&self, key: &str, value: Bytes) -> Result<(), StoreError>;

    // === Care ===
    /// Forgets what has ended at `now`: logins, blocks, publications, streams. Does a bounded part at a time; how many entries it was.
    async fn sweep(&self, now: WallMs) -> Result<u64, StoreError>;
    /// Gives space back to the system, where the store can, a bounded part at a time. How many bytes; 0: there are none to give.
    async fn compact(&self) -> Result<u64, StoreError>;
}

/// Somebody who can log in.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// The `sub` of its tokens, and what it logs in by.
    pub name: UserId,
    /// In PHC string format (argon2id), with its own parameters and salt. Never shown.
    pub password: PasswordHash,
    /// As `auth::Role` writes it.
    pub role: String,
    /// Rights in namespaces on top of their options, as JSON of `auth::Grants`.
    pub grants: String,
    pub created_at: WallMs,
    pub password_changed_at: WallMs,
    /// Counts the changes: of two who change at once, one has to look again.
    pub version: u64,
}

impl User {
    /// As it is stored after this one was given to [`Store::replace_user`].
    pub fn replaced(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }
}

/// The hash of a password. Not shown by `Debug`.
#[derive(Clone, PartialEq)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A login on one device: a family of refresh tokens, of which one at a time is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoginId(pub u128);

impl LoginId {
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().as_u128())
    }
    pub fn parse(text: &str) -> Option<Self> {
        uuid::Uuid::try_parse(text).ok().map(|id| Self(id.as_u128()))
    }
}

impl fmt::Display for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&uuid::Uuid::from_u128(self.0).as_hyphenated(), f)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    pub id: LoginId,
    pub user: UserId,
    /// Random; part of what the refresh tokens are made from.
    pub salt: [u8; 16],
    /// How often the refresh token has been replaced.
    pub generation: u32,
    pub rotated_at: WallMs,
    pub created_at: WallMs,
    pub last_seen_at: WallMs,
    /// Ends by itself at the earlier of the two.
    pub idle_until: WallMs,
    pub absolute_until: WallMs,
    pub address: String,
    /// What the user agent says of itself, cut and without control characters.
    pub device: String,
    pub ended_at: Option<WallMs>,
    /// A word of `auth`'s; empty while it has not ended.
    pub ended_reason: String,
}

/// Which logins to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logins {
    One(LoginId),
    OfUser { user: UserId, except: Option<LoginId> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockKind {
    /// A token's `jti`.
    Token,
    User,
    /// An IP address or a network, as text.
    Address,
}

impl BlockKind {
    pub const ALL: [Self; 3] = [Self::Token, Self::User, Self::Address];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::User => "user",
            Self::Address => "address",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub kind: BlockKind,
    pub subject: String,
    pub reason: String,
    pub by: String,
    pub since: WallMs,
    /// `None`: until it is removed.
    pub until: Option<WallMs>,
}

/// A key of the server API: everything but the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// Shown, and part of the key itself.
    pub id: String,
    pub name: String,
    /// SHA-256 of the secret part, hexadecimal. The secret has 256 random bits, so a fast hash is enough.
    pub secret_hash: String,
    /// Methods that it may call; empty: all.
    pub methods: Vec<String>,
    /// Namespaces that it may name (the empty text: channels without one); empty: all.
    pub namespaces: Vec<String>,
    pub created_at: WallMs,
    pub created_by: String,
    pub expires_at: Option<WallMs>,
    /// To the minute; `None`: never used.
    pub last_used_at: Option<WallMs>,
}

/// One entry of the audit log. What chains them is `admin::audit`'s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// From 1, without a hole.
    pub sequence: u64,
    pub at: WallMs,
    /// User, API key or part of the hub.
    pub actor: String,
    /// Address and kind of connection.
    pub origin: String,
    /// For instance `sessions.kick`.
    pub action: String,
    /// What it was done to; may be empty.
    pub object: String,
    /// JSON, secrets taken out.
    pub details: String,
    /// `begun`, `done`, `failed`, `refused` or `noted`.
    pub outcome: String,
    /// Hexadecimal SHA-256 of the record before.
    pub previous: String,
    /// Hexadecimal SHA-256 of this one.
    pub hash: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Inclusive.
    pub from: Option<WallMs>,
    /// Exclusive.
    pub to: Option<WallMs>,
    pub actor: Option<String>,
    /// An action, or all that begin with this and a dot.
    pub action: Option<String>,
    pub outcome: Option<String>,
    /// Exclusive: begin behind (or, newest first, before) this sequence.
    pub after: Option<u64>,
    pub newest_first: bool,
    pub limit: usize,
}

/// What somebody wants the dashboard to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// JSON, which the dashboard alone understands.
    pub body: String,
    pub saved_at: WallMs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredStream {
    pub channel: ChannelName,
    pub epoch: String,
    pub offset: u64,
    /// The stream is forgotten.
    pub forgotten_at: WallMs,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StoredPublication {
    pub channel: ChannelName,
    pub epoch: String,
    pub offset: u64,
    /// The publication as `broker` writes it.
    pub body: Bytes,
    pub at: WallMs,
    /// This publication is forgotten.
    pub expires_at: WallMs,
    /// The stream's offset and epoch are forgotten.
    pub stream_expires_at: WallMs,
    /// Publications that the stream keeps.
    pub size: u32,
}

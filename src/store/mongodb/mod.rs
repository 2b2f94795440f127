//! The store on a MongoDB server.
//!
//! The driver lives on a thread and a runtime of its own: its connections belong to the runtime that made them, and must not wait for a worker
//! that is busy or ends. The driver asks not to drop its futures half-way (its issue RUST-937), so every call is a task there that runs to its
//! end, while whoever asked waits no longer than the deadline. A server that went silent is noticed by the driver's monitor within about two
//! `connect_timeout`, which ends the tasks that wait for it; how many there may be is bounded.
//!
//! No transaction is used, so that a server that is no replica set will do: what must change as a whole is one document, or becomes visible by
//! the last write of several, all of which can be repeated. Writes wait for a majority and its journal. The hub starts whether or not the server
//! is there. Until it is known whether the database may be written to, calls wait for that, and then fail at once as long as it may not.
//! Deliberately absent: anything that only some versions of the server can do.

mod access;
mod audit;
mod care;
mod connect;
mod documents;
mod history;
mod logins;
mod settings;
mod users;

pub use connect::MongodbSettings;

use super::calls::{Access, Calls};
use super::{
    ApiKeyRecord, AuditQuery, AuditRecord, Block, BlockKind, Login, LoginId, Logins, Settings, Store, StoreError, StoreState, StoredPublication,
    StoredStream, User, WallMs,
};
use crate::channel::{ChannelName, UserId};
use crate::telemetry::store::StorePart;
use async_trait::async_trait;
use bytes::Bytes;
use connect::{Connection, Driver};
use history::Appender;
use mongodb::Database;
use mongodb::error::{Error, ErrorKind, WriteFailure};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

const KIND: &str = "mongodb";

/// Bytes of a reason that are told; the driver's can describe a whole cluster.
const REASON_BYTES_MAX: usize = 300;

/// Why the connection string or its options cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The text is the driver's, without credentials.
    #[error("cannot use store.mongodb.uri: {reason}")]
    Uri { reason: String },
    #[error("cannot start a thread for the store")]
    Thread { source: std::io::Error },
}

pub struct MongodbStore {
    calls: Calls,
    driver: Driver,
    connection: Arc<Connection>,
    queue_max: usize,
    /// One for each call that may be under way.
    room: Arc<Semaphore>,
    appender: Arc<Appender>,
}

impl MongodbStore {
    /// Begins to connect. Fails only where no server could help.
    pub async fn open(settings: MongodbSettings) -> Result<Self, OpenError> {
        let (timeout, queue_max) = (settings.timeout, settings.queue_max);
        let (driver, connection) = connect::start(settings).await?;
        Ok(Self {
            calls: Calls::new(KIND, timeout),
            driver,
            connection,
            queue_max,
            room: Arc::new(Semaphore::new(queue_max)),
            appender: Arc::default(),
        })
    }

    async fn call<T, W>(&self, part: StorePart, access: Access, what: &'static str, work: impl FnOnce(Database) -> W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let asked = async {
            let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| StoreError::Overloaded { kind: KIND })?;
            let database = self.connection.database().await.map_err(|reason| StoreError::Unavailable { kind: KIND, what, reason })?;
            let (connection, work) = (Arc::clone(&self.connection), work(database));
            let task = self.driver.spawn(async move {
                let outcome = work.await.map_err(|fault| fault.told(what, &connection));
                drop(room);
                outcome
            });
            task.await.unwrap_or_else(|_| Err(StoreError::Unavailable { kind: KIND, what, reason: "the call was given up".to_string() }))
        };
        self.calls.run(part, access, asked).await
    }
}

/// Why a piece of work failed.
enum Fault {
    Driver(Error),
    Conflict {
        what: &'static str,
    },
    Corrupt {
        what: &'static str,
    },
    /// One of a group, all of which failed for this reason.
    Shared(Arc<Fault>),
    /// A number that the server cannot hold.
    Number,
    /// Nobody waited for it any more.
    GivenUp,
}

impl Fault {
    fn told(&self, what: &'static str, connection: &Connection) -> StoreError {
        let reason = match self {
            Self::Conflict { what } => return StoreError::Conflict { what },
            Self::Corrupt { what } => return corrupt(what),
            Self::Shared(fault) => return fault.told(what, connection),
            Self::Driver(error) => match &*error.kind {
                ErrorKind::BsonDeserialization(_) | ErrorKind::Bson(_) => return corrupt(what),
                ErrorKind::Custom(message) => message.downcast_ref::<String>().cloned().unwrap_or_default(),
                ErrorKind::ServerSelection { message, .. } => nobody(message),
                kind => kind.to_string(),
            },
            Self::Number => "a number is beyond 2^63".to_string(),
            Self::GivenUp => "the call was given up".to_string(),
        };
        StoreError::Unavailable { kind: KIND, what, reason: connection.without_credentials(&reason) }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

/// Which servers could not be reached and why, of the driver's description of the whole topology (its text is the only place where it stands).
fn nobody(message: &str) -> String {
    let servers: Vec<_> = message
        .split("Address: ")
        .skip(1)
        .filter_map(|server| {
            let (address, _) = server.split_once(',')?;
            let (_, error) = server.split_once("Error: Kind: ")?;
            Some(format!("{address}: {}", error.split_once(", labels:").map_or(error, |(error, _)| error)))
        })
        .collect();
    if servers.is_empty() { message.to_string() } else { format!("no server can be used ({})", servers.join("; ")) }
}

fn corrupt(what: &'static str) -> StoreError {
    StoreError::Corrupt { kind: KIND, what }
}

/// There is a document of this key already. (11000: DuplicateKey in the server's table of error codes.)
fn is_duplicate(error: &Error) -> bool {
    const DUPLICATE_KEY: i32 = 11_000;
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
        ErrorKind::Command(error) => error.code == DUPLICATE_KEY,
        _ => false,
    }
}

/// As the server counts.
fn number(number: u64) -> Result<i64, Fault> {
    i64::try_from(number).map_err(|_| Fault::Number)
}

/// As the server takes it, for which 0 is no limit: callers answer that one themselves.
fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Does it once more after a duplicate key: of two that upsert the same new document at once, one fails (manual, "Upsert with Duplicate Values").
async fn upsert<T, F: Future<Output = Result<T, Error>>>(write: impl Fn() -> F) -> Result<T, Error> {
    match write().await {
        Err(error) if is_duplicate(&error) => write().await,
        outcome => outcome,
    }
}

#[async_trait]
impl Store for MongodbStore {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn state(&self) -> StoreState {
        StoreState {
            kind: KIND,
            trouble: self.calls.trouble(),
            waiting: self.queue_max - self.room.available_permits(),
            connections: self.connection.pooled(),
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.call(StorePart::Care, Access::Write, "write", care::ping).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.connection.close();
        let closed = async {
            // Nobody begins anything any more; what is under way has until the deadline.
            let _all = self.room.acquire_many(u32::try_from(self.queue_max).unwrap_or(u32::MAX)).await;
            self.driver.stop().await;
            Ok(())
        };
        self.calls.run(StorePart::Care, Access::Write, closed).await
    }

    async fn add_user(&self, user: &User) -> Result<(), StoreError> {
        let user = user.clone();
        self.call(StorePart::Users, Access::Write, "add a user", |db| users::add(db, user)).await
    }

    async fn user(&self, name: &UserId) -> Result<Option<User>, StoreError> {
        let name = name.clone();
        self.call(StorePart::Users, Access::Read, "read a user", |db| users::find(db, name)).await
    }

    async fn users(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<User>, StoreError> {
        let after = after.cloned();
        self.call(StorePart::Users, Access::Read, "list users", |db| users::list(db, after, limit)).await
    }

    async fn replace_user(&self, user: &User) -> Result<(), StoreError> {
        let user = user.clone();
        self.call(StorePart::Users, Access::Write, "change a user", |db| users::replace(db, user)).await
    }

    async fn remove_user(&self, name: &UserId) -> Result<bool, StoreError> {
        let name = name.clone();
        self.call(StorePart::Users, Access::Write, "remove a user", |db| users::remove(db, name)).await
    }

    async fn add_login(&self, login: &Login) -> Result<(), StoreError> {
        let login = login.clone();
        self.call(StorePart::Logins, Access::Write, "add a login", |db| logins::add(db, login)).await
    }

    async fn login(&self, id: LoginId) -> Result<Option<Login>, StoreError> {
        self.call(StorePart::Logins, Access::Read, "read a login", |db| logins::find(db, id)).await
    }

    async fn logins_of(&self, user: &UserId, limit: usize) -> Result<Vec<Login>, StoreError> {
        let user = user.clone();
        self.call(StorePart::Logins, Access::Read, "list logins", |db| logins::of_user(db, user, limit)).await
    }

    async fn replace_login(&self, from: u32, login: &Login) -> Result<bool, StoreError> {
        let login = login.clone();
        self.call(StorePart::Logins, Access::Write, "change a login", |db| logins::replace(db, from, login)).await
    }

    async fn end_logins(&self, which: &Logins, reason: &str, at: WallMs) -> Result<Vec<LoginId>, StoreError> {
        let (which, reason) = (which.clone(), reason.to_string());
        self.call(StorePart::Logins, Access::Write, "end logins", |db| logins::end(db, which, reason, at)).await
    }

    async fn put_block(&self, block: &Block) -> Result<(), StoreError> {
        let block = block.clone();
        self.call(StorePart::Blocks, Access::Write, "write a block", |db| access::put_block(db, block)).await
    }

    async fn remove_block(&self, kind: BlockKind, subject: &str) -> Result<bool, StoreError> {
        let subject = subject.to_string();
        self.call(StorePart::Blocks, Access::Write, "remove a block", |db| access::remove_block(db, kind, subject)).await
    }

    async fn blocks(&self, now: WallMs, limit: usize) -> Result<Vec<Block>, StoreError> {
        self.call(StorePart::Blocks, Access::Read, "list blocks", |db| access::blocks(db, now, limit)).await
    }

    async fn put_api_key(&self, key: &ApiKeyRecord) -> Result<(), StoreError> {
        let key = key.clone();
        self.call(StorePart::ApiKeys, Access::Write, "write an API key", |db| access::put_api_key(db, key)).await
    }

    async fn remove_api_key(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_string();
        self.call(StorePart::ApiKeys, Access::Write, "remove an API key", |db| access::remove_api_key(db, id)).await
    }

    async fn api_keys(&self, limit: usize) -> Result<Vec<ApiKeyRecord>, StoreError> {
        self.call(StorePart::ApiKeys, Access::Read, "list API keys", |db| access::api_keys(db, limit)).await
    }

    async fn append_audit(&self, record: &AuditRecord) -> Result<(), StoreError> {
        let record = record.clone();
        self.call(StorePart::Audit, Access::Write, "write the audit log", |db| audit::append(db, record)).await
    }

    async fn last_audit(&self) -> Result<Option<AuditRecord>, StoreError> {
        self.call(StorePart::Audit, Access::Read, "read the audit log", audit::last).await
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        let query = query.clone();
        self.call(StorePart::Audit, Access::Read, "read the audit log", |db| audit::list(db, query)).await
    }

    async fn forget_audit(&self, sequence: u64) -> Result<u64, StoreError> {
        self.call(StorePart::Audit, Access::Write, "forget audit records", |db| audit::forget(db, sequence)).await
    }

    async fn append_publications(&self, batch: &[StoredPublication]) -> Result<(), StoreError> {
        let (appender, batch, deadline) = (Arc::clone(&self.appender), batch.to_vec(), Instant::now() + self.calls.timeout());
        self.call(StorePart::History, Access::Write, "write history", |db| async move { appender.append(db, batch, deadline).await }).await
    }

    async fn streams(&self, after: Option<&ChannelName>, limit: usize) -> Result<Vec<StoredStream>, StoreError> {
        let after = after.cloned();
        self.call(StorePart::History, Access::Read, "list streams", |db| history::streams(db, after, limit)).await
    }

    async fn publications(&self, channel: &ChannelName) -> Result<Vec<StoredPublication>, StoreError> {
        let channel = channel.clone();
        self.call(StorePart::History, Access::Read, "read history", |db| history::publications(db, channel)).await
    }

    async fn forget_publications(&self, channel: &ChannelName, whole: bool) -> Result<(), StoreError> {
        let channel = channel.clone();
        self.call(StorePart::History, Access::Write, "forget history", |db| history::forget(db, channel, whole)).await
    }

    async fn settings(&self, user: &UserId) -> Result<Option<Settings>, StoreError> {
        let user = user.clone();
        self.call(StorePart::Values, Access::Read, "read settings", |db| settings::find(db, user)).await
    }

    async fn put_settings(&self, user: &UserId, settings: &Settings, most: usize) -> Result<(), StoreError> {
        let (user, settings) = (user.clone(), settings.clone());
        self.call(StorePart::Values, Access::Write, "save settings", |db| settings::put(db, user, settings, most)).await
    }

    async fn value(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let key = key.to_string();
        self.call(StorePart::Values, Access::Read, "read a value", |db| care::value(db, key)).await
    }

    async fn put_value(&self, key: &str, value: Bytes) -> Result<(), StoreError> {
        let key = key.to_string();
        self.call(StorePart::Values, Access::Write, "write a value", |db| care::put_value(db, key, value)).await
    }

    async fn sweep(&self, now: WallMs) -> Result<u64, StoreError> {
        self.call(StorePart::Care, Access::Write, "forget what has ended", |db| care::sweep(db, now)).await
    }

    /// The server uses free space again by itself; giving it back would need rights and a pause that a hub should not take.
    async fn compact(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

#[cfg(test)]
mod tests;

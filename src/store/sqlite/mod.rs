//! The embedded store: one file, with a write-ahead log beside it.
//!
//! One thread writes. It takes all writes that wait, carries them out in one transaction, and answers them after its commit, so that the
//! disk is waited for once for all of them. A few threads read, beside it. Calls wait in bounded queues; whoever stopped waiting is skipped.
//! Other processes may use the file meanwhile, as `aether user` does. Deliberately absent: SQL outside of this folder.

mod access;
mod audit;
mod care;
mod history;
mod jobs;
mod logins;
mod open;
mod settings;
mod threads;
mod users;

pub use open::OpenError;

use super::calls::{Access, Calls};
use super::{
    ApiKeyRecord, AuditQuery, AuditRecord, Block, BlockKind, Login, LoginId, Logins, Settings, Store, StoreError, StoreState, StoredPublication,
    StoredStream, User, WallMs,
};
use crate::channel::{ChannelName, UserId};
use crate::config::Synchronous;
use crate::telemetry::emit;
use crate::telemetry::store::{StoreOpened, StorePart};
use async_trait::async_trait;
use bytes::Bytes;
use jobs::Jobs;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const KIND: &str = "sqlite";

/// Threads that read. What is read is small and in memory, so that two are enough, and one may be held up.
const READERS: usize = 2;

/// What the store is opened with.
pub struct SqliteSettings {
    pub timeout: Duration,
    /// Writes that may wait, and reads.
    pub queue_max: usize,
    pub synchronous: Synchronous,
}

pub struct SqliteStore {
    calls: Calls,
    writes: Arc<Jobs>,
    reads: Arc<Jobs>,
    /// The writer; it waits for the others. `None`: somebody has begun to wait for it.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the file, made if there is none. Blocks: it is called once, at the start.
    pub fn open(path: &Path, settings: &SqliteSettings) -> Result<Self, OpenError> {
        let (writes, reads) = (Arc::new(Jobs::new(settings.queue_max)), Arc::new(Jobs::new(settings.queue_max)));
        // Made first: dropped on the way, it ends the threads that there are.
        let store = Self { calls: Calls::new(KIND, settings.timeout), writes, reads, thread: Mutex::default() };
        let writer = open::writer(path, settings.synchronous)?;
        let connections = (0..READERS).map(|_| open::reader(path)).collect::<Result<Vec<_>, _>>()?;
        let fault = |source| OpenError::Thread { source };
        let mut readers = Vec::with_capacity(READERS);
        for (connection, deadline) in connections {
            readers.push(threads::read(Arc::clone(&store.reads), connection, deadline).map_err(fault)?);
        }
        *store.thread.lock() = Some(threads::write(Arc::clone(&store.writes), writer, readers).map_err(fault)?);
        emit(StoreOpened { kind: KIND, place: &path.display().to_string() });
        Ok(store)
    }

    async fn read<T, F>(&self, part: StorePart, what: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let deadline = Instant::now() + self.calls.timeout();
        self.calls.run(part, Access::Read, self.reads.ask(what, deadline, work)).await
    }

    async fn write<T, F>(&self, part: StorePart, what: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let deadline = Instant::now() + self.calls.timeout();
        self.calls.run(part, Access::Write, self.writes.ask(what, deadline, work)).await
    }
}

impl Drop for SqliteStore {
    /// The threads carry out what waits, and end. Nobody waits for them here; `close` does.
    fn drop(&mut self) {
        self.reads.close();
        self.writes.close();
    }
}

/// Why a piece of work failed.
enum Fault {
    Sqlite(rusqlite::Error),
    Store(StoreError),
}

impl Fault {
    fn told(self, what: &'static str) -> StoreError {
        use rusqlite::Error;
        match self {
            Self::Store(error) => error,
            Self::Sqlite(Error::FromSqlConversionFailure(..) | Error::IntegralValueOutOfRange(..) | Error::InvalidColumnType(..)) => corrupt(what),
            Self::Sqlite(error) => StoreError::Unavailable { kind: KIND, what, reason: error.to_string() },
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn corrupt(what: &'static str) -> StoreError {
    StoreError::Corrupt { kind: KIND, what }
}

/// As SQLite counts.
fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[async_trait]
impl Store for SqliteStore {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn state(&self) -> StoreState {
        StoreState { kind: KIND, trouble: self.calls.trouble(), waiting: self.writes.len() + self.reads.len(), connections: 1 + READERS }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.write(StorePart::Care, "write", care::ping).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        let thread = self.thread.lock().take();
        self.reads.close();
        self.writes.close();
        let closing = tokio::task::spawn_blocking(move || thread.map(JoinHandle::join));
        let closed = async {
            match closing.await {
                Ok(None | Some(Ok(()))) => Ok(()),
                Ok(Some(Err(_))) | Err(_) => {
                    Err(StoreError::Unavailable { kind: KIND, what: "close", reason: "its thread ended by a panic".to_string() })
                }
            }
        };
        self.calls.run(StorePart::Care, Access::Write, closed).await
    }

    async fn add_user(&self, user: &User) -> Result<(), StoreError> {
        let user = user.clone();
        self.write(StorePart::Users, "add a user", move |db| users::add(db, &user)).await
    }

    async fn user(&self, name: &UserId) -> Result<Option<User>, StoreError> {
        let name = name.clone();
        self.read(StorePart::Users, "read a user", move |db| users::find(db, &name)).await
    }

    async fn users(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<User>, StoreError> {
        let after = after.cloned();
        self.read(StorePart::Users, "list users", move |db| users::list(db, after.as_ref(), limit)).await
    }

    async fn replace_user(&self, user: &User) -> Result<(), StoreError> {
        let user = user.clone();
        self.write(StorePart::Users, "change a user", move |db| users::replace(db, &user)).await
    }

    async fn remove_user(&self, name: &UserId) -> Result<bool, StoreError> {
        let name = name.clone();
        self.write(StorePart::Users, "remove a user", move |db| users::remove(db, &name)).await
    }

    async fn add_login(&self, login: &Login) -> Result<(), StoreError> {
        let login = login.clone();
        self.write(StorePart::Logins, "add a login", move |db| logins::add(db, &login)).await
    }

    async fn login(&self, id: LoginId) -> Result<Option<Login>, StoreError> {
        self.read(StorePart::Logins, "read a login", move |db| logins::find(db, id)).await
    }

    async fn logins_of(&self, user: &UserId, limit: usize) -> Result<Vec<Login>, StoreError> {
        let user = user.clone();
        self.read(StorePart::Logins, "list logins", move |db| logins::of_user(db, &user, limit)).await
    }

    async fn replace_login(&self, from: u32, login: &Login) -> Result<bool, StoreError> {
        let login = login.clone();
        self.write(StorePart::Logins, "change a login", move |db| logins::replace(db, from, &login)).await
    }

    async fn end_logins(&self, which: &Logins, reason: &str, at: WallMs) -> Result<Vec<LoginId>, StoreError> {
        let (which, reason) = (which.clone(), reason.to_string());
        self.write(StorePart::Logins, "end logins", move |db| logins::end(db, &which, &reason, at)).await
    }

    async fn put_block(&self, block: &Block) -> Result<(), StoreError> {
        let block = block.clone();
        self.write(StorePart::Blocks, "write a block", move |db| access::put_block(db, &block)).await
    }

    async fn remove_block(&self, kind: BlockKind, subject: &str) -> Result<bool, StoreError> {
        let subject = subject.to_string();
        self.write(StorePart::Blocks, "remove a block", move |db| access::remove_block(db, kind, &subject)).await
    }

    async fn blocks(&self, now: WallMs, limit: usize) -> Result<Vec<Block>, StoreError> {
        self.read(StorePart::Blocks, "list blocks", move |db| access::blocks(db, now, limit)).await
    }

    async fn put_api_key(&self, key: &ApiKeyRecord) -> Result<(), StoreError> {
        let key = key.clone();
        self.write(StorePart::ApiKeys, "write an API key", move |db| access::put_api_key(db, &key)).await
    }

    async fn remove_api_key(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_string();
        self.write(StorePart::ApiKeys, "remove an API key", move |db| access::remove_api_key(db, &id)).await
    }

    async fn api_keys(&self, limit: usize) -> Result<Vec<ApiKeyRecord>, StoreError> {
        self.read(StorePart::ApiKeys, "list API keys", move |db| access::api_keys(db, limit)).await
    }

    async fn append_audit(&self, record: &AuditRecord) -> Result<(), StoreError> {
        let record = record.clone();
        self.write(StorePart::Audit, "write the audit log", move |db| audit::append(db, &record)).await
    }

    async fn last_audit(&self) -> Result<Option<AuditRecord>, StoreError> {
        self.read(StorePart::Audit, "read the audit log", audit::last).await
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        let query = query.clone();
        self.read(StorePart::Audit, "read the audit log", move |db| audit::list(db, &query)).await
    }

    async fn forget_audit(&self, sequence: u64) -> Result<u64, StoreError> {
        self.write(StorePart::Audit, "forget audit records", move |db| audit::forget(db, sequence)).await
    }

    async fn append_publications(&self, batch: &[StoredPublication]) -> Result<(), StoreError> {
        let batch = batch.to_vec();
        self.write(StorePart::History, "write history", move |db| history::append(db, &batch)).await
    }

    async fn streams(&self, after: Option<&ChannelName>, limit: usize) -> Result<Vec<StoredStream>, StoreError> {
        let after = after.cloned();
        self.read(StorePart::History, "list streams", move |db| history::streams(db, after.as_ref(), limit)).await
    }

    async fn publications(&self, channel: &ChannelName) -> Result<Vec<StoredPublication>, StoreError> {
        let channel = channel.clone();
        self.read(StorePart::History, "read history", move |db| history::publications(db, &channel)).await
    }

    async fn forget_publications(&self, channel: &ChannelName, whole: bool) -> Result<(), StoreError> {
        let channel = channel.clone();
        self.write(StorePart::History, "forget history", move |db| history::forget(db, &channel, whole)).await
    }

    async fn settings(&self, user: &UserId) -> Result<Option<Settings>, StoreError> {
        let user = user.clone();
        self.read(StorePart::Values, "read settings", move |db| settings::find(db, &user)).await
    }

    async fn put_settings(&self, user: &UserId, settings: &Settings, most: usize) -> Result<(), StoreError> {
        let (user, settings) = (user.clone(), settings.clone());
        self.write(StorePart::Values, "save settings", move |db| settings::put(db, &user, &settings, most)).await
    }

    async fn value(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let key = key.to_string();
        self.read(StorePart::Values, "read a value", move |db| care::value(db, &key)).await
    }

    async fn put_value(&self, key: &str, value: Bytes) -> Result<(), StoreError> {
        let key = key.to_string();
        self.write(StorePart::Values, "write a value", move |db| care::put_value(db, &key, &value)).await
    }

    async fn sweep(&self, now: WallMs) -> Result<u64, StoreError> {
        self.write(StorePart::Care, "forget what has ended", move |db| care::sweep(db, now)).await
    }

    async fn compact(&self) -> Result<u64, StoreError> {
        self.write(StorePart::Care, "give space back", care::compact).await
    }
}

#[cfg(test)]
mod tests;

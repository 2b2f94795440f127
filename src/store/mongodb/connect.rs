//! The driver's thread, its client, and what is done once as soon as the server can be reached.

use super::documents::{AuditDocument, BlockDocument, InCollection, LoginDocument, PublicationDocument, StreamDocument};
use super::{Fault, KIND, OpenError, REASON_BYTES_MAX, StoreError};
use crate::config::Secret;
use crate::telemetry::emit;
use crate::telemetry::store::{PoolEvent, StoreOpened, StorePrepared, StoreUnprepared};
use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use mongodb::event::EventHandler;
use mongodb::event::cmap::CmapEvent;
use mongodb::options::{Acknowledgment, ClientOptions, IndexOptions, ReadPreference, SelectionCriteria, WriteConcern};
use mongodb::{Client, Database, IndexModel};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// What the documents are like. A database of a later number is left alone.
const SCHEMA: i64 = 1;

/// Between two looks at every server. The driver's own 10 s would notice a frozen one too late.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Between two attempts to prepare the database.
const RETRY: Duration = Duration::from_secs(1);

/// How long the driver's tasks may take to end.
const STOP_MAX: Duration = Duration::from_secs(1);

/// How much longer than its own end an entry is kept, should no hub be there to sweep. Whoever ran the hubs reads in between why a login ended.
const FORGET_AFTER: Duration = Duration::from_secs(90 * 24 * 3_600);

pub struct MongodbSettings {
    pub uri: Secret,
    pub database: String,
    pub timeout: Duration,
    pub queue_max: usize,
    pub pool_max: u32,
    pub server_selection_timeout: Duration,
    pub connect_timeout: Duration,
}

/// The thread on which everything of the driver runs.
pub(super) struct Driver {
    runtime: Handle,
    /// Dropped or used: the thread ends.
    stop: Mutex<Option<oneshot::Sender<()>>>,
    /// `None`: somebody has begun to wait for it.
    stopped: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Driver {
    fn start() -> Result<Self, std::io::Error> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopping) = oneshot::channel();
        let (tell, stopped) = oneshot::channel();
        std::thread::Builder::new().name("store-mongodb".to_string()).spawn(move || {
            // Ended by a message or by the sender's end: both mean the same.
            let _ = runtime.block_on(stopping);
            runtime.shutdown_timeout(STOP_MAX);
            let _ = tell.send(());
        })?;
        Ok(Self { runtime: handle, stop: Mutex::new(Some(stop)), stopped: Mutex::new(Some(stopped)) })
    }

    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.runtime.spawn(work)
    }

    /// Ends the thread and all connections with it.
    pub async fn stop(&self) {
        self.stop.lock().take();
        let stopped = self.stopped.lock().take();
        if let Some(stopped) = stopped {
            let _ = stopped.await;
        }
    }
}

/// The way to the database, as far as there is one.
pub(super) struct Connection {
    way: watch::Sender<Way>,
    /// Texts that are never told.
    credentials: Vec<String>,
    pooled: AtomicUsize,
}

enum Way {
    /// It is being looked at for the first time.
    Unknown,
    Open(Database),
    /// Why there is none.
    None(String),
    /// For good.
    Closed,
}

impl Connection {
    fn new(uri: &str) -> Self {
        Self { way: watch::Sender::new(Way::Unknown), credentials: credentials(uri), pooled: AtomicUsize::new(0) }
    }

    /// Waits for the first look at the database, or gives the reason why it cannot be used.
    pub async fn database(&self) -> Result<Database, String> {
        let mut way = self.way.subscribe();
        match way.wait_for(|way| !matches!(way, Way::Unknown)).await.as_deref() {
            Ok(Way::Open(database)) => Ok(database.clone()),
            Ok(Way::None(reason)) => Err(reason.clone()),
            Ok(Way::Closed | Way::Unknown) | Err(_) => Err("it is closed".to_string()),
        }
    }

    fn set(&self, next: Way) {
        self.way.send_if_modified(|way| {
            let is_open = !matches!(way, Way::Closed);
            if is_open {
                *way = next;
            }
            is_open
        });
    }

    pub fn close(&self) {
        self.set(Way::Closed);
    }

    /// Connections that are open.
    pub fn pooled(&self) -> usize {
        self.pooled.load(Ordering::Relaxed)
    }

    /// A text of the driver's as it may be told.
    pub fn without_credentials(&self, text: &str) -> String {
        let mut text = text.to_string();
        for secret in &self.credentials {
            text = text.replace(secret, "***");
        }
        if text.len() > REASON_BYTES_MAX {
            let end = (0..=REASON_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            text.truncate(end);
            text.push('…');
        }
        text
    }

    fn learn(&self, event: &CmapEvent) {
        let event = match event {
            CmapEvent::PoolCleared(_) => PoolEvent::Cleared,
            CmapEvent::ConnectionCreated(_) => {
                self.pooled.fetch_add(1, Ordering::Relaxed);
                PoolEvent::Created
            }
            CmapEvent::ConnectionClosed(_) => {
                self.pooled.fetch_sub(1, Ordering::Relaxed);
                PoolEvent::Closed
            }
            CmapEvent::ConnectionCheckoutFailed(_) => PoolEvent::CheckoutFailed,
            // Of every call, or once in a life: told by other figures.
            _ => return,
        };
        emit(event);
    }
}

/// What of a connection string must not be told: all of it, what stands before the `@`, and the password, in both its spellings.
fn credentials(uri: &str) -> Vec<String> {
    let mut secrets = vec![uri.to_string()];
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    if let Some((userinfo, _)) = rest.rsplit_once('@') {
        secrets.push(userinfo.to_string());
        if let Some((_, password)) = userinfo.split_once(':').filter(|(_, password)| !password.is_empty()) {
            secrets.push(password.to_string());
            secrets.push(percent_decoded(password));
        }
    }
    secrets
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let hex = |digit: &u8| char::from(*digit).to_digit(16).map(|digit| digit as u8);
        match behind {
            [high, low, behind @ ..] if first == b'%' && hex(high).is_some() && hex(low).is_some() => {
                bytes.extend(hex(high).zip(hex(low)).map(|(high, low)| high * 16 + low));
                rest = behind;
            }
            _ => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Starts the driver. The database is prepared in the background, as soon as it can be.
pub(super) async fn start(settings: MongodbSettings) -> Result<(Driver, Arc<Connection>), OpenError> {
    let driver = Driver::start().map_err(|source| OpenError::Thread { source })?;
    let connection = Arc::new(Connection::new(settings.uri.expose()));
    let (settings, there) = (Arc::new(settings), Arc::clone(&connection));
    let first = driver.spawn({
        let settings = Arc::clone(&settings);
        async move { connect(&settings, &there).await }
    });
    let database = match first.await {
        Ok(Ok(database)) => Some(database),
        // The name of the servers could not be resolved, which may be so for a while.
        Ok(Err(error)) if matches!(*error.kind, ErrorKind::DnsResolve { .. } | ErrorKind::Io(_)) => None,
        Ok(Err(error)) => return Err(OpenError::Uri { reason: connection.without_credentials(&error.to_string()) }),
        Err(_) => return Err(OpenError::Uri { reason: "the driver gave up on it".to_string() }),
    };
    let there = Arc::clone(&connection);
    driver.spawn(async move { prepare(&settings, &there, database).await });
    Ok((driver, connection))
}

/// Makes the client. Talks to nobody, except that the servers of a `mongodb+srv` address are looked up.
async fn connect(settings: &MongodbSettings, connection: &Arc<Connection>) -> Result<Database, mongodb::error::Error> {
    let mut options = ClientOptions::parse(settings.uri.expose()).await?;
    options.app_name = Some("aether".to_string());
    options.max_pool_size = Some(settings.pool_max);
    options.server_selection_timeout = Some(settings.server_selection_timeout);
    options.connect_timeout = Some(settings.connect_timeout);
    options.heartbeat_freq = Some(HEARTBEAT);
    // What the contract promises, whatever the connection string says: what was answered stays, and is read.
    let concern = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).w_timeout(settings.timeout).build();
    options.write_concern = Some(concern);
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    // Weak: the client lives in what it tells its events to.
    let learner = Arc::downgrade(connection);
    options.cmap_event_handler = Some(EventHandler::callback(move |event: CmapEvent| {
        if let Some(connection) = learner.upgrade() {
            connection.learn(&event);
        }
    }));
    let place = options.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let client = Client::with_options(options)?;
    emit(StoreOpened { kind: KIND, place: &format!("the database {} of {place}", settings.database) });
    Ok(client.database(&settings.database))
}

/// Opens the way to the database when it may be used, and sees to its indexes; again and again until it has succeeded. A new database has
/// them before anything is written to it; in one that lacks some they are made beside the work.
async fn prepare(settings: &MongodbSettings, connection: &Arc<Connection>, mut database: Option<Database>) {
    let mut is_told = false;
    let mut failed = |fault: Fault| {
        let error = fault.told("be prepared", connection);
        if !std::mem::replace(&mut is_told, true) {
            emit(StoreUnprepared { reason: &error.to_string() });
        }
        match error {
            StoreError::Unavailable { reason, .. } => reason,
            error => error.to_string(),
        }
    };
    let database = loop {
        match look(settings, connection, &mut database).await {
            Ok(Looked::Usable(database)) => break database,
            Ok(Looked::Newer { found }) => {
                let reason = format!("it was written by a newer version of Aether (schema {found}, this one knows {SCHEMA})");
                emit(StoreUnprepared { reason: &reason });
                return connection.set(Way::None(reason));
            }
            Err(fault) => connection.set(Way::None(failed(fault))),
        }
        tokio::time::sleep(RETRY).await;
    };
    connection.set(Way::Open(database.clone()));
    while let Err(error) = make_indexes(&database).await {
        failed(error.into());
        tokio::time::sleep(RETRY).await;
    }
    emit(StorePrepared { kind: KIND });
}

enum Looked {
    Usable(Database),
    Newer { found: i64 },
}

async fn look(settings: &MongodbSettings, connection: &Arc<Connection>, database: &mut Option<Database>) -> Result<Looked, Fault> {
    let database = match database {
        Some(database) => database,
        none => none.insert(connect(settings, connection).await?),
    };
    let about = database.collection::<Document>("about");
    match about.find_one(doc! { "_id": "schema" }).await?.map(|schema| schema.get_i64("version")) {
        Some(Ok(found)) if found > SCHEMA => return Ok(Looked::Newer { found }),
        Some(_) => {}
        None => make_indexes(database).await?,
    }
    about.update_one(doc! { "_id": "schema" }, doc! { "$max": { "version": SCHEMA } }).upsert(true).await?;
    Ok(Looked::Usable(database.clone()))
}

/// Making one that is there already is no work.
async fn make_indexes(database: &Database) -> Result<(), mongodb::error::Error> {
    let over = || {
        let options = IndexOptions::builder().expire_after(FORGET_AFTER).build();
        IndexModel::builder().keys(doc! { "over_at": 1 }).options(options).build()
    };
    let by = |keys: Document| IndexModel::builder().keys(keys).build();
    let indexes = [
        (LoginDocument::NAME, vec![over(), by(doc! { "user": 1, "created_at": -1, "_id": -1 })]),
        (BlockDocument::NAME, vec![over()]),
        (AuditDocument::NAME, vec![by(doc! { "at": 1 }), by(doc! { "actor": 1, "_id": 1 }), by(doc! { "action": 1, "_id": 1 })]),
        (StreamDocument::NAME, vec![over()]),
        (PublicationDocument::NAME, vec![over(), by(doc! { "channel": 1, "offset": 1 })]),
    ];
    for (name, models) in indexes {
        database.collection::<Document>(name).create_indexes(models).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_a_password_is_told() {
        let uri = "mongodb://aether:p%40ss%zword@127.0.0.1:27017/?authSource=admin";
        let connection = Connection::new(uri);
        for text in [uri, "SCRAM failure for aether:p%40ss%zword", "wrong password p@ss%zword"] {
            let told = connection.without_credentials(text);
            assert!(told.contains("***") && !told.contains("ss%zword"), "{told}");
        }
        assert_eq!(connection.without_credentials(&"ä".repeat(400)).chars().count(), REASON_BYTES_MAX / 2 + 1);
    }
}

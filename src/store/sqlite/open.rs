//! From a path to connections of a sound database with the schema of this version.

use super::threads::Deadline;
use crate::config::Synchronous;
use crate::telemetry::emit;
use crate::telemetry::store::{StoreChecked, StoreMigrated};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How the schema came to be, in order. A number is never changed once it was released: what is to differ is a further one.
const MIGRATIONS: [&str; 2] = [include_str!("../migrations/0001_start.sql"), include_str!("../migrations/0002_settings.sql")];

/// Marks the file as Aether's ("AETH"; PRAGMA application_id).
const APPLICATION_ID: u32 = 0x4145_5448;

/// Time for the quick check. It reads the whole file, which a large one is not worth at every start.
const CHECK_MAX: Duration = Duration::from_secs(1);

/// How long the lock of another process, such as `aether user`, is waited for.
const BUSY_MAX: Duration = Duration::from_secs(2);

/// Bytes to which the write-ahead log is cut when it has grown beyond.
const LOG_BYTES_KEPT: u32 = 16 * 1_024 * 1_024;

/// Statements that stay prepared, a connection. There are fewer.
const STATEMENTS_KEPT: usize = 128;

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot make the folder {path} for the store; set data_dir or store.sqlite.path to a place that the hub may write to")]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot write the store {path}; set data_dir or store.sqlite.path to a place that the hub may write to")]
    File { path: PathBuf, source: io::Error },
    #[error("cannot {what} the store {path}")]
    Sqlite { what: &'static str, path: PathBuf, source: rusqlite::Error },
    #[error("{path} is a database of another program; set store.sqlite.path to another file")]
    Foreign { path: PathBuf },
    #[error("the store {path} was written by a newer version of Aether (schema {found}, this one knows {known}); start that version")]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("the store {path} is damaged ({finding}); move it away to begin anew, or put a backup in its place")]
    Damaged { path: PathBuf, finding: String },
    #[error("cannot start a thread for the store")]
    Thread { source: io::Error },
}

/// Opens the file, made if there is none, and brings it to the present schema.
pub(super) fn writer(path: &Path, synchronous: Synchronous) -> Result<Connection, OpenError> {
    make(path)?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let fault = |what| move |source| OpenError::sqlite(what, path, source);
    identify(&connection, path)?;
    // Before the first table: it cannot be had later.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(fault("set up"))?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(fault("set up"))?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT).map_err(fault("set up"))?;
    let synchronous = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous).map_err(fault("set up"))?;
    check(&mut connection, path)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// A further connection, for reading, on which each read has its deadline.
pub(super) fn reader(path: &Path) -> Result<(Connection, Deadline), OpenError> {
    let fault = |source| OpenError::sqlite("read", path, source);
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // Reading opens the write-ahead log, so that later no descriptor is needed that there may not be.
    version(&connection).map_err(fault)?;
    let deadline = Deadline::keep(&mut connection).map_err(fault)?;
    Ok((connection, deadline))
}

impl OpenError {
    fn sqlite(what: &'static str, path: &Path, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::Foreign { path: path.to_owned() },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path: path.to_owned(), finding: source.to_string() },
            _ => Self::Sqlite { what, path: path.to_owned(), source },
        }
    }
}

/// The file with its folder, readable by their owner alone. SQLite gives the files beside it the same rights.
fn make(path: &Path) -> Result<(), OpenError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| OpenError::Folder { path: folder.to_owned(), source })?;
    }
    let fault = |source| OpenError::File { path: path.to_owned(), source };
    // Closed again before SQLite opens it: whoever closes a file gives up all locks that the process has on it.
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(fault)?;
    let mode = file.metadata().map_err(fault)?.permissions().mode();
    if mode & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600)).map_err(fault)?;
        log::warn!("the store {} could be read by others; now it cannot", path.display());
    }
    Ok(())
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, OpenError> {
    let fault = |source| OpenError::sqlite("open", path, source);
    // Each connection stays on one thread, so SQLite needs no lock of its own around it.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(fault)?;
    connection.busy_timeout(BUSY_MAX).map_err(fault)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Ours, or empty; and not of a later version.
fn identify(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let fault = |source| OpenError::sqlite("read", path, source);
    let id: u32 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(fault)?;
    let tables: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fault)?;
    if id != APPLICATION_ID && (id != 0 || tables > 0) {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    let (found, known) = (version(connection).map_err(fault)?, MIGRATIONS.len() as u32);
    if found > known { Err(OpenError::Newer { path: path.to_owned(), found, known }) } else { Ok(()) }
}

fn check(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let fault = |source| OpenError::sqlite("check", path, source);
    let started = Instant::now();
    connection.progress_handler(10_000, Some(move || started.elapsed() > CHECK_MAX)).map_err(fault)?;
    let finding = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    connection.progress_handler(0, None::<fn() -> bool>).map_err(fault)?;
    let is_cut = match finding {
        Ok(finding) if finding == "ok" => false,
        Ok(finding) => return Err(OpenError::Damaged { path: path.to_owned(), finding }),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => true,
        Err(error) => return Err(fault(error)),
    };
    emit(StoreChecked { took: started.elapsed(), is_cut });
    Ok(())
}

/// All missing migrations, or none of them.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let fault = |source| OpenError::sqlite("write the schema of", path, source);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault)?;
    // Read under the lock: another process may have done it meanwhile.
    let (from, to) = (version(&transaction).map_err(fault)?, MIGRATIONS.len() as u32);
    for migration in MIGRATIONS.iter().skip(from as usize) {
        transaction.execute_batch(migration).map_err(fault)?;
    }
    if from < to {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(fault)?;
        transaction.pragma_update(None, "user_version", to).map_err(fault)?;
    }
    transaction.commit().map_err(fault)?;
    if from < to {
        emit(StoreMigrated { from, to });
    }
    Ok(())
}

//! The threads that SQLite is called on: one that writes, a few that read. No other thread touches the file.

use super::jobs::{Job, Jobs};
use crate::telemetry::emit;
use crate::telemetry::store::{StoreCommitted, StorePanicked};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

/// Writes that share one commit. Enough that the disk's wait is spread thin, few enough that the first of them need not wait long.
const GROUP_MAX: usize = 256;

/// Instructions of SQLite's machine between two looks at the deadline of a read: some ten microseconds.
const LOOK_EVERY: i32 = 10_000;

/// Starts the thread that writes. When its jobs are closed it waits for the readers: the connection that is closed last takes the write-ahead
/// log into the file, and for that it must be one that may write.
pub(super) fn write(jobs: Arc<Jobs>, connection: Connection, readers: Vec<JoinHandle<()>>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("store-writer".to_string()).spawn(move || {
        while let Some(group) = jobs.take(GROUP_MAX) {
            guarded("writer", || commit(&connection, group));
            if !connection.is_autocommit() {
                // A panic left the transaction open. If it cannot be closed either, the next group says so.
                let _ = connection.execute_batch("ROLLBACK");
            }
        }
        readers.into_iter().for_each(|reader| drop(reader.join()));
        // So that the next start finds good statistics; that it is closed well matters more.
        let _ = connection.execute_batch("PRAGMA optimize");
        if let Err((_, error)) = connection.close() {
            log::warn!("cannot close the SQLite store: {error}");
        }
    })
}

/// Starts a thread that reads.
pub(super) fn read(jobs: Arc<Jobs>, connection: Connection, deadline: Deadline) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("store-reader".to_string()).spawn(move || {
        while let Some(taken) = jobs.take(1) {
            for mut job in taken {
                deadline.set(job.deadline());
                guarded("reader", || {
                    job.carry_out(&connection);
                    job.answer(Ok(()));
                });
            }
        }
    })
}

/// A call that panics is lost alone: its asker hears that it was given up, and the thread goes on.
fn guarded(thread: &'static str, work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        emit(StorePanicked { thread });
    }
}

/// When the present read of a connection is to be ended from inside, because nobody waits for it any more.
pub(super) struct Deadline {
    epoch: Instant,
    ms: Arc<AtomicU64>,
}

impl Deadline {
    /// From now on SQLite itself looks at it.
    pub fn keep(connection: &mut Connection) -> rusqlite::Result<Self> {
        let (epoch, ms) = (Instant::now(), Arc::new(AtomicU64::new(u64::MAX)));
        let deadline = Self { epoch, ms: Arc::clone(&ms) };
        connection.progress_handler(LOOK_EVERY, Some(move || epoch.elapsed().as_millis() as u64 > ms.load(Ordering::Relaxed)))?;
        Ok(deadline)
    }

    fn set(&self, at: Instant) {
        self.ms.store(at.saturating_duration_since(self.epoch).as_millis() as u64, Ordering::Relaxed);
    }
}

/// All of a group in one transaction. Each write succeeds or fails by itself, and none is answered before the commit.
fn commit(connection: &Connection, mut group: Vec<Box<dyn Job>>) {
    if group.is_empty() {
        return;
    }
    let transaction = match Transaction::new_unchecked(connection, TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => return group.into_iter().for_each(|job| job.answer(Err(&error))),
    };
    let undone = match carry_out(connection, &mut group) {
        Carried::All => transaction.commit().err().map(Some),
        Carried::Stopped(error) => {
            drop(transaction);
            Some(error)
        }
    };
    match undone {
        None => {
            emit(StoreCommitted);
            group.into_iter().for_each(|job| job.answer(Ok(())));
        }
        // One that cannot be done, such as one too large for the disk, must not take its neighbours along.
        Some(_) if group.len() > 1 => group.into_iter().filter(|job| !job.is_abandoned()).for_each(|job| commit(connection, vec![job])),
        Some(Some(error)) => group.into_iter().for_each(|job| job.answer(Err(&error))),
        // The write's own outcome says why.
        Some(None) => group.into_iter().for_each(|job| job.answer(Ok(()))),
    }
}

enum Carried {
    All,
    /// SQLite gave up the whole transaction, as it does when the disk is full (manual, "Response To Errors Within A Transaction").
    Stopped(Option<rusqlite::Error>),
}

fn carry_out(connection: &Connection, group: &mut [Box<dyn Job>]) -> Carried {
    for job in group {
        if let Err(error) = connection.execute_batch("SAVEPOINT one") {
            return Carried::Stopped(Some(error));
        }
        let end = if job.carry_out(connection) { "RELEASE one" } else { "ROLLBACK TO one; RELEASE one" };
        if connection.is_autocommit() {
            return Carried::Stopped(None);
        }
        if let Err(error) = connection.execute_batch(end) {
            return Carried::Stopped(Some(error));
        }
    }
    Carried::All
}

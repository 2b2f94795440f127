//! Small values, and what keeps the store small.

use super::super::WallMs;
use super::Fault;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};

/// Entries of each kind that one call forgets: done in some milliseconds, so that other writes hardly wait.
const SWEPT_MAX: u32 = 1_000;

/// Pages that one call gives back: 4 MiB, for the same reason.
const PAGES_MAX: u32 = 1_000;

pub(super) fn ping(db: &Connection) -> Result<(), Fault> {
    db.prepare_cached("UPDATE pulse SET beats = beats + 1")?.execute([])?;
    Ok(())
}

pub(super) fn value(db: &Connection, key: &str) -> Result<Option<Bytes>, Fault> {
    let value = db.prepare_cached("SELECT value FROM value WHERE key = ?1")?.query_row([key], |row| row.get::<_, Vec<u8>>(0));
    Ok(value.optional()?.map(Bytes::from))
}

pub(super) fn put_value(db: &Connection, key: &str, value: &Bytes) -> Result<(), Fault> {
    db.prepare_cached("INSERT OR REPLACE INTO value (key, value) VALUES (?1, ?2)")?.execute((key, value.as_ref()))?;
    Ok(())
}

pub(super) fn sweep(db: &Connection, now: WallMs) -> Result<u64, Fault> {
    let parts = [
        "DELETE FROM login WHERE id IN (SELECT id FROM login WHERE over_at <= ?1 LIMIT ?2)",
        "DELETE FROM block WHERE (kind, subject) IN (SELECT kind, subject FROM block WHERE until <= ?1 LIMIT ?2)",
        "DELETE FROM publication WHERE rowid IN (SELECT rowid FROM publication WHERE expires_at <= ?1 LIMIT ?2)",
        // What is left of a stream that is forgotten as a whole, and the stream when nothing is.
        "DELETE FROM publication WHERE rowid IN (SELECT publication.rowid FROM stream JOIN publication ON publication.stream = stream.id
            WHERE forgotten_at <= ?1 LIMIT ?2)",
        "DELETE FROM stream WHERE id IN (SELECT id FROM stream WHERE forgotten_at <= ?1
            AND NOT EXISTS (SELECT 1 FROM publication WHERE publication.stream = stream.id) LIMIT ?2)",
    ];
    let mut count = 0;
    for part in parts {
        count += db.prepare_cached(part)?.execute((now, SWEPT_MAX))? as u64;
    }
    Ok(count)
}

pub(super) fn compact(db: &Connection) -> Result<u64, Fault> {
    let free = || db.pragma_query_value(None, "freelist_count", |row| row.get::<_, u64>(0));
    let before = free()?;
    db.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES_MAX})"))?;
    let page: u64 = db.pragma_query_value(None, "page_size", |row| row.get(0))?;
    Ok(before.saturating_sub(free()?) * page)
}

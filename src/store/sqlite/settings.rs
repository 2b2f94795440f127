//! How people want their dashboard.

use super::super::Settings;
use super::{Fault, limit};
use crate::channel::UserId;
use rusqlite::{Connection, OptionalExtension};

pub(super) fn find(db: &Connection, user: &UserId) -> Result<Option<Settings>, Fault> {
    let read = |row: &rusqlite::Row<'_>| Ok(Settings { body: row.get("body")?, saved_at: row.get("saved_at")? });
    Ok(db.prepare_cached("SELECT body, saved_at FROM settings WHERE user = ?1")?.query_row([user.as_str()], read).optional()?)
}

pub(super) fn put(db: &Connection, user: &UserId, settings: &Settings, most: usize) -> Result<(), Fault> {
    let sql = "INSERT OR REPLACE INTO settings (user, body, saved_at) VALUES (?1, ?2, ?3)";
    db.prepare_cached(sql)?.execute((user.as_str(), &settings.body, settings.saved_at))?;
    // What is not among the latest goes; the one of this call stays, whatever its clock said.
    let sql = "DELETE FROM settings WHERE user <> ?1 AND user IN (SELECT user FROM settings WHERE user <> ?1 ORDER BY saved_at DESC, user LIMIT -1 OFFSET ?2)";
    db.prepare_cached(sql)?.execute((user.as_str(), limit(most.saturating_sub(1))))?;
    Ok(())
}

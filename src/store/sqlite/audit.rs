//! The audit log's records. What chains them is not known here.

use super::super::{AuditQuery, AuditRecord, StoreError};
use super::{Fault, limit};
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params_from_iter};

const COLUMNS: &str = "sequence, at, actor, origin, action, object, details, outcome, previous, hash";

/// Records that one call forgets; more than a log of this hub grows by in a day.
const FORGOTTEN_MAX: i64 = 10_000;

fn read(row: &Row<'_>) -> rusqlite::Result<AuditRecord> {
    Ok(AuditRecord {
        sequence: row.get("sequence")?,
        at: row.get("at")?,
        actor: row.get("actor")?,
        origin: row.get("origin")?,
        action: row.get("action")?,
        object: row.get("object")?,
        details: row.get("details")?,
        outcome: row.get("outcome")?,
        previous: row.get("previous")?,
        hash: row.get("hash")?,
    })
}

pub(super) fn append(db: &Connection, record: &AuditRecord) -> Result<(), Fault> {
    let sql = "INSERT INTO audit (sequence, at, actor, origin, action, object, details, outcome, previous, hash)
        VALUES (:sequence, :at, :actor, :origin, :action, :object, :details, :outcome, :previous, :hash) ON CONFLICT DO NOTHING";
    let added = db.prepare_cached(sql)?.execute(named_params! {
        ":sequence": record.sequence, ":at": record.at, ":actor": record.actor, ":origin": record.origin, ":action": record.action,
        ":object": record.object, ":details": record.details, ":outcome": record.outcome, ":previous": record.previous, ":hash": record.hash,
    })?;
    if added == 1 {
        return Ok(());
    }
    let stored = db.prepare_cached(&format!("SELECT {COLUMNS} FROM audit WHERE sequence = ?1"))?.query_row([record.sequence], read).optional()?;
    if stored.as_ref() == Some(record) { Ok(()) } else { Err(StoreError::Conflict { what: "the audit record" }.into()) }
}

pub(super) fn last(db: &Connection) -> Result<Option<AuditRecord>, Fault> {
    Ok(db.prepare_cached(&format!("SELECT {COLUMNS} FROM audit ORDER BY sequence DESC LIMIT 1"))?.query_row([], read).optional()?)
}

pub(super) fn list(db: &Connection, query: &AuditQuery) -> Result<Vec<AuditRecord>, Fault> {
    let mut conditions = vec!["1"];
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let mut only = |condition: &'static str, given: Vec<Box<dyn ToSql>>| {
        conditions.push(condition);
        values.extend(given);
    };
    if let Some(from) = query.from {
        only("at >= ?", vec![Box::new(from)]);
    }
    if let Some(to) = query.to {
        only("at < ?", vec![Box::new(to)]);
    }
    if let Some(actor) = &query.actor {
        only("actor = ?", vec![Box::new(actor.clone())]);
    }
    if let Some(action) = &query.action {
        // All texts that begin with the action and a dot: the next character is a slash.
        only(
            "(action = ? OR (action >= ? AND action < ?))",
            vec![Box::new(action.clone()), Box::new(format!("{action}.")), Box::new(format!("{action}/"))],
        );
    }
    if let Some(outcome) = &query.outcome {
        only("outcome = ?", vec![Box::new(outcome.clone())]);
    }
    if let Some(after) = query.after {
        only(if query.newest_first { "sequence < ?" } else { "sequence > ?" }, vec![Box::new(after)]);
    }
    values.push(Box::new(limit(query.limit)));
    let order = if query.newest_first { "DESC" } else { "ASC" };
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE {} ORDER BY sequence {order} LIMIT ?", conditions.join(" AND "));
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn forget(db: &Connection, sequence: u64) -> Result<u64, Fault> {
    // The oldest ones first, so that what is left has no hole wherever this ends.
    let sql = "DELETE FROM audit WHERE sequence IN (SELECT sequence FROM audit WHERE sequence < ?1 ORDER BY sequence LIMIT ?2)";
    Ok(db.prepare_cached(sql)?.execute((sequence, FORGOTTEN_MAX))? as u64)
}

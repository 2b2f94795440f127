//! Blocks and API keys.

use super::super::{ApiKeyRecord, Block, BlockKind, WallMs};
use super::{Fault, corrupt, limit};
use rusqlite::{Connection, named_params};

/// The kind as a number, in its order.
fn number(kind: BlockKind) -> usize {
    kind as usize
}

pub(super) fn put_block(db: &Connection, block: &Block) -> Result<(), Fault> {
    let sql = "INSERT OR REPLACE INTO block (kind, subject, reason, by, since, until) VALUES (:kind, :subject, :reason, :by, :since, :until)";
    db.prepare_cached(sql)?.execute(named_params! {
        ":kind": number(block.kind), ":subject": block.subject, ":reason": block.reason, ":by": block.by, ":since": block.since,
        ":until": block.until,
    })?;
    Ok(())
}

pub(super) fn remove_block(db: &Connection, kind: BlockKind, subject: &str) -> Result<bool, Fault> {
    Ok(db.prepare_cached("DELETE FROM block WHERE kind = ?1 AND subject = ?2")?.execute((number(kind), subject))? > 0)
}

pub(super) fn blocks(db: &Connection, now: WallMs, most: usize) -> Result<Vec<Block>, Fault> {
    let sql = "SELECT kind, subject, reason, by, since, until FROM block WHERE until IS NULL OR until > ?1 ORDER BY kind, subject LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query((now, limit(most)))?;
    let mut blocks = Vec::new();
    while let Some(row) = rows.next()? {
        blocks.push(Block {
            kind: *BlockKind::ALL.get(row.get::<_, usize>("kind")?).ok_or_else(|| corrupt("a block"))?,
            subject: row.get("subject")?,
            reason: row.get("reason")?,
            by: row.get("by")?,
            since: row.get("since")?,
            until: row.get("until")?,
        });
    }
    Ok(blocks)
}

pub(super) fn put_api_key(db: &Connection, key: &ApiKeyRecord) -> Result<(), Fault> {
    let sql = "INSERT OR REPLACE INTO api_key (id, name, secret_hash, methods, namespaces, created_at, created_by, expires_at, last_used_at)
        VALUES (:id, :name, :secret_hash, :methods, :namespaces, :created_at, :created_by, :expires_at, :last_used_at)";
    db.prepare_cached(sql)?.execute(named_params! {
        ":id": key.id, ":name": key.name, ":secret_hash": key.secret_hash, ":methods": list(&key.methods), ":namespaces": list(&key.namespaces),
        ":created_at": key.created_at, ":created_by": key.created_by, ":expires_at": key.expires_at, ":last_used_at": key.last_used_at,
    })?;
    Ok(())
}

pub(super) fn remove_api_key(db: &Connection, id: &str) -> Result<bool, Fault> {
    Ok(db.prepare_cached("DELETE FROM api_key WHERE id = ?1")?.execute([id])? > 0)
}

pub(super) fn api_keys(db: &Connection, most: usize) -> Result<Vec<ApiKeyRecord>, Fault> {
    let sql = "SELECT id, name, secret_hash, methods, namespaces, created_at, created_by, expires_at, last_used_at
        FROM api_key ORDER BY id LIMIT ?1";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([limit(most)])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(ApiKeyRecord {
            id: row.get("id")?,
            name: row.get("name")?,
            secret_hash: row.get("secret_hash")?,
            methods: read_list(&row.get::<_, String>("methods")?)?,
            namespaces: read_list(&row.get::<_, String>("namespaces")?)?,
            created_at: row.get("created_at")?,
            created_by: row.get("created_by")?,
            expires_at: row.get("expires_at")?,
            last_used_at: row.get("last_used_at")?,
        });
    }
    Ok(keys)
}

fn list(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}

fn read_list(text: &str) -> Result<Vec<String>, Fault> {
    serde_json::from_str(text).map_err(|_| corrupt("an API key").into())
}

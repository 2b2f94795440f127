//! Who can log in.

use super::super::{PasswordHash, StoreError, User};
use super::{Fault, limit};
use crate::channel::UserId;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

const COLUMNS: &str = "name, password, role, grants, created_at, password_changed_at, version";

fn read(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        name: UserId::new(&row.get::<_, String>("name")?),
        password: PasswordHash(row.get("password")?),
        role: row.get("role")?,
        grants: row.get("grants")?,
        created_at: row.get("created_at")?,
        password_changed_at: row.get("password_changed_at")?,
        version: row.get("version")?,
    })
}

pub(super) fn add(db: &Connection, user: &User) -> Result<(), Fault> {
    let sql = "INSERT INTO user (name, password, role, grants, created_at, password_changed_at, version)
        VALUES (:name, :password, :role, :grants, :created_at, :password_changed_at, :version) ON CONFLICT DO NOTHING";
    let added = db.prepare_cached(sql)?.execute(named_params! {
        ":name": user.name.as_str(), ":password": user.password.0, ":role": user.role, ":grants": user.grants,
        ":created_at": user.created_at, ":password_changed_at": user.password_changed_at, ":version": user.version,
    })?;
    // The same once more is what a repeated call looks like.
    if added == 1 || find(db, &user.name)?.as_ref() == Some(user) { Ok(()) } else { Err(StoreError::Conflict { what: "the user" }.into()) }
}

pub(super) fn find(db: &Connection, name: &UserId) -> Result<Option<User>, Fault> {
    Ok(db.prepare_cached(&format!("SELECT {COLUMNS} FROM user WHERE name = ?1"))?.query_row([name.as_str()], read).optional()?)
}

pub(super) fn list(db: &Connection, after: Option<&UserId>, most: usize) -> Result<Vec<User>, Fault> {
    let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS} FROM user WHERE name > ?1 OR ?1 IS NULL ORDER BY name LIMIT ?2"))?;
    let rows = statement.query_map((after.map(UserId::as_str), limit(most)), read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn replace(db: &Connection, user: &User) -> Result<(), Fault> {
    let sql = "UPDATE user SET password = :password, role = :role, grants = :grants, created_at = :created_at,
        password_changed_at = :password_changed_at, version = version + 1 WHERE name = :name AND version = :version";
    let replaced = db.prepare_cached(sql)?.execute(named_params! {
        ":name": user.name.as_str(), ":password": user.password.0, ":role": user.role, ":grants": user.grants,
        ":created_at": user.created_at, ":password_changed_at": user.password_changed_at, ":version": user.version,
    })?;
    let is_repeated = || Ok::<_, Fault>(find(db, &user.name)?.is_some_and(|stored| stored == user.replaced()));
    if replaced == 1 || is_repeated()? { Ok(()) } else { Err(StoreError::Conflict { what: "the user" }.into()) }
}

pub(super) fn remove(db: &Connection, name: &UserId) -> Result<bool, Fault> {
    db.prepare_cached("DELETE FROM login WHERE user = ?1")?.execute([name.as_str()])?;
    db.prepare_cached("DELETE FROM settings WHERE user = ?1")?.execute([name.as_str()])?;
    Ok(db.prepare_cached("DELETE FROM user WHERE name = ?1")?.execute([name.as_str()])? > 0)
}

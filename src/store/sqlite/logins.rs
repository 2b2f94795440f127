//! Logins: families of refresh tokens.

use super::super::{Login, LoginId, Logins, StoreError, WallMs};
use super::{Fault, limit};
use crate::channel::UserId;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

const COLUMNS: &str =
    "id, user, salt, generation, rotated_at, created_at, last_seen_at, idle_until, absolute_until, address, device, ended_at, ended_reason";

/// As it is compared: the order of the bytes is that of the numbers.
fn key(id: LoginId) -> [u8; 16] {
    id.0.to_be_bytes()
}

fn read_id(row: &Row<'_>) -> rusqlite::Result<LoginId> {
    Ok(LoginId(u128::from_be_bytes(row.get("id")?)))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Login> {
    Ok(Login {
        id: read_id(row)?,
        user: UserId::new(&row.get::<_, String>("user")?),
        salt: row.get("salt")?,
        generation: row.get("generation")?,
        rotated_at: row.get("rotated_at")?,
        created_at: row.get("created_at")?,
        last_seen_at: row.get("last_seen_at")?,
        idle_until: row.get("idle_until")?,
        absolute_until: row.get("absolute_until")?,
        address: row.get("address")?,
        device: row.get("device")?,
        ended_at: row.get("ended_at")?,
        ended_reason: row.get("ended_reason")?,
    })
}

pub(super) fn add(db: &Connection, login: &Login) -> Result<(), Fault> {
    let sql = "INSERT INTO login (id, user, salt, generation, rotated_at, created_at, last_seen_at, idle_until, absolute_until, address, device,
            ended_at, ended_reason)
        VALUES (:id, :user, :salt, :generation, :rotated_at, :created_at, :last_seen_at, :idle_until, :absolute_until, :address, :device,
            :ended_at, :ended_reason) ON CONFLICT DO NOTHING";
    let added = db.prepare_cached(sql)?.execute(named_params! {
        ":id": key(login.id), ":user": login.user.as_str(), ":salt": login.salt, ":generation": login.generation, ":rotated_at": login.rotated_at,
        ":created_at": login.created_at, ":last_seen_at": login.last_seen_at, ":idle_until": login.idle_until,
        ":absolute_until": login.absolute_until, ":address": login.address, ":device": login.device, ":ended_at": login.ended_at,
        ":ended_reason": login.ended_reason,
    })?;
    if added == 1 || find(db, login.id)?.as_ref() == Some(login) { Ok(()) } else { Err(StoreError::Conflict { what: "the login" }.into()) }
}

pub(super) fn find(db: &Connection, id: LoginId) -> Result<Option<Login>, Fault> {
    Ok(db.prepare_cached(&format!("SELECT {COLUMNS} FROM login WHERE id = ?1"))?.query_row([key(id)], read).optional()?)
}

pub(super) fn of_user(db: &Connection, user: &UserId, most: usize) -> Result<Vec<Login>, Fault> {
    let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS} FROM login WHERE user = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2"))?;
    let rows = statement.query_map((user.as_str(), limit(most)), read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn replace(db: &Connection, from: u32, login: &Login) -> Result<bool, Fault> {
    let sql = "UPDATE login SET user = :user, salt = :salt, generation = :generation, rotated_at = :rotated_at, created_at = :created_at,
            last_seen_at = :last_seen_at, idle_until = :idle_until, absolute_until = :absolute_until, address = :address, device = :device,
            ended_at = :ended_at, ended_reason = :ended_reason
        WHERE id = :id AND generation = :from AND ended_at IS NULL";
    let replaced = db.prepare_cached(sql)?.execute(named_params! {
        ":id": key(login.id), ":from": from, ":user": login.user.as_str(), ":salt": login.salt, ":generation": login.generation,
        ":rotated_at": login.rotated_at, ":created_at": login.created_at, ":last_seen_at": login.last_seen_at, ":idle_until": login.idle_until,
        ":absolute_until": login.absolute_until, ":address": login.address, ":device": login.device, ":ended_at": login.ended_at,
        ":ended_reason": login.ended_reason,
    })?;
    Ok(replaced == 1 || find(db, login.id)?.as_ref() == Some(login))
}

pub(super) fn end(db: &Connection, which: &Logins, reason: &str, at: WallMs) -> Result<Vec<LoginId>, Fault> {
    // Those that this very call ended before, when it is repeated, are named again.
    let ended = "SET ended_at = :at, ended_reason = :reason WHERE (ended_at IS NULL OR (ended_at = :at AND ended_reason = :reason))";
    let rows = match which {
        Logins::One(id) => {
            let mut statement = db.prepare_cached(&format!("UPDATE login {ended} AND id = :id RETURNING id"))?;
            let rows = statement.query_map(named_params! { ":at": at, ":reason": reason, ":id": key(*id) }, read_id)?;
            rows.collect::<Result<Vec<_>, _>>()?
        }
        Logins::OfUser { user, except } => {
            let mut statement = db.prepare_cached(&format!("UPDATE login {ended} AND user = :user AND id IS NOT :except RETURNING id"))?;
            let except = except.map(key);
            let rows = statement.query_map(named_params! { ":at": at, ":reason": reason, ":user": user.as_str(), ":except": except }, read_id)?;
            rows.collect::<Result<Vec<_>, _>>()?
        }
    };
    Ok(rows)
}

//! Publications that outlive the process, and where their streams stand.

use super::super::{StoredPublication, StoredStream};
use super::{Fault, limit};
use crate::channel::ChannelName;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

pub(super) fn append(db: &Connection, batch: &[StoredPublication]) -> Result<(), Fault> {
    let mut rest = batch;
    // Neighbours of one stream share the look at it and the trimming.
    while let Some(first) = rest.first() {
        let is_same = |next: &&StoredPublication| next.channel == first.channel && next.epoch == first.epoch;
        let (of_stream, others) = rest.split_at(rest.iter().take_while(is_same).count());
        append_to_stream(db, of_stream)?;
        rest = others;
    }
    Ok(())
}

/// `run`: publications of one channel and epoch.
fn append_to_stream(db: &Connection, run: &[StoredPublication]) -> Result<(), Fault> {
    let Some(newest) = run.iter().max_by_key(|publication| publication.offset) else { return Ok(()) };
    let stream = stream_of(db, newest)?;
    let sql = "INSERT OR REPLACE INTO publication (stream, number, body, at, expires_at, stream_expires_at, size)
        VALUES (:stream, :number, :body, :at, :expires_at, :stream_expires_at, :size)";
    let mut insert = db.prepare_cached(sql)?;
    for publication in run {
        insert.execute(named_params! {
            ":stream": stream, ":number": publication.offset, ":body": publication.body.as_ref(), ":at": publication.at,
            ":expires_at": publication.expires_at, ":stream_expires_at": publication.stream_expires_at, ":size": publication.size,
        })?;
    }
    let sql = "DELETE FROM publication WHERE stream = ?1 AND number <= (SELECT top FROM stream WHERE id = ?1) - ?2";
    db.prepare_cached(sql)?.execute((stream, newest.size))?;
    Ok(())
}

/// The number of the publication's stream, which from now on is of its epoch and stands at its offset or above.
fn stream_of(db: &Connection, newest: &StoredPublication) -> Result<i64, Fault> {
    let find = "SELECT id, epoch FROM stream WHERE channel = ?1";
    let known: Option<(i64, String)> =
        db.prepare_cached(find)?.query_row([newest.channel.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (top, forgotten_at) = (newest.offset, newest.stream_expires_at);
    match known {
        Some((id, epoch)) if epoch == newest.epoch => {
            let sql = "UPDATE stream SET forgotten_at = ?3, top = ?2 WHERE id = ?1 AND top <= ?2";
            db.prepare_cached(sql)?.execute((id, top, forgotten_at))?;
            Ok(id)
        }
        Some((id, _)) => {
            db.prepare_cached("DELETE FROM publication WHERE stream = ?1")?.execute([id])?;
            let sql = "UPDATE stream SET epoch = ?2, top = ?3, forgotten_at = ?4 WHERE id = ?1";
            db.prepare_cached(sql)?.execute((id, &newest.epoch, top, forgotten_at))?;
            Ok(id)
        }
        None => {
            let sql = "INSERT INTO stream (channel, epoch, top, forgotten_at) VALUES (?1, ?2, ?3, ?4) RETURNING id";
            let values = (newest.channel.as_str(), &newest.epoch, top, forgotten_at);
            Ok(db.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
        }
    }
}

pub(super) fn streams(db: &Connection, after: Option<&ChannelName>, most: usize) -> Result<Vec<StoredStream>, Fault> {
    let sql = "SELECT channel, epoch, top, forgotten_at FROM stream WHERE channel > ?1 OR ?1 IS NULL ORDER BY channel LIMIT ?2";
    let read = |row: &Row<'_>| {
        Ok(StoredStream {
            channel: ChannelName::new(&row.get::<_, String>("channel")?),
            epoch: row.get("epoch")?,
            offset: row.get("top")?,
            forgotten_at: row.get("forgotten_at")?,
        })
    };
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map((after.map(ChannelName::as_str), limit(most)), read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn publications(db: &Connection, channel: &ChannelName) -> Result<Vec<StoredPublication>, Fault> {
    let sql = "SELECT epoch, number, body, at, expires_at, stream_expires_at, size
        FROM stream JOIN publication ON publication.stream = stream.id WHERE channel = ?1 ORDER BY number";
    let read = |row: &Row<'_>| {
        Ok(StoredPublication {
            channel: channel.clone(),
            epoch: row.get("epoch")?,
            offset: row.get("number")?,
            body: Bytes::from(row.get::<_, Vec<u8>>("body")?),
            at: row.get("at")?,
            expires_at: row.get("expires_at")?,
            stream_expires_at: row.get("stream_expires_at")?,
            size: row.get("size")?,
        })
    };
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([channel.as_str()], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn forget(db: &Connection, channel: &ChannelName, whole: bool) -> Result<(), Fault> {
    let sql = "DELETE FROM publication WHERE stream = (SELECT id FROM stream WHERE channel = ?1)";
    db.prepare_cached(sql)?.execute([channel.as_str()])?;
    if whole {
        db.prepare_cached("DELETE FROM stream WHERE channel = ?1")?.execute([channel.as_str()])?;
    }
    Ok(())
}

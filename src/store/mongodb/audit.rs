//! The audit log's records. What chains them is not known here.

use super::super::{AuditQuery, AuditRecord};
use super::documents::{AuditDocument, InCollection};
use super::{Fault, is_duplicate, limit, number};
use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Document, doc};

/// Records that one call forgets.
const FORGOTTEN_MAX: u64 = 10_000;

pub(super) async fn append(db: Database, record: AuditRecord) -> Result<(), Fault> {
    let records = AuditDocument::of(&db);
    match records.insert_one(AuditDocument::new(record.clone())?).await {
        Ok(_) => Ok(()),
        Err(error) if is_duplicate(&error) => {
            let stored = records.find_one(doc! { "_id": number(record.sequence)? }).await?.map(AuditDocument::read).transpose()?;
            if stored.as_ref() == Some(&record) { Ok(()) } else { Err(Fault::Conflict { what: "the audit record" }) }
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn last(db: Database) -> Result<Option<AuditRecord>, Fault> {
    let last = AuditDocument::of(&db).find_one(doc! {}).sort(doc! { "_id": -1 }).await?;
    last.map(AuditDocument::read).transpose()
}

pub(super) async fn list(db: Database, query: AuditQuery) -> Result<Vec<AuditRecord>, Fault> {
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let mut all: Vec<Document> = Vec::new();
    all.extend(query.from.map(|from| doc! { "at": { "$gte": from } }));
    all.extend(query.to.map(|to| doc! { "at": { "$lt": to } }));
    all.extend(query.actor.map(|actor| doc! { "actor": actor }));
    // All texts that begin with the action and a dot: the next character is a slash.
    let family = |action: String| {
        let below = doc! { "$gte": format!("{action}."), "$lt": format!("{action}/") };
        doc! { "$or": [{ "action": action }, { "action": below }] }
    };
    all.extend(query.action.map(family));
    all.extend(query.outcome.map(|outcome| doc! { "outcome": outcome }));
    if let Some(after) = query.after {
        let operator = if query.newest_first { "$lt" } else { "$gt" };
        all.push(doc! { "_id": { operator: number(after)? } });
    }
    let filter = if all.is_empty() {
        doc! {}
    } else {
        doc! { "$and": all }
    };
    let order = doc! { "_id": if query.newest_first { -1 } else { 1 } };
    let found: Vec<_> = AuditDocument::of(&db).find(filter).sort(order).limit(limit(query.limit)).await?.try_collect().await?;
    found.into_iter().map(AuditDocument::read).collect::<Result<_, _>>()
}

pub(super) async fn forget(db: Database, sequence: u64) -> Result<u64, Fault> {
    let records = AuditDocument::of(&db);
    let Some(oldest) = records.find_one(doc! {}).sort(doc! { "_id": 1 }).await? else { return Ok(0) };
    // Numbers have no hole, so these are so many records at the most.
    let below = sequence.min(oldest.read()?.sequence.saturating_add(FORGOTTEN_MAX));
    Ok(records.delete_many(doc! { "_id": { "$lt": number(below)? } }).await?.deleted_count)
}

//! Small values, and what keeps the store small.

use super::super::WallMs;
use super::documents::{BlockDocument, InCollection, LoginDocument, PublicationDocument, StreamDocument, ValueDocument, binary, date};
use super::{Fault, upsert};
use bytes::Bytes;
use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

/// Entries of each kind that one call forgets.
const SWEPT_MAX: i64 = 1_000;

/// One document, written to find out whether writing works.
const PULSE: &str = "pulse";

pub(super) async fn ping(db: Database) -> Result<(), Fault> {
    let pulse = db.collection::<Document>(PULSE);
    upsert(async || pulse.update_one(doc! { "_id": 1 }, doc! { "$inc": { "beats": 1_i64 } }).upsert(true).await).await?;
    Ok(())
}

pub(super) async fn value(db: Database, key: String) -> Result<Option<Bytes>, Fault> {
    Ok(ValueDocument::of(&db).find_one(doc! { "_id": key }).await?.map(|found| Bytes::from(found.value.bytes)))
}

pub(super) async fn put_value(db: Database, key: String, value: Bytes) -> Result<(), Fault> {
    let values = ValueDocument::of(&db);
    let document = || ValueDocument { _id: key.clone(), value: binary(&value) };
    upsert(async || values.replace_one(doc! { "_id": &key }, document()).upsert(true).await).await?;
    Ok(())
}

pub(super) async fn sweep(db: Database, now: WallMs) -> Result<u64, Fault> {
    let mut count = 0;
    // Publications before their streams: without its stream a publication cannot be seen, but lies there.
    for name in [LoginDocument::NAME, BlockDocument::NAME, PublicationDocument::NAME] {
        count += forget(&db, name, doc! { "over_at": { "$lte": date(now) } }).await?;
    }
    let streams = StreamDocument::of(&db).clone_with_type::<Document>();
    let over = streams.find(doc! { "over_at": { "$lte": date(now) } }).projection(doc! { "_id": 1 }).limit(SWEPT_MAX).await?;
    let channels: Vec<Bson> = over.try_collect::<Vec<_>>().await?.into_iter().filter_map(|mut stream| stream.remove("_id")).collect();
    if channels.is_empty() {
        return Ok(count);
    }
    // A stream may have gone on meanwhile: what was written since is of a later time, and then the stream stays.
    let publications = doc! { "channel": { "$in": channels.clone() }, "stream_expires_at": { "$lte": now } };
    let publications = forget(&db, PublicationDocument::NAME, publications).await?;
    count += publications;
    if publications < SWEPT_MAX as u64 {
        count += streams.delete_many(doc! { "_id": { "$in": channels }, "over_at": { "$lte": date(now) } }).await?.deleted_count;
    }
    Ok(count)
}

/// Forgets some of these.
async fn forget(db: &Database, name: &str, which: Document) -> Result<u64, Fault> {
    let collection = db.collection::<Document>(name);
    let found = collection.find(which.clone()).projection(doc! { "_id": 1 }).limit(SWEPT_MAX).await?;
    let ids: Vec<Bson> = found.try_collect::<Vec<_>>().await?.into_iter().filter_map(|mut document| document.remove("_id")).collect();
    if ids.is_empty() {
        return Ok(0);
    }
    // Still over: one may have been written anew meanwhile.
    Ok(collection.delete_many(doc! { "$and": [{ "_id": { "$in": ids } }, which] }).await?.deleted_count)
}

//! Blocks and API keys.

use super::super::{ApiKeyRecord, Block, BlockKind, WallMs};
use super::documents::{ApiKeyDocument, BlockDocument, InCollection};
use super::{Fault, limit, upsert};
use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Document, doc};

/// Members in the order in which they are written: documents are compared byte by byte.
fn key(kind: BlockKind, subject: &str) -> Document {
    doc! { "_id": { "kind": kind as u32, "subject": subject } }
}

pub(super) async fn put_block(db: Database, block: Block) -> Result<(), Fault> {
    let blocks = BlockDocument::of(&db);
    upsert(async || blocks.replace_one(key(block.kind, &block.subject), BlockDocument::new(&block)).upsert(true).await).await?;
    Ok(())
}

pub(super) async fn remove_block(db: Database, kind: BlockKind, subject: String) -> Result<bool, Fault> {
    Ok(BlockDocument::of(&db).delete_one(key(kind, &subject)).await?.deleted_count > 0)
}

pub(super) async fn blocks(db: Database, now: WallMs, most: usize) -> Result<Vec<Block>, Fault> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let good = doc! { "$or": [{ "until": null }, { "until": { "$gt": now } }] };
    let found: Vec<_> = BlockDocument::of(&db).find(good).sort(doc! { "_id": 1 }).limit(limit(most)).await?.try_collect().await?;
    found.into_iter().map(BlockDocument::read).collect::<Result<_, _>>()
}

pub(super) async fn put_api_key(db: Database, key: ApiKeyRecord) -> Result<(), Fault> {
    let keys = ApiKeyDocument::of(&db);
    upsert(async || keys.replace_one(doc! { "_id": &key.id }, ApiKeyDocument::new(key.clone())).upsert(true).await).await?;
    Ok(())
}

pub(super) async fn remove_api_key(db: Database, id: String) -> Result<bool, Fault> {
    Ok(ApiKeyDocument::of(&db).delete_one(doc! { "_id": id }).await?.deleted_count > 0)
}

pub(super) async fn api_keys(db: Database, most: usize) -> Result<Vec<ApiKeyRecord>, Fault> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let found: Vec<_> = ApiKeyDocument::of(&db).find(doc! {}).sort(doc! { "_id": 1 }).limit(limit(most)).await?.try_collect().await?;
    Ok(found.into_iter().map(ApiKeyDocument::read).collect())
}

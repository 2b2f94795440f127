//! How people want their dashboard.

use super::super::Settings;
use super::documents::{InCollection, SettingsDocument};
use super::{Fault, upsert};
use crate::channel::UserId;
use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::bson::doc;

pub(super) async fn find(db: Database, user: UserId) -> Result<Option<Settings>, Fault> {
    let found = SettingsDocument::of(&db).find_one(doc! { "_id": user.as_str() }).await?;
    Ok(found.map(SettingsDocument::read))
}

pub(super) async fn put(db: Database, user: UserId, settings: Settings, most: usize) -> Result<(), Fault> {
    let all = SettingsDocument::of(&db);
    let id = doc! { "_id": user.as_str() };
    upsert(async || all.replace_one(id.clone(), SettingsDocument::new(&user, &settings)).upsert(true).await).await?;
    let others = doc! { "_id": { "$ne": user.as_str() } };
    let beyond = u64::try_from(most.saturating_sub(1)).unwrap_or(u64::MAX);
    let found = all.find(others).sort(doc! { "saved_at": -1, "_id": 1 }).skip(beyond).limit(FORGOTTEN_MAX).await?;
    for old in found.try_collect::<Vec<_>>().await? {
        // Only as it was read: whoever has saved anew meanwhile keeps that.
        all.delete_one(doc! { "_id": &old._id, "saved_at": old.saved_at }).await?;
    }
    Ok(())
}

/// Users whose settings one call forgets: each call adds one at most, so that there is hardly ever more than one.
const FORGOTTEN_MAX: i64 = 10;

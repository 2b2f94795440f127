//! Who can log in.

use super::super::User;
use super::documents::{InCollection, LoginDocument, SettingsDocument, UserDocument};
use super::{Fault, is_duplicate, limit, number};
use crate::channel::UserId;
use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::bson::doc;

pub(super) async fn add(db: Database, user: User) -> Result<(), Fault> {
    match UserDocument::of(&db).insert_one(UserDocument::new(&user)?).await {
        Ok(_) => Ok(()),
        Err(error) if is_duplicate(&error) => {
            // The same once more is what a repeated call looks like.
            let is_repeated = find(db, user.name.clone()).await?.as_ref() == Some(&user);
            if is_repeated { Ok(()) } else { Err(Fault::Conflict { what: "the user" }) }
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn find(db: Database, name: UserId) -> Result<Option<User>, Fault> {
    let found = UserDocument::of(&db).find_one(doc! { "_id": name.as_str() }).await?;
    found.map(UserDocument::read).transpose()
}

pub(super) async fn list(db: Database, after: Option<UserId>, most: usize) -> Result<Vec<User>, Fault> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let filter = after.map_or_else(|| doc! {}, |after| doc! { "_id": { "$gt": after.as_str() } });
    let found: Vec<_> = UserDocument::of(&db).find(filter).sort(doc! { "_id": 1 }).limit(limit(most)).await?.try_collect().await?;
    found.into_iter().map(UserDocument::read).collect::<Result<_, _>>()
}

pub(super) async fn replace(db: Database, user: User) -> Result<(), Fault> {
    let next = user.replaced();
    let this_version = doc! { "_id": user.name.as_str(), "version": number(user.version)? };
    let replaced = UserDocument::of(&db).replace_one(this_version, UserDocument::new(&next)?).await?;
    if replaced.matched_count == 1 || find(db, user.name).await?.as_ref() == Some(&next) { Ok(()) } else { Err(Fault::Conflict { what: "the user" }) }
}

pub(super) async fn remove(db: Database, name: UserId) -> Result<bool, Fault> {
    let removed = UserDocument::of(&db).delete_one(doc! { "_id": name.as_str() }).await?;
    // Whatever ends this here: without their user the logins are good for nothing, and a repeated call takes them away.
    LoginDocument::of(&db).delete_many(doc! { "user": name.as_str() }).await?;
    SettingsDocument::of(&db).delete_one(doc! { "_id": name.as_str() }).await?;
    Ok(removed.deleted_count > 0)
}

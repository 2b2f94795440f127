//! Logins: families of refresh tokens.

use super::super::{Login, LoginId, Logins, WallMs};
use super::documents::{InCollection, LoginDocument, date, login_id, login_key};
use super::{Fault, is_duplicate, limit};
use crate::channel::UserId;
use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Binary, doc};
use serde::Deserialize;

pub(super) async fn add(db: Database, login: Login) -> Result<(), Fault> {
    match LoginDocument::of(&db).insert_one(LoginDocument::new(&login)).await {
        Ok(_) => Ok(()),
        Err(error) if is_duplicate(&error) => {
            let is_repeated = find(db, login.id).await?.as_ref() == Some(&login);
            if is_repeated { Ok(()) } else { Err(Fault::Conflict { what: "the login" }) }
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn find(db: Database, id: LoginId) -> Result<Option<Login>, Fault> {
    let found = LoginDocument::of(&db).find_one(doc! { "_id": login_key(id) }).await?;
    found.map(LoginDocument::read).transpose()
}

pub(super) async fn of_user(db: Database, user: UserId, most: usize) -> Result<Vec<Login>, Fault> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let newest_first = doc! { "created_at": -1, "_id": -1 };
    let found = LoginDocument::of(&db).find(doc! { "user": user.as_str() }).sort(newest_first).limit(limit(most)).await?;
    found.try_collect::<Vec<_>>().await?.into_iter().map(LoginDocument::read).collect::<Result<_, _>>()
}

pub(super) async fn replace(db: Database, from: u32, login: Login) -> Result<bool, Fault> {
    let this_generation = doc! { "_id": login_key(login.id), "generation": from, "ended_at": null };
    let replaced = LoginDocument::of(&db).replace_one(this_generation, LoginDocument::new(&login)).await?;
    Ok(replaced.matched_count == 1 || find(db, login.id).await?.as_ref() == Some(&login))
}

pub(super) async fn end(db: Database, which: Logins, reason: String, at: WallMs) -> Result<Vec<LoginId>, Fault> {
    #[derive(Deserialize)]
    struct Key {
        _id: Binary,
    }
    let mut these = match which {
        Logins::One(id) => doc! { "_id": login_key(id) },
        Logins::OfUser { user, except: None } => doc! { "user": user.as_str() },
        Logins::OfUser { user, except: Some(except) } => doc! { "user": user.as_str(), "_id": { "$ne": login_key(except) } },
    };
    let mut open = these.clone();
    open.insert("ended_at", mongodb::bson::Bson::Null);
    let change = doc! { "$set": { "ended_at": at, "ended_reason": &reason }, "$min": { "over_at": date(at) } };
    LoginDocument::of(&db).update_many(open, change).await?;
    // Those that this very call ended before, when it is repeated, are named again.
    these.extend(doc! { "ended_at": at, "ended_reason": &reason });
    let keys = LoginDocument::of(&db).clone_with_type::<Key>().find(these).projection(doc! { "_id": 1 }).await?;
    keys.try_collect::<Vec<_>>().await?.iter().map(|key| login_id(&key._id)).collect::<Result<_, _>>()
}

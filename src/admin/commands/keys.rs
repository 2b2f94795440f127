//! `admin.keys.*`: named keys of the server API. A key is told once, in the answer that makes it.

use super::{Failure, ONCE, commands};
use crate::admin::arguments::{Texts, arguments};
use crate::admin::desk::Desk;
use crate::auth::{ApiKeyError, Right, Scope};
use crate::session::procedures::Caller;
use crate::store::ApiKeyRecord;
use crate::units::HumanDuration;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a key that is rotated stays good, unless it is said.
const GRACE: HumanDuration = HumanDuration::from_secs(3_600);

commands! {
    "admin.keys.list" Some(Right::KeysRead), Reads, "", List, list, "{}",
        "Lists the named keys of the server API: what each is for, and when it was last used.";
    "admin.keys.add" Some(Right::KeysWrite), Changes, "name", Add, add, r#"{"name":"shop","methods":["publish"],"namespaces":["orders"],"lasting":"2160h"}"#,
        "Makes a key of the server API, for some methods and namespaces or for all, and tells it this once.";
    "admin.keys.rotate" Some(Right::KeysWrite), Changes, "id", Rotate, rotate, r#"{"id":"3f9a01c2b7de","grace":"1h"}"#,
        "Makes a key in place of another one and tells it this once. The old one is good for a while longer.";
    "admin.keys.remove" Some(Right::KeysWrite), Endangers, "id", Remove, remove, r#"{"id":"3f9a01c2b7de","confirm":true}"#,
        "Removes a key of the server API. Whoever uses it is refused from now on.";
}

fn failed(error: ApiKeyError) -> Failure {
    let said = error.to_string();
    match error {
        ApiKeyError::BadName => Failure::Bad(said),
        ApiKeyError::NoSuchKey { .. } => Failure::NotFound(said),
        ApiKeyError::TooMany => Failure::TooMany(said),
        ApiKeyError::Store { source } => source.into(),
    }
}

fn described(key: &ApiKeyRecord) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "methods": key.methods,
        "namespaces": key.namespaces,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
    })
}

/// A key that was made, which the hub knows from now on.
async fn made(desk: &Desk, (record, key): (ApiKeyRecord, SecretString)) -> Value {
    known(desk).await;
    json!({ "id": record.id, "name": record.name, "expires_at": record.expires_at, ONCE: { "key": key.expose_secret() } })
}

/// Has the keys read at once, instead of within some seconds.
async fn known(desk: &Desk) {
    if let Err(error) = desk.api_keys.refresh().await {
        log::debug!("api: keys are read a little later: {error}");
    }
}

arguments! {
    List {}
}

async fn list(desk: Arc<Desk>, _: Caller, _: List) -> Result<Value, Failure> {
    let keys = desk.keyring.list().await.map_err(failed)?;
    Ok(json!({ "keys": keys.iter().map(described).collect::<Vec<_>>() }))
}

arguments! {
    Add {
        /// What it is for: 1 to 64 letters, digits, '-', '_' or '.'.
        name: String,
        /// Methods that it may call; without any all.
        methods: Texts,
        /// Namespaces that it may name, the empty text for channels without one; without any all.
        namespaces: Texts,
        /// How long it is good; without it until it is removed.
        lasting: Option<HumanDuration>,
    }
}

async fn add(desk: Arc<Desk>, caller: Caller, Add { name, methods, namespaces, lasting }: Add) -> Result<Value, Failure> {
    let known = &desk.settings.api_methods;
    if let Some(unknown) = methods.0.iter().find(|method| !known.contains(&method.as_str())) {
        return Err(Failure::Bad(format!("there is no method \"{unknown}\"; there are {}", known.join(", "))));
    }
    let expires_at = lasting.map(|lasting| desk.clock.wall_ms().saturating_add_unsigned(lasting.ms()));
    let scope = Scope { methods: methods.0, namespaces: namespaces.0 };
    let key = desk.keyring.add(&name, scope, expires_at, caller.user.as_str()).await.map_err(failed)?;
    Ok(made(&desk, key).await)
}

arguments! {
    Rotate {
        /// The key, by its id.
        id: String,
        /// How long the old one is good; without it 1h.
        grace: Option<HumanDuration>,
        /// The old one is void at once: it has leaked.
        at_once: bool,
    }
}

async fn rotate(desk: Arc<Desk>, caller: Caller, Rotate { id, grace, at_once }: Rotate) -> Result<Value, Failure> {
    let grace = super::secrets::grace(grace, at_once, GRACE)?;
    let key = desk.keyring.rotate(&id, grace, caller.user.as_str()).await.map_err(failed)?;
    let mut answer = made(&desk, key).await;
    answer["replaced"] = json!(id);
    answer["replaced_good_for_ms"] = json!(u64::try_from(Duration::as_millis(&grace)).unwrap_or(u64::MAX));
    Ok(answer)
}

arguments! {
    Remove {
        /// The key, by its id.
        id: String,
    }
}

async fn remove(desk: Arc<Desk>, _: Caller, Remove { id }: Remove) -> Result<Value, Failure> {
    desk.keyring.remove(&id).await.map_err(failed)?;
    known(&desk).await;
    Ok(json!({ "id": id }))
}

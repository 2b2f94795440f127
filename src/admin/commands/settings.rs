//! `admin.settings.*`: how whoever asks wants the dashboard. Each has their own, and nobody those of others.

use super::{Failure, commands};
use crate::admin::arguments::{Field, arguments};
use crate::admin::desk::Desk;
use crate::session::procedures::Caller;
use crate::store::Settings;
use serde_json::{Value, json};
use std::sync::Arc;

/// Bytes of one user's settings, as JSON. The dashboard's own come to about one thousand.
const BYTES_MAX: usize = 16 * 1_024;

/// Users whose settings are kept: tokens of an application may name as many as they like. Of more, those who saved longest ago begin anew.
const USERS_MAX: usize = 10_000;

commands! {
    "admin.settings.get" None, Looks, "", Get, get, "{}",
        "Shows what the dashboard has saved for whoever asks.";
    "admin.settings.set" None, Changes, "", Set, set, r#"{"settings":{"density":"compact"}}"#,
        "Saves what the dashboard is to be like for whoever asks, in place of what was saved before.";
}

/// Any JSON object of a bounded size. What is in it is between the dashboard and its reader, so the audit log gets its size alone.
struct Body(String);

impl Field for Body {
    const IS_SHOWN: bool = false;

    fn schema() -> Value {
        json!({ "type": "object" })
    }
    fn must() -> String {
        format!("a JSON object of {BYTES_MAX} bytes at most")
    }
    fn read(value: &Value) -> Option<Self> {
        let body = value.as_object().map(|_| value.to_string())?;
        (body.len() <= BYTES_MAX).then_some(Self(body))
    }
}

arguments! {
    Get {}
}

async fn get(desk: Arc<Desk>, caller: Caller, _: Get) -> Result<Value, Failure> {
    with_a_name(&caller)?;
    let saved = desk.store.settings(&caller.user).await?;
    let unreadable = |error: serde_json::Error| Failure::Failed(format!("the settings in the store cannot be understood: {error}"));
    let body = saved.as_ref().map(|saved| serde_json::from_str::<Value>(&saved.body)).transpose().map_err(unreadable)?;
    Ok(json!({ "settings": body, "saved_at": saved.map(|saved| saved.saved_at) }))
}

arguments! {
    Set {
        /// All of the settings: what is not in them is as it was at first.
        settings: Body,
    }
}

async fn set(desk: Arc<Desk>, caller: Caller, Set { settings: Body(body) }: Set) -> Result<Value, Failure> {
    with_a_name(&caller)?;
    let saved_at = desk.clock.wall_ms();
    desk.store.put_settings(&caller.user, &Settings { body, saved_at }, USERS_MAX).await?;
    Ok(json!({ "saved_at": saved_at }))
}

/// All who have no name would share theirs.
fn with_a_name(caller: &Caller) -> Result<(), Failure> {
    if caller.user.is_anonymous() {
        return Err(Failure::NotAvailable("settings are kept for those who have said their name".to_string()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_an_object_of_a_bounded_size() {
        let of_size = |bytes: usize| json!({ "a": "x".repeat(bytes - r#"{"a":""}"#.len()) });
        assert!(Body::read(&of_size(BYTES_MAX)).is_some());
        assert!(Body::read(&of_size(BYTES_MAX + 1)).is_none());
        for value in [json!([]), json!("x"), json!(1), Value::Null] {
            assert!(Body::read(&value).is_none(), "{value}");
        }
    }
}

//! `admin.store.compact`: the store gives back what it does not need.

use super::{Failure, commands};
use crate::admin::arguments::arguments;
use crate::admin::desk::Desk;
use crate::auth::Right;
use crate::session::procedures::Caller;
use serde_json::{Value, json};
use std::sync::Arc;

commands! {
    "admin.store.compact" Some(Right::StoreManage), Endangers, "", Compact, compact, r#"{"confirm":true}"#,
        "Gives the store's unused space back to the system. Writes wait meanwhile.";
}

arguments! {
    Compact {}
}

async fn compact(desk: Arc<Desk>, _: Caller, _: Compact) -> Result<Value, Failure> {
    desk.store.compact().await?;
    Ok(json!({ "kind": desk.store.kind() }))
}

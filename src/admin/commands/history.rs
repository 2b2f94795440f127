//! `admin.history.purge`: a channel forgets.

use super::{Failure, commands};
use crate::admin::arguments::arguments;
use crate::admin::desk::Desk;
use crate::auth::Right;
use crate::channel::ChannelName;
use crate::session::procedures::Caller;
use serde_json::{Value, json};
use std::sync::Arc;

commands! {
    "admin.history.purge" Some(Right::HistoryPurge), Endangers, "channel", Purge, purge, r#"{"channel":"chat:lobby","confirm":true}"#,
        "Drops the kept publications of a channel. Offset and epoch stay, so nobody mistakes it for a loss.";
}

arguments! {
    Purge {
        /// The channel.
        channel: ChannelName,
    }
}

async fn purge(desk: Arc<Desk>, _: Caller, Purge { channel }: Purge) -> Result<Value, Failure> {
    let options = desk.publisher.rules.options(&channel).map_err(|error| Failure::NotFound(error.to_string()))?;
    if !options.has_history() {
        return Err(Failure::NotAvailable(format!("{channel} keeps no history")));
    }
    desk.publisher.broker.remove_history(&channel).await.map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(json!({}))
}

//! `admin.status`: the hub at one glance.

use super::{Failure, commands};
use crate::admin::arguments::arguments;
use crate::admin::desk::Desk;
use crate::auth::Right;
use crate::guard::maintenance::Notice;
use crate::session::procedures::Caller;
use crate::telemetry::logs;
use serde_json::{Value, json};
use std::sync::Arc;

commands! {
    "admin.status" Some(Right::MetricsRead), Looks, "", Status, status, "{}",
        "Shows version, counts, maintenance, the store, feeds, traces and log levels.";
}

arguments! {
    Status {}
}

async fn status(desk: Arc<Desk>, _: Caller, _: Status) -> Result<Value, Failure> {
    let store = desk.store.state();
    let now = desk.clock.now();
    let feeds = desk.upstream.report(now).feeds;
    let open = feeds.iter().filter(|feed| feed.state == crate::upstream::State::Open).count();
    Ok(json!({
        "version": desk.settings.version,
        "node": desk.settings.node,
        "at": desk.clock.wall_ms(),
        "uptime_ms": now,
        "is_draining": desk.house.is_draining(),
        "maintenance": desk.maintenance.notice().map(|notice| described(&notice)),
        "store": { "kind": store.kind, "trouble": store.trouble, "waiting": store.waiting },
        "feeds": { "all": feeds.len(), "open": open, "paused": feeds.iter().filter(|feed| feed.is_paused).count() },
        "traces": desk.traces.lock().len(),
        "log_levels": levels(now),
        "counts": desk.house.counts().await,
    }))
}

pub(super) fn described(notice: &Notice) -> Value {
    json!({ "message": notice.message, "since": notice.since, "by": notice.by, "retry_after": notice.retry_after })
}

/// The log levels that are not the configured ones.
pub(super) fn levels(now: u64) -> Vec<Value> {
    let described = |set: logs::Override| {
        let ends_in_ms = set.until.map(|until| until.saturating_sub(now));
        json!({ "module": set.module, "level": set.level.as_str().to_ascii_lowercase(), "ends_in_ms": ends_in_ms })
    };
    logs::overrides().into_iter().map(described).collect()
}

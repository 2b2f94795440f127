//! `admin.maintenance.*` and `admin.drain`: no new clients, and soon none at all.

use super::{Failure, commands};
use crate::admin::arguments::{Reason, arguments};
use crate::admin::desk::{Desk, tell};
use crate::auth::Right;
use crate::guard::maintenance::Notice;
use crate::session::procedures::Caller;
use crate::telemetry::tap::Kind;
use crate::units::HumanDuration;
use serde_json::{Value, json};
use std::sync::Arc;

/// When those who are refused are told to come back.
const RETRY_AFTER_SECONDS: u32 = 30;

/// The longest time that a drain may take.
const DRAIN_MAX: HumanDuration = HumanDuration::from_secs(24 * 3_600);

commands! {
    "admin.maintenance.enter" Some(Right::Maintenance), Changes, "message", Enter, enter, r#"{"message":"back at noon","retry_after":"5m"}"#,
        "Refuses new clients with a message and keeps the present ones; who has the right maintenance still gets in.";
    "admin.maintenance.leave" Some(Right::Maintenance), Changes, "", Leave, leave, "{}",
        "Takes new clients again.";
    "admin.drain" Some(Right::Maintenance), Endangers, "", Drain, drain, r#"{"within":"60s","confirm":true}"#,
        "Sends all clients away, spread over a time, and ends the hub. It cannot be taken back.";
}

arguments! {
    Enter {
        /// What those who are refused are told.
        message: Option<Reason>,
        /// When they are told to come back; without it 30s.
        retry_after: Option<HumanDuration>,
    }
}

async fn enter(desk: Arc<Desk>, caller: Caller, Enter { message, retry_after }: Enter) -> Result<Value, Failure> {
    let retry_after = retry_after.map_or(RETRY_AFTER_SECONDS, |after| u32::try_from(after.ms().div_ceil(1_000)).unwrap_or(u32::MAX));
    let notice = Notice {
        message: message.map(|Reason(text)| text).unwrap_or_default(),
        since: desk.maintenance.notice().map_or_else(|| desk.clock.wall_ms(), |before| before.since),
        by: caller.user.to_string(),
        retry_after,
    };
    let described = super::status::described(&notice);
    desk.maintenance.enter(notice);
    tell(Kind::Maintenance, || json!({ "is_on": true, "maintenance": described }));
    Ok(json!({ "maintenance": described, "sessions": desk.hub.len() }))
}

arguments! {
    Leave {}
}

async fn leave(desk: Arc<Desk>, _: Caller, _: Leave) -> Result<Value, Failure> {
    let before = desk.maintenance.leave();
    if before.is_some() {
        tell(Kind::Maintenance, || json!({ "is_on": false }));
    }
    Ok(json!({ "was_on": before.is_some() }))
}

arguments! {
    Drain {
        /// Time until the last client has been told; without it shutdown.spread and shutdown.timeout count.
        within: Option<HumanDuration>,
    }
}

async fn drain(desk: Arc<Desk>, _: Caller, Drain { within }: Drain) -> Result<Value, Failure> {
    if within.is_some_and(|within| within > DRAIN_MAX) {
        return Err(Failure::Bad(format!("\"within\" may be {DRAIN_MAX} at most")));
    }
    let sessions = desk.hub.len();
    if !desk.house.drain(within.map(HumanDuration::duration)) {
        return Err(Failure::Bad("the hub is draining already".to_string()));
    }
    tell(Kind::Draining, || json!({ "sessions": sessions, "within_ms": within.map(HumanDuration::ms) }));
    Ok(json!({ "sessions": sessions }))
}

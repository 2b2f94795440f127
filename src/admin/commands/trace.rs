//! `admin.trace.*`: one user, session or channel, live. A trace is bounded in a second, in all and in time, shows sizes in place of payloads,
//! and ends by itself: after its time, when it has shown as much as it may, or when whoever asked for it leaves.

use super::{Failure, commands};
use crate::admin::arguments::arguments;
use crate::admin::desk::{Desk, Running};
use crate::admin::gate::TRACE_PREFIX;
use crate::auth::Right;
use crate::channel::{ChannelName, SessionId, UserId};
use crate::session::procedures::Caller;
use crate::telemetry::tap::{ENTRIES_MAX, ENTRIES_PER_SECOND, TRACES_MAX, Target, tap};
use crate::units::HumanDuration;
use serde_json::{Value, json};
use std::sync::Arc;

/// The longest time of a trace, and the time of one that says none.
const LASTING_MAX: HumanDuration = HumanDuration::from_secs(5 * 60);

commands! {
    "admin.trace.start" Some(Right::DebugTrace), Changes, "", Start, start, r#"{"user":"alice","lasting":"2m"}"#,
        "Begins to follow a user, session or channel; entries come in the channel that it names, to its caller alone.";
    "admin.trace.stop" Some(Right::DebugTrace), Changes, "", Stop, stop, r#"{"trace":1}"#,
        "Ends a trace of the caller's, or of another operator's.";
    "admin.trace.list" Some(Right::DebugRead), Reads, "", List, list, "{}",
        "Lists the traces under way.";
}

arguments! {
    Start {
        /// What this user's clients ask.
        user: Option<UserId>,
        /// What this session asks.
        session: Option<SessionId>,
        /// What is published, and who asks what, in this channel.
        channel: Option<ChannelName>,
        /// Ends after this time; 5m at most, and without it.
        lasting: Option<HumanDuration>,
        /// Shows the first bytes of payloads, where operators.trace_payloads allows it.
        payloads: bool,
    }
}

async fn start(desk: Arc<Desk>, caller: Caller, arguments: Start) -> Result<Value, Failure> {
    let Start { user, session, channel, lasting, payloads } = arguments;
    let target = match (user, session, channel) {
        (Some(user), None, None) => Target::User(user),
        (None, Some(session), None) => Target::Session(session),
        (None, None, Some(channel)) => Target::Channel(channel.to_string()),
        _ => return Err(Failure::Bad("say one of user, session and channel".to_string())),
    };
    // A trace of traces would feed itself.
    if matches!(&target, Target::Channel(channel) if crate::channel::is_own(channel)) {
        return Err(Failure::Bad("the hub's own channels cannot be traced".to_string()));
    }
    if payloads && !desk.settings.trace_payloads {
        return Err(Failure::NotAvailable("payloads are not shown: operators.trace_payloads is off".to_string()));
    }
    let lasting = lasting.unwrap_or(LASTING_MAX).min(LASTING_MAX);
    let id = desk.next_trace();
    // Noted before it begins, so that no trace runs without an end.
    desk.traces.lock().insert(id, Running { owner: caller.session, until: desk.clock.now() + lasting.ms() });
    if tap().begin(id, target, caller.session, payloads).is_none() {
        desk.traces.lock().remove(&id);
        return Err(Failure::TooMany(format!("{TRACES_MAX} traces are under way already")));
    }
    Ok(json!({
        "trace": id,
        "channel": format!("{TRACE_PREFIX}{id}"),
        "lasting_ms": lasting.ms(),
        "entries_per_second": ENTRIES_PER_SECOND,
        "entries_max": ENTRIES_MAX,
    }))
}

arguments! {
    Stop {
        /// The trace's number.
        trace: u64,
    }
}

async fn stop(desk: Arc<Desk>, _: Caller, Stop { trace }: Stop) -> Result<Value, Failure> {
    if desk.end_trace(trace, "it was stopped") { Ok(json!({})) } else { Err(Failure::NotFound(format!("there is no trace {trace}"))) }
}

arguments! {
    List {}
}

async fn list(desk: Arc<Desk>, _: Caller, _: List) -> Result<Value, Failure> {
    let now = desk.clock.now();
    let running = desk.traces.lock();
    let traces: Vec<Value> = tap()
        .traces()
        .iter()
        .map(|trace| {
            let (of, name) = match &trace.target {
                Target::User(user) => ("user", user.to_string()),
                Target::Session(session) => ("session", session.to_string()),
                Target::Channel(channel) => ("channel", channel.clone()),
            };
            json!({
                "trace": trace.id,
                "of": of,
                "name": name,
                "owner": trace.owner.to_string(),
                "payloads": trace.shows_payloads,
                "ends_in_ms": running.get(&trace.id).map_or(0, |running| running.until.saturating_sub(now)),
            })
        })
        .collect();
    Ok(json!({ "traces": traces }))
}

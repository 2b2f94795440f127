//! `admin.debug.*`: the inside of one session, one topic, the workers and the allocator.

use super::{Failure, commands};
use crate::admin::arguments::arguments;
use crate::admin::desk::Desk;
use crate::auth::Right;
use crate::channel::{ChannelName, SessionId};
use crate::metrics::heap::HeapError;
use crate::session::Describe;
use crate::session::procedures::Caller;
use crate::units::HumanDuration;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tikv_jemalloc_ctl::{epoch, stats};

/// Time for an actor to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

commands! {
    "admin.debug.session" Some(Right::DebugRead), Reads, "session", OneSession, session, r#"{"session":"6f9b7a52-3d0c-4f2e-8a25-0d7c1f5f7a10"}"#,
        "Shows the inside of one session: its subscriptions, what waits, what is due.";
    "admin.debug.topic" Some(Right::DebugRead), Reads, "channel", OneTopic, topic, r#"{"channel":"news:world"}"#,
        "Shows the inside of one topic: its workers, what is on the way to it.";
    "admin.debug.actors" Some(Right::DebugRead), Reads, "", Actors, actors, "{}",
        "Counts actors and reports how late each worker's event loop is.";
    "admin.debug.memory" Some(Right::DebugRead), Reads, "", Memory, memory, "{}",
        "Shows what the allocator says of the heap.";
    "admin.debug.heap_profile" Some(Right::DebugTrace), Changes, "lasting", Profile, heap_profile, r#"{"lasting":"30s"}"#,
        "Has the allocator note for a while who takes memory, and writes a profile of what is still held then into the data folder.";
}

arguments! {
    OneSession {
        /// The session.
        session: SessionId,
    }
}

async fn session(desk: Arc<Desk>, _: Caller, OneSession { session }: OneSession) -> Result<Value, Failure> {
    let found = desk.hub.find(session).ok_or_else(|| super::sessions::not_found(session))?;
    let inside = tokio::time::timeout(ANSWER_MAX, found.addr.send(Describe)).await;
    let inside = match inside {
        Ok(Ok(inside)) => inside,
        Ok(Err(_)) => return Err(super::sessions::not_found(session)),
        Err(_) => return Err(Failure::Failed(format!("session {session} does not answer"))),
    };
    let subscriptions = inside
        .subscriptions
        .iter()
        .map(|one| json!({ "channel": one.channel.as_str(), "is_server_side": one.is_server_side, "expires_at": one.expires_at }));
    Ok(json!({
        "session": super::sessions::described(&found.facts),
        "worker": inside.worker,
        "subscriptions": subscriptions.collect::<Vec<_>>(),
        "subscriptions_in_all": inside.subscriptions_in_all,
        "commands_waiting": inside.commands_waiting,
        "is_waiting": inside.is_waiting,
        "calls": inside.calls,
        "errors": inside.errors,
        "is_pong_due": inside.is_pong_due,
        "pings_by_frame": inside.pings_by_frame,
        "unread_bytes": inside.unread_bytes,
    }))
}

arguments! {
    OneTopic {
        /// The channel.
        channel: ChannelName,
    }
}

async fn topic(desk: Arc<Desk>, _: Caller, OneTopic { channel }: OneTopic) -> Result<Value, Failure> {
    let topic = desk.topics.describe(&channel).ok_or_else(|| Failure::NotFound(format!("nobody here is subscribed to {channel}")))?;
    Ok(json!({
        "channel": channel.as_str(),
        "is_alive": topic.is_alive,
        "workers": topic.workers,
        "subscribers": topic.subscribers,
        "bytes_in_flight": topic.bytes_in_flight,
        "is_lagging": topic.is_lagging,
        "publications_per_second": topic.publications_per_second,
    }))
}

arguments! {
    Actors {}
}

async fn actors(desk: Arc<Desk>, _: Caller, _: Actors) -> Result<Value, Failure> {
    let workers = desk.topics.count_workers().await;
    let described = workers.iter().enumerate().map(|(index, worker)| {
        json!({
            "worker": index,
            "lag_ms": worker.lag_ms,
            "sessions": worker.sessions,
            "channels": worker.channels,
            "subscriptions": worker.members,
            "timers": worker.timers,
            "outbox_bytes": worker.outbox_bytes,
        })
    });
    Ok(json!({
        "workers": described.collect::<Vec<_>>(),
        "actors": {
            "sessions": workers.iter().map(|worker| worker.sessions).sum::<usize>(),
            "topics": desk.topics.len(),
            "fanouts": workers.len(),
            "feeds": desk.upstream.report(desk.clock.now()).feeds.iter().filter(|feed| !feed.is_paused).count(),
        },
    }))
}

arguments! {
    Profile {
        /// How long, an hour at most. What was taken before is not in the profile.
        lasting: HumanDuration,
    }
}

async fn heap_profile(desk: Arc<Desk>, _: Caller, Profile { lasting }: Profile) -> Result<Value, Failure> {
    let now = desk.clock.wall_ms();
    let file = desk.settings.heap.begin(lasting.duration(), now).map_err(|error| match error {
        HeapError::Lasting => Failure::Bad(error.to_string()),
        HeapError::NotThere | HeapError::Running => Failure::NotAvailable(error.to_string()),
        HeapError::File { .. } | HeapError::Allocator { .. } => Failure::Failed(error.to_string()),
    })?;
    let ends_at = now.saturating_add(i64::try_from(lasting.ms()).unwrap_or(i64::MAX));
    Ok(json!({ "file": file.display().to_string(), "ends_at": ends_at }))
}

arguments! {
    Memory {}
}

async fn memory(_: Arc<Desk>, _: Caller, _: Memory) -> Result<Value, Failure> {
    // The figures are those of the last epoch.
    let _ = epoch::advance();
    let figures = [
        ("allocated", stats::allocated::read()),
        ("active", stats::active::read()),
        ("metadata", stats::metadata::read()),
        ("resident", stats::resident::read()),
        ("mapped", stats::mapped::read()),
        ("retained", stats::retained::read()),
    ];
    Ok(Value::Object(figures.into_iter().map(|(name, bytes)| (format!("{name}_bytes"), json!(bytes.ok()))).collect()))
}

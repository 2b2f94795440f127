//! `admin.upstream.*`: the feeds.

use super::{Failure, commands};
use crate::admin::arguments::arguments;
use crate::admin::desk::Desk;
use crate::auth::Right;
use crate::session::procedures::Caller;
use crate::upstream::{FeedReport, Pause, Reason};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Time for the pool to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

commands! {
    "admin.upstream.list" Some(Right::UpstreamRead), Reads, "", List, list, "{}",
        "Lists the feeds with their states and figures.";
    "admin.upstream.pause" Some(Right::UpstreamControl), Changes, "feed", Feed, pause, r#"{"feed":"weather"}"#,
        "Lets go of a feed, or of all, until it is resumed or the hub starts anew.";
    "admin.upstream.resume" Some(Right::UpstreamControl), Changes, "feed", Feed, resume, r#"{"feed":"weather"}"#,
        "Reads a feed, or all, again, from where it was left if the feed can repeat that.";
}

arguments! {
    List {}
}

async fn list(desk: Arc<Desk>, _: Caller, _: List) -> Result<Value, Failure> {
    let report = desk.upstream.report(desk.clock.now());
    Ok(json!({ "feeds": report.feeds.iter().map(described).collect::<Vec<_>>(), "max": report.feeds_max }))
}

fn described(feed: &FeedReport) -> Value {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    json!({
        "feed": &*feed.name,
        "state": feed.state.as_str(),
        "is_paused": feed.is_paused,
        "since_ms": ms(feed.since),
        "reason": feed.reason.map(Reason::as_str),
        "detail": feed.detail,
        "last_event_id": &*feed.last_event_id,
        "events": feed.events,
        "dropped": feed.dropped,
        "bytes": feed.bytes,
        "errors": feed.errors,
        "reconnects": feed.reconnects,
        "panics": feed.panics,
        "silent_ms": feed.silent_for.map(ms),
        "next_try_in_ms": feed.next_try_in.map(ms),
        "waits_for_broker": feed.waits_for_broker,
    })
}

arguments! {
    Feed {
        /// The feed's name; without it all feeds.
        feed: Option<String>,
    }
}

async fn pause(desk: Arc<Desk>, _: Caller, Feed { feed }: Feed) -> Result<Value, Failure> {
    set(desk, feed, true).await
}

async fn resume(desk: Arc<Desk>, _: Caller, Feed { feed }: Feed) -> Result<Value, Failure> {
    set(desk, feed, false).await
}

async fn set(desk: Arc<Desk>, feed: Option<String>, is_paused: bool) -> Result<Value, Failure> {
    let not_there = || Failure::Failed("the feeds are being started anew; try again".to_string());
    let pool = desk.house.pool().ok_or_else(not_there)?;
    let answer = tokio::time::timeout(ANSWER_MAX, pool.send(Pause { feed: feed.clone(), is_paused })).await;
    match (answer.ok().and_then(Result::ok), feed) {
        (None, _) => Err(not_there()),
        (Some(false), Some(name)) => Err(Failure::NotFound(format!("there is no feed {name}"))),
        (Some(_), _) => {
            let paused = desk.upstream.report(desk.clock.now()).feeds.iter().filter(|feed| feed.is_paused).count();
            Ok(json!({ "paused": paused }))
        }
    }
}

//! `admin.upstream.*`: the feeds.

use super::{Failure, commands};
use crate::admin::arguments::{Field, arguments};
use crate::admin::checkup::{About, CheckupError};
use crate::admin::desk::Desk;
use crate::auth::Right;
use crate::calendar::Period;
use crate::config::FeedConfig;
use crate::session::procedures::Caller;
use crate::units::HumanDuration;
use crate::upstream::doctor::{DURATION_MIN, Examination};
use crate::upstream::{
    Declare, EmergencyKind, FeedReport, Incident, MOVES_KEPT, Pause, PoolReport, Reason, Reconnect, RosterError, RotateFeed, UpstreamPool,
    day_document, week_document,
};
use actix::{Handler, Message};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Time for the pool to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

commands! {
    "admin.upstream.add" Some(Right::UpstreamWrite), Changes, "feed", Add, add, r#"{"feed":"weather","definition":{"url":"https://example.org/events","channel":"weather:{event}"}}"#,
        "Reads one more feed, from now on and after every start; checked like a feed of the configuration.";
    "admin.upstream.check" Some(Right::UpstreamWrite), Changes, "", Check, check, r#"{"address":"https://example.org/events","duration":"20s"}"#,
        "Begins to examine what might become a feed, as the hub would read it; one at a time, a minute at most.";
    "admin.upstream.check_end" Some(Right::UpstreamControl), Changes, "", List, check_end, "{}",
        "Ends the examination that is going on, with what is known.";
    "admin.upstream.check_feed" Some(Right::UpstreamControl), Changes, "feed", CheckFeed, check_feed, r#"{"feed":"weather"}"#,
        "Begins to examine a feed that there is, with its headers, by connections of its own beside the feed's.";
    "admin.upstream.checked" Some(Right::UpstreamControl), Looks, "", List, checked, "{}",
        "Shows what the latest examination of a feed has found so far.";
    "admin.upstream.emergencies" Some(Right::UpstreamRead), Reads, "", List, emergencies, "{}",
        "Lists the latest emergencies of the feeds with their causes and what was done.";
    "admin.upstream.emergency" Some(Right::UpstreamControl), Changes, "kind", Emergency, emergency, r#"{"kind":"error_rate","dry_run":true}"#,
        "Does by hand what an emergency of this kind would be met with; in a dry run it only says what that is.";
    "admin.upstream.list" Some(Right::UpstreamRead), Reads, "", List, list, "{}",
        "Lists the feeds with their states and figures.";
    "admin.upstream.moves" Some(Right::UpstreamRead), Reads, "", Moves, moves, r#"{"limit":20}"#,
        "Shows through which states each feed went lately.";
    "admin.upstream.pause" Some(Right::UpstreamControl), Changes, "feed", Feed, pause, r#"{"feed":"weather"}"#,
        "Lets go of a feed, or of all, until it is resumed or the hub starts anew.";
    "admin.upstream.reconnect" Some(Right::UpstreamControl), Changes, "feed", Feed, reconnect, r#"{"feed":"weather"}"#,
        "Connects a feed, or all, anew from where it is; one that waits or is parked tries now.";
    "admin.upstream.remove" Some(Right::UpstreamWrite), Changes, "feed", One, remove, r#"{"feed":"weather"}"#,
        "Ends a feed that was added, for good. What is in the configuration is removed there.";
    "admin.upstream.report" Some(Right::UpstreamRead), Reads, "period", Report, report, r#"{"period":"week","back":1,"html":true}"#,
        "Shows what the feeds did in a day or a week, and what stands out in it; as JSON or as a page.";
    "admin.upstream.resume" Some(Right::UpstreamControl), Changes, "feed", Feed, resume, r#"{"feed":"weather"}"#,
        "Reads a feed, or all, again, from where it was left if the feed can repeat that.";
    "admin.upstream.show" Some(Right::UpstreamRead), Reads, "feed", One, show, r#"{"feed":"weather"}"#,
        "Shows one feed: its figures, where it comes from and goes to, and through which states it went and why.";
    "admin.upstream.rotate" Some(Right::UpstreamControl), Changes, "feed", One, rotate, r#"{"feed":"weather"}"#,
        "Replaces the connection of a feed by a younger one, without losing or repeating an event, as soon as there is room.";
}

arguments! {
    List {}
}

async fn list(desk: Arc<Desk>, _: Caller, _: List) -> Result<Value, Failure> {
    Ok(listed(&desk.upstream.report(desk.clock.now())))
}

/// The feeds as the command and the channel that shows them have them.
pub fn listed(report: &PoolReport) -> Value {
    let places = report.places;
    json!({
        "feeds": report.feeds.iter().map(described).collect::<Vec<_>>(),
        "max": report.feeds_max,
        "connections": { "held": places.held, "rotating": places.rotating, "waiting": places.waiting },
        "hosts_left_alone": places.breakers_open,
    })
}

arguments! {
    Moves {
        /// Moves of each feed, 64 at most; without it 20.
        limit: Option<u64>,
    }
}

/// Moves of each feed that are listed, unless it is said.
const MOVES_LISTED: usize = 20;

/// Only where to and how long ago: five hundred feeds have to fit into one answer.
async fn moves(desk: Arc<Desk>, _: Caller, Moves { limit }: Moves) -> Result<Value, Failure> {
    let limit = limit.map_or(MOVES_LISTED, |limit| usize::try_from(limit).unwrap_or(MOVES_KEPT).min(MOVES_KEPT));
    let now = desk.clock.now();
    let feeds: Map<String, Value> = desk
        .upstream
        .moves(limit, now)
        .into_iter()
        .map(|(name, moves)| (name.to_string(), moves.iter().map(|one| json!([now.saturating_sub(one.at), one.to.as_str()])).collect()))
        .collect();
    Ok(json!({ "feeds": feeds }))
}

async fn show(desk: Arc<Desk>, _: Caller, One { feed }: One) -> Result<Value, Failure> {
    let now = desk.clock.now();
    let (report, facts) = (desk.upstream.report(now), desk.upstream.facts(&feed, now));
    let (Some(report), Some(facts)) = (report.feed(&feed), facts) else { return Err(no_feed(&feed)) };
    let moves = facts.moves.iter().rev().map(|one| {
        json!({
            "ago_ms": now.saturating_sub(one.at),
            "from": one.from.as_str(),
            "to": one.to.as_str(),
            "reason": one.reason.map(Reason::as_str),
            "detail": one.detail,
        })
    });
    Ok(json!({
        "feed": described(report),
        "host": &*facts.host,
        "is_tls": facts.is_tls,
        "channels": facts.channels,
        "moves": moves.collect::<Vec<_>>(),
    }))
}

fn described(feed: &FeedReport) -> Value {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    json!({
        "feed": &*feed.name,
        "state": feed.state.as_str(),
        "is_paused": feed.is_paused,
        "is_resting": feed.is_resting,
        "origin": feed.origin.as_str(),
        "priority": feed.priority,
        "age_ms": feed.age.map(ms),
        "since_ms": ms(feed.since),
        "reason": feed.reason.map(Reason::as_str),
        "detail": feed.detail,
        "last_event_id": &*feed.last_event_id,
        "events": feed.events,
        "dropped": feed.dropped,
        "bytes": feed.bytes,
        "errors": feed.errors,
        "reconnects": feed.reconnects,
        "attempts": feed.attempts,
        "failed_attempts": feed.failed_attempts,
        "rotations": feed.rotations,
        "repeated": feed.repeated,
        "unwanted": feed.unwanted,
        "gaps": feed.gaps,
        "events_per_minute": feed.events_per_minute,
        "bytes_per_minute": feed.bytes_per_minute,
        "errors_per_minute": feed.errors_per_minute,
        "usual_per_minute": feed.usual_per_minute,
        "latency_ms": feed.latency.map(ms),
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
    let is_there = ask(&desk, Pause { feed: feed.clone(), is_paused }).await?;
    match feed {
        Some(name) if !is_there => Err(no_feed(&name)),
        _ => {
            let paused = desk.upstream.report(desk.clock.now()).feeds.iter().filter(|feed| feed.is_paused).count();
            Ok(json!({ "paused": paused }))
        }
    }
}

async fn reconnect(desk: Arc<Desk>, _: Caller, Feed { feed }: Feed) -> Result<Value, Failure> {
    match (ask(&desk, Reconnect { feed: feed.clone() }).await?, feed) {
        (0, Some(name)) => Err(no_feed(&name)),
        (feeds, _) => Ok(json!({ "feeds": feeds })),
    }
}

arguments! {
    One {
        /// The feed's name, or that of a family of feeds.
        feed: String,
    }
}

async fn rotate(desk: Arc<Desk>, _: Caller, One { feed }: One) -> Result<Value, Failure> {
    if ask(&desk, RotateFeed(feed.clone())).await? { Ok(json!({})) } else { Err(no_feed(&feed)) }
}

async fn remove(desk: Arc<Desk>, _: Caller, One { feed }: One) -> Result<Value, Failure> {
    desk.upstream.remove(&feed).await?;
    Ok(json!({}))
}

arguments! {
    Add {
        /// What it is to be called.
        feed: String,
        /// What it is, with the options of [[upstream.feeds]] but name and headers.
        definition: Definition,
    }
}

async fn add(desk: Arc<Desk>, _: Caller, Add { feed, definition: Definition(definition) }: Add) -> Result<Value, Failure> {
    desk.upstream.add(FeedConfig { name: feed, ..*definition }).await?;
    Ok(json!({}))
}

/// How long a feed is listened to, unless it is said, and at most: whoever asks waits for it, and so do others.
const LISTENS: Duration = Duration::from_secs(20);
const LISTENS_MAX: Duration = Duration::from_secs(60);

/// Bytes of an address: more than browsers and proxies take.
const ADDRESS_BYTES_MAX: usize = 4_096;

/// An address that may hold a key: the audit log gets its size alone, and what may be shown of it with the outcome.
struct FeedAddress(String);

impl Field for FeedAddress {
    const IS_SHOWN: bool = false;

    fn schema() -> Value {
        json!({ "type": "string", "minLength": 1, "maxLength": ADDRESS_BYTES_MAX })
    }
    fn must() -> String {
        format!("an address such as https://example.org/events ({ADDRESS_BYTES_MAX} bytes at most)")
    }
    fn read(value: &Value) -> Option<Self> {
        value.as_str().filter(|address| !address.is_empty() && address.len() <= ADDRESS_BYTES_MAX).map(|address| Self(address.to_string()))
    }
}

arguments! {
    Check {
        /// Where the feed is: http or https.
        address: FeedAddress,
        /// How long to listen, 60s at most; without it 20s.
        duration: Option<HumanDuration>,
    }
}

/// Whose right it is to add feeds may have the hub ask any address anyhow.
async fn check(desk: Arc<Desk>, caller: Caller, Check { address: FeedAddress(address), duration }: Check) -> Result<Value, Failure> {
    let examination = Examination::new(&address, []).map_err(|error| Failure::Bad(error.to_string()))?;
    begin(&desk, &caller, examination, duration, None)
}

arguments! {
    CheckFeed {
        /// The feed's name.
        feed: String,
        /// How long to listen, 60s at most; without it 20s.
        duration: Option<HumanDuration>,
    }
}

async fn check_feed(desk: Arc<Desk>, caller: Caller, CheckFeed { feed, duration }: CheckFeed) -> Result<Value, Failure> {
    let examination = desk.upstream.examination(&feed, desk.clock.now()).await.ok_or_else(|| no_feed(&feed))?;
    begin(&desk, &caller, examination.map_err(Failure::Failed)?, duration, Some(feed))
}

fn begin(
    desk: &Desk,
    caller: &Caller,
    mut examination: Examination,
    duration: Option<HumanDuration>,
    feed: Option<String>,
) -> Result<Value, Failure> {
    let duration = duration.map_or(LISTENS, HumanDuration::duration);
    if !(DURATION_MIN..=LISTENS_MAX).contains(&duration) {
        return Err(Failure::Bad(format!("\"duration\" must be from {} s to {} s", DURATION_MIN.as_secs(), LISTENS_MAX.as_secs())));
    }
    examination.duration = duration;
    let url = examination.shown_url();
    let about = About { feed, by: caller.user.as_str().to_string() };
    let check = desk.checkup.begin(examination, about, &desk.clock).map_err(|error| match error {
        CheckupError::Busy { .. } => Failure::TooMany(error.to_string()),
        CheckupError::Thread { .. } => Failure::Failed(error.to_string()),
    })?;
    Ok(json!({ "check": check, "url": url }))
}

async fn check_end(desk: Arc<Desk>, _: Caller, _: List) -> Result<Value, Failure> {
    if desk.checkup.stop() { Ok(json!({})) } else { Err(Failure::NotFound("no feed is being checked".to_string())) }
}

async fn checked(desk: Arc<Desk>, caller: Caller, _: List) -> Result<Value, Failure> {
    Ok(desk.checkup.described(caller.role.is_some_and(|role| role.has(Right::UpstreamWrite)), &desk.clock))
}

/// A feed as the configuration has it, without its name. The audit log gets its size alone, since a URL may hold a key.
struct Definition(Box<FeedConfig>);

impl Field for Definition {
    const IS_SHOWN: bool = false;

    fn schema() -> Value {
        let options: Map<String, Value> = known().into_iter().map(|(option, _)| (option, json!(true))).collect();
        json!({ "type": "object", "additionalProperties": false, "properties": options })
    }
    fn must() -> String {
        let options: Vec<String> = known().into_iter().map(|(option, _)| option).collect();
        format!("an object of options of a feed ({})", options.join(", "))
    }
    fn read(value: &Value) -> Option<Self> {
        let options = value.as_object()?;
        let known = known();
        if options.keys().any(|option| !known.contains_key(option)) {
            return None;
        }
        serde_json::from_value(value.clone()).ok().map(|definition| Self(Box::new(definition)))
    }
}

/// The options that a definition may have.
fn known() -> Map<String, Value> {
    let Ok(Value::Object(mut options)) = serde_json::to_value(FeedConfig::default()) else { return Map::new() };
    options.retain(|option, _| option != "name" && option != "headers");
    options
}

/// Asks the pool.
async fn ask<M>(desk: &Desk, message: M) -> Result<M::Result, Failure>
where
    M: Message + Send + 'static,
    M::Result: Send,
    UpstreamPool: Handler<M>,
{
    let not_there = || Failure::Failed("the feeds are being started anew; try again".to_string());
    let pool = desk.house.pool().ok_or_else(not_there)?;
    let answer = tokio::time::timeout(ANSWER_MAX, pool.send(message)).await;
    answer.ok().and_then(Result::ok).ok_or_else(not_there)
}

fn no_feed(name: &str) -> Failure {
    Failure::NotFound(format!("there is no feed {name}"))
}

impl From<RosterError> for Failure {
    fn from(error: RosterError) -> Self {
        let text = error.to_string();
        match error {
            RosterError::Unknown { .. } => Self::NotFound(text),
            RosterError::Configured { .. } | RosterError::Taken { .. } | RosterError::Invalid { .. } => Self::Bad(text),
            RosterError::TooMany { .. } => Self::TooMany(text),
            RosterError::NotYet => Self::NotAvailable(text),
            RosterError::Store { .. } | RosterError::Client { .. } => Self::Failed(text),
        }
    }
}

arguments! {
    Emergency {
        /// Which kind.
        kind: EmergencyKind,
        /// Only say what would be done.
        dry_run: bool,
    }
}

impl Field for EmergencyKind {
    fn schema() -> Value {
        json!({ "type": "string", "enum": Self::ALL.map(Self::as_str) })
    }
    fn must() -> String {
        format!("one of {}", Self::ALL.map(Self::as_str).join(", "))
    }
    fn read(value: &Value) -> Option<Self> {
        let word = value.as_str()?;
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

async fn emergency(desk: Arc<Desk>, _: Caller, Emergency { kind, dry_run }: Emergency) -> Result<Value, Failure> {
    let incident = ask(&desk, Declare { kind, is_dry_run: dry_run }).await?;
    Ok(json!({ "incident": incident_of(&incident), "is_dry_run": dry_run }))
}

async fn emergencies(desk: Arc<Desk>, _: Caller, _: List) -> Result<Value, Failure> {
    let emergencies = desk.upstream.emergencies();
    let told =
        emergencies.iter().map(|told| json!({ "at": told.at_wall_ms, "incident": incident_of(&told.incident), "is_dry_run": told.is_dry_run }));
    Ok(json!({ "emergencies": told.collect::<Vec<_>>() }))
}

fn incident_of(incident: &Incident) -> Value {
    json!({
        "kind": incident.kind.as_str(),
        "phase": incident.phase.as_str(),
        "cause": incident.cause,
        "measures": incident.measures.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

arguments! {
    Report {
        /// A day (UTC) or a week (from Monday).
        period: Period,
        /// How many of them ago; 0, the default: the one that is not over.
        back: Option<u64>,
        /// As a page that a browser shows.
        html: bool,
    }
}

async fn report(desk: Arc<Desk>, _: Caller, Report { period, back, html }: Report) -> Result<Value, Failure> {
    let back = u32::try_from(back.unwrap_or(0)).unwrap_or(u32::MAX);
    let none = || Failure::NotFound("there is no report of that time".to_string());
    let unreadable = |error: serde_json::Error| Failure::Failed(error.to_string());
    let (report, page) = match period {
        Period::Day => {
            let day = desk.upstream.day_report(back).await?.ok_or_else(none)?;
            (serde_json::to_value(&day).map_err(unreadable)?, html.then(|| day_document(&day).html()))
        }
        Period::Week => {
            let week = desk.upstream.week_report(back).await?.ok_or_else(none)?;
            (serde_json::to_value(&week).map_err(unreadable)?, html.then(|| week_document(&week).html()))
        }
    };
    Ok(page.map_or_else(|| json!({ "report": report }), |page| json!({ "html": page })))
}

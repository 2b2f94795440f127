//! `aether admin watch`: what happens, as it happens: events of the house, the audit log, alerts, measurements, or one trace.
//!
//! All but traces go on over a lost connection, which is said, as what happened meanwhile is not told again. A trace belongs to its connection and
//! ends with it.

use super::arguments::{self, BadWords};
use super::client::{Client, ClientError, Way};
use super::identity::Identity;
use super::{Misspoken, enter, help};
use crate::cli::{print, shown};
use anyhow::{Context, bail};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// The command that begins a trace.
const TRACE: &str = "admin.trace.start";

/// Between two tries to come back: the first pause, doubled up to the last.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A newer token is shown so long before the old one's time is over, or after half of it where that is sooner.
const REFRESH_AHEAD: Duration = Duration::from_secs(15);

pub async fn follow(way: &Way, identity: &Identity, words: &[String], as_json: bool) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let following = async {
        match words.split_first() {
            Some((what, [])) if what == "events" => again_and_again(way, identity, "$admin:events", as_json).await,
            Some((what, [])) if what == "audit" => again_and_again(way, identity, "$admin:audit", as_json).await,
            Some((what, [])) if what == "alerts" => again_and_again(way, identity, "$admin:alerts", as_json).await,
            Some((what, [])) if what == "metrics" => again_and_again(way, identity, "$metrics:overview", as_json).await,
            Some((what, words)) if what == "trace" => trace(way, identity, words, as_json).await,
            _ => Err(Misspoken("watch: say what: events, audit, alerts, metrics, or trace with --user, --channel or --session".to_string()).into()),
        }
    };
    tokio::select! {
        outcome = following => outcome,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

async fn again_and_again(way: &Way, identity: &Identity, channel: &str, as_json: bool) -> anyhow::Result<()> {
    let mut pause = PAUSE_MIN;
    let mut was_there = false;
    loop {
        let ended = match enter(way, identity).await {
            Ok((mut client, ttl)) => match client.call("subscribe", json!({ "channel": channel })).await {
                Ok(_) => {
                    if was_there {
                        eprintln!("connected again; what happened meanwhile is not told here");
                    }
                    (was_there, pause) = (true, PAUSE_MIN);
                    one_connection(&mut client, ttl, identity, channel, as_json).await
                }
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error),
        };
        let error = match ended {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // Whoever has never been let in is told so at once.
        if !was_there || !error.downcast_ref::<ClientError>().is_some_and(ClientError::is_passing) {
            return Err(error);
        }
        eprintln!("{}; trying again in {} s", shown::inert(&format!("{error:#}")), pause.as_secs());
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn trace(way: &Way, identity: &Identity, words: &[String], as_json: bool) -> anyhow::Result<()> {
    let (mut client, ttl) = enter(way, identity).await?;
    let known = help(&mut client, Some(TRACE.to_string())).await?;
    let schema = known.first().map(|command| &command["arguments"]).context("the hub explains nothing about traces")?;
    let members: Map<String, Value> = arguments::read(words, schema).map_err(|error: BadWords| Misspoken(format!("watch trace: {error}")))?;
    let begun = client.command(TRACE, Value::Object(members)).await?;
    let Some(channel) = begun["channel"].as_str().map(str::to_string) else { bail!("the hub names no channel of the trace") };
    client.call("subscribe", json!({ "channel": channel })).await?;
    eprintln!("tracing; Ctrl-C ends it");
    let outcome = one_connection(&mut client, ttl, identity, &channel, as_json).await;
    client.leave().await;
    outcome
}

/// Prints what a channel brings, until it ends by itself.
async fn one_connection(client: &mut Client, ttl: Option<Duration>, identity: &Identity, channel: &str, as_json: bool) -> anyhow::Result<()> {
    let due = |ttl: Duration| Instant::now() + ttl.saturating_sub(REFRESH_AHEAD).max(ttl / 2);
    let mut refresh_at = ttl.map(due);
    loop {
        let Some(message) = client.push(refresh_at).await? else {
            let token = identity.token()?;
            refresh_at = client.refresh(token.expose_secret()).await?.map(due);
            continue;
        };
        let push = &message["push"];
        if push["channel"] != channel {
            continue;
        }
        if let Some(unsubscribed) = push.get("unsubscribe") {
            bail!("the hub ended the subscription: {} ({})", unsubscribed["reason"].as_str().unwrap_or_default(), unsubscribed["code"]);
        }
        if let Some(publication) = push.get("pub") {
            let data = &publication["data"];
            print(&if as_json { format!("{data}\n") } else { line(data) })?;
            if data["what"] == "ended" {
                return Ok(());
            }
        }
    }
}

/// One thing that happened, on one line: when, what, and the rest as name=value.
fn line(data: &Value) -> String {
    let Some(members) = data.as_object() else { return format!("{}\n", shown::cell("", data)) };
    let mut parts: Vec<String> = Vec::new();
    if let Some(at) = members.get("at") {
        parts.push(shown::cell("at", at));
    }
    for name in ["sequence", "kind", "what", "actor", "action", "object", "outcome"] {
        parts.extend(members.get(name).filter(|value| **value != "").map(|value| shown::cell(name, value)));
    }
    for (name, value) in members {
        match (name.as_str(), value) {
            ("at" | "sequence" | "kind" | "what" | "actor" | "action" | "object" | "outcome" | "hash" | "previous", _) => {}
            ("data" | "details" | "alert" | "values", Value::Object(inner)) => parts.extend(inner.iter().map(|(name, value)| pair(name, value))),
            (name, value) => parts.push(pair(name, value)),
        }
    }
    format!("{}\n", parts.join("  "))
}

fn pair(name: &str, value: &Value) -> String {
    format!("{}={}", shown::inert(name), shown::cell(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_one_line() {
        let event = json!({ "kind": "session_connected", "at": 1_700_000_000_000_i64, "data": { "user": "al\u{1b}ice", "address": "127.0.0.1" } });
        assert_eq!(line(&event), "14 Nov 2023 22:13:20  session_connected  address=127.0.0.1  user=al\\u{1b}ice\n");
        let record = json!({ "sequence": 7, "at": 1_700_000_000_000_i64, "actor": "ann", "action": "admin.drain", "object": "", "outcome": "begun",
            "origin": "127.0.0.1", "details": { "confirm": true }, "hash": "ab", "previous": "cd" });
        assert_eq!(line(&record), "14 Nov 2023 22:13:20  7  ann  admin.drain  begun  confirm=true  origin=127.0.0.1\n");
        assert_eq!(line(&json!("x")), "x\n");
    }
}

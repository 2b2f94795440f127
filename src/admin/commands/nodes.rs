//! `admin.nodes.*`: the processes that this hub is made of. There is one; clients read a list, so that more of them need no other command.

use super::{Failure, commands};
use crate::admin::arguments::arguments;
use crate::admin::desk::{Desk, Listener};
use crate::auth::Right;
use crate::session::procedures::Caller;
use crate::telemetry::watchdog::{RestartCause, Watched};
use serde_json::{Value, json};
use std::sync::Arc;

commands! {
    "admin.nodes.list" Some(Right::MetricsRead), Looks, "", List, list, "{}",
        "Lists the nodes of the hub: addresses, workers and their delay, actors and their restarts, machine, store, broker, certificate.";
}

arguments! {
    List {}
}

/// What of the newest sample belongs to a node.
const MEASURED: [&str; 18] = [
    "process.cpu",
    "memory.allocated",
    "memory.resident",
    "descriptors.open",
    "descriptors.used",
    "threads",
    "messages.delivered",
    "messages.published",
    "latency.p99_ms",
    "actors.restarts",
    "panics",
    "store.latency_ms",
    "host.cpu",
    "host.memory_used",
    "host.load",
    "host.socket_memory",
    "host.disk_free",
    "certificate.ends_in_seconds",
];

async fn list(desk: Arc<Desk>, _: Caller, _: List) -> Result<Value, Failure> {
    Ok(json!({ "nodes": [this(&desk).await], "at": desk.clock.wall_ms() }))
}

async fn this(desk: &Desk) -> Value {
    let (now, wall) = (desk.clock.now(), desk.clock.wall_ms());
    let (store, workers, feeds) = (desk.store.state(), desk.topics.count_workers().await, desk.upstream.report(now).feeds);
    let measured = desk.metrics.as_ref().map(|observatory| observatory.now());
    let values = measured.as_ref().and_then(|measured| measured["values"].as_object());
    let figures: serde_json::Map<String, Value> =
        MEASURED.iter().map(|name| ((*name).to_string(), values.and_then(|values| values.get(*name)).cloned().unwrap_or_default())).collect();
    let state = match () {
        () if desk.house.is_draining() => "draining",
        () if desk.maintenance.notice().is_some() => "maintenance",
        () => "ready",
    };
    let mut kinds = vec![
        ("sessions", workers.iter().map(|worker| worker.sessions).sum(), None),
        ("topics", desk.topics.len(), Some(Watched::Topic)),
        ("fanout", workers.len(), Some(Watched::Fanout)),
        ("feeds", feeds.iter().filter(|feed| !feed.is_paused).count(), Some(Watched::Feed)),
        ("upstream", usize::from(desk.house.pool().is_some()), Some(Watched::Upstream)),
        ("metrics", usize::from(desk.metrics.is_some()), Some(Watched::Metrics)),
        ("canaries", usize::from(desk.metrics.is_some()), Some(Watched::Canaries)),
        ("admin", 1, Some(Watched::Admin)),
    ];
    // The others are tasks, no actors; those that had to be started anew are shown all the same.
    for task in Watched::ALL {
        let is_shown = kinds.iter().any(|(_, _, watched)| *watched == Some(task));
        if !is_shown && task.restarts().any(|(_, times)| times > 0) {
            let count = if matches!(task, Watched::Mercure | Watched::Timer) { workers.len() } else { 1 };
            kinds.push((task.as_str(), count, Some(task)));
        }
    }
    let actors: Vec<Value> = kinds.into_iter().map(|(kind, count, watched)| restarted(kind, count, watched)).collect();
    json!({
        "node": desk.settings.node,
        "is_this": true,
        "version": desk.settings.version,
        "state": state,
        "uptime_ms": now,
        "started_at": wall.saturating_sub_unsigned(now),
        "process": std::process::id(),
        "listeners": desk.house.listeners().iter().map(|Listener { address, is_tls }| json!({ "address": address.to_string(), "is_tls": is_tls })).collect::<Vec<_>>(),
        "sessions": desk.hub.len(),
        "channels": desk.topics.len(),
        "workers": workers.iter().enumerate().map(|(index, worker)| json!({
            "worker": index,
            "lag_ms": worker.lag_ms,
            "sessions": worker.sessions,
            "channels": worker.channels,
            "subscriptions": worker.members,
            "outbox_bytes": worker.outbox_bytes,
        })).collect::<Vec<_>>(),
        "actors": actors,
        "store": { "kind": store.kind, "trouble": store.trouble, "waiting": store.waiting, "connections": store.connections },
        // Another broker than the process's own memory comes with more than one node.
        "broker": { "kind": "memory" },
        "machine": { "name": said("/proc/sys/kernel/hostname"), "kernel": said("/proc/sys/kernel/osrelease"), "cores": std::thread::available_parallelism().ok().map(usize::from) },
        "figures": figures,
    })
}

/// How many there are of a kind, and how often, and why, one of them had to be started anew.
fn restarted(kind: &str, count: usize, watched: Option<Watched>) -> Value {
    let causes: Vec<(RestartCause, u64)> = watched.into_iter().flat_map(Watched::restarts).filter(|(_, times)| *times > 0).collect();
    let restarts: u64 = causes.iter().map(|(_, times)| times).sum();
    let causes: serde_json::Map<String, Value> = causes.into_iter().map(|(cause, times)| (cause.as_str().to_string(), times.into())).collect();
    json!({ "kind": kind, "count": count, "restarts": restarts, "causes": causes })
}

/// What the kernel says in one line. These files are made by it at the reading, so that nothing is waited for.
fn said(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_string())
}

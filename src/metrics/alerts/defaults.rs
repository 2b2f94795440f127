//! The rules that every hub begins with: one for each trouble that has been seen to begin quietly. They may be changed, and turned off.

use super::rule::Condition::{Above, Below, Gone};
use super::rule::Severity::{Critical, Warning};
use super::rule::{Condition, Route, Rule, Severity};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: f64 = 86_400.0;

/// Between two times that something is told which is still wrong.
const REPEAT: u64 = 4 * HOUR;

struct Row {
    name: &'static str,
    metric: &'static str,
    condition: Condition,
    value: f64,
    clear: f64,
    for_ms: u64,
    clear_for_ms: u64,
    severity: Severity,
    title: &'static str,
    advice: &'static str,
}

macro_rules! rows {
    ($($name:literal $metric:literal $condition:ident $value:expr, clear $clear:expr, within $for_ms:expr, back $clear_for_ms:expr, $severity:ident, $title:literal, $advice:literal;)*) => {
        const ROWS: &[Row] = &[$(Row {
            name: $name,
            metric: $metric,
            condition: $condition,
            value: $value,
            clear: $clear,
            for_ms: $for_ms,
            clear_for_ms: $clear_for_ms,
            severity: $severity,
            title: $title,
            advice: $advice,
        },)*];
    };
}

rows! {
    "feed_down" "feed.down_seconds" Above 5.0, clear 0.0, within 0, back 5 * SECOND, Warning,
        "Feed {subject} is down", "The hub goes on trying. `admin.upstream.list` says why, `aether feed check` looks closer.";
    "feed_late" "feed.latency_ms" Above 5_000.0, clear 2_500.0, within MINUTE, back MINUTE, Warning,
        "Feed {subject} is late", "Its events come long after the time that they name: the feed, or the way from it, is slow.";
    "feeds_near_capacity" "feeds.connections_used" Above 0.9, clear 0.85, within 30 * SECOND, back MINUTE, Warning,
        "Nearly all connections to feeds are in use", "Raise upstream.pool.connections_max, or remove feeds that nobody needs.";
    "feed_gaps" "feeds.gaps" Above 0.0, clear 0.0, within 0, back 5 * MINUTE, Warning,
        "Events of a feed were missed", "The feed does not repeat as far back as the hub was away. Subscribers were told.";
    "store_down" "store.up" Below 1.0, clear 1.0, within 2 * SECOND, back 5 * SECOND, Critical,
        "The store does not answer", "Live traffic goes on. Logins, the audit log and durable history wait; look at the disk or at the database.";
    "store_slow" "store.latency_ms" Above 500.0, clear 250.0, within 30 * SECOND, back MINUTE, Warning,
        "The store is slow", "Look at the disk or at the database, and at what else uses them.";
    "history_unwritten" "history.unwritten" Above 0.0, clear 0.0, within 5 * SECOND, back MINUTE, Warning,
        "History finds no room to wait for the store", "It is in memory only and will be lost with the next restart. Look at the store.";
    "audit_failing" "audit.failures" Above 0.0, clear 0.0, within 3 * SECOND, back 10 * SECOND, Critical,
        "The audit log cannot be written", "Operators' commands are refused until it can. Look at the store.";
    "canaries_lost" "canaries.lost" Above 0.0, clear 0.0, within 3 * SECOND, back 30 * SECOND, Critical,
        "Messages are lost on their way to subscribers", "Look at workers.silent and messages.dropped: a worker or the topics are stuck.";
    "canaries_gone" "latency.max_ms" Gone 0.0, clear 0.0, within 5 * SECOND, back 5 * SECOND, Critical,
        "No message comes through", "Nothing that is published reaches a worker. If it lasts, restart the hub; the log says what stopped.";
    "latency" "latency.p99_ms" Above 50.0, clear 40.0, within 2 * MINUTE, back MINUTE, Warning,
        "Messages are slow", "Look at workers.lag_ms and host.cpu: something keeps the event loops busy.";
    "latency_high" "latency.p95_ms" Above 500.0, clear 250.0, within 10 * SECOND, back 30 * SECOND, Critical,
        "Messages are very slow", "Look at workers.lag_ms and host.cpu: something keeps the event loops busy.";
    "worker_lag" "workers.lag_ms" Above 500.0, clear 200.0, within 5 * SECOND, back 30 * SECOND, Warning,
        "A worker is late", "Its event loop is held up. The channel `$metrics:overview` shows which worker it is.";
    "worker_silent" "workers.silent" Above 0.0, clear 0.0, within 3 * SECOND, back 10 * SECOND, Critical,
        "A worker does not answer", "Clients of that worker are served late or not at all.";
    "messages_lost" "messages.lost" Above 0.0, clear 0.0, within 5 * SECOND, back 30 * SECOND, Warning,
        "Subscribers miss messages that history does not have", "Give the namespaces history, or more of it; clients were told.";
    "commands_failing" "commands.failed" Above 0.5, clear 0.1, within 10 * SECOND, back MINUTE, Warning,
        "Clients' commands fail", "The hub answers with internal errors; its log says why.";
    "connections_refused" "connections.refused" Above 1.0, clear 0.1, within 10 * SECOND, back MINUTE, Warning,
        "Clients are turned away", "The hub is full, or its rate limits are reached: `http_server.connection_limit`, `client.connection_limit`, `[limits]`.";
    "connections_near_capacity" "connections.used" Above 0.9, clear 0.85, within 30 * SECOND, back MINUTE, Warning,
        "Nearly all connections are in use", "Raise http_server.connection_limit, or start another hub.";
    "slow_clients" "closed.slow" Above 5.0, clear 1.0, within 30 * SECOND, back MINUTE, Warning,
        "Many clients are cut as slow", "They cannot take what they subscribed to: publish less, or split the channels.";
    "recoveries_failing" "recoveries.failed" Above 1.0, clear 0.2, within 30 * SECOND, back MINUTE, Warning,
        "Clients come back and have missed messages", "They were away for longer than the history reaches: raise history_size and history_ttl.";
    "descriptors_near_limit" "descriptors.used" Above 0.9, clear 0.85, within 10 * SECOND, back MINUTE, Critical,
        "Nearly all file descriptors are in use", "Raise the limit (LimitNOFILE), or lower http_server.connection_limit.";
    "panic" "panics" Above 0.0, clear 0.0, within 0, back 5 * MINUTE, Warning,
        "Something in the hub panicked", "It was survived, and is a defect: please report it with the lines of the log.";
    "actor_restarted" "actors.restarts" Above 0.0, clear 0.0, within 0, back 5 * MINUTE, Warning,
        "Something in the hub died and was started anew", "The log says what it was.";
    "host_busy" "host.cpu" Above 95.0, clear 85.0, within 5 * MINUTE, back 2 * MINUTE, Warning,
        "The machine is busy", "All cores are in use. process.cpu says how much of it is the hub.";
    "host_memory" "host.memory_used" Above 0.95, clear 0.9, within 2 * MINUTE, back 2 * MINUTE, Warning,
        "The machine is short of memory", "memory.resident says how much of it the hub has.";
    "disk_filling" "host.disk_free" Below 0.1, clear 0.12, within MINUTE, back MINUTE, Warning,
        "The disk is filling", "`admin.store.compact` gives unused space back.";
    "disk_full" "host.disk_free" Below 0.02, clear 0.03, within 10 * SECOND, back MINUTE, Critical,
        "The disk is nearly full", "Soon the store cannot be written any more.";
    "certificate_ends" "certificate.ends_in_seconds" Below 14.0 * DAY, clear 15.0 * DAY, within 10 * SECOND, back 10 * SECOND, Warning,
        "The certificate ends in less than 14 days", "Put the new pair in place; it is read without a restart.";
    "certificate_ends_soon" "certificate.ends_in_seconds" Below 2.0 * DAY, clear 3.0 * DAY, within 10 * SECOND, back 10 * SECOND, Critical,
        "The certificate ends in less than two days", "Put the new pair in place; it is read without a restart.";
    "budget_connections" "budget.connections" Below 0.1, clear 0.2, within 5 * MINUTE, back 10 * MINUTE, Warning,
        "The error budget of connections is nearly used up", "Of what may fail in 30 days little is left.";
    "budget_delivery" "budget.delivery" Below 0.1, clear 0.2, within 5 * MINUTE, back 10 * MINUTE, Warning,
        "The error budget of delivery is nearly used up", "Of what may be lost in 30 days little is left.";
    "budget_recovery" "budget.recovery" Below 0.1, clear 0.2, within 5 * MINUTE, back 10 * MINUTE, Warning,
        "The error budget of recovery is nearly used up", "Of what may fail in 30 days little is left.";
    "leak_memory" "leak.memory_per_hour" Above 4_194_304.0, clear 1_048_576.0, within 30 * MINUTE, back 30 * MINUTE, Warning,
        "Memory grows without more load", "Compare streams.bytes, outbox.bytes and actors.open over the same time.";
    "leak_descriptors" "leak.descriptors_per_hour" Above 20.0, clear 5.0, within 30 * MINUTE, back 30 * MINUTE, Warning,
        "Descriptors grow without more load", "Something that was opened is not closed; please report it.";
    "leak_actors" "leak.actors_per_hour" Above 50.0, clear 10.0, within 30 * MINUTE, back 30 * MINUTE, Warning,
        "Actors grow without more load", "Something that was started does not end; please report it.";
}

pub fn defaults() -> impl Iterator<Item = Rule> {
    ROWS.iter().map(|row| Rule {
        name: row.name.to_string(),
        metric: row.metric.to_string(),
        condition: row.condition,
        value: row.value,
        clear: Some(row.clear),
        for_ms: row.for_ms,
        clear_for_ms: row.clear_for_ms,
        severity: row.severity,
        repeat_ms: REPEAT,
        routes: vec![Route::Page, Route::Log, Route::Webhook, Route::Email],
        is_enabled: true,
        title: row.title.to_string(),
        advice: row.advice.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_rule_is_a_good_one_with_a_name_of_its_own() {
        let mut names = HashSet::new();
        for rule in defaults() {
            assert!(rule.check().is_ok(), "{}: {:?}", rule.name, rule.check());
            assert!(rule.title.len() <= 70, "{} can be read on a lock screen", rule.name);
            assert!(rule.advice.ends_with('.'), "{}", rule.name);
            assert!(names.insert(rule.name));
        }
    }

    /// Whoever is woken by a rule finds what it means.
    #[test]
    fn the_documentation_says_of_every_rule_what_to_do() {
        let documentation = include_str!("../../../docs/alerting.md");
        for rule in defaults() {
            let row = documentation.lines().find(|line| line.starts_with("| `") && line.contains(&format!("`{}`", rule.name)));
            assert!(row.is_some(), "docs/alerting.md has no row of {}", rule.name);
        }
    }

    /// Whoever relies on a rule finds how it was tried.
    #[test]
    fn the_documentation_says_of_every_rule_how_it_was_tried() {
        let documentation = include_str!("../../../docs/metrics.md");
        let section = documentation.split("### What was tried").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
        for rule in defaults() {
            assert!(section.contains(&format!("`{}`", rule.name)), "docs/metrics.md does not say how {} was tried", rule.name);
        }
    }
}

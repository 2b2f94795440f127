//! `/metrics`: everything that is counted, in the Prometheus text format, with the present state of things read at this moment.

use super::forwarded::client_address;
use super::respond;
use crate::app::state::State;
use crate::auth::ApiKey;
use crate::metrics::alerts::Severity;
use crate::metrics::{Observatory, socket_bytes};
use crate::telemetry::metrics::gather_all;
use crate::telemetry::{gauge, registered};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use ipnet::IpNet;
use prometheus::{Encoder, GaugeVec, IntGauge, IntGaugeVec, Opts, TextEncoder};
use std::sync::LazyLock;

static SESSIONS: LazyLock<IntGauge> = LazyLock::new(|| gauge("aether_sessions", "Clients that are connected and have said who they are."));
static CONNECTIONS: LazyLock<IntGauge> = LazyLock::new(|| gauge("aether_connections", "Accepted sockets that are open, in any stage."));
static USERS: LazyLock<IntGauge> = LazyLock::new(|| gauge("aether_users", "Distinct users that are connected; all anonymous ones count as one."));
static TOPICS: LazyLock<IntGauge> = LazyLock::new(|| gauge("aether_topics", "Channels with subscribers on this node."));
static MEMBERS: LazyLock<IntGauge> = LazyLock::new(|| gauge("aether_subscriptions", "Subscriptions of all sessions."));
static OUTBOX: LazyLock<IntGauge> = LazyLock::new(|| gauge("aether_outbox_bytes", "Bytes that wait for clients that are behind."));
static TIMERS: LazyLock<IntGauge> = LazyLock::new(|| gauge("aether_timers", "Timers of sessions that are set."));
static KERNEL: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("aether_kernel_socket_bytes", "What the kernel keeps in the buffers of TCP sockets, of the whole machine."));
static STREAMS: LazyLock<IntGauge> = LazyLock::new(|| gauge("aether_streams", "Channels with a stream in memory."));
static PUBLICATIONS: LazyLock<IntGauge> = LazyLock::new(|| gauge("aether_history_publications", "Publications kept in all histories."));
static HISTORY: LazyLock<IntGauge> = LazyLock::new(|| gauge("aether_history_bytes", "Bytes that all histories cost."));
static PRESENCE: LazyLock<IntGauge> = LazyLock::new(|| gauge("aether_presence_entries", "Clients listed as present, summed over channels."));
static STORE_WAITING: LazyLock<IntGauge> = LazyLock::new(|| gauge("aether_store_waiting", "Calls of the store that wait for it."));
static STORE_CONNECTIONS: LazyLock<IntGauge> = LazyLock::new(|| gauge("aether_store_connections", "Open connections to the store's file or server."));
static ALLOCATED: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("aether_memory_allocated_bytes", "Bytes that the program holds. Grows without end only if something leaks."));
static RESIDENT: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge("aether_memory_resident_bytes", "Bytes that the allocator has from the system; more than allocated by what it keeps for later.")
});

// Labels are those of closed sets: workers have numbers, and there are as many as there are threads.
static LAGS: LazyLock<GaugeVec> = LazyLock::new(|| {
    let opts = Opts::new("aether_worker_event_loop_lag_seconds", "How late the timer of each worker's event loop last was.");
    registered(GaugeVec::new(opts, &["worker"]))
});
static OBJECTIVES: LazyLock<GaugeVec> = LazyLock::new(|| {
    let opts = Opts::new("aether_objective_ratio", "The share of good ones in the last five minutes, of each objective.");
    registered(GaugeVec::new(opts, &["objective"]))
});
static BUDGETS: LazyLock<GaugeVec> = LazyLock::new(|| {
    let opts = Opts::new("aether_objective_budget_ratio", "What is left of what may fail in 30 days: 1 all of it, 0 none, negative beyond.");
    registered(GaugeVec::new(opts, &["objective"]))
});
static ACTORS: LazyLock<IntGaugeVec> =
    LazyLock::new(|| registered(IntGaugeVec::new(Opts::new("aether_actors", "Actors that live, by kind."), &["kind"])));
static FIRING: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let opts = Opts::new("aether_alerts_firing", "Alerts of the hub's own rules that fire now.");
    registered(IntGaugeVec::new(opts, &["severity"]))
});

/// How the hub does by its own judgement. What nothing has happened of yet is left out: it is neither good nor bad.
fn judged(observatory: &Observatory) {
    for standing in observatory.standings() {
        for (gauges, value) in [(&OBJECTIVES, standing.now), (&BUDGETS, standing.budget_left)] {
            match value {
                Some(value) => gauges.with_label_values(&[standing.name]).set(value),
                None => drop(gauges.remove_label_values(&[standing.name])),
            }
        }
    }
    let firing = observatory.with_alerts(|alerts| Severity::ALL.map(|severity| (severity, alerts.firing(severity).count())));
    for (severity, count) in firing {
        FIRING.with_label_values(&[severity.as_str()]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// Who may ask.
#[derive(Debug, Default)]
pub struct MetricsGate {
    /// What must be shown; `None`: nothing.
    pub token: Option<ApiKey>,
    /// From where; empty: from everywhere.
    pub networks: Vec<IpNet>,
}

impl MetricsGate {
    fn refuses(&self, request: &HttpRequest) -> Option<HttpResponse> {
        let client = client_address(request);
        if !self.networks.is_empty() && !self.networks.iter().any(|network| network.contains(&client)) {
            return Some(respond::text(StatusCode::FORBIDDEN, "metrics are not for this address"));
        }
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|shown| {
            let (scheme, shown) = shown.as_bytes().split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then(|| shown.trim_ascii())
        });
        let is_good = self.token.as_ref().is_none_or(|token| shown.is_some_and(|shown| token.matches(shown)));
        (!is_good).then(|| HttpResponse::Unauthorized().insert_header((header::WWW_AUTHENTICATE, "Bearer")).finish())
    }
}

pub async fn metrics(request: HttpRequest, gate: web::Data<MetricsGate>, state: web::Data<State>) -> HttpResponse {
    if let Some(refused) = gate.refuses(&request) {
        return refused;
    }
    let counts = state.counts().await;
    for (gauge, value) in [
        (&SESSIONS, counts.sessions),
        (&CONNECTIONS, counts.connections),
        (&USERS, counts.users),
        (&TOPICS, counts.topics),
        (&MEMBERS, counts.members),
        (&OUTBOX, counts.outbox_bytes),
        (&TIMERS, counts.timers),
        (&KERNEL, socket_bytes().unwrap_or(0)),
        (&STREAMS, counts.streams),
        (&PUBLICATIONS, counts.history_publications),
        (&HISTORY, counts.history_bytes),
        (&PRESENCE, counts.presence),
        (&STORE_WAITING, counts.store_waiting),
        (&STORE_CONNECTIONS, counts.store_connections),
        (&ALLOCATED, counts.memory_allocated_bytes),
        (&RESIDENT, counts.memory_resident_bytes),
    ] {
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    }
    for (worker, lag_ms) in counts.worker_lags_ms.iter().enumerate() {
        LAGS.with_label_values(&[&worker.to_string()]).set(*lag_ms as f64 / 1_000.0);
    }
    for (kind, count) in counts.actors {
        ACTORS.with_label_values(&[kind]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    if let Some(observatory) = state.observatory() {
        judged(&observatory);
    }
    let mut text = Vec::new();
    match TextEncoder::new().encode(&gather_all(), &mut text) {
        Ok(()) => HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text),
        Err(error) => {
            log::error!("cannot write the metrics: {error}");
            HttpResponse::InternalServerError().finish()
        }
    }
}

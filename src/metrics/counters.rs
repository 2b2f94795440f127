//! What the rooms have counted: read once a step from the registry that every event counts into, so that measuring adds nothing to what is
//! measured.

use super::catalogue::Metric;
use prometheus::proto::{self, MetricFamily, MetricType};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Which of a family's counters are meant.
#[derive(Clone, Copy, Debug)]
enum Of {
    All,
    With(&'static str, &'static [&'static str]),
    Without(&'static str, &'static [&'static str]),
}

impl Of {
    fn matches(self, labels: &[proto::LabelPair]) -> bool {
        let has = |name: &str, values: &[&str]| labels.iter().any(|label| label.name() == name && values.contains(&label.value()));
        match self {
            Self::All => true,
            Self::With(name, values) => has(name, values),
            Self::Without(name, values) => !has(name, values),
        }
    }
}

const SILENT: &[&str] = &["no pong", "silent", "stale"];
const EXPIRED: &[&str] = &["connection expired", "subscription expired"];
const SHUTDOWN: &[&str] = &["shutdown", "force reconnect"];
const EXPLAINED: &[&str] =
    &["client", "slow", "no pong", "silent", "stale", "connection expired", "subscription expired", "shutdown", "force reconnect"];
/// Verdicts about the hub rather than about the handshake.
const FULL: &[&str] = &["full", "maintenance", "too_often"];

/// Metrics that are counters of a family, added up. A metric may be the sum of several rows.
const COUNTED: &[(Metric, &str, Of)] = &[
    (Metric::SessionsOpened, "aether_sessions_opened_total", Of::All),
    (Metric::SessionsClosed, "aether_sessions_closed_total", Of::All),
    (Metric::ClosedByClient, "aether_sessions_closed_total", Of::With("cause", &["client"])),
    (Metric::ClosedSlow, "aether_sessions_closed_total", Of::With("cause", &["slow"])),
    (Metric::ClosedSilent, "aether_sessions_closed_total", Of::With("cause", SILENT)),
    (Metric::ClosedExpired, "aether_sessions_closed_total", Of::With("cause", EXPIRED)),
    (Metric::ClosedShutdown, "aether_sessions_closed_total", Of::With("cause", SHUTDOWN)),
    (Metric::ClosedOther, "aether_sessions_closed_total", Of::Without("cause", EXPLAINED)),
    (Metric::ConnectionsRefused, "aether_connections_refused_total", Of::Without("reason", &["tls"])),
    (Metric::ConnectionsRefused, "aether_handshakes_refused_total", Of::With("reason", FULL)),
    (Metric::HandshakesRefused, "aether_handshakes_refused_total", Of::Without("reason", FULL)),
    (Metric::TokensRefused, "aether_tokens_refused_total", Of::All),
    (Metric::MessagesPublished, "aether_publications_total", Of::All),
    (Metric::MessagesPublishedBytes, "aether_publication_bytes_total", Of::All),
    (Metric::MessagesDelivered, "aether_deliveries_total", Of::All),
    (Metric::MessagesDeliveredBytes, "aether_delivery_bytes_total", Of::All),
    (Metric::MessagesDropped, "aether_deliveries_dropped_total", Of::All),
    (Metric::MessagesLost, "aether_topic_resyncs_total", Of::With("result", &["lost"])),
    (Metric::CommandsReceived, "aether_commands_total", Of::Without("command", &["pong"])),
    (Metric::CommandsRefused, "aether_command_errors_total", Of::All),
    (Metric::CommandsFailed, "aether_command_errors_total", Of::With("code", &["100"])),
    (Metric::FramesRefused, "aether_frame_errors_total", Of::All),
    (Metric::ApiCalls, "aether_api_calls_total", Of::All),
    (Metric::RecoveriesDone, "aether_recoveries_total", Of::With("result", &["recovered"])),
    (Metric::RecoveriesFailed, "aether_recoveries_total", Of::With("result", &["unrecovered"])),
    (Metric::MercureDelivered, "aether_mercure_deliveries_total", Of::All),
    (Metric::FeedsEvents, "aether_upstream_events_total", Of::All),
    (Metric::FeedsGaps, "aether_upstream_gaps_total", Of::All),
    (Metric::ActorsRestarts, "aether_actor_restarts_total", Of::Without("cause", &["requested"])),
    (Metric::Panics, "aether_panics_total", Of::All),
    (Metric::StoreCalls, "aether_store_calls_total", Of::All),
    (Metric::StoreErrors, "aether_store_calls_total", Of::Without("result", &["ok", "conflict"])),
    (Metric::HistoryUnwritten, "aether_history_overflowed_publications_total", Of::All),
    (Metric::AuditFailures, "aether_audit_failures_total", Of::All),
];

/// The rows by family.
static ROWS: LazyLock<HashMap<&str, Vec<(Metric, Of)>>> = LazyLock::new(|| {
    let mut rows: HashMap<&str, Vec<_>> = HashMap::new();
    for &(metric, family, of) in COUNTED {
        rows.entry(family).or_default().push((metric, of));
    }
    rows
});

const STORE_SECONDS: &str = "aether_store_call_seconds";
const CERTIFICATE: &str = "aether_certificate_expiry_timestamp_seconds";

/// What had been counted at one moment, since the process began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    counted: HashMap<Metric, f64>,
    /// Calls of the store, and the seconds that they took together.
    pub store: (u64, f64),
    /// Unix seconds.
    pub certificate_ends: Option<i64>,
}

impl Totals {
    /// Reads everything that is counted. Takes about a tenth of a millisecond; no hot path waits for it.
    pub fn read() -> Self {
        Self::of(&prometheus::gather())
    }

    fn of(families: &[MetricFamily]) -> Self {
        let mut totals = Self::default();
        for family in families {
            let metrics = family.get_metric();
            for (metric, of) in ROWS.get(family.name()).into_iter().flatten() {
                let sum: f64 = metrics.iter().filter(|one| of.matches(one.get_label())).map(|one| one.get_counter().get_value()).sum();
                *totals.counted.entry(*metric).or_default() += sum;
            }
            match family.name() {
                STORE_SECONDS if family.get_field_type() == MetricType::HISTOGRAM => {
                    totals.store = metrics.iter().fold((0, 0.0), |(calls, seconds), one| {
                        let histogram = one.get_histogram();
                        (calls + histogram.get_sample_count(), seconds + histogram.get_sample_sum())
                    });
                }
                CERTIFICATE => totals.certificate_ends = metrics.first().map(|one| one.get_gauge().get_value() as i64).filter(|at| *at != 0),
                _ => {}
            }
        }
        totals
    }

    #[cfg(test)]
    pub fn of_counts(counts: &[(Metric, f64)]) -> Self {
        Self { counted: counts.iter().copied().collect(), ..Self::default() }
    }

    /// How much was counted since `before`. What nothing has been counted of yet is 0: its family appears with the first of its events.
    pub fn since(&self, before: &Self, metric: Metric) -> f64 {
        let at = |totals: &Self| totals.counted.get(&metric).copied().unwrap_or_default();
        (at(self) - at(before)).max(0.0)
    }

    /// The metrics that [`Totals::since`] knows.
    pub fn metrics() -> impl Iterator<Item = Metric> {
        Metric::ALL.iter().copied().filter(|metric| COUNTED.iter().any(|(counted, ..)| counted == metric))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::core::Collector;
    use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts};

    fn closed(counts: &[(&str, u64)]) -> Vec<MetricFamily> {
        let family = IntCounterVec::new(Opts::new("aether_sessions_closed_total", "h"), &["cause"]).unwrap();
        for (cause, count) in counts {
            family.with_label_values(&[cause]).inc_by(*count);
        }
        family.collect()
    }

    #[test]
    fn a_family_is_split_by_its_labels_and_nothing_is_counted_twice() {
        let before = Totals::of(&closed(&[("client", 5)]));
        let after = Totals::of(&closed(&[("client", 7), ("slow", 1), ("no pong", 2), ("silent", 3), ("shutdown", 4), ("bad request", 5)]));
        let cases = [
            (Metric::SessionsClosed, 17.0),
            (Metric::ClosedByClient, 2.0),
            (Metric::ClosedSlow, 1.0),
            (Metric::ClosedSilent, 5.0),
            (Metric::ClosedExpired, 0.0),
            (Metric::ClosedShutdown, 4.0),
            (Metric::ClosedOther, 5.0),
            (Metric::Panics, 0.0),
        ];
        for (metric, expected) in cases {
            assert_eq!(after.since(&before, metric), expected, "{}", metric.name());
        }
        assert_eq!(before.since(&after, Metric::SessionsClosed), 0.0, "never less than nothing");
    }

    #[test]
    fn calls_of_the_store_and_the_certificate_are_read() {
        let family = HistogramVec::new(HistogramOpts::new(STORE_SECONDS, "h"), &["part"]).unwrap();
        family.with_label_values(&["users"]).observe(0.5);
        family.with_label_values(&["audit"]).observe(1.5);
        let gauge = IntGauge::new(CERTIFICATE, "h").unwrap();
        gauge.set(1_800_000_000);
        let totals = Totals::of(&[family.collect(), gauge.collect()].concat());
        assert_eq!((totals.store, totals.certificate_ends), ((2, 2.0), Some(1_800_000_000)));
        assert_eq!(Totals::of(&[]), Totals::default());
    }
}

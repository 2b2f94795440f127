//! What a run found: one value, printed for a person or as JSON for a script.

use super::engine::Counts;
use super::process::{Resident, Server};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// All figures of one run. What the scenario does not measure is absent. Times in microseconds unless the name says otherwise.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub scenario: &'static str,
    pub protocol: String,
    pub url: String,
    pub connections: usize,
    pub channels: usize,
    pub payload_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<Connect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    pub integrity: Integrity,
    /// Processor time that the tool itself used while it measured, in cores. Near 1 the tool was the limit.
    pub tool_cores: f64,
    /// Processor time that neither the server nor the tool used, in cores. Where it is much, latencies say more about the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others_cores: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_trouble: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Connect {
    pub seconds: f64,
    pub per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_us_each: Option<f64>,
}

#[derive(Debug, Serialize)]
pub struct Delivery {
    pub seconds: f64,
    pub publications: u64,
    pub deliveries: u64,
    pub publications_per_second: f64,
    pub deliveries_per_second: f64,
    /// That came to the tool, publishers' answers included.
    pub bytes_per_delivery: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_us_per_delivery: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_us_per_publication: Option<f64>,
    /// Processor time of the server while it was measured, in cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cores: Option<f64>,
    pub latency_us: Latency,
    /// The furthest that publishing was behind its schedule.
    pub behind_ms_max: f64,
    /// Times that deliveries stayed out for so long that the window was opened without them.
    pub stalls: u64,
}

#[derive(Debug, Serialize)]
pub struct Latency {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

#[derive(Debug, Serialize)]
pub struct Recovery {
    pub missed_each: u64,
    pub recovered_clients: u64,
    pub seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_us_per_client: Option<f64>,
}

#[derive(Debug, Serialize)]
pub struct Memory {
    pub before_kib: f64,
    pub connected_kib: f64,
    pub after_kib: f64,
    /// Resident memory that each connection added.
    pub kib_per_connection: f64,
    /// What of it was still resident after all had left.
    pub kib_per_connection_kept: f64,
}

#[derive(Debug, Default, Serialize)]
pub struct Integrity {
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub foreign: u64,
    pub closed: u64,
    pub refused: u64,
}

impl Integrity {
    pub fn new(lost: u64, counts: Counts) -> Self {
        let Counts { duplicated, reordered, foreign, closed, refused, .. } = counts;
        Self { lost, duplicated, reordered, foreign, closed, refused }
    }

    /// Messages of others are no fault: the channel may be in use.
    pub fn is_whole(&self) -> bool {
        self.lost + self.duplicated + self.reordered + self.closed + self.refused == 0
    }
}

impl Latency {
    pub fn new(histogram: &Histogram<u64>) -> Self {
        let at = |quantile: f64| round(histogram.value_at_quantile(quantile) as f64 / 1e3);
        Self {
            mean: round(histogram.mean() / 1e3),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: round(histogram.max() as f64 / 1e3),
        }
    }
}

impl Memory {
    pub fn new(server: &Server, connections: usize, before: Resident, connected: Resident, after: Resident) -> Self {
        let kib = |resident: Resident| server.headline(resident) as f64 / 1_024.0;
        let (before_kib, connected_kib, after_kib) = (kib(before), kib(connected), kib(after));
        let each = |now: f64| round((now - before_kib) / connections as f64);
        Self { before_kib, connected_kib, after_kib, kib_per_connection: each(connected_kib), kib_per_connection_kept: each(after_kib) }
    }
}

/// Microseconds of `time` for each of `count`.
pub fn us_each(time: Duration, count: u64) -> f64 {
    if count == 0 { 0.0 } else { round(time.as_secs_f64() * 1e6 / count as f64) }
}

pub fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { round(count as f64 / seconds) } else { 0.0 }
}

/// Three decimals: what is finer is noise.
pub fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

impl Report {
    /// For a person.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: String| {
            let _ = writeln!(text, "{label:<14} {value}");
        };
        line(
            self.scenario,
            format!("{} × {} ({}), {} channel(s), {} B payload", self.connections, self.url, self.protocol, self.channels, self.payload_bytes),
        );
        let optional = |figure: Option<f64>, unit: &str| figure.map_or(String::new(), |figure| format!(", {figure} {unit}"));
        if let Some(Connect { seconds, per_second, server_cpu_us_each }) = &self.connect {
            line("connect", format!("{per_second:.0}/s ({seconds} s){}", optional(*server_cpu_us_each, "µs server CPU each")));
        }
        if let Some(delivery) = &self.delivery {
            line(
                "deliveries",
                format!(
                    "{:.0}/s of {:.0} publications/s ({} in {} s), {:.0} B each{}{}{}",
                    delivery.deliveries_per_second,
                    delivery.publications_per_second,
                    delivery.deliveries,
                    delivery.seconds,
                    delivery.bytes_per_delivery,
                    optional(delivery.server_cpu_us_per_delivery, "µs server CPU per delivery"),
                    optional(delivery.server_cpu_us_per_publication, "per publication"),
                    optional(delivery.server_cores, "cores"),
                ),
            );
            let Latency { mean, p50, p90, p99, p999, max } = delivery.latency_us;
            line("latency µs", format!("mean {mean}, p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}"));
            line("schedule", format!("at most {} ms behind, {} stalls", delivery.behind_ms_max, delivery.stalls));
        }
        if let Some(Recovery { missed_each, recovered_clients, seconds, server_cpu_us_per_client }) = &self.recovery {
            line(
                "recovery",
                format!(
                    "{recovered_clients} clients × {missed_each} missed messages in {seconds} s{}",
                    optional(*server_cpu_us_per_client, "µs server CPU per client")
                ),
            );
        }
        if let Some(memory) = &self.memory {
            line(
                "memory",
                format!(
                    "{} KiB per connection, {} KiB after all left ({:.0} → {:.0} → {:.0} KiB resident)",
                    memory.kib_per_connection, memory.kib_per_connection_kept, memory.before_kib, memory.connected_kib, memory.after_kib
                ),
            );
        }
        let Integrity { lost, duplicated, reordered, foreign, closed, refused } = &self.integrity;
        line(
            "integrity",
            format!("{lost} lost, {duplicated} duplicated, {reordered} reordered, {foreign} foreign, {closed} closed, {refused} refused"),
        );
        line("tool", format!("{} cores{}", self.tool_cores, optional(self.others_cores, "cores used by others on this machine")));
        if let Some(trouble) = &self.first_trouble {
            line("first trouble", trouble.clone());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_what_they_say() {
        assert_eq!(us_each(Duration::from_millis(120), 2_000), 60.0);
        assert_eq!((us_each(Duration::from_secs(1), 0), per_second(5, 0.0), per_second(10, 4.0)), (0.0, 0.0, 2.5));
        let mut histogram = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).unwrap();
        (1..=1_000u64).for_each(|us| histogram.record(us * 1_000).unwrap());
        let latency = Latency::new(&histogram);
        for (figure, expected) in [(latency.p50, 500.0), (latency.p90, 900.0), (latency.p99, 990.0), (latency.max, 1_000.0), (latency.mean, 500.5)] {
            assert!((figure - expected).abs() <= expected / 500.0, "{figure} for {expected}");
        }
        let server = Server::new(&[]).unwrap();
        let resident = |rss: u64| Resident { rss, pss: 0 };
        let memory = Memory::new(&server, 1_000, resident(1 << 20), resident(5 << 20), resident(2 << 20));
        assert_eq!((memory.kib_per_connection, memory.kib_per_connection_kept), (4.096, 1.024));
    }

    #[test]
    fn a_report_names_what_went_wrong_and_leaves_out_what_was_not_measured() {
        let integrity = Integrity::new(3, Counts { duplicated: 2, foreign: 9, ..Counts::default() });
        assert!(!integrity.is_whole() && Integrity::new(0, Counts { foreign: 9, ..Counts::default() }).is_whole());
        let report = Report { scenario: "fanout", integrity, first_trouble: Some("it broke".into()), ..Report::default() };
        let text = report.text();
        assert!(text.contains("3 lost, 2 duplicated, 0 reordered, 9 foreign") && text.contains("it broke"), "{text}");
        assert!(!text.contains("latency"), "{text}");
        assert!(!serde_json::to_string(&report).unwrap().contains("delivery"));
    }
}

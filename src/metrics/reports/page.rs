//! A report for people: what stands out first, then the figures. Pure.

use super::report::{CANARIES, Connections, Delivery, Fired, Latency, ObjectiveKept, Report, Resource, percent, quantity};
use crate::calendar::{Period, minute_of};
use crate::document::{Document, Fact};
use crate::metrics::alerts::spoken;
use crate::metrics::catalogue::{Metric, Unit};
use crate::upstream::week_parts;

/// The report as a document.
pub fn document(report: &Report) -> Document {
    let mut document = Document::new(title(report));
    let Report { node, version, made_at, measured, .. } = report;
    let over = if report.is_over { "" } else { " The time that it is about is not over." };
    let whole = if report.is_whole { "" } else { " The store could not be read: figures are missing." };
    document.text(format!(
        "{node}, Aether {version}. Made on {}. The hub was measured for {} of the time; all times are UTC.{over}{whole}",
        minute_of(*made_at),
        percent(*measured)
    ));
    document.facts(facts(report));
    document.heading("What stands out");
    document.list(report.findings.iter().cloned());
    document.heading("What was promised");
    let row = |ObjectiveKept { name, goal, share, of, budget_left }: &ObjectiveKept| {
        vec![
            name.clone(),
            percent(*goal),
            share.map_or_else(none, percent),
            grouped(*of as f64),
            budget_left.map_or_else(none, |left| format!("{:.0} %", left * 100.0)),
        ]
    };
    document.table(&["objective", "goal", "kept", "of", "error budget left"], report.objectives.iter().map(row));
    document.heading("Alerts");
    let row = |Fired { title, severity, count, active_ms, longest_ms, is_firing, subjects, .. }: &Fired| {
        let name = if *count == 1 || subjects.len() < 2 { title.clone() } else { format!("{title}; {}", subjects.join(", ")) };
        let last = if *is_firing { "firing" } else { "over" };
        vec![name, severity.as_str().to_string(), count.to_string(), spoken(*active_ms), spoken(*longest_ms), last.to_string()]
    };
    document.table(&["alert", "severity", "times", "in all", "longest", "at the end"], report.alerts.iter().map(row));
    if report.alerts_are_cut {
        document.text("More alerts were resolved since than the hub remembers: some may be missing.");
    }
    document.heading("How long things took");
    let ms = |value: Option<f64>| value.map_or_else(none, |value| amount(value, Unit::Ms));
    let row = |Latency { path, percentile, mean_ms, most_ms }: &Latency| vec![path.clone(), percentile.clone(), ms(*mean_ms), ms(*most_ms)];
    document.table(&["path", "percentile", "mean", "at worst"], report.latency.iter().map(row));
    document.heading("Trouble by its cause");
    let row = |cause: &super::report::Cause| {
        let help = Metric::parse(&cause.metric).map_or("", Metric::help);
        let whose = if cause.is_own { "the hub's" } else { "others'" };
        vec![format!("{}: {help}", cause.metric), grouped(cause.count as f64), whose.to_string(), changed(cause.change_percent)]
    };
    let before = format!("against the {} before", report.period.as_str());
    document.table(&["cause", "times", "whose", &before], report.errors.iter().map(row));
    document.hours("Deliveries by hour", report.hours.iter().map(|hour| hour.delivered as f64));
    document.hours("Most sessions by hour", report.hours.iter().map(|hour| hour.sessions));
    document.hours("The hub's own trouble by hour", report.hours.iter().map(|hour| hour.errors as f64));
    if !report.days.is_empty() {
        document.heading("Days");
        let row = |day: &super::report::DayOf| {
            let numbers = [day.sessions, day.opened as f64, day.delivered as f64, day.errors as f64];
            std::iter::once(day.date.clone()).chain(numbers.map(grouped)).collect()
        };
        document.table(&["day", "most sessions", "connections", "deliveries", "trouble"], report.days.iter().map(row));
    }
    let Connections { closed_by, .. } = &report.connections;
    document.heading("Why connections ended");
    document.table(&["end", "times"], closed_by.iter().map(|(why, count)| vec![why.clone(), grouped(*count as f64)]));
    document.heading("What was used");
    let row = |Resource { metric, unit, min, avg, max, change_percent }: &Resource| {
        let numbers = [min, avg, max].map(|value| amount(*value, *unit));
        std::iter::once(metric.clone()).chain(numbers).chain([changed(*change_percent)]).collect()
    };
    document.table(&["of what", "least", "mean", "most", &before], report.resources.iter().map(row));
    document.heading("Growth that load does not explain, an hour");
    let row = |leak: &super::report::Leak| {
        let told = |growth: Option<f64>| if growth.is_some() { quantity(growth, &leak.what) } else { none() };
        vec![leak.what.clone(), told(leak.mean_per_hour), told(leak.most_per_hour), if leak.is_suspected { "suspected" } else { "no" }.to_string()]
    };
    document.table(&["of what", "mean", "most", "a leak?"], report.leaks.iter().map(row));
    document.heading("Feeds");
    match &report.feeds {
        Some(feeds) => week_parts(feeds, &mut document),
        None => document.text("Nothing was noted of feeds."),
    }
    document
}

/// The line that names a report, for pages and mails.
pub fn title(report: &Report) -> String {
    match report.period {
        Period::Day => format!("{}: the day {}", report.node, report.from),
        Period::Week => format!("{}: the week from {} to {}", report.node, report.from, report.to),
    }
}

fn facts(report: &Report) -> Vec<Fact> {
    let Report { connections, delivery, objectives, alerts, .. } = report;
    let Delivery { delivered, published, canaries, canaries_lost, recovered, not_recovered, .. } = delivery;
    let p99 = report.latency.iter().find(|latency| latency.path == CANARIES && latency.percentile == "p99").and_then(|latency| latency.mean_ms);
    let kept = objectives.iter().filter(|objective| objective.share.is_none_or(|share| share >= objective.goal)).count();
    let own: u64 = report.errors.iter().filter(|cause| cause.is_own).map(|cause| cause.count).sum();
    let fired: u64 = alerts.iter().map(|fired| fired.count).sum();
    let busiest: Vec<String> = report.busiest_hours.iter().map(|hour| format!("{hour:02}:00")).collect();
    let or_none = |share: Option<f64>| share.map_or_else(none, percent);
    vec![
        Fact::new(
            "Sessions, at most",
            connections.most.map_or_else(none, grouped),
            format!("{} on the average", connections.mean.map_or_else(none, grouped)),
        ),
        Fact::new(
            "Connections let in",
            or_none(connections.success),
            format!("{} began, {} refused", grouped(connections.opened as f64), grouped(connections.refused as f64)),
        ),
        Fact::new("Deliveries", grouped(*delivered as f64), format!("of {} publications", grouped(*published as f64))),
        Fact::new(
            "Canaries that arrived",
            or_none(delivery.success),
            format!("{} lost of {}", grouped(*canaries_lost as f64), grouped(*canaries as f64)),
        ),
        Fact::new("Latency, p99", p99.map_or_else(none, |p99| amount(p99, Unit::Ms)), "mean of all readings"),
        Fact::new("Came back with a gap", grouped(*not_recovered as f64), format!("{} missed nothing", grouped(*recovered as f64))),
        Fact::new("Objectives kept", format!("{kept} of {}", objectives.len()), ""),
        Fact::new("Alerts", grouped(fired as f64), format!("of {} rules", alerts.len())),
        Fact::new("The hub's own trouble", grouped(own as f64), "of all causes"),
        Fact::new("Busiest hours", if busiest.is_empty() { none() } else { busiest.join(", ") }, "by deliveries"),
    ]
}

/// There is nothing to say.
fn none() -> String {
    "–".to_string()
}

fn changed(percent: Option<f64>) -> String {
    percent.map_or_else(none, |percent| format!("{percent:+.0} %"))
}

/// Whole numbers in groups of three digits; below ten with a digit behind the point, where there is something.
fn grouped(value: f64) -> String {
    if value.abs() < 10.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0.0 && out != "0" { format!("-{out}") } else { out }
}

/// A reading with its unit.
pub fn amount(value: f64, unit: Unit) -> String {
    let bytes = |value: f64| {
        let (mut value, mut unit) = (value, "B");
        for larger in ["KiB", "MiB", "GiB", "TiB"] {
            if value.abs() < 1_024.0 {
                break;
            }
            (value, unit) = (value / 1_024.0, larger);
        }
        if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") }
    };
    match unit {
        Unit::Count => grouped(value),
        Unit::PerSecond => format!("{} /s", grouped(value)),
        Unit::Bytes => bytes(value),
        Unit::BytesPerSecond => format!("{}/s", bytes(value)),
        Unit::Ms => format!("{value:.1} ms"),
        Unit::Seconds => spoken((value.max(0.0) * 1_000.0) as u64),
        Unit::Ratio => percent(value),
        Unit::Percent => format!("{value:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_people_read_them() {
        for (value, told) in
            [(0.0, "0"), (0.25, "0.2"), (7.0, "7"), (999.4, "999"), (1_000.0, "1,000"), (1_234_567.0, "1,234,567"), (-1_500.0, "-1,500"), (-0.0, "0")]
        {
            assert_eq!(grouped(value), told, "{value}");
        }
        for (value, unit, told) in [
            (512.0, Unit::Bytes, "512 B"),
            (1_536.0, Unit::Bytes, "1.5 KiB"),
            (3e9, Unit::BytesPerSecond, "2.8 GiB/s"),
            (7.25, Unit::Ms, "7.2 ms"),
            (90.0, Unit::Seconds, "1 min 30 s"),
            (0.5, Unit::Ratio, "50 %"),
            (12.34, Unit::Percent, "12.3 %"),
            (1_200.0, Unit::PerSecond, "1,200 /s"),
        ] {
            assert_eq!(amount(value, unit), told);
        }
    }
}

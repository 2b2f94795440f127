//! Questions to history, and its answers in the shapes of others: JSON, CSV, OpenMetrics. Pure.
//!
//! Called by operators' commands and by the server API. Bounded by the one who asks: metrics and steps of one answer.

use super::{Answer, Query, Reading};
use crate::calendar::{date_of, day_of};
use crate::metrics::catalogue::Metric;
use crate::store::WallMs;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Steps of an answer where nothing else is asked for.
const STEPS_DEFAULT: WallMs = 600;

/// What is asked for where nothing is said, milliseconds: an hour.
const SPAN_DEFAULT_MS: WallMs = 3_600_000;

/// What makes a metric's name in OpenMetrics.
const PREFIX: &str = "aether_history_";

/// A part of each reading, by its name.
type Part = (&'static str, fn(&Reading) -> f64);

const PARTS: [Part; 3] = [("avg", |one| one.avg), ("min", |one| one.min), ("max", |one| one.max)];

/// What is asked for, where that makes sense. `steps_max`: of all metrics of one answer together.
pub fn query(
    metrics: Vec<Metric>,
    (from, to): (Option<WallMs>, Option<WallMs>),
    step_ms: Option<u64>,
    now: WallMs,
    steps_max: usize,
) -> Result<Query, String> {
    let to = to.unwrap_or(now).min(now);
    let from = from.unwrap_or(to.saturating_sub(SPAN_DEFAULT_MS)).max(0);
    if from >= to {
        return Err("\"from\" must be before \"to\" and before now".to_string());
    }
    let step_ms = match step_ms {
        Some(step_ms) => i64::try_from(step_ms).unwrap_or(i64::MAX).clamp(1_000, to - from + 1_000),
        None => ((to - from) / STEPS_DEFAULT).max(1_000),
    };
    let steps = usize::try_from((to - from) / step_ms).unwrap_or(usize::MAX).saturating_mul(metrics.len());
    if steps > steps_max {
        return Err(format!("these are {steps} steps of all metrics together, {steps_max} are the most: ask for longer steps"));
    }
    Ok(Query { metrics, from, to, step_ms })
}

/// As commands and the server API tell it.
pub fn told(answer: &Answer) -> Value {
    let metrics: Map<String, Value> = answer
        .columns
        .iter()
        .map(|(metric, readings)| {
            let column = |of: fn(&Reading) -> f64| -> Vec<Option<f64>> {
                readings.iter().map(|reading| reading.as_ref().map(|reading| short(of(reading)))).collect()
            };
            let columns: Map<String, Value> = PARTS.iter().map(|(part, of)| (part.to_string(), json!(column(*of)))).collect();
            (metric.name().to_string(), Value::Object(columns))
        })
        .collect();
    json!({
        "from": answer.from,
        "to": answer.to,
        "step_ms": answer.step_ms,
        "tier_ms": answer.tier_ms,
        "metrics": metrics,
        "is_whole": answer.is_whole,
    })
}

/// Six digits that count: what was kept has seven.
fn short(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// A line for each step (RFC 4180), with a heading; what there is no reading of is empty. Names have neither commas nor quotes.
pub fn csv(answer: &Answer) -> String {
    let mut out = String::from("time,time_ms");
    for (metric, _) in &answer.columns {
        PARTS.iter().for_each(|(part, _)| _ = write!(out, ",{}.{part}", metric.name()));
    }
    let steps = answer.columns.iter().map(|(_, column)| column.len()).max().unwrap_or(0);
    for step in 0..steps {
        let at = answer.from + step as WallMs * answer.step_ms;
        let seconds = at.div_euclid(1_000).rem_euclid(86_400);
        let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
        let _ = write!(out, "\r\n{}T{hours:02}:{minutes:02}:{:02}Z,{at}", date_of(day_of(at)), seconds % 60);
        for (_, column) in &answer.columns {
            for (_, of) in PARTS {
                out.push(',');
                if let Some(reading) = column.get(step).and_then(Option::as_ref) {
                    let _ = write!(out, "{}", short(of(reading)));
                }
            }
        }
    }
    out.push_str("\r\n");
    out
}

/// Text that `promtool tsdb create-blocks-from openmetrics` reads (OpenMetrics 1.0): a gauge for each metric, its parts told apart by the label `stat`,
/// with times.
pub fn openmetrics(answer: &Answer) -> String {
    let mut out = String::new();
    for (metric, column) in &answer.columns {
        let name = format!("{PREFIX}{}", metric.name().replace('.', "_"));
        let help = metric.help().replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        let _ = write!(out, "# TYPE {name} gauge\n# HELP {name} {help}\n");
        for (part, of) in PARTS {
            for (step, reading) in column.iter().enumerate() {
                if let Some(reading) = reading {
                    let at = answer.from + step as WallMs * answer.step_ms;
                    let _ = writeln!(out, "{name}{{stat=\"{part}\"}} {} {}.{:03}", short(of(reading)), at / 1_000, at % 1_000);
                }
            }
        }
    }
    out.push_str("# EOF\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_completed_and_refused_where_it_makes_no_sense() {
        const NOW: i64 = 1_800_000_000_000;
        let ask = |from: Option<i64>, to: Option<i64>, step_ms| {
            query(vec![Metric::SessionsOpen, Metric::Panics], (from, to), step_ms, NOW, 12_000)
                .map(|query| (NOW - query.from, NOW - query.to, query.step_ms))
        };
        assert_eq!(ask(None, None, None), Ok((3_600_000, 0, 6_000)));
        assert_eq!(ask(Some(NOW - 60_000), None, None), Ok((60_000, 0, 1_000)));
        assert_eq!(ask(Some(NOW - 86_400_000), Some(NOW + 5), Some(60_000)), Ok((86_400_000, 0, 60_000)));
        assert_eq!(ask(None, None, Some(u64::MAX)), Ok((3_600_000, 0, 3_601_000)), "one step for all");
        assert_eq!(ask(None, None, Some(0)), Ok((3_600_000, 0, 1_000)));
        for (from, to, step_ms, says) in [
            (Some(NOW), None, None, "before"),
            (Some(5), Some(4), None, "before"),
            (Some(NOW - 86_400_000), None, Some(1_000), "longer steps"),
            (Some(i64::MIN), Some(i64::MIN), None, "before"),
        ] {
            assert!(ask(from, to, step_ms).is_err_and(|why| why.contains(says)), "{from:?} {to:?} {step_ms:?}");
        }
        assert!(ask(Some(i64::MIN), Some(i64::MAX), None).is_ok());
    }

    #[test]
    fn numbers_are_told_with_the_digits_that_count() {
        for (value, told) in [(0.0, 0.0), (0.1f64 + 0.2, 0.3), (123_456_789.0, 123_457_000.0), (-1.000_000_4, -1.0), (1e-300, 1e-300)] {
            assert_eq!(short(value), told, "{value}");
        }
    }

    #[test]
    fn an_answer_in_each_shape() {
        let reading = |avg: f64| Some(Reading { min: avg - 1.0, avg, max: avg + 1.0 });
        let answer = Answer {
            from: 1_795_219_200_000,
            to: 1_795_219_202_000,
            step_ms: 1_000,
            tier_ms: 1_000,
            columns: vec![(Metric::SessionsOpen, vec![reading(2.5), None]), (Metric::LatencyP99, vec![None, reading(7.0)])],
            is_whole: true,
        };
        assert_eq!(
            csv(&answer),
            "time,time_ms,sessions.open.avg,sessions.open.min,sessions.open.max,latency.p99_ms.avg,latency.p99_ms.min,latency.p99_ms.max\r\n\
             2026-11-21T00:00:00Z,1795219200000,2.5,1.5,3.5,,,\r\n\
             2026-11-21T00:00:01Z,1795219201000,,,,7,6,8\r\n"
        );
        let text = openmetrics(&answer);
        assert_eq!(
            text,
            "# TYPE aether_history_sessions_open gauge\n\
             # HELP aether_history_sessions_open Clients that are connected and have said who they are.\n\
             aether_history_sessions_open{stat=\"avg\"} 2.5 1795219200.000\n\
             aether_history_sessions_open{stat=\"min\"} 1.5 1795219200.000\n\
             aether_history_sessions_open{stat=\"max\"} 3.5 1795219200.000\n\
             # TYPE aether_history_latency_p99_ms gauge\n\
             # HELP aether_history_latency_p99_ms 99 of 100 did.\n\
             aether_history_latency_p99_ms{stat=\"avg\"} 7 1795219201.000\n\
             aether_history_latency_p99_ms{stat=\"min\"} 6 1795219201.000\n\
             aether_history_latency_p99_ms{stat=\"max\"} 8 1795219201.000\n\
             # EOF\n"
        );
        assert_eq!(told(&answer)["metrics"]["sessions.open"], json!({ "avg": [2.5, null], "min": [1.5, null], "max": [3.5, null] }));
    }
}

//! `admin.metrics.*`: how the hub does, and how it did.

use super::{Failure, commands};
use crate::admin::arguments::{Field, Moment, arguments};
use crate::admin::desk::Desk;
use crate::auth::Right;
use crate::metrics::Observatory;
use crate::metrics::catalogue::{FeedMetric, Metric};
use crate::metrics::history::{Answer, Query};
use crate::session::procedures::Caller;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Metrics that one question is about.
const METRICS_MAX: usize = 16;

/// Steps of an answer where nothing else is asked for, and of all metrics of one answer at most: 300 KiB with least, mean and most.
const STEPS_DEFAULT: i64 = 600;
const STEPS_MAX: usize = 12_000;

/// What is asked for where nothing is said, milliseconds: an hour.
const SPAN_DEFAULT_MS: i64 = 3_600_000;

commands! {
    "admin.metrics.history" Some(Right::MetricsRead), Looks, "", History, history, r#"{"metrics":["sessions.open","latency.p99_ms"],"step_ms":60000}"#,
        "Shows what was measured earlier: least, mean and most of each step, for a year back.";
    "admin.metrics.list" Some(Right::MetricsRead), Looks, "", List, list, "{}",
        "Lists what is measured, with units and meanings.";
    "admin.metrics.now" Some(Right::MetricsRead), Looks, "", Now, now, "{}",
        "Shows the newest measurement of everything, the objectives, and what measuring costs.";
}

pub(super) fn observatory(desk: &Desk) -> Result<&Arc<Observatory>, Failure> {
    desk.metrics.as_ref().ok_or_else(|| Failure::NotAvailable("nothing is measured: metrics.enabled is off".to_string()))
}

arguments! {
    Now {}
}

async fn now(desk: Arc<Desk>, _: Caller, _: Now) -> Result<Value, Failure> {
    Ok(observatory(&desk)?.now())
}

arguments! {
    List {}
}

async fn list(_: Arc<Desk>, _: Caller, _: List) -> Result<Value, Failure> {
    let metrics = Metric::ALL.iter().map(|metric| metric.described()).chain(FeedMetric::ALL.map(FeedMetric::described));
    Ok(json!({ "metrics": metrics.collect::<Vec<_>>() }))
}

/// Some metrics, each once.
struct Metrics(Vec<Metric>);

impl Field for Metrics {
    fn schema() -> Value {
        let names: Vec<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        json!({ "type": "array", "items": { "enum": names }, "minItems": 1, "maxItems": METRICS_MAX, "uniqueItems": true })
    }
    fn must() -> String {
        format!("a list of 1 to {METRICS_MAX} different metrics of admin.metrics.list, but those of single feeds")
    }
    fn read(value: &Value) -> Option<Self> {
        let names = value.as_array().filter(|names| (1..=METRICS_MAX).contains(&names.len()))?;
        let metrics: Vec<Metric> = names.iter().map(|name| Metric::parse(name.as_str()?)).collect::<Option<_>>()?;
        let is_each_once = metrics.iter().enumerate().all(|(index, metric)| !metrics[..index].contains(metric));
        is_each_once.then_some(Self(metrics))
    }
}

arguments! {
    History {
        /// Which metrics.
        metrics: Metrics,
        /// From this time on; without it the hour before `to`.
        from: Option<Moment>,
        /// Before this time; without it until now.
        to: Option<Moment>,
        /// Steps of the answer are at least this long; without it as long that there are 600 of them.
        step_ms: Option<u64>,
    }
}

async fn history(desk: Arc<Desk>, _: Caller, History { metrics, from, to, step_ms }: History) -> Result<Value, Failure> {
    let now = desk.clock.wall_ms();
    let query = query(metrics.0, (from, to), step_ms, now).map_err(Failure::Bad)?;
    let history = observatory(&desk)?.history().ok_or_else(|| Failure::NotAvailable("metrics.history is off".to_string()))?;
    Ok(told(&history.find(&query, now).await))
}

/// What is asked for, where that makes sense.
fn query(metrics: Vec<Metric>, (from, to): (Option<Moment>, Option<Moment>), step_ms: Option<u64>, now: i64) -> Result<Query, String> {
    let to = to.map_or(now, |Moment(at)| at).min(now);
    let from = from.map_or(to.saturating_sub(SPAN_DEFAULT_MS), |Moment(at)| at).max(0);
    if from >= to {
        return Err("\"from\" must be before \"to\" and before now".to_string());
    }
    let step_ms = match step_ms {
        Some(step_ms) => i64::try_from(step_ms).unwrap_or(i64::MAX).clamp(1_000, to - from + 1_000),
        None => ((to - from) / STEPS_DEFAULT).max(1_000),
    };
    let steps = usize::try_from((to - from) / step_ms).unwrap_or(usize::MAX).saturating_mul(metrics.len());
    if steps > STEPS_MAX {
        return Err(format!("these are {steps} steps of all metrics together, {STEPS_MAX} are the most: ask for longer steps"));
    }
    Ok(Query { metrics, from, to, step_ms })
}

fn told(answer: &Answer) -> Value {
    let metrics: Map<String, Value> = answer
        .columns
        .iter()
        .map(|(metric, readings)| {
            let column = |of: fn(&crate::metrics::history::Reading) -> f64| -> Vec<Option<f64>> {
                readings.iter().map(|reading| reading.as_ref().map(|reading| short(of(reading)))).collect()
            };
            let column = json!({ "min": column(|one| one.min), "avg": column(|one| one.avg), "max": column(|one| one.max) });
            (metric.name().to_string(), column)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_completed_and_refused_where_it_makes_no_sense() {
        const NOW: i64 = 1_800_000_000_000;
        let ask = |from: Option<i64>, to: Option<i64>, step_ms| {
            query(vec![Metric::SessionsOpen, Metric::Panics], (from.map(Moment), to.map(Moment)), step_ms, NOW)
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
    fn metrics_are_named_each_once() {
        let read = |value: Value| Metrics::read(&value).map(|Metrics(metrics)| metrics.len());
        assert_eq!(read(json!(["panics", "sessions.open"])), Some(2));
        for bad in [
            json!([]),
            json!("panics"),
            json!(["panics", "panics"]),
            json!(["nothing"]),
            json!([1]),
            json!(["feed.down_seconds"]),
            json!(vec!["panics"; 17]),
        ] {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
    }
}

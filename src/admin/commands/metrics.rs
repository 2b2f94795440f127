//! `admin.metrics.*`: how the hub does, and how it did.

use super::{Failure, commands};
use crate::admin::arguments::{Field, Moment, arguments};
use crate::admin::desk::Desk;
use crate::auth::Right;
use crate::metrics::Observatory;
use crate::metrics::catalogue::{FeedMetric, Metric};
use crate::metrics::history::export;
use crate::session::procedures::Caller;
use serde_json::{Value, json};
use std::sync::Arc;

/// Metrics that one question is about.
const METRICS_MAX: usize = 16;

/// Steps of all metrics of one answer at most: 300 KiB with least, mean and most.
const STEPS_MAX: usize = 12_000;

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
    let moment = |moment: Option<Moment>| moment.map(|Moment(at)| at);
    let query = export::query(metrics.0, (moment(from), moment(to)), step_ms, now, STEPS_MAX).map_err(Failure::Bad)?;
    let history = observatory(&desk)?.history().ok_or_else(|| Failure::NotAvailable("metrics.history is off".to_string()))?;
    Ok(export::told(&history.find(&query, now).await))
}

#[cfg(test)]
mod tests {
    use super::*;

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

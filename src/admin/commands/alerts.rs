//! `admin.alerts.*`: what is wrong, by which rules, and who is not to be told of it.

use super::metrics::observatory;
use super::{Failure, commands};
use crate::admin::arguments::{Field, Moment, Page, Words, arguments};
use crate::admin::desk::Desk;
use crate::auth::Right;
use crate::metrics::Changed;
use crate::metrics::alerts::{About, AlertError, Alerts, Rule, Silence, preview};
use crate::metrics::history::{Query, Reading};
use crate::session::procedures::Caller;
use crate::units::HumanDuration;
use serde_json::{Value, json};
use std::sync::Arc;

/// The longest silence: nobody remembers what was silenced for ever.
const SILENCE_MS_MAX: i64 = 30 * 86_400_000;

/// What a preview looks at where nothing is said, milliseconds: a day. And the steps that it looks at at most, for it judges each of them.
const PREVIEW_MS: i64 = 86_400_000;
const PREVIEW_STEPS_MAX: i64 = 10_000;

commands! {
    "admin.alerts.ack" Some(Right::AlertsWrite), Changes, "alert", Acknowledge, acknowledge, r#"{"alert":"019a2b7c-0000-7000-8000-000000000000"}"#,
        "Says that somebody looks after an alert: it is not told again until it is resolved.";
    "admin.alerts.history" Some(Right::MetricsRead), Looks, "", History, history, r#"{"limit":20}"#,
        "Lists alerts that are resolved, the newest first.";
    "admin.alerts.list" Some(Right::MetricsRead), Looks, "", List, list, "{}",
        "Lists alerts that are pending or firing, the worst first, and the silences.";
    "admin.alerts.preview" Some(Right::MetricsRead), Looks, "", Try, try_rule, r#"{"rule":{"name":"latency","metric":"latency.p99_ms","condition":"above","value":30,"for_ms":60000,"severity":"warning","title":"Messages are slow"}}"#,
        "Says when a rule would have fired, by what was measured.";
    "admin.alerts.remove_rule" Some(Right::AlertsWrite), Changes, "rule", Named, remove_rule, r#"{"rule":"latency"}"#,
        "Removes a rule; one of the hub's own is again as it was.";
    "admin.alerts.rules" Some(Right::MetricsRead), Looks, "", Rules, rules, "{}",
        "Lists the rules, and how often each fired in a week.";
    "admin.alerts.set_rule" Some(Right::AlertsWrite), Changes, "", SetRule, set_rule, r#"{"rule":{"name":"latency","metric":"latency.p99_ms","condition":"above","value":30,"for_ms":60000,"severity":"warning","title":"Messages are slow"}}"#,
        "Adds a rule, or replaces the one of its name.";
    "admin.alerts.silence" Some(Right::AlertsWrite), Changes, "rule", SilenceThis, silence, r#"{"rule":"feed_down","subject":"weather","lasting":"8h","why":"they move their data centre"}"#,
        "Tells nobody but the page of a rule's alerts, or of one subject's, for a while.";
    "admin.alerts.unsilence" Some(Right::AlertsWrite), Changes, "silence", Unsilence, unsilence, r#"{"silence":"019a2b7c-0000-7000-8000-000000000000"}"#,
        "Ends a silence.";
}

impl From<AlertError> for Failure {
    fn from(error: AlertError) -> Self {
        let text = error.to_string();
        match error {
            AlertError::BadRule(_) => Self::Bad(text),
            AlertError::Unknown { .. } => Self::NotFound(text),
            AlertError::TooMany { .. } => Self::TooMany(text),
        }
    }
}

/// Looks at the alerts, where rules are judged.
fn look<T>(desk: &Desk, look: impl FnOnce(&Alerts) -> T) -> Result<T, Failure> {
    let observatory = observatory(desk)?;
    if !observatory.settings().has_alerts {
        return Err(Failure::NotAvailable("there are no alerts: alerts.enabled is off".to_string()));
    }
    Ok(observatory.with_alerts(look))
}

fn change(desk: &Desk, change: impl FnOnce(&mut Alerts) -> Result<Changed, AlertError>) -> Result<(), Failure> {
    look(desk, |_| ())?;
    Ok(observatory(desk)?.change_alerts(change)?)
}

fn name(caller: &Caller) -> String {
    caller.user.as_str().to_string()
}

impl Field for Rule {
    fn schema() -> Value {
        Self::schema()
    }
    fn must() -> String {
        "a rule: name, metric, condition (above, below, gone), value, clear, for_ms, clear_for_ms, severity (info, warning, critical), repeat_ms, \
         routes (page, log, webhook, email), is_enabled, title, advice"
            .to_string()
    }
    fn read(value: &Value) -> Option<Self> {
        serde_json::from_value(value.clone()).ok()
    }
}

arguments! {
    List {}
}

async fn list(desk: Arc<Desk>, _: Caller, _: List) -> Result<Value, Failure> {
    look(&desk, |alerts| json!({ "alerts": alerts.active(), "silences": alerts.silences(), "last_resolved_at": alerts.last_resolved_at() }))
}

arguments! {
    History {
        /// Only those that were resolved from this time on.
        from: Option<Moment>,
        /// Only those that were resolved before this time.
        to: Option<Moment>,
        /// Alerts in one answer.
        limit: Page,
    }
}

async fn history(desk: Arc<Desk>, _: Caller, History { from, to, limit }: History) -> Result<Value, Failure> {
    let (from, to) = (from.map_or(i64::MIN, |Moment(at)| at), to.map_or(i64::MAX, |Moment(at)| at));
    look(&desk, |alerts| json!({ "alerts": alerts.resolved(from, to, limit.0) }))
}

arguments! {
    Rules {}
}

async fn rules(desk: Arc<Desk>, _: Caller, _: Rules) -> Result<Value, Failure> {
    let now = desk.clock.wall_ms();
    look(&desk, |alerts| {
        let rules: Vec<Value> = alerts
            .rules(now)
            .map(|(rule, is_default, is_changed, fired_7d)| {
                let mut told = json!(rule);
                told["is_default"] = json!(is_default);
                told["is_changed"] = json!(is_changed);
                told["fired_7d"] = json!(fired_7d);
                told
            })
            .collect();
        json!({ "rules": rules })
    })
}

arguments! {
    SetRule {
        /// The rule.
        rule: Rule,
    }
}

async fn set_rule(desk: Arc<Desk>, _: Caller, SetRule { rule }: SetRule) -> Result<Value, Failure> {
    change(&desk, |alerts| alerts.set_rule(rule).map(|()| Changed::Rules))?;
    Ok(json!({}))
}

arguments! {
    Named {
        /// The rule's name.
        rule: String,
    }
}

async fn remove_rule(desk: Arc<Desk>, _: Caller, Named { rule }: Named) -> Result<Value, Failure> {
    change(&desk, |alerts| alerts.remove_rule(&rule).map(|()| Changed::Rules))?;
    Ok(json!({}))
}

arguments! {
    SilenceThis {
        /// Which rule; without it all.
        rule: Option<String>,
        /// Which feed, for rules about feeds; without it all.
        subject: Option<String>,
        /// For how long, 30 days at most.
        lasting: HumanDuration,
        /// Why, for those who wonder.
        why: Words,
    }
}

async fn silence(desk: Arc<Desk>, caller: Caller, SilenceThis { rule, subject, lasting, why }: SilenceThis) -> Result<Value, Failure> {
    let lasting = i64::try_from(lasting.ms()).unwrap_or(i64::MAX);
    if lasting > SILENCE_MS_MAX {
        return Err(Failure::Bad("30 days are the longest silence".to_string()));
    }
    let since = desk.clock.wall_ms();
    let id = uuid::Uuid::now_v7().to_string();
    let silence = Silence { id: id.clone(), rule, subject, since, until: since.saturating_add(lasting), by: name(&caller), why: why.0 };
    change(&desk, |alerts| alerts.silence(silence).map(|()| Changed::Silences))?;
    Ok(json!({ "silence": id }))
}

arguments! {
    Unsilence {
        /// The silence's id.
        silence: String,
    }
}

async fn unsilence(desk: Arc<Desk>, _: Caller, Unsilence { silence }: Unsilence) -> Result<Value, Failure> {
    let now = desk.clock.wall_ms();
    change(&desk, |alerts| alerts.unsilence(&silence, now).map(|()| Changed::Silences))?;
    Ok(json!({}))
}

arguments! {
    Acknowledge {
        /// The alert's id.
        alert: String,
        /// Nobody looks after it any more.
        undo: bool,
    }
}

async fn acknowledge(desk: Arc<Desk>, caller: Caller, Acknowledge { alert, undo }: Acknowledge) -> Result<Value, Failure> {
    let (by, now) = (name(&caller), desk.clock.wall_ms());
    change(&desk, |alerts| alerts.acknowledge(&alert, (!undo).then_some(&*by), now).map(|notice| Changed::Alert(Box::new(notice))))?;
    Ok(json!({}))
}

arguments! {
    Try {
        /// The rule, as it would be set.
        rule: Rule,
        /// From this time on; without it the day before `to`.
        from: Option<Moment>,
        /// Before this time; without it until now.
        to: Option<Moment>,
    }
}

async fn try_rule(desk: Arc<Desk>, _: Caller, Try { rule, from, to }: Try) -> Result<Value, Failure> {
    let About::House(metric) = rule.check().map_err(|error| Failure::Bad(error.to_string()))? else {
        return Err(Failure::Bad("history does not keep what is measured of single feeds".to_string()));
    };
    let saved = look(&desk, |alerts| alerts.rule(&rule.name).filter(|saved| saved.metric == rule.metric).cloned())?;
    let history = observatory(&desk)?.history().ok_or_else(|| Failure::NotAvailable("metrics.history is off".to_string()))?;
    let now = desk.clock.wall_ms();
    let to = to.map_or(now, |Moment(at)| at).min(now);
    let from = from.map_or(to.saturating_sub(PREVIEW_MS), |Moment(at)| at).max(0);
    if from >= to {
        return Err(Failure::Bad("\"from\" must be before \"to\" and before now".to_string()));
    }
    let query = Query { metrics: vec![metric], from, to, step_ms: ((to - from) / PREVIEW_STEPS_MAX).max(1_000) };
    let found = history.find(&query, now).await;
    let readings = found.columns.first().map_or(&[][..], |(_, readings)| readings);
    let tried = |rule: &Rule| {
        // Of a step the reading that the rule would have fired by.
        let worst = |reading: &Option<Reading>| reading.map(|reading| rule.worse(reading.min, reading.max));
        preview(rule, readings.iter().enumerate().map(|(step, reading)| (found.from + step as i64 * found.step_ms, worst(reading))))
    };
    let told = tried(&rule);
    let firings: Vec<Value> = told.firings.iter().map(|firing| json!({ "from": firing.from, "to": firing.to, "peak": firing.peak })).collect();
    let saved = saved.map(|saved| tried(&saved)).map(|told| json!({ "fired": told.fired, "active_ms": told.active_ms }));
    Ok(json!({
        "from": found.from,
        "to": found.to,
        "step_ms": found.step_ms,
        "fired": told.fired,
        "active_ms": told.active_ms,
        "missing": told.missing,
        "firings": firings,
        "saved": saved,
        "is_whole": found.is_whole,
    }))
}

//! Reports of the whole hub: how a day or a week went, made by the clock and on demand, kept in the store.
//!
//! Made of history, objectives and alerts, so nothing is measured for them. Called by the metrics actor (what is due), by operators' commands and by
//! the server API. Each report stands in the place of its number modulo how many are kept, so old ones are written over. Deliberately absent: samples of
//! its own, and any wish to keep what can be made again.

mod page;
mod report;

pub use page::{amount, document, title};
pub use report::Report;

use super::Observatory;
use crate::calendar::{DAY_MS, Period};
use crate::mail::{self, Letter};
use crate::store::{StoreError, WallMs};
use crate::telemetry::emit;
use crate::telemetry::metrics::ReportMade;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use report::{Facts, question};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Between two looks at whether a report is due.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// In the store: which reports the clock has had made.
const SCHEDULE_KEY: &str = "reports:schedule";

/// Reads of the store that a list has under way.
const READS_AT_ONCE: usize = 8;

/// What the configuration says of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportSettings {
    /// Whether the clock has them made; on demand they always are.
    pub is_scheduled: bool,
    /// Time of the day at which they are made, milliseconds since midnight UTC.
    pub at_ms: WallMs,
    /// The day of the week on which those of weeks are; 0: Monday.
    pub weekday: i64,
    pub days_kept: i64,
    pub weeks_kept: i64,
}

impl ReportSettings {
    /// The report that was to be made last: the newest whole day, or week, when its time of making had come.
    fn due(&self, period: Period, now: WallMs) -> i64 {
        let since_begin = match period {
            Period::Day => self.at_ms,
            Period::Week => self.weekday * DAY_MS + self.at_ms,
        };
        period.at(now.saturating_sub(since_begin)) - 1
    }

    fn kept(&self, period: Period) -> i64 {
        match period {
            Period::Day => self.days_kept,
            Period::Week => self.weeks_kept,
        }
    }

    fn key(&self, period: Period, number: i64) -> String {
        format!("reports:{}:{}", period.as_str(), number.rem_euclid(self.kept(period).max(1)))
    }
}

/// Which reports the clock has had made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Schedule {
    day: Option<i64>,
    week: Option<i64>,
}

impl Schedule {
    fn made(&mut self, period: Period) -> &mut Option<i64> {
        match period {
            Period::Day => &mut self.day,
            Period::Week => &mut self.week,
        }
    }

    /// Whether a report is still to be made. What was made of a time that has not come is of a clock that went wrong.
    fn wants(mut self, period: Period, due: i64, now: WallMs) -> bool {
        self.made(period).is_none_or(|made| made < due || made > period.at(now))
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Reports are made of history.
    #[error("there are no reports: metrics.history is off")]
    Off,
    #[error("nothing is known of that time")]
    Nothing,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Observatory {
    /// The report of a day or a week, so many of them ago: as it was made, or made now, where the time is not over or nobody has made it yet.
    pub async fn report(&self, period: Period, back: u32) -> Result<Report, ReportError> {
        let number = self.reported(period, back);
        if back > 0
            && let Some(report) = self.stored_report(period, number).await?.filter(|report| report.is_over)
        {
            return Ok(report);
        }
        self.made_report(period, number).await
    }

    /// Makes the report anew and keeps it.
    pub async fn make_report(&self, period: Period, back: u32) -> Result<Report, ReportError> {
        let report = self.made_report(period, self.reported(period, back)).await?;
        self.keep_report(&report).await?;
        Ok(report)
    }

    /// Those that are kept, the newest first, in few words.
    pub async fn reports(&self) -> Result<Vec<Value>, ReportError> {
        let now = self.parts.clock.wall_ms();
        let places = Period::ALL.into_iter().flat_map(|period| {
            let newest = period.at(now);
            (0..self.parts.settings.reports.kept(period)).map(move |back| (period, newest - back))
        });
        let reads = stream::iter(places.collect::<Vec<_>>()).map(|(period, number)| self.stored_report(period, number));
        let mut found: Vec<Report> = reads.buffered(READS_AT_ONCE).try_filter_map(|report| std::future::ready(Ok(report))).try_collect().await?;
        found.sort_by_key(|report| std::cmp::Reverse((report.to_ms, report.period)));
        Ok(found.iter().map(told).collect())
    }

    fn reported(&self, period: Period, back: u32) -> i64 {
        period.at(self.parts.clock.wall_ms()) - i64::from(back)
    }

    async fn stored_report(&self, period: Period, number: i64) -> Result<Option<Report>, StoreError> {
        let bytes = self.parts.store.value(&self.parts.settings.reports.key(period, number)).await?;
        // One of a version that said other things is made anew.
        let report: Option<Report> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(report.filter(|report| report.is_about(period, number)))
    }

    async fn keep_report(&self, report: &Report) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(report).unwrap_or_default();
        self.parts.store.put_value(&self.parts.settings.reports.key(report.period, report.number), Bytes::from(bytes)).await
    }

    async fn made_report(&self, period: Period, number: i64) -> Result<Report, ReportError> {
        let history = self.history.as_ref().ok_or(ReportError::Off)?;
        // What an earlier run knew of objectives and alerts belongs to it.
        self.remember().await?;
        let now = self.parts.clock.wall_ms();
        let answer = history.find(&question(period, number), now).await;
        let before = history.find(&question(period, number - 1), now).await;
        let (from, to) = period.span(number);
        let (alerts, alerts_are_cut) = self.with_alerts(|alerts| {
            let (alerts, is_cut) = alerts.of_time(from, to.min(now));
            (alerts.into_iter().cloned().collect(), is_cut)
        });
        let (first, days) = period.days(number);
        let (goals, tallies) = {
            let objectives = self.objectives.lock();
            (objectives.goals(), objectives.between(first, days))
        };
        let feeds = self.parts.house.feeds_digest(period, number).await;
        let node = &self.parts.settings.node;
        let facts = Facts { period, number, now, node, answer: &answer, before: &before, goals, tallies, alerts, alerts_are_cut, feeds };
        Report::of(facts).ok_or(if answer.is_whole { ReportError::Nothing } else { ReportError::Store(unreadable(&*self.parts.store)) })
    }

    /// Makes what is due. One that could not be made, or kept, is tried again at the next look; one that was missed is made up for once.
    pub(super) async fn make_due_reports(&self) {
        let settings = self.parts.settings.reports;
        if !settings.is_scheduled || self.history.is_none() {
            return;
        }
        for period in Period::ALL {
            // What is wrong with the store is told where every call of it is.
            let _ = self.make_due_report(period, settings.due(period, self.parts.clock.wall_ms())).await;
        }
    }

    async fn make_due_report(&self, period: Period, due: i64) -> Result<(), StoreError> {
        let known = *self.schedule.lock();
        let mut schedule = match known {
            Some(schedule) => schedule,
            None => {
                let stored = self.parts.store.value(SCHEDULE_KEY).await?;
                stored.and_then(|stored| serde_json::from_slice(&stored).ok()).unwrap_or_default()
            }
        };
        if known.is_none() {
            *self.schedule.lock() = Some(schedule);
        }
        if !schedule.wants(period, due, self.parts.clock.wall_ms()) {
            return Ok(());
        }
        match self.made_report(period, due).await {
            // The store could be read in parts only: it is tried again.
            Ok(report) if !report.is_whole => return Ok(()),
            Ok(report) => {
                self.keep_report(&report).await?;
                *schedule.made(period) = Some(due);
                self.keep_schedule(schedule).await?;
                emit(ReportMade { period: period.as_str(), from: &report.from, findings: report.findings.len() });
                if let Some(letters) = &self.parts.report_letters {
                    letters.take(mail::bytes_of(&letter(&report)));
                }
            }
            Err(ReportError::Store(error)) => return Err(error),
            // There is nothing to say of that time, and there never will be.
            Err(ReportError::Nothing | ReportError::Off) => {
                *schedule.made(period) = Some(due);
                self.keep_schedule(schedule).await?;
            }
        }
        Ok(())
    }

    async fn keep_schedule(&self, schedule: Schedule) -> Result<(), StoreError> {
        self.parts.store.put_value(SCHEDULE_KEY, Bytes::from(serde_json::to_vec(&schedule).unwrap_or_default())).await?;
        *self.schedule.lock() = Some(schedule);
        Ok(())
    }
}

/// Looks at what is due, for as long as the actor lives.
pub(super) async fn keep_time(observatory: Arc<Observatory>) {
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        observatory.make_due_reports().await;
    }
}

fn unreadable(store: &dyn crate::store::Store) -> StoreError {
    StoreError::Unavailable { kind: store.kind(), what: "read what was measured", reason: "it did not answer".to_string() }
}

/// A report by e-mail: the page, and the same as text.
fn letter(report: &Report) -> Letter {
    let document = document(report);
    Letter {
        subject: format!("[{}] report of the {} {}", report.node, report.period.as_str(), report.from),
        plain: document.plain(),
        html: document.html(),
    }
}

/// A report in few words, for a list.
fn told(report: &Report) -> Value {
    let missed = report.objectives.iter().filter(|objective| objective.share.is_some_and(|share| share < objective.goal)).count();
    json!({
        "period": report.period,
        "number": report.number,
        "from": report.from,
        "to": report.to,
        "is_over": report.is_over,
        "made_at": report.made_at,
        "measured": report.measured,
        "objectives_missed": missed,
        "alerts": report.alerts.iter().map(|fired| fired.count).sum::<u64>(),
        "findings": report.findings,
        "said": report.said,
    })
}

#[cfg(test)]
mod tests;

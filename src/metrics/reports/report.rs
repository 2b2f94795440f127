//! What a report says: how the hub did in a day or a week, against the one before. Pure: what was measured in, a report out.
//!
//! Totals are made of rates, so they are good to about the length of a step of history at each start and end of the hub; shares of objectives are
//! counted and exact. What is not known is `None` and never 0.

use crate::calendar::{DAY_MS, Period, date_of, day_of, first_day_of, hour_of};
use crate::metrics::alerts::{Alert, Severity, spoken};
use crate::metrics::catalogue::{Metric, Unit};
use crate::metrics::history::{Answer, Query, Reading};
use crate::metrics::objectives::{Objective, Tally};
use crate::said::{Figure, Said, Sentence, said};
use crate::store::WallMs;
use crate::upstream::Week as FeedsDigest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Steps of history that a day and a week are made of, milliseconds: 1,440 and 1,008 of them.
const DAY_STEP_MS: WallMs = 60_000;
const WEEK_STEP_MS: WallMs = 600_000;

/// Rules whose alerts a report lists, and subjects that it names of one.
const RULES_MAX: usize = 50;
const SUBJECTS_MAX: usize = 5;

/// Hours that are called the busiest.
const BUSIEST: usize = 3;

/// A change that is worth a sentence, percent; and growth of memory that is, when there are not more sessions.
const CHANGE_PERCENT: f64 = 25.0;

/// Less of an error budget is worth a sentence, as is less of a disk.
const BUDGET_LOW: f64 = 0.25;
const DISK_LOW: f64 = 0.15;

/// Less of the time measured is worth a sentence.
const MEASURED_LOW: f64 = 0.99;

/// Trouble by its cause, and whether it is the hub's own.
const CAUSES: [(Metric, bool); 18] = [
    (Metric::CanariesLost, true),
    (Metric::MessagesLost, true),
    (Metric::CommandsFailed, true),
    (Metric::RecoveriesFailed, true),
    (Metric::ConnectionsRefused, true),
    (Metric::Panics, true),
    (Metric::ActorsRestarts, true),
    (Metric::StoreErrors, true),
    (Metric::AuditFailures, true),
    (Metric::HistoryUnwritten, true),
    (Metric::MessagesDropped, true),
    (Metric::FeedsGaps, false),
    (Metric::ClosedSlow, false),
    (Metric::ClosedSilent, false),
    (Metric::CommandsRefused, false),
    (Metric::TokensRefused, false),
    (Metric::HandshakesRefused, false),
    (Metric::FramesRefused, false),
];

/// How connections end.
const ENDS: [Metric; 6] =
    [Metric::ClosedByClient, Metric::ClosedSlow, Metric::ClosedSilent, Metric::ClosedExpired, Metric::ClosedShutdown, Metric::ClosedOther];

/// What is held against the period before.
const RESOURCES: [Metric; 18] = [
    Metric::SessionsOpen,
    Metric::ChannelsOpen,
    Metric::ProcessCpu,
    Metric::MemoryAllocated,
    Metric::MemoryResident,
    Metric::DescriptorsOpen,
    Metric::ActorsOpen,
    Metric::TimersSet,
    Metric::ThreadsRunning,
    Metric::StreamsBytes,
    Metric::OutboxBytes,
    Metric::WorkersLag,
    Metric::StoreLatency,
    Metric::HostCpu,
    Metric::HostLoad,
    Metric::HostMemoryUsed,
    Metric::HostSocketMemory,
    Metric::HostDiskFree,
];

/// The path that is always gone.
pub const CANARIES: &str = "canaries";

/// How long things took, by path and percentile; docs/metrics.md says from where to where.
const LATENCIES: [(&str, &str, Metric); 18] = [
    (CANARIES, "p50", Metric::LatencyP50),
    (CANARIES, "p95", Metric::LatencyP95),
    (CANARIES, "p99", Metric::LatencyP99),
    (CANARIES, "max", Metric::LatencyMax),
    ("delivery", "p50", Metric::DeliveryP50),
    ("delivery", "p99", Metric::DeliveryP99),
    ("feed_delivery", "p50", Metric::FeedDeliveryP50),
    ("feed_delivery", "p99", Metric::FeedDeliveryP99),
    ("connect", "p50", Metric::ConnectP50),
    ("connect", "p99", Metric::ConnectP99),
    ("subscribe", "p50", Metric::SubscribeP50),
    ("subscribe", "p99", Metric::SubscribeP99),
    ("recovery", "p50", Metric::RecoveryP50),
    ("recovery", "p99", Metric::RecoveryP99),
    ("rpc", "p50", Metric::RpcP50),
    ("rpc", "p99", Metric::RpcP99),
    ("api_publish", "p50", Metric::ApiPublishP50),
    ("api_publish", "p99", Metric::ApiPublishP99),
];

/// What is watched for leaks, and the growth in an hour that the rules warn above.
const LEAKS: [(&str, Metric, f64); 3] =
    [("memory", Metric::LeakMemory, 4_194_304.0), ("descriptors", Metric::LeakDescriptors, 20.0), ("actors", Metric::LeakActors, 50.0)];

const BUDGETS: [Metric; Objective::ALL.len()] =
    [Metric::BudgetConnections, Metric::BudgetDelivery, Metric::BudgetLatency, Metric::BudgetErrors, Metric::BudgetRecovery];

/// How the hub did in a day or a week.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = HubReport)]
pub struct Report {
    /// What it is about.
    pub period: Period,
    /// The day, or the week, counted from 1970.
    pub number: i64,
    /// Its first day.
    pub from: String,
    /// Its last day.
    pub to: String,
    /// Its beginning, Unix milliseconds.
    pub from_ms: WallMs,
    /// Its end, or when it was made where that was earlier; exclusive, Unix milliseconds.
    pub to_ms: WallMs,
    /// The time that it is about is over.
    pub is_over: bool,
    /// The store could be read: nothing is missing for that.
    pub is_whole: bool,
    /// When it was made, Unix milliseconds.
    pub made_at: WallMs,
    /// The hub's name.
    pub node: String,
    /// The hub's version when it was made.
    pub version: String,
    /// Share of the time in which the hub ran and measured.
    pub measured: f64,
    /// For people: what stands out.
    pub findings: Vec<String>,
    /// The findings as data, in the same order. Reports of before there was this have none.
    #[serde(default)]
    pub said: Vec<Said>,
    /// Clients that came and went.
    pub connections: Connections,
    /// What came in and went out.
    pub delivery: Delivery,
    /// What is promised, and how it was kept.
    pub objectives: Vec<ObjectiveKept>,
    /// How long things took, those of the canaries first: messages on their way through the whole hub.
    pub latency: Vec<Latency>,
    /// Trouble by its cause, the hub's own first, without those that did not occur.
    pub errors: Vec<Cause>,
    /// By hour of the day, UTC; a week's days together.
    pub hours: Vec<Hour>,
    /// The hours with the most deliveries, the most first.
    pub busiest_hours: Vec<usize>,
    /// By day; of a report about a week.
    pub days: Vec<DayOf>,
    /// What fired, the worst first.
    pub alerts: Vec<Fired>,
    /// More alerts were resolved since than the hub remembers: some may be missing.
    pub alerts_are_cut: bool,
    /// Growth that load does not explain.
    pub leaks: Vec<Leak>,
    /// What the hub used, against the period before.
    pub resources: Vec<Resource>,
    /// What stands out of the feeds, in the shape of `upstream_report`'s week (of a report about a day it has one day); null: nothing was noted.
    pub feeds: Option<FeedsDigest>,
}

/// Clients that came and went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = HubReportConnections)]
pub struct Connections {
    /// Client connections that began.
    pub opened: u64,
    /// Client connections that ended.
    pub closed: u64,
    /// Why they ended.
    pub closed_by: BTreeMap<String, u64>,
    /// Turned away because the hub was full, too often asked, or stopping.
    pub refused: u64,
    /// Share of those that were let in, of all that were not refused for what they are.
    pub success: Option<f64>,
    /// Sessions at once, on the average.
    pub mean: Option<f64>,
    /// Sessions at once, at most.
    pub most: Option<f64>,
}

/// What came in and went out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = HubReportDelivery)]
pub struct Delivery {
    /// Publications into all channels.
    pub published: u64,
    /// Bytes of their payloads.
    pub published_bytes: u64,
    /// Events handed to connections, once for each.
    pub delivered: u64,
    /// Their bytes, before TLS.
    pub delivered_bytes: u64,
    /// Gaps that history could not fill: subscribers were told.
    pub lost: u64,
    /// Publications of the hub's own, once for each worker.
    pub canaries: u64,
    /// Of these, those that did not come through in two seconds.
    pub canaries_lost: u64,
    /// Share of the canaries that arrived.
    pub success: Option<f64>,
    /// Subscribers that came back and missed nothing.
    pub recovered: u64,
    /// Subscribers that came back and could not be given all.
    pub not_recovered: u64,
}

/// A promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = HubReportObjective)]
pub struct ObjectiveKept {
    /// `connections`, `delivery`, `latency`, `errors` or `recovery`.
    pub name: String,
    /// The share that is promised.
    pub goal: f64,
    /// The share that it was; null: nothing of the kind occurred, or it is longer ago than 30 days.
    pub share: Option<f64>,
    /// Of how many.
    pub of: u64,
    /// What was left at the end of what may fail in 30 days: 1 all, 0 nothing, below 0 more failed.
    pub budget_left: Option<f64>,
}

/// A percentile of the time that something took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = HubReportLatency)]
pub struct Latency {
    /// What took it: `canaries`, `delivery`, `feed_delivery`, `connect`, `subscribe`, `recovery`, `rpc` or `api_publish`.
    pub path: String,
    /// `p50`, `p95`, `p99` or `max`.
    pub percentile: String,
    /// Mean of all readings, milliseconds.
    pub mean_ms: Option<f64>,
    /// The worst reading, milliseconds.
    pub most_ms: Option<f64>,
}

/// Trouble of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = HubReportCause)]
pub struct Cause {
    /// A metric of `admin.metrics.list`.
    pub metric: String,
    /// How often.
    pub count: u64,
    /// It is the hub's doing, and not that of clients or feeds.
    pub is_own: bool,
    /// Against the period before, percent; null: there was none of it, or it is not known.
    pub change_percent: Option<f64>,
}

/// An hour of the day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = HubReportHour)]
pub struct Hour {
    /// Sessions at once, at most.
    pub sessions: f64,
    /// Publications into all channels.
    pub published: u64,
    /// Events handed to connections.
    pub delivered: u64,
    /// The hub's own trouble, of all causes.
    pub errors: u64,
}

/// A day of a week.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = HubReportDay)]
pub struct DayOf {
    /// Year, month, day; UTC.
    pub date: String,
    /// Sessions at once, at most.
    pub sessions: f64,
    /// Client connections that began.
    pub opened: u64,
    /// Events handed to connections.
    pub delivered: u64,
    /// The hub's own trouble, of all causes.
    pub errors: u64,
}

/// Alerts of one rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = HubReportAlerts)]
pub struct Fired {
    /// Which one.
    pub rule: String,
    /// As the last of them was told.
    pub title: String,
    /// `info`, `warning` or `critical`.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// How often it fired in this time, or had fired before and was not over.
    pub count: u64,
    /// In all, within this time, milliseconds.
    pub active_ms: u64,
    /// The longest one, within this time, milliseconds.
    pub longest_ms: u64,
    /// When it last began, Unix milliseconds.
    pub last_at: WallMs,
    /// It was not over at the end of this time.
    pub is_firing: bool,
    /// Feeds that it was about; five at most.
    pub subjects: Vec<String>,
}

/// Growth of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = HubReportLeak)]
pub struct Leak {
    /// `memory` (bytes), `descriptors` or `actors`.
    pub what: String,
    /// In an hour, on the average.
    pub mean_per_hour: Option<f64>,
    /// In an hour, at most.
    pub most_per_hour: Option<f64>,
    /// It was above the bound on the average.
    pub is_suspected: bool,
}

/// What was used of something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = HubReportResource)]
pub struct Resource {
    /// A metric of `admin.metrics.list`.
    pub metric: String,
    /// What the numbers mean.
    pub unit: Unit,
    /// The least reading.
    pub min: f64,
    /// The mean of all.
    pub avg: f64,
    /// The most.
    pub max: f64,
    /// Of the average, against the period before, percent; null: it was 0, or it is not known.
    pub change_percent: Option<f64>,
}

/// What reports are about, each metric once.
fn metrics() -> Vec<Metric> {
    let mut metrics = vec![
        Metric::SessionsOpened,
        Metric::SessionsClosed,
        Metric::MessagesPublished,
        Metric::MessagesPublishedBytes,
        Metric::MessagesDelivered,
        Metric::MessagesDeliveredBytes,
        Metric::CanariesSent,
        Metric::RecoveriesDone,
    ];
    metrics.extend(CAUSES.iter().map(|(metric, _)| *metric));
    metrics.extend(ENDS);
    metrics.extend(RESOURCES);
    metrics.extend(LATENCIES.iter().map(|(.., metric)| *metric));
    metrics.extend(LEAKS.iter().map(|(_, metric, _)| *metric));
    metrics.extend(BUDGETS);
    metrics.sort_unstable();
    metrics.dedup();
    metrics
}

/// What to ask history for.
pub fn question(period: Period, number: i64) -> Query {
    let (from, to) = period.span(number);
    let step_ms = match period {
        Period::Day => DAY_STEP_MS,
        Period::Week => WEEK_STEP_MS,
    };
    Query { metrics: metrics(), from, to, step_ms }
}

/// Everything that a report is made from.
pub struct Facts<'a> {
    pub period: Period,
    pub number: i64,
    /// When it is made.
    pub now: WallMs,
    pub node: &'a str,
    pub answer: &'a Answer,
    /// The period before.
    pub before: &'a Answer,
    pub goals: [f64; Objective::ALL.len()],
    pub tallies: [Tally; Objective::ALL.len()],
    pub alerts: Vec<Alert>,
    pub alerts_are_cut: bool,
    pub feeds: Option<FeedsDigest>,
}

/// Readings by metric.
struct Read<'a>(&'a Answer);

impl Read<'_> {
    fn steps(&self, metric: Metric) -> impl Iterator<Item = (WallMs, Reading)> + '_ {
        let column = self.0.columns.iter().find(|(known, _)| *known == metric).map_or(&[][..], |(_, column)| column);
        column.iter().enumerate().filter_map(|(step, reading)| Some((self.0.from + step as WallMs * self.0.step_ms, (*reading)?)))
    }

    /// A rate's sum over a part of the time.
    fn total_where(&self, metric: Metric, is_in: impl Fn(WallMs) -> bool) -> f64 {
        let seconds = self.0.step_ms as f64 / 1_000.0;
        self.steps(metric).filter(|(at, _)| is_in(*at)).map(|(_, reading)| reading.avg * seconds).sum()
    }

    fn total(&self, metric: Metric) -> f64 {
        self.total_where(metric, |_| true)
    }

    fn count(&self, metric: Metric) -> u64 {
        self.total(metric).round() as u64
    }

    fn range(&self, metric: Metric) -> Option<Reading> {
        let (mut sum, mut count) = (0.0, 0u32);
        let mut range = Reading { min: f64::INFINITY, avg: 0.0, max: f64::NEG_INFINITY };
        for (_, reading) in self.steps(metric) {
            (sum, count) = (sum + reading.avg, count + 1);
            (range.min, range.max) = (range.min.min(reading.min), range.max.max(reading.max));
        }
        (count > 0).then(|| Reading { avg: sum / f64::from(count), ..range })
    }

    fn most_where(&self, metric: Metric, is_in: impl Fn(WallMs) -> bool) -> f64 {
        self.steps(metric).filter(|(at, _)| is_in(*at)).map(|(_, reading)| reading.max).fold(0.0, f64::max)
    }

    fn last(&self, metric: Metric) -> Option<f64> {
        self.steps(metric).last().map(|(_, reading)| reading.avg)
    }

    fn own_errors(&self, is_in: impl Fn(WallMs) -> bool) -> u64 {
        CAUSES.iter().filter(|(_, is_own)| *is_own).map(|(metric, _)| self.total_where(*metric, &is_in)).sum::<f64>().round() as u64
    }
}

fn change(before: f64, now: f64) -> Option<f64> {
    (before > 0.0).then(|| ((now - before) / before * 1_000.0).round() / 10.0)
}

impl Report {
    /// `None`: nothing was measured in this time, so there is nothing to say.
    pub fn of(facts: Facts<'_>) -> Option<Self> {
        let Facts { period, number, now, node, answer, before, goals, tallies, alerts, alerts_are_cut, feeds } = facts;
        let (read, earlier) = (Read(answer), Read(before));
        let (from_ms, end_ms) = period.span(number);
        let to_ms = end_ms.min(now).max(from_ms);
        let (first, days) = period.days(number);
        let measured_ms = read.steps(Metric::ThreadsRunning).count() as f64 * answer.step_ms as f64;
        if measured_ms == 0.0 {
            return None;
        }
        let sessions = read.range(Metric::SessionsOpen);
        let share = |objective: Objective| tallies[objective as usize].share();
        let connections = Connections {
            opened: read.count(Metric::SessionsOpened),
            closed: read.count(Metric::SessionsClosed),
            closed_by: ENDS.iter().map(|metric| (metric.name().to_string(), read.count(*metric))).filter(|(_, count)| *count > 0).collect(),
            refused: read.count(Metric::ConnectionsRefused),
            success: share(Objective::Connections),
            mean: sessions.map(|sessions| sessions.avg),
            most: sessions.map(|sessions| sessions.max),
        };
        let delivery = Delivery {
            published: read.count(Metric::MessagesPublished),
            published_bytes: read.count(Metric::MessagesPublishedBytes),
            delivered: read.count(Metric::MessagesDelivered),
            delivered_bytes: read.count(Metric::MessagesDeliveredBytes),
            lost: read.count(Metric::MessagesLost),
            canaries: read.count(Metric::CanariesSent),
            canaries_lost: read.count(Metric::CanariesLost),
            success: share(Objective::Delivery),
            recovered: read.count(Metric::RecoveriesDone),
            not_recovered: read.count(Metric::RecoveriesFailed),
        };
        let objectives = Objective::ALL.map(|objective| ObjectiveKept {
            name: objective.as_str().to_string(),
            goal: goals[objective as usize],
            share: share(objective),
            of: tallies[objective as usize].all.round() as u64,
            budget_left: read.last(BUDGETS[objective as usize]),
        });
        let latency = LATENCIES.iter().filter_map(|(path, percentile, metric)| {
            let range = read.range(*metric);
            let latency = Latency {
                path: path.to_string(),
                percentile: percentile.to_string(),
                mean_ms: range.map(|range| range.avg),
                most_ms: range.map(|range| range.max),
            };
            // Canaries fly always; nobody need have gone another path.
            (range.is_some() || *path == CANARIES).then_some(latency)
        });
        let mut errors: Vec<Cause> = CAUSES
            .iter()
            .map(|(metric, is_own)| Cause {
                metric: metric.name().to_string(),
                count: read.count(*metric),
                is_own: *is_own,
                change_percent: change(earlier.total(*metric).round(), read.total(*metric).round()),
            })
            .filter(|cause| cause.count > 0)
            .collect();
        errors.sort_by_key(|cause| (!cause.is_own, std::cmp::Reverse(cause.count)));
        let hours: Vec<Hour> = (0..24)
            .map(|hour| {
                let is_in = |at: WallMs| hour_of(at) == hour;
                Hour {
                    sessions: read.most_where(Metric::SessionsOpen, is_in),
                    published: read.total_where(Metric::MessagesPublished, is_in).round() as u64,
                    delivered: read.total_where(Metric::MessagesDelivered, is_in).round() as u64,
                    errors: read.own_errors(is_in),
                }
            })
            .collect();
        let mut busiest_hours: Vec<usize> = (0..24).filter(|hour| hours[*hour].delivered > 0).collect();
        busiest_hours.sort_by_key(|hour| std::cmp::Reverse(hours[*hour].delivered));
        busiest_hours.truncate(BUSIEST);
        let day_of_week = |day: i64| {
            let is_in = |at: WallMs| day_of(at) == day;
            DayOf {
                date: date_of(day),
                sessions: read.most_where(Metric::SessionsOpen, is_in),
                opened: read.total_where(Metric::SessionsOpened, is_in).round() as u64,
                delivered: read.total_where(Metric::MessagesDelivered, is_in).round() as u64,
                errors: read.own_errors(is_in),
            }
        };
        let leaks = LEAKS.map(|(what, metric, bound)| {
            let range = read.range(metric);
            Leak {
                what: what.to_string(),
                mean_per_hour: range.map(|range| range.avg),
                most_per_hour: range.map(|range| range.max),
                is_suspected: range.is_some_and(|range| range.avg > bound),
            }
        });
        let resource = |metric: &Metric| {
            let Reading { min, avg, max } = read.range(*metric)?;
            let change_percent = earlier.range(*metric).and_then(|before| change(before.avg, avg));
            Some(Resource { metric: metric.name().to_string(), unit: metric.unit(), min, avg, max, change_percent })
        };
        let mut report = Self {
            period,
            number,
            from: date_of(first),
            to: date_of(first + days - 1),
            from_ms,
            to_ms,
            is_over: now >= end_ms,
            is_whole: answer.is_whole && before.is_whole,
            made_at: now,
            node: node.to_string(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            measured: (measured_ms / (to_ms - from_ms).max(1) as f64).min(1.0),
            findings: Vec::new(),
            said: Vec::new(),
            connections,
            delivery,
            objectives: objectives.into(),
            latency: latency.collect(),
            errors,
            hours,
            busiest_hours,
            days: if period == Period::Week {
                (first_day_of(number)..).take(7).filter(|day| day * DAY_MS < to_ms).map(day_of_week).collect()
            } else {
                Vec::new()
            },
            alerts: fired(&alerts, from_ms, to_ms),
            alerts_are_cut,
            leaks: leaks.into(),
            resources: RESOURCES.iter().filter_map(resource).collect(),
            feeds,
        };
        (report.findings, report.said) = report.finds().into_iter().map(|Sentence { text, said }| (text, said)).unzip();
        Some(report)
    }

    /// What stands out, the worst first.
    fn finds(&self) -> Vec<Sentence> {
        let share_of = |share: f64| Figure::new(percent(share), share);
        let change_of = |change: f64| Figure::new(format!("{change:+.0} %"), change.round());
        let mut findings = Vec::new();
        for ObjectiveKept { name, goal, share, budget_left, .. } in &self.objectives {
            let objective = name.as_str();
            let left_percent = budget_left.map(|left| Figure::new(format!("{:.0} %", left * 100.0), (left * 100.0).round()));
            match (share, left_percent) {
                (Some(share), None) if share < goal => findings.push(said!(
                    "report.promise_broken",
                    "{objective}: {kept_share} instead of the {goal_share} promised",
                    objective,
                    kept_share = share_of(*share),
                    goal_share = share_of(*goal)
                )),
                (Some(share), Some(left_percent)) if share < goal => findings.push(said!(
                    "report.promise_broken_budget",
                    "{objective}: {kept_share} instead of the {goal_share} promised; {left_percent} of the error budget of 30 days is left",
                    objective,
                    kept_share = share_of(*share),
                    goal_share = share_of(*goal),
                    left_percent
                )),
                (_, Some(left_percent)) if budget_left.is_some_and(|left| left < BUDGET_LOW) => findings.push(said!(
                    "report.budget_low",
                    "{objective}: as promised; {left_percent} of the error budget of 30 days is left",
                    objective,
                    left_percent
                )),
                _ => {}
            }
        }
        for fired in self.alerts.iter().filter(|fired| fired.severity == Severity::Critical) {
            let (alert, active_ms) = (fired.title.as_str(), Figure::new(spoken(fired.active_ms), fired.active_ms));
            findings.push(match fired.count {
                1 => said!("report.critical_once", "critical: {alert} (once, {active_ms} in all)", alert, active_ms),
                times => said!("report.critical", "critical: {alert} ({times} times, {active_ms} in all)", alert, times, active_ms),
            });
        }
        for leak in self.leaks.iter().filter(|leak| leak.is_suspected) {
            let growth = || Figure::new(quantity(leak.mean_per_hour, &leak.what), leak.mean_per_hour.map(f64::round));
            findings.push(match leak.what.as_str() {
                "memory" => {
                    said!("report.leak_memory", "memory grew by {growth_bytes} an hour without more load", growth_bytes = growth())
                }
                what => said!("report.leak", "{what} grew by {growth} an hour without more load", what, growth = growth()),
            });
        }
        let times = |metric: Metric| self.errors.iter().find(|cause| cause.metric == metric.name()).map(|cause| cause.count);
        if let Some(times) = times(Metric::Panics) {
            findings.push(said!("report.panics", "{times} panics, each a defect", times));
        }
        if let Some(times) = times(Metric::ActorsRestarts) {
            findings.push(said!("report.restarts", "{times} actors had failed and were started anew", times));
        }
        // What cannot be read may have been measured.
        if self.is_whole && self.measured < MEASURED_LOW {
            let missing_share = share_of(1.0 - self.measured);
            findings.push(said!("report.unmeasured", "for {missing_share} of the time nothing was measured: the hub was not running", missing_share));
        }
        let of = |metric: Metric| self.resources.iter().find(|resource| resource.metric == metric.name());
        let (sessions, memory) = (of(Metric::SessionsOpen).and_then(|one| one.change_percent), of(Metric::MemoryResident));
        let period = self.period.as_str();
        if let Some(change) = sessions.filter(|change| change.abs() >= CHANGE_PERCENT) {
            let change_percent = change_of(change);
            findings.push(said!("report.sessions_change", "{change_percent} sessions against the {period} before", change_percent, period));
        }
        if let Some(change) = memory.and_then(|memory| memory.change_percent).filter(|change| *change >= CHANGE_PERCENT.max(sessions.unwrap_or(0.0)))
        {
            let change_percent = change_of(change);
            findings.push(said!(
                "report.memory_change",
                "{change_percent} memory against the {period} before, more than sessions explain",
                change_percent,
                period
            ));
        }
        if let Some(disk) = of(Metric::HostDiskFree).filter(|disk| disk.min < DISK_LOW) {
            findings.push(said!("report.disk", "only {free_share} of the disk was free at the least", free_share = share_of(disk.min)));
        }
        findings
    }

    pub fn is_about(&self, period: Period, number: i64) -> bool {
        self.period == period && self.number == number
    }
}

/// A share in percent, with as many digits as tell it from all.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = if share < 1.0 && share > 0.9999 {
        4
    } else if share < 1.0 && share > 0.9 {
        2
    } else {
        1
    };
    let told = format!("{percent:.digits$}");
    let told = if told.contains('.') { told.trim_end_matches('0').trim_end_matches('.') } else { &told };
    format!("{told} %")
}

/// Growth as people say it.
pub fn quantity(growth: Option<f64>, what: &str) -> String {
    match growth {
        None => String::new(),
        Some(bytes) if what == "memory" => crate::metrics::reports::amount(bytes, Unit::Bytes),
        Some(count) => format!("{count:.1}"),
    }
}

/// Alerts by their rule.
fn fired(alerts: &[Alert], from: WallMs, to: WallMs) -> Vec<Fired> {
    let mut rules: BTreeMap<&str, Fired> = BTreeMap::new();
    for alert in alerts {
        let Some(fired_at) = alert.fired_at else { continue };
        let until = alert.resolved_at.unwrap_or(to).min(to);
        let ms = until.saturating_sub(fired_at.max(from)).max(0).unsigned_abs();
        let fired = rules.entry(&alert.rule).or_insert_with(|| Fired {
            rule: alert.rule.clone(),
            title: alert.title.clone(),
            severity: alert.severity,
            count: 0,
            active_ms: 0,
            longest_ms: 0,
            last_at: fired_at,
            is_firing: false,
            subjects: Vec::new(),
        });
        fired.count += 1;
        fired.active_ms += ms;
        fired.longest_ms = fired.longest_ms.max(ms);
        fired.severity = fired.severity.max(alert.severity);
        fired.is_firing |= alert.resolved_at.is_none_or(|at| at >= to);
        if fired_at >= fired.last_at {
            fired.last_at = fired_at;
            fired.title.clone_from(&alert.title);
        }
        if let Some(subject) = alert.subject.as_ref().filter(|subject| fired.subjects.len() < SUBJECTS_MAX && !fired.subjects.contains(subject)) {
            fired.subjects.push(subject.clone());
        }
    }
    let mut fired: Vec<Fired> = rules.into_values().collect();
    fired.sort_by_key(|fired| (std::cmp::Reverse(fired.severity), std::cmp::Reverse(fired.active_ms)));
    fired.truncate(RULES_MAX);
    fired
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::alerts::Phase;

    const DAY: i64 = 20_778;

    fn answer(number: i64, of: impl Fn(Metric, usize) -> Option<f64>) -> Answer {
        let Query { metrics, from, to, step_ms } = question(Period::Day, number);
        let steps = ((to - from) / step_ms) as usize;
        let reading = |value: f64| Reading { min: value - 1.0, avg: value, max: value + 1.0 };
        let columns = metrics.into_iter().map(|metric| (metric, (0..steps).map(|step| of(metric, step).map(reading)).collect())).collect();
        Answer { from, to, step_ms, tier_ms: step_ms, columns, is_whole: true }
    }

    fn alert(rule: &str, severity: Severity, subject: Option<&str>, fired_at: WallMs, resolved_at: Option<WallMs>) -> Alert {
        Alert {
            id: String::new(),
            rule: rule.to_string(),
            subject: subject.map(str::to_string),
            severity,
            state: if resolved_at.is_some() { Phase::Resolved } else { Phase::Firing },
            metric: String::new(),
            title: format!("The title of {rule}"),
            text: String::new(),
            said: Vec::new(),
            advice: String::new(),
            value: None,
            peak: None,
            since: fired_at,
            fired_at: Some(fired_at),
            resolved_at,
            acknowledged_by: None,
            acknowledged_at: None,
            silenced_until: None,
            told_at: None,
        }
    }

    fn facts<'a>(answer: &'a Answer, before: &'a Answer) -> Facts<'a> {
        let (from, to) = Period::Day.span(DAY);
        let mut tallies = [Tally::default(); Objective::ALL.len()];
        tallies[Objective::Delivery as usize] = Tally::new(9_990.0, 10_000.0);
        tallies[Objective::Connections as usize] = Tally::new(100.0, 100.0);
        Facts {
            period: Period::Day,
            number: DAY,
            now: to + 600_000,
            node: "a-hub",
            answer,
            before,
            goals: [0.999, 0.9999, 0.99, 0.999, 0.999],
            tallies,
            alerts: vec![
                alert("feed_down", Severity::Warning, Some("b"), from + 60_000, Some(from + 120_000)),
                alert("feed_down", Severity::Warning, Some("a"), from - 60_000, Some(from + 30_000)),
                alert("store_down", Severity::Critical, None, to - 90_000, None),
            ],
            alerts_are_cut: false,
            feeds: None,
        }
    }

    /// A hub that ran for the second half of the day, and was busy from 18:00 to 19:00.
    fn half_a_day(metric: Metric, step: usize) -> Option<f64> {
        let is_busy = (18 * 60..19 * 60).contains(&step);
        (step >= 720).then_some(match metric {
            Metric::MessagesDelivered if is_busy => 1_000.0,
            Metric::MessagesDelivered => 10.0,
            Metric::CommandsFailed if is_busy => 0.5,
            Metric::SessionsOpen => 50.0,
            Metric::SessionsOpened => 0.1,
            Metric::MemoryResident => 2e8,
            Metric::LatencyP99 => 7.0,
            Metric::LeakMemory => 5e6,
            Metric::BudgetDelivery => -0.5,
            Metric::ThreadsRunning => 12.0,
            Metric::HostDiskFree => 1.05,
            budget if BUDGETS.contains(&budget) => 1.0,
            _ => 0.0,
        })
    }

    #[test]
    fn a_day_is_summed_up_and_held_against_the_one_before() {
        let today = answer(DAY, half_a_day);
        let yesterday = answer(DAY - 1, |metric, _| Some(if metric == Metric::SessionsOpen { 100.0 } else { 1e8 }));
        let report = Report::of(facts(&today, &yesterday)).unwrap();
        assert_eq!((report.from.as_str(), report.to.as_str(), report.is_over, report.is_whole), ("2026-11-21", "2026-11-21", true, true));
        assert!((report.measured - 0.5).abs() < 1e-9, "{}", report.measured);
        assert_eq!(report.delivery.delivered, 3_600 * 1_000 + 11 * 3_600 * 10);
        assert_eq!((report.busiest_hours[0], report.hours[18].delivered, report.hours[18].errors), (18, 3_600_000, 1_800));
        assert_eq!((report.hours[3].delivered, report.hours.len()), (0, 24));
        assert_eq!((report.connections.opened, report.connections.most, report.connections.success), (4_320, Some(51.0), Some(1.0)));
        assert_eq!(report.errors.len(), 1);
        assert_eq!((report.errors[0].metric.as_str(), report.errors[0].count, report.errors[0].is_own), ("commands.failed", 1_800, true));
        let delivery = &report.objectives[Objective::Delivery as usize];
        assert_eq!((delivery.share, delivery.of, delivery.budget_left), (Some(0.999), 10_000, Some(-0.5)));
        assert_eq!(report.objectives[Objective::Recovery as usize].share, None, "nothing of the kind");
        let sessions = report.resources.iter().find(|resource| resource.metric == "sessions.open").unwrap();
        assert_eq!((sessions.min, sessions.avg, sessions.max, sessions.change_percent), (49.0, 50.0, 51.0, Some(-50.0)));
        assert_eq!(
            report.findings,
            [
                "delivery: 99.9 % instead of the 99.99 % promised; -50 % of the error budget of 30 days is left",
                "critical: The title of store_down (once, 1 min 30 s in all)",
                "memory grew by 4.8 MiB an hour without more load",
                "for 50 % of the time nothing was measured: the hub was not running",
                "-50 % sessions against the day before",
                "+100 % memory against the day before, more than sessions explain",
                "only 5 % of the disk was free at the least",
            ]
        );
        let codes: Vec<&str> = report.said.iter().map(|said| said.code.as_str()).collect();
        assert_eq!((codes.len(), codes[0], codes[4]), (7, "report.promise_broken_budget", "report.sessions_change"));
        assert_eq!(report.said[4].values, [("change_percent".to_string(), (-50.0).into()), ("period".to_string(), "day".into())].into());
        let stored = serde_json::to_vec(&report).unwrap();
        assert_eq!(serde_json::from_slice::<Report>(&stored).unwrap(), report);
    }

    #[test]
    fn alerts_are_counted_by_rule_and_cut_at_the_ends_of_the_time() {
        let today = answer(DAY, half_a_day);
        let report = Report::of(facts(&today, &answer(DAY - 1, |_, _| None))).unwrap();
        let told: Vec<_> =
            report.alerts.iter().map(|fired| (fired.rule.as_str(), fired.count, fired.active_ms, fired.longest_ms, fired.is_firing)).collect();
        assert_eq!(told, [("store_down", 1, 90_000, 90_000, true), ("feed_down", 2, 90_000, 60_000, false)], "the worst first");
        assert_eq!(report.alerts[1].subjects, ["b", "a"]);
        assert!(report.resources.iter().all(|resource| resource.change_percent.is_none()), "the day before is not known");
    }

    #[test]
    fn what_cannot_be_read_is_not_said_to_be_unmeasured() {
        let unmeasured = |report: Report| report.said.iter().any(|finding| finding.code == "report.unmeasured");
        let (today, before) = (answer(DAY, half_a_day), answer(DAY - 1, half_a_day));
        assert!(unmeasured(Report::of(facts(&today, &before)).unwrap()));
        let unread = Answer { is_whole: false, ..answer(DAY, half_a_day) };
        assert!(!unmeasured(Report::of(facts(&unread, &before)).unwrap()));
    }

    #[test]
    fn a_time_in_which_nothing_was_measured_has_no_report_and_one_that_is_not_over_says_so() {
        let nothing = answer(DAY, |_, _| None);
        assert!(Report::of(facts(&nothing, &nothing)).is_none());
        let today = answer(DAY, half_a_day);
        let (from, _) = Period::Day.span(DAY);
        let report = Report::of(Facts { now: from + 18 * 3_600_000, ..facts(&today, &nothing) }).unwrap();
        assert_eq!((report.is_over, report.to_ms), (false, from + 18 * 3_600_000));
        assert!(report.measured > 0.5, "of what has passed: {}", report.measured);
    }

    #[test]
    fn a_week_has_its_days() {
        let week = Period::Week.at(DAY * DAY_MS);
        let Query { metrics, from, to, step_ms } = question(Period::Week, week);
        let steps = ((to - from) / step_ms) as usize;
        let columns = metrics.into_iter().map(|metric| (metric, vec![Some(Reading { min: 1.0, avg: 1.0, max: 1.0 }); steps])).collect();
        let answer = Answer { from, to, step_ms, tier_ms: step_ms, columns, is_whole: true };
        let report = Report::of(Facts { period: Period::Week, number: week, now: to, alerts: Vec::new(), ..facts(&answer, &answer) }).unwrap();
        let days: Vec<_> = report.days.iter().map(|day| (day.date.as_str(), day.delivered)).collect();
        assert_eq!((days.len(), days[0], days[6]), (7, ("2026-11-16", 86_400), ("2026-11-22", 86_400)));
        assert_eq!((report.measured, report.hours[0].delivered), (1.0, 7 * 3_600));
    }

    #[test]
    fn shares_are_told_with_the_digits_that_count() {
        for (share, told) in
            [(1.0, "100 %"), (0.99999, "99.999 %"), (0.9995, "99.95 %"), (0.5, "50 %"), (0.0, "0 %"), (-0.5, "-50 %"), (0.123, "12.3 %")]
        {
            assert_eq!(percent(share), told);
        }
    }
}

//! How the hub does: measured once a second, shown to those who look, kept for a year, judged by rules.
//!
//! The rooms count for themselves, in the registry of `telemetry` and on their workers; this room is the only one that reads the counts and makes
//! samples of them. Called by `admin`, which answers for it, and by `app`, which starts it. Deliberately absent: any part in the way of a message. The
//! worst that a fault here can do is that nobody sees anything.
//!
//! ACTOR, one a process, on a thread of its own: it must see that the others are busy. Born at start-up; watched by the watchdog, which starts a new
//! one on the same [`Observatory`] when it does not answer. What was measured is the observatory's, so a new actor goes on where the last one died.

pub mod alerts;
mod canary;
pub mod catalogue;
mod counters;
pub mod flock;
pub mod heap;
pub mod history;
mod host;
mod leak;
mod objectives;
mod pace;
mod paths;
pub mod reports;
pub mod sample;

pub use host::socket_bytes;

use crate::broker::{Publish, Publisher};
use crate::calendar::Period;
use crate::channel::{ChannelName, ChannelOptions, Payload};
use crate::clock::{Clock, Millis};
use crate::hooks::Courier;
use crate::store::{Store, StoreError};
use crate::telemetry::emit;
use crate::telemetry::latency::{Counted, Path};
use crate::telemetry::metrics::{AlertTold, AlertsTold, CanariesTold, HistoryGivenUp, HistoryKept, HistoryNotKept};
use crate::telemetry::watchdog::{RestartCause, Restarted, Watched};
use crate::topic::registry::Topics;
use crate::upstream::Week as FeedsDigest;
use actix::prelude::*;
use alerts::{AlertError, Alerts, Notice, Route, Severity, What};
use async_trait::async_trait;
use bytes::Bytes;
use canary::Canaries;
use catalogue::{Metric, Values};
use counters::Totals;
use flock::{Airfield, News};
use futures_util::future::join_all;
use history::{History, Written};
use host::Host;
use leak::Growth;
use objectives::{Objectives, Standing};
use pace::Pace;
use parking_lot::{Mutex, RwLock};
use paths::Paths;
use reports::{ReportSettings, Schedule};
use sample::{Figures, Read, Sample, Sampler};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::time::MissedTickBehavior;

/// The whole at a glance.
pub const OVERVIEW: &str = "$metrics:overview";
/// The feeds.
pub const FEEDS: &str = "$metrics:feeds";
/// What is wrong, and is right again.
pub const ALERTS: &str = "$admin:alerts";

/// In the store: what the objectives have counted, and what is known of alerts.
const OBJECTIVES_KEY: &str = "metrics:objectives";
const ALERTS_KEY: &str = "metrics:alerts";

/// Alerts of one rule that are written to the log one by one; further ones at the same moment are counted in one line.
const LOGGED_ONE_BY_ONE: usize = 3;

/// Time for the last alerts to be told when the hub stops.
const COURIER_STOP_MAX: Duration = Duration::from_secs(1);

/// Calls that may wait: only the watchdog's.
const MAILBOX_CAPACITY: usize = 16;

/// News of canaries that may wait. Ten of them a second on each of 63 workers fill it in a second.
const NEST_CAPACITY: usize = 1_024;

/// Time for a worker to say how it does; beyond it, it is silent in this step.
pub const WORKER_ANSWER_MAX: Duration = Duration::from_millis(300);

/// Steps between two looks at what is dear to count while nobody watches.
const STEPS_PER_DEAR_LOOK: u64 = 10;

/// Steps between two publications that are whole, between two of the feeds, and between two looks at the disk.
const STEPS_PER_WHOLE: u64 = 10;
const STEPS_PER_FEEDS: u64 = 2;
const STEPS_PER_DISK: u64 = 30;

/// Between two times that what is new is written to the store; what people did about alerts, and those that fire, are written after the second.
const WRITE_INTERVAL: Duration = Duration::from_secs(60);
const ALERTS_WRITE_PAUSE: Duration = Duration::from_secs(1);

/// Reasons that a verdict names.
const REASONS_MAX: usize = 2;

/// The metrics of each objective, in their order: how it stands, and what is left of its budget.
const OBJECTIVES: [(Metric, Metric); 5] = [
    (Metric::ObjectiveConnections, Metric::BudgetConnections),
    (Metric::ObjectiveDelivery, Metric::BudgetDelivery),
    (Metric::ObjectiveLatency, Metric::BudgetLatency),
    (Metric::ObjectiveErrors, Metric::BudgetErrors),
    (Metric::ObjectiveRecovery, Metric::BudgetRecovery),
];

/// What was done about alerts.
pub enum Changed {
    Alert(Box<Notice>),
    Rules,
    Silences,
}

/// Rounds of writing between two looks at whether something grows.
const ROUNDS_PER_LEAK_LOOK: u32 = 10;

/// What the house says of itself: only the app knows all rooms.
#[async_trait]
pub trait House: Send + Sync {
    /// `dear`: what costs the more the more there is, too.
    async fn figures(&self, dear: bool) -> Figures;
    /// The feeds, as `admin.upstream.list` shows them.
    fn feeds(&self) -> Value;
    /// What stands out of the feeds in a day or a week; `None`: nothing is known.
    async fn feeds_digest(&self, period: Period, number: i64) -> Option<FeedsDigest>;
}

/// What the configuration says of this room.
#[derive(Clone, Debug)]
pub struct MetricsSettings {
    pub interval: Duration,
    /// Zero: no canaries fly.
    pub canary_interval: Duration,
    pub latency_goal: Duration,
    /// In the order of the objectives: connections, delivery, latency, errors, recovery.
    pub goals: [f64; 5],
    pub keeps_history: bool,
    /// The folder of which the free space is watched.
    pub data_dir: PathBuf,
    /// Whether rules are judged.
    pub has_alerts: bool,
    /// What this node calls itself.
    pub node: String,
    pub reports: ReportSettings,
}

/// What an observatory is made from.
pub struct ObservatoryParts {
    pub clock: Clock,
    pub house: Arc<dyn House>,
    pub topics: Arc<Topics>,
    pub publisher: Publisher,
    pub store: Arc<dyn Store>,
    pub settings: MetricsSettings,
    /// Who is told of alerts, besides the page and the log.
    pub courier: Option<Arc<Courier>>,
    /// The same by e-mail; and who gets the reports that are made because it is time.
    pub alert_letters: Option<Arc<Courier>>,
    pub report_letters: Option<Arc<Courier>>,
}

/// What measuring costs.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    cpu_percent: Option<f64>,
    step_us: u64,
}

/// The newest sample and what follows from it.
#[derive(Clone, Default)]
struct Latest {
    sample: Arc<Sample>,
    standings: Vec<Standing>,
    cost: Cost,
}

/// What outlives an actor: what was measured.
pub struct Observatory {
    parts: ObservatoryParts,
    /// `None`: it is not kept.
    history: Option<History>,
    /// What had been counted before the hub listened, and when that was: for the first step of the first actor. Whoever comes in the first second counts too.
    begun: Mutex<Option<(Millis, Totals)>>,
    objectives: Mutex<Objectives>,
    /// Whether what an earlier run had counted is part of it.
    has_remembered: AtomicBool,
    latest: RwLock<Latest>,
    alerts: Mutex<Alerts>,
    /// The version of the alerts that the store has.
    alerts_written: AtomicU64,
    alerts_changed: Notify,
    growth: Mutex<Growth>,
    disk_free: Mutex<Option<f64>>,
    is_looking_at_disk: AtomicBool,
    /// Never set: no canaries fly.
    airfield: OnceLock<Arc<Airfield>>,
    /// Which reports the clock has had made; `None`: that has not been read yet.
    schedule: Mutex<Option<Schedule>>,
}

impl Observatory {
    pub fn new(parts: ObservatoryParts) -> Arc<Self> {
        let history = parts.settings.keeps_history.then(|| History::new(Arc::clone(&parts.store)));
        Arc::new(Self {
            history,
            begun: Mutex::new(Some((parts.clock.now(), Totals::read()))),
            objectives: Mutex::new(Objectives::new(parts.settings.goals)),
            has_remembered: AtomicBool::new(false),
            latest: RwLock::default(),
            alerts: Mutex::default(),
            alerts_written: AtomicU64::new(0),
            alerts_changed: Notify::new(),
            growth: Mutex::default(),
            disk_free: Mutex::default(),
            is_looking_at_disk: AtomicBool::new(false),
            airfield: OnceLock::new(),
            schedule: Mutex::default(),
            parts,
        })
    }

    pub fn settings(&self) -> &MetricsSettings {
        &self.parts.settings
    }

    /// Where canaries fly, if they do. Said once, when the hub listens and before the actor is started.
    pub fn let_fly(&self, field: Arc<Airfield>) {
        let _ = self.airfield.set(field);
    }

    /// What was measured earlier, where it is kept.
    pub fn history(&self) -> Option<&History> {
        self.history.as_ref()
    }

    /// How the objectives stand.
    pub fn standings(&self) -> Vec<Standing> {
        self.latest.read().standings.clone()
    }

    /// The newest sample as `admin.metrics.now` tells it.
    pub fn now(&self) -> Value {
        let latest = self.latest.read().clone();
        let mut told = self.told(&latest, None);
        told["cost"] = json!({ "cpu_percent": latest.cost.cpu_percent, "step_us": latest.cost.step_us });
        told
    }

    /// `before`: what has been told already; `None`: nothing, everything is to be.
    fn told(&self, latest: &Latest, before: Option<&Values>) -> Value {
        let sample = &latest.sample;
        let values: Map<String, Value> = sample
            .values
            .iter()
            .filter(|(metric, value)| before.is_none_or(|before| before[*metric] != *value))
            .map(|(metric, value)| (metric.name().to_string(), json!(value.map(rounded))))
            .collect();
        json!({
            "at": sample.at,
            "step_ms": sample.step_ms,
            "is_whole": before.is_none(),
            "values": values,
            "workers": sample.workers,
            "verdict": self.verdict(sample),
            "objectives": latest.standings,
        })
    }

    fn verdict(&self, sample: &Sample) -> Value {
        let alerts = self.alerts.lock();
        let of = |severity| alerts.firing(severity).map(|alert| alert.title.as_str());
        let (critical, warning) = (of(Severity::Critical).count(), of(Severity::Warning).count());
        let reasons = sample.not_ready.iter().map(|sentence| sentence.text.as_str()).chain(of(Severity::Critical)).chain(of(Severity::Warning));
        let state = match () {
            () if sample.not_ready.is_some() => "not_ready",
            () if critical > 0 => "affected",
            () if warning > 0 => "warned",
            () => "working",
        };
        let said = sample.not_ready.as_ref().map(|sentence| &sentence.said);
        json!({ "state": state, "reasons": reasons.take(REASONS_MAX).collect::<Vec<_>>(), "said": said, "critical": critical, "warning": warning })
    }

    // === Alerts ===

    /// Looks at the alerts.
    pub fn with_alerts<T>(&self, look: impl FnOnce(&Alerts) -> T) -> T {
        look(&self.alerts.lock())
    }

    /// Does something about the alerts. What it did to one is told, as is that rules or silences are others now.
    pub fn change_alerts(&self, change: impl FnOnce(&mut Alerts) -> Result<Changed, AlertError>) -> Result<(), AlertError> {
        // Told when the lock is free again.
        let changed = change(&mut self.alerts.lock())?;
        match changed {
            Changed::Alert(notice) => self.publish(ALERTS, &self.noticed(&notice)),
            Changed::Rules => self.publish(ALERTS, &json!({ "at": self.parts.clock.wall_ms(), "what": "rules" })),
            Changed::Silences => self.publish(ALERTS, &json!({ "at": self.parts.clock.wall_ms(), "what": "silences" })),
        }
        self.alerts_changed.notify_one();
        Ok(())
    }

    fn noticed(&self, notice: &Notice) -> Value {
        json!({ "at": self.parts.clock.wall_ms(), "what": notice.what, "alert": notice.alert })
    }

    /// Judges a sample, and tells what comes of it.
    fn judge(&self, sample: &Sample) {
        if !self.parts.settings.has_alerts {
            return;
        }
        let (now, wall_ms) = (i64::try_from(self.parts.clock.now()).unwrap_or(i64::MAX), self.parts.clock.wall_ms());
        let notices = {
            let mut alerts = self.alerts.lock();
            let notices = alerts.judge(sample, now, wall_ms);
            if alerts.version() != self.alerts_written.load(Ordering::Relaxed) {
                self.alerts_changed.notify_one();
            }
            notices
        };
        let mut logged: HashMap<(&str, What), Vec<&Notice>> = HashMap::new();
        for notice in &notices {
            if notice.routes.contains(&Route::Page) {
                self.publish(ALERTS, &self.noticed(notice));
            }
            if notice.routes.contains(&Route::Log) {
                logged.entry((&notice.alert.rule, notice.what)).or_default().push(notice);
            }
            if notice.routes.contains(&Route::Email)
                && let Some(courier) = &self.parts.alert_letters
            {
                courier.take(Bytes::from(self.noticed(notice).to_string()));
            }
            if notice.routes.contains(&Route::Webhook)
                && let Some(courier) = &self.parts.courier
            {
                let mut event = self.noticed(notice);
                event["id"] = json!(uuid::Uuid::new_v4().to_string());
                event["type"] = json!("alert");
                event["time"] = json!(wall_ms);
                event["node"] = json!(self.parts.settings.node);
                courier.take(Bytes::from(event.to_string()));
            }
        }
        for of_rule in logged.into_values() {
            let (shown, others) = of_rule.split_at(of_rule.len().min(LOGGED_ONE_BY_ONE));
            shown.iter().for_each(|notice| {
                emit(AlertTold {
                    what: notice.what.as_str(),
                    severity: notice.alert.severity.as_str(),
                    title: &notice.alert.title,
                    text: &notice.alert.text,
                })
            });
            if let (Some(first), more @ 1..) = (others.first(), others.len()) {
                emit(AlertsTold { what: first.what.as_str(), severity: first.alert.severity.as_str(), rule: &first.alert.rule, more });
            }
        }
    }

    // === The store ===

    /// The last things are told and written: once, when the hub stops.
    pub async fn close(&self) {
        let couriers = [&self.parts.courier, &self.parts.alert_letters, &self.parts.report_letters];
        join_all(couriers.into_iter().flatten().map(|courier| courier.close(COURIER_STOP_MAX))).await;
        self.write(true).await;
    }

    /// Writes what is new to the store. What cannot be written is written the next time.
    async fn write(&self, is_last: bool) {
        let written = async {
            self.write_alerts().await?;
            // What is counted while this is written belongs to the next time.
            let kept = serde_json::to_vec(self.objectives.lock().kept()).unwrap_or_default();
            self.parts.store.put_value(OBJECTIVES_KEY, Bytes::from(kept)).await?;
            match &self.history {
                Some(history) => history.write(is_last).await,
                None => Ok(Written::default()),
            }
        };
        match written.await {
            Ok(written) => emit(HistoryKept { blocks: written.blocks, bytes: written.bytes }),
            Err(error) => emit(HistoryNotKept { error: &error }),
        }
    }

    async fn write_alerts(&self) -> Result<(), StoreError> {
        self.remember().await?;
        let (version, kept) = {
            let alerts = self.alerts.lock();
            (alerts.version(), alerts.kept())
        };
        if version != self.alerts_written.load(Ordering::Relaxed) {
            let kept = serde_json::to_vec(&kept).unwrap_or_default();
            self.parts.store.put_value(ALERTS_KEY, Bytes::from(kept)).await?;
            self.alerts_written.store(version, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes in what an earlier run of the hub had counted, as soon as it can be read, and before it is written over.
    async fn remember(&self) -> Result<(), StoreError> {
        if self.has_remembered.load(Ordering::Acquire) {
            return Ok(());
        }
        let (kept, alerts) = (self.parts.store.value(OBJECTIVES_KEY).await?, self.parts.store.value(ALERTS_KEY).await?);
        if self.has_remembered.swap(true, Ordering::AcqRel) {
            // Somebody else was faster.
            return Ok(());
        }
        if let Some(alerts) = alerts.and_then(|alerts| serde_json::from_slice(&alerts).ok()) {
            let now = i64::try_from(self.parts.clock.now()).unwrap_or(i64::MAX);
            self.alerts.lock().remember(alerts, now, self.parts.clock.wall_ms());
        }
        if let Some(kept) = kept.and_then(|kept| serde_json::from_slice(&kept).ok()) {
            self.objectives.lock().remember(kept);
        }
        Ok(())
    }

    /// Looks at the last hours for growth that load does not explain.
    async fn look_for_leaks(&self) {
        let (now, lived) = (self.parts.clock.wall_ms(), i64::try_from(self.parts.clock.now()).unwrap_or(i64::MAX));
        if let (Some(history), Some(question)) = (&self.history, leak::question(now, now.saturating_sub(lived))) {
            let found = history.find(&question, now).await;
            *self.growth.lock() = leak::growth(&found);
        }
    }

    fn is_watched(&self, channel: &str) -> bool {
        self.parts.topics.describe(channel).is_some_and(|topic| topic.subscribers > 0)
    }

    /// Publishes into one of the hub's own channels: by the broker, like everything, and past the rules, which refuse these names to everybody.
    fn publish(&self, channel: &str, data: &Value) {
        let publish = Publish { data: Payload::from_json(Bytes::from(data.to_string())), ..Publish::default() };
        self.parts.publisher.broker.publish(&ChannelName::new(channel), &ChannelOptions::default(), publish).detach();
    }

    /// Asks the disk how much is free. A disk that does not answer holds up a thread that is there for such things, and is not asked again meanwhile.
    fn look_at_disk(self: &Arc<Self>) {
        if self.is_looking_at_disk.swap(true, Ordering::AcqRel) {
            return;
        }
        let observatory = Arc::clone(self);
        drop(actix_rt::task::spawn_blocking(move || {
            let free = host::disk_free(&observatory.parts.settings.data_dir);
            *observatory.disk_free.lock() = free;
            observatory.is_looking_at_disk.store(false, Ordering::Release);
        }));
    }
}

/// Three decimals: what is behind them is noise, and costs bytes for each who watches. Below one thousandth they would be all.
fn rounded(value: f64) -> f64 {
    if value.abs() < 0.001 { value } else { (value * 1_000.0).round() / 1_000.0 }
}

pub struct Metrics {
    observatory: Arc<Observatory>,
}

impl Metrics {
    pub fn new(observatory: Arc<Observatory>) -> Self {
        Self { observatory }
    }
}

impl Actor for Metrics {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        // A panic in any ends the actor, and the watchdog starts another one.
        ctx.spawn(measure(Arc::clone(&self.observatory)).into_actor(self));
        ctx.spawn(keep(Arc::clone(&self.observatory)).into_actor(self));
        ctx.spawn(reports::keep_time(Arc::clone(&self.observatory)).into_actor(self));
    }
}

/// Measures, for as long as the actor lives.
async fn measure(observatory: Arc<Observatory>) {
    let settings = observatory.settings().clone();
    let field = observatory.airfield.get().filter(|_| !settings.canary_interval.is_zero()).cloned();
    let mut came = field.as_ref().map(|field| take_off(field, settings.canary_interval));
    let mut round = Round::new(Arc::clone(&observatory));
    let mut pace = Pace::new(settings.interval);
    let mut next = tokio::time::Instant::now() + pace.step();
    loop {
        let news = async {
            match &mut came {
                Some(came) => came.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            news = news => match news {
                Some(news) => round.hear(news),
                None => {
                    emit(Restarted { watched: Watched::Canaries, cause: RestartCause::Panicked });
                    came = None;
                }
            },
            () = tokio::time::sleep_until(next) => {
                let late = next.elapsed();
                let began = Instant::now();
                // What has arrived by now is told before it is judged.
                while let Some(Ok(news)) = came.as_mut().map(mpsc::Receiver::try_recv) {
                    round.hear(news);
                }
                round.step(field.as_deref()).await;
                // Those that died begin anew with the next step, and so not more often than that.
                if came.is_none() {
                    came = field.as_ref().map(|field| take_off(field, settings.canary_interval));
                }
                pace.took(began.elapsed(), late);
                // After a delay the missed steps are skipped, not made up for.
                next = (next + pace.step()).max(tokio::time::Instant::now());
            }
        }
    }
}

/// Starts the canaries on their thread. They end when the news of them is not taken any more.
fn take_off(field: &Arc<Airfield>, interval: Duration) -> mpsc::Receiver<News> {
    let (news, came) = mpsc::channel(NEST_CAPACITY);
    let on = Arc::clone(field);
    field.thread.spawn_fn(move || drop(actix_rt::spawn(flock::fly(on, interval, news))));
    came
}

/// Writes once a minute, for as long as the actor lives.
async fn keep(observatory: Arc<Observatory>) {
    let mut rounds = tokio::time::interval(WRITE_INTERVAL);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What was counted before is known at once, so that the first who looks sees it.
    let mut count = 0u32;
    loop {
        tokio::select! {
            _ = rounds.tick() => {
                observatory.write(false).await;
                count = count.wrapping_add(1);
                if count.is_multiple_of(ROUNDS_PER_LEAK_LOOK) {
                    observatory.look_for_leaks().await;
                }
            }
            () = observatory.alerts_changed.notified() => {
                // What changes together is written together; where it cannot be, the next round tries again and says so.
                tokio::time::sleep(ALERTS_WRITE_PAUSE).await;
                let _ = observatory.write_alerts().await;
            }
        }
    }
}

/// What one actor remembers from step to step.
struct Round {
    observatory: Arc<Observatory>,
    sampler: Sampler,
    canaries: Canaries,
    /// How long the newest canary took to come in.
    came_in: Option<Duration>,
    host: Host,
    paths: Paths,
    steps: u64,
    last_at: Instant,
    /// CPU time of this thread at the last step, and the shares of the last minute's steps.
    cpu: Duration,
    cost: Option<f64>,
    step_us: u64,
    /// What those who watch have been told.
    told: Option<Values>,
}

impl Round {
    fn new(observatory: Arc<Observatory>) -> Self {
        let canaries = Canaries::new(observatory.settings().latency_goal);
        let begun = observatory.begun.lock().take();
        Self {
            observatory,
            sampler: Sampler::new(begun),
            canaries,
            came_in: None,
            host: Host::new(),
            paths: Paths::new(Path::ALL.map(Counted::of)),
            steps: 0,
            last_at: Instant::now(),
            cpu: host::thread_cpu(),
            cost: None,
            step_us: 0,
            told: None,
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Flown { number, to, is_timed, at } => self.canaries.flies(number, to, is_timed, at),
            News::Came { number, at } => self.canaries.came(number, at),
            News::Grounded { to } => self.canaries.refused(to),
            News::Opened { took } => self.came_in = Some(took),
        }
    }

    async fn step(&mut self, field: Option<&Airfield>) {
        let observatory = Arc::clone(&self.observatory);
        let parts = &observatory.parts;
        let (is_watched, step) = (observatory.is_watched(OVERVIEW), self.steps);
        self.steps += 1;
        let began = Instant::now();
        let elapsed = began.saturating_duration_since(std::mem::replace(&mut self.last_at, began));
        let figures = parts.house.figures(is_watched || step.is_multiple_of(STEPS_PER_DEAR_LOOK)).await;
        if step.is_multiple_of(STEPS_PER_DISK) {
            observatory.look_at_disk();
        }
        let mut values = Values::default();
        self.host.read(elapsed, &mut values);
        self.paths.step(Path::ALL.map(Counted::of), &mut values);
        values[Metric::HostDiskFree] = *observatory.disk_free.lock();
        values[Metric::MetricsCost] = self.cost;
        let Growth { memory, descriptors, actors } = *observatory.growth.lock();
        (values[Metric::LeakMemory], values[Metric::LeakDescriptors], values[Metric::LeakActors]) = (memory, descriptors, actors);
        values[Metric::CanariesOpen] = field.map(|field| field.open.load(Ordering::Relaxed) as f64);
        values[Metric::CanariesConnect] = self.came_in.map(|took| took.as_secs_f64() * 1_000.0);
        let canaries = field.map(|_| self.canaries.step(Instant::now()));
        if let Some(told) = canaries {
            emit(CanariesTold { heard: told.arrived, lost: told.lost });
        }
        let sample = self.sampler.step(Read { now: parts.clock.now(), at: parts.clock.wall_ms(), totals: Totals::read(), figures, values, canaries });
        self.settle(sample, elapsed, began);
        if is_watched {
            self.tell(step);
        } else {
            self.told = None;
        }
        if step.is_multiple_of(STEPS_PER_FEEDS) && observatory.is_watched(FEEDS) {
            let mut feeds = parts.house.feeds();
            feeds["at"] = json!(parts.clock.wall_ms());
            observatory.publish(FEEDS, &feeds);
        }
    }

    /// Puts a sample where it belongs.
    fn settle(&mut self, mut sample: Sample, elapsed: Duration, began: Instant) {
        let observatory = &self.observatory;
        let standings = {
            let mut objectives = observatory.objectives.lock();
            objectives.count(sample.at, sample.step_ms, sample.tallies);
            objectives.standings().to_vec()
        };
        for (standing, (now, budget)) in standings.iter().zip(OBJECTIVES) {
            sample.values[now] = standing.now;
            sample.values[budget] = standing.budget_left;
        }
        observatory.judge(&sample);
        if let Some(history) = &observatory.history {
            let given_up = history.add(sample.at, &sample.values);
            if given_up > 0 {
                emit(HistoryGivenUp { blocks: given_up });
            }
        }
        let cpu = host::thread_cpu();
        let used = cpu.saturating_sub(std::mem::replace(&mut self.cpu, cpu)).as_secs_f64() * 100.0 / elapsed.as_secs_f64().max(0.001);
        // Smoothed over about a minute: single steps are as short as the clock's own grain.
        self.cost = Some(self.cost.map_or(used, |cost| cost + (used - cost) / 60.0));
        self.step_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let cost = Cost { cpu_percent: self.cost.map(rounded), step_us: self.step_us };
        *observatory.latest.write() = Latest { sample: Arc::new(sample), standings, cost };
    }

    fn tell(&mut self, step: u64) {
        let latest = self.observatory.latest.read().clone();
        let before = if step.is_multiple_of(STEPS_PER_WHOLE) { None } else { self.told.as_ref() };
        let told = self.observatory.told(&latest, before);
        self.told = Some(latest.sample.values.clone());
        self.observatory.publish(OVERVIEW, &told);
    }
}

// === Ping ===
/// Answered at once by an actor that is alive.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ping;

impl Handler<Ping> for Metrics {
    type Result = ();
    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

// === Panic ===
/// Makes the actor panic, so that tests can see it replaced.
#[cfg(feature = "test-hooks")]
#[derive(Message)]
#[rtype(result = "()")]
pub struct Panic;

#[cfg(feature = "test-hooks")]
impl Handler<Panic> for Metrics {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("a test asked the metrics actor to panic");
    }
}

//! What is wrong: rules judged at every sample, alerts that come and go, silences, acknowledgements.
//!
//! Pure: the actor hands over samples and times, and carries out what is to be told. What is known is written to the store as one value, so that a
//! restart neither forgets who has acknowledged what nor tells everything anew. Bounded: rules, alerts, silences and what is remembered of
//! resolved ones each have their most.

mod defaults;
pub mod letter;
mod rule;
mod track;

pub use rule::{About, BadRule, Route, Rule, Severity, spoken};
pub use track::{Firing, Preview, preview};

use super::catalogue::Metric;
use super::sample::Sample;
use crate::said::{Figure, Said, Sentence, said};
use crate::store::WallMs;
use defaults::defaults;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use track::{At, Change, State, Track};

/// Rules of the operators' own, the hub's that were changed included.
const RULES_MAX: usize = 200;

/// Alerts that are pending or firing. Beyond it a further one waits for room; it is told when there is.
const ALERTS_MAX: usize = 256;

/// Resolved ones that are remembered.
const RESOLVED_MAX: usize = 500;

const SILENCES_MAX: usize = 100;

/// Names in a text that lists what is wrong.
const NAMED_MAX: usize = 3;

/// Milliseconds of a week.
const WEEK_MS: WallMs = 7 * 86_400_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Pending,
    Firing,
    Resolved,
}

/// Something that is, or was, wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    pub id: String,
    pub rule: String,
    /// The feed; `None`: the hub as a whole.
    pub subject: Option<String>,
    pub severity: Severity,
    pub state: Phase,
    pub metric: String,
    pub title: String,
    /// What was read, by which rule, and why it is so where that is known.
    pub text: String,
    /// The same as data: its sentences, one after the other.
    #[serde(default)]
    pub said: Vec<Said>,
    pub advice: String,
    pub value: Option<f64>,
    pub peak: Option<f64>,
    pub since: WallMs,
    pub fired_at: Option<WallMs>,
    pub resolved_at: Option<WallMs>,
    pub acknowledged_by: Option<String>,
    pub acknowledged_at: Option<WallMs>,
    pub silenced_until: Option<WallMs>,
    /// When it was told last.
    #[serde(default)]
    pub told_at: Option<WallMs>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    pub id: String,
    /// `None`: every rule.
    pub rule: Option<String>,
    /// `None`: every subject.
    pub subject: Option<String>,
    pub since: WallMs,
    pub until: WallMs,
    pub by: String,
    pub why: String,
}

impl Silence {
    fn covers(&self, alert: &Alert, wall_ms: WallMs) -> bool {
        self.until > wall_ms
            && self.rule.as_ref().is_none_or(|rule| *rule == alert.rule)
            && self.subject.as_ref().is_none_or(|subject| alert.subject.as_ref() == Some(subject))
    }
}

/// What is to be told of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Firing,
    Resolved,
    Repeated,
    Acknowledged,
    Unacknowledged,
}

impl What {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
            Self::Repeated => "repeated",
            Self::Acknowledged => "acknowledged",
            Self::Unacknowledged => "unacknowledged",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub what: What,
    pub alert: Alert,
    /// Where it is told. Of one that is silenced only the page is.
    pub routes: Vec<Route>,
}

/// Why something cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    #[error(transparent)]
    BadRule(#[from] BadRule),
    #[error("there is no {what} {name}")]
    Unknown { what: &'static str, name: String },
    #[error("there are {max} {what} already, the most there may be")]
    TooMany { what: &'static str, max: usize },
}

/// What the store keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    rules: Vec<Rule>,
    silences: Vec<Silence>,
    alerts: Vec<Alert>,
    resolved: VecDeque<Alert>,
}

/// A rule's name, and the feed's where it is about each feed.
type Key = (String, Option<Arc<str>>);

/// A rule that was found good, and what it is about.
struct Judged {
    rule: Rule,
    about: About,
}

pub struct Alerts {
    /// The hub's own, with what operators made of them, and theirs.
    rules: BTreeMap<String, Arc<Judged>>,
    /// Those that operators made or changed.
    own: BTreeMap<String, Rule>,
    tracks: HashMap<Key, Track>,
    alerts: BTreeMap<Key, Alert>,
    resolved: VecDeque<Alert>,
    silences: Vec<Silence>,
    last_resolved_at: Option<WallMs>,
    /// Counts the changes, so that what changes while it is being written is written again.
    version: u64,
}

impl Default for Alerts {
    fn default() -> Self {
        let rules = defaults().filter_map(|rule| Some((rule.name.clone(), Arc::new(Judged { about: rule.about()?, rule }))));
        Self {
            rules: rules.collect(),
            own: BTreeMap::new(),
            tracks: HashMap::new(),
            alerts: BTreeMap::new(),
            resolved: VecDeque::new(),
            silences: Vec::new(),
            last_resolved_at: None,
            version: 0,
        }
    }
}

impl Alerts {
    // === What is measured ===

    /// Judges a sample. `now`: milliseconds on a clock that does not go back; `wall_ms`: what people call the time.
    pub fn judge(&mut self, sample: &Sample, now: At, wall_ms: WallMs) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut seen: HashSet<Key> = HashSet::new();
        let rules: Vec<Arc<Judged>> = self.rules.values().filter(|judged| judged.rule.is_enabled).cloned().collect();
        for judged in &rules {
            let rule = &judged.rule;
            match judged.about {
                About::House(metric) => {
                    let key = (rule.name.clone(), None);
                    let value = sample.values[metric];
                    notices.extend(self.read(rule, key.clone(), value, &|| why(metric, sample), (now, wall_ms)));
                    seen.insert(key);
                }
                About::EachFeed(metric) => {
                    for feed in &sample.feeds {
                        let key = (rule.name.clone(), Some(Arc::clone(&feed.name)));
                        notices.extend(self.read(rule, key.clone(), feed.value(metric), &|| feed.why.clone(), (now, wall_ms)));
                        seen.insert(key);
                    }
                }
            }
        }
        // What is looked at no more, a feed that was removed or a rule that was, is not wrong any more.
        self.tracks.retain(|key, _| seen.contains(key));
        let gone: Vec<Key> = self.alerts.keys().filter(|key| !seen.contains(*key)).cloned().collect();
        notices.extend(gone.into_iter().filter_map(|key| self.end(&key, wall_ms)));
        notices.extend(self.repeats(wall_ms));
        self.forget_silences(wall_ms);
        notices
    }

    fn read(
        &mut self,
        rule: &Rule,
        key: Key,
        value: Option<f64>,
        why: &dyn Fn() -> Option<Sentence>,
        (now, wall_ms): (At, WallMs),
    ) -> Option<Notice> {
        let has_room = self.alerts.len() < ALERTS_MAX || self.alerts.contains_key(&key);
        let track = self.tracks.entry(key.clone()).or_default();
        if !has_room && track.state == State::Quiet {
            return None;
        }
        let change = track.read(rule, value, now);
        let peak = track.peak;
        match change {
            Change::Nothing => {
                if let (Some(alert), Some(value)) = (self.alerts.get_mut(&key), value) {
                    (alert.value, alert.peak) = (Some(value), peak);
                }
                None
            }
            Change::Passed => {
                self.alerts.remove(&key);
                None
            }
            Change::Pending | Change::Fired => {
                let subject = key.1.as_deref();
                let alert = self.alerts.entry(key.clone()).or_insert_with(|| Alert {
                    id: uuid::Uuid::now_v7().to_string(),
                    rule: rule.name.clone(),
                    subject: subject.map(str::to_string),
                    severity: rule.severity,
                    state: Phase::Pending,
                    metric: rule.metric.clone(),
                    title: rule.title.replace("{subject}", subject.unwrap_or_default()),
                    text: String::new(),
                    said: Vec::new(),
                    advice: rule.advice.clone(),
                    value,
                    peak,
                    since: wall_ms,
                    fired_at: None,
                    resolved_at: None,
                    acknowledged_by: None,
                    acknowledged_at: None,
                    silenced_until: None,
                    told_at: None,
                });
                (alert.value, alert.peak) = (value, peak);
                let (texts, said): (Vec<_>, Vec<_>) =
                    judgement(rule, value).into_iter().chain(why()).map(|Sentence { text, said }| (text, said)).unzip();
                (alert.text, alert.said) = (texts.join(" "), said);
                if change == Change::Pending {
                    return None;
                }
                (alert.state, alert.fired_at) = (Phase::Firing, Some(wall_ms));
                self.version += 1;
                self.tell(&key, What::Firing, wall_ms)
            }
            Change::Resolved => {
                if let Some(alert) = self.alerts.get_mut(&key) {
                    (alert.value, alert.peak) = (value, peak);
                }
                self.end(&key, wall_ms)
            }
        }
    }

    fn end(&mut self, key: &Key, wall_ms: WallMs) -> Option<Notice> {
        if let Some(alert) = self.alerts.get_mut(key)
            && alert.state == Phase::Firing
        {
            (alert.state, alert.resolved_at) = (Phase::Resolved, Some(wall_ms));
        }
        let notice = self.tell(key, What::Resolved, wall_ms);
        let alert = self.alerts.remove(key)?;
        if alert.state != Phase::Resolved {
            // It was pending: nobody has been told, and nobody will be.
            return None;
        }
        self.last_resolved_at = Some(wall_ms);
        self.resolved.push_front(alert);
        self.resolved.truncate(RESOLVED_MAX);
        self.version += 1;
        notice
    }

    /// What is to be told of an alert now.
    fn tell(&mut self, key: &Key, what: What, wall_ms: WallMs) -> Option<Notice> {
        let silenced_until = self.silenced_until(self.alerts.get(key)?, wall_ms);
        let mut routes = self.rules.get(&key.0).map(|judged| judged.rule.routes.clone()).unwrap_or_default();
        let alert = self.alerts.get_mut(key)?;
        alert.silenced_until = silenced_until;
        alert.told_at = Some(wall_ms);
        if silenced_until.is_some() {
            routes.retain(|route| *route == Route::Page);
        }
        Some(Notice { what, alert: alert.clone(), routes })
    }

    fn silenced_until(&self, alert: &Alert, wall_ms: WallMs) -> Option<WallMs> {
        self.silences.iter().filter(|silence| silence.covers(alert, wall_ms)).map(|silence| silence.until).max()
    }

    /// Those that are told again.
    fn repeats(&mut self, wall_ms: WallMs) -> Vec<Notice> {
        let due: Vec<Key> = self
            .alerts
            .iter()
            .filter(|((rule, _), alert)| {
                let repeat_ms = self.rules.get(rule).map_or(0, |judged| judged.rule.repeat_ms);
                let is_due =
                    alert.told_at.is_some_and(|told_at| wall_ms.saturating_sub(told_at) >= WallMs::try_from(repeat_ms).unwrap_or(WallMs::MAX));
                repeat_ms > 0 && is_due && alert.state == Phase::Firing && alert.acknowledged_by.is_none()
            })
            .map(|(key, _)| key.clone())
            .collect();
        // When it was told last is known after a restart, too.
        self.version += u64::from(!due.is_empty());
        due.into_iter().filter_map(|key| self.tell(&key, What::Repeated, wall_ms)).collect()
    }

    fn forget_silences(&mut self, wall_ms: WallMs) {
        let before = self.silences.len();
        self.silences.retain(|silence| silence.until > wall_ms);
        if self.silences.len() != before {
            self.version += 1;
            let silenced: Vec<_> = self.alerts.values().map(|alert| self.silenced_until(alert, wall_ms)).collect();
            self.alerts.values_mut().zip(silenced).for_each(|(alert, until)| alert.silenced_until = until);
        }
    }

    // === What people look at ===

    /// Pending and firing, the worst first.
    pub fn active(&self) -> Vec<&Alert> {
        let mut active: Vec<_> = self.alerts.values().collect();
        active.sort_by_key(|alert| (alert.state != Phase::Firing, std::cmp::Reverse(alert.severity), alert.since));
        active
    }

    /// Firing ones of a severity that nobody has silenced.
    pub fn firing(&self, severity: Severity) -> impl Iterator<Item = &Alert> {
        self.alerts.values().filter(move |alert| alert.state == Phase::Firing && alert.severity == severity && alert.silenced_until.is_none())
    }

    /// The resolved ones of a time, newest first.
    pub fn resolved(&self, from: WallMs, to: WallMs, limit: usize) -> Vec<&Alert> {
        self.resolved.iter().filter(|alert| alert.resolved_at.is_some_and(|at| (from..to).contains(&at))).take(limit).collect()
    }

    /// Those that fired, or were firing, in a time; and whether some of it may be forgotten.
    pub fn of_time(&self, from: WallMs, to: WallMs) -> (Vec<&Alert>, bool) {
        let is_in = |alert: &&Alert| alert.fired_at.is_some_and(|at| at < to) && alert.resolved_at.is_none_or(|at| at >= from);
        let firing = self.alerts.values().filter(|alert| alert.state == Phase::Firing);
        let is_forgotten =
            self.resolved.len() >= RESOLVED_MAX && self.resolved.back().and_then(|alert| alert.resolved_at).is_some_and(|at| at > from);
        (self.resolved.iter().chain(firing).filter(is_in).collect(), is_forgotten)
    }

    pub fn silences(&self) -> &[Silence] {
        &self.silences
    }

    pub fn last_resolved_at(&self) -> Option<WallMs> {
        self.last_resolved_at
    }

    /// Every rule: whether it is the hub's, whether that was changed, and how often it fired in a week.
    pub fn rules(&self, wall_ms: WallMs) -> impl Iterator<Item = (&Rule, bool, bool, usize)> {
        let own: HashSet<String> = defaults().map(|rule| rule.name).collect();
        self.rules.values().map(move |judged| {
            let rule = &judged.rule;
            let is_default = own.contains(&rule.name);
            let fired = self.alerts.values().chain(&self.resolved).filter(|alert| alert.rule == rule.name);
            let fired = fired.filter(|alert| alert.fired_at.is_some_and(|at| wall_ms.saturating_sub(at) < WEEK_MS)).count();
            (rule, is_default, is_default && self.own.contains_key(&rule.name), fired)
        })
    }

    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.get(name).map(|judged| &judged.rule)
    }

    // === What people do ===

    pub fn set_rule(&mut self, rule: Rule) -> Result<(), AlertError> {
        let about = rule.check()?;
        if self.own.len() >= RULES_MAX && !self.own.contains_key(&rule.name) {
            return Err(AlertError::TooMany { what: "rules", max: RULES_MAX });
        }
        self.own.insert(rule.name.clone(), rule.clone());
        self.replace(rule, about);
        Ok(())
    }

    /// Removes a rule of the operators'; one of the hub's is again as it was.
    pub fn remove_rule(&mut self, name: &str) -> Result<(), AlertError> {
        let is_own = self.own.remove(name).is_some();
        match defaults().find(|rule| rule.name == name).and_then(|rule| Some((rule.about()?, rule))) {
            Some((about, rule)) => self.replace(rule, about),
            None if is_own => {
                self.rules.remove(name);
                self.version += 1;
            }
            None => return Err(AlertError::Unknown { what: "rule", name: name.to_string() }),
        }
        Ok(())
    }

    fn replace(&mut self, rule: Rule, about: About) {
        // What is judged by other bounds begins anew; what was firing is resolved or fires by the next sample.
        let name = rule.name.clone();
        if self.rules.get(&name).is_some_and(|before| before.rule == rule) {
            return;
        }
        let metric = rule.metric.clone();
        let before = self.rules.insert(name.clone(), Arc::new(Judged { rule, about }));
        if before.is_some_and(|before| before.rule.metric != metric) {
            self.tracks.retain(|(rule, _), _| *rule != name);
        }
        self.version += 1;
    }

    pub fn silence(&mut self, silence: Silence) -> Result<(), AlertError> {
        if self.silences.len() >= SILENCES_MAX {
            return Err(AlertError::TooMany { what: "silences", max: SILENCES_MAX });
        }
        if let Some(rule) = &silence.rule
            && !self.rules.contains_key(rule)
        {
            return Err(AlertError::Unknown { what: "rule", name: rule.clone() });
        }
        let since = silence.since;
        self.silences.push(silence);
        let silenced: Vec<_> = self.alerts.values().map(|alert| self.silenced_until(alert, since)).collect();
        self.alerts.values_mut().zip(silenced).for_each(|(alert, until)| alert.silenced_until = until);
        self.version += 1;
        Ok(())
    }

    pub fn unsilence(&mut self, id: &str, wall_ms: WallMs) -> Result<(), AlertError> {
        let before = self.silences.len();
        self.silences.retain(|silence| silence.id != id);
        if self.silences.len() == before {
            return Err(AlertError::Unknown { what: "silence", name: id.to_string() });
        }
        let silenced: Vec<_> = self.alerts.values().map(|alert| self.silenced_until(alert, wall_ms)).collect();
        self.alerts.values_mut().zip(silenced).for_each(|(alert, until)| alert.silenced_until = until);
        self.version += 1;
        Ok(())
    }

    /// Somebody has seen it, or has not after all (`None`).
    pub fn acknowledge(&mut self, id: &str, by: Option<&str>, wall_ms: WallMs) -> Result<Notice, AlertError> {
        let alert = self.alerts.values_mut().find(|alert| alert.id == id && alert.state == Phase::Firing);
        let alert = alert.ok_or_else(|| AlertError::Unknown { what: "firing alert", name: id.to_string() })?;
        alert.acknowledged_by = by.map(str::to_string);
        alert.acknowledged_at = by.map(|_| wall_ms);
        self.version += 1;
        let what = if by.is_some() { What::Acknowledged } else { What::Unacknowledged };
        Ok(Notice { what, alert: alert.clone(), routes: vec![Route::Page] })
    }

    // === What outlives the process ===

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn kept(&self) -> Kept {
        Kept {
            rules: self.own.values().cloned().collect(),
            silences: self.silences.clone(),
            alerts: self.alerts.values().filter(|alert| alert.state == Phase::Firing).cloned().collect(),
            resolved: self.resolved.clone(),
        }
    }

    /// Adds what an earlier run knew. What is known of the same now comes first.
    pub fn remember(&mut self, kept: Kept, now: At, wall_ms: WallMs) {
        for rule in kept.rules.into_iter().take(RULES_MAX) {
            if let Ok(about) = rule.check()
                && !self.own.contains_key(&rule.name)
            {
                self.own.insert(rule.name.clone(), rule.clone());
                self.replace(rule, about);
            }
        }
        let known: HashSet<String> = self.silences.iter().map(|silence| silence.id.clone()).collect();
        self.silences.extend(kept.silences.into_iter().filter(|silence| !known.contains(&silence.id)));
        self.silences.truncate(SILENCES_MAX);
        for alert in kept.alerts.into_iter().take(ALERTS_MAX) {
            let key: Key = (alert.rule.clone(), alert.subject.as_deref().map(Arc::from));
            if alert.state != Phase::Firing || !self.rules.contains_key(&alert.rule) || self.alerts.contains_key(&key) {
                continue;
            }
            // The clock that does not go back has begun anew; how long ago something was is what the wall clock says.
            let ago = |at: WallMs| now - wall_ms.saturating_sub(at).max(0);
            let track = Track::firing(ago(alert.since), ago(alert.fired_at.unwrap_or(alert.since)), alert.peak);
            self.tracks.insert(key.clone(), track);
            self.alerts.insert(key, alert);
        }
        self.resolved.extend(kept.resolved);
        self.resolved.make_contiguous().sort_by_key(|alert| std::cmp::Reverse(alert.resolved_at));
        self.resolved.truncate(RESOLVED_MAX);
        self.last_resolved_at = self.last_resolved_at.max(self.resolved.front().and_then(|alert| alert.resolved_at));
    }
}

/// What was read, and by which rule.
fn judgement(rule: &Rule, value: Option<f64>) -> [Sentence; 2] {
    let metric = rule.metric.as_str();
    let read = match value {
        Some(value) => said!("alert.read", "{metric} is {value}.", metric, value = (value * 1_000.0).round() / 1_000.0),
        None => said!("alert.no_reading", "{metric} has no reading.", metric),
    };
    [read, rule.said()]
}

/// What is known of the reason beyond the number.
fn why(metric: Metric, sample: &Sample) -> Option<Sentence> {
    match metric {
        Metric::StoreUp | Metric::StoreErrors | Metric::StoreLatency | Metric::AuditFailures | Metric::HistoryUnwritten => {
            sample.store_trouble.as_deref().map(|trouble| said!("alert.store", "{trouble}.", trouble))
        }
        Metric::FeedsDown | Metric::FeedsOpen => {
            let down: Vec<&str> = sample.feeds.iter().filter(|feed| feed.down_seconds > 0.0).map(|feed| &*feed.name).collect();
            let feeds = down.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
            match down.len() {
                0 => None,
                1..=NAMED_MAX => Some(said!("alert.feeds", "{feeds}.", feeds)),
                all => Some(said!("alert.feeds_and_more", "{feeds} and {more} more.", feeds, more = all - NAMED_MAX)),
            }
        }
        Metric::WorkersLag | Metric::WorkersSilent => sample.workers.iter().max_by_key(|worker| (!worker.answers, worker.lag_ms)).map(|slowest| {
            let (worker, late_ms) = (slowest.worker.to_string(), Figure::new(format!("{} ms", slowest.lag_ms), slowest.lag_ms));
            said!("alert.worker", "Worker {worker} is {late_ms} late.", worker, late_ms)
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

//! What the feeds did, by the day and by the week: kept in the store, shown to operators. Pure: sums and time in, reports out.
//!
//! A day is one of UTC. The pool notes every minute what each feed's ledger has gained; at midnight the day becomes a report, and on Monday
//! seven days become one of the week, which looks for patterns: which feed, which hour, which reason. A hub that is started again goes on with
//! the day it had begun. Reports stand in as many places of the store as are kept, each in that of its day, so old ones are written over.

use super::machine::Reason;
use crate::calendar::{Period, date_of, hour_of, week_of};
use crate::document::Document;
use crate::said::{Figure, Said, Sentence, said};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Days and weeks that are kept.
pub const DAYS_KEPT: i64 = 35;
pub const WEEKS_KEPT: i64 = 26;

/// Feeds that a day tells apart; those that come later are counted together.
const FEEDS_MAX: usize = 1_000;
const OTHERS: &str = "(others)";

/// Feeds that a report of a week names.
const NAMED_MAX: usize = 10;

/// An hour stands out when it has this many times its share of the errors, and at least so many.
const HOUR_FACTOR: u64 = 3;
const HOUR_ERRORS_MIN: u64 = 10;

/// A feed stands out when its events are later than this on the average, in milliseconds: as by default a degraded one.
const LATE_MS: u64 = 1_000;

/// Sums over a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FeedSums)]
#[serde(default)]
pub struct Sums {
    /// Read, published or not.
    pub events: u64,
    /// Read.
    pub bytes: u64,
    /// Ends of connections and attempts other than our own and clean ones.
    pub errors: u64,
    /// To connect.
    pub attempts: u64,
    /// Of these, those that led to no stream.
    pub failed_attempts: u64,
    /// Connections replaced while they worked.
    pub rotations: u64,
    /// Times that events were missed for sure.
    pub gaps: u64,
    /// Events left out because they had been published.
    pub repeated: u64,
    /// Events that led to no channel.
    pub dropped: u64,
    /// How late the events were that told their time, added up, in milliseconds.
    pub late_ms: u64,
    /// How many events told their time.
    pub timed: u64,
    /// Milliseconds without a connection, though there was to be one.
    pub down_ms: u64,
}

impl Sums {
    /// Mean lateness of the events that told their time, in milliseconds.
    pub fn mean_late_ms(&self) -> Option<u64> {
        self.late_ms.checked_div(self.timed)
    }

    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        self.errors += other.errors;
        self.attempts += other.attempts;
        self.failed_attempts += other.failed_attempts;
        self.rotations += other.rotations;
        self.gaps += other.gaps;
        self.repeated += other.repeated;
        self.dropped += other.dropped;
        self.late_ms = self.late_ms.saturating_add(other.late_ms);
        self.timed += other.timed;
        self.down_ms += other.down_ms;
    }
}

impl Sums {
    /// What has been added since `before`, which was a part of this.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            events: self.events.saturating_sub(before.events),
            bytes: self.bytes.saturating_sub(before.bytes),
            errors: self.errors.saturating_sub(before.errors),
            attempts: self.attempts.saturating_sub(before.attempts),
            failed_attempts: self.failed_attempts.saturating_sub(before.failed_attempts),
            rotations: self.rotations.saturating_sub(before.rotations),
            gaps: self.gaps.saturating_sub(before.gaps),
            repeated: self.repeated.saturating_sub(before.repeated),
            dropped: self.dropped.saturating_sub(before.dropped),
            late_ms: self.late_ms.saturating_sub(before.late_ms),
            timed: self.timed.saturating_sub(before.timed),
            down_ms: self.down_ms.saturating_sub(before.down_ms),
        }
    }
}

/// One feed, over a day or a week.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FeedDayReport)]
#[serde(default)]
pub struct FeedDay {
    /// Over the whole day.
    pub sums: Sums,
    /// Errors by hour of the day, UTC.
    pub errors_by_hour: [u64; 24],
    /// Events by hour of the day, UTC.
    pub events_by_hour: [u64; 24],
    /// Why connections and attempts ended.
    pub reasons: BTreeMap<String, u64>,
    /// Mean lateness in the minute in which it was worst, in milliseconds.
    pub late_ms_most: u64,
}

impl FeedDay {
    fn add(&mut self, other: &Self) {
        self.sums.add(&other.sums);
        self.late_ms_most = self.late_ms_most.max(other.late_ms_most);
        for hour in 0..24 {
            self.errors_by_hour[hour] += other.errors_by_hour[hour];
            self.events_by_hour[hour] += other.events_by_hour[hour];
        }
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
    }
}

/// One day, finished or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FeedsDay)]
#[serde(default)]
pub struct Day {
    /// Counted from 1970.
    pub number: i64,
    /// Year, month, day; UTC.
    pub date: String,
    /// Minutes in which the hub ran and took note.
    pub minutes: u64,
    /// Each feed, or family of feeds, under its name.
    pub feeds: BTreeMap<String, FeedDay>,
    /// The most connections at once.
    pub connections_most: usize,
    /// The most feeds that waited for one.
    pub waiting_most: usize,
    /// As many connections were allowed.
    pub connections_max: usize,
    /// The most that was used of memory or descriptors, in percent.
    pub used_percent_most: u8,
    /// How many began.
    pub emergencies: u64,
}

/// What a feed has gained since the last note.
#[derive(Clone, Debug, Default)]
pub struct Gain {
    pub sums: Sums,
    pub reasons: Vec<(Reason, u64)>,
}

/// The pool as a whole at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    pub connections: usize,
    pub waiting: usize,
    pub connections_max: usize,
    pub used_percent: u8,
    /// Since the last note.
    pub emergencies: u64,
}

impl Day {
    pub fn new(number: i64) -> Self {
        Self { number, date: date_of(number), ..Self::default() }
    }

    /// Notes a minute.
    pub fn note(&mut self, wall_ms: i64, load: &Load, gains: impl IntoIterator<Item = (String, Gain)>) {
        let hour = hour_of(wall_ms);
        self.minutes += 1;
        self.connections_most = self.connections_most.max(load.connections);
        self.waiting_most = self.waiting_most.max(load.waiting);
        self.connections_max = load.connections_max;
        self.used_percent_most = self.used_percent_most.max(load.used_percent);
        self.emergencies += load.emergencies;
        for (feed, gain) in gains {
            let is_full = self.feeds.len() >= FEEDS_MAX && !self.feeds.contains_key(&feed);
            let day = self.feeds.entry(if is_full { OTHERS.to_string() } else { feed }).or_default();
            day.sums.add(&gain.sums);
            day.late_ms_most = day.late_ms_most.max(gain.sums.mean_late_ms().unwrap_or(0));
            day.errors_by_hour[hour] += gain.sums.errors;
            day.events_by_hour[hour] += gain.sums.events;
            for (reason, count) in gain.reasons {
                *day.reasons.entry(reason.as_str().to_string()).or_default() += count;
            }
        }
    }

    pub fn total(&self) -> FeedDay {
        let mut total = FeedDay::default();
        self.feeds.values().for_each(|feed| total.add(feed));
        total
    }
}

/// A feed and a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = FeedRank)]
pub struct Ranked {
    /// Its name.
    pub feed: String,
    /// Of what the list is about.
    pub count: u64,
    /// Of all, in percent.
    pub share: u64,
    /// Why, most of the time.
    pub reason: Option<String>,
}

/// A feed whose events told their time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FeedLateness)]
pub struct Late {
    /// Its name.
    pub feed: String,
    /// Mean over the whole time, in milliseconds.
    pub mean_ms: u64,
    /// Mean over the minute in which it was worst, in milliseconds.
    pub most_ms: u64,
}

/// What seven days have in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = FeedsWeek)]
#[serde(default)]
pub struct Week {
    /// Counted from the one in which 1970 began.
    pub number: i64,
    /// Its Monday.
    pub from: String,
    /// Its Sunday.
    pub to: String,
    /// Days of it that are known.
    pub days: usize,
    /// Over all feeds and days.
    pub sums: Sums,
    /// Dates, each with the events of that day.
    pub events_by_day: Vec<(String, u64)>,
    /// Dates, each with the errors of that day.
    pub errors_by_day: Vec<(String, u64)>,
    /// Errors by hour of the day, UTC.
    pub errors_by_hour: [u64; 24],
    /// Why connections and attempts ended.
    pub reasons: BTreeMap<String, u64>,
    /// Feeds with the most errors.
    pub most_errors: Vec<Ranked>,
    /// Feeds that were without a connection for the longest, in seconds.
    pub longest_down: Vec<Ranked>,
    /// Those whose events came latest, by the mean.
    pub latest: Vec<Late>,
    /// Hours of the day, UTC, in which errors gather.
    pub bad_hours: Vec<usize>,
    /// Events against the week before, in percent; null: that is not known.
    pub events_change_percent: Option<i64>,
    /// Errors against the week before, in percent; null: that is not known.
    pub errors_change_percent: Option<i64>,
    /// The most connections at once.
    pub connections_most: usize,
    /// The most feeds that waited for one.
    pub waiting_most: usize,
    /// As many connections were allowed.
    pub connections_max: usize,
    /// The most that was used of memory or descriptors, in percent.
    pub used_percent_most: u8,
    /// How many began.
    pub emergencies: u64,
    /// For people: what stands out, and what to expect.
    pub findings: Vec<String>,
    /// The findings as data, in the same order. Weeks of before there was this have none.
    pub said: Vec<Said>,
}

impl Week {
    /// Sums up the days of a week. `before`: the week before, if it is known.
    pub fn of(number: i64, days: &[Day], before: Option<&Self>) -> Self {
        let days = days.iter().filter(|day| week_of(day.number) == number);
        Self::sum(Period::Week, number, days, before)
    }

    /// The same of one day, against the day before.
    pub fn of_day(day: &Day, before: Option<&Day>) -> Self {
        let before = before.map(|before| Self::sum(Period::Day, before.number, [before], None));
        Self::sum(Period::Day, day.number, [day], before.as_ref())
    }

    fn sum<'a>(period: Period, number: i64, days: impl IntoIterator<Item = &'a Day>, before: Option<&Self>) -> Self {
        let (first, count) = period.days(number);
        let mut week = Self { number: week_of(first), from: date_of(first), to: date_of(first + count - 1), ..Self::default() };
        let mut feeds: BTreeMap<&str, FeedDay> = BTreeMap::new();
        for day in days {
            let total = day.total();
            week.days += 1;
            week.sums.add(&total.sums);
            week.events_by_day.push((day.date.clone(), total.sums.events));
            week.errors_by_day.push((day.date.clone(), total.sums.errors));
            week.connections_most = week.connections_most.max(day.connections_most);
            week.waiting_most = week.waiting_most.max(day.waiting_most);
            week.connections_max = day.connections_max;
            week.used_percent_most = week.used_percent_most.max(day.used_percent_most);
            week.emergencies += day.emergencies;
            for (name, feed) in &day.feeds {
                feeds.entry(name).or_default().add(feed);
            }
        }
        let mut total = FeedDay::default();
        feeds.values().for_each(|feed| total.add(feed));
        (week.errors_by_hour, week.reasons) = (total.errors_by_hour, total.reasons);
        week.most_errors = ranked(&feeds, |feed| feed.sums.errors);
        week.longest_down = ranked(&feeds, |feed| feed.sums.down_ms / 1_000);
        week.latest = latest(&feeds);
        let bound = (week.sums.errors * HOUR_FACTOR / 24).max(HOUR_ERRORS_MIN);
        week.bad_hours = (0..24).filter(|hour| week.errors_by_hour[*hour] >= bound).collect();
        if let Some(before) = before {
            week.events_change_percent = change(before.sums.events, week.sums.events);
            week.errors_change_percent = change(before.sums.errors, week.sums.errors);
        }
        (week.findings, week.said) = findings(period, &week, before).into_iter().map(|Sentence { text, said }| (text, said)).unzip();
        week
    }
}

fn ranked(feeds: &BTreeMap<&str, FeedDay>, of: impl Fn(&FeedDay) -> u64) -> Vec<Ranked> {
    let all: u64 = feeds.values().map(&of).sum();
    let mut ranked: Vec<Ranked> = feeds
        .iter()
        .filter(|(_, feed)| of(feed) > 0)
        .map(|(name, feed)| Ranked {
            feed: name.to_string(),
            count: of(feed),
            share: of(feed) * 100 / all.max(1),
            reason: feed.reasons.iter().max_by_key(|(_, count)| **count).map(|(reason, _)| reason.clone()),
        })
        .collect();
    ranked.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.feed.cmp(&b.feed)));
    ranked.truncate(NAMED_MAX);
    ranked
}

fn latest(feeds: &BTreeMap<&str, FeedDay>) -> Vec<Late> {
    let late = |(name, feed): (&&str, &FeedDay)| {
        feed.sums.mean_late_ms().map(|mean_ms| Late { feed: name.to_string(), mean_ms, most_ms: feed.late_ms_most })
    };
    let mut latest: Vec<Late> = feeds.iter().filter_map(late).collect();
    latest.sort_by(|a, b| b.mean_ms.cmp(&a.mean_ms).then_with(|| a.feed.cmp(&b.feed)));
    latest.truncate(NAMED_MAX);
    latest
}

fn change(before: u64, now: u64) -> Option<i64> {
    (before > 0).then(|| ((i128::from(now) - i128::from(before)) * 100 / i128::from(before)) as i64)
}

fn findings(period: Period, week: &Week, before: Option<&Week>) -> Vec<Sentence> {
    let percent = |share: u64| Figure::new(format!("{share} %"), share);
    let mut findings = Vec::new();
    if let Some(worst) = week.most_errors.first().filter(|worst| worst.share >= 50 && week.sums.errors >= HOUR_ERRORS_MIN) {
        let (feed, share_percent) = (worst.feed.as_str(), percent(worst.share));
        findings.push(match worst.reason.as_deref() {
            Some(reason) => said!("feeds.worst", "{feed} has {share_percent} of all errors, mostly {reason}", feed, share_percent, reason),
            None => said!("feeds.worst_mixed", "{feed} has {share_percent} of all errors, mostly several reasons", feed, share_percent),
        });
    }
    if !week.bad_hours.is_empty() {
        let hours: Vec<String> = week.bad_hours.iter().map(|hour| format!("{hour:02}:00")).collect();
        findings.push(said!("feeds.hours", "errors gather in the hours from {hours} (UTC)", hours = hours.join(", ")));
    }
    let all: u64 = week.reasons.values().sum();
    if let Some((reason, count)) =
        week.reasons.iter().max_by_key(|(_, count)| **count).filter(|(_, count)| all >= HOUR_ERRORS_MIN && **count * 2 > all)
    {
        let share_percent = percent(count * 100 / all);
        findings.push(said!("feeds.ends", "{share_percent} of all ends are {reason}", share_percent, reason = reason.as_str()));
    }
    if let Some(late) = week.latest.first().filter(|late| late.mean_ms > LATE_MS) {
        let late_ms = Figure::new(format!("{} ms", late.mean_ms), late.mean_ms);
        findings.push(said!("feeds.late", "events of {feed} are {late_ms} late on the average", feed = late.feed.as_str(), late_ms));
    }
    if week.sums.gaps > 0 {
        findings.push(said!("feeds.missed", "{times} times events were missed for sure", times = week.sums.gaps));
    }
    if let Some(change) = week.events_change_percent.filter(|change| change.abs() >= 25) {
        let change_percent = Figure::new(format!("{change:+} %"), change);
        let period = period.as_str();
        findings.push(said!("feeds.change", "events changed by {change_percent} against the {period} before", change_percent, period));
    }
    let connections = week.connections_max;
    if week.waiting_most > 0 {
        findings.push(said!(
            "feeds.waited",
            "up to {feeds} feeds waited for one of {connections} connections: raise upstream.pool.connections_max",
            feeds = week.waiting_most,
            connections
        ));
    } else if let Some(before) = before {
        let growth = week.connections_most.saturating_sub(before.connections_most);
        let left = week.connections_max.saturating_sub(week.connections_most);
        if growth > 0 {
            let periods = left.div_ceil(growth);
            findings.push(match period {
                Period::Day => said!(
                    "feeds.full_in_days",
                    "at {growth} more connections a day the {connections} allowed are reached in {in_days} days",
                    growth,
                    connections,
                    in_days = periods
                ),
                Period::Week => said!(
                    "feeds.full_in_weeks",
                    "at {growth} more connections a week the {connections} allowed are reached in {in_weeks} weeks",
                    growth,
                    connections,
                    in_weeks = periods
                ),
            });
        }
    }
    if week.used_percent_most >= 80 {
        let used_percent = percent(week.used_percent_most.into());
        findings.push(said!("feeds.used", "up to {used_percent} of memory or descriptors were used", used_percent));
    }
    findings
}

/// What people read of a day.
pub fn day_document(day: &Day) -> Document {
    let total = day.total();
    let mut document = Document::new(format!("Feeds on {}", day.date));
    document.text(format!(
        "{} minutes noted, at most {} of {} connections, at most {} feeds waiting, {} emergencies.",
        day.minutes, day.connections_most, day.connections_max, day.waiting_most, day.emergencies
    ));
    hours(&mut document, "Errors by hour (UTC)", &total.errors_by_hour);
    hours(&mut document, "Events by hour (UTC)", &total.events_by_hour);
    reasons(&mut document, &total.reasons);
    document.heading("Feeds");
    let rows = day.feeds.iter().map(|(name, feed)| {
        let Sums { events, bytes, errors, attempts, failed_attempts, rotations, gaps, down_ms, .. } = feed.sums;
        // Without both it does not tell its time.
        let (late, worst) = feed.sums.mean_late_ms().map(|mean| (mean.to_string(), feed.late_ms_most.to_string())).unwrap_or_default();
        let numbers = [events, bytes, errors, attempts, failed_attempts, rotations, gaps, down_ms / 1_000];
        std::iter::once(name.clone()).chain(numbers.map(|number| number.to_string())).chain([late, worst]).collect()
    });
    let head = ["feed", "events", "bytes", "errors", "attempts", "failed", "rotations", "gaps", "down, s", "late, ms", "at worst"];
    document.table(&head, rows);
    document
}

/// The same for a week.
pub fn week_document(week: &Week) -> Document {
    let mut document = Document::new(format!("Feeds from {} to {}", week.from, week.to));
    document.heading("What stands out");
    week_parts(week, &mut document);
    document
}

/// What a week has to say, beneath a heading of the caller's.
pub fn week_parts(week: &Week, document: &mut Document) {
    document.list(week.findings.iter().cloned());
    let Sums { events, bytes, errors, rotations, gaps, .. } = week.sums;
    document.text(format!(
        "{events} events, {bytes} bytes, {errors} errors, {rotations} rotations, {gaps} gaps, {} emergencies in {} days; at most {} of {} connections.",
        week.emergencies, week.days, week.connections_most, week.connections_max
    ));
    if week.events_by_day.len() > 1 {
        document.heading("Events and errors of the feeds by day");
        let days = week.events_by_day.iter().zip(&week.errors_by_day);
        let rows = days.map(|((date, events), (_, errors))| vec![date.clone(), events.to_string(), errors.to_string()]);
        document.table(&["day", "events", "errors"], rows);
    }
    hours(document, "Errors of the feeds by hour (UTC)", &week.errors_by_hour);
    reasons(document, &week.reasons);
    for (title, unit, ranks) in [("Most errors", "errors", &week.most_errors), ("Longest without a connection", "seconds", &week.longest_down)] {
        document.heading(title);
        let row = |ranked: &Ranked| {
            let Ranked { feed, count, share, reason } = ranked.clone();
            vec![feed, count.to_string(), share.to_string(), reason.unwrap_or_default()]
        };
        document.table(&["feed", unit, "share, %", "mostly"], ranks.iter().map(row));
    }
    if !week.latest.is_empty() {
        document.heading("How late events were");
        let row = |Late { feed, mean_ms, most_ms }: &Late| vec![feed.clone(), mean_ms.to_string(), most_ms.to_string()];
        document.table(&["feed", "mean, ms", "worst minute, ms"], week.latest.iter().map(row));
    }
}

fn hours(document: &mut Document, title: &str, hours: &[u64; 24]) {
    document.hours(title, hours.iter().map(|count| *count as f64));
}

fn reasons(document: &mut Document, reasons: &BTreeMap<String, u64>) {
    document.heading("Why connections and attempts ended");
    let mut sorted: Vec<_> = reasons.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1));
    document.table(&["reason", "times"], sorted.into_iter().map(|(reason, count)| vec![reason.clone(), count.to_string()]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{DAY_MS, HOUR_MS};

    fn gain(events: u64, errors: u64) -> Gain {
        let reasons = if errors > 0 { vec![(Reason::Rst, errors)] } else { Vec::new() };
        Gain { sums: Sums { events, errors, down_ms: errors * 1_000, ..Sums::default() }, reasons }
    }

    #[test]
    fn a_day_adds_up_by_feed_hour_and_reason_and_stays_bounded() {
        let mut day = Day::new(20_778);
        let load = Load { connections: 7, connections_max: 50, ..Load::default() };
        for minute in 0..24 * 60 {
            let errors = u64::from(minute / 60 == 3);
            day.note(20_778 * DAY_MS + minute * 60_000, &load, [("a".to_string(), gain(10, errors)), ("b".to_string(), gain(1, 0))]);
        }
        assert_eq!(
            (day.minutes, day.feeds["a"].sums.events, day.feeds["a"].errors_by_hour[3], day.feeds["a"].reasons["rst"]),
            (1_440, 14_400, 60, 60)
        );
        assert_eq!((day.total().sums.events, day.connections_most), (15_840, 7));
        for nth in 0..5_000 {
            day.note(0, &load, [(format!("x{nth}"), gain(1, 0))]);
        }
        assert!(day.feeds.len() <= FEEDS_MAX + 1 && day.feeds[OTHERS].sums.events > 3_000);
        let stored = serde_json::to_vec(&day).unwrap();
        assert_eq!(serde_json::from_slice::<Day>(&stored).unwrap(), day);
    }

    #[test]
    fn a_week_finds_the_feed_the_hour_and_the_reason() {
        let monday = 20_773;
        let days = |load: Load| -> Vec<Day> {
            (monday..monday + 7)
                .map(|number| {
                    let mut day = Day::new(number);
                    day.note(number * DAY_MS + 3 * HOUR_MS, &load, [("bad<&>".to_string(), gain(5, 20)), ("good".to_string(), gain(100, 1))]);
                    day
                })
                .collect()
        };
        let load = |connections| Load { connections, connections_max: 50, ..Load::default() };
        let before = Week::of(week_of(monday), &days(load(20)), None);
        let mut next = days(load(30));
        next.iter_mut().for_each(|day| day.number += 7);
        let week = Week::of(week_of(monday) + 1, &next, Some(&before));
        assert_eq!((week.days, week.sums.errors, week.bad_hours.as_slice(), week.events_change_percent), (7, 147, &[3][..], Some(0)));
        assert_eq!(
            (week.most_errors[0].feed.as_str(), week.most_errors[0].share, week.most_errors[0].reason.as_deref()),
            ("bad<&>", 95, Some("rst"))
        );
        assert_eq!(
            week.findings,
            [
                "bad<&> has 95 % of all errors, mostly rst",
                "errors gather in the hours from 03:00 (UTC)",
                "100 % of all ends are rst",
                "at 10 more connections a week the 50 allowed are reached in 2 weeks",
            ]
        );
        let page = week_document(&week).html();
        assert!(page.contains("bad&lt;&amp;&gt;") && !page.contains("bad<"), "{page}");
        assert!(day_document(&next[0]).html().contains("<td>good<td>100"), "{}", day_document(&next[0]).html());
        assert_eq!(Week::of(7, &[], None).findings, Vec::<String>::new());
    }

    #[test]
    fn lateness_is_told_by_mean_and_worst_minute_and_only_where_events_tell_their_time() {
        let monday = 20_773;
        let late = |late_ms, timed| Gain { sums: Sums { events: 10, late_ms, timed, ..Sums::default() }, reasons: Vec::new() };
        let mut day = Day::new(monday);
        for (nth, late_ms) in [1_000, 40_000, 4_000].into_iter().enumerate() {
            let gains = [("slow".to_string(), late(late_ms, 10)), ("quick".to_string(), late(20, 10)), ("untimed".to_string(), late(0, 0))];
            day.note(monday * DAY_MS + nth as i64 * 60_000, &Load::default(), gains);
        }
        let stored = serde_json::to_vec(&day).unwrap();
        assert_eq!(serde_json::from_slice::<Day>(&stored).unwrap(), day);
        let page = day_document(&day).html();
        assert!(page.contains("<td>slow<td>30<td>0") && page.contains("<td>1500<td>4000") && page.contains("<td>0<td><td>"), "{page}");
        let week = Week::of(week_of(monday), &[day], None);
        let late = |feed: &str, mean_ms, most_ms| Late { feed: feed.to_string(), mean_ms, most_ms };
        assert_eq!(week.latest, [late("slow", 1_500, 4_000), late("quick", 2, 2)]);
        assert_eq!(week.findings, ["events of slow are 1500 ms late on the average"]);
        assert!(week_document(&week).html().contains("<td>slow<td>1500<td>4000"), "{}", week_document(&week).html());
    }
}

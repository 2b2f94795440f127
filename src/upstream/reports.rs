//! What the feeds did, by the day and by the week: kept in the store, shown to operators. Pure: sums and time in, reports out.
//!
//! A day is one of UTC. The pool notes every minute what each feed's ledger has gained; at midnight the day becomes a report, and on Monday
//! seven days become one of the week, which looks for patterns: which feed, which hour, which reason. A hub that is started again goes on with
//! the day it had begun. Reports stand in as many places of the store as are kept, each in that of its day, so old ones are written over.

use super::machine::Reason;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
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

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
const HOUR_MS: i64 = 60 * 60 * 1_000;

/// The day of a time, counted from 1970.
pub fn day_of(wall_ms: i64) -> i64 {
    wall_ms.div_euclid(DAY_MS)
}

/// The week of a day. 1970 began on a Thursday, and weeks begin on Mondays.
pub fn week_of(day: i64) -> i64 {
    (day + 3).div_euclid(7)
}

fn first_day_of(week: i64) -> i64 {
    week * 7 - 3
}

/// Year, month, day (Howard Hinnant's algorithm for the Gregorian calendar, "days from civil").
pub fn date_of(day: i64) -> String {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

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
        let hour = (wall_ms.rem_euclid(DAY_MS) / HOUR_MS) as usize % 24;
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
}

impl Week {
    /// Sums up the days of a week. `before`: the week before, if it is known.
    pub fn of(number: i64, days: &[Day], before: Option<&Self>) -> Self {
        let first = first_day_of(number);
        let mut week = Self { number, from: date_of(first), to: date_of(first + 6), ..Self::default() };
        let mut feeds: BTreeMap<&str, FeedDay> = BTreeMap::new();
        for day in days.iter().filter(|day| week_of(day.number) == number) {
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
        week.findings = findings(&week, before);
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

fn findings(week: &Week, before: Option<&Week>) -> Vec<String> {
    let mut findings = Vec::new();
    if let Some(worst) = week.most_errors.first().filter(|worst| worst.share >= 50 && week.sums.errors >= HOUR_ERRORS_MIN) {
        let reason = worst.reason.as_deref().unwrap_or("several reasons");
        findings.push(format!("{} has {} % of all errors, mostly {reason}", worst.feed, worst.share));
    }
    if !week.bad_hours.is_empty() {
        let hours: Vec<String> = week.bad_hours.iter().map(|hour| format!("{hour:02}:00")).collect();
        findings.push(format!("errors gather in the hours from {} (UTC)", hours.join(", ")));
    }
    let all: u64 = week.reasons.values().sum();
    if let Some((reason, count)) =
        week.reasons.iter().max_by_key(|(_, count)| **count).filter(|(_, count)| all >= HOUR_ERRORS_MIN && **count * 2 > all)
    {
        findings.push(format!("{} % of all ends are {reason}", count * 100 / all));
    }
    if let Some(late) = week.latest.first().filter(|late| late.mean_ms > LATE_MS) {
        findings.push(format!("events of {} are {} ms late on the average", late.feed, late.mean_ms));
    }
    if week.sums.gaps > 0 {
        findings.push(format!("{} times events were missed for sure", week.sums.gaps));
    }
    if let Some(change) = week.events_change_percent.filter(|change| change.abs() >= 25) {
        findings.push(format!("events changed by {change:+} % against the week before"));
    }
    if week.waiting_most > 0 {
        findings.push(format!(
            "up to {} feeds waited for one of {} connections: raise upstream.pool.connections_max",
            week.waiting_most, week.connections_max
        ));
    } else if let Some(before) = before {
        let growth = week.connections_most.saturating_sub(before.connections_most);
        let left = week.connections_max.saturating_sub(week.connections_most);
        if growth > 0 {
            findings.push(format!(
                "at {growth} more connections a week the {} allowed are reached in {} weeks",
                week.connections_max,
                left.div_ceil(growth)
            ));
        }
    }
    if week.used_percent_most >= 80 {
        findings.push(format!("up to {} % of memory or descriptors were used", week.used_percent_most));
    }
    findings
}

/// A page that needs nothing else, for a day.
pub fn day_page(day: &Day) -> String {
    let total = day.total();
    let mut body = format!(
        "<p>{} minutes noted, at most {} of {} connections, at most {} feeds waiting, {} emergencies.</p>",
        day.minutes, day.connections_most, day.connections_max, day.waiting_most, day.emergencies
    );
    hours(&mut body, "Errors by hour (UTC)", &total.errors_by_hour);
    hours(&mut body, "Events by hour (UTC)", &total.events_by_hour);
    counts(&mut body, "Why connections and attempts ended", &total.reasons);
    body.push_str("<h2>Feeds</h2><table><tr><th>feed<th>events<th>bytes<th>errors<th>attempts<th>failed<th>rotations<th>gaps<th>down, s<th>late, ms<th>at worst");
    for (name, feed) in &day.feeds {
        let Sums { events, bytes, errors, attempts, failed_attempts, rotations, gaps, down_ms, .. } = feed.sums;
        let name = escaped(name);
        let (late, worst) = match feed.sums.mean_late_ms() {
            Some(mean) => (mean.to_string(), feed.late_ms_most.to_string()),
            // It does not tell its time.
            None => (String::new(), String::new()),
        };
        let _ = write!(
            body,
            "<tr><td>{name}<td>{events}<td>{bytes}<td>{errors}<td>{attempts}<td>{failed_attempts}<td>{rotations}<td>{gaps}<td>{}<td>{late}<td>{worst}",
            down_ms / 1_000
        );
    }
    body.push_str("</table>");
    page(&format!("Feeds on {}", day.date), &body)
}

/// The same for a week.
pub fn week_page(week: &Week) -> String {
    let mut body = String::from("<h2>What stands out</h2><ul>");
    for finding in &week.findings {
        let _ = write!(body, "<li>{}", escaped(finding));
    }
    if week.findings.is_empty() {
        body.push_str("<li>nothing");
    }
    body.push_str("</ul>");
    let Sums { events, bytes, errors, rotations, gaps, .. } = week.sums;
    let _ = write!(
        body,
        "<p>{events} events, {bytes} bytes, {errors} errors, {rotations} rotations, {gaps} gaps, {} emergencies in {} days; at most {} of {} connections.</p>",
        week.emergencies, week.days, week.connections_most, week.connections_max
    );
    body.push_str("<h2>Days</h2><table><tr><th>day<th>events<th>errors");
    for ((date, events), (_, errors)) in week.events_by_day.iter().zip(&week.errors_by_day) {
        let _ = write!(body, "<tr><td>{date}<td>{events}<td>{errors}");
    }
    body.push_str("</table>");
    hours(&mut body, "Errors by hour (UTC)", &week.errors_by_hour);
    counts(&mut body, "Why connections and attempts ended", &week.reasons);
    for (title, unit, ranks) in [("Most errors", "errors", &week.most_errors), ("Longest without a connection", "seconds", &week.longest_down)] {
        let _ = write!(body, "<h2>{title}</h2><table><tr><th>feed<th>{unit}<th>share, %<th>mostly");
        for Ranked { feed, count, share, reason } in ranks {
            let _ = write!(body, "<tr><td>{}<td>{count}<td>{share}<td>{}", escaped(feed), escaped(reason.as_deref().unwrap_or_default()));
        }
        body.push_str("</table>");
    }
    if !week.latest.is_empty() {
        body.push_str("<h2>How late events were</h2><table><tr><th>feed<th>mean, ms<th>worst minute, ms");
        for Late { feed, mean_ms, most_ms } in &week.latest {
            let _ = write!(body, "<tr><td>{}<td>{mean_ms}<td>{most_ms}", escaped(feed));
        }
        body.push_str("</table>");
    }
    page(&format!("Feeds from {} to {}", week.from, week.to), &body)
}

fn hours(body: &mut String, title: &str, hours: &[u64; 24]) {
    let most = hours.iter().copied().max().unwrap_or(0).max(1);
    let _ = write!(body, "<h2>{title}</h2><table class=\"hours\"><tr>");
    for (hour, count) in hours.iter().enumerate() {
        let _ = write!(body, "<td title=\"{count}\"><div style=\"height:{}px\"></div>{hour:02}", count * 60 / most);
    }
    body.push_str("</table>");
}

fn counts(body: &mut String, title: &str, counts: &BTreeMap<String, u64>) {
    let _ = write!(body, "<h2>{title}</h2><table><tr><th>reason<th>times");
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1));
    for (reason, count) in sorted {
        let _ = write!(body, "<tr><td>{}<td>{count}", escaped(reason));
    }
    body.push_str("</table>");
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;\
         max-width:60rem;padding:0 1rem}}table{{border-collapse:collapse;margin:0 0 1rem}}td,th{{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #ddd}}\
         td:first-child,th:first-child{{text-align:left}}.hours td{{vertical-align:bottom;text-align:center;padding:0 2px;border:0;font-size:11px}}\
         .hours div{{background:#47a;width:16px}}</style><h1>{title}</h1>{body}</html>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gain(events: u64, errors: u64) -> Gain {
        let reasons = if errors > 0 { vec![(Reason::Rst, errors)] } else { Vec::new() };
        Gain { sums: Sums { events, errors, down_ms: errors * 1_000, ..Sums::default() }, reasons }
    }

    #[test]
    fn days_and_weeks_of_the_calendar() {
        for (date, day) in [("1970-01-01", 0), ("2000-02-29", 11_016), ("2026-11-21", 20_778), ("1969-12-31", -1), ("2100-03-01", 47_541)] {
            assert_eq!(date_of(day), date);
        }
        assert_eq!(day_of(20_778 * DAY_MS + DAY_MS - 1), 20_778);
        // The 16th of November 2026 is a Monday.
        let monday = 20_773;
        assert_eq!((date_of(first_day_of(week_of(monday))).as_str(), week_of(monday - 1) + 1), ("2026-11-16", week_of(monday)));
        assert_eq!(week_of(monday + 6), week_of(monday));
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
        let page = week_page(&week);
        assert!(page.contains("bad&lt;&amp;&gt;") && !page.contains("bad<"), "{page}");
        assert!(day_page(&next[0]).contains("<td>good<td>100"), "{}", day_page(&next[0]));
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
        let page = day_page(&day);
        assert!(page.contains("<td>slow<td>30<td>0") && page.contains("<td>1500<td>4000") && page.contains("<td>0<td><td>"), "{page}");
        let week = Week::of(week_of(monday), &[day], None);
        let late = |feed: &str, mean_ms, most_ms| Late { feed: feed.to_string(), mean_ms, most_ms };
        assert_eq!(week.latest, [late("slow", 1_500, 4_000), late("quick", 2, 2)]);
        assert_eq!(week.findings, ["events of slow are 1500 ms late on the average"]);
        assert!(week_page(&week).contains("<td>slow<td>1500<td>4000"), "{}", week_page(&week));
    }
}

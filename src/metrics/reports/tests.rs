//! Reports by the clock, with a real store and a clock that is moved.

use super::*;
use crate::calendar::HOUR_MS;
use crate::config::StoreConfig;
use crate::hooks::{Carrier, Courier, Uncarried, Waiting};
use crate::http::fixture::Fixture;
use crate::metrics::catalogue::{Metric, Values};
use crate::metrics::sample::Figures;
use crate::metrics::{House, MetricsSettings, ObservatoryParts};
use crate::store::{self, Store};
use crate::upstream::Week;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::path::Path;

/// Nobody is asked here how the house does: what was measured is put into history.
struct Nobody;

#[async_trait]
impl House for Nobody {
    async fn figures(&self, _: bool) -> Figures {
        unreachable!("no actor measures here")
    }
    fn feeds(&self) -> Value {
        Value::Null
    }
    async fn feeds_digest(&self, _: Period, number: i64) -> Option<Week> {
        Some(Week { findings: vec![format!("feeds of {number}")], ..Week::default() })
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

/// Keeps the letters that it is to carry.
#[derive(Default)]
struct Bag(Mutex<Vec<Letter>>);

#[async_trait]
impl Carrier for Bag {
    fn shown(&self) -> &str {
        "a bag"
    }
    async fn carry(&self, events: &[Bytes]) -> Result<(), Uncarried> {
        self.0.lock().extend(events.iter().filter_map(|event| serde_json::from_slice(event).ok()));
        Ok(())
    }
}

fn courier(bag: &Arc<Bag>) -> Arc<Courier> {
    let second = Duration::from_secs(1);
    let waiting = Waiting {
        path: "email",
        timeout: second,
        retry_initial: second,
        retry_max: second,
        events_max: 10,
        bytes_max: 1 << 20,
        age_max: None,
        batch_max: 1,
        gather: Duration::ZERO,
    };
    Courier::with(waiting, Arc::clone(bag) as _, None, &crate::clock::Clock::system())
}

/// A hub on this folder, with the fixture's clock. What it sends by e-mail comes into the bag.
async fn hub(folder: &Path, fixture: &Fixture, bag: &Arc<Bag>) -> (Arc<Observatory>, Arc<dyn Store>) {
    let store = store::open(&StoreConfig::default(), folder).await.unwrap();
    let observatory = Observatory::new(ObservatoryParts {
        clock: fixture.clock.clone(),
        house: Arc::new(Nobody),
        topics: Arc::clone(&fixture.topics),
        publisher: fixture.publisher.clone(),
        store: Arc::clone(&store),
        settings: MetricsSettings {
            interval: Duration::from_secs(1),
            canary_interval: Duration::ZERO,
            latency_goal: Duration::from_millis(50),
            goals: [0.999; 5],
            keeps_history: true,
            data_dir: folder.to_path_buf(),
            has_alerts: true,
            node: "a-hub".to_string(),
            reports: ReportSettings { is_scheduled: true, at_ms: 600_000, weekday: 0, days_kept: 3, weeks_kept: 2 },
        },
        courier: None,
        alert_letters: None,
        report_letters: Some(courier(bag)),
    });
    (observatory, store)
}

/// Measures once a minute for so long.
async fn measure(observatory: &Observatory, fixture: &Fixture, hours: u32) {
    for minute in 0..hours * 60 {
        if minute % 60 == 0 {
            observatory.write(false).await;
        }
        fixture.clock.advance(Duration::from_secs(60));
        let mut values = Values::default();
        values[Metric::ThreadsRunning] = Some(12.0);
        values[Metric::MessagesDelivered] = Some(10.0);
        observatory.history.as_ref().unwrap().add(fixture.clock.wall_ms(), &values);
    }
}

fn to_midnight(fixture: &Fixture) -> Duration {
    Duration::from_millis((DAY_MS - fixture.clock.wall_ms().rem_euclid(DAY_MS)).unsigned_abs())
}

async fn listed(observatory: &Observatory) -> Vec<(String, String, bool)> {
    let listed = observatory.reports().await.unwrap();
    let text = |report: &Value, name: &str| report[name].as_str().unwrap_or_default().to_string();
    listed.iter().map(|report| (text(report, "period"), text(report, "from"), report["is_over"] == true)).collect()
}

#[actix_web::test]
async fn what_is_due_is_made_once_and_made_up_for_once_when_the_hub_was_down() {
    let (folder, fixture, bag) = (tempfile::tempdir().unwrap(), Fixture::new(&[]), Arc::new(Bag::default()));
    fixture.clock.advance(to_midnight(&fixture));
    let today = Period::Day.at(fixture.clock.wall_ms());
    let (first, store) = hub(folder.path(), &fixture, &bag).await;
    first.make_due_reports().await;
    assert_eq!(listed(&first).await, [], "nothing was measured yesterday");
    measure(&first, &fixture, 5).await;
    first.make_due_reports().await;
    assert_eq!(listed(&first).await, [], "the day is not over");
    first.close().await;
    store.close().await.unwrap();

    // It is down when its time comes, and comes back on the morning after.
    fixture.clock.advance(to_midnight(&fixture) + 9 * HOUR);
    let (second, store) = hub(folder.path(), &fixture, &bag).await;
    second.make_due_reports().await;
    second.make_due_reports().await;
    let date = crate::calendar::date_of(today);
    let made: Vec<_> = listed(&second).await.into_iter().filter(|(period, ..)| period == "day").collect();
    assert_eq!(made, [("day".to_string(), date.clone(), true)]);
    let report = second.report(Period::Day, 1).await.unwrap();
    assert_eq!((report.delivery.delivered, report.from.as_str(), report.node.as_str()), (5 * 3_600 * 10, date.as_str(), "a-hub"));
    assert_eq!(report.feeds.as_ref().unwrap().findings, [format!("feeds of {today}")]);
    let made_at = report.made_at;
    // What waits is told before the end.
    second.close().await;
    let letters = std::mem::take(&mut *bag.0.lock());
    assert_eq!(letters.iter().map(|letter| letter.subject.as_str()).collect::<Vec<_>>(), [format!("[a-hub] report of the day {date}")]);
    assert!(
        letters[0].html.starts_with("<!doctype html>") && letters[0].plain.starts_with(&format!("a-hub: the day {date}")),
        "{}",
        letters[0].plain
    );
    store.close().await.unwrap();

    // Another start later on the same day makes nothing anew.
    fixture.clock.advance(HOUR);
    let (third, _store) = hub(folder.path(), &fixture, &bag).await;
    third.make_due_reports().await;
    assert_eq!(third.report(Period::Day, 1).await.unwrap().made_at, made_at, "it is the one that was made");
    // On demand it is, and so is the one that is not over, which nobody keeps unless asked.
    fixture.clock.advance(HOUR);
    assert!(third.make_report(Period::Day, 1).await.unwrap().made_at > made_at);
    assert!(matches!(third.report(Period::Day, 0).await, Err(ReportError::Nothing)), "nothing was measured today");
    measure(&third, &fixture, 1).await;
    assert!(!third.report(Period::Day, 0).await.unwrap().is_over);
    assert_eq!(listed(&third).await.iter().filter(|(period, ..)| period == "day").count(), 1);
    third.make_report(Period::Day, 0).await.unwrap();
    assert!(bag.0.lock().is_empty(), "what is made on demand is not sent");
    let days: Vec<_> = listed(&third).await.into_iter().filter(|(period, ..)| period == "day").map(|(.., is_over)| is_over).collect();
    assert_eq!(days, [false, true]);
    assert!(matches!(third.report(Period::Day, u32::MAX).await, Err(ReportError::Nothing)));
}

#[actix_web::test]
async fn no_more_are_kept_than_there_is_room_for() {
    let (folder, fixture, bag) = (tempfile::tempdir().unwrap(), Fixture::new(&[]), Arc::new(Bag::default()));
    fixture.clock.advance(to_midnight(&fixture));
    let (hub, _store) = hub(folder.path(), &fixture, &bag).await;
    for _ in 0..9 {
        measure(&hub, &fixture, 1).await;
        fixture.clock.advance(to_midnight(&fixture) + HOUR);
        hub.write(false).await;
        hub.make_due_reports().await;
    }
    let kept = listed(&hub).await;
    let days = kept.iter().filter(|(period, ..)| period == "day").count();
    // Of three places one is that of the day that is not over.
    assert_eq!((days, kept.iter().filter(|(period, ..)| period == "week").count()), (2, 1), "{kept:?}");
    assert_eq!(hub.report(Period::Day, 8).await.unwrap().delivery.delivered, 36_000, "what is not kept is made again, as history reaches further");
}

const SETTINGS: ReportSettings = ReportSettings { is_scheduled: true, at_ms: 6 * HOUR_MS, weekday: 2, days_kept: 35, weeks_kept: 26 };

#[test]
fn what_is_due_is_the_newest_time_that_is_over_when_its_hour_has_come() {
    // 2026-11-16 is a Monday, day 20,773, of the week 2,968.
    let at = |day: i64, hour: i64| (20_773 + day) * DAY_MS + hour * HOUR_MS;
    for (now, day, week) in [
        (at(0, 0), -2, -2),
        (at(0, 5), -2, -2),
        (at(0, 6), -1, -2),
        (at(1, 5), -1, -2),
        (at(1, 6), 0, -2),
        // Wednesday at six: the week that ended on Sunday.
        (at(2, 6) - 1, 0, -2),
        (at(2, 6), 1, -1),
        (at(6, 23), 5, -1),
        (at(9, 6), 8, 0),
    ] {
        assert_eq!((SETTINGS.due(Period::Day, now) - 20_773, SETTINGS.due(Period::Week, now) - 2_968), (day, week), "{now}");
    }
}

#[test]
fn a_report_is_made_once_and_a_clock_that_was_wrong_is_not_believed_for_ever() {
    let now = 20_773 * DAY_MS + 7 * HOUR_MS;
    let due = SETTINGS.due(Period::Day, now);
    for (made, wants) in
        [(None, true), (Some(due - 5), true), (Some(due - 1), true), (Some(due), false), (Some(due + 1), false), (Some(due + 300), true)]
    {
        assert_eq!(Schedule { day: made, week: None }.wants(Period::Day, due, now), wants, "{made:?}");
    }
}

#[test]
fn places_in_the_store_are_as_many_as_are_kept() {
    let keys =
        |period: Period, numbers: i64| (0..numbers).map(|number| SETTINGS.key(period, 20_000 + number)).collect::<std::collections::HashSet<_>>();
    assert_eq!((keys(Period::Day, 1_000).len(), keys(Period::Week, 1_000).len()), (35, 26));
    assert_ne!(SETTINGS.key(Period::Day, 0), SETTINGS.key(Period::Week, 0));
}

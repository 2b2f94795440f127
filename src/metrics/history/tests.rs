use super::*;
use crate::config::StoreConfig;
use std::time::{Duration, Instant};

/// A Monday, and the beginning of a block of every tier.
const T: WallMs = 1_764_547_200_000 / 86_400_000 * 86_400_000;

const A: Metric = Metric::SessionsOpen;
const B: Metric = Metric::LatencyP99;

async fn open(folder: &tempfile::TempDir) -> Arc<dyn Store> {
    crate::store::open(&StoreConfig::default(), folder.path()).await.unwrap()
}

fn values(a: f64) -> Values {
    let mut values = Values::default();
    values[A] = Some(a);
    values
}

fn query(from: WallMs, to: WallMs, step_ms: WallMs) -> Query {
    Query { metrics: vec![A], from, to, step_ms }
}

fn averages(answer: &Answer) -> Vec<Option<f64>> {
    answer.columns[0].1.iter().map(|reading| reading.map(|reading| reading.avg)).collect()
}

#[tokio::test]
async fn readings_roll_up_with_least_and_most_and_steps_without_any_stay_empty() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::new(open(&folder).await);
    for second in 1..=40 {
        // Nothing was measured for a while.
        if !(11..=20).contains(&second) {
            assert_eq!(history.add(T + second * 1_000, &values(second as f64)), 0);
        }
    }
    let fine = history.find(&query(T, T + 5_000, 1_000), T + 40_000).await;
    assert_eq!((fine.step_ms, fine.tier_ms, averages(&fine)), (1_000, 1_000, vec![Some(1.0), Some(2.0), Some(3.0), Some(4.0), Some(5.0)]));
    let tens = history.find(&query(T, T + 40_000, 10_000), T + 40_000).await;
    assert_eq!((tens.tier_ms, averages(&tens)), (10_000, vec![Some(5.5), None, Some(25.5), Some(35.5)]), "the open step is part of it");
    let reading = tens.columns[0].1[2].unwrap();
    assert_eq!((reading.min, reading.max), (21.0, 30.0));
    let twenties = history.find(&query(T, T + 40_000, 20_000), T + 40_000).await;
    assert_eq!((twenties.step_ms, averages(&twenties)), (20_000, vec![Some(5.5), Some(30.5)]));
    let other = history.find(&Query { metrics: vec![B, A], ..query(T, T + 1_000, 1_000) }, T + 40_000).await;
    assert_eq!((other.columns[0].0, &other.columns[0].1[..]), (B, &[None][..]));
    for (from, to) in [(T + 90_000_000, T + 100_000_000), (T - 4_000_000_000_000, T - 3_000_000_000_000), (T, T)] {
        let nothing = history.find(&query(from, to, 1_000), T + 40_000).await;
        assert!(averages(&nothing).iter().all(Option::is_none), "{from} {to}");
    }
}

#[tokio::test]
async fn a_restart_finds_what_was_written_and_goes_on_in_the_same_block() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let first = History::new(Arc::clone(&store));
    for second in 1..=30 {
        first.add(T + second * 1_000, &values(10.0));
    }
    let written = first.write(true).await.unwrap();
    assert_eq!(written.blocks, 4);
    assert_eq!(first.write(true).await.unwrap(), Written::default(), "nothing is new");
    let second = History::new(Arc::clone(&store));
    for number in 41..=60 {
        second.add(T + number * 1_000, &values(20.0));
    }
    for _ in 0..2 {
        let answer = second.find(&query(T, T + 60_000, 10_000), T + 60_000).await;
        assert!(answer.is_whole);
        assert_eq!(averages(&answer), [Some(10.0), Some(10.0), Some(10.0), None, Some(20.0), Some(20.0)], "{answer:?}");
        second.write(true).await.unwrap();
    }
    let minutes = History::new(store).find(&query(T, T + 60_000, 60_000), T + 60_000).await;
    let reading = minutes.columns[0].1[0].unwrap();
    assert_eq!((reading.min, reading.max), (10.0, 20.0), "the part of before the restart is in the minute too");
}

#[tokio::test]
async fn a_ring_holds_what_its_tier_promises_and_forgets_the_lap_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let history = History::new(Arc::clone(&store));
    const HOUR: WallMs = 3_600_000;
    let days = 31;
    for hour in 1..=days * 24 {
        assert_eq!(history.add(T + hour * HOUR, &values((hour % 24) as f64)), 0, "each was written in time");
        // The tiers whose blocks are shorter than an hour hold seven of them in memory.
        if hour % 2 == 0 {
            history.write(false).await.unwrap();
        }
    }
    let now = T + days * 24 * HOUR;
    let started = Instant::now();
    let month = history.find(&query(now - 30 * 24 * HOUR, now, 6 * HOUR), now).await;
    assert!(started.elapsed() < Duration::from_millis(500), "{:?} in a build without optimisation", started.elapsed());
    assert_eq!((month.tier_ms, month.columns[0].1.len()), (600_000, 120));
    assert!(averages(&month).iter().all(Option::is_some), "{:?}", averages(&month));
    let week = history.find(&query(now - 7 * 24 * HOUR, now, HOUR), now).await;
    assert_eq!((week.tier_ms, averages(&week).iter().filter(|value| value.is_some()).count()), (600_000, 7 * 24));
    // An hour of seconds is all that there is of them: what is older comes from the next tier.
    assert_eq!(history.find(&query(now - 2 * HOUR, now, 1_000), now).await.tier_ms, 10_000);
    let mut bytes = 0;
    for (index, tier) in TIERS.iter().enumerate() {
        for number in 0..tier.ring {
            bytes += store.value(&tier.key(index, number)).await.unwrap().map_or(0, |value| value.len());
        }
        assert_eq!(store.value(&tier.key(index, -1)).await.unwrap(), store.value(&tier.key(index, tier.ring - 1)).await.unwrap());
    }
    assert!((1_000..1_000_000).contains(&bytes), "{bytes}");
}

/// A year of all metrics, each different in every step: the most that can be, and how long a question of 30 days takes then.
#[tokio::test]
#[ignore = "a minute; run it by `cargo test --release --lib metrics::history -- --ignored --nocapture`"]
async fn the_most_that_can_be_is_bounded_and_found_quickly() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let history = History::new(Arc::clone(&store));
    for step in 1..=366 * 144 {
        let mut values = Values::default();
        for (index, metric) in Metric::ALL.iter().enumerate() {
            values[*metric] = Some(f64::from(step * 31 + index as i32).sin());
        }
        history.add(T + WallMs::from(step) * 600_000 - 300_000, &values);
        history.add(T + WallMs::from(step) * 600_000, &Values::default());
        if step % 36 == 0 {
            history.write(false).await.unwrap();
        }
    }
    let now = T + 366 * 86_400_000;
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let started = Instant::now();
        let month = history.find(&query(now - 30 * 86_400_000, now, 4 * 3_600_000), now).await;
        slowest = slowest.max(started.elapsed());
        assert!(averages(&month).iter().all(Option::is_some));
    }
    let file = std::fs::metadata(folder.path().join("aether.db")).unwrap().len();
    println!("30 days: {slowest:?} at most of 20 times; the store has {} MiB", file / (1 << 20));
    assert!(slowest < Duration::from_millis(50), "{slowest:?}");
    assert!(file < 128 << 20, "{file}");
}

#[tokio::test]
async fn while_the_store_is_away_the_newest_readings_are_there_and_the_answer_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let history = History::new(Arc::clone(&store));
    history.add(T + 1_000, &values(7.0));
    store.close().await.unwrap();
    assert!(history.write(false).await.is_ok(), "no step is over yet");
    let mut lost = 0;
    for second in 2..=3_000 {
        lost += history.add(T + second * 1_000, &values(7.0));
    }
    assert!(history.write(true).await.is_err());
    let now = T + 3_000_000;
    let answer = history.find(&query(now - 300_000, now, 1_000), now).await;
    assert!(!answer.is_whole && averages(&answer).iter().all(|value| *value == Some(7.0)), "{answer:?}");
    assert!(lost > 0, "memory is bounded");
    assert!(history.recent.lock().iter().zip(&TIERS).all(|(recent, tier)| recent.blocks.len() <= tier.held));
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::new(open(&folder).await);
    for at in [1_000, 2_000, 500_000, 3_000, -90_000_000, 4_000, 501_000] {
        history.add(T + at, &values(1.0));
        history.write(false).await.unwrap();
    }
    history.write(true).await.unwrap();
    let answer = history.find(&query(T, T + 5_000, 1_000), T + 501_000).await;
    assert_eq!(averages(&answer), [Some(1.0), Some(1.0), Some(1.0), Some(1.0), None]);
}

//! Three days of rotation, faults and churn, by a clock that is moved: what was there at the beginning is there at the end, and nothing else.
//!
//! It runs in a process of its own, because descriptors, threads and memory are counted.

use crate::pool::store_in;
use crate::source::{Source, any_fault};
use crate::support::*;
use aether::channel::ChannelName;
use aether::clock::Clock;
use aether::protocol::event_stream::EventStreamLimits;
use aether::upstream::{
    ChannelTemplate, FeedLimits, FeedSettings, FeedTemplate, Format, GateSettings, HealthSettings, Mapping, Places, PoolSettings, State,
};
use rand::prelude::*;
use rand::rngs::StdRng;
use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How far the clock jumps, and how often: a day in some nine seconds.
const STEP: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_millis(2);

const FEEDS: usize = 10;
const SYMBOLS: usize = 15;

/// Midnight of some day.
const BEGINS_WALL_MS: i64 = 20_778 * 24 * 60 * 60 * 1_000;

#[test]
fn three_days_leave_nothing_behind() {
    let myself = std::env::current_exe().unwrap();
    let run = Command::new(myself).args(["--exact", "endurance::in_a_process_of_its_own", "--ignored", "--nocapture"]).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && said.contains("three days:"), "{said}");
    said.lines().filter(|line| line.contains("three days:")).for_each(|line| println!("{line}"));
}

fn limits() -> FeedLimits {
    FeedLimits {
        connect_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(500),
        park_initial: Duration::from_millis(50),
        park_max: Duration::from_millis(200),
        overlap: Duration::from_millis(500),
        stream: EventStreamLimits { line_bytes_max: 10_000, ..EventStreamLimits::default() },
        ..quick()
    }
}

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// Resident, in bytes (proc(5)).
fn memory() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

#[actix_rt::test]
#[ignore = "started by the test above, in a process of its own"]
async fn in_a_process_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path()).await;
    store.put_value("warm", bytes::Bytes::from_static(b"up")).await.unwrap();
    store.value("warm").await.unwrap();
    let mut sources = Vec::new();
    for _ in 0..FEEDS {
        sources.push(Source::start(Duration::from_millis(10)).await);
    }
    let quotes = Source::start(Duration::from_millis(20)).await;
    // What the first connection of a process opens for good is not the pool's.
    let warm = World::reading(&sources[0].url(), limits());
    warm.until("warm", |feed| feed.events > 0).await;
    warm.stop().await;
    let idle = || sources.iter().chain([&quotes]).map(Source::open_connections).sum::<usize>() == 0;
    eventually("cold again", String::new, || idle().then_some(())).await;
    let (descriptors, threads) = (entries("/proc/self/fd"), entries("/proc/self/task"));

    let clock = Clock::manual(BEGINS_WALL_MS);
    let feeds = sources.iter().enumerate().map(|(nth, source)| {
        let name = format!("feed{nth}");
        FeedSettings { mapping: Mapping::to(ChannelTemplate::parse("ticks:{name}", &name).unwrap()), ..feed(&name, &source.url(), limits()) }
    });
    let url = format!("http://{}/events?symbol={{symbol}}", quotes.address);
    let build = |url: &str, channel: &str| FeedSettings::new("quotes", url, channel, Format::Data, [], limits());
    let template = FeedTemplate::new("quotes", &url, "ticks:s-{symbol}", &[], build).unwrap();
    let settings = PoolSettings {
        feeds: feeds.collect(),
        templates: vec![template],
        on_demand_grace: Duration::from_secs(10 * 60),
        gate: GateSettings { connections_max: FEEDS + SYMBOLS / 2, ..pool_settings().gate },
        // Often enough that most connections grow old between two faults.
        health: HealthSettings { upkeep_age_max: Duration::from_secs(2 * 60 * 60), ..HealthSettings::default() },
        sweep_interval: Duration::from_millis(5),
        ..pool_settings()
    };
    let world = World::prepare_with(settings, clock.clone());
    world.upstream.keep(Arc::clone(&store), Arc::new(Shop::default())).await.unwrap();
    let world = world.begin();
    let ticker = actix_rt::spawn({
        let clock = clock.clone();
        async move {
            loop {
                tokio::time::sleep(EVERY).await;
                clock.advance(STEP);
            }
        }
    });

    let (begun, began_at, mut dice) = (Instant::now(), clock.now(), StdRng::seed_from_u64(3));
    let passed = || Duration::from_millis(clock.now() - began_at);
    let mut wanted = [false; SYMBOLS];
    let symbol = |nth: usize| ChannelName::new(&format!("ticks:s-S{nth}"));
    let (mut faults, mut events, mut memory_at_day) = (0, 0, Vec::new());
    let mut last: HashMap<String, u64> = HashMap::new();
    while passed() < 3 * DAY {
        if passed() > DAY * (memory_at_day.len() as u32 + 1) {
            memory_at_day.push(memory());
        }
        let nth = dice.random_range(0..FEEDS);
        if dice.random_bool(0.1) {
            sources[nth].break_with(any_fault(&mut dice));
            faults += 1;
        } else {
            sources[nth].heal();
        }
        let nth = dice.random_range(0..SYMBOLS);
        wanted[nth] = !wanted[nth];
        if wanted[nth] {
            world.upstream.wanted(&symbol(nth))
        } else {
            world.upstream.unwanted(&symbol(nth), clock.now())
        }
        assert!(world.report().places.held <= FEEDS + SYMBOLS / 2, "{}", world.show());
        tokio::time::sleep(Duration::from_millis(dice.random_range(5..30))).await;
        for record in world.broker.records().drain(..).filter(|record| record.channel.starts_with("ticks:feed") && record.id.is_some()) {
            let number = record.data.parse::<u64>().unwrap();
            let before = last.insert(record.channel.clone(), number).unwrap_or(0);
            assert!(number > before, "{}: {before}, then {number}", record.channel);
            events += 1;
        }
    }
    memory_at_day.push(memory());
    sources.iter().for_each(Source::heal);
    for (nth, _) in wanted.iter().enumerate().filter(|(_, is_wanted)| **is_wanted) {
        world.upstream.unwanted(&symbol(nth), clock.now());
    }
    let counts: Vec<u64> = sources.iter().map(Source::count).collect();
    let is_well = |nth: usize| {
        let report = world.report();
        let feed = report.feed(&format!("feed{nth}")).unwrap();
        feed.state != State::Parked && feed.last_event_id.parse::<u64>().is_ok_and(|id| id > counts[nth])
    };
    let all_well = || ((0..FEEDS).all(is_well) && world.report().feeds.len() == FEEDS && quotes.open_connections() == 0).then_some(());
    eventually("all flowing, and nobody else", || world.show(), all_well).await;
    ticker.abort();
    let report = world.report();
    let sum = |of: fn(&aether::upstream::FeedReport) -> u64| report.feeds.iter().map(of).sum::<u64>();
    let (rotations, attempts, panics) = (sum(|feed| feed.rotations), sum(|feed| feed.attempts), sum(|feed| feed.panics));
    assert!(report.feeds.iter().all(|feed| feed.rotations >= 3), "{}", world.show());
    assert_eq!(panics, 0);
    for back in 0..3 {
        let day = world.upstream.day_report(back).await.unwrap().unwrap_or_else(|| panic!("no report of the day {back} days ago"));
        assert!(day.feeds.len() == FEEDS + 1 && day.total().sums.events > 0, "{day:?}");
    }
    let upstream = world.upstream.clone();
    world.stop().await;
    assert_eq!(upstream.report(clock.now()).places, Places::default());
    eventually("no connection is left", || format!("{} open", quotes.open_connections()), || idle().then_some(())).await;
    let back = || (entries("/proc/self/fd") == descriptors && entries("/proc/self/task") == threads).then_some(());
    let show = || format!("descriptors {descriptors} -> {}, threads {threads} -> {}", entries("/proc/self/fd"), entries("/proc/self/task"));
    eventually("as at the beginning", show, back).await;
    // What the allocator keeps for later after the first day must not become more.
    assert!(memory_at_day[2] <= memory_at_day[0] + 8 * 1_024 * 1_024, "{memory_at_day:?}");
    println!(
        "three days: {faults} faults, {rotations} rotations, {attempts} attempts, {events} events in {:.0?}; descriptors {descriptors}, threads {threads}, \
         resident after each day {:?} KiB",
        begun.elapsed(),
        memory_at_day.iter().map(|bytes| bytes / 1_024).collect::<Vec<_>>(),
    );
    store.close().await.unwrap();
}

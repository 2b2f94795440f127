//! The pool as a whole: how many connections, for whom, where they go on after a restart, and what subscribers hear of what was missed.

use crate::source::{Fault, Source};
use crate::support::*;
use aether::channel::ChannelName;
use aether::config::StoreConfig;
use aether::protocol::event_stream::EventStreamLimits;
use aether::store::{self, Store};
use aether::upstream::{FeedLimits, FeedSettings, FeedTemplate, Format, GateSettings, Places, PoolSettings, State};
use rand::prelude::*;
use rand::rngs::StdRng;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub async fn store_in(folder: &Path) -> Arc<dyn Store> {
    store::open(&StoreConfig::default(), folder).await.unwrap()
}

/// Three hubs, one after the other, on one store. Each takes up the positions of as many feeds as `restored` says of its number and
/// reads until more than 20 events came; nothing is lost or repeated from one to the next. `begun` hears of each pool as it begins.
async fn goes_on_over_two_restarts(folder: &Path, settings: impl Fn() -> PoolSettings, restored: impl Fn(usize) -> usize, begun: impl Fn(&World)) {
    let mut all = Vec::new();
    for round in 0..3 {
        let store = store_in(folder).await;
        let world = World::prepare(settings());
        assert_eq!(world.upstream.keep(Arc::clone(&store), Arc::new(Shop::default())).await.unwrap(), restored(round));
        let world = world.begin();
        begun(&world);
        let more = || (world.broker.data().len() > 20).then_some(());
        eventually("flowing", || world.show(), more).await;
        let broker = Arc::clone(&world.broker);
        world.stop().await;
        store.close().await.unwrap();
        all.extend(broker.data());
    }
    let numbers: Vec<u64> = all.iter().map(|data| data.parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "over two restarts: {numbers:?}");
}

#[actix_rt::test]
async fn a_feed_goes_on_where_the_last_hub_left_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::start(Duration::from_millis(3)).await;
    let settings = || PoolSettings { feeds: vec![feed("feed", &source.url(), quick())], ..pool_settings() };
    goes_on_over_two_restarts(folder.path(), settings, |round| usize::from(round > 0), |_| {}).await;
    // Under the same name but elsewhere it is another feed.
    let store = store_in(folder.path()).await;
    let elsewhere = PoolSettings { feeds: vec![feed("feed", "http://127.0.0.1:1/other", quick())], ..pool_settings() };
    assert_eq!(World::prepare(elsewhere).upstream.keep(Arc::clone(&store), Arc::new(Shop::default())).await.unwrap(), 0);
    store.close().await.unwrap();
}

#[actix_rt::test]
async fn what_is_missed_for_sure_is_told_to_the_subscribers() {
    let source = Source::start(Duration::from_millis(3)).await;
    source.forget_ids();
    let world = World::reading(&source.url(), quick());
    world.until("flowing", |feed| feed.events > 5).await;
    source.break_with(Fault::Rst);
    world.until("broken", |feed| feed.state.is_waiting()).await;
    source.heal();
    world.until("flowing again", |feed| feed.gaps == 1 && feed.state == State::Open).await;
    assert_eq!(world.broker.gaps(), [r#"{"gap":{"cause":"no_ids","feed":"feed"}}"#]);
    world.stop().await;

    // Ids that count up, and a server that does not go on where it is asked to.
    let text: String = (1..=20).map(|n| format!("id: {n}\ndata: {n}\n\n")).collect();
    let server = Server::start(move |nth, _| if nth == 0 { vec![write(HEAD), write(&text)] } else { stream("id: 25\ndata: 25\n\n") }).await;
    let world = World::reading(&server.url(), quick());
    world.until("read", |feed| &*feed.last_event_id == "25").await;
    assert_eq!(world.broker.gaps(), [r#"{"gap":{"after":"20","cause":"not_resumed","feed":"feed","missing":4}}"#]);
    world.stop().await;

    // An event that is too long, three times.
    let limits = FeedLimits { stream: EventStreamLimits { event_bytes_max: 100, ..EventStreamLimits::default() }, ..quick() };
    let server = Server::start(|_, request| match request.header("last-event-id") {
        Some(_) => stream(format!("id: 2\ndata: {}\n\n", "x".repeat(101))),
        None => vec![write(HEAD), write("id: 1\ndata: 1\n\n")],
    })
    .await;
    let world = World::reading(&server.url(), limits);
    world.until("given up", |feed| feed.gaps > 0).await;
    assert_eq!(world.broker.gaps()[0], r#"{"gap":{"after":"1","cause":"unreadable","feed":"feed"}}"#);
    world.stop().await;
}

#[actix_rt::test]
async fn what_a_server_repeats_after_a_reconnect_is_left_out() {
    let text = |upto: u32| (1..=upto).map(|n| format!("id: {n}\ndata: {n}\n\n")).collect::<String>();
    // It ignores where it was asked to go on, every time.
    let server = Server::start(move |nth, _| match nth {
        0 => vec![write(HEAD), write(text(10))],
        1 => vec![write(HEAD), write(text(15))],
        _ => stream(text(20)),
    })
    .await;
    let world = World::reading(&server.url(), quick());
    let expected: Vec<String> = (1..=20).map(|n| n.to_string()).collect();
    world.until_published(&expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(world.until("counted", |feed| feed.repeated == 25).await.gaps, 0);
    world.stop().await;
}

/// A feed that always runs and may be let go while nobody listens.
fn released(name: &str, source: &Source) -> FeedSettings {
    let build = |url: &str, channel: &str| FeedSettings::new(name, url, channel, Format::Data, [], quick());
    let template = FeedTemplate::new(name, &source.url(), &format!("ticks:{name}/{{event}}"), &[], build).unwrap();
    template.fixed_and_released().unwrap()
}

#[actix_rt::test]
async fn a_feed_that_nobody_listens_to_is_let_go_and_comes_back_with_the_first_who_does() {
    let (quiet, heard, kept) =
        (Source::start(Duration::from_millis(3)).await, Source::start(Duration::from_millis(3)).await, Source::start(Duration::from_millis(3)).await);
    let feeds = vec![released("quiet", &quiet), released("heard", &heard), feed("kept", &kept.url(), quick())];
    let prepared = World::prepare(PoolSettings { feeds, release_after: Duration::from_millis(500), ..pool_settings() });
    prepared.upstream.wanted(&ChannelName::new("ticks:heard/message"));
    let world = prepared.begin();
    let resting = || world.report().feeds.iter().filter(|feed| feed.is_resting).map(|feed| feed.name.to_string()).collect::<Vec<_>>();
    let events = |name: &str| world.report().feed(name).unwrap().events;
    eventually("all flow", || world.show(), || ["quiet", "heard", "kept"].iter().all(|name| events(name) > 0).then_some(())).await;
    let at_rest = || (quiet.open_connections() == 0 && world.report().places.held == 2 && resting() == ["quiet"]).then_some(());
    eventually("let go", || world.show(), at_rest).await;
    let rested = world.report().feed("quiet").unwrap().clone();
    assert_eq!((rested.state, rested.errors, rested.gaps), (State::Closed, 0, 0));
    let (seen, missed) = (events("heard"), quiet.count() + 50);
    eventually("missed much", || world.show(), || (quiet.count() > missed).then_some(())).await;
    assert!(events("heard") > seen && events("quiet") == rested.events && heard.open_max() == 1 && kept.open_max() == 1, "{}", world.show());

    let back_at = quiet.count();
    world.upstream.wanted(&ChannelName::new("ticks:quiet/other"));
    eventually("flowing again", || world.show(), || (events("quiet") > rested.events + 5).then_some(())).await;
    let numbers: Vec<u64> = world
        .broker
        .records()
        .iter()
        .filter(|record| record.channel.starts_with("ticks:quiet/"))
        .map(|record| record.data.parse().unwrap())
        .collect();
    let jumps: Vec<&[u64]> = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    assert!(matches!(jumps[..], [jump] if jump[0] < missed && jump[1] > back_at), "it begins with what is new, once: {jumps:?}");
    assert_eq!((resting(), world.broker.gaps(), quiet.requests()), (Vec::new(), Vec::new(), 2));
    world.stop().await;
}

#[actix_rt::test]
async fn there_are_never_more_connections_than_places_and_the_important_come_first() {
    let source = Source::start(Duration::from_millis(20)).await;
    let feeds = (0..12).map(|nth| {
        let mut feed = feed(&format!("feed{nth}"), &source.url(), quick());
        feed.priority = i32::from(nth >= 8);
        feed
    });
    let gate = GateSettings { connections_max: 5, ..pool_settings().gate };
    let world = World::with(PoolSettings { feeds: feeds.collect(), gate, ..pool_settings() });
    eventually("all places taken", || world.show(), || (world.report().places.held == 5 && source.open_connections() == 5).then_some(())).await;
    let waiting = world.report().feeds.iter().filter(|feed| feed.state == State::Idle).count();
    assert_eq!((waiting, world.report().places.waiting), (7, 7));
    // Those that hold a place lose it; the important ones among the waiting get it.
    source.cut();
    let important = || world.report().feeds.iter().filter(|feed| feed.priority == 1).all(|feed| feed.events > 0).then_some(());
    eventually("the important ones", || world.show(), important).await;
    assert!(source.open_max() <= 5, "{}", source.open_max());
    world.stop().await;
}

fn quotes(source: &Source) -> FeedTemplate {
    let url = format!("http://{}/events?symbol={{symbol}}", source.address);
    FeedTemplate::new("quotes", &url, "ticks:{symbol}", &[], |url, channel| FeedSettings::new("quotes", url, channel, Format::Data, [], quick()))
        .unwrap()
}

#[actix_rt::test]
async fn a_feed_on_demand_runs_from_the_first_listener_to_some_time_after_the_last() {
    let source = Source::start(Duration::from_millis(5)).await;
    let grace = Duration::from_millis(100);
    let world = World::with(PoolSettings { templates: vec![quotes(&source)], on_demand_grace: grace, ..pool_settings() });
    assert_eq!(world.report().feeds.len(), 0);
    let acme = ChannelName::new("ticks:ACME");
    world.upstream.wanted(&acme);
    let flows = || world.broker.records().iter().any(|record| record.channel == "ticks:ACME").then_some(());
    eventually("flowing", || world.show(), flows).await;
    assert_eq!(world.report().feed("quotes[ACME]").unwrap().state, State::Open);
    world.upstream.unwanted(&acme, world.clock.now());
    world.upstream.wanted(&acme);
    world.upstream.unwanted(&acme, world.clock.now());
    let gone = || (world.report().feeds.is_empty() && source.open_connections() == 0 && world.report().places == Places::default()).then_some(());
    eventually("gone", || world.show(), gone).await;
    assert_eq!(source.requests(), 1, "one who comes back at once finds it running");
    world.stop().await;
}

#[actix_rt::test]
async fn a_feed_on_demand_goes_on_where_the_last_hub_left_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::start(Duration::from_millis(3)).await;
    let settings = || PoolSettings { templates: vec![quotes(&source)], ..pool_settings() };
    let listen = |world: &World| world.upstream.wanted(&ChannelName::new("ticks:ACME"));
    // Only those that always run are counted.
    goes_on_over_two_restarts(folder.path(), settings, |_| 0, listen).await;
}

/// Sixty symbols come and go at random, a hundred times a second. With fifty places nearly all are wanted at once, with twenty half of them.
#[actix_rt::test]
async fn churn_over_more_symbols_than_places_stays_within_the_cap_and_leaves_nothing() {
    for (places, stays) in [(50, 0.9), (20, 0.0)] {
        let source = Source::start(Duration::from_millis(20)).await;
        let gate = GateSettings { connections_max: places, ..pool_settings().gate };
        let grace = Duration::from_millis(150);
        let world = World::with(PoolSettings { templates: vec![quotes(&source)], on_demand_grace: grace, gate, ..pool_settings() });
        let mut dice = StdRng::seed_from_u64(1);
        let symbols: Vec<ChannelName> = (0..60).map(|nth| ChannelName::new(&format!("ticks:S{nth}"))).collect();
        let mut wanted = vec![false; symbols.len()];
        let mut waiting_most = 0;
        for _ in 0..400 {
            let nth = dice.random_range(0..symbols.len());
            if !wanted[nth] {
                wanted[nth] = true;
                world.upstream.wanted(&symbols[nth]);
            } else if !dice.random_bool(stays) {
                wanted[nth] = false;
                world.upstream.unwanted(&symbols[nth], world.clock.now());
            }
            let report = world.report();
            assert!(report.places.held <= places, "{}", world.show());
            waiting_most = waiting_most.max(report.places.waiting);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(source.open_max() <= places && waiting_most > 0, "{} connections at once, {waiting_most} waited", source.open_max());
        let served: std::collections::HashSet<String> = world.broker.records().iter().map(|record| record.channel.clone()).collect();
        assert!(served.len() >= 55, "fair: {} of 60 symbols were served", served.len());
        println!(
            "{places} places, {} requests, {} connections at once, {waiting_most} waited, {} symbols served",
            source.requests(),
            source.open_max(),
            served.len()
        );
        for (nth, _) in wanted.iter().enumerate().filter(|(_, is_wanted)| **is_wanted) {
            world.upstream.unwanted(&symbols[nth], world.clock.now());
        }
        let gone = || (source.open_connections() == 0 && world.report().places == Places::default() && world.report().feeds.is_empty()).then_some(());
        eventually("gone", || world.show(), gone).await;
        world.stop().await;
    }
}

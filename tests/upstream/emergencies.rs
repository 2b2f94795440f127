//! The pool as a whole in trouble: what it does by itself, what by hand, and that a dry run does nothing.

use crate::pool::store_in;
use crate::source::{Fault, Source};
use crate::support::*;
use aether::upstream::{Declare, EmergencyKind, EmergencySettings, GateSettings, Incident, Phase, PoolSettings};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn emergency() -> EmergencySettings {
    EmergencySettings { look_interval: Duration::from_millis(50), ..EmergencySettings::default() }
}

async fn declare(world: &World, kind: EmergencyKind, is_dry_run: bool) -> Incident {
    in_time("the emergency", world.pool.send(Declare { kind, is_dry_run })).await.unwrap()
}

fn told(world: &World, kind: EmergencyKind, phase: Phase) -> usize {
    world.upstream.emergencies().iter().filter(|told| told.incident.kind == kind && told.incident.phase == phase).count()
}

#[actix_rt::test]
async fn when_resources_run_out_the_pool_makes_do_with_less_and_takes_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::start(Duration::from_millis(10)).await;
    let feeds = (0..10).map(|nth| feed(&format!("feed{nth}"), &source.url(), quick())).collect();
    let gate = GateSettings { connections_max: 10, ..pool_settings().gate };
    let world = World::prepare(PoolSettings { feeds, gate, emergency: EmergencySettings { connections_max: 10, ..emergency() }, ..pool_settings() });
    let shop = Shop::default();
    let used_percent = Arc::clone(&shop.used_percent);
    let store = store_in(folder.path()).await;
    world.upstream.keep(Arc::clone(&store), Arc::new(shop)).await.unwrap();
    let world = world.begin();
    let held = || world.report().places.held;
    eventually("all connected", || world.show(), || (held() == 10).then_some(())).await;
    used_percent.store(95, Ordering::Relaxed);
    eventually("told", || world.show(), || (told(&world, EmergencyKind::Exhaustion, Phase::GoesOn) >= 5).then_some(())).await;
    assert_eq!((told(&world, EmergencyKind::Exhaustion, Phase::Begun), held()), (1, 10), "who is read goes on being read");
    source.cut();
    eventually("half of them", || world.show(), || (held() == 5 && world.report().places.waiting == 5).then_some(())).await;
    used_percent.store(10, Ordering::Relaxed);
    eventually("all again", || world.show(), || (held() == 10).then_some(())).await;
    assert_eq!(told(&world, EmergencyKind::Exhaustion, Phase::Over), 6, "over, and five steps");
    world.stop().await;
    store.close().await.unwrap();
}

#[actix_rt::test]
async fn many_errors_are_told_and_in_a_dry_run_nothing_is_done_about_them() {
    for is_dry_run in [true, false] {
        let source = Source::start(Duration::from_millis(5)).await;
        let settings = EmergencySettings { errors_per_minute: 5, affected_errors: 2, is_dry_run, ..emergency() };
        let world = World::with(PoolSettings { feeds: vec![feed("feed", &source.url(), quick())], emergency: settings, ..pool_settings() });
        world.until("flowing", |feed| feed.events > 5).await;
        source.break_with(Fault::Rst);
        world.until("failing", |feed| feed.errors > 6).await;
        source.heal();
        eventually("told", || world.show(), || (told(&world, EmergencyKind::ErrorRate, Phase::Begun) == 1).then_some(())).await;
        let begun = world.upstream.emergencies()[0].clone();
        assert_eq!((begun.is_dry_run, begun.incident.measures[0].to_string().as_str()), (is_dry_run, "log every line of feed"));
        let seen = world.feed().events;
        world.until("flowing again", |feed| feed.events > seen + 20).await;
        let rotated = declare(&world, EmergencyKind::ErrorRate, is_dry_run).await;
        assert!(rotated.measures.iter().any(|measure| measure.to_string() == "rotate feed"), "{rotated:?}");
        if is_dry_run {
            let seen = world.feed().events;
            world.until("flowing on", |feed| feed.events > seen + 20).await;
            assert_eq!(world.feed().rotations, 0);
        } else {
            world.until("rotated", |feed| feed.rotations > 0).await;
        }
        world.stop().await;
    }
}

#[actix_rt::test]
async fn a_pool_that_is_started_anew_says_so_and_its_feeds_go_on() {
    let source = Source::start(Duration::from_millis(3)).await;
    let world = World::reading(&source.url(), quick());
    world.until("flowing", |feed| feed.events > 5).await;
    assert_eq!(declare(&world, EmergencyKind::PoolFailure, true).await.measures.len(), 1);
    assert!(world.pool.connected());
    declare(&world, EmergencyKind::PoolFailure, false).await;
    eventually("gone", || world.show(), || (!world.pool.connected() && source.open_connections() == 0).then_some(())).await;
    let World { upstream, publisher, broker, clock, .. } = world;
    let world = Prepared { upstream, publisher, broker, clock }.begin();
    let seen = world.feed().events;
    world.until("flowing again", |feed| feed.events > seen + 5).await;
    assert_eq!(told(&world, EmergencyKind::PoolFailure, Phase::Begun), 1);
    let numbers: Vec<u64> = world.broker.data().iter().map(|data| data.parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    world.stop().await;
}

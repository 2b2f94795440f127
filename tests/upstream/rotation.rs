//! Connections that are replaced while they work: make before break, nothing lost, nothing twice.

use crate::source::Source;
use crate::support::*;
use aether::upstream::{FeedLimits, GateSettings, HealthSettings, PoolSettings, RotateFeed, State};
use std::time::Duration;

async fn rotate(world: &World, feed: &str) {
    assert!(in_time("the order to rotate", world.pool.send(RotateFeed(feed.to_string()))).await.unwrap(), "there is no feed {feed}");
}

fn assert_whole(world: &World) {
    let numbers: Vec<u64> = world.broker.data().iter().map(|data| data.parse().unwrap()).collect();
    let holes: Vec<&[u64]> = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    assert!(holes.is_empty(), "neither lost nor twice: {holes:?}\n{}", world.show());
}

#[actix_rt::test]
async fn a_rotation_loses_nothing_and_repeats_nothing() {
    for has_ids in [true, false] {
        let source = Source::start(Duration::from_millis(3)).await;
        if !has_ids {
            source.forget_ids();
        }
        let world = World::reading(&source.url(), quick());
        world.until("flowing", |feed| feed.events > 20).await;
        for round in 1..=20 {
            rotate(&world, "feed").await;
            let report = world.until("rotated", |feed| feed.rotations == round).await;
            let seen = report.events;
            world.until("flowing on", |feed| feed.events > seen + 5 && feed.state == State::Open).await;
        }
        assert_whole(&world);
        let report = world.feed();
        assert_eq!((report.reconnects, report.errors, report.gaps, report.attempts), (0, 0, 0, 21), "ids: {has_ids}, {report:?}");
        assert!(source.open_max() <= 2, "{}", source.open_max());
        let show = || format!("{} open", source.open_connections());
        eventually("one connection", show, || (source.open_connections() == 1).then_some(())).await;
        assert_eq!(world.report().places.rotating, 0);
        world.stop().await;
        eventually("none", show, || (source.open_connections() == 0).then_some(())).await;
    }
}

#[actix_rt::test]
async fn a_successor_that_cannot_connect_leaves_the_feed_as_it_is() {
    let source = Source::start(Duration::from_millis(3)).await;
    let refusing = Server::start(|_, _| vec![write("HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")]).await;
    let to = source.url();
    let front = Server::start(move |nth, _| {
        let location = if nth == 0 { to.clone() } else { refusing.url() };
        vec![write(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))]
    })
    .await;
    let world = World::reading(&front.url(), quick());
    world.until("flowing", |feed| feed.events > 5).await;
    rotate(&world, "feed").await;
    let report = world.until("tried", |feed| feed.failed_attempts == 1).await;
    world.until("flowing on", |feed| feed.events > report.events + 20).await;
    assert_whole(&world);
    let report = world.feed();
    assert_eq!((report.state, report.rotations, report.reconnects, world.report().places.rotating), (State::Open, 0, 0, 0));
    world.stop().await;
}

#[actix_rt::test]
async fn a_successor_that_brings_nothing_is_given_up() {
    let source = Source::start(Duration::from_millis(3)).await;
    let silent = Server::start(|_, _| vec![write(HEAD), Act::Hang]).await;
    let (to, nothing) = (source.url(), silent.url());
    let front = Server::start(move |nth, _| {
        let location = if nth == 0 { &to } else { &nothing };
        vec![write(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))]
    })
    .await;
    let world = World::reading(&front.url(), FeedLimits { overlap: Duration::from_millis(100), ..quick() });
    world.until("flowing", |feed| feed.events > 5).await;
    rotate(&world, "feed").await;
    world.until("side by side", |feed| feed.state == State::Draining).await;
    let report = world.until("given up", |feed| feed.state == State::Open).await;
    world.until("flowing on", |feed| feed.events > report.events + 20).await;
    assert_whole(&world);
    assert_eq!((world.feed().rotations, world.feed().reconnects, silent.open_connections()), (0, 0, 0));
    world.stop().await;
}

#[actix_rt::test]
async fn a_quiet_feed_is_rotated_when_the_overlap_is_over() {
    let server = Server::start(|_, _| stream(":\n")).await;
    let world = World::reading(&server.url(), FeedLimits { overlap: Duration::from_millis(100), ..quick() });
    world.until("open", |feed| feed.state == State::Open).await;
    rotate(&world, "feed").await;
    world.until("rotated", |feed| feed.rotations == 1 && feed.state == State::Open).await;
    eventually("the old one ended", || world.show(), || (server.open_connections() == 1).then_some(())).await;
    world.stop().await;
}

/// The old connection breaks in the middle of a rotation: the new one is there already.
#[actix_rt::test]
async fn an_end_during_a_rotation_is_no_break() {
    let source = Source::start(Duration::from_millis(2)).await;
    let world = World::reading(&source.url(), quick());
    world.until("flowing", |feed| feed.events > 20).await;
    for round in 0..20 {
        rotate(&world, "feed").await;
        if round % 2 == 0 {
            source.cut();
        }
        let seen = world.feed().events;
        world.until("flowing on", |feed| feed.events > seen + 20 && feed.state == State::Open).await;
    }
    assert_whole(&world);
    world.stop().await;
}

#[actix_rt::test]
async fn old_connections_are_rotated_by_themselves_a_few_at_a_time() {
    let mut sources = Vec::new();
    for _ in 0..20 {
        sources.push(Source::start(Duration::from_millis(20)).await);
    }
    let feeds = sources.iter().enumerate().map(|(nth, source)| feed(&format!("feed{nth}"), &source.url(), quick())).collect();
    let health = HealthSettings {
        check_interval: Duration::from_millis(100),
        age_max: Duration::from_millis(600),
        silence_intervals: 0,
        ..HealthSettings::default()
    };
    let gate = GateSettings { rotation_percent: 10, ..pool_settings().gate };
    let world = World::with(PoolSettings { feeds, health, gate, ..pool_settings() });
    let mut most = 0;
    let each_twice = || {
        most = most.max(world.report().places.rotating);
        world.report().feeds.iter().all(|feed| feed.rotations >= 2).then_some(())
    };
    eventually("each twice", || world.show(), each_twice).await;
    assert!((1..=2).contains(&most), "a tenth of twenty: {most}");
    assert!(world.report().feeds.iter().all(|feed| feed.reconnects == 0 && feed.gaps == 0), "{}", world.show());
    world.stop().await;
}

//! The other end of the hose: a broker that is slow, away for a moment, or away for too long.

use crate::support::*;
use aether::upstream::{FeedLimits, Reason, State};
use std::time::{Duration, Instant};

#[actix_rt::test]
async fn while_the_broker_does_not_answer_the_feed_is_held_back() {
    let event = format!("data: {}\n\n", "x".repeat(1_000));
    let server = Server::start(move |_, _| vec![write(HEAD), Act::Flood(event.repeat(64).into_bytes())]).await;
    let world = World::reading(&server.url(), quick());
    world.broker.set(Mood::Silent);
    let show = || format!("{} bytes sent\n{}", server.flooded_bytes(), world.show());
    world.until("held", |feed| feed.waits_for_broker).await;
    // The server can write until the buffers between are full, then no more: its count stands still.
    let mut last = (0, Instant::now());
    let stands_still = || {
        let sent = server.flooded_bytes();
        if sent != last.0 {
            last = (sent, Instant::now());
        }
        (last.1.elapsed() > Duration::from_millis(300)).then_some(sent)
    };
    let sent = eventually("the sender blocked", show, stands_still).await;
    assert!(sent < 24 << 20, "{sent} bytes");
    assert_eq!(world.broker.records().len(), 0);
    world.broker.set(Mood::Ready);
    eventually("flowing again", show, || (world.broker.records().len() > 2_000).then_some(())).await;
    assert_eq!((world.feed().state, world.feed().reconnects), (State::Open, 0));
    world.stop().await;
}

#[actix_rt::test]
async fn a_broker_that_comes_back_gets_every_event_once() {
    let server = Server::start(|_, _| stream("id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n")).await;
    let world = World::reading(&server.url(), quick());
    world.broker.set(Mood::Full(0));
    world.until("waiting", |feed| feed.waits_for_broker).await;
    assert_eq!(&*world.feed().last_event_id, "", "nothing counts as read yet");
    world.broker.set(Mood::Ready);
    world.until_published(&["1", "2"]).await;
    let report = world.until("position moved", |feed| &*feed.last_event_id == "2").await;
    assert_eq!((report.reconnects, report.waits_for_broker), (0, false));
    world.stop().await;
}

#[actix_rt::test]
async fn a_broker_away_for_too_long_makes_the_feed_resume_what_was_not_taken() {
    let server = Server::start(|_, request| match request.header("last-event-id") {
        None => stream("id: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\n"),
        _ => stream("id: 2\ndata: 2\n\nid: 3\ndata: 3\n\n"),
    })
    .await;
    for mood in [Mood::Full(1), Mood::Silent] {
        let limits = FeedLimits { publish_timeout: Duration::from_millis(150), ..quick() };
        let world = World::reading(&server.url(), limits);
        world.broker.set(mood);
        world.until("given up", |feed| feed.reason == Some(Reason::Broker) && feed.reconnects >= 2).await;
        world.broker.set(Mood::Ready);
        let complete = || world.broker.data().ends_with(&["1", "2", "3"].map(String::from)).then_some(());
        eventually("everything", || world.show(), complete).await;
        if mood == Mood::Full(1) {
            assert_eq!(world.broker.data(), ["1", "2", "3"]);
            assert_eq!(server.resumed_from()[..3], [None, Some("1".to_string()), Some("1".to_string())]);
        }
        world.stop().await;
    }
}

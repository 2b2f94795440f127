//! Faults of our own: a connection or the pool dies of a panic.

use crate::support::*;
use actix::Actor;
use aether::upstream::{Panic, Ping, Reason, State, UpstreamPool};

/// Sends what comes after the id it is asked for.
async fn counting_server() -> Server {
    Server::start(|_, request| {
        let next = request.header("last-event-id").and_then(|id| id.parse::<u32>().ok()).map_or(1, |id| id + 1);
        stream(format!("id: {next}\ndata: {next}\n\n"))
    })
    .await
}

#[actix_rt::test]
async fn a_connection_that_panics_is_started_anew_where_it_was_and_its_neighbour_does_not_notice() {
    let (server, other) = (counting_server().await, counting_server().await);
    let world = World::start(vec![feed("feed", &server.url(), quick()), feed("other", &other.url(), quick())]);
    eventually("both open", || world.show(), || (world.broker.records().len() == 2).then_some(())).await;
    for round in 1..=2 {
        world.pool.send(Panic { feed: Some("feed".to_string()) }).await.unwrap();
        let report = world.until("found dead", |feed| feed.panics == round).await;
        assert_eq!(report.reason, Some(Reason::Panic));
        world.until("open again", |feed| feed.state == State::Open && *feed.last_event_id == *(round + 1).to_string()).await;
    }
    assert_eq!(server.resumed_from(), [None, Some("1".to_string()), Some("2".to_string())]);
    assert_eq!((other.requests().len(), world.report().feed("other").unwrap().errors), (1, 0));
    world.stop().await;
}

#[actix_rt::test]
async fn a_pool_that_panics_takes_its_connections_along_and_the_next_one_resumes() {
    let server = counting_server().await;
    let mut world = World::reading(&server.url(), quick());
    world.until("open", |feed| &*feed.last_event_id == "1").await;
    assert!(world.pool.send(Panic { feed: None }).await.is_err(), "no answer from the dead");
    assert!(world.pool.send(Ping).await.is_err());
    let show = || format!("{} connections\n{}", server.open_connections(), world.show());
    eventually("no connection outlives its pool", show, || (server.open_connections() == 0).then_some(())).await;
    world.pool = UpstreamPool::new(world.upstream.clone(), world.publisher.clone(), world.clock.clone()).start();
    world.until_published(&["1", "2"]).await;
    world.pool.send(Ping).await.unwrap();
    assert_eq!(server.resumed_from(), [None, Some("1".to_string())]);
    assert_eq!(world.feed().state, State::Open);
    world.stop().await;
}

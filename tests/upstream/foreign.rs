//! A server that is not ours: nginx with the nchan module as EventSource server, killed, restarted, stalled, and cut off.

use crate::nginx::{Nginx, Setup};
use crate::support::*;
use aether::demo::{DemoFeed, DemoSettings};
use aether::upstream::{FeedLimits, State};
use std::time::Duration;

/// nginx with one channel: POST /publish, GET /events. Messages are kept, so that `Last-Event-ID` can bring them back.
struct Nchan(Nginx);

impl Nchan {
    fn start() -> Option<Self> {
        let keeps = "nchan_message_buffer_length 10000; nchan_message_timeout 5m;";
        let channel = "location = /publish { nchan_publisher; nchan_channel_id c; }
            location = /events { nchan_subscriber eventsource; nchan_channel_id c; nchan_subscriber_first_message newest; }";
        Nginx::start(Setup { server: channel, http: keeps, has_nchan: true, directory: None }).map(Self)
    }

    fn url(&self) -> String {
        format!("http://{}/events", self.0.address)
    }

    async fn publish(&self, messages: impl IntoIterator<Item = u32>) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for message in messages {
            let post = client.post(format!("http://{}/publish", self.0.address)).body(message.to_string()).send();
            let status = in_time("publishing", post).await.unwrap().status();
            assert!(status.is_success(), "{message}: {status}");
        }
    }
}

fn numbers(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

async fn until_published(world: &World, expected: Vec<String>) {
    eventually(&format!("{} events", expected.len()), || world.show(), || (world.broker.data() == expected).then_some(())).await;
}

#[actix_rt::test]
async fn what_a_foreign_server_says_is_published_with_its_ids() {
    let Some(nginx) = Nchan::start() else { return };
    let world = World::reading(&nginx.url(), quick());
    world.until("open", |feed| feed.state == State::Open).await;
    nginx.publish(1..=100).await;
    until_published(&world, numbers(1..=100)).await;
    let records = world.broker.records().clone();
    assert!(records.iter().all(|record| record.channel == "ticks:message" && record.id.is_some()), "{:?}", records[0]);
    world.stop().await;
}

/// The network between is cut in the middle of the stream, ten times, while messages keep coming: each arrives, once, in order.
#[actix_rt::test]
async fn nothing_is_lost_over_a_cut_wire() {
    let Some(nginx) = Nchan::start() else { return };
    let wire = Wire::to(nginx.0.address).await;
    let world = World::reading(&format!("http://{}/events", wire.address), quick());
    world.until("open", |feed| feed.state == State::Open).await;
    nginx.publish(1..=10).await;
    until_published(&world, numbers(1..=10)).await;
    for round in 1..=10 {
        let first = round * 10 + 1;
        nginx.publish(first..=first + 3).await;
        wire.cut();
        nginx.publish(first + 4..=first + 7).await;
        world.until("noticed", |feed| !matches!(feed.state, State::Open | State::Stalled)).await;
        wire.heal();
        nginx.publish(first + 8..=first + 9).await;
        until_published(&world, numbers(1..=first + 9)).await;
    }
    world.stop().await;
}

#[actix_rt::test]
async fn a_killed_server_is_found_again_when_it_is_back() {
    let Some(mut nginx) = Nchan::start() else { return };
    let world = World::reading(&nginx.url(), quick());
    world.until("open", |feed| feed.state == State::Open).await;
    for round in 1..=3 {
        let reconnects = world.feed().reconnects;
        nginx.publish(round * 10..=round * 10).await;
        let last = (round * 10).to_string();
        eventually("published", || world.show(), || (world.broker.data().last() == Some(&last)).then_some(())).await;
        nginx.0.kill();
        let down = world.until("noticed", |feed| feed.state.is_waiting() && feed.reconnects > reconnects + 1).await;
        assert!(down.reason.is_some_and(|reason| matches!(reason.as_str(), "refused" | "rst" | "eof")), "{down:?}");
        // Its memory died with it: what it says from now on is all there is.
        nginx.0.restart();
        world.until("open", |feed| feed.state == State::Open).await;
    }
    assert_eq!(world.broker.data(), ["10", "20", "30"]);
    world.stop().await;
}

/// All of nginx is frozen: connections stay up and nothing comes, new ones are accepted by the kernel and not answered.
#[actix_rt::test]
async fn a_stalled_server_is_given_up_and_resumed_when_it_moves_again() {
    let Some(nginx) = Nchan::start() else { return };
    let limits = FeedLimits { idle_timeout: Duration::from_millis(800), connect_timeout: Duration::from_millis(400), ..quick() };
    let world = World::reading(&nginx.url(), limits);
    world.until("open", |feed| feed.state == State::Open).await;
    nginx.publish(1..=5).await;
    until_published(&world, numbers(1..=5)).await;
    nginx.0.signal(libc::SIGSTOP);
    world.until("stalled", |feed| feed.state == State::Stalled).await;
    world.until("given up, and not answered", |feed| feed.reason.is_some_and(|reason| reason.as_str() == "timeout")).await;
    nginx.0.signal(libc::SIGCONT);
    nginx.publish(6..=10).await;
    until_published(&world, numbers(1..=10)).await;
    world.stop().await;
}

/// Not foreign, but read as if it were: over HTTP, with resume when the feed is started anew on the same port.
#[actix_rt::test]
async fn the_demo_feed_is_read_like_any_other() {
    let demo = DemoFeed::start(&DemoSettings::default()).unwrap();
    let world = World::reading(&demo.url(), quick());
    let has = |event: &str| world.broker.records().iter().any(|record| record.channel == format!("ticks:{event}")).then_some(());
    eventually("both types", || world.show(), || has("pulse").and(has("host"))).await;
    let settings = DemoSettings { address: demo.address(), ..DemoSettings::default() };
    in_time("the stop of the demo feed", demo.stop()).await;
    let seen = world.broker.records().len();
    let demo = DemoFeed::start(&settings).unwrap();
    eventually("more after a restart", || world.show(), || (world.broker.records().len() > seen + 5).then_some(())).await;
    let ids: Vec<u64> = world.broker.records().iter().map(|record| record.id.as_ref().unwrap().parse().unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "ids increase, over the restart too: {ids:?}");
    in_time("the stop of the demo feed", demo.stop()).await;
    world.stop().await;
}

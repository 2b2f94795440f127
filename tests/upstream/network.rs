//! Networks that fail without a word: a black hole, a peer that died, a connection that is killed. The feed is on the other side of a network of
//! its own (`peers/network.rs`), which needs root; elsewhere these tests are skipped, and say so.

use crate::cable::{Network, in_namespaces, run};
use crate::source::{Fault, Source};
use crate::support::*;
use aether::upstream::{FeedLimits, Reason, State};
use std::net::TcpListener;
use std::time::{Duration, Instant};

#[test]
fn a_network_that_fails_without_a_word_is_noticed_and_survived() {
    let tests = ["network::a_black_hole_in_namespaces", "network::a_peer_that_died_in_namespaces", "network::a_killed_connection_in_namespaces"];
    in_namespaces(&tests);
}

async fn flowing(limits: FeedLimits) -> (Network, Source, World) {
    let network = Network::new();
    let listener = network.over_there(|| TcpListener::bind((Network::ADDRESSES.1, 0)).unwrap());
    let source = Source::listening(listener, Duration::from_millis(10));
    let world = World::reading(&source.url(), limits);
    world.until("flowing", |feed| feed.events > 10).await;
    (network, source, world)
}

/// Waits until what was said last of all comes; then everything has come, once and in order.
async fn flows_again(world: &World, source: &Source, since: Instant, what: &str) {
    let latest = source.count();
    world.until("flowing again", |feed| feed.last_event_id.parse().is_ok_and(|id: u64| id > latest)).await;
    println!("network: {what}: flowing again after {:?}", since.elapsed());
    let numbers: Vec<u64> = world.broker.data().iter().map(|data| data.parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert_eq!(world.broker.gaps(), Vec::<String>::new());
}

#[actix_rt::test]
#[ignore = "started by the test above, in namespaces of its own"]
async fn a_black_hole_in_namespaces() {
    let limits = FeedLimits { idle_timeout: Duration::from_millis(600), connect_timeout: Duration::from_millis(300), ..quick() };
    let (network, source, world) = flowing(limits).await;
    network.swallow();
    world.until("stalled", |feed| feed.state == State::Stalled).await;
    world.until("given up", |feed| feed.reason == Some(Reason::Idle) && feed.state.is_waiting()).await;
    world.until("tried in vain", |feed| feed.reason == Some(Reason::Timeout) && feed.failed_attempts >= 3).await;
    let mended = Instant::now();
    network.mend();
    flows_again(&world, &source, mended, "black hole").await;
    world.stop().await;
}

#[actix_rt::test]
#[ignore = "started by the test above, in namespaces of its own"]
async fn a_peer_that_died_in_namespaces() {
    // Silence alone says nothing for a long time; what notices are the probes of TCP.
    let limits = FeedLimits { idle_timeout: Duration::from_secs(600), tcp_keepalive: Duration::from_secs(1), ..quick() };
    let (network, source, world) = flowing(limits).await;
    network.swallow();
    // Its connections are gone there, and the resets that would tell are lost.
    source.break_with(Fault::Rst);
    eventually("gone there", || world.show(), || (source.open_connections() == 0).then_some(())).await;
    source.heal();
    assert_eq!(world.feed().state, State::Open, "here it is half open: {:?}", world.feed());
    let mended = Instant::now();
    network.mend();
    world.until("noticed", |feed| feed.reason == Some(Reason::Rst)).await;
    flows_again(&world, &source, mended, "peer that died").await;
    world.stop().await;
}

#[actix_rt::test]
#[ignore = "started by the test above, in namespaces of its own"]
async fn a_killed_connection_in_namespaces() {
    let (_network, source, world) = flowing(quick()).await;
    let killed = Instant::now();
    let kill = run(&format!("ss --kill --tcp dst {}", Network::ADDRESSES.1));
    let (said, complained) = (String::from_utf8_lossy(&kill.stdout), String::from_utf8_lossy(&kill.stderr));
    if !kill.status.success() || !complained.is_empty() || !said.contains(Network::ADDRESSES.1) {
        println!("network: killed connection: skipped, ss(8) cannot kill on this kernel (CONFIG_INET_DIAG_DESTROY): {}", complained.trim());
        return world.stop().await;
    }
    world.until("noticed", |feed| feed.errors == 1).await;
    flows_again(&world, &source, killed, "killed connection").await;
    world.stop().await;
}

//! Clients that cannot or will not keep up: they are cut, and only they.

use crate::in_both_codecs;
use crate::support::{Canaries, Client, Codec, Dial, Ending, Hub, Stream, eventually};
use serde_json::json;
use std::time::Duration;

in_both_codecs!(
    a_client_that_never_reads_is_cut,
    a_client_that_comes_back_after_being_cut_recovers,
    who_is_behind_is_given_the_newest_where_that_is_all_that_counts,
);

/// Connected, and with next to no room for what it does not read.
pub async fn deaf(hub: &Hub, codec: Codec) -> Client {
    let dial = Dial { receive_buffer: Some(4_096), ..hub.dial() };
    let mut client = Client::open(&dial, codec).await;
    client.connect(json!({ "token": crate::support::token::user_token("deaf") })).await;
    client
}

async fn a_client_that_never_reads_is_cut(codec: Codec) {
    let hub = Hub::start(json!({ "client": { "queue_max_size": 262_144, "close_timeout": "1s" } })).await;
    let mut deaf = deaf(&hub, codec).await;
    deaf.subscribe("flood").await;
    let state = Canaries::beside(&hub, async {
        let mut published = 0;
        eventually("the deaf client's end", async || {
            let before = hub.grown()?;
            assert!(before["outbox_bytes"].as_u64().is_none_or(|bytes| bytes < 2 * 262_144), "more is queued than allowed: {before}");
            if before["sessions"] == 21 {
                return Ok(before);
            }
            hub.publish("flood", "x".repeat(50_000)).await;
            published += 1;
            assert!(published < 400, "20 MB were taken for a client that reads nothing: {before}");
            Err(before.to_string())
        })
        .await
    })
    .await;
    assert_eq!(state["sessions"], 21, "twenty canaries and their publisher");
    eventually("one session counted as slow", async || match hub.metric("aether_sessions_closed_total", "slow").await {
        1.0 => Ok(()),
        _ => Err(hub.metrics().await.lines().filter(|line| line.starts_with("aether_sessions_closed_total")).collect::<Vec<_>>().join("\n")),
    })
    .await;
}

async fn a_client_that_comes_back_after_being_cut_recovers(codec: Codec) {
    let options = json!({ "name": "big", "history_size": 300, "history_ttl": "60s", "force_recovery": true, "allow_subscribe_for_client": true });
    let hub = Hub::start(json!({ "client": { "queue_max_size": 131_072, "close_timeout": "1s" }, "channel": { "namespaces": [options] } })).await;
    let mut client = deaf(&hub, codec).await;
    let subscribed = client.subscribe("big:x").await;
    let mut published = 0_u64;
    while hub.grown().expect("the state")["sessions"] != 0 {
        published += 1;
        hub.publish("big:x", json!({ "n": published, "pad": "x".repeat(20_000) })).await;
        assert!(published < 290, "the client was not cut");
    }
    // It reads what the kernel still holds, in order and without a hole, then the end.
    let mut seen = 0;
    let ending = loop {
        match client.next().await {
            crate::support::Event::Message(message) => {
                seen += 1;
                assert_eq!(message["push"]["pub"]["data"]["n"], seen);
            }
            crate::support::Event::Ended(ending) => break ending,
        }
    };
    assert!(matches!(ending, Ending::Dropped) || matches!(ending, Ending::Closed { code: 3008, .. }), "{ending:?}");
    let mut client = hub.connect_as(codec, "deaf").await;
    let back = client.recover("big:x", &json!({ "offset": seen, "epoch": subscribed["epoch"] })).await;
    let missed: Vec<_> = back["publications"].as_array().expect("a list").iter().map(|publication| publication["data"]["n"].as_u64()).collect();
    assert_eq!(missed, (seen + 1..=published).map(Some).collect::<Vec<_>>());
}

/// A byte now and then is no reading: what waits grows old, and the client is cut by age.
#[tokio::test]
async fn a_client_that_reads_byte_by_byte_is_cut_by_age() {
    let hub = Hub::start(json!({ "client": { "queue_max_age": "1s", "queue_max_size": "4MiB", "close_timeout": "1s" } })).await;
    let mut slow = deaf(&hub, Codec::Json).await;
    slow.subscribe("flood").await;
    for _ in 0..60 {
        hub.publish("flood", "x".repeat(50_000)).await;
    }
    eventually("the slow client's end", async || {
        if let Stream::Plain(stream) = &slow.socket().stream {
            // One byte, if there is one.
            let _ = stream.try_read(&mut [0]);
        }
        match hub.grown()?["sessions"].as_u64() {
            Some(0) => Ok(()),
            other => Err(format!("{other:?} sessions")),
        }
    })
    .await;
}

/// Slower than the publisher for a moment, but reading: nothing is lost, nobody is cut.
#[tokio::test]
async fn a_pause_is_no_crime() {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(Codec::Json).await;
    client.subscribe("plain").await;
    for number in 0..200 {
        hub.publish("plain", json!({ "n": number, "pad": "x".repeat(3_000) })).await;
    }
    tokio::time::timeout(Duration::from_secs(10), async {
        for number in 0..200 {
            assert_eq!(client.publication("plain").await["data"]["n"], number);
        }
    })
    .await
    .expect("everything within seconds");
}

/// With deltas as without: nothing that is read depends on what gave way.
async fn who_is_behind_is_given_the_newest_where_that_is_all_that_counts(codec: Codec) {
    let options = json!({
        "name": "latest", "keep_latest": true, "history_size": 300, "history_ttl": "60s", "force_recovery": true, "allow_subscribe_for_client": true,
    });
    // Much less than what is published; what a few newest ones take.
    let hub = Hub::start(json!({ "client": { "queue_max_size": 131_072 }, "channel": { "namespaces": [options] } })).await;
    let mut slow = deaf(&hub, codec).await;
    let mut quick = hub.connect(codec).await;
    for client in [&mut slow, &mut quick] {
        client.subscribe("latest:a").await;
        client.subscribe("latest:b").await;
    }
    let publications = 250;
    for number in 1..=publications {
        for channel in ["latest:a", "latest:b"] {
            hub.publish(channel, json!({ "n": number, "pad": "x".repeat(20_000) })).await;
            assert_eq!(quick.publication(channel).await["data"]["n"], number, "who keeps up is given each");
        }
    }
    let mut newest = std::collections::HashMap::new();
    let mut count = 0;
    while newest.len() < 2 || newest.values().any(|at| *at < publications) {
        let push = slow.push().await;
        let (channel, number) = (push["channel"].as_str().unwrap_or_default().to_owned(), push["pub"]["data"]["n"].as_u64().unwrap_or_default());
        assert_eq!(push["pub"]["offset"], number, "{channel}");
        assert!(newest.insert(channel.clone(), number).is_none_or(|before| before < number), "{channel} goes back to {number}");
        count += 1;
    }
    slow.has_nothing_waiting().await;
    let coalesced = hub.metric("aether_publications_coalesced_total", "behind").await;
    assert!(coalesced > 0.0, "10 MB went through 4 KiB of buffer");
    assert_eq!(f64::from(count) + coalesced, 2.0 * publications as f64, "each was given or counted");
    // It was never cut, and goes on as if nothing had been.
    hub.publish("latest:a", json!({ "n": publications + 1 })).await;
    assert_eq!(slow.publication("latest:a").await["offset"], publications + 1);
}

#[tokio::test]
async fn a_channel_that_is_throttled_gives_the_newest_at_the_end_of_each_interval() {
    let options = json!({
        "name": "calm", "throttle_interval": "1s", "history_size": 300, "history_ttl": "60s", "force_recovery": true, "allow_subscribe_for_client": true,
        "presence": true, "join_leave": true,
    });
    let hub = Hub::start(json!({ "channel": { "namespaces": [options] } })).await;
    let mut client = hub.connect(Codec::Json).await;
    let subscribed = client.subscribe_with(json!({ "channel": "calm:a", "join_leave": false })).await;
    let started = std::time::Instant::now();
    // The first one goes out at once; on a busy machine the next could catch up with it, and take its place, before that turn.
    hub.publish("calm:a", 1).await;
    let first = client.publication("calm:a").await;
    assert_eq!((&first["data"], &first["offset"]), (&json!(1), &json!(1)));
    for number in 2..=50 {
        hub.publish("calm:a", number).await;
    }
    // Whoever comes now has asked after the last one was published.
    let mut newcomer = hub.connect(Codec::Protobuf).await;
    assert_eq!(newcomer.subscribe("calm:a").await["offset"], 50);
    let mut given = vec![1];
    while given.last() != Some(&50) {
        let publication = client.publication("calm:a").await;
        assert_eq!(publication["data"], publication["offset"]);
        given.extend(publication["data"].as_u64());
    }
    assert!(given.is_sorted() && given[0] == 1, "{given:?}");
    assert!(given.len() as u64 <= started.elapsed().as_secs() + 2, "{given:?}");
    let coalesced = hub.metric("aether_publications_coalesced_total", "throttle").await;
    assert!(coalesced >= (50 - given.len()) as f64, "{coalesced} of {given:?}");
    hub.publish("calm:a", 51).await;
    hub.publish("calm:a", 52).await;
    for client in [&mut client, &mut newcomer] {
        let mut last = 0;
        while last < 52 {
            last = client.publication("calm:a").await["data"].as_u64().unwrap_or_default();
            assert!(last > 50, "nothing twice, and nothing that it has not asked for");
        }
    }
    // What was not given is not lost.
    client.cut();
    let mut client = hub.connect(Codec::Json).await;
    let back = client.recover("calm:a", &json!({ "offset": 1, "epoch": subscribed["epoch"] })).await;
    assert_eq!((back["publications"].as_array().map(Vec::len), &back["recovered"]), (Some(51), &json!(true)));
}

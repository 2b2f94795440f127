//! History that outlives the process: what each durability keeps over a stop, a kill and a store that stands still.

use crate::in_both_codecs;
use crate::support::{Client, Codec, Hub, eventually, recovering};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

in_both_codecs!(a_client_recovers_over_a_restart, a_kill_takes_nothing_that_was_answered, a_store_that_stands_still_harms_durable_publishes_only);

/// A hub with a namespace for each durability, over what earlier ones left in `data`.
async fn hub(data: &TempDir, changes: Value) -> Hub {
    let namespace = |durability: &str| {
        json!({
            "name": durability, "history_durability": durability, "history_size": 100_000, "history_ttl": "1h", "force_recovery": true,
            "allow_subscribe_for_client": true, "allow_publish_for_client": true, "allow_history_for_client": true,
        })
    };
    let own = json!({
        "data_dir": data.path().display().to_string(),
        "client": { "recovery_max_publication_limit": 100_000, "history_max_publication_limit": 100_000 },
        "http_server": { "request_timeout": "10s" },
        "channel": { "namespaces": [namespace("memory"), namespace("accepted"), namespace("durable")] },
    });
    Hub::start(crate::support::merged(own, changes)).await
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a directory can be made")
}

async fn stop(mut hub: Hub) {
    hub.terminate();
    assert!(hub.exit().await.success(), "{}", hub.log());
}

/// Keeps the store from being written until it is dropped.
fn freeze(data: &TempDir) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(data.path().join("aether.db")).expect("the store can be opened");
    connection.busy_timeout(Duration::from_secs(10)).expect("a connection waits");
    connection.execute_batch("BEGIN IMMEDIATE").expect("the store can be locked");
    connection
}

async fn a_client_recovers_over_a_restart(codec: Codec) {
    let data = folder();
    let first = hub(&data, json!({})).await;
    let mut positions = Vec::new();
    for channel in ["durable:x", "accepted:x", "memory:x"] {
        let mut client = first.connect(codec).await;
        let subscribed = client.subscribe(channel).await;
        client.publish(channel, "seen").await;
        assert_eq!(client.data(channel, 1).await, ["seen"]);
        positions.push((channel, json!({ "offset": 1, "epoch": subscribed["epoch"] })));
        client.leave().await;
        first.publish(channel, json!({ "missed": [1, 2] })).await;
    }
    stop(first).await;

    let second = hub(&data, json!({})).await;
    for (channel, position) in positions {
        let mut client = second.connect(codec).await;
        let recovered = client.recover(channel, &position).await;
        if channel == "memory:x" {
            assert_ne!(recovered["recovered"], true, "{channel}: {recovered}");
            assert_ne!(recovered["epoch"], position["epoch"], "{channel}: {recovered}");
            continue;
        }
        assert_eq!((&recovered["recovered"], &recovered["epoch"]), (&json!(true), &position["epoch"]), "{channel}: {recovered}");
        assert_eq!(recovered["publications"][0]["data"], json!({ "missed": [1, 2] }), "{channel}: {recovered}");
        client.publish(channel, "next").await;
        assert_eq!(client.publication(channel).await["offset"], 3, "{channel}");
    }
}

/// What was answered or seen: offset to number. Fails when an offset stands for two numbers.
#[derive(Default)]
struct Ledger(Mutex<BTreeMap<u64, u64>>);

impl Ledger {
    fn note(&self, offset: u64, number: u64) {
        let before = self.0.lock().expect("nobody panicked").insert(offset, number);
        assert!(before.is_none_or(|before| before == number), "offset {offset} stands for {before:?} and for {number}");
    }
    fn entries(&self) -> BTreeMap<u64, u64> {
        self.0.lock().expect("nobody panicked").clone()
    }
}

async fn a_kill_takes_nothing_that_was_answered(codec: Codec) {
    const ROUNDS: u64 = 3;
    const PUBLISHERS: usize = 4;
    let data = folder();
    let (answered, seen) = (Arc::new(Ledger::default()), Ledger::default());
    let numbers = Arc::new(AtomicU64::new(0));
    let mut position: Option<Value> = None;
    for round in 1..=ROUNDS {
        let mut hub = hub(&data, json!({})).await;
        let mut watcher = hub.connect_as(codec, "watcher").await;
        let subscribed = match &position {
            None => watcher.subscribe("durable:x").await,
            Some(position) => {
                let subscribed = watcher.recover("durable:x", position).await;
                assert_eq!((&subscribed["recovered"], &subscribed["epoch"]), (&json!(true), &position["epoch"]), "round {round}");
                for publication in subscribed["publications"].as_array().into_iter().flatten() {
                    seen.note(publication["offset"].as_u64().expect("an offset"), publication["data"].as_u64().expect("a number"));
                }
                subscribed
            }
        };
        let mut publishers = Vec::new();
        for _ in 0..PUBLISHERS {
            let (api, answered, numbers) = (hub.caller(), Arc::clone(&answered), Arc::clone(&numbers));
            publishers.push(tokio::spawn(async move {
                loop {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    let Some(answer) = api.try_call("publish", json!({ "channel": "durable:x", "data": number })).await else { return };
                    if let Some(offset) = answer["result"]["offset"].as_u64() {
                        answered.note(offset, number);
                    }
                }
            }));
        }
        // In the midst of it: as soon as enough has been answered in this round.
        let enough = answered.entries().len() + 200;
        eventually("answers to publishes", async || {
            let count = answered.entries().len();
            if count >= enough { Ok(()) } else { Err(format!("{count} of {enough}")) }
        })
        .await;
        hub.kill();
        for publisher in publishers {
            publisher.await.expect("no publisher saw an offset twice");
        }
        for publication in drain(&mut watcher).await {
            seen.note(publication["offset"].as_u64().expect("an offset"), publication["data"].as_u64().expect("a number"));
        }
        let top = seen.entries().last_key_value().map_or(0, |(offset, _)| *offset);
        position = Some(json!({ "offset": top, "epoch": subscribed["epoch"] }));
    }

    let hub = hub(&data, json!({})).await;
    let history = hub.api("history", json!({ "channel": "durable:x", "limit": -1 })).await;
    let kept: BTreeMap<u64, u64> = history["publications"]
        .as_array()
        .expect("publications")
        .iter()
        .map(|publication| (publication["offset"].as_u64().expect("an offset"), publication["data"].as_u64().expect("a number")))
        .collect();
    assert_eq!(kept.keys().copied().collect::<Vec<_>>(), (1..=kept.len() as u64).collect::<Vec<_>>(), "no hole");
    for (what, ledger) in [("answered", answered.entries()), ("seen", seen.entries())] {
        assert!(ledger.len() as u64 >= 200, "{what}: {}", ledger.len());
        for (offset, number) in ledger {
            assert_eq!(kept.get(&offset), Some(&number), "{what} at offset {offset}");
        }
    }
}

/// The publications that a client was sent before its connection ended.
async fn drain(client: &mut Client) -> Vec<Value> {
    let mut publications = Vec::new();
    while let crate::support::Event::Message(message) = client.next().await {
        if let Some(publication) = message["push"].get("pub") {
            publications.push(publication.clone());
        }
    }
    publications
}

async fn a_store_that_stands_still_harms_durable_publishes_only(codec: Codec) {
    let data = folder();
    let hub = hub(&data, json!({})).await;
    let mut client = hub.connect(codec).await;
    for channel in ["durable:x", "accepted:x", "memory:x"] {
        client.subscribe(channel).await;
    }
    let frozen = freeze(&data);
    let mut durable = hub.connect_as(codec, "bob").await;
    let begun = Instant::now();
    let refused = durable.send("publish", json!({ "channel": "durable:x", "data": 1 })).await;
    for number in 0..20 {
        client.publish("accepted:x", number).await;
        client.publish("memory:x", number).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "what needs no store waits for none: {:?}", begun.elapsed());
    let error = durable.reply(refused).await.expect("a reply")["error"].clone();
    assert_eq!((&error["code"], &error["temporary"]), (&json!(100), &json!(true)));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(hub.api_error("publish", json!({ "channel": "durable:x", "data": 2 })).await, 100);
    assert!(hub.metric("aether_history_failed_writes_total", "durable").await >= 1.0);
    frozen.execute_batch("ROLLBACK").expect("the store can be unlocked");
    drop(frozen);

    eventually("a durable publish", async || {
        let answer = hub.api_answer("publish", json!({ "channel": "durable:x", "data": 3 })).await.json();
        if answer.get("result").is_some() { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    let mut got: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    while got.get("durable:x").and_then(|publications| publications.last()).is_none_or(|last| last["data"] != 3) {
        let push = client.push().await;
        got.entry(push["channel"].as_str().expect("a channel").to_owned()).or_default().push(push["pub"].clone());
    }
    let numbers: Vec<_> = (0..20).map(|number| json!(number)).collect();
    for channel in ["accepted:x", "memory:x"] {
        assert_eq!(got[channel].iter().map(|publication| publication["data"].clone()).collect::<Vec<_>>(), numbers, "{channel}");
    }
    let offsets: Vec<_> = got["durable:x"].iter().map(|publication| publication["offset"].as_u64().expect("an offset")).collect();
    assert_eq!(offsets, (1..=offsets.len() as u64).collect::<Vec<_>>());
    eventually("everything written", async || {
        let waiting = hub.state()?["history_waiting"].clone();
        if waiting == 0 { Ok(()) } else { Err(waiting.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn after_a_kill_what_was_only_accepted_begins_a_new_epoch() {
    let data = folder();
    let mut first = hub(&data, json!({})).await;
    let mut client = first.connect(Codec::Json).await;
    let epoch = client.subscribe("accepted:x").await["epoch"].clone();
    first.publish("accepted:x", 1).await;
    assert_eq!(client.data("accepted:x", 1).await, [1]);
    first.kill();
    let second = hub(&data, json!({})).await;
    let mut client = second.connect(Codec::Json).await;
    let answer = client.subscribe_with(recovering("accepted:x", &json!({ "offset": 1, "epoch": epoch }))).await;
    assert_ne!(answer["recovered"], true, "{answer}");
    assert_ne!(answer["epoch"], epoch, "{answer}");
}

#[tokio::test]
async fn what_finds_no_room_is_counted_and_costs_its_stream_the_epoch() {
    let data = folder();
    let first = hub(&data, json!({ "store": { "queue_bytes_max": "16KiB" } })).await;
    let sound = first.publish("accepted:sound", 1).await;
    let frozen = freeze(&data);
    let mut flood = Value::Null;
    for number in 0..200 {
        flood = first.publish("accepted:flood", number).await;
    }
    assert_eq!(flood["offset"], 200, "published all the same");
    assert!(first.metric("aether_history_overflowed_publications_total", "accepted").await >= 100.0);
    frozen.execute_batch("ROLLBACK").expect("the store can be unlocked");
    drop(frozen);
    stop(first).await;
    let second = hub(&data, json!({})).await;
    let position = async |channel: &str| second.api("history", json!({ "channel": channel, "limit": 0 })).await;
    assert_ne!(position("accepted:flood").await["epoch"], flood["epoch"]);
    assert_eq!(position("accepted:sound").await["epoch"], sound["epoch"]);
}

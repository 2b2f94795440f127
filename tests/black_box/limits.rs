//! How often somebody may do something, and that nobody else notices.

use crate::support::token::user_token;
use crate::support::{API_KEY, Client, Codec, Dial, Hub, eventually, many, request};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

fn limits(limits: Value) -> Value {
    json!({ "limits": limits })
}

/// How many of `count` commands are carried out; the others are answered 111.
async fn carried_out(client: &mut Client, command: &str, request: Value, count: usize) -> usize {
    let mut done = 0;
    for _ in 0..count {
        let id = client.send(command, request.clone()).await;
        let reply = client.reply(id).await.expect("the connection stays");
        match reply["error"]["code"].as_u64() {
            None => done += 1,
            Some(111) => assert_eq!(reply["error"]["temporary"], true),
            other => panic!("{other:?}"),
        }
    }
    done
}

fn publication() -> Value {
    json!({ "channel": "news:a", "data": 1 })
}

#[tokio::test]
async fn a_connection_that_talks_too_much_is_told_so_and_others_are_not() {
    let hub = Hub::start(limits(json!({ "commands": { "per_connection": "10/h" } }))).await;
    let (mut loud, mut quiet) = (hub.connect(Codec::Json).await, hub.connect(Codec::Protobuf).await);
    assert_eq!(carried_out(&mut loud, "presence_stats", json!({ "channel": "room:a" }), 30).await, 10);
    assert_eq!(carried_out(&mut quiet, "presence_stats", json!({ "channel": "room:a" }), 10).await, 10);
}

#[tokio::test]
async fn a_user_has_one_allowance_for_all_its_connections() {
    let hub = Hub::start(limits(json!({ "publishes": { "per_user": "20/h" } }))).await;
    let mut connections = many(10, async |_| hub.connect(Codec::Json).await).await;
    let mut done = 0;
    for connection in &mut connections {
        done += carried_out(connection, "publish", publication(), 5).await;
    }
    assert_eq!(done, 20);
    assert_eq!(carried_out(&mut connections[0], "presence_stats", json!({ "channel": "room:a" }), 5).await, 5, "other commands are not meant");
    let mut bob = hub.connect_as(Codec::Json, "bob").await;
    assert_eq!(carried_out(&mut bob, "publish", publication(), 5).await, 5);
}

#[tokio::test]
async fn subscriptions_are_counted_once_each() {
    let hub = Hub::start(limits(json!({ "subscribes": { "per_user": "5/h" } }))).await;
    let mut client = hub.connect(Codec::Json).await;
    for number in 0..5 {
        client.subscribe(&format!("news:{number}")).await;
    }
    assert_eq!(client.error_of("subscribe", json!({ "channel": "news:6" })).await, 111);
    client.unsubscribe("news:1").await;
    assert_eq!(client.error_of("subscribe", json!({ "channel": "news:1" })).await, 111);
}

#[tokio::test]
async fn an_allowance_comes_back_with_time() {
    let hub = Hub::start(limits(json!({ "commands": { "per_address": "10/s burst 1" } }))).await;
    let mut client = hub.connect(Codec::Json).await;
    let started = std::time::Instant::now();
    let mut done = 0;
    eventually("twenty commands", async || {
        done += carried_out(&mut client, "presence_stats", json!({ "channel": "room:a" }), 1).await;
        if done >= 20 { Ok(()) } else { Err(format!("{done} so far")) }
    })
    .await;
    let rate = 19.0 / started.elapsed().as_secs_f64();
    assert!((1.0..=11.0).contains(&rate), "{rate} a second");
}

#[tokio::test]
async fn connects_are_counted_by_address_before_the_upgrade_and_by_user_behind_it() {
    let hub = Hub::start(limits(json!({ "connects": { "per_address": "5/h", "per_user": "3/h" } }))).await;
    let from = |last: u8| Dial { from: Ipv4Addr::new(127, 0, 0, last), ..hub.dial() };
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(Client::open(&from(7), Codec::Json).await);
    }
    match from(7).websocket().await {
        Ok(Err(head)) => {
            assert_eq!(head.status, 429);
            let wait: u64 = head.header("retry-after").and_then(|value| value.parse().ok()).expect("a time to wait");
            assert!((1..=720).contains(&wait), "{wait}");
        }
        other => panic!("not refused: {:?}", other.map(|answer| answer.is_ok())),
    }
    open.push(Client::open(&from(8), Codec::Json).await);
    let mut outcomes = Vec::new();
    for client in &mut open {
        let id = client.send("connect", json!({ "token": user_token("alice") })).await;
        outcomes.push(match client.reply(id).await {
            Ok(_) => 0,
            Err(_) => client.close_code().await,
        });
    }
    assert_eq!(outcomes, [0, 0, 0, 3013, 3013, 3013]);
    let mut bob = Client::open(&from(9), Codec::Json).await;
    bob.connect(json!({ "token": user_token("bob") })).await;
}

#[tokio::test]
async fn the_server_api_answers_429_and_says_when_to_come_back() {
    let hub = Hub::start(limits(json!({ "api": { "per_address": "3/h" } }))).await;
    let mut statuses = Vec::new();
    for key in ["wrong", "wrong", API_KEY, API_KEY] {
        let answer = request(&hub.dial(), "POST", "/api/info", &[("X-API-Key", key)], b"{}").await;
        assert_eq!(answer.head.header("retry-after").is_some(), answer.status() == 429);
        statuses.push(answer.status());
    }
    assert_eq!(statuses, [401, 401, 200, 429], "guessing keys is counted too");
    let elsewhere = Dial { from: Ipv4Addr::new(127, 0, 0, 8), ..hub.dial() };
    assert_eq!(request(&elsewhere, "POST", "/api/info", &[("X-API-Key", API_KEY)], b"{}").await.status(), 200);
}

#[tokio::test]
async fn a_key_has_an_allowance_wherever_it_is_used() {
    let hub = Hub::start(limits(json!({ "api": { "per_key": "3/h" } }))).await;
    let mut statuses = Vec::new();
    for (last, key) in [(7, API_KEY), (8, API_KEY), (9, "wrong"), (7, API_KEY), (8, API_KEY), (9, "wrong")] {
        let dial = Dial { from: Ipv4Addr::new(127, 0, 0, last), ..hub.dial() };
        statuses.push(request(&dial, "POST", "/api/info", &[("X-API-Key", key)], b"{}").await.status());
    }
    assert_eq!(statuses, [200, 200, 401, 200, 429, 401], "a wrong key takes nothing from a right one");
}

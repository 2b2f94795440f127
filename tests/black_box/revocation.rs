//! Who is kept out in spite of a good token, written to the hub's store by somebody else than the hub.

use crate::support::token::{now, token, user_token};
use crate::support::{Client, Codec, Ending, Hub, eventually};
use aether::config::StoreConfig;
use aether::store::{self, Block, BlockKind, Store};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

async fn hub_and_store() -> (Hub, Arc<dyn Store>) {
    let hub = Hub::start(json!({ "client": { "block_refresh_interval": "100ms" } })).await;
    let store = store::open(&StoreConfig::default(), &hub.directory.path().join("data")).await.expect("the hub's store can be opened beside it");
    (hub, store)
}

fn block(kind: BlockKind, subject: &str) -> Block {
    Block { kind, subject: subject.to_owned(), reason: "a test".to_owned(), by: "somebody".to_owned(), since: now() * 1_000, until: None }
}

async fn closed_with(client: &mut Client) -> u16 {
    match client.ending().await {
        Ending::Closed { code, .. } => code,
        Ending::Dropped => panic!("dropped without a word"),
    }
}

#[tokio::test]
async fn a_banned_user_is_sent_away_and_kept_out_until_the_ban_is_lifted() {
    let (hub, store) = hub_and_store().await;
    let mut alice = hub.connect(Codec::Json).await;
    let mut bobs = [hub.connect_as(Codec::Json, "bob").await, hub.connect_as(Codec::Protobuf, "bob").await];
    store.put_block(&block(BlockKind::User, "bob")).await.expect("written");
    for bob in &mut bobs {
        assert_eq!(closed_with(bob).await, 3503);
    }
    let mut bob = hub.open(Codec::Json).await;
    bob.send("connect", json!({ "token": user_token("bob") })).await;
    assert_eq!(closed_with(&mut bob).await, 3503);
    alice.has_nothing_waiting().await;
    store.remove_block(BlockKind::User, "bob").await.expect("removed");
    eventually("bob's coming back", async || {
        let mut bob = hub.open(Codec::Json).await;
        let id = bob.send("connect", json!({ "token": user_token("bob") })).await;
        bob.reply(id).await.map(|_| ()).map_err(|ending| format!("{ending:?}"))
    })
    .await;
    store.close().await.expect("closed");
}

#[tokio::test]
async fn a_revoked_token_ends_its_connections_and_opens_none() {
    let (hub, store) = hub_and_store().await;
    let named = |id: &str| token(&json!({ "sub": "alice", "jti": id, "exp": now() + 600 }));
    let connected = async |id: &str| {
        let mut client = hub.open(Codec::Json).await;
        client.connect(json!({ "token": named(id) })).await;
        client
    };
    let (mut stolen, mut kept, mut renewed) = (connected("one").await, connected("two").await, connected("one").await);
    renewed.subscribe("news:a").await;
    assert!(renewed.call("refresh", json!({ "token": named("three") })).await.get("refresh").is_some());
    store.put_block(&block(BlockKind::Token, "one")).await.expect("written");
    assert_eq!(closed_with(&mut stolen).await, 3500);
    for client in [&mut kept, &mut renewed] {
        client.has_nothing_waiting().await;
    }
    let mut again = hub.open(Codec::Json).await;
    again.send("connect", json!({ "token": named("one") })).await;
    assert_eq!(closed_with(&mut again).await, 3500);
    kept.send("refresh", json!({ "token": named("one") })).await;
    assert_eq!(closed_with(&mut kept).await, 3500, "it refreshes nothing either");
    hub.publish("news:a", 1).await;
    assert_eq!(renewed.data("news:a", 1).await, [json!(1)], "who lives on another token by now goes on");
    store.close().await.expect("closed");
}

#[tokio::test]
async fn a_banned_network_is_turned_away_at_the_door() {
    let (hub, store) = hub_and_store().await;
    let mut client = hub.connect(Codec::Json).await;
    store.put_block(&block(BlockKind::Address, "127.0.0.0/8")).await.expect("written");
    assert_eq!(closed_with(&mut client).await, 3503);
    match hub.dial().websocket().await {
        Ok(Err(head)) => assert_eq!(head.status, 403),
        other => panic!("not refused: {:?}", other.map(|answer| answer.is_ok())),
    }
    assert_eq!(hub.get("/health").await.status(), 200, "only clients are meant");
    store.remove_block(BlockKind::Address, "127.0.0.0/8").await.expect("removed");
    hub.until_joined().await;
    store.close().await.expect("closed");
}

/// 1,000 clients whose tokens run out at the same second bring new ones, and nobody misses a publication.
#[tokio::test]
async fn a_thousand_refreshes_at_the_same_second_cost_nobody_anything() {
    const CLIENTS: usize = 1_000;
    let hub = Hub::start(json!({})).await;
    let end = now() + 600;
    let mut clients = crate::support::many(CLIENTS, async |number| {
        let mut client = hub.open(Codec::Protobuf).await;
        client.connect(json!({ "token": token(&json!({ "sub": format!("user-{number}"), "exp": end })) })).await;
        client.subscribe("news:all").await;
        client
    })
    .await;
    let started = std::time::Instant::now();
    let mut asked = Vec::with_capacity(CLIENTS);
    for (number, client) in clients.iter_mut().enumerate() {
        let id = client.send("refresh", json!({ "token": token(&json!({ "sub": format!("user-{number}"), "exp": end + 600 })) })).await;
        asked.push(id);
    }
    hub.publish("news:all", 7).await;
    for (client, id) in clients.iter_mut().zip(asked) {
        assert_eq!(client.reply(id).await.expect("a reply")["refresh"]["expires"], true);
        assert_eq!(client.data("news:all", 1).await, [json!(7)]);
        client.has_nothing_waiting().await;
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(hub.state().expect("a state")["sessions"], CLIENTS);
}

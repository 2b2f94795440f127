//! Our pride: a thousand clients come and go, and everything is back where it was, exactly. The harness compares sessions, topics,
//! users, shards, members, queued bytes, timers, presence and descriptors with their counts at the start.

use crate::support::{Client, Codec, Hub, many};
use serde_json::{Value, json};

const CLIENTS: usize = 1_000;

async fn crowd(hub: &Hub) -> Vec<Client> {
    let clients = many(CLIENTS, async |number| {
        let codec = if number % 2 == 0 { Codec::Json } else { Codec::Protobuf };
        let mut client = hub.connect_as(codec, &format!("user-{}", number % 100)).await;
        client.subscribe("news:all").await;
        client.subscribe(&format!("crowd:{}", number % 50)).await;
        client
    })
    .await;
    let state = hub.grown().expect("the state");
    assert_eq!(
        (&state["sessions"], &state["members"], &state["topics"], &state["presence"]),
        (&json!(CLIENTS), &json!(2 * CLIENTS), &json!(51), &json!(CLIENTS)),
        "{state}"
    );
    clients
}

fn config(client: Value) -> Value {
    json!({ "client": client, "channel": { "namespaces": [{ "name": "crowd", "presence": true, "allow_subscribe_for_client": true }] } })
}

#[tokio::test]
async fn a_thousand_clients_leave_by_closing() {
    let hub = Hub::start(config(json!({}))).await;
    for client in crowd(&hub).await {
        client.leave().await;
    }
    hub.until_empty().await;
}

#[tokio::test]
async fn a_thousand_clients_are_reset() {
    let hub = Hub::start(config(json!({}))).await;
    for client in crowd(&hub).await {
        client.cut();
    }
    hub.until_empty().await;
}

/// They say nothing ever again, neither FIN nor RST: like phones in a tunnel, and hosts that lost their power. The sockets stay open on
/// this side until the hub has forgotten them. None answers a ping, so that all must be there before the first one has to.
#[tokio::test]
async fn a_thousand_clients_fall_silent() {
    let hub = Hub::start(config(json!({ "ping_interval": "15s", "pong_timeout": "2s", "close_timeout": "1s" }))).await;
    let silent = crowd(&hub).await;
    hub.until_empty().await;
    drop(silent);
}

/// Half-way through everything: TCP only, half a request, upgraded only, half a frame, connected without reading the reply.
#[tokio::test]
async fn clients_leave_at_every_stage() {
    let hub = Hub::start(config(json!({}))).await;
    for round in 0..100 {
        drop(hub.dial().tcp().await.expect("reachable"));
        let mut stream = hub.dial().stream().await.expect("reachable");
        let _ = stream.write_all(b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgr").await;
        stream.cut();
        let mut upgraded = hub.open(Codec::Json).await;
        let _ = upgraded.socket().send_raw(&[0x81, 0xfe]).await;
        upgraded.cut();
        let mut hasty = hub.open(Codec::Protobuf).await;
        let channel = format!("crowd:{round}");
        hasty
            .send_all(&[
                json!({ "id": 1, "connect": { "token": crate::support::token::user_token("hasty") } }),
                json!({ "id": 2, "subscribe": { "channel": channel } }),
                json!({ "id": 3, "publish": { "channel": "news:all", "data": round } }),
            ])
            .await;
        hasty.cut();
    }
    hub.until_empty().await;
}

//! SIGTERM: everybody is told, nobody is waited for in vain.

use crate::support::{Client, Codec, Dial, Ending, Hub, many};
use serde_json::json;
use std::time::{Duration, Instant};

/// 1,000 clients, among them 100 that read nothing at all; the others get 3001, and the frozen ones delay nothing.
#[tokio::test]
async fn a_thousand_clients_are_told_to_come_back() {
    let mut hub = Hub::start(json!({ "client": { "close_timeout": "1s" }, "shutdown": { "timeout": "10s", "spread": "500ms" } })).await;
    let mut clients = many(900, async |number| connect(&hub, number).await).await;
    let mut frozen = Vec::new();
    for number in 0..100 {
        let dial = Dial { receive_buffer: Some(4_096), ..hub.dial() };
        let mut client = Client::open(&dial, codec(number)).await;
        client.connect(json!({ "token": crate::support::token::user_token("frozen") })).await;
        client.subscribe("flood").await;
        frozen.push(client);
    }
    // The frozen ones' buffers are full, so that not even a close frame gets through.
    for _ in 0..20 {
        hub.publish("flood", "x".repeat(50_000)).await;
    }
    let started = Instant::now();
    hub.terminate();
    for client in &mut clients {
        assert_eq!(client.ending().await, Ending::Closed { code: 3001, reason: "shutdown".to_owned() });
    }
    let told = started.elapsed();
    assert_eq!(hub.exit().await.code(), Some(0));
    let ended = started.elapsed();
    assert!(told < Duration::from_secs(8), "the last one was told after {told:?}");
    assert!(ended < Duration::from_secs(12), "the end came after {ended:?}");
    drop(frozen);
}

fn codec(number: usize) -> Codec {
    if number.is_multiple_of(2) { Codec::Json } else { Codec::Protobuf }
}

async fn connect(hub: &Hub, number: usize) -> Client {
    let mut client = hub.connect(codec(number)).await;
    client.subscribe("plain").await;
    client
}

#[tokio::test]
async fn what_was_published_before_the_end_still_arrives() {
    let mut hub = Hub::start(json!({ "shutdown": { "spread": "200ms" } })).await;
    let mut client = hub.connect(Codec::Json).await;
    client.subscribe("plain").await;
    for number in 0..500 {
        hub.publish("plain", number).await;
    }
    hub.terminate();
    let seen = client.data("plain", 500).await;
    assert_eq!(seen.last(), Some(&json!(499)));
    assert_eq!(client.close_code().await, 3001);
    assert_eq!(hub.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_draining_hub_is_not_ready_and_takes_nobody() {
    let mut hub = Hub::start(json!({ "shutdown": { "spread": "2s" } })).await;
    let mut clients = many(20, async |number| connect(&hub, number).await).await;
    hub.terminate();
    crate::support::eventually("new clients being refused", async || match hub.dial().websocket().await {
        Ok(Ok(_)) => Err("the upgrade was accepted".to_owned()),
        Ok(Err(head)) if head.status != 503 => Err(format!("status {}", head.status)),
        Ok(Err(_)) | Err(_) => Ok(()),
    })
    .await;
    for client in &mut clients {
        assert_eq!(client.close_code().await, 3001);
    }
    assert_eq!(hub.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_means_now() {
    let mut hub = Hub::start(json!({ "shutdown": { "timeout": "60s", "spread": "50s" } })).await;
    let _clients = many(50, async |number| connect(&hub, number).await).await;
    let started = Instant::now();
    hub.terminate();
    hub.until_draining().await;
    hub.terminate();
    hub.exit().await;
    assert!(started.elapsed() < Duration::from_secs(10), "the end came after {:?}", started.elapsed());
}

#[tokio::test]
async fn a_hub_without_clients_ends_at_once() {
    let mut hub = Hub::start(json!({ "shutdown": { "timeout": "60s", "spread": "30s" } })).await;
    let started = Instant::now();
    hub.terminate();
    assert_eq!(hub.exit().await.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(5), "the end came after {:?}", started.elapsed());
}

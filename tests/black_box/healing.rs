//! Panics on purpose (only in builds with the feature `test-hooks`): what panics is alone in it, and what is needed comes back.

use crate::delta;
use crate::support::{Canaries, Codec, Hub, eventually, many, request};
use serde_json::json;

pub async fn panic_in(hub: &Hub, target: &str) {
    let path = format!("/debug/panic?target={target}");
    let answer = request(&hub.dial(), "POST", &path, &[("X-API-Key", "the-api-key-of-the-tests")], b"").await;
    assert!((200..300).contains(&answer.status()), "{target}: {} {}", answer.status(), answer.text());
}

#[tokio::test]
async fn a_panic_in_a_session_ends_that_session_alone() {
    let mut hub = Hub::start(json!({})).await;
    hub.expect_panics();
    Canaries::beside(&hub, async {
        let mut victim = hub.connect_as(Codec::Json, "victim").await;
        victim.subscribe("room:x").await;
        panic_in(&hub, &format!("session&session={}", victim.id())).await;
        victim.ending().await;
        hub.until("the victim's end", |state| state["sessions"] == 21 && state["presence"] == 0).await;
        hub.connect_as(Codec::Json, "victim").await.subscribe("room:x").await;
    })
    .await;
}

/// A topic that dies is replaced; its subscribers either stay served or are told to subscribe anew, and none is left deaf.
#[tokio::test]
async fn a_panic_in_a_topic_leaves_nobody_deaf() {
    let mut hub = Hub::start(json!({})).await;
    hub.expect_panics();
    Canaries::beside(&hub, async {
        let mut client = hub.connect(Codec::Json).await;
        client.subscribe("news:x").await;
        hub.publish("news:x", 0).await;
        assert_eq!(client.data("news:x", 1).await, [0]);
        panic_in(&hub, "topic&channel=news:x").await;
        eventually("the channel's recovery", async || {
            hub.publish("news:x", 1).await;
            match client.next().await {
                crate::support::Event::Message(message) if message["push"]["pub"]["data"] == 1 => Ok(()),
                crate::support::Event::Message(message) if message["push"].get("unsubscribe").is_some() => {
                    assert_eq!(message["push"]["unsubscribe"]["code"], 2500);
                    client.subscribe("news:x").await;
                    Err("told to subscribe anew".to_owned())
                }
                crate::support::Event::Message(message) => Err(message.to_string()),
                crate::support::Event::Ended(ending) => {
                    client = hub.connect(Codec::Json).await;
                    client.subscribe("news:x").await;
                    Err(format!("{ending:?}"))
                }
            }
        })
        .await;
    })
    .await;
}

/// What a worker's actor took with it is told from history, and as deltas of what its subscribers have.
#[tokio::test]
async fn deltas_go_on_after_a_workers_actor_died() {
    for codec in [Codec::Json, Codec::Protobuf] {
        let mut hub = delta::hub().await;
        hub.expect_panics();
        let mut clients = many(4, async |_| {
            let mut client = hub.connect(codec).await;
            delta::subscribe(&mut client, delta::CHANNEL).await;
            (client, delta::Reader::new(codec.into()))
        })
        .await;
        for number in 0..5 {
            hub.publish(delta::CHANNEL, delta::document(2 * number)).await;
            panic_in(&hub, "fanout").await;
            hub.publish(delta::CHANNEL, delta::document(2 * number + 1)).await;
        }
        for (client, reader) in &mut clients {
            assert_eq!(reader.next(client, delta::CHANNEL, 10).await, delta::documents(0..10), "{codec:?}");
        }
    }
}

#[tokio::test]
async fn singleton_actors_come_back() {
    for target in ["fanout", "upstream"] {
        let mut hub = Hub::start(json!({})).await;
        hub.expect_panics();
        panic_in(&hub, target).await;
        eventually("readiness", async || {
            let ready = hub.get("/ready").await;
            if ready.status() == 200 { Ok(()) } else { Err(format!("{target}: {}", ready.text())) }
        })
        .await;
        let mut client = hub.connect(Codec::Json).await;
        client.subscribe("news:x").await;
        hub.publish("news:x", 1).await;
        assert_eq!(client.data("news:x", 1).await, [1], "{target}");
        assert_eq!(hub.get("/metrics").await.status(), 200);
        client.leave().await;
    }
}

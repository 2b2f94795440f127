//! Commands in general: their order, their frames, pings, and what has no handler.

use crate::support::token::user_token;
use crate::support::{Codec, Ending, Hub, Via};
use crate::{in_both_codecs, on_all_transports};
use serde_json::json;

in_both_codecs!(the_hub_pings_and_wants_an_answer, pings_and_pongs_can_be_turned_off, a_message_at_the_limit_passes);

on_all_transports!(
    commands_are_answered_in_order,
    a_call_without_a_handler_is_not_available,
    a_message_without_a_handler_ends_the_connection,
    commands_that_do_not_exist_end_the_connection,
    a_client_that_does_not_answer_pings_is_closed,
    a_pong_that_nobody_asked_for_ends_the_connection,
    frames_without_a_command_end_the_connection,
    too_many_errors_end_the_connection,
    replies_come_before_what_follows_from_them,
);

async fn commands_are_answered_in_order(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    let commands: Vec<_> = (10..210)
        .map(|id| match id % 4 {
            0 => json!({ "id": id, "subscribe": { "channel": "plain" } }),
            1 => json!({ "id": id, "unsubscribe": { "channel": "plain" } }),
            2 => json!({ "id": id, "history": { "channel": "news:x" } }),
            _ => json!({ "id": id, "publish": { "channel": "other", "data": id } }),
        })
        .collect();
    client.send_all(&commands).await;
    for id in 10..210 {
        match client.next().await {
            crate::support::Event::Message(reply) => assert_eq!(reply["id"], id, "{reply}"),
            other => panic!("reply {id} was due, not {other:?}"),
        }
    }
}

async fn a_call_without_a_handler_is_not_available(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    let reply = client.call("rpc", json!({ "method": "anything", "data": { "a": 1 } })).await;
    assert_eq!(reply["error"], json!({ "code": 108, "message": "not available" }));
}

async fn a_message_without_a_handler_ends_the_connection(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    client.send_all(&[json!({ "send": { "data": 1 } })]).await;
    assert_eq!(client.ending().await, Ending::Closed { code: 3508, reason: "not available".to_owned() });
}

async fn commands_that_do_not_exist_end_the_connection(via: Via) {
    let hub = Hub::start(json!({})).await;
    for command in [json!({ "id": 5 }), json!({ "id": 5, "ping": {} })] {
        let mut client = hub.connect(via).await;
        client.send_all(std::slice::from_ref(&command)).await;
        assert_eq!(client.close_code().await, 3501, "{command}");
    }
    // With an id of zero it is a pong that nobody asked for.
    let mut client = hub.connect(via).await;
    client.send_all(&[json!({ "subscribe": { "channel": "plain" } })]).await;
    assert_eq!(client.close_code().await, 3501);
}

async fn the_hub_pings_and_wants_an_answer(codec: Codec) {
    let hub = Hub::start(json!({ "client": { "ping_interval": "300ms", "pong_timeout": "200ms" } })).await;
    let mut client = hub.connect(codec).await;
    client.subscribe("plain").await;
    let mut publisher = hub.connect_as(codec, "publisher").await;
    // Lives through several pings by answering them, while traffic goes on.
    crate::support::eventually("five pings", async || {
        publisher.publish("plain", 1).await;
        client.data("plain", 1).await;
        if client.pings >= 5 { Ok(()) } else { Err(format!("{} pings", client.pings)) }
    })
    .await;
}

async fn a_client_that_does_not_answer_pings_is_closed(via: Via) {
    let hub = Hub::start(json!({ "client": { "ping_interval": "500ms", "pong_timeout": "200ms" } })).await;
    let mut client = hub.connect(via).await;
    client.answers_pings = false;
    assert_eq!(client.ending().await, Ending::Closed { code: 3012, reason: "no pong".to_owned() });
    assert_eq!(client.pings, 1);
    // Other traffic does not stand in for the pong.
    let mut client = hub.connect(via).await;
    client.answers_pings = false;
    let ending = crate::support::eventually("the end of a busy client", async || {
        let id = client.send("history", json!({ "channel": "news:x" })).await;
        match client.reply(id).await {
            Ok(_) => Err("still answered".to_owned()),
            Err(ending) => Ok(ending),
        }
    })
    .await;
    assert_eq!(ending, Ending::Closed { code: 3012, reason: "no pong".to_owned() });
}

async fn a_pong_that_nobody_asked_for_ends_the_connection(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    client.pong().await;
    assert_eq!(client.close_code().await, 3501);
}

async fn pings_and_pongs_can_be_turned_off(codec: Codec) {
    let hub = Hub::start(json!({ "client": { "pong_timeout": "-1s", "ping_interval": "200ms" } })).await;
    let mut client = hub.connect(codec).await;
    assert!(client.connected.get("pong").is_none(), "{}", client.connected);
    client.subscribe("plain").await;
    crate::support::eventually("three pings without an answer", async || {
        client.publish("plain", 1).await;
        client.data("plain", 1).await;
        if client.pings >= 3 { Ok(()) } else { Err(format!("{} pings", client.pings)) }
    })
    .await;
    let hub = Hub::start(json!({ "client": { "pong_timeout": "-1s", "ping_interval": "-1s" } })).await;
    let client = hub.connect(codec).await;
    assert!(client.connected.get("ping").is_none() && client.connected.get("pong").is_none(), "{}", client.connected);
}

async fn frames_without_a_command_end_the_connection(via: Via) {
    let hub = Hub::start(json!({})).await;
    let empty: &[&[u8]] =
        if via.codec == Codec::Json { &[b"", b"\n", b"\n\n\n", b" ", b"null", b"[]", b"1", b"\"x\""] } else { &[b"", &[0x05], &[0x02, 0x08]] };
    for frame in empty {
        let mut client = hub.connect(via).await;
        client.send_bytes(frame).await;
        assert_eq!(client.close_code().await, 3501, "{frame:?}");
    }
}

async fn too_many_errors_end_the_connection(via: Via) {
    let hub = Hub::start(json!({ "client": { "command_error_limit": 10 } })).await;
    let mut client = hub.connect(via).await;
    for _ in 0..10 {
        assert_eq!(client.error_of("rpc", json!({ "method": "x", "data": 1 })).await, 108);
    }
    client.send("rpc", json!({ "method": "x", "data": 1 })).await;
    assert_eq!(client.close_code().await, 3509);
}

async fn a_message_at_the_limit_passes(codec: Codec) {
    let hub = Hub::start(json!({ "websocket": { "message_size_limit": 1024 } })).await;
    let padded = |length: usize| {
        let command = |padding: usize| codec.encode(&[json!({ "id": 100, "publish": { "channel": "plain", "data": "x".repeat(padding) } })]);
        let overhead = command(length - 100).len() - (length - 100);
        let frame = command(length - overhead);
        assert_eq!(frame.len(), length, "the test knows how to pad");
        frame
    };
    let mut client = hub.connect(codec).await;
    client.send_bytes(&padded(1024)).await;
    assert_eq!(client.reply(100).await.expect("a reply")["publish"], json!({}));
    client.send_bytes(&padded(1025)).await;
    assert_eq!(client.ending().await, Ending::Closed { code: 1009, reason: String::new() });
}

async fn replies_come_before_what_follows_from_them(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut publisher = hub.connect_as(via, "publisher").await;
    for round in 0..50_u64 {
        let mut client = hub.open(via).await;
        let publish = publisher.send("publish", json!({ "channel": "news:race", "data": round })).await;
        client
            .send_all(&[json!({ "id": 1, "connect": { "token": user_token("alice") } }), json!({ "id": 2, "subscribe": { "channel": "news:race" } })])
            .await;
        publisher.reply(publish).await.expect("a reply");
        publisher.publish("news:race", "after").await;
        let mut order = Vec::new();
        while order.last() != Some(&"after") {
            match client.next().await {
                crate::support::Event::Message(message) if message["id"] == 1 => order.push("connect"),
                crate::support::Event::Message(message) if message["id"] == 2 => order.push("subscribe"),
                crate::support::Event::Message(message) if message["push"]["pub"]["data"] == "after" => order.push("after"),
                crate::support::Event::Message(message) if message["push"]["pub"]["data"] == round => order.push("before"),
                other => panic!("unexpected {other:?} after {order:?}"),
            }
            if order == ["connect", "subscribe"] {
                // Both publications may have come before the subscription; one more surely comes after it.
                publisher.publish("news:race", "after").await;
            }
        }
        assert_eq!(order[..2], ["connect", "subscribe"], "round {round}");
        client.cut();
    }
}

#[tokio::test]
async fn control_frame_pings_take_the_place_of_protocol_pings() {
    let hub = Hub::start(json!({ "client": { "ping_interval": "300ms", "pong_timeout": "200ms" } })).await;
    for codec in [Codec::Json, Codec::Protobuf] {
        let dial = crate::support::Dial { path: "/connection/websocket?cf_ws_frame_ping_pong=true".to_owned(), ..hub.dial() };
        let mut client = crate::support::Client::open(&dial, codec).await;
        client.connect(json!({ "token": user_token("alice") })).await;
        assert!(client.connected.get("ping").is_none() && client.connected.get("pong").is_none(), "{}", client.connected);
        client.subscribe("plain").await;
        crate::support::eventually("three control pings", async || {
            client.publish("plain", 1).await;
            client.data("plain", 1).await;
            if client.pings >= 3 { Ok(()) } else { Err(format!("{} pings", client.pings)) }
        })
        .await;
        client.answers_pings = false;
        client.ending().await;
    }
}

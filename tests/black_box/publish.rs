//! What is published, by whom, and what arrives.

use crate::on_all_transports;
use crate::support::token::{token, user_token};
use crate::support::{Codec, Hub, Via};
use serde_json::json;

on_all_transports!(
    a_publication_reaches_every_subscriber_in_order,
    a_publisher_hears_itself_with_its_info,
    publishing_needs_the_right,
    subscribers_may_publish_where_allowed,
    what_cannot_be_published,
    both_codecs_hear_the_same,
    tags_and_offsets_go_along,
    payloads_of_any_kind,
    data_formats_are_enforced,
    a_burst_arrives_complete_and_in_order,
    a_publisher_is_left_out_where_its_namespace_says_so,
    the_server_api_leaves_out_connections_and_users,
);

async fn a_publication_reaches_every_subscriber_in_order(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut subscribers = Vec::new();
    for _ in 0..10 {
        let mut client = hub.connect(via).await;
        client.subscribe("plain").await;
        subscribers.push(client);
    }
    for number in 0..20 {
        hub.publish("plain", number).await;
    }
    for client in &mut subscribers {
        assert_eq!(client.data("plain", 20).await, (0..20).map(|number| json!(number)).collect::<Vec<_>>());
    }
}

async fn a_publisher_hears_itself_with_its_info(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.open(via).await;
    client.connect(json!({ "token": token(&json!({ "sub": "alice", "info": { "name": "Alice" } })) })).await;
    client.subscribe("plain").await;
    client.publish("plain", json!({ "x": 1 })).await;
    let info = json!({ "user": "alice", "client": client.id(), "conn_info": { "name": "Alice" } });
    assert_eq!(client.push().await, json!({ "channel": "plain", "pub": { "data": { "x": 1 }, "info": info } }));
}

async fn publishing_needs_the_right(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    client.publish("plain", 1).await;
    assert_eq!(client.error_of("publish", json!({ "channel": "locked:x", "data": 1 })).await, 103);
    assert_eq!(client.error_of("publish", json!({ "channel": "unknown:x", "data": 1 })).await, 102);
}

async fn subscribers_may_publish_where_allowed(via: Via) {
    let options = json!({ "name": "talk", "allow_subscribe_for_client": true, "allow_publish_for_subscriber": true });
    let anonymous = json!({ "name": "wall", "allow_publish_for_client": true, "allow_publish_for_anonymous": true });
    let hub =
        Hub::start(json!({ "client": { "allow_anonymous_connect_without_token": true }, "channel": { "namespaces": [options, anonymous] } })).await;
    let mut client = hub.connect(via).await;
    assert_eq!(client.error_of("publish", json!({ "channel": "talk:x", "data": 1 })).await, 103);
    client.subscribe("talk:x").await;
    client.publish("talk:x", 1).await;
    client.unsubscribe("talk:x").await;
    assert_eq!(client.error_of("publish", json!({ "channel": "talk:x", "data": 1 })).await, 103);
    let mut nobody = hub.open(via).await;
    nobody.connect(json!({})).await;
    nobody.publish("wall:x", 1).await;
    assert_eq!(nobody.error_of("publish", json!({ "channel": "plain", "data": 1 })).await, 103);
}

async fn what_cannot_be_published(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    assert_eq!(client.error_of("publish", json!({ "channel": "plain" })).await, 107, "no data");
    assert_eq!(client.error_of("publish", json!({ "channel": "a".repeat(256), "data": 1 })).await, 107);
    assert_eq!(client.error_of("publish", json!({ "channel": "caf\u{e9}", "data": 1 })).await, 107);
    client.send("publish", json!({ "data": 1 })).await;
    assert_eq!(client.close_code().await, 3501, "no channel");
}

async fn both_codecs_hear_the_same(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut publisher = hub.connect(via).await;
    let mut one = hub.connect(Codec::Json).await;
    let mut two = hub.connect(Codec::Protobuf).await;
    one.subscribe("news:x").await;
    two.subscribe("news:x").await;
    publisher.publish("news:x", json!({ "text": "grüße 你好 \u{1f600}", "list": [1, 2.5, null, true] })).await;
    assert_eq!(one.publication("news:x").await, two.publication("news:x").await);
}

async fn tags_and_offsets_go_along(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    client.subscribe("news:x").await;
    client.subscribe("plain").await;
    let published = hub.api("publish", json!({ "channel": "news:x", "data": 1, "tags": { "kind": "test", "empty": "" } })).await;
    assert_eq!(published["offset"], 1);
    let publication = client.publication("news:x").await;
    assert_eq!((&publication["offset"], &publication["tags"]), (&json!(1), &json!({ "kind": "test", "empty": "" })));
    assert!(publication.get("info").is_none(), "the server API is nobody");
    hub.publish("plain", 1).await;
    assert!(client.publication("plain").await.get("offset").is_none(), "no history, no offset");
}

async fn payloads_of_any_kind(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    client.subscribe("plain").await;
    for payload in [json!(false), json!(0), json!(""), json!([]), json!({}), json!("x".repeat(60_000)), json!({ "data": { "data": [[[]]] } })] {
        client.publish("plain", payload.clone()).await;
        assert_eq!(client.data("plain", 1).await, [payload]);
    }
}

async fn data_formats_are_enforced(via: Via) {
    let namespace = |name: &str, format: &str| json!({ "name": name, "allow_publish_for_client": true, "publication_data_format": format });
    let hub = Hub::start(json!({ "channel": { "namespaces": [namespace("json", "json"), namespace("object", "json_object")] } })).await;
    let mut client = hub.connect(via).await;
    client.publish("json:x", 1).await;
    client.publish("object:x", json!({ "a": 1 })).await;
    assert_eq!(client.error_of("publish", json!({ "channel": "object:x", "data": [1] })).await, 107);
    assert_eq!(hub.api_error("publish", json!({ "channel": "object:x", "data": 1 })).await, 107);
}

async fn a_burst_arrives_complete_and_in_order(via: Via) {
    const COUNT: u64 = 5_000;
    let hub = Hub::start(json!({})).await;
    let mut subscriber = hub.connect(via).await;
    subscriber.subscribe("plain").await;
    let mut publisher = hub.connect_as(via, "publisher").await;
    for chunk in (0..COUNT).collect::<Vec<_>>().chunks(100) {
        let commands: Vec<_> = chunk.iter().map(|number| json!({ "id": 10 + number, "publish": { "channel": "plain", "data": number } })).collect();
        publisher.send_all(&commands).await;
        for number in chunk {
            assert!(publisher.reply(10 + number).await.expect("a reply").get("publish").is_some());
        }
    }
    for number in 0..COUNT {
        assert_eq!(subscriber.publication("plain").await["data"], number);
    }
}

/// Numbers that no float holds, the order of members, spaces in strings and escapes: a hub has no business in a payload.
#[tokio::test]
async fn a_json_payload_arrives_letter_by_letter() {
    let hub = Hub::start(json!({})).await;
    let mut subscriber = hub.connect(Codec::Json).await;
    subscriber.subscribe("plain").await;
    let mut publisher = hub.connect(Codec::Json).await;
    for payload in [
        r#"{"z":1,"a":2,"big":123456789012345678901234567890,"exact":0.1000,"e":1E5}"#,
        r#"{"dup":1,"dup":2,"escaped":"\u00e9\/\ud83d\ude00","raw":"é/😀"}"#,
        r#""\u0000""#,
    ] {
        let id = publisher.next_id();
        publisher.send_bytes(format!(r#"{{"id":{id},"publish":{{"channel":"plain","data":{payload}}}}}"#).as_bytes()).await;
        let frame = subscriber.socket().read().await.expect("a push");
        let text = String::from_utf8(frame.payload).expect("UTF-8");
        assert!(text.contains(&format!(r#""data":{payload}"#)), "{payload} arrived in {text}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_json_reach_protobuf_clients_only() {
    let hub = Hub::start(json!({})).await;
    let mut binary = hub.connect(Codec::Protobuf).await;
    binary.subscribe("plain").await;
    let mut text = hub.connect_as(Codec::Json, "bob").await;
    text.subscribe("plain").await;
    let bytes = json!({ "$bytes": [0, 255, 7, 0xc3] });
    binary.publish("plain", bytes.clone()).await;
    assert_eq!(binary.data("plain", 1).await, [bytes]);
    assert_eq!(text.close_code().await, 3506, "a JSON connection cannot carry these bytes");
    let mut text = hub.open(Codec::Json).await;
    text.connect(json!({ "token": user_token("bob") })).await;
}

#[tokio::test]
async fn a_binary_namespace_takes_an_empty_payload() {
    let namespace =
        json!({ "name": "raw", "allow_publish_for_client": true, "allow_subscribe_for_client": true, "publication_data_format": "binary" });
    let hub = Hub::start(json!({ "channel": { "namespaces": [namespace] } })).await;
    let mut client = hub.connect(Codec::Protobuf).await;
    client.subscribe("raw:x").await;
    client.publish("raw:x", json!({ "$bytes": [] })).await;
    let publication = client.publication("raw:x").await;
    assert!(publication.get("data").is_none_or(|data| data == &json!({ "$bytes": [] })));
}

async fn a_publisher_is_left_out_where_its_namespace_says_so(via: Via) {
    let options = json!({
        "name": "quiet", "exclude_publisher": true, "history_size": 10, "history_ttl": "60s", "force_recovery": true,
        "allow_subscribe_for_client": true, "allow_publish_for_client": true,
    });
    let hub = Hub::start(json!({ "channel": { "namespaces": [options] } })).await;
    let mut alice = hub.connect_as(via, "alice").await;
    let mut again = hub.connect_as(via, "alice").await;
    let mut position = alice.subscribe("quiet:a").await;
    again.subscribe("quiet:a").await;
    alice.publish("quiet:a", 1).await;
    hub.publish("quiet:a", 2).await;
    alice.publish("quiet:a", 3).await;
    again.publish("quiet:a", 4).await;
    hub.publish("quiet:a", 5).await;
    assert_eq!(alice.data("quiet:a", 3).await, [2, 4, 5], "only its own are missing, and that is no gap");
    assert_eq!(again.data("quiet:a", 4).await, [1, 2, 3, 5], "the other connection of the same user is another client");
    alice.cut();
    // Nobody is left out of what is recovered: the client that comes back is another connection.
    position["offset"] = json!(2);
    let mut alice = hub.connect_as(via, "alice").await;
    let recovered = alice.recover("quiet:a", &position).await;
    let data: Vec<_> = recovered["publications"].as_array().into_iter().flatten().map(|publication| &publication["data"]).collect();
    assert_eq!((data, &recovered["recovered"]), (vec![&json!(3), &json!(4), &json!(5)], &json!(true)), "{recovered}");
}

async fn the_server_api_leaves_out_connections_and_users(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut clients = Vec::new();
    for user in ["alice", "alice", "bob", "carol"] {
        let mut client = hub.connect_as(via, user).await;
        client.subscribe("plain").await;
        clients.push(client);
    }
    let first = clients[0].id().to_owned();
    // In one batch, so that several are written with one write, in which they differ from client to client.
    let publish = |data: u64, exclude: serde_json::Value| json!({ "publish": { "channel": "plain", "data": data, "exclude": exclude } });
    let commands = [
        publish(1, json!({ "clients": [first] })),
        publish(2, json!(null)),
        publish(3, json!({ "users": ["alice", "nobody"] })),
        publish(4, json!({ "clients": [first], "users": ["bob"] })),
        publish(5, json!({ "clients": [], "users": [] })),
        json!({ "broadcast": { "channels": ["plain"], "data": 6, "exclude": { "users": ["carol"] } } }),
        publish(7, json!({})),
    ];
    assert_eq!(hub.api_answer("batch", json!({ "commands": commands })).await.json()["replies"].as_array().map(Vec::len), Some(7));
    for (client, expected) in clients.iter_mut().zip([vec![2, 5, 6, 7], vec![1, 2, 4, 5, 6, 7], vec![1, 2, 3, 5, 6, 7], vec![1, 2, 3, 4, 5, 7]]) {
        assert_eq!(client.data("plain", expected.len()).await, expected);
        client.has_nothing_waiting().await;
    }
    for exclude in [json!({ "clients": ["alice"] }), json!({ "users": [""] })] {
        assert_eq!(hub.api_error("publish", json!({ "channel": "plain", "data": 1, "exclude": exclude })).await, 107);
    }
    let many: Vec<_> = (0..65).map(|user| user.to_string()).collect();
    assert_eq!(hub.api_answer("publish", json!({ "channel": "plain", "data": 1, "exclude": { "users": many } })).await.status(), 400);
}

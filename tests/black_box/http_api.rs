//! The server API over HTTP.

use crate::support::{Codec, Hub, request};
use serde_json::{Value, json};

#[tokio::test]
async fn the_key_is_asked_for() {
    let hub = Hub::start(json!({})).await;
    let body = br#"{"channel":"plain","data":1}"#;
    let key = "the-api-key-of-the-tests";
    for (path, headers, status) in [
        ("/api/publish", vec![], 401),
        ("/api/publish", vec![("X-API-Key", "wrong")], 401),
        ("/api/publish", vec![("X-API-Key", "")], 401),
        ("/api/publish", vec![("Authorization", "apikey wrong")], 401),
        ("/api/publish", vec![("X-API-Key", key)], 200),
        ("/api/publish", vec![("Authorization", "apikey the-api-key-of-the-tests")], 200),
        ("/api/publish?api_key=the-api-key-of-the-tests", vec![], 200),
        ("/api/publish?api_key=wrong", vec![], 401),
        ("/api/nothing", vec![("X-API-Key", key)], 404),
    ] {
        let answer = request(&hub.dial(), "POST", path, &headers, body).await;
        assert_eq!(answer.status(), status, "{path} {headers:?}: {}", answer.text());
        if status == 401 {
            assert!(answer.body.is_empty());
        }
    }
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(request(&hub.dial(), method, "/api/publish", &[("X-API-Key", key)], b"").await.status(), 405, "{method}");
    }
    let hub = Hub::start(json!({ "http_api": { "insecure": true } })).await;
    assert_eq!(request(&hub.dial(), "POST", "/api/publish", &[], body).await.status(), 200);
}

#[tokio::test]
async fn bodies_are_json_or_refused() {
    let hub = Hub::start(json!({ "http_server": { "request_body_max": 2_000 } })).await;
    let headers = [("X-API-Key", "the-api-key-of-the-tests")];
    let post = async |body: &[u8]| request(&hub.dial(), "POST", "/api/publish", &headers, body).await;
    for body in [&b"{"[..], b"x", b"{\"channel\":\"plain\",\"data\":}", b"\xff\xfe"] {
        let answer = post(body).await;
        assert_eq!(answer.status(), 400, "{:?}: {}", String::from_utf8_lossy(body), answer.text());
    }
    let deep = format!(r#"{{"channel":"plain","data":{}1{}}}"#, "[".repeat(900), "]".repeat(900));
    assert!([200, 400].contains(&post(deep.as_bytes()).await.status()));
    assert_eq!(post(&vec![b' '; 2_001]).await.status(), 413);
}

#[tokio::test]
async fn errors_come_as_the_caller_wants_them() {
    let hub = Hub::start(json!({})).await;
    for (method, params, code, status) in [
        ("publish", json!({ "channel": "unknown:x", "data": 1 }), 102, 404),
        ("publish", json!({ "channel": "", "data": 1 }), 107, 400),
        ("publish", json!({ "data": 1 }), 107, 400),
        ("publish", json!({ "channel": "plain" }), 107, 400),
        ("presence", json!({ "channel": "plain" }), 108, 400),
        ("presence_stats", json!({ "channel": "plain" }), 108, 400),
        ("history", json!({ "channel": "plain" }), 108, 400),
        ("history", json!({ "channel": "unknown:x" }), 102, 404),
        ("history_remove", json!({ "channel": "plain" }), 108, 400),
        ("broadcast", json!({ "channels": [], "data": 1 }), 107, 400),
        ("broadcast", json!({ "channels": ["plain"] }), 107, 400),
        ("subscribe", json!({ "user": "alice" }), 107, 400),
        ("subscribe", json!({ "user": "alice", "channel": "unknown:x" }), 102, 404),
        ("history", json!({ "channel": "news:x", "since": { "offset": 1, "epoch": "other" }, "limit": 1 }), 112, 416),
        ("rpc", json!({ "method": "x", "params": {} }), 104, 404),
    ] {
        assert_eq!(hub.api_error(method, params.clone()).await, code, "{method} {params}");
        let answer = hub.api_answer_with(method, params.clone(), &[("X-Centrifugo-Error-Mode", "transport")]).await;
        assert_eq!((answer.status(), &answer.json()["code"]), (status, &json!(code)), "{method} {params}");
    }
}

#[tokio::test]
async fn publish_answers_with_the_position() {
    let hub = Hub::start(json!({})).await;
    assert_eq!(hub.publish("plain", 1).await, json!({}));
    let one = hub.publish("news:x", 1).await;
    let two = hub.publish("news:x", 2).await;
    assert_eq!((&one["offset"], &two["offset"], &one["epoch"]), (&json!(1), &json!(2), &two["epoch"]));
    assert_eq!(hub.api("publish", json!({ "channel": "news:x", "data": 3, "skip_history": true })).await, json!({}));
    let mut client = hub.connect(Codec::Protobuf).await;
    client.subscribe("news:x").await;
    hub.api("publish", json!({ "channel": "news:x", "data": "loses", "b64data": "AP8=" })).await;
    assert_eq!(client.data("news:x", 1).await, [json!({ "$bytes": [0, 255] })]);
    assert_eq!(hub.api_error("publish", json!({ "channel": "news:x", "b64data": "not base64!" })).await, 107);
}

#[tokio::test]
async fn the_same_idempotency_key_publishes_once() {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(Codec::Json).await;
    client.subscribe("news:x").await;
    client.subscribe("plain").await;
    let once = json!({ "channel": "news:x", "data": "once", "idempotency_key": "k" });
    let first = hub.api("publish", once.clone()).await;
    assert_eq!(hub.api("publish", once).await, first, "the first result again");
    let other = hub.api("publish", json!({ "channel": "news:y", "data": 1, "idempotency_key": "k" })).await;
    assert_eq!(other["offset"], 1, "keys count per channel");
    hub.api("publish", json!({ "channel": "plain", "data": 1, "idempotency_key": "k" })).await;
    hub.api("publish", json!({ "channel": "plain", "data": 2, "idempotency_key": "k" })).await;
    hub.publish("news:x", "next").await;
    assert_eq!(client.publication("news:x").await["data"], "once");
    let mut rest = [client.push().await, client.push().await];
    rest.sort_by_key(|push| push["channel"].to_string());
    assert_eq!((&rest[0]["pub"]["data"], &rest[0]["pub"]["offset"]), (&json!("next"), &json!(2)));
    assert_eq!((&rest[1]["channel"], &rest[1]["pub"]["data"]), (&json!("plain"), &json!(1)));
}

#[tokio::test]
async fn old_versions_are_skipped() {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(Codec::Json).await;
    client.subscribe("news:x").await;
    let publish = async |data: &str, version: u64, epoch: &str| {
        hub.api("publish", json!({ "channel": "news:x", "data": data, "version": version, "version_epoch": epoch })).await["offset"].clone()
    };
    assert_eq!(publish("a", 5, "").await, 1);
    assert_eq!(publish("skipped", 5, "").await, 1, "the top is returned");
    assert_eq!(publish("skipped", 4, "").await, 1);
    assert_eq!(publish("b", 6, "").await, 2);
    assert_eq!(publish("c", 1, "new").await, 3, "another version epoch starts anew");
    assert_eq!(publish("skipped", 1, "new").await, 3);
    assert_eq!(client.data("news:x", 3).await, ["a", "b", "c"]);
    client.has_nothing_waiting().await;
}

#[tokio::test]
async fn broadcast_answers_channel_by_channel() {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(Codec::Json).await;
    client.subscribe("news:a").await;
    client.subscribe("plain").await;
    let request = json!({ "channels": ["news:a", "unknown:x", "plain"], "data": { "n": 1 }, "tags": { "t": "1" }, "idempotency_key": "b" });
    let result = hub.api("broadcast", request.clone()).await;
    let responses = result["responses"].as_array().expect("a list");
    assert_eq!(responses[0]["result"]["offset"], 1);
    assert_eq!(responses[1]["error"]["code"], 102);
    assert_eq!(responses[2]["result"], json!({}));
    hub.api("broadcast", request).await;
    for _ in 0..2 {
        let push = client.push().await;
        assert_eq!((&push["pub"]["data"], &push["pub"]["tags"]), (&json!({ "n": 1 }), &json!({ "t": "1" })));
    }
    client.has_nothing_waiting().await;
}

#[tokio::test]
async fn a_batch_answers_command_by_command() {
    let hub = Hub::start(json!({})).await;
    for parallel in [false, true] {
        let commands = json!([
            { "publish": { "channel": "plain", "data": 1 } },
            { "history": { "channel": "plain" } },
            { "nonsense": {} },
            { "presence_stats": { "channel": "room:x" } },
        ]);
        let answer = hub.api_answer("batch", json!({ "commands": commands, "parallel": parallel })).await.json();
        let replies = answer["replies"].as_array().expect("replies, not wrapped in a result");
        assert_eq!(replies[0], json!({ "publish": {} }));
        assert_eq!(replies[1]["error"]["code"], 108);
        assert_eq!(replies[2]["error"]["code"], 104);
        assert_eq!(replies[3], json!({ "presence_stats": { "num_clients": 0, "num_users": 0 } }));
    }
}

#[tokio::test]
async fn presence_and_history_are_read_without_permission() {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(Codec::Json).await;
    client.subscribe_with(json!({ "channel": "locked:x", "token": crate::support::token::channel_token("alice", "locked:x") })).await;
    let presence = hub.api("presence", json!({ "channel": "locked:x" })).await;
    assert_eq!(presence, json!({ "presence": { client.id(): { "user": "alice", "client": client.id() } } }));
    assert_eq!(hub.api("presence_stats", json!({ "channel": "locked:x" })).await, json!({ "num_clients": 1, "num_users": 1 }));
    for number in 1..=3 {
        hub.api("publish", json!({ "channel": "locked:x", "data": number, "tags": { "n": number.to_string() } })).await;
    }
    let history = hub.api("history", json!({ "channel": "locked:x", "limit": 2, "reverse": true })).await;
    let publications = history["publications"].as_array().expect("a list");
    assert_eq!((&publications[0]["data"], &publications[0]["offset"], &publications[0]["tags"]), (&json!(3), &json!(3), &json!({ "n": "3" })));
    assert_eq!((publications.len(), &history["offset"]), (2, &json!(3)));
    assert_eq!(hub.api("history_remove", json!({ "channel": "locked:x" })).await, json!({}));
    assert_eq!(hub.api("history", json!({ "channel": "locked:x", "limit": -1 })).await["publications"], json!([]));
}

#[tokio::test]
async fn channels_and_info_tell_what_is_there() {
    let hub = Hub::start(json!({})).await;
    let mut clients = Vec::new();
    for (user, channels) in [("alice", &["news:a", "room:b"][..]), ("bob", &["news:a"]), ("bob", &[])] {
        let mut client = hub.connect_as(Codec::Json, user).await;
        for channel in channels {
            client.subscribe(channel).await;
        }
        clients.push(client);
    }
    let channels = hub.api("channels", json!({})).await;
    assert_eq!(channels, json!({ "channels": { "news:a": { "num_clients": 2 }, "room:b": { "num_clients": 1 } } }));
    let channels = hub.api("channels", json!({ "pattern": "news:*" })).await;
    assert_eq!(channels, json!({ "channels": { "news:a": { "num_clients": 2 } } }));
    let first = hub.api("channels", json!({ "limit": 1 })).await;
    assert_eq!(first, json!({ "channels": { "news:a": { "num_clients": 2 } }, "next": "news:a" }));
    let second = hub.api("channels", json!({ "limit": 1, "after": first["next"] })).await;
    assert_eq!(second, json!({ "channels": { "room:b": { "num_clients": 1 } } }));
    let info = hub.api("info", json!({})).await;
    let node = &info["nodes"][0];
    assert_eq!(
        (&node["num_clients"], &node["num_users"], &node["num_channels"], &node["num_subs"]),
        (&json!(3), &json!(2), &json!(2), &json!(3)),
        "{info}"
    );
    for text in ["uid", "name", "version"] {
        assert!(node[text].as_str().is_some_and(|text| !text.is_empty()), "{text} in {info}");
    }
    clients[1].unsubscribe("news:a").await;
    drop(clients);
    hub.until("nobody", |state| state["sessions"] == 0).await;
    assert_eq!(hub.api("channels", json!({})).await, json!({ "channels": {} }));
}

#[tokio::test]
async fn the_api_describes_itself() {
    let hub = Hub::start(json!({})).await;
    let description: Value = hub.get("/api/openapi.json").await.json();
    assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    let paths: Vec<_> = description["paths"].as_object().expect("paths").keys().cloned().collect();
    for method in [
        "publish",
        "broadcast",
        "subscribe",
        "unsubscribe",
        "disconnect",
        "refresh",
        "presence",
        "presence_stats",
        "history",
        "history_remove",
        "channels",
        "info",
        "batch",
        "rpc",
    ] {
        assert!(paths.iter().any(|path| path == &format!("/api/{method}")), "{method} is not described in {paths:?}");
    }
}

//! Who may come in, and what is said to those who may not.

use crate::in_both_codecs;
use crate::support::token::{SECRET, encode, now, signed, token, user_token};
use crate::support::{Client, Codec, Dial, Ending, Hub};
use serde_json::{Value, json};

in_both_codecs!(
    a_client_with_a_token_is_let_in,
    connections_have_ids_of_their_own,
    without_a_token_nobody_is_let_in,
    anonymous_clients_are_let_in_where_allowed,
    an_insecure_hub_asks_for_nothing,
    a_token_without_a_user_is_refused_where_disallowed,
    an_expired_token_can_be_replaced,
    a_bad_token_ends_the_connection,
    other_hmac_algorithms_are_accepted,
    a_connection_whose_token_expires_is_told_when,
    the_previous_secret_may_still_be_accepted,
    issuer_and_audience_are_checked_where_configured,
    connect_comes_first_and_once,
    connect_and_subscribes_come_in_one_frame,
    nothing_is_served_after_a_refused_connect,
    a_silent_connection_is_closed_as_stale,
    a_user_has_only_so_many_connections,
    a_close_is_answered_by_a_close,
);

async fn a_client_with_a_token_is_let_in(codec: Codec) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.open(codec).await;
    let connected = client.connect(json!({ "token": user_token("alice"), "name": "tests", "version": "1" })).await;
    assert_eq!(connected["client"].as_str().expect("an id").len(), 36, "a UUID in text form");
    assert!(connected["version"].as_str().is_some_and(|version| !version.is_empty()));
    assert_eq!((&connected["ping"], &connected["pong"]), (&json!(25), &json!(true)));
    for absent in ["expires", "ttl", "session", "node", "subs", "data", "time"] {
        assert!(connected.get(absent).is_none(), "{absent} in {connected}");
    }
}

async fn connections_have_ids_of_their_own(codec: Codec) {
    let hub = Hub::start(json!({})).await;
    let (one, two) = (hub.connect(codec).await, hub.connect(codec).await);
    assert_ne!(one.id(), two.id());
}

async fn without_a_token_nobody_is_let_in(codec: Codec) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.open(codec).await;
    client.send("connect", json!({})).await;
    assert_eq!(client.ending().await, Ending::Closed { code: 3501, reason: "bad request".to_owned() });
}

async fn anonymous_clients_are_let_in_where_allowed(codec: Codec) {
    let hub = Hub::start(json!({ "client": { "allow_anonymous_connect_without_token": true } })).await;
    let mut client = hub.open(codec).await;
    client.connect(json!({})).await;
    assert_eq!(client.error_of("subscribe", json!({ "channel": "news:x" })).await, 103, "anonymous is not a client with rights");
}

async fn an_insecure_hub_asks_for_nothing(codec: Codec) {
    let hub = Hub::start(json!({ "client": { "insecure": true } })).await;
    let mut client = hub.open(codec).await;
    client.connect(json!({})).await;
    client.subscribe("locked:x").await;
    client.publish("locked:x", 1).await;
    let publication = client.publication("locked:x").await;
    assert_eq!(publication["data"], 1);
}

async fn a_token_without_a_user_is_refused_where_disallowed(codec: Codec) {
    let hub = Hub::start(json!({ "client": { "disallow_anonymous_connection_tokens": true } })).await;
    let mut client = hub.open(codec).await;
    client.send("connect", json!({ "token": token(&json!({ "sub": "" })) })).await;
    assert_eq!(client.close_code().await, 3507);
}

async fn an_expired_token_can_be_replaced(codec: Codec) {
    let hub = Hub::start(json!({})).await;
    for claims in [json!({ "sub": "alice", "exp": now() - 3_600 }), json!({ "sub": "alice", "nbf": now() + 3_600 })] {
        let mut client = hub.open(codec).await;
        let reply = client.call("connect", json!({ "token": token(&claims) })).await;
        assert_eq!(reply["error"], json!({ "code": 109, "message": "token expired" }), "for {claims}");
        client.leave().await;
    }
    hub.connect(codec).await;
}

/// Every way to forge a token that has fooled somebody. All of them end alike, so that an attacker learns nothing.
async fn a_bad_token_ends_the_connection(codec: Codec) {
    let hub = Hub::start(json!({})).await;
    let good = user_token("alice");
    let (head, signature) = good.rsplit_once('.').expect("three parts");
    let claims = json!({ "sub": "alice" });
    let hs256 = |header: Value| signed(&header, &claims, SECRET);
    let unsigned = |algorithm: &str| format!("{}.{}.", encode(json!({ "alg": algorithm }).to_string()), encode(claims.to_string()));
    let raw_claims = |text: &str| {
        // Claims that no JSON value of ours could hold, properly signed.
        let signed_part = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(text));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
        format!("{signed_part}.{}", encode(aws_lc_rs::hmac::sign(&key, signed_part.as_bytes())))
    };
    let mut forged = vec![
        "x".to_owned(),
        "a.b".to_owned(),
        "a.b.c".to_owned(),
        "..".to_owned(),
        format!("{head}."),
        head.to_owned(),
        format!("{head}.{}", signature.chars().rev().collect::<String>()),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!(" {good}"),
        good.replace('.', "\u{3002}"),
        signed(&json!({ "alg": "HS256" }), &claims, "another-secret-of-somebody-else-000"),
        signed(&json!({ "alg": "HS256" }), &claims, ""),
        hs256(json!({ "alg": "RS256" })),
        hs256(json!({ "alg": "ES256" })),
        hs256(json!({ "alg": "EdDSA" })),
        hs256(json!({ "alg": "hs256" })),
        hs256(json!({ "alg": 256 })),
        hs256(json!({})),
        hs256(json!({ "alg": "HS256", "crit": ["exp"], "exp": 1 })),
        token(&json!({ "sub": "alice", "channel": "news:x" })),
        token(&json!({ "sub": 42 })),
        token(&json!({ "sub": ["alice"] })),
        token(&json!({ "sub": "alice", "exp": "tomorrow" })),
        token(&json!({ "sub": "alice", "exp": [now() + 60] })),
        token(&json!({ "sub": "alice", "nbf": "yesterday" })),
        token(&json!(["alice"])),
        token(&json!("alice")),
        token(&Value::Null),
        raw_claims(r#"{"sub":"alice","exp":1e300000}"#),
        raw_claims(r#"{"sub":"alice""#),
        raw_claims(&"[".repeat(20_000)),
    ];
    forged.extend(["none", "None", "NONE", "nOnE", ""].map(unsigned));
    forged.extend(
        ["jwk", "jku", "x5u", "x5c"]
            .map(|member| signed(&json!({ "alg": "HS256", member: "http://127.0.0.1:9/key" }), &claims, "a-key-of-the-attacker-himself-00000")),
    );
    for forged in forged {
        let mut client = hub.open(codec).await;
        client.send("connect", json!({ "token": forged })).await;
        assert_eq!(client.ending().await, Ending::Closed { code: 3500, reason: "invalid token".to_owned() }, "for {forged:?}");
    }
    hub.connect(codec).await;
}

async fn other_hmac_algorithms_are_accepted(codec: Codec) {
    let hub = Hub::start(json!({})).await;
    for algorithm in ["HS256", "HS384", "HS512"] {
        let mut client = hub.open(codec).await;
        client.connect(json!({ "token": signed(&json!({ "alg": algorithm, "typ": "JWT" }), &json!({ "sub": "alice" }), SECRET) })).await;
    }
}

async fn a_connection_whose_token_expires_is_told_when(codec: Codec) {
    let hub = Hub::start(json!({})).await;
    let connect = async |claims: Value| {
        let mut client = hub.open(codec).await;
        client.connect(json!({ "token": token(&claims) })).await
    };
    let connected = connect(json!({ "sub": "alice", "exp": now() + 600 })).await;
    assert_eq!(connected["expires"], true);
    assert!((590..=600).contains(&connected["ttl"].as_u64().expect("a time to live")));
    let connected = connect(json!({ "sub": "alice", "exp": now() + 600, "expire_at": now() + 60 })).await;
    assert!((50..=60).contains(&connected["ttl"].as_u64().expect("a time to live")), "expire_at overrides exp");
    let connected = connect(json!({ "sub": "alice", "exp": now() + 600, "expire_at": 0 })).await;
    assert!(connected.get("expires").is_none() && connected.get("ttl").is_none(), "expire_at 0: for ever");
    let far = connect(json!({ "sub": "alice", "exp": now() + 100 * 365 * 86_400_i64 })).await;
    assert!(far["ttl"].as_u64().is_none_or(|ttl| ttl <= 365 * 86_400), "a time to live is cut at a year: {far}");
}

async fn the_previous_secret_may_still_be_accepted(codec: Codec) {
    let old = "the-secret-of-last-year-0000000000000";
    let hub = Hub::start(json!({ "client": { "token": { "hmac_previous_secret_key": old } } })).await;
    for secret in [SECRET, old] {
        let mut client = hub.open(codec).await;
        client.connect(json!({ "token": signed(&json!({ "alg": "HS256" }), &json!({ "sub": "alice" }), secret) })).await;
    }
}

async fn issuer_and_audience_are_checked_where_configured(codec: Codec) {
    let hub = Hub::start(json!({ "client": { "token": { "issuer": "us", "audience": "hub" } } })).await;
    for (claims, welcome) in [
        (json!({ "sub": "alice", "iss": "us", "aud": "hub" }), true),
        (json!({ "sub": "alice", "iss": "us", "aud": ["other", "hub"] }), true),
        (json!({ "sub": "alice", "iss": "them", "aud": "hub" }), false),
        (json!({ "sub": "alice", "iss": "us", "aud": "other" }), false),
        (json!({ "sub": "alice", "iss": "us" }), false),
        (json!({ "sub": "alice", "aud": "hub" }), false),
    ] {
        let mut client = hub.open(codec).await;
        if welcome {
            client.connect(json!({ "token": token(&claims) })).await;
        } else {
            client.send("connect", json!({ "token": token(&claims) })).await;
            assert_eq!(client.close_code().await, 3500, "for {claims}");
        }
    }
}

async fn connect_comes_first_and_once(codec: Codec) {
    let hub = Hub::start(json!({})).await;
    for (command, request) in [
        ("subscribe", json!({ "channel": "news:x" })),
        ("unsubscribe", json!({ "channel": "news:x" })),
        ("publish", json!({ "channel": "news:x", "data": 1 })),
        ("presence", json!({ "channel": "news:x" })),
        ("presence_stats", json!({ "channel": "news:x" })),
        ("history", json!({ "channel": "news:x" })),
        ("rpc", json!({ "method": "x", "data": 1 })),
        ("refresh", json!({ "token": user_token("alice") })),
        ("sub_refresh", json!({ "channel": "news:x", "token": "x" })),
        ("ping", json!({})),
    ] {
        let mut client = hub.open(codec).await;
        client.send(command, request).await;
        assert_eq!(client.close_code().await, 3501, "{command} before connect");
    }
    let mut client = hub.open(codec).await;
    client.send_all(&[json!({ "send": { "data": 1 } })]).await;
    assert_eq!(client.close_code().await, 3501, "send before connect");
    let mut client = hub.connect(codec).await;
    client.send("connect", json!({ "token": user_token("alice") })).await;
    assert_eq!(client.close_code().await, 3501, "a second connect");
}

async fn connect_and_subscribes_come_in_one_frame(codec: Codec) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.open(codec).await;
    let mut commands = vec![json!({ "id": 1, "connect": { "token": user_token("alice") } })];
    commands.extend((2..=20).map(|id| json!({ "id": id, "subscribe": { "channel": format!("c{id}") } })));
    client.send_all(&commands).await;
    let reply = client.reply(1).await.expect("a reply");
    assert!(reply["connect"]["client"].is_string());
    for id in 2..=20 {
        assert_eq!(client.reply(id).await.expect("a reply"), json!({ "id": id, "subscribe": {} }));
    }
}

async fn nothing_is_served_after_a_refused_connect(codec: Codec) {
    let hub = Hub::start(json!({ "client": { "stale_close_delay": "1s" } })).await;
    let mut client = hub.open(codec).await;
    assert_eq!(client.error_of("connect", json!({ "token": token(&json!({ "sub": "alice", "exp": 1 })) })).await, 109);
    client.send("subscribe", json!({ "channel": "news:x" })).await;
    client.send("connect", json!({ "token": user_token("alice") })).await;
    for id in [2, 3] {
        assert!(client.reply(id).await.is_err(), "the connection was dead, but command {id} was answered");
    }
}

async fn a_silent_connection_is_closed_as_stale(codec: Codec) {
    let hub = Hub::start(json!({ "client": { "stale_close_delay": "200ms" } })).await;
    let mut client = hub.open(codec).await;
    assert_eq!(client.ending().await, Ending::Closed { code: 3502, reason: "stale".to_owned() });
}

async fn a_user_has_only_so_many_connections(codec: Codec) {
    let hub = Hub::start(json!({ "client": { "user_connection_limit": 2, "allow_anonymous_connect_without_token": true } })).await;
    let first = hub.connect(codec).await;
    let _second = hub.connect(codec).await;
    let mut third = hub.open(codec).await;
    third.send("connect", json!({ "token": user_token("alice") })).await;
    assert_eq!(third.close_code().await, 3504);
    hub.connect_as(codec, "bob").await;
    for _ in 0..3 {
        hub.open(codec).await.connect(json!({})).await;
    }
    first.leave().await;
    hub.until("one connection of alice", |state| state["sessions"] == 1).await;
    hub.connect(codec).await;
}

async fn a_close_is_answered_by_a_close(codec: Codec) {
    let hub = Hub::start(json!({})).await;
    hub.connect(codec).await.leave().await;
    hub.open(codec).await.leave().await;
}

#[tokio::test]
async fn the_codec_is_chosen_by_subprotocol_or_query() {
    let hub = Hub::start(json!({})).await;
    for (query, codec) in [
        ("", Codec::Json),
        ("?cf_protocol=json", Codec::Json),
        ("?cf_protocol=protobuf", Codec::Protobuf),
        ("?format=protobuf", Codec::Protobuf),
        ("?cf_protocol_version=v2", Codec::Json),
        ("?unknown=1&cf_protocol=protobuf", Codec::Protobuf),
    ] {
        let dial = Dial { path: format!("/connection/websocket{query}"), ..hub.dial() };
        let socket = dial.websocket().await.expect("reachable").unwrap_or_else(|head| panic!("{query} was refused: {}", head.status));
        let mut client = Client::over(socket, codec);
        client.connect(json!({ "token": user_token("alice") })).await;
    }
    // The subprotocol wins over the query.
    let dial = Dial { path: "/connection/websocket?cf_protocol=json".to_owned(), ..hub.dial() };
    Client::open(&dial, Codec::Protobuf).await.connect(json!({ "token": user_token("alice") })).await;
}

#[tokio::test]
async fn only_allowed_origins_reach_the_hub() {
    let status = async |hub: &Hub, origin: Option<&str>| {
        let dial = origin.map_or(hub.dial(), |origin| hub.dial().header("Origin", origin));
        dial.websocket().await.expect("reachable").map_or_else(|head| head.status, |_| 101)
    };
    let hub = Hub::start(json!({})).await;
    assert_eq!(status(&hub, None).await, 101, "no browser, no origin");
    for origin in ["https://good.example", "null", ""] {
        assert_eq!(status(&hub, Some(origin)).await, 403, "none is allowed, {origin:?} came");
    }
    let hub = Hub::start(json!({ "client": { "allowed_origins": ["https://good.example", "https://*.wide.example"] } })).await;
    for (origin, expected) in [
        ("https://good.example", 101),
        ("https://a.wide.example", 101),
        ("http://good.example", 403),
        ("https://good.example:8443", 403),
        ("https://good.example.evil.example", 403),
        ("https://good.evil.example", 403),
        ("https://evil.example/https://good.example", 403),
        ("https://wide.example", 403),
        ("null", 403),
    ] {
        assert_eq!(status(&hub, Some(origin)).await, expected, "{origin}");
    }
    let hub = Hub::start(json!({ "client": { "allowed_origins": ["*"] } })).await;
    assert_eq!(status(&hub, Some("https://anybody.example")).await, 101);
}

#[tokio::test]
async fn a_request_that_is_no_upgrade_gets_400() {
    let hub = Hub::start(json!({})).await;
    assert_eq!(hub.get("/connection/websocket").await.status(), 400);
}

#[tokio::test]
async fn a_full_hub_refuses_before_the_upgrade() {
    let hub = Hub::start(json!({ "client": { "connection_limit": 2 } })).await;
    let _held = [hub.connect(Codec::Json).await, hub.connect(Codec::Json).await];
    let refused = hub.dial().websocket().await.expect("reachable").err().expect("refused");
    assert_eq!(refused.status, 503);
}

#[tokio::test]
async fn the_result_in_json_is_as_the_specification_writes_it() {
    let hub = Hub::start(json!({ "client": { "ping_interval": "10s", "pong_timeout": "3s" } })).await;
    let mut client = hub.open(Codec::Json).await;
    client
        .send_bytes(format!(r#"{{"id":1,"connect":{{"token":"{}","unknown":{{"x":[1]}}}},"also":"unknown"}}"#, user_token("alice")).as_bytes())
        .await;
    let frame = client.socket().read().await.expect("a reply");
    let text = String::from_utf8(frame.payload).expect("UTF-8");
    let reply: Value = serde_json::from_str(&text).expect("JSON");
    let expected =
        json!({ "id": 1, "connect": { "client": reply["connect"]["client"], "version": reply["connect"]["version"], "ping": 10, "pong": true } });
    assert_eq!(reply, expected);
}

#[tokio::test]
async fn only_so_many_clients_come_in_a_second() {
    let hub = Hub::start(json!({ "client": { "connection_rate_limit": 5 } })).await;
    let mut welcome = 0;
    let mut refused = 0;
    for _ in 0..50 {
        match hub.dial().websocket().await.expect("reachable") {
            Ok(_) => welcome += 1,
            Err(head) => {
                assert_eq!(head.status, 503);
                refused += 1;
            }
        }
    }
    assert!(welcome >= 5 && refused > 0, "{welcome} came in, {refused} were refused");
    crate::support::eventually("the next second", async || match hub.dial().websocket().await {
        Ok(Ok(_)) => Ok(()),
        other => Err(format!("{:?}", other.map(|answer| answer.err().map(|head| head.status)))),
    })
    .await;
}

#[tokio::test]
async fn the_servers_time_is_told_where_configured() {
    let hub = Hub::start(json!({ "client": { "connect_include_server_time": true } })).await;
    for codec in [Codec::Json, Codec::Protobuf] {
        let client = hub.connect(codec).await;
        let told = client.connected["time"].as_i64().expect("a time");
        assert!((told / 1_000 - now()).abs() < 60, "milliseconds since 1970, not {told}");
    }
}

//! Who may subscribe to what.

use crate::on_all_transports;
use crate::support::token::{SECRET, channel_token, now, signed, token};
use crate::support::{Codec, Hub, Via};
use serde_json::{Value, json};

on_all_transports!(
    a_plain_channel_needs_and_tells_nothing,
    names_that_cannot_be,
    one_subscription_a_channel,
    subscribing_again_right_after_leaving_works,
    a_connection_has_only_so_many_channels,
    permissions_follow_the_namespace,
    anonymous_clients_need_a_right_of_their_own,
    a_private_channel_needs_a_token,
    a_token_opens_a_locked_channel,
    a_bad_subscription_token_is_refused,
    a_token_for_somebody_else_ends_the_connection,
    a_token_gives_data_and_chan_info,
    user_limited_channels_admit_their_users_only,
    a_channel_regex_judges_the_rest_of_the_name,
    unsubscribing_always_succeeds_and_ends_delivery,
    subscription_tokens_may_have_a_key_of_their_own,
    types_that_are_not_built_are_refused,
    ten_thousand_subscriptions_in_one_request_are_refused,
);

async fn a_plain_channel_needs_and_tells_nothing(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    assert_eq!(client.subscribe("plain").await, json!({}));
    let reply = client.call("subscribe", json!({ "channel": "elsewhere:x" })).await;
    assert_eq!(reply["error"], json!({ "code": 102, "message": "unknown channel" }));
}

async fn names_that_cannot_be(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    client.subscribe(&"a".repeat(255)).await;
    assert_eq!(client.error_of("subscribe", json!({ "channel": "a".repeat(256) })).await, 107);
    assert_eq!(client.error_of("subscribe", json!({ "channel": "é".repeat(128) })).await, 107, "bytes count, not characters");
    assert_eq!(client.error_of("subscribe", json!({ "channel": "caf\u{e9}" })).await, 107, "without a regex a name is ASCII");
    assert_eq!(client.error_of("subscribe", json!({ "channel": ":x" })).await, 102, "the empty namespace is unknown");
    client.send("subscribe", json!({})).await;
    assert_eq!(client.close_code().await, 3501, "no channel at all");
    let mut client = hub.connect(via).await;
    client.send("subscribe", json!({ "channel": "plain", "delta": "vcdiff" })).await;
    assert_eq!(client.close_code().await, 3501, "an unknown delta");
}

async fn one_subscription_a_channel(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    client.subscribe("plain").await;
    assert_eq!(client.error_of("subscribe", json!({ "channel": "plain" })).await, 105);
    client.send_all(&[json!({ "id": 100, "subscribe": { "channel": "other" } }), json!({ "id": 101, "subscribe": { "channel": "other" } })]).await;
    assert_eq!(client.reply(100).await.expect("a reply")["subscribe"], json!({}));
    assert_eq!(client.reply(101).await.expect("a reply")["error"]["code"], 105);
    // One of the two failing must not have ended the one that stands.
    hub.publish("other", 1).await;
    assert_eq!(client.data("other", 1).await, [1]);
}

async fn subscribing_again_right_after_leaving_works(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    for round in 0..50_u64 {
        let id = 1_000 + round * 3;
        client
            .send_all(&[
                json!({ "id": id, "subscribe": { "channel": "news:loop" } }),
                json!({ "id": id + 1, "unsubscribe": { "channel": "news:loop" } }),
                json!({ "id": id + 2, "subscribe": { "channel": "room:loop" } }),
            ])
            .await;
        for id in id..id + 3 {
            let reply = client.reply(id).await.expect("a reply");
            assert!(reply.get("error").is_none(), "round {round}: {reply}");
        }
        client.unsubscribe("room:loop").await;
    }
}

async fn a_connection_has_only_so_many_channels(via: Via) {
    let hub = Hub::start(json!({ "client": { "channel_limit": 3 } })).await;
    let mut client = hub.connect(via).await;
    for number in 0..3 {
        client.subscribe(&format!("c{number}")).await;
    }
    assert_eq!(client.error_of("subscribe", json!({ "channel": "c3" })).await, 106);
    client.unsubscribe("c0").await;
    client.subscribe("c3").await;
}

async fn permissions_follow_the_namespace(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    client.subscribe("news:x").await;
    let reply = client.call("subscribe", json!({ "channel": "locked:x" })).await;
    assert_eq!(reply["error"], json!({ "code": 103, "message": "permission denied" }));
}

async fn anonymous_clients_need_a_right_of_their_own(via: Via) {
    let hub = Hub::start(json!({
        "client": { "allow_anonymous_connect_without_token": true },
        "channel": { "namespaces": [
            { "name": "public", "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true },
            { "name": "half", "allow_subscribe_for_anonymous": true },
        ] },
    }))
    .await;
    let mut nobody = hub.open(via).await;
    nobody.connect(json!({})).await;
    nobody.subscribe("public:x").await;
    assert_eq!(nobody.error_of("subscribe", json!({ "channel": "half:x" })).await, 103, "the right for anonymous alone grants nothing");
    let mut alice = hub.connect(via).await;
    assert_eq!(alice.error_of("subscribe", json!({ "channel": "half:x" })).await, 103);
}

async fn a_private_channel_needs_a_token(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    for channel in ["$news:x", "$plain"] {
        assert_eq!(client.error_of("subscribe", json!({ "channel": channel })).await, 103);
        client.subscribe_with(json!({ "channel": channel, "token": channel_token("alice", channel) })).await;
    }
}

async fn a_token_opens_a_locked_channel(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    let claims = json!({ "sub": "alice", "channel": "locked:x", "exp": now() + 600 });
    let subscribed = client.subscribe_with(json!({ "channel": "locked:x", "token": token(&claims) })).await;
    assert_eq!(subscribed["expires"], true);
    assert!((590..=600).contains(&subscribed["ttl"].as_u64().expect("a time to live")));
    hub.publish("locked:x", "hello").await;
    assert_eq!(client.data("locked:x", 1).await, ["hello"]);
}

async fn a_bad_subscription_token_is_refused(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    let claims = json!({ "sub": "alice", "channel": "locked:x" });
    let expired = token(&json!({ "sub": "alice", "channel": "locked:x", "exp": now() - 60 }));
    for (token, code) in [
        (expired, 109),
        ("x.y.z".to_owned(), 103),
        (signed(&json!({ "alg": "HS256" }), &claims, "another-secret-of-somebody-else-000"), 103),
        (signed(&json!({ "alg": "none" }), &claims, SECRET), 103),
    ] {
        assert_eq!(client.error_of("subscribe", json!({ "channel": "locked:x", "token": token })).await, code);
    }
    // A token that names no channel is no subscription token at all.
    assert_eq!(client.error_of("subscribe", json!({ "channel": "locked:x", "token": channel_token("alice", "") })).await, 103);
    // An open channel does not make up for a bad token.
    assert_eq!(client.error_of("subscribe", json!({ "channel": "news:x", "token": "x.y.z" })).await, 103);
}

async fn a_token_for_somebody_else_ends_the_connection(via: Via) {
    let hub = Hub::start(json!({})).await;
    for (user, channel) in [("bob", "locked:x"), ("alice", "locked:y"), ("", "locked:x")] {
        let mut client = hub.connect(via).await;
        client.send("subscribe", json!({ "channel": "locked:x", "token": channel_token(user, channel) })).await;
        assert_eq!(client.close_code().await, 3500, "a token of {user:?} for {channel:?}");
    }
}

async fn a_token_gives_data_and_chan_info(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    let claims = json!({ "sub": "alice", "channel": "$room:x", "info": { "seat": 4 }, "data": { "hello": [1, 2] } });
    let subscribed = client.subscribe_with(json!({ "channel": "$room:x", "token": token(&claims) })).await;
    assert_eq!(subscribed["data"], json!({ "hello": [1, 2] }));
    let presence = hub.api("presence", json!({ "channel": "$room:x" })).await;
    assert_eq!(presence["presence"][client.id()]["chan_info"], json!({ "seat": 4 }));
}

async fn user_limited_channels_admit_their_users_only(via: Via) {
    let hub = Hub::start(json!({ "channel": { "namespaces": [{ "name": "dialog", "allow_user_limited_channels": true }] } })).await;
    let mut alice = hub.connect_as(via, "alice").await;
    let mut mallory = hub.connect_as(via, "mallory").await;
    alice.subscribe("dialog:x#alice,bob").await;
    assert_eq!(mallory.error_of("subscribe", json!({ "channel": "dialog:x#alice,bob" })).await, 103);
    assert_eq!(mallory.error_of("subscribe", json!({ "channel": "dialog:x#mallory#alice" })).await, 103, "the last boundary counts");
    assert_eq!(alice.error_of("subscribe", json!({ "channel": "dialog:x" })).await, 103, "the namespace opens nothing else");
}

async fn a_channel_regex_judges_the_rest_of_the_name(via: Via) {
    let options = json!({ "name": "ticks", "allow_subscribe_for_client": true, "channel_regex": "^[a-zé]+$" });
    let hub = Hub::start(json!({ "channel": { "namespaces": [options] } })).await;
    let mut client = hub.connect(via).await;
    client.subscribe("ticks:abc").await;
    client.subscribe("ticks:é").await;
    for name in ["ticks:", "ticks:ABC", "ticks:a:b", "ticks:1"] {
        assert_eq!(client.error_of("subscribe", json!({ "channel": name })).await, 107, "{name}");
    }
}

async fn unsubscribing_always_succeeds_and_ends_delivery(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    client.unsubscribe("never:was").await;
    client.subscribe("plain").await;
    client.subscribe("other").await;
    hub.publish("plain", 1).await;
    assert_eq!(client.data("plain", 1).await, [1]);
    client.unsubscribe("plain").await;
    hub.publish("plain", 2).await;
    hub.publish("other", 3).await;
    assert_eq!(client.data("other", 1).await, [3]);
    client.has_nothing_waiting().await;
    client.send("unsubscribe", json!({})).await;
    assert_eq!(client.close_code().await, 3501);
}

async fn subscription_tokens_may_have_a_key_of_their_own(via: Via) {
    let other = "a-secret-for-subscriptions-alone-0000";
    let hub = Hub::start(json!({ "client": { "subscription_token": { "enabled": true, "hmac_secret_key": other } } })).await;
    let mut client = hub.connect(via).await;
    let claims = json!({ "sub": "alice", "channel": "locked:x" });
    assert_eq!(client.error_of("subscribe", json!({ "channel": "locked:x", "token": token(&claims) })).await, 103);
    client.subscribe_with(json!({ "channel": "locked:x", "token": signed(&json!({ "alg": "HS256" }), &claims, other) })).await;
}

async fn types_that_are_not_built_are_refused(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    for (kind, code) in [(1, 103), (2, 103), (3, 103), (4, 108)] {
        assert_eq!(client.error_of("subscribe", json!({ "channel": "plain", "type": kind })).await, code, "type {kind}");
    }
    client.subscribe_with(json!({ "channel": "plain", "flag": 1 })).await;
    client.publish("plain", 1).await;
    let publication = client.publication("plain").await;
    assert_eq!(publication["data"], 1, "a flag that asks for channel ids may be ignored");
}

#[tokio::test]
async fn an_empty_history_position_in_json_is_omitted() {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(Codec::Json).await;
    let subscribed: Value = client.subscribe("news:x").await;
    let expected = json!({ "recoverable": true, "positioned": true, "epoch": subscribed["epoch"] });
    assert_eq!(subscribed, expected);
}

/// As one message of 10,000 commands; and as many as one may have, whose channels are more than one connection may have.
async fn ten_thousand_subscriptions_in_one_request_are_refused(via: Via) {
    let size = json!("1MiB");
    let hub = Hub::start(json!({
        "websocket": { "message_size_limit": size }, "emulation": { "max_request_body_size": size }, "client": { "channel_limit": 100 },
    }))
    .await;
    let commands =
        |count: u64| (0..count).map(|number| json!({ "id": number + 10, "subscribe": { "channel": format!("c{number}") } })).collect::<Vec<_>>();
    let mut client = hub.connect(via).await;
    client.send_all(&commands(10_000)).await;
    assert_eq!(client.close_code().await, 3501);
    hub.until_empty().await;
    let mut client = hub.connect(via).await;
    client.send_all(&commands(200)).await;
    let mut subscribed = 0;
    for id in 10..210 {
        let reply = client.reply(id).await.expect("a reply");
        match reply.get("error") {
            None => subscribed += 1,
            Some(error) => assert_eq!(error["code"], 106, "{reply}"),
        }
    }
    assert_eq!(subscribed, 100);
}

//! Subscriptions that the server makes: by token, personal channel, server API.

use crate::on_all_transports;
use crate::support::token::{now, token, user_token};
use crate::support::{Hub, Via};
use serde_json::{Value, json};

on_all_transports!(
    a_token_subscribes,
    a_tokens_subs_have_their_own_options,
    an_unknown_namespace_in_a_token_fails_the_connect,
    too_many_channels_in_a_token_end_the_connection,
    server_side_subscriptions_recover_on_connect,
    everybody_has_a_personal_channel_where_configured,
    a_single_connection_of_a_user_survives,
    the_application_subscribes_and_unsubscribes,
    the_application_disconnects,
    a_channel_of_the_server_cannot_be_subscribed_to_again,
    requested_channels_follow_the_rules,
);

async fn a_token_subscribes(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.open(via).await;
    let connected = client.connect(json!({ "token": token(&json!({ "sub": "alice", "channels": ["locked:x", "news:x"] })) })).await;
    let subs = connected["subs"].as_object().expect("server-side subscriptions");
    assert_eq!(subs.keys().collect::<Vec<_>>(), ["locked:x", "news:x"]);
    assert_eq!((&subs["news:x"]["recoverable"], &subs["news:x"]["positioned"]), (&json!(true), &json!(true)));
    hub.publish("locked:x", 1).await;
    assert_eq!(client.data("locked:x", 1).await, [1]);
}

async fn a_tokens_subs_have_their_own_options(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.open(via).await;
    let subs = json!({
        "plain": { "info": { "seat": 1 }, "data": { "hello": "you" }, "override": { "presence": { "value": true } } },
        "news:x": { "override": { "force_recovery": { "value": false } } },
    });
    let connected = client.connect(json!({ "token": token(&json!({ "sub": "alice", "channels": ["ignored"], "subs": subs })) })).await;
    assert_eq!(connected["subs"], json!({ "plain": { "data": { "hello": "you" } }, "news:x": {} }));
}

async fn an_unknown_namespace_in_a_token_fails_the_connect(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.open(via).await;
    let token = token(&json!({ "sub": "alice", "channels": ["unknown:x"] }));
    assert_eq!(client.error_of("connect", json!({ "token": token })).await, 102);
}

async fn too_many_channels_in_a_token_end_the_connection(via: Via) {
    let hub = Hub::start(json!({ "client": { "channel_limit": 3 } })).await;
    let mut client = hub.open(via).await;
    client.send("connect", json!({ "token": token(&json!({ "sub": "alice", "channels": ["a", "b", "c", "d"] })) })).await;
    assert_eq!(client.close_code().await, 3505);
}

async fn server_side_subscriptions_recover_on_connect(via: Via) {
    let hub = Hub::start(json!({})).await;
    let token = token(&json!({ "sub": "alice", "channels": ["news:x"] }));
    hub.publish("news:x", 0).await;
    let mut client = hub.open(via).await;
    let position = client.connect(json!({ "token": token })).await["subs"]["news:x"].clone();
    client.cut();
    hub.publish("news:x", 1).await;
    hub.publish("news:x", 2).await;
    let mut client = hub.open(via).await;
    let since = json!({ "news:x": { "recover": true, "offset": position["offset"], "epoch": position["epoch"] } });
    let connected = client.connect(json!({ "token": token, "subs": since })).await;
    let back = &connected["subs"]["news:x"];
    assert_eq!((&back["recovered"], &back["was_recovering"]), (&json!(true), &json!(true)));
    let data: Vec<_> = back["publications"].as_array().expect("a list").iter().map(|publication| &publication["data"]).collect();
    assert_eq!(data, [1, 2]);
    hub.publish("news:x", 3).await;
    assert_eq!(client.data("news:x", 1).await, [3]);
}

async fn everybody_has_a_personal_channel_where_configured(via: Via) {
    let personal = |namespace: &str| {
        json!({ "client": {
        "allow_anonymous_connect_without_token": true,
        "subscribe_to_user_personal_channel": { "enabled": true, "personal_channel_namespace": namespace },
    } })
    };
    for (namespace, channel) in [("", "#42"), ("room", "room:#42")] {
        let hub = Hub::start(personal(namespace)).await;
        let mut client = hub.open(via).await;
        let connected = client.connect(json!({ "token": user_token("42") })).await;
        assert_eq!(connected["subs"].as_object().expect("a subscription").keys().collect::<Vec<_>>(), [channel]);
        hub.publish(channel, "for you").await;
        let publication = loop {
            let push = client.push().await;
            if push.get("pub").is_some() {
                break push;
            }
            assert_eq!(push["join"]["info"]["user"], "42", "{push}");
        };
        assert_eq!((&publication["channel"], &publication["pub"]["data"]), (&json!(channel), &json!("for you")));
        let mut nobody = hub.open(via).await;
        assert!(nobody.connect(json!({})).await.get("subs").is_none(), "nobody has no personal channel");
    }
}

async fn a_single_connection_of_a_user_survives(via: Via) {
    let hub = Hub::start(json!({ "client": { "subscribe_to_user_personal_channel": { "enabled": true, "personal_channel_namespace": "room", "single_connection": true } } })).await;
    let mut first = hub.connect(via).await;
    let mut other = hub.connect_as(via, "bob").await;
    let mut second = hub.connect(via).await;
    assert_eq!(first.close_code().await, 3504);
    second.unsubscribe("nothing").await;
    other.unsubscribe("nothing").await;
}

async fn the_application_subscribes_and_unsubscribes(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    let mut bob = hub.connect_as(via, "bob").await;
    let request = json!({ "user": "alice", "channel": "news:x", "data": { "welcome": true }, "info": { "seat": 9 } });
    assert_eq!(hub.api("subscribe", request).await, json!({}));
    let push = client.push().await;
    assert_eq!(push["channel"], "news:x");
    let subscribed = &push["subscribe"];
    assert_eq!(
        (&subscribed["recoverable"], &subscribed["positioned"], &subscribed["data"]),
        (&json!(true), &json!(true), &json!({ "welcome": true }))
    );
    assert!(subscribed["epoch"].is_string());
    hub.publish("news:x", 1).await;
    assert_eq!(client.data("news:x", 1).await, [1]);
    hub.api("unsubscribe", json!({ "user": "alice", "channel": "news:x" })).await;
    assert_eq!(client.push().await, json!({ "channel": "news:x", "unsubscribe": { "code": 2000, "reason": "server unsubscribe" } }));
    // From a channel that the client subscribed to itself, and from all channels.
    client.subscribe("plain").await;
    client.subscribe("news:y").await;
    bob.subscribe("plain").await;
    hub.api("unsubscribe", json!({ "user": "alice", "channel": "" })).await;
    let mut channels = [client.push().await["channel"].clone(), client.push().await["channel"].clone()];
    channels.sort_by_key(Value::to_string);
    assert_eq!(channels, ["news:y", "plain"]);
    hub.publish("plain", 2).await;
    assert_eq!(bob.data("plain", 1).await, [2]);
    client.has_nothing_waiting().await;
    bob.has_nothing_waiting().await;
    // One connection among several, by its id.
    let mut second = hub.connect(via).await;
    hub.api("subscribe", json!({ "user": "alice", "channel": "plain", "client": second.id() })).await;
    assert_eq!(second.push().await, json!({ "channel": "plain", "subscribe": {} }));
    client.has_nothing_waiting().await;
    assert_eq!(hub.api("subscribe", json!({ "user": "nobody", "channel": "plain" })).await, json!({}));
}

async fn the_application_disconnects(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut one = hub.connect(via).await;
    let mut two = hub.connect(via).await;
    let mut bob = hub.connect_as(via, "bob").await;
    hub.api("disconnect", json!({ "user": "alice", "whitelist": [two.id()] })).await;
    assert_eq!(one.close_code().await, 3503);
    two.has_nothing_waiting().await;
    hub.api("disconnect", json!({ "user": "alice", "disconnect": { "code": 4321, "reason": "come back" } })).await;
    assert_eq!(two.ending().await, crate::support::Ending::Closed { code: 4321, reason: "come back".to_owned() });
    bob.has_nothing_waiting().await;
    assert_eq!(hub.api("disconnect", json!({ "user": "nobody" })).await, json!({}));
}

async fn a_channel_of_the_server_cannot_be_subscribed_to_again(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.open(via).await;
    client.connect(json!({ "token": token(&json!({ "sub": "alice", "channels": ["plain"], "exp": now() + 600 })) })).await;
    assert_eq!(client.error_of("subscribe", json!({ "channel": "plain" })).await, 105);
}

/// `connect.subs` asks for channels: those that the rules open without a token are given, the others silently are not.
async fn requested_channels_follow_the_rules(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.open(via).await;
    let connected = client.connect(json!({ "token": user_token("alice"), "subs": { "locked:x": {}, "$plain": {}, "plain": {} } })).await;
    assert_eq!(connected["subs"], json!({ "plain": {} }));
}

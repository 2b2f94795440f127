//! What has an end, and how it is put off.

use crate::on_all_transports;
use crate::support::token::{channel_token, now, token, user_token};
use crate::support::{Client, Ending, Hub, Via};
use serde_json::{Value, json};

on_all_transports!(
    a_connection_can_be_refreshed,
    a_bad_refresh_ends_the_connection,
    a_connection_that_is_not_refreshed_is_closed,
    a_refreshed_connection_outlives_its_first_token,
    a_subscription_can_be_refreshed,
    a_bad_sub_refresh_is_refused,
    a_subscription_that_is_not_refreshed_ends,
    a_server_side_subscription_that_expires_ends_the_connection,
    the_application_refreshes,
    new_rights_in_a_refresh_ask_for_a_reconnect,
);

async fn expiring(hub: &Hub, via: Via, seconds: i64) -> Client {
    let mut client = hub.open(via).await;
    client.connect(json!({ "token": token(&json!({ "sub": "alice", "exp": now() + seconds })) })).await;
    client
}

async fn a_connection_can_be_refreshed(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = expiring(&hub, via, 60).await;
    let reply = client.call("refresh", json!({ "token": token(&json!({ "sub": "alice", "exp": now() + 600 })) })).await;
    assert_eq!(reply["refresh"]["expires"], true);
    assert!((590..=600).contains(&reply["refresh"]["ttl"].as_u64().expect("a time to live")));
    assert!(reply["refresh"].get("client").is_none() && reply["refresh"].get("version").is_none());
    let reply = client.call("refresh", json!({ "token": user_token("alice") })).await;
    assert_eq!(reply["refresh"], json!({}), "a token without an end");
}

async fn a_bad_refresh_ends_the_connection(via: Via) {
    let hub = Hub::start(json!({})).await;
    for (token, code) in
        [(String::new(), 3501), ("x.y.z".to_owned(), 3500), (user_token("bob"), 3500), (token(&json!({ "sub": "alice", "exp": now() - 60 })), 3005)]
    {
        let mut client = expiring(&hub, via, 60).await;
        client.send("refresh", json!({ "token": token })).await;
        assert_eq!(client.close_code().await, code, "{token:?}");
    }
}

async fn a_connection_that_is_not_refreshed_is_closed(via: Via) {
    let hub = Hub::start(json!({ "client": { "expired_close_delay": "200ms" } })).await;
    let mut client = expiring(&hub, via, 2).await;
    assert_eq!(client.ending().await, Ending::Closed { code: 3005, reason: "connection expired".to_owned() });
}

async fn a_refreshed_connection_outlives_its_first_token(via: Via) {
    let hub = Hub::start(json!({ "client": { "expired_close_delay": "100ms" } })).await;
    let mut doomed = expiring(&hub, via, 2).await;
    let mut refreshed = expiring(&hub, via, 2).await;
    refreshed.call("refresh", json!({ "token": token(&json!({ "sub": "alice", "exp": now() + 600 })) })).await;
    assert_eq!(doomed.close_code().await, 3005);
    refreshed.has_nothing_waiting().await;
}

async fn a_subscription_can_be_refreshed(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    let expiring = |seconds: i64| token(&json!({ "sub": "alice", "channel": "locked:x", "exp": now() + seconds }));
    client.subscribe_with(json!({ "channel": "locked:x", "token": expiring(60) })).await;
    let reply = client.call("sub_refresh", json!({ "channel": "locked:x", "token": expiring(600) })).await;
    assert_eq!(reply["sub_refresh"]["expires"], true);
    assert!((590..=600).contains(&reply["sub_refresh"]["ttl"].as_u64().expect("a time to live")));
}

async fn a_bad_sub_refresh_is_refused(via: Via) {
    let hub = Hub::start(json!({})).await;
    let subscribed = async || {
        let mut client = hub.connect(via).await;
        let claims = json!({ "sub": "alice", "channel": "locked:x", "exp": now() + 60 });
        client.subscribe_with(json!({ "channel": "locked:x", "token": token(&claims) })).await;
        client
    };
    let mut client = subscribed().await;
    assert_eq!(
        client.error_of("sub_refresh", json!({ "channel": "locked:y", "token": channel_token("alice", "locked:y") })).await,
        103,
        "not subscribed"
    );
    assert_eq!(client.error_of("sub_refresh", json!({ "channel": "locked:x" })).await, 107, "no token");
    for (token, code) in [
        ("x.y.z".to_owned(), 3500),
        (channel_token("alice", "locked:y"), 3500),
        (channel_token("bob", "locked:x"), 3500),
        (token(&json!({ "sub": "alice", "channel": "locked:x", "exp": now() - 60 })), 3006),
    ] {
        let mut client = subscribed().await;
        client.send("sub_refresh", json!({ "channel": "locked:x", "token": token })).await;
        assert_eq!(client.close_code().await, code, "{token:?}");
    }
}

async fn a_subscription_that_is_not_refreshed_ends(via: Via) {
    let hub = Hub::start(json!({ "client": { "expired_sub_close_delay": "200ms" } })).await;
    let mut client = hub.connect(via).await;
    let claims = json!({ "sub": "alice", "channel": "locked:x", "exp": now() + 2 });
    client.subscribe_with(json!({ "channel": "locked:x", "token": token(&claims) })).await;
    assert_eq!(client.push().await, json!({ "channel": "locked:x", "unsubscribe": { "code": 2501, "reason": "subscription expired" } }));
    hub.publish("locked:x", 1).await;
    client.has_nothing_waiting().await;
}

async fn a_server_side_subscription_that_expires_ends_the_connection(via: Via) {
    let hub = Hub::start(json!({ "client": { "expired_sub_close_delay": "200ms" } })).await;
    let mut client = hub.connect(via).await;
    hub.api("subscribe", json!({ "user": "alice", "channel": "locked:x", "expire_at": now() + 2 })).await;
    assert!(client.push().await.get("subscribe").is_some());
    assert_eq!(client.close_code().await, 3006);
}

async fn the_application_refreshes(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = expiring(&hub, via, 60).await;
    assert_eq!(hub.api("refresh", json!({ "user": "alice", "expire_at": now() + 77 })).await, json!({}));
    let refresh = client.push().await["refresh"].clone();
    assert_eq!(refresh["expires"], true);
    assert!((70..=77).contains(&refresh["ttl"].as_u64().expect("a time to live")));
    hub.api("refresh", json!({ "user": "alice" })).await;
    assert_eq!(client.push().await, json!({ "refresh": {} }), "no end any more");
    hub.api("refresh", json!({ "user": "alice", "expired": true })).await;
    assert_eq!(client.close_code().await, 3005);
}

async fn new_rights_in_a_refresh_ask_for_a_reconnect(via: Via) {
    let hub = Hub::start(json!({})).await;
    let with = |channels: Value| token(&json!({ "sub": "alice", "exp": now() + 60, "channels": channels }));
    let mut client = hub.open(via).await;
    client.connect(json!({ "token": with(json!(["a"])) })).await;
    assert_eq!(client.call("refresh", json!({ "token": with(json!(["a"])) })).await["refresh"]["expires"], true);
    client.send("refresh", json!({ "token": with(json!(["a", "b"])) })).await;
    assert_eq!(client.close_code().await, 3010);
}

//! Who is there, who comes, who goes.

use crate::on_all_transports;
use crate::support::token::token;
use crate::support::{Codec, Hub, Via};
use serde_json::{Value, json};

on_all_transports!(
    presence_names_everybody_once,
    presence_needs_an_option_and_a_right,
    users_are_counted_once,
    comings_and_goings_are_told,
    a_client_that_vanishes_is_said_to_have_left,
    joins_are_told_to_those_who_ask,
    moving_fast_leaves_nobody_behind,
);

async fn presence_names_everybody_once(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut alice = hub.open(via).await;
    alice.connect(json!({ "token": token(&json!({ "sub": "alice", "info": { "name": "Alice" } })) })).await;
    let mut bob = hub.connect_as(via, "bob").await;
    alice.subscribe("room:x").await;
    bob.subscribe("room:x").await;
    let reply = bob.call("presence", json!({ "channel": "room:x" })).await;
    let expected = json!({
        alice.id(): { "user": "alice", "client": alice.id(), "conn_info": { "name": "Alice" } },
        bob.id(): { "user": "bob", "client": bob.id() },
    });
    assert_eq!(reply["presence"], json!({ "presence": expected }));
    bob.unsubscribe("room:x").await;
    let reply = bob.call("presence", json!({ "channel": "room:x" })).await;
    assert_eq!(reply["presence"]["presence"].as_object().expect("a map").len(), 1);
}

async fn presence_needs_an_option_and_a_right(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    for command in ["presence", "presence_stats"] {
        let reply = client.call(command, json!({ "channel": "plain" })).await;
        assert_eq!(reply["error"], json!({ "code": 108, "message": "not available" }));
        assert_eq!(client.error_of(command, json!({ "channel": "locked:x" })).await, 103);
        assert_eq!(client.error_of(command, json!({ "channel": "unknown:x" })).await, 102);
    }
}

async fn users_are_counted_once(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut clients = Vec::new();
    for user in ["alice", "alice", "bob"] {
        let mut client = hub.connect_as(via, user).await;
        client.subscribe("room:x").await;
        clients.push(client);
    }
    let reply = clients[0].call("presence_stats", json!({ "channel": "room:x" })).await;
    assert_eq!(reply["presence_stats"], json!({ "num_clients": 3, "num_users": 2 }));
}

async fn comings_and_goings_are_told(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut alice = hub.connect(via).await;
    alice.subscribe("room:x").await;
    let joined = |client: &str, user: &str| json!({ "channel": "room:x", "join": { "info": { "user": user, "client": client } } });
    assert_eq!(alice.push().await, joined(alice.id(), "alice"), "the joiner is told, too, after its reply");
    let mut bob = hub.connect_as(via, "bob").await;
    bob.subscribe("room:x").await;
    assert_eq!(alice.push().await, joined(bob.id(), "bob"));
    assert_eq!(bob.push().await, joined(bob.id(), "bob"));
    bob.unsubscribe("room:x").await;
    let left = |client: &str| json!({ "channel": "room:x", "leave": { "info": { "user": "bob", "client": client } } });
    assert_eq!(alice.push().await, left(bob.id()));
    bob.has_nothing_waiting().await;
    bob.subscribe("room:x").await;
    assert_eq!(alice.push().await, joined(bob.id(), "bob"));
    let id = bob.id().to_owned();
    bob.leave().await;
    assert_eq!(alice.push().await, left(&id));
}

async fn a_client_that_vanishes_is_said_to_have_left(via: Via) {
    let hub = Hub::start(json!({ "client": { "ping_interval": "1s", "pong_timeout": "500ms" } })).await;
    let mut alice = hub.connect(via).await;
    alice.subscribe("room:x").await;
    alice.push().await;
    let mut bob = hub.connect_as(via, "bob").await;
    bob.subscribe("room:x").await;
    assert_eq!(alice.push().await["join"]["info"]["client"], bob.id());
    let mut carol = hub.connect_as(via, "carol").await;
    carol.subscribe("room:x").await;
    assert_eq!(alice.push().await["join"]["info"]["client"], carol.id());
    let carol_id = carol.id().to_owned();
    carol.cut();
    assert_eq!(alice.push().await["leave"]["info"]["client"], carol_id, "after a reset");
    // Bob is held and never read again: no FIN, no RST, no pong.
    assert_eq!(alice.push().await["leave"]["info"]["client"], bob.id(), "after silence");
    let left = alice.call("presence", json!({ "channel": "room:x" })).await;
    assert_eq!(left["presence"]["presence"].as_object().expect("a map").keys().collect::<Vec<_>>(), [alice.id()]);
}

async fn joins_are_told_to_those_who_ask(via: Via) {
    let base = json!({ "name": "quiet", "presence": true, "join_leave": true, "allow_subscribe_for_client": true });
    let hub = Hub::start(json!({ "channel": { "namespaces": [
        crate::support::merged(base.clone(), json!({ "allow_presence_for_subscriber": true })),
        crate::support::merged(base, json!({ "name": "secret" })),
    ] } }))
    .await;
    let mut silent = hub.connect(via).await;
    silent.subscribe("quiet:x").await;
    // When this has come, so has the word of who was there before.
    hub.publish("quiet:x", 0).await;
    assert_eq!(silent.data("quiet:x", 1).await, [0]);
    let mut asking = hub.connect(via).await;
    asking.subscribe_with(json!({ "channel": "quiet:x", "join_leave": true })).await;
    assert_eq!(asking.push().await["join"]["info"]["client"], asking.id());
    asking.subscribe_with(json!({ "channel": "secret:x", "join_leave": true })).await;
    let mut bob = hub.connect_as(via, "bob").await;
    bob.subscribe("secret:x").await;
    bob.subscribe("quiet:x").await;
    let push = asking.push().await;
    assert_eq!((&push["channel"], &push["join"]["info"]["user"]), (&json!("quiet:x"), &json!("bob")), "no presence right, no joins of secret:x");
    hub.publish("quiet:x", 1).await;
    assert_eq!(silent.data("quiet:x", 1).await, [1], "who does not ask is not told");
}

async fn moving_fast_leaves_nobody_behind(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut watcher = hub.connect(via).await;
    watcher.subscribe("room:x").await;
    watcher.push().await;
    let mut bob = hub.connect_as(via, "bob").await;
    for round in 0..50 {
        let id = 1_000 + round * 2;
        bob.send_all(&[json!({ "id": id, "subscribe": { "channel": "room:x" } }), json!({ "id": id + 1, "unsubscribe": { "channel": "room:x" } })])
            .await;
    }
    let mut there = 0_i32;
    for _ in 0..100 {
        let push = watcher.push().await;
        there += if push.get("join").is_some() { 1 } else { -1 };
        assert!((0..=1).contains(&there), "a leave without a join, or two joins");
    }
    assert_eq!(there, 0);
    let left: Value = hub.api("presence_stats", json!({ "channel": "room:x" })).await;
    assert_eq!(left, json!({ "num_clients": 1, "num_users": 1 }));
}

#[tokio::test]
async fn empty_presence_in_json_is_written_out() {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(Codec::Json).await;
    let reply = client.call("presence", json!({ "channel": "room:x" })).await;
    assert_eq!(reply, json!({ "id": reply["id"], "presence": { "presence": {} } }));
    let reply = client.call("presence_stats", json!({ "channel": "room:x" })).await;
    assert_eq!(reply, json!({ "id": reply["id"], "presence_stats": { "num_clients": 0, "num_users": 0 } }));
}

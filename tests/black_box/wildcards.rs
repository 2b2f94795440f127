//! Names that end in an asterisk stand for all channels of their namespace that begin so: who may listen to them, what is heard, what is not there.

use crate::on_all_transports;
use crate::support::operators::done;
use crate::support::token::{channel_token, token};
use crate::support::{Codec, Hub, Via};
use serde_json::{Value, json};

on_all_transports!(
    a_pattern_hears_the_channels_that_begin_so,
    a_pattern_has_no_stream,
    who_may_listen_to_a_pattern,
    patterns_are_limited,
    a_token_and_the_server_api_subscribe_to_patterns,
    those_who_listen_to_a_pattern_are_present_there,
);

fn ticks(more: Value) -> Value {
    let open = json!({
        "name": "ticks", "wildcard_subscriptions": true, "allow_wildcard_for_client": true, "allow_subscribe_for_client": true,
        "allow_publish_for_client": true, "allow_user_limited_channels": true, "history_size": 10, "history_ttl": "60s", "force_recovery": true,
    });
    let by_token = json!({ "name": "tolls", "wildcard_subscriptions": true, "allow_subscribe_for_client": true });
    crate::support::merged(json!({ "channel": { "namespaces": [open, by_token] } }), more)
}

async fn a_pattern_hears_the_channels_that_begin_so(via: Via) {
    let hub = Hub::start(ticks(json!({}))).await;
    let mut all = hub.connect(via).await;
    let mut some = hub.connect(via).await;
    let mut one = hub.connect(via).await;
    all.subscribe("ticks:*").await;
    some.subscribe("ticks:ab*").await;
    one.subscribe("ticks:abc").await;
    let quiet = ["tolls:a", "plain", "ticks", "$ticks:abc", "ticks:abc#alice", "news:abc"];
    for (number, channel) in quiet.into_iter().chain(["ticks:abc", "ticks:a", "ticks:ab", "ticks:", "ticks:b:c"]).enumerate() {
        hub.api("publish", json!({ "channel": channel, "data": number, "tags": { "k": "v", "$channel": "a lie" } })).await;
    }
    let heard = |data: u64, channel: &str| json!({ "data": data, "tags": { "k": "v", "$channel": channel }, "channel": channel });
    for (data, channel) in [(6, "ticks:abc"), (7, "ticks:a"), (8, "ticks:ab"), (9, "ticks:"), (10, "ticks:b:c")] {
        assert_eq!(all.publication("ticks:*").await, heard(data, channel));
    }
    for (data, channel) in [(6, "ticks:abc"), (8, "ticks:ab")] {
        assert_eq!(some.publication("ticks:ab*").await, heard(data, channel));
    }
    assert_eq!(one.publication("ticks:abc").await["offset"], 1, "the channel itself is as it was");
    // Whoever listens to both hears it as both, and a client's own publication is like any other.
    all.subscribe("ticks:abc").await;
    some.publish("ticks:abc", 11).await;
    let mut twice = [all.push().await["channel"].clone(), all.push().await["channel"].clone()];
    twice.sort_by_key(Value::to_string);
    assert_eq!(twice, [json!("ticks:*"), json!("ticks:abc")]);
    let own = some.publication("ticks:ab*").await;
    assert_eq!((&own["data"], &own["info"]["client"]), (&json!(11), &json!(some.id())));
    all.unsubscribe("ticks:*").await;
    hub.publish("ticks:z", 12).await;
    hub.publish("ticks:abc", 13).await;
    assert_eq!(all.data("ticks:abc", 1).await, [13]);
    all.has_nothing_waiting().await;
}

async fn a_pattern_has_no_stream(via: Via) {
    let hub = Hub::start(ticks(json!({}))).await;
    let mut client = hub.connect(via).await;
    let request =
        json!({ "channel": "ticks:*", "recoverable": true, "positioned": true, "recover": true, "epoch": "abcd", "offset": 3, "delta": "fossil" });
    assert_eq!(client.subscribe_with(request).await, json!({}), "nothing of what was asked for is there");
    assert_eq!(client.error_of("history", json!({ "channel": "ticks:*", "limit": 1 })).await, 108);
    assert_eq!(client.error_of("publish", json!({ "channel": "ticks:*", "data": 1 })).await, 103);
    assert_eq!(hub.api_error("publish", json!({ "channel": "ticks:*", "data": 1 })).await, 107);
    assert_eq!(hub.api_error("history", json!({ "channel": "ticks:*" })).await, 108);
    let answer = hub.api("broadcast", json!({ "channels": ["ticks:*", "ticks:a"], "data": 1 })).await;
    assert_eq!((&answer["responses"][0]["error"]["code"], &answer["responses"][1]["result"]["offset"]), (&json!(107), &json!(1)));
    assert_eq!(client.data("ticks:*", 1).await, [1]);
    // Where there are no patterns the asterisk is a letter.
    client.subscribe("room:*").await;
    hub.publish("room:a", 1).await;
    hub.publish("room:*", 2).await;
    loop {
        let push = client.push().await;
        if push.get("pub").is_some() {
            assert_eq!((&push["channel"], &push["pub"]["data"]), (&json!("room:*"), &json!(2)));
            break;
        }
    }
}

async fn who_may_listen_to_a_pattern(via: Via) {
    let hub = Hub::start(ticks(json!({}))).await;
    let mut client = hub.connect(via).await;
    client.subscribe("tolls:a").await;
    assert_eq!(client.error_of("subscribe", json!({ "channel": "tolls:*" })).await, 103, "a pattern takes a token here");
    assert_eq!(client.error_of("subscribe", json!({ "channel": "$ticks:*" })).await, 103, "a private one does so everywhere");
    assert_eq!(client.error_of("subscribe", json!({ "channel": "none:*" })).await, 102);
    client.subscribe_with(json!({ "channel": "tolls:*", "token": channel_token("alice", "tolls:*") })).await;
    client.subscribe_with(json!({ "channel": "$ticks:*", "token": channel_token("alice", "$ticks:*") })).await;
    hub.publish("tolls:b", 1).await;
    assert_eq!(client.data("tolls:*", 1).await, [1]);
    hub.publish("ticks:b", 2).await;
    hub.publish("$ticks:b", 3).await;
    assert_eq!(client.data("$ticks:*", 1).await, [3], "what is not private is not meant by it");
}

async fn patterns_are_limited(via: Via) {
    let hub = Hub::start(ticks(json!({ "client": { "wildcard_limit": 2 }, "topic": { "wildcards_max": 3 } }))).await;
    let mut first = hub.connect(via).await;
    first.subscribe("ticks:a*").await;
    first.subscribe("ticks:b*").await;
    assert_eq!(first.error_of("subscribe", json!({ "channel": "ticks:c*" })).await, 106);
    first.subscribe("ticks:c").await;
    let mut second = hub.connect(via).await;
    second.subscribe("ticks:c*").await;
    assert_eq!(second.error_of("subscribe", json!({ "channel": "ticks:d*" })).await, 111, "of all clients together");
    second.subscribe("ticks:a*").await;
    assert_eq!(hub.api_error("subscribe", json!({ "user": "alice", "channel": "ticks:d*" })).await, 111);
    hub.publish("ticks:ab", 1).await;
    assert_eq!((first.data("ticks:a*", 1).await, second.data("ticks:a*", 1).await), (vec![json!(1)], vec![json!(1)]));
    first.leave().await;
    second.leave().await;
    hub.until("no patterns", |state| state["wildcards"] == 0).await;
}

async fn a_token_and_the_server_api_subscribe_to_patterns(via: Via) {
    let hub = Hub::start(ticks(json!({ "client": { "wildcard_limit": 1 } }))).await;
    let mut client = hub.open(via).await;
    let connect = client.connect(json!({ "token": token(&json!({ "sub": "alice", "channels": ["tolls:*"] })) })).await;
    assert_eq!(connect["subs"], json!({ "tolls:*": {} }));
    hub.publish("tolls:x", 1).await;
    assert_eq!(client.publication("tolls:*").await["channel"], "tolls:x");
    let mut other = hub.connect_as(via, "bob").await;
    hub.api("subscribe", json!({ "user": "bob", "channel": "ticks:*" })).await;
    assert_eq!(other.push().await, json!({ "channel": "ticks:*", "subscribe": {} }));
    hub.publish("ticks:x", 2).await;
    assert_eq!(other.data("ticks:*", 1).await, [2]);
    // One more than it may have.
    hub.api("subscribe", json!({ "user": "bob", "channel": "tolls:*" })).await;
    assert_eq!(other.close_code().await, 3505);
    let mut greedy = hub.open(via).await;
    let both = token(&json!({ "sub": "alice", "channels": ["tolls:*", "ticks:*"] }));
    greedy.send("connect", json!({ "token": both })).await;
    assert_eq!(greedy.close_code().await, 3505);
}

async fn those_who_listen_to_a_pattern_are_present_there(via: Via) {
    let namespace = json!({
        "name": "hall", "wildcard_subscriptions": true, "allow_wildcard_for_client": true, "allow_subscribe_for_client": true, "presence": true,
        "join_leave": true, "force_push_join_leave": true,
    });
    let hub = Hub::start(json!({ "channel": { "namespaces": [namespace] } })).await;
    let mut all = hub.connect_as(via, "alice").await;
    all.subscribe("hall:*").await;
    assert_eq!(all.push().await["join"]["info"]["user"], "alice", "of the pattern itself");
    let mut one = hub.connect_as(via, "bob").await;
    one.subscribe("hall:a").await;
    assert_eq!(one.push().await["join"]["info"]["user"], "bob");
    all.has_nothing_waiting().await;
    for (channel, present) in [("hall:*", 1), ("hall:a", 1)] {
        assert_eq!(hub.api("presence_stats", json!({ "channel": channel })).await["num_clients"], present, "{channel}");
    }
}

#[tokio::test]
async fn operators_see_patterns_as_channels() {
    let hub = Hub::start(ticks(json!({ "client": { "token": { "role_claim": "role" } } }))).await;
    let mut client = hub.connect(Codec::Json).await;
    client.subscribe("ticks:*").await;
    let mut operator = hub.open(Codec::Json).await;
    operator.connect(json!({ "token": token(&json!({ "sub": "root", "role": "operator" })) })).await;
    assert_eq!(hub.api("channels", json!({ "limit": 5 })).await, json!({ "channels": { "ticks:*": { "num_clients": 1 } } }));
    let shown = done(&mut operator, "admin.channels.show", json!({ "channel": "ticks:*" })).await;
    assert_eq!((&shown["pattern"], &shown["subscribers"], &shown["history"]), (&json!(true), &json!(1), &json!(null)));
}

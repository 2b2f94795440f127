//! Reading back what was published.

use crate::on_all_transports;
use crate::support::{Codec, Hub, Via};
use serde_json::{Value, json};

on_all_transports!(
    without_a_limit_only_the_position_is_told,
    pages_forward_and_backward,
    history_is_cut_at_its_size,
    history_needs_an_option_and_a_right,
    a_subscriber_may_read_where_allowed,
    positions_of_another_life_are_refused,
    a_page_has_a_largest_size,
    removed_history_keeps_its_position,
    entries_expire_and_their_position_stays,
    publications_in_history_are_whole,
);

async fn filled(via: Via, count: u64) -> (Hub, crate::support::Client) {
    let hub = Hub::start(json!({})).await;
    for number in 1..=count {
        hub.publish("news:x", number).await;
    }
    let client = hub.connect(via).await;
    (hub, client)
}

async fn read(client: &mut crate::support::Client, request: Value) -> (Vec<u64>, Value) {
    let reply = client.call("history", request.clone()).await;
    let result = reply.get("history").unwrap_or_else(|| panic!("history {request} was answered by {reply}"));
    let offsets =
        result["publications"].as_array().map(|list| list.iter().map(|publication| publication["offset"].as_u64().expect("an offset")).collect());
    (offsets.unwrap_or_default(), result.clone())
}

async fn without_a_limit_only_the_position_is_told(via: Via) {
    let (_hub, mut client) = filled(via, 3).await;
    let (offsets, result) = read(&mut client, json!({ "channel": "news:x" })).await;
    assert!(offsets.is_empty());
    assert_eq!(result["offset"], 3);
    assert!(!result["epoch"].as_str().expect("an epoch").is_empty());
    let (offsets, result) = read(&mut client, json!({ "channel": "news:nobody-was-here", "limit": 10 })).await;
    assert!(offsets.is_empty() && !result["epoch"].as_str().expect("an epoch").is_empty());
}

async fn pages_forward_and_backward(via: Via) {
    let (_hub, mut client) = filled(via, 8).await;
    let (_, top) = read(&mut client, json!({ "channel": "news:x" })).await;
    let since = |offset: u64| json!({ "offset": offset, "epoch": top["epoch"] });
    let all: Vec<u64> = (1..=8).collect();
    let back: Vec<u64> = (1..=8).rev().collect();
    for (request, expected) in [
        (json!({ "limit": -1 }), &all[..]),
        (json!({ "limit": 100 }), &all),
        (json!({ "limit": 3 }), &[1, 2, 3]),
        (json!({ "limit": 3, "since": since(3) }), &[4, 5, 6]),
        (json!({ "limit": 3, "since": since(6) }), &[7, 8]),
        (json!({ "limit": 3, "since": since(8) }), &[]),
        (json!({ "limit": 3, "since": { "offset": 3 } }), &[4, 5, 6]),
        (json!({ "limit": -1, "reverse": true }), &back),
        (json!({ "limit": 3, "reverse": true }), &[8, 7, 6]),
        (json!({ "limit": 3, "reverse": true, "since": since(6) }), &[5, 4, 3]),
        (json!({ "limit": 3, "reverse": true, "since": since(1) }), &[]),
    ] {
        let mut request = request;
        request["channel"] = json!("news:x");
        let (offsets, result) = read(&mut client, request.clone()).await;
        assert_eq!(offsets, expected, "{request}");
        assert_eq!(result["offset"], 8, "the top is told with every page");
    }
    assert_eq!(
        client
            .error_of("history", json!({ "channel": "news:x", "limit": 3, "reverse": true, "since": { "offset": 0, "epoch": top["epoch"] } }))
            .await,
        107
    );
}

async fn history_is_cut_at_its_size(via: Via) {
    let (_hub, mut client) = filled(via, 25).await;
    let (offsets, _) = read(&mut client, json!({ "channel": "news:x", "limit": -1 })).await;
    assert_eq!(offsets, (16..=25).collect::<Vec<_>>());
    let (offsets, _) = read(&mut client, json!({ "channel": "news:x", "limit": 2, "since": { "offset": 3 } })).await;
    assert_eq!(offsets, [16, 17], "a position that is cut off reads from the oldest on");
}

async fn history_needs_an_option_and_a_right(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    let reply = client.call("history", json!({ "channel": "plain", "limit": 1 })).await;
    assert_eq!(reply["error"], json!({ "code": 108, "message": "not available" }));
    assert_eq!(client.error_of("history", json!({ "channel": "locked:x", "limit": 1 })).await, 103);
    assert_eq!(client.error_of("history", json!({ "channel": "unknown:x", "limit": 1 })).await, 102);
}

async fn a_subscriber_may_read_where_allowed(via: Via) {
    let options =
        json!({ "name": "own", "history_size": 5, "history_ttl": "60s", "allow_subscribe_for_client": true, "allow_history_for_subscriber": true });
    let hub = Hub::start(json!({ "channel": { "namespaces": [options] } })).await;
    let mut client = hub.connect(via).await;
    assert_eq!(client.error_of("history", json!({ "channel": "own:x", "limit": 1 })).await, 103);
    client.subscribe("own:x").await;
    read(&mut client, json!({ "channel": "own:x", "limit": 1 })).await;
}

async fn positions_of_another_life_are_refused(via: Via) {
    let (_hub, mut client) = filled(via, 3).await;
    let reply = client.call("history", json!({ "channel": "news:x", "limit": 1, "since": { "offset": 1, "epoch": "other" } })).await;
    assert_eq!(reply["error"], json!({ "code": 112, "message": "unrecoverable position" }));
}

async fn a_page_has_a_largest_size(via: Via) {
    let options = json!({ "name": "long", "history_size": 1000, "history_ttl": "60s", "allow_history_for_client": true });
    let hub = Hub::start(json!({ "client": { "history_max_publication_limit": 20 }, "channel": { "namespaces": [options] } })).await;
    for _ in 0..30 {
        hub.publish("long:x", 1).await;
    }
    let mut client = hub.connect(via).await;
    for limit in [-1, 21, 1_000_000] {
        let (offsets, _) = read(&mut client, json!({ "channel": "long:x", "limit": limit })).await;
        assert_eq!(offsets, (1..=20).collect::<Vec<_>>(), "limit {limit}");
    }
    let all = hub.api("history", json!({ "channel": "long:x", "limit": -1 })).await;
    assert_eq!(all["publications"].as_array().expect("a list").len(), 30, "the limit is the clients'");
}

async fn removed_history_keeps_its_position(via: Via) {
    let (hub, mut client) = filled(via, 3).await;
    let (_, before) = read(&mut client, json!({ "channel": "news:x", "limit": -1 })).await;
    hub.api("history_remove", json!({ "channel": "news:x" })).await;
    let (offsets, after) = read(&mut client, json!({ "channel": "news:x", "limit": -1 })).await;
    assert!(offsets.is_empty());
    assert_eq!((&after["offset"], &after["epoch"]), (&json!(3), &before["epoch"]));
    let published = hub.publish("news:x", 4).await;
    assert_eq!(published, json!({ "offset": 4, "epoch": before["epoch"] }));
}

async fn entries_expire_and_their_position_stays(via: Via) {
    let options = json!({ "name": "brief", "history_size": 10, "history_ttl": "300ms", "allow_history_for_client": true });
    let hub = Hub::start(json!({ "channel": { "namespaces": [options] } })).await;
    let published = hub.publish("brief:x", 1).await;
    let mut client = hub.connect(via).await;
    crate::support::eventually("the entries' end", async || match read(&mut client, json!({ "channel": "brief:x", "limit": -1 })).await {
        (offsets, result) if offsets.is_empty() => {
            assert_eq!((&result["offset"], &result["epoch"]), (&json!(1), &published["epoch"]));
            Ok(())
        }
        (offsets, _) => Err(format!("{offsets:?}")),
    })
    .await;
}

async fn publications_in_history_are_whole(via: Via) {
    let (hub, mut client) = filled(via, 0).await;
    hub.api("publish", json!({ "channel": "news:x", "data": { "a": "ä" }, "tags": { "k": "v" } })).await;
    client.publish("news:x", "mine").await;
    let (_, result) = read(&mut client, json!({ "channel": "news:x", "limit": -1 })).await;
    let publications = &result["publications"];
    assert_eq!(
        (&publications[0]["data"], &publications[0]["tags"], &publications[0]["offset"]),
        (&json!({ "a": "ä" }), &json!({ "k": "v" }), &json!(1))
    );
    assert_eq!((&publications[1]["data"], &publications[1]["info"]), (&json!("mine"), &json!({ "user": "alice", "client": client.id() })));
}

#[tokio::test]
async fn an_empty_history_in_json_names_all_its_members() {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(Codec::Json).await;
    let reply = client.call("history", json!({ "channel": "news:x", "limit": 1 })).await;
    assert_eq!(reply, json!({ "id": reply["id"], "history": { "publications": [], "epoch": reply["history"]["epoch"], "offset": 0 } }));
}

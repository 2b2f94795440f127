//! Subscribers that want publications with certain tags only.

use crate::on_all_transports;
use crate::support::{Client, Hub, Via, many, recovering};
use serde_json::{Value, json};

on_all_transports!(
    only_what_passes_is_told,
    every_comparison_of_the_protocol_is_known,
    a_filter_must_be_allowed_and_well_formed,
    what_was_missed_is_filtered_too,
    a_filter_and_deltas_exclude_each_other,
    many_filters_in_one_channel_do_not_mix,
);

async fn hub() -> Hub {
    let options = json!({
        "name": "offers", "allow_subscribe_for_client": true, "allow_tags_filter": true, "allowed_delta_types": ["fossil"],
        "history_size": 10, "history_ttl": "300s", "force_recovery": true, "join_leave": true,
    });
    Hub::start(json!({ "channel": { "namespaces": [options] } })).await
}

fn filtered(filter: &Value) -> Value {
    json!({ "channel": "offers:1", "tf": filter })
}

async fn offer(hub: &Hub, data: u32, tags: Value) {
    hub.api("publish", json!({ "channel": "offers:1", "data": data, "tags": tags })).await;
}

/// Offers 1 to 6: of two kinds, and of rising prices.
async fn offers(hub: &Hub) {
    for (number, kind) in (1..=6).zip(["car", "boat"].iter().cycle()) {
        offer(hub, number, json!({ "kind": kind, "price": format!("{number}00.50") })).await;
    }
}

/// What has come up to the mark, which every filter lets through.
async fn numbers(client: &mut Client) -> Vec<Value> {
    let mut numbers = Vec::new();
    loop {
        let data = client.publication("offers:1").await["data"].clone();
        if data == 0 {
            return numbers;
        }
        numbers.push(data);
    }
}

async fn only_what_passes_is_told(via: Via) {
    let hub = hub().await;
    let mut everything = hub.connect(via).await;
    everything.subscribe("offers:1").await;
    let mut cars = hub.connect(via).await;
    cars.subscribe_with(filtered(&json!({ "key": "kind", "cmp": "eq", "val": "car" }))).await;
    offers(&hub).await;
    offer(&hub, 0, json!({ "kind": "car" })).await;
    assert_eq!(numbers(&mut cars).await, [1, 3, 5]);
    assert_eq!(numbers(&mut everything).await, [1, 2, 3, 4, 5, 6]);
    // Its position has moved on all the same: it is not told that it missed anything.
    offer(&hub, 0, json!({ "kind": "car" })).await;
    assert_eq!(cars.publication("offers:1").await["offset"], 8);
}

async fn every_comparison_of_the_protocol_is_known(via: Via) {
    let hub = hub().await;
    let leaf = |key: &str, cmp: &str, val: &str| json!({ "key": key, "cmp": cmp, "val": val });
    let cases = [
        (leaf("kind", "neq", "car"), vec![2, 4, 6]),
        (json!({ "key": "kind", "cmp": "in", "vals": ["boat", "plane"] }), vec![2, 4, 6]),
        (json!({ "key": "kind", "cmp": "nin", "vals": ["boat", "plane"] }), vec![1, 3, 5]),
        (json!({ "key": "price", "cmp": "ex" }), vec![1, 2, 3, 4, 5, 6]),
        (json!({ "key": "price", "cmp": "nex" }), vec![]),
        (leaf("kind", "sw", "bo"), vec![2, 4, 6]),
        (leaf("kind", "ew", "ar"), vec![1, 3, 5]),
        (leaf("kind", "ct", "oa"), vec![2, 4, 6]),
        (leaf("price", "gt", "400.5"), vec![5, 6]),
        (leaf("price", "gte", "400.5"), vec![4, 5, 6]),
        (leaf("price", "lt", "300.500"), vec![1, 2]),
        (leaf("price", "lte", "300.500"), vec![1, 2, 3]),
        (json!({ "op": "and", "nodes": [leaf("kind", "eq", "car"), leaf("price", "gt", "200")] }), vec![3, 5]),
        (json!({ "op": "not", "nodes": [{ "op": "or", "nodes": [leaf("kind", "eq", "car"), leaf("price", "gt", "500")] }] }), vec![2, 4]),
    ];
    let mut clients = many(cases.len(), async |number| {
        let mut client = hub.connect(via).await;
        let or_the_mark = json!({ "op": "or", "nodes": [cases[number].0, { "key": "mark", "cmp": "ex" }] });
        client.subscribe_with(filtered(&or_the_mark)).await;
        client
    })
    .await;
    offers(&hub).await;
    offer(&hub, 0, json!({ "mark": "", "price": "0" })).await;
    for (client, (filter, expected)) in clients.iter_mut().zip(&cases) {
        assert_eq!(numbers(client).await, *expected, "{filter}");
    }
}

async fn a_filter_must_be_allowed_and_well_formed(via: Via) {
    let hub = hub().await;
    let mut client = hub.connect(via).await;
    let good = json!({ "key": "kind", "cmp": "ex" });
    assert_eq!(client.error_of("subscribe", json!({ "channel": "news:1", "tf": good })).await, 107, "not allowed there");
    for wrong in [
        json!({}),
        json!({ "key": "kind", "cmp": "like", "val": "car" }),
        json!({ "key": "kind", "cmp": "eq" }),
        json!({ "op": "xor", "nodes": [good] }),
        json!({ "op": "not", "nodes": [good, good] }),
        json!({ "op": "and", "nodes": vec![good.clone(); 64] }),
        json!({ "key": "kind", "cmp": "eq", "val": "v".repeat(5_000) }),
        (0..8).fold(good.clone(), |inner, _| json!({ "op": "not", "nodes": [inner] })),
    ] {
        assert_eq!(client.error_of("subscribe", filtered(&wrong)).await, 107, "{wrong}");
    }
    client.subscribe_with(filtered(&good)).await;
}

async fn what_was_missed_is_filtered_too(via: Via) {
    let hub = hub().await;
    offer(&hub, 7, json!({})).await;
    let mut client = hub.connect(via).await;
    let position = client.subscribe("offers:1").await;
    client.unsubscribe("offers:1").await;
    offers(&hub).await;
    for (val, expected, offset) in [("car", vec![1, 3, 5], 1), ("boat", vec![2, 4, 6], 1), ("plane", vec![], 7)] {
        let mut back = recovering("offers:1", &position);
        back["tf"] = json!({ "key": "kind", "cmp": "eq", "val": val });
        let result = client.subscribe_with(back).await;
        let data: Vec<_> = result["publications"].as_array().into_iter().flatten().map(|publication| publication["data"].clone()).collect();
        assert_eq!(data, expected, "{val}");
        assert_eq!((&result["recovered"], &result["offset"]), (&json!(true), &json!(offset)), "{val}");
        client.unsubscribe("offers:1").await;
    }
}

async fn a_filter_and_deltas_exclude_each_other(via: Via) {
    let hub = hub().await;
    let mut client = hub.connect(via).await;
    let mut request = filtered(&json!({ "key": "kind", "cmp": "ex" }));
    request["delta"] = json!("fossil");
    assert_eq!(client.subscribe_with(request).await.get("delta"), None);
    offers(&hub).await;
    assert_eq!(client.data("offers:1", 6).await, [1, 2, 3, 4, 5, 6]);
}

async fn many_filters_in_one_channel_do_not_mix(via: Via) {
    let hub = hub().await;
    let price = |number: usize| json!({ "key": "price", "cmp": "eq", "val": format!("{}00.50", number % 6 + 1) });
    let mut clients = many(24, async |number| {
        let mut client = hub.connect(via).await;
        client.subscribe_with(filtered(&price(number))).await;
        client
    })
    .await;
    // Those who leave take nobody else's place.
    for client in clients.drain(..6) {
        client.leave().await;
    }
    offers(&hub).await;
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.data("offers:1", 1).await, [number % 6 + 1]);
        client.has_nothing_waiting().await;
    }
}

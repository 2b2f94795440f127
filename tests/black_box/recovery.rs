//! Coming back, and getting exactly what was missed, or being told that this cannot be.

use crate::on_all_transports;
use crate::support::token::user_token;
use crate::support::{Client, Codec, Hub, Via};
use serde_json::{Value, json};

on_all_transports!(
    a_client_that_comes_back_gets_what_it_missed,
    nothing_missed_is_nothing_sent,
    the_position_is_told_without_recovery,
    more_than_is_kept_is_not_recovered,
    another_life_of_the_stream_is_not_recovered,
    a_position_of_the_future_is_not_recovered,
    an_empty_position_recovers_a_whole_stream,
    the_reject_flag_turns_an_unrecovered_position_into_an_error,
    recovery_has_a_largest_size,
    recovery_must_be_asked_for_or_forced,
    expired_entries_are_not_recovered,
    nothing_is_lost_or_doubled_while_publishing_goes_on,
    the_cache_gives_the_newest_only,
    the_cache_is_given_unasked_where_configured,
    positioned_subscribers_know_where_they_are,
    publications_without_history_do_not_move_a_position,
);

fn data(result: &Value) -> Vec<Value> {
    result["publications"].as_array().map(|list| list.iter().map(|publication| publication["data"].clone()).collect()).unwrap_or_default()
}

async fn a_client_that_comes_back_gets_what_it_missed(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut alice = hub.connect(via).await;
    hub.publish("news:world", "before").await;
    let position = alice.subscribe("news:world").await;
    assert_eq!((&position["offset"], &position["recoverable"], &position["positioned"]), (&json!(1), &json!(true), &json!(true)));
    alice.cut();
    for number in 1..=3 {
        hub.publish("news:world", number).await;
    }
    let mut alice = hub.connect(via).await;
    let back = alice.recover("news:world", &position).await;
    assert_eq!(data(&back), [1, 2, 3]);
    assert_eq!((&back["recovered"], &back["was_recovering"]), (&json!(true), &json!(true)));
    assert_eq!((&back["offset"], &back["epoch"]), (&json!(1), &position["epoch"]), "the position is the asked one; the publications move it");
    let offsets: Vec<_> = back["publications"].as_array().expect("a list").iter().map(|publication| publication["offset"].as_u64()).collect();
    assert_eq!(offsets, [Some(2), Some(3), Some(4)]);
    hub.publish("news:world", 4).await;
    let live = alice.publication("news:world").await;
    assert_eq!((&live["data"], &live["offset"]), (&json!(4), &json!(5)));
}

async fn nothing_missed_is_nothing_sent(via: Via) {
    let hub = Hub::start(json!({})).await;
    hub.publish("news:x", 1).await;
    let mut client = hub.connect(via).await;
    let position = client.subscribe("news:x").await;
    client.unsubscribe("news:x").await;
    let back = client.recover("news:x", &position).await;
    assert!(data(&back).is_empty());
    assert_eq!((&back["recovered"], &back["was_recovering"], &back["offset"]), (&json!(true), &json!(true), &json!(1)));
}

async fn the_position_is_told_without_recovery(via: Via) {
    let hub = Hub::start(json!({})).await;
    for number in 1..=4 {
        hub.publish("news:x", number).await;
    }
    let mut client = hub.connect(via).await;
    let subscribed = client.subscribe("news:x").await;
    assert_eq!(subscribed, json!({ "recoverable": true, "positioned": true, "epoch": subscribed["epoch"], "offset": 4 }));
}

async fn more_than_is_kept_is_not_recovered(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    hub.publish("news:x", 0).await;
    let position = client.subscribe("news:x").await;
    client.unsubscribe("news:x").await;
    // Ten are kept: ten missed can be given back, eleven cannot.
    for number in 1..=10 {
        hub.publish("news:x", number).await;
    }
    let back = client.recover("news:x", &position).await;
    assert_eq!((&back["recovered"], data(&back).len()), (&json!(true), 10));
    client.unsubscribe("news:x").await;
    hub.publish("news:x", 11).await;
    let back = client.recover("news:x", &position).await;
    assert!(back.get("recovered").is_none_or(|recovered| recovered == false) && data(&back).is_empty(), "{back}");
    assert_eq!((&back["was_recovering"], &back["offset"], &back["epoch"]), (&json!(true), &json!(12), &position["epoch"]));
    // And from there on it is a subscriber like any other.
    hub.publish("news:x", 12).await;
    assert_eq!(client.data("news:x", 1).await, [12]);
}

async fn another_life_of_the_stream_is_not_recovered(via: Via) {
    let hub = Hub::start(json!({})).await;
    let published = hub.publish("news:x", 1).await;
    let mut client = hub.connect(via).await;
    let back = client.recover("news:x", &json!({ "offset": 1, "epoch": "none" })).await;
    assert!(back.get("recovered").is_none_or(|recovered| recovered == false));
    assert_eq!((&back["was_recovering"], &back["offset"], &back["epoch"]), (&json!(true), &json!(1), &published["epoch"]));
}

async fn a_position_of_the_future_is_not_recovered(via: Via) {
    let hub = Hub::start(json!({})).await;
    let published = hub.publish("news:x", 1).await;
    let mut client = hub.connect(via).await;
    for offset in [2, 1_000, u64::from(u32::MAX)] {
        let back = client.recover("news:x", &json!({ "offset": offset, "epoch": published["epoch"] })).await;
        assert!(back.get("recovered").is_none_or(|recovered| recovered == false), "{offset}: {back}");
        assert_eq!(back["offset"], 1);
        client.unsubscribe("news:x").await;
    }
}

async fn an_empty_position_recovers_a_whole_stream(via: Via) {
    let hub = Hub::start(json!({})).await;
    for number in 1..=3 {
        hub.publish("news:x", number).await;
    }
    let mut client = hub.connect(via).await;
    let back = client.recover("news:x", &json!({})).await;
    assert_eq!((data(&back), &back["recovered"]), (vec![json!(1), json!(2), json!(3)], &json!(true)));
}

async fn the_reject_flag_turns_an_unrecovered_position_into_an_error(via: Via) {
    let hub = Hub::start(json!({})).await;
    let published = hub.publish("news:x", 1).await;
    let mut client = hub.connect(via).await;
    for flag in [2, 3] {
        let request = json!({ "channel": "news:x", "recover": true, "offset": 1, "epoch": "none", "flag": flag });
        assert_eq!(client.error_of("subscribe", request).await, 112);
    }
    // It did not subscribe, and a good position passes with the flag.
    let request = json!({ "channel": "news:x", "recover": true, "offset": 0, "epoch": published["epoch"], "flag": 2 });
    assert_eq!(data(&client.subscribe_with(request).await), [1]);
}

async fn recovery_has_a_largest_size(via: Via) {
    let options = json!({ "name": "long", "history_size": 1000, "history_ttl": "60s", "force_recovery": true, "allow_subscribe_for_client": true });
    let hub = Hub::start(json!({ "client": { "recovery_max_publication_limit": 20 }, "channel": { "namespaces": [options] } })).await;
    for number in 1..=20 {
        hub.publish("long:x", number).await;
    }
    let mut client = hub.connect(via).await;
    assert_eq!(data(&client.recover("long:x", &json!({})).await).len(), 20);
    client.unsubscribe("long:x").await;
    hub.publish("long:x", 21).await;
    let back = client.recover("long:x", &json!({})).await;
    assert!(back.get("recovered").is_none_or(|recovered| recovered == false) && data(&back).is_empty(), "{back}");
}

async fn recovery_must_be_asked_for_or_forced(via: Via) {
    let options = |name: &str, more: Value| {
        let base = json!({ "name": name, "history_size": 10, "history_ttl": "60s", "allow_subscribe_for_client": true });
        crate::support::merged(base, more)
    };
    let hub = Hub::start(json!({ "channel": { "namespaces": [
        options("allowed", json!({ "allow_recovery": true })),
        options("placed", json!({ "allow_positioning": true })),
        options("readers", json!({ "allow_history_for_subscriber": true })),
        options("neither", json!({})),
        options("forced", json!({ "force_positioning": true })),
    ] } }))
    .await;
    let mut client = hub.connect(via).await;
    for (channel, asked, positioned, recoverable) in [
        ("allowed:1", json!({}), false, false),
        ("allowed:2", json!({ "recoverable": true }), true, true),
        ("placed:1", json!({ "positioned": true }), true, false),
        ("placed:2", json!({ "recoverable": true }), false, false),
        ("readers:1", json!({ "recoverable": true }), true, true),
        ("neither:1", json!({ "recoverable": true, "positioned": true }), false, false),
        ("forced:1", json!({}), true, false),
    ] {
        let request = crate::support::merged(json!({ "channel": channel }), asked.clone());
        let subscribed = client.subscribe_with(request).await;
        assert_eq!(subscribed.get("positioned").is_some(), positioned, "{channel} {asked}: {subscribed}");
        assert_eq!(subscribed.get("recoverable").is_some(), recoverable, "{channel} {asked}: {subscribed}");
        assert_eq!(subscribed.get("epoch").is_some(), positioned, "{channel}: a position is told to those who keep it");
    }
}

async fn expired_entries_are_not_recovered(via: Via) {
    let options = json!({ "name": "brief", "history_size": 10, "history_ttl": "300ms", "force_recovery": true, "allow_subscribe_for_client": true });
    let hub = Hub::start(json!({ "channel": { "namespaces": [options] } })).await;
    let mut client = hub.connect(via).await;
    let position = client.subscribe("brief:x").await;
    client.unsubscribe("brief:x").await;
    hub.publish("brief:x", 1).await;
    crate::support::eventually("the entries' end", async || {
        let back = client.recover("brief:x", &position).await;
        client.unsubscribe("brief:x").await;
        match back.get("recovered") {
            None | Some(Value::Bool(false)) => Ok(()),
            _ => Err(back.to_string()),
        }
    })
    .await;
}

/// A client that is cut again and again while numbers are published sees each exactly once, in order.
async fn nothing_is_lost_or_doubled_while_publishing_goes_on(via: Via) {
    const LAST: u64 = 400;
    let options = json!({ "name": "long", "history_size": 1000, "history_ttl": "60s", "force_recovery": true, "allow_subscribe_for_client": true, "allow_publish_for_client": true });
    let hub = Hub::start(json!({ "client": { "recovery_max_publication_limit": 1000 }, "channel": { "namespaces": [options] } })).await;
    let publish = async {
        let mut publisher = hub.connect_as(via, "publisher").await;
        for number in 1..=LAST {
            publisher.publish("long:x", number).await;
        }
        publisher.leave().await;
    };
    let listen = async {
        let mut seen: Vec<u64> = Vec::new();
        let mut position = json!({});
        let mut lives = 0;
        while seen.last() != Some(&LAST) {
            lives += 1;
            let mut client = hub.connect(via).await;
            let back = client.recover("long:x", &position).await;
            assert_eq!(back["recovered"], true, "{back}");
            position["epoch"] = back["epoch"].clone();
            seen.extend(data(&back).iter().filter_map(Value::as_u64));
            for _ in 0..10 {
                if seen.last() == Some(&LAST) {
                    break;
                }
                seen.extend(client.publication("long:x").await["data"].as_u64());
            }
            position["offset"] = json!(seen.len());
            client.cut();
        }
        assert!(lives > 2, "the listener came back {lives} times only");
        assert_eq!(seen, (1..=LAST).collect::<Vec<_>>());
    };
    futures_util::future::join(publish, listen).await;
}

async fn the_cache_gives_the_newest_only(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    let back = client.recover("last:x", &json!({})).await;
    assert!(data(&back).is_empty() && back["was_recovering"] == true, "{back}");
    client.unsubscribe("last:x").await;
    hub.publish("last:x", 1).await;
    let published = hub.publish("last:x", 2).await;
    let back = client.recover("last:x", &json!({})).await;
    assert_eq!((data(&back), &back["recovered"]), (vec![json!(2)], &json!(true)));
    client.unsubscribe("last:x").await;
    let back = client.recover("last:x", &published).await;
    assert_eq!((data(&back).len(), &back["recovered"]), (0, &json!(true)), "up to date already");
    client.unsubscribe("last:x").await;
    let back = client.subscribe("last:x").await;
    assert!(data(&back).is_empty(), "nobody asked");
}

async fn the_cache_is_given_unasked_where_configured(via: Via) {
    let options = json!({
        "name": "auto", "history_size": 1, "history_ttl": "60s", "force_recovery": true, "force_recovery_mode": "cache",
        "auto_cache_recover": true, "allow_subscribe_for_client": true,
    });
    let hub = Hub::start(json!({ "channel": { "namespaces": [options] } })).await;
    hub.publish("auto:x", 1).await;
    let mut client = hub.connect(via).await;
    assert_eq!(data(&client.subscribe("auto:x").await), [1]);
}

async fn positioned_subscribers_know_where_they_are(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    let subscribed = client.subscribe("news:x").await;
    let mut offset = subscribed.get("offset").and_then(Value::as_u64).unwrap_or(0);
    for _ in 0..30 {
        hub.publish("news:x", 1).await;
        offset += 1;
        assert_eq!(client.publication("news:x").await["offset"], offset);
    }
}

async fn publications_without_history_do_not_move_a_position(via: Via) {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(via).await;
    let position = client.subscribe("news:x").await;
    let skipped = hub.api("publish", json!({ "channel": "news:x", "data": "fleeting", "skip_history": true })).await;
    assert_eq!(skipped, json!({}));
    let fleeting = client.publication("news:x").await;
    assert!(fleeting.get("offset").is_none() && fleeting["data"] == "fleeting");
    hub.publish("news:x", "kept").await;
    assert_eq!(client.publication("news:x").await["offset"], 1);
    client.unsubscribe("news:x").await;
    assert_eq!(data(&client.recover("news:x", &position).await), ["kept"]);
}

/// 200 clients come back at once; each must get all that it missed, whatever reads are shared between them.
#[tokio::test]
async fn a_storm_of_returning_clients_loses_nothing() {
    const CLIENTS: usize = 200;
    const MISSED: u64 = 100;
    let options = json!({ "name": "long", "history_size": 1000, "history_ttl": "60s", "force_recovery": true, "allow_subscribe_for_client": true });
    let hub = Hub::start(json!({ "channel": { "namespaces": [options] } })).await;
    hub.publish("long:x", 0).await;
    let mut first = hub.connect(Codec::Json).await;
    let position = first.subscribe("long:x").await;
    for number in 1..=MISSED {
        hub.publish("long:x", number).await;
    }
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..CLIENTS {
        let via = if number % 2 == 0 { Codec::Json } else { Codec::Protobuf };
        let mut client = hub.open(via).await;
        client
            .send_all(&[
                json!({ "id": 1, "connect": { "token": user_token("alice") } }),
                json!({ "id": 2, "subscribe": { "channel": "long:x", "recover": true, "offset": position["offset"], "epoch": position["epoch"] } }),
            ])
            .await;
        clients.push(client);
    }
    hub.publish("long:x", MISSED + 1).await;
    for client in &mut clients {
        let back = client.reply(2).await.expect("a reply")["subscribe"].clone();
        let mut seen = data(&back);
        if seen.len() as u64 == MISSED {
            client.reply(1).await.expect("connected");
            seen.push(client.publication("long:x").await["data"].clone());
        }
        assert_eq!(seen, (1..=MISSED + 1).map(Value::from).collect::<Vec<_>>());
    }
}

/// A stream that nobody used for its meta TTL is forgotten, epoch and all; whoever comes back to it is told so.
#[tokio::test]
async fn a_forgotten_stream_begins_another_life() {
    let options = json!({
        "name": "brief", "history_size": 10, "history_ttl": "200ms", "history_meta_ttl": "300ms",
        "force_recovery": true, "allow_subscribe_for_client": true,
    });
    let hub = Hub::start(json!({ "channel": { "namespaces": [options] } })).await;
    let streams = || Ok::<_, String>(hub.state()?["streams"].clone());
    let before = streams().expect("the state");
    let published = hub.publish("brief:x", 1).await;
    // Every look at a stream is a use, so it is left alone until the hub itself says that it is gone.
    crate::support::eventually("the stream's end", async || match streams()? {
        now if now == before => Ok(()),
        now => Err(format!("{now} streams")),
    })
    .await;
    let mut client = hub.connect(Codec::Json).await;
    let back = client.recover("brief:x", &published).await;
    assert_ne!(back["epoch"], published["epoch"]);
    assert_eq!((&back["was_recovering"], back.get("recovered"), back.get("offset")), (&json!(true), None, None));
}

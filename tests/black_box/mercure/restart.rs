//! Cursors from before a restart: they hold where durable history has everything that came after, and are unknown everywhere else.

use super::source::{Event, Source};
use super::{hub, legacy, post};
use crate::support::{Hub, merged};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A hub with a namespace for each durability, over what earlier ones left in `data`.
async fn over(data: &TempDir, changes: Value) -> Hub {
    let namespace = |durability: &str| {
        json!({
            "name": durability, "history_durability": durability, "history_size": 100, "history_ttl": "1h",
            "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
        })
    };
    let namespaces = ["memory", "accepted", "durable"].map(namespace);
    let own = json!({
        "data_dir": data.path().display().to_string(),
        "mercure": { "anonymous": true },
        "channel": { "namespaces": namespaces },
    });
    hub(merged(own, changes)).await
}

async fn publish(hub: &Hub, form: &str) {
    let answer = post(hub, Some(&legacy(json!(["*"]), json!([]))), form).await;
    assert_eq!(answer.status(), 200, "{form}: {}", answer.text());
}

/// Comes back with a cursor. What it is told, in lower case.
async fn back(hub: &Hub, query: &str, cursor: &str) -> (Source, String) {
    let source = Source::open(hub, query, &[("Last-Event-ID", cursor)]).await;
    let told = source.header("last-event-id").expect("it showed a cursor").to_owned();
    (source, told)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Stop,
    Kill,
}

async fn end(mut hub: Hub, how: End) {
    match how {
        End::Kill => hub.kill(),
        End::Stop => {
            hub.terminate();
            assert!(hub.exit().await.success(), "{}", hub.log());
        }
    }
}

/// Whoever cannot be given all that it missed is told so, and given nothing that would look as if it were all.
async fn is_unknown(hub: &Hub, query: &str, cursor: &str, channel: &str) {
    let (mut source, told) = back(hub, query, cursor).await;
    assert_eq!(told, "earliest", "{query}");
    hub.publish(channel, "live").await;
    assert_eq!(source.data().await, "\"live\"", "{query}: nothing is replayed");
}

#[tokio::test]
async fn what_durable_history_has_is_replayed_after_any_end() {
    for how in [End::Stop, End::Kill] {
        let data = tempfile::tempdir().expect("a directory can be made");
        let first = over(&data, json!({})).await;
        let mut source = Source::open(&first, "topic=durable:a&topic=durable:b", &[]).await;
        first.publish("durable:a", 1).await;
        publish(&first, "topic=durable:b&data=two&id=urn:two").await;
        let made = source.event().await;
        assert_eq!((made.data.as_str(), source.event().await.id.as_str()), ("1", "urn:two"));
        drop(source);
        publish(&first, "topic=durable:a&data=three%0Alines&type=tick&retry=7&id=urn:three").await;
        publish(&first, "topic=durable:b&topic=durable:a&data=4").await;
        publish(&first, "topic=durable:a&data=private&private=on").await;
        publish(&first, "topic=memory:a&data=lost").await;
        first.publish("durable:b", json!({ "n": 5 })).await;
        publish(&first, "topic=durable:b&data=again&id=urn:two").await;
        end(first, how).await;

        let second = over(&data, json!({})).await;
        let (mut source, told) = back(&second, "topic=durable:a", &made.id).await;
        assert_eq!(told, made.id.to_lowercase(), "{how:?}: everything after it follows");
        let three = Event { id: "urn:three".to_owned(), event: "tick".to_owned(), data: "three\nlines".to_owned(), retry: "7".to_owned() };
        assert_eq!((source.event().await, source.data().await.as_str()), (three, "4"));
        second.publish("durable:a", 6).await;
        assert_eq!(source.data().await, "6", "and what is live comes behind it; the private one is not for everybody");

        let (mut source, told) = back(&second, "topic=durable:a&topic=durable:b", "urn:two").await;
        assert_eq!(
            (told.as_str(), source.all_data(5).await),
            ("urn:two", ["three\nlines", "4", "{\"n\":5}", "again", "6"].map(str::to_owned).to_vec())
        );
        let bearer = format!("Bearer {}", legacy(json!([]), json!(["*"])));
        let mut source = Source::open(&second, "match=durable:a", &[("Last-Event-ID", "urn:two"), ("Authorization", &bearer)]).await;
        assert_eq!(source.header("mercure-last-event-id"), Some("earliest"), "the private channel was first used after the cursor");
        second.publish("durable:a", 7).await;
        assert_eq!(source.data().await, "7");
        let mut source = Source::open(&second, "topic=durable:a&lastEventID=earliest", &[("Authorization", &bearer)]).await;
        assert_eq!(source.all_data(6).await, ["1", "three\nlines", "4", "private", "6", "7"]);

        // What this life gave out holds on, and a third life knows both.
        let (_, told) = back(&second, "topic=durable:a&topic=memory:a&topic=durable:{x}", &format!("{}0", made.id)).await;
        assert_eq!(told, "earliest");
        let mut source = Source::open(&second, "topic=durable:a", &[]).await;
        second.publish("durable:a", 8).await;
        let eight = source.event().await.id;
        drop(source);
        end(second, how).await;
        let third = over(&data, json!({})).await;
        third.publish("durable:a", 9).await;
        for (cursor, expected) in [(eight.as_str(), vec!["9"]), (&made.id, vec!["three\nlines", "4", "6", "7", "8", "9"])] {
            let (mut source, told) = back(&third, "topic=durable:a", cursor).await;
            assert_eq!((told, source.all_data(expected.len()).await), (cursor.to_lowercase(), expected.into_iter().map(str::to_owned).collect()));
        }
    }
}

/// A gap is never passed over: whoever may have missed something that is not kept is told.
#[tokio::test]
async fn a_cursor_that_may_hide_a_gap_is_unknown() {
    let data = tempfile::tempdir().expect("a directory can be made");
    let first = over(&data, json!({})).await;
    for channel in ["durable:a", "memory:a", "accepted:a", "accepted:b"] {
        publish(&first, &format!("topic={channel}&data=1&id=urn:{channel}")).await;
    }
    end(first, End::Stop).await;
    let second = over(&data, json!({})).await;
    for query in ["topic=memory:a", "topic=durable:a&topic=memory:a", "topic=durable:{x}&topic=durable:a", "topic=*&topic=durable:a"] {
        is_unknown(&second, query, if query.starts_with("topic=memory") { "urn:memory:a" } else { "urn:durable:a" }, query_channel(query)).await;
    }
    is_unknown(&second, "topic=accepted:a&topic=accepted:b", "urn:accepted:a", "accepted:a").await;
    let (mut source, told) = back(&second, "topic=accepted:a", "urn:accepted:a").await;
    assert_eq!((told.as_str(), source.data().await.as_str()), ("urn:accepted:a", "\"live\""), "one channel has its own order");
    end(second, End::Kill).await;

    let third = over(&data, json!({})).await;
    is_unknown(&third, "topic=accepted:a", "urn:accepted:a", "accepted:a").await;
    let (_, told) = back(&third, "topic=durable:a", "urn:durable:a").await;
    assert_eq!(told, "urn:durable:a");
    end(third, End::Stop).await;

    // Now the channel keeps less than the client missed.
    let short = json!({ "channel": { "namespaces": [{
        "name": "durable", "history_durability": "durable", "history_size": 2, "history_ttl": "1h", "allow_subscribe_for_anonymous": true,
        "allow_subscribe_for_client": true,
    }] } });
    let fourth = over(&data, short.clone()).await;
    for n in 0..3 {
        fourth.publish("durable:a", n).await;
    }
    end(fourth, End::Stop).await;
    let fifth = over(&data, short).await;
    is_unknown(&fifth, "topic=durable:a", "urn:durable:a", "durable:a").await;
}

fn query_channel(query: &str) -> &'static str {
    if query.contains("durable") { "durable:a" } else { "memory:a" }
}

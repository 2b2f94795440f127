//! Events of a feed reach the subscribers of a channel, through the whole hub.

use crate::in_both_codecs;
use crate::support::{Canaries, Codec, Feed, Hub};
use serde_json::{Value, json};

in_both_codecs!(events_become_publications, a_feed_that_comes_back_loses_nothing, an_envelope_keeps_what_the_feed_said);

async fn read(feed: &Feed, options: Value) -> Hub {
    let mut entry = json!({ "name": "ticks", "url": feed.url(), "channel": "news:ticks", "retry_initial": "100ms", "retry_max": "200ms" });
    entry = crate::support::merged(entry, options);
    let hub = Hub::start(json!({ "upstream": { "feeds": [entry] } })).await;
    feed.request(1).await;
    hub
}

async fn events_become_publications(codec: Codec) {
    let feed = Feed::start();
    let hub = read(&feed, json!({ "headers": { "X-From": "the tests" } })).await;
    assert!(feed.request(1).await.contains("x-from: the tests"));
    let mut subscribers = Vec::new();
    for _ in 0..10 {
        let mut client = hub.connect(codec).await;
        client.subscribe("news:ticks").await;
        subscribers.push(client);
    }
    feed.say(": a comment\n\nid: 7\nevent: tick\ndata: {\"price\":1.50,\ndata: \"b\":[]}\n\ndata: plain words\n\n");
    for client in &mut subscribers {
        let tick = client.publication("news:ticks").await;
        assert_eq!((&tick["data"], &tick["offset"]), (&json!({ "price": 1.5, "b": [] }), &json!(1)));
        assert_eq!(tick["tags"], json!({ "event": "tick", "id": "7" }));
        assert!(tick.get("info").is_none(), "a feed is nobody");
        let words = client.publication("news:ticks").await;
        assert_eq!((&words["data"], &words["offset"]), (&json!("plain words"), &json!(2)));
    }
    assert_eq!(feed.requests(), 1, "one connection, however many subscribers");
}

async fn a_feed_that_comes_back_loses_nothing(codec: Codec) {
    let feed = Feed::start();
    let hub = read(&feed, json!({})).await;
    let mut client = hub.connect(codec).await;
    client.subscribe("news:ticks").await;
    feed.say("id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n");
    assert_eq!(client.data("news:ticks", 2).await, [1, 2]);
    // Half an event is no event.
    feed.say("id: 3\ndata: 3\n");
    feed.hang_up();
    assert!(feed.request(2).await.contains("last-event-id: 2"), "the feed is asked to go on where it was");
    feed.say("id: 3\ndata: 3\n\n");
    assert_eq!(client.data("news:ticks", 1).await, [3]);
    client.has_nothing_waiting().await;
}

async fn an_envelope_keeps_what_the_feed_said(codec: Codec) {
    let feed = Feed::start();
    let hub = read(&feed, json!({ "format": "envelope", "channel": "news:{name}-{event}" })).await;
    let mut client = hub.connect(codec).await;
    client.subscribe("news:ticks-tock").await;
    feed.say("id: a\nevent: tock\ndata: {\"x\": 1}\n\n");
    let publication = client.publication("news:ticks-tock").await;
    assert_eq!(publication["data"], json!({ "event": "tock", "id": "a", "data": "{\"x\": 1}" }));
}

#[tokio::test]
async fn a_feed_without_manners_hurts_nobody() {
    let feed = Feed::start();
    let hub = read(&feed, json!({ "line_bytes_max": "64KiB" })).await;
    Canaries::beside(&hub, async {
        // A line without an end.
        for _ in 0..40 {
            feed.say(&"x".repeat(10_000));
        }
        feed.request(2).await;
        feed.say("retry: 0\nretry: 99999999999999999999\nid: \u{0}\nevent: \u{feff}\ndata: \u{0}\n\n");
        feed.say("data: still here\n\n");
        let mut client = hub.connect(Codec::Json).await;
        client.subscribe("news:ticks").await;
        feed.say("data: and now\n\n");
        loop {
            if client.publication("news:ticks").await["data"] == "and now" {
                break;
            }
        }
        client.leave().await;
    })
    .await;
}

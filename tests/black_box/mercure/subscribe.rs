//! EventSource clients: who may come in, what they see, from where on.

use super::source::{Event, Source};
use super::{PATH, hub, legacy, modern_hub, post};
use crate::support::token::{SECRET, now, signed, token};
use crate::support::{Codec, Hub, eventually, merged, request, request_at};
use serde_json::{Value, json};

/// A hub for subscribers without tokens, in which everybody may see the channels that tests use.
async fn open_hub(changes: Value) -> Hub {
    let open = json!({ "allow_subscribe_for_anonymous": true });
    let channel = json!({ "without_namespace": open, "namespaces": [
        merged(open.clone(), json!({ "name": "ticks", "allow_subscribe_for_client": true, "allow_publish_for_client": true })),
    ] });
    hub(merged(json!({ "mercure": { "anonymous": true }, "channel": channel }), changes)).await
}

async fn publish(hub: &Hub, form: &str) -> String {
    let answer = post(hub, Some(&legacy(json!(["*"]), json!([]))), form).await;
    assert_eq!(answer.status(), 200, "{form}: {}", answer.text());
    answer.text()
}

#[tokio::test]
async fn an_event_source_sees_what_websocket_subscribers_see() {
    let hub = open_hub(json!({})).await;
    let mut source = Source::open(&hub, "topic=ticks:host&topic=https://example.com/books/{id}", &[]).await;
    assert_eq!(source.header("content-type"), Some("text/event-stream"));
    assert!(source.header("cache-control").is_some_and(|value| value.contains("no-cache") && value.contains("no-transform")));
    assert_eq!(source.header("x-accel-buffering"), Some("no"));
    assert_eq!(source.header("last-event-id"), None, "no cursor was shown");
    let mut alice = hub.connect(Codec::Json).await;
    alice.subscribe("ticks:host").await;

    publish(&hub, "topic=ticks:host&data=a%0Ab&id=urn:1&type=tick&retry=5000").await;
    let expected = Event { id: "urn:1".to_owned(), event: "tick".to_owned(), data: "a\nb".to_owned(), retry: "5000".to_owned() };
    assert_eq!(source.event().await, expected);
    assert_eq!(alice.publication("ticks:host").await["data"], json!("a\nb"));
    alice.publish("ticks:host", json!({ "by": "alice" })).await;
    assert_eq!(source.data().await, r#"{"by":"alice"}"#);
    hub.publish("ticks:host", 7).await;
    assert_eq!(source.data().await, "7");
    hub.publish("ticks:other", 8).await;
    publish(&hub, "topic=https://example.com/books/1&data=book").await;
    assert_eq!(source.data().await, "book");
    publish(&hub, "topic=https://example.com/books/1&topic=ticks:host&topic=ticks:x&data=once").await;
    publish(&hub, "topic=x&topic=ticks:host&data=alternate").await;
    publish(&hub, "topic=ticks:host").await;
    assert_eq!(source.all_data(3).await, ["once", "alternate", ""]);
}

#[tokio::test]
async fn url_patterns_and_exact_matches_of_the_modern_generation() {
    let hub = open_hub(json!({})).await;
    let mut source = Source::open(&hub, "match_urlpattern=https://example.com/books/:id&match=https://example.com/:x", &[]).await;
    for (topic, data) in
        [("https://example.com/books/1/2", 1), ("https://example.com/y", 2), ("https://EXAMPLE.com/books/9", 3), ("https://example.com/:x", 4)]
    {
        publish(&hub, &format!("topic={topic}&data={data}")).await;
    }
    assert_eq!(source.all_data(2).await, ["3", "4"]);
    let mut all = Source::open(&hub, "match=*", &[]).await;
    publish(&hub, "topic=whatever&data=5").await;
    assert_eq!(all.data().await, "5");
}

#[tokio::test]
async fn who_comes_back_gets_what_it_missed() {
    let hub = open_hub(json!({})).await;
    for n in 1..=3 {
        publish(&hub, &format!("topic=ticks:host&data={n}&id=id-{n}")).await;
    }
    hub.publish("ticks:host", 4).await;
    publish(&hub, "topic=ticks:other&data=x").await;
    let mut source = Source::open(&hub, "topic=ticks:host", &[("Last-Event-ID", "id-2")]).await;
    assert_eq!(source.header("last-event-id"), Some("id-2"));
    assert_eq!(source.data().await, "3");
    let four = source.event().await;
    assert_eq!(four.data, "4");
    hub.publish("ticks:host", 5).await;
    assert_eq!(source.data().await, "5");

    let mut source = Source::open(&hub, &format!("topic=ticks:host&lastEventID={}", four.id), &[]).await;
    assert_eq!(source.header("last-event-id"), Some(four.id.to_lowercase().as_str()));
    assert_eq!(source.data().await, "5");
    let mut source = Source::open(&hub, "topic=ticks:{x}&lastEventID=earliest", &[]).await;
    assert_eq!(source.header("last-event-id"), Some("earliest"));
    assert_eq!(source.all_data(6).await, ["1", "2", "3", "4", "x", "5"]);
    let mut source = Source::open(&hub, "topic=ticks:host&lastEventID=id-1", &[("Last-Event-ID", "id-3")]).await;
    assert_eq!(source.header("last-event-id"), Some("id-3"), "the header counts before the query");
    assert_eq!(source.data().await, "4");
    for (query, header, told) in [
        ("topic=ticks:host&lastEventID=unknown", "last-event-id", Some("earliest")),
        ("topic=ticks:host&lastEventID=", "last-event-id", None),
        ("topic=ticks:host&last_event_id=id-1", "last-event-id", None),
        ("topic=ticks:host&Last-Event-ID=id-1", "last-event-id", None),
        ("match=ticks:host&last_event_id=id-3", "mercure-last-event-id", Some("id-3")),
        ("match=ticks:host&last_event_id=", "mercure-last-event-id", Some("earliest")),
        ("match=ticks:host&lastEventID=id-3", "mercure-last-event-id", None),
    ] {
        let mut source = Source::open(&hub, query, &[]).await;
        assert_eq!(source.header(header), told, "{query}");
        if told != Some("id-3") {
            hub.publish("ticks:host", 9).await;
            assert_eq!(source.data().await, "9", "{query}: nothing is replayed");
        }
    }
}

#[tokio::test]
async fn without_history_nothing_is_replayed() {
    let hub = open_hub(json!({ "mercure": { "history_size": 0 } })).await;
    publish(&hub, "topic=ticks:host&data=1&id=one").await;
    let mut source = Source::open(&hub, "topic=ticks:host&lastEventID=one", &[]).await;
    assert_eq!(source.header("last-event-id"), Some("earliest"));
    publish(&hub, "topic=ticks:host&data=2").await;
    assert_eq!(source.data().await, "2");
}

/// Nobody who comes back while updates come without a pause misses one, or gets one twice.
#[tokio::test]
async fn history_and_what_is_live_meet_without_a_seam() {
    const UPDATES: usize = 400;
    let hub = open_hub(json!({})).await;
    publish(&hub, "topic=ticks:host&data=0&id=start").await;
    let caller = hub.caller();
    let publishing = tokio::spawn(async move {
        for n in 1..=UPDATES {
            caller.try_call("publish", json!({ "channel": "ticks:host", "data": n })).await.expect("published");
        }
    });
    let mut cursor = "start".to_owned();
    let mut expected = 1;
    while expected <= UPDATES {
        let mut source = Source::open(&hub, "topic=ticks:host", &[("Last-Event-ID", &cursor)]).await;
        for _ in 0..(UPDATES + 1 - expected).min(23) {
            let event = source.event().await;
            assert_eq!(event.data, expected.to_string());
            expected += 1;
            cursor = event.id;
        }
    }
    publishing.await.expect("published");
}

#[tokio::test]
async fn private_updates_are_for_those_who_are_entitled() {
    let hub = hub(json!({ "mercure": { "anonymous": true } })).await;
    let open = async |token: Option<&str>, query: &str| {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
        Source::open(&hub, query, &headers).await
    };
    let mut anonymous = open(None, "topic=a").await;
    let mut entitled = open(Some(&legacy(json!([]), json!(["a"]))), "topic=a").await;
    let mut by_alternate = open(Some(&legacy(json!([]), json!(["b/{x}"]))), "topic=a").await;
    let mut entitled_elsewhere = open(Some(&legacy(json!([]), json!(["c"]))), "topic=a").await;
    let mut everything = open(Some(&legacy(json!([]), json!(["*"]))), "topic=*").await;
    publish(&hub, "topic=a&data=1&private=on").await;
    publish(&hub, "topic=a&topic=b/1&data=2&private").await;
    publish(&hub, "topic=b/1&data=3&private").await;
    publish(&hub, "topic=a&data=4").await;
    assert_eq!(anonymous.data().await, "4");
    assert_eq!(entitled.all_data(3).await, ["1", "2", "4"]);
    assert_eq!(by_alternate.all_data(2).await, ["2", "4"], "rights may match another topic than the selector, and do not widen it");
    assert_eq!(entitled_elsewhere.data().await, "4");
    assert_eq!(everything.all_data(4).await, ["1", "2", "3", "4"]);
    let mut replayed = open(None, "topic=a&lastEventID=earliest").await;
    assert_eq!(replayed.data().await, "4", "what is stored is judged by the same rule");
}

/// What is published otherwise is seen by those whom the namespace lets subscribe.
#[tokio::test]
async fn a_namespace_keeps_its_rules() {
    let members = json!({ "name": "members", "allow_subscribe_for_client": true });
    let hub = open_hub(json!({ "channel": { "namespaces": [members] } })).await;
    let bearer = |subscribe: Value| format!("Bearer {}", legacy(json!([]), subscribe));
    let (nothing, locked) = (bearer(json!([])), bearer(json!(["locked:{x}", "$private"])));
    let topics = "topic=locked:a&topic=members:a&topic=ticks:a&topic=plain";
    let mut anonymous = Source::open(&hub, topics, &[]).await;
    let mut known = Source::open(&hub, topics, &[("Authorization", &nothing)]).await;
    let mut entitled = Source::open(&hub, topics, &[("Authorization", &locked)]).await;
    for (channel, data) in [("locked:a", 1), ("members:a", 2), ("$plain", 3), ("ticks:a", 4)] {
        hub.publish(channel, data).await;
    }
    assert_eq!(anonymous.data().await, "4");
    assert_eq!(known.all_data(2).await, ["2", "4"]);
    assert_eq!(entitled.all_data(3).await, ["1", "2", "4"]);
}

#[tokio::test]
async fn each_refusal_has_its_status() {
    let hub = modern_hub(json!({})).await;
    let get =
        async |query: &str, headers: &[(&str, &str)]| request_at(&hub.dial(), "hub.example", "GET", &format!("{PATH}?{query}"), headers, b"").await;
    let good = format!("Bearer {}", legacy(json!([]), json!(["*"])));
    let expired = format!("Bearer {}", signed(&json!({ "alg": "HS256" }), &json!({ "mercure": {}, "exp": now() - 1 }), SECRET));
    let many = |name: &str, count: usize| (0..count).map(|n| format!("{name}={n}")).collect::<Vec<_>>().join("&");
    let cases: &[(&str, Option<&str>, u16, Option<&str>)] = &[
        ("", Some(&good), 400, None),
        ("x=1", Some(&good), 400, None),
        (&many("topic", 1_001), Some(&good), 400, None),
        (&many("topic", 10_000), Some(&good), 400, None),
        (&many("match", 101), Some(&good), 400, None),
        ("topic=a&match=b", Some(&good), 400, None),
        ("match=a&matches=b", Some(&good), 400, None),
        ("match_urlpattern=/(", Some(&good), 400, None),
        ("match=a%00", Some(&good), 400, None),
        ("topic=a", None, 401, None),
        ("match=a", None, 401, Some("Bearer resource_metadata=")),
        ("topic=a", Some("Basic abc"), 401, None),
        ("match=a", Some("Basic abc"), 400, Some("invalid_request")),
        ("topic=a", Some(&expired), 401, None),
        ("match=a", Some(&expired), 401, Some("invalid_token")),
        ("match=a&authorization=x", None, 401, Some("Bearer resource_metadata=")),
    ];
    for (query, authorization, status, challenge) in cases {
        let headers: Vec<(&str, &str)> = authorization.iter().map(|value| ("Authorization", *value)).collect();
        let answer = get(query, &headers).await;
        assert_eq!(answer.status(), *status, "{}: {}", &query[..query.len().min(40)], answer.text());
        let shown = answer.head.header("www-authenticate");
        match challenge {
            Some(part) => assert!(shown.is_some_and(|shown| shown.contains(part)), "{query}: {shown:?}"),
            None => assert_eq!(shown, None, "{query}"),
        }
    }
    let answer = request(&hub.dial(), "GET", &format!("{PATH}?match=a"), &[("Authorization", &good)], b"").await;
    assert_eq!(answer.status(), 421);
    let head = request(&hub.dial(), "HEAD", &format!("{PATH}?topic=a"), &[("Authorization", &good)], b"").await;
    assert_eq!((head.status(), head.head.header("content-type"), head.body.len()), (200, Some("text/event-stream"), 0));
    let query = format!("topic=a&authorization={}", legacy(json!([]), json!(["*"])));
    drop(Source::open(&hub, &query, &[]).await);
    let cookie = format!("mercureAuthorization={}", legacy(json!([]), json!(["*"])));
    drop(Source::open(&hub, "topic=a", &[("Cookie", &cookie), ("Origin", "https://any.example")]).await);
    assert!(Source::try_open(&hub, "topic=a", &[("Cookie", &cookie), ("Authorization", "Bearer bad")]).await.is_err(), "the header counts");
}

#[tokio::test]
async fn an_answer_ends_when_its_token_does() {
    let hub = hub(json!({})).await;
    let expiry = now() + 3;
    let bearer = format!("Bearer {}", token(&json!({ "mercure": { "subscribe": ["*"] }, "exp": expiry })));
    let mut source = Source::open(&hub, "topic=a", &[("Authorization", &bearer)]).await;
    source.ends().await;
    assert!(now() <= expiry, "it may not outlive its token");
    hub.until_empty().await;
}

#[tokio::test]
async fn an_answer_ends_after_the_longest_time_and_silence_is_filled() {
    let hub = open_hub(json!({ "mercure": { "write_timeout": "4s", "dispatch_timeout": "1s", "heartbeat": "1s" } })).await;
    let mut source = Source::open(&hub, "topic=a", &[]).await;
    source.until_comments(2).await;
    source.ends().await;
    assert!(source.comments <= 4, "{} comments in at most 4 s", source.comments);
}

#[tokio::test]
async fn a_hub_that_stops_says_when_to_come_back() {
    let mut hub = open_hub(json!({})).await;
    let mut source = Source::open(&hub, "topic=a", &[]).await;
    hub.terminate();
    source.ends().await;
    assert!(source.retry.parse::<u64>().is_ok_and(|ms| (1_000..=5_000).contains(&ms)), "{:?}", source.retry);
    assert!(hub.exit().await.success());
}

#[tokio::test]
async fn whoever_reads_slowly_is_cut_and_hinders_nobody() {
    let hub = open_hub(
        json!({ "client": { "queue_max_size": 200_000 }, "mercure": { "dispatch_timeout": "2s" }, "http_server": { "request_body_max": "2MiB" } }),
    )
    .await;
    let slow = Source::open(&hub, "topic=ticks:host", &[]).await;
    let mut quick = Source::open(&hub, "topic=ticks:host", &[]).await;
    let large = "x".repeat(100_000);
    for n in 0..200 {
        hub.publish("ticks:host", json!({ "n": n, "x": large })).await;
        let event = quick.event().await;
        assert!(event.data.starts_with(&format!("{{\"n\":{n},")));
    }
    eventually("the slow one cut", async || {
        let cut = hub.metric("aether_mercure_dropped_total", "slow").await;
        if cut >= 1.0 { Ok(()) } else { Err(format!("{cut} cut")) }
    })
    .await;
    drop(slow);
    drop(quick);
    hub.until_empty().await;
}

#[tokio::test]
async fn a_long_history_reaches_whoever_takes_it() {
    let hub = open_hub(json!({ "client": { "queue_max_size": 200_000 } })).await;
    let large = "x".repeat(20_000);
    for n in 0..200 {
        hub.publish("ticks:host", json!({ "n": n, "x": large })).await;
    }
    let mut source = Source::open(&hub, "topic=ticks:host&lastEventID=earliest", &[]).await;
    for n in 0..200 {
        assert!(source.data().await.starts_with(&format!("{{\"n\":{n},")));
    }
    hub.publish("ticks:host", 1).await;
    assert_eq!(source.data().await, "1");
}

#[tokio::test]
async fn many_come_and_go_and_leave_nothing() {
    let hub = open_hub(json!({ "mercure": { "subscriptions": true } })).await;
    let mut sources = Vec::new();
    for n in 0..200 {
        sources.push(Source::open(&hub, &format!("topic=ticks:{n}&topic=ticks:{{x}}&topic=/p{}/{{y}}", n % 7), &[]).await);
    }
    hub.until("all of them", |state| {
        [("mercure_subscribers", 200), ("mercure_subscriptions", 600), ("mercure_patterns", 8)]
            .iter()
            .all(|(name, count)| state[*name] == json!(count))
    })
    .await;
    hub.publish("ticks:5", 1).await;
    for source in &mut sources {
        assert_eq!(source.data().await, "1", "each once, by whichever selector");
    }
    drop(sources);
    hub.until_empty().await;
}

#[tokio::test]
async fn clients_that_are_cut_or_half_gone_leave_nothing() {
    let hub = open_hub(json!({ "mercure": { "heartbeat": "1s" } })).await;
    let mut half_gone = Vec::new();
    for n in 0..40 {
        let source = Source::open(&hub, "topic=ticks:host&topic=/{x}", &[]).await;
        match n % 3 {
            0 => source.cut(),
            1 => half_gone.push(source),
            _ => drop(source),
        }
    }
    half_gone.iter().for_each(Source::half_close);
    hub.until_empty().await;
}

#[tokio::test]
async fn the_server_api_counts_event_sources() {
    let hub = open_hub(json!({})).await;
    let one = Source::open(&hub, "topic=ticks:host&topic=none:x&topic=ticks:{x}", &[]).await;
    let _two = Source::open(&hub, "match=ticks:host", &[]).await;
    let mut alice = hub.connect(Codec::Json).await;
    alice.subscribe("ticks:host").await;
    let clients = async |count: u64| {
        eventually("the count of clients", async || {
            let channels = hub.api("channels", json!({ "pattern": "ticks:*" })).await;
            if channels["channels"]["ticks:host"]["num_clients"] == json!(count) { Ok(()) } else { Err(channels.to_string()) }
        })
        .await;
    };
    clients(3).await;
    drop(one);
    clients(2).await;
    hub.publish("ticks:host", 1).await;
    assert_eq!(alice.publication("ticks:host").await["data"], json!(1));
}

/// What an engine that backtracks would not come back from.
#[tokio::test]
async fn patterns_that_are_bombs_hold_nobody_up() {
    let hub = open_hub(json!({})).await;
    let templates: Vec<String> = (0..50).map(|n| format!("topic=b{n}{}", "{/a*}{.b*}{+c}".repeat(8).replace('+', "%2B"))).collect();
    let mut bombs = Source::open(&hub, &templates.join("&"), &[]).await;
    let patterns: Vec<String> = (0..50).map(|n| format!("match_urlpattern=/{n}/(.*)*(a%2B)%2Bb")).collect();
    let _others = Source::try_open(&hub, &patterns.join("&"), &[]).await;
    let mut watcher = Source::open(&hub, "topic=ticks:host", &[]).await;
    publish(&hub, &format!("topic=b7{}%C3%A9&topic=/7/{}&topic=ticks:host&data=1", "/a.b".repeat(2_000), "a".repeat(20_000))).await;
    assert_eq!(watcher.data().await, "1");
    publish(&hub, "topic=b7/x&data=2").await;
    assert_eq!(bombs.data().await, "2");
}

#[tokio::test]
async fn selectors_may_come_in_the_body_of_a_query() {
    let hub = open_hub(json!({})).await;
    let ask = async |query: &str, body: &str| {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let length = body.len().to_string();
        let all = [headers[0], ("Content-Length", length.as_str())];
        Source::asked(&hub, "QUERY", query, &all, body).await
    };
    let mut source = ask("match=ticks:a", "match=ticks:b").await.expect("an event stream");
    hub.publish("ticks:a", 1).await;
    hub.publish("ticks:b", 2).await;
    assert_eq!(source.all_data(2).await, ["1", "2"], "those of the address and those of the body");
    let source = ask("match=ticks:a&last_event_id=earliest", "last_event_id=x").await.expect("an event stream");
    assert_eq!(source.header("mercure-last-event-id"), Some("earliest"), "the cursor of the address counts");
    for body in ["", "matches=a", "topic=a&match=b"] {
        assert_eq!(ask("", body).await.map_err(|answer| answer.status()).err(), Some(400), "{body}");
    }
    let hub = open_hub(json!({ "mercure": { "protocol": "legacy" } })).await;
    assert_eq!(request(&hub.dial(), "QUERY", PATH, &[], b"").await.status(), 405);
}

#[tokio::test]
async fn pages_of_other_origins_may_read_the_stream() {
    let hub = open_hub(json!({ "mercure": { "cors_origins": ["https://*.example"] } })).await;
    let source = Source::open(&hub, "topic=a&lastEventID=x", &[("Origin", "https://page.example")]).await;
    assert_eq!(source.header("access-control-allow-origin"), Some("https://page.example"));
    assert_eq!(source.header("access-control-allow-credentials"), Some("true"));
    assert!(source.header("access-control-expose-headers").is_some_and(|names| names.contains("last-event-id")));
    let source = Source::open(&hub, "topic=a", &[("Origin", "https://evil.test")]).await;
    assert_eq!(source.header("access-control-allow-origin"), None, "it is served; its browser keeps it from the page");
}

/// Topics that name no namespace have one of their own, where the configuration sets one aside.
#[tokio::test]
async fn urls_are_channels_of_the_namespace_that_is_theirs() {
    let books = json!({ "name": "books", "allow_subscribe_for_client": true, "history_size": 10, "history_ttl": "60s" });
    let hub = open_hub(json!({ "mercure": { "namespace": "books" }, "channel": { "namespaces": [books] } })).await;
    let mut alice = hub.connect(Codec::Protobuf).await;
    alice.subscribe("books:https://example.com/1").await;
    let mut source = Source::open(&hub, "topic=https://example.com/{id}", &[]).await;
    let id = publish(&hub, "topic=https://example.com/1&data=1").await;
    assert_eq!(alice.publication("books:https://example.com/1").await["data"], json!(1));
    let event = source.event().await;
    assert_eq!((event.id.as_str(), event.data.as_str()), (id.as_str(), "1"));
    let history = hub.api("history", json!({ "channel": "books:https://example.com/1", "limit": 5 })).await;
    assert_eq!(history["publications"].as_array().map(Vec::len), Some(1), "the namespace's history has it too");
}

//! Who is subscribed to what: events and the API.

use super::source::Source;
use super::{PATH, hub, legacy, modern, modern_hub};
use crate::support::token::token;
use crate::support::{Answer, Hub, eventually, request, request_at};
use serde_json::{Value, json};

const TOPIC: &str = "https://example.com/books/1";
const ESCAPED: &str = "https%3A%2F%2Fexample.com%2Fbooks%2F1";

async fn get(hub: &Hub, path: &str, token: &str, headers: &[(&str, &str)]) -> Answer {
    let bearer = format!("Bearer {token}");
    let mut all = vec![("Authorization", bearer.as_str())];
    all.extend_from_slice(headers);
    request_at(&hub.dial(), "hub.example", "GET", &format!("{PATH}{path}"), &all, b"").await
}

#[tokio::test]
async fn coming_and_going_is_told_to_those_who_are_entitled() {
    let hub = hub(json!({ "mercure": { "subscriptions": true } })).await;
    let watcher = format!("Bearer {}", legacy(json!([]), json!(["/.well-known/mercure/subscriptions{/topic}{/subscriber}"])));
    let mut events = Source::open(
        &hub,
        "topic=/.well-known/mercure/subscriptions/https%253A%252F%252Fexample.com%252Fbooks%252F1/{subscriber}",
        &[("Authorization", &watcher)],
    )
    .await;
    let reader = format!("Bearer {}", token(&json!({ "mercure": { "subscribe": [], "payload": { "user": "alice" } } })));
    let reading = Source::open(&hub, &format!("topic={TOPIC}"), &[("Authorization", &reader)]).await;
    let event = events.event().await;
    assert_eq!(event.event, "");
    let came: Value = serde_json::from_str(&event.data).expect("JSON");
    let subscriber = came["subscriber"].as_str().expect("a subscriber").to_owned();
    assert!(subscriber.starts_with("urn:uuid:"));
    let id = format!("{PATH}/subscriptions/{ESCAPED}/{}", subscriber.replace(':', "%3A"));
    let expected = json!({
        "@context": "https://mercure.rocks/", "id": id, "type": "Subscription", "subscriber": subscriber, "topic": TOPIC, "active": true,
        "payload": { "user": "alice" },
    });
    assert_eq!(came, expected);
    drop(reading);
    let left: Value = serde_json::from_str(&events.data().await).expect("JSON");
    assert_eq!((&left["active"], &left["subscriber"]), (&json!(false), &came["subscriber"]));
}

#[tokio::test]
async fn the_api_tells_who_is_subscribed() {
    let hub = hub(json!({ "mercure": { "subscriptions": true, "anonymous": true } })).await;
    let all = legacy(json!([]), json!(["*"]));
    let _one = Source::open(&hub, &format!("topic={TOPIC}&topic=b"), &[]).await;
    let _two = Source::open(&hub, &format!("topic={TOPIC}"), &[]).await;
    // The head of an answer may be read before its subscriber is known.
    hub.until("three subscriptions", |state| state["mercure_subscriptions"] == json!(3)).await;
    let answer = get(&hub, "/subscriptions", &all, &[]).await;
    assert_eq!((answer.status(), answer.head.header("content-type")), (200, Some("application/ld+json")));
    let document = answer.json();
    assert_eq!((&document["type"], &document["id"]), (&json!("Subscriptions"), &json!("/.well-known/mercure/subscriptions")));
    assert_eq!(document["subscriptions"].as_array().map(Vec::len), Some(3));
    assert_eq!(Some(document["lastEventID"].as_str().unwrap_or_default()), answer.head.header("etag"));
    let of_topic = get(&hub, &format!("/subscriptions/{ESCAPED}"), &all, &[]).await.json();
    assert_eq!(of_topic["subscriptions"].as_array().map(Vec::len), Some(2));
    let id = of_topic["subscriptions"][0]["id"].as_str().expect("an id").strip_prefix(PATH).expect("below the hub").to_owned();
    let one = get(&hub, &id, &all, &[]).await;
    assert_eq!((one.status(), &one.json()["topic"]), (200, &json!(TOPIC)));
    let tag = one.head.header("etag").expect("a tag").to_owned();
    assert_eq!(get(&hub, &id, &all, &[("If-None-Match", &tag)]).await.status(), 304);
    let _three = Source::open(&hub, "topic=c", &[]).await;
    eventually("the tag moved", async || {
        let answer = get(&hub, &id, &all, &[("If-None-Match", &tag)]).await;
        if answer.status() == 200 { Ok(()) } else { Err(answer.status().to_string()) }
    })
    .await;
    for (path, token, status) in [
        ("/subscriptions/nobody/urn%3Auuid%3A1", all.as_str(), 404),
        ("/subscriptions/a/b/c", all.as_str(), 404),
        ("/subscriptions/%ff/x", all.as_str(), 404),
        ("/subscriptions", &legacy(json!([]), json!(["/.well-known/mercure/subscriptions/{x}"])), 401),
        ("/subscriptions/b", &legacy(json!([]), json!(["/.well-known/mercure/subscriptions/{x}"])), 200),
    ] {
        assert_eq!(get(&hub, path, token, &[]).await.status(), status, "{path}");
    }
    assert_eq!(request(&hub.dial(), "GET", &format!("{PATH}/subscriptions"), &[], b"").await.status(), 401);
    assert_eq!(request(&hub.dial(), "POST", &format!("{PATH}/subscriptions"), &[], b"").await.status(), 405);
}

#[tokio::test]
async fn the_api_of_the_modern_generation() {
    let hub = modern_hub(json!({ "mercure": { "subscriptions": true } })).await;
    let all = modern(&[json!({ "actions": ["subscribe"], "topics": [{ "match": "*" }], "payload": { "user": 1 } })]);
    let some = modern(&[json!({ "actions": ["subscribe"], "topics": [{ "match": "/.well-known/mercure/subscriptions" }] })]);
    let bearer = format!("Bearer {all}");
    let query = format!("match={TOPIC}&match_urlpattern=/b/:id");
    let _one = Source::open_at(&hub, "hub.example", &query, &[("Authorization", &bearer)]).await;
    hub.until("two subscriptions", |state| state["mercure_subscriptions"] == json!(2)).await;
    let answer = get(&hub, "/subscriptions", &all, &[]).await;
    assert_eq!((answer.status(), answer.head.header("content-type")), (200, Some("application/json")));
    let link = answer.head.header("link").expect("a link").to_owned();
    assert!(link.starts_with("</.well-known/mercure>; rel=\"mercure\"; last-event-id=\"urn:uuid:"), "{link}");
    let document = answer.json();
    assert_eq!(document["type"], "subscriptions");
    let kinds: Vec<&Value> = document["subscriptions"].as_array().expect("a list").iter().map(|one| &one["match_type"]).collect();
    assert_eq!(kinds, ["exact", "urlpattern"]);
    assert_eq!(document["subscriptions"][0]["payload"], json!({ "user": 1 }));
    assert_eq!(get(&hub, &format!("/subscriptions/exact/{ESCAPED}"), &all, &[]).await.json()["subscriptions"].as_array().map(Vec::len), Some(1));
    assert_eq!(get(&hub, "/subscriptions/regex/x", &all, &[]).await.status(), 400);
    assert_eq!(get(&hub, "/subscriptions", &some, &[]).await.status(), 200);
    assert_eq!(get(&hub, "/subscriptions/exact/x", &some, &[]).await.status(), 403);
    assert_eq!(get(&hub, "/subscriptions/exact/x/urn", &all, &[]).await.status(), 404);
}

#[tokio::test]
async fn without_the_feature_there_is_no_api() {
    let hub = hub(json!({})).await;
    assert_eq!(get(&hub, "/subscriptions", &legacy(json!([]), json!(["*"])), &[]).await.status(), 404);
}

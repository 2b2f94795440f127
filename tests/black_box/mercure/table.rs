//! Rows of the behaviour table that stand alone: limits of the door, ids and numbers that cannot be written, tokens that are bad where none is needed.

use super::source::Source;
use super::{PATH, hub, legacy, modern, modern_hub, post, post_with};
use crate::support::token::token;
use crate::support::{Dial, Hub, eventually, request, request_at};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

async fn anonymous(changes: Value) -> Hub {
    hub(crate::support::merged(json!({ "mercure": { "anonymous": true } }), changes)).await
}

async fn status(hub: &Hub, from: u8) -> u16 {
    let dial = Dial { from: Ipv4Addr::new(127, 0, 0, from), ..hub.dial() };
    request(&dial, "HEAD", &format!("{PATH}?topic=a"), &[], b"").await.status()
}

#[tokio::test]
async fn too_many_are_told_to_come_later() {
    let hub = anonymous(json!({ "client": { "connection_limit": 2 } })).await;
    let first = Source::open(&hub, "topic=a", &[]).await;
    let _client = hub.connect(crate::support::Codec::Json).await;
    let refused = Source::try_open(&hub, "topic=a", &[]).await.err().expect("it is full: WebSocket clients count too");
    assert_eq!((refused.status(), refused.text().lines().count()), (429, 1));
    drop(first);
    eventually("the place's being free", async || match Source::try_open(&hub, "topic=a", &[]).await {
        Ok(_) => Ok(()),
        Err(answer) => Err(answer.status().to_string()),
    })
    .await;

    let hub = anonymous(json!({ "limits": { "connects": { "per_address": "3/h" } } })).await;
    let mut statuses = Vec::new();
    for from in [9, 9, 9, 9, 8] {
        statuses.push(status(&hub, from).await);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 200]);
}

#[tokio::test]
async fn what_cannot_be_written_is_refused() {
    let hub = hub(json!({})).await;
    let token = legacy(json!(["*"]), json!([]));
    let too_long = format!("topic=a&id={}", "x".repeat(2_000));
    // The empty topic is, as a reference, the hub's own address.
    for (form, expected) in [
        ("topic=a&id=a%0Ab", 400),
        ("topic=a&id=a%0Db", 400),
        ("topic=a&id=a%00b", 400),
        ("topic=a&id=earliest", 400),
        ("topic=a&type=a%0Ab", 400),
        ("topic=a&type=a%00b", 400),
        ("topic=a&retry=-1", 400),
        ("topic=a&retry=1.5", 400),
        ("topic=a&retry=18446744073709551616", 400),
        ("topic=a&retry=18446744073709551615", 200),
        ("topic=a&retry=", 200),
        ("topic=a&unknown=1", 200),
        ("topic=&data=1", 403),
        (&too_long, 400),
    ] {
        let answer = post(&hub, Some(&token), form).await;
        assert_eq!(answer.status(), expected, "{form:.60}: {}", answer.text());
    }
    // Neither a form nor text.
    for body in ["topic=a&data=%ff", "topic=%ff"] {
        let answer = post(&hub, Some(&token), body).await;
        assert!(matches!(answer.status(), 200 | 400), "{body}: {}", answer.status());
    }
}

#[tokio::test]
async fn a_bad_token_is_worse_than_none() {
    let hub = anonymous(json!({})).await;
    let many: Vec<_> = (0..1_001).map(|n| format!("t{n}")).collect();
    for bad in [
        legacy(json!([]), json!(many)),
        "x".repeat(60),
        token(&json!({ "mercure": { "subscribe": ["*"] }, "nbf": crate::support::token::now() + 600 })),
    ] {
        let refused = Source::try_open(&hub, "topic=a", &[("Authorization", &format!("Bearer {bad}"))]).await.err();
        assert_eq!(refused.map(|answer| answer.status()), Some(401), "{bad:.40}");
    }
    drop(Source::open(&hub, "topic=a", &[]).await);
}

#[tokio::test]
async fn a_cookie_of_the_modern_generation_needs_its_page_too() {
    let hub = modern_hub(json!({ "mercure": { "publish_origins": ["https://good.example"] } })).await;
    let all = modern(&[json!({ "actions": ["publish"], "topics": [{ "match": "*" }] })]);
    let cookie = format!("__Secure-mercure_access_token={all}");
    for (origin, expected, error) in
        [(Some("https://good.example"), 200, None), (Some("https://evil.example"), 403, None), (None, 400, Some("invalid_request"))]
    {
        let mut headers = vec![("Cookie", cookie.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        let answer = request_at(&hub.dial(), "hub.example", "POST", PATH, &headers, b"topic=a").await;
        assert_eq!(answer.status(), expected, "{origin:?}: {}", answer.text());
        let challenge = answer.head.header("www-authenticate");
        assert_eq!(error.is_some(), challenge.is_some_and(|challenge| error.is_some_and(|error| challenge.contains(error))), "{challenge:?}");
    }
}

#[tokio::test]
async fn of_updates_with_the_same_id_the_earliest_counts() {
    let hub = anonymous(json!({})).await;
    let token = legacy(json!(["*"]), json!([]));
    for (id, data) in [("one", 1), ("same", 2), ("other", 3), ("same", 4), ("last", 5)] {
        assert_eq!(post_with(&hub, &[("Authorization", &format!("Bearer {token}"))], &format!("topic=a&id={id}&data={data}")).await.status(), 200);
    }
    let mut source = Source::open(&hub, "topic=a", &[("Last-Event-ID", "same")]).await;
    assert_eq!(source.header("last-event-id"), Some("same"));
    assert_eq!(source.all_data(3).await, ["3", "4", "5"]);
}

//! Updates come in, and whoever is subscribed to their channels sees them.

use super::{PATH, access_token, hub, legacy, modern, modern_hub, post, post_with};
use crate::support::token::{SECRET, channel_token, now, signed, token};
use crate::support::{Answer, Codec, Hub, request, request_at};
use serde_json::json;

#[tokio::test]
async fn a_published_update_reaches_websocket_subscribers() {
    let hub = hub(json!({})).await;
    let token = legacy(json!(["*"]), json!([]));
    for codec in [Codec::Json, Codec::Protobuf] {
        let mut alice = hub.connect(codec).await;
        alice.subscribe("news:world").await;
        alice.subscribe("https%3A//example.com/books/1").await;
        let answer = post(&hub, Some(&token), "topic=news:world&data=%7B%22a%22%3A1%7D&id=urn:x:1").await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "urn:x:1"));
        assert_eq!(answer.head.header("content-type"), Some("text/plain; charset=utf-8"));
        let publication = alice.publication("news:world").await;
        assert_eq!(publication["data"], json!({ "a": 1 }));

        let answer = post(&hub, Some(&token), "topic=https://example.com/books/1&data=plain+text").await;
        assert!(answer.status() == 200 && answer.text().starts_with("urn:uuid:"), "{}", answer.text());
        assert_eq!(alice.publication("https%3A//example.com/books/1").await["data"], json!("plain text"));

        let answer = post(&hub, Some(&token), "topic=news:world&topic=https://example.com/books/1&data=2").await;
        assert_eq!(answer.status(), 200, "alternate topics are channels too");
        assert_eq!(alice.publication("news:world").await["data"], json!(2));
        assert_eq!(alice.publication("https%3A//example.com/books/1").await["data"], json!(2));
    }
}

#[tokio::test]
async fn private_updates_are_for_those_with_a_token_for_the_channel() {
    let hub = hub(json!({})).await;
    let mut alice = hub.connect(Codec::Json).await;
    alice.subscribe("plain").await;
    alice.call("subscribe", json!({ "channel": "$plain" })).await;
    let mut bob = hub.connect_as(Codec::Json, "bob").await;
    let reply = bob.call("subscribe", json!({ "channel": "$plain", "token": channel_token("bob", "$plain") })).await;
    assert!(reply["subscribe"].is_object(), "{reply}");
    let token = legacy(json!(["*"]), json!([]));
    assert_eq!(post(&hub, Some(&token), "topic=plain&data=1&private=").await.status(), 200);
    assert_eq!(post(&hub, Some(&token), "topic=plain&data=2").await.status(), 200);
    assert_eq!(bob.publication("$plain").await["data"], json!(1));
    assert_eq!(alice.publication("plain").await["data"], json!(2), "the public one is the first that alice sees");
}

/// The rows of the table that are about publishing, for tokens of both generations.
#[tokio::test]
async fn each_refusal_has_its_status() {
    let hub = modern_hub(json!({ "http_server": { "request_body_max": 20_000 } })).await;
    let legacy_all = legacy(json!(["*"]), json!([]));
    let legacy_news = legacy(json!(["news:{x}"]), json!([]));
    let legacy_none = token(&json!({ "mercure": { "subscribe": ["*"] } }));
    let modern_all = modern(&[json!({ "actions": ["publish"], "topics": [{ "match": "*" }] })]);
    let modern_news = modern(&[json!({ "actions": ["publish"], "topics": [{ "match": "/news/:x", "match_type": "urlpattern" }] })]);
    let modern_none = modern(&[json!({ "actions": ["subscribe"], "topics": [{ "match": "*" }] })]);
    let expired = signed(&json!({ "alg": "HS256" }), &json!({ "mercure": { "publish": ["*"] }, "exp": now() - 1 }), SECRET);
    let foreign = signed(&json!({ "alg": "HS256" }), &json!({ "mercure": { "publish": ["*"] } }), "another secret, of the same length!!");
    let other_algorithm = signed(&json!({ "alg": "HS512" }), &json!({ "mercure": { "publish": ["*"] } }), SECRET);
    let spoiled = modern(&[json!({ "actions": ["publish"], "topics": ["*"] })]);
    let other_audience =
        access_token(&json!({ "alg": "HS256", "typ": "at+jwt" }), json!({ "aud": "https://other.example/", "authorization_details": [] }));
    let plain_type = access_token(&json!({ "alg": "HS256", "typ": "JWT" }), json!({ "authorization_details": [] }));
    let large = format!("topic=a&data={}", "x".repeat(20_000));
    let many_topics = (0..1_001).map(|n| format!("topic={n}")).collect::<Vec<_>>().join("&");

    let cases: &[(&str, &str, u16, Option<&str>)] = &[
        (&legacy_all, "topic=a&data=1", 200, None),
        (&modern_all, "topic=a&data=1", 200, None),
        (&legacy_all, "topic=a", 200, None),
        (&legacy_news, "topic=news:x", 200, None),
        (&modern_news, "topic=https://hub.example/news/1", 200, None),
        (&expired, "topic=a", 401, None),
        (&foreign, "topic=a", 401, None),
        (&other_algorithm, "topic=a", 401, None),
        ("short", "topic=a", 401, None),
        (&spoiled, "topic=a", 401, Some("invalid_token")),
        (&other_audience, "topic=a", 401, Some("invalid_token")),
        (&plain_type, "topic=a", 401, Some("invalid_token")),
        (&legacy_none, "topic=a", 401, None),
        (&modern_none, "topic=a", 403, Some("insufficient_scope")),
        (&legacy_news, "topic=news:x&topic=a", 401, None),
        (&modern_news, "topic=/news/1&topic=a", 403, Some("insufficient_scope")),
        (&legacy_all, "topic=/.well-known/mercure/subscriptions/a/b", 403, None),
        (&modern_all, "topic=/.well-known/mercure/subscriptions/a/b", 400, None),
        (&legacy_all, "data=1", 400, None),
        (&modern_all, "data=1", 400, None),
        (&legacy_all, "topic=a&id=%23x", 400, None),
        (&modern_all, "topic=a&type=mercure", 400, None),
        (&legacy_all, "topic=a&retry=soon", 400, None),
        (&legacy_all, &many_topics, 400, None),
        (&legacy_all, &large, 413, None),
        (&modern_all, &large, 413, None),
        (&legacy_all, r#"{"topic":"a"}"#, 400, None),
    ];
    for (token, form, status, error) in cases {
        let bearer = format!("Bearer {token}");
        let answer = post_at_its_name(&hub, &bearer, form).await;
        assert_eq!(answer.status(), *status, "{}… {}: {}", &form[..form.len().min(40)], token, answer.text());
        let challenge = answer.head.header("www-authenticate");
        match error {
            Some(error) => assert!(challenge.is_some_and(|challenge| challenge.contains(&format!("error=\"{error}\""))), "{form}: {challenge:?}"),
            None => assert_eq!(challenge, None, "{form}"),
        }
        assert_eq!(answer.head.header("x-content-type-options"), Some("nosniff"));
        if *status != 200 {
            assert!(answer.text().lines().count() == 1 && !answer.text().contains("HS256"), "{}", answer.text());
        }
    }
    assert_eq!(post(&hub, Some(&modern_all), "topic=a").await.status(), 421, "a modern client asks for another host");
    assert_eq!(post(&hub, None, "topic=a").await.status(), 401);
    for header in ["Basic abc", "Bearer", "Bearer a b", "bearer"] {
        assert_eq!(post_with(&hub, &[("Authorization", header)], "topic=a").await.status(), 401, "{header}");
    }
    let bearer = format!("bEARER {legacy_all}");
    assert_eq!(post_with(&hub, &[("Authorization", &bearer)], "topic=a").await.status(), 200, "the scheme's case does not matter");
    assert_eq!(post_with(&hub, &[("Authorization", &bearer), ("Authorization", &bearer)], "topic=a").await.status(), 401);
    let json = request(&hub.dial(), "POST", PATH, &[("Authorization", &bearer), ("Content-Type", "application/json")], b"topic=a").await;
    assert_eq!(json.status(), 400, "only forms have topics");
    assert_eq!(request(&hub.dial(), "POST", &format!("{PATH}?topic=a"), &[("Authorization", &bearer)], b"data=1").await.status(), 400);
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        assert_eq!(request(&hub.dial(), method, PATH, &[], b"").await.status(), 405, "{method}");
    }
    assert!(!hub.log().contains(SECRET) && !hub.log().contains(&legacy_all));
}

/// As whoever knows the hub by its public name asks for it.
async fn post_at_its_name(hub: &Hub, bearer: &str, form: &str) -> Answer {
    let headers = [("Authorization", bearer), ("Content-Type", "application/x-www-form-urlencoded")];
    request_at(&hub.dial(), "hub.example", "POST", PATH, &headers, form.as_bytes()).await
}

#[tokio::test]
async fn a_modern_hub_answers_in_modern_words_only() {
    let hub = modern_hub(json!({ "mercure": { "protocol": "modern" } })).await;
    let answer = post(&hub, None, "topic=a").await;
    assert_eq!(answer.status(), 401);
    let challenge = answer.head.header("www-authenticate").expect("a challenge").to_owned();
    assert_eq!(challenge, "Bearer resource_metadata=\"https://hub.example/.well-known/oauth-protected-resource/.well-known/mercure\"");
    let answer = post_with(&hub, &[("Authorization", "Basic abc")], "topic=a").await;
    assert_eq!(answer.status(), 400);
    assert!(answer.head.header("www-authenticate").is_some_and(|challenge| challenge.contains("invalid_request")));
    let answer = post(&hub, Some(&legacy(json!(["*"]), json!([]))), "topic=a").await;
    assert_eq!(answer.status(), 401);
    let cookie = format!("mercureAuthorization={}", legacy(json!(["*"]), json!([])));
    assert_eq!(post_with(&hub, &[("Cookie", &cookie)], "topic=a").await.status(), 401, "the legacy cookie is none");

    let metadata = hub.get("/.well-known/oauth-protected-resource/.well-known/mercure").await.json();
    assert_eq!(metadata["resource"], super::RESOURCE);
    assert_eq!(metadata["bearer_methods_supported"], json!(["header"]));
    assert_eq!(metadata["authorization_servers"], json!([super::ISSUER]));
}

#[tokio::test]
async fn a_cookie_publishes_from_pages_that_may() {
    let hub = hub(json!({ "mercure": { "publish_origins": ["https://good.example"] } })).await;
    let cookie = format!("a=b; mercureAuthorization={}; c=d", legacy(json!(["*"]), json!([])));
    for (headers, status) in [
        (vec![("Origin", "https://good.example")], 200),
        (vec![("Referer", "https://good.example/page?x=1")], 200),
        (vec![("Origin", "https://evil.example")], 403),
        (vec![("Origin", "https://good.example.evil.example")], 403),
        (vec![("Origin", "null")], 403),
        (vec![("Origin", "https://evil.example"), ("Referer", "https://good.example/")], 403),
        (vec![("Referer", "https://evil.example/https://good.example")], 403),
        (vec![("Referer", "good.example")], 401),
        (vec![], 401),
    ] {
        let mut all = vec![("Cookie", cookie.as_str())];
        all.extend_from_slice(&headers);
        assert_eq!(post_with(&hub, &all, "topic=a").await.status(), status, "{headers:?}");
    }
    let bearer = format!("Bearer {}", legacy(json!(["*"]), json!([])));
    let headers = [("Authorization", bearer.as_str()), ("Origin", "https://evil.example"), ("Cookie", cookie.as_str())];
    assert_eq!(post_with(&hub, &headers, "topic=a").await.status(), 200, "a header is not sent by a page by itself");
    let query = format!("{PATH}?authorization={}", legacy(json!(["*"]), json!([])));
    assert_eq!(request(&hub.dial(), "POST", &query, &[], b"topic=a").await.status(), 200);
}

#[tokio::test]
async fn other_origins_read_answers_where_they_may() {
    let hub = hub(json!({ "mercure": { "cors_origins": ["https://page.example"] } })).await;
    for (origin, is_allowed) in [("https://page.example", true), ("https://evil.example", false), ("null", false)] {
        let answer = post_with(&hub, &[("Origin", origin)], "topic=a").await;
        assert_eq!(answer.status(), 401, "errors can be read too, else a 401 looks like a fault of CORS");
        assert_eq!(answer.head.header("access-control-allow-origin"), is_allowed.then_some(origin));
        assert_eq!(answer.head.header("access-control-allow-credentials"), is_allowed.then_some("true"));
        assert_eq!(answer.head.header("vary"), Some("Origin"));
        let preflight = [("Origin", origin), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")];
        let answer = request(&hub.dial(), "OPTIONS", PATH, &preflight, b"").await;
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.head.header("access-control-allow-origin"), is_allowed.then_some(origin));
        assert_eq!(answer.head.header("access-control-allow-methods"), is_allowed.then_some("GET, HEAD, POST"));
        assert!(answer.head.header("vary").is_some_and(|vary| vary.contains("Access-Control-Request-Headers")));
    }
    let hub = super::hub(json!({ "mercure": { "cors_origins": ["*"] } })).await;
    let answer = post_with(&hub, &[("Origin", "https://any.example")], "topic=a").await;
    assert_eq!((answer.head.header("access-control-allow-origin"), answer.head.header("access-control-allow-credentials")), (Some("*"), None));
}

#[tokio::test]
async fn a_payload_that_the_namespace_does_not_take_is_refused_as_a_whole() {
    let small = json!({ "name": "small", "publication_max_size": 10 });
    let hub = hub(json!({ "channel": { "namespaces": [small] } })).await;
    let mut alice = hub.connect(Codec::Json).await;
    alice.subscribe("plain").await;
    let token = legacy(json!(["*"]), json!([]));
    assert_eq!(post(&hub, Some(&token), &format!("topic=plain&topic=small:a&data={}", "1".repeat(20))).await.status(), 400);
    assert_eq!(post(&hub, Some(&token), "topic=plain&topic=small:a&data=1").await.status(), 200);
    assert_eq!(alice.publication("plain").await["data"], json!(1), "nothing of the refused one went out");
}

#[tokio::test]
async fn without_being_asked_for_there_is_no_such_hub() {
    let hub = Hub::start(json!({})).await;
    let answer = post(&hub, Some(&legacy(json!(["*"]), json!([]))), "topic=a").await;
    assert!(matches!(answer.status(), 404 | 405), "{}", answer.status());
}

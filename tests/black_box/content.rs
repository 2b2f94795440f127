//! What payloads must be, and what is taken out of them, by every way that leads into a channel.

use crate::in_both_codecs;
use crate::support::{Codec, Feed, Hub};
use serde_json::{Value, json};

in_both_codecs!(a_payload_that_does_not_fit_is_told_where, size_and_depth_are_bounded, texts_are_cleaned_of_what_does_something);

/// A namespace "checked" whose channels everybody may subscribe to and publish into.
async fn hub(options: Value) -> Hub {
    let open = json!({ "name": "checked", "allow_subscribe_for_client": true, "allow_publish_for_client": true });
    Hub::start(json!({ "channel": { "namespaces": [crate::support::merged(open, options)] } })).await
}

fn message_schema() -> Value {
    json!({
        "type": "object",
        "required": ["text"],
        "properties": { "text": { "type": "string", "maxLength": 10 }, "tags": { "type": "array", "items": { "type": "string" } } },
    })
}

async fn a_payload_that_does_not_fit_is_told_where(codec: Codec) {
    let hub = hub(json!({ "publication_schema": message_schema() })).await;
    let mut client = hub.connect(codec).await;
    client.subscribe("checked:x").await;
    for (payload, told) in [
        (json!(1), r#"bad request: "": the value is not of type "object""#),
        (json!({}), r#"bad request: "": "text" is a required property"#),
        (json!({ "text": "s3cret-s3cret" }), r#"bad request: "/text": the value is longer than 10 characters"#),
        (json!({ "text": "", "tags": ["a", 1] }), r#"bad request: "/tags/1": the value is not of type "string""#),
    ] {
        let expected = json!({ "code": 107, "message": told });
        assert_eq!(client.call("publish", json!({ "channel": "checked:x", "data": payload })).await["error"], expected, "{payload}");
        let answer = hub.api_answer("publish", json!({ "channel": "checked:x", "data": payload })).await;
        assert_eq!(answer.json()["error"], expected, "{payload}");
        let as_status = [("X-Centrifugo-Error-Mode", "transport")];
        let answer = hub.api_answer_with("publish", json!({ "channel": "checked:x", "data": payload }), &as_status).await;
        assert_eq!((answer.status(), answer.json()), (400, expected), "{payload}");
    }
    let answer = hub.api("broadcast", json!({ "channels": ["checked:x", "plain", "checked:y"], "data": 1 })).await;
    let codes: Vec<_> = answer["responses"].as_array().expect("a list").iter().map(|response| response["error"]["code"].as_u64()).collect();
    assert_eq!(codes, [Some(107), None, Some(107)]);
    let batch = hub.api_answer("batch", json!({ "commands": [{ "publish": { "channel": "checked:x", "data": 1 } }] })).await.json();
    assert_eq!(batch["replies"][0]["error"]["message"], r#"bad request: "": the value is not of type "object""#);

    client.publish("checked:x", json!({ "text": "hello" })).await;
    assert_eq!(client.data("checked:x", 1).await, [json!({ "text": "hello" })], "and nothing of what was refused");
    assert!(hub.metric("aether_publications_refused_total", "schema").await >= 14.0);
}

async fn size_and_depth_are_bounded(codec: Codec) {
    let hub = hub(json!({ "publication_max_size": 20, "publication_max_depth": 2 })).await;
    let mut client = hub.connect(codec).await;
    client.publish("checked:x", json!([["deep enough"]])).await;
    assert_eq!(client.error_of("publish", json!({ "channel": "checked:x", "data": [[[]]] })).await, 107);
    assert_eq!(client.error_of("publish", json!({ "channel": "checked:x", "data": "a text that is too long" })).await, 107);
    assert_eq!(hub.api_error("publish", json!({ "channel": "checked:x", "data": [[[]]] })).await, 107);
}

async fn texts_are_cleaned_of_what_does_something(codec: Codec) {
    let hub = hub(json!({ "publication_sanitize_html": true, "publication_sanitize_html_pointers": ["/html", "/list/*"] })).await;
    let mut client = hub.connect(codec).await;
    client.subscribe("checked:x").await;
    let hostile = json!({ "html": "<b onclick=alert(1)>hi</b><script>alert(1)</script>", "list": ["<img src=x onerror=alert(1)>"], "raw": "1 < 2" });
    let harmless = json!({ "html": "<b>hi</b>", "list": ["<img src=\"x\">"], "raw": "1 < 2" });
    client.publish("checked:x", hostile.clone()).await;
    hub.publish("checked:x", hostile.clone()).await;
    hub.api("broadcast", json!({ "channels": ["checked:x"], "data": hostile })).await;
    assert_eq!(client.data("checked:x", 3).await, [harmless.clone(), harmless.clone(), harmless]);
    assert_eq!(client.error_of("publish", json!({ "channel": "checked:x", "data": { "html": "<b>".repeat(1_000) } })).await, 107);
    let bytes = client.call("publish", json!({ "channel": "checked:x", "data": { "$bytes": [0xff] } })).await;
    assert_eq!(bytes.get("error").is_some(), codec == Codec::Protobuf, "bytes that nothing can be taken out of: {bytes}");
}

#[tokio::test]
async fn a_client_without_the_right_is_told_nothing_of_the_schema() {
    let hub = hub(json!({ "publication_schema": message_schema(), "allow_publish_for_client": false })).await;
    let mut client = hub.connect(Codec::Json).await;
    let error = client.call("publish", json!({ "channel": "checked:x", "data": {} })).await["error"].clone();
    assert_eq!(error, json!({ "code": 103, "message": "permission denied" }));
}

#[tokio::test]
async fn what_a_feed_brings_is_judged_too_and_what_does_not_fit_is_counted() {
    let feed = Feed::start();
    let checked = json!({ "name": "checked", "allow_subscribe_for_client": true, "publication_schema": { "type": "integer" } });
    let entry = json!({ "name": "ticks", "url": feed.url(), "channel": "checked:ticks" });
    let hub = Hub::start(json!({ "channel": { "namespaces": [checked] }, "upstream": { "feeds": [entry] } })).await;
    feed.request(1).await;
    let mut client = hub.connect(Codec::Json).await;
    client.subscribe("checked:ticks").await;
    feed.say("data: 1\n\ndata: words\n\ndata: {}\n\ndata: 2\n\n");
    assert_eq!(client.data("checked:ticks", 2).await, [1, 2]);
    assert_eq!(hub.metric("aether_upstream_events_dropped_total", "").await, 2.0);
    assert!(hub.log().contains("the value is not of type"), "{}", hub.log());
    assert_eq!(feed.requests(), 1, "what does not fit is no reason to leave the feed");
}

#[tokio::test]
async fn a_schema_that_cannot_be_used_is_said_before_the_start() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let schema = directory.path().join("schema.json");
    let check = |schema_text: &str| {
        std::fs::write(&schema, schema_text).expect("the schema can be written");
        let config = format!("[[channel.namespaces]]\nname = \"news\"\npublication_schema = \"{}\"\n", schema.display());
        let config_file = directory.path().join("aether.toml");
        std::fs::write(&config_file, config).expect("the configuration can be written");
        let output = crate::support::aether().args(["check-config", "--config"]).arg(&config_file).output().expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (is_valid, told) = check(r#"{"type":"object"}"#);
    assert!(is_valid, "{told}");
    for (text, part) in [
        ("{", "not JSON"),
        (r#"{"type":"objekt"}"#, "cannot be used"),
        (r#"{"$ref":"https://127.0.0.1:9/s.json"}"#, "127.0.0.1:9"),
        (r#"{"pattern":"(?=a)"}"#, "cannot be used"),
    ] {
        let (is_valid, told) = check(text);
        assert!(!is_valid && told.contains(part) && told.contains("channel.namespaces[0].publication_schema"), "{text}: {told}");
    }
}

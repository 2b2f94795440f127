//! Named keys of the server API: made by the command line, scoped, rotated and removed beside a running hub.

use crate::support::{Hub, eventually, request};
use serde_json::{Value, json};
use std::process::Output;

/// `aether key …` with the configuration of the hub.
fn key(hub: &Hub, arguments: &[&str]) -> Output {
    let mut command = crate::support::aether();
    command.arg("key").args(arguments).arg("--config").arg(hub.directory.path().join("aether.toml")).current_dir(hub.directory.path());
    command.output().expect("the binary can be started")
}

/// Makes a key: its id and its text.
fn make(hub: &Hub, arguments: &[&str]) -> (String, String) {
    let output = key(hub, arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    let text = out.trim().to_owned();
    let id = text.split('_').nth(1).unwrap_or_else(|| panic!("no key in {out:?}")).to_owned();
    assert!(!err.contains(&text), "{err}");
    (id, text)
}

/// Status and error code of a call.
async fn call(hub: &Hub, key: &str, method: &str, params: &Value) -> (u16, Option<u64>) {
    let answer = request(&hub.dial(), "POST", &format!("/api/{method}"), &[("X-API-Key", key)], params.to_string().as_bytes()).await;
    let code = if answer.body.is_empty() { None } else { answer.json()["error"]["code"].as_u64() };
    (answer.status(), code)
}

async fn until_status(hub: &Hub, key: &str, status: u16) {
    eventually("the hub knowing of the change", async || {
        let (got, _) = call(hub, key, "publish", &json!({ "channel": "news:x", "data": 1 })).await;
        if got == status { Ok(()) } else { Err(format!("status {got}")) }
    })
    .await;
}

#[tokio::test]
async fn keys_come_and_go_beside_a_running_hub() {
    let hub = Hub::start(json!({})).await;
    let (id, text) = make(&hub, &["add", "shop"]);
    until_status(&hub, &text, 200).await;
    let (_, replaced) = make(&hub, &["rotate", &id, "--grace", "0s"]);
    until_status(&hub, &replaced, 200).await;
    until_status(&hub, &text, 401).await;
    let listed = String::from_utf8(key(&hub, &["list"]).stdout).expect("text");
    assert!(listed.contains("shop") && listed.contains(&id) && listed.contains("all methods"), "{listed}");
    for secret in [&text, &replaced] {
        assert!(!listed.contains(&secret[16..]), "{listed}");
    }
    let new_id = replaced.split('_').nth(1).expect("an id");
    assert!(key(&hub, &["remove", new_id]).status.success());
    until_status(&hub, &replaced, 401).await;
    assert!(!key(&hub, &["remove", new_id]).status.success(), "it is gone already");
    assert_eq!(call(&hub, crate::support::API_KEY, "info", &json!({})).await, (200, None), "the key of the configuration is none of these");
}

#[tokio::test]
async fn a_key_does_what_it_is_for_and_nothing_else() {
    let hub = Hub::start(json!({})).await;
    let (_, text) = make(&hub, &["add", "writer", "--method", "publish", "--method", "broadcast", "--method", "channels", "--namespace", "news"]);
    until_status(&hub, &text, 200).await;
    let cases = [
        ("publish", json!({ "channel": "news:x", "data": 1 }), None),
        ("publish", json!({ "channel": "$news:x", "data": 1 }), None),
        ("publish", json!({ "channel": "plain", "data": 1 }), Some(103)),
        ("publish", json!({ "channel": "room:x", "data": 1 }), Some(103)),
        ("publish", json!({ "channel": "unknown:x", "data": 1 }), Some(103)),
        ("history", json!({ "channel": "news:x" }), Some(103)),
        ("info", json!({}), Some(103)),
        ("disconnect", json!({ "user": "alice" }), Some(103)),
        ("channels", json!({}), None),
    ];
    for (method, params, code) in cases {
        assert_eq!(call(&hub, &text, method, &params).await, (200, code), "{method} {params}");
    }
    let post = async |method: &str, params: Value| {
        request(&hub.dial(), "POST", &format!("/api/{method}"), &[("X-API-Key", &text)], params.to_string().as_bytes()).await.json()
    };
    let broadcast = post("broadcast", json!({ "channels": ["news:x", "plain"], "data": 1 })).await;
    assert_eq!((&broadcast["result"]["responses"][1]["error"]["code"], broadcast["result"]["responses"][0].get("error")), (&json!(103), None));
    let batch = post("batch", json!({ "commands": [{ "publish": { "channel": "news:x", "data": 1 } }, { "info": {} }] })).await;
    assert_eq!((&batch["replies"][1]["error"]["code"], batch["replies"][0].get("error")), (&json!(103), None));
    let answer = request(&hub.dial(), "POST", "/api/info", &[("X-API-Key", &text), ("X-Centrifugo-Error-Mode", "transport")], b"{}").await;
    assert_eq!(answer.status(), 403);

    // Only what it may name is shown to it.
    let mut client = hub.connect(crate::support::Codec::Json).await;
    client.subscribe("news:x").await;
    client.subscribe("room:x").await;
    let channels = post("channels", json!({})).await;
    assert_eq!(channels["result"]["channels"].as_object().expect("channels").keys().collect::<Vec<_>>(), ["news:x"]);
}

#[tokio::test]
async fn mistakes_are_told() {
    let hub = Hub::start(json!({})).await;
    for (arguments, told) in [
        (vec!["add", "with blank"], "1 to 64 letters"),
        (vec!["add", "a", "--method", "publsh"], "methods are publish"),
        (vec!["add", "a", "--expires", "90"], "duration"),
        (vec!["rotate", "000000000000"], "there is no key"),
    ] {
        let output = key(&hub, &arguments);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && err.contains(told) && output.stdout.is_empty(), "{arguments:?}: {err}");
    }
    let (_, text) = make(&hub, &["add", "short", "--expires", "1ms"]);
    make(&hub, &["add", "marker"]);
    eventually("the keys being known", async || if hub.log().contains("2 named keys") { Ok(()) } else { Err(hub.log()) }).await;
    assert_eq!(call(&hub, &text, "info", &json!({})).await.0, 401, "its time is over");
}

#[tokio::test]
async fn reports_of_the_feeds_are_for_keys_that_say_so() {
    let hub = Hub::start(json!({})).await;
    let (_, reader) = make(&hub, &["add", "reader", "--method", "upstream_report"]);
    let (_, writer) = make(&hub, &["add", "writer", "--method", "publish"]);
    let page = async |key: &str, query: &str| request(&hub.dial(), "GET", &format!("/api/upstream_report{query}"), &[("X-API-Key", key)], b"").await;
    until_status(&hub, &writer, 200).await;
    until_status(&hub, &reader, 200).await;
    let week = page(&reader, "?period=week").await;
    let text = week.text();
    assert_eq!(
        (week.status(), week.head.header("content-type"), week.head.header("cache-control")),
        (200, Some("text/html; charset=utf-8"), Some("no-store"))
    );
    assert!(text.starts_with("<!doctype html>") && text.contains("What stands out"), "{text}");
    assert!(week.head.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'") && !policy.contains("script")));
    assert_eq!((page(&reader, "?period=week&back=5").await.status(), page(&reader, "?period=month").await.status()), (404, 400));
    assert_eq!((page(&writer, "?period=week").await.status(), page("wrong", "?period=week").await.status()), (403, 401));
    assert_eq!(call(&hub, &writer, "upstream_report", &json!({ "period": "week" })).await, (200, Some(103)));
    let answer = request(&hub.dial(), "POST", "/api/upstream_report", &[("X-API-Key", &reader)], br#"{"period":"week"}"#).await;
    assert_eq!((answer.status(), &answer.json()["result"]["week"]["findings"]), (200, &json!([])), "{}", answer.json());
}

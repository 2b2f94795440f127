//! What an operator sees: health, readiness, metrics, the ready line, the command line.

use crate::support::{Codec, Hub, eventually, many};
use serde_json::json;
use std::collections::BTreeSet;
use std::process::Output;

#[tokio::test]
async fn health_and_readiness() {
    let hub = Hub::start(json!({})).await;
    let health = hub.get("/health").await;
    assert_eq!((health.status(), health.json()), (200, json!({})));
    let ready = hub.get("/ready").await;
    assert_eq!(ready.status(), 200, "{}", ready.text());
    let robots = hub.get("/robots.txt").await;
    assert_eq!((robots.status(), robots.text().trim_end()), (200, "User-agent: *\nDisallow: /"));
}

/// The names and labels of all series, without their values.
fn series(metrics: &str) -> BTreeSet<String> {
    metrics.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series.to_owned()).collect()
}

/// Labels come from closed sets: whoever comes, whatever the channels are called, no series is added.
#[tokio::test]
async fn two_thousand_connects_add_no_series() {
    let hub = Hub::start(json!({})).await;
    // One of everything first, in case a series is made by its first use.
    let mut first = hub.connect(Codec::Json).await;
    first.subscribe("news:warm").await;
    first.publish("news:warm", 1).await;
    first.leave().await;
    hub.connect(Codec::Protobuf).await.leave().await;
    hub.until_empty().await;
    // Objectives are judged from the step on in which something came of them; nobody comes back here.
    let before = eventually("all objectives but that of recoveries", async || {
        let series = series(&hub.metrics().await);
        let judged = series.iter().filter(|series| series.starts_with("aether_objective_")).count();
        if judged == 2 * 4 { Ok(series) } else { Err(format!("{judged} series")) }
    })
    .await;
    assert!(before.len() > 10, "{before:?}");
    for round in 0..20 {
        let mut clients = many(100, async |number| {
            let codec = if number % 2 == 0 { Codec::Json } else { Codec::Protobuf };
            let mut client = hub.connect_as(codec, &format!("user-{round}-{number}")).await;
            client.subscribe(&format!("news:{round}-{number}")).await;
            client
        })
        .await;
        for (number, client) in clients.drain(..).enumerate() {
            if number % 2 == 0 { client.leave().await } else { client.cut() }
        }
    }
    hub.until_empty().await;
    let after = series(&hub.metrics().await);
    let added: Vec<_> = after.difference(&before).filter(|series| !series.contains("reason=") && !series.contains("close")).collect();
    assert!(added.is_empty(), "{added:?} were added");
    let user = after.iter().find(|series| series.contains("user-") || series.contains("news:"));
    assert_eq!(user, None, "a label names a user or a channel");
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let hub = Hub::start(json!({})).await;
    let text = hub.metrics().await;
    for part in ["# HELP aether_", "# TYPE aether_", "process_resident_memory_bytes"] {
        assert!(text.contains(part), "no {part} in the metrics");
    }
    assert!(text.contains("allocated") && text.contains("resident"), "allocated and resident memory are told apart");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("aether_") || line.starts_with("process_"), "{line}");
    }
}

#[tokio::test]
async fn what_is_not_enabled_is_not_there() {
    let hub = Hub::start(json!({ "prometheus": { "enabled": false }, "health": { "enabled": false }, "ready": { "enabled": false } })).await;
    for path in ["/metrics", "/health", "/ready", "/admin", "/../etc/passwd", "/%2e%2e/", "/debug/panic?target=session"] {
        let status = hub.get(path).await.status();
        assert!([400, 404, 405].contains(&status), "{path} answered {status}");
    }
}

#[tokio::test]
async fn the_debug_state_is_for_key_holders() {
    let hub = Hub::start(json!({})).await;
    assert_eq!(hub.get("/debug/state").await.status(), 401);
}

#[tokio::test]
async fn no_secret_is_told_anywhere() {
    let hub = Hub::start(json!({})).await;
    let mut client = hub.connect(Codec::Json).await;
    client.subscribe("news:x").await;
    let token = crate::support::token::user_token("alice");
    let mut bad = hub.open(Codec::Json).await;
    bad.send("connect", json!({ "token": format!("{token}x") })).await;
    bad.close_code().await;
    hub.api("info", json!({})).await;
    let told = format!("{}{}{}", hub.log(), hub.metrics().await, hub.state().expect("the state"));
    for secret in [crate::support::token::SECRET, "the-api-key-of-the-tests", token.as_str()] {
        assert!(!told.contains(secret), "{secret} stands in the log, the metrics or the state");
    }
}

#[tokio::test]
async fn every_connection_leaves_a_trace_in_the_counts() {
    let hub = Hub::start(json!({})).await;
    let mut clients = many(5, async |_| hub.connect(Codec::Json).await).await;
    for client in &mut clients {
        client.subscribe("plain").await;
        client.subscribe("room:x").await;
    }
    let state = hub.until("five clients, two topics", |state| state["sessions"] == 5 && state["topics"] == 2).await;
    assert_eq!((&state["members"], &state["presence"]), (&json!(10), &json!(5)), "{state}");
    drop(clients);
    hub.until("nobody", |state| state["sessions"] == 0 && state["topics"] == 0 && state["presence"] == 0).await;
}

// === The command line ===

fn aether(arguments: &[&str]) -> Output {
    crate::support::aether().args(arguments).env_clear().output().expect("the binary can be started")
}

#[test]
fn the_command_line_explains_itself() {
    let help = aether(&["--help"]);
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.status.success());
    for command in ["serve", "check-config", "default-config", "gen-token", "demo-feed", "bench", "version"] {
        assert!(text.contains(command), "{command} is not in the help:\n{text}");
        let help = aether(&[command, "--help"]);
        assert!(help.status.success() && help.stdout.len() > 100, "{command} --help says little");
    }
    assert!(!aether(&["nonsense"]).status.success());
    let version = aether(&["version"]);
    assert!(version.status.success() && String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_configuration_is_checked_before_it_is_used() {
    let directory = tempfile::tempdir().expect("a directory");
    let check = |text: &str| {
        let file = directory.path().join("aether.toml");
        std::fs::write(&file, text).expect("the file can be written");
        let output = aether(&["check-config", "--config", file.to_str().expect("a plain path")]);
        (output.status.success(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    };
    let (passes, said) = check("[client]\nping_interval = \"20s\"\n");
    assert!(passes, "{said}");
    let (passes, said) = check("[client]\nping_intervall = \"20s\"\n");
    assert!(!passes && said.contains("client.ping_intervall") && said.contains("ping_interval"), "{said}");
    let (passes, said) = check("[client]\nping_interval = \"soon\"\n");
    assert!(!passes && said.contains("client.ping_interval"), "{said}");
    let (passes, said) = check("[client]\nping_interval = \"5s\"\npong_timeout = \"8s\"\n");
    assert!(!passes && said.contains("pong_timeout"), "{said}");
    let (passes, said) = check("[[channel.namespaces]]\nname = \"x\"\nchannel_regex = \"(\"\n");
    assert!(!passes && said.contains("channel_regex"), "{said}");
    let (passes, _) = check("this is no toml");
    assert!(!passes);
    let missing = aether(&["check-config", "--config", "/nonexistent/aether.toml"]);
    assert!(!missing.status.success());
}

#[test]
fn the_default_configuration_passes_its_own_check() {
    let directory = tempfile::tempdir().expect("a directory");
    let default = aether(&["default-config"]);
    assert!(default.status.success());
    let file = directory.path().join("aether.toml");
    std::fs::write(&file, &default.stdout).expect("the file can be written");
    let check = aether(&["check-config", "--config", file.to_str().expect("a plain path")]);
    assert!(check.status.success(), "{}{}", String::from_utf8_lossy(&check.stdout), String::from_utf8_lossy(&check.stderr));
}

#[tokio::test]
async fn a_taken_port_is_a_clear_error() {
    let hub = Hub::start(json!({})).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("aether.toml");
    std::fs::write(&file, format!("[http_server]\naddress = \"127.0.0.1\"\nport = {}\n", hub.http.port())).expect("the file can be written");
    let output = aether(&["serve", "--config", file.to_str().expect("a plain path")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(&hub.http.port().to_string()), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

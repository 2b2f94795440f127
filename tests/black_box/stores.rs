//! The store away, silent, locked or full: who is connected does not notice, who signs in is told in time, and it is well again by itself.

use crate::support::operators::{ask, done, records};
use crate::support::token::token;
use crate::support::{Canaries, Codec, Hub, eventually, merged, request};
pub use secantus::Secantus;
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[path = "../peers/secantus.rs"]
mod secantus;

const PASSWORD: &str = "correct horse battery";

/// Whatever is wrong with the store, somebody who signs in hears it within this time.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Passwords that cost next to nothing, and no pause after a wrong one.
fn config(store: Value) -> Value {
    json!({ "accounts": { "password": { "memory": "64KiB", "iterations": 1, "wait": "20s" } }, "store": store })
}

/// `aether user add` beside the running hub.
async fn add_user(hub: &Hub, name: &str) {
    let mut command = crate::support::aether();
    command.args(["user", "add", name, "--config", "aether.toml"]).current_dir(hub.directory.path()).env_clear();
    // Whoever listens meanwhile goes on.
    let added = tokio::task::spawn_blocking(move || {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        process.stdin.take().expect("it is piped").write_all(format!("{PASSWORD}\n").as_bytes())?;
        process.wait_with_output()
    });
    let output = added.await.expect("nobody panics here").expect("the binary runs, and takes its input");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Signs in; what came of it: status and code.
async fn login(hub: &Hub, name: &str) -> (u16, Value) {
    let headers = [("Content-Type", "application/json"), ("Sec-Fetch-Site", "same-origin")];
    let body = json!({ "name": name, "password": PASSWORD }).to_string();
    let started = Instant::now();
    let answer = request(&hub.dial(), "POST", "/auth/login", &headers, body.as_bytes()).await;
    assert!(started.elapsed() < ANSWER_MAX, "the login took {:?}: {}", started.elapsed(), answer.text());
    (answer.status(), answer.json()["code"].clone())
}

/// Nobody can sign in, and the hub says so and goes on.
async fn is_degraded(hub: &Hub, name: &str) {
    assert_eq!(login(hub, name).await, (503, json!("store")));
    eventually("the hub's knowing", async || {
        let ready = hub.get("/ready").await;
        assert_eq!(ready.status(), 200, "live traffic does without the store: {}", ready.text());
        if ready.json()["degraded"] == json!(["store"]) { Ok(()) } else { Err(ready.text()) }
    })
    .await;
    assert_eq!(hub.metric("aether_store_up", "").await, 0.0);
}

/// The user can sign in, and the hub is whole, by itself.
async fn is_well(hub: &Hub, name: &str) {
    eventually("a login", async || match login(hub, name).await {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    eventually("a whole hub", async || {
        let ready = hub.get("/ready").await;
        if ready.json() == json!({ "ready": true }) { Ok(()) } else { Err(ready.text()) }
    })
    .await;
    assert_eq!(hub.metric("aether_store_up", "").await, 1.0);
}

/// The driver's pool is as large as it was ever needed, so that descriptors are not compared at the end.
async fn end(mut hub: Hub) {
    hub.terminate();
    let status = hub.exit().await;
    assert!(status.success(), "{status}");
}

/// From now on no file of the hub may grow beyond `bytes`; `None`: beyond nothing.
fn limit_files(hub: &Hub, bytes: Option<u64>) {
    let limit = libc::rlimit { rlim_cur: bytes.unwrap_or(libc::RLIM_INFINITY), rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the call reads a whole rlimit; the process is ours.
    assert_eq!(unsafe { libc::prlimit(hub.pid(), libc::RLIMIT_FSIZE, &raw const limit, std::ptr::null_mut()) }, 0);
}

#[tokio::test]
async fn no_byte_can_be_written_any_more() {
    let hub = Hub::start(config(json!({}))).await;
    add_user(&hub, "alice").await;
    is_well(&hub, "alice").await;
    Canaries::beside(&hub, async {
        limit_files(&hub, Some(0));
        is_degraded(&hub, "alice").await;
        limit_files(&hub, None);
        is_well(&hub, "alice").await;
    })
    .await;
}

#[tokio::test]
async fn the_file_is_locked_by_somebody_who_forgot_it() {
    let hub = Hub::start(config(json!({}))).await;
    add_user(&hub, "alice").await;
    let other = rusqlite::Connection::open(hub.directory.path().join("data/aether.db")).expect("the file can be opened");
    Canaries::beside(&hub, async {
        other.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
        is_degraded(&hub, "alice").await;
        other.execute_batch("ROLLBACK").expect("the lock can be given back");
        is_well(&hub, "alice").await;
    })
    .await;
    other.close().expect("it can be closed");
}

#[test]
fn a_folder_that_cannot_be_written_is_said_with_the_way_out() {
    for (option, value) in [("data_dir", "/proc/nowhere"), ("store.sqlite.path", "/proc/aether.db")] {
        let set = format!("{option}={value}");
        let output =
            crate::support::aether().args(["serve", "--set", "http_server.port=0", "--set", &set]).env_clear().output().expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("set data_dir or store.sqlite.path"), "{set}: {said}");
    }
}

#[tokio::test]
async fn a_mongodb_server_is_away_frozen_and_killed() {
    let mut server = Secantus::start().await;
    let store = json!({ "type": "mongodb", "mongodb": { "uri": server.uri(), "database": "hub" } });
    server.kill();
    let hub = Hub::start(config(store)).await;
    Canaries::beside(&hub, async {
        is_degraded(&hub, "alice").await;
        server.start_again().await;
        eventually("the database", async || match login(&hub, "alice").await {
            (401, _) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        add_user(&hub, "alice").await;
        is_well(&hub, "alice").await;

        server.freeze();
        is_degraded(&hub, "alice").await;
        server.thaw();
        is_well(&hub, "alice").await;

        server.kill();
        is_degraded(&hub, "alice").await;
        server.start_again().await;
        is_well(&hub, "alice").await;
    })
    .await;
    assert!(hub.metric("aether_store_pool_events_total", "created").await >= 1.0);
    let told = hub.log() + &hub.metrics().await + &hub.state().expect("the state").to_string();
    assert!(server.secrets().iter().all(|secret| !told.contains(secret)), "a password was told:\n{told}");
    end(hub).await;
}

/// Commands, their records and what they leave behind are the same as on SQLite, over a restart of the hub too.
#[tokio::test]
async fn operators_work_on_mongodb() {
    let server = Secantus::start().await;
    let store = json!({ "type": "mongodb", "mongodb": { "uri": server.uri(), "database": "hub" } });
    let config = merged(config(store), json!({ "client": { "token": { "role_claim": "role" } } }));
    let hub = Hub::start(config.clone()).await;
    let operator = async |hub: &Hub| {
        let mut client = hub.open(Codec::Json).await;
        client.connect(json!({ "token": token(&json!({ "sub": "the-admin", "role": "admin" })) })).await;
        client
    };
    let mut admin = operator(&hub).await;
    add_user(&hub, "alice").await;
    done(&mut admin, "admin.users.role", json!({ "user": "alice", "role": "operator" })).await;
    done(&mut admin, "admin.users.grants", json!({ "user": "alice", "grants": { "locked": ["subscribe"] } })).await;
    is_well(&hub, "alice").await;
    assert_eq!(done(&mut admin, "admin.users.show", json!({ "user": "alice" })).await["logins"].as_array().map(Vec::len), Some(1));
    let mut mallory = hub.connect_as(Codec::Json, "mallory").await;
    done(&mut admin, "admin.bans.add", json!({ "user": "mallory", "reason": "flooding" })).await;
    assert_eq!(mallory.close_code().await, 3503);
    mallory.cut();
    let key = done(&mut admin, "admin.keys.add", json!({ "name": "ci", "methods": ["publish"] })).await["once"]["key"].clone();
    let key = key.as_str().expect("a key").to_owned();
    assert_eq!(ask(&mut admin, "admin.users.show", json!({ "user": "nobody" })).await.expect_err("there is none").0, 104);
    admin.leave().await;
    let hub = hub.again(config).await;

    let mut admin = operator(&hub).await;
    let alice = done(&mut admin, "admin.users.show", json!({ "user": "alice" })).await["user"].clone();
    assert_eq!((&alice["role"], &alice["grants"]), (&json!("operator"), &json!({ "locked": ["subscribe"] })));
    assert_eq!(done(&mut admin, "admin.bans.list", json!({})).await["bans"][0]["subject"], "mallory");
    let published = request(&hub.dial(), "POST", "/api/publish", &[("X-API-Key", &key)], br#"{"channel":"news","data":{}}"#).await;
    assert!(published.status() == 200 && published.json().get("error").is_none(), "{}", published.text());
    let all = records(&mut admin, json!({ "actor": "the-admin" })).await;
    let outcomes = |action: &str| all.iter().filter(|one| one["action"] == action).map(|one| one["outcome"].clone()).collect::<Vec<_>>();
    for action in ["admin.users.role", "admin.users.grants", "admin.bans.add", "admin.keys.add"] {
        assert_eq!(outcomes(action), ["begun", "done"], "{action}: {all:?}");
    }
    assert!(!json!(all).to_string().contains(&key));
    assert_eq!(done(&mut admin, "admin.audit.verify", json!({})).await["is_whole"], true);
    admin.leave().await;
    let verified = crate::support::aether()
        .args(["audit", "verify", "--config", "aether.toml"])
        .current_dir(hub.directory.path())
        .env_clear()
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success() && said.starts_with("OK: "), "{said}{}", String::from_utf8_lossy(&verified.stderr));
    end(hub).await;
}

/// Storms of logins at a frozen store neither pile up nor hold up anybody else.
#[tokio::test]
async fn many_sign_in_while_the_server_is_frozen() {
    let server = Secantus::start().await;
    let store = json!({ "type": "mongodb", "queue_max": 20, "mongodb": { "uri": server.uri(), "database": "hub" } });
    let hub = Hub::start(config(store)).await;
    add_user(&hub, "alice").await;
    is_well(&hub, "alice").await;
    Canaries::beside(&hub, async {
        server.freeze();
        let outcomes = futures_util::future::join_all((0..60).map(|number| login(&hub, if number == 0 { "alice" } else { "bob" }))).await;
        // A pause after many attempts of one name or address is an answer too.
        assert!(outcomes.iter().all(|(status, _)| [503, 429].contains(status)), "{outcomes:?}");
        server.thaw();
        eventually("room for calls", async || {
            let waiting = hub.state()?["store_waiting"].clone();
            if waiting == 0 { Ok(()) } else { Err(format!("{waiting} wait")) }
        })
        .await;
    })
    .await;
    end(hub).await;
}

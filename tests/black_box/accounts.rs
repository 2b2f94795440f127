//! Accounts: signing in as a browser does it, staying signed in, and what ends it.

use crate::mercure::source::Source;
use crate::support::operators::done;
use crate::support::{Answer, Canaries, Client, Codec, Dial, Hub, eventually, request};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

const PASSWORD: &str = "correct horse battery";

/// A hub whose passwords cost next to nothing, with `changes` to its accounts.
async fn hub(changes: Value) -> Hub {
    Hub::start(config(changes)).await
}

fn config(changes: Value) -> Value {
    let cheap = json!({ "password": { "memory": "64KiB", "iterations": 1, "wait": "20s" } });
    json!({ "accounts": crate::support::merged(cheap, changes) })
}

/// `aether user …` on the hub's store, while the hub runs.
fn user_command(hub: &Hub, arguments: &[&str], input: &str) -> Output {
    let mut command = crate::support::aether();
    command.arg("user").args(arguments).args(["--config", "aether.toml"]).current_dir(hub.directory.path()).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("the binary runs");
    process.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("the input is taken");
    process.wait_with_output().expect("it ends")
}

/// A user with [`PASSWORD`].
fn add_user(hub: &Hub, name: &str, role: &str, grants: Value) {
    let output = user_command(hub, &["add", name, "--role", role, "--grants", &grants.to_string()], &format!("{PASSWORD}\n"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// One browser: it keeps the cookie, and says what browsers say.
#[derive(Clone)]
struct Browser {
    dial: Dial,
    cookie: Option<String>,
}

impl Browser {
    fn new(hub: &Hub) -> Self {
        Self { dial: hub.dial(), cookie: None }
    }

    async fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        let cookie = self.cookie.clone().unwrap_or_default();
        let headers = [
            ("Content-Type", "application/json"),
            ("Sec-Fetch-Site", "same-origin"),
            ("User-Agent", "a browser of the tests"),
            ("Cookie", cookie.as_str()),
        ];
        let answer = request(&self.dial, method, path, &headers, body).await;
        assert_eq!(answer.head.header("cache-control"), Some("no-store"), "{method} {path}");
        if let Some(set) = answer.head.header("set-cookie") {
            let pair = set.split(';').next().unwrap_or_default().to_owned();
            self.cookie = (!set.contains("Max-Age=0")).then_some(pair);
        }
        answer
    }

    async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, body.to_string().as_bytes()).await
    }
    async fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, b"").await
    }

    async fn try_login(&mut self, name: &str, password: &str) -> Answer {
        self.post("/auth/login", json!({ "name": name, "password": password })).await
    }

    /// Signs in; the token.
    async fn login(&mut self, name: &str) -> String {
        let answer = self.try_login(name, PASSWORD).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        text(&answer.json()["token"])
    }

    /// What an SDK's `getToken` does.
    async fn token(&mut self) -> String {
        let answer = self.post("/auth/token", json!({})).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        text(&answer.json()["token"])
    }

    /// Why it is signed out.
    async fn signed_out(&mut self) -> String {
        let answer = self.post("/auth/token", json!({})).await;
        assert_eq!((answer.status(), &answer.json()["code"]), (401, &json!("signed_out")), "{}", answer.text());
        text(&answer.json()["reason"])
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Begins all of them before the first one is through.
async fn at_once<T>(count: usize, each: impl AsyncFn(usize) -> T) -> Vec<T> {
    futures_util::future::join_all((0..count).map(|number| each(number))).await
}

async fn connected(hub: &Hub, token: &str) -> Client {
    let mut client = hub.open(Codec::Json).await;
    client.connect(json!({ "token": token })).await;
    client
}

#[tokio::test]
async fn somebody_signs_in_and_does_what_role_and_grants_allow() {
    let hub = hub(json!({})).await;
    add_user(&hub, "alice", "publisher", json!({ "locked": ["subscribe", "history"] }));
    let mut alice = Browser::new(&hub);
    let answer = alice.try_login("Alice", PASSWORD).await;
    let body = answer.json();
    assert_eq!((answer.status(), &body["user"]), (200, &json!({ "name": "alice", "role": "publisher" })));
    assert!(body["expires_in"].as_i64().is_some_and(|seconds| (898..=900).contains(&seconds)), "{body}");
    let cookie = answer.head.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("aether=v1.") && cookie.ends_with("; Path=/; Max-Age=1209600; HttpOnly; SameSite=Strict"), "{cookie}");

    let me = alice.get("/auth/me").await.json();
    assert_eq!((&me["name"], &me["role"], &me["grants"]), (&json!("alice"), &json!("publisher"), &json!({ "locked": ["subscribe", "history"] })));
    assert!(me["rights"].as_array().is_some_and(|rights| rights.contains(&json!("publish")) && !rights.contains(&json!("users.write"))), "{me}");
    assert!(me["created_at"].as_i64().is_some_and(|at| at > 1_700_000_000_000) && me["password_changed_at"] == me["created_at"], "{me}");

    let mut client = connected(&hub, &text(&body["token"])).await;
    client.subscribe("locked:x").await;
    client.publish("locked:x", "as a publisher, where it is subscribed").await;
    assert_eq!(
        client.call("history", json!({ "channel": "locked:x", "limit": 1 })).await["history"]["publications"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(client.error_of("presence", json!({ "channel": "locked:x" })).await, 103, "that was not granted");
    let mut other = hub.connect_as(Codec::Json, "alice").await;
    assert_eq!(other.error_of("subscribe", json!({ "channel": "locked:x" })).await, 103, "an application's token of the same name grants nothing");

    let sessions = alice.get("/auth/sessions").await.json();
    let session = &sessions["sessions"][0];
    assert_eq!(
        (&session["is_current"], &session["device"], &session["address"]),
        (&json!(true), &json!("a browser of the tests"), &json!("127.0.0.1"))
    );
    assert_eq!(
        (&session["live"][0]["client"], &session["live"][0]["transport"], session["live"].as_array().map(Vec::len)),
        (&json!(client.id()), &json!("websocket"), Some(1))
    );

    let secrets = [PASSWORD.to_owned(), text(&body["token"]), cookie["aether=".len()..].split(';').next().unwrap_or_default().to_owned()];
    let (log, metrics) = (hub.log(), hub.metrics().await);
    for secret in secrets {
        assert!(!log.contains(&secret) && !metrics.contains(&secret), "a secret is told: {secret}");
    }
}

#[tokio::test]
async fn over_tls_the_cookie_is_for_this_host_and_tls_alone() {
    let hub = Hub::start_with_tls(config(json!({}))).await;
    add_user(&hub, "alice", "viewer", json!({}));
    let mut alice = Browser { dial: hub.tls_dial(), cookie: None };
    let answer = alice.try_login("alice", PASSWORD).await;
    let cookie = answer.head.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("__Host-aether=v1.") && cookie.ends_with("; Path=/; Max-Age=1209600; HttpOnly; Secure; SameSite=Strict"), "{cookie}");
    alice.token().await;
    // The name that others of the domain could set counts for nothing here.
    let plain = alice.cookie.as_ref().map(|cookie| cookie.replace("__Host-", ""));
    assert_eq!(Browser { cookie: plain, ..alice }.signed_out().await, "none");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_get_the_same_answers_and_the_same_pauses() {
    let hub = hub(json!({ "tries": 3, "pause": "40s" })).await;
    add_user(&hub, "alice", "viewer", json!({}));
    let mut browser = Browser::new(&hub);
    let mut answers = Vec::new();
    for name in ["alice", "nobody"] {
        let mut of_name = Vec::new();
        for _ in 0..4 {
            let answer = browser.try_login(name, "wrong horse battery").await;
            of_name.push((answer.status(), answer.json(), answer.head.header("retry-after").map(str::to_owned)));
        }
        answers.push(of_name);
    }
    let wrong = |left: u32, tries| {
        let message = format!("Name or password is wrong. {left} {tries} left before a pause of 40 s.");
        (401, json!({ "code": "wrong", "message": message, "tries_left": left, "pause": 40 }), None)
    };
    for of_name in &answers {
        assert_eq!(of_name[..2], [wrong(2, "tries"), wrong(1, "try")]);
        for (status, body, retry_after) in &of_name[2..] {
            let seconds = retry_after.as_ref().and_then(|seconds| seconds.parse::<u64>().ok());
            assert!((30..=40).contains(&seconds.unwrap_or_default()), "{retry_after:?}");
            assert_eq!((*status, &body["code"], body["retry_after"].as_u64()), (429, &json!("paused"), seconds), "{body}");
        }
    }
    assert_eq!(browser.try_login("alice", PASSWORD).await.status(), 429, "the right one has to wait too");
    assert!(hub.metric("aether_logins_refused_total", "wrong").await >= 4.0 && hub.metric("aether_logins_refused_total", "paused").await >= 1.0);
}

#[tokio::test]
async fn what_nobody_can_mean_is_refused_and_harms_nobody() {
    let hub = hub(json!({ "tries": 1_000, "tries_per_address": 100_000 })).await;
    add_user(&hub, "admin", "admin", json!({}));
    let mut browser = Browser::new(&hub);
    Canaries::beside(&hub, async {
        let huge = "x".repeat(1_000_000);
        assert_eq!(browser.try_login("admin", &huge).await.status(), 413);
        assert_eq!(browser.try_login("admin", &huge[..60_000]).await.json()["code"], "password", "and is not hashed");
        assert_eq!(browser.try_login("admin", &huge[..1_024]).await.status(), 401);
        for name in
            ["admin\0", "\u{430}dmin", "\u{ff41}dmin", "admin\u{200b}", " admin", "", "admin\n", "ADMI\u{4e}\u{301}", &huge[..10_000], "<script>"]
        {
            let answer = browser.try_login(name, PASSWORD).await;
            assert_eq!((answer.status(), &answer.json()["code"]), (401, &json!("wrong")), "{name:?}");
        }
        for body in [
            &b""[..],
            b"{",
            b"[]",
            b"null",
            b"\"admin\"",
            b"\xff\xfe",
            br#"{"name":"admin"}"#,
            br#"{"password":"correct horse battery"}"#,
            br#"{"name":1,"password":"correct horse battery"}"#,
            br#"{"name":"admin","password":null}"#,
            br#"{"name":"admin","password":["correct horse battery"]}"#,
            br#"{"name":["admin"],"password":"correct horse battery"}"#,
            br#"{"name":"admin","name":"admin","password":"x"}"#,
        ] {
            let answer = browser.ask("POST", "/auth/login", body).await;
            assert_eq!((answer.status(), &answer.json()["code"]), (400, &json!("bad_request")), "{}", String::from_utf8_lossy(body));
            assert!(!answer.text().contains("battery"), "what was sent is not said again");
        }
        for (method, path, status) in [
            ("GET", "/auth/login", 405),
            ("PUT", "/auth/token", 405),
            ("POST", "/auth/me", 405),
            ("DELETE", "/auth/sessions", 405),
            ("GET", "/auth/nothing", 404),
            ("POST", "/auth/login/", 404),
            ("POST", "/auth", 404),
        ] {
            assert_eq!(browser.ask(method, path, b"{}").await.status(), status, "{method} {path}");
        }
        for path in ["/auth/token", "/auth/logout", "/auth/logout-everywhere"] {
            browser.cookie = Some(format!("aether=v1.{}.0.{}", uuid::Uuid::new_v4(), "A".repeat(43)));
            let answer = browser.post(path, json!({})).await;
            assert_eq!((answer.status(), &answer.json()["reason"]), (401, &json!("none")), "{path}");
            assert_eq!(browser.cookie, None, "a cookie that opens nothing is taken back");
        }
    })
    .await;
    browser.login("ADMIN").await;
}

#[tokio::test]
async fn pages_of_others_are_refused() {
    let hub = hub(json!({})).await;
    add_user(&hub, "alice", "viewer", json!({}));
    let mut alice = Browser::new(&hub);
    alice.login("alice").await;
    let cookie = alice.cookie.clone().expect("signed in");
    let host = hub.http.to_string();
    let (own, json) = (format!("http://{host}"), ("Content-Type", "application/json"));
    type Headers<'a> = Vec<(&'a str, &'a str)>;
    let cases: Vec<(&str, Headers<'_>, u16, &str)> = vec![
        ("no page", vec![json], 204, ""),
        ("our own page", vec![json, ("Origin", &own), ("Sec-Fetch-Site", "same-origin")], 204, ""),
        ("our own page in an old browser", vec![json, ("Origin", &own)], 204, ""),
        ("another site", vec![json, ("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")], 403, "origin"),
        ("another site in an old browser", vec![json, ("Origin", "https://evil.example")], 403, "origin"),
        ("another site that says it is ours", vec![json, ("Origin", &own), ("Sec-Fetch-Site", "cross-site")], 403, "origin"),
        ("another port of this machine", vec![json, ("Origin", "http://127.0.0.1:1")], 403, "origin"),
        ("a sandbox", vec![json, ("Origin", "null")], 403, "origin"),
        ("a form", vec![("Content-Type", "text/plain"), ("Origin", &own)], 415, "content_type"),
        ("no type", vec![], 415, "content_type"),
    ];
    for (name, headers, status, code) in cases {
        let mut browser = Browser::new(&hub);
        browser.login("alice").await;
        let own_cookie = browser.cookie.clone().expect("signed in");
        let mut headers = headers;
        headers.push(("Cookie", &own_cookie));
        let answer = request(&hub.dial(), "POST", "/auth/logout", &headers, b"{}").await;
        assert_eq!(answer.status(), status, "{name}: {}", answer.text());
        if !code.is_empty() {
            assert_eq!(answer.json()["code"], code, "{name}");
            browser.token().await;
        }
        let session = request(&hub.dial(), "DELETE", "/auth/sessions/x", &headers, b"").await;
        assert_eq!(session.status(), if status == 204 { 404 } else { status }, "{name}: {}", session.text());
    }
    // Without TLS only this machine may.
    let headers = [json, ("Host", "hub.example"), ("Cookie", cookie.as_str())];
    let answer = request(&hub.dial(), "POST", "/auth/logout", &headers, b"{}").await;
    assert!([400, 403].contains(&answer.status()), "{}", answer.text());
}

#[tokio::test]
async fn each_use_brings_another_cookie_and_an_old_one_ends_everything() {
    let hub = hub(json!({})).await;
    add_user(&hub, "alice", "viewer", json!({}));
    let mut alice = Browser::new(&hub);
    let token = alice.login("alice").await;
    let mut thief = alice.clone();
    let mut client = connected(&hub, &token).await;
    let mut other_login = Browser::new(&hub);
    let mut other_client = connected(&hub, &other_login.login("alice").await).await;

    // Two tabs at once get the same.
    let mut tab = alice.clone();
    let (one, two) = (alice.token().await, tab.token().await);
    assert_eq!(alice.cookie, tab.cookie);
    assert_ne!(alice.cookie, thief.cookie);
    for token in [one, two] {
        client.call("refresh", json!({ "token": token })).await;
    }
    alice.token().await;
    let replayed = Instant::now();
    assert_eq!(thief.signed_out().await, "replayed");
    assert_eq!(client.close_code().await, 3500);
    assert!(replayed.elapsed() < Duration::from_secs(1), "{:?}", replayed.elapsed());
    assert_eq!(alice.signed_out().await, "replayed");
    // A token of it that has time left is void.
    let mut again = hub.open(Codec::Json).await;
    again.send("connect", json!({ "token": token })).await;
    assert_eq!(again.close_code().await, 3500);
    // Other logins are none of its business.
    other_login.token().await;
    other_client.subscribe("news:x").await;
    assert_eq!(hub.metric("aether_logins_ended_total", "replayed").await, 1.0);
    assert!(hub.log().contains("login.replayed"), "it is written down");
}

#[tokio::test]
async fn a_thousand_refreshes_in_the_same_second_get_through() {
    let hub = hub(json!({})).await;
    add_user(&hub, "alice", "viewer", json!({}));
    let mut alice = Browser::new(&hub);
    alice.login("alice").await;
    let answers = at_once(1_000, async |_| {
        let mut tab = alice.clone();
        (tab.post("/auth/token", json!({})).await.status(), tab.cookie)
    })
    .await;
    let cookies: BTreeSet<_> = answers.iter().map(|(_, cookie)| cookie).collect();
    assert!(answers.iter().all(|(status, _)| *status == 200));
    assert_eq!(cookies.len(), 1, "one rotation for all of them");
}

#[tokio::test]
async fn a_login_ends_by_disuse_and_by_age() {
    for (idle, absolute, reason) in [("500ms", "90d", "idle"), ("500ms", "500ms", "absolute")] {
        let hub = hub(json!({ "idle_timeout": idle, "absolute_timeout": absolute })).await;
        add_user(&hub, "alice", "viewer", json!({}));
        let mut alice = Browser::new(&hub);
        alice.login("alice").await;
        eventually("the login's end", async || {
            let answer = alice.clone().get("/auth/me").await;
            if answer.status() == 401 && answer.json()["reason"] == reason { Ok(()) } else { Err(answer.text()) }
        })
        .await;
        assert_eq!(alice.signed_out().await, reason);
        assert_eq!(alice.cookie, None);
    }
}

#[tokio::test]
async fn logging_out_closes_what_the_login_let_in() {
    let hub = hub(json!({})).await;
    add_user(&hub, "alice", "viewer", json!({}));
    let mut browsers = Vec::new();
    for _ in 0..3 {
        let mut browser = Browser::new(&hub);
        let client = connected(&hub, &browser.login("alice").await).await;
        browsers.push((browser, client));
    }
    let (mut one, mut one_client) = browsers.remove(0);
    let begun = Instant::now();
    assert_eq!(one.post("/auth/logout", json!({})).await.status(), 204);
    assert_eq!((one_client.close_code().await, one.cookie.clone()), (3500, None));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());

    // The second one sees the third, ends it, and then all of them.
    let (mut two, mut two_client) = browsers.remove(0);
    let (mut three, mut three_client) = browsers.remove(0);
    let sessions = two.get("/auth/sessions").await.json();
    let list = sessions["sessions"].as_array().expect("a list");
    let other = list.iter().find(|session| session["is_current"] == false).expect("the third");
    assert_eq!(list.len(), 2, "{sessions}");
    let path = format!("/auth/sessions/{}", text(&other["id"]));
    assert_eq!(two.ask("DELETE", &path, b"").await.status(), 204);
    assert_eq!((three_client.close_code().await, three.signed_out().await.as_str()), (3500, "revoked"));
    assert_eq!(two.ask("DELETE", &path, b"").await.status(), 404);
    let mut four = Browser::new(&hub);
    let mut four_client = connected(&hub, &four.login("alice").await).await;
    assert_eq!(two.post("/auth/logout-everywhere", json!({})).await.status(), 204);
    assert_eq!((two_client.close_code().await, four_client.close_code().await), (3500, 3500));
    assert_eq!(four.signed_out().await, "logout");
}

#[tokio::test]
async fn an_event_source_of_our_own_page_watches_the_hub_by_the_login() {
    let mercure = json!({ "mercure": { "enabled": true, "anonymous": true }, "metrics": { "interval": "200ms", "canary_interval": "0s" } });
    let hub = Hub::start(crate::support::merged(config(json!({})), mercure)).await;
    add_user(&hub, "alice", "operator", json!({}));
    add_user(&hub, "root", "admin", json!({}));
    let mut root = connected(&hub, &Browser::new(&hub).login("root").await).await;
    let mut alice = Browser::new(&hub);
    alice.login("alice").await;
    let watch = async |browser: &Browser, topic: &str, site: &[(&str, &str)]| {
        let cookie = browser.cookie.clone().unwrap_or_default();
        let headers: Vec<_> = [("Cookie", cookie.as_str())].into_iter().chain(site.iter().copied()).collect();
        Source::try_open(&hub, &format!("topic={topic}"), &headers).await
    };
    let own = &[("Sec-Fetch-Site", "same-origin")][..];
    let mut source = watch(&alice, "$metrics:overview", own).await.expect("it comes in");
    assert!(source.data().await.starts_with('{'));
    let same_host = [("Origin", &*format!("http://{}", hub.http))];
    assert!(watch(&alice, "$metrics:overview", &same_host).await.is_ok(), "an old browser");
    for (who, site) in [
        ("a page of a sister domain", &[("Sec-Fetch-Site", "same-site")][..]),
        ("a page of somebody else", &[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")]),
        ("the same in an old browser", &[("Origin", "https://evil.example")]),
        ("a frame in a sandbox", &[("Origin", "null")]),
    ] {
        assert_eq!(watch(&alice, "$metrics:overview", site).await.err().map(|answer| answer.status()), Some(401), "{who}");
    }
    assert_eq!(watch(&alice, "$admin:audit", own).await.err().map(|answer| answer.status()), Some(401), "not for operators");
    assert_eq!(watch(&Browser::new(&hub), "$metrics:overview", own).await.err().map(|answer| answer.status()), Some(401), "no cookie");

    // Another role ends it, and it comes back with that one; the end of the login ends it for good.
    done(&mut root, "admin.users.role", json!({ "user": "alice", "role": "viewer" })).await;
    while source.next().await.is_some() {}
    let mut source = watch(&alice, "$metrics:overview", own).await.expect("a viewer may look, too");
    source.data().await;
    done(&mut root, "admin.logins.end", json!({ "user": "alice" })).await;
    while source.next().await.is_some() {}
    assert_eq!(watch(&alice, "$metrics:overview", own).await.err().map(|answer| answer.status()), Some(401));
    root.leave().await;
    hub.until_empty().await;
}

#[tokio::test]
async fn a_new_password_ends_the_other_logins() {
    let hub = hub(json!({})).await;
    add_user(&hub, "alice", "viewer", json!({}));
    let (mut mine, mut other) = (Browser::new(&hub), Browser::new(&hub));
    let mut my_client = connected(&hub, &mine.login("alice").await).await;
    let mut other_client = connected(&hub, &other.login("alice").await).await;
    for (current, new, status, code) in [
        ("wrong horse battery", "another horse battery", 401, "wrong"),
        (PASSWORD, "short", 400, "password"),
        (PASSWORD, &*"x".repeat(1_025), 400, "password"),
    ] {
        let answer = mine.post("/auth/password", json!({ "current": current, "new": new })).await;
        assert_eq!((answer.status(), &answer.json()["code"]), (status, &json!(code)), "{}", answer.text());
    }
    let answer = mine.post("/auth/password", json!({ "current": PASSWORD, "new": "another horse battery" })).await;
    assert_eq!(answer.status(), 204, "{}", answer.text());
    assert_eq!((other_client.close_code().await, other.signed_out().await.as_str()), (3500, "password"));
    my_client.subscribe("news:x").await;
    mine.token().await;
    assert_eq!(other.try_login("alice", PASSWORD).await.status(), 401);
    assert_eq!(other.try_login("alice", "another horse battery").await.status(), 200);
}

#[tokio::test]
async fn channels_that_take_a_token_are_open_to_whom_they_are_granted() {
    let hub = hub(json!({})).await;
    add_user(&hub, "alice", "viewer", json!({ "locked": ["subscribe"] }));
    let mut alice = Browser::new(&hub);
    let mut client = connected(&hub, &alice.login("alice").await).await;
    assert_eq!(client.error_of("subscribe", json!({ "channel": "$locked:x" })).await, 103);
    let answer = alice.post("/auth/subscription-token", json!({ "channel": "$locked:x" })).await;
    let token = text(&answer.json()["token"]);
    client.subscribe_with(json!({ "channel": "$locked:x", "token": token })).await;
    for channel in ["$news:x", "$unknown:x", "$x", ""] {
        let answer = alice.post("/auth/subscription-token", json!({ "channel": channel })).await;
        assert_eq!((answer.status(), &answer.json()["code"]), (403, &json!("forbidden")), "{channel}");
    }
    let mut bob = hub.connect_as(Codec::Json, "bob").await;
    bob.send("subscribe", json!({ "channel": "$locked:x", "token": token })).await;
    assert_eq!(bob.close_code().await, 3500, "it is alice's");
}

#[tokio::test]
async fn a_restart_keeps_everybody_signed_in() {
    let first = hub(json!({})).await;
    add_user(&first, "alice", "viewer", json!({}));
    let mut alice = Browser::new(&first);
    let token = alice.login("alice").await;
    let second = first.again(config(json!({}))).await;
    alice.dial = second.dial();
    connected(&second, &token).await;
    alice.token().await;
    assert_eq!(alice.get("/auth/sessions").await.json()["sessions"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_storm_of_logins_is_slowed_down_and_nobody_else_is() {
    // A cost at which the storm cannot be worked off within the time that a login may wait.
    let storm =
        json!({ "tries": 1_000, "tries_per_address": 100_000, "password": { "memory": "4MiB", "iterations": 3, "at_once": 1, "wait": "300ms" } });
    let hub = hub(storm).await;
    add_user(&hub, "alice", "viewer", json!({}));
    Canaries::beside(&hub, async {
        let statuses = at_once(400, async |number| {
            let answer = Browser::new(&hub).try_login(&format!("user-{number}"), "wrong horse battery").await;
            if answer.status() == 503 {
                assert_eq!((&answer.json()["code"], answer.head.header("retry-after")), (&json!("busy"), Some("1")), "{}", answer.text());
            }
            answer.status()
        })
        .await;
        let of = |status| statuses.iter().filter(|one| **one == status).count();
        assert!(of(401) >= 1 && of(503) >= 1 && of(401) + of(503) == 400, "{} wrong, {} refused", of(401), of(503));
    })
    .await;
    let memory = hub.state().expect("the state")["memory_resident_bytes"].as_u64().expect("a number");
    assert!(memory < 300 << 20, "{memory} bytes after the storm");
    eventually("a login after the storm", async || {
        let answer = Browser::new(&hub).try_login("alice", PASSWORD).await;
        if answer.status() == 200 { Ok(()) } else { Err(answer.text()) }
    })
    .await;
}

#[tokio::test]
async fn while_the_store_is_stuck_logins_fail_in_time_and_the_rest_goes_on() {
    let hub = hub(json!({})).await;
    add_user(&hub, "alice", "viewer", json!({}));
    let mut alice = Browser::new(&hub);
    let mut client = connected(&hub, &alice.login("alice").await).await;
    let mut leaving = Browser::new(&hub);
    let mut leaving_client = connected(&hub, &leaving.login("alice").await).await;
    let store = rusqlite::Connection::open(hub.directory.path().join("data/aether.db")).expect("the store can be opened");
    store.execute_batch("BEGIN IMMEDIATE").expect("the store can be locked");
    Canaries::beside(&hub, async {
        let mut stranger = Browser::new(&hub);
        for (browser, path, body) in [
            (&mut stranger, "/auth/login", json!({ "name": "alice", "password": PASSWORD })),
            (&mut alice, "/auth/token", json!({})),
            (&mut leaving, "/auth/logout", json!({})),
        ] {
            let begun = Instant::now();
            let answer = browser.post(path, body).await;
            assert_eq!((answer.status(), &answer.json()["code"], answer.head.header("retry-after")), (503, &json!("store"), Some("1")), "{path}");
            assert!(begun.elapsed() < Duration::from_secs(3), "{path} took {:?}", begun.elapsed());
        }
        assert_eq!(leaving_client.close_code().await, 3500, "what is certainly meant to end ends");
        client.subscribe("news:x").await;
        client.publish("news:x", "goes on").await;
    })
    .await;
    store.execute_batch("ROLLBACK").expect("the store can be unlocked");
    alice.token().await;
    alice.login("alice").await;
}

#[tokio::test]
async fn without_accounts_there_is_nothing_to_sign_in_to() {
    let with = hub(json!({})).await;
    add_user(&with, "alice", "viewer", json!({}));
    let token = Browser::new(&with).login("alice").await;
    let without = with.again(json!({ "accounts": { "enabled": false } })).await;
    let answer = request(&without.dial(), "POST", "/auth/login", &[("Content-Type", "application/json")], b"{}").await;
    assert_eq!(answer.status(), 404);
    let mut client = without.open(Codec::Json).await;
    client.send("connect", json!({ "token": token })).await;
    assert_eq!(client.close_code().await, 3500);
}

#[tokio::test]
async fn the_command_line_keeps_accounts_beside_the_running_hub() {
    let hub = hub(json!({})).await;
    assert!(hub.log().contains("aether user add"), "a hub without accounts says how to make one");
    let says = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let made = user_command(&hub, &["add", "root", "--role", "admin", "--generate"], "");
    let password = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    assert!(made.status.success() && password.len() == 20, "{}", says(&made));
    let mut root = Browser::new(&hub);
    assert_eq!(root.try_login("root", &password).await.status(), 200);

    for (arguments, input, complaint) in [
        (&["add", "root"][..], "correct horse battery", "there is a user root already"),
        (&["add", "al ice"], "correct horse battery", "a name is"),
        (&["add", "alice"], "short", "8 to 1024 bytes"),
        (&["add", "alice", "--role", "king"], "", "roles are viewer, publisher, operator, admin"),
        (&["add", "alice", "--grants", "{\"chat\":\"all\"}"], "", "grants must be"),
        (&["set-role", "root", "viewer"], "", "somebody must stay admin"),
        (&["remove", "root"], "", "somebody must stay admin"),
        (&["remove", "nobody"], "", "there is no user nobody"),
        (&["set-password", "nobody"], "", "there is no user nobody"),
    ] {
        let output = user_command(&hub, arguments, input);
        assert!(!output.status.success() && says(&output).contains(complaint), "{arguments:?}: {}", says(&output));
    }
    add_user(&hub, "alice", "viewer", json!({ "*": ["subscribe"] }));
    let list = user_command(&hub, &["list"], "");
    let rows: Vec<Vec<String>> =
        String::from_utf8_lossy(&list.stdout).lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
    assert_eq!(rows, [vec!["name", "role", "grants"], vec!["alice", "viewer", "{\"*\":[\"subscribe\"]}"], vec!["root", "admin"]]);

    let mut alice = Browser::new(&hub);
    alice.login("alice").await;
    assert!(user_command(&hub, &["set-role", "alice", "operator"], "").status.success());
    assert_eq!(alice.get("/auth/me").await.json()["role"], "operator");
    let set = user_command(&hub, &["set-password", "alice"], "another horse battery\n");
    assert!(set.status.success() && says(&set).contains("1 logins ended"), "{}", says(&set));
    assert_eq!(alice.signed_out().await, "password");
    assert_eq!(alice.try_login("alice", "another horse battery").await.status(), 200);
    assert!(user_command(&hub, &["remove", "alice"], "").status.success());
    assert_eq!(alice.try_login("alice", "another horse battery").await.status(), 401);
}

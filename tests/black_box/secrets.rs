//! A hub that is shown secrets of every kind, right and wrong ones, repeats none of them: not in its log, its metrics, its answers, its state, nor where the system
//! shows what it was started with.

use crate::support::token::{SECRET, user_token};
use crate::support::{API_KEY, Answer, Codec, Hub, request};
use serde_json::json;
use std::io::Write;
use std::process::Stdio;

/// Everything that was said, with where.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn note(&mut self, what: impl Into<String>, text: impl Into<String>) {
        self.0.push((what.into(), text.into()));
    }
    fn note_answer(&mut self, what: &str, answer: &Answer) {
        self.note(what, format!("{:?} {}", answer.head, answer.text()));
    }
    fn must_not_hold(&self, secrets: &[(&str, String)]) {
        for (name, secret) in secrets {
            assert!(secret.len() >= 8, "{name} cannot be recognised");
            for (what, text) in &self.0 {
                assert!(!text.contains(secret.as_str()), "{name} stands in {what}:\n{text}");
            }
        }
    }
}

/// A command of the binary beside the hub: what it writes to standard output, which is where a secret that was asked for comes.
fn command(hub: &Hub, arguments: &[&str], input: &str, said: &mut Said) -> String {
    let mut command = crate::support::aether();
    command.args(arguments).arg("--config").arg(hub.directory.path().join("aether.toml")).current_dir(hub.directory.path());
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary can be started");
    process.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = process.wait_with_output().expect("it ends");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {err}");
    said.note(format!("the errors of {arguments:?}"), err);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn no_secret_is_repeated() {
    const PASSWORD: &str = "pA55-of-anna-cYan-0tter";
    const WRONG_PASSWORD: &str = "wr0ng-guess-violet-heron";
    const WRONG_KEY: &str = "wr0ng-api-key-amber-lynx";
    const FEED_TOKEN: &str = "feed-t0ken-maroon-ibis";
    let feed = crate::support::Feed::start();
    let entry =
        json!({ "name": "ticks", "url": feed.url(), "channel": "news:ticks", "headers": { "Authorization": format!("Bearer {FEED_TOKEN}") } });
    let hub = Hub::launch(json!({ "log": { "level": "debug" }, "upstream": { "feeds": [entry] } }), |command| {
        command.env("RUST_LOG", "debug,hyper=info,reqwest=info,rustls=info");
    });
    let mut said = Said::default();

    command(&hub, &["user", "add", "anna", "--role", "admin"], &format!("{PASSWORD}\n"), &mut said);
    let key = command(&hub, &["key", "add", "ci"], "", &mut said);
    said.note("the list of keys", command(&hub, &["key", "list"], "", &mut Said::default()));
    said.note("the list of users", command(&hub, &["user", "list"], "", &mut Said::default()));

    // Keys, right and wrong, in every place where they may be shown.
    for shown in [key.as_str(), API_KEY, WRONG_KEY] {
        let authorization = format!("apikey {shown}");
        let query = format!("/api/info?api_key={shown}");
        let ways =
            [("/api/info", vec![("X-API-Key", shown)]), ("/api/info", vec![("Authorization", authorization.as_str())]), (query.as_str(), vec![])];
        for (path, headers) in ways {
            for body in [&b"{}"[..], b"{", b"\xff"] {
                said.note_answer("an answer of the API", &request(&hub.dial(), "POST", path, &headers, body).await);
            }
        }
    }

    // Logins: the only answer that holds a token is the one that hands it out.
    let login = async |password: &str| {
        let body = json!({ "name": "anna", "password": password }).to_string();
        request(
            &hub.dial(),
            "POST",
            "/auth/login",
            &[("Content-Type", "application/json"), ("Origin", &format!("http://{}", hub.http))],
            body.as_bytes(),
        )
        .await
    };
    let logged_in = login(PASSWORD).await;
    assert_eq!(logged_in.status(), 200, "{}", logged_in.text());
    let minted = logged_in.json()["token"].as_str().expect("a token").to_owned();
    let cookie = logged_in.head.header("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned();
    let cookie_value = cookie.split_once('=').expect("name and value").1.to_owned();
    said.note_answer("the answer to a wrong password", &login(WRONG_PASSWORD).await);
    let origin = format!("http://{}", hub.http);
    let with_cookie = [("Content-Type", "application/json"), ("Origin", origin.as_str()), ("Cookie", cookie.as_str())];
    for (method, path) in [("GET", "/auth/me"), ("GET", "/auth/sessions"), ("POST", "/auth/nothing")] {
        let body: &[u8] = if method == "POST" { b"{}" } else { b"" };
        said.note_answer(path, &request(&hub.dial(), method, path, &with_cookie, body).await);
    }

    // Tokens of clients: good ones, and a forged one whose text must not come back.
    let good = user_token("bob");
    let forged = format!("{}x{}", &good[..good.len() - 6], &good[good.len() - 4..]);
    for token in [&good, &minted] {
        let mut client = hub.open(Codec::Json).await;
        said.note("the answer to a connect", client.connect(json!({ "token": token })).await.to_string());
        client.leave().await;
    }
    let mut client = hub.open(Codec::Json).await;
    client.send("connect", json!({ "token": forged })).await;
    said.note("the end of a forged connect", format!("{:?}", client.ending().await));

    feed.request(1).await;
    said.note("the state", hub.state().expect("the state").to_string());
    said.note("the metrics", hub.metrics().await);
    said.note_answer("the readiness", &hub.get("/ready").await);
    let process = |file: &str| {
        std::fs::read(format!("/proc/{}/{file}", hub.pid())).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    };
    said.note("the arguments", process("cmdline"));
    said.note("the log", hub.log());

    let signature = |token: &str| token.rsplit('.').next().unwrap_or_default().to_owned();
    let secrets: [(&str, String); 12] = [
        ("the password", PASSWORD.to_owned()),
        ("the wrong password", WRONG_PASSWORD.to_owned()),
        ("the wrong key", WRONG_KEY.to_owned()),
        ("the key of the configuration", API_KEY.to_owned()),
        ("the named key", key[key.len() - 43..].to_owned()),
        ("the secret of tokens", SECRET.to_owned()),
        ("the token of the feed", FEED_TOKEN.to_owned()),
        ("a client's token", signature(&good)),
        ("the forged token", signature(&forged)),
        ("the minted token", signature(&minted)),
        ("the cookie", cookie_value.clone()),
        ("the cookie's proof", cookie_value.rsplit('.').next().unwrap_or_default().to_owned()),
    ];
    said.must_not_hold(&secrets);
    assert!(said.0.iter().any(|(what, text)| what == "the log" && text.contains("DEBUG")), "the log tells much");

    // At rest: what the store holds is no secret either, but the hashes of them.
    let mut stored = Vec::new();
    for file in ["aether.db", "aether.db-wal"] {
        stored.extend(std::fs::read(hub.directory.path().join("data").join(file)).unwrap_or_default());
    }
    assert!(stored.len() > 4_096, "the store is where it is looked for");
    for (name, secret) in secrets.iter().filter(|(name, _)| *name != "the secret of tokens") {
        assert!(memchr::memmem::find(&stored, secret.as_bytes()).is_none(), "{name} stands in the store");
    }
}

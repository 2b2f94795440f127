//! Operators and people: bans, accounts, keys of the server API, secrets that are replaced; and that the audit log knows of all of it, and no secret.

use crate::support::operators::{ask, done, records};
use crate::support::token::token;
use crate::support::{API_KEY, Client, Codec, Hub, eventually, merged, request};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;

const PASSWORD: &str = "correct horse battery";

/// Tokens of the tests may name a role; passwords cost next to nothing.
async fn hub(changes: Value) -> Hub {
    let base = json!({
        "client": { "token": { "role_claim": "role" } },
        "accounts": { "password": { "memory": "64KiB", "iterations": 1 } },
    });
    Hub::start(merged(base, changes)).await
}

async fn operator(hub: &Hub, role: &str) -> Client {
    let mut client = hub.open(Codec::Json).await;
    client.connect(json!({ "token": token(&json!({ "sub": format!("the-{role}"), "role": role, "jti": format!("jti-{role}") })) })).await;
    client
}

/// Fails with this code, and says this.
async fn fails(client: &mut Client, command: &str, arguments: Value, code: u64, says: &str) {
    let (got, message) = ask(client, command, arguments.clone()).await.expect_err(command);
    assert!(got == code && message.contains(says), "{command} {arguments}: {message} ({got})");
}

/// Actions and objects of the log's records, the oldest first.
async fn recorded(client: &mut Client, query: Value) -> Vec<(String, String, String, Value)> {
    let text = |record: &Value, member: &str| record[member].as_str().unwrap_or_default().to_owned();
    records(client, query).await.iter().map(|one| (text(one, "actor"), text(one, "action"), text(one, "outcome"), one["details"].clone())).collect()
}

fn command(hub: &Hub, arguments: &[&str], input: &str) -> String {
    let mut command = crate::support::aether();
    command.args(arguments).args(["--config", "aether.toml"]).current_dir(hub.directory.path()).env_clear();
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    process.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("the input is taken");
    let output = process.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Status, body and cookie of a sign-in.
async fn login(hub: &Hub, name: &str, password: &str) -> (u16, Value, String) {
    post(hub, "login", json!({ "name": name, "password": password }), "").await
}

async fn post(hub: &Hub, path: &str, body: Value, cookie: &str) -> (u16, Value, String) {
    let headers = [("Content-Type", "application/json"), ("Sec-Fetch-Site", "same-origin"), ("Cookie", cookie)];
    let answer = request(&hub.dial(), "POST", &format!("/auth/{path}"), &headers, body.to_string().as_bytes()).await;
    let cookie = answer.head.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default().to_owned();
    (answer.status(), if answer.body.is_empty() { Value::Null } else { answer.json() }, cookie)
}

async fn connect_with(hub: &Hub, token: &Value) -> Client {
    let mut client = hub.open(Codec::Json).await;
    client.connect(json!({ "token": token })).await;
    client
}

#[tokio::test]
async fn who_is_banned_is_out_at_once_and_stays_out_until_taken_back() {
    let hub = hub(json!({})).await;
    let mut operator = operator(&hub, "operator").await;
    let mut mallory = hub.connect_as(Codec::Json, "mallory").await;
    let ban = done(&mut operator, "admin.bans.add", json!({ "user": "mallory", "reason": "flooding", "lasting": "24h" })).await;
    assert!(ban["until"].as_i64().expect("an end") - ban["since"].as_i64().expect("a beginning") == 24 * 3_600_000, "{ban}");
    assert_eq!(mallory.close_code().await, 3503);
    mallory.cut();
    let mut again = hub.open(Codec::Json).await;
    again.send("connect", json!({ "token": token(&json!({ "sub": "mallory" })) })).await;
    assert_eq!(again.close_code().await, 3503);
    again.cut();
    done(&mut operator, "admin.bans.add", json!({ "address": "192.0.2.77/24" })).await;
    let listed = done(&mut operator, "admin.bans.list", json!({})).await;
    assert_eq!(
        (&listed["count"], &listed["bans"][0]["subject"], &listed["bans"][1]["by"]),
        (&json!(2), &json!("192.0.2.0/24"), &json!("the-operator"))
    );
    assert_eq!(done(&mut operator, "admin.bans.list", json!({ "text": "flood" })).await["bans"].as_array().map(Vec::len), Some(1));
    let first = done(&mut operator, "admin.bans.list", json!({ "limit": 1 })).await;
    let second = done(&mut operator, "admin.bans.list", json!({ "limit": 1, "after": first["next"] })).await;
    assert_eq!((&second["bans"][0]["subject"], &second["next"]), (&json!("mallory"), &Value::Null));
    assert_eq!(done(&mut operator, "admin.bans.remove", json!({ "user": "mallory" })).await["was_banned"], true);
    assert_eq!(done(&mut operator, "admin.bans.remove", json!({ "user": "mallory" })).await["was_banned"], false);
    hub.connect_as(Codec::Json, "mallory").await.leave().await;
    // Nobody shuts itself out.
    for (arguments, says) in [
        (json!({ "user": "the-operator" }), "you yourself"),
        (json!({ "address": "127.0.0.0/8" }), "you come from 127.0.0.1"),
        (json!({ "address": "0.0.0.0/0" }), "you come from"),
        (json!({}), "either user or address"),
        (json!({ "user": "a", "address": "192.0.2.1" }), "either user or address"),
        (json!({ "address": "localhost" }), "\"address\" must be"),
    ] {
        fails(&mut operator, "admin.bans.add", arguments, 107, says).await;
    }
    // A token by its id.
    let mut bob = hub.open(Codec::Json).await;
    bob.connect(json!({ "token": token(&json!({ "sub": "bob", "jti": "leaked" })) })).await;
    done(&mut operator, "admin.tokens.revoke", json!({ "token": "leaked", "reason": "posted in a chat" })).await;
    assert_eq!(bob.close_code().await, 3500);
    bob.cut();
    done(&mut operator, "admin.bans.remove", json!({ "token": "leaked" })).await;
    operator.leave().await;
}

#[tokio::test]
async fn accounts_are_made_changed_and_removed_and_somebody_stays_admin() {
    let hub = hub(json!({})).await;
    let mut admin = operator(&hub, "admin").await;
    let made = done(&mut admin, "admin.users.add", json!({ "user": "Anna", "role": "admin" })).await;
    let password = made["once"]["password"].as_str().expect("a password").to_owned();
    assert_eq!((&made["user"], password.len()), (&json!("anna"), 20));
    let (status, signed_in, cookie) = login(&hub, "anna", &password).await;
    assert_eq!((status, &signed_in["user"]["role"]), (200, &json!("admin")));
    fails(&mut admin, "admin.users.add", json!({ "user": "anna" }), 107, "there is a user anna already").await;
    fails(&mut admin, "admin.users.add", json!({ "user": "an na" }), 107, "\"user\" must be the name of an account").await;
    fails(&mut admin, "admin.users.role", json!({ "user": "anna", "role": "viewer" }), 107, "somebody must stay admin").await;
    fails(&mut admin, "admin.users.remove", json!({ "user": "anna", "confirm": true }), 107, "somebody must stay admin").await;
    fails(&mut admin, "admin.users.show", json!({ "user": "nobody" }), 104, "there is no user nobody").await;
    // A role that changes is felt by who is connected: it comes back with what it may do now.
    done(&mut admin, "admin.users.add", json!({ "user": "bob", "role": "admin" })).await;
    let mut anna = connect_with(&hub, &signed_in["token"]).await;
    assert_eq!(done(&mut admin, "admin.users.role", json!({ "user": "anna", "role": "viewer" })).await["before"], "admin");
    assert_eq!(anna.close_code().await, 3010);
    anna.cut();
    let (_, again, cookie) = post(&hub, "token", json!({}), &cookie).await;
    assert_eq!(again["user"]["role"], "viewer");
    let mut anna = connect_with(&hub, &again["token"]).await;
    fails(&mut anna, "admin.users.list", json!({}), 103, "users.read").await;
    let granted = done(&mut admin, "admin.users.grants", json!({ "user": "anna", "grants": { "locked": ["subscribe"] } })).await;
    assert_eq!(granted["grants"], json!({ "locked": ["subscribe"] }));
    fails(&mut admin, "admin.users.grants", json!({ "user": "anna", "grants": { "locked": ["everything"] } }), 107, "rights by namespace").await;
    assert_eq!(anna.close_code().await, 3010);
    anna.cut();
    let (_, third, cookie) = post(&hub, "token", json!({}), &cookie).await;
    let mut anna = connect_with(&hub, &third["token"]).await;
    anna.subscribe("locked:1").await;
    let shown = done(&mut admin, "admin.users.show", json!({ "user": "anna" })).await;
    assert_eq!((shown["logins"].as_array().map(Vec::len), &shown["user"]["role"]), (Some(1), &json!("viewer")));
    // Signed out by an operator, for good.
    let mut operator = operator(&hub, "operator").await;
    fails(&mut operator, "admin.logins.end", json!({ "user": "bob" }), 103, "bob is admin").await;
    fails(&mut operator, "admin.bans.add", json!({ "user": "Bob" }), 103, "bob is admin").await;
    let login_id = shown["logins"][0]["login"].clone();
    fails(&mut operator, "admin.logins.end", json!({ "user": "bob", "login": login_id }), 103, "bob is admin").await;
    assert_eq!(done(&mut operator, "admin.logins.end", json!({ "user": "anna", "login": login_id })).await["ended"], 1);
    assert_eq!(anna.close_code().await, 3500);
    anna.cut();
    assert_eq!(post(&hub, "token", json!({}), &cookie).await.1["reason"], "revoked");
    // Another password ends all logins too.
    let (_, _, cookie) = login(&hub, "anna", &password).await;
    let new = done(&mut admin, "admin.users.password", json!({ "user": "anna" })).await["once"]["password"].as_str().expect("a password").to_owned();
    assert_eq!(post(&hub, "token", json!({}), &cookie).await.1["reason"], "password");
    assert_eq!((login(&hub, "anna", &password).await.0, login(&hub, "anna", &new).await.0), (401, 200));
    done(&mut admin, "admin.users.remove", json!({ "user": "anna", "confirm": true })).await;
    assert_eq!(login(&hub, "anna", &new).await.0, 401);
    let names: Vec<Value> =
        done(&mut admin, "admin.users.list", json!({})).await["users"].as_array().into_iter().flatten().map(|user| user["user"].clone()).collect();
    assert_eq!(names, ["bob"]);
    let log = json!(recorded(&mut admin, json!({})).await).to_string();
    for (what, secret) in [("a password", &password), ("another password", &new)] {
        assert!(!log.contains(secret.as_str()) && !hub.log().contains(secret.as_str()), "{what} stands in a log");
    }
    for word in ["admin.users.add", "admin.users.role", "admin.logins.end", "admin.users.password", "login"] {
        assert!(log.contains(word), "{word}: {log}");
    }
    for client in [admin, operator] {
        client.leave().await;
    }
}

#[tokio::test]
async fn keys_of_the_server_api_are_made_told_once_rotated_and_removed() {
    let hub = hub(json!({})).await;
    let mut admin = operator(&hub, "admin").await;
    let status =
        async |key: &str| request(&hub.dial(), "POST", "/api/publish", &[("X-API-Key", key)], br#"{"channel":"news:x","data":1}"#).await.status();
    let text = |answer: &Value| answer["once"]["key"].as_str().expect("a key").to_owned();
    let made = done(&mut admin, "admin.keys.add", json!({ "name": "shop", "methods": ["publish"], "namespaces": ["news"] })).await;
    let old = text(&made);
    assert_eq!(status(&old).await, 200, "it is good at once");
    fails(&mut admin, "admin.keys.add", json!({ "name": "shop", "methods": ["publsh"] }), 107, "there is no method \"publsh\"").await;
    fails(&mut admin, "admin.keys.add", json!({ "name": "sh op" }), 107, "a key's name is").await;
    fails(&mut admin, "admin.keys.rotate", json!({ "id": "000000000000" }), 104, "no key 000000000000").await;
    fails(&mut admin, "admin.keys.rotate", json!({ "id": made["id"], "grace": "1h", "at_once": true }), 107, "either").await;
    let rotated = done(&mut admin, "admin.keys.rotate", json!({ "id": made["id"] })).await;
    let second = text(&rotated);
    assert_eq!((status(&old).await, status(&second).await), (200, 200), "for an hour both are good");
    let leaked = done(&mut admin, "admin.keys.rotate", json!({ "id": rotated["id"], "at_once": true })).await;
    let third = text(&leaked);
    assert_eq!((status(&second).await, status(&third).await), (401, 200));
    let keys = done(&mut admin, "admin.keys.list", json!({})).await["keys"].as_array().cloned().expect("a list");
    assert!(keys.iter().any(|key| key["id"] == leaked["id"] && key["created_by"] == "the-admin" && key["methods"] == json!(["publish"])), "{keys:?}");
    done(&mut admin, "admin.keys.remove", json!({ "id": leaked["id"], "confirm": true })).await;
    assert_eq!(status(&third).await, 401);
    let log = json!(recorded(&mut admin, json!({})).await).to_string() + &hub.log() + &json!(keys).to_string();
    for key in [&old, &second, &third] {
        assert!(!log.contains(&key[key.len() - 43..]), "a key stands in a log");
    }
    admin.leave().await;
}

#[tokio::test]
async fn secrets_are_replaced_without_a_restart_and_the_one_before_is_good_for_a_while() {
    let hub = hub(json!({})).await;
    command(&hub, &["user", "add", "anna"], &format!("{PASSWORD}\n"));
    let mut admin = operator(&hub, "admin").await;
    // The hub's own: who is signed in stays so, and its token is still good.
    let (_, signed_in, cookie) = login(&hub, "anna", PASSWORD).await;
    fails(&mut admin, "admin.secrets.rotate", json!({ "secret": "accounts" }), 107, "\"confirm\": true").await;
    fails(&mut admin, "admin.secrets.rotate", json!({ "secret": "accounts", "grace": "1h", "confirm": true }), 107, "does not apply").await;
    let before = std::fs::read_to_string(hub.directory.path().join("data/accounts-key")).expect("the key is a file");
    done(&mut admin, "admin.secrets.rotate", json!({ "secret": "accounts", "confirm": true })).await;
    let after = std::fs::read_to_string(hub.directory.path().join("data/accounts-key")).expect("the key is a file");
    assert!(after.lines().nth(1) == Some(before.trim()) && after.lines().next() != Some(before.trim()));
    connect_with(&hub, &signed_in["token"]).await.leave().await;
    let (status, _, cookie) = post(&hub, "token", json!({}), &cookie).await;
    assert_eq!(status, 200);
    // A key that has leaked: everybody signs in anew.
    assert_eq!(
        done(&mut admin, "admin.secrets.rotate", json!({ "secret": "accounts", "at_once": true, "confirm": true })).await["signed_everybody_out"],
        true
    );
    assert_eq!(post(&hub, "token", json!({}), &cookie).await.0, 401);
    let mut anna = hub.open(Codec::Json).await;
    anna.send("connect", json!({ "token": signed_in["token"] })).await;
    assert_eq!(anna.close_code().await, 3500);
    anna.cut();

    // Those of the configuration: written there first.
    let rotate = |secret: &str, at_once: bool| json!({ "secret": secret, "at_once": at_once, "confirm": true });
    fails(&mut admin, "admin.secrets.rotate", rotate("api_key", false), 107, "http_api.key is the same as before").await;
    fails(&mut admin, "admin.secrets.rotate", rotate("tokens", false), 107, "client.token.hmac_secret_key is the same").await;
    let file = hub.directory.path().join("aether.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration can be read");
    let write = |api_key: &str, secret: &str| {
        std::fs::write(&file, text.replace(API_KEY, api_key).replace(crate::support::token::SECRET, secret)).expect("it can be written");
    };
    write("another-api-key", "another-secret-of-the-tests-32-bytes");
    let status = async |key: &str| request(&hub.dial(), "POST", "/api/info", &[("X-API-Key", key)], b"{}").await.status();
    assert_eq!((status(API_KEY).await, status("another-api-key").await), (200, 401));
    assert_eq!(done(&mut admin, "admin.secrets.rotate", rotate("api_key", false)).await["replaced"], "http_api.key");
    assert_eq!((status(API_KEY).await, status("another-api-key").await), (200, 200));
    hub.connect(Codec::Json).await.leave().await;
    assert_eq!(done(&mut admin, "admin.secrets.rotate", rotate("tokens", false)).await["replaced"], "client.token.hmac_secret_key");
    hub.connect(Codec::Json).await.leave().await;
    write("another-api-key", "a-third-secret-of-the-tests-32-bytes");
    done(&mut admin, "admin.secrets.rotate", rotate("tokens", true)).await;
    let mut alice = hub.open(Codec::Json).await;
    alice.send("connect", json!({ "token": token(&json!({ "sub": "alice" })) })).await;
    assert_eq!(alice.close_code().await, 3500, "that key is void now");
    alice.cut();
    assert_eq!(done(&mut admin, "admin.config.reload", json!({})).await["changed"], 0, "all of it has been taken over");
    let log = json!(recorded(&mut admin, json!({})).await).to_string() + &hub.log();
    for secret in ["another-api-key", "another-secret", "a-third-secret", after.lines().next().expect("a key")] {
        assert!(!log.contains(secret), "a secret stands in a log");
    }
    // What watches the hub's state in the tests has the key of the start, which is good for a day.
    admin.leave().await;
}

#[tokio::test]
async fn what_people_and_the_command_line_do_stands_in_the_audit_log() {
    let hub = hub(json!({ "accounts": { "rotation_grace": "0s", "tries": 1000 } })).await;
    command(&hub, &["user", "add", "anna", "--role", "viewer"], &format!("{PASSWORD}\n"));
    command(&hub, &["user", "set-role", "anna", "operator"], "");
    command(&hub, &["user", "set-grants", "anna", r#"{"news":["publish"]}"#], "");
    let key = command(&hub, &["key", "add", "shop"], "");
    let id = key.split('_').nth(1).expect("an id").to_owned();
    command(&hub, &["key", "rotate", &id, "--grace", "1m"], "");
    command(&hub, &["key", "remove", &id], "");
    for _ in 0..40 {
        login(&hub, "anna", "not the password").await;
    }
    let (_, _, first) = login(&hub, "anna", PASSWORD).await;
    let (_, _, second) = post(&hub, "token", json!({}), &first).await;
    let (_, _, third) = post(&hub, "token", json!({}), &second).await;
    assert_eq!(post(&hub, "token", json!({}), &first).await.1["reason"], "replayed");
    assert_eq!(post(&hub, "token", json!({}), &third).await.0, 401, "the whole family is over");
    let (_, _, cookie) = login(&hub, "anna", PASSWORD).await;
    assert_eq!(post(&hub, "password", json!({ "current": PASSWORD, "new": "another horse battery" }), &cookie).await.0, 204);
    assert_eq!(post(&hub, "logout", json!({}), &cookie).await.0, 204);
    command(&hub, &["user", "set-password", "anna"], &format!("{PASSWORD}\n"));
    command(&hub, &["user", "add", "second", "--role", "admin"], &format!("{PASSWORD}\n"));
    command(&hub, &["user", "remove", "anna"], "");

    let mut admin = operator(&hub, "admin").await;
    let log = eventually("all of it to be written", async || {
        let log = recorded(&mut admin, json!({})).await;
        let has = |action: &str, outcome: &str| log.iter().any(|(_, own, word, _)| own == action && word == outcome);
        let missing: Vec<_> = [
            ("user.add", "begun"),
            ("user.add", "done"),
            ("user.role", "done"),
            ("user.grants", "done"),
            ("user.password", "done"),
            ("user.remove", "done"),
            ("key.add", "done"),
            ("key.rotate", "done"),
            ("key.remove", "begun"),
            ("login", "noted"),
            ("login.refused", "refused"),
            ("login.replayed", "noted"),
            ("password", "noted"),
            ("logout", "noted"),
        ]
        .into_iter()
        .filter(|(action, outcome)| !has(action, outcome))
        .collect();
        if missing.is_empty() { Ok(log.clone()) } else { Err(format!("{missing:?}")) }
    })
    .await;
    let refused = log.iter().filter(|(_, action, ..)| action == "login.refused").count();
    assert!((1..=10).contains(&refused), "{refused} of 40 are recorded, the others counted");
    assert!(
        log.iter().any(|(actor, action, _, details)| actor == "command line" && action == "user.role" && details["role"] == "operator"),
        "{log:?}"
    );
    let text = json!(log).to_string();
    for secret in [PASSWORD, "another horse battery", "not the password", &key[key.len() - 43..]] {
        assert!(!text.contains(secret), "{text}");
    }
    assert_eq!(done(&mut admin, "admin.audit.verify", json!({})).await["is_whole"], true, "two processes have written one chain");
    admin.leave().await;
}

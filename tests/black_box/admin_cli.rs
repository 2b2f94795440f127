//! `aether admin` and `aether audit`, as an operator types them beside the hub and from elsewhere.

use crate::support::token::token;
use crate::support::{Codec, Hub, eventually, merged};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

async fn hub(changes: Value) -> Hub {
    Hub::start(merged(json!({ "client": { "token": { "role_claim": "role" } } }), changes)).await
}

/// The binary with the hub's configuration, in its folder, and no environment of ours.
fn aether(hub: &Hub, arguments: &[&str]) -> Command {
    let mut command = crate::support::aether();
    command.args(arguments).args(["--config", "aether.toml"]).current_dir(hub.directory.path()).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

fn said(output: Output) -> Said {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
    Said { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
}

fn url(hub: &Hub) -> String {
    format!("http://{}", hub.http)
}

/// `aether admin …` at the hub.
fn admin(hub: &Hub, words: &[&str]) -> Said {
    let url = url(hub);
    said(aether(hub, &[&["admin"], words, &["--url", &url]].concat()).output().expect("the binary runs"))
}

/// The same with a token of an application.
fn admin_as(hub: &Hub, role: &str, words: &[&str]) -> Said {
    let url = url(hub);
    let mut command = aether(hub, &[&["admin"], words, &["--url", &url]].concat());
    command.env("AETHER_ADMIN_TOKEN", token(&json!({ "sub": format!("the-{role}"), "role": role })));
    said(command.output().expect("the binary runs"))
}

/// The answer of a command that is to be done.
fn done(hub: &Hub, words: &[&str]) -> Value {
    let said = admin(hub, &[words, &["--json"]].concat());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{words:?}: {}", said.out);
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{words:?}: {error}: {}", said.out))
}

fn audit(hub: &Hub, words: &[&str]) -> Said {
    said(aether(hub, &[&["audit"], words].concat()).output().expect("the binary runs"))
}

#[tokio::test]
async fn beside_the_hub_nothing_is_needed_but_its_configuration() {
    let hub = hub(json!({})).await;
    let mut alice = hub.connect(Codec::Json).await;
    let table = admin(&hub, &["sessions.list"]);
    assert_eq!((table.code, table.err.as_str()), (Some(0), ""));
    let rows: Vec<&str> = table.out.lines().collect();
    assert!(rows.iter().any(|row| row.starts_with("session ") && row.contains(" user ")), "{}", table.out);
    assert!(rows.iter().any(|row| row.contains(alice.id()) && row.contains("alice")), "{}", table.out);
    assert!(rows.iter().any(|row| row.contains("command line") && row.contains("admin")), "it is connected itself: {}", table.out);
    assert_eq!(done(&hub, &["sessions.list", "--user", "alice", "--limit=5"])["count"], 1);
    assert_eq!(done(&hub, &["admin.sessions.kick", r#"{"user":"alice"}"#, "--code", "4001", "--reason", "go"])["kicked"], 1);
    assert_eq!(alice.close_code().await, 4001);
    let listed = audit(&hub, &["list", "--action", "admin.sessions.kick"]);
    assert_eq!(listed.code, Some(0), "{}", listed.err);
    let row = listed.out.lines().find(|row| row.contains("begun")).unwrap_or_else(|| panic!("{}", listed.out));
    assert!(row.contains("command line") && row.contains("127.0.0.1 websocket") && row.contains("alice"), "{row}");
    alice.cut();
}

#[tokio::test]
async fn help_says_what_there_is_and_how_it_is_asked() {
    let hub = hub(json!({})).await;
    let all = admin(&hub, &["help"]);
    for word in ["sessions.kick", "drain!", "Closes sessions", "needs --confirm"] {
        assert!(all.out.contains(word), "{word}: {}", all.out);
    }
    let one = admin(&hub, &["help", "channels.list"]);
    assert!(one.out.contains("--pattern TEXT") && one.out.contains("the right channels.read"), "{}", one.out);
    let own = admin_as(&hub, "viewer", &["help"]);
    assert!(own.out.contains("sessions.list") && !own.out.contains("sessions.kick"), "a viewer is told of its own: {}", own.out);
    assert!(done(&hub, &["help"]).as_array().is_some_and(|commands| commands.len() >= 30));
}

#[tokio::test]
async fn mistakes_are_told_with_their_cure() {
    let hub = hub(json!({})).await;
    for (words, code, says) in [
        (&["sesions.list"][..], 2, "did you mean sessions.list?"),
        (&["nothing.like.this"], 2, "`aether admin help` lists them"),
        (&["sessions.list", "--usr", "alice"], 2, "sessions.list: the command has no argument --usr; did you mean --user?"),
        (&["sessions.list", "--limit", "x"], 2, "--limit must be a whole number"),
        (&["drain"], 2, "add --confirm"),
        (&["watch"], 2, "events, audit, alerts, metrics, or trace"),
        (&["watch", "nothing"], 2, "events, audit, alerts, metrics, or trace"),
        (&["sessions.list", "--limit", "0"], 1, "\"limit\" must be a number from 1 to 1000 (107)"),
        (&["upstream.pause", "--feed", "none"], 1, "no feed none (104)"),
        (&["status", "--token-file", "nowhere"], 1, "cannot read nowhere"),
        (&["status", "--ca", "nowhere", "--url", "https://127.0.0.1:1"], 1, "nowhere"),
        (&["status", "--url", "ws://192.0.2.1:8000"], 1, "use wss://"),
    ] {
        // Where the words say where the hub is, they are the last to do so.
        let said = if words.contains(&"--url") {
            said(aether(&hub, &[&["admin"], words].concat()).output().expect("the binary runs"))
        } else {
            admin(&hub, words)
        };
        assert!(said.err.contains(says), "{words:?}: {}", said.err);
        assert_eq!((said.code, said.out.as_str()), (Some(code), ""), "{words:?}: {}", said.err);
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free").port();
    let nobody = said(aether(&hub, &["admin", "status", "--url", &format!("ws://127.0.0.1:{free}")]).output().expect("the binary runs"));
    assert!(nobody.code == Some(1) && nobody.err.contains(&format!("no hub answers at 127.0.0.1:{free}")), "{}", nobody.err);
    // The configuration leaves the port open, as those of the tests do.
    let open = said(aether(&hub, &["admin", "status"]).output().expect("the binary runs"));
    assert!(open.code == Some(1) && open.err.contains("--url"), "{}", open.err);
    // Without the key there is no way in, and none is made.
    let elsewhere = said(aether(&hub, &["admin", "status", "--set", "data_dir=elsewhere", "--url", &url(&hub)]).output().expect("the binary runs"));
    assert!(elsewhere.code == Some(1) && elsewhere.err.contains("accounts-key") && elsewhere.err.contains("AETHER_ADMIN_TOKEN"), "{}", elsewhere.err);
    assert!(!hub.directory.path().join("elsewhere").exists());
}

#[tokio::test]
async fn a_token_from_elsewhere_gives_what_its_role_may_do() {
    let hub = hub(json!({})).await;
    assert_eq!(admin_as(&hub, "viewer", &["sessions.list"]).code, Some(0));
    let refused = admin_as(&hub, "viewer", &["sessions.kick", "--user", "alice"]);
    assert!(refused.code == Some(2) && refused.err.contains("no command admin.sessions.kick that you may use"), "{}", refused.err);
    let stranger = admin_as(&hub, "nobody", &["status"]);
    assert!(stranger.code == Some(1) && stranger.err.contains("needs a role"), "{}", stranger.err);
    let file = hub.directory.path().join("token");
    for (text, code, says) in [
        (token(&json!({ "sub": "ann", "role": "operator" })), 0, ""),
        (" \n".to_owned(), 1, "holds no token"),
        ("not.a.token".to_owned(), 1, "does not take the token"),
        (token(&json!({ "sub": "ann", "role": "operator", "exp": 1 })), 1, "token expired (109)"),
    ] {
        std::fs::write(&file, &text).expect("it can be written");
        let said = admin(&hub, &["status", "--token-file", "token"]);
        assert!(said.code == Some(code) && said.err.contains(says), "{}", said.err);
        assert!(text.trim().is_empty() || !said.err.contains(text.trim()), "{}", said.err);
    }
}

#[tokio::test]
async fn during_maintenance_operators_get_in_and_others_are_told_why_not() {
    let hub = hub(json!({})).await;
    done(&hub, &["maintenance.enter", "--message", "back at noon", "--retry-after", "90s"]);
    assert_eq!(done(&hub, &["status"])["maintenance"]["message"], "back at noon");
    let viewer = admin_as(&hub, "viewer", &["status"]);
    assert!(viewer.code == Some(1) && viewer.err.contains("back at noon (3001)"), "{}", viewer.err);
    assert_eq!(done(&hub, &["maintenance.leave"])["was_on"], true);
}

/// A command that goes on until it is told to end.
struct Following {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Following {
    fn start(hub: &Hub, words: &[&str]) -> Self {
        let url = url(hub);
        let mut process = aether(hub, &[&["admin", "watch"], words, &["--url", &url]].concat()).stderr(Stdio::inherit()).spawn().expect("it runs");
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        Self { process, lines }
    }

    /// The first line with this text, from now on.
    fn line(&mut self, text: &str) -> String {
        self.lines
            .by_ref()
            .map(|line| line.expect("lines are text"))
            .find(|line| line.contains(text))
            .unwrap_or_else(|| panic!("no line with {text}"))
    }

    fn interrupt(mut self) -> Option<i32> {
        let id = i32::try_from(self.process.id()).expect("a process id is positive");
        // SAFETY: the process is ours and has not been waited for, so the id cannot belong to another.
        assert_eq!(unsafe { libc::kill(id, libc::SIGINT) }, 0);
        self.process.wait().expect("it ends").code()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn what_happens_can_be_followed() {
    let hub = hub(json!({})).await;
    let events = tokio::task::spawn_blocking({
        let following = Following::start(&hub, &["events", "--json"]);
        move || {
            let mut following = following;
            (following.line("session_connected"), following)
        }
    });
    // From the second on that the hub has seen that somebody follows.
    eventually("an event", async || {
        hub.connect_as(Codec::Json, "somebody").await.leave().await;
        if events.is_finished() { Ok(()) } else { Err("nothing yet".to_owned()) }
    })
    .await;
    let (line, following) = events.await.expect("a line");
    let event: Value = serde_json::from_str(&line).expect("a line is JSON");
    assert_eq!((&event["kind"], &event["data"]["user"]), (&json!("session_connected"), &json!("somebody")), "{line}");
    assert_eq!(following.interrupt(), Some(0), "Ctrl-C is how it ends");

    let mut following = Following::start(&hub, &["audit"]);
    // What it does itself is the first that it sees, when it is there.
    let (line, mut following) = tokio::task::spawn_blocking(move || (following.line("admin.watch"), following)).await.expect("a line");
    assert!(line.contains("command line") && line.contains("$admin:audit"), "{line}");
    done(&hub, &["maintenance.leave"]);
    let line = following.line("begun");
    assert!(line.contains("admin.maintenance.leave"), "{line}");
    assert_eq!(following.interrupt(), Some(0));

    let mut alice = hub.connect(Codec::Json).await;
    let traced = tokio::task::spawn_blocking({
        let mut following = Following::start(&hub, &["trace", "--user", "alice", "--lasting", "8s"]);
        move || (following.line("publish"), following)
    });
    eventually("an entry", async || {
        alice.publish("news:1", 1).await;
        if traced.is_finished() { Ok(()) } else { Err("nothing yet".to_owned()) }
    })
    .await;
    let (line, mut following) = traced.await.expect("a line");
    assert!(line.contains("channel=news:1"), "{line}");
    let ended = tokio::task::spawn_blocking(move || (following.line("ended"), following.process.wait().expect("it ends by itself").code()));
    let (line, code) = ended.await.expect("a line");
    assert!(line.contains("its time is over") && code == Some(0), "{line}");
    alice.leave().await;
}

#[tokio::test]
async fn over_tls_the_hubs_own_certificate_is_believed_and_no_other() {
    let hub = Hub::start_with_tls(json!({})).await;
    let https = format!("https://{}", hub.https.expect("it has TLS"));
    let run = |more: &[&str]| said(aether(&hub, &[&["admin", "status", "--json"], more].concat()).output().expect("the binary runs"));
    let unknown = run(&["--url", &https]);
    assert!(unknown.code == Some(1) && unknown.err.contains("cannot be trusted"), "{}", unknown.err);
    let local = https.replace("127.0.0.1", "localhost");
    let vouched = run(&["--url", &local, "--ca", "cert.pem"]);
    assert_eq!(vouched.code, Some(0), "{}", vouched.err);
    // As it is configured, it need not be made out for the name.
    let port = hub.https.expect("it has TLS").port();
    let own = run(&["--set", &format!("http_server.port={port}"), "--set", "http_server.tls.enabled=true", "--set", "http_server.tls_port=0"]);
    assert_eq!(own.code, Some(0), "{}", own.err);
    let other = hub.directory.path().join("other");
    std::fs::create_dir(&other).expect("a folder can be made");
    crate::support::write_certificate(&other, "localhost");
    let port = port.to_string();
    let port = ["--set", &format!("http_server.port={port}"), "--set", "http_server.tls.enabled=true", "--set", "http_server.tls_port=0"];
    let not_it = ["--set", "http_server.tls.cert_pem_file=other/cert.pem", "--set", "http_server.tls.key_pem_file=other/key.pem"];
    let another = run(&[&port[..], &not_it[..]].concat());
    assert!(another.code == Some(1) && another.err.contains("cannot be trusted"), "{}", another.err);
}

#[tokio::test]
async fn the_log_is_exported_and_whoever_changes_it_is_found_out() {
    let mut hub = hub(json!({})).await;
    for _ in 0..5 {
        done(&hub, &["maintenance.leave"]);
    }
    let exported = audit(&hub, &["export"]);
    let records: Vec<Value> = exported.out.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert!(records.len() > 10 && records.iter().zip(1..).all(|(record, number)| record["sequence"] == number), "{}", exported.out);
    assert!(records.windows(2).all(|pair| pair[1]["previous"] == pair[0]["hash"]));
    let some = audit(&hub, &["export", "--action", "admin.maintenance", "--outcome", "done", "--since", "1h"]);
    assert_eq!(some.out.lines().count(), 5, "{}", some.out);
    assert_eq!(audit(&hub, &["list", "--limit", "3"]).out.lines().count(), 4, "a head and three records");
    let beside = audit(&hub, &["verify"]);
    assert!(beside.code == Some(0) && beside.out.starts_with("OK: "), "{}{}", beside.out, beside.err);
    hub.terminate();
    assert!(hub.exit().await.success());

    let file = hub.directory.path().join("data/aether.db");
    let known = format!("2:{}", records[1]["hash"].as_str().expect("a hash"));
    assert_eq!(audit(&hub, &["verify", "--known", &known]).code, Some(0));
    let kept = std::fs::read(&file).expect("the store is a file");
    for (what, sql, says) in [
        ("changed", "UPDATE audit SET actor = 'nobody' WHERE sequence = 4", "record 4 has been changed"),
        ("removed", "DELETE FROM audit WHERE sequence BETWEEN 5 AND 6", "records 5 to 6 have been removed"),
        ("the newest removed", "DELETE FROM audit WHERE sequence = (SELECT max(sequence) FROM audit)", "has been removed"),
        ("the oldest removed", "DELETE FROM audit WHERE sequence = 1", "the log begins with record 2"),
        (
            "reordered",
            "UPDATE audit SET sequence = -1 WHERE sequence = 3; UPDATE audit SET sequence = 3 WHERE sequence = 4; UPDATE audit SET sequence = 4 WHERE sequence = -1",
            "record 3 has been changed",
        ),
    ] {
        let store = rusqlite::Connection::open(&file).expect("the store can be opened");
        store.execute_batch(sql).unwrap_or_else(|error| panic!("{what}: {error}"));
        drop(store);
        let found = audit(&hub, &["verify"]);
        assert_eq!(found.code, Some(1), "{what}: {}", found.out);
        assert!(found.out.contains(says) && found.out.contains("NOT OK"), "{what}: {}", found.out);
        remove_beside(&file);
        std::fs::write(&file, &kept).expect("it can be put back");
    }
    // What was exported is verified where there is no store.
    let export = hub.directory.path().join("audit.jsonl");
    let verify = |text: &str, known: &str| {
        std::fs::write(&export, text).expect("the folder can be written to");
        let known = if known.is_empty() { vec![] } else { vec!["--known", known] };
        audit(&hub, &[&["verify", "--file", "audit.jsonl", "--set", "data_dir=elsewhere"], &known[..]].concat())
    };
    let whole = verify(&exported.out, &known);
    assert!(whole.code == Some(0) && whole.out.starts_with(&format!("OK: {} records", records.len())), "{}{}", whole.out, whole.err);
    let lines: Vec<&str> = exported.out.lines().collect();
    for (text, known, says) in [
        (exported.out.replacen("maintenance.leave", "maintenance.enter", 1), "", "has been changed"),
        ([&lines[..3], &lines[4..]].concat().join("\n"), "", "record 4 has been removed"),
        (exported.out.clone(), &*format!("2:{}", "0".repeat(64)), "does not have the hash that is known"),
        (lines[..2].join("\n"), &*format!("9:{}", "0".repeat(64)), "records 3 to 9 have been removed"),
        (String::new(), "", "holds no record"),
        (format!("{}\nnonsense\n", lines[0]), "", "line 2 is no record"),
        ("x".repeat(1 << 20), "", "line 1 is longer than a record can be"),
    ] {
        let found = verify(&text, known);
        assert!(found.code == Some(1) && format!("{}{}", found.out, found.err).contains(says), "{says}: {}{}", found.out, found.err);
    }
    let not_known = audit(&hub, &["verify", "--known", &format!("2:{}", "0".repeat(64))]);
    assert!(not_known.code == Some(1) && not_known.out.contains("record 2 does not have the hash that is known of it"), "{}", not_known.out);
    let nothing = said(aether(&hub, &["audit", "verify", "--set", "data_dir=elsewhere"]).output().expect("the binary runs"));
    assert!(nothing.code == Some(1) && nothing.err.contains("there is no store at elsewhere/aether.db"), "{}", nothing.err);
}

/// What SQLite keeps beside its file, which belongs to the state that is put back.
fn remove_beside(file: &Path) {
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
}

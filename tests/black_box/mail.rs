//! Alerts by e-mail, handed over to a real mail server: with TLS and a password, after it was away, and when it does not want them.

use crate::support::operators::done;
use crate::support::token::token;
use crate::support::{Client, Codec, Hub, eventually, write_authority};
use serde_json::{Value, json};
use smtp::{MailServer, PASSWORD, USER, free_port};
use std::net::TcpListener;
use std::path::Path;

#[path = "../peers/smtp.rs"]
mod smtp;

fn config(port: u16, directory: &Path, email: Value) -> Value {
    let mut all = json!({
        "client": { "token": { "role_claim": "role" } },
        "metrics": { "interval": "200ms", "canary_interval": "50ms" },
        "alerts": { "email": { "to": ["one@example.org", "two@example.org"], "gather": "100ms" } },
        "email": {
            "host": "localhost", "port": port, "ca_pem_file": directory.join("ca.pem"), "user": USER, "password": PASSWORD,
            "from": "aether@example.org", "timeout": "5s", "retry_initial": "50ms", "retry_max": "200ms",
        },
    });
    for (option, value) in email.as_object().expect("an object") {
        all["email"][option] = value.clone();
    }
    all
}

async fn operator(hub: &Hub) -> Client {
    let mut client = hub.open(Codec::Json).await;
    client.connect(json!({ "token": token(&json!({ "sub": "the-operator", "role": "operator" })) })).await;
    client
}

/// A rule that fires above `value` sessions. Its title is what a hostile name would make of one.
fn rule(value: f64) -> Value {
    let title = "Somebody is here: <b>Bcc: mallory@example.org</b> \u{202e}\u{1f4a5}";
    json!({ "rule": { "name": "somebody", "metric": "sessions.open", "condition": "above", "value": value, "severity": "critical", "title": title } })
}

async fn logged(hub: &Hub, text: &str) {
    eventually(text, async || if hub.log().contains(text) { Ok(()) } else { Err(hub.log()) }).await;
    assert!(!hub.log().contains(PASSWORD), "{}", hub.log());
}

/// Waits until there are so many letters about the rule.
async fn letters(server: &MailServer, count: usize) -> Vec<Value> {
    eventually("a letter", async || {
        let all = server.letters();
        if all.len() >= count { Ok(all) } else { Err(format!("{all:?}")) }
    })
    .await
}

#[tokio::test]
async fn an_alert_waits_for_the_mail_server_and_comes_once_with_what_became_of_it() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    write_authority(directory.path(), "localhost");
    let port = free_port();
    let hub = Hub::start(config(port, directory.path(), json!({}))).await;
    let mut operator = operator(&hub).await;
    done(&mut operator, "admin.alerts.set_rule", rule(0.0)).await;
    logged(&hub, &format!("smtp://localhost:{port} does not take events")).await;

    let server = MailServer::start(port, directory.path());
    let first = letters(&server, 1).await.remove(0);
    assert_eq!((&first["from"], &first["to"]), (&json!("aether@example.org"), &json!(["one@example.org", "two@example.org"])));
    assert_eq!((&first["is_tls"], &first["user"]), (&json!(true), &json!(USER)));
    let subject = first["subject"].as_str().expect("a subject");
    assert!(subject.ends_with("firing: Somebody is here: <b>Bcc: mallory@example.org</b> \u{fffd}\u{1f4a5} (critical)"), "{subject}");
    let names = ["From", "Date", "Message-ID", "Subject", "Auto-Submitted", "To", "MIME-Version", "Content-Type"];
    assert_eq!(first["names"], json!(names), "no header comes from a name");
    let (plain, html) = (first["parts"]["text/plain"].as_str().unwrap_or_default(), first["parts"]["text/html"].as_str().unwrap_or_default());
    assert!(plain.contains("sessions.open is 1") && html.contains("&lt;b&gt;Bcc:") && !html.contains("<b>Bcc"), "{plain}\n{html}");
    logged(&hub, "takes events again").await;

    done(&mut operator, "admin.alerts.set_rule", rule(100.0)).await;
    let all = letters(&server, 2).await;
    assert!(all[1]["subject"].as_str().is_some_and(|subject| subject.contains("resolved: Somebody")), "{all:?}");
    assert_eq!(all.len(), 2, "each came once: {all:?}");
    operator.leave().await;
}

#[tokio::test]
async fn a_wrong_password_and_a_server_that_says_nothing_are_told_and_hold_up_nobody() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    write_authority(directory.path(), "localhost");
    let port = free_port();
    let server = MailServer::start(port, directory.path());
    let wrong = json!({ "password": "another mail password" });
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let silent_port = silent.local_addr().expect("it has an address").port();
    let waits = json!({ "tls": "none", "host": "127.0.0.1", "timeout": "300ms" });
    for (port, email, says) in [(port, wrong, "the server answers 535"), (silent_port, waits, "sent again (")] {
        let hub = Hub::start(config(port, directory.path(), email)).await;
        let mut operator = operator(&hub).await;
        done(&mut operator, "admin.alerts.set_rule", rule(0.0)).await;
        logged(&hub, says).await;
        assert!(!hub.log().contains("another mail password"), "{}", hub.log());
        // What measures goes on meanwhile.
        let at = async |operator: &mut Client| done(operator, "admin.metrics.now", json!({})).await["at"].as_i64().unwrap_or_default();
        let before = at(&mut operator).await;
        eventually("another measurement", async || {
            let now = at(&mut operator).await;
            if now > before { Ok(()) } else { Err(now.to_string()) }
        })
        .await;
        operator.leave().await;
    }
    assert_eq!(server.letters(), Vec::<Value>::new());
}

/// A rule about what there always is, so that it fires once, whoever comes and goes.
fn constant(value: f64) -> Value {
    json!({ "rule": { "name": "constant", "metric": "threads", "condition": "above", "value": value, "severity": "info", "title": "It runs" } })
}

/// The mail server is away for longer than the hub runs: the next run sends what the one before could not.
#[tokio::test]
async fn a_letter_that_waits_outlives_the_hub() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    write_authority(directory.path(), "localhost");
    let port = free_port();
    let configured = config(port, directory.path(), json!({}));
    let hub = Hub::start(configured.clone()).await;
    let mut person = operator(&hub).await;
    done(&mut person, "admin.alerts.set_rule", constant(0.0)).await;
    logged(&hub, &format!("smtp://localhost:{port} does not take events")).await;
    person.leave().await;
    let hub = hub.again(configured).await;
    logged(&hub, "1 events of email are left from before the hub started").await;
    let server = MailServer::start(port, directory.path());
    let letter = letters(&server, 1).await.remove(0);
    assert!(letter["subject"].as_str().is_some_and(|subject| subject.contains("firing: It runs")), "{letter}");
    let mut person = operator(&hub).await;
    done(&mut person, "admin.alerts.set_rule", constant(100_000.0)).await;
    let all = letters(&server, 2).await;
    assert!(all[1]["subject"].as_str().is_some_and(|subject| subject.contains("resolved: It runs")), "{all:?}");
    assert_eq!(all.len(), 2, "each came once: {all:?}");
    person.leave().await;
}

/// What has waited for too long by the time that somebody can be told is of no use: the next run drops it, and tells what came since.
#[tokio::test]
async fn a_letter_that_waited_for_too_long_is_not_sent_any_more() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    write_authority(directory.path(), "localhost");
    let port = free_port();
    let configured = |age: &str| config(port, directory.path(), json!({ "queue_max_age": age }));
    let hub = Hub::start(configured("1h")).await;
    let mut person = operator(&hub).await;
    done(&mut person, "admin.alerts.set_rule", constant(0.0)).await;
    logged(&hub, &format!("smtp://localhost:{port} does not take events")).await;
    person.leave().await;
    let hub = hub.again(configured("1500ms")).await;
    logged(&hub, "1 events of email waited for longer than they may (email.queue_max_age) and are dropped").await;
    assert_eq!(hub.metric("aether_hook_events_total", "result=\"expired\"").await, 1.0);
    let server = MailServer::start(port, directory.path());
    let mut person = operator(&hub).await;
    done(&mut person, "admin.alerts.set_rule", constant(100_000.0)).await;
    let all = letters(&server, 1).await;
    assert!(all.len() == 1 && all[0]["subject"].as_str().is_some_and(|subject| subject.contains("resolved: It runs")), "{all:?}");
    person.leave().await;
}

/// TLS from the first byte. Whom the server does not know gets nothing, and keeps it from nobody else; what it wants for nobody is given up.
#[tokio::test]
async fn what_is_refused_for_good_is_said_counted_and_not_tried_again() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    write_authority(directory.path(), "localhost");
    let port = free_port();
    let server = MailServer::start_with_tls(port, directory.path());
    let (known, unknown) = ("one@example.org", "nobody@example.org");
    for (to, taken) in [(json!([unknown, known]), 1), (json!([unknown]), 0)] {
        let mut configured = config(port, directory.path(), json!({ "tls": "tls" }));
        configured["alerts"]["email"]["to"] = to;
        let hub = Hub::start(configured).await;
        let mut operator = operator(&hub).await;
        let before = server.letters().len();
        done(&mut operator, "admin.alerts.set_rule", constant(0.0)).await;
        let says = if taken == 0 { "refuses 1 events of email for good" } else { "refuses letters for nobody@example.org for good" };
        logged(&hub, says).await;
        // What comes after it is carried: nothing is in the way.
        done(&mut operator, "admin.alerts.set_rule", constant(100_000.0)).await;
        let result = if taken == 0 { "refused" } else { "delivered" };
        eventually("the end of both", async || match hub.metric("aether_hook_events_total", &format!("result=\"{result}\"")).await {
            2.0 => Ok(()),
            other => Err(format!("{other} {result}\n{}", hub.log())),
        })
        .await;
        let came: Vec<_> = letters(&server, before + 2 * taken).await.split_off(before);
        assert!(came.len() == 2 * taken && came.iter().all(|letter| letter["to"] == json!([known]) && letter["is_tls"] == true), "{came:?}");
        assert_eq!(hub.metric("aether_mail_recipients_refused_total", "").await, 2.0 * taken as f64);
        assert_eq!(hub.metric("aether_hook_event_requests_failed_total", "").await, 0.0, "nothing is tried again");
        let said = hub.log();
        assert_eq!(said.lines().filter(|line| line.contains(says) && line.contains("nobody of that name is here")).count(), 2, "{said}");
        operator.leave().await;
    }
}

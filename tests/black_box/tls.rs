//! The TLS port, and certificates that change while it is in use.

use crate::on_all_transports;
use crate::support::token::user_token;
use crate::support::{Client, Dial, Hub, Stream, Via, eventually, request, write_certificate};
use serde_json::json;

on_all_transports!(the_tls_port_serves_the_same, a_new_certificate_is_served_and_nobody_is_dropped);

async fn the_tls_port_serves_the_same(via: Via) {
    let hub = Hub::start_with_tls(json!({})).await;
    let mut secure = Client::open(&hub.tls_dial(), via).await;
    secure.connect(json!({ "token": user_token("alice") })).await;
    let mut plain = hub.connect(via).await;
    secure.subscribe("news:x").await;
    plain.subscribe("news:x").await;
    plain.publish("news:x", "x".repeat(40_000)).await;
    secure.publish("news:x", 2).await;
    for client in [&mut secure, &mut plain] {
        assert_eq!(client.data("news:x", 2).await, [json!("x".repeat(40_000)), json!(2)]);
    }
    assert_eq!(request(&hub.tls_dial(), "GET", "/health", &[], b"").await.status(), 200);
    secure.leave().await;
}

async fn served(dial: &Dial) -> Vec<u8> {
    match dial.stream().await.expect("reachable") {
        Stream::Tls(stream) => stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec(),
        Stream::Plain(_) => panic!("TLS was asked for"),
    }
}

async fn a_new_certificate_is_served_and_nobody_is_dropped(via: Via) {
    let hub = Hub::start_with_tls(json!({})).await;
    let mut client = Client::open(&hub.tls_dial(), via).await;
    client.connect(json!({ "token": user_token("alice") })).await;
    client.subscribe("plain").await;
    let first = served(&hub.tls_dial()).await;
    write_certificate(hub.directory.path(), "localhost");
    let second = eventually("the new certificate", async || {
        let now = served(&hub.tls_dial()).await;
        if now == first { Err("still the old one".to_owned()) } else { Ok(now) }
    })
    .await;
    // A broken pair: the last good one stays.
    std::fs::write(hub.directory.path().join("cert.pem"), "-----BEGIN CERTIFICATE-----\nbroken\n").expect("written");
    eventually("the refusal in the log", async || if hub.log().contains("certificate") { Ok(()) } else { Err(hub.log()) }).await;
    assert_eq!(served(&hub.tls_dial()).await, second);
    // A key that belongs to another certificate.
    let elsewhere = tempfile::tempdir().expect("a directory");
    write_certificate(elsewhere.path(), "localhost");
    std::fs::copy(elsewhere.path().join("cert.pem"), hub.directory.path().join("cert.pem")).expect("copied");
    client.publish("plain", 1).await;
    assert_eq!(client.data("plain", 1).await, [1], "the connection of the first certificate lives");
    assert_eq!(served(&hub.tls_dial()).await, second);
    std::fs::copy(elsewhere.path().join("key.pem"), hub.directory.path().join("key.pem")).expect("copied");
    eventually("the third certificate", async || {
        let now = served(&hub.tls_dial()).await;
        if now == second { Err("still the second one".to_owned()) } else { Ok(()) }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_tls_is_dropped() {
    let hub = Hub::start_with_tls(json!({ "http_server": { "tls_handshake_timeout": "1s" } })).await;
    let mut rude = Vec::new();
    for bytes in [&b""[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", &[0xff; 600]] {
        let mut stream = Stream::Plain(Dial { tls: false, ..hub.tls_dial() }.tcp().await.expect("reachable"));
        let _ = stream.write_all(bytes).await;
        rude.push(stream);
    }
    assert_eq!(request(&hub.tls_dial(), "GET", "/health", &[], b"").await.status(), 200);
    for mut stream in rude {
        crate::support::read_to_end(&mut stream).await;
    }
}

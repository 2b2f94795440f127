//! Behind a proxy: whose connection it is says the trusted one, and nobody else. nginx is the proxy.

use crate::nginx::{Nginx, Setup};
use crate::support::token::now;
use crate::support::{API_KEY, Client, Codec, Dial, Endless, Hub, Pieces, Via, eventually};
use aether::config::StoreConfig;
use aether::store::{self, Block, BlockKind};
use serde_json::json;
use std::net::Ipv4Addr;

const UPGRADING: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";

/// nginx in front of the hub, or nothing where it is not installed.
fn proxy(hub: &Hub, more: &str) -> Option<Nginx> {
    let server = format!(
        "location / {{ proxy_pass http://{}; proxy_set_header Host $host; {more} proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }}",
        hub.http
    );
    Nginx::start(Setup { server: &server, ..Setup::default() })
}

fn dial(nginx: &Nginx, last: u8, claimed: &[&str]) -> Dial {
    let headers = claimed.iter().map(|claim| ("X-Forwarded-For".to_owned(), (*claim).to_owned())).collect();
    Dial { from: Ipv4Addr::new(127, 0, 0, last), headers, ..Dial::new(nginx.address) }
}

async fn status(dial: &Dial) -> u16 {
    match dial.websocket().await.expect("an answer") {
        Ok(_) => 101,
        Err(head) => head.status,
    }
}

#[tokio::test]
async fn a_ban_meets_the_client_behind_the_proxy_and_no_header_helps() {
    let config = json!({ "http_server": { "trusted_proxies": ["127.0.0.1"] }, "client": { "block_refresh_interval": "100ms" } });
    let hub = Hub::start(config).await;
    let Some(nginx) = proxy(&hub, UPGRADING) else { return };
    assert_eq!(status(&dial(&nginx, 9, &[])).await, 101);
    let store = store::open(&StoreConfig::default(), &hub.directory.path().join("data")).await.expect("the hub's store can be opened beside it");
    let block = Block {
        kind: BlockKind::Address,
        subject: "127.0.0.9".to_owned(),
        reason: String::new(),
        by: "somebody".to_owned(),
        since: now() * 1_000,
        until: None,
    };
    store.put_block(&block).await.expect("written");
    eventually("the ban", async || match status(&dial(&nginx, 9, &[])).await {
        403 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
    assert_eq!(status(&dial(&nginx, 9, &["127.0.0.8"])).await, 403, "what it says of itself does not count");
    assert_eq!(status(&dial(&nginx, 9, &["127.0.0.8, 127.0.0.1"])).await, 403);
    assert_eq!(status(&dial(&nginx, 8, &["127.0.0.9"])).await, 101, "nor what it says of somebody else");
    let direct = Dial { from: Ipv4Addr::new(127, 0, 0, 7), headers: dial(&nginx, 0, &["127.0.0.9"]).headers, ..hub.dial() };
    assert_eq!(status(&direct).await, 101, "who is no proxy is not asked");
    let direct = Dial { from: Ipv4Addr::new(127, 0, 0, 9), headers: dial(&nginx, 0, &["127.0.0.8"]).headers, ..hub.dial() };
    assert_eq!(status(&direct).await, 403);
    store.close().await.expect("closed");
}

#[tokio::test]
async fn limits_count_clients_and_not_the_proxy() {
    let config = json!({
        "http_server": { "trusted_proxies": ["127.0.0.1/32"], "connection_limit_per_ip": 3 },
        "limits": { "api": { "per_address": "2/h" } },
    });
    let hub = Hub::start(config).await;
    let Some(nginx) = proxy(&hub, UPGRADING) else { return };
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(Client::open(&dial(&nginx, 9, &[]), Codec::Json).await);
    }
    assert_eq!(status(&dial(&nginx, 9, &[])).await, 503, "as many as one address may have");
    assert_eq!(status(&dial(&nginx, 8, &[])).await, 101, "another client of the same proxy");
    open.pop().expect("a client").cut();
    eventually("the place's being free", async || match status(&dial(&nginx, 9, &[])).await {
        101 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
    let mut statuses = Vec::new();
    for last in [9, 9, 9, 8] {
        let answer = crate::support::request(&dial(&nginx, last, &[]), "POST", "/api/info", &[("X-API-Key", API_KEY)], b"{}").await;
        statuses.push(answer.status());
    }
    assert_eq!(statuses, [200, 200, 429, 200]);
}

/// As nginx comes: HTTP/1.0 to the hub, and answers gathered before they are passed on.
#[tokio::test]
async fn a_proxy_that_buffers_holds_nothing_back() {
    let namespace = json!({ "name": "open", "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true });
    let hub = Hub::start(json!({ "channel": { "namespaces": [namespace] }, "client": { "allow_anonymous_connect_without_token": true } })).await;
    let gathers = "proxy_buffering on; proxy_buffers 64 64k; gzip on;";
    for version in ["1.0", "1.1"] {
        let Some(nginx) = proxy(&hub, &format!("proxy_http_version {version}; {gathers}")) else { return };
        let dial = Dial::new(nginx.address).header("Accept-Encoding", "gzip");
        for via in [Via::HTTP_STREAM_JSON, Via::HTTP_STREAM_PROTOBUF, Via::SSE] {
            let mut client = Client::open(&dial, via).await;
            client.connect(json!({})).await;
            client.subscribe("open:x").await;
            hub.publish("open:x", 1).await;
            assert_eq!(client.data("open:x", 1).await, [1], "{via:?} over HTTP/{version}");
            client.cut();
        }
        let mut listener = Endless::open(
            &dial,
            Pieces::Events,
            "GET",
            "/connection/uni_sse?cf_connect=%7B%22subs%22%3A%7B%22open%3Ax%22%3A%7B%7D%7D%7D",
            &[("Accept-Encoding", "gzip")],
            b"",
        )
        .await;
        assert_eq!(listener.head.header("content-encoding"), None, "nobody compresses it");
        listener.next().await.expect("the connect push");
        hub.publish("open:x", 2).await;
        let push: serde_json::Value = serde_json::from_slice(&listener.next().await.expect("a push")).expect("JSON");
        assert_eq!(push["pub"]["data"], 2);
        listener.stream.cut();
        hub.until_empty().await;
    }
}

//! Behind a proxy: whose connection it is says the trusted one, and nobody else. nginx is the proxy.

use crate::support::token::now;
use crate::support::{API_KEY, Client, Codec, Dial, Endless, Hub, Pieces, Via, eventually};
use aether::config::StoreConfig;
use aether::store::{self, Block, BlockKind};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

struct Nginx {
    process: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Nginx {
    /// nginx in front of the hub, or nothing where it is not installed.
    async fn start(hub: &Hub) -> Option<Self> {
        let upgrading = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";
        Self::start_with(hub, upgrading).await
    }

    async fn start_with(hub: &Hub, more: &str) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free");
        let root = directory.path().display();
        let config = format!(
            "daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;
             events {{ worker_connections 256; }}
             http {{ access_log off;
               client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c; uwsgi_temp_path {root}/d; scgi_temp_path {root}/e;
               server {{ listen {address};
                 location / {{ proxy_pass http://{}; proxy_set_header Host $host; {more}
                   proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}",
            hub.http
        );
        std::fs::write(directory.path().join("nginx.conf"), config).expect("the configuration can be written");
        let spawned = Command::new("nginx")
            .arg("-e")
            .arg(directory.path().join("error.log"))
            .arg("-c")
            .arg(directory.path().join("nginx.conf"))
            .stdin(Stdio::null())
            .spawn();
        let process = match spawned {
            Ok(process) => process,
            Err(error) => {
                eprintln!("left out, because nginx cannot be started: {error}");
                return None;
            }
        };
        let nginx = Self { process, address, _directory: directory };
        eventually("nginx", async || std::net::TcpStream::connect(address).map(|_| ()).map_err(|error| error.to_string())).await;
        Some(nginx)
    }

    fn dial(&self, last: u8, claimed: &[&str]) -> Dial {
        let headers = claimed.iter().map(|claim| ("X-Forwarded-For".to_owned(), (*claim).to_owned())).collect();
        Dial { from: Ipv4Addr::new(127, 0, 0, last), headers, ..Dial::new(self.address) }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that the master takes its worker with it.
        // SAFETY: the process is ours and has not been waited for.
        unsafe { libc::kill(i32::try_from(self.process.id()).expect("a process id"), libc::SIGTERM) };
        let _ = self.process.wait();
    }
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
    let Some(nginx) = Nginx::start(&hub).await else { return };
    assert_eq!(status(&nginx.dial(9, &[])).await, 101);
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
    eventually("the ban", async || match status(&nginx.dial(9, &[])).await {
        403 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
    assert_eq!(status(&nginx.dial(9, &["127.0.0.8"])).await, 403, "what it says of itself does not count");
    assert_eq!(status(&nginx.dial(9, &["127.0.0.8, 127.0.0.1"])).await, 403);
    assert_eq!(status(&nginx.dial(8, &["127.0.0.9"])).await, 101, "nor what it says of somebody else");
    let direct = Dial { from: Ipv4Addr::new(127, 0, 0, 7), headers: nginx.dial(0, &["127.0.0.9"]).headers, ..hub.dial() };
    assert_eq!(status(&direct).await, 101, "who is no proxy is not asked");
    let direct = Dial { from: Ipv4Addr::new(127, 0, 0, 9), headers: nginx.dial(0, &["127.0.0.8"]).headers, ..hub.dial() };
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
    let Some(nginx) = Nginx::start(&hub).await else { return };
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(Client::open(&nginx.dial(9, &[]), Codec::Json).await);
    }
    assert_eq!(status(&nginx.dial(9, &[])).await, 503, "as many as one address may have");
    assert_eq!(status(&nginx.dial(8, &[])).await, 101, "another client of the same proxy");
    open.pop().expect("a client").cut();
    eventually("the place's being free", async || match status(&nginx.dial(9, &[])).await {
        101 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
    let mut statuses = Vec::new();
    for last in [9, 9, 9, 8] {
        let answer = crate::support::request(&nginx.dial(last, &[]), "POST", "/api/info", &[("X-API-Key", API_KEY)], b"{}").await;
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
        let Some(nginx) = Nginx::start_with(&hub, &format!("proxy_http_version {version}; {gathers}")).await else { return };
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

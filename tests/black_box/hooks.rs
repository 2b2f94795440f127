//! The application decides: real small HTTP backends, good ones and bad ones.

use super::in_both_codecs;
use super::nginx::{Nginx, Setup};
use super::support::{Client, Codec, Dial, Ending, Event, Hub, eventually, merged, write_authority};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What a backend was asked.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    /// Lower case names.
    headers: Vec<(String, String)>,
    body: Value,
    /// The body as it came.
    text: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What it does.
enum Reply {
    Json(Value),
    Raw(u16, &'static str, String),
    /// Nothing, for as long as the hub listens.
    Silence,
    /// A body without an end.
    Endless,
}

/// An application: one thread a request, one request a connection.
struct Backend {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Backend {
    fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("bound");
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (shared, answer) = (Arc::downgrade(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(asked) = shared.upgrade() else { return };
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || serve(stream, &asked, &*answer));
            }
        });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn asked(&self, path: &str) -> Vec<Asked> {
        self.asked.lock().expect("nobody panicked with it").iter().filter(|asked| asked.path == path).cloned().collect()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.asked = Arc::default();
        // Wakes the thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, asked: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Reply) {
    let Some(request) = read_request(&stream) else { return };
    asked.lock().expect("nobody panicked with it").push(request.clone());
    let (status, more, body) = match answer(&request) {
        Reply::Json(body) => (200, "", body.to_string()),
        Reply::Raw(status, more, body) => (status, more, body),
        Reply::Silence => {
            let _ = stream.read(&mut [0]);
            return;
        }
        Reply::Endless => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"result\":{\"data\":\"";
            let mut sent = stream.write_all(head.as_bytes());
            while sent.is_ok() {
                sent = stream.write_all(&[b'x'; 4_096]);
                std::thread::sleep(Duration::from_millis(1));
            }
            return;
        }
    };
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n", body.len());
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_string();
    assert!(line.starts_with("POST "), "{line}");
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_string()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { path, headers, body: serde_json::from_slice(&body).ok()?, text: body })
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64
}

/// A hub that asks `backend` to let clients in, with `changes` besides.
async fn hub_with_connect(backend: &Backend, changes: Value) -> Hub {
    let connect = json!({ "client": { "proxy": { "connect": { "enabled": true, "endpoint": backend.url("/connect") } } } });
    Hub::start(merged(connect, changes)).await
}

fn yes(user: &str) -> Reply {
    Reply::Json(json!({ "result": { "user": user } }))
}

// === Connect ===

async fn the_application_lets_clients_in(codec: Codec) {
    let backend = Backend::start(|_| {
        Reply::Json(json!({ "result": {
            "user": "42", "info": { "name": "Ann" }, "data": { "hello": 1 }, "channels": ["plain"],
            "subs": { "news:x": { "data": { "first": true } } }, "meta": { "tenant": 7 },
        } }))
    });
    let proxy = json!({ "http_headers": ["X-Tenant", "cookie"], "http": { "static_headers": { "Authorization": "Bearer of-the-hub" } } });
    let hub = hub_with_connect(&backend, json!({ "client": { "proxy": { "connect": proxy } } })).await;
    let dial = Dial { headers: vec![("X-Tenant".into(), "seven".into()), ("X-Other".into(), "not-for-you".into())], ..hub.dial() };
    let mut client = Client::open(&dial, codec).await;
    let result = client.connect(json!({ "data": { "a": 1 }, "name": "test", "version": "1.2", "subs": { "news:y": {} } })).await;
    assert_eq!(result["data"], json!({ "hello": 1 }));
    assert!(result.get("expires").is_none(), "{result}");
    assert_eq!(result["subs"]["news:x"]["data"], json!({ "first": true }));
    assert!(result["subs"].get("plain").is_some() && result["subs"].get("news:y").is_some(), "{result}");
    hub.publish("plain", 5).await;
    assert_eq!(client.data("plain", 1).await, [json!(5)]);

    let asked = backend.asked("/connect");
    assert_eq!(asked.len(), 1, "{asked:?}");
    let body = &asked[0].body;
    assert_eq!(body["client"], client.id());
    assert_eq!(
        (&body["transport"], &body["encoding"], &body["name"], &body["version"]),
        (&json!("websocket"), &json!("json"), &json!("test"), &json!("1.2"))
    );
    assert_eq!(body["protocol"], if matches!(codec, Codec::Json) { "json" } else { "protobuf" });
    assert_eq!((&body["data"], &body["channels"]), (&json!({ "a": 1 }), &json!(["news:y"])));
    assert_eq!(asked[0].header("authorization"), Some("Bearer of-the-hub"));
    assert_eq!((asked[0].header("x-tenant"), asked[0].header("x-other")), (Some("seven"), None));

    assert!(!hub.log().contains("of-the-hub") && !hub.log().contains("tenant"), "{}", hub.log());
    client.leave().await;
}

async fn a_token_is_not_asked_about(codec: Codec) {
    let backend = Backend::start(|_| yes("42"));
    let hub = hub_with_connect(&backend, json!({})).await;
    hub.connect(codec).await.leave().await;
    assert!(backend.asked("/connect").is_empty());
}

async fn the_application_turns_clients_away(codec: Codec) {
    let backend = Backend::start(|asked| {
        let how = asked.body["data"]["how"].as_str().unwrap_or_default().to_string();
        match how.as_str() {
            "error" => Reply::Json(json!({ "error": { "code": 1000, "message": "not today", "temporary": true } })),
            "disconnect" => Reply::Json(json!({ "disconnect": { "code": 4567, "reason": "go away" } })),
            "mapped" => Reply::Raw(403, "", String::new()),
            "gone" => Reply::Raw(410, "", String::new()),
            "past" => Reply::Json(json!({ "result": { "user": "42", "expire_at": 1 } })),
            "unknown" => Reply::Json(json!({})),
            _ => Reply::Raw(500, "", String::new()),
        }
    });
    let transforms = json!([
        { "status_code": 403, "to_disconnect": { "code": 4501, "reason": "forbidden" } },
        { "status_code": 410, "to_error": { "code": 410, "message": "gone" } },
    ]);
    let http = json!({ "client": { "proxy": { "connect": { "http": { "status_to_code_transforms": transforms } } } } });
    let hub = hub_with_connect(&backend, http).await;
    let errors = [
        ("error", json!({ "code": 1000, "message": "not today", "temporary": true })),
        ("gone", json!({ "code": 410, "message": "gone" })),
        ("past", json!({ "code": 110, "message": "expired" })),
        ("broken", json!({ "code": 100, "message": "internal server error", "temporary": true })),
    ];
    for (how, error) in errors {
        let mut client = hub.open(codec).await;
        assert_eq!(client.call("connect", json!({ "data": { "how": how } })).await["error"], error, "{how}");
        client.cut();
    }
    for (how, code) in [("disconnect", 4567), ("mapped", 4501), ("unknown", 3501)] {
        let mut client = hub.open(codec).await;
        client.send("connect", json!({ "data": { "how": how } })).await;
        assert_eq!(client.close_code().await, code, "{how}");
    }
    assert!(hub.metric("aether_hook_failures_total", r#"reason="status""#).await >= 1.0);
}

/// Commands behind a connect that waits are kept, in their order.
async fn commands_sent_with_the_connect_wait_for_it(codec: Codec) {
    let backend = Backend::start(|_| yes("42"));
    let hub = hub_with_connect(&backend, json!({})).await;
    let mut client = hub.open(codec).await;
    client
        .send_all(&[
            json!({ "id": 1, "connect": {} }),
            json!({ "id": 2, "subscribe": { "channel": "a" } }),
            json!({ "id": 3, "publish": { "channel": "a", "data": 1 } }),
        ])
        .await;
    for id in 1..=3 {
        let reply = client.reply(id).await.expect("it stays");
        assert!(reply.get("error").is_none(), "{reply}");
    }
    assert_eq!(backend.asked("/connect").len(), 1, "asked once, however often the command starts over");
    client.leave().await;
}

// === Bad backends ===

async fn a_bad_backend_is_error_100_within_its_time(codec: Codec) {
    let backend = Backend::start(|asked| match asked.body["method"].as_str().unwrap_or_default() {
        "hang" => Reply::Silence,
        "endless" => Reply::Endless,
        "garbage" => Reply::Raw(200, "", "<html>".to_string()),
        "empty" => Reply::Raw(200, "", "{}".to_string()),
        "redirect" => Reply::Raw(302, "Location: /elsewhere\r\n", String::new()),
        "large" => Reply::Json(json!({ "result": { "data": "x".repeat(100_000) } })),
        _ => Reply::Json(json!({ "result": { "data": { "good": true } } })),
    });
    let hub = Hub::start(json!({
        "rpc": { "proxy": { "endpoint": backend.url("/rpc"), "timeout": "300ms" }, "without_namespace": { "proxy_enabled": true } },
        "hooks": { "answer_size_max": "64KiB", "breaker_failures": 0 },
    }))
    .await;
    let mut client = hub.connect(codec).await;
    for (method, reason) in [("hang", "timeout"), ("garbage", "garbage"), ("empty", "garbage"), ("redirect", "status"), ("large", "too_large")] {
        let (began, before) = (Instant::now(), hub.metric("aether_hook_failures_total", &format!(r#"reason="{reason}""#)).await);
        let reply = client.call("rpc", json!({ "method": method, "data": {} })).await;
        assert_eq!(reply["error"], json!({ "code": 100, "message": "internal server error", "temporary": true }), "{method}");
        assert!(began.elapsed() < Duration::from_secs(10), "{method}");
        assert_eq!(hub.metric("aether_hook_failures_total", &format!(r#"reason="{reason}""#)).await, before + 1.0, "{method}");
    }
    // Endless: ends by its bytes or by its time, whichever is reached first.
    assert_eq!(client.error_of("rpc", json!({ "method": "endless", "data": {} })).await, 100);
    assert!(backend.asked("/elsewhere").is_empty());
    // Beside one that hangs the others are served.
    let hanging = client.send("rpc", json!({ "method": "hang", "data": {} })).await;
    assert_eq!(client.call("rpc", json!({ "method": "fine", "data": {} })).await["rpc"]["data"], json!({ "good": true }));
    assert_eq!(client.reply(hanging).await.expect("it stays")["error"]["code"], 100);
    client.leave().await;
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_left_alone_and_found_again() {
    let backend = Backend::start(|asked| {
        if asked.body["method"] == "bad" { Reply::Raw(503, "", String::new()) } else { Reply::Json(json!({ "result": { "data": 1 } })) }
    });
    let hub = Hub::start(json!({
        "rpc": { "proxy": { "endpoint": backend.url("/rpc") }, "without_namespace": { "proxy_enabled": true } },
        "hooks": { "breaker_failures": 3, "breaker_pause": "300ms", "breaker_pause_max": "300ms" },
    }))
    .await;
    let mut client = hub.connect(Codec::Json).await;
    for _ in 0..3 {
        assert_eq!(client.error_of("rpc", json!({ "method": "bad", "data": {} })).await, 100);
    }
    let before = backend.asked("/rpc").len();
    assert_eq!(client.error_of("rpc", json!({ "method": "good", "data": {} })).await, 100, "nobody is asked during the pause");
    assert_eq!(backend.asked("/rpc").len(), before);
    assert_eq!(hub.metric("aether_hook_failures_total", r#"reason="paused""#).await, 1.0);
    eventually("the backend's return", async || {
        let reply = client.call("rpc", json!({ "method": "good", "data": {} })).await;
        if reply["rpc"]["data"] == 1 { Ok(()) } else { Err(reply.to_string()) }
    })
    .await;
    client.leave().await;
}

#[tokio::test]
async fn more_questions_than_may_wait_are_answered_at_once() {
    let backend = Backend::start(|_| Reply::Silence);
    let hub = Hub::start(json!({
        "rpc": { "proxy": { "endpoint": backend.url("/rpc"), "timeout": "2s" }, "without_namespace": { "proxy_enabled": true } },
        "hooks": { "concurrency": 1, "waiting_max": 2, "breaker_failures": 0 },
    }))
    .await;
    let mut client = hub.connect(Codec::Json).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(client.send("rpc", json!({ "method": "x", "data": {} })).await);
    }
    assert_eq!(client.reply(ids[2]).await.expect("it stays")["error"]["code"], 100);
    assert_eq!(hub.metric("aether_hook_failures_total", r#"reason="busy""#).await, 1.0);
    assert!(backend.asked("/rpc").len() <= 1, "one at a time");
    for id in &ids[..2] {
        assert_eq!(client.reply(*id).await.expect("it stays")["error"]["code"], 100);
    }
    client.leave().await;
}

// === RPC ===

async fn the_application_answers_calls(codec: Codec) {
    let answer = |asked: &Asked| {
        Reply::Json(json!({ "result": { "data": { "method": asked.body["method"], "user": asked.body["user"], "data": asked.body["data"] } } }))
    };
    let (backend, shop) = (Backend::start(answer), Backend::start(answer));
    let hub = Hub::start(json!({
        "proxies": [{ "name": "shop", "endpoint": shop.url("/shop") }],
        "rpc": {
            "proxy": { "endpoint": backend.url("/rpc") },
            "without_namespace": { "proxy_enabled": true },
            "namespaces": [{ "name": "cart", "proxy_enabled": true, "proxy_name": "shop" }, { "name": "off" }],
        },
    }))
    .await;
    let mut client = hub.connect(codec).await;
    let said = |method: &str| json!({ "method": method, "user": "alice", "data": { "n": 1 } });
    assert_eq!(client.call("rpc", json!({ "method": "sum", "data": { "n": 1 } })).await["rpc"]["data"], said("sum"));
    assert_eq!(client.call("rpc", json!({ "method": "cart:add", "data": { "n": 1 } })).await["rpc"]["data"], said("cart:add"));
    assert_eq!((backend.asked("/rpc").len(), shop.asked("/shop").len()), (1, 1));
    for method in ["off:x", "unknown:x"] {
        assert_eq!(client.error_of("rpc", json!({ "method": method, "data": {} })).await, 108, "{method}");
    }
    assert_eq!(client.error_of("rpc", json!({ "method": "admin.help", "data": {} })).await, 103, "the hub's own stay the hub's own");
    assert_eq!(backend.asked("/rpc").len(), 1);
    client.leave().await;
}

// === Channels ===

async fn the_application_decides_about_channels(codec: Codec) {
    let backend = Backend::start(|asked| match (asked.path.as_str(), asked.body["channel"].as_str().unwrap_or_default()) {
        ("/subscribe", "asked:no") => Reply::Json(json!({ "error": { "code": 403, "message": "not you" } })),
        ("/subscribe", "asked:out") => Reply::Json(json!({ "disconnect": { "code": 4500, "reason": "out" } })),
        ("/subscribe", _) => {
            Reply::Json(json!({ "result": { "data": { "first": 1 }, "info": { "seat": 3 }, "override": { "force_recovery": { "value": true } } } }))
        }
        ("/publish", _) if asked.body["data"]["bad"] == true => Reply::Json(json!({ "error": { "code": 400, "message": "bad words" } })),
        ("/publish", _) if asked.body["data"]["as_is"] == true => Reply::Json(json!({ "result": {} })),
        ("/publish", _) => Reply::Json(json!({ "result": { "data": { "by": asked.body["user"] }, "tags": { "t": "1" }, "skip_history": true } })),
        _ => Reply::Raw(500, "", String::new()),
    });
    let hub = Hub::start(json!({ "channel": {
        "proxy": { "subscribe": { "endpoint": backend.url("/subscribe") }, "publish": { "endpoint": backend.url("/publish") } },
        "namespaces": [{ "name": "asked", "presence": true, "history_size": 5, "history_ttl": "60s", "subscribe_proxy_enabled": true, "publish_proxy_enabled": true, "allow_history_for_client": true, "allow_user_limited_channels": true, "allow_presence_for_client": true }],
    } }))
    .await;
    let mut client = hub.connect(codec).await;
    let result = client.subscribe_with(json!({ "channel": "asked:yes", "data": { "want": 1 } })).await;
    assert_eq!((&result["data"], &result["recoverable"]), (&json!({ "first": 1 }), &json!(true)));
    let asked = &backend.asked("/subscribe")[0].body;
    assert_eq!((&asked["user"], &asked["channel"], &asked["data"]), (&json!("alice"), &json!("asked:yes"), &json!({ "want": 1 })));
    let presence = client.call("presence", json!({ "channel": "asked:yes" })).await;
    assert_eq!(presence["presence"]["presence"][client.id()]["chan_info"], json!({ "seat": 3 }), "{presence}");

    client.publish("asked:yes", json!({ "x": 1 })).await;
    let publication = client.publication("asked:yes").await;
    assert_eq!((&publication["data"], &publication["tags"]), (&json!({ "by": "alice" }), &json!({ "t": "1" })));
    assert!(publication.get("offset").is_none(), "history was skipped: {publication}");
    client.publish("asked:yes", json!({ "as_is": true })).await;
    assert_eq!(client.data("asked:yes", 1).await, [json!({ "as_is": true })]);
    let refused = client.call("publish", json!({ "channel": "asked:yes", "data": { "bad": true } })).await;
    assert_eq!(refused["error"], json!({ "code": 400, "message": "bad words" }));

    let refused = client.call("subscribe", json!({ "channel": "asked:no" })).await;
    assert_eq!(refused["error"], json!({ "code": 403, "message": "not you" }));
    let before = backend.asked("/subscribe").len();
    // Names that say who may, or that a token is needed, are not asked about; nor is what cannot be.
    assert_eq!(client.error_of("subscribe", json!({ "channel": "$asked:x" })).await, 103);
    assert_eq!(client.error_of("subscribe", json!({ "channel": "asked:x#bob" })).await, 103);
    client.subscribe("asked:x#alice").await;
    assert_eq!(client.error_of("subscribe", json!({ "channel": "asked:yes" })).await, 105);
    assert_eq!(backend.asked("/subscribe").len(), before);
    client.send("subscribe", json!({ "channel": "asked:out" })).await;
    assert_eq!(client.close_code().await, 4500);
}

// === Time is over ===

async fn the_application_says_whether_it_goes_on(codec: Codec) {
    let backend = Backend::start(|asked| {
        let times = asked.body["meta"]["times"].as_i64().unwrap_or(0);
        match asked.path.as_str() {
            "/connect" => Reply::Json(json!({ "result": { "user": "42", "expire_at": now() + 1, "meta": { "times": 1 } } })),
            "/refresh" if times == 1 => Reply::Json(json!({ "result": { "expire_at": now() + 1, "meta": { "times": 2 } } })),
            _ => Reply::Json(json!({ "result": { "expired": true } })),
        }
    });
    let proxy = json!({ "refresh": { "enabled": true, "endpoint": backend.url("/refresh"), "include_connection_meta": true } });
    let hub = hub_with_connect(&backend, json!({ "client": { "proxy": proxy } })).await;
    let mut client = hub.open(codec).await;
    let result = client.connect(json!({})).await;
    assert!(result.get("expires").is_none() && result.get("ttl").is_none(), "the client has nothing to do: {result}");
    assert_eq!(client.close_code().await, 3005);
    assert_eq!(backend.asked("/refresh").len(), 2);
    // A client that tries it itself is wrong.
    let mut client = hub.open(codec).await;
    client.connect(json!({})).await;
    client.send("refresh", json!({ "token": "x" })).await;
    assert_eq!(client.close_code().await, 3501);
}

async fn a_subscription_goes_on_while_the_application_says_so(codec: Codec) {
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    let backend = Backend::start(move |asked| match asked.path.as_str() {
        "/subscribe" => Reply::Json(json!({ "result": { "expire_at": now() + 1 } })),
        _ => {
            let mut count = counted.lock().expect("nobody panicked with it");
            *count += 1;
            let again = json!({ "result": { "expire_at": now() + 1, "info": { "round": *count } } });
            Reply::Json(if *count < 2 { again } else { json!({ "result": { "expired": true } }) })
        }
    });
    let hub = Hub::start(json!({ "channel": {
        "proxy": { "subscribe": { "endpoint": backend.url("/subscribe") }, "sub_refresh": { "endpoint": backend.url("/sub_refresh") } },
        "namespaces": [{ "name": "asked", "presence": true, "subscribe_proxy_enabled": true, "sub_refresh_proxy_enabled": true, "allow_presence_for_client": true }],
    } }))
    .await;
    let mut client = hub.connect(codec).await;
    let result = client.subscribe("asked:a").await;
    assert!(result.get("expires").is_none(), "{result}");
    assert_eq!(client.error_of("sub_refresh", json!({ "channel": "asked:a", "token": "x" })).await, 108);
    eventually("the new info in presence", async || {
        let presence = hub.api("presence", json!({ "channel": "asked:a" })).await;
        if presence["presence"][client.id()]["chan_info"] == json!({ "round": 1 }) { Ok(()) } else { Err(presence.to_string()) }
    })
    .await;
    let push = client.push().await;
    assert_eq!((&push["channel"], &push["unsubscribe"]["code"]), (&json!("asked:a"), &json!(2501)));
    assert_eq!(backend.asked("/sub_refresh")[0].body["channel"], "asked:a");
    client.leave().await;
}

// === Events ===

/// All events that have come, in their order.
fn events(backend: &Backend) -> Vec<Value> {
    backend.asked("/events").iter().flat_map(|asked| asked.body["events"].as_array().cloned().unwrap_or_default()).collect()
}

async fn until_events(backend: &Backend, count: usize) -> Vec<Value> {
    eventually("the events", async || {
        let events = events(backend);
        if events.len() >= count { Ok(events) } else { Err(json!(events).to_string()) }
    })
    .await
}

async fn the_application_is_told_who_left_and_what_is_listened_to(codec: Codec) {
    let backend = Backend::start(|_| Reply::Raw(204, "", String::new()));
    let config = json!({ "endpoint": backend.url("/events"), "secret": "a secret of the tests", "static_headers": { "X-Hub": "one" } });
    let hub = Hub::start(json!({ "hooks": { "events": config } })).await;
    let mut client = hub.connect(codec).await;
    client.subscribe("plain").await;
    let events = until_events(&backend, 1).await;
    assert_eq!((&events[0]["type"], &events[0]["channel"]), (&json!("occupied"), &json!("plain")));
    client.unsubscribe("plain").await;
    let events = until_events(&backend, 3).await;
    let find = |kind: &str| events.iter().find(|event| event["type"] == kind).unwrap_or_else(|| panic!("no {kind} in {events:?}"));
    assert_eq!(
        (&find("unsubscribe")["channel"], &find("unsubscribe")["user"], &find("unsubscribe")["code"]),
        (&json!("plain"), &json!("alice"), &json!(0))
    );
    assert_eq!(find("vacated")["channel"], "plain");
    let id = client.id().to_string();
    hub.api("disconnect", json!({ "user": "alice", "disconnect": { "code": 4321, "reason": "enough" } })).await;
    assert_eq!(client.close_code().await, 4321);
    let events = until_events(&backend, 4).await;
    let event = &events[3];
    assert_eq!((&event["type"], &event["client"], &event["user"]), (&json!("disconnect"), &json!(id), &json!("alice")));
    assert_eq!((&event["code"], &event["reason"], &event["transport"]), (&json!(4321), &json!("enough"), &json!("websocket")));
    let ids: std::collections::HashSet<_> = events.iter().map(|event| event["id"].as_str().expect("an id")).collect();
    assert_eq!(ids.len(), events.len());

    for asked in backend.asked("/events") {
        let signature = asked.header("x-aether-signature").expect("it is signed");
        let (time, mac) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).expect("time and signature");
        assert!((now() - time.parse::<i64>().expect("a number")).abs() < 60);
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"a secret of the tests");
        let mac: Vec<u8> = (0..mac.len() / 2).map(|at| u8::from_str_radix(&mac[at * 2..at * 2 + 2], 16).expect("hex")).collect();
        let signed = [time.as_bytes(), b".", &asked.text].concat();
        assert!(aws_lc_rs::hmac::verify(&key, &signed, &mac).is_ok(), "the signature is of time and body");
        assert_eq!(asked.header("x-hub"), Some("one"));
    }
    assert!(!hub.log().contains("a secret of the tests"));
}

#[tokio::test]
async fn events_that_are_not_taken_come_again_with_the_same_ids() {
    let refusals = Mutex::new(3);
    let backend = Backend::start(move |_| {
        let mut left = refusals.lock().expect("nobody panicked with it");
        if *left > 0 {
            *left -= 1;
            return Reply::Raw(500, "", String::new());
        }
        Reply::Raw(200, "", String::new())
    });
    let config = json!({ "endpoint": backend.url("/events"), "types": ["disconnect"], "retry_initial": "20ms", "retry_max": "50ms" });
    let hub = Hub::start(json!({ "hooks": { "events": config } })).await;
    hub.connect(Codec::Json).await.leave().await;
    eventually("the delivery", async || match hub.metric("aether_hook_events_total", "delivered").await {
        1.0 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
    let events = events(&backend);
    assert_eq!(events.len(), 4, "three refused, one taken: {events:?}");
    assert!(events.iter().all(|event| event["id"] == events[0]["id"] && event["type"] == "disconnect"), "{events:?}");
    assert_eq!(hub.metric("aether_hook_event_requests_failed_total", "").await, 3.0);
}

#[tokio::test]
async fn alerts_are_told_signed_until_they_are_taken() {
    let refusals = Mutex::new(2);
    let backend = Backend::start(move |_| {
        let mut left = refusals.lock().expect("nobody panicked with it");
        *left -= i32::from(*left > 0);
        Reply::Raw(if *left > 0 { 500 } else { 204 }, "", String::new())
    });
    let webhook = json!({ "endpoint": backend.url("/events"), "secret": "a secret of the tests", "retry_initial": "20ms", "retry_max": "50ms" });
    let hub = Hub::start(json!({
        "client": { "token": { "role_claim": "role" } }, "metrics": { "interval": "200ms" }, "alerts": { "webhook": webhook },
    }))
    .await;
    let mut operator = hub.open(Codec::Json).await;
    operator.connect(json!({ "token": super::support::token::token(&json!({ "sub": "olga", "role": "operator" })) })).await;
    let rule =
        json!({ "name": "somebody", "metric": "sessions.open", "condition": "above", "value": 0, "severity": "info", "title": "Somebody is here" });
    super::support::operators::done(&mut operator, "admin.alerts.set_rule", json!({ "rule": rule })).await;
    let events = until_events(&backend, 2).await;
    assert!(events.iter().all(|event| event["id"] == events[0]["id"]), "the first was refused: {events:?}");
    let event = &events[1];
    assert_eq!((&event["type"], &event["what"], &event["alert"]["rule"]), (&json!("alert"), &json!("firing"), &json!("somebody")), "{event}");
    let asked = backend.asked("/events");
    assert!(asked.iter().all(|asked| asked.header("x-aether-signature").is_some_and(|signature| signature.contains(",v1="))));
    assert!(!hub.log().contains("a secret of the tests"));
    operator.leave().await;
}

#[tokio::test]
async fn the_last_events_are_told_before_the_hub_is_gone() {
    let backend = Backend::start(|_| Reply::Raw(200, "", String::new()));
    let config = json!({ "endpoint": backend.url("/events"), "types": ["disconnect"] });
    let mut hub = Hub::start(json!({ "hooks": { "events": config } })).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(hub.connect(Codec::Json).await);
    }
    hub.terminate();
    for client in &mut clients {
        assert_eq!(client.close_code().await, 3001);
    }
    assert!(hub.exit().await.success());
    let events = events(&backend);
    assert_eq!(events.len(), 5, "{events:?}");
    assert!(events.iter().all(|event| event["code"] == 3001), "{events:?}");
}

#[tokio::test]
async fn an_application_that_takes_no_events_does_not_keep_the_hub_from_stopping() {
    let backend = Backend::start(|_| Reply::Silence);
    let config = json!({ "endpoint": backend.url("/events"), "types": ["disconnect"], "queue_max": 2, "stop_timeout": "300ms" });
    let mut hub = Hub::start(json!({ "hooks": { "events": config } })).await;
    for _ in 0..6 {
        hub.connect(Codec::Json).await.leave().await;
    }
    eventually("events being dropped", async || match hub.metric("aether_hook_events_total", "dropped").await {
        dropped if dropped >= 4.0 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
    hub.terminate();
    let began = Instant::now();
    assert!(hub.exit().await.success());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(hub.log().contains("2 events of hooks.events were not told"), "{}", hub.log());
}

in_both_codecs!(
    the_application_is_told_who_left_and_what_is_listened_to,
    the_application_lets_clients_in,
    a_token_is_not_asked_about,
    the_application_turns_clients_away,
    commands_sent_with_the_connect_wait_for_it,
    a_bad_backend_is_error_100_within_its_time,
    the_application_answers_calls,
    the_application_decides_about_channels,
    the_application_says_whether_it_goes_on,
    a_subscription_goes_on_while_the_application_says_so,
);

/// The backend of the documentation, word by word.
#[tokio::test]
async fn the_documented_backend_works() {
    let page = include_str!("../../docs/hooks.md");
    let (_, rest) = page.split_once("```python\n").expect("the page has a backend");
    let (program, _) = rest.split_once("```").expect("it ends");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free").port();
    let mut python = std::process::Command::new("python3");
    python.args(["-c", program, &port.to_string()]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let backend = Killed(python.spawn().expect("python3 is there"));
    eventually("the backend's start", async || TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|error| error.to_string())).await;
    let (_, rest) = page.split_once("```toml\n").expect("the page has a configuration");
    let (config, _) = rest.split_once("```").expect("it ends");
    let directory = tempfile::tempdir().expect("a directory can be made");
    let file = directory.path().join("aether.toml");
    std::fs::write(&file, config).expect("the configuration can be written");
    let mut check = crate::support::aether();
    let checked = check.args(["check-config", "--config"]).arg(&file).output().expect("the binary can be started");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    // The same, as the harness takes it.
    let at = |path: &str| json!({ "endpoint": format!("http://127.0.0.1:{port}{path}") });
    let on = |path: &str| merged(json!({ "enabled": true }), at(path));
    let config = json!({
        "client": { "proxy": { "connect": merged(on("/connect"), json!({ "http_headers": ["Cookie"] })), "refresh": on("/refresh") } },
        "channel": {
            "proxy": { "subscribe": at("/subscribe"), "publish": at("/publish"), "sub_refresh": at("/sub_refresh") },
            "namespaces": [{ "name": "room", "subscribe_proxy_enabled": true, "publish_proxy_enabled": true, "sub_refresh_proxy_enabled": true }],
        },
        "rpc": { "without_namespace": { "proxy_enabled": true }, "proxy": at("/rpc") },
    });
    let hub = Hub::start(config).await;

    let dial = Dial { headers: vec![("Cookie".into(), "user=ann".into())], ..hub.dial() };
    let mut client = Client::open(&dial, Codec::Json).await;
    assert_eq!(client.connect(json!({})).await["data"], json!({ "welcome": true }));
    client.subscribe("room:lobby").await;
    client.publish("room:lobby", "hello").await;
    assert_eq!(client.data("room:lobby", 1).await, [json!({ "by": "ann", "says": "hello" })]);
    assert_eq!(client.error_of("subscribe", json!({ "channel": "room:cellar" })).await, 403);
    assert_eq!(client.call("rpc", json!({ "method": "add", "data": { "numbers": [1, 2, 4] } })).await["rpc"]["data"], json!({ "sum": 7 }));
    client.leave().await;
    let mut client = hub.open(Codec::Json).await;
    client.send("connect", json!({})).await;
    assert_eq!(client.close_code().await, 4501);
    // Its connections are kept for later by the hub, and end with it.
    drop(backend);
    hub.until_empty().await;
}

/// A process that ends with the scenario.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An application behind TLS, whose certificate a private authority has signed: it is asked where the system trusts that one, and nowhere else.
#[tokio::test]
async fn an_application_over_https_must_be_vouched_for() {
    let backend = Backend::start(|_| yes("ann"));
    let directory = tempfile::tempdir().expect("a directory can be made");
    write_authority(directory.path(), "localhost");
    let [trusted, certificate, key] = ["ca.pem", "cert.pem", "key.pem"].map(|name| directory.path().join(name));
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free").port();
    // The hub keeps a connection for as long as the harness waits for everything to be as it was; the server lets go sooner.
    let server = format!(
        "listen 127.0.0.1:{port} ssl; keepalive_timeout 1s; ssl_certificate {}; ssl_certificate_key {}; location / {{ proxy_pass http://{}; }}",
        certificate.display(),
        key.display(),
        backend.address
    );
    let Some(_nginx) = Nginx::start(Setup { server: &server, ..Setup::default() }) else { return };
    for (trusts, name, is_asked) in [(true, "localhost", true), (false, "localhost", false), (true, "127.0.0.1", false)] {
        let config = json!({ "client": { "proxy": { "connect": { "enabled": true, "endpoint": format!("https://{name}:{port}/connect") } } } });
        let hub = Hub::launch(config, |command| {
            if trusts {
                command.env("SSL_CERT_FILE", &trusted);
            }
        });
        let before = backend.asked("/connect").len();
        let mut client = hub.open(Codec::Json).await;
        let id = client.send("connect", json!({})).await;
        let reply = client.reply(id).await.expect("a reply");
        assert_eq!((reply.get("connect").is_some(), reply["error"]["code"] == 100), (is_asked, !is_asked), "{trusts} {name}: {reply}");
        assert_eq!(backend.asked("/connect").len() - before, usize::from(is_asked), "nothing is sent to whom nobody vouches for");
        client.cut();
    }
}

/// A client that goes while the application thinks leaves nothing behind: the hub's own check at the end says so.
#[tokio::test]
async fn a_client_that_does_not_wait_leaves_nothing() {
    let backend = Backend::start(|_| Reply::Silence);
    let hub = hub_with_connect(&backend, json!({})).await;
    for _ in 0..20 {
        let mut client = hub.open(Codec::Json).await;
        client.send("connect", json!({})).await;
        client.cut();
    }
    let mut client = hub.open(Codec::Json).await;
    client.send("connect", json!({})).await;
    match client.next().await {
        Event::Message(message) => assert_eq!(message["error"]["code"], 100),
        Event::Ended(Ending::Closed { .. } | Ending::Dropped) => panic!("an error was due"),
    }
    client.cut();
    hub.until_empty().await;
}

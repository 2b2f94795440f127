//! What is particular to answers without an end and to the requests beside them. What they have in common with WebSocket the other modules
//! ask of all transports.

use crate::support::token::user_token;
use crate::support::{Answer, Client, Codec, Dial, Ending, Endless, Hub, Pieces, Via, escaped, eventually, request, within};
use serde_json::{Value, json};

const STREAMS: [Via; 3] = [Via::HTTP_STREAM_JSON, Via::HTTP_STREAM_PROTOBUF, Via::SSE];

fn connect_command() -> String {
    json!({ "id": 1, "connect": { "token": user_token("alice") } }).to_string()
}

async fn emulate(dial: &Dial, body: &str) -> Answer {
    request(dial, "POST", "/emulation", &[("Content-Type", "application/json")], body.as_bytes()).await
}

#[tokio::test]
async fn every_answer_says_that_nobody_may_hold_it_back() {
    let hub = Hub::start(json!({})).await;
    let connect = connect_command();
    let in_query = format!("?cf_connect={}", escaped(connect.as_bytes()));
    let token = json!({ "token": user_token("alice") }).to_string();
    let token_in_query = format!("?cf_connect={}", escaped(token.as_bytes()));
    let events = "text/event-stream; charset=utf-8";
    let lines = "application/json; charset=utf-8";
    for (method, path, body, pieces, kind) in [
        ("POST", "/connection/http_stream".to_owned(), connect.as_str(), Pieces::Lines, lines),
        ("POST", "/connection/sse".to_owned(), &connect, Pieces::Events, events),
        ("GET", format!("/connection/sse{in_query}"), "", Pieces::Events, events),
        ("POST", "/connection/uni_http_stream".to_owned(), &token, Pieces::Lines, lines),
        ("POST", "/connection/uni_sse".to_owned(), &token, Pieces::Events, events),
        ("GET", format!("/connection/uni_sse{token_in_query}"), "", Pieces::Events, events),
    ] {
        let mut answer = Endless::open(&hub.dial(), pieces, method, &path, &[], body.as_bytes()).await;
        assert_eq!(answer.head.status, 200, "{path}");
        for (name, value) in [
            ("content-type", kind),
            ("cache-control", "private, no-cache, no-store, must-revalidate, max-age=0, no-transform"),
            ("pragma", "no-cache"),
            ("x-accel-buffering", "no"),
            ("connection", "close"),
        ] {
            assert_eq!(answer.head.header(name), Some(value), "{path}");
        }
        assert_eq!(answer.head.header("content-length").or(answer.head.header("transfer-encoding")), None, "{path}");
        let first: Value = serde_json::from_slice(&answer.next().await.expect("the connect reply")).expect("JSON");
        assert!(first["connect"]["session"].as_str().is_some_and(|session| session.len() > 60), "{first}");
        assert_eq!(first["connect"].get("pong").is_some(), !path.contains("uni_"), "{first}");
    }
}

#[tokio::test]
async fn requests_that_are_none_are_refused() {
    let hub = Hub::start(json!({ "emulation": { "max_request_body_size": 2000 }, "sse": { "max_request_body_size": 2000 } })).await;
    let large = "x".repeat(65_537);
    let long_query = format!("/connection/sse?cf_connect={}", "x".repeat(2_001));
    for (method, path, body, status) in [
        ("GET", "/connection/http_stream", "", 405),
        ("PUT", "/connection/sse", "", 405),
        ("GET", "/connection/uni_http_stream", "", 405),
        ("HEAD", "/connection/uni_sse", "", 405),
        ("GET", "/emulation", "", 405),
        ("GET", "/connection/sse", "", 400),
        ("GET", "/connection/sse?cf_connect=1&cf_connect=2", "", 400),
        ("GET", &long_query, "", 414),
        ("POST", "/connection/sse", &large[..2_001], 413),
        ("POST", "/connection/http_stream", &large, 413),
        ("POST", "/connection/uni_http_stream", &large, 413),
        ("POST", "/connection/uni_http_stream", "[]", 400),
        ("POST", "/connection/uni_sse", "{", 400),
        ("GET", "/connection/uni_sse?cf_connect=nonsense", "", 400),
        ("GET", "/connection/uni_websocket", "", 400),
        ("POST", "/emulation", &large[..2_001], 413),
        ("POST", "/emulation", "", 400),
        ("POST", "/emulation", "null", 400),
        ("POST", "/emulation", "{\"session\":1}", 400),
    ] {
        assert_eq!(request(&hub.dial(), method, path, &[], body.as_bytes()).await.status(), status, "{method} {path} {:.20}", body);
    }
    assert!(hub.metric("aether_emulation_refused_total", "400").await >= 3.0);
    assert!(hub.metric("aether_emulation_refused_total", "413").await >= 1.0);
}

#[tokio::test]
async fn a_session_is_found_by_its_client_alone() {
    let hub = Hub::start(json!({})).await;
    for via in STREAMS {
        let mut client = hub.connect(via).await;
        client.subscribe("plain").await;
        let (session, node) = client.address();
        let (other, _) = hub.connect(via).await.address();
        let mut altered = session.clone();
        altered.replace_range(session.len() - 1.., if session.ends_with('0') { "1" } else { "0" });
        let of_websocket = hub.connect(Codec::Json).await.id().to_owned();
        let ends_it = json!({ "send": {} }).to_string();
        let foreign = [client.id().to_owned(), altered, session.to_uppercase(), format!("{session}0"), String::new(), other, of_websocket];
        for foreign in foreign {
            let body = json!({ "session": foreign, "node": node, "data": ends_it }).to_string();
            assert_eq!(emulate(&hub.dial(), &body).await.status(), 204, "a node does not tell which sessions it has");
        }
        for unknown in ["", "another", &node[1..]] {
            let body = json!({ "session": session, "node": unknown, "data": ends_it }).to_string();
            assert_eq!(emulate(&hub.dial(), &body).await.status(), 404, "{unknown}");
        }
        hub.publish("plain", 1).await;
        assert_eq!(client.data("plain", 1).await, [1], "nobody has reached it");
    }
}

/// Whoever only listens is told its session as well, by which the server API addresses it; it can say nothing by it.
#[tokio::test]
async fn a_listener_cannot_be_made_to_speak() {
    let hub = Hub::start(json!({})).await;
    let token = json!({ "token": user_token("alice") }).to_string();
    let mut listener = Endless::open(&hub.dial(), Pieces::Lines, "POST", "/connection/uni_http_stream", &[], token.as_bytes()).await;
    let connect: Value = serde_json::from_slice(&listener.next().await.expect("a push")).expect("JSON");
    let (session, node) = (&connect["connect"]["session"], &connect["connect"]["node"]);
    let body = json!({ "session": session, "node": node, "data": "{\"id\":1,\"subscribe\":{\"channel\":\"plain\"}}" }).to_string();
    assert_eq!(emulate(&hub.dial(), &body).await.status(), 204);
    hub.api("disconnect", json!({ "user": "alice", "session": "another" })).await;
    assert_eq!(hub.state().expect("the state")["members"], 0, "it has subscribed to nothing");
    hub.api("disconnect", json!({ "user": "alice", "session": session })).await;
    let last: Value = serde_json::from_slice(&listener.next().await.expect("a push")).expect("JSON");
    assert_eq!(last, json!({ "disconnect": { "code": 3503, "reason": "force disconnect" } }));
    assert_eq!(listener.next().await, None);
}

#[tokio::test]
async fn what_comes_at_once_is_done_once_each() {
    const REQUESTS: usize = 40;
    let hub = Hub::start(json!({})).await;
    for via in [Via::HTTP_STREAM_JSON, Via::SSE] {
        let mut client = hub.connect(via).await;
        let (session, node) = client.address();
        // All the same, on a channel that has to be attached first, so that most of them wait.
        let data = json!({ "id": 7, "subscribe": { "channel": format!("once:{via:?}").replace([':', ' ', '{', '}', ','], "") } }).to_string();
        let body = json!({ "session": session, "node": node, "data": data }).to_string();
        let dial = hub.dial();
        let statuses = futures_util::future::join_all((0..REQUESTS).map(|_| emulate(&dial, &body))).await;
        let taken = statuses.iter().filter(|answer| answer.status() == 204).count();
        assert!(statuses.iter().all(|answer| [204, 429].contains(&answer.status())) && taken > 0);
        let mut subscribed = 0;
        for _ in 0..taken {
            let reply = within("get a reply", client.reply(7)).await.expect("a reply");
            match reply.get("error") {
                None => subscribed += 1,
                Some(error) => assert_eq!(error["code"], 105, "{reply}"),
            }
        }
        assert_eq!(subscribed, 1);
        client.has_nothing_waiting().await;
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_told_what_they_may() {
    let hub = Hub::start(json!({ "client": { "allowed_origins": ["https://good.example"] } })).await;
    let (good, evil) = (("Origin", "https://good.example"), ("Origin", "https://evil.example"));
    let connect = connect_command();
    let path = format!("/connection/sse?cf_connect={}", escaped(connect.as_bytes()));
    let answer = Endless::open(&hub.dial(), Pieces::Events, "GET", &path, &[good], b"").await;
    let allowed = |head: &crate::support::Answer| head.head.header("access-control-allow-origin").map(str::to_owned);
    assert_eq!(answer.head.header("access-control-allow-origin"), Some(good.1));
    assert_eq!(answer.head.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.head.header("vary"), Some("Origin"));
    let refused = request(&hub.dial(), "GET", &path, &[evil], b"").await;
    assert_eq!((refused.status(), allowed(&refused)), (403, None));
    for path in ["/connection/http_stream", "/connection/sse", "/connection/uni_sse", "/connection/uni_http_stream", "/emulation"] {
        let asked = ("Access-Control-Request-Headers", "content-type,x-mine");
        let preflight = request(&hub.dial(), "OPTIONS", path, &[good, asked], b"").await;
        assert_eq!((preflight.status(), allowed(&preflight).as_deref()), (204, Some(good.1)), "{path}");
        assert_eq!(preflight.head.header("access-control-max-age"), Some("300"));
        assert_eq!(preflight.head.header("access-control-allow-headers"), Some("content-type,x-mine"));
        assert!(preflight.head.header("access-control-allow-methods").is_some_and(|methods| methods.ends_with("POST, OPTIONS")));
        assert_eq!(request(&hub.dial(), "OPTIONS", path, &[evil], b"").await.status(), 403, "{path}");
        assert_eq!(request(&hub.dial(), "POST", path, &[good, evil], b"{}").await.status(), 403, "{path}: two origins");
        // A page can read why it was refused.
        let wrong = request(&hub.dial(), "PUT", path, &[good], b"").await;
        assert_eq!((wrong.status(), allowed(&wrong).as_deref()), (405, Some(good.1)), "{path}");
    }
    // A browser does not say why a handshake failed: without one, the same address says whether it was for the origin.
    for (origin, status) in [(good, 400), (evil, 403)] {
        assert_eq!(request(&hub.dial(), "POST", "/connection/websocket", &[origin], b"{}").await.status(), status, "{origin:?}");
    }
}

#[tokio::test]
async fn the_limits_of_the_door_are_those_of_websocket() {
    let hub = Hub::start(json!({ "client": { "connection_limit": 1 } })).await;
    let client = hub.connect(Via::SSE).await;
    let path = format!("/connection/sse?cf_connect={}", escaped(connect_command().as_bytes()));
    let refused = request(&hub.dial(), "GET", &path, &[], b"").await;
    assert_eq!((refused.status(), refused.head.header("retry-after")), (503, Some("1")));
    client.leave().await;
    hub.until_empty().await;
    hub.connect(Via::HTTP_STREAM_JSON).await;
}

#[tokio::test]
async fn transports_that_are_off_are_not_there() {
    let off = json!({ "enabled": false });
    let hub = Hub::start(json!({ "http_stream": off, "sse": off, "uni_sse": off, "uni_http_stream": off, "uni_websocket": off })).await;
    for path in ["/connection/http_stream", "/connection/sse", "/connection/uni_sse", "/connection/uni_http_stream", "/emulation"] {
        assert_eq!(request(&hub.dial(), "GET", path, &[], b"").await.status(), 404, "{path}");
    }
    let dial = Dial { path: "/connection/uni_websocket".to_owned(), ..hub.dial() };
    assert_eq!(dial.websocket().await.expect("an answer").err().expect("refused").status, 404);
}

/// A connection that has answered other requests before can become an endless answer, and an older HTTP can ask for one.
#[tokio::test]
async fn any_http_connection_will_do() {
    let hub = Hub::start_with_tls(json!({})).await;
    let connect = connect_command();
    for dial in [hub.dial(), hub.tls_dial()] {
        let mut stream = dial.stream().await.expect("a connection");
        let first = format!("GET /health HTTP/1.1\r\nHost: {}\r\n\r\n", hub.http);
        let second = format!("POST /connection/http_stream HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{connect}", connect.len());
        // Both at once: the second answer comes behind the first.
        stream.write_all(format!("{first}{second}").as_bytes()).await.expect("written");
        let mut received = Vec::new();
        within("get both answers", async {
            while !String::from_utf8_lossy(&received).contains("\"session\"") {
                assert_ne!(stream.read(&mut received).await.expect("an answer"), 0, "{}", String::from_utf8_lossy(&received));
            }
        })
        .await;
        let text = String::from_utf8_lossy(&received);
        let heads: Vec<_> = text.matches("HTTP/1.1 200 OK").collect();
        assert_eq!(heads.len(), 2, "{text}");
        assert!(text.find("{}").is_some_and(|first| first < text.find("no-transform").expect("the second head")), "{text}");

        let mut stream = dial.stream().await.expect("a connection");
        let old = format!("POST /connection/http_stream HTTP/1.0\r\nContent-Length: {}\r\n\r\n{connect}", connect.len());
        stream.write_all(old.as_bytes()).await.expect("written");
        let mut received = Vec::new();
        within("get an answer", async {
            while !String::from_utf8_lossy(&received).contains("\"session\"") {
                assert_ne!(stream.read(&mut received).await.expect("an answer"), 0, "{}", String::from_utf8_lossy(&received));
            }
        })
        .await;
    }
}

#[tokio::test]
async fn clients_that_go_in_any_way_leave_nothing() {
    let hub = Hub::start_with_tls(json!({})).await;
    for dial in [hub.dial(), hub.tls_dial()] {
        for via in STREAMS {
            for way in 0..3 {
                let mut client = Client::open(&dial, via).await;
                client.connect(json!({ "token": user_token("alice") })).await;
                client.subscribe("room:x").await;
                match way {
                    0 => client.cut(),
                    1 => client.leave().await,
                    _ => drop(client),
                }
            }
        }
        hub.until_empty().await;
    }
}

/// Bytes that a client sends behind its request say nothing, and keep nobody alive who does not answer pings.
#[tokio::test]
async fn what_is_said_on_an_answer_is_read_away() {
    let hub = Hub::start(json!({ "client": { "ping_interval": "500ms", "pong_timeout": "200ms" } })).await;
    let connect = connect_command();
    let mut answer = Endless::open(&hub.dial(), Pieces::Lines, "POST", "/connection/http_stream", &[], connect.as_bytes()).await;
    for _ in 0..64 {
        if answer.stream.write_all(&[b'x'; 16 * 1_024]).await.is_err() {
            break;
        }
    }
    let mut last = Vec::new();
    while let Some(piece) = within("get a piece", answer.next()).await {
        last = piece;
    }
    assert_eq!(String::from_utf8_lossy(&last), "{\"push\":{\"disconnect\":{\"code\":3012,\"reason\":\"no pong\"}}}");
}

#[tokio::test]
async fn pongs_beside_the_answer_keep_it_open() {
    let hub = Hub::start(json!({ "client": { "ping_interval": "1s", "pong_timeout": "900ms" } })).await;
    for via in STREAMS {
        let mut client = hub.connect(via).await;
        client.subscribe("plain").await;
        eventually("three pings", async || {
            hub.publish("plain", 1).await;
            client.data("plain", 1).await;
            if client.pings >= 3 { Ok(()) } else { Err(format!("{} pings", client.pings)) }
        })
        .await;
    }
}

/// A client that stops reading is cut, and its neighbour on the same channel has everything.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let hub = Hub::start(json!({ "client": { "queue_max_size": "64KiB" } })).await;
    let slow = Dial { receive_buffer: Some(4_096), ..hub.dial() };
    for via in STREAMS {
        let mut reader = hub.connect_as(via, "bob").await;
        reader.subscribe("plain").await;
        let mut stuck = Client::open(&slow, via).await;
        stuck.connect(json!({ "token": user_token("alice") })).await;
        stuck.subscribe("plain").await;
        hub.until("both being there", |grown| grown["members"] == 2).await;
        let mut sent = 0_u64;
        eventually("the slow one's end", async || {
            sent += 1;
            hub.publish("plain", json!({ "number": sent, "padding": "x".repeat(30_000) })).await;
            assert_eq!(reader.data("plain", 1).await[0]["number"], sent);
            let grown = hub.grown()?;
            if grown["members"] == 1 { Ok(()) } else { Err(grown.to_string()) }
        })
        .await;
        drop(stuck);
        reader.leave().await;
        hub.until_empty().await;
    }
}

#[tokio::test]
async fn a_hub_that_stops_says_so_on_every_answer() {
    let mut hub = Hub::start(json!({})).await;
    let mut clients = Vec::new();
    for via in STREAMS {
        clients.push(hub.connect(via).await);
    }
    hub.terminate();
    for client in &mut clients {
        assert_eq!(client.ending().await, Ending::Closed { code: 3001, reason: "shutdown".to_owned() });
    }
    assert!(hub.exit().await.success());
}

/// Coming, talking and going by all of them at once, some of them rudely: nothing is left.
#[tokio::test]
async fn churn_leaves_the_baseline() {
    let hub = Hub::start(json!({})).await;
    let hub = &hub;
    let one = async |number: usize| {
        for round in 0..6 {
            let via = [Codec::Json.into(), Codec::Protobuf.into(), Via::HTTP_STREAM_JSON, Via::HTTP_STREAM_PROTOBUF, Via::SSE][(number + round) % 5];
            let mut client = hub.connect_as(via, &format!("user{number}")).await;
            client.subscribe("room:x").await;
            client.publish(&format!("own:{number}").replace(':', ""), round).await;
            if round % 3 == 0 {
                client.unsubscribe("room:x").await;
            }
            match round % 3 {
                0 => client.cut(),
                1 => client.leave().await,
                _ => drop(client),
            }
        }
    };
    futures_util::future::join_all((0..20).map(one)).await;
    hub.until_empty().await;
    assert!(hub.metric("aether_sessions_opened_total", "transport=\"sse\"").await >= 20.0);
}

//! Clients that say who they are and then listen.

use crate::support::token::{now, token, user_token};
use crate::support::{Dial, Ending, Endless, Hub, Pieces, WebSocket, escaped, eventually, opcode, within};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    WebSocketByQuery,
    WebSocketByMessage,
    HttpStream,
    SseByGet,
    SseByPost,
}

const WAYS: [Way; 5] = [Way::WebSocketByQuery, Way::WebSocketByMessage, Way::HttpStream, Way::SseByGet, Way::SseByPost];

enum Line {
    WebSocket(WebSocket),
    Answer(Endless),
}

struct Listener {
    line: Line,
    answers_pings: bool,
}

/// What a listener hears.
#[derive(Debug, PartialEq)]
enum Heard {
    Push(Value),
    /// A ping of the protocol.
    Ping,
    /// A ping of the WebSocket layer.
    Control,
    Ended(Ending),
}

impl Listener {
    async fn open(dial: &Dial, way: Way, request: &Value) -> Self {
        let text = request.to_string();
        let query = format!("?cf_connect={}", escaped(text.as_bytes()));
        let answer =
            async |pieces, method, path: &str, body: &str| Line::Answer(Endless::open(dial, pieces, method, path, &[], body.as_bytes()).await);
        let websocket = async |query: &str| {
            let dial = Dial { path: format!("/connection/uni_websocket{query}"), ..dial.clone() };
            dial.websocket().await.expect("an answer").unwrap_or_else(|head| panic!("refused with {}", head.status))
        };
        let line = match way {
            Way::WebSocketByQuery => Line::WebSocket(websocket(&query).await),
            Way::WebSocketByMessage => {
                let mut socket = websocket("").await;
                socket.send(opcode::TEXT, text.as_bytes()).await;
                Line::WebSocket(socket)
            }
            Way::HttpStream => answer(Pieces::Lines, "POST", "/connection/uni_http_stream", &text).await,
            Way::SseByGet => answer(Pieces::Events, "GET", &format!("/connection/uni_sse{query}"), "").await,
            Way::SseByPost => answer(Pieces::Events, "POST", "/connection/uni_sse", &text).await,
        };
        Self { line, answers_pings: true }
    }

    async fn hear(&mut self) -> Heard {
        within("hear something", async {
            let payload = match &mut self.line {
                Line::Answer(answer) => match answer.next().await {
                    None => return Heard::Ended(Ending::Dropped),
                    Some(piece) => piece,
                },
                Line::WebSocket(socket) => match socket.read().await {
                    None => return Heard::Ended(Ending::Dropped),
                    Some(frame) if frame.opcode == opcode::PING => {
                        if self.answers_pings {
                            socket.send(opcode::PONG, &frame.payload).await;
                        }
                        return Heard::Control;
                    }
                    Some(frame) if frame.opcode == opcode::CLOSE => {
                        socket.send(opcode::CLOSE, &frame.payload).await;
                        let (code, reason) = frame.payload.split_at(2);
                        let code = u16::from_be_bytes([code[0], code[1]]);
                        return Heard::Ended(Ending::Closed { code, reason: String::from_utf8_lossy(reason).into_owned() });
                    }
                    Some(frame) => frame.payload,
                },
            };
            match serde_json::from_slice(&payload).unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&payload))) {
                Value::Object(members) if members.is_empty() => Heard::Ping,
                push => Heard::Push(push),
            }
        })
        .await
    }

    /// The next push; pings are heard over.
    async fn push(&mut self) -> Value {
        loop {
            match self.hear().await {
                Heard::Push(push) => return push,
                Heard::Ping | Heard::Control => {}
                Heard::Ended(ending) => panic!("a push was due, not {ending:?}"),
            }
        }
    }

    /// The goodbye that must come next, and the end behind it.
    async fn goodbye(&mut self) -> Value {
        let push = self.push().await;
        let goodbye = push["disconnect"].clone();
        assert!(goodbye.is_object(), "{push}");
        let is_websocket = matches!(self.line, Line::WebSocket(_));
        match self.hear().await {
            Heard::Ended(Ending::Closed { code, .. }) if is_websocket => assert_eq!(code, goodbye["code"]),
            Heard::Ended(Ending::Dropped) if !is_websocket => {}
            other => panic!("the end was due, not {other:?}"),
        }
        goodbye
    }

    fn cut(self) {
        match self.line {
            Line::WebSocket(socket) => socket.stream.cut(),
            Line::Answer(answer) => answer.stream.cut(),
        }
    }
}

#[tokio::test]
async fn a_listener_hears_its_channels() {
    let hub = Hub::start_with_tls(json!({})).await;
    for (way, dial) in WAYS.iter().flat_map(|way| [(*way, hub.dial()), (*way, hub.tls_dial())]) {
        let request =
            json!({ "token": token(&json!({ "sub": "alice", "channels": ["news:token"] })), "subs": { "room:asked": {}, "locked:no": {} } });
        let mut listener = Listener::open(&dial, way, &request).await;
        let connect = listener.push().await["connect"].clone();
        let mut subs: Vec<_> = connect["subs"].as_object().unwrap_or_else(|| panic!("{way:?}: {connect}")).keys().cloned().collect();
        subs.sort();
        assert_eq!(subs, ["news:token", "room:asked"], "{way:?}: what it may not have is passed over");
        assert!(connect["ping"].as_u64().is_some() && connect.get("pong").is_none(), "{connect}");
        assert!(connect["node"].is_string() && connect["session"].is_string() && connect["client"].is_string());
        let join = listener.push().await;
        assert_eq!((&join["channel"], &join["join"]["info"]["user"]), (&json!("room:asked"), &json!("alice")), "{way:?}: bare pushes, {join}");
        hub.publish("news:token", json!({ "a": "line\nfeed" })).await;
        let publication = listener.push().await;
        assert_eq!((&publication["channel"], &publication["pub"]["data"]), (&json!("news:token"), &json!({ "a": "line\nfeed" })));
        hub.api("subscribe", json!({ "user": "alice", "channel": "plain" })).await;
        assert_eq!(listener.push().await["channel"], "plain");
        hub.api("unsubscribe", json!({ "user": "alice", "channel": "plain" })).await;
        assert_eq!(listener.push().await["unsubscribe"]["code"], 2000);
        hub.api("disconnect", json!({ "user": "alice" })).await;
        assert_eq!(listener.goodbye().await, json!({ "code": 3503, "reason": "force disconnect" }), "{way:?}");
        hub.until_empty().await;
    }
}

#[tokio::test]
async fn whose_role_allows_it_listens_to_the_hub_itself() {
    let roles = json!({ "client": { "token": { "role_claim": "role" } }, "metrics": { "interval": "200ms", "canary_interval": "0s" } });
    let hub = Hub::start(roles).await;
    let subs = json!({ "$metrics:overview": {}, "$admin:audit": {}, "$metrics:nothing": {}, "room:asked": {} });
    for way in WAYS {
        let viewer = token(&json!({ "sub": "alice", "role": "viewer" }));
        let mut listener = Listener::open(&hub.dial(), way, &json!({ "token": viewer, "subs": subs })).await;
        let connect = listener.push().await["connect"].clone();
        let mut names: Vec<_> = connect["subs"].as_object().unwrap_or_else(|| panic!("{way:?}: {connect}")).keys().cloned().collect();
        names.sort();
        assert_eq!(names, ["$metrics:overview", "room:asked"], "{way:?}");
        assert_eq!(listener.push().await["channel"], "room:asked", "its own coming");
        let told = listener.push().await;
        assert_eq!(told["channel"], "$metrics:overview", "{way:?}");
        assert!(told["pub"]["data"]["values"].is_object(), "{told}");
        listener.cut();

        let nobody = json!({ "token": user_token("bob"), "subs": { "$metrics:overview": {}, "news:x": {} } });
        let mut listener = Listener::open(&hub.dial(), way, &nobody).await;
        let connect = listener.push().await["connect"].clone();
        assert_eq!(connect["subs"].as_object().map(|subs| subs.keys().cloned().collect()), Some(vec!["news:x".to_owned()]), "{way:?}");
        hub.publish("news:x", 1).await;
        assert_eq!(listener.push().await["channel"], "news:x", "{way:?}: nothing of the hub came before");
        listener.cut();
        let listed = json!({ "token": token(&json!({ "sub": "eve", "role": "admin", "channels": ["$metrics:overview"] })) });
        let mut listener = Listener::open(&hub.dial(), way, &listed).await;
        assert_eq!(listener.goodbye().await["code"], 3507, "{way:?}: a list in a token opens nothing");
        hub.until_empty().await;
    }
}

#[tokio::test]
async fn a_listener_recovers_what_it_missed() {
    let hub = Hub::start(json!({})).await;
    for way in WAYS {
        let channel = format!("news:{way:?}");
        hub.publish(&channel, 0).await;
        let request = |since: Value| json!({ "token": user_token("alice"), "subs": { channel.clone(): since } });
        let mut listener = Listener::open(&hub.dial(), way, &request(json!({}))).await;
        let position = listener.push().await["connect"]["subs"][&channel].clone();
        listener.cut();
        hub.publish(&channel, 1).await;
        hub.publish(&channel, 2).await;
        let since = json!({ "recover": true, "offset": position["offset"], "epoch": position["epoch"] });
        let mut listener = Listener::open(&hub.dial(), way, &request(since)).await;
        let sub = listener.push().await["connect"]["subs"][&channel].clone();
        assert_eq!((&sub["recovered"], sub["publications"].as_array().map(Vec::len)), (&json!(true), Some(2)), "{way:?}: {sub}");
        hub.publish(&channel, 3).await;
        assert_eq!(listener.push().await["pub"]["data"], 3);
        listener.cut();
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_by_a_disconnect() {
    let hub = Hub::start(json!({})).await;
    for way in WAYS {
        for (request, code) in [
            (json!({ "token": token(&json!({ "sub": "alice", "exp": now() - 60 })) }), 3005),
            (json!({ "token": "x.y.z" }), 3500),
            (json!({}), 3501),
            (json!({ "token": token(&json!({ "sub": "alice", "channels": ["unknown:x"] })) }), 3004),
            (json!({ "token": user_token("alice"), "subs": { "unknown:x": {} } }), 3501),
        ] {
            let mut listener = Listener::open(&hub.dial(), way, &request).await;
            assert_eq!(listener.goodbye().await["code"], code, "{way:?} {request}");
        }
    }
    let mut listener = Listener::open(&hub.dial(), Way::WebSocketByMessage, &json!([1])).await;
    assert_eq!(listener.goodbye().await["code"], 3501, "a message that is no request");
    let dial = Dial { path: "/connection/uni_websocket?cf_connect=%5B%5D".to_owned(), ..hub.dial() };
    assert_eq!(dial.websocket().await.expect("an answer").err().expect("refused").status, 400, "the same in the query, before the upgrade");
}

#[tokio::test]
async fn a_listener_is_pinged_and_owes_nothing_but_what_its_browser_does() {
    let hub = Hub::start(json!({ "client": { "ping_interval": "500ms", "pong_timeout": "300ms", "idle_timeout": "2s" } })).await;
    for way in WAYS {
        let is_websocket = matches!(way, Way::WebSocketByQuery | Way::WebSocketByMessage);
        let mut listener = Listener::open(&hub.dial(), way, &json!({ "token": user_token("alice") })).await;
        listener.push().await;
        let (mut pings, mut controls) = (0, 0);
        // Longer than an idle client may be quiet that could speak.
        while pings < 6 {
            match listener.hear().await {
                Heard::Ping => pings += 1,
                Heard::Control => controls += 1,
                other => panic!("{way:?}: a ping was due, not {other:?}"),
            }
        }
        assert_eq!(controls > 0, is_websocket, "{way:?}");
        if let Line::WebSocket(socket) = &mut listener.line {
            socket.send(opcode::TEXT, b"what it says now is heard over").await;
            hub.api("subscribe", json!({ "user": "alice", "channel": "plain" })).await;
            assert_eq!(listener.push().await["channel"], "plain", "{way:?}");
            listener.answers_pings = false;
            let goodbye = listener.goodbye().await;
            assert_eq!(goodbye["code"], 3012, "{way:?}");
        } else {
            listener.cut();
        }
    }
}

#[tokio::test]
async fn a_listener_ends_with_its_token_and_its_hub() {
    let mut hub = Hub::start(json!({ "client": { "expired_close_delay": "100ms" } })).await;
    for way in WAYS {
        let mut listener = Listener::open(&hub.dial(), way, &json!({ "token": token(&json!({ "sub": "alice", "exp": now() + 2 })) })).await;
        assert_eq!(listener.push().await["connect"]["expires"], true);
        assert_eq!(listener.goodbye().await["code"], 3005, "{way:?}");
    }
    let mut listeners = Vec::new();
    for way in WAYS {
        let mut listener = Listener::open(&hub.dial(), way, &json!({ "token": user_token("alice") })).await;
        listener.push().await;
        listeners.push(listener);
    }
    hub.terminate();
    for listener in &mut listeners {
        assert_eq!(listener.goodbye().await, json!({ "code": 3001, "reason": "shutdown" }));
    }
    assert!(hub.exit().await.success());
}

/// Nobody is there any more, and nobody says so: the heartbeat finds out.
#[tokio::test]
async fn a_listener_that_hangs_up_half_is_gone() {
    let hub = Hub::start_with_tls(json!({})).await;
    for dial in [hub.dial(), hub.tls_dial()] {
        for way in [Way::HttpStream, Way::SseByGet] {
            let mut listener = Listener::open(&dial, way, &json!({ "token": user_token("alice") })).await;
            listener.push().await;
            let Line::Answer(mut answer) = listener.line else { panic!("an answer") };
            answer.stream.half_close();
            eventually("the session's end", async || match hub.grown()?["sessions"].as_i64() {
                Some(0) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await;
            while answer.next().await.is_some() {}
        }
    }
}

/// Whoever asks for ten thousand channels at once gets none, and the hub makes nothing of them.
#[tokio::test]
async fn ten_thousand_subscriptions_in_one_request_are_refused() {
    let hub = Hub::start(json!({
        "uni_http_stream": { "max_request_body_size": "1MiB" },
        "uni_sse": { "max_request_body_size": "1MiB" },
        "websocket": { "message_size_limit": "1MiB" },
    }))
    .await;
    let subs: serde_json::Map<_, _> = (0..10_000).map(|number| (format!("c{number}"), json!({}))).collect();
    let request = json!({ "token": user_token("greedy"), "subs": subs });
    for way in [Way::WebSocketByMessage, Way::HttpStream, Way::SseByPost] {
        let mut listener = Listener::open(&hub.dial(), way, &request).await;
        assert_eq!(listener.goodbye().await["code"], 3505, "{way:?}");
        assert_eq!(hub.grown().expect("the state")["members"], 0);
    }
}

//! Everything rude that a network can say. Each case gets its documented code or status, and twenty healthy clients beside it notice
//! nothing: nothing lost, nothing late, nothing left behind.

use crate::support::token::user_token;
use crate::support::{Answer, Canaries, Client, Codec, Dial, Ending, Hub, Stream, masked_frame, opcode, put_varint, read_to_end, request};
use serde_json::json;

const FIN: u8 = 0x80;

async fn raw(hub: &Hub) -> crate::support::WebSocket {
    hub.dial().websocket().await.expect("reachable").unwrap_or_else(|head| panic!("refused with {}", head.status))
}

async fn ends_with(hub: &Hub, what: &str, bytes: &[u8], code: u16) {
    let mut socket = raw(hub).await;
    let _ = socket.send_raw(bytes).await;
    match socket.ending().await {
        Ending::Closed { code: got, .. } => assert_eq!(got, code, "{what}"),
        Ending::Dropped => panic!("{what}: dropped without a close frame, {code} was due"),
    }
}

/// A masked frame's header that announces `length` bytes.
fn announce(first_byte: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first_byte, 0x80 | 127];
    header.extend_from_slice(&length.to_be_bytes());
    header.extend_from_slice(&[1, 2, 3, 4]);
    header
}

#[tokio::test]
async fn frames_that_break_the_websocket_rules() {
    let hub = Hub::start(json!({})).await;
    Canaries::beside(&hub, async {
        for (what, bytes, code) in [
            ("2^40 bytes announced", announce(FIN | opcode::TEXT, 1 << 40), 1009),
            ("one byte over the limit announced", announce(FIN | opcode::TEXT, 65_537), 1009),
            ("a length with the highest bit", announce(FIN | opcode::BINARY, 1 << 63), 1002),
            ("an unmasked frame", vec![FIN | opcode::TEXT, 2, b'{', b'}'], 1002),
            ("reserved bit 1", masked_frame(0xc0 | opcode::TEXT, b"{}"), 1002),
            ("reserved bit 2", masked_frame(0xa0 | opcode::TEXT, b"{}"), 1002),
            ("reserved bit 3", masked_frame(0x90 | opcode::TEXT, b"{}"), 1002),
            ("opcode 3", masked_frame(FIN | 3, b""), 1002),
            ("opcode 7", masked_frame(FIN | 7, b""), 1002),
            ("opcode 11", masked_frame(FIN | 11, b""), 1002),
            ("opcode 15", masked_frame(FIN | 15, b""), 1002),
            ("a continuation of nothing", masked_frame(FIN, b"x"), 1002),
            ("a text within a text", [masked_frame(opcode::TEXT, b"a"), masked_frame(FIN | opcode::TEXT, b"b")].concat(), 1002),
            ("a fragmented ping", masked_frame(opcode::PING, b"x"), 1002),
            ("a long ping", masked_frame(FIN | opcode::PING, &[0; 126]), 1002),
            ("a long close", masked_frame(FIN | opcode::CLOSE, &[0x03; 126]), 1002),
            ("a close of one byte", masked_frame(FIN | opcode::CLOSE, &[3]), 1002),
            ("a close code that must not be sent", masked_frame(FIN | opcode::CLOSE, &1005_u16.to_be_bytes()), 1002),
            ("a close reason that is no UTF-8", masked_frame(FIN | opcode::CLOSE, &[0x03, 0xe8, 0xff]), 1007),
            ("invalid UTF-8", masked_frame(FIN | opcode::TEXT, b"{\"a\":\"\xff\"}"), 1007),
            ("an overlong NUL", masked_frame(FIN | opcode::TEXT, b"\xc0\x80"), 1007),
            ("a surrogate in UTF-8", masked_frame(FIN | opcode::TEXT, b"\xed\xa0\x80"), 1007),
            ("invalid UTF-8 split over fragments", [masked_frame(opcode::TEXT, b"\xce\xba\xe1"), masked_frame(FIN, b"\xbd\xff")].concat(), 1007),
            ("UTF-8 that ends half-way", masked_frame(FIN | opcode::TEXT, b"\xe2\x82"), 1007),
        ] {
            ends_with(&hub, what, &bytes, code).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_that_never_ends() {
    let hub = Hub::start(json!({})).await;
    Canaries::beside(&hub, async {
        // One byte at a time, for ever: the fragments are counted.
        let mut endless = raw(&hub).await;
        let mut fragments = masked_frame(opcode::TEXT, b"x");
        for _ in 0..2_000 {
            fragments.extend(masked_frame(opcode::CONTINUATION, b"x"));
        }
        let _ = endless.send_raw(&fragments).await;
        assert_eq!(endless.ending().await, Ending::Closed { code: 1009, reason: String::new() }, "endless fragments");
        // Fragments that together are too large.
        let mut large = raw(&hub).await;
        let mut fragments = masked_frame(opcode::BINARY, &[0; 40_000]);
        fragments.extend(masked_frame(opcode::CONTINUATION, &[0; 40_000]));
        let _ = large.send_raw(&fragments).await;
        assert_eq!(large.ending().await, Ending::Closed { code: 1009, reason: String::new() }, "large fragments");
        // Empty fragments cost nothing and prove nothing.
        let mut empty = raw(&hub).await;
        let mut fragments = masked_frame(opcode::TEXT, b"");
        for _ in 0..2_000 {
            fragments.extend(masked_frame(opcode::CONTINUATION, b""));
        }
        let _ = empty.send_raw(&fragments).await;
        assert_eq!(empty.ending().await, Ending::Closed { code: 1009, reason: String::new() }, "empty fragments");
        // 8 MiB streamed into one frame that announced them.
        let mut streamed = raw(&hub).await;
        let _ = streamed.send_raw(&announce(FIN | opcode::BINARY, 8 << 20)).await;
        for _ in 0..128 {
            if streamed.send_raw(&[0; 65_536]).await.is_err() {
                break;
            }
        }
        streamed.ending().await;
    })
    .await;
}

#[tokio::test]
async fn json_that_is_a_weapon() {
    let hub = Hub::start(json!({ "websocket": { "message_size_limit": "2MiB" } })).await;
    let long_key = "k".repeat(1 << 20);
    Canaries::beside(&hub, async {
        for (what, text) in [
            ("depth of 100,000 arrays", format!(r#"{{"id":9,"publish":{{"channel":"plain","data":{}"#, "[".repeat(100_000))),
            ("depth of 100,000 objects", r#"{"a":"#.repeat(100_000)),
            ("a number without an end", format!(r#"{{"id":9,"publish":{{"channel":"plain","data":{}}}}}"#, "1e".repeat(10))),
            ("not a number", r#"{"id":9,"publish":{"channel":"plain","data":NaN}}"#.to_owned()),
            ("a byte order mark", "\u{feff}{\"id\":9}".to_owned()),
            ("trailing garbage", r#"{"id":9,"rpc":{"data":1}}x"#.to_owned()),
            ("two in one line", r#"{"id":9,"rpc":{}}{"id":10,"rpc":{}}"#.to_owned()),
            ("a negative id", r#"{"id":-1,"rpc":{}}"#.to_owned()),
            ("a large id", r#"{"id":4294967296,"rpc":{}}"#.to_owned()),
            ("a fractional id", r#"{"id":1.5,"rpc":{}}"#.to_owned()),
            ("a text id", r#"{"id":"1","rpc":{}}"#.to_owned()),
            ("a lone surrogate in a channel", r#"{"id":9,"subscribe":{"channel":"\ud800"}}"#.to_owned()),
            ("a wrong type", r#"{"id":9,"subscribe":{"channel":5}}"#.to_owned()),
            ("a list as command", r#"{"id":9,"subscribe":[]}"#.to_owned()),
            ("an unknown command", r#"{"id":9,"explode":{}}"#.to_owned()),
            ("a raw newline in a text", "{\"id\":9,\"subscribe\":{\"channel\":\"a\nb\"}}".to_owned()),
        ] {
            let mut client = hub.connect(Codec::Json).await;
            client.send_bytes(text.as_bytes()).await;
            assert_eq!(client.close_code().await, 3501, "{what}");
        }
        // Not nice, but JSON: answered, not punished.
        for (what, text) in [
            ("an unknown member", r#"{"id":9,"rpc":{"unknown":{"deep":[[[]]]}},"more":1}"#.to_owned()),
            ("a key of 1 MB", format!(r#"{{"id":9,"rpc":{{"{long_key}":1}}}}"#)),
            ("a payload key of 1 MB", format!(r#"{{"id":9,"rpc":{{"data":{{"{long_key}":1}}}}}}"#)),
            ("spaces", "  { \"id\" : 9 , \"rpc\" : { } }  ".to_owned()),
            ("a number larger than any float", r#"{"id":9,"publish":{"channel":"locked:x","data":1e400}}"#.to_owned()),
            ("a lone surrogate in a payload", r#"{"id":9,"publish":{"channel":"locked:x","data":"\ud800"}}"#.to_owned()),
        ] {
            let mut client = hub.connect(Codec::Json).await;
            client.send_bytes(text.as_bytes()).await;
            let reply = client.reply(9).await.unwrap_or_else(|ending| panic!("{what} was answered by {ending:?}"));
            assert!(reply.get("error").is_some(), "{what}: {reply}");
        }
        // A member twice: one is taken, or the command is refused; the connection's fate is not left to chance.
        let mut client = hub.connect(Codec::Json).await;
        client.send_bytes(br#"{"id":9,"id":10,"rpc":{}}"#).await;
        match client.next().await {
            crate::support::Event::Message(reply) => assert!(reply["id"] == 9 || reply["id"] == 10),
            crate::support::Event::Ended(ending) => assert_eq!(ending, Ending::Closed { code: 3501, reason: "bad request".to_owned() }),
        }
    })
    .await;
}

#[tokio::test]
async fn protobuf_that_is_a_weapon() {
    let hub = Hub::start(json!({})).await;
    let delimited = |body: &[u8]| {
        let mut frame = Vec::new();
        put_varint(&mut frame, body.len() as u64);
        frame.extend_from_slice(body);
        frame
    };
    Canaries::beside(&hub, async {
        for (what, frame) in [
            ("a length beyond the frame", vec![0x7f, 0x08, 0x01]),
            ("a length of 2^63", vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x08]),
            ("a varint of eleven bytes", vec![0xff; 11]),
            ("half a varint", vec![0x80]),
            ("a field of wire type 7", delimited(&[0x0f, 0x00])),
            ("a group without an end", delimited(&[0x0b; 200])),
            ("groups in groups", delimited(&[0x1b; 10_000])),
            ("a channel that is no UTF-8", delimited(&[0x08, 0x05, 0x2a, 0x04, 0x0a, 0x02, 0xff, 0xfe])),
            ("field number 0", delimited(&[0x00, 0x01])),
            ("JSON", br#"{"id":1,"rpc":{}}"#.to_vec()),
        ] {
            let mut client = hub.connect(Codec::Protobuf).await;
            client.send_bytes(&frame).await;
            assert_eq!(client.close_code().await, 3501, "{what}");
        }
        // An unknown field is from a newer client.
        let mut client = hub.connect(Codec::Protobuf).await;
        client.send_bytes(&delimited(&[0x08, 0x05, 0x32, 0x03, 0x0a, 0x01, b'x', 0xfa, 0x3f, 0x02, 1, 2])).await;
        assert_eq!(client.reply(5).await.expect("a reply")["unsubscribe"], json!({}));
    })
    .await;
}

#[tokio::test]
async fn the_wrong_kind_of_frame() {
    let hub = Hub::start(json!({})).await;
    Canaries::beside(&hub, async {
        // The codec was agreed on; a binary frame with JSON in it is read, or refused as a bad request, never anything else.
        for (codec, opcode) in [(Codec::Json, opcode::BINARY), (Codec::Protobuf, opcode::TEXT)] {
            let mut client = hub.open(codec).await;
            let connect = codec.encode(&[json!({ "id": 1, "connect": {} })]);
            client.socket().send(opcode, &connect).await;
            assert_eq!(client.close_code().await, 3501, "{codec:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn floods_of_control_frames_cost_nothing() {
    let hub = Hub::start(json!({})).await;
    Canaries::beside(&hub, async {
        // 10,000 pings, and nobody reads the pongs.
        let mut flood = hub.connect(Codec::Json).await;
        let pings = masked_frame(FIN | opcode::PING, &[7; 125]).repeat(100);
        for _ in 0..100 {
            if flood.socket().send_raw(&pings).await.is_err() {
                break;
            }
        }
        flood.cut();
        let mut polite = hub.connect(Codec::Json).await;
        polite.socket().send(opcode::PING, b"are you there?").await;
        let frame = polite.socket().read().await.expect("a pong");
        assert_eq!((frame.opcode, frame.payload), (opcode::PONG, b"are you there?".to_vec()));
    })
    .await;
}

#[tokio::test]
async fn a_half_closed_connection_is_gone() {
    let hub = Hub::start(json!({})).await;
    Canaries::beside(&hub, async {
        let mut half = hub.connect(Codec::Json).await;
        half.subscribe("room:x").await;
        half.socket().stream.half_close();
        hub.until("the half-closed session's end", |state| state["sessions"] == 21).await;
        // Half a frame, then half-closed.
        let mut half = hub.connect(Codec::Json).await;
        let _ = half.socket().send_raw(&announce(FIN | opcode::TEXT, 1_000)).await;
        half.socket().stream.half_close();
        hub.until("the half-closed session's end", |state| state["sessions"] == 21).await;
    })
    .await;
}

/// 1,000 sockets that say nothing, on both ports: all of them are dropped by their stage's timeout, and healthy clients come in meanwhile.
#[tokio::test]
async fn a_thousand_silent_sockets_lock_nobody_out() {
    let hub = Hub::start_with_tls(json!({ "http_server": { "tls_handshake_timeout": "2s", "request_header_timeout": "2s" } })).await;
    Canaries::beside(&hub, async {
        let mut silent: Vec<Stream> = Vec::new();
        for number in 0..1_000 {
            let port = if number % 2 == 0 { hub.http } else { hub.tls_dial().to };
            silent.push(Stream::Plain(Dial::new(port).tcp().await.expect("reachable")));
        }
        let mut late = Client::open(&hub.tls_dial(), Codec::Json).await;
        late.connect(json!({ "token": user_token("late") })).await;
        hub.connect_as(Codec::Protobuf, "later").await;
        for mut stream in silent {
            read_to_end(&mut stream).await;
        }
    })
    .await;
}

/// After the upgrade, too: nobody may sit there without connecting.
#[tokio::test]
async fn silent_websockets_are_closed_as_stale() {
    let hub = Hub::start(json!({ "client": { "stale_close_delay": "1s" } })).await;
    Canaries::beside(&hub, async {
        let mut silent = Vec::new();
        for _ in 0..200 {
            silent.push(hub.open(Codec::Json).await);
        }
        for client in &mut silent {
            assert_eq!(client.close_code().await, 3502);
        }
    })
    .await;
}

#[tokio::test]
async fn slow_headers_and_slow_bodies_are_cut() {
    let hub = Hub::start(json!({ "http_server": { "request_header_timeout": "1s", "request_timeout": "1s", "keep_alive_timeout": "30s" } })).await;
    let complete = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let half_head = b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_vec();
    let half_body = b"POST /api/publish HTTP/1.1\r\nHost: x\r\nX-API-Key: the-api-key-of-the-tests\r\nContent-Length: 1000\r\n\r\n{".to_vec();
    let half_chunk =
        b"POST /api/publish HTTP/1.1\r\nHost: x\r\nX-API-Key: the-api-key-of-the-tests\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{".to_vec();
    Canaries::beside(&hub, async {
        let mut slow = Vec::new();
        for (what, bytes) in [
            ("half a head", half_head.clone()),
            ("half a body", half_body.clone()),
            ("half a chunk", half_chunk.clone()),
            // The same as the second request of a kept-alive connection, where many servers have no timer any more.
            ("half a head, kept alive", [complete.clone(), half_head].concat()),
            ("half a body, kept alive", [complete.clone(), half_body].concat()),
            ("half a chunk, kept alive", [complete, half_chunk].concat()),
        ] {
            let mut stream = hub.dial().stream().await.expect("reachable");
            stream.write_all(&bytes).await.expect("taken");
            slow.push((what, stream));
        }
        for (what, mut stream) in slow {
            let said = String::from_utf8_lossy(&read_to_end(&mut stream).await).into_owned();
            assert!(!said.contains("\"result\""), "{what}: {said}");
        }
    })
    .await;
}

#[tokio::test]
async fn requests_that_are_no_http() {
    let hub = Hub::start(json!({})).await;
    let upgrade = |change: &str| {
        format!("GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{change}\r\n\r\n").into_bytes()
    };
    let good_key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    Canaries::beside(&hub, async {
        for (what, bytes, allowed) in [
            ("garbage", b"\x00\x01\x02\xff\xff\r\n\r\n".to_vec(), &[400][..]),
            ("no version", b"GET /\r\n\r\n".to_vec(), &[400]),
            ("too many headers", format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "a: b\r\n".repeat(500)).into_bytes(), &[400, 431]),
            ("headers of 300 KB", format!("GET / HTTP/1.1\r\nHost: x\r\na: {}\r\n\r\n", "b".repeat(300_000)).into_bytes(), &[400, 431]),
            (
                "a length and chunks",
                b"POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
                &[400, 401],
            ),
            ("two lengths", b"POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxx".to_vec(), &[400]),
            ("a negative length", b"POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n".to_vec(), &[400]),
            ("an old WebSocket version", upgrade(&format!("Sec-WebSocket-Version: 8\r\n{good_key}")), &[400, 426]),
            ("no WebSocket version", upgrade(good_key), &[400, 426]),
            ("no WebSocket key", upgrade("Sec-WebSocket-Version: 13"), &[400]),
            ("a short WebSocket key", upgrade("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA=="), &[400]),
            (
                "an upgrade by POST",
                format!("POST /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{good_key}\r\nContent-Length: 0\r\n\r\n").into_bytes(),
                &[400, 404, 405],
            ),
        ] {
            let mut stream = hub.dial().stream().await.expect("reachable");
            let _ = stream.write_all(&bytes).await;
            stream.half_close();
            let received = read_to_end(&mut stream).await;
            if received.is_empty() {
                continue;
            }
            let answer = Answer::parse(&received);
            assert!(allowed.contains(&answer.status()), "{what} was answered by {} {}", answer.status(), answer.text());
            assert!(!answer.text().contains("aether_"), "{what}: a second request was smuggled in");
        }
    })
    .await;
}

/// With 400 descriptors for 600 clients some must be refused; those that are in stay in, and the hub takes clients again afterwards.
#[tokio::test]
async fn when_descriptors_run_out_the_door_closes_and_opens_again() {
    use std::os::unix::process::CommandExt;
    let hub = Hub::launch(json!({}), |command| {
        // SAFETY: setrlimit is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                let limit = libc::rlimit { rlim_cur: 400, rlim_max: 400 };
                if libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            });
        }
    });
    Canaries::beside(&hub, async {
        let mut inside = Vec::new();
        let mut refused = 0;
        for _ in 0..600 {
            match hub.dial().websocket().await {
                Ok(Ok(socket)) => inside.push(socket),
                Ok(Err(head)) => {
                    assert_eq!(head.status, 503);
                    refused += 1;
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused >= 200, "{} got in with 400 descriptors", inside.len());
        assert!(inside.len() > 100, "only {} got in", inside.len());
        drop(inside);
        hub.until_joined().await;
    })
    .await;
}

#[tokio::test]
async fn one_address_has_only_so_many_connections() {
    let hub = Hub::start(json!({ "http_server": { "connection_limit_per_ip": 10 } })).await;
    let from = |last: u8| Dial { from: std::net::Ipv4Addr::new(127, 0, 0, last), ..hub.dial() };
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(from(9).websocket().await.expect("reachable").unwrap_or_else(|head| panic!("refused with {}", head.status)));
    }
    match from(9).websocket().await {
        Ok(Ok(_)) => panic!("the eleventh of one address got in"),
        Ok(Err(head)) => assert_eq!(head.status, 503),
        Err(_) => {}
    }
    let answer = request(&from(8), "GET", "/health", &[], b"").await;
    assert_eq!(answer.status(), 200, "another address is another matter");
    drop(held);
    crate::support::eventually("room for the address again", async || match from(9).websocket().await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(head)) => Err(format!("status {}", head.status)),
        Err(error) => Err(error.to_string()),
    })
    .await;
}

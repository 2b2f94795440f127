//! A server that does everything wrong, one way at a time. Each time the feed must end in the right state, and go on where it can.

use crate::support::*;
use aether::clock::Clock;
use aether::protocol::event_stream::EventStreamLimits;
use aether::upstream::{FeedLimits, FeedSettings, Format, PoolSettings, Reason, State, Upstream};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

/// What a server does with a request.
type Script = fn() -> Vec<Act>;
/// A name, what the server does, and what the feed is to make of it.
type Way = (&'static str, Script, Reason);

fn status(line: &str, headers: &str) -> Vec<Act> {
    vec![write(format!("HTTP/1.1 {line}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n"))]
}

#[actix_rt::test]
async fn events_become_publications() {
    let server = Server::start(|_, _| stream("event: pulse\nid: 1\ndata: {\"a\":1}\n\nid: 2\ndata: hello\n\ndata: [1,\ndata: 2]\n\n")).await;
    let envelope = FeedSettings::new("other", &server.url(), "plain-{name}", Format::Envelope, [], quick()).unwrap();
    let world = World::start(vec![feed("feed", &server.url(), quick()), envelope]);
    eventually("six publications", || world.show(), || (world.broker.records().len() == 6).then_some(())).await;
    let of =
        |channel: &str| -> Vec<Recorded> { world.broker.records().iter().filter(|record| record.channel.starts_with(channel)).cloned().collect() };
    let record = |channel: &str, data: &str, event: &str, id: &str| Recorded {
        channel: channel.to_string(),
        data: data.to_string(),
        event: Some(event.to_string()),
        id: Some(id.to_string()),
    };
    let expected = [
        record("ticks:pulse", "{\"a\":1}", "pulse", "1"),
        record("ticks:message", "\"hello\"", "message", "2"),
        record("ticks:message", "[1, 2]", "message", "2"),
    ];
    assert_eq!(of("ticks:"), expected);
    let envelopes: Vec<(String, Option<String>)> = of("plain-other").into_iter().map(|record| (record.data, record.event)).collect();
    assert_eq!(envelopes[0], (r#"{"event":"pulse","id":"1","data":"{\"a\":1}"}"#.to_string(), None));
    assert_eq!(envelopes[2], (r#"{"event":"message","id":"2","data":"[1,\n2]"}"#.to_string(), None));
    let asked = &server.requests()[0];
    let headers = ["accept", "cache-control", "accept-encoding", "last-event-id"].map(|name| asked.header(name));
    assert_eq!(headers, [Some("text/event-stream"), Some("no-cache"), Some("identity"), None]);
    assert_eq!(server.requests().len(), 2, "one connection a feed");
    let report = world.feed();
    assert_eq!((report.state, report.events, report.errors, &*report.last_event_id), (State::Open, 3, 0, "2"));
    world.stop().await;
}

/// Everything that ends a connection after an event: the feed comes back and says where it was.
#[actix_rt::test]
async fn a_connection_that_ends_is_made_anew_and_resumes() {
    let ways: [Way; 5] = [
        ("FIN", || vec![write(HEAD), write("id: 7\ndata: 1\n\ndata: unfinished")], Reason::Eof),
        ("RST", || vec![write(HEAD), write("id: 7\ndata: 1\n\n"), Act::Reset], Reason::Rst),
        ("end of a chunked body", || vec![write(CHUNKED), write(chunk(b"id: 7\ndata: 1\n\n")), write("0\r\n\r\n")], Reason::Eof),
        ("FIN within a chunk", || vec![write(CHUNKED), write(chunk(b"id: 7\ndata: 1\n\n")), write("ff\r\ndata: un")], Reason::Eof),
        ("broken framing", || vec![write(CHUNKED), write(chunk(b"id: 7\ndata: 1\n\n")), write("xyz\r\n"), Act::Hang], Reason::Parse),
    ];
    for (way, acts, reason) in ways {
        let server = Server::start(move |nth, _| if nth == 0 { acts() } else { stream("id: 8\ndata: 2\n\n") }).await;
        let world = World::reading(&server.url(), quick());
        if reason == Reason::Rst {
            // A reset may overtake the bytes that were sent before it; then the event is not lost but asked for again.
            world.until("open again", |feed| feed.state == State::Open && &*feed.last_event_id == "8").await;
        } else {
            world.until_published(&["1", "2"]).await;
            assert_eq!(server.resumed_from(), [None, Some("7".to_string())], "{way}");
        }
        let report = world.feed();
        assert_eq!((report.reason, report.reconnects), (Some(reason), 1), "{way}: {}", report.detail);
        world.stop().await;
    }
}

#[actix_rt::test]
async fn answers_that_may_pass_are_retried() {
    let ways: [Way; 8] = [
        ("500", || status("500 Internal Server Error", ""), Reason::HttpStatus),
        ("502", || status("502 Bad Gateway", ""), Reason::HttpStatus),
        ("429", || status("429 Too Many Requests", ""), Reason::HttpStatus),
        ("no answer", || vec![], Reason::Eof),
        ("reset instead of an answer", || vec![Act::Reset], Reason::Rst),
        ("no HTTP", || vec![write("SSH-2.0-OpenSSH_9.2\r\n\r\n")], Reason::Parse),
        ("half an answer", || vec![write("HTTP/1.1 200 OK\r\nContent-Type: text/eve")], Reason::Eof),
        ("headers without end", || vec![write("HTTP/1.1 200 OK\r\n"), Act::Flood(b"X-Header: value\r\n".repeat(64))], Reason::Parse),
    ];
    for (way, acts, reason) in ways {
        let server = Server::start(move |nth, _| if nth < 3 { acts() } else { stream("data: 1\n\n") }).await;
        let world = World::reading(&server.url(), quick());
        world.until_published(&["1"]).await;
        let report = world.feed();
        assert_eq!((report.state, report.reason, report.reconnects), (State::Open, Some(reason), 3), "{way}: {}", report.detail);
        world.stop().await;
    }
}

#[actix_rt::test]
async fn answers_that_say_never_are_parked_for_minutes() {
    let ways: [Way; 8] = [
        ("204", || status("204 No Content", ""), Reason::HttpStatus),
        ("401", || status("401 Unauthorized", "WWW-Authenticate: Basic\r\n"), Reason::HttpStatus),
        ("403", || status("403 Forbidden", ""), Reason::HttpStatus),
        ("404", || status("404 Not Found", ""), Reason::HttpStatus),
        ("410", || status("410 Gone", ""), Reason::HttpStatus),
        ("HTML", || vec![write("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>\n\ndata: no\n\n"), Act::Hang], Reason::ContentType),
        ("compressed", || vec![write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: br\r\n\r\n")], Reason::ContentType),
        ("redirect to nowhere", || status("302 Found", ""), Reason::Redirect),
    ];
    for (way, acts, reason) in ways {
        let server = Server::start(move |_, _| acts()).await;
        let world = World::reading(&server.url(), quick());
        let report = world.until(way, |feed| feed.state == State::Parked).await;
        let next = report.next_try_in.expect("it will be tried again");
        assert!((Duration::from_secs(25)..=Duration::from_secs(60)).contains(&next), "{way}: {next:?}");
        // Credentials may have been replaced since they were read: they are tried once more.
        let requests = if matches!(way, "401" | "403") { 2 } else { 1 };
        assert_eq!((report.reason, server.requests().len(), report.events), (Some(reason), requests, 0), "{way}: {}", report.detail);
        world.stop().await;
    }
}

#[actix_rt::test]
async fn a_parked_feed_comes_back_when_its_server_thinks_better_of_it() {
    let server = Server::start(|nth, _| if nth < 2 { status("404 Not Found", "") } else { stream("data: 1\n\n") }).await;
    let limits = FeedLimits { park_initial: Duration::from_millis(50), park_max: Duration::from_millis(200), ..quick() };
    let world = World::reading(&server.url(), limits);
    world.until_published(&["1"]).await;
    world.stop().await;
}

#[actix_rt::test]
async fn retry_after_is_obeyed() {
    let server = Server::start(|_, _| status("503 Service Unavailable", "Retry-After: 7\r\n")).await;
    let world = World::reading(&server.url(), quick());
    let report = world.until("waiting", |feed| feed.state == State::Backoff).await;
    let next = report.next_try_in.unwrap();
    assert!(next > Duration::from_secs(6) && next < Duration::from_secs(8), "{next:?}");
    world.stop().await;
}

#[actix_rt::test]
async fn a_redirect_loop_ends() {
    let server = Server::start(|_, _| status("301 Moved Permanently", "Location: /events\r\n")).await;
    let world = World::reading(&server.url(), quick());
    let report = world.until("parked", |feed| feed.state == State::Parked).await;
    assert_eq!((report.reason, server.requests().len()), (Some(Reason::Redirect), 11), "{}", report.detail);
    world.stop().await;
}

#[actix_rt::test]
async fn a_permanent_move_is_remembered_until_it_fails_and_a_temporary_one_is_not() {
    let server = Server::start(|nth, request| match (nth, request.path.as_str()) {
        (_, "/events") if nth < 3 => status("308 Permanent Redirect", "Location: /moved\r\n"),
        (_, "/moved") if nth < 3 => vec![write(HEAD), write("data: moved\n\n")],
        (_, "/moved") => status("500 Internal Server Error", ""),
        (4, _) => status("302 Found", "Location: /aside\r\n"),
        (5, _) => vec![write(HEAD), write("data: aside\n\n")],
        _ => stream("data: home\n\n"),
    })
    .await;
    let world = World::reading(&server.url(), quick());
    world.until_published(&["\"moved\"", "\"moved\"", "\"aside\"", "\"home\""]).await;
    let paths: Vec<String> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/events", "/moved", "/moved", "/moved", "/events", "/aside", "/events"], "{}", world.show());
    world.stop().await;
}

#[actix_rt::test]
async fn credentials_do_not_follow_a_redirect_to_another_host() {
    let other = Server::start_on("127.0.0.2:0", |_, _| stream("data: 1\n\n")).await;
    let to = other.url();
    let server = Server::start(move |_, _| status("302 Found", &format!("Location: {to}\r\n"))).await;
    let world = World::reading(&server.url(), quick());
    world.until_published(&["1"]).await;
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer topsecret"));
    assert_eq!(other.requests()[0].header("authorization"), None);
    world.stop().await;
}

#[actix_rt::test]
async fn a_flood_without_line_ends_is_cut_and_finally_parked() {
    let server = Server::start(|_, _| vec![write(HEAD), Act::Flood(vec![b'x'; 65_536])]).await;
    let world = World::reading(&server.url(), quick());
    let report = world.until("parked", |feed| feed.state == State::Parked).await;
    assert_eq!((report.reason, server.requests().len(), report.events), (Some(Reason::Limit), 3, 0), "{}", report.detail);
    // Per connection the limit of a line, what one read may hold, and what the sockets' buffers swallow.
    assert!(server.flooded_bytes() < 3 * (12 << 20), "{} bytes taken", server.flooded_bytes());
    assert!(report.bytes < 3 * (2 << 20), "{} bytes read", report.bytes);
    world.stop().await;
}

#[actix_rt::test]
async fn an_event_that_cannot_be_read_is_left_behind_at_the_third_time() {
    let limits = FeedLimits { stream: EventStreamLimits { event_bytes_max: 100, ..EventStreamLimits::default() }, ..quick() };
    let server = Server::start(|_, request| match request.header("last-event-id") {
        Some("1") => stream(format!("id: 2\ndata: {}\n\nid: 3\ndata: 3\n\n", "x".repeat(101))),
        _ => stream("id: 1\ndata: 1\n\n".to_string() + &format!("id: 2\ndata: {}\n\n", "x".repeat(101))),
    })
    .await;
    let world = World::reading(&server.url(), limits);
    server.until_asked(4, &world).await;
    let one = Some("1".to_string());
    assert_eq!(server.resumed_from()[..4], [None, one.clone(), one, None], "{}", world.show());
    world.stop().await;
}

#[actix_rt::test]
async fn limits_of_ids_and_event_types_hold() {
    for (what, text) in [("id", format!("id: {}\n", "x".repeat(1_025))), ("event", format!("event: {}\n", "x".repeat(257)))] {
        let server = Server::start(move |_, _| stream(format!("data: 1\n\n{text}"))).await;
        let world = World::reading(&server.url(), quick());
        world.until(what, |feed| feed.reason == Some(Reason::Limit)).await;
        assert_eq!(world.broker.data()[0], "1", "what came before counts");
        world.stop().await;
    }
}

#[actix_rt::test]
async fn comments_alone_keep_a_feed_open() {
    let limits = FeedLimits { idle_timeout: Duration::from_millis(300), ..quick() };
    let server = Server::start(|_, _| vec![write(HEAD), Act::Flood(b":\n".to_vec())]).await;
    let world = World::reading(&server.url(), limits);
    world.until("two idle times open", |feed| feed.state == State::Open && feed.since > Duration::from_millis(600)).await;
    assert_eq!((world.feed().events, world.feed().reconnects), (0, 0));
    world.stop().await;
}

const CORNERS: &[u8] =
    b"\xEF\xBB\xBFid: 1\r\nevent: tick\r\ndata: \xC3\xA4\xE2\x82\xAC\r\n\r\n:c\rid: 2\rdata: a\rdata: b\r\rdata: bad \xFF\xC3\n\nid: 3\x00\ndata\n\n";
const CORNERS_READ: [&str; 4] = ["\"ä€\"", "\"a\\nb\"", "\"bad \u{fffd}\u{fffd}\"", "\"\""];

#[actix_rt::test]
async fn portions_do_not_matter() {
    let ways: [(&str, Script); 4] = [
        ("whole", || stream(CORNERS)),
        ("a segment a byte", || vec![write(HEAD), Act::Drip(CORNERS.to_vec()), Act::Hang]),
        ("a chunk a byte", || vec![write(CHUNKED), write(CORNERS.chunks(1).flat_map(chunk).collect::<Vec<u8>>()), Act::Hang]),
        ("a dripping answer", || vec![Act::Drip([HEAD.as_bytes(), CORNERS].concat()), Act::Hang]),
    ];
    for (way, acts) in ways {
        let server = Server::start(move |_, _| acts()).await;
        let world = World::reading(&server.url(), quick());
        world.until_published(&CORNERS_READ).await;
        let ids: Vec<Option<String>> = world.broker.records().iter().map(|record| record.id.clone()).collect();
        assert_eq!(ids, ["1", "2", "2", "2"].map(|id| Some(id.to_string())), "{way}: an id with NUL is ignored");
        assert_eq!(world.feed().state, State::Open, "{way}");
        world.stop().await;
    }
}

#[actix_rt::test]
async fn equal_ids_are_different_events() {
    let server = Server::start(|_, _| stream("id: 1\ndata: 1\n\nid: 1\ndata: 2\n\nid: 1\ndata: 3\n\n")).await;
    let world = World::reading(&server.url(), quick());
    world.until_published(&["1", "2", "3"]).await;
    world.stop().await;
}

#[actix_rt::test]
async fn an_id_without_data_moves_the_position_and_an_empty_one_clears_it() {
    let server = Server::start(|nth, _| match nth {
        0 => vec![write(HEAD), write("id: 7\n\n")],
        1 => vec![write(HEAD), write("id\n\n")],
        _ => stream("data: 1\n\n"),
    })
    .await;
    let world = World::reading(&server.url(), quick());
    world.until_published(&["1"]).await;
    assert_eq!(server.resumed_from(), [None, Some("7".to_string()), None]);
    world.stop().await;
}

/// Between two attempts lies at least `retry_min`, and at most `retry_max`, whatever the server says.
#[actix_rt::test]
async fn reconnection_times_are_held_within_limits() {
    for retry in ["0", "99999999999", "999999999999999999999999"] {
        let server = Server::start(move |_, _| vec![write(HEAD), write(format!("retry: {retry}\ndata: 1\n\n"))]).await;
        let limits = FeedLimits { retry_min: Duration::from_millis(40), retry_max: Duration::from_millis(150), ..quick() };
        let world = World::reading(&server.url(), limits);
        server.until_asked(8, &world).await;
        let times: Vec<_> = server.requests().iter().map(|request| request.at).collect();
        let shortest = times.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
        assert!(shortest >= Duration::from_millis(38), "retry: {retry}: {shortest:?}");
        let report = world.feed();
        assert!(report.next_try_in.is_none_or(|wait| wait <= Duration::from_millis(150)), "retry: {retry}: {report:?}");
        assert!(report.reconnects as usize <= server.requests().len(), "one request a wait");
        world.stop().await;
    }
}

#[actix_rt::test]
async fn a_server_that_accepts_and_closes_is_not_hammered() {
    let server = Server::start(|_, _| vec![write(HEAD)]).await;
    let limits = FeedLimits { retry_min: Duration::ZERO, retry_initial: Duration::from_secs(40), retry_max: Duration::from_secs(3_600), ..quick() };
    let world = World::reading(&server.url(), limits);
    let report = world.until("waiting", |feed| feed.state == State::Backoff).await;
    assert_eq!((report.reason, report.events), (Some(Reason::Eof), 0));
    assert_eq!(server.requests().len(), 1);
    world.stop().await;
}

#[actix_rt::test]
async fn a_silent_feed_is_stalled_then_made_anew_from_where_it_was() {
    let limits = FeedLimits { idle_timeout: Duration::from_millis(600), ..quick() };
    let server = Server::start(|nth, _| stream(if nth == 0 { "id: 7\ndata: 1\n\n" } else { "id: 8\ndata: 2\n\n" })).await;
    let world = World::reading(&server.url(), limits);
    world.until("stalled", |feed| feed.state == State::Stalled).await;
    let report = world.until("given up", |feed| matches!(feed.state, State::Backoff | State::Connecting) || feed.reconnects > 0).await;
    assert_eq!(report.reason, Some(Reason::Idle), "{}", report.detail);
    server.until_asked(2, &world).await;
    assert_eq!(server.resumed_from()[1].as_deref(), Some("7"));
    world.stop().await;
}

#[actix_rt::test]
async fn a_stalled_feed_that_speaks_again_is_open_again() {
    let limits = FeedLimits { idle_timeout: Duration::from_secs(2), ..quick() };
    let speak = Rc::new(Notify::new());
    let told = Rc::clone(&speak);
    let server = Server::start(move |_, _| vec![write(HEAD), Act::When(Rc::clone(&told)), write(":\n"), Act::Hang]).await;
    let world = World::reading(&server.url(), limits);
    world.until("stalled", |feed| feed.state == State::Stalled).await;
    speak.notify_one();
    let report = world.until("open", |feed| feed.state == State::Open).await;
    assert_eq!(report.reconnects, 0);
    world.stop().await;
}

#[actix_rt::test]
async fn every_way_of_not_connecting_has_its_name() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = Server::start(|_, _| vec![Act::Hang]).await;
    let greeting = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let greets = greeting.local_addr().unwrap();
    let greeter = tokio::task::spawn_local(async move {
        while let Ok((mut socket, _)) = greeting.accept().await {
            // Whether the other side is still there to read it does not matter.
            let _ = socket.write_all(b"220 mail.example ESMTP\r\n").await;
        }
    });
    let ways = [
        (format!("http://{nobody}/"), Reason::Refused),
        ("http://no-such-host.invalid/".to_string(), Reason::Dns),
        (silent.url(), Reason::Timeout),
        (format!("https://{greets}/"), Reason::Tls),
    ];
    for (url, reason) in ways {
        let limits = FeedLimits { connect_timeout: Duration::from_millis(if reason == Reason::Timeout { 200 } else { 2_000 }), ..quick() };
        let world = World::reading(&url, limits);
        let report = world.until(reason.as_str(), |feed| feed.errors >= 2).await;
        assert_eq!(report.reason, Some(reason), "{url}: {}", report.detail);
        assert!(!report.detail.contains("topsecret") && !report.detail.is_empty(), "{}", report.detail);
        world.stop().await;
    }
    greeter.abort();
}

#[actix_rt::test]
async fn a_certificate_that_nobody_trusts_is_asked_about_slowly() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let server = tokio::task::spawn_local(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // The client refuses the certificate, so there is no connection to go on with.
            let _ = acceptor.accept(socket).await;
        }
    });
    let world = World::reading(&url, quick());
    let report = world.until("parked", |feed| feed.state == State::Parked).await;
    assert_eq!((report.reason, report.reconnects), (Some(Reason::Tls), 0), "{}", report.detail);
    world.stop().await;
    server.abort();
}

#[actix_rt::test]
async fn events_that_lead_to_no_channel_are_counted_and_the_rest_goes_on() {
    let server =
        Server::start(|_, _| stream("event: other:x\ndata: 1\n\nevent: a#42\ndata: 2\n\nid: 5\nevent: $y\ndata: 3\n\nevent: ok\ndata: 4\n\n")).await;
    let world = World::reading(&server.url(), quick());
    world.until_published(&["4"]).await;
    let report = world.until("counted", |feed| feed.events == 4).await;
    assert_eq!((report.dropped, report.state, &*report.last_event_id), (3, State::Open, "5"));
    world.stop().await;
}

#[actix_rt::test]
async fn a_long_stream_arrives_whole_and_in_order() {
    const EVENTS: usize = 20_000;
    let text: String = (0..EVENTS).map(|n| format!("id: {n}\ndata: {n}\n\n")).collect();
    let server = Server::start(move |_, _| stream(&text)).await;
    let world = World::reading(&server.url(), quick());
    eventually("all of it", || world.show(), || (world.broker.records().len() >= EVENTS).then_some(())).await;
    let expected: Vec<String> = (0..EVENTS).map(|n| n.to_string()).collect();
    assert!(world.broker.data() == expected);
    world.stop().await;
}

#[actix_rt::test]
async fn stop_lets_go_in_every_state() {
    let open = Server::start(|_, _| stream("data: 1\n\n")).await;
    let silent = Server::start(|_, _| vec![Act::Hang]).await;
    let failing = Server::start(|_, _| status("500 Internal Server Error", "")).await;
    let parked = Server::start(|_, _| status("404 Not Found", "")).await;
    let patient = FeedLimits { retry_initial: Duration::from_secs(3_600), retry_max: Duration::from_secs(3_600), ..quick() };
    let feeds = [("open", &open), ("connecting", &silent), ("backoff", &failing), ("parked", &parked)];
    let world = World::start(
        feeds.iter().map(|(name, server)| feed(name, &server.url(), FeedLimits { connect_timeout: DEADLINE, ..patient.clone() })).collect(),
    );
    let settled = || world.report().feeds.iter().all(|feed| *feed.name == *feed.state.as_str()).then_some(());
    eventually("every state", || world.show(), settled).await;
    let asked = || feeds.map(|(_, server)| server.requests().len());
    let before = asked();
    let upstream = world.upstream.clone();
    let clock = world.clock.clone();
    let begun = std::time::Instant::now();
    world.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    for feed in upstream.report(clock.now()).feeds {
        assert_eq!((feed.state, feed.reason, feed.next_try_in), (State::Closed, Some(Reason::Released), None), "{}", feed.name);
    }
    let held = || open.open_connections() + silent.open_connections();
    eventually("sockets closed", || format!("{} connections", held()), || (held() == 0).then_some(())).await;
    assert_eq!(asked(), before, "nobody asks any more");
}

#[test]
fn a_pool_that_cannot_be_is_refused() {
    let make = |feeds_max, names: &[&str]| {
        let feeds = names.iter().map(|name| feed(name, "http://127.0.0.1:1/", quick())).collect();
        Upstream::new(PoolSettings { feeds_max, feeds, ..PoolSettings::default() }, &Clock::system()).err().map(|error| error.to_string())
    };
    assert_eq!(make(2, &["a", "b"]), None);
    assert_eq!(make(1, &["a", "b"]).as_deref(), Some("2 feeds are configured, at most 1 may be"));
    assert_eq!(make(2, &["a", "a"]).as_deref(), Some("two feeds are called a"));
}

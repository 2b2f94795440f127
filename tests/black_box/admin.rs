//! What operators do over the WebSocket: commands as calls, live channels, and what all others are refused.

use crate::support::operators::{ask, done, records};
use crate::support::token::token;
use crate::support::{Answer, Client, Codec, Dial, Event, Hub, eventually, read_to_end, within};
use serde_json::{Value, json};

const ROLES: [&str; 4] = ["viewer", "publisher", "operator", "admin"];

/// A hub whose tokens may name a role.
async fn hub(changes: Value) -> Hub {
    Hub::start(crate::support::merged(json!({ "client": { "token": { "role_claim": "role" } } }), changes)).await
}

async fn connect(hub: &Hub, codec: Codec, user: &str, role: &str) -> Client {
    let mut client = hub.open(codec).await;
    let claims = if role.is_empty() { json!({ "sub": user }) } else { json!({ "sub": user, "role": role }) };
    client.connect(json!({ "token": token(&claims) })).await;
    client
}

async fn operator(hub: &Hub, role: &str) -> Client {
    connect(hub, Codec::Json, &format!("the-{role}"), role).await
}

async fn code(client: &mut Client, command: &str, arguments: Value) -> u64 {
    match ask(client, command, arguments.clone()).await {
        Ok(result) => panic!("{command} {arguments} gave {result}"),
        Err((code, _)) => code,
    }
}

#[tokio::test]
async fn a_session_tells_what_waits_for_it_and_how_far_it_is_away() {
    let hub = hub(json!({ "client": { "ping_interval": "1s", "pong_timeout": "900ms" } })).await;
    let mut viewer = operator(&hub, "viewer").await;
    let session = json!({ "session": viewer.id() });
    // It is connected and answers pings while it asks.
    let shown = eventually("the first pong", async || {
        let shown = done(&mut viewer, "admin.sessions.show", session.clone()).await["session"].take();
        if shown["round_trip_ms"].is_number() { Ok(shown) } else { Err(shown.to_string()) }
    })
    .await;
    assert_eq!((&shown["waiting_bytes"], shown["last_ping"].is_i64()), (&json!(0), true), "{shown}");
    assert!(shown["round_trip_ms"].as_f64().is_some_and(|ms| ms > 0.0 && ms < 900.0), "{shown}");
    viewer.leave().await;
}

#[tokio::test]
async fn every_command_is_open_to_its_roles_and_refused_to_all_others() {
    let hub = hub(json!({})).await;
    let mut admin = operator(&hub, "admin").await;
    let commands = done(&mut admin, "admin.help", json!({})).await["commands"].as_array().cloned().expect("a list");
    assert!(commands.len() >= 30, "{}", commands.len());
    for name in ["admin.sessions.kick", "admin.broadcast", "admin.maintenance.enter", "admin.audit.verify"] {
        assert!(commands.iter().any(|command| command["name"] == name), "{name}");
    }
    assert!(!commands.iter().any(|command| command["name"].as_str().is_some_and(|name| name.contains("backup"))));
    for role in ["", "viewer", "publisher", "operator"] {
        let mut client = operator(&hub, role).await;
        let own: Vec<String> = match ask(&mut client, "admin.help", json!({})).await {
            Ok(help) => help["commands"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str().map(str::to_owned)).collect(),
            Err((code, _)) => {
                assert_eq!((role, code), ("", 103), "only who has no role is not even told what there is");
                Vec::new()
            }
        };
        for command in &commands {
            let name = command["name"].as_str().expect("a name");
            // Whoever may call it is told that the argument is unknown, before anything is done.
            let expected = if own.iter().any(|one| one == name) { 107 } else { 103 };
            let answer = ask(&mut client, name, json!({ "surely_not_there": 1, "confirm": true })).await;
            assert_eq!(answer.as_ref().err().map(|(code, _)| *code), Some(expected), "{name} as {role:?}: {answer:?}");
        }
        client.leave().await;
    }
    let refused = records(&mut admin, json!({ "actor": "the-", "outcome": "refused" })).await;
    assert_eq!(refused.len(), 10, "the first are recorded one by one");
    assert!(done(&mut admin, "admin.audit.verify", json!({})).await["is_whole"].as_bool().expect("a verdict"));
    admin.leave().await;
}

#[tokio::test]
async fn bad_arguments_are_named() {
    let hub = hub(json!({})).await;
    let mut admin = operator(&hub, "admin").await;
    for (command, arguments, expected, says) in [
        ("admin.nothing", json!({}), 104, "admin.nothing"),
        ("admin.", json!({}), 104, "no command"),
        ("nothing", json!({}), 108, "not available"),
        ("admin.sessions.show", json!({}), 107, "\"session\" is missing"),
        ("admin.sessions.show", json!({ "session": 1 }), 107, "\"session\" must be the id of a session"),
        ("admin.sessions.show", json!({ "session": "x" }), 107, "\"session\" must be"),
        ("admin.sessions.show", json!([]), 107, "one JSON object"),
        ("admin.sessions.show", json!("x"), 107, "one JSON object"),
        ("admin.sessions.list", json!({ "limit": 100_000 }), 107, "\"limit\" must be"),
        ("admin.sessions.list", json!({ "Limit": 1 }), 107, "no argument \"Limit\""),
        ("admin.sessions.kick", json!({}), 107, "say whom"),
        ("admin.sessions.kick", json!({ "user": "alice", "code": 1000 }), 107, "\"code\" must be"),
        ("admin.drain", json!({}), 107, "\"confirm\": true"),
        ("admin.drain", json!({ "confirm": "true" }), 107, "\"confirm\": true"),
        ("admin.history.purge", json!({ "channel": "news:1" }), 107, "\"confirm\": true"),
        ("admin.history.purge", json!({ "channel": "nowhere:1", "confirm": true }), 104, "no configured namespace"),
        ("admin.channels.publish", json!({ "channel": "$admin:audit", "data": 1 }), 107, "only the hub itself"),
        ("admin.channels.publish", json!({ "channel": "news:1", "data": null }), 107, "\"data\""),
        ("admin.upstream.pause", json!({ "feed": "nothing" }), 104, "no feed nothing"),
        ("admin.certificates.reload", json!({}), 108, "no certificate"),
    ] {
        let (code, message) = ask(&mut admin, command, arguments.clone()).await.expect_err(command);
        assert_eq!(code, expected, "{command} {arguments}: {message}");
        assert!(message.contains(says), "{command} {arguments}: {message}");
    }
    admin.leave().await;
}

#[tokio::test]
async fn a_call_stands_in_the_audit_log_before_its_effect_and_what_came_of_it_behind() {
    let hub = hub(json!({})).await;
    let mut admin = operator(&hub, "admin").await;
    admin.subscribe("$admin:audit").await;
    let mut alice = hub.connect(Codec::Json).await;
    assert_eq!(done(&mut admin, "admin.sessions.kick", json!({ "user": "alice", "code": 4000, "reason": "go" })).await["kicked"], 1);
    assert_eq!(alice.close_code().await, 4000);
    let watching = admin.publication("$admin:audit").await["data"].clone();
    assert_eq!((&watching["action"], &watching["object"]), (&json!("admin.watch"), &json!("$admin:audit")), "who watches is recorded too");
    let begun = admin.publication("$admin:audit").await["data"].clone();
    assert_eq!((begun["action"].as_str(), begun["outcome"].as_str()), (Some("admin.sessions.kick"), Some("begun")));
    assert_eq!((begun["actor"].as_str(), begun["object"].as_str()), (Some("the-admin"), Some("alice")));
    assert!(begun["origin"].as_str().is_some_and(|origin| origin.starts_with("127.0.0.1 websocket ")), "{begun}");
    let done_record = admin.publication("$admin:audit").await["data"].clone();
    assert_eq!((done_record["outcome"].as_str(), &done_record["details"]["of"]), (Some("done"), &begun["sequence"]));
    assert_eq!(done_record["details"]["result"], json!({ "kicked": 1 }));
    admin.leave().await;
    alice.cut();
}

#[tokio::test]
async fn payloads_and_what_is_unknown_are_not_recorded() {
    let hub = hub(json!({})).await;
    let mut admin = operator(&hub, "admin").await;
    done(&mut admin, "admin.channels.publish", json!({ "channel": "news:1", "data": { "card": "4111-1111" } })).await;
    code(&mut admin, "admin.channels.publish", json!({ "channel": "news:1", "data": 1, "pasword": "hunter2" })).await;
    let all = json!(records(&mut admin, json!({})).await).to_string();
    assert!(!all.contains("4111-1111") && !all.contains("hunter2"), "{all}");
    assert!(all.contains("\"bytes\":"), "their size is: {all}");
    assert!(!hub.log().contains("4111-1111") && !hub.log().contains("hunter2"));
    admin.leave().await;
}

#[tokio::test]
async fn the_hubs_own_channels_are_for_roles_and_nobody_else() {
    let open =
        json!({ "name": "admin", "allow_subscribe_for_client": true, "allow_publish_for_client": true, "history_size": 5, "history_ttl": "60s" });
    let hub = hub(json!({ "client": { "insecure": false }, "channel": { "namespaces": [open] } })).await;
    for (role, channel, may) in [
        ("", "$admin:events", false),
        ("viewer", "$admin:events", true),
        ("viewer", "$admin:audit", false),
        ("operator", "$admin:audit", false),
        ("admin", "$admin:audit", true),
        ("admin", "$admin:trace:1", false),
        ("admin", "$admin:anything", false),
    ] {
        let mut client = operator(&hub, role).await;
        let with_token = token(&json!({ "sub": format!("the-{role}"), "channel": channel }));
        for request in [json!({ "channel": channel }), json!({ "channel": channel, "token": with_token })] {
            let reply = client.call("subscribe", request).await;
            assert_eq!(reply.get("subscribe").is_some(), may, "{channel} as {role:?}: {reply}");
            if may {
                client.unsubscribe(channel).await;
            } else {
                assert_eq!(reply["error"]["code"], 103, "{channel} as {role:?}: {reply}");
            }
        }
        for (command, request) in [
            ("publish", json!({ "channel": channel, "data": {} })),
            ("history", json!({ "channel": channel })),
            ("presence", json!({ "channel": channel })),
        ] {
            assert_eq!(client.error_of(command, request).await, 103, "{command} {channel} as {role:?}");
        }
        client.leave().await;
    }
    // Not by a token's channels, and not by the server API.
    let mut client = hub.open(Codec::Json).await;
    let claims = json!({ "sub": "eve", "channels": ["$admin:audit"] });
    assert_eq!(client.error_of("connect", json!({ "token": token(&claims) })).await, 103);
    client.cut();
    assert_eq!(hub.api_error("publish", json!({ "channel": "$admin:audit", "data": {} })).await, 103);
    let eve = hub.connect_as(Codec::Json, "eve").await;
    assert_eq!(hub.api_error("subscribe", json!({ "user": "eve", "channel": "$admin:audit" })).await, 103);
    eve.leave().await;
}

#[tokio::test]
async fn events_of_the_house_are_told_and_a_burst_is_sampled() {
    let hub = hub(json!({})).await;
    let mut viewer = operator(&hub, "viewer").await;
    viewer.subscribe("$admin:events").await;
    // From the second on that the hub has seen that somebody watches.
    let connected = eventually("an event to come", async || {
        let alice = hub.connect(Codec::Json).await;
        let id = alice.id().to_owned();
        alice.leave().await;
        viewer.unsubscribe("a-channel-that-nobody-is-in").await;
        if viewer.has_read() { Ok(id) } else { Err("nothing".to_owned()) }
    })
    .await;
    assert!(!connected.is_empty());
    let event = viewer.publication("$admin:events").await["data"].clone();
    assert!(["session_connected", "session_closed"].contains(&event["kind"].as_str().unwrap_or_default()), "{event}");
    assert_eq!(event["data"]["user"], "alice", "{event}");
    for _ in 0..60 {
        hub.connect(Codec::Json).await.leave().await;
    }
    let left_out = within("hear of what was left out", async {
        loop {
            let event = viewer.publication("$admin:events").await["data"].clone();
            if event["kind"] == "left_out" {
                return event;
            }
        }
    })
    .await;
    assert!(left_out["data"]["session_connected"].as_u64().is_some_and(|count| count > 0), "{left_out}");
    viewer.leave().await;
}

#[tokio::test]
async fn sessions_are_listed_by_pages_found_and_shown() {
    let hub = hub(json!({})).await;
    let mut viewer = operator(&hub, "operator").await;
    let mut clients = crate::support::many(7, async |number| {
        let mut client = hub.connect_as(if number % 2 == 0 { Codec::Json } else { Codec::Protobuf }, &format!("user-{number}")).await;
        client.subscribe("news:1").await;
        client
    })
    .await;
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = done(&mut viewer, "admin.sessions.list", json!({ "limit": 3, "after": after })).await;
        assert_eq!(page["count"], 8);
        seen.extend(page["sessions"].as_array().into_iter().flatten().map(|one| one["session"].as_str().expect("an id").to_owned()));
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(seen.len(), 8);
    assert!(seen.is_sorted(), "{seen:?}");
    let found = done(&mut viewer, "admin.sessions.find", json!({ "text": "USER-3" })).await;
    assert_eq!(found["sessions"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!((&found["sessions"][0]["user"], &found["sessions"][0]["codec"]), (&json!("user-3"), &json!("protobuf")));
    let parts = [(0, json!(["user-0", "user-1", "user-2"])), (5, json!(["user-5", "user-6"])), (9, json!([]))];
    for (skip, expected) in parts {
        let asked = json!({ "text": "user-", "transport": "websocket", "sort": "user", "skip": skip, "limit": 3 });
        let page = done(&mut viewer, "admin.sessions.browse", asked).await;
        let users: Vec<_> = page["sessions"].as_array().into_iter().flatten().map(|one| one["user"].clone()).collect();
        assert_eq!(json!(users), expected, "{page}");
        assert_eq!((&page["count"], &page["in_all"], &page["transports"]["websocket"]), (&json!(7), &json!(8), &json!(7)), "{page}");
    }
    let newest = done(&mut viewer, "admin.sessions.browse", json!({ "sort": "subscriptions", "descending": true, "limit": 1 })).await;
    assert_eq!(newest["sessions"][0]["subscriptions"], 1, "{newest}");
    assert_eq!(code(&mut viewer, "admin.sessions.browse", json!({ "sort": "password" })).await, 107);
    let session = clients[0].id().to_owned();
    let shown = done(&mut viewer, "admin.sessions.show", json!({ "session": session })).await;
    assert_eq!((&shown["session"]["user"], &shown["session"]["subscriptions"]), (&json!("user-0"), &json!(1)));
    let inside = done(&mut viewer, "admin.debug.session", json!({ "session": session })).await;
    assert_eq!(inside["subscriptions"][0]["channel"], "news:1");
    let topic = done(&mut viewer, "admin.debug.topic", json!({ "channel": "news:1" })).await;
    assert_eq!((&topic["subscribers"], &topic["is_alive"]), (&json!(7), &json!(true)));
    for client in clients.drain(..) {
        client.leave().await;
    }
    eventually("the sessions to be gone", async || {
        let listed = done(&mut viewer, "admin.sessions.list", json!({})).await;
        if listed["count"] == 1 { Ok(()) } else { Err(listed.to_string()) }
    })
    .await;
    viewer.leave().await;
}

#[tokio::test]
async fn who_looks_again_and_again_is_recorded_once_and_who_acts_every_time() {
    let hub = hub(json!({})).await;
    let mut admin = operator(&hub, "admin").await;
    for skip in 0..5 {
        done(&mut admin, "admin.sessions.browse", json!({ "sort": "user", "skip": skip })).await;
        done(&mut admin, "admin.log.level", json!({ "module": "aether::session", "level": "debug" })).await;
    }
    done(&mut admin, "admin.sessions.browse", json!({ "text": "alice" })).await;
    let mut other = operator(&hub, "operator").await;
    done(&mut other, "admin.sessions.browse", json!({})).await;
    let looks = records(&mut admin, json!({ "action": "admin.sessions.browse" })).await;
    assert_eq!(looks.len(), 3, "once for the list, once for the search, once by somebody else: {looks:?}");
    let acts = records(&mut admin, json!({ "action": "admin.log.level", "outcome": "done" })).await;
    assert_eq!(acts.len(), 5, "{acts:?}");
    admin.leave().await;
    other.leave().await;
}

#[tokio::test]
async fn channels_are_listed_with_what_goes_on_in_them() {
    let hub = hub(json!({})).await;
    let mut operator = operator(&hub, "operator").await;
    let mut alice = hub.connect(Codec::Json).await;
    for channel in ["news:1", "news:2", "room:1", "plain"] {
        alice.subscribe(channel).await;
    }
    for number in 0..3 {
        assert_eq!(done(&mut operator, "admin.channels.publish", json!({ "channel": "news:1", "data": number })).await["offset"], number + 1);
    }
    let listed = done(&mut operator, "admin.channels.list", json!({ "pattern": "news:*" })).await;
    let names: Vec<_> = listed["channels"].as_array().into_iter().flatten().map(|one| one["channel"].as_str().unwrap_or_default()).collect();
    assert_eq!((names, &listed["count"]), (vec!["news:1", "news:2"], &json!(2)));
    assert_eq!((&listed["channels"][0]["history"]["publications"], &listed["channels"][0]["subscribers"]), (&json!(3), &json!(1)));
    let first = done(&mut operator, "admin.channels.list", json!({ "limit": 1 })).await;
    let second = done(&mut operator, "admin.channels.list", json!({ "limit": 1, "after": first["next"] })).await;
    assert_eq!((&first["channels"][0]["channel"], &second["channels"][0]["channel"]), (&json!("news:1"), &json!("news:2")));
    assert_eq!((&first["subscribers"], &second["subscribers"]), (&json!(4), &json!(null)), "only the first page looks at all channels");
    let busiest = json!({ "sort": "rate", "descending": true, "pattern": "news:*", "limit": 1 });
    let busiest = done(&mut operator, "admin.channels.browse", busiest).await;
    assert_eq!(
        (&busiest["channels"][0]["channel"], &busiest["count"], &busiest["channels"][1]),
        (&json!("news:1"), &json!(2), &Value::Null),
        "{busiest}"
    );
    let part = done(&mut operator, "admin.channels.browse", json!({ "skip": 2, "limit": 5 })).await;
    let names: Vec<_> = part["channels"].as_array().into_iter().flatten().map(|one| one["channel"].as_str().unwrap_or_default()).collect();
    assert_eq!((names, &part["subscribers"]), (vec!["plain", "room:1"], &json!(4)), "{part}");
    let shown = done(&mut operator, "admin.channels.show", json!({ "channel": "room:1" })).await;
    assert_eq!(shown["present"]["first"][0]["user"], "alice", "{shown}");
    let rates = shown["curve"]["publications_per_second"].as_array().map(Vec::len);
    assert_eq!((&shown["curve"]["step_ms"], rates), (&json!(4_000), Some(15)), "a minute of the rate: {shown}");
    done(&mut operator, "admin.history.purge", json!({ "channel": "news:1", "confirm": true })).await;
    let shown = done(&mut operator, "admin.channels.show", json!({ "channel": "news:1" })).await;
    assert_eq!((&shown["history"]["publications"], &shown["history"]["offset"]), (&json!(0), &json!(3)), "the position stays");
    alice.leave().await;
    operator.leave().await;
}

#[tokio::test]
async fn a_notice_reaches_those_it_is_for() {
    let hub = hub(json!({})).await;
    let mut operator = operator(&hub, "operator").await;
    let mut alice = connect(&hub, Codec::Json, "alice", "").await;
    let mut bob = connect(&hub, Codec::Protobuf, "bob", "viewer").await;
    alice.subscribe("news:1").await;
    for (arguments, for_alice, for_bob, for_operator) in [
        (json!({ "text": "all" }), true, true, true),
        (json!({ "text": "one", "user": "alice" }), true, false, false),
        (json!({ "text": "role", "role": "viewer", "level": "critical" }), false, true, false),
        (json!({ "text": "news", "channels": "news:*" }), true, false, false),
        (json!({ "text": "session", "session": bob.id() }), false, true, false),
        (json!({ "text": "nobody", "user": "carol" }), false, false, false),
    ] {
        let told = done(&mut operator, "admin.broadcast", arguments.clone()).await["told"].clone();
        assert_eq!(told, json!(u8::from(for_alice) + u8::from(for_bob) + u8::from(for_operator)), "{arguments}");
        for (client, is_meant) in [(&mut alice, for_alice), (&mut bob, for_bob), (&mut operator, for_operator)] {
            if is_meant {
                let push = client.push().await;
                let notice = &push["message"]["data"];
                assert_eq!((&notice["aether"], &notice["text"]), (&json!("notice"), &arguments["text"]), "{push}");
                assert_eq!(notice["level"], arguments.get("level").cloned().unwrap_or(json!("info")));
            }
            client.has_nothing_waiting().await;
        }
    }
    alice.leave().await;
    bob.leave().await;
    operator.leave().await;
}

#[tokio::test]
async fn maintenance_refuses_new_clients_and_keeps_the_present_ones() {
    let hub = hub(json!({})).await;
    let mut operator = operator(&hub, "operator").await;
    let mut alice = hub.connect(Codec::Json).await;
    let mut fresh = hub.open(Codec::Json).await;
    done(&mut operator, "admin.maintenance.enter", json!({ "message": "back at noon", "retry_after": "90s" })).await;
    let mut stream = hub.dial().stream().await.expect("the hub listens");
    let handshake = "GET /connection/websocket HTTP/1.1\r\nhost: hub\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(handshake.as_bytes()).await.expect("the hub reads");
    let refused = Answer::parse(&read_to_end(&mut stream).await);
    assert_eq!((refused.status(), refused.head.header("retry-after"), refused.text().trim()), (503, Some("90"), "back at noon"));
    let ready = hub.get("/ready").await;
    assert_eq!((ready.status(), ready.text().contains("back at noon")), (503, true), "{}", ready.text());
    assert_eq!(hub.get("/health").await.status(), 200);
    // Who had a connection and had not said who it is yet.
    fresh.send("connect", json!({ "token": token(&json!({ "sub": "bob" })) })).await;
    let ending = fresh.ending().await;
    assert!(format!("{ending:?}").contains("back at noon"), "{ending:?}");
    alice.publish("news:1", 1).await;
    assert_eq!(done(&mut operator, "admin.status", json!({})).await["maintenance"]["message"], "back at noon");
    let said = json!({ "code": "ready.maintenance", "values": { "message": "back at noon" } });
    eventually("the verdict", async || {
        let verdict = done(&mut operator, "admin.metrics.now", json!({})).await["verdict"].take();
        if (&verdict["state"], &verdict["said"]) == (&json!("not_ready"), &said) { Ok(()) } else { Err(verdict.to_string()) }
    })
    .await;
    // Whoever may end it gets in, though not by saying so.
    let for_admin = Dial { path: "/connection/websocket?for=admin".to_owned(), ..hub.dial() };
    let mut second = Client::open(&for_admin, Codec::Json).await;
    second.connect(json!({ "token": token(&json!({ "sub": "second", "role": "operator" })) })).await;
    let mut eve = Client::open(&for_admin, Codec::Json).await;
    eve.send("connect", json!({ "token": token(&json!({ "sub": "eve", "role": "viewer" })) })).await;
    assert_eq!(eve.close_code().await, 3001);
    assert_eq!(done(&mut second, "admin.maintenance.leave", json!({})).await["was_on"], true);
    assert_eq!(hub.get("/ready").await.status(), 200);
    hub.connect(Codec::Json).await.leave().await;
    for client in [operator, alice, second] {
        client.leave().await;
    }
    fresh.cut();
    eve.cut();
}

#[tokio::test]
async fn a_trace_shows_its_target_to_its_owner_and_ends_by_itself() {
    let hub = hub(json!({})).await;
    let mut operator = operator(&hub, "operator").await;
    let mut other = connect(&hub, Codec::Json, "other", "admin").await;
    let mut alice = hub.connect(Codec::Json).await;
    let trace = done(&mut operator, "admin.trace.start", json!({ "user": "alice", "lasting": "4s" })).await;
    let channel = trace["channel"].as_str().expect("a channel").to_owned();
    operator.subscribe(&channel).await;
    assert_eq!(other.error_of("subscribe", json!({ "channel": channel })).await, 103);
    alice.publish("news:1", "hunter2").await;
    let entry = operator.publication(&channel).await["data"].clone();
    assert_eq!((&entry["what"], &entry["channel"], &entry["bytes"]), (&json!("publish"), &json!("news:1"), &json!(9)), "{entry}");
    assert!(!entry.to_string().contains("hunter2"), "{entry}");
    assert_eq!(alice.error_of("publish", json!({ "channel": "locked:1", "data": 1 })).await, 103);
    assert_eq!(operator.publication(&channel).await["data"]["what"], "publish");
    assert_eq!(operator.publication(&channel).await["data"]["code"], 103);
    let end = operator.publication(&channel).await["data"].clone();
    assert_eq!((&end["what"], &end["why"]), (&json!("ended"), &json!("its time is over")), "{end}");
    // Payloads only where the configuration allows it; and of a channel.
    assert_eq!(code(&mut operator, "admin.trace.start", json!({ "user": "alice", "payloads": true })).await, 108);
    let trace = done(&mut operator, "admin.trace.start", json!({ "channel": "news:1" })).await;
    let channel = trace["channel"].as_str().expect("a channel").to_owned();
    operator.subscribe(&channel).await;
    hub.publish("news:1", 5).await;
    assert_eq!(operator.publication(&channel).await["data"]["what"], "publication");
    // A trace whose owner left is gone.
    operator.leave().await;
    eventually("the trace to end", async || {
        let traces = done(&mut other, "admin.trace.list", json!({})).await;
        if traces["traces"] == json!([]) { Ok(()) } else { Err(traces.to_string()) }
    })
    .await;
    alice.leave().await;
    other.leave().await;
}

#[tokio::test]
async fn log_levels_change_while_the_hub_runs_and_go_back_by_themselves() {
    let hub = hub(json!({})).await;
    let mut operator = operator(&hub, "operator").await;
    let set = done(&mut operator, "admin.log.level", json!({ "module": "aether::telemetry", "level": "debug", "lasting": "2s" })).await;
    assert_eq!(set["levels"][0]["level"], "debug", "{set}");
    hub.connect(Codec::Json).await.leave().await;
    eventually("a debug line", async || if hub.log().contains("DEBUG aether::telemetry") { Ok(()) } else { Err(hub.log()) }).await;
    eventually("the level to go back", async || {
        let status = done(&mut operator, "admin.status", json!({})).await;
        if status["log_levels"] == json!([]) { Ok(()) } else { Err(status["log_levels"].to_string()) }
    })
    .await;
    assert_eq!(code(&mut operator, "admin.log.level", json!({ "level": "loud" })).await, 107);
    operator.leave().await;
}

#[tokio::test]
async fn the_house_reports_on_itself() {
    let hub = hub(json!({})).await;
    let mut admin = operator(&hub, "admin").await;
    let status = done(&mut admin, "admin.status", json!({})).await;
    assert_eq!(
        (&status["store"]["kind"], &status["maintenance"], &status["counts"]["sessions"]),
        (&json!("sqlite"), &Value::Null, &json!(1)),
        "{status}"
    );
    let actors = done(&mut admin, "admin.debug.actors", json!({})).await;
    assert!(actors["workers"].as_array().is_some_and(|workers| workers.iter().all(|worker| worker["lag_ms"].is_u64())), "{actors}");
    assert!(done(&mut admin, "admin.debug.memory", json!({})).await["allocated_bytes"].as_u64().is_some_and(|bytes| bytes > 0));
    done(&mut admin, "admin.store.compact", json!({ "confirm": true })).await;
    assert_eq!(done(&mut admin, "admin.upstream.list", json!({})).await["feeds"], json!([]));
    admin.leave().await;
}

#[tokio::test]
async fn the_configuration_is_read_anew_and_says_what_needs_a_restart() {
    let hub = hub(json!({ "log": { "level": "info" } })).await;
    let mut admin = operator(&hub, "admin").await;
    assert_eq!(done(&mut admin, "admin.config.reload", json!({})).await["changed"], 0);
    let file = hub.directory.path().join("aether.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration can be read");
    std::fs::write(&file, text.replace("\"info\"", "\"warn\"").replace("the-api-key-of-the-tests", "another-key")).expect("it can be written");
    let reloaded = done(&mut admin, "admin.config.reload", json!({})).await;
    assert_eq!((&reloaded["applied"], &reloaded["needs_restart"]), (&json!(["log.level"]), &json!(["http_api (a secret)"])));
    std::fs::write(&file, "this is no configuration").expect("it can be written");
    assert_eq!(code(&mut admin, "admin.config.reload", json!({})).await, 107);
    admin.leave().await;
}

#[tokio::test]
async fn a_drain_by_command_ends_the_hub_as_a_signal_does() {
    let mut hub = hub(json!({})).await;
    let mut operator = operator(&hub, "operator").await;
    let mut alice = hub.connect(Codec::Json).await;
    assert_eq!(done(&mut operator, "admin.drain", json!({ "within": "1s", "confirm": true })).await["sessions"], 2);
    assert_eq!((alice.close_code().await, operator.close_code().await), (3001, 3001));
    assert!(within("end", hub.exit()).await.success());
    alice.cut();
    operator.cut();
}

#[tokio::test]
async fn a_feed_that_is_paused_is_left_alone_until_it_is_resumed() {
    let feed = crate::support::Feed::start();
    let hub = hub(json!({ "upstream": { "feeds": [{ "name": "ticks", "url": feed.url(), "channel": "news:1" }] } })).await;
    let mut operator = operator(&hub, "operator").await;
    feed.request(1).await;
    assert_eq!(done(&mut operator, "admin.upstream.pause", json!({ "feed": "ticks" })).await["paused"], 1);
    eventually("the feed to be closed", async || {
        let listed = done(&mut operator, "admin.upstream.list", json!({})).await["feeds"][0].clone();
        if listed["state"] == "closed" && listed["is_paused"] == true { Ok(()) } else { Err(listed.to_string()) }
    })
    .await;
    assert_eq!(done(&mut operator, "admin.upstream.resume", json!({})).await["paused"], 0);
    feed.request(2).await;
    operator.leave().await;
}

#[tokio::test]
async fn a_feed_is_added_rotated_and_removed_by_command() {
    let feed = crate::support::Feed::start();
    let hub = hub(json!({})).await;
    let mut admin = operator(&hub, "admin").await;
    let mut reader = hub.connect(Codec::Json).await;
    reader.subscribe("news:1").await;
    let definition = json!({ "url": feed.url(), "channel": "news:1", "retry_initial": "100ms" });
    done(&mut admin, "admin.upstream.add", json!({ "feed": "late", "definition": definition })).await;
    feed.request(1).await;
    feed.say("id: 1\ndata: 1\n\n");
    assert_eq!(reader.data("news:1", 1).await, [1]);
    let listed = done(&mut admin, "admin.upstream.list", json!({})).await["feeds"][0].clone();
    assert_eq!((&listed["feed"], &listed["origin"], &listed["state"]), (&json!("late"), &json!("added"), &json!("open")), "{listed}");
    let shown = done(&mut admin, "admin.upstream.show", json!({ "feed": "late" })).await;
    let moves = shown["moves"].as_array().into_iter().flatten().map(|one| format!("{} {}", one["from"], one["to"])).collect::<Vec<_>>();
    assert_eq!(moves, [r#""connecting" "open""#, r#""idle" "connecting""#], "the newest first: {shown}");
    assert_eq!((&shown["channels"], &shown["is_tls"]), (&json!(["news:1"]), &json!(false)), "{shown}");
    assert!(!shown.to_string().contains("http://"), "a URL may hold a key: {shown}");
    let moves = done(&mut admin, "admin.upstream.moves", json!({})).await["feeds"]["late"].clone();
    assert_eq!((&moves[0][1], &moves[1][1], &moves[2]), (&json!("connecting"), &json!("open"), &Value::Null), "the oldest first: {moves}");
    assert_eq!(code(&mut admin, "admin.upstream.show", json!({ "feed": "none" })).await, 104);
    done(&mut admin, "admin.upstream.rotate", json!({ "feed": "late" })).await;
    assert!(feed.request(2).await.contains("last-event-id: 1"), "make before break, from where it stands");
    assert_eq!(done(&mut admin, "admin.upstream.reconnect", json!({ "feed": "late" })).await["feeds"], 1);
    let declared = done(&mut admin, "admin.upstream.emergency", json!({ "kind": "exhaustion", "dry_run": true })).await;
    assert_eq!(declared["incident"]["measures"][1], "at most 45 connections", "{declared}");
    assert_eq!(code(&mut admin, "admin.upstream.report", json!({ "period": "day", "back": 3 })).await, 104);
    let page = done(&mut admin, "admin.upstream.report", json!({ "period": "week", "html": true })).await["html"].clone();
    assert!(page.as_str().is_some_and(|page| page.starts_with("<!doctype html>") && page.contains("What stands out")), "{page}");
    let told = done(&mut admin, "admin.upstream.emergencies", json!({})).await["emergencies"].clone();
    assert_eq!((&told[0]["incident"]["phase"], &told[0]["is_dry_run"], &told[1]), (&json!("by_hand"), &json!(true), &Value::Null));
    for (definition, says) in [
        (json!({ "url": "ftp://h/", "channel": "nowhere:1" }), "url: must begin with http"),
        (json!({ "url": feed.url(), "channel": "news:1", "header_files": { "X": "/etc/hostname" } }), "credentials_dir"),
    ] {
        let (code, message) = ask(&mut admin, "admin.upstream.add", json!({ "feed": "bad", "definition": definition })).await.expect_err("a mistake");
        assert!(code == 107 && message.contains(says), "{code} {message}");
    }
    assert_eq!(code(&mut admin, "admin.upstream.add", json!({ "feed": "x", "definition": { "headers": { "A": "b" } } })).await, 107);
    assert_eq!(code(&mut admin, "admin.upstream.add", json!({ "feed": "late", "definition": definition })).await, 107);
    done(&mut admin, "admin.upstream.remove", json!({ "feed": "late" })).await;
    assert_eq!(done(&mut admin, "admin.upstream.list", json!({})).await["feeds"], json!([]));
    assert_eq!(code(&mut admin, "admin.upstream.remove", json!({ "feed": "late" })).await, 104);
    let mut operator = operator(&hub, "operator").await;
    assert_eq!(
        code(&mut operator, "admin.upstream.add", json!({ "feed": "late", "definition": definition })).await,
        103,
        "whom the hub asks is an admin's matter"
    );
    operator.leave().await;
    reader.leave().await;
    admin.leave().await;
}

#[tokio::test]
async fn a_role_that_is_taken_away_ends_what_it_opened() {
    let hub = hub(json!({})).await;
    let mut client = hub.open(Codec::Json).await;
    let soon = crate::support::token::now() + 3_600;
    client.connect(json!({ "token": token(&json!({ "sub": "ann", "role": "admin", "exp": soon })) })).await;
    client.subscribe("$admin:audit").await;
    client.call("refresh", json!({ "token": token(&json!({ "sub": "ann", "role": "viewer", "exp": soon })) })).await;
    let unsubscribed = within("be unsubscribed", async {
        loop {
            match client.next().await {
                Event::Message(message) if message["push"].get("unsubscribe").is_some() => return message,
                Event::Message(_) => {}
                Event::Ended(ending) => panic!("{ending:?}"),
            }
        }
    })
    .await;
    assert_eq!(unsubscribed["push"]["channel"], "$admin:audit");
    assert_eq!(code(&mut client, "admin.audit.list", json!({})).await, 103);
    assert_eq!(client.error_of("subscribe", json!({ "channel": "$admin:audit" })).await, 103);
    client.leave().await;
}

#[tokio::test]
async fn every_role_gets_help_with_its_own_commands() {
    let hub = hub(json!({})).await;
    let mut counts = Vec::new();
    for role in ROLES {
        let mut client = operator(&hub, role).await;
        let help = done(&mut client, "admin.help", json!({})).await;
        counts.push(help["commands"].as_array().map_or(0, Vec::len));
        client.leave().await;
    }
    assert!(counts.is_sorted() && counts[0] > 3 && counts[3] > counts[2] && counts[2] > counts[1], "{counts:?}");
}

#[tokio::test]
async fn everybody_has_settings_of_their_own_and_they_are_bounded() {
    let hub = hub(json!({})).await;
    let (mut viewer, mut admin) = (operator(&hub, "viewer").await, operator(&hub, "admin").await);
    assert_eq!(done(&mut viewer, "admin.settings.get", json!({})).await, json!({ "settings": null, "saved_at": null }));
    let saved = done(&mut viewer, "admin.settings.set", json!({ "settings": { "density": "wall" } })).await;
    let read = done(&mut viewer, "admin.settings.get", json!({})).await;
    assert_eq!(read, json!({ "settings": { "density": "wall" }, "saved_at": saved["saved_at"] }));
    assert_eq!(done(&mut admin, "admin.settings.get", json!({})).await["settings"], Value::Null);
    for settings in [json!([]), json!("x"), json!({ "a": "x".repeat(16 * 1_024) })] {
        assert_eq!(code(&mut viewer, "admin.settings.set", json!({ "settings": settings })).await, 107);
    }
    assert_eq!(done(&mut viewer, "admin.settings.get", json!({})).await, read, "what was refused has changed nothing");
    let records = records(&mut admin, json!({ "action": "admin.settings.set" })).await;
    assert!(!records.is_empty() && records.iter().all(|record| !record.to_string().contains("wall")), "{records:?}");
    viewer.leave().await;
    admin.leave().await;
}

#[tokio::test]
async fn the_list_of_nodes_has_this_one() {
    let hub = hub(json!({})).await;
    let mut viewer = operator(&hub, "viewer").await;
    let listed = done(&mut viewer, "admin.nodes.list", json!({})).await;
    let [node] = listed["nodes"].as_array().map(Vec::as_slice).unwrap_or_default() else { panic!("{listed}") };
    assert_eq!((&node["is_this"], &node["state"], &node["sessions"]), (&json!(true), &json!("ready"), &json!(1)), "{node}");
    assert_eq!((&node["store"]["kind"], &node["broker"]["kind"]), (&json!("sqlite"), &json!("memory")), "{node}");
    assert!(node["listeners"][0]["address"].as_str().is_some_and(|address| address.starts_with("127.")), "{node}");
    assert!(node["workers"].as_array().is_some_and(|workers| workers.iter().any(|worker| worker["sessions"] == 1)), "{node}");
    let admin = node["actors"].as_array().into_iter().flatten().find(|actor| actor["kind"] == "admin");
    assert_eq!(admin, Some(&json!({ "kind": "admin", "count": 1, "restarts": 0, "causes": {} })), "{node}");
    viewer.leave().await;
}

#[tokio::test]
async fn a_feed_is_examined_before_it_is_added_and_afterwards() {
    let feed = crate::support::Feed::start();
    let hub = hub(json!({ "upstream": { "feeds": [{ "name": "ticks", "url": feed.url(), "channel": "news:1" }] } })).await;
    let (mut admin, mut operator) = (operator(&hub, "admin").await, operator(&hub, "operator").await);
    feed.request(1).await;
    assert_eq!(done(&mut admin, "admin.upstream.checked", json!({})).await, json!({ "check": null }));
    // Takes connections into its backlog and never answers, so that the examination lasts until somebody ends it.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/events?token=hush", mute.local_addr().expect("it has an address"));
    assert_eq!(code(&mut operator, "admin.upstream.check", json!({ "address": url })).await, 103, "any address may be asked by those who add feeds");
    for arguments in [json!({ "address": "ftp://h/" }), json!({ "address": url, "duration": "61s" }), json!({ "address": "http://u:hush@h/" })] {
        assert_eq!(code(&mut admin, "admin.upstream.check", arguments).await, 107);
    }
    done(&mut admin, "admin.upstream.check", json!({ "address": url, "duration": "30s" })).await;
    assert_eq!(code(&mut operator, "admin.upstream.check_feed", json!({ "feed": "ticks" })).await, 106, "one at a time");
    eventually("the connection to be told", async || {
        let checked = done(&mut operator, "admin.upstream.checked", json!({})).await;
        assert_eq!((&checked["is_running"], &checked["by"]), (&json!(true), &json!("the-admin")), "{checked}");
        let is_told = checked["findings"].as_array().is_some_and(|findings| findings.iter().any(|finding| finding["check"] == "tcp"));
        if is_told { Ok(()) } else { Err(checked.to_string()) }
    })
    .await;
    done(&mut operator, "admin.upstream.check_end", json!({})).await;
    let ended = |checked: &Value| if checked["is_running"] == false { Ok(()) } else { Err(checked.to_string()) };
    eventually("its end", async || ended(&done(&mut operator, "admin.upstream.checked", json!({})).await)).await;
    let checked = done(&mut operator, "admin.upstream.checked", json!({})).await;
    assert!(!checked.to_string().contains("hush"), "an operator is not shown what was typed: {checked}");
    assert_eq!(code(&mut operator, "admin.upstream.check_end", json!({})).await, 104);
    assert_eq!(code(&mut operator, "admin.upstream.check_feed", json!({ "feed": "none" })).await, 104);
    done(&mut operator, "admin.upstream.check_feed", json!({ "feed": "ticks", "duration": "1s" })).await;
    done(&mut operator, "admin.upstream.check_end", json!({})).await;
    let records = records(&mut admin, json!({ "action": "admin.upstream" })).await;
    assert!(!records.is_empty() && !records.iter().any(|record| record.to_string().contains("hush")), "{records:?}");
    admin.leave().await;
    operator.leave().await;
}

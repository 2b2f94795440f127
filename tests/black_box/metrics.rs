//! The hub measures itself: over its own channels, by commands, over a restart.

#[cfg(feature = "test-hooks")]
use crate::healing::panic_in;
use crate::slow::deaf;
use crate::stores::Secantus;
use crate::support::operators::{ask, done};
use crate::support::token::token;
use crate::support::{API_KEY, Client, Codec, Feed, Hub, eventually, many, merged, request};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// A hub that measures five times as often as usual, so that tests need not wait.
async fn hub(changes: Value) -> Hub {
    Hub::start(config(changes)).await
}

fn config(changes: Value) -> Value {
    merged(json!({ "client": { "token": { "role_claim": "role" } }, "metrics": { "interval": "200ms", "canary_interval": "50ms" } }), changes)
}

async fn person(hub: &Hub, role: &str) -> Client {
    let mut client = hub.open(Codec::Json).await;
    let claims = if role.is_empty() { json!({ "sub": "nobody" }) } else { json!({ "sub": format!("the-{role}"), "role": role }) };
    client.connect(json!({ "token": token(&claims) })).await;
    client
}

/// Follows the overview until the values that it has told by then are as wanted.
async fn until(viewer: &mut Client, what: &str, is: impl Fn(&Map<String, Value>) -> bool) -> Map<String, Value> {
    let mut values = Map::new();
    eventually(what, async || {
        let told = viewer.publication("$metrics:overview").await["data"].clone();
        for (name, value) in told["values"].as_object().expect("an object") {
            values.insert(name.clone(), value.clone());
        }
        if is(&values) { Ok(values.clone()) } else { Err(format!("{values:?}")) }
    })
    .await
}

fn number(values: &Map<String, Value>, name: &str) -> f64 {
    values.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

#[tokio::test]
async fn a_viewer_sees_what_happens_as_it_happens_and_others_see_nothing() {
    let hub = hub(json!({})).await;
    let mut stranger = person(&hub, "").await;
    for channel in ["$metrics:overview", "$metrics:feeds", "$admin:alerts"] {
        assert_eq!(stranger.error_of("subscribe", json!({ "channel": channel })).await, 103, "{channel}");
    }
    for command in ["admin.metrics.now", "admin.metrics.list", "admin.metrics.history"] {
        assert_eq!(ask(&mut stranger, command, json!({})).await.expect_err(command).0, 103);
    }
    let mut viewer = person(&hub, "viewer").await;
    assert_eq!(viewer.error_of("subscribe", json!({ "channel": "$metrics:nothing" })).await, 103);
    assert_eq!(viewer.error_of("publish", json!({ "channel": "$metrics:overview", "data": 1 })).await, 103);
    viewer.subscribe("$metrics:overview").await;
    let before = until(&mut viewer, "canaries", |values| number(values, "latency.p99_ms") > 0.0).await;
    assert_eq!((number(&before, "sessions.open"), number(&before, "sessions.websocket")), (2.0, 2.0));
    for name in ["memory.resident", "descriptors.open", "threads", "store.up", "channels.open", "host.cpu"] {
        assert!(number(&before, name) > 0.0, "{name}: {before:?}");
    }
    assert!(before["certificate.ends_in_seconds"].is_null(), "there is no TLS here");
    stranger.subscribe("news:x").await;
    for count in 0..5 {
        hub.publish("news:x", count).await;
    }
    until(&mut viewer, "the publications", |values| number(values, "messages.published") > 0.0 && number(values, "messages.delivered") > 0.0).await;
    stranger.leave().await;
    until(&mut viewer, "who left", |values| number(values, "sessions.open") == 1.0).await;

    let now = done(&mut viewer, "admin.metrics.now", json!({})).await;
    assert_eq!(now["verdict"]["state"], "working", "{now}");
    assert_eq!(now["workers"].as_array().map(Vec::len), Some(2), "{now}");
    let delivery = now["objectives"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "delivery")).expect("an objective");
    assert_eq!((&delivery["now"], &delivery["budget_left"]), (&json!(1.0), &json!(1.0)), "{now}");
    let listed = done(&mut viewer, "admin.metrics.list", json!({})).await;
    let names: Vec<_> = listed["metrics"].as_array().expect("a list").iter().filter(|one| one["by"].is_null()).map(|one| &one["name"]).collect();
    assert_eq!(names.len(), now["values"].as_object().expect("an object").len());
    viewer.leave().await;
}

#[tokio::test]
async fn the_feeds_are_shown_to_those_who_follow_them() {
    let hub = hub(json!({})).await;
    let mut viewer = person(&hub, "viewer").await;
    viewer.subscribe("$metrics:feeds").await;
    let told = viewer.publication("$metrics:feeds").await["data"].clone();
    let listed = done(&mut viewer, "admin.upstream.list", json!({})).await;
    assert_eq!((&told["feeds"], &told["max"], told["at"].is_u64()), (&listed["feeds"], &listed["max"], true), "{told}");
    viewer.leave().await;
}

#[tokio::test]
async fn what_was_measured_is_there_after_a_restart() {
    measurements(json!({})).await;
}

/// What was measured is answered for, and is there after a restart.
async fn measurements(store: Value) -> Hub {
    let hub = hub(store.clone()).await;
    let history = json!({ "metrics": ["sessions.open", "process.cpu"], "step_ms": 1000 });
    let mut viewer = person(&hub, "viewer").await;
    let known = |answer: &Value| -> Vec<f64> {
        answer["metrics"]["sessions.open"]["max"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    eventually("two seconds of history", async || {
        let answer = done(&mut viewer, "admin.metrics.history", history.clone()).await;
        assert_eq!(answer["is_whole"], true, "{answer}");
        if known(&answer).len() >= 2 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    viewer.leave().await;
    let hub = hub.again(config(merged(store, json!({ "metrics": { "interval": "1m" } })))).await;
    let mut viewer = person(&hub, "viewer").await;
    let answer = done(&mut viewer, "admin.metrics.history", history.clone()).await;
    assert!(known(&answer).contains(&1.0), "the new hub has measured nothing yet: {answer}");
    for (arguments, says) in [
        (json!({}), "\"metrics\" is missing"),
        (json!({ "metrics": ["nothing"] }), "\"metrics\" must be"),
        (json!({ "metrics": ["panics"], "from": 5, "to": 5 }), "before"),
        (json!({ "metrics": ["panics"], "from": 0, "step_ms": 1 }), "longer steps"),
    ] {
        let (code, message) = ask(&mut viewer, "admin.metrics.history", arguments.clone()).await.expect_err("refused");
        assert!(code == 107 && message.contains(says), "{arguments}: {code} {message}");
    }
    viewer.leave().await;
    hub
}

#[tokio::test]
async fn reports_are_made_shown_and_kept() {
    reports(json!({})).await;
}

/// The same report by command, by the server API, as a page, and after a restart.
async fn reports(store: Value) -> Hub {
    let hub = hub(store.clone()).await;
    let mut operator = person(&hub, "operator").await;
    let mut viewer = person(&hub, "viewer").await;
    let day = json!({ "period": "day" });
    let report =
        eventually("something to report on", async || ask(&mut operator, "admin.reports.make", day.clone()).await.map_err(|why| format!("{why:?}")))
            .await;
    let report = report["report"].clone();
    assert_eq!((&report["is_over"], &report["is_whole"], &report["connections"]["most"]), (&json!(false), &json!(true), &json!(2.0)), "{report}");
    assert_eq!((report["objectives"].as_array().map(Vec::len), report["hours"].as_array().map(Vec::len)), (Some(5), Some(24)), "{report}");
    assert_eq!(ask(&mut viewer, "admin.reports.make", day.clone()).await.expect_err("a viewer only looks").0, 103);
    assert_eq!(ask(&mut viewer, "admin.reports.get", json!({ "period": "week", "back": 50 })).await.expect_err("nothing").0, 104);
    assert_eq!(ask(&mut viewer, "admin.reports.get", json!({ "period": "month" })).await.expect_err("no month").0, 107);
    let page = done(&mut viewer, "admin.reports.get", json!({ "period": "week", "html": true })).await["html"].clone();
    assert!(page.as_str().is_some_and(|page| page.starts_with("<!doctype html>") && page.contains(": the week from ")), "{page}");
    let called = hub.api("report", day).await;
    assert_eq!((&called["report"]["number"], &called["report"]["from"]), (&report["number"], &report["from"]), "{called}");
    let page = request(&hub.dial(), "GET", "/api/report?period=day", &[("X-API-Key", API_KEY)], b"").await;
    assert_eq!((page.status(), page.head.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.head.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
    operator.leave().await;
    viewer.leave().await;
    let hub = hub.again(config(store)).await;
    let mut viewer = person(&hub, "viewer").await;
    let listed = done(&mut viewer, "admin.reports.list", json!({})).await["reports"].clone();
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["from"]), (Some(1), &report["from"]), "{listed}");
    viewer.leave().await;
    hub
}

/// What was measured, for programs of others, and what Prometheus reads, for those who may.
#[tokio::test]
async fn measurements_are_exported_and_guarded() {
    let token = "the-token-of-prometheus";
    let hub = hub(json!({ "prometheus": { "token": token, "allowed_addresses": ["127.0.0.0/8"] } })).await;
    let key = [("X-API-Key", API_KEY)];
    let file = async |query: &str| request(&hub.dial(), "GET", &format!("/api/metrics_history?{query}"), &key, b"").await;
    let lines = eventually("some history", async || {
        let answer = file("metrics=process.cpu,threads&format=csv&step_ms=1000").await;
        assert_eq!((answer.status(), answer.head.header("content-type")), (200, Some("text/csv; charset=utf-8; header=present")));
        let lines: Vec<String> = answer.text().lines().map(str::to_string).collect();
        if lines.iter().any(|line| line.split(',').all(|cell| !cell.is_empty()) && !line.starts_with("time")) {
            Ok(lines)
        } else {
            Err(lines.join(" "))
        }
    })
    .await;
    let heading = "time,time_ms,process.cpu.avg,process.cpu.min,process.cpu.max,threads.avg,threads.min,threads.max";
    assert_eq!(lines[0], heading);
    let text = file("metrics=threads&format=openmetrics").await.text();
    assert!(text.starts_with("# TYPE aether_history_threads gauge\n") && text.ends_with("# EOF\n") && text.contains("{stat=\"max\"} "), "{text}");
    assert_eq!(file("metrics=threads").await.json()["is_whole"], true);
    let called = hub.api("metrics_history", json!({ "metrics": ["threads"] })).await;
    assert_eq!(called["history"]["tier_ms"], 1_000, "{called}");
    for (query, status) in [
        ("", 400),
        ("metrics=nothing", 400),
        ("metrics=threads&from=5&to=5", 400),
        ("metrics=threads&format=xml", 400),
        ("metrics=threads&from=0&step_ms=1", 400),
    ] {
        let answer = file(query).await;
        assert_eq!(answer.status(), status, "{query}: {}", answer.text());
    }
    assert_eq!(hub.get("/api/metrics_history?metrics=threads").await.status(), 401);
    assert_eq!(hub.api_error("metrics_history", json!({ "metrics": ["nothing"] })).await, 107);
    for (shown, status) in [("", 401), ("Bearer another-token-of-somebody", 401), (token, 401), ("bearer the-token-of-prometheus", 200)] {
        let answer = request(&hub.dial(), "GET", "/metrics", &[("Authorization", shown)], b"").await;
        assert_eq!(answer.status(), status, "{shown}");
    }
    let hub = hub.again(config(json!({ "prometheus": { "allowed_addresses": ["10.0.0.0/8"] } }))).await;
    assert_eq!(hub.get("/metrics").await.status(), 403);
}

#[tokio::test]
async fn a_hub_that_measures_nothing_says_so() {
    let hub = hub(json!({ "metrics": { "enabled": false } })).await;
    let mut viewer = person(&hub, "viewer").await;
    for (command, arguments) in
        [("admin.metrics.now", json!({})), ("admin.metrics.history", json!({ "metrics": ["panics"] })), ("admin.reports.list", json!({}))]
    {
        let (code, message) = ask(&mut viewer, command, arguments).await.expect_err(command);
        assert!(code == 108 && message.contains("metrics.enabled"), "{code} {message}");
    }
    viewer.leave().await;
}

/// Whoever measures may die too: somebody else takes over where it was, and nobody else notices.
#[cfg(feature = "test-hooks")]
#[tokio::test]
async fn a_panic_of_the_one_who_measures_is_survived() {
    let mut hub = hub(json!({})).await;
    hub.expect_panics();
    let mut viewer = person(&hub, "viewer").await;
    viewer.subscribe("$metrics:overview").await;
    until(&mut viewer, "a measurement", |values| number(values, "sessions.open") == 1.0).await;
    // The actor itself, and then the task of the canaries.
    for target in ["metrics", "canaries"] {
        panic_in(&hub, target).await;
        eventually("another one", async || {
            match hub.metric("aether_actor_restarts_total", &format!("actor=\"{target}\",cause=\"panicked\"")).await {
                1.0 => Ok(()),
                other => Err(format!("{other} restarts of {target}")),
            }
        })
        .await;
        until(&mut viewer, "what the new one measures", |values| number(values, "canaries.open") == 2.0 && number(values, "canaries.sent") > 0.0)
            .await;
        until(&mut viewer, "what they hear", |values| number(values, "latency.max_ms") > 0.0 && number(values, "process.cpu") >= 0.0).await;
    }
    viewer.leave().await;
}

/// Whoever is started anew is counted with why: a defect is one thing, an operator's wish another.
#[cfg(feature = "test-hooks")]
#[tokio::test]
async fn what_is_started_anew_is_counted_by_its_cause() {
    let feed = Feed::start();
    let mut hub =
        hub(json!({ "upstream": { "feeds": [{ "name": "market", "url": feed.url(), "channel": "news:market", "retry_initial": "100ms" }] } })).await;
    hub.expect_panics();
    let mut operator = person(&hub, "operator").await;
    operator.subscribe("news:market").await;
    let causes = async |operator: &mut Client, wanted: Value| {
        eventually("restarts by cause", async || {
            let listed = done(operator, "admin.nodes.list", json!({})).await;
            let actors = listed["nodes"][0]["actors"].as_array().cloned().unwrap_or_default();
            let restarted = actors.iter().filter(|actor| actor["restarts"] != 0);
            let causes: Map<_, _> = restarted.map(|actor| (actor["kind"].as_str().expect("a text").to_owned(), actor["causes"].clone())).collect();
            if Value::from(causes.clone()) == wanted { Ok(()) } else { Err(format!("{causes:?}")) }
        })
        .await;
    };
    let once = json!({ "panicked": 1 });
    for target in ["fanout", "topic&channel=news:market", "upstream&feed=market"] {
        panic_in(&hub, target).await;
    }
    causes(&mut operator, json!({ "fanout": once, "topics": once, "feeds": once })).await;
    panic_in(&hub, "upstream").await;
    causes(&mut operator, json!({ "fanout": once, "topics": once, "feeds": once, "upstream": once })).await;
    done(&mut operator, "admin.upstream.emergency", json!({ "kind": "pool_failure" })).await;
    causes(&mut operator, json!({ "fanout": once, "topics": once, "feeds": once, "upstream": { "panicked": 1, "requested": 1 } })).await;
    let counted = async |cause: &str| hub.metric("aether_actor_restarts_total", &format!("cause=\"{cause}\"")).await;
    assert_eq!((counted("panicked").await, counted("requested").await, counted("unresponsive").await), (4.0, 1.0, 0.0));
    operator.leave().await;
}

/// The hub's own clients come in by its listeners, with TLS and without, hear each other, and are seen nowhere: not even where there is room for nobody.
#[tokio::test]
async fn canaries_are_clients_that_nobody_sees_and_nothing_keeps_out() {
    let full = json!({ "http_server": { "connection_limit": 3 }, "client": { "token": { "role_claim": "role" } },
        "metrics": { "interval": "200ms", "canary_interval": "50ms" } });
    let hub = Hub::start_with_tls(full).await;
    let mut viewer = person(&hub, "operator").await;
    assert_eq!(viewer.error_of("publish", json!({ "channel": "$admin:probe", "data": "1" })).await, 103);
    assert_eq!(viewer.error_of("subscribe", json!({ "channel": "$admin:probe" })).await, 103);
    viewer.subscribe("$metrics:overview").await;
    let heard = |values: &Map<String, Value>| number(values, "latency.p99_ms") > 0.0 && number(values, "canaries.sent") > 0.0;
    let values = until(&mut viewer, "canaries", heard).await;
    assert_eq!((number(&values, "canaries.open"), number(&values, "canaries.lost")), (2.0, 0.0), "{values:?}");
    assert!(number(&values, "canaries.connect_ms") > 0.0, "{values:?}");
    let seen = ["channels.open", "sessions.open", "sessions.users", "sessions.subscriptions", "sessions.websocket", "connections.open"];
    assert_eq!(seen.map(|name| number(&values, name)), [1.0; 6], "{values:?}");
    assert_eq!(hub.metric("aether_sessions_opened_total", "").await, 1.0);
    let channels = done(&mut viewer, "admin.channels.list", json!({})).await;
    assert!(!channels.to_string().contains("probe"), "{channels}");
    // Now there is room for nobody else: whoever comes is turned away, but a canary.
    let taken = [hub.open(Codec::Json).await, hub.open(Codec::Json).await];
    let turned = hub.dial().websocket().await.expect("an answer").err().map(|head| head.status);
    assert_eq!(turned, Some(503), "there is no room");
    until(&mut viewer, "a full hub", |values| number(values, "connections.used") == 1.0 && number(values, "latency.max_ms") > 0.0).await;
    let now = done(&mut viewer, "admin.metrics.now", json!({})).await;
    assert_eq!((&now["values"]["objectives.delivery"], &now["values"]["canaries.open"]), (&json!(1.0), &json!(2.0)), "{now}");
    for client in taken {
        client.leave().await;
    }
    viewer.leave().await;
}

/// An application that takes its time is seen where it is taken, and nowhere else; every path tells of itself.
#[tokio::test]
async fn a_known_delay_shows_in_the_path_that_has_it() {
    const DELAY_MS: f64 = 300.0;
    // Accepted by the system, and answered by nobody: the call ends with its time.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let endpoint = format!("http://{}/", silent.local_addr().expect("it is bound"));
    let feed = Feed::start();
    let hub = hub(json!({
        "upstream": { "feeds": [{ "name": "market", "url": feed.url(), "channel": "news:market" }] },
        "rpc": { "proxy": { "endpoint": endpoint, "timeout": "300ms" }, "without_namespace": { "proxy_enabled": true } },
    }))
    .await;
    let mut viewer = person(&hub, "viewer").await;
    viewer.subscribe("$metrics:overview").await;
    let mut client = hub.connect(Codec::Json).await;
    let position = client.subscribe("news:market").await;
    feed.say("id: 1\ndata: {}\n\n");
    client.publication("news:market").await;
    hub.publish("news:market", 2).await;
    client.publication("news:market").await;
    let mut back = hub.connect(Codec::Json).await;
    back.recover("news:market", &position["position"]).await;
    assert_eq!(client.error_of("rpc", json!({ "method": "x", "data": {} })).await, 100);
    let quick = ["delivery", "feed_delivery", "connect", "subscribe", "recovery", "api_publish"];
    let is_told = |values: &Map<String, Value>| quick.iter().chain(&["rpc"]).all(|path| number(values, &format!("{path}.p99_ms")) >= 0.0);
    let values = until(&mut viewer, "all paths", is_told).await;
    assert!((DELAY_MS..DELAY_MS * 10.0).contains(&number(&values, "rpc.p50_ms")), "{values:?}");
    assert!(quick.iter().all(|path| number(&values, &format!("{path}.p50_ms")) < DELAY_MS), "{values:?}");
    assert_eq!(hub.metric("aether_latency_seconds_count", r#"path="rpc""#).await, 1.0);
    let within = |bound: &str| format!(r#"path="rpc",le="{bound}""#);
    assert_eq!(
        (hub.metric("aether_latency_seconds_bucket", &within("0.25")).await, hub.metric("aether_latency_seconds_bucket", &within("+Inf")).await),
        (0.0, 1.0)
    );
    for client in [client, back, viewer] {
        client.leave().await;
    }
}

/// Waits for the next notice of an alert of this rule.
async fn notice(client: &mut Client, rule: &str, what: &str) -> Value {
    loop {
        let told = client.publication("$admin:alerts").await["data"].clone();
        if told["alert"]["rule"] == rule && told["what"] == what {
            return told["alert"].clone();
        }
    }
}

/// Alerts that fire. On a machine where others are busy some about it are pending.
async fn firing(client: &mut Client) -> Vec<Value> {
    let listed = done(client, "admin.alerts.list", json!({})).await;
    listed["alerts"].as_array().into_iter().flatten().filter(|alert| alert["state"] == "firing").cloned().collect()
}

/// Trouble is named within this time, whatever it is.
const NAMED_IN: Duration = Duration::from_secs(15);

/// Milliseconds since 1970, by the clock that the hub has too.
fn now_ms() -> i64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is past 1970");
    i64::try_from(since_1970.as_millis()).expect("the time fits")
}

/// Each of these rules fires in time, after what began at `since`. They may be resolved by now.
async fn are_named(client: &mut Client, since: i64, rules: &[&str]) {
    for rule in rules {
        let fired_at = eventually(rule, async || {
            let active = done(client, "admin.alerts.list", json!({})).await;
            let resolved = done(client, "admin.alerts.history", json!({})).await;
            let mut alerts = active["alerts"].as_array().into_iter().chain(resolved["alerts"].as_array()).flatten();
            let fired_at = |alert: &Value| alert["fired_at"].as_i64().filter(|at| alert["rule"] == *rule && *at >= since);
            alerts.find_map(fired_at).ok_or_else(|| format!("{active} {resolved}"))
        })
        .await;
        let named_in = Duration::from_millis((fired_at - since).unsigned_abs());
        println!("{rule} was named after {named_in:?}");
        assert!(named_in < NAMED_IN, "{rule}: {named_in:?}");
    }
}

#[tokio::test]
async fn a_feed_and_a_store_that_go_away_are_named_in_time_and_are_well_again() {
    let feed = Feed::start();
    let feeds = json!([{ "name": "market", "url": feed.url(), "channel": "news:market" }]);
    let kept = json!({ "name": "kept", "history_size": 100, "history_ttl": "300s", "history_durability": "accepted" });
    let mut hub = hub(json!({
        "upstream": { "feeds": feeds, "pool": { "connections_max": 2 } },
        "store": { "queue_bytes_max": "16KiB" },
        "channel": { "namespaces": [kept] },
    }))
    .await;
    let mut operator = person(&hub, "admin").await;
    let mut viewer = person(&hub, "viewer").await;
    viewer.subscribe("$admin:alerts").await;
    assert_eq!(firing(&mut viewer).await, Vec::<Value>::new());

    let since = Instant::now();
    drop(feed);
    let alert = notice(&mut viewer, "feed_down", "firing").await;
    assert!(since.elapsed() < NAMED_IN, "{:?}", since.elapsed());
    assert_eq!((&alert["subject"], &alert["title"], &alert["state"]), (&json!("market"), &json!("Feed market is down"), &json!("firing")));
    let said: Vec<_> = alert["said"].as_array().expect("sentences").iter().map(|said| &said["code"]).collect();
    assert_eq!(said[..2], ["alert.read", "rule.above"], "{alert}");
    assert!(alert["said"][2]["values"]["state"].is_string(), "{alert}");
    let now = done(&mut viewer, "admin.metrics.now", json!({})).await;
    assert_eq!((&now["verdict"]["state"], &now["verdict"]["reasons"][0]), (&json!("warned"), &json!("Feed market is down")), "{now}");
    assert_eq!(now["values"]["feeds.down"], json!(1.0));
    assert!(hub.log().contains("alert firing (warning): Feed market is down"), "{}", hub.log());

    let (code, _) = ask(&mut viewer, "admin.alerts.ack", json!({ "alert": alert["id"] })).await.expect_err("a viewer only looks");
    assert_eq!(code, 103);
    done(&mut operator, "admin.alerts.ack", json!({ "alert": alert["id"] })).await;
    assert_eq!(notice(&mut viewer, "feed_down", "acknowledged").await["acknowledged_by"], "the-admin");
    let known = json!({ "rule": "feed_down", "subject": "market", "lasting": "1h", "why": "known" });
    let silence = done(&mut operator, "admin.alerts.silence", known).await;
    let listed = done(&mut viewer, "admin.alerts.list", json!({})).await;
    assert_eq!((&listed["silences"][0]["id"], &listed["silences"][0]["by"]), (&silence["silence"], &json!("the-admin")), "{listed}");
    assert!(listed["alerts"][0]["silenced_until"].is_i64(), "{listed}");
    assert_eq!(done(&mut viewer, "admin.metrics.now", json!({})).await["verdict"]["state"], "working", "it is known");
    done(&mut operator, "admin.alerts.unsilence", silence).await;
    done(&mut operator, "admin.upstream.pause", json!({ "feed": "market" })).await;
    assert!(notice(&mut viewer, "feed_down", "resolved").await["resolved_at"].is_i64(), "what is paused is not down");
    let history = done(&mut viewer, "admin.alerts.history", json!({})).await;
    assert_eq!((history["alerts"].as_array().map(Vec::len), &history["alerts"][0]["id"]), (Some(1), &alert["id"]), "{history}");

    // Two more, which take all the places that there are: one tells of what was a minute ago, one breaks off in the middle and has no ids.
    shorten(&mut operator, &["feeds_near_capacity", "feed_late", "store_slow", "history_unwritten", "audit_failing"], 0).await;
    let (late, brief) = (Feed::start(), Feed::start());
    let since = now_ms();
    for (name, feed) in [("late", &late), ("brief", &brief)] {
        let definition = json!({ "url": feed.url(), "channel": "news:market", "event_time": "/at", "retry_initial": "100ms" });
        done(&mut operator, "admin.upstream.add", json!({ "feed": name, "definition": definition })).await;
        feed.request(1).await;
    }
    late.say(&format!("data: {{\"at\":{}}}\n\n", since - 60_000));
    brief.say("data: {}\n\n");
    eventually("the event before the break", async || {
        let shown = done(&mut operator, "admin.upstream.show", json!({ "feed": "brief" })).await;
        if shown["feed"]["events"] == 1 { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
    brief.hang_up();
    are_named(&mut viewer, since, &["feeds_near_capacity", "feed_late", "feed_gaps"]).await;

    let other = rusqlite::Connection::open(hub.directory.path().join("data/aether.db")).expect("the file can be opened");
    let (since, locked_at) = (Instant::now(), now_ms());
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
    // More than may wait, and something that is to be recorded before it is done.
    for _ in 0..3 {
        hub.publish("kept:x", "x".repeat(10_000)).await;
    }
    ask(&mut operator, "admin.upstream.resume", json!({ "feed": "market" })).await.expect_err("it cannot be recorded");
    let alert = notice(&mut viewer, "store_down", "firing").await;
    assert!(since.elapsed() < NAMED_IN, "{:?}", since.elapsed());
    are_named(&mut viewer, locked_at, &["store_slow", "history_unwritten", "audit_failing"]).await;
    assert!(alert["severity"] == "critical" && alert["text"].as_str().is_some_and(|text| text.contains("sqlite store")), "{alert}");
    assert_eq!(done(&mut viewer, "admin.metrics.now", json!({})).await["verdict"]["state"], "affected");
    other.execute_batch("ROLLBACK").expect("the lock can be given back");
    notice(&mut viewer, "store_down", "resolved").await;
    other.close().expect("it can be closed");
    // A feed that is not there any more is not the baseline.
    hub.terminate();
    assert!(hub.exit().await.success());
}

#[tokio::test]
async fn rules_are_tried_set_and_kept_over_a_restart() {
    rules_and_alerts(json!({})).await;
}

/// Rules are tried and set, and are there after a restart, as is what they found.
async fn rules_and_alerts(store: Value) -> Hub {
    let hub = hub(store.clone()).await;
    let mut operator = person(&hub, "operator").await;
    operator.subscribe("$admin:alerts").await;
    let rule = |value: f64| json!({ "name": "somebody", "metric": "sessions.open", "condition": "above", "value": value, "severity": "info", "title": "Somebody is here" });
    let defaults = done(&mut operator, "admin.alerts.rules", json!({})).await["rules"].as_array().map(Vec::len).expect("a list");
    eventually("some history", async || {
        let tried = done(&mut operator, "admin.alerts.preview", json!({ "rule": rule(0.0) })).await;
        if tried["fired"] == 1 { Ok(()) } else { Err(tried.to_string()) }
    })
    .await;
    let tried = done(&mut operator, "admin.alerts.preview", json!({ "rule": rule(100.0) })).await;
    assert_eq!((&tried["fired"], &tried["saved"]), (&json!(0), &Value::Null), "{tried}");
    for (command, arguments, code, says) in [
        ("admin.alerts.set_rule", json!({ "rule": { "name": "x" } }), 107, "\"rule\" must be"),
        ("admin.alerts.set_rule", json!({ "rule": merged(rule(1.0), json!({ "metric": "nothing" })) }), 107, "no metric nothing"),
        ("admin.alerts.preview", json!({ "rule": merged(rule(1.0), json!({ "metric": "feed.down_seconds" })) }), 107, "single feeds"),
        ("admin.alerts.remove_rule", json!({ "rule": "nothing" }), 104, "no rule nothing"),
        ("admin.alerts.ack", json!({ "alert": "nothing" }), 104, "nothing"),
        ("admin.alerts.silence", json!({ "lasting": "721h", "why": "x" }), 107, "30 days"),
    ] {
        let (said, message) = ask(&mut operator, command, arguments.clone()).await.expect_err(command);
        assert!(said == code && message.contains(says), "{command} {arguments}: {said} {message}");
    }
    done(&mut operator, "admin.alerts.set_rule", json!({ "rule": rule(0.0) })).await;
    let alert = notice(&mut operator, "somebody", "firing").await;
    operator.leave().await;

    let hub = hub.again(config(store)).await;
    let mut operator = person(&hub, "operator").await;
    eventually("what was known before", async || {
        let history = done(&mut operator, "admin.alerts.history", json!({})).await;
        let known = |alert: &Value, list: &Value| list["alerts"].as_array().into_iter().flatten().any(|known| known["id"] == alert["id"]);
        if known(&alert, &history) || known(&alert, &done(&mut operator, "admin.alerts.list", json!({})).await) {
            Ok(())
        } else {
            Err(history.to_string())
        }
    })
    .await;
    let rules = done(&mut operator, "admin.alerts.rules", json!({})).await["rules"].as_array().cloned().expect("a list");
    assert_eq!(rules.len(), defaults + 1);
    let own = rules.iter().find(|rule| rule["name"] == "somebody").expect("it is kept");
    assert_eq!((&own["is_default"], &own["value"]), (&json!(false), &json!(0.0)), "{own}");
    done(&mut operator, "admin.alerts.remove_rule", json!({ "rule": "somebody" })).await;
    operator.leave().await;
    hub
}

#[tokio::test]
async fn prometheus_is_told_what_the_dashboard_shows() {
    let feed = Feed::start();
    let hub = hub(json!({ "upstream": { "feeds": [{ "name": "market", "url": feed.url(), "channel": "news:market" }] } })).await;
    let exposed = eventually("what the canaries tell", async || {
        let exposed = hub.metrics().await;
        if exposed.contains("aether_objective_ratio{objective=\"delivery\"}") { Ok(exposed) } else { Err(exposed) }
    })
    .await;
    for line in [
        "aether_worker_event_loop_lag_seconds{worker=\"0\"} ",
        "aether_worker_event_loop_lag_seconds{worker=\"1\"} ",
        "aether_actors{kind=\"fanout\"} 2\n",
        "aether_actors{kind=\"feed\"} 1\n",
        "aether_actors{kind=\"session\"} 0\n",
        "aether_actors{kind=\"metrics\"} 1\n",
        "aether_objective_ratio{objective=\"delivery\"} 1\n",
        "aether_objective_budget_ratio{objective=\"delivery\"} 1\n",
        "aether_alerts_firing{severity=\"critical\"} 0\n",
        "aether_actor_restarts_total{actor=\"fanout\",cause=\"panicked\"} 0\n",
        "aether_actor_restarts_total{actor=\"metrics\",cause=\"unresponsive\"} 0\n",
        "aether_actor_restarts_total{actor=\"upstream\",cause=\"requested\"} 0\n",
    ] {
        assert!(exposed.contains(line), "{line:?} is not in {exposed}");
    }
    assert_eq!(exposed.matches("aether_worker_event_loop_lag_seconds{").count(), 2, "one for each worker");
}

/// A promise that a few seconds can break: those that are usual leave minutes of a month.
const STRICT: f64 = 0.999_999_99;

/// What the hub knows of itself is kept by a server of MongoDB's protocol as by a file.
#[tokio::test]
async fn what_is_measured_found_and_reported_is_kept_on_mongodb_too() {
    let server = Secantus::start().await;
    let store = |database: &str| json!({ "store": { "type": "mongodb", "mongodb": { "uri": server.uri(), "database": database } } });
    let (measured, ruled, reported) = tokio::join!(measurements(store("measured")), rules_and_alerts(store("ruled")), reports(store("reported")));
    for mut hub in [measured, ruled, reported] {
        // The driver's pool is as large as it was ever needed, so that descriptors are not compared at the end.
        hub.terminate();
        let status = hub.exit().await;
        assert!(status.success(), "{status}");
    }
}

/// The hub's own rules with another time until they fire, so that a test need not wait for it.
async fn shorten(operator: &mut Client, names: &[&str], for_ms: u64) {
    change(operator, names, &json!({ "for_ms": for_ms })).await;
}

/// The hub's own rules with these changes.
async fn change(operator: &mut Client, names: &[&str], changes: &Value) {
    let rules = done(operator, "admin.alerts.rules", json!({})).await["rules"].as_array().cloned().expect("a list");
    for name in names {
        let mut rule = rules.iter().find(|rule| rule["name"] == *name).cloned().unwrap_or_else(|| panic!("there is no rule {name}"));
        let fields = rule.as_object_mut().expect("an object");
        ["is_default", "is_changed", "fired_7d"].iter().for_each(|field| drop(fields.remove(*field)));
        done(operator, "admin.alerts.set_rule", json!({ "rule": merged(rule, changes.clone()) })).await;
    }
}

/// Troubles of the edge, each with its rule as it is but for the time that it waits. Who is told over HTTP hangs meanwhile, and nobody waits for him.
#[tokio::test]
async fn a_certificate_that_ends_and_a_hub_that_is_full_are_named_whoever_hangs_elsewhere() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let endpoint = format!("http://{}/", silent.local_addr().expect("it is bound"));
    let changes = config(json!({
        "http_server": { "connection_limit": 4 },
        "alerts": { "webhook": { "endpoint": endpoint } },
        "metrics": { "objectives": { "connections": STRICT } },
    }));
    let hub = Hub::start_with_tls(changes).await;
    let mut operator = person(&hub, "operator").await;
    operator.subscribe("$admin:alerts").await;
    let rules = ["certificate_ends", "certificate_ends_soon", "connections_near_capacity", "connections_refused", "budget_connections"];
    shorten(&mut operator, &rules, 0).await;
    let since = now_ms();
    crate::support::write_certificate_for(hub.directory.path(), "localhost", Duration::from_secs(86_400));
    assert!(notice(&mut operator, "certificate_ends_soon", "firing").await["value"].as_f64().is_some_and(|seconds| seconds < 86_401.0));
    let taken = [hub.open(Codec::Json).await, hub.open(Codec::Json).await, hub.open(Codec::Json).await];
    notice(&mut operator, "connections_near_capacity", "firing").await;
    assert!(hub.dial().websocket().await.expect("an answer").is_err(), "there is no room");
    are_named(&mut operator, since, &rules).await;
    for client in taken {
        client.leave().await;
    }
    operator.leave().await;
}

/// Troubles of clients and of the process, all at once on one hub: clients that do not read, some that were away for longer than history reaches, an
/// application that is not there, descriptors that run out, and a defect.
#[cfg(feature = "test-hooks")]
#[tokio::test]
async fn troubles_of_clients_and_of_the_process_are_named_in_time() {
    // Bound and let go: nobody answers there.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free");
    let mut hub = hub(json!({
        "client": { "queue_max_size": "128KiB", "close_timeout": "1s" },
        "metrics": { "objectives": { "recovery": STRICT } },
        "rpc": { "proxy": { "endpoint": format!("http://{gone}/") }, "without_namespace": { "proxy_enabled": true } },
    }))
    .await;
    hub.expect_panics();
    let mut operator = person(&hub, "operator").await;
    let rules = ["slow_clients", "recoveries_failing", "budget_recovery", "commands_failing", "descriptors_near_limit"];
    shorten(&mut operator, &rules, 0).await;
    let deaf = many(16, async |_| {
        let mut client = deaf(&hub, Codec::Json).await;
        client.subscribe("flood").await;
        client
    })
    .await;
    let mut client = hub.connect(Codec::Json).await;
    eventually("a rate: what was counted before the first look belongs to none", async || {
        let now = done(&mut operator, "admin.metrics.now", json!({})).await;
        if now["values"]["panics"].is_number() { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    let since = now_ms();

    panic_in(&hub, "canaries").await;
    for number in 0..10 {
        let lost = json!({ "offset": 5, "epoch": "of another time" });
        let back = client.recover(&format!("news:{number}"), &lost).await;
        assert_ne!(back["recovered"], true, "{back}");
        assert_eq!(client.error_of("rpc", json!({ "method": "x", "data": {} })).await, 100);
    }
    eventually("the end of all who do not read", async || {
        hub.publish("flood", "x".repeat(50_000)).await;
        match hub.metric("aether_sessions_closed_total", "slow").await {
            16.0 => Ok(()),
            other => Err(format!("{other} were cut")),
        }
    })
    .await;
    // What is open now is nearly all that may be.
    let open = hub.state().expect("the state")["descriptors"].as_u64().expect("a count");
    let before = limit_descriptors(&hub, open + 4);
    are_named(&mut operator, since, &["descriptors_near_limit"]).await;
    limit_descriptors(&hub, before);
    are_named(&mut operator, since, &rules).await;
    are_named(&mut operator, since, &["panic", "actor_restarted"]).await;
    deaf.into_iter().for_each(Client::cut);
    client.leave().await;
    operator.leave().await;
}

/// From now on the hub may have so many descriptors; how many it might have before.
#[cfg(feature = "test-hooks")]
fn limit_descriptors(hub: &Hub, most: u64) -> u64 {
    let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the calls read and write whole rlimits; the process is ours. What it may ask for itself stays as it is.
    unsafe {
        assert_eq!(libc::prlimit(hub.pid(), libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut before), 0);
        let now = libc::rlimit { rlim_cur: most, ..before };
        assert_eq!(libc::prlimit(hub.pid(), libc::RLIMIT_NOFILE, &raw const now, std::ptr::null_mut()), 0);
    }
    before.rlim_cur
}

/// A disk of the hub's own, of 16 MiB, which somebody else fills. Where there can be none the test is skipped, and says so.
#[tokio::test]
async fn a_disk_that_fills_is_named_in_time() {
    use std::os::unix::process::CommandExt;
    let can = std::process::Command::new("unshare").args(["--mount", "--", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !can.as_ref().is_ok_and(|can| can.status.success()) {
        println!("skipped: a disk of its own needs root and unshare(1): {can:?}");
        return;
    }
    let mut hub = Hub::launch(config(json!({ "metrics": { "interval": "100ms" } })), |command| {
        let data = command.get_current_dir().expect("it has one").join("data");
        std::fs::create_dir(&data).expect("a folder can be made");
        let data = std::ffi::CString::new(data.into_os_string().into_encoded_bytes()).expect("no path has a zero");
        // SAFETY: three calls of the system, with texts that end with a zero and were made before the process was split.
        unsafe {
            command.pre_exec(move || {
                let none = c"none".as_ptr();
                // No mount of the process is seen by others from now on.
                let is_done = libc::unshare(libc::CLONE_NEWNS) == 0
                    && libc::mount(none, c"/".as_ptr(), std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE, std::ptr::null()) == 0
                    && libc::mount(none, data.as_ptr(), c"tmpfs".as_ptr(), 0, c"size=16m".as_ptr().cast()) == 0;
                if is_done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            });
        }
    });
    let mut operator = person(&hub, "operator").await;
    shorten(&mut operator, &["disk_filling", "disk_full"], 0).await;
    let since = now_ms();
    let seen_by_hub = std::path::PathBuf::from(format!("/proc/{}/root", hub.pid()));
    let data = hub.directory.path().join("data");
    let filler = seen_by_hub.join(data.strip_prefix("/").expect("it is absolute")).join("filler");
    // It ends with an error, since there is no room for all of it.
    std::fs::write(&filler, vec![0; 32 << 20]).expect_err("the disk is full");
    are_named(&mut operator, since, &["disk_filling", "disk_full"]).await;
    std::fs::remove_file(&filler).expect("it is there");
    operator.leave().await;
    hub.terminate();
    assert!(hub.exit().await.success());
}

/// All event loops stand still: whoever measures is on another thread, sees it by the canaries, and has said so in time. A feed goes on meanwhile, with more
/// than may wait and than history keeps.
#[cfg(feature = "test-hooks")]
#[tokio::test]
async fn a_hub_whose_workers_stand_still_has_named_it_in_time() {
    let feed = Feed::start();
    let hub = hub(json!({
        "http_server": { "request_body_max": "64KiB" },
        "metrics": { "objectives": { "delivery": STRICT } },
        "topic": { "queue_bytes_max": "64KiB" },
        "upstream": { "feeds": [{ "name": "market", "url": feed.url(), "channel": "last:market" }] },
    }))
    .await;
    let mut listener = hub.connect(Codec::Json).await;
    listener.subscribe("last:market").await;
    let mut viewer = person(&hub, "operator").await;
    viewer.subscribe("$metrics:overview").await;
    until(&mut viewer, "canaries", |values| number(values, "latency.max_ms") > 0.0).await;
    shorten(&mut viewer, &["latency_high", "budget_delivery", "messages_lost"], 0).await;
    // The bound that it has is passed on a busy machine too; what is waited for is much more.
    change(&mut viewer, &["latency"], &json!({ "for_ms": 0, "value": 500, "clear": 400 })).await;
    let since = now_ms();
    panic_in(&hub, "workers&ms=8000").await;
    for _ in 0..20 {
        feed.say(&format!("data: {}\n\n", "x".repeat(20_000)));
    }
    let rules = ["worker_silent", "worker_lag", "canaries_lost", "canaries_gone", "latency", "latency_high", "budget_delivery", "messages_lost"];
    are_named(&mut viewer, since, &rules).await;
    listener.leave().await;
    viewer.leave().await;
}

/// Pages that come, reload and go leave the hub as it was; every test ends with that comparison.
#[tokio::test]
async fn a_hundred_viewers_and_a_storm_of_reloads_leave_nothing() {
    const CHANNELS: [&str; 3] = ["$metrics:overview", "$metrics:feeds", "$admin:alerts"];
    let hub = hub(json!({})).await;
    let mut viewers = Vec::new();
    for _ in 0..100 {
        let mut viewer = person(&hub, "viewer").await;
        viewer.subscribe(CHANNELS[0]).await;
        viewers.push(viewer);
    }
    for viewer in &mut viewers {
        assert_eq!(viewer.publication(CHANNELS[0]).await["data"]["verdict"]["critical"], 0);
    }
    for _ in 0..50 {
        let mut page = person(&hub, "viewer").await;
        for channel in CHANNELS {
            page.subscribe(channel).await;
        }
        page.unsubscribe(CHANNELS[1]).await;
        done(&mut page, "admin.metrics.now", json!({})).await;
        page.leave().await;
    }
    assert_eq!(firing(&mut viewers[0]).await, Vec::<Value>::new());
    for viewer in viewers {
        viewer.leave().await;
    }
}

/// A profile of the heap is made when it is asked for, one at a time, for the hub's user alone.
#[tokio::test]
async fn a_profile_of_the_heap_is_written_when_it_is_asked_for() {
    use std::os::unix::fs::PermissionsExt;
    let hub = hub(json!({})).await;
    let mut operator = person(&hub, "operator").await;
    assert_eq!(ask(&mut operator, "admin.debug.heap_profile", json!({ "lasting": "2h" })).await.expect_err("too long").0, 107);
    let told = done(&mut operator, "admin.debug.heap_profile", json!({ "lasting": "1s" })).await;
    assert_eq!(ask(&mut operator, "admin.debug.heap_profile", json!({ "lasting": "1s" })).await.expect_err("one at a time").0, 108);
    let file = hub.directory.path().join(told["file"].as_str().expect("a path"));
    let profile = eventually("the profile", async || match std::fs::read_to_string(&file) {
        Ok(text) if text.contains("MAPPED_LIBRARIES") => Ok(text),
        other => Err(format!("{:?}", other.map(|text| text.len()))),
    })
    .await;
    assert!(profile.starts_with("heap_v2/524288"), "{}", &profile[..profile.len().min(200)]);
    assert_eq!(std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    eventually("room for the next one", async || match ask(&mut operator, "admin.debug.heap_profile", json!({ "lasting": "1s" })).await {
        Ok(_) => Ok(()),
        Err(refused) => Err(format!("{refused:?}")),
    })
    .await;
    operator.leave().await;
}

/// Nobody does anything, and nothing is said. What is about the rest of the machine is shown and not judged: others may use it.
///
/// `cargo test --features test-hooks --test black_box -- --ignored --nocapture metrics::in_twenty`
#[tokio::test]
#[ignore = "takes twenty minutes"]
async fn in_twenty_quiet_minutes_nothing_is_said() {
    const QUIET: Duration = Duration::from_secs(20 * 60);
    let feed = Feed::start();
    let feeds = json!([{ "name": "market", "url": feed.url(), "channel": "news:market" }]);
    let changes = json!({ "client": { "token": { "role_claim": "role" } }, "upstream": { "feeds": feeds } });
    let hub = Hub::start_with_tls(changes).await;
    let mut viewer = person(&hub, "viewer").await;
    viewer.subscribe("$admin:alerts").await;
    feed.request(1).await;
    let talking = async {
        loop {
            feed.say("data: {}\n\n");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let began = Instant::now();
    let listening = async {
        while let Some(left) = QUIET.checked_sub(began.elapsed()) {
            let Ok(said) = tokio::time::timeout(left, viewer.next_whenever()).await else { break };
            let said = format!("{said:?}");
            println!("after {:?}: {said}", began.elapsed());
            assert!(["host_", "disk_"].iter().any(|machine| said.contains(machine)), "{said}");
        }
    };
    tokio::select! {
        () = talking => {}
        () = listening => {}
    }
    let now = done(&mut viewer, "admin.metrics.now", json!({})).await;
    println!("{now}");
    assert_eq!(now["values"]["objectives.delivery"], json!(1.0), "no canary was lost");
    viewer.leave().await;
}

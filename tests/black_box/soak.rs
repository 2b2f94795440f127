//! Soak: clients of every transport come, get something, and go in every way, without a pause. In the end everything is as it was at the beginning:
//! what lives in the hub exactly, its memory within what an allocator keeps.

use crate::mercure::source::Source;
use crate::support::token::{SECRET, user_token};
use crate::support::{Client, Codec, Dial, Endless, Hub, Pieces, Via, escaped, opcode, within};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use std::time::{Duration, Instant};

/// Visitors at a time.
const VISITORS: usize = 24;
const CHANNELS: usize = 8;

/// Every channel is told something so often.
const TICK: Duration = Duration::from_millis(40);

/// Bytes that may be allocated more than after the warm-up, histories not counted: buffers and tables that have grown to their size by chance.
const ALLOCATED_GROWTH_MAX: i64 = 2 << 20;

/// The same for resident memory, of which the allocator keeps some pages.
const RESIDENT_GROWTH_MAX: i64 = 24 << 20;

/// Who has come, by transport.
#[derive(Debug, Default, Clone, Copy)]
struct Visits([u32; 9]);

async fn visit(hub: &Hub, rng: &mut StdRng, visits: &mut Visits) {
    let channel = format!("crowd:{}", rng.random_range(0..CHANNELS));
    let kind = rng.random_range(0..visits.0.len());
    visits.0[kind] += 1;
    let listen = json!({ "token": user_token("listener"), "subs": { channel.as_str(): {} } }).to_string();
    let in_query = escaped(listen.as_bytes());
    match kind {
        0..=4 => {
            let via = [Codec::Json.into(), Codec::Protobuf.into(), Via::HTTP_STREAM_JSON, Via::HTTP_STREAM_PROTOBUF, Via::SSE][kind];
            come_and_go(hub.connect_as(via, &format!("user-{}", rng.random_range(0..20))).await, &channel, rng).await;
        }
        5 | 6 => {
            let uni_sse = format!("/connection/uni_sse?cf_connect={in_query}");
            let (pieces, method, path, body) = match kind {
                5 => (Pieces::Events, "GET", uni_sse.as_str(), ""),
                _ => (Pieces::Lines, "POST", "/connection/uni_http_stream", listen.as_str()),
            };
            let mut answer = Endless::open(&hub.dial(), pieces, method, path, &[], body.as_bytes()).await;
            let published = async { while !says_publication(&answer.next().await.expect("the answer goes on")) {} };
            within("hear something", published).await;
            if rng.random() {
                answer.stream.cut();
            }
        }
        7 => {
            let dial = Dial { path: format!("/connection/uni_websocket?cf_connect={in_query}"), ..hub.dial() };
            let mut socket = dial.websocket().await.expect("an answer").expect("an upgrade");
            let published = async { while !says_publication(&socket.read().await.expect("a frame").payload) {} };
            within("hear something", published).await;
            match rng.random() {
                true => socket.stream.cut(),
                false => socket.send(opcode::CLOSE, &1000_u16.to_be_bytes()).await,
            }
        }
        _ => {
            let mut source = Source::open(hub, &format!("topic={channel}&topic=other/{{x}}"), &[]).await;
            source.event().await;
            match rng.random_range(0..3) {
                0 => source.cut(),
                1 => source.half_close(),
                _ => drop(source),
            }
        }
    }
}

async fn come_and_go(mut client: Client, channel: &str, rng: &mut StdRng) {
    if rng.random_ratio(1, 10) {
        // In the middle of a command.
        client.send("subscribe", json!({ "channel": channel })).await;
        return client.cut();
    }
    client.subscribe(channel).await;
    client.data(channel, 1).await;
    if rng.random_ratio(1, 4) {
        client.unsubscribe(channel).await;
    }
    match rng.random_range(0..3) {
        0 => client.leave().await,
        1 => client.cut(),
        _ => drop(client),
    }
}

fn says_publication(message: &[u8]) -> bool {
    String::from_utf8_lossy(message).contains("\"pub\"")
}

/// Churn for so long; what has come.
async fn churn(hub: &Hub, duration: Duration, seed: u64) -> Visits {
    let end = Instant::now() + duration;
    let channels: Vec<_> = (0..CHANNELS).map(|number| format!("crowd:{number}")).collect();
    let ticker = async {
        let mut ticks = tokio::time::interval(TICK);
        for number in 0_u64.. {
            ticks.tick().await;
            hub.api("broadcast", json!({ "channels": channels, "data": number })).await;
        }
    };
    let visitors = join_all((0..VISITORS).map(|number| async move {
        let (mut rng, mut visits) = (StdRng::seed_from_u64(seed + number as u64), Visits::default());
        while Instant::now() < end {
            visit(hub, &mut rng, &mut visits).await;
        }
        visits
    }));
    let visits = tokio::select! {
        visits = visitors => visits,
        () = ticker => unreachable!("numbers do not end"),
    };
    let mut all = Visits::default();
    for one in visits {
        all.0.iter_mut().zip(one.0).for_each(|(sum, count)| *sum += count);
    }
    hub.until_empty().await;
    all
}

/// Allocated but for histories, and resident.
fn memory(hub: &Hub) -> (i64, i64) {
    let state = hub.state().expect("the state");
    let [allocated, resident, streams, log] = ["memory_allocated_bytes", "memory_resident_bytes", "history_bytes", "mercure_bytes"]
        .map(|name| state[name].as_i64().unwrap_or_else(|| panic!("no {name} in {state}")));
    (allocated - streams - log, resident)
}

async fn soak(warm_up: Duration, duration: Duration) {
    let crowd = json!({
        "name": "crowd", "presence": true, "history_size": 10, "history_ttl": "10s",
        "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
    });
    let key = json!({ "key": SECRET });
    let hub = Hub::start(json!({
        "client": { "ping_interval": "1s", "pong_timeout": "500ms", "close_timeout": "1s" },
        "channel": { "namespaces": [crowd] },
        "mercure": { "enabled": true, "anonymous": true, "subscriptions": true, "history_size": 100, "publisher": key, "subscriber": key },
    }))
    .await;
    churn(&hub, warm_up, 1).await;
    let before = memory(&hub);
    let visits = churn(&hub, duration, 1_000).await;
    let after = memory(&hub);
    let (allocated, resident) = (after.0 - before.0, after.1 - before.1);
    println!(
        "soak: {} visits in {duration:?}, by transport {:?}; allocated {allocated:+}, resident {resident:+} bytes",
        visits.0.iter().sum::<u32>(),
        visits.0
    );
    assert!(visits.0.iter().all(|count| *count > 0), "every transport was there: {visits:?}");
    assert!(allocated < ALLOCATED_GROWTH_MAX && resident < RESIDENT_GROWTH_MAX, "from {before:?} to {after:?}");
}

#[tokio::test]
async fn a_quarter_of_a_minute_leaves_nothing() {
    soak(Duration::from_secs(5), Duration::from_secs(10)).await;
}

/// `cargo test --features test-hooks --test black_box -- --ignored --nocapture soak::five_minutes`
#[tokio::test]
#[ignore = "takes five minutes"]
async fn five_minutes_leave_nothing() {
    soak(Duration::from_secs(20), Duration::from_secs(300)).await;
}

//! Clients that vanish without a word, all at once: the network between swallows every packet, so that no FIN and no RST ever comes, and what the hub
//! sends is not acknowledged. On every transport they are found, and nothing of them is left.

use crate::cable::{Network, in_namespaces};
use crate::support::token::user_token;
use crate::support::{Client, Codec, Dial, Endless, Hub, Pieces, Transport, Via, WebSocket, escaped, eventually, eventually_in};
use serde_json::json;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The kernel gives a connection up when what was sent has not been acknowledged for 30 s; before that a ping or a heartbeat, 1 s here, must be due.
/// The rest is for a machine that has other things to do.
const FOUND_WITHIN: Duration = Duration::from_secs(50);

const WAYS: [Via; 5] = [
    Via { transport: Transport::WebSocket, codec: Codec::Json },
    Via { transport: Transport::WebSocket, codec: Codec::Protobuf },
    Via::HTTP_STREAM_JSON,
    Via::HTTP_STREAM_PROTOBUF,
    Via::SSE,
];

#[test]
fn whoever_vanishes_on_any_transport_leaves_nothing() {
    in_namespaces(&["vanished::everybody_vanishes_in_namespaces"]);
}

/// Two on each of the ways in; all of them listen.
struct Everybody {
    _clients: Vec<Client>,
    _streams: Vec<Endless>,
    _sockets: Vec<WebSocket>,
}

impl Everybody {
    async fn comes(dial: &Dial) -> Self {
        let (mut clients, mut streams, mut sockets) = (Vec::new(), Vec::new(), Vec::new());
        let connect = json!({ "token": user_token("listener"), "subs": { "open:x": {} } }).to_string();
        let in_query = escaped(connect.as_bytes());
        for _ in 0..2 {
            for via in WAYS {
                let mut client = Client::open(dial, via).await;
                client.connect(json!({ "token": user_token("client") })).await;
                client.subscribe("room:x").await;
                clients.push(client);
            }
            let uni_sse = format!("/connection/uni_sse?cf_connect={in_query}");
            for (pieces, method, path, body) in [
                (Pieces::Events, "GET", uni_sse.as_str(), ""),
                (Pieces::Lines, "POST", "/connection/uni_http_stream", connect.as_str()),
                (Pieces::Events, "GET", "/.well-known/mercure?topic=room:x", ""),
            ] {
                let stream = Endless::open(dial, pieces, method, path, &[], body.as_bytes()).await;
                assert_eq!(stream.head.status, 200, "{path}");
                streams.push(stream);
            }
            let dial = Dial { path: format!("/connection/uni_websocket?cf_connect={in_query}"), ..dial.clone() };
            sockets.push(dial.websocket().await.expect("an answer").expect("an upgrade"));
        }
        Self { _clients: clients, _streams: streams, _sockets: sockets }
    }
}

#[test]
#[ignore = "started by the test above, in namespaces of its own"]
fn everybody_vanishes_in_namespaces() {
    let network = Network::new();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let here = runtime();
    let hub = here.block_on(Hub::start(json!({
        "http_server": { "address": Network::ADDRESSES.0 },
        "client": { "ping_interval": "3s", "pong_timeout": "1s" },
        "mercure": {
            "enabled": true, "anonymous": true, "heartbeat": "1s", "subscriptions": true,
            "publisher": { "key": crate::support::token::SECRET }, "subscriber": { "key": crate::support::token::SECRET },
        },
        "channel": { "namespaces": [{ "name": "open", "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true, "presence": true }] },
    })));
    let dial = Dial { from: Network::ADDRESSES.1.parse().expect("an address"), ..hub.dial() };
    let (came, have_come) = mpsc::channel();
    let (is_over, over) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            network.over_there(move || {
                let everybody = runtime().block_on(Everybody::comes(&dial));
                came.send(()).expect("somebody waits for it");
                // They are there, and never read or written again: the sockets are closed when the hub has forgotten them.
                let _ = over.recv();
                drop(everybody);
            });
        });
        have_come.recv().expect("all have come");
        let state = hub.grown().expect("the state");
        assert_eq!((&state["sessions"], &state["mercure_subscribers"]), (&json!(16), &json!(2)), "{state}");
        network.swallow();
        let vanished = Instant::now();
        here.block_on(async {
            eventually("those being gone who have to answer pings", async || match hub.grown()?["sessions"].as_u64() {
                Some(..=6) => Ok(()),
                other => Err(format!("{other:?} sessions")),
            })
            .await;
            println!("network: clients that answer pings were gone after {:?}", vanished.elapsed());
            eventually_in(FOUND_WITHIN, "nobody being left", async || hub.compare_with_baseline()).await;
        });
        println!("network: those that only listen were gone after {:?}", vanished.elapsed());
        is_over.send(()).expect("it waits for it");
    });
}

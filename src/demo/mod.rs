//! A feed to look at: the figures of this machine, served as an event stream at `/events`.
//!
//! Started by `aether demo-feed`, and by `aether serve` where the demo is enabled; the hub then reads it over HTTP like any foreign feed.
//! Two types of events: `pulse` (CPU, many times a second) and `host` (everything, once a second). Ids increase, also over restarts,
//! and a reader that comes back with `Last-Event-ID` gets what a short memory still holds.
//!
//! Not here: anything that the hub itself needs. The feed knows nothing of channels, brokers or clients of the hub.

mod figures;
mod tape;

use actix_web::dev::ServerHandle;
use actix_web::http::header;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use futures_util::stream;
use socket2::SockRef;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tape::{Listener, Tape};

/// Readers served at the same time. It is a demonstration, not a hub.
const LISTENERS_MAX: usize = 32;

/// Connections that the server holds, readers and others together.
const CONNECTIONS_MAX: usize = 64;

/// A comment after this much silence. With figures coming many times a second it is only seen when measuring hangs.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Bytes that a reader does not acknowledge for this long end its connection (`TCP_USER_TIMEOUT`): one that does not read is cut.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

/// How long a stop waits for responses that are being written.
const SHUTDOWN_TIMEOUT_SECONDS: u64 = 1;

/// Seconds after which a reader that was one too many may ask again.
const RETRY_AFTER_SECONDS: &str = "5";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoSettings {
    /// Port 0: any free one.
    pub address: SocketAddr,
    /// Between two `pulse` events.
    pub interval: Duration,
}

impl Default for DemoSettings {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), interval: Duration::from_millis(100) }
    }
}

/// A running demo feed. Dropping it does not stop it; [`DemoFeed::stop`] does.
pub struct DemoFeed {
    address: SocketAddr,
    server: ServerHandle,
    tape: Arc<Tape>,
    sampler: std::thread::JoinHandle<()>,
}

impl DemoFeed {
    /// Binds, and serves from threads of its own: one for HTTP, one for measuring, which blocks. Needs a running actix system.
    pub fn start(settings: &DemoSettings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.address)?;
        let address = listener.local_addr()?;
        let tape = Arc::new(Tape::new());
        let shared = web::Data::from(Arc::clone(&tape));
        let server = HttpServer::new(move || App::new().app_data(shared.clone()).route("/events", web::get().to(events)))
            .workers(1)
            .max_connections(CONNECTIONS_MAX)
            .h1_allow_half_closed(false)
            .shutdown_timeout(SHUTDOWN_TIMEOUT_SECONDS)
            .disable_signals()
            .on_connect(|socket, _| {
                if let Some(socket) = socket.downcast_ref::<tokio::net::TcpStream>() {
                    // Without the option a reader that stopped reading is merely noticed later.
                    let _ = SockRef::from(socket).set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX));
                }
            })
            .listen(listener)?
            .run();
        let sampler = {
            let (tape, interval) = (Arc::clone(&tape), settings.interval);
            std::thread::Builder::new().name("demo-figures".to_string()).spawn(move || figures::record(&tape, interval))?
        };
        let handle = server.handle();
        actix_rt::spawn(async move {
            if let Err(error) = server.await {
                log::error!("demo feed ended: {error}");
            }
        });
        Ok(Self { address, server: handle, tape, sampler })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Readers at this moment.
    pub fn listeners(&self) -> usize {
        self.tape.listeners()
    }

    /// Ends all streams and both threads.
    pub async fn stop(self) {
        self.tape.close();
        self.server.stop(true).await;
        let sampler = self.sampler;
        if actix_rt::task::spawn_blocking(move || sampler.join()).await.is_ok_and(|joined| joined.is_err()) {
            log::error!("the demo feed's measuring had ended by a panic");
        }
    }
}

/// The stream: what was missed, then what comes.
async fn events(request: HttpRequest, tape: web::Data<Tape>) -> HttpResponse {
    let since = request.headers().get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let Some(listener) = tape.listen(since, LISTENERS_MAX) else {
        return HttpResponse::ServiceUnavailable().insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS)).body("too many readers\n");
    };
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-cache, no-transform"))
        // nginx would otherwise collect events until its buffer is full.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(stream::unfold(listener, next_bytes))
}

async fn next_bytes(mut listener: Listener) -> Option<(Result<Bytes, io::Error>, Listener)> {
    let bytes = listener.next(HEARTBEAT_INTERVAL).await?;
    Some((Ok(bytes), listener))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::event_stream::{EventStreamLimits, EventStreamParser, StreamEvent};
    use std::collections::HashSet;
    use tokio::time::timeout;

    const DEADLINE: Duration = Duration::from_secs(10);

    fn start() -> DemoFeed {
        DemoFeed::start(&DemoSettings { interval: Duration::from_millis(20), ..DemoSettings::default() }).unwrap()
    }

    fn get(url: &str) -> reqwest::RequestBuilder {
        reqwest::Client::builder().no_proxy().build().unwrap().get(url)
    }

    /// Reads until `enough` says so.
    async fn read(request: reqwest::RequestBuilder, enough: impl Fn(&[StreamEvent]) -> bool) -> (Vec<StreamEvent>, Option<Duration>) {
        let mut body = timeout(DEADLINE, request.send()).await.expect("headers in time").unwrap();
        assert_eq!(body.headers()[header::CONTENT_TYPE.as_str()], "text/event-stream");
        let mut parser = EventStreamParser::new(EventStreamLimits::default(), Arc::from(""));
        let mut events = Vec::new();
        while !enough(&events) {
            let bytes = timeout(DEADLINE, body.chunk()).await.unwrap_or_else(|_| panic!("nothing more after {events:?}")).unwrap();
            let bytes = bytes.unwrap_or_else(|| panic!("ended after {events:?}"));
            let mut bytes = &bytes[..];
            while let Some(event) = parser.next_event(&mut bytes).unwrap() {
                events.push(event);
            }
        }
        (events, parser.retry())
    }

    fn id(event: &StreamEvent) -> u64 {
        event.last_event_id.parse().unwrap()
    }

    #[actix_rt::test]
    async fn it_tells_the_figures_of_this_machine() {
        let feed = start();
        let has = |events: &[StreamEvent], event_type| events.iter().any(|event| event.event_type == event_type);
        let (events, retry) = read(get(&feed.url()), |events| has(events, "pulse") && has(events, "host") && events.len() > 5).await;
        assert_eq!(retry, Some(Duration::from_secs(1)));
        assert!(events.windows(2).all(|pair| id(&pair[0]) < id(&pair[1])), "ids increase: {events:?}");
        assert_eq!(events.iter().map(|event| &*event.event_type).collect::<HashSet<_>>(), HashSet::from(["pulse", "host"]));
        for event in &events {
            let value: serde_json::Value = serde_json::from_str(&event.data).unwrap();
            let cpu = value["cpu"].as_f64().unwrap();
            assert!((0.0..=100.0).contains(&cpu), "{value}");
            assert!(value["t"].as_u64().unwrap() > 1_600_000_000_000 && value["n"].as_u64().unwrap() > 0, "{value}");
            if event.event_type == "host" {
                let total = value["memory"]["total"].as_u64().unwrap();
                assert!(total > 0 && value["memory"]["used"].as_u64().unwrap() <= total, "{value}");
                assert!(!value["cores"].as_array().unwrap().is_empty(), "{value}");
                for (group, figure) in [("network", "received"), ("network", "sent"), ("disk", "read"), ("disk", "written")] {
                    assert!(value[group][figure].as_u64().is_some(), "{group}.{figure} of {value}");
                }
            }
        }
        feed.stop().await;
    }

    #[actix_rt::test]
    async fn a_reader_that_comes_back_gets_what_it_missed() {
        let feed = start();
        let (first, _) = read(get(&feed.url()), |events| events.len() >= 3).await;
        let (more, _) = read(get(&feed.url()), |events| events.len() >= 6).await;
        let seen = id(&first[0]);
        let (again, _) = read(get(&feed.url()).header("last-event-id", seen), |events| events.len() >= 8).await;
        let known: HashSet<u64> = first.iter().chain(&more).map(id).filter(|&id| id > seen).collect();
        let got: HashSet<u64> = again.iter().map(id).collect();
        assert!(again.iter().all(|event| id(event) > seen), "nothing twice");
        let last = *got.iter().max().unwrap();
        assert!(known.iter().filter(|&&id| id <= last).all(|id| got.contains(id)), "nothing left out: {known:?} of {got:?}");
        feed.stop().await;
    }

    #[actix_rt::test]
    async fn one_reader_too_many_is_told_to_wait_and_stop_ends_them_all() {
        let feed = start();
        let mut bodies = Vec::new();
        for _ in 0..LISTENERS_MAX {
            bodies.push(timeout(DEADLINE, get(&feed.url()).send()).await.unwrap().unwrap());
        }
        let refused = timeout(DEADLINE, get(&feed.url()).send()).await.unwrap().unwrap();
        assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (503, RETRY_AFTER_SECONDS.as_bytes()));
        let elsewhere = timeout(DEADLINE, get(&format!("http://{}/", feed.address())).send()).await.unwrap().unwrap();
        assert_eq!(elsewhere.status().as_u16(), 404);
        timeout(DEADLINE, feed.stop()).await.expect("stops in time");
        for mut body in bodies {
            while timeout(DEADLINE, body.chunk()).await.expect("every stream ends").is_ok_and(|bytes| bytes.is_some()) {}
        }
    }

    #[actix_rt::test]
    async fn a_reader_that_left_is_forgotten() {
        let feed = start();
        let body = timeout(DEADLINE, get(&feed.url()).send()).await.unwrap().unwrap();
        assert_eq!(feed.listeners(), 1);
        drop(body);
        let gone = async {
            while feed.listeners() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await
            }
        };
        timeout(DEADLINE, gone).await.unwrap_or_else(|_| panic!("still {} readers", feed.listeners()));
        feed.stop().await;
    }
}

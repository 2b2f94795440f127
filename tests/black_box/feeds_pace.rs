//! What an event costs and how long it takes on its way from a feed to the first subscriber's socket. A measurement: it only means something
//! for a release build on an idle machine, so it is started by hand (docs/benchmarks.md).

use crate::support::{Codec, Hub};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const FEEDS: usize = 50;
/// One event over all feeds each millisecond.
const EVERY: Duration = Duration::from_millis(1);
const WARM_UP: Duration = Duration::from_secs(3);
const MEASURED: Duration = Duration::from_secs(15);

/// Fifty feeds in one thread, which take turns. The data of an event is the microsecond in which it was written.
struct Feeds {
    address: SocketAddr,
    begun: Instant,
    said: Arc<AtomicU64>,
}

impl Feeds {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let feeds = Self { address: listener.local_addr().expect("bound"), begun: Instant::now(), said: Arc::default() };
        let (begun, said) = (feeds.begun, Arc::clone(&feeds.said));
        std::thread::spawn(move || {
            let mut sockets: Vec<TcpStream> = listener.incoming().map_while(Result::ok).take(FEEDS).map(welcome).collect();
            for turn in 0.. {
                let due = EVERY * turn;
                std::thread::sleep((begun + due).saturating_duration_since(Instant::now()));
                let event = format!("id: {turn}\ndata: {}\n\n", begun.elapsed().as_micros());
                match sockets[turn as usize % FEEDS].write_all(event.as_bytes()) {
                    Err(error) if error.kind() != ErrorKind::Interrupted => return,
                    _ => said.fetch_add(1, Ordering::Relaxed),
                };
            }
        });
        feeds
    }
}

fn welcome(mut socket: TcpStream) -> TcpStream {
    let mut head = Vec::new();
    let mut part = [0; 1_024];
    while !head.ends_with(b"\r\n\r\n") {
        let read = socket.read(&mut part).expect("the hub asks");
        assert!(read > 0, "the hub asks for a feed");
        head.extend_from_slice(&part[..read]);
    }
    socket.set_nodelay(true).expect("a TCP socket");
    socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n").expect("the hub listens");
    socket
}

/// Nanoseconds of CPU time, as the scheduler counts them for each thread (Documentation/scheduler/sched-stats.rst).
#[derive(Default)]
struct CpuTime {
    all: u64,
    /// The thread on which the pool and its connections live, and publish what they read.
    upstream: u64,
}

impl CpuTime {
    fn of(pid: i32) -> Self {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the hub runs").map(|thread| thread.expect("the hub runs").path());
        let read = |thread: &Path, file| std::fs::read_to_string(thread.join(file)).expect("the hub's threads stay");
        threads.fold(Self::default(), |sum, thread| {
            let ns: u64 = read(&thread, "schedstat").split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number");
            let is_upstream = read(&thread, "comm").trim_end() == "feeds";
            Self { all: sum.all + ns, upstream: sum.upstream + if is_upstream { ns } else { 0 } }
        })
    }

    /// Microseconds for each of `events` since `before`: the upstream part, and the whole hub.
    fn per_event(&self, before: &Self, events: u64) -> (f64, f64) {
        let us = |ns: u64| ns as f64 / 1_000.0 / events as f64;
        (us(self.upstream - before.upstream), us(self.all - before.all))
    }
}

/// As long as a hub that nobody told otherwise lets what comes gather (`upstream.pool.coalesce`).
const COALESCE: Duration = Duration::from_millis(3);

/// What is the least that a thread spends on these events: it stays away for `pause`, waits, and reads, and looks at nothing. Microseconds for each.
fn bare_reader_us(pause: Duration) -> f64 {
    let feeds = Feeds::start();
    let (address, said) = (feeds.address, Arc::clone(&feeds.said));
    let reader = std::thread::spawn(move || {
        let sockets: Vec<TcpStream> = (0..FEEDS).map(|_| TcpStream::connect(address).expect("the feeds listen")).collect();
        // SAFETY: calls of epoll(7) with descriptors that live as long as `sockets`, and an array whose length is told.
        let epoll = unsafe { libc::epoll_create1(0) };
        for mut socket in &sockets {
            socket.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("the feeds listen");
            let mut interest = libc::epoll_event { events: libc::EPOLLIN as u32, u64: socket.as_raw_fd() as u64 };
            assert_eq!(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &raw mut interest) }, 0);
        }
        let own_ns = || -> u64 {
            let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("this thread runs");
            stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number")
        };
        let (mut buffer, mut ready) = ([0_u8; 8_192], [libc::epoll_event { events: 0, u64: 0 }; FEEDS]);
        let (begun, mut start) = (Instant::now(), None);
        loop {
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
            let count = unsafe { libc::epoll_wait(epoll, ready.as_mut_ptr(), FEEDS as i32, 1_000) };
            for event in &ready[..usize::try_from(count).expect("the sockets are there")] {
                let socket = sockets.iter().find(|socket| socket.as_raw_fd() as u64 == event.u64);
                let read = socket.map(|mut socket| socket.read(&mut buffer).expect("the feeds go on"));
                assert!(read.is_some_and(|bytes| bytes > 0), "the feeds go on");
            }
            match start {
                None if begun.elapsed() > WARM_UP => start = Some((own_ns(), said.load(Ordering::Relaxed))),
                Some((ns, events)) if begun.elapsed() > WARM_UP + MEASURED => {
                    unsafe { libc::close(epoll) };
                    return (own_ns() - ns) as f64 / 1_000.0 / (said.load(Ordering::Relaxed) - events) as f64;
                }
                _ => {}
            }
        }
    });
    reader.join().expect("the reader reads")
}

#[tokio::test]
#[ignore = "measures; for a release build on an idle machine"]
async fn a_thousand_events_a_second_over_fifty_feeds() {
    let feeds = Feeds::start();
    let entry = |nth: usize| json!({ "name": format!("feed{nth}"), "url": format!("http://{}/{nth}", feeds.address), "channel": "ticks" });
    let entries: Vec<_> = (0..FEEDS).map(entry).collect();
    let hub = Hub::start(json!({ "upstream": { "feeds": entries, "pool": { "start_rate": 1_000, "start_burst": 1_000 } } })).await;

    // Nobody listens: what is left is reading, deciding and handing on.
    tokio::time::sleep(WARM_UP).await;
    let (before, said) = (CpuTime::of(hub.pid()), feeds.said.load(Ordering::Relaxed));
    tokio::time::sleep(MEASURED).await;
    let (after, said) = (CpuTime::of(hub.pid()), feeds.said.load(Ordering::Relaxed) - said);
    let (upstream_us, all_us) = after.per_event(&before, said);
    assert!(upstream_us > 0.0, "no thread is called feeds");
    let (woken_us, paced_us) = tokio::task::spawn_blocking(|| (bare_reader_us(Duration::ZERO), bare_reader_us(COALESCE))).await.expect("they read");
    assert!(said > MEASURED.as_millis() as u64 / 2, "the feeds kept their pace: {said}");

    let mut client = hub.connect(Codec::Json).await;
    client.subscribe("ticks").await;
    let (mut late_us, until) = (Vec::new(), Instant::now() + WARM_UP + MEASURED);
    while Instant::now() < until {
        let written = client.publication("ticks").await["data"].as_u64().expect("a number");
        late_us.push(feeds.begun.elapsed().as_micros() as u64 - written);
    }
    late_us.drain(..late_us.len() / 6);
    late_us.sort_unstable();
    let at = |percent: usize| late_us[late_us.len() * percent / 100];
    println!(
        "{said} events over {FEEDS} feeds in {MEASURED:?}: {upstream_us:.1} µs CPU an event for the upstream part, {all_us:.1} µs for the whole hub (a thread that only waits and reads: {woken_us:.1} µs, and {paced_us:.1} µs woken once in {COALESCE:?}); to the first subscriber p50 {} µs, p99 {} µs, longest {} µs of {}",
        at(50),
        at(99),
        late_us[late_us.len() - 1],
        late_us.len(),
    );
    client.leave().await;
}

//! A server that is not ours: nginx with the nchan module as EventSource server, killed, restarted, stalled, and cut off.

use crate::support::*;
use aether::demo::{DemoFeed, DemoSettings};
use aether::upstream::{FeedLimits, State};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const NGINX: &str = "/usr/sbin/nginx";
const NCHAN: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// nginx with one channel: POST /publish, GET /events. Messages are kept, so that `Last-Event-ID` can bring them back.
struct Nginx {
    address: SocketAddr,
    directory: TempDir,
    process: Child,
}

impl Nginx {
    /// `None`, said aloud, where it is not installed.
    async fn start() -> Option<Self> {
        if ![NGINX, NCHAN].iter().all(|file| Path::new(file).exists()) {
            eprintln!("skipped: {NGINX} with {NCHAN} is not installed (Debian: nginx-light, libnginx-mod-nchan)");
            return None;
        }
        // The port is free now and hardly taken by another in the moment until nginx has it; a restart needs the same one.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let configuration = format!(
            "load_module {NCHAN};
            user root;
            daemon off;
            worker_processes 1;
            pid nginx.pid;
            error_log stderr notice;
            events {{ worker_connections 64; }}
            http {{
                access_log off;
                client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                nchan_message_buffer_length 10000;
                nchan_message_timeout 5m;
                server {{
                    listen {address};
                    location = /publish {{ nchan_publisher; nchan_channel_id c; }}
                    location = /events {{ nchan_subscriber eventsource; nchan_channel_id c; nchan_subscriber_first_message newest; }}
                }}
            }}"
        );
        std::fs::write(directory.path().join("nginx.conf"), configuration).unwrap();
        let process = spawn(directory.path());
        let mut nginx = Self { address, directory, process };
        nginx.await_ready().await;
        Some(nginx)
    }

    async fn await_ready(&mut self) {
        let begun = std::time::Instant::now();
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            let log = || std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < DEADLINE && self.process.try_wait().unwrap().is_none(), "nginx does not listen:\n{}", log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    async fn publish(&self, messages: impl IntoIterator<Item = u32>) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for message in messages {
            let post = client.post(format!("http://{}/publish", self.address)).body(message.to_string()).send();
            let status = in_time("publishing", post).await.unwrap().status();
            assert!(status.is_success(), "{message}: {status}");
        }
    }

    /// To the master and its workers.
    fn signal(&self, signal: libc::c_int) {
        // SAFETY: kill(2) touches no memory of ours; the group is that of a child which has not been waited for.
        assert_eq!(unsafe { libc::kill(-(self.process.id() as libc::pid_t), signal) }, 0);
    }

    fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        self.process.wait().unwrap();
    }

    async fn restart(&mut self) {
        self.process = spawn(self.directory.path());
        self.await_ready().await;
    }
}

fn spawn(directory: &Path) -> Child {
    let log = std::fs::File::create(directory.join("log")).unwrap();
    let mut command = Command::new(NGINX);
    command.arg("-p").arg(directory).args(["-c", "nginx.conf"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
    command.spawn().unwrap()
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            self.kill();
        }
    }
}

fn numbers(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

async fn until_published(world: &World, expected: Vec<String>) {
    eventually(&format!("{} events", expected.len()), || world.show(), || (world.broker.data() == expected).then_some(())).await;
}

#[actix_rt::test]
async fn what_a_foreign_server_says_is_published_with_its_ids() {
    let Some(nginx) = Nginx::start().await else { return };
    let world = World::reading(&nginx.url(), quick());
    world.until("open", |feed| feed.state == State::Open).await;
    nginx.publish(1..=100).await;
    until_published(&world, numbers(1..=100)).await;
    let records = world.broker.records().clone();
    assert!(records.iter().all(|record| record.channel == "ticks:message" && record.id.is_some()), "{:?}", records[0]);
    world.stop().await;
}

/// The network between is cut in the middle of the stream, ten times, while messages keep coming: each arrives, once, in order.
#[actix_rt::test]
async fn nothing_is_lost_over_a_cut_wire() {
    let Some(nginx) = Nginx::start().await else { return };
    let wire = Wire::to(nginx.address).await;
    let world = World::reading(&format!("http://{}/events", wire.address), quick());
    world.until("open", |feed| feed.state == State::Open).await;
    nginx.publish(1..=10).await;
    until_published(&world, numbers(1..=10)).await;
    for round in 1..=10 {
        let first = round * 10 + 1;
        nginx.publish(first..=first + 3).await;
        wire.cut();
        nginx.publish(first + 4..=first + 7).await;
        world.until("noticed", |feed| !matches!(feed.state, State::Open | State::Stalled)).await;
        wire.heal();
        nginx.publish(first + 8..=first + 9).await;
        until_published(&world, numbers(1..=first + 9)).await;
    }
    world.stop().await;
}

#[actix_rt::test]
async fn a_killed_server_is_found_again_when_it_is_back() {
    let Some(mut nginx) = Nginx::start().await else { return };
    let world = World::reading(&nginx.url(), quick());
    world.until("open", |feed| feed.state == State::Open).await;
    for round in 1..=3 {
        let reconnects = world.feed().reconnects;
        nginx.publish(round * 10..=round * 10).await;
        let last = (round * 10).to_string();
        eventually("published", || world.show(), || (world.broker.data().last() == Some(&last)).then_some(())).await;
        nginx.kill();
        let down = world.until("noticed", |feed| feed.state.is_waiting() && feed.reconnects > reconnects + 1).await;
        assert!(down.reason.is_some_and(|reason| matches!(reason.as_str(), "refused" | "rst" | "eof")), "{down:?}");
        // Its memory died with it: what it says from now on is all there is.
        nginx.restart().await;
        world.until("open", |feed| feed.state == State::Open).await;
    }
    assert_eq!(world.broker.data(), ["10", "20", "30"]);
    world.stop().await;
}

/// All of nginx is frozen: connections stay up and nothing comes, new ones are accepted by the kernel and not answered.
#[actix_rt::test]
async fn a_stalled_server_is_given_up_and_resumed_when_it_moves_again() {
    let Some(nginx) = Nginx::start().await else { return };
    let limits = FeedLimits { idle_timeout: Duration::from_millis(800), connect_timeout: Duration::from_millis(400), ..quick() };
    let world = World::reading(&nginx.url(), limits);
    world.until("open", |feed| feed.state == State::Open).await;
    nginx.publish(1..=5).await;
    until_published(&world, numbers(1..=5)).await;
    nginx.signal(libc::SIGSTOP);
    world.until("stalled", |feed| feed.state == State::Stalled).await;
    world.until("given up, and not answered", |feed| feed.reason.is_some_and(|reason| reason.as_str() == "timeout")).await;
    nginx.signal(libc::SIGCONT);
    nginx.publish(6..=10).await;
    until_published(&world, numbers(1..=10)).await;
    world.stop().await;
}

/// Not foreign, but read as if it were: over HTTP, with resume when the feed is started anew on the same port.
#[actix_rt::test]
async fn the_demo_feed_is_read_like_any_other() {
    let demo = DemoFeed::start(&DemoSettings::default()).unwrap();
    let world = World::reading(&demo.url(), quick());
    let has = |event: &str| world.broker.records().iter().any(|record| record.channel == format!("ticks:{event}")).then_some(());
    eventually("both types", || world.show(), || has("pulse").and(has("host"))).await;
    let settings = DemoSettings { address: demo.address(), ..DemoSettings::default() };
    in_time("the stop of the demo feed", demo.stop()).await;
    let seen = world.broker.records().len();
    let demo = DemoFeed::start(&settings).unwrap();
    eventually("more after a restart", || world.show(), || (world.broker.records().len() > seen + 5).then_some(())).await;
    let ids: Vec<u64> = world.broker.records().iter().map(|record| record.id.as_ref().unwrap().parse().unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "ids increase, over the restart too: {ids:?}");
    in_time("the stop of the demo feed", demo.stop()).await;
    world.stop().await;
}

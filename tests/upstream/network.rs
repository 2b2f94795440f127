//! Networks that fail without a word: a black hole, a peer that died, a connection that is killed. In namespaces of their own (namespaces(7)),
//! which only root may make and which end with the process: the machine's own network is not touched. Elsewhere they are skipped, and say so.
//!
//! The feed listens in a second network namespace, behind a pair of virtual cables. Packets are lost by sending them to a hardware address that
//! nobody has: neither side is told anything, which no firewall and no closed port can imitate.

use crate::source::{Fault, Source};
use crate::support::*;
use aether::upstream::{FeedLimits, Reason, State};
use std::fs::File;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Ours and the feed's, addresses and hardware addresses, and one that nobody has.
const OURS: (&str, &str) = ("10.203.0.1", "02:00:00:00:00:01");
const THEIRS: (&str, &str) = ("10.203.0.2", "02:00:00:00:00:02");
const NOBODY: &str = "02:00:00:00:00:99";

#[test]
fn a_network_that_fails_without_a_word_is_noticed_and_survived() {
    let can =
        Command::new("unshare").args(["--net", "--mount", "--", "ip", "link", "add", "ours", "type", "veth", "peer", "name", "theirs"]).output();
    if !can.as_ref().is_ok_and(|can| can.status.success()) {
        println!("skipped: networks of their own need root, unshare(1) and ip(8), and a kernel with veth: {can:?}");
        return;
    }
    let myself = std::env::current_exe().unwrap();
    for name in ["a_black_hole_in_namespaces", "a_peer_that_died_in_namespaces", "a_killed_connection_in_namespaces"] {
        let mut run = Command::new("unshare");
        run.args(["--net", "--mount", "--"]).arg(&myself).args(["--exact", &format!("network::{name}"), "--ignored", "--nocapture"]);
        let run = run.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success() && said.contains("network:"), "{name}: {said}");
        said.lines().filter(|line| line.contains("network:")).for_each(|line| println!("{line}"));
    }
}

fn run(line: &str) -> Output {
    let words: Vec<&str> = line.split(' ').collect();
    Command::new(words[0]).args(&words[1..]).output().unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn must(line: &str) {
    let output = run(line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Two network namespaces and the cable between them. Only in a process that has a network and mounts of its own, which end with it.
struct Network;

impl Network {
    fn new() -> Self {
        // What `ip netns` leaves in the file system is left in one that only this process sees.
        must("mount -t tmpfs none /run");
        must("ip netns add feed");
        must(&format!("ip link add ours address {} type veth peer name theirs address {} netns feed", OURS.1, THEIRS.1));
        must(&format!("ip addr add {}/24 dev ours", OURS.0));
        must(&format!("ip -n feed addr add {}/24 dev theirs", THEIRS.0));
        for line in ["ip link set lo up", "ip link set ours up", "ip -n feed link set lo up", "ip -n feed link set theirs up"] {
            must(line);
        }
        let network = Self;
        network.mend();
        network
    }

    fn send_to(&self, ours: &str, theirs: &str) {
        must(&format!("ip neigh replace {} lladdr {theirs} dev ours nud permanent", THEIRS.0));
        must(&format!("ip -n feed neigh replace {} lladdr {ours} dev theirs nud permanent", OURS.0));
    }

    /// What either side sends is lost.
    fn swallow(&self) {
        self.send_to(NOBODY, NOBODY);
    }

    fn mend(&self) {
        self.send_to(OURS.1, THEIRS.1);
    }

    /// A socket belongs to the namespace of the thread that made it, so one made over there can be served from here.
    fn listener(&self) -> TcpListener {
        let over_there = std::thread::spawn(|| {
            let namespace = File::open("/run/netns/feed").unwrap();
            // SAFETY: changes the namespace of this thread alone, and takes a descriptor that is open.
            let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
            TcpListener::bind((THEIRS.0, 0)).unwrap()
        });
        over_there.join().unwrap()
    }
}

async fn flowing(limits: FeedLimits) -> (Network, Source, World) {
    let network = Network::new();
    let source = Source::listening(network.listener(), Duration::from_millis(10));
    let world = World::reading(&source.url(), limits);
    world.until("flowing", |feed| feed.events > 10).await;
    (network, source, world)
}

/// Waits until what was said last of all comes; then everything has come, once and in order.
async fn flows_again(world: &World, source: &Source, since: Instant, what: &str) {
    let latest = source.count();
    world.until("flowing again", |feed| feed.last_event_id.parse().is_ok_and(|id: u64| id > latest)).await;
    println!("network: {what}: flowing again after {:?}", since.elapsed());
    let numbers: Vec<u64> = world.broker.data().iter().map(|data| data.parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert_eq!(world.broker.gaps(), Vec::<String>::new());
}

#[actix_rt::test]
#[ignore = "started by the test above, in namespaces of its own"]
async fn a_black_hole_in_namespaces() {
    let limits = FeedLimits { idle_timeout: Duration::from_millis(600), connect_timeout: Duration::from_millis(300), ..quick() };
    let (network, source, world) = flowing(limits).await;
    network.swallow();
    world.until("stalled", |feed| feed.state == State::Stalled).await;
    world.until("given up", |feed| feed.reason == Some(Reason::Idle) && feed.state.is_waiting()).await;
    world.until("tried in vain", |feed| feed.reason == Some(Reason::Timeout) && feed.failed_attempts >= 3).await;
    let mended = Instant::now();
    network.mend();
    flows_again(&world, &source, mended, "black hole").await;
    world.stop().await;
}

#[actix_rt::test]
#[ignore = "started by the test above, in namespaces of its own"]
async fn a_peer_that_died_in_namespaces() {
    // Silence alone says nothing for a long time; what notices are the probes of TCP.
    let limits = FeedLimits { idle_timeout: Duration::from_secs(600), tcp_keepalive: Duration::from_secs(1), ..quick() };
    let (network, source, world) = flowing(limits).await;
    network.swallow();
    // Its connections are gone there, and the resets that would tell are lost.
    source.break_with(Fault::Rst);
    eventually("gone there", || world.show(), || (source.open_connections() == 0).then_some(())).await;
    source.heal();
    assert_eq!(world.feed().state, State::Open, "here it is half open: {:?}", world.feed());
    let mended = Instant::now();
    network.mend();
    world.until("noticed", |feed| feed.reason == Some(Reason::Rst)).await;
    flows_again(&world, &source, mended, "peer that died").await;
    world.stop().await;
}

#[actix_rt::test]
#[ignore = "started by the test above, in namespaces of its own"]
async fn a_killed_connection_in_namespaces() {
    let (_network, source, world) = flowing(quick()).await;
    let killed = Instant::now();
    let kill = run(&format!("ss --kill --tcp dst {}", THEIRS.0));
    let (said, complained) = (String::from_utf8_lossy(&kill.stdout), String::from_utf8_lossy(&kill.stderr));
    if !kill.status.success() || !complained.is_empty() || !said.contains(THEIRS.0) {
        println!("network: killed connection: skipped, ss(8) cannot kill on this kernel (CONFIG_INET_DIAG_DESTROY): {}", complained.trim());
        return world.stop().await;
    }
    world.until("noticed", |feed| feed.errors == 1).await;
    flows_again(&world, &source, killed, "killed connection").await;
    world.stop().await;
}

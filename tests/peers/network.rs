//! A network between this process and somewhere else that can fail without a word: packets are lost by sending them to a hardware address that nobody
//! has. Neither side is told anything, which no firewall and no closed port can imitate. In namespaces of their own (namespaces(7)), which only root may
//! make and which end with the process: the machine's own network is not touched.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::{Command, Output};

/// Ours and theirs, addresses and hardware addresses, and one that nobody has.
const OURS: (&str, &str) = ("10.203.0.1", "02:00:00:00:00:01");
const THEIRS: (&str, &str) = ("10.203.0.2", "02:00:00:00:00:02");
const NOBODY: &str = "02:00:00:00:00:99";

/// Runs these tests of this program, by their whole names, each in namespaces of its own. Where there can be none, they are skipped, and it says so.
pub fn in_namespaces(tests: &[&str]) {
    let can =
        Command::new("unshare").args(["--net", "--mount", "--", "ip", "link", "add", "ours", "type", "veth", "peer", "name", "theirs"]).output();
    if !can.as_ref().is_ok_and(|can| can.status.success()) {
        println!("skipped: networks of their own need root, unshare(1) and ip(8), and a kernel with veth: {can:?}");
        return;
    }
    let myself = std::env::current_exe().unwrap();
    for name in tests {
        let mut run = Command::new("unshare");
        run.args(["--net", "--mount", "--"]).arg(&myself).args(["--exact", name, "--ignored", "--nocapture"]);
        let run = run.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success() && said.contains("network:"), "{name}: {said}");
        said.lines().filter(|line| line.contains("network:")).for_each(|line| println!("{line}"));
    }
}

pub fn run(line: &str) -> Output {
    let words: Vec<&str> = line.split(' ').collect();
    Command::new(words[0]).args(&words[1..]).output().unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn must(line: &str) {
    let output = run(line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Two network namespaces and the cable between them. Only in a process that has a network and mounts of its own, which end with it.
pub struct Network;

impl Network {
    /// The address here, and the one over there.
    pub const ADDRESSES: (&'static str, &'static str) = (OURS.0, THEIRS.0);

    pub fn new() -> Self {
        // What `ip netns` leaves in the file system is left in one that only this process sees.
        must("mount -t tmpfs none /run");
        must("ip netns add there");
        must(&format!("ip link add ours address {} type veth peer name theirs address {} netns there", OURS.1, THEIRS.1));
        must(&format!("ip addr add {}/24 dev ours", OURS.0));
        must(&format!("ip -n there addr add {}/24 dev theirs", THEIRS.0));
        for line in ["ip link set lo up", "ip link set ours up", "ip -n there link set lo up", "ip -n there link set theirs up"] {
            must(line);
        }
        let network = Self;
        network.mend();
        network
    }

    fn send_to(&self, ours: &str, theirs: &str) {
        must(&format!("ip neigh replace {} lladdr {theirs} dev ours nud permanent", THEIRS.0));
        must(&format!("ip -n there neigh replace {} lladdr {ours} dev theirs nud permanent", OURS.0));
    }

    /// What either side sends is lost.
    pub fn swallow(&self) {
        self.send_to(NOBODY, NOBODY);
    }

    pub fn mend(&self) {
        self.send_to(OURS.1, THEIRS.1);
    }

    /// Works in a thread that is over there. A socket belongs to the namespace of the thread that made it, so one made there can be used here.
    pub fn over_there<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let there = || {
            let namespace = File::open("/run/netns/there").unwrap();
            // SAFETY: changes the namespace of this thread alone, and takes a descriptor that is open.
            let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
            work()
        };
        std::thread::scope(|scope| scope.spawn(there).join().unwrap())
    }
}

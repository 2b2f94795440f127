//! A second server that is not ours: better-sse, a library of Node. It ends its answers often, and sends comments and `retry:` between events.

use crate::support::*;
use aether::upstream::State;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

struct BetterSse {
    process: Child,
    port: u16,
}

impl BetterSse {
    /// `None`, said aloud, where it is not installed.
    fn start(count: usize, per_connection: usize) -> Option<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/upstream_oracle");
        if !folder.join("node_modules/better-sse").exists() {
            eprintln!("skipped: tests/upstream_oracle is not installed (npm ci)");
            return None;
        }
        let mut command = Command::new("node");
        command.args(["server.mjs", &count.to_string(), &per_connection.to_string()]).current_dir(folder);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Some(Self { process, port: port.trim().parse().unwrap() })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

impl Drop for BetterSse {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[actix_rt::test]
async fn each_event_comes_once_however_often_the_answer_ends() {
    let Some(server) = BetterSse::start(500, 50) else { return };
    let world = World::reading(&server.url(), quick());
    let expected: Vec<String> = (1..=500).map(|number| format!("{{\"number\":{number}}}")).collect();
    eventually("all events", || world.show(), || (world.broker.data() == expected).then_some(())).await;
    let records = world.broker.records().clone();
    assert!(records.iter().enumerate().all(|(index, record)| record.id == Some((index + 1).to_string())), "{:?}", records[0]);
    assert!(records.iter().all(|record| record.channel == "ticks:tick"), "{:?}", records[0]);
    assert_eq!((world.feed().reconnects, world.feed().gaps, world.feed().state), (9, 0, State::Open));
    world.stop().await;
}

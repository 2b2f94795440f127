//! `aether demo-feed`: the demo feed alone, to be read by a hub, a browser or curl.

use crate::demo::{DemoFeed as Feed, DemoSettings};
use anyhow::Context;
use clap::Args;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Serve live figures of this machine (CPU, memory, network, disk) as server-sent events
///
/// Two types of events: `pulse` with the CPU, ten times a second, and `host` with everything, once a second.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct DemoFeed {
    /// Where to listen. Port 0: any free one
    #[arg(short, long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8100")]
    address: SocketAddr,

    /// Milliseconds between two `pulse` events
    #[arg(short, long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    interval_ms: u64,
}

const EXAMPLES: &str = "\
Examples:
  aether demo-feed
  curl -N http://127.0.0.1:8100/events      look at it

Read it with a hub:
  [[upstream.feeds]]
  name = \"demo\"
  url = \"http://127.0.0.1:8100/events\"
  channel = \"demo:{event}\"";

impl DemoFeed {
    /// Serves until SIGINT or SIGTERM.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        actix_rt::System::new().block_on(async {
            let settings = DemoSettings { address: self.address, interval: Duration::from_millis(self.interval_ms) };
            let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            let feed = Feed::start(&settings).with_context(|| format!("cannot serve on {}", self.address))?;
            super::print(&format!("demo feed at {}\n", feed.url()))?;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            feed.stop().await;
            Ok(ExitCode::SUCCESS)
        })
    }
}

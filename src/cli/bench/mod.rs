//! `aether bench`: puts a load on a hub and checks every message of it.
//!
//! For operators (how much does my machine carry?) and for `make bench`, which measures Aether beside other servers: the tool therefore speaks
//! more than our own protocol, and of the hub's code it has the reading of deltas alone. It is one thread: it shares the machine with the server, and what
//! it uses the server has not.
//!
//! It does not imitate users: all connections do the same, at once, and the payload is its own.

mod connection;
mod deltas;
mod engine;
mod epoll;
mod ledger;
mod process;
mod report;
mod scenarios;
mod stamp;

use super::target::{self, Target, Trust};
use crate::cli::wire::Codec;
use crate::units::HumanDuration;
use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use engine::{Pace, Plan, Protocol, PublishBy};
use std::path::PathBuf;
use std::process::ExitCode;

/// More than one process can sensibly hold, and a bound for every list in here.
const CONNECTIONS_MAX: usize = 1_000_000;
/// A run ends, whatever was asked.
const DURATION_MAX: HumanDuration = HumanDuration::from_secs(24 * 3_600);
/// Connections of one source address, by default: below the ports that one address has, and below what hubs allow one address.
const CONNECTIONS_PER_SOURCE: usize = 250;

const EXAMPLES: &str = "\
Examples:
  aether bench --connections 1000 --rate 100 --pid $(pidof aether)
  aether bench idle --url wss://127.0.0.1:8443 --insecure -n 10000 --pid $(pidof aether)
  aether bench http-publish --api-key KEY --connections 5000 --json";

/// Put a load on a hub, check every message, measure what it costs.
///
/// Scenarios:
///   fanout        N subscribers get what is published at --rate: deliveries/s, latency, CPU each
///   http-publish  N channels of one subscriber, published by HTTP over --lanes connections
///   idle          N subscribers that do nothing: memory of each, and what stays after they left
///   connect       N subscribers come: connections/s, CPU of each connect and subscribe
///   recovery      N subscribers leave, miss --missed messages, and come back all at once
///
/// Clients connect without a token unless --token gives one, so that the hub must allow anonymous
/// clients to connect, subscribe and publish. The exit code is 1 when a message was lost, duplicated
/// or out of order, or a connection was closed.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_long_help = EXAMPLES)]
pub struct Bench {
    /// What to do
    #[arg(value_enum, default_value = "fanout")]
    scenario: Scenario,

    /// Where subscribers connect; {channel} in it stands for the channel's name. Without a path: /connection/websocket
    #[arg(long, default_value = "ws://127.0.0.1:8000")]
    url: String,

    /// What the server speaks. raw-ws: one payload a text frame, the channel is in the URL, a publisher sends "CHANNEL\nPAYLOAD"
    #[arg(long, value_enum, default_value = "centrifuge-json")]
    protocol: ProtocolName,

    /// Subscribers
    #[arg(long, short = 'n', default_value_t = 1_000)]
    connections: usize,

    /// The channel's name; with --channels the beginning of the names (NAME-0, NAME-1, …)
    #[arg(long, default_value = "bench")]
    channel: String,

    /// Spread the subscribers over so many channels [default: 1; http-publish: one for each connection]
    #[arg(long)]
    channels: Option<usize>,

    /// Connection token (JWT) of all connections
    #[arg(long, default_value = "", hide_default_value = true, env = "AETHER_BENCH_TOKEN", hide_env_values = true)]
    token: String,

    /// Publications a second over all channels, or "max": as many as are delivered [default: 100; http-publish: max]
    #[arg(long)]
    rate: Option<Rate>,

    /// With "--rate max": publications that may be on their way to their subscribers
    #[arg(long, default_value_t = 256)]
    window: u64,

    /// How to publish [default: ws; http-publish and sse: http]
    #[arg(long, value_enum)]
    publish: Option<PublishName>,

    /// Where to publish; {channel} as above [default: for ws as --url, for http /api/publish of the same server]
    #[arg(long)]
    publish_url: Option<String>,

    /// Sent as X-API-Key with HTTP publications, which are then those of the server API, whatever the subscribers speak
    #[arg(long, env = "AETHER_BENCH_API_KEY", hide_env_values = true)]
    api_key: Option<String>,

    /// Parallel connections for HTTP publications
    #[arg(long, default_value_t = 32)]
    lanes: usize,

    /// How long to measure (idle: how long to stay)
    #[arg(long, default_value = "10s", value_parser = HumanDuration::parse)]
    duration: HumanDuration,

    /// How long to publish before measuring
    #[arg(long, default_value = "2s", value_parser = HumanDuration::parse)]
    warmup: HumanDuration,

    /// How long to wait at the end for messages on their way, and for a server to give memory back
    #[arg(long, default_value = "15s", value_parser = HumanDuration::parse)]
    settle: HumanDuration,

    /// Bytes of a payload
    #[arg(long, default_value_t = 128)]
    size: usize,

    /// Subscribers take deltas; with centrifuge-json, where the namespace allows it
    #[arg(long)]
    delta: bool,

    /// Messages that each client of the recovery scenario misses; the server must keep as many
    #[arg(long, default_value_t = 100)]
    missed: u64,

    /// Process ids of the server on this machine, for its CPU time and memory
    #[arg(long, value_delimiter = ',')]
    pid: Vec<i32>,

    /// Connections that are being made at one time [default: 128; recovery: 1024, all at once as after a deploy]
    #[arg(long)]
    connect_window: Option<usize>,

    /// Source addresses 127.0.0.2 and up, when the server is on this machine [default: one for 250 connections]
    #[arg(long)]
    sources: Option<usize>,

    /// Certificates (PEM) that vouch for a wss or https server
    #[arg(long, conflicts_with = "insecure")]
    ca: Option<PathBuf>,

    /// Believe any certificate
    #[arg(long)]
    insecure: bool,

    /// Print the figures as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    Fanout,
    HttpPublish,
    Idle,
    Connect,
    Recovery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ProtocolName {
    CentrifugeJson,
    CentrifugeProtobuf,
    RawWs,
    Sse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PublishName {
    Ws,
    Http,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rate {
    Max,
    PerSecond(f64),
}

impl std::str::FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "max" => Ok(Self::Max),
            Ok(rate) if (0.001..=10e6).contains(&rate) => Ok(Self::PerSecond(rate)),
            _ => Err("write a number of publications a second between 0.001 and 10000000, or \"max\"".to_string()),
        }
    }
}

impl Bench {
    /// Runs the scenario, prints the report, and tells by the exit code whether every message arrived as it should.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let report = scenarios::run(&self)?;
        if self.json {
            println!("{}", serde_json::to_string(&report).context("cannot write the report as JSON")?);
        } else {
            print!("{}", report.text());
        }
        Ok(if report.integrity.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let within = |name: &str, value: usize, low: usize, high: usize| {
            ensure!((low..=high).contains(&value), "--{name} is {value}, but must be from {low} to {high}");
            Ok(value)
        };
        let subscribers = within("connections", self.connections, 1, CONNECTIONS_MAX)?;
        let channel_count = within("channels", self.channels.unwrap_or(self.default_channels()), 1, subscribers)?;
        for (name, duration) in [("duration", self.duration), ("warmup", self.warmup), ("settle", self.settle)] {
            ensure!(!duration.is_negative() && duration <= DURATION_MAX, "--{name} must be from 0s to {DURATION_MAX}");
        }
        ensure!(self.duration.is_positive() || self.scenario == Scenario::Connect, "--duration must be longer than nothing");
        // Names go into commands and URLs as they are.
        ensure!(
            !self.channel.is_empty()
                && self.channel.len() <= 200
                && self.channel.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-:.".contains(&byte)),
            "--channel may hold 1 to 200 letters, digits and \"_-:.\""
        );
        let channels = match channel_count {
            1 => vec![self.channel.clone()],
            count => (0..count).map(|index| format!("{}-{index}", self.channel)).collect(),
        };

        let protocol = match self.protocol {
            ProtocolName::CentrifugeJson => Protocol::Centrifuge(Codec::Json),
            ProtocolName::CentrifugeProtobuf => Protocol::Centrifuge(Codec::Protobuf),
            ProtocolName::RawWs => Protocol::RawWebSocket,
            ProtocolName::Sse => Protocol::EventStream,
        };
        let mut target = Target::parse(&self.url)?;
        if matches!(protocol, Protocol::Centrifuge(_)) {
            if !target.has_path() {
                target = target.with_path("/connection/websocket");
            }
        } else {
            ensure!(target.names_channel(), "with this --protocol the channel is in the URL: write {{channel}} where it stands in --url");
        }
        ensure!(!self.delta || protocol == Protocol::Centrifuge(Codec::Json), "--delta needs --protocol centrifuge-json");
        ensure!(!self.delta || self.scenario != Scenario::Recovery, "--delta is not for the recovery scenario");
        let publish_by = self.publish_by(protocol, &target)?;
        let is_secure = |by: &PublishBy| match by {
            PublishBy::WebSocket { target } | PublishBy::Http { target, .. } => target.is_secure,
        };
        let tls = match (&self.ca, self.insecure) {
            _ if !target.is_secure && !publish_by.as_ref().is_some_and(is_secure) => None,
            (Some(path), _) => Some(target::tls_config(Trust::Authority(path))?),
            (None, true) => Some(target::tls_config(Trust::Anyone)?),
            (None, false) => anyhow::bail!("a wss or https server needs --ca FILE or, for a development certificate, --insecure"),
        };
        Ok(Plan {
            target,
            protocol,
            tls,
            token: self.token.clone(),
            channels,
            subscribers,
            takes_deltas: self.delta,
            payload_bytes: within("size", self.size, stamp::SIZE_MIN, stamp::SIZE_MAX)?,
            publish_by,
            connect_window: within("connect-window", self.connect_window.unwrap_or(self.default_connect_window()), 1, 4_096)?,
            // Two hundred and fifty in each third byte, as far as that goes.
            sources: within("sources", self.sources.unwrap_or(subscribers.div_ceil(CONNECTIONS_PER_SOURCE)), 1, 60_000)?,
        })
    }

    fn default_channels(&self) -> usize {
        if self.scenario == Scenario::HttpPublish { self.connections } else { 1 }
    }

    fn default_connect_window(&self) -> usize {
        if self.scenario == Scenario::Recovery { 1_024 } else { 128 }
    }

    fn publish_by(&self, protocol: Protocol, target: &Target) -> anyhow::Result<Option<PublishBy>> {
        if matches!(self.scenario, Scenario::Idle | Scenario::Connect) {
            return Ok(None);
        }
        let is_http_by_default = self.scenario == Scenario::HttpPublish || protocol == Protocol::EventStream;
        let url = self.publish_url.as_deref().map(Target::parse).transpose()?;
        let by = match self.publish.unwrap_or(if is_http_by_default { PublishName::Http } else { PublishName::Ws }) {
            PublishName::Ws => {
                ensure!(protocol != Protocol::EventStream, "an event stream takes no publications: use --publish http");
                let own = matches!(protocol, Protocol::Centrifuge(_)).then(|| target.clone());
                PublishBy::WebSocket { target: url.or(own).context("with --protocol raw-ws the publisher needs --publish-url")? }
            }
            PublishName::Http => {
                ensure!((1..=4_096).contains(&self.lanes), "--lanes is {}, but must be from 1 to 4096", self.lanes);
                if let Some(key) = &self.api_key {
                    ensure!(key.bytes().all(|byte| byte.is_ascii_graphic()), "--api-key must be of printable ASCII characters");
                }
                // The API's envelope goes where the API is, which is where a key for it is shown; everybody else gets the payload as it is.
                let is_api = matches!(protocol, Protocol::Centrifuge(_)) || self.api_key.is_some();
                let own = is_api.then(|| target.with_path("/api/publish"));
                let target = url.or(own).context("with this --protocol publishing by HTTP needs --publish-url")?;
                PublishBy::Http { target, api_key: self.api_key.clone(), lanes: self.lanes, is_api }
            }
        };
        Ok(Some(by))
    }

    fn pace(&self) -> Pace {
        let default = if self.scenario == Scenario::HttpPublish { Rate::Max } else { Rate::PerSecond(100.0) };
        match self.rate.unwrap_or(default) {
            Rate::Max => Pace::Max { window: self.window.max(1) },
            Rate::PerSecond(rate) => Pace::Rate(rate),
        }
    }
}

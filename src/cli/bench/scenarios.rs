//! The scenarios: what connects, when it publishes, what is measured between which moments.

use super::engine::{Begin, Engine};
use super::process::{self, Resident, Server};
use super::report::{self, Connect, Delivery, Integrity, Latency, Memory, Recovery, Report, per_second, round, us_each};
use super::{Bench, Scenario};
use anyhow::{Context, ensure};
use clap::ValueEnum;
use std::time::{Duration, Instant};

/// How long a polite goodbye may take before the sockets are dropped.
const GOODBYE: Duration = Duration::from_secs(5);
/// Memory is taken as settled when it moved by less than this for so long.
const SETTLED_BYTES: u64 = 64 << 10;
const SETTLED_FOR: Duration = Duration::from_secs(3);
const MEMORY_LOOK: Duration = Duration::from_millis(250);

pub fn run(bench: &Bench) -> anyhow::Result<Report> {
    let plan = bench.plan()?;
    let run = Run { bench, server: Server::new(&bench.pid)?, report: empty_report(bench, &plan) };
    let engine = Engine::new(plan)?;
    match bench.scenario {
        Scenario::Fanout | Scenario::HttpPublish => run.deliver(engine),
        Scenario::Idle => run.idle(engine),
        Scenario::Connect => run.connect(engine),
        Scenario::Recovery => run.recover(engine),
    }
}

fn empty_report(bench: &Bench, plan: &super::Plan) -> Report {
    let name = |value: Option<clap::builder::PossibleValue>| value.map_or(String::new(), |value| value.get_name().to_string());
    Report {
        scenario: match bench.scenario {
            Scenario::Fanout => "fanout",
            Scenario::HttpPublish => "http-publish",
            Scenario::Idle => "idle",
            Scenario::Connect => "connect",
            Scenario::Recovery => "recovery",
        },
        protocol: name(bench.protocol.to_possible_value()),
        url: bench.url.clone(),
        connections: plan.subscribers,
        channels: plan.channels.len(),
        payload_bytes: plan.payload_bytes,
        ..Report::default()
    }
}

struct Run<'a> {
    bench: &'a Bench,
    server: Server,
    report: Report,
}

/// Both accounts and the clock at one moment.
struct Moment {
    at: Instant,
    server: Duration,
    tool: Duration,
    machine: Option<Duration>,
}

/// What lies between two moments.
struct Span {
    wall: Duration,
    server: Duration,
    tool: Duration,
    machine: Option<Duration>,
}

impl Span {
    fn seconds(&self) -> f64 {
        round(self.wall.as_secs_f64())
    }

    fn cores(&self, cpu: Duration) -> f64 {
        round(cpu.as_secs_f64() / self.wall.as_secs_f64().max(1e-9))
    }
}

impl Run<'_> {
    fn now(&self) -> anyhow::Result<Moment> {
        Ok(Moment { server: self.server.cpu_time()?, tool: process::own_cpu_time(), machine: process::machine_cpu_time(), at: Instant::now() })
    }

    fn since(&self, begin: &Moment) -> anyhow::Result<Span> {
        let end = self.now()?;
        Ok(Span {
            wall: end.at - begin.at,
            server: end.server.saturating_sub(begin.server),
            tool: end.tool.saturating_sub(begin.tool),
            machine: end.machine.zip(begin.machine).map(|(end, begin)| end.saturating_sub(begin)),
        })
    }

    /// A figure of the server's account, if there is one.
    fn of_server(&self, figure: f64) -> Option<f64> {
        self.server.is_known().then_some(figure)
    }

    /// Who else was at work in the measured time.
    fn note_company(&mut self, span: &Span) {
        self.report.tool_cores = span.cores(span.tool);
        if self.server.is_known() {
            self.report.others_cores = span.machine.map(|machine| span.cores(machine.saturating_sub(span.server + span.tool)));
        }
    }

    fn finish(mut self, engine: &Engine) -> Report {
        self.report.integrity = Integrity::new(engine.lost(), engine.counts());
        self.report.first_trouble = engine.first_trouble().map(str::to_string);
        self.report
    }

    fn connected(&mut self, engine: &mut Engine, begin: Begin) -> anyhow::Result<Span> {
        let before = self.now()?;
        engine.connect_subscribers(begin)?;
        let span = self.since(&before)?;
        let connections = self.bench.connections as u64;
        self.report.connect = Some(Connect {
            seconds: span.seconds(),
            per_second: per_second(connections, span.wall.as_secs_f64()),
            server_cpu_us_each: self.of_server(us_each(span.server, connections)),
        });
        Ok(span)
    }

    // === fanout, http-publish ===

    fn deliver(mut self, mut engine: Engine) -> anyhow::Result<Report> {
        self.connected(&mut engine, Begin::Live)?;
        engine.connect_publishers()?;
        engine.publish(self.bench.pace())?;
        engine.run_for(self.bench.warmup.duration())?;

        engine.measure();
        let (begin, before) = (self.now()?, engine.counts());
        engine.run_for(self.bench.duration.duration())?;
        let (span, after) = (self.since(&begin)?, engine.counts());
        engine.stop_measuring();
        engine.drain(self.bench.settle.duration())?;

        let publications = after.published - before.published;
        let deliveries = after.delivered - before.delivered;
        self.note_company(&span);
        self.report.delivery = Some(Delivery {
            seconds: span.seconds(),
            publications,
            deliveries,
            publications_per_second: per_second(publications, span.wall.as_secs_f64()),
            deliveries_per_second: per_second(deliveries, span.wall.as_secs_f64()),
            bytes_per_delivery: round((after.bytes_read - before.bytes_read) as f64 / deliveries.max(1) as f64),
            server_cpu_us_per_delivery: self.of_server(us_each(span.server, deliveries)),
            server_cpu_us_per_publication: self.of_server(us_each(span.server, publications)),
            server_cores: self.of_server(span.cores(span.server)),
            latency_us: Latency::new(engine.latency()),
            behind_ms_max: report::round(after.behind.as_secs_f64() * 1e3),
            stalls: after.stalls,
        });
        ensure!(
            deliveries > 0,
            "nothing was delivered of {publications} publications: {}",
            engine.first_trouble().unwrap_or("no error was reported")
        );
        Ok(self.finish(&engine))
    }

    // === idle ===

    fn idle(mut self, mut engine: Engine) -> anyhow::Result<Report> {
        ensure!(self.server.is_known(), "the idle scenario measures memory: name the server's process with --pid");
        let before = self.server.resident()?;
        self.connected(&mut engine, Begin::Live)?;
        let begin = self.now()?;
        engine.run_for(self.bench.duration.duration())?;
        let span = self.since(&begin)?;
        let connected = self.server.resident()?;
        self.note_company(&span);
        engine.disconnect_subscribers(GOODBYE)?;
        let after = self.settled_memory(&mut engine)?;
        self.report.memory = Some(Memory::new(&self.server, self.bench.connections, before, connected, after));
        Ok(self.finish(&engine))
    }

    /// The server's memory when it has stopped to shrink, or when the patience is over: allocators give pages back over seconds.
    fn settled_memory(&self, engine: &mut Engine) -> anyhow::Result<Resident> {
        let end = Instant::now() + self.bench.settle.duration();
        let mut last = (self.server.resident()?, Instant::now());
        loop {
            engine.run_for(MEMORY_LOOK)?;
            let now = self.server.resident()?;
            if now.rss.abs_diff(last.0.rss) > SETTLED_BYTES {
                last = (now, Instant::now());
            }
            if Instant::now() >= end || last.1.elapsed() >= SETTLED_FOR {
                return Ok(now);
            }
        }
    }

    // === connect ===

    fn connect(mut self, mut engine: Engine) -> anyhow::Result<Report> {
        let span = self.connected(&mut engine, Begin::Live)?;
        self.note_company(&span);
        engine.disconnect_subscribers(GOODBYE)?;
        Ok(self.finish(&engine))
    }

    // === recovery ===

    fn recover(mut self, mut engine: Engine) -> anyhow::Result<Report> {
        ensure!(
            matches!(self.bench.protocol, super::ProtocolName::CentrifugeJson | super::ProtocolName::CentrifugeProtobuf),
            "the recovery scenario needs a Centrifuge protocol: no other one here has positions"
        );
        let clients = self.bench.connections as u64;
        // They connect one after the other and subscribe, so that each has a position of its own to come back to.
        self.connected(&mut engine, Begin::Positioned)?;
        engine.disconnect_subscribers(GOODBYE)?;
        engine.expect_all_from_here();
        engine.connect_publishers()?;
        engine.publish_exactly(self.bench.missed * engine.channel_count()).context("cannot publish what the clients are to miss")?;

        let begin = self.now()?;
        engine.connect_subscribers(Begin::Recover)?;
        let span = self.since(&begin)?;
        engine.drain(GOODBYE)?;
        self.note_company(&span);
        self.report.recovery = Some(Recovery {
            missed_each: self.bench.missed,
            recovered_clients: engine.counts().recovered,
            seconds: span.seconds(),
            server_cpu_us_per_client: self.of_server(us_each(span.server, clients)),
        });
        ensure!(
            engine.counts().recovered == clients,
            "{} of {clients} clients were not recovered: does {} keep {} messages of history with recovery allowed?",
            clients - engine.counts().recovered,
            self.bench.channel,
            self.bench.missed
        );
        engine.disconnect_subscribers(GOODBYE)?;
        Ok(self.finish(&engine))
    }
}

//! The loop of the load tool: one thread, one epoll set, every connection and the publishers in it.
//!
//! Called by the scenarios, which say what to connect, when to publish and how long to run. Nothing is allocated for a message: one buffer
//! serves all reads, a connection keeps bytes only while a message is incomplete, and a message is looked at just enough to find its mark.

use super::connection::{Connection, Incoming, Stage};
use super::deltas::Base;
use super::epoll::{Epoll, Ready};
use super::ledger::{Ledger, Verdict};
use super::stamp::{Reader, Stamp};
use crate::cli::target::Target;
use crate::cli::wire::{self, Body, Chunked, Codec, Head, Message, Position, Start, WireError};
use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes that may wait in a publisher's socket; beyond it the server is behind and the tool waits for it.
const PUBLISHER_BACKLOG_BYTES_MAX: usize = 1 << 20;
/// Nothing happened for this long: connecting has failed, or deliveries that a window waits for are lost.
const STALL: Duration = Duration::from_secs(10);
const WINDOW_STALL: Duration = Duration::from_secs(1);
/// Between two looks at all ledgers while the last deliveries come in.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
/// Latencies are recorded from 1 µs to 60 s with three digits.
const LATENCY_NS: (u64, u64, u8) = (1_000, 60_000_000_000, 3);
/// Source addresses 127.0.0.2 and up, 250 in each of the third byte's values.
const SOURCES_PER_BYTE: usize = 250;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Centrifuge(Codec),
    /// One payload is one text frame; which channel says the URL.
    RawWebSocket,
    EventStream,
}

/// How the tool publishes.
#[derive(Clone, Debug)]
pub enum PublishBy {
    /// One WebSocket connection: Centrifuge `publish` commands, or text frames `CHANNEL\nPAYLOAD`.
    WebSocket { target: Target },
    /// Kept-alive connections with one request at a time in each: the HTTP API's `publish`, or the bare payload as body.
    Http { target: Target, api_key: Option<String>, lanes: usize, is_api: bool },
}

#[derive(Clone)]
pub struct Plan {
    pub target: Target,
    pub protocol: Protocol,
    pub tls: Option<Arc<rustls::ClientConfig>>,
    pub token: String,
    pub channels: Vec<String>,
    pub subscribers: usize,
    /// Subscribers ask for deltas.
    pub takes_deltas: bool,
    pub payload_bytes: usize,
    pub publish_by: Option<PublishBy>,
    /// Connections that are being made at one time.
    pub connect_window: usize,
    pub sources: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    Off,
    /// Publications a second, over all channels.
    Rate(f64),
    /// As fast as the server takes them, with at most so many publications not yet delivered to all.
    Max {
        window: u64,
    },
}

/// How subscribers begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    Live,
    Positioned,
    /// From the positions that the engine has kept from an earlier [`Begin::Positioned`].
    Recover,
}

/// What happened since the engine was made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub published: u64,
    pub delivered: u64,
    pub duplicated: u64,
    pub reordered: u64,
    /// Messages without a mark of this run.
    pub foreign: u64,
    pub pings: u64,
    /// Bytes that came on all connections, before decryption.
    pub bytes_read: u64,
    pub recovered: u64,
    pub connected: u64,
    /// Subscribers that the server closed, or that broke.
    pub closed: u64,
    pub refused: u64,
    /// Times that a window was opened again because deliveries were missing.
    pub stalls: u64,
    /// The furthest that publishing was behind its schedule.
    pub behind: Duration,
}

struct Channel {
    name: String,
    published: u64,
    /// What had been published when the measurement began.
    base: u64,
    subscribers: u64,
}

struct Publisher {
    pace: Pace,
    by: Option<PublishBy>,
    /// Slots of the publishing connections.
    first_slot: usize,
    lanes: Vec<Lane>,
    since: Instant,
    sent_since: u64,
    next: usize,
    command_id: u32,
    /// The last command that was answered.
    answered_id: u32,
    /// Publications that may still be made.
    left: u64,
    /// Deliveries that all publications together call for; `Counts::delivered` runs after it.
    owed: u64,
    last_delivered: (u64, Instant),
    payload: Vec<u8>,
    message: Vec<u8>,
    scratch: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
struct Lane {
    is_busy: bool,
    /// Body bytes that are still to come, once the head was read.
    body: Option<Rest>,
    cursor: usize,
}

#[derive(Clone, Copy)]
enum Rest {
    Length(usize),
    Chunked(Chunked),
}

/// What is known of the deliveries; apart from the connections, so that both can be held at once.
struct Books {
    run: u32,
    origin: Instant,
    ledgers: Vec<Ledger>,
    positions: Vec<Position>,
    /// What subscribers that take deltas were given last; empty where they do not.
    bases: Vec<Base>,
    reader: Reader,
    latency: Histogram<u64>,
    is_measuring: bool,
    /// When the bytes were read that are being looked at, in nanoseconds since `origin`. The clock is asked once a read, not once a message.
    read_at: u64,
    counts: Counts,
    first_trouble: Option<String>,
}

pub struct Engine {
    plan: Plan,
    epoll: Epoll,
    /// Subscribers first, publishers behind them.
    slots: Vec<Option<Connection>>,
    chunks: Vec<Option<Chunked>>,
    channels: Vec<Channel>,
    publisher: Publisher,
    books: Books,
    begin: Begin,
    buffer: Box<[u8]>,
    dialing: usize,
    live: usize,
}

impl Engine {
    pub fn new(plan: Plan) -> anyhow::Result<Self> {
        let lanes = match &plan.publish_by {
            Some(PublishBy::Http { lanes, .. }) => (*lanes).clamp(1, plan.channels.len()),
            Some(PublishBy::WebSocket { .. }) => 1,
            None => 0,
        };
        // Beside the connections: standard streams, epoll, a log, and what libraries open.
        super::process::allow_descriptors((plan.subscribers + lanes + 64) as u64)?;
        let slots = plan.subscribers + lanes;
        let channels = plan
            .channels
            .iter()
            .enumerate()
            .map(|(index, name)| Channel {
                name: name.clone(),
                published: 0,
                base: 0,
                subscribers: (plan.subscribers.saturating_sub(index)).div_ceil(plan.channels.len()) as u64,
            })
            .collect();
        let now = Instant::now();
        let (low, high, digits) = LATENCY_NS;
        Ok(Self {
            epoll: Epoll::new().context("cannot make an epoll set")?,
            slots: (0..slots).map(|_| None).collect(),
            chunks: vec![None; slots],
            channels,
            publisher: Publisher {
                pace: Pace::Off,
                by: plan.publish_by.clone(),
                first_slot: plan.subscribers,
                lanes: (0..lanes).map(|lane| Lane { cursor: lane, ..Lane::default() }).collect(),
                since: now,
                sent_since: 0,
                next: 0,
                command_id: wire::SUBSCRIBE_ID,
                answered_id: wire::SUBSCRIBE_ID,
                left: u64::MAX,
                owed: 0,
                last_delivered: (0, now),
                payload: Vec::new(),
                message: Vec::new(),
                scratch: Vec::new(),
            },
            books: Books {
                run: rand::random(),
                origin: now,
                ledgers: (0..plan.subscribers).map(|_| Ledger::default()).collect(),
                positions: vec![Position::default(); plan.subscribers],
                bases: if plan.takes_deltas { vec![Base::default(); plan.subscribers] } else { Vec::new() },
                reader: Reader::new(),
                latency: Histogram::new_with_bounds(low, high, digits).context("cannot make the latency histogram")?,
                is_measuring: false,
                read_at: 0,
                counts: Counts::default(),
                first_trouble: None,
            },
            begin: Begin::Live,
            // Half for the message that is incomplete, half for what comes next.
            buffer: vec![0; 2 * wire::MESSAGE_BYTES_MAX].into_boxed_slice(),
            dialing: 0,
            live: 0,
            plan,
        })
    }

    pub fn counts(&self) -> Counts {
        self.books.counts
    }

    pub fn latency(&self) -> &Histogram<u64> {
        &self.books.latency
    }

    pub fn first_trouble(&self) -> Option<&str> {
        self.books.first_trouble.as_deref()
    }

    pub fn channel_count(&self) -> u64 {
        self.channels.len() as u64
    }

    /// Deliveries that should have come by now and did not.
    pub fn lost(&self) -> u64 {
        let channels = self.channels.len();
        let owes = |(slot, ledger): (usize, &Ledger)| {
            let channel = &self.channels[slot % channels];
            ledger.lost(channel.base, channel.published)
        };
        self.books.ledgers.iter().enumerate().map(owes).sum()
    }

    // === What scenarios do ===

    /// Connects all subscribers, or says why one could not. Returns when every one has its subscription.
    pub fn connect_subscribers(&mut self, begin: Begin) -> anyhow::Result<Duration> {
        let started = Instant::now();
        self.begin = begin;
        self.connect(0..self.plan.subscribers)?;
        Ok(started.elapsed())
    }

    pub fn connect_publishers(&mut self) -> anyhow::Result<()> {
        self.connect(self.plan.subscribers..self.slots.len()).context("cannot connect to publish")
    }

    /// From now on what comes is measured.
    pub fn measure(&mut self) {
        self.books.latency.reset();
        self.books.is_measuring = true;
        self.books.counts.behind = Duration::ZERO;
        self.books.counts.stalls = 0;
        for channel in &mut self.channels {
            channel.base = channel.published;
        }
    }

    pub fn stop_measuring(&mut self) {
        self.books.is_measuring = false;
    }

    pub fn publish(&mut self, pace: Pace) -> anyhow::Result<()> {
        self.publish_at_most(pace, u64::MAX)
    }

    fn publish_at_most(&mut self, pace: Pace, left: u64) -> anyhow::Result<()> {
        let now = Instant::now();
        let publisher = &mut self.publisher;
        (publisher.pace, publisher.since, publisher.sent_since, publisher.left) = (pace, now, 0, left);
        publisher.last_delivered = (self.books.counts.delivered, now);
        self.publish_due()
    }

    pub fn run_for(&mut self, duration: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.turn(end)?;
        }
        Ok(())
    }

    /// Publishes `count` more, as fast as they are taken, and returns when all of them were answered.
    pub fn publish_exactly(&mut self, count: u64) -> anyhow::Result<()> {
        let mut last = (0, Instant::now());
        self.publish_at_most(Pace::Max { window: u64::MAX }, count)?;
        while self.publisher.left > 0 || !self.publishers_are_quiet() {
            self.turn(Instant::now() + DRAIN_LOOK)?;
            let progress = self.publisher.left + u64::from(self.publisher.command_id - self.publisher.answered_id);
            if last.0 != progress {
                last = (progress, Instant::now());
            }
            if last.1.elapsed() > STALL {
                bail!("the server took only {} of {count} publications", count - self.publisher.left);
            }
        }
        self.publish(Pace::Off)
    }

    fn publishers_are_quiet(&self) -> bool {
        let is_written = self.slots[self.publisher.first_slot..].iter().flatten().all(|connection| connection.out.is_empty());
        let is_answered = match self.publisher.by {
            Some(PublishBy::Http { .. }) => self.publisher.lanes.iter().all(|lane| !lane.is_busy),
            // The last command's reply; raw frames are not answered.
            _ => self.plan.protocol == Protocol::RawWebSocket || self.publisher.command_id == self.publisher.answered_id,
        };
        is_written && is_answered
    }

    /// Waits until everything published has come, at most `patience`.
    pub fn drain(&mut self, patience: Duration) -> anyhow::Result<()> {
        self.publish(Pace::Off)?;
        let end = Instant::now() + patience;
        while Instant::now() < end && self.lost() > 0 {
            self.run_for(DRAIN_LOOK)?;
        }
        Ok(())
    }

    /// Closes all subscribers politely and waits until the server has closed too, at most `patience`; then they are dropped.
    pub fn disconnect_subscribers(&mut self, patience: Duration) -> anyhow::Result<()> {
        for slot in 0..self.plan.subscribers {
            let Some(connection) = &mut self.slots[slot] else { continue };
            connection.stage = Stage::Leaving;
            if self.plan.protocol == Protocol::EventStream {
                self.slots[slot] = None;
                continue;
            }
            // 1000: a normal closure (RFC 6455, 7.4.1).
            wire::put_frame(&mut connection.out, wire::OP_CLOSE, &1_000u16.to_be_bytes());
            if self.flush(slot).is_err() {
                self.slots[slot] = None;
            }
        }
        let end = Instant::now() + patience;
        while Instant::now() < end && self.slots[..self.plan.subscribers].iter().any(Option::is_some) {
            self.turn(Instant::now() + DRAIN_LOOK)?;
        }
        self.slots[..self.plan.subscribers].iter_mut().for_each(|slot| *slot = None);
        self.live = 0;
        Ok(())
    }

    /// Subscribers that connect next must get exactly what is published after this moment.
    pub fn expect_all_from_here(&mut self) {
        let channels = self.channels.len();
        for (slot, ledger) in self.books.ledgers.iter_mut().enumerate() {
            *ledger = Ledger::expecting(self.channels[slot % channels].published + 1);
        }
    }

    // === Connecting ===

    fn connect(&mut self, slots: std::ops::Range<usize>) -> anyhow::Result<()> {
        let goal = slots.len();
        let mut waiting = slots;
        self.live = 0;
        let closed_before = self.books.counts.closed;
        let (mut progress, mut last) = ((0, 0), Instant::now());
        while self.live < goal {
            while self.dialing < self.plan.connect_window {
                let Some(slot) = waiting.next() else { break };
                self.dial(slot)?;
            }
            self.turn(Instant::now() + Duration::from_millis(100))?;
            if self.books.counts.closed > closed_before {
                let reason = self.first_trouble().unwrap_or("the server closed it").to_string();
                bail!("a connection could not be made ({} of {goal} were): {reason}", self.live);
            }
            if progress != (self.live, self.dialing) {
                (progress, last) = ((self.live, self.dialing), Instant::now());
            }
            if last.elapsed() > STALL {
                bail!("{} of {goal} connections were made, then none for {} s", self.live, STALL.as_secs());
            }
        }
        Ok(())
    }

    fn dial(&mut self, slot: usize) -> anyhow::Result<()> {
        let target = self.target_of(slot).clone();
        let tls = match &self.plan.tls {
            Some(config) if target.is_secure => Some((Arc::clone(config), target.server_name()?)),
            _ => None,
        };
        let connection = Connection::dial(target.address, self.source_of(slot, &target), tls)?;
        self.epoll.add(connection.descriptor(), slot, true).context("cannot watch a socket")?;
        self.chunks[slot] = None;
        self.slots[slot] = Some(connection);
        self.dialing += 1;
        Ok(())
    }

    fn target_of(&self, slot: usize) -> &Target {
        match &self.publisher.by {
            Some(PublishBy::WebSocket { target } | PublishBy::Http { target, .. }) if slot >= self.publisher.first_slot => target,
            _ => &self.plan.target,
        }
    }

    fn source_of(&self, slot: usize, target: &Target) -> Option<Ipv4Addr> {
        match target.address.ip() {
            IpAddr::V4(to) if to.is_loopback() && self.plan.sources > 1 => {
                let source = slot % self.plan.sources;
                Some(Ipv4Addr::new(127, 0, (source / SOURCES_PER_BYTE) as u8, (2 + source % SOURCES_PER_BYTE) as u8))
            }
            _ => None,
        }
    }

    fn channel_name(&self, slot: usize) -> &str {
        &self.channels[slot % self.channels.len()].name
    }

    /// The TCP connection stands: ask for what it is to become.
    fn dialed(&mut self, slot: usize) -> Result<(), Trouble> {
        let target = self.target_of(slot);
        let path = target.path_for(self.channel_name(slot));
        let is_lane = slot >= self.publisher.first_slot && matches!(self.publisher.by, Some(PublishBy::Http { .. }));
        let request = match self.plan.protocol {
            _ if is_lane => Vec::new(),
            Protocol::Centrifuge(codec) => wire::upgrade_request(&target.host, &path, codec.subprotocol()),
            Protocol::RawWebSocket => wire::upgrade_request(&target.host, &path, None),
            Protocol::EventStream => wire::event_stream_request(&target.host, &path),
        };
        let Some(connection) = &mut self.slots[slot] else { return Ok(()) };
        connection.dial_error()?;
        connection.out.extend_from_slice(&request);
        connection.stage = Stage::Requested;
        self.flush(slot)?;
        if is_lane {
            self.arrived(slot);
        }
        Ok(())
    }

    /// The connection is what it was to become.
    fn arrived(&mut self, slot: usize) {
        if let Some(connection) = &mut self.slots[slot] {
            connection.stage = Stage::Live;
            self.dialing -= 1;
            self.live += 1;
            self.books.counts.connected += 1;
        }
    }

    fn lose(&mut self, slot: usize, trouble: &Trouble) -> anyhow::Result<()> {
        let Some(connection) = self.slots[slot].take() else { return Ok(()) };
        if connection.stage == Stage::Leaving {
            return Ok(());
        }
        if connection.stage != Stage::Live {
            self.dialing -= 1;
        } else if slot >= self.publisher.first_slot {
            // What it said before it went says more than that it went.
            let trouble = self.first_trouble().map_or(trouble.to_string(), str::to_string);
            bail!("the connection to publish is gone: {trouble}");
        }
        self.books.counts.closed += 1;
        self.books.first_trouble.get_or_insert_with(|| trouble.to_string());
        Ok(())
    }

    // === The loop ===

    /// Waits for sockets, at most until `deadline` or the next publication is due, and serves them.
    fn turn(&mut self, deadline: Instant) -> anyhow::Result<()> {
        let now = Instant::now();
        let wait = deadline.min(self.publisher.due(now)).saturating_duration_since(now);
        let ready = self.epoll.wait(wait).context("cannot wait for sockets")?;
        for index in 0..ready {
            let ready = self.epoll.ready(index);
            if let Err(trouble) = self.serve(ready) {
                self.lose(ready.slot, &trouble)?;
            }
            // Reading a thousand sockets takes milliseconds, and a publication that waited for it would not be sent when it says.
            if let Pace::Rate(_) = self.publisher.pace
                && index % 8 == 7
            {
                self.publish_due()?;
            }
        }
        self.publish_due()
    }

    #[inline]
    fn serve(&mut self, ready: Ready) -> Result<(), Trouble> {
        let Some(connection) = &self.slots[ready.slot] else { return Ok(()) };
        if ready.is_writable {
            if connection.stage == Stage::Dialing {
                self.dialed(ready.slot)?;
            } else if connection.watches_writable {
                self.flush(ready.slot)?;
            }
        }
        if ready.is_readable { self.receive(ready.slot) } else { Ok(()) }
    }

    fn flush(&mut self, slot: usize) -> Result<(), Trouble> {
        let Some(connection) = &mut self.slots[slot] else { return Ok(()) };
        connection.flush()?;
        let wants = connection.has_to_write();
        if wants != connection.watches_writable {
            self.epoll.change(connection.descriptor(), slot, wants)?;
            connection.watches_writable = wants;
        }
        Ok(())
    }

    #[inline]
    fn receive(&mut self, slot: usize) -> Result<(), Trouble> {
        let Some(connection) = &mut self.slots[slot] else { return Ok(()) };
        let kept = connection.partial.len();
        if kept >= wire::MESSAGE_BYTES_MAX {
            return Err(WireError::TooLong { bytes: kept as u64 }.into());
        }
        self.buffer[..kept].copy_from_slice(&connection.partial);
        connection.partial.clear();
        let count = match connection.read(&mut self.buffer[kept..]) {
            Ok(Incoming::Bytes(count)) => count,
            Ok(Incoming::Nothing) => 0,
            Ok(Incoming::End) => return Err(Trouble::Ended),
            Err(error) => return Err(error.into()),
        };
        self.books.counts.bytes_read += count as u64;
        if connection.has_to_write() {
            self.flush(slot)?;
        }
        if self.books.is_measuring {
            self.books.read_at = self.books.origin.elapsed().as_nanos() as u64;
        }
        // The buffer is lent out for the time of this call, so that messages can be read in place while the engine acts on them.
        let mut buffer = std::mem::take(&mut self.buffer);
        let used = self.consume(slot, &mut buffer, kept, kept + count);
        if let (Ok((from, to)), Some(connection)) = (&used, &mut self.slots[slot])
            && from < to
        {
            connection.partial.extend_from_slice(&buffer[*from..*to]);
        }
        self.buffer = buffer;
        used.map(|_| ())
    }

    /// Takes what is complete from `buffer[..len]`, of which what comes after `old` is new, and says where the rest begins and ends.
    fn consume(&mut self, slot: usize, buffer: &mut [u8], old: usize, len: usize) -> Result<(usize, usize), Trouble> {
        let Some(connection) = &mut self.slots[slot] else { return Ok((0, 0)) };
        let is_publisher = slot >= self.publisher.first_slot;
        let is_leaving = connection.stage == Stage::Leaving;
        let mut at = 0;
        match connection.stage {
            Stage::Dialing => return Ok((0, len)),
            Stage::Requested => {
                let Some(head) = Head::read(&buffer[..len])? else { return Ok((0, len)) };
                at = head.len;
                self.requested(slot, &head)?;
            }
            Stage::Greeted | Stage::Live | Stage::Leaving => {}
        }
        if is_publisher && matches!(self.publisher.by, Some(PublishBy::Http { .. })) {
            return self.consume_answers(slot, buffer, len).map(|from| (from, len));
        }
        if self.plan.protocol == Protocol::EventStream {
            return self.consume_events(slot, buffer, at.max(old), at, len);
        }
        while let Some(frame) = wire::next_frame(&buffer[..len], at)? {
            let payload = &buffer[frame.start..frame.end];
            match (frame.opcode, self.plan.protocol) {
                (wire::OP_TEXT | wire::OP_BINARY, _) if is_leaving => {}
                (wire::OP_TEXT | wire::OP_BINARY, Protocol::Centrifuge(codec)) => self.on_messages(slot, codec, payload)?,
                (wire::OP_TEXT | wire::OP_BINARY, _) if is_publisher => {}
                (wire::OP_TEXT | wire::OP_BINARY, _) => {
                    self.books.on_publication(slot, payload);
                }
                (wire::OP_PING, _) => self.answer(slot, wire::OP_PONG, payload)?,
                (wire::OP_CLOSE, _) => return Err(wire::close_reason(payload).into()),
                _ => {}
            }
            at = frame.end;
        }
        Ok((at, len))
    }

    /// The head of the response came.
    fn requested(&mut self, slot: usize, head: &Head) -> Result<(), Trouble> {
        match self.plan.protocol {
            Protocol::EventStream => {
                head.expect_success()?;
                self.chunks[slot] = (head.body == Body::Chunked).then(Chunked::default);
                self.arrived(slot);
            }
            Protocol::RawWebSocket => {
                head.expect_upgrade()?;
                self.arrived(slot);
            }
            Protocol::Centrifuge(codec) => {
                head.expect_upgrade()?;
                let is_publisher = slot >= self.publisher.first_slot;
                let start = match self.begin {
                    Begin::Live if self.plan.takes_deltas && !is_publisher => Start::Deltas,
                    Begin::Live => Start::Live,
                    Begin::Positioned => Start::Positioned,
                    Begin::Recover if is_publisher => Start::Live,
                    Begin::Recover => Start::Recover(&self.books.positions[slot]),
                };
                let channel = (!is_publisher).then(|| (self.channel_name(slot), start));
                let hello = codec.hello(&self.plan.token, channel);
                if let Some(connection) = &mut self.slots[slot] {
                    connection.stage = Stage::Greeted;
                }
                self.answer(slot, codec.opcode(), &hello)?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, slot: usize, opcode: u8, payload: &[u8]) -> Result<(), Trouble> {
        let Some(connection) = &mut self.slots[slot] else { return Ok(()) };
        wire::put_frame(&mut connection.out, opcode, payload);
        self.flush(slot)
    }

    #[inline]
    fn on_messages(&mut self, slot: usize, codec: Codec, frame: &[u8]) -> Result<(), Trouble> {
        let mut rest = frame;
        while !rest.is_empty() {
            let (message, next) = codec.split(rest)?;
            rest = next;
            match message {
                Message::Push(push) => {
                    if slot < self.publisher.first_slot && !self.books.on_push(slot, push)? {
                        self.books.counts.foreign += 1;
                    }
                }
                Message::Ping => {
                    self.books.counts.pings += 1;
                    self.answer(slot, codec.opcode(), codec.pong())?;
                }
                Message::Reply(reply) => self.on_reply(slot, codec, reply)?,
            }
        }
        Ok(())
    }

    fn on_reply(&mut self, slot: usize, codec: Codec, bytes: &[u8]) -> Result<(), Trouble> {
        let is_publisher = slot >= self.publisher.first_slot;
        let reply = match codec.reply(bytes) {
            Ok(reply) => reply,
            // A publication that was refused is counted; the connection lives on.
            Err(WireError::Refused { id, code, message }) if is_publisher && id > wire::SUBSCRIBE_ID => {
                self.publisher.answered_id = id;
                self.books.refused(format!("the server refused a publication: {message} (code {code})"));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if is_publisher {
            match reply.id {
                wire::CONNECT_ID => self.arrived(slot),
                id => self.publisher.answered_id = id,
            }
            return Ok(());
        }
        if let Some(subscribed) = reply.subscribed {
            self.books.counts.recovered += u64::from(subscribed.recovered);
            self.books.positions[slot] = subscribed.position;
            // Missed publications come inside the reply, oldest first.
            let mut rest = bytes;
            while let Some(more) = self.books.on_mark(slot, rest) {
                rest = more;
            }
            self.arrived(slot);
        }
        Ok(())
    }

    /// Lines of an event stream. `plain` bytes at the front have lost their chunk headers already.
    fn consume_events(&mut self, slot: usize, buffer: &mut [u8], raw: usize, from: usize, len: usize) -> Result<(usize, usize), Trouble> {
        let end = match &mut self.chunks[slot] {
            Some(chunks) => raw + chunks.strip(&mut buffer[raw..len])?,
            None => len,
        };
        let mut at = from;
        while let Some(line_len) = memchr::memchr(b'\n', &buffer[at..end]) {
            let line = &buffer[at..at + line_len];
            if line.starts_with(b"data:") && !self.books.on_publication(slot, line) {
                self.books.counts.foreign += 1;
            }
            at += line_len + 1;
        }
        Ok((at, end))
    }

    /// Answers to HTTP publications: exactly one for each request. Only an incomplete head is kept for the next time, never a body.
    fn consume_answers(&mut self, slot: usize, buffer: &mut [u8], len: usize) -> Result<usize, Trouble> {
        let index = slot - self.publisher.first_slot;
        let mut at = 0;
        while at < len {
            let lane = &mut self.publisher.lanes[index];
            match &mut lane.body {
                None => {
                    let Some(head) = Head::read(&buffer[at..len])? else { return Ok(at) };
                    at += head.len;
                    if let Err(error) = head.expect_success() {
                        self.books.refused(format!("publishing by HTTP: {error}"));
                    }
                    lane.body = Some(match head.body {
                        Body::Length(bytes) => Rest::Length(bytes),
                        Body::Chunked => Rest::Chunked(Chunked::default()),
                        Body::UntilClosed => return Err(Trouble::Wire(WireError::NotHttp)),
                    });
                }
                Some(Rest::Length(left)) => {
                    let take = (*left).min(len - at);
                    self.books.look_for_refusal(&buffer[at..at + take]);
                    *left -= take;
                    at += take;
                }
                Some(Rest::Chunked(state)) => {
                    let data = state.strip(&mut buffer[at..len])?;
                    self.books.look_for_refusal(&buffer[at..at + data]);
                    at = len;
                }
            }
            let lane = &mut self.publisher.lanes[index];
            if matches!(lane.body, Some(Rest::Length(0) | Rest::Chunked(Chunked::Over))) {
                lane.body = None;
                lane.is_busy = false;
                if matches!(self.publisher.pace, Pace::Max { .. }) {
                    self.publish_on_lane(index, Instant::now())?;
                }
            }
        }
        Ok(at)
    }

    // === Publishing ===

    fn publish_due(&mut self) -> anyhow::Result<()> {
        let now = match self.publisher.pace {
            Pace::Off => return Ok(()),
            _ => Instant::now(),
        };
        let result = match self.publisher.by {
            Some(PublishBy::WebSocket { .. }) => self.publish_on_socket(now),
            Some(PublishBy::Http { .. }) => self.publish_on_lanes(now),
            None => Ok(()),
        };
        result.map_err(|trouble| anyhow::anyhow!("the connection to publish is gone: {trouble}"))
    }

    fn publish_on_socket(&mut self, now: Instant) -> Result<(), Trouble> {
        let slot = self.publisher.first_slot;
        let mut wrote = false;
        while self.may_publish(now) && self.slots[slot].as_ref().is_some_and(|socket| socket.out.len() < PUBLISHER_BACKLOG_BYTES_MAX) {
            let channel = self.publisher.next % self.channels.len();
            self.publisher.next += 1;
            self.compose(channel);
            let Publisher { payload, message, scratch, command_id, .. } = &mut self.publisher;
            let name = &self.channels[channel].name;
            message.clear();
            let opcode = match self.plan.protocol {
                Protocol::Centrifuge(codec) => {
                    *command_id = command_id.checked_add(1).unwrap_or(wire::SUBSCRIBE_ID + 1);
                    codec.put_publish(message, scratch, *command_id, name, payload);
                    codec.opcode()
                }
                _ => {
                    message.extend_from_slice(name.as_bytes());
                    message.push(b'\n');
                    message.extend_from_slice(payload);
                    wire::OP_TEXT
                }
            };
            if let Some(connection) = &mut self.slots[slot] {
                wire::put_frame(&mut connection.out, opcode, message);
            }
            wrote = true;
        }
        if wrote { self.flush(slot) } else { Ok(()) }
    }

    fn publish_on_lanes(&mut self, now: Instant) -> Result<(), Trouble> {
        for _ in 0..self.publisher.lanes.len() {
            let lane = self.publisher.next % self.publisher.lanes.len();
            // In turn, so that every channel has its share of the rate; a lane that is busy holds up the others, and that is reported
            // as being behind.
            if self.publisher.lanes[lane].is_busy && matches!(self.publisher.pace, Pace::Rate(_)) {
                self.may_publish(now);
                break;
            }
            self.publish_on_lane(lane, now)?;
            self.publisher.next += 1;
        }
        Ok(())
    }

    fn publish_on_lane(&mut self, lane: usize, now: Instant) -> Result<(), Trouble> {
        if self.publisher.lanes[lane].is_busy || !self.may_publish(now) {
            return Ok(());
        }
        let slot = self.publisher.first_slot + lane;
        let channel = self.publisher.lanes[lane].cursor;
        let next = channel + self.publisher.lanes.len();
        self.publisher.lanes[lane].cursor = if next < self.channels.len() { next } else { lane };
        self.compose(channel);
        let Publisher { payload, message, by, lanes, .. } = &mut self.publisher;
        let Some(PublishBy::Http { target, api_key, is_api, .. }) = by else { return Ok(()) };
        let Some(connection) = &mut self.slots[slot] else { return Ok(()) };
        let name = &self.channels[channel].name;
        let body = if *is_api {
            message.clear();
            for part in [b"{\"channel\":\"", name.as_bytes(), b"\",\"data\":", payload, b"}"] {
                message.extend_from_slice(part);
            }
            &message[..]
        } else {
            &payload[..]
        };
        wire::put_post(&mut connection.out, &target.host, target.path_parts(name), api_key.as_deref(), body);
        lanes[lane].is_busy = true;
        self.flush(slot)
    }

    /// Writes the next payload of a channel and counts it as published.
    fn compose(&mut self, channel: usize) {
        let state = &mut self.channels[channel];
        state.published += 1;
        let sent_at = self.books.origin.elapsed().as_nanos() as u64;
        let stamp = Stamp { run: self.books.run, channel: channel as u32, sequence: state.published, sent_at };
        self.publisher.payload.clear();
        stamp.write(self.plan.payload_bytes, &mut self.publisher.payload);
        self.publisher.sent_since += 1;
        self.publisher.left -= 1;
        self.publisher.owed += state.subscribers;
        self.books.counts.published += 1;
    }

    /// Is one more publication due (rate), or wanted (window)?
    fn may_publish(&mut self, now: Instant) -> bool {
        let publisher = &mut self.publisher;
        match publisher.pace {
            Pace::Off => false,
            _ if publisher.left == 0 => false,
            Pace::Rate(_) => {
                let due = publisher.due(now);
                let behind = now.saturating_duration_since(due);
                let counts = &mut self.books.counts;
                counts.behind = counts.behind.max(behind);
                now >= due
            }
            Pace::Max { window } => {
                let delivered = self.books.counts.delivered;
                if publisher.last_delivered.0 != delivered {
                    publisher.last_delivered = (delivered, now);
                }
                // The window is counted in publications; a publication is as many deliveries as its channel has subscribers.
                let fan_out = (self.plan.subscribers as u64).div_ceil(self.channels.len() as u64).max(1);
                if publisher.owed.saturating_sub(delivered) < window.saturating_mul(fan_out) {
                    return true;
                }
                if now.saturating_duration_since(publisher.last_delivered.1) > WINDOW_STALL {
                    self.books.counts.stalls += 1;
                    publisher.owed = delivered;
                    publisher.last_delivered.1 = now;
                    return true;
                }
                false
            }
        }
    }
}

impl Publisher {
    /// When the next publication is due.
    fn due(&self, now: Instant) -> Instant {
        match self.pace {
            _ if self.left == 0 => now + STALL,
            Pace::Rate(rate) => self.since + Duration::from_secs_f64(self.sent_since as f64 / rate),
            // Nothing is due by the clock; a look now and then ends a stall.
            Pace::Max { .. } => now + Duration::from_millis(100),
            Pace::Off => now + STALL,
        }
    }
}

impl Books {
    /// A push came to a subscriber; false if it is no publication of this run.
    #[inline]
    fn on_push(&mut self, slot: usize, push: &[u8]) -> Result<bool, WireError> {
        if self.bases.is_empty() {
            return Ok(self.on_publication(slot, push));
        }
        let mut base = std::mem::take(&mut self.bases[slot]);
        let is_ours = base.read(push).map(|payload| self.on_publication(slot, payload));
        self.bases[slot] = base;
        is_ours
    }

    /// A publication came to a subscriber; false if it is none of this run.
    #[inline]
    fn on_publication(&mut self, slot: usize, bytes: &[u8]) -> bool {
        self.on_mark(slot, bytes).is_some()
    }

    /// Books the first mark in `bytes` and returns what is behind it.
    #[inline]
    fn on_mark<'a>(&mut self, slot: usize, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (stamp, end) = self.reader.find(bytes)?;
        if stamp.run == self.run {
            self.counts.delivered += 1;
            match self.ledgers[slot].on(stamp.sequence) {
                Verdict::InOrder => {}
                Verdict::Reordered => self.counts.reordered += 1,
                Verdict::Duplicated => self.counts.duplicated += 1,
            }
            if self.is_measuring {
                self.latency.saturating_record(self.read_at.saturating_sub(stamp.sent_at));
            }
        } else {
            self.counts.foreign += 1;
        }
        Some(&bytes[end..])
    }

    fn refused(&mut self, reason: String) {
        self.counts.refused += 1;
        self.first_trouble.get_or_insert(reason);
    }

    /// The HTTP API answers 200 to a call that it refused, and says so in the body.
    fn look_for_refusal(&mut self, body: &[u8]) {
        if memchr::memmem::find(body, b"\"error\":{").is_some() {
            self.refused(String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned());
        }
    }
}

/// Why one connection ended.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the server closed the connection")]
    Ended,
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::thread::JoinHandle;

    /// What the fake hub does to its fifth publication.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Fault {
        None,
        Drop,
        Double,
        /// It is sent after the sixth.
        Late,
        /// The connection of the first subscriber is closed instead.
        Close,
    }

    /// A hub of a few lines that speaks Centrifuge's JSON, one thread a connection: the tool's figures must show what it does wrong.
    struct FakeHub {
        port: u16,
        shared: Arc<Shared>,
        accepting: Option<JoinHandle<()>>,
    }

    struct Shared {
        fault: Fault,
        is_over: AtomicBool,
        pongs: AtomicU64,
        state: Mutex<State>,
    }

    #[derive(Default)]
    struct State {
        subscribers: Vec<TcpStream>,
        publications: Vec<Value>,
        held: Option<Value>,
    }

    impl Shared {
        fn lock(&self) -> MutexGuard<'_, State> {
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl FakeHub {
        fn start(fault: Fault) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let shared = Arc::new(Shared { fault, is_over: AtomicBool::new(false), pongs: AtomicU64::new(0), state: Mutex::default() });
            let port = listener.local_addr().unwrap().port();
            let accepting = std::thread::spawn({
                let shared = Arc::clone(&shared);
                move || {
                    let mut connections = Vec::new();
                    while let Ok((stream, _)) = listener.accept() {
                        if shared.is_over.load(Ordering::Acquire) {
                            break;
                        }
                        let shared = Arc::clone(&shared);
                        // Ends with its connection, and the engine that holds the other end is dropped before the hub.
                        connections.push(std::thread::spawn(move || drop(talk(stream, &shared))));
                    }
                    connections.into_iter().for_each(|connection| drop(connection.join()));
                }
            });
            Self { port, shared, accepting: Some(accepting) }
        }

        fn engine(&self, protocol: Protocol) -> Engine {
            let target = Target::parse(&format!("ws://127.0.0.1:{}/connection/websocket", self.port)).unwrap();
            Engine::new(Plan {
                publish_by: Some(PublishBy::WebSocket { target: target.clone() }),
                target,
                protocol,
                tls: None,
                token: String::new(),
                channels: vec!["bench".to_string()],
                subscribers: 4,
                takes_deltas: false,
                payload_bytes: 100,
                connect_window: 3,
                sources: 2,
            })
            .unwrap()
        }
    }

    impl Drop for FakeHub {
        fn drop(&mut self) {
            self.shared.is_over.store(true, Ordering::Release);
            self.shared.lock().subscribers.clear();
            drop(TcpStream::connect(("127.0.0.1", self.port)));
            drop(self.accepting.take().map(JoinHandle::join));
        }
    }

    fn talk(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")?;
        loop {
            let mut front = [0; 2];
            stream.read_exact(&mut front)?;
            let mut len = usize::from(front[1] & 0x7f);
            if len == 126 {
                let mut long = [0; 2];
                stream.read_exact(&mut long)?;
                len = usize::from(u16::from_be_bytes(long));
            }
            let mut bytes = vec![0; 4 + len];
            stream.read_exact(&mut bytes)?;
            let (mask, payload) = bytes.split_at_mut(4);
            payload.iter_mut().enumerate().for_each(|(index, byte)| *byte ^= mask[index & 3]);
            if front[0] & 0x0f == wire::OP_CLOSE {
                return send(&mut stream, wire::OP_CLOSE, payload);
            }
            for line in payload.split(|&byte| byte == b'\n') {
                command(&mut stream, shared, &serde_json::from_slice(line)?)?;
            }
        }
    }

    fn command(stream: &mut TcpStream, shared: &Shared, command: &Value) -> std::io::Result<()> {
        let id = &command["id"];
        let mut state = shared.lock();
        if command["connect"].is_object() {
            return say(stream, &json!({ "id": id, "connect": {} }));
        }
        if command["subscribe"].is_object() {
            let mut result = json!({ "epoch": "e", "offset": state.publications.len() });
            if command["subscribe"]["recover"] == true {
                let offset = command["subscribe"]["offset"].as_u64().unwrap_or_default() as usize;
                result["recovered"] = json!(true);
                result["publications"] = state.publications[offset..].iter().map(|data| json!({ "data": data })).collect();
            }
            say(stream, &json!({ "id": id, "subscribe": result }))?;
            say(stream, &json!({}))?;
            state.subscribers.push(stream.try_clone()?);
            return Ok(());
        }
        if command["publish"].is_object() {
            let data = &command["publish"]["data"];
            state.publications.push(data.clone());
            match (shared.fault, state.publications.len()) {
                (Fault::Drop, 5) => {}
                (Fault::Late, 5) => state.held = Some(data.clone()),
                (Fault::Close, 5) => {
                    let reason = [&3_008u16.to_be_bytes()[..], b"slow"].concat();
                    state.subscribers.first_mut().map_or(Ok(()), |first| send(first, wire::OP_CLOSE, &reason))?;
                    state.subscribers.remove(0).shutdown(std::net::Shutdown::Both)?;
                }
                (fault, count) => {
                    let late = (fault == Fault::Late && count == 6).then(|| state.held.take()).flatten();
                    let double = (fault == Fault::Double && count == 5).then(|| data.clone());
                    for data in [Some(data.clone()), late, double].into_iter().flatten() {
                        let push = json!({ "push": { "channel": "bench", "pub": { "data": data } } });
                        state.subscribers.retain_mut(|subscriber| say(subscriber, &push).is_ok());
                    }
                }
            }
            return say(stream, &json!({ "id": id, "publish": {} }));
        }
        shared.pongs.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    fn say(stream: &mut TcpStream, message: &Value) -> std::io::Result<()> {
        send(stream, wire::OP_TEXT, message.to_string().as_bytes())
    }

    fn send(stream: &mut TcpStream, opcode: u8, payload: &[u8]) -> std::io::Result<()> {
        let mut frame = vec![0x80 | opcode];
        if payload.len() < 126 {
            frame.push(payload.len() as u8);
        } else {
            frame.push(126);
            frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
        frame.extend_from_slice(payload);
        stream.write_all(&frame)
    }

    const JSON: Protocol = Protocol::Centrifuge(Codec::Json);
    /// Long enough for a busy machine, and only waited for when something is wrong.
    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn whatever_a_hub_does_to_a_message_is_noticed() {
        for (fault, lost, duplicated, reordered, delivered) in
            [(Fault::None, 0, 0, 0, 40), (Fault::Drop, 4, 0, 0, 36), (Fault::Double, 0, 4, 0, 44), (Fault::Late, 0, 0, 4, 40)]
        {
            let hub = FakeHub::start(fault);
            let mut engine = hub.engine(JSON);
            engine.connect_subscribers(Begin::Live).unwrap();
            engine.connect_publishers().unwrap();
            engine.measure();
            engine.publish_exactly(10).unwrap();
            engine.drain(if lost == 0 { PATIENCE } else { Duration::from_millis(200) }).unwrap();
            let end = Instant::now() + PATIENCE;
            while hub.shared.pongs.load(Ordering::Acquire) < 4 {
                assert!(Instant::now() < end, "{fault:?}: the hub's pings are not answered: {:?}", engine.counts());
                engine.run_for(DRAIN_LOOK).unwrap();
            }
            let counts = engine.counts();
            let seen = (engine.lost(), counts.duplicated, counts.reordered, counts.delivered, counts.pings, counts.closed);
            assert_eq!(seen, (lost, duplicated, reordered, delivered, 4, 0), "{fault:?}: {:?}", engine.first_trouble());
            assert_eq!(engine.latency().len(), delivered);
            engine.disconnect_subscribers(PATIENCE).unwrap();
            assert_eq!(engine.counts().closed, 0, "who leaves was not closed");
        }
    }

    #[test]
    fn a_subscriber_that_is_closed_is_counted_and_its_reason_kept() {
        let hub = FakeHub::start(Fault::Close);
        let mut engine = hub.engine(JSON);
        engine.connect_subscribers(Begin::Live).unwrap();
        engine.connect_publishers().unwrap();
        engine.measure();
        engine.publish_exactly(10).unwrap();
        let end = Instant::now() + PATIENCE;
        while engine.counts().closed == 0 {
            assert!(Instant::now() < end, "{:?}", engine.counts());
            engine.run_for(DRAIN_LOOK).unwrap();
        }
        assert_eq!(engine.first_trouble(), Some("the server closed with code 3008: slow"));
        assert!(engine.lost() >= 6, "{}", engine.lost());
    }

    #[test]
    fn who_comes_back_gets_exactly_what_was_missed() {
        let hub = FakeHub::start(Fault::None);
        let mut engine = hub.engine(JSON);
        engine.connect_publishers().unwrap();
        engine.publish_exactly(3).unwrap();
        engine.connect_subscribers(Begin::Positioned).unwrap();
        engine.disconnect_subscribers(PATIENCE).unwrap();
        engine.expect_all_from_here();
        engine.publish_exactly(7).unwrap();
        assert_eq!(engine.lost(), 28);
        engine.connect_subscribers(Begin::Recover).unwrap();
        let counts = engine.counts();
        assert_eq!((engine.lost(), counts.recovered, counts.delivered, counts.duplicated), (0, 4, 28, 0));
    }

    #[test]
    fn publications_keep_their_schedule() {
        let hub = FakeHub::start(Fault::None);
        let mut engine = hub.engine(JSON);
        engine.connect_subscribers(Begin::Live).unwrap();
        engine.connect_publishers().unwrap();
        let started = Instant::now();
        engine.publish(Pace::Rate(200.0)).unwrap();
        engine.run_for(Duration::from_millis(100)).unwrap();
        let at_most = 1 + (started.elapsed().as_secs_f64() * 200.0) as u64;
        assert!((2..=at_most).contains(&engine.counts().published), "{} of at most {at_most}", engine.counts().published);
        engine.publish(Pace::Off).unwrap();
        engine.drain(PATIENCE).unwrap();
        assert_eq!((engine.lost(), engine.counts().delivered), (0, 4 * engine.counts().published));
    }

    #[test]
    fn a_hub_that_speaks_otherwise_is_an_error_not_a_hang() {
        let hub = FakeHub::start(Fault::None);
        let mut engine = hub.engine(Protocol::Centrifuge(Codec::Protobuf));
        let error = engine.connect_subscribers(Begin::Live).unwrap_err().to_string();
        assert!(error.contains("0 of 4"), "{error}");
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut engine = hub.engine(JSON);
        engine.plan.target.address = nobody;
        let error = engine.connect_subscribers(Begin::Live).unwrap_err().to_string();
        assert!(error.contains("refused"), "{error}");
    }
}

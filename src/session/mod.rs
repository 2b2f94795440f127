//! One session: a client connection, from the good handshake (or the head of an endless answer) to the closed socket.
//!
//! Born when the HTTP edge hands a taken-over socket to [`start`], on the worker thread that accepted it; ends when the socket is closed,
//! the client is cut, its credentials expire or the hub drains. Watched from outside by the reaper, which ends the socket of a session that
//! is overdue. A session is not its socket: it reads from it when something is there, and writes through its [`Outbox`], which the channels'
//! fan-out writes to as well, so that publications never visit the session.

pub mod commands;
pub mod emulated;
pub mod facts;
pub mod hub;
pub mod procedures;
mod recovery;
mod server;
mod steered;
mod subscription;
#[cfg(test)]
mod tests;
pub mod worker;

pub use server::{Disconnected, Goodbye, Refreshed, Subscribed, Unsubscribe};
pub use steered::{Describe, DescribedSubscription, Description, Told};

use crate::auth::Bearer;
use crate::channel::{ChannelName, ClientInfo, SessionId, UserId};
use crate::clock::Millis;
use crate::guard::limits::ConnectionLimits;
use crate::guard::reaper::Cut;
use crate::hooks::Happened;
use crate::outbox::{Notice, Outbox};
use crate::protocol::centrifuge::command::ConnectRequest;
use crate::protocol::centrifuge::{Codec, Command, NotJson, Reply, Request, Wire};
use crate::protocol::codes::{Disconnect, ErrorCode};
use crate::protocol::websocket::{self, CloseReason, Incoming, Opcode};
use crate::telemetry::emit;
use crate::telemetry::latency::{self, Path};
use crate::telemetry::sessions::{CommandReceived, CommandRefused, Ended, FrameRefused, SessionClosed, SessionOpened, TokenRefused};
use crate::telemetry::tap;
use actix::WeakAddr;
use actix::fut::ActorFuture;
use actix::prelude::*;
use bytes::{Buf, Bytes, BytesMut};
use emulated::Emulated;
use facts::{Peer, SessionFacts};
use rustls::ServerConnection;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::{Duration, Instant};
use subscription::Subscription;
use tokio::net::tcp::OwnedReadHalf;
use worker::{Batch, Place, READ_BYTES_MAX, Worker};

/// Reads in one turn before the neighbours have theirs.
const READS_PER_TURN: usize = 4;

/// Replies in one frame (centrifuge.js and its relatives split them again).
const REPLIES_PER_FRAME_MAX: usize = 16;

/// Time on top of ping interval and pong timeout until the reaper ends a session that its own timer should have ended.
const REAPER_GRACE_MS: Millis = 5_000;

/// Window of the limit on answered errors.
const ERROR_WINDOW_MS: Millis = 60_000;

/// The reading half of a connection.
pub enum Source {
    Plain(OwnedReadHalf),
    /// The TLS state is shared with the outbox.
    Tls(OwnedReadHalf, Rc<RefCell<ServerConnection>>),
}

/// A connection as the HTTP edge hands it over.
pub struct Connection {
    pub source: Source,
    pub outbox: Rc<Outbox>,
    /// What the client sent behind its handshake.
    pub read_ahead: BytesMut,
    /// Pings are WebSocket control frames instead of messages of the protocol.
    pub pings_by_frame: bool,
    pub peer: Peer,
    pub opening: Opening,
}

/// What a client has said already when its session begins.
#[derive(Debug)]
pub enum Opening {
    Nothing,
    /// One frame's commands.
    Commands(Bytes),
    /// Who it is: all that it ever says.
    Connect(Box<ConnectRequest>),
}

/// Starts the session of a connection on the calling worker.
pub fn start(worker: &Rc<Worker>, mut connection: Connection) {
    Session::create(|ctx| {
        let addr = ctx.address().downgrade();
        connection.outbox.report_to(addr.clone().recipient());
        let opening = std::mem::replace(&mut connection.opening, Opening::Nothing);
        if !matches!(opening, Opening::Nothing) {
            ctx.spawn(fut::ready(opening).map(|opening, session: &mut Session, ctx: &mut Context<Session>| session.open(opening, ctx)));
        }
        Session::new(worker, connection, addr)
    });
}

/// Where a session is in its life.
enum Phase {
    /// Waits for the connect command.
    Fresh,
    Connected(Box<Identity>),
    /// Was refused with an error reply: takes no command, until the client leaves or this time.
    Refused {
        until: Millis,
    },
    /// Has said goodbye; waits for the peer's.
    Closing,
}

/// Who the client is.
struct Identity {
    info: Arc<ClientInfo>,
    facts: Arc<SessionFacts>,
    /// Unix seconds.
    expires_at: Option<i64>,
    /// What the application keeps with the connection; known only where it is asked.
    meta: Option<Box<Bytes>>,
    /// The channels that the token subscribed to: a refresh must bring the same.
    token_channels: Vec<ChannelName>,
    /// Registered last, so that whoever finds a session in the hub finds it complete.
    /// `None`: a canary of the hub's own, which nobody finds.
    _place: Option<hub::HubGuard>,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    /// It waits for a channel to be attached ([`Notice::ChannelLive`]) and starts over then.
    Again,
    /// It goes on in a future that the mailbox waits for, and which goes on with the commands behind it.
    Later,
}

pub struct Session {
    id: SessionId,
    worker: Rc<Worker>,
    source: Source,
    outbox: Rc<Outbox>,
    frames: websocket::Reader,
    /// The beginning of a frame whose rest has not come yet.
    unread: BytesMut,
    phase: Phase,
    peer: Arc<Peer>,
    /// Anonymous until connected.
    user: UserId,
    /// What its token says besides; a refresh brings the newest.
    bearer: Bearer,
    subscriptions: HashMap<ChannelName, Box<Subscription>>,
    /// Commands that wait behind one that waits.
    todo: VecDeque<(u32, Request)>,
    /// Requests that bring commands, behind one that waits. None of them has been answered yet.
    held: VecDeque<Emulated>,
    /// Subscriptions that the server API asked for and whose channels are not attached yet.
    server_todo: Vec<Subscribed>,
    /// What this connection may do so often; nothing where nothing is limited so.
    limits: Option<Box<ConnectionLimits>>,
    /// The first command has been counted by the limits, and is tried again.
    is_counted: bool,
    /// What the application said of the first command, until that has been carried out.
    verdict: Option<Box<commands::Verdict>>,
    /// The application is being asked whether the connection goes on.
    is_renewing: bool,
    /// Whether the first command waits for something.
    is_waiting: bool,
    pings_by_frame: bool,
    next_ping: Millis,
    /// By when an unanswered ping must be answered.
    pong_due: Option<Millis>,
    /// When the last ping went out, and how long the one took that was answered last.
    pinged_at: Option<Instant>,
    round_trip: Option<Duration>,
    errors: u32,
    errors_since: Millis,
    /// When the command that is being carried out had its turn.
    turn_since: Instant,
    /// Calls of procedures under way.
    calls: u16,
    /// The hub stops, and the client is told when nothing is under way.
    is_leaving: bool,
    started_at: Millis,
    /// When the client last asked for something that its SDK does not do by itself.
    active_at: Millis,
    /// When the connection ends in any case.
    ends_at: Option<Millis>,
    /// Why we closed, if we did.
    ended: Option<Ended>,
    /// What the client was told when we closed; kept only for the application to be told.
    told: Option<Box<(u16, String)>>,
    /// Whether it has ever been past the connect command.
    was_connected: bool,
    place: Place,
}

impl Session {
    fn new(worker: &Rc<Worker>, connection: Connection, addr: WeakAddr<Self>) -> Self {
        let Connection { source, outbox, read_ahead, pings_by_frame, peer, opening: _ } = connection;
        let now = worker.clock.now();
        let is_canary = outbox.watch().is_canary();
        Self {
            id: SessionId::random(),
            worker: Rc::clone(worker),
            source,
            outbox,
            frames: websocket::Reader::new(),
            unread: read_ahead,
            phase: Phase::Fresh,
            peer: Arc::new(peer),
            user: UserId::default(),
            bearer: Bearer::NOBODY,
            subscriptions: HashMap::new(),
            todo: VecDeque::new(),
            held: VecDeque::new(),
            server_todo: Vec::new(),
            limits: worker.limits.of_connection(),
            is_counted: false,
            verdict: None,
            is_renewing: false,
            is_waiting: false,
            pings_by_frame,
            next_ping: 0,
            pong_due: None,
            pinged_at: None,
            round_trip: None,
            errors: 0,
            errors_since: now,
            turn_since: Instant::now(),
            calls: 0,
            is_leaving: false,
            started_at: now,
            active_at: now,
            // The last tenth is chance, so that those who came together, after a restart, do not have to come together again.
            ends_at: worker.settings.age_ms.map(|age| now + age - rand::random_range(0..=age / 10)),
            ended: None,
            told: None,
            was_connected: false,
            place: worker.enter(addr, is_canary),
        }
    }

    /// Whether this is one of the hub's own canaries: carried like any other session, and counted, limited, traced and told of nowhere.
    fn is_canary(&self) -> bool {
        self.outbox.watch().is_canary()
    }

    fn wire(&self) -> Wire {
        self.outbox.wire()
    }

    fn codec(&self) -> Codec {
        self.wire().codec()
    }

    /// Whether the client can answer pings. (One that only listens cannot, unless its browser does it.)
    fn answers_pings(&self) -> bool {
        !self.wire().is_unidirectional() || self.wire().is_websocket()
    }

    fn identity(&self) -> Option<&Identity> {
        match &self.phase {
            Phase::Connected(identity) => Some(identity),
            Phase::Fresh | Phase::Refused { .. } | Phase::Closing => None,
        }
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if !self.is_canary() {
            emit(SessionOpened { session: self.id, transport: self.peer.transport.as_str(), codec: self.codec().as_str() });
        }
        let stale = self.started_at + self.worker.settings.stale_close_ms;
        self.outbox.watch().expect_inbound(Some(stale + REAPER_GRACE_MS));
        self.place.wake_at(Some(stale));
        ctx.spawn(Reading);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.outbox.abort();
        if self.is_canary() {
            return;
        }
        let how = self.ended.unwrap_or(match self.outbox.watch().cut() {
            Some(Cut::Silent) => Ended::Silent,
            Some(Cut::Stuck) => Ended::Stuck,
            None => Ended::ByClient,
        });
        self.tell_disconnected(how);
        emit(SessionClosed {
            session: self.id,
            user: self.user.clone(),
            how,
            lived_ms: self.worker.clock.now() - self.started_at,
            was_connected: self.was_connected,
        });
    }
}

impl Session {
    /// Tells the application, if it wants to know.
    fn tell_disconnected(&self, how: Ended) {
        let Some(events) = self.worker.events.as_ref().filter(|_| self.was_connected) else { return };
        let ours = match how {
            Ended::ByHub(why) => why,
            Ended::ByClient => Disconnect::CONNECTION_CLOSED,
            Ended::Protocol => Disconnect::BAD_REQUEST,
            Ended::Silent => Disconnect::NO_PONG,
            Ended::Stuck => Disconnect::SLOW,
        };
        let (code, reason) = self.told.as_deref().map_or((ours.code, ours.reason), |(code, reason)| (*code, reason.as_str()));
        events.tell(Happened::Disconnect {
            client: self.id,
            user: &self.user,
            transport: self.peer.transport.as_str(),
            code,
            reason,
            lived_ms: self.worker.clock.now() - self.started_at,
        });
    }
}

// === Reading ===
/// Reads for as long as the session lives. It is polled with the session at hand, so nothing is shared and nothing is sent.
struct Reading;

impl ActorFuture<Session> for Reading {
    type Output = ();

    fn poll(self: Pin<&mut Self>, session: &mut Session, ctx: &mut Context<Session>, task: &mut task::Context<'_>) -> Poll<()> {
        match session.read(ctx, task) {
            Poll::Ready(()) => {
                ctx.stop();
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Session {
    /// Ready when the connection is over.
    fn read(&mut self, ctx: &mut Context<Self>, task: &mut task::Context<'_>) -> Poll<()> {
        for _ in 0..READS_PER_TURN {
            // A command that waits holds back those behind it, and so the reading: the client's own socket is the queue.
            if self.is_waiting {
                return Poll::Pending;
            }
            if !self.take_frames(ctx) {
                return Poll::Ready(());
            }
            if self.is_waiting {
                return Poll::Pending;
            }
            let mut buffer = if self.unread.is_empty() { self.worker.read_buffer.take() } else { std::mem::take(&mut self.unread) };
            let wanted = self.frames.wanted(&buffer).clamp(4_096, READ_BYTES_MAX);
            buffer.reserve(if buffer.is_empty() { READ_BYTES_MAX } else { wanted });
            let result = self.read_some(&mut buffer, task);
            self.unread = buffer;
            match result {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    self.give_buffer_back();
                    return Poll::Pending;
                }
            }
        }
        if !self.take_frames(ctx) {
            return Poll::Ready(());
        }
        // More may be there: after the neighbours' turn.
        task.waker().wake_by_ref();
        Poll::Pending
    }

    /// Nothing is kept while nothing is there: what was read in part moves into a buffer of its size.
    fn give_buffer_back(&mut self) {
        let mut buffer = std::mem::take(&mut self.unread);
        if buffer.capacity() >= READ_BYTES_MAX {
            if !buffer.is_empty() {
                self.unread = BytesMut::from(&buffer[..]);
                buffer.clear();
            }
            *self.worker.read_buffer.borrow_mut() = buffer;
        } else if !buffer.is_empty() {
            self.unread = buffer;
        }
    }

    fn read_some(&mut self, buffer: &mut BytesMut, task: &mut task::Context<'_>) -> Poll<std::io::Result<usize>> {
        let (tcp, tls) = match &mut self.source {
            Source::Plain(tcp) => return tokio_util::io::poll_read_buf(Pin::new(tcp), task, buffer),
            Source::Tls(tcp, tls) => (tcp, tls),
        };
        loop {
            let mut cipher = self.worker.cipher_buffer.borrow_mut();
            cipher.clear();
            cipher.reserve(READ_BYTES_MAX / 2);
            match tokio_util::io::poll_read_buf(Pin::new(&mut *tcp), task, &mut *cipher) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                other => return other,
            }
            let before = buffer.len();
            let mut tls = tls.borrow_mut();
            while cipher.has_remaining() {
                tls.read_tls(&mut (&mut *cipher).reader())?;
                tls.process_new_packets().map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error))?;
                read_plain(&mut tls, buffer)?;
            }
            if tls.wants_write() {
                drop(tls);
                // An answer of the TLS layer itself, for instance to a key update.
                self.outbox.send_own(&[]);
            }
            if buffer.len() > before {
                return Poll::Ready(Ok(buffer.len() - before));
            }
        }
    }

    /// Takes every whole frame out of what was read. Whether the connection goes on.
    fn take_frames(&mut self, ctx: &mut Context<Self>) -> bool {
        if self.unread.is_empty() {
            return true;
        }
        if !self.wire().is_websocket() {
            // The request is over, and its connection is the answer's alone. Nothing that comes keeps the reaper away.
            self.unread.clear();
            return true;
        }
        let mut buffer = std::mem::take(&mut self.unread);
        let mut ping = None;
        let mut goes_on = true;
        let limits = self.worker.settings.frame_limits;
        while goes_on && !self.is_waiting {
            match self.frames.next(&mut buffer, &limits) {
                Ok(None) => break,
                Ok(Some(Incoming::Text(message) | Incoming::Binary(message))) => self.take_message(&message, ctx),
                // Only the latest ping of a burst is answered (RFC 6455, 5.5.3), so a flood of them makes no flood of ours.
                Ok(Some(Incoming::Ping(payload))) => ping = Some(payload),
                Ok(Some(Incoming::Pong(_))) => self.frame_pong(),
                Ok(Some(Incoming::Close(reason))) => goes_on = self.peer_closed(reason),
                Err(error) => {
                    emit(FrameRefused { session: self.id, kind: error.kind() });
                    self.close_for_frame_error(error.close_code());
                    // What follows cannot be understood any more; the socket is drained until the peer hangs up.
                    buffer.clear();
                    break;
                }
            }
            if matches!(self.phase, Phase::Closing) && goes_on {
                // Only the peer's close frame is of interest now.
                self.todo.clear();
            }
        }
        if let Some(payload) = ping {
            self.flush_replies();
            self.outbox.send(&websocket::frame(Opcode::Pong, &payload));
        }
        self.flush_replies();
        self.unread = buffer;
        self.expect_inbound();
        goes_on
    }

    fn close_for_frame_error(&mut self, code: u16) {
        let why = Disconnect::ALL.into_iter().find(|row| row.code == code).unwrap_or(Disconnect::WS_PROTOCOL_ERROR);
        self.disconnect(why);
        self.ended = Some(Ended::Protocol);
    }

    /// Answers the peer's close frame, unless it is itself the answer to ours. The connection is over in both cases.
    fn peer_closed(&mut self, reason: Option<CloseReason>) -> bool {
        if !matches!(self.phase, Phase::Closing) {
            let code = reason.map_or(Disconnect::WS_NORMAL.code, |reason| reason.code);
            self.flush_replies();
            self.outbox.send(&websocket::close_frame(code, ""));
            self.phase = Phase::Closing;
        }
        false
    }

    fn take_message(&mut self, message: &[u8], ctx: &mut Context<Self>) {
        if matches!(self.phase, Phase::Closing | Phase::Refused { .. }) {
            return;
        }
        if self.wire().is_unidirectional() {
            return self.take_introduction(message, ctx);
        }
        match self.codec().decode(message) {
            Ok(commands) => {
                for command in commands {
                    self.take_command(command, ctx);
                }
            }
            Err(error) => {
                log::debug!("session {}: {error}", self.id);
                self.disconnect(Disconnect::BAD_REQUEST);
            }
        }
    }

    /// The first message of who only listens says who it is; what comes later says nothing.
    fn take_introduction(&mut self, message: &[u8], ctx: &mut Context<Self>) {
        if !matches!(self.phase, Phase::Fresh) {
            return;
        }
        match ConnectRequest::alone(message) {
            Ok(request) => self.open(Opening::Connect(Box::new(request)), ctx),
            Err(error) => {
                log::debug!("session {}: {error}", self.id);
                self.disconnect(Disconnect::BAD_REQUEST);
            }
        }
    }

    /// Takes what the client said when it came.
    fn open(&mut self, opening: Opening, ctx: &mut Context<Self>) {
        match opening {
            Opening::Nothing => {}
            Opening::Commands(commands) => self.take_message(&commands, ctx),
            Opening::Connect(request) => self.take_request(0, Request::Connect(*request), ctx),
        }
        self.flush_replies();
        self.expect_inbound();
    }

    fn take_command(&mut self, command: Command, ctx: &mut Context<Self>) {
        let id = command.id;
        self.take_request(id, command.into_request(), ctx);
    }

    fn take_request(&mut self, id: u32, request: Request, ctx: &mut Context<Self>) {
        if !self.is_canary() {
            emit(CommandReceived { command: request.name() });
        }
        if tap::is_tracing() {
            self.trace_command(id, &request);
        }
        if self.is_waiting || !self.todo.is_empty() {
            self.todo.push_back((id, request));
        } else {
            self.try_command(id, request, ctx);
        }
    }

    /// Carries a command out, or keeps it as the first to try again.
    fn try_command(&mut self, id: u32, request: Request, ctx: &mut Context<Self>) {
        if !std::mem::take(&mut self.is_counted) {
            self.turn_since = Instant::now();
            if let Err(()) = self.count(id, &request) {
                return;
            }
        }
        match self.command(id, &request, ctx) {
            Step::Done => {}
            Step::Again => {
                self.is_waiting = true;
                self.put_back(id, request);
            }
            Step::Later => self.is_waiting = true,
        }
    }

    /// Counts a command among those that may come so often. An error: it has been refused.
    fn count(&mut self, id: u32, request: &Request) -> Result<(), ()> {
        // Pongs answer to us; connects are counted when it is known whose they are.
        if matches!(request, Request::Pong | Request::Connect(_)) || !matches!(self.phase, Phase::Connected(_)) || self.is_canary() {
            return Ok(());
        }
        let (limits, own) = (&self.worker.limits, self.limits.as_deref());
        let (user, address) = (self.user.as_str(), Some(self.peer.address));
        let taken = limits.commands.take(own.and_then(|own| own.commands.as_ref()), user, address).and_then(|()| match request {
            Request::Publish(_) => limits.publishes.take(own.and_then(|own| own.publishes.as_ref()), user, address),
            Request::Subscribe(_) => limits.subscribes.take(own.and_then(|own| own.subscribes.as_ref()), user, address),
            _ => Ok(()),
        });
        taken.map_err(|_| {
            // Without an id there is nothing to answer to.
            if id == 0 {
                self.disconnect(Disconnect::TOO_MANY_REQUESTS);
            } else {
                self.refuse(id, request.name(), ErrorCode::TOO_MANY_REQUESTS);
            }
        })
    }

    /// Makes a command the first to be tried again.
    fn put_back(&mut self, id: u32, request: Request) {
        self.is_counted = true;
        self.todo.push_front((id, request));
    }

    /// Goes on with the commands that wait.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        self.is_waiting = false;
        while !self.is_waiting {
            if matches!(self.phase, Phase::Closing | Phase::Refused { .. }) {
                self.todo.clear();
            }
            let Some((id, request)) = self.todo.pop_front() else { break };
            self.try_command(id, request, ctx);
        }
        if self.todo.is_empty() {
            self.todo = VecDeque::new();
        }
        self.flush_replies();
        self.take_held(ctx);
    }

    /// Whatever the client sends keeps the reaper away for a ping's round.
    fn expect_inbound(&self) {
        let settings = &self.worker.settings;
        if let Phase::Connected(identity) = &self.phase {
            let now = self.worker.clock.now();
            identity.facts.seen(now);
            let is_answered = settings.ping_interval_ms > 0 && settings.pong_timeout_ms > 0 && self.answers_pings();
            let round = settings.ping_interval_ms + settings.pong_timeout_ms + REAPER_GRACE_MS;
            self.outbox.watch().expect_inbound(is_answered.then(|| now + round));
        }
    }
}

fn read_plain(tls: &mut ServerConnection, buffer: &mut BytesMut) -> std::io::Result<()> {
    loop {
        let start = buffer.len();
        buffer.resize(start + 16 * 1_024, 0);
        let count = match tls.reader().read(&mut buffer[start..]) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => {
                buffer.truncate(start);
                return Err(error);
            }
        };
        buffer.truncate(start + count);
        if count == 0 {
            return Ok(());
        }
    }
}

// === Replies ===
impl Session {
    /// A command was answered that had its turn this long ago.
    fn took(&self, path: Path, time: Duration) {
        if !self.is_canary() {
            latency::took(path, time);
        }
    }

    /// Queues a reply, to be sent with the others of this turn.
    fn reply(&mut self, reply: &Reply) {
        let count = {
            let mut batch = self.worker.batch.borrow_mut();
            let wire = self.wire();
            if batch.owner != Some(self.id) {
                *batch = Batch { owner: Some(self.id), ..Batch::default() };
            }
            let mut message = std::mem::take(&mut batch.bytes);
            let written = wire.write(reply, &mut message);
            batch.bytes = message;
            match written {
                Ok(()) => batch.count += 1,
                Err(NotJson) => {
                    drop(batch);
                    return self.disconnect(Disconnect::INAPPROPRIATE_PROTOCOL);
                }
            }
            batch.count
        };
        if count == REPLIES_PER_FRAME_MAX {
            self.flush_replies();
        }
    }

    /// Sends the replies of this turn in one frame.
    fn flush_replies(&mut self) {
        let mut batch = self.worker.batch.borrow_mut();
        if batch.count == 0 || batch.owner != Some(self.id) {
            return;
        }
        batch.count = 0;
        let frame = self.wire().frame(&batch.bytes);
        batch.bytes.clear();
        drop(batch);
        if !frame.is_empty() {
            self.outbox.send(&frame);
        }
    }

    fn refuse(&mut self, id: u32, command: &'static str, error: ErrorCode) -> Step {
        self.refuse_with(id, command, error, error.message)
    }

    /// Like [`Session::refuse`], with more to say than the code does.
    fn refuse_with(&mut self, id: u32, command: &'static str, error: ErrorCode, message: &str) -> Step {
        emit(CommandRefused { session: self.id, command, error });
        if tap::is_tracing() {
            self.trace_refusal(id, command, error);
        }
        let now = self.worker.clock.now();
        if now >= self.errors_since + ERROR_WINDOW_MS {
            (self.errors, self.errors_since) = (0, now);
        }
        self.errors += 1;
        if self.wire().is_unidirectional() {
            self.disconnect(Disconnect::in_place_of(error));
            return Step::Done;
        }
        self.reply(&Reply::Error { id, error, message });
        if self.worker.settings.error_limit > 0 && self.errors > self.worker.settings.error_limit {
            self.disconnect(Disconnect::TOO_MANY_ERRORS);
        }
        Step::Done
    }

    /// Closes the connection for this reason, after what has been replied already.
    fn disconnect(&mut self, why: Disconnect) {
        self.disconnect_with(why.code, why.reason, Ended::ByHub(why));
    }

    /// Like [`Session::disconnect`], for codes and reasons that are not ours.
    fn disconnect_with(&mut self, code: u16, reason: &str, ended: Ended) {
        if matches!(self.phase, Phase::Closing) {
            return;
        }
        self.flush_replies();
        if self.worker.events.is_some() {
            self.told = Some(Box::new((code, reason.to_string())));
        }
        self.ended = Some(ended);
        // The channels are left at once: nothing may be pushed behind the close frame, and nobody is present who is being sent away.
        self.subscriptions = HashMap::new();
        self.todo = VecDeque::new();
        self.held = VecDeque::new();
        self.phase = Phase::Closing;
        self.outbox.close(code, reason);
        let settings = &self.worker.settings;
        self.place.wake_at(Some(self.worker.clock.now() + settings.close_timeout_ms));
    }

    /// A token that is not accepted: the log is told why, the client is not.
    fn token_refused(&self, why: &dyn std::fmt::Display) {
        emit(TokenRefused { session: self.id, why });
    }
}

// === Notice ===
impl Handler<Notice> for Session {
    type Result = ();

    fn handle(&mut self, notice: Notice, ctx: &mut Self::Context) {
        match notice {
            Notice::Disconnect(why) => self.disconnect(why),
            Notice::InsufficientState(channel) => self.lost_position(&channel),
            Notice::ChannelLive => {
                self.subscribe_waiting(ctx);
                if self.is_waiting {
                    self.go_on(ctx);
                }
            }
            Notice::Gone => ctx.stop(),
        }
        self.flush_replies();
    }
}

// === Tick ===
/// The session's timer has rung.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Tick;

impl Handler<Tick> for Session {
    type Result = ();

    fn handle(&mut self, _: Tick, ctx: &mut Self::Context) {
        self.place.woken();
        let now = self.worker.clock.now();
        match &self.phase {
            Phase::Fresh if now >= self.started_at + self.worker.settings.stale_close_ms => self.disconnect(Disconnect::STALE),
            Phase::Fresh => self.place.wake_at(Some(self.started_at + self.worker.settings.stale_close_ms)),
            Phase::Refused { until } if now >= *until => self.disconnect(Disconnect::STALE),
            Phase::Refused { until } => self.place.wake_at(Some(*until)),
            // The peer did not answer our close frame in time.
            Phase::Closing => ctx.stop(),
            Phase::Connected(_) => self.tick_connected(now, ctx),
        }
        self.flush_replies();
    }
}

impl Session {
    fn tick_connected(&mut self, now: Millis, ctx: &mut Context<Self>) {
        if self.pong_due.is_some_and(|due| now >= due) {
            return self.disconnect(Disconnect::NO_PONG);
        }
        let wall = self.worker.clock.wall_ms();
        self.renew(wall, ctx);
        if matches!(self.phase, Phase::Closing) {
            return;
        }
        if self.expired(wall) {
            return self.disconnect(Disconnect::EXPIRED);
        }
        if self.idle_ms().is_some_and(|idle| now >= self.active_at + idle) {
            return self.disconnect(Disconnect::STALE);
        }
        // The client comes back by itself, with its token and its positions, and is looked at anew.
        if self.ends_at.is_some_and(|end| now >= end) {
            return self.disconnect(Disconnect::EXPIRED);
        }
        self.expire_subscriptions(wall);
        if matches!(self.phase, Phase::Closing) {
            return;
        }
        if self.worker.settings.ping_interval_ms > 0 && now >= self.next_ping {
            self.send_ping(now);
        }
        self.schedule(now);
    }

    fn send_ping(&mut self, now: Millis) {
        let settings = &self.worker.settings;
        self.next_ping = now + settings.ping_interval_ms;
        if settings.pong_timeout_ms > 0 && self.answers_pings() {
            self.pong_due = Some(now + settings.pong_timeout_ms);
        }
        self.pinged_at = Some(Instant::now());
        let frame = if self.pings_by_frame { &[0x89, 0] } else { self.wire().ping() };
        self.outbox.send(&Bytes::from_static(frame));
    }

    /// A pong of the protocol: `{}`.
    fn pong(&mut self) {
        if self.pings_by_frame || self.pong_due.is_none() {
            return self.disconnect(Disconnect::BAD_REQUEST);
        }
        self.answered_ping();
    }

    /// A pong frame: anybody may send one at any time (RFC 6455, 5.5.3).
    fn frame_pong(&mut self) {
        if self.pings_by_frame || self.wire().is_unidirectional() {
            self.answered_ping();
        }
    }

    fn answered_ping(&mut self) {
        if self.pong_due.take().is_some() {
            self.round_trip = self.pinged_at.map(|at| at.elapsed());
        }
    }

    fn expired(&self, wall_ms: i64) -> bool {
        if self.renewed_by().is_some() {
            return false;
        }
        let grace = self.worker.settings.expired_close_ms as i64;
        self.identity().and_then(|identity| identity.expires_at).is_some_and(|at| wall_ms >= at.saturating_mul(1_000).saturating_add(grace))
    }

    /// The time that the client may be without a command. Who only listens has none to give.
    fn idle_ms(&self) -> Option<Millis> {
        self.worker.settings.idle_ms.filter(|_| !self.wire().is_unidirectional())
    }

    /// Sets the one timer to whatever comes first.
    fn schedule(&self, now: Millis) {
        let settings = &self.worker.settings;
        let wall = self.worker.clock.wall_ms();
        let in_wall = |at_seconds: i64, grace_ms: Millis| {
            let left = at_seconds.saturating_mul(1_000).saturating_add(grace_ms as i64).saturating_sub(wall);
            now + left.max(1) as Millis
        };
        let ping = (settings.ping_interval_ms > 0).then_some(self.next_ping);
        let grace = Self::grace_ms(self.renewed_by().is_some(), self.is_renewing, settings.expired_close_ms);
        let expiry = self.identity().and_then(|identity| identity.expires_at).zip(grace).map(|(at, grace)| in_wall(at, grace));
        let of_subscription = |one: &Subscription| {
            let grace = Self::grace_ms(one.is_renewed_by_hook, one.is_renewing, settings.expired_sub_close_ms);
            one.expires_at.zip(grace).map(|(at, grace)| in_wall(at, grace))
        };
        let expiry_of_subscriptions = self.subscriptions.values().filter_map(|one| of_subscription(one)).min();
        // Commands do not move the timer: when it rings and there was one meanwhile, it is set again.
        let idle = self.idle_ms().map(|idle| self.active_at + idle);
        self.place.wake_at([ping, self.pong_due, expiry, expiry_of_subscriptions, idle, self.ends_at].into_iter().flatten().min());
    }
}

#[cfg(feature = "test-hooks")]
impl Handler<Panic> for Session {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("a test asked session {} to panic", self.id);
    }
}

/// Makes the session panic, so that tests can see what is left of it.
#[cfg(feature = "test-hooks")]
#[derive(Message)]
#[rtype(result = "()")]
pub struct Panic;

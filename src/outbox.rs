//! Frames on their way to one client.
//!
//! A frame is written at once when nothing waits before it; only what the socket does not take is kept, bounded in bytes and in age. A
//! client that falls behind further is cut, never carried: it recovers from history, and its neighbours do not wait for it.
//!
//! An outbox lives on the worker thread of its connection and is shared there by the session and by the fan-out lists of its channels.
//! Of protocols it knows how each [`Wire`] says goodbye, and it never reads.

use crate::channel::{SessionId, UserId};
use crate::clock::{Clock, Millis};
use crate::guard::Ticket;
use crate::protocol::centrifuge::{Push, Wire};
use crate::protocol::codes::Disconnect;
use crate::protocol::websocket;
use actix::{Message, WeakRecipient};
use bytes::Bytes;
use rustls::ServerConnection;
use socket2::SockRef;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::Shutdown;
use std::rc::Rc;
use tokio::net::tcp::OwnedWriteHalf;

/// How much may wait for one client, and how long.
#[derive(Clone, Debug)]
pub struct OutboxLimits {
    pub bytes_max: usize,
    /// Milliseconds that the oldest unsent byte may wait.
    pub age_ms_max: Millis,
    /// Milliseconds to wait, after our close frame, for the peer to close.
    pub close_ms_max: Millis,
}

/// What the owner of an outbox has to be told, by whoever writes to it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub enum Notice {
    /// Close the connection for this reason.
    Disconnect(Disconnect),
    /// The client missed publications of this channel that cannot be given to it in order.
    InsufficientState(crate::channel::ChannelName),
    /// The channel that a command waited for is attached to this worker.
    ChannelLive,
    /// The socket failed or is closed: nothing more will be written.
    Gone,
}

/// The writing half of a connection.
pub enum Socket {
    Plain(OwnedWriteHalf),
    /// The TLS state is shared with the reader.
    Tls(OwnedWriteHalf, Rc<RefCell<ServerConnection>>),
}

impl Socket {
    fn tcp(&self) -> &OwnedWriteHalf {
        match self {
            Self::Plain(tcp) | Self::Tls(tcp, _) => tcp,
        }
    }

    /// Writes what the socket takes now; 0 where it takes nothing.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => none_if_blocked(tcp.try_write(bytes)),
            Self::Tls(tcp, tls) => Self::write_tls(tcp, &mut tls.borrow_mut(), &[IoSlice::new(bytes)]),
        }
    }

    fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => none_if_blocked(tcp.try_write_vectored(parts)),
            Self::Tls(tcp, tls) => Self::write_tls(tcp, &mut tls.borrow_mut(), parts),
        }
    }

    /// Encrypts only when all that was encrypted before is gone, so that no more than one batch of records waits inside the TLS state.
    fn write_tls(tcp: &OwnedWriteHalf, tls: &mut ServerConnection, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if !Self::flush_tls(tcp, tls)? {
            return Ok(0);
        }
        let taken = tls.writer().write_vectored(parts)?;
        Self::flush_tls(tcp, tls)?;
        Ok(taken)
    }

    /// Whether every encrypted byte has been handed to the kernel.
    fn flush_tls(tcp: &OwnedWriteHalf, tls: &mut ServerConnection) -> io::Result<bool> {
        while tls.wants_write() {
            match tls.write_tls(&mut TryWrite(tcp)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Tells the peer that nothing more comes.
    fn finish(&self) {
        if let Self::Tls(tcp, tls) = self {
            let mut tls = tls.borrow_mut();
            tls.send_close_notify();
            // What a full buffer does not take is missed by a peer only that has stopped reading.
            let _ = Self::flush_tls(tcp, &mut tls);
        }
        let _ = SockRef::from(self.tcp().as_ref()).shutdown(Shutdown::Write);
    }

    /// Whether nothing is left inside the TLS state.
    fn flush(&self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(tcp, tls) => Self::flush_tls(tcp, &mut tls.borrow_mut()),
        }
    }
}

fn none_if_blocked(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

/// The socket as rustls wants it: a writer that says when it would block.
struct TryWrite<'a>(&'a OwnedWriteHalf);

impl Write for TryWrite<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }
    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(parts)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What did not fit into the socket yet.
#[derive(Default)]
struct Backlog {
    frames: VecDeque<Waiting>,
    bytes: usize,
    /// Whether the first frame has been written in part: then its rest must go out before anything else may.
    head_is_partial: bool,
    /// Frames that have left: the number of the first one that waits.
    gone: u64,
    /// The numbers of the frames that wait for a place of their own, each of which a newer one takes.
    places: HashMap<*const Cell<u32>, u64>,
}

struct Waiting {
    bytes: Bytes,
    since: Millis,
    /// Whose newest it is; kept, so that nobody else can be taken for it.
    of: Option<PlaceOf>,
}

/// Somebody of whose frames only the newest waits. Two are the same if they are the same cell.
pub type PlaceOf = Rc<Cell<u32>>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Open,
    /// More waited than may: nothing is taken any more, and the owner is told to close.
    Full,
    /// Our close frame is written or waits: nothing may follow it.
    Closing,
    /// The last of an endless answer is written or waits: the end of the connection follows it.
    Ending,
    /// The socket is of no use any more.
    Gone,
}

pub struct Outbox {
    /// Dropped before the socket: see [`Ticket`].
    watch: Ticket,
    socket: Socket,
    wire: Wire,
    state: Cell<State>,
    backlog: RefCell<Option<Box<Backlog>>>,
    limits: Rc<OutboxLimits>,
    clock: Clock,
    port: OnceCell<WeakRecipient<Notice>>,
    owner: OnceCell<(SessionId, UserId)>,
}

thread_local! {
    /// Bytes that wait in all outboxes of this worker.
    static WAITING_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that wait in all outboxes of the calling worker.
pub fn waiting_bytes() -> usize {
    WAITING_BYTES.get()
}

impl Outbox {
    pub fn new(socket: Socket, watch: Ticket, wire: Wire, limits: Rc<OutboxLimits>, clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            watch,
            socket,
            wire,
            state: Cell::new(State::Open),
            backlog: RefCell::new(None),
            limits,
            clock,
            port: OnceCell::new(),
            owner: OnceCell::new(),
        })
    }

    /// Whom to tell what the owner must know. Told once, by the owner.
    pub fn report_to(&self, port: WeakRecipient<Notice>) {
        let _ = self.port.set(port);
    }

    /// Whose connection it is. Told once, when that is known, for those who write to all but some.
    pub fn belongs_to(&self, session: SessionId, user: &UserId) {
        let _ = self.owner.set((session, user.clone()));
    }

    /// `None`: nobody has said who it is.
    pub fn owner(&self) -> Option<&(SessionId, UserId)> {
        self.owner.get()
    }

    pub fn wire(&self) -> Wire {
        self.wire
    }

    pub fn watch(&self) -> &Ticket {
        &self.watch
    }

    pub fn tell(&self, notice: Notice) {
        if let Some(port) = self.port.get().and_then(WeakRecipient::upgrade) {
            port.do_send(notice);
        }
    }

    /// Sends one whole frame, or several one after the other, that others send too.
    pub fn send(self: &Rc<Self>, frame: &Bytes) {
        if self.state.get() != State::Open {
            return;
        }
        if self.is_behind() {
            return self.keep(frame.clone(), false);
        }
        match self.socket.try_write(frame) {
            Ok(written) if written == frame.len() && self.is_flushed() => {}
            Ok(written) => self.keep(frame.slice(written..), written > 0),
            Err(_) => self.fail(),
        }
    }

    /// Sends one whole frame, in place of the one that waits for `of` already, if one does: then says so. A place that is taken over is not older than
    /// its frame, so who reads slowly, and reads, is never cut for it.
    pub fn send_latest(self: &Rc<Self>, frame: &Bytes, of: &PlaceOf) -> bool {
        if !self.is_behind() || self.state.get() != State::Open {
            self.send(frame);
            return false;
        }
        let now = self.clock.now();
        {
            let mut guard = self.backlog.borrow_mut();
            if let Some(backlog) = guard.as_mut()
                && backlog.replace(frame, of, now, self.limits.bytes_max)
            {
                self.watch.expect_outbound(backlog.frames.front().map(|front| front.since + self.limits.age_ms_max));
                return true;
            }
        }
        self.keep(frame.clone(), false);
        if self.state.get() == State::Open
            && let Some(backlog) = self.backlog.borrow_mut().as_mut()
        {
            backlog.name_last(of);
        }
        false
    }

    /// Sends one whole frame that nobody else sends: it is copied only if the socket does not take it.
    pub fn send_own(self: &Rc<Self>, frame: &[u8]) {
        if self.state.get() != State::Open {
            return;
        }
        if self.is_behind() {
            return self.keep(Bytes::copy_from_slice(frame), false);
        }
        match self.socket.try_write(frame) {
            Ok(written) if written == frame.len() && self.is_flushed() => {}
            Ok(written) => self.keep(Bytes::copy_from_slice(&frame[written..]), written > 0),
            Err(_) => self.fail(),
        }
    }

    /// Sends one frame that comes in parts, some of them shared.
    pub fn send_parts(self: &Rc<Self>, parts: [Bytes; 3]) {
        if self.state.get() != State::Open {
            return;
        }
        let mut written = 0;
        if !self.is_behind() {
            match self.socket.try_write_vectored(&parts.each_ref().map(|part| IoSlice::new(part))) {
                Ok(count) => written = count,
                Err(_) => return self.fail(),
            }
        }
        let mut is_partial = written > 0;
        for mut part in parts {
            if written >= part.len() {
                written -= part.len();
                continue;
            }
            self.keep(part.split_off(written), is_partial);
            written = 0;
            is_partial = false;
            if self.state.get() != State::Open {
                return;
            }
        }
        if !self.is_behind() && !self.is_flushed() {
            self.keep(Bytes::new(), false);
        }
    }

    /// Says goodbye and lets nothing follow it. What waits is sent before it, unless the client is cut for being slow.
    pub fn close(self: &Rc<Self>, code: u16, reason: &str) {
        if !matches!(self.state.get(), State::Open | State::Full) {
            return;
        }
        if code == Disconnect::SLOW.code {
            self.forget_waiting();
        }
        // Where there is no close frame, or it is not all that says it, the last message does.
        let says_it_in_a_message = !self.wire.is_websocket() || self.wire.is_unidirectional();
        let push = if says_it_in_a_message { self.wire.push(Push::Disconnect { code, reason }).unwrap_or_default() } else { Bytes::new() };
        if self.wire.is_websocket() {
            let last = [&push[..], &websocket::close_frame(code, reason)].concat();
            self.say_last(&last, State::Closing);
        } else {
            self.end(&push);
        }
    }

    /// Sends `last` behind what waits, and then the end of the connection: how an answer ends that has no other end.
    pub fn end(self: &Rc<Self>, last: &[u8]) {
        self.say_last(last, State::Ending);
        if self.state.get() == State::Ending && !self.is_behind() {
            self.socket.finish();
        }
    }

    fn say_last(self: &Rc<Self>, last: &[u8], then: State) {
        if !matches!(self.state.get(), State::Open | State::Full) {
            return;
        }
        self.state.set(State::Open);
        self.send_own(last);
        if self.state.get() != State::Gone {
            self.state.set(then);
            self.watch.expect_inbound(Some(self.clock.now() + self.limits.close_ms_max));
        }
    }

    /// Forgets what waits, but for the rest of a frame that the client has seen the beginning of.
    fn forget_waiting(&self) {
        if let Some(backlog) = self.backlog.borrow_mut().as_mut() {
            backlog.forget_whole_frames();
        }
    }

    /// Ends the connection without a word.
    pub fn abort(&self) {
        self.state.set(State::Gone);
        self.watch.shutdown();
        self.backlog.borrow_mut().take();
    }

    /// Bytes that the client has not taken yet.
    pub fn waiting(&self) -> usize {
        self.backlog.borrow().as_ref().map_or(0, |backlog| backlog.bytes)
    }

    /// Whether the client has not taken yet what it was sent.
    pub fn is_behind(&self) -> bool {
        self.backlog.borrow().is_some()
    }

    fn is_flushed(&self) -> bool {
        matches!(self.socket.flush(), Ok(true))
    }

    fn fail(&self) {
        if self.state.replace(State::Gone) != State::Gone {
            self.tell(Notice::Gone);
        }
    }

    /// Keeps what the socket did not take, and sees to it that it is written later.
    fn keep(self: &Rc<Self>, bytes: Bytes, is_partial: bool) {
        let now = self.clock.now();
        let mut backlog = self.backlog.borrow_mut();
        if let Some(backlog) = backlog.as_mut() {
            if backlog.bytes + bytes.len() > self.limits.bytes_max {
                self.state.set(State::Full);
                self.tell(Notice::Disconnect(Disconnect::SLOW));
                return;
            }
            backlog.push(bytes, now);
            return;
        }
        let mut fresh = Box::new(Backlog::default());
        fresh.head_is_partial = is_partial;
        fresh.push(bytes, now);
        *backlog = Some(fresh);
        drop(backlog);
        self.watch.expect_outbound(Some(now + self.limits.age_ms_max));
        let outbox = Rc::clone(self);
        actix_rt::spawn(async move { outbox.drain().await });
    }

    /// Writes what waits as the socket takes it. The only task of an outbox, and only while it is behind.
    async fn drain(&self) {
        loop {
            if self.socket.tcp().writable().await.is_err() {
                break self.fail();
            }
            match self.write_backlog() {
                Ok(true) => break,
                Ok(false) => {}
                Err(_) => break self.fail(),
            }
        }
        self.backlog.borrow_mut().take();
        self.watch.expect_outbound(None);
        if self.state.get() == State::Ending {
            self.socket.finish();
        }
    }

    /// Whether everything is written.
    fn write_backlog(&self) -> io::Result<bool> {
        /// Frames that one system call takes along.
        const PARTS_MAX: usize = 64;
        let mut guard = self.backlog.borrow_mut();
        let Some(backlog) = guard.as_mut() else { return Ok(true) };
        loop {
            if backlog.frames.is_empty() {
                return self.socket.flush();
            }
            let mut parts = [IoSlice::new(&[]); PARTS_MAX];
            let count = backlog.frames.len().min(PARTS_MAX);
            for (part, waiting) in parts.iter_mut().zip(&backlog.frames) {
                *part = IoSlice::new(&waiting.bytes);
            }
            let written = self.socket.try_write_vectored(&parts[..count])?;
            if written == 0 && backlog.bytes > 0 {
                return Ok(false);
            }
            backlog.advance(written);
            let due = backlog.frames.front().map(|waiting| waiting.since + self.limits.age_ms_max);
            self.watch.expect_outbound(due);
        }
    }
}

impl Backlog {
    fn push(&mut self, bytes: Bytes, since: Millis) {
        self.add(bytes.len());
        self.frames.push_back(Waiting { bytes, since, of: None });
    }

    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        WAITING_BYTES.set(WAITING_BYTES.get() + bytes);
    }

    fn sub(&mut self, bytes: usize) {
        self.bytes -= bytes;
        WAITING_BYTES.set(WAITING_BYTES.get() - bytes);
    }

    /// Forgets the first `written` bytes.
    fn advance(&mut self, mut written: usize) {
        self.sub(written);
        while let Some(front) = self.frames.front_mut() {
            if written < front.bytes.len() {
                self.head_is_partial |= written > 0;
                front.bytes = front.bytes.split_off(written);
                return;
            }
            written -= front.bytes.len();
            self.head_is_partial = false;
            if let Some(of) = front.of.take()
                && self.places.get(&Rc::as_ptr(&of)) == Some(&self.gone)
            {
                self.places.remove(&Rc::as_ptr(&of));
            }
            self.frames.pop_front();
            self.gone += 1;
        }
    }

    /// The last frame is the newest of this one.
    fn name_last(&mut self, of: &PlaceOf) {
        if let Some(last) = self.frames.back_mut() {
            last.of = Some(Rc::clone(of));
            self.places.insert(Rc::as_ptr(of), self.gone + self.frames.len() as u64 - 1);
        }
    }

    /// Puts `bytes` where an older frame of the same one waits, unless there is none, or the client has seen the beginning of it, or there would be
    /// more than may wait.
    fn replace(&mut self, bytes: &Bytes, of: &PlaceOf, now: Millis, bytes_max: usize) -> bool {
        let Some(index) = self.places.get(&Rc::as_ptr(of)).and_then(|number| usize::try_from(number - self.gone).ok()) else { return false };
        if index == 0 && self.head_is_partial {
            return false;
        }
        let Some(waiting) = self.frames.get_mut(index) else { return false };
        let before = waiting.bytes.len();
        if self.bytes - before + bytes.len() > bytes_max {
            return false;
        }
        (waiting.bytes, waiting.since) = (bytes.clone(), now);
        self.sub(before);
        self.add(bytes.len());
        true
    }

    /// Keeps only the rest of a frame that the client has seen the beginning of.
    fn forget_whole_frames(&mut self) {
        let kept = usize::from(self.head_is_partial);
        let dropped = self.frames.drain(kept.min(self.frames.len())..).map(|waiting| waiting.bytes.len()).sum();
        self.sub(dropped);
        self.places.clear();
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        let left = self.bytes;
        self.sub(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 20;

    fn place() -> PlaceOf {
        Rc::default()
    }

    fn waiting(backlog: &Backlog) -> Vec<&[u8]> {
        backlog.frames.iter().map(|waiting| &waiting.bytes[..]).collect()
    }

    /// As the outbox does it.
    fn send(backlog: &mut Backlog, frame: &'static [u8], of: &PlaceOf) -> bool {
        let has_replaced = backlog.replace(&Bytes::from_static(frame), of, 0, MAX);
        if !has_replaced {
            backlog.push(Bytes::from_static(frame), 0);
            backlog.name_last(of);
        }
        has_replaced
    }

    #[test]
    fn a_newer_frame_takes_the_place_of_the_one_that_waits() {
        let mut backlog = Backlog::default();
        let (a, b) = (place(), place());
        backlog.push(Bytes::from_static(b"first"), 0);
        assert!(!send(&mut backlog, b"a1", &a) && !send(&mut backlog, b"b1", &b));
        backlog.push(Bytes::from_static(b"reply"), 0);
        assert!(send(&mut backlog, b"a2 ", &a), "in its place, though something else came behind it");
        assert_eq!(waiting(&backlog), [&b"first"[..], b"a2 ", b"b1", b"reply"]);
        assert_eq!(backlog.bytes, 15);
        // What the client has seen the beginning of goes out as it is, and the newer one behind all others.
        backlog.advance(6);
        assert!(!send(&mut backlog, b"a3", &a) && send(&mut backlog, b"a4", &a));
        assert_eq!(waiting(&backlog), [&b"2 "[..], b"b1", b"reply", b"a4"]);
        backlog.advance(2);
        assert!(send(&mut backlog, b"a5", &a), "the one that has gone out is not taken for the one that waits");
        assert!(send(&mut backlog, b"b2", &b));
        assert_eq!(waiting(&backlog), [&b"b2"[..], b"reply", b"a5"]);
        backlog.advance(2 + 5 + 2);
        assert!(backlog.frames.is_empty() && backlog.places.is_empty() && backlog.bytes == 0);
        assert!(!send(&mut backlog, b"a6", &a));
        assert_eq!(Rc::strong_count(&b), 1, "nobody is kept who has nothing waiting");
    }

    #[test]
    fn there_is_never_more_than_may_wait() {
        let mut backlog = Backlog::default();
        let a = place();
        send(&mut backlog, b"0123456789", &a);
        backlog.push(Bytes::from_static(b"01234"), 0);
        assert!(!backlog.replace(&Bytes::from_static(b"0123456789012345"), &a, 0, MAX), "16 and 5");
        assert!(backlog.replace(&Bytes::from_static(b"012345678901234"), &a, 0, MAX), "15 and 5");
        backlog.forget_whole_frames();
        assert!(backlog.places.is_empty() && backlog.bytes == 0);
        assert!(!backlog.replace(&Bytes::from_static(b"x"), &a, 0, MAX));
    }

    #[test]
    fn whoever_comes_after_it_is_not_taken_for_who_has_left() {
        let mut backlog = Backlog::default();
        let first = place();
        send(&mut backlog, b"1", &first);
        drop(first);
        // The frame keeps the place, so none that is made anew is the same.
        for _ in 0..100 {
            assert!(!backlog.replace(&Bytes::from_static(b"2"), &place(), 0, MAX));
        }
    }
}

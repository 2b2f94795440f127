//! One accepted connection, plain or TLS, as actix-http reads and writes it: with a deadline on every stage.
//!
//! actix-http times the headers of the first request of a connection and nothing after it. Here every stage sets its deadline where the
//! bytes pass, and the reaper enforces it from outside: the first byte, a whole request, an answer that is not taken, the pause until the
//! next request. What a stage may take is in [`Deadlines`].
//!
//! A connection leaves HTTP in one of two ways: an upgrade hands it over whole, and a request that is answered without an end takes it through
//! its [`Door`]. Either way nobody of HTTP is left behind that would cost memory or time.

use crate::clock::{Clock, Millis};
use crate::guard::Ticket;
use crate::guard::admission::Refused;
use rustls::ServerConnection;
use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Milliseconds that each stage of an HTTP connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    pub tls_handshake_ms: Millis,
    /// From the accept to the headers of the first request.
    pub first_request_ms: Millis,
    /// From the first byte of a request to the first byte of its answer.
    pub request_ms: Millis,
    /// Without progress in writing an answer.
    pub write_ms: Millis,
    /// Between the last byte of an answer and the first of the next request.
    pub keep_alive_ms: Millis,
}

#[derive(Debug)]
pub enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No request has begun.
    Idle,
    /// A request is coming in, or is being worked on.
    Request,
}

/// `None`: it has left HTTP, and what is left of HTTP reads the end and writes into nothing.
pub struct Connection(Rc<RefCell<Option<Held>>>);

/// The way out of HTTP for who holds a request: see [`Door::leave`]. It keeps nothing open.
#[derive(Clone, Debug)]
pub struct Door(Weak<RefCell<Option<Held>>>);

/// What a connection consists of that has left HTTP.
pub struct Parts {
    pub tcp: TcpStream,
    pub tls: Option<ServerConnection>,
    pub ticket: Ticket,
}

#[derive(Debug)]
struct Held {
    /// Dropped before the socket: see [`Ticket`].
    ticket: Ticket,
    io: Io,
    stage: Stage,
    /// Whether something waits to be written.
    is_blocked: bool,
    deadlines: Rc<Deadlines>,
    clock: Clock,
}

impl Connection {
    pub fn new(io: Io, ticket: Ticket, deadlines: Rc<Deadlines>, clock: Clock) -> Self {
        ticket.expect_inbound(Some(clock.now() + deadlines.first_request_ms));
        Self(Rc::new(RefCell::new(Some(Held { ticket, io, stage: Stage::Idle, is_blocked: false, deadlines, clock }))))
    }

    pub fn door(&self) -> Door {
        Door(Rc::downgrade(&self.0))
    }

    /// Takes the connection out of HTTP. `None`: a request took it already, through its door.
    pub fn into_parts(self) -> Option<Parts> {
        self.0.take().map(Held::into_parts)
    }

    /// Whether it is one of the hub's own canaries.
    pub fn is_canary(&self) -> bool {
        self.0.borrow().as_ref().is_some_and(|held| held.ticket.is_canary())
    }

    /// Counts the connection as one from this address; for those that a proxy has passed on.
    pub fn belongs_to(&self, address: IpAddr) -> Result<(), Refused> {
        match &mut *self.0.borrow_mut() {
            Some(held) => held.ticket.belongs_to(address),
            None => Ok(()),
        }
    }
}

impl Door {
    /// Takes the connection out of HTTP. `None`: it is not there any more, or an earlier answer still waits to be read and nothing may overtake
    /// it.
    ///
    /// The caller must have let the connection's task run since its own first poll: only then are the answers before its own written or known
    /// to be stuck.
    pub fn leave(&self) -> Option<Parts> {
        let held = self.0.upgrade()?;
        let mut held = held.borrow_mut();
        if held.as_ref().is_none_or(|held| held.is_blocked) {
            return None;
        }
        held.take().map(Held::into_parts)
    }

    /// Like [`Connection::belongs_to`].
    pub fn belongs_to(&self, address: IpAddr) -> Result<(), Refused> {
        let Some(held) = self.0.upgrade() else { return Ok(()) };
        match &mut *held.borrow_mut() {
            Some(held) => held.ticket.belongs_to(address),
            None => Ok(()),
        }
    }
}

impl Held {
    fn into_parts(self) -> Parts {
        self.ticket.expect_inbound(None);
        self.ticket.expect_outbound(None);
        match self.io {
            Io::Plain(tcp) => Parts { tcp, tls: None, ticket: self.ticket },
            Io::Tls(tls) => {
                let (tcp, tls) = tls.into_inner();
                Parts { tcp, tls: Some(tls), ticket: self.ticket }
            }
        }
    }

    fn has_read(&mut self) {
        if self.stage == Stage::Idle {
            self.stage = Stage::Request;
            self.ticket.expect_inbound(Some(self.clock.now() + self.deadlines.request_ms));
        }
    }

    fn has_written(&mut self) {
        if self.is_blocked {
            self.is_blocked = false;
            self.ticket.expect_outbound(None);
        }
        self.stage = Stage::Idle;
        self.ticket.expect_inbound(Some(self.clock.now() + self.deadlines.keep_alive_ms));
    }

    fn written<T>(&mut self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &result {
            Poll::Ready(Ok(_)) => self.has_written(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending if !self.is_blocked => {
                self.is_blocked = true;
                self.ticket.expect_outbound(Some(self.clock.now() + self.deadlines.write_ms));
            }
            Poll::Pending => {}
        }
        result
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut held = self.0.borrow_mut();
        let Some(held) = held.as_mut() else { return Poll::Ready(Ok(())) };
        let before = buf.filled().len();
        let result = match &mut held.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Io::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        };
        if buf.filled().len() > before {
            held.has_read();
        }
        result
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut held = self.0.borrow_mut();
        let Some(held) = held.as_mut() else { return Poll::Ready(Ok(buf.len())) };
        let result = match &mut held.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Io::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        };
        held.written(result)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.0.borrow_mut() {
            None => Poll::Ready(Ok(())),
            Some(Held { io: Io::Plain(tcp), .. }) => Pin::new(tcp).poll_flush(cx),
            Some(Held { io: Io::Tls(tls), .. }) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.0.borrow_mut() {
            None => Poll::Ready(Ok(())),
            Some(Held { io: Io::Plain(tcp), .. }) => Pin::new(tcp).poll_shutdown(cx),
            Some(Held { io: Io::Tls(tls), .. }) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut held = self.0.borrow_mut();
        let Some(held) = held.as_mut() else { return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum())) };
        let result = match &mut held.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Io::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        };
        held.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        match &*self.0.borrow() {
            Some(Held { io: Io::Plain(tcp), .. }) => tcp.is_write_vectored(),
            Some(Held { io: Io::Tls(tls), .. }) => tls.is_write_vectored(),
            None => true,
        }
    }
}

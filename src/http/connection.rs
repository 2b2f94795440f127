//! One accepted connection, plain or TLS, as actix-http reads and writes it: with a deadline on every stage.
//!
//! actix-http times the headers of the first request of a connection and nothing after it. Here every stage sets its deadline where the
//! bytes pass, and the reaper enforces it from outside: the first byte, a whole request, an answer that is not taken, the pause until the
//! next request. What a stage may take is in [`Deadlines`].

use crate::clock::{Clock, Millis};
use crate::guard::Ticket;
use crate::guard::admission::Refused;
use rustls::ServerConnection;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
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

pub struct Connection {
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
        Self { ticket, io, stage: Stage::Idle, is_blocked: false, deadlines, clock }
    }

    /// Counts the connection as one from this address; for those that a proxy has passed on.
    pub fn belongs_to(&mut self, address: IpAddr) -> Result<(), Refused> {
        self.ticket.belongs_to(address)
    }

    /// Takes the connection out of HTTP: its socket, its TLS state if it has one, and its ticket.
    pub fn into_parts(self) -> (TcpStream, Option<ServerConnection>, Ticket) {
        self.ticket.expect_inbound(None);
        self.ticket.expect_outbound(None);
        match self.io {
            Io::Plain(tcp) => (tcp, None, self.ticket),
            Io::Tls(tls) => {
                let (tcp, state) = tls.into_inner();
                (tcp, Some(state), self.ticket)
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
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Io::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        };
        if buf.filled().len() > before {
            self.has_read();
        }
        result
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Io::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        };
        self.written(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Io::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Io::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let result = match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Io::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        };
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(tcp) => tcp.is_write_vectored(),
            Io::Tls(tls) => tls.is_write_vectored(),
        }
    }
}

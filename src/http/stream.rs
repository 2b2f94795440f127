//! Answers without an end: an event stream, or lines that come for as long as somebody listens.
//!
//! The socket leaves HTTP behind the head of the answer, as it does behind a WebSocket handshake: from then on an [`Outbox`] writes it, bounded
//! in bytes and age and watched by the reaper, and [`Hangup`] notices the other end's. No task of HTTP stays, and no buffer.
//!
//! The answer ends with its connection. Without chunks the same bytes serve every client, those of HTTP/1.0 proxies too, and an end that we
//! choose never looks like a cut. What was cut is told by the protocols inside, which have their own last words.

use super::connection::{Door, Parts};
use super::forwarded::client_address;
use crate::clock::Clock;
use crate::outbox::{Outbox, OutboxLimits, Socket};
use crate::protocol::centrifuge::Wire;
use crate::session::Source;
use actix_web::{HttpRequest, HttpResponse};
use std::cell::RefCell;
use std::fmt::Write;
use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::SystemTime;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// Bytes of a client that are read away at once: it has nothing more to say.
const AWAY_BYTES: usize = 4 * 1_024;

/// Reads in one turn before the neighbours have theirs.
const READS_PER_TURN: usize = 4;

/// An answer that has begun.
pub struct Stream {
    pub outbox: Rc<Outbox>,
    pub source: Source,
}

/// Begins an endless answer with `head` (see [`head`]; the first bytes of the body may stand behind it). Whoever gets a stream answers the
/// request with [`left`]. `None`: there are too many connections from this address, or the client has asked before it has read earlier
/// answers on the same connection.
pub async fn leave_http(request: &HttpRequest, wire: Wire, limits: Rc<OutboxLimits>, clock: Clock, head: &[u8]) -> Option<Stream> {
    let door = request.conn_data::<Door>()?;
    door.belongs_to(client_address(request)).ok()?;
    // What stands before this answer on the same connection is written while this task waits for its next turn.
    tokio::task::yield_now().await;
    let Parts { tcp, tls, ticket } = door.leave()?;
    let (source, socket) = split(tcp, tls);
    // Nothing is awaited of a client that only listens.
    ticket.expect_inbound(None);
    let outbox = Outbox::new(socket, ticket, wire, limits, clock);
    outbox.send_own(head);
    Some(Stream { outbox, source })
}

/// The two halves of a connection that has left HTTP.
pub fn split(tcp: TcpStream, tls: Option<rustls::ServerConnection>) -> (Source, Socket) {
    let (reader, writer) = tcp.into_split();
    match tls {
        None => (Source::Plain(reader), Socket::Plain(writer)),
        Some(mut tls) => {
            // Plain bytes that the TLS layer holds already are asked for by the first read; no more than one record may wait.
            tls.set_buffer_limit(None);
            let tls = Rc::new(RefCell::new(tls));
            (Source::Tls(reader, Rc::clone(&tls)), Socket::Tls(writer, tls))
        }
    }
}

/// What HTTP is told by a handler whose connection has left it. Nothing of it is sent.
pub fn left() -> HttpResponse {
    HttpResponse::Ok().force_close().finish()
}

/// The head of an endless answer. What proxies and browsers must know not to hold anything back, or keep it, stands in it.
///
/// A header whose value could break out of its line is left out: all that may stand here was checked by who put it there.
pub fn head(content_type: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = String::with_capacity(512);
    let date = httpdate::fmt_http_date(SystemTime::now());
    let fixed = [
        ("date", date.as_str()),
        ("content-type", content_type),
        // No compressor on the way, because most of them wait for more before they give anything out.
        ("cache-control", "private, no-cache, no-store, must-revalidate, max-age=0, no-transform"),
        ("pragma", "no-cache"),
        ("expires", "0"),
        // nginx, and others after it, buffer answers unless they are told not to.
        ("x-accel-buffering", "no"),
        ("x-content-type-options", "nosniff"),
        ("connection", "close"),
    ];
    head.push_str("HTTP/1.1 200 OK\r\n");
    for (name, value) in fixed.iter().chain(headers) {
        if !value.contains(|letter: char| letter.is_ascii_control()) {
            let _ = write!(head, "{name}: {value}\r\n");
        }
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Ready when the other end is gone: it closed the connection, or only its own half of it; its network or the reaper cut it. What it still
/// says is read away. For owners that read nothing themselves.
pub struct Hangup {
    source: Source,
    outbox: Rc<Outbox>,
}

pub fn hangup(source: Source, outbox: &Rc<Outbox>) -> Hangup {
    Hangup { source, outbox: Rc::clone(outbox) }
}

impl Future for Hangup {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        for _ in 0..READS_PER_TURN {
            let mut bytes = [MaybeUninit::<u8>::uninit(); AWAY_BYTES];
            let mut away = ReadBuf::uninit(&mut bytes);
            let (Source::Plain(tcp) | Source::Tls(tcp, _)) = &mut this.source;
            match Pin::new(tcp).poll_read(cx, &mut away) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) if away.filled().is_empty() => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            if let Source::Tls(_, tls) = &this.source {
                if tls_is_over(&mut tls.borrow_mut(), away.filled()) {
                    return Poll::Ready(());
                }
                // An answer of the TLS layer itself may wait, for instance to a key update.
                this.outbox.send_own(&[]);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Reads records away. Whether the other end has said goodbye, or broke the rules.
fn tls_is_over(tls: &mut rustls::ServerConnection, mut records: &[u8]) -> bool {
    while !records.is_empty() {
        if tls.read_tls(&mut records).is_err() {
            return true;
        }
        let Ok(state) = tls.process_new_packets() else { return true };
        if state.peer_has_closed() {
            return true;
        }
        let _ = std::io::copy(&mut tls.reader(), &mut std::io::sink());
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_the_head() {
        let head = String::from_utf8(head("text/event-stream", &[("last-event-id", "a\r\nset-cookie: x"), ("vary", "origin")])).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\ndate: ") && head.ends_with("\r\nvary: origin\r\n\r\n"), "{head}");
        assert!(!head.contains("set-cookie"), "{head}");
        assert_eq!(head.matches("\r\n\r\n").count(), 1);
    }
}

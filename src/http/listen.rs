//! Listening sockets, and what happens to a connection between the accept and its first request.

use super::connection::{Connection, Deadlines, Io};
use super::forwarded::TrustedProxies;
use crate::clock::Clock;
use crate::guard::Ticket;
use crate::guard::admission::{Admission, Refused};
use crate::guard::reaper::Watches;
use crate::guard::roost::Roost;
use crate::telemetry::emit;
use crate::telemetry::http::ConnectionRefused;
use actix_http::Protocol;
use rustls::ServerConfig;
use socket2::{Domain, Protocol as SocketProtocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// Bytes that the kernel takes for a connection beyond what is in flight. Without it a client that has stopped reading hides megabytes in
/// the kernel, where no limit of ours sees them (tcp(7), TCP_NOTSENT_LOWAT).
const NOT_SENT_BYTES_MAX: libc::c_int = 64 * 1_024;

/// Time that sent bytes may stay unacknowledged until the kernel gives the connection up (tcp(7), TCP_USER_TIMEOUT). Below 20 s slow but
/// living readers are cut too.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Silence after which the kernel asks whether the peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Opens a listening socket. Accepted sockets inherit its options (Linux), so that none of them costs a system call per connection.
pub fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(SocketProtocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE))?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    set_not_sent_low_water(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn set_not_sent_low_water(socket: &Socket) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the option takes an int, whose address and size are given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            std::ptr::from_ref(&NOT_SENT_BYTES_MAX).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What all listeners of a process share.
pub struct Gate {
    pub admission: Arc<Admission>,
    pub watches: Arc<Watches>,
    pub clock: Clock,
    pub deadlines: Deadlines,
    pub proxies: TrustedProxies,
    /// Where the hub's own canaries come from.
    pub roost: Arc<Roost>,
    /// Set when the hub is about to stop.
    pub is_draining: Arc<AtomicBool>,
}

impl Gate {
    /// Admits an accepted socket and, with `tls`, does the handshake. An error has been told already, to the client where it can be.
    pub async fn enter(
        self: Arc<Self>,
        tcp: TcpStream,
        tls: Option<Arc<ServerConfig>>,
        deadlines: Rc<Deadlines>,
    ) -> Result<(Connection, Protocol, Option<SocketAddr>), ()> {
        let peer = tcp.peer_addr().map_err(|_| ())?;
        let ticket = match self.admit(peer, &tcp) {
            Ok(ticket) => ticket,
            Err(refused) => {
                emit(ConnectionRefused { reason: refused.as_str() });
                if tls.is_none() {
                    refuse(&tcp);
                }
                return Err(());
            }
        };
        let io = match tls {
            None => Io::Plain(tcp),
            Some(config) => {
                ticket.expect_inbound(Some(self.clock.now() + deadlines.tls_handshake_ms));
                match TlsAcceptor::from(config).accept(tcp).await {
                    Ok(stream) => Io::Tls(Box::new(stream)),
                    Err(_) => {
                        emit(ConnectionRefused { reason: "tls" });
                        return Err(());
                    }
                }
            }
        };
        Ok((Connection::new(io, ticket, deadlines, self.clock.clone()), Protocol::Http1, Some(peer)))
    }

    fn admit(&self, peer: SocketAddr, tcp: &TcpStream) -> Result<Ticket, Refused> {
        if self.roost.knows(peer) {
            return Ok(Ticket::of_canary(self.watches.watch(tcp.as_raw_fd())));
        }
        let address = peer.ip();
        if self.is_draining.load(Ordering::Relaxed) {
            return Err(Refused::Draining);
        }
        // Whose connections a proxy passes on, their requests say.
        let is_proxy = self.proxies.trusts(address);
        let admitted = if is_proxy { self.admission.admit_anybody()? } else { self.admission.admit(address)? };
        Ok(Ticket::new(self.watches.watch(tcp.as_raw_fd()), admitted))
    }
}

/// Says in HTTP that there is no room. The socket is new, so its buffer takes these few bytes or the peer is gone. What the client has
/// sent is read away first: closed with unread bytes, the kernel would send a reset that can overtake the answer.
fn refuse(tcp: &TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let socket = SockRef::from(tcp);
    let _ = socket.recv(&mut [std::mem::MaybeUninit::uninit(); 4_096]);
    let _ = socket.send(ANSWER);
}

/// The addresses to listen on: for an empty one all interfaces, IPv6 with IPv4 where there is IPv6.
pub fn open(address: &str, port: u16, backlog: u32) -> io::Result<TcpListener> {
    if address.is_empty() {
        return listen(SocketAddr::from(([0u16; 8], port)), backlog).or_else(|_| listen(SocketAddr::from(([0u8; 4], port)), backlog));
    }
    let address: IpAddr = address.trim_matches(['[', ']']).parse().map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("\"{address}\" is not an IP address: write one, or leave it empty for all interfaces"))
    })?;
    listen(SocketAddr::new(address, port), backlog)
}

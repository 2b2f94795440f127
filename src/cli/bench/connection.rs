//! One connection of the load tool: a non-blocking socket, with TLS or without, and the bytes that wait in it.

use anyhow::Context;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

/// Ciphertext that is taken from one socket before the next has its turn: what rustls reads at once, times this.
const TLS_READS_PER_TURN: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The TCP handshake runs.
    Dialing,
    /// The request is sent; the head of the response is to come.
    Requested,
    /// The WebSocket stands; the replies to connect and subscribe are to come.
    Greeted,
    Live,
    /// A close was sent; what still comes is not looked at.
    Leaving,
}

pub struct Connection {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    pub stage: Stage,
    /// The beginning of a message whose end has not come.
    pub partial: Vec<u8>,
    /// Bytes that the socket did not take yet, not encrypted.
    pub out: Vec<u8>,
    /// The socket is watched for writing too.
    pub watches_writable: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    Bytes(usize),
    Nothing,
    End,
}

impl Connection {
    /// Begins to connect; the socket is writable when that is done.
    pub fn dial(to: SocketAddr, from: Option<Ipv4Addr>, tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>) -> anyhow::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP)).context("cannot make a socket")?;
        socket.set_nonblocking(true)?;
        // A publisher's messages must not wait for the acknowledgement of the one before (Nagle's algorithm).
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = from {
            bind_without_port(&socket, source).with_context(|| format!("cannot use {source} as the source address"))?;
        }
        match socket.connect(&SockAddr::from(to)) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => {
                return Err(error).with_context(|| format!("cannot connect to {to}"));
            }
            _ => {}
        }
        let tls = match tls {
            Some((config, name)) => Some(Box::new(ClientConnection::new(config, name)?)),
            None => None,
        };
        Ok(Self { stream: socket.into(), tls, stage: Stage::Dialing, partial: Vec::new(), out: Vec::new(), watches_writable: true })
    }

    pub fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Why the connection could not be made, if so.
    pub fn dial_error(&self) -> io::Result<()> {
        match self.stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Reads what is there into `buffer`, once: who has more is asked again in the next turn, so that all get theirs.
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Incoming> {
        match &mut self.tls {
            None => taken((&self.stream).read(buffer)),
            Some(tls) => read_tls(tls, &self.stream, buffer),
        }
    }

    /// Writes what waits; true when all of it is with the kernel.
    pub fn flush(&mut self) -> io::Result<bool> {
        match &mut self.tls {
            None => {
                let mut written = 0;
                while written < self.out.len() {
                    match (&self.stream).write(&self.out[written..]) {
                        Ok(count) => written += count,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error),
                    }
                }
                self.out.drain(..written);
                Ok(self.out.is_empty())
            }
            Some(tls) => {
                if !self.out.is_empty() {
                    // Before the handshake is done rustls holds the bytes; it takes at most 64 KiB, the rest stays here.
                    let taken = tls.writer().write(&self.out)?;
                    self.out.drain(..taken);
                }
                while tls.wants_write() {
                    match tls.write_tls(&mut &self.stream) {
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                        Err(error) => return Err(error),
                    }
                }
                Ok(self.out.is_empty() || tls.is_handshaking())
            }
        }
    }

    /// TLS has its own reasons to write (handshake, close).
    pub fn has_to_write(&self) -> bool {
        match &self.tls {
            None => !self.out.is_empty(),
            Some(tls) => tls.wants_write() || (!self.out.is_empty() && !tls.is_handshaking()),
        }
    }
}

fn taken(result: io::Result<usize>) -> io::Result<Incoming> {
    match result {
        Ok(0) => Ok(Incoming::End),
        Ok(count) => Ok(Incoming::Bytes(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(Incoming::Nothing),
        Err(error) => Err(error),
    }
}

fn read_tls(tls: &mut ClientConnection, mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<Incoming> {
    let mut count = 0;
    for _ in 0..TLS_READS_PER_TURN {
        let end = match taken(tls.read_tls(&mut stream))? {
            Incoming::Bytes(_) => false,
            Incoming::End => true,
            Incoming::Nothing => break,
        };
        tls.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        loop {
            match tls.reader().read(&mut buffer[count..]) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
        }
        if end {
            // Bytes before the end are reported first; the end is met again in the next turn.
            return Ok(if count > 0 { Incoming::Bytes(count) } else { Incoming::End });
        }
    }
    Ok(if count > 0 { Incoming::Bytes(count) } else { Incoming::Nothing })
}

/// Binds to an address and leaves the port to connect(2), which needs a free pair of both ends only. A port chosen now would have to
/// be free altogether, and there are 28,000 of them by default.
fn bind_without_port(socket: &Socket, source: Ipv4Addr) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads one c_int from the place that it is given.
    let refused = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            std::ptr::from_ref(&on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if refused != 0 {
        return Err(io::Error::last_os_error());
    }
    socket.bind(&SockAddr::from(SocketAddr::from((source, 0))))
}

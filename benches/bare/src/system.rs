//! The system calls, and nothing else: epoll, sockets, eventfd.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const EVENTS_MAX: usize = 1_024;
const LISTEN_BACKLOG: libc::c_int = 4_096;

pub struct Socket(OwnedFd);

impl Socket {
    /// Listens on 127.0.0.1; each thread has its own such socket on the same port.
    pub fn listen(port: u16) -> Result<Self> {
        let socket = own(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) })?;
        for option in [libc::SO_REUSEADDR, libc::SO_REUSEPORT] {
            socket.set(libc::SOL_SOCKET, option)?;
        }
        let address = libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: port.to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from(std::net::Ipv4Addr::LOCALHOST).to_be() },
            sin_zero: [0; 8],
        };
        // SAFETY: the kernel reads one sockaddr_in from the place that it is given.
        check(unsafe { libc::bind(socket.descriptor(), (&raw const address).cast(), size_of_val(&address) as libc::socklen_t) })?;
        // SAFETY: takes no pointer.
        check(unsafe { libc::listen(socket.descriptor(), LISTEN_BACKLOG) })?;
        Ok(socket)
    }

    /// An eventfd, by which one thread wakes another.
    pub fn bell() -> Result<Self> {
        // SAFETY: takes no pointer.
        own(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })
    }

    pub fn ring(&self) {
        self.write(&1u64.to_ne_bytes());
    }

    pub fn silence(&self) {
        self.read(&mut [0; 8]);
    }

    pub fn accept(&self) -> Result<Option<Self>> {
        // SAFETY: the kernel takes null as "the address is not wanted".
        let raw = unsafe { libc::accept4(self.descriptor(), std::ptr::null_mut(), std::ptr::null_mut(), libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) };
        match own(raw) {
            Ok(socket) => {
                socket.set_nodelay()?;
                Ok(Some(socket))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set_nodelay(&self) -> Result<()> {
        self.set(libc::IPPROTO_TCP, libc::TCP_NODELAY)
    }

    fn set(&self, level: libc::c_int, option: libc::c_int) -> Result<()> {
        let on: libc::c_int = 1;
        // SAFETY: the kernel reads one c_int from the place that it is given.
        check(unsafe { libc::setsockopt(self.descriptor(), level, option, (&raw const on).cast(), size_of_val(&on) as libc::socklen_t) }).map(|_| ())
    }

    /// Bytes read; 0: none there; `None`: the connection is over.
    pub fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        // SAFETY: the kernel writes at most as many bytes as the buffer has.
        match unsafe { libc::read(self.descriptor(), buffer.as_mut_ptr().cast(), buffer.len()) } {
            0 => None,
            count if count > 0 => Some(count as usize),
            _ => would_block().then_some(0),
        }
    }

    /// Bytes taken; `None`: the connection is over.
    pub fn write(&self, bytes: &[u8]) -> Option<usize> {
        // SAFETY: the kernel reads at most as many bytes as the slice has.
        match unsafe { libc::write(self.descriptor(), bytes.as_ptr().cast(), bytes.len()) } {
            count if count >= 0 => Some(count as usize),
            _ => would_block().then_some(0),
        }
    }

    pub fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

pub struct Epoll {
    descriptor: Socket,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub fn new() -> Result<Self> {
        // SAFETY: takes no pointer.
        let descriptor = own(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Self { descriptor, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX] })
    }

    pub fn add(&self, socket: &Socket, name: u64, writable: bool) -> Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, name, writable)
    }

    pub fn change(&self, socket: &Socket, name: u64, writable: bool) -> Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket, name, writable)
    }

    fn control(&self, operation: libc::c_int, socket: &Socket, name: u64, writable: bool) -> Result<()> {
        let interest = if writable { libc::EPOLLIN | libc::EPOLLOUT } else { libc::EPOLLIN };
        let mut event = libc::epoll_event { events: interest as u32, u64: name };
        // SAFETY: the kernel reads one event from the place that it is given.
        check(unsafe { libc::epoll_ctl(self.descriptor.descriptor(), operation, socket.descriptor(), &mut event) }).map(|_| ())
    }

    pub fn wait(&mut self) -> Result<usize> {
        // SAFETY: the kernel writes at most `EVENTS_MAX` events to the place that it is given, which has that many.
        match check(unsafe { libc::epoll_wait(self.descriptor.descriptor(), self.events.as_mut_ptr(), EVENTS_MAX as libc::c_int, -1) }) {
            Ok(count) => Ok(count as usize),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Name, readable, writable.
    pub fn ready(&self, index: usize) -> (u64, bool, bool) {
        let event = self.events[index];
        let has = |flags: libc::c_int| event.events & flags as u32 != 0;
        (event.u64, has(libc::EPOLLIN | libc::EPOLLERR | libc::EPOLLHUP), has(libc::EPOLLOUT))
    }
}

/// As many descriptors as the system allows.
pub fn raise_descriptor_limit() -> Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes one rlimit to the place that it is given.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the call reads one rlimit from the place that it is given.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }).map(|_| ())
}

fn own(raw: libc::c_int) -> Result<Socket> {
    // SAFETY: a descriptor that a call has just returned belongs to nobody else.
    check(raw).map(|raw| Socket(unsafe { OwnedFd::from_raw_fd(raw) }))
}

fn check(result: libc::c_int) -> Result<libc::c_int> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}

fn would_block() -> bool {
    matches!(Error::last_os_error().kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

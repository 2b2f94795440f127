//! Which sockets are ready: the kernel's epoll, behind three safe calls.
//!
//! The tool has its own loop, not the runtime of the hub, because a runtime's wake-up per connection would cost more than the read itself.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Sockets that are looked at in one turn. Enough to spread the cost of the call, few enough to come back to the publisher in time.
const EVENTS_MAX: usize = 512;

pub struct Epoll {
    descriptor: OwnedFd,
    events: Box<[libc::epoll_event]>,
}

#[derive(Clone, Copy, Debug)]
pub struct Ready {
    pub slot: usize,
    pub is_readable: bool,
    pub is_writable: bool,
}

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer.
        let raw = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor was just made and nobody else owns it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(Self { descriptor, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX].into_boxed_slice() })
    }

    /// Watches a socket for reading and, if `writable`, for writing. It is forgotten when it is closed.
    pub fn add(&self, socket: RawFd, slot: usize, writable: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, slot, writable)
    }

    pub fn change(&self, socket: RawFd, slot: usize, writable: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket, slot, writable)
    }

    fn control(&self, operation: libc::c_int, socket: RawFd, slot: usize, writable: bool) -> io::Result<()> {
        let interest = if writable { libc::EPOLLIN | libc::EPOLLOUT } else { libc::EPOLLIN };
        let mut event = libc::epoll_event { events: interest as u32, u64: slot as u64 };
        // SAFETY: the kernel reads one event from the place that it is given; a descriptor that is none is an error, not a danger.
        check(unsafe { libc::epoll_ctl(self.descriptor.as_raw_fd(), operation, socket, &mut event) }).map(|_| ())
    }

    /// Waits until a socket is ready or the time is over, to the nanosecond: a publisher's schedule is finer than a millisecond.
    pub fn wait(&mut self, at_most: Duration) -> io::Result<usize> {
        let timeout = libc::timespec { tv_sec: at_most.as_secs() as libc::time_t, tv_nsec: at_most.subsec_nanos().into() };
        // SAFETY: the kernel writes at most `EVENTS_MAX` events to the place that it is given, which has that many.
        let ready = unsafe {
            libc::epoll_pwait2(self.descriptor.as_raw_fd(), self.events.as_mut_ptr(), EVENTS_MAX as libc::c_int, &timeout, std::ptr::null())
        };
        match check(ready) {
            Ok(count) => Ok(count as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// One of the events of the last [`Epoll::wait`].
    #[inline]
    pub fn ready(&self, index: usize) -> Ready {
        let event = self.events[index];
        let has = |flags: libc::c_int| event.events & flags as u32 != 0;
        // An error or a hang-up is learned by reading.
        Ready {
            slot: event.u64 as usize,
            is_readable: has(libc::EPOLLIN | libc::EPOLLERR | libc::EPOLLHUP),
            is_writable: has(libc::EPOLLOUT | libc::EPOLLERR | libc::EPOLLHUP),
        }
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

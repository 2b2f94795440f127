//! Liveness of connections, judged from outside of them.
//!
//! An actor that is flooded or stuck cannot time itself out, and a socket that nobody polls never fails. So every accepted socket is
//! watched here, on a thread of its own that depends on no event loop: each has a few atomics that its owner keeps up to date, and the
//! reaper shuts the socket down when one of them is overdue. The owner then notices like it notices any other end of a connection.
//!
//! The reaper decides nothing about protocols: owners set the deadlines.

use crate::clock::{Clock, Millis};
use parking_lot::{Condvar, Mutex};
use slab::Slab;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks at all connections. Deadlines are kept to within this.
const INTERVAL: Duration = Duration::from_millis(250);

/// Locks that the connections are spread over, so that workers do not wait for each other.
const SHARDS: usize = 16;

/// Why the reaper ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    /// Nothing came in time: no request, no rest of a request, no pong.
    Silent = 1,
    /// Nothing that waited to be written went out in time.
    Stuck = 2,
}

impl Cut {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Stuck => "stuck",
        }
    }
}

/// What the reaper knows of one connection. 0 stands for "no deadline".
#[derive(Debug)]
pub struct Watch {
    /// -1 once the owner is about to close it: descriptors are reused, so the reaper must never touch one that is not ours any more.
    descriptor: Mutex<RawFd>,
    inbound_due: AtomicU64,
    outbound_due: AtomicU64,
    cut: AtomicU8,
}

impl Watch {
    /// Something must come in by then.
    pub fn expect_inbound(&self, due: Option<Millis>) {
        self.inbound_due.store(due.unwrap_or(0), Ordering::Relaxed);
    }

    /// What waits to be written must be gone by then.
    pub fn expect_outbound(&self, due: Option<Millis>) {
        self.outbound_due.store(due.unwrap_or(0), Ordering::Relaxed);
    }

    /// Whether and why the reaper has ended this connection.
    pub fn cut(&self) -> Option<Cut> {
        match self.cut.load(Ordering::Acquire) {
            1 => Some(Cut::Silent),
            2 => Some(Cut::Stuck),
            _ => None,
        }
    }

    /// Ends the connection at once, in both directions.
    pub fn shutdown(&self) {
        let descriptor = self.descriptor.lock();
        if *descriptor >= 0 {
            // SAFETY: the descriptor is open: its owner sets -1 under this lock before closing it.
            unsafe { libc::shutdown(*descriptor, libc::SHUT_RDWR) };
        }
    }

    fn overdue(&self, now: Millis) -> Option<Cut> {
        let late = |due: &AtomicU64| matches!(due.load(Ordering::Relaxed), due if due != 0 && due < now);
        if late(&self.outbound_due) {
            Some(Cut::Stuck)
        } else if late(&self.inbound_due) {
            Some(Cut::Silent)
        } else {
            None
        }
    }
}

/// All watched connections.
#[derive(Debug)]
pub struct Watches {
    shards: [Mutex<Slab<Arc<Watch>>>; SHARDS],
    next: AtomicUsize,
}

impl Default for Watches {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), next: AtomicUsize::new(0) }
    }
}

impl Watches {
    /// Watches `descriptor` until the guard is dropped. Whoever owns the descriptor must drop the guard before closing it.
    pub fn watch(self: &Arc<Self>, descriptor: RawFd) -> WatchGuard {
        let watch = Arc::new(Watch {
            descriptor: Mutex::new(descriptor),
            inbound_due: AtomicU64::new(0),
            outbound_due: AtomicU64::new(0),
            cut: AtomicU8::new(0),
        });
        let shard = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let key = self.shards[shard].lock().insert(Arc::clone(&watch));
        WatchGuard { watch, watches: Arc::clone(self), shard: shard as u32, key: key as u32 }
    }

    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends every connection: what is left when a drain has run out of time.
    pub fn shutdown_all(&self) {
        for shard in &self.shards {
            shard.lock().iter().for_each(|(_, watch)| watch.shutdown());
        }
    }

    /// Ends the connections that are overdue and says how many.
    fn reap(&self, now: Millis) -> usize {
        let mut reaped = 0;
        for shard in &self.shards {
            for (_, watch) in shard.lock().iter() {
                if watch.cut.load(Ordering::Relaxed) == 0
                    && let Some(cut) = watch.overdue(now)
                {
                    watch.cut.store(cut as u8, Ordering::Release);
                    watch.shutdown();
                    reaped += 1;
                }
            }
        }
        reaped
    }
}

/// Owns the place of one connection among the watched.
#[derive(Debug)]
pub struct WatchGuard {
    watch: Arc<Watch>,
    watches: Arc<Watches>,
    shard: u32,
    key: u32,
}

impl std::ops::Deref for WatchGuard {
    type Target = Watch;
    fn deref(&self) -> &Watch {
        &self.watch
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        *self.watch.descriptor.lock() = -1;
        let mut shard = self.watches.shards[self.shard as usize].lock();
        shard.remove(self.key as usize);
        if shard.is_empty() {
            *shard = Slab::new();
        }
    }
}

/// The thread that looks at all watched connections. Ends when dropped.
#[derive(Debug)]
pub struct Reaper {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Reaper {
    /// `reaped` is told how many connections a look has ended, when any.
    pub fn start(watches: Arc<Watches>, clock: Clock, reaped: impl Fn(usize) + Send + 'static) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("reaper".to_string()).spawn(move || {
            let (flag, wake) = &*stopped;
            let mut flag = flag.lock();
            while !*flag {
                wake.wait_for(&mut flag, INTERVAL);
                let count = watches.reap(clock.now());
                if count > 0 {
                    reaped(count);
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn only_the_overdue_are_cut_and_a_dropped_guard_is_never_touched() {
        let watches = Arc::new(Watches::default());
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (other, _other_peer) = UnixStream::pair().unwrap();
        let guard = watches.watch(ours.as_raw_fd());
        let gone = watches.watch(other.as_raw_fd());
        guard.expect_inbound(Some(100));
        guard.expect_outbound(None);
        gone.expect_inbound(Some(50));
        drop(gone);
        assert_eq!(watches.len(), 1);
        assert_eq!(watches.reap(100), 0, "due is not overdue");
        assert_eq!(watches.reap(101), 1);
        assert_eq!(watches.reap(102), 0, "nobody is cut twice");
        assert_eq!(guard.cut(), Some(Cut::Silent));
        assert_eq!(theirs.read(&mut [0; 1]).unwrap(), 0, "the peer sees the end");
        drop(guard);
        assert!(watches.is_empty());
    }
}

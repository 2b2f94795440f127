//! What the sessions of one worker thread share: settings, the way to the rest of the house, one timer, one set of buffers.
//!
//! There is no timer and no buffer per session: an idle connection costs its state and nothing else.

use super::procedures::Procedures;
use super::{Goodbye, Session, Tick};
use crate::auth::{Blocks, TokenVerifier};
use crate::broker::Publisher;
use crate::channel::SessionId;
use crate::clock::{Clock, Millis};
use crate::guard::limits::Limits;
use crate::guard::maintenance::Maintenance;
use crate::hooks::{Events, Hooks};
use crate::outbox::OutboxLimits;
use crate::protocol::websocket;
use crate::session::hub::Hub;
use crate::telemetry::emit;
use crate::telemetry::watchdog::{RestartCause, Restarted, Watched};
use crate::topic::fanout::{self, Fan, OwnCounts};
use actix::WeakAddr;
use bytes::BytesMut;
use slab::Slab;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeSet, HashSet};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Bytes that one read takes at most.
pub const READ_BYTES_MAX: usize = 64 * 1_024;

/// Between two looks at the timers. Pings, expiries and closing are kept to within this.
const TICK: Duration = Duration::from_millis(100);

/// Ticks between two looks at empty channels.
const TICKS_PER_SWEEP: u32 = 5;

/// How sessions behave: the parts of the configuration that they need, in units that they use.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    pub version: String,
    /// What this node calls itself to clients that must say which one has their connection.
    pub node: String,
    pub is_insecure: bool,
    pub allow_anonymous: bool,
    pub disallow_anonymous_tokens: bool,
    /// 0: no pings.
    pub ping_interval_ms: Millis,
    /// 0: pings are not to be answered.
    pub pong_timeout_ms: Millis,
    pub stale_close_ms: Millis,
    pub expired_close_ms: Millis,
    pub expired_sub_close_ms: Millis,
    pub close_timeout_ms: Millis,
    pub channel_limit: usize,
    /// Patterns among them.
    pub wildcard_limit: usize,
    /// 0: no limit.
    pub user_connection_limit: usize,
    pub history_limit: usize,
    pub recovery_limit: usize,
    /// Errors that one connection may be answered with in a minute. 0: no limit.
    pub error_limit: u32,
    /// Calls of procedures that one connection may have under way.
    pub call_limit: usize,
    pub call_timeout_ms: Millis,
    /// Time without a command after which a connection is closed.
    pub idle_ms: Option<Millis>,
    /// Time after which a connection is closed in any case.
    pub age_ms: Option<Millis>,
    pub tell_time: bool,
    pub personal_channel: Option<PersonalChannel>,
    pub frame_limits: websocket::Limits,
}

#[derive(Clone, Debug)]
pub struct PersonalChannel {
    pub namespace: String,
    pub is_single_connection: bool,
}

/// What the sessions of all workers share.
#[derive(Clone)]
pub struct Shared {
    pub settings: Arc<SessionSettings>,
    pub publisher: Publisher,
    pub tokens: Arc<TokenVerifier>,
    pub subscription_tokens: Arc<TokenVerifier>,
    pub hub: Arc<Hub>,
    pub blocks: Arc<Blocks>,
    pub limits: Arc<Limits>,
    pub procedures: Arc<dyn Procedures>,
    /// `None`: the application is asked nothing.
    pub hooks: Option<Arc<Hooks>>,
    /// `None`: the application is told nothing.
    pub events: Option<Arc<Events>>,
    pub maintenance: Arc<Maintenance>,
    pub clock: Clock,
}

/// What every session of one worker holds; with what all workers share a step behind it.
pub struct Worker {
    shared: Shared,
    pub fan: Rc<Fan>,
    pub outbox_limits: Rc<OutboxLimits>,
    sessions: RefCell<Slab<WeakAddr<Session>>>,
    /// Those of them that are canaries of the hub's own, and their timers: not counted, and not told goodbye.
    canaries: RefCell<HashSet<usize>>,
    canary_timers: Cell<usize>,
    timers: RefCell<BTreeSet<(Millis, u32)>>,
    /// Lent to the session that reads.
    pub(super) read_buffer: RefCell<BytesMut>,
    /// Lent to the session that decrypts.
    pub(super) cipher_buffer: RefCell<BytesMut>,
    /// Replies of the session whose turn it is, until they are sent together.
    pub(super) batch: RefCell<Batch>,
    drain: OnceCell<DrainOrder>,
    /// The sessions that have been told goodbye.
    told: RefCell<HashSet<usize>>,
    /// How late the last tick was.
    lag_ms: Cell<Millis>,
}

/// Replies that go out in one frame.
#[derive(Default)]
pub(super) struct Batch {
    /// Whose they are. A session that panicked in its turn leaves some behind, and the next one must not send them.
    pub owner: Option<SessionId>,
    pub bytes: BytesMut,
    pub count: usize,
}

/// When and how the sessions of a worker are told that the hub stops.
struct DrainOrder {
    is_draining: Arc<AtomicBool>,
    /// On the clock: when the last one is told.
    until: Arc<AtomicU64>,
}

impl Worker {
    /// Makes the calling thread a worker: its fan-out actor and its timer run from now on, and are started anew when they die.
    pub fn start(shared: Shared, fan: Rc<Fan>, outbox_limits: OutboxLimits) -> Rc<Self> {
        let worker = Rc::new(Self {
            shared,
            fan,
            outbox_limits: Rc::new(outbox_limits),
            sessions: RefCell::default(),
            canaries: RefCell::default(),
            canary_timers: Cell::new(0),
            timers: RefCell::default(),
            read_buffer: RefCell::default(),
            cipher_buffer: RefCell::default(),
            batch: RefCell::default(),
            drain: OnceCell::new(),
            told: RefCell::default(),
            lag_ms: Cell::new(0),
        });
        let counting = Rc::downgrade(&worker);
        worker.fan.plug_in(Box::new(move || counting.upgrade().map(|worker| worker.counts()).unwrap_or_default()));
        let turning = Rc::clone(&worker);
        actix_rt::spawn(async move {
            loop {
                // A task that panicked gives its join handle an error; without a timer no session would ever be pinged again.
                let _ = actix_rt::spawn(Rc::clone(&turning).turn()).await;
                emit(Restarted { watched: Watched::Timer, cause: RestartCause::Panicked });
            }
        });
        worker
    }

    /// Tells the sessions goodbye, spread until `until`, once `is_draining` is set.
    pub fn drain_by(&self, is_draining: Arc<AtomicBool>, until: Arc<AtomicU64>) {
        let _ = self.drain.set(DrainOrder { is_draining, until });
    }

    /// Tells as many sessions as must be told at this tick for all to be told in time.
    fn drain(&self, now: Millis) {
        let Some(order) = self.drain.get().filter(|order| order.is_draining.load(Ordering::Acquire)) else { return };
        let left = order.until.load(Ordering::Acquire).saturating_sub(now);
        let ticks = left as usize / TICK.as_millis() as usize + 1;
        let waiting: Vec<_> = {
            let sessions = self.sessions.borrow();
            let mut told = self.told.borrow_mut();
            let canaries = self.canaries.borrow();
            let is_meant = |key: &usize| !told.contains(key) && !canaries.contains(key);
            let waiting: Vec<_> = sessions.iter().filter(|(key, _)| is_meant(key)).map(|(key, addr)| (key, addr.clone())).collect();
            let share = waiting.len().div_ceil(ticks);
            told.extend(waiting[..share].iter().map(|(key, _)| *key));
            waiting.into_iter().take(share).map(|(_, addr)| addr).collect()
        };
        for session in waiting.iter().filter_map(WeakAddr::upgrade) {
            session.do_send(Goodbye);
        }
    }

    fn counts(&self) -> OwnCounts {
        OwnCounts {
            sessions: self.sessions.borrow().len() - self.canaries.borrow().len(),
            timers: self.timers.borrow().len() - self.canary_timers.get(),
            outbox_bytes: crate::outbox::waiting_bytes(),
            lag_ms: self.lag_ms.get(),
        }
    }

    /// Turns the worker's timer until the worker ends. The one task of a worker.
    async fn turn(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut count = 0u32;
        let mut expected = self.clock.now();
        loop {
            ticks.tick().await;
            let now = self.clock.now();
            self.lag_ms.set(now.saturating_sub(expected));
            fanout::was_late(self.lag_ms.get());
            expected = now + TICK.as_millis() as Millis;
            self.expire(now);
            self.drain(now);
            self.fan.release();
            if self.fan.revive() {
                emit(Restarted { watched: Watched::Fanout, cause: RestartCause::Panicked });
            }
            count = count.wrapping_add(1);
            if count.is_multiple_of(TICKS_PER_SWEEP) {
                self.fan.sweep();
            }
        }
    }

    fn expire(&self, now: Millis) {
        loop {
            let due = {
                let mut timers = self.timers.borrow_mut();
                match timers.first() {
                    Some(&(due, _)) if due <= now => timers.pop_first(),
                    _ => None,
                }
            };
            let Some((_, key)) = due else { return };
            if self.canaries.borrow().contains(&(key as usize)) {
                self.canary_timers.set(self.canary_timers.get() - 1);
            }
            let session = self.sessions.borrow().get(key as usize).and_then(WeakAddr::upgrade);
            if let Some(session) = session {
                session.do_send(Tick);
            }
        }
    }

    pub(super) fn enter(self: &Rc<Self>, addr: WeakAddr<Session>, is_canary: bool) -> Place {
        let key = self.sessions.borrow_mut().insert(addr);
        if is_canary {
            self.canaries.borrow_mut().insert(key);
        }
        Place { worker: Rc::clone(self), key: key as u32, is_canary, due: Cell::new(None) }
    }
}

impl Deref for Worker {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.shared
    }
}

/// A session's place on its worker: its slot and its timer. Dropping it frees both.
pub(super) struct Place {
    worker: Rc<Worker>,
    key: u32,
    is_canary: bool,
    due: Cell<Option<Millis>>,
}

impl Place {
    /// The session is told at `due`, and only then: a session has one timer.
    pub fn wake_at(&self, due: Option<Millis>) {
        if self.due.get() == due {
            return;
        }
        let mut timers = self.worker.timers.borrow_mut();
        if let Some(old) = self.due.replace(due) {
            // One that is about to ring is not there any more.
            if timers.remove(&(old, self.key)) && self.is_canary {
                self.worker.canary_timers.set(self.worker.canary_timers.get() - 1);
            }
        }
        if let Some(due) = due {
            timers.insert((due, self.key));
            if self.is_canary {
                self.worker.canary_timers.set(self.worker.canary_timers.get() + 1);
            }
        }
    }

    /// The timer has rung: it stands no more.
    pub fn woken(&self) {
        self.due.set(None);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.wake_at(None);
        let mut sessions = self.worker.sessions.borrow_mut();
        sessions.remove(self.key as usize);
        if self.is_canary {
            self.worker.canaries.borrow_mut().remove(&(self.key as usize));
        }
        if sessions.is_empty() {
            *sessions = Slab::new();
        }
    }
}

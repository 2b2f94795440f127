//! The worker's side of all topics: one actor on each worker thread that takes events in and lets each channel's [`Shard`] write them out.
//!
//! Born with the worker, ends with it. Its state is the thread's, so that sessions of the same worker join and leave without a message;
//! the actor is only the mailbox of it. Should it die, the worker's timer starts another one on the same state ([`Fan::revive`]).

use super::event::Encoded;
use super::registry::{Topics, WorkerPort};
use super::shard::{self, Shard};
use crate::channel::{ChannelName, ChannelOptions, StreamPosition};
use crate::clock::{Clock, Millis};
use actix::prelude::*;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// A channel of the hub's own, for the question whether publications come through. Every worker is attached to it, and the hub's own canaries are
/// its only subscribers; they are counted nowhere.
pub const PROBE: &str = "$admin:probe";

/// Bytes after which what has come in is written out even though more is waiting: bounds the size of a merged write.
const MERGE_BYTES_MAX: usize = 128 * 1_024;

/// What a worker's sessions count of themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnCounts {
    pub sessions: usize,
    pub timers: usize,
    pub outbox_bytes: usize,
    /// How late the last tick was.
    pub lag_ms: Millis,
}

/// What there is on one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerCounts {
    pub channels: usize,
    pub members: usize,
    pub sessions: usize,
    pub timers: usize,
    pub outbox_bytes: usize,
    pub lag_ms: Millis,
}

/// What of a worker can be told at once, however much there is on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerPulse {
    pub channels: usize,
    pub sessions: usize,
    pub members: usize,
    pub timers: usize,
    pub outbox_bytes: usize,
    /// How late the worker's timer was at most since it was asked before.
    pub lag_ms_most: Millis,
    /// Events handed to connections since the thread began.
    pub delivered: u64,
}

thread_local! {
    static LAG_MS_MOST: Cell<Millis> = const { Cell::new(0) };
}

/// The calling worker's timer was this late.
pub fn was_late(lag_ms: Millis) {
    LAG_MS_MOST.set(LAG_MS_MOST.get().max(lag_ms));
}

/// The channels that this worker has subscribers for.
pub struct Fan {
    pub index: usize,
    pub topics: Arc<Topics>,
    pub clock: Clock,
    own: OnceCell<Box<dyn Fn() -> OwnCounts>>,
    actor: RefCell<Option<Addr<Fanout>>>,
    port: RefCell<Option<Arc<WorkerPort>>>,
    shards: RefCell<HashMap<ChannelName, Rc<Shard>>>,
    /// Shards with events that are not written yet.
    dirty: RefCell<Vec<Rc<Shard>>>,
    dirty_bytes: Cell<usize>,
    /// Shards without subscribers, and since when.
    empty: RefCell<Vec<Rc<Shard>>>,
    /// Shards that hold a publication back for a while.
    holding: RefCell<Vec<Rc<Shard>>>,
    /// Shards that keep encoded histories for clients that come back together.
    with_histories: RefCell<Vec<Rc<Shard>>>,
}

impl Fan {
    /// The state of worker `index`, which is the calling thread, and its actor.
    pub fn new(index: usize, topics: &Arc<Topics>, clock: &Clock) -> Rc<Self> {
        let fan = Rc::new(Self {
            index,
            topics: Arc::clone(topics),
            clock: clock.clone(),
            own: OnceCell::new(),
            actor: RefCell::default(),
            port: RefCell::default(),
            shards: RefCell::default(),
            dirty: RefCell::default(),
            dirty_bytes: Cell::new(0),
            empty: RefCell::default(),
            holding: RefCell::default(),
            with_histories: RefCell::default(),
        });
        fan.revive();
        fan
    }

    /// Starts the actor if it is not there, and says whether one before it had died. What that one had been sent is lost, so every channel
    /// asks its topic where it stands. Called by the worker's timer.
    pub fn revive(self: &Rc<Self>) -> bool {
        let had_one = match &*self.actor.borrow() {
            Some(actor) if actor.connected() => return false,
            before => before.is_some(),
        };
        let actor = Fanout { fan: Rc::clone(self), flush_is_due: false }.start();
        let port = self.topics.register_worker(self.index, actor.clone());
        *self.actor.borrow_mut() = Some(actor);
        *self.port.borrow_mut() = Some(port);
        self.flush();
        self.shards.borrow().keys().for_each(|channel| {
            self.topics.attach(channel, self.index);
        });
        self.topics.attach(&ChannelName::new(PROBE), self.index);
        had_one
    }

    /// The shard of `channel`, which may still be waiting for its topic.
    pub fn shard(self: &Rc<Self>, channel: &ChannelName, options: &Arc<ChannelOptions>) -> Rc<Shard> {
        if let Some(shard) = self.shards.borrow().get(channel) {
            return Rc::clone(shard);
        }
        let audience = self.topics.attach(channel, self.index);
        let shard = Shard::new(channel.clone(), Arc::clone(options), audience, Rc::downgrade(self));
        self.shards.borrow_mut().insert(channel.clone(), Rc::clone(&shard));
        // Nobody has joined yet: if nobody does, it goes the way of all empty ones.
        self.emptied(&shard);
        shard
    }

    pub(super) fn emptied(&self, shard: &Rc<Shard>) {
        if shard.empty_since.replace(Some(self.clock.now())).is_none() {
            self.empty.borrow_mut().push(Rc::clone(shard));
        }
    }

    /// The shard holds a publication back: it is asked at every tick whether it is time.
    pub(super) fn holds(&self, shard: &Rc<Shard>) {
        self.holding.borrow_mut().push(Rc::clone(shard));
    }

    /// Gives out what has been held back for long enough. Called by the worker's timer.
    pub fn release(&self) {
        if self.holding.borrow().is_empty() {
            return;
        }
        let now = self.clock.now();
        let mut still = self.holding.take();
        still.retain(|shard| shard.release(now));
        self.holding.borrow_mut().append(&mut still);
    }

    /// The shard keeps an encoded history until the next sweep.
    pub(super) fn keeps_histories(&self, shard: &Rc<Shard>) {
        self.with_histories.borrow_mut().push(Rc::clone(shard));
    }

    /// Lets go of the shards that have been empty for long enough, and of what was encoded for a storm that is over. Called by the worker's
    /// timer.
    pub fn sweep(&self) {
        self.with_histories.take().iter().for_each(|shard| shard.forget_shared_histories());
        let now = self.clock.now();
        let linger = self.topics.settings().linger_ms;
        self.empty.borrow_mut().retain(|shard| {
            let Some(since) = shard.empty_since.get() else { return false };
            if shard.is_awaited() {
                return true;
            }
            if !shard.is_empty() {
                shard.empty_since.set(None);
                return false;
            }
            if now < since + linger {
                return true;
            }
            self.shards.borrow_mut().remove(&shard.channel);
            // Probes come without a subscriber too.
            if &*shard.channel != PROBE {
                self.topics.detach(&shard.channel, self.index);
            }
            false
        });
        let mut shards = self.shards.borrow_mut();
        if shards.is_empty() && shards.capacity() > 0 {
            shards.shrink_to_fit();
        }
    }

    /// Plugs in what the sessions count, so that one question brings all counts of a worker. Once.
    pub fn plug_in(&self, own: Box<dyn Fn() -> OwnCounts>) {
        let _ = self.own.set(own);
    }

    pub fn counts(&self) -> WorkerCounts {
        let channels = self.counted_shards();
        let shards = self.shards.borrow();
        let OwnCounts { sessions, timers, outbox_bytes, lag_ms } = self.own.get().map(|own| own()).unwrap_or_default();
        let members = shards.iter().filter(|(channel, _)| ***channel != *PROBE).map(|(_, shard)| shard.len()).sum();
        WorkerCounts { channels, members, sessions, timers, outbox_bytes, lag_ms }
    }

    /// Channels that clients are subscribed to here.
    fn counted_shards(&self) -> usize {
        let shards = self.shards.borrow();
        shards.len() - usize::from(shards.contains_key(PROBE))
    }

    fn pulse(&self) -> WorkerPulse {
        let OwnCounts { sessions, timers, outbox_bytes, .. } = self.own.get().map(|own| own()).unwrap_or_default();
        WorkerPulse {
            channels: self.counted_shards(),
            sessions,
            members: shard::members(),
            timers,
            outbox_bytes,
            lag_ms_most: LAG_MS_MOST.replace(0),
            delivered: shard::delivered(),
        }
    }

    /// Subscribers of every channel attached here.
    pub fn for_each_shard(&self, mut each: impl FnMut(&Shard)) {
        self.shards.borrow().values().for_each(|shard| each(shard));
    }

    fn take(&self, event: Arc<Encoded>) {
        let weight = event.weight();
        if let Some(port) = self.port.borrow().as_ref() {
            port.delivered(weight);
            if &*event.channel == PROBE {
                port.probe_came(&event);
            }
        }
        let Some(shard) = self.shards.borrow().get(&event.channel).map(Rc::clone) else { return };
        if shard.take(event) {
            self.dirty.borrow_mut().push(shard);
        }
        self.dirty_bytes.set(self.dirty_bytes.get() + weight);
        if self.dirty_bytes.get() >= MERGE_BYTES_MAX {
            self.flush();
        }
    }

    /// Writes out what has come in.
    fn flush(&self) {
        self.dirty_bytes.set(0);
        let mut dirty = self.dirty.take();
        dirty.drain(..).for_each(|shard| shard.flush());
        // Keeps the allocation for the next turn, unless something came in meanwhile.
        let mut slot = self.dirty.borrow_mut();
        if slot.is_empty() {
            *slot = dirty;
        }
    }
}

pub struct Fanout {
    fan: Rc<Fan>,
    /// Whether what came in is written out at the end of this turn.
    flush_is_due: bool,
}

impl Actor for Fanout {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Bounded in bytes by the senders: see `WorkerPort::deliver`.
        ctx.set_mailbox_capacity(0);
    }
}

// === Deliver ===
/// Something happened in a channel that this worker has subscribers for.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Deliver(pub Arc<Encoded>);

impl Handler<Deliver> for Fanout {
    type Result = ();

    fn handle(&mut self, Deliver(event): Deliver, ctx: &mut Self::Context) {
        self.fan.take(event);
        if !self.flush_is_due {
            // A spawned future runs when the mailbox is empty, in the same turn: what one turn brings is written at once.
            self.flush_is_due = true;
            ctx.spawn(fut::ready(()).map(|(), fanout: &mut Self, _: &mut Context<Self>| {
                fanout.flush_is_due = false;
                fanout.fan.flush();
            }));
        }
    }
}

// === Attached ===
/// The topic tells this worker's events from now on, and where the stream stood then (`None`: there is no stream).
#[derive(Message)]
#[rtype(result = "()")]
pub struct Attached {
    pub channel: ChannelName,
    pub position: Option<StreamPosition>,
}

impl Handler<Attached> for Fanout {
    type Result = ();

    fn handle(&mut self, Attached { channel, position }: Attached, _: &mut Self::Context) {
        let shard = self.fan.shards.borrow().get(&channel).map(Rc::clone);
        if let Some(shard) = shard {
            self.fan.flush();
            shard.attached(position);
        }
    }
}

// === Count ===
/// Answered with what there is on this worker.
#[derive(Message)]
#[rtype(result = "WorkerCounts")]
pub struct Count;

impl Handler<Count> for Fanout {
    type Result = MessageResult<Count>;

    fn handle(&mut self, _: Count, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.fan.counts())
    }
}

// === Feel ===
/// Answered with the worker's pulse.
#[derive(Message)]
#[rtype(result = "WorkerPulse")]
pub struct Feel;

impl Handler<Feel> for Fanout {
    type Result = MessageResult<Feel>;

    fn handle(&mut self, _: Feel, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.fan.pulse())
    }
}

// === Freeze ===
/// Holds the worker's event loop up for so long, so that tests can see who notices.
#[cfg(feature = "test-hooks")]
#[derive(Message)]
#[rtype(result = "()")]
pub struct Freeze(pub std::time::Duration);

#[cfg(feature = "test-hooks")]
impl Handler<Freeze> for Fanout {
    type Result = ();

    fn handle(&mut self, Freeze(time): Freeze, _: &mut Self::Context) {
        std::thread::sleep(time);
    }
}

// === Panic ===
/// Makes the actor panic, so that tests can see it replaced.
#[cfg(feature = "test-hooks")]
#[derive(Message)]
#[rtype(result = "()")]
pub struct Panic;

#[cfg(feature = "test-hooks")]
impl Handler<Panic> for Fanout {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("a test asked the fan-out actor of worker {} to panic", self.fan.index);
    }
}

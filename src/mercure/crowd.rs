//! One worker's subscribers, and its place in the log.
//!
//! The worker reads the log for all of its subscribers together: exact topics are found by hash, each different pattern is tried once an update,
//! and an update's bytes are the same for everybody. A subscriber that comes back with a cursor, or one whose portion was large, reads for itself
//! until it has caught up. Nothing waits for anybody here but in the outboxes, which are bounded.
//!
//! Lives as long as its worker. One task reads, keeps time and ends what is over; should it panic, it is started anew and goes on where it was.

use super::log::{Entry, Visibility};
use super::selecting::{Compiled, Selection};
use super::{Attendance, MercureHub};
use crate::clock::Millis;
use crate::outbox::Outbox;
use crate::protocol::mercure::{SelectorText, Topic};
use crate::telemetry::emit;
use crate::telemetry::mercure::{SubscribersFellBehind, UpdatesDelivered};
use crate::telemetry::watchdog::{RestartCause, Restarted, Watched};
use bytes::{Bytes, BytesMut};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// A comment: proxies and clients see that the connection lives, and that the answer has begun.
pub const COMMENT: Bytes = Bytes::from_static(b":\n");

/// Between two looks at heartbeats, ends and those who catch up.
const TICK: Duration = Duration::from_millis(250);

/// Ticks between two looks at what is too old in the log.
const TICKS_PER_PRUNE: u32 = 20;

/// Entries that are read at once.
const ENTRIES_PER_TURN: usize = 512;

/// Bytes after which a subscriber that catches up waits until they are taken.
const CATCH_UP_BYTES: usize = 256 * 1_024;

/// What the hub rings when there is something to read.
#[derive(Debug, Default)]
pub struct Bell {
    pub rings: Notify,
    /// Whether there is anybody to read for.
    pub is_wanted: AtomicBool,
}

/// What a subscriber may see besides what is for everybody.
#[derive(Debug)]
pub struct Entitlement(pub Selection);

/// One subscriber's part of the crowd.
pub struct Seat {
    outbox: Rc<Outbox>,
    selection: Selection,
    /// `None`: it has shown no token.
    entitlement: Option<Entitlement>,
    /// Everything up to here has been given to it; only of use while it catches up.
    place: Cell<u64>,
    is_catching_up: Cell<bool>,
    /// The update that was last chosen for it: it gets each once, however many selectors match.
    chosen: Cell<u64>,
    pending: RefCell<Vec<Arc<Entry>>>,
    written_at: Cell<Millis>,
    /// When its answer ends in any case.
    ends_at: Option<Millis>,
    /// Unix milliseconds by which its token has expired.
    expires_at_ms: Option<i64>,
    is_over: Cell<bool>,
}

impl Seat {
    fn may_see(&self, entry: &Entry, base: &url::Url) -> bool {
        match (entry.visibility, &self.entitlement) {
            (Visibility::Everybody, _) | (Visibility::Known, Some(_)) => true,
            (Visibility::Entitled, Some(Entitlement(rights))) => rights.matches(topics(entry), base),
            (Visibility::Known | Visibility::Entitled, None) => false,
        }
    }

    /// Ends the answer; nothing follows.
    fn end(&self, last: &[u8]) {
        if !self.is_over.replace(true) {
            self.pending.take();
            self.outbox.end(last);
        }
    }
}

fn topics(entry: &Entry) -> impl Iterator<Item = &Topic> {
    entry.topics.iter().map(|topic| &**topic)
}

/// Somebody who wants to sit down.
pub struct Newcomer {
    pub outbox: Rc<Outbox>,
    pub selection: Selection,
    pub attendance: Attendance,
    pub entitlement: Option<Entitlement>,
    /// Everything behind this place is to be given to it.
    pub place: u64,
    pub ends_at: Option<Millis>,
    pub expires_at_ms: Option<i64>,
}

/// A pattern, and the seats that want what it matches.
type Wanted = (Arc<Compiled>, Vec<u32>);

/// The subscribers of one worker.
pub struct Crowd {
    pub hub: Arc<MercureHub>,
    bell: Arc<Bell>,
    /// Everything up to here has been given to all who are not catching up.
    place: Cell<u64>,
    seats: RefCell<Slab<Rc<Seat>>>,
    /// By topic.
    exact: RefCell<HashMap<Arc<str>, Vec<u32>>>,
    patterns: RefCell<HashMap<SelectorText, Wanted>>,
    everything: RefCell<Vec<u32>>,
}

impl Crowd {
    /// The crowd of the calling worker.
    pub fn start(hub: &Arc<MercureHub>) -> Rc<Self> {
        let crowd = Rc::new(Self {
            hub: Arc::clone(hub),
            bell: hub.bell(),
            place: Cell::new(hub.end()),
            seats: RefCell::default(),
            exact: RefCell::default(),
            patterns: RefCell::default(),
            everything: RefCell::default(),
        });
        let turning = Rc::clone(&crowd);
        actix_rt::spawn(async move {
            loop {
                // A task that panicked gives its join handle an error; without it nobody here would be told anything any more.
                let _ = actix_rt::spawn(Rc::clone(&turning).turn()).await;
                emit(Restarted { watched: Watched::Mercure, cause: RestartCause::Panicked });
            }
        });
        crowd
    }

    async fn turn(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut count = 0u32;
        loop {
            tokio::select! {
                () = self.bell.rings.notified() => {}
                _ = ticks.tick() => {
                    count = count.wrapping_add(1);
                    self.keep_time();
                    if count.is_multiple_of(TICKS_PER_PRUNE) {
                        self.hub.prune();
                    }
                }
            }
            while self.read_some() {
                // The neighbours have their turn in between.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Gives a newcomer its seat. What it missed is on its way when this returns, or will be as the client takes it.
    pub fn sit(self: &Rc<Self>, newcomer: Newcomer) -> Place {
        self.bell.is_wanted.store(true, Ordering::Release);
        while self.read_some() {}
        let Newcomer { outbox, selection, attendance, entitlement, place, ends_at, expires_at_ms } = newcomer;
        let seat = Rc::new(Seat {
            outbox,
            selection,
            entitlement,
            place: Cell::new(place),
            is_catching_up: Cell::new(true),
            chosen: Cell::new(0),
            pending: RefCell::default(),
            written_at: Cell::new(self.hub.clock.now()),
            ends_at,
            expires_at_ms,
            is_over: Cell::new(false),
        });
        let key = self.seats.borrow_mut().insert(Rc::clone(&seat)) as u32;
        if seat.selection.everything {
            self.everything.borrow_mut().push(key);
        }
        for text in &seat.selection.exact {
            self.exact.borrow_mut().entry(Arc::clone(text)).or_default().push(key);
        }
        for pattern in &seat.selection.patterns {
            self.patterns.borrow_mut().entry(pattern.text.clone()).or_insert_with(|| (Arc::clone(pattern), Vec::new())).1.push(key);
        }
        self.catch_up(&seat);
        Place { crowd: Rc::clone(self), key, _attendance: attendance }
    }

    fn leave(&self, key: u32) {
        let mut seats = self.seats.borrow_mut();
        let seat = seats.remove(key as usize);
        if seats.is_empty() {
            *seats = Slab::new();
            self.bell.is_wanted.store(false, Ordering::Release);
        }
        drop(seats);
        let without = |keys: &mut Vec<u32>| {
            if let Some(at) = keys.iter().position(|other| *other == key) {
                keys.swap_remove(at);
            }
            keys.is_empty()
        };
        if seat.selection.everything {
            without(&mut self.everything.borrow_mut());
        }
        let mut exact = self.exact.borrow_mut();
        for text in &seat.selection.exact {
            if exact.get_mut(text).is_some_and(without) {
                exact.remove(text);
            }
        }
        let mut patterns = self.patterns.borrow_mut();
        for pattern in &seat.selection.patterns {
            if patterns.get_mut(&pattern.text).is_some_and(|(_, keys)| without(keys)) {
                patterns.remove(&pattern.text);
            }
        }
    }

    /// Subscribers on this worker.
    pub fn len(&self) -> usize {
        self.seats.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives out the next entries. Whether there may be more.
    fn read_some(&self) -> bool {
        let place = self.place.get();
        if self.is_empty() {
            self.place.set(self.hub.end());
            return false;
        }
        let Some(entries) = self.hub.after(place, ENTRIES_PER_TURN) else {
            // More came than the log keeps, before this worker had a turn. Its clients come back with their cursors.
            emit(SubscribersFellBehind { subscribers: self.len() });
            self.place.set(self.hub.end());
            self.seats.borrow().iter().filter(|(_, seat)| !seat.is_catching_up.get()).for_each(|(_, seat)| seat.end(b""));
            return false;
        };
        let Some(last) = entries.last() else { return false };
        self.place.set(last.seq);
        let is_more = entries.len() == ENTRIES_PER_TURN;
        let mut chosen = Vec::new();
        for entry in &entries {
            self.choose(entry, &mut chosen);
        }
        self.write(&chosen);
        is_more
    }

    /// Puts an entry before all seats that it is for.
    fn choose(&self, entry: &Arc<Entry>, chosen: &mut Vec<Rc<Seat>>) {
        let (seats, base) = (self.seats.borrow(), self.hub.patterns().base());
        let mut offer = |keys: &[u32]| {
            for key in keys {
                let Some(seat) = seats.get(*key as usize) else { continue };
                let is_for_it = !seat.is_catching_up.get() && !seat.is_over.get() && seat.chosen.replace(entry.seq) != entry.seq;
                if is_for_it && seat.may_see(entry, base) {
                    let mut pending = seat.pending.borrow_mut();
                    if pending.is_empty() {
                        chosen.push(Rc::clone(seat));
                    }
                    pending.push(Arc::clone(entry));
                }
            }
        };
        offer(&self.everything.borrow());
        let exact = self.exact.borrow();
        topics(entry).filter_map(|topic| exact.get(&*topic.text)).for_each(|keys| offer(keys));
        for (pattern, keys) in self.patterns.borrow().values() {
            if topics(entry).any(|topic| pattern.matches(topic, base)) {
                offer(keys);
            }
        }
    }

    /// Writes what is before the seats, with one write each. Seats before which there is the same share one buffer.
    fn write(&self, chosen: &[Rc<Seat>]) {
        let now = self.hub.clock.now();
        let mut delivered = 0;
        let mut last: Option<(Vec<u64>, Bytes)> = None;
        for seat in chosen {
            let pending = seat.pending.take();
            delivered += pending.len();
            let bytes = match &pending[..] {
                [entry] => entry.encoded().cloned(),
                entries => {
                    let places: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
                    match &last {
                        Some((of, bytes)) if *of == places => Some(bytes.clone()),
                        _ => {
                            let bytes = merged(entries);
                            last = Some((places, bytes.clone()));
                            Some(bytes)
                        }
                    }
                }
            };
            if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
                seat.outbox.send(&bytes);
                seat.written_at.set(now);
            }
        }
        if delivered > 0 {
            emit(UpdatesDelivered { count: delivered });
        }
    }

    /// Gives a seat what it has not had yet, as long as its client takes it.
    fn catch_up(&self, seat: &Seat) {
        let base = self.hub.patterns().base();
        // Most updates of a history share a few topics, so each is looked at once.
        let mut known: HashMap<*const Topic, bool> = HashMap::new();
        while !seat.is_over.get() && !seat.outbox.is_behind() {
            let until = self.place.get();
            let Some(entries) = self.hub.after(seat.place.get(), ENTRIES_PER_TURN) else {
                emit(SubscribersFellBehind { subscribers: 1 });
                return seat.end(b"");
            };
            let mut bytes = BytesMut::new();
            let mut delivered = 0;
            for entry in entries.iter().take_while(|entry| entry.seq <= until) {
                let selects = |topic: &Arc<Topic>| *known.entry(Arc::as_ptr(topic)).or_insert_with(|| seat.selection.matches([&**topic], base));
                if entry.topics.iter().map(selects).fold(false, |any, one| any | one)
                    && seat.may_see(entry, base)
                    && let Some(encoded) = entry.encoded()
                {
                    bytes.extend_from_slice(encoded);
                    delivered += 1;
                }
                seat.place.set(entry.seq);
                if bytes.len() >= CATCH_UP_BYTES {
                    break;
                }
            }
            if delivered > 0 {
                seat.outbox.send(&bytes.freeze());
                seat.written_at.set(self.hub.clock.now());
                emit(UpdatesDelivered { count: delivered });
            }
            if seat.place.get() >= until {
                return seat.is_catching_up.set(false);
            }
        }
    }

    fn keep_time(&self) {
        let (now, wall_ms) = (self.hub.clock.now(), self.hub.clock.wall_ms());
        let settings = &self.hub.settings;
        let seats: Vec<Rc<Seat>> = self.seats.borrow().iter().map(|(_, seat)| Rc::clone(seat)).collect();
        if self.hub.is_draining() {
            return self.drain(&seats, now);
        }
        for seat in seats {
            // The next look must not come too late.
            let has_expired = seat.expires_at_ms.is_some_and(|at| wall_ms + 2 * TICK.as_millis() as i64 >= at);
            if has_expired || seat.ends_at.is_some_and(|at| now >= at) {
                seat.end(b"");
            } else if seat.is_catching_up.get() {
                self.catch_up(&seat);
            }
            if !seat.is_over.get() && now >= seat.written_at.get() + settings.heartbeat_ms {
                seat.outbox.send(&COMMENT);
                seat.written_at.set(now);
            }
        }
    }

    /// Ends as many answers as must be ended at this tick for all to be over in time. Each client is told to come back at another moment.
    fn drain(&self, seats: &[Rc<Seat>], now: Millis) {
        let waiting: Vec<_> = seats.iter().filter(|seat| !seat.is_over.get()).collect();
        let ticks = self.hub.drain_ends_at().saturating_sub(now) as usize / TICK.as_millis() as usize + 1;
        for seat in waiting.iter().take(waiting.len().div_ceil(ticks)) {
            let retry = format!("retry: {}\n\n", rand::random_range(1_000..=5_000));
            seat.end(retry.as_bytes());
        }
    }
}

fn merged(entries: &[Arc<Entry>]) -> Bytes {
    let parts = || entries.iter().filter_map(|entry| entry.encoded());
    let mut merged = BytesMut::with_capacity(parts().map(Bytes::len).sum());
    parts().for_each(|part| merged.extend_from_slice(part));
    merged.freeze()
}

/// A subscriber's place in the crowd; dropping it leaves.
pub struct Place {
    crowd: Rc<Crowd>,
    key: u32,
    _attendance: Attendance,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.leave(self.key);
    }
}

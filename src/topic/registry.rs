//! The node's topics by channel name: starts them, finds them, replaces them when they died, lets them go when nobody needs them.
//!
//! Its lock is what keeps three things from slipping past each other: a worker that attaches, a topic that retires, and an event of the
//! broker, which is put into the topic's mailbox under the same lock and so in the stream's order.

use super::event::Encoded;
use super::fanout::{self, Fanout, PROBE, WorkerCounts, WorkerPulse};
use super::listing::{Page, PageAsked, Walk};
use super::meter::{self, Meter};
use super::prefixes::Prefixes;
use super::{Attach, Detach, Happened, Topic, TopicSettings};
use crate::broker::{Broker, ChannelEvent, Deliver};
use crate::channel::{ChannelName, ChannelRules};
use crate::clock::{Clock, Millis};
use crate::telemetry::emit;
use crate::telemetry::tap::{self, Subject};
use crate::telemetry::topics::{DeliveryDropped, Published, TopicReplaced};
use actix::{Actor, Addr, ArbiterHandle, Context};
use parking_lot::{Mutex, RwLock};
use serde_json::Map;
use smallvec::SmallVec;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::watch;

/// Locks that the channels are spread over.
const SHARDS: usize = 64;

/// Time for a worker to say what it has.
const COUNT_MAX: Duration = Duration::from_secs(2);

/// Channels after which [`Topics::for_each_watched`] lets other tasks of the thread have their turn: about a tenth of a millisecond.
const SHOWN_PER_TURN: usize = 1_000;

/// Workers that one topic can serve: the bits of [`Entry::workers`], but for the last one.
pub const WORKERS_MAX: usize = 63;

/// In place of a worker's number: somebody listens who is given the channel's events in another way, and is sent none.
pub const READER: usize = WORKERS_MAX;

/// Bytes on their way to someone who may be slower than the sender.
#[derive(Debug, Default)]
pub struct InFlight(AtomicUsize);

impl InFlight {
    /// Whether there was room below `max`; if so the bytes are counted.
    pub fn add(&self, bytes: usize, max: usize) -> bool {
        if self.0.load(Ordering::Relaxed) >= max {
            return false;
        }
        self.0.fetch_add(bytes, Ordering::Relaxed);
        true
    }
    pub fn sub(&self, bytes: usize) {
        // Never below zero: the count begins anew when an actor was replaced while events were on their way.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| Some(count.saturating_sub(bytes)));
    }
}

/// How many subscribers one channel has on this node, all workers together: each worker's half of the topic adds and takes away its own.
#[derive(Clone, Debug, Default)]
pub struct Audience(Arc<AtomicUsize>);

impl Audience {
    pub fn joined(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    pub fn left(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
    pub fn len(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A channel that has subscribers, and what goes on in it.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchedChannel {
    pub channel: ChannelName,
    /// At least 1.
    pub subscribers: usize,
    /// Over the last seconds: see [`Meter`].
    pub publications_per_second: f64,
}

/// What the registry knows of one topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicFacts {
    /// `false`: it died and is about to be replaced.
    pub is_alive: bool,
    /// Those that have subscribers, by number.
    pub workers: Vec<usize>,
    /// On the way to the topic.
    pub bytes_in_flight: usize,
    pub subscribers: usize,
    pub publications_per_second: f64,
    /// The same over the last minute: see [`Meter::curve`].
    pub curve: [f64; meter::WINDOWS],
    /// An event could not be given to it.
    pub is_lagging: bool,
}

/// How topics reach one worker.
#[derive(Debug)]
pub struct WorkerPort {
    /// Replaced when the worker's fan-out actor is.
    addr: RwLock<Addr<Fanout>>,
    in_flight: InFlight,
    /// Number of the last probe that came through to this worker.
    probed: watch::Sender<u64>,
}

impl WorkerPort {
    /// Hands an event over, unless the worker is too far behind: then the event is dropped for this worker, which notices by the offset.
    pub fn deliver(&self, event: &Arc<Encoded>, bytes_max: usize) -> bool {
        let has_room = self.in_flight.add(event.weight(), bytes_max);
        if has_room {
            self.addr.read().do_send(fanout::Deliver(Arc::clone(event)));
        } else {
            emit(DeliveryDropped { at: "worker" });
        }
        has_room
    }

    pub fn attached(&self, attached: fanout::Attached) {
        self.addr.read().do_send(attached);
    }

    pub(super) fn delivered(&self, bytes: usize) {
        self.in_flight.sub(bytes);
    }

    /// Makes the worker's fan-out actor panic, so that tests can see it replaced.
    #[cfg(feature = "test-hooks")]
    pub fn panic(&self) {
        self.addr.read().do_send(fanout::Panic);
    }

    /// Holds the worker's event loop up for so long.
    #[cfg(feature = "test-hooks")]
    pub fn freeze(&self, time: Duration) {
        self.addr.read().do_send(fanout::Freeze(time));
    }

    pub(super) fn probe_came(&self, event: &Encoded) {
        let ChannelEvent::Publication { publication, .. } = &event.event else { return };
        // Canaries have their number in quotes, and are seen at the other end.
        if let Ok(number) = serde_json::from_slice(&publication.data) {
            self.probed.send_replace(number);
        }
    }

    /// Waits until probe `number`, or a later one, has come through to this worker.
    pub async fn probed(&self, number: u64) {
        let _ = self.probed.subscribe().wait_for(|came| *came >= number).await;
    }
}

struct Entry {
    topic: Addr<Topic>,
    /// One bit for each worker that has subscribers.
    workers: u64,
    in_flight: Arc<InFlight>,
    audience: Audience,
    publications: Meter,
    /// Whether an event could not be given to the topic: its workers must be told where the stream stands.
    is_lagging: bool,
}

/// The port through which whoever feeds channels learns which of them somebody on this node listens to. Called in the order of each
/// channel's life, while it is locked: an implementation takes note, and must neither wait nor call the topics.
pub trait Demand: Send + Sync {
    /// The channel has its first subscriber.
    fn wanted(&self, channel: &ChannelName);
    /// The channel has lost its last one.
    fn unwanted(&self, channel: &ChannelName);
    /// The channel has had subscribers for a while: what feeds it may be new.
    fn still_wanted(&self, channel: &ChannelName);
}

/// The topics behind one lock.
#[derive(Default)]
struct Shelf {
    entries: HashMap<ChannelName, Entry>,
    /// The same names in order, for those who want to see them page by page.
    names: BTreeSet<ChannelName>,
}

pub struct Topics {
    me: Weak<Self>,
    shards: [Mutex<Shelf>; SHARDS],
    /// The topics that are patterns. Locked for a moment, behind the lock of a shelf or without one.
    patterns: RwLock<Prefixes<ChannelName>>,
    /// How many there are, so that a hub without any is not slowed down by the question.
    pattern_count: AtomicUsize,
    hasher: RandomState,
    arbiters: Vec<ArbiterHandle>,
    workers: RwLock<Vec<Option<Arc<WorkerPort>>>>,
    rules: Arc<ChannelRules>,
    broker: OnceLock<Arc<dyn Broker>>,
    demand: OnceLock<Arc<dyn Demand>>,
    settings: TopicSettings,
    clock: Clock,
}

impl Topics {
    /// `arbiters`: the threads that topics are spread over, by channel.
    pub fn new(arbiters: Vec<ArbiterHandle>, rules: Arc<ChannelRules>, settings: TopicSettings, clock: &Clock) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            shards: std::array::from_fn(|_| Mutex::default()),
            patterns: RwLock::default(),
            pattern_count: AtomicUsize::new(0),
            hasher: RandomState::new(),
            arbiters,
            workers: RwLock::default(),
            rules,
            broker: OnceLock::new(),
            demand: OnceLock::new(),
            settings,
            clock: clock.clone(),
        })
    }

    /// Broker and topics need each other: the broker delivers to the topics, the topics read positions from the broker.
    pub fn plug_in(&self, broker: Arc<dyn Broker>) {
        let _ = self.broker.set(broker);
    }

    /// Whoever wants to know which channels are listened to, if anybody does.
    pub fn plug_in_demand(&self, demand: Arc<dyn Demand>) {
        let _ = self.demand.set(demand);
    }

    pub fn broker(&self) -> &Arc<dyn Broker> {
        self.broker.get().expect("the app plugs the broker in before anything is bound")
    }

    pub fn rules(&self) -> &Arc<ChannelRules> {
        &self.rules
    }

    pub fn settings(&self) -> &TopicSettings {
        &self.settings
    }

    /// A worker can be reached, from now on or anew.
    pub fn register_worker(&self, index: usize, addr: Addr<Fanout>) -> Arc<WorkerPort> {
        let mut workers = self.workers.write();
        if workers.len() <= index {
            workers.resize(index + 1, None);
        }
        match &workers[index] {
            Some(port) => {
                *port.addr.write() = addr;
                // What the dead one had not taken yet died with its mailbox.
                port.in_flight.0.store(0, Ordering::Relaxed);
                Arc::clone(port)
            }
            None => {
                let port = Arc::new(WorkerPort { addr: RwLock::new(addr), in_flight: InFlight::default(), probed: watch::Sender::default() });
                workers[index] = Some(Arc::clone(&port));
                port
            }
        }
    }

    pub fn worker(&self, index: usize) -> Option<Arc<WorkerPort>> {
        self.workers.read().get(index).cloned().flatten()
    }

    /// What there is on each worker; one that does not answer in time counts as having nothing, and as late by that time.
    pub async fn count_workers(&self) -> Vec<WorkerCounts> {
        let ports: Vec<_> = self.workers.read().iter().flatten().cloned().collect();
        let asked = ports.into_iter().map(|port| {
            let answer = port.addr.read().send(fanout::Count);
            let silent = WorkerCounts { lag_ms: COUNT_MAX.as_millis() as Millis, ..WorkerCounts::default() };
            async move { tokio::time::timeout(COUNT_MAX, answer).await.ok().and_then(Result::ok).unwrap_or(silent) }
        });
        futures_util::future::join_all(asked).await
    }

    /// How each worker does at this moment, in the order of their numbers; `None`: it did not answer within `wait`. Costs the same however much
    /// there is on a worker.
    pub async fn feel_workers(&self, wait: Duration) -> Vec<Option<WorkerPulse>> {
        let ports = self.workers.read().clone();
        let asked = ports.into_iter().map(|port| async move {
            let answer = port?.addr.read().send(fanout::Feel);
            tokio::time::timeout(wait, answer).await.ok().and_then(Result::ok)
        });
        futures_util::future::join_all(asked).await
    }

    /// Worker `index` has its first subscriber of `channel`: from now on it is told what happens there. The topic answers it with
    /// [`fanout::Attached`]. Its subscribers are to be counted in what is returned.
    pub fn attach(&self, channel: &ChannelName, index: usize) -> Audience {
        let shard_index = self.shard_of(channel);
        let mut shelf = self.shards[shard_index].lock();
        let Shelf { entries, names } = &mut *shelf;
        let entry = match entries.get_mut(channel) {
            Some(entry) if entry.topic.connected() => entry,
            Some(entry) => {
                self.replace(channel, entry, shard_index);
                entry
            }
            None => entries.entry(channel.clone()).or_insert_with(|| {
                names.insert(channel.clone());
                if let Some(prefix) = self.rules.pattern_prefix(channel) {
                    self.change_patterns(|patterns| patterns.insert(prefix, channel.clone()));
                }
                let (topic, in_flight) = self.start(channel, shard_index);
                Entry { topic, workers: 0, in_flight, audience: Audience::default(), publications: Meter::default(), is_lagging: false }
            }),
        };
        let is_first = entry.workers == 0;
        entry.workers |= 1 << index;
        entry.topic.do_send(Attach { worker: index });
        let audience = entry.audience.clone();
        if let (true, Some(demand)) = (is_first, self.demand.get()) {
            demand.wanted(channel);
        }
        audience
    }

    /// Worker `index` has no subscriber of `channel` any more.
    pub fn detach(&self, channel: &ChannelName, index: usize) {
        if let Some(entry) = self.shards[self.shard_of(channel)].lock().entries.get_mut(channel) {
            let was_watched = entry.workers != 0;
            entry.workers &= !(1 << index);
            entry.topic.do_send(Detach { worker: index });
            if let (true, 0, Some(demand)) = (was_watched, entry.workers, self.demand.get()) {
                demand.unwanted(channel);
            }
        }
    }

    /// Tells the port for demand again of every channel that has subscribers: what feeds them may be new.
    pub fn announce_demand(&self) {
        let Some(demand) = self.demand.get() else { return };
        for shard in &self.shards {
            shard.lock().entries.iter().filter(|(_, entry)| entry.workers != 0).for_each(|(channel, _)| demand.still_wanted(channel));
        }
    }

    /// A topic has been without workers for long enough. `false`: one came meanwhile, and the topic goes on.
    pub(super) fn retire(&self, channel: &ChannelName) -> bool {
        let mut shelf = self.shards[self.shard_of(channel)].lock();
        match shelf.entries.get(channel) {
            Some(entry) if entry.workers != 0 => false,
            _ => {
                shelf.entries.remove(channel);
                shelf.names.remove(channel);
                if let Some(prefix) = self.rules.pattern_prefix(channel) {
                    self.change_patterns(|patterns| patterns.remove(prefix));
                }
                if shelf.entries.is_empty() {
                    *shelf = Shelf::default();
                }
                true
            }
        }
    }

    /// Replaces the topics that died and brings those back that events had to be dropped for, so that their subscribers do not wait for the
    /// next event to be noticed. Told by the watchdog.
    pub fn heal(&self) -> usize {
        let mut healed = 0;
        for (shard_index, shard) in self.shards.iter().enumerate() {
            for (channel, entry) in shard.lock().entries.iter_mut() {
                if !entry.topic.connected() {
                    self.replace(channel, entry, shard_index);
                    healed += 1;
                } else if entry.is_lagging && entry.in_flight.0.load(Ordering::Relaxed) == 0 {
                    entry.attach_workers();
                    healed += 1;
                }
            }
        }
        healed
    }

    /// Topics that live, but for that of the probes.
    pub fn len(&self) -> usize {
        let all: usize = self.shards.iter().map(|shard| shard.lock().entries.len()).sum();
        all - usize::from(self.find(PROBE).is_some())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shows every channel that has subscribers, each once, in no order; channels that come or go meanwhile may be missing. The locks are
    /// taken one after the other, each for as long as its channels take to be noted, and where there are many, other tasks of the thread get their turn between.
    pub async fn for_each_watched(&self, mut each: impl FnMut(WatchedChannel)) {
        let now = self.clock.now();
        let mut watched = Vec::new();
        let mut shown = 0;
        for shard in &self.shards {
            watched.extend(shard.lock().entries.iter().filter_map(|(channel, entry)| entry.watched(channel, now)));
            shown += watched.len();
            watched.drain(..).for_each(&mut each);
            if shown >= SHOWN_PER_TURN {
                shown = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    /// A page of the channels that have subscribers and that `accepts` lets through, ordered by name. It costs a bounded number of looks, so that a
    /// page may be short, or empty, and still have a next one.
    pub async fn watched_page(&self, asked: &PageAsked, mut accepts: impl FnMut(&ChannelName) -> bool) -> Page<WatchedChannel> {
        let now = self.clock.now();
        let mut walk = Walk::new(asked);
        let mut looks = 0;
        for shard in &self.shards {
            looks += {
                let Shelf { entries, names } = &*shard.lock();
                let names = names.range::<str, _>((asked.start(), Bound::Unbounded));
                walk.look_through(asked, names, |name| {
                    let entry = entries.get(name)?;
                    if accepts(name) { entry.watched(name, now) } else { None }
                })
            };
            if looks >= SHOWN_PER_TURN {
                looks = 0;
                tokio::task::yield_now().await;
            }
        }
        walk.finish()
    }

    /// What is known of the topic of `channel` without asking it.
    pub fn describe(&self, channel: &str) -> Option<TopicFacts> {
        let now = self.clock.now();
        let shard = (self.hasher.hash_one(channel) % SHARDS as u64) as usize;
        self.shards[shard].lock().entries.get(channel).map(|entry| TopicFacts {
            is_alive: entry.topic.connected(),
            workers: (0..WORKERS_MAX).filter(|worker| entry.workers & (1 << worker) != 0).collect(),
            bytes_in_flight: entry.in_flight.0.load(Ordering::Relaxed),
            subscribers: entry.audience.len(),
            publications_per_second: entry.publications.per_second(now),
            curve: entry.publications.curve(now),
            is_lagging: entry.is_lagging,
        })
    }

    /// The topic of `channel`, if one lives.
    pub fn find(&self, channel: &str) -> Option<Addr<Topic>> {
        let shard = (self.hasher.hash_one(channel) % SHARDS as u64) as usize;
        self.shards[shard].lock().entries.get(channel).map(|entry| entry.topic.clone())
    }

    fn change_patterns(&self, change: impl FnOnce(&mut Prefixes<ChannelName>)) {
        let mut patterns = self.patterns.write();
        change(&mut patterns);
        self.pattern_count.store(patterns.len(), Ordering::Release);
    }

    /// Patterns that somebody is subscribed to, or was a moment ago.
    pub fn pattern_count(&self) -> usize {
        self.pattern_count.load(Ordering::Acquire)
    }

    /// Whether `channel` may be attached: there is no limit to channels, but there is one to patterns, since each makes publishing dearer.
    /// Workers that ask at the same moment may go beyond it by one each.
    pub fn has_room_for(&self, channel: &ChannelName) -> bool {
        self.pattern_count() < self.settings.patterns_max || self.rules.pattern_prefix(channel).is_none() || self.describe(channel).is_some()
    }

    fn shard_of(&self, channel: &ChannelName) -> usize {
        (self.hasher.hash_one(channel.as_str()) % SHARDS as u64) as usize
    }

    fn start(&self, channel: &ChannelName, shard_index: usize) -> (Addr<Topic>, Arc<InFlight>) {
        let in_flight = Arc::new(InFlight::default());
        let (channel, topics, bytes) = (channel.clone(), self.me.clone(), Arc::clone(&in_flight));
        let topic = Topic::start_in_arbiter(&self.arbiters[shard_index % self.arbiters.len()], move |_: &mut Context<Topic>| {
            Topic::new(channel, topics, bytes)
        });
        (topic, in_flight)
    }

    /// A topic that panicked leaves its workers behind: the new one takes them over, and each fills its gap from history.
    fn replace(&self, channel: &ChannelName, entry: &mut Entry, shard_index: usize) {
        emit(TopicReplaced { channel });
        (entry.topic, entry.in_flight) = self.start(channel, shard_index);
        entry.attach_workers();
    }
}

impl Entry {
    /// What is shown of the channel, if it has subscribers.
    fn watched(&self, channel: &ChannelName, now: Millis) -> Option<WatchedChannel> {
        (!self.audience.is_empty() && **channel != *PROBE).then(|| WatchedChannel {
            channel: channel.clone(),
            subscribers: self.audience.len(),
            publications_per_second: self.publications.per_second(now),
        })
    }

    fn attach_workers(&mut self) {
        self.is_lagging = false;
        for worker in (0..WORKERS_MAX).filter(|worker| self.workers & (1 << worker) != 0) {
            self.topic.do_send(Attach { worker });
        }
    }
}

/// Shows an event to those who trace its channel.
fn trace(channel: &ChannelName, event: &ChannelEvent) {
    let channel = Some(channel.as_str());
    let (what, payload, author) = match event {
        ChannelEvent::Publication { publication, .. } => ("publication", &publication.data[..], publication.info.as_ref()),
        ChannelEvent::Join(info) => ("join", &[][..], Some(info)),
        ChannelEvent::Leave(info) => ("leave", &[][..], Some(info)),
    };
    let mut more = Map::new();
    if let ChannelEvent::Publication { publication, .. } = event {
        more.insert("offset".to_string(), publication.offset.into());
    }
    // The author's own traces have its command already.
    if let Some(info) = author {
        more.insert("by".to_string(), info.client.to_string().into());
    }
    tap::trace(Subject { channel, ..Subject::default() }, what, payload, more);
}

impl Deliver for Topics {
    fn deliver(&self, channel: &ChannelName, event: ChannelEvent) {
        if tap::is_tracing() {
            trace(channel, &event);
        }
        if let ChannelEvent::Publication { publication, .. } = &event
            && &**channel != PROBE
        {
            emit(Published { bytes: publication.data.len() });
        }
        if self.pattern_count() > 0 && matches!(event, ChannelEvent::Publication { .. }) {
            self.deliver_to_patterns(channel, &event);
        }
        self.deliver_to(channel, || Encoded::new(channel.clone(), event));
    }
}

impl Topics {
    /// Hands an event to the topics of the patterns that `channel` matches. Each is a topic like any other; whoever is subscribed to both hears it
    /// twice. The order in which a channel's events come is kept for each of them, because the broker never delivers two of them at once.
    fn deliver_to_patterns(&self, channel: &ChannelName, event: &ChannelEvent) {
        let Some(shortest) = self.rules.pattern_bytes_min(channel) else { return };
        let mut matching: SmallVec<[ChannelName; 4]> = SmallVec::new();
        self.patterns.read().for_each_of(channel, shortest, |pattern| matching.push(pattern.clone()));
        for pattern in matching {
            self.deliver_to(&pattern, || Encoded::under(pattern.clone(), channel.clone(), event.clone()));
        }
    }

    /// Hands an event to the topic of this name, if somebody listens.
    fn deliver_to(&self, topic: &ChannelName, encoded: impl FnOnce() -> Encoded) {
        let shard_index = self.shard_of(topic);
        let mut shelf = self.shards[shard_index].lock();
        let Some(entry) = shelf.entries.get_mut(topic) else { return };
        if !entry.topic.connected() {
            self.replace(topic, entry, shard_index);
        }
        let event = Arc::new(encoded());
        if !event.is_about_presence() {
            entry.publications.count(self.clock.now());
        }
        if entry.in_flight.add(event.weight(), self.settings.queue_bytes_max) {
            entry.topic.do_send(Happened(event));
        } else {
            entry.is_lagging = true;
            emit(DeliveryDropped { at: "topic" });
        }
    }
}

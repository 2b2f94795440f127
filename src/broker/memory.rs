//! The broker of a single node: streams, presence and idempotency keys in this process's memory.
//!
//! Called from all worker threads at once, for every publish and every history read; answers at once. It checks no permission, knows no
//! subscriber, and keeps nothing over a restart: every stream then has a new epoch, by which readers notice.
//!
//! **Order.** Channels are spread over shards by hash, each with a lock. A publication gets its offset, goes into history and is delivered
//! under that one lock, so deliveries come in the order of the offsets. Channels without history take the lock too, for order alone.
//!
//! **Limits.** A publish never fails for want of memory, and history never shows a hole; what suffers is how far back history goes.
//! - `history_bytes_max`: at the cap a stream may not grow. It gives up its own oldest entries for a new one; where all of them are not
//!   enough, the publication is delivered with its offset, and the history of the channel is empty: whoever missed it is told that it
//!   cannot recover. Streams without entries count, but are bounded by the next limit only.
//! - `streams_max`: a new stream at the cap takes the place of another one of its shard: of those looked at ([`EVICTION_SAMPLE`]), one
//!   without entries before one with entries, and among equals the least recently used. The channel of a dropped stream begins a new
//!   epoch when it is next used. A shard that holds no stream at that moment may hold one above the cap.
//! - `idempotency_keys_max`: the oldest key is forgotten early.
//!
//! Presence has no limit here, since each entry belongs to a session and a subscription, which are limited.

use super::idempotency::{IdempotencyKeys, digest};
use super::stream::{ByteBudget, Keeping, STREAM_BYTES, Stream, Version};
use super::{
    Answer, Broker, BrokerError, ChannelEvent, Deliver, Exclusion, History, HistoryFilter, PresenceStats, Publish, Published, history_meta_ttl,
};
use crate::channel::{ChannelName, ChannelOptions, ClientInfo, Epoch, PresenceSet, Publication, SessionId, StreamPosition};
use crate::clock::{Clock, Millis};
use crate::telemetry::{Event, emit};
use crate::units::HumanDuration;
use indexmap::IndexMap;
use parking_lot::Mutex;
use prometheus::{IntCounter, register_int_counter};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

/// How long the result of an idempotent publish is remembered, as Centrifugo does.
pub const IDEMPOTENCY_TTL: HumanDuration = HumanDuration::from_secs(300);

/// Many more than worker threads, so that two of them seldom want the same one.
const SHARDS: usize = 64;
/// Streams that are looked at to find one to drop. The longer, the nearer to the least recently used, and the longer the lock is held:
/// 64 take about a microsecond.
const EVICTION_SAMPLE: usize = 64;
/// Tables of fewer places are not worth shrinking.
const PLACES_MIN: usize = 64;
/// Between two log lines about the same limit. The counters see every case.
const LOG_INTERVAL_MS: Millis = 60_000;

/// What a broker may hold in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryBrokerSettings {
    /// Bytes of all streams together.
    pub history_bytes_max: usize,
    /// Streams, those without entries included.
    pub streams_max: usize,
    /// Idempotency keys of all channels together. 0: keys are not looked at.
    pub idempotency_keys_max: usize,
    pub idempotency_ttl: HumanDuration,
    /// For channels whose namespace says nothing else.
    pub history_meta_ttl: HumanDuration,
}

/// What a broker holds at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct MemoryBrokerStats {
    pub streams: usize,
    /// Publications in history.
    pub publications: usize,
    /// Of all streams.
    pub bytes: usize,
    /// Channels with somebody present.
    pub presence_channels: usize,
    /// Clients present, each once per channel.
    pub presence_entries: usize,
    pub idempotency_keys: usize,
}

pub struct MemoryBroker {
    settings: MemoryBrokerSettings,
    clock: Clock,
    deliver: Arc<dyn Deliver>,
    /// Keyed at random, since clients choose channel names.
    hasher: RandomState,
    shards: Box<[Shard]>,
    budget: ByteBudget,
    stream_count: AtomicUsize,
    /// One for all shards, so that the key that goes at the cap is the oldest of all. Taken for short, and under a shard's lock.
    idempotency: Mutex<IdempotencyKeys>,
    /// The shard that is swept next.
    sweep_next: AtomicUsize,
    last_logged: LastLogged,
}

/// Aligned so that two shards share no cache line (nor a pair of them, which processors fetch together).
#[repr(align(128))]
struct Shard {
    streams: Mutex<Streams>,
    presence: Mutex<HashMap<ChannelName, PresenceSet>>,
}

/// The streams of one shard. Indexed, so that sweeping and eviction can look at a few of them at a time.
#[derive(Default)]
struct Streams {
    by_channel: IndexMap<ChannelName, Stream, RandomState>,
    /// Entries of all of them.
    publications: usize,
    /// Where sweeping goes on.
    swept: usize,
    /// Where the search for a stream to drop goes on.
    hand: usize,
}

/// When each limit was last written to the log.
#[derive(Default)]
struct LastLogged {
    history: AtomicU64,
    streams: AtomicU64,
    keys: AtomicU64,
}

/// What must happen once the lock is released: freeing may take long, and so may writing to the log.
#[derive(Default)]
struct Aftermath {
    freed: Vec<VecDeque<Arc<Publication>>>,
    given_up: usize,
    evicted: usize,
    forgotten: usize,
}

impl MemoryBroker {
    pub fn new(settings: MemoryBrokerSettings, clock: Clock, deliver: Arc<dyn Deliver>) -> Self {
        // Counters that are missing until something happens cannot be told from counters of something that never happens.
        LazyLock::force(&COUNTERS);
        let shard = || Shard { streams: Mutex::default(), presence: Mutex::default() };
        Self {
            budget: ByteBudget::new(settings.history_bytes_max),
            idempotency: Mutex::new(IdempotencyKeys::new(settings.idempotency_keys_max, settings.idempotency_ttl.ms())),
            settings,
            clock,
            deliver,
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| shard()).collect(),
            stream_count: AtomicUsize::new(0),
            sweep_next: AtomicUsize::new(0),
            last_logged: LastLogged::default(),
        }
    }

    /// Takes every shard's lock for a moment.
    pub fn stats(&self) -> MemoryBrokerStats {
        let mut stats = MemoryBrokerStats {
            streams: self.stream_count.load(Ordering::Relaxed),
            bytes: self.budget.used(),
            idempotency_keys: self.idempotency.lock().len(),
            ..MemoryBrokerStats::default()
        };
        for shard in &self.shards {
            stats.publications += shard.streams.lock().publications;
            let presence = shard.presence.lock();
            stats.presence_channels += presence.len();
            stats.presence_entries += presence.values().map(|set| set.stats().clients).sum::<usize>();
        }
        stats
    }

    /// Gives back the memory of entries, streams and idempotency keys whose time is over. Nobody sees a difference but in memory: what is
    /// over is not given out even before it is swept.
    ///
    /// To be called periodically. Looks at no more than `budget` streams and as many keys, and goes on from there the next time, so that
    /// the work of one call, and the time for which it holds a lock, are bounded.
    pub fn sweep(&self, budget: usize) {
        let now = self.clock.now();
        self.idempotency.lock().forget_ended(now, budget);
        let mut left = budget;
        // One more than there are: the first one may have been left in its middle, and its beginning comes last.
        for _ in 0..=SHARDS {
            let shard = &self.shards[self.sweep_next.load(Ordering::Relaxed) % SHARDS];
            let mut freed = Vec::new();
            let is_done = self.sweep_streams(&mut shard.streams.lock(), now, &mut left, &mut freed);
            drop(freed);
            if !is_done {
                break;
            }
            self.sweep_next.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says whether it came to the end of the shard.
    fn sweep_streams(&self, streams: &mut Streams, now: Millis, left: &mut usize, freed: &mut Vec<VecDeque<Arc<Publication>>>) -> bool {
        while let Some((_, stream)) = streams.by_channel.get_index(streams.swept) {
            if *left == 0 {
                return false;
            }
            *left -= 1;
            if stream.is_over(now) {
                freed.push(self.drop_stream(streams, streams.swept));
            } else {
                if stream.is_stale(now) {
                    freed.push(self.clear_stream(streams, streams.swept));
                }
                streams.swept += 1;
            }
        }
        streams.swept = 0;
        if streams.by_channel.capacity() > PLACES_MIN && streams.by_channel.len() * 4 < streams.by_channel.capacity() {
            streams.by_channel.shrink_to(streams.by_channel.len() * 2);
        }
        true
    }

    fn shard(&self, channel: &ChannelName) -> &Shard {
        &self.shards[self.hasher.hash_one(channel) as usize % SHARDS]
    }

    /// The index of the channel's stream, as it stands now: what is over is gone, and where there is none there is a new one.
    fn stream_at(&self, streams: &mut Streams, channel: &ChannelName, now: Millis, aftermath: &mut Aftermath) -> usize {
        if let Some((index, _, stream)) = streams.by_channel.get_full(channel) {
            if stream.is_over(now) {
                aftermath.freed.push(self.clear_stream(streams, index));
                streams.by_channel[index] = Stream::new();
            } else if stream.is_stale(now) {
                aftermath.freed.push(self.clear_stream(streams, index));
            }
            return index;
        }
        if self.stream_count.fetch_add(1, Ordering::Relaxed) >= self.settings.streams_max
            && let Some(victim) = streams.next_victim(now)
        {
            aftermath.freed.push(self.drop_stream(streams, victim));
            aftermath.evicted += 1;
        }
        self.budget.take(STREAM_BYTES + channel.len());
        streams.by_channel.insert_full(channel.clone(), Stream::new()).0
    }

    fn clear_stream(&self, streams: &mut Streams, index: usize) -> VecDeque<Arc<Publication>> {
        let freed = streams.by_channel[index].clear(&self.budget);
        streams.publications -= freed.len();
        freed
    }

    /// The last stream takes the place of the dropped one.
    fn drop_stream(&self, streams: &mut Streams, index: usize) -> VecDeque<Arc<Publication>> {
        let freed = self.clear_stream(streams, index);
        if let Some((channel, _)) = streams.by_channel.swap_remove_index(index) {
            self.budget.give_back(STREAM_BYTES + channel.len());
            self.stream_count.fetch_sub(1, Ordering::Relaxed);
        }
        freed
    }

    fn finish(&self, now: Millis, aftermath: Aftermath) {
        let Aftermath { freed, given_up, evicted, forgotten } = aftermath;
        drop(freed);
        if given_up > 0 {
            emit(HistoryCut { publications: given_up, bytes_max: self.budget.max(), is_logged: is_due(&self.last_logged.history, now) });
        }
        if evicted > 0 {
            emit(StreamsEvicted { streams: evicted, streams_max: self.settings.streams_max, is_logged: is_due(&self.last_logged.streams, now) });
        }
        if forgotten > 0 {
            let keys_max = self.settings.idempotency_keys_max;
            emit(IdempotencyKeysForgotten { keys: forgotten, keys_max, is_logged: is_due(&self.last_logged.keys, now) });
        }
    }
}

impl Streams {
    /// The stream that a new one may take the place of, of the next few.
    fn next_victim(&mut self, now: Millis) -> Option<usize> {
        let len = self.by_channel.len();
        let sample = (0..len.min(EVICTION_SAMPLE)).map(|step| (self.hand + step) % len);
        let victim = sample.min_by_key(|&index| {
            let stream = &self.by_channel[index];
            (stream.len() > 0 && !stream.is_stale(now), stream.used_at())
        });
        if len > 0 {
            self.hand = (self.hand + EVICTION_SAMPLE) % len;
        }
        victim
    }
}

/// A publish, ready to be appended.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Without an offset.
    pub publication: Publication,
    pub version: Version,
    /// The digest of the idempotency key.
    pub key: Option<u128>,
    pub has_history: bool,
    /// Who is not given it now. Not stored.
    pub exclude: Option<Arc<Exclusion>>,
    /// See [`Publish::arrived`].
    pub arrived: Option<Instant>,
}

/// A publication that a stream has just taken in.
pub(super) struct Kept<'a> {
    pub publication: &'a Arc<Publication>,
    pub epoch: &'a Epoch,
    /// The stream's, after it.
    pub version: Version,
    pub key: Option<u128>,
}

/// A stream as it was when an earlier process ended.
#[derive(Debug)]
pub(super) struct Restored {
    pub position: StreamPosition,
    pub version: Version,
    /// Consecutive, the last at the position.
    pub entries: Vec<Arc<Publication>>,
    /// Time that is left to the entries.
    pub entries_ms: Millis,
    pub keeping: Keeping,
    /// Digests of idempotency keys, with their results.
    pub keys: Vec<(u128, Published)>,
}

/// What the broker that writes history to the store needs of the streams in memory.
impl MemoryBroker {
    pub(super) fn prepare(&self, channel: &ChannelName, options: &ChannelOptions, publish: Publish) -> Prepared {
        let Publish { data, info, tags, skip_history, idempotency_key, version, version_epoch, update, exclude, arrived } = publish;
        let has_history = options.has_history() && !skip_history;
        let key = idempotency_key.filter(|key| !key.is_empty() && self.settings.idempotency_keys_max > 0).map(|key| digest(channel, &key));
        let version = Version { number: version, epoch: if version_epoch.is_empty() { 0 } else { digest("", &version_epoch) } };
        let data = if has_history { data.detached() } else { data };
        Prepared { publication: Publication { offset: 0, data, info, tags, update }, version, key, has_history, exclude, arrived }
    }

    pub(super) fn keeping(&self, options: &ChannelOptions) -> Keeping {
        let meta_ttl_ms = history_meta_ttl(options, self.settings.history_meta_ttl).ms();
        Keeping { size: options.history_size, ttl_ms: options.history_ttl.ms(), meta_ttl_ms }
    }

    /// The first result of an idempotency key that is remembered.
    pub(super) fn result_of(&self, key: u128) -> Option<Published> {
        self.idempotency.lock().get(key, self.clock.now()).cloned()
    }

    pub(super) fn remember(&self, key: u128, result: Published) {
        let now = self.clock.now();
        let forgotten = self.idempotency.lock().remember(key, result, now);
        self.finish(now, Aftermath { forgotten, ..Aftermath::default() });
    }

    /// Where the channel's stream stands, and its version. Begins one where there is none.
    pub(super) fn standing(&self, channel: &ChannelName, keeping: Keeping) -> (StreamPosition, Version) {
        let now = self.clock.now();
        let mut aftermath = Aftermath::default();
        let mut streams = self.shard(channel).streams.lock();
        let index = self.stream_at(&mut streams, channel, now, &mut aftermath);
        let stream = &mut streams.by_channel[index];
        stream.touch(now, keeping.meta_ttl_ms);
        let standing = (stream.position(), stream.version());
        drop(streams);
        self.finish(now, aftermath);
        standing
    }

    /// Appends and delivers a publication whose position was settled before, because it has been written already. Where the stream stands
    /// somewhere else by now, since it had to make room for another one, it takes the place that the position says.
    pub(super) fn append_at(&self, channel: &ChannelName, keeping: Keeping, position: &StreamPosition, prepared: Prepared) {
        let now = self.clock.now();
        let mut aftermath = Aftermath::default();
        let mut streams = self.shard(channel).streams.lock();
        let index = self.stream_at(&mut streams, channel, now, &mut aftermath);
        let before = StreamPosition { offset: position.offset.saturating_sub(1), epoch: position.epoch.clone() };
        if streams.by_channel[index].position() != before {
            aftermath.freed.push(self.clear_stream(&mut streams, index));
            streams.by_channel[index] = Stream::standing_at(before, Version::default());
        }
        let Streams { by_channel, publications, .. } = &mut *streams;
        let stream = &mut by_channel[index];
        let len_before = stream.len();
        let appended = stream.append(prepared.publication, prepared.version, keeping, now, &self.budget);
        *publications = *publications + stream.len() - len_before;
        aftermath.given_up = appended.given_up;
        stream.touch(now, keeping.meta_ttl_ms);
        let position = Some(stream.position());
        if let Some(key) = prepared.key {
            aftermath.forgotten = self.idempotency.lock().remember(key, position.clone(), now);
        }
        let Prepared { exclude, arrived, .. } = prepared;
        self.deliver.deliver(channel, ChannelEvent::Publication { publication: appended.publication, position, exclude, arrived });
        drop(streams);
        self.finish(now, aftermath);
    }

    /// Takes over what an earlier process left. To be called before anybody publishes or reads.
    pub(super) fn restore(&self, channel: &ChannelName, restored: Restored) {
        let now = self.clock.now();
        let mut aftermath = Aftermath::default();
        let mut streams = self.shard(channel).streams.lock();
        let index = self.stream_at(&mut streams, channel, now, &mut aftermath);
        aftermath.freed.push(self.clear_stream(&mut streams, index));
        let mut stream = Stream::standing_at(restored.position, restored.version);
        stream.refill(restored.entries, restored.entries_ms, now, &self.budget);
        stream.touch(now, restored.keeping.meta_ttl_ms);
        streams.publications += stream.len();
        streams.by_channel[index] = stream;
        drop(streams);
        for (key, result) in restored.keys {
            aftermath.forgotten += self.idempotency.lock().remember(key, result, now);
        }
        self.finish(now, aftermath);
    }

    /// Whether all streams together hold as many bytes, or as many streams, as they may.
    pub(super) fn is_full(&self) -> bool {
        self.budget.used() >= self.budget.max() || self.stream_count.load(Ordering::Relaxed) >= self.settings.streams_max
    }

    /// Drops the entries of a channel; `removed` is called under the lock that keeps the order of the channel.
    pub(super) fn remove_and(&self, channel: &ChannelName, removed: impl FnOnce()) {
        let mut streams = self.shard(channel).streams.lock();
        let freed = streams.by_channel.get_index_of(channel).map(|index| self.clear_stream(&mut streams, index));
        removed();
        drop(streams);
        drop(freed);
    }

    /// Publishes; `kept` is called for what the stream took in, under the lock that keeps the order of the channel.
    pub(super) fn publish_and(&self, channel: &ChannelName, keeping: Keeping, prepared: Prepared, kept: impl FnOnce(Kept<'_>)) -> Published {
        let Prepared { publication, version, key, has_history, exclude, arrived } = prepared;
        let now = self.clock.now();
        let mut aftermath = Aftermath::default();
        let mut streams = self.shard(channel).streams.lock();
        if let Some(key) = key
            && let Some(first) = self.idempotency.lock().get(key, now)
        {
            return first.clone();
        }
        let (published, publication) = if has_history {
            let index = self.stream_at(&mut streams, channel, now, &mut aftermath);
            let Streams { by_channel, publications, .. } = &mut *streams;
            let stream = &mut by_channel[index];
            let publication = (!stream.is_ahead_of(version)).then(|| {
                let len_before = stream.len();
                let appended = stream.append(publication, version, keeping, now, &self.budget);
                *publications = *publications + stream.len() - len_before;
                aftermath.given_up = appended.given_up;
                kept(Kept { publication: &appended.publication, epoch: stream.epoch(), version: stream.version(), key });
                appended.publication
            });
            stream.touch(now, keeping.meta_ttl_ms);
            (Some(stream.position()), publication)
        } else {
            (None, Some(Arc::new(publication)))
        };
        if let Some(key) = key {
            aftermath.forgotten = self.idempotency.lock().remember(key, published.clone(), now);
        }
        if let Some(publication) = publication {
            self.deliver.deliver(channel, ChannelEvent::Publication { publication, position: published.clone(), exclude, arrived });
        }
        drop(streams);
        self.finish(now, aftermath);
        published
    }
}

impl Broker for MemoryBroker {
    fn publish(&self, channel: &ChannelName, options: &ChannelOptions, publish: Publish) -> Answer<Result<Published, BrokerError>> {
        let prepared = self.prepare(channel, options, publish);
        Answer::Ready(Ok(self.publish_and(channel, self.keeping(options), prepared, |_| {})))
    }

    fn join(&self, channel: &ChannelName, info: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        let _in_order = self.shard(channel).streams.lock();
        self.deliver.deliver(channel, ChannelEvent::Join(info));
        Answer::Ready(Ok(()))
    }

    fn leave(&self, channel: &ChannelName, info: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        let _in_order = self.shard(channel).streams.lock();
        self.deliver.deliver(channel, ChannelEvent::Leave(info));
        Answer::Ready(Ok(()))
    }

    fn history(&self, channel: &ChannelName, options: &ChannelOptions, filter: HistoryFilter) -> Answer<Result<History, BrokerError>> {
        if !options.has_history() {
            return Answer::Ready(Ok(History { publications: Vec::new(), position: StreamPosition::default() }));
        }
        let now = self.clock.now();
        let mut aftermath = Aftermath::default();
        let mut streams = self.shard(channel).streams.lock();
        let index = self.stream_at(&mut streams, channel, now, &mut aftermath);
        let stream = &mut streams.by_channel[index];
        stream.touch(now, history_meta_ttl(options, self.settings.history_meta_ttl).ms());
        let (position, publications) = (stream.position(), stream.read(&filter));
        drop(streams);
        self.finish(now, aftermath);
        Answer::Ready(match publications {
            Some(publications) => Ok(History { publications, position }),
            None => {
                let since = filter.since.unwrap_or_default();
                Err(BrokerError::UnrecoverablePosition { channel: channel.clone(), since, current: position })
            }
        })
    }

    fn remove_history(&self, channel: &ChannelName) -> Answer<Result<(), BrokerError>> {
        self.remove_and(channel, || {});
        Answer::Ready(Ok(()))
    }

    fn add_presence(&self, channel: &ChannelName, info: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        let mut presence = self.shard(channel).presence.lock();
        match presence.get_mut(channel) {
            Some(set) => set.add(info),
            None => presence.entry(channel.clone()).or_default().add(info),
        };
        Answer::Ready(Ok(()))
    }

    fn remove_presence(&self, channel: &ChannelName, session: SessionId) -> Answer<Result<(), BrokerError>> {
        let mut presence = self.shard(channel).presence.lock();
        if let Some(set) = presence.get_mut(channel) {
            set.remove(session);
            if set.is_empty() {
                presence.remove(channel);
                if presence.capacity() > PLACES_MIN && presence.len() * 4 < presence.capacity() {
                    let places = presence.len() * 2;
                    presence.shrink_to(places);
                }
            }
        }
        Answer::Ready(Ok(()))
    }

    fn presence(&self, channel: &ChannelName) -> Answer<Result<Vec<Arc<ClientInfo>>, BrokerError>> {
        let presence = self.shard(channel).presence.lock();
        Answer::Ready(Ok(presence.get(channel).map(|set| set.clients().cloned().collect()).unwrap_or_default()))
    }

    fn presence_stats(&self, channel: &ChannelName) -> Answer<Result<PresenceStats, BrokerError>> {
        let presence = self.shard(channel).presence.lock();
        Answer::Ready(Ok(presence.get(channel).map(PresenceSet::stats).unwrap_or_default()))
    }
}

/// Whether something that may happen often is to be logged again.
fn is_due(last: &AtomicU64, now: Millis) -> bool {
    let logged = last.load(Ordering::Relaxed);
    (logged == 0 || now >= logged + LOG_INTERVAL_MS) && last.compare_exchange(logged, now.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

struct Counters {
    history_cut: IntCounter,
    streams_evicted: IntCounter,
    idempotency_keys_forgotten: IntCounter,
}

static COUNTERS: LazyLock<Counters> = LazyLock::new(|| {
    let counter = |name: &str, help: &str| register_int_counter!(name, help).expect("each name is registered here, once");
    Counters {
        history_cut: counter(
            "aether_broker_history_cut_publications_total",
            "Publications that left history early because the byte cap was reached.",
        ),
        streams_evicted: counter("aether_broker_streams_evicted_total", "Streams dropped early because the cap on streams was reached."),
        idempotency_keys_forgotten: counter(
            "aether_broker_idempotency_keys_forgotten_total",
            "Idempotency keys forgotten early because the cap on keys was reached.",
        ),
    }
});

/// History had to be cut because the byte cap was reached.
struct HistoryCut {
    publications: usize,
    bytes_max: usize,
    is_logged: bool,
}

impl Event for HistoryCut {
    fn emit(self) {
        COUNTERS.history_cut.inc_by(self.publications as u64);
        if self.is_logged {
            log::warn!("all streams together hold {} bytes, the most they may: history is cut early", self.bytes_max);
        }
    }
}

/// Streams had to go because the cap on streams was reached.
struct StreamsEvicted {
    streams: usize,
    streams_max: usize,
    is_logged: bool,
}

impl Event for StreamsEvicted {
    fn emit(self) {
        COUNTERS.streams_evicted.inc_by(self.streams as u64);
        if self.is_logged {
            log::warn!("there are {} streams, the most there may be: each new one takes the place of an old one", self.streams_max);
        }
    }
}

/// Idempotency keys had to go because the cap on keys was reached.
struct IdempotencyKeysForgotten {
    keys: usize,
    keys_max: usize,
    is_logged: bool,
}

impl Event for IdempotencyKeysForgotten {
    fn emit(self) {
        COUNTERS.idempotency_keys_forgotten.inc_by(self.keys as u64);
        if self.is_logged {
            log::warn!("there are {} idempotency keys, the most there may be: a publish repeated late may be published twice", self.keys_max);
        }
    }
}

#[cfg(test)]
mod tests;

//! One way to the store: what is to be written waits here in its order, and one task writes it, many publications at a time.
//!
//! There are two lanes, one for publications that are answered when they are written and one for those that were answered before, so that
//! neither waits behind the other. In each, everything about a channel is carried out in the order in which it came. A batch of which nobody
//! knows whether it was written (the store did not answer) is written again until that is known, before anything else is: writes can be
//! repeated, and offsets that may stand in the store are not given to anything else.

use super::super::memory::{MemoryBroker, Prepared};
use super::super::stream::{Keeping, Version};
use super::super::{BrokerError, Published};
use super::body;
use super::past::Order;
use crate::channel::{ChannelName, Epoch, Publication, StreamPosition};
use crate::clock::{Clock, Millis};
use crate::store::{Store, StoreError, StoredPublication, WallMs};
use crate::telemetry::emit;
use crate::telemetry::history::{HistoryNotWritten, HistoryOverflowed, HistoryWritten};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// Publications, and bytes of them, that are written together. The longer, the longer the next ones wait.
const BATCH_MAX: usize = 1_000;
const BATCH_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// Bytes that something that waits costs beside its publication.
const WAITING_BYTES: usize = 256;

/// Pauses between two attempts to write the same: the first, doubling up to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Channels whose newest publication had no room that are remembered by name. Beyond it none of the lane is trusted after the end.
const LOST_MAX: usize = 10_000;

/// Between two log lines about the same trouble.
const LOG_INTERVAL_MS: Millis = 60_000;

pub type Reply<T> = oneshot::Sender<Result<T, BrokerError>>;

pub const NOT_WRITTEN: BrokerError = BrokerError::Unreachable { reason: "history was not written" };
pub const NO_ROOM: BrokerError = BrokerError::Unreachable { reason: "too much history waits to be written" };

/// Something to be done in the store.
pub enum Job {
    /// To be given its offset, written, delivered, answered.
    Publish { keeping: Keeping, prepared: Prepared, give_up_at: Instant, reply: Reply<Published> },
    /// Delivered already.
    Write { keeping: Keeping, publication: Arc<Publication>, epoch: Epoch, version: Version, key: Option<u128>, at: WallMs },
    /// Forgets the publications of the channel. With a reply the memory forgets them when the store has.
    Remove { reply: Option<Reply<()>> },
}

struct Waiting {
    channel: ChannelName,
    job: Job,
    bytes: usize,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Of what waits and what is being written.
    bytes: usize,
    is_writing: bool,
    is_closed: bool,
    /// Channels whose newest publication is not going to be written.
    lost: HashSet<ChannelName>,
    /// More than that is not going to be written.
    is_unsound: bool,
    logged_at: Option<Millis>,
}

pub struct Lane {
    name: &'static str,
    bytes_max: usize,
    queue: Mutex<Queue>,
    /// Something waits, or the lane is closed.
    work: Notify,
}

/// What a lane works with.
#[derive(Clone)]
pub struct Tools {
    pub memory: Arc<MemoryBroker>,
    pub store: Arc<dyn Store>,
    pub clock: Clock,
    /// Of both lanes together.
    pub order: Arc<Order>,
}

/// What is left of a lane that was closed.
pub struct Remains {
    /// Nothing waits and nothing is unknown.
    pub is_drained: bool,
    pub lost: Vec<ChannelName>,
}

impl Lane {
    pub fn new(name: &'static str, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { name, bytes_max, queue: Mutex::default(), work: Notify::new() })
    }

    /// Puts something behind all else. `Err`: there is no room, or the lane is closed; the job is dropped.
    pub fn push(&self, channel: &ChannelName, job: Job, clock: &Clock) -> Result<(), BrokerError> {
        let weight = match &job {
            Job::Publish { prepared, .. } => prepared.publication.weight(),
            Job::Write { publication, .. } => publication.weight(),
            Job::Remove { .. } => 0,
        };
        let bytes = WAITING_BYTES + channel.len() + weight;
        let is_written_behind = matches!(job, Job::Write { .. });
        let mut queue = self.queue.lock();
        if queue.is_closed || queue.bytes + bytes > self.bytes_max {
            if is_written_behind {
                queue.lose(channel);
            }
            let is_logged = queue.may_log(clock.now());
            drop(queue);
            emit(HistoryOverflowed { lane: self.name, bytes_max: self.bytes_max, is_logged });
            return Err(NO_ROOM);
        }
        if is_written_behind {
            // What comes behind it is written, so that the store knows where the stream stands.
            queue.lost.remove(channel);
        }
        queue.bytes += bytes;
        queue.waiting.push_back(Waiting { channel: channel.clone(), job, bytes });
        drop(queue);
        self.work.notify_one();
        Ok(())
    }

    /// Jobs that wait.
    pub fn waiting(&self) -> usize {
        let queue = self.queue.lock();
        queue.waiting.len() + usize::from(queue.is_writing)
    }

    /// Takes nothing more, and waits until all is written, at most until `deadline`.
    pub async fn close(&self, deadline: Instant) -> Remains {
        self.queue.lock().is_closed = true;
        self.work.notify_one();
        while self.waiting() > 0 && Instant::now() < deadline {
            tokio::time::sleep(PAUSES.0 / 5).await;
        }
        let queue = self.queue.lock();
        let is_drained = queue.waiting.is_empty() && !queue.is_writing && !queue.is_unsound;
        Remains { is_drained, lost: queue.lost.iter().cloned().collect() }
    }

    /// Carries out what waits until the lane is closed and empty. The one task of a lane; where it dies, [`Hand`] says that what it had in
    /// hand is lost, and another one goes on.
    pub async fn work(self: Arc<Self>, tools: Tools) {
        loop {
            let Some(jobs) = self.take() else {
                if self.queue.lock().is_closed {
                    return;
                }
                self.work.notified().await;
                continue;
            };
            let bytes = jobs.iter().map(|waiting| waiting.bytes).sum();
            let mut hand = Hand { lane: &self, bytes, is_done: false };
            self.carry_out(jobs, &tools).await;
            hand.is_done = true;
        }
    }

    /// The jobs that can be done together: publications up to a bound, or one removal.
    fn take(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.queue.lock();
        let mut jobs = Vec::new();
        let mut bytes = 0;
        while let Some(first) = queue.waiting.front() {
            let is_removal = matches!(first.job, Job::Remove { .. });
            if !jobs.is_empty() && (is_removal || jobs.len() >= BATCH_MAX || bytes + first.bytes > BATCH_BYTES_MAX) {
                break;
            }
            bytes += first.bytes;
            jobs.extend(queue.waiting.pop_front());
            if is_removal {
                break;
            }
        }
        if queue.waiting.capacity() > BATCH_MAX && queue.waiting.len() * 4 < queue.waiting.capacity() {
            let places = queue.waiting.len() * 2;
            queue.waiting.shrink_to(places);
        }
        queue.is_writing = !jobs.is_empty();
        (!jobs.is_empty()).then_some(jobs)
    }

    async fn carry_out(&self, jobs: Vec<Waiting>, tools: &Tools) {
        let mut batch = Batch::new(tools);
        for Waiting { channel, job, .. } in jobs {
            match job {
                Job::Remove { reply } => return self.remove(&channel, reply, tools).await,
                Job::Publish { give_up_at, reply, .. } if Instant::now() >= give_up_at => {
                    let _ = reply.send(Err(NOT_WRITTEN));
                }
                Job::Publish { keeping, prepared, reply, .. } => batch.publish(channel, keeping, prepared, reply),
                Job::Write { keeping, publication, epoch, version, key, at } => {
                    let body = body::encode(&publication, version, key, tools.order.next(batch.at));
                    let position = StreamPosition { offset: publication.offset, epoch };
                    batch.stored.push(stored(&channel, &position, body, at, keeping));
                }
            }
        }
        if batch.stored.is_empty() || self.write(&mut batch, tools).await {
            if !batch.stored.is_empty() {
                emit(HistoryWritten { lane: self.name, publications: batch.stored.len() });
            }
            batch.deliver(tools);
        }
    }

    /// Writes until it is known to be written. `false`: it is known not to be, and whoever waits has been told.
    async fn write(&self, batch: &mut Batch<'_>, tools: &Tools) -> bool {
        let mut pause = PAUSES.0;
        loop {
            let error = match tools.store.append_publications(&batch.stored).await {
                Ok(()) => return true,
                Err(error) => error,
            };
            batch.refuse();
            emit(HistoryNotWritten {
                lane: self.name,
                publications: batch.stored.len(),
                is_logged: self.queue.lock().may_log(tools.clock.now()),
                error: &error,
            });
            // It was not even begun, and nobody was told of these offsets.
            if matches!(error, StoreError::Overloaded { .. }) && batch.is_answered_when_written {
                return false;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn remove(&self, channel: &ChannelName, reply: Option<Reply<()>>, tools: &Tools) {
        let mut pause = PAUSES.0;
        loop {
            match (tools.store.forget_publications(channel, false).await, &reply) {
                (Ok(()), Some(_)) => {
                    tools.memory.remove_and(channel, || {});
                    break;
                }
                (Ok(()), None) => return,
                (Err(_), Some(_)) => {
                    if let Some(reply) = reply {
                        let _ = reply.send(Err(NOT_WRITTEN));
                    }
                    return;
                }
                (Err(error), None) => {
                    emit(HistoryNotWritten {
                        lane: self.name,
                        publications: 0,
                        is_logged: self.queue.lock().may_log(tools.clock.now()),
                        error: &error,
                    });
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
        if let Some(reply) = reply {
            let _ = reply.send(Ok(()));
        }
    }
}

impl Queue {
    fn lose(&mut self, channel: &ChannelName) {
        if self.lost.len() < LOST_MAX {
            self.lost.insert(channel.clone());
        } else if !self.lost.contains(channel) {
            self.is_unsound = true;
        }
    }

    fn may_log(&mut self, now: Millis) -> bool {
        let is_due = self.logged_at.is_none_or(|last| now >= last + LOG_INTERVAL_MS);
        if is_due {
            self.logged_at = Some(now);
        }
        is_due
    }
}

/// Jobs that have been taken and are not done. Dropped by a panic, it says that they are lost.
struct Hand<'a> {
    lane: &'a Lane,
    bytes: usize,
    is_done: bool,
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        let mut queue = self.lane.queue.lock();
        queue.bytes -= self.bytes;
        queue.is_writing = false;
        queue.is_unsound |= !self.is_done;
    }
}

/// Publications that are written together.
struct Batch<'a> {
    tools: &'a Tools,
    at: WallMs,
    stored: Vec<StoredPublication>,
    /// What is to be done when they are written.
    after: Vec<After>,
    replies: Vec<Option<Reply<Published>>>,
    is_answered_when_written: bool,
    /// Where the streams stand behind the batch so far.
    standing: HashMap<ChannelName, (StreamPosition, Version)>,
    /// Results of idempotency keys in it.
    keys: HashMap<u128, Published>,
}

enum After {
    Append {
        channel: ChannelName,
        keeping: Keeping,
        position: StreamPosition,
        prepared: Prepared,
    },
    /// It was not to be published: this is the result that it gets, and its key if it is new.
    Answer {
        result: Published,
        key: Option<u128>,
    },
}

impl<'a> Batch<'a> {
    fn new(tools: &'a Tools) -> Self {
        Self {
            tools,
            at: tools.clock.wall_ms(),
            stored: Vec::new(),
            after: Vec::new(),
            replies: Vec::new(),
            is_answered_when_written: false,
            standing: HashMap::new(),
            keys: HashMap::new(),
        }
    }

    /// Settles what becomes of a publication: the rules of the memory broker, for streams that are a little ahead of what it knows.
    fn publish(&mut self, channel: ChannelName, keeping: Keeping, prepared: Prepared, reply: Reply<Published>) {
        self.is_answered_when_written = true;
        self.replies.push(Some(reply));
        if let Some(key) = prepared.key
            && let Some(result) = self.keys.get(&key).cloned().or_else(|| self.tools.memory.result_of(key))
        {
            self.after.push(After::Answer { result, key: None });
            return;
        }
        let (position, version) = self.standing.entry(channel.clone()).or_insert_with(|| self.tools.memory.standing(&channel, keeping));
        if prepared.version.is_old_after(*version) {
            let result = Some(position.clone());
            prepared.key.map(|key| self.keys.insert(key, result.clone()));
            self.after.push(After::Answer { result, key: prepared.key });
            return;
        }
        position.offset += 1;
        if prepared.version.number > 0 {
            *version = prepared.version;
        }
        let position = position.clone();
        let publication = Publication { offset: position.offset, ..prepared.publication.clone() };
        let body = body::encode(&publication, *version, prepared.key, self.tools.order.next(self.at));
        self.stored.push(stored(&channel, &position, body, self.at, keeping));
        prepared.key.map(|key| self.keys.insert(key, Some(position.clone())));
        self.after.push(After::Append { channel, keeping, position, prepared });
    }

    /// Tells whoever waits that it was not written, as far as is known.
    fn refuse(&mut self) {
        for reply in self.replies.iter_mut().filter_map(Option::take) {
            let _ = reply.send(Err(NOT_WRITTEN));
        }
    }

    /// All of it is written.
    fn deliver(self, tools: &Tools) {
        for (after, reply) in self.after.into_iter().zip(self.replies) {
            let result = match after {
                After::Append { channel, keeping, position, prepared } => {
                    tools.memory.append_at(&channel, keeping, &position, prepared);
                    Some(position)
                }
                After::Answer { result, key } => {
                    if let Some(key) = key {
                        tools.memory.remember(key, result.clone());
                    }
                    result
                }
            };
            if let Some(reply) = reply {
                let _ = reply.send(Ok(result));
            }
        }
    }
}

fn stored(channel: &ChannelName, position: &StreamPosition, body: bytes::Bytes, at: WallMs, keeping: Keeping) -> StoredPublication {
    let after = |ms: Millis| at.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
    StoredPublication {
        channel: channel.clone(),
        epoch: position.epoch.as_str().to_string(),
        offset: position.offset,
        body,
        at,
        expires_at: after(keeping.ttl_ms),
        stream_expires_at: after(keeping.meta_ttl_ms.max(keeping.ttl_ms)),
        size: keeping.size,
    }
}

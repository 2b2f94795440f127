//! What a starting process takes over from the store, and the mark by which it knows what it may trust.

use super::super::IDEMPOTENCY_TTL;
use super::super::memory::Restored;
use super::super::stream::Version;
use super::body;
use super::lane::Tools;
use super::past::{Past, order_of};
use crate::channel::{ChannelName, ChannelOptions, ChannelRules, Epoch, HistoryDurability, Publication, StreamPosition};
use crate::clock::Millis;
use crate::store::{StoreError, StoredPublication, StoredStream, WallMs};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The small value that holds the mark.
const MARK: &str = "history.mark";

/// Streams that are listed at a time.
const PAGE: usize = 500;

#[derive(Debug, thiserror::Error)]
#[error("cannot load history from the store")]
pub struct HistoryError {
    source: StoreError,
}

impl From<StoreError> for HistoryError {
    fn from(source: StoreError) -> Self {
        Self { source }
    }
}

/// What was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    pub streams: usize,
    pub publications: usize,
    /// Streams that begin a new epoch, since some of what they delivered may not have been written, or nobody asks for them any more.
    pub forgotten: usize,
    /// Streams that stay as they are in the store, because memory is full or their time is over.
    pub left: usize,
}

/// What a process says of itself to the next one.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Mark {
    /// Everything that was delivered was written.
    is_clean: bool,
    /// Namespaces whose publications are written behind.
    accepted: Vec<String>,
}

pub async fn load(tools: &Tools, rules: &ChannelRules, past: &mut Past) -> Result<Loaded, HistoryError> {
    let before: Option<Mark> = tools.store.value(MARK).await?.and_then(|value| serde_json::from_slice(&value).ok());
    let mut loaded = Loaded::default();
    // What was written behind may have been delivered and never have come here.
    past.is_whole = before.as_ref().is_none_or(|mark| mark.is_clean || mark.accepted.is_empty());
    let mut after = None;
    loop {
        let page = tools.store.streams(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.channel.clone());
        for stream in page {
            match trusted(&before, rules, &stream) {
                None => {
                    tools.store.forget_publications(&stream.channel, true).await?;
                    loaded.forgotten += 1;
                    past.is_whole = false;
                }
                Some(options) => load_stream(tools, options, stream, &mut loaded, past).await?,
            }
        }
    }
    // From here on something may be delivered that is not written yet.
    put(tools, &Mark { is_clean: false, accepted: rules.namespaces_of(HistoryDurability::Accepted) }).await?;
    Ok(loaded)
}

/// The options of the stream, if it may go on in its epoch.
fn trusted<'a>(before: &Option<Mark>, rules: &'a ChannelRules, stream: &StoredStream) -> Option<&'a ChannelOptions> {
    let options = rules.options(&stream.channel).ok().filter(|options| options.has_history())?;
    let namespace = rules.namespace(&stream.channel);
    let was_written_in_time = match before {
        Some(mark) => mark.is_clean || !mark.accepted.iter().any(|accepted| accepted == namespace),
        // Nothing is known of whoever wrote it.
        None => false,
    };
    (options.history_durability != HistoryDurability::Memory && was_written_in_time).then_some(options)
}

async fn load_stream(
    tools: &Tools,
    options: &ChannelOptions,
    stream: StoredStream,
    loaded: &mut Loaded,
    past: &mut Past,
) -> Result<(), HistoryError> {
    let now = tools.clock.wall_ms();
    if stream.forgotten_at <= now || tools.memory.is_full() {
        // Where it is used, it begins a new epoch in memory, and the store takes that over with the first publication.
        loaded.left += 1;
        past.is_whole &= stream.forgotten_at <= now;
        return Ok(());
    }
    let position = StreamPosition { offset: stream.offset, epoch: Epoch::new(&stream.epoch) };
    let publications = tools.store.publications(&stream.channel).await?;
    let (restored, orders) = restored(position, publications, tools, options, now);
    if let Some(last) = orders.last() {
        tools.order.was_given(*last);
    }
    let entries: Vec<(u64, Arc<Publication>)> = orders.into_iter().zip(restored.entries.iter().cloned()).collect();
    past.add_stream(&stream.channel, &restored.position.epoch, &entries);
    loaded.streams += 1;
    loaded.publications += restored.entries.len();
    tools.memory.restore(&stream.channel, restored);
    Ok(())
}

/// The longest run of publications that ends where the stream stands: whatever is missing before it, what follows has no hole. And the numbers of
/// these publications in the order of all channels.
fn restored(
    position: StreamPosition,
    publications: Vec<StoredPublication>,
    tools: &Tools,
    options: &ChannelOptions,
    now: WallMs,
) -> (Restored, Vec<u64>) {
    let keeping = tools.memory.keeping(options);
    let is_newest = |publication: &StoredPublication| publication.offset == position.offset;
    let expires_at = publications.last().filter(|last| is_newest(last)).map_or(now, |last| last.expires_at);
    // The clock may have been set back meanwhile: nothing lasts longer than its namespace says.
    let entries_ms = Millis::try_from(expires_at - now).unwrap_or(0).min(keeping.ttl_ms);
    let (mut entries, mut orders) = (Vec::new(), Vec::new());
    let mut keys = Vec::new();
    let mut version = None;
    let mut wanted = position.offset;
    for stored in publications.into_iter().rev() {
        let is_next = stored.offset == wanted && stored.epoch == position.epoch.as_str() && entries.len() < keeping.size as usize;
        let Some(read) = body::decode(stored.body, stored.offset).filter(|_| is_next && entries_ms > 0) else { break };
        // Written before there were numbers.
        orders.push(if read.order == 0 { order_of(stored.at) } else { read.order });
        let read = read.prepared;
        version.get_or_insert(read.version);
        if let Some(key) = read.key
            && stored.at.saturating_add_unsigned(IDEMPOTENCY_TTL.ms()) > now
        {
            keys.push((key, Some(StreamPosition { offset: stored.offset, epoch: position.epoch.clone() })));
        }
        entries.push(Arc::new(read.publication));
        wanted -= 1;
    }
    entries.reverse();
    orders.reverse();
    keys.reverse();
    (Restored { position, version: version.unwrap_or(Version::default()), entries, entries_ms, keeping, keys }, orders)
}

/// Notes that everything was written.
pub async fn mark_clean(tools: &Tools, rules: &ChannelRules) -> Result<(), StoreError> {
    put(tools, &Mark { is_clean: true, accepted: rules.namespaces_of(HistoryDurability::Accepted) }).await
}

/// Forgets streams whose newest publication was not written.
pub async fn forget(tools: &Tools, channels: &[ChannelName]) -> Result<(), StoreError> {
    for channel in channels {
        tools.store.forget_publications(channel, true).await?;
    }
    Ok(())
}

async fn put(tools: &Tools, mark: &Mark) -> Result<(), StoreError> {
    let value = serde_json::to_vec(mark).expect("a mark is always JSON, and memory does not fail to be written to");
    tools.store.put_value(MARK, Bytes::from(value)).await
}

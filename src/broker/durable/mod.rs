//! History that outlives the process, for the namespaces that ask for it, in front of the broker in memory.
//!
//! Three ways, a namespace each. *memory*: handed through. *accepted*: published in memory at once, written to the store behind that; where the
//! process ends without a stop, its streams begin new epochs, because some of what was delivered may not have been written. *durable*: written
//! first, in groups, then delivered and answered, so that nobody ever saw what a crash can take away; epoch and offsets go on after any end.
//! Reads, presence, joins and leaves are the memory's: what is kept there is what the store has, or less where memory is short.
//!
//! Called by whoever calls a broker, and by `app` at the start and the stop. What it deliberately does not do: wait for the store longer than
//! [`ANSWER_MAX`], hold more than a bounded number of bytes that wait, read the store while anybody is served, and touch the store for namespaces
//! that are in memory only.
//!
//! **Epochs.** An offset is never given twice within an epoch, also after `kill -9`. For *durable* this is so because an offset is told after it
//! was written. For *accepted* the store holds a mark: what the running process writes behind, and whether it stopped in good order. A stream
//! of a namespace that the mark names without a good end is forgotten at the next start, and so begins a new epoch.

mod body;
mod lane;
mod load;
mod past;

#[cfg(test)]
mod tests;

pub use load::{HistoryError, Loaded};
pub use past::{Past, PastPublication, PastStream, order_of};

use super::memory::{Kept, MemoryBroker};
use super::{Answer, Broker, BrokerError, History, HistoryFilter, PresenceStats, Publish, Published};
use crate::channel::{ChannelName, ChannelOptions, ChannelRules, ClientInfo, HistoryDurability, SessionId};
use crate::clock::Clock;
use crate::store::Store;
use crate::telemetry::emit;
use crate::telemetry::watchdog::{RestartCause, Restarted, Watched};
use lane::{Job, Lane, NOT_WRITTEN, Tools};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A publish is answered within it, whatever the store does.
const ANSWER_MAX: Duration = Duration::from_millis(2_800);

/// A publish that has waited this long is not begun any more.
const BEGIN_MAX: Duration = Duration::from_millis(2_000);

pub struct DurableBroker {
    memory: Arc<MemoryBroker>,
    rules: Arc<ChannelRules>,
    tools: Tools,
    durable: Arc<Lane>,
    accepted: Arc<Lane>,
}

impl DurableBroker {
    /// `queue_bytes_max`: what may wait for the store, for each of the two ways.
    pub fn new(memory: Arc<MemoryBroker>, rules: Arc<ChannelRules>, store: Arc<dyn Store>, clock: Clock, queue_bytes_max: usize) -> Arc<Self> {
        let tools = Tools { memory: Arc::clone(&memory), store, clock, order: Arc::default() };
        Arc::new(Self { memory, rules, tools, durable: Lane::new("durable", queue_bytes_max), accepted: Lane::new("accepted", queue_bytes_max) })
    }

    /// Takes over what earlier processes left, notes in `past` what is wanted there, then begins to write. To be called once, before anybody
    /// publishes.
    pub async fn open(&self, past: &mut Past) -> Result<Loaded, HistoryError> {
        let loaded = load::load(&self.tools, &self.rules, past).await?;
        for lane in [&self.durable, &self.accepted] {
            let (lane, tools) = (Arc::clone(lane), self.tools.clone());
            actix_rt::spawn(async move {
                // A task that panicked gives its handle an error; without it nothing would ever be written again.
                while actix_rt::spawn(Arc::clone(&lane).work(tools.clone())).await.is_err() {
                    emit(Restarted { watched: Watched::History, cause: RestartCause::Panicked });
                }
            });
        }
        Ok(loaded)
    }

    /// Writes what waits, for as long as `most`, and notes that all is in order, if it is. To be called when nobody publishes any more.
    pub async fn close(&self, most: Duration) {
        let deadline = Instant::now() + most;
        let (durable, accepted) = tokio::join!(self.durable.close(deadline), self.accepted.close(deadline));
        if !durable.is_drained {
            log::warn!("history: publications that nobody was told of are given up");
        }
        let is_sound = accepted.is_drained && load::forget(&self.tools, &accepted.lost).await.is_ok();
        if !is_sound {
            log::warn!("history: not everything was written; streams of accepted durability begin new epochs at the next start");
            return;
        }
        if let Err(error) = load::mark_clean(&self.tools, &self.rules).await {
            log::warn!(
                "history: the store does not note the good end, so streams of accepted durability begin new epochs at the next start: {error}"
            );
        }
    }

    /// Jobs that wait for the store.
    pub fn waiting(&self) -> usize {
        self.durable.waiting() + self.accepted.waiting()
    }

    fn durability(&self, channel: &ChannelName) -> HistoryDurability {
        self.rules.options(channel).map(|options| options.history_durability).unwrap_or_default()
    }

    fn publish_durable(&self, channel: &ChannelName, options: &ChannelOptions, publish: Publish) -> Answer<Result<Published, BrokerError>> {
        let prepared = self.memory.prepare(channel, options, publish);
        let (reply, answer) = oneshot::channel();
        let job = Job::Publish { keeping: self.memory.keeping(options), prepared, give_up_at: Instant::now() + BEGIN_MAX, reply };
        match self.durable.push(channel, job, &self.tools.clock) {
            Ok(()) => in_time(answer),
            Err(error) => Answer::Ready(Err(error)),
        }
    }

    fn publish_accepted(&self, channel: &ChannelName, options: &ChannelOptions, publish: Publish) -> Published {
        let keeping = self.memory.keeping(options);
        let prepared = self.memory.prepare(channel, options, publish);
        let at = self.tools.clock.wall_ms();
        self.memory.publish_and(channel, keeping, prepared, |Kept { publication, epoch, version, key }| {
            let job = Job::Write { keeping, publication: Arc::clone(publication), epoch: epoch.clone(), version, key, at };
            // Where there is no room it is counted there; the publication is delivered all the same.
            let _ = self.accepted.push(channel, job, &self.tools.clock);
        })
    }
}

/// The answer, or an error if it does not come in time.
fn in_time<T: Send + 'static>(answer: oneshot::Receiver<Result<T, BrokerError>>) -> Answer<Result<T, BrokerError>> {
    Answer::Later(Box::pin(async move {
        match tokio::time::timeout(ANSWER_MAX, answer).await {
            Ok(Ok(result)) => result,
            // The writer died with it in hand, or does not get to it.
            Ok(Err(_)) | Err(_) => Err(NOT_WRITTEN),
        }
    }))
}

impl Broker for DurableBroker {
    fn publish(&self, channel: &ChannelName, options: &ChannelOptions, publish: Publish) -> Answer<Result<Published, BrokerError>> {
        if !options.has_history() || publish.skip_history {
            return self.memory.publish(channel, options, publish);
        }
        match options.history_durability {
            HistoryDurability::Memory => self.memory.publish(channel, options, publish),
            HistoryDurability::Accepted => Answer::Ready(Ok(self.publish_accepted(channel, options, publish))),
            HistoryDurability::Durable => self.publish_durable(channel, options, publish),
        }
    }

    fn join(&self, channel: &ChannelName, info: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        self.memory.join(channel, info)
    }

    fn leave(&self, channel: &ChannelName, info: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        self.memory.leave(channel, info)
    }

    fn history(&self, channel: &ChannelName, options: &ChannelOptions, filter: HistoryFilter) -> Answer<Result<History, BrokerError>> {
        self.memory.history(channel, options, filter)
    }

    fn remove_history(&self, channel: &ChannelName) -> Answer<Result<(), BrokerError>> {
        match self.durability(channel) {
            HistoryDurability::Memory => self.memory.remove_history(channel),
            HistoryDurability::Accepted => {
                let mut pushed = Ok(());
                self.memory.remove_and(channel, || pushed = self.accepted.push(channel, Job::Remove { reply: None }, &self.tools.clock));
                Answer::Ready(pushed)
            }
            HistoryDurability::Durable => {
                let (reply, answer) = oneshot::channel();
                match self.durable.push(channel, Job::Remove { reply: Some(reply) }, &self.tools.clock) {
                    Ok(()) => in_time(answer),
                    Err(error) => Answer::Ready(Err(error)),
                }
            }
        }
    }

    fn add_presence(&self, channel: &ChannelName, info: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>> {
        self.memory.add_presence(channel, info)
    }

    fn remove_presence(&self, channel: &ChannelName, session: SessionId) -> Answer<Result<(), BrokerError>> {
        self.memory.remove_presence(channel, session)
    }

    fn presence(&self, channel: &ChannelName) -> Answer<Result<Vec<Arc<ClientInfo>>, BrokerError>> {
        self.memory.presence(channel)
    }

    fn presence_stats(&self, channel: &ChannelName) -> Answer<Result<PresenceStats, BrokerError>> {
        self.memory.presence_stats(channel)
    }
}

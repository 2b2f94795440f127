//! One topic: what this node knows of one channel that somebody here is subscribed to.
//!
//! The actor is the meeting point: events of the broker come in, and go out once to each worker that has subscribers; each worker's half
//! of the topic ([`shard`]) writes them to its own subscribers. Born with the first worker that attaches; ends a linger after the last one
//! detached, so that a page that reloads finds it still there. Watched by [`registry`], which replaces a topic that died.

pub mod event;
pub mod fanout;
pub mod listing;
pub mod meter;
mod pace;
mod prefixes;
pub mod registry;
pub mod shard;

use crate::broker::{Answer, History, HistoryFilter};
use crate::channel::ChannelName;
use crate::clock::Millis;
use crate::telemetry::emit;
use crate::telemetry::topics::{TopicStarted, TopicStopped};
use actix::prelude::*;
use event::Encoded;
use registry::{InFlight, Topics, WorkerPort};
use std::sync::{Arc, Weak};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct TopicSettings {
    /// Milliseconds that a topic, or a worker's half of it, outlives its last subscriber.
    pub linger_ms: Millis,
    /// Bytes that may wait for one topic, and for one worker.
    pub queue_bytes_max: usize,
    /// Milliseconds that a broker may take to tell a position.
    pub broker_ms_max: Millis,
    /// Patterns that may be subscribed to at once.
    pub patterns_max: usize,
}

/// Time until a worker is told its position again, after the broker could not tell it or the worker was too far behind.
const POSITION_RETRY: Duration = Duration::from_secs(1);

pub struct Topic {
    channel: ChannelName,
    topics: Weak<Topics>,
    in_flight: Arc<InFlight>,
    /// The workers with subscribers, and how to reach them.
    workers: Vec<(usize, Arc<WorkerPort>)>,
    /// One bit for each worker that an event could not be given to.
    lagging: u64,
    /// Runs while no worker is attached.
    retirement: Option<SpawnHandle>,
}

impl Topic {
    fn new(channel: ChannelName, topics: Weak<Topics>, in_flight: Arc<InFlight>) -> Self {
        Self { channel, topics, in_flight, workers: Vec::new(), lagging: 0, retirement: None }
    }
}

impl Actor for Topic {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Bounded in bytes by `in_flight`, before anything is put into the mailbox.
        ctx.set_mailbox_capacity(0);
        emit(TopicStarted { channel: &self.channel });
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        emit(TopicStopped { channel: &self.channel });
    }
}

// === Attach ===
/// A worker has its first subscriber: it is told what happens from now on, and where the stream stands.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Attach {
    pub worker: usize,
}

impl Handler<Attach> for Topic {
    type Result = ();

    fn handle(&mut self, Attach { worker }: Attach, ctx: &mut Self::Context) {
        let Some(topics) = self.topics.upgrade() else { return ctx.stop() };
        let Some(port) = topics.worker(worker) else { return };
        if let Some(retirement) = self.retirement.take() {
            ctx.cancel_future(retirement);
        }
        self.lagging &= !(1 << worker);
        self.workers.retain(|(index, _)| *index != worker);
        self.workers.push((worker, Arc::clone(&port)));
        self.tell_position(&topics, worker, port, ctx);
    }
}

impl Topic {
    /// Joined first, position second: an event that comes between the two reaches the worker, which drops it by its offset.
    fn tell_position(&mut self, topics: &Arc<Topics>, worker: usize, port: Arc<WorkerPort>, ctx: &mut Context<Self>) {
        let Ok(options) = topics.rules().options_of_any(&self.channel) else { return };
        if !options.has_history() {
            return port.attached(fanout::Attached { channel: self.channel.clone(), position: None });
        }
        let filter = HistoryFilter { limit: Some(0), since: None, reverse: false };
        match topics.broker().history(&self.channel, options, filter) {
            Answer::Ready(result) => self.position_told(worker, &port, result.ok(), ctx),
            Answer::Later(future) => {
                let answer = tokio::time::timeout(Duration::from_millis(topics.settings().broker_ms_max), future);
                ctx.wait(answer.into_actor(self).map(move |answer, topic, ctx| {
                    topic.position_told(worker, &port, answer.ok().and_then(Result::ok), ctx);
                }));
            }
        }
    }

    fn position_told(&mut self, worker: usize, port: &WorkerPort, history: Option<History>, ctx: &mut Context<Self>) {
        match history {
            Some(history) => port.attached(fanout::Attached { channel: self.channel.clone(), position: Some(history.position) }),
            // Its subscribers wait; the broker's own events say what is wrong with it.
            None => {
                ctx.notify_later(TellPosition { worker }, POSITION_RETRY);
            }
        }
    }
}

// === TellPosition ===
/// A worker has to be told again where the stream stands, unless it has left meanwhile.
#[derive(Message)]
#[rtype(result = "()")]
struct TellPosition {
    worker: usize,
}

impl Handler<TellPosition> for Topic {
    type Result = ();

    fn handle(&mut self, TellPosition { worker }: TellPosition, ctx: &mut Self::Context) {
        if self.workers.iter().any(|(index, _)| *index == worker) {
            self.handle(Attach { worker }, ctx);
        }
    }
}

// === Detach ===
/// A worker has no subscriber any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Detach {
    pub worker: usize,
}

impl Handler<Detach> for Topic {
    type Result = ();

    fn handle(&mut self, Detach { worker }: Detach, ctx: &mut Self::Context) {
        self.workers.retain(|(index, _)| *index != worker);
        if self.workers.is_empty() {
            self.retire_later(ctx);
        }
    }
}

impl Topic {
    fn retire_later(&mut self, ctx: &mut Context<Self>) {
        let linger = self.topics.upgrade().map_or(0, |topics| topics.settings().linger_ms);
        self.retirement = Some(ctx.run_later(Duration::from_millis(linger), |topic, ctx| {
            topic.retirement = None;
            if topic.workers.is_empty() && topic.topics.upgrade().is_none_or(|topics| topics.retire(&topic.channel)) {
                ctx.stop();
            }
        }));
    }
}

// === Happened ===
/// Something happened in the channel.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Happened(pub Arc<Encoded>);

impl Handler<Happened> for Topic {
    type Result = ();

    fn handle(&mut self, Happened(event): Happened, ctx: &mut Self::Context) {
        self.in_flight.sub(event.weight());
        let Some(topics) = self.topics.upgrade() else { return ctx.stop() };
        for (worker, port) in &self.workers {
            if !port.deliver(&event, topics.settings().queue_bytes_max) && self.lagging & (1 << worker) == 0 {
                // Told its position again once it had time to breathe, it fills its gap from history.
                self.lagging |= 1 << worker;
                ctx.notify_later(TellPosition { worker: *worker }, POSITION_RETRY);
            }
        }
    }
}

// === Panic ===
/// Makes the topic panic, so that tests can see it replaced.
#[cfg(feature = "test-hooks")]
#[derive(Message)]
#[rtype(result = "()")]
pub struct Panic;

#[cfg(feature = "test-hooks")]
impl Handler<Panic> for Topic {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("a test asked the topic of {} to panic", self.channel);
    }
}

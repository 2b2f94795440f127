//! ACTOR, one a process: the supervisor of all feeds. Knows which run, starts them, and starts them anew.
//!
//! Born at start-up, ends with `Stop`. Watched by the watchdog, which pings it and, when it is gone, makes a new one from the same
//! [`Upstream`]: positions and figures live there and outlast it. Its connections end with it.

use super::backoff::Backoff;
use super::connection::{self, Connection};
use super::events::{ConnectionDied, FeedsCounted};
use super::feed::Feed;
use super::fetch::ClientKind;
use super::machine::{Reason, State};
use super::settings::PoolSettings;
use crate::broker::Publisher;
use crate::clock::{Clock, Millis};
use crate::telemetry::emit;
use actix::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use reqwest::Client;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Watchdog, admin console, tests: few, and each waits for its answer.
const MAILBOX_CAPACITY: usize = 64;

/// Between two looks at the connections.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

/// Waits before a connection that died of a panic is started anew.
const RESTART_MIN: Duration = Duration::from_millis(200);
const RESTART_INITIAL: Duration = Duration::from_secs(1);
const RESTART_MAX: Duration = Duration::from_secs(60);
/// A connection that lived this long before it died starts the waits at the beginning again.
const RESTART_STABLE_AFTER_MS: Millis = 60_000;

/// Time that all connections together get to end when the pool stops. Each needs one turn of the loop.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("{count} feeds are configured, at most {max} may be")]
    TooManyFeeds { count: usize, max: usize },
    #[error("two feeds are called {name}")]
    DuplicateName { name: String },
    #[error("cannot set up the HTTP client")]
    Client { source: reqwest::Error },
}

/// All feeds, checked and ready: what a pool is made from, as often as it must be made.
#[derive(Clone, Debug)]
pub struct Upstream {
    feeds: Arc<[Arc<Feed>]>,
    feeds_max: usize,
}

impl Upstream {
    pub fn new(settings: PoolSettings) -> Result<Self, UpstreamError> {
        let PoolSettings { feeds_max, feeds } = settings;
        if feeds.len() > feeds_max {
            return Err(UpstreamError::TooManyFeeds { count: feeds.len(), max: feeds_max });
        }
        let mut names = HashSet::new();
        let mut clients: Vec<(ClientKind, Client)> = Vec::new();
        let mut ready = Vec::with_capacity(feeds.len());
        for feed in feeds {
            if !names.insert(Arc::clone(&feed.name)) {
                return Err(UpstreamError::DuplicateName { name: feed.name.to_string() });
            }
            let kind = ClientKind::of(&feed);
            let client = match clients.iter().find(|(known, _)| *known == kind) {
                Some((_, client)) => client.clone(),
                None => {
                    let client = kind.build().map_err(|source| UpstreamError::Client { source })?;
                    clients.push((kind, client.clone()));
                    client
                }
            };
            ready.push(Arc::new(Feed::new(feed, client)));
        }
        Ok(Self { feeds: ready.into(), feeds_max })
    }

    /// The state of every feed, without asking the actor.
    pub fn report(&self, now: Millis) -> PoolReport {
        PoolReport { feeds_max: self.feeds_max, feeds: self.feeds.iter().map(|feed| FeedReport::new(feed, now)).collect() }
    }
}

pub struct UpstreamPool {
    upstream: Upstream,
    publisher: Publisher,
    clock: Clock,
    /// Dropped with the pool, also by a panic; every connection holds the other end and goes when this goes.
    lease: watch::Sender<()>,
    slots: Vec<Slot>,
    dice: SmallRng,
}

/// One feed's place in the pool.
struct Slot {
    feed: Arc<Feed>,
    connection: Option<Addr<Connection>>,
    started_at: Millis,
    restart: Backoff,
    restart_at: Millis,
}

impl UpstreamPool {
    pub fn new(upstream: Upstream, publisher: Publisher, clock: Clock) -> Self {
        let restart = Backoff::full_jitter(RESTART_MIN, RESTART_INITIAL, RESTART_MAX);
        let slot = |feed: &Arc<Feed>| Slot { feed: Arc::clone(feed), connection: None, started_at: 0, restart: restart.clone(), restart_at: 0 };
        let slots = upstream.feeds.iter().map(slot).collect();
        Self { upstream, publisher, clock, lease: watch::Sender::new(()), slots, dice: SmallRng::from_os_rng() }
    }

    /// Finds connections that died, and starts those that are due.
    fn sweep(&mut self) {
        let now = self.clock.now();
        for slot in &mut self.slots {
            if slot.connection.as_ref().is_some_and(|connection| !connection.connected()) {
                slot.connection = None;
                if now.saturating_sub(slot.started_at) >= RESTART_STABLE_AFTER_MS {
                    slot.restart.reset();
                }
                let restart_in = slot.restart.next(&mut self.dice);
                slot.restart_at = now + restart_in.as_millis() as Millis;
                // In the ledger this is a failure like any other: a state, a reason, a next try.
                slot.feed.take_over().write(|ledger| {
                    ledger.state = State::Backoff;
                    ledger.since = now;
                    ledger.reason = Some(Reason::Panic);
                    ledger.detail = "".into();
                    ledger.next_try_at = Some(slot.restart_at);
                    ledger.panics += 1;
                    ledger.errors += 1;
                    ledger.waits_for_broker = false;
                });
                emit(ConnectionDied { feed: &slot.feed.settings.name, restart_in });
            }
            if slot.connection.is_none() && slot.restart_at <= now {
                let connection = Connection::new(slot.feed.take_over(), self.publisher.clone(), self.clock.clone(), self.lease.subscribe());
                slot.connection = Some(connection.start());
                slot.started_at = now;
            }
        }
        let states: Vec<State> = self.slots.iter().map(|slot| slot.feed.ledger().state).collect();
        emit(FeedsCounted(State::ALL.map(|state| (state, states.iter().filter(|&&of_feed| of_feed == state).count()))));
    }
}

impl Actor for UpstreamPool {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        self.sweep();
        ctx.run_interval(SWEEP_INTERVAL, |pool, _| pool.sweep());
    }
}

// === Ping ===
/// Answered at once by a pool that is alive.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ping;

impl Handler<Ping> for UpstreamPool {
    type Result = ();
    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

// === Observe ===
/// What every feed is doing.
#[derive(Message)]
#[rtype(result = "PoolReport")]
pub struct Observe;

#[derive(Clone, Debug)]
pub struct PoolReport {
    pub feeds_max: usize,
    /// In the order of the configuration.
    pub feeds: Vec<FeedReport>,
}

impl PoolReport {
    pub fn feed(&self, name: &str) -> Option<&FeedReport> {
        self.feeds.iter().find(|feed| &*feed.name == name)
    }
}

#[derive(Clone, Debug)]
pub struct FeedReport {
    pub name: Arc<str>,
    pub state: State,
    /// How long it is in this state.
    pub since: Duration,
    /// Why the last connection or attempt ended: in one word, and for people.
    pub reason: Option<Reason>,
    pub detail: String,
    pub last_event_id: Arc<str>,
    pub events: u64,
    /// Of these, events that led to no channel.
    pub dropped: u64,
    pub bytes: u64,
    pub errors: u64,
    pub reconnects: u64,
    pub panics: u64,
    /// `None`: nothing was ever read.
    pub silent_for: Option<Duration>,
    /// `None`: it is not waiting.
    pub next_try_in: Option<Duration>,
    pub waits_for_broker: bool,
}

impl FeedReport {
    fn new(feed: &Feed, now: Millis) -> Self {
        let ledger = feed.ledger();
        Self {
            name: Arc::clone(&feed.settings.name),
            state: ledger.state,
            since: Duration::from_millis(now.saturating_sub(ledger.since)),
            reason: ledger.reason,
            detail: ledger.detail.into_owned(),
            last_event_id: ledger.last_event_id,
            events: ledger.events,
            dropped: ledger.dropped,
            bytes: ledger.bytes,
            errors: ledger.errors,
            reconnects: ledger.reconnects,
            panics: ledger.panics,
            silent_for: ledger.last_byte_at.map(|at| Duration::from_millis(now.saturating_sub(at))),
            next_try_in: ledger.next_try_at.map(|at| Duration::from_millis(at.saturating_sub(now))),
            waits_for_broker: ledger.waits_for_broker,
        }
    }
}

impl Handler<Observe> for UpstreamPool {
    type Result = MessageResult<Observe>;
    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.upstream.report(self.clock.now()))
    }
}

// === Stop ===
/// Ends every connection, then the pool. Answered when the connections are gone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;

impl Handler<Stop> for UpstreamPool {
    type Result = ResponseActFuture<Self, ()>;
    fn handle(&mut self, _: Stop, _: &mut Self::Context) -> Self::Result {
        let connections: Vec<Addr<Connection>> = self.slots.drain(..).filter_map(|slot| slot.connection).collect();
        let all_gone = async move {
            // One that is dead already refuses the message, which is as good.
            let stops = connections.iter().map(|connection| connection.send(connection::Stop));
            futures_util::future::join_all(stops).await;
        };
        let in_time = async move {
            if tokio::time::timeout(STOP_TIMEOUT, all_gone).await.is_err() {
                log::warn!("not every feed let go within {STOP_TIMEOUT:?}");
            }
        };
        Box::pin(in_time.into_actor(self).map(|_, _, ctx| ctx.stop()))
    }
}

// === Panic ===
/// A fault on purpose: in the connection of the named feed, or in the pool itself.
#[cfg(any(test, feature = "test-hooks"))]
#[derive(Message)]
#[rtype(result = "()")]
pub struct Panic {
    pub feed: Option<String>,
}

#[cfg(any(test, feature = "test-hooks"))]
impl Handler<Panic> for UpstreamPool {
    type Result = ();
    fn handle(&mut self, msg: Panic, _: &mut Self::Context) {
        let Some(name) = msg.feed else { panic!("asked to, by a test") };
        let slot = self.slots.iter().find(|slot| *slot.feed.settings.name == *name);
        if let Some(connection) = slot.and_then(|slot| slot.connection.as_ref()) {
            connection.do_send(connection::Panic);
        }
    }
}

//! ACTOR, one a feed: holds its one connection to it, however many subscribers there are.
//!
//! Born when the pool starts the feed, lives until the pool stops it or is gone (its lease then ends), because between connections it
//! waits here. Watched by the pool, which starts a new one when the address is dead. What to do is decided by [`Machine`]; this file
//! carries it out: one future at a time, either an attempt, a read, or a wait.

use super::events::{FeedMoved, LogBudget, PortionRead, PositionDropped};
use super::feed::Tenure;
use super::fetch::{self, Opened};
use super::machine::{Edge, Effect, Ending, Input, Machine, Pace, Reason, State, Step};
use super::reader::{Reader, Tally, Turn};
use crate::broker::Publisher;
use crate::clock::{Clock, Millis};
use crate::telemetry::emit;
use actix::prelude::*;
use reqwest::Url;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Only the pool writes here, and only to stop it.
const MAILBOX_CAPACITY: usize = 4;

/// How often in a row what follows one id may break a limit, until it is not asked for any more.
const LIMIT_STRIKES_MAX: u32 = 3;

pub struct Connection {
    tenure: Tenure,
    publisher: Publisher,
    clock: Clock,
    /// Ends when the pool is gone, so that no connection outlives it unwatched.
    lease: watch::Receiver<()>,
    machine: Machine,
    /// The feed's URL, or where it has permanently moved to.
    target: Url,
    strikes: Strikes,
    log_budget: LogBudget,
    has_tried: bool,
    /// Bytes read since the last change of state.
    bytes: u64,
}

impl Connection {
    pub fn new(tenure: Tenure, publisher: Publisher, clock: Clock, lease: watch::Receiver<()>) -> Self {
        let settings = &tenure.feed().settings;
        let now = clock.now();
        let machine = Machine::new(&settings.limits, rand::random(), now);
        let target = settings.url.clone();
        let log_budget = LogBudget::new(now);
        Self { tenure, publisher, clock, lease, machine, target, strikes: Strikes::default(), log_budget, has_tried: false, bytes: 0 }
    }
}

impl Actor for Connection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        let mut lease = self.lease.clone();
        let pool_gone = async move { while lease.changed().await.is_ok() {} };
        ctx.spawn(pool_gone.into_actor(self).map(|_, _, ctx| ctx.stop()));
        self.advance(Input::Start, ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        let now = self.clock.now();
        if let Some(mut edge) = self.machine.on(Input::Stop, now).edge {
            if std::thread::panicking() {
                edge.reason = Some(Reason::Panic);
            }
            self.record(&edge, None, now);
        }
    }
}

// === Stop ===
/// Lets go of the feed: reads and waits end at once.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;

impl Handler<Stop> for Connection {
    type Result = ();
    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

// === Panic ===
/// A fault on purpose, to see that the pool heals it.
#[cfg(any(test, feature = "test-hooks"))]
#[derive(Message)]
#[rtype(result = "()")]
pub struct Panic;

#[cfg(any(test, feature = "test-hooks"))]
impl Handler<Panic> for Connection {
    type Result = ();
    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("asked to, by a test");
    }
}

// === the way of a connection ===
impl Connection {
    fn advance(&mut self, input: Input, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        let Step { effect, edge } = self.machine.on(input, now);
        if let Some(edge) = edge {
            let wait = if let Effect::Wait(wait) = effect { Some(wait) } else { None };
            self.record(&edge, wait, now);
        }
        match effect {
            Effect::Nothing => {}
            Effect::Connect => self.connect(ctx),
            Effect::Wait(wait) => {
                ctx.run_later(wait, |connection, ctx| connection.advance(Input::WaitOver, ctx));
            }
        }
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        let is_again = std::mem::replace(&mut self.has_tried, true);
        self.tenure.write(|ledger| ledger.reconnects += u64::from(is_again));
        let (feed, target) = (Arc::clone(self.tenure.feed()), self.target.clone());
        let attempt = async move {
            let last_event_id = feed.ledger().last_event_id;
            fetch::open(&feed.settings, &feed.client, target, &last_event_id).await
        };
        ctx.spawn(attempt.into_actor(self).map(|outcome, connection, ctx| connection.on_answer(outcome, ctx)));
    }

    fn on_answer(&mut self, outcome: Result<Opened, Ending>, ctx: &mut Context<Self>) {
        match outcome {
            Ok(Opened { body, moved_to }) => {
                if let Some(target) = moved_to {
                    self.target = target;
                }
                self.advance(Input::Opened, ctx);
                let reader = Reader::new(body, self.tenure.clone(), self.publisher.clone());
                self.read_on(reader, ctx);
            }
            Err(ending) => {
                // Moved *permanently* lasts as long as it works: what the operator wrote is the better guess after that.
                self.target = self.tenure.feed().settings.url.clone();
                self.advance(Input::Ended(ending), ctx);
            }
        }
    }

    fn read_on(&mut self, reader: Reader, ctx: &mut Context<Self>) {
        let idle_timeout = self.tenure.feed().settings.limits.idle_timeout;
        let quiet = idle_timeout / 2;
        let patience = if self.machine.state() == State::Stalled { idle_timeout - quiet } else { quiet };
        let turn = reader.turn(patience);
        ctx.spawn(turn.into_actor(self).map(|(turn, tally, reader), connection, ctx| connection.on_turn(turn, tally, reader, ctx)));
    }

    fn on_turn(&mut self, turn: Turn, tally: Tally, reader: Reader, ctx: &mut Context<Self>) {
        self.count(&tally);
        if let Some(retry) = tally.retry {
            self.machine.advise(retry);
        }
        if !self.tenure.is_current() {
            ctx.stop();
            return;
        }
        match turn {
            Turn::Read => {
                self.advance(Input::Heard, ctx);
                self.read_on(reader, ctx);
            }
            Turn::Quiet if self.machine.state() == State::Stalled => {
                let detail = format!("no byte for {:?}", self.tenure.feed().settings.limits.idle_timeout);
                self.advance(Input::Ended(Ending::new(Reason::Idle, Pace::Retry, detail)), ctx);
            }
            Turn::Quiet => {
                self.advance(Input::Quiet, ctx);
                self.read_on(reader, ctx);
            }
            Turn::Ended(mut ending) => {
                if ending.reason == Reason::Limit {
                    self.strike(&mut ending);
                }
                self.advance(Input::Ended(ending), ctx);
            }
        }
    }

    /// Asking for the same impossible event for ever would keep a feed silent for ever.
    fn strike(&mut self, ending: &mut Ending) {
        let feed = Arc::clone(self.tenure.feed());
        let last_event_id = feed.ledger().last_event_id;
        match self.strikes.count(&last_event_id) {
            Sentence::TryAgain => {}
            Sentence::ForgetPosition => {
                self.tenure.write(|ledger| ledger.last_event_id = Arc::from(""));
                emit(PositionDropped { feed: &feed.settings.name, last_event_id: &last_event_id });
            }
            Sentence::Park => ending.pace = Pace::Park,
        }
    }

    fn count(&mut self, tally: &Tally) {
        let now = self.clock.now();
        let Tally { bytes, events, dropped, .. } = *tally;
        self.bytes += bytes;
        if bytes > 0 {
            self.tenure.write(|ledger| {
                ledger.bytes += bytes;
                ledger.events += events;
                ledger.dropped += dropped;
                ledger.last_byte_at = Some(now);
            });
        }
        let dropped_because = tally.dropped_because.as_deref();
        let dropped_line = dropped_because.and_then(|why| Some((why, self.log_budget.take(now)?)));
        emit(PortionRead { feed: &self.tenure.feed().settings.name, bytes, events, dropped, dropped_line });
    }

    fn record(&mut self, edge: &Edge, wait: Option<Duration>, now: Millis) {
        self.tenure.write(|ledger| {
            ledger.state = edge.to;
            ledger.since = now;
            ledger.next_try_at = wait.map(|wait| now.saturating_add(wait.as_millis() as Millis));
            if let Some(reason) = edge.reason {
                ledger.reason = Some(reason);
                ledger.detail = edge.detail.clone();
            }
            ledger.errors += u64::from(matches!(edge.to, State::Backoff | State::Parked) && edge.reason != Some(Reason::Eof));
        });
        // The beginning of an attempt is a matter for debugging; its end is what the budget is for.
        let line = if matches!(edge.to, State::Connecting | State::Closed) { Some(0) } else { self.log_budget.take(now) };
        let feed = self.tenure.feed();
        let bytes = std::mem::take(&mut self.bytes);
        emit(FeedMoved { feed: &feed.settings.name, edge, wait, bytes, last_event_id: &feed.ledger().last_event_id, line });
    }
}

/// Counts limits broken in a row behind the same id.
#[derive(Debug, Default)]
struct Strikes {
    count: u32,
    behind: Arc<str>,
}

#[derive(Debug, PartialEq, Eq)]
enum Sentence {
    TryAgain,
    ForgetPosition,
    Park,
}

impl Strikes {
    fn count(&mut self, last_event_id: &Arc<str>) -> Sentence {
        if self.behind != *last_event_id {
            (self.count, self.behind) = (0, Arc::clone(last_event_id));
        }
        self.count = self.count.saturating_add(1);
        match self.count {
            ..LIMIT_STRIKES_MAX => Sentence::TryAgain,
            _ if last_event_id.is_empty() => Sentence::Park,
            _ => Sentence::ForgetPosition,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_given_up_at_the_third_time() {
        use Sentence::*;
        let id = |text: &str| Arc::from(text);
        let mut strikes = Strikes::default();
        assert_eq!([1, 2, 3].map(|_| strikes.count(&id("7"))), [TryAgain, TryAgain, ForgetPosition]);
        assert_eq!([1, 2, 3, 4].map(|_| strikes.count(&id(""))), [TryAgain, TryAgain, Park, Park]);
        assert_eq!(strikes.count(&id("8")), TryAgain, "an event in between starts the count anew");
    }
}

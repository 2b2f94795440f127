//! ACTOR, one a feed: holds its one connection to it, however many subscribers there are; two for a moment while it is rotated.
//!
//! Born when the pool starts the feed, lives until the pool stops it or is gone (its lease then ends), because between connections it
//! waits here. Watched by the pool, which starts a new one when the address is dead. What to do is decided by [`Machine`]; this file
//! carries it out: one future at a time (leave to connect, an attempt, a read, or a wait), and a second one for a successor.
//!
//! Rotation is make before break. The successor is asked for from where the feed stands, both are read, and what both bring is published
//! once. As soon as one event has come on both, the older one brings nothing more that the younger would not, and ends.

use super::events::{FeedMoved, LogBudget, PortionRead, PositionDropped, RotationEnded};
use super::feed::{Move, Tenure};
use super::fetch::{self, Opened};
use super::figures::Sums;
use super::gap::{Cause as GapCause, Gap};
use super::gate::{Gate, Outcome, Place};
use super::health::Cause;
use super::machine::{Edge, Effect, Ending, Input, Machine, Pace, Reason, State, Step};
use super::outlet::{Outlet, Tally};
use super::reader::{Lane, Reader, Turn};
use super::sieve::Side;
use crate::broker::Publisher;
use crate::clock::{Clock, Millis};
use crate::telemetry::emit;
use actix::prelude::*;
use reqwest::Url;
use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::watch;

/// Only the pool writes here: to stop it, to have it rotated, to judge it.
const MAILBOX_CAPACITY: usize = 16;

/// How often in a row what follows one id may break a limit, until it is not asked for any more.
const LIMIT_STRIKES_MAX: u32 = 3;

pub struct Connection {
    tenure: Tenure,
    outlet: Rc<Outlet>,
    gate: Arc<Gate>,
    clock: Clock,
    /// Ends when the pool is gone, so that no connection outlives it unwatched.
    lease: watch::Receiver<()>,
    machine: Machine,
    /// The feed's URL, or where it has permanently moved to.
    target: Url,
    /// The right to the connection that is being made or read.
    place: Option<Place>,
    /// The connection that is read in ordinary times.
    first: Option<Lane>,
    successor: Option<Successor>,
    /// Numbers successors, so that a deadline that comes late finds its own or none.
    successors: u64,
    strikes: Strikes,
    /// To be told when the next connection stands.
    gap: Option<Gap>,
    log_budget: LogBudget,
    has_tried: bool,
    /// The timer of the wait for the next attempt.
    wait: Option<SpawnHandle>,
    /// Bytes read since the last change of state.
    bytes: u64,
}

/// The second connection of a rotation.
struct Successor {
    number: u64,
    cause: Cause,
    begun_at: Millis,
    /// Held only to be dropped.
    _place: Place,
    step: SuccessorStep,
}

enum SuccessorStep {
    Asking(SpawnHandle),
    Reading {
        lane: Lane,
        opened_at: Millis,
        /// Events since both are open: of the first, and of this one.
        of_first: u64,
        of_second: u64,
    },
}

/// Tells feeds apart for the gate, by a number that says nothing.
fn number_of(feed: &str) -> u64 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    HASHER.hash_one(feed)
}

impl Connection {
    pub fn new(tenure: Tenure, publisher: Publisher, gate: Arc<Gate>, clock: Clock, lease: watch::Receiver<()>) -> Self {
        let settings = &tenure.feed().settings;
        let now = clock.now();
        let machine = Machine::new(&settings.limits, rand::random(), now);
        let target = settings.url.clone();
        let outlet = Rc::new(Outlet::new(tenure.clone(), publisher, clock.clone()));
        Self {
            tenure,
            outlet,
            gate,
            clock,
            lease,
            machine,
            target,
            place: None,
            first: None,
            successor: None,
            successors: 0,
            strikes: Strikes::default(),
            gap: None,
            log_budget: LogBudget::new(now),
            has_tried: false,
            wait: None,
            bytes: 0,
        }
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

// === Rotate ===
/// Replaces a connection that works by a younger one. Left alone where there is none, where one is being replaced, or where too many are.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct Rotate(pub Cause);

impl Handler<Rotate> for Connection {
    type Result = bool;
    fn handle(&mut self, Rotate(cause): Rotate, ctx: &mut Self::Context) -> bool {
        let is_steady = self.machine.state().is_connected() && self.successor.is_none();
        let feed = self.tenure.feed();
        let Some(place) = is_steady.then(|| self.gate.rotate(&feed.host, number_of(&feed.settings.name))).flatten() else { return false };
        self.make_successor(cause, place, ctx);
        true
    }
}

// === Reconnect ===
/// Connects anew from where the feed is. One that waits tries now; one that is about to connect already is left alone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reconnect;

impl Handler<Reconnect> for Connection {
    type Result = ();
    fn handle(&mut self, _: Reconnect, ctx: &mut Self::Context) {
        if self.machine.state().is_waiting() {
            if let Some(wait) = self.wait.take() {
                ctx.cancel_future(wait);
            }
            self.advance(Input::WaitOver, ctx);
        } else if let Some(first) = &self.first {
            // A successor that is being asked for would find nobody to succeed.
            first.retire();
        }
    }
}

// === Judge ===
/// How the pool judges the connection.
#[derive(Message)]
#[rtype(result = "()")]
pub enum Judge {
    Degraded { flaps: bool, detail: Cow<'static, str> },
    Recovered,
}

impl Handler<Judge> for Connection {
    type Result = ();
    fn handle(&mut self, msg: Judge, ctx: &mut Self::Context) {
        let input = match msg {
            Judge::Degraded { flaps, detail } => Input::Degraded { flaps, detail },
            Judge::Recovered => Input::Recovered,
        };
        self.advance(input, ctx);
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
            Effect::Ask => self.ask(ctx),
            Effect::Connect => self.connect(ctx),
            Effect::Wait(wait) => {
                self.place = None;
                self.wait = Some(ctx.run_later(wait, |connection, ctx| connection.advance(Input::WaitOver, ctx)));
            }
        }
    }

    fn ask(&mut self, ctx: &mut Context<Self>) {
        let feed = self.tenure.feed();
        let leave = Arc::clone(&self.gate).enter(Arc::clone(&feed.host), number_of(&feed.settings.name), feed.settings.priority);
        ctx.spawn(leave.into_actor(self).map(|place, connection, ctx| {
            connection.place = Some(place);
            connection.advance(Input::Admitted, ctx);
        }));
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        let is_again = std::mem::replace(&mut self.has_tried, true);
        self.tenure.write(|ledger| {
            ledger.reconnects += u64::from(is_again);
            ledger.attempts += 1;
        });
        let attempt = self.attempt();
        ctx.spawn(attempt.into_actor(self).map(|(outcome, asked), connection, ctx| connection.on_answer(outcome, asked, ctx)));
    }

    /// One request from where the feed stands; with its outcome, where that was.
    fn attempt(&self) -> impl Future<Output = (Result<Opened, Ending>, Arc<str>)> + use<> {
        let (feed, target) = (Arc::clone(self.tenure.feed()), self.target.clone());
        async move {
            let last_event_id = feed.last_event_id();
            (fetch::open(&feed.settings, &feed.client, target, &last_event_id).await, last_event_id)
        }
    }

    fn on_answer(&mut self, outcome: Result<Opened, Ending>, asked: Arc<str>, ctx: &mut Context<Self>) {
        match outcome {
            Ok(Opened { body, moved_to }) => {
                if let Some(target) = moved_to {
                    self.target = target;
                }
                self.learned(Outcome::Opened);
                self.advance(Input::Opened, ctx);
                let now = self.clock.now();
                self.tenure.write(|ledger| ledger.figures.opened(now));
                // A position that was given up is why this one does not resume: the more precise of the two.
                let not_resumed = self.outlet.reconnected(&asked);
                let gap = self.gap.take().or(not_resumed);
                let lane = Lane::new(Side::First);
                self.first = Some(lane.clone());
                self.read(Reader::new(body, Rc::clone(&self.outlet), lane, asked, gap), ctx);
            }
            Err(ending) => {
                // Moved *permanently* lasts as long as it works: what the operator wrote is the better guess after that.
                self.target = self.tenure.feed().settings.url.clone();
                self.tenure.write(|ledger| ledger.failed_attempts += 1);
                self.learned(outcome_of(&ending));
                self.advance(Input::Ended(ending), ctx);
            }
        }
    }

    fn learned(&mut self, outcome: Outcome) {
        if let Some(place) = &mut self.place {
            place.learned(outcome);
        }
    }

    fn read(&mut self, reader: Reader, ctx: &mut Context<Self>) {
        let lane = reader.lane().clone();
        lane.wait_for(self.patience(lane.side()));
        let turns = reader.turns().into_actor(self).map(move |(turn, tally), connection, ctx| {
            connection.count(&tally);
            if let Some(retry) = tally.retry {
                connection.machine.advise(retry);
            }
            let goes_on = if !connection.tenure.is_current() {
                ctx.stop();
                false
            } else if lane.side() == Side::First {
                connection.on_turn(turn, &tally, ctx)
            } else {
                connection.on_successor_turn(turn, &tally, ctx)
            };
            if goes_on {
                lane.wait_for(connection.patience(lane.side()));
            } else {
                lane.close();
            }
        });
        ctx.spawn(turns.finish());
    }

    /// How long a connection may be silent until something is to be decided.
    fn patience(&self, side: Side) -> Duration {
        let idle_timeout = self.tenure.feed().settings.limits.idle_timeout;
        let quiet = idle_timeout / 2;
        match (side, self.machine.state()) {
            (Side::First, State::Stalled) => idle_timeout - quiet,
            (Side::First, State::Draining) | (Side::Second, _) => idle_timeout,
            (Side::First, _) => quiet,
        }
    }

    /// Whether it is read on.
    fn on_turn(&mut self, turn: Turn, tally: &Tally, ctx: &mut Context<Self>) -> bool {
        if let Some(Successor { step: SuccessorStep::Reading { of_first, .. }, .. }) = &mut self.successor {
            *of_first += tally.events;
        }
        let detail = || format!("no byte for {:?}", self.tenure.feed().settings.limits.idle_timeout);
        match turn {
            Turn::Retired => self.take_over(ctx),
            Turn::Read if tally.met_second => self.take_over(ctx),
            Turn::Read => {
                self.advance(Input::Heard, ctx);
                return true;
            }
            Turn::Quiet if matches!(self.machine.state(), State::Stalled | State::Draining) => {
                let ending = Ending::new(Reason::Idle, Pace::Retry, detail());
                self.on_end(ending, ctx);
            }
            Turn::Quiet => {
                self.advance(Input::Quiet, ctx);
                return true;
            }
            Turn::Ended(ending) => self.on_end(ending, ctx),
        }
        false
    }

    /// The first connection is no more.
    fn on_end(&mut self, mut ending: Ending, ctx: &mut Context<Self>) {
        if matches!(self.successor, Some(Successor { step: SuccessorStep::Reading { .. }, .. })) {
            // The other one is there already: nothing is missed.
            self.take_over(ctx);
            return;
        }
        self.drop_successor("the connection ended before", ctx);
        if ending.reason == Reason::Limit {
            self.strike(&mut ending);
        }
        self.first = None;
        self.advance(Input::Ended(ending), ctx);
    }

    /// Asking for the same impossible event for ever would keep a feed silent for ever.
    fn strike(&mut self, ending: &mut Ending) {
        let feed = Arc::clone(self.tenure.feed());
        let last_event_id = feed.last_event_id();
        match self.strikes.count(&last_event_id) {
            Sentence::TryAgain => {}
            Sentence::ForgetPosition => {
                self.tenure.write(|ledger| ledger.last_event_id = Arc::from(""));
                emit(PositionDropped { feed: &feed.settings.name, last_event_id: &last_event_id });
                self.gap = Some(Gap { cause: GapCause::Unreadable, after: last_event_id, missing: None });
            }
            Sentence::Park => ending.pace = Pace::Park,
        }
    }

    fn count(&mut self, tally: &Tally) {
        let now = self.clock.now();
        let Tally { bytes, events, dropped, repeated, unwanted, late_ms, timed, .. } = *tally;
        self.bytes += bytes;
        if bytes > 0 {
            self.tenure.write(|ledger| {
                ledger.figures.count(&Sums { events, bytes, late_ms, timed, ..Sums::default() }, now);
                ledger.bytes += bytes;
                ledger.events += events;
                ledger.dropped += dropped;
                ledger.late_ms = ledger.late_ms.saturating_add(late_ms);
                ledger.timed += timed;
                ledger.repeated += repeated;
                ledger.unwanted += unwanted;
                ledger.last_byte_at = Some(now);
            });
        }
        let dropped_because = tally.dropped_because.as_deref();
        let dropped_line = dropped_because.and_then(|why| Some((why, self.log_budget.take(now)?)));
        emit(PortionRead { feed: &self.tenure.feed().settings.name, bytes, events, dropped, repeated, dropped_line });
    }

    fn record(&mut self, edge: &Edge, wait: Option<Duration>, now: Millis) {
        let failures = self.machine.failures();
        self.tenure.moved(Move::new(now, edge.from, edge.to, edge.reason, &edge.detail));
        self.tenure.write(|ledger| {
            ledger.state = edge.to;
            ledger.since = now;
            ledger.next_try_at = wait.map(|wait| now.saturating_add(wait.as_millis() as Millis));
            if let Some(reason) = edge.reason {
                ledger.reason = Some(reason);
                ledger.detail = edge.detail.clone();
            }
            let is_error = edge.to.is_waiting() && !matches!(edge.reason, Some(Reason::Eof | Reason::Released));
            ledger.errors += u64::from(is_error);
            if let Some(reason) = edge.reason.filter(|_| edge.to.is_waiting()) {
                ledger.count_end(reason);
            }
            ledger.figures.count(&Sums { errors: u64::from(is_error), ..Sums::default() }, now);
            ledger.failures = failures;
            match (edge.from.is_connected(), edge.to.is_connected()) {
                (false, true) => ledger.opened_at = Some(now),
                (true, true) => {}
                (_, false) => {
                    ledger.opened_at = None;
                    ledger.figures.ended();
                }
            }
        });
        // The beginning of an attempt is a matter for debugging; its end is what the budget is for.
        let feed = Arc::clone(self.tenure.feed());
        let is_detailed = feed.is_detailed(now);
        let is_free = is_detailed || matches!(edge.to, State::Idle | State::Connecting | State::Closed);
        let line = if is_free { Some(0) } else { self.log_budget.take(now) };
        let bytes = std::mem::take(&mut self.bytes);
        emit(FeedMoved { feed: &feed.settings.name, edge, wait, bytes, last_event_id: &feed.last_event_id(), line, is_detailed });
    }
}

/// What an attempt that failed says about its host.
fn outcome_of(ending: &Ending) -> Outcome {
    match (ending.reason, ending.pace) {
        (Reason::Dns | Reason::Tls | Reason::Refused | Reason::Rst | Reason::Eof | Reason::Timeout | Reason::Parse, _) => Outcome::HostFailed,
        // 5xx and 429: it is overloaded, or not well.
        (Reason::HttpStatus, Pace::Retry) => Outcome::HostFailed,
        _ => Outcome::Other,
    }
}

// === rotation ===
impl Connection {
    fn make_successor(&mut self, cause: Cause, place: Place, ctx: &mut Context<Self>) {
        self.successors += 1;
        let (number, now) = (self.successors, self.clock.now());
        if matches!(cause, Cause::Silence | Cause::DataIdle) {
            self.tenure.write(|ledger| ledger.figures.learn_silence(now));
        }
        self.tenure.write(|ledger| ledger.attempts += 1);
        self.outlet.begin_overlap();
        let attempt = self.attempt();
        let asking = ctx.spawn(attempt.into_actor(self).map(move |(outcome, asked), connection, ctx| {
            if connection.successor.as_ref().is_some_and(|successor| successor.number == number) {
                connection.on_successor_answer(outcome, asked, ctx);
            }
        }));
        self.successor = Some(Successor { number, cause, begun_at: now, _place: place, step: SuccessorStep::Asking(asking) });
    }

    fn on_successor_answer(&mut self, outcome: Result<Opened, Ending>, asked: Arc<str>, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        let Some(successor) = &mut self.successor else { return };
        match outcome {
            Ok(Opened { body, .. }) => {
                let lane = Lane::new(Side::Second);
                successor.step = SuccessorStep::Reading { lane: lane.clone(), opened_at: now, of_first: 0, of_second: 0 };
                let (number, cause) = (successor.number, successor.cause);
                self.advance(Input::Successor(cause.reason(), Cow::Borrowed(cause.as_str())), ctx);
                let overlap = self.tenure.feed().settings.limits.overlap;
                ctx.run_later(overlap, move |connection, ctx| connection.on_overlap_over(number, ctx));
                self.read(Reader::new(body, Rc::clone(&self.outlet), lane, asked, None), ctx);
            }
            Err(ending) => {
                self.tenure.write(|ledger| ledger.failed_attempts += 1);
                self.drop_successor(&ending.detail, ctx);
            }
        }
    }

    /// Whether it is read on.
    fn on_successor_turn(&mut self, turn: Turn, tally: &Tally, ctx: &mut Context<Self>) -> bool {
        if let Some(Successor { step: SuccessorStep::Reading { of_second, .. }, .. }) = &mut self.successor {
            *of_second += tally.events;
        }
        match turn {
            Turn::Retired => self.lose_successor(Ending::new(Reason::Timeout, Pace::Retry, "its successor brought nothing"), ctx),
            Turn::Ended(ending) => self.lose_successor(ending, ctx),
            Turn::Read | Turn::Quiet => {
                if tally.met_first
                    && let Some(first) = &self.first
                {
                    first.retire();
                }
                return true;
            }
        }
        false
    }

    /// The two never met. Either nothing happened on the feed, or one of them does not deliver.
    fn on_overlap_over(&mut self, number: u64, _: &mut Context<Self>) {
        let Some(Successor { number: current, step: SuccessorStep::Reading { lane, of_first, of_second, .. }, .. }) = &self.successor else { return };
        if *current != number {
            return;
        }
        if *of_first > 0 && *of_second == 0 {
            lane.retire();
        } else if let Some(first) = &self.first {
            first.retire();
        }
    }

    /// The successor is the feed's connection now.
    fn take_over(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        if !matches!(self.successor, Some(Successor { step: SuccessorStep::Reading { .. }, .. })) {
            // It was told to let go by an operator, or its successor went in the very moment in which it had let go itself.
            self.drop_successor("the connection was let go before", ctx);
            self.first = None;
            self.advance(Input::Ended(Ending::new(Reason::Released, Pace::Rotation, "let go, to connect anew")), ctx);
            return;
        }
        let Some(Successor { cause, begun_at, step: SuccessorStep::Reading { lane, opened_at, .. }, .. }) = self.successor.take() else { return };
        self.outlet.hand_over();
        lane.become_first();
        self.first = Some(lane);
        self.advance(Input::TookOver, ctx);
        self.tenure.write(|ledger| {
            ledger.rotations += 1;
            ledger.opened_at = Some(opened_at);
        });
        emit(RotationEnded { feed: &self.tenure.feed().settings.name, cause, took_ms: now.saturating_sub(begun_at), failure: None });
    }

    fn lose_successor(&mut self, ending: Ending, ctx: &mut Context<Self>) {
        let detail = ending.detail.clone();
        self.advance(Input::SuccessorLost(ending), ctx);
        self.drop_successor(&detail, ctx);
    }

    fn drop_successor(&mut self, why: &str, ctx: &mut Context<Self>) {
        let Some(Successor { cause, begun_at, step, .. }) = self.successor.take() else { return };
        if let SuccessorStep::Asking(asking) = step {
            ctx.cancel_future(asking);
        }
        self.outlet.end_overlap();
        let took_ms = self.clock.now().saturating_sub(begun_at);
        emit(RotationEnded { feed: &self.tenure.feed().settings.name, cause, took_ms, failure: Some(why) });
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

//! ACTOR, one a process: the supervisor of all feeds. Knows which run, starts them, starts them anew, judges them, has them rotated.
//!
//! Born at start-up, ends with `Stop`. Watched by the watchdog, which pings it and, when it is gone, makes a new one from the same
//! [`Upstream`]: positions and figures live there and outlast it, and so does the gate that counts connections. Its connections end with it.

use super::backoff::Backoff;
use super::connection::{self, Connection};
use super::emergency::{FeedFacts, Incident, Kind, Lookout, Measure, Phase, PoolFacts};
use super::events::{ConnectionDied, FeedsCounted, PoolReported};
use super::feed::{Feed, Move};
use super::gate::Places;
use super::health::{Cause, Facts, HealthSettings, Keeper, Order};
use super::machine::{Reason, State};
use super::positions::{self, Positions};
use super::reports::Day;
use super::roster::{Entry, Origin, Upstream};
use crate::broker::Publisher;
use crate::clock::{Clock, Millis};
use crate::telemetry::emit;
use actix::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Watchdog, admin console, tests: few, and each waits for its answer.
const MAILBOX_CAPACITY: usize = 64;

/// Waits before a connection that died of a panic is started anew.
const RESTART_MIN: Duration = Duration::from_millis(200);
const RESTART_INITIAL: Duration = Duration::from_secs(1);
const RESTART_MAX: Duration = Duration::from_secs(60);
/// A connection that lived this long before it died starts the waits at the beginning again.
const RESTART_STABLE_AFTER_MS: Millis = 60_000;

/// Time that all connections together get to end when the pool stops. Each needs one turn of the loop.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two notes for the day's report, and between two writes of it. What a crash takes away of a report is the latter.
const NOTE_INTERVAL_MS: Millis = 60_000;
const DAY_SAVE_INTERVAL_MS: Millis = 5 * 60_000;

/// Days that may wait for the store.
const FINISHED_MAX: usize = 3;

/// How much more often samples are taken while many feeds are degraded.
const DENSE_FACTOR: u32 = 3;

/// Time for the last positions to be stored when the pool stops.
const SAVE_TIMEOUT: Duration = Duration::from_secs(2);

pub struct UpstreamPool {
    upstream: Upstream,
    publisher: Publisher,
    clock: Clock,
    /// Dropped with the pool, also by a panic; every connection holds the other end and goes when this goes.
    lease: watch::Sender<()>,
    slots: Vec<Slot>,
    dice: SmallRng,
    positions: Positions,
    /// It has been told to: from then on nothing is started.
    is_stopping: bool,
    /// Held by whoever writes positions: one write at a time, so that the last one written is the newest.
    saving: Arc<Semaphore>,
    save_at: Millis,
    report_at: Millis,
    lookout: Lookout,
    /// When the day's report was last added to, and when it was last written.
    noted_at: Millis,
    day_saved_at: Millis,
    is_saving_days: bool,
    /// Days that are over and not yet written.
    finished: Vec<Day>,
    /// Samples of health are taken more often.
    is_dense: bool,
    /// Sums at the last report: events, bytes, errors.
    reported: (u64, u64, u64),
}

/// One feed's place in the pool.
struct Slot {
    feed: Arc<Feed>,
    /// The name it has in the configuration.
    template: Arc<str>,
    keeper: Keeper,
    connection: Option<Addr<Connection>>,
    started_at: Millis,
    restart: Backoff,
    restart_at: Millis,
    /// It was let go because nobody listened, and has not been connected since.
    has_rested: bool,
    /// A rotation that the gate had no room for.
    pending: Option<Cause>,
}

impl UpstreamPool {
    pub fn new(upstream: Upstream, publisher: Publisher, clock: Clock) -> Self {
        let now = clock.now();
        let lookout = Lookout::new(&upstream.settings().emergency);
        Self {
            upstream,
            publisher,
            clock,
            lease: watch::Sender::new(()),
            slots: Vec::new(),
            dice: SmallRng::from_os_rng(),
            positions: Positions::default(),
            is_stopping: false,
            saving: Arc::new(Semaphore::new(1)),
            save_at: now,
            report_at: now,
            lookout,
            noted_at: now,
            day_saved_at: now,
            is_saving_days: false,
            finished: Vec::new(),
            is_dense: false,
            reported: (0, 0, 0),
        }
    }

    /// Finds connections that died, starts those that are due, ends those that nobody needs, and looks after all.
    fn sweep(&mut self, ctx: &mut Context<Self>) {
        if self.is_stopping {
            return;
        }
        let now = self.clock.now();
        self.follow_roster(now);
        self.upstream.release(now);
        let mut health = self.upstream.settings().health.clone();
        if self.is_dense {
            health.degraded.interval /= DENSE_FACTOR;
        }
        for slot in &mut self.slots {
            let is_resting = self.upstream.is_resting(&slot.feed.settings.name);
            slot.has_rested |= is_resting;
            if is_resting || self.upstream.is_paused(&slot.feed.settings.name, &slot.template) {
                // It lets go in its own time and writes down that it has stopped. It is not waited for: the next one's tenure keeps it from
                // writing more.
                if let Some(connection) = slot.connection.take() {
                    connection.do_send(connection::Stop);
                }
                (slot.restart_at, slot.pending) = (now, None);
                continue;
            }
            if slot.connection.as_ref().is_some_and(|connection| !connection.connected()) {
                slot.connection = None;
                if now.saturating_sub(slot.started_at) >= RESTART_STABLE_AFTER_MS {
                    slot.restart.reset();
                }
                let restart_in = slot.restart.next(&mut self.dice);
                slot.restart_at = now + restart_in.as_millis() as Millis;
                // In the ledger this is a failure like any other: a state, a reason, a next try.
                let tenure = slot.feed.take_over();
                tenure.moved(Move::new(now, slot.feed.state(), State::Backoff, Some(Reason::Panic), ""));
                tenure.write(|ledger| {
                    ledger.state = State::Backoff;
                    ledger.since = now;
                    ledger.reason = Some(Reason::Panic);
                    ledger.detail = "".into();
                    ledger.next_try_at = Some(slot.restart_at);
                    ledger.panics += 1;
                    ledger.count_end(Reason::Panic);
                    ledger.errors += 1;
                    ledger.waits_for_broker = false;
                    ledger.opened_at = None;
                    ledger.figures.ended();
                });
                emit(ConnectionDied { feed: &slot.feed.settings.name, restart_in });
            }
            if slot.connection.is_none() && slot.restart_at <= now {
                let (publisher, gate, clock) = (self.publisher.clone(), Arc::clone(self.upstream.gate()), self.clock.clone());
                let tenure = slot.feed.take_over();
                if std::mem::take(&mut slot.has_rested) {
                    // Whoever listens now has missed nothing: it begins with what is new, as a feed on demand does.
                    tenure.write(|ledger| ledger.last_event_id = Arc::from(""));
                }
                let connection = Connection::new(tenure, publisher, gate, clock, self.lease.subscribe());
                slot.connection = Some(connection.start());
                slot.started_at = now;
            }
            slot.look_after(&health, now, &mut self.dice, ctx);
        }
        self.look_out(now, ctx);
        self.take_note(now, ctx);
        let states: Vec<State> = self.slots.iter().map(|slot| slot.feed.state()).collect();
        emit(FeedsCounted(State::ALL.map(|state| (state, states.iter().filter(|&&of_feed| of_feed == state).count()))));
        if now >= self.save_at {
            self.save_at = now + self.upstream.settings().save_interval.as_millis() as Millis;
            self.save(now, ctx);
        }
        if now >= self.report_at {
            self.report_at = now + self.upstream.settings().report_interval.as_millis() as Millis;
            self.tell();
        }
    }

    fn follow_roster(&mut self, now: Millis) {
        let entries = self.upstream.entries(now);
        self.slots.retain(|slot| {
            let is_needed = entries.iter().any(|entry| Arc::ptr_eq(&entry.feed, &slot.feed));
            if let (false, Some(connection)) = (is_needed, &slot.connection) {
                // One that is dead already needs no message.
                let _ = connection.try_send(connection::Stop);
            }
            is_needed
        });
        for Entry { feed, template, .. } in entries {
            if !self.slots.iter().any(|slot| Arc::ptr_eq(&slot.feed, &feed)) {
                self.slots.push(Slot {
                    feed,
                    template,
                    keeper: Keeper::new(&self.upstream.settings().health, now, &mut self.dice),
                    connection: None,
                    started_at: 0,
                    restart: Backoff::full_jitter(RESTART_MIN, RESTART_INITIAL, RESTART_MAX),
                    restart_at: 0,
                    has_rested: false,
                    pending: None,
                });
            }
        }
    }

    /// Writes the positions that have moved. One write at a time: a store that hangs is not asked again before it has answered.
    fn save(&mut self, now: Millis, ctx: &mut Context<Self>) {
        let Some(store) = self.upstream.store() else { return };
        let Ok(turn) = Arc::clone(&self.saving).try_acquire_owned() else { return };
        let Some(bytes) = self.positions.changed(&self.upstream.entries(now)) else { return };
        let written = bytes.clone();
        ctx.spawn(positions::write(store, bytes).into_actor(self).map(move |is_written, pool, _| {
            drop(turn);
            if is_written {
                pool.positions.written(written);
            }
        }));
    }

    fn tell(&mut self) {
        let settings = self.upstream.settings();
        let sums = self.slots.iter().fold((0, 0, 0), |(events, bytes, errors), slot| {
            slot.feed.read(|ledger| (events + ledger.events, bytes + ledger.bytes, errors + ledger.errors))
        });
        let before = std::mem::replace(&mut self.reported, sums);
        emit(PoolReported {
            places: self.upstream.gate().places(),
            // Feeds that nobody needs any more take their sums along.
            events: sums.0.saturating_sub(before.0),
            bytes: sums.1.saturating_sub(before.1),
            errors: sums.2.saturating_sub(before.2),
            errors_warned: settings.errors_warned,
            connections_warned: settings.connections_warned,
        });
    }
}

// === reports ===
impl UpstreamPool {
    fn take_note(&mut self, now: Millis, ctx: &mut Context<Self>) {
        let elapsed = now.saturating_sub(self.noted_at);
        if elapsed < NOTE_INTERVAL_MS {
            return;
        }
        self.noted_at = now;
        self.note(elapsed);
        if self.is_saving_days || (self.finished.is_empty() && now.saturating_sub(self.day_saved_at) < DAY_SAVE_INTERVAL_MS) {
            return;
        }
        (self.day_saved_at, self.is_saving_days) = (now, true);
        let (upstream, finished) = (self.upstream.clone(), std::mem::take(&mut self.finished));
        ctx.spawn(async move { upstream.save_days(finished).await }.into_actor(self).map(|unsaved, pool, _| {
            pool.is_saving_days = false;
            pool.finished.extend(unsaved);
            // A store that is away for days loses the oldest.
            let excess = pool.finished.len().saturating_sub(FINISHED_MAX);
            pool.finished.drain(..excess);
        }));
    }

    fn note(&mut self, elapsed: Millis) {
        let gains: Vec<_> = self
            .slots
            .iter()
            .map(|slot| {
                let name = &slot.feed.settings.name;
                let is_meant_to = !self.upstream.is_paused(name, &slot.template) && !self.upstream.is_resting(name);
                let is_down = is_meant_to && !slot.feed.state().is_connected();
                (slot.template.to_string(), slot.feed.gain(if is_down { elapsed } else { 0 }))
            })
            .collect();
        self.finished.extend(self.upstream.note(gains));
    }
}

// === emergencies ===
impl UpstreamPool {
    fn look_out(&mut self, now: Millis, ctx: &mut Context<Self>) {
        let upstream = self.upstream.clone();
        let settings = &upstream.settings().emergency;
        if !self.lookout.is_due(settings, now) {
            return;
        }
        for incident in self.lookout.look(settings, &self.facts(now), now) {
            self.meet(incident, settings.is_dry_run, now, ctx);
        }
    }

    fn facts(&self, now: Millis) -> PoolFacts {
        let feeds = self.slots.iter().map(|slot| {
            slot.feed.read(|ledger| FeedFacts {
                name: Arc::clone(&slot.feed.settings.name),
                priority: slot.feed.settings.priority,
                is_connected: ledger.state.is_connected(),
                is_degraded: ledger.state == State::Degraded,
                errors_per_minute: ledger.figures.last_minute(now).errors,
                silence: ledger.figures.silence(now),
            })
        });
        PoolFacts { feeds: feeds.collect(), used_percent: self.upstream.used_percent() }
    }

    /// Tells of it, and does what is to be done about it.
    fn meet(&mut self, incident: Incident, is_dry_run: bool, now: Millis, ctx: &mut Context<Self>) {
        for measure in incident.measures.iter().filter(|_| !is_dry_run) {
            match measure {
                Measure::Rotate(feeds) => self.of(feeds).for_each(|slot| slot.pending = slot.pending.or(Some(Cause::Emergency))),
                Measure::Detail(feeds) => {
                    let until = now + self.upstream.settings().emergency.detail_for.as_millis() as Millis;
                    self.of(feeds).for_each(|slot| slot.feed.detail_until(until));
                }
                Measure::LetGo(feeds) => self.of(feeds).filter_map(|slot| slot.connection.as_ref()).for_each(|connection| {
                    // A mailbox that is full belongs to a connection that does not move.
                    let _ = connection.try_send(connection::Reconnect);
                }),
                Measure::Limit(most) => self.upstream.gate().limit(*most),
                Measure::EndUnwanted(is_hurried) => self.upstream.hurry(*is_hurried),
                Measure::SampleDensely(is_dense) => self.is_dense = *is_dense,
                // The watchdog finds it gone and makes a new one; connections end with their pool.
                Measure::Restart => {
                    self.upstream.want_restart();
                    ctx.stop();
                }
            }
        }
        self.upstream.tell_emergency(incident, is_dry_run, &self.clock);
    }

    fn of(&mut self, feeds: &[Arc<str>]) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().filter(|slot| feeds.contains(&slot.feed.settings.name))
    }
}

impl Slot {
    /// A family of feeds is called by its own name too.
    fn is_called(&self, name: &str) -> bool {
        *self.feed.settings.name == *name || *self.template == *name
    }

    /// The rounds of health: judged by pure rules, carried out by the connection.
    fn look_after(&mut self, health: &HealthSettings, now: Millis, dice: &mut SmallRng, ctx: &mut Context<UpstreamPool>) {
        let Some(connection) = &self.connection else { return };
        let (keeper, limits) = (&mut self.keeper, &self.feed.settings.limits);
        let orders = self.feed.read(|ledger| {
            let Some(opened_at) = ledger.opened_at else {
                keeper.disconnected();
                return Vec::new();
            };
            let facts = Facts {
                opened_at,
                errors: ledger.errors,
                attempts: ledger.attempts,
                failed_attempts: ledger.failed_attempts,
                failures: ledger.failures,
                data_idle_timeout: limits.data_idle_timeout,
                figures: &ledger.figures,
            };
            keeper.look(health, &facts, now, dice)
        });
        for order in orders {
            // A mailbox that is full belongs to a connection that does not move; the next look says the same.
            match order {
                Order::Rotate(cause) => self.pending = Some(cause),
                Order::Degrade { flaps, detail } => {
                    let _ = connection.try_send(connection::Judge::Degraded { flaps, detail });
                }
                Order::Recover => {
                    let _ = connection.try_send(connection::Judge::Recovered);
                }
            }
        }
        if let Some(cause) = self.pending.take() {
            let (asked, name) = (connection.send(connection::Rotate(cause)), Arc::clone(&self.feed.settings.name));
            // Where there was no room it is asked again at the next sweep, as long as there is a connection.
            ctx.spawn(actix::fut::wrap_future::<_, UpstreamPool>(asked).map(move |answer, pool, _| {
                let is_refused = matches!(answer, Ok(false));
                if let Some(slot) = pool.slots.iter_mut().find(|slot| is_refused && slot.feed.settings.name == name) {
                    slot.pending = slot.feed.state().is_connected().then_some(cause);
                }
            }));
        }
    }
}

impl Actor for UpstreamPool {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        if self.upstream.begin_pool() {
            // What the one before had decided about all ends with it.
            self.upstream.hurry(false);
            self.upstream.gate().limit(usize::MAX);
            let cause = "the pool was gone; all feeds are connected anew".to_string();
            self.upstream.tell_emergency(Incident { kind: Kind::PoolFailure, phase: Phase::Begun, cause, measures: Vec::new() }, false, &self.clock);
        }
        self.sweep(ctx);
        ctx.run_interval(self.upstream.settings().sweep_interval, |pool, ctx| pool.sweep(ctx));
        self.await_demand(ctx);
    }
}

impl UpstreamPool {
    /// The first subscriber of a feed's channel, or an operator, does not wait for the next sweep.
    fn await_demand(&self, ctx: &mut Context<Self>) {
        let changed = self.upstream.changed();
        let wanted = async move { changed.notified().await };
        ctx.spawn(wanted.into_actor(self).map(|(), pool, ctx| {
            pool.sweep(ctx);
            pool.await_demand(ctx);
        }));
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
    pub places: Places,
    /// Channels of feeds on demand that somebody listens to, and of these those whose feed there is no room for.
    pub wanted_channels: usize,
    pub unserved_channels: usize,
    /// Those that always run in the order of the configuration, then those that somebody listens to.
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
    /// All attempts to connect, and those that led to no stream.
    pub attempts: u64,
    pub failed_attempts: u64,
    pub rotations: u64,
    /// Events left out: published before, or not wanted by the configuration.
    pub repeated: u64,
    pub unwanted: u64,
    /// Times that events were missed for sure.
    pub gaps: u64,
    pub panics: u64,
    pub priority: i32,
    /// How old the connection is; `None`: there is none.
    pub age: Option<Duration>,
    /// In the last minute.
    pub events_per_minute: u64,
    pub bytes_per_minute: u64,
    pub errors_per_minute: u64,
    /// Mean lateness in the last minute, where the feed tells its time.
    pub latency: Option<Duration>,
    /// What is usual for this feed; `None`: not known yet.
    pub usual_per_minute: Option<f64>,
    /// `None`: nothing was ever read.
    pub silent_for: Option<Duration>,
    /// `None`: it is not waiting.
    pub next_try_in: Option<Duration>,
    pub waits_for_broker: bool,
    /// By an operator.
    pub is_paused: bool,
    /// Let go until somebody listens.
    pub is_resting: bool,
    pub origin: Origin,
}

impl FeedReport {
    pub(super) fn new(feed: &Feed, origin: Origin, is_paused: bool, now: Millis) -> Self {
        let ledger = feed.ledger();
        let minute = ledger.figures.last_minute(now);
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
            attempts: ledger.attempts,
            failed_attempts: ledger.failed_attempts,
            rotations: ledger.rotations,
            repeated: ledger.repeated,
            unwanted: ledger.unwanted,
            gaps: ledger.gaps,
            panics: ledger.panics,
            priority: feed.settings.priority,
            age: ledger.opened_at.map(|at| Duration::from_millis(now.saturating_sub(at))),
            events_per_minute: minute.events,
            bytes_per_minute: minute.bytes,
            errors_per_minute: minute.errors,
            latency: minute.latency(),
            usual_per_minute: ledger.figures.usual_per_minute(),
            silent_for: ledger.last_byte_at.map(|at| Duration::from_millis(now.saturating_sub(at))),
            next_try_in: ledger.next_try_at.map(|at| Duration::from_millis(at.saturating_sub(now))),
            waits_for_broker: ledger.waits_for_broker,
            is_paused,
            is_resting: false,
            origin,
        }
    }
}

impl Handler<Observe> for UpstreamPool {
    type Result = MessageResult<Observe>;
    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.upstream.report(self.clock.now()))
    }
}

// === RotateFeed ===
/// Replaces the connection of the named feed, or those of the named family, as soon as there is room. Answered whether there is such a feed.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct RotateFeed(pub String);

impl Handler<RotateFeed> for UpstreamPool {
    type Result = bool;
    fn handle(&mut self, RotateFeed(name): RotateFeed, ctx: &mut Self::Context) -> bool {
        let mut is_there = false;
        for slot in self.slots.iter_mut().filter(|slot| slot.is_called(&name)) {
            (slot.pending, is_there) = (Some(Cause::Asked), true);
        }
        self.sweep(ctx);
        is_there
    }
}

// === Pause ===
/// A feed is left alone from now on, or read again from where it was left. Answered with whether there is such a feed.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct Pause {
    /// `None`: all feeds.
    pub feed: Option<String>,
    pub is_paused: bool,
}

impl Handler<Pause> for UpstreamPool {
    type Result = bool;
    fn handle(&mut self, Pause { feed, is_paused }: Pause, ctx: &mut Self::Context) -> bool {
        let is_there = self.upstream.pause(feed.as_deref(), is_paused, self.clock.now());
        self.sweep(ctx);
        is_there
    }
}

// === Reconnect ===
/// The named feed, or all, connects anew from where it is: one that waits tries now, also one that is parked. Answered with how many
/// there are.
#[derive(Message)]
#[rtype(result = "usize")]
pub struct Reconnect {
    /// `None`: all feeds.
    pub feed: Option<String>,
}

impl Handler<Reconnect> for UpstreamPool {
    type Result = usize;
    fn handle(&mut self, Reconnect { feed }: Reconnect, ctx: &mut Self::Context) -> usize {
        self.sweep(ctx);
        let now = self.clock.now();
        let mut meant = 0;
        for slot in self.slots.iter_mut().filter(|slot| feed.as_deref().is_none_or(|name| slot.is_called(name))) {
            meant += 1;
            match &slot.connection {
                // A mailbox that is full belongs to a connection that does not move: the watch over it is the pool's, not the operator's.
                Some(connection) => drop(connection.try_send(connection::Reconnect)),
                None => slot.restart_at = now,
            }
        }
        meant
    }
}

// === Declare ===
/// Meets an emergency of this kind by hand, or says what would be done. Answered with that.
#[derive(Message)]
#[rtype(result = "Incident")]
pub struct Declare {
    pub kind: Kind,
    pub is_dry_run: bool,
}

impl Handler<Declare> for UpstreamPool {
    type Result = MessageResult<Declare>;
    fn handle(&mut self, Declare { kind, is_dry_run }: Declare, ctx: &mut Self::Context) -> Self::Result {
        let (now, upstream) = (self.clock.now(), self.upstream.clone());
        let incident = self.lookout.by_hand(kind, is_dry_run, &upstream.settings().emergency, &self.facts(now), now);
        self.meet(incident.clone(), is_dry_run, now, ctx);
        MessageResult(incident)
    }
}

// === Stop ===
/// Ends every connection, stores where the feeds stand, then ends the pool. Answered when that is done.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;

impl Handler<Stop> for UpstreamPool {
    type Result = ResponseActFuture<Self, ()>;
    fn handle(&mut self, _: Stop, _: &mut Self::Context) -> Self::Result {
        self.is_stopping = true;
        let elapsed = self.clock.now().saturating_sub(self.noted_at);
        self.note(elapsed);
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
        let save = |pool: &mut Self| {
            let (upstream, finished) = (pool.upstream.clone(), std::mem::take(&mut pool.finished));
            let last = pool.upstream.store().and_then(|store| Some((store, pool.positions.changed(&pool.upstream.entries(pool.clock.now()))?)));
            let saving = Arc::clone(&pool.saving);
            let write = async move {
                let Some((store, bytes)) = last else { return };
                // An older table may still be on its way.
                let _turn = saving.acquire().await;
                positions::write(store, bytes).await;
            };
            async move {
                if tokio::time::timeout(SAVE_TIMEOUT, write).await.is_err() {
                    log::warn!("the positions of the feeds were not stored within {SAVE_TIMEOUT:?}");
                }
                if tokio::time::timeout(SAVE_TIMEOUT, upstream.save_days(finished)).await.is_err() {
                    log::warn!("the reports of the feeds were not stored within {SAVE_TIMEOUT:?}");
                }
            }
        };
        Box::pin(in_time.into_actor(self).then(move |(), pool, _| save(pool).into_actor(pool)).map(|(), _, ctx| ctx.stop()))
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

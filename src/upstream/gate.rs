//! Who may connect, and when: the one door of all connection actors to the network.
//!
//! [`Turnstile`] is the rule, pure: a cap over all connections, a cap a host, a token bucket over all starts, a circuit breaker a host, and a
//! queue by priority in which waiting counts. [`Gate`] carries it out: whoever asks waits for a [`Place`], and a place that is dropped is
//! free again, whatever ended its holder. The gate outlives the pool: a pool that died and its successor cannot hold more than the cap
//! together.

use super::breaker::{Breaker, BreakerSettings, Leave};
use super::events::{BreakerOpened, PlacesCounted};
use crate::clock::{Clock, Millis};
use crate::telemetry::emit;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Between two looks of one that waits, at the least and at the most: it is told when its turn comes, but time alone opens the door too.
const LOOK_MIN: Duration = Duration::from_millis(5);
const LOOK_MAX: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateSettings {
    /// Connections at once, those that are being made included.
    pub connections_max: usize,
    /// The same for one host and port. 0: no limit but the one over all.
    pub host_connections_max: usize,
    /// Of a hundred connections, those that may be replaced at once; at least one. Successors come on top of the cap.
    pub rotation_percent: usize,
    /// Attempts a second over all feeds, after a burst of `start_burst`.
    pub start_rate: u32,
    pub start_burst: u32,
    /// Every attempt waits a random time up to this before it stands in the queue.
    pub start_jitter: Duration,
    /// Waiting this long counts as much as one step of priority.
    pub aging: Duration,
    pub breaker: BreakerSettings,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            connections_max: 50,
            host_connections_max: 0,
            rotation_percent: 10,
            start_rate: 20,
            start_burst: 20,
            start_jitter: Duration::from_millis(250),
            aging: Duration::from_secs(10),
            breaker: BreakerSettings { failures: 10, pause: Duration::from_secs(5), pause_max: Duration::from_secs(60) },
        }
    }
}

/// Who stands in the queue.
type Ticket = u64;

/// How many are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    pub held: usize,
    pub rotating: usize,
    pub waiting: usize,
    pub breakers_open: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer was an event stream.
    Opened,
    /// The host could not be reached or did not answer as a well one does.
    HostFailed,
    /// Something else, which says nothing about the host.
    Other,
}

struct Waiter {
    ticket: Ticket,
    host: Arc<str>,
    priority: i32,
    since: Millis,
    not_before: Millis,
}

struct Host {
    held: usize,
    breaker: Breaker,
}

/// The rule. All times are arguments.
struct Turnstile {
    settings: GateSettings,
    /// The cap as it is now: that of the settings, or less in an emergency. Those who are inside stay.
    connections_max: usize,
    held: usize,
    rotating: usize,
    hosts: HashMap<Arc<str>, Host>,
    queue: Vec<Waiter>,
    /// Thousandths of a start.
    tokens: u64,
    refilled_at: Millis,
    dice: SmallRng,
}

/// One who may connect now.
#[derive(Debug, PartialEq, Eq)]
struct Granted {
    ticket: Ticket,
    is_probe: bool,
}

impl Turnstile {
    fn new(settings: GateSettings, seed: u64, now: Millis) -> Self {
        Self {
            settings,
            connections_max: settings.connections_max,
            held: 0,
            rotating: 0,
            hosts: HashMap::new(),
            queue: Vec::new(),
            tokens: u64::from(settings.start_burst.max(1)) * 1_000,
            refilled_at: now,
            dice: SmallRng::seed_from_u64(seed),
        }
    }

    fn enter(&mut self, ticket: Ticket, host: &Arc<str>, priority: i32, now: Millis) {
        let jitter = self.dice.random_range(0..=self.settings.start_jitter.as_millis() as Millis);
        self.queue.push(Waiter { ticket, host: Arc::clone(host), priority, since: now, not_before: now + jitter });
    }

    fn give_up(&mut self, ticket: Ticket) {
        self.queue.retain(|waiter| waiter.ticket != ticket);
    }

    /// Lets in whom it can, the first in line first. Also says when to look again, if time alone may let in another.
    fn turn(&mut self, now: Millis) -> (Vec<Granted>, Option<Millis>) {
        self.refill(now);
        let aging = (self.settings.aging.as_millis() as i64).max(1);
        // Priority first, waiting counts, then whoever came first.
        self.queue.sort_by_key(|waiter| {
            let waited = now.saturating_sub(waiter.since) as i64;
            (std::cmp::Reverse(i64::from(waiter.priority) * aging + waited), waiter.ticket)
        });
        let (mut granted, mut next) = (Vec::new(), None::<Millis>);
        let mut sooner = |at: Millis| next = Some(next.map_or(at, |next: Millis| next.min(at)));
        let mut at = 0;
        while at < self.queue.len() && self.held < self.connections_max {
            let waiter = &self.queue[at];
            let host = self.hosts.get(&waiter.host);
            let has_room = self.settings.host_connections_max == 0 || host.map_or(0, |host| host.held) < self.settings.host_connections_max;
            let leave = host.map_or(Leave::Granted, |host| host.breaker.leave(now));
            if waiter.not_before > now {
                sooner(waiter.not_before);
                at += 1;
                continue;
            }
            match leave {
                _ if !has_room => at += 1,
                Leave::Later => at += 1,
                Leave::NotBefore(until) => {
                    sooner(until);
                    at += 1;
                }
                Leave::Granted | Leave::Probe if self.tokens < 1_000 => {
                    sooner(now + (1_000 - self.tokens).div_ceil(u64::from(self.settings.start_rate.max(1))));
                    break;
                }
                Leave::Granted | Leave::Probe => {
                    let waiter = self.queue.remove(at);
                    let is_probe = leave == Leave::Probe;
                    self.tokens -= 1_000;
                    self.held += 1;
                    let host = self.host(&waiter.host);
                    host.held += 1;
                    if is_probe {
                        host.breaker.probe();
                    }
                    granted.push(Granted { ticket: waiter.ticket, is_probe });
                }
            }
        }
        (granted, next)
    }

    /// A place for a successor, beyond the cap, at once or not at all. It costs a start like any other.
    fn rotate(&mut self, host: &Arc<str>, now: Millis) -> bool {
        self.refill(now);
        let most = (self.held * self.settings.rotation_percent / 100).max(1);
        let is_well = self.hosts.get(host).is_none_or(|host| !host.breaker.is_open());
        let may = self.rotating < most && is_well && self.tokens >= 1_000;
        if may {
            self.tokens -= 1_000;
            self.rotating += 1;
        }
        may
    }

    fn release(&mut self, host: &Arc<str>) {
        self.held = self.held.saturating_sub(1);
        if let Some(known) = self.hosts.get_mut(host) {
            known.held = known.held.saturating_sub(1);
            if known.held == 0 && known.breaker.is_blank() {
                self.hosts.remove(host);
            }
        }
    }

    /// Whether this opened the host's breaker.
    fn learn(&mut self, host: &Arc<str>, feed: u64, outcome: Outcome, now: Millis) -> bool {
        let mut dice = SmallRng::seed_from_u64(self.dice.random());
        let breaker = &mut self.host(host).breaker;
        match outcome {
            Outcome::Opened => breaker.succeeded(),
            Outcome::HostFailed => return breaker.failed(feed, now, &mut dice),
            Outcome::Other => breaker.probe_lost(now),
        }
        false
    }

    fn host(&mut self, host: &Arc<str>) -> &mut Host {
        let breaker = self.settings.breaker;
        self.hosts.entry(Arc::clone(host)).or_insert_with(|| Host { held: 0, breaker: Breaker::new(breaker) })
    }

    fn refill(&mut self, now: Millis) {
        let earned = now.saturating_sub(self.refilled_at) * u64::from(self.settings.start_rate.max(1));
        self.tokens = self.tokens.saturating_add(earned).min(u64::from(self.settings.start_burst.max(1)) * 1_000);
        self.refilled_at = self.refilled_at.max(now);
    }

    fn places(&self) -> Places {
        let breakers_open = self.hosts.values().filter(|host| host.breaker.is_open()).count();
        Places { held: self.held, rotating: self.rotating, waiting: self.queue.len(), breakers_open }
    }
}

pub struct Gate {
    clock: Clock,
    inside: Mutex<Inside>,
}

struct Inside {
    turnstile: Turnstile,
    tickets: Ticket,
    /// Those in the queue, by ticket.
    bells: HashMap<Ticket, oneshot::Sender<bool>>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Gate").field(&self.places()).finish()
    }
}

impl Gate {
    pub fn new(settings: GateSettings, clock: Clock) -> Arc<Self> {
        let turnstile = Turnstile::new(settings, rand::random(), clock.now());
        Arc::new(Self { clock, inside: Mutex::new(Inside { turnstile, tickets: 0, bells: HashMap::new() }) })
    }

    /// Lets in at most so many from now on, and never more than the settings say.
    pub fn limit(&self, most: usize) {
        {
            let turnstile = &mut self.inside.lock().turnstile;
            turnstile.connections_max = most.min(turnstile.settings.connections_max);
        }
        self.turn(self.clock.now());
    }

    pub fn places(&self) -> Places {
        self.inside.lock().turnstile.places()
    }

    /// Waits for leave to connect. `feed` is only told apart from others.
    pub async fn enter(self: Arc<Self>, host: Arc<str>, feed: u64, priority: i32) -> Place {
        let (bell, mut rings) = oneshot::channel();
        let ticket = {
            let mut inside = self.inside.lock();
            inside.tickets += 1;
            let ticket = inside.tickets;
            inside.bells.insert(ticket, bell);
            inside.turnstile.enter(ticket, &host, priority, self.clock.now());
            ticket
        };
        let mut waiting = Waiting { gate: Arc::clone(&self), ticket, host: Arc::clone(&host), is_over: false };
        loop {
            let now = self.clock.now();
            let next = self.turn(now);
            let patience = next.map_or(LOOK_MAX, |next| Duration::from_millis(next.saturating_sub(now)).clamp(LOOK_MIN, LOOK_MAX));
            // Neither can fail: the bell is rung once and kept until then. Were it ever lost, asking again would be right.
            if let Ok(Ok(is_probe)) = timeout(patience, &mut rings).await {
                waiting.is_over = true;
                return Place { gate: self, host, feed, kind: Kind::Ordinary, is_probe };
            }
        }
    }

    /// A place for a successor, if rotation is possible now.
    pub fn rotate(self: &Arc<Self>, host: &Arc<str>, feed: u64) -> Option<Place> {
        let may = self.inside.lock().turnstile.rotate(host, self.clock.now());
        may.then(|| Place { gate: Arc::clone(self), host: Arc::clone(host), feed, kind: Kind::Rotation, is_probe: false })
    }

    /// Lets in whom it can.
    fn turn(&self, now: Millis) -> Option<Millis> {
        let mut inside = self.inside.lock();
        let Inside { turnstile, bells, .. } = &mut *inside;
        let (granted, next) = turnstile.turn(now);
        for Granted { ticket, is_probe } in granted {
            // One that went away in this very moment gives its place back when it notices; see `Waiting`.
            if let Some(bell) = bells.remove(&ticket) {
                let _ = bell.send(is_probe);
            }
        }
        emit(PlacesCounted(turnstile.places()));
        next
    }
}

/// One who waits and may stop waiting at any moment.
struct Waiting {
    gate: Arc<Gate>,
    ticket: Ticket,
    host: Arc<str>,
    /// It has its place.
    is_over: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut inside = self.gate.inside.lock();
        if inside.bells.remove(&self.ticket).is_some() {
            inside.turnstile.give_up(self.ticket);
        } else {
            // Its turn had come already.
            inside.turnstile.release(&self.host);
            let now = self.gate.clock.now();
            inside.turnstile.learn(&self.host, 0, Outcome::Other, now);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ordinary,
    Rotation,
}

/// The right to hold one connection. Dropped, it is somebody else's turn.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    host: Arc<str>,
    feed: u64,
    kind: Kind,
    is_probe: bool,
}

impl Place {
    /// Tells what became of the attempt, for the host's circuit breaker.
    pub fn learned(&mut self, outcome: Outcome) {
        self.is_probe = false;
        let now = self.gate.clock.now();
        let opened = self.gate.inside.lock().turnstile.learn(&self.host, self.feed, outcome, now);
        if opened {
            emit(BreakerOpened { host: &self.host });
        }
        self.gate.turn(now);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = self.gate.clock.now();
        {
            let turnstile = &mut self.gate.inside.lock().turnstile;
            match self.kind {
                Kind::Ordinary => turnstile.release(&self.host),
                Kind::Rotation => turnstile.rotating = turnstile.rotating.saturating_sub(1),
            }
            if self.is_probe {
                turnstile.learn(&self.host, self.feed, Outcome::Other, now);
            }
        }
        self.gate.turn(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> GateSettings {
        GateSettings { connections_max: 3, start_rate: 1_000, start_burst: 1_000, start_jitter: Duration::ZERO, ..GateSettings::default() }
    }

    fn turnstile(settings: GateSettings) -> Turnstile {
        Turnstile::new(settings, 1, 0)
    }

    fn host(name: &str) -> Arc<str> {
        Arc::from(name)
    }

    fn tickets((granted, _): (Vec<Granted>, Option<Millis>)) -> Vec<Ticket> {
        granted.into_iter().map(|granted| granted.ticket).collect()
    }

    #[test]
    fn never_more_than_the_cap_and_first_come_first_served() {
        let mut gate = turnstile(settings());
        for ticket in 1..=6 {
            gate.enter(ticket, &host("a"), 0, 0);
        }
        assert_eq!(tickets(gate.turn(0)), [1, 2, 3]);
        assert!(tickets(gate.turn(1_000_000)).is_empty());
        gate.release(&host("a"));
        gate.give_up(4);
        assert_eq!(tickets(gate.turn(0)), [5]);
        assert_eq!(gate.places(), Places { held: 3, rotating: 0, waiting: 1, breakers_open: 0 });
    }

    #[test]
    fn priority_goes_first_and_waiting_makes_up_for_it() {
        let mut gate = turnstile(GateSettings { connections_max: 1, ..settings() });
        gate.enter(1, &host("a"), 0, 0);
        gate.enter(2, &host("a"), 5, 0);
        gate.enter(3, &host("a"), -5, 0);
        let mut order = Vec::new();
        let mut now = 0;
        for ticket in 4..20 {
            order.extend(tickets(gate.turn(now)));
            gate.release(&host("a"));
            now += 10_000;
            // The important keep coming; nobody starves.
            gate.enter(ticket, &host("a"), 5, now);
        }
        assert_eq!(order[0], 2);
        let place = |ticket| order.iter().position(|served| *served == ticket).unwrap_or_else(|| panic!("{ticket} starved: {order:?}"));
        assert!(place(1) < place(3), "{order:?}");
    }

    #[test]
    fn starts_are_spread_by_the_bucket_and_by_jitter() {
        let mut gate = turnstile(GateSettings { connections_max: 100, start_rate: 10, start_burst: 5, ..settings() });
        for ticket in 0..50 {
            gate.enter(ticket, &host("a"), 0, 0);
        }
        let started: Vec<usize> = (0..=10).map(|tenth| gate.turn(tenth * 100).0.len()).collect();
        assert_eq!(started, [5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(gate.turn(1_000).1, Some(1_100), "it says when the next may go");
        let mut gate = turnstile(GateSettings { connections_max: 1_000, start_jitter: Duration::from_secs(1), ..settings() });
        for ticket in 0..1_000 {
            gate.enter(ticket, &host("a"), 0, 0);
        }
        let half = gate.turn(500).0.len();
        assert!((400..600).contains(&half), "{half}");
        assert_eq!(gate.turn(1_000).0.len() + half, 1_000);
    }

    #[test]
    fn one_host_has_its_own_limit_and_does_not_hold_up_the_others() {
        let mut gate = turnstile(GateSettings { host_connections_max: 1, ..settings() });
        for (ticket, name) in [(1, "a"), (2, "a"), (3, "b")] {
            gate.enter(ticket, &host(name), 0, 0);
        }
        assert_eq!(tickets(gate.turn(0)), [1, 3]);
        gate.release(&host("a"));
        assert_eq!(tickets(gate.turn(0)), [2]);
    }

    #[test]
    fn an_open_breaker_holds_back_its_host_alone_and_then_lets_one_ask() {
        let breaker = BreakerSettings { failures: 2, pause: Duration::from_secs(10), pause_max: Duration::from_secs(10) };
        let mut gate = turnstile(GateSettings { connections_max: 10, breaker, ..settings() });
        assert!(!gate.learn(&host("a"), 1, Outcome::HostFailed, 0));
        assert!(gate.learn(&host("a"), 2, Outcome::HostFailed, 0));
        for (ticket, name) in [(1, "a"), (2, "a"), (3, "b")] {
            gate.enter(ticket, &host(name), 0, 0);
        }
        let (granted, next) = gate.turn(0);
        assert_eq!(granted, [Granted { ticket: 3, is_probe: false }]);
        let next = next.unwrap();
        assert!((5_000..=10_000).contains(&next), "{next}");
        assert_eq!(gate.turn(next).0, [Granted { ticket: 1, is_probe: true }], "one alone");
        gate.learn(&host("a"), 1, Outcome::Opened, next);
        assert_eq!(tickets(gate.turn(next)), [2]);
        assert_eq!(gate.places().breakers_open, 0);
    }

    #[test]
    fn a_tenth_rotates_at_once_and_at_least_one() {
        let mut gate = turnstile(GateSettings { connections_max: 50, ..settings() });
        assert_eq!((gate.rotate(&host("a"), 0), gate.rotate(&host("a"), 0)), (true, false));
        gate.rotating = 0;
        for ticket in 0..50 {
            gate.enter(ticket, &host("a"), 0, 0);
        }
        assert_eq!(gate.turn(0).0.len(), 50);
        assert_eq!((0..50).filter(|_| gate.rotate(&host("a"), 0)).count(), 5);
    }

    #[test]
    fn a_host_that_nobody_holds_is_forgotten() {
        let mut gate = turnstile(settings());
        for ticket in 0..1_000 {
            let name = host(&ticket.to_string());
            gate.enter(ticket, &name, 0, 0);
            assert_eq!(tickets(gate.turn(0)), [ticket]);
            gate.learn(&name, ticket, Outcome::Opened, 0);
            gate.release(&name);
        }
        assert!(gate.hosts.is_empty());
    }

    #[actix_rt::test]
    async fn whoever_stops_waiting_or_drops_a_place_leaves_nothing_behind() {
        let gate = Gate::new(GateSettings { connections_max: 1, ..settings() }, Clock::system());
        let held = Arc::clone(&gate).enter(host("a"), 1, 0).await;
        let waits = actix_rt::spawn(Arc::clone(&gate).enter(host("a"), 2, 0));
        let gives_up = actix_rt::spawn(Arc::clone(&gate).enter(host("a"), 3, 9));
        while gate.places().waiting < 2 {
            tokio::task::yield_now().await;
        }
        gives_up.abort();
        assert!(gives_up.await.unwrap_err().is_cancelled());
        drop(held);
        let next = timeout(Duration::from_secs(10), waits).await.unwrap().unwrap();
        assert_eq!(gate.places(), Places { held: 1, ..Places::default() });
        let successor = gate.rotate(&host("a"), 2).unwrap();
        assert_eq!(gate.places().rotating, 1);
        drop((successor, next));
        assert_eq!(gate.places(), Places::default());
        assert!(gate.inside.lock().bells.is_empty());
    }
}

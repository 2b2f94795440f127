//! How often somebody may do something: by connection, by user, by address and in all.
//!
//! Asked by the session (connects, commands, publishes, subscribes) and by the HTTP edge (handshakes, server API). Every limit is off unless
//! configured, and what is off costs one comparison. The arithmetic is governor's (the generic cell rate algorithm); where it is kept is
//! ours, because a table that strangers fill must not grow without bound: [`Table`] keeps a hash and a time for each of at most so many
//! identities, and those beyond share one bucket. Who is known already is not touched by a flood of strangers. Follows the monotonic clock.

use crate::clock::{Clock, Millis};
use crate::guard::admission::network_of;
use crate::units::Rate;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

/// Locks that the identities of one table are spread over.
const SHARDS: usize = 64;

/// What may be done so often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub per_connection: Option<Rate>,
    pub per_user: Option<Rate>,
    pub per_address: Option<Rate>,
    pub total: Option<Rate>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// Users, and addresses, that each limit knows apart.
    pub identities_max: usize,
    pub connects: Rates,
    pub commands: Rates,
    pub publishes: Rates,
    pub subscribes: Rates,
    /// Requests to the server API, before the key is looked at.
    pub api: Rates,
    /// The same by key, which stands where users stand elsewhere.
    pub keys: Rates,
}

/// Somebody did it too often: when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOften {
    pub wait: Duration,
}

impl TooOften {
    /// For `Retry-After` (RFC 9110, 10.2.3): whole seconds, at least one.
    pub fn seconds(self) -> u64 {
        self.wait.as_secs() + u64::from(self.wait.subsec_nanos() > 0 || self.wait.is_zero())
    }
}

/// The limits of one process.
#[derive(Debug)]
pub struct Limits {
    pub connects: Limit,
    pub commands: Limit,
    pub publishes: Limit,
    pub subscribes: Limit,
    pub api: Limit,
    pub keys: Limit,
}

impl Limits {
    pub fn new(settings: &LimitSettings, clock: &Clock) -> Self {
        let limit = |rates: &Rates| Limit::new(rates, settings.identities_max, clock);
        Self {
            connects: limit(&settings.connects),
            commands: limit(&settings.commands),
            publishes: limit(&settings.publishes),
            subscribes: limit(&settings.subscribes),
            api: limit(&settings.api),
            keys: limit(&settings.keys),
        }
    }

    /// Forgets those who have been quiet for so long that they are as good as strangers.
    pub fn sweep(&self) {
        self.all().into_iter().for_each(Limit::sweep);
    }

    /// Identities that are known, in all tables.
    pub fn len(&self) -> usize {
        self.all().into_iter().map(Limit::len).sum()
    }

    fn all(&self) -> [&Limit; 6] {
        [&self.connects, &self.commands, &self.publishes, &self.subscribes, &self.api, &self.keys]
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What one connection has of its own; nothing where nothing is limited by connection.
    pub fn of_connection(&self) -> Option<Box<ConnectionLimits>> {
        let limits = [&self.commands, &self.publishes, &self.subscribes];
        if limits.iter().all(|limit| limit.per_connection.is_none()) {
            return None;
        }
        let [commands, publishes, subscribes] =
            limits.map(|limit| limit.per_connection.map(|quota| Direct::new(quota, InMemoryState::default(), limit.clock.clone())));
        Some(Box::new(ConnectionLimits { commands, publishes, subscribes }))
    }
}

#[derive(Debug)]
pub struct ConnectionLimits {
    pub commands: Option<Direct>,
    pub publishes: Option<Direct>,
    pub subscribes: Option<Direct>,
}

pub type Direct = RateLimiter<NotKeyed, InMemoryState, Monotonic, NoOpMiddleware<Duration>>;
type Keyed = RateLimiter<u64, Table, Monotonic, NoOpMiddleware<Duration>>;

/// One kind of thing that may be done so often.
#[derive(Debug)]
pub struct Limit {
    is_on: bool,
    per_connection: Option<Quota>,
    per_user: Option<Keyed>,
    per_address: Option<Keyed>,
    total: Option<Direct>,
    clock: Monotonic,
    hasher: RandomState,
}

impl Limit {
    fn new(rates: &Rates, identities_max: usize, clock: &Clock) -> Self {
        let clock = Monotonic(clock.clone());
        let keyed = |rate: Option<Rate>| Some(Keyed::new(quota(rate?), Table::new(identities_max), clock.clone()));
        Self {
            is_on: *rates != Rates::default(),
            per_connection: rates.per_connection.map(quota),
            per_user: keyed(rates.per_user),
            per_address: keyed(rates.per_address),
            total: rates.total.map(|rate| Direct::new(quota(rate), InMemoryState::default(), clock.clone())),
            clock,
            hasher: RandomState::new(),
        }
    }

    /// Counts one. The narrowest limit is asked first, so that who is refused by its own takes nothing from the others. `user`: empty for
    /// nobody in particular, who is counted by address alone.
    pub fn take(&self, own: Option<&Direct>, user: &str, address: Option<IpAddr>) -> Result<(), TooOften> {
        if !self.is_on {
            return Ok(());
        }
        if let Some(own) = own {
            own.check().map_err(|not_until| self.too_often(not_until.wait_time_from(self.clock.now())))?;
        }
        if let Some(users) = self.per_user.as_ref().filter(|_| !user.is_empty()) {
            self.take_of(users, user)?;
        }
        if let (Some(addresses), Some(address)) = (&self.per_address, address) {
            self.take_of(addresses, network_of(address))?;
        }
        match &self.total {
            Some(total) => total.check().map_err(|not_until| self.too_often(not_until.wait_time_from(self.clock.now()))),
            None => Ok(()),
        }
    }

    fn take_of(&self, table: &Keyed, identity: impl Hash) -> Result<(), TooOften> {
        // Of 64 random bits, under a key of this process: two who meet by chance share a bucket, and nobody can arrange it.
        let key = self.hasher.hash_one(identity);
        table.check_key(&key).map_err(|not_until| self.too_often(not_until.wait_time_from(self.clock.now())))
    }

    fn too_often(&self, wait: Duration) -> TooOften {
        TooOften { wait }
    }

    fn sweep(&self) {
        for table in [&self.per_user, &self.per_address].into_iter().flatten() {
            table.retain_recent();
            table.shrink_to_fit();
        }
    }

    fn len(&self) -> usize {
        [&self.per_user, &self.per_address].into_iter().flatten().map(Keyed::len).sum()
    }
}

fn quota(rate: Rate) -> Quota {
    // A rate has a count and a period, both more than nothing, by construction.
    let one_per = (rate.period() / rate.count().get()).max(Duration::from_nanos(1));
    Quota::with_period(one_per).map_or_else(|| Quota::per_second(rate.burst()), |quota| quota.allow_burst(rate.burst()))
}

/// The house's clock, as governor reads one.
#[derive(Clone, Debug)]
pub struct Monotonic(Clock);

impl governor::clock::Clock for Monotonic {
    type Instant = Duration;
    fn now(&self) -> Duration {
        let now: Millis = self.0.now();
        Duration::from_millis(now)
    }
}

/// When each of some identities would have its whole allowance back.
type Shard = Mutex<HashMap<u64, Nanos, BuildHasherDefault<AlreadyHashed>>>;

/// A keyed store with a bound.
#[derive(Debug)]
struct Table {
    shards: Box<[Shard]>,
    identities_of_shard_max: usize,
    /// Of all who find no room.
    overflow: Mutex<Option<Nanos>>,
}

impl Table {
    fn new(identities_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            identities_of_shard_max: identities_max.div_ceil(SHARDS),
            overflow: Mutex::default(),
        }
    }
}

impl StateStore for Table {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut shard = self.shards[(key >> 58) as usize].lock();
        if let Some(state) = shard.get_mut(key) {
            let (outcome, next) = f(Some(*state))?;
            *state = next;
            return Ok(outcome);
        }
        if shard.len() < self.identities_of_shard_max {
            let (outcome, next) = f(None)?;
            shard.insert(*key, next);
            return Ok(outcome);
        }
        drop(shard);
        let mut overflow = self.overflow.lock();
        let (outcome, next) = f(*overflow)?;
        *overflow = Some(next);
        Ok(outcome)
    }
}

impl ShrinkableKeyedStateStore<u64> for Table {
    fn retain_recent(&self, drop_below: Nanos) {
        for shard in &self.shards {
            shard.lock().retain(|_, state| *state > drop_below);
        }
    }

    fn shrink_to_fit(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            // Not at every ebb: only where most of the room has become useless.
            if shard.capacity() > 4 * shard.len() + 16 {
                shard.shrink_to_fit();
            }
        }
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Keys are hashes: the lower bits as they are.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, key: u64) {
        // The upper bits choose the shard, and the map wants its own there.
        self.0 = key.rotate_left(6);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Option<Rate> {
        Some(Rate::parse(text).unwrap())
    }

    fn limits(rates: Rates, identities_max: usize) -> (Limits, Clock) {
        let clock = Clock::manual(0);
        (Limits::new(&LimitSettings { identities_max, commands: rates, ..LimitSettings::default() }, &clock), clock)
    }

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn what_is_let_through_is_the_burst_and_then_the_rate() {
        for (text, burst) in [("20/s", 20), ("600/m burst 5", 5), ("1000/s burst 100", 100), ("5/h", 5), ("7/10s", 7)] {
            let rate = Rate::parse(text).unwrap();
            let (limits, clock) = limits(Rates { per_user: Some(rate), ..Rates::default() }, 100);
            let take = || limits.commands.take(None, "alice", None).is_ok();
            assert_eq!((0..1_000).filter(|_| take()).count(), burst, "{text}: at once");
            // Ten periods, asked a thousand times as often as may be.
            let step = (rate.period() / 1_000).max(Duration::from_millis(1));
            let steps = (rate.period() * 10).as_millis() / step.as_millis();
            let mut taken = 0;
            for _ in 0..steps {
                clock.advance(step);
                taken += (0..3).filter(|_| take()).count();
            }
            let expected = rate.count().get() as usize * 10;
            assert!(taken.abs_diff(expected) * 10 <= expected, "{text}: {taken} in ten periods");
        }
    }

    #[test]
    fn each_limit_has_its_own_say() {
        let rates = Rates { per_user: rate("2/m"), per_address: rate("3/m"), total: rate("5/m"), ..Rates::default() };
        let (limits, clock) = limits(rates, 100);
        let take = |user: &str, address: [u8; 4]| limits.commands.take(None, user, Some(address.into()));
        assert!(take("alice", [10, 0, 0, 1]).is_ok() && take("alice", [10, 0, 0, 1]).is_ok());
        assert_eq!(take("alice", [10, 0, 0, 1]), Err(TooOften { wait: Duration::from_secs(30) }), "her own limit");
        assert!(take("bob", [10, 0, 0, 1]).is_ok(), "she took nothing more from her address");
        assert!(take("carol", [10, 0, 0, 1]).is_err(), "the address's limit");
        assert!(take("dave", [10, 0, 0, 2]).is_ok() && take("dave", [10, 0, 0, 2]).is_ok());
        assert!(take("erin", [10, 0, 0, 3]).is_err(), "the limit of all");
        clock.advance(Duration::from_secs(60));
        assert!(take("alice", [10, 0, 0, 1]).is_ok());
        assert!(limits.publishes.take(None, "alice", Some(HOME)).is_ok(), "what is off lets everybody through");
        let networks = Limit::new(&Rates { per_address: rate("1/m"), ..Rates::default() }, 100, &clock);
        assert!(networks.take(None, "", Some("2001:db8::1".parse().unwrap())).is_ok());
        assert!(networks.take(None, "", Some("2001:db8::2".parse().unwrap())).is_err(), "an IPv6 network is one address");
    }

    #[test]
    fn a_connection_has_limits_of_its_own() {
        let (limits, clock) = limits(Rates { per_connection: rate("2/s"), ..Rates::default() }, 100);
        let (one, other) = (limits.of_connection().unwrap(), limits.of_connection().unwrap());
        let take = |own: &ConnectionLimits| limits.commands.take(own.commands.as_ref(), "alice", Some(HOME)).is_ok();
        assert!(take(&one) && take(&one) && !take(&one) && take(&other));
        clock.advance(Duration::from_millis(500));
        assert!(take(&one) && !take(&one));
        assert!(one.publishes.is_none());
        let (off, _) = self::limits(Rates { per_user: rate("1/s"), ..Rates::default() }, 100);
        assert!(off.of_connection().is_none());
    }

    #[test]
    fn half_a_million_strangers_take_bounded_room_and_nobody_s_place() {
        let (limits, clock) = limits(Rates { per_user: rate("10/s burst 10"), ..Rates::default() }, 10_000);
        let take = |user: &str| limits.commands.take(None, user, None).is_ok();
        assert!(take("alice"));
        let let_through = (0..500_000).filter(|n| take(&format!("stranger {n}"))).count();
        assert!(limits.len() <= 10_000 + SHARDS, "{}", limits.len());
        assert!(let_through <= 10_000 + SHARDS + 10, "those without a bucket of their own share one: {let_through}");
        assert_eq!((0..20).filter(|_| take("alice")).count(), 9, "who was there has what is left of its own");
        clock.advance(Duration::from_secs(2));
        limits.sweep();
        assert!(limits.is_empty(), "who has been quiet is forgotten");
        let table = limits.commands.per_user.as_ref().unwrap();
        assert!(take("alice") && table.len() == 1);
    }
}

//! How often somebody may try a password: per name and per address, with pauses that grow. Pure rules over a bounded table.
//!
//! Asked by `auth::accounts` before a password is looked at. A try counts when it begins, so that many at once are no way around the limit;
//! a right password takes it back. Time is that of the monotonic clock: a clock that is set neither shortens a pause nor prolongs it. Names
//! that no user has count like those of users, so the limits tell nothing about who there is.

use crate::clock::Millis;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

/// Names, and addresses, that are remembered. Beyond it the one that was tried longest ago is forgotten.
const ENTRIES_MAX: usize = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleRules {
    /// Failed tries for one name before its first pause. After it each further one brings the next pause, twice as long.
    pub tries: u32,
    /// The same for one address.
    pub tries_per_address: u32,
    pub pause_ms: Millis,
    pub pause_max_ms: Millis,
}

#[derive(Debug)]
pub struct Throttle {
    rules: ThrottleRules,
    names: Table<Box<str>>,
    addresses: Table<IpAddr>,
}

/// No try now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paused {
    pub for_ms: Millis,
}

/// A try that was let through. Its outcome is told to [`Throttle::right`], [`Throttle::wrong`] or [`Throttle::undone`]; one of which nothing
/// is told counts as wrong.
#[derive(Debug)]
pub struct Try {
    name: Option<Box<str>>,
    address: IpAddr,
}

impl Throttle {
    pub fn new(rules: ThrottleRules) -> Self {
        Self { rules, names: Table::default(), addresses: Table::default() }
    }

    /// Whether a try may begin. `name`: as users are named; `None` where no user can have that name.
    pub fn begin(&mut self, name: Option<&str>, address: IpAddr, now: Millis) -> Result<Try, Paused> {
        let address = network(address);
        let for_ms = name.map_or(0, |name| self.names.paused(name, now)).max(self.addresses.paused(&address, now));
        if for_ms > 0 {
            return Err(Paused { for_ms });
        }
        let name: Option<Box<str>> = name.map(Box::from);
        if let Some(name) = &name {
            self.names.count(name.clone(), self.rules.tries, &self.rules, now);
        }
        self.addresses.count(address, self.rules.tries_per_address, &self.rules, now);
        Ok(Try { name, address })
    }

    /// The password was right: the name is as if it had never been tried. Of the address only this try is forgotten; otherwise whoever has an
    /// account could try others for ever.
    pub fn right(&mut self, tried: &Try) {
        if let Some(name) = &tried.name {
            self.names.forget(name);
        }
        self.addresses.take_back(&tried.address, self.rules.tries_per_address);
    }

    /// The password was wrong: how many more tries there are before the next pause, or how long the pause is that begins now.
    pub fn wrong(&self, tried: &Try, now: Millis) -> Result<u32, Paused> {
        let for_ms = tried.name.as_ref().map_or(0, |name| self.names.paused(name, now)).max(self.addresses.paused(&tried.address, now));
        if for_ms > 0 {
            return Err(Paused { for_ms });
        }
        let of_name = tried.name.as_ref().map_or(u32::MAX, |name| self.names.left(name, self.rules.tries));
        Ok(of_name.min(self.addresses.left(&tried.address, self.rules.tries_per_address)))
    }

    /// It could not be found out whether the password is right: the try has not been.
    pub fn undone(&mut self, tried: &Try) {
        if let Some(name) = &tried.name {
            self.names.take_back(name, self.rules.tries);
        }
        self.addresses.take_back(&tried.address, self.rules.tries_per_address);
    }

    /// The first pause.
    pub fn pause_ms(&self) -> Millis {
        self.rules.pause_ms
    }
}

/// What counts as one address: of IPv6 the network that one customer is given at least (RFC 6177, 2).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Since the last pause.
    failed: u32,
    pauses: u32,
    paused_until: Millis,
    /// When all of it is forgotten.
    until: Millis,
}

impl Entry {
    /// After a pause there is one try at a time.
    fn limit(&self, tries: u32) -> u32 {
        if self.pauses == 0 { tries.max(1) } else { 1 }
    }
}

/// Entries by key, and in the order in which they are forgotten.
#[derive(Debug)]
struct Table<K> {
    entries: HashMap<K, Entry>,
    order: BTreeSet<(Millis, K)>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { entries: HashMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Clone + Hash + Eq + Ord> Table<K> {
    fn paused<Q>(&self, key: &Q, now: Millis) -> Millis
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.get(key).map_or(0, |entry| entry.paused_until.saturating_sub(now))
    }

    fn left(&self, key: &K, tries: u32) -> u32 {
        self.entries.get(key).map_or(tries, |entry| entry.limit(tries).saturating_sub(entry.failed))
    }

    fn count(&mut self, key: K, tries: u32, rules: &ThrottleRules, now: Millis) {
        let mut entry = self.remove(&key).filter(|entry| now < entry.until).unwrap_or_default();
        entry.failed += 1;
        if entry.failed >= entry.limit(tries) {
            let doubled = rules.pause_ms.saturating_mul(1_u64.checked_shl(entry.pauses).unwrap_or(Millis::MAX));
            entry.paused_until = now + doubled.min(rules.pause_max_ms);
            entry.pauses = (entry.pauses + 1).min(63);
            entry.failed = 0;
        }
        entry.until = entry.paused_until.max(now) + rules.pause_max_ms;
        while self.order.first().is_some_and(|(until, _)| *until <= now) || self.entries.len() >= ENTRIES_MAX {
            let Some((_, first)) = self.order.pop_first() else { break };
            self.entries.remove(&first);
        }
        self.order.insert((entry.until, key.clone()));
        self.entries.insert(key, entry);
    }

    /// One counted try less. The pause that it brought is lifted.
    fn take_back(&mut self, key: &K, tries: u32) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.failed > 0 {
            entry.failed -= 1;
        } else if entry.pauses > 0 {
            entry.pauses -= 1;
            entry.paused_until = 0;
            entry.failed = entry.limit(tries) - 1;
        }
        if entry.failed == 0 && entry.pauses == 0 {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: &K) {
        self.remove(key);
    }

    fn remove(&mut self, key: &K) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&(entry.until, key.clone()));
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: ThrottleRules = ThrottleRules { tries: 3, tries_per_address: 6, pause_ms: 60_000, pause_max_ms: 200_000 };
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const START: Millis = 1_000_000;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + number).into())
    }
    /// A wrong password: what is left, or the pause.
    fn wrong(throttle: &mut Throttle, name: &str, address: IpAddr, now: Millis) -> Result<u32, Paused> {
        let tried = throttle.begin(Some(name), address, now)?;
        throttle.wrong(&tried, now)
    }

    #[test]
    fn pauses_come_after_the_tries_and_grow_to_their_limit() {
        let mut throttle = Throttle::new(RULES);
        let mut now = START;
        let from = |number: &mut u32| {
            *number += 1;
            address(*number)
        };
        let mut addresses = 0;
        assert_eq!(wrong(&mut throttle, "alice", from(&mut addresses), now), Ok(2));
        assert_eq!(wrong(&mut throttle, "alice", from(&mut addresses), now), Ok(1));
        for pause in [60_000, 120_000, 200_000, 200_000] {
            assert_eq!(wrong(&mut throttle, "alice", from(&mut addresses), now), Err(Paused { for_ms: pause }));
            now += 1;
            assert_eq!(wrong(&mut throttle, "alice", from(&mut addresses), now), Err(Paused { for_ms: pause - 1 }), "and trying does not prolong it");
            let bob = throttle.begin(Some("bob"), from(&mut addresses), now).expect("others are not paused");
            throttle.right(&bob);
            now += pause - 1;
        }
        // Long after the last pause all is forgotten.
        now += 200_000;
        assert_eq!(wrong(&mut throttle, "alice", from(&mut addresses), now), Ok(2));
    }

    #[test]
    fn the_right_password_takes_the_name_back_to_the_beginning_but_not_the_address() {
        let mut throttle = Throttle::new(RULES);
        for round in 0..6 {
            // Somebody with an account of its own tries another one in between.
            let tried = throttle.begin(Some("mallory"), HERE, START);
            let victim = format!("victim-{round}");
            if round < 5 {
                throttle.right(&tried.unwrap());
                assert_eq!(wrong(&mut throttle, &victim, HERE, START), Ok(2.min(5 - round)), "round {round}");
            } else {
                let tried = tried.unwrap();
                throttle.right(&tried);
                assert_eq!(wrong(&mut throttle, &victim, HERE, START), Err(Paused { for_ms: 60_000 }));
            }
        }
        assert!(throttle.names.entries.contains_key("victim-0") && !throttle.names.entries.contains_key("mallory"));
    }

    #[test]
    fn tries_count_when_they_begin() {
        let mut throttle = Throttle::new(RULES);
        let tries: Vec<_> = (0..10).map(|number| throttle.begin(Some("alice"), address(number), START)).collect();
        assert_eq!(tries.iter().filter(|tried| tried.is_ok()).count(), 3);
        // One of them has the right password after all.
        throttle.right(tries[1].as_ref().unwrap());
        assert_eq!(wrong(&mut throttle, "alice", HERE, START), Ok(2));
    }

    #[test]
    fn a_try_that_came_to_nothing_does_not_count() {
        let mut throttle = Throttle::new(RULES);
        for _ in 0..100 {
            let tried = throttle.begin(Some("alice"), HERE, START).unwrap();
            throttle.undone(&tried);
        }
        assert!(throttle.names.entries.is_empty() && throttle.addresses.entries.is_empty() && throttle.names.order.is_empty());
        assert_eq!(wrong(&mut throttle, "alice", HERE, START), Ok(2));
        assert_eq!(wrong(&mut throttle, "alice", HERE, START), Ok(1));
        let last = throttle.begin(Some("alice"), HERE, START).unwrap();
        assert!(throttle.wrong(&last, START).is_err());
        throttle.undone(&last);
        assert_eq!(throttle.wrong(&last, START), Ok(1), "its pause is lifted");
    }

    #[test]
    fn an_address_is_paused_for_all_names_and_a_network_is_one() {
        let mut throttle = Throttle::new(RULES);
        let v6 = |last: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, last));
        for number in 0..5 {
            assert!(wrong(&mut throttle, &format!("user-{number}"), v6(number), START).is_ok());
        }
        assert_eq!(wrong(&mut throttle, "user-5", v6(5), START), Err(Paused { for_ms: 60_000 }));
        assert_eq!(throttle.begin(Some("alice"), v6(6), START).err(), Some(Paused { for_ms: 60_000 }));
        assert_eq!(throttle.begin(None, v6(6), START).err(), Some(Paused { for_ms: 60_000 }), "names that cannot be too");
        assert!(throttle.begin(Some("alice"), "2001:db8:0:8::1".parse().unwrap(), START).is_ok());
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), HERE);
    }

    #[test]
    fn names_that_cannot_be_count_for_the_address_alone() {
        let mut throttle = Throttle::new(RULES);
        for left in (1..=5).rev() {
            let tried = throttle.begin(None, HERE, START).unwrap();
            assert_eq!(throttle.wrong(&tried, START), Ok(left));
        }
        assert!(throttle.names.entries.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_the_latest_stay() {
        let mut throttle = Throttle::new(RULES);
        for number in 0..=ENTRIES_MAX as u32 {
            let now = START + Millis::from(number) / 1_000;
            let _ = wrong(&mut throttle, &format!("user-{number}"), address(number), now);
        }
        for len in [throttle.names.entries.len(), throttle.names.order.len(), throttle.addresses.entries.len(), throttle.addresses.order.len()] {
            assert_eq!(len, ENTRIES_MAX);
        }
        assert!(!throttle.names.entries.contains_key("user-0") && throttle.names.entries.contains_key(format!("user-{ENTRIES_MAX}").as_str()));
        // What has passed makes room by itself.
        let _ = wrong(&mut throttle, "alice", HERE, START + 10_000_000);
        assert_eq!((throttle.names.entries.len(), throttle.addresses.order.len()), (1, 1));
    }
}

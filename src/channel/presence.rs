//! Who is present in one channel.

use super::{ClientInfo, SessionId, UserId};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

/// Tables of fewer places are not worth shrinking.
const PLACES_MIN: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PresenceStats {
    pub clients: usize,
    /// Distinct ones; all anonymous users count as one.
    pub users: usize,
}

/// The clients of one channel. Users are counted as they come and go, so that asking for numbers does not walk through everybody.
#[derive(Debug, Default)]
pub struct PresenceSet {
    clients: HashMap<SessionId, Arc<ClientInfo>>,
    users: HashMap<UserId, u32>,
}

impl PresenceSet {
    /// Adds a client, or replaces what is known about it. True if it was not there.
    pub fn add(&mut self, info: Arc<ClientInfo>) -> bool {
        *self.users.entry(info.user.clone()).or_default() += 1;
        match self.clients.insert(info.client, info) {
            Some(replaced) => {
                self.forget_user(&replaced.user);
                false
            }
            None => true,
        }
    }

    /// True if it was there.
    pub fn remove(&mut self, session: SessionId) -> bool {
        let Some(removed) = self.clients.remove(&session) else { return false };
        self.forget_user(&removed.user);
        shrink(&mut self.clients);
        shrink(&mut self.users);
        true
    }

    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// In no particular order.
    pub fn clients(&self) -> impl ExactSizeIterator<Item = &Arc<ClientInfo>> {
        self.clients.values()
    }

    pub fn stats(&self) -> PresenceStats {
        PresenceStats { clients: self.clients.len(), users: self.users.len() }
    }

    fn forget_user(&mut self, user: &UserId) {
        if let Entry::Occupied(mut sessions) = self.users.entry(user.clone()) {
            *sessions.get_mut() -= 1;
            if *sessions.get() == 0 {
                sessions.remove();
            }
        }
    }
}

/// Gives back the memory of a table that was much larger once. Halving at a quarter keeps the cost per removal constant.
fn shrink<K: Eq + Hash, V>(table: &mut HashMap<K, V>) {
    if table.capacity() > PLACES_MIN && table.len() * 4 < table.capacity() {
        table.shrink_to(table.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn client(user: &str) -> Arc<ClientInfo> {
        Arc::new(ClientInfo { user: user.into(), client: SessionId::random(), conn_info: Bytes::new(), chan_info: Bytes::new() })
    }

    #[test]
    fn anonymous_users_count_as_one() {
        let mut set = PresenceSet::default();
        for user in ["", "", "anna", "anna", "ben"] {
            assert!(set.add(client(user)));
        }
        assert_eq!(set.stats(), PresenceStats { clients: 5, users: 3 });
    }

    #[test]
    fn a_client_added_again_as_another_user_is_still_one_client() {
        let mut set = PresenceSet::default();
        let anna = client("anna");
        set.add(Arc::clone(&anna));
        let ben = Arc::new(ClientInfo { user: "ben".into(), ..(*anna).clone() });
        assert!(!set.add(Arc::clone(&ben)));
        assert_eq!(set.stats(), PresenceStats { clients: 1, users: 1 });
        assert_eq!(set.clients().collect::<Vec<_>>(), [&ben]);
        assert!(set.remove(anna.client));
        assert!(set.is_empty());
        assert_eq!(set.stats(), PresenceStats::default());
    }

    #[test]
    fn removing_somebody_unknown_changes_nothing() {
        let mut set = PresenceSet::default();
        set.add(client("anna"));
        assert!(!set.remove(SessionId::random()));
        assert_eq!(set.stats(), PresenceStats { clients: 1, users: 1 });
    }

    #[test]
    fn a_crowd_that_left_gives_its_memory_back() {
        let mut set = PresenceSet::default();
        let crowd: Vec<_> = (0..10_000).map(|n| client(&n.to_string())).collect();
        for one in &crowd {
            set.add(Arc::clone(one));
        }
        for one in &crowd[1..] {
            set.remove(one.client);
        }
        assert_eq!(set.stats(), PresenceStats { clients: 1, users: 1 });
        assert!(set.clients.capacity() <= PLACES_MIN && set.users.capacity() <= PLACES_MIN, "{} places kept", set.clients.capacity());
    }
}

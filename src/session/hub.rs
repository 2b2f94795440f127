//! Who is connected to this node: by session and by user.
//!
//! Holds weak addresses only. A session is here exactly as long as its [`HubGuard`] lives.

use super::Session;
use crate::channel::{SessionId, UserId};
use actix::{Addr, WeakAddr};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Locks that sessions and users are spread over.
const SHARDS: usize = 64;

pub struct Hub {
    sessions: [Mutex<HashMap<SessionId, WeakAddr<Session>>>; SHARDS],
    users: [Mutex<HashMap<UserId, Vec<SessionId>>>; SHARDS],
    hasher: RandomState,
    anonymous: AtomicUsize,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            sessions: std::array::from_fn(|_| Mutex::default()),
            users: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            anonymous: AtomicUsize::new(0),
        }
    }
}

impl Hub {
    /// Adds a session, unless its user has `limit` of them already (0: no limit; anonymous users have none).
    pub fn enter(self: &Arc<Self>, session: SessionId, user: &UserId, addr: WeakAddr<Session>, limit: usize) -> Option<HubGuard> {
        if user.is_anonymous() {
            self.anonymous.fetch_add(1, Ordering::Relaxed);
        } else {
            let mut users = self.user_shard(user).lock();
            let sessions = users.entry(user.clone()).or_default();
            if limit > 0 && sessions.len() >= limit {
                return None;
            }
            sessions.push(session);
        }
        self.session_shard(&session).lock().insert(session, addr);
        Some(HubGuard { hub: Arc::clone(self), session, user: user.clone() })
    }

    pub fn find(&self, session: SessionId) -> Option<Addr<Session>> {
        self.session_shard(&session).lock().get(&session).and_then(WeakAddr::upgrade)
    }

    /// All sessions of a named user.
    pub fn of_user(&self, user: &UserId) -> Vec<(SessionId, Addr<Session>)> {
        let sessions = self.user_shard(user).lock().get(user).cloned().unwrap_or_default();
        sessions.into_iter().filter_map(|session| Some((session, self.find(session)?))).collect()
    }

    /// Sessions that are connected.
    pub fn len(&self) -> usize {
        self.sessions.iter().map(|shard| shard.lock().len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Distinct users; all anonymous ones count as one.
    pub fn users(&self) -> usize {
        let named: usize = self.users.iter().map(|shard| shard.lock().len()).sum();
        named + usize::from(self.anonymous.load(Ordering::Relaxed) > 0)
    }

    fn session_shard(&self, session: &SessionId) -> &Mutex<HashMap<SessionId, WeakAddr<Session>>> {
        &self.sessions[(self.hasher.hash_one(session) % SHARDS as u64) as usize]
    }

    fn user_shard(&self, user: &UserId) -> &Mutex<HashMap<UserId, Vec<SessionId>>> {
        &self.users[(self.hasher.hash_one(user) % SHARDS as u64) as usize]
    }
}

/// A session's place in the hub; dropping it leaves.
pub struct HubGuard {
    hub: Arc<Hub>,
    session: SessionId,
    user: UserId,
}

impl Drop for HubGuard {
    fn drop(&mut self) {
        {
            let mut sessions = self.hub.session_shard(&self.session).lock();
            sessions.remove(&self.session);
            if sessions.is_empty() {
                *sessions = HashMap::new();
            }
        }
        if self.user.is_anonymous() {
            self.hub.anonymous.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let mut users = self.hub.user_shard(&self.user).lock();
        if let Some(sessions) = users.get_mut(&self.user) {
            sessions.retain(|session| *session != self.session);
            if sessions.is_empty() {
                users.remove(&self.user);
            }
        }
        if users.is_empty() {
            *users = HashMap::new();
        }
    }
}

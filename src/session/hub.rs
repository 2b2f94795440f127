//! Who is connected to this node: by session, by user, and by what else a connection can be found by.
//!
//! Holds weak addresses only. A session is here exactly as long as its [`HubGuard`] lives. Sessions and users have an index; logins, tokens
//! and addresses are looked for among all sessions, which takes about a millisecond for 25,000 and happens when somebody steers, never on the
//! way of a message.

use super::facts::{SessionFacts, Transport};
use super::{Disconnected, Session};
use crate::auth::{Blocks, Evict, Role};
use crate::channel::{SessionId, UserId};
use crate::protocol::codes::Disconnect;
use crate::store::{BlockKind, LoginId};
use crate::telemetry::emit;
use crate::telemetry::tokens::Evicted;
use actix::{Addr, WeakAddr};
use ipnet::IpNet;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Locks that sessions and users are spread over.
const SHARDS: usize = 64;

pub struct Hub {
    sessions: [Mutex<HashMap<SessionId, Entry>>; SHARDS],
    users: [Mutex<HashMap<UserId, Vec<SessionId>>>; SHARDS],
    hasher: RandomState,
    anonymous: AtomicUsize,
    by_transport: [AtomicUsize; Transport::ALL.len()],
}

struct Entry {
    addr: WeakAddr<Session>,
    facts: Arc<SessionFacts>,
}

/// A connection that was found.
#[derive(Clone)]
pub struct Found {
    pub facts: Arc<SessionFacts>,
    pub addr: Addr<Session>,
}

/// Which sessions are meant: those of which everything holds that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionQuery {
    pub user: Option<UserId>,
    pub role: Option<Role>,
    pub login: Option<LoginId>,
    /// A token's own id.
    pub token: Option<String>,
    /// A network; one address is a network of one.
    pub address: Option<IpNet>,
}

impl SessionQuery {
    fn matches(&self, facts: &SessionFacts) -> bool {
        let matches_credentials = || {
            let credentials = facts.credentials();
            self.role.is_none_or(|role| credentials.role == Some(role))
                && self.login.is_none_or(|login| credentials.login == Some(login))
                && self.token.as_deref().is_none_or(|jti| credentials.jti.as_deref() == Some(jti))
        };
        self.user.as_ref().is_none_or(|user| facts.user == *user)
            && self.address.is_none_or(|network| network.contains(&facts.peer.address))
            && ((self.role.is_none() && self.login.is_none() && self.token.is_none()) || matches_credentials())
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            sessions: std::array::from_fn(|_| Mutex::default()),
            users: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            anonymous: AtomicUsize::new(0),
            by_transport: Default::default(),
        }
    }
}

impl Hub {
    /// Adds a session, unless its user has `limit` of them already (0: no limit; anonymous users have none).
    pub fn enter(self: &Arc<Self>, facts: &Arc<SessionFacts>, addr: WeakAddr<Session>, limit: usize) -> Option<HubGuard> {
        if facts.user.is_anonymous() {
            self.anonymous.fetch_add(1, Ordering::Relaxed);
        } else {
            let mut users = self.user_shard(&facts.user).lock();
            let sessions = users.entry(facts.user.clone()).or_default();
            if limit > 0 && sessions.len() >= limit {
                return None;
            }
            // Most users have one connection; the default growth would give each room for four.
            sessions.reserve_exact(1);
            sessions.push(facts.session);
        }
        self.by_transport[facts.peer.transport as usize].fetch_add(1, Ordering::Relaxed);
        self.session_shard(&facts.session).lock().insert(facts.session, Entry { addr, facts: Arc::clone(facts) });
        Some(HubGuard { hub: Arc::clone(self), facts: Arc::clone(facts) })
    }

    pub fn find(&self, session: SessionId) -> Option<Found> {
        self.session_shard(&session).lock().get(&session).and_then(Entry::found)
    }

    /// The session of this secret id.
    pub fn find_by_secret_id(&self, secret: &str) -> Option<Found> {
        let (session, _) = secret.split_once('.')?;
        self.find(SessionId::parse(session)?).filter(|found| found.facts.has_secret_id(secret))
    }

    /// All sessions of a named user.
    pub fn of_user(&self, user: &UserId) -> Vec<Found> {
        let sessions = self.user_shard(user).lock().get(user).cloned().unwrap_or_default();
        sessions.into_iter().filter_map(|session| self.find(session)).collect()
    }

    /// All sessions of a login.
    pub fn of_login(&self, login: LoginId) -> Vec<Found> {
        self.all(&SessionQuery { login: Some(login), ..SessionQuery::default() })
    }

    /// All sessions that live on the token of this id.
    pub fn of_token(&self, jti: &str) -> Vec<Found> {
        self.all(&SessionQuery { token: Some(jti.to_string()), ..SessionQuery::default() })
    }

    /// All sessions from an address or a network.
    pub fn of_address(&self, network: IpNet) -> Vec<Found> {
        self.all(&SessionQuery { address: Some(network), ..SessionQuery::default() })
    }

    /// All sessions that are meant, in no order.
    pub fn all(&self, query: &SessionQuery) -> Vec<Found> {
        let mut found = Vec::new();
        self.each(query, |entry| found.extend(entry.found()));
        found
    }

    /// What is known of everybody, in no order.
    pub fn facts(&self) -> Vec<Arc<SessionFacts>> {
        let mut all = Vec::with_capacity(self.len());
        self.each(&SessionQuery::default(), |entry| all.push(Arc::clone(&entry.facts)));
        all
    }

    /// The first `limit` of those that are meant, ordered by session, beginning behind `after`.
    pub fn list(&self, query: &SessionQuery, after: Option<SessionId>, limit: usize) -> Vec<Arc<SessionFacts>> {
        let mut page = BTreeMap::new();
        self.each(query, |entry| {
            let session = entry.facts.session;
            let is_before_the_last = page.len() < limit || page.last_key_value().is_some_and(|(last, _)| session < *last);
            if after.is_none_or(|after| session > after) && is_before_the_last {
                page.insert(session, Arc::clone(&entry.facts));
                if page.len() > limit {
                    page.pop_last();
                }
            }
        });
        page.into_values().collect()
    }

    /// How many sessions are meant.
    pub fn count(&self, query: &SessionQuery) -> usize {
        let mut count = 0;
        self.each(query, |_| count += 1);
        count
    }

    fn each(&self, query: &SessionQuery, mut visit: impl FnMut(&Entry)) {
        if let Some(user) = query.user.as_ref().filter(|user| !user.is_anonymous()) {
            let sessions = self.user_shard(user).lock().get(user).cloned().unwrap_or_default();
            for session in sessions {
                if let Some(entry) = self.session_shard(&session).lock().get(&session).filter(|entry| query.matches(&entry.facts)) {
                    visit(entry);
                }
            }
            return;
        }
        for shard in &self.sessions {
            shard.lock().values().filter(|entry| query.matches(&entry.facts)).for_each(&mut visit);
        }
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

    /// Sessions on a transport.
    pub fn on(&self, transport: Transport) -> usize {
        self.by_transport[transport as usize].load(Ordering::Relaxed)
    }

    fn session_shard(&self, session: &SessionId) -> &Mutex<HashMap<SessionId, Entry>> {
        &self.sessions[(self.hasher.hash_one(session) % SHARDS as u64) as usize]
    }

    fn user_shard(&self, user: &UserId) -> &Mutex<HashMap<UserId, Vec<SessionId>>> {
        &self.users[(self.hasher.hash_one(user) % SHARDS as u64) as usize]
    }
}

impl Evict for Hub {
    fn evict(&self, blocks: &Blocks) {
        let mut count = 0;
        self.each(&SessionQuery::default(), |Entry { addr, facts }| {
            if let Some(kind) = facts.block(blocks)
                && let Some(addr) = addr.upgrade()
            {
                addr.do_send(Disconnected::because(why_blocked(kind)));
                count += 1;
            }
        });
        if count > 0 {
            emit(Evicted { count });
        }
    }
}

/// What a client is told that is kept out. A revoked token is told apart from no other that is refused.
pub(super) const fn why_blocked(kind: BlockKind) -> Disconnect {
    match kind {
        BlockKind::Token => Disconnect::INVALID_TOKEN,
        BlockKind::User | BlockKind::Address => Disconnect::FORCE_NO_RECONNECT,
    }
}

impl Entry {
    /// `None` for a session that is about to end.
    fn found(&self) -> Option<Found> {
        Some(Found { facts: Arc::clone(&self.facts), addr: self.addr.upgrade()? })
    }
}

/// A session's place in the hub; dropping it leaves.
pub struct HubGuard {
    hub: Arc<Hub>,
    facts: Arc<SessionFacts>,
}

impl Drop for HubGuard {
    fn drop(&mut self) {
        let SessionFacts { session, user, .. } = &*self.facts;
        self.hub.by_transport[self.facts.peer.transport as usize].fetch_sub(1, Ordering::Relaxed);
        {
            let mut sessions = self.hub.session_shard(session).lock();
            sessions.remove(session);
            if sessions.is_empty() {
                *sessions = HashMap::new();
            }
        }
        if user.is_anonymous() {
            self.hub.anonymous.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let mut users = self.hub.user_shard(user).lock();
        if let Some(sessions) = users.get_mut(user) {
            sessions.retain(|other| other != session);
            if sessions.is_empty() {
                users.remove(user);
            }
        }
        if users.is_empty() {
            *users = HashMap::new();
        }
    }
}

//! Who is kept out, whatever token it shows: revoked token ids, banned users, banned addresses and networks.
//!
//! The store has them all; here is this node's view of them, asked at every handshake, connect and refresh, in memory and at once. Whoever
//! blocks by this node is in the view when the call returns, and the live connections that are meant are closed right after, by whoever is
//! plugged in ([`Evict`]). What other nodes and the command line have written arrives with the next look at the store. A store that does not
//! answer leaves the view as it is.

use crate::channel::UserId;
use crate::clock::Clock;
use crate::store::{Block, BlockKind, Store, StoreError, WallMs};
use crate::telemetry::emit;
use crate::telemetry::tokens::{BlocksLeftOut, BlocksNotRead};
use ipnet::IpNet;
use parking_lot::RwLock;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Blocks that a node knows. Those behind it, in the order of kind and subject, have no effect, which is said in the log.
pub const BLOCKS_MAX: usize = 100_000;

/// The longest token id or user that can be blocked.
const SUBJECT_BYTES_MAX: usize = 1_024;

/// Ends the connections of those who are kept out by now.
pub trait Evict: Send + Sync {
    /// Looks at every live connection. Called soon after the view has changed, never twice at once.
    fn evict(&self, blocks: &Blocks);
}

/// Who wants in, or is in.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    pub user: &'a UserId,
    pub jti: Option<&'a str>,
    pub address: IpAddr,
}

#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    #[error("\"{subject}\" is not {expected}")]
    Subject { subject: String, expected: &'static str },
    #[error("there are {BLOCKS_MAX} blocks already")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub struct Blocks {
    store: Arc<dyn Store>,
    clock: Clock,
    view: RwLock<View>,
    /// Whether nobody is kept out, so that most hubs pay for one load.
    is_empty: AtomicBool,
    /// Counts what this node has written: a look at the store that began before it does not know of it.
    writes: AtomicU64,
    changed: Notify,
}

/// When each block ends; `WallMs::MAX`: never.
#[derive(Debug, Default, PartialEq, Eq)]
struct View {
    tokens: HashMap<Box<str>, WallMs>,
    users: HashMap<UserId, WallMs>,
    networks: HashMap<IpNet, WallMs>,
    /// The lengths that networks have, with whether they are of IPv4: an address is looked up once for each.
    prefixes: BTreeSet<(bool, u8)>,
}

impl View {
    fn of(blocks: &[Block]) -> Self {
        let mut view = Self::default();
        blocks.iter().for_each(|block| view.put(block));
        view
    }

    fn len(&self) -> usize {
        self.tokens.len() + self.users.len() + self.networks.len()
    }

    /// What is not understood, because somebody else has written it, keeps nobody out.
    fn put(&mut self, block: &Block) {
        let until = block.until.unwrap_or(WallMs::MAX);
        match block.kind {
            BlockKind::Token => _ = self.tokens.insert(block.subject.as_str().into(), until),
            BlockKind::User => _ = self.users.insert(UserId::new(&block.subject), until),
            BlockKind::Address => {
                if let Some(network) = network(&block.subject) {
                    self.networks.insert(network, until);
                    self.prefixes.insert((network.addr().is_ipv4(), network.prefix_len()));
                }
            }
        }
    }

    fn remove(&mut self, kind: BlockKind, subject: &str) {
        match kind {
            BlockKind::Token => _ = self.tokens.remove(subject),
            BlockKind::User => _ = self.users.remove(&UserId::new(subject)),
            BlockKind::Address => _ = network(subject).and_then(|network| self.networks.remove(&network)),
        }
    }

    fn has_address(&self, address: IpAddr, now: WallMs) -> bool {
        let address = address.to_canonical();
        let own = self.prefixes.iter().filter(|(is_v4, _)| *is_v4 == address.is_ipv4());
        own.filter_map(|(_, length)| IpNet::new(address, *length).ok()).any(|network| lasts(self.networks.get(&network.trunc()), now))
    }
}

fn lasts(until: Option<&WallMs>, now: WallMs) -> bool {
    until.is_some_and(|until| now < *until)
}

/// An address or a network, in the one form that it is kept in: without host bits, IPv4 as IPv4.
fn network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => text.parse().ok()?,
    };
    match network {
        // ::ffff:a.b.c.d/96+n is a.b.c.d/n (RFC 4291, 2.5.5.2).
        IpNet::V6(v6) if v6.prefix_len() >= 96 && v6.network().to_ipv4_mapped().is_some() => {
            IpNet::new(v6.network().to_canonical(), v6.prefix_len() - 96).ok()
        }
        network => Some(network.trunc()),
    }
}

impl Blocks {
    /// Knows of nothing until it is told to [`Blocks::read`].
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { store, clock, view: RwLock::default(), is_empty: AtomicBool::new(true), writes: AtomicU64::new(0), changed: Notify::new() }
    }

    /// Why this visitor is kept out, if it is.
    pub fn find(&self, visitor: &Visitor<'_>) -> Option<BlockKind> {
        if self.is_empty.load(Ordering::Acquire) {
            return None;
        }
        let now = self.clock.wall_ms();
        let view = self.view.read();
        if visitor.jti.is_some_and(|jti| lasts(view.tokens.get(jti), now)) {
            Some(BlockKind::Token)
        } else if lasts(view.users.get(visitor.user), now) {
            Some(BlockKind::User)
        } else {
            view.has_address(visitor.address, now).then_some(BlockKind::Address)
        }
    }

    /// Whether an address is kept out.
    pub fn has_address(&self, address: IpAddr) -> bool {
        !self.is_empty.load(Ordering::Acquire) && self.view.read().has_address(address, self.clock.wall_ms())
    }

    /// Keeps somebody out from now on, and ends what connections it has. Its subject is brought into its one form. Repeating it is harmless.
    pub async fn put(&self, mut block: Block) -> Result<Block, BlockError> {
        block.subject = subject(block.kind, &block.subject)?;
        if self.view.read().len() >= BLOCKS_MAX {
            return Err(BlockError::TooMany);
        }
        self.store.put_block(&block).await?;
        {
            let mut view = self.view.write();
            self.writes.fetch_add(1, Ordering::AcqRel);
            view.put(&block);
            self.is_empty.store(false, Ordering::Release);
        }
        self.changed.notify_one();
        Ok(block)
    }

    /// Lets somebody in again. Whether it was kept out.
    pub async fn remove(&self, kind: BlockKind, subject_text: &str) -> Result<bool, BlockError> {
        let subject = subject(kind, subject_text)?;
        let was_there = self.store.remove_block(kind, &subject).await?;
        let mut view = self.view.write();
        self.writes.fetch_add(1, Ordering::AcqRel);
        view.remove(kind, &subject);
        Ok(was_there)
    }

    /// Takes over what the store has. Whether anything is different now.
    pub async fn read(&self) -> Result<bool, StoreError> {
        loop {
            let writes = self.writes.load(Ordering::Acquire);
            let blocks = self.store.blocks(self.clock.wall_ms(), BLOCKS_MAX).await?;
            if blocks.len() == BLOCKS_MAX {
                emit(BlocksLeftOut { max: BLOCKS_MAX });
            }
            let new = View::of(&blocks);
            let mut view = self.view.write();
            // Somebody wrote while the store was read: what was read may be older than the view.
            if self.writes.load(Ordering::Acquire) != writes {
                continue;
            }
            let is_different = *view != new;
            self.is_empty.store(new.len() == 0, Ordering::Release);
            *view = new;
            return Ok(is_different);
        }
    }

    /// Keeps the view up to date and ends the connections that are meant. Ends with its task.
    pub async fn keep(self: Arc<Self>, interval: Duration, evict: Arc<dyn Evict>) {
        // What has been put before this task ran is looked for too.
        evict.evict(&self);
        loop {
            let is_different = tokio::select! {
                () = self.changed.notified() => true,
                () = tokio::time::sleep(interval) => match self.read().await {
                    Ok(is_different) => is_different,
                    Err(why) => {
                        emit(BlocksNotRead { why: &why });
                        false
                    }
                },
            };
            if is_different {
                evict.evict(&self);
            }
        }
    }
}

/// A subject in the one form that it is kept in.
fn subject(kind: BlockKind, text: &str) -> Result<String, BlockError> {
    let wrong = |expected| BlockError::Subject { subject: text.chars().take(100).collect(), expected };
    let is_text = !text.is_empty() && text.len() <= SUBJECT_BYTES_MAX;
    match kind {
        BlockKind::Token if is_text => Ok(text.to_string()),
        BlockKind::Token => Err(wrong("the id of a token")),
        BlockKind::User if is_text => Ok(text.to_string()),
        BlockKind::User => Err(wrong("the name of a user")),
        BlockKind::Address => {
            let network = network(text).ok_or_else(|| wrong("an IP address or a network such as 192.0.2.0/24"))?;
            let is_single = network.prefix_len() == network.max_prefix_len();
            Ok(if is_single { network.addr().to_string() } else { network.to_string() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StoreConfig;

    const NOW: WallMs = 1_800_000_000_000;

    fn block(kind: BlockKind, subject: &str, until: Option<WallMs>) -> Block {
        Block { kind, subject: subject.to_string(), reason: "a test".to_string(), by: "tests".to_string(), since: NOW, until }
    }

    async fn blocks(directory: &tempfile::TempDir, clock: &Clock) -> Arc<Blocks> {
        let store = crate::store::open(&StoreConfig::default(), directory.path()).await.unwrap();
        Arc::new(Blocks::new(store, clock.clone()))
    }

    fn address(blocks: &Blocks, text: &str) -> bool {
        blocks.has_address(text.parse().unwrap())
    }

    #[test]
    fn subjects_have_one_form() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.77/24", "192.0.2.0/24"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("2001:DB8::1", "2001:db8::1"),
            ("2001:db8::1/64", "2001:db8::/64"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(subject(BlockKind::Address, text).unwrap(), expected);
        }
        for text in ["", "localhost", "192.0.2", "192.0.2.0/33", "192.0.2.1:80", " 192.0.2.1"] {
            assert!(subject(BlockKind::Address, text).is_err(), "{text}");
        }
        assert!(subject(BlockKind::User, "").is_err() && subject(BlockKind::Token, &"x".repeat(SUBJECT_BYTES_MAX + 1)).is_err());
    }

    #[tokio::test]
    async fn who_is_blocked_is_found_by_each_of_its_names_until_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::manual(NOW);
        let blocks = blocks(&directory, &clock).await;
        let (alice, bob): (UserId, UserId) = ("alice".into(), "bob".into());
        let find = |user: &UserId, jti: Option<&str>, address: &str| blocks.find(&Visitor { user, jti, address: address.parse().unwrap() });
        assert_eq!(find(&alice, Some("t1"), "192.0.2.7"), None);
        blocks.put(block(BlockKind::Token, "t1", None)).await.unwrap();
        blocks.put(block(BlockKind::User, "bob", Some(NOW + 1_000))).await.unwrap();
        blocks.put(block(BlockKind::Address, "198.51.100.9/24", None)).await.unwrap();
        blocks.put(block(BlockKind::Address, "2001:db8::/32", None)).await.unwrap();
        assert_eq!(find(&alice, Some("t1"), "192.0.2.7"), Some(BlockKind::Token));
        assert_eq!(find(&alice, Some("t2"), "192.0.2.7"), None);
        assert_eq!(find(&bob, None, "192.0.2.7"), Some(BlockKind::User));
        assert_eq!(find(&alice, None, "198.51.100.200"), Some(BlockKind::Address));
        assert!(address(&blocks, "::ffff:198.51.100.1") && address(&blocks, "2001:db8:1::1") && !address(&blocks, "2001:db9::1"));
        clock.advance(Duration::from_secs(1));
        assert_eq!(find(&bob, None, "192.0.2.7"), None, "its time is over");
        assert!(blocks.remove(BlockKind::Address, "198.51.100.0/24").await.unwrap());
        assert!(!blocks.remove(BlockKind::Address, "198.51.100.0/24").await.unwrap());
        assert!(!address(&blocks, "198.51.100.1"));
    }

    #[tokio::test]
    async fn what_another_node_wrote_arrives_with_the_next_look() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::manual(NOW);
        let (here, elsewhere) = (blocks(&directory, &clock).await, blocks(&directory, &clock).await);
        elsewhere.put(block(BlockKind::User, "bob", None)).await.unwrap();
        let bob = UserId::new("bob");
        let visitor = Visitor { user: &bob, jti: None, address: [127, 0, 0, 1].into() };
        assert_eq!(here.find(&visitor), None);
        assert!(here.read().await.unwrap(), "it is different now");
        assert_eq!(here.find(&visitor), Some(BlockKind::User));
        assert!(!here.read().await.unwrap());
        elsewhere.remove(BlockKind::User, "bob").await.unwrap();
        assert!(here.read().await.unwrap());
        assert_eq!(here.find(&visitor), None);
    }

    #[test]
    fn a_full_view_is_asked_in_no_time() {
        let mut view = View::default();
        for n in 0..BLOCKS_MAX as u32 {
            view.put(&block(BlockKind::Address, &format!("{}/{}", std::net::Ipv4Addr::from(n << 8), 20 + n % 13), None));
        }
        let started = std::time::Instant::now();
        let found = (0..10_000u32).filter(|n| view.has_address(IpAddr::from(std::net::Ipv4Addr::from(0xf000_0000 + n)), NOW)).count();
        assert_eq!(found, 0);
        assert!(started.elapsed() < Duration::from_secs(2), "10,000 took {:?}", started.elapsed());
    }
}

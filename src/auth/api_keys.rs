//! The keys of the server API: the one of the configuration, which may do everything, and named ones of the store, which may do what they are for.
//!
//! A named key is `ak_ID_SECRET`; the store has the id, the name, the scope and a digest of the secret, which has 256 random bits, so that nobody can
//! find it from its digest. Verified against a table in memory: a call never waits for the store. The table is read anew every [`REFRESH`], so keys
//! that are added, rotated or removed by whomever are known within it, without a restart; while the store cannot be read, what was read last
//! counts. Deliberately absent: named keys in the configuration, which could not be rotated without a restart.

use super::ApiKey;
use crate::clock::Clock;
use crate::store::{ApiKeyRecord, Store, StoreError, WallMs};
use crate::telemetry::api::{ApiKeysRead, ApiKeysUnreadable};
use crate::telemetry::emit;
use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use secrecy::SecretString;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Between two looks at the store.
pub const REFRESH: Duration = Duration::from_secs(3);

/// Looks after which the times of use are written: once a minute, which is also how exactly they are told.
const LOOKS_PER_NOTE: u32 = 20;
const MINUTE_MS: WallMs = 60_000;

/// Keys that there may be.
pub const KEYS_MAX: usize = 10_000;

const PREFIX: &str = "ak_";
const ID_LETTERS: usize = 12;
const SECRET_BYTES: usize = 32;

/// The small value with the times of use, by id. Not in the keys' own records: to write those back would bring back a key that somebody else
/// removed meanwhile.
const USED: &str = "api_keys.used";

/// What a key may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Methods that it may call; empty: all.
    pub methods: Vec<String>,
    /// Namespaces that it may name, the empty text for channels without one; empty: all.
    pub namespaces: Vec<String>,
}

/// Who calls: somebody who showed a good key.
#[derive(Clone, Debug)]
pub struct Caller(Option<Arc<Named>>);

impl Caller {
    /// Whoever may do everything.
    pub const UNSCOPED: Self = Self(None);

    /// Whether it may call a method. `is_about_channels`: each call names its channels, so that they can be judged. A key for some namespaces may
    /// call other methods only where it says so.
    pub fn may_call(&self, method: &str, is_about_channels: bool) -> bool {
        let Some(scope) = self.scope() else { return true };
        if scope.methods.is_empty() {
            scope.namespaces.is_empty() || is_about_channels
        } else {
            scope.methods.iter().any(|allowed| allowed == method)
        }
    }

    pub fn may_name(&self, namespace: &str) -> bool {
        self.scope().is_none_or(|scope| scope.namespaces.is_empty() || scope.namespaces.iter().any(|allowed| allowed == namespace))
    }

    /// Whether it may name every namespace.
    pub fn may_name_all(&self) -> bool {
        self.scope().is_none_or(|scope| scope.namespaces.is_empty())
    }

    /// Whose calls are counted as one's: a rotated key goes on as the one before.
    pub fn name(&self) -> &str {
        self.0.as_deref().map_or("the key of the configuration", |named| &named.record.name)
    }

    fn scope(&self) -> Option<&Scope> {
        self.0.as_deref().map(|named| &named.scope)
    }
}

#[derive(Debug)]
struct Named {
    record: ApiKeyRecord,
    scope: Scope,
    /// Unix milliseconds of the minute in which it was last used; 0: never.
    used_at: AtomicI64,
}

pub struct ApiKeys {
    unscoped: ArcSwap<Unscoped>,
    named: ArcSwap<HashMap<String, Arc<Named>>>,
    store: Arc<dyn Store>,
    clock: Clock,
}

/// The key that may do everything.
#[derive(Debug)]
struct Unscoped {
    /// `None`: there is none.
    current: Option<ApiKey>,
    /// The one before, and until when it is good.
    previous: Option<(ApiKey, WallMs)>,
}

impl ApiKeys {
    /// Knows `http_api.key` alone until [`Self::refresh`] has read the others.
    pub fn new(unscoped: Option<ApiKey>, store: Arc<dyn Store>, clock: Clock) -> Self {
        let unscoped = ArcSwap::from_pointee(Unscoped { current: unscoped, previous: None });
        Self { unscoped, named: ArcSwap::default(), store, clock }
    }

    /// Who shows this, if it is a good key.
    pub fn verify(&self, shown: &[u8]) -> Option<Caller> {
        if self.is_unscoped(shown) {
            return Some(Caller::UNSCOPED);
        }
        let (id, secret) = parse(std::str::from_utf8(shown).ok()?)?;
        let named = self.named.load().get(id).cloned()?;
        verify_slices_are_equal(hash(secret).as_bytes(), named.record.secret_hash.as_bytes()).ok()?;
        let now = self.clock.wall_ms();
        if named.record.expires_at.is_some_and(|end| now >= end) {
            return None;
        }
        named.used_at.fetch_max(now - now.rem_euclid(MINUTE_MS), Ordering::Relaxed);
        Some(Caller(Some(named)))
    }

    /// Whether this is the key that may do everything.
    pub fn is_unscoped(&self, shown: &[u8]) -> bool {
        let unscoped = self.unscoped.load();
        let is_current = unscoped.current.as_ref().is_some_and(|key| key.matches(shown));
        is_current || unscoped.previous.as_ref().is_some_and(|(key, until)| key.matches(shown) && self.clock.wall_ms() < *until)
    }

    /// Puts another key that may do everything in the place of the one that there is, which is good for `grace` more.
    pub fn replace_unscoped(&self, new: Option<ApiKey>, grace: Duration) {
        let until = self.clock.wall_ms().saturating_add(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
        let previous = self.unscoped.load().current.clone().map(|key| (key, until));
        self.unscoped.store(Arc::new(Unscoped { current: new, previous }));
    }

    /// Reads the keys anew.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let records = self.store.api_keys(KEYS_MAX).await?;
        let before = self.named.load();
        let is_first = before.is_empty();
        let used = if is_first && !records.is_empty() { used(&*self.store).await? } else { BTreeMap::new() };
        let is_same =
            records.len() == before.len() && records.iter().all(|record| before.get(&record.id).is_some_and(|named| named.record == *record));
        if is_same {
            return Ok(());
        }
        let named = records.into_iter().map(|record| {
            let used_at =
                before.get(&record.id).map(|named| named.used_at.load(Ordering::Relaxed)).or_else(|| used.get(&record.id).copied()).unwrap_or(0);
            let scope = Scope { methods: record.methods.clone(), namespaces: record.namespaces.clone() };
            (record.id.clone(), Arc::new(Named { record, scope, used_at: AtomicI64::new(used_at) }))
        });
        let named: HashMap<_, _> = named.collect();
        emit(ApiKeysRead { keys: named.len() });
        self.named.store(Arc::new(named));
        Ok(())
    }

    /// Keeps the table fresh, and the times of use in the store. Runs until it is dropped.
    pub async fn keep(self: Arc<Self>) {
        let mut noted = BTreeMap::new();
        let mut was_readable = true;
        for look in 1_u32.. {
            let outcome = self.refresh().await;
            if let (Err(error), true) = (&outcome, was_readable) {
                emit(ApiKeysUnreadable { error });
            }
            was_readable = outcome.is_ok();
            if look.is_multiple_of(LOOKS_PER_NOTE) {
                self.note_use(&mut noted).await;
            }
            tokio::time::sleep(REFRESH).await;
        }
    }

    /// Writes when keys were used, where that has changed. What cannot be written is written the next time.
    async fn note_use(&self, noted: &mut BTreeMap<String, WallMs>) {
        let named = self.named.load();
        let used = named.values().map(|named| (named.record.id.clone(), named.used_at.load(Ordering::Relaxed))).filter(|(_, at)| *at > 0);
        let used: BTreeMap<_, _> = used.collect();
        if used == *noted {
            return;
        }
        let value = serde_json::to_vec(&used).expect("texts and numbers are always JSON, and memory does not fail to be written to");
        if self.store.put_value(USED, Bytes::from(value)).await.is_ok() {
            *noted = used;
        }
    }
}

/// When keys were last used, by id.
async fn used(store: &dyn Store) -> Result<BTreeMap<String, WallMs>, StoreError> {
    Ok(store.value(USED).await?.and_then(|value| serde_json::from_slice(&value).ok()).unwrap_or_default())
}

#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    #[error("a key's name is 1 to 64 letters, digits, '-', '_' or '.'")]
    BadName,
    #[error("there is no key {id}")]
    NoSuchKey { id: String },
    #[error("there are {KEYS_MAX} keys, the most there may be")]
    TooMany,
    #[error("the store cannot be asked")]
    Store {
        #[from]
        source: StoreError,
    },
}

/// Adds, lists, rotates and removes named keys: for the command line and for administrators.
pub struct Keyring {
    store: Arc<dyn Store>,
    clock: Clock,
}

impl Keyring {
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Adds a key. The text is told this once.
    pub async fn add(&self, name: &str, scope: Scope, expires_at: Option<WallMs>, by: &str) -> Result<(ApiKeyRecord, SecretString), ApiKeyError> {
        let is_named = (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_named {
            return Err(ApiKeyError::BadName);
        }
        if self.store.api_keys(KEYS_MAX).await?.len() >= KEYS_MAX {
            return Err(ApiKeyError::TooMany);
        }
        let id: String = uuid::Uuid::new_v4().simple().to_string().chars().take(ID_LETTERS).collect();
        let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>());
        let record = ApiKeyRecord {
            id,
            name: name.to_string(),
            secret_hash: hash(&secret),
            methods: scope.methods,
            namespaces: scope.namespaces,
            created_at: self.clock.wall_ms(),
            created_by: by.to_string(),
            expires_at,
            last_used_at: None,
        };
        self.store.put_api_key(&record).await?;
        let text = SecretString::from(format!("{PREFIX}{}_{secret}", record.id));
        Ok((record, text))
    }

    /// All keys, by name, with when they were last used.
    pub async fn list(&self) -> Result<Vec<ApiKeyRecord>, ApiKeyError> {
        let mut records = self.store.api_keys(KEYS_MAX).await?;
        let used = used(&*self.store).await?;
        for record in &mut records {
            record.last_used_at = used.get(&record.id).copied();
        }
        records.sort_by(|a, b| (&a.name, a.created_at).cmp(&(&b.name, b.created_at)));
        Ok(records)
    }

    pub async fn remove(&self, id: &str) -> Result<(), ApiKeyError> {
        if self.store.remove_api_key(id).await? { Ok(()) } else { Err(ApiKeyError::NoSuchKey { id: id.to_string() }) }
    }

    /// A new key with the name and scope of another one, which is good for `grace` more.
    pub async fn rotate(&self, id: &str, grace: Duration, by: &str) -> Result<(ApiKeyRecord, SecretString), ApiKeyError> {
        let records = self.store.api_keys(KEYS_MAX).await?;
        let old = records.into_iter().find(|record| record.id == id).ok_or_else(|| ApiKeyError::NoSuchKey { id: id.to_string() })?;
        let scope = Scope { methods: old.methods.clone(), namespaces: old.namespaces.clone() };
        let added = self.add(&old.name, scope, old.expires_at, by).await?;
        let end = self.clock.wall_ms().saturating_add(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
        let expires_at = Some(old.expires_at.map_or(end, |before| before.min(end)));
        self.store.put_api_key(&ApiKeyRecord { expires_at, ..old }).await?;
        Ok(added)
    }
}

/// Id and secret of a key's text.
fn parse(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    (id.len() == ID_LETTERS && secret.len() == SECRET_BYTES.div_ceil(3) * 4 - 1).then_some((id, secret))
}

/// As the store has it: the digest, hexadecimal.
fn hash(secret: &str) -> String {
    digest(&SHA256, secret.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StoreConfig;
    use crate::store;
    use secrecy::ExposeSecret;
    use tempfile::TempDir;

    struct Fixture {
        keys: ApiKeys,
        ring: Keyring,
        store: Arc<dyn Store>,
        clock: Clock,
        _folder: TempDir,
    }

    async fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let store = store::open(&StoreConfig::default(), folder.path()).await.unwrap();
        let clock = Clock::manual(1_700_000_000_000);
        let keys = ApiKeys::new(ApiKey::new("the-old-one"), Arc::clone(&store), clock.clone());
        Fixture { keys, ring: Keyring::new(Arc::clone(&store), clock.clone()), store, clock, _folder: folder }
    }

    #[tokio::test]
    async fn the_key_of_the_configuration_is_replaced_and_the_one_before_is_good_for_a_while() {
        let Fixture { keys, clock, .. } = fixture().await;
        keys.replace_unscoped(ApiKey::new("the-new-one"), Duration::from_secs(10));
        assert!(keys.is_unscoped(b"the-new-one") && keys.is_unscoped(b"the-old-one") && !keys.is_unscoped(b"another"));
        clock.advance(Duration::from_secs(10));
        assert!(keys.is_unscoped(b"the-new-one") && !keys.is_unscoped(b"the-old-one"));
        keys.replace_unscoped(ApiKey::new("third"), Duration::ZERO);
        assert!(keys.is_unscoped(b"third") && !keys.is_unscoped(b"the-new-one"), "it had leaked");
        keys.replace_unscoped(None, Duration::ZERO);
        assert!(keys.verify(b"third").is_none() && keys.verify(b"").is_none());
    }

    fn scope(methods: &[&str], namespaces: &[&str]) -> Scope {
        let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Scope { methods: texts(methods), namespaces: texts(namespaces) }
    }

    #[actix_rt::test]
    async fn a_key_is_good_from_when_it_is_known_until_it_is_removed() {
        let Fixture { keys, ring, .. } = fixture().await;
        let (record, text) = ring.add("ci", Scope::default(), None, "anna").await.unwrap();
        let shown = text.expose_secret().as_bytes();
        assert_eq!((shown.len(), &shown[..3]), (3 + 12 + 1 + 43, &b"ak_"[..]));
        assert!(keys.verify(shown).is_none(), "not read yet");
        keys.refresh().await.unwrap();
        assert!(keys.verify(shown).is_some());
        assert!(keys.verify(b"the-old-one").is_some());
        let text = text.expose_secret();
        let with_other_id = format!("ak_{}{}", "0".repeat(12), &text[15..]);
        for wrong in
            ["", "ak_", "ak__", &text[..text.len() - 1], &format!("{text}A"), &text.to_uppercase(), &with_other_id, &record.secret_hash, "\u{ff}"]
        {
            assert!(keys.verify(wrong.as_bytes()).is_none(), "{wrong}");
        }
        let hashed = format!("ak_{}_{}", record.id, &record.secret_hash[..43]);
        assert!(keys.verify(hashed.as_bytes()).is_none(), "what the store has is no key");
        assert!(!format!("{record:?}").contains(&text[16..]));
        ring.remove(&record.id).await.unwrap();
        keys.refresh().await.unwrap();
        assert!(keys.verify(text.as_bytes()).is_none());
        assert!(matches!(ring.remove(&record.id).await, Err(ApiKeyError::NoSuchKey { .. })));
    }

    #[actix_rt::test]
    async fn a_rotated_key_is_good_for_its_grace() {
        let Fixture { keys, ring, clock, .. } = fixture().await;
        let (old, old_text) = ring.add("ci", scope(&["publish"], &["news"]), None, "anna").await.unwrap();
        let (new, new_text) = ring.rotate(&old.id, Duration::from_secs(60), "ben").await.unwrap();
        assert_eq!((&new.name, &new.methods, &new.namespaces), (&old.name, &old.methods, &old.namespaces));
        keys.refresh().await.unwrap();
        let is_good = |text: &SecretString| keys.verify(text.expose_secret().as_bytes()).is_some();
        assert!(is_good(&old_text) && is_good(&new_text));
        clock.advance(Duration::from_secs(60));
        assert!(!is_good(&old_text) && is_good(&new_text));
    }

    #[actix_rt::test]
    async fn a_scope_says_what_may_be_called_and_named() {
        let Fixture { keys, ring, .. } = fixture().await;
        // Methods, namespaces; may it publish, ask for info; name `news`, `chat`, none?
        let cases = [
            (scope(&[], &[]), [true, true], [true, true, true]),
            (scope(&["publish"], &[]), [true, false], [true, true, true]),
            (scope(&[], &["news"]), [true, false], [true, false, false]),
            (scope(&["publish", "info"], &["news", ""]), [true, true], [true, false, true]),
            (scope(&["info"], &["news"]), [false, true], [true, false, false]),
        ];
        for (scope, calls, names) in cases {
            let (_, text) = ring.add("a", scope.clone(), None, "anna").await.unwrap();
            keys.refresh().await.unwrap();
            let caller = keys.verify(text.expose_secret().as_bytes()).unwrap();
            assert_eq!([caller.may_call("publish", true), caller.may_call("info", false)], calls, "{scope:?}");
            assert_eq!(["news", "chat", ""].map(|namespace| caller.may_name(namespace)), names, "{scope:?}");
        }
        assert!(Caller::UNSCOPED.may_call("info", false) && Caller::UNSCOPED.may_name("x"));
    }

    #[actix_rt::test]
    async fn use_is_noted_to_the_minute_and_never_brings_a_key_back() {
        let Fixture { keys, ring, store, clock, .. } = fixture().await;
        let (record, text) = ring.add("ci", Scope::default(), None, "anna").await.unwrap();
        keys.refresh().await.unwrap();
        let mut noted = BTreeMap::new();
        keys.note_use(&mut noted).await;
        assert_eq!(ring.list().await.unwrap()[0].last_used_at, None);
        clock.advance(Duration::from_millis(90_500));
        keys.verify(text.expose_secret().as_bytes()).unwrap();
        keys.note_use(&mut noted).await;
        let now = clock.wall_ms();
        assert_eq!(ring.list().await.unwrap()[0].last_used_at, Some(now - now % MINUTE_MS));
        let again = ApiKeys::new(None, Arc::clone(&store), clock.clone());
        again.refresh().await.unwrap();
        assert_eq!(again.named.load()[&record.id].used_at.load(Ordering::Relaxed), now - now % MINUTE_MS, "over a restart too");
        ring.remove(&record.id).await.unwrap();
        keys.verify(text.expose_secret().as_bytes()).unwrap();
        keys.note_use(&mut BTreeMap::new()).await;
        assert_eq!(store.api_keys(10).await.unwrap(), []);
    }

    #[actix_rt::test]
    async fn names_are_plain() {
        let Fixture { ring, .. } = fixture().await;
        for name in ["", "a b", "é", "a\n", &"a".repeat(65)] {
            assert!(matches!(ring.add(name, Scope::default(), None, "anna").await, Err(ApiKeyError::BadName)), "{name:?}");
        }
    }

    #[actix_rt::test]
    async fn without_the_store_what_was_read_counts() {
        let Fixture { keys, ring, store, .. } = fixture().await;
        let (_, text) = ring.add("ci", Scope::default(), None, "anna").await.unwrap();
        keys.refresh().await.unwrap();
        store.close().await.unwrap();
        assert!(keys.refresh().await.is_err());
        assert!(keys.verify(text.expose_secret().as_bytes()).is_some());
    }
}

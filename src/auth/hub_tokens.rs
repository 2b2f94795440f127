//! Tokens that the hub mints itself, for users who have signed in: short-lived ones for connections and subscriptions, and the refresh tokens
//! that stand in their cookies. They have a key of their own, and rules of their own.
//!
//! Minted by `auth::accounts`; verified by the [`TokenVerifier`](super::TokenVerifier) that the session asks, which knows them by their key id.
//! What the store keeps of a refresh token (salt and generation) is not enough to make one. Deliberately absent: clocks, and the rule which
//! generation of a refresh token is good.

use super::claims::{BearerClaims, ConnectionClaims};
use super::jwt::{ClaimRules, Expected, SettingsError, TokenError, TokenFault, TokenSettings};
use super::key_file::{self, KeyFileError};
use super::keys::{Algorithm, KeyRing, SignatureVerdict, TokenKey};
use super::roles::{Grants, Role};
use super::sign::{SignError, TokenSigner, random_secret};
use crate::channel::UserId;
use crate::store::{Login, LoginId};
use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indexmap::IndexMap;
use parking_lot::{Mutex, RwLock};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use std::fmt::Write;
use std::hash::Hash;
use std::path::{Path, PathBuf};

/// The `kid` of all tokens that the hub mints, and of no others.
pub const HUB_KEY_ID: &str = "aether";

/// Their `iss`.
const ISSUER: &str = "aether";

/// What a refresh token begins with: the version of its layout.
const REFRESH_VERSION: &str = "v1";

/// Logins, and users, whose tokens are not good any more before their time. An entry counts for one token's life; beyond this number the
/// oldest is forgotten, and tokens of it may be used until they expire by themselves.
const REVOKED_MAX: usize = 100_000;

/// The key that all others of this room are derived from.
#[derive(Clone)]
pub struct HubKey {
    current: SecretString,
    /// The one before the last change: what it signed is still good.
    previous: Option<SecretString>,
    /// `None`: given by the configuration.
    file: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum HubKeyError {
    #[error(transparent)]
    File(#[from] KeyFileError),
    #[error("the key of the hub's tokens stands in the configuration (accounts.token_key) and is changed there")]
    Configured,
    #[error("the key of the hub's tokens cannot be used")]
    Sign(#[from] SignError),
    #[error("the key of the hub's tokens cannot be used")]
    Settings(#[from] SettingsError),
}

impl HubKey {
    /// The key in a file: its first line, and on the second one the key before. Made where it is missing.
    pub fn open(path: &Path) -> Result<Self, HubKeyError> {
        Ok(Self::read(&key_file::read_or_make(path)?, path))
    }

    /// The key in a file that must be there, as a hub has made it.
    pub fn existing(path: &Path) -> Result<Self, HubKeyError> {
        Ok(Self::read(&key_file::read_existing(path)?, path))
    }

    fn read(text: &SecretString, path: &Path) -> Self {
        let mut lines = text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
        let current = SecretString::from(lines.next().unwrap_or_default());
        Self { current, previous: lines.next().map(SecretString::from), file: Some(path.to_path_buf()) }
    }

    /// A key that the configuration gives.
    pub fn configured(key: &str) -> Self {
        Self { current: SecretString::from(key), previous: None, file: None }
    }
}

/// What a connection token of the hub's says.
#[derive(Clone, Copy, Debug)]
pub struct MintLogin<'a> {
    pub user: &'a UserId,
    pub login: LoginId,
    pub role: Role,
    pub grants: &'a Grants,
    /// Of the stored user: tokens of an older one can be declared void.
    pub user_version: u64,
    /// Unix seconds.
    pub now: i64,
    pub expires_at: i64,
}

#[derive(Serialize)]
struct LoginClaims<'a> {
    iss: &'static str,
    sub: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
    sid: String,
    role: &'static str,
    grants: &'a Grants,
    ver: u64,
}

#[derive(Serialize)]
struct ChannelClaims<'a> {
    iss: &'static str,
    sub: &'a str,
    channel: &'a str,
    iat: i64,
    exp: i64,
}

/// Mints and verifies. One for the whole process.
#[derive(Debug)]
pub struct HubTokens {
    keys: ArcSwap<Keys>,
    rules: ClaimRules,
    /// Where the key is kept; held while it is changed.
    file: Mutex<Option<PathBuf>>,
    revoked: RwLock<Revoked>,
}

#[derive(Debug)]
struct Keys {
    signer: TokenSigner,
    ring: KeyRing,
    /// The current one first.
    refresh: Vec<hmac::Key>,
    current: SecretString,
}

/// What is void before its time.
#[derive(Debug, Default)]
struct Revoked {
    /// With the Unix second from which on no token of it can be good.
    logins: IndexMap<LoginId, i64>,
    /// With the least version of the user whose tokens are good, and the same second.
    users: IndexMap<UserId, (u64, i64)>,
}

impl HubTokens {
    pub fn new(key: &HubKey) -> Result<Self, HubKeyError> {
        let settings = TokenSettings { issuer: Expected::Exactly(ISSUER.to_string()), ..TokenSettings::default() };
        let rules = ClaimRules { bearer: BearerClaims::Hub, ..ClaimRules::new(&settings)? };
        Ok(Self { keys: ArcSwap::from_pointee(Keys::new(key)?), rules, file: Mutex::new(key.file.clone()), revoked: RwLock::default() })
    }

    /// Makes a new key. What the one before has signed stays good until it expires; what the one before that has signed is void, so that two
    /// changes in a row sign everybody out.
    pub fn change_key(&self) -> Result<(), HubKeyError> {
        let file = self.file.lock();
        let path = file.as_deref().ok_or(HubKeyError::Configured)?;
        let current = random_secret();
        let previous = self.keys.load().current.clone();
        let keys = Keys::new(&HubKey { current: SecretString::from(current.as_str()), previous: Some(previous.clone()), file: None })?;
        key_file::replace(path, &format!("{current}\n{}\n", previous.expose_secret()))?;
        self.keys.store(keys.into());
        Ok(())
    }

    pub fn mint_connection(&self, mint: &MintLogin<'_>) -> Result<String, SignError> {
        let claims = LoginClaims {
            iss: ISSUER,
            sub: mint.user.as_str(),
            iat: mint.now,
            exp: mint.expires_at,
            jti: uuid::Uuid::new_v4().to_string(),
            sid: mint.login.to_string(),
            role: mint.role.as_str(),
            grants: mint.grants,
            ver: mint.user_version,
        };
        self.keys.load().signer.sign(&claims)
    }

    pub fn mint_subscription(&self, user: &UserId, channel: &str, now: i64, expires_at: i64) -> Result<String, SignError> {
        self.keys.load().signer.sign(&ChannelClaims { iss: ISSUER, sub: user.as_str(), channel, iat: now, exp: expires_at })
    }

    pub(super) fn rules(&self) -> &ClaimRules {
        &self.rules
    }

    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8], now: i64) -> SignatureVerdict {
        self.keys.load().ring.verify(None, algorithm, message, signature, now)
    }

    /// Whether a token that is good by itself has not been declared void.
    pub(super) fn still_good(&self, claims: &ConnectionClaims) -> Result<(), TokenError> {
        let revoked = self.revoked.read();
        if claims.bearer.login.is_some_and(|login| revoked.logins.contains_key(&login)) {
            return Err(TokenFault::Revoked.into());
        }
        // The client gets a new token, which says what the user may do now.
        if revoked.users.get(&claims.user).is_some_and(|(version, _)| claims.bearer.user_version < *version) {
            return Err(TokenError::Expired);
        }
        Ok(())
    }

    /// Tokens of these logins are void from now on. `until`: Unix seconds at which the last of them will have expired.
    pub fn revoke_logins(&self, logins: &[LoginId], now: i64, until: i64) {
        let mut revoked = self.revoked.write();
        for login in logins {
            put(&mut revoked.logins, *login, until, |until| *until <= now);
        }
    }

    /// Tokens that were minted for an older `version` of the user are void from now on.
    pub fn revoke_before(&self, user: &UserId, version: u64, now: i64, until: i64) {
        put(&mut self.revoked.write().users, user.clone(), (version, until), |(_, until)| *until <= now);
    }

    /// A user of this name has been made: what was said of another one of the same name does not count for it.
    pub fn forget_user(&self, user: &UserId) {
        self.revoked.write().users.shift_remove(user);
    }

    /// The refresh token of a login as it is stored.
    pub fn refresh_token(&self, login: &Login) -> String {
        let keys = self.keys.load();
        let signature = hmac::sign(&keys.refresh[0], &signed_bytes(login.id, &login.salt, login.generation));
        let mut token = format!("{REFRESH_VERSION}.{}.{}.", login.id, login.generation);
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    /// Whether the hub has made this refresh token for this login, whatever its generation.
    pub fn is_ours(&self, token: &RefreshToken, login: &Login) -> bool {
        let bytes = signed_bytes(login.id, &login.salt, token.generation);
        login.id == token.login && self.keys.load().refresh.iter().any(|key| hmac::verify(key, &bytes, &token.signature).is_ok())
    }
}

/// Adds at the end, and keeps the number in bounds: what has passed goes first, then the oldest.
fn put<K: Hash + Eq, V>(map: &mut IndexMap<K, V>, key: K, value: V, has_passed: impl Fn(&V) -> bool) {
    map.shift_remove(&key);
    // They are in the order in which they pass, so this looks at no more than it removes.
    while map.first().is_some_and(|(_, first)| has_passed(first)) || map.len() >= REVOKED_MAX {
        map.shift_remove_index(0);
    }
    map.insert(key, value);
}

impl Keys {
    fn new(key: &HubKey) -> Result<Self, HubKeyError> {
        let secrets: Vec<&SecretString> = std::iter::once(&key.current).chain(&key.previous).collect();
        let access = |secret: &SecretString| derived(secret, b"aether connection and subscription tokens");
        let ring: Vec<TokenKey> =
            secrets.iter().map(|secret| TokenKey { algorithms: vec![Algorithm::HS256], ..TokenKey::hmac(access(secret)) }).collect();
        let refresh = secrets.iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, derived(secret, b"aether refresh tokens").as_bytes()));
        Ok(Self {
            signer: TokenSigner::hmac(access(&key.current).as_bytes(), Algorithm::HS256)?.named(HUB_KEY_ID),
            ring: KeyRing::new(&ring).map_err(SettingsError::from)?,
            refresh: refresh.collect(),
            current: key.current.clone(),
        })
    }
}

/// One key for each purpose, so that a signature made for one is nothing for the other. Hexadecimal.
fn derived(secret: &SecretString, purpose: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    hmac::sign(&key, purpose).as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn signed_bytes(login: LoginId, salt: &[u8; 16], generation: u32) -> [u8; 36] {
    let mut bytes = [0; 36];
    bytes[..16].copy_from_slice(salt);
    bytes[16..32].copy_from_slice(&login.0.to_be_bytes());
    bytes[32..].copy_from_slice(&generation.to_be_bytes());
    bytes
}

/// A refresh token as somebody showed it: well made, and not more.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    pub login: LoginId,
    pub generation: u32,
    signature: [u8; 32],
}

impl RefreshToken {
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (version, login, generation, signature) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // The number in its one spelling: `+1` and `01` would be other texts for the same token.
        let number = generation.parse::<u32>().ok().filter(|number| number.to_string() == generation)?;
        let id = LoginId::parse(login).filter(|id| id.to_string() == login)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
        (version == REFRESH_VERSION && parts.next().is_none()).then_some(Self { login: id, generation: number, signature })
    }
}

#[cfg(test)]
mod tests {
    use super::super::roles::Bearer;
    use super::super::{MintConnection, TokenVerifier};
    use super::*;
    use std::sync::Arc;

    const NOW: i64 = 1_800_000_000;

    fn hub(key: &str) -> Arc<HubTokens> {
        Arc::new(HubTokens::new(&HubKey::configured(key)).unwrap())
    }
    /// A verifier with an application's key, and rules that the hub's tokens would never pass.
    fn verifier(hub: &Arc<HubTokens>) -> TokenVerifier {
        let settings = TokenSettings {
            keys: vec![TokenKey::hmac("application")],
            audience: Expected::Exactly("hub".to_string()),
            issuer: Expected::Exactly("application".to_string()),
            user_id_claim: "uid".to_string(),
            ..TokenSettings::default()
        };
        TokenVerifier::new(&settings).unwrap().and_those_of(Arc::clone(hub))
    }
    fn login() -> Login {
        Login {
            id: LoginId::random(),
            user: "alice".into(),
            salt: [7; 16],
            generation: 3,
            rotated_at: 0,
            created_at: 0,
            last_seen_at: 0,
            idle_until: 0,
            absolute_until: 0,
            address: String::new(),
            device: String::new(),
            ended_at: None,
            ended_reason: String::new(),
        }
    }
    fn minted(hub: &HubTokens, login: LoginId, user_version: u64) -> String {
        let grants = Grants::parse(r#"{"chat":["publish"]}"#).unwrap();
        let mint = MintLogin { user: &"alice".into(), login, role: Role::Operator, grants: &grants, user_version, now: NOW, expires_at: NOW + 900 };
        hub.mint_connection(&mint).unwrap()
    }

    #[test]
    fn the_hubs_own_tokens_are_verified_by_its_own_key_and_rules() {
        let hub = hub("key");
        let verifier = verifier(&hub);
        let id = LoginId::random();
        let claims = verifier.verify_connection(&minted(&hub, id, 5), NOW).unwrap();
        assert_eq!((claims.user.as_str(), claims.expires_at), ("alice", Some(NOW + 900)));
        let jti = claims.bearer.jti.clone().filter(|jti| !jti.is_empty());
        let grants = Grants::parse(r#"{"chat":["publish"]}"#).unwrap();
        assert_eq!(claims.bearer, Bearer { role: Some(Role::Operator), login: Some(id), jti, grants, user_version: 5 });
        assert_eq!(verifier.verify_connection(&minted(&hub, id, 5), NOW + 900), Err(TokenError::Expired));

        let token = hub.mint_subscription(&"alice".into(), "$chat:1", NOW, NOW + 60).unwrap();
        let claims = verifier.verify_subscription(&token, NOW).unwrap();
        assert_eq!((claims.user.as_str(), claims.channel.as_str()), ("alice", "$chat:1"));
        assert!(verifier.verify_connection(&token, NOW).is_err());
        assert!(verifier.verify_subscription(&minted(&hub, id, 5), NOW).is_err());
    }

    #[test]
    fn no_other_key_makes_a_token_of_the_hub() {
        let hub = hub("key");
        let verifier = verifier(&hub);
        let id = LoginId::random();
        let claims = LoginClaims {
            iss: ISSUER,
            sub: "mallory",
            iat: NOW,
            exp: NOW + 900,
            jti: "1".to_string(),
            sid: id.to_string(),
            role: "admin",
            grants: &Grants::NONE,
            ver: 0,
        };
        let signed = |secret: &str, algorithm| TokenSigner::hmac(secret.as_bytes(), algorithm).unwrap();
        let hub_secret = derived(&SecretString::from("key"), b"aether connection and subscription tokens");
        let cases = [
            ("another hub's", minted(&super::tests::hub("other"), id, 0)),
            ("the application's key by the hub's id", signed("application", Algorithm::HS256).named(HUB_KEY_ID).sign(&claims).unwrap()),
            ("the hub's key without its id", signed(&hub_secret, Algorithm::HS256).sign(&claims).unwrap()),
            ("the hub's key by another id", signed(&hub_secret, Algorithm::HS256).named("Aether").sign(&claims).unwrap()),
            ("another algorithm", signed(&hub_secret, Algorithm::HS512).named(HUB_KEY_ID).sign(&claims).unwrap()),
            ("the key itself", signed("key", Algorithm::HS256).named(HUB_KEY_ID).sign(&claims).unwrap()),
            (
                "the refresh key",
                signed(&derived(&SecretString::from("key"), b"aether refresh tokens"), Algorithm::HS256).named(HUB_KEY_ID).sign(&claims).unwrap(),
            ),
        ];
        for (name, token) in cases {
            assert!(matches!(verifier.verify_connection(&token, NOW), Err(TokenError::Invalid { .. })), "{name}");
        }
        let good = signed(&hub_secret, Algorithm::HS256).named(HUB_KEY_ID);
        assert!(verifier.verify_connection(&good.sign(&claims).unwrap(), NOW).is_ok(), "the same, well signed");
        let complete = serde_json::to_value(&claims).unwrap();
        for claim in ["iss", "sub", "exp", "jti", "sid", "role", "grants", "ver"] {
            let mut claims = complete.clone();
            claims.as_object_mut().unwrap().remove(claim);
            assert!(verifier.verify_connection(&good.sign(&claims).unwrap(), NOW).is_err(), "without {claim}");
        }
        let mint = MintConnection { user: "alice", ..MintConnection::default() };
        assert!(verifier.verify_connection(&good.sign(&mint).unwrap(), NOW).is_err());
    }

    #[test]
    fn tokens_of_ended_logins_and_of_changed_users_are_void() {
        let hub = hub("key");
        let verifier = verifier(&hub);
        let (one, other) = (LoginId::random(), LoginId::random());
        let outcome = |login, version| verifier.verify_connection(&minted(&hub, login, version), NOW).map(|_| ());
        hub.revoke_logins(&[one], NOW, NOW + 900);
        assert_eq!(outcome(one, 5), Err(TokenFault::Revoked.into()));
        assert_eq!(outcome(other, 5), Ok(()));
        hub.revoke_before(&"alice".into(), 6, NOW, NOW + 900);
        assert_eq!(outcome(other, 5), Err(TokenError::Expired), "it is told to get a new one");
        assert_eq!(outcome(other, 6), Ok(()));
        hub.forget_user(&"alice".into());
        assert_eq!(outcome(other, 5), Ok(()));
        // Kept no longer than tokens live.
        hub.revoke_logins(&[other], NOW + 900, NOW + 1_800);
        assert_eq!(hub.revoked.read().logins.len(), 1);
    }

    #[test]
    fn what_is_void_is_bounded() {
        let mut map = IndexMap::new();
        for number in 0..=REVOKED_MAX {
            put(&mut map, number, (), |()| false);
        }
        assert_eq!((map.len(), map.contains_key(&0), map.contains_key(&REVOKED_MAX)), (REVOKED_MAX, false, true));
    }

    #[test]
    fn a_refresh_token_is_of_one_login_one_salt_one_generation() {
        let hub = hub("key");
        let login = login();
        let text = hub.refresh_token(&login);
        let token = RefreshToken::parse(&text).unwrap();
        assert_eq!((token.login, token.generation), (login.id, 3));
        assert!(hub.is_ours(&token, &login));
        assert!(hub.is_ours(&token, &Login { generation: 9, ..login.clone() }), "which generation is good, others decide");
        assert!(!hub.is_ours(&token, &Login { salt: [8; 16], ..login.clone() }));
        assert!(!hub.is_ours(&token, &Login { id: LoginId::random(), ..login.clone() }));
        assert!(!hub.is_ours(&RefreshToken { generation: 4, ..token.clone() }, &login));
        assert!(!super::tests::hub("other").is_ours(&token, &login));
        let (head, signature) = text.rsplit_once('.').unwrap();
        let id = login.id.to_string();
        for bad in [
            String::new(),
            head.to_string(),
            format!("{head}."),
            format!("{text}."),
            format!("{text}.x"),
            format!(" {text}"),
            format!("{text}="),
            format!("v2{}", &text[2..]),
            format!("v1.{id}.03.{signature}"),
            format!("v1.{id}.+3.{signature}"),
            format!("v1.{id}.4294967296.{signature}"),
            format!("v1.{id}.-1.{signature}"),
            format!("v1.{}.3.{signature}", id.to_uppercase()),
            format!("v1.{}.3.{signature}", id.replace('-', "")),
            format!("v1.{id}.3.{}", &signature[1..]),
            format!("v1.{id}.3.{}", "A".repeat(100_000)),
        ] {
            assert!(RefreshToken::parse(&bad).is_none(), "{}", &bad[..bad.len().min(100)]);
        }
    }

    #[test]
    fn a_changed_key_keeps_what_the_last_one_signed_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts-key");
        let hub = Arc::new(HubTokens::new(&HubKey::open(&path).unwrap()).unwrap());
        let verifier = verifier(&hub);
        let login = login();
        let (token, refresh) = (minted(&hub, login.id, 0), RefreshToken::parse(&hub.refresh_token(&login)).unwrap());
        hub.change_key().unwrap();
        assert!(verifier.verify_connection(&token, NOW).is_ok() && hub.is_ours(&refresh, &login));
        assert_ne!(hub.refresh_token(&login), super::tests::hub("").refresh_token(&login));
        let newer = minted(&hub, login.id, 0);
        hub.change_key().unwrap();
        assert!(verifier.verify_connection(&token, NOW).is_err() && !hub.is_ours(&refresh, &login));
        // The next start finds both.
        let again = Arc::new(HubTokens::new(&HubKey::open(&path).unwrap()).unwrap());
        assert!(super::tests::verifier(&again).verify_connection(&newer, NOW).is_ok());
        assert_eq!(again.refresh_token(&login), hub.refresh_token(&login));
        assert!(matches!(super::tests::hub("key").change_key(), Err(HubKeyError::Configured)));
        assert!(!format!("{hub:?}").contains(again.keys.load().current.expose_secret()));
    }
}

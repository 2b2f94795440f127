//! Tokens: from the text that a client sends to claims that somebody with a key of ours has signed.
//!
//! Called by the session at connect, subscribe and refresh. The order of the checks is the point: size, shape, header, algorithm, key,
//! signature, and only then the claims. Time is handed in. Nothing in a token leads to a file, a URL or a key that is not in the settings.

use super::claims::{BearerClaims, ConnectionClaims, SubscriptionClaims};
use super::hub_tokens::{HUB_KEY_ID, HubTokens};
use super::jwks::Jwks;
use super::keys::{Algorithm, KeyError, KeyRing, SignatureVerdict, TokenKey};
use super::members::{Members, Text};
use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regex::Regex;
use std::borrow::Cow;
use std::sync::Arc;

/// Members of a token's header. Real ones have two to five.
const HEADER_MEMBERS_MAX: usize = 32;

/// Header members that bring a key along, point at one, or change how the rest is read. We follow none of them, and a token that relies on
/// one cannot mean what we would read (RFC 7515, 4.1 and RFC 7797, 3; RFC 8725, 3.10).
const FORBIDDEN_HEADERS: [&str; 8] = ["crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc"];

/// How tokens are verified, as the configuration says it.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    pub keys: Vec<TokenKey>,
    /// Checked against `aud`; one match is enough where the token names several.
    pub audience: Expected,
    /// Checked against `iss`.
    pub issuer: Expected,
    /// The claim that holds the user. Empty: `sub`, which may be absent.
    pub user_id_claim: String,
    /// The claim that may hold a role. Empty: the tokens give no roles.
    pub role_claim: String,
    /// Seconds by which clocks may differ: `exp` counts so much later, `nbf` so much earlier.
    pub leeway_seconds: u32,
    /// Longer tokens are refused unread.
    pub token_bytes_max: usize,
    /// Server-side subscriptions that one token may name. (How many a connection may have, the session decides.)
    pub subs_max: usize,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            audience: Expected::Anything,
            issuer: Expected::Anything,
            user_id_claim: String::new(),
            role_claim: String::new(),
            leeway_seconds: 0,
            token_bytes_max: 16 * 1_024,
            subs_max: 1_000,
        }
    }
}

/// What a claim must say.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Expected {
    #[default]
    Anything,
    Exactly(String),
    /// A regular expression that must match somewhere; write `^…$` to match the whole.
    Matching(String),
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("\"{pattern}\" for {claim} is not a regular expression")]
    Pattern { claim: &'static str, pattern: String, source: regex::Error },
}

/// Why a token does not let anybody in. Clients are told which of the two it is, and nothing more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Well made, but its time is over, or has not come. The client should get a new one.
    #[error("token has expired or is not valid yet")]
    Expired,
    #[error("token is invalid: {why}")]
    Invalid { why: TokenFault },
}

/// What is wrong with a token, for the log. Never holds anything of the token itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    #[error("it has {bytes} bytes, more than {max}")]
    TooLong { bytes: usize, max: usize },
    #[error("it is not three parts of base64url")]
    NotThreeParts,
    #[error("its header is not a JSON object of distinct members with text in alg and kid")]
    BadHeader,
    #[error("its header has the member {member}, which is never accepted")]
    ForbiddenHeader { member: &'static str },
    #[error("its header names no algorithm that is known here")]
    UnknownAlgorithm,
    #[error("no configured key is for {algorithm:?} and its key id")]
    NoKey { algorithm: Algorithm },
    #[error("its signature is wrong")]
    WrongSignature,
    #[error("its claims are not a JSON object of distinct members")]
    BadClaims,
    #[error("its claim {claim} is missing")]
    MissingClaim { claim: &'static str },
    #[error("its claim {claim} is not {expected}")]
    WrongClaim { claim: &'static str, expected: &'static str },
    #[error("its audience is not the configured one")]
    WrongAudience,
    #[error("its issuer is not the configured one")]
    WrongIssuer,
    #[error("it is for a subscription, not for a connection")]
    SubscriptionToken,
    #[error("it has been revoked")]
    Revoked,
    #[error("its subs or channels are not an object of distinct names, or a list, of at most {max}")]
    BadSubs { max: usize },
}

impl From<TokenFault> for TokenError {
    fn from(why: TokenFault) -> Self {
        Self::Invalid { why }
    }
}

/// Verifies tokens by one set of keys and rules, built from the configuration and shared. Only the keys may be replaced.
#[derive(Debug)]
pub struct TokenVerifier {
    keys: ArcSwap<KeyRing>,
    rules: ClaimRules,
    token_bytes_max: usize,
    /// The hub's own tokens have a key and rules of their own.
    hub: Option<Arc<HubTokens>>,
    published: Option<Arc<Jwks>>,
}

impl TokenVerifier {
    /// Fails on keys that could not verify anything and on patterns that do not compile.
    pub fn new(settings: &TokenSettings) -> Result<Self, SettingsError> {
        Ok(Self {
            keys: ArcSwap::from_pointee(KeyRing::new(&settings.keys)?),
            rules: ClaimRules::new(settings)?,
            token_bytes_max: settings.token_bytes_max,
            hub: None,
            published: None,
        })
    }

    /// Verifies by these keys from now on, and by the same rules as before.
    pub fn replace_keys(&self, keys: &[TokenKey]) -> Result<(), SettingsError> {
        self.keys.store(Arc::new(KeyRing::new(keys)?));
        Ok(())
    }

    /// Accepts tokens that the hub has minted, too.
    #[must_use]
    pub fn and_those_of(self, hub: Arc<HubTokens>) -> Self {
        Self { hub: Some(hub), ..self }
    }

    /// Accepts tokens signed with published keys, too.
    #[must_use]
    pub fn and_published(self, keys: Arc<Jwks>) -> Self {
        Self { published: Some(keys), ..self }
    }

    /// The published keys, if a token names one that is not known yet and nothing that is known verifies it: after they have been asked for,
    /// it may be good. Says nothing about tokens that are wrong whatever the key.
    pub fn asks_for_keys(&self, token: &str, now_wall_seconds: i64) -> Option<Arc<Jwks>> {
        let published = self.published.as_ref()?;
        let parsed = self.parse(token).ok()?;
        let is_of_a_secret = parsed.algorithm.hmac().is_some();
        let is_judged = is_of_a_secret || self.is_of_the_hub(&parsed) || published.knows(parsed.key_id.as_deref());
        (!is_judged && self.signed_payload(token, now_wall_seconds).is_err()).then(|| Arc::clone(published))
    }

    /// Whether any token can be accepted at all.
    pub fn has_keys(&self) -> bool {
        !self.keys.load().is_empty() || self.hub.is_some() || self.published.is_some()
    }

    /// What a connection token says, if it is good at `now_wall_seconds` (Unix time).
    pub fn verify_connection(&self, token: &str, now_wall_seconds: i64) -> Result<ConnectionClaims, TokenError> {
        let signed = self.signed_payload(token, now_wall_seconds)?;
        let Some(hub) = signed.hub else { return ConnectionClaims::read(&signed.payload, &self.rules, now_wall_seconds) };
        let claims = ConnectionClaims::read(&signed.payload, hub.rules(), now_wall_seconds)?;
        hub.still_good(&claims)?;
        Ok(claims)
    }

    /// What a subscription token says, if it is good at `now_wall_seconds` (Unix time). It does not ask whose it is.
    pub fn verify_subscription(&self, token: &str, now_wall_seconds: i64) -> Result<SubscriptionClaims, TokenError> {
        let signed = self.signed_payload(token, now_wall_seconds)?;
        SubscriptionClaims::read(&signed.payload, signed.hub.map_or(&self.rules, |hub| hub.rules()), now_wall_seconds)
    }

    /// Whether a connection token that was good a moment ago has not been declared void since.
    pub fn still_good(&self, claims: &ConnectionClaims) -> Result<(), TokenError> {
        match &self.hub {
            Some(hub) if claims.bearer.login.is_some() => hub.still_good(claims),
            _ => Ok(()),
        }
    }

    /// The claims of a token that somebody with a key has signed, for a protocol that has rules of its own about them: here nothing of them has
    /// been looked at.
    pub(super) fn open(&self, token: &str, now_wall_seconds: i64) -> Result<Opened, TokenFault> {
        let kind = self.parse(token)?.kind;
        Ok(Opened { payload: self.signed_payload(token, now_wall_seconds)?.payload, kind })
    }

    /// What stands in a token, before anybody knows whether it is true.
    fn parse<'a>(&self, token: &'a str) -> Result<Parsed<'a>, TokenFault> {
        if token.len() > self.token_bytes_max {
            return Err(TokenFault::TooLong { bytes: token.len(), max: self.token_bytes_max });
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenFault::NotThreeParts)?;
        let (header, payload) = message.split_once('.').ok_or(TokenFault::NotThreeParts)?;
        // Canonical base64url only: no padding, no stray bits, and a dot is no letter of it, so a fourth part is refused here.
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::NotThreeParts);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);

        let header = Members::parse(&header, HEADER_MEMBERS_MAX).ok_or(TokenFault::BadHeader)?;
        if let Some(member) = FORBIDDEN_HEADERS.into_iter().find(|member| header.get(member).is_some()) {
            return Err(TokenFault::ForbiddenHeader { member });
        }
        let text = |member: &str| header.get(member).map(|value| serde_json::from_str::<Text<'_>>(value.get())).transpose();
        let Text(name) = text("alg").ok().flatten().ok_or(TokenFault::BadHeader)?;
        let id = text("kid").map_err(|_| TokenFault::BadHeader)?.map(|Text(id)| id);
        let algorithm = Algorithm::parse(&name).ok_or(TokenFault::UnknownAlgorithm)?;
        // Of no importance to most; those who ask get only what is a text.
        let kind = text("typ").ok().flatten().map(|Text(kind)| kind.into_owned());

        Ok(Parsed { message, payload, signature, key_id: id.map(Cow::into_owned), kind, algorithm })
    }

    /// Whose it is, the key id alone decides: were both keys tried, each would have to be as good as the other.
    fn is_of_the_hub(&self, parsed: &Parsed<'_>) -> bool {
        self.hub.is_some() && parsed.key_id.as_deref() == Some(HUB_KEY_ID)
    }

    fn signed_payload(&self, token: &str, now: i64) -> Result<Signed<'_>, TokenFault> {
        let parsed = self.parse(token)?;
        let hub = self.hub.as_deref().filter(|_| self.is_of_the_hub(&parsed));
        let Parsed { message, payload, signature, key_id, algorithm, .. } = parsed;
        let (id, message) = (key_id.as_deref(), message.as_bytes());
        let verdict = match hub {
            Some(hub) => hub.verify(algorithm, message, &signature, now),
            // A published key is meant by its id, and then no other one is.
            None => match self.published.as_ref().and_then(|keys| keys.verify(id, algorithm, message, &signature, now)) {
                Some(verdict) if id.is_some() || verdict == SignatureVerdict::Good => verdict,
                _ => self.keys.load().verify(id, algorithm, message, &signature, now),
            },
        };
        match verdict {
            SignatureVerdict::Good => Ok(Signed { payload, hub }),
            SignatureVerdict::Bad => Err(TokenFault::WrongSignature),
            SignatureVerdict::NoKey => Err(TokenFault::NoKey { algorithm }),
        }
    }
}

/// A token that has the shape of one.
struct Parsed<'a> {
    /// What is signed: header and payload as they stand in the token.
    message: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
    key_id: Option<String>,
    /// The header's `typ`.
    kind: Option<String>,
    algorithm: Algorithm,
}

/// Claims whose signature is good, unread.
pub(super) struct Opened {
    pub payload: Vec<u8>,
    /// The header's `typ`.
    pub kind: Option<String>,
}

/// Claims that somebody with a key has signed.
struct Signed<'a> {
    payload: Vec<u8>,
    /// The hub, where it was the hub.
    hub: Option<&'a HubTokens>,
}

/// What claims are checked against, patterns compiled.
#[derive(Clone, Debug)]
pub(super) struct ClaimRules {
    pub(super) audience: Matcher,
    pub(super) issuer: Matcher,
    /// `None`: `sub`.
    pub(super) user_id_claim: Option<String>,
    pub(super) bearer: BearerClaims,
    pub(super) leeway_seconds: i64,
    pub(super) subs_max: usize,
}

impl ClaimRules {
    pub(super) fn new(settings: &TokenSettings) -> Result<Self, SettingsError> {
        let user_id_claim = &settings.user_id_claim;
        Ok(Self {
            audience: Matcher::new("aud", &settings.audience)?,
            issuer: Matcher::new("iss", &settings.issuer)?,
            user_id_claim: (!user_id_claim.is_empty() && user_id_claim != "sub").then(|| user_id_claim.clone()),
            bearer: if settings.role_claim.is_empty() { BearerClaims::None } else { BearerClaims::Role(settings.role_claim.clone()) },
            leeway_seconds: i64::from(settings.leeway_seconds),
            subs_max: settings.subs_max,
        })
    }
}

#[derive(Clone, Debug)]
pub(super) enum Matcher {
    Anything,
    Exactly(String),
    Matching(Regex),
}

impl Matcher {
    fn new(claim: &'static str, expected: &Expected) -> Result<Self, SettingsError> {
        Ok(match expected {
            Expected::Anything => Self::Anything,
            Expected::Exactly(text) => Self::Exactly(text.clone()),
            Expected::Matching(pattern) => {
                Self::Matching(Regex::new(pattern).map_err(|source| SettingsError::Pattern { claim, pattern: pattern.clone(), source })?)
            }
        })
    }

    /// Whether one of the values is as expected. Without an expectation even none at all is.
    pub(super) fn accepts<'value>(&self, mut values: impl Iterator<Item = &'value str>) -> bool {
        match self {
            Self::Anything => true,
            Self::Exactly(text) => values.any(|value| value == text),
            Self::Matching(regex) => values.any(|value| regex.is_match(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::KeyMaterial;
    use super::super::sign::TokenSigner;
    use super::*;
    use jsonwebtoken::{EncodingKey, Header};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};
    use serde_json::{Value, json};
    use std::time::{Duration, Instant};

    const NOW: i64 = 1_800_000_000;
    const SECRET: &str = "a secret that only the issuer and the hub know";
    const GOOD_CLAIMS: &str = r#"{"sub":"alice","exp":1800000600}"#;

    fn verifier(settings: TokenSettings) -> TokenVerifier {
        TokenVerifier::new(&settings).unwrap()
    }
    fn hmac_settings() -> TokenSettings {
        TokenSettings { keys: vec![TokenKey::hmac(SECRET)], ..TokenSettings::default() }
    }
    fn b64(bytes: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }
    /// A token with exactly these bytes in it, signed by HMAC whatever its header says.
    fn raw(header: &str, claims: &str, secret: &str, algorithm: Algorithm) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        let key = EncodingKey::from_secret(secret.as_bytes());
        format!("{message}.{}", foreign_signature(algorithm, &key, message.as_bytes()))
    }
    /// By another implementation than ours.
    fn foreign_signature(algorithm: Algorithm, key: &EncodingKey, message: &[u8]) -> String {
        jsonwebtoken::crypto::sign(message, key, foreign(algorithm)).unwrap()
    }
    fn foreign(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
        format!("{algorithm:?}").parse().unwrap()
    }
    fn hs256(header: &str, claims: &str) -> String {
        raw(header, claims, SECRET, Algorithm::HS256)
    }
    const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

    fn fault(verifier: &TokenVerifier, token: &str) -> TokenFault {
        match verifier.verify_connection(token, NOW) {
            Err(TokenError::Invalid { why }) => why,
            other => panic!("{} gave {other:?}", &token[..token.len().min(200)]),
        }
    }

    /// Key pairs of every asymmetric kind, made once: the RSA pair takes a while.
    struct Pairs {
        rsa: KeyPair,
        p256: KeyPair,
        p384: KeyPair,
        ed: KeyPair,
    }
    fn pairs() -> Pairs {
        Pairs {
            rsa: KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(),
            p256: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
            p384: KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
            ed: KeyPair::generate_for(&PKCS_ED25519).unwrap(),
        }
    }

    /// Tokens are made by the library's own encoder here, so that both ends are not ours.
    #[test]
    fn a_good_token_of_every_algorithm_is_accepted_and_a_changed_one_is_not() {
        let pairs = pairs();
        let secret = EncodingKey::from_secret(SECRET.as_bytes());
        let rsa = EncodingKey::from_rsa_pem(pairs.rsa.serialize_pem().as_bytes()).unwrap();
        let p256 = EncodingKey::from_ec_pem(pairs.p256.serialize_pem().as_bytes()).unwrap();
        let p384 = EncodingKey::from_ec_pem(pairs.p384.serialize_pem().as_bytes()).unwrap();
        let ed = EncodingKey::from_ed_pem(pairs.ed.serialize_pem().as_bytes()).unwrap();
        let rsa_all = TokenKey {
            algorithms: vec![Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512],
            ..TokenKey::new(KeyMaterial::Rsa { pem: pairs.rsa.public_key_pem() })
        };
        let keys = vec![
            TokenKey::hmac(SECRET),
            rsa_all,
            TokenKey::new(KeyMaterial::Ec { pem: pairs.p256.public_key_pem() }),
            TokenKey::new(KeyMaterial::Ec { pem: pairs.p384.public_key_pem() }),
            TokenKey::new(KeyMaterial::Ed { pem: pairs.ed.public_key_pem() }),
        ];
        let verifier = verifier(TokenSettings { keys, ..TokenSettings::default() });
        let claims: Value = serde_json::from_str(GOOD_CLAIMS).unwrap();
        for (algorithm, key) in [
            (Algorithm::HS256, &secret),
            (Algorithm::HS384, &secret),
            (Algorithm::HS512, &secret),
            (Algorithm::RS256, &rsa),
            (Algorithm::RS384, &rsa),
            (Algorithm::RS512, &rsa),
            (Algorithm::PS256, &rsa),
            (Algorithm::PS384, &rsa),
            (Algorithm::PS512, &rsa),
            (Algorithm::ES256, &p256),
            (Algorithm::ES384, &p384),
            (Algorithm::EdDSA, &ed),
        ] {
            let token = jsonwebtoken::encode(&Header::new(foreign(algorithm)), &claims, key).unwrap();
            let accepted = verifier.verify_connection(&token, NOW).unwrap_or_else(|error| panic!("{algorithm:?}: {error}"));
            assert_eq!((accepted.user.as_str(), accepted.expires_at), ("alice", Some(1_800_000_600)), "{algorithm:?}");
            assert_eq!(verifier.verify_connection(&token, 1_800_000_600), Err(TokenError::Expired), "{algorithm:?}");

            let (message, signature) = token.rsplit_once('.').unwrap();
            let mut changed = URL_SAFE_NO_PAD.decode(signature).unwrap();
            changed[5] ^= 1;
            let header = message.split_once('.').unwrap().0;
            let truncated = URL_SAFE_NO_PAD.decode(signature).unwrap()[..16].to_vec();
            for forged in [
                format!("{message}.{}", b64(&changed)),
                format!("{message}.{}", b64(truncated)),
                format!("{message}."),
                format!("{header}.{}.{signature}", b64(r#"{"sub":"mallory","exp":1800000600}"#)),
            ] {
                assert_eq!(fault(&verifier, &forged), TokenFault::WrongSignature, "{algorithm:?}");
            }
        }
    }

    #[test]
    fn keys_are_never_used_for_algorithms_of_another_kind() {
        let pairs = pairs();
        let rsa_pem = pairs.rsa.public_key_pem();
        let rsa_only = verifier(TokenSettings { keys: vec![TokenKey::new(KeyMaterial::Rsa { pem: rsa_pem.clone() })], ..TokenSettings::default() });
        let ec_only =
            verifier(TokenSettings { keys: vec![TokenKey::new(KeyMaterial::Ec { pem: pairs.p256.public_key_pem() })], ..TokenSettings::default() });
        let hs256_only = verifier(TokenSettings {
            keys: vec![TokenKey { algorithms: vec![Algorithm::HS256], ..TokenKey::hmac(SECRET) }],
            ..TokenSettings::default()
        });
        let claims: Value = serde_json::from_str(GOOD_CLAIMS).unwrap();
        let rsa = EncodingKey::from_rsa_pem(pairs.rsa.serialize_pem().as_bytes()).unwrap();
        let ed = EncodingKey::from_ed_pem(pairs.ed.serialize_pem().as_bytes()).unwrap();
        let der_secret = pairs.rsa.public_key_pem().lines().filter(|line| !line.starts_with('-')).collect::<String>();
        let cases = [
            // The public key is public: as an HMAC secret it would let everybody sign.
            (&rsa_only, raw(HS256, GOOD_CLAIMS, &rsa_pem, Algorithm::HS256), Algorithm::HS256),
            (&rsa_only, raw(HS256, GOOD_CLAIMS, rsa_pem.trim_end(), Algorithm::HS256), Algorithm::HS256),
            (&rsa_only, raw(HS256, GOOD_CLAIMS, &der_secret, Algorithm::HS256), Algorithm::HS256),
            (&ec_only, raw(HS256, GOOD_CLAIMS, &pairs.p256.public_key_pem(), Algorithm::HS256), Algorithm::HS256),
            // The right key by an algorithm that its list does not have.
            (&rsa_only, jsonwebtoken::encode(&Header::new(foreign(Algorithm::PS256)), &claims, &rsa).unwrap(), Algorithm::PS256),
            (&hs256_only, raw(r#"{"alg":"HS384"}"#, GOOD_CLAIMS, SECRET, Algorithm::HS384), Algorithm::HS384),
            (&hs256_only, raw(r#"{"alg":"HS512"}"#, GOOD_CLAIMS, SECRET, Algorithm::HS512), Algorithm::HS512),
            (&ec_only, jsonwebtoken::encode(&Header::new(foreign(Algorithm::EdDSA)), &claims, &ed).unwrap(), Algorithm::EdDSA),
            (&ec_only, raw(r#"{"alg":"ES384"}"#, GOOD_CLAIMS, SECRET, Algorithm::HS384), Algorithm::ES384),
        ];
        for (verifier, token, algorithm) in cases {
            assert_eq!(fault(verifier, &token), TokenFault::NoKey { algorithm });
        }
        let same_family = raw(r#"{"alg":"HS256"}"#, GOOD_CLAIMS, SECRET, Algorithm::HS512);
        assert_eq!(fault(&hs256_only, &same_family), TokenFault::WrongSignature, "signed by HS512, said to be HS256");
        let no_keys = verifier_without_keys();
        assert!(!no_keys.has_keys());
        assert_eq!(fault(&no_keys, &raw(HS256, GOOD_CLAIMS, "", Algorithm::HS256)), TokenFault::NoKey { algorithm: Algorithm::HS256 });
    }

    fn verifier_without_keys() -> TokenVerifier {
        verifier(TokenSettings::default())
    }

    #[test]
    fn forged_and_malformed_tokens_are_refused() {
        let verifier = verifier(hmac_settings());
        let good = hs256(HS256, GOOD_CLAIMS);
        assert!(verifier.verify_connection(&good, NOW).is_ok(), "the sibling that all of these differ from");
        let unsigned = |header: &str| format!("{}.{}.", b64(header), b64(GOOD_CLAIMS));
        let (message, signature) = good.rsplit_once('.').unwrap();
        let (header, payload) = message.split_once('.').unwrap();
        // The last letter of a signature of 32 bytes carries two bits that mean nothing; decoders that ignore them accept four spellings.
        let mut stray_bits = good.clone();
        let last = stray_bits.pop().unwrap();
        stray_bits.push(char::from(last as u8 + 1));

        let shape = TokenFault::NotThreeParts;
        let bad_header = TokenFault::BadHeader;
        let unknown = TokenFault::UnknownAlgorithm;
        let forbidden = |member| TokenFault::ForbiddenHeader { member };
        let with_header = |member: &str| hs256(&format!(r#"{{"alg":"HS256",{member}}}"#), GOOD_CLAIMS);
        let cases: Vec<(&str, String, TokenFault)> = vec![
            ("nothing", String::new(), shape),
            ("one part", "abc".to_string(), shape),
            ("two parts", message.to_string(), shape),
            ("dots only", "..".to_string(), bad_header),
            ("four parts", format!("{good}.{signature}"), shape),
            ("five parts, as of an encrypted token", format!("{header}.{payload}.{payload}.{payload}.{signature}"), shape),
            ("padding after the signature", format!("{good}="), shape),
            ("padding in the header", format!("{header}=.{payload}.{signature}"), shape),
            ("stray bits in the signature", stray_bits, shape),
            ("standard base64", format!("{message}.+/{}", &signature[2..]), shape),
            ("a blank before", format!(" {good}"), shape),
            ("a line feed after", format!("{good}\n"), shape),
            ("dots of another script", good.replace('.', "\u{3002}"), shape),
            ("letters of another script", good.replacen('e', "\u{435}", 1), shape),
            ("a NUL inside", format!("{message}\0.{signature}"), shape),
            ("with a scheme", format!("Bearer {good}"), shape),
            ("the JSON serialization", format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#), shape),
            ("one megabyte", "a".repeat(1 << 20), TokenFault::TooLong { bytes: 1 << 20, max: 16_384 }),
            (
                "one megabyte of kid",
                with_header(&format!(r#""kid":"{}""#, "k".repeat(1 << 20))),
                TokenFault::TooLong { bytes: 1_398_222, max: 16_384 },
            ),
            ("one megabyte of dots", ".".repeat(1 << 20), TokenFault::TooLong { bytes: 1 << 20, max: 16_384 }),
            ("alg none", unsigned(r#"{"alg":"none"}"#), unknown),
            ("alg None", unsigned(r#"{"alg":"None"}"#), unknown),
            ("alg NONE", unsigned(r#"{"alg":"NONE"}"#), unknown),
            ("alg nOnE", unsigned(r#"{"alg":"nOnE"}"#), unknown),
            ("alg none with a signature", hs256(r#"{"alg":"none"}"#, GOOD_CLAIMS), unknown),
            ("alg empty", unsigned(r#"{"alg":""}"#), unknown),
            ("alg in lower case", hs256(r#"{"alg":"hs256"}"#, GOOD_CLAIMS), unknown),
            ("alg with a blank", hs256(r#"{"alg":"HS256 "}"#, GOOD_CLAIMS), unknown),
            ("alg of an encryption", hs256(r#"{"alg":"dir"}"#, GOOD_CLAIMS), unknown),
            ("alg absent", hs256(r#"{"typ":"JWT"}"#, GOOD_CLAIMS), bad_header),
            ("alg null", hs256(r#"{"alg":null}"#, GOOD_CLAIMS), bad_header),
            ("alg a number", hs256(r#"{"alg":256}"#, GOOD_CLAIMS), bad_header),
            ("alg a list", hs256(r#"{"alg":["HS256"]}"#, GOOD_CLAIMS), bad_header),
            ("alg twice", hs256(r#"{"alg":"HS256","alg":"none"}"#, GOOD_CLAIMS), bad_header),
            ("alg twice, once in escapes", hs256(r#"{"alg":"HS256","\u0061lg":"none"}"#, GOOD_CLAIMS), bad_header),
            ("an unused member twice", hs256(r#"{"alg":"HS256","x":1,"x":1}"#, GOOD_CLAIMS), bad_header),
            ("a header that is no object", hs256(r#"["HS256"]"#, GOOD_CLAIMS), bad_header),
            ("a header of two objects", hs256(r#"{"alg":"HS256"}{"alg":"HS256"}"#, GOOD_CLAIMS), bad_header),
            ("an empty header", format!(".{payload}.{signature}"), bad_header),
            ("a crowded header", with_header(&(0..32).map(|n| format!("\"x{n}\":0")).collect::<Vec<_>>().join(",")), bad_header),
            ("an empty signature", format!("{message}."), TokenFault::WrongSignature),
            ("a signature of zeros", format!("{message}.{}", b64([0; 32])), TokenFault::WrongSignature),
            ("another secret", raw(HS256, GOOD_CLAIMS, "a guess", Algorithm::HS256), TokenFault::WrongSignature),
            ("an empty secret", raw(HS256, GOOD_CLAIMS, "", Algorithm::HS256), TokenFault::WrongSignature),
            ("a secret that is nearly ours", raw(HS256, GOOD_CLAIMS, &SECRET[1..], Algorithm::HS256), TokenFault::WrongSignature),
            ("a valid token of somebody else", THIRD_PARTY.to_string(), TokenFault::WrongSignature),
            ("an RSA token", hs256(r#"{"alg":"RS256"}"#, GOOD_CLAIMS), TokenFault::NoKey { algorithm: Algorithm::RS256 }),
            ("an EdDSA token", hs256(r#"{"alg":"EdDSA"}"#, GOOD_CLAIMS), TokenFault::NoKey { algorithm: Algorithm::EdDSA }),
            ("a kid that is a path", raw(r#"{"alg":"HS256","kid":"../../dev/null"}"#, GOOD_CLAIMS, "", Algorithm::HS256), TokenFault::WrongSignature),
            (
                "a kid that is a query",
                raw(r#"{"alg":"HS256","kid":"x' UNION SELECT 'k"}"#, GOOD_CLAIMS, "k", Algorithm::HS256),
                TokenFault::WrongSignature,
            ),
            (
                "a kid that is a URL",
                raw(r#"{"alg":"HS256","kid":"http://127.0.0.1/k"}"#, GOOD_CLAIMS, "k", Algorithm::HS256),
                TokenFault::WrongSignature,
            ),
            ("a kid that is no text", with_header(r#""kid":7"#), bad_header),
            ("a kid that is null", with_header(r#""kid":null"#), bad_header),
            ("its own key", with_header(r#""jwk":{"kty":"oct","k":"QQ"}"#), forbidden("jwk")),
            ("a key's URL", with_header(r#""jku":"https://evil.example/keys""#), forbidden("jku")),
            ("a certificate's URL", with_header(r#""x5u":"https://evil.example/cert""#), forbidden("x5u")),
            ("a certificate", with_header(r#""x5c":["MIIB"]"#), forbidden("x5c")),
            ("critical extensions", with_header(r#""crit":["exp"]"#), forbidden("crit")),
            ("no critical extensions", with_header(r#""crit":[]"#), forbidden("crit")),
            ("an unencoded payload", with_header(r#""b64":false,"crit":["b64"]"#), forbidden("crit")),
            ("b64 alone", with_header(r#""b64":false"#), forbidden("b64")),
            ("a compressed payload", with_header(r#""zip":"DEF""#), forbidden("zip")),
            ("an encrypted payload", with_header(r#""enc":"A128GCM""#), forbidden("enc")),
            ("a forbidden member in escapes", with_header(r#""j\u0077k":{}"#), forbidden("jwk")),
            ("the payload of another token", format!("{header}.{}.{signature}", b64(r#"{"sub":"bob"}"#)), TokenFault::WrongSignature),
            ("header and payload swapped", format!("{payload}.{header}.{signature}"), bad_header),
        ];
        assert!(cases.len() >= 60, "{}", cases.len());
        for (name, token, expected) in cases {
            let started = Instant::now();
            assert_eq!(fault(&verifier, &token), expected, "{name}");
            assert!(matches!(verifier.verify_subscription(&token, NOW), Err(TokenError::Invalid { .. })), "{name}");
            assert!(started.elapsed() < Duration::from_millis(500), "{name} took {:?}", started.elapsed());
        }
    }

    /// The example token of jwt.io: well made, signed with a secret that is not ours.
    const THIRD_PARTY: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.\
        SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";

    #[test]
    fn signed_nonsense_is_refused() {
        let verifier = verifier(hmac_settings());
        let wrong = |claim, expected| TokenFault::WrongClaim { claim, expected };
        let exp = "a number of seconds up to the year 9999";
        let since = "a number of seconds since 1970";
        let text = "a string";
        let channels = "a list of channel names";
        let flags = "an object of {\"value\": true or false}";
        let base64 = "base64 (RFC 4648, 4)";
        let deep = format!(r#"{{"sub":"a","exp":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
        let cases: Vec<(&str, TokenFault)> = vec![
            ("", TokenFault::BadClaims),
            ("null", TokenFault::BadClaims),
            ("[]", TokenFault::BadClaims),
            (r#""alice""#, TokenFault::BadClaims),
            (r#"{"sub":"alice""#, TokenFault::BadClaims),
            (r#"{"sub":"alice"} x"#, TokenFault::BadClaims),
            (r#"{"sub":"alice","sub":"bob"}"#, TokenFault::BadClaims),
            (r#"{"sub":"alice","s\u0075b":"bob"}"#, TokenFault::BadClaims),
            (r#"{"exp":1800000600,"exp":9999999999}"#, TokenFault::BadClaims),
            (r#"{"x":1,"x":1}"#, TokenFault::BadClaims),
            (r#"{"exp":"1800000600"}"#, wrong("exp", exp)),
            (r#"{"exp":"never"}"#, wrong("exp", exp)),
            (r#"{"exp":null}"#, wrong("exp", exp)),
            (r#"{"exp":true}"#, wrong("exp", exp)),
            (r#"{"exp":[1800000600]}"#, wrong("exp", exp)),
            (r#"{"exp":{}}"#, wrong("exp", exp)),
            (r#"{"exp":1e300}"#, wrong("exp", exp)),
            (r#"{"exp":1e999}"#, wrong("exp", exp)),
            (r#"{"exp":1800000600000}"#, wrong("exp", exp)),
            (r#"{"exp":18446744073709551616}"#, wrong("exp", exp)),
            (r#"{"exp":-1}"#, wrong("exp", since)),
            (r#"{"exp":-1e300}"#, wrong("exp", since)),
            (&deep, wrong("exp", exp)),
            (r#"{"nbf":"0"}"#, wrong("nbf", exp)),
            (r#"{"nbf":null}"#, wrong("nbf", exp)),
            (r#"{"nbf":1e300}"#, wrong("nbf", exp)),
            (r#"{"nbf":-5}"#, wrong("nbf", since)),
            (r#"{"expire_at":"0"}"#, wrong("expire_at", exp)),
            (r#"{"expire_at":1e300}"#, wrong("expire_at", exp)),
            (r#"{"sub":42}"#, wrong("sub", text)),
            (r#"{"sub":null}"#, wrong("sub", text)),
            (r#"{"sub":["alice"]}"#, wrong("sub", text)),
            (r#"{"sub":{"id":"alice"}}"#, wrong("sub", text)),
            (r#"{"sub":"\ud800"}"#, wrong("sub", text)),
            (r#"{"aud":7}"#, wrong("aud", "a string or a list of strings")),
            (r#"{"aud":["a",7]}"#, wrong("aud", "a string or a list of strings")),
            (r#"{"iss":["a"]}"#, wrong("iss", text)),
            (r#"{"jti":7}"#, wrong("jti", text)),
            (r#"{"channel":"a"}"#, TokenFault::SubscriptionToken),
            (r#"{"channel":""}"#, TokenFault::SubscriptionToken),
            (r#"{"channel":null}"#, TokenFault::SubscriptionToken),
            (r#"{"channels":"a"}"#, wrong("channels", channels)),
            (r#"{"channels":[1]}"#, wrong("channels", channels)),
            (r#"{"channels":[""]}"#, wrong("channels", channels)),
            (r#"{"channels":{"a":{}}}"#, wrong("channels", channels)),
            (r#"{"subs":["a"]}"#, TokenFault::BadSubs { max: 1_000 }),
            (r#"{"subs":{"a":{},"a":{}}}"#, TokenFault::BadSubs { max: 1_000 }),
            (r#"{"subs":{"":{}}}"#, wrong("subs", "an object of channel names")),
            (r#"{"subs":{"a":1}}"#, wrong("subs", "an object of objects")),
            (r#"{"subs":{"a":{"info":1,"info":2}}}"#, wrong("subs", "an object of objects")),
            (r#"{"subs":{"a":{"override":true}}}"#, wrong("override", flags)),
            (r#"{"subs":{"a":{"override":{"presence":true}}}}"#, wrong("override", flags)),
            (r#"{"subs":{"a":{"override":{"presence":{"value":1}}}}}"#, wrong("override", flags)),
            (r#"{"subs":{"a":{"b64data":"?"}}}"#, wrong("b64data", base64)),
            (r#"{"b64info":"***"}"#, wrong("b64info", base64)),
            (r#"{"b64info":7}"#, wrong("b64info", text)),
        ];
        for (claims, expected) in cases {
            assert_eq!(fault(&verifier, &hs256(HS256, claims)), expected, "{}", &claims[..claims.len().min(100)]);
        }
        for claims in [r#"{"sub":"a"}"#, r#"{"sub":"a","channel":""}"#] {
            let token = hs256(HS256, claims);
            assert_eq!(verifier.verify_subscription(&token, NOW), Err(TokenFault::MissingClaim { claim: "channel" }.into()), "{claims}");
        }
    }

    #[test]
    fn tokens_out_of_their_time_are_expired_and_wrong_ones_stay_invalid() {
        let verifier = verifier(hmac_settings());
        for claims in [
            r#"{"sub":"a","exp":1799999999}"#,
            r#"{"sub":"a","exp":1800000000}"#,
            r#"{"sub":"a","exp":0}"#,
            r#"{"sub":"a","exp":1.5}"#,
            r#"{"sub":"a","exp":1e-300}"#,
            r#"{"sub":"a","nbf":1800000001}"#,
            r#"{"sub":"a","nbf":253402300799,"exp":253402300799}"#,
            r#"{"sub":"a","exp":1799999999,"expire_at":1900000000}"#,
        ] {
            assert_eq!(verifier.verify_connection(&hs256(HS256, claims), NOW), Err(TokenError::Expired), "{claims}");
        }
        let subscription = hs256(HS256, r#"{"sub":"a","channel":"c","exp":1}"#);
        assert_eq!(verifier.verify_subscription(&subscription, NOW), Err(TokenError::Expired));
        let forged = raw(HS256, r#"{"sub":"a","exp":1}"#, "guess", Algorithm::HS256);
        assert_eq!(fault(&verifier, &forged), TokenFault::WrongSignature, "expiry of a forged token is nobody's business");
        assert_eq!(fault(&verifier, &hs256(HS256, r#"{"channel":"c","exp":1}"#)), TokenFault::SubscriptionToken);
    }

    #[test]
    fn a_key_id_picks_its_key_and_only_its_key() {
        let named = |id: &str, secret: &str| TokenKey { id: Some(id.to_string()), ..TokenKey::hmac(secret) };
        let keys = vec![named("one", "first"), named("two", "second"), TokenKey::hmac("third")];
        let verifier = verifier(TokenSettings { keys, ..TokenSettings::default() });
        let accepts = |header: &str, secret: &str| verifier.verify_connection(&raw(header, GOOD_CLAIMS, secret, Algorithm::HS256), NOW).is_ok();
        assert!(accepts(r#"{"alg":"HS256","kid":"one"}"#, "first"));
        assert!(accepts(r#"{"alg":"HS256","kid":"two"}"#, "second"));
        assert!(accepts(r#"{"alg":"HS256"}"#, "third"));
        assert!(accepts(r#"{"alg":"HS256","kid":"unheard of"}"#, "third"), "a name that we do not know is only a name");
        for (header, secret) in [
            (r#"{"alg":"HS256","kid":"one"}"#, "second"),
            (r#"{"alg":"HS256","kid":"one"}"#, "third"),
            (r#"{"alg":"HS256","kid":"One"}"#, "first"),
            (r#"{"alg":"HS256","kid":""}"#, "first"),
            (r#"{"alg":"HS256"}"#, "first"),
        ] {
            assert!(!accepts(header, secret), "{header} by {secret}");
        }
    }

    #[test]
    fn a_previous_secret_is_accepted_until_its_end() {
        let keys = vec![TokenKey::hmac("new"), TokenKey { accepted_until: Some(NOW + 10), ..TokenKey::hmac("old") }];
        let verifier = verifier(TokenSettings { keys, ..TokenSettings::default() });
        let token = |secret: &str| raw(HS256, GOOD_CLAIMS, secret, Algorithm::HS256);
        assert!(verifier.verify_connection(&token("new"), NOW + 10).is_ok());
        assert!(verifier.verify_connection(&token("old"), NOW + 9).is_ok());
        assert_eq!(verifier.verify_connection(&token("old"), NOW + 10), Err(TokenFault::WrongSignature.into()));
    }

    #[test]
    fn patterns_that_do_not_compile_are_named() {
        let settings = TokenSettings { audience: Expected::Matching("(".to_string()), ..TokenSettings::default() };
        let error = TokenVerifier::new(&settings).expect_err("an unclosed group");
        assert_eq!(error.to_string(), "\"(\" for aud is not a regular expression");
    }

    #[test]
    fn a_fault_tells_nothing_of_the_token() {
        let verifier = verifier(hmac_settings());
        let token = hs256(HS256, r#"{"sub":["private name"]}"#);
        let error = verifier.verify_connection(&token, NOW).expect_err("sub is a list");
        assert!(!format!("{error} {error:?}").contains("private name"));
        assert!(!format!("{verifier:?}").contains(SECRET));
    }

    #[test]
    fn what_our_signer_makes_our_verifier_takes() {
        let verifier = verifier(hmac_settings());
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let signer = TokenSigner::hmac(SECRET.as_bytes(), algorithm).unwrap();
            let token = signer.sign(&json!({"sub": "alice", "exp": NOW + 1})).unwrap();
            assert_eq!(verifier.verify_connection(&token, NOW).unwrap().user.as_str(), "alice", "{algorithm:?}");
        }
    }
}

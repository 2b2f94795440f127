//! The keys that tokens may be signed with, and which of them a token's header points at.
//!
//! A key brings its own list of algorithms; the token's `alg` only picks from it. A `kid` is looked up in a fixed map and nowhere else: it
//! is never a path, a URL or a query. Keys fetched from a JWKS endpoint will stand in the same map.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::{ExposeSecret, SecretString};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// RFC 7518, 3.3: a key of 2,048 bits or larger must be used with the RSA algorithms.
const RSA_BITS_MIN: usize = 2_048;

/// Keys that one verifier holds. A token without a key id is tried with every key of its algorithm, so this bounds that work too.
const KEYS_MAX: usize = 64;

/// A key as the configuration gives it.
#[derive(Clone, Debug)]
pub struct TokenKey {
    /// Tokens whose `kid` is this are verified by this key alone. `None`: for all tokens whose `kid` names no key.
    pub id: Option<String>,
    pub material: KeyMaterial,
    /// Algorithms that the key is for. Empty: HS256, HS384, HS512 for a secret; RS256, RS384, RS512 for RSA; for EC the one of its curve;
    /// EdDSA. (The RSA-PSS algorithms are there only by name.)
    pub algorithms: Vec<Algorithm>,
    /// Unix seconds from which on the key is no longer accepted: for the previous secret while keys are rotated.
    pub accepted_until: Option<i64>,
}

#[derive(Clone, Debug)]
pub enum KeyMaterial {
    /// A shared secret.
    Hmac(SecretString),
    /// A public key in PEM: `PUBLIC KEY` (RFC 5280) or `RSA PUBLIC KEY` (RFC 8017).
    Rsa { pem: String },
    /// A public key in PEM, on P-256 or P-384.
    Ec { pem: String },
    /// A public key in PEM, Ed25519.
    Ed { pem: String },
}

impl TokenKey {
    /// A shared secret for HS256, HS384 and HS512.
    pub fn hmac(secret: impl Into<String>) -> Self {
        Self::new(KeyMaterial::Hmac(SecretString::from(secret.into())))
    }

    /// A key without id and end, for all the algorithms that go with it.
    pub fn new(material: KeyMaterial) -> Self {
        Self { id: None, material, algorithms: Vec::new(), accepted_until: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("secret of a token key is empty")]
    EmptySecret,
    #[error("token key is not a {kind} public key in PEM")]
    NotAPublicKey { kind: &'static str },
    #[error("RSA key for tokens has {bits} bits, fewer than {RSA_BITS_MIN}")]
    WeakRsa { bits: usize },
    #[error("algorithm {algorithm:?} does not go with a {kind} token key")]
    WrongAlgorithm { algorithm: Algorithm, kind: &'static str },
    #[error("two token keys have the id \"{id}\"")]
    RepeatedId { id: String },
    #[error("more than {KEYS_MAX} token keys")]
    TooMany,
}

/// All keys of one verifier.
#[derive(Debug, Default)]
pub(super) struct KeyRing {
    by_id: HashMap<String, Key>,
    without_id: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    key: DecodingKey,
    algorithms: SmallVec<[Algorithm; 6]>,
    accepted_until: Option<i64>,
}

/// What a key ring thinks of a signature.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SignatureVerdict {
    Good,
    Bad,
    /// No key is for this algorithm and key id at this time.
    NoKey,
}

impl KeyRing {
    pub(super) fn new(keys: &[TokenKey]) -> Result<Self, KeyError> {
        if keys.len() > KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let mut ring = Self::default();
        for key in keys {
            let built = Key::new(key)?;
            match &key.id {
                None => ring.without_id.push(built),
                Some(id) => match ring.by_id.entry(id.clone()) {
                    Entry::Occupied(_) => return Err(KeyError::RepeatedId { id: id.clone() }),
                    Entry::Vacant(place) => {
                        place.insert(built);
                    }
                },
            }
        }
        Ok(ring)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty() && self.without_id.is_empty()
    }

    pub(super) fn verify(&self, id: Option<&str>, algorithm: Algorithm, message: &[u8], signature: Vec<u8>, now: i64) -> SignatureVerdict {
        let candidates = match id.and_then(|id| self.by_id.get(id)) {
            Some(key) => std::slice::from_ref(key),
            None => self.without_id.as_slice(),
        };
        let mut verdict = SignatureVerdict::NoKey;
        for key in candidates.iter().filter(|key| key.is_for(algorithm, now)) {
            // The provider is named, not taken from the process: that one panics when none or two are compiled in.
            if (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &key.key).is_ok_and(|verifier| verifier.verify(message, &signature).is_ok()) {
                return SignatureVerdict::Good;
            }
            verdict = SignatureVerdict::Bad;
        }
        verdict
    }
}

impl Key {
    fn new(settings: &TokenKey) -> Result<Self, KeyError> {
        let (key, possible) = match &settings.material {
            KeyMaterial::Hmac(secret) => hmac_key(secret)?,
            KeyMaterial::Rsa { pem } => rsa_key(pem)?,
            KeyMaterial::Ec { pem } => ec_key(pem)?,
            KeyMaterial::Ed { pem } => ed_key(pem)?,
        };
        if let Some(&algorithm) = settings.algorithms.iter().find(|algorithm| !possible.all.contains(algorithm)) {
            return Err(KeyError::WrongAlgorithm { algorithm, kind: possible.kind });
        }
        let algorithms = if settings.algorithms.is_empty() { possible.usual } else { &settings.algorithms };
        Ok(Self { key, algorithms: SmallVec::from_slice(algorithms), accepted_until: settings.accepted_until })
    }

    fn is_for(&self, algorithm: Algorithm, now: i64) -> bool {
        self.algorithms.contains(&algorithm) && self.accepted_until.is_none_or(|until| now < until)
    }
}

/// The algorithms that a key can be used with, and those that it is used with unless the settings say otherwise.
struct Possible {
    kind: &'static str,
    all: &'static [Algorithm],
    usual: &'static [Algorithm],
}

fn hmac_key(secret: &SecretString) -> Result<(DecodingKey, Possible), KeyError> {
    const ALL: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    if secret.expose_secret().is_empty() {
        return Err(KeyError::EmptySecret);
    }
    Ok((DecodingKey::from_secret(secret.expose_secret().as_bytes()), Possible { kind: "HMAC", all: ALL, usual: ALL }))
}

fn rsa_key(pem: &str) -> Result<(DecodingKey, Possible), KeyError> {
    const ALL: &[Algorithm] = &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
    let kind = "RSA";
    let key = public_key(pem, kind, DecodingKey::from_rsa_pem)?;
    probe(&key, &RSA_PKCS1_2048_8192_SHA256, kind)?;
    let bits = key
        .try_get_as_bytes()
        .ok()
        .and_then(|der| aws_lc_rs::rsa::PublicKey::from_der(der).ok())
        .map(|key| key.modulus_len() * 8)
        .ok_or(KeyError::NotAPublicKey { kind })?;
    if bits < RSA_BITS_MIN {
        return Err(KeyError::WeakRsa { bits });
    }
    Ok((key, Possible { kind, all: ALL, usual: &ALL[..3] }))
}

fn ec_key(pem: &str) -> Result<(DecodingKey, Possible), KeyError> {
    let kind = "EC (P-256 or P-384)";
    let key = public_key(pem, kind, DecodingKey::from_ec_pem)?;
    let of_curve: &[Algorithm] = if probe(&key, &ECDSA_P256_SHA256_FIXED, kind).is_ok() {
        &[Algorithm::ES256]
    } else {
        probe(&key, &ECDSA_P384_SHA384_FIXED, kind)?;
        &[Algorithm::ES384]
    };
    Ok((key, Possible { kind, all: of_curve, usual: of_curve }))
}

fn ed_key(pem: &str) -> Result<(DecodingKey, Possible), KeyError> {
    let kind = "Ed25519";
    let key = public_key(pem, kind, DecodingKey::from_ed_pem)?;
    probe(&key, &ED25519, kind)?;
    Ok((key, Possible { kind, all: &[Algorithm::EdDSA], usual: &[Algorithm::EdDSA] }))
}

/// Only the two labels of public keys: the reader would also take bytes of a private key or of a certificate, the wrong ones.
fn public_key(pem: &str, kind: &'static str, read: impl Fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>) -> Result<DecodingKey, KeyError> {
    let pem = pem.trim();
    let is_public = pem.starts_with("-----BEGIN PUBLIC KEY-----") || pem.starts_with("-----BEGIN RSA PUBLIC KEY-----");
    if !is_public {
        return Err(KeyError::NotAPublicKey { kind });
    }
    read(pem.as_bytes()).map_err(|_| KeyError::NotAPublicKey { kind })
}

/// Finds out at start, not at the first token, whether the key can be used.
fn probe(key: &DecodingKey, algorithm: &'static dyn VerificationAlgorithm, kind: &'static str) -> Result<(), KeyError> {
    key.try_get_as_bytes().ok().and_then(|bytes| ParsedPublicKey::new(algorithm, bytes).ok()).map(|_| ()).ok_or(KeyError::NotAPublicKey { kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519};

    fn fault(material: KeyMaterial) -> Option<KeyError> {
        KeyRing::new(&[TokenKey::new(material)]).err()
    }

    #[test]
    fn keys_that_cannot_verify_are_refused_at_start() {
        let p256 = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap().public_key_pem();
        let p521 = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap().public_key_pem();
        let ed = KeyPair::generate_for(&PKCS_ED25519).unwrap().public_key_pem();
        let certificate = rcgen::CertificateParams::new(vec!["a.example".to_string()]).unwrap().self_signed(&p256).unwrap().pem();
        assert_eq!(fault(KeyMaterial::Hmac(String::new().into())), Some(KeyError::EmptySecret));
        assert_eq!(fault(KeyMaterial::Ec { pem: format!("\n {} \n", p256.public_key_pem()) }), None);
        assert_eq!(fault(KeyMaterial::Ec { pem: p384 }), None);
        assert_eq!(fault(KeyMaterial::Ed { pem: ed.clone() }), None);
        let ec = KeyError::NotAPublicKey { kind: "EC (P-256 or P-384)" };
        for pem in
            [p521, ed, p256.serialize_pem(), certificate, String::new(), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----".to_string()]
        {
            assert_eq!(fault(KeyMaterial::Ec { pem: pem.clone() }), Some(ec.clone()), "{pem}");
        }
        assert_eq!(fault(KeyMaterial::Rsa { pem: p256.public_key_pem() }), Some(KeyError::NotAPublicKey { kind: "RSA" }));
        assert_eq!(fault(KeyMaterial::Ed { pem: p256.public_key_pem() }), Some(KeyError::NotAPublicKey { kind: "Ed25519" }));
    }

    #[test]
    fn a_key_is_only_for_algorithms_that_go_with_it() {
        let pem = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().public_key_pem();
        for (material, algorithm) in [
            (KeyMaterial::Hmac("s".to_string().into()), Algorithm::RS256),
            (KeyMaterial::Ec { pem: pem.clone() }, Algorithm::HS256),
            (KeyMaterial::Ec { pem }, Algorithm::ES384),
        ] {
            let key = TokenKey { algorithms: vec![algorithm], ..TokenKey::new(material) };
            let error = KeyRing::new(&[key]).expect_err("an algorithm that does not go with the key");
            assert!(matches!(error, KeyError::WrongAlgorithm { algorithm: named, .. } if named == algorithm), "{error}");
        }
    }

    #[test]
    fn weak_rsa_keys_are_refused() {
        let pair = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        assert_eq!(fault(KeyMaterial::Rsa { pem: pair.public_key_pem() }), None);
        assert_eq!(fault(KeyMaterial::Rsa { pem: RSA_1024.to_string() }), Some(KeyError::WeakRsa { bits: 1_024 }));
    }

    #[test]
    fn ids_are_distinct_and_keys_bounded() {
        let key = |id: &str| TokenKey { id: Some(id.to_string()), ..TokenKey::hmac("secret") };
        assert_eq!(KeyRing::new(&[key("a"), key("b"), key("a")]).err(), Some(KeyError::RepeatedId { id: "a".to_string() }));
        let many: Vec<TokenKey> = (0..=KEYS_MAX).map(|n| key(&n.to_string())).collect();
        assert!(KeyRing::new(&many[1..]).is_ok());
        assert_eq!(KeyRing::new(&many).err(), Some(KeyError::TooMany));
    }

    #[test]
    fn no_secret_is_printed() {
        let key = TokenKey::hmac("very secret");
        let ring = KeyRing::new(std::slice::from_ref(&key)).unwrap();
        let printed = format!("{key:?} {ring:?}");
        assert!(!printed.contains("very secret"), "{printed}");
    }

    /// Made with `openssl genrsa 1024 | openssl rsa -pubout`.
    const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----\n\
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC8GStJZbzYEM5jXPF3DwtGBE+t\n\
aId7W85mYiuUKOFvRfIMX2MZJrhiPvuvaDLCeAmAUkajdru2Z2yuBr4no9P7LaM4\n\
fpQQTR8/HX0myfX3FqxmWCL0fksgoy4apTc6YaPB91jMAST+8PSy0XSH9SqCPHK0\n\
XmnWAnzdBTphQSYFiQIDAQAB\n\
-----END PUBLIC KEY-----";
}

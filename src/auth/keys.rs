//! The keys that tokens may be signed with, and which of them a token's header points at.
//!
//! A key brings its own list of algorithms; the token's `alg` only picks from it. A `kid` is looked up in a fixed map and nowhere else: it
//! is never a path, a URL or a query. The keys of a JWKS endpoint are held by `jwks`, made and used by the same code.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    VerificationAlgorithm,
};
use jsonwebtoken::DecodingKey;
use secrecy::{ExposeSecret, SecretString};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// RFC 7518, 3.3: a key of 2,048 bits or larger must be used with the RSA algorithms.
const RSA_BITS_MIN: usize = 2_048;

/// The largest RSA keys that are verified with: a check by one of these takes a fraction of a millisecond.
const RSA_BITS_MAX: usize = 8_192;

/// Keys that one verifier holds. A token without a key id is tried with every key of its algorithm, so this bounds that work too.
const KEYS_MAX: usize = 64;

/// How a token is signed (RFC 7518, 3.1; RFC 8037, 3.1). `Debug` writes the name that stands in a token's `alg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

impl Algorithm {
    const HMAC: &[Self] = &[Self::HS256, Self::HS384, Self::HS512];
    const RSA: &[Self] = &[Self::RS256, Self::RS384, Self::RS512, Self::PS256, Self::PS384, Self::PS512];

    /// By its name, in exactly this spelling.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::HS256,
            "HS384" => Self::HS384,
            "HS512" => Self::HS512,
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "ES512" => Self::ES512,
            "EdDSA" => Self::EdDSA,
            _ => return None,
        })
    }

    /// How secrets sign by it; `None` for the algorithms of key pairs.
    pub(super) fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Self::HS256 => Some(hmac::HMAC_SHA256),
            Self::HS384 => Some(hmac::HMAC_SHA384),
            Self::HS512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    /// How public keys verify by it; `None` for the algorithms of secrets.
    fn public(self) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match self {
            Self::HS256 | Self::HS384 | Self::HS512 => return None,
            Self::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::RS384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::RS512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::PS256 => &RSA_PSS_2048_8192_SHA256,
            Self::PS384 => &RSA_PSS_2048_8192_SHA384,
            Self::PS512 => &RSA_PSS_2048_8192_SHA512,
            Self::ES256 => &ECDSA_P256_SHA256_FIXED,
            Self::ES384 => &ECDSA_P384_SHA384_FIXED,
            Self::ES512 => &ECDSA_P521_SHA512_FIXED,
            Self::EdDSA => &ED25519,
        })
    }
}

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
    /// A public key in PEM, on P-256, P-384 or P-521.
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

/// One key, made ready once for each of its algorithms.
#[derive(Debug)]
pub(super) struct Key {
    by_algorithm: SmallVec<[(Algorithm, Check); 1]>,
    accepted_until: Option<i64>,
}

#[derive(Debug)]
enum Check {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
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

    pub(super) fn verify(&self, id: Option<&str>, algorithm: Algorithm, message: &[u8], signature: &[u8], now: i64) -> SignatureVerdict {
        let candidates = match id.and_then(|id| self.by_id.get(id)) {
            Some(key) => std::slice::from_ref(key),
            None => self.without_id.as_slice(),
        };
        verify_by(candidates, algorithm, message, signature, now)
    }
}

/// What keys, of which each could be meant, think of a signature.
pub(super) fn verify_by(candidates: &[Key], algorithm: Algorithm, message: &[u8], signature: &[u8], now: i64) -> SignatureVerdict {
    let mut verdict = SignatureVerdict::NoKey;
    for check in candidates.iter().filter_map(|key| key.check(algorithm, now)) {
        let is_good = match check {
            // Compared in constant time.
            Check::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Check::Public(key) => key.verify_sig(message, signature).is_ok(),
        };
        if is_good {
            return SignatureVerdict::Good;
        }
        verdict = SignatureVerdict::Bad;
    }
    verdict
}

impl Key {
    fn new(settings: &TokenKey) -> Result<Self, KeyError> {
        let mut key = match &settings.material {
            KeyMaterial::Hmac(secret) => Self::hmac(secret, &settings.algorithms)?,
            KeyMaterial::Rsa { pem } => {
                let usual = &Algorithm::RSA[..3];
                let algorithms = if settings.algorithms.is_empty() { usual } else { &settings.algorithms };
                Self::rsa(&public_key(pem, RSA, DecodingKey::from_rsa_pem)?, algorithms)?
            }
            KeyMaterial::Ec { pem } => Self::ec(&public_key(pem, EC, DecodingKey::from_ec_pem)?, &settings.algorithms)?,
            KeyMaterial::Ed { pem } => Self::ed(&public_key(pem, ED, DecodingKey::from_ed_pem)?, &settings.algorithms)?,
        };
        key.accepted_until = settings.accepted_until;
        Ok(key)
    }

    fn hmac(secret: &SecretString, algorithms: &[Algorithm]) -> Result<Self, KeyError> {
        let secret = secret.expose_secret().as_bytes();
        if secret.is_empty() {
            return Err(KeyError::EmptySecret);
        }
        let algorithms = if algorithms.is_empty() { Algorithm::HMAC } else { algorithms };
        Self::of(algorithms, "HMAC", Algorithm::HMAC, |algorithm| algorithm.hmac().map(|kind| Check::Secret(Box::new(hmac::Key::new(kind, secret)))))
    }

    /// From DER, X.509 (RFC 5280) or PKCS#1 (RFC 8017).
    fn rsa(der: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyError> {
        let wrong = KeyError::NotAPublicKey { kind: RSA };
        let bits = aws_lc_rs::rsa::PublicKey::from_der(der).map_err(|_| wrong)?.modulus_len() * 8;
        if bits < RSA_BITS_MIN {
            return Err(KeyError::WeakRsa { bits });
        }
        Self::public(der, algorithms, RSA, Algorithm::RSA)
    }

    /// From modulus and exponent, big-endian without leading zeros. For all the algorithms of RSA unless it is said for which.
    pub(super) fn rsa_components(n: &[u8], e: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyError> {
        let wrong = || KeyError::NotAPublicKey { kind: RSA };
        // What is more would only be parsed to be refused.
        if n.len() > RSA_BITS_MAX / 8 || e.len() > 8 {
            return Err(wrong());
        }
        let der = PublicKeyComponents { n, e }.as_der().map_err(|_| wrong())?;
        Self::rsa(der.as_ref(), if algorithms.is_empty() { Algorithm::RSA } else { algorithms })
    }

    /// From DER or from the uncompressed point (SEC 1, 2.3.3). Each curve has its own algorithm (RFC 7518, 3.4).
    pub(super) fn ec(bytes: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyError> {
        let of_curve = [Algorithm::ES256, Algorithm::ES384, Algorithm::ES512]
            .into_iter()
            .find(|algorithm| algorithm.public().is_some_and(|kind| ParsedPublicKey::new(kind, bytes).is_ok()))
            .ok_or(KeyError::NotAPublicKey { kind: EC })?;
        Self::public(bytes, if algorithms.is_empty() { std::slice::from_ref(&of_curve) } else { algorithms }, EC, &[of_curve])
    }

    /// From DER or from the 32 bytes of the key (RFC 8032, 5.1.5).
    pub(super) fn ed(bytes: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyError> {
        const ALL: &[Algorithm] = &[Algorithm::EdDSA];
        Self::public(bytes, if algorithms.is_empty() { ALL } else { algorithms }, ED, ALL)
    }

    fn public(bytes: &[u8], algorithms: &[Algorithm], kind: &'static str, possible: &[Algorithm]) -> Result<Self, KeyError> {
        let check = |algorithm: Algorithm| ParsedPublicKey::new(algorithm.public()?, bytes).ok().map(Check::Public);
        Self::of(algorithms, kind, possible, check)
    }

    /// Makes the key ready for each of the algorithms; so a key that cannot be used is found at the start, not at the first token.
    fn of(
        algorithms: &[Algorithm],
        kind: &'static str,
        possible: &[Algorithm],
        check: impl Fn(Algorithm) -> Option<Check>,
    ) -> Result<Self, KeyError> {
        if let Some(&algorithm) = algorithms.iter().find(|algorithm| !possible.contains(algorithm)) {
            return Err(KeyError::WrongAlgorithm { algorithm, kind });
        }
        let ready = |algorithm: &Algorithm| Some((*algorithm, check(*algorithm)?));
        let by_algorithm = algorithms.iter().map(ready).collect::<Option<_>>().ok_or(KeyError::NotAPublicKey { kind })?;
        Ok(Self { by_algorithm, accepted_until: None })
    }

    fn check(&self, algorithm: Algorithm, now: i64) -> Option<&Check> {
        if self.accepted_until.is_some_and(|until| now >= until) {
            return None;
        }
        self.by_algorithm.iter().find(|(own, _)| *own == algorithm).map(|(_, check)| check)
    }
}

const RSA: &str = "RSA";
const EC: &str = "EC (P-256, P-384 or P-521)";
const ED: &str = "Ed25519";

/// Only the two labels of public keys: the reader would also take bytes of a private key or of a certificate, the wrong ones.
fn public_key(pem: &str, kind: &'static str, read: impl Fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>) -> Result<Vec<u8>, KeyError> {
    let pem = pem.trim();
    let wrong = || KeyError::NotAPublicKey { kind };
    let is_public = pem.starts_with("-----BEGIN PUBLIC KEY-----") || pem.starts_with("-----BEGIN RSA PUBLIC KEY-----");
    if !is_public {
        return Err(wrong());
    }
    let key = read(pem.as_bytes()).map_err(|_| wrong())?;
    Ok(key.try_get_as_bytes().map_err(|_| wrong())?.to_vec())
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
        assert_eq!(fault(KeyMaterial::Ec { pem: p521 }), None);
        assert_eq!(fault(KeyMaterial::Ed { pem: ed.clone() }), None);
        let ec = KeyError::NotAPublicKey { kind: EC };
        for pem in [ed, p256.serialize_pem(), certificate, String::new(), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----".to_string()] {
            assert_eq!(fault(KeyMaterial::Ec { pem: pem.clone() }), Some(ec.clone()), "{pem}");
        }
        assert_eq!(fault(KeyMaterial::Rsa { pem: p256.public_key_pem() }), Some(KeyError::NotAPublicKey { kind: "RSA" }));
        assert_eq!(fault(KeyMaterial::Ed { pem: p256.public_key_pem() }), Some(KeyError::NotAPublicKey { kind: "Ed25519" }));
    }

    /// The example of RFC 7515, A.4.
    #[test]
    fn the_largest_curve_verifies_the_standard_s_example() {
        let base64 = |text: &str| base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).unwrap();
        let x = base64("AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk");
        let y = base64("ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2");
        let key = Key::ec(&[&[4], &x[..], &y[..]].concat(), &[]).unwrap();
        let signature = base64(
            "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJ\
             jyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
        );
        let verdict = |message: &[u8]| verify_by(std::slice::from_ref(&key), Algorithm::ES512, message, &signature, 0);
        assert_eq!(verdict(b"eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA"), SignatureVerdict::Good);
        assert_eq!(verdict(b"eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZB"), SignatureVerdict::Bad);
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

//! Minting tokens: for `gen-token`, the Live page and tests. A hub in production only verifies; its users' back end signs.

use super::keys::Algorithm;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::value::RawValue;
use std::fmt;

/// Signs claims with a shared secret.
pub struct TokenSigner {
    key: hmac::Key,
    algorithm: Algorithm,
    /// Base64url of the JOSE header.
    header: String,
}

/// What to say in a connection token. Members that are `None` or empty are left out, `sub` is not: empty means anonymous.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MintConnection<'a> {
    #[serde(rename = "sub")]
    pub user: &'a str,
    /// Unix seconds. `None`: the token never expires.
    #[serde(rename = "exp", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "<[&str]>::is_empty")]
    pub channels: &'a [&'a str],
    #[serde(rename = "aud", skip_serializing_if = "Option::is_none")]
    pub audience: Option<&'a str>,
    #[serde(rename = "iss", skip_serializing_if = "Option::is_none")]
    pub issuer: Option<&'a str>,
}

/// What to say in a subscription token.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MintSubscription<'a> {
    #[serde(rename = "sub")]
    pub user: &'a str,
    pub channel: &'a str,
    /// Unix seconds. `None`: the token never expires.
    #[serde(rename = "exp", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<&'a RawValue>,
    #[serde(rename = "aud", skip_serializing_if = "Option::is_none")]
    pub audience: Option<&'a str>,
    #[serde(rename = "iss", skip_serializing_if = "Option::is_none")]
    pub issuer: Option<&'a str>,
}

/// A new secret: 256 random bits, in 64 hexadecimal digits.
pub fn random_secret() -> String {
    (0..4).map(|_| format!("{:016x}", rand::random::<u64>())).collect()
}

#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("cannot sign tokens with an empty secret")]
    EmptySecret,
    #[error("cannot sign with a secret by {algorithm:?}; HS256, HS384 and HS512 are for secrets")]
    NotHmac { algorithm: Algorithm },
    #[error("cannot write claims as JSON")]
    Claims { source: serde_json::Error },
}

impl TokenSigner {
    pub fn hmac(secret: &[u8], algorithm: Algorithm) -> Result<Self, SignError> {
        let kind = algorithm.hmac().ok_or(SignError::NotHmac { algorithm })?;
        if secret.is_empty() {
            return Err(SignError::EmptySecret);
        }
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm:?}","typ":"JWT"}}"#));
        Ok(Self { key: hmac::Key::new(kind, secret), algorithm, header })
    }

    /// The same, with a key id in its tokens.
    #[must_use]
    pub(super) fn named(self, key_id: &str) -> Self {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{:?}","typ":"JWT","kid":{}}}"#, self.algorithm, serde_json::Value::from(key_id)));
        Self { header, ..self }
    }

    /// The token that says `claims`: a [`MintConnection`], a [`MintSubscription`] or any other JSON object.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, SignError> {
        let claims = serde_json::to_vec(claims).map_err(|source| SignError::Claims { source })?;
        let message = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac::sign(&self.key, message.as_bytes());
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::jwt::{TokenSettings, TokenVerifier};
    use super::super::keys::TokenKey;
    use super::*;

    #[test]
    fn minted_tokens_say_what_was_asked_for() {
        let signer = TokenSigner::hmac(b"secret", Algorithm::HS256).unwrap();
        let verifier = TokenVerifier::new(&TokenSettings { keys: vec![TokenKey::hmac("secret")], ..TokenSettings::default() }).unwrap();
        let info: &RawValue = serde_json::from_str(r#"{"name":"Alice"}"#).unwrap();
        let mint = MintConnection { user: "alice", expires_at: Some(1_000), info: Some(info), channels: &["news"], ..MintConnection::default() };
        let claims = verifier.verify_connection(&signer.sign(&mint).unwrap(), 999).unwrap();
        assert_eq!((claims.user.as_str(), claims.expires_at, &claims.info[..]), ("alice", Some(1_000), &br#"{"name":"Alice"}"#[..]));
        assert_eq!(claims.subs.len(), 1);

        let mint = MintSubscription { user: "alice", channel: "$chat:1", ..MintSubscription::default() };
        let claims = verifier.verify_subscription(&signer.sign(&mint).unwrap(), 999).unwrap();
        assert_eq!((claims.user.as_str(), claims.channel.as_str(), claims.expires_at), ("alice", "$chat:1", None));
    }

    /// Message and signature that any other implementation gives for the same bytes (RFC 7515, A.1 describes the computation).
    #[test]
    fn a_minted_token_is_byte_for_byte_the_standard_one() {
        let signer = TokenSigner::hmac(b"your-256-bit-secret", Algorithm::HS256).unwrap();
        let token =
            signer.sign(&serde_json::value::RawValue::from_string(r#"{"sub":"1234567890","name":"John Doe","iat":1516239022}"#.to_string()).unwrap());
        assert_eq!(
            token.unwrap(),
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.\
             SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
        );
    }

    #[test]
    fn what_is_no_secret_does_not_sign() {
        assert!(matches!(TokenSigner::hmac(b"", Algorithm::HS256), Err(SignError::EmptySecret)));
        assert!(matches!(TokenSigner::hmac(b"s", Algorithm::RS256), Err(SignError::NotHmac { algorithm: Algorithm::RS256 })));
        let signer = TokenSigner::hmac(b"very secret", Algorithm::HS256).unwrap();
        assert!(!format!("{signer:?}").contains("very"));
    }
}

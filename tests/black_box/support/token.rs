//! Tokens as applications make them, and as attackers do.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// The secret in every test's configuration.
pub const SECRET: &str = "a-secret-of-the-tests-32-bytes-long";

/// Unix seconds.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970").as_secs() as i64
}

/// A token with these claims, signed with the hub's secret by HS256.
pub fn token(claims: &Value) -> String {
    signed(&json!({ "alg": "HS256", "typ": "JWT" }), claims, SECRET)
}

/// A connection token of `user` that never expires.
pub fn user_token(user: &str) -> String {
    token(&json!({ "sub": user }))
}

/// A subscription token of `user` for `channel`.
pub fn channel_token(user: &str, channel: &str) -> String {
    token(&json!({ "sub": user, "channel": channel }))
}

pub fn signed(header: &Value, claims: &Value, secret: &str) -> String {
    let algorithm = match header["alg"].as_str() {
        Some("HS384") => hmac::HMAC_SHA384,
        Some("HS512") => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let signature = hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", encode(signature))
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

//! The Mercure hub.

use super::Secret;
use crate::protocol::mercure::Protocol;
use crate::units::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};

/// Topics for EventSource clients and publishers of the Mercure protocol, at `/.well-known/mercure`. Its topics are the channels of everybody
/// else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MercureConfig {
    pub enabled: bool,
    /// Which versions of the protocol are spoken: `legacy` (0.x), `modern` (1.0 and the present draft), `both`.
    pub protocol: Protocol,
    /// The namespace of channels for topics that name no other configured one, such as URLs. Empty: channels without a namespace.
    pub namespace: String,
    /// Subscribers need no token to see what is public.
    pub anonymous: bool,
    /// Tell subscribers who comes and goes, and serve the subscription API.
    pub subscriptions: bool,
    /// How the tokens of publishers are signed.
    pub publisher: MercureKeyConfig,
    /// How the tokens of subscribers are signed.
    pub subscriber: MercureKeyConfig,
    /// Origins of web pages that may publish with the token in their cookie, as patterns (`*` alone: all). Empty: none.
    pub publish_origins: Vec<String>,
    /// Origins of web pages of other hosts that may read answers, as patterns (`*` alone: all, but without cookies). Empty: none.
    pub cors_origins: Vec<String>,
    /// Who issues the access tokens of the modern protocol (`iss`). Empty: they are not accepted.
    pub trusted_issuer: String,
    /// The hub's own URL as clients know it; access tokens of the modern protocol must be for it (`aud`). Empty: they are not accepted.
    pub resource: String,
    /// Updates that are kept for those who come back, of all topics together. 0: none.
    pub history_size: usize,
    /// How long an update is kept for those who come back.
    pub history_ttl: HumanDuration,
    /// Bytes of updates that are kept, of all topics together.
    pub history_bytes_max: ByteSize,
    /// Silence after which a comment is sent to a subscriber. Shorter than what proxies on the way wait for.
    pub heartbeat: HumanDuration,
    /// The longest that one answer to a subscriber lasts; the real time is random, from 80 % of it on, so that clients do not come back together.
    /// 0: no limit.
    pub write_timeout: HumanDuration,
    /// How long the oldest byte may wait for one subscriber, which is cut then and comes back with its cursor.
    pub dispatch_timeout: HumanDuration,
}

impl Default for MercureConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            protocol: Protocol::Both,
            namespace: String::new(),
            anonymous: false,
            subscriptions: false,
            publisher: MercureKeyConfig::default(),
            subscriber: MercureKeyConfig::default(),
            publish_origins: Vec::new(),
            cors_origins: Vec::new(),
            trusted_issuer: String::new(),
            resource: String::new(),
            history_size: 10_000,
            history_ttl: HumanDuration::from_secs(3_600),
            history_bytes_max: ByteSize::mib(32),
            // The shortest idle limits of proxies and balancers are 30 s.
            heartbeat: HumanDuration::from_secs(20),
            write_timeout: HumanDuration::from_secs(600),
            dispatch_timeout: HumanDuration::from_secs(5),
        }
    }
}

/// How one kind of token is signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MercureKeyConfig {
    /// The one algorithm that is accepted: `HS256`, `HS384`, `HS512`, `RS256` and so on, `PS256` and so on, `ES256` and so on, `EdDSA`.
    pub alg: String,
    /// The secret, or the public key as PEM text. Empty: no token is accepted.
    pub key: Secret,
}

impl Default for MercureKeyConfig {
    fn default() -> Self {
        Self { alg: "HS256".to_string(), key: Secret::default() }
    }
}

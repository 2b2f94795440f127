//! Client connections: who may come in, what each may hold, how long it may be silent.

use super::{ClientProxyConfig, Secret};
use crate::units::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};

/// Client connections, whatever their transport.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientConfig {
    /// Origins of web pages that may connect, as patterns (`https://*.example.org`; `*` alone: all). Empty: only clients that send no Origin,
    /// which are those that are no browsers.
    pub allowed_origins: Vec<String>,
    /// Let everybody connect and do everything without a token. For trying things out only.
    pub insecure: bool,
    /// Clients without a token may connect; they have no user.
    pub allow_anonymous_connect_without_token: bool,
    /// Refuse connection tokens without a user (3507).
    pub disallow_anonymous_connection_tokens: bool,
    /// How tokens are verified.
    pub token: TokenConfig,
    /// How subscription tokens are verified where they have keys of their own.
    pub subscription_token: SubscriptionTokenConfig,
    /// Between two pings to a client. Negative: no pings, and so no way to notice a client that vanished without a word.
    pub ping_interval: HumanDuration,
    /// How long a client may take to answer a ping (3012). Shorter than `ping_interval`. Negative: no answer is expected.
    pub pong_timeout: HumanDuration,
    /// How long a connection may stay without a `connect` command (3502).
    pub stale_close_delay: HumanDuration,
    /// How long after its token's expiry a connection may still be refreshed (3005).
    pub expired_close_delay: HumanDuration,
    /// How long after its token's expiry a subscription may still be refreshed (2501).
    pub expired_sub_close_delay: HumanDuration,
    /// How long to wait for a client to return our closing frame before the socket is dropped.
    pub close_timeout: HumanDuration,
    /// Bytes that may wait for one client. Beyond it the client is cut as slow (3008) and recovers from history.
    pub queue_max_size: ByteSize,
    /// How long the oldest byte may wait for one client. Beyond it the client is cut as slow (3008).
    pub queue_max_age: HumanDuration,
    /// Channels that one connection may be subscribed to (error 106; 3505 for server-side subscriptions).
    pub channel_limit: usize,
    /// Patterns among them (error 106; 3505 for server-side subscriptions).
    pub wildcard_limit: usize,
    /// Connections of one user on this node (3504). 0: no such limit.
    pub user_connection_limit: usize,
    /// Client connections on this node (503 before the upgrade). 0: no such limit; `http_server.connection_limit` still holds.
    pub connection_limit: usize,
    /// New client connections a second on this node (503 before the upgrade). 0: no such limit.
    pub connection_rate_limit: u32,
    /// Error replies to one connection in a minute before it is closed (3509). 0: no such limit.
    pub command_error_limit: u32,
    /// Calls (`rpc`) of one connection that may be under way at once (error 111).
    pub rpc_limit: usize,
    /// How long a call may take (error 100).
    pub rpc_timeout: HumanDuration,
    /// How long a connection may stay without a command; answers to pings and refreshed tokens are none (3502, and SDKs stay away). 0: no such
    /// limit.
    pub idle_timeout: HumanDuration,
    /// How long a connection may last; clients come back at once, with their token and their positions (3005). 0: no such limit.
    pub session_max_age: HumanDuration,
    /// Between two looks at the stored blocks (revoked tokens, banned users and addresses): what other nodes and the command line have changed
    /// arrives with them.
    pub block_refresh_interval: HumanDuration,
    /// Publications in one answer to a client's history command.
    pub history_max_publication_limit: usize,
    /// Missed publications that one subscription recovers. Beyond it the client is told that it could not recover.
    pub recovery_max_publication_limit: usize,
    /// Tell clients the server's time when they connect.
    pub connect_include_server_time: bool,
    /// A channel of every user's own, subscribed to by the server.
    pub subscribe_to_user_personal_channel: PersonalChannelConfig,
    pub proxy: ClientProxyConfig,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            insecure: false,
            allow_anonymous_connect_without_token: false,
            disallow_anonymous_connection_tokens: false,
            token: TokenConfig::default(),
            subscription_token: SubscriptionTokenConfig::default(),
            ping_interval: HumanDuration::from_secs(25),
            pong_timeout: HumanDuration::from_secs(8),
            stale_close_delay: HumanDuration::from_secs(10),
            expired_close_delay: HumanDuration::from_secs(25),
            expired_sub_close_delay: HumanDuration::from_secs(25),
            close_timeout: HumanDuration::from_secs(5),
            queue_max_size: ByteSize::mib(1),
            queue_max_age: HumanDuration::from_secs(30),
            channel_limit: 128,
            wildcard_limit: 16,
            user_connection_limit: 0,
            connection_limit: 0,
            connection_rate_limit: 0,
            // A client that subscribes to all of its 128 channels without permission, three times over, is a bug and not yet an attack.
            command_error_limit: 500,
            rpc_limit: 16,
            rpc_timeout: HumanDuration::from_secs(10),
            idle_timeout: HumanDuration::from_secs(0),
            session_max_age: HumanDuration::from_secs(0),
            block_refresh_interval: HumanDuration::from_secs(5),
            history_max_publication_limit: 300,
            recovery_max_publication_limit: 300,
            connect_include_server_time: false,
            subscribe_to_user_personal_channel: PersonalChannelConfig::default(),
            proxy: ClientProxyConfig::default(),
        }
    }
}

/// Keys that tokens may be signed with, and claims that they must have. A token is accepted by the key of its own algorithm only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenConfig {
    /// Key of HS256, HS384 and HS512 tokens. Empty: none of these is accepted.
    pub hmac_secret_key: Secret,
    /// The HMAC key before the last change, accepted until `hmac_previous_secret_key_valid_until`. Empty: none.
    pub hmac_previous_secret_key: Secret,
    /// When the previous key ends, Unix seconds. 0: it never ends.
    pub hmac_previous_secret_key_valid_until: i64,
    /// Public key of RS256, RS384 and RS512 tokens, PEM text. Empty: none of these is accepted.
    pub rsa_public_key: String,
    /// Public key of ES256, ES384 or ES512 tokens, PEM text. Empty: none of these is accepted.
    pub ecdsa_public_key: String,
    /// Public key of EdDSA (Ed25519) tokens, PEM text. Empty: none of these is accepted.
    pub eddsa_public_key: String,
    /// Where an identity provider publishes its public keys (JWKS), for tokens that name one by its `kid`. https, or http on this machine; several
    /// with blanks between them. Empty: none.
    pub jwks_public_endpoint: String,
    /// Between two looks at the published keys. A token that names an unknown one is looked up sooner.
    pub jwks_refresh_interval: HumanDuration,
    /// How long the published keys stay good while their URL does not answer.
    pub jwks_stale_max: HumanDuration,
    /// The `aud` that a token must have. Empty: not looked at.
    pub audience: String,
    /// A regular expression that a token's `aud` must match. Empty: not looked at.
    pub audience_regex: String,
    /// The `iss` that a token must have. Empty: not looked at.
    pub issuer: String,
    /// A regular expression that a token's `iss` must match. Empty: not looked at.
    pub issuer_regex: String,
    /// The claim that names the user. Empty: `sub`.
    pub user_id_claim: String,
    /// The claim that may hold a role (`viewer`, `publisher`, `operator`, `admin`), or a list with one. Empty: tokens give no roles.
    pub role_claim: String,
    /// How far the clocks of the token's maker and of this machine may differ when `exp` and `nbf` are looked at.
    pub leeway: HumanDuration,
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self {
            hmac_secret_key: Secret::default(),
            hmac_previous_secret_key: Secret::default(),
            hmac_previous_secret_key_valid_until: 0,
            rsa_public_key: String::new(),
            ecdsa_public_key: String::new(),
            eddsa_public_key: String::new(),
            jwks_public_endpoint: String::new(),
            jwks_refresh_interval: HumanDuration::from_secs(600),
            jwks_stale_max: HumanDuration::from_secs(24 * 3_600),
            audience: String::new(),
            audience_regex: String::new(),
            issuer: String::new(),
            issuer_regex: String::new(),
            user_id_claim: String::new(),
            leeway: HumanDuration::default(),
            role_claim: String::new(),
        }
    }
}

impl TokenConfig {
    /// Whether any token at all can be verified.
    pub fn has_key(&self) -> bool {
        let has_endpoint = !self.jwks_public_endpoint.is_empty();
        has_endpoint
            || !self.hmac_secret_key.is_empty()
            || !self.rsa_public_key.is_empty()
            || !self.ecdsa_public_key.is_empty()
            || !self.eddsa_public_key.is_empty()
    }
}

/// Like [`TokenConfig`], for subscription tokens alone. Unless enabled, they are verified like connection tokens.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SubscriptionTokenConfig {
    /// Subscription tokens have the keys and claims below instead of those of `client.token`.
    pub enabled: bool,
    #[serde(flatten)]
    pub token: TokenConfig,
}

/// The channel `#user` (or `namespace:#user`) that every connection of a user is subscribed to by the server.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PersonalChannelConfig {
    pub enabled: bool,
    /// The namespace of personal channels. Empty: none.
    pub personal_channel_namespace: String,
    /// A new connection of a user closes the older ones (3504). Needs `presence` in the channel.
    pub single_connection: bool,
}

//! Who may come in, and what they may do: tokens, keys, claims, namespace permissions, API keys, origins.
//!
//! Called by the session (tokens, permissions), by the HTTP edge (API keys, origins) and by `gen-token` (minting). Everything here decides
//! on values that it is handed: no clock is read, nothing is fetched, no socket or actor is known; `jwks` alone reads the published keys of
//! identity providers, in a task of its own. What a client is told about a refusal is
//! the caller's business; the reasons given here are for the log.

pub mod accounts;
mod api_key;
mod api_keys;
mod blocks;
mod claims;
mod hub_tokens;
mod jwks;
mod jwt;
pub mod key_file;
mod keys;
mod members;
mod mercure;
mod origin;
pub mod passwords;
mod permissions;
mod roles;
mod settings;
mod sign;
pub mod throttle;

pub use api_key::ApiKey;
pub use api_keys::{ApiKeyError, ApiKeys, Caller, Keyring, Scope};
pub use blocks::{BLOCKS_MAX, BlockError, Blocks, Evict, Visitor};
pub use claims::{ConnectionClaims, Overrides, ServerSub, SubscriptionClaims};
pub use hub_tokens::{HUB_KEY_ID, HubKey, HubKeyError, HubTokens, MintLogin, RefreshToken};
pub use jwks::{Jwks, JwksError, JwksSettings, KeyNews};
pub use jwt::{Expected, SettingsError, TokenError, TokenFault, TokenSettings, TokenVerifier};
pub use keys::{Algorithm, KeyError, KeyMaterial, TokenKey};
pub use mercure::{MercureKey, MercureRights, MercureRole, MercureTokenSettings, MercureTokens};
pub use origin::{OriginError, OriginRule};
pub use permissions::{Client, SubscribeRefused, SubscribeVerdict, may_publish, may_read_history, may_see_presence, may_subscribe, must_be_for};
pub use roles::{Bearer, Granted, Grants, GrantsError, Permission, Right, Role};
pub use sign::{MintConnection, MintSubscription, SignError, TokenSigner, random_secret};

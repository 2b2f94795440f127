//! Users who sign in with a password, and how long that holds.

use super::Secret;
use crate::units::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};

/// Accounts of the hub's own, besides the users that an application's tokens name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountsConfig {
    /// Serve what the login page needs. Without it nobody can sign in, and tokens of the hub's own are not accepted.
    pub enabled: bool,
    pub handler_prefix: String,
    /// What the hub's own tokens are signed with. Empty: the file `accounts-key` in `data_dir`, made at the first start.
    pub token_key: Secret,
    /// How long a token of the hub's own is good. Clients get the next one by the cookie before it ends.
    pub token_ttl: HumanDuration,
    /// How long after a cookie has been replaced the one before is still good: two tabs may ask at once, and an answer may be lost.
    pub rotation_grace: HumanDuration,
    /// A login ends when it has not been used for so long.
    pub idle_timeout: HumanDuration,
    /// A login ends after so long, used or not.
    pub absolute_timeout: HumanDuration,
    /// Logins of one user. Beyond it the one that was used longest ago ends. 0: no such limit.
    pub logins_per_user: usize,
    /// Failed tries for one name before a pause. After it every further one costs a pause twice as long.
    pub tries: u32,
    /// Failed tries from one address (IPv6: one /64) before a pause.
    pub tries_per_address: u32,
    /// The first pause.
    pub pause: HumanDuration,
    /// The longest pause. So long after its end all is forgotten.
    pub pause_max: HumanDuration,
    /// How passwords are kept.
    pub password: PasswordConfig,
}

impl Default for AccountsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            handler_prefix: "/auth".to_string(),
            token_key: Secret::default(),
            token_ttl: HumanDuration::from_secs(15 * 60),
            rotation_grace: HumanDuration::from_secs(30),
            idle_timeout: HumanDuration::from_secs(14 * 24 * 3_600),
            absolute_timeout: HumanDuration::from_secs(90 * 24 * 3_600),
            logins_per_user: 20,
            tries: 5,
            tries_per_address: 50,
            pause: HumanDuration::from_secs(60),
            pause_max: HumanDuration::from_secs(15 * 60),
            password: PasswordConfig::default(),
        }
    }
}

/// The cost of one look at a password (argon2id; the defaults are those of OWASP's Password Storage Cheat Sheet). A password that was kept
/// at another cost is kept anew when its user signs in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PasswordConfig {
    /// Memory.
    pub memory: ByteSize,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
    /// Passwords that are looked at at once, each with its own memory. 0: half of the cores.
    pub at_once: usize,
    /// How long a login may wait for its turn (503).
    pub wait: HumanDuration,
}

impl Default for PasswordConfig {
    fn default() -> Self {
        Self { memory: ByteSize::mib(19), iterations: 2, parallelism: 1, at_once: 0, wait: HumanDuration::from_secs(2) }
    }
}

//! Who `aether admin` is to the hub: a token from a file or the environment or, beside the hub, one made with the hub's own key.
//!
//! Never from the command line, which everybody on the machine can read.

use crate::app::settings;
use crate::auth::{Grants, HubTokens, MintLogin, Role};
use crate::channel::UserId;
use crate::cli::recorded::COMMAND_LINE;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::LoginId;
use anyhow::{Context, anyhow, ensure};
use secrecy::SecretString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where a token may stand in the environment.
pub const TOKEN_VARIABLE: &str = "AETHER_ADMIN_TOKEN";

/// Seconds for which a token of the command line's own is good: for one command, or until the next token of a watch.
const TOKEN_SECONDS: i64 = 60;

/// More than any token that the hub takes.
const FILE_BYTES_MAX: u64 = 65_536;

pub enum Identity {
    File(PathBuf),
    Given(SecretString),
    Own(Box<HubTokens>, LoginId),
}

impl Identity {
    pub fn find(file: Option<&Path>, config: &Config) -> anyhow::Result<Self> {
        if let Some(path) = file {
            return Ok(Self::File(path.to_path_buf()));
        }
        if let Some(text) = std::env::var_os(TOKEN_VARIABLE).filter(|text| !text.is_empty()) {
            let text = text.into_string().map_err(|_| anyhow!("{TOKEN_VARIABLE}: the value is not UTF-8"))?;
            return Ok(Self::Given(text.trim().into()));
        }
        let elsewhere = format!("bring a token of somebody with a role, in {TOKEN_VARIABLE} or by --token-file");
        ensure!(config.accounts.enabled, "this hub has no accounts (accounts.enabled), so it makes no tokens: {elsewhere}");
        let tokens = settings::tokens_of_the_hub(config).with_context(|| {
            format!("without the key of the hub's tokens, which its user can read where the hub has run, {elsewhere}; is this its configuration?")
        })?;
        Ok(Self::Own(Box::new(tokens), LoginId::random()))
    }

    /// A token that is good now. Of a file, what stands in it now.
    pub fn token(&self) -> anyhow::Result<SecretString> {
        match self {
            Self::File(path) => read(path),
            Self::Given(token) => Ok(token.clone()),
            Self::Own(tokens, login) => {
                let now = Clock::system().wall_seconds();
                // Whoever can read the hub's key; no account can have this name.
                let user = UserId::new(COMMAND_LINE);
                // No change of a user makes it old: there is none of this name.
                let mint = MintLogin {
                    user: &user,
                    login: *login,
                    role: Role::Admin,
                    grants: &Grants::NONE,
                    user_version: u64::MAX,
                    now,
                    expires_at: now + TOKEN_SECONDS,
                };
                Ok(tokens.mint_connection(&mint)?.into())
            }
        }
    }
}

fn read(path: &Path) -> anyhow::Result<SecretString> {
    let mut text = String::new();
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(!text.trim().is_empty(), "{} holds no token", path.display());
    Ok(text.trim().into())
}

//! `admin.secrets.rotate`: another secret in place of one, without a restart; the one before is good for a while.
//!
//! The key of the hub's own tokens is made here. Secrets of the configuration are not: whoever made the configuration writes the new one there
//! first, and the hub takes it over.

use super::{Failure, commands};
use crate::admin::arguments::{SecretName, arguments};
use crate::admin::desk::Desk;
use crate::auth::{HubKeyError, Right};
use crate::session::procedures::Caller;
use crate::units::HumanDuration;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a secret of the configuration that is replaced stays good, unless it is said.
const GRACE: HumanDuration = HumanDuration::from_secs(24 * 3_600);

commands! {
    "admin.secrets.rotate" Some(Right::SecretsRotate), Endangers, "secret", Rotate, rotate, r#"{"secret":"accounts","confirm":true}"#,
        "Replaces the key of the hub's own tokens and cookies, or takes a secret over that was changed in the configuration.";
}

arguments! {
    Rotate {
        /// Which: accounts (the hub's own tokens and cookies), tokens (client.token and client.subscription_token hmac_secret_key), api_key (http_api.key).
        secret: SecretName,
        /// How long the one before is good; without it 24h. That of accounts is good until the next time.
        grace: Option<HumanDuration>,
        /// The one before is void at once: it has leaked. With accounts this signs everybody out.
        at_once: bool,
    }
}

/// How long what is replaced is good.
pub(super) fn grace(grace: Option<HumanDuration>, at_once: bool, usual: HumanDuration) -> Result<Duration, Failure> {
    match (grace, at_once) {
        (Some(_), true) => Err(Failure::Bad("either \"grace\" or \"at_once\"".to_string())),
        (None, true) => Ok(Duration::ZERO),
        (grace, false) => Ok(grace.unwrap_or(usual).duration()),
    }
}

async fn rotate(desk: Arc<Desk>, _: Caller, Rotate { secret, grace: given, at_once }: Rotate) -> Result<Value, Failure> {
    if secret == SecretName::Accounts {
        if given.is_some() {
            return Err(Failure::Bad("the key before is good until the next one is made: \"grace\" does not apply".to_string()));
        }
        return rotate_accounts(&desk, at_once).await;
    }
    let grace = grace(given, at_once, GRACE)?;
    let replaced = desk.house.take_over(secret, grace).await.map_err(Failure::Bad)?;
    Ok(
        json!({ "secret": secret.as_str(), "replaced": replaced.join(", "), "previous_good_for_ms": u64::try_from(grace.as_millis()).unwrap_or(u64::MAX) }),
    )
}

async fn rotate_accounts(desk: &Desk, at_once: bool) -> Result<Value, Failure> {
    let accounts = desk.accounts.as_ref();
    let tokens = accounts.ok_or_else(|| Failure::NotAvailable("this hub has no accounts: accounts.enabled is false".to_string()))?.tokens();
    // A file is written. Twice: the key that may have leaked is not even the one before.
    let change = move || if at_once { tokens.change_key().and_then(|()| tokens.change_key()) } else { tokens.change_key() };
    match tokio::task::spawn_blocking(change).await {
        Ok(Ok(())) => Ok(json!({ "secret": SecretName::Accounts.as_str(), "signed_everybody_out": at_once })),
        Ok(Err(error @ HubKeyError::Configured)) => Err(Failure::NotAvailable(error.to_string())),
        Ok(Err(error)) => Err(Failure::Failed(format!("{:#}", anyhow::Error::from(error)))),
        Err(_) => Err(Failure::Failed("the key could not be changed".to_string())),
    }
}

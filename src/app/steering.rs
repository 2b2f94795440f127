//! What operators' commands ask of the app: counts, the feeds' actor, the way down, the configuration anew.

use super::drain::Draining;
use super::state::State;
use crate::admin::{self, Listener, Reloaded, SecretName};
use crate::auth::{ApiKey, ApiKeys, TokenSettings, TokenVerifier};
use crate::clock::Clock;
use crate::config::{Config, TokenConfig};
use crate::telemetry::logs;
use crate::tls::CertificateWatch;
use crate::upstream::UpstreamPool;
use actix::Addr;
use actix_web::web;
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Reads the configuration from where it came from at the start.
pub type Reread = dyn Fn() -> anyhow::Result<Config> + Send + Sync;

/// The options that count as soon as they have been read anew. Whatever else has changed needs a restart.
const AT_RUN_TIME: [&str; 1] = ["log.level"];

pub struct Steering {
    pub(super) state: web::Data<State>,
    pub(super) draining: Arc<Draining>,
    pub(super) certificate: Option<Arc<CertificateWatch>>,
    /// What the hub runs with: as it was started, with what has been taken over since.
    pub(super) config: Mutex<Config>,
    pub(super) reread: Arc<Reread>,
    pub(super) clock: Clock,
    pub(super) tokens: Arc<TokenVerifier>,
    pub(super) subscription_tokens: Arc<TokenVerifier>,
    pub(super) api_keys: Arc<ApiKeys>,
}

#[async_trait]
impl admin::House for Steering {
    async fn counts(&self) -> Value {
        serde_json::to_value(self.state.counts().await).unwrap_or_default()
    }

    fn pool(&self) -> Option<Addr<UpstreamPool>> {
        self.state.upstream()
    }

    fn drain(&self, within: Option<Duration>) -> bool {
        self.draining.ask(within)
    }

    fn is_draining(&self) -> bool {
        self.draining.is_draining()
    }

    fn listeners(&self) -> Vec<Listener> {
        let addresses = self.state.addresses.get();
        let plain = addresses.and_then(|addresses| addresses.plain).map(|address| Listener { address, is_tls: false });
        let tls = addresses.and_then(|addresses| addresses.tls).map(|address| Listener { address, is_tls: true });
        plain.into_iter().chain(tls).collect()
    }

    async fn reload(&self) -> Result<Reloaded, String> {
        let config = self.read_anew().await?;
        let mut running = self.config.lock();
        let (applied, needs_restart) = changes(&running, &config).into_iter().partition(|option| AT_RUN_TIME.contains(&option.as_str()));
        let reloaded = Reloaded { applied, needs_restart };
        if running.log.level != config.log.level {
            logs::configure(config.log.level.filter()).map_err(|error| error.to_string())?;
            running.log.level = config.log.level;
        }
        Ok(reloaded)
    }

    async fn take_over(&self, secret: SecretName, grace: Duration) -> Result<Vec<&'static str>, String> {
        let new = self.read_anew().await?;
        let mut running = self.config.lock();
        let running = &mut *running;
        match secret {
            SecretName::Accounts => Err("the key of the hub's own tokens is not taken from the configuration".to_string()),
            SecretName::ApiKey => {
                must_have_changed(running.http_api.key != new.http_api.key, "http_api.key")?;
                self.api_keys.replace_unscoped(ApiKey::new(new.http_api.key.expose()), grace);
                running.http_api.key = new.http_api.key;
                Ok(vec!["http_api.key"])
            }
            SecretName::Tokens => {
                let until = self.clock.wall_seconds().saturating_add_unsigned(grace.as_secs());
                // Without a section of its own the two are verified by the same.
                let has_own = running.client.subscription_token.enabled;
                let of_subscriptions = (&mut running.client.subscription_token.token, new.client.subscription_token.token);
                let sections = [
                    ("client.token.hmac_secret_key", true, &self.tokens, (&mut running.client.token, new.client.token)),
                    ("client.subscription_token.hmac_secret_key", has_own, &self.subscription_tokens, of_subscriptions),
                ];
                let mut taken_over = Vec::new();
                for (option, is_used, verifier, (running, new)) in sections {
                    if !is_used || running.hmac_secret_key == new.hmac_secret_key {
                        continue;
                    }
                    let keys = TokenSettings::from(&followed(running, &new, until)).keys;
                    verifier.replace_keys(&keys).map_err(|error| format!("{option}: {error}"))?;
                    running.hmac_secret_key = new.hmac_secret_key;
                    taken_over.push(option);
                }
                must_have_changed(!taken_over.is_empty(), "client.token.hmac_secret_key")?;
                Ok(taken_over)
            }
        }
    }

    fn reload_certificate(&self) -> bool {
        self.certificate.as_ref().map(|watch| watch.reload_soon()).is_some()
    }
}

impl Steering {
    async fn read_anew(&self) -> Result<Config, String> {
        let reread = Arc::clone(&self.reread);
        // Files are read.
        let config = tokio::task::spawn_blocking(move || reread()).await.map_err(|_| "the configuration could not be read".to_string())?;
        config.map_err(|error| format!("{error:#}"))
    }
}

fn must_have_changed(has_changed: bool, option: &str) -> Result<(), String> {
    if has_changed {
        return Ok(());
    }
    Err(format!(
        "{option} is the same as before: write the new one into the configuration first. (A variable of the environment stays what it was at the start.)"
    ))
}

/// The section as it runs, with the new key and, until then (Unix seconds), the one that runs now.
fn followed(running: &TokenConfig, new: &TokenConfig, until: i64) -> TokenConfig {
    TokenConfig {
        hmac_secret_key: new.hmac_secret_key.clone(),
        hmac_previous_secret_key: running.hmac_secret_key.clone(),
        hmac_previous_secret_key_valid_until: until,
        ..running.clone()
    }
}

/// The options that two configurations have differently. Of a section in which only secrets differ, which cannot be seen, the section.
fn changes(old: &Config, new: &Config) -> Vec<String> {
    let (old_tree, new_tree) = (serde_json::to_value(old).unwrap_or_default(), serde_json::to_value(new).unwrap_or_default());
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    options(&old_tree, String::new(), &mut before);
    options(&new_tree, String::new(), &mut after);
    let mut changed: Vec<String> = before
        .keys()
        .chain(after.keys().filter(|option| !before.contains_key(*option)))
        .filter(|option| before.get(*option) != after.get(*option))
        .cloned()
        .collect();
    let sections = [
        ("client", old.client != new.client),
        ("http_api", old.http_api != new.http_api),
        ("accounts", old.accounts != new.accounts),
        ("upstream", old.upstream != new.upstream),
        ("store", old.store != new.store),
        ("alerts", old.alerts != new.alerts),
        ("email", old.email != new.email),
        ("prometheus", old.prometheus != new.prometheus),
    ];
    for (section, differs) in sections {
        if differs && !changed.iter().any(|option| option.split('.').next() == Some(section)) {
            changed.push(format!("{section} (a secret)"));
        }
    }
    changed
}

/// Every option with its value, by path. A list is one option.
fn options<'a>(tree: &'a Value, path: String, found: &mut BTreeMap<String, &'a Value>) {
    match tree {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                options(value, if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, found);
            }
        }
        value => {
            found.insert(path, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogLevel;

    #[test]
    fn what_has_changed_is_named_and_secrets_are_not_shown() {
        let old = Config::default();
        assert_eq!(changes(&old, &old), Vec::<String>::new());
        let mut new = old.clone();
        new.log.level = LogLevel::Debug;
        new.http_server.port += 1;
        new.channel.namespaces.push(Default::default());
        assert_eq!(changes(&old, &new), ["channel.namespaces", "http_server.port", "log.level"]);
        let mut new = old.clone();
        new.client.token.hmac_secret_key = "one".into();
        let mut newer = old.clone();
        newer.client.token.hmac_secret_key = "two".into();
        assert_eq!(changes(&new, &newer), ["client (a secret)"]);
        newer.log.level = LogLevel::Debug;
        assert_eq!(changes(&new, &newer), ["log.level", "client (a secret)"]);
    }
}

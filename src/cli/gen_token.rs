//! `aether gen-token`: a token for trying things out. In production an application makes them, with the same key.

use super::{ConfigArgs, print};
use crate::auth::{Algorithm, TokenSigner};
use crate::clock::Clock;
use crate::config::{ClientConfig, TokenConfig, unknown_warning};
use crate::units::HumanDuration;
use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value};
use std::process::ExitCode;

/// Print a token for a user, signed with the key of the configuration
///
/// Makes a connection token, or with --channel a subscription token for that channel alone (as channels that begin with $ need it). Standard output
/// gets the token and nothing else.
///
/// The token is a JWT, signed by HS256 with client.token.hmac_secret_key (a subscription token with client.subscription_token.hmac_secret_key where
/// that is enabled). It has the audience and issuer that the configuration demands.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  aether gen-token --config aether.toml --user alice
  aether gen-token --config aether.toml --user alice --channel '$chat:secret' --ttl 5m
  AETHER_CLIENT_TOKEN_HMAC_SECRET_KEY=secret aether gen-token --user alice")]
pub struct GenToken {
    #[command(flatten)]
    config: ConfigArgs,

    /// Whom the token is for. Without it: a user without a name
    #[arg(short, long, value_name = "USER", default_value = "", hide_default_value = true)]
    user: String,

    /// How long the token is valid: 300s, 1h30m, 7d
    #[arg(short, long, value_name = "DURATION", default_value = "1h", value_parser = parse_ttl)]
    ttl: HumanDuration,

    /// Make a subscription token for this channel
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
}

impl GenToken {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let loaded = self.config.load()?;
        if !loaded.unknown.is_empty() {
            eprintln!("warning: {}", unknown_warning(&loaded.unknown));
        }
        print(&format!("{}\n", self.token(&loaded.config.client, Clock::system().wall_seconds())?))?;
        Ok(ExitCode::SUCCESS)
    }

    fn token(&self, client: &ClientConfig, now_seconds: i64) -> anyhow::Result<String> {
        let (section, settings) = match self.channel {
            Some(_) if client.subscription_token.enabled => ("client.subscription_token", &client.subscription_token.token),
            _ => ("client.token", &client.token),
        };
        if self.channel.as_deref() == Some("") {
            bail!("a subscription token needs the name of its channel");
        }
        if settings.hmac_secret_key.is_empty() {
            bail!("cannot sign a token, since {section}.hmac_secret_key is empty; set it in the file, or as {}", variable_of(section));
        }
        let signer = TokenSigner::hmac(settings.hmac_secret_key.expose().as_bytes(), Algorithm::HS256).context("cannot sign a token")?;
        signer.sign(&self.claims(settings, now_seconds)).context("cannot sign a token")
    }

    fn claims(&self, settings: &TokenConfig, now_seconds: i64) -> Map<String, Value> {
        let user_claim = if settings.user_id_claim.is_empty() { "sub" } else { settings.user_id_claim.as_str() };
        let mut claims = Map::new();
        claims.insert(user_claim.to_string(), Value::from(self.user.as_str()));
        claims.insert("iat".to_string(), Value::from(now_seconds));
        claims.insert("exp".to_string(), Value::from(now_seconds + self.ttl.duration().as_secs() as i64));
        for (claim, demanded) in [("aud", &settings.audience), ("iss", &settings.issuer)] {
            if !demanded.is_empty() {
                claims.insert(claim.to_string(), Value::from(demanded.as_str()));
            }
        }
        if let Some(channel) = &self.channel {
            claims.insert("channel".to_string(), Value::from(channel.as_str()));
        }
        claims
    }
}

fn variable_of(section: &str) -> String {
    format!("AETHER_{}_HMAC_SECRET_KEY", section.replace('.', "_").to_uppercase())
}

fn parse_ttl(text: &str) -> Result<HumanDuration, String> {
    match HumanDuration::parse(text) {
        // Claims count in seconds.
        Ok(ttl) if ttl >= HumanDuration::from_secs(1) => Ok(ttl),
        Ok(_) => Err("a token must be valid for at least 1s".to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Expected, TokenKey, TokenSettings, TokenVerifier};
    use crate::cli::{Cli, Command};
    use crate::config::SubscriptionTokenConfig;
    use clap::Parser;

    const NOW: i64 = 1_700_000_000;

    fn command(arguments: &[&str]) -> GenToken {
        match Cli::parse_from([&["aether", "gen-token"], arguments].concat()).command {
            Command::GenToken(command) => command,
            other => panic!("{other:?}"),
        }
    }

    fn client() -> ClientConfig {
        let token = TokenConfig { hmac_secret_key: "key".into(), audience: "hub".to_string(), issuer: "app".to_string(), ..TokenConfig::default() };
        ClientConfig { token, ..ClientConfig::default() }
    }

    fn verifier(key: &str) -> TokenVerifier {
        let audience = Expected::Exactly("hub".to_string());
        TokenVerifier::new(&TokenSettings { keys: vec![TokenKey::hmac(key)], audience, ..TokenSettings::default() }).unwrap()
    }

    #[test]
    fn a_connection_token_lets_its_user_in_until_it_expires() {
        let token = command(&["--user", "alice", "--ttl", "90s"]).token(&client(), NOW).unwrap();
        assert_eq!(verifier("key").verify_connection(&token, NOW + 89).unwrap().user.as_str(), "alice");
        assert!(verifier("key").verify_connection(&token, NOW + 91).is_err());
        assert!(verifier("other").verify_connection(&token, NOW).is_err());
    }

    #[test]
    fn a_subscription_token_is_for_its_channel_and_has_the_right_key() {
        let command = command(&["-u", "alice", "--channel", "$chat:1"]);
        let token = command.token(&client(), NOW).unwrap();
        assert_eq!(verifier("key").verify_subscription(&token, NOW).unwrap().channel.as_str(), "$chat:1");
        assert!(verifier("key").verify_connection(&token, NOW).is_err(), "it opens no connection");

        let token = TokenConfig { hmac_secret_key: "second".into(), audience: "hub".to_string(), ..TokenConfig::default() };
        let client = ClientConfig { subscription_token: SubscriptionTokenConfig { enabled: true, token }, ..client() };
        assert!(verifier("second").verify_subscription(&command.token(&client, NOW).unwrap(), NOW).is_ok());
    }

    #[test]
    fn the_user_stands_in_the_claim_that_the_configuration_names() {
        let settings = TokenConfig { user_id_claim: "uid".to_string(), ..TokenConfig::default() };
        let claims = command(&["--user", "alice"]).claims(&settings, NOW);
        assert_eq!(Value::Object(claims), serde_json::json!({"uid": "alice", "iat": NOW, "exp": NOW + 3_600}));
    }

    #[test]
    fn without_a_key_the_cure_is_named() {
        let error = command(&[]).token(&ClientConfig::default(), NOW).unwrap_err().to_string();
        assert!(error.contains("client.token.hmac_secret_key") && error.contains("AETHER_CLIENT_TOKEN_HMAC_SECRET_KEY"), "{error}");
    }

    #[test]
    fn a_token_is_valid_for_some_time() {
        for (text, is_fine) in [("1s", true), ("7d", true), ("0", false), ("999ms", false), ("-1h", false), ("60", false), ("", false)] {
            assert_eq!(parse_ttl(text).is_ok(), is_fine, "{text}");
        }
    }
}

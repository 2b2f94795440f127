//! `aether check-config`: the checks that the server makes before it starts, and what the configuration amounts to.

use super::{ConfigArgs, print};
use crate::app::settings;
use crate::auth::{Jwks, JwksSettings, TokenSettings, TokenVerifier};
use crate::clock::Clock;
use crate::config::{ClientConfig, Config, HttpServerConfig, TokenConfig, unknown_warning};
use anyhow::{Context, bail};
use clap::Args;
use std::fmt::Write;
use std::process::ExitCode;

/// Check the configuration, and say in a few lines what it means
///
/// Lists everything that is wrong at once: unknown options, wrong types and values, options that contradict each other. It opens no port and
/// connects to nothing, so it can run beside the server and in a build pipeline. File, environment and --set count as they would for the server.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  aether check-config --config aether.toml
  aether check-config --config aether.toml --set http_server.port=9000
  aether check-config --config centrifugo.json    what of a Centrifugo v6 configuration has a meaning here

Exit codes: 0 valid, 1 not valid or with unknown options.")]
pub struct CheckConfig {
    #[command(flatten)]
    config: ConfigArgs,
}

impl CheckConfig {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let loaded = self.config.load()?;
        if !loaded.unknown.is_empty() {
            bail!("{}", unknown_warning(&loaded.unknown));
        }
        check_keys(&loaded.config.client)?;
        settings::content(&loaded.config).context("a schema cannot be used")?;
        let subject = self.config.file().map_or_else(|| "the configuration (no file)".to_string(), |path| path.display().to_string());
        print(&format!("OK: {subject} is valid\n\n{}", summary(&loaded.config)))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Keys are text to the configuration; whether they are keys is known where tokens are verified.
fn check_keys(client: &ClientConfig) -> anyhow::Result<()> {
    let check = |token: &TokenConfig| -> anyhow::Result<()> {
        TokenVerifier::new(&TokenSettings::from(token))?;
        JwksSettings::of(token).map(|settings| Jwks::new(settings, Clock::system())).transpose()?;
        Ok(())
    };
    check(&client.token).context("client.token cannot be used")?;
    if client.subscription_token.enabled {
        check(&client.subscription_token.token).context("client.subscription_token cannot be used")?;
    }
    Ok(())
}

/// What somebody would want to see who is not sure that it is the right file.
fn summary(config: &Config) -> String {
    let mut lines = vec![("listens on", listeners(&config.http_server)), ("clients", clients(&config.client))];
    let origins = &config.client.allowed_origins;
    lines.push((
        "web pages of",
        if origins.is_empty() { "no origin; clients that are no browsers may connect".to_string() } else { origins.join(", ") },
    ));
    let namespaces: Vec<&str> = config.channel.namespaces.iter().map(|namespace| namespace.name.as_str()).collect();
    lines.push(("namespaces", if namespaces.is_empty() { "none".to_string() } else { namespaces.join(", ") }));
    lines.push((
        "HTTP API",
        match &config.http_api {
            api if api.disabled => "disabled".to_string(),
            api if api.insecure => format!("{}, open to everybody (insecure)", api.handler_prefix),
            api if api.key.is_empty() => format!("{}, but every call is refused, since http_api.key is empty", api.handler_prefix),
            api => format!("{}, with a key", api.handler_prefix),
        },
    ));
    lines.push((
        "accounts",
        if config.accounts.enabled { format!("{}, for users that `aether user` adds", config.accounts.handler_prefix) } else { "none".to_string() },
    ));
    let pages = [
        (config.health.enabled, config.health.handler_prefix.as_str()),
        (config.ready.enabled, config.ready.handler_prefix.as_str()),
        (config.prometheus.enabled, config.prometheus.handler_prefix.as_str()),
        (config.live.enabled, "/ (Live page)"),
        (config.debug.enabled, "/debug/state"),
    ];
    let pages: Vec<&str> = pages.into_iter().filter(|(is_on, _)| *is_on).map(|(_, page)| page).collect();
    lines.push(("also serves", if pages.is_empty() { "nothing".to_string() } else { pages.join(", ") }));
    lines.push(("feeds", if config.upstream.feeds.is_empty() { "none".to_string() } else { format!("{}:", config.upstream.feeds.len()) }));
    let mut text = String::new();
    for (name, value) in lines {
        let _ = writeln!(text, "  {name:<14}{value}");
    }
    for feed in &config.upstream.feeds {
        let _ = writeln!(text, "  {:<14}  {} from {} to {}", "", feed.name, feed.url, feed.channel);
    }
    text
}

fn listeners(server: &HttpServerConfig) -> String {
    let address = match server.address.as_str() {
        "" => "all interfaces".to_string(),
        address => address.to_string(),
    };
    let port = |port: u16| if port == 0 { "any free port".to_string() } else { format!("port {port}") };
    let mut text = format!("{address}, {} ({})", port(server.port), if server.tls.enabled { "TLS" } else { "plain" });
    if server.tls_port != 0 {
        let _ = write!(text, ", {} (TLS)", port(server.tls_port));
    }
    text
}

fn clients(client: &ClientConfig) -> String {
    if client.insecure {
        return "everybody may connect and do everything (insecure)".to_string();
    }
    let token = &client.token;
    let keys = [
        ("HMAC", !token.hmac_secret_key.is_empty()),
        ("RSA", !token.rsa_public_key.is_empty()),
        ("ECDSA", !token.ecdsa_public_key.is_empty()),
        ("EdDSA", !token.eddsa_public_key.is_empty()),
        ("JWKS", !token.jwks_public_endpoint.is_empty()),
    ];
    let keys: Vec<&str> = keys.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect();
    match (keys.is_empty(), client.allow_anonymous_connect_without_token) {
        (true, true) => "without a token, as anonymous".to_string(),
        (true, false) => "nobody can connect: client.token has no key, and anonymous clients are not allowed".to_string(),
        (false, true) => format!("with a token ({}), or without one as anonymous", keys.join(", ")),
        (false, false) => format!("with a token ({})", keys.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Namespace;
    use crate::config::{FeedConfig, HttpApiConfig, TokenConfig};

    #[test]
    fn the_default_configuration_is_told_as_it_is() {
        let expected = [
            "  listens on    all interfaces, port 8000 (plain)",
            "  clients       nobody can connect: client.token has no key, and anonymous clients are not allowed",
            "  web pages of  no origin; clients that are no browsers may connect",
            "  namespaces    none",
            "  HTTP API      /api, but every call is refused, since http_api.key is empty",
            "  accounts      /auth, for users that `aether user` adds",
            "  also serves   /health, /ready",
            "  feeds         none",
        ];
        assert_eq!(summary(&Config::default()).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_full_configuration_is_told_without_its_secrets() {
        let mut config = Config::default();
        config.http_server = HttpServerConfig { address: "::1".to_string(), port: 0, tls_port: 8443, ..config.http_server };
        config.client.token = TokenConfig { hmac_secret_key: "hush".into(), eddsa_public_key: "pem".to_string(), ..TokenConfig::default() };
        config.client.allow_anonymous_connect_without_token = true;
        config.client.allowed_origins = vec!["https://a.org".to_string(), "https://b.org".to_string()];
        config.channel.namespaces.push(Namespace { name: "news".to_string(), ..Namespace::default() });
        config.http_api = HttpApiConfig { key: "hush".into(), ..HttpApiConfig::default() };
        config.live.enabled = true;
        config.accounts.enabled = false;
        let headers = [("Authorization".to_string(), "hush".into())].into();
        let feed = FeedConfig {
            name: "wiki".to_string(),
            url: "https://h/e".to_string(),
            channel: "news:{event}".to_string(),
            headers,
            ..FeedConfig::default()
        };
        config.upstream.feeds.push(feed);
        let expected = [
            "  listens on    ::1, any free port (plain), port 8443 (TLS)",
            "  clients       with a token (HMAC, EdDSA), or without one as anonymous",
            "  web pages of  https://a.org, https://b.org",
            "  namespaces    news",
            "  HTTP API      /api, with a key",
            "  accounts      none",
            "  also serves   /health, /ready, / (Live page)",
            "  feeds         1:",
            "                  wiki from https://h/e to news:{event}",
        ];
        assert_eq!(summary(&config).lines().collect::<Vec<_>>(), expected);
    }
}

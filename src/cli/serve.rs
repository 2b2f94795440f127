//! `aether serve`: runs the hub.

use super::user::Offline;
use super::{ConfigArgs, print};
use crate::app::{self, Addresses};
use crate::auth::{Algorithm, MintConnection, TokenSigner, key_file};
use crate::clock::Clock;
use crate::config::{Config, LogFormat, unknown_warning};
use crate::telemetry::logs;
use crate::tls;
use anyhow::{Context, bail};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// What `--dev` runs with when no other file is named.
const DEVELOPMENT_TOML: &str = include_str!("../../config/development.toml");

/// The first user of a hub that is being tried out.
const DEVELOPMENT_ADMIN: &str = "admin";

/// Time for which the token that `--dev` prints is good.
const DEVELOPMENT_TOKEN_SECONDS: i64 = 24 * 3_600;

/// Run the hub.
///
/// Reads the configuration, checks all of it, opens the listeners, and says `ready` with its addresses on standard output. The log goes to
/// standard error. SIGTERM or SIGINT drains: clients are told to come back, spread over `shutdown.spread`; a second signal means now. SIGHUP
/// loads the certificate anew.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Serve {
    #[command(flatten)]
    config: ConfigArgs,

    /// Refuse to start with options that have no meaning, instead of warning of them
    #[arg(long)]
    strict: bool,

    /// Try it out on this machine: demo feed, Live page, certificate, keys and a token, all made on the spot
    #[arg(long)]
    dev: bool,
}

const EXAMPLES: &str = "\
Examples:
  aether serve --dev                              try it out: nothing else is needed
  aether serve --config aether.toml --strict      in production
  aether serve --config aether.toml --set http_server.port=9000";

impl Serve {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let development = if self.dev { Some(Development::prepare(&self.config)?) } else { None };
        let overrides = development.as_ref().map(|development| development.overrides.clone());
        let (arguments, strict) = (self.config, self.strict);
        let load = move || match &overrides {
            Some(overrides) => arguments.load_over(DEVELOPMENT_TOML, overrides),
            None => arguments.load(),
        };
        let loaded = load()?;
        let config = loaded.config;
        logs::start(config.log.level.filter(), config.log.format == LogFormat::Json).context("cannot start the log")?;
        if !loaded.unknown.is_empty() {
            let warning = unknown_warning(&loaded.unknown);
            if strict {
                bail!("{warning}");
            }
            log::warn!("{warning}");
        }
        tls::install_provider();
        // SAFETY: to ignore a signal installs no handler. A limit on the size of files then is an error of the write that meets it, as a
        // full disk is, and not the end of the process (setrlimit(2)).
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        std::panic::set_hook(Box::new(crate::telemetry::panicked));
        let system = actix::System::new();
        let first_admin = match &development {
            Some(_) if config.accounts.enabled => system.block_on(Offline::first_admin(&config, DEVELOPMENT_ADMIN))?,
            _ => None,
        };
        let greeting = development.map(|development| development.greeting(&config, first_admin)).transpose()?;
        let reread = Arc::new(move || load().map(|loaded| loaded.config));
        system.block_on(app::run(config, reread, |addresses| {
            let mut text = String::from("ready");
            for (scheme, address) in [("http", addresses.plain), ("https", addresses.tls)] {
                if let Some(address) = address {
                    let _ = write!(text, " {scheme}://{}", reachable(address));
                }
            }
            text.push('\n');
            if let Some(greeting) = greeting {
                text.push_str(&greeting(addresses));
            }
            if let Err(error) = print(&text) {
                log::warn!("{error:#}");
            }
        }))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What `--dev` makes before the hub starts.
struct Development {
    overrides: Vec<(String, String)>,
    hmac_secret: String,
    api_key: String,
}

impl Development {
    /// Makes the data folder, the secrets and the certificate, as far as they are not there yet.
    fn prepare(config: &ConfigArgs) -> anyhow::Result<Self> {
        // The folder is read from a configuration that does not know yet what will be in it.
        let not_yet = ["http_server.tls.cert_pem_file", "http_server.tls.key_pem_file"].map(|option| (option.to_string(), "not yet".to_string()));
        let folder = PathBuf::from(config.load_over(DEVELOPMENT_TOML, &not_yet)?.config.data_dir);
        let secret = |file: &str| key_file::read_or_make(&folder.join(file)).map(|secret| secret.expose_secret().to_string());
        let hmac_secret = secret("token-secret")?;
        let api_key = secret("api-key")?;
        let paths = tls::ensure_development_certificate(&folder, Clock::system().wall_seconds())?;
        let path = |path: &Path| path.display().to_string();
        let overrides = vec![
            ("client.token.hmac_secret_key".to_string(), hmac_secret.clone()),
            ("http_api.key".to_string(), api_key.clone()),
            ("http_server.tls.cert_pem_file".to_string(), path(&paths.certificate)),
            ("http_server.tls.key_pem_file".to_string(), path(&paths.key)),
        ];
        Ok(Self { overrides, hmac_secret, api_key })
    }

    /// What the hub says to whoever started it.
    fn greeting(self, config: &Config, first_admin: Option<SecretString>) -> anyhow::Result<impl FnOnce(&Addresses) -> String + use<>> {
        let expires_at = Clock::system().wall_seconds() + DEVELOPMENT_TOKEN_SECONDS;
        let claims = MintConnection { user: "developer", expires_at: Some(expires_at), ..MintConnection::default() };
        // Overridden in a file or by the environment, the secret is no longer ours to sign with.
        let is_ours = config.client.token.hmac_secret_key.expose() == self.hmac_secret;
        let token = if is_ours { TokenSigner::hmac(self.hmac_secret.as_bytes(), Algorithm::HS256)?.sign(&claims)? } else { String::new() };
        let api_key_file = format!("{}/api-key", config.data_dir);
        let (has_accounts, data_dir) = (config.accounts.enabled, config.data_dir.clone());
        let has_own_key = config.http_api.key.expose() == self.api_key;
        Ok(move |addresses: &Addresses| {
            let plain = addresses.plain.map(|address| format!("http://localhost:{}", address.port()));
            let tls = addresses.tls.map(|address| format!("https://localhost:{}", address.port()));
            let mut text = String::from("\nAether is running.\n\n");
            for (label, url) in [("Live page", &tls), ("without TLS", &plain)] {
                if let Some(url) = url {
                    let _ = writeln!(text, "  {label:<12} {url}/");
                }
            }
            let url = plain.or(tls).unwrap_or_default();
            if !token.is_empty() {
                let _ = writeln!(text, "\nA token for the user \"developer\", good for 24 hours:\n\n  {token}");
            }
            match &first_admin {
                Some(password) => {
                    let password = password.expose_secret();
                    let _ = writeln!(text, "\nYour account, made now; its password is shown only this once:\n\n  {DEVELOPMENT_ADMIN}  {password}");
                }
                None if has_accounts => {
                    let set = format!("aether user set-password {DEVELOPMENT_ADMIN} --generate --set data_dir={data_dir}");
                    let _ = writeln!(text, "\nYour account is \"{DEVELOPMENT_ADMIN}\", unless you have removed it. Password forgotten?\n\n  {set}");
                }
                None => {}
            }
            let insecure = if url.starts_with("https") { "-k " } else { "" };
            text.push_str("\nTo try in another terminal, with the Live page open:\n\n");
            let _ = writeln!(text, "  curl {insecure}-N '{url}/.well-known/mercure?topic=demo:pulse'");
            if has_own_key {
                let _ = writeln!(
                    text,
                    "  curl {insecure}{url}/api/publish -H \"X-API-Key: $(cat {api_key_file})\" -d '{{\"channel\":\"demo:chat\",\"data\":{{\"text\":\"hello from curl\"}}}}'"
                );
                let _ = writeln!(text, "  curl {insecure}{url}/api/channels -H \"X-API-Key: $(cat {api_key_file})\" -d '{{}}'");
            }
            text.push_str("\nCtrl+C stops it.\n");
            text
        })
    }
}
/// Where a listener is reached from this machine: one on all interfaces by the nearest.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = if address.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { address.ip() };
    SocketAddr::new(ip, address.port())
}

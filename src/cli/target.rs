//! Where a client of the command line connects to: URLs taken apart once, and how far the server's certificate is believed.

use crate::tls::KeyHolder;
use anyhow::{Context, bail, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;

/// What stands in a URL for the name of a connection's channel.
const CHANNEL_PLACE: &str = "{channel}";

/// One URL: `ws`, `wss`, `http` or `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub is_secure: bool,
    /// As it goes into the Host header.
    pub host: String,
    pub address: SocketAddr,
    path: String,
}

impl Target {
    pub fn parse(url: &str) -> anyhow::Result<Self> {
        let (is_secure, rest) = match url.split_once("://") {
            Some(("ws" | "http", rest)) => (false, rest),
            Some(("wss" | "https", rest)) => (true, rest),
            _ => bail!("cannot use the URL {url}: it must begin with ws://, wss://, http:// or https://"),
        };
        let (host, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        ensure!(!host.is_empty() && !host.contains('@'), "cannot use the URL {url}: it must name a host, and no user");
        ensure!(url.bytes().all(|byte| byte.is_ascii_graphic()), "cannot use the URL {url}: blanks and letters beyond ASCII must be percent-encoded");
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port = if has_port { host.to_string() } else { format!("{host}:{}", if is_secure { 443 } else { 80 }) };
        let address = with_port
            .to_socket_addrs()
            .with_context(|| format!("cannot find the host of {url}"))?
            .next()
            .with_context(|| format!("the host of {url} has no address"))?;
        Ok(Self { is_secure, host: host.to_string(), address, path: path.to_string() })
    }

    /// The same server with another path.
    pub fn with_path(&self, path: &str) -> Self {
        Self { path: path.to_string(), ..self.clone() }
    }

    pub fn has_path(&self) -> bool {
        !matches!(self.path.as_str(), "" | "/")
    }

    pub fn names_channel(&self) -> bool {
        self.path.contains(CHANNEL_PLACE)
    }

    pub fn path_for(&self, channel: &str) -> String {
        self.path_parts(channel).concat()
    }

    /// The path with the channel's name in its place, if it has one.
    pub fn path_parts<'a>(&'a self, channel: &'a str) -> [&'a str; 3] {
        match self.path.split_once(CHANNEL_PLACE) {
            Some((before, after)) => [before, channel, after],
            None if self.path.is_empty() => ["/", "", ""],
            None => [&self.path, "", ""],
        }
    }

    /// The same URL with one more pair in its query.
    pub fn with_query(&self, pair: &str) -> Self {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        Self { path: format!("{path}{}{pair}", if path.contains('?') { '&' } else { '?' }), ..self.clone() }
    }

    pub fn server_name(&self) -> anyhow::Result<ServerName<'static>> {
        let name = self.host.rsplit_once(':').map_or(self.host.as_str(), |(name, _)| name).trim_matches(['[', ']']);
        ServerName::try_from(name.to_string()).with_context(|| format!("{name} is not a name that a certificate can have"))
    }
}

/// How far to trust the server's certificate.
pub enum Trust<'a> {
    /// As programs of this system do.
    System,
    /// Those that this authority's certificates vouch for.
    Authority(&'a Path),
    /// The one that stands first in this file, and no other.
    Exactly(&'a Path),
    Anyone,
}

pub fn tls_config(trust: Trust<'_>) -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let mut config = match trust {
        Trust::Authority(path) => {
            let mut roots = RootCertStore::empty();
            let certificates = CertificateDer::pem_file_iter(path).with_context(|| format!("cannot read {}", path.display()))?;
            for certificate in certificates {
                roots.add(certificate.with_context(|| format!("cannot read {}", path.display()))?)?;
            }
            ensure!(!roots.is_empty(), "{} holds no certificate", path.display());
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Trust::System => {
            let verifier = Verifier::new(Arc::clone(&provider)).context("cannot read the certificates of this system")?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        Trust::Exactly(path) => {
            let mut certificates = CertificateDer::pem_file_iter(path).with_context(|| format!("cannot read {}", path.display()))?;
            let certificate = certificates.next().with_context(|| format!("{} holds no certificate", path.display()))?;
            let certificate = certificate.with_context(|| format!("cannot read {}", path.display()))?;
            builder.dangerous().with_custom_certificate_verifier(KeyHolder::new(&provider, Some(certificate))).with_no_client_auth()
        }
        Trust::Anyone => builder.dangerous().with_custom_certificate_verifier(KeyHolder::new(&provider, None)).with_no_client_auth(),
    };
    // Every client is a new one: a resumed session would be cheaper than what a server meets after a deploy.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let target = Target::parse("ws://127.0.0.1:9000/sub/{channel}?x=1").unwrap();
        assert_eq!((target.is_secure, target.host.as_str(), target.address.port()), (false, "127.0.0.1:9000", 9_000));
        assert_eq!((target.path_for("news"), target.names_channel()), ("/sub/news?x=1".to_string(), true));
        let secure = Target::parse("wss://127.0.0.1").unwrap();
        assert_eq!((secure.is_secure, secure.address.port(), secure.path_for("a").as_str()), (true, 443, "/"));
        assert_eq!(secure.with_path("/p").path_for("a"), "/p");
        assert!(secure.server_name().is_ok() && !secure.has_path());
        for bad in ["127.0.0.1:80", "ftp://127.0.0.1/", "ws:///path", "ws://u@127.0.0.1/", "ws://127.0.0.1/a b"] {
            let error = Target::parse(bad).unwrap_err().to_string();
            assert!(error.contains(bad), "{error}");
        }
    }
}

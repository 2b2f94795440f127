//! The way to the server, one step after the other: name, TCP, TLS. On connections of its own that carry nothing, so that each step can
//! be told apart; the requests are made afterwards by the same HTTP client that the hub uses.

use super::certificate::Handshake;
use super::finding::{Check, Finding, quoted, time};
use crate::said::{Sentence, said};
use reqwest::Url;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ProtocolVersion, SignatureScheme};
use rustls_platform_verifier::Verifier;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Addresses of one name that are tried. More are a pool of servers that are all alike.
const ADDRESSES_TRIED: usize = 6;
/// For a name to be resolved, for one address to answer, for one handshake.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// Whom to believe.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// The certificates of this system, as the hub does.
    #[default]
    System,
    /// These as well.
    Also(Vec<CertificateDer<'static>>),
    /// Everybody.
    Anybody,
}

/// The verifiers that `Trust` means. Reads the certificates of the system: blocks for some milliseconds.
#[derive(Clone, Debug)]
pub struct Trusted {
    provider: Arc<CryptoProvider>,
    system: Result<Arc<Verifier>, rustls::Error>,
    asked: Result<Arc<Verifier>, rustls::Error>,
    is_insecure: bool,
}

impl Trusted {
    pub fn load(trust: &Trust) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let system = Verifier::new(Arc::clone(&provider)).map(Arc::new);
        let asked = match trust {
            Trust::Also(more) => Verifier::new_with_extra_roots(more.iter().cloned(), Arc::clone(&provider)).map(Arc::new),
            Trust::System | Trust::Anybody => system.clone(),
        };
        Self { provider, system, asked, is_insecure: matches!(trust, Trust::Anybody) }
    }

    /// For the requests.
    pub fn client_config(&self) -> Result<ClientConfig, rustls::Error> {
        let verifier: Arc<dyn ServerCertVerifier> = match (&self.asked, self.is_insecure) {
            (Ok(verifier), false) => Arc::clone(verifier) as _,
            _ => Arc::new(Judge { trusted: self.clone(), believes: self.is_insecure, seen: Default::default() }),
        };
        self.config_with(verifier)
    }

    fn config_with(&self, verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions()?;
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Looks at a certificate, remembers it with both verdicts, and believes whom it is told to.
#[derive(Debug)]
struct Judge {
    trusted: Trusted,
    believes: bool,
    seen: parking_lot::Mutex<Option<Seen>>,
}

#[derive(Debug)]
struct Seen {
    chain: Vec<CertificateDer<'static>>,
    verdict: Result<(), rustls::Error>,
    by_system: bool,
}

impl Judge {
    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.trusted.provider.signature_verification_algorithms
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let ask = |verifier: &Result<Arc<Verifier>, rustls::Error>| {
            verifier.as_ref().map_err(rustls::Error::clone)?.verify_server_cert(own, others, name, stapled, now).map(|_| ())
        };
        let verdict = ask(&self.trusted.asked);
        let by_system = ask(&self.trusted.system).is_ok();
        let chain = std::iter::once(own).chain(others).map(|certificate| certificate.clone().into_owned()).collect();
        let outcome = verdict.clone();
        *self.seen.lock() = Some(Seen { chain, verdict, by_system });
        if self.believes { Ok(ServerCertVerified::assertion()) } else { outcome.map(|()| ServerCertVerified::assertion()) }
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, self.algorithms())
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, self.algorithms())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

/// Goes the way and tells of each step. `false`: a request would not get there.
pub async fn reach(url: &Url, trusted: &Trusted, tell: &mut (dyn FnMut(Finding) + Send)) -> bool {
    let Some(addresses) = resolve(url, tell).await else { return false };
    let Some(stream) = connect(&addresses, tell).await else { return false };
    url.scheme() != "https" || shake_hands(url, stream, trusted, tell).await
}

async fn resolve(url: &Url, tell: &mut (dyn FnMut(Finding) + Send)) -> Option<Vec<SocketAddr>> {
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    let is_name = url.domain().is_some();
    let began = Instant::now();
    let host_text = host.trim_matches(['[', ']']);
    let failed = |result: Sentence| {
        Finding::problem(
            Check::Name,
            result,
            said!("name.cure", "Is the name right, and can this machine resolve it? The hub tries again, ever more slowly."),
        )
    };
    let host_name = || quoted(host_text);
    let found = match timeout(STEP_TIMEOUT, tokio::net::lookup_host((host_text, port))).await {
        Err(_) => Err(failed(said!("name.late", "{host} was not resolved within {limit_ms}", host = host_name(), limit_ms = time(STEP_TIMEOUT)))),
        Ok(Err(error)) => {
            Err(failed(said!("name.unknown", "{host} cannot be resolved: {error}", host = host_name(), error = quoted(&error.to_string()))))
        }
        Ok(Ok(found)) => {
            let mut addresses: Vec<SocketAddr> = Vec::new();
            for address in found.take(4 * ADDRESSES_TRIED) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            if addresses.is_empty() { Err(failed(said!("name.empty", "{host} has no address", host = host_name()))) } else { Ok(addresses) }
        }
    };
    match found {
        Err(finding) => {
            tell(finding);
            None
        }
        Ok(mut addresses) => {
            if is_name {
                let (v4, v6) = addresses.iter().fold((0, 0), |(v4, v6), address| if address.is_ipv4() { (v4 + 1, v6) } else { (v4, v6 + 1) });
                let (took_ms, host) = (time(began.elapsed()), quoted(host_text));
                let mut listed: Vec<String> = addresses.iter().take(ADDRESSES_TRIED).map(|address| address.ip().to_string()).collect();
                if addresses.len() > ADDRESSES_TRIED {
                    listed.push("…".to_string());
                }
                let addresses = listed.join(", ");
                tell(Finding::fine(
                    Check::Name,
                    match (v4, v6) {
                        (_, 0) => {
                            said!("name.v4", "{host} is {addresses} (IPv4 only), in {took_ms}", host, addresses, took_ms)
                        }
                        (0, _) => {
                            said!("name.v6", "{host} is {addresses} (IPv6 only), in {took_ms}", host, addresses, took_ms)
                        }
                        _ => said!("name.both", "{host} is {addresses} (IPv4 and IPv6), in {took_ms}", host, addresses, took_ms),
                    },
                ));
            }
            addresses.truncate(ADDRESSES_TRIED);
            Some(addresses)
        }
    }
}

async fn connect(addresses: &[SocketAddr], tell: &mut (dyn FnMut(Finding) + Send)) -> Option<TcpStream> {
    let attempts = addresses.iter().map(|&address| async move {
        let began = Instant::now();
        let outcome = match timeout(STEP_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {}", time(STEP_TIMEOUT))),
        };
        (address, outcome, began.elapsed())
    });
    let mut stream = None;
    let (mut fine, mut failed) = (Vec::new(), Vec::new());
    for (address, outcome, took) in futures_util::future::join_all(attempts).await {
        match outcome {
            Ok(connected) => {
                fine.push(format!("{address} ({})", time(took)));
                stream.get_or_insert(connected);
            }
            Err(error) => failed.push(format!("{address}: {error}")),
        }
    }
    tell(match (fine.is_empty(), failed.is_empty()) {
        (_, true) => Finding::fine(Check::Tcp, said!("tcp.connected", "connected to {reached}", reached = fine.join(", "))),
        (false, false) => Finding::warning(
            Check::Tcp,
            said!("tcp.partly", "connected to {reached}, but not to {unreached}", reached = fine.join(", "), unreached = failed.join(", ")),
            said!(
                "tcp.partly.cure",
                "The hub tries one address after the other: it gets there, later. Take dead addresses out of the name, or mend the way to them."
            ),
        ),
        (true, false) => Finding::problem(
            Check::Tcp,
            said!("tcp.failed", "cannot connect to {unreached}", unreached = failed.join(", ")),
            said!(
                "tcp.failed.cure",
                "Is the server running, is the port right, does a firewall let this machine through? The hub tries again, ever more slowly."
            ),
        ),
    });
    stream
}

async fn shake_hands(url: &Url, stream: TcpStream, trusted: &Trusted, tell: &mut (dyn FnMut(Finding) + Send)) -> bool {
    let began = Instant::now();
    let judge = Arc::new(Judge { trusted: trusted.clone(), believes: true, seen: Default::default() });
    let shaken: Result<Option<ProtocolVersion>, String> = async {
        let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_string();
        let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
        let config = trusted.config_with(Arc::clone(&judge) as _).map_err(|error| error.to_string())?;
        match timeout(STEP_TIMEOUT, TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream.get_ref().1.protocol_version()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no end of the handshake within {}", time(STEP_TIMEOUT))),
        }
    }
    .await;
    let took = began.elapsed();
    let seen = judge.seen.lock().take();
    match (shaken, seen) {
        (Ok(version), Some(seen)) => {
            let is_trusted = seen.verdict.is_ok();
            let now_seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
            let is_insecure = trusted.is_insecure;
            let handshake =
                Handshake { version, chain: &seen.chain, verdict: seen.verdict, by_system: seen.by_system, is_insecure, took, now_seconds };
            tell(handshake.judge());
            is_trusted || is_insecure
        }
        (Err(error), _) => {
            tell(Finding::problem(
                Check::Tls,
                said!("tls.failed", "no handshake: {error}", error = quoted(&error)),
                said!("tls.failed.cure", "Does this port speak TLS, and TLS 1.2 or newer? The hub tries again, ever more slowly."),
            ));
            false
        }
        (Ok(_), None) => {
            tell(Finding::problem(
                Check::Tls,
                said!("tls.no_certificate", "the server showed no certificate"),
                said!("tls.no_certificate.cure", "The hub does not read it."),
            ));
            false
        }
    }
}

/// The variable of the environment that names a proxy for such addresses. Where there is one, the hub goes through it.
pub fn proxy_variable(url: &Url) -> Option<&'static str> {
    let of_scheme: &[&'static str] = if url.scheme() == "https" {
        &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    } else {
        &["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
    };
    of_scheme.iter().copied().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

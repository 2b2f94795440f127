//! The settings of the TLS server.

use super::resolver::ReloadingResolver;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{NoKeyLog, ServerConfig};
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
#[error("cannot set up TLS")]
pub struct ServerConfigError {
    #[from]
    source: rustls::Error,
}

/// Makes aws-lc-rs the provider of everything in this process that asks rustls for its default, such as the HTTP client. Call it before
/// any of these is built; calling it again does nothing.
pub fn install_provider() {
    // An error means that a provider is installed already, and there is only this one in the house.
    let _ = default_provider().install_default();
}

/// TLS 1.2 and 1.3 with the resolver's certificate, for HTTP/1.1 alone.
pub fn server_config(resolver: Arc<ReloadingResolver>) -> Result<ServerConfig, ServerConfigError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    // WebSocket and event streams are spoken over HTTP/1.1 here, and a client that was promised h2 would be disappointed later.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Sessions are resumed by tickets that the clients keep, sealed with keys that change every six hours: a reconnect storm costs no
    // signatures, and thousands of idle clients cost no memory for their sessions. One ticket is enough for a client that comes back
    // once (the default is two).
    config.ticketer = Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    // Early data can be replayed by whoever recorded it (RFC 8446, 8).
    config.max_early_data_size = 0;
    config.key_log = Arc::new(NoKeyLog {});
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::test_pair;
    use super::*;
    use crate::clock::Clock;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{AlertDescription, SupportedProtocolVersion};
    use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, ProtocolVersion, ServerConnection, SignatureScheme};
    use std::io::{Read, Write};

    /// Takes any certificate: these tests ask which one is shown, not whether it is trusted.
    #[derive(Debug)]
    struct TakeAny;
    impl ServerCertVerifier for TakeAny {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls12_signature(message, certificate, signature, &default_provider().signature_verification_algorithms)
        }
        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls13_signature(message, certificate, signature, &default_provider().signature_verification_algorithms)
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            default_provider().signature_verification_algorithms.supported_schemes()
        }
    }

    fn client_config(version: &'static SupportedProtocolVersion, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TakeAny))
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A client and a server that exchange bytes in memory.
    struct Link {
        client: ClientConnection,
        server: ServerConnection,
    }

    impl Link {
        fn new(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Self {
            let name = ServerName::try_from("hub.example").unwrap();
            Self { client: ClientConnection::new(Arc::clone(client), name).unwrap(), server: ServerConnection::new(Arc::clone(server)).unwrap() }
        }

        /// Carries bytes both ways until both are silent; the first error of the server, if any.
        fn settle(&mut self) -> Result<(), rustls::Error> {
            while self.client.wants_write() || self.server.wants_write() {
                let mut bytes = Vec::new();
                while self.client.wants_write() {
                    self.client.write_tls(&mut bytes).unwrap();
                }
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    self.server.read_tls(&mut rest).unwrap();
                    self.server.process_new_packets()?;
                }
                bytes.clear();
                while self.server.wants_write() {
                    self.server.write_tls(&mut bytes).unwrap();
                }
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    self.client.read_tls(&mut rest).unwrap();
                    self.client.process_new_packets().unwrap();
                }
            }
            Ok(())
        }

        fn say(&mut self, text: &str) -> String {
            self.client.writer().write_all(text.as_bytes()).unwrap();
            self.settle().unwrap();
            let mut heard = vec![0; text.len()];
            self.server.reader().read_exact(&mut heard).unwrap();
            String::from_utf8(heard).unwrap()
        }

        fn shown_certificate(&self) -> Vec<u8> {
            self.client.peer_certificates().unwrap()[0].to_vec()
        }
    }

    fn server(directory: &std::path::Path) -> (Arc<ReloadingResolver>, Arc<ServerConfig>) {
        let paths = test_pair("hub.example", 2_000_000_000).write_to(directory);
        let resolver = ReloadingResolver::open(paths, Clock::manual(1_800_000_000_000)).unwrap();
        let config = server_config(Arc::clone(&resolver)).unwrap();
        (resolver, Arc::new(config))
    }

    #[test]
    fn clients_of_both_versions_connect_and_resume() {
        let directory = tempfile::tempdir().unwrap();
        let (_resolver, server) = server(directory.path());
        for (version, number) in [(&TLS13, ProtocolVersion::TLSv1_3), (&TLS12, ProtocolVersion::TLSv1_2)] {
            let client = client_config(version, &["h2", "http/1.1"]);
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let mut link = Link::new(&client, &server);
                link.settle().unwrap();
                assert_eq!((link.server.protocol_version(), link.server.handshake_kind()), (Some(number), Some(kind)));
                assert_eq!(link.server.alpn_protocol(), Some(&b"http/1.1"[..]));
                assert_eq!(link.say("hello"), "hello");
            }
            assert!(Link::new(&client_config(version, &[]), &server).settle().is_ok(), "a client without ALPN");
        }
    }

    #[test]
    fn a_client_that_speaks_only_http_2_is_told_so() {
        let directory = tempfile::tempdir().unwrap();
        let (_resolver, server) = server(directory.path());
        let mut link = Link::new(&client_config(&TLS13, &["h2"]), &server);
        assert_eq!(link.settle(), Err(rustls::Error::NoApplicationProtocol));
        let mut alert = Vec::new();
        link.server.write_tls(&mut alert).unwrap();
        link.client.read_tls(&mut &alert[..]).unwrap();
        let refusal = link.client.process_new_packets().expect_err("the handshake cannot go on");
        assert_eq!(refusal, rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol));
    }

    #[test]
    fn a_replaced_certificate_is_shown_to_new_connections_and_old_ones_live_on() {
        let directory = tempfile::tempdir().unwrap();
        let (resolver, server) = server(directory.path());
        let mut before = Link::new(&client_config(&TLS13, &[]), &server);
        before.settle().unwrap();
        let shown_before = before.shown_certificate();

        test_pair("hub.example", 2_100_000_000).write_to(directory.path());
        resolver.reload().unwrap();
        let mut after = Link::new(&client_config(&TLS13, &[]), &server);
        after.settle().unwrap();
        assert_ne!(after.shown_certificate(), shown_before);
        assert_eq!(before.say("still here"), "still here");

        std::fs::write(&resolver.paths().key, "broken").unwrap();
        assert!(resolver.reload().is_err());
        let mut later = Link::new(&client_config(&TLS12, &[]), &server);
        later.settle().unwrap();
        assert_eq!(later.shown_certificate(), after.shown_certificate());
    }

    #[test]
    fn nothing_is_kept_for_sessions_of_clients_that_left() {
        let directory = tempfile::tempdir().unwrap();
        let (_resolver, server) = server(directory.path());
        assert!(!server.session_storage.can_cache());
        assert!(server.ticketer.enabled());
        assert_eq!((server.send_tls13_tickets, server.max_early_data_size), (1, 0));
    }

    #[test]
    fn the_provider_may_be_installed_twice() {
        install_provider();
        install_provider();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}

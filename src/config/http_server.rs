//! Where Aether listens, and how long each stage of an HTTP connection may take.

use crate::units::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};

/// The listeners, and the limits of every connection until it is upgraded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpServerConfig {
    /// The address to listen on. Empty: all interfaces.
    pub address: String,
    /// The port to listen on. It speaks plain HTTP unless `tls.enabled`. 0: any free one.
    pub port: u16,
    /// A second port, for TLS beside plain HTTP. 0: none. Needs `tls.cert_pem_file` and `tls.key_pem_file`.
    pub tls_port: u16,
    pub tls: TlsConfig,
    /// Threads that serve connections. 0: one a core.
    pub workers: usize,
    /// Connections that the kernel holds ready until they are accepted.
    pub backlog: u32,
    /// Open sockets in all, whatever they do. Beyond it new ones are answered 503 and closed.
    pub connection_limit: usize,
    /// Open sockets of one address. Beyond it new ones are answered 503 and closed. 0: no such limit.
    pub connection_limit_per_ip: usize,
    /// Proxies that are believed about the addresses of their clients: addresses and networks. Nobody else is.
    pub trusted_proxies: Vec<String>,
    /// The header by which they say it: `x-forwarded-for` or `forwarded` (RFC 7239). The other one is not looked at.
    pub forwarded_header: String,
    /// Descriptors kept free for feeds, files and the listeners themselves when the system's limit is near.
    pub reserved_descriptors: usize,
    /// From the accepted socket to the end of the TLS handshake.
    pub tls_handshake_timeout: HumanDuration,
    /// From the accepted socket to the end of the first request's headers.
    pub request_header_timeout: HumanDuration,
    /// From the first byte of a request to the first byte of its answer; on a kept-alive connection too.
    pub request_timeout: HumanDuration,
    /// How long a connection may stay open between two requests.
    pub keep_alive_timeout: HumanDuration,
    /// How long an answer may make no progress because its reader does not read.
    pub write_timeout: HumanDuration,
    /// Bytes of one request's body. Beyond it: 413.
    pub request_body_max: ByteSize,
}

impl Default for HttpServerConfig {
    fn default() -> Self {
        Self {
            address: String::new(),
            port: 8000,
            tls_port: 0,
            tls: TlsConfig::default(),
            workers: 0,
            backlog: 4_096,
            connection_limit: 25_000,
            connection_limit_per_ip: 0,
            trusted_proxies: Vec::new(),
            forwarded_header: "x-forwarded-for".to_string(),
            reserved_descriptors: 64,
            tls_handshake_timeout: HumanDuration::from_secs(3),
            request_header_timeout: HumanDuration::from_secs(5),
            request_timeout: HumanDuration::from_secs(15),
            keep_alive_timeout: HumanDuration::from_secs(75),
            write_timeout: HumanDuration::from_secs(15),
            request_body_max: ByteSize::mib(1),
        }
    }
}

/// The certificate. Both files are watched: a changed pair is taken over without a restart, a broken one is refused and the last good one stays.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsConfig {
    /// `port` itself speaks TLS.
    pub enabled: bool,
    /// A file with the certificate and its chain, PEM.
    pub cert_pem_file: String,
    /// A file with the certificate's private key, PEM.
    pub key_pem_file: String,
}

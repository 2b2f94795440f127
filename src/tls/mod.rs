//! TLS: which certificate is shown, how it is replaced while the server runs, and with what settings connections are made.
//!
//! `app` opens the resolver, builds the server's settings from it and keeps the watch; the listener only sees a `ServerConfig`. This room
//! reads files and has one thread that waits for them to change. It accepts no connections, and verifies no client certificates.

mod certificate;
mod development;
mod holder;
mod resolver;
mod server;
mod watch;

pub use certificate::{CertificateError, CertificatePaths};
pub use development::{DevelopmentError, ensure_development_certificate};
pub use holder::KeyHolder;
pub use resolver::ReloadingResolver;
pub use server::{ServerConfigError, install_provider, server_config};
pub use watch::{CertificateWatch, WatchTiming};

//! The house of Aether, room by room, in dependency order: a room uses only rooms that stand above it.
//!
//! `ARCHITECTURE.md` says what each room is for and what is deliberately absent from it.

/// Values: channel names, namespaces, publications, stream positions, presence.
pub mod channel;
/// Now, monotonic and wall, behind one handle that tests can move.
pub mod clock;
/// The typed configuration tree, its loading, its checks.
pub mod config;
/// Bytes to typed values and back, without I/O: the Centrifuge protocol, WebSocket frames, event streams, every code a client can see.
pub mod protocol;
/// Durations and byte sizes as people write them.
pub mod units;

#[cfg(feature = "server")]
/// Who may come in: tokens, keys, claims.
pub mod auth;
#[cfg(feature = "server")]
/// Streams with offset and epoch, presence, idempotency: where every publication enters.
pub mod broker;
#[cfg(feature = "server")]
/// What happened: events that know their log line and their counters.
pub mod telemetry;
#[cfg(feature = "server")]
/// Certificates: development pair, loading, reload on change.
pub mod tls;
#[cfg(feature = "server")]
/// Live feeds: event streams of other servers, read and published.
pub mod upstream;

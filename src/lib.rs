//! The house of Aether, room by room, in dependency order: a room uses only rooms that stand above it.
//!
//! `ARCHITECTURE.md` says what each room is for and what is deliberately absent from it.

/// Now, monotonic and wall, behind one handle that tests can move.
pub mod clock;
/// Durations and byte sizes as people write them.
pub mod units;
/// Values: channel names, namespaces, publications, stream positions, presence.
pub mod channel;
/// Bytes to typed values and back, without I/O: the Centrifuge protocol, WebSocket frames, event streams, every code a client can see.
pub mod protocol;
/// The typed configuration tree, its loading, its checks.
pub mod config;

/// Days and weeks of UTC.
#[cfg(feature = "server")]
pub mod calendar;
/// Documents for people, written as pages and as plain text.
#[cfg(feature = "server")]
pub mod document;
/// Sentences of what the hub has found, in English and as data.
#[cfg(feature = "server")]
pub mod said;
/// Event loops under names of their own.
#[cfg(feature = "server")]
pub mod threads;
/// What happened: events that know their log line and their counters.
#[cfg(feature = "server")]
pub mod telemetry;
/// What outlives the process: users, logins, the audit log, durable history.
#[cfg(feature = "server")]
pub mod store;
/// What all HTTP clients of the hub have in common.
#[cfg(feature = "server")]
pub mod outbound;
/// Who may come in: tokens, keys, claims, origins.
#[cfg(feature = "server")]
pub mod auth;
/// What payloads must be, and what is taken out of them.
#[cfg(feature = "server")]
pub mod content;
/// Streams with offset and epoch, presence, idempotency: where every publication enters.
#[cfg(feature = "server")]
pub mod broker;
/// Certificates: development pair, loading, reload on change.
#[cfg(feature = "server")]
pub mod tls;
/// Live feeds: event streams of other servers, read and published.
#[cfg(feature = "server")]
pub mod upstream;
/// A feed of this machine's own figures, served like any foreign one.
#[cfg(feature = "server")]
pub mod demo;
/// How many connections there may be, and whether they still live, judged from outside of them.
#[cfg(feature = "server")]
pub mod guard;
/// Frames on their way to one client, bounded.
#[cfg(feature = "server")]
pub mod outbox;
/// Actors, one a channel with subscribers on this node, and their worker-local halves.
#[cfg(feature = "server")]
pub mod topic;
/// Topics for EventSource clients and publishers of the Mercure protocol: names, selectors, one log of all updates.
#[cfg(feature = "server")]
pub mod mercure;
/// The application decides: asked over HTTP who may what.
#[cfg(feature = "server")]
pub mod hooks;
/// Letters to people, over SMTP.
#[cfg(feature = "server")]
pub mod mail;
/// Actors, one a client connection; who is connected; what clients ask.
#[cfg(feature = "server")]
pub mod session;
/// ACTOR that measures the hub, keeps what it measured, and says what is wrong.
#[cfg(feature = "server")]
pub mod metrics;
/// ACTOR that carries out operators' commands; who may; the audit log.
#[cfg(feature = "server")]
pub mod admin;
/// The edge: sockets in, requests answered or turned into sessions.
#[cfg(feature = "server")]
pub mod http;
/// Builds every room from the configuration, wires them, runs them, drains them.
#[cfg(feature = "server")]
pub mod app;
/// The command line, one file a subcommand.
#[cfg(feature = "server")]
pub mod cli;

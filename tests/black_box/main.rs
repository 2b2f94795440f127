//! Black-box tests: the real binary, spoken to over the wire. A module a capability; `support` is the harness.

mod support;

mod accounts;
mod admin;
mod admin_cli;
mod admin_people;
mod api_keys;
mod bad_input;
#[path = "../peers/network.rs"]
mod cable;
mod come_and_go;
mod commands;
mod connect;
mod content;
mod delta;
mod drain;
mod durable_history;
mod expiry;
mod feed_check;
mod feeds;
mod feeds_pace;
mod filters;
#[cfg(feature = "test-hooks")]
mod healing;
mod history;
mod hooks;
mod http_api;
mod limits;
mod mail;
mod mercure;
mod metrics;
#[path = "../peers/nginx.rs"]
mod nginx;
mod operations;
mod presence;
mod prometheus;
mod proxies;
mod publish;
mod recovery;
mod revocation;
mod secrets;
mod server_side;
mod slow;
mod soak;
mod stores;
mod subscribe;
mod tls;
mod tokens;
mod transports;
mod unidirectional;
mod vanished;
mod wildcards;

mod cli;

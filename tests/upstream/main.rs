//! The upstream room against real sockets: a server of ours that misbehaves in every way we know, and two foreign ones (nginx with nchan, better-sse).
//!
//! The pool and its connections run in this process with a broker that only records, because what is asked here is what they hand on,
//! when they come back, and where they resume.

mod better_sse;
mod broker_trouble;
#[path = "../peers/network.rs"]
mod cable;
mod emergencies;
mod endurance;
mod faults;
mod foreign;
mod misbehaving;
mod network;
#[path = "../peers/nginx.rs"]
mod nginx;
mod operators;
mod oracle;
#[cfg(feature = "test-hooks")]
mod panics;
mod pool;
mod rotation;
mod source;
mod support;

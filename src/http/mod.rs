//! The edge: sockets in, requests answered or turned into sessions. Called by the app; knows every room, and no room knows it.
//!
//! Plain and TLS connections take the same way: admitted, wrapped so that every stage has its deadline ([`connection`]),
//! served by actix-http. A good WebSocket handshake takes the socket out of the HTTP dispatcher and hands it to a session.

pub mod api;
pub mod assets;
pub mod connection;
pub mod debug;
#[cfg(test)]
pub(crate) mod fixture;
pub mod forwarded;
pub mod health;
pub mod listen;
pub mod live;
pub mod login;
pub mod mercure;
pub mod metrics;
pub mod pages;
pub mod respond;
pub mod routes;
pub mod stream;
pub mod transports;

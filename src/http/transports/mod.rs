//! How sessions reach their clients. Each transport ends where a [`crate::session::Connection`] begins.

pub mod emulation;
pub mod entrance;
pub mod streams;
pub mod websocket;

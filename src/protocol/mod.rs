//! Bytes to typed values and back. No I/O, no clock, no actor: tested with plain values, and fuzzed.

pub mod calling;
pub mod centrifuge;
pub mod codes;
pub mod event_stream;
pub mod fossil;
pub mod mercure;
pub mod websocket;

//! Bytes to typed values and back. No I/O, no clock, no actor: tested with plain values, and fuzzed.

pub mod codes;
pub mod event_stream;

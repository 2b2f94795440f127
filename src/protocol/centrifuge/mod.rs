//! The Centrifuge client protocol, version 2: what clients ask ([`command`]), what the hub answers and tells ([`reply`]), in JSON and in
//! Protobuf.
//!
//! One set of types serves both codecs on the way in; on the way out JSON is written by hand, because payloads go through it unparsed.

pub mod command;
pub mod emulation;
mod json;
mod protobuf;
pub mod reply;
pub mod wire;

pub use command::{Command, DecodeError, Request};
pub use emulation::EmulationRequest;
pub use reply::{Body, ConnectResult, HistoryResult, Push, RefreshResult, Reply, ServerSubscription, SubscribeResult};
pub use wire::{Framing, Wire};

use crate::channel::{ClientInfo, Publication};
use bytes::{BufMut, Bytes, BytesMut};

/// How one connection's messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Objects separated by line feeds, in text frames.
    Json,
    /// Messages each preceded by its length as a varint, in binary frames.
    Protobuf,
}

impl Codec {
    pub const ALL: [Self; 2] = [Self::Json, Self::Protobuf];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Protobuf => "protobuf",
        }
    }

    /// The name under which a client offers it as a WebSocket subprotocol.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "centrifuge-json",
            Self::Protobuf => "centrifuge-protobuf",
        }
    }

    /// Appends `reply` to `out`, separated from what stands there already. Leaves `out` as it was when the reply cannot be said in JSON.
    pub fn write(self, reply: &Reply, out: &mut BytesMut) -> Result<(), NotJson> {
        let start = out.len();
        match self {
            Self::Json => {
                if start > 0 {
                    out.put_u8(b'\n');
                }
                json::write_reply(reply, out).inspect_err(|_| out.truncate(start))
            }
            Self::Protobuf => {
                protobuf::write_reply(reply, out);
                Ok(())
            }
        }
    }

    /// The list of publications as it stands inside a subscribe result: what all clients that missed the same share.
    pub fn encode_publications<'a>(self, publications: impl Iterator<Item = (&'a Publication, Body<'a>)>) -> Result<Bytes, NotJson> {
        match self {
            Self::Json => json::publications(publications),
            Self::Protobuf => Ok(protobuf::publications(publications)),
        }
    }

    /// The hub's ping: a reply that says nothing.
    pub const fn ping(self) -> &'static [u8] {
        match self {
            Self::Json => b"{}",
            Self::Protobuf => &[0],
        }
    }

    /// Bytes around the publications in a subscribe reply: what comes before and after the shared list.
    pub fn subscribe_reply_around(self, id: u32, result: &SubscribeResult, publications_len: usize) -> Result<(BytesMut, BytesMut), NotJson> {
        match self {
            Self::Json => json::subscribe_reply_around(id, result),
            Self::Protobuf => Ok(protobuf::subscribe_reply_around(id, result, publications_len)),
        }
    }
}

/// Something that a JSON connection cannot be sent, because it carries bytes that are not JSON (disconnect 3506).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes that are not JSON cannot be sent to a JSON connection")]
pub struct NotJson;

/// Whether the infos of a client are JSON, and so fit a JSON connection.
fn info_is_json(info: &ClientInfo) -> bool {
    [&info.conn_info, &info.chan_info].iter().all(|bytes| bytes.is_empty() || serde_json::from_slice::<&serde_json::value::RawValue>(bytes).is_ok())
}

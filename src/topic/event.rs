//! One event of a channel on its way to many subscribers: its wire frames are made once per codec, by whoever needs one first, and shared.

use crate::broker::ChannelEvent;
use crate::channel::{ChannelName, StreamPosition};
use crate::protocol::centrifuge::reply::{Push, Reply};
use crate::protocol::centrifuge::{Codec, NotJson};
use crate::protocol::websocket::{self, Opcode};
use bytes::{Bytes, BytesMut};
use std::sync::OnceLock;

#[derive(Debug)]
pub struct Encoded {
    pub channel: ChannelName,
    pub event: ChannelEvent,
    json: OnceLock<Result<Bytes, NotJson>>,
    protobuf: OnceLock<Result<Bytes, NotJson>>,
}

impl Encoded {
    pub fn new(channel: ChannelName, event: ChannelEvent) -> Self {
        Self { channel, event, json: OnceLock::new(), protobuf: OnceLock::new() }
    }

    /// The complete frame: WebSocket header and message.
    pub fn frame(&self, codec: Codec) -> Result<&Bytes, NotJson> {
        let cell = match codec {
            Codec::Json => &self.json,
            Codec::Protobuf => &self.protobuf,
        };
        cell.get_or_init(|| self.encode(codec)).as_ref().map_err(|&error| error)
    }

    fn encode(&self, codec: Codec) -> Result<Bytes, NotJson> {
        let message = match &self.event {
            ChannelEvent::Publication { publication, .. } => codec.encode_publication(&self.channel, publication)?,
            ChannelEvent::Join(info) => codec.encode(&Reply::Push(Push::Join { channel: &self.channel, info }))?,
            ChannelEvent::Leave(info) => codec.encode(&Reply::Push(Push::Leave { channel: &self.channel, info }))?,
        };
        Ok(websocket::frame(opcode(codec), &message))
    }

    /// Whether only subscribers that want to know who comes and goes are told.
    pub fn is_about_presence(&self) -> bool {
        matches!(self.event, ChannelEvent::Join(_) | ChannelEvent::Leave(_))
    }

    /// Where the stream stands after it, if it belongs to one.
    pub fn position(&self) -> Option<&StreamPosition> {
        match &self.event {
            ChannelEvent::Publication { position, .. } => position.as_ref(),
            ChannelEvent::Join(_) | ChannelEvent::Leave(_) => None,
        }
    }

    /// Bytes that it costs while it waits.
    pub fn weight(&self) -> usize {
        match &self.event {
            ChannelEvent::Publication { publication, .. } => publication.weight(),
            ChannelEvent::Join(info) | ChannelEvent::Leave(info) => 256 + info.conn_info.len() + info.chan_info.len(),
        }
    }
}

/// The kind of WebSocket frame that a codec's messages travel in.
pub const fn opcode(codec: Codec) -> Opcode {
    match codec {
        Codec::Json => Opcode::Text,
        Codec::Protobuf => Opcode::Binary,
    }
}

/// Several frames one after the other, for one write.
pub fn merge<'a>(frames: impl Iterator<Item = &'a Bytes> + Clone) -> Bytes {
    let mut merged = BytesMut::with_capacity(frames.clone().map(Bytes::len).sum());
    frames.for_each(|frame| merged.extend_from_slice(frame));
    merged.freeze()
}

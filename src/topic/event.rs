//! One event of a channel on its way to many subscribers: its wire frames are made once per wire, by whoever needs one first, and shared.

use crate::broker::ChannelEvent;
use crate::channel::{ChannelName, StreamPosition};
use crate::protocol::centrifuge::reply::{Push, Reply};
use crate::protocol::centrifuge::{NotJson, Wire};
use bytes::{Bytes, BytesMut};
use std::sync::OnceLock;

/// A frame that is made when it is first needed.
type Frame = OnceLock<Result<Bytes, NotJson>>;

/// Wires that most clients are on; the frames for the others have a place when one of them is needed.
const USUAL: usize = 2;

#[derive(Debug)]
pub struct Encoded {
    pub channel: ChannelName,
    pub event: ChannelEvent,
    usual: [Frame; USUAL],
    others: OnceLock<Box<[Frame; Wire::COUNT - USUAL]>>,
}

impl Encoded {
    pub fn new(channel: ChannelName, event: ChannelEvent) -> Self {
        Self { channel, event, usual: Default::default(), others: OnceLock::new() }
    }

    /// The complete frame, as it goes out.
    pub fn frame(&self, wire: Wire) -> Result<&Bytes, NotJson> {
        let cell = match wire as usize {
            usual if usual < USUAL => &self.usual[usual],
            other => &self.others.get_or_init(Box::default)[other - USUAL],
        };
        cell.get_or_init(|| self.encode(wire)).as_ref().map_err(|&error| error)
    }

    fn encode(&self, wire: Wire) -> Result<Bytes, NotJson> {
        let push = match &self.event {
            ChannelEvent::Publication { publication, .. } => Push::Publication { channel: &self.channel, publication },
            ChannelEvent::Join(info) => Push::Join { channel: &self.channel, info },
            ChannelEvent::Leave(info) => Push::Leave { channel: &self.channel, info },
        };
        let mut message = BytesMut::with_capacity(self.weight() + self.channel.len() + 96);
        wire.write(&Reply::Push(push), &mut message)?;
        Ok(wire.frame(&message))
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

/// Several frames one after the other, for one write.
pub fn merge<'a>(frames: impl Iterator<Item = &'a Bytes> + Clone) -> Bytes {
    let mut merged = BytesMut::with_capacity(frames.clone().map(Bytes::len).sum());
    frames.for_each(|frame| merged.extend_from_slice(frame));
    merged.freeze()
}

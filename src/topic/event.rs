//! One event of a channel on its way to many subscribers: its wire frames are made once per wire, by whoever needs one first, and shared. So
//! are the patches for subscribers that take deltas, once for each publication that some of them were given before.

use crate::broker::{ChannelEvent, Exclusion};
use crate::channel::{ChannelName, Payload, StreamPosition, TagsFilter};
use crate::protocol::centrifuge::reply::{Body, Push, Reply};
use crate::protocol::centrifuge::{Codec, NotJson, Wire};
use crate::protocol::fossil;
use crate::telemetry::latency::{Path, took};
use bytes::{Bytes, BytesMut};
use std::sync::OnceLock;
use std::time::Instant;

/// A frame that is made when it is first needed.
type Frame = OnceLock<Result<Bytes, NotJson>>;

/// Wires that most clients are on; the frames for the others have a place when one of them is needed.
const USUAL: usize = 2;

/// The same message on every wire.
#[derive(Debug, Default)]
struct Frames {
    usual: [Frame; USUAL],
    others: OnceLock<Box<[Frame; Wire::COUNT - USUAL]>>,
}

impl Frames {
    fn get(&self, wire: Wire, encode: impl FnOnce() -> Result<Bytes, NotJson>) -> Result<&Bytes, NotJson> {
        let cell = match wire as usize {
            usual if usual < USUAL => &self.usual[usual],
            other => &self.others.get_or_init(Box::default)[other - USUAL],
        };
        cell.get_or_init(encode).as_ref().map_err(|&error| error)
    }
}

#[derive(Debug)]
pub struct Encoded {
    pub channel: ChannelName,
    pub event: ChannelEvent,
    /// When the broker handed it on.
    at: Instant,
    /// The channel that it happened in, where the topic is that of a pattern.
    source: Option<ChannelName>,
    frames: Frames,
    /// What subscribers are sent that take deltas; made when there is one.
    deltas: OnceLock<Box<Deltas>>,
}

#[derive(Debug, Default)]
struct Deltas {
    whole: Frames,
    patches: OnceLock<Box<Patched>>,
}

/// The publication as a patch of another one. All workers have given their subscribers the same one before, or nearly: so this is a list of one,
/// and of one for each worker at most.
#[derive(Debug)]
struct Patched {
    base: Payload,
    /// `None`: it would not be shorter than the publication.
    patch: Option<Bytes>,
    frames: Frames,
    next: OnceLock<Box<Patched>>,
}

impl Encoded {
    pub fn new(channel: ChannelName, event: ChannelEvent) -> Self {
        Self { channel, event, at: Instant::now(), source: None, frames: Frames::default(), deltas: OnceLock::new() }
    }

    /// What happened in the channel `source`, for those who are subscribed to `pattern`.
    pub fn under(pattern: ChannelName, source: ChannelName, event: ChannelEvent) -> Self {
        Self { source: Some(source), ..Self::new(pattern, event) }
    }

    /// It is with all subscribers of a worker.
    pub fn is_written(&self) {
        if let ChannelEvent::Publication { arrived, .. } = &self.event {
            took(Path::Delivery, self.at.elapsed());
            if let Some(arrived) = arrived {
                took(Path::FeedDelivery, arrived.elapsed());
            }
        }
    }

    /// The complete frame, as it goes out.
    pub fn frame(&self, wire: Wire) -> Result<&Bytes, NotJson> {
        self.frames.get(wire, || self.encode(wire, self.source.as_ref().map_or(Body::Plain, Body::Under)))
    }

    /// The complete frame for subscribers that take deltas and were given `base` before.
    pub fn frame_after(&self, base: Option<&Payload>, wire: Wire) -> Result<&Bytes, NotJson> {
        let Some(data) = self.payload() else { return self.frame(wire) };
        let deltas = self.deltas.get_or_init(Box::default);
        if let Some(base) = base {
            let patched = deltas.patched(base, data);
            if let Some(patch) = &patched.patch {
                return patched.frames.get(wire, || self.encode(wire, Body::Patch(patch)));
            }
        }
        match wire.codec() {
            Codec::Json => deltas.whole.get(wire, || self.encode(wire, Body::Whole)),
            // There it is nothing else than it is to everybody.
            Codec::Protobuf => self.frame(wire),
        }
    }

    fn encode(&self, wire: Wire, body: Body) -> Result<Bytes, NotJson> {
        let push = match &self.event {
            ChannelEvent::Publication { publication, .. } => Push::Publication { channel: &self.channel, publication, body },
            ChannelEvent::Join(info) => Push::Join { channel: &self.channel, info },
            ChannelEvent::Leave(info) => Push::Leave { channel: &self.channel, info },
        };
        let len = match body {
            Body::Plain | Body::Under(_) => self.weight(),
            // A text in JSON has a backslash before each of its quotes.
            Body::Whole => self.weight() + self.weight() / 4,
            Body::Patch(patch) => patch.len() + 32,
        };
        let mut message = BytesMut::with_capacity(len + self.channel.len() + 96);
        wire.write(&Reply::Push(push), &mut message)?;
        Ok(wire.frame(&message))
    }

    /// Whether only subscribers that want to know who comes and goes are told.
    pub fn is_about_presence(&self) -> bool {
        matches!(self.event, ChannelEvent::Join(_) | ChannelEvent::Leave(_))
    }

    /// What was published, if it is a publication.
    pub fn payload(&self) -> Option<&Payload> {
        match &self.event {
            ChannelEvent::Publication { publication, .. } => Some(&publication.data),
            ChannelEvent::Join(_) | ChannelEvent::Leave(_) => None,
        }
    }

    /// Who is not given it.
    pub fn exclusion(&self) -> Option<&Exclusion> {
        match &self.event {
            ChannelEvent::Publication { exclude, .. } => exclude.as_deref(),
            ChannelEvent::Join(_) | ChannelEvent::Leave(_) => None,
        }
    }

    /// Whether a subscriber with this filter is told. Filters are about publications only.
    pub fn passes(&self, filter: &TagsFilter) -> bool {
        match &self.event {
            ChannelEvent::Publication { publication, .. } => filter.passes(publication.tags.as_deref()),
            ChannelEvent::Join(_) | ChannelEvent::Leave(_) => true,
        }
    }

    /// Where the stream stands after it, if it belongs to one. A pattern has none.
    pub fn position(&self) -> Option<&StreamPosition> {
        match &self.event {
            ChannelEvent::Publication { position, .. } => position.as_ref().filter(|_| self.source.is_none()),
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

impl Deltas {
    /// `data` as a patch of `base`, made by whoever needs it first.
    fn patched(&self, base: &Payload, data: &Payload) -> &Patched {
        let mut place = &self.patches;
        loop {
            let patched = place.get_or_init(|| Box::new(Patched::new(base, data)));
            if patched.base.is_same(base) {
                return patched;
            }
            place = &patched.next;
        }
    }
}

impl Patched {
    fn new(base: &Payload, data: &Payload) -> Self {
        Self { base: base.clone(), patch: fossil::patch(base, data), frames: Frames::default(), next: OnceLock::new() }
    }
}

/// Several frames one after the other, for one write.
pub fn merge<'a>(frames: impl Iterator<Item = &'a Bytes> + Clone) -> Bytes {
    let mut merged = BytesMut::with_capacity(frames.clone().map(Bytes::len).sum());
    frames.for_each(|frame| merged.extend_from_slice(frame));
    merged.freeze()
}

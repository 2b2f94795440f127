//! What the hub answers and tells.

use crate::channel::{ChannelName, ClientInfo, Publication, StreamPosition, Tags};
use crate::protocol::codes::{ErrorCode, Unsubscribed};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;

/// One message to a client.
#[derive(Debug)]
pub enum Reply<'a> {
    /// `message` is the code's own, or says more than that.
    Error {
        id: u32,
        error: ErrorCode,
        message: &'a str,
    },
    Connect {
        id: u32,
        result: &'a ConnectResult,
    },
    Subscribe {
        id: u32,
        result: &'a SubscribeResult,
    },
    Unsubscribe {
        id: u32,
    },
    Publish {
        id: u32,
    },
    Presence {
        id: u32,
        clients: &'a [Arc<ClientInfo>],
    },
    PresenceStats {
        id: u32,
        clients: u32,
        users: u32,
    },
    History {
        id: u32,
        result: &'a HistoryResult,
    },
    Rpc {
        id: u32,
        data: &'a Bytes,
    },
    Refresh {
        id: u32,
        result: RefreshResult,
    },
    SubRefresh {
        id: u32,
        result: RefreshResult,
    },
    Push(Push<'a>),
}

/// What the hub tells unasked.
#[derive(Debug)]
pub enum Push<'a> {
    Publication {
        channel: &'a ChannelName,
        publication: &'a Publication,
        body: Body<'a>,
    },
    Join {
        channel: &'a ChannelName,
        info: &'a ClientInfo,
    },
    Leave {
        channel: &'a ChannelName,
        info: &'a ClientInfo,
    },
    Unsubscribe {
        channel: &'a ChannelName,
        why: Unsubscribed,
    },
    /// A server-side subscription was added.
    Subscribe {
        channel: &'a ChannelName,
        result: &'a SubscribeResult,
    },
    /// The connection's expiry has changed.
    Refresh(RefreshResult),
    /// Something for the client itself, from no channel.
    Message(&'a Bytes),
    /// The connection ends: where no close frame can say it.
    Disconnect {
        code: u16,
        reason: &'a str,
    },
}

/// How a publication's payload is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// As it was published.
    Plain,
    /// To a subscriber that takes deltas, whole. In JSON that is a text: the payload's own.
    Whole,
    /// To a subscriber that takes deltas, as a patch of the publication that it was given before. In JSON that is a text too.
    Patch(&'a Bytes),
    /// As it is, to subscribers of a pattern: under the name of the pattern, with the channel that it was published into.
    Under(&'a ChannelName),
}

/// The tag that tells subscribers of a pattern the channel, for SDKs that do not hand on the member `channel` of a publication. A publisher's own
/// tag of this name gives way to it, so that nobody can pretend to be another channel.
pub const CHANNEL_TAG: &str = "$channel";

impl<'a> Body<'a> {
    /// Offsets of different channels say nothing beside one another, and an SDK would take them for a position.
    pub const fn tells_offset(self) -> bool {
        !matches!(self, Self::Under(_))
    }

    /// The tags that go along, if there are any.
    pub fn tags(self, publication: &'a Publication) -> Option<Cow<'a, Tags>> {
        let tags = publication.tags.as_deref().filter(|tags| !tags.is_empty());
        match self {
            Self::Under(channel) => {
                let mut tags = tags.cloned().unwrap_or_default();
                tags.insert(CHANNEL_TAG.to_string(), channel.to_string());
                Some(Cow::Owned(tags))
            }
            Self::Plain | Self::Whole | Self::Patch(_) => tags.map(Cow::Borrowed),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct ConnectResult {
    pub client: String,
    pub version: String,
    /// Seconds until the client must refresh its token; `None`: it never has to.
    pub ttl: Option<u32>,
    pub data: Bytes,
    pub subs: Vec<ServerSubscription>,
    /// Seconds between pings; 0: none.
    pub ping: u32,
    /// Whether pings are to be answered.
    pub pong: bool,
    /// By what the client can be addressed without anybody else knowing it; empty: not told.
    pub session: String,
    /// The node that has the connection; empty: not told.
    pub node: String,
    /// Unix time in ms; 0: not told.
    pub time: i64,
}

#[derive(Clone, Debug)]
pub struct ServerSubscription {
    pub channel: ChannelName,
    pub result: SubscribeResult,
}

#[derive(Clone, Debug, Default)]
pub struct SubscribeResult {
    /// Seconds until the client must refresh this subscription; `None`: it never has to.
    pub ttl: Option<u32>,
    pub recoverable: bool,
    pub positioned: bool,
    /// Offset and epoch, told where the subscription is positioned.
    pub position: Option<StreamPosition>,
    pub publications: Vec<Arc<Publication>>,
    pub was_recovering: bool,
    pub recovered: bool,
    pub data: Bytes,
    /// Publications may come as deltas.
    pub delta: bool,
}

#[derive(Clone, Debug, Default)]
pub struct HistoryResult {
    pub publications: Vec<Arc<Publication>>,
    pub position: StreamPosition,
}

/// Seconds until the next refresh; `None`: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefreshResult {
    pub ttl: Option<u32>,
}

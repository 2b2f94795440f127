//! What the hub answers and tells.

use crate::channel::{ChannelName, ClientInfo, Publication, StreamPosition};
use crate::protocol::codes::{ErrorCode, Unsubscribed};
use bytes::Bytes;
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

//! Where every publication enters and comes back from: streams with offset and epoch, presence, idempotency.
//!
//! One path for all: client, server API and upstream feed publish by [`Publisher`]; the broker appends, then hands the event to the
//! node's topics by [`Deliver`]. A short cut past the broker would be a second path tested by little.

#[cfg(test)]
mod contract;
mod durable;
mod idempotency;
mod memory;
mod stream;

pub use crate::channel::PresenceStats;
pub use durable::{DurableBroker, HistoryError, Loaded, Past, PastPublication, PastStream, order_of};
pub use memory::{IDEMPOTENCY_TTL, MemoryBroker, MemoryBrokerSettings, MemoryBrokerStats};

use crate::channel::{
    ChannelError, ChannelName, ChannelOptions, ChannelRules, ClientInfo, Payload, Publication, SessionId, StreamPosition, Tags, Update, UserId,
};
use crate::content::{ContentError, ContentRules};
use crate::protocol::codes::{ClientError, ErrorCode, Refusal};
use crate::units::HumanDuration;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// An answer that a broker in this process has at once and one on the network has later. Awaiting a ready one costs nothing.
pub enum Answer<T> {
    Ready(T),
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T: 'static> Answer<T> {
    /// Lets the broker do it without waiting for its answer. What fails is told by the broker's own events.
    pub fn detach(self) {
        if let Self::Later(future) = self {
            actix_rt::spawn(async move {
                future.await;
            });
        }
    }
}

impl<T: Unpin + 'static> Future for Answer<T> {
    type Output = T;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut *self {
            Self::Later(future) => future.as_mut().poll(cx),
            Self::Ready(_) => match std::mem::replace(&mut *self, Self::Later(Box::pin(std::future::pending()))) {
                Self::Ready(value) => Poll::Ready(value),
                Self::Later(_) => unreachable!("matched as ready above"),
            },
        }
    }
}

/// Whose connections are not given a publication, though they are subscribed. It is no secret from them: history has it, and so has what they
/// recover.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exclusion {
    pub clients: Vec<SessionId>,
    pub users: Vec<UserId>,
}

impl Exclusion {
    /// Everybody but one connection.
    pub fn of_client(client: SessionId) -> Arc<Self> {
        Arc::new(Self { clients: vec![client], users: Vec::new() })
    }

    pub fn covers(&self, client: SessionId, user: &UserId) -> bool {
        self.clients.contains(&client) || (!self.users.is_empty() && self.users.contains(user))
    }
}

/// What to publish, and how.
#[derive(Clone, Debug, Default)]
pub struct Publish {
    pub data: Payload,
    pub info: Option<Arc<ClientInfo>>,
    pub tags: Option<Arc<Tags>>,
    /// Neither stored nor given an offset.
    pub skip_history: bool,
    /// A second publish with the same key and channel within five minutes is not published; it gets the first one's result.
    pub idempotency_key: Option<String>,
    /// A publication whose version is not above the stream's is skipped; it gets the stream's top. 0: none. Versions belong to the
    /// stream: a publication that is not stored has none.
    pub version: u64,
    /// Versions of different epochs are not compared: a new epoch begins anew. Empty: compared with whatever came last.
    pub version_epoch: String,
    /// Of an update of the Mercure protocol.
    pub update: Option<Arc<Update>>,
    /// Who is not given it.
    pub exclude: Option<Arc<Exclusion>>,
    /// When it came to the hub, where that was before it was published; told to those who measure, and otherwise without meaning.
    pub arrived: Option<Instant>,
}

/// Where a publication ended up: `None` without history.
pub type Published = Option<StreamPosition>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Most publications to return; `None`: all, `Some(0)`: only the position.
    pub limit: Option<usize>,
    /// Exclusive. The epoch, where given, must be the stream's.
    pub since: Option<StreamPosition>,
    pub reverse: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct History {
    pub publications: Vec<Arc<Publication>>,
    /// The stream's top.
    pub position: StreamPosition,
}

/// What comes back from the broker for a channel.
#[derive(Clone, Debug)]
pub enum ChannelEvent {
    /// `position`: where the stream stands after it; `None` without history.
    Publication {
        publication: Arc<Publication>,
        position: Option<StreamPosition>,
        exclude: Option<Arc<Exclusion>>,
        arrived: Option<Instant>,
    },
    Join(Arc<ClientInfo>),
    Leave(Arc<ClientInfo>),
}

/// The port through which the broker reaches this node's topics. Called in the order of the stream, never concurrently for one channel.
///
/// The broker may hold a lock meanwhile, which is what keeps the order: an implementation hands the event on without waiting, and must not
/// call the broker.
pub trait Deliver: Send + Sync {
    fn deliver(&self, channel: &ChannelName, event: ChannelEvent);
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    #[error("position {since:?} of {channel} belongs to another epoch than {current:?}")]
    UnrecoverablePosition { channel: ChannelName, since: StreamPosition, current: StreamPosition },
    #[error("broker is not reachable: {reason}")]
    Unreachable { reason: &'static str },
}

impl ClientError for BrokerError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnrecoverablePosition { .. } => ErrorCode::UNRECOVERABLE_POSITION,
            Self::Unreachable { .. } => ErrorCode::INTERNAL,
        }
    }
}

/// The contract that every broker keeps (`contract.rs` tests it).
///
/// Publications of one channel are delivered in the order of their offsets, each once, and an offset is never given twice within an
/// epoch. History, once cut at its far end, never shows a hole.
pub trait Broker: Send + Sync {
    /// Appends (where `options` keep history) and delivers. When it answers, the publication is stored and on its way.
    fn publish(&self, channel: &ChannelName, options: &ChannelOptions, publish: Publish) -> Answer<Result<Published, BrokerError>>;
    fn join(&self, channel: &ChannelName, info: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>>;
    fn leave(&self, channel: &ChannelName, info: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>>;
    /// Reads the stream; makes an empty one, with an epoch, where there is none.
    fn history(&self, channel: &ChannelName, options: &ChannelOptions, filter: HistoryFilter) -> Answer<Result<History, BrokerError>>;
    /// Drops the entries; offset and epoch stay.
    fn remove_history(&self, channel: &ChannelName) -> Answer<Result<(), BrokerError>>;
    fn add_presence(&self, channel: &ChannelName, info: Arc<ClientInfo>) -> Answer<Result<(), BrokerError>>;
    fn remove_presence(&self, channel: &ChannelName, session: SessionId) -> Answer<Result<(), BrokerError>>;
    fn presence(&self, channel: &ChannelName) -> Answer<Result<Vec<Arc<ClientInfo>>, BrokerError>>;
    fn presence_stats(&self, channel: &ChannelName) -> Answer<Result<PresenceStats, BrokerError>>;
}

/// Publishes by channel name: finds the namespace, looks at the payload, then asks the broker. What everybody but the broker itself holds,
/// and the one place where payloads are judged: whoever publishes past it publishes unchecked.
#[derive(Clone)]
pub struct Publisher {
    pub rules: Arc<ChannelRules>,
    pub content: Arc<ContentRules>,
    pub broker: Arc<dyn Broker>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

impl ClientError for PublishError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Channel(error) => error.code(),
            Self::Content(error) => error.code(),
            Self::Broker(error) => error.code(),
        }
    }

    fn refusal(&self) -> Refusal {
        match self {
            Self::Channel(error) => error.refusal(),
            Self::Content(error) => error.refusal(),
            Self::Broker(error) => error.refusal(),
        }
    }
}

impl Publisher {
    /// Publishes without asking for permissions: for the server API, upstream feeds and everything else that is trusted.
    pub fn publish(&self, channel: &ChannelName, publish: Publish) -> Answer<Result<Published, PublishError>> {
        match self.rules.options(channel) {
            Err(error) => Answer::Ready(Err(error.into())),
            Ok(options) => self.publish_in(channel, options, publish),
        }
    }

    /// Publishes where the options of the channel have been looked up already.
    pub fn publish_in(&self, channel: &ChannelName, options: &ChannelOptions, publish: Publish) -> Answer<Result<Published, PublishError>> {
        match self.admit(channel, options, publish.data) {
            Ok(data) => self.publish_admitted(channel, options, Publish { data, ..publish }),
            Err(error) => Answer::Ready(Err(error.into())),
        }
    }

    /// The payload as it may be published into the channel, for whoever publishes it more than once.
    pub fn admit(&self, channel: &ChannelName, options: &ChannelOptions, data: Payload) -> Result<Payload, ContentError> {
        self.content.admit(&self.rules, channel, options, data)
    }

    /// Publishes a payload that [`Self::admit`] gave for this namespace.
    pub fn publish_admitted(&self, channel: &ChannelName, options: &ChannelOptions, publish: Publish) -> Answer<Result<Published, PublishError>> {
        if options.is_pattern {
            return Answer::Ready(Err(ChannelError::Pattern { channel: channel.clone() }.into()));
        }
        match self.broker.publish(channel, options, publish) {
            Answer::Ready(result) => Answer::Ready(result.map_err(PublishError::from)),
            Answer::Later(future) => Answer::Later(Box::pin(async move { future.await.map_err(PublishError::from) })),
        }
    }
}

/// The meta TTL that applies to a channel: its own, or the general one.
pub fn history_meta_ttl(options: &ChannelOptions, general: HumanDuration) -> HumanDuration {
    if options.history_meta_ttl.is_positive() { options.history_meta_ttl } else { general }
}

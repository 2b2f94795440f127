//! Values that every room speaks of: channel names, publications, stream positions, who is present.
//!
//! No actor, no socket, no clock. Cloning any of these costs a reference count at most, because one publication is handed to many.

mod filter;
mod payload;
mod presence;
mod rules;

pub use filter::{FilterError, FilterNode, TagsFilter};
pub use payload::Payload;
pub use presence::{PresenceSet, PresenceStats};
pub use rules::{
    ChannelError, ChannelOptions, ChannelRules, DELTA_BYTES_LIMIT, DeltaType, HistoryDurability, NameSyntax, Namespace, POINTERS_MAX,
    PublicationDataFormat, READ_BYTES_LIMIT, READ_DEPTH_LIMIT, RecoveryMode, SchemaSource, is_own,
};

use bytes::Bytes;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The name that clients know a channel by, for instance `ticks:host`. Checked by [`ChannelRules`], not by construction.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl From<&str> for ChannelName {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}
impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl Deref for ChannelName {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A user, as the token's `sub` names it. Empty: anonymous.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct UserId(Option<Arc<str>>);

impl UserId {
    pub fn new(user: &str) -> Self {
        Self((!user.is_empty()).then(|| Arc::from(user)))
    }
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }
    pub fn is_anonymous(&self) -> bool {
        self.0.is_none()
    }
}
impl From<&str> for UserId {
    fn from(user: &str) -> Self {
        Self::new(user)
    }
}
impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// One client connection: a random UUID (version 4), shown to clients as `client`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(uuid::Uuid);

impl SessionId {
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4())
    }
    pub fn parse(text: &str) -> Option<Self> {
        uuid::Uuid::try_parse(text).ok().map(Self)
    }
}
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.as_hyphenated(), f)
    }
}
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names one life of a stream. Offsets of different epochs cannot be compared. Empty where a client does not know it.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Epoch(Option<Arc<str>>);

impl Epoch {
    pub fn new(text: &str) -> Self {
        Self((!text.is_empty()).then(|| Arc::from(text)))
    }
    /// Four letters and digits: enough to tell lives of one stream apart, short enough to repeat in every reply.
    pub fn random() -> Self {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let text: String = (0..4).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect();
        Self::new(&text)
    }
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}
impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Where a reader stands in a stream: everything up to `offset` is known to it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StreamPosition {
    pub offset: u64,
    pub epoch: Epoch,
}

/// Key-value pairs that travel with a publication.
pub type Tags = BTreeMap<String, String>;

/// What others may know about a client: in presence, joins, leaves, and as the author of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    pub user: UserId,
    pub client: SessionId,
    /// JSON (or bytes) from the connection token. Empty: none.
    pub conn_info: Bytes,
    /// JSON (or bytes) from the subscription token. Empty: none.
    pub chan_info: Bytes,
}

/// One message of a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// Position in the channel's stream, from 1. 0 where the channel keeps no history.
    pub offset: u64,
    pub data: Payload,
    /// The client that published it; none for publications of the server API and of upstream feeds.
    pub info: Option<Arc<ClientInfo>>,
    pub tags: Option<Arc<Tags>>,
    /// Set where it came as an update of the Mercure protocol. Not stored: after a restart it is a publication like any other.
    pub update: Option<Arc<Update>>,
}

/// What the publisher of a Mercure update said of it besides the data. An update with several topics is published into the channel of each; all of
/// these publications share this.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub id: Box<str>,
    /// The canonical one first.
    pub topics: Vec<Box<str>>,
    /// The channel of the canonical topic: what is published there stands for the whole update.
    pub channel: ChannelName,
    pub is_private: bool,
    pub event_type: Option<Box<str>>,
    /// 0: none.
    pub retry_ms: u64,
    /// The data was a text and no JSON: the payload is that text as a JSON string.
    pub is_text: bool,
}

impl Publication {
    /// Bytes that keeping this publication costs, near enough to cap memory with.
    pub fn weight(&self) -> usize {
        const FIXED: usize = 96;
        let tags = self.tags.as_ref().map_or(0, |tags| tags.iter().map(|(key, value)| key.len() + value.len() + 48).sum());
        let info = self.info.as_ref().map_or(0, |info| info.conn_info.len() + info.chan_info.len() + 96);
        let update =
            self.update.as_ref().map_or(0, |update| 128 + update.id.len() + update.topics.iter().map(|topic| topic.len() + 16).sum::<usize>());
        FIXED + self.data.len() + tags + info + update
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_four_letters_or_digits() {
        let epoch = Epoch::random();
        assert_eq!(epoch.as_str().len(), 4);
        assert!(epoch.as_str().chars().all(|c| c.is_ascii_alphanumeric()));
    }

    #[test]
    fn the_empty_user_is_anonymous() {
        assert!(UserId::new("").is_anonymous());
        assert_eq!(UserId::new("").as_str(), "");
        assert!(!UserId::new("42").is_anonymous());
    }
}

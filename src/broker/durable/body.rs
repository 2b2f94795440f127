//! How a publication is written into the store: Protobuf, so that later versions may add to it.

use super::super::memory::Prepared;
use super::super::stream::Version;
use crate::channel::{ChannelName, ClientInfo, Payload, Publication, SessionId, Update, UserId};
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, PartialEq, Message)]
struct Body {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
    #[prost(bool, tag = "2")]
    is_json: bool,
    #[prost(message, optional, tag = "3")]
    info: Option<Info>,
    #[prost(btree_map = "string, string", tag = "4")]
    tags: BTreeMap<String, String>,
    /// The stream's version after this publication.
    #[prost(uint64, tag = "5")]
    version: u64,
    /// Big endian; empty: 0.
    #[prost(bytes = "vec", tag = "6")]
    version_epoch: Vec<u8>,
    /// Digest of the idempotency key, big endian; empty: none.
    #[prost(bytes = "vec", tag = "7")]
    key: Vec<u8>,
    #[prost(message, optional, tag = "8")]
    update: Option<MercureUpdate>,
    /// See [`super::past::Order`]. 0: written before there was one.
    #[prost(uint64, tag = "9")]
    order: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Info {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(string, tag = "2")]
    client: String,
    #[prost(bytes = "bytes", tag = "3")]
    conn_info: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    chan_info: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct MercureUpdate {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, repeated, tag = "2")]
    topics: Vec<String>,
    #[prost(string, tag = "3")]
    channel: String,
    #[prost(bool, tag = "4")]
    is_private: bool,
    #[prost(string, optional, tag = "5")]
    event_type: Option<String>,
    #[prost(uint64, tag = "6")]
    retry_ms: u64,
    #[prost(bool, tag = "7")]
    is_text: bool,
}

impl From<&Update> for MercureUpdate {
    fn from(update: &Update) -> Self {
        let Update { id, topics, channel, is_private, event_type, retry_ms, is_text } = update;
        Self {
            id: id.to_string(),
            topics: topics.iter().map(|topic| topic.to_string()).collect(),
            channel: channel.as_str().to_string(),
            is_private: *is_private,
            event_type: event_type.as_deref().map(str::to_string),
            retry_ms: *retry_ms,
            is_text: *is_text,
        }
    }
}

impl From<MercureUpdate> for Update {
    fn from(update: MercureUpdate) -> Self {
        let MercureUpdate { id, topics, channel, is_private, event_type, retry_ms, is_text } = update;
        Self {
            id: id.into(),
            topics: topics.into_iter().map(String::into_boxed_str).collect(),
            channel: ChannelName::new(&channel),
            is_private,
            event_type: event_type.map(String::into_boxed_str),
            retry_ms,
            is_text,
        }
    }
}

/// A publication and its place in the order of all.
pub struct Read {
    pub prepared: Prepared,
    pub order: u64,
}

pub fn encode(publication: &Publication, version: Version, key: Option<u128>, order: u64) -> Bytes {
    let info = publication.info.as_ref().map(|info| Info {
        user: info.user.as_str().to_string(),
        client: info.client.to_string(),
        conn_info: info.conn_info.clone(),
        chan_info: info.chan_info.clone(),
    });
    let number = |number: u128| if number == 0 { Vec::new() } else { number.to_be_bytes().to_vec() };
    let body = Body {
        data: publication.data.bytes().clone(),
        is_json: publication.data.is_json(),
        info,
        tags: publication.tags.as_ref().map(|tags| tags.as_ref().clone()).unwrap_or_default(),
        version: version.number,
        version_epoch: number(version.epoch),
        key: key.map(|key| key.to_be_bytes().to_vec()).unwrap_or_default(),
        update: publication.update.as_deref().map(MercureUpdate::from),
        order,
    };
    body.encode_to_vec().into()
}

/// `None`: these are not the bytes of a publication.
pub fn decode(body: Bytes, offset: u64) -> Option<Read> {
    let body = Body::decode(body).ok()?;
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u128::from_be_bytes);
    let info = match body.info {
        None => None,
        Some(info) => Some(Arc::new(ClientInfo {
            user: UserId::new(&info.user),
            client: SessionId::parse(&info.client)?,
            conn_info: info.conn_info,
            chan_info: info.chan_info,
        })),
    };
    // That it is JSON was settled when it was published; whoever changed the store since would have clients read what is none.
    let data = Payload::from_bytes(body.data);
    if body.is_json != data.is_json() {
        return None;
    }
    let tags = (!body.tags.is_empty()).then(|| Arc::new(body.tags));
    let update = body.update.map(|update| Arc::new(update.into()));
    let prepared = Prepared {
        publication: Publication { offset, data, info, tags, update },
        version: Version { number: body.version, epoch: number(&body.version_epoch).unwrap_or_default() },
        key: number(&body.key),
        has_history: true,
        exclude: None,
        arrived: None,
    };
    Some(Read { prepared, order: body.order })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(data in proptest::collection::vec(any::<u8>(), 0..50), tags in proptest::collection::btree_map(".*", ".*", 0..3),
                                   version in any::<u64>(), epoch in any::<u128>(), key in proptest::option::of(any::<u128>()), user in proptest::option::of(".*"),
                                   update in proptest::option::of((".*", proptest::collection::vec(".*", 0..3), proptest::option::of(".*"), any::<u64>(), any::<bool>())),
                                   order in any::<u64>()) {
            let info = user.map(|user| Arc::new(ClientInfo {
                user: UserId::new(&user), client: SessionId::random(), conn_info: Bytes::from_static(b"{}"), chan_info: Bytes::new(),
            }));
            let tags = (!tags.is_empty()).then(|| Arc::new(tags));
            let update = update.map(|(id, topics, event_type, retry_ms, is_private)| Arc::new(Update {
                id: id.into(), topics: topics.into_iter().map(String::into_boxed_str).collect(), channel: ChannelName::new("c"), is_private,
                event_type: event_type.map(String::into_boxed_str), retry_ms, is_text: !is_private,
            }));
            let publication = Publication { offset: 7, data: Payload::from_bytes(data.into()), info, tags, update };
            let version = Version { number: version, epoch };
            let Read { prepared: read, order: read_order } = decode(encode(&publication, version, key, order), 7).unwrap();
            prop_assert_eq!((read.publication, read.version, read.key, read_order), (publication, version, key, order));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(bytes.into(), 1);
        }
    }
}

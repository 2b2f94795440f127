//! Where each feed stands, kept in the store, so that a hub that was restarted goes on there.
//!
//! One small value holds all positions and is written at most once in `save_interval`, and only when one has moved; a last time when the pool
//! stops. So a hub that is killed repeats what came in its last interval, and loses nothing. A position belongs to a feed's name and
//! URL: a feed that has moved elsewhere begins anew. Those of feeds on demand wait until somebody listens again, for as long as such a feed would
//! have run on without listeners.

use super::events::PositionsUnsaved;
use super::feed::Feed;
use super::roster::Entry;
use crate::store::{Store, StoreError};
use crate::telemetry::emit;
use aws_lc_rs::digest;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const KEY: &str = "upstream.positions";

/// Of the hash of an URL, kept to know it again: the URL itself may hold a credential.
const FINGERPRINT_BYTES: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    url: String,
    id: String,
}

/// Positions by the names of their feeds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stored(BTreeMap<String, Position>);

impl Stored {
    pub async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let Some(bytes) = store.value(KEY).await? else { return Ok(Self::default()) };
        serde_json::from_slice(&bytes).map_err(|_| StoreError::Corrupt { kind: store.kind(), what: "the feeds' positions" })
    }

    /// Gives `feed` its position, which is no longer stored here then. Whether there was one.
    pub fn give(&mut self, feed: &Arc<Feed>) -> bool {
        let known = self.0.remove(&*feed.settings.name).filter(|position| position.url == fingerprint(feed));
        let Some(position) = known.filter(|position| position.id.len() <= feed.settings.limits.stream.id_bytes_max) else { return false };
        feed.take_over().write(|ledger| ledger.last_event_id = Arc::from(position.id.as_str()));
        true
    }
}

/// What is to be written, if it has changed.
#[derive(Debug, Default)]
pub struct Positions {
    written: Bytes,
}

impl Positions {
    /// The table as bytes, unless it is what was written last.
    pub fn changed(&self, entries: &[Entry]) -> Option<Bytes> {
        let mut table = BTreeMap::new();
        for Entry { feed, .. } in entries {
            let id = feed.last_event_id();
            if !id.is_empty() {
                table.insert(feed.settings.name.to_string(), Position { url: fingerprint(feed), id: id.to_string() });
            }
        }
        if table.is_empty() && self.written.is_empty() {
            return None;
        }
        let bytes = Bytes::from(serde_json::to_vec(&table).expect("a map of texts is always JSON, and memory does not fail to be written to"));
        (bytes != self.written).then_some(bytes)
    }

    pub fn written(&mut self, bytes: Bytes) {
        self.written = bytes;
    }
}

/// Writes once. The store answers within its own deadline. Whether it did.
pub async fn write(store: Arc<dyn Store>, bytes: Bytes) -> bool {
    match store.put_value(KEY, bytes).await {
        Ok(()) => true,
        Err(error) => {
            emit(PositionsUnsaved { reason: error.to_string() });
            false
        }
    }
}

fn fingerprint(feed: &Feed) -> String {
    let hash = digest::digest(&digest::SHA256, feed.settings.url.as_str().as_bytes());
    hash.as_ref().iter().take(FINGERPRINT_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::publication::Format;
    use crate::upstream::roster::Origin;
    use crate::upstream::settings::{FeedLimits, FeedSettings};

    fn entry(name: &str, url: &str, id: &str) -> Entry {
        let settings = FeedSettings::new(name, url, "c", Format::Data, [], FeedLimits::default()).unwrap();
        let feed = Arc::new(Feed::new(settings, reqwest::Client::new()));
        stand(&feed, id);
        Entry { feed, template: name.into(), origin: Origin::Configured }
    }

    fn stand(feed: &Arc<Feed>, id: &str) {
        feed.take_over().write(|ledger| ledger.last_event_id = Arc::from(id));
    }

    #[test]
    fn what_has_not_moved_is_not_written_again_and_no_url_is() {
        let entries = [entry("a", "http://h/?key=topsecret", ""), entry("b", "http://h/", "")];
        let mut positions = Positions::default();
        assert_eq!(positions.changed(&entries), None, "nothing to say yet");
        stand(&entries[0].feed, "7\"ä");
        let bytes = positions.changed(&entries).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("topsecret"));
        positions.written(bytes);
        assert_eq!(positions.changed(&entries), None);
        stand(&entries[0].feed, "");
        assert!(positions.changed(&entries).is_some(), "a position that was given up is forgotten");
    }
}

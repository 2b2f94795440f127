//! Where each feed stands, kept in the store, so that a hub that was restarted goes on there.
//!
//! One small value holds all positions and is written at most once in `save_interval`, and only when one has moved; a last time when the pool
//! stops. So a hub that is killed repeats what came in its last interval, and loses nothing. A position belongs to a feed's name and
//! URL: a feed that has moved elsewhere begins anew.

use super::events::PositionsUnsaved;
use super::feed::Feed;
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

type Table = BTreeMap<String, Position>;

/// Gives the feeds the positions that are stored for them.
pub async fn restore(store: &dyn Store, feeds: &[Arc<Feed>]) -> Result<usize, StoreError> {
    let Some(bytes) = store.value(KEY).await? else { return Ok(0) };
    let table: Table = serde_json::from_slice(&bytes).map_err(|_| StoreError::Corrupt { kind: store.kind(), what: "the feeds' positions" })?;
    let mut restored = 0;
    for feed in feeds {
        let known = table.get(&*feed.settings.name).filter(|position| position.url == fingerprint(feed));
        if let Some(position) = known.filter(|position| position.id.len() <= feed.settings.limits.stream.id_bytes_max) {
            feed.take_over().write(|ledger| ledger.last_event_id = Arc::from(position.id.as_str()));
            restored += 1;
        }
    }
    Ok(restored)
}

/// What is to be written, if it has changed.
#[derive(Debug, Default)]
pub struct Positions {
    written: Bytes,
}

impl Positions {
    /// The table as bytes, unless it is what was written last.
    pub fn changed(&self, feeds: &[Arc<Feed>]) -> Option<Bytes> {
        let mut table = Table::new();
        for feed in feeds {
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
    use crate::upstream::settings::{FeedLimits, FeedSettings};

    fn feed(name: &str, url: &str, id: &str) -> Arc<Feed> {
        let settings = FeedSettings::new(name, url, "c", Format::Data, [], FeedLimits::default()).unwrap();
        let feed = Arc::new(Feed::new(settings, reqwest::Client::new()));
        feed.take_over().write(|ledger| ledger.last_event_id = Arc::from(id));
        feed
    }

    #[test]
    fn what_has_not_moved_is_not_written_again_and_no_url_is() {
        let feeds = [feed("a", "http://h/?key=topsecret", ""), feed("b", "http://h/", "")];
        let mut positions = Positions::default();
        assert_eq!(positions.changed(&feeds), None, "nothing to say yet");
        feeds[0].take_over().write(|ledger| ledger.last_event_id = Arc::from("7\"ä"));
        let bytes = positions.changed(&feeds).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("topsecret"));
        positions.written(bytes);
        assert_eq!(positions.changed(&feeds), None);
        feeds[0].take_over().write(|ledger| ledger.last_event_id = Arc::from(""));
        assert!(positions.changed(&feeds).is_some(), "a position that was given up is forgotten");
    }
}

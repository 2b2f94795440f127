//! Who is subscribed to what: for the subscription API, and told in events when it changes.

use super::MercureHub;
use crate::protocol::mercure::{Presence, SelectorText};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Subscriptions of one answer.
pub const LISTED_MAX: usize = 10_000;

/// A selector and whose it is.
type Key = (SelectorText, Arc<str>);

/// All subscriptions of this node.
#[derive(Debug, Default)]
pub struct Presences(Mutex<BTreeMap<Key, Arc<Presence>>>);

impl Presences {
    fn insert(&self, presence: &Arc<Presence>) {
        self.0.lock().insert(key(presence), Arc::clone(presence));
    }

    fn remove(&self, presence: &Presence) {
        self.0.lock().remove(&key(presence));
    }

    /// The first of those that `is_meant`.
    pub fn list(&self, is_meant: impl Fn(&Presence) -> bool) -> Vec<Arc<Presence>> {
        self.0.lock().values().filter(|presence| is_meant(presence)).take(LISTED_MAX).cloned().collect()
    }

    /// Those with exactly this selector.
    pub fn of(&self, selector: &SelectorText) -> Vec<Arc<Presence>> {
        let all = self.0.lock();
        let from = all.range((selector.clone(), Arc::from(""))..);
        from.take_while(|((other, _), _)| other == selector).take(LISTED_MAX).map(|(_, presence)| Arc::clone(presence)).collect()
    }

    pub fn find(&self, selector: &SelectorText, subscriber: &str) -> Option<Arc<Presence>> {
        self.0.lock().get(&(selector.clone(), Arc::from(subscriber))).cloned()
    }

    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn key(presence: &Presence) -> Key {
    (presence.selector.clone(), Arc::clone(&presence.subscriber))
}

/// A subscription that others know of; dropping it says that it is over.
pub struct Announced {
    hub: Arc<MercureHub>,
    presence: Arc<Presence>,
}

impl Announced {
    pub fn new(hub: &Arc<MercureHub>, presence: Presence) -> Self {
        let presence = Arc::new(presence);
        hub.presences.insert(&presence);
        hub.announce(&presence, true);
        Self { hub: Arc::clone(hub), presence }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.hub.presences.remove(&self.presence);
        self.hub.announce(&self.presence, false);
    }
}

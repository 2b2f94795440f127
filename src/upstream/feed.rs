//! One feed as the pool keeps it: its settings, its HTTP client, and the ledger of what happened to it.
//!
//! The ledger outlives the connection actor, and the pool too: after a panic of either, reading resumes where the last event was handed
//! on, and the figures go on counting.

use super::machine::{Reason, State};
use super::settings::FeedSettings;
use crate::clock::Millis;
use parking_lot::Mutex;
use reqwest::Client;
use std::borrow::Cow;
use std::sync::Arc;

#[derive(Debug)]
pub struct Feed {
    pub settings: FeedSettings,
    pub client: Client,
    ledger: Mutex<Ledger>,
}

/// What is known about a feed now.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Counts who writes here; see [`Tenure`].
    tenure: u64,
    pub state: State,
    pub since: Millis,
    /// Why the last connection or attempt ended, in one word and for people.
    pub reason: Option<Reason>,
    pub detail: Cow<'static, str>,
    /// Everything up to this id has been handed on. Empty: none known.
    pub last_event_id: Arc<str>,
    pub last_byte_at: Option<Millis>,
    pub next_try_at: Option<Millis>,
    /// Read from the feed.
    pub bytes: u64,
    /// Read from the feed, published or not.
    pub events: u64,
    /// Of these, events that led to no channel.
    pub dropped: u64,
    /// Ends of attempts and connections other than our own and clean ones.
    pub errors: u64,
    /// Attempts after the first.
    pub reconnects: u64,
    /// Connection actors that died of a panic.
    pub panics: u64,
    pub waits_for_broker: bool,
}

impl Feed {
    pub fn new(settings: FeedSettings, client: Client) -> Self {
        let ledger = Ledger {
            tenure: 0,
            state: State::Closed,
            since: 0,
            reason: None,
            detail: Cow::Borrowed(""),
            last_event_id: Arc::from(""),
            last_byte_at: None,
            next_try_at: None,
            bytes: 0,
            events: 0,
            dropped: 0,
            errors: 0,
            reconnects: 0,
            panics: 0,
            waits_for_broker: false,
        };
        Self { settings, client, ledger: Mutex::new(ledger) }
    }

    pub fn ledger(&self) -> Ledger {
        self.ledger.lock().clone()
    }

    /// Makes the caller the only one who may write the ledger, until the next one comes.
    pub fn take_over(self: &Arc<Self>) -> Tenure {
        let mut ledger = self.ledger.lock();
        ledger.tenure += 1;
        Tenure { feed: Arc::clone(self), number: ledger.tenure }
    }
}

/// The right to write a feed's ledger. It ends, unnoticed by its holder, when another takes over: a connection that outlived its pool by
/// a moment must not overwrite what its successor writes.
#[derive(Clone, Debug)]
pub struct Tenure {
    feed: Arc<Feed>,
    number: u64,
}

impl Tenure {
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    pub fn is_current(&self) -> bool {
        self.feed.ledger.lock().tenure == self.number
    }

    pub fn write(&self, change: impl FnOnce(&mut Ledger)) {
        let mut ledger = self.feed.ledger.lock();
        if ledger.tenure == self.number {
            change(&mut ledger);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::publication::Format;
    use crate::upstream::settings::FeedLimits;

    #[test]
    fn only_the_last_one_who_took_over_writes() {
        let settings = FeedSettings::new("a", "http://127.0.0.1:1/", "c", Format::Data, [], FeedLimits::default()).unwrap();
        let feed = Arc::new(Feed::new(settings, Client::new()));
        let first = feed.take_over();
        first.write(|ledger| ledger.events = 1);
        let second = feed.take_over();
        first.write(|ledger| ledger.events = 2);
        assert_eq!((feed.ledger().events, first.is_current(), second.is_current()), (1, false, true));
        second.write(|ledger| ledger.events = 3);
        assert_eq!(feed.ledger().events, 3);
    }
}

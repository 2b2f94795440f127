//! One feed as the pool keeps it: its settings, its HTTP client, and the ledger of what happened to it.
//!
//! The ledger outlives the connection actor, and the pool too: after a panic of either, reading resumes where the last event was handed
//! on, and the figures go on counting.

use super::figures::Figures;
use super::machine::{Reason, State};
use super::reports::{Gain, Sums};
use super::settings::FeedSettings;
use crate::clock::Millis;
use parking_lot::Mutex;
use reqwest::Client;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Moves of one feed that are remembered. Beyond it the oldest are forgotten.
pub const MOVES_KEPT: usize = 64;

/// Bytes of a reason in words that a move keeps.
const MOVE_DETAIL_MAX: usize = 256;

/// A feed went from one state into another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub at: Millis,
    pub from: State,
    pub to: State,
    pub reason: Option<Reason>,
    pub detail: Box<str>,
}

impl Move {
    pub fn new(at: Millis, from: State, to: State, reason: Option<Reason>, detail: &str) -> Self {
        Self { at, from, to, reason, detail: detail[..detail.floor_char_boundary(MOVE_DETAIL_MAX)].into() }
    }
}

#[derive(Debug)]
pub struct Feed {
    pub settings: FeedSettings,
    pub client: Client,
    /// Host and port: what the gate counts connections by.
    pub host: Arc<str>,
    ledger: Mutex<Ledger>,
    noted: Mutex<Noted>,
    /// The latest, the oldest first.
    moves: Mutex<VecDeque<Move>>,
    /// Until then every line about it is written.
    detailed_until: AtomicU64,
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
    /// Of the events that told their time: how late they were, added up, and how many they were.
    pub late_ms: u64,
    pub timed: u64,
    /// Ends of attempts and connections other than our own and clean ones.
    pub errors: u64,
    /// Attempts after the first, other than to rotate.
    pub reconnects: u64,
    /// All attempts, and those that led to no stream.
    pub attempts: u64,
    pub failed_attempts: u64,
    /// Connections replaced while they worked.
    pub rotations: u64,
    /// Events left out because they had been published.
    pub repeated: u64,
    /// Events left out because the configuration does not want them.
    pub unwanted: u64,
    /// Times that events were missed and subscribers told so.
    pub gaps: u64,
    /// Connection actors that died of a panic.
    pub panics: u64,
    pub waits_for_broker: bool,
    /// When the connection that is read was opened.
    pub opened_at: Option<Millis>,
    /// Failures in a row.
    pub failures: u32,
    pub figures: Figures,
    /// Ends of attempts and connections, by reason in the order of `Reason::ALL`.
    pub ends: [u64; Reason::ALL.len()],
}

impl Ledger {
    pub fn count_end(&mut self, reason: Reason) {
        if let Some(at) = Reason::ALL.iter().position(|known| *known == reason) {
            self.ends[at] += 1;
        }
    }
}

/// What of a feed is in a report already.
#[derive(Clone, Debug, Default)]
struct Noted {
    sums: Sums,
    ends: [u64; Reason::ALL.len()],
}

impl Feed {
    pub fn new(settings: FeedSettings, client: Client) -> Self {
        let ledger = Ledger {
            tenure: 0,
            state: State::Idle,
            since: 0,
            reason: None,
            detail: Cow::Borrowed(""),
            last_event_id: Arc::from(""),
            last_byte_at: None,
            next_try_at: None,
            bytes: 0,
            events: 0,
            dropped: 0,
            late_ms: 0,
            timed: 0,
            errors: 0,
            reconnects: 0,
            attempts: 0,
            failed_attempts: 0,
            rotations: 0,
            repeated: 0,
            unwanted: 0,
            gaps: 0,
            panics: 0,
            waits_for_broker: false,
            opened_at: None,
            failures: 0,
            figures: Figures::new(0),
            ends: [0; Reason::ALL.len()],
        };
        let host = settings.url.host_str().unwrap_or_default();
        let host = Arc::from(format!("{host}:{}", settings.url.port_or_known_default().unwrap_or_default()));
        Self {
            settings,
            client,
            host,
            ledger: Mutex::new(ledger),
            noted: Mutex::default(),
            moves: Mutex::default(),
            detailed_until: AtomicU64::new(0),
        }
    }

    pub fn ledger(&self) -> Ledger {
        self.ledger.lock().clone()
    }

    pub fn state(&self) -> State {
        self.ledger.lock().state
    }

    /// Everything up to this id has been handed on.
    pub fn last_event_id(&self) -> Arc<str> {
        Arc::clone(&self.ledger.lock().last_event_id)
    }

    /// What is read off the ledger without copying all of it.
    pub fn read<T>(&self, of: impl FnOnce(&Ledger) -> T) -> T {
        of(&self.ledger.lock())
    }

    /// What it has gained since the last call. `down_ms`: how long it has been without a connection.
    pub fn gain(&self, down_ms: u64) -> Gain {
        let (sums, ends) = self.read(|ledger| {
            let sums = Sums {
                events: ledger.events,
                bytes: ledger.bytes,
                errors: ledger.errors,
                attempts: ledger.attempts,
                failed_attempts: ledger.failed_attempts,
                rotations: ledger.rotations,
                gaps: ledger.gaps,
                repeated: ledger.repeated,
                dropped: ledger.dropped,
                late_ms: ledger.late_ms,
                timed: ledger.timed,
                down_ms: 0,
            };
            (sums, ledger.ends)
        });
        let before = std::mem::replace(&mut *self.noted.lock(), Noted { sums: sums.clone(), ends });
        let reasons = Reason::ALL.iter().zip(ends.iter().zip(before.ends)).map(|(reason, (now, before))| (*reason, now - before));
        Gain { sums: Sums { down_ms, ..sums.since(&before.sums) }, reasons: reasons.filter(|(_, count)| *count > 0).collect() }
    }

    /// The latest `limit` moves, the oldest first.
    pub fn moves(&self, limit: usize) -> Vec<Move> {
        let moves = self.moves.lock();
        moves.iter().skip(moves.len().saturating_sub(limit)).cloned().collect()
    }

    pub fn detail_until(&self, until: Millis) {
        self.detailed_until.store(until, Ordering::Relaxed);
    }

    pub fn is_detailed(&self, now: Millis) -> bool {
        now < self.detailed_until.load(Ordering::Relaxed)
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

    /// Remembers a move.
    pub fn moved(&self, one: Move) {
        if !self.is_current() {
            return;
        }
        let mut moves = self.feed.moves.lock();
        if moves.len() >= MOVES_KEPT {
            moves.pop_front();
        }
        moves.push_back(one);
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

    #[test]
    fn so_many_moves_are_remembered_and_their_words_are_short() {
        let settings = FeedSettings::new("a", "http://127.0.0.1:1/", "c", Format::Data, [], FeedLimits::default()).unwrap();
        let feed = Arc::new(Feed::new(settings, Client::new()));
        let tenure = feed.take_over();
        for at in 0..MOVES_KEPT as Millis + 3 {
            tenure.moved(Move::new(at, State::Open, State::Backoff, Some(Reason::Rst), &"ä".repeat(MOVE_DETAIL_MAX)));
        }
        let moves = feed.moves(usize::MAX);
        assert_eq!((moves.len(), moves[0].at), (MOVES_KEPT, 3));
        assert!(moves[0].detail.len() <= MOVE_DETAIL_MAX);
        assert_eq!(feed.moves(2).iter().map(|one| one.at).collect::<Vec<_>>(), [MOVES_KEPT as Millis + 1, MOVES_KEPT as Millis + 2]);
        let successor = feed.take_over();
        tenure.moved(Move::new(99_999, State::Backoff, State::Open, None, ""));
        assert_eq!(feed.moves(usize::MAX), moves, "whoever was replaced remembers nothing any more");
        assert!(successor.is_current());
    }
}

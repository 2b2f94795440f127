//! One channel's stream in memory: its epoch, its top offset and the newest publications. And the budget that all streams share.
//!
//! Knows no lock and no clock: `memory` holds the first and hands in the time.

use super::HistoryFilter;
use crate::channel::{Epoch, Publication, StreamPosition};
use crate::clock::Millis;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that a stream costs without entries and name: its place in a table that is three quarters full, the epoch, two headers of the
/// allocator. Near enough to cap memory with.
pub(super) const STREAM_BYTES: usize = 320;
/// Bytes that an entry costs beside the publication: its place in a ring that is three quarters full.
const ENTRY_BYTES: usize = 12;

/// Bytes that all streams of a broker may hold together.
#[derive(Debug)]
pub(super) struct ByteBudget {
    used: AtomicUsize,
    max: usize,
}

impl ByteBudget {
    pub fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }

    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub fn max(&self) -> usize {
        self.max
    }

    /// Gives `freed` bytes back and takes `needed` in one step; changes nothing and says false where the sum would grow beyond the cap.
    /// A sum that does not grow is always granted, even if it stands above the cap.
    fn exchange(&self, freed: usize, needed: usize) -> bool {
        let changed = |used: usize| {
            let sum = (used + needed).saturating_sub(freed);
            (needed <= freed || sum <= self.max).then_some(sum)
        };
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed).is_ok()
    }

    /// Takes bytes that another limit bounds.
    pub fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The version of a publication, as its publisher counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Version {
    /// 0: none.
    pub number: u64,
    /// Digest of the publisher's text, since that has no bound; 0 for the empty one.
    pub epoch: u128,
}

impl Version {
    /// Whether a publication of this version comes too late for a stream that has seen `last`.
    pub fn is_old_after(self, last: Version) -> bool {
        self.number > 0 && self.number <= last.number && (self.epoch == 0 || self.epoch == last.epoch)
    }
}

/// What a stream keeps, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keeping {
    /// Publications.
    pub size: u32,
    /// From the last publication until all of them are dropped.
    pub ttl_ms: Millis,
    /// From the last use until offset and epoch are forgotten, though not before the publications.
    pub meta_ttl_ms: Millis,
}

/// What appending did.
#[derive(Debug)]
pub(super) struct Appended {
    pub publication: Arc<Publication>,
    /// Publications that are not in history, though size and TTL would allow it, because there was no memory for them.
    pub given_up: usize,
}

#[derive(Debug)]
pub(super) struct Stream {
    epoch: Epoch,
    top: u64,
    /// Consecutive offsets; the last one is `top`. This is what makes a hole impossible: where an entry cannot be kept, none before it is.
    entries: VecDeque<Arc<Publication>>,
    /// What `entries` took from the budget.
    bytes: usize,
    version: Version,
    entries_until: Millis,
    stream_until: Millis,
    used_at: Millis,
}

impl Stream {
    pub fn new() -> Self {
        Self {
            epoch: Epoch::random(),
            top: 0,
            entries: VecDeque::new(),
            bytes: 0,
            version: Version::default(),
            entries_until: 0,
            stream_until: 0,
            used_at: 0,
        }
    }

    /// A stream that stands where another one stood, without its entries.
    pub fn standing_at(position: StreamPosition, version: Version) -> Self {
        Self { epoch: position.epoch, top: position.offset, version, ..Self::new() }
    }

    /// Gives a stream without entries those that it had: consecutive ones, the last of them at its top. As many as there is room for, the newest
    /// first; they last for `entries_ms` more.
    pub fn refill(&mut self, entries: Vec<Arc<Publication>>, entries_ms: Millis, now: Millis, budget: &ByteBudget) {
        for publication in entries.into_iter().rev() {
            let needed = entry_bytes(&publication);
            if !budget.exchange(0, needed) {
                break;
            }
            self.bytes += needed;
            self.entries.push_front(publication);
        }
        self.entries_until = now + entries_ms;
    }

    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn position(&self) -> StreamPosition {
        StreamPosition { offset: self.top, epoch: self.epoch.clone() }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn used_at(&self) -> Millis {
        self.used_at
    }

    /// Whether the whole stream is to be forgotten.
    pub fn is_over(&self, now: Millis) -> bool {
        now >= self.stream_until
    }

    /// Whether it has entries that are to be dropped.
    pub fn is_stale(&self, now: Millis) -> bool {
        !self.entries.is_empty() && now >= self.entries_until
    }

    /// Somebody published or read: the stream lives for `meta_ttl` from now, and in any case as long as its entries.
    pub fn touch(&mut self, now: Millis, meta_ttl: Millis) {
        self.used_at = now;
        self.stream_until = self.entries_until.max(now + meta_ttl);
    }

    /// Drops the entries; offset and epoch stay. They are handed out, so that freeing many need not happen under a lock.
    pub fn clear(&mut self, budget: &ByteBudget) -> VecDeque<Arc<Publication>> {
        budget.give_back(std::mem::take(&mut self.bytes));
        std::mem::take(&mut self.entries)
    }

    /// Whether a publication of this version is to be skipped.
    pub fn is_ahead_of(&self, version: Version) -> bool {
        version.is_old_after(self.version)
    }

    /// Gives the publication the next offset and keeps it, for the TTL together with all others.
    ///
    /// Where the budget is exhausted the stream may not grow: its oldest entries make room, and if all of them are not enough, the
    /// publication itself is not kept either.
    pub fn append(&mut self, mut publication: Publication, version: Version, keeping: Keeping, now: Millis, budget: &ByteBudget) -> Appended {
        self.top += 1;
        publication.offset = self.top;
        if version.number > 0 {
            self.version = version;
        }
        self.entries_until = now + keeping.ttl_ms;

        let publication = Arc::new(publication);
        let needed = entry_bytes(&publication);
        let mut freed = 0;
        while self.entries.len() >= keeping.size as usize {
            let Some(oldest) = self.entries.pop_front() else { break };
            freed += entry_bytes(&oldest);
        }
        let mut given_up = 0;
        let is_kept = loop {
            if budget.exchange(freed, needed) {
                break true;
            }
            given_up += 1;
            match self.entries.pop_front() {
                Some(oldest) => freed += entry_bytes(&oldest),
                None => break false,
            }
        };
        self.bytes -= freed;
        if is_kept {
            self.bytes += needed;
            self.entries.push_back(Arc::clone(&publication));
        } else {
            budget.give_back(freed);
            self.entries = VecDeque::new();
        }
        Appended { publication, given_up }
    }

    /// The entries that `filter` asks for. `None`: its position is of another epoch.
    pub fn read(&self, filter: &HistoryFilter) -> Option<Vec<Arc<Publication>>> {
        let limit = filter.limit.unwrap_or(usize::MAX);
        let oldest = self.top + 1 - self.entries.len() as u64;
        // How many entries stand before the one with this offset.
        let before = |offset: u64| usize::try_from(offset.saturating_sub(oldest)).unwrap_or(usize::MAX).min(self.entries.len());
        let range = match &filter.since {
            None => 0..self.entries.len(),
            Some(since) if !since.epoch.is_empty() && since.epoch != self.epoch => return None,
            Some(since) if filter.reverse => 0..before(since.offset),
            Some(since) => before(since.offset.saturating_add(1))..self.entries.len(),
        };
        let entries = self.entries.range(range).cloned();
        Some(if filter.reverse { entries.rev().take(limit).collect() } else { entries.take(limit).collect() })
    }
}

fn entry_bytes(publication: &Publication) -> usize {
    ENTRY_BYTES + publication.weight()
}

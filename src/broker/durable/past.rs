//! In which order the publications of all channels were written, and what of it a starting process hands to those who keep that order.
//!
//! A channel's own order is that of its offsets; the one over all channels is a number beside each publication: the time of writing in
//! microseconds, or one more than the last where that is not more. *Durable* publications are delivered in this order. *Accepted* ones have been
//! delivered before they get theirs, so that it says nothing about two of different channels.

use crate::channel::{ChannelName, Epoch, Publication, StreamPosition};
use crate::store::WallMs;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Gives the numbers out.
#[derive(Debug, Default)]
pub struct Order(AtomicU64);

impl Order {
    /// A number above all before it, of which this is the time where the clock has not been set back.
    pub fn next(&self, now: WallMs) -> u64 {
        let time = order_of(now);
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(time.max(last.saturating_add(1))));
        time.max(before.unwrap_or_default().saturating_add(1))
    }

    /// A number that an earlier process gave out.
    pub(super) fn was_given(&self, order: u64) {
        self.0.fetch_max(order, Ordering::Relaxed);
    }
}

/// The first number of a moment.
pub fn order_of(time: WallMs) -> u64 {
    u64::try_from(time).unwrap_or_default().saturating_mul(1_000)
}

/// A publication that an earlier process has left.
#[derive(Clone, Debug)]
pub struct PastPublication {
    pub order: u64,
    pub channel: ChannelName,
    pub position: StreamPosition,
    pub publication: Arc<Publication>,
}

/// A stream that an earlier process has left.
#[derive(Clone, Debug)]
pub struct PastStream {
    pub epoch: Epoch,
    /// The number of the oldest publication that is kept; everything behind it is. `None`: nothing is kept.
    pub first: Option<u64>,
}

/// What earlier processes have left: for those who keep an order over all channels.
#[derive(Debug)]
pub struct Past {
    /// Most publications that are wanted.
    max: usize,
    /// By their number. The second one tells those apart that were written before there were any.
    newest: BTreeMap<(u64, u64), PastPublication>,
    count: u64,
    pub streams: HashMap<ChannelName, PastStream>,
    /// What is missing here was never there, or is older than streams are kept. Without it nothing is known of streams that are missing.
    pub is_whole: bool,
}

impl Past {
    /// `max`: publications that are wanted, the newest ones; 0: nothing is.
    pub fn wanting(max: usize) -> Self {
        Self { max, newest: BTreeMap::new(), count: 0, streams: HashMap::new(), is_whole: false }
    }

    pub(super) fn add_stream(&mut self, channel: &ChannelName, epoch: &Epoch, entries: &[(u64, Arc<Publication>)]) {
        if self.max == 0 {
            return;
        }
        let first = entries.first().map(|(order, _)| *order);
        self.streams.insert(channel.clone(), PastStream { epoch: epoch.clone(), first });
        for (order, publication) in entries {
            self.count += 1;
            let position = StreamPosition { offset: publication.offset, epoch: epoch.clone() };
            let past = PastPublication { order: *order, channel: channel.clone(), position, publication: Arc::clone(publication) };
            self.newest.insert((*order, self.count), past);
            if self.newest.len() > self.max {
                self.newest.pop_first();
            }
        }
    }

    /// The publications, oldest first. What is missing is older than all of them, of their channels.
    pub fn take_publications(&mut self) -> Vec<PastPublication> {
        std::mem::take(&mut self.newest).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Payload;

    #[test]
    fn numbers_grow_whatever_the_clock_does() {
        let order = Order::default();
        assert_eq!([5, 5, 7, 2].map(|now| order.next(now)), [5_000, 5_001, 7_000, 7_001]);
        order.was_given(9_000_000);
        order.was_given(3);
        assert_eq!([order.next(-1), order.next(9_000), order.next(9_001)], [9_000_001, 9_000_002, 9_001_000]);
    }

    #[test]
    fn the_newest_of_all_channels_are_kept_in_order() {
        let entry = |order: u64, offset: u64| {
            (order, Arc::new(Publication { offset, data: Payload::from_bytes("1".into()), info: None, tags: None, update: None }))
        };
        let mut past = Past::wanting(3);
        past.add_stream(&ChannelName::new("a"), &Epoch::new("x"), &[entry(10, 1), entry(30, 2), entry(50, 3)]);
        past.add_stream(&ChannelName::new("b"), &Epoch::new("y"), &[entry(40, 7), entry(40, 8)]);
        past.add_stream(&ChannelName::new("c"), &Epoch::new("z"), &[]);
        let kept: Vec<_> = past.take_publications().iter().map(|past| (past.channel.to_string(), past.position.offset)).collect();
        assert_eq!(kept, [("b".to_string(), 7), ("b".to_string(), 8), ("a".to_string(), 3)]);
        assert_eq!(["a", "b", "c"].map(|name| past.streams[&ChannelName::new(name)].first), [Some(10), Some(40), None]);
    }
}

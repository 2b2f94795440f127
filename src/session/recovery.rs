//! What a subscriber that comes back is given. Pure: the broker's answer goes in, the reply's members come out.

use crate::broker::{History, HistoryFilter};
use crate::channel::{Publication, RecoveryMode, StreamPosition, TagsFilter};
use std::sync::Arc;

/// Whether and how a subscriber catches up.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovery {
    pub is_recovered: bool,
    pub publications: Vec<Arc<Publication>>,
    /// The position to tell: where the client stood if it was given what it missed since, else where the channel stands.
    pub position: StreamPosition,
}

/// What to read from the broker. `live`: everything up to here has been given to the channel's members, and the newcomer becomes one.
pub fn filter(mode: RecoveryMode, since: &StreamPosition, live: &StreamPosition, limit: usize) -> HistoryFilter {
    match mode {
        RecoveryMode::Stream => {
            HistoryFilter { limit: Some(limit), since: Some(StreamPosition { offset: since.offset, ..Default::default() }), reverse: false }
        }
        RecoveryMode::Cache => {
            HistoryFilter { limit: Some(1), since: Some(StreamPosition { offset: live.offset + 1, ..Default::default() }), reverse: true }
        }
    }
}

/// What of `history` the client is given so that it knows everything up to `live`, and nothing twice.
pub fn recover(mode: RecoveryMode, since: &StreamPosition, live: &StreamPosition, history: History) -> Recovery {
    // Publications beyond the live position will come as pushes.
    let mut publications: Vec<_> = history.publications.into_iter().filter(|publication| publication.offset <= live.offset).collect();
    let same_epoch = history.position.epoch == live.epoch;
    let epoch_fits = same_epoch && (since.epoch.is_empty() || since.epoch == live.epoch);
    let is_recovered = match mode {
        RecoveryMode::Stream => {
            epoch_fits
                && match (publications.first(), publications.last()) {
                    (Some(first), Some(last)) => first.offset == since.offset + 1 && last.offset == live.offset,
                    _ => since.offset == live.offset,
                }
        }
        RecoveryMode::Cache if epoch_fits && since.offset == live.offset && !since.epoch.is_empty() => {
            publications.clear();
            true
        }
        RecoveryMode::Cache => same_epoch && !publications.is_empty(),
    };
    if !is_recovered {
        publications.clear();
    }
    let offset = if is_recovered { since.offset } else { live.offset };
    Recovery { is_recovered, publications, position: StreamPosition { offset, epoch: live.epoch.clone() } }
}

impl Recovery {
    /// Leaves what the client does not want to have. Where nothing of what it missed is left, it is told where the channel stands, so that it does
    /// not have to come back to its old position once history does not reach so far any more.
    pub fn filtered(mut self, filter: &TagsFilter, live: &StreamPosition) -> Self {
        self.publications.retain(|publication| filter.passes(publication.tags.as_deref()));
        if self.is_recovered && self.publications.is_empty() {
            self.position = live.clone();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Epoch, FilterNode, Payload};

    fn position(offset: u64, epoch: &str) -> StreamPosition {
        StreamPosition { offset, epoch: Epoch::new(epoch) }
    }

    fn history(offsets: impl IntoIterator<Item = u64>, top: u64) -> History {
        let publication = |offset| Arc::new(Publication { offset, data: Payload::default(), info: None, tags: None, update: None });
        History { publications: offsets.into_iter().map(publication).collect(), position: position(top, "now") }
    }

    #[test]
    fn a_stream_is_recovered_whole_or_not_at_all() {
        // since, what history has after it, its top, where the channel is live -> recovered offsets
        let cases = [
            (position(3, "now"), vec![4, 5], 5, 5, Some(vec![4, 5])),
            (position(3, ""), vec![4, 5], 5, 5, Some(vec![4, 5])),
            (position(3, "now"), vec![4, 5, 6], 6, 5, Some(vec![4, 5])),
            (position(5, "now"), vec![], 5, 5, Some(vec![])),
            (position(0, ""), vec![1, 2], 2, 2, Some(vec![1, 2])),
            (position(0, ""), vec![], 0, 0, Some(vec![])),
            (position(3, "old"), vec![4, 5], 5, 5, None),
            (position(2, "now"), vec![4, 5], 5, 5, None),
            (position(3, "now"), vec![4, 5], 9, 9, None),
            (position(3, "now"), vec![], 5, 5, None),
            (position(9, "now"), vec![], 5, 5, None),
        ];
        for (since, stored, top, live, expected) in cases {
            let recovery = recover(RecoveryMode::Stream, &since, &position(live, "now"), history(stored.clone(), top));
            let offsets: Vec<_> = recovery.publications.iter().map(|publication| publication.offset).collect();
            assert_eq!((recovery.is_recovered, offsets), (expected.is_some(), expected.clone().unwrap_or_default()), "{since:?} {stored:?}");
            assert_eq!(recovery.position.offset, if expected.is_some() { since.offset } else { live }, "{since:?} {stored:?}");
        }
    }

    #[test]
    fn a_filter_leaves_what_is_wanted_and_moves_on_where_nothing_is() {
        let tags = |kind: &str| Some(Arc::new(std::collections::BTreeMap::from([("kind".to_string(), kind.to_string())])));
        let mut missed = history([4, 5, 6], 6);
        for (publication, kind) in missed.publications.iter_mut().zip(["a", "b", "a"]) {
            *publication = Arc::new(Publication { tags: tags(kind), ..Publication::clone(publication) });
        }
        let live = position(6, "now");
        for (kind, left, offset) in [("a", vec![4, 6], 3), ("b", vec![5], 3), ("c", vec![], 6)] {
            let node = FilterNode { key: "kind".into(), cmp: "eq".into(), val: kind.into(), ..FilterNode::default() };
            let recovery = recover(RecoveryMode::Stream, &position(3, "now"), &live, missed.clone());
            let recovery = recovery.filtered(&TagsFilter::new(node).unwrap(), &live);
            let offsets: Vec<_> = recovery.publications.iter().map(|publication| publication.offset).collect();
            assert_eq!((recovery.is_recovered, offsets, recovery.position.offset), (true, left, offset), "{kind}");
        }
    }

    #[test]
    fn a_cache_gives_the_newest_unless_it_is_known() {
        let live = position(5, "now");
        let newest = |since: &StreamPosition, stored: Vec<u64>| {
            let recovery = recover(RecoveryMode::Cache, since, &live, history(stored, 5));
            (recovery.is_recovered, recovery.publications.iter().map(|publication| publication.offset).collect::<Vec<_>>())
        };
        assert_eq!(newest(&position(5, "now"), vec![5]), (true, vec![]));
        assert_eq!(newest(&position(0, ""), vec![5]), (true, vec![5]));
        assert_eq!(newest(&position(3, "old"), vec![5]), (true, vec![5]));
        assert_eq!(newest(&position(5, "now"), vec![]), (true, vec![]));
        assert_eq!(newest(&position(3, "now"), vec![]), (false, vec![]));
    }
}

//! What one subscriber has seen of its channel: every sequence number once, in order, or it is counted as lost, duplicated or reordered.

/// Ranges of missing numbers that are remembered for each subscriber, in case the messages come late. When more are missing the
/// oldest range is given up: its messages stay lost, and count as duplicated should they come after all.
const GAPS_MAX: usize = 64;

#[derive(Default)]
pub struct Ledger {
    /// The number that should come next; 0 before the first message.
    next: u64,
    /// Missing numbers, from (inclusive) to (exclusive), oldest first. Without an allocation while nothing is missing.
    gaps: Vec<(u64, u64)>,
    given_up: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    InOrder,
    /// It came, but after a later one.
    Reordered,
    Duplicated,
}

impl Ledger {
    /// A subscriber that must get `next` first.
    pub fn expecting(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// The first message that ever comes sets the beginning: some servers confirm a subscription before they have made it.
    #[inline]
    pub fn on(&mut self, sequence: u64) -> Verdict {
        if sequence == self.next {
            self.next += 1;
            return Verdict::InOrder;
        }
        self.out_of_line(sequence)
    }

    #[cold]
    fn out_of_line(&mut self, sequence: u64) -> Verdict {
        if self.next == 0 {
            self.next = sequence + 1;
            return Verdict::InOrder;
        }
        if sequence > self.next {
            if self.gaps.len() == GAPS_MAX {
                let (from, to) = self.gaps.remove(0);
                self.given_up += to - from;
            }
            self.gaps.push((self.next, sequence));
            self.next = sequence + 1;
            return Verdict::InOrder;
        }
        let Some(index) = self.gaps.iter().position(|&(from, to)| (from..to).contains(&sequence)) else {
            return Verdict::Duplicated;
        };
        let (from, to) = self.gaps.remove(index);
        for (offset, part) in [(from, sequence), (sequence + 1, to)].into_iter().filter(|(from, to)| from < to).enumerate() {
            self.gaps.insert(index + offset, part);
        }
        Verdict::Reordered
    }

    /// Messages that should have come by now: the last number published is `last`, and a subscriber that never saw any owes all after
    /// `base`.
    pub fn lost(&self, base: u64, last: u64) -> u64 {
        let next = if self.next == 0 { base + 1 } else { self.next };
        let missing: u64 = self.gaps.iter().map(|(from, to)| to - from).sum();
        missing + self.given_up + (last + 1).saturating_sub(next)
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Duplicated, InOrder, Reordered};
    use super::*;

    #[test]
    fn the_books_are_right_in_every_disorder() {
        let cases: [(&[u64], &[Verdict], u64); 7] = [
            (&[1, 2, 3, 4], &[InOrder; 4], 0),
            (&[1, 2], &[InOrder; 2], 2),
            (&[1, 4], &[InOrder; 2], 2),
            (&[1, 3, 2, 4], &[InOrder, InOrder, Reordered, InOrder], 0),
            (&[1, 2, 2, 3, 4, 1], &[InOrder, InOrder, Duplicated, InOrder, InOrder, Duplicated], 0),
            (&[3, 4], &[InOrder; 2], 0),
            (&[], &[], 4),
        ];
        for (arrivals, verdicts, lost) in cases {
            let mut ledger = Ledger::default();
            let seen: Vec<Verdict> = arrivals.iter().map(|&sequence| ledger.on(sequence)).collect();
            assert_eq!((seen.as_slice(), ledger.lost(0, 4)), (verdicts, lost), "{arrivals:?}");
        }
    }

    #[test]
    fn a_gap_is_filled_from_the_middle() {
        let mut ledger = Ledger::expecting(1);
        ledger.on(6);
        assert_eq!((ledger.on(3), ledger.on(3), ledger.lost(0, 6)), (Reordered, Duplicated, 4));
        assert_eq!([1, 2, 4, 5].map(|sequence| ledger.on(sequence)), [Reordered; 4]);
        assert_eq!(ledger.lost(0, 6), 0);
    }

    #[test]
    fn one_who_must_get_the_first_owes_it() {
        let mut ledger = Ledger::expecting(1);
        ledger.on(2);
        assert_eq!(ledger.lost(0, 2), 1);
        assert_eq!(Ledger::default().lost(10, 12), 2, "who never saw any owes what came after the base");
    }

    #[test]
    fn the_memory_of_gaps_is_bounded_and_loses_no_loss() {
        let mut ledger = Ledger::expecting(1);
        for odd in 0..200 {
            ledger.on(2 * odd + 2);
        }
        assert!(ledger.gaps.len() <= GAPS_MAX);
        assert_eq!(ledger.lost(0, 400), 200);
        assert_eq!(ledger.on(1), Duplicated);
        assert_eq!(ledger.on(399), Reordered);
    }
}

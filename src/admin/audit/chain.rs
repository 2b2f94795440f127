//! The chain of audit records: what a record's hash covers, and what a changed, removed or reordered record looks like.
//!
//! Pure: it is fed records in the order in which they are read, from a store or from an export. Deliberately absent: a secret. Whoever can
//! rewrite the whole log can rewrite the whole chain, so the hub also writes every hash to its own log, and `verify` can be told one.

use crate::store::AuditRecord;
use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the first record of all names as the hash before it.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The action of a record that says which ones have been forgotten.
pub const CHECKPOINT: &str = "audit.checkpoint";

/// Says what is hashed and how: a change of the rule gets another name, so that an old record is never taken for a changed one.
const RULE: &[u8] = b"aether audit 1";

/// Faults that are listed; beyond them only the count grows.
const FAULTS_MAX: usize = 100;

/// The hash of a record: SHA-256 over every field but the hash itself, each with its length before it, so that no two records have the same
/// text to be hashed.
pub fn hash(record: &AuditRecord) -> String {
    let mut context = Context::new(&SHA256);
    let sequence = record.sequence.to_le_bytes();
    let at = record.at.to_le_bytes();
    let fields: [&[u8]; 10] = [
        RULE,
        &sequence,
        &at,
        record.actor.as_bytes(),
        record.origin.as_bytes(),
        record.action.as_bytes(),
        record.object.as_bytes(),
        record.details.as_bytes(),
        record.outcome.as_bytes(),
        record.previous.as_bytes(),
    ];
    for field in fields {
        context.update(&(field.len() as u64).to_le_bytes());
        context.update(field);
    }
    hexadecimal(context.finish().as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where a chain stands: its newest record. Kept apart from the records, so that newest ones that were removed are missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub sequence: u64,
    pub hash: String,
}

/// What a checkpoint record says in its details: everything up to a record was to be forgotten, and that record's hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub forgotten: u64,
    pub hash: String,
}

impl Checkpoint {
    /// What a record says, if it is a checkpoint.
    pub fn of(record: &AuditRecord) -> Option<Self> {
        (record.action == CHECKPOINT).then(|| serde_json::from_str(&record.details).ok()).flatten()
    }
}

/// Something in the log that the hub has not written so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The record is not what was hashed.
    Changed { sequence: u64 },
    /// The record's own hash fits, but the next one remembers another.
    Replaced { sequence: u64 },
    /// These records are not there.
    Removed { from: u64, to: u64 },
    /// The record stands where it does not belong, or a second time.
    Misplaced { sequence: u64, behind: u64 },
    /// The log begins here, and no checkpoint says why.
    BeginsLate { sequence: u64 },
    /// The record is not the one that a hash from elsewhere speaks of.
    NotTheKnown { sequence: u64 },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { sequence } => write!(f, "record {sequence} has been changed"),
            Self::Replaced { sequence } => write!(f, "record {sequence} has been replaced: the one behind it was written behind another"),
            Self::Removed { from, to } if from == to => write!(f, "record {from} has been removed"),
            Self::Removed { from, to } => write!(f, "records {from} to {to} have been removed"),
            Self::Misplaced { sequence, behind } => write!(f, "record {sequence} stands behind record {behind}, where it does not belong"),
            Self::BeginsLate { sequence } => {
                write!(f, "the log begins with record {sequence}, and no checkpoint speaks of forgetting those before it")
            }
            Self::NotTheKnown { sequence } => write!(f, "record {sequence} does not have the hash that is known of it"),
        }
    }
}

/// Reads a chain from its oldest record to its newest and collects what is wrong with it.
pub struct Verifier {
    checkpoint: Option<Checkpoint>,
    /// Hashes known from elsewhere: the store's head, one that an operator noted.
    known: Vec<Head>,
    last: Option<Head>,
    records: u64,
    faults: Vec<Fault>,
    faults_in_all: u64,
}

/// What became of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub records: u64,
    /// The newest record.
    pub head: Option<Head>,
    /// Up to which record the log was forgotten, where it was.
    pub forgotten: u64,
    /// The first of them.
    pub faults: Vec<Fault>,
    pub faults_in_all: u64,
}

impl Verdict {
    pub fn is_whole(&self) -> bool {
        self.faults_in_all == 0
    }
}

impl Verifier {
    /// `checkpoint`: the newest in the log. `known`: what is known of single records from elsewhere.
    pub fn new(checkpoint: Option<Checkpoint>, known: Vec<Head>) -> Self {
        Self { checkpoint, known, last: None, records: 0, faults: Vec::new(), faults_in_all: 0 }
    }

    pub fn read(&mut self, record: &AuditRecord) {
        self.records += 1;
        let sequence = record.sequence;
        if hash(record) != record.hash {
            self.fault(Fault::Changed { sequence });
        }
        if self.known.iter().any(|known| known.sequence == sequence && known.hash != record.hash) {
            self.fault(Fault::NotTheKnown { sequence });
        }
        match self.last.take() {
            None => self.begin(record),
            Some(last) if sequence <= last.sequence => {
                self.fault(Fault::Misplaced { sequence, behind: last.sequence });
                // What follows is judged by the record that was in its place.
                self.last = Some(last);
                return;
            }
            Some(last) if sequence > last.sequence + 1 => self.removed(last.sequence + 1, sequence - 1),
            Some(last) if record.previous != last.hash => self.fault(Fault::Replaced { sequence: last.sequence }),
            Some(_) => {}
        }
        if let Some(Checkpoint { forgotten, hash }) = &self.checkpoint
            && sequence == forgotten + 1
            && record.previous != *hash
        {
            self.fault(Fault::Changed { sequence });
        }
        self.last = Some(Head { sequence, hash: record.hash.clone() });
    }

    pub fn finish(mut self) -> Verdict {
        let last = self.last.as_ref().map_or(0, |last| last.sequence);
        if let Some(newest) = self.known.iter().map(|known| known.sequence).max().filter(|newest| *newest > last) {
            self.removed(last + 1, newest);
        }
        Verdict {
            records: self.records,
            head: self.last,
            forgotten: self.checkpoint.map_or(0, |checkpoint| checkpoint.forgotten),
            faults: self.faults,
            faults_in_all: self.faults_in_all,
        }
    }

    fn begin(&mut self, record: &AuditRecord) {
        let sequence = record.sequence;
        if sequence == 1 {
            if record.previous != GENESIS {
                self.fault(Fault::Changed { sequence });
            }
        } else if self.forgotten() == 0 {
            self.fault(Fault::BeginsLate { sequence });
        } else if sequence > self.forgotten() + 1 {
            self.removed(self.forgotten() + 1, sequence - 1);
        }
    }

    /// Records that are not there, as far as they were not forgotten: a store may have got half-way with that.
    fn removed(&mut self, from: u64, to: u64) {
        let from = from.max(self.forgotten() + 1);
        if from <= to {
            self.fault(Fault::Removed { from, to });
        }
    }

    fn forgotten(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.forgotten)
    }

    fn fault(&mut self, fault: Fault) {
        self.faults_in_all += 1;
        if self.faults.len() < FAULTS_MAX && self.faults.last() != Some(&fault) {
            self.faults.push(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A chain of `count` records.
    fn chain(count: u64) -> Vec<AuditRecord> {
        let mut records: Vec<AuditRecord> = Vec::new();
        for sequence in 1..=count {
            let previous = records.last().map_or_else(|| GENESIS.to_string(), |last| last.hash.clone());
            records.push(link(sequence, &format!("action.{sequence}"), "{}", previous));
        }
        records
    }

    fn link(sequence: u64, action: &str, details: &str, previous: String) -> AuditRecord {
        let mut record = AuditRecord {
            sequence,
            at: 1_000 + sequence as i64,
            actor: "alice".to_string(),
            origin: "192.0.2.1 websocket".to_string(),
            action: action.to_string(),
            object: String::new(),
            details: details.to_string(),
            outcome: "begun".to_string(),
            previous,
            hash: String::new(),
        };
        record.hash = hash(&record);
        record
    }

    /// The chain with a checkpoint behind it that allows the first `forgotten` to be gone.
    fn with_checkpoint(mut records: Vec<AuditRecord>, forgotten: u64) -> Vec<AuditRecord> {
        let said = Checkpoint { forgotten, hash: records[forgotten as usize - 1].hash.clone() };
        let last = records.last().unwrap();
        let checkpoint = link(last.sequence + 1, CHECKPOINT, &serde_json::to_string(&said).unwrap(), last.hash.clone());
        records.push(checkpoint);
        records
    }

    fn verify(records: &[AuditRecord], known: &[Head]) -> Verdict {
        let checkpoint = records.iter().rev().find_map(Checkpoint::of);
        let mut verifier = Verifier::new(checkpoint, known.to_vec());
        records.iter().for_each(|record| verifier.read(record));
        verifier.finish()
    }

    fn faults(records: &[AuditRecord]) -> Vec<Fault> {
        verify(records, &[]).faults
    }

    #[test]
    fn an_untouched_chain_is_whole() {
        assert!(verify(&[], &[]).is_whole());
        let records = chain(20);
        let verdict = verify(&records, &[Head { sequence: 20, hash: records[19].hash.clone() }]);
        assert_eq!((verdict.is_whole(), verdict.records, verdict.head.unwrap().sequence), (true, 20, 20));
    }

    #[test]
    fn a_change_that_hides_itself_is_found_by_the_record_behind_it() {
        let mut records = chain(5);
        records[2].actor = "mallory".to_string();
        assert_eq!(faults(&records), [Fault::Changed { sequence: 3 }]);
        records[2].hash = hash(&records[2]);
        assert_eq!(faults(&records), [Fault::Replaced { sequence: 3 }]);
        records[3].previous = records[2].hash.clone();
        assert_eq!(faults(&records), [Fault::Changed { sequence: 4 }]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let records = chain(6);
        let head = Head { sequence: 6, hash: records[5].hash.clone() };
        let without = |gone: std::ops::RangeInclusive<u64>| -> Vec<AuditRecord> {
            records.iter().filter(|record| !gone.contains(&record.sequence)).cloned().collect()
        };
        let known = std::slice::from_ref(&head);
        assert_eq!(verify(&without(3..=4), known).faults, [Fault::Removed { from: 3, to: 4 }]);
        assert_eq!(verify(&without(1..=2), known).faults, [Fault::BeginsLate { sequence: 3 }]);
        assert_eq!(verify(&without(5..=6), known).faults, [Fault::Removed { from: 5, to: 6 }], "the newest are missed by the head");
        assert_eq!(verify(&without(1..=6), known).faults, [Fault::Removed { from: 1, to: 6 }]);
    }

    #[test]
    fn a_rewritten_log_is_found_by_a_hash_that_was_noted_before() {
        let noted = Head { sequence: 4, hash: chain(4)[3].hash.clone() };
        let mut rewritten: Vec<AuditRecord> = Vec::new();
        for sequence in 1..=6 {
            let previous = rewritten.last().map_or_else(|| GENESIS.to_string(), |last| last.hash.clone());
            rewritten.push(link(sequence, "nothing", "{}", previous));
        }
        assert_eq!(verify(&rewritten, &[]).faults, []);
        assert_eq!(verify(&rewritten, &[noted]).faults, [Fault::NotTheKnown { sequence: 4 }]);
    }

    #[test]
    fn what_a_checkpoint_forgot_is_not_missed_and_nothing_else() {
        let records = with_checkpoint(chain(10), 6);
        assert!(verify(&records, &[]).is_whole(), "said, and not yet done");
        assert!(verify(&records[6..], &[]).is_whole(), "done");
        assert!(verify(&records[3..], &[]).is_whole(), "half-way");
        let mut holes = records.clone();
        holes.remove(2);
        assert!(verify(&holes, &[]).is_whole(), "half-way, in no order");
        assert_eq!(faults(&records[7..]), [Fault::Removed { from: 7, to: 7 }], "more than was said");
        let mut other_past = records[6..].to_vec();
        other_past[0].previous = GENESIS.to_string();
        other_past[0].hash = hash(&other_past[0]);
        assert_eq!(faults(&other_past)[0], Fault::Changed { sequence: 7 }, "it continues another log");
    }

    #[test]
    fn fields_that_run_into_each_other_hash_differently() {
        let record = link(1, "ab", "{}", GENESIS.to_string());
        let mut shifted = record.clone();
        (shifted.action, shifted.object) = ("a".to_string(), "b".to_string());
        assert_ne!(hash(&record), hash(&shifted));
    }

    fn tampering() -> impl Strategy<Value = (u64, u64, u8)> {
        (2u64..40).prop_flat_map(|count| (Just(count), 1..=count, 0u8..12))
    }

    proptest! {
        /// Whatever single record is touched in whatever way, the verdict names it.
        #[test]
        fn any_tampering_is_found_and_named((count, which, how) in tampering()) {
            let mut records = chain(count);
            let head = Head { sequence: count, hash: records[count as usize - 1].hash.clone() };
            let index = which as usize - 1;
            let record = &mut records[index];
            let expected = match how {
                0 => { record.actor.push('x'); Fault::Changed { sequence: which } }
                1 => { record.origin.clear(); Fault::Changed { sequence: which } }
                2 => { record.action.insert(0, 'x'); Fault::Changed { sequence: which } }
                3 => { record.object.push('\0'); Fault::Changed { sequence: which } }
                4 => { record.details = "{ }".to_string(); Fault::Changed { sequence: which } }
                5 => { record.outcome = "done".to_string(); Fault::Changed { sequence: which } }
                6 => { record.at += 1; Fault::Changed { sequence: which } }
                7 => { record.previous = hash(record); Fault::Changed { sequence: which } }
                8 => { record.hash = GENESIS.to_string(); Fault::Changed { sequence: which } }
                9 => {
                    records.remove(index);
                    if which == 1 && count > 1 { Fault::BeginsLate { sequence: 2 } } else { Fault::Removed { from: which, to: which } }
                }
                10 => {
                    let again = record.clone();
                    records.insert(index + 1, again);
                    Fault::Misplaced { sequence: which, behind: which }
                }
                _ => {
                    let other = if index + 1 < records.len() { index + 1 } else { index - 1 };
                    records.swap(index, other);
                    let (low, high) = (index.min(other) as u64 + 1, index.max(other) as u64 + 1);
                    let misplaced = Fault::Misplaced { sequence: low, behind: high };
                    prop_assert!(verify(&records, std::slice::from_ref(&head)).faults.contains(&misplaced));
                    return Ok(());
                }
            };
            let verdict = verify(&records, &[head]);
            prop_assert!(verdict.faults.contains(&expected), "{:?} has no {:?}", verdict.faults, expected);
        }

        #[test]
        fn a_record_that_says_anything_hashes_to_the_same_every_time(actor in ".*", details in ".*", sequence: u64, at: i64) {
            let record = AuditRecord { sequence, at, actor, details, ..link(1, "a", "{}", GENESIS.to_string()) };
            let first = hash(&record);
            prop_assert_eq!(&first, &hash(&record.clone()));
            prop_assert_eq!(first.len(), 64);
        }
    }
}

//! What was measured: four tiers, each a ring of blocks in the store, the newest of them in memory too.
//!
//! Bounded by construction: a tier has so many blocks, and each one takes the place of the one a lap before it. Every reading goes into all tiers
//! as it comes, so a roll-up keeps the least and the most of what was measured and never averages an average of averages. Written once a minute
//! and at the end; a crash loses that minute and damages nothing, since a block is one value of the store. While the store is away readings go on in
//! memory for as long as the newest blocks reach, and what is asked for says that it is not whole.
//!
//! Deliberately absent: any clock, and any wish to read a block that nobody asked for.

mod block;
pub mod export;

use super::catalogue::{Metric, Values};
use crate::store::{Store, StoreError, WallMs};
use block::{Block, Point};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads of the store that one question has under way: those beyond wait, so that other calls come in between.
const READS_AT_ONCE: usize = 8;

/// How readings of one age are kept.
#[derive(Debug)]
struct Tier {
    step_ms: WallMs,
    /// Steps of a block.
    slots: usize,
    /// Blocks in the store: what the tier is to keep, and one more that is being written.
    ring: i64,
    /// Blocks in memory at most.
    held: usize,
}

impl Tier {
    const fn span_ms(&self) -> WallMs {
        self.step_ms * self.slots as WallMs
    }

    /// What is surely kept.
    const fn reach_ms(&self) -> WallMs {
        self.span_ms() * (self.ring - 1)
    }

    fn key(&self, index: usize, number: i64) -> String {
        format!("metrics:{index}:{}", number.rem_euclid(self.ring))
    }
}

/// A second for an hour, ten for a day, a minute for a week, ten minutes for a year.
const TIERS: [Tier; 4] = [
    Tier { step_ms: 1_000, slots: 60, ring: 61, held: 10 },
    Tier { step_ms: 10_000, slots: 60, ring: 145, held: 7 },
    Tier { step_ms: 60_000, slots: 60, ring: 169, held: 3 },
    Tier { step_ms: 600_000, slots: 144, ring: 367, held: 2 },
];

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub metrics: Vec<Metric>,
    pub from: WallMs,
    /// Exclusive.
    pub to: WallMs,
    /// The answer's steps are at least this long.
    pub step_ms: WallMs,
}

/// What is answered: for each metric a point for each step, from `from` on.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub from: WallMs,
    pub to: WallMs,
    pub step_ms: WallMs,
    /// Of what it was made.
    pub tier_ms: WallMs,
    pub columns: Vec<(Metric, Vec<Option<Reading>>)>,
    /// The store could be read.
    pub is_whole: bool,
}

/// Least, mean and most of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    pub min: f64,
    pub avg: f64,
    pub max: f64,
}

/// Readings of a step that is not over.
#[derive(Clone, Copy, Debug)]
struct Sum {
    sum: f64,
    count: u32,
    min: f64,
    max: f64,
}

impl Sum {
    fn add(sum: &mut Option<Self>, value: f64) {
        let sum = sum.get_or_insert(Self { sum: 0.0, count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY });
        sum.sum += value;
        sum.count += 1;
        sum.min = sum.min.min(value);
        sum.max = sum.max.max(value);
    }

    fn reading(self) -> Reading {
        Reading { min: self.min, avg: self.sum / f64::from(self.count), max: self.max }
    }

    fn point(self) -> Point {
        let Reading { min, avg, max } = self.reading();
        Point { min: min as f32, avg: avg as f32, max: max as f32 }
    }
}

struct Held {
    block: Block,
    /// Counts the changes, so that what changes while it is being written is written again.
    version: u64,
    written: u64,
    /// Whether it has what the store had of it when the hub started.
    is_merged: bool,
}

/// The newest part of a tier.
#[derive(Default)]
struct Recent {
    blocks: BTreeMap<i64, Held>,
    /// The step that is not over, and what it has.
    open: Option<(i64, Vec<Option<Sum>>)>,
}

impl Recent {
    fn add(&mut self, index: usize, at: WallMs, values: &Values) -> usize {
        let tier = &TIERS[index];
        let slot = at.div_euclid(tier.step_ms);
        let is_other = self.open.as_ref().is_some_and(|(open, _)| *open != slot);
        let lost = if is_other { self.close(index) } else { 0 };
        let (_, sums) = self.open.get_or_insert_with(|| (slot, vec![None; Metric::ALL.len()]));
        for (metric, value) in values.iter() {
            if let Some(value) = value.filter(|value| value.is_finite()) {
                Sum::add(&mut sums[metric as usize], value);
            }
        }
        lost
    }

    /// Puts the open step into its block. How many blocks had to go unwritten for it.
    fn close(&mut self, index: usize) -> usize {
        let tier = &TIERS[index];
        let Some((slot, sums)) = self.open.take() else { return 0 };
        let (number, slot) = (slot.div_euclid(tier.slots as i64), slot.rem_euclid(tier.slots as i64) as usize);
        let held = self.blocks.entry(number).or_insert_with(|| Held {
            block: Block::new(index as u8, number, tier.slots),
            version: 0,
            written: 0,
            is_merged: false,
        });
        for (metric, sum) in Metric::ALL.iter().zip(sums) {
            if let Some(sum) = sum {
                held.block.put(*metric, slot, sum.point());
            }
        }
        held.version += 1;
        let mut lost = 0;
        while self.blocks.len() > tier.held {
            // The oldest that is written; where none is, the oldest.
            let written = self.blocks.iter().find(|(_, held)| held.written == held.version).map(|(number, _)| *number);
            match written.filter(|oldest| *oldest != number) {
                Some(oldest) => drop(self.blocks.remove(&oldest)),
                None => {
                    self.blocks.pop_first();
                    lost += 1;
                }
            }
        }
        lost
    }
}

/// Keeps and finds readings.
pub struct History {
    store: Arc<dyn Store>,
    recent: Mutex<[Recent; TIERS.len()]>,
}

/// What one round of writing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub blocks: usize,
    pub bytes: usize,
}

impl History {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, recent: Mutex::default() }
    }

    /// Takes in what was measured in the step that ended `at`. How many blocks were given up unwritten, because the store has not taken them
    /// for long.
    pub fn add(&self, at: WallMs, values: &Values) -> usize {
        let mut recent = self.recent.lock();
        // A step belongs to where it was, not to the moment after it.
        recent.iter_mut().enumerate().map(|(index, recent)| recent.add(index, at - 1, values)).sum()
    }

    /// Writes what is new. `is_last`: the steps that are not over, too.
    pub async fn write(&self, is_last: bool) -> Result<Written, StoreError> {
        let mut written = Written::default();
        for index in 0..TIERS.len() {
            let changed: Vec<i64> = {
                let mut recent = self.recent.lock();
                if is_last {
                    recent[index].close(index);
                }
                recent[index].blocks.iter().filter(|(_, held)| held.written != held.version).map(|(number, _)| *number).collect()
            };
            for number in changed {
                let key = TIERS[index].key(index, number);
                let is_merged = self.recent.lock()[index].blocks.get(&number).is_some_and(|held| held.is_merged);
                let stored = if is_merged { None } else { self.read(&key, index, number, |_| true).await? };
                let (bytes, version) = {
                    let mut recent = self.recent.lock();
                    let Some(held) = recent[index].blocks.get_mut(&number) else { continue };
                    if !held.is_merged {
                        if let Some(stored) = &stored {
                            held.block.merge(stored);
                        }
                        held.is_merged = true;
                    }
                    (Bytes::from(held.block.encode()), held.version)
                };
                written.blocks += 1;
                written.bytes += bytes.len();
                self.store.put_value(&key, bytes).await?;
                if let Some(held) = self.recent.lock()[index].blocks.get_mut(&number) {
                    held.written = version;
                }
            }
        }
        Ok(written)
    }

    /// The block of this number as the store has it. Another lap's is none.
    async fn read(&self, key: &str, index: usize, number: i64, wanted: impl Fn(Metric) -> bool) -> Result<Option<Block>, StoreError> {
        let bytes = self.store.value(key).await?;
        let block = bytes.and_then(|bytes| Block::decode(&bytes, wanted));
        Ok(block.filter(|block| block.number == number && usize::from(block.tier) == index))
    }

    /// Finds what is asked for, in the finest tier that is fine enough and reaches back far enough. `now`: as the wall clock says.
    pub async fn find(&self, query: &Query, now: WallMs) -> Answer {
        let fine_enough = TIERS.iter().rposition(|tier| tier.step_ms <= query.step_ms).unwrap_or(0);
        let far_enough = TIERS.iter().position(|tier| now.saturating_sub(query.from) <= tier.reach_ms()).unwrap_or(TIERS.len() - 1);
        let index = fine_enough.max(far_enough);
        let tier = &TIERS[index];
        let step_ms = (query.step_ms.max(tier.step_ms) as u64).next_multiple_of(tier.step_ms as u64) as WallMs;
        let from = query.from.max(now.saturating_sub(tier.reach_ms() + tier.span_ms())).div_euclid(step_ms) * step_ms;
        // Of what is to come there is nothing, however far somebody asks.
        let to = query.to.min(now + step_ms).max(from);
        let steps = usize::try_from(((to - from) as u64).div_ceil(step_ms as u64)).unwrap_or(0);
        let mut sums: Vec<Vec<Option<Sum>>> = vec![vec![None; steps]; query.metrics.len()];

        let numbers = from.div_euclid(tier.span_ms())..=(to - 1).div_euclid(tier.span_ms());
        let (mut missing, mut is_whole) = (Vec::new(), true);
        {
            let recent = self.recent.lock();
            let recent = &recent[index];
            for number in numbers {
                let held = recent.blocks.get(&number);
                if let Some(held) = held {
                    take(&held.block, query, (from, step_ms), &mut sums);
                }
                if held.is_none_or(|held| !held.is_merged) {
                    missing.push(number);
                }
            }
            if let Some((slot, open)) = &recent.open {
                let at = slot * tier.step_ms;
                for (metric, sums) in query.metrics.iter().zip(&mut sums) {
                    if let Some(sum) = open[*metric as usize] {
                        add(sums, (from, step_ms), at, sum.reading());
                    }
                }
            }
        }
        let wanted = |metric| query.metrics.contains(&metric);
        let mut reads = stream::iter(missing)
            .map(|number| async move { self.read(&tier.key(index, number), index, number, wanted).await })
            .buffer_unordered(READS_AT_ONCE);
        while let Some(read) = reads.next().await {
            match read {
                Ok(Some(block)) => take(&block, query, (from, step_ms), &mut sums),
                Ok(None) => {}
                // The others would wait for the same store.
                Err(_) => {
                    is_whole = false;
                    break;
                }
            }
        }
        let columns = query.metrics.iter().zip(sums).map(|(metric, sums)| (*metric, sums.into_iter().map(|sum| sum.map(Sum::reading)).collect()));
        Answer { from, to: from + steps as WallMs * step_ms, step_ms, tier_ms: tier.step_ms, columns: columns.collect(), is_whole }
    }
}

/// Adds what a block has of the steps that are asked for.
fn take(block: &Block, query: &Query, grid: (WallMs, WallMs), sums: &mut [Vec<Option<Sum>>]) {
    let tier = &TIERS[usize::from(block.tier)];
    for (metric, sums) in query.metrics.iter().zip(sums) {
        for slot in 0..tier.slots {
            if let Some(Point { min, avg, max }) = block.get(*metric, slot) {
                let at = block.number * tier.span_ms() + slot as WallMs * tier.step_ms;
                add(sums, grid, at, Reading { min: f64::from(min), avg: f64::from(avg), max: f64::from(max) });
            }
        }
    }
}

fn add(sums: &mut [Option<Sum>], (from, step_ms): (WallMs, WallMs), at: WallMs, reading: Reading) {
    let Some(sum) = usize::try_from((at - from).div_euclid(step_ms)).ok().and_then(|step| sums.get_mut(step)) else { return };
    Sum::add(sum, reading.avg);
    if let Some(sum) = sum {
        sum.min = sum.min.min(reading.min);
        sum.max = sum.max.max(reading.max);
    }
}

#[cfg(test)]
mod tests;

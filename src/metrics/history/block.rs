//! One block of history: so many steps of one tier, metric by metric, and how that stands in the store. Pure.
//!
//! A block says by itself what is in it, so that a hub of another version reads what it knows and leaves the rest: version, tier, number, then for
//! each metric its name, the length of what follows, a bit for each step that has a reading, and the readings as 32-bit numbers. A metric that
//! did not change takes one of them.

use crate::metrics::catalogue::Metric;
use std::collections::BTreeMap;

const VERSION: u8 = 1;

/// Readings of which least, mean and most are the same in every step.
const FLAT: u8 = 1;
/// All steps have the same reading.
const CONSTANT: u8 = 2;

/// Least, mean and most of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub min: f32,
    pub avg: f32,
    pub max: f32,
}

impl Point {
    /// Of two parts of the same step. How long each was is not known any more.
    pub fn merged(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), avg: f32::midpoint(self.avg, other.avg), max: self.max.max(other.max) }
    }

    fn is_flat(self) -> bool {
        self.min == self.avg && self.avg == self.max
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub tier: u8,
    /// Which one it is, counted from 1970.
    pub number: i64,
    slots: usize,
    columns: BTreeMap<Metric, Vec<Option<Point>>>,
}

impl Block {
    pub fn new(tier: u8, number: i64, slots: usize) -> Self {
        Self { tier, number, slots, columns: BTreeMap::new() }
    }

    /// Takes a reading in; what there is of the same step already is part of it.
    pub fn put(&mut self, metric: Metric, slot: usize, point: Point) {
        if slot >= self.slots || ![point.min, point.avg, point.max].iter().all(|value| value.is_finite()) {
            return;
        }
        let place = &mut self.columns.entry(metric).or_insert_with(|| vec![None; self.slots])[slot];
        *place = Some(place.map_or(point, |known| known.merged(point)));
    }

    pub fn get(&self, metric: Metric, slot: usize) -> Option<Point> {
        self.columns.get(&metric).and_then(|column| column.get(slot).copied().flatten())
    }

    /// Takes in what another copy of this block has.
    pub fn merge(&mut self, other: &Self) {
        for (metric, column) in &other.columns {
            for (slot, point) in column.iter().enumerate() {
                if let Some(point) = point {
                    self.put(*metric, slot, *point);
                }
            }
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, self.tier];
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&(self.slots as u16).to_be_bytes());
        for (metric, column) in &self.columns {
            let name = metric.name().as_bytes();
            bytes.push(name.len() as u8);
            bytes.extend_from_slice(name);
            let column = encode_column(column);
            bytes.extend_from_slice(&(column.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&column);
        }
        bytes
    }

    /// What is known of these bytes; `wanted`: the metrics that are asked for. `None`: they are no block, or one that is cut.
    pub fn decode(mut bytes: &[u8], wanted: impl Fn(Metric) -> bool) -> Option<Self> {
        let head = bytes.split_off(..12)?;
        let (version, tier) = (head[0], head[1]);
        let number = i64::from_be_bytes(head[2..10].try_into().ok()?);
        let slots = usize::from(u16::from_be_bytes(head[10..12].try_into().ok()?));
        if version != VERSION {
            return None;
        }
        let mut block = Self::new(tier, number, slots);
        while let Some(&length) = bytes.split_off_first() {
            let name = std::str::from_utf8(bytes.split_off(..usize::from(length))?).ok()?;
            let length = u32::from_be_bytes(bytes.split_off(..4)?.try_into().ok()?);
            let column = bytes.split_off(..usize::try_from(length).ok()?)?;
            if let Some(metric) = Metric::parse(name).filter(|metric| wanted(*metric)) {
                block.columns.insert(metric, decode_column(column, slots)?);
            }
        }
        Some(block)
    }
}

fn encode_column(column: &[Option<Point>]) -> Vec<u8> {
    let mut present = vec![0u8; column.len().div_ceil(8)];
    for (slot, _) in column.iter().enumerate().filter(|(_, point)| point.is_some()) {
        present[slot / 8] |= 1 << (slot % 8);
    }
    let points: Vec<Point> = column.iter().copied().flatten().collect();
    let is_flat = points.iter().all(|point| point.is_flat());
    let is_constant = points.windows(2).all(|pair| pair[0] == pair[1]);
    let mut bytes = vec![if is_flat { FLAT } else { 0 } | if is_constant { CONSTANT } else { 0 }];
    bytes.append(&mut present);
    for point in points.iter().take(if is_constant { 1 } else { points.len() }) {
        let values: &[f32] = if is_flat { &[point.avg] } else { &[point.min, point.avg, point.max] };
        values.iter().for_each(|value| bytes.extend_from_slice(&value.to_be_bytes()));
    }
    bytes
}

fn decode_column(mut bytes: &[u8], slots: usize) -> Option<Vec<Option<Point>>> {
    let kind = *bytes.split_off_first()?;
    let present = bytes.split_off(..slots.div_ceil(8))?;
    let mut number = || Some(f32::from_be_bytes(bytes.split_off(..4)?.try_into().ok()?)).filter(|number| number.is_finite());
    let mut point = || {
        let first = number()?;
        if kind & FLAT != 0 { Some(Point { min: first, avg: first, max: first }) } else { Some(Point { min: first, avg: number()?, max: number()? }) }
    };
    let mut constant = None;
    let mut column = vec![None; slots];
    for (slot, place) in column.iter_mut().enumerate() {
        if present[slot / 8] & (1 << (slot % 8)) != 0 {
            *place = Some(match constant {
                Some(point) => point,
                None => point()?,
            });
            if kind & CONSTANT != 0 {
                constant = *place;
            }
        }
    }
    Some(column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: Metric = Metric::SessionsOpen;
    const B: Metric = Metric::LatencyP99;

    fn flat(value: f32) -> Point {
        Point { min: value, avg: value, max: value }
    }

    #[test]
    fn a_block_comes_back_as_it_was_and_what_does_not_change_takes_little() {
        let mut block = Block::new(2, -7, 60);
        for slot in 0..60 {
            block.put(A, slot, flat(5.0));
        }
        assert!(block.encode().len() < 12 + 40, "{}", block.encode().len());
        block.put(B, 3, Point { min: 1.0, avg: 2.5, max: 9.0 });
        block.put(B, 59, flat(0.0));
        let bytes = block.encode();
        assert_eq!(Block::decode(&bytes, |_| true), Some(block.clone()));
        let only = Block::decode(&bytes, |metric| metric == B).unwrap();
        assert_eq!((only.get(A, 0), only.get(B, 3)), (None, block.get(B, 3)));
    }

    #[test]
    fn what_is_cut_or_of_another_version_is_no_block_and_strange_metrics_are_left_out() {
        let mut block = Block::new(0, 1, 60);
        block.put(A, 0, flat(1.0));
        let bytes = block.encode();
        for length in 0..bytes.len() {
            assert!(length == 12 || Block::decode(&bytes[..length], |_| true).is_none(), "{length}");
        }
        let mut newer = bytes.clone();
        newer[0] = 9;
        assert_eq!(Block::decode(&newer, |_| true), None);
        let mut strange = bytes;
        strange[13] = b'X';
        assert_eq!(Block::decode(&strange, |_| true), Some(Block::new(0, 1, 60)));
    }

    #[test]
    fn two_parts_of_one_step_are_one_and_nonsense_is_not_taken() {
        let mut block = Block::new(0, 1, 2);
        block.put(A, 0, flat(1.0));
        block.put(A, 0, Point { min: 2.0, avg: 3.0, max: 8.0 });
        block.put(A, 2, flat(1.0));
        block.put(A, 1, flat(f32::NAN));
        let mut other = Block::new(0, 1, 2);
        other.put(A, 1, flat(4.0));
        block.merge(&other);
        assert_eq!((block.get(A, 0), block.get(A, 1)), (Some(Point { min: 1.0, avg: 2.0, max: 8.0 }), Some(flat(4.0))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_block_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut version = bytes.clone();
            if let Some(first) = version.first_mut() {
                *first = VERSION;
            }
            for bytes in [bytes, version] {
                if let Some(block) = Block::decode(&bytes, |_| true) {
                    prop_assert_eq!(Block::decode(&block.encode(), |_| true), Some(block));
                }
            }
        }

        #[test]
        fn any_readings_come_back(points in proptest::collection::vec(proptest::option::of((-1e30f32..1e30, 0f32..1e30)), 1..60)) {
            let mut block = Block::new(1, 5, points.len());
            for (slot, point) in points.iter().enumerate() {
                if let Some((least, more)) = point {
                    block.put(A, slot, Point { min: *least, avg: *least, max: least + more });
                }
            }
            let read = Block::decode(&block.encode(), |_| true).unwrap();
            for slot in 0..points.len() {
                prop_assert_eq!(read.get(A, slot), block.get(A, slot));
            }
        }
    }
}

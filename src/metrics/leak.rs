//! Does something grow that load does not explain? Pure.
//!
//! What is known to cost memory, descriptors and actors is taken away first: histories, queues, connections, sessions, channels. What is left is held
//! against the number of sessions, and what that does not explain either against the time. Both by the median of the slopes between all pairs of
//! readings (Theil and Sen), which a third of wild readings does not move: a restart of load, a night, a reload storm.

use super::catalogue::Metric;
use super::history::{Answer, Query, Reading};
use crate::store::WallMs;

/// How far back it looks, and in which steps.
const WINDOW_MS: WallMs = 6 * HOUR_MS;
const STEP_MS: WallMs = 300_000;

const HOUR_MS: WallMs = 3_600_000;

/// After its start a hub fills its buffers and pools: what grows then is no leak.
const WARM_UP_MS: WallMs = HOUR_MS / 2;

/// Fewer readings say nothing: two hours of them.
const READINGS_MIN: usize = 24;

/// Two readings at nearly the same load say nothing about what load costs.
const LOAD_SHARE_MIN: f64 = 0.05;

/// What is looked at, in the order of [`Growth`]'s computing.
const METRICS: [Metric; 9] = [
    Metric::MemoryAllocated,
    Metric::StreamsBytes,
    Metric::OutboxBytes,
    Metric::SessionsOpen,
    Metric::DescriptorsOpen,
    Metric::ConnectionsOpen,
    Metric::FeedsConnections,
    Metric::ActorsOpen,
    Metric::ChannelsOpen,
];

/// Growth in an hour; `None`: too little is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Growth {
    pub memory: Option<f64>,
    pub descriptors: Option<f64>,
    pub actors: Option<f64>,
}

/// What to ask history for. `None`: the hub has not run for long enough.
pub fn question(now: WallMs, started: WallMs) -> Option<Query> {
    let from = (now - WINDOW_MS).max(started + WARM_UP_MS);
    (now - from >= STEP_MS * READINGS_MIN as WallMs).then(|| Query { metrics: METRICS.to_vec(), from, to: now, step_ms: STEP_MS })
}

pub fn growth(answer: &Answer) -> Growth {
    let of = |metric: Metric| answer.columns.iter().find(|(known, _)| *known == metric).map_or(&[][..], |(_, readings)| readings);
    let at = |metric: Metric, step: usize| of(metric).get(step).copied().flatten().map(|reading: Reading| reading.avg);
    let steps = of(Metric::MemoryAllocated).len().max(of(Metric::DescriptorsOpen).len());
    let hours = |step: usize| step as f64 * answer.step_ms as f64 / HOUR_MS as f64;
    let left = |of: Metric, explained: &[Metric]| -> Vec<(f64, f64, f64)> {
        let reading = |step: usize| {
            let explained: Option<Vec<f64>> = explained.iter().map(|metric| at(*metric, step)).collect();
            Some((hours(step), at(Metric::SessionsOpen, step)?, at(of, step)? - explained?.iter().sum::<f64>()))
        };
        (0..steps).filter_map(reading).collect()
    };
    let memory = left(Metric::MemoryAllocated, &[Metric::StreamsBytes, Metric::OutboxBytes]);
    let descriptors = left(Metric::DescriptorsOpen, &[Metric::ConnectionsOpen, Metric::FeedsConnections]);
    let actors = left(Metric::ActorsOpen, &[Metric::SessionsOpen, Metric::ChannelsOpen]);
    Growth { memory: per_hour(&memory), descriptors: per_hour(&descriptors), actors: per_hour(&actors) }
}

/// Readings as (hours, load, value): what the value grows by in an hour that the load does not explain.
fn per_hour(readings: &[(f64, f64, f64)]) -> Option<f64> {
    if readings.len() < READINGS_MIN {
        return None;
    }
    let load_most = readings.iter().map(|(_, load, _)| *load).fold(0.0, f64::max);
    let by_load = slope(readings.iter().map(|(_, load, value)| (*load, *value)), load_most * LOAD_SHARE_MIN);
    // More load never costs less.
    let cost = by_load.unwrap_or(0.0).max(0.0);
    slope(readings.iter().map(|(hours, load, value)| (*hours, value - cost * load)), 0.0)
}

/// The median of the slopes between all pairs whose first members differ by more than `least`.
fn slope(points: impl Iterator<Item = (f64, f64)>, least: f64) -> Option<f64> {
    let points: Vec<_> = points.collect();
    let mut slopes: Vec<f64> = points
        .iter()
        .enumerate()
        .flat_map(|(index, one)| points[index + 1..].iter().map(move |other| (other.0 - one.0, other.1 - one.1)))
        .filter(|(run, _)| run.abs() > least)
        .map(|(run, rise)| rise / run)
        .collect();
    if slopes.is_empty() {
        return None;
    }
    let middle = slopes.len() / 2;
    let (_, median, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
    Some(*median)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = 1_048_576.0;

    /// Six hours of readings: memory by step and sessions.
    fn memory(sessions: impl Fn(f64) -> f64, memory: impl Fn(f64, f64) -> f64) -> Option<f64> {
        let steps = (WINDOW_MS / STEP_MS) as usize;
        let reading = |value: f64| Some(Reading { min: value, avg: value, max: value });
        let hour = |step: usize| step as f64 / 12.0;
        let column = |of: &dyn Fn(usize) -> f64| (0..steps).map(|step| reading(of(step))).collect::<Vec<_>>();
        let columns = vec![
            (Metric::MemoryAllocated, column(&|step| memory(hour(step), sessions(hour(step))))),
            (Metric::StreamsBytes, column(&|_| 0.0)),
            (Metric::OutboxBytes, column(&|_| 0.0)),
            (Metric::SessionsOpen, column(&|step| sessions(hour(step)))),
        ];
        let answer = Answer { from: 0, to: WINDOW_MS, step_ms: STEP_MS, tier_ms: 60_000, columns, is_whole: true };
        let growth = growth(&answer);
        assert_eq!((growth.descriptors, growth.actors), (None, None), "nothing is known of them");
        growth.memory
    }

    /// The same every time, and as wild as it gets.
    fn noise(hour: f64) -> f64 {
        ((hour * 997.0).sin() * 43_758.545_3).fract()
    }

    #[test]
    fn growth_is_told_from_load_and_noise() {
        let told = |name: &str, growth: Option<f64>| growth.unwrap_or_else(|| panic!("{name}: too little is known")) / MIB;
        let day = |hour: f64| 5_000.0 + 4_000.0 * (hour / 2.0).sin();
        let cases: [(&str, f64, Option<f64>); 7] = [
            ("steady", 0.0, memory(|_| 1_000.0, |_, _| 100.0 * MIB)),
            ("noise alone", 0.0, memory(|_| 1_000.0, |hour, _| (100.0 + 5.0 * noise(hour)) * MIB)),
            ("a leak", 3.0, memory(|_| 1_000.0, |hour, _| (100.0 + 3.0 * hour) * MIB)),
            ("a leak in noise", 3.0, memory(|_| 1_000.0, |hour, _| (100.0 + 3.0 * hour + 5.0 * noise(hour)) * MIB)),
            ("load that comes and goes", 0.0, memory(day, |_, sessions| 100.0 * MIB + sessions * 9_000.0)),
            ("a leak beneath it", 3.0, memory(day, |hour, sessions| (100.0 + 3.0 * hour) * MIB + sessions * 9_000.0)),
            ("a spike", 0.0, memory(|_| 1_000.0, |hour, _| if (2.0..3.0).contains(&hour) { 900.0 } else { 100.0 } * MIB)),
        ];
        for (name, expected, growth) in cases {
            let growth = told(name, growth);
            assert!((growth - expected).abs() < 0.8, "{name}: {growth} MiB an hour, not {expected}");
        }
    }

    #[test]
    fn a_hub_that_has_just_started_is_not_judged() {
        let started = 1_800_000_000_000;
        for (minutes, expected) in [(0, None), (149, None), (150, Some(30)), (360, Some(30)), (600, Some(240))] {
            let query = question(started + minutes * 60_000, started);
            assert_eq!(query.map(|query| (query.from - started) / 60_000), expected, "after {minutes} minutes");
        }
        assert_eq!(per_hour(&[(0.0, 1.0, 1.0); READINGS_MIN - 1]), None);
        assert_eq!(per_hour(&[(0.0, 1.0, 1.0); READINGS_MIN]), None, "all at one moment");
        assert_eq!(growth(&Answer { from: 0, to: 0, step_ms: 1, tier_ms: 1, columns: Vec::new(), is_whole: true }), Growth::default());
    }
}

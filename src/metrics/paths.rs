//! Percentiles of what the paths through the house took, over the last minute. Pure but for reading the counts.

use super::catalogue::{Metric, Values};
use crate::telemetry::latency::{Counted, Path};
use std::collections::VecDeque;

/// The percentiles are of the last [`LOOKS`] times so many steps: of a single one there are too few of most things.
const STEPS_PER_LOOK: u64 = 10;
const LOOKS: usize = 6;

/// The shares that are told of each path.
const SHARES: [f64; 2] = [0.5, 0.99];

/// The metrics of a path, in the order of [`SHARES`].
const fn metrics(path: Path) -> [Metric; SHARES.len()] {
    match path {
        Path::Delivery => [Metric::DeliveryP50, Metric::DeliveryP99],
        Path::FeedDelivery => [Metric::FeedDeliveryP50, Metric::FeedDeliveryP99],
        Path::Connect => [Metric::ConnectP50, Metric::ConnectP99],
        Path::Subscribe => [Metric::SubscribeP50, Metric::SubscribeP99],
        Path::Recovery => [Metric::RecoveryP50, Metric::RecoveryP99],
        Path::Rpc => [Metric::RpcP50, Metric::RpcP99],
        Path::ApiPublish => [Metric::ApiPublishP50, Metric::ApiPublishP99],
    }
}

pub struct Paths {
    /// What had been counted at the last looks, oldest first.
    looks: VecDeque<[Counted; Path::ALL.len()]>,
    steps: u64,
}

impl Paths {
    /// `counted`: by path, what was counted before this began.
    pub fn new(counted: [Counted; Path::ALL.len()]) -> Self {
        Self { looks: VecDeque::from([counted]), steps: 0 }
    }

    /// A step is over.
    pub fn step(&mut self, counted: [Counted; Path::ALL.len()], values: &mut Values) {
        self.steps += 1;
        if let Some(oldest) = self.looks.front() {
            for path in Path::ALL {
                let told = counted[path as usize].since(&oldest[path as usize], SHARES);
                for (index, metric) in metrics(path).into_iter().enumerate() {
                    values[metric] = told.map(|told| told[index]);
                }
            }
        }
        if self.steps.is_multiple_of(STEPS_PER_LOOK) {
            self.looks.push_back(counted);
            if self.looks.len() > LOOKS {
                self.looks.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::latency::took;
    use std::time::Duration;

    /// The one test that counts into these paths; others of this process may count into others.
    #[test]
    fn a_known_delay_is_told_for_a_minute_and_then_forgotten() {
        let read = || Path::ALL.map(Counted::of);
        let (mut paths, mut values) = (Paths::new(read()), Values::default());
        for ms in 0..100 {
            took(Path::FeedDelivery, Duration::from_millis(if ms < 98 { 20 } else { 700 }));
        }
        for step in 1..=61 {
            paths.step(read(), &mut values);
            let [p50, p99] = metrics(Path::FeedDelivery).map(|metric| values[metric]);
            if step <= 51 {
                assert!(
                    p50.is_some_and(|ms| (20.0..20.7).contains(&ms)) && p99.is_some_and(|ms| (700.0..723.0).contains(&ms)),
                    "{step}: {p50:?} {p99:?}"
                );
            }
        }
        assert_eq!(metrics(Path::FeedDelivery).map(|metric| values[metric]), [None, None]);
    }
}

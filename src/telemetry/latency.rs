//! How long things take, path by path: counted where they happen, without a lock, into histograms of a fixed size, which `/metrics` shows and `metrics`
//! makes percentiles of.
//!
//! The buckets are those of an HDR histogram: exact below 64 µs, and above it 32 to each doubling, so that what is told is at most 3 % above what was. The
//! hub's own canaries are not in here: they tell of themselves.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use std::collections::HashMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A way through the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// From the broker, which has just taken a publication, to the sockets of one worker's subscribers: once for each worker, when its last one is
    /// written. What waits in an outbox because its client is behind has left.
    Delivery,
    /// The same from where an event of a feed was read.
    FeedDelivery,
    /// From the connect command to its reply, the application's word included.
    Connect,
    Subscribe,
    /// Of those that came back: what they missed included.
    Recovery,
    /// From a call to its answer.
    Rpc,
    /// From a call of the server API that publishes to the broker's answer.
    ApiPublish,
}

impl Path {
    pub const ALL: [Self; 7] = [Self::Delivery, Self::FeedDelivery, Self::Connect, Self::Subscribe, Self::Recovery, Self::Rpc, Self::ApiPublish];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::FeedDelivery => "feed_delivery",
            Self::Connect => "connect",
            Self::Subscribe => "subscribe",
            Self::Recovery => "recovery",
            Self::Rpc => "rpc",
            Self::ApiPublish => "api_publish",
        }
    }
}

/// Buckets to each doubling, as a power of two.
const FINE_BITS: u32 = 5;
const FINE: u64 = 1 << FINE_BITS;

/// What is longer is counted as this long: 67 s, more than anything here may take.
const LONGEST_US: u64 = (1 << 26) - 1;

/// One for each microsecond below twice [`FINE`], and [`FINE`] for each doubling from there to [`LONGEST_US`].
pub const BUCKETS: usize = (2 * FINE + (26 - FINE_BITS as u64 - 1) * FINE) as usize;

/// Upper bounds that `/metrics` tells, seconds. The buckets in between are added up.
const BOUNDS: [f64; 14] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

struct Recorder {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

static RECORDERS: [Recorder; Path::ALL.len()] =
    [const { Recorder { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum_us: AtomicU64::new(0) } }; Path::ALL.len()];

/// Something took so long.
pub fn took(path: Path, time: Duration) {
    let us = u64::try_from(time.as_micros()).unwrap_or(LONGEST_US).min(LONGEST_US);
    let recorder = &RECORDERS[path as usize];
    recorder.buckets[bucket_of(us)].fetch_add(1, Ordering::Relaxed);
    recorder.sum_us.fetch_add(us, Ordering::Relaxed);
}

fn bucket_of(us: u64) -> usize {
    let doublings = us.max(1).ilog2().saturating_sub(FINE_BITS);
    (u64::from(doublings) * FINE + (us >> doublings)) as usize
}

/// The longest time that a bucket counts, microseconds.
fn bound_us(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let doublings = (bucket / FINE).saturating_sub(1);
    ((bucket - doublings * FINE + 1) << doublings) - 1
}

/// How often each bucket of a path has been counted since the process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted(Box<[u64; BUCKETS]>);

impl Counted {
    pub fn of(path: Path) -> Self {
        let recorder = &RECORDERS[path as usize];
        let mut counts = Box::new([0; BUCKETS]);
        counts.iter_mut().zip(&recorder.buckets).for_each(|(count, bucket)| *count = bucket.load(Ordering::Relaxed));
        Self(counts)
    }

    /// The times, milliseconds, within which these shares of what was counted since `before` were done; `None`: nothing was.
    pub fn since<const N: usize>(&self, before: &Self, shares: [f64; N]) -> Option<[f64; N]> {
        let counts = || self.0.iter().zip(before.0.iter()).map(|(now, before)| now.saturating_sub(*before));
        let all: u64 = counts().sum();
        (all > 0).then(|| {
            shares.map(|share| {
                let rank = ((all as f64 * share).ceil() as u64).clamp(1, all);
                let mut seen = 0;
                let bucket = counts().position(|count| {
                    seen += count;
                    seen >= rank
                });
                bound_us(bucket.unwrap_or(BUCKETS - 1)) as f64 / 1_000.0
            })
        })
    }
}

/// Shows the histograms in the registry.
struct Shown(Desc);

static SHOWN: LazyLock<()> = LazyLock::new(|| {
    let help = "How long things took in the hub, by path; docs/metrics.md says from where to where.";
    let desc = Desc::new("aether_latency_seconds".to_string(), help.to_string(), vec!["path".to_string()], HashMap::new());
    let desc = desc.expect("names of metrics are written well");
    prometheus::register(Box::new(Shown(desc))).expect("each metric is registered once");
});

/// Shows what is counted here from the start.
pub(super) fn show() {
    LazyLock::force(&SHOWN);
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metrics = Path::ALL.map(|path| {
            let mut label = LabelPair::default();
            label.set_name("path".to_string());
            label.set_value(path.as_str().to_string());
            let mut metric = Metric::from_label(vec![label]);
            metric.set_histogram(histogram(&Counted::of(path), RECORDERS[path as usize].sum_us.load(Ordering::Relaxed)));
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(self.0.fq_name.clone());
        family.set_help(self.0.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(metrics.into());
        vec![family]
    }
}

fn histogram(counted: &Counted, sum_us: u64) -> Histogram {
    let (mut next, mut count) = (0, 0);
    let buckets = BOUNDS.map(|bound| {
        // A bucket that reaches beyond a bound belongs to the next one: never told as shorter than it was.
        while next < BUCKETS && bound_us(next) as f64 <= bound * 1_000_000.0 {
            count += counted.0[next];
            next += 1;
        }
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.into());
    histogram.set_sample_count(counted.0.iter().sum());
    histogram.set_sample_sum(sum_us as f64 / 1_000_000.0);
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(times_us: &[(u64, u64)]) -> Counted {
        let mut counts = Counted(Box::new([0; BUCKETS]));
        times_us.iter().for_each(|&(us, count)| counts.0[bucket_of(us)] += count);
        counts
    }

    #[test]
    fn every_time_has_a_bucket_that_says_no_less_and_three_percent_more_at_most() {
        assert_eq!((bucket_of(0), bucket_of(LONGEST_US), bound_us(BUCKETS - 1)), (0, BUCKETS - 1, LONGEST_US));
        for us in (0..5_000).chain((0..26).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1])).chain([LONGEST_US]) {
            let told = bound_us(bucket_of(us));
            assert!(told >= us && told as f64 <= us as f64 * 1.032, "{us} is told as {told}");
        }
        (1..BUCKETS).for_each(|bucket| assert_eq!(bucket_of(bound_us(bucket - 1) + 1), bucket));
    }

    #[test]
    fn percentiles_are_of_what_came_since() {
        let before = counted(&[(10, 1_000)]);
        let mut after = before.clone();
        assert_eq!(after.since(&before, [0.5]), None, "nothing since");
        for (us, count) in [(1_000, 98), (50_000, 1), (2_000_000, 1)] {
            after.0[bucket_of(us)] += count;
        }
        let [p50, p99, most] = after.since(&before, [0.5, 0.99, 1.0]).unwrap();
        assert!((1.0..1.04).contains(&p50) && (50.0..52.0).contains(&p99) && (2_000.0..2_064.0).contains(&most), "{p50} {p99} {most}");
    }

    #[test]
    fn what_is_shown_is_cumulative_and_whole() {
        let shown = histogram(&counted(&[(50, 2), (900, 3), (60_000_000, 1)]), 60_000_000);
        let counts: Vec<u64> = shown.get_bucket().iter().map(Bucket::cumulative_count).collect();
        assert_eq!((counts[0], counts[3], counts[13], shown.get_sample_count()), (2, 5, 5, 6));
        assert!(counts.is_sorted());
    }
}

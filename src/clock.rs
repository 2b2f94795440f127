//! Now, behind one handle, so that tests can move time.
//!
//! Two clocks, because they answer different questions: [`Clock::now`] never goes back and drives timeouts, pings, expiry of streams;
//! [`Clock::wall_ms`] is what the outside world calls the time and is compared with tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds on the monotonic clock since the process began to count. Wraps after half a billion years.
pub type Millis = u64;

#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System(Instant),
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    now: AtomicU64,
    wall: AtomicI64,
}

impl Clock {
    pub fn system() -> Self {
        Self(Source::System(Instant::now()))
    }

    /// A clock that stands still until [`Clock::advance`] moves it. It starts at `wall_ms`, and at monotonic 1,000,000.
    pub fn manual(wall_ms: i64) -> Self {
        Self(Source::Manual(Arc::new(Manual { now: AtomicU64::new(1_000_000), wall: AtomicI64::new(wall_ms) })))
    }

    /// Milliseconds since the clock was made; never goes back.
    pub fn now(&self) -> Millis {
        match &self.0 {
            Source::System(start) => start.elapsed().as_millis() as Millis,
            Source::Manual(manual) => manual.now.load(Ordering::Acquire),
        }
    }

    /// Unix time in milliseconds, as the machine believes it.
    pub fn wall_ms(&self) -> i64 {
        match &self.0 {
            Source::System(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64),
            Source::Manual(manual) => manual.wall.load(Ordering::Acquire),
        }
    }

    /// Unix time in whole seconds, the unit of token claims.
    pub fn wall_seconds(&self) -> i64 {
        self.wall_ms().div_euclid(1_000)
    }

    /// Moves a manual clock; the system clock cannot be moved and ignores it.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            manual.now.fetch_add(by.as_millis() as u64, Ordering::AcqRel);
            manual.wall.fetch_add(by.as_millis() as i64, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_both_hands_and_only_when_told() {
        let clock = Clock::manual(5_000);
        let before = clock.now();
        assert_eq!(clock.now(), before);
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(clock.now(), before + 1_500);
        assert_eq!(clock.wall_ms(), 6_500);
        assert_eq!(clock.wall_seconds(), 6);
    }
}

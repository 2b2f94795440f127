//! Event loops of their own, under names by which `top -H` and a profiler tell them apart: the runtime calls all of them alike.

use actix_rt::Arbiter;
use parking_lot::Mutex;
use std::io;
use std::time::{Duration, Instant};

/// Starts a thread with an event loop. The system keeps the first 15 bytes of `name` (proc_pid_comm(5)).
pub fn arbiter(name: &'static str) -> Arbiter {
    named(Arbiter::new(), name)
}

/// Starts a thread with an event loop that, while it is busy, deals with what comes within `every` together: being woken for each packet alone
/// costs more than most packets do. What comes seldom is dealt with at once; nothing waits longer than `every`. Zero: nothing ever waits.
pub fn paced_arbiter(name: &'static str, every: Duration) -> io::Result<Arbiter> {
    if every.is_zero() {
        return Ok(arbiter(name));
    }
    let pace = Mutex::new(WakePace::new(every));
    let before_waiting = move || {
        let pause = pace.lock().pause(Instant::now());
        std::thread::sleep(pause);
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().on_thread_park(before_waiting).build();
    Ok(named(Arbiter::try_with_tokio_rt(runtime)?, name))
}

fn named(arbiter: Arbiter, name: &'static str) -> Arbiter {
    arbiter.spawn_fn(move || {
        // Without its name a thread works as well.
        let _ = std::fs::write("/proc/thread-self/comm", name);
    });
    arbiter
}

/// How often a thread may be woken: a few times in a row as it comes, and once in `every` if it goes on like that. The generic cell rate
/// algorithm (ITU-T I.371), in which a cell that comes too early waits.
struct WakePace {
    every: Duration,
    /// When the next waking is due if all come at this pace. `None`: there was none yet.
    due: Option<Instant>,
}

/// Wakings in a row that do not wait.
const BURST: u32 = 16;

impl WakePace {
    fn new(every: Duration) -> Self {
        Self { every, due: None }
    }

    /// How long a thread that would wait for work now has to stay away from it first.
    fn pause(&mut self, now: Instant) -> Duration {
        let due = self.due.map_or(now, |due| due.max(now));
        self.due = Some(due + self.every);
        (due - now).saturating_sub(self.every * BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(2);

    /// Wakes that follow one another after `gap` each; how long each of them has to stay away.
    fn pauses(pace: &mut WakePace, now: &mut Instant, gap: Duration, count: usize) -> Vec<Duration> {
        let one = |_| {
            *now += gap;
            let pause = pace.pause(*now);
            *now += pause;
            pause
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn who_is_woken_seldom_never_waits() {
        let (mut pace, mut now) = (WakePace::new(EVERY), Instant::now());
        assert_eq!(pauses(&mut pace, &mut now, EVERY, 1_000), [Duration::ZERO; 1_000]);
    }

    #[test]
    fn who_is_woken_often_waits_until_the_pace_is_kept_and_no_longer() {
        let (mut pace, mut now) = (WakePace::new(EVERY), Instant::now());
        let gap = Duration::from_micros(100);
        let told = pauses(&mut pace, &mut now, gap, 100);
        assert!(told[..BURST as usize].iter().all(Duration::is_zero), "a burst goes through");
        assert!(told.iter().all(|pause| *pause <= EVERY));
        assert_eq!(told[99], EVERY - gap, "then one waking in each such time");
        // After a rest as long as the burst was worth, the next one goes through as well.
        now += EVERY * (BURST + 1);
        assert!(pauses(&mut pace, &mut now, gap, BURST as usize).iter().all(Duration::is_zero));
    }
}

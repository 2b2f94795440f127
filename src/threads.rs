//! Event loops of their own, under names by which `top -H` and a profiler tell them apart: the runtime calls all of them alike.

use actix_rt::Arbiter;

/// Starts a thread with an event loop. The system keeps the first 15 bytes of `name` (proc_pid_comm(5)).
pub fn arbiter(name: &'static str) -> Arbiter {
    let arbiter = Arbiter::new();
    arbiter.spawn_fn(move || {
        // Without its name a thread works as well.
        let _ = std::fs::write("/proc/thread-self/comm", name);
    });
    arbiter
}

//! Measures this machine and writes the figures on the tape. Everything here blocks; it has a thread of its own.

use super::tape::Tape;
use serde::Serialize;
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use sysinfo::{DiskRefreshKind, Disks, Networks, System};

/// Every reading of the CPU is the mean of this time. sysinfo gives none over less than 200 ms, and the kernel counts in steps of 10 ms, so
/// that a shorter one would only be noise.
const CPU_WINDOW: Duration = Duration::from_millis(300);

/// Meters of the CPU that take turns, so that readings over `CPU_WINDOW` can come more often than once in it.
const CPU_METERS_MAX: u32 = 8;

/// Between two `host` events.
const HOST_INTERVAL: Duration = Duration::from_secs(1);

/// No measuring more often than this, whatever the settings say.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

#[derive(Serialize)]
struct Pulse {
    /// Per cent of all cores.
    cpu: f64,
    /// Unix time in milliseconds.
    t: u64,
    /// Counts the pulses of this process, from 1.
    n: u64,
}

/// Bytes, and bytes per second.
#[derive(Serialize)]
struct Host {
    cpu: f64,
    t: u64,
    n: u64,
    cores: Vec<f64>,
    memory: Memory,
    network: Network,
    disk: Disk,
}

#[derive(Serialize)]
struct Memory {
    used: u64,
    total: u64,
}

#[derive(Serialize)]
struct Network {
    received: u64,
    sent: u64,
}

#[derive(Serialize)]
struct Disk {
    read: u64,
    written: u64,
}

/// Runs until the tape is closed.
pub fn record(tape: &Tape, interval: Duration) {
    // Whatever ends this thread, no reader is left waiting for figures that will not come.
    struct CloseAtEnd<'a>(&'a Tape);
    impl Drop for CloseAtEnd<'_> {
        fn drop(&mut self) {
            self.0.close();
        }
    }
    let _close = CloseAtEnd(tape);

    let interval = interval.max(INTERVAL_MIN);
    let mut counts = Counts { pulses: 0, hosts: 0 };
    let mut meters = None;
    let mut tick = Instant::now();
    while let Some(paused) = tape.await_listeners() {
        if paused || meters.is_none() {
            meters = Meters::new(interval);
            tick = Instant::now();
        }
        let Some(meters) = &mut meters else {
            log::error!("demo feed: this machine cannot be measured");
            return;
        };
        meters.measure(tape, &mut counts);
        // After a delay the missed ticks are skipped, not made up for.
        tick = (tick + interval).max(Instant::now());
        tape.sleep_until(tick);
    }
}

struct Counts {
    pulses: u64,
    hosts: u64,
}

/// What is measured with. Made anew after every pause, since each reading is about the time since the one before.
struct Meters {
    cpus: Vec<Cpu>,
    turn: usize,
    networks: Networks,
    disks: Disks,
    host_at: Instant,
}

struct Cpu {
    system: System,
    has_begun: bool,
}

impl Meters {
    fn new(interval: Duration) -> Option<Self> {
        let meters = CPU_WINDOW.as_millis().div_ceil(interval.as_millis().max(1)).clamp(1, u128::from(CPU_METERS_MAX));
        let cpus = (0..meters).map(|_| System::new().ok().map(|system| Cpu { system, has_begun: false })).collect::<Option<Vec<_>>>()?;
        let networks = Networks::new_with_refreshed_list().ok()?;
        let disks = Disks::new_with_refreshed_list_specifics(disk_figures()).ok()?;
        Some(Self { cpus, turn: 0, networks, disks, host_at: Instant::now() })
    }

    fn measure(&mut self, tape: &Tape, counts: &mut Counts) {
        let turn = self.turn;
        self.turn = (turn + 1) % self.cpus.len();
        let Cpu { system, has_begun } = &mut self.cpus[turn];
        system.refresh_cpu_usage();
        if !std::mem::replace(has_begun, true) {
            return;
        }
        let t = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let cpu = per_cent(system.global_cpu_usage());
        counts.pulses += 1;
        write(tape, "pulse", &Pulse { cpu, t, n: counts.pulses });

        let elapsed = self.host_at.elapsed();
        if elapsed < HOST_INTERVAL {
            return;
        }
        self.host_at = Instant::now();
        counts.hosts += 1;
        system.refresh_memory();
        let cores = system.cpus().iter().map(|core| per_cent(core.usage())).collect();
        let memory = Memory { used: system.used_memory(), total: system.total_memory() };
        self.networks.refresh(true);
        self.disks.refresh_specifics(true, disk_figures());
        let network = network_rates(&self.networks, elapsed);
        let disk = disk_rates(&self.disks, elapsed);
        write(tape, "host", &Host { cpu, t, n: counts.hosts, cores, memory, network, disk });
    }
}

fn write(tape: &Tape, event_type: &str, figures: &impl Serialize) {
    match serde_json::to_string(figures) {
        Ok(json) => tape.append(event_type, &json),
        Err(error) => log::error!("demo feed: cannot write {event_type}: {error}"),
    }
}

/// Only what was read and written: asking for the space as well can hang on a network file system.
fn disk_figures() -> DiskRefreshKind {
    DiskRefreshKind::nothing().with_io_usage()
}

/// One decimal, and never what JSON cannot say.
fn per_cent(usage: f32) -> f64 {
    if usage.is_finite() { (f64::from(usage.clamp(0.0, 100.0)) * 10.0).round() / 10.0 } else { 0.0 }
}

/// All interfaces but the loopback, which would show this very feed.
fn network_rates(networks: &Networks, elapsed: Duration) -> Network {
    let outside = || networks.iter().filter(|(name, _)| *name != "lo").map(|(_, data)| data);
    let received = per_second(outside().map(|data| data.received()).sum(), elapsed);
    let sent = per_second(outside().map(|data| data.transmitted()).sum(), elapsed);
    Network { received, sent }
}

/// A disk that is mounted twice counts once.
fn disk_rates(disks: &Disks, elapsed: Duration) -> Disk {
    let devices: HashMap<_, _> = disks.iter().map(|disk| (disk.name().to_os_string(), disk.usage())).collect();
    let read = per_second(devices.values().map(|usage| usage.read_bytes).sum(), elapsed);
    let written = per_second(devices.values().map(|usage| usage.written_bytes).sum(), elapsed);
    Disk { read, written }
}

fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    (bytes as f64 / elapsed.as_secs_f64().max(0.001)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_always_numbers_between_0_and_100() {
        for (usage, shown) in [(48.2345, 48.2), (0.0, 0.0), (100.0, 100.0), (104.0, 100.0), (-1.0, 0.0), (f32::NAN, 0.0), (f32::INFINITY, 0.0)] {
            assert_eq!(per_cent(usage), shown, "{usage}");
        }
    }
}

//! What the system says of the process and of the machine. Reads files of `/proc`, which do not wait; the one call that may is made elsewhere.

use super::catalogue::{Metric, Values};
use std::time::Duration;
use sysinfo::System;

/// Descriptors from which on they are counted in every tenth step only: each look lists them all, 5 ms for 10,000.
const DESCRIPTORS_CHEAP: usize = 1_000;
const STEPS_PER_DEAR_LOOK: u32 = 10;

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    cpu(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn cpu(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call is given a whole timespec.
    unsafe {
        if libc::clock_gettime(clock, &raw mut time) != 0 {
            return Duration::ZERO;
        }
    }
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What is measured with. Readings of the CPU are about the time since the one before.
pub struct Host {
    system: Option<System>,
    cpu: Duration,
    page: f64,
    descriptors: usize,
    looks: u32,
}

impl Host {
    pub fn new() -> Self {
        // SAFETY: sysconf takes a number and gives one.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            system.refresh_cpu_usage();
        }
        Self { system, cpu: cpu(libc::CLOCK_PROCESS_CPUTIME_ID), page: page as f64, descriptors: 0, looks: 0 }
    }

    /// `elapsed`: since the reading before.
    pub fn read(&mut self, elapsed: Duration, values: &mut Values) {
        let now = cpu(libc::CLOCK_PROCESS_CPUTIME_ID);
        let used = now.saturating_sub(std::mem::replace(&mut self.cpu, now));
        values[Metric::ProcessCpu] = share(used.as_secs_f64() * 100.0, elapsed.as_secs_f64());
        values[Metric::MemoryResident] = resident_pages().map(|pages| pages * self.page);
        values[Metric::MemoryAllocated] = allocated();
        if self.descriptors < DESCRIPTORS_CHEAP || self.looks.is_multiple_of(STEPS_PER_DEAR_LOOK) {
            self.descriptors = entries("/proc/self/fd");
        }
        self.looks = self.looks.wrapping_add(1);
        values[Metric::DescriptorsOpen] = Some(self.descriptors as f64);
        values[Metric::DescriptorsUsed] = share(self.descriptors as f64, descriptors_max());
        values[Metric::ThreadsRunning] = Some(entries("/proc/self/task") as f64);
        values[Metric::HostSocketMemory] = socket_bytes().map(|bytes| bytes as f64);
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory();
            let cpu = f64::from(system.global_cpu_usage());
            values[Metric::HostCpu] = cpu.is_finite().then(|| cpu.clamp(0.0, 100.0));
            values[Metric::HostMemoryUsed] = share(system.used_memory() as f64, system.total_memory() as f64);
            values[Metric::HostLoad] = System::load_average().ok().map(|load| load.one).filter(|load| load.is_finite());
        }
    }
}

fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// How many there may be. Asked each time: whoever may can give a running process more, or fewer (prlimit(2)).
fn descriptors_max() -> f64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call is given a whole rlimit.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur as f64
}

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// The second number of `/proc/self/statm` (proc(5)).
fn resident_pages() -> Option<f64> {
    std::fs::read_to_string("/proc/self/statm").ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// What the allocator says; `None` where another one is linked, as in a test.
fn allocated() -> Option<f64> {
    use tikv_jemalloc_ctl::{epoch, stats};
    // The figures are those of the last epoch.
    epoch::advance().ok()?;
    stats::allocated::read().ok().filter(|bytes| *bytes > 0).map(|bytes| bytes as f64)
}

/// Bytes that the kernel keeps in the buffers of TCP sockets, of the whole machine.
pub fn socket_bytes() -> Option<usize> {
    let pages = tcp_pages(&std::fs::read_to_string("/proc/net/sockstat").ok()?)?;
    // SAFETY: sysconf takes a number and gives one.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(page).ok()?.checked_mul(pages)
}

/// Pages in the buffers of TCP sockets: `TCP: inuse 5 orphan 0 tw 0 alloc 7 mem 3` (Documentation/filesystems/proc.rst of Linux).
fn tcp_pages(sockstat: &str) -> Option<usize> {
    let mut words = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?.split_ascii_whitespace();
    words.find(|word| *word == "mem")?;
    words.next()?.parse().ok()
}

/// The share of the disk with `folder` that is free for this process. May wait for as long as the disk does.
pub fn disk_free(folder: &std::path::Path) -> Option<f64> {
    use std::os::unix::ffi::OsStrExt;
    let folder = std::ffi::CString::new(folder.as_os_str().as_bytes()).ok()?;
    let mut disk = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a zero, and the call fills the whole struct when it succeeds.
    let disk = unsafe {
        if libc::statvfs(folder.as_ptr(), disk.as_mut_ptr()) != 0 {
            return None;
        }
        disk.assume_init()
    };
    share(disk.f_bavail as f64, disk.f_blocks as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_and_the_machine_are_measured() {
        let mut host = Host::new();
        let mut values = Values::default();
        let work: u64 = (0..3_000_000u64).map(|number| std::hint::black_box(number) % 7).sum();
        assert!(work > 0);
        host.read(Duration::from_millis(100), &mut values);
        for (metric, (least, most)) in [
            (Metric::ProcessCpu, (0.1, 100_000.0)),
            (Metric::MemoryResident, (1e6, 1e12)),
            (Metric::DescriptorsOpen, (3.0, 1e6)),
            (Metric::DescriptorsUsed, (0.0, 1.0)),
            (Metric::ThreadsRunning, (1.0, 1e4)),
            (Metric::HostCpu, (0.0, 100.0)),
            (Metric::HostMemoryUsed, (0.0, 1.0)),
        ] {
            let value = values[metric].unwrap_or_else(|| panic!("no {}", metric.name()));
            assert!((least..=most).contains(&value), "{}: {value}", metric.name());
        }
        assert!(disk_free(std::path::Path::new("/")).is_some_and(|free| (0.0..=1.0).contains(&free)));
        assert_eq!(disk_free(std::path::Path::new("/surely/not/there")), None);
        assert!(thread_cpu() > Duration::ZERO);
    }

    #[test]
    fn what_the_kernel_keeps_for_sockets_is_found_in_its_line() {
        let text = "sockets: used 290\nTCP: inuse 5 orphan 0 tw 2 alloc 7 mem 3\nUDP: inuse 1 mem 9\n";
        assert_eq!(tcp_pages(text), Some(3));
        for text in ["", "TCP: inuse 5", "TCP: mem", "TCP: mem x", "UDP: mem 9"] {
            assert_eq!(tcp_pages(text), None, "{text:?}");
        }
    }
}

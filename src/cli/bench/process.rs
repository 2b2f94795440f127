//! What the kernel knows of the measured server: processor time and resident memory of its processes; and of the tool itself.

use anyhow::{Context, bail};
use std::io;
use std::time::Duration;

/// The processes that together are the server: one, or for instance all workers of nginx.
#[derive(Clone, Debug)]
pub struct Server {
    processes: Vec<Process>,
}

#[derive(Clone, Copy, Debug)]
struct Process {
    pid: libc::pid_t,
    clock: libc::clockid_t,
}

/// Resident memory in bytes. Rss counts a page that several processes share once for each of them, Pss a share for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    pub rss: u64,
    pub pss: u64,
}

impl Server {
    pub fn new(pids: &[i32]) -> anyhow::Result<Self> {
        let mut processes = Vec::with_capacity(pids.len());
        for &pid in pids {
            let mut clock = 0;
            // SAFETY: the call writes one clockid_t to the place that it is given.
            let refused = unsafe { libc::clock_getcpuclockid(pid, &mut clock) };
            if refused != 0 {
                bail!("cannot measure process {pid}: {}", io::Error::from_raw_os_error(refused));
            }
            processes.push(Process { pid, clock });
        }
        Ok(Self { processes })
    }

    pub fn is_known(&self) -> bool {
        !self.processes.is_empty()
    }

    /// User and system time of all threads, those that ended included.
    ///
    /// Read from the process's CPU-time clock: the same account as utime + stime of /proc/PID/stat, but in nanoseconds instead of ticks
    /// of 10 ms, which would be a tenth of what a recovery storm takes.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        let mut sum = Duration::ZERO;
        for process in &self.processes {
            sum += read_clock(process.clock).with_context(|| format!("cannot read the processor time of process {}", process.pid))?;
        }
        Ok(sum)
    }

    pub fn resident(&self) -> anyhow::Result<Resident> {
        let mut sum = Resident::default();
        for process in &self.processes {
            let path = format!("/proc/{}/smaps_rollup", process.pid);
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
            let one = parse_smaps(&text).with_context(|| format!("cannot understand {path}"))?;
            sum.rss += one.rss;
            sum.pss += one.pss;
        }
        Ok(sum)
    }

    /// The figure to compare: shared pages must not be counted several times, and a single process has no one to share with but strangers.
    pub fn headline(&self, resident: Resident) -> u64 {
        if self.processes.len() > 1 { resident.pss } else { resident.rss }
    }
}

/// Processor time of this process.
pub fn own_cpu_time() -> Duration {
    read_clock(libc::CLOCK_PROCESS_CPUTIME_ID).unwrap_or_default()
}

/// Processor time of the whole machine, whoever used it (a hypervisor's neighbours included), if the system tells.
pub fn machine_cpu_time() -> Option<Duration> {
    parse_stat(&std::fs::read_to_string("/proc/stat").ok()?)
}

/// The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal, in ticks of 10 ms on every Linux that runs this.
fn parse_stat(text: &str) -> Option<Duration> {
    let fields: Vec<u64> = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map_while(|field| field.parse().ok()).collect();
    match fields[..] {
        [user, nice, system, _, _, irq, softirq, steal, ..] => Some(Duration::from_millis(10 * (user + nice + system + irq + softirq + steal))),
        _ => None,
    }
}

fn read_clock(clock: libc::clockid_t) -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec to the place that it is given.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

fn parse_smaps(text: &str) -> Option<Resident> {
    let bytes = |name: &str| -> Option<u64> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        let kib: u64 = line[name.len()..].trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1_024)
    };
    Some(Resident { rss: bytes("Rss:")?, pss: bytes("Pss:")? })
}

/// Raises the limit of open descriptors to `wanted`, or says which limit is in the way.
pub fn allow_descriptors(wanted: u64) -> anyhow::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes one rlimit to the place that it is given.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error()).context("cannot read the limit of open descriptors");
    }
    if limit.rlim_cur >= wanted {
        return Ok(());
    }
    let hard = limit.rlim_max;
    // Only root may raise the hard limit; it is worth the attempt before asking a person to do it.
    for rlim_max in [hard, hard.max(wanted)] {
        let raised = libc::rlimit { rlim_cur: wanted, rlim_max };
        // SAFETY: the call reads one rlimit from the place that it is given.
        if wanted <= rlim_max && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } == 0 {
            return Ok(());
        }
    }
    bail!(
        "this run needs {wanted} open descriptors, but the limit is {hard}: raise it (\"ulimit -n {wanted}\" as root) or ask for fewer --connections"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_rollup() {
        let text =
            "55d0-7ffe ---p 00000000 00:00 0    [rollup]\nRss:               10784 kB\nPss:                8123 kB\nPss_Dirty:          1 kB\n";
        assert_eq!(parse_smaps(text), Some(Resident { rss: 10_784 * 1_024, pss: 8_123 * 1_024 }));
        assert_eq!(parse_smaps("Rss: many kB\nPss: 1 kB"), None);
        assert_eq!(parse_smaps(""), None);
    }

    #[test]
    fn the_machine_is_read_from_the_first_line_of_stat() {
        assert_eq!(parse_stat("cpu  1 2 3 100 200 4 5 6 0 0\ncpu0 9 9 9\n"), Some(Duration::from_millis(210)));
        assert_eq!(parse_stat("cpu  1 2 3"), None);
        assert_eq!(parse_stat(""), None);
        assert!(machine_cpu_time() > Some(Duration::ZERO));
    }

    #[test]
    fn this_process_can_be_measured_like_a_server() {
        let own = Server::new(&[std::process::id() as i32]).unwrap();
        let before = own.cpu_time().unwrap();
        let mut spin = 0u64;
        while own.cpu_time().unwrap() == before {
            spin = std::hint::black_box(spin + 1);
        }
        assert!(own.cpu_time().unwrap() > before && own_cpu_time() > Duration::ZERO);
        assert!(own.resident().unwrap().rss > 1_000_000);
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        // Beyond the largest process id that Linux gives (2^22).
        let error = Server::new(&[1 << 23]).unwrap_err().to_string();
        assert!(error.contains("8388608"), "{error}");
    }

    #[test]
    fn a_limit_that_cannot_be_raised_is_named() {
        // More than the kernel's own fs.nr_open lets anybody have.
        let error = allow_descriptors(1 << 40).unwrap_err().to_string();
        assert!(error.contains("--connections"), "{error}");
        allow_descriptors(3).unwrap();
    }
}

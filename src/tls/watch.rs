//! Finds out that the certificate's files have changed, and has the resolver load them.
//!
//! Two ways, because each alone fails somewhere. The system reports changes in the folders of the files (not of the files: certbot and
//! Kubernetes replace symbolic links, editors replace files), at once, but not on every file system, and not after a folder was replaced.
//! Looking every half minute always works. One thread does both; it is the only one that waits for the disk.

use super::resolver::ReloadingResolver;
use crate::telemetry::certificates::CertificateNotWatched;
use crate::telemetry::emit;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How the watch waits.
#[derive(Clone, Copy, Debug)]
pub struct WatchTiming {
    /// The files are looked at this often even if no change is reported.
    pub poll: Duration,
    /// After a reported change, this long must pass without another: certificate and key are rarely written at the same moment.
    pub settle: Duration,
    /// Changes that never settle are looked at after this long.
    pub settle_max: Duration,
}

impl Default for WatchTiming {
    fn default() -> Self {
        Self { poll: Duration::from_secs(30), settle: Duration::from_millis(300), settle_max: Duration::from_secs(3) }
    }
}

/// Watches until it is dropped.
pub struct CertificateWatch {
    shared: Arc<Shared>,
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    is_stopped: AtomicBool,
    is_reload_wanted: AtomicBool,
}

impl CertificateWatch {
    /// Fails only where no thread can be started.
    pub fn start(resolver: Arc<ReloadingResolver>, timing: WatchTiming) -> io::Result<Self> {
        // One place is enough: a wake-up says that there is something to look at, not what.
        let (wake, wakes) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let watch = Watch { resolver, timing, shared: Arc::clone(&shared), wakes, folders: Folders::new(wake.clone()) };
        let thread = std::thread::Builder::new().name("certificates".to_string()).spawn(move || watch.run())?;
        Ok(Self { shared, wake, thread })
    }

    /// Has the certificate loaded anew even if it looks unchanged, in a moment and on another thread: for SIGHUP.
    pub fn reload_soon(&self) {
        self.shared.is_reload_wanted.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether changes are still looked for. `false` after a defect ended the thread; then start another watch.
    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    fn wake(&self) {
        // Full: a wake-up waits already. Disconnected: nobody is left to be woken.
        let _ = self.wake.try_send(());
    }
}

impl Drop for CertificateWatch {
    /// Does not wait for the thread, which may be waiting for a disk; it ends by itself as soon as it looks up.
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Release);
        self.wake();
    }
}

/// The thread's own.
struct Watch {
    resolver: Arc<ReloadingResolver>,
    timing: WatchTiming,
    shared: Arc<Shared>,
    wakes: Receiver<()>,
    folders: Folders,
}

impl Watch {
    fn run(mut self) {
        while !self.is_stopped() {
            // Before looking: what changes between the look and a later start of watching would go unseen until the next poll.
            self.folders.watch(&self.resolver, self.timing.poll);
            if self.shared.is_reload_wanted.swap(false, Ordering::AcqRel) {
                // The event has told how it went.
                let _ = self.resolver.reload();
            } else {
                self.resolver.reload_if_changed();
            }
            self.resolver.warn_of_expiry();
            if self.wakes.recv_timeout(self.timing.poll).is_ok() {
                self.settle();
            }
        }
    }

    fn settle(&self) {
        let start = Instant::now();
        while !self.is_stopped() && start.elapsed() < self.timing.settle_max {
            if self.wakes.recv_timeout(self.timing.settle) == Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.shared.is_stopped.load(Ordering::Acquire)
    }
}

/// The folders whose changes the system reports.
struct Folders {
    wake: SyncSender<()>,
    watcher: Option<RecommendedWatcher>,
    /// By path, with device and inode: a folder that was replaced has to be watched anew.
    watched: HashMap<PathBuf, (u64, u64)>,
    has_complained: bool,
}

impl Folders {
    fn new(wake: SyncSender<()>) -> Self {
        Self { wake, watcher: None, watched: HashMap::new(), has_complained: false }
    }

    /// Watches the folders in which the files are now, and no others. What cannot be watched is left to polling.
    fn watch(&mut self, resolver: &ReloadingResolver, poll: Duration) {
        let wanted = folders_of([&resolver.paths().certificate, &resolver.paths().key]);
        if let Err(error) = self.follow(&wanted) {
            if !self.has_complained {
                emit(CertificateNotWatched { path: &resolver.paths().certificate, error: &error, every: poll });
            }
            self.has_complained = true;
        }
    }

    fn follow(&mut self, wanted: &HashMap<PathBuf, (u64, u64)>) -> notify::Result<()> {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            None => self.watcher.insert(watcher(self.wake.clone())?),
        };
        self.watched.retain(|folder, identity| {
            let is_wanted = wanted.get(folder) == Some(identity);
            if !is_wanted {
                // Fails where the folder is gone, and with it the watch.
                let _ = watcher.unwatch(folder);
            }
            is_wanted
        });
        for (folder, identity) in wanted {
            if !self.watched.contains_key(folder) {
                watcher.watch(folder, RecursiveMode::NonRecursive)?;
                self.watched.insert(folder.clone(), *identity);
            }
        }
        Ok(())
    }
}

fn watcher(wake: SyncSender<()>) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file is reported too, and our own reading would wake us for ever. Errors (lost events) are a reason to look.
        let is_change = event.map_or(
            true,
            |event| !matches!(event.kind, EventKind::Access(kind) if !matches!(kind, AccessKind::Close(AccessMode::Write | AccessMode::Any))),
        );
        if is_change {
            let _ = wake.try_send(());
        }
    })
}

/// The folders of the files as they are named, and of the files that those names lead to.
fn folders_of(files: [&PathBuf; 2]) -> HashMap<PathBuf, (u64, u64)> {
    let mut folders = HashMap::new();
    for file in files {
        let target = std::fs::canonicalize(file).ok();
        for folder in [Some(file), target.as_ref()].into_iter().flatten().filter_map(|file| folder_of(file)) {
            if let Ok(metadata) = std::fs::metadata(&folder) {
                folders.insert(folder, (metadata.dev(), metadata.ino()));
            }
        }
    }
    folders
}

fn folder_of(file: &Path) -> Option<PathBuf> {
    let folder = file.parent()?;
    // `hub.pem` alone is in the working directory.
    Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_path_buf() })
}

#[cfg(test)]
mod tests {
    use super::super::certificate::CertificatePaths;
    use super::super::certificate::tests::{TestPair, test_pair};
    use super::*;
    use crate::clock::Clock;
    use std::os::unix::fs::symlink;

    const FIRST: u64 = 2_000_000_000;
    const SECOND: u64 = 2_100_000_000;
    const THIRD: u64 = 2_200_000_000;

    /// Only reported changes, no polling.
    const BY_EVENTS: WatchTiming =
        WatchTiming { poll: Duration::from_secs(3_600), settle: Duration::from_millis(20), settle_max: Duration::from_millis(500) };
    fn watch(paths: CertificatePaths, timing: WatchTiming) -> (Arc<ReloadingResolver>, CertificateWatch) {
        let resolver = ReloadingResolver::open(paths, Clock::manual(1_800_000_000_000)).unwrap();
        let watch = CertificateWatch::start(Arc::clone(&resolver), timing).unwrap();
        (resolver, watch)
    }

    #[track_caller]
    fn eventually<T: std::fmt::Debug>(what: &str, mut look: impl FnMut() -> Result<(), T>) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match look() {
                Ok(()) => return,
                Err(state) if Instant::now() > deadline => panic!("{what}: still {state:?}"),
                Err(_) => std::thread::park_timeout(Duration::from_millis(2)),
            }
        }
    }

    #[track_caller]
    fn eventually_expires_at(resolver: &ReloadingResolver, expected: u64) {
        eventually("the served certificate's expiry", || match resolver.expires_at() {
            found if found == expected as i64 => Ok(()),
            found => Err(found),
        });
    }

    #[test]
    fn a_new_pair_is_served_soon_and_a_broken_one_never() {
        let directory = tempfile::tempdir().unwrap();
        let (resolver, watch) = watch(test_pair("hub.example", FIRST).write_to(directory.path()), BY_EVENTS);
        test_pair("hub.example", SECOND).write_to(directory.path());
        eventually_expires_at(&resolver, SECOND);

        TestPair { certificate: "broken".to_string(), key: "broken".to_string() }.write_to(directory.path());
        std::fs::remove_file(&resolver.paths().key).unwrap();
        watch.reload_soon();
        eventually("the reload to be done", || if watch.shared.is_reload_wanted.load(Ordering::Acquire) { Err("wanted") } else { Ok(()) });
        assert_eq!(resolver.expires_at(), SECOND as i64);

        test_pair("hub.example", THIRD).write_to(directory.path());
        eventually_expires_at(&resolver, THIRD);
        assert!(watch.is_running());
    }

    #[test]
    fn a_pair_put_in_place_by_renaming_is_served() {
        let directory = tempfile::tempdir().unwrap();
        let staging = tempfile::tempdir_in(directory.path()).unwrap();
        let (resolver, _watch) = watch(test_pair("hub.example", FIRST).write_to(directory.path()), BY_EVENTS);
        let staged = test_pair("hub.example", SECOND).write_to(staging.path());
        std::fs::rename(staged.key, &resolver.paths().key).unwrap();
        std::fs::rename(staged.certificate, &resolver.paths().certificate).unwrap();
        eventually_expires_at(&resolver, SECOND);
    }

    /// As Kubernetes does it: `hub.pem` → `..data/hub.pem`, `..data` → a folder of this version, and only `..data` is replaced.
    #[test]
    fn a_swapped_link_to_another_folder_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let version = |name: &str, expires_at| {
            std::fs::create_dir(root.join(name)).unwrap();
            test_pair("hub.example", expires_at).write_to(&root.join(name));
        };
        let point_at = |name: &str| {
            symlink(name, root.join("..new")).unwrap();
            std::fs::rename(root.join("..new"), root.join("..data")).unwrap();
        };
        version("..v1", FIRST);
        point_at("..v1");
        symlink("..data/hub.pem", root.join("hub.pem")).unwrap();
        symlink("..data/hub.key", root.join("hub.key")).unwrap();
        let (resolver, _watch) = watch(CertificatePaths { certificate: root.join("hub.pem"), key: root.join("hub.key") }, BY_EVENTS);
        for (name, expires_at) in [("..v2", SECOND), ("..v3", THIRD)] {
            version(name, expires_at);
            point_at(name);
            eventually_expires_at(&resolver, expires_at);
        }
        // In the folder that the links lead to now, which was not there when the watch began.
        test_pair("hub.example", FIRST + 1).write_to(&root.join("..v3"));
        eventually_expires_at(&resolver, FIRST + 1);
    }

    /// As certbot does it: links in one folder to numbered files in another.
    #[test]
    fn swapped_links_to_other_files_are_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (live, archive) = (directory.path().join("live"), directory.path().join("archive"));
        std::fs::create_dir(&live).unwrap();
        let renew = |number: u32, expires_at| {
            let folder = archive.join(number.to_string());
            std::fs::create_dir_all(&folder).unwrap();
            test_pair("hub.example", expires_at).write_to(&folder);
            for file in ["hub.key", "hub.pem"] {
                let _ = std::fs::remove_file(live.join(file));
                symlink(folder.join(file), live.join(file)).unwrap();
            }
        };
        renew(1, FIRST);
        let (resolver, _watch) = watch(CertificatePaths { certificate: live.join("hub.pem"), key: live.join("hub.key") }, BY_EVENTS);
        renew(2, SECOND);
        eventually_expires_at(&resolver, SECOND);
    }

    #[test]
    fn a_folder_that_was_removed_and_made_again_is_found_by_polling() {
        let directory = tempfile::tempdir().unwrap();
        let certs = directory.path().join("certs");
        std::fs::create_dir(&certs).unwrap();
        let paths = test_pair("hub.example", FIRST).write_to(&certs);
        let resolver = ReloadingResolver::open(paths, Clock::manual(1_800_000_000_000)).unwrap();
        let shared = Arc::new(Shared::default());
        let timing = WatchTiming { poll: Duration::from_millis(10), ..BY_EVENTS };
        // Reports go to where nobody listens, so that only polling can find anything.
        let (unheard, _) = sync_channel(1);
        let (_wake, wakes) = sync_channel(1);
        let watch = Watch { resolver: Arc::clone(&resolver), timing, shared: Arc::clone(&shared), wakes, folders: Folders::new(unheard) };
        let thread = std::thread::spawn(move || watch.run());
        for expires_at in [SECOND, THIRD] {
            std::fs::remove_dir_all(&certs).unwrap();
            std::fs::create_dir(&certs).unwrap();
            test_pair("hub.example", expires_at).write_to(&certs);
            eventually_expires_at(&resolver, expires_at);
        }
        shared.is_stopped.store(true, Ordering::Release);
        thread.join().unwrap();
    }

    #[test]
    fn a_folder_is_watched_by_its_identity_and_no_longer_than_needed() {
        let directory = tempfile::tempdir().unwrap();
        let certs = directory.path().join("certs");
        let (wake, wakes) = sync_channel(1);
        let mut folders = Folders::new(wake);
        let file = certs.join("hub.pem");
        std::fs::create_dir(&certs).unwrap();
        folders.follow(&folders_of([&file, &file])).unwrap();
        std::fs::remove_dir(&certs).unwrap();
        folders.follow(&folders_of([&file, &file])).unwrap();
        assert!(folders.watched.is_empty(), "{:?}", folders.watched);
        std::fs::create_dir(&certs).unwrap();
        folders.follow(&folders_of([&file, &file])).unwrap();
        while wakes.try_recv().is_ok() {}
        std::fs::write(&file, "x").unwrap();
        assert_eq!(wakes.recv_timeout(Duration::from_secs(20)), Ok(()), "the new folder is watched");
    }

    #[test]
    fn reading_the_files_wakes_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let paths = test_pair("hub.example", FIRST).write_to(directory.path());
        // Room for many wake-ups, so that none hides behind another.
        let (wake, wakes) = sync_channel(64);
        let mut folders = Folders::new(wake);
        folders.follow(&folders_of([&paths.certificate, &paths.key])).unwrap();
        for _ in 0..3 {
            std::fs::read(&paths.certificate).unwrap();
            std::fs::read(&paths.key).unwrap();
        }
        // Reports come in order: once this one has come, those of the reads would have.
        std::fs::remove_file(&paths.key).unwrap();
        assert_eq!(wakes.recv_timeout(Duration::from_secs(20)), Ok(()));
        let more = std::iter::from_fn(|| wakes.recv_timeout(Duration::from_millis(50)).ok()).count();
        assert_eq!(more, 0, "wake-ups beside the one of the removal");
    }

    #[test]
    fn a_dropped_watch_ends_its_thread() {
        let directory = tempfile::tempdir().unwrap();
        let (resolver, watch) = watch(test_pair("hub.example", FIRST).write_to(directory.path()), BY_EVENTS);
        assert_eq!(Arc::strong_count(&resolver), 2);
        drop(watch);
        eventually("holders of the resolver", || match Arc::strong_count(&resolver) {
            1 => Ok(()),
            count => Err(count),
        });
    }
}

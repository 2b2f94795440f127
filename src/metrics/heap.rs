//! A profile of the heap, when an operator asks for one: which parts of the program hold the memory that was taken while it was on. Where the leak watch
//! ([`super::leak`]) says that memory grows, this says whose it is.
//!
//! The allocator can do it in every build, and does nothing of it until it is asked: one in 512 KiB of what is allocated is then sampled with its call stack. One
//! profile at a time, for a limited time; the files are readable by the hub's user alone, and the oldest give way. Addresses and sizes are in them, no content.

use crate::store::WallMs;
use crate::telemetry::emit;
use crate::telemetry::metrics::{HeapProfileFailed, HeapProfileWritten};
use std::ffi::CString;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tikv_jemalloc_ctl::{profiling, raw};

/// The longest time that one may be on: sampling costs little, but not nothing.
pub const LASTING_MAX: Duration = Duration::from_secs(3_600);

/// Profiles that are kept, a few hundred KiB each.
const FILES_MAX: usize = 5;

const EXTENSION: &str = "heap";

#[derive(Debug, thiserror::Error)]
pub enum HeapError {
    #[error("this build has no allocator that can do it")]
    NotThere,
    #[error("a profile is being made; wait for it to end")]
    Running,
    #[error("\"lasting\" must be from 1s to {}m", LASTING_MAX.as_secs() / 60)]
    Lasting,
    #[error("cannot write {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the allocator refuses: {what}")]
    Allocator { what: String },
}

#[derive(Debug)]
pub struct HeapProfiler {
    folder: PathBuf,
    is_on: AtomicBool,
}

/// While it lives memory is sampled.
struct Sampling(Arc<HeapProfiler>);

impl Drop for Sampling {
    fn drop(&mut self) {
        let _ = set_active(false);
        self.0.is_on.store(false, Ordering::Release);
    }
}

impl HeapProfiler {
    pub fn new(data_dir: &Path) -> Arc<Self> {
        Arc::new(Self { folder: data_dir.join("profiles"), is_on: AtomicBool::new(false) })
    }

    /// Samples from now on, and says where the profile will be when the time is over. Called on a thread with an event loop.
    pub fn begin(self: &Arc<Self>, lasting: Duration, now: WallMs) -> Result<PathBuf, HeapError> {
        if !(Duration::from_secs(1)..=LASTING_MAX).contains(&lasting) {
            return Err(HeapError::Lasting);
        }
        if !profiling::prof::read().unwrap_or(false) {
            return Err(HeapError::NotThere);
        }
        if self.is_on.swap(true, Ordering::AcqRel) {
            return Err(HeapError::Running);
        }
        let sampling = Sampling(Arc::clone(self));
        set_active(true)?;
        let path = self.folder.join(format!("{now}.{EXTENSION}"));
        let at = path.clone();
        actix_rt::spawn(async move {
            tokio::time::sleep(lasting).await;
            // Still sampling: what is forgotten cannot be written.
            let written = actix_rt::task::spawn_blocking(move || {
                let result = sampling.0.write(&at);
                drop(sampling);
                match result {
                    Ok(()) => emit(HeapProfileWritten { path: &at }),
                    Err(error) => emit(HeapProfileFailed { error: &error }),
                }
            });
            let _ = written.await;
        });
        Ok(path)
    }

    fn write(&self, path: &Path) -> Result<(), HeapError> {
        let cannot = |source| HeapError::File { path: path.to_path_buf(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(cannot)?;
        make_room(&self.folder, FILES_MAX - 1).map_err(cannot)?;
        // Made here with its mode: the allocator opens what is there and would let everybody read what it makes itself.
        drop(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(cannot)?);
        dump(path)
    }
}

/// Removes the oldest profiles until so many are left. Their names are times.
fn make_room(folder: &Path, left: usize) -> io::Result<()> {
    let is_ours = |path: &PathBuf| path.extension().is_some_and(|extension| extension == EXTENSION);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).filter(is_ours).collect();
    files.sort_unstable();
    let over = files.len().saturating_sub(left);
    files.drain(..over).try_for_each(std::fs::remove_file)
}

fn refused(error: impl std::fmt::Display) -> HeapError {
    HeapError::Allocator { what: error.to_string() }
}

fn set_active(is_active: bool) -> Result<(), HeapError> {
    // SAFETY: the allocator takes a bool under this name (jemalloc(3), prof.active).
    unsafe { raw::write(b"prof.active\0", is_active) }.map_err(refused)
}

fn dump(path: &Path) -> Result<(), HeapError> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(refused)?;
    // SAFETY: the allocator takes a pointer to a text that ends with a zero under this name (jemalloc(3), prof.dump), and reads it within the call.
    unsafe { raw::write(b"prof.dump\0", path.as_ptr()) }.map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_profiles_give_way_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["1800000000001.heap", "1800000000003.heap", "1800000000002.heap", "notes.txt"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        make_room(folder.path(), 2).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["1800000000002.heap", "1800000000003.heap", "notes.txt"]);
        make_room(folder.path(), 4).unwrap();
        assert!(make_room(&folder.path().join("nothing"), 1).is_err());
    }

    #[test]
    fn times_that_are_none_are_refused() {
        let profiler = HeapProfiler::new(Path::new("/nothing"));
        for lasting in [Duration::ZERO, Duration::from_millis(999), LASTING_MAX + Duration::from_millis(1)] {
            assert!(matches!(profiler.begin(lasting, 0), Err(HeapError::Lasting)), "{lasting:?}");
        }
    }
}

//! Names for code that is compiled while the program runs.

mod file;
mod names;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use self::file::MapFile;
pub(crate) use self::names::JitMap;
use crate::clock;
use crate::process::Process;

/// Why a perf map could not be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PerfMapError {
    /// The file is there already and is not a plain file of ours: somebody may have put it (or
    /// a link) there. Remove it after a look.
    #[error("create {path}: it exists and is not a plain file of this user")]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be created.
    #[error("create {path}")]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The map of run-time compiled functions that `perf` reads: `/tmp/perf-PID.map`.
///
/// Registered functions are named in Flashlamp's own profiles too. Such code is unwound by
/// frame pointers, so a compiler has to keep them (Cranelift: `preserve_frame_pointers`).
///
/// Any number of maps may be made in one process: they share one file and one writer, so that
/// lines never mix. The file stays when the process ends, because `perf report` comes later; a
/// file that a dead process of the same id left behind is replaced.
///
/// # Example
///
/// ```
/// let map = flashlamp::PerfMap::create()?;
/// let code = vec![0_u8; 64]; // in earnest: executable memory
/// let function = map.register(code.as_ptr() as usize, code.len(), "sum of squares");
/// // … run it, profile it …
/// drop(function); // before the memory is freed
/// # Ok::<(), flashlamp::PerfMapError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PerfMap {
    process: &'static Process,
    file: Arc<Mutex<MapFile>>,
    path: PathBuf,
    /// Lines that a forked child was asked for.
    refused: Arc<AtomicU64>,
}

/// A registered function; dropping it ends the registration.
///
/// `perf` cannot be told that code is gone (its format has no such line), but our own profiles
/// stop to use the name.
#[derive(Debug)]
#[must_use = "dropping the handle unregisters the function"]
pub struct RegisteredCode {
    process: &'static Process,
    start: u64,
    serial: u64,
}

impl PerfMap {
    /// Creates the file, or joins the one that this process already writes.
    ///
    /// # Errors
    /// [`PerfMapError::NotOurs`] where the path holds a link or another user's file;
    /// [`PerfMapError::Create`] where the system refuses.
    pub fn create() -> Result<Self, PerfMapError> {
        let process = Process::current();
        let path = PathBuf::from(format!("/tmp/perf-{}.map", process.pid));
        let mut open = process
            .perf_map
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let file = match &*open {
            Some(file) => Arc::clone(file),
            None => {
                let file = Arc::new(Mutex::new(MapFile::create(&path)?));
                *open = Some(Arc::clone(&file));
                file
            }
        };
        Ok(Self {
            process,
            file,
            path,
            refused: Arc::default(),
        })
    }

    /// Names the `len` bytes of code at address `start`.
    ///
    /// `perf` reads lines, and ignores names of one or two characters: control characters in
    /// the name become spaces, and short names are padded. A failing write (disk full) is
    /// counted, see [`write_failures`](Self::write_failures); our own profiles have the name
    /// all the same. A later registration of the same addresses wins.
    ///
    /// In a forked child the map is still its parent's: nothing is registered, which counts as
    /// a failed write. The child makes a map of its own with [`create`](Self::create).
    pub fn register(&self, start: usize, len: usize, name: &str) -> RegisteredCode {
        let start = start as u64;
        if !self.process.is_current() {
            // Threads that do not exist here may have held the parent's locks at the fork.
            self.refused.fetch_add(1, Ordering::Relaxed);
            return RegisteredCode {
                process: self.process,
                start,
                serial: 0,
            };
        }
        let name = names::clean(name);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write(start, len as u64, &name);
        drop(file);
        let mut jit = self
            .process
            .jit
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let serial = jit.insert(start, len as u64, name.into(), clock::monotonic_ns());
        RegisteredCode {
            process: self.process,
            start,
            serial,
        }
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines that could not be written; in a forked child, those that it asked for.
    pub fn write_failures(&self) -> u64 {
        if !self.process.is_current() {
            return self.refused.load(Ordering::Relaxed);
        }
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .failures()
    }
}

impl Drop for RegisteredCode {
    fn drop(&mut self) {
        if self.process.is_current() {
            let mut jit = self
                .process
                .jit
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            jit.remove(self.start, self.serial, clock::monotonic_ns());
        }
    }
}

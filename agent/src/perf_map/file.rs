//! The file that `perf` reads.
//!
//! Format (`tools/perf/Documentation/jit-interface.txt` of the kernel): one line for each
//! function, `START SIZE name`, both in hex without `0x`; the name is the rest of the line.
//! perf cuts the last byte of each line, so the last one too ends with a newline. Where lines
//! repeat an address perf's choice is arbitrary.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::PerfMapError;

/// The open file; one writer at a time.
#[derive(Debug)]
pub(crate) struct MapFile {
    file: File,
    failures: u64,
}

impl MapFile {
    /// Creates the file, never through a link (`O_NOFOLLOW`) and never over a file that is not
    /// ours: `/tmp` is for everybody.
    pub(super) fn create(path: &Path) -> Result<Self, PerfMapError> {
        let failed = |source| PerfMapError::Create {
            path: path.to_owned(),
            source,
        };
        match Self::create_new(path) {
            Ok(file) => return Ok(Self { file, failures: 0 }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        // A dead process of the same id may have left it. Only a plain file of ours goes.
        let old = path.symlink_metadata().map_err(failed)?;
        let ours = std::fs::metadata("/proc/self").map_err(failed)?.uid();
        if !old.file_type().is_file() || old.uid() != ours || old.nlink() != 1 {
            return Err(PerfMapError::NotOurs {
                path: path.to_owned(),
            });
        }
        std::fs::remove_file(path).map_err(failed)?;
        let file = Self::create_new(path).map_err(failed)?;
        Ok(Self { file, failures: 0 })
    }

    fn create_new(path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)
    }

    /// Writes one line in one call.
    pub(super) fn write(&mut self, start: u64, len: u64, name: &str) {
        let line = format!("{start:x} {len:x} {name}\n");
        if self.file.write_all(line.as_bytes()).is_err() {
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// Lines that could not be written.
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }
}

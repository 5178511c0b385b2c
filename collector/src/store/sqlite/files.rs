//! Whether the files that are open are those that the next start will find.
//!
//! An open file goes on taking writes after its folder was deleted, moved away, or replaced by a
//! backup: every write would be synced and acknowledged, and none of it would be there after a
//! restart. So the writer compares what stands at the paths with what was there when it opened
//! them, around each commit.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{error, info};

/// What tells a file from every other: its device and its inode. An inode is not used again as
/// long as the file is open.
type Identity = (u64, u64);

/// The database, its log, and the index of its log. Commits stand in the log until it is folded
/// into the database, and who opens the database finds them by the index.
#[derive(Debug)]
pub(super) struct Files {
    all: [(PathBuf, Identity); 3],
    /// Whether the log says that they are gone: it is said once.
    said: AtomicBool,
}

impl Files {
    /// The files of a database that was opened just now, and read once: the log is there then.
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        let file = |suffix: &str| {
            let mut path = database.as_os_str().to_owned();
            path.push(suffix);
            let path = PathBuf::from(path);
            identity(&path).map(|identity| (path, identity))
        };
        Ok(Self {
            all: [file("")?, file("-wal")?, file("-shm")?],
            said: AtomicBool::new(false),
        })
    }

    /// Whether all of them still stand where they were opened. Costs three calls of the system,
    /// a few microseconds.
    pub(super) fn are_there(&self) -> bool {
        let moved = self
            .all
            .iter()
            .find(|(path, opened)| identity(path).ok() != Some(*opened));
        let said = self.said.swap(moved.is_some(), Ordering::Relaxed);
        match moved {
            Some((path, _)) if !said => error!(
                path = %path.display(),
                "the data was deleted, moved or replaced under the running collector: nothing is \
                 taken in until it is back, or the collector was started again"
            ),
            None if said => info!("the data is back where it was opened"),
            _ => {}
        }
        moved.is_none()
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let file = std::fs::metadata(path)?;
    Ok((file.dev(), file.ino()))
}

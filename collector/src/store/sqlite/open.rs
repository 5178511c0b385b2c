//! Opening the folder and the file: every pragma stands here.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::lock::{FolderLock, LockError};
use super::{Options, migrate};
use crate::limits;
use crate::store::EngineError;

/// The name of the database in the data folder.
const FILE: &str = "flashlamp.db";

/// Why a data folder could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder is not there and cannot be made.
    #[error("the folder cannot be made")]
    Create(#[source] io::Error),
    /// The folder is there but not for this process to write, or another one has it.
    #[error(transparent)]
    Lock(LockError),
    /// A later release wrote the file.
    #[error(
        "its format is version {found} and this release knows {supported} at most: \
         use the release that wrote it, or a newer one"
    )]
    NewerFormat {
        /// The version of the file.
        found: u32,
        /// The newest version that this release reads.
        supported: u32,
    },
    /// The file belongs to another program, or is no database.
    #[error("`{FILE}` in it is not a Flashlamp store")]
    NotAStore,
    /// The disk is full: not even the files that reading needs can be made.
    #[error("the disk is full: make room, then start again")]
    Full,
    /// The file has an older format, and there is no room to bring it to this one.
    #[error(
        "its format is older, and bringing it to this one takes {needed_bytes} bytes for a while, \
         of which {free_bytes} are free: make room, then start again"
    )]
    NoRoom {
        /// What it takes beside what is there.
        needed_bytes: u64,
        /// What the file system has.
        free_bytes: u64,
    },
    /// The engine failed.
    #[error("`{FILE}` in it cannot be opened")]
    Engine(#[source] EngineError),
}

impl OpenError {
    pub(super) fn engine(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotAStore,
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::SystemIoFailure) if is_shm_size(&error) => Self::Full,
            _ => Self::Engine(Box::new(error)),
        }
    }
}

/// Whether the engine could not make its file of shared memory as large as it has to be.
fn is_shm_size(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

/// Locks the folder and opens the writing connection.
pub(super) fn folder(
    folder: &Path,
    options: Options,
) -> Result<(FolderLock, PathBuf, Connection), OpenError> {
    std::fs::create_dir_all(folder).map_err(OpenError::Create)?;
    let lock = FolderLock::take(folder).map_err(OpenError::Lock)?;
    let path = folder.join(FILE);
    let connection = writer(&path, options)?;
    Ok((lock, path, connection))
}

fn writer(path: &Path, options: Options) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(OpenError::engine)?;
    migrate::check_owner(&connection)?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(OpenError::engine)?;
    if mode != "wal" {
        return Err(OpenError::Engine(
            format!("the file system does not allow a write-ahead log (mode {mode})").into(),
        ));
    }
    let set = |connection: &Connection| {
        // FULL: the log is synced in every commit, so what was acknowledged survives a power cut.
        connection.pragma_update(None, "synchronous", "FULL")?;
        // A burst must not leave its log behind for good.
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        connection.pragma_update(None, "cache_size", -(16 << 10))?;
        if let Some(pages) = options.page_count_max {
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        connection.busy_timeout(limits::LOCKED_TIME_MAX)
    };
    set(&connection).map_err(OpenError::engine)?;
    migrate::run(&mut connection, path)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "cache_size", -(4 << 10))?;
    connection.busy_timeout(limits::LOCKED_TIME_MAX)?;
    Ok(connection)
}

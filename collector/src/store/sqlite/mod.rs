//! The store on SQLite: one file, one thread that writes, as many readers as are asked for.
//!
//! Readers hold their own connections and never wait for the writer (write-ahead log). The lock
//! file beside the database keeps a second collector away: two would be safe for SQLite, but each
//! would answer from its own idea of the queue.

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::limits;

use super::{Batch, Commit, Key, KeyRange, ReadError, Snapshot, Store, Visit, WriteError};

mod files;
mod lock;
mod migrate;
mod open;
mod writer;

pub use lock::LockError;
pub use migrate::FORMAT_VERSION;
pub use open::OpenError;

use files::Files;
use lock::FolderLock;
use writer::Writer;

/// What a test may want different from production.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The largest number of pages that the file may grow to: a full disk, on demand.
    pub page_count_max: Option<u32>,
}

/// A data folder, opened.
pub struct SqliteStore {
    path: PathBuf,
    files: Arc<Files>,
    idle_readers: Mutex<Vec<Connection>>,
    writer: Writer,
    /// Stands last, so that it is let go of when the writer has closed the file.
    _lock: FolderLock,
}

impl SqliteStore {
    /// Opens the store in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// As [`OpenError`]: the folder cannot be made or written, another collector holds it, the
    /// file is no store, or a newer release wrote it.
    pub fn open(folder: &Path, options: Options) -> Result<Self, OpenError> {
        let (lock, path, connection) = open::folder(folder, options)?;
        let files = Files::of(&path).map_err(|error| OpenError::Engine(Box::new(error)))?;
        let files = Arc::new(files);
        Ok(Self {
            path,
            idle_readers: Mutex::default(),
            writer: Writer::start(connection, Arc::clone(&files))?,
            files,
            _lock: lock,
        })
    }

    fn idle_readers(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle_readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> Result<Connection, rusqlite::Error> {
        let idle = self.idle_readers().pop();
        idle.map_or_else(|| open::reader(&self.path), Ok)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Store for SqliteStore {
    fn write(&self, batch: Batch) -> Result<Commit, WriteError> {
        self.writer.submit(batch)
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, ReadError> {
        // Also so that a new reader does not open another file than the writer has.
        if !self.writer.is_closed() && !self.files.are_there() {
            return Err(ReadError::Gone);
        }
        let connection = self.reader().map_err(read_error)?;
        begin(&connection).map_err(read_error)?;
        Ok(Box::new(SqliteSnapshot {
            store: self,
            connection: Some(connection),
        }))
    }

    fn queued_count(&self) -> usize {
        self.writer.queued_count()
    }

    fn disk_bytes(&self) -> Result<u64, ReadError> {
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        Ok(bytes(&self.path) + bytes(&self.path.with_extension("db-wal")))
    }

    fn close(&self) {
        self.idle_readers().clear();
        self.writer.close();
    }
}

struct SqliteSnapshot<'a> {
    store: &'a SqliteStore,
    connection: Option<Connection>,
}

impl SqliteSnapshot<'_> {
    fn connection(&self) -> &Connection {
        self.connection
            .as_ref()
            .expect("a snapshot holds its connection until it is dropped")
    }

    /// Hands what `sql` selects of a range to `visit`, row by row, until it breaks off.
    fn rows(
        &self,
        sql: &str,
        range: &KeyRange,
        visit: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> Result<(), ReadError> {
        let mut read = || {
            let mut statement = self.connection().prepare_cached(sql)?;
            let mut rows = statement.query([range.start.as_bytes(), range.end.as_bytes()])?;
            while let Some(row) = rows.next()?
                && visit(row)?.is_continue()
            {}
            Ok(())
        };
        read().map_err(read_error)
    }
}

impl Drop for SqliteSnapshot<'_> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        // A connection whose transaction does not end is worth nothing to the next reader.
        let has_ended = connection.execute_batch("ROLLBACK").is_ok();
        let mut idle = self.store.idle_readers();
        if has_ended && idle.len() < limits::READS_MAX {
            idle.push(connection);
        }
    }
}

impl Snapshot for SqliteSnapshot<'_> {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, ReadError> {
        let mut statement = self
            .connection()
            .prepare_cached("SELECT value FROM kv WHERE key = ?1")
            .map_err(read_error)?;
        statement
            .query_row([key.as_bytes()], |row| row.get(0))
            .optional()
            .map_err(read_error)
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), ReadError> {
        let sql = "SELECT key, value FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key";
        self.rows(sql, range, &mut |row| {
            Ok(visit(blob(row, 0)?, blob(row, 1)?))
        })
    }

    fn first_key(&self, range: &KeyRange) -> Result<Option<Key>, ReadError> {
        let mut first = None;
        self.scan_keys(range, &mut |key| {
            first = Some(Key::from_scan(key));
            ControlFlow::Break(())
        })?;
        Ok(first)
    }

    fn scan_keys(
        &self,
        range: &KeyRange,
        visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let sql = "SELECT key FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key";
        self.rows(sql, range, &mut |row| Ok(visit(blob(row, 0)?)))
    }
}

/// Begins a transaction that sees the table as it is now. `BEGIN` alone would let it see the table
/// of its first read, however much later.
fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN")?;
    let mut first = connection.prepare_cached("SELECT 1 FROM kv LIMIT 1")?;
    first.exists([]).map(drop)
}

/// One column of a row, without a copy.
fn blob<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<&'r [u8]> {
    Ok(row.get_ref(column)?.as_blob()?)
}

fn read_error(error: rusqlite::Error) -> ReadError {
    ReadError::Engine(Box::new(error))
}

#[cfg(test)]
mod tests;

//! The store's door: an ordered table of bytes, written in atomic batches.
//!
//! What the rest of the collector may rely on, whatever engine stands behind it:
//!
//! - a [`Batch`] is applied as a whole or not at all, and its conditions are checked in the same
//!   instant;
//! - a [`Commit`] that answers `Ok` says that the batch is on the disk, where the next start will
//!   find it: the answer comes after the fsync;
//! - a [`Snapshot`] sees the table as it was in one instant, for as long as it lives;
//! - what waits to be written is bounded, and what exceeds the bound is refused, not queued.
//!
//! No engine's name and no SQL leaves this module.

use std::fmt;
use std::ops::ControlFlow;

use tokio::sync::oneshot;

pub mod keys;
pub mod sqlite;

/// Where a row sorts. Made by [`keys`] only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// A key that a scan gave, to be named in a later batch.
    pub fn from_scan(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The encoded form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first key behind this one.
    pub fn next(mut self) -> Self {
        self.0.push(0);
        self
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// The keys from `start` on, up to and without `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key in the range.
    pub start: Key,
    /// The first key behind the range.
    pub end: Key,
}

impl KeyRange {
    /// The range `start..end`; empty where `end` is not behind `start`.
    pub fn new(start: Key, end: Key) -> Self {
        Self { start, end }
    }

    /// All keys that begin with `prefix`, which must hold a byte other than `FF`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while end.last() == Some(&0xFF) {
            end.pop();
        }
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self {
            start: Key(prefix.to_vec()),
            end: Key(end),
        }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &Key) -> bool {
        self.start <= *key && *key < self.end
    }
}

/// One step of a [`Batch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Writes the row, over what is there.
    Put(Key, Vec<u8>),
    /// Writes the row; the batch fails with [`WriteError::Present`] if the key has one.
    PutIfAbsent(Key, Vec<u8>),
    /// Deletes the row; the batch fails with [`WriteError::Absent`] if there is none.
    DeleteIfPresent(Key),
}

/// What one write does, in order, as a whole or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    ops: Vec<Op>,
}

impl Batch {
    /// A batch that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds [`Op::Put`].
    pub fn put(&mut self, key: Key, value: Vec<u8>) {
        self.ops.push(Op::Put(key, value));
    }

    /// Adds [`Op::PutIfAbsent`].
    pub fn put_if_absent(&mut self, key: Key, value: Vec<u8>) {
        self.ops.push(Op::PutIfAbsent(key, value));
    }

    /// Adds [`Op::DeleteIfPresent`].
    pub fn delete_if_present(&mut self, key: Key) {
        self.ops.push(Op::DeleteIfPresent(key));
    }

    /// The steps, in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The bytes of all keys and values: what the batch costs while it waits.
    pub fn bytes(&self) -> usize {
        let of = |op: &Op| match op {
            Op::Put(key, value) | Op::PutIfAbsent(key, value) => key.0.len() + value.len(),
            Op::DeleteIfPresent(key) => key.0.len(),
        };
        self.ops.iter().map(of).sum()
    }
}

/// Why nothing of a batch was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A row to be added is there already. Holds what stands there.
    #[error("{key:?} is there already")]
    Present {
        /// The key of the row.
        key: Key,
        /// Its present value.
        value: Vec<u8>,
    },
    /// A row to be deleted is gone.
    #[error("{key:?} is gone")]
    Absent {
        /// The key of the row.
        key: Key,
    },
    /// Too much waits to be written.
    #[error("the write queue is full")]
    Busy,
    /// Another program has locked the data.
    #[error("another program has locked the data")]
    Locked,
    /// The disk, or the room that the store may take, is full.
    #[error("there is no room left in the data folder")]
    Full,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The data was deleted, moved or replaced under the open store.
    #[error("the data is no longer where it was opened")]
    Gone,
    /// The engine failed; its own words are in the source.
    #[error("the engine failed to write")]
    Engine(#[source] EngineError),
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The data was deleted, moved or replaced under the open store.
    #[error("the data is no longer where it was opened")]
    Gone,
    /// The engine failed; its own words are in the source.
    #[error("the engine failed to read")]
    Engine(#[source] EngineError),
}

/// What went wrong behind the door, in the engine's words.
pub type EngineError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The promise of an answer to one write.
#[derive(Debug)]
pub struct Commit(oneshot::Receiver<Result<(), WriteError>>);

impl Commit {
    /// Waits until the batch is on the disk, or was refused.
    ///
    /// # Errors
    /// As [`WriteError`]; nothing of the batch was written then.
    pub async fn durable(self) -> Result<(), WriteError> {
        self.0.await.unwrap_or(Err(WriteError::Closed))
    }

    /// As [`Commit::durable`], for a thread that may block.
    ///
    /// # Errors
    /// As [`WriteError`]; nothing of the batch was written then.
    pub fn wait(self) -> Result<(), WriteError> {
        self.0.blocking_recv().unwrap_or(Err(WriteError::Closed))
    }
}

/// What a scan hands each row to: the key and the value. `Break` ends the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// The table in one instant: that of the call of [`Store::snapshot`].
pub trait Snapshot {
    /// The value at `key`.
    ///
    /// # Errors
    /// [`ReadError`] if the engine fails.
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, ReadError>;

    /// Hands every row of the range to `visit`, in the order of the keys.
    ///
    /// # Errors
    /// [`ReadError`] if the engine fails; rows before the failure were visited.
    fn scan(&self, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), ReadError>;

    /// The first key of the range, without reading a value.
    ///
    /// # Errors
    /// [`ReadError`] if the engine fails.
    fn first_key(&self, range: &KeyRange) -> Result<Option<Key>, ReadError>;

    /// Hands every key of the range to `visit`, in order, without reading the values.
    ///
    /// # Errors
    /// [`ReadError`] if the engine fails; keys before the failure were visited.
    fn scan_keys(
        &self,
        range: &KeyRange,
        visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError>;
}

/// The first key of `rest` that `read` knows, as `read` has it, and `rest` from there on.
///
/// A walk over groups of rows that looks at one key of each: whoever calls this sets `rest.start`
/// to the end of the group and calls again, however many rows the group has.
///
/// # Errors
/// [`ReadError`] if the engine fails.
pub fn next_key<T>(
    snapshot: &dyn Snapshot,
    rest: &mut KeyRange,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<Option<T>, ReadError> {
    while let Some(key) = snapshot.first_key(rest)? {
        let known = read(key.as_bytes());
        rest.start = key.next();
        if known.is_some() {
            return Ok(known);
        }
    }
    Ok(None)
}

/// An ordered table of bytes that keeps what it acknowledged.
pub trait Store: Send + Sync + fmt::Debug {
    /// Queues a batch and returns at once; the [`Commit`] tells what became of it.
    ///
    /// # Errors
    /// [`WriteError::Busy`] and [`WriteError::Closed`], at once. The other kinds come with the
    /// commit.
    fn write(&self, batch: Batch) -> Result<Commit, WriteError>;

    /// The table as it is now. Blocks while all readers are busy.
    ///
    /// # Errors
    /// [`ReadError::Gone`], or [`ReadError::Engine`] if the engine fails.
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, ReadError>;

    /// How many batches wait to be written.
    fn queued_count(&self) -> usize;

    /// How many bytes the store takes on the disk, as far as the engine knows.
    ///
    /// # Errors
    /// [`ReadError`] if the engine fails.
    fn disk_bytes(&self) -> Result<u64, ReadError>;

    /// Writes what is queued, folds the log into the table and refuses all later writes. Blocks.
    /// A second call does nothing.
    fn close(&self);
}

//! The one thread that writes, and why many small writes are still cheap.
//!
//! A commit costs one fsync, whatever it holds. So the thread takes all that waits (up to a bound),
//! applies each batch under its own savepoint inside one transaction, commits once, and only then
//! answers each sender. A batch whose conditions fail is rolled back to its savepoint and takes
//! nothing of the others with it.
//!
//! Nothing is acknowledged that a restart would not find: the writer looks whether the files are
//! still where they were opened before it begins, so that nothing is written then, and again after
//! the commit, for what happened in between.
//!
//! When the engine itself fails (the disk is full, say) the whole transaction is rolled back and
//! each batch is tried alone, so that a small one can still succeed where a large one cannot. Not
//! where another program holds the lock: each would wait for it once more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _};
use tokio::sync::oneshot;
use tracing::{error, info};

use super::OpenError;
use super::files::Files;
use crate::limits;
use crate::store::{Batch, Commit, Key, Op, WriteError};

type Answer = Result<(), WriteError>;

struct Job {
    batch: Batch,
    answer: oneshot::Sender<Answer>,
}

/// What waits, counted where both sides see it.
#[derive(Debug, Default)]
struct Waiting {
    batches: AtomicUsize,
    bytes: AtomicUsize,
}

impl Waiting {
    fn add(&self, bytes: usize) -> bool {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        // A single batch passes whatever its size: its own limits bound it.
        before == 0 || before + bytes <= limits::WRITE_QUEUE_BYTES_MAX
    }

    fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.batches.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The sending side of the writer thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    waiting: Arc<Waiting>,
}

impl Writer {
    pub(super) fn start(connection: Connection, files: Arc<Files>) -> Result<Self, OpenError> {
        let (sender, receiver) = mpsc::sync_channel(limits::WRITE_QUEUE_BATCHES_MAX);
        let waiting = Arc::new(Waiting::default());
        let seen = Arc::clone(&waiting);
        let thread = std::thread::Builder::new()
            .name("flashlamp-write".to_owned())
            .spawn(move || run(&connection, &files, &receiver, &seen))
            .map_err(|error| OpenError::Engine(Box::new(error)))?;
        Ok(Self {
            queue: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            waiting,
        })
    }

    pub(super) fn submit(&self, batch: Batch) -> Result<Commit, WriteError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = queue.as_ref() else {
            return Err(WriteError::Closed);
        };
        let bytes = batch.bytes();
        if !self.waiting.add(bytes) {
            self.waiting.remove(bytes);
            return Err(WriteError::Busy);
        }
        let (answer, commit) = oneshot::channel();
        queue.try_send(Job { batch, answer }).map_err(|refused| {
            self.waiting.remove(bytes);
            match refused {
                mpsc::TrySendError::Full(_) => WriteError::Busy,
                mpsc::TrySendError::Disconnected(_) => WriteError::Closed,
            }
        })?;
        Ok(Commit(commit))
    }

    pub(super) fn queued_count(&self) -> usize {
        self.waiting.batches.load(Ordering::Relaxed)
    }

    pub(super) fn is_closed(&self) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.is_none()
    }

    pub(super) fn close(&self) {
        drop(
            self.queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            error!("the writer thread panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// Runs until the queue is closed and empty.
fn run(connection: &Connection, files: &Files, queue: &mpsc::Receiver<Job>, waiting: &Waiting) {
    while let Ok(first) = queue.recv() {
        let mut bytes = first.batch.bytes();
        let mut group = vec![first];
        while group.len() < limits::COMMIT_BATCHES_MAX && bytes < limits::COMMIT_BYTES_MAX {
            let Ok(job) = queue.try_recv() else { break };
            bytes += job.batch.bytes();
            group.push(job);
        }
        commit_group(connection, files, group, waiting);
    }
    // Without it the log stays, and is folded in at the next start.
    if let Err(error) = connection.busy_timeout(limits::FOLD_TIME_MAX) {
        error!(%error, "failed to set how long to wait");
    }
    match connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, i64>(0)
    }) {
        Ok(0) => info!("the store is closed, its log folded in"),
        Ok(_) => info!("the store is closed; its log stays until the next start"),
        Err(error) => error!(%error, "failed to fold the log into the store"),
    }
}

fn commit_group(connection: &Connection, files: &Files, group: Vec<Job>, waiting: &Waiting) {
    let batches: Vec<&Batch> = group.iter().map(|job| &job.batch).collect();
    let gone = || batches.iter().map(|_| Err(WriteError::Gone)).collect();
    let answers = if files.are_there() {
        let answers = commit(connection, &batches);
        if files.are_there() { answers } else { gone() }
    } else {
        gone()
    };
    for (job, answer) in group.into_iter().zip(answers) {
        waiting.remove(job.batch.bytes());
        // A sender that went away does not want to know.
        let _ = job.answer.send(answer);
    }
}

/// Applies the batches together, or where the engine fails each of them alone.
fn commit(connection: &Connection, batches: &[&Batch]) -> Vec<Answer> {
    transact(connection, batches).unwrap_or_else(|failure| {
        if is_locked(&failure) {
            return batches.iter().map(|_| Err(WriteError::Locked)).collect();
        }
        if batches.len() == 1 {
            return vec![Err(write_error(failure))];
        }
        let alone = |batch: &&Batch| match transact(connection, &[batch]) {
            Ok(mut answers) => answers.pop().unwrap_or(Err(WriteError::Closed)),
            Err(failure) => Err(write_error(failure)),
        };
        batches.iter().map(alone).collect()
    })
}

/// Applies the batches in one transaction. When it returns `Ok` the commit has been synced; when
/// it returns `Err` nothing of any batch was written.
fn transact(connection: &Connection, batches: &[&Batch]) -> Result<Vec<Answer>, rusqlite::Error> {
    let attempt = || {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut answers = Vec::with_capacity(batches.len());
        for batch in batches {
            connection.prepare_cached("SAVEPOINT batch")?.execute([])?;
            let answer = apply(connection, batch)?;
            if answer.is_err() {
                connection
                    .prepare_cached("ROLLBACK TO batch")?
                    .execute([])?;
            }
            connection.prepare_cached("RELEASE batch")?.execute([])?;
            answers.push(answer);
        }
        connection.execute_batch("COMMIT")?;
        Ok(answers)
    };
    attempt().inspect_err(|failure| {
        error!(error = %failure, batches = batches.len(), "failed to commit");
        // The engine may have rolled back by itself; then there is nothing left to roll back.
        if !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            error!(%error, "failed to roll back");
        }
    })
}

/// Applies the steps of one batch. `Ok(Err(..))` is a condition that does not hold.
fn apply(connection: &Connection, batch: &Batch) -> Result<Answer, rusqlite::Error> {
    for op in batch.ops() {
        let answer = match op {
            Op::Put(key, value) => put(connection, key, value)?,
            Op::PutIfAbsent(key, value) => put_if_absent(connection, key, value)?,
            Op::DeleteIfPresent(key) => delete_if_present(connection, key)?,
        };
        if answer.is_err() {
            return Ok(answer);
        }
    }
    Ok(Ok(()))
}

fn put(connection: &Connection, key: &Key, value: &[u8]) -> Result<Answer, rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT INTO kv (key, value) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value
             WHERE value IS NOT excluded.value",
        )?
        .execute((key.as_bytes(), value))?;
    Ok(Ok(()))
}

fn put_if_absent(
    connection: &Connection,
    key: &Key,
    value: &[u8],
) -> Result<Answer, rusqlite::Error> {
    let written = connection
        .prepare_cached("INSERT INTO kv (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING")?
        .execute((key.as_bytes(), value))?;
    if written == 1 {
        return Ok(Ok(()));
    }
    let value: Option<Vec<u8>> = connection
        .prepare_cached("SELECT value FROM kv WHERE key = ?1")?
        .query_row([key.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(Err(WriteError::Present {
        key: key.clone(),
        value: value.unwrap_or_default(),
    }))
}

fn delete_if_present(connection: &Connection, key: &Key) -> Result<Answer, rusqlite::Error> {
    let deleted = connection
        .prepare_cached("DELETE FROM kv WHERE key = ?1")?
        .execute([key.as_bytes()])?;
    Ok(if deleted == 1 {
        Ok(())
    } else {
        Err(WriteError::Absent { key: key.clone() })
    })
}

fn is_locked(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

fn write_error(error: rusqlite::Error) -> WriteError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => WriteError::Full,
        _ if is_locked(&error) => WriteError::Locked,
        _ => WriteError::Engine(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{Options, open};

    static WAITS: AtomicUsize = AtomicUsize::new(0);

    fn give_up(_times: i32) -> bool {
        WAITS.fetch_add(1, Ordering::Relaxed);
        false
    }

    #[test]
    fn a_group_waits_for_another_programs_lock_once() {
        let folder = tempfile::tempdir().unwrap();
        let (_lock, path, mut connection) =
            open::folder(folder.path(), Options::default()).unwrap();
        let other = Connection::open_with_flags(path, rusqlite::OpenFlags::default()).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        connection.busy_handler(Some(give_up)).unwrap();
        let mut batch = Batch::new();
        batch.put(Key::from_scan(b"key"), Vec::new());
        let group = [&batch; 3];
        let answers = commit(&connection, &group);
        let all = |answers: &[Answer], is: fn(&Answer) -> bool| {
            assert!(
                answers.len() == group.len() && answers.iter().all(is),
                "{answers:?}"
            );
        };
        all(&answers, |answer| matches!(answer, Err(WriteError::Locked)));
        assert_eq!(WAITS.load(Ordering::Relaxed), 1);
        other.execute_batch("ROLLBACK").unwrap();
        all(&commit(&connection, &group), Result::is_ok);
    }
}

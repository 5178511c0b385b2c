//! The threads of this process, from `/proc/self/task`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use super::signal::SIGNAL;
use crate::error::StartError;
use crate::sys;

const TASKS: &str = "/proc/self/task";

/// The ids of all threads; empty where `/proc` cannot be read.
pub(crate) fn list() -> Vec<i32> {
    list_in(Path::new(TASKS)).unwrap_or_default()
}

/// The ids of all threads, to begin with: later a listing that fails is passed over.
///
/// # Errors
/// [`StartError::ThreadsUnreadable`]: sampling all threads would sample none.
pub(crate) fn list_to_start() -> Result<Vec<i32>, StartError> {
    to_start(list_in(Path::new(TASKS)))
}

fn to_start(listed: io::Result<Vec<i32>>) -> Result<Vec<i32>, StartError> {
    match listed {
        // The caller at least is a thread: what lists none is not proc(5).
        Ok(tids) if tids.is_empty() => Err(StartError::ThreadsUnreadable {
            source: io::ErrorKind::NotFound.into(),
        }),
        Ok(tids) => Ok(tids),
        Err(source) => Err(StartError::ThreadsUnreadable { source }),
    }
}

fn list_in(tasks: &Path) -> io::Result<Vec<i32>> {
    let tid_of = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let entries = fs::read_dir(tasks)?;
    Ok(entries.filter_map(|entry| tid_of(entry.ok()?)).collect())
}

/// A thread's name; its id in brackets where it cannot be read.
pub(crate) fn name(tid: i32) -> String {
    match fs::read(format!("/proc/self/task/{tid}/comm")) {
        Ok(name) => String::from_utf8_lossy(&name)
            .trim_end_matches('\n')
            .to_owned(),
        Err(_) => format!("[{tid}]"),
    }
}

static OWN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Marks the calling thread as one of ours, never to be sampled, until dropped.
#[derive(Debug)]
pub(crate) struct OwnThread {
    tid: i32,
    /// Of the thread that started this one: whether it blocked the sampling signal.
    was_blocked: bool,
}

impl OwnThread {
    /// Marks the calling thread and blocks the sampling signal for it.
    pub(crate) fn enter() -> Self {
        let was_blocked = sys::block_signal(SIGNAL);
        let tid = sys::tid();
        OWN.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(tid);
        Self { tid, was_blocked }
    }

    /// Runs the host's code with the signal mask that the host gave this thread: a new thread
    /// inherits the mask of the one that starts it, and where the sampling signal is blocked
    /// it is never sampled. This thread itself has no timer. `work` must not unwind.
    pub(crate) fn run_for_host(&self, work: impl FnOnce()) {
        if !self.was_blocked {
            sys::unblock_signal(SIGNAL);
        }
        work();
        sys::block_signal(SIGNAL);
    }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        OWN.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.tid);
    }
}

/// The threads that are ours.
pub(crate) fn own() -> BTreeSet<i32> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_without_a_readable_proc_says_what_to_do() {
        assert!(list_to_start().unwrap().contains(&sys::tid()));
        let empty = tempfile::tempdir().unwrap();
        for tasks in [empty.path(), &empty.path().join("missing")] {
            let error = to_start(list_in(tasks)).unwrap_err();
            assert!(error.to_string().contains("mount /proc"), "{error}");
        }
    }
}

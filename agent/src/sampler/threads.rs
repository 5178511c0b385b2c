//! The threads of this process: which of them are ours, and how they are called.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::signal::SIGNAL;
use crate::{clock, sys};

/// The folder with one folder for each thread of this process (proc(5)).
pub(super) const TASKS: &str = "/proc/self/task";

/// A thread's name; its id in brackets where it cannot be read.
pub(crate) fn name(tid: i32) -> String {
    match fs::read(format!("{TASKS}/{tid}/comm")) {
        Ok(name) => String::from_utf8_lossy(&name)
            .trim_end_matches('\n')
            .to_owned(),
        Err(_) => format!("[{tid}]"),
    }
}

static OWN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// CPU time of our own threads that have ended.
static ENDED_CPU_NS: AtomicU64 = AtomicU64::new(0);

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
        ENDED_CPU_NS.fetch_add(clock::thread_cpu_ns(), Ordering::Relaxed);
        OWN.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.tid);
    }
}

/// CPU time of our own threads.
pub(crate) fn own_cpu_ns() -> u64 {
    let of_thread = |tid: i32| sys::clock_ns(sys::thread_cpu_clock(tid));
    let live: u64 = own().into_iter().map(of_thread).sum();
    live.saturating_add(ENDED_CPU_NS.load(Ordering::Relaxed))
}

/// The threads that are ours.
pub(crate) fn own() -> BTreeSet<i32> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

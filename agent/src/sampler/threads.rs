//! The threads of this process, from `/proc/self/task`.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, PoisonError};

use super::signal::SIGNAL;
use crate::sys;

/// The ids of all threads; empty where `/proc` cannot be read.
pub(crate) fn list() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    let name_of = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    entries.filter_map(|entry| name_of(entry.ok()?)).collect()
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
pub(crate) struct OwnThread(i32);

impl OwnThread {
    /// Marks the calling thread and blocks the sampling signal for it.
    pub(crate) fn enter() -> Self {
        sys::block_signal(SIGNAL);
        let tid = sys::tid();
        OWN.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(tid);
        Self(tid)
    }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        OWN.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.0);
    }
}

/// The threads that are ours.
pub(crate) fn own() -> BTreeSet<i32> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

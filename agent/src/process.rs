//! What a process has one of: the registry of sessions, the drain, the names.
//!
//! A forked child gets its own set: the parent's locks may have been held by threads that do
//! not exist in the child.

use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, RwLock};

use crate::entries::EntryNames;
use crate::perf_map::JitMap;
use crate::registry::Registry;
use crate::sampler::watch::Watch;
use crate::symbolize::Symbolizer;
use crate::sys;

/// The state of one process. Locks are taken in the order of the fields.
#[derive(Debug)]
pub(crate) struct Process {
    /// The process's id.
    pub(crate) pid: i32,
    /// What the last look at the list of threads found.
    pub(crate) watch: Mutex<Watch>,
    /// Sessions, threads and timers.
    pub(crate) registry: Mutex<Registry>,
    /// Wakes the drain.
    pub(crate) wake: Condvar,
    /// The open perf map.
    pub(crate) perf_map: Mutex<Option<Arc<Mutex<crate::perf_map::MapFile>>>>,
    /// Names of run-time compiled code.
    pub(crate) jit: Mutex<JitMap>,
    /// Finished requests that wait for the last of their samples.
    #[cfg(feature = "tower")]
    pub(crate) ended_requests: Mutex<Vec<crate::request::EndedRequest>>,
    /// Names of entry points.
    pub(crate) entries: RwLock<EntryNames>,
    /// Symbols of object files.
    pub(crate) symbols: Mutex<Symbolizer>,
}

/// One for the process that started, and one for each generation of forked children.
static PROCESSES: [OnceLock<Process>; 8] = [const { OnceLock::new() }; 8];

impl Process {
    /// The state of the calling process.
    pub(crate) fn current() -> &'static Self {
        let pid = sys::pid();
        let (last, earlier) = (
            &PROCESSES[PROCESSES.len() - 1],
            &PROCESSES[..PROCESSES.len() - 1],
        );
        for cell in earlier {
            let process = cell.get_or_init(|| Self::new(pid));
            if process.pid == pid {
                return process;
            }
        }
        last.get_or_init(|| Self::new(pid))
    }

    fn new(pid: i32) -> Self {
        Self {
            pid,
            watch: Mutex::new(Watch::default()),
            registry: Mutex::new(Registry::new(pid)),
            wake: Condvar::new(),
            perf_map: Mutex::new(None),
            jit: Mutex::new(JitMap::default()),
            #[cfg(feature = "tower")]
            ended_requests: Mutex::new(Vec::new()),
            entries: RwLock::new(EntryNames::default()),
            symbols: Mutex::new(Symbolizer::default()),
        }
    }

    /// Whether this is the calling process, and not that of its parent before a fork.
    pub(crate) fn is_current(&self) -> bool {
        self.pid == sys::pid()
    }

    /// The list of threads. Take it before the registry's lock: the kernel takes its time.
    pub(crate) fn watch(&self) -> std::sync::MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The registry. A panic elsewhere leaves it usable: no code panics between two changes
    /// that belong together.
    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of an entry point's name.
    pub(crate) fn entry_id(&self, name: &str) -> u32 {
        let names = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = names.find(name) {
            return id;
        }
        drop(names);
        self.entries
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .intern(name)
    }
}

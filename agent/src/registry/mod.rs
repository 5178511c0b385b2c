//! Who is sampled, by which timers, for which session.
//!
//! All of it is behind one lock ([`crate::process::Process::registry`]), which ordinary code
//! and the drain take and the handler never does. What the handler sees are the slots.

mod cycle;
mod pauses;
mod scan;
mod self_check;
mod session;
#[cfg(test)]
mod tests;
mod timers;
mod unseen;
mod window;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use self::session::SessionTimer;
pub(crate) use self::session::{FlushAt, Plan, Session, SessionThreads};
#[cfg(feature = "tower")]
pub(crate) use self::timers::KernelTimers;
#[cfg(feature = "http")]
pub(crate) use self::window::{Window, WindowSink};
use crate::clock;
use crate::error::StartError;
use crate::limits;
use crate::mappings::{Built, Found, Modules};
use crate::maps::Maps;
use crate::process::Process;
use crate::sampler::handler::{PID, UNKNOWN_CODE};
use crate::sampler::shared::{self, RetiredTables};
use crate::sampler::signal;
use crate::sampler::slot::ThreadSlot;
use crate::sampler::stack_cell::QUESTIONS;
use crate::sampler::watch::Seen;
use crate::sys;

/// See the module.
#[derive(Debug)]
pub(crate) struct Registry {
    pid: i32,
    threads: BTreeMap<i32, SampledThread>,
    free_threads: Vec<u32>,
    threads_made: u32,
    free_timers: Vec<u32>,
    timers_made: u32,
    pub(crate) sessions: BTreeMap<u32, Session>,
    last_session: u32,
    modules: Modules,
    modules_checked_ns: u64,
    /// [`UNKNOWN_CODE`] and how often code was registered, when the map was read for its code.
    code_seen: Option<(u64, u64)>,
    /// [`QUESTIONS`], when the map was read for them.
    stacks_asked: u64,
    maps_due_ns: u64,
    maps_pause: Duration,
    threads_scanned_ns: u64,
    scan_pause: Duration,
    drained_ns: u64,
    /// Whether the last round found anything in the rings.
    drained_any: bool,
    pauses_looked_ns: u64,
    /// The timer slot that was looked at last.
    next_look: u32,
    retired_tables: Vec<RetiredTables>,
    drain_running: bool,
    random: u64,
    record: Vec<u64>,
    signals_checked: bool,
    /// Whether our handler was found replaced.
    pub(crate) handler_replaced: bool,
    /// Panics caught on our own threads.
    pub(crate) faults: u64,
}

/// A thread that has a slot.
#[derive(Debug)]
struct SampledThread {
    slot: &'static ThreadSlot,
    name: Arc<str>,
}

impl Registry {
    pub(crate) fn new(pid: i32) -> Self {
        Self {
            pid,
            threads: BTreeMap::new(),
            free_threads: Vec::new(),
            threads_made: 0,
            free_timers: Vec::new(),
            timers_made: 0,
            sessions: BTreeMap::new(),
            last_session: 0,
            modules: Modules::default(),
            modules_checked_ns: 0,
            code_seen: None,
            stacks_asked: 0,
            maps_due_ns: 0,
            maps_pause: limits::MODULE_CHECK_INTERVAL,
            threads_scanned_ns: 0,
            scan_pause: limits::THREAD_SCAN_INTERVAL,
            drained_ns: 0,
            drained_any: true,
            pauses_looked_ns: 0,
            next_look: 0,
            retired_tables: Vec::new(),
            drain_running: false,
            random: sys::random_u64() | 1,
            record: Vec::new(),
            signals_checked: false,
            handler_replaced: false,
            faults: 0,
        }
    }

    /// Makes sampling possible: the handler, fault-safe reads, and where code is. The unwind tables are
    /// there.
    fn prepare(&mut self, threads: SessionThreads) -> Result<(), StartError> {
        if !cfg!(all(
            target_os = "linux",
            target_arch = "x86_64",
            target_pointer_width = "64"
        )) {
            return Err(StartError::UnsupportedPlatform);
        }
        sys::probe_read(self.pid).map_err(|source| StartError::MemoryReadRefused { source })?;
        PID.store(self.pid, Ordering::SeqCst);
        signal::install().map_err(|source| StartError::SignalRefused { source })?;
        self.check_signals(threads)?;
        // Code that was compiled before now is known from the first sample on.
        self.code_seen = None;
        self.maps_due_ns = 0;
        self.look_at_maps();
        Ok(())
    }

    /// Begins a session on the threads that were seen, where it is for all. The caller holds the
    /// lock and spawns the drain where it is asked to.
    ///
    /// # Errors
    /// As [`StartError`] says; nothing is left behind.
    pub(crate) fn start(&mut self, plan: Plan, seen: &[Seen]) -> Result<u32, StartError> {
        self.drop_timers_of_predecessors(seen);
        self.prepare(plan.threads)?;
        self.last_session = self.last_session.wrapping_add(1).max(1);
        let id = self.last_session;
        let wanted = plan.threads;
        self.sessions.insert(id, Session::new(id, plan));
        let result = match wanted {
            SessionThreads::One(tid) => self.add_timer(id, tid, None),
            SessionThreads::All => self.add_all_threads(id, seen),
            SessionThreads::None => Ok(()),
        };
        if let Err(error) = result {
            self.finish(id);
            return Err(error);
        }
        Ok(id)
    }

    /// Whether the drain has to be started; afterwards it counts as started.
    pub(crate) fn claim_drain(&mut self) -> bool {
        !std::mem::replace(&mut self.drain_running, true)
    }

    /// The drain could not be started, or ended.
    pub(crate) fn disclaim_drain(&mut self) {
        self.drain_running = false;
    }

    /// Ends a session: no handler writes for it any more, all it wrote is collected, and its
    /// books are closed. `None` where there is no such session.
    pub(crate) fn finish(&mut self, id: u32) -> Option<Session> {
        self.note_unseen(id);
        let timers = &mut self.sessions.get_mut(&id)?.timers;
        timers.iter_mut().for_each(SessionTimer::end);
        let slots: BTreeMap<u32, &ThreadSlot> = timers
            .iter()
            .map(|one| (one.thread.index, one.thread))
            .collect();
        wait_until_idle(slots.into_values());
        self.drain_rings();
        self.settle(id, |_| true);
        let session = self.sessions.get_mut(&id)?;
        let timers = std::mem::take(&mut session.timers);
        for one in &timers {
            session.retire(one);
        }
        for one in &timers {
            self.release_timer(one.timer);
        }
        let mut session = self.sessions.remove(&id)?;
        session.close_books();
        Some(session)
    }

    /// What is loaded, where the unwind tables do not have that.
    pub(crate) fn look_at_modules(&mut self) -> Option<Found> {
        self.modules_checked_ns = clock::monotonic_ns();
        self.modules.look(self.pid, &shared::published())
    }

    /// Takes over what was found, with its tables.
    pub(crate) fn adopt_modules(&mut self, built: Built) {
        if let Some(tables) = self.modules.adopt(built, &shared::published()) {
            self.retired_tables.extend(shared::publish(tables));
        }
    }

    /// Tells the threads that ask where their stacks are, and walks where code is, when one of them
    /// met code that no table knows and when code was registered. Where that was no news, the next
    /// look comes later.
    fn look_at_maps(&mut self) {
        let now = clock::monotonic_ns();
        if now < self.maps_due_ns {
            return;
        }
        let jit = &Process::current().jit;
        let jit = jit.lock().unwrap_or_else(PoisonError::into_inner);
        let registered = jit.registered_count();
        drop(jit);
        let code = Some((UNKNOWN_CODE.load(Ordering::Relaxed), registered));
        let is_unknown = std::mem::replace(&mut self.code_seen, code) != code;
        let asked = QUESTIONS.load(Ordering::Acquire);
        if std::mem::replace(&mut self.stacks_asked, asked) == asked && !is_unknown {
            return;
        }
        let asks = |(tid, thread): (&i32, &SampledThread)| {
            let thread_pointer = thread.slot.stack.take_question()?;
            Some((*tid, thread.slot, thread_pointer))
        };
        let questions: Vec<_> = self.threads.iter().filter_map(asks).collect();
        if questions.is_empty() && !is_unknown {
            return;
        }
        // Without the map stacks are copied by the kernel.
        let maps = Maps::read().unwrap_or_default();
        let mut is_news = false;
        for (tid, slot, thread_pointer) in questions {
            // A thread that ended meanwhile has its control block nowhere, or another has it there.
            if let Some(stack) = maps.stack(thread_pointer, tid == self.pid) {
                is_news |= slot.stack.answer(thread_pointer, &stack);
            }
        }
        if is_unknown {
            let mut tables = shared::published();
            if tables.set_code(maps.code()) {
                self.retired_tables.extend(shared::publish(tables));
                is_news = true;
            }
        }
        self.maps_pause = if is_news {
            limits::MODULE_CHECK_INTERVAL
        } else {
            (2 * self.maps_pause).min(limits::MAPS_PAUSE_MAX)
        };
        self.maps_due_ns = now.saturating_add(clock::nanos(self.maps_pause));
    }

    /// Frees tables that no handler can be using.
    fn free_tables(&mut self) {
        if self.retired_tables.is_empty() {
            return;
        }
        let idle = self
            .threads
            .values()
            .all(|thread| thread.slot.busy.load(Ordering::SeqCst) == 0);
        let retired = std::mem::take(&mut self.retired_tables);
        self.retired_tables = retired
            .into_iter()
            .filter_map(|tables| tables.free_if_idle(idle))
            .collect();
    }

    /// The drain's next appointment: rings hold some hundred samples.
    pub(crate) fn drain_interval(&self) -> Option<Duration> {
        let sessions = self.sessions.values();
        let shortest = sessions.map(|session| session.period_ns).min()?;
        let samples = if self.drained_any { 20 } else { 100 };
        let interval = Duration::from_nanos(shortest.saturating_mul(samples));
        Some(interval.clamp(limits::DRAIN_INTERVAL_MIN, limits::DRAIN_INTERVAL_MAX))
    }
}

/// Waits until no handler runs on these threads. A handler takes microseconds unless its thread
/// was preempted in the middle; a thread that is stopped is waited for only so long.
fn wait_until_idle<'a>(slots: impl Iterator<Item = &'a ThreadSlot>) {
    let limit = clock::monotonic_ns().saturating_add(clock::nanos(limits::HANDLER_WAIT));
    for slot in slots {
        while slot.busy.load(Ordering::SeqCst) != 0 && clock::monotonic_ns() < limit {
            std::thread::yield_now();
        }
    }
}

//! Who is sampled, by which timers, for which session.
//!
//! All of it is behind one lock ([`crate::process::Process::registry`]), which ordinary code
//! and the drain take and the handler never does. What the handler sees are the slots.

mod cycle;
mod scan;
mod session;
#[cfg(test)]
mod tests;
mod window;

use std::collections::BTreeMap;
#[cfg(feature = "tower")]
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

pub(crate) use self::session::{FlushAt, Plan, Session, SessionThreads};
#[cfg(feature = "http")]
pub(crate) use self::window::{Window, WindowSink};
use crate::clock;
use crate::error::StartError;
use crate::limits;
use crate::mappings::Modules;
use crate::maps::Maps;
use crate::process::Process;
use crate::sampler::handler::{PID, UNKNOWN_CODE};
use crate::sampler::shared::{self, RetiredTables};
use crate::sampler::slot::{ThreadSlot, TimerSlot};
use crate::sampler::watch::Seen;
use crate::sampler::{signal, threads};
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
    maps_due_ns: u64,
    maps_pause: Duration,
    threads_scanned_ns: u64,
    drained_ns: u64,
    retired_tables: Vec<RetiredTables>,
    drain_running: bool,
    random: u64,
    record: Vec<u64>,
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
            maps_due_ns: 0,
            maps_pause: limits::MODULE_CHECK_INTERVAL,
            threads_scanned_ns: 0,
            drained_ns: 0,
            retired_tables: Vec::new(),
            drain_running: false,
            random: sys::random_u64() | 1,
            record: Vec::new(),
            faults: 0,
        }
    }

    /// Makes sampling possible: the handler, the unwind tables, fault-safe reads.
    fn prepare(&mut self) -> Result<(), StartError> {
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
        self.refresh_modules();
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
        self.prepare()?;
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

    /// The slot of a thread of this process, made where it has none; then its name is read
    /// where it is not given.
    pub(crate) fn thread_slot(
        &mut self,
        tid: i32,
        name: Option<&Arc<str>>,
    ) -> Option<&'static ThreadSlot> {
        if let Some(thread) = self.threads.get(&tid) {
            return Some(thread.slot);
        }
        let index = self.free_threads.pop().unwrap_or(self.threads_made);
        let slot = ThreadSlot::at_or_new(index)?;
        self.threads_made = self.threads_made.max(index.saturating_add(1));
        // After a fork the slot may hold records of the parent, whose sessions had the same ids.
        while slot.ring.pop(&mut self.record) {}
        slot.assign(tid);
        let name = name.map_or_else(|| Arc::from(threads::name(tid)), Arc::clone);
        self.threads.insert(tid, SampledThread { slot, name });
        Some(slot)
    }

    /// A free timer slot for a thread.
    pub(crate) fn timer_slot(
        &mut self,
        thread: &ThreadSlot,
        depth_max: usize,
    ) -> Option<&'static TimerSlot> {
        let index = self.free_timers.pop().unwrap_or(self.timers_made);
        let timer = TimerSlot::at_or_new(index)?;
        self.timers_made = self.timers_made.max(index.saturating_add(1));
        timer.assign(thread, depth_max);
        Some(timer)
    }

    /// Takes a timer slot back whose kernel timer is deleted and whose thread is idle or gone.
    pub(crate) fn release_timer(&mut self, timer: &TimerSlot) {
        timer.retire();
        self.free_timers.push(timer.index());
    }

    fn add_timer(
        &mut self,
        session: u32,
        tid: i32,
        name: Option<&Arc<str>>,
    ) -> Result<(), StartError> {
        let Some(plan) = self.sessions.get(&session).map(Session::timer_plan) else {
            return Ok(());
        };
        let full = || StartError::TooManyThreads {
            threads_max: limits::THREADS_MAX,
        };
        let thread = self.thread_slot(tid, name).ok_or_else(full)?;
        let timer = self.timer_slot(thread, plan.depth_max).ok_or_else(full)?;
        let clock = match plan.clock {
            crate::Clock::Cpu => sys::thread_cpu_clock(tid),
            crate::Clock::Wall => libc::CLOCK_MONOTONIC,
        };
        let since_ns = sys::clock_ns(libc::CLOCK_BOOTTIME);
        let first = self.first_delay(plan.period_ns);
        let created = sys::KernelTimer::create(clock, signal::SIGNAL, tid, timer.signal_value());
        let kernel = match created {
            Ok(kernel) => kernel,
            Err(source) => {
                self.release_timer(timer);
                return Err(StartError::of_timer(source));
            }
        };
        timer.session.store(session, Ordering::SeqCst);
        if let Err(source) = kernel.set(first, Duration::from_nanos(plan.period_ns)) {
            kernel.delete();
            self.release_timer(timer);
            return Err(StartError::of_timer(source));
        }
        if let Some(session) = self.sessions.get_mut(&session) {
            session.timers.push(session::SessionTimer {
                tid,
                since_ns,
                thread,
                timer,
                kernel,
            });
        }
        Ok(())
    }

    /// Uniform in (0, period]: so that a thread shorter than a period is seen without bias.
    fn first_delay(&mut self, period_ns: u64) -> Duration {
        // xorshift64: even enough for a phase.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        Duration::from_nanos(self.random % period_ns.max(1) + 1)
    }

    /// Ends a session: no handler writes for it any more, all it wrote is collected, and its
    /// books are closed. `None` where there is no such session.
    pub(crate) fn finish(&mut self, id: u32) -> Option<Session> {
        let timers = std::mem::take(&mut self.sessions.get_mut(&id)?.timers);
        for one in &timers {
            one.kernel.delete();
            one.timer.session.store(0, Ordering::SeqCst);
        }
        let slots: BTreeMap<u32, &ThreadSlot> = timers
            .iter()
            .map(|one| (one.thread.index, one.thread))
            .collect();
        wait_until_idle(slots.values().copied());
        self.drain_rings();
        let session = self.sessions.get_mut(&id)?;
        for one in &timers {
            session.retire(one.timer);
        }
        for one in &timers {
            self.release_timer(one.timer);
        }
        let mut session = self.sessions.remove(&id)?;
        session.close_books();
        Some(session)
    }

    /// Compares the unwind tables with what is loaded.
    pub(crate) fn refresh_modules(&mut self) {
        self.modules_checked_ns = clock::monotonic_ns();
        if let Some(tables) = self.modules.refresh(self.pid, &shared::published()) {
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

    /// The drain's next appointment.
    pub(crate) fn drain_interval(&self) -> Option<Duration> {
        let shortest = self
            .sessions
            .values()
            .map(|session| session.period_ns)
            .min()?;
        let interval = Duration::from_nanos(shortest.saturating_mul(20));
        Some(interval.clamp(limits::DRAIN_INTERVAL_MIN, limits::DRAIN_INTERVAL_MAX))
    }

    /// A disarmed wall timer of the calling thread, for the requests that it polls.
    #[cfg(feature = "tower")]
    pub(crate) fn create_request_timer(
        &mut self,
        tid: i32,
        depth_max: usize,
    ) -> io::Result<(&'static ThreadSlot, &'static TimerSlot, sys::KernelTimer)> {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let thread = self.thread_slot(tid, None).ok_or_else(full)?;
        let timer = self.timer_slot(thread, depth_max).ok_or_else(full)?;
        let value = timer.signal_value();
        match sys::KernelTimer::create(libc::CLOCK_MONOTONIC, signal::SIGNAL, tid, value) {
            Ok(kernel) => Ok((thread, timer, kernel)),
            Err(error) => {
                self.release_timer(timer);
                Err(error)
            }
        }
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

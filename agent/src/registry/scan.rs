//! Threads that begin and end while they are sampled.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::session::SessionTimer;
use super::{Registry, Session};
use crate::clock;
use crate::error::StartError;
use crate::sampler::slot::TimerSlot;
use crate::sampler::threads;
use crate::sampler::watch::Seen;
use crate::{limits, sys};

impl Registry {
    /// Gives a session that begins a timer on each thread.
    pub(super) fn add_all_threads(
        &mut self,
        session: u32,
        seen: &[Seen],
    ) -> Result<(), StartError> {
        let own = threads::own();
        let mut added = 0_usize;
        let mut first_error = None;
        for one in seen.iter().filter(|one| !own.contains(&one.tid)) {
            match self.add_timer(session, one.tid, one.name.as_ref()) {
                Ok(()) => added += 1,
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        match first_error {
            // Some threads may have ended meanwhile, or the limit was reached: sample the rest.
            Some(error) if added == 0 => Err(error),
            _ => Ok(()),
        }
    }

    /// Gives timers to threads that began, and forgets those that are gone. They were listed since the
    /// calling thread's CPU clock stood at `began_ns`.
    pub(crate) fn scan_threads(&mut self, seen: &[Seen], began_ns: u64) {
        self.threads_scanned_ns = clock::monotonic_ns();
        if !seen.is_empty() {
            self.compare_threads(seen);
        }
        let cost_ns = clock::thread_cpu_ns().saturating_sub(began_ns);
        let pause = Duration::from_nanos(cost_ns.saturating_mul(limits::THREAD_SCAN_COST));
        let threads = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        let longest = limits::THREAD_SCAN_PAUSE.saturating_mul(threads);
        let longest = longest.clamp(limits::THREAD_SCAN_INTERVAL, limits::THREAD_SCAN_PAUSE_MAX);
        self.scan_pause = pause.clamp(limits::THREAD_SCAN_INTERVAL, longest);
    }

    fn compare_threads(&mut self, seen: &[Seen]) {
        self.forget_threads(&seen.iter().map(|one| one.tid).collect());
        self.drop_timers_of_predecessors(seen);
        let own = threads::own();
        let sessions = self.sessions.values();
        let all: Vec<(u32, HashSet<i32>)> = sessions
            .filter(|session| session.samples_all_threads())
            .map(|session| (session.id, session.timed_threads()))
            .collect();
        for one in seen.iter().filter(|one| !own.contains(&one.tid)) {
            for (id, _) in all.iter().filter(|(_, timed)| !timed.contains(&one.tid)) {
                self.add_new_thread(*id, one);
            }
            if let (Some(name), Some(thread)) = (&one.name, self.threads.get_mut(&one.tid)) {
                thread.name = Arc::clone(name);
            }
        }
    }

    /// Gives a session a timer on a thread that it does not have; notes where that fails.
    fn add_new_thread(&mut self, session: u32, one: &Seen) {
        if self.add_timer(session, one.tid, one.name.as_ref()).is_ok() {
            return;
        }
        if let Some(session) = self.sessions.get_mut(&session) {
            session.missed_threads.insert(one.tid);
        }
    }

    fn forget_threads(&mut self, live: &BTreeSet<i32>) {
        // A listing may miss a thread while others end (proc(5) promises nothing): ask again.
        let gone = |tid: &i32| !live.contains(tid) && !sys::thread_exists(self.pid, *tid);
        let gone: Vec<i32> = self.threads.keys().copied().filter(gone).collect();
        if gone.is_empty() {
            return;
        }
        self.drain_rings();
        for tid in gone {
            self.settle_all(|one| one.tid == tid);
            self.drop_timers(|session| session.drop_thread(tid));
            if let Some(thread) = self.threads.remove(&tid) {
                thread.slot.tid.store(0, Ordering::SeqCst);
                self.free_threads.push(thread.slot.index);
            }
        }
    }

    /// Drops the timers of threads that ended and whose ids others have by now. The slot stays:
    /// it belongs to the id, and the new thread may be using it. A look says once that an id has
    /// another thread, so this comes before all that may fail.
    pub(super) fn drop_timers_of_predecessors(&mut self, seen: &[Seen]) {
        let began = |one: &Seen| Some((one.tid, one.began_ns?));
        let suspects: Vec<(i32, u64)> = seen.iter().filter_map(began).collect();
        if suspects.is_empty() {
            return;
        }
        self.drain_rings();
        for (tid, began_ns) in suspects {
            if let Some(thread) = self.threads.get(&tid) {
                thread.slot.stack.forget();
            }
            let is_gone = |one: &SessionTimer| one.tid == tid && one.since_ns <= began_ns;
            self.settle_all(is_gone);
            self.drop_timers(|session| session.drop_timers(is_gone));
        }
    }

    fn settle_all(&mut self, of: impl Fn(&SessionTimer) -> bool + Copy) {
        for session in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.settle(session, of);
        }
    }

    fn drop_timers(&mut self, mut of: impl FnMut(&mut Session) -> Vec<&'static TimerSlot>) {
        let released: Vec<_> = self.sessions.values_mut().flat_map(&mut of).collect();
        for timer in released {
            self.release_timer(timer);
        }
    }
}

//! Wall timers that paused: the drain looks after their threads.
//!
//! A paused timer's thread waits where its last sample found it, until it runs. The clocks say for
//! how long; that time is told when the pause ends, and when what was collected is handed on. A
//! thread that runs is noticed by the timer on its CPU clock; one that has run and waits again, by
//! the looks here. They go round: [`limits::LOOKS_PER_SECOND`] is the bound on what they cost, and so
//! of a few paused threads each is looked at in every round of the drain, of 1,000 each every 0.7 s,
//! which is how long time may be charged to the place where a thread waited before.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Registry;
use super::session::{SessionTimer, Wait};
use crate::clock;
use crate::collection::Resolver;
use crate::limits;
use crate::process::Process;
use crate::sampler::slot::{ThreadSlot, TimerSlot};
use crate::sampler::wall::{Held, Look, Pools, Reading};

impl Registry {
    /// Looks at as many paused timers as it is time for.
    pub(super) fn look_at_pauses(&mut self) {
        let now_ns = clock::monotonic_ns();
        let since_ns = now_ns.saturating_sub(self.pauses_looked_ns);
        self.pauses_looked_ns = now_ns;
        let looks = since_ns.saturating_mul(limits::LOOKS_PER_SECOND) / 1_000_000_000;
        let mut looks_left = looks.clamp(1, limits::LOOKS_PER_SECOND);
        for _ in 0..self.timers_made {
            self.next_look = (self.next_look + 1) % self.timers_made;
            let Some(timer) = TimerSlot::at(self.next_look) else {
                continue;
            };
            let Some(held) = timer.wall.hold() else {
                continue;
            };
            self.look_at(timer, held);
            looks_left -= 1;
            if looks_left == 0 {
                break;
            }
        }
    }

    /// Looks at one paused timer, whose cell is held.
    fn look_at(&mut self, timer: &TimerSlot, held: Held<'_>) {
        let thread = ThreadSlot::at(timer.thread.load(Ordering::SeqCst));
        let session = timer.session.load(Ordering::SeqCst);
        let period_ns = timer.period_ns.load(Ordering::Relaxed);
        let waker_ns = period_ns.saturating_add(2 * clock::tick_ns());
        let asks = thread
            .filter(|_| session != 0)
            .and_then(|thread| Reading::of(thread.tid.load(Ordering::SeqCst)))
            .filter(|now| timer.wall.look(now, waker_ns) == Look::Ask);
        let (Some(thread), Some(now)) = (thread, asks) else {
            return;
        };
        self.drain_rings();
        self.tell_wait(session, thread, timer, &now);
        let first = self.first_delay(period_ns);
        if let Some(waker) = timer.waker() {
            let _left = waker.set(Duration::ZERO, Duration::ZERO);
        }
        // Armed before the cell is handed back: whoever disarms it waits for that. What expires
        // meanwhile is late.
        let due_ns = clock::monotonic_ns().saturating_add(clock::nanos(first));
        if let Some(kernel) = timer.kernel() {
            let _left = kernel.set(first, Duration::from_nanos(period_ns));
        }
        held.resume(due_ns);
    }

    /// Tells what the thread of a paused timer waited until `now`; the cell is held.
    fn tell_wait(
        &mut self,
        session: u32,
        thread: &'static ThreadSlot,
        timer: &TimerSlot,
        now: &Reading,
    ) {
        let mut account = timer.wall.account();
        let passed = account.pass(*now);
        account.pools.running_ns = account
            .pools
            .running_ns
            .saturating_add(passed.time.running_ns);
        timer.wall.store(&account);
        if passed.time.off_ns == 0 {
            return;
        }
        let events = timer.periods_in(passed.time.off_ns);
        timer.taken.add(events);
        let wait = Wait {
            time_ns: now.wall_ns,
            events,
            off_ns: passed.time.off_ns,
        };
        let tid = thread.tid.load(Ordering::SeqCst);
        let name = self.threads.get(&tid).map(|thread| &thread.name);
        let jit = &Process::current().jit;
        let jit = jit.lock().unwrap_or_else(PoisonError::into_inner);
        let resolver = Resolver {
            modules: &self.modules,
            jit: &jit,
        };
        if let (Some(name), Some(session)) = (name, self.sessions.get_mut(&session)) {
            session.add_wait(&wait, thread.index, (tid, name), &resolver);
        }
    }

    /// Tells what the threads of a session's paused timers waited up to now: before what was
    /// collected is handed on.
    pub(crate) fn tell_waits(&mut self, session: u32) {
        self.tell_waits_of(session, |_| true);
    }

    /// As [`tell_waits`](Self::tell_waits), for sessions that are about to hand on what they have.
    pub(super) fn tell_waits_where_due(&mut self) {
        let now_ns = clock::monotonic_ns();
        let sessions = self.sessions.values();
        let due =
            sessions.filter(|session| session.is_window_over(now_ns) || session.is_flush_due());
        for session in due.map(|session| session.id).collect::<Vec<_>>() {
            self.tell_waits(session);
            self.note_unseen(session);
        }
    }

    /// Charges all that no sample was charged with to those timers that are about to go; their
    /// threads are idle or gone.
    pub(super) fn settle(&mut self, session: u32, of: impl Fn(&SessionTimer) -> bool) {
        self.tell_waits_of(session, &of);
        let Some(session) = self.sessions.get_mut(&session) else {
            return;
        };
        let now_ns = clock::monotonic_ns();
        let timers = session.timers.iter().filter(|one| of(one));
        let left_over: Vec<(i32, Pools)> = timers
            .map(|one| (one.tid, one.timer.wall.account().pools))
            .filter(|(_, pools)| !pools.is_empty())
            .collect();
        for (tid, pools) in left_over {
            let name = self.threads.get(&tid).map(|thread| &thread.name);
            session
                .collection
                .add_left_over(now_ns, pools, name.map(|name| (tid, name)), 0);
        }
    }

    fn tell_waits_of(&mut self, session: u32, of: impl Fn(&SessionTimer) -> bool) {
        let timers = self.sessions.get(&session).map(|session| &session.timers);
        let timers = timers.into_iter().flatten().filter(|one| of(one));
        let hold = |one: &SessionTimer| {
            let held = one.timer.wall.hold()?;
            Some((one.tid, one.thread, one.timer, held))
        };
        let paused: Vec<_> = timers.filter_map(hold).collect();
        if paused.is_empty() {
            return;
        }
        // A handler writes its record before it pauses: by now all of them are there.
        self.drain_rings();
        for (tid, thread, timer, held) in paused {
            let now = Reading::of(tid).unwrap_or_else(|| timer.wall.last_seen());
            self.tell_wait(session, thread, timer, &now);
            drop(held);
        }
    }
}

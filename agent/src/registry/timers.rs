//! Timers of sessions and of requests: made, armed, taken back.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use std::sync::atomic::Ordering;

use super::session::{Session, SessionTimer, TimerPlan};
use super::{Registry, SampledThread};
use crate::Clock;
use crate::clock;
use crate::error::StartError;
use crate::limits;
use crate::sampler::slot::{ThreadSlot, TimerSlot};
use crate::sampler::wall::{Account, Reading};
use crate::sampler::{signal, threads};
use crate::sys::{self, KernelTimer};

/// The kernel's timers of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KernelTimers {
    /// The one that samples.
    pub(crate) timer: KernelTimer,
    /// On the wall clock the one that ends pauses, where the kernel gave one.
    pub(crate) waker: Option<KernelTimer>,
}

impl KernelTimers {
    /// Creates them, disarmed, for a slot that was assigned to the thread.
    fn create(clock: Clock, tid: i32, slot: &TimerSlot) -> io::Result<Self> {
        let of_thread = sys::thread_cpu_clock(tid);
        let create = |clock, value| KernelTimer::create(clock, signal::SIGNAL, tid, value);
        let timers = match clock {
            Clock::Cpu => Self {
                timer: create(of_thread, slot.signal_value())?,
                waker: None,
            },
            Clock::Wall => Self {
                timer: create(libc::CLOCK_MONOTONIC, slot.signal_value())?,
                // Without it the drain's look ends the pause.
                waker: create(of_thread, slot.waker_value()).ok(),
            },
        };
        slot.set_kernel_timers(timers.timer, timers.waker);
        Ok(timers)
    }

    /// Deletes them. A signal that is already pending may still arrive.
    pub(crate) fn delete(self) {
        self.timer.delete();
        if let Some(waker) = self.waker {
            waker.delete();
        }
    }
}

impl Registry {
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
    fn timer_slot(
        &mut self,
        thread: &ThreadSlot,
        clock: Clock,
        depth_max: usize,
    ) -> Option<&'static TimerSlot> {
        let index = self.free_timers.pop().unwrap_or(self.timers_made);
        let timer = TimerSlot::at_or_new(index)?;
        self.timers_made = self.timers_made.max(index.saturating_add(1));
        timer.assign(thread, clock, depth_max);
        timer.wall.seed(self.random);
        Some(timer)
    }

    /// Takes a timer slot back whose kernel timer is deleted and whose thread is idle or gone.
    pub(crate) fn release_timer(&mut self, timer: &TimerSlot) {
        timer.retire();
        self.free_timers.push(timer.index());
    }

    pub(super) fn add_timer(
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
        let timer = self
            .timer_slot(thread, plan.clock, plan.depth_max)
            .ok_or_else(full)?;
        let since_ns = sys::clock_ns(libc::CLOCK_BOOTTIME);
        let kernel = match KernelTimers::create(plan.clock, tid, timer) {
            Ok(kernel) => kernel,
            Err(source) => {
                self.release_timer(timer);
                return Err(StartError::of_timer(source));
            }
        };
        let (armed_cpu_ns, first_ns) = match self.arm(session, plan, (tid, timer, kernel)) {
            Ok(armed) => armed,
            Err(source) => {
                kernel.delete();
                self.release_timer(timer);
                return Err(StartError::of_timer(source));
            }
        };
        if let Some(session) = self.sessions.get_mut(&session) {
            session.timers.push(SessionTimer {
                tid,
                since_ns,
                thread,
                timer,
                kernel,
                armed_cpu_ns,
                first_ns,
                ended_cpu_ns: None,
            });
        }
        Ok(())
    }

    /// Arms a timer. Tells the thread's CPU clock at that time, and the first expiry from there.
    fn arm(
        &mut self,
        session: u32,
        plan: TimerPlan,
        (tid, timer, kernel): (i32, &TimerSlot, KernelTimers),
    ) -> io::Result<(u64, u64)> {
        let first = self.first_delay(plan.period_ns);
        timer.period_ns.store(plan.period_ns, Ordering::SeqCst);
        let now = Reading::of(tid).unwrap_or_default();
        let account = Account {
            last: now,
            ..Account::default()
        };
        let due_ns = clock::monotonic_ns().saturating_add(clock::nanos(first));
        timer.wall.begin(&account, due_ns);
        timer.session.store(session, Ordering::SeqCst);
        let period = Duration::from_nanos(plan.period_ns);
        kernel.timer.set(first, period)?;
        Ok((now.cpu_ns, clock::nanos(first)))
    }

    /// Uniform in (0, period]: so that a thread shorter than a period is seen without bias.
    pub(super) fn first_delay(&mut self, period_ns: u64) -> Duration {
        // xorshift64: even enough for a phase.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        Duration::from_nanos(self.random % period_ns.max(1) + 1)
    }

    /// Disarmed wall timers of the calling thread, for the requests that it polls.
    #[cfg(feature = "tower")]
    pub(crate) fn create_request_timer(
        &mut self,
        tid: i32,
        depth_max: usize,
    ) -> io::Result<(&'static TimerSlot, KernelTimers)> {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let thread = self.thread_slot(tid, None).ok_or_else(full)?;
        let timer = self
            .timer_slot(thread, Clock::Wall, depth_max)
            .ok_or_else(full)?;
        match KernelTimers::create(Clock::Wall, tid, timer) {
            Ok(kernel) => Ok((timer, kernel)),
            Err(error) => {
                self.release_timer(timer);
                Err(error)
            }
        }
    }
}

//! Timers of sessions and of requests: made, armed, taken back.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use std::sync::atomic::{AtomicBool, Ordering};

use super::session::{Session, SessionTimer, TimerPlan};
use super::{Registry, SampledThread};
use crate::Clock;
use crate::clock;
use crate::error::StartError;
use crate::limits;
use crate::sampler::slot::{ThreadSlot, TimerSlot};
use crate::sampler::wall::{Account, Reading};
use crate::sampler::{event, signal, threads};
use crate::sys::{self, KernelTimer, PerfClock};

/// The kernel's timers of one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KernelTimers {
    /// The one that samples.
    pub(crate) timer: Option<KernelTimer>,
    /// Or an event that does.
    event: Option<PerfClock>,
    /// On the wall clock the one that ends pauses, where the kernel gave one.
    pub(crate) waker: Option<KernelTimer>,
}

/// Set once the kernel has refused an event for good.
static EVENTS_REFUSED: AtomicBool = AtomicBool::new(false);

impl KernelTimers {
    /// Creates them, disarmed, for a slot that was assigned to the thread.
    fn create(clock: Clock, period_ns: u64, tid: i32, slot: &TimerSlot) -> io::Result<Self> {
        let of_thread = sys::thread_cpu_clock(tid);
        let create = |clock, value| KernelTimer::create(clock, signal::SIGNAL, tid, value);
        let event = match clock {
            Clock::Cpu => event_of(tid, period_ns, slot),
            Clock::Wall => None,
        };
        let timers = match (clock, event) {
            (Clock::Cpu, Some(_)) => Self {
                event,
                ..Self::default()
            },
            (Clock::Cpu, None) => Self {
                timer: Some(create(of_thread, slot.signal_value())?),
                ..Self::default()
            },
            (Clock::Wall, _) => Self {
                timer: Some(create(libc::CLOCK_MONOTONIC, slot.signal_value())?),
                // Without it the drain's look ends the pause.
                waker: create(of_thread, slot.waker_value()).ok(),
                event: None,
            },
        };
        slot.set_kernel_timers(timers.timer, timers.waker);
        Ok(timers)
    }

    /// Arms the one that samples. Tells what was left of the last period, none where it was disarmed.
    pub(crate) fn set(&self, first: Duration, period: Duration) -> io::Result<Duration> {
        match (self.timer, self.event) {
            (Some(timer), _) => timer.set(first, period),
            (None, Some(event)) => event.start().map(|()| Duration::ZERO),
            (None, None) => Ok(Duration::ZERO),
        }
    }

    /// Deletes them. A signal that is already pending may still arrive.
    pub(crate) fn delete(self) {
        for timer in self.timer.into_iter().chain(self.waker) {
            timer.delete();
        }
        if let Some(one) = self.event {
            // Its signals that still come find the slot, and that they are late.
            one.close();
        }
    }
}

/// An event for a period that is shorter than the kernel's tick: the timers on CPU time are looked at
/// on the tick only. `None` where the kernel allows none that counts its own part as well (then one
/// would miss nearly all of a loop of system calls), or descriptors are scarce.
fn event_of(tid: i32, period_ns: u64, slot: &TimerSlot) -> Option<PerfClock> {
    if period_ns >= clock::tick_ns() || EVENTS_REFUSED.load(Ordering::Relaxed) {
        return None;
    }
    let event = match PerfClock::open(tid, period_ns, signal::SIGNAL) {
        Ok(event) => event,
        Err(error) => {
            let for_good = [
                libc::EACCES,
                libc::EPERM,
                libc::ENOSYS,
                libc::EINVAL,
                libc::ENOENT,
                libc::EOPNOTSUPP,
            ];
            let refused = error
                .raw_os_error()
                .is_some_and(|code| for_good.contains(&code));
            EVENTS_REFUSED.fetch_or(refused, Ordering::Relaxed);
            return None;
        }
    };
    // A new descriptor has the lowest number that is free: most are left to the host.
    let is_scarce = sys::descriptors_limit()
        .is_some_and(|limit| u64::from(event.number().unsigned_abs()) >= limit / 4 * 3);
    if is_scarce || !event::set(event.number(), slot.signal_value()) {
        event.close();
        return None;
    }
    slot.set_event();
    Some(event)
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
        let kernel = match KernelTimers::create(plan.clock, plan.period_ns, tid, timer) {
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
        let now = Reading::first_of(tid);
        let account = Account {
            last: now,
            ..Account::default()
        };
        let due_ns = clock::monotonic_ns().saturating_add(clock::nanos(first));
        timer.wall.begin(&account, due_ns);
        timer.session.store(session, Ordering::SeqCst);
        let period = Duration::from_nanos(plan.period_ns);
        kernel.set(first, period)?;
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

    /// Disarmed wall timers of the calling thread, without a session.
    pub(crate) fn create_wall_timers(&mut self) -> io::Result<(&'static TimerSlot, KernelTimers)> {
        let tid = sys::tid();
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let thread = self.thread_slot(tid, None).ok_or_else(full)?;
        let timer = self
            .timer_slot(thread, Clock::Wall, limits::DEPTH_DEFAULT)
            .ok_or_else(full)?;
        match KernelTimers::create(Clock::Wall, 0, tid, timer) {
            Ok(kernel) => Ok((timer, kernel)),
            Err(error) => {
                self.release_timer(timer);
                Err(error)
            }
        }
    }
}

//! What the handler reaches: one slot for each thread, one for each timer.
//!
//! Slots are made by the drain side, found by index through static tables, reused and never
//! freed: a signal that arrives late (it may stay pending after `timer_delete(2)`) always finds
//! live memory, and the generation in its value tells that it is late.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use flashlamp_profile::{Tally, losses};

use super::shared::HandlerState;
use super::stack_cell::StackCell;
use super::wall::WallCell;
use crate::limits::{RING_WORDS, THREADS_MAX, TIMERS_MAX};
use crate::ring::{Full, Reservation, Ring};
use crate::sys::{self, KernelTimer};
use crate::{Clock, clock};

/// One sampled thread.
#[derive(Debug)]
pub(crate) struct ThreadSlot {
    /// Its place in the table.
    pub(crate) index: u32,
    /// The thread; 0 while the slot is free.
    pub(crate) tid: AtomicI32,
    /// The entry point that the thread works for right now; 0 for none. Written by the thread
    /// itself in ordinary code, read by its own handler: relaxed is enough for one thread.
    pub(crate) entry: AtomicU32,
    /// The thread pointer of the thread that was seen to have this id; 0 for none yet.
    thread_pointer: AtomicU64,
    /// Where its stack is.
    pub(crate) stack: StackCell,
    /// 1 while the thread's handler takes a sample. See [`super::handler`] for the ordering.
    pub(crate) busy: AtomicU32,
    /// From the handler to the drain.
    pub(crate) ring: Ring,
    /// Belongs to whoever set `busy`.
    pub(crate) state: HandlerState,
}

static THREADS: [OnceLock<Box<ThreadSlot>>; THREADS_MAX] = [const { OnceLock::new() }; THREADS_MAX];

/// A bit for each thread whose ring was written to since the drain last asked: with a thousand
/// threads it would otherwise look into a thousand empty rings.
static WRITTEN: [AtomicU64; THREADS_MAX.div_ceil(64)] =
    [const { AtomicU64::new(0) }; THREADS_MAX.div_ceil(64)];

/// The slots whose rings were written to since the last call, by index. A record that is committed
/// meanwhile is found by this call or by the next one.
pub(crate) fn take_written() -> Vec<u32> {
    let mut written = Vec::new();
    for (word, first) in WRITTEN.iter().zip((0_u32..).step_by(64)) {
        // A look first: to swap is to take the line from every handler.
        if word.load(Ordering::Relaxed) == 0 {
            continue;
        }
        let bits = word.swap(0, Ordering::SeqCst);
        written.extend(
            (0..64)
                .filter(|bit| bits >> bit & 1 == 1)
                .map(|bit| first + bit),
        );
    }
    written
}

impl ThreadSlot {
    /// Publishes a record of this slot's ring, and says so to the drain.
    ///
    /// # Signal safety
    /// Three atomic operations.
    pub(crate) fn commit(&self, record: Reservation<'_>) -> Result<(), Full> {
        record.commit()?;
        let word = usize::try_from(self.index / 64).unwrap_or(usize::MAX);
        if let Some(word) = WRITTEN.get(word) {
            // After the record: who takes the bit finds it.
            word.fetch_or(1 << (self.index % 64), Ordering::SeqCst);
        }
        Ok(())
    }

    /// The slot at `index`, made where it does not exist yet. Allocates the first time.
    pub(crate) fn at_or_new(index: u32) -> Option<&'static Self> {
        let cell = THREADS.get(usize::try_from(index).ok()?)?;
        Some(cell.get_or_init(|| {
            Box::new(Self {
                index,
                tid: AtomicI32::new(0),
                entry: AtomicU32::new(0),
                thread_pointer: AtomicU64::new(0),
                stack: StackCell::default(),
                busy: AtomicU32::new(0),
                ring: Ring::new(RING_WORDS),
                state: HandlerState::new(),
            })
        }))
    }

    /// Gives the slot to a thread. Nothing of the one before stays.
    pub(crate) fn assign(&self, tid: i32) {
        self.entry.store(0, Ordering::Relaxed);
        self.thread_pointer.store(0, Ordering::SeqCst);
        self.stack.forget();
        self.busy.store(0, Ordering::SeqCst);
        self.tid.store(tid, Ordering::SeqCst);
    }

    /// Whether this is the calling thread's slot; its thread pointer is at hand.
    ///
    /// # Signal safety
    /// One atomic load; the first time gettid(2) and a store.
    pub(crate) fn is_of_this_thread(&self, thread_pointer: u64) -> bool {
        if self.thread_pointer.load(Ordering::Relaxed) == thread_pointer {
            return true;
        }
        let is = self.tid.load(Ordering::SeqCst) == sys::tid();
        if is {
            self.thread_pointer.store(thread_pointer, Ordering::Relaxed);
        }
        is
    }

    /// The slot at `index`.
    ///
    /// # Signal safety
    /// One atomic load.
    pub(crate) fn at(index: u32) -> Option<&'static Self> {
        THREADS
            .get(usize::try_from(index).ok()?)?
            .get()
            .map(AsRef::as_ref)
    }
}

/// Samples and events, counted by one thread's handler.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    samples: AtomicU64,
    events: AtomicU64,
}

impl Counter {
    /// Counts one sample.
    ///
    /// # Signal safety
    /// Two atomic additions. Release: who sees the count sees all that was counted before it.
    pub(crate) fn add(&self, events: u32) {
        self.samples.fetch_add(1, Ordering::Release);
        self.events.fetch_add(u64::from(events), Ordering::Release);
    }

    /// The count. Acquire: see [`add`](Self::add).
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            samples: self.samples.load(Ordering::Acquire),
            events: self.events.load(Ordering::Acquire),
        }
    }

    fn reset(&self) {
        self.samples.store(0, Ordering::Relaxed);
        self.events.store(0, Ordering::Relaxed);
    }
}

/// What handlers counted, and what only the clocks did: `taken = lost here + written to the ring`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Signals accepted, and those that no handler saw.
    pub(crate) taken: Tally,
    /// Of these, lost because the ring was full.
    pub(crate) ring_full: Tally,
    /// Of these, not looked at because sampling would have taken more time than the program.
    pub(crate) overload: Tally,
    /// Of these, still to come when the timer was deleted.
    pub(crate) undelivered: Tally,
    /// Of these, of threads that had no timer.
    pub(crate) unseen: Tally,
}

impl Counts {
    /// Periods that only the clocks counted.
    pub(crate) fn add_undelivered(&mut self, periods: u64) {
        let tally = each_a_sample(periods);
        self.taken += tally;
        self.undelivered += tally;
    }

    /// As [`add_undelivered`](Self::add_undelivered), of threads that had no timer.
    pub(crate) fn add_unseen(&mut self, periods: u64) {
        let tally = each_a_sample(periods);
        self.taken += tally;
        self.unseen += tally;
    }

    /// The losses by reason, those of nothing as well.
    pub(crate) fn losses(&self) -> [(&'static str, Tally); 4] {
        [
            (losses::RING_FULL, self.ring_full),
            (losses::OVERLOAD, self.overload),
            (losses::UNDELIVERED, self.undelivered),
            (losses::UNSEEN, self.unseen),
        ]
    }

    /// What went into the ring.
    pub(crate) fn written(&self) -> Tally {
        let lost: Tally = self.losses().into_iter().map(|(_, tally)| tally).sum();
        self.taken.saturating_sub(lost)
    }

    /// What was counted since `earlier`.
    #[cfg(feature = "tower")]
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            taken: self.taken.saturating_sub(earlier.taken),
            ring_full: self.ring_full.saturating_sub(earlier.ring_full),
            overload: self.overload.saturating_sub(earlier.overload),
            undelivered: self.undelivered.saturating_sub(earlier.undelivered),
            unseen: self.unseen.saturating_sub(earlier.unseen),
        }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.taken += other.taken;
        self.ring_full += other.ring_full;
        self.overload += other.overload;
        self.undelivered += other.undelivered;
        self.unseen += other.unseen;
    }
}

fn each_a_sample(periods: u64) -> Tally {
    Tally {
        samples: periods,
        events: periods,
    }
}

/// One timer: a session's on one thread, or a thread's own for profiled requests.
#[derive(Debug)]
pub(crate) struct TimerSlot {
    index: u32,
    /// Grows each time the slot changes hands; a signal's value carries it.
    generation: AtomicU32,
    /// Index of the thread's slot.
    pub(crate) thread: AtomicU32,
    /// The session that samples belong to; 0 takes none.
    pub(crate) session: AtomicU32,
    /// Frames of one sample at most.
    pub(crate) depth_max: AtomicU32,
    /// Signals accepted: every one of them ends as a record or as a loss.
    pub(crate) taken: Counter,
    /// Of these, lost because the ring was full.
    pub(crate) ring_full: Counter,
    /// Of these, not looked at; see [`super::handler`].
    pub(crate) overload: Counter,
    /// The distance between samples.
    pub(crate) period_ns: AtomicU64,
    /// Of a timer on the wall clock; one on the CPU clock does not use it.
    pub(crate) wall: WallCell,
    is_wall: AtomicBool,
    /// Whether it is a perf event: its signals do not say how many periods have passed.
    is_event: AtomicBool,
    /// The kernel's numbers of the timer and of its [`Waker`](Expired::Waker).
    kernel: AtomicI32,
    waker: AtomicI32,
}

/// Which of a slot's two timers expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// The one that samples.
    Timer,
    /// The one on the thread's CPU clock that ends a pause of the wall clock.
    Waker,
}

static TIMERS: [OnceLock<Box<TimerSlot>>; TIMERS_MAX] = [const { OnceLock::new() }; TIMERS_MAX];

/// The upper 16 bits of our signal values: "F1A5" for Flashlamp.
const MAGIC: u64 = 0xf1a5;

/// Set in the signal values of wakers, above the index.
const WAKER: u64 = 1 << 31;

/// No timer of the kernel has this number.
const NO_TIMER: i32 = -1;

impl TimerSlot {
    /// The slot at `index`, made where it does not exist yet.
    pub(crate) fn at_or_new(index: u32) -> Option<&'static Self> {
        let cell = TIMERS.get(usize::try_from(index).ok()?)?;
        Some(cell.get_or_init(|| {
            Box::new(Self {
                index,
                generation: AtomicU32::new(0),
                thread: AtomicU32::new(u32::MAX),
                session: AtomicU32::new(0),
                depth_max: AtomicU32::new(0),
                taken: Counter::default(),
                ring_full: Counter::default(),
                overload: Counter::default(),
                period_ns: AtomicU64::new(0),
                wall: WallCell::default(),
                is_wall: AtomicBool::new(false),
                is_event: AtomicBool::new(false),
                kernel: AtomicI32::new(NO_TIMER),
                waker: AtomicI32::new(NO_TIMER),
            })
        }))
    }

    /// Its place in the table.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Gives the slot to a thread, with counters at zero, no session and no timers.
    pub(crate) fn assign(&self, thread: &ThreadSlot, clock: Clock, depth_max: usize) {
        self.retire();
        self.is_wall.store(clock == Clock::Wall, Ordering::SeqCst);
        self.is_event.store(false, Ordering::SeqCst);
        self.kernel.store(NO_TIMER, Ordering::SeqCst);
        self.waker.store(NO_TIMER, Ordering::SeqCst);
        self.taken.reset();
        self.ring_full.reset();
        self.overload.reset();
        self.thread.store(thread.index, Ordering::SeqCst);
        self.depth_max.store(
            u32::try_from(depth_max).unwrap_or(u32::MAX),
            Ordering::SeqCst,
        );
    }

    /// Whether it is on the wall clock.
    ///
    /// # Signal safety
    /// One load.
    pub(crate) fn is_wall(&self) -> bool {
        self.is_wall.load(Ordering::Relaxed)
    }

    /// Whether it is a perf event.
    ///
    /// # Signal safety
    /// One load.
    pub(crate) fn is_event(&self) -> bool {
        self.is_event.load(Ordering::Relaxed)
    }

    /// Makes it one.
    pub(crate) fn set_event(&self) {
        self.is_event.store(true, Ordering::SeqCst);
    }

    /// The periods of a signal that says so many, and the CPU time that they are. Signals of a perf
    /// event say nothing of it: the thread's clock does.
    ///
    /// # Signal safety
    /// Integers only; of a perf event one system call.
    pub(super) fn time_of(&self, events: u32) -> (u32, u64) {
        let period_ns = self.period_ns.load(Ordering::Relaxed);
        if !self.is_event() {
            return (events, u64::from(events).saturating_mul(period_ns));
        }
        let running_ns = self.wall.cpu_since_last(clock::thread_cpu_ns());
        let half = period_ns / 2;
        let periods = running_ns.saturating_add(half).checked_div(period_ns);
        let periods = u32::try_from(periods.unwrap_or(1)).unwrap_or(u32::MAX);
        (periods.max(1), running_ns)
    }

    /// Leaves the kernel's timers to the handler, which stops and starts them.
    pub(crate) fn set_kernel_timers(
        &self,
        kernel: Option<KernelTimer>,
        waker: Option<KernelTimer>,
    ) {
        let kernel = kernel.map_or(NO_TIMER, KernelTimer::number);
        self.kernel.store(kernel, Ordering::SeqCst);
        let waker = waker.map_or(NO_TIMER, KernelTimer::number);
        self.waker.store(waker, Ordering::SeqCst);
    }

    /// The kernel's timer.
    ///
    /// # Signal safety
    /// One load.
    pub(crate) fn kernel(&self) -> Option<KernelTimer> {
        timer_of(&self.kernel)
    }

    /// The kernel's timer that ends pauses.
    ///
    /// # Signal safety
    /// One load.
    pub(crate) fn waker(&self) -> Option<KernelTimer> {
        timer_of(&self.waker)
    }

    /// How many periods this time is, at least one: what a thread that was not asked counts as.
    ///
    /// # Signal safety
    /// Integers only.
    pub(crate) fn periods_in(&self, time_ns: u64) -> u32 {
        let period_ns = self.period_ns.load(Ordering::Relaxed).max(1);
        let periods = time_ns.checked_div(period_ns).unwrap_or(0);
        u32::try_from(periods).unwrap_or(u32::MAX).max(1)
    }

    /// The counters as they stand. The handler counts a sample as taken before it counts it as
    /// lost; losses are read first, so that each of them is in `taken` even while it runs.
    pub(crate) fn counts(&self) -> Counts {
        let ring_full = self.ring_full.tally();
        let overload = self.overload.tally();
        Counts {
            taken: self.taken.tally(),
            ring_full,
            overload,
            ..Counts::default()
        }
    }

    /// Ends the slot's use: signals of the old generation are late from here on.
    pub(crate) fn retire(&self) {
        self.session.store(0, Ordering::SeqCst);
        self.wall.retire();
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// The value for `timer_create(2)`: magic (16) | generation (16) | index (32).
    pub(crate) fn signal_value(&self) -> u64 {
        let generation = u64::from(self.generation.load(Ordering::SeqCst) & 0xffff);
        MAGIC << 48 | generation << 32 | u64::from(self.index)
    }

    /// The value for the timer that ends pauses.
    pub(crate) fn waker_value(&self) -> u64 {
        self.signal_value() | WAKER
    }

    /// Which timer of the slot's present use `value` belongs to; `None` where it is of an earlier
    /// use.
    ///
    /// # Signal safety
    /// One atomic load.
    pub(crate) fn expired(&self, value: u64) -> Option<Expired> {
        let expired = if value & WAKER == 0 {
            Expired::Timer
        } else {
            Expired::Waker
        };
        (self.signal_value() == value & !WAKER).then_some(expired)
    }

    /// The slot that a signal's value names; `None` where the value is not ours.
    ///
    /// # Signal safety
    /// One atomic load.
    pub(crate) fn of_value(value: u64) -> Option<&'static Self> {
        if value >> 48 != MAGIC {
            return None;
        }
        Self::at(u32::try_from(value & 0xffff_ffff & !WAKER).ok()?)
    }

    /// The slot at `index`.
    ///
    /// # Signal safety
    /// One atomic load.
    pub(crate) fn at(index: u32) -> Option<&'static Self> {
        let cell = TIMERS.get(usize::try_from(index).ok()?)?;
        cell.get().map(AsRef::as_ref)
    }
}

fn timer_of(number: &AtomicI32) -> Option<KernelTimer> {
    let number = number.load(Ordering::Relaxed);
    (number != NO_TIMER).then(|| KernelTimer::of_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_that_is_seen_was_taken_even_while_a_handler_counts() {
        let timer = TimerSlot::at_or_new(16_001).unwrap();
        let done = AtomicBool::new(false);
        let count = || {
            while !done.load(Ordering::Relaxed) {
                timer.taken.add(2);
                timer.ring_full.add(2);
                timer.taken.add(1);
                timer.overload.add(1);
            }
        };
        let is_wrong = |counts: &Counts| {
            let lost = counts.ring_full + counts.overload;
            lost.samples > counts.taken.samples || lost.events > counts.taken.events
        };
        std::thread::scope(|scope| {
            scope.spawn(count);
            let seen = (0..200_000).map(|_| timer.counts());
            let wrong = seen.filter(is_wrong).count();
            done.store(true, Ordering::Relaxed);
            assert_eq!(wrong, 0);
        });
    }

    #[test]
    fn value_of_an_earlier_use_is_late() {
        let thread = ThreadSlot::at_or_new(4000).unwrap();
        let timer = TimerSlot::at_or_new(16_000).unwrap();
        timer.assign(thread, Clock::Cpu, 10);
        for (value, expired) in [
            (timer.signal_value(), Expired::Timer),
            (timer.waker_value(), Expired::Waker),
        ] {
            assert_eq!(timer.expired(value), Some(expired));
            assert_eq!(TimerSlot::of_value(value).unwrap().index(), 16_000);
        }
        let value = timer.signal_value();
        timer.retire();
        assert_eq!(timer.expired(value), None);
        assert!(
            TimerSlot::of_value(value & 0xffff_ffff).is_none(),
            "no magic"
        );
        assert!(
            TimerSlot::of_value(MAGIC << 48 | 0x7fff_ffff).is_none(),
            "no such slot"
        );
    }
}

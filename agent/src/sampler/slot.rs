//! What the handler reaches: one slot for each thread, one for each timer.
//!
//! Slots are made by the drain side, found by index through static tables, reused and never
//! freed: a signal that arrives late (it may stay pending after `timer_delete(2)`) always finds
//! live memory, and the generation in its value tells that it is late.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use flashlamp_profile::Tally;

use super::shared::HandlerState;
use super::stack_cell::StackCell;
use crate::limits::{RING_WORDS, THREADS_MAX, TIMERS_MAX};
use crate::ring::Ring;
use crate::sys;

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

impl ThreadSlot {
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

/// What a handler counted: `taken = lost here + written to the ring`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Signals accepted.
    pub(crate) taken: Tally,
    /// Of these, lost because the ring was full.
    pub(crate) ring_full: Tally,
    /// Of these, not looked at because sampling would have taken more time than the program.
    pub(crate) overload: Tally,
}

impl Counts {
    /// What went into the ring.
    pub(crate) fn written(&self) -> Tally {
        self.taken
            .saturating_sub(self.ring_full)
            .saturating_sub(self.overload)
    }

    /// What was counted since `earlier`.
    #[cfg(feature = "tower")]
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            taken: self.taken.saturating_sub(earlier.taken),
            ring_full: self.ring_full.saturating_sub(earlier.ring_full),
            overload: self.overload.saturating_sub(earlier.overload),
        }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.taken += other.taken;
        self.ring_full += other.ring_full;
        self.overload += other.overload;
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
}

static TIMERS: [OnceLock<Box<TimerSlot>>; TIMERS_MAX] = [const { OnceLock::new() }; TIMERS_MAX];

/// The upper 16 bits of our signal values: "F1A5" for Flashlamp.
const MAGIC: u64 = 0xf1a5;

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
            })
        }))
    }

    /// Its place in the table.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Gives the slot to a thread, with counters at zero and no session.
    pub(crate) fn assign(&self, thread: &ThreadSlot, depth_max: usize) {
        self.retire();
        self.taken.reset();
        self.ring_full.reset();
        self.overload.reset();
        self.thread.store(thread.index, Ordering::SeqCst);
        self.depth_max.store(
            u32::try_from(depth_max).unwrap_or(u32::MAX),
            Ordering::SeqCst,
        );
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
        }
    }

    /// Ends the slot's use: signals of the old generation are late from here on.
    pub(crate) fn retire(&self) {
        self.session.store(0, Ordering::SeqCst);
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// The value for `timer_create(2)`: magic (16) | generation (16) | index (32).
    pub(crate) fn signal_value(&self) -> u64 {
        let generation = u64::from(self.generation.load(Ordering::SeqCst) & 0xffff);
        MAGIC << 48 | generation << 32 | u64::from(self.index)
    }

    /// Whether `value` belongs to the slot's present use.
    ///
    /// # Signal safety
    /// One atomic load.
    pub(crate) fn is_current(&self, value: u64) -> bool {
        self.signal_value() == value
    }

    /// The slot that a signal's value names; `None` where the value is not ours.
    ///
    /// # Signal safety
    /// One atomic load.
    pub(crate) fn of_value(value: u64) -> Option<&'static Self> {
        if value >> 48 != MAGIC {
            return None;
        }
        let index = usize::try_from(value & 0xffff_ffff).ok()?;
        TIMERS.get(index)?.get().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

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
        timer.assign(thread, 10);
        let value = timer.signal_value();
        assert!(timer.is_current(value));
        assert_eq!(TimerSlot::of_value(value).unwrap().index(), 16_000);
        timer.retire();
        assert!(!timer.is_current(value));
        assert!(
            TimerSlot::of_value(value & 0xffff_ffff).is_none(),
            "no magic"
        );
        assert!(
            TimerSlot::of_value(MAGIC << 48 | 0xffff_ffff).is_none(),
            "no such slot"
        );
    }
}

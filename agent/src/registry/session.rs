//! One session: a profiler, an agent's continuous profile, or one request.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use flashlamp_profile::{EventCount, Tally, losses};

use super::timers::KernelTimers;
use super::unseen::Unseen;
use super::window::Window;
use crate::Clock;
use crate::clock::{self, Anchor};
use crate::collection::{Chunk, Collection, Drained, Losses, Resolver};
use crate::ring::record::{Header, Lost, Quality, State};
use crate::sampler::slot::{Counts, ThreadSlot, TimerSlot};
use crate::sampler::wall::Reading;

/// Which threads a session's own timers are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionThreads {
    /// This one.
    One(i32),
    /// All, with those that start later.
    All,
    /// None: a request arms its threads' own timers poll by poll.
    None,
}

/// When to hand a profiler's samples to its callback.
#[derive(Debug)]
pub(crate) struct FlushAt {
    /// At this many samples.
    pub(crate) samples: usize,
    /// To the thread that runs the callback; bounded.
    pub(crate) to: SyncSender<Chunk>,
}

/// What a session is to do.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) clock: Clock,
    pub(crate) period_ns: u64,
    pub(crate) depth_max: usize,
    pub(crate) threads: SessionThreads,
    pub(crate) samples_max: usize,
    pub(crate) flush_at: Option<FlushAt>,
    pub(crate) window: Option<Window>,
}

/// What a session's timers need to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimerPlan {
    pub(super) clock: Clock,
    pub(super) period_ns: u64,
    pub(super) depth_max: usize,
}

/// A session's timer on one thread.
#[derive(Debug)]
pub(crate) struct SessionTimer {
    pub(super) tid: i32,
    /// When it was made, in nanoseconds of `CLOCK_BOOTTIME`.
    pub(super) since_ns: u64,
    pub(super) thread: &'static ThreadSlot,
    pub(super) timer: &'static TimerSlot,
    pub(super) kernel: KernelTimers,
    /// The thread's CPU clock when it was armed, and the first expiry from there.
    pub(super) armed_cpu_ns: u64,
    pub(super) first_ns: u64,
    /// The CPU clock when it was deleted, where the thread was still there.
    pub(super) ended_cpu_ns: Option<u64>,
}

impl SessionTimer {
    /// Deletes the kernel's timers; from here on handlers find no session.
    pub(super) fn end(&mut self) {
        self.ended_cpu_ns = Reading::of(self.tid).map(|now| now.cpu_ns);
        self.kernel.delete();
        self.timer.session.store(0, Ordering::SeqCst);
    }

    /// CPU time of its thread that handlers counted.
    fn counted_cpu_ns(&self) -> u64 {
        if self.timer.is_wall() {
            let last = self.timer.wall.account().last;
            return last.cpu_ns.saturating_sub(self.armed_cpu_ns);
        }
        let period_ns = self.timer.period_ns.load(Ordering::Relaxed);
        self.timer.counts().taken.events.saturating_mul(period_ns)
    }

    /// Expiries of a timer on the CPU clock that no handler has seen, once it is deleted and all
    /// handlers are done. The kernel looks at such timers on its tick, and a thread that ran from one
    /// tick to before the next one may have met none for a while.
    pub(super) fn undelivered(&self) -> u64 {
        let Some(ended_ns) = self.ended_cpu_ns.filter(|_| !self.timer.is_wall()) else {
            return 0;
        };
        let missing = self.pending(ended_ns);
        // Where sampling ends anywhere, a tick and a period are not over.
        let period_ns = self.timer.period_ns.load(Ordering::Relaxed).max(1);
        if missing > clock::tick_ns() / period_ns + 1 {
            missing
        } else {
            0
        }
    }

    fn pending(&self, ended_ns: u64) -> u64 {
        let period_ns = self.timer.period_ns.load(Ordering::Relaxed).max(1);
        if self.timer.is_event() {
            let last = self.timer.wall.account().last;
            return ended_ns.saturating_sub(last.cpu_ns) / period_ns;
        }
        let since_first = ended_ns
            .saturating_sub(self.armed_cpu_ns)
            .checked_sub(self.first_ns);
        let expired = since_first.map_or(0, |since| since / period_ns + 1);
        expired.saturating_sub(self.timer.counts().taken.events)
    }
}

/// The stack of a thread whose wall timer paused.
#[derive(Debug)]
struct WaitingStack {
    quality: Quality,
    entry: u32,
    /// Leaf first.
    addresses: Vec<u64>,
}

/// Time that a thread waited at one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    /// Until when.
    pub(super) time_ns: u64,
    /// Periods.
    pub(super) events: u32,
    pub(super) off_ns: u64,
}

/// The books of a session: `taken = undrained + lost + drained`, by independent counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// What handlers counted.
    pub(crate) counts: Counts,
    /// Records that came out of the rings.
    pub(crate) drained: Tally,
}

impl Totals {
    /// What handlers wrote and nobody has drained.
    pub(crate) fn undrained(&self) -> Tally {
        self.counts.written().saturating_sub(self.drained)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: u32,
    pub(crate) period_ns: u64,
    clock: Clock,
    depth_max: usize,
    pub(super) threads: SessionThreads,
    pub(super) timers: Vec<SessionTimer>,
    /// Of timers that are gone, and of threads without one.
    pub(super) retired: Counts,
    /// CPU time that is told apart from that of the threads that are sampled.
    pub(super) unseen: Unseen,
    pub(super) drained: Tally,
    pub(crate) collection: Collection,
    /// When the present collection began.
    pub(crate) start: Anchor,
    /// Losses that an earlier chunk carried.
    reported: Losses,
    /// Overflow of earlier collections.
    overflow_before: Tally,
    unaccounted: Tally,
    /// By the slot of the thread.
    waiting: HashMap<u32, WaitingStack>,
    /// Threads that got no timer.
    pub(crate) missed_threads: BTreeSet<i32>,
    pub(super) flush_at: Option<FlushAt>,
    pub(super) window: Option<Window>,
}

impl Session {
    pub(super) fn new(id: u32, plan: Plan) -> Self {
        Self {
            id,
            period_ns: plan.period_ns,
            clock: plan.clock,
            depth_max: plan.depth_max,
            threads: plan.threads,
            timers: Vec::new(),
            retired: Counts::default(),
            unseen: Unseen::begin(),
            drained: Tally::default(),
            collection: Collection::new(plan.samples_max),
            start: Anchor::now(),
            reported: Losses::new(),
            overflow_before: Tally::default(),
            unaccounted: Tally::default(),
            waiting: HashMap::new(),
            missed_threads: BTreeSet::new(),
            flush_at: plan.flush_at,
            window: plan.window,
        }
    }

    pub(super) fn timer_plan(&self) -> TimerPlan {
        TimerPlan {
            clock: self.clock,
            period_ns: self.period_ns,
            depth_max: self.depth_max,
        }
    }

    /// The value of the first timer's signals.
    pub(crate) fn signal_value(&self) -> u64 {
        self.timers
            .first()
            .map_or(0, |one| one.timer.signal_value())
    }

    pub(super) fn samples_all_threads(&self) -> bool {
        self.threads == SessionThreads::All
    }

    /// The threads that have a timer.
    pub(super) fn timed_threads(&self) -> HashSet<i32> {
        self.timers.iter().map(|one| one.tid).collect()
    }

    /// Takes in a drained record of a thread, which has a slot and a name: `addresses` leaf first.
    pub(super) fn add(
        &mut self,
        header: &Header,
        addresses: &[u64],
        (slot, thread): (u32, (i32, &Arc<str>)),
        resolver: &Resolver<'_>,
    ) {
        match header.state {
            State::Still => {
                let wait = Wait {
                    time_ns: header.time_ns,
                    events: header.events,
                    off_ns: header.off_ns,
                };
                self.add_wait(&wait, slot, thread, resolver);
                return;
            }
            State::Paused => {
                let stack = WaitingStack {
                    quality: header.quality,
                    entry: header.entry,
                    addresses: addresses.to_vec(),
                };
                self.waiting.insert(slot, stack);
            }
            State::Running | State::Blocked => {}
        }
        self.drained += Tally::one(EventCount::new(u64::from(header.events)));
        let sample = Drained {
            header,
            addresses,
            thread,
        };
        self.collection_for(header.time_ns).add(&sample, resolver);
    }

    /// Takes in what a thread waited where its last sample found it.
    pub(super) fn add_wait(
        &mut self,
        wait: &Wait,
        slot: u32,
        thread: (i32, &Arc<str>),
        resolver: &Resolver<'_>,
    ) {
        self.drained += Tally::one(EventCount::new(u64::from(wait.events)));
        // Without its stack where the sample that found it was lost.
        let (quality, entry, addresses) = match self.waiting.get(&slot) {
            Some(stack) => (stack.quality, stack.entry, stack.addresses.as_slice()),
            None => (Quality::Lost(Lost::Room), 0, &[][..]),
        };
        let header = Header {
            session: self.id,
            time_ns: wait.time_ns,
            events: wait.events,
            entry,
            quality,
            state: State::Still,
            running_ns: 0,
            off_ns: wait.off_ns,
        };
        let sample = Drained {
            header: &header,
            addresses,
            thread,
        };
        self.collection.add(&sample, resolver);
    }

    /// Keeps the counts of a timer that is no longer used.
    pub(super) fn retire(&mut self, one: &SessionTimer) {
        self.retired += one.timer.counts();
        self.retired.add_undelivered(one.undelivered());
    }

    /// Drops the timers of a thread that is gone.
    pub(super) fn drop_thread(&mut self, tid: i32) -> Vec<&'static TimerSlot> {
        self.missed_threads.remove(&tid);
        self.drop_timers(|one| one.tid == tid)
    }

    /// Drops timers of threads that are gone.
    pub(super) fn drop_timers(
        &mut self,
        mut is_gone: impl FnMut(&SessionTimer) -> bool,
    ) -> Vec<&'static TimerSlot> {
        let gone: Vec<SessionTimer> = self.timers.extract_if(.., |one| is_gone(one)).collect();
        for one in &gone {
            one.kernel.delete();
            self.retire(one);
            self.unseen.thread_is_gone(one.counted_cpu_ns());
            self.waiting.remove(&one.thread.index);
        }
        gone.into_iter().map(|one| one.timer).collect()
    }

    /// The books as they stand.
    pub(crate) fn totals(&self) -> Totals {
        let mut counts = self.retired;
        for one in &self.timers {
            counts += one.timer.counts();
        }
        Totals {
            counts,
            drained: self.drained,
        }
    }

    /// After the last drain: what is still missing is a bug, and gets its name.
    pub(super) fn close_books(&mut self) {
        self.unaccounted = self.totals().undrained();
    }

    /// Everything lost since the beginning, by reason.
    pub(crate) fn losses(&self) -> Losses {
        let overflow = self.overflow_before + self.collection.overflow;
        let others = [
            (losses::COLLECTION_FULL, overflow),
            (losses::UNACCOUNTED, self.unaccounted),
        ];
        let counted = self.totals().counts.losses();
        counted
            .into_iter()
            .chain(others)
            .filter(|(_, tally)| !tally.is_zero())
            .collect()
    }

    /// As [`losses`](Self::losses), with those of a window that has only just begun.
    #[cfg(feature = "http")]
    pub(crate) fn losses_with_next(&self) -> Losses {
        let mut losses = self.losses();
        let next = self.window.as_ref().and_then(|window| window.next.as_ref());
        if let Some(overflow) = next
            .map(|next| next.overflow)
            .filter(|tally| !tally.is_zero())
        {
            *losses.entry(losses::COLLECTION_FULL).or_default() += overflow;
        }
        losses
    }

    /// What is collected and not handed on.
    #[cfg(feature = "http")]
    pub(crate) fn collected(&self) -> Tally {
        let next = self.window.as_ref().and_then(|window| window.next.as_ref());
        self.collection.tally() + next.map(Collection::tally).unwrap_or_default()
    }

    /// Cuts off what was collected so far, with the losses that no chunk has carried yet.
    pub(crate) fn take_chunk(&mut self) -> Chunk {
        let next = self.collection.successor();
        self.take_chunk_for(next, Anchor::now())
    }

    /// As [`take_chunk`](Self::take_chunk), going on with `next` from `end` on.
    pub(super) fn take_chunk_for(&mut self, next: Collection, end: Anchor) -> Chunk {
        let all = self.losses();
        let mut fresh = Losses::new();
        for (reason, tally) in &all {
            let told = self.reported.get(reason).copied().unwrap_or_default();
            let news = tally.saturating_sub(told);
            if !news.is_zero() {
                fresh.insert(reason, news);
            }
        }
        self.reported = all;
        let collection = std::mem::replace(&mut self.collection, next);
        self.overflow_before += collection.overflow;
        let chunk = self.chunk(collection, fresh, end);
        self.start = end;
        chunk
    }

    /// Undoes [`take_chunk`](Self::take_chunk), where nothing was collected since.
    pub(super) fn give_back(&mut self, chunk: Chunk) {
        for (reason, tally) in &chunk.losses {
            if let Some(told) = self.reported.get_mut(reason) {
                *told = told.saturating_sub(*tally);
            }
        }
        self.overflow_before = self
            .overflow_before
            .saturating_sub(chunk.collection.overflow);
        self.collection = chunk.collection;
        self.start = chunk.start;
    }

    /// A copy of what was collected so far.
    pub(crate) fn copy_chunk(&self) -> Chunk {
        let mut fresh = self.losses();
        for (reason, told) in &self.reported {
            if let Some(tally) = fresh.get_mut(reason) {
                *tally = tally.saturating_sub(*told);
            }
        }
        fresh.retain(|_, tally| !tally.is_zero());
        self.chunk(self.collection.clone(), fresh, Anchor::now())
    }

    fn chunk(&self, collection: Collection, losses: Losses, end: Anchor) -> Chunk {
        Chunk {
            collection,
            losses,
            start: self.start,
            duration_ns: end.monotonic_ns.saturating_sub(self.start.monotonic_ns),
            clock: self.clock,
            period_ns: self.period_ns,
        }
    }
}

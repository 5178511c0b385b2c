//! Where a thread's wall time goes between two samples, and when it need not be asked.
//!
//! **Problem.** A sample of the wall clock says where a thread is, not what it did since the last
//! one; and a signal ends many system calls early (`EINTR`), so a thread that waits must not be asked
//! again and again. **Choice.** Three clocks are read at each sample: the monotonic one, the thread's
//! CPU clock, and how often it lost its CPU, and whether by its own doing (`getrusage(2)`). Between
//! two readings they say exactly how long the thread ran, and how long it did not. Time on a CPU is
//! charged to the next sample that finds it running, time off it to the next one that finds it
//! blocked: so the totals are those of the clocks, and samples only divide them. Where it did not
//! give up its CPU once, time off it was spent waiting for a core.
//!
//! **Pause.** A sample that finds the thread blocked where the last one did, without any work in
//! between, stops the timer: as long as the thread does not run it stays there, and the clocks say
//! for how long. What ends the pause is a second timer, on the thread's CPU clock (it expires only
//! while the thread runs, so it interrupts no waiting), or the drain, which looks at the clocks of
//! paused threads in turns and asks once more where one of them has run and waits again.
//!
//! **Who writes.** The handler of the thread; while the timer is paused, whoever [holds](WallCell::hold)
//! the cell; while it is disarmed, ordinary code of the thread. [`WallCell`] says how they take turns.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::clock;
use crate::limits::{LATE_NS, STILL_NS};
use crate::ring::record::State;
use crate::sys::{self, Switches};

/// The clocks of a thread at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The monotonic clock.
    pub(crate) wall_ns: u64,
    /// Its time on a CPU.
    pub(crate) cpu_ns: u64,
    /// How often it lost its CPU; `None` where that is not known.
    pub(crate) switches: Option<Switches>,
}

impl Reading {
    /// Of the calling thread.
    ///
    /// # Signal safety
    /// Two system calls: `clock_gettime(2)` and `getrusage(2)`.
    pub(crate) fn of_this_thread() -> Self {
        Self {
            wall_ns: clock::monotonic_ns(),
            cpu_ns: clock::thread_cpu_ns(),
            switches: sys::switches(),
        }
    }

    /// Of another thread of this process; `None` where it is gone.
    pub(crate) fn of(tid: i32) -> Option<Self> {
        let cpu_ns = sys::known_clock_ns(sys::thread_cpu_clock(tid))?;
        Some(Self::now(cpu_ns))
    }

    /// Of another thread of this process that begins to be sampled. Its CPU clock stands at 0 where it
    /// has not run yet, or is gone already.
    pub(crate) fn first_of(tid: i32) -> Self {
        Self::now(sys::clock_ns(sys::thread_cpu_clock(tid)))
    }

    fn now(cpu_ns: u64) -> Self {
        Self {
            wall_ns: clock::monotonic_ns(),
            cpu_ns,
            switches: None,
        }
    }
}

/// Time that no sample has been charged with yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pools {
    /// On a CPU.
    pub(crate) running_ns: u64,
    /// Off it.
    pub(crate) off_ns: u64,
}

impl Pools {
    /// Whether there is nothing to charge.
    pub(crate) fn is_empty(&self) -> bool {
        self.running_ns == 0 && self.off_ns == 0
    }

    /// Adds what passed.
    ///
    /// # Signal safety
    /// Integers only.
    pub(crate) fn add(&mut self, time: Self) {
        self.running_ns = self.running_ns.saturating_add(time.running_ns);
        self.off_ns = self.off_ns.saturating_add(time.off_ns);
    }
}

/// What happened between two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) time: Pools,
    /// Whether the thread gave up its CPU meanwhile, or may have.
    gave_up: bool,
    /// Whether it lost it to another, or may have.
    was_preempted: bool,
}

/// What a sample stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) state: State,
    pub(crate) running_ns: u64,
    pub(crate) off_ns: u64,
}

/// The books of one wall timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// The last reading.
    pub(crate) last: Reading,
    /// What was left over.
    pub(crate) pools: Pools,
}

impl Account {
    /// Goes on to `now`; what passed is charged to nobody yet.
    ///
    /// # Signal safety
    /// Integers only.
    pub(crate) fn pass(&mut self, now: Reading) -> Passed {
        let wall_ns = now.wall_ns.saturating_sub(self.last.wall_ns);
        // Both clocks are read one after the other, and a CPU's time is told in steps: what is too
        // much now is too little the next time.
        let cpu_ns = now.cpu_ns.saturating_sub(self.last.cpu_ns);
        let running_ns = cpu_ns.min(wall_ns);
        let switches = now.switches.zip(self.last.switches);
        self.last = Reading {
            cpu_ns: self.last.cpu_ns.saturating_add(running_ns),
            ..now
        };
        Passed {
            time: Pools {
                running_ns,
                off_ns: wall_ns.saturating_sub(running_ns),
            },
            gave_up: switches.is_none_or(|(now, before)| now.voluntary != before.voluntary),
            was_preempted: switches
                .is_none_or(|(now, before)| now.involuntary != before.involuntary),
        }
    }

    /// Charges a sample that found the thread blocked, or running.
    ///
    /// # Signal safety
    /// Integers only.
    pub(crate) fn charge(&mut self, passed: &Passed, is_blocked: bool) -> Share {
        let pools = &mut self.pools;
        if passed.gave_up {
            pools.add(passed.time);
        } else {
            // Its own doing was nothing of it: it waited for a core, here.
            pools.running_ns = pools.running_ns.saturating_add(passed.time.running_ns);
        }
        if is_blocked {
            return Share {
                state: State::Blocked,
                running_ns: 0,
                off_ns: std::mem::take(&mut pools.off_ns),
            };
        }
        Share {
            state: State::Running,
            running_ns: std::mem::take(&mut pools.running_ns),
            off_ns: if passed.gave_up {
                0
            } else {
                passed.time.off_ns
            },
        }
    }

    /// Charges the sample that ends a pause: the thread runs. What it waited is told apart.
    ///
    /// # Signal safety
    /// Integers only.
    pub(crate) fn charge_woken(&mut self, passed: &Passed) -> Share {
        let running_ns = self.pools.running_ns;
        self.pools.running_ns = 0;
        Share {
            state: State::Running,
            running_ns: running_ns.saturating_add(passed.time.running_ns),
            off_ns: 0,
        }
    }
}

impl Passed {
    /// Whether a thread that came this much later than its timer expired, and was or was not
    /// found in a system call that the signal ended, was blocked at that time.
    ///
    /// # Signal safety
    /// Integers only.
    pub(crate) fn was_blocked(&self, late_ns: u64, in_system_call: bool) -> bool {
        // A wait that no signal ends (for a disk, for a page) delays the signal to its end.
        let was_away = late_ns >= LATE_NS && self.time.off_ns >= late_ns / 2;
        self.gave_up && (in_system_call || was_away && !self.was_preempted)
    }

    /// Whether it may have given up its CPU: only then it can have been blocked.
    ///
    /// # Signal safety
    /// Integers only.
    pub(crate) fn may_be_blocked(&self) -> bool {
        self.gave_up
    }
}

/// Where a thread is blocked: instruction and stack pointer.
pub(crate) type Place = (u64, u64);

/// The timer is armed, or disarmed by its owner.
const ACTIVE: u32 = 0;
/// The timer is stopped until the thread runs.
const PAUSED: u32 = 1;
/// As before, and another thread is at the cell.
const HELD: u32 = 2;

/// The account of one wall timer, where all can reach it.
///
/// `pause` says whose turn it is: the handler's or the thread's own while it is `ACTIVE`, that of
/// whoever made it `HELD` while it is that. From `PAUSED` each side takes it by a compare-exchange.
/// The words are atomics, and whoever hands on stores `pause` last, with Release, what the next one
/// loads with Acquire.
#[derive(Debug, Default)]
pub(crate) struct WallCell {
    pause: AtomicU32,
    wall_ns: AtomicU64,
    cpu_ns: AtomicU64,
    /// [`UNKNOWN`] where they are not known.
    voluntary: AtomicU64,
    involuntary: AtomicU64,
    running_ns: AtomicU64,
    off_ns: AtomicU64,
    /// When the timer expires next.
    due_ns: AtomicU64,
    /// Where the last sample found the thread blocked; 0 where it did not.
    blocked_at: AtomicU64,
    blocked_below: AtomicU64,
    /// The CPU clock when the pause began.
    paused_cpu_ns: AtomicU64,
    /// What the drain saw at its last look: the CPU clock, and when.
    seen_cpu_ns: AtomicU64,
    seen_ns: AtomicU64,
    /// Looks that found the thread waiting again after it had run.
    looks: AtomicU32,
    /// How many such looks it takes to ask again: doubles as long as it is found at the same place.
    patience: AtomicU32,
    /// Where the last pause began.
    paused_at: AtomicU64,
    random: AtomicU64,
}

/// Counts of switches that are not known.
const UNKNOWN: u64 = u64::MAX;

/// What the drain's look at a paused thread found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It has not run, or is running: nothing to do.
    Leave,
    /// It has run and waits again, or runs on: ask where.
    Ask,
}

/// The cell of a paused timer in the hands of another thread. Dropped, the timer stays paused.
#[derive(Debug)]
pub(crate) struct Held<'c> {
    cell: &'c WallCell,
    resumes: bool,
}

impl Held<'_> {
    /// The timer, which is armed by now, goes on; it expires at `due_ns`.
    pub(crate) fn resume(mut self, due_ns: u64) {
        self.cell.due_ns.store(due_ns, Ordering::Relaxed);
        self.resumes = true;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let pause = if self.resumes { ACTIVE } else { PAUSED };
        self.cell.pause.store(pause, Ordering::SeqCst);
    }
}

impl WallCell {
    /// Begins anew at this reading, with what an earlier use left over.
    ///
    /// # Signal safety
    /// Atomic stores.
    pub(crate) fn begin(&self, account: &Account, due_ns: u64) {
        self.store(account);
        self.due_ns.store(due_ns, Ordering::Relaxed);
        self.blocked_at.store(0, Ordering::Relaxed);
        self.paused_at.store(0, Ordering::Relaxed);
        self.patience.store(1, Ordering::Relaxed);
        self.pause.store(ACTIVE, Ordering::SeqCst);
    }

    /// Uniform in (0, `bound`].
    ///
    /// # Signal safety
    /// A load and a store.
    pub(crate) fn random_below(&self, bound: u64) -> u64 {
        // xorshift64: even enough for a phase. Its state is never 0.
        let mut random = self.random.load(Ordering::Relaxed) | 1;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        self.random.store(random, Ordering::Relaxed);
        (random >> 16)
            .checked_rem(bound)
            .unwrap_or(0)
            .saturating_add(1)
    }

    /// Seeds [`random_below`](Self::random_below).
    pub(crate) fn seed(&self, random: u64) {
        self.random.store(random, Ordering::Relaxed);
    }

    /// The account. Whose turn it is reads it.
    ///
    /// # Signal safety
    /// Atomic loads.
    pub(crate) fn account(&self) -> Account {
        let voluntary = self.voluntary.load(Ordering::Relaxed);
        let switches = Switches {
            voluntary,
            involuntary: self.involuntary.load(Ordering::Relaxed),
        };
        Account {
            last: Reading {
                wall_ns: self.wall_ns.load(Ordering::Relaxed),
                cpu_ns: self.cpu_ns.load(Ordering::Relaxed),
                switches: (voluntary != UNKNOWN).then_some(switches),
            },
            pools: Pools {
                running_ns: self.running_ns.load(Ordering::Relaxed),
                off_ns: self.off_ns.load(Ordering::Relaxed),
            },
        }
    }

    /// Puts the account back.
    ///
    /// # Signal safety
    /// Atomic stores.
    pub(crate) fn store(&self, account: &Account) {
        let Account { last, pools } = account;
        self.wall_ns.store(last.wall_ns, Ordering::Relaxed);
        self.cpu_ns.store(last.cpu_ns, Ordering::Relaxed);
        let switches = last.switches.unwrap_or(Switches {
            voluntary: UNKNOWN,
            involuntary: UNKNOWN,
        });
        self.voluntary.store(switches.voluntary, Ordering::Relaxed);
        self.involuntary
            .store(switches.involuntary, Ordering::Relaxed);
        self.running_ns.store(pools.running_ns, Ordering::Relaxed);
        self.off_ns.store(pools.off_ns, Ordering::Relaxed);
    }

    /// How late the first of these expiries is looked at; the next one is a period after the last.
    ///
    /// # Signal safety
    /// A load and a store.
    pub(crate) fn late_ns(&self, now_ns: u64, events: u32, period_ns: u64) -> u64 {
        let due_ns = self.due_ns.load(Ordering::Relaxed);
        let late_ns = now_ns.saturating_sub(due_ns);
        let next = due_ns.saturating_add(u64::from(events).saturating_mul(period_ns));
        self.due_ns.store(next, Ordering::Relaxed);
        late_ns
    }

    /// Time on a CPU since the last sample, where the thread's clock reads `cpu_ns` now.
    ///
    /// # Signal safety
    /// One exchange.
    pub(crate) fn cpu_since_last(&self, cpu_ns: u64) -> u64 {
        cpu_ns.saturating_sub(self.cpu_ns.swap(cpu_ns, Ordering::Relaxed))
    }

    /// Notes when the timer expires next.
    ///
    /// # Signal safety
    /// One store.
    pub(crate) fn set_due(&self, due_ns: u64) {
        self.due_ns.store(due_ns, Ordering::Relaxed);
    }

    /// Notes where a sample found the thread blocked, `None` where it ran. Tells whether it has
    /// been there since the last one, so that the timer can pause.
    ///
    /// # Signal safety
    /// Loads and stores.
    pub(crate) fn is_still(&self, place: Option<Place>, passed: &Passed) -> bool {
        let (at, below) = place.unwrap_or_default();
        let before = (
            self.blocked_at.swap(at, Ordering::Relaxed),
            self.blocked_below.swap(below, Ordering::Relaxed),
        );
        before == (at, below) && at != 0 && passed.time.running_ns < STILL_NS
    }

    /// The handler stops the timer: what it found holds until the thread runs.
    ///
    /// # Signal safety
    /// Loads and stores.
    pub(crate) fn pause(&self) {
        let now = self.account().last;
        let at = self.blocked_at.load(Ordering::Relaxed);
        let patience = if self.paused_at.swap(at, Ordering::Relaxed) == at {
            let before = self.patience.load(Ordering::Relaxed);
            before.saturating_mul(2).min(crate::limits::PATIENCE_MAX)
        } else {
            1
        };
        self.patience.store(patience, Ordering::Relaxed);
        self.looks.store(0, Ordering::Relaxed);
        self.paused_cpu_ns.store(now.cpu_ns, Ordering::Relaxed);
        self.seen_cpu_ns.store(now.cpu_ns, Ordering::Relaxed);
        self.seen_ns.store(now.wall_ns, Ordering::Relaxed);
        self.pause.store(PAUSED, Ordering::SeqCst);
    }

    /// Whether the timer is armed, as far as this cell knows.
    ///
    /// # Signal safety
    /// One load.
    pub(crate) fn is_active(&self) -> bool {
        self.pause.load(Ordering::SeqCst) == ACTIVE
    }

    /// The thread runs again, and its handler or its own code goes on from here: true where the
    /// timer was paused.
    ///
    /// # Signal safety
    /// One compare-exchange.
    pub(crate) fn claim(&self) -> bool {
        let claimed =
            self.pause
                .compare_exchange(PAUSED, ACTIVE, Ordering::SeqCst, Ordering::SeqCst);
        claimed.is_ok()
    }

    /// As [`claim`](Self::claim), after waiting for another thread that is at the cell. Not for
    /// handlers.
    #[cfg(feature = "tower")]
    pub(crate) fn claim_when_free(&self) -> bool {
        loop {
            let claimed =
                self.pause
                    .compare_exchange(PAUSED, ACTIVE, Ordering::SeqCst, Ordering::SeqCst);
            match claimed {
                Err(HELD) => std::thread::yield_now(),
                other => return other.is_ok(),
            }
        }
    }

    /// Takes the cell of a paused timer for another thread, until that drops it.
    pub(crate) fn hold(&self) -> Option<Held<'_>> {
        let held = self
            .pause
            .compare_exchange(PAUSED, HELD, Ordering::SeqCst, Ordering::SeqCst);
        // Not `then_some`: one that is made and dropped gives back what nobody took.
        held.is_ok().then(|| Held {
            cell: self,
            resumes: false,
        })
    }

    /// Nobody is paused here any more: the timer is deleted.
    pub(crate) fn retire(&self) {
        self.pause.store(ACTIVE, Ordering::SeqCst);
    }

    /// Looks at a paused thread whose clocks read `now`. Only for whoever holds the cell.
    ///
    /// A thread that has run for longer than `waker_ns` should have been woken by the timer on its CPU
    /// clock: there is none, or it expired while somebody held the cell.
    pub(crate) fn look(&self, now: &Reading, waker_ns: u64) -> Look {
        let before = self.seen_cpu_ns.swap(now.cpu_ns, Ordering::Relaxed);
        self.seen_ns.store(now.wall_ns, Ordering::Relaxed);
        let since_pause = now
            .cpu_ns
            .saturating_sub(self.paused_cpu_ns.load(Ordering::Relaxed));
        if since_pause > waker_ns {
            return Look::Ask;
        }
        let waits_again = since_pause >= STILL_NS && before == now.cpu_ns;
        if !waits_again {
            return Look::Leave;
        }
        let looks = self.looks.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if looks >= self.patience.load(Ordering::Relaxed) {
            Look::Ask
        } else {
            Look::Leave
        }
    }

    /// The last time that the drain saw the thread, for one that is gone.
    pub(crate) fn last_seen(&self) -> Reading {
        Reading {
            wall_ns: self.seen_ns.load(Ordering::Relaxed),
            cpu_ns: self.seen_cpu_ns.load(Ordering::Relaxed),
            switches: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn reading(wall_ms: u64, cpu_ms: u64, voluntary: u64) -> Reading {
        Reading {
            wall_ns: wall_ms * MS,
            cpu_ns: cpu_ms * MS,
            switches: Some(Switches {
                voluntary,
                involuntary: 0,
            }),
        }
    }

    fn share(state: State, running_ms: u64, off_ms: u64) -> Share {
        Share {
            state,
            running_ns: running_ms * MS,
            off_ns: off_ms * MS,
        }
    }

    #[test]
    fn each_sample_is_charged_with_the_time_of_its_own_kind() {
        let mut account = Account::default();
        account.pass(reading(0, 0, 0));
        let mut take = |now, is_blocked| {
            let passed = account.pass(now);
            account.charge(&passed, is_blocked)
        };
        // It ran for 3 ms and is found waiting: what it ran is charged to the next that runs.
        assert_eq!(take(reading(10, 3, 1), true), share(State::Blocked, 0, 7));
        assert_eq!(take(reading(20, 4, 2), false), share(State::Running, 4, 0));
        // The 9 ms that it was away from the last one are charged to the next that waits.
        assert_eq!(take(reading(30, 4, 3), true), share(State::Blocked, 0, 19));
    }

    #[test]
    fn thread_that_never_gave_up_its_core_waited_for_one() {
        let mut account = Account::default();
        account.pass(reading(0, 0, 5));
        let passed = account.pass(reading(10, 6, 5));
        assert!(!passed.may_be_blocked());
        let charged = account.charge(&passed, passed.was_blocked(20 * MS, true));
        assert_eq!(charged, share(State::Running, 6, 4));
    }

    #[test]
    fn late_signal_says_blocked_only_where_nobody_took_the_core() {
        let mut account = Account::default();
        account.pass(reading(0, 0, 0));
        let passed = account.pass(reading(10, 1, 1));
        assert!(passed.was_blocked(0, true), "in a system call");
        assert!(!passed.was_blocked(0, false), "running");
        assert!(passed.was_blocked(8 * MS, false), "it waited for a disk");
        let mut preempted = reading(20, 2, 2);
        preempted.switches.as_mut().unwrap().involuntary = 1;
        let passed = account.pass(preempted);
        assert!(
            !passed.was_blocked(8 * MS, false),
            "it may have waited for a core"
        );
    }

    #[test]
    fn pause_ends_once_whoever_comes_first() {
        let cell = WallCell::default();
        cell.begin(&Account::default(), 0);
        assert!(cell.is_active() && !cell.claim() && cell.hold().is_none());
        cell.pause();
        assert!(!cell.is_active());
        let held = cell.hold();
        assert!(held.is_some());
        assert!(
            !cell.claim() && cell.hold().is_none(),
            "somebody else has it"
        );
        drop(held);
        assert!(cell.claim() && cell.is_active());
        cell.pause();
        cell.hold().unwrap().resume(7);
        assert!(cell.is_active() && !cell.claim());
        cell.pause();
        cell.retire();
        assert!(cell.is_active() && cell.hold().is_none());
    }

    #[test]
    fn thread_is_asked_where_it_has_run_and_waits_again_and_ever_more_rarely() {
        let cell = WallCell::default();
        cell.begin(&Account::default(), 0);
        let still = Account::default().pass(Reading::default());
        let mut cpu_ms = 0;
        let mut looks_to_ask = || {
            cell.is_still(Some((1, 2)), &still);
            assert!(cell.is_still(Some((1, 2)), &still));
            let now = Account {
                last: reading(0, cpu_ms, 0),
                ..Account::default()
            };
            cell.store(&now);
            cell.pause();
            for look in 0..20 {
                assert_eq!(
                    cell.look(&reading(look, cpu_ms, 0), 20 * MS),
                    Look::Leave,
                    "it has not run"
                );
            }
            cpu_ms += 1;
            assert_eq!(
                cell.look(&reading(30, cpu_ms, 0), 20 * MS),
                Look::Leave,
                "it may be running"
            );
            let looks = (1..100).find(|_| cell.look(&reading(40, cpu_ms, 0), 20 * MS) == Look::Ask);
            cell.hold().unwrap().resume(0);
            looks.unwrap()
        };
        let looks: Vec<u32> = (0..5).map(|_| looks_to_ask()).collect();
        assert_eq!(looks, [1, 2, 4, 8, 8]);
    }

    #[test]
    fn thread_that_runs_on_is_asked_where_no_timer_woke_it() {
        let cell = WallCell::default();
        cell.begin(&Account::default(), 0);
        cell.pause();
        assert_eq!(cell.look(&reading(15, 15, 0), 20 * MS), Look::Leave);
        assert_eq!(cell.look(&reading(30, 30, 0), 20 * MS), Look::Ask);
    }

    #[test]
    fn thread_that_has_not_run_yet_is_charged_from_now_on() {
        // The clock of no thread: ids end below it (proc(5), pid_max).
        let nobody = 1 << 23;
        assert_eq!(Reading::of(nobody), None);
        let first = Reading::first_of(nobody);
        assert!(first.wall_ns > 0 && first.wall_ns <= clock::monotonic_ns());
        assert_eq!(first.cpu_ns, 0);
        assert!(Reading::of(sys::tid()).is_some_and(|own| own.cpu_ns > 0));
    }

    #[test]
    fn thread_is_not_still_elsewhere_or_after_work() {
        let cell = WallCell::default();
        let mut account = Account::default();
        let idle = account.pass(reading(10, 0, 1));
        assert!(!cell.is_still(Some((1, 2)), &idle), "the first time");
        assert!(cell.is_still(Some((1, 2)), &idle));
        assert!(!cell.is_still(Some((1, 3)), &idle), "another frame");
        assert!(!cell.is_still(None, &idle), "it runs");
        assert!(!cell.is_still(Some((1, 3)), &idle), "it ran in between");
        let worked = account.pass(reading(20, 5, 2));
        assert!(!cell.is_still(Some((1, 3)), &worked));
    }

    proptest! {
        #[test]
        fn every_nanosecond_is_charged_once(
            steps in prop::collection::vec((0_u64..1000, 0_u64..1500, 0_u64..2, any::<bool>()), 1..50)
        ) {
            let mut account = Account::default();
            account.pass(reading(0, 0, 0));
            let mut now = Reading { switches: Some(Switches::default()), ..Reading::default() };
            let (mut running_ns, mut off_ns) = (0, 0);
            for (wall_ns, cpu_ns, switches, is_blocked) in steps {
                now.wall_ns += wall_ns;
                now.cpu_ns += cpu_ns;
                now.switches.as_mut().unwrap().voluntary += switches;
                let passed = account.pass(now);
                let share = account.charge(&passed, is_blocked && passed.may_be_blocked());
                running_ns += share.running_ns;
                off_ns += share.off_ns;
            }
            let Pools { running_ns: left_running_ns, off_ns: left_off_ns } = account.pools;
            // CPU time that is told before it passed is charged when it has.
            prop_assert!(running_ns + left_running_ns <= now.cpu_ns);
            prop_assert_eq!(running_ns + off_ns + left_running_ns + left_off_ns, now.wall_ns);
        }
    }
}

//! Sessions with the drain held back.

use std::hint::black_box;
#[cfg(feature = "http")]
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use flashlamp_profile::losses;

use super::{Plan, SessionThreads};
#[cfg(feature = "http")]
use super::{Window, WindowSink};
use crate::clock;
use crate::drain::start_session;
use crate::process::Process;
use crate::sampler::watch::Seen;
use crate::sys;
use crate::{Clock, limits};

fn spin_ms(millis: u64) {
    let end = clock::monotonic_ns() + millis * 1_000_000;
    let mut value = 1_u64;
    while clock::monotonic_ns() < end {
        value = black_box(value.wrapping_mul(31));
    }
}

fn plan(samples_max: usize) -> Plan {
    Plan {
        clock: Clock::Wall,
        period_ns: 200_000,
        depth_max: limits::DEPTH_DEFAULT,
        threads: SessionThreads::One(sys::tid()),
        samples_max,
        flush_at: None,
        window: None,
    }
}

#[test]
fn ring_that_nobody_drains_fills_and_counts_what_it_lost() {
    let process = Process::current();
    let id = start_session(process, plan(1_000_000)).unwrap();
    let mut registry = process.lock();
    // The drain waits for the lock. A full ring takes a while at 5 kHz and 30 frames.
    for _ in 0..100 {
        spin_ms(100);
        if registry.sessions[&id]
            .losses()
            .contains_key(losses::RING_FULL)
        {
            break;
        }
    }
    spin_ms(50);
    let session = registry.finish(id).unwrap();
    drop(registry);
    let totals = session.totals();
    let lost = session.losses();
    assert!(lost[losses::RING_FULL].samples > 0, "{lost:?}");
    assert!(!lost.contains_key(losses::UNACCOUNTED), "{lost:?}");
    let stored = session.collection.tally();
    let lost_total = lost.values().copied().sum::<flashlamp_profile::Tally>();
    assert_eq!(totals.counts.taken, stored + lost_total);
    assert_eq!(totals.drained, stored);
}

#[test]
fn stack_of_a_sampled_thread_is_found_in_the_memory_map() {
    let process = Process::current();
    let id = start_session(process, plan(1_000_000)).unwrap();
    let local = 0_u64;
    let here = (&raw const local).addr() as u64;
    let mut found = 0..0;
    for _ in 0..100 {
        spin_ms(100);
        let registry = process.lock();
        let slot = registry.threads[&sys::tid()].slot;
        found = slot.stack.of_this_thread(sys::thread_pointer(), here);
        if !found.is_empty() {
            break;
        }
        // The look asked as well: the answer is to be one to the handler.
        slot.stack.take_question();
    }
    assert!(found.contains(&here), "{found:x?} {here:x}");
    let session = process.lock().finish(id).unwrap();
    assert!(session.collection.tally().samples > 0);
}

#[test]
fn collection_that_is_full_counts_what_it_lost() {
    let process = Process::current();
    let id = start_session(process, plan(10)).unwrap();
    spin_ms(100);
    let session = process.lock().finish(id).unwrap();
    // A sample has a row, and one more where it had waited for a core.
    let rows = session.collection.samples.len();
    assert!((10..=11).contains(&rows), "{rows}");
    let lost = session.losses();
    assert!(lost["collection_full"].samples > 0, "{lost:?}");
    let lost_total = lost.values().copied().sum::<flashlamp_profile::Tally>();
    assert_eq!(
        session.totals().counts.taken,
        session.collection.tally() + lost_total
    );
}

#[test]
fn difference_that_nobody_explains_is_unaccounted() {
    let process = Process::current();
    let id = start_session(process, plan(1_000_000)).unwrap();
    spin_ms(20);
    let mut registry = process.lock();
    let one = &registry.sessions[&id].timers[0];
    // As if a handler had counted a sample and never written it.
    one.timer.taken.add(3);
    let session = registry.finish(id).unwrap();
    let lost = session.losses();
    assert_eq!(
        (
            lost[losses::UNACCOUNTED].samples,
            lost[losses::UNACCOUNTED].events
        ),
        (1, 3)
    );
}

/// Keeps what the windows stored.
#[cfg(feature = "http")]
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<flashlamp_profile::Tally>>);

#[cfg(feature = "http")]
impl WindowSink for Kept {
    fn take(
        &self,
        chunk: crate::collection::Chunk,
        _from: flashlamp_profile::Timestamp,
        _until: flashlamp_profile::Timestamp,
    ) {
        self.0.lock().unwrap().push(chunk.stored());
    }
}

#[test]
#[cfg(feature = "http")]
fn session_that_ends_just_after_its_window_hands_over_both_windows() {
    let process = Process::current();
    let kept = Arc::new(Kept::default());
    let sink: Arc<dyn WindowSink> = Arc::<Kept>::clone(&kept);
    // The lock holds the drain back, so that nobody seals the window when it ends.
    let mut registry = process.lock();
    let window = Window::begin(sink, 40_000_000, clock::Anchor::now());
    let plan = Plan {
        period_ns: 1_000_000,
        window: Some(window),
        ..plan(1_000_000)
    };
    let id = registry.start(plan, &[]).unwrap();
    let is_past = |registry: &super::Registry| {
        let window = registry.sessions[&id].window.as_ref().unwrap();
        window.is_past(clock::monotonic_ns())
    };
    while !is_past(&registry) {
        spin_ms(1);
    }
    spin_ms(20);
    let mut session = registry.finish(id).unwrap();
    drop(registry);
    let next = session.window.as_ref().unwrap().next.as_ref().unwrap();
    assert!(!next.samples.is_empty());
    let taken = session.totals().counts.taken;
    let lost: flashlamp_profile::Tally = session.losses_with_next().into_values().sum();
    session.seal_rest();
    let windows = kept.0.lock().unwrap();
    assert_eq!(windows.len(), 2);
    assert_eq!(
        taken,
        windows.iter().copied().sum::<flashlamp_profile::Tally>() + lost
    );
}

/// Spins on a thread of its own until told to end.
struct Spinner {
    tid: i32,
    go_on: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Spinner {
    fn start() -> Self {
        let go_on = Arc::new(AtomicBool::new(true));
        let (to, from) = mpsc::channel();
        let until = Arc::clone(&go_on);
        let thread = std::thread::spawn(move || {
            to.send(sys::tid()).unwrap();
            while until.load(Ordering::Relaxed) {
                spin_ms(1);
            }
        });
        Self {
            tid: from.recv().unwrap(),
            go_on,
            thread,
        }
    }

    fn end(self) {
        self.go_on.store(false, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

#[test]
fn thread_under_the_id_of_one_that_ended_is_sampled() {
    let process = Process::current();
    let seen = |tid, began_ns| Seen {
        tid,
        name: None,
        began_ns,
    };
    let (first, second) = (Spinner::start(), Spinner::start());
    let tid = second.tid;
    for clock in [Clock::Cpu, Clock::Wall] {
        // The lock holds the drain back: its looks know better.
        let mut registry = process.lock();
        let all = Plan {
            clock,
            threads: SessionThreads::All,
            ..plan(1_000_000)
        };
        let of_all = registry.start(all, &[seen(first.tid, None)]).unwrap();
        let one = Plan {
            clock,
            threads: SessionThreads::One(first.tid),
            ..plan(1_000_000)
        };
        let of_one = registry.start(one, &[]).unwrap();
        // As if the first had ended and the second begun under its id: the timers stay with
        // the first.
        for id in [of_all, of_one] {
            registry.sessions.get_mut(&id).unwrap().timers[0].tid = tid;
        }
        let taken = |registry: &super::Registry| registry.sessions[&of_all].totals().counts.taken;
        registry.scan_threads(&[seen(tid, Some(0))], 0);
        assert!(
            registry.sessions[&of_one].timed_threads().contains(&tid),
            "it began before it got its timers: it is the same thread"
        );
        let now = sys::clock_ns(libc::CLOCK_BOOTTIME);
        registry.scan_threads(&[seen(tid, Some(now))], 0);
        let before = taken(&registry);
        assert!(
            !registry.sessions[&of_one].timed_threads().contains(&tid),
            "the profiler of one thread does not go on to another"
        );
        let until = clock::monotonic_ns() + 20_000_000_000;
        while taken(&registry) == before {
            assert!(clock::monotonic_ns() < until, "{clock:?}: no sample");
            spin_ms(1);
        }
        let slot = registry.sessions[&of_all].timers[0].thread;
        assert_eq!(slot.tid.load(Ordering::SeqCst), tid);
        for id in [of_all, of_one] {
            let session = registry.finish(id).unwrap();
            assert!(!session.losses().contains_key(losses::UNACCOUNTED));
        }
    }
    first.end();
    second.end();
}

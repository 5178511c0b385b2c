//! Many starts and stops, threads and children, under real signals at a high rate.
//!
//! The signal's handler belongs to the whole process, and some tests replace it: each test runs
//! [`alone`], also where the runner gives them one process.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "a test reads the clock itself")]
#![expect(unsafe_code, reason = "fork and raise")]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flashlamp::{Clock, PerfMap, Profiler, Threads};

const SHORT: Duration = Duration::from_micros(100);

/// Waits until no other test of this process runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spin(rounds: u64) -> u64 {
    (0..rounds).fold(1, |value, round| {
        black_box(value.wrapping_mul(31).wrapping_add(round))
    })
}

#[test]
fn start_and_stop_in_a_storm_balance_the_books() {
    let _alone = alone();
    for round in 0..150_u64 {
        let clock = if round % 2 == 0 {
            Clock::Wall
        } else {
            Clock::Cpu
        };
        let profiler = Profiler::builder()
            .clock(clock)
            .period(SHORT)
            .start()
            .unwrap();
        black_box(spin(20_000 * (round % 5)));
        let log = profiler.stop();
        assert!(
            !log.losses().contains_key("unaccounted"),
            "{:?}",
            log.losses()
        );
    }
}

fn churn(go_on: &AtomicBool) {
    while go_on.load(Ordering::Relaxed) {
        let short = std::thread::spawn(|| black_box(spin(100_000)));
        short.join().unwrap();
    }
}

#[test]
fn threads_come_and_go_under_a_storm() {
    let _alone = alone();
    let go_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| churn(&go_on));
        }
        for _ in 0..10 {
            let profiler = Profiler::builder()
                .clock(Clock::Wall)
                .period(SHORT)
                .threads(Threads::All)
                .start()
                .unwrap();
            let end = Instant::now() + Duration::from_millis(60);
            while Instant::now() < end {
                black_box(spin(1000));
            }
            let log = profiler.stop();
            assert!(
                !log.losses().contains_key("unaccounted"),
                "{:?}",
                log.losses()
            );
            assert!(!log.is_empty());
        }
        go_on.store(false, Ordering::Relaxed);
    });
}

#[test]
fn deep_stacks_at_a_short_period_do_not_stop_the_program() {
    let _alone = alone();
    // Walking takes longer than the period: without care the program would stand still.
    #[inline(never)]
    fn deep(levels: u32, end: Instant) -> u64 {
        if levels > 0 {
            return black_box(deep(levels - 1, end)).wrapping_add(1);
        }
        let mut value = 0;
        while Instant::now() < end {
            value ^= spin(500);
        }
        value
    }
    let profiler = Profiler::builder()
        .clock(Clock::Wall)
        .period(Duration::from_micros(50))
        .max_depth(1024)
        .start()
        .unwrap();
    let end = Instant::now() + Duration::from_millis(500);
    black_box(deep(900, end));
    let log = profiler.stop();
    println!("{} samples, losses {:?}", log.len(), log.losses());
    assert!(
        !log.losses().contains_key("unaccounted"),
        "{:?}",
        log.losses()
    );
    let lost: u64 = log.losses().values().map(|tally| tally.events).sum();
    let counted =
        Duration::from_micros(50) * u32::try_from(log.event_count().as_u64() + lost).unwrap();
    assert!(
        counted > Duration::from_millis(400),
        "{counted:?} of 500 ms is known"
    );
}

#[test]
fn children_are_spawned_under_a_storm() {
    let _alone = alone();
    let profiler = Profiler::builder()
        .clock(Clock::Wall)
        .period(SHORT)
        .start()
        .unwrap();
    for _ in 0..20 {
        let status = std::process::Command::new("true").status().unwrap();
        assert!(status.success(), "{status}");
    }
    drop(profiler.stop());
}

/// Ends a forked child with what `passes` says. A panic must not leave here: it would end the
/// test's thread, which is the child's last one, and a process whose last thread ends exits
/// with success.
fn end_child(passes: impl FnOnce() -> bool) -> ! {
    let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(passes));
    let code = match passed {
        Ok(true) => 0,
        Ok(false) => 3,
        Err(_) => 4,
    };
    // SAFETY: ends the child at once.
    unsafe { libc::_exit(code) };
}

/// Whether nothing comes out of a profiler of the parent.
fn ends_empty(of_parent: Profiler, by_drop: bool) -> bool {
    let copied = of_parent.log();
    let flushed = of_parent.flush();
    if by_drop {
        drop(of_parent);
        return copied.is_empty() && flushed.is_empty();
    }
    let log = of_parent.stop();
    let before = copied.is_empty() && flushed.is_empty();
    before && log.is_empty() && log.losses().is_empty()
}

#[test]
fn forked_child_neither_hangs_nor_samples() {
    let _alone = alone();
    let profiler = Profiler::builder()
        .clock(Clock::Wall)
        .period(SHORT)
        .threads(Threads::All)
        .on_flush(50, drop)
        .start()
        .unwrap();
    for by_drop in [true, false] {
        black_box(spin(2_000_000));
        // SAFETY: the child only ends its copy of the profiler and leaves by _exit; this test's
        // process has other threads only of the profiler, whose locks the child must not need.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            // SAFETY: a bitwise copy that the child consumes; it leaves without unwinding, so
            // the original is never dropped there.
            let copy = unsafe { std::ptr::read(&raw const profiler) };
            end_child(|| ends_empty(copy, by_drop));
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut status = 0;
        loop {
            // SAFETY: `status` is a live int; WNOHANG returns at once.
            let done = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
            if done == child {
                break;
            }
            assert!(Instant::now() < deadline, "the child hangs");
            std::thread::yield_now();
        }
        assert!(
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
            "status {status:#x}"
        );
    }
    assert!(!profiler.stop().losses().contains_key("unaccounted"));
}

#[test]
fn forked_child_can_sample_itself() {
    let _alone = alone();
    let parent = Profiler::builder()
        .clock(Clock::Wall)
        .period(SHORT)
        .start()
        .unwrap();
    black_box(spin(1_000_000));
    // SAFETY: the child runs the profiler, which is made for that, and leaves by _exit.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        end_child(|| {
            let own = Profiler::builder().clock(Clock::Wall).period(SHORT);
            let own = own.start().unwrap();
            black_box(spin(20_000_000));
            !own.stop().is_empty()
        });
    }
    let mut status = 0;
    // SAFETY: `status` is a live int.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
        "status {status:#x}"
    );
    assert!(!parent.stop().is_empty());
}

#[test]
fn forked_child_leaves_the_perf_map_of_its_parent_alone() {
    let _alone = alone();
    let map = PerfMap::create().unwrap();
    let of_parent = map.register(0x6000_0000, 16, "of the parent");
    // SAFETY: the child registers with its parent's map, which must take no lock there, and
    // leaves by _exit.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: a bitwise copy that the child consumes; it leaves without unwinding, so the
        // original is never dropped there.
        let copy = unsafe { std::ptr::read(&raw const of_parent) };
        end_child(|| {
            drop(copy);
            drop(map.register(0x6000_1000, 16, "of the child"));
            map.write_failures() == 1
        });
    }
    let mut status = 0;
    // SAFETY: `status` is a live int.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    let lines = std::fs::read_to_string(map.path()).unwrap();
    std::fs::remove_file(map.path()).unwrap();
    assert_eq!(status, 0, "the child's exit");
    assert!(lines.contains(" of the parent\n"), "{lines}");
    assert!(!lines.contains(" of the child\n"), "{lines}");
    assert_eq!(map.write_failures(), 0);
}

static FOREIGN_SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn foreign_handler(_signal: libc::c_int) {
    FOREIGN_SIGNALS.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn signal_of_somebody_else_reaches_the_previous_handler() {
    let _alone = alone();
    // SAFETY: the handler only adds to an atomic.
    unsafe {
        libc::signal(
            libc::SIGPROF,
            foreign_handler as *const () as libc::sighandler_t,
        )
    };
    let rare = Profiler::builder()
        .clock(Clock::Wall)
        .period(Duration::from_secs(1000));
    let rare = rare.start().unwrap();
    for _ in 0..10 {
        // SAFETY: SIGPROF has a handler.
        unsafe { libc::raise(libc::SIGPROF) };
    }
    assert_eq!(FOREIGN_SIGNALS.load(Ordering::SeqCst), 10, "raised ones");
    drop(rare.stop());
    let often = Profiler::builder()
        .clock(Clock::Wall)
        .period(SHORT)
        .start()
        .unwrap();
    black_box(spin(2_000_000));
    assert!(!often.stop().is_empty());
    assert_eq!(FOREIGN_SIGNALS.load(Ordering::SeqCst), 10, "no timer's");
    // Somebody takes our handler away and puts it back with signal(2), which loses its flags.
    // SAFETY: the handler only adds to an atomic.
    let ours = unsafe { libc::signal(libc::SIGPROF, foreign_handler as *const () as usize) };
    // SAFETY: the handler that was there.
    unsafe { libc::signal(libc::SIGPROF, ours) };
    let again = Profiler::builder()
        .clock(Clock::Wall)
        .period(SHORT)
        .start()
        .unwrap();
    black_box(spin(2_000_000));
    assert!(!again.stop().is_empty());
    assert_eq!(FOREIGN_SIGNALS.load(Ordering::SeqCst), 10, "no timer's");
}

static OUTER: AtomicUsize = AtomicUsize::new(0);
static PASSED_ON: AtomicU32 = AtomicU32::new(0);

extern "C" fn passes_on(signal: libc::c_int) {
    PASSED_ON.fetch_add(1, Ordering::SeqCst);
    let inner = OUTER.load(Ordering::SeqCst);
    // SAFETY: what signal(2) returned for a handler of ours, called as a plain one: it looks at
    // the signal's info, which for this test's signals is null only where it must not look.
    let inner: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
        unsafe { std::mem::transmute(inner) };
    // SAFETY: siginfo_t is a C struct of integers: all zeroes is valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    inner(signal, &raw mut info, std::ptr::null_mut());
}

#[test]
fn handlers_that_pass_on_to_each_other_end() {
    let _alone = alone();
    let first = Profiler::builder()
        .clock(Clock::Wall)
        .period(Duration::from_secs(1000));
    let first = first.start().unwrap();
    // SAFETY: the handler passes on to ours.
    let ours = unsafe { libc::signal(libc::SIGPROF, passes_on as *const () as usize) };
    OUTER.store(ours, Ordering::SeqCst);
    // Takes SIGPROF again, with the other handler as the one before.
    let second = Profiler::builder()
        .clock(Clock::Wall)
        .period(Duration::from_secs(1000));
    let second = second.start().unwrap();
    // SAFETY: SIGPROF has a handler.
    unsafe { libc::raise(libc::SIGPROF) };
    assert_eq!(PASSED_ON.load(Ordering::SeqCst), 1);
    drop((first.stop(), second.stop()));
}

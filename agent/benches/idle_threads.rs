//! What a thousand threads that sleep cost while they are sampled on the wall clock.
//!
//! Printed is the CPU time of the whole process, as a share of one core, over ten seconds that begin
//! two seconds after the sampling: with the profiler, and without one. Each thread is asked at the
//! beginning; from then on its clocks are looked at.
//!
//! `cargo bench -p flashlamp --bench idle_threads`; a number after `--` is how many threads.
#![expect(clippy::print_stdout, reason = "its results")]
#![expect(clippy::disallowed_methods, reason = "sleeps")]
#![expect(unsafe_code, reason = "reads the clock of the process")]

use std::time::Duration;

use flashlamp::{Clock, Profiler, Threads};

const SECONDS: u64 = 10;

fn process_cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live timespec.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "clock_gettime");
    let [seconds, nanos] = [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    seconds * 1_000_000_000 + nanos
}

/// The share of one core, in percent.
fn share() -> f64 {
    std::thread::sleep(Duration::from_secs(2));
    let before = process_cpu_ns();
    std::thread::sleep(Duration::from_secs(SECONDS));
    let spent = Duration::from_nanos(process_cpu_ns() - before);
    100.0 * spent.as_secs_f64() / Duration::from_secs(SECONDS).as_secs_f64()
}

fn main() {
    let threads = std::env::args().find_map(|argument| argument.parse().ok());
    let threads: u32 = threads.unwrap_or(1000);
    for _ in 0..threads {
        let sleeper = std::thread::Builder::new().stack_size(64 << 10);
        let sleep = || loop {
            std::thread::park();
        };
        sleeper.spawn(sleep).expect("the bench may start threads");
    }
    println!("{threads} threads that sleep:");
    println!("  not sampled: {:.3} % of a core", share());
    for period in [Duration::from_millis(10), Duration::from_millis(1)] {
        let profiler = Profiler::builder()
            .clock(Clock::Wall)
            .period(period)
            .threads(Threads::All)
            .start()
            .expect("the bench may create timers");
        println!("  every {period:?}: {:.3} % of a core", share());
        drop(profiler.stop());
    }
}

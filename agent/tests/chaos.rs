//! All at once that is hard on a sampler, under another allocator, for a while.
//!
//! `FLASHLAMP_CHAOS_SECONDS` says for how long (60 where it is not set).
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "a test reads the clock itself")]
#![expect(unsafe_code, reason = "loads libraries, forks, and reads clocks")]

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flashlamp::{Clock, Log, Profiler, Threads};

const MS: Duration = Duration::from_millis(1);

/// Set in the process that does it: it runs under the other allocator.
const CHILD: &str = "FLASHLAMP_CHAOS_CHILD";

/// Another allocator than that of libc, of Debian's package libjemalloc2.
const JEMALLOC: &str = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";

#[test]
fn libraries_forks_panics_and_threads_at_ten_kilohertz_do_no_harm() {
    if std::env::var_os(CHILD).is_some() {
        chaos();
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "--nocapture"])
        .arg("libraries_forks_panics_and_threads_at_ten_kilohertz_do_no_harm")
        .env(CHILD, "1");
    if Path::new(JEMALLOC).exists() {
        child.env("LD_PRELOAD", JEMALLOC);
    } else {
        println!("SKIPPED: there is no {JEMALLOC}: with the allocator of libc");
        assert!(std::env::var_os("CI").is_none());
    }
    let status = child.status().unwrap();
    assert!(status.success(), "{status}");
}

/// What has been done how often.
#[derive(Debug, Default)]
struct Done {
    libraries: AtomicU64,
    programs: AtomicU64,
    forks: AtomicU64,
    panics: AtomicU64,
    threads: AtomicU64,
    profilers: AtomicU64,
    allocations: AtomicU64,
}

impl Done {
    fn each(&self) -> [(&AtomicU64, fn()); 7] {
        [
            (&self.libraries, load_a_library),
            (&self.programs, run_a_program),
            (&self.forks, fork),
            (&self.panics, panic_deep_below),
            (&self.threads, begin_a_thread),
            (&self.profilers, sample_for_a_moment),
            (&self.allocations, allocate),
        ]
    }
}

fn again_and_again(stop: &AtomicBool, count: &AtomicU64, work: fn()) {
    while !stop.load(Ordering::Relaxed) {
        work();
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn chaos() {
    let seconds = std::env::var("FLASHLAMP_CHAOS_SECONDS").ok();
    let seconds = seconds.map_or(60, |text| text.parse().unwrap());
    std::panic::set_hook(Box::new(|_| {}));
    let end = Instant::now() + Duration::from_secs(seconds);
    let (stop, done) = (AtomicBool::new(false), Done::default());
    let period = Duration::from_micros(100);
    let builder = Profiler::builder().threads(Threads::All);
    let on_cpu = builder.period(period).start().unwrap();
    let builder = Profiler::builder().threads(Threads::All).clock(Clock::Wall);
    let on_wall = builder.period(MS).start().unwrap();
    let mut taken = 0;
    std::thread::scope(|scope| {
        for (count, work) in done.each() {
            let stop = &stop;
            scope.spawn(move || again_and_again(stop, count, work));
        }
        while Instant::now() < end {
            std::thread::park_timeout(200 * MS);
            // What is collected is handed out meanwhile, as an agent does.
            for log in [on_cpu.flush(), on_wall.flush()] {
                taken += check(&log);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    for log in [on_cpu.stop(), on_wall.stop()] {
        taken += check(&log);
    }
    println!("{taken} samples taken in {seconds} s; {done:?}");
    assert!(taken > 1000);
    for (count, _) in done.each() {
        assert_ne!(count.load(Ordering::Relaxed), 0, "{done:?}");
    }
    let timers = std::fs::read_to_string("/proc/self/timers").unwrap();
    assert_eq!(timers, "", "timers are left");
}

/// The samples of a log and those that were lost, each by a name that is no bug's.
fn check(log: &Log) -> u64 {
    let lost = log.losses();
    assert!(!lost.contains_key("unaccounted"), "{lost:?}");
    let lost: u64 = lost.values().map(|tally| tally.samples).sum();
    log.len() as u64 + lost
}

fn load_a_library() {
    for name in [
        c"libresolv.so.2",
        c"libnss_files.so.2",
        c"libutil.so.1",
        c"libm.so.6",
    ] {
        // SAFETY: the name is NUL-terminated; these are libraries of libc.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        if !library.is_null() {
            // SAFETY: it was opened above, and nothing of it is used.
            unsafe { libc::dlclose(library) };
        }
    }
}

fn run_a_program() {
    let status = Command::new("/bin/true").status().unwrap();
    assert!(status.success(), "{status}");
}

fn fork() {
    // SAFETY: the child calls nothing but _exit, which is safe after a fork of many threads.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    let waited = loop {
        // SAFETY: `status` is a live int.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        // Sampling may end the wait early, as any signal does.
        if waited != -1 || std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            break waited;
        }
    };
    assert_eq!((waited, status), (child, 0));
}

#[inline(never)]
fn deep(frames: u32) -> u32 {
    assert!(frames != 0, "deep enough");
    black_box(deep(frames - 1)) + 1
}

fn panic_deep_below() {
    assert!(std::panic::catch_unwind(|| deep(60)).is_err());
}

fn begin_a_thread() {
    let threads: Vec<_> = (0..4)
        .map(|_| std::thread::spawn(|| black_box(spin(MS))))
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn spin(duration: Duration) -> u64 {
    let end = Instant::now() + duration;
    let mut value = 1_u64;
    while Instant::now() < end {
        value = black_box(value.wrapping_mul(31));
    }
    value
}

fn sample_for_a_moment() {
    for clock in [Clock::Cpu, Clock::Wall] {
        let builder = Profiler::builder().clock(clock).period(MS);
        let profiler = builder.start().unwrap();
        black_box(spin(3 * MS));
        check(&profiler.stop());
    }
}

fn allocate() {
    let kept: Vec<Vec<u8>> = (1..200).map(|size| vec![1; size * 37 % 5000]).collect();
    black_box(kept);
}

//! What one sample costs the sampled thread: raised signals below a known number of frames.
//!
//! Every case raises `SIGPROF` on its own thread, from a stack of known depth, and waits for
//! the handler to return: the time of that alone is measured. Subtract `empty handler` of the
//! same depth: that is the kernel's part (sending, delivery and sigreturn). All cases raise the
//! same way, what a timer's signal looks like; for `flashlamp` with the value of a running
//! profiler, so that the whole handler runs. Between two signals the thread spins for 100 us,
//! which is not measured: our handler counts signals without a pause as overload instead of
//! sampling them.
//!
//! The frames of a depth are calls of one function, so their unwind rules are in the cache and a
//! frame more costs some 25 ns. Thirty of them are less than what two runs of one case differ by
//! on a shared machine (1 us), and so is what the first case of a process costs more than later
//! ones: compare depths 1 and 32 only over several runs, in both orders.
//!
//! Run one case at a time, several times, on a quiet machine:
//! `cargo bench -p flashlamp --bench handler`.
#![expect(unsafe_code, reason = "installs handlers and raises signals")]
#![expect(clippy::print_stdout, reason = "what is no time is printed")]
#![expect(clippy::disallowed_methods, reason = "spins by the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use flashlamp::{Clock, Profiler};

const DEPTHS: [u32; 3] = [1, 32, 128];

#[inline(never)]
fn below(frames: u32, work: &mut dyn FnMut()) -> u32 {
    if frames <= 1 {
        work();
        return 1;
    }
    black_box(below(frames - 1, work)) + 1
}

/// 100 us: longer than a sample takes.
fn pause() {
    let end = Instant::now() + Duration::from_micros(100);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

extern "C" fn empty_handler(_signal: libc::c_int) {}

fn set_handler(handler: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: the handlers used here do nothing, or were installed before.
    unsafe { libc::signal(libc::SIGPROF, handler) }
}

/// The time of so many signals of this value, each after a pause.
fn time_of_signals(count: u64, value: u64) -> Duration {
    let mut sum = Duration::ZERO;
    for _ in 0..count {
        pause();
        let began = Instant::now();
        raise_as_timer(value);
        sum += began.elapsed();
    }
    sum
}

fn thread_id() -> libc::pid_t {
    // SAFETY: gettid takes no argument and always succeeds.
    unsafe { libc::gettid() }
}

/// Sends this thread what the kernel sends for the profiler's timer.
fn raise_as_timer(value: u64) {
    // SAFETY: siginfo_t is a C struct of integers: all zeroes is valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    info.si_signo = libc::SIGPROF;
    info.si_code = libc::SI_TIMER;
    // The layout of a timer's siginfo on 64-bit Linux: after three ints and padding come the
    // timer's id, the overrun (0), and the value at byte 24.
    // SAFETY: word 3 lies inside the 128 bytes of siginfo_t, which is aligned to 8.
    let word = unsafe { (&raw mut info).cast::<u64>().add(3) };
    // SAFETY: as above, and nobody else knows `info`.
    unsafe { word.write(value) };
    let signal = libc::SYS_rt_tgsigqueueinfo;
    let (process, thread) = (std::process::id(), thread_id());
    // SAFETY: both ids are our own; the kernel copies the siginfo.
    let result = unsafe { libc::syscall(signal, process, thread, libc::SIGPROF, &raw const info) };
    assert_eq!(result, 0, "rt_tgsigqueueinfo");
}

fn handler_cost(criterion: &mut Criterion) {
    for depth in DEPTHS {
        let mut group = criterion.benchmark_group(format!("signal below {depth} frames"));
        let before = set_handler(empty_handler as *const () as libc::sighandler_t);
        group.bench_function("empty handler", |bencher| {
            below(depth, &mut || {
                bencher.iter_custom(|count| time_of_signals(count, 0));
            });
        });
        set_handler(before);
        flashlamp_case(&mut group, depth);
        group.finish();
    }
    // Last: its handler stays, and takes our signals from there on.
    for depth in DEPTHS {
        let mut group = criterion.benchmark_group(format!("signal below {depth} frames"));
        peer_case(&mut group, depth);
        group.finish();
    }
}

type Group<'c> = criterion::BenchmarkGroup<'c, criterion::measurement::WallTime>;

/// Runs `work` while an idle thread has a profiler of a short period: the drain then comes every
/// 5 ms, as it would at such a rate.
fn with_busy_drain(work: impl FnOnce()) {
    std::thread::scope(|scope| {
        let (done, wait) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            let idle = Profiler::builder()
                .period(Duration::from_micros(50))
                .start();
            wait.recv().unwrap_or_default();
            drop(idle);
        });
        work();
        drop(done);
    });
}

fn flashlamp_case(group: &mut Group<'_>, depth: u32) {
    // Its own timer is out of the way: one signal in a thousand seconds.
    let profiler = Profiler::builder()
        .clock(Clock::Wall)
        .period(Duration::from_secs(1000))
        .start()
        .expect("the bench may create timers");
    let value = flashlamp::bench_support::signal_value(&profiler);
    let (functions, rows, bytes, faults) = flashlamp::bench_support::unwind_tables(&profiler);
    println!("unwind tables: {functions} functions, {rows} rows, {bytes} bytes, {faults} faults");
    with_busy_drain(|| {
        group.bench_function("flashlamp", |bencher| {
            below(depth, &mut || {
                bencher.iter_custom(|count| time_of_signals(count, value));
            });
        });
    });
    let log = profiler.stop();
    assert!(!log.is_empty(), "the handler ran");
    assert!(
        log.losses().is_empty(),
        "samples were lost: {:?}",
        log.losses()
    );
}

fn peer_case(group: &mut Group<'_>, depth: u32) {
    // One signal a second by its own timer; the rest is raised.
    let guard = pprof::ProfilerGuardBuilder::default()
        .frequency(1)
        .build()
        .expect("the peer starts");
    group.bench_function("pprof-rs 0.15 (framehop)", |bencher| {
        below(depth, &mut || {
            bencher.iter_custom(|count| time_of_signals(count, 0));
        });
    });
    drop(guard);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = handler_cost
}
criterion_main!(benches);

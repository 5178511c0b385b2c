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
//! The frames of a depth are calls of one function, and a frame more costs some 7 ns: less than what
//! two runs of one case differ by on a shared machine (1 us). The bench `sample_cost` lets the cases
//! take turns, and is the one to compare by.
//!
//! Run one case at a time, several times, on a quiet machine:
//! `cargo bench -p flashlamp --bench handler`.
#![expect(unsafe_code, reason = "installs handlers and raises signals")]
#![expect(clippy::print_stdout, reason = "what is no time is printed")]
#![expect(clippy::disallowed_methods, reason = "spins by the clock")]

mod raised;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

use crate::raised::{below, empty_handler, quiet_profiler, stop, time_of_signal, with_busy_drain};

const DEPTHS: [u32; 3] = [1, 32, 128];

fn set_handler(handler: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: the handlers used here do nothing, or were installed before.
    unsafe { libc::signal(libc::SIGPROF, handler) }
}

/// The time of so many signals of this value.
fn time_of_signals(count: u64, value: u64) -> Duration {
    (0..count).map(|_| time_of_signal(value)).sum()
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

fn flashlamp_case(group: &mut Group<'_>, depth: u32) {
    let profiler = quiet_profiler(flashlamp::Clock::Cpu);
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
    stop(profiler);
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

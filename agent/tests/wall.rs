//! The wall clock: where a thread's time goes, and what sampling it does to the thread.
#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test reads clocks and sleeps itself"
)]
#![expect(unsafe_code, reason = "clocks, affinity and raw system calls")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, mpsc};
use std::time::{Duration, Instant};

use flashlamp::profile::{Column, ValueType, markers};
use flashlamp::{Clock, Log, Profiler, ProfilerBuilder, Threads};

const MS: Duration = Duration::from_millis(1);
const WALL: Column = Column::Value(0);
const CPU: Column = Column::Value(1);

fn wall(period: Duration) -> ProfilerBuilder {
    Profiler::builder().clock(Clock::Wall).period(period)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live timespec.
    assert_eq!(unsafe { libc::clock_gettime(clock, &raw mut time) }, 0);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

fn thread_cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The kernel's tick: what its coarse clocks are told in.
fn tick_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live timespec.
    let result = unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    assert_eq!((result, time.tv_sec), (0, 0));
    u64::try_from(time.tv_nsec).unwrap()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap()
}

/// The sum of a column over the stacks that a function is in, or a marker.
fn total_of(log: &Log, column: Column, name: &str) -> u64 {
    let profile = log.profile();
    let with_name = profile.samples().filter(|sample| {
        let frames = sample.stack().map(|stack| profile.stack_leaf_first(stack));
        frames.is_some_and(|mut frames| frames.any(|frame| frame.name().ends_with(name)))
    });
    with_name.map(|sample| column.of(&sample)).sum()
}

fn all_of(log: &Log, column: Column) -> u64 {
    log.profile().column_total(column)
}

#[inline(never)]
fn spin_some(mut value: u64, rounds: u64) -> u64 {
    for round in 0..rounds {
        value = black_box(
            value
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(round),
        );
    }
    value
}

#[inline(never)]
fn spin_until(done: impl Fn() -> bool) -> u64 {
    let mut value = 1;
    while !done() {
        value = spin_some(value, 20_000);
    }
    value
}

#[test]
fn waiting_thread_is_blocked_for_all_of_its_time() {
    let profiler = wall(MS).start().unwrap();
    let began = Instant::now();
    let (_sender, receiver) = mpsc::channel::<()>();
    assert!(receiver.recv_timeout(400 * MS).is_err());
    let waited = nanos(began.elapsed());
    let log = profiler.stop();
    let types = log.profile().value_types();
    assert_eq!(types, [ValueType::WALL, ValueType::CPU]);
    let blocked = total_of(&log, WALL, markers::BLOCKED);
    assert!(
        blocked + nanos(3 * MS) >= waited && blocked <= all_of(&log, WALL),
        "{blocked} of {waited}"
    );
    assert!(total_of(&log, WALL, "recv_timeout") + nanos(3 * MS) >= waited);
    assert_eq!(total_of(&log, CPU, markers::BLOCKED), 0);
    // One that waits is asked twice, and told apart once it is over.
    assert!(log.len() < 40, "{} samples", log.len());
}

#[test]
fn raw_waits_do_not_return_early_again_and_again() {
    const WAITS: usize = 60;
    let profiler = wall(MS).start().unwrap();
    let mut early = BTreeMap::<&str, usize>::new();
    for _ in 0..WAITS {
        // SAFETY: it is given no descriptors.
        let polled = unsafe { libc::poll(std::ptr::null_mut(), 0, 15) };
        *early.entry("poll").or_default() += usize::from(polled != 0);
    }
    for _ in 0..WAITS {
        // SAFETY: it takes a number.
        let slept = unsafe { libc::usleep(15_000) };
        *early.entry("usleep").or_default() += usize::from(slept != 0);
    }
    let log = profiler.stop();
    println!("of {WAITS} each: {early:?}, {} samples", log.len());
    for (call, count) in early {
        assert!(count <= WAITS / 4, "{call} returned early {count} times");
    }
    let blocked = total_of(&log, WALL, markers::BLOCKED);
    assert!(blocked * 10 >= all_of(&log, WALL) * 9, "{}", log.folded());
}

fn pin_to_first_core() {
    // SAFETY: cpu_set_t is a C array of integers: all zeroes is valid.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is live; the call reads this thread's own affinity.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    assert_eq!(result, 0);
    // SAFETY: the number is below the set's size.
    let first = (0..1024).find(|core| unsafe { libc::CPU_ISSET(*core, &set) });
    // SAFETY: as above.
    let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number is below the set's size.
    unsafe { libc::CPU_SET(first.unwrap(), &mut one) };
    // SAFETY: `one` is live; only this thread is moved.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&one), &raw const one) };
    assert_eq!(result, 0);
}

#[test]
fn thread_that_waits_for_a_core_is_runnable_and_not_blocked() {
    let done = AtomicBool::new(false);
    let started = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin_to_first_core();
            started.wait();
            black_box(spin_until(|| done.load(Ordering::Relaxed)));
        });
        let log = scope.spawn(|| {
            pin_to_first_core();
            started.wait();
            let profiler = wall(MS).start().unwrap();
            let until = thread_cpu_ns() + 400_000_000;
            black_box(spin_until(|| thread_cpu_ns() >= until));
            profiler.stop()
        });
        let log = log.join().unwrap();
        done.store(true, Ordering::Relaxed);
        let all = all_of(&log, WALL);
        let runnable = total_of(&log, WALL, markers::RUNNABLE);
        let blocked = total_of(&log, WALL, markers::BLOCKED);
        println!("runnable {runnable}, blocked {blocked} of {all} ns");
        assert!(
            runnable * 4 >= all,
            "half of the time the other one has the core"
        );
        assert!(blocked * 20 <= all);
        assert_eq!(total_of(&log, CPU, markers::RUNNABLE), 0);
    });
}

#[inline(never)]
fn known_light(rounds: u64) -> u64 {
    black_box((0..3).fold(1, |value, _| spin_some(value, rounds)))
}

#[inline(never)]
fn known_heavy(rounds: u64) -> u64 {
    black_box((0..7).fold(1, |value, _| spin_some(value, rounds)))
}

/// A thread that waits between short pieces of work: most looks find it waiting, and still the work
/// is charged to the functions that did it.
#[test]
fn cpu_time_of_a_thread_that_mostly_waits_goes_to_its_functions() {
    let (mut light, mut heavy, mut other, mut squares) = (0, 0, 0, 0.0);
    let mut state = 99_u64;
    for _ in 0..4 {
        let profiler = wall(MS).start().unwrap();
        let end = Instant::now() + 2500 * MS;
        while Instant::now() < end {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Neither the work nor the wait is in step with the period or the tick.
            let rounds = 100_000 + (state >> 33) % 300_000;
            known_light(rounds);
            known_heavy(rounds);
            std::thread::sleep(Duration::from_micros(1000 + (state >> 40) % 9000));
        }
        let log = profiler.stop();
        light += total_of(&log, CPU, "known_light");
        heavy += total_of(&log, CPU, "known_heavy");
        other += all_of(&log, CPU);
        let weights = log.profile().samples().map(|sample| CPU.of(&sample) as f64);
        squares += weights.map(|weight| weight * weight).sum::<f64>();
        if (light + heavy) as f64 * (light + heavy) as f64 >= 300.0 * squares {
            break;
        }
    }
    let named = (light + heavy) as f64;
    // As many looks of one weight would be as good (L. Kish, Survey Sampling, 1965).
    let looks = named * named / squares;
    let share = heavy as f64 / named;
    let bound = 4.0 * (0.7 * 0.3 / looks).sqrt() + 0.01;
    println!("{looks:.0} looks, share {share:.4}, bound {bound:.4}, {named} of {other} ns");
    assert!(
        (share - 0.7).abs() < bound,
        "{share} is not within {bound} of 0.7"
    );
    assert!(named >= 0.8 * other as f64, "{named} of {other}");
}

/// What was counted of the calling thread on both clocks at once, while it worked for so long and
/// waited as well: within two periods and a tick of what its clocks say.
fn check_books(period: Duration, work: Duration) {
    // The unwind tables are made by the first profiler.
    drop(wall(period).start().unwrap().stop());
    let read = || (clock_ns(libc::CLOCK_MONOTONIC), thread_cpu_ns());
    let before = read();
    let on_cpu = Profiler::builder().period(period).start().unwrap();
    let on_wall = wall(period).start().unwrap();
    let began = read();
    let mut value = 1;
    while thread_cpu_ns() < began.1 + nanos(work) {
        for _ in 0..500 {
            value = spin_some(value, 20_000);
        }
        std::thread::sleep(7 * MS);
    }
    black_box(value);
    // Names are looked up now, so that stopping takes no time.
    drop((on_cpu.log(), on_wall.log()));
    let ended = read();
    let (on_cpu, on_wall) = (on_cpu.stop(), on_wall.stop());
    let after = read();
    let wall_ns = (ended.0 - began.0, after.0 - before.0);
    let cpu_ns = (ended.1 - began.1, after.1 - before.1);
    let slack = 2 * nanos(period) + tick_ns();
    let lost = |log: &Log| {
        let events: u64 = log.losses().values().map(|tally| tally.events).sum();
        events * nanos(period)
    };
    for (what, counted, lost, (min, max)) in [
        (
            "CPU",
            all_of(&on_cpu, Column::Value(0)),
            lost(&on_cpu),
            cpu_ns,
        ),
        (
            "CPU on the wall clock",
            all_of(&on_wall, CPU),
            lost(&on_wall),
            cpu_ns,
        ),
        ("wall", all_of(&on_wall, WALL), lost(&on_wall), wall_ns),
    ] {
        println!("{period:?} {what}: {counted} and lost {lost} of {min} to {max}");
        assert!(
            counted <= max + slack && counted + lost + slack >= min,
            "{period:?} {what}: {counted} and lost {lost} of {min} to {max} ns"
        );
    }
}

#[test]
fn weights_and_losses_are_the_clocks_at_ten_milliseconds() {
    check_books(10 * MS, 4000 * MS);
}

#[test]
fn weights_and_losses_are_the_clocks_at_one_millisecond() {
    check_books(MS, 4000 * MS);
}

#[test]
fn weights_and_losses_are_the_clocks_at_a_hundred_microseconds() {
    check_books(Duration::from_micros(100), 4000 * MS);
}

#[test]
fn weights_and_losses_are_the_clocks_of_eight_threads() {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| check_books(MS, 600 * MS));
        }
    });
}

#[test]
fn threads_that_begin_meanwhile_are_charged_from_there_on() {
    let stop = AtomicBool::new(false);
    let profiler = wall(10 * MS).threads(Threads::All).start().unwrap();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let mut sleepers = Vec::new();
        for _ in 0..600 {
            let sleeper = std::thread::Builder::new().name("late".to_owned());
            sleepers.push(sleeper.spawn_scoped(scope, || park_until(&stop)).unwrap());
            std::thread::sleep(Duration::from_micros(500));
        }
        // They are found when the list of threads is looked at again, within a second or so.
        let deadline = began + Duration::from_secs(30);
        while profiler.log().profile().threads().len() < 200 && Instant::now() < deadline {
            std::thread::sleep(100 * MS);
        }
        let log = profiler.stop();
        let passed = nanos(began.elapsed());
        stop.store(true, Ordering::Relaxed);
        sleepers
            .iter()
            .for_each(|sleeper| sleeper.thread().unpark());
        let profile = log.profile();
        let mut of_thread = BTreeMap::<u64, u64>::new();
        for sample in profile.samples() {
            let thread = sample.thread().map(|thread| profile.thread(thread).tid);
            *of_thread.entry(thread.unwrap_or(0)).or_default() += WALL.of(&sample);
        }
        let longest = of_thread.values().max().unwrap();
        println!("{} threads, {longest} of {passed} ns", of_thread.len());
        assert!(of_thread.len() >= 200);
        assert!(*longest <= passed, "{longest} ns of {passed}");
    });
}

fn park_until(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        std::thread::park();
    }
}

#[test]
fn threads_that_sleep_are_asked_a_few_times_and_counted_all_the_time() {
    const THREADS: u64 = 200;
    let (stop, wait) = (
        AtomicBool::new(false),
        Barrier::new(usize::try_from(THREADS).unwrap() + 1),
    );
    std::thread::scope(|scope| {
        let mut sleepers = Vec::new();
        for _ in 0..THREADS {
            let sleeper = std::thread::Builder::new().name("sleeper".to_owned());
            let sleep = || {
                wait.wait();
                park_until(&stop);
            };
            sleepers.push(sleeper.spawn_scoped(scope, sleep).unwrap());
        }
        wait.wait();
        let profiler = wall(MS).threads(Threads::All).start().unwrap();
        let began = Instant::now();
        std::thread::sleep(1500 * MS);
        let passed = nanos(began.elapsed());
        let log = profiler.stop();
        stop.store(true, Ordering::Relaxed);
        sleepers
            .iter()
            .for_each(|sleeper| sleeper.thread().unpark());
        let profile = log.profile();
        let (mut rows, mut time) = (0, 0);
        for sample in profile.samples() {
            let thread = sample.thread().map(|thread| profile.thread(thread));
            if thread.is_some_and(|thread| thread.name == "sleeper") {
                rows += 1;
                time += WALL.of(&sample);
            }
        }
        println!("{rows} rows, {time} ns of {THREADS} threads in {passed} ns");
        assert!(rows <= THREADS * 10, "{rows} rows");
        assert!(
            time >= THREADS * passed / 100 * 99,
            "{time} of {THREADS} x {passed}"
        );
        assert!(
            total_of(&log, WALL, "park") >= time / 10 * 9,
            "{}",
            log.folded()
        );
    });
}

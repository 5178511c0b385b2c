//! The profiler end to end: real timers, real signals, real names.

use std::hint::black_box;
use std::time::{Duration, Instant};

use flashlamp::profile::{FrameKind, Tally};
use flashlamp::{Clock, Log, Profiler, StartError, Threads};

#[inline(never)]
fn spin_for(duration: Duration) -> u64 {
    let end = Instant::now() + duration;
    let mut value = 1_u64;
    while Instant::now() < end {
        value = spin_some(value);
    }
    value
}

#[inline(never)]
fn spin_some(mut value: u64) -> u64 {
    for round in 0..20_000_u64 {
        value = black_box(
            value
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(round),
        );
    }
    value
}

#[inline(never)]
fn known_light() -> u64 {
    (0..3).fold(1, |value, _| spin_some(value))
}

#[inline(never)]
fn known_heavy() -> u64 {
    (0..7).fold(1, |value, _| spin_some(value))
}

fn share_of(log: &Log, function: &str) -> u64 {
    log.by_function()
        .iter()
        .filter(|row| row.name.ends_with(function))
        .map(|row| row.total)
        .sum()
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::yield_now();
    }
}

#[test]
fn cpu_profile_names_the_function_that_ran() {
    let profiler = Profiler::builder()
        .period(Duration::from_millis(1))
        .start()
        .unwrap();
    black_box(spin_for(Duration::from_millis(400)));
    let log = profiler.stop();
    println!("{}", log.folded());
    assert!(log.len() >= 10, "{} samples", log.len());
    assert_eq!(log.losses().len(), 0);
    let spent = share_of(&log, "spin_for");
    assert!(
        spent * 10 >= log.event_count().as_u64() * 9,
        "{}",
        log.folded()
    );
    let stack = log.iter().next().unwrap().stack();
    assert!(
        stack.last().unwrap().name() != "[incomplete]",
        "{}",
        log.folded()
    );
}

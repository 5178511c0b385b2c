//! A thread with hardly any stack is sampled like the others. Alone in its process: what fails
//! here ends the process.
#![cfg(test)]

use std::hint::black_box;
use std::time::Duration;

use flashlamp::{Clock, Profiler, Threads};

/// The least that glibc allows, in the build that is meant to be sampled.
const STACK_BYTES: usize = if cfg!(debug_assertions) { 32 } else { 16 } << 10;

#[inline(never)]
fn spin_on_a_small_stack() -> u64 {
    (0..5_000_000_u64).fold(1, |value, round| {
        black_box(value.wrapping_mul(31).wrapping_add(round))
    })
}

#[test]
fn thread_with_a_small_stack_is_sampled() {
    let profiler = Profiler::builder()
        .clock(Clock::Wall)
        .period(Duration::from_micros(200))
        .threads(Threads::All)
        .start()
        .unwrap();
    // Several: each begins at another phase of the timer, and ends on its own.
    for _ in 0..4 {
        std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(spin_on_a_small_stack)
            .unwrap()
            .join()
            .unwrap();
    }
    let folded = profiler.stop().folded();
    assert!(folded.contains("spin_on_a_small_stack"), "{folded}");
}

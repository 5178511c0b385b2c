//! Work whose share of the processor is known, in functions that a profile must name.

use std::hint::black_box;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The processor time that the calling thread has used.
///
/// # Panics
/// Never on Linux: the clock of the own thread always exists.
#[must_use]
pub fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("the clock of the own thread exists")
        .into()
}

/// Uses the processor until the thread's clock has moved by `cpu`; gives what it really used.
///
/// The work is plain arithmetic in this very function once it is inlined, so that the caller
/// is the leaf frame.
#[inline(always)]
#[must_use]
pub fn burn(cpu: Duration) -> Duration {
    let started = thread_cpu();
    let mut state = 1_u64;
    loop {
        for _ in 0..2_000 {
            state = black_box(
                state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1),
            );
        }
        let used = thread_cpu().saturating_sub(started);
        if used >= cpu {
            return used;
        }
    }
}

/// Burns in a function of its own: the large share of a known split.
#[inline(never)]
#[must_use]
pub fn seventy_of_a_hundred(cpu: Duration) -> Duration {
    let used = burn(cpu);
    black_box(used)
}

/// Burns in a function of its own: the small share of a known split.
#[inline(never)]
#[must_use]
pub fn thirty_of_a_hundred(cpu: Duration) -> Duration {
    let used = burn(cpu);
    black_box(used)
}

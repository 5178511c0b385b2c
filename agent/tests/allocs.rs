//! The handler allocates nothing: a counting allocator, under a storm of real timer signals.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "a test reads the clock itself")]
#![expect(unsafe_code, reason = "a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use flashlamp::{Clock, Profiler};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator; counting touches only a thread-local
// without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the trait's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the trait's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[inline(never)]
fn deep(levels: u32, end: Instant) -> u64 {
    if levels > 0 {
        return black_box(deep(levels - 1, end)).wrapping_add(1);
    }
    let mut value = 0_u64;
    while Instant::now() < end {
        value = black_box(value.wrapping_mul(31).wrapping_add(1));
    }
    value
}

#[test]
fn handler_allocates_nothing() {
    let profiler = Profiler::builder()
        .clock(Clock::Wall)
        .period(Duration::from_micros(100))
        .start()
        .unwrap();
    let before = ALLOCATIONS.with(Cell::get);
    black_box(deep(100, Instant::now() + Duration::from_millis(800)));
    let after = ALLOCATIONS.with(Cell::get);
    let log = profiler.stop();
    assert!(log.len() > 100, "a storm of {} samples", log.len());
    assert_eq!(
        after - before,
        0,
        "allocations and frees on the sampled thread"
    );
}

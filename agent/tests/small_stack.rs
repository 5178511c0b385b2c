//! A thread with hardly any stack is sampled like the others. Alone in its process: what fails
//! here ends the process.
#![cfg(test)]
#![expect(unsafe_code, reason = "installs a handler on a stack of its own")]

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

extern "C" fn host_handler(_signal: libc::c_int) {
    black_box(spin_on_a_small_stack());
    black_box(spin_on_a_small_stack());
}

/// Gives the calling thread an alternate stack of this size, below which nothing may be touched.
fn use_alternate_stack(bytes: usize) {
    let guard = 64 << 10;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let len = guard + bytes;
    // SAFETY: asks for fresh memory anywhere, which stays for good.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED);
    let stack = start.wrapping_byte_add(guard);
    // SAFETY: the upper part of that memory.
    let result = unsafe { libc::mprotect(stack, bytes, libc::PROT_READ | libc::PROT_WRITE) };
    assert_eq!(result, 0);
    let stack = libc::stack_t {
        ss_sp: stack,
        ss_flags: 0,
        ss_size: bytes,
    };
    // SAFETY: `stack` is live, and describes memory of nobody else.
    let result = unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

#[test]
fn handler_of_the_host_on_a_small_alternate_stack_is_sampled() {
    // SAFETY: sigaction is a C struct of integers: all zeroes is valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = host_handler as *const () as usize;
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: the handler only computes.
    let result = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
    assert_eq!(result, 0);
    let sampled = std::thread::spawn(|| {
        use_alternate_stack(if cfg!(debug_assertions) { 16 } else { 8 } << 10);
        let profiler = Profiler::builder()
            .clock(Clock::Wall)
            .period(Duration::from_micros(200))
            .start()
            .unwrap();
        // SAFETY: SIGUSR1 has a handler.
        unsafe { libc::raise(libc::SIGUSR1) };
        profiler.stop().folded()
    });
    let folded = sampled.join().unwrap();
    assert!(folded.contains("[incomplete];"), "{folded}");
}

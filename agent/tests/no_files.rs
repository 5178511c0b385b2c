//! A process that has no file descriptor left. Alone in its process: it lowers a limit.
#![cfg(test)]
#![expect(unsafe_code, reason = "changes a limit")]

use std::hint::black_box;
use std::time::Duration;

use flashlamp::{Clock, Profiler, StartError, Threads};

#[inline(never)]
fn spin_without_files() -> u64 {
    (0..20_000_000_u64).fold(1, |value, round| {
        black_box(value.wrapping_mul(31).wrapping_add(round))
    })
}

/// Sets how many files may be open; returns how many might be before.
fn set_files_max(files: libc::rlim_t) -> libc::rlim_t {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a live rlimit that the call may write.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    assert_eq!(result, 0);
    let before = std::mem::replace(&mut limit.rlim_cur, files);
    // SAFETY: `limit` is a live rlimit.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(result, 0);
    before
}

#[test]
fn names_are_there_when_files_can_be_opened_again() {
    let builder = || {
        let wall = Profiler::builder().clock(Clock::Wall);
        wall.period(Duration::from_micros(500))
    };
    let of_all = builder().threads(Threads::All).start().unwrap();
    let before = set_files_max(0);
    let of_one = builder().start().unwrap();
    let refused = builder().threads(Threads::All).start().unwrap_err();
    assert!(
        matches!(refused, StartError::ThreadsUnreadable { .. }),
        "{refused:?}"
    );
    black_box(spin_without_files());
    let unnamed = of_one.log();
    assert!(!unnamed.is_empty());
    let unnamed = unnamed.folded();
    set_files_max(before);
    assert!(!unnamed.contains("spin_without_files"), "{unnamed}");
    for profiler in [of_one, of_all] {
        let named = profiler.stop().folded();
        assert!(named.contains("spin_without_files"), "{named}");
    }
}

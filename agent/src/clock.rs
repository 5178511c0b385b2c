//! The clocks: monotonic for distances, UTC for instants.

use std::time::Duration;

use flashlamp_profile::Timestamp;

use crate::sys;

/// Nanoseconds of the monotonic clock.
///
/// # Signal safety
/// One vDSO call: no lock, no allocation.
pub(crate) fn monotonic_ns() -> u64 {
    sys::clock_ns(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds that the calling thread had a CPU.
///
/// # Signal safety
/// One system call.
pub(crate) fn thread_cpu_ns() -> u64 {
    sys::clock_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Nanoseconds that the threads of this process had a CPU, those that have ended as well.
pub(crate) fn process_cpu_ns() -> u64 {
    sys::clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// The kernel's tick, in nanoseconds: what its coarse clocks count in. 10 ms where it is not said.
pub(crate) fn tick_ns() -> u64 {
    sys::clock_step_ns(libc::CLOCK_MONOTONIC_COARSE).unwrap_or(10_000_000)
}

/// Now, in UTC.
pub(crate) fn utc_now() -> Timestamp {
    Timestamp::from_nanos(sys::clock_ns(libc::CLOCK_REALTIME))
}

/// A duration in nanoseconds; the longest where it does not fit.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A point in time on both clocks, to turn monotonic times into UTC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    /// Monotonic nanoseconds.
    pub(crate) monotonic_ns: u64,
    /// The same instant in UTC.
    pub(crate) utc: Timestamp,
}

impl Anchor {
    /// Reads both clocks, one after the other.
    pub(crate) fn now() -> Self {
        Self {
            monotonic_ns: monotonic_ns(),
            utc: utc_now(),
        }
    }
}

//! Why sampling could not start, and what to do about it.

use std::io;

use crate::sys;

/// Why a [`Profiler`](crate::Profiler) or an [`Agent`](crate::Agent) did not start.
///
/// After a start nothing fails any more: later faults are counted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Not Linux on `x86_64`: build without the profiler there.
    #[error("start sampling: only Linux on x86_64 is supported so far")]
    UnsupportedPlatform,
    /// The period is zero.
    #[error("start sampling: the period is zero; 10 ms is a good continuous one")]
    PeriodZero,
    /// The period is so short that signals would take the thread's whole time.
    #[error("start sampling: the period is below {min_us} us; use a longer one")]
    PeriodTooShort {
        /// The shortest allowed, in microseconds.
        min_us: u64,
    },
    /// The maximum depth is zero.
    #[error("start sampling: the maximum depth is zero; a stack has at least its leaf")]
    DepthZero,
    /// The kernel has no more timers for this user.
    #[error(
        "start sampling: no timers left (EAGAIN): every timer takes one of the user's pending \
         signals, the limit is {limit:?}; raise it with `ulimit -i` or LimitSIGPENDING, or \
         sample fewer threads"
    )]
    NoTimersLeft {
        /// `RLIMIT_SIGPENDING`, where it could be read and is finite.
        limit: Option<u64>,
    },
    /// A sandbox forbids timers.
    #[error(
        "start sampling: timer_create is not permitted (seccomp); allow timer_create, \
         timer_settime and timer_delete in the sandbox's profile"
    )]
    TimersForbidden {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel refused a timer for another reason.
    #[error("start sampling: create a timer")]
    TimerRefused {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Stacks cannot be read safely.
    #[error(
        "start sampling: process_vm_readv on this process is refused; allow it in the sandbox's \
         profile (Docker needs kernel 4.8 or later, or its seccomp profile changed)"
    )]
    MemoryReadRefused {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The signal handler could not be installed.
    #[error("start sampling: install a handler for SIGPROF")]
    SignalRefused {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The thread that is to be sampled blocks the sampling signal.
    #[error(
        "start sampling: this thread blocks SIGPROF, so it would never be sampled; unblock it \
         (pthread_sigmask), here or in the thread that started this one"
    )]
    SignalBlocked,
    /// A timer's signal did not arrive.
    #[error(
        "start sampling: the signal of a timer (SIGPROF) does not arrive; does this system have \
         timers that signal threads (SIGEV_THREAD_ID)?"
    )]
    SignalsMissing,
    /// The threads of the process cannot be listed, so sampling all of them would sample none.
    #[error(
        "start sampling: list the threads in /proc/self/task; mount /proc in the sandbox (a \
         chroot or container without it hides them), or sample the current thread only"
    )]
    ThreadsUnreadable {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There are more threads than the agent has room for.
    #[error("start sampling: more than {threads_max} threads or their timers are in use")]
    TooManyThreads {
        /// Threads that can be sampled at once.
        threads_max: usize,
    },
    /// A thread of ours could not be started.
    #[error("start sampling: start the thread {name}; look at the limit on tasks")]
    ThreadRefused {
        /// The thread's name.
        name: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No collector was named.
    #[error(
        "start the agent: no collector; call `.collector(\"http://127.0.0.1:4140\")` or set \
         FLASHLAMP_COLLECTOR"
    )]
    NoCollector,
    /// A URL cannot be used.
    #[error("start the agent: {what} `{url}` {why}")]
    BadUrl {
        /// Which URL.
        what: &'static str,
        /// Its text.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A service's name cannot be used.
    #[error(
        "start the agent: the service name `{name}` is empty, longer than 100 bytes or has control characters"
    )]
    BadService {
        /// Its text.
        name: String,
    },
    /// An environment variable cannot be read.
    #[error("start the agent: {name}=`{value}`: {expected}")]
    BadVariable {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
}

impl StartError {
    /// The error of `timer_create(2)` in the caller's terms.
    pub(crate) fn of_timer(source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EAGAIN) => Self::NoTimersLeft {
                limit: sys::pending_signals_limit(),
            },
            Some(libc::EPERM | libc::ENOSYS | libc::EACCES) => Self::TimersForbidden { source },
            _ => Self::TimerRefused { source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_says_what_to_do() {
        let of = |code| StartError::of_timer(io::Error::from_raw_os_error(code)).to_string();
        assert!(of(libc::EAGAIN).contains("LimitSIGPENDING"));
        assert!(of(libc::EPERM).contains("seccomp"));
        assert_eq!(of(libc::EINVAL), "start sampling: create a timer");
    }
}

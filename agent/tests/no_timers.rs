//! What the kernel refuses is an error that says what to do. Alone in its process: it lowers a
//! limit for good.
#![cfg(test)]
#![expect(unsafe_code, reason = "lowers a limit")]

use flashlamp::{Profiler, StartError};

#[test]
fn start_without_timers_left_names_the_limit() {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `none` is a live rlimit.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_SIGPENDING, &raw const none) };
    assert_eq!(result, 0);
    let error = Profiler::builder().start().unwrap_err();
    assert!(
        matches!(error, StartError::NoTimersLeft { limit: Some(0) }),
        "{error:?}"
    );
    assert!(error.to_string().contains("LimitSIGPENDING"), "{error}");
}

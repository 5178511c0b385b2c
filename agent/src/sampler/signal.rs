//! The signal: installing the handler once, and passing on what is not ours.
//!
//! The handler stays for the life of the process: the default action of `SIGPROF` ends the
//! process, and a signal may still be pending after the last timer was deleted.
#![expect(unsafe_code, reason = "sigaction and calling a previous handler")]

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use libc::{c_int, c_void, siginfo_t};

use super::handler::on_sigprof;

/// The sampling signal. A standard signal does not queue: what comes while one is pending is
/// in the overrun count, which is what we want.
pub(crate) const SIGNAL: c_int = libc::SIGPROF;

static PREVIOUS: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
static PREVIOUS_TAKES_INFO: AtomicBool = AtomicBool::new(false);

/// Installs the handler where it is not; remembers a handler that was there. The caller holds
/// the core's lock.
pub(crate) fn install() -> io::Result<()> {
    // SAFETY: sigaction is a C struct of integers: all zeroes is valid.
    let mut current: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: only asks; `current` is live.
    if unsafe { libc::sigaction(SIGNAL, std::ptr::null(), &raw mut current) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let ours = on_sigprof as *const () as usize;
    if current.sa_sigaction == ours {
        return Ok(());
    }
    PREVIOUS_TAKES_INFO.store(current.sa_flags & libc::SA_SIGINFO != 0, Ordering::SeqCst);
    PREVIOUS.store(current.sa_sigaction, Ordering::SeqCst);
    // SAFETY: as above.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = ours;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: `on_sigprof` has the signature of SA_SIGINFO and is safe to run anywhere.
    if unsafe { libc::sigaction(SIGNAL, &raw const action, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Passes a signal on to the handler that was there before ours. Without one it is ignored.
///
/// # Signal safety
/// Two atomic loads, then that of the previous handler.
pub(super) fn chain(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let previous = PREVIOUS.load(Ordering::SeqCst);
    if previous == libc::SIG_DFL || previous == libc::SIG_IGN {
        return;
    }
    if PREVIOUS_TAKES_INFO.load(Ordering::SeqCst) {
        // SAFETY: sigaction(2) returned this address as a handler with SA_SIGINFO.
        let handler = unsafe {
            std::mem::transmute::<usize, extern "C" fn(c_int, *mut siginfo_t, *mut c_void)>(
                previous,
            )
        };
        handler(signal, info, context);
    } else {
        // SAFETY: sigaction(2) returned this address as a handler without SA_SIGINFO.
        let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(previous) };
        handler(signal);
    }
}

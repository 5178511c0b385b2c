//! The signal: installing the handler once, and passing on what is not ours.
//!
//! The handler stays for the life of the process: the default action of `SIGPROF` ends the
//! process, and a signal may still be pending after the last timer was deleted.
#![expect(unsafe_code, reason = "sigaction and calling a previous handler")]

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use libc::{c_int, c_void, siginfo_t};

use super::handler::on_sigprof;

/// The sampling signal. A standard signal does not queue: what comes while one is pending is
/// in the overrun count, which is what we want.
pub(crate) const SIGNAL: c_int = libc::SIGPROF;

static PREVIOUS: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
static PREVIOUS_TAKES_INFO: AtomicBool = AtomicBool::new(false);

/// What handles the sampling signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Installed {
    /// Our handler.
    Ours,
    /// Somebody else's.
    Other,
    /// Nothing: its default action ends the process, or it is ignored.
    None,
}

/// What handles the sampling signal now.
pub(crate) fn installed() -> io::Result<Installed> {
    let ours = on_sigprof as *const () as usize;
    Ok(match current()?.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => Installed::None,
        handler if handler == ours => Installed::Ours,
        _ => Installed::Other,
    })
}

fn current() -> io::Result<libc::sigaction> {
    // SAFETY: sigaction is a C struct of integers: all zeroes is valid.
    let mut current: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: only asks; `current` is live.
    if unsafe { libc::sigaction(SIGNAL, std::ptr::null(), &raw mut current) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(current)
}

/// Installs the handler where it is not; remembers a handler that was there. The caller holds
/// the core's lock.
pub(crate) fn install() -> io::Result<()> {
    let current = current()?;
    let ours = on_sigprof as *const () as usize;
    let flags = libc::SA_SIGINFO | libc::SA_RESTART;
    if current.sa_sigaction == ours {
        if current.sa_flags & flags == flags {
            return Ok(());
        }
        // Put back with signal(2), which knows no flags: ours again, and nobody's previous.
        return set(ours, flags);
    }
    PREVIOUS_TAKES_INFO.store(current.sa_flags & libc::SA_SIGINFO != 0, Ordering::SeqCst);
    PREVIOUS.store(current.sa_sigaction, Ordering::SeqCst);
    set(ours, flags)
}

fn set(handler: usize, flags: c_int) -> io::Result<()> {
    // SAFETY: sigaction is a C struct of integers: all zeroes is valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: `on_sigprof` has the signature of SA_SIGINFO and is safe to run anywhere.
    if unsafe { libc::sigaction(SIGNAL, &raw const action, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

thread_local! {
    /// Whether this thread is passing a signal on right now.
    static CHAINING: Cell<bool> = const { Cell::new(false) };
}

/// Passes a signal on to the handler that was there before ours. Without one it is ignored.
///
/// A library that came after us may pass on to us what we pass on to it: the second time round
/// the signal is dropped.
///
/// # Signal safety
/// Two atomic loads and a thread-local flag without a destructor, then that of the previous
/// handler. Only for signals that are not our timers'.
pub(super) fn chain(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let previous = PREVIOUS.load(Ordering::SeqCst);
    if previous == libc::SIG_DFL || previous == libc::SIG_IGN {
        return;
    }
    if CHAINING.try_with(|chaining| chaining.replace(true)) != Ok(false) {
        return;
    }
    call(previous, signal, info, context);
    // Whether the thread is ending makes no difference.
    let _ = CHAINING.try_with(|chaining| chaining.set(false));
}

fn call(previous: usize, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
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

//! Whether the sampling signal does what it is meant to.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Registry, SessionThreads};
use crate::clock;
use crate::error::StartError;
use crate::limits;
use crate::sampler::handler::LATE_SIGNALS;
use crate::sampler::signal::{self, Installed};
use crate::sys;

impl Registry {
    /// Has a timer signal the calling thread, once in a process, and waits for our handler to get it.
    ///
    /// # Errors
    /// [`StartError::SignalBlocked`] where the one thread that is to be sampled blocks the signal,
    /// [`StartError::SignalsMissing`] where it does not arrive.
    pub(super) fn check_signals(&mut self, threads: SessionThreads) -> Result<(), StartError> {
        if sys::is_signal_blocked(signal::SIGNAL) {
            // Others may have it unblocked, and no signal can be waited for here.
            let only_this = threads == SessionThreads::One(sys::tid());
            return if only_this {
                Err(StartError::SignalBlocked)
            } else {
                Ok(())
            };
        }
        // While another session runs signals arrive, or it would not have begun.
        if self.signals_checked || !self.sessions.is_empty() {
            return Ok(());
        }
        let (timer, kernel) = self.create_wall_timers().map_err(StartError::of_timer)?;
        let before = LATE_SIGNALS.load(Ordering::SeqCst);
        let sent = kernel.set(Duration::from_nanos(1), Duration::ZERO);
        // It is pending when the call returns, or comes with the next interrupt.
        let limit = clock::monotonic_ns().saturating_add(clock::nanos(limits::SIGNAL_WAIT));
        let has_come = || LATE_SIGNALS.load(Ordering::SeqCst) != before;
        while sent.is_ok() && !has_come() && clock::monotonic_ns() < limit {
            std::thread::yield_now();
        }
        kernel.delete();
        self.release_timer(timer);
        sent.map_err(StartError::of_timer)?;
        if !has_come() {
            return Err(StartError::SignalsMissing);
        }
        self.signals_checked = true;
        Ok(())
    }

    /// Notes where another handler has taken the place of ours. Where there is none at all, the next
    /// signal of a timer would end the process: then ours is put back.
    pub(crate) fn check_handler(&mut self) {
        match signal::installed() {
            Ok(Installed::Ours) | Err(_) => {}
            Ok(Installed::Other) => self.handler_replaced = true,
            Ok(Installed::None) => {
                self.handler_replaced = true;
                // It was possible before; where it is not any more, nothing is left to do.
                let _refused = signal::install();
            }
        }
    }
}

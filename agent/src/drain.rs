//! The drain: the thread that empties the rings while any session runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;

use crate::error::StartError;
use crate::limits;
use crate::process::Process;
use crate::registry::Plan;
use crate::sampler::threads::OwnThread;

/// Begins a session, and the drain where it is not running.
///
/// # Errors
/// As [`StartError`] says.
pub(crate) fn start_session(process: &'static Process, plan: Plan) -> Result<u32, StartError> {
    let mut registry = process.lock();
    let id = registry.start(plan)?;
    if registry.claim_drain() {
        // The thread waits for the lock that we hold.
        let name = "flashlamp-drain";
        let spawned = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(process));
        if let Err(source) = spawned {
            registry.disclaim_drain();
            registry.finish(id);
            return Err(StartError::ThreadRefused { name, source });
        }
    }
    process.wake.notify_all();
    Ok(id)
}

/// Drains until the process ends. Never panics and never unwinds into the host: a fault is
/// counted, and the next round goes on.
fn run(process: &'static Process) {
    let _own = OwnThread::enter();
    let mut registry = process.lock();
    loop {
        if catch_unwind(AssertUnwindSafe(|| registry.cycle())).is_err() {
            registry.faults = registry.faults.saturating_add(1);
        }
        registry = if registry.sessions.is_empty() {
            process
                .wake
                .wait(registry)
                .unwrap_or_else(PoisonError::into_inner)
        } else {
            let interval = registry
                .drain_interval()
                .unwrap_or(limits::DRAIN_INTERVAL_MAX);
            let waited = process.wake.wait_timeout(registry, interval);
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
    }
}

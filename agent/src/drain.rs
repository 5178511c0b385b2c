//! The drain: the thread that empties the rings while any session runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{MutexGuard, PoisonError};

use crate::clock;
use crate::error::StartError;
use crate::limits;
use crate::process::Process;
use crate::registry::{Plan, Registry, SessionThreads};
use crate::sampler::threads::OwnThread;
use crate::sampler::watch::Seen;

/// Begins a session, and the drain where it is not running.
///
/// # Errors
/// As [`StartError`] says.
pub(crate) fn start_session(process: &'static Process, plan: Plan) -> Result<u32, StartError> {
    let seen = match plan.threads {
        SessionThreads::All => process.watch().look_to_start()?,
        SessionThreads::One(_) | SessionThreads::None => Vec::new(),
    };
    let mut registry = process.lock();
    registry = look_at_modules(process, registry);
    let id = registry.start(plan, &seen)?;
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

/// Drains until the process ends.
fn run(process: &'static Process) {
    let _own = OwnThread::enter();
    let mut registry = process.lock();
    loop {
        registry = round(process, registry, || process.watch().look());
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

/// One round. Never panics and never unwinds into the host: a fault is counted, and the next
/// round goes on.
fn round<'p>(
    process: &'p Process,
    mut registry: MutexGuard<'p, Registry>,
    look: impl FnOnce() -> Vec<Seen>,
) -> MutexGuard<'p, Registry> {
    if registry.is_scan_due() {
        // The kernel takes milliseconds to list a thousand threads; a request that begins on a
        // new thread must not wait for that.
        drop(registry);
        let began = clock::thread_cpu_ns();
        let seen = catch_unwind(AssertUnwindSafe(look));
        registry = process.lock();
        let scanned = seen.and_then(|seen| {
            let scan = || registry.scan_threads(&seen, began);
            catch_unwind(AssertUnwindSafe(scan))
        });
        registry.count_fault(&scanned);
    }
    if registry.is_module_look_due() {
        registry.check_handler();
        registry = look_at_modules(process, registry);
    }
    let cycled = catch_unwind(AssertUnwindSafe(|| registry.cycle()));
    registry.count_fault(&cycled);
    registry
}

/// Brings the unwind tables to what is loaded. Where they have to be built, the lock is free meanwhile.
fn look_at_modules<'p>(
    process: &'p Process,
    mut registry: MutexGuard<'p, Registry>,
) -> MutexGuard<'p, Registry> {
    let found = catch_unwind(AssertUnwindSafe(|| registry.look_at_modules()));
    let Ok(Some(found)) = found else {
        registry.count_fault(&found);
        return registry;
    };
    drop(registry);
    let built = catch_unwind(AssertUnwindSafe(|| found.build()));
    registry = process.lock();
    let adopted = built.and_then(|built| {
        let adopt = || registry.adopt_modules(built);
        catch_unwind(AssertUnwindSafe(adopt))
    });
    registry.count_fault(&adopted);
    registry
}

impl Registry {
    fn count_fault<R>(&mut self, result: &std::thread::Result<R>) {
        self.faults = self.faults.saturating_add(u64::from(result.is_err()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_is_free_while_threads_are_listed() {
        let process = Process::current();
        let until = clock::monotonic_ns() + 20_000_000_000;
        let wait_for_the_lock = || {
            while process.registry.try_lock().is_err() {
                assert!(clock::monotonic_ns() < until, "the round holds the lock");
            }
        };
        let mut looked = false;
        // The first look is due at once; another test's drain may just have had it.
        while !looked {
            let look = || {
                wait_for_the_lock();
                looked = true;
                Vec::new()
            };
            drop(round(process, process.lock(), look));
            assert!(clock::monotonic_ns() < until, "no look is due");
        }
    }
}

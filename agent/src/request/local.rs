//! What a thread keeps for the requests that it polls: its slot, and its wall timer.

use std::cell::RefCell;
use std::io;

use crate::process::Process;
use crate::registry::KernelTimers;
use crate::sampler::slot::{ThreadSlot, TimerSlot};
use crate::sys;

/// A thread's wall timer, disarmed between polls.
#[derive(Clone, Copy, Debug)]
pub(super) struct WallTimer {
    pub(super) timer: &'static TimerSlot,
    pub(super) kernel: KernelTimers,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Local {
    process: &'static Process,
    /// `None` where there are more threads than slots.
    slot: Option<&'static ThreadSlot>,
    wall: Option<WallTimer>,
}

thread_local! {
    static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
}

impl Local {
    /// The calling thread's slot. Takes the registry's lock on a thread's first call only.
    pub(super) fn slot(process: &'static Process) -> Option<&'static ThreadSlot> {
        Self::with(process, |local| local.slot)?
    }

    /// The calling thread's wall timer, created the first time.
    ///
    /// # Errors
    /// That of `timer_create(2)`, or a full table.
    pub(super) fn wall_timer(process: &'static Process) -> io::Result<WallTimer> {
        let made = Self::with(process, |local| {
            if let Some(wall) = local.wall {
                return Ok(wall);
            }
            let mut registry = process.lock();
            let (timer, kernel) = registry.create_wall_timers()?;
            let wall = WallTimer { timer, kernel };
            local.wall = Some(wall);
            Ok(wall)
        });
        made.unwrap_or_else(|| Err(io::Error::from(io::ErrorKind::Unsupported)))
    }

    /// `None` in a forked child, whose parent's lock may be held for ever.
    fn begin(process: &'static Process) -> Option<Self> {
        process.is_current().then(|| Self {
            process,
            slot: process.lock().thread_slot(sys::tid(), None),
            wall: None,
        })
    }

    /// `None` while the thread is ending, in a signal handler of the host that polls, or in a
    /// forked child.
    fn with<R>(process: &'static Process, work: impl FnOnce(&mut Self) -> R) -> Option<R> {
        let run = |local: &RefCell<Option<Self>>| {
            let mut local = local.try_borrow_mut().ok()?;
            let known = local
                .as_ref()
                .is_some_and(|local| std::ptr::eq(local.process, process));
            if !known {
                let stale = local.replace(Self::begin(process)?);
                // One of before a fork: its timer was the parent's.
                stale.into_iter().for_each(|mut stale| stale.wall = None);
            }
            local.as_mut().map(work)
        };
        LOCAL.try_with(run).ok().flatten()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(wall) = self.wall.take()
            && self.process.is_current()
        {
            wall.kernel.delete();
            self.process.lock().release_timer(wall.timer);
        }
    }
}

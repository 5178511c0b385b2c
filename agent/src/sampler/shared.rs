//! The two cells that the handler shares with the rest, and the argument why that is sound.
//!
//! **A thread's state** ([`HandlerState`]) is used by whoever set the thread's `busy` flag from
//! 0 to 1: only the handler of that very thread does, and it clears the flag when it is done.
//!
//! **The unwind tables** ([`publish`], [`with_tables`]) are replaced as a whole. A handler sets
//! `busy` (`SeqCst`), then loads the pointer (`SeqCst`); the publisher swaps the pointer (`SeqCst`),
//! then looks at every `busy` (`SeqCst`). In the single order of these four operations either the
//! handler loads the new pointer, or the publisher sees `busy` and keeps the old tables for
//! another round. A flag that is seen 0 also orders that handler's reads before the free
//! (its last store is a Release, the look an Acquire).
#![expect(
    unsafe_code,
    reason = "cells shared with a signal handler; argued in the module doc"
)]

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::pace::Pace;
use crate::unwind::{Tables, ThreadState};

/// A thread's unwinding state; belongs to the holder of the thread's `busy` flag.
pub(crate) struct HandlerState(UnsafeCell<Inner>);

/// What [`HandlerState::with`] gives access to.
pub(super) struct Inner {
    pub(super) unwind: ThreadState,
    pub(super) pace: Pace,
}

// SAFETY: the only access is `with`, whose callers hold the thread's `busy` flag, so there is
// never more than one at a time; the state holds no thread-bound data.
unsafe impl Sync for HandlerState {}

impl std::fmt::Debug for HandlerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandlerState").finish_non_exhaustive()
    }
}

impl HandlerState {
    /// Allocates the state.
    pub(super) fn new() -> Self {
        Self(UnsafeCell::new(Inner {
            unwind: ThreadState::new(),
            pace: Pace::default(),
        }))
    }

    /// Runs `work` on the state.
    ///
    /// # Safety
    /// The caller has set the thread's `busy` flag from 0 to 1 and clears it only afterwards.
    ///
    /// # Signal safety
    /// That of `work`.
    pub(super) unsafe fn with<R>(&self, work: impl FnOnce(&mut Inner) -> R) -> R {
        // SAFETY: exclusive by the caller's promise.
        work(unsafe { &mut *self.0.get() })
    }
}

static TABLES: AtomicPtr<Tables> = AtomicPtr::new(std::ptr::null_mut());

/// Tables that were replaced, until no handler can be using them.
#[derive(Debug)]
pub(crate) struct RetiredTables(*mut Tables);

// SAFETY: a pointer from Box::into_raw that nobody else frees; Tables may be dropped anywhere.
unsafe impl Send for RetiredTables {}

/// Replaces the tables; hands back the old ones.
pub(crate) fn publish(tables: Tables) -> Option<RetiredTables> {
    let old = TABLES.swap(Box::into_raw(Box::new(tables)), Ordering::SeqCst);
    (!old.is_null()).then_some(RetiredTables(old))
}

/// A copy of the published tables.
///
/// The caller must be the only publisher (it holds the core's lock).
pub(crate) fn published() -> Tables {
    let tables = TABLES.load(Ordering::SeqCst);
    if tables.is_null() {
        return Tables::empty();
    }
    // SAFETY: only a publisher retires tables, and the caller is the only one.
    unsafe { &*tables }.clone()
}

impl RetiredTables {
    /// Frees the tables.
    ///
    /// # Safety
    /// Since they were retired, every thread slot was seen with `busy` at 0.
    pub(crate) unsafe fn free(self) {
        // SAFETY: from Box::into_raw in `publish`; no handler can reach it any more.
        drop(unsafe { Box::from_raw(self.0) });
    }

    /// Frees the tables if no thread's handler is running. Call only after [`publish`].
    pub(crate) fn free_if_idle(self, all_idle: bool) -> Option<Self> {
        if !all_idle {
            return Some(self);
        }
        // SAFETY: `all_idle` was computed after the swap in `publish`, see the module doc.
        unsafe { self.free() };
        None
    }
}

/// Runs `work` on the published tables.
///
/// # Safety
/// The caller holds a `busy` flag that the publisher looks at.
///
/// # Signal safety
/// One atomic load and that of `work`.
pub(super) unsafe fn with_tables<R>(work: impl FnOnce(&Tables) -> R) -> Option<R> {
    let tables = TABLES.load(Ordering::SeqCst);
    if tables.is_null() {
        return None;
    }
    // SAFETY: published from a Box and not freed while the caller's `busy` is set.
    Some(work(unsafe { &*tables }))
}

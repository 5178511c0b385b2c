//! Registers to stack: a narrow door.
//!
//! What stands behind it is [framehop](https://docs.rs/framehop) with one preallocated cache for
//! each thread, over copies of each object's `.eh_frame`. Code that no object covers (compiled at
//! run time) is walked by frame pointers. Callers see only [`Tables`], [`ThreadState`],
//! [`Registers`] and [`walk`].
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

mod read_stack;
mod storage;
mod tables;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use framehop::Unwinder as _;

use self::read_stack::StackWindow;
use self::storage::SmallOnStack;
pub(crate) use self::tables::{ObjectIdentity, ObjectUnwindInfo, Tables};
#[cfg(target_arch = "x86_64")]
pub(crate) use self::x86_64::{Registers, of_context};
use crate::ring::record::Quality;

/// What one thread needs to unwind: preallocated, used by one handler at a time.
pub(crate) struct ThreadState {
    cache: framehop::CacheNative<SmallOnStack>,
    window: StackWindow,
}

impl ThreadState {
    /// Allocates the caches (about 20 KiB).
    pub(crate) fn new() -> Self {
        Self {
            cache: framehop::CacheNative::new_in(),
            window: StackWindow::new(),
        }
    }
}

/// Walks the stack from `registers`, leaf first: `emit` gets the interrupted instruction, then
/// return addresses, until it returns false (which makes the result [`Quality::Truncated`]).
///
/// # Signal safety
/// No lock, no allocation, 7 KiB of the interrupted stack (18 KiB without optimization); reads
/// the stack only through `process_vm_readv(2)`, a bounded number of times; may set errno.
pub(crate) fn walk(
    tables: &Tables,
    state: &mut ThreadState,
    pid: i32,
    registers: Registers,
    mut emit: impl FnMut(u64) -> bool,
) -> Quality {
    let ThreadState { cache, window } = state;
    window.begin(pid);
    let mut read = |address| window.read(address);
    let (address, unwind_registers) = registers.into_framehop();
    let mut frames = tables
        .unwinder()
        .iter_frames(address, unwind_registers, cache, &mut read);
    loop {
        match frames.next() {
            Ok(Some(frame)) => {
                if !emit(frame.address()) {
                    return Quality::Truncated;
                }
            }
            Ok(None) => return Quality::Complete,
            Err(_) => return Quality::Broken,
        }
    }
}

//! Registers to stack: a narrow door.
//!
//! What stands behind it: `eh_frame` makes an `object_table` of `rule`s from the unwind
//! information of each loaded object, off the signal path; `walk` follows them from the interrupted
//! registers, by what `read_stack` reads. What differs from processor to processor is a `machine`.
//! Code that no object covers (compiled at run time) is walked by frame pointers.
//!
//! Callers see only [`Tables`], [`ThreadState`], [`Registers`], [`OwnStack`] and [`walk()`].
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

#[cfg(any(test, fuzzing, target_arch = "aarch64"))]
mod aarch64;
mod eh_frame;
#[cfg(any(test, fuzzing))]
mod fuzzed;
mod machine;
mod object_table;
mod read_stack;
mod rule;
mod step;
mod tables;
#[cfg(test)]
mod tests;
mod walk;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(any(test, fuzzing))]
pub(crate) use self::fuzzed::check_section;
pub(crate) use self::machine::Registers;
pub(crate) use self::read_stack::OwnStack;
use self::read_stack::{Stack, Window};
use self::step::Steps;
pub(crate) use self::tables::{BuiltObject, ObjectIdentity, ObjectUnwindInfo, Tables};
#[cfg(target_arch = "x86_64")]
pub(crate) use self::x86_64::of_context;
use crate::ring::record::Quality;

/// The processor that this is built for.
#[cfg(target_arch = "x86_64")]
type Native = x86_64::X86_64;

/// What one thread needs to unwind: preallocated, used by one handler at a time.
pub(crate) struct ThreadState {
    window: Window,
    steps: Steps,
}

impl ThreadState {
    /// Allocates the window (4 KiB) and the memory of rules (8 KiB).
    pub(crate) fn new() -> Self {
        Self {
            window: Window::new(),
            steps: Steps::new(),
        }
    }
}

/// Walks the stack from `registers`, leaf first: `emit` gets the interrupted instruction, then
/// return addresses, until it returns false (which makes the result [`Quality::Truncated`]).
///
/// # Signal safety
/// No lock, no allocation; 2 KiB of the interrupted stack with the handler around it (8 KiB without
/// optimization). Loads from the thread's own stack, with a system call for two pages;
/// elsewhere a bounded number of `process_vm_readv(2)` of process `pid` (this one); may set errno.
pub(crate) fn walk(
    tables: &Tables,
    state: &mut ThreadState,
    (pid, own): (i32, &OwnStack),
    registers: &mut Registers,
    emit: impl FnMut(u64) -> bool,
) -> Quality {
    let stack_pointer = registers.stack_pointer();
    let mut stack = Stack::new(pid, own, stack_pointer, &mut state.window);
    walk::walk::<Native>(tables, &mut state.steps, registers, &mut stack, emit)
}

impl Registers {
    /// The stack pointer.
    ///
    /// # Signal safety
    /// One load.
    pub(crate) fn stack_pointer(&self) -> u64 {
        self.get(<Native as machine::Machine>::STACK).unwrap_or(0)
    }
}

//! Words of the interrupted stack.
//!
//! **Problem.** A wrong rule may point anywhere, and a load of memory that is not there ends the
//! host. **Choice.** The thread's own stack is loaded from directly, from the interrupted stack
//! pointer to where the stack begins: the thread itself uses all of that for as long as it lives.
//! Of each page but the first the kernel is asked all the same whether it can be read, once in a
//! walk: a library may have put another stack there, with a guard behind it. All else (a stack of a coroutine, an alternate signal stack, a thread whose stack is not known
//! yet) is copied by the kernel, a window at a time (`process_vm_readv(2)`). **Rejected.** A handler
//! for `SIGSEGV`: it is the host's, and another library may replace it at any time.
#![expect(unsafe_code, reason = "loads from the interrupted stack")]

use std::ops::Range;

use crate::limits::{STACK_READS_MAX, STACK_WINDOW_WORDS};
use crate::sys;

/// A thread's own stack: from its lowest address to where it begins.
///
/// Made by [`OwnStack::assume`] alone, so that nothing else is ever loaded from. The default is an
/// unknown stack: everything is copied by the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnStack(Range<u64>);

impl OwnStack {
    /// The stack in this range.
    ///
    /// # Safety
    /// For as long as walks with it may run, on the thread that runs them: while the stack pointer
    /// is within the range, all memory from there to the end is mapped and readable.
    pub(crate) const unsafe fn assume(range: Range<u64>) -> Self {
        Self(range)
    }
}

/// The interrupted stack, as one walk sees it.
pub(super) struct Stack<'w> {
    /// What may be loaded directly, in whole words.
    own: Range<u64>,
    /// The page of it that is known to be readable.
    page: u64,
    window: &'w mut Window,
}

impl<'w> Stack<'w> {
    /// The stack of this thread above `stack_pointer`.
    ///
    /// # Signal safety
    /// Stores to the window.
    pub(super) fn new(
        pid: i32,
        own: &OwnStack,
        stack_pointer: u64,
        window: &'w mut Window,
    ) -> Self {
        window.forget(pid);
        let own = if own.0.contains(&stack_pointer) {
            stack_pointer..own.0.end
        } else {
            0..0
        };
        let page = page_of(stack_pointer);
        Self { own, page, window }
    }

    /// The word at `address`; `None` where it is unaligned, not mapped or one read too many.
    ///
    /// # Signal safety
    /// One load on the thread's own stack, and a system call on each of its pages but the first.
    /// Elsewhere at most two system calls, bounded for each walk ([`STACK_READS_MAX`]).
    pub(super) fn word(&mut self, address: u64) -> Option<u64> {
        if address & 7 != 0 {
            return None;
        }
        if !self.may_load(address) {
            return self.window.word(address);
        }
        let place = std::ptr::with_exposed_provenance::<u64>(usize::try_from(address).ok()?);
        // SAFETY: aligned, and mapped and readable by the promise of `OwnStack::assume`: it lies
        // above the interrupted stack pointer, which is within the stack. Volatile, because the
        // compiler knows nothing of what lies there.
        Some(unsafe { place.read_volatile() })
    }

    fn may_load(&mut self, address: u64) -> bool {
        if address < self.own.start || address >= self.own.end & !7 {
            return false;
        }
        let page = page_of(address);
        if page != self.page {
            if !sys::is_readable(address) {
                return false;
            }
            self.page = page;
        }
        true
    }

    /// The first `N` of the bytes of code at `address`; `None` where they cannot be read.
    ///
    /// # Signal safety
    /// One system call.
    pub(super) fn code<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        sys::read_bytes(self.window.pid, address, &mut bytes).then_some(bytes)
    }
}

fn page_of(address: u64) -> u64 {
    address >> 12
}

/// A copy of a piece of memory.
pub(super) struct Window {
    pid: i32,
    start: u64,
    len_words: usize,
    reads: u32,
    words: Box<[u64; STACK_WINDOW_WORDS]>,
}

impl Window {
    /// Allocates the window.
    pub(super) fn new() -> Self {
        Self {
            pid: 0,
            start: 0,
            len_words: 0,
            reads: 0,
            words: Box::new([0; STACK_WINDOW_WORDS]),
        }
    }

    /// Forgets the last walk: the stack has changed since.
    fn forget(&mut self, pid: i32) {
        self.pid = pid;
        self.start = 0;
        self.len_words = 0;
        self.reads = 0;
    }

    fn word(&mut self, address: u64) -> Option<u64> {
        if let Some(word) = self.copied(address) {
            return Some(word);
        }
        // Unwinding goes up the stack, but a frame is read from its top: begin a little below.
        for start in [address.saturating_sub(64), address] {
            if self.reads >= STACK_READS_MAX {
                return None;
            }
            self.reads = self.reads.wrapping_add(1);
            self.start = start;
            self.len_words = sys::read_words(self.pid, start, &mut self.words[..]);
            if let Some(word) = self.copied(address) {
                return Some(word);
            }
        }
        None
    }

    fn copied(&self, address: u64) -> Option<u64> {
        let place = usize::try_from(address.checked_sub(self.start)? >> 3).ok()?;
        if place >= self.len_words {
            return None;
        }
        self.words.get(place).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    #[test]
    fn page_of_the_own_stack_that_cannot_be_read_is_none() {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let len = 3 * PAGE;
        // SAFETY: asks for fresh memory anywhere.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        let middle = start.wrapping_byte_add(PAGE);
        // SAFETY: one page of that memory.
        let result = unsafe { libc::mprotect(middle, PAGE, libc::PROT_NONE) };
        assert_eq!(result, 0);
        let first = start.addr() as u64;
        let page = PAGE as u64;
        // SAFETY: not kept, as a library with stacks of its own does not: that is what is tested.
        let own = unsafe { OwnStack::assume(first..first + 3 * page) };
        let mut window = Window::new();
        let mut stack = Stack::new(sys::pid(), &own, first + 8, &mut window);
        assert_eq!(stack.word(first + 8), Some(0));
        assert_eq!(stack.window.reads, 0, "loaded");
        assert_eq!(stack.word(first), Some(0));
        assert_ne!(stack.window.reads, 0, "below the stack pointer: copied");
        assert_eq!(stack.word(first + page), None, "the guard");
        let reads = stack.window.reads;
        assert_eq!(stack.word(first + 2 * page), Some(0));
        assert_eq!(stack.word(first + 3 * page - 8), Some(0));
        assert_eq!(stack.window.reads, reads, "loaded");
        assert_eq!(stack.word(first + 12), None, "unaligned");
        // SAFETY: mapped above, and nobody else knows it.
        unsafe { libc::munmap(start, len) };
    }
}

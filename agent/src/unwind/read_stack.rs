//! Words of the interrupted stack.
//!
//! **Problem.** A wrong rule may point anywhere, and a load of memory that is not there ends the
//! host. **Choice.** The thread's own stack is loaded from directly, from the interrupted stack
//! pointer to where the stack begins: the thread itself uses all of that for as long as it lives.
//! Of each page but the first the kernel is asked all the same whether it can be read, two pages at
//! once and once in a walk: a library may have put another stack there, with a guard behind it. All
//! else (a stack of a coroutine, an alternate signal stack, a thread whose stack is not known yet) is
//! copied by the kernel, a window at a time (`process_vm_readv(2)`). **Rejected.** A handler for
//! `SIGSEGV`: it is the host's, and another library may replace it at any time.
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
    /// What may be loaded directly where it can be read.
    own: Range<u64>,
    /// The part of it that is known to be readable, in whole words.
    readable: Range<u64>,
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
        let mut stack = Self {
            own,
            readable: 0..0,
            window,
        };
        // The thread is using its page.
        stack.readable = stack.pages(stack_pointer, 1);
        stack
    }

    /// The word at `address`; `None` where it is unaligned, not mapped or one read too many.
    ///
    /// # Signal safety
    /// One load on the thread's own stack, and a system call on each second of its pages, two at a
    /// guard.
    /// Elsewhere at most two system calls, bounded for each walk ([`STACK_READS_MAX`]).
    pub(super) fn word(&mut self, address: u64) -> Option<u64> {
        if address & 7 != 0 {
            return None;
        }
        if !self.readable.contains(&address) && !self.may_load(address) {
            return self.window.word(address);
        }
        let place = std::ptr::with_exposed_provenance::<u64>(usize::try_from(address).ok()?);
        // SAFETY: aligned, and mapped and readable by the promise of `OwnStack::assume`: it lies
        // above the interrupted stack pointer, which is within the stack. Volatile, because the
        // compiler knows nothing of what lies there.
        Some(unsafe { place.read_volatile() })
    }

    /// So many pages from that of `address` on, as far as they may be loaded.
    fn pages(&self, address: u64, count: u64) -> Range<u64> {
        let start = address & !(PAGE_BYTES - 1);
        let end = start.saturating_add(count.saturating_mul(PAGE_BYTES));
        start.max(self.own.start)..end.min(self.own.end & !7)
    }

    /// Whether the word at `address` may be loaded, which is not known to be readable yet. Never
    /// inlined: few words are the first of their page.
    #[inline(never)]
    fn may_load(&mut self, address: u64) -> bool {
        if !self.pages(address, 1).contains(&address) {
            return false;
        }
        // A walk goes up: it will want the next page as well.
        let next_page = (address & !(PAGE_BYTES - 1)).saturating_add(PAGE_BYTES);
        let found = if next_page < self.own.end && sys::are_readable_around(next_page) {
            self.pages(address, 2)
        } else if sys::is_readable(address) {
            self.pages(address, 1)
        } else {
            return false;
        };
        if self.readable.end == found.start {
            self.readable.end = found.end;
        } else {
            self.readable = found;
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

/// The smallest page there is.
const PAGE_BYTES: u64 = 4096;

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

    /// Pages of memory, unmapped when this is dropped.
    struct Pages(*mut libc::c_void, usize);

    impl Pages {
        fn new(count: usize) -> Self {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let len = count * PAGE;
            // SAFETY: asks for fresh memory anywhere.
            let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
            assert_ne!(start, libc::MAP_FAILED);
            Self(start, len)
        }

        fn guard(&self, page: usize) {
            let place = self.0.wrapping_byte_add(page * PAGE);
            // SAFETY: one page of that memory.
            let result = unsafe { libc::mprotect(place, PAGE, libc::PROT_NONE) };
            assert_eq!(result, 0);
        }

        fn at(&self, page: usize) -> u64 {
            (self.0.addr() + page * PAGE) as u64
        }

        /// All of them as a thread's own stack.
        fn own(&self) -> OwnStack {
            let first = self.at(0);
            // SAFETY: not kept where there is a guard, as a library with stacks of its own does not:
            // that is what is tested.
            unsafe { OwnStack::assume(first..first + self.1 as u64) }
        }
    }

    impl Drop for Pages {
        fn drop(&mut self) {
            // SAFETY: mapped above, and nobody else knows it.
            unsafe { libc::munmap(self.0, self.1) };
        }
    }

    #[test]
    fn page_of_the_own_stack_that_cannot_be_read_is_none() {
        let pages = Pages::new(3);
        pages.guard(1);
        let (own, first) = (pages.own(), pages.at(0));
        let mut window = Window::new();
        let mut stack = Stack::new(sys::pid(), &own, first + 8, &mut window);
        assert_eq!(stack.word(first + 8), Some(0));
        assert_eq!(stack.window.reads, 0, "loaded");
        assert_eq!(stack.word(first), Some(0));
        assert_ne!(stack.window.reads, 0, "below the stack pointer: copied");
        assert_eq!(stack.word(pages.at(1)), None, "the guard");
        let reads = stack.window.reads;
        assert_eq!(stack.word(pages.at(2)), Some(0));
        assert_eq!(stack.word(pages.at(3) - 8), Some(0));
        assert_eq!(stack.window.reads, reads, "loaded");
        assert_eq!(stack.word(first + 12), None, "unaligned");
    }

    #[test]
    fn guard_above_pages_that_can_be_read_is_found_wherever_it_is() {
        for guard in 1..7 {
            let pages = Pages::new(7);
            pages.guard(guard);
            let own = pages.own();
            let mut window = Window::new();
            let mut stack = Stack::new(sys::pid(), &own, pages.at(0), &mut window);
            for page in 0..7 {
                let reads = stack.window.reads;
                let expected = (page != guard).then_some(0);
                assert_eq!(stack.word(pages.at(page)), expected, "{page} of {guard}");
                let is_loaded = stack.window.reads == reads;
                assert_eq!(is_loaded, page != guard, "{page} of {guard}");
                assert_eq!(stack.word(pages.at(page + 1) - 8), expected);
            }
            // Down again: what was found before is forgotten, and asked for again.
            assert_eq!(stack.word(pages.at(guard - 1)), Some(0), "{guard}");
            assert_eq!(stack.word(pages.at(guard)), None, "{guard}");
        }
    }
}

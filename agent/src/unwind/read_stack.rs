//! Fault-safe reads of the stack, a window at a time.
//!
//! A wrong unwind rule may point anywhere, so the stack is never dereferenced: the kernel
//! copies a window of it (`process_vm_readv(2)`), and words are taken from the copy.

use crate::limits::{STACK_READS_MAX, STACK_WINDOW_WORDS};
use crate::sys;

/// A copy of a piece of the stack.
pub(super) struct StackWindow {
    pid: i32,
    start: u64,
    len_words: usize,
    reads: u32,
    words: Box<[u64; STACK_WINDOW_WORDS]>,
}

impl StackWindow {
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

    /// Forgets the last sample: the stack has changed since.
    ///
    /// # Signal safety
    /// Four stores.
    pub(super) fn begin(&mut self, pid: i32) {
        self.pid = pid;
        self.start = 0;
        self.len_words = 0;
        self.reads = 0;
    }

    /// The word at `address`, or an error where it is unaligned, unmapped or one read too many.
    ///
    /// # Signal safety
    /// At most one system call (two at a page boundary); bounded for each sample.
    pub(super) fn read(&mut self, address: u64) -> Result<u64, ()> {
        if address & 7 != 0 {
            return Err(());
        }
        if let Some(word) = self.cached(address) {
            return Ok(word);
        }
        if self.reads >= STACK_READS_MAX {
            return Err(());
        }
        self.reads = self.reads.wrapping_add(1);
        // Unwinding goes up the stack, but a frame is read from its top: begin a little below.
        self.start = address.saturating_sub(64);
        self.len_words = sys::read_words(self.pid, self.start, &mut self.words[..]);
        if let Some(word) = self.cached(address) {
            return Ok(word);
        }
        self.start = address;
        self.len_words = sys::read_words(self.pid, self.start, &mut self.words[..]);
        self.cached(address).ok_or(())
    }

    fn cached(&self, address: u64) -> Option<u64> {
        let offset = usize::try_from(address.checked_sub(self.start)? >> 3).ok()?;
        if offset >= self.len_words {
            return None;
        }
        self.words.get(offset).copied()
    }
}

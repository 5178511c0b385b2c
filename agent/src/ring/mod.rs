//! One thread's ring: from its signal handler to the drain.
//!
//! **Problem.** The handler interrupts its thread anywhere, so it may not lock or allocate; the
//! drain runs on another thread and may be late. **Constraint.** One producer (the handler of
//! one thread; the kernel blocks the signal while it runs) and one consumer (whoever holds the
//! drain's lock). **Choice.** A single-producer, single-consumer ring of 64-bit words with
//! records of any length, each beginning with its length. A record that does not fit is not
//! written at all, and the caller counts it; overwriting old records was rejected because then
//! the loss could only be guessed.
//!
//! **Ordering.** `head` and `tail` count words since the beginning and only grow. The producer
//! alone stores `head`, the consumer alone stores `tail`.
//! - The producer writes words (relaxed), then stores `head` with Release; the consumer loads
//!   `head` with Acquire, so it sees every word below it.
//! - The consumer reads words (relaxed), then stores `tail` with Release; the producer loads
//!   `tail` with Acquire before it writes, so a word is never overwritten before it was read.
//!
//! The words are atomics, so even a broken protocol could not become undefined behaviour; this
//! module needs no `unsafe`.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

pub(crate) mod record;
mod sync;
#[cfg(test)]
mod tests;

use self::sync::{AtomicU64, Ordering};
use crate::sys;

/// A record did not fit, or a reservation ran past the end of the free space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// The ring; see the module.
#[derive(Debug)]
pub(crate) struct Ring {
    words: Box<[AtomicU64]>,
    mask: u64,
    head: AtomicU64,
    tail: AtomicU64,
}

impl Ring {
    /// A ring of `words` words, rounded up to a power of two. Allocates; memory is taken as
    /// words are first written, so the ring of a thread that is always idle costs little.
    pub(crate) fn new(words: usize) -> Self {
        let len = words.next_power_of_two().max(8);
        Self {
            words: sys::zeroed_words(len),
            mask: (len as u64).wrapping_sub(1),
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
        }
    }

    /// Begins a record. Only the producer may call it, and one reservation may live at a time.
    ///
    /// # Signal safety
    /// Two atomic loads.
    pub(crate) fn reserve(&self) -> Reservation<'_> {
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Acquire);
        let limit = tail.wrapping_add(self.mask).wrapping_add(1);
        // The first word will hold the record's length.
        Reservation {
            ring: self,
            start: head,
            next: head.wrapping_add(1),
            limit,
        }
    }

    /// Moves the oldest record, without its length, into `record`; false where there is none.
    /// Only the consumer may call it.
    pub(crate) fn pop(&self, record: &mut Vec<u64>) -> bool {
        record.clear();
        let tail = self.tail.load(Ordering::Relaxed);
        let head = self.head.load(Ordering::Acquire);
        let available = head.wrapping_sub(tail);
        if available == 0 {
            return false;
        }
        let len = self.word(tail).clamp(1, available);
        for offset in 1..len {
            record.push(self.word(tail.wrapping_add(offset)));
        }
        self.tail.store(tail.wrapping_add(len), Ordering::Release);
        true
    }

    fn word(&self, position: u64) -> u64 {
        self.slot(position)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn slot(&self, position: u64) -> Option<&AtomicU64> {
        self.words.get(usize::try_from(position & self.mask).ok()?)
    }
}

/// A record being written; dropped without [`commit`](Self::commit) it never was.
#[derive(Debug)]
pub(crate) struct Reservation<'r> {
    ring: &'r Ring,
    start: u64,
    next: u64,
    limit: u64,
}

impl Reservation<'_> {
    /// Appends a word.
    ///
    /// # Signal safety
    /// One atomic store; bounded.
    pub(crate) fn push(&mut self, word: u64) -> Result<(), Full> {
        // Both are at most one ring length above `tail`, so the distance decides.
        if self.limit.wrapping_sub(self.next) == 0
            || self.limit.wrapping_sub(self.next) > self.ring.mask.wrapping_add(1)
        {
            return Err(Full);
        }
        let Some(slot) = self.ring.slot(self.next) else {
            return Err(Full);
        };
        slot.store(word, Ordering::Relaxed);
        self.next = self.next.wrapping_add(1);
        Ok(())
    }

    /// Overwrites a word that was pushed, counted from 0.
    ///
    /// # Signal safety
    /// One atomic store.
    pub(crate) fn set(&mut self, index: u64, word: u64) {
        let position = self.start.wrapping_add(1).wrapping_add(index);
        if let Some(slot) = self.ring.slot(position) {
            slot.store(word, Ordering::Relaxed);
        }
    }

    /// Publishes the record.
    ///
    /// # Signal safety
    /// Two atomic stores.
    pub(crate) fn commit(self) -> Result<(), Full> {
        // A ring that was full at the start has no room even for the length.
        if self.limit.wrapping_sub(self.start) == 0 {
            return Err(Full);
        }
        let len = self.next.wrapping_sub(self.start);
        let Some(slot) = self.ring.slot(self.start) else {
            return Err(Full);
        };
        slot.store(len, Ordering::Relaxed);
        self.ring.head.store(self.next, Ordering::Release);
        Ok(())
    }
}

//! Where a sampled thread's own stack is: a question of its handler, answered by the drain.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often a stack was asked for: as long as that stays, no cell has a question.
pub(crate) static QUESTIONS: AtomicU64 = AtomicU64::new(0);

/// Where a thread's own stack is, as far as it is known: asked for by its handler, found by the
/// drain.
///
/// What is found belongs to one thread pointer: a handler of another thread, to which the slot came
/// later, finds nothing here.
#[derive(Debug, Default)]
pub(crate) struct StackCell {
    /// The thread pointer of whoever asks; 0 where nobody does.
    asked_for: AtomicU64,
    /// The thread pointer of the thread whose stack it is.
    of: AtomicU64,
    /// Where the stack begins, in words (44 bits), and how long it is, in pages (20 bits).
    place: AtomicU64,
}

impl StackCell {
    /// Forgets the stack of a thread that had the slot before.
    pub(crate) fn forget(&self) {
        self.asked_for.store(0, Ordering::SeqCst);
        self.of.store(0, Ordering::SeqCst);
        self.place.store(0, Ordering::SeqCst);
    }

    /// The stack of the calling thread, which is at `stack_pointer`; empty where it is not known,
    /// and then it is asked for.
    ///
    /// # Signal safety
    /// Two loads, or two and two stores.
    pub(crate) fn of_this_thread(&self, thread_pointer: u64, stack_pointer: u64) -> Range<u64> {
        if self.of.load(Ordering::Acquire) == thread_pointer {
            let place = self.place.load(Ordering::Relaxed);
            let end = place >> 20 << 3;
            let bytes = (place & 0xf_ffff) << 12;
            let stack = end.saturating_sub(bytes)..end;
            if stack.contains(&stack_pointer) {
                return stack;
            }
        }
        self.asked_for.store(thread_pointer, Ordering::Relaxed);
        QUESTIONS.fetch_add(1, Ordering::Release);
        0..0
    }

    /// The thread pointer of a thread that asks, once.
    pub(crate) fn take_question(&self) -> Option<u64> {
        let asked_for = self.asked_for.load(Ordering::Relaxed);
        if asked_for == 0 {
            return None;
        }
        self.asked_for.store(0, Ordering::Relaxed);
        Some(asked_for)
    }

    /// Answers it. Tells whether that is news.
    pub(crate) fn answer(&self, thread_pointer: u64, stack: &Range<u64>) -> bool {
        let pages = stack.end.saturating_sub(stack.start) >> 12;
        let place = stack.end >> 3 << 20 | pages.min(0xf_ffff);
        let known = (
            self.of.load(Ordering::SeqCst),
            self.place.load(Ordering::SeqCst),
        );
        if known == (thread_pointer, place) {
            return false;
        }
        self.of.store(0, Ordering::SeqCst);
        self.place.store(place, Ordering::SeqCst);
        self.of.store(thread_pointer, Ordering::SeqCst);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_is_known_to_the_thread_that_asked_for_it() {
        let cell = StackCell::default();
        let stack = 0x7f00_0000_1000..0x7f00_0080_06c0;
        let (inside, outside) = (0x7f00_0080_0000, 0x7f00_0080_1000);
        assert_eq!(cell.take_question(), None);
        assert!(cell.of_this_thread(7, inside).is_empty());
        assert_eq!(
            (cell.take_question(), cell.take_question()),
            (Some(7), None)
        );
        assert!(cell.answer(7, &stack) && !cell.answer(7, &stack));
        let known = cell.of_this_thread(7, inside);
        assert_eq!(known.end, stack.end);
        assert!(
            (stack.start..stack.start + 4096).contains(&known.start),
            "{known:x?}"
        );
        assert_eq!(cell.take_question(), None);
        assert!(cell.of_this_thread(7, outside).is_empty());
        assert_eq!(
            cell.take_question(),
            Some(7),
            "its stack has grown, or it is on another"
        );
        assert!(cell.of_this_thread(8, inside).is_empty());
        cell.forget();
        assert!(cell.of_this_thread(7, inside).is_empty());
    }
}

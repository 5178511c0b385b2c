//! The usual rules in one word, and which of them a thread met last.
//!
//! **Problem.** Looking a rule up takes loads from five places of the tables, one after the other,
//! and a service's stacks have most of their frames in common. **Choice.** Each thread remembers
//! what it found, in a small table that is indexed by the place in the code: one load from one line
//! of the cache. **Constraint.** What is remembered holds for one generation of the tables, and
//! the generation changes with every change to them, so that no rule outlives its object.

use super::machine::Machine;
use super::rule::{Cfa, FrameRule, Rule, Saved};

/// How a frame is undone where its caller's is found by the stack pointer or the frame pointer alone,
/// and what it saved lies near: all but a few in a thousand rules are so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// From which of the two registers to the CFA, in bytes.
    pub(super) offset: i32,
    /// Where the caller's frame pointer is, in words from the CFA; [`IN_PLACE`] where it still is in
    /// the register.
    frame_pointer_words: i16,
    /// Where the return address is, in words from the CFA.
    return_address_words: i8,
    /// Which of the two registers; [`Base::None`] in what is not remembered.
    pub(super) base: Base,
}

/// What a [`Step`] starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    None,
    StackPointer,
    FramePointer,
    /// From nothing: there is no caller.
    End,
}

/// No place: of a word that a register was not saved in.
const IN_PLACE: i16 = i16::MIN;

impl Step {
    const NONE: Self = Self {
        offset: 0,
        frame_pointer_words: 0,
        return_address_words: 0,
        base: Base::None,
    };

    /// The rule in one word; `None` where it does not fit.
    ///
    /// # Signal safety
    /// Integers only.
    pub(super) fn of<M: Machine>(rule: &Rule) -> Option<Self> {
        if *rule == Rule::End {
            return Some(Self {
                base: Base::End,
                ..Self::NONE
            });
        }
        let Rule::Frame(FrameRule {
            cfa: Cfa::Register { register, offset },
            return_address: Saved::AtCfa(return_address),
            frame_pointer,
            ..
        }) = *rule
        else {
            return None;
        };
        let base = match register {
            register if register == M::STACK => Base::StackPointer,
            register if register == M::FRAME => Base::FramePointer,
            _ => return None,
        };
        let frame_pointer_words = match frame_pointer {
            Saved::Same => IN_PLACE,
            Saved::AtCfa(at) => i16::try_from(words(at)?)
                .ok()
                .filter(|at| *at != IN_PLACE)?,
            _ => return None,
        };
        Some(Self {
            offset,
            frame_pointer_words,
            return_address_words: i8::try_from(words(return_address)?).ok()?,
            base,
        })
    }

    /// Where the return address is, in bytes from the CFA.
    pub(super) fn return_address(self) -> i32 {
        i32::from(self.return_address_words).wrapping_mul(8)
    }

    /// Where the caller's frame pointer is, in bytes from the CFA; `None` where it is in its register.
    pub(super) fn frame_pointer(self) -> Option<i32> {
        let words = self.frame_pointer_words;
        (words != IN_PLACE).then_some(i32::from(words).wrapping_mul(8))
    }
}

fn words(bytes: i32) -> Option<i32> {
    (bytes & 7 == 0).then_some(bytes >> 3)
}

/// How many steps a thread remembers, a power of two: 8 KiB.
const STEPS: usize = 512;

/// What a thread remembers.
pub(super) struct Steps {
    generation: u64,
    known: Box<[(u64, Step); STEPS]>,
}

impl Steps {
    /// Allocates it.
    pub(super) fn new() -> Self {
        Self {
            generation: 0,
            known: Box::new([(0, Step::NONE); STEPS]),
        }
    }

    /// Forgets what it knows of tables other than those of this generation.
    ///
    /// # Signal safety
    /// Stores.
    pub(super) fn hold_for(&mut self, generation: u64) {
        if self.generation != generation {
            self.generation = generation;
            self.known.fill((0, Step::NONE));
        }
    }

    /// The step at this place in the code, if it is remembered.
    ///
    /// # Signal safety
    /// One load.
    pub(super) fn at(&self, place: u64) -> Option<Step> {
        let (of, step) = *self.known.get(index(place))?;
        (of == place && step.base != Base::None).then_some(step)
    }

    /// Remembers it.
    ///
    /// # Signal safety
    /// One store.
    pub(super) fn remember(&mut self, place: u64, step: Step) {
        if let Some(known) = self.known.get_mut(index(place)) {
            *known = (place, step);
        }
    }
}

fn index(place: u64) -> usize {
    let mixed = place ^ place >> 9;
    usize::try_from(mixed & (STEPS as u64).wrapping_sub(1)).unwrap_or(0)
}

//! What a table says about one place in the code: how the frame there is undone.

/// How a frame is undone, in terms of the registers that hold there.
///
/// Registers have their DWARF numbers. The canonical frame address (CFA) is the caller's stack
/// pointer (DWARF 5, section 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rule {
    /// No table knows this place.
    Unknown,
    /// A table knows it in words that are not followed here.
    Unsupported,
    /// A thread's first function: it has no caller.
    End,
    /// Where a signal handler returns to; below it lies what the kernel saved.
    SignalFrame,
    /// An entry of a procedure linkage table of `x86_64`, 16 bytes long: from byte `from` on, one
    /// more word has been pushed. The CFA is the stack pointer and `offset`, and then 8 more.
    Linkage {
        /// In bytes.
        offset: i32,
        /// From 0 to 15.
        from: u8,
    },
    /// Everything else.
    Frame(FrameRule),
}

/// Where a frame's caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FrameRule {
    pub(super) cfa: Cfa,
    pub(super) return_address: Saved,
    pub(super) frame_pointer: Saved,
    pub(super) kept: Kept,
}

/// Where the other registers are that a function keeps for its caller, in the order of
/// [`Machine::KEPT`](super::machine::Machine::KEPT): pushed near the frame's beginning, or untouched.
///
/// For each 4 bits: how many words below the CFA; 0 where it still is in the register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Kept(u32);

/// Stands for any other place.
const ELSEWHERE: u32 = 15;

impl Kept {
    /// Of so many registers at most.
    pub(super) const MAX: usize = 8;

    /// Where they are, in their order; `None` for what does not fit.
    pub(super) fn of(places: impl IntoIterator<Item = Option<Saved>>) -> Self {
        let places = places.into_iter().take(Self::MAX);
        let all = places.zip((0..).step_by(4)).map(|(saved, shift)| {
            let words_below = match saved {
                Some(Saved::Same) => Some(0),
                Some(Saved::AtCfa(at)) if at < 0 && at & 7 == 0 => Some((at >> 3).unsigned_abs()),
                _ => None,
            };
            words_below.map_or(ELSEWHERE, |words| words.min(ELSEWHERE)) << shift
        });
        Self(all.sum())
    }

    /// Where the register with this place in the order is; [`Saved::Nowhere`] where that is not known.
    ///
    /// # Signal safety
    /// Integers only.
    pub(super) fn at(self, place: usize) -> Saved {
        let shift = u32::try_from(place).unwrap_or(u32::MAX).saturating_mul(4);
        match self.0.checked_shr(shift).map(|words| words & 15) {
            Some(0) => Saved::Same,
            Some(words @ 1..ELSEWHERE) => {
                Saved::AtCfa(i32::try_from(words).unwrap_or(0).wrapping_mul(-8))
            }
            _ => Saved::Nowhere,
        }
    }
}

/// Where the frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Cfa {
    /// At a register's value and so many bytes.
    Register {
        /// Its number.
        register: u8,
        /// In bytes.
        offset: i32,
    },
    /// At the value of the word at a register's value and `at` bytes, and `offset` bytes.
    Word {
        /// Its number.
        register: u8,
        /// In bytes.
        at: i32,
        /// In bytes.
        offset: i32,
    },
}

/// Where a register of the caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Saved {
    /// Still in it.
    Same,
    /// In the word at the CFA and so many bytes.
    AtCfa(i32),
    /// In the word at a register's value and so many bytes.
    At(u8, i32),
    /// In another register.
    In(u8),
    /// Nowhere.
    Nowhere,
}

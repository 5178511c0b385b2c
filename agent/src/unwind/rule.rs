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

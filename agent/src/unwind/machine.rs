//! What differs from processor to processor.

use super::read_stack::Stack;

/// A processor, as unwinding sees it. Registers have their DWARF numbers.
pub(super) trait Machine {
    /// The stack pointer.
    const STACK: u8;
    /// The frame pointer, by convention of the compilers.
    const FRAME: u8;
    /// Other registers that a function leaves as they were, and that callers may keep their frame in.
    const KEPT: &[u8];
    /// The register that a call leaves the return address in, where it leaves it in one.
    const LINK: Option<u8>;
    /// The column that stands for the instruction pointer in expressions, where there is one.
    const INSTRUCTION_COLUMN: Option<u8>;
    /// Whose extensions the tables may use.
    const VENDOR: gimli::Vendor;

    /// A code address without what was added to authenticate it.
    ///
    /// # Signal safety
    /// Integers only.
    fn plain(address: u64) -> u64;

    /// Makes the registers those that were there when a signal arrived whose handler returns to here.
    /// `None` where they cannot be read; then some of them may be.
    ///
    /// # Signal safety
    /// Reads of the stack only.
    fn interrupted(
        stack_pointer: u64,
        stack: &mut Stack<'_>,
        registers: &mut Registers,
    ) -> Option<()>;

    /// Where the caller of code without tables is, as far as one can tell from the instruction
    /// that would run next: before its frame is set up, after it was undone, and in linkage tables.
    ///
    /// # Signal safety
    /// A few loads of the code that was interrupted.
    fn without_frame(registers: &Registers, stack: &mut Stack<'_>) -> Option<Caller>;
}

/// How many registers there are that tables name: more than any processor has.
pub(super) const REGISTERS: usize = 32;

/// The registers of a thread where it was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    /// The interrupted instruction.
    pub(crate) instruction: u64,
    /// By DWARF number; 0 for those that the processor does not have.
    pub(crate) general: [u64; REGISTERS],
}

impl Registers {
    /// A register's value.
    ///
    /// # Signal safety
    /// One load.
    pub(crate) fn get(&self, number: u8) -> Option<u64> {
        self.general.get(usize::from(number)).copied()
    }
}

/// What is known of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) return_address: u64,
    pub(super) stack_pointer: u64,
    pub(super) frame_pointer: u64,
}

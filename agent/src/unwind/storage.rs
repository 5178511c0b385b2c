//! Where DWARF evaluation keeps its rows and values: on the interrupted thread's stack.
//!
//! gimli moves rows by value, so their size is paid several times over in the handler's frames.
//! framehop's own storage has room for 192 rules in a row, every register of every machine, and
//! takes 17 KiB of a stack that may have 16. A row of compiled code on `x86_64` names at most the
//! 16 general registers and the return address. What does not fit is an error of gimli; framehop
//! then goes on by the frame pointer, and where that leads nowhere the stack is incomplete.

use gimli::{Piece, Reader, ReaderOffset, Register, RegisterRule, UnwindTableRow, Value};

/// Registers that one row can have rules for.
const RULES_MAX: usize = 24;

/// No allocation, and little stack.
pub(super) struct SmallOnStack;

impl<RO: ReaderOffset> gimli::UnwindContextStorage<RO> for SmallOnStack {
    type Rules = [(Register, RegisterRule<RO>); RULES_MAX];
    // The initial row, the present one, and two of `DW_CFA_remember_state`.
    type Stack = [UnwindTableRow<RO, Self>; 4];
}

impl<R: Reader> gimli::EvaluationStorage<R> for SmallOnStack {
    // The expressions of procedure linkage tables and of signal frames need four.
    type Stack = [Value; 16];
    // Only calls of other expressions take room here, and unwind rules have none.
    type ExpressionStack = [(R, R); 1];
    type Result = [Piece<R>; 1];
}

impl framehop::AllocationPolicy for SmallOnStack {
    type GimliUnwindContextStorage<R: ReaderOffset> = Self;
    type GimliEvaluationStorage<R: Reader> = Self;
}

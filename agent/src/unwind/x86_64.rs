//! The registers of an interrupted `x86_64` thread.

use framehop::UnwindRegsNative;

/// What unwinding starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    /// The interrupted instruction.
    pub(crate) instruction: u64,
    /// The stack pointer.
    pub(crate) stack: u64,
    /// The frame pointer, or whatever the code keeps in its register.
    pub(crate) frame: u64,
}

impl Registers {
    pub(super) fn into_framehop(self) -> (u64, UnwindRegsNative) {
        (
            self.instruction,
            UnwindRegsNative::new(self.instruction, self.stack, self.frame),
        )
    }
}

/// The registers that the kernel saved for a signal handler.
///
/// # Signal safety
/// Three loads.
pub(crate) fn of_context(context: &libc::ucontext_t) -> Registers {
    let register = |index: libc::c_int| {
        let index = usize::try_from(index).unwrap_or(0);
        context
            .uc_mcontext
            .gregs
            .get(index)
            .map_or(0, |value| value.cast_unsigned())
    };
    Registers {
        instruction: register(libc::REG_RIP),
        stack: register(libc::REG_RSP),
        frame: register(libc::REG_RBP),
    }
}

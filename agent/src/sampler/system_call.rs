//! Whether a signal found its thread waiting in a system call.
//!
//! A system call that sleeps and meets a signal returns to the handler in one of two ways
//! (signal(7)): it is to be called again afterwards, so the thread stands before the instruction that
//! calls the kernel; or it has failed with `EINTR`, and the thread stands after it.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use crate::sys;
use crate::unwind::Registers;

/// The instruction that calls the kernel, and the register of its result (DWARF number).
#[cfg(target_arch = "x86_64")]
const CALL: ([u8; 2], u8) = ([0x0f, 0x05], 0);
/// As above.
#[cfg(target_arch = "aarch64")]
const CALL: ([u8; 4], u8) = ([0x01, 0x00, 0x00, 0xd4], 0);

/// Whether the interrupted thread of process `pid` (this one) was waiting in a system call. A thread
/// that was just about to call one looks the same: ask only where it gave up its CPU.
///
/// # Signal safety
/// One system call, two where the code before it cannot be read; may set errno.
pub(super) fn was_waiting(pid: i32, registers: &Registers) -> bool {
    let (call, result) = CALL;
    let is_call_at = |address: u64| {
        let mut code = call.map(|_| 0);
        sys::read_bytes(pid, address, &mut code) && code == call
    };
    let interrupted = i64::from(libc::EINTR).wrapping_neg();
    let has_failed = registers.get(result).map(u64::cast_signed) == Some(interrupted);
    let before = registers.instruction.wrapping_sub(call.len() as u64);
    is_call_at(registers.instruction) || has_failed && is_call_at(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwind::Registers;

    #[test]
    fn thread_waits_before_the_call_or_after_one_that_was_interrupted() {
        let (call, result) = CALL;
        let code = [[0x90; 4].as_slice(), &call, &[0x90; 4]].concat();
        let at = code.as_ptr().addr() as u64;
        let before = at + 4;
        let after = before + call.len() as u64;
        let interrupted = (-i64::from(libc::EINTR)).cast_unsigned();
        for (instruction, value, waits) in [
            (before, 7, true),
            (after, interrupted, true),
            (after, 0, false),
            (at, interrupted, false),
            (0, interrupted, false),
        ] {
            let mut general = [0; 32];
            general[usize::from(result)] = value;
            let registers = Registers {
                instruction,
                general,
            };
            assert_eq!(
                was_waiting(sys::pid(), &registers),
                waits,
                "{instruction:x} {value:x}"
            );
        }
    }
}

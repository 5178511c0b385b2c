//! The registers of an `aarch64` thread, and what is known of its code.
//!
//! DWARF numbers: DWARF for the Arm 64-bit Architecture, section 4.1. Experimental: it was never
//! run on such a processor, only on its objects and on stacks made of integers.

use super::machine::{Caller, Machine, Registers};
use super::read_stack::Stack;

/// 64-bit Arm under Linux.
pub(super) struct Aarch64;

const FRAME: u8 = 29;
const LINK: u8 = 30;
const STACK: u8 = 31;

/// Where x0 lies above the stack pointer where a signal handler returns to: after the signal's
/// information (128 bytes), in the context (at 176 bytes) after the fault's address.
const SAVED_AT: u64 = 128 + 176 + 8;

impl Machine for Aarch64 {
    const STACK: u8 = STACK;
    const FRAME: u8 = FRAME;
    // There are ten of them, saved anywhere in the frame; no code is known that needs them.
    const KEPT: &[u8] = &[];
    const LINK: Option<u8> = Some(LINK);
    const INSTRUCTION_COLUMN: Option<u8> = None;
    const VENDOR: gimli::Vendor = gimli::Vendor::AArch64;

    fn plain(address: u64) -> u64 {
        // User space has 48 bits unless a program asks for more by an address; above are the bits
        // of pointer authentication.
        address & 0xffff_ffff_ffff
    }

    fn interrupted(
        stack_pointer: u64,
        stack: &mut Stack<'_>,
        registers: &mut Registers,
    ) -> Option<()> {
        let mut at = stack_pointer.wrapping_add(SAVED_AT);
        // x0 to x30 and the stack pointer, then the instruction.
        for register in &mut registers.general {
            *register = stack.word(at)?;
            at = at.wrapping_add(8);
        }
        registers.instruction = stack.word(at)?;
        Some(())
    }

    fn without_frame(registers: &Registers, stack: &mut Stack<'_>) -> Option<Caller> {
        let code = u32::from_le_bytes(stack.code(registers.instruction)?);
        // ret; paciasp; bti c; stp x29, x30, [sp, ..]!
        let is_without = matches!(code, 0xd65f_03c0 | 0xd503_233f | 0xd503_245f)
            || code & 0xffc0_7fff == 0xa980_7bfd;
        let pushed = if is_without {
            0
        } else {
            linkage_pushed(registers.instruction, code, stack)?
        };
        Some(Caller {
            return_address: registers.get(LINK)?,
            stack_pointer: registers.get(STACK)?.wrapping_add(pushed),
            frame_pointer: registers.get(FRAME)?,
        })
    }
}

/// How many bytes a linkage table has pushed before this instruction: linkers do not describe its
/// entries. `None` where it is in none, as far as one can tell.
///
/// ```text
/// first:      stp x16, x30, [sp, -16]!     (of all), then as each other
/// each other: adrp x16, ..    ldr x17, [x16, ..]    add x16, x16, ..    br x17
/// ```
fn linkage_pushed(at: u64, code: u32, stack: &Stack<'_>) -> Option<u64> {
    const PUSH: [u8; 4] = 0xa9bf_7bf0_u32.to_le_bytes();
    if code.to_le_bytes() == PUSH {
        return Some(0);
    }
    let is_linkage = code & 0x9f00_001f == 0x9000_0010
        || matches!(code & 0xffc0_03ff, 0xf940_0211 | 0x9100_0210)
        || code == 0xd61f_0220;
    is_linkage.then_some(())?;
    let before: Option<[u8; 16]> = stack.code(at.wrapping_sub(16));
    let is_first = before.is_some_and(|before| before.as_chunks::<4>().0.contains(&PUSH));
    Some(if is_first { 16 } else { 0 })
}

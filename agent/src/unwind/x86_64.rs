//! The registers of an interrupted `x86_64` thread, and what is known of its code.
//!
//! DWARF numbers: System V Application Binary Interface, AMD64 supplement, figure 3.36.

use super::machine::{Caller, Machine, REGISTERS, Registers};
use super::read_stack::Stack;

/// x86-64 under Linux.
pub(super) struct X86_64;

const RBP: u8 = 6;
const RSP: u8 = 7;

/// The places of the saved registers in `gregset_t` (`<sys/ucontext.h>`), by DWARF number: rax, rdx,
/// rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15.
const SAVED: [u8; 16] = [13, 12, 14, 11, 9, 8, 10, 15, 0, 1, 2, 3, 4, 5, 6, 7];

/// The place of the instruction pointer there.
const SAVED_INSTRUCTION: u8 = 16;

/// Where `gregset_t` lies in a `ucontext_t`: after flags, link and signal stack.
const SAVED_AT: u64 = 40;

impl Machine for X86_64 {
    const STACK: u8 = RSP;
    const FRAME: u8 = RBP;
    // rbx, r12 to r15.
    const KEPT: &[u8] = &[3, 12, 13, 14, 15];
    const LINK: Option<u8> = None;
    const INSTRUCTION_COLUMN: Option<u8> = Some(16);
    const VENDOR: gimli::Vendor = gimli::Vendor::Default;

    fn plain(address: u64) -> u64 {
        address
    }

    fn interrupted(
        stack_pointer: u64,
        stack: &mut Stack<'_>,
        registers: &mut Registers,
    ) -> Option<()> {
        // The handler's return took the address of the trampoline; the context comes next
        // (`struct rt_sigframe` of the kernel).
        let mut saved = |place: u8| {
            let at = stack_pointer.wrapping_add(SAVED_AT);
            stack.word(at.wrapping_add(u64::from(place).wrapping_mul(8)))
        };
        for (register, place) in registers.general.iter_mut().zip(SAVED) {
            *register = saved(place)?;
        }
        registers.instruction = saved(SAVED_INSTRUCTION)?;
        Some(())
    }

    fn without_frame(registers: &Registers, stack: &mut Stack<'_>) -> Option<Caller> {
        let stack_pointer = registers.get(RSP)?;
        let frame_pointer = registers.get(RBP)?;
        let caller = |return_at: u64, frame_pointer: u64, stack: &mut Stack<'_>| {
            Some(Caller {
                return_address: stack.word(return_at)?,
                stack_pointer: return_at.wrapping_add(8),
                frame_pointer,
            })
        };
        let at = registers.instruction;
        let code: [u8; 3] = stack.code(at)?;
        let pushed = match code {
            // push rbp; ret; ret imm16; endbr64.
            [0x55 | 0xc3 | 0xc2, ..] | [0xf3, 0x0f, 0x1e] => 0,
            // mov rbp, rsp, in its two encodings.
            [0x48, 0x89, 0xe5] | [0x48, 0x8b, 0xec] => {
                let pushed = stack.word(stack_pointer)?;
                return caller(stack_pointer.wrapping_add(8), pushed, stack);
            }
            [first, second, _] => linkage_pushed(at, [first, second], stack)?,
        };
        caller(stack_pointer.wrapping_add(pushed), frame_pointer, stack)
    }
}

/// How many bytes a linkage table has pushed before the instruction at `at`, which begins so: not
/// every linker describes its tables. `None` where it is in none, as far as one can tell.
///
/// ```text
/// lld   first:      push [rip + ..]    jmp [rip + ..]    (of all: calls the loader's resolver)
///       each other: jmp [rip + ..]     push number       jmp first
/// mold  first:      endbr64            push r11          push [rip + ..]    jmp [rip + ..]
///       each other: endbr64            mov r11d, number  jmp [rip + ..]
/// ```
fn linkage_pushed(at: u64, code: [u8; 2], stack: &Stack<'_>) -> Option<u64> {
    match code {
        [0xff, 0x25] => {
            let before: Option<[u8; 6]> = stack.code(at.wrapping_sub(6));
            let is_first = matches!(before, Some([0xff, 0x35, ..]));
            Some(if is_first { 16 } else { 0 })
        }
        [0x68, _] => match stack.code(at)? {
            [0x68, _, _, _, _, 0xe9] => Some(0),
            _ => None,
        },
        [0xe9, _] => match stack.code(at.wrapping_sub(5))? {
            [0x68, _, _, _, _] => Some(8),
            _ => None,
        },
        [0xff, 0x35] => match stack.code(at)? {
            [_, _, _, _, _, _, 0xff, 0x25] => Some(8),
            _ => None,
        },
        [0x41, 0x53] => match stack.code(at)? {
            [_, _, 0xff, 0x35] => Some(0),
            _ => None,
        },
        [0x41, 0xbb] => match stack.code(at)? {
            [_, _, _, _, _, _, 0xff, 0x25] => Some(0),
            _ => None,
        },
        _ => None,
    }
}

/// The registers that the kernel saved for a signal handler.
///
/// # Signal safety
/// Loads only.
pub(crate) fn of_context(context: &libc::ucontext_t) -> Registers {
    let saved = |place: u8| {
        let value = context.uc_mcontext.gregs.get(usize::from(place));
        value.map_or(0, |value| value.cast_unsigned())
    };
    let mut general = [0; REGISTERS];
    for (register, place) in general.iter_mut().zip(SAVED) {
        *register = saved(place);
    }
    Registers {
        instruction: saved(SAVED_INSTRUCTION),
        general,
    }
}

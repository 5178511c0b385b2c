//! A thread is stopped at every instruction, and its walk has to say who called whom.
//!
//! The tracer knows it from the calls and returns that it has seen: a call pushes the address of the
//! next instruction, and a return takes the stack pointer above it.
#![expect(unsafe_code, reason = "traces a process")]

use std::collections::BTreeMap;
use std::io;

use super::compiled::Library;
use super::skip::skip;
use crate::mappings::Modules;
use crate::ring::record::Quality;
use crate::sys;
use crate::unwind::machine::REGISTERS;
use crate::unwind::read_stack::{OwnStack, Stack, Window};
use crate::unwind::rule::Rule;
use crate::unwind::step::Steps;
use crate::unwind::walk::{Frame, walk};
use crate::unwind::x86_64::X86_64;
use crate::unwind::{Registers, Tables};

/// More instructions than the library takes, so that the test ends.
const STEPS_MAX: usize = 400_000;
/// Of so many stops one is walked from to the root; else two frames more than were seen to be called.
const WHOLE_EVERY: usize = 64;

/// Of so many stops one is looked at for what was kept for the callers.
const KEPT_EVERY: usize = 16;

/// A process that is stepped through; it ends with this.
struct Traced {
    pid: i32,
}

/// Why a process stopped.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    Signal(i32),
    Exit(i32),
}

/// What the child exits with where it may not be traced.
const REFUSED: i32 = 77;

impl Traced {
    /// A copy of this process that stops itself, and runs this afterwards.
    fn start(work: extern "C" fn() -> i32) -> Self {
        // SAFETY: the copy calls functions of the C library only, which takes care of its own locks.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
        if pid == 0 {
            let none = std::ptr::null_mut::<libc::c_void>();
            // SAFETY: asks to be traced by the parent; takes no memory.
            if unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, none, none) } != 0 {
                // SAFETY: ends the copy.
                unsafe { libc::_exit(REFUSED) };
            }
            // SAFETY: stops the copy until the tracer goes on.
            unsafe { libc::raise(libc::SIGSTOP) };
            let result = work();
            // SAFETY: ends the copy.
            unsafe { libc::_exit(result) };
        }
        Self { pid }
    }

    fn wait(&self) -> Stop {
        let mut status = 0;
        // SAFETY: `status` is live.
        let waited = unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL) };
        assert_eq!(waited, self.pid, "{}", io::Error::last_os_error());
        if libc::WIFSTOPPED(status) {
            Stop::Signal(libc::WSTOPSIG(status))
        } else {
            Stop::Exit(libc::WEXITSTATUS(status))
        }
    }

    /// Runs one instruction; a signal is delivered before.
    fn step(&self, signal: i32) -> Stop {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: a stopped child of ours; takes no memory.
        let result = unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, self.pid, none, signal) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        self.wait()
    }

    fn registers(&self) -> Registers {
        // SAFETY: a C struct of integers: all zeroes is valid.
        let mut user: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: a stopped child of ours; `user` is live and of the type that is written.
        let result = unsafe { libc::ptrace(libc::PTRACE_GETREGS, self.pid, none, &raw mut user) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        // In the order of their DWARF numbers.
        let known = [
            user.rax, user.rdx, user.rcx, user.rbx, user.rsi, user.rdi, user.rbp, user.rsp,
            user.r8, user.r9, user.r10, user.r11, user.r12, user.r13, user.r14, user.r15,
        ];
        let mut general = [0; REGISTERS];
        general[..known.len()].copy_from_slice(&known);
        Registers {
            instruction: user.rip,
            general,
        }
    }

    fn word(&self, address: u64) -> u64 {
        let mut word = [0];
        assert_eq!(
            sys::read_words(self.pid, address, &mut word),
            1,
            "{address:#x}"
        );
        word[0]
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // SAFETY: our own child, which is not waited for yet or gone.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        // SAFETY: no status is asked for.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::__WALL) };
    }
}

/// A call: the return address, where on the stack it is, and the caller's registers.
struct Call {
    address: u64,
    place: u64,
    caller: Registers,
}

/// Who called whom, root first.
struct Calls {
    seen: Vec<Call>,
    /// The frames above, leaf first.
    root: Vec<u64>,
}

impl Calls {
    /// After one instruction from `before` to `now`; `signal` was delivered with it.
    fn follow(&mut self, traced: &Traced, before: &Registers, now: &Registers, signal: i32) {
        let (stack_before, stack) = (before.stack_pointer(), now.stack_pointer());
        if signal != 0 {
            // The trampoline, and above it what was interrupted.
            self.push(before.instruction, stack + 8, before);
            self.push(traced.word(stack), stack, before);
            return;
        }
        while self.seen.last().is_some_and(|call| call.place < stack) {
            self.seen.pop();
        }
        if stack_before.wrapping_sub(stack) != 8 {
            return;
        }
        let pushed = traced.word(stack);
        let is_after = pushed.wrapping_sub(before.instruction).wrapping_sub(1) < 15;
        if is_after && pushed != now.instruction {
            self.push(pushed, stack, before);
        }
    }

    fn push(&mut self, address: u64, place: u64, caller: &Registers) {
        self.seen.push(Call {
            address,
            place,
            caller: *caller,
        });
    }

    fn frames(&self, instruction: u64) -> impl Iterator<Item = u64> {
        let seen = self.seen.iter().rev().map(|call| call.address);
        let frames = std::iter::once(instruction).chain(seen);
        frames.chain(self.root.iter().copied())
    }
}

/// The walk of another process.
struct Walker {
    tables: Tables,
    steps: Steps,
    window: Window,
}

impl Walker {
    fn walk(&mut self, pid: i32, registers: &Registers, depth: usize) -> (Vec<u64>, Quality) {
        let own = OwnStack::default();
        let mut stack = Stack::new(pid, &own, registers.stack_pointer(), &mut self.window);
        let mut frames = Vec::new();
        let registers = &mut registers.clone();
        let emit = |address| {
            frames.push(address);
            frames.len() < depth
        };
        let quality = walk::<X86_64>(&self.tables, &mut self.steps, registers, &mut stack, emit);
        (frames, quality)
    }
}

impl Walker {
    /// Compares the registers that were kept for each caller, up to a signal, with what they were when
    /// it called. Tells how many it compared.
    fn check_kept(&mut self, pid: i32, registers: &Registers, calls: &Calls) -> usize {
        let own = OwnStack::default();
        let mut stack = Stack::new(pid, &own, registers.stack_pointer(), &mut self.window);
        let mut registers = *registers;
        let mut frame = Frame::interrupted::<X86_64>(&registers).following_kept();
        let mut compared = 0;
        for call in calls.seen.iter().rev() {
            let rule = self.tables.rule_at(frame.place());
            if rule == Rule::SignalFrame {
                break;
            }
            let next = frame.by_rule::<X86_64>(&rule, &self.tables, &mut registers, &mut stack);
            frame = next.unwrap().unwrap();
            for (register, value) in frame.kept::<X86_64>(&registers) {
                let expected = call.caller.get(register).unwrap();
                assert_eq!(value, expected, "{register} of {:x}", call.address);
                compared += 1;
            }
        }
        compared
    }
}

/// Steps through the function in a process of its own. `None` where that may not be traced; else how
/// many instructions there were, how many calls deep, and how many signals.
fn step_through(work: extern "C" fn() -> i32) -> Option<(usize, usize, usize)> {
    let tables = Modules::default().refresh(sys::pid(), &Tables::empty());
    let mut walker = Walker {
        tables: tables.unwrap(),
        steps: Steps::new(),
        window: Window::new(),
    };
    let traced = Traced::start(work);
    let stop = traced.wait();
    if stop == Stop::Exit(REFUSED) {
        return None;
    }
    assert_eq!(stop, Stop::Signal(libc::SIGSTOP));
    let mut registers = traced.registers();
    while registers.instruction != (work as *const ()).addr() as u64 {
        assert_eq!(traced.step(0), Stop::Signal(libc::SIGTRAP));
        registers = traced.registers();
    }
    let (frames, quality) = walker.walk(traced.pid, &registers, 1000);
    assert_eq!(quality, Quality::Complete);
    let stack = registers.stack_pointer();
    assert_eq!(traced.word(stack), frames[1], "where it is called");
    let mut calls = Calls {
        seen: Vec::new(),
        root: frames[2..].to_vec(),
    };
    // Of the first caller's registers it knows those that a call leaves as they were.
    calls.push(frames[1], stack, &registers);
    let (mut deepest, mut signals, mut kept) = (0, 0, 0);
    for step in 0..STEPS_MAX {
        if calls.seen.is_empty() {
            assert!(kept > 1000, "{kept}");
            return Some((step, deepest, signals));
        }
        deepest = deepest.max(calls.seen.len());
        let depth = if step % WHOLE_EVERY == 0 {
            1000
        } else {
            calls.seen.len() + 3
        };
        let (frames, quality) = walker.walk(traced.pid, &registers, depth);
        let known: Vec<u64> = calls.frames(registers.instruction).take(depth).collect();
        assert_eq!(
            frames, known,
            "step {step}: {frames:x?} {quality:?}, but {known:x?}"
        );
        let is_whole = quality == Quality::Complete || frames.len() == depth;
        assert!(is_whole, "step {step}: {quality:?}");
        if step % KEPT_EVERY == 0 {
            kept += walker.check_kept(traced.pid, &registers, &calls);
        }
        let mut stop = traced.step(0);
        let mut signal = 0;
        if let Stop::Signal(number) = stop
            && number != libc::SIGTRAP
        {
            signals += 1;
            signal = number;
            registers = traced.registers();
            stop = traced.step(signal);
        }
        assert_eq!(stop, Stop::Signal(libc::SIGTRAP), "step {step}");
        let now = traced.registers();
        calls.follow(&traced, &registers, &now, signal);
        registers = now;
    }
    panic!("it goes on after {STEPS_MAX} instructions");
}

fn check_c(library: &Library) {
    match step_through(library.function(c"workload")) {
        None => skip("a process may not trace its child here"),
        Some((steps, deepest, signals)) => {
            assert!(steps > 10_000 && deepest >= 8, "{steps}, {deepest} deep");
            assert_eq!(signals, 1);
        }
    }
}

#[test]
fn walk_from_every_instruction_of_c_code_says_who_called_whom() {
    check_c(&Library::of(include_str!("single_step.c")));
}

#[test]
fn walk_through_linkage_tables_of_lld_says_who_called_whom() {
    match Library::by_lld(include_str!("single_step.c")) {
        None => skip("the Rust toolchain brings no lld"),
        Some(library) => check_c(&library),
    }
}

/// Formatting, sorting and maps. No panic: where one is caught the unwinder writes over what its own
/// frames have saved, and then nothing says any more who called it.
extern "C" fn rust_work() -> i32 {
    let numbers = (0..12_u32).map(f64::from);
    let mut words: Vec<String> = numbers.map(|n| format!("{:>5.2}", n / 7.0)).collect();
    words.sort_by(|one, other| other.cmp(one));
    let map: BTreeMap<&str, usize> = words.iter().map(|word| (word.trim(), word.len())).collect();
    i32::try_from(map.len()).unwrap_or(0)
}

#[test]
fn walk_from_every_instruction_of_rust_code_says_who_called_whom() {
    match step_through(rust_work) {
        None => skip("a process may not trace its child here"),
        Some((steps, deepest, _)) => {
            assert!(steps > 10_000 && deepest >= 8, "{steps}, {deepest} deep");
        }
    }
}

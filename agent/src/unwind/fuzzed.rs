//! What holds for any section and any registers: for the fuzzer, and for tests of what it found.

use std::cell::RefCell;
use std::ops::Range;

use super::aarch64::Aarch64;
use super::eh_frame::build;
use super::machine::{Machine, REGISTERS, Registers};
use super::read_stack::{OwnStack, Stack, Window};
use super::step::Steps;
use super::tables::Tables;
use super::walk::walk;
use super::x86_64::X86_64;
use crate::limits::DEPTH_MAX;
use crate::ring::record::Quality;
use crate::sys;

/// What stands before the section: its address, where the code begins, how long it is (32 bits
/// each), and a seed for stacks.
const HEAD: usize = 16;

/// The code that is described; more would only make the pages' list longer.
const CODE_BYTES_MAX: u64 = 1 << 24;

/// Asserts that the tables of a section, whatever is in it, are in order and no larger than it
/// allows, and that walks by them end, and say the same when rules are remembered.
pub(crate) fn check_section(input: &[u8]) {
    let Some((head, section)) = input.split_first_chunk::<HEAD>() else {
        return;
    };
    let (numbers, _) = head.as_chunks::<4>();
    let number = |place: usize| u64::from(u32::from_le_bytes(numbers[place]));
    let code = number(1)..number(1) + number(2) % CODE_BYTES_MAX;
    check_machine::<X86_64>(section, number(0), &code, number(3));
    check_machine::<Aarch64>(section, number(0), &code, number(3));
}

fn check_machine<M: Machine>(section: &[u8], address: u64, code: &Range<u64>, seed: u64) {
    let Ok(built) = build::<M>(section, address, code) else {
        return;
    };
    let table = built.table;
    table.assert_valid();
    // A row takes at least a byte of the section, and a function more than one.
    assert!(table.row_count() <= section.len(), "{}", table.row_count());
    let pages = (code.end - code.start) / 1024 + 2;
    let bytes = table.heap_bytes() as u64;
    assert!(bytes <= section.len() as u64 * 64 + pages * 4, "{bytes}");
    let mut random = Random(seed);
    let tables = Tables::of_one(code.clone(), table);
    MEMORY.with_borrow_mut(|memory| {
        memory.fill(&mut random, code);
        for _ in 0..4 {
            check_walk::<M>(&tables, code, &mut random, memory);
        }
    });
}

/// Stacks of made words, and what a thread keeps from one walk to the next. Nothing of it is allocated
/// anew while walks are compared: a wrong rule may read any of the memory around.
struct Memory {
    words: Vec<u64>,
    window: Window,
    fresh: Steps,
    steps: Steps,
    frames: [Vec<u64>; 2],
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::new(Memory::new());
}

/// Words of which the made stacks are in the middle: offsets are mostly small.
const WORDS: usize = 1 << 14;
/// Words that are not 0, and that registers point to.
const STACK_WORDS: usize = 512;

impl Memory {
    fn new() -> Self {
        Self {
            words: vec![0; WORDS],
            window: Window::new(),
            fresh: Steps::new(),
            steps: Steps::new(),
            frames: [(); 2].map(|()| Vec::with_capacity(DEPTH_MAX)),
        }
    }

    /// Makes words that lead to code, to the stack and nowhere.
    fn fill(&mut self, random: &mut Random, code: &Range<u64>) {
        let stack = self.stack();
        for word in self.words.iter_mut().skip(WORDS / 2).take(STACK_WORDS) {
            *word = random.value(code, stack);
        }
    }

    fn stack(&self) -> u64 {
        self.words.as_ptr().addr() as u64 + WORDS as u64 / 2 * 8
    }

    /// A walk from these registers into one of the lists of frames.
    fn walk<M: Machine>(
        &mut self,
        tables: &Tables,
        registers: &Registers,
        (is_fresh, list): (bool, usize),
    ) -> Quality {
        let own = OwnStack::default();
        let stack_pointer = registers.general[usize::from(M::STACK)];
        let mut stack = Stack::new(sys::pid(), &own, stack_pointer, &mut self.window);
        let steps = if is_fresh {
            self.fresh.hold_for(u64::MAX);
            &mut self.fresh
        } else {
            &mut self.steps
        };
        let frames = &mut self.frames[list];
        frames.clear();
        // A frame may be found by one word again and again, a little higher each time: depth ends that.
        walk::<M>(
            tables,
            steps,
            &mut registers.clone(),
            &mut stack,
            |address| {
                frames.push(address);
                frames.len() < DEPTH_MAX
            },
        )
    }
}

fn check_walk<M: Machine>(
    tables: &Tables,
    code: &Range<u64>,
    random: &mut Random,
    memory: &mut Memory,
) {
    let stack = memory.stack();
    let mut registers = Registers {
        instruction: random.value(code, stack),
        general: [0; REGISTERS],
    };
    for register in &mut registers.general {
        *register = random.value(code, stack);
    }
    let fresh = memory.walk::<M>(tables, &registers, (true, 0));
    memory.walk::<M>(tables, &registers, (false, 1));
    let remembered = memory.walk::<M>(tables, &registers, (false, 1));
    let is_same = fresh == remembered && memory.frames[0] == memory.frames[1];
    // Else what lies around the stack has changed.
    if memory.walk::<M>(tables, &registers, (true, 1)) == fresh
        && memory.frames[0] == memory.frames[1]
    {
        assert!(is_same, "by what is remembered as by the tables");
    }
}

/// A sequence of numbers (Marsaglia, Xorshift RNGs, 2003).
struct Random(u64);

impl Random {
    fn number(&mut self) -> u64 {
        let mut state = self.0 | 1 << 40;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0 = state;
        state
    }

    /// A word that may mean something: code, a place in the stack that begins here, or any number.
    fn value(&mut self, code: &Range<u64>, stack: u64) -> u64 {
        let number = self.number();
        match number >> 60 {
            0..=6 => code.start + number % (code.end - code.start + 1),
            7..=13 => stack + number % STACK_WORDS as u64 * 8,
            14 => number & 0xff,
            _ => number,
        }
    }
}

//! Unwinding by frame pointers over a stack made of integers, as JIT code is walked.

use super::{Registers, Tables, ThreadState, walk};
use crate::ring::record::Quality;
use crate::sys;

/// Lays out `[saved frame pointer, return address]` pairs as compiled code would.
fn stack_of(returns: &[u64]) -> (Vec<u64>, u64) {
    let mut words = vec![0_u64; returns.len() * 4 + 4];
    let start = words.as_ptr().addr() as u64;
    for (index, address) in returns.iter().enumerate() {
        let slot = index * 4;
        let last = index + 1 == returns.len();
        words[slot] = if last {
            0
        } else {
            start + (slot as u64 + 4) * 8
        };
        words[slot + 1] = *address;
    }
    (words, start)
}

fn walk_all(registers: Registers, depth_max: usize) -> (Vec<u64>, Quality) {
    let mut state = ThreadState::new();
    let mut frames = Vec::new();
    let quality = walk(
        &Tables::empty(),
        &mut state,
        sys::pid(),
        registers,
        |address| {
            if frames.len() == depth_max {
                return false;
            }
            frames.push(address);
            true
        },
    );
    (frames, quality)
}

#[test]
fn code_without_tables_is_walked_by_frame_pointers() {
    let (words, start) = stack_of(&[0x10, 0x20, 0x30]);
    let registers = Registers {
        instruction: 0x5,
        stack: start - 8,
        frame: start,
    };
    assert_eq!(
        walk_all(registers, 100),
        (vec![0x5, 0x10, 0x20, 0x30], Quality::Complete)
    );
    drop(words);
}

#[test]
fn depth_cuts_the_callers_and_keeps_the_leaf() {
    let (words, start) = stack_of(&[0x10, 0x20, 0x30]);
    let registers = Registers {
        instruction: 0x5,
        stack: start - 8,
        frame: start,
    };
    assert_eq!(
        walk_all(registers, 2),
        (vec![0x5, 0x10], Quality::Truncated)
    );
    drop(words);
}

#[test]
fn wild_frame_pointer_ends_the_walk_and_keeps_the_leaf() {
    for frame in [1, 0x1000, u64::MAX, u64::MAX - 15, 0xffff_8000_0000_0000] {
        let registers = Registers {
            instruction: 0x5,
            stack: 0,
            frame,
        };
        assert_eq!(
            walk_all(registers, 100),
            (vec![0x5], Quality::Broken),
            "{frame:#x}"
        );
    }
}

//! Unwinding by frame pointers over a stack made of integers, as JIT code is walked.

use super::{ObjectIdentity, ObjectUnwindInfo, Registers, Tables, ThreadState, walk};
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
    walk_with(&Tables::empty(), registers, depth_max)
}

fn walk_with(tables: &Tables, registers: Registers, depth_max: usize) -> (Vec<u64>, Quality) {
    let mut state = ThreadState::new();
    let mut frames = Vec::new();
    let quality = walk(tables, &mut state, sys::pid(), registers, |address| {
        if frames.len() == depth_max {
            return false;
        }
        frames.push(address);
        true
    });
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

fn object() -> ObjectIdentity {
    ObjectIdentity {
        name: "object".to_owned(),
        build_id: "01ab".to_owned(),
        range: 0x10000..0x20000,
        base: 0x10000,
    }
}

#[test]
fn another_object_at_the_same_address_has_no_tables_yet() {
    let mut tables = tables_with_rules(20);
    assert!(tables.contains(&object()));
    let renamed = ObjectIdentity {
        name: "other".to_owned(),
        ..object()
    };
    let rebuilt = ObjectIdentity {
        build_id: "02".to_owned(),
        ..object()
    };
    let longer = ObjectIdentity {
        range: 0x10000..0x21000,
        ..object()
    };
    for other in [renamed, rebuilt, longer] {
        assert!(!tables.contains(&other), "{other:?}");
        tables.add(ObjectUnwindInfo {
            identity: other.clone(),
            ..ObjectUnwindInfo::default()
        });
        assert!(tables.contains(&other) && !tables.contains(&object()));
    }
}

/// Tables of one object at 0x10000 whose only function has its frame 16 bytes above the stack
/// pointer, and rules for this many registers beside the return address.
fn tables_with_rules(count: u8) -> Tables {
    // Version 1, no augmentation, factors 1 and -8, return address in register 16; the frame is
    // at register 7 + 16, the return address at the frame - 8.
    let mut cie = vec![0, 0, 0, 0, 1, 0, 1, 0x78, 16, 0x0c, 7, 16, 0x90, 1];
    for register in 17..17 + count {
        cie.extend([0x80 | register, 2]);
    }
    cie.resize(cie.len().next_multiple_of(8) + 4, 0);
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let mut section = len(&cie).to_vec();
    section.extend(&cie);
    let mut fde = (u32::try_from(section.len()).unwrap() + 4)
        .to_le_bytes()
        .to_vec();
    fde.extend(0_u64.to_le_bytes());
    fde.extend(0x1000_u64.to_le_bytes());
    section.extend(len(&fde));
    section.extend(fde);
    section.extend([0; 4]);
    let mut tables = Tables::empty();
    tables.add(ObjectUnwindInfo {
        identity: object(),
        eh_frame_hdr: None,
        eh_frame: Some((0x8000, section)),
    });
    tables
}

#[test]
fn row_of_too_many_rules_makes_the_stack_incomplete() {
    let words = [0x77_u64, 0x30, 0, 0];
    let registers = Registers {
        instruction: 0x10500,
        stack: words.as_ptr().addr() as u64,
        // Leads nowhere: only the tables tell the way.
        frame: 1,
    };
    let (frames, _) = walk_with(&tables_with_rules(20), registers, 100);
    assert_eq!(frames, [0x10500, 0x30], "a row that fits");
    let (frames, quality) = walk_with(&tables_with_rules(40), registers, 100);
    assert_eq!((frames[0], quality), (0x10500, Quality::Broken));
    assert!(!frames.contains(&0x30), "{frames:x?}");
}

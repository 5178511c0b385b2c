//! Walks over stacks made of integers.

use std::hint::black_box;

use crate::ring::record::{Lost, Quality};
use crate::sys;
use crate::unwind::aarch64::Aarch64;
use crate::unwind::machine::{Machine, REGISTERS};
use crate::unwind::object_table::TableBuilder;
use crate::unwind::read_stack::{Stack, Window};
use crate::unwind::rule::{Cfa, FrameRule, Kept, Rule, Saved};
use crate::unwind::step::Steps;
use crate::unwind::walk::walk as walk_by;
use crate::unwind::x86_64::X86_64;
use crate::unwind::{
    ObjectIdentity, ObjectUnwindInfo, OwnStack, Registers, Tables, ThreadState, walk,
};

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

fn registers(instruction: u64, stack: u64, frame: u64) -> Registers {
    let mut registers = Registers {
        instruction,
        general: [0; 32],
    };
    registers.general[7] = stack;
    registers.general[6] = frame;
    registers
}

fn walk_all(registers: Registers, depth_max: usize) -> (Vec<u64>, Quality) {
    let mut tables = Tables::empty();
    let code = 0x10..0x40;
    tables.set_code(Vec::from([code]));
    walk_with(&tables, registers, depth_max)
}

fn walk_with(tables: &Tables, registers: Registers, depth_max: usize) -> (Vec<u64>, Quality) {
    walk_again(tables, &mut ThreadState::new(), registers, depth_max)
}

/// A walk of a thread that has walked before.
fn walk_again(
    tables: &Tables,
    state: &mut ThreadState,
    mut registers: Registers,
    depth_max: usize,
) -> (Vec<u64>, Quality) {
    let mut frames = Vec::new();
    let own = OwnStack::default();
    let quality = walk(
        tables,
        state,
        (sys::pid(), &own),
        &mut registers,
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
    let registers = registers(0x5, start - 8, start);
    assert_eq!(
        walk_all(registers, 100),
        (vec![0x5, 0x10, 0x20, 0x30], Quality::Complete)
    );
    drop(words);
}

#[test]
fn depth_cuts_the_callers_and_keeps_the_leaf() {
    let (words, start) = stack_of(&[0x10, 0x20, 0x30]);
    let registers = registers(0x5, start - 8, start);
    assert_eq!(
        walk_all(registers, 2),
        (vec![0x5, 0x10], Quality::Truncated)
    );
    drop(words);
}

#[test]
fn wild_frame_pointer_ends_the_walk_and_keeps_the_leaf() {
    for frame in [1, 0x1000, u64::MAX, u64::MAX - 15, 0xffff_8000_0000_0000] {
        let (frames, quality) = walk_all(registers(0x5, 0, frame), 100);
        assert_eq!(frames, [0x5], "{frame:#x}");
        assert!(matches!(quality, Quality::Lost(_)), "{frame:#x}");
    }
}

#[test]
fn caller_with_a_table_may_keep_anything_in_the_frame_pointer() {
    let by_stack_pointer = Rule::Frame(FrameRule {
        cfa: at_register(7, 16),
        return_address: Saved::AtCfa(-8),
        frame_pointer: Saved::Same,
        kept: Kept::default(),
    });
    // The frame of compiled code, then that of its caller.
    let words = black_box(vec![0x5_u64, 0x1010, 0, 0x2010]);
    let start = words.as_ptr().addr() as u64;
    let tables = tables_of(&[(0x1000, by_stack_pointer), (0x2000, Rule::End)]);
    let leaf = registers(0x20_0000, start - 8, start);
    let (frames, quality) = walk_words::<X86_64>(&tables, &leaf, start - 8);
    assert_eq!(frames, [0x20_0000, 0x1010, 0x2010]);
    assert_eq!(quality, Quality::Complete);
}

#[test]
fn frame_pointer_that_leads_to_no_code_is_none() {
    let (words, start) = stack_of(&[0x10, 0x99, 0x30]);
    let registers = registers(0x5, start - 8, start);
    assert_eq!(
        walk_all(registers, 100),
        (vec![0x5, 0x10], Quality::Lost(Lost::Table))
    );
    drop(words);
}

/// A walk of this machine over these words; the frames and the quality.
fn walk_words<M: Machine>(
    tables: &Tables,
    registers: &Registers,
    stack_pointer: u64,
) -> (Vec<u64>, Quality) {
    let mut window = Window::new();
    let mut stack = Stack::new(sys::pid(), &OwnStack::default(), stack_pointer, &mut window);
    let mut frames = Vec::new();
    let quality = walk_by::<M>(
        tables,
        &mut Steps::new(),
        &mut registers.clone(),
        &mut stack,
        |address| {
            frames.push(address);
            frames.len() < 100
        },
    );
    (frames, quality)
}

/// A table with one rule from each of these places on; the object is at 0.
fn tables_of(rules: &[(u64, Rule)]) -> Tables {
    let mut builder = TableBuilder::default();
    for (address, rule) in rules {
        builder.push(*address, *rule).unwrap();
    }
    builder.push(0x10_0000, Rule::Unknown).unwrap();
    Tables::of_one(0..0x10_0000, builder.finish().unwrap())
}

const fn at_register(register: u8, offset: i32) -> Cfa {
    Cfa::Register { register, offset }
}

/// Where a walk from each of these places of code without tables goes first.
fn callers_of<M: Machine>(code: &[u8], places: &[usize], registers: &Registers) -> Vec<u64> {
    let tables = tables_of(&[(0x1000, Rule::End)]);
    let start = black_box(code).as_ptr().addr() as u64;
    let stack_pointer = registers.get(M::STACK).unwrap();
    let caller = |place: &usize| {
        let mut leaf = *registers;
        leaf.instruction = start + *place as u64;
        walk_words::<M>(&tables, &leaf, stack_pointer).0[1]
    };
    places.iter().map(caller).collect()
}

#[test]
fn linkage_tables_without_description_are_left_by_their_instructions() {
    // As lld writes them: push [..]; jmp [..]; nop; then jmp [..]; push 2; jmp to the first.
    let code = [
        0xff, 0x35, 0xea, 0x0b, 0x03, 0x00, 0xff, 0x25, 0xec, 0x0b, 0x03, 0x00, 0x0f, 0x1f, 0x40,
        0x00, 0xff, 0x25, 0xba, 0x0b, 0x03, 0x00, 0x68, 0x02, 0x00, 0x00, 0x00, 0xe9, 0xc0, 0xff,
        0xff, 0xff,
    ];
    // As mold writes them, each after an endbr64: push r11; push [..]; jmp [..]; then mov r11d, 2;
    // jmp [..].
    let of_mold = [
        0xf3, 0x0f, 0x1e, 0xfa, 0x41, 0x53, 0xff, 0x35, 0xea, 0x0b, 0x03, 0x00, 0xff, 0x25, 0xec,
        0x0b, 0x03, 0x00, 0xf3, 0x0f, 0x1e, 0xfa, 0x41, 0xbb, 0x02, 0x00, 0x00, 0x00, 0xff, 0x25,
        0xba, 0x0b, 0x03, 0x00,
    ];
    let words = black_box(vec![0x1010_u64, 0x1020, 0x1030]);
    // A frame pointer that leads to the caller's caller: it says nothing of this place.
    let frames = black_box(vec![0_u64, 0x1040]);
    let [stack, frame] = [&words, &frames].map(|words| words.as_ptr().addr() as u64);
    let leaf = registers(0, stack, frame);
    let callers = callers_of::<X86_64>(&code, &[0, 6, 16, 22, 27], &leaf);
    assert_eq!(callers, [0x1020, 0x1030, 0x1010, 0x1010, 0x1020]);
    let callers = callers_of::<X86_64>(&of_mold, &[0, 4, 6, 12, 18, 22, 28], &leaf);
    let expected = [0x1010, 0x1010, 0x1020, 0x1030, 0x1010, 0x1010, 0x1010];
    assert_eq!(callers, expected);
}

#[test]
fn linkage_tables_of_aarch64_are_left_by_their_link_register() {
    // stp x16, x30, [sp, -16]!; then adrp, ldr, add and br, four words of padding, and the same.
    let entry = [0x9000_0210_u32, 0xf945_ce11, 0x912e_7210, 0xd61f_0220];
    let nop = [0xd503_201f_u32; 4];
    let code = [&[0xa9bf_7bf0][..], &entry, &nop, &entry].concat();
    let code: Vec<u8> = code.into_iter().flat_map(u32::to_le_bytes).collect();
    // The caller's return address is in the word where its frame ends.
    let to_root = Rule::Frame(FrameRule {
        cfa: at_register(31, 8),
        return_address: Saved::AtCfa(-8),
        frame_pointer: Saved::Same,
        kept: Kept::default(),
    });
    let words = black_box(vec![0x2010_u64, 0, 0x3010, 0]);
    let mut leaf = Registers {
        instruction: 0,
        general: [0; REGISTERS],
    };
    leaf.general[30] = 0x1004;
    leaf.general[31] = words.as_ptr().addr() as u64;
    let tables = tables_of(&[(0x1000, to_root), (0x2000, Rule::End)]);
    let start = black_box(&code).as_ptr().addr() as u64;
    for place in 0..13 {
        leaf.instruction = start + place * 4;
        let (frames, _) = walk_words::<Aarch64>(&tables, &leaf, leaf.general[31]);
        let root = if (1..5).contains(&place) {
            0x3010
        } else {
            0x2010
        };
        let is_padding = (5..9).contains(&place);
        let expected = if is_padding {
            vec![]
        } else {
            vec![0x1004, root]
        };
        assert_eq!(frames[1..], expected, "{place}");
    }
}

#[test]
fn interrupted_frame_has_all_registers_and_its_callers_have_those_that_are_kept() {
    let in_r11 = Rule::Frame(FrameRule {
        cfa: at_register(11, 16),
        return_address: Saved::AtCfa(-8),
        frame_pointer: Saved::In(12),
        kept: Kept::default(),
    });
    let by_frame_pointer = Rule::Frame(FrameRule {
        cfa: at_register(6, 16),
        return_address: Saved::AtCfa(-8),
        frame_pointer: Saved::AtCfa(-16),
        kept: Kept::default(),
    });
    let words = black_box(vec![0_u64, 0x2010, 0, 0, 0x55, 0x1010]);
    let start = words.as_ptr().addr() as u64;
    let mut leaf = registers(0x1000, start - 64, 1);
    leaf.general[11] = start;
    leaf.general[12] = start + 32;
    let rules = [(0x1000, in_r11), (0x2000, by_frame_pointer)];
    let (frames, quality) = walk_words::<X86_64>(&tables_of(&rules), &leaf, start - 64);
    assert_eq!(frames, [0x1000, 0x2010, 0x1010]);
    assert_eq!(quality, Quality::Lost(Lost::Register), "of a caller");
}

/// The walk where the leaf is interrupted with 0x99 in rbx, calls come from 0x2010 and 0x3010, and the
/// leaf's caller has its frame by rbx.
fn walk_over_rbx(leaf_keeps: Option<Saved>, words: &[u64]) -> (Vec<u64>, Quality) {
    let frame_of = |cfa, rbx| {
        Rule::Frame(FrameRule {
            cfa,
            return_address: Saved::AtCfa(-8),
            frame_pointer: Saved::Same,
            kept: Kept::of([rbx]),
        })
    };
    let start = words.as_ptr().addr() as u64;
    let mut leaf = registers(0x1000, start, 1);
    leaf.general[3] = start + 32;
    let rules = [
        (0x1000, frame_of(at_register(7, 24), leaf_keeps)),
        (
            0x2000,
            frame_of(at_register(3, 16), Some(Saved::AtCfa(-16))),
        ),
        (0x3000, frame_of(at_register(3, 0), Some(Saved::Same))),
        (0x4000, Rule::End),
    ];
    walk_words::<X86_64>(&tables_of(&rules), &leaf, start)
}

#[test]
fn frame_may_be_at_a_register_that_was_kept_by_those_who_were_called() {
    let mut words = vec![0_u64; 10];
    let start = words.as_ptr().addr() as u64;
    // The leaf's frame ends at 24; its caller's at 48, and that one's at 72.
    (words[2], words[5], words[8]) = (0x2010, 0x3010, 0x4010);
    words[4] = start + 72;
    words[0] = start + 32;
    black_box(&mut words);
    let all = (vec![0x1000, 0x2010, 0x3010, 0x4010], Quality::Complete);
    assert_eq!(walk_over_rbx(Some(Saved::Same), &words), all, "untouched");
    assert_eq!(walk_over_rbx(Some(Saved::AtCfa(-24)), &words), all, "saved");
    for nowhere in [None, Some(Saved::Nowhere), Some(Saved::AtCfa(-15 * 8))] {
        let (frames, quality) = walk_over_rbx(nowhere, &words);
        assert_eq!(frames, all.0[..2], "{nowhere:?}");
        assert_eq!(quality, Quality::Lost(Lost::Register), "{nowhere:?}");
    }
}

#[test]
fn frame_address_may_be_in_a_word_of_the_stack() {
    let realigned = Rule::Frame(FrameRule {
        cfa: Cfa::Word {
            register: 6,
            at: -8,
            offset: 0,
        },
        return_address: Saved::AtCfa(-8),
        frame_pointer: Saved::At(6, 0),
        kept: Kept::default(),
    });
    let mut words = vec![0_u64; 8];
    let start = words.as_ptr().addr() as u64;
    words[1] = start + 56;
    words[2] = 0x77;
    words[6] = 0x3000;
    black_box(&mut words);
    let rules = [(0x1000, realigned), (0x2000, Rule::End)];
    let leaf = registers(0x1000, start, start + 16);
    let (frames, quality) = walk_words::<X86_64>(&tables_of(&rules), &leaf, start);
    assert_eq!((frames, quality), (vec![0x1000, 0x3000], Quality::Complete));
    drop(words);
}

#[test]
fn entry_of_a_linkage_table_has_pushed_a_word_from_some_byte_on() {
    let words = black_box(vec![1_u64, 2, 3]);
    let start = words.as_ptr().addr() as u64;
    let linkage = Rule::Linkage {
        offset: 8,
        from: 11,
    };
    let tables = tables_of(&[(0x1000, linkage), (0x2000, Rule::Unknown)]);
    for (byte, caller) in [(0, 1), (10, 1), (11, 2), (15, 2)] {
        let leaf = registers(0x1230 + byte, start, 1);
        let (frames, _) = walk_words::<X86_64>(&tables, &leaf, start);
        assert_eq!(frames[..2], [0x1230 + byte, caller], "{byte}");
    }
}

#[test]
fn walk_goes_on_where_a_signal_interrupted() {
    let handler = Rule::Frame(FrameRule {
        cfa: at_register(7, 8),
        return_address: Saved::AtCfa(-8),
        frame_pointer: Saved::Same,
        kept: Kept::default(),
    });
    let in_rbx = Rule::Frame(FrameRule {
        cfa: at_register(3, 8),
        return_address: Saved::AtCfa(-8),
        frame_pointer: Saved::Same,
        kept: Kept::default(),
    });
    let mut words = vec![0_u64; 40];
    let start = words.as_ptr().addr() as u64;
    // The trampoline, then 40 bytes and the registers as `gregset_t` has them.
    words[0] = 0x2000;
    let context = 1 + 5;
    words[context + 11] = start + 35 * 8;
    words[context + 15] = start + 34 * 8;
    words[context + 16] = 0x3000;
    words[35] = 0x4000;
    black_box(&mut words);
    let rules = [
        (0x1000, handler),
        // As the C library has it: a return address stands for the call before it.
        (0x1fff, Rule::SignalFrame),
        // Interrupted at its first instruction: the one before is another function's.
        (0x3000, in_rbx),
        (0x3001, Rule::Unsupported),
        (0x3fff, Rule::End),
    ];
    let leaf = registers(0x1000, start, 1);
    let (frames, quality) = walk_words::<X86_64>(&tables_of(&rules), &leaf, start);
    assert_eq!(frames, [0x1000, 0x2000, 0x3000, 0x4000], "{quality:?}");
    assert_eq!(quality, Quality::Complete);
}

#[test]
fn leaf_of_aarch64_returns_by_its_link_register() {
    let leaf_rule = Rule::Frame(FrameRule {
        cfa: at_register(31, 0),
        return_address: Saved::Same,
        frame_pointer: Saved::Same,
        kept: Kept::default(),
    });
    let with_frame = Rule::Frame(FrameRule {
        cfa: at_register(29, 32),
        return_address: Saved::AtCfa(-24),
        frame_pointer: Saved::AtCfa(-32),
        kept: Kept::default(),
    });
    // Signed: bits above the 48th.
    let words = black_box(vec![0x99_u64, 0x2a00_0000_0000_3004, 0, 0]);
    let start = words.as_ptr().addr() as u64;
    let mut leaf = Registers {
        instruction: 0x1000,
        general: [0; REGISTERS],
    };
    leaf.general[29] = start;
    leaf.general[30] = 0x2004;
    leaf.general[31] = start;
    let rules = [
        (0x1000, leaf_rule),
        (0x2000, with_frame),
        (0x3000, leaf_rule),
    ];
    let (frames, quality) = walk_words::<Aarch64>(&tables_of(&rules), &leaf, start);
    assert_eq!(frames, [0x1000, 0x2004, 0x3004]);
    assert_eq!(
        quality,
        Quality::Lost(Lost::Register),
        "a caller's link register"
    );
}

#[test]
fn rules_that_lead_nowhere_end_the_walk() {
    let same = |offset| {
        Rule::Frame(FrameRule {
            cfa: at_register(7, offset),
            return_address: Saved::AtCfa(-8),
            frame_pointer: Saved::Same,
            kept: Kept::default(),
        })
    };
    let words = black_box(vec![0x1000_u64; 4]);
    let start = words.as_ptr().addr() as u64;
    let walked = |rule| {
        let tables = tables_of(&[(0x900, rule)]);
        walk_words::<X86_64>(&tables, &registers(0x1000, start + 8, 1), start + 8)
    };
    assert_eq!(
        walked(same(0)),
        (vec![0x1000, 0x1000], Quality::Lost(Lost::Rule)),
        "does not go up"
    );
    assert_eq!(walked(same(3)).1, Quality::Lost(Lost::Memory), "unaligned");
    assert_eq!(walked(same(i32::MIN)).1, Quality::Lost(Lost::Memory));
    assert_eq!(walked(Rule::Unsupported).1, Quality::Lost(Lost::Rule));
    assert_eq!(walked(Rule::End), (vec![0x1000], Quality::Complete));
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
        let info = ObjectUnwindInfo {
            identity: other.clone(),
            ..ObjectUnwindInfo::default()
        };
        tables.insert(info.build());
        assert!(tables.contains(&other) && !tables.contains(&object()));
    }
}

/// Tables of one object at 0x10000 whose only function has its frame 16 bytes above the stack
/// pointer, and rules for this many registers beside the return address.
fn tables_with_rules(count: u8) -> Tables {
    tables_of_program(count, &[])
}

/// The same with this program in the function's description.
fn tables_of_program(count: u8, program: &[u8]) -> Tables {
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
    fde.extend(program);
    section.extend(len(&fde));
    section.extend(fde);
    section.extend([0; 4]);
    let mut tables = Tables::empty();
    let info = ObjectUnwindInfo {
        identity: object(),
        code: object().range,
        eh_frame: Some((0x8000, section)),
    };
    tables.insert(info.build());
    tables
}

/// Tables of one function, whose frame ends so far above the stack pointer, and of a first one.
fn tables_of_frames(bytes: i32) -> Tables {
    let rule = Rule::Frame(FrameRule {
        cfa: at_register(7, bytes),
        return_address: Saved::AtCfa(-8),
        frame_pointer: Saved::Same,
        kept: Kept::default(),
    });
    tables_of(&[(0x1000, rule), (0x2000, Rule::End)])
}

#[test]
fn remembered_rule_does_not_outlive_its_object() {
    let words = black_box(vec![0x2010_u64, 0x2020, 0x2030, 0x2040]);
    let stack = words.as_ptr().addr() as u64;
    let mut state = ThreadState::new();
    let caller = |tables: &Tables, state: &mut ThreadState| {
        let leaf = registers(0x1500, stack, 1);
        walk_again(tables, state, leaf, 100).0[1]
    };
    let before = tables_of_frames(8);
    for _ in 0..2 {
        assert_eq!(caller(&before, &mut state), 0x2010);
    }
    // Another object in its place, as the loader may map one; then none; then the first again.
    assert_eq!(caller(&tables_of_frames(16), &mut state), 0x2020);
    let mut without = before.clone();
    without.retain(&[]);
    let leaf = registers(0x1500, stack, 1);
    let (frames, quality) = walk_again(&without, &mut state, leaf, 100);
    assert_eq!((frames.len(), quality), (1, Quality::Lost(Lost::Table)));
    assert_eq!(caller(&before, &mut state), 0x2010);
}

#[test]
fn places_that_share_a_memory_keep_their_own_rules() {
    // More places than are remembered, so that they drive each other out, in one walk and the next.
    let rule_of = |place: u64| {
        Rule::Frame(FrameRule {
            cfa: at_register(7, if place.is_multiple_of(3) { 16 } else { 8 }),
            return_address: Saved::AtCfa(-8),
            frame_pointer: Saved::Same,
            kept: Kept::default(),
        })
    };
    let rules: Vec<(u64, Rule)> = (0x100..0x2000).map(|at| (at, rule_of(at))).collect();
    let tables = tables_of(&rules);
    let words = black_box(vec![0_u64, 0x3000, 0]);
    let stack = words.as_ptr().addr() as u64;
    let mut state = ThreadState::new();
    for _ in 0..2 {
        for (place, _) in &rules {
            // The word at the frame is no return address where the frame is 8 bytes long.
            let (frames, _) = walk_again(&tables, &mut state, registers(*place, stack, 1), 2);
            let is_long = place.is_multiple_of(3);
            assert_eq!(frames.len(), if is_long { 2 } else { 1 }, "{place:#x}");
        }
    }
}

#[test]
fn rows_may_have_any_number_of_rules() {
    let words = black_box(vec![0x77_u64, 0x30, 0, 0]);
    let stack = words.as_ptr().addr() as u64;
    for count in [0, 20, 40] {
        // The frame pointer leads nowhere: only the tables tell the way.
        let registers = registers(0x10500, stack, 1);
        let (frames, quality) = walk_with(&tables_with_rules(count), registers, 100);
        assert_eq!(frames, [0x10500, 0x30], "{count}");
        assert_eq!(quality, Quality::Lost(Lost::Table), "{count}");
    }
}

#[test]
fn states_remembered_deeper_than_anybody_does_make_no_sense() {
    let (remember, restore) = (0x0a, 0x0b);
    for (depth, faults) in [(2, 0), (60, 0), (70, 1), (1000, 1)] {
        let program = [vec![remember; depth], vec![restore; depth]].concat();
        let tables = tables_of_program(0, &program);
        assert_eq!(tables.extent().faults, faults, "{depth}");
    }
}

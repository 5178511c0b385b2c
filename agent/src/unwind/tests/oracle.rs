//! Every row of every object that is loaded here says what framehop says.

use std::sync::LazyLock;

use framehop::{ExplicitModuleSectionInfo, FrameAddress, Module as HopModule, Unwinder as _};
use object::{Object as _, ObjectSection as _};
use proptest::prelude::*;

use crate::ring::record::Lost;
use crate::sys;
use crate::unwind::aarch64::Aarch64;
use crate::unwind::eh_frame;
use crate::unwind::machine::{Machine as _, REGISTERS};
use crate::unwind::read_stack::{OwnStack, Stack, Window};
use crate::unwind::rule::{Cfa, Rule, Saved};
use crate::unwind::step::Step;
use crate::unwind::walk::Frame;
use crate::unwind::{Native, ObjectIdentity, ObjectUnwindInfo, Registers, Tables};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn damaged_sections_cost_rows_and_not_the_host(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        end in any::<prop::sample::Index>(),
        truncate: bool,
    ) {
        static SMALLEST: LazyLock<File> = LazyLock::new(|| {
            let files = loaded_files().into_iter();
            files.min_by_key(|file| file.eh_frame.1.len()).unwrap()
        });
        let (address, mut bytes) = SMALLEST.eh_frame.clone();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if truncate {
            bytes.truncate(end.index(bytes.len()));
        }
        for build in [eh_frame::build::<Native>, eh_frame::build::<Aarch64>] {
            let built = build(&bytes, address, &SMALLEST.code).unwrap_or_default();
            for address in SMALLEST.code.clone().step_by(101) {
                built.table.rule_at(address);
            }
            prop_assert!(built.table.heap_bytes() < 10 << 20);
        }
    }
}

/// An object file as if it were mapped at its own addresses.
struct File {
    path: String,
    code: std::ops::Range<u64>,
    eh_frame: (u64, Vec<u8>),
}

fn loaded_files() -> Vec<File> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut paths: Vec<&str> = maps
        .lines()
        .filter_map(|line| Some(&line[line.find('/')?..]))
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().filter_map(read).collect()
}

fn read(path: &str) -> Option<File> {
    let bytes = std::fs::read(path).ok()?;
    let file = object::File::parse(&*bytes).ok()?;
    let section = file.section_by_name(".eh_frame")?;
    let code = file
        .sections()
        .filter(|section| section.kind() == object::SectionKind::Text)
        .map(|section| section.address()..section.address() + section.size())
        .reduce(|one, other| one.start.min(other.start)..one.end.max(other.end))?;
    Some(File {
        path: path.to_owned(),
        code,
        eh_frame: (section.address(), section.uncompressed_data().ok()?.into()),
    })
}

fn tables_of(file: &File) -> Tables {
    let mut tables = Tables::empty();
    tables.add(ObjectUnwindInfo {
        identity: ObjectIdentity {
            name: file.path.clone(),
            build_id: String::new(),
            range: file.code.clone(),
            base: 0,
        },
        code: file.code.clone(),
        eh_frame: Some(file.eh_frame.clone()),
    });
    tables
}

struct Hop {
    unwinder: framehop::UnwinderNative<Vec<u8>, framehop::MayAllocateDuringUnwind>,
    cache: framehop::CacheNative<framehop::MayAllocateDuringUnwind>,
}

fn framehop_of(file: &File) -> Hop {
    let (address, bytes) = file.eh_frame.clone();
    let mut unwinder = framehop::UnwinderNative::new();
    unwinder.add_module(HopModule::new(
        file.path.clone(),
        file.code.clone(),
        0,
        ExplicitModuleSectionInfo {
            base_svma: 0,
            eh_frame_svma: Some(address..address + bytes.len() as u64),
            eh_frame: Some(bytes),
            ..ExplicitModuleSectionInfo::default()
        },
    ));
    Hop {
        unwinder,
        cache: framehop::CacheNative::new_in(),
    }
}

/// A caller: return address, stack pointer, frame pointer.
type Parent = Option<(u64, u64, u64)>;

/// Words that each point to another word of the stack: whatever is taken for a frame pointer
/// or a return address can be told from all others.
fn stack_words() -> Vec<u64> {
    let mut words = vec![0; 1 << 15];
    let start = words.as_ptr().addr() as u64;
    for (place, word) in words.iter_mut().enumerate() {
        *word = start + (place as u64).wrapping_mul(5).wrapping_add(3) % (1 << 15) * 8;
    }
    words
}

/// What both say of one place, where a thread was interrupted.
struct Look<'w> {
    words: &'w [u64],
    stack_pointer: u64,
    frame_pointer: u64,
}

impl Look<'_> {
    fn ours(&self, tables: &Tables, window: &mut Window, address: u64) -> Result<Parent, Lost> {
        let mut registers = Registers {
            instruction: address,
            general: [0; REGISTERS],
        };
        registers.general[usize::from(Native::FRAME)] = self.frame_pointer;
        registers.general[usize::from(Native::STACK)] = self.stack_pointer;
        let mut stack = Stack::new(sys::pid(), &OwnStack::default(), self.stack_pointer, window);
        let frame = Frame::interrupted::<Native>(&registers);
        let rule = tables.rule_at(address);
        let next = frame.by_rule::<Native>(&rule, tables, &mut registers, &mut stack);
        let next = next.map(|next| next.map(|frame| frame.where_it_is()));
        if let Some(step) = Step::of::<Native>(&rule) {
            let mut stepped = frame;
            let went = stepped.step::<Native>(step, &mut stack);
            let by_step = went.map(|went| went.then(|| stepped.where_it_is()));
            assert_eq!(by_step, next, "{rule:?} in one word: {step:?}");
        }
        next
    }

    fn framehops(&self, hop: &mut Hop, address: u64) -> Result<Parent, framehop::Error> {
        let start = self.words.as_ptr().addr() as u64;
        let mut word = |at: u64| {
            let place = at.checked_sub(start).map(|bytes| bytes / 8).ok_or(())?;
            let word = self.words.get(usize::try_from(place).map_err(drop)?);
            word.copied().ok_or(())
        };
        let mut registers =
            framehop::UnwindRegsNative::new(address, self.stack_pointer, self.frame_pointer);
        let caller = hop.unwinder.unwind_frame(
            FrameAddress::InstructionPointer(address),
            &mut registers,
            &mut hop.cache,
            &mut word,
        )?;
        Ok(caller.map(|address| (address, registers.sp(), registers.bp())))
    }
}

/// Elsewhere it goes by the frame pointer: where there is no table, in the first function of a
/// thread, where a signal handler returns to, and where the frame is at another register's value.
fn is_followed_by_framehop(rule: &Rule) -> bool {
    let is_known = |register| [Native::STACK, Native::FRAME].contains(&register);
    match rule {
        Rule::Unknown | Rule::End | Rule::SignalFrame => false,
        Rule::Unsupported | Rule::Linkage { .. } => true,
        Rule::Frame(rule) => {
            let (Cfa::Register { register, .. } | Cfa::Word { register, .. }) = rule.cfa;
            let saved = [rule.frame_pointer, rule.return_address];
            is_known(register) && !saved.iter().any(|saved| matches!(saved, Saved::In(_)))
        }
    }
}

#[test]
fn every_rule_of_loaded_code_leads_where_framehop_goes() {
    let words = stack_words();
    let start = words.as_ptr().addr() as u64;
    let look = Look {
        words: &words,
        stack_pointer: start + 4096,
        frame_pointer: start + 8192 + 64,
    };
    let mut window = Window::new();
    let mut compared = 0;
    for file in loaded_files() {
        let tables = tables_of(&file);
        let mut hop = framehop_of(&file);
        for address in (file.code.start..file.code.end).step_by(3) {
            if !is_followed_by_framehop(&tables.rule_at(address)) {
                continue;
            }
            let ours = look.ours(&tables, &mut window, address);
            let theirs = look.framehops(&mut hop, address);
            assert!(
                matches!((&ours, &theirs), (Ok(ours), Ok(theirs)) if ours == theirs),
                "{} {address:#x}: {ours:x?}, framehop {theirs:x?}",
                file.path
            );
            compared += 1;
        }
        let extent = tables.extent();
        assert_eq!(extent.faults, 0, "{}: {extent:?}", file.path);
    }
    assert!(compared > 100_000, "{compared}");
}

//! Every row of every object that is loaded here, and of objects of another processor, says what
//! framehop says.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use framehop::{ExplicitModuleSectionInfo, FrameAddress, MayAllocateDuringUnwind, Unwinder};
use object::{Architecture, Object as _, ObjectSection as _};
use proptest::prelude::*;

use super::skip::skip;
use crate::ring::record::Lost;
use crate::sys;
use crate::unwind::aarch64::Aarch64;
use crate::unwind::eh_frame;
use crate::unwind::machine::{Machine, REGISTERS};
use crate::unwind::read_stack::{OwnStack, Stack, Window};
use crate::unwind::rule::{Cfa, Rule, Saved};
use crate::unwind::step::Step;
use crate::unwind::walk::Frame;
use crate::unwind::x86_64::X86_64;
use crate::unwind::{Native, Registers, Tables};

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
    path: PathBuf,
    code: Range<u64>,
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
    let paths = paths.into_iter().map(Path::new);
    paths
        .filter_map(|path| read(path, Architecture::X86_64))
        .collect()
}

fn read(path: &Path, architecture: Architecture) -> Option<File> {
    let bytes = std::fs::read(path).ok()?;
    let file = object::File::parse(&*bytes).ok()?;
    (file.architecture() == architecture).then_some(())?;
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

/// A processor, and what framehop has for it.
trait Compared: Machine {
    type Hop: Unwinder<Module = framehop::Module<Vec<u8>>> + Default;
    /// The distance of instructions, in bytes.
    const STRIDE: usize;

    fn cache() -> <Self::Hop as Unwinder>::Cache;
    fn registers(registers: &Registers) -> <Self::Hop as Unwinder>::UnwindRegs;
    /// Stack pointer and frame pointer.
    fn pointers(registers: &<Self::Hop as Unwinder>::UnwindRegs) -> (u64, u64);
}

impl Compared for X86_64 {
    type Hop = framehop::x86_64::UnwinderX86_64<Vec<u8>>;
    const STRIDE: usize = 1;

    fn cache() -> <Self::Hop as Unwinder>::Cache {
        framehop::x86_64::CacheX86_64::<MayAllocateDuringUnwind>::new_in()
    }

    fn registers(registers: &Registers) -> <Self::Hop as Unwinder>::UnwindRegs {
        let [frame, stack] = [Self::FRAME, Self::STACK].map(|at| registers.get(at).unwrap());
        framehop::x86_64::UnwindRegsX86_64::new(registers.instruction, stack, frame)
    }

    fn pointers(registers: &<Self::Hop as Unwinder>::UnwindRegs) -> (u64, u64) {
        (registers.sp(), registers.bp())
    }
}

impl Compared for Aarch64 {
    type Hop = framehop::aarch64::UnwinderAarch64<Vec<u8>>;
    const STRIDE: usize = 4;

    fn cache() -> <Self::Hop as Unwinder>::Cache {
        framehop::aarch64::CacheAarch64::<MayAllocateDuringUnwind>::new_in()
    }

    fn registers(registers: &Registers) -> <Self::Hop as Unwinder>::UnwindRegs {
        let all = [Self::LINK.unwrap(), Self::STACK, Self::FRAME];
        let [link, stack, frame] = all.map(|at| registers.get(at).unwrap());
        framehop::aarch64::UnwindRegsAarch64::new(link, stack, frame)
    }

    fn pointers(registers: &<Self::Hop as Unwinder>::UnwindRegs) -> (u64, u64) {
        (registers.sp(), registers.fp())
    }
}

struct Hop<M: Compared> {
    unwinder: M::Hop,
    cache: <M::Hop as Unwinder>::Cache,
}

fn framehop_of<M: Compared>(file: &File) -> Hop<M> {
    let (address, bytes) = file.eh_frame.clone();
    let mut unwinder = M::Hop::default();
    unwinder.add_module(framehop::Module::new(
        file.path.display().to_string(),
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
        cache: M::cache(),
    }
}

/// A caller: return address, stack pointer, frame pointer.
type Parent = Option<(u64, u64, u64)>;

/// A stack of words that each point to another of them: whatever is taken for a frame pointer or a
/// return address can be told from all others. And the registers where a thread was interrupted.
struct Look {
    words: Vec<u64>,
    registers: Registers,
    window: Window,
}

impl Look {
    fn of<M: Machine>() -> Self {
        let mut words = vec![0; 1 << 15];
        let start = words.as_ptr().addr() as u64;
        for (place, word) in words.iter_mut().enumerate() {
            *word = start + (place as u64).wrapping_mul(5).wrapping_add(3) % (1 << 15) * 8;
        }
        let mut registers = Registers {
            instruction: 0,
            general: [0; REGISTERS],
        };
        registers.general[usize::from(M::STACK)] = start + 4096;
        registers.general[usize::from(M::FRAME)] = start + 8192 + 64;
        if let Some(link) = M::LINK {
            registers.general[usize::from(link)] = 0x1234;
        }
        Self {
            words,
            registers,
            window: Window::new(),
        }
    }

    fn ours<M: Machine>(&mut self, tables: &Tables, rule: &Rule) -> Result<Parent, Lost> {
        let own = OwnStack::default();
        let stack_pointer = self.registers.get(M::STACK).unwrap();
        let mut stack = Stack::new(sys::pid(), &own, stack_pointer, &mut self.window);
        let frame = Frame::interrupted::<M>(&self.registers);
        let next = frame.by_rule::<M>(rule, tables, &mut self.registers.clone(), &mut stack);
        let next = next.map(|next| next.map(|frame| frame.where_it_is()));
        if let Some(step) = Step::of::<M>(rule) {
            let mut stepped = frame;
            let went = stepped.step::<M>(step, &mut stack);
            let by_step = went.map(|went| went.then(|| stepped.where_it_is()));
            assert_eq!(by_step, next, "{rule:?} in one word: {step:?}");
        }
        next
    }

    fn framehops<M: Compared>(&self, hop: &mut Hop<M>) -> Result<Parent, framehop::Error> {
        let start = self.words.as_ptr().addr() as u64;
        let mut word = |at: u64| {
            let place = at.checked_sub(start).map(|bytes| bytes / 8).ok_or(())?;
            let word = self.words.get(usize::try_from(place).map_err(drop)?);
            word.copied().ok_or(())
        };
        let mut registers = M::registers(&self.registers);
        let address = FrameAddress::InstructionPointer(self.registers.instruction);
        let cache = &mut hop.cache;
        let caller = hop
            .unwinder
            .unwind_frame(address, &mut registers, cache, &mut word)?;
        let (stack, frame) = M::pointers(&registers);
        Ok(caller.map(|address| (address, stack, frame)))
    }
}

/// Elsewhere it goes by the frame pointer: where there is no table, in the first function of a
/// thread, where a signal handler returns to, and where the frame is at another register's value.
fn is_followed_by_framehop<M: Machine>(rule: &Rule) -> bool {
    let is_known = |register| [M::STACK, M::FRAME].contains(&register);
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

/// Compares both where our rule changes, and at every sixteenth instruction. Tells how often.
fn compare<M: Compared>(file: &File) -> usize {
    let (address, bytes) = &file.eh_frame;
    let built = eh_frame::build::<M>(bytes, *address, &file.code).unwrap();
    assert_eq!(built.fault_count, 0, "{}", file.path.display());
    let tables = Tables::of_one(file.code.clone(), built.table);
    let mut hop = framehop_of::<M>(file);
    let mut look = Look::of::<M>();
    let mut compared = 0;
    let mut last = Rule::Unknown;
    for (count, address) in file.code.clone().step_by(M::STRIDE).enumerate() {
        let rule = tables.rule_at(address);
        let is_new = std::mem::replace(&mut last, rule) != rule;
        if !(is_new || count % 16 == 0) || !is_followed_by_framehop::<M>(&rule) {
            continue;
        }
        look.registers.instruction = address;
        let ours = look.ours::<M>(&tables, &rule);
        let theirs = look.framehops::<M>(&mut hop);
        let stack_pointer = look.registers.get(M::STACK).unwrap();
        let is_same = match (&ours, &theirs) {
            // Where the C library's resolver for aarch64 jumps away it says that its caller's frame
            // is below its own: framehop goes there.
            (Err(Lost::Rule), Ok(Some((_, below, _)))) => *below < stack_pointer,
            (Ok(ours), Ok(theirs)) => ours == theirs,
            _ => false,
        };
        assert!(
            is_same,
            "{} {address:#x}: {ours:x?}, framehop {theirs:x?}",
            file.path.display()
        );
        compared += 1;
    }
    compared
}

#[test]
fn every_rule_of_loaded_code_leads_where_framehop_goes() {
    let compared: usize = loaded_files().iter().map(compare::<X86_64>).sum();
    assert!(compared > 100_000, "{compared}");
}

/// All files in a folder and its folders.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files = Vec::new();
    for entry in entries {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => files.extend(files_in(&entry.path())),
            kind if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    files.sort();
    files
}

#[test]
fn every_rule_of_code_for_aarch64_leads_where_framehop_goes() {
    let Some(folder) = std::env::var_os("FLASHLAMP_AARCH64_OBJECTS") else {
        return skip(
            "FLASHLAMP_AARCH64_OBJECTS names no folder of objects (tests/run fetches them)",
        );
    };
    let files = files_in(Path::new(&folder)).into_iter();
    let files = files.filter_map(|path| read(&path, Architecture::Aarch64));
    let compared: usize = files.map(|file| compare::<Aarch64>(&file)).sum();
    if compared == 0 {
        return skip("FLASHLAMP_AARCH64_OBJECTS holds no objects");
    }
    assert!(compared > 100_000, "{compared}");
}

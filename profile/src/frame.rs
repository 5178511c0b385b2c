//! Frames: the elements of a stack.

use crate::function::FunctionId;
use crate::hash;
use crate::heap;
use crate::interner::{Contents, Interner};
use crate::mapping::{Mapping, MappingId};
use crate::profile::Profile;
use crate::string_table::Text;

/// The place of a frame in its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(pub(crate) u32);

/// Where a frame's code comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameKind {
    /// Compiled code of an object file.
    #[default]
    Native,
    /// Inlined into the frame below it (its caller, nearer the root).
    Inline,
    /// Compiled while the program ran.
    Jit,
    /// A function of an interpreted program.
    Guest,
    /// The kernel.
    Kernel,
    /// Not code: a note such as `[truncated]`.
    Marker,
}

/// Names of marker frames.
pub mod markers {
    /// Stands for the callers that were cut at the maximum depth; the root of its stack.
    pub const TRUNCATED: &str = "[truncated]";
    /// Stands for the callers that could not be found; the root of its stack.
    pub const INCOMPLETE: &str = "[incomplete]";
    /// Time of a request that no thread spent on it.
    pub const NOT_ON_A_THREAD: &str = "[not on a thread]";
    /// A thread waited, by its own doing: for a lock, a timer, data; the leaf of its stack.
    pub const BLOCKED: &str = "[blocked]";
    /// A thread waited for a CPU; the leaf of its stack.
    pub const RUNNABLE: &str = "[runnable]";
    /// Time of a thread that no sample was charged with.
    pub const BETWEEN_SAMPLES: &str = "[between samples]";
    /// All of the above.
    pub(crate) const ALL: [&str; 6] = [
        TRUNCATED,
        INCOMPLETE,
        NOT_ON_A_THREAD,
        BLOCKED,
        RUNNABLE,
        BETWEEN_SAMPLES,
    ];
    /// A sample without any frame, where a format needs a name for it.
    pub const NO_STACK: &str = "[no stack]";
}

/// What the frame table holds for one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameRecord {
    pub(crate) function: FunctionId,
    pub(crate) line: u32,
    pub(crate) kind: FrameKind,
    pub(crate) mapping: Option<MappingId>,
    pub(crate) address: u64,
}

impl Contents for FrameRecord {
    fn hash(&self) -> u64 {
        let mapping = self.mapping.map_or(0, |id| u64::from(id.0) + 1);
        hash::ids([
            u64::from(self.function.0) << 32 | u64::from(self.line),
            mapping << 8 | self.kind as u64,
            self.address,
        ])
    }
}

/// Frames in order of first use.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrameTable {
    records: Vec<FrameRecord>,
}

impl FrameTable {
    pub(crate) fn intern(&mut self, interner: &mut Interner, record: FrameRecord) -> FrameId {
        FrameId(interner.intern(&mut self.records, record))
    }

    /// Every record, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &FrameRecord> {
        self.records.iter()
    }

    pub(crate) fn record(&self, id: FrameId) -> &FrameRecord {
        &self.records[id.0 as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) const fn heap_bytes(&self) -> usize {
        heap::vec(&self.records)
    }
}

/// One frame of a profile, to read.
#[derive(Clone, Copy)]
pub struct Frame<'p> {
    profile: &'p Profile,
    id: FrameId,
}

impl<'p> Frame<'p> {
    pub(crate) const fn new(profile: &'p Profile, id: FrameId) -> Self {
        Self { profile, id }
    }

    fn record(self) -> &'p FrameRecord {
        self.profile.frames.record(self.id)
    }

    /// The frame's place in its profile.
    pub const fn id(self) -> FrameId {
        self.id
    }

    pub(crate) fn function_id(self) -> FunctionId {
        self.record().function
    }

    /// The function's name; `object+0xoffset` where it is unknown.
    pub fn name(self) -> &'p str {
        self.profile.function_name(self.record().function)
    }

    /// The source file, where it is known.
    pub fn file(self) -> Option<&'p str> {
        self.profile.function_file(self.record().function)
    }

    /// The texts of name and file, for another table to share.
    pub(crate) fn texts(self) -> (&'p Text, Option<&'p Text>) {
        let function = self.profile.functions.function(self.record().function);
        let text = |id| self.profile.strings.shared(id);
        (text(function.name), function.file.map(text))
    }

    /// The line that was running (leaf) or calling, from 1, where it is known.
    pub fn line(self) -> Option<u32> {
        Some(self.record().line).filter(|line| *line != 0)
    }

    /// Where the code comes from.
    pub fn kind(self) -> FrameKind {
        self.record().kind
    }

    /// The object file. An inline frame has its caller's: ask that one.
    pub fn mapping(self) -> Option<&'p Mapping> {
        self.record().mapping.map(|id| self.profile.mapping(id))
    }

    pub(crate) fn mapping_id(self) -> Option<MappingId> {
        self.record().mapping
    }

    /// The address in the process (an AVMA), as in pprof's `Location`: with the mapping it
    /// gives the place in the file, `address - start + file_offset`. An inline frame has its
    /// caller's: ask that one.
    pub fn address(self) -> Option<u64> {
        Some(self.record().address).filter(|address| *address != 0)
    }
}

impl std::fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame")
            .field("name", &self.name())
            .field("file", &self.file())
            .field("line", &self.line())
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

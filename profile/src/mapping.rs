//! Loaded file ranges of a process.

use crate::hash;
use crate::interner::Contents;

/// The place of a mapping in its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MappingId(pub(crate) u32);

/// A file that was loaded into the process, as in pprof's `Mapping`.
///
/// The build id and an address in the file name a frame for ever; the path is for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// Path of the object file, or a name in brackets such as `[vdso]`.
    pub path: String,
    /// The build id in lower-case hex; empty where the file has none.
    pub build_id: String,
    /// First address in the process (an AVMA).
    pub start: u64,
    /// One past the last address in the process.
    pub end: u64,
    /// Where in the file the range begins, in bytes.
    pub file_offset: u64,
}

impl Contents for Mapping {
    fn hash(&self) -> u64 {
        hash::text(self)
    }
}

impl Mapping {
    /// The file name without its folders.
    pub fn object(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

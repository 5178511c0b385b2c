//! The objects loaded into the process: for unwinding, and to name addresses later.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::limits;
use crate::sys;
use crate::unwind::{BuiltObject, ObjectIdentity, ObjectUnwindInfo, Tables};

/// A loaded object: what symbolization needs to know, also after it was unloaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Module {
    /// Path for people, or a name in brackets such as `[vdso]`.
    pub(crate) path: String,
    /// The file to read symbols from, where there is one.
    pub(crate) file: Option<PathBuf>,
    /// Lower-case hex; empty where the object has none.
    pub(crate) build_id: String,
    /// First address of its first segment (an AVMA).
    pub(crate) start: u64,
    /// One past its last segment.
    pub(crate) end: u64,
    /// What is added to the addresses of the file.
    pub(crate) base: u64,
    /// First address of the first executable segment (an AVMA).
    pub(crate) text_start: u64,
    /// One past that segment.
    pub(crate) text_end: u64,
    /// Where in the file that segment begins.
    pub(crate) text_offset: u64,
}

/// The file of the program itself, also where it was moved or deleted (proc(5)).
const PROGRAM: &str = "/proc/self/exe";

impl Module {
    /// Whether this is the program, and not a library.
    pub(crate) fn is_program(&self) -> bool {
        self.file.as_deref() == Some(Path::new(PROGRAM))
    }

    /// The file name without its folders.
    pub(crate) fn object(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn identity(&self) -> ObjectIdentity {
        ObjectIdentity {
            name: self.path.clone(),
            build_id: self.build_id.clone(),
            range: self.start..self.end,
            base: self.base,
        }
    }
}

/// The live objects, sorted by address.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    live: Vec<Arc<Module>>,
    counters: Option<(u64, u64)>,
    /// Grows with each change, so that caches of addresses know when they are old.
    pub(crate) generation: u64,
}

impl Modules {
    /// The object that holds `address`.
    pub(crate) fn find(&self, address: u64) -> Option<&Arc<Module>> {
        let after = self.live.partition_point(|module| module.start <= address);
        let module = self.live.get(after.checked_sub(1)?)?;
        (address < module.end).then_some(module)
    }

    /// The objects, in order of address.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Module>> {
        self.live.iter()
    }

    /// Compares with the loader: what is loaded now, where that is news. Copies the unwind sections of
    /// new objects, with the loader's lock held: nobody may load or unload meanwhile.
    pub(crate) fn look(&self, pid: i32, tables: &Tables) -> Option<Found> {
        let counters = sys::loader_counters();
        if self.counters == Some(counters) {
            return None;
        }
        let mut found = Found {
            counters,
            live: Vec::new(),
            new: Vec::new(),
        };
        sys::for_each_object(&mut |object| {
            found.counters = object.counters;
            let headers = program_headers(pid, object);
            let Some((module, executable)) = describe(pid, object, &headers) else {
                return true;
            };
            if executable && !tables.contains(&module.identity()) {
                found.new.push(unwind_info(pid, &headers, &module));
            }
            found.live.push(Arc::new(module));
            true
        });
        found.live.sort();
        found.live.sort_by_key(|module| module.start);
        Some(found)
    }

    /// Takes what was found as what is loaded, and returns tables that hold exactly that; `None` where
    /// something newer was taken meanwhile.
    pub(crate) fn adopt(&mut self, built: Built, tables: &Tables) -> Option<Tables> {
        let age = |(added, removed): (u64, u64)| added.saturating_add(removed);
        if self
            .counters
            .is_some_and(|known| age(known) > age(built.counters))
        {
            return None;
        }
        let mut next = tables.clone();
        built.new.into_iter().for_each(|object| next.insert(object));
        let starts: Vec<u64> = built.live.iter().map(|module| module.start).collect();
        next.retain(&starts);
        self.live = built.live;
        self.counters = Some(built.counters);
        self.generation = self.generation.saturating_add(1);
        Some(next)
    }
}

#[cfg(test)]
impl Modules {
    /// Looks, builds and adopts.
    pub(crate) fn refresh(&mut self, pid: i32, tables: &Tables) -> Option<Tables> {
        let found = self.look(pid, tables)?;
        self.adopt(found.build(), tables)
    }
}

/// What the loader has loaded, and what of it is new.
#[derive(Debug)]
pub(crate) struct Found {
    counters: (u64, u64),
    live: Vec<Arc<Module>>,
    new: Vec<ObjectUnwindInfo>,
}

/// As [`Found`], with the tables of what is new.
#[derive(Debug)]
pub(crate) struct Built {
    counters: (u64, u64),
    live: Vec<Arc<Module>>,
    new: Vec<BuiltObject>,
}

impl Found {
    /// Builds the tables, which takes time: hold no lock.
    pub(crate) fn build(self) -> Built {
        let new = self.new.into_iter().map(ObjectUnwindInfo::build);
        Built {
            counters: self.counters,
            live: self.live,
            new: new.collect(),
        }
    }
}

/// What is needed of a program header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    file_offset: u64,
    /// As stated in the file.
    address: u64,
    bytes: u64,
}

impl ProgramHeader {
    /// `Elf64_Phdr` of elf(5): type, flags (32 bits each), offset, address, physical address,
    /// bytes in the file, bytes in memory, alignment (64 bits each).
    fn parse(bytes: &[u8; PROGRAM_HEADER_BYTES]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |index: usize| u64::from_le_bytes(words[index]);
        let (halves, _) = bytes.as_chunks::<4>();
        let half = |index: usize| u32::from_le_bytes(halves[index]);
        Self {
            kind: half(0),
            flags: half(1),
            file_offset: word(1),
            address: word(2),
            bytes: word(5),
        }
    }

    fn end(&self) -> u64 {
        self.address.saturating_add(self.bytes)
    }
}

const PROGRAM_HEADER_BYTES: usize = 56;

/// A copy of an object's program headers; none where they cannot be read.
fn program_headers(pid: i32, object: &sys::Object<'_>) -> Vec<ProgramHeader> {
    let mut bytes = vec![0; object.header_count * PROGRAM_HEADER_BYTES];
    if !sys::read_bytes(pid, object.headers_at, &mut bytes) {
        return Vec::new();
    }
    let (headers, _) = bytes.as_chunks();
    headers.iter().map(ProgramHeader::parse).collect()
}

fn describe(
    pid: i32,
    object: &sys::Object<'_>,
    headers: &[ProgramHeader],
) -> Option<(Module, bool)> {
    let loads = || headers.iter().filter(|header| header.kind == libc::PT_LOAD);
    let start = loads().map(|header| header.address).min()?;
    let end = loads().map(ProgramHeader::end).max()?;
    let text = loads().find(|header| header.flags & libc::PF_X != 0);
    let text_start = text.map_or(start, |header| header.address);
    let text_bytes = text.map_or(0, |header| header.bytes);
    let name = object.name.to_string_lossy();
    let (path, file) = if name.is_empty() {
        let exe = PathBuf::from(PROGRAM);
        let shown = std::fs::read_link(&exe).map_or_else(
            |_| "[program]".to_owned(),
            |path| {
                path.to_string_lossy()
                    .trim_end_matches(" (deleted)")
                    .to_owned()
            },
        );
        (shown, Some(exe))
    } else if name.contains('/') {
        (
            name.clone().into_owned(),
            Some(PathBuf::from(name.into_owned())),
        )
    } else {
        ("[vdso]".to_owned(), None)
    };
    let module = Module {
        path,
        file,
        build_id: build_id(pid, object.base, headers).unwrap_or_default(),
        start: object.base.wrapping_add(start),
        end: object.base.wrapping_add(end),
        base: object.base,
        text_start: object.base.wrapping_add(text_start),
        text_end: object
            .base
            .wrapping_add(text_start.wrapping_add(text_bytes)),
        text_offset: text.map_or(0, |header| header.file_offset),
    };
    Some((module, text.is_some()))
}

/// The GNU build id from the object's notes.
///
/// A note is `namesz, descsz, type` (32 bits each), the name and the description, both padded
/// to four bytes; the build id has type 3 and the name `GNU\0` (elf(5)).
fn build_id(pid: i32, base: u64, headers: &[ProgramHeader]) -> Option<String> {
    for header in headers.iter().filter(|header| header.kind == libc::PT_NOTE) {
        let mut notes = vec![0; usize::try_from(header.bytes).ok()?.min(64 << 10)];
        if !sys::read_bytes(pid, base.wrapping_add(header.address), &mut notes) {
            continue;
        }
        if let Some(id) = build_id_in(&notes) {
            return Some(id);
        }
    }
    None
}

fn build_id_in(mut notes: &[u8]) -> Option<String> {
    while let Some((head, rest)) = notes.split_at_checked(12) {
        let field = |at: usize| -> Option<usize> {
            let bytes: [u8; 4] = head.get(at..at + 4)?.try_into().ok()?;
            usize::try_from(u32::from_le_bytes(bytes)).ok()
        };
        let (name_len, description_len, kind) = (field(0)?, field(4)?, field(8)?);
        let name_padded = name_len.checked_next_multiple_of(4)?;
        let name = rest.get(..name_len)?;
        let description = rest.get(name_padded..name_padded.checked_add(description_len)?)?;
        if kind == 3 && name == b"GNU\0" {
            return Some(
                description
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect(),
            );
        }
        let next = name_padded.checked_add(description_len.checked_next_multiple_of(4)?)?;
        notes = rest.get(next..)?;
    }
    None
}

fn unwind_info(pid: i32, headers: &[ProgramHeader], module: &Module) -> ObjectUnwindInfo {
    let mut info = ObjectUnwindInfo {
        identity: module.identity(),
        code: code_of(headers, module.base),
        eh_frame: None,
    };
    let header = headers
        .iter()
        .find(|header| header.kind == libc::PT_GNU_EH_FRAME);
    let Some(header) = header else { return info };
    let mut bytes = vec![0; usize::try_from(header.bytes).unwrap_or(0).min(64 << 20)];
    if !sys::read_bytes(pid, module.base.wrapping_add(header.address), &mut bytes) {
        return info;
    }
    if let Some(address) = eh_frame_address(&bytes, header.address) {
        let end = headers
            .iter()
            .filter(|header| header.kind == libc::PT_LOAD)
            .find(|segment| (segment.address..segment.end()).contains(&address))
            .map(ProgramHeader::end);
        if let Some(end) = end {
            let copy = copy_eh_frame(pid, module.base, address, end);
            info.eh_frame = Some((address, copy));
        }
    }
    info
}

/// From the first executable segment to the last, as they are mapped.
fn code_of(headers: &[ProgramHeader], base: u64) -> Range<u64> {
    let is_code =
        |header: &&ProgramHeader| header.kind == libc::PT_LOAD && header.flags & libc::PF_X != 0;
    let segments = || headers.iter().filter(is_code);
    let start = segments().map(|header| header.address).min().unwrap_or(0);
    let end = segments().map(ProgramHeader::end).max().unwrap_or(0);
    base.wrapping_add(start)..base.wrapping_add(end)
}

/// The address of `.eh_frame` as `.eh_frame_hdr` states it: version 1, then three encodings,
/// then the pointer. Linkers write it pc-relative in four signed bytes (0x1b).
fn eh_frame_address(header: &[u8], header_address: u64) -> Option<u64> {
    let [1, 0x1b, ..] = *header else { return None };
    let bytes: [u8; 4] = header.get(4..8)?.try_into().ok()?;
    let offset = i64::from(i32::from_le_bytes(bytes));
    header_address.wrapping_add(4).checked_add_signed(offset)
}

/// Copies `.eh_frame` up to its terminator (an entry of length 0), or to the segment's end.
fn copy_eh_frame(pid: i32, base: u64, address: u64, end: u64) -> Vec<u8> {
    const PIECE: usize = 256 << 10;
    let mut copy = Vec::new();
    let mut entry = 0;
    let room = usize::try_from(end.saturating_sub(address)).unwrap_or(0);
    let room = room.min(limits::EH_FRAME_BYTES_MAX);
    while copy.len() < room {
        let old = copy.len();
        copy.resize(old + PIECE.min(room - old), 0);
        let from = base.wrapping_add(address).wrapping_add(old as u64);
        if !sys::read_bytes(pid, from, &mut copy[old..]) {
            copy.truncate(old);
            break;
        }
        while let Some(bytes) = copy.get(entry..entry + 4) {
            let len = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            if len == 0 || len == u32::MAX {
                copy.truncate(entry + 4);
                return copy;
            }
            entry = entry
                .saturating_add(4)
                .saturating_add(usize::try_from(len).unwrap_or(room));
        }
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_id_is_found_behind_other_notes() {
        let mut notes = Vec::new();
        notes.extend([4, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0]);
        notes.extend(b"GNU\0hello\0\0\0");
        notes.extend([4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0]);
        notes.extend(b"GNU\0\x01\xab\xff");
        assert_eq!(build_id_in(&notes).as_deref(), Some("01abff"));
        assert_eq!(build_id_in(&notes[..20]), None);
        assert_eq!(build_id_in(&[0xff; 40]), None);
    }

    #[test]
    fn loaded_objects_hold_our_own_code() {
        let mut modules = Modules::default();
        let tables = modules.refresh(sys::pid(), &Tables::empty());
        assert!(tables.is_some());
        let here = (loaded_objects_hold_our_own_code as fn() as *const ()).addr() as u64;
        let module = modules.find(here).unwrap();
        assert!(module.object().starts_with("flashlamp-"), "{module:?}");
        assert!(modules.find(16).is_none());
        assert!(
            modules.refresh(sys::pid(), &tables.unwrap()).is_none(),
            "nothing changed"
        );
    }
}

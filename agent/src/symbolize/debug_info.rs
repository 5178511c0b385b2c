//! The debug information of one file: functions, lines and inlined calls.
//!
//! What addr2line's own loader does for ELF files, over sections that are read block by block
//! instead of mapped (see [`super::blocks`]): the file's own sections, and where these only point
//! to split ones, the package beside the file (`.dwp`) or the single file (`.dwo`) they name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use addr2line::gimli::{
    AbbreviationsCacheStrategy, Dwarf, DwarfPackage, Error, Reader as _, Result, SectionId,
};
use addr2line::{Context, FrameIter, LookupContinuation as _, LookupResult, SplitDwarfLoad};
use object::{CompressionFormat, Object as _, ObjectSection as _, ReadCache, ReadRef};

use super::blocks::{Blocks, KeptBytes, OpenFile};
use super::section::Section;
use crate::limits;

/// See the module.
pub(super) struct DebugInfo {
    context: Context<Section>,
    package: Option<DwarfPackage<Section>>,
    kept: KeptBytes,
}

impl DebugInfo {
    /// Reads the heads of all units; `None` where they make no sense, and where compressed
    /// sections are too large. `path` is the file's name for people: its package is beside it.
    pub(super) fn open<'data>(
        file: &Arc<OpenFile>,
        object: &object::File<'data, impl ReadRef<'data>>,
        path: &str,
    ) -> Option<Self> {
        let kept = file.kept().clone();
        let load = |id: SectionId| section(object, file, is_used(id).then(|| id.name()));
        let mut sections = Dwarf::load(load).ok()?;
        sections.populate_abbreviations_cache(AbbreviationsCacheStrategy::Duplicates);
        let context = Context::from_dwarf(sections).ok()?;
        let package = with_object(Path::new(&format!("{path}.dwp")), &kept, |object, file| {
            let empty = Section::new(Blocks::of_bytes(Vec::new(), &kept));
            let load = |id: SectionId| section(object, file, id.dwo_name());
            DwarfPackage::load(load, empty).ok()
        });
        Some(Self {
            context,
            package,
            kept,
        })
    }

    /// The functions at an address of the file, the innermost inlined one first.
    pub(super) fn find_frames(&self, address: u64) -> Option<FrameIter<'_, Section>> {
        let mut found = self.context.find_frames(address);
        loop {
            found = match found {
                LookupResult::Output(frames) => return frames.ok(),
                LookupResult::Load { load, continuation } => {
                    continuation.resume(self.split_unit(&load))
                }
            };
        }
    }

    fn split_unit(&self, load: &SplitDwarfLoad<Section>) -> Option<Arc<Dwarf<Section>>> {
        let package = self.package.as_ref();
        let packed = package.and_then(|package| package.find_cu(load.dwo_id, &load.parent).ok()?);
        if let Some(unit) = packed {
            return Some(Arc::new(unit));
        }
        let mut path = PathBuf::new();
        let parts = [load.comp_dir.as_ref(), Some(load.path.as_ref()?)];
        for part in parts.into_iter().flatten() {
            path.push(OsStr::from_bytes(&part.to_slice().ok()?));
        }
        with_object(&path, &self.kept, |object, file| {
            let used = |id: SectionId| id.dwo_name().filter(|_| is_used(id));
            let load_section = |id: SectionId| section(object, file, used(id));
            let mut unit = Dwarf::load(load_section).ok()?;
            let head = unit.units().next().ok()??;
            if unit.unit(head).ok()?.dwo_id != Some(load.dwo_id) {
                return None;
            }
            unit.make_dwo(&load.parent);
            Some(Arc::new(unit))
        })
    }
}

/// Opens an object file beside the program's own.
fn with_object<T>(
    path: &Path,
    kept: &KeptBytes,
    read: impl FnOnce(&object::File<'_, &ReadCache<&std::fs::File>>, &Arc<OpenFile>) -> Option<T>,
) -> Option<T> {
    let file = Arc::new(OpenFile::open(path, kept).ok()?);
    let cache = ReadCache::new(file.file());
    let object = object::File::parse(&cache).ok()?;
    read(&object, &file).filter(|_| file.is_unchanged())
}

/// Whether names and lines come from this section, and not where variables are.
fn is_used(id: SectionId) -> bool {
    !matches!(
        id,
        SectionId::DebugLoc
            | SectionId::DebugLocLists
            | SectionId::DebugMacinfo
            | SectionId::DebugMacro
            | SectionId::DebugNames
    )
}

/// A section; empty where there is none. Compressed ones are inflated as a whole.
fn section<'data>(
    object: &object::File<'data, impl ReadRef<'data>>,
    file: &Arc<OpenFile>,
    name: Option<&str>,
) -> Result<Section> {
    let kept = file.kept();
    let Some(section) = name.and_then(|name| object.section_by_name(name)) else {
        return Ok(Section::new(Blocks::of_bytes(Vec::new(), kept)));
    };
    let range = section
        .compressed_file_range()
        .map_err(|_unreadable| Error::Io)?;
    let len = usize::try_from(range.uncompressed_size).map_err(|_unreadable| Error::Io)?;
    let blocks = if range.format == CompressionFormat::None {
        Blocks::of_file(file, range.offset, len).ok_or(Error::Io)?
    } else {
        if kept.sum().saturating_add(len) > limits::SYMBOL_INFLATED_BYTES_MAX {
            return Err(Error::Io);
        }
        let bytes = section
            .uncompressed_data()
            .map_err(|_unreadable| Error::Io)?;
        Blocks::of_bytes(bytes.into_owned(), kept)
    };
    Ok(Section::new(blocks))
}

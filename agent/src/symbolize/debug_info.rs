//! The debug information of one file, opened for one batch of addresses.
//!
//! Sections are read block by block (see [`super::blocks`]): the file's own, and where these only
//! point to split ones, those of the package beside the file (`.dwp`) or of the single file
//! (`.dwo`) they name. Units are looked at one after the other, and nothing of a unit outlives it:
//! a large program has thousands, or one of tens of megabytes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use gimli::{
    DebugInfoOffset, Dwarf, DwarfPackage, Error, Reader as _, Result, SectionId, Unit, UnitType,
};
use object::{CompressionFormat, Object as _, ObjectSection as _, ReadCache, ReadRef};

use super::Function;
use super::blocks::{Blocks, OpenFile};
use super::section::Section;
use super::unit::{self, FunctionRange};
use crate::limits;

/// Which addresses each unit of a file has code at: all that is kept of debug information.
#[derive(Debug, Default)]
pub(super) struct UnitIndex {
    /// Beginning and end of each range, and its unit's place in `units`.
    ranges: Vec<(u64, u64, u32)>,
    /// Where in the section the units are, in order.
    units: Vec<usize>,
    /// The functions of the units that were looked at, by the units' places.
    functions: RefCell<BTreeMap<usize, Arc<[FunctionRange]>>>,
}

impl UnitIndex {
    /// What it takes of the memory.
    pub(super) fn bytes(&self) -> usize {
        let functions = self.functions.borrow();
        let functions: usize = functions
            .values()
            .map(|of_unit| size_of_val(&**of_unit))
            .sum();
        size_of_val(&*self.ranges) + size_of_val(&*self.units) + functions
    }

    /// The functions of the unit at this place, which `unit` is or stands for.
    fn functions_of(
        &self,
        place: usize,
        unit: gimli::UnitRef<'_, Section>,
    ) -> Result<Arc<[FunctionRange]>> {
        if let Some(known) = self.functions.borrow().get(&place) {
            return Ok(Arc::clone(known));
        }
        let functions: Arc<[FunctionRange]> = unit::functions_of(unit)?.into();
        let mut known = self.functions.borrow_mut();
        known.insert(place, Arc::clone(&functions));
        Ok(functions)
    }

    /// For each unit that has some of the addresses (sorted) their places.
    fn units_at(&self, addresses: &[u64]) -> BTreeMap<usize, Vec<usize>> {
        let mut found = BTreeMap::<usize, Vec<usize>>::new();
        for (begin, end, unit) in &self.ranges {
            let from = addresses.partition_point(|address| address < begin);
            let to = addresses.partition_point(|address| address < end);
            let unit = usize::try_from(*unit).ok();
            if let Some(unit) = unit.and_then(|unit| self.units.get(unit))
                && from < to
            {
                found.entry(*unit).or_default().extend(from..to);
            }
        }
        for places in found.values_mut() {
            places.sort_unstable();
            places.dedup();
        }
        found
    }

    /// The unit that holds a place in the section.
    fn unit_around(&self, place: usize) -> Option<usize> {
        let after = self.units.partition_point(|unit| *unit <= place);
        self.units.get(after.checked_sub(1)?).copied()
    }
}

/// See the module.
pub(super) struct DebugInfo {
    dwarf: Rc<Dwarf<Section>>,
    package: Option<DwarfPackage<Section>>,
    /// Units that others took names from, by their places.
    others: RefCell<BTreeMap<usize, Rc<Unit<Section>>>>,
}

impl DebugInfo {
    /// `None` where the sections make no sense, and where compressed ones are too large. `path` is
    /// the file's name for people: its package is beside it.
    pub(super) fn open<'data>(
        file: &Rc<OpenFile>,
        object: &object::File<'data, impl ReadRef<'data>>,
        path: &str,
    ) -> Option<Self> {
        let mut room = limits::SYMBOL_INFLATED_BYTES_MAX;
        let mut load = |id: SectionId| {
            let name = is_used(id).then(|| id.name());
            section(object, file, name, &mut room)
        };
        let dwarf = Rc::new(Dwarf::load(&mut load).ok()?);
        let package = with_object(Path::new(&format!("{path}.dwp")), |object, file| {
            let empty = Section::new(Blocks::of_bytes(Vec::new()));
            let mut room = limits::SYMBOL_INFLATED_BYTES_MAX;
            let load = |id: SectionId| section(object, file, id.dwo_name(), &mut room);
            DwarfPackage::load(load, empty).ok()
        });
        Some(Self {
            dwarf,
            package,
            others: RefCell::default(),
        })
    }

    /// Reads the heads of all units.
    pub(super) fn index(&self) -> Result<UnitIndex> {
        let mut index = UnitIndex::default();
        let mut heads = self.dwarf.units();
        while let Some(head) = heads.next()? {
            let Some(DebugInfoOffset(place)) = head.debug_info_offset() else {
                continue;
            };
            let has_code = matches!(head.type_(), UnitType::Compilation | UnitType::Skeleton(_));
            let number = u32::try_from(index.units.len()).map_err(|_too_many| Error::Io)?;
            index.units.push(place);
            if !has_code {
                continue;
            }
            // One unit that makes no sense costs its own names.
            let Ok(unit) = self.dwarf.unit(head) else {
                continue;
            };
            let add = |begin, end| index.ranges.push((begin, end, number));
            let _ = unit::ranges(unit.unit_ref(&self.dwarf), add);
        }
        index.ranges.shrink_to_fit();
        index.units.shrink_to_fit();
        Ok(index)
    }

    /// The functions at each of the addresses (sorted), the innermost inlined one first; names as
    /// they stand in the file.
    pub(super) fn functions_at(&self, index: &UnitIndex, addresses: &[u64]) -> Vec<Vec<Function>> {
        let mut all = vec![Vec::new(); addresses.len()];
        for (unit, places) in index.units_at(addresses) {
            let places: Vec<usize> = places
                .into_iter()
                .filter(|place| !is_named(&all[*place]))
                .collect();
            let wanted: Vec<u64> = places.iter().map(|place| addresses[*place]).collect();
            // One unit that makes no sense costs its own names.
            let found = self.functions_of_unit(index, unit, &wanted);
            for (place, functions) in places.into_iter().zip(found.unwrap_or_default()) {
                keep_better(&mut all[place], functions);
            }
            let mut others = self.others.borrow_mut();
            if others.len() > limits::SYMBOL_UNITS_KEPT {
                others.clear();
            }
        }
        all
    }

    fn functions_of_unit(
        &self,
        index: &UnitIndex,
        unit: usize,
        wanted: &[u64],
    ) -> Result<Vec<Vec<Function>>> {
        let own = self.unit_at(unit)?;
        let own = own.unit_ref(&self.dwarf);
        if let Some(split) = self.split_of(&own) {
            let head = split.units().next()?.ok_or(Error::Io)?;
            let mut inner = split.unit(head)?;
            inner.copy_relocated_attributes(&own);
            let inner = inner.unit_ref(&split);
            let functions = index.functions_of(unit, inner)?;
            return unit::functions_at(inner, own, &functions, wanted, &|_| None);
        }
        let functions = index.functions_of(unit, own)?;
        let other = |place: DebugInfoOffset<usize>| self.other_unit(index, place);
        unit::functions_at(own, own, &functions, wanted, &other)
    }

    fn unit_at(&self, place: usize) -> Result<Unit<Section>> {
        self.dwarf
            .unit(self.dwarf.unit_header(DebugInfoOffset(place))?)
    }

    /// The unit that holds a place that another unit names.
    fn other_unit(
        &self,
        index: &UnitIndex,
        place: DebugInfoOffset<usize>,
    ) -> Option<(&Dwarf<Section>, Rc<Unit<Section>>)> {
        let head = index.unit_around(place.0)?;
        if let Some(known) = self.others.borrow().get(&head) {
            return Some((&self.dwarf, Rc::clone(known)));
        }
        let unit = Rc::new(self.unit_at(head).ok()?);
        self.others.borrow_mut().insert(head, Rc::clone(&unit));
        Some((&self.dwarf, unit))
    }

    /// The sections of the split unit that a skeleton stands for.
    fn split_of(&self, skeleton: &gimli::UnitRef<'_, Section>) -> Option<Dwarf<Section>> {
        let id = skeleton.dwo_id?;
        let package = self.package.as_ref();
        let packed = package.and_then(|package| package.find_cu(id, &self.dwarf).ok()?);
        if packed.is_some() {
            return packed;
        }
        let name = skeleton.attr_string(skeleton.dwo_name().ok()??).ok()?;
        let mut path = PathBuf::new();
        for part in skeleton.comp_dir.iter().chain([&name]) {
            path.push(OsStr::from_bytes(&part.to_slice().ok()?));
        }
        with_object(&path, |object, file| {
            let mut room = limits::SYMBOL_INFLATED_BYTES_MAX;
            let used = |id: SectionId| id.dwo_name().filter(|_| is_used(id));
            let load = |id: SectionId| section(object, file, used(id), &mut room);
            let mut unit = Dwarf::load(load).ok()?;
            let head = unit.units().next().ok()??;
            if unit.unit(head).ok()?.dwo_id != Some(id) {
                return None;
            }
            unit.make_dwo(&self.dwarf);
            Some(unit)
        })
    }
}

/// Whether the code's own function has a name, and not its lines alone.
fn is_named(functions: &[Function]) -> bool {
    functions.last().is_some_and(|code| !code.name.is_empty())
}

/// A unit may have lines without a function, and another one the function.
fn keep_better(known: &mut Vec<Function>, other: Vec<Function>) {
    if known.is_empty() || is_named(&other) {
        *known = other;
    }
}

/// Opens an object file beside the program's own.
fn with_object<T>(
    path: &Path,
    read: impl FnOnce(&object::File<'_, &ReadCache<&std::fs::File>>, &Rc<OpenFile>) -> Option<T>,
) -> Option<T> {
    let file = Rc::new(OpenFile::open(path).ok()?);
    let cache = ReadCache::new(file.file());
    let object = object::File::parse(&cache).ok()?;
    read(&object, &file).filter(|_| file.is_unchanged())
}

/// Whether names and lines come from this section, and not where variables are.
fn is_used(id: SectionId) -> bool {
    !matches!(
        id,
        SectionId::DebugAranges
            | SectionId::DebugLoc
            | SectionId::DebugLocLists
            | SectionId::DebugMacinfo
            | SectionId::DebugMacro
            | SectionId::DebugNames
    )
}

/// A section; empty where there is none. Compressed ones are inflated as a whole, as long as there
/// is room.
fn section<'data>(
    object: &object::File<'data, impl ReadRef<'data>>,
    file: &Rc<OpenFile>,
    name: Option<&str>,
    room: &mut usize,
) -> Result<Section> {
    let Some(section) = name.and_then(|name| object.section_by_name(name)) else {
        return Ok(Section::new(Blocks::of_bytes(Vec::new())));
    };
    let range = section
        .compressed_file_range()
        .map_err(|_unreadable| Error::Io)?;
    let len = usize::try_from(range.uncompressed_size).map_err(|_unreadable| Error::Io)?;
    let blocks = if range.format == CompressionFormat::None {
        Blocks::of_file(file, range.offset, len).ok_or(Error::Io)?
    } else {
        *room = room.checked_sub(len).ok_or(Error::Io)?;
        let bytes = section
            .uncompressed_data()
            .map_err(|_unreadable| Error::Io)?;
        Blocks::of_bytes(bytes.into_owned())
    };
    Ok(Section::new(blocks))
}

//! One unit of debug information (DWARF 5, section 3.1): the functions, inlined calls and lines at
//! some addresses.
//!
//! One pass over the unit's entries, when it is looked at first, finds out where its functions are.
//! From there on only the entries of functions are read that hold one of the addresses: a unit may
//! be a whole program. One pass over its line program finds the lines. Nothing else is kept of what
//! the addresses do not need.

use std::collections::BTreeMap;
use std::rc::Rc;

use gimli::{
    AttributeValue, DebugInfoOffset, Dwarf, EntriesRaw, Reader as _, Result, Unit, UnitOffset,
    UnitRef, constants as dw,
};

use super::Function;
use super::section::Section;

/// References that are followed to a name: a call's to its function, that one's to its declaration.
const REFERENCES_MAX: u32 = 16;

/// Finds the unit that holds a place of the section, where it may be another one.
type OtherUnit<'o, 'd> =
    &'o dyn Fn(DebugInfoOffset<usize>) -> Option<(&'d Dwarf<Section>, Rc<Unit<Section>>)>;

/// Calls `add` with the ranges of a unit's code: those that it states, else those of its lines.
pub(super) fn ranges(unit: UnitRef<'_, Section>, mut add: impl FnMut(u64, u64)) -> Result<()> {
    let mut stated = unit.unit_ranges()?;
    let mut is_stated = false;
    while let Some(range) = stated.next()? {
        if range.begin < range.end {
            is_stated = true;
            add(range.begin, range.end);
        }
    }
    if is_stated {
        return Ok(());
    }
    for_each_sequence(unit, |rows, end| {
        if let Some(first) = rows.first()
            && first.address < end
        {
            add(first.address, end);
        }
    })
}

/// The functions at each of the addresses (sorted), the innermost inlined one first. The last has
/// no name where only lines are known. Lines stand in `skeleton` where the unit is split.
pub(super) fn functions_at(
    unit: UnitRef<'_, Section>,
    skeleton: UnitRef<'_, Section>,
    functions: &[FunctionRange],
    addresses: &[u64],
    other: OtherUnit<'_, '_>,
) -> Result<Vec<Vec<Function>>> {
    let calls = calls_at(unit, functions, addresses, other)?;
    let lines = lines_at(skeleton, addresses)?;
    let mut files = Files::of(skeleton);
    let mut all = Vec::with_capacity(addresses.len());
    for (calls, line) in calls.into_iter().zip(lines) {
        let mut functions = Vec::with_capacity(calls.len());
        let mut place = line;
        for call in calls.into_iter().rev() {
            functions.push(files.function(call.name, place));
            place = call.from;
        }
        if functions.is_empty() && line.is_some() {
            functions.push(files.function(None, line));
        }
        all.push(functions);
    }
    Ok(all)
}

/// A file's number in the line program, and a line.
type Place = Option<(u64, u32)>;

/// A function, or a call that was inlined.
#[derive(Debug)]
struct Call {
    name: Option<String>,
    /// Where it was called from, where it was inlined.
    from: Place,
}

/// The entries around the one that is being read, and which of the addresses they hold.
struct Open {
    depth: isize,
    holds: Vec<usize>,
}

/// Where a function's code begins and ends, and where its entry is in the unit.
pub(super) type FunctionRange = (u64, u64, usize);

/// The code of all functions of a unit. Takes one pass over its entries.
pub(super) fn functions_of(unit: UnitRef<'_, Section>) -> Result<Vec<FunctionRange>> {
    let mut functions = Vec::new();
    let mut entries = unit.entries_raw(None)?;
    while !entries.is_empty() {
        let offset = entries.next_offset().0;
        let Some(abbreviation) = entries.read_abbreviation()? else {
            continue;
        };
        if abbreviation.tag() == dw::DW_TAG_subprogram {
            let entry = Entry::read(&mut entries, abbreviation.attributes())?;
            entry.for_each_range(unit, |begin, end| functions.push((begin, end, offset)))?;
        } else {
            entries.skip_attributes(abbreviation.attributes())?;
        }
    }
    Ok(functions)
}

/// The functions and calls at each address, the outermost first.
fn calls_at(
    unit: UnitRef<'_, Section>,
    functions: &[FunctionRange],
    addresses: &[u64],
    other: OtherUnit<'_, '_>,
) -> Result<Vec<Vec<Call>>> {
    let mut holding = BTreeMap::<usize, Vec<usize>>::new();
    for (begin, end, offset) in functions {
        let places = places_in(addresses, *begin, *end);
        if !places.is_empty() {
            holding.entry(*offset).or_default().extend(places);
        }
    }
    let mut calls: Vec<Vec<Call>> = addresses.iter().map(|_| Vec::new()).collect();
    for (offset, mut places) in holding {
        // Of several functions for one address, which the linker found to be equal, the first.
        places.retain(|place| calls[*place].is_empty());
        if places.is_empty() {
            continue;
        }
        for (place, call) in calls_of(unit, offset, &places, addresses, other)? {
            calls[place].push(call);
        }
    }
    Ok(calls)
}

/// One function, whose entry is at `offset`, and what was inlined into it, the outermost first: a
/// call for each of the places of addresses that it holds.
fn calls_of(
    unit: UnitRef<'_, Section>,
    offset: usize,
    places: &[usize],
    addresses: &[u64],
    other: OtherUnit<'_, '_>,
) -> Result<Vec<(usize, Call)>> {
    let mut calls = Vec::new();
    let mut entries = unit.entries_raw(Some(UnitOffset(offset)))?;
    let mut add = |entry: &Entry, holds: &[usize]| {
        let name = entry.name(unit, other, REFERENCES_MAX);
        let from = entry.call_place(unit);
        for place in holds {
            let name = name.clone();
            calls.push((*place, Call { name, from }));
        }
    };
    let mut open: Vec<Open> = Vec::new();
    while !entries.is_empty() {
        let depth = entries.next_depth();
        let is_function = open.is_empty();
        if depth <= 0 && !is_function {
            break;
        }
        // The function's own stays.
        while open.len() > 1 && open.last().is_some_and(|last| last.depth >= depth) {
            open.pop();
        }
        let Some(abbreviation) = entries.read_abbreviation()? else {
            continue;
        };
        let attributes = abbreviation.attributes();
        let around = open.last().map_or(places, |last| &last.holds);
        let holds = match abbreviation.tag() {
            _ if is_function => {
                let entry = Entry::read(&mut entries, attributes)?;
                add(&entry, around);
                around.to_vec()
            }
            dw::DW_TAG_inlined_subroutine if !around.is_empty() => {
                let entry = Entry::read(&mut entries, attributes)?;
                let holds = entry.holds(unit, addresses, around)?;
                if !holds.is_empty() {
                    add(&entry, &holds);
                }
                holds
            }
            dw::DW_TAG_subprogram => {
                // A function within a function has its own code.
                entries.skip_attributes(attributes)?;
                Vec::new()
            }
            _ => {
                entries.skip_attributes(attributes)?;
                continue;
            }
        };
        open.push(Open { depth, holds });
    }
    Ok(calls)
}

/// The places of the addresses (sorted) in a range.
fn places_in(addresses: &[u64], begin: u64, end: u64) -> std::ops::Range<usize> {
    let from = addresses.partition_point(|address| *address < begin);
    let to = addresses.partition_point(|address| *address < end);
    from..to.max(from)
}

/// What is needed of a function's or an inlined call's entry.
#[derive(Debug, Default)]
struct Entry {
    low: Option<AttributeValue<Section>>,
    high: Option<AttributeValue<Section>>,
    ranges: Option<AttributeValue<Section>>,
    linkage_name: Option<AttributeValue<Section>>,
    own_name: Option<AttributeValue<Section>>,
    /// The entry that this one is an instance or the definition of.
    origin: Option<AttributeValue<Section>>,
    call_file: Option<AttributeValue<Section>>,
    call_line: Option<AttributeValue<Section>>,
}

impl Entry {
    fn read(
        entries: &mut EntriesRaw<'_, Section>,
        attributes: &[gimli::AttributeSpecification],
    ) -> Result<Self> {
        let mut entry = Self::default();
        for attribute in attributes {
            let attribute = entries.read_attribute(*attribute)?;
            let field = match attribute.name() {
                dw::DW_AT_low_pc => &mut entry.low,
                dw::DW_AT_high_pc => &mut entry.high,
                dw::DW_AT_ranges => &mut entry.ranges,
                dw::DW_AT_linkage_name | dw::DW_AT_MIPS_linkage_name => &mut entry.linkage_name,
                dw::DW_AT_name => &mut entry.own_name,
                dw::DW_AT_abstract_origin | dw::DW_AT_specification => &mut entry.origin,
                dw::DW_AT_call_file => &mut entry.call_file,
                dw::DW_AT_call_line => &mut entry.call_line,
                _ => continue,
            };
            *field = Some(attribute.value());
        }
        Ok(entry)
    }

    /// Calls `add` with the beginning and end of its code.
    fn for_each_range(
        &self,
        unit: UnitRef<'_, Section>,
        mut add: impl FnMut(u64, u64),
    ) -> Result<()> {
        let listed = match &self.ranges {
            Some(value) => unit.attr_ranges(value.clone())?,
            None => None,
        };
        if let Some(mut ranges) = listed {
            while let Some(range) = ranges.next()? {
                add(range.begin, range.end);
            }
        } else if let (Some(low), Some(high)) = (&self.low, &self.high)
            && let Some(begin) = unit.attr_address(low.clone())?
        {
            // The end is an address, or how far it is.
            let end = match high.udata_value() {
                Some(bytes) => begin.checked_add(bytes),
                None => unit.attr_address(high.clone())?,
            };
            add(begin, end.unwrap_or(begin));
        }
        Ok(())
    }

    /// Those of the places around it that it holds too.
    fn holds(
        &self,
        unit: UnitRef<'_, Section>,
        addresses: &[u64],
        around: &[usize],
    ) -> Result<Vec<usize>> {
        let mut places = Vec::new();
        self.for_each_range(unit, |begin, end| {
            places.extend(places_in(addresses, begin, end));
        })?;
        places.sort_unstable();
        places.dedup();
        places.retain(|place| around.contains(place));
        Ok(places)
    }

    fn name(
        &self,
        unit: UnitRef<'_, Section>,
        other: OtherUnit<'_, '_>,
        references_left: u32,
    ) -> Option<String> {
        let text = |value: &AttributeValue<Section>| {
            let text = unit.attr_string(value.clone()).ok()?;
            Some(text.to_string_lossy().ok()?.into_owned())
        };
        let own = self.linkage_name.as_ref().and_then(text);
        if let Some(name) = own.or_else(|| self.own_name.as_ref().and_then(text)) {
            return Some(name);
        }
        let left = references_left.checked_sub(1)?;
        match self.origin.as_ref()? {
            AttributeValue::UnitRef(offset) => name_at(&unit, *offset)?.name(unit, other, left),
            AttributeValue::DebugInfoRef(place) => {
                let (dwarf, holder) = other(*place)?;
                let offset = place.to_unit_offset(&holder.header)?;
                let entry = name_at(&holder, offset)?;
                entry.name(holder.unit_ref(dwarf), other, left)
            }
            _ => None,
        }
    }

    fn call_place(&self, unit: UnitRef<'_, Section>) -> Place {
        let file = match self.call_file.as_ref()? {
            AttributeValue::FileIndex(file) => *file,
            _ => return None,
        };
        // Before DWARF 5 this meant that there is no file.
        if file == 0 && unit.header.version() < 5 {
            return None;
        }
        let line = self.call_line.as_ref();
        let line = line.and_then(AttributeValue::udata_value);
        Some((file, u32::try_from(line.unwrap_or(0)).unwrap_or(0)))
    }
}

/// The entry at a place of a unit.
fn name_at(unit: &Unit<Section>, offset: UnitOffset<usize>) -> Option<Entry> {
    let mut entries = unit.entries_raw(Some(offset)).ok()?;
    let abbreviation = entries.read_abbreviation().ok()??;
    Entry::read(&mut entries, abbreviation.attributes()).ok()
}

/// From an address on, the code is of this line.
#[derive(Clone, Copy, Debug)]
struct Row {
    address: u64,
    file: u64,
    line: u32,
}

/// Calls `each` with the rows of every sequence of the unit's lines, and where its code ends.
fn for_each_sequence(unit: UnitRef<'_, Section>, mut each: impl FnMut(&[Row], u64)) -> Result<()> {
    let Some(program) = unit.line_program.clone() else {
        return Ok(());
    };
    let mut sequence: Vec<Row> = Vec::new();
    let mut rows = program.rows();
    while let Some((_, row)) = rows.next_row()? {
        if row.end_sequence() {
            each(&sequence, row.address());
            sequence.clear();
            continue;
        }
        let line = row.line().map_or(0, std::num::NonZeroU64::get);
        let row = Row {
            address: row.address(),
            file: row.file_index(),
            line: u32::try_from(line).unwrap_or(0),
        };
        match sequence.last_mut() {
            // Of several lines for one address the last one counts.
            Some(last) if last.address == row.address => *last = row,
            _ => sequence.push(row),
        }
    }
    Ok(())
}

/// The line at each of the addresses (sorted).
fn lines_at(unit: UnitRef<'_, Section>, addresses: &[u64]) -> Result<Vec<Place>> {
    let mut places: Vec<Place> = vec![None; addresses.len()];
    for_each_sequence(unit, |rows, end| {
        let Some(first) = rows.first() else { return };
        let from = addresses.partition_point(|address| *address < first.address);
        let to = addresses.partition_point(|address| *address < end);
        for at in from..to {
            let after = rows.partition_point(|row| row.address <= addresses[at]);
            let row = after.checked_sub(1).and_then(|index| rows.get(index));
            places[at] = places[at].or(row.map(|row| (row.file, row.line)));
        }
    })?;
    Ok(places)
}

/// The names of a unit's source files, made when they are asked for.
struct Files<'u> {
    unit: UnitRef<'u, Section>,
    known: BTreeMap<u64, Option<String>>,
}

impl<'u> Files<'u> {
    fn of(unit: UnitRef<'u, Section>) -> Self {
        let known = BTreeMap::new();
        Self { unit, known }
    }

    fn function(&mut self, name: Option<String>, place: Place) -> Function {
        let file = place.and_then(|(file, _)| self.name(file));
        Function {
            name: name.unwrap_or_default().into(),
            file: file.map(Into::into),
            line: place.map_or(0, |(_, line)| line),
        }
    }

    fn name(&mut self, number: u64) -> Option<String> {
        let unit = self.unit;
        let known = self.known.entry(number);
        known.or_insert_with(|| file_name(unit, number)).clone()
    }
}

/// The folder that was compiled in, the file's own folder and its name: each may be absolute.
fn file_name(unit: UnitRef<'_, Section>, number: u64) -> Option<String> {
    let header = unit.line_program.as_ref()?.header();
    let file = header.file(number)?;
    let mut name = match &unit.comp_dir {
        Some(folder) => folder.to_string_lossy().ok()?.into_owned(),
        None => String::new(),
    };
    // Number 0 is the folder that was compiled in.
    let folder = Some(file.directory_index()).filter(|number| *number != 0);
    let folder = folder.and_then(|_| file.directory(header));
    for part in [folder, Some(file.path_name())].into_iter().flatten() {
        let part = unit.attr_string(part).ok()?;
        let part = part.to_string_lossy().ok()?;
        if part.starts_with('/') {
            name.clear();
        } else if !name.is_empty() && !name.ends_with('/') {
            name.push('/');
        }
        name.push_str(&part);
    }
    Some(name)
}

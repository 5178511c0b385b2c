//! Symbol tables: where functions begin, and their names in the file.

use std::cmp::Reverse;

use gimli::Reader as _;
use object::elf;

use super::section::Section;

/// The functions of a symbol table, in order of their addresses. Names stay in the file.
#[derive(Debug, Default)]
pub(super) struct SymbolTable {
    symbols: Vec<Symbol>,
}

/// 24 bytes: a large program has hundreds of thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Symbol {
    address: u64,
    /// 0 where the file does not say.
    size: u64,
    /// Where its name begins in the table's strings.
    name: u32,
    /// Which table it is from.
    table: u32,
}

/// One table of a file, and the strings of its names.
#[derive(Debug)]
pub(super) struct TableSections {
    pub(super) symbols: Section,
    pub(super) strings: Section,
}

impl TableSections {
    fn name(&self, symbol: &Symbol) -> Option<String> {
        let mut strings = self.strings.clone();
        strings.skip(usize::try_from(symbol.name).ok()?).ok()?;
        let name = strings.read_null_terminated_slice().ok()?;
        Some(name.to_string_lossy().ok()?.into_owned())
    }
}

/// The next entry; `Some` inside where it is a function that has code here. `Elf64_Sym` of elf(5):
/// name (32 bits), info, other (8 each), section (16), address, size (64).
fn next(entries: &mut Section, table: u32) -> gimli::Result<Option<Symbol>> {
    let name = entries.read_u32()?;
    let kind = entries.read_u8()? & 0xf;
    entries.read_u8()?;
    let section = entries.read_u16()?;
    let (address, size) = (entries.read_u64()?, entries.read_u64()?);
    let is_code = kind == elf::STT_FUNC.0 || kind == elf::STT_GNU_IFUNC.0;
    let is_here = section != elf::SHN_UNDEF.0 && address != 0 && name != 0;
    Ok((is_code && is_here).then_some(Symbol {
        address,
        size,
        name,
        table,
    }))
}

impl SymbolTable {
    /// Reads the tables once. Of several names for one address the first in order wins, the same on
    /// every run.
    pub(super) fn read(tables: &[TableSections]) -> Self {
        let mut symbols = Vec::new();
        for (number, table) in (0..).zip(tables) {
            let mut rest = table.symbols.clone();
            while let Ok(symbol) = next(&mut rest, number) {
                symbols.extend(symbol);
            }
        }
        let name = |symbol: &Symbol| tables.get(symbol.table as usize)?.name(symbol);
        symbols.sort_unstable_by(|a, b| {
            let by_place = (a.address, Reverse(a.size)).cmp(&(b.address, Reverse(b.size)));
            by_place.then_with(|| name(a).cmp(&name(b)))
        });
        symbols.dedup_by_key(|symbol| symbol.address);
        symbols.shrink_to_fit();
        Self { symbols }
    }

    /// What it takes of the memory.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.symbols)
    }

    /// The name of the function at an address, as it stands in the file.
    pub(super) fn name_at(&self, tables: &[TableSections], address: u64) -> Option<String> {
        let after = self
            .symbols
            .partition_point(|symbol| symbol.address <= address);
        let symbol = self.symbols.get(after.checked_sub(1)?)?;
        // A neighbour must not lend its name. Hand-written assembly often states no size.
        let size = if symbol.size == 0 { 1024 } else { symbol.size };
        let inside = address - symbol.address < size;
        let table = tables.get(usize::try_from(symbol.table).ok()?)?;
        inside.then(|| table.name(symbol)).flatten()
    }
}

//! One object file's names.

use std::io;
use std::rc::Rc;

use object::{Object as _, ObjectSection as _, ReadRef};

use super::Function;
use super::blocks::{Blocks, OpenFile, Stamp};
use super::debug_info::{DebugInfo, UnitIndex};
use super::section::Section;
use super::symbol_table::{SymbolTable, TableSections};
use crate::limits;
use crate::mappings::Module;
use crate::sys;

/// What is kept of a file between batches: where in it to look.
#[derive(Debug)]
pub(super) struct ObjectFile {
    /// What the file was when this was made; `None` for what is no file.
    stamp: Option<Stamp>,
    units: UnitIndex,
    /// Read when a name is asked for that debug information does not have.
    symbols: Option<SymbolTable>,
}

/// A file that is open for one batch.
pub(super) struct Opened {
    file: Option<Rc<OpenFile>>,
    debug: Option<DebugInfo>,
    tables: Vec<TableSections>,
}

impl Opened {
    /// Opens the module's file; `None` where there is none, it cannot be read, or another build
    /// is there by now: no name is better than that of whatever is at this address today.
    ///
    /// # Errors
    /// The process has no file descriptor left, which says nothing about the file.
    pub(super) fn open(module: &Module) -> io::Result<Option<Self>> {
        let Some(path) = module.file.as_ref() else {
            return Ok(Self::of_memory(module));
        };
        match OpenFile::open(path) {
            Ok(open) => Ok(Self::read(module, &Rc::new(open))),
            Err(error) => match error.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE) => Err(error),
                _ => Ok(None),
            },
        }
    }

    fn read(module: &Module, open: &Rc<OpenFile>) -> Option<Self> {
        let cache = object::ReadCache::new(open.file());
        let object = object::File::parse(&cache).ok()?;
        if !is_build_of(&object, module) {
            return None;
        }
        let debug = DebugInfo::open(open, &object, &module.path);
        let table = |offset, len| Blocks::of_file(open, offset, len);
        let tables = tables_of(&object, table);
        open.is_unchanged().then_some(Self {
            file: Some(Rc::clone(open)),
            debug,
            tables,
        })
    }

    /// An object that is no file: the kernel maps the whole image of its vDSO.
    fn of_memory(module: &Module) -> Option<Self> {
        // The section headers come after the last segment, on its last page.
        let len = usize::try_from(module.end.checked_sub(module.start)?).ok()?;
        let len = len.checked_next_multiple_of(4096)?;
        let mut image = vec![0; len.min(limits::VDSO_BYTES_MAX)];
        if !sys::read_bytes(sys::pid(), module.start, &mut image) {
            return None;
        }
        let table = |offset, len| {
            let offset = usize::try_from(offset).ok()?;
            let bytes = image.get(offset..offset.checked_add(len)?)?;
            Some(Blocks::of_bytes(bytes.to_vec()))
        };
        let tables = tables_of(&object::File::parse(&*image).ok()?, table);
        Some(Self {
            file: None,
            debug: None,
            tables,
        })
    }

    fn stamp(&self) -> Option<Stamp> {
        self.file.as_ref().map(|file| file.stamp())
    }
}

/// The tables of symbols, and those of what others link to, each with its strings.
fn tables_of<'data>(
    object: &object::File<'data, impl ReadRef<'data>>,
    blocks: impl Fn(u64, usize) -> Option<Blocks>,
) -> Vec<TableSections> {
    let section = |name: &str| {
        let (offset, len) = object.section_by_name(name)?.file_range()?;
        Some(Section::new(blocks(offset, usize::try_from(len).ok()?)?))
    };
    let table = |(symbols, strings): (&str, &str)| {
        Some(TableSections {
            symbols: section(symbols)?,
            strings: section(strings)?,
        })
    };
    let names = [(".symtab", ".strtab"), (".dynsym", ".dynstr")];
    names.into_iter().filter_map(table).collect()
}

impl ObjectFile {
    /// Finds out where in the file units are; reads the heads of all of them.
    pub(super) fn index(opened: &Opened) -> Self {
        let units = opened.debug.as_ref().and_then(|debug| debug.index().ok());
        Self {
            stamp: opened.stamp(),
            units: units.unwrap_or_default(),
            symbols: None,
        }
    }

    /// Whether this is of the file that was opened now, and not of what was there before.
    pub(super) fn is_of(&self, opened: &Opened) -> bool {
        self.stamp == opened.stamp()
    }

    /// What it takes of the memory.
    pub(super) fn bytes(&self) -> usize {
        let symbols = self.symbols.as_ref().map_or(0, SymbolTable::bytes);
        self.units.bytes().saturating_add(symbols)
    }

    /// The functions at each of the addresses (sorted), the innermost inlined one first.
    pub(super) fn functions_at(
        &mut self,
        opened: &Opened,
        addresses: &[u64],
    ) -> Vec<Vec<Function>> {
        let mut all = match &opened.debug {
            Some(debug) => debug.functions_at(&self.units, addresses),
            None => vec![Vec::new(); addresses.len()],
        };
        for (functions, address) in all.iter_mut().zip(addresses) {
            // Only the code's own function may be left without a name.
            let last = functions.len().saturating_sub(1);
            let mut index = 0;
            functions.retain(|function| {
                index += 1;
                index > last || !function.name.is_empty()
            });
            let code = functions.last_mut();
            if code.as_ref().is_some_and(|code| !code.name.is_empty()) {
                continue;
            }
            let symbols = &mut self.symbols;
            let symbols = symbols.get_or_insert_with(|| SymbolTable::read(&opened.tables));
            let name = symbols.name_at(&opened.tables, *address);
            match (code, name) {
                // Line tables without function names: the symbol names the code.
                (Some(code), Some(name)) => code.name = name.into(),
                (Some(_), None) => functions.clear(),
                (None, name) => functions.extend(name.map(|name| Function {
                    name: name.into(),
                    file: None,
                    line: 0,
                })),
            }
        }
        all
    }
}

/// Whether the file has the build id that the loaded object has; true where that has none.
fn is_build_of<'data>(file: &object::File<'data, impl ReadRef<'data>>, module: &Module) -> bool {
    let build_id = file.build_id().ok().flatten().unwrap_or_default();
    let build_id: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    module.build_id.is_empty() || module.build_id == build_id
}

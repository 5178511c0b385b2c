//! One object file's names.

use std::io;
use std::sync::Arc;

use object::{Object as _, ObjectSymbol as _, SymbolKind};

use super::blocks::{KeptBytes, OpenFile};
use super::debug_info::DebugInfo;
use super::{Function, Functions};
use crate::limits;
use crate::mappings::Module;
use crate::sys;

/// Debug information and symbols of one file.
pub(super) struct ObjectFile {
    debug: Option<DebugInfo>,
    symbols: Vec<Symbol>,
}

impl std::fmt::Debug for ObjectFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectFile")
            .field("symbols", &self.symbols.len())
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Symbol {
    address: u64,
    /// 0 where the file does not say.
    size: u64,
    name: Box<str>,
}

impl ObjectFile {
    /// Opens the module's file; `None` where there is none, it cannot be read, or another build
    /// is there by now: no name is better than that of whatever is at this address today.
    ///
    /// # Errors
    /// The process has no file descriptor left, which says nothing about the file.
    pub(super) fn open(module: &Module, kept: &KeptBytes) -> io::Result<Option<Self>> {
        let Some(path) = module.file.as_ref() else {
            let symbols = symbols_in_memory(module);
            return Ok(symbols.map(|symbols| Self {
                debug: None,
                symbols,
            }));
        };
        match OpenFile::open(path, kept) {
            Ok(open) => Ok(Self::read(module, &Arc::new(open))),
            Err(error) => match error.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE) => Err(error),
                _ => Ok(None),
            },
        }
    }

    fn read(module: &Module, open: &Arc<OpenFile>) -> Option<Self> {
        let cache = object::ReadCache::new(open.file());
        let file = object::File::parse(&cache).ok()?;
        if !is_build_of(&file, module) {
            return None;
        }
        let debug = DebugInfo::open(open, &file, &module.path);
        let symbols = symbols_of(&file);
        if !open.is_unchanged() {
            return None;
        }
        (debug.is_some() || !symbols.is_empty()).then_some(Self { debug, symbols })
    }

    /// The functions at an address of the file, the innermost inlined one first.
    pub(super) fn functions_at(&self, address: u64) -> Functions {
        let mut functions = self.debug_functions(address);
        let symbol = self.symbol_at(address);
        match functions.last_mut() {
            // Line tables without function names: the symbol names the code.
            Some(outermost) if outermost.name.is_empty() => match symbol {
                Some(name) => outermost.name = name,
                None => return Arc::from([]),
            },
            Some(_) => {}
            None => {
                let name = symbol;
                functions.extend(name.map(|name| Function {
                    name,
                    file: None,
                    line: 0,
                }));
            }
        }
        functions.into()
    }

    fn debug_functions(&self, address: u64) -> Vec<Function> {
        let mut functions = Vec::new();
        let debug = self.debug.as_ref();
        let Some(mut frames) = debug.and_then(|debug| debug.find_frames(address)) else {
            return functions;
        };
        while let Ok(Some(frame)) = frames.next() {
            let name = frame
                .function
                .as_ref()
                .and_then(|name| name.raw_name().ok());
            let name = name.map(|name| readable(&name)).unwrap_or_default();
            let location = frame.location.as_ref();
            functions.push(Function {
                name,
                file: location
                    .and_then(|location| location.file)
                    .map(str::to_owned),
                line: location.and_then(|location| location.line).unwrap_or(0),
            });
        }
        // Only the code's own function may be left without a name (see `functions_at`).
        let last = functions.len().saturating_sub(1);
        let mut index = 0;
        functions.retain(|function| {
            index += 1;
            index > last || !function.name.is_empty()
        });
        functions
    }

    fn symbol_at(&self, address: u64) -> Option<String> {
        let after = self
            .symbols
            .partition_point(|symbol| symbol.address <= address);
        let symbol = self.symbols.get(after.checked_sub(1)?)?;
        // A neighbour must not lend its name. Hand-written assembly often states no size.
        let size = if symbol.size == 0 { 1024 } else { symbol.size };
        let inside = address - symbol.address < size;
        inside.then(|| readable(&symbol.name))
    }
}

/// Whether the file has the build id that the loaded object has; true where that has none.
fn is_build_of<'data>(
    file: &object::File<'data, impl object::ReadRef<'data>>,
    module: &Module,
) -> bool {
    let build_id = file.build_id().ok().flatten().unwrap_or_default();
    let build_id: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    module.build_id.is_empty() || module.build_id == build_id
}

/// The symbols of an object that is no file: the kernel maps the whole image of its vDSO.
fn symbols_in_memory(module: &Module) -> Option<Vec<Symbol>> {
    // The section headers come after the last segment, on its last page.
    let len = usize::try_from(module.end.checked_sub(module.start)?).ok()?;
    let len = len.checked_next_multiple_of(4096)?;
    let mut image = vec![0; len.min(limits::VDSO_BYTES_MAX)];
    if !sys::read_bytes(sys::pid(), module.start, &mut image) {
        return None;
    }
    Some(symbols_of(&object::File::parse(&*image).ok()?))
}

fn symbols_of<'data>(file: &object::File<'data, impl object::ReadRef<'data>>) -> Vec<Symbol> {
    let mut symbols: Vec<Symbol> = file
        .symbols()
        .chain(file.dynamic_symbols())
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.address() != 0)
        .filter_map(|symbol| {
            let name = symbol.name().ok().filter(|name| !name.is_empty())?;
            Some(Symbol {
                address: symbol.address(),
                size: symbol.size(),
                name: name.into(),
            })
        })
        .collect();
    // Of several names for one address the first in this order wins, the same on every run.
    symbols.sort_by(|a, b| {
        (a.address, std::cmp::Reverse(a.size), &a.name).cmp(&(
            b.address,
            std::cmp::Reverse(b.size),
            &b.name,
        ))
    });
    symbols.dedup_by_key(|symbol| symbol.address);
    symbols
}

/// A Rust name without its hash; other names as they are; cut at the bound.
fn readable(name: &str) -> String {
    let mut name = rustc_demangle::try_demangle(name)
        .map_or_else(|_| name.to_owned(), |demangled| format!("{demangled:#}"));
    name.truncate(name.floor_char_boundary(limits::SYMBOL_BYTES_MAX));
    name
}

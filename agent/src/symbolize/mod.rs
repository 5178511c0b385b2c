//! Addresses to names: never on the signal path, never on the drain.
//!
//! With the feature `symbolize`: functions, files, lines and inlined calls from DWARF, the
//! symbol table where there is none. Without it, and for what is in neither:
//! `object+0xoffset`, which can be resolved later by the build id.

#[cfg(feature = "symbolize")]
mod blocks;
#[cfg(feature = "symbolize")]
mod debug_info;
#[cfg(feature = "symbolize")]
mod object_file;
#[cfg(feature = "symbolize")]
mod section;
#[cfg(feature = "symbolize")]
#[cfg(test)]
mod tests;

use std::collections::HashMap;
#[cfg(feature = "symbolize")]
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::mappings::Module;

/// One function at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) file: Option<String>,
    /// From 1; 0 where it is unknown.
    pub(crate) line: u32,
}

/// The functions at an address: the innermost inlined one first, the one that has the code
/// last. Empty where nothing is known.
pub(crate) type Functions = Arc<[Function]>;

/// The file and its build id.
#[cfg(feature = "symbolize")]
type FileKey = (Option<std::path::PathBuf>, String);

/// Resolved addresses, and the object files that they come from.
#[derive(Debug, Default)]
pub(crate) struct Symbolizer {
    cache: HashMap<(Arc<Module>, u64), Functions>,
    /// By what is in them, not by where they are loaded: a library that comes back elsewhere is
    /// the same file.
    #[cfg(feature = "symbolize")]
    files: HashMap<FileKey, Option<object_file::ObjectFile>>,
    /// Of those files.
    #[cfg(feature = "symbolize")]
    kept: blocks::KeptBytes,
}

impl Symbolizer {
    /// The functions at an address of an object's file (an SVMA). The first address of an
    /// object opens the file and reads its symbol table, which takes milliseconds to seconds.
    pub(crate) fn resolve(&mut self, module: &Arc<Module>, address: u64) -> Functions {
        let key = (Arc::clone(module), address);
        if let Some(known) = self.cache.get(&key) {
            return Arc::clone(known);
        }
        let Some(functions) = self.look_up(module, address) else {
            return Arc::from([]);
        };
        self.bound();
        self.cache.insert(key, Arc::clone(&functions));
        functions
    }

    /// `None` where the answer would be another one later.
    #[cfg(feature = "symbolize")]
    fn look_up(&mut self, module: &Arc<Module>, address: u64) -> Option<Functions> {
        let key = (module.file.clone(), module.build_id.clone());
        if !self.files.contains_key(&key) && self.files.len() >= crate::limits::SYMBOL_FILES_MAX {
            self.files.clear();
        }
        let file = match self.files.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let opened = caught(|| object_file::ObjectFile::open(module, &self.kept));
                place.insert(opened.unwrap_or(Ok(None)).ok()?)
            }
        };
        let Some(known) = file else {
            return Some(Arc::from([]));
        };
        let functions = caught(|| known.functions_at(address));
        if functions.is_none() {
            // Half-read: not to be asked again.
            *file = None;
        }
        Some(functions.unwrap_or_else(|| Arc::from([])))
    }

    #[cfg(not(feature = "symbolize"))]
    fn look_up(&mut self, _module: &Arc<Module>, _address: u64) -> Option<Functions> {
        Some(Arc::from([]))
    }

    #[cfg(feature = "symbolize")]
    fn bound(&mut self) {
        if self.cache.len() >= crate::limits::SYMBOL_CACHE_MAX {
            self.cache.clear();
            self.files.clear();
        }
        if self.kept.sum() > crate::limits::SYMBOL_KEPT_BYTES_MAX {
            self.files.clear();
        }
    }

    #[cfg(not(feature = "symbolize"))]
    fn bound(&mut self) {
        if self.cache.len() >= 200_000 {
            self.cache.clear();
        }
    }
}

/// What a reader of debug information says; `None` where it panics over what it reads: that file
/// goes without names, the others keep theirs.
#[cfg(feature = "symbolize")]
fn caught<T>(read: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).ok()
}

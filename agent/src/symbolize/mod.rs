//! Addresses to names: never on the signal path, never on the drain, and never in another process.
//!
//! With the feature `symbolize`: functions, files, lines and inlined calls from DWARF, the
//! symbol table where there is none. Without it, and for what is in neither:
//! `object+0xoffset`, which can be resolved later by the build id.
//!
//! **Problem.** The host pays with its memory, and the debug information of a service is larger
//! than the service. **Choice.** Addresses come in batches, one for each profile. Those that were
//! not named before are sorted by file and unit; each file is opened for the batch, and of each unit
//! only what these addresses need outlives the look at it ([`unit`]). Between batches there are
//! the names that were found, each text once, and where in each file its units are. All three have
//! bounds (`limits.rs`, `SYMBOL_*`), and no file stays open. **Rejected.** A child process: to
//! fork a service, or to execute it again, is not ours to decide.

#[cfg(feature = "symbolize")]
mod blocks;
#[cfg(feature = "symbolize")]
mod debug_info;
#[cfg(feature = "symbolize")]
mod object_file;
#[cfg(feature = "symbolize")]
mod section;
#[cfg(feature = "symbolize")]
mod symbol_table;
#[cfg(feature = "symbolize")]
#[cfg(test)]
mod tests;
#[cfg(feature = "symbolize")]
mod unit;

#[cfg(feature = "symbolize")]
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
#[cfg(feature = "symbolize")]
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "symbolize")]
use crate::limits;
use crate::mappings::Module;

/// One function at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: Arc<str>,
    pub(crate) file: Option<Arc<str>>,
    /// From 1; 0 where it is unknown.
    pub(crate) line: u32,
}

/// The functions at an address: the innermost inlined one first, the one that has the code
/// last. Empty where nothing is known.
pub(crate) type Functions = Arc<[Function]>;

/// Resolved addresses, and where in their files to look for others.
#[derive(Debug, Default)]
pub(crate) struct Symbolizer {
    #[cfg(feature = "symbolize")]
    names: Names,
    /// By what is in them, not by where they are loaded: a library that comes back elsewhere is
    /// the same file.
    #[cfg(feature = "symbolize")]
    numbers: HashMap<(Option<PathBuf>, String), u32>,
    /// By their numbers; `None` for a file that gives no names.
    #[cfg(feature = "symbolize")]
    files: HashMap<u32, Option<object_file::ObjectFile>>,
}

/// An address of an object's file (an SVMA).
pub(crate) type Wanted = (Arc<Module>, u64);

#[cfg(not(feature = "symbolize"))]
impl Symbolizer {
    /// Nothing for each address.
    pub(crate) fn resolve_all(&mut self, wanted: &[Wanted]) -> Vec<Functions> {
        vec![Arc::from([]); wanted.len()]
    }
}

#[cfg(feature = "symbolize")]
impl Symbolizer {
    /// The functions at each address. The first ones of a file read the heads of all its units,
    /// which takes tens of milliseconds for a hundred megabytes.
    pub(crate) fn resolve_all(&mut self, wanted: &[Wanted]) -> Vec<Functions> {
        let numbers: Vec<u32> = wanted
            .iter()
            .map(|(module, _)| self.number(module))
            .collect();
        let mut unknown = BTreeMap::<u32, (&Arc<Module>, BTreeSet<u64>)>::new();
        for ((module, address), number) in wanted.iter().zip(&numbers) {
            if self.names.find(*number, *address).is_none() {
                let of_file = unknown.entry(*number).or_insert((module, BTreeSet::new()));
                of_file.1.insert(*address);
            }
        }
        let mut found = HashMap::new();
        for (number, (module, addresses)) in unknown {
            let addresses: Vec<u64> = addresses.into_iter().collect();
            self.look_up(number, module, &addresses, &mut found);
        }
        let keys = wanted
            .iter()
            .zip(&numbers)
            .map(|((_, at), file)| (*file, *at));
        let answers = keys.map(|(file, at)| {
            let known = self.names.find(file, at).or_else(|| found.get(&(file, at)));
            known.map_or_else(|| Arc::from([]), Arc::clone)
        });
        let answers = answers.collect();
        self.names.keep(found);
        self.bound_files();
        answers
    }

    /// Asks a file for addresses (sorted). What could be another answer later is not in `found`.
    fn look_up(
        &mut self,
        number: u32,
        module: &Module,
        addresses: &[u64],
        found: &mut HashMap<(u32, u64), Functions>,
    ) {
        if matches!(self.files.get(&number), Some(None)) {
            return;
        }
        let opened = match caught(|| object_file::Opened::open(module)) {
            Some(Ok(opened)) => opened,
            // No descriptor left.
            Some(Err(_)) => return,
            None => None,
        };
        let before = self.files.remove(&number).flatten();
        let before = before.filter(|file| opened.as_ref().is_some_and(|now| file.is_of(now)));
        let file = opened.as_ref().and_then(|opened| match before {
            Some(known) => Some(known),
            None => caught(|| object_file::ObjectFile::index(opened)),
        });
        let Some((mut file, opened)) = file.zip(opened) else {
            self.files.insert(number, None);
            return;
        };
        for part in addresses.chunks(limits::SYMBOL_BATCH) {
            let Some(all) = caught(|| file.functions_at(&opened, part)) else {
                // It makes no sense to its reader: not to be asked again.
                self.files.insert(number, None);
                return;
            };
            for (address, functions) in part.iter().zip(all) {
                let functions = functions.into_iter().map(|one| self.names.readable(one));
                found.insert((number, *address), functions.collect());
            }
        }
        self.files.insert(number, Some(file));
    }

    /// The number of a module's file.
    fn number(&mut self, module: &Module) -> u32 {
        let key = (module.file.clone(), module.build_id.clone());
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(key).or_insert(next)
    }

    /// Between batches, when no number is in use.
    fn bound_files(&mut self) {
        if self.numbers.len() > limits::SYMBOL_FILES_MAX {
            *self = Self::default();
        }
        if self.kept_bytes() > limits::SYMBOL_INDEX_BYTES_MAX {
            self.files.clear();
        }
    }

    /// What is kept of files between batches.
    fn kept_bytes(&self) -> usize {
        let files = self.files.values().flatten();
        files.map(object_file::ObjectFile::bytes).sum()
    }
}

/// What was found, each text once.
#[cfg(feature = "symbolize")]
#[derive(Debug, Default)]
struct Names {
    /// By the file's number and the address in it.
    known: HashMap<(u32, u64), Functions>,
    texts: HashSet<Arc<str>>,
    bytes: usize,
}

#[cfg(feature = "symbolize")]
impl Names {
    fn find(&self, file: u32, address: u64) -> Option<&Functions> {
        self.known.get(&(file, address))
    }

    /// The function with its names as people read them.
    fn readable(&mut self, function: Function) -> Function {
        Function {
            name: self.text(&readable(&function.name)),
            file: function.file.map(|file| self.text(&file)),
            line: function.line,
        }
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let text: Arc<str> = Arc::from(text);
        self.bytes = self.bytes.saturating_add(text.len() + TEXT_BYTES);
        self.texts.insert(Arc::clone(&text));
        text
    }

    /// Keeps the answers of a batch; where they are too many, all is forgotten.
    fn keep(&mut self, found: HashMap<(u32, u64), Functions>) {
        #[expect(
            clippy::iter_over_hash_type,
            reason = "into a table, whose order is its own"
        )]
        for (key, functions) in found {
            let bytes = size_of_val(&*functions) + ANSWER_BYTES;
            self.bytes = self.bytes.saturating_add(bytes);
            self.known.insert(key, functions);
        }
        if self.bytes > limits::SYMBOL_NAMES_BYTES_MAX {
            *self = Self::default();
        }
    }
}

/// What a text takes beside its bytes: counts, its place in the table, the allocator's own.
#[cfg(feature = "symbolize")]
const TEXT_BYTES: usize = 64;

/// What an answer takes beside its functions.
#[cfg(feature = "symbolize")]
const ANSWER_BYTES: usize = 96;

/// A Rust name without its hash; other names as they are; cut at the bound.
#[cfg(feature = "symbolize")]
fn readable(name: &str) -> String {
    let mut name = rustc_demangle::try_demangle(name)
        .map_or_else(|_| name.to_owned(), |demangled| format!("{demangled:#}"));
    name.truncate(name.floor_char_boundary(limits::SYMBOL_BYTES_MAX));
    name
}

/// What a reader of debug information says; `None` where it panics over what it reads: that file
/// goes without names, the others keep theirs.
#[cfg(feature = "symbolize")]
fn caught<T>(read: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).ok()
}

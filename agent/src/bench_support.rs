//! What benches need and nobody else.

use std::path::Path;
use std::sync::Arc;

use crate::mappings::Module;
use crate::profiler::Profiler;
use crate::sampler::shared;
use crate::symbolize::{Symbolizer, Wanted};

/// The value that the signals of the profiler's first timer carry; 0 where it has none.
pub fn signal_value(profiler: &Profiler) -> u64 {
    profiler.signal_value()
}

/// What the unwind tables of this process hold: functions, rows, bytes, and descriptions that make
/// no sense. Only while nothing else starts or stops.
pub fn unwind_tables(_running: &Profiler) -> (usize, usize, usize, usize) {
    let extent = shared::published().extent();
    (extent.functions, extent.rows, extent.bytes, extent.faults)
}

/// Names of one file's addresses, as profiles of a program of that file get them.
#[derive(Debug)]
pub struct Symbols {
    symbolizer: Symbolizer,
    module: Arc<Module>,
}

impl Symbols {
    /// Of the object file at this path. Nothing is read yet.
    pub fn of(path: &Path) -> Self {
        let module = Module {
            path: path.display().to_string(),
            file: Some(path.to_owned()),
            build_id: String::new(),
            start: 0,
            end: u64::MAX,
            base: 0,
            text_start: 0,
            text_end: u64::MAX,
            text_offset: 0,
        };
        Self {
            symbolizer: Symbolizer::default(),
            module: Arc::new(module),
        }
    }

    /// Resolves the addresses of one profile (as stated in the file); how many functions, with
    /// inlined ones, were found.
    pub fn resolve(&mut self, addresses: &[u64]) -> usize {
        let wanted = |address: &u64| (Arc::clone(&self.module), *address);
        let wanted: Vec<Wanted> = addresses.iter().map(wanted).collect();
        let found = self.symbolizer.resolve_all(&wanted);
        found.iter().map(|functions| functions.len()).sum()
    }
}

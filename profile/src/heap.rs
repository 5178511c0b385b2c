//! What tables take on the heap, from their capacities: an estimate, made in a few steps.

use std::collections::BTreeMap;

use crate::loss::Tally;
use crate::profile::Profile;

/// What an allocator adds to an allocation: its header, and rounding.
pub(crate) const ALLOCATION_OVERHEAD: usize = 16;

/// The buffer of a vector.
pub(crate) const fn vec<T>(vec: &Vec<T>) -> usize {
    vec.capacity() * size_of::<T>()
}

/// The entries of a map of losses; nodes of a B-tree are on average two thirds full.
fn losses(losses: &BTreeMap<String, Tally>) -> usize {
    let entry = size_of::<(String, Tally)>() * 3 / 2;
    losses.keys().map(|reason| text(reason) + entry).sum()
}

const fn text(text: &String) -> usize {
    match text.capacity() {
        0 => 0,
        bytes => bytes + ALLOCATION_OVERHEAD,
    }
}

impl Profile {
    /// About how many bytes of memory the profile takes, beside `size_of::<Profile>()`.
    ///
    /// An estimate from the capacities of its tables and the bytes of its names, within a quarter
    /// of what was allocated. A table that grows holds its old and its new form for a moment,
    /// which is not counted; names that a sum shares with what was added to it are counted in
    /// both. Costs one step for each mapping, thread and reason for loss; names, frames, stacks
    /// and samples cost nothing.
    pub fn heap_bytes(&self) -> usize {
        let mappings = self.mappings.iter();
        let mappings = mappings.map(|mapping| text(&mapping.path) + text(&mapping.build_id));
        let threads = self.threads.iter().map(|thread| text(&thread.name));
        let tables = [
            text(&self.name),
            vec(&self.value_types),
            self.strings.heap_bytes(),
            vec(&self.mappings) + mappings.sum::<usize>(),
            self.functions.heap_bytes(),
            self.frames.heap_bytes(),
            self.stacks.heap_bytes(),
            self.labels.heap_bytes(),
            vec(&self.threads) + threads.sum::<usize>(),
            vec(&self.rows) + vec(&self.values),
            losses(&self.losses),
        ];
        tables.iter().sum()
    }
}

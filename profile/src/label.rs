//! Sets of labels, shared by the samples that carry them.

use crate::hash;
use crate::heap;
use crate::interner::{Contents, Interner};
use crate::string_table::StringId;

/// The place of a label set in its profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSetId(pub(crate) u32);

impl LabelSetId {
    /// The set without labels, present in every profile.
    pub const EMPTY: Self = Self(0);
}

/// Labels sorted by key, at most one value a key.
pub(crate) type LabelSet = Vec<(StringId, StringId)>;

impl Contents for LabelSet {
    fn hash(&self) -> u64 {
        hash::text(self)
    }
}

/// Label sets in order of first use; the first one is empty.
#[derive(Clone, Debug)]
pub(crate) struct LabelTable {
    sets: Vec<LabelSet>,
    /// The labels of all sets.
    pair_count: usize,
}

impl Default for LabelTable {
    fn default() -> Self {
        Self {
            sets: vec![Vec::new()],
            pair_count: 0,
        }
    }
}

impl LabelTable {
    pub(crate) fn intern(&mut self, interner: &mut Interner, set: LabelSet) -> LabelSetId {
        if set.is_empty() {
            return LabelSetId::EMPTY;
        }
        let (sets, pairs) = (self.sets.len(), set.len());
        let place = interner.intern(&mut self.sets, set);
        if self.sets.len() > sets {
            self.pair_count += pairs;
        }
        LabelSetId(place)
    }

    pub(crate) fn set(&self, id: LabelSetId) -> &[(StringId, StringId)] {
        &self.sets[id.0 as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let pairs = self.pair_count * size_of::<(StringId, StringId)>();
        pairs + self.sets.len() * heap::ALLOCATION_OVERHEAD + heap::vec(&self.sets)
    }
}

/// Label keys with a meaning of their own.
pub mod labels {
    /// The entry point: a route template, a job name, a script.
    pub const ENTRY: &str = "entry";
    /// How samples without an entry point are shown.
    pub const NO_ENTRY: &str = "(none)";
}

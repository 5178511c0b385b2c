//! Sets of labels, shared by the samples that carry them.

use std::collections::HashMap;

use crate::heap;
use crate::string_table::StringId;
use crate::units::index;

/// The place of a label set in its profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSetId(pub(crate) u32);

impl LabelSetId {
    /// The set without labels, present in every profile.
    pub const EMPTY: Self = Self(0);
}

/// Labels sorted by key, at most one value a key.
pub(crate) type LabelSet = Vec<(StringId, StringId)>;

/// Label sets in order of first use; the first one is empty.
#[derive(Clone, Debug)]
pub(crate) struct LabelTable {
    sets: Vec<LabelSet>,
    ids: HashMap<LabelSet, LabelSetId>,
    /// The labels of all sets.
    pair_count: usize,
}

impl Default for LabelTable {
    fn default() -> Self {
        Self {
            sets: vec![Vec::new()],
            ids: HashMap::from([(Vec::new(), LabelSetId::EMPTY)]),
            pair_count: 0,
        }
    }
}

impl LabelTable {
    pub(crate) fn intern(&mut self, set: LabelSet) -> LabelSetId {
        if let Some(id) = self.ids.get(&set) {
            return *id;
        }
        let id = LabelSetId(index(self.sets.len()));
        self.pair_count += set.len();
        self.sets.push(set.clone());
        self.ids.insert(set, id);
        id
    }

    pub(crate) fn set(&self, id: LabelSetId) -> &[(StringId, StringId)] {
        &self.sets[id.0 as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let pairs = self.pair_count * size_of::<(StringId, StringId)>();
        let copies = 2; // in the list and as a key
        let sets = copies * (pairs + self.sets.len() * heap::ALLOCATION_OVERHEAD);
        sets + heap::vec(&self.sets) + heap::map(&self.ids)
    }
}

/// Label keys with a meaning of their own.
pub mod labels {
    /// The entry point: a route template, a job name, a script.
    pub const ENTRY: &str = "entry";
    /// How samples without an entry point are shown.
    pub const NO_ENTRY: &str = "(none)";
}

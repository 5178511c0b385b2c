//! Finding an entry in a list that holds each different entry once.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::units::index;

/// What an [`Interner`] can look for.
pub(crate) trait Contents: PartialEq {
    /// A keyed hash of everything that equality compares; see [`crate::hash`].
    fn hash(&self) -> u64;
}

/// The places of a list's entries, by their contents.
///
/// Takes four to nine bytes for each entry, and holds no copy of it: the list is passed in, the
/// same one each time. Whoever only reads the list needs no interner.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interner {
    places: HashTable<u32>,
}

impl Interner {
    /// The place of an equal entry; pushes `entry` where there is none.
    pub(crate) fn intern<T: Contents>(&mut self, list: &mut Vec<T>, entry: T) -> u32 {
        let hash = entry.hash();
        match self.find(list, hash, |have| *have == entry) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(free) => *free.insert(push(list, entry)).get(),
        }
    }

    /// As [`Self::intern`], of what `make` gives: an entry of this hash, for which `is` holds.
    pub(crate) fn intern_with<T: Contents>(
        &mut self,
        list: &mut Vec<T>,
        hash: u64,
        is: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> u32 {
        match self.find(list, hash, is) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(free) => *free.insert(push(list, make())).get(),
        }
    }

    fn find<T: Contents>(
        &mut self,
        list: &[T],
        hash: u64,
        is: impl Fn(&T) -> bool,
    ) -> Entry<'_, u32> {
        let is = |place: &u32| is(&list[*place as usize]);
        let rehash = |place: &u32| list[*place as usize].hash();
        self.places.entry(hash, is, rehash)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.places.allocation_size()
    }
}

fn push<T>(list: &mut Vec<T>, entry: T) -> u32 {
    list.push(entry);
    index(list.len() - 1)
}

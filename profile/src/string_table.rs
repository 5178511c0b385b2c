//! Interned strings: every name is stored once.

use std::sync::Arc;

use crate::hash;
use crate::heap;
use crate::interner::{Contents, Interner};

/// The place of a string in its [`StringTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StringId(pub(crate) u32);

/// Strings in order of first use.
#[derive(Clone, Debug, Default)]
pub(crate) struct StringTable {
    texts: Vec<Text>,
    /// The bytes of all texts.
    bytes: usize,
}

/// A string that tables of several profiles may share, with its hash.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    text: Arc<str>,
    hash: u64,
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.hash, &other.text)
    }
}

impl Contents for Text {
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl Text {
    fn is(&self, hash: u64, text: &str) -> bool {
        self.hash == hash && *self.text == *text
    }
}

/// What a text takes beside its bytes: two counters, the allocator's header, rounding.
const TEXT_OVERHEAD: usize = 32;

impl StringTable {
    /// The id of `text`, added if it is new. Costs one hash of the text.
    pub(crate) fn intern(&mut self, interner: &mut Interner, text: &str) -> StringId {
        let hash = hash::text(text);
        let is = |have: &Text| have.is(hash, text);
        let make = || {
            self.bytes += text.len();
            let text = text.into();
            Text { text, hash }
        };
        StringId(interner.intern_with(&mut self.texts, hash, is, make))
    }

    /// The id of a text of another table. Neither hashes nor copies it.
    pub(crate) fn share(&mut self, interner: &mut Interner, text: &Text) -> StringId {
        let make = || {
            self.bytes += text.text.len();
            text.clone()
        };
        StringId(interner.intern_with(&mut self.texts, text.hash, |have| have == text, make))
    }

    /// The text of an id that this table gave out.
    pub(crate) fn text(&self, id: StringId) -> &str {
        &self.shared(id).text
    }

    /// The same, for [`Self::share`].
    pub(crate) fn shared(&self, id: StringId) -> &Text {
        &self.texts[id.0 as usize]
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes + self.texts.len() * TEXT_OVERHEAD + heap::vec(&self.texts)
    }
}

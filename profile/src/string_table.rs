//! Interned strings: every name is stored once.

use std::collections::HashMap;
use std::sync::Arc;

use crate::heap;

/// The place of a string in its [`StringTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StringId(u32);

/// Strings in order of first use.
#[derive(Clone, Debug, Default)]
pub(crate) struct StringTable {
    strings: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, StringId>,
    /// The bytes of all texts.
    text_bytes: usize,
}

/// What a text takes beside its bytes: two counters, the allocator's header, rounding.
const TEXT_OVERHEAD: usize = 32;

impl StringTable {
    /// The id of `text`, added if it is new. Costs one hash of the text.
    pub(crate) fn intern(&mut self, text: &str) -> StringId {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = StringId(crate::units::index(self.strings.len()));
        self.text_bytes += text.len();
        let text: Arc<str> = text.into();
        self.strings.push(Arc::clone(&text));
        self.ids.insert(text, id);
        id
    }

    /// The text of an id that this table gave out.
    pub(crate) fn text(&self, id: StringId) -> &str {
        &self.strings[id.0 as usize]
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let texts = self.text_bytes + self.strings.len() * TEXT_OVERHEAD;
        texts + heap::vec(&self.strings) + heap::map(&self.ids)
    }
}

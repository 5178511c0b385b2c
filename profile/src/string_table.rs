//! Interned strings: every name is stored once.

use std::collections::HashMap;
use std::sync::Arc;

/// The place of a string in its [`StringTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StringId(u32);

/// Strings in order of first use.
#[derive(Clone, Debug, Default)]
pub(crate) struct StringTable {
    strings: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, StringId>,
}

impl StringTable {
    /// The id of `text`, added if it is new. Costs one hash of the text.
    pub(crate) fn intern(&mut self, text: &str) -> StringId {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = StringId(crate::units::index(self.strings.len()));
        let text: Arc<str> = text.into();
        self.strings.push(Arc::clone(&text));
        self.ids.insert(text, id);
        id
    }

    /// The text of an id that this table gave out.
    pub(crate) fn text(&self, id: StringId) -> &str {
        &self.strings[id.0 as usize]
    }
}

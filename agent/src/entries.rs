//! Names of entry points, as small numbers that a thread can be marked with.

use std::collections::HashMap;
use std::sync::Arc;

use crate::limits;

/// The name of those beyond the bound.
const OTHER: &str = "(other)";

/// Interned names; bounded.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntryNames {
    ids: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl EntryNames {
    /// The number of a known name, and that of `(other)` for the rest once no new one is taken:
    /// then nobody needs exclusive access.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        let full = || self.names.len() >= limits::ENTRY_NAMES_MAX;
        let known = |name| self.ids.get(name).copied();
        known(name).or_else(|| known(OTHER).filter(|_| full()))
    }

    /// The number of a name; that of `(other)` where there are too many.
    pub(crate) fn intern(&mut self, name: &str) -> u32 {
        if let Some(id) = self.find(name) {
            return id;
        }
        if self.names.len() >= limits::ENTRY_NAMES_MAX && name != OTHER {
            return self.intern(OTHER);
        }
        let name: Arc<str> = Arc::from(name);
        self.names.push(Arc::clone(&name));
        let id = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.ids.insert(name, id);
        id
    }

    /// The name behind a number; `None` for 0, which is no entry point.
    pub(crate) fn name(&self, id: u32) -> Option<&str> {
        let index = usize::try_from(id).ok()?.checked_sub(1)?;
        self.names.get(index).map(AsRef::as_ref)
    }
}

/// Cuts a name to its bound and makes control characters visible as spaces.
pub(crate) fn clean(name: &str) -> String {
    let mut clean: String = name
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let end = clean.floor_char_boundary(limits::NAME_BYTES_MAX);
    clean.truncate(end);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_are_called_other() {
        let mut names = EntryNames::default();
        assert_eq!(names.intern("/cart"), names.intern("/cart"));
        assert_eq!(names.find("/unseen"), None, "there is room");
        for number in 0..limits::ENTRY_NAMES_MAX {
            names.intern(&format!("/{number}"));
        }
        let other = names.intern("/one more");
        assert_eq!(names.name(other), Some("(other)"));
        assert_eq!(names.intern("/and another"), other);
        assert_eq!(names.find("/a third"), Some(other), "without interning");
        assert_eq!(names.name(0), None);
        assert_eq!(names.name(1), Some("/cart"));
    }
}

//! Unwind information of the loaded objects: built off the signal path, then immutable.

use std::collections::BTreeMap;
use std::ops::Range;

use framehop::{ExplicitModuleSectionInfo, Module, Unwinder as _, UnwinderNative};

use super::storage::SmallOnStack;

/// Tells one loaded object from another: the loader maps a new library where an old one was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ObjectIdentity {
    /// The object's name.
    pub(crate) name: String,
    /// Its build id; empty where it has none.
    pub(crate) build_id: String,
    /// Where it is mapped, first to last segment.
    pub(crate) range: Range<u64>,
    /// What is added to the addresses of the file.
    pub(crate) base: u64,
}

/// What one loaded object brings to unwinding: copies, so that it may be unloaded any time.
#[derive(Debug, Default)]
pub(crate) struct ObjectUnwindInfo {
    /// Which object.
    pub(crate) identity: ObjectIdentity,
    /// Address in the file and bytes of `.eh_frame_hdr`.
    pub(crate) eh_frame_hdr: Option<(u64, Vec<u8>)>,
    /// Address in the file and bytes of `.eh_frame`.
    pub(crate) eh_frame: Option<(u64, Vec<u8>)>,
}

type Unwinder = UnwinderNative<Vec<u8>, SmallOnStack>;

/// An immutable snapshot of all objects' unwind information.
#[derive(Clone)]
pub(crate) struct Tables {
    unwinder: Unwinder,
    /// What is loaded, by its start, to tell what changed.
    loaded: BTreeMap<u64, ObjectIdentity>,
}

impl Tables {
    /// No objects: every frame is walked by frame pointers.
    pub(crate) fn empty() -> Self {
        Self {
            unwinder: Unwinder::new(),
            loaded: BTreeMap::new(),
        }
    }

    pub(super) fn unwinder(&self) -> &Unwinder {
        &self.unwinder
    }

    /// Whether this very object is in the snapshot.
    pub(crate) fn contains(&self, identity: &ObjectIdentity) -> bool {
        self.loaded.get(&identity.range.start) == Some(identity)
    }

    /// Removes the objects that are not among `live` (starts).
    pub(crate) fn retain(&mut self, live: &[u64]) {
        let gone: Vec<u64> = self
            .loaded
            .keys()
            .copied()
            .filter(|start| !live.contains(start))
            .collect();
        for start in gone {
            self.remove(start);
        }
    }

    /// Adds an object, in place of one that was at the same start.
    pub(crate) fn add(&mut self, object: ObjectUnwindInfo) {
        let identity = object.identity;
        self.remove(identity.range.start);
        self.loaded.insert(identity.range.start, identity.clone());
        let mut sections = ExplicitModuleSectionInfo {
            text_svma: Some(0..identity.range.end.saturating_sub(identity.base)),
            ..ExplicitModuleSectionInfo::default()
        };
        if let Some((address, bytes)) = object.eh_frame {
            sections.eh_frame_svma = Some(address..address.saturating_add(bytes.len() as u64));
            sections.eh_frame = Some(bytes);
        }
        if let Some((address, bytes)) = object.eh_frame_hdr {
            sections.eh_frame_hdr_svma = Some(address..address.saturating_add(bytes.len() as u64));
            sections.eh_frame_hdr = Some(bytes);
        }
        self.unwinder.add_module(Module::new(
            identity.name,
            identity.range,
            identity.base,
            sections,
        ));
    }

    fn remove(&mut self, start: u64) {
        if self.loaded.remove(&start).is_some() {
            self.unwinder.remove_module(start);
        }
    }
}

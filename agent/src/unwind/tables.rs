//! Unwind information of the loaded objects: built off the signal path, then immutable.

use std::collections::BTreeMap;
use std::ops::Range;

use framehop::{ExplicitModuleSectionInfo, Module, Unwinder as _, UnwinderNative};

use super::storage::SmallOnStack;

/// What one loaded object brings to unwinding: copies, so that it may be unloaded any time.
#[derive(Debug, Default)]
pub(crate) struct ObjectUnwindInfo {
    /// The object's name, for debugging.
    pub(crate) name: String,
    /// Where it is mapped, first to last segment.
    pub(crate) range: Range<u64>,
    /// What is added to the addresses of the file.
    pub(crate) base: u64,
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
    /// Start and base of what is loaded, to tell what changed.
    loaded: BTreeMap<u64, u64>,
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

    /// Whether an object that starts at `start` with `base` is in the snapshot.
    pub(crate) fn contains(&self, start: u64, base: u64) -> bool {
        self.loaded.get(&start) == Some(&base)
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
        self.remove(object.range.start);
        self.loaded.insert(object.range.start, object.base);
        let mut sections = ExplicitModuleSectionInfo {
            text_svma: Some(0..object.range.end.saturating_sub(object.base)),
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
            object.name,
            object.range,
            object.base,
            sections,
        ));
    }

    fn remove(&mut self, start: u64) {
        if self.loaded.remove(&start).is_some() {
            self.unwinder.remove_module(start);
        }
    }
}

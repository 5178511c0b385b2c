//! A piece on its way to the collector.

use flashlamp_profile::{Tally, Timestamp};

use crate::collection::{Chunk, Losses};

/// What a piece is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A continuous window.
    Window { from: Timestamp, until: Timestamp },
    /// One request.
    Request {
        id: String,
        entry: String,
        name: String,
    },
}

/// A piece that is to be sent.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    pub(crate) chunk: Chunk,
    /// Its number, for the idempotency key.
    pub(crate) sequence: u64,
    /// Losses of earlier pieces that this window carries.
    pub(crate) carried: Losses,
    /// What is in its samples.
    pub(super) stored: Tally,
    /// When it is due, on the monotonic clock.
    pub(super) ready_ns: u64,
}

impl Item {
    /// What it takes of the memory: its samples and the nodes of its stacks.
    pub(super) fn size(&self) -> usize {
        let collection = &self.chunk.collection;
        collection
            .samples
            .len()
            .saturating_add(collection.stacks.len())
    }

    /// A window that has nothing to tell.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.kind, Kind::Window { .. })
            && self.chunk.collection.samples.is_empty()
            && self.chunk.losses.is_empty()
            && self.carried.is_empty()
    }
}

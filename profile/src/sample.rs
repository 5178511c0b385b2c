//! Samples: one observation each, stored as columns.

use crate::hash;
use crate::interner::Contents;
use crate::label::LabelSetId;
use crate::loss::Tally;
use crate::stack::StackId;
use crate::thread::ThreadId;
use crate::units::{EventCount, Nanos};

/// One sample of a profile, to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample<'p> {
    pub(crate) row: &'p SampleRow,
    pub(crate) values: &'p [u64],
}

impl<'p> Sample<'p> {
    /// The stack; `None` where nothing ran (an empty stack).
    pub const fn stack(&self) -> Option<StackId> {
        self.row.stack
    }

    /// How many samples were merged into this one; zero where it was measured, not taken.
    pub const fn sample_count(&self) -> u64 {
        self.row.sample_count
    }

    /// Samples and events together.
    pub const fn tally(&self) -> Tally {
        Tally {
            samples: self.row.sample_count,
            events: self.row.event_count.as_u64(),
        }
    }

    /// How many periods the sample stands for.
    pub const fn event_count(&self) -> EventCount {
        self.row.event_count
    }

    /// One value for each of the profile's value types, in their order and units.
    pub const fn values(&self) -> &'p [u64] {
        self.values
    }

    /// When it was taken, since the profile's start.
    pub const fn time(&self) -> Option<Nanos> {
        self.row.time
    }

    /// The thread it was taken on.
    pub const fn thread(&self) -> Option<ThreadId> {
        self.row.thread
    }

    /// The sample's labels.
    pub const fn labels(&self) -> LabelSetId {
        self.row.labels
    }
}

/// A sample without its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SampleRow {
    pub(crate) stack: Option<StackId>,
    pub(crate) sample_count: u64,
    pub(crate) event_count: EventCount,
    pub(crate) time: Option<Nanos>,
    pub(crate) thread: Option<ThreadId>,
    pub(crate) labels: LabelSetId,
}

impl Contents for SampleRow {
    /// Of stack and labels, which tell the rows of a sum apart.
    fn hash(&self) -> u64 {
        let stack = self.stack.map_or(0, |stack| u64::from(stack.0) + 1);
        hash::ids([stack, u64::from(self.labels.0)])
    }
}

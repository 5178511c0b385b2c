//! Stacks as a prefix tree: a stack is its caller's stack and one more frame.

use crate::frame::FrameId;
use crate::hash;
use crate::heap;
use crate::interner::{Contents, Interner};
use crate::units::index;

/// The place of a stack in its profile.
///
/// Parents stand before children, so that one pass over the table in reverse sums totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackId(pub(crate) u32);

/// One node of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StackNode {
    pub(crate) parent: Option<StackId>,
    pub(crate) frame: FrameId,
}

/// A node as it is stored: its parent's place and one, or zero without a parent; its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stored(u32, FrameId);

impl Stored {
    fn new(parent: Option<StackId>, frame: FrameId) -> Self {
        Self(parent.map_or(0, |parent| parent.0.saturating_add(1)), frame)
    }

    fn node(self) -> StackNode {
        StackNode {
            parent: self.0.checked_sub(1).map(StackId),
            frame: self.1,
        }
    }
}

impl Contents for Stored {
    fn hash(&self) -> u64 {
        hash::ids([u64::from(self.0) << 32 | u64::from(self.1.0)])
    }
}

/// Stacks in order of first use, parents before children.
#[derive(Clone, Debug, Default)]
pub(crate) struct StackTable {
    nodes: Vec<Stored>,
}

impl StackTable {
    /// The stack `parent` + `frame`, added if it is new.
    pub(crate) fn intern(
        &mut self,
        interner: &mut Interner,
        parent: Option<StackId>,
        frame: FrameId,
    ) -> StackId {
        StackId(interner.intern(&mut self.nodes, Stored::new(parent, frame)))
    }

    pub(crate) fn node(&self, id: StackId) -> StackNode {
        self.nodes[id.0 as usize].node()
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) const fn heap_bytes(&self) -> usize {
        heap::vec(&self.nodes)
    }

    /// Every node with its id, parents before children.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (StackId, StackNode)> + '_ {
        self.nodes
            .iter()
            .enumerate()
            .map(|(place, node)| (StackId(index(place)), node.node()))
    }

    /// The frames of a stack, leaf first.
    pub(crate) fn leaf_first(&self, id: StackId) -> impl Iterator<Item = FrameId> + '_ {
        let mut next = Some(id);
        std::iter::from_fn(move || {
            let node = self.node(next?);
            next = node.parent;
            Some(node.frame)
        })
    }
}

//! Stacks as a prefix tree: a stack is its caller's stack and one more frame.

use std::collections::HashMap;

use crate::frame::FrameId;
use crate::heap;
use crate::units::index;

/// The place of a stack in its profile.
///
/// Parents stand before children, so that one pass over the table in reverse sums totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackId(pub(crate) u32);

/// One node of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StackNode {
    pub(crate) parent: Option<StackId>,
    pub(crate) frame: FrameId,
}

/// Stacks in order of first use, parents before children.
#[derive(Clone, Debug, Default)]
pub(crate) struct StackTable {
    nodes: Vec<StackNode>,
    ids: HashMap<StackNode, StackId>,
}

impl StackTable {
    /// The stack `parent` + `frame`, added if it is new.
    pub(crate) fn intern(&mut self, parent: Option<StackId>, frame: FrameId) -> StackId {
        let node = StackNode { parent, frame };
        *self.ids.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            StackId(index(self.nodes.len() - 1))
        })
    }

    pub(crate) fn node(&self, id: StackId) -> StackNode {
        self.nodes[id.0 as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        heap::vec(&self.nodes) + heap::map(&self.ids)
    }

    /// Every node with its id, parents before children.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (StackId, StackNode)> + '_ {
        self.nodes
            .iter()
            .enumerate()
            .map(|(place, node)| (StackId(index(place)), *node))
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

//! The call tree: stacks merged from the root (or from the leaf) on, with self and total.

use std::collections::HashMap;

use crate::column::Column;
use crate::frame::FrameKind;
use crate::function::FunctionId;
use crate::profile::Profile;

/// A tree of functions over one column of a profile.
///
/// Frames of one function (name, file) and kind are one node under one parent, whatever their
/// lines. The root stands for the whole profile and has no name. Holds that every node's total
/// is its self value plus its children's totals, and that the root's total is the column's sum.
///
/// Costs one hash for each stack node; reversed, one for each frame of each different stack,
/// which may be thousands of times as many: [`Callers`](crate::Callers) makes only the part that
/// is looked at.
#[derive(Debug)]
pub struct CallTree<'p> {
    profile: &'p Profile,
    nodes: Vec<NodeData>,
}

#[derive(Debug)]
struct NodeData {
    function: Option<FunctionId>,
    kind: FrameKind,
    self_value: u64,
    total: u64,
    children: Vec<usize>,
}

const ROOT: usize = 0;

impl<'p> CallTree<'p> {
    /// From the root frames down to the leaves: who called what.
    pub fn new(profile: &'p Profile, column: Column) -> Self {
        let self_values = profile.self_values(column);
        let mut tree = Growing::new(profile);
        let mut places = Vec::with_capacity(self_values.len());
        for (id, node) in profile.stacks.iter() {
            let parent = node.parent.map_or(ROOT, |parent| places[parent.0 as usize]);
            let record = profile.frames.record(node.frame);
            let place = tree.child(parent, record.function, record.kind);
            places.push(place);
            tree.add_self(place, self_values[id.0 as usize]);
        }
        tree.add_self(ROOT, profile.stackless_value(column));
        tree.finish()
    }

    /// From the leaves up to the roots: what was running, and who called it.
    ///
    /// A node's self value is what ends there: the samples whose root frame it is.
    pub fn reversed(profile: &'p Profile, column: Column) -> Self {
        let mut tree = Growing::new(profile);
        for (place, value) in profile.self_values(column).into_iter().enumerate() {
            if value == 0 {
                continue;
            }
            let stack = crate::StackId(crate::units::index(place));
            let mut at = ROOT;
            for frame in profile.stacks.leaf_first(stack) {
                let record = profile.frames.record(frame);
                at = tree.child(at, record.function, record.kind);
            }
            tree.add_self(at, value);
        }
        tree.add_self(ROOT, profile.stackless_value(column));
        tree.finish()
    }

    /// The node that stands for the whole profile.
    pub const fn root(&self) -> Node<'_> {
        Node {
            tree: self,
            place: ROOT,
        }
    }

    /// How many nodes there are, with the root.
    pub const fn node_count(&self) -> usize {
        self.nodes.len()
    }
}

/// One node of a [`CallTree`].
#[derive(Clone, Copy)]
pub struct Node<'t> {
    tree: &'t CallTree<'t>,
    place: usize,
}

impl<'t> Node<'t> {
    fn data(self) -> &'t NodeData {
        &self.tree.nodes[self.place]
    }

    /// The function's name; empty for the root.
    pub fn name(self) -> &'t str {
        self.data()
            .function
            .map_or("", |function| self.tree.profile.function_name(function))
    }

    /// The function's file, where it is known.
    pub fn file(self) -> Option<&'t str> {
        self.data()
            .function
            .and_then(|function| self.tree.profile.function_file(function))
    }

    /// Where the code comes from.
    pub fn kind(self) -> FrameKind {
        self.data().kind
    }

    /// What ends in this node.
    pub fn self_value(self) -> u64 {
        self.data().self_value
    }

    /// What ends in this node or below it.
    pub fn total(self) -> u64 {
        self.data().total
    }

    /// The nodes below, largest total first, then by name, file and kind.
    pub fn children(self) -> impl ExactSizeIterator<Item = Self> + 't {
        let tree = self.tree;
        self.data().children.iter().map(move |place| Node {
            tree,
            place: *place,
        })
    }
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.name())
            .field("self_value", &self.self_value())
            .field("total", &self.total())
            .finish_non_exhaustive()
    }
}

struct Growing<'p> {
    profile: &'p Profile,
    nodes: Vec<NodeData>,
    parents: Vec<usize>,
    places: HashMap<(usize, FunctionId, FrameKind), usize>,
}

impl<'p> Growing<'p> {
    fn new(profile: &'p Profile) -> Self {
        let root = NodeData {
            function: None,
            kind: FrameKind::Marker,
            self_value: 0,
            total: 0,
            children: Vec::new(),
        };
        Self {
            profile,
            nodes: vec![root],
            parents: vec![ROOT],
            places: HashMap::new(),
        }
    }

    fn child(&mut self, parent: usize, function: FunctionId, kind: FrameKind) -> usize {
        *self
            .places
            .entry((parent, function, kind))
            .or_insert_with(|| {
                self.nodes.push(NodeData {
                    function: Some(function),
                    kind,
                    self_value: 0,
                    total: 0,
                    children: Vec::new(),
                });
                self.parents.push(parent);
                let place = self.nodes.len() - 1;
                self.nodes[parent].children.push(place);
                place
            })
    }

    fn add_self(&mut self, place: usize, value: u64) {
        let node = &mut self.nodes[place];
        node.self_value = node.self_value.saturating_add(value);
    }

    /// Sums totals (children stand after their parents), drops what is zero, sorts.
    fn finish(mut self) -> CallTree<'p> {
        for place in (0..self.nodes.len()).rev() {
            let node = &mut self.nodes[place];
            node.total = node.total.saturating_add(node.self_value);
            let total = node.total;
            if place != ROOT {
                let parent = &mut self.nodes[self.parents[place]];
                parent.total = parent.total.saturating_add(total);
            }
        }
        let ranks = self.profile.function_ranks();
        for place in 0..self.nodes.len() {
            let mut children = std::mem::take(&mut self.nodes[place].children);
            children.retain(|child| self.nodes[*child].total > 0);
            children.sort_by_key(|child| self.nodes[*child].order(&ranks));
            self.nodes[place].children = children;
        }
        CallTree {
            profile: self.profile,
            nodes: self.nodes,
        }
    }
}

impl NodeData {
    /// Larger totals first, then by name, file and kind.
    fn order(&self, ranks: &[u32]) -> impl Ord + use<> {
        let rank = self.function.map(|function| ranks[function.0 as usize]);
        (std::cmp::Reverse(self.total), rank, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, decode};

    fn outline(node: Node<'_>, depth: usize, out: &mut String) {
        for child in node.children() {
            let line = format!(
                "{}{} {}/{}",
                "  ".repeat(depth),
                child.name(),
                child.self_value(),
                child.total()
            );
            out.push_str(&line);
            out.push('\n');
            outline(child, depth + 1, out);
        }
    }

    fn check(folded: &str, reversed: bool, expected: &str) {
        let profile = decode::folded(folded.as_bytes(), &Limits::default()).unwrap();
        let tree = if reversed {
            CallTree::reversed(&profile, Column::Events)
        } else {
            CallTree::new(&profile, Column::Events)
        };
        let mut out = String::new();
        outline(tree.root(), 0, &mut out);
        assert_eq!(out, expected);
        assert_eq!(tree.root().total(), profile.column_total(Column::Events));
    }

    #[test]
    fn totals_are_self_and_children_and_larger_comes_first() {
        check(
            "m;a 1\nm;b;c 5\nm 2\n",
            false,
            "m 2/8\n  b 0/5\n    c 5/5\n  a 1/1\n",
        );
    }

    #[test]
    fn reversed_begins_at_the_leaves() {
        check(
            "m;a;x 3\nm;x 1\n",
            true,
            "x 0/4\n  a 0/3\n    m 3/3\n  m 1/1\n",
        );
    }

    #[test]
    fn recursion_stays_visible() {
        check("f;f;f 2\nf 1\n", false, "f 1/3\n  f 0/2\n    f 2/2\n");
    }

    #[test]
    fn an_empty_profile_has_only_the_root() {
        check("", false, "");
        check("", true, "");
    }
}

//! The call tree: stacks merged from the root (or from the leaf) on, with self and total.

use std::cmp::Reverse;
use std::ops::Range;

use crate::column::Column;
use crate::frame::{FrameId, FrameKind};
use crate::function::FunctionId;
use crate::hash;
use crate::interner::{Contents, Interner};
use crate::profile::Profile;
use crate::units::index;

/// A tree of functions over one column of a profile.
///
/// Frames of one function (name, file) and kind are one node under one parent, whatever their
/// lines. The root stands for the whole profile and has no name. Holds that every node's total
/// is its self value plus its children's totals, and that the root's total is the column's sum.
///
/// Costs one step for each stack node where no function comes with several lines or addresses, as
/// in a merged profile, else one hash; reversed, one hash for each frame of each different stack,
/// which may be thousands of times as many: [`Callers`](crate::Callers) makes only the part that
/// is looked at.
#[derive(Debug)]
pub struct CallTree<'p> {
    profile: &'p Profile,
    nodes: Vec<NodeData>,
    /// The children of each node side by side.
    children: Vec<u32>,
}

#[derive(Debug)]
struct NodeData {
    /// `None` for the root.
    what: Option<What>,
    self_value: u64,
    total: u64,
    /// In the tree's list of children.
    children: Range<u32>,
}

/// What is one node under one parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct What {
    function: FunctionId,
    kind: FrameKind,
}

impl Contents for What {
    fn hash(&self) -> u64 {
        hash::ids([u64::from(self.function.0) << 8 | self.kind as u64])
    }
}

const ROOT: u32 = 0;

impl<'p> CallTree<'p> {
    /// From the root frames down to the leaves: who called what.
    pub fn new(profile: &'p Profile, column: Column) -> Self {
        let self_values = profile.self_values(column);
        let mut tree = Growing::new(profile);
        let mut places: Vec<u32> = Vec::with_capacity(self_values.len());
        for ((_, node), value) in profile.stacks.iter().zip(self_values) {
            let parent = node.parent.map_or(ROOT, |parent| places[parent.0 as usize]);
            let place = if tree.frames_differ {
                // Then so do all stacks, and no two of them are one node.
                tree.push(parent, node.frame)
            } else {
                tree.child(parent, node.frame)
            };
            places.push(place);
            tree.add_self(place, value);
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
            let stack = crate::StackId(index(place));
            let mut at = ROOT;
            for frame in profile.stacks.leaf_first(stack) {
                at = tree.child(at, frame);
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
            place: ROOT as usize,
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
        let profile = self.tree.profile;
        let what = self.data().what;
        what.map_or("", |what| profile.function_name(what.function))
    }

    /// The function's file, where it is known.
    pub fn file(self) -> Option<&'t str> {
        let what = self.data().what?;
        self.tree.profile.function_file(what.function)
    }

    /// Where the code comes from.
    pub fn kind(self) -> FrameKind {
        self.data().what.map_or(FrameKind::Marker, |what| what.kind)
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
        let Range { start, end } = self.data().children;
        let places = &tree.children[start as usize..end as usize];
        places.iter().map(move |place| Node {
            tree,
            place: *place as usize,
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
    /// What each frame is, as a place in `whats`.
    of_frame: Vec<u32>,
    whats: Vec<What>,
    /// Whether no two frames are the same.
    frames_differ: bool,
    /// Parents before children; the first one is the root.
    nodes: Vec<GrowingNode>,
    self_values: Vec<u64>,
    interner: Interner,
}

/// A node's parent, and what it is as a place in `whats`.
#[derive(Clone, Copy, PartialEq)]
struct GrowingNode {
    parent: u32,
    what: u32,
}

impl Contents for GrowingNode {
    fn hash(&self) -> u64 {
        hash::ids([u64::from(self.parent) << 32 | u64::from(self.what)])
    }
}

impl<'p> Growing<'p> {
    fn new(profile: &'p Profile) -> Self {
        let (mut whats, mut interner) = (Vec::new(), Interner::default());
        let records = profile.frames.iter();
        let of_frame: Vec<u32> = records
            .map(|record| {
                let (function, kind) = (record.function, record.kind);
                interner.intern(&mut whats, What { function, kind })
            })
            .collect();
        let root = GrowingNode {
            parent: u32::MAX,
            what: u32::MAX,
        };
        Self {
            profile,
            frames_differ: whats.len() == of_frame.len(),
            of_frame,
            whats,
            nodes: vec![root],
            self_values: vec![0],
            interner: Interner::default(),
        }
    }

    /// The node of this frame under `parent`, added if it is new.
    fn child(&mut self, parent: u32, frame: FrameId) -> u32 {
        let what = self.of_frame[frame.0 as usize];
        let node = GrowingNode { parent, what };
        let place = self.interner.intern(&mut self.nodes, node);
        self.self_values.resize(self.nodes.len(), 0);
        place
    }

    /// Adds a node of which it is known that it is new.
    fn push(&mut self, parent: u32, frame: FrameId) -> u32 {
        let what = self.of_frame[frame.0 as usize];
        self.nodes.push(GrowingNode { parent, what });
        self.self_values.push(0);
        index(self.nodes.len() - 1)
    }

    fn add_self(&mut self, place: u32, value: u64) {
        let sum = &mut self.self_values[place as usize];
        *sum = sum.saturating_add(value);
    }

    /// Sums totals (children stand after their parents), drops what is zero, sorts.
    fn finish(self) -> CallTree<'p> {
        let mut totals = self.self_values.clone();
        for (place, node) in self.nodes.iter().enumerate().skip(1).rev() {
            let total = totals[place];
            let parent = &mut totals[node.parent as usize];
            *parent = parent.saturating_add(total);
        }
        let (children, ranges) = self.children(&totals);
        let values = self.self_values.into_iter().zip(totals);
        let nodes = self.nodes.iter().zip(values).zip(ranges);
        let nodes = nodes.map(|((node, (self_value, total)), children)| NodeData {
            what: self.whats.get(node.what as usize).copied(),
            self_value,
            total,
            children,
        });
        CallTree {
            profile: self.profile,
            nodes: nodes.collect(),
            children,
        }
    }

    /// The children of all nodes that have a total, and where those of each node stand.
    fn children(&self, totals: &[u64]) -> (Vec<u32>, Vec<Range<u32>>) {
        let counted = || {
            let nodes = self.nodes.iter().enumerate().skip(1);
            nodes.filter(|(place, _)| totals[*place] > 0)
        };
        let mut counts = vec![0_u32; self.nodes.len()];
        for (_, node) in counted() {
            counts[node.parent as usize] += 1;
        }
        let mut start = 0;
        let mut ranges = Vec::with_capacity(counts.len());
        for count in counts {
            ranges.push(start..start);
            start += count;
        }
        let mut children = vec![0; start as usize];
        for (place, node) in counted() {
            let range = &mut ranges[node.parent as usize];
            children[range.end as usize] = index(place);
            range.end += 1;
        }
        self.sort(&mut children, &ranges, totals);
        (children, ranges)
    }

    /// Sorts siblings by total, largest first, those of one total by name, file and kind. Names
    /// may be long and alike: they are sorted once, and only those that decide something.
    fn sort(&self, children: &mut [u32], ranges: &[Range<u32>], totals: &[u64]) {
        let total = |place: &u32| totals[*place as usize];
        let what = |place: &u32| self.whats[self.nodes[*place as usize].what as usize];
        let mut alike: Vec<Range<usize>> = Vec::new();
        for range in ranges {
            let mut start = range.start as usize;
            let siblings = &mut children[start..range.end as usize];
            siblings.sort_unstable_by_key(|place| Reverse(total(place)));
            for run in siblings.chunk_by(|left, right| total(left) == total(right)) {
                alike.extend((run.len() > 1).then(|| start..start + run.len()));
                start += run.len();
            }
        }
        let places = alike.iter().flat_map(|run| &children[run.clone()]);
        let ranks = self
            .profile
            .ranks_of(places.map(|place| what(place).function));
        for run in alike {
            children[run].sort_unstable_by_key(|place| {
                let what = what(place);
                (ranks[what.function.0 as usize], what.kind)
            });
        }
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

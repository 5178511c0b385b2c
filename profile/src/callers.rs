//! The reversed call tree, made only where somebody looks.
//!
//! A profile of few nodes has a large reversed tree where its stacks are deep: each of its
//! stacks is a path of its own there, 4,096 levels long at most. What a reader looks at is the
//! widest part of it. So a node here is the set of the stacks that begin with its frames, leaf
//! first, and the nodes below it are made when it is opened.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::column::Column;
use crate::frame::FrameKind;
use crate::function::FunctionId;
use crate::profile::Profile;
use crate::stack::StackId;

/// The tree of [`CallTree::reversed`](crate::CallTree::reversed), one node at a time.
#[derive(Debug)]
pub struct Callers<'p> {
    profile: &'p Profile,
    column: Column,
    ranks: Vec<u32>,
}

impl<'p> Callers<'p> {
    /// Prepares the tree over one column. Sorts the functions by name once.
    pub fn new(profile: &'p Profile, column: Column) -> Self {
        Self {
            profile,
            column,
            ranks: profile.function_ranks(),
        }
    }

    /// The node that stands for the whole profile: every stack that has a value is open in it.
    pub fn root(&self) -> CallerNode<'_> {
        let mut root = CallerNode {
            callers: self,
            function: None,
            kind: FrameKind::Marker,
            self_value: self.profile.stackless_value(self.column),
            total: 0,
            open: Vec::new(),
        };
        let values = self.profile.self_values(self.column);
        for ((id, _), value) in self.profile.stacks.iter().zip(values) {
            if value != 0 {
                root.open.push((id, value));
                root.total = root.total.saturating_add(value);
            }
        }
        root.total = root.total.saturating_add(root.self_value);
        root
    }
}

/// One node of [`Callers`].
#[derive(Clone)]
pub struct CallerNode<'t> {
    callers: &'t Callers<'t>,
    function: Option<FunctionId>,
    kind: FrameKind,
    self_value: u64,
    total: u64,
    /// The callers' stacks that come next, each once, with the value of what came from there.
    open: Vec<(StackId, u64)>,
}

/// What [`CallerNode::open`] gives.
#[derive(Debug)]
pub struct OpenedNode<'t> {
    /// The nodes below, largest total first, then by name, file and kind.
    pub children: Vec<CallerNode<'t>>,
    /// Whether there are nodes below whose total is too small to be among them.
    pub has_smaller: bool,
}

impl<'t> CallerNode<'t> {
    /// The function's name; empty for the root.
    pub fn name(&self) -> &'t str {
        let name = |function| self.callers.profile.function_name(function);
        self.function.map_or("", name)
    }

    /// The function's file, where it is known.
    pub fn file(&self) -> Option<&'t str> {
        self.callers.profile.function_file(self.function?)
    }

    /// Where the code comes from.
    pub const fn kind(&self) -> FrameKind {
        self.kind
    }

    /// What ends in this node: the samples whose root frame it is.
    pub const fn self_value(&self) -> u64 {
        self.self_value
    }

    /// What ends in this node or below it.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// How many stacks go on below this node: what it costs to open it. Zero where nothing is
    /// below.
    pub const fn open_count(&self) -> usize {
        self.open.len()
    }

    /// The nodes below whose total is at least `total_min`; smaller ones are never made.
    ///
    /// Costs one hash for each of [`Self::open_count`], and sorting what is kept.
    pub fn open(self, total_min: u64) -> OpenedNode<'t> {
        let Callers { profile, ranks, .. } = self.callers;
        let mut places = HashMap::new();
        let mut children: Vec<Self> = Vec::new();
        for (stack, value) in self.open {
            let node = profile.stacks.node(stack);
            let record = profile.frames.record(node.frame);
            let place = *places
                .entry((record.function, record.kind))
                .or_insert_with(|| {
                    children.push(Self {
                        callers: self.callers,
                        function: Some(record.function),
                        kind: record.kind,
                        self_value: 0,
                        total: 0,
                        open: Vec::new(),
                    });
                    children.len() - 1
                });
            let child = &mut children[place];
            child.total = child.total.saturating_add(value);
            match node.parent {
                Some(parent) => child.open.push((parent, value)),
                None => child.self_value = child.self_value.saturating_add(value),
            }
        }
        let made = children.len();
        children.retain(|child| child.total >= total_min);
        let has_smaller = children.len() != made;
        let rank = |child: &Self| child.function.map(|function| ranks[function.0 as usize]);
        children.sort_by_key(|child| (Reverse(child.total), rank(child), child.kind));
        for child in &mut children {
            child.join_open();
        }
        OpenedNode {
            children,
            has_smaller,
        }
    }

    /// Makes those that come from one stack one: leaves of one caller go on together.
    fn join_open(&mut self) {
        self.open.sort_unstable_by_key(|(stack, _)| *stack);
        self.open.dedup_by(|(stack, value), (kept, sum)| {
            let is_same = stack == kept;
            if is_same {
                *sum = sum.saturating_add(*value);
            }
            is_same
        });
    }
}

impl std::fmt::Debug for CallerNode<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallerNode")
            .field("name", &self.name())
            .field("self_value", &self.self_value)
            .field("total", &self.total)
            .field("open_count", &self.open.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventCount, FrameSpec, LabelSetId, Limits, NewSample, ProfileBuilder, decode};

    fn profile(folded: &str) -> Profile {
        decode::folded(folded.as_bytes(), &Limits::default()).unwrap()
    }

    fn names(opened: &OpenedNode<'_>) -> Vec<(String, u64)> {
        let children = opened.children.iter();
        children
            .map(|child| (child.name().to_owned(), child.total()))
            .collect()
    }

    #[test]
    fn smaller_nodes_are_left_out_and_it_is_said() {
        let profile = profile("m;a;x 3\nm;b;x 5\nm;y 2\n");
        let callers = Callers::new(&profile, Column::Events);
        let root = callers.root();
        assert_eq!((root.name(), root.total(), root.open_count()), ("", 10, 3));
        let opened = root.open(3);
        assert_eq!(names(&opened), [("x".to_owned(), 8)]);
        assert!(opened.has_smaller, "y");
        let opened = opened.children[0].clone().open(1);
        assert_eq!(names(&opened), [("b".to_owned(), 5), ("a".to_owned(), 3)]);
        assert!(!opened.has_smaller);
    }

    #[test]
    fn lines_of_one_function_go_on_as_one_from_their_caller() {
        let mut builder = ProfileBuilder::new();
        let main = builder.frame(&FrameSpec::new("main"));
        let main = builder.stack(None, main);
        for line in 1..=100 {
            let leaf = builder.frame(&FrameSpec::new("leaf").line(line));
            let stack = Some(builder.stack(Some(main), leaf));
            builder.sample(NewSample {
                stack,
                event_count: EventCount::ONE,
                values: &[],
                time: None,
                thread: None,
                labels: LabelSetId::EMPTY,
            });
        }
        let profile = builder.build().unwrap();
        let callers = Callers::new(&profile, Column::Events);
        let root = callers.root();
        assert_eq!((root.total(), root.open_count()), (100, 100));
        let leaf = root.open(1).children.remove(0);
        assert_eq!((leaf.total(), leaf.open_count()), (100, 1));
    }

    #[test]
    fn recursion_goes_on_from_each_of_its_depths() {
        let profile = profile("m;f 2\nm;f;f 3\nm;f;f;f 5\n");
        let callers = Callers::new(&profile, Column::Events);
        let f = callers.root().open(1).children.remove(0);
        assert_eq!((f.total(), f.open_count()), (10, 3));
        assert_eq!(
            names(&f.open(1)),
            [("f".to_owned(), 8), ("m".to_owned(), 2)]
        );
    }
}

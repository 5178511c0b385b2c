//! The call tree as JSON.
//!
//! A flat list in which each node names its parent by place, parents before children: stacks are
//! deeper than the nesting that common JSON readers allow. It is written node by node, so a tree
//! of half a million nodes costs its text and no more.

use flashlamp_profile::{CallTree, Node};
use serde::ser::{Serialize, Serializer};

/// Every node of a tree, to be serialized. Node 0 is the root and has neither name nor parent;
/// siblings stand largest total first.
#[derive(Debug)]
pub(super) struct Nodes<'a>(pub(super) &'a CallTree<'a>);

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(Walk {
            open: vec![(self.0.root(), None)],
            place: 0,
        })
    }
}

#[derive(Debug, serde::Serialize)]
struct Row<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(rename = "self")]
    self_value: u64,
    total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<usize>,
}

/// The nodes that are still to be written, each with the place of its parent.
struct Walk<'a> {
    open: Vec<(Node<'a>, Option<usize>)>,
    place: usize,
}

impl<'a> Iterator for Walk<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        let (node, parent) = self.open.pop()?;
        let first_child = self.open.len();
        self.open
            .extend(node.children().map(|child| (child, Some(self.place))));
        if let Some(children) = self.open.get_mut(first_child..) {
            children.reverse();
        }
        self.place += 1;
        Some(Row {
            name: node.name(),
            file: node.file(),
            self_value: node.self_value(),
            total: node.total(),
            parent,
        })
    }
}

//! The call tree as JSON.
//!
//! A flat list in which each node names its parent by place, parents before children: stacks are
//! deeper than the nesting that common JSON readers allow.

use flashlamp_profile::{CallTree, Node};
use serde_json::{Value, json};

/// Every node of the tree. Node 0 is the root and has neither name nor parent; siblings stand
/// largest total first.
pub(super) fn nodes(tree: &CallTree<'_>) -> Vec<Value> {
    let mut nodes = Vec::with_capacity(tree.node_count());
    let mut open: Vec<(Node<'_>, Option<usize>)> = vec![(tree.root(), None)];
    while let Some((node, parent)) = open.pop() {
        let place = nodes.len();
        let mut value =
            json!({"name": node.name(), "self": node.self_value(), "total": node.total()});
        if let (Some(fields), Some(parent)) = (value.as_object_mut(), parent) {
            fields.insert("parent".to_owned(), parent.into());
        }
        if let (Some(fields), Some(file)) = (value.as_object_mut(), node.file()) {
            fields.insert("file".to_owned(), file.into());
        }
        nodes.push(value);
        let first_child = open.len();
        open.extend(node.children().map(|child| (child, Some(place))));
        if let Some(children) = open.get_mut(first_child..) {
            children.reverse();
        }
    }
    nodes
}

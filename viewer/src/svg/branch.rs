//! A node of the tree that is drawn, whichever way its stacks are read.

use flashlamp_profile::{CallerNode, FrameKind, Node};

/// What calls lead to (forward), or where they come from (reversed).
#[derive(Debug)]
pub(super) enum Branch<'t> {
    Forward(Node<'t>),
    Reversed(CallerNode<'t>),
}

/// The nodes below one.
pub(super) struct Below<'t> {
    /// Widest first.
    pub(super) branches: Vec<Branch<'t>>,
    /// Whether there are narrower ones.
    pub(super) has_narrow: bool,
}

impl<'t> Branch<'t> {
    pub(super) fn name(&self) -> &'t str {
        match self {
            Self::Forward(node) => node.name(),
            Self::Reversed(node) => node.name(),
        }
    }

    pub(super) fn kind(&self) -> FrameKind {
        match self {
            Self::Forward(node) => node.kind(),
            Self::Reversed(node) => node.kind(),
        }
    }

    pub(super) fn self_value(&self) -> u64 {
        match self {
            Self::Forward(node) => node.self_value(),
            Self::Reversed(node) => node.self_value(),
        }
    }

    pub(super) fn total(&self) -> u64 {
        match self {
            Self::Forward(node) => node.total(),
            Self::Reversed(node) => node.total(),
        }
    }

    /// How many steps it takes to open it; zero where nothing is below.
    pub(super) fn open_steps(&self) -> usize {
        match self {
            Self::Forward(node) => node.children().len(),
            Self::Reversed(node) => node.open_count(),
        }
    }

    /// The nodes below whose total is at least `narrowest`.
    pub(super) fn open(self, narrowest: u64) -> Below<'t> {
        match self {
            Self::Forward(node) => {
                let all = node.children().len();
                let wide = node.children().take_while(|node| node.total() >= narrowest);
                let branches: Vec<_> = wide.map(Branch::Forward).collect();
                Below {
                    has_narrow: branches.len() < all,
                    branches,
                }
            }
            Self::Reversed(node) => {
                let opened = node.open(narrowest);
                Below {
                    branches: opened.children.into_iter().map(Branch::Reversed).collect(),
                    has_narrow: opened.has_smaller,
                }
            }
        }
    }
}

//! A call tree cut down to what can be drawn, as folded lines for inferno.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use flashlamp_profile::{CallTree, FrameKind, Node};

use super::Options;
use crate::{format, text};

/// The most folded text that is handed to inferno: a bound on its memory and time.
const FOLDED_BYTES_MAX: usize = 32 << 20;
/// The longest name inside a graph, in characters: it also bounds the output.
const NAME_CHARS_MAX: usize = 400;

/// What stands in the place of frames of the first level that were not drawn.
const NOT_DRAWN: &str = "[not drawn]";
/// What stands in the place of samples with an empty stack.
const NO_STACK: &str = "[no stack]";

/// Stand-ins for what folded text cannot hold; no visible name holds a control character.
pub(super) const SEMICOLON: char = '\u{1}';
pub(super) const SPACE: char = '\u{2}';
/// Ends a name: keeps inferno from cutting annotations such as `_[k]` off.
pub(super) const END: char = '\u{3}';
/// Begins the name of a marker frame.
pub(super) const MARKER: char = '\u{4}';

/// The widest part of a call tree.
#[derive(Debug)]
pub(super) struct Pruned<'t> {
    /// Widest first; a parent before its children. The first is the root.
    frames: Vec<Kept<'t>>,
    /// How many frames of the tree are not among them, as far as they were counted.
    hidden: Hidden,
}

#[derive(Debug)]
struct Kept<'t> {
    node: Node<'t>,
    parent: usize,
    level: usize,
    name: String,
    /// The part of the total that no kept child stands for.
    rest: u64,
    path_bytes: usize,
}

/// Frames that were not drawn because of a bound, except the merely narrow ones.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Hidden {
    narrow: bool,
    too_many: bool,
    too_deep: bool,
}

/// A frame in the queue; the widest comes out first, then the one that came first.
struct Candidate<'t> {
    node: Node<'t>,
    parent: usize,
    level: usize,
    order: Reverse<u64>,
}

impl Candidate<'_> {
    fn key(&self) -> (u64, Reverse<u64>) {
        (self.node.total(), self.order)
    }
}

impl PartialEq for Candidate<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Candidate<'_> {}
impl PartialOrd for Candidate<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Candidate<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// Takes the widest frames, best first: a parent is never narrower than its children, so what is
/// taken is connected. Iterative: depth costs no stack.
pub(super) fn prune<'t>(tree: &'t CallTree<'t>, options: &Options) -> Pruned<'t> {
    let root = tree.root();
    let narrowest = narrowest(root.total(), options.min_width_percent);
    let mut pruned = Pruned {
        frames: Vec::new(),
        hidden: Hidden::default(),
    };
    if root.total() == 0 {
        return pruned;
    }
    let mut queue = BinaryHeap::new();
    let mut order = 0;
    queue.push(Candidate {
        node: root,
        parent: 0,
        level: 0,
        order: Reverse(order),
    });
    while let Some(candidate) = queue.pop() {
        // The root is not counted: it is drawn in any case.
        if pruned.frames.len() > options.frames_max {
            pruned.hidden.too_many = true;
            break;
        }
        let place = pruned.frames.len();
        let (node, level) = (candidate.node, candidate.level);
        pruned.take(&candidate);
        if level >= options.levels_max {
            pruned.hidden.too_deep |= node.children().len() != 0;
            continue;
        }
        for child in node.children() {
            // Children come widest first.
            if child.total() < narrowest {
                pruned.hidden.narrow |= child.total() != 0;
                break;
            }
            order += 1;
            queue.push(Candidate {
                node: child,
                parent: place,
                level: level + 1,
                order: Reverse(order),
            });
        }
    }
    pruned.bound_folded_bytes();
    pruned
}

/// The smallest total that is drawn.
fn narrowest(total: u64, min_width_percent: f64) -> u64 {
    let share = min_width_percent.clamp(0.0, 100.0) / 100.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a u64, not negative; the cast saturates"
    )]
    let narrowest = (total as f64 * share).ceil() as u64;
    narrowest.max(1)
}

impl<'t> Pruned<'t> {
    fn take(&mut self, candidate: &Candidate<'t>) {
        let node = candidate.node;
        let name = if self.frames.is_empty() {
            String::new()
        } else {
            folded_name(node)
        };
        let mut path_bytes = name.len() + 1;
        if let Some(parent) = self.frames.get_mut(candidate.parent) {
            parent.rest = parent.rest.saturating_sub(node.total());
            path_bytes += parent.path_bytes;
        }
        self.frames.push(Kept {
            node,
            parent: candidate.parent,
            level: candidate.level,
            name,
            rest: node.total(),
            path_bytes,
        });
    }

    /// Gives frames up, the narrowest first, until the folded text is in its bound.
    fn bound_folded_bytes(&mut self) {
        while self.folded_bytes() > FOLDED_BYTES_MAX && self.frames.len() > 1 {
            self.hidden.too_many = true;
            let given_up = self.frames.split_off(self.frames.len() / 2);
            given_up.iter().for_each(|frame| self.give_back(frame));
        }
    }

    /// Leaves a frame's width to its parent, unless that was given up as well.
    fn give_back(&mut self, frame: &Kept<'_>) {
        if let Some(parent) = self.frames.get_mut(frame.parent) {
            parent.rest = parent.rest.saturating_add(frame.node.total());
        }
    }

    fn folded_bytes(&self) -> usize {
        let with_line = self.frames.iter().filter(|frame| frame.rest != 0);
        with_line
            .map(|frame| frame.path_bytes)
            .fold(0, usize::saturating_add)
    }

    /// Nothing to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The names in the lines, with the frame's kind.
    pub(super) fn names(&self) -> impl Iterator<Item = (Cow<'_, str>, FrameKind)> {
        let kept = self.frames.iter().skip(1);
        let kept = kept.map(|frame| (Cow::Borrowed(frame.name.as_str()), frame.node.kind()));
        kept.chain(
            self.gaps()
                .map(|(name, _)| (Cow::Owned(name), FrameKind::Marker)),
        )
    }

    /// What is not drawn, in words; empty where everything is.
    pub(super) fn not_drawn(&self, options: &Options) -> String {
        let mut parts = Vec::new();
        if self.hidden.narrow {
            parts.push(format!("frames below {}%", options.min_width_percent));
        }
        if self.hidden.too_many {
            let drawn = u64::try_from(self.frames.len()).unwrap_or(u64::MAX) - 1;
            parts.push(format!(
                "all but the {} widest frames",
                format::count(drawn)
            ));
        }
        if self.hidden.too_deep {
            let levels = u64::try_from(options.levels_max).unwrap_or(u64::MAX);
            parts.push(format!(
                "frames deeper than {} levels",
                format::count(levels)
            ));
        }
        if parts.is_empty() {
            String::new()
        } else {
            format!("not drawn: {}", parts.join(", "))
        }
    }

    /// Folded lines, root first, in drawing order from left to right: children by width, then
    /// what ends in the frame itself.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut children = vec![Vec::new(); self.frames.len()];
        for (place, frame) in self.frames.iter().enumerate().skip(1) {
            children[frame.parent].push(place);
        }
        let mut lines = Vec::new();
        // Totals saturate, so the parts may be more than the whole; inferno adds them up.
        let mut left = self.frames.first().map_or(0, |root| root.node.total());
        let mut counted = |value: u64| {
            let value = value.min(left);
            left -= value;
            value
        };
        // (place, length of the path without it); the second visit writes the line.
        let mut path = String::new();
        let mut todo = vec![(0_usize, 0_usize, false)];
        while let Some((place, parent_path, below_is_done)) = todo.pop() {
            let frame = &self.frames[place];
            path.truncate(parent_path);
            if frame.level > 1 {
                path.push(';');
            }
            path.push_str(&frame.name);
            if !below_is_done {
                todo.push((place, parent_path, true));
                todo.extend(
                    children[place]
                        .iter()
                        .rev()
                        .map(|child| (*child, path.len(), false)),
                );
            } else if frame.rest != 0 && place != 0 {
                lines.push(format!("{path} {}", counted(frame.rest)));
            }
        }
        lines.extend(
            self.gaps()
                .map(|(name, value)| format!("{name} {}", counted(value))),
        );
        lines
    }

    /// What the first level has no frame for, as markers that keep its width: frames that were
    /// not drawn, and samples with an empty stack.
    fn gaps(&self) -> impl Iterator<Item = (String, u64)> {
        let (rest, stackless) = self
            .frames
            .first()
            .map_or((0, 0), |root| (root.rest, root.node.self_value()));
        let gaps = [
            (NOT_DRAWN, rest.saturating_sub(stackless)),
            (NO_STACK, stackless),
        ];
        gaps.into_iter()
            .filter(|(_, value)| *value != 0)
            .map(|(name, value)| (format!("{MARKER}{}{END}", stand_ins(name)), value))
    }
}

/// The name as inferno may read it: visible, bounded, without what folded text cannot hold.
fn folded_name(node: Node<'_>) -> String {
    let visible = text::visible(node.name());
    let mut name = String::with_capacity(visible.len() + 2);
    if node.kind() == FrameKind::Marker {
        name.push(MARKER);
    }
    match visible.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => {
            name.push_str(&stand_ins(&visible[..end]));
            name.push('…');
        }
        None => name.push_str(&stand_ins(&visible)),
    }
    name.push(END);
    name
}

/// Replaces what folded text cannot hold, and every white space (inferno trims and splits at it).
fn stand_ins(name: &str) -> String {
    let replace = |character: char| match character {
        ';' => SEMICOLON,
        _ if character.is_whitespace() => SPACE,
        _ => character,
    };
    name.chars().map(replace).collect()
}

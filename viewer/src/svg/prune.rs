//! A call tree cut down to what can be drawn, as folded lines for inferno.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use flashlamp_profile::FrameKind;

use super::Options;
use super::branch::Branch;
use crate::{format, text};

/// The most folded text that is handed to inferno: a bound on its memory and time.
const FOLDED_BYTES_MAX: usize = 32 << 20;
/// The most bytes of SVG for all frames, as [`Kept::svg_bytes`] has them.
const SVG_BYTES_MAX: usize = 7 << 19;
/// What inferno writes for a frame beside its name, at most.
const SVG_FRAME_BYTES: usize = 320;
/// How many characters fit into a frame that is as wide as the graph.
const LABEL_CHARS_MAX: u64 = 170;
/// How many steps are taken through the tree, opening a node being one for each way that leads
/// on: a bound on the time of a reversed graph, in which all stacks of a profile lead on for as
/// many levels as they are deep. Each takes about 30 ns.
const STEPS_MAX: usize = 16 << 20;

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
#[derive(Debug, Default)]
pub(super) struct Pruned {
    /// Widest first; a parent before its children. The first is the root.
    frames: Vec<Kept>,
    /// What ends in the root: samples with an empty stack.
    stackless: u64,
    /// How many frames of the tree are not among them, as far as they were counted.
    hidden: Hidden,
}

#[derive(Debug)]
struct Kept {
    parent: usize,
    level: usize,
    name: String,
    kind: FrameKind,
    total: u64,
    /// The part of the total that no kept child stands for.
    rest: u64,
    path_bytes: usize,
    /// The most that it takes in the SVG.
    svg_bytes: usize,
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
    branch: Branch<'t>,
    parent: usize,
    level: usize,
    order: Reverse<u64>,
}

impl Candidate<'_> {
    fn key(&self) -> (u64, Reverse<u64>) {
        (self.branch.total(), self.order)
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
/// taken is connected. Only what is taken is opened. Iterative: depth costs no stack.
pub(super) fn prune(root: Branch<'_>, options: &Options) -> Pruned {
    let narrowest = narrowest(root.total(), options.min_width_percent);
    let mut pruned = Pruned {
        stackless: root.self_value(),
        ..Pruned::default()
    };
    if root.total() == 0 {
        return pruned;
    }
    let mut queue = BinaryHeap::new();
    let (mut order, mut steps_left) = (0, STEPS_MAX);
    queue.push(Candidate {
        branch: root,
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
        pruned.take(&candidate);
        let Candidate { branch, level, .. } = candidate;
        if level >= options.levels_max {
            pruned.hidden.too_deep |= branch.open_steps() != 0;
            continue;
        }
        let Some(left) = steps_left.checked_sub(branch.open_steps()) else {
            pruned.hidden.too_many = true;
            break;
        };
        steps_left = left;
        let below = branch.open(narrowest);
        pruned.hidden.narrow |= below.has_narrow;
        for branch in below.branches {
            order += 1;
            queue.push(Candidate {
                branch,
                parent: place,
                level: level + 1,
                order: Reverse(order),
            });
        }
    }
    pruned.bound_svg_bytes();
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

impl Pruned {
    fn take(&mut self, candidate: &Candidate<'_>) {
        let branch = &candidate.branch;
        let total = branch.total();
        let name = match self.frames.first() {
            None => String::new(),
            Some(_) => folded_name(branch),
        };
        let whole = self.frames.first().map_or(total, |root| root.total);
        let mut path_bytes = name.len() + 1;
        if let Some(parent) = self.frames.get_mut(candidate.parent) {
            parent.rest = parent.rest.saturating_sub(total);
            path_bytes += parent.path_bytes;
        }
        self.frames.push(Kept {
            parent: candidate.parent,
            level: candidate.level,
            svg_bytes: svg_bytes(&name, total, whole),
            name,
            kind: branch.kind(),
            total,
            rest: total,
            path_bytes,
        });
    }

    /// Gives the narrowest frames up until all names fit into the picture's bound.
    fn bound_svg_bytes(&mut self) {
        let mut left = SVG_BYTES_MAX;
        let fits = self.frames.iter().take_while(|frame| {
            let fits = frame.svg_bytes <= left;
            left = left.saturating_sub(frame.svg_bytes);
            fits
        });
        let fit = fits.count();
        self.give_up_from(fit);
    }

    /// Gives frames up, the narrowest first, until the folded text is in its bound.
    fn bound_folded_bytes(&mut self) {
        while self.folded_bytes() > FOLDED_BYTES_MAX && self.frames.len() > 1 {
            self.give_up_from(self.frames.len() / 2);
        }
    }

    /// Gives up the frames from this place on: parents stand before their children.
    fn give_up_from(&mut self, place: usize) {
        let given_up = self.frames.split_off(place.clamp(1, self.frames.len()));
        self.hidden.too_many |= !given_up.is_empty();
        given_up.iter().for_each(|frame| self.give_back(frame));
    }

    /// Leaves a frame's width to its parent, unless that was given up as well.
    fn give_back(&mut self, frame: &Kept) {
        if let Some(parent) = self.frames.get_mut(frame.parent) {
            parent.rest = parent.rest.saturating_add(frame.total);
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

    /// What the whole width stands for.
    pub(super) fn total(&self) -> u64 {
        self.frames.first().map_or(0, |root| root.total)
    }

    /// The names in the lines, with the frame's kind.
    pub(super) fn names(&self) -> impl Iterator<Item = (Cow<'_, str>, FrameKind)> {
        let kept = self.frames.iter().skip(1);
        let kept = kept.map(|frame| (Cow::Borrowed(frame.name.as_str()), frame.kind));
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
        let mut left = self.frames.first().map_or(0, |root| root.total);
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
        let rest = self.frames.first().map_or(0, |root| root.rest);
        let stackless = self.stackless;
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
fn folded_name(branch: &Branch<'_>) -> String {
    let visible = text::visible(branch.name());
    let mut name = String::with_capacity(visible.len() + 2);
    if branch.kind() == FrameKind::Marker {
        name.push(MARKER);
    }
    name.push_str(&stand_ins(&visible));
    name.push(END);
    name
}

/// The most bytes of SVG that a frame takes: its name stands in the tooltip, and as much of it as
/// fits in the label.
fn svg_bytes(name: &str, total: u64, whole: u64) -> usize {
    // What inferno writes for the character: `&quot;` is the longest.
    let escaped = |character| match character {
        '"' | '\'' => 6,
        '&' => 5,
        '<' | '>' => 4,
        other => other.len_utf8(),
    };
    let label_chars = u128::from(total) * u128::from(LABEL_CHARS_MAX) / u128::from(whole.max(1));
    let label_chars = usize::try_from(label_chars).unwrap_or(0);
    let tooltip: usize = name.chars().map(escaped).sum();
    let label: usize = name.chars().take(label_chars).map(escaped).sum();
    SVG_FRAME_BYTES + tooltip + label
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

//! Folded text: `root;frame;leaf COUNT`, one line a stack.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::column::Column;
use crate::frame::markers;
use crate::function::FunctionId;
use crate::profile::Profile;

/// The profile as folded text over one column: root first, one line for each different stack
/// of names, siblings in order of their names, a newline after each line.
///
/// The format has no escapes: `;` in a name becomes `:`, control characters become spaces.
/// Stacks that look the same after that (or differ only in their files) are one line. Samples
/// without a stack are named [`markers::NO_STACK`]. Lines whose count is zero are left out. Counts
/// above 2^63 - 1 are written as that, as in the other formats.
pub fn folded(profile: &Profile, column: Column) -> String {
    Folding::new(profile).run(column)
}

/// The tree of names, as text carries them.
struct Folding<'p> {
    profile: &'p Profile,
    names: Vec<String>,
    name_ids: HashMap<String, usize>,
    of_function: HashMap<FunctionId, usize>,
    nodes: Vec<NameNode>,
    places: HashMap<(usize, usize), usize>,
}

#[derive(Default)]
struct NameNode {
    name: usize,
    value: u64,
    children: Vec<usize>,
}

const ROOT: usize = 0;

impl<'p> Folding<'p> {
    fn new(profile: &'p Profile) -> Self {
        Self {
            profile,
            names: Vec::new(),
            name_ids: HashMap::new(),
            of_function: HashMap::new(),
            nodes: vec![NameNode::default()],
            places: HashMap::new(),
        }
    }

    fn run(mut self, column: Column) -> String {
        let values = self.profile.self_values(column);
        let mut places = Vec::with_capacity(values.len());
        for (id, node) in self.profile.stacks.iter() {
            let parent = node.parent.map_or(ROOT, |parent| places[parent.0 as usize]);
            let name = self.name_of(self.profile.frames.record(node.frame).function);
            let place = self.child(parent, name);
            places.push(place);
            self.add(place, values[id.0 as usize]);
        }
        let stackless = self.profile.stackless_value(column);
        if stackless > 0 {
            let name = self.name(markers::NO_STACK.to_owned());
            let place = self.child(ROOT, name);
            self.add(place, stackless);
        }
        self.write()
    }

    fn name_of(&mut self, function: FunctionId) -> usize {
        if let Some(id) = self.of_function.get(&function) {
            return *id;
        }
        let id = self.name(folded_name(self.profile.function_name(function)));
        self.of_function.insert(function, id);
        id
    }

    fn name(&mut self, name: String) -> usize {
        if let Some(id) = self.name_ids.get(&name) {
            return *id;
        }
        self.names.push(name.clone());
        self.name_ids.insert(name, self.names.len() - 1);
        self.names.len() - 1
    }

    fn child(&mut self, parent: usize, name: usize) -> usize {
        *self.places.entry((parent, name)).or_insert_with(|| {
            self.nodes.push(NameNode {
                name,
                ..NameNode::default()
            });
            let place = self.nodes.len() - 1;
            self.nodes[parent].children.push(place);
            place
        })
    }

    fn add(&mut self, place: usize, value: u64) {
        let node = &mut self.nodes[place];
        node.value = node.value.saturating_add(value);
    }

    /// Depth first, without recursion: stacks may be deep.
    fn write(mut self) -> String {
        for place in 0..self.nodes.len() {
            let mut children = std::mem::take(&mut self.nodes[place].children);
            let name = |child: &usize| &self.names[self.nodes[*child].name];
            children.sort_by(|left, right| name(right).cmp(name(left)));
            self.nodes[place].children = children;
        }
        let mut out = String::new();
        let mut line = String::new();
        // Nodes still to visit, with the length of the line before their name.
        let mut open: Vec<(usize, usize)> = self.nodes[ROOT]
            .children
            .iter()
            .map(|child| (*child, 0))
            .collect();
        while let Some((place, length)) = open.pop() {
            let node = &self.nodes[place];
            line.truncate(length);
            if length > 0 {
                line.push(';');
            }
            line.push_str(&self.names[node.name]);
            if node.value > 0 {
                writeln!(out, "{line} {}", node.value.min(COUNT_MAX))
                    .expect("a String takes any text");
            }
            open.extend(node.children.iter().map(|child| (*child, line.len())));
        }
        out
    }
}

/// The largest count that readers take.
const COUNT_MAX: u64 = i64::MAX as u64;

/// A frame's name as folded text can carry it: `;` and line breaks have a meaning there.
fn folded_name(name: &str) -> String {
    let clean = |c: char| match c {
        ';' => ':',
        c if c.is_control() => ' ',
        c => c,
    };
    let name: String = name.chars().map(clean).collect();
    let name = name.trim();
    if name.is_empty() {
        markers::NO_STACK.to_owned()
    } else {
        name.to_owned()
    }
}

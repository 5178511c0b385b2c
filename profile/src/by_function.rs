//! The table of functions: self and total of each.

use crate::column::Column;
use crate::function::FunctionId;
use crate::profile::Profile;
use crate::stack::{StackId, StackNode};

/// One function of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionRow {
    /// The function's name.
    pub name: String,
    /// Its file, where it is known.
    pub file: Option<String>,
    /// What was sampled in the function itself, in the column's unit.
    pub self_value: u64,
    /// What was sampled in the function or in what it called. Recursion counts once.
    pub total: u64,
}

/// Every function that has a value, largest total first, then largest self, then by name and file.
///
/// Costs a few steps for each stack node, however deep the stacks are.
pub fn by_function(profile: &Profile, column: Column) -> Vec<FunctionRow> {
    let functions = profile.functions.len();
    let mut self_values = vec![0_u64; functions];
    let node_selves = profile.self_values(column);
    for ((_, node), value) in profile.stacks.iter().zip(&node_selves) {
        let sum = &mut self_values[function_of(profile, node)];
        *sum = sum.saturating_add(*value);
    }
    let totals = totals(profile, node_selves);
    let mut rows: Vec<FunctionRow> = (0..functions)
        .filter(|place| totals[*place] > 0)
        .map(|place| {
            let id = FunctionId(crate::units::index(place));
            FunctionRow {
                name: profile.function_name(id).to_owned(),
                file: profile.function_file(id).map(str::to_owned),
                self_value: self_values[place],
                total: totals[place],
            }
        })
        .collect();
    rows.sort_by(|a, b| {
        (b.total, b.self_value, &a.name, &a.file).cmp(&(a.total, a.self_value, &b.name, &b.file))
    });
    rows
}

fn function_of(profile: &Profile, node: StackNode) -> usize {
    profile.frames.record(node.frame).function.0 as usize
}

/// The total of each function: the sum over its nodes that stand below no other node of it, so
/// that recursion counts once. `values` holds the self value of each node.
fn totals(profile: &Profile, mut values: Vec<u64>) -> Vec<u64> {
    const NONE: usize = usize::MAX;
    // Parents stand before children. Siblings are a list: the first, and each one's next.
    let mut first_child = vec![NONE; values.len()];
    let mut next_sibling = vec![NONE; values.len()];
    let mut first_root = NONE;
    for (id, node) in profile.stacks.iter().rev() {
        let place = id.0 as usize;
        let first = match node.parent {
            Some(parent) => {
                let parent = parent.0 as usize;
                values[parent] = values[parent].saturating_add(values[place]);
                &mut first_child[parent]
            }
            None => &mut first_root,
        };
        next_sibling[place] = std::mem::replace(first, place);
    }
    let mut totals = vec![0_u64; profile.functions.len()];
    // How often each function is on the way from the root to where we are.
    let mut above = vec![0_usize; profile.functions.len()];
    let mut way = Vec::new();
    let mut next = first_root;
    loop {
        if next != NONE {
            let function = function_of(profile, profile.stacks.node(id(next)));
            if above[function] == 0 {
                totals[function] = totals[function].saturating_add(values[next]);
            }
            above[function] += 1;
            way.push((next, function));
            next = first_child[next];
        } else if let Some((place, function)) = way.pop() {
            above[function] -= 1;
            next = next_sibling[place];
        } else {
            return totals;
        }
    }
}

fn id(place: usize) -> StackId {
    StackId(crate::units::index(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, decode};

    fn check(folded: &str, expected: &[(&str, u64, u64)]) {
        let profile = decode::folded(folded.as_bytes(), &Limits::default()).unwrap();
        let rows = by_function(&profile, Column::Events);
        let rows: Vec<_> = rows
            .iter()
            .map(|row| (row.name.as_str(), row.self_value, row.total))
            .collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn self_and_total_of_each_function() {
        check(
            "m;a 1\nm;a;b 2\nm 4\n",
            &[("m", 4, 7), ("a", 1, 3), ("b", 2, 2)],
        );
    }

    #[test]
    fn recursion_counts_once_in_total() {
        check("f;g;f 2\nf 1\n", &[("f", 3, 3), ("g", 0, 2)]);
    }

    #[test]
    fn a_function_below_several_callers_and_itself_is_summed_over_all() {
        check(
            "m;a;f;b;f 1\nm;c;f;f 2\nf;m 4\n",
            &[
                ("m", 4, 7),
                ("f", 3, 7),
                ("c", 0, 2),
                ("a", 0, 1),
                ("b", 0, 1),
            ],
        );
    }

    #[test]
    fn nothing_gives_no_rows() {
        check("", &[]);
    }
}

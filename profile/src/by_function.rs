//! The table of functions: self and total of each.

use crate::column::Column;
use crate::profile::Profile;
use crate::stack::StackId;

/// One function of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionRow<'p> {
    /// The function's name.
    pub name: &'p str,
    /// Its file, where it is known.
    pub file: Option<&'p str>,
    /// What was sampled in the function itself, in the column's unit.
    pub self_value: u64,
    /// What was sampled in the function or in what it called. Recursion counts once.
    pub total: u64,
}

/// Every function that has a value, largest total first, then largest self, then by name and file.
///
/// Costs a few steps for each stack node, however deep the stacks, and sorting the functions.
pub fn by_function(profile: &Profile, column: Column) -> Vec<FunctionRow<'_>> {
    let values = profile.self_values(column);
    let (order, subtrees) = depth_first(profile, &values);
    let mut sums = vec![Sums::default(); profile.functions.len()];
    for (place, (stack, next)) in (0_u32..).zip(&order) {
        let node = profile.stacks.node(*stack);
        let function = profile.frames.record(node.frame).function;
        let (sums, stack) = (&mut sums[function.0 as usize], stack.0 as usize);
        sums.self_value = sums.self_value.saturating_add(values[stack]);
        if place >= sums.inside_until {
            sums.inside_until = *next;
            sums.total = sums.total.saturating_add(subtrees[stack]);
        }
    }
    let rows = profile.functions.iter().zip(sums);
    let mut rows: Vec<FunctionRow<'_>> = rows
        .filter(|(_, sums)| sums.total > 0)
        .map(|(id, sums)| FunctionRow {
            name: profile.function_name(id),
            file: profile.function_file(id),
            self_value: sums.self_value,
            total: sums.total,
        })
        .collect();
    rows.sort_unstable_by(|a, b| {
        (b.total, b.self_value, a.name, a.file).cmp(&(a.total, a.self_value, b.name, b.file))
    });
    rows
}

/// The sums of one function on the way.
#[derive(Clone, Default)]
struct Sums {
    self_value: u64,
    total: u64,
    /// The first place in the depth-first order after the outermost stack of the function that
    /// was seen last: what comes before it is recursion.
    inside_until: u32,
}

/// Every stack, each followed by what is above it, with the place after that; and by stack, the
/// sum of the stack and of what is above it.
fn depth_first(profile: &Profile, values: &[u64]) -> (Vec<(StackId, u32)>, Vec<u64>) {
    let mut subtrees = values.to_vec();
    let mut sizes = vec![1_u32; values.len()];
    for (id, node) in profile.stacks.iter().rev() {
        let Some(parent) = node.parent else { continue };
        let (stack, parent) = (id.0 as usize, parent.0 as usize);
        subtrees[parent] = subtrees[parent].saturating_add(subtrees[stack]);
        sizes[parent] += sizes[stack];
    }
    let mut order = vec![(StackId(0), 0); values.len()];
    // Where the next child of each stack goes, and the next root.
    let mut next = vec![0; values.len()];
    let mut next_root = 0;
    for (id, node) in profile.stacks.iter() {
        let siblings = match node.parent {
            Some(parent) => &mut next[parent.0 as usize],
            None => &mut next_root,
        };
        let place = *siblings;
        *siblings += sizes[id.0 as usize];
        order[place as usize] = (id, *siblings);
        next[id.0 as usize] = place + 1;
    }
    (order, subtrees)
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
            .map(|row| (row.name, row.self_value, row.total))
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
    fn recursion_in_one_branch_does_not_hide_the_next() {
        check(
            "m;f;f 1\nm;g;f 2\nf;g 4\nm;f;g 8\nf 16\n",
            &[("f", 19, 31), ("g", 12, 14), ("m", 0, 11)],
        );
    }

    #[test]
    fn nothing_gives_no_rows() {
        check("", &[]);
    }
}

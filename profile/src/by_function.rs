//! The table of functions: self and total of each.

use crate::column::Column;
use crate::function::FunctionId;
use crate::profile::Profile;

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
/// Costs one step up the tree for each frame of each different stack.
pub fn by_function(profile: &Profile, column: Column) -> Vec<FunctionRow> {
    let functions = profile.functions.len();
    let mut self_values = vec![0_u64; functions];
    let mut totals = vec![0_u64; functions];
    // The stack that last added to a function's total, so that recursion adds once.
    let mut last_seen = vec![usize::MAX; functions];
    let of = |frame| -> FunctionId { profile.frames.record(frame).function };
    for (place, value) in profile.self_values(column).into_iter().enumerate() {
        if value == 0 {
            continue;
        }
        let stack = crate::StackId(crate::units::index(place));
        let leaf = of(profile.stacks.node(stack).frame).0 as usize;
        self_values[leaf] = self_values[leaf].saturating_add(value);
        for frame in profile.stacks.leaf_first(stack) {
            let function = of(frame).0 as usize;
            if last_seen[function] != place {
                last_seen[function] = place;
                totals[function] = totals[function].saturating_add(value);
            }
        }
    }
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
    fn nothing_gives_no_rows() {
        check("", &[]);
    }
}

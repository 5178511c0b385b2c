//! Folded text read as the test's own plain map, an oracle that shares no code with the product.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

/// Stacks (root first, joined by semicolons) with the sum of their counts.
pub type Stacks = BTreeMap<String, u64>;

/// Sums the lines of folded text; a line that is none is left out, and so is a blank frame,
/// which real data has: it names nothing.
#[must_use]
pub fn sum(text: &str) -> Stacks {
    let mut stacks = Stacks::new();
    for line in text.lines() {
        let Some((stack, count)) = line.rsplit_once(' ') else {
            continue;
        };
        let Ok(count) = count.parse::<u64>() else {
            continue;
        };
        let named: Vec<&str> = stack
            .split(';')
            .filter(|frame| !frame.trim().is_empty())
            .collect();
        *stacks.entry(named.join(";")).or_default() += count;
    }
    stacks
}

/// The sum of all counts.
#[must_use]
pub fn total(stacks: &Stacks) -> u64 {
    stacks.values().sum()
}

/// The sum of the counts of the stacks that hold a frame whose name holds `name`.
#[must_use]
pub fn total_with(stacks: &Stacks, name: &str) -> u64 {
    let holds = |stack: &str| stack.split(';').any(|frame| frame.contains(name));
    stacks
        .iter()
        .filter(|(stack, _)| holds(stack))
        .map(|(_, count)| count)
        .sum()
}

/// Checks that two sets of stacks are the same; says the first few differences alone, because
/// real stacks are long and many.
///
/// # Errors
/// When they differ.
pub fn same(came_out: &Stacks, went_in: &Stacks) -> Result<()> {
    let of = |stacks: &Stacks, stack: &str| stacks.get(stack).copied().unwrap_or(0);
    let all: BTreeSet<&String> = came_out.keys().chain(went_in.keys()).collect();
    let different: Vec<String> = all
        .iter()
        .filter(|stack| of(came_out, stack) != of(went_in, stack))
        .map(|stack| {
            format!(
                "{} instead of {}: {stack}",
                of(came_out, stack),
                of(went_in, stack)
            )
        })
        .collect();
    let shown = different
        .iter()
        .take(5)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n  ");
    ensure!(
        different.is_empty(),
        "{} stacks differ:\n  {shown}",
        different.len()
    );
    Ok(())
}

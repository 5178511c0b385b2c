//! What is over the sizes that we aim at. It prints and never fails: a long file makes us ask
//! whether it holds two ideas, and may answer no.

use std::io::Write as _;

use crate::source;

/// The size that makes us think, in lines.
const FILE_LINES: usize = 400;

#[test]
fn files_over_the_size_we_aim_at_are_listed() {
    let mut long: Vec<(usize, String)> = source::rust("")
        .into_iter()
        .map(|source| (source.text.lines().count(), source.path))
        .filter(|(lines, _)| *lines > FILE_LINES)
        .collect();
    long.sort_by(|a, b| b.cmp(a));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} files over {FILE_LINES} lines", long.len()).unwrap();
    for (lines, path) in long {
        writeln!(out, "{lines:6} {path}").unwrap();
    }
}

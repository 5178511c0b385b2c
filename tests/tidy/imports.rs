//! Imports stand in three blocks: the standard library, other crates, this crate.

use crate::source::{self, Source};

/// The block that an import belongs to; none for what the file's own child modules hold, which
/// stands where it reads best.
fn block(file: &str, import: &str) -> Option<u8> {
    let path = import.split_once("use ").map_or(import, |(_, path)| path);
    let root = path.split([':', ';', ' ']).next().unwrap_or_default();
    match root {
        "std" | "core" | "alloc" => Some(0),
        "crate" | "super" | "self" => Some(2),
        child if file.contains(&format!("mod {child};\n")) => None,
        _ => Some(1),
    }
}

/// The imports at the top of a file, each with its line and whether an empty line is before it.
fn imports(source: &Source) -> Vec<(usize, bool, String)> {
    let mut found = Vec::new();
    let mut after_empty = true;
    for (line, text) in (1..).zip(source.text.lines()) {
        if ["use ", "pub use ", "pub(crate) use "]
            .iter()
            .any(|start| text.starts_with(start))
        {
            found.push((line, after_empty, text.to_owned()));
        }
        let opens_an_item = [
            "fn ",
            "pub fn ",
            "struct ",
            "pub struct ",
            "impl ",
            "mod tests",
        ];
        if opens_an_item.iter().any(|start| text.starts_with(start)) {
            break;
        }
        if !text.starts_with("#[") {
            after_empty = text.trim().is_empty();
        }
    }
    found
}

#[test]
fn imports_stand_in_three_blocks() {
    let mut broken = Vec::new();
    for source in source::rust("") {
        for pair in imports(&source).windows(2) {
            let [(_, _, above), (line, after_empty, below)] = pair else {
                continue;
            };
            let right = match (block(&source.text, above), block(&source.text, below)) {
                (Some(a), Some(b)) if a != b => a < b && *after_empty,
                _ => true,
            };
            if !right {
                broken.push(format!("{}:{line}: {below}", source.path));
            }
        }
    }
    source::check(
        "std, then other crates, then this crate, an empty line between",
        &broken,
    );
}

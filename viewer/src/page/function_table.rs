//! The table of the functions that weigh most.

use std::cmp::Reverse;

use flashlamp_profile::{FunctionRow, Profile, by_function};
use maud::{Markup, PreEscaped, html};

use super::layout::{bar, escaped, name, ratio};
use crate::svg::{Options, Unit};
use crate::{format, link, text};

/// How many functions are taken by self.
const BY_SELF_MAX: usize = 60;
/// How many functions are taken by total: more, for the first dozens are often the runtime's.
const BY_TOTAL_MAX: usize = 100;
/// The most bytes that all rows take: names, files and addresses may be long.
const ROWS_BYTES_MAX: usize = 768 << 10;

/// Functions by self, then by total, in the column and unit of the graph.
///
/// `page_url` is the address of this page with its query: a name links to it with a search, so
/// that the function is highlighted in the graph.
pub(super) fn function_table(profile: &Profile, options: &Options, page_url: &str) -> Markup {
    let total = profile.column_total(options.column);
    let all = by_function(profile, options.column);
    let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let rows = heaviest(all);
    if rows.is_empty() {
        return html! {};
    }
    let (shown, rows) = rows_in_bounds(&rows, |row| function_row(row, options, total, page_url));
    let left_out = count - u64::try_from(shown).unwrap_or(count);
    html! {
        section.functions {
            h2 { "Functions" }
            p.hint {
                "Self is time in the function's own code, total includes what it calls."
                @if left_out != 0 { " " (format::counted(left_out, "lighter function")) " not listed." }
            }
            div.scroll {
                table.sortable {
                    thead { tr {
                        th.number scope="col" aria-sort="descending" colspan="2" {
                            "Self" (in_unit(options.unit))
                        }
                        th.number scope="col" colspan="2" { "Total" (in_unit(options.unit)) }
                        th scope="col" { "Function" }
                        th scope="col" { "File" }
                    } }
                    tbody { (rows) }
                }
            }
        }
    }
}

/// How many rows stay within [`ROWS_BYTES_MAX`], and these.
fn rows_in_bounds(
    rows: &[FunctionRow<'_>],
    row: impl Fn(&FunctionRow<'_>) -> Markup,
) -> (usize, PreEscaped<String>) {
    let (mut shown, mut text) = (0, String::new());
    for row in rows.iter().map(row) {
        if text.len() + row.0.len() > ROWS_BYTES_MAX {
            break;
        }
        text.push_str(&row.0);
        shown += 1;
    }
    (shown, escaped(text))
}

fn function_row(row: &FunctionRow<'_>, options: &Options, total: u64, page_url: &str) -> Markup {
    html! {
        tr {
            (value_cells(row.self_value, options.unit, total))
            (value_cells(row.total, options.unit, total))
            td.function {
                a href=(search_link(page_url, row.name)) title="Highlight in the graph" {
                    (name(row.name))
                }
            }
            td.file { @if let Some(file) = row.file {
                span title=(text::visible(file)) { (name(short_path(file))) }
            } }
        }
    }
}

/// A number and its share; nothing at all is a quiet dash.
fn value_cells(value: u64, unit: Unit, total: u64) -> Markup {
    let text = match unit {
        Unit::Samples => format::count(value),
        Unit::Duration | Unit::Milliseconds | Unit::Plain => unit.format(value),
    };
    html! {
        @if value == 0 {
            td.number.nothing data-sort="0" { "–" }
            td.number.share {}
        } @else {
            td.number data-sort=(value) { (text) }
            td.number.share { (bar(ratio(value, total))) (format::percent(value, total)) }
        }
    }
}

/// The unit in the head of a column whose cells leave it out.
const fn in_unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Samples => ", samples",
        Unit::Duration | Unit::Milliseconds | Unit::Plain => "",
    }
}

/// The heaviest by self and the heaviest by total, each once, by self and then by total.
fn heaviest(mut rows: Vec<FunctionRow<'_>>) -> Vec<FunctionRow<'_>> {
    // They come by total.
    let mut chosen = Vec::new();
    if rows.len() > BY_TOTAL_MAX {
        let rest = rows.split_off(BY_TOTAL_MAX);
        chosen = std::mem::replace(&mut rows, rest);
        rows.sort_by_key(|row| Reverse(row.self_value));
        let heavy_self = rows
            .into_iter()
            .take(BY_SELF_MAX)
            .filter(|row| row.self_value != 0);
        chosen.extend(heavy_self);
    } else {
        chosen.append(&mut rows);
    }
    chosen.sort_by(|a, b| {
        let weight = |row: &FunctionRow<'_>| Reverse((row.self_value, row.total));
        weight(a).cmp(&weight(b)).then_with(|| a.name.cmp(b.name))
    });
    chosen
}

/// The end of a source path that tells it apart: from the package on for dependencies and the
/// standard library, else the last four parts.
fn short_path(path: &str) -> &str {
    let after = |marker: &str, parts: usize| {
        let rest = path.split_once(marker)?.1;
        rest.splitn(parts + 1, '/').nth(parts)
    };
    // `…/registry/src/HOST-HASH/hyper-1.12.0/src/…` and `/rustc/HASH/library/core/src/…`
    let known = after("/registry/src/", 1).or_else(|| after("/rustc/", 1));
    let last_parts = || {
        path.rmatch_indices('/')
            .nth(3)
            .map_or(path, |(at, _)| &path[at + 1..])
    };
    known.unwrap_or_else(last_parts)
}

/// The page with a search for exactly this function, as the graph's script reads it.
fn search_link(page_url: &str, function: &str) -> String {
    let mut pattern = String::from("^");
    for character in text::visible(function).chars() {
        if character.is_ascii_punctuation() && character != '_' {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push_str(" \\(");
    let separator = if page_url.contains('?') { '&' } else { '?' };
    format!("{page_url}{separator}s={}", link::encode(&pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_link_finds_exactly_one_name() {
        assert_eq!(
            search_link("/profile/1", "a<b>::c d"),
            "/profile/1?s=%5Ea%5C%3Cb%5C%3E%5C%3A%5C%3Ac%20d%20%5C%28"
        );
        assert!(search_link("/day/x/y?entry=z", "f").starts_with("/day/x/y?entry=z&s="));
    }

    #[test]
    fn the_heaviest_by_self_and_by_total_are_both_there() {
        let names: Vec<String> = (0..400).map(|index| format!("f{index:03}")).collect();
        let row = |index: u64, self_value, total| FunctionRow {
            name: &names[usize::try_from(index).unwrap()],
            file: None,
            self_value,
            total,
        };
        let mut rows: Vec<_> = (0..200).map(|index| row(index, 0, 1000 - index)).collect();
        rows.extend((200..400).map(|index| row(index, 500 - index, 500 - index)));
        let names: Vec<_> = heaviest(rows).into_iter().map(|row| row.name).collect();
        assert_eq!(names.len(), BY_SELF_MAX + BY_TOTAL_MAX);
        assert_eq!(names[0], "f200");
        assert!(names.contains(&"f000"));
        assert!(!names.contains(&"f150"));
    }

    #[test]
    fn paths_are_shortened_to_what_tells_them_apart() {
        let check = |path, expected| assert_eq!(short_path(path), expected);
        check(
            "/home/me/.cargo/registry/src/host-1a/hyper-1.12.0/src/a.rs",
            "hyper-1.12.0/src/a.rs",
        );
        check(
            "/rustc/5980/library/core/src/ops/function.rs",
            "library/core/src/ops/function.rs",
        );
        check("/home/me/code/shop/src/cart.rs", "code/shop/src/cart.rs");
        check("src/main.rs", "src/main.rs");
        check("", "");
    }
}

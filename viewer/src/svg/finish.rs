//! From what inferno wrote to what is served: names restored, counts with their unit.

use std::fmt::Write as _;

use super::prune::{END, MARKER, SEMICOLON, SPACE};
use super::{Options, Unit};
use crate::{format, text};

const TITLE_OPEN: &str = "<title>";
const TITLE_CLOSE: &str = "</title>";

/// Rewrites inferno's document as an `<svg>` element.
///
/// Its XML declaration, its document type (which names a file on another host) and its comments
/// go. `<g><title>NAME (1,234,567 samples, 12.35%)</title>` gets the number in `unit`, and a
/// class where the frame is a marker. Escaping stays inferno's: nothing is unescaped here.
pub(super) fn finish(drawn: &str, unit: Unit, total: u64) -> String {
    let mut out = String::with_capacity(drawn.len() + drawn.len() / 8);
    let start_tag = drawn.find("<svg ").map(|start| &drawn[start..]);
    let start_tag = start_tag.and_then(|rest| rest.find('>').map(|end| &rest[..=end]));
    out.push_str(start_tag.unwrap_or("<svg>"));
    let mut rest = drawn.find("<defs>").map_or("", |start| &drawn[start..]);
    while let Some((before, title, after)) = next_title(rest) {
        match before.strip_suffix("<g>") {
            Some(before) if title.starts_with(MARKER) => {
                push_restored(&mut out, before);
                out.push_str("<g class=\"marker\">");
            }
            _ => push_restored(&mut out, before),
        }
        out.push_str(TITLE_OPEN);
        push_title(&mut out, title, unit, total);
        out.push_str(TITLE_CLOSE);
        rest = after;
    }
    push_restored(&mut out, rest);
    out
}

/// What is before the next title, its text, and what is after it.
fn next_title(rest: &str) -> Option<(&str, &str, &str)> {
    let (before, after) = rest.split_once(TITLE_OPEN)?;
    let (title, after) = after.split_once(TITLE_CLOSE)?;
    Some((before, title, after))
}

/// Writes `NAME (NUMBER UNIT, SHARE%)` for inferno's `NAME (1,234 samples, SHARE%)`.
fn push_title(out: &mut String, title: &str, unit: Unit, total: u64) {
    let Some((name, numbers)) = title.rsplit_once(" (") else {
        push_restored(out, title);
        return;
    };
    let digits = numbers.split(' ').next().unwrap_or("").replace(',', "");
    let Ok(value) = digits.parse() else {
        push_restored(out, title);
        return;
    };
    push_restored(out, name);
    let share = format::percent(value, total);
    let _infallible = write!(out, " ({}, {share})", unit.format(value));
}

/// Puts back what the stand-ins of `prune` stand for.
fn push_restored(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find([SEMICOLON, SPACE, END, MARKER]) {
        out.push_str(&rest[..at]);
        let stand_in = rest[at..].chars().next().unwrap_or(END);
        match stand_in {
            SEMICOLON => out.push(';'),
            SPACE => out.push(' '),
            _ => {}
        }
        rest = &rest[at + stand_in.len_utf8()..];
    }
    out.push_str(rest);
}

/// A picture that says that there is nothing to see.
pub(super) fn empty(options: &Options) -> String {
    let title = text::visible(&options.title);
    let title = if options.title.is_empty() {
        "Nothing to draw"
    } else {
        &title
    };
    maud::html! {
        svg xmlns="http://www.w3.org/2000/svg" width="1200" height="120" viewBox="0 0 1200 120" {
            rect width="100%" height="100%" fill="#ffffff" {}
            text x="50%" y="48" text-anchor="middle" font-family="sans-serif" font-size="17" {
                (title)
            }
            text x="50%" y="80" text-anchor="middle" font-family="sans-serif" font-size="14"
                fill="#555555" { "This profile holds no samples." }
        }
    }
    .into_string()
}

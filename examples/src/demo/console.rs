//! What the demo prints: colours on a terminal, plain lines into a pipe or file.
//!
//! Each line is flushed when it ends, so that a program can read along. `NO_COLOR` is obeyed.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

const LABEL_COLUMNS: usize = 28;

const DIM: Style = Style::new().dimmed();
const LINK: Style = AnsiColor::Cyan.on_default().bold();
const READY: Style = AnsiColor::Green.on_default().bold();
const WRONG: Style = AnsiColor::Red.on_default().bold();

/// A fact about the set-up.
pub(crate) fn fact(label: &str, value: impl Display) {
    anstream::println!("{DIM}  {label:LABEL_COLUMNS$}{DIM:#}{value}");
}

/// Something that is true from now on, and where to see it.
pub(crate) fn ready(label: &str, link: impl Display) {
    anstream::println!("{READY}✓ {READY:#}{label:LABEL_COLUMNS$}{LINK}{link}{LINK:#}");
}

/// A line for a person.
pub(crate) fn say(line: &str) {
    anstream::println!("{DIM}{line}{DIM:#}");
}

/// What went wrong, with its causes, on standard error.
pub(crate) fn error(error: &anyhow::Error) {
    anstream::eprintln!("{WRONG}error:{WRONG:#} {error:#}");
}

//! Nothing that the signal handler reaches allocates, locks or formats.
//!
//! This is a look at the words of those files, which catches the slip; that no allocation
//! happens is measured by the agent's own test with a counting allocator.

use crate::source::{self, Token};

/// The files of the signal path: folders end with a slash.
const SIGNAL_PATH: [&str; 5] = [
    "agent/src/ring/",
    "agent/src/unwind/",
    "agent/src/sampler/handler.rs",
    "agent/src/sys.rs",
    "agent/src/scope/waker.rs",
];

/// What stands at `at` and has no place there.
fn refused(tokens: &[Token], at: usize) -> Option<&'static str> {
    let next = |ahead: usize| {
        tokens
            .get(at + ahead)
            .map_or("", |token| token.text.as_str())
    };
    match (next(0), next(1)) {
        ("Vec", _) | ("vec", "!") => Some("Vec"),
        ("Box", _) => Some("Box"),
        ("String", _) => Some("String"),
        ("to_string" | "to_owned" | "to_vec" | "collect", "(") => Some("an allocation"),
        ("format" | "println" | "eprintln", "!") => Some("formatting"),
        ("lock" | "try_lock", "(") => Some("a lock"),
        ("tracing", ":") => Some("tracing"),
        _ => None,
    }
}

#[test]
fn nothing_on_the_signal_path_allocates_locks_or_formats() {
    let mut sources = source::rust("agent/src/");
    sources.retain(|s| SIGNAL_PATH.iter().any(|place| s.path.starts_with(place)) && !s.is_test());
    let handler = sources
        .iter()
        .find(|s| s.path == "agent/src/sampler/handler.rs");
    assert!(
        handler.is_some_and(|s| s.text.contains("extern \"C\" fn")),
        "the handler is there"
    );
    let mut broken = Vec::new();
    for source in &sources {
        let tokens = source.tokens();
        broken.extend((0..tokens.len()).filter_map(|at| {
            Some(format!(
                "{}:{}: {}",
                source.path,
                tokens[at].line,
                refused(&tokens, at)?
            ))
        }));
    }
    source::check(
        "the signal path neither allocates, locks nor formats",
        &broken,
    );
}

//! Nothing that the signal handler reaches allocates, locks or formats.
//!
//! A function that the handler reaches says so: its documentation has a section
//! "Signal safety". This looks at the words of those functions, which catches the slip; that no
//! allocation happens is measured by the agent's own test with a counting allocator.

use std::collections::BTreeSet;

use crate::source::{self, Source, Token};

/// The files that the handler certainly reaches.
const SIGNAL_PATH: [&str; 9] = [
    "agent/src/ring/mod.rs",
    "agent/src/ring/record.rs",
    "agent/src/sampler/handler.rs",
    "agent/src/sys.rs",
    "agent/src/unwind/mod.rs",
    "agent/src/unwind/object_table.rs",
    "agent/src/unwind/read_stack.rs",
    "agent/src/unwind/tables.rs",
    "agent/src/unwind/walk.rs",
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
        ("format" | "println" | "eprintln" | "panic" | "write", "!") => Some("formatting"),
        ("lock" | "try_lock", "(") => Some("a lock"),
        ("tracing", ":") => Some("tracing"),
        _ => None,
    }
}

/// The tokens of each function whose documentation has the section, from `fn` to its last brace.
fn signal_safe_functions(source: &Source) -> Vec<Vec<Token>> {
    let mut functions = Vec::new();
    let mut tokens = source.tokens().into_iter();
    while tokens.any(|token| token.text.contains("# Signal safety")) {
        let mut depth = 0;
        let mut function = Vec::new();
        for token in tokens.by_ref().skip_while(|token| token.text != "fn") {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            let ends = depth == 0 && matches!(token.text.as_str(), "}" | ";");
            function.push(token);
            if ends {
                break;
            }
        }
        functions.push(function);
    }
    functions
}

#[test]
fn nothing_on_the_signal_path_allocates_locks_or_formats() {
    let mut looked_at = BTreeSet::new();
    let mut broken = Vec::new();
    for source in source::rust("agent/src/")
        .into_iter()
        .filter(|source| !source.is_test())
    {
        for function in signal_safe_functions(&source) {
            looked_at.insert(source.path.clone());
            broken.extend((0..function.len()).filter_map(|at| {
                Some(format!(
                    "{}:{}: {}",
                    source.path,
                    function[at].line,
                    refused(&function, at)?
                ))
            }));
        }
    }
    for path in SIGNAL_PATH {
        assert!(
            looked_at.contains(path),
            "{path} has no function with a section Signal safety"
        );
    }
    source::check(
        "the signal path neither allocates, locks nor formats",
        &broken,
    );
}

#[test]
fn a_slip_in_a_marked_function_is_found() {
    let text = "fn free() { Box::new(1); }\n/// Does.\n///\n/// # Signal safety\n/// No lock.\n\
                fn marked() {\n    if true { let _ = format!(\"a\"); }\n}\nfn after() { vec![1]; }\n";
    let source = Source {
        path: "slip.rs".to_owned(),
        text: text.to_owned(),
    };
    let functions = signal_safe_functions(&source);
    assert_eq!(functions.len(), 1);
    let found: Vec<&str> = (0..functions[0].len())
        .filter_map(|at| refused(&functions[0], at))
        .collect();
    assert_eq!(found, ["formatting"]);
}

//! The files of the project, and the tokens of the Rust code that ships.

use std::process::Command;

use harness::programs::workspace_root;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A text file of the project.
pub(crate) struct Source {
    /// Relative to the root of the workspace, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A token and the line it stands on; brackets are tokens of their own.
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The text files that are tracked or would be, in order of their paths.
pub(crate) fn all() -> Vec<Source> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ])
        .current_dir(workspace_root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listed = String::from_utf8(output.stdout).unwrap();
    let mut sources: Vec<Source> = listed
        .split_terminator('\0')
        .filter_map(|path| {
            let text = std::fs::read_to_string(workspace_root().join(path)).ok()?;
            Some(Source {
                path: path.to_owned(),
                text,
            })
        })
        .collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        sources.len() > 20,
        "the project has more files than {}",
        sources.len()
    );
    sources
}

/// The Rust files whose paths start with `prefix`; there must be one.
pub(crate) fn rust(prefix: &str) -> Vec<Source> {
    let mut sources = all();
    sources.retain(|source| source.path.starts_with(prefix) && source.path.ends_with(".rs"));
    assert!(!sources.is_empty(), "no Rust file under {prefix:?}");
    sources
}

/// Fails with one line for each place that breaks the rule.
pub(crate) fn check(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

impl Source {
    /// The tokens of the code that ships: no comments, nothing under `#[cfg(test)]`.
    ///
    /// A documentation comment is an attribute, so its text is a token.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        let stream: TokenStream = self
            .text
            .parse()
            .unwrap_or_else(|error| panic!("{}: {error}", self.path));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        tokens
    }

    /// Whether all of the file is test code.
    pub(crate) fn is_test(&self) -> bool {
        self.path
            .split('/')
            .any(|part| matches!(part, "tests" | "tests.rs" | "benches"))
    }
}

fn flatten(stream: TokenStream, into: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let attribute = matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == '#');
        if attribute && matches!(trees.peek(), Some(TokenTree::Group(group)) if is_cfg_test(group))
        {
            // The item ends with its braces or with a semicolon.
            let _ = trees.by_ref().find(|tree| match tree {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                TokenTree::Punct(punct) => punct.as_char() == ';',
                _ => false,
            });
            continue;
        }
        let line = tree.span().start().line;
        if let TokenTree::Group(group) = tree {
            let (open, close) = match group.delimiter() {
                Delimiter::Parenthesis => ("(", ")"),
                Delimiter::Brace => ("{", "}"),
                Delimiter::Bracket => ("[", "]"),
                Delimiter::None => ("", ""),
            };
            into.push(Token {
                line,
                text: open.to_owned(),
            });
            flatten(group.stream(), into);
            into.push(Token {
                line: group.span_close().end().line,
                text: close.to_owned(),
            });
        } else {
            into.push(Token {
                line,
                text: tree.to_string(),
            });
        }
    }
}

fn is_cfg_test(group: &Group) -> bool {
    group.stream().to_string().replace(' ', "") == "cfg(test)"
}

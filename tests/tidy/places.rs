//! Things that have one place: SQL in the store, and nothing of a machine anywhere.

use crate::source;

/// What would tie the project to the machine that a file was written on, or to a registry's
/// host. Written in two halves, because this file is looked at too.
const OF_A_MACHINE: [&str; 8] = [
    concat!("/wor", "k/"),
    concat!("/roo", "t/"),
    concat!("/far", "m/"),
    concat!(".libra", "ry"),
    concat!("registry.", "npmjs"),
    concat!("static.", "crates.io"),
    concat!("index.", "crates.io"),
    concat!("deb.", "debian.org"),
];

/// Whether the text holds the word and not as the end of a longer path or name.
fn names(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '}')
    })
}

#[test]
fn nothing_names_a_machine_or_the_host_of_a_registry() {
    let mut broken = Vec::new();
    for source in source::all() {
        for (line, text) in (1..).zip(source.text.lines()) {
            if OF_A_MACHINE.iter().any(|word| names(text, word)) {
                let shown: String = text.trim().chars().take(100).collect();
                broken.push(format!("{}:{line}: {shown}", source.path));
            }
        }
    }
    source::check("no path of a machine, no host of a registry", &broken);
}

#[test]
fn only_the_store_speaks_sql() {
    let mut broken = Vec::new();
    for source in source::rust("collector/src/") {
        if source.path.contains("/store/") || source.is_test() {
            continue;
        }
        for token in source.tokens() {
            let sql = [
                "SELECT ",
                "INSERT ",
                "DELETE FROM",
                "PRAGMA ",
                "CREATE TABLE",
            ];
            let speaks = token.text.starts_with('"') && sql.iter().any(|s| token.text.contains(s));
            if token.text == "rusqlite" || speaks {
                broken.push(format!("{}:{}: {}", source.path, token.line, token.text));
            }
        }
    }
    source::check(
        "SQL and the engine's name stand in the store alone",
        &broken,
    );
}

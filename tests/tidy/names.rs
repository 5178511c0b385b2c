//! One word for each idea, and files that are nouns.

use crate::source;

#[test]
fn files_are_named_for_what_they_hold() {
    let broken: Vec<String> = source::rust("")
        .into_iter()
        .map(|source| source.path)
        .filter(|path| {
            let name = path.rsplit('/').next().unwrap();
            matches!(
                name,
                "util.rs" | "utils.rs" | "common.rs" | "helpers.rs" | "types.rs"
            )
        })
        .collect();
    source::check("a file is named for what it holds", &broken);
}

#[test]
fn accessors_carry_no_get() {
    let mut broken = Vec::new();
    for source in source::rust("")
        .into_iter()
        .filter(|source| !source.is_test())
    {
        for pair in source.tokens().windows(2) {
            if pair[0].text == "fn" && pair[1].text.starts_with("get_") {
                broken.push(format!(
                    "{}:{}: {}",
                    source.path, pair[1].line, pair[1].text
                ));
            }
        }
    }
    source::check("an accessor is named for what it gives", &broken);
}

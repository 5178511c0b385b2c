//! Every module says what it is for, and every test claims something and runs.

use crate::source;

#[test]
fn every_rust_file_opens_with_what_it_is_for() {
    let broken: Vec<String> = source::rust("")
        .into_iter()
        // The tests beside a module say nothing that the module does not say.
        .filter(|source| !source.path.ends_with("/tests.rs"))
        .filter(|source| {
            let mut lines = source.text.lines().filter(|line| !line.starts_with("#!["));
            !lines
                .find(|line| !line.is_empty())
                .is_some_and(|line| line.starts_with("//! "))
        })
        .map(|source| source.path)
        .collect();
    source::check("a file opens with its documentation", &broken);
}

#[test]
fn no_test_is_switched_off_or_expects_a_panic() {
    let mut broken = Vec::new();
    for source in source::rust("") {
        for (line, text) in (1..).zip(source.text.lines()) {
            let attribute = text.trim_start();
            if attribute.starts_with("#[ignore") || attribute.starts_with("#[should_panic") {
                broken.push(format!("{}:{line}: {attribute}", source.path));
            }
        }
    }
    source::check("a test runs and says what it expects", &broken);
}

#[test]
fn names_of_tests_are_claims() {
    let mut broken = Vec::new();
    for source in source::rust("") {
        for (line, text) in (1..).zip(source.text.lines()) {
            if text.trim_start().starts_with("fn test_") {
                broken.push(format!("{}:{line}: {}", source.path, text.trim()));
            }
        }
    }
    source::check("a test is named for what it claims", &broken);
}

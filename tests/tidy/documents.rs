//! What README and the other documents tell a reader to type or to open is there.

use std::process::Command;

use harness::programs::workspace_root;
use serde_json::Value;

use crate::layers::packages;
use crate::source;

/// The lines of the shell blocks of a document.
fn commands(text: &str) -> Vec<&str> {
    let mut in_shell = false;
    let mut commands = Vec::new();
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            in_shell = !in_shell && matches!(language, "sh" | "bash" | "console" | "shell");
        } else if in_shell {
            commands.push(line.trim().trim_start_matches("$ "));
        }
    }
    commands
}

/// Why the command cannot work, as far as that can be seen without running it.
fn fault(command: &str, packages: &[Value], aliases: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let first = *words.first()?;
    if first.starts_with("./") {
        return (!workspace_root().join(first).exists()).then(|| "no such program".to_owned());
    }
    if first != "cargo" {
        return None;
    }
    let known = [
        "run", "test", "build", "install", "add", "doc", "bench", "clippy", "fmt",
    ];
    let subcommand = *words.get(1)?;
    if !known.contains(&subcommand) && !aliases.contains(&format!("\n{subcommand} = ")) {
        return Some(format!("no cargo command {subcommand}"));
    }
    let named = match subcommand {
        "install" | "add" => words[2..]
            .iter()
            .find(|word| word.starts_with("flashlamp"))
            .copied(),
        _ => value_of(&words, &["-p", "--package"]),
    };
    let package = packages
        .iter()
        .find(|package| package["name"] == named.unwrap_or_default());
    if let (Some(named), None) = (named, package) {
        return Some(format!("no package {named}"));
    }
    let target = value_of(&words, &["--bin", "--example", "--test", "--bench"])?;
    let mut targets = package
        .into_iter()
        .chain(packages)
        .flat_map(|p| p["targets"].as_array().unwrap());
    (!targets.any(|t| t["name"] == target)).then(|| format!("no target {target}"))
}

/// The word after one of the options.
fn value_of<'a>(words: &[&'a str], options: &[&str]) -> Option<&'a str> {
    words
        .windows(2)
        .find(|pair| options.contains(&pair[0]))
        .map(|pair| pair[1])
}

#[test]
fn commands_of_the_documents_exist() {
    let aliases = std::fs::read_to_string(workspace_root().join(".cargo/config.toml")).unwrap();
    let packages = packages();
    let mut seen = 0;
    let mut broken = Vec::new();
    for source in source::all()
        .into_iter()
        .filter(|source| source.path.ends_with(".md"))
    {
        for command in commands(&source.text) {
            seen += 1;
            if let Some(fault) = fault(command, &packages, &aliases) {
                broken.push(format!("{}: `{command}`: {fault}", source.path));
            }
        }
    }
    assert!(seen > 0, "the README tells what to type");
    source::check("what a document tells to type exists", &broken);
}

#[test]
fn files_that_the_documents_point_to_exist() {
    let roots = [
        "profile/",
        "agent/",
        "collector/",
        "viewer/",
        "tests/",
        "examples/",
        ".ci/",
        ".cargo/",
    ];
    let mut broken = Vec::new();
    for source in source::all()
        .into_iter()
        .filter(|source| source.path.ends_with(".md"))
    {
        let folder = workspace_root()
            .join(&source.path)
            .parent()
            .unwrap()
            .to_owned();
        let linked = source
            .text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in linked.map(|link| link.split('#').next().unwrap_or_default()) {
            if !link.is_empty() && !link.contains(':') && !folder.join(link).exists() {
                broken.push(format!("{}: link to {link}", source.path));
            }
        }
        for quoted in source.text.split('`').skip(1).step_by(2) {
            let path = quoted.split("::").next().unwrap_or_default();
            let is_path = roots.iter().any(|root| path.starts_with(root));
            let plain = path
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if is_path && plain && !workspace_root().join(path).exists() {
                broken.push(format!("{}: `{quoted}`", source.path));
            }
        }
    }
    source::check("what a document points to exists", &broken);
}

#[test]
fn scripts_refuse_options_that_they_do_not_know() {
    for script in ["tests/run", "tests/deep"] {
        let output = Command::new(workspace_root().join(script))
            .arg("--nothing")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{script}: {errors}");
        assert!(errors.contains("--nothing") && errors.contains("--help"));
    }
}

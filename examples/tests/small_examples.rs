#![cfg(test)]
//! Each small example runs, ends, and says what its documentation promises.

use std::path::Path;
use std::process::Command;

/// Runs `program` in `folder` and answers what it printed.
#[track_caller]
fn run(program: &str, args: &[&str], folder: &Path) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn quickstart_writes_stacks_that_offline_svg_draws() {
    let folder = tempfile::tempdir().unwrap();
    run(
        env!("CARGO_BIN_EXE_quickstart"),
        &["--limit", "8000000"],
        folder.path(),
    );
    let folded = std::fs::read_to_string(folder.path().join("quickstart.folded")).unwrap();
    assert!(folded.contains("primes_by_sieve"), "{folded}");
    let speedscope = folder.path().join("quickstart.speedscope.json");
    let file: serde_json::Value =
        serde_json::from_slice(&std::fs::read(speedscope).unwrap()).unwrap();
    assert_eq!(file["name"], "quickstart");

    let args = [
        "quickstart.folded",
        "--title",
        "Primes",
        "--out",
        "primes.svg",
    ];
    run(env!("CARGO_BIN_EXE_offline_svg"), &args, folder.path());
    let svg = std::fs::read_to_string(folder.path().join("primes.svg")).unwrap();
    assert!(
        svg.contains("Primes") && svg.contains("primes_by_sieve"),
        "no graph of it"
    );
}

#[test]
fn threads_shows_each_worker() {
    let folder = tempfile::tempdir().unwrap();
    let printed = run(
        env!("CARGO_BIN_EXE_threads"),
        &["--rounds", "100"],
        folder.path(),
    );
    for worker in 1..=4 {
        assert!(printed.contains(&format!("worker-{worker} ")), "{printed}");
    }
}

#[test]
fn web_service_runs_without_a_collector() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "--listen",
        "127.0.0.1:0",
        "--collector",
        "http://127.0.0.1:1",
        "--for",
        "1",
    ];
    let printed = run(env!("CARGO_BIN_EXE_web_service"), &args, folder.path());
    assert!(
        printed.contains("listening on http://127.0.0.1:"),
        "{printed}"
    );
}

#[cfg(feature = "jit")]
#[test]
fn jit_names_its_own_functions() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--for", "1", "--folded", "jit.folded"];
    let printed = run(env!("CARGO_BIN_EXE_jit"), &args, folder.path());
    assert!(printed.contains("perf record -F 199 -g -p "), "{printed}");
    let folded = std::fs::read_to_string(folder.path().join("jit.folded")).unwrap();
    for stack in [
        "round;collatz_longest;collatz_steps",
        "round;mandelbrot;mandelbrot_row",
    ] {
        assert!(folded.contains(stack), "{stack} is not in {folded}");
    }
}

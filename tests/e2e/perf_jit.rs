//! Functions that a JIT compiler made appear by name in `perf report` and in our own profile.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use harness::{folded, programs, skip};

/// Functions of the example's program that take most of its time.
const COMPILED: [&str; 3] = ["fibonacci", "collatz_steps", "mandelbrot_point"];

/// How long the example runs, in seconds.
const RUN_SECONDS: &str = "4";

/// Runs the example under `perf record`; the files that perf and the example wrote.
fn recorded(folder: &Path) -> Result<Option<(PathBuf, PathBuf, String)>> {
    let (data, stacks) = (folder.join("perf.data"), folder.join("jit.folded"));
    let output = Command::new("perf")
        .args(["record", "-F", "199", "-g", "-o"])
        .arg(&data)
        .arg("--")
        .arg(programs::release("jit")?)
        .args(["--for", RUN_SECONDS, "--folded"])
        .arg(&stacks)
        .output();
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skip("perf is not installed");
            return Ok(None);
        }
        output => output.context("run perf record")?,
    };
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if errors.contains("perf_event_paranoid") || errors.contains("Permission denied") {
        skip("perf may not record here (perf_event_paranoid)");
        return Ok(None);
    }
    ensure!(output.status.success(), "perf record: {errors}");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(Some((data, stacks, printed)))
}

/// What `perf report` says of each symbol, without its callers.
fn reported(data: &Path) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new("perf")
        .args(["report", "--stdio", "--no-children", "-g", "none", "-i"])
        .arg(data)
        .output()?;
    ensure!(
        status.success(),
        "perf report: {}",
        String::from_utf8_lossy(&stderr)
    );
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// The share of a symbol in the report, in percent.
fn share(report: &str, symbol: &str) -> Option<f64> {
    let line = report
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == symbol))?;
    line.split_whitespace()
        .next()?
        .strip_suffix('%')?
        .parse()
        .ok()
}

#[test]
fn compiled_functions_have_names_in_perf_and_in_our_own_profile() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some((data, stacks, printed)) = recorded(folder.path())? else {
        return Ok(());
    };
    ensure!(
        printed.contains("perf record") && printed.contains("perf report"),
        "{printed}"
    );
    let map = printed
        .split_whitespace()
        .find(|word| word.starts_with("/tmp/perf-") && word.ends_with(".map"))
        .context("the example prints the path of its map")?
        .to_owned();

    let report = reported(&data)?;
    let mut of_perf = 0.0;
    for name in COMPILED {
        of_perf += share(&report, name).with_context(|| format!("{name} in:\n{report}"))?;
    }
    ensure!(
        of_perf > 50.0,
        "perf sees the compiled functions for {of_perf} % of the time"
    );

    let stacks = folded::sum(&std::fs::read_to_string(stacks)?);
    let all = folded::total(&stacks);
    for name in COMPILED {
        let share = 100 * folded::total_with(&stacks, name) / all;
        ensure!(share > 0, "our own profile names {name}");
    }
    let rooted = stacks.iter().filter(|(stack, _)| {
        let caller = stack.find("jit::run").or_else(|| stack.find("jit::main"));
        caller.is_some_and(|at| stack[at..].contains(";round;fibonacci"))
    });
    let of_fibonacci: u64 = rooted.map(|(_, count)| count).sum();
    ensure!(
        of_fibonacci > 0,
        "the compiled stack continues in the program that called it"
    );
    std::fs::remove_file(map)?;
    Ok(())
}

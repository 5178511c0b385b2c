//! A small expression language, compiled while it runs, whose functions profilers see by name.
//!
//! Each compiled function is registered with the agent's [`PerfMap`]: that writes
//! `/tmp/perf-PID.map`, which `perf report` reads, and names the same frames in the agent's own
//! profiles. Both follow the frame pointers that Cranelift is told to keep.

mod compile;
mod lexer;
mod native;
mod parser;
mod syntax;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use flashlamp::{Clock, PerfMap, Profiler};

use crate::native::Native;

/// How many of the heaviest stacks are printed.
const PRINTED_STACK_COUNT: usize = 10;

/// Compiles a few functions, runs them, and shows that profilers know their names.
///
/// It prints the two perf commands to run in another terminal meanwhile, and at the end what
/// Flashlamp saw of the same functions.
#[derive(Debug, Parser)]
struct Args {
    /// How many seconds to run.
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 10)]
    run_for: u64,
    /// How much one round computes.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i64).range(1..=12))]
    scale: i64,
    /// Writes all stacks to this file, as folded text.
    #[arg(long, value_name = "FILE")]
    folded: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let native = compile::compile(include_str!("program.expr"))?;
    let map = PerfMap::create()?;
    let registered: Vec<_> = native
        .functions()
        .iter()
        .map(|code| map.register(code.start.addr(), code.len, &code.name))
        .collect();
    introduce(registered.len(), &map);

    let profiler = Profiler::builder()
        .clock(Clock::Cpu)
        .period(Duration::from_millis(1))
        .start()?;
    let round_count = run(&native, args.scale, Duration::from_secs(args.run_for))?;
    let log = profiler.stop();

    anstream::println!(
        "{round_count} rounds; flashlamp took {} samples and lost {}; the heaviest stacks:\n",
        log.len(),
        log.profile().lost().samples
    );
    let folded = log.folded();
    print_heaviest(&folded);
    if let Some(path) = args.folded {
        std::fs::write(&path, folded).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn introduce(function_count: usize, map: &PerfMap) {
    let pid = std::process::id();
    anstream::println!(
        "{function_count} functions compiled; names in {}",
        map.path().display()
    );
    anstream::println!("to see them in perf, run in another terminal:\n");
    anstream::println!("  perf record -F 199 -g -p {pid} -- sleep 5");
    anstream::println!("  perf report --stdio --no-children\n");
}

/// Computes the same again and again until the time is over; answers how often.
#[expect(
    clippy::disallowed_methods,
    reason = "a program's own edge: no test sets this clock"
)]
fn run(native: &Native, scale: i64, time: Duration) -> anyhow::Result<u64> {
    let end = Instant::now() + time;
    let expected = native.call("round", scale);
    ensure!(
        expected.is_some(),
        "the program has no function round(scale)"
    );
    let mut round_count = 1;
    while Instant::now() < end {
        ensure!(
            native.call("round", scale) == expected,
            "a round computed something else"
        );
        round_count += 1;
    }
    Ok(round_count)
}

/// Prints the folded lines with the highest counts, without the callers of [`run`].
fn print_heaviest(folded: &str) {
    let count = |line: &str| {
        line.rsplit(' ')
            .next()
            .and_then(|count| count.parse::<u64>().ok())
    };
    let mut lines: Vec<&str> = folded.lines().collect();
    lines.sort_by_key(|line| std::cmp::Reverse(count(line)));
    for line in lines.iter().take(PRINTED_STACK_COUNT) {
        let from_run = line.find("jit::run;").map_or(*line, |at| &line[at..]);
        anstream::println!("  {from_run}");
    }
}

//! Profiles a computation and writes what it saw: folded text, and a file for speedscope.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use flashlamp::{Clock, Profiler};

/// Profiles a computation; writes folded text and a file that speedscope opens.
#[derive(Debug, Parser)]
struct Args {
    /// The number up to which primes are counted; more takes longer.
    #[arg(long, default_value_t = 40_000_000)]
    limit: u32,
    /// How the two files that it writes begin.
    #[arg(long, value_name = "PATH", default_value = "quickstart")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let profiler = Profiler::builder()
        .clock(Clock::Cpu)
        .period(Duration::from_millis(1))
        .start()?;

    let primes = primes_by_division(args.limit / 20);
    let sieved = primes_by_sieve(args.limit);

    let log = profiler.stop();
    let folded = args.out.with_added_extension("folded");
    let speedscope = args.out.with_added_extension("speedscope.json");
    std::fs::write(&folded, log.folded()).context("writing the folded text")?;
    std::fs::write(&speedscope, log.speedscope("quickstart")).context("writing for speedscope")?;

    anstream::println!("{primes} primes by division, {sieved} by the sieve");
    anstream::println!(
        "{} samples for {} periods of {} ns; {} lost",
        log.len(),
        log.event_count().as_u64(),
        log.period().as_nanos(),
        log.profile().lost().samples
    );
    anstream::println!("folded text: {}", folded.display());
    anstream::println!("for https://www.speedscope.app: {}", speedscope.display());
    Ok(())
}

#[inline(never)]
fn primes_by_division(limit: u32) -> usize {
    (2..limit).filter(|&number| is_prime(number)).count()
}

#[inline(never)]
fn is_prime(number: u32) -> bool {
    (2..)
        .take_while(|divisor| divisor * divisor <= number)
        .all(|divisor| !number.is_multiple_of(divisor))
}

#[inline(never)]
fn primes_by_sieve(limit: u32) -> usize {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut composite = vec![false; limit];
    let mut count = 0;
    for number in 2..limit {
        if composite[number] {
            continue;
        }
        count += 1;
        for multiple in (number * 2..limit).step_by(number) {
            composite[multiple] = true;
        }
    }
    count
}

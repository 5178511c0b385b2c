//! Profiles every thread of a program, also those that start later.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use clap::Parser;
use flashlamp::{Clock, Profiler, Threads};

/// Profiles four threads that do different amounts of work.
#[derive(Debug, Parser)]
struct Args {
    /// How much the first thread does; the second does twice as much, and so on.
    #[arg(long, default_value_t = 1000)]
    rounds: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let profiler = Profiler::builder()
        .clock(Clock::Cpu)
        .period(Duration::from_millis(1))
        .threads(Threads::All)
        .start()?;

    thread::scope(|scope| {
        for number in 1..=4 {
            let work = move || hash_chain(args.rounds * number * 100_000);
            let builder = thread::Builder::new().name(format!("worker-{number}"));
            builder.spawn_scoped(scope, work).map(drop)?;
        }
        std::io::Result::Ok(())
    })?;

    let log = profiler.stop();
    let mut periods: BTreeMap<String, u64> = BTreeMap::new();
    for entry in log.iter() {
        let thread = entry.thread().map_or("?", |thread| thread.name.as_str());
        *periods.entry(thread.to_owned()).or_default() += entry.event_count().as_u64();
    }
    for (thread, periods) in periods {
        anstream::println!("{thread:12} {periods:6} ms");
    }
    Ok(())
}

/// Work that cannot be skipped: each step needs the one before.
#[inline(never)]
fn hash_chain(steps: u64) -> u64 {
    let chain = (0..steps).fold(0xCBF2_9CE4_8422_2325_u64, |hash, step| {
        (hash ^ step)
            .wrapping_mul(0x0000_0100_0000_01B3)
            .rotate_left(5)
    });
    std::hint::black_box(chain)
}

//! Runs the demo for minutes and watches its memory: `soak SECONDS`.
//!
//! Fails when the demo fails, and when one of its processes has grown in the second half by more
//! than a quarter and 16 MiB: a day of traffic holds a bounded number of stacks.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::demo::Demo;
use harness::{process, wait};

/// How many times the memory is looked at.
const LOOKS: u32 = 20;

/// How much a process may grow in the second half, beside a quarter of what it had.
const GROWTH_BYTES_MAX: u64 = 16 << 20;

fn main() -> Result<()> {
    let seconds: u64 = std::env::args()
        .nth(1)
        .context("how many seconds?")?
        .parse()?;
    let started = wait::now();
    let mut demo = Demo::start(&["--for", &format!("{seconds}s")])?;
    demo.printed("the day's flame graph")?;
    let mut out = std::io::stdout().lock();
    let mut seen = BTreeMap::<u32, Vec<u64>>::new();
    // The last look is before the end, when the processes still run.
    let step = Duration::from_secs(seconds) / (LOOKS + 2);
    for look in 1..=LOOKS {
        let due = || (started.elapsed() >= step * look).then_some(());
        wait::until("the next look is due", 2 * step + wait::SOON, due)?;
        for (pid, command) in demo.process().descendants() {
            let bytes = process::resident_bytes(pid)?;
            let role = command.split_whitespace().nth(1).unwrap_or_default();
            writeln!(
                out,
                "{:4} s {role} {} KiB",
                started.elapsed().as_secs(),
                bytes >> 10
            )?;
            seen.entry(pid).or_default().push(bytes);
        }
    }
    let status = demo.ended(3 * step + 2 * wait::SOON)?;
    ensure!(status.success(), "{status}:\n{}", demo.process().output());
    let left = demo.process().descendants();
    ensure!(left.is_empty(), "it leaves nothing running: {left:?}");
    for (pid, bytes) in &seen {
        let (half, last) = (bytes[bytes.len() / 2], bytes[bytes.len() - 1]);
        ensure!(
            last <= half + half / 4 + GROWTH_BYTES_MAX,
            "process {pid} grew from {half} to {last} bytes in the second half"
        );
    }
    writeln!(
        out,
        "{} processes, {LOOKS} looks: no growth beyond the bound",
        seen.len()
    )?;
    Ok(())
}

//! The program `flashlamp`.
#![forbid(unsafe_code)]

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use flashlamp_collector::Collector;
use flashlamp_collector::config::{Cli, Command, ServeArgs};
use flashlamp_collector::shutdown::Signals;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Gives back to the system what large bodies and answers took. The one of glibc keeps it, in as
/// many arenas as there were threads at work.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Err(error) = run(Cli::parse()) else {
        return ExitCode::SUCCESS;
    };
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        text.push_str(&format!("  caused by: {cause}\n"));
    }
    // Where nobody reads standard error, the exit code has to do.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::FAILURE
}

fn run(Cli { command }: Cli) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_from_env("FLASHLAMP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let ended = match command {
        Command::Serve(args) => runtime.block_on(serve(args)),
        _ => Err(anyhow::anyhow!("this command is not part of this release")),
    };
    // Threads that wait for a lock or a disk end with the process: nobody waits for them.
    runtime.shutdown_background();
    ended
}

async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let collector = Collector::bind(args.into_config()).await?;
    let stop = CancellationToken::new();
    // On threads of its own, so that nothing it waits for holds up a second signal.
    let mut running = JoinSet::new();
    running.spawn(collector.run(stop.clone().cancelled_owned()));
    let second = async {
        let signal = signals.next().await;
        // Whoever reads this and sends another one is heard: the first was taken.
        tracing::info!(signal, "stopping; a second signal stops at once");
        stop.cancel();
        signals.next().await
    };
    tokio::select! {
        Some(ended) = running.join_next() => Ok(ended??),
        _ = second => anyhow::bail!(
            "stopped at once by a second signal; what was acknowledged is stored"
        ),
    }
}

//! The program that a person starts: it starts the children, shows the way, and stops them.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::DemoArgs;
use crate::child::Child;
use crate::links::Links;
use crate::{console, traffic};

/// What is enough for all links on a busy machine; an idle one takes three seconds.
const ALL_LINKS: Duration = Duration::from_secs(10);

/// Runs the demo until it is told to stop or its time is over, and leaves nothing running. What
/// did not become true within the time is said.
///
/// # Errors
/// A child could not be started, ended by itself, or did not stop well.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    // From here on a signal asks for a clean stop, also while the children start.
    let mut signals = Signals::listen().context("listening for signals")?;
    let data = folder(&args.data)?;
    let collector = tokio::select! {
        started = start_collector(&args.listen, &data) => started?,
        () = signals.any() => return Ok(()),
    };
    let collector_url = format!("http://{}", collector.address());
    let shop = tokio::select! {
        started = start_shop(&args.shop_listen, &collector_url) => started.map(Some),
        () = signals.any() => Ok(None),
    };
    let ended = match shop {
        Ok(Some(shop)) => return together(&args, &data, collector, shop, &mut signals).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    let stopped = collector.stop().await;
    ended.and(stopped)
}

/// The part in which everything runs.
async fn together(
    args: &DemoArgs,
    data: &Path,
    mut collector: Child,
    mut shop: Child,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    introduce(data, &collector, &shop, args.run_for);
    let mut links = Links::new(collector.address(), shop.address());
    let customers = traffic::start(shop.address());
    let ended = tokio::select! {
        () = show(&mut links) => Ok(()),
        error = collector.ended() => Err(error),
        error = shop.ended() => Err(error),
        () = signals.any() => Ok(()),
        () = time(args.run_for) => Ok(()),
    };
    drop(customers);
    console::say("\nStopping (Ctrl-C again kills).");
    let stopped = tokio::select! {
        stopped = stop(collector, shop) => stopped,
        // What is dropped here kills its process.
        () = signals.any() => bail!("killed before everything was stored"),
    };
    ended.and(stopped)?;
    console::say(&format!(
        "Stopped. What was collected stays in {}.",
        data.display()
    ));
    if let Some(time) = args.run_for
        && !links.missing().is_empty()
    {
        console::say(&format!(
            "Not yet true after {time:?}: {}. With --for {ALL_LINKS:?} or more they should be.",
            links.missing().join(", ")
        ));
    }
    Ok(())
}

async fn start_collector(listen: &str, data: &Path) -> anyhow::Result<Child> {
    let args = [
        "run-collector".as_ref(),
        "--listen".as_ref(),
        listen.as_ref(),
        "--data".as_ref(),
    ];
    Child::start("collector", args.into_iter().chain([data.as_os_str()])).await
}

async fn start_shop(listen: &str, collector_url: &str) -> anyhow::Result<Child> {
    Child::start(
        "shop",
        ["run-shop", "--listen", listen, "--collector", collector_url],
    )
    .await
}

/// Stops the shop first: its agent sends the last window to the collector.
async fn stop(collector: Child, shop: Child) -> anyhow::Result<()> {
    let shop_stopped = shop.stop().await;
    let collector_stopped = collector.stop().await;
    shop_stopped.and(collector_stopped)
}

fn introduce(data: &Path, collector: &Child, shop: &Child, run_for: Option<Duration>) {
    let customers = traffic::CONNECTION_COUNT;
    console::say("Flashlamp: a collector, a shop that is profiled, and its customers.\n");
    console::fact("collector", format_args!("http://{}", collector.address()));
    console::fact(
        "shop",
        format_args!("http://{} with {customers} customers", shop.address()),
    );
    console::fact("data", data.display());
    match run_for {
        Some(time) => console::say(&format!("\nRuns for {time:?}. As they become true:\n")),
        None => console::say("\nCtrl-C stops it. As they become true:\n"),
    }
}

/// Shows the links, then stays.
async fn show(links: &mut Links) {
    links.show().await;
    pending::<()>().await;
}

/// Ends when the time is over, which is never if none is set.
async fn time(run_for: Option<Duration>) {
    match run_for {
        Some(time) => tokio::time::sleep(time).await,
        None => pending().await,
    }
}

/// The data folder as a full path, because a person looks for it later.
fn folder(data: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(data).with_context(|| format!("the data folder {}", data.display()))
}

/// The signals that ask a program to stop.
#[derive(Debug)]
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Ends when one of them comes.
    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

//! What the demo's two children do.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use shop::service::{self, Profiling};

use crate::args::{CollectorArgs, ShopArgs};
use crate::lifeline;

/// Short, so that the first flame graph of the day is there soon.
const WINDOW: Duration = Duration::from_secs(2);

/// What a child prints before the address that it listens on.
pub(crate) const LISTENING: &str = "listening on ";

/// Runs the collector until the parent is gone.
pub(crate) async fn collector(args: CollectorArgs) -> anyhow::Result<()> {
    let (_lifeline, stopping) = lifeline::watch()?;
    let _ = (args, stopping);
    anyhow::bail!("not yet")
}

/// Runs the shop until the parent is gone, then sends what is left to the collector.
pub(crate) async fn shop(args: ShopArgs) -> anyhow::Result<()> {
    let (_lifeline, stopping) = lifeline::watch()?;
    let listener = service::bind(&args.listen, "--shop-listen").await?;
    announce(listener.local_addr()?)?;
    let profiling = Profiling { collector: args.collector, window: WINDOW };
    let stop = async {
        // An error here means that the sender is gone, which is as good a reason.
        let _told = stopping.await;
    };
    Box::pin(service::serve(listener, profiling, stop)).await
}

/// Tells the parent where this child listens.
fn announce(address: SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{LISTENING}{address}")?;
    out.flush()?;
    Ok(())
}

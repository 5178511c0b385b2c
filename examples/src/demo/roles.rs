//! What the demo's two children do.

use std::io::Write as _;
use std::net::SocketAddr;

use flashlamp_collector::{Collector, Config};
use shop::service;
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

use crate::args::{CollectorArgs, ShopArgs};
use crate::lifeline;

/// What a child prints before the address that it listens on.
pub(crate) const LISTENING: &str = "listening on ";

/// Runs the collector until the parent is gone.
pub(crate) async fn collector(args: CollectorArgs) -> anyhow::Result<()> {
    let (_lifeline, stopping) = lifeline::watch()?;
    let filter =
        EnvFilter::try_from_env("FLASHLAMP_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let collector = Collector::bind(Config::new(args.listen, args.data)).await?;
    announce(collector.address())?;
    collector.run(closed(stopping)).await?;
    Ok(())
}

/// Runs the shop until the parent is gone, then sends what is left to the collector.
pub(crate) async fn shop(args: ShopArgs) -> anyhow::Result<()> {
    let (_lifeline, stopping) = lifeline::watch()?;
    let listener = service::bind(&args.listen, "--shop-listen").await?;
    announce(listener.local_addr()?)?;
    Box::pin(service::serve(listener, &args.collector, closed(stopping))).await
}

/// Ends when the parent asks for it.
async fn closed(stopping: oneshot::Receiver<()>) {
    // An error means that the watching thread is gone, which is as good a reason.
    let _told = stopping.await;
}

/// Tells the parent where this child listens.
fn announce(address: SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{LISTENING}{address}")?;
    out.flush()?;
    Ok(())
}

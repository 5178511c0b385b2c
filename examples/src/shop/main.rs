//! The shop on its own, for a collector that runs already.

use clap::Parser;
use shop::service;

/// A small web shop with Flashlamp in it, for a collector that runs already.
///
/// `cargo demo` runs it together with a collector and sends it traffic.
#[derive(Debug, Parser)]
struct Args {
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4141")]
    listen: String,
    /// URL of the collector.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4140")]
    collector: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let listener = service::bind(&args.listen, "--listen").await?;
    anstream::println!("the shop listens on http://{}", listener.local_addr()?);
    let stop = async {
        // Without a handler for Ctrl-C it ends the program, which is what it is for.
        let _asked = tokio::signal::ctrl_c().await;
    };
    Box::pin(service::serve(listener, &args.collector, stop)).await
}

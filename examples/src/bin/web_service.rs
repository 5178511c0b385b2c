//! A web service with Flashlamp in it: the ten lines of the README, as a program.
//!
//! Whether `X-Flashlamp: profile` is obeyed is for whoever runs it to say: on a machine of one's
//! own, `FLASHLAMP_ALLOW_UNSIGNED_TOGGLES=1` does.

use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use clap::Parser;
use flashlamp::Agent;

/// A web service with Flashlamp in it: the ten lines of the README, as a program.
#[derive(Debug, Parser)]
struct Args {
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: String,
    /// URL of the collector, which `flashlamp serve` starts.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4140")]
    collector: String,
    /// Stop after so many seconds rather than at Ctrl-C.
    #[arg(long = "for", value_name = "SECONDS")]
    run_for: Option<u64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let agent = Agent::builder()
        .service("hello")
        .collector(args.collector)
        .start()?;
    let app = Router::new()
        .route("/hello/{name}", get(hello))
        .layer(agent.request_layer());

    let listener = tokio::net::TcpListener::bind(&args.listen)
        .await
        .with_context(|| format!("listening on {}", args.listen))?;
    anstream::println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(stop(args.run_for))
        .await?;
    Ok(())
}

async fn hello(Path(name): Path<String>) -> String {
    let letters: String = name.chars().rev().collect();
    format!("Hello, {name}! Backwards you are {letters}.\n")
}

async fn stop(run_for: Option<u64>) {
    let over = async {
        match run_for {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = over => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

//! Runs the shop with the profiler in it, until it is told to stop.

use std::future::{Future, IntoFuture as _};
use std::io;
use std::time::Duration;

use anyhow::Context as _;
use flashlamp::{Agent, Clock};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::bank::{self, BankClient};
use crate::routes::{self, Shop};

/// What the agent's last window and the profiles that wait may take to reach the collector.
const FLUSH: Duration = Duration::from_secs(5);

/// What was sampled is sent this often in the beginning, rather than at the end of a window: a
/// person who has just started the shop wants to see a flame graph.
const EARLY_FLUSH: Duration = Duration::from_secs(2);
/// How often that is done; then windows of the usual length follow.
const EARLY_FLUSH_COUNT: u32 = 5;

/// Binds `listen`; a port that is taken is an error that names the flag to choose another.
///
/// # Errors
/// The address is taken, is not this machine's, or is none.
pub async fn bind(listen: &str, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => {
                anyhow::anyhow!("{listen} is in use already; choose another address with {flag}")
            }
            _ => {
                anyhow::Error::new(error).context(format!("cannot listen on {listen} (see {flag})"))
            }
        })
}

/// Serves the shop on `listener` until `stop` ends, then flushes the agent.
///
/// Blocks a thread of the runtime while it fills the database and while it flushes. `collector`
/// is a URL; the collector need not run yet.
///
/// # Errors
/// The agent cannot start on this machine, or a socket fails.
pub async fn serve(
    listener: TcpListener,
    collector: &str,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let bank = TcpListener::bind("127.0.0.1:0")
        .await
        .context("a port for the bank")?;
    let shop = Shop::new(BankClient::new(bank.local_addr()?)?)?;
    let agent = Agent::builder()
        .service("shop")
        .collector(collector)
        // Where its threads ran, and where they were: the day has a graph of either kind.
        .clock(Clock::Wall)
        // Whoever can reach the shop may have a request profiled, which costs time and shows the
        // names of functions. That is right for a demo that listens on the loopback interface; a
        // service that others reach leaves this line out, and then the header is refused.
        .allow_unsigned_toggles()
        .start()
        .context("starting the profiler")?;
    let app = routes::router(shop).layer(agent.request_layer());

    let mut servers = JoinSet::new();
    servers.spawn(
        axum::serve(listener, app)
            .with_graceful_shutdown(stop)
            .into_future(),
    );
    servers.spawn(axum::serve(bank, bank::router()).into_future());
    let ended = tokio::select! {
        ended = servers.join_next() => ended,
        () = flush_early(&agent) => None,
    };
    tokio::task::block_in_place(|| agent.shutdown(FLUSH));
    ended.context("there is no server")???;
    Ok(())
}

/// Flushes some times, then stays.
async fn flush_early(agent: &Agent) {
    for _ in 0..EARLY_FLUSH_COUNT {
        tokio::time::sleep(EARLY_FLUSH).await;
        tokio::task::block_in_place(|| agent.flush(EARLY_FLUSH));
    }
    std::future::pending::<()>().await;
}

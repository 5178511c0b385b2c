//! From a configuration to a running collector, and back to a folder that can be copied.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::config::Config;
use crate::connections::{self, Bounds};
use crate::limits;
use crate::state::AppState;
use crate::store::sqlite::OpenError;
use crate::{compact, router};

/// Why the collector did not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another program listens there.
    #[error(
        "{address} is in use by another program: \
         stop it, or choose another port with --listen (FLASHLAMP_LISTEN)"
    )]
    AddressInUse {
        /// Where the collector wanted to listen.
        address: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address:?}: give host and port with --listen, as 127.0.0.1:4140")]
    Listen {
        /// Where the collector wanted to listen.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The data folder cannot be opened.
    #[error("cannot use the data folder {}: choose another with --data (FLASHLAMP_DATA)", folder.display())]
    Data {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        #[source]
        source: OpenError,
    },
    /// The server ended by itself.
    #[error("the server failed")]
    Server(#[source] io::Error),
}

/// A collector that has its address and its data, and does not answer yet.
#[derive(Debug)]
pub struct Collector {
    listener: TcpListener,
    address: SocketAddr,
    state: AppState,
    bounds: Bounds,
    compact_in_background: bool,
}

impl Collector {
    /// Takes the address and opens the data folder.
    ///
    /// # Errors
    /// As [`ServeError`].
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        let listener = listen(&config.listen).await?;
        let address = listener.local_addr().map_err(ServeError::Server)?;
        let public_url = config
            .public_url
            .clone()
            .unwrap_or_else(|| format!("http://{}", reachable(address)));
        let open = {
            let listen = address.to_string();
            let config = Config {
                listen,
                ..config.clone()
            };
            move || AppState::open(&config, &public_url)
        };
        let opened = tokio::task::spawn_blocking(open)
            .await
            .map_err(io::Error::other);
        let state = opened
            .map_err(ServeError::Server)?
            .map_err(|source| ServeError::Data {
                folder: config.data.clone(),
                source,
            })?;
        Ok(Self {
            listener,
            address,
            state,
            bounds: Bounds {
                count_max: config
                    .connections_max
                    .unwrap_or_else(connections::count_max),
                head_time_max: config.head_time_max,
                stall_time_max: config.stall_time_max,
            },
            compact_in_background: config.compact_in_background,
        })
    }

    /// The address that it listens on; the real port where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How browsers reach it, without a slash at the end.
    pub fn url(&self) -> &str {
        self.state.public_url()
    }

    /// What the requests share.
    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// Answers requests until `shutdown` ends. Then it takes no further ones, lets those in
    /// flight end, writes what is queued and closes the store: for as long as
    /// [`limits::SHUTDOWN_GRACE`] and [`limits::CLOSE_TIME_MAX`] together, whatever it waits for.
    ///
    /// # Errors
    /// [`ServeError::Server`].
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let Self {
            listener,
            address,
            state,
            bounds,
            compact_in_background,
        } = self;
        let tasks = state.tasks.clone();
        if compact_in_background {
            let (store, clock) = (Arc::clone(&state.store), state.clock.clone());
            tasks.spawn(compact::run(store, clock, tasks.clone()));
        }
        info!(%address, url = state.public_url(), "listening");
        if !address.ip().is_loopback() {
            warn!(%address, "everyone who reaches this address can read and write: there are no tokens yet");
        }
        let stop = tasks.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = shutdown => stop.stop(),
                () = stop.stopping() => {}
            }
        });
        let until = tasks.clone();
        let until = async move { until.stopping().await };
        let serving = connections::serve(listener, router(state.clone()), bounds, until);
        tokio::select! {
            () = serving => {}
            () = tasks.overdue(limits::SHUTDOWN_GRACE) => {
                warn!("requests are still in flight after the time allowed to stop");
            }
        }
        tasks.finish(limits::SHUTDOWN_GRACE).await;
        let store = Arc::clone(&state.store);
        let close = tokio::task::spawn_blocking(move || store.close());
        match tokio::time::timeout(limits::CLOSE_TIME_MAX, close).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "failed to close the store"),
            Err(_elapsed) => warn!("the store is not closed yet: another program may hold it"),
        }
        Ok(())
    }
}

/// Runs a collector until `shutdown` ends: [`Collector::bind`], then [`Collector::run`].
///
/// # Errors
/// As [`ServeError`].
pub async fn serve(
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    Collector::bind(config).await?.run(shutdown).await
}

async fn listen(address: &str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| {
        let address = address.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::AddressInUse { address },
            _ => ServeError::Listen { address, source },
        }
    })
}

/// An address that a browser on this machine can open.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

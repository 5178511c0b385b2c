//! Connections: how many there are at once, and how long one may say nothing.
//!
//! Problem: a connection takes a file descriptor for as long as its peer likes, and a process has
//! few of them, 1,024 by default. A thousand peers that connect and say nothing would leave none
//! for those who have something to say, nor for the files of the store. So there is a bound on
//! their number, and who is beyond it waits in the queue of the system; and a connection on which
//! no whole head of a request arrives in time is closed, before the first request and between two.
//! So is one whose peer takes nothing of its answer for as long: the answer stands in memory that
//! others wait for. Bodies have a bound of their own ([`limits::BODY_TIME_MAX`]).

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_io_timeout::TimeoutStream;
use tracing::{debug, error};

use crate::limits;

/// The bounds on connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// How many there are at once.
    pub(crate) count_max: usize,
    /// How long the head of a request may take to arrive, from the end of what was before it.
    pub(crate) head_time_max: Duration,
    /// How long a peer may take nothing of its answer.
    pub(crate) stall_time_max: Duration,
}

/// Answers on every connection that comes, until `until` ends; then takes no further ones, and
/// returns once those that are served have their answers. Connections end where this is dropped.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    until: impl Future<Output = ()>,
) {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_time_max);
    let places = Arc::new(Semaphore::new(bounds.count_max));
    // When to accept again after the system refused to.
    let mut pause = Instant::now();
    let graceful = GracefulShutdown::new();
    // What is left in it is dropped with it.
    let mut served = JoinSet::new();
    let mut until = pin!(until);
    loop {
        let (place, stream) = tokio::select! {
            next = next(&places, &listener, pause) => match next {
                Ok(next) => next,
                Err(error) => {
                    error!(%error, "failed to take a connection; trying again in a second");
                    pause = Instant::now() + Duration::from_secs(1);
                    continue;
                }
            },
            Some(_) = served.join_next() => continue,
            () = &mut until => break,
        };
        let service = TowerToHyperService::new(router.clone());
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(bounds.stall_time_max));
        let stream = TokioIo::new(Box::pin(stream));
        let answers = graceful.watch(protocol.serve_connection(stream, service));
        served.spawn(async move {
            if let Err(error) = answers.await {
                debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// The next connection from `pause` on, and its place among those that there may be. May be
/// dropped and asked again.
async fn next(
    places: &Arc<Semaphore>,
    listener: &TcpListener,
    pause: Instant,
) -> io::Result<(Option<OwnedSemaphorePermit>, TcpStream)> {
    tokio::time::sleep_until(pause).await;
    // Nobody closes it, so there is a place.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok((place, stream)),
            // The peer went away while it waited.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}

/// How many connections the file descriptors of this process allow, with some left for the store.
pub(crate) fn count_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open_files = open_files(&limits).unwrap_or(limits::OPEN_FILES_USUAL);
    let kept = limits::OPEN_FILES_KEPT.min(open_files / 2);
    (open_files - kept).clamp(1, limits::CONNECTIONS_MAX)
}

/// The soft limit on open files in the text of `/proc/PID/limits`; `unlimited` is no number.
fn open_files(text: &str) -> Option<usize> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_on_open_files_is_found() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max processes             127234               127234               processes \n\
                    Max open files            1024                 524288               files     \n";
        assert_eq!(open_files(text), Some(1_024));
        assert_eq!(
            open_files("Max open files   unlimited   unlimited   files"),
            None
        );
        assert_eq!(open_files(""), None);
        assert!((1..=limits::CONNECTIONS_MAX).contains(&count_max()));
    }
}

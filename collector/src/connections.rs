//! Connections: how many there are at once, and how long one may say nothing.
//!
//! Problem: a connection takes a file descriptor for as long as its peer likes, and a process has
//! few of them, 1,024 by default. A thousand peers that connect and say nothing would leave none
//! for those who have something to say, nor for the files of the store. So there is a bound on
//! their number, and who is beyond it waits in the queue of the system; and a connection on which
//! no whole head of a request arrives in time is closed, before the first request and between two.
//! So is one whose peer takes nothing of its answer for as long: the answer stands in memory that
//! others wait for. Bodies have a bound of their own ([`limits::BODY_TIME_MAX`]).
//!
//! An answer ends when its client has gone. The protocol sees that where it reads, and it does not
//! read as long as it has something that it was sent and cannot use yet: one byte behind a request
//! is enough. So the end of what comes is watched beside it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_io_timeout::TimeoutWriter;
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
        .header_read_timeout(bounds.head_time_max)
        .max_buf_size(limits::HEAD_BYTES_MAX);
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
        let buffer = SockRef::from(&stream).set_send_buffer_size(limits::SEND_BUFFER_BYTES);
        if let Err(error) = buffer {
            debug!(%error, "failed to bound the send buffer of a connection");
        }
        let (incoming, outgoing) = stream.into_split();
        let incoming = Incoming(Arc::new(incoming));
        let mut outgoing = TimeoutWriter::new(outgoing);
        outgoing.set_timeout(Some(bounds.stall_time_max));
        let routes = TowerToHyperService::new(router.clone());
        let peer = incoming.clone();
        let service = service_fn(move |request| peer.clone().wait_for(routes.call(request)));
        let stream = TokioIo::new(Box::pin(tokio::io::join(incoming, outgoing)));
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

/// What comes from a peer, and whether more can come.
#[derive(Debug, Clone)]
struct Incoming(Arc<OwnedReadHalf>);

impl Incoming {
    /// The answer, if the peer is still there for it.
    ///
    /// # Errors
    /// `ConnectionAborted` where the peer has gone; the answer is given up.
    async fn wait_for(
        self,
        answer: impl Future<Output = Result<Response, Infallible>>,
    ) -> io::Result<Response> {
        tokio::select! {
            biased;
            Ok(answer) = answer => Ok(answer),
            () = self.ended() => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Ends when the peer sends no more, whatever it has sent before, but not at once.
    async fn ended(&self) {
        tokio::time::sleep(limits::GONE_TIME).await;
        // The system is not asked to tell of urgent data, so what comes is the end of all data, or
        // the reactor has stopped. Unlike for `READABLE` it is not hidden by data that are unread.
        let _ended = self.0.ready(Interest::PRIORITY).await;
    }
}

impl AsyncRead for Incoming {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream: &TcpStream = self.0.as_ref().as_ref();
        loop {
            ready!(stream.poll_read_ready(context))?;
            match stream.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(drop)),
            }
        }
    }
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
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    /// More than any machine takes for what a test waits for.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Serves `router` until what it returns is dropped.
    async fn serving(router: Router, stall_time_max: Duration) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bounds = Bounds {
            count_max: 10,
            head_time_max: PATIENCE,
            stall_time_max,
        };
        let mut server = JoinSet::new();
        server.spawn(serve(listener, router, bounds, std::future::pending()));
        (address, server)
    }

    #[tokio::test]
    async fn an_answer_is_made_as_long_as_its_client_is_there_whatever_else_it_sent() {
        let (begun, mut begins) = mpsc::unbounded_channel();
        let forever = move || async move {
            let (_held, ends) = oneshot::channel::<()>();
            begun.send(ends).unwrap();
            std::future::pending::<()>().await;
        };
        let router = Router::new().route("/", get(forever));
        let (address, _server) = serving(router, PATIENCE).await;
        let request = "GET / HTTP/1.1\r\nhost: localhost\r\n";
        let body = "content-length: 9\r\n\r\nbody";
        for behind in ["\r\n", "\r\nx", &format!("\r\n{request}\r\n"), body] {
            let mut client = TcpStream::connect(address).await.unwrap();
            let said = format!("{request}{behind}");
            client.write_all(said.as_bytes()).await.unwrap();
            let mut ends = begins.recv().await.unwrap();
            SockRef::from(&client).send_out_of_band(b"!").unwrap();
            let waited = tokio::time::timeout(limits::GONE_TIME * 2, &mut ends).await;
            assert!(waited.is_err(), "{behind:?}: it ended before its client");
            drop(client);
            let ended = tokio::time::timeout(PATIENCE, ends).await;
            assert!(ended.is_ok(), "{behind:?}: it goes on without its client");
        }
    }

    #[tokio::test]
    async fn a_client_that_reads_slowly_but_steadily_gets_the_whole_answer() {
        const LENGTH: usize = 6 << 20;
        let router = Router::new().route("/", get(|| async { vec![b'x'; LENGTH] }));
        let (address, _server) = serving(router, Duration::from_millis(500)).await;
        let socket = TcpSocket::new_v4().unwrap();
        // What the client's system takes counts as taken, so it takes little.
        socket.set_recv_buffer_size(64 << 10).unwrap();
        let mut client = socket.connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut pace = tokio::time::interval(Duration::from_millis(16));
        let mut piece = vec![0; 16 << 10];
        let mut taken = 0;
        loop {
            pace.tick().await;
            match client.read(&mut piece).await {
                Ok(0) => break,
                Ok(length) => taken += length,
                Err(error) => panic!("cut after {taken} bytes: {error}"),
            }
        }
        assert!(taken > LENGTH, "cut after {taken} bytes");
    }

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

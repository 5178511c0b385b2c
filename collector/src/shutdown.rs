//! Ending well: tasks that are awaited, and signals that ask to stop.

use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

/// The collector's background tasks. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    stopped_at: Arc<OnceLock<Instant>>,
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task that [`Tasks::finish`] waits for. It has to end when [`Tasks::stopping`]
    /// does.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.tracker.spawn(task));
    }

    /// Ends when the collector begins to stop.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the collector has begun to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells every task to stop.
    pub fn stop(&self) {
        self.stopped_at.get_or_init(Instant::now);
        self.stop.cancel();
    }

    /// Ends when `grace` is over since the collector began to stop.
    pub async fn overdue(&self, grace: Duration) {
        self.stopping().await;
        let since = self.stopped_at.get_or_init(Instant::now);
        tokio::time::sleep_until(*since + grace).await;
    }

    /// Tells every task to stop and waits until they have, or are [`Tasks::overdue`].
    pub async fn finish(&self, grace: Duration) {
        self.stop();
        self.tracker.close();
        tokio::select! {
            biased;
            () = self.tracker.wait() => {}
            () = self.overdue(grace) => warn!(
                tasks = self.tracker.len(),
                "tasks still run after the time allowed to stop"
            ),
        }
    }
}

/// SIGINT and SIGTERM: they ask to stop, and no longer end the process by themselves.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Listens from now on. Has to be called within a runtime.
    ///
    /// # Errors
    /// The system's, if a signal cannot be listened for.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Ends at the next one, with its name. Several that came since the last call are one.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

//! Ending well: tasks that are awaited, and signals that ask to stop.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

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

/// Ends at the first SIGINT or SIGTERM.
///
/// # Errors
/// The system's, if a signal cannot be listened for.
pub async fn signal() -> std::io::Result<()> {
    let name = nth_signal(1).await?;
    info!(signal = name, "stopping; a second signal stops at once");
    Ok(())
}

/// Ends at the second SIGINT or SIGTERM; never where signals cannot be listened for.
pub async fn second_signal() {
    if nth_signal(2).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The name of the signal that was the `nth` to ask to stop.
async fn nth_signal(nth: usize) -> std::io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut name = "";
    for _ in 0..nth {
        name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        };
    }
    Ok(name)
}

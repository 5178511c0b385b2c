//! Compaction: deltas become parts of their hour and their day, parts become one.
//!
//! The rule that keeps the sums exact: one atomic write puts the output and deletes exactly the
//! rows that were read, and fails as a whole if one of them is gone. So a step that is killed has
//! not happened, a step that is run twice fails the second time, and two compactors at once waste
//! work and nothing else. There is no lease and no state outside the store.
//!
//! A sample that leaves the deltas enters the hour and the day in the same write, so a reader's
//! snapshot sees it exactly once in each.

use std::sync::Arc;

use flashlamp_profile::Timestamp;
use tokio::time::Instant;
use tracing::{debug, error, info};

use crate::aggregate::query::QueryError;
use crate::clock::Clock;
use crate::error::chain;
use crate::limits;
use crate::shutdown::Tasks;
use crate::store::{ReadError, Snapshot, Store, WriteError};
use crate::time::Hour;

mod markers;
mod pass;
mod steps;

pub use markers::sweep_markers;
pub use pass::{merge_arrived, pass};
pub use steps::{Step, merge_deltas, merge_parts};

/// Why a pass stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    /// Rows could not be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A step could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl CompactError {
    /// Whether the data folder is gone, which the store has said in the log already.
    fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::Query(QueryError::Read(ReadError::Gone)) | Self::Write(WriteError::Gone)
        )
    }
}

fn snapshot(store: &dyn Store) -> Result<Box<dyn Snapshot + '_>, QueryError> {
    Ok(store.snapshot()?)
}

/// The newest hour that is closed at `now`. When it changes, so do the buckets that are closed.
fn closed_hour(now: Timestamp) -> Hour {
    let grace = limits::BUCKET_GRACE_SECONDS * 1_000_000_000;
    Hour::of(Timestamp::from_nanos(now.as_nanos().saturating_sub(grace))).minus(1)
}

/// Merges what arrived every [`limits::COMPACT_PERIOD`], until `tasks` stop.
///
/// Once an hour it also merges what has closed, and sweeps markers. It rests
/// [`limits::COMPACT_REST_FACTOR`] times as long as it worked.
pub async fn run(store: Arc<dyn Store>, clock: Clock, tasks: Tasks) {
    let mut closed = None;
    let mut rest = limits::COMPACT_PERIOD;
    loop {
        tokio::select! {
            () = tasks.stopping() => return,
            () = tokio::time::sleep(rest) => {}
        }
        let began = Instant::now();
        let (store, now, watch) = (Arc::clone(&store), clock.now(), tasks.clone());
        let hourly = closed != Some(closed_hour(now));
        let work = move || {
            let go_on = || !watch.is_stopping();
            if !hourly {
                return Ok((merge_arrived(&*store, now, &go_on)?, 0));
            }
            let steps = pass(&*store, now, &go_on)?;
            Ok::<_, CompactError>((steps, sweep_markers(&*store, now, &go_on)?))
        };
        let worked = tokio::task::spawn_blocking(work).await;
        rest = limits::COMPACT_PERIOD.max(began.elapsed() * limits::COMPACT_REST_FACTOR);
        match worked {
            Ok(Ok((steps, markers))) => {
                closed = Some(closed_hour(now));
                if (steps, markers) != (0, 0) {
                    info!(steps, markers, "merged windows, swept markers");
                }
            }
            Ok(Err(CompactError::Write(WriteError::Closed))) => return,
            Ok(Err(error)) if error.is_gone() => debug!(error = %chain(&error), "nothing to merge"),
            Ok(Err(error)) => error!(error = %chain(&error), "failed to merge; trying again later"),
            Err(error) => error!(%error, "a merging pass panicked; trying again later"),
        }
    }
}

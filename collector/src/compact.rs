//! Compaction: deltas become parts of their hour and their day, parts become one.
//!
//! The rule that keeps the sums exact: one atomic write puts the output and deletes exactly the
//! rows that were read, and fails as a whole if one of them is gone. So a step that is killed has
//! not happened, a step that is run twice fails the second time, and two compactors at once waste
//! work and nothing else. There is no lease and no state outside the store.
//!
//! A sample that leaves the deltas enters the hour and the day in the same write, so a reader's
//! snapshot sees it exactly once in each.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use flashlamp_profile::{Part, Timestamp};
use tracing::{debug, error, info};

use crate::aggregate::query::QueryError;
use crate::aggregate::window::read_marker;
use crate::aggregate::{Row, RowError, Sum};
use crate::clock::Clock;
use crate::error::chain;
use crate::limits;
use crate::random;
use crate::shutdown::Tasks;
use crate::store::keys::{self, Bucket, Series, TENANT};
use crate::store::{Batch, Key, KeyRange, ReadError, Snapshot, Store, WriteError};
use crate::time::{Day, Hour};

/// One step of compaction, read and computed but not yet written.
#[derive(Debug)]
pub struct Step {
    /// What it merges.
    pub series: Series,
    /// Where.
    pub bucket: Bucket,
    /// How many rows become one.
    pub input_count: usize,
    /// The write that does it.
    pub batch: Batch,
}

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

/// Plans the merge of some of an hour's deltas. `None` where there are none.
///
/// # Errors
/// [`QueryError`] if the rows cannot be read.
pub fn merge_deltas(
    snapshot: &dyn Snapshot,
    series: &Series,
    hour: Hour,
) -> Result<Option<Step>, QueryError> {
    let range = keys::deltas(series, hour, hour.plus(1));
    let Some((inputs, sum)) = read_rows(snapshot, &range, limits::COMPACT_DELTAS_MAX)? else {
        return Ok(None);
    };
    let value = sum.encode();
    let mut batch = Batch::new();
    for bucket in [Bucket::Hour(hour), Bucket::Day(hour.day())] {
        put_part(&mut batch, series, bucket, value.clone())?;
    }
    Ok(Some(step(series, Bucket::Hour(hour), inputs, batch)))
}

/// Plans the merge of a bucket's parts into one, but for those that are full
/// ([`limits::PART_FULL_BYTES`]). `None` where there are fewer than two.
///
/// # Errors
/// [`QueryError`] if the rows cannot be read.
pub fn merge_parts(
    snapshot: &dyn Snapshot,
    series: &Series,
    bucket: Bucket,
) -> Result<Option<Step>, QueryError> {
    let range = keys::open_parts(series, bucket);
    match read_rows(snapshot, &range, limits::COMPACT_DELTAS_MAX)? {
        Some((inputs, sum)) if inputs.len() > 1 => {
            let mut batch = Batch::new();
            put_part(&mut batch, series, bucket, sum.encode())?;
            Ok(Some(step(series, bucket, inputs, batch)))
        }
        _ => Ok(None),
    }
}

/// Adds a part to a batch, under a new id.
fn put_part(
    batch: &mut Batch,
    series: &Series,
    bucket: Bucket,
    value: Vec<u8>,
) -> Result<(), RowError> {
    let full = Row::uncompressed_bytes(&value)? >= limits::PART_FULL_BYTES;
    let id = keys::part_id(random::id(), full);
    batch.put_if_absent(keys::part(series, bucket, id), value);
    Ok(())
}

fn step(series: &Series, bucket: Bucket, inputs: Vec<Key>, mut batch: Batch) -> Step {
    let input_count = inputs.len();
    for input in inputs {
        batch.delete_if_present(input);
    }
    Step {
        series: series.clone(),
        bucket,
        input_count,
        batch,
    }
}

/// Reads and sums the first rows of a range: what fits into [`limits::COMPACT_BYTES_MAX`], and at
/// least one. Any two parts that are not full fit.
fn read_rows(
    snapshot: &dyn Snapshot,
    range: &KeyRange,
    count_max: usize,
) -> Result<Option<(Vec<Key>, Row)>, QueryError> {
    let mut inputs = Inputs::default();
    let mut failure = None;
    snapshot.scan(range, &mut |key, value| {
        inputs.add(key, value, count_max).unwrap_or_else(|error| {
            failure = Some(error);
            ControlFlow::Break(())
        })
    })?;
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(inputs.sum.finish().map(|row| (inputs.keys, row))),
    }
}

/// The rows of one step.
#[derive(Default)]
struct Inputs {
    keys: Vec<Key>,
    sum: Sum,
    uncompressed_bytes: usize,
}

impl Inputs {
    /// Adds a row, or ends the scan where it does not fit.
    fn add(
        &mut self,
        key: &[u8],
        value: &[u8],
        count_max: usize,
    ) -> Result<ControlFlow<()>, RowError> {
        self.uncompressed_bytes += Row::uncompressed_bytes(value)?;
        let too_large = self.uncompressed_bytes > limits::COMPACT_BYTES_MAX;
        if self.keys.len() >= count_max || (too_large && !self.keys.is_empty()) {
            return Ok(ControlFlow::Break(()));
        }
        let row = Row::decode(value)?;
        self.sum.add(&row, &Part::default())?;
        self.keys.push(Key::from_scan(key));
        Ok(ControlFlow::Continue(()))
    }
}

/// Does everything that is due at `now`, one step after the other. Returns how many steps were
/// written. Blocks; `go_on` is asked before each step.
///
/// A bucket with a damaged row is left as it is, said in the log, and does not stop the others.
///
/// # Errors
/// As [`CompactError`], where the store fails; the steps before the failure stand.
pub fn pass(
    store: &dyn Store,
    now: Timestamp,
    go_on: &dyn Fn() -> bool,
) -> Result<usize, CompactError> {
    let mut pass = Pass {
        store,
        now,
        go_on,
        written: 0,
    };
    let mut touched = recent(store, now)?;
    for ((series, hour), count) in due_deltas(store)? {
        passable(pass.merge_hour(&series, hour, count), &series)?;
        touched.insert((series, hour));
    }
    let mut buckets = BTreeSet::new();
    for (series, hour) in touched {
        buckets.insert((series.clone(), Bucket::Day(hour.day())));
        buckets.insert((series, Bucket::Hour(hour)));
    }
    for (series, bucket) in buckets {
        passable(pass.merge_bucket(&series, bucket), &series)?;
    }
    Ok(pass.written)
}

/// One pass on its way.
struct Pass<'a> {
    store: &'a dyn Store,
    now: Timestamp,
    go_on: &'a dyn Fn() -> bool,
    written: usize,
}

impl Pass<'_> {
    /// Merges the deltas of an hour, as long as there are enough of them.
    fn merge_hour(
        &mut self,
        series: &Series,
        hour: Hour,
        count: usize,
    ) -> Result<(), CompactError> {
        let closed = is_closed(hour.plus(1).start(), self.now);
        let enough = if closed {
            1
        } else {
            limits::COMPACT_DELTAS_MIN
        };
        let mut left = count;
        while (self.go_on)() && left >= enough {
            let planned = merge_deltas(&*snapshot(self.store)?, series, hour)?;
            let Some(step) = planned else { break };
            left = left.saturating_sub(step.input_count);
            self.written += usize::from(apply(self.store, step)?);
        }
        Ok(())
    }

    /// Merges the parts of a bucket, as long as there are enough of them.
    fn merge_bucket(&mut self, series: &Series, bucket: Bucket) -> Result<(), CompactError> {
        while (self.go_on)() && parts_are_due(self.store, series, bucket, self.now)? {
            let planned = merge_parts(&*snapshot(self.store)?, series, bucket)?;
            let Some(step) = planned else { break };
            self.written += usize::from(apply(self.store, step)?);
        }
        Ok(())
    }
}

/// Lets a pass go on where a row is damaged; every other failure ends it.
fn passable(result: Result<(), CompactError>, series: &Series) -> Result<(), CompactError> {
    match result {
        Err(CompactError::Query(error @ QueryError::Row(_))) => {
            error!(error = %chain(&error), service = series.service, "left a bucket unmerged");
            Ok(())
        }
        other => other,
    }
}

fn snapshot(store: &dyn Store) -> Result<Box<dyn Snapshot + '_>, QueryError> {
    Ok(store.snapshot()?)
}

/// Writes a step. `false` where another compactor was faster.
fn apply(store: &dyn Store, step: Step) -> Result<bool, WriteError> {
    let (bucket, inputs) = (step.bucket, step.input_count);
    match store.write(step.batch)?.wait() {
        Ok(()) => {
            debug!(?bucket, inputs, service = step.series.service, "merged");
            Ok(true)
        }
        Err(WriteError::Absent { .. } | WriteError::Present { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// How many deltas each series has in each hour.
fn due_deltas(store: &dyn Store) -> Result<BTreeMap<(Series, Hour), usize>, QueryError> {
    let mut counts = BTreeMap::new();
    snapshot(store)?.scan_keys(&keys::all_deltas(), &mut |key| {
        if let Some((series, hour, _)) = keys::read_delta(key) {
            *counts.entry((series, hour)).or_insert(0) += 1;
        }
        ControlFlow::Continue(())
    })?;
    Ok(counts)
}

/// The series and hours whose buckets may have closed lately: what had samples today or yesterday.
fn recent(store: &dyn Store, now: Timestamp) -> Result<BTreeSet<(Series, Hour)>, QueryError> {
    let today = Day::of(now);
    let mut series = BTreeSet::new();
    let range = keys::catalogue_days(TENANT, today.minus(1), today.plus(1));
    snapshot(store)?.scan_keys(&range, &mut |key| {
        if let Some((found, _, _)) = keys::read_catalogue(key) {
            series.insert(found);
        }
        ControlFlow::Continue(())
    })?;
    let last = Hour::of(now);
    let hours = || (0..=limits::LATE_HOURS_MAX + 2).map(|back| last.minus(back));
    Ok(series
        .into_iter()
        .flat_map(|one| hours().map(move |hour| (one.clone(), hour)))
        .collect())
}

fn parts_are_due(
    store: &dyn Store,
    series: &Series,
    bucket: Bucket,
    now: Timestamp,
) -> Result<bool, QueryError> {
    let end = match bucket {
        Bucket::Hour(hour) => hour.plus(1).start(),
        Bucket::Day(day) => day.plus(1).start(),
    };
    let enough = if is_closed(end, now) {
        2
    } else {
        limits::COMPACT_PARTS_MIN
    };
    let mut count = 0;
    snapshot(store)?.scan_keys(&keys::open_parts(series, bucket), &mut |_| {
        count += 1;
        if count < enough {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok(count >= enough)
}

fn is_closed(end: Timestamp, now: Timestamp) -> bool {
    now.as_nanos()
        >= end
            .as_nanos()
            .saturating_add(limits::BUCKET_GRACE_SECONDS * 1_000_000_000)
}

/// Deletes the markers of windows that would be refused as late by now. Returns how many.
///
/// A marker stands under the hour that its window claims. Those in the past go by that hour;
/// those that claim no hour, or one ahead of now, go by the time they were written, and have to be
/// read for that: once an hour is often enough.
///
/// # Errors
/// As [`CompactError`].
pub fn sweep_markers(
    store: &dyn Store,
    now: Timestamp,
    go_on: &dyn Fn() -> bool,
) -> Result<usize, CompactError> {
    let mut count = 0;
    while go_on() {
        let gone = old_markers(store, now)?;
        if gone.is_empty() {
            break;
        }
        count += gone.len();
        let mut batch = Batch::new();
        for key in gone {
            batch.delete_if_present(key);
        }
        match store.write(batch)?.wait() {
            // Another collector was faster: look again at what is left.
            Ok(()) | Err(WriteError::Absent { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(count)
}

/// The first of the markers that may go.
fn old_markers(store: &dyn Store, now: Timestamp) -> Result<Vec<Key>, QueryError> {
    let old = Hour::of(now).minus(limits::MARKER_HOURS);
    let mut gone = Vec::new();
    let view = snapshot(store)?;
    let past = keys::markers(Hour::from_number(0), old);
    view.scan_keys(&past, &mut |key| take_marker(&mut gone, key))?;
    let ahead = keys::markers_from(Hour::of(now).plus(1));
    view.scan(&ahead, &mut |key, value| {
        let written = read_marker(value).map(|(at, _)| Hour::of(at));
        if written.is_some_and(|written| written < old) {
            return take_marker(&mut gone, key);
        }
        ControlFlow::Continue(())
    })?;
    Ok(gone)
}

fn take_marker(gone: &mut Vec<Key>, key: &[u8]) -> ControlFlow<()> {
    gone.push(Key::from_scan(key));
    if gone.len() < 1_000 {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}

/// Runs a pass every [`limits::COMPACT_PERIOD`], and sweeps markers every hour, until `tasks` stop.
pub async fn run(store: Arc<dyn Store>, clock: Clock, tasks: Tasks) {
    let mut swept = None;
    loop {
        tokio::select! {
            () = tasks.stopping() => return,
            () = tokio::time::sleep(limits::COMPACT_PERIOD) => {}
        }
        let (store, now, watch) = (Arc::clone(&store), clock.now(), tasks.clone());
        let sweep = swept.replace(Hour::of(now)) != Some(Hour::of(now));
        let work = move || {
            let go_on = || !watch.is_stopping();
            let steps = pass(&*store, now, &go_on)?;
            let markers = if sweep {
                sweep_markers(&*store, now, &go_on)?
            } else {
                0
            };
            Ok::<_, CompactError>((steps, markers))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok((0, 0))) => {}
            Ok(Ok((steps, markers))) => info!(steps, markers, "merged windows, swept markers"),
            Ok(Err(CompactError::Write(WriteError::Closed))) => return,
            Ok(Err(error)) if error.is_gone() => debug!(error = %chain(&error), "nothing to merge"),
            Ok(Err(error)) => error!(error = %chain(&error), "failed to merge; trying again later"),
            Err(error) => error!(%error, "a merging pass panicked; trying again later"),
        }
    }
}

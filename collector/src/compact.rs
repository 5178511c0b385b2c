//! Compaction: deltas become parts of their hour and their day, parts become one.
//!
//! The rule that keeps the sums exact: one atomic write puts the output and deletes exactly the
//! rows that were read, and fails as a whole if one of them is gone. So a step that is killed has
//! not happened, a step that is run twice fails the second time, and two compactors at once waste
//! work and nothing else. There is no lease and no state outside the store.
//!
//! A sample that leaves the deltas enters the hour and the day in the same write, so a reader's
//! snapshot sees it exactly once in each.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use flashlamp_profile::{Part, Timestamp};
use tokio::time::Instant;
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

/// Does everything that is due at `now`, one step after the other: [`merge_arrived`], and then the
/// parts of buckets that have closed. Returns how many steps were written.
///
/// Looks at every series of the latest days, so a caller that merges what arrived all the time
/// needs this once an hour, when buckets close.
///
/// # Errors
/// As [`CompactError`], where the store fails; the steps before the failure stand.
pub fn pass(
    store: &dyn Store,
    now: Timestamp,
    go_on: &dyn Fn() -> bool,
) -> Result<usize, CompactError> {
    let mut pass = Pass::new(store, now, go_on);
    pass.merge_arrived()?;
    pass.merge_closed()?;
    Ok(pass.written)
}

/// Merges the deltas of every hour that has enough of them, and then the parts of those hours and
/// days. Returns how many steps were written. Blocks; `go_on` is asked before each step.
///
/// A bucket with a damaged row is left as it is, said in the log, and does not stop the others.
///
/// # Errors
/// As [`CompactError`], where the store fails; the steps before the failure stand.
pub fn merge_arrived(
    store: &dyn Store,
    now: Timestamp,
    go_on: &dyn Fn() -> bool,
) -> Result<usize, CompactError> {
    let mut pass = Pass::new(store, now, go_on);
    pass.merge_arrived()?;
    Ok(pass.written)
}

/// One pass on its way. It holds one series at a time, however many strangers have made.
struct Pass<'a> {
    store: &'a dyn Store,
    now: Timestamp,
    go_on: &'a dyn Fn() -> bool,
    written: usize,
}

impl<'a> Pass<'a> {
    fn new(store: &'a dyn Store, now: Timestamp, go_on: &'a dyn Fn() -> bool) -> Self {
        Self {
            store,
            now,
            go_on,
            written: 0,
        }
    }

    fn merge_arrived(&mut self) -> Result<(), CompactError> {
        let mut rest = keys::all_deltas();
        while (self.go_on)()
            && let Some(key) = self.first_key(&rest)?
        {
            let Some((series, hour, _)) = keys::read_delta(key.as_bytes()) else {
                rest.start = key.next();
                continue;
            };
            let of_hour = keys::deltas(&series, hour, hour.plus(1));
            passable(self.merge_hour(&series, hour, &of_hour), &series)?;
            rest.start = of_hour.end;
            for bucket in [Bucket::Hour(hour), Bucket::Day(hour.day())] {
                passable(self.merge_bucket(&series, bucket), &series)?;
            }
        }
        Ok(())
    }

    /// Merges the parts of all buckets of the days that had an open bucket lately.
    fn merge_closed(&mut self) -> Result<(), CompactError> {
        let today = Day::of(self.now);
        let first = Hour::of(self.now).minus(limits::LATE_HOURS_MAX + 2).day();
        let mut rest = keys::catalogue_days(TENANT, first, today.plus(1));
        while (self.go_on)()
            && let Some(key) = self.first_key(&rest)?
        {
            let Some((series, day, _)) = keys::read_catalogue(key.as_bytes()) else {
                rest.start = key.next();
                continue;
            };
            rest.start = keys::catalogue_of_series(&series, day).end;
            for bucket in self.buckets(&series, day)? {
                passable(self.merge_bucket(&series, bucket), &series)?;
            }
        }
        Ok(())
    }

    fn first_key(&self, range: &KeyRange) -> Result<Option<Key>, QueryError> {
        Ok(snapshot(self.store)?.first_key(range)?)
    }

    /// The buckets of a day that have parts.
    fn buckets(&self, series: &Series, day: Day) -> Result<BTreeSet<Bucket>, QueryError> {
        let hours = keys::hour_parts(series, day.first_hour(), day.plus(1).first_hour());
        let mut buckets = BTreeSet::from([Bucket::Day(day)]);
        snapshot(self.store)?.scan_keys(&hours, &mut |key| {
            buckets.extend(keys::read_part(key).map(|(_, bucket)| bucket));
            ControlFlow::Continue(())
        })?;
        Ok(buckets)
    }

    /// Merges the deltas of an hour, as long as there are enough of them.
    fn merge_hour(
        &mut self,
        series: &Series,
        hour: Hour,
        deltas: &KeyRange,
    ) -> Result<(), CompactError> {
        let closed = is_closed(hour.plus(1).start(), self.now);
        let enough = if closed {
            1
        } else {
            limits::COMPACT_DELTAS_MIN
        };
        while (self.go_on)() && holds(self.store, deltas, enough)? {
            let planned = merge_deltas(&*snapshot(self.store)?, series, hour)?;
            let Some(step) = planned else { break };
            self.written += usize::from(apply(self.store, step)?);
        }
        Ok(())
    }

    /// Merges the parts of a bucket, as long as there are enough of them.
    fn merge_bucket(&mut self, series: &Series, bucket: Bucket) -> Result<(), CompactError> {
        let end = match bucket {
            Bucket::Hour(hour) => hour.plus(1).start(),
            Bucket::Day(day) => day.plus(1).start(),
        };
        let enough = if is_closed(end, self.now) {
            2
        } else {
            limits::COMPACT_PARTS_MIN
        };
        let parts = keys::open_parts(series, bucket);
        while (self.go_on)() && holds(self.store, &parts, enough)? {
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

/// Whether a range holds `enough` rows.
fn holds(store: &dyn Store, range: &KeyRange, enough: usize) -> Result<bool, QueryError> {
    let mut count = 0;
    snapshot(store)?.scan_keys(range, &mut |_| {
        count += 1;
        if count < enough {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok(count >= enough)
}

/// The newest hour that is closed at `now`. When it changes, so do the buckets that are closed.
fn closed_hour(now: Timestamp) -> Hour {
    let grace = limits::BUCKET_GRACE_SECONDS * 1_000_000_000;
    Hour::of(Timestamp::from_nanos(now.as_nanos().saturating_sub(grace))).minus(1)
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

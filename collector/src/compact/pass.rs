//! A walk over what is due: which steps are taken, and in which order.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use flashlamp_profile::Timestamp;
use tracing::{debug, error};

use super::steps::{Step, merge_deltas, merge_parts};
use super::{CompactError, snapshot};
use crate::aggregate::query::QueryError;
use crate::error::chain;
use crate::limits;
use crate::store::keys::{self, Bucket, Series, TENANT};
use crate::store::{self, KeyRange, Store, WriteError};
use crate::time::{Day, Hour};

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
    let arrived = merge_arrived(store, now, go_on)?;
    Ok(arrived + merge_closed(store, now, go_on)?)
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
    let mut rest = keys::all_deltas();
    while go_on()
        && let Some((series, hour, _)) = pass.next_key(&mut rest, keys::read_delta)?
    {
        let of_hour = keys::deltas(&series, hour, hour.plus(1));
        passable(pass.merge_hour(&series, hour, &of_hour), &series)?;
        rest.start = of_hour.end;
        for bucket in [Bucket::Hour(hour), Bucket::Day(hour.day())] {
            passable(pass.merge_bucket(&series, bucket), &series)?;
        }
    }
    Ok(pass.written)
}

/// Merges the parts of all buckets of the days that had an open bucket lately.
fn merge_closed(
    store: &dyn Store,
    now: Timestamp,
    go_on: &dyn Fn() -> bool,
) -> Result<usize, CompactError> {
    let mut pass = Pass::new(store, now, go_on);
    let first = Hour::of(now).minus(limits::LATE_HOURS_MAX + 2).day();
    let mut rest = keys::catalogue_days(TENANT, first, Day::of(now).plus(1));
    while go_on()
        && let Some((series, day, _)) = pass.next_key(&mut rest, keys::read_catalogue)?
    {
        rest.start = keys::catalogue_of_series(&series, day).end;
        for bucket in pass.buckets(&series, day)? {
            passable(pass.merge_bucket(&series, bucket), &series)?;
        }
    }
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

    fn next_key<T>(
        &self,
        rest: &mut KeyRange,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, QueryError> {
        Ok(store::next_key(&*snapshot(self.store)?, rest, read)?)
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

fn is_closed(end: Timestamp, now: Timestamp) -> bool {
    now.as_nanos()
        >= end
            .as_nanos()
            .saturating_add(limits::BUCKET_GRACE_SECONDS * 1_000_000_000)
}

//! What a step is, and how it is planned.

use std::ops::ControlFlow;

use flashlamp_profile::Part;

use crate::aggregate::query::QueryError;
use crate::aggregate::{Row, RowError, Sum};
use crate::limits;
use crate::random;
use crate::store::keys::{self, Bucket, Series};
use crate::store::{Batch, Key, KeyRange, Snapshot};
use crate::time::Hour;

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

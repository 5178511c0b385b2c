//! Reading: the sum over a range of time, from whichever rows hold it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use flashlamp_profile::{Column, Part, Profile, Tally, labels};

use super::row::{Row, RowError, Sum, Tallies, tally_bytes};
use crate::allowance::{Allowance, AllowanceError};
use crate::limits;
use crate::series::{Clock, Measure};
use crate::store::keys::{self, Series};
use crate::store::{self, KeyRange, ReadError, Snapshot};
use crate::time::{Day, Hour};

/// Why a range could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The store failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A row is damaged or newer than this release.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The answer takes too much memory, or nobody waits for it.
    #[error(transparent)]
    Allowance(#[from] AllowanceError),
}

/// What to add up: the whole hours `from..until` of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The tenant.
    pub tenant: String,
    /// The service.
    pub service: String,
    /// One entry point, or all.
    pub entry: Option<String>,
    /// What is measured; `None` means CPU where there is any, else what there is.
    pub clock: Option<Clock>,
    /// The first hour.
    pub from: Hour,
    /// The first hour after the range.
    pub until: Hour,
}

/// The sum over a range.
#[derive(Debug)]
pub struct Answer {
    /// The samples of the entry point that was asked for, by stack. It holds losses only where
    /// all entry points were asked for: a loss has no entry point.
    pub profile: Profile,
    /// What `profile` sums.
    pub clock: Clock,
    /// The column of it in `profile`.
    pub column: Column,
    /// Stored samples and event counts of every entry point, for this clock.
    pub entries: Tallies,
    /// What the clock says for each entry point, in the unit of the column.
    pub weights: BTreeMap<String, u64>,
    /// What was lost, by reason, whatever the entry point.
    pub losses: BTreeMap<String, Tally>,
    /// The clocks that have samples here.
    pub clocks: Vec<Clock>,
    /// When the first window began and the last one ended, in nanoseconds since the epoch.
    pub data_ns: (u64, u64),
}

impl Answer {
    /// What was stored for one entry point, or for all.
    pub fn stored(&self, entry: Option<&str>) -> Tally {
        match entry {
            Some(entry) => self.entries.get(entry).copied().unwrap_or_default(),
            None => self.entries.values().copied().sum(),
        }
    }

    /// What was lost, over all reasons.
    pub fn lost(&self) -> Tally {
        self.losses.values().copied().sum()
    }
}

/// Adds up a range in one snapshot. `None` where nothing was stored for it.
///
/// Whole UTC days are read from day parts, the hours at both ends from hour parts, and what is
/// not merged yet from the deltas. Rows are unpacked one after the other; `allowance` holds what
/// the sum takes, and the answer in the end.
///
/// # Errors
/// As [`QueryError`].
pub fn read(
    snapshot: &dyn Snapshot,
    query: &Query,
    allowance: &mut Allowance,
) -> Result<Option<Answer>, QueryError> {
    let keys = type_keys(snapshot, query, allowance)?;
    let base_bytes = allowance.held();
    let mut present = Vec::new();
    for key in &keys {
        if has_rows(snapshot, &query.series(key), query.from, query.until)? {
            present.push(key.as_str());
        }
    }
    let clocks = Clock::offered(present.iter().copied());
    let clock = query
        .clock
        .clone()
        .or_else(|| clocks.first().cloned())
        .unwrap_or(Clock::Samples);
    let Some(measure) = clock.measure(present.iter().copied()) else {
        return Ok(None);
    };
    let mut reading = Reading {
        query,
        measure: &measure,
        allowance,
        base_bytes,
        sum: Sum::default(),
        weights: BTreeMap::new(),
        losses: BTreeMap::new(),
    };
    for key in present.into_iter().filter(|key| measure.is_in(key)) {
        for range in ranges(&query.series(key), query.from, query.until) {
            reading.add_range(snapshot, &range)?;
        }
    }
    let (losses, weights) = (reading.losses, reading.weights);
    let (sum, allowance) = (reading.sum, reading.allowance);
    let Some(row) = sum.finish() else {
        return Ok(None);
    };
    let entries: usize = row.stored.keys().map(|entry| tally_bytes(entry)).sum();
    allowance.set(base_bytes + row.profile.heap_bytes() + 2 * entries)?;
    if query
        .entry
        .as_ref()
        .is_some_and(|entry| !row.stored.contains_key(entry))
    {
        return Ok(None);
    }
    Ok(Some(Answer {
        column: measure.column(&row.profile).unwrap_or(Column::Events),
        profile: row.profile,
        losses,
        entries: row.stored,
        weights,
        data_ns: (row.from_ns, row.until_ns),
        clock,
        clocks,
    }))
}

/// Whether a series has any row in the hours `from..until`.
///
/// # Errors
/// [`ReadError`] if the store fails.
pub fn has_rows(
    snapshot: &dyn Snapshot,
    series: &Series,
    from: Hour,
    until: Hour,
) -> Result<bool, ReadError> {
    for range in ranges(series, from, until) {
        if snapshot.first_key(&range)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The type words of a service's series, on the days that the query touches. `allowance` holds what
/// they take, with what is made of them; beside what it held.
fn type_keys(
    snapshot: &dyn Snapshot,
    query: &Query,
    allowance: &mut Allowance,
) -> Result<BTreeSet<String>, QueryError> {
    let base_bytes = allowance.held();
    let (mut keys, mut bytes) = (BTreeSet::new(), 0);
    let mut day = query.from.day();
    while day.first_hour() < query.until {
        let mut rest = keys::catalogue_of(&query.tenant, day, &query.service);
        while let Some((series, _, _)) = store::next_key(snapshot, &mut rest, keys::read_catalogue)?
        {
            rest.start = keys::catalogue_of_series(&series, day).end;
            let word_bytes = limits::WORD_BYTES + 4 * series.types.len();
            if keys.insert(series.types) {
                bytes += word_bytes;
            }
            allowance.set(base_bytes + bytes)?;
        }
        day = day.plus(1);
    }
    Ok(keys)
}

/// The ranges of keys that together hold each sample of the hours `from..until` once.
fn ranges(series: &Series, from: Hour, until: Hour) -> Vec<KeyRange> {
    let mut ranges = vec![keys::deltas(series, from, until)];
    let first_day = if from == from.day().first_hour() {
        from.day()
    } else {
        from.day().plus(1)
    };
    let last_day = until.day();
    if first_day >= last_day {
        ranges.push(keys::hour_parts(series, from, until));
        return ranges;
    }
    ranges.push(keys::hour_parts(series, from, first_day.first_hour()));
    ranges.push(keys::day_parts(series, first_day, last_day));
    ranges.push(keys::hour_parts(series, last_day.first_hour(), until));
    ranges
}

impl Query {
    /// The series of this service with these types.
    fn series(&self, types: &str) -> Series {
        Series {
            tenant: self.tenant.clone(),
            service: self.service.clone(),
            types: types.to_owned(),
        }
    }
}

/// A sum on its way.
struct Reading<'a> {
    query: &'a Query,
    measure: &'a Measure,
    allowance: &'a mut Allowance,
    /// What was in use before.
    base_bytes: usize,
    sum: Sum,
    /// By entry point, whichever is asked for.
    weights: BTreeMap<String, u64>,
    losses: BTreeMap<String, Tally>,
}

impl Reading<'_> {
    fn add_range(&mut self, snapshot: &dyn Snapshot, range: &KeyRange) -> Result<(), QueryError> {
        let mut failure = None;
        snapshot.scan(range, &mut |_, value| {
            failure = self.add_stored(value).err();
            if failure.is_none() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        failure.map_or(Ok(()), Err)
    }

    fn add_stored(&mut self, value: &[u8]) -> Result<(), QueryError> {
        let bytes = value.len() + Row::decoding_bytes(value)?;
        self.allowance
            .set(self.base_bytes + self.sum.heap_bytes() + bytes)?;
        let row = Row::decode(value)?;
        self.add(&row)?;
        Ok(())
    }

    fn add(&mut self, row: &Row) -> Result<(), RowError> {
        for (reason, tally) in row.profile.losses() {
            *self.losses.entry(reason.clone()).or_default() += *tally;
        }
        // Where the key promised this measure and the row does not have it, nothing is added.
        let Some(column) = self.measure.column(&row.profile) else {
            return Ok(());
        };
        let profile = &row.profile;
        for (entry, weight) in profile.label_totals(labels::ENTRY, labels::NO_ENTRY, column) {
            let sum = self.weights.entry(entry.to_owned()).or_default();
            *sum = sum.saturating_add(weight);
        }
        let part = Part::default().column(column);
        let entry = self.query.entry.as_deref();
        let part = entry.map_or(part, |entry| part.with_label(labels::ENTRY, entry));
        self.sum.add(row, &part)
    }
}

/// The hours of a day that have samples of a service, oldest first.
///
/// # Errors
/// As [`QueryError`].
pub fn hours_of_day(
    snapshot: &dyn Snapshot,
    tenant: &str,
    service: &str,
    day: Day,
    allowance: &mut Allowance,
) -> Result<Vec<Hour>, QueryError> {
    let (from, until) = (day.first_hour(), day.plus(1).first_hour());
    let query = Query {
        tenant: tenant.to_owned(),
        service: service.to_owned(),
        entry: None,
        clock: None,
        from,
        until,
    };
    let mut hours = Vec::new();
    for key in type_keys(snapshot, &query, allowance)? {
        let series = query.series(&key);
        for number in 0..24 {
            let hour = from.plus(number);
            if !hours.contains(&hour) && has_rows(snapshot, &series, hour, hour.plus(1))? {
                hours.push(hour);
            }
        }
    }
    hours.sort_unstable();
    Ok(hours)
}

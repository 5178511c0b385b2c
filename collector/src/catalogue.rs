//! What there is: services, their days, their entry points.
//!
//! A day of the catalogue is sorted by service, type and entry point, and strangers choose all of
//! them. So a service with a million entry points must not hide those behind it: the reader looks
//! at the first row of each series and steps over the rest, and reads entry points afterwards,
//! of each service as many as all others get. What a bound leaves out is said.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use flashlamp_profile::labels;

use crate::aggregate::query::QueryError;
use crate::allowance::Allowance;
use crate::limits;
use crate::series::Clock;
use crate::store::keys::{self, Series};
use crate::store::{self, KeyRange, ReadError, Snapshot};
use crate::time::Day;

/// What has samples, as far as the bounds let it be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The services, by name.
    pub services: Vec<ServiceSummary>,
    /// Whether that is all: no bound kept a service, a day, a clock or an entry point from being
    /// read. Entry points that were read and only not listed are counted by each service.
    pub complete: bool,
}

/// A service that has samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSummary {
    /// Its name.
    pub name: String,
    /// The days that have samples, newest first.
    pub days: Vec<Day>,
    /// The entry points of the newest day, by name, `(none)` last.
    pub entries: Vec<String>,
    /// How many more there are. Where the catalogue is not complete, there may be more than that.
    pub entries_more: usize,
    /// The clocks of all these days.
    pub clocks: Vec<Clock>,
}

/// Every service with its latest [`limits::INDEX_DAYS`] days that have samples, by name.
///
/// Looks at whole days from the newest on, whatever lies between them, for
/// [`limits::RANGE_DAYS_MAX`] days back. Reads at most [`limits::INDEX_ROWS_MAX`] rows for the
/// services and as many for their entry points.
///
/// `allowance` holds what it takes in the end.
///
/// # Errors
/// As [`QueryError`].
pub fn read(
    snapshot: &dyn Snapshot,
    tenant: &str,
    today: Day,
    allowance: &mut Allowance,
) -> Result<Catalogue, QueryError> {
    let mut gathered = Gathered {
        services: BTreeMap::new(),
        rows_left: limits::INDEX_ROWS_MAX,
        complete: true,
        bytes: 0,
    };
    let mut days_found = 0;
    // A sender's clock may be a little ahead of midnight.
    let newest = today.plus(1);
    for back in 0..limits::RANGE_DAYS_MAX {
        let found = gathered.add_day(snapshot, tenant, newest.minus(back))?;
        allowance.set(gathered.bytes)?;
        days_found += u64::from(found);
        if days_found >= limits::INDEX_DAYS || (gathered.rows_left == 0 && !gathered.complete) {
            break;
        }
    }
    gathered.into_catalogue(snapshot, tenant, allowance)
}

/// The days and types of each service.
#[derive(Debug)]
struct Gathered {
    services: BTreeMap<String, Service>,
    rows_left: usize,
    complete: bool,
    /// What was gathered takes, with what is written of it.
    bytes: usize,
}

#[derive(Debug, Default)]
struct Service {
    days: Vec<Day>,
    types: BTreeSet<String>,
}

impl Gathered {
    /// Reads the first row of each series of a day. Returns whether there was one.
    fn add_day(
        &mut self,
        snapshot: &dyn Snapshot,
        tenant: &str,
        day: Day,
    ) -> Result<bool, ReadError> {
        let mut range = keys::catalogue_days(tenant, day, day.plus(1));
        let mut found = false;
        while let Some((series, _, _)) =
            store::next_key(snapshot, &mut range, keys::read_catalogue)?
        {
            found = true;
            if self.rows_left == 0 {
                self.complete = false;
                break;
            }
            self.rows_left -= 1;
            range.start = self.add_series(&series, day).end;
        }
        Ok(found)
    }

    /// Takes a series in, and says which rows are done with that: its own, or those of the whole
    /// service where it has had its share.
    fn add_series(&mut self, series: &Series, day: Day) -> KeyRange {
        let of_service = keys::catalogue_of(&series.tenant, day, &series.service);
        let is_known = self.services.contains_key(&series.service);
        if !is_known && self.services.len() >= limits::INDEX_SERVICES_MAX {
            self.complete = false;
            return of_service;
        }
        if !is_known {
            self.bytes += listed_bytes(&series.service);
        }
        let service = self.services.entry(series.service.clone()).or_default();
        if service.days.last() != Some(&day) {
            self.bytes += limits::WORD_BYTES;
            service.days.push(day);
        }
        if service.types.len() >= limits::INDEX_TYPES_MAX && !service.types.contains(&series.types)
        {
            self.complete = false;
            return of_service;
        }
        if service.types.insert(series.types.clone()) {
            self.bytes += listed_bytes(&series.types);
        }
        keys::catalogue_of_series(series, day)
    }

    fn into_catalogue(
        self,
        snapshot: &dyn Snapshot,
        tenant: &str,
        allowance: &mut Allowance,
    ) -> Result<Catalogue, QueryError> {
        let mut bytes = self.bytes;
        let count = self.services.len().max(1);
        let share = Share {
            rows_max: limits::INDEX_ROWS_MAX / count,
            listed_max: limits::INDEX_ENTRIES_MAX.min(limits::INDEX_LISTED_MAX / count),
        };
        let mut catalogue = Catalogue {
            services: Vec::with_capacity(count),
            complete: self.complete,
        };
        for (name, service) in self.services {
            let (entries, all_read) = match service.days.first() {
                Some(day) => share.entries(snapshot, &keys::catalogue_of(tenant, *day, &name))?,
                None => (BTreeSet::new(), true),
            };
            catalogue.complete &= all_read;
            let read: usize = entries.iter().map(|entry| listed_bytes(entry)).sum();
            allowance.set(bytes + read)?;
            let entries_more = entries.len().saturating_sub(share.listed_max);
            let mut entries: Vec<String> = entries.into_iter().take(share.listed_max).collect();
            entries.sort_by_key(|entry| entry == labels::NO_ENTRY);
            bytes += entries
                .iter()
                .map(|entry| listed_bytes(entry))
                .sum::<usize>();
            catalogue.services.push(ServiceSummary {
                name,
                days: service.days,
                entries,
                entries_more,
                clocks: Clock::offered(service.types.iter().map(String::as_str)),
            });
        }
        allowance.set(bytes)?;
        Ok(catalogue)
    }
}

/// How much memory a name takes, with what is written of it.
fn listed_bytes(name: &str) -> usize {
    limits::WORD_BYTES + limits::LISTED_FACTOR * name.len()
}

/// What each service gets of the bounds on entry points.
#[derive(Debug, Clone, Copy)]
struct Share {
    rows_max: usize,
    listed_max: usize,
}

impl Share {
    /// The entry points in a range, and whether those are all.
    fn entries(
        self,
        snapshot: &dyn Snapshot,
        range: &KeyRange,
    ) -> Result<(BTreeSet<String>, bool), ReadError> {
        let (mut entries, mut rows, mut all_read) = (BTreeSet::new(), 0, true);
        snapshot.scan_keys(range, &mut |key| {
            if rows == self.rows_max {
                all_read = false;
                return ControlFlow::Break(());
            }
            rows += 1;
            entries.extend(keys::read_catalogue(key).map(|(_, _, entry)| entry));
            ControlFlow::Continue(())
        })?;
        Ok((entries, all_read))
    }
}

/// Whether a service has samples on a day.
///
/// # Errors
/// [`ReadError`] if the store fails.
pub fn has_day(
    snapshot: &dyn Snapshot,
    tenant: &str,
    service: &str,
    day: Day,
) -> Result<bool, ReadError> {
    Ok(snapshot
        .first_key(&keys::catalogue_of(tenant, day, service))?
        .is_some())
}

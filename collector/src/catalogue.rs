//! What there is: services, their days, their entry points.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use flashlamp_profile::labels;

use crate::limits;
use crate::series::Clock;
use crate::store::keys;
use crate::store::{ReadError, Snapshot};
use crate::time::Day;

/// A service that has samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSummary {
    /// Its name.
    pub name: String,
    /// The days that have samples, newest first.
    pub days: Vec<Day>,
    /// The entry points of the newest day, by name, `(none)` last.
    pub entries: Vec<String>,
    /// The clocks of all these days.
    pub clocks: Vec<Clock>,
}

#[derive(Debug, Default)]
struct Gathered {
    days: Vec<Day>,
    newest_entries: BTreeSet<String>,
    types: BTreeSet<String>,
}

/// Every service with its latest [`limits::INDEX_DAYS`] days that have samples, by name.
///
/// Looks at whole days from the newest on, whatever lies between them, for
/// [`limits::RANGE_DAYS_MAX`] days back.
///
/// # Errors
/// [`ReadError`] if the store fails.
pub fn services(
    snapshot: &dyn Snapshot,
    tenant: &str,
    today: Day,
) -> Result<Vec<ServiceSummary>, ReadError> {
    let mut gathered: BTreeMap<String, Gathered> = BTreeMap::new();
    let (mut days_found, mut rows_left) = (0, limits::INDEX_ROWS_MAX);
    // A sender's clock may be a little ahead of midnight.
    let newest = today.plus(1);
    for back in 0..limits::RANGE_DAYS_MAX {
        let day = newest.minus(back);
        let range = keys::catalogue_days(tenant, day, day.plus(1));
        let before = rows_left;
        snapshot.scan_keys(&range, &mut |key| {
            if let Some((series, _, entry)) = keys::read_catalogue(key) {
                add_row(
                    gathered.entry(series.service).or_default(),
                    day,
                    series.types,
                    entry,
                );
            }
            rows_left -= 1;
            if rows_left > 0 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        days_found += u64::from(rows_left < before);
        if days_found >= limits::INDEX_DAYS || rows_left == 0 {
            break;
        }
    }
    Ok(gathered
        .into_iter()
        .map(|(name, gathered)| gathered.into_summary(name))
        .collect())
}

fn add_row(gathered: &mut Gathered, day: Day, types: String, entry: String) {
    if gathered.days.last() != Some(&day) {
        gathered.days.push(day);
    }
    if gathered.days.first() == Some(&day) {
        gathered.newest_entries.insert(entry);
    }
    gathered.types.insert(types);
}

impl Gathered {
    fn into_summary(self, name: String) -> ServiceSummary {
        let mut entries: Vec<String> = self.newest_entries.into_iter().collect();
        entries.sort_by_key(|entry| entry == labels::NO_ENTRY);
        let clocks = Clock::offered(self.types.iter().map(String::as_str));
        ServiceSummary {
            name,
            days: self.days,
            entries,
            clocks,
        }
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

//! The keys of the one table: what each row is, and where it sorts.
//!
//! Problem: an ordered key-value table gives range scans and nothing else, so every question that
//! the collector answers must be one contiguous range of keys. Constraint: services, entry points
//! and idempotency keys are text that strangers choose, of any length and with any byte in it.
//!
//! A key is a prefix byte and then its fields, each encoded so that comparing keys byte by byte
//! equals comparing the fields one after the other:
//!
//! - text: its bytes, each `00` written as `00 FF`, ended by `00 01`;
//! - an integer or a point in time: eight bytes, most significant first;
//! - an id: its sixteen bytes.
//!
//! | prefix | row | fields |
//! |---|---|---|
//! | `10` | delta | tenant, service, type, hour, window id |
//! | `20` | minute part (a later release) | tenant, service, type, minute, part id |
//! | `21` | hour part | tenant, service, type, hour, part id |
//! | `22` | day part | tenant, service, type, day, part id |
//! | `30` | catalogue | tenant, day, service, type, entry |
//! | `40` | profile metadata | tenant, id |
//! | `41` | profile by time | tenant, newest first, id |
//! | `42` | profile blob | tenant, id |
//! | `50` | marker of a stored window | hour claimed, tenant, service, idempotency key |
//!
//! The tenant leads the fields of every row except markers, which are swept by age, for all
//! tenants at once. The integers of a bucket are hours, or days, since the epoch.

use super::{Key, KeyRange};
use crate::time::{Day, Hour};

/// The tenant of everything, as long as there are no tokens to say otherwise.
pub const TENANT: &str = "default";

const DELTA: u8 = 0x10;
const HOUR_PART: u8 = 0x21;
const DAY_PART: u8 = 0x22;
const CATALOGUE: u8 = 0x30;
const PROFILE_META: u8 = 0x40;
const PROFILE_BY_TIME: u8 = 0x41;
const PROFILE_BLOB: u8 = 0x42;
const MARKER: u8 = 0x50;

/// 128 random bits: a request profile's id, or a part's.
pub type IdBytes = [u8; 16];

/// What an aggregate is of: tenant, service and value types. The labels, the entry point among
/// them, stay on the samples inside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// Who owns it.
    pub tenant: String,
    /// The service, as the sender names it.
    pub service: String,
    /// The value types, as [`crate::series::type_key`] writes them.
    pub types: String,
}

/// Which bucket a part sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// One UTC hour.
    Hour(Hour),
    /// One UTC day.
    Day(Day),
}

/// The bit of a part's id that says that the part is full.
const FULL: u8 = 0x80;

/// The key of one window as it arrived. `window_id` makes a repeated store a collision.
pub fn delta(series: &Series, hour: Hour, window_id: &str) -> Key {
    series_writer(DELTA, series)
        .u64(hour.number())
        .text(window_id)
        .finish()
}

/// Every delta there is.
pub fn all_deltas() -> KeyRange {
    KeyRange::prefix(&[DELTA])
}

/// The deltas of a series in the hours `from..until`.
pub fn deltas(series: &Series, from: Hour, until: Hour) -> KeyRange {
    let at = |hour: Hour| series_writer(DELTA, series).u64(hour.number()).finish();
    KeyRange::new(at(from), at(until))
}

/// Reads a delta's key back: the series, the hour, the window id.
pub fn read_delta(key: &[u8]) -> Option<(Series, Hour, String)> {
    let mut reader = Reader::new(key, DELTA)?;
    let series = reader.series()?;
    Some((series, Hour::from_number(reader.u64()?), reader.text()?))
}

/// The id of a part: random bits, of which the first says whether the part is full, so that those
/// who look for parts to merge need not read it to know.
pub fn part_id(mut random: IdBytes, full: bool) -> IdBytes {
    random[0] = random[0] & !FULL | if full { FULL } else { 0 };
    random
}

/// The key of one part of a bucket. A bucket has as many parts as compactions have written.
pub fn part(series: &Series, bucket: Bucket, id: IdBytes) -> Key {
    part_writer(series, bucket).id(id).finish()
}

/// The parts of one bucket.
pub fn parts(series: &Series, bucket: Bucket) -> KeyRange {
    KeyRange::prefix(part_writer(series, bucket).finish().as_bytes())
}

/// The parts of one bucket that are not full ([`part_id`]).
pub fn open_parts(series: &Series, bucket: Bucket) -> KeyRange {
    let start = part_writer(series, bucket).finish();
    let mut first_full = [0; 16];
    first_full[0] = FULL;
    KeyRange::new(start, part(series, bucket, first_full))
}

/// The hour parts of a series in the hours `from..until`.
pub fn hour_parts(series: &Series, from: Hour, until: Hour) -> KeyRange {
    let at = |hour| part_writer(series, Bucket::Hour(hour)).finish();
    KeyRange::new(at(from), at(until))
}

/// The day parts of a series in the days `from..until`.
pub fn day_parts(series: &Series, from: Day, until: Day) -> KeyRange {
    let at = |day| part_writer(series, Bucket::Day(day)).finish();
    KeyRange::new(at(from), at(until))
}

/// Reads a part's key back: the series and the bucket.
pub fn read_part(key: &[u8]) -> Option<(Series, Bucket)> {
    let prefix = *key.first()?;
    let mut reader = Reader::new(key, prefix)?;
    let series = reader.series()?;
    let number = reader.u64()?;
    match prefix {
        HOUR_PART => Some((series, Bucket::Hour(Hour::from_number(number)))),
        DAY_PART => Some((series, Bucket::Day(Day::from_number(number)))),
        _ => None,
    }
}

/// The catalogue row that says: on this day this entry point of this series has samples.
pub fn catalogue(series: &Series, day: Day, entry: &str) -> Key {
    Writer::new(CATALOGUE)
        .text(&series.tenant)
        .u64(day.number())
        .text(&series.service)
        .text(&series.types)
        .text(entry)
        .finish()
}

/// The catalogue of a tenant in the days `from..until`, by day, service, type, entry.
pub fn catalogue_days(tenant: &str, from: Day, until: Day) -> KeyRange {
    let at = |day: Day| {
        Writer::new(CATALOGUE)
            .text(tenant)
            .u64(day.number())
            .finish()
    };
    KeyRange::new(at(from), at(until))
}

/// The catalogue of one service on one day.
pub fn catalogue_of(tenant: &str, day: Day, service: &str) -> KeyRange {
    let prefix = Writer::new(CATALOGUE)
        .text(tenant)
        .u64(day.number())
        .text(service)
        .finish();
    KeyRange::prefix(prefix.as_bytes())
}

/// The catalogue of one series on one day.
pub fn catalogue_of_series(series: &Series, day: Day) -> KeyRange {
    let prefix = Writer::new(CATALOGUE)
        .text(&series.tenant)
        .u64(day.number())
        .text(&series.service)
        .text(&series.types)
        .finish();
    KeyRange::prefix(prefix.as_bytes())
}

/// Reads a catalogue row's key back: the series, the day, the entry.
pub fn read_catalogue(key: &[u8]) -> Option<(Series, Day, String)> {
    let mut reader = Reader::new(key, CATALOGUE)?;
    let tenant = reader.text()?;
    let day = Day::from_number(reader.u64()?);
    let (service, types) = (reader.text()?, reader.text()?);
    Some((
        Series {
            tenant,
            service,
            types,
        },
        day,
        reader.text()?,
    ))
}

/// The metadata of one request profile.
pub fn profile_meta(tenant: &str, id: IdBytes) -> Key {
    Writer::new(PROFILE_META).text(tenant).id(id).finish()
}

/// The samples of one request profile.
pub fn profile_blob(tenant: &str, id: IdBytes) -> Key {
    Writer::new(PROFILE_BLOB).text(tenant).id(id).finish()
}

/// The row that puts a request profile in its place in time. `at_ns` is when it was stored.
pub fn profile_by_time(tenant: &str, at_ns: u64, id: IdBytes) -> Key {
    Writer::new(PROFILE_BY_TIME)
        .text(tenant)
        .u64(u64::MAX - at_ns)
        .id(id)
        .finish()
}

/// All request profiles of a tenant, newest first.
pub fn profiles_by_time(tenant: &str) -> KeyRange {
    KeyRange::prefix(
        Writer::new(PROFILE_BY_TIME)
            .text(tenant)
            .finish()
            .as_bytes(),
    )
}

/// Reads the id from the key that [`profile_by_time`] wrote.
pub fn read_profile_by_time(key: &[u8]) -> Option<IdBytes> {
    let mut reader = Reader::new(key, PROFILE_BY_TIME)?;
    reader.text()?;
    reader.u64()?;
    reader.id()
}

/// The marker that a window was stored. `claimed` is the hour that the request itself names, so
/// that a retry finds the same marker whatever the collector's clock has done since.
pub fn marker(claimed: Hour, tenant: &str, service: &str, idempotency_key: &str) -> Key {
    Writer::new(MARKER)
        .u64(claimed.number())
        .text(tenant)
        .text(service)
        .text(idempotency_key)
        .finish()
}

/// The markers of windows that claim one of the hours `from..until`.
pub fn markers(from: Hour, until: Hour) -> KeyRange {
    let at = |hour: Hour| Writer::new(MARKER).u64(hour.number()).finish();
    KeyRange::new(at(from), at(until))
}

/// The markers of windows that claim the hour `from` or any later one.
pub fn markers_from(from: Hour) -> KeyRange {
    let start = Writer::new(MARKER).u64(from.number()).finish();
    KeyRange::new(start, KeyRange::prefix(&[MARKER]).end)
}

fn series_writer(prefix: u8, series: &Series) -> Writer {
    Writer::new(prefix)
        .text(&series.tenant)
        .text(&series.service)
        .text(&series.types)
}

fn part_writer(series: &Series, bucket: Bucket) -> Writer {
    match bucket {
        Bucket::Hour(hour) => series_writer(HOUR_PART, series).u64(hour.number()),
        Bucket::Day(day) => series_writer(DAY_PART, series).u64(day.number()),
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn new(prefix: u8) -> Self {
        Self(vec![prefix])
    }

    fn text(mut self, text: &str) -> Self {
        for &byte in text.as_bytes() {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(0xFF);
            }
        }
        self.0.extend([0x00, 0x01]);
        self
    }

    fn u64(mut self, number: u64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn id(mut self, id: IdBytes) -> Self {
        self.0.extend(id);
        self
    }

    fn finish(self) -> Key {
        Key::from_bytes(self.0)
    }
}

/// Takes a key apart again. Each step gives `None` where the bytes are not what the step expects.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn new(key: &'a [u8], prefix: u8) -> Option<Self> {
        let (first, rest) = key.split_first()?;
        (*first == prefix).then_some(Self(rest))
    }

    fn series(&mut self) -> Option<Series> {
        Some(Series {
            tenant: self.text()?,
            service: self.text()?,
            types: self.text()?,
        })
    }

    fn text(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        loop {
            let (&byte, rest) = self.0.split_first()?;
            if byte != 0 {
                bytes.push(byte);
                self.0 = rest;
                continue;
            }
            let (&mark, rest) = rest.split_first()?;
            self.0 = rest;
            match mark {
                0xFF => bytes.push(0),
                0x01 => return String::from_utf8(bytes).ok(),
                _ => return None,
            }
        }
    }

    fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    fn id(&mut self) -> Option<IdBytes> {
        let (id, rest) = self.0.split_first_chunk::<16>()?;
        self.0 = rest;
        Some(*id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series() -> impl Strategy<Value = Series> {
        let text = "[a\u{0}\u{1}/é\u{7f}]{0,4}";
        (text, text, text).prop_map(|(tenant, service, types)| Series {
            tenant,
            service,
            types,
        })
    }

    proptest! {
        #[test]
        fn delta_keys_sort_as_their_fields(
            a in (series(), 0_u64..3, "[ab\u{0}]{0,3}"),
            b in (series(), 0_u64..3, "[ab\u{0}]{0,3}"),
        ) {
            let key = |(series, hour, id): &(Series, u64, String)| delta(series, Hour::from_number(*hour), id);
            prop_assert_eq!(a.cmp(&b), key(&a).cmp(&key(&b)));
        }

        #[test]
        fn keys_read_back_as_written(series in series(), number: u64, text in ".{0,6}", id: IdBytes) {
            let (hour, day) = (Hour::from_number(number), Day::from_number(number));
            prop_assert_eq!(
                read_delta(delta(&series, hour, &text).as_bytes()),
                Some((series.clone(), hour, text.clone()))
            );
            for bucket in [Bucket::Hour(hour), Bucket::Day(day)] {
                prop_assert_eq!(
                    read_part(part(&series, bucket, id).as_bytes()),
                    Some((series.clone(), bucket))
                );
            }
            prop_assert_eq!(
                read_catalogue(catalogue(&series, day, &text).as_bytes()),
                Some((series.clone(), day, text.clone()))
            );
            prop_assert_eq!(
                read_profile_by_time(profile_by_time(&series.tenant, number, id).as_bytes()),
                Some(id)
            );
        }

        #[test]
        fn range_of_a_series_holds_its_hours_and_nothing_else(
            a in series(), b in series(), hour in 0_u64..6, from in 0_u64..6, until in 0_u64..6,
        ) {
            let range = deltas(&a, Hour::from_number(from), Hour::from_number(until));
            let key = delta(&b, Hour::from_number(hour), "w");
            prop_assert_eq!(range.contains(&key), a == b && from <= hour && hour < until);
        }

        #[test]
        fn what_follows_a_series_of_the_catalogue_is_the_next_one(
            a in (series(), "[ab\u{0}]{0,3}"), b in (series(), "[ab\u{0}]{0,3}"),
        ) {
            let day = Day::from_number(7);
            let order = |one: &Series| (one.tenant.clone(), one.service.clone(), one.types.clone());
            let next = catalogue_of_series(&a.0, day).end;
            let key = catalogue(&b.0, day, &b.1);
            prop_assert_eq!(key >= next, order(&b.0) > order(&a.0));
            prop_assert_eq!(catalogue_of_series(&a.0, day).contains(&key), a.0 == b.0);
        }

        #[test]
        fn broken_keys_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (read_delta(&bytes), read_part(&bytes), read_catalogue(&bytes));
            let _ = read_profile_by_time(&bytes);
        }

        #[test]
        fn newer_profiles_sort_first(a: u64, b: u64, id: IdBytes) {
            let key = |at| profile_by_time(TENANT, at, id);
            prop_assert_eq!(a.cmp(&b), key(b).cmp(&key(a)));
        }
    }
}

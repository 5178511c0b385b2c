//! One window as it arrived: made ready, and stored exactly once.

use flashlamp_profile::{Merger, Part, Profile, Tally, Timestamp, labels};
use sha2::{Digest as _, Sha256};

use super::row::{Row, Tallies};
use crate::error::{ApiError, Code};
use crate::limits;
use crate::series::{self, check_word};
use crate::store::keys::{self, Series, TENANT};
use crate::store::{Batch, Key};
use crate::time::{Day, Hour};

/// When a window was, as its sender says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
}

impl Span {
    /// Takes what the parameters say, then what the profile says, then the present.
    ///
    /// # Errors
    /// `bad_time_range` where the end is before the beginning or too far behind it.
    pub fn of(
        from: Option<Timestamp>,
        until: Option<Timestamp>,
        profile: &Profile,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        let length = profile.duration().unwrap_or_default();
        let back = |until: Timestamp| {
            Timestamp::from_nanos(until.as_nanos().saturating_sub(length.as_nanos()))
        };
        let from = from.or_else(|| until.map(back)).or_else(|| profile.start());
        let from = from.unwrap_or_else(|| back(now));
        let span = Self {
            from,
            until: until.unwrap_or(from + length),
        };
        if span.until < span.from {
            return Err(ApiError::new(Code::BadTimeRange, "until is before from"));
        }
        if span.until.since(span.from).as_nanos() > limits::WINDOW_NS_MAX {
            let detail = "a window is at most one hour long; send a longer time in pieces";
            return Err(ApiError::new(Code::BadTimeRange, detail));
        }
        Ok(span)
    }

    /// Puts the window where it belongs: a sender whose clock is ahead gets ours. The second
    /// value says whether that was so.
    ///
    /// # Errors
    /// `too_late` for a window that ended longer ago than late data is taken.
    pub fn placed(self, now: Timestamp) -> Result<(Self, bool), ApiError> {
        let ahead = self.until.since(now).as_nanos();
        if ahead > limits::CLOCK_AHEAD_NS_MAX {
            let back = |at: Timestamp| Timestamp::from_nanos(at.as_nanos().saturating_sub(ahead));
            return Ok((
                Self {
                    from: back(self.from),
                    until: back(self.until),
                },
                true,
            ));
        }
        if Hour::of(self.until) < Hour::of(now).minus(limits::LATE_HOURS_MAX) {
            let detail = format!(
                "the window ended more than {} hours ago; late data is taken for that long",
                limits::LATE_HOURS_MAX
            );
            return Err(ApiError::new(Code::TooLate, detail));
        }
        Ok((self, false))
    }
}

/// How a window is kept from being stored twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The sender's idempotency key.
    pub key: String,
    /// The hour that the request itself names, or [`Hour::UNNAMED`]. It does not depend on the
    /// collector's clock, so a retry names the same one.
    pub claimed: Hour,
    /// SHA-256 of the body, uncompressed.
    pub body_sha256: [u8; 32],
}

impl Identity {
    /// The identity of a body that came under this key.
    pub fn new(key: String, claimed: Option<Timestamp>, body: &[u8]) -> Self {
        Self {
            key,
            claimed: claimed.map_or(Hour::UNNAMED, Hour::of),
            body_sha256: Sha256::digest(body).into(),
        }
    }

    /// The row that says that the window was stored.
    pub fn marker(&self, service: &str) -> Key {
        keys::marker(self.claimed, TENANT, service, &self.key)
    }

    fn marker_value(&self, now: Timestamp) -> Vec<u8> {
        let mut value = vec![1];
        value.extend(now.as_nanos().to_be_bytes());
        value.extend(self.body_sha256);
        value
    }
}

/// Reads a marker's value: when it was written, and the hash of the body.
pub fn read_marker(value: &[u8]) -> Option<(Timestamp, [u8; 32])> {
    let (1, rest) = value
        .split_first()
        .map(|(version, rest)| (*version, rest))?
    else {
        return None;
    };
    let (at, hash) = rest.split_first_chunk::<8>()?;
    Some((
        Timestamp::from_nanos(u64::from_be_bytes(*at)),
        hash.try_into().ok()?,
    ))
}

/// A window, ready to be stored.
#[derive(Debug)]
pub struct Window {
    /// What it is of.
    pub series: Series,
    /// The hour it counts for: the one that it begins in.
    pub hour: Hour,
    /// Its samples, summed by stack and entry point.
    pub row: Row,
}

impl Window {
    /// Sums a profile by stack and entry point. Samples without an entry point get
    /// `default_entry`.
    ///
    /// # Errors
    /// `too_many_entries`, `bad_entry`.
    ///
    /// # Panics
    /// Never: a valid profile stays valid.
    pub fn new(
        service: &str,
        default_entry: Option<&str>,
        profile: &Profile,
        span: Span,
    ) -> Result<Self, ApiError> {
        let default_entry = default_entry.unwrap_or(labels::NO_ENTRY);
        let stored: Tallies = profile
            .label_values(labels::ENTRY, default_entry)
            .into_iter()
            .map(|(entry, tally)| (entry.to_owned(), tally))
            .collect();
        check_entries(&stored)?;
        let mut merger = Merger::new();
        merger
            .add_part(
                profile,
                &Part::default().only_label(labels::ENTRY, default_entry),
            )
            .expect("an empty sum takes any value types");
        let types = series::type_key(profile.value_types());
        Ok(Self {
            series: Series {
                tenant: TENANT.to_owned(),
                service: service.to_owned(),
                types,
            },
            hour: Hour::of(span.from),
            row: Row {
                from_ns: span.from.as_nanos(),
                until_ns: span.until.as_nanos(),
                stored,
                profile: merger.finish(),
            },
        })
    }

    /// The write that stores it: the marker, the delta and the catalogue, all or nothing.
    /// `random_id` names the delta of a sender that has no key.
    ///
    /// # Errors
    /// `too_many_frames` where no answer could hold it.
    pub fn batch(
        &self,
        identity: Option<&Identity>,
        random_id: &str,
        now: Timestamp,
    ) -> Result<Batch, ApiError> {
        let value = self.row.encode();
        if !Row::is_readable(&value) {
            return Err(ApiError::unreadable());
        }
        let mut batch = Batch::new();
        if let Some(identity) = identity {
            batch.put_if_absent(
                identity.marker(&self.series.service),
                identity.marker_value(now),
            );
        }
        batch.put_if_absent(keys::delta(&self.series, self.hour, random_id), value);
        let day: Day = self.hour.day();
        if self.row.stored.is_empty() {
            batch.put(
                keys::catalogue(&self.series, day, labels::NO_ENTRY),
                vec![1],
            );
        }
        for entry in self.row.stored.keys() {
            batch.put(keys::catalogue(&self.series, day, entry), vec![1]);
        }
        Ok(batch)
    }

    /// What is stored of it.
    pub fn stored(&self) -> Tally {
        self.row.stored.values().copied().sum()
    }
}

fn check_entries(stored: &Tallies) -> Result<(), ApiError> {
    if stored.len() > limits::WINDOW_ENTRIES_MAX {
        let detail = format!(
            "{} entry points in one window, the limit is {}; \
             an entry point is a route template, not a URL",
            stored.len(),
            limits::WINDOW_ENTRIES_MAX
        );
        return Err(ApiError::new(Code::TooManyEntries, detail));
    }
    for entry in stored.keys() {
        check_word(entry).map_err(|wrong| {
            let detail = format!("the label `entry` of a sample {wrong}");
            ApiError::new(Code::BadEntry, detail)
        })?;
    }
    Ok(())
}

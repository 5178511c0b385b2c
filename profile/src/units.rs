//! Quantities as types, so that a period is never added to an instant.
//!
//! All arithmetic saturates: sums over hostile input must neither panic nor wrap.

use std::iter::Sum;
use std::num::NonZeroU64;
use std::ops::{Add, AddAssign};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where sums stop: what the pprof format, whose numbers are signed, can still say.
pub(crate) const SUM_MAX: u64 = u64::MAX >> 1;

/// A length of time in nanoseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(u64);

impl Nanos {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A length of `nanos` nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A length of `millis` milliseconds, saturating.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// The length in nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The difference, or zero where `other` is longer.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl From<Duration> for Nanos {
    /// Saturates at about 584 years.
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanos> for Duration {
    fn from(nanos: Nanos) -> Self {
        Self::from_nanos(nanos.0)
    }
}

impl Add for Nanos {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Nanos {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::ZERO, Add::add)
    }
}

/// An instant: UTC nanoseconds since the UNIX epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The instant `nanos` nanoseconds after the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `secs` seconds after the epoch, saturating in the year 2554.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// The time from `earlier` to here, or zero where `earlier` is later.
    pub const fn since(self, earlier: Self) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Nanos> for Timestamp {
    type Output = Self;
    fn add(self, length: Nanos) -> Self {
        Self(self.0.saturating_add(length.0))
    }
}

/// The nominal distance between two samples of a thread, in nanoseconds; never zero.
///
/// It is the distance that was asked for. What really passed is in the event counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Period(NonZeroU64);

impl Period {
    /// A period of `nanos` nanoseconds; `None` for zero.
    pub const fn from_nanos(nanos: u64) -> Option<Self> {
        match NonZeroU64::new(nanos) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// A period of this length; `None` for zero.
    pub fn from_duration(duration: Duration) -> Option<Self> {
        Self::from_nanos(Nanos::from(duration).as_nanos())
    }

    /// The length in nanoseconds, never zero.
    pub const fn as_nanos(self) -> u64 {
        self.0.get()
    }

    /// The time that `events` periods stand for, saturating.
    pub const fn times(self, events: EventCount) -> Nanos {
        Nanos(self.0.get().saturating_mul(events.0))
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Self {
        Self::from_nanos(period.as_nanos())
    }
}

/// How many periods a sample stands for: one, plus the timer's overruns.
///
/// Zero is legal: it marks time that was measured rather than sampled, such as a gap.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EventCount(u64);

impl EventCount {
    /// Measured, not sampled.
    pub const ZERO: Self = Self(0);
    /// One period.
    pub const ONE: Self = Self(1);

    /// A count of `events` periods.
    pub const fn new(events: u64) -> Self {
        Self(events)
    }

    /// The count as a number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl Add for EventCount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for EventCount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for EventCount {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::ZERO, Add::add)
    }
}

/// A table index as it is stored: tables are bounded far below 2^32 entries.
pub(crate) fn index(place: usize) -> u32 {
    u32::try_from(place).expect("a table of a profile has fewer than 2^32 entries")
}

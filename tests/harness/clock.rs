//! The time of day, for tests that send windows of samples.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds of an hour.
pub const HOUR: u64 = 3_600;

/// Seconds of a day.
pub const DAY: u64 = 24 * HOUR;

/// Whole seconds since the epoch, UTC.
///
/// # Panics
/// When the machine's clock stands before 1970.
#[expect(clippy::disallowed_methods, reason = "the one clock of the tests")]
#[must_use]
pub fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970")
        .as_secs()
}

/// The UTC date of a time, as `YYYY-MM-DD`.
///
/// # Panics
/// When the time is past the year 9999.
#[must_use]
pub fn date(unix_seconds: u64) -> String {
    i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .expect("the time is before the year 10000")
        .strftime("%Y-%m-%d")
        .to_string()
}

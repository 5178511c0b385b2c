//! Hours and days of UTC, and how people write them.

use std::fmt;

use flashlamp_profile::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

const NS_PER_SECOND: u64 = 1_000_000_000;
const NS_PER_HOUR: u64 = 3_600 * NS_PER_SECOND;
const HOURS_PER_DAY: u64 = 24;

/// The last instant that can be written as a date: the end of the year 2500. Nanoseconds since
/// the epoch reach 2554, and what lies behind is a mistake in a sender's unit.
const NS_MAX: u64 = 16_756_761_600 * NS_PER_SECOND;

/// One UTC hour, counted from the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(u64);

impl Hour {
    /// Behind every hour that has a name: where requests that name no time are put.
    pub const UNNAMED: Self = Self(u64::MAX);

    /// The hour with this number since the epoch.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The hour that an instant lies in.
    pub fn of(instant: Timestamp) -> Self {
        Self(instant.as_nanos() / NS_PER_HOUR)
    }

    /// Hours since the epoch.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// When it begins.
    pub fn start(self) -> Timestamp {
        Timestamp::from_nanos(self.0.saturating_mul(NS_PER_HOUR))
    }

    /// The hour `count` hours later.
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// The hour `count` hours earlier, or the first there is.
    pub const fn minus(self, count: u64) -> Self {
        Self(self.0.saturating_sub(count))
    }

    /// The day that it is part of.
    pub const fn day(self) -> Day {
        Day(self.0 / HOURS_PER_DAY)
    }

    /// Reads `2026-11-22T04`.
    pub fn parse(text: &str) -> Option<Self> {
        let (day, hour) = text.split_once('T')?;
        let day = Day::parse(day)?;
        let digits = hour.len() == 2 && hour.bytes().all(|byte| byte.is_ascii_digit());
        let hour: u64 = digits.then(|| hour.parse().ok())??;
        (hour < HOURS_PER_DAY).then(|| day.first_hour().plus(hour))
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{:02}", self.day(), self.0 % HOURS_PER_DAY)
    }
}

/// One UTC day, counted from the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u64);

impl Day {
    /// The day with this number since the epoch.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The day that an instant lies in.
    pub fn of(instant: Timestamp) -> Self {
        Hour::of(instant).day()
    }

    /// Days since the epoch.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Its hour from 00:00.
    pub const fn first_hour(self) -> Hour {
        Hour(self.0.saturating_mul(HOURS_PER_DAY))
    }

    /// When it begins.
    pub fn start(self) -> Timestamp {
        self.first_hour().start()
    }

    /// The day `count` days later.
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// The day `count` days earlier, or the first there is.
    pub const fn minus(self, count: u64) -> Self {
        Self(self.0.saturating_sub(count))
    }

    /// Reads `2026-11-22`. A day that no calendar has, or before 1970, is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let shape = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        let date: civil::Date = shape.then(|| text.parse().ok())??;
        let start = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let seconds = u64::try_from(start.as_second()).ok()?;
        instant_of(seconds.checked_mul(NS_PER_SECOND)?).map(Self::of)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = rfc3339(self.start());
        f.write_str(text.get(..10).unwrap_or(&text))
    }
}

/// Writes an instant as RFC 3339 in UTC, with as many digits of the second as it has.
pub fn rfc3339(instant: Timestamp) -> String {
    let ns = i128::from(instant.as_nanos());
    jiff::Timestamp::from_nanosecond(ns).map_or_else(|_| format!("{ns}ns"), |time| time.to_string())
}

/// Reads UNIX seconds with or without a fraction, or RFC 3339. The fraction is read digit by
/// digit: no float stands between a sender's nanoseconds and ours.
pub fn parse_instant(text: &str) -> Option<Timestamp> {
    if text.contains('T') || text.contains('t') {
        let time: jiff::Timestamp = text.parse().ok()?;
        return instant_of(u64::try_from(time.as_nanosecond()).ok()?);
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !digits(seconds) || !digits(fraction) || fraction.len() > 18 {
        return None;
    }
    let ns_text: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let ns: u64 = ns_text.parse().ok()?;
    let seconds: u64 = seconds.parse().ok()?;
    instant_of(seconds.checked_mul(NS_PER_SECOND)?.checked_add(ns)?)
}

fn instant_of(ns: u64) -> Option<Timestamp> {
    (ns < NS_MAX).then(|| Timestamp::from_nanos(ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_to_the_nanosecond() {
        let check = |text: &str, ns: Option<u64>| {
            assert_eq!(parse_instant(text).map(Timestamp::as_nanos), ns, "{text}");
        };
        check("0", Some(0));
        check("1763784000", Some(1_763_784_000_000_000_000));
        check("1763784000.000000001", Some(1_763_784_000_000_000_001));
        check("1763784000.5", Some(1_763_784_000_500_000_000));
        check("1763784000.1234567899", Some(1_763_784_000_123_456_789));
        check("2025-11-22T04:00:00Z", Some(1_763_784_000_000_000_000));
        check(
            "2025-11-22T05:00:00.25+01:00",
            Some(1_763_784_000_250_000_000),
        );
        for bad in [
            "",
            ".",
            "-1",
            "+1",
            "1e9",
            "nan",
            "inf",
            "1.2.3",
            "99999999999999999999",
        ] {
            check(bad, None);
        }
        check("1763784000000000000", None);
        check("2025-13-01T00:00:00Z", None);
        check("1969-12-31T23:59:59Z", None);
    }

    #[test]
    fn days_and_hours_are_those_of_the_calendar() {
        let day = |text: &str| Day::parse(text).map(|day| day.to_string());
        assert_eq!(day("2026-11-22").as_deref(), Some("2026-11-22"));
        assert_eq!(day("2024-02-29").as_deref(), Some("2024-02-29"));
        for bad in [
            "2026-02-30",
            "2025-02-29",
            "2026-13-01",
            "1969-12-31",
            "9999-01-01",
            "today",
            "2026-1-1",
            "2026-11-22T",
            "+026-11-22",
            "٢٠٢٦-11-22",
        ] {
            assert_eq!(day(bad), None, "{bad}");
        }
        let hour = |text: &str| Hour::parse(text).map(|hour| hour.to_string());
        assert_eq!(hour("2026-11-22T23").as_deref(), Some("2026-11-22T23"));
        for bad in [
            "2026-11-22T24",
            "2026-11-22T4",
            "2026-11-22",
            "2026-02-30T01",
            "2026-11-22T+4",
        ] {
            assert_eq!(hour(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_hour_is_in_its_day() {
        let hour = Hour::parse("2026-11-22T23").unwrap();
        assert_eq!(hour.day(), Day::parse("2026-11-22").unwrap());
        assert_eq!(hour.plus(1), hour.day().plus(1).first_hour());
        assert_eq!(Hour::of(hour.start()), hour);
    }
}

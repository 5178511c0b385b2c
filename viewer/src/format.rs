//! Numbers and times as a person reads them, each with its unit.

use flashlamp_profile::{Nanos, Timestamp};

/// A count with thousands separators: `1,234,567`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun: `1 sample`, `2 samples`.
#[must_use]
pub fn counted(value: u64, noun: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(value))
}

/// A duration in the unit that fits it: `950 ns`, `12.3 ms`, `1.25 s`, `3 min 20 s`, `2 h 5 min`.
#[must_use]
pub fn duration(value: Nanos) -> String {
    let ns = value.as_nanos();
    let in_unit = |unit_ns: u64, unit: &str| {
        let value = ns as f64 / unit_ns as f64;
        let decimals = if value < 10.0 {
            2
        } else {
            usize::from(value < 100.0)
        };
        let text = format!("{value:.decimals$}");
        let text = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        };
        format!("{text} {unit}")
    };
    let seconds = ns.saturating_add(500_000_000) / 1_000_000_000;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..999_500 => in_unit(1_000, "µs"),
        999_500..999_500_000 => in_unit(1_000_000, "ms"),
        999_500_000..60_000_000_000 => in_unit(1_000_000_000, "s"),
        60_000_000_000..3_600_000_000_000 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", count(seconds / 3600), seconds % 3600 / 60),
    }
}

/// A duration in milliseconds whatever its size, so that values compare: `0.042 ms`,
/// `1,234.5 ms`.
#[must_use]
pub fn milliseconds(value: Nanos) -> String {
    let ns = value.as_nanos();
    let decimals: usize = match ns {
        0 => 0,
        1..100_000 => 3,
        100_000..100_000_000 => 2,
        _ => 1,
    };
    let text = format!("{:.decimals$}", (ns % 1_000_000_000) as f64 / 1e6);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    // Rounding may carry into the next whole second.
    let whole = ns / 1_000_000_000 * 1000 + whole.parse::<u64>().unwrap_or(0);
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction} ms", count(whole))
}

/// `part` of `whole` in percent with two decimals: `12.34%`; `–` where `whole` is zero.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    if part == whole {
        return "100%".to_owned();
    }
    format!("{:.2}%", part as f64 / whole as f64 * 100.0)
}

/// A share from 0 to 1 in percent with one decimal: `12.3%`.
#[must_use]
pub fn share(share: f64) -> String {
    format!("{:.1}%", share.clamp(0.0, 1.0) * 100.0)
}

/// A UTC time to the millisecond: `2026-11-22 10:15:30.123 UTC`.
#[must_use]
pub fn utc(time: Timestamp) -> String {
    let (date, seconds, ms) = split(time);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{date} {hour:02}:{minute:02}:{second:02}.{ms:03} UTC")
}

/// The same for a machine: `2026-11-22T10:15:30.123Z`, the value of `<time datetime>`.
#[must_use]
pub fn rfc3339(time: Timestamp) -> String {
    let (date, seconds, ms) = split(time);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Date, second of the day, and millisecond of the second.
fn split(time: Timestamp) -> (String, u64, u64) {
    let ms = time.as_nanos() / 1_000_000;
    let seconds = ms / 1000;
    (date(seconds / 86_400), seconds % 86_400, ms % 1000)
}

/// The date of a day since 1970-01-01, as `YYYY-MM-DD`.
///
/// After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`: years
/// begin in March, so that the leap day is the last of its year.
fn date(days: u64) -> String {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_separators() {
        let check = |value, expected: &str| assert_eq!(count(value), expected);
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(1_234_567, "1,234,567");
        check(u64::MAX, "18,446,744,073,709,551,615");
        assert_eq!(counted(1, "sample"), "1 sample");
        assert_eq!(counted(1_000, "sample"), "1,000 samples");
    }

    #[test]
    fn durations_fit_their_unit() {
        let check = |ns, expected: &str| assert_eq!(duration(Nanos::from_nanos(ns)), expected);
        check(0, "0 ns");
        check(999, "999 ns");
        check(1_500, "1.5 µs");
        check(12_345_678, "12.3 ms");
        check(999_999_999, "1 s");
        check(1_250_000_000, "1.25 s");
        check(120_000_000_000, "2 min 0 s");
        check(7_500_000_000_000, "2 h 5 min");
        check(u64::MAX, "5,124,095 h 34 min");
    }

    #[test]
    fn milliseconds_stay_milliseconds() {
        let check = |ns, expected: &str| assert_eq!(milliseconds(Nanos::from_nanos(ns)), expected);
        check(0, "0 ms");
        check(42_000, "0.042 ms");
        check(1_230_000, "1.23 ms");
        check(100_000_000, "100.0 ms");
        check(1_234_500_000, "1,234.5 ms");
        check(1_999_999_999, "2,000.0 ms");
    }

    #[test]
    fn shares_of_nothing_are_a_dash() {
        assert_eq!(percent(0, 0), "–");
        assert_eq!(percent(1, 3), "33.33%");
        assert_eq!(percent(3, 3), "100%");
        assert_eq!(share(0.1234), "12.3%");
        assert_eq!(share(f64::INFINITY), "100.0%");
    }

    #[test]
    fn times_are_utc_dates() {
        let check = |seconds, expected: &str| {
            assert_eq!(utc(Timestamp::from_secs(seconds)), expected);
        };
        check(0, "1970-01-01 00:00:00.000 UTC");
        check(951_827_696, "2000-02-29 12:34:56.000 UTC");
        check(1_709_164_800, "2024-02-29 00:00:00.000 UTC");
        check(4_107_542_400, "2100-03-01 00:00:00.000 UTC");
        let time = Timestamp::from_nanos(1_795_342_530_123_456_789);
        assert_eq!(rfc3339(time), "2026-11-22T10:15:30.123Z");
    }
}

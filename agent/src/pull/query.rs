//! What is asked for, from the query of the address.

use std::time::Duration;

use super::answer::Refusal;
use crate::Clock;
use crate::config::parse_duration;
use crate::limits;

/// A profile that can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) clock: Clock,
    pub(super) length: Duration,
    pub(super) period: Duration,
}

/// Reads `seconds=N`, `clock=cpu|wall` and `period=10ms`, in any order; `clock` is meant where the
/// query says none.
///
/// Of several values the first counts, as in Go: Parca repeats `seconds` where a job has
/// parameters of its own. Other names are somebody else's and ignored.
///
/// # Errors
/// A value that makes no sense is refused, not replaced: a profile of other seconds than those
/// asked for would be taken for what it is not.
pub(super) fn parse(clock: Clock, query: &str) -> Result<Asked, Refusal> {
    let seconds = match value(query, "seconds") {
        None => limits::PULL_SECONDS_DEFAULT,
        Some(text) => whole_number(text)
            .filter(|seconds| (1..=limits::PULL_SECONDS_MAX).contains(seconds))
            .ok_or(Refusal::BadSeconds)?,
    };
    let clock = match value(query, "clock") {
        None => clock,
        Some("cpu") => Clock::Cpu,
        Some("wall") => Clock::Wall,
        Some(_) => return Err(Refusal::BadClock),
    };
    let period = match value(query, "period") {
        None => limits::PULL_PERIOD_DEFAULT,
        Some(text) => parse_duration(text)
            .filter(|period| (limits::PULL_PERIOD_MIN..=limits::PULL_PERIOD_MAX).contains(period))
            .ok_or(Refusal::BadPeriod)?,
    };
    Ok(Asked {
        clock,
        length: Duration::from_secs(seconds),
        period,
    })
}

/// The first value of this name.
fn value<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let mut pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(known, _)| *known == name).map(|(_, it)| it)
}

/// Digits alone: `parse` also takes a sign.
fn whole_number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_read_as_scrapers_write_it() {
        let asked = |clock, seconds, period_ms| {
            Ok(Asked {
                clock,
                length: Duration::from_secs(seconds),
                period: Duration::from_millis(period_ms),
            })
        };
        for (query, expected) in [
            ("", asked(Clock::Cpu, 30, 10)),
            ("seconds=14", asked(Clock::Cpu, 14, 10)),
            ("seconds=10&seconds=20", asked(Clock::Cpu, 10, 10)),
            ("clock=wall&seconds=300", asked(Clock::Wall, 300, 10)),
            ("period=1ms&clock=cpu", asked(Clock::Cpu, 30, 1)),
            ("debug=1&x=&y", asked(Clock::Cpu, 30, 10)),
            ("seconds=0", Err(Refusal::BadSeconds)),
            ("seconds=301", Err(Refusal::BadSeconds)),
            ("seconds=-1", Err(Refusal::BadSeconds)),
            ("seconds=%2B1", Err(Refusal::BadSeconds)),
            ("seconds=+1", Err(Refusal::BadSeconds)),
            ("seconds=1.5", Err(Refusal::BadSeconds)),
            ("seconds=", Err(Refusal::BadSeconds)),
            ("seconds", Err(Refusal::BadSeconds)),
            ("seconds=99999999999999999999", Err(Refusal::BadSeconds)),
            ("clock=CPU", Err(Refusal::BadClock)),
            ("clock=", Err(Refusal::BadClock)),
            ("period=10", Err(Refusal::BadPeriod)),
            ("period=999us", Err(Refusal::BadPeriod)),
            ("period=1001ms", Err(Refusal::BadPeriod)),
        ] {
            assert_eq!(parse(Clock::Cpu, query), expected, "{query}");
        }
        let wall = parse(Clock::Wall, "").map(|asked| asked.clock);
        assert_eq!(wall, Ok(Clock::Wall));
    }
}

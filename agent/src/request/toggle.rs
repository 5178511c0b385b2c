//! The toggle: `X-Flashlamp: profile; period=1ms; name=checkout of a big cart`.

use std::time::Duration;

use crate::config::parse_duration;
use crate::entries::clean;
use crate::limits;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Toggle {
    pub(super) period: Duration,
    pub(super) name: Option<String>,
    /// The first thing in it that was not taken as it stands.
    pub(super) slip: Option<Slip>,
}

/// What of a toggle was not taken as it stands, as the response's header says. The texts are
/// fixed: nothing that was sent goes back into a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slip {
    PeriodUnreadable,
    PeriodOutOfRange,
    NameEmpty,
    ParameterUnknown,
}

impl Slip {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::PeriodUnreadable => "ignored; the period is no number with ns, us, ms or s",
            Self::PeriodOutOfRange => "changed; the period was brought between 50us and 1s",
            Self::NameEmpty => "ignored; the name is empty",
            Self::ParameterUnknown => "ignored; a parameter is neither period nor name",
        }
    }
}

/// Reads the header's value; `None` where it does not ask for a profile. What it says beside
/// that and makes no sense is passed over and noted: a typing error must not cost the profile.
pub(super) fn parse(value: &str) -> Option<Toggle> {
    let mut parts = value.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("profile") {
        return None;
    }
    let mut toggle = Toggle {
        period: Duration::from_millis(1),
        name: None,
        slip: None,
    };
    for part in parts.filter(|part| !part.is_empty()) {
        if let Err(slip) = toggle.take(part) {
            toggle.slip = toggle.slip.or(Some(slip));
        }
    }
    Some(toggle)
}

impl Toggle {
    fn take(&mut self, part: &str) -> Result<(), Slip> {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        match key.as_str() {
            "period" => {
                let asked = parse_duration(value).ok_or(Slip::PeriodUnreadable)?;
                self.period = asked.clamp(limits::PERIOD_MIN, limits::REQUEST_PERIOD_MAX);
                if self.period != asked {
                    return Err(Slip::PeriodOutOfRange);
                }
            }
            "name" if value.is_empty() => return Err(Slip::NameEmpty),
            "name" => self.name = Some(clean(value)),
            _ => return Err(Slip::ParameterUnknown),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<(u64, Option<&str>, Option<Slip>)>) {
        let found = parse(value).map(|toggle| {
            let period_us = u64::try_from(toggle.period.as_micros()).unwrap();
            (period_us, toggle.name, toggle.slip)
        });
        let expected = expected.map(|(us, name, slip)| (us, name.map(str::to_owned), slip));
        assert_eq!(found, expected, "{value}");
    }

    #[test]
    fn grammar_is_read_leniently() {
        check("profile", Some((1000, None, None)));
        check(" Profile ;", Some((1000, None, None)));
        check("profile; period=5ms", Some((5000, None, None)));
        check(
            "profile;period = 500us ; name= big cart ",
            Some((500, Some("big cart"), None)),
        );
        check("profile; name=a\tb", Some((1000, Some("a b"), None)));
        check("profile; period=50us", Some((50, None, None)));
        check("profile; period=1s", Some((1_000_000, None, None)));
        check("", None);
        check("no", None);
        check("profiles", None);
        check("; profile", None);
    }

    #[test]
    fn first_slip_is_noted_and_costs_nothing_else() {
        let check = |value, us, name, slip| check(value, Some((us, name, Some(slip))));
        check("profile; period=soon", 1000, None, Slip::PeriodUnreadable);
        check("profile; period", 1000, None, Slip::PeriodUnreadable);
        check("profile; period=1ns", 50, None, Slip::PeriodOutOfRange);
        check(
            "profile; period=1000s",
            1_000_000,
            None,
            Slip::PeriodOutOfRange,
        );
        check("profile; name=", 1000, None, Slip::NameEmpty);
        check("profile; x", 1000, None, Slip::ParameterUnknown);
        check(
            "profile; clock=wall; period=; name=cart",
            1000,
            Some("cart"),
            Slip::ParameterUnknown,
        );
    }

    #[test]
    fn bounds_that_the_text_names_are_those_that_hold() {
        let text = Slip::PeriodOutOfRange.text();
        let bounds = format!(
            "between {:?} and {:?}",
            limits::PERIOD_MIN,
            limits::REQUEST_PERIOD_MAX
        );
        assert!(text.ends_with(&bounds.replace('µ', "u")), "{bounds}");
    }
}

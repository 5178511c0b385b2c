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
}

/// Reads the header's value; `None` where it does not ask for a profile. Unknown parameters and
/// values that make no sense are ignored: a typing error must not cost the profile.
pub(super) fn parse(value: &str) -> Option<Toggle> {
    let mut parts = value.split(';');
    if !parts.next()?.trim().eq_ignore_ascii_case("profile") {
        return None;
    }
    let mut toggle = Toggle {
        period: Duration::from_millis(1),
        name: None,
    };
    for part in parts {
        let Some((key, value)) = part.split_once('=') else {
            continue;
        };
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "period" => {
                if let Some(period) = parse_duration(value) {
                    let longest = Duration::from_secs(1);
                    toggle.period = period.clamp(limits::PERIOD_MIN, longest);
                }
            }
            "name" if !value.is_empty() => toggle.name = Some(clean(value)),
            _ => {}
        }
    }
    Some(toggle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<(u64, Option<&str>)>) {
        let found = parse(value).map(|toggle| {
            (
                u64::try_from(toggle.period.as_micros()).unwrap(),
                toggle.name,
            )
        });
        assert_eq!(
            found,
            expected.map(|(us, name)| (us, name.map(str::to_owned))),
            "{value}"
        );
    }

    #[test]
    fn grammar_is_read_leniently() {
        check("profile", Some((1000, None)));
        check(" Profile ", Some((1000, None)));
        check("profile; period=5ms", Some((5000, None)));
        check(
            "profile;period = 500us ; name= big cart ",
            Some((500, Some("big cart"))),
        );
        check("profile; period=soon; clock=wall; x", Some((1000, None)));
        check("profile; period=1ns", Some((50, None)));
        check("profile; period=1000s", Some((1_000_000, None)));
        check("profile; name=", Some((1000, None)));
        check("profile; name=a\tb", Some((1000, Some("a b"))));
        check("", None);
        check("no", None);
        check("profiles", None);
        check("; profile", None);
    }
}

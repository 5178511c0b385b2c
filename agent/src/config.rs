//! What an agent is to do, from its builder and from `FLASHLAMP_*` variables.

use std::time::Duration;

use flashlamp_profile::Period;

use crate::agent::{Agent, program_name};
use crate::error::StartError;
use crate::export::checked_url;
use crate::limits;
use crate::profiler::{Clock, checked_period};

/// How an [`Agent`] is to run. What is not said here comes from the environment, then from the
/// default:
///
/// | method | variable | default |
/// |---|---|---|
/// | [`service`](Self::service) | `FLASHLAMP_SERVICE` | the program's file name |
/// | [`collector`](Self::collector) | `FLASHLAMP_COLLECTOR` | none: an error |
/// | [`public_url`](Self::public_url) | `FLASHLAMP_PUBLIC_URL` | the collector's URL |
/// | [`clock`](Self::clock) | `FLASHLAMP_CLOCK` (`cpu` or `wall`) | CPU |
/// | [`period`](Self::period) | `FLASHLAMP_PERIOD` (`10ms`, `500us`, `1s`) | 10 ms |
/// | [`allow_unsigned_toggles`](Self::allow_unsigned_toggles) | `FLASHLAMP_ALLOW_UNSIGNED_TOGGLES` (`1` or `0`) | no |
/// | [`profiled_requests_max`](Self::profiled_requests_max) | | 8 |
#[derive(Clone, Debug, Default)]
#[must_use = "call `start`"]
pub struct AgentBuilder {
    service: Option<String>,
    collector: Option<String>,
    public_url: Option<String>,
    clock: Option<Clock>,
    period: Option<Duration>,
    unsigned_toggles: bool,
    profiled_requests_max: Option<usize>,
}

/// A checked configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) service: String,
    pub(crate) collector: String,
    pub(crate) public_url: String,
    pub(crate) clock: Clock,
    pub(crate) period: Period,
    pub(crate) unsigned_toggles: bool,
    pub(crate) profiled_requests_max: usize,
}

impl AgentBuilder {
    /// The service's name, as it stands on the collector's pages: at most 100 bytes.
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// The collector's URL, such as `http://127.0.0.1:4140`.
    pub fn collector(mut self, url: impl Into<String>) -> Self {
        self.collector = Some(url.into());
        self
    }

    /// The collector's URL as people reach it, for the links in response headers; where it is
    /// not the one that the agent uses.
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// Which time continuous samples stand for. With [`Clock::Wall`] each says both, so that the
    /// collector has a graph of either kind: where threads ran, and where they were, running or
    /// waiting. That costs a little more (see [`Clock::Wall`]).
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The distance of continuous samples, on that clock of each thread.
    pub fn period(mut self, period: Duration) -> Self {
        self.period = Some(period);
        self
    }

    /// Lets anybody who can send a header have a request profiled. Profiles show function names
    /// and cost time: only for development, or behind something that removes the header.
    pub fn allow_unsigned_toggles(mut self) -> Self {
        self.unsigned_toggles = true;
        self
    }

    /// How many requests may be profiled at the same time; more are served, not profiled.
    pub fn profiled_requests_max(mut self, requests: usize) -> Self {
        self.profiled_requests_max = Some(requests);
        self
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// As [`StartError`] says. No collector needs to run yet: delivery is tried again.
    pub fn start(self) -> Result<Agent, StartError> {
        Agent::start(self.checked(|name| std::env::var(name).ok())?)
    }

    /// The configuration, with `variable` standing for the environment.
    fn checked(
        self,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Config, StartError> {
        let collector = self.collector.or_else(|| variable("FLASHLAMP_COLLECTOR"));
        let collector = checked_url("the collector", &collector.ok_or(StartError::NoCollector)?)?;
        let public_url = match self.public_url.or_else(|| variable("FLASHLAMP_PUBLIC_URL")) {
            Some(url) => checked_url("the public URL", &url)?,
            None => collector.clone(),
        };
        let service = self.service.or_else(|| variable("FLASHLAMP_SERVICE"));
        let service = service
            .or_else(program_name)
            .unwrap_or_else(|| "program".to_owned());
        if service.is_empty() || service.len() > 100 || service.chars().any(char::is_control) {
            return Err(StartError::BadService { name: service });
        }
        let clock = match self.clock {
            Some(clock) => clock,
            None => variable("FLASHLAMP_CLOCK").map_or(Ok(Clock::Cpu), parse_clock)?,
        };
        let period = match self.period {
            Some(period) => period,
            None => {
                variable("FLASHLAMP_PERIOD").map_or(Ok(Duration::from_millis(10)), |value| {
                    parse_duration(&value).ok_or(StartError::BadVariable {
                        name: "FLASHLAMP_PERIOD",
                        value,
                        expected: "a number and a unit, such as 10ms, 500us or 1s",
                    })
                })?
            }
        };
        let unsigned_toggles = self.unsigned_toggles
            || variable("FLASHLAMP_ALLOW_UNSIGNED_TOGGLES").map_or(Ok(false), parse_switch)?;
        Ok(Config {
            service,
            collector,
            public_url,
            clock,
            period: checked_period(period)?,
            unsigned_toggles,
            profiled_requests_max: self
                .profiled_requests_max
                .unwrap_or(limits::PROFILED_REQUESTS_MAX),
        })
    }
}

fn parse_switch(value: String) -> Result<bool, StartError> {
    match value.as_str() {
        "1" | "true" | "yes" => Ok(true),
        "" | "0" | "false" | "no" => Ok(false),
        _ => Err(StartError::BadVariable {
            name: "FLASHLAMP_ALLOW_UNSIGNED_TOGGLES",
            value,
            expected: "1 or 0",
        }),
    }
}

fn parse_clock(value: String) -> Result<Clock, StartError> {
    match value.as_str() {
        "cpu" => Ok(Clock::Cpu),
        "wall" => Ok(Clock::Wall),
        _ => Err(StartError::BadVariable {
            name: "FLASHLAMP_CLOCK",
            value,
            expected: "cpu or wall",
        }),
    }
}

/// A whole number and a unit: `s`, `ms`, `us` or `ns`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let number: u64 = number.parse().ok()?;
    match unit.trim_start() {
        "s" => Some(Duration::from_secs(number)),
        "ms" => Some(Duration::from_millis(number)),
        "us" | "µs" => Some(Duration::from_micros(number)),
        "ns" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(builder: AgentBuilder, variables: &[(&str, &str)]) -> Result<Config, String> {
        let lookup = |name: &'static str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        builder.checked(lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, expected) in [
            ("10ms", Some(Duration::from_millis(10))),
            ("500us", Some(Duration::from_micros(500))),
            (" 1 s ", Some(Duration::from_secs(1))),
            ("7ns", Some(Duration::from_nanos(7))),
            ("10", None),
            ("ms", None),
            ("-1ms", None),
            ("1h", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }

    #[test]
    fn builder_goes_before_the_environment() {
        let environment = [
            ("FLASHLAMP_COLLECTOR", "http://10.0.0.1:4140/"),
            ("FLASHLAMP_SERVICE", "from-environment"),
            ("FLASHLAMP_CLOCK", "wall"),
            ("FLASHLAMP_PERIOD", "20ms"),
            ("FLASHLAMP_ALLOW_UNSIGNED_TOGGLES", "1"),
        ];
        let config = checked(AgentBuilder::default().service("shop"), &environment).unwrap();
        assert_eq!(config.service, "shop");
        assert_eq!(config.collector, "http://10.0.0.1:4140");
        assert_eq!(config.public_url, config.collector);
        assert_eq!(
            (config.clock, config.period.as_nanos()),
            (Clock::Wall, 20_000_000)
        );
        assert!(config.unsigned_toggles);
    }

    #[test]
    fn wrong_configuration_says_what_is_wrong() {
        let builder = || {
            AgentBuilder::default()
                .service("shop")
                .collector("http://localhost:4140")
        };
        for (result, expected) in [
            (checked(AgentBuilder::default(), &[]), "no collector"),
            (
                checked(builder().collector("localhost:4140"), &[]),
                "does not begin with",
            ),
            (
                checked(builder().collector("ftp://x/"), &[]),
                "does not begin with",
            ),
            (
                checked(builder().collector("http://x/?a=b"), &[]),
                "has a query",
            ),
            (
                checked(builder().collector("not a url"), &[]),
                "is not a URL",
            ),
            (checked(builder().service(""), &[]), "service name"),
            (
                checked(builder().period(Duration::ZERO), &[]),
                "period is zero",
            ),
            (
                checked(builder().period(Duration::from_nanos(1)), &[]),
                "below 50 us",
            ),
            (
                checked(builder(), &[("FLASHLAMP_PERIOD", "soon")]),
                "FLASHLAMP_PERIOD=`soon`",
            ),
            (
                checked(builder(), &[("FLASHLAMP_CLOCK", "both")]),
                "cpu or wall",
            ),
            (
                checked(builder(), &[("FLASHLAMP_ALLOW_UNSIGNED_TOGGLES", "maybe")]),
                "1 or 0",
            ),
        ] {
            let message = result.unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}

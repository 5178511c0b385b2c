//! The addresses that pages link to, in one place.
//!
//! The collector serves these routes and reads these query parameters; both sides use this
//! module, so a link and its handler cannot drift apart. Every part is percent-encoded as RFC
//! 3986 wants it (a space is `%20`, never `+`: the graph's script rewrites the query without
//! knowing `+`). The query parameters `x`, `y` and `s` belong to the graph's script (zoom and
//! search) and are ignored by the server.

use std::fmt::Write as _;

/// The index page.
pub const INDEX: &str = "/";

/// The services as JSON.
pub const SERVICES: &str = "/api/v1/services";

/// A stretch of UTC time that has a page: the day or the hour.
///
/// The text is the one of the route: `2026-11-22` for a day, `2026-11-22T10` for an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket<'a> {
    /// A day, as `YYYY-MM-DD`.
    Day(&'a str),
    /// An hour, as `YYYY-MM-DDTHH`.
    Hour(&'a str),
}

impl<'a> Bucket<'a> {
    /// The day that the bucket is or lies in, as `YYYY-MM-DD`.
    #[must_use]
    pub fn day(self) -> &'a str {
        match self {
            Self::Day(day) => day,
            Self::Hour(hour) => hour.split('T').next().unwrap_or(hour),
        }
    }

    /// The name of the route: `day` or `hour`; also the word for a reader.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Day(_) => "day",
            Self::Hour(_) => "hour",
        }
    }

    /// The text of the route.
    #[must_use]
    pub fn text(self) -> &'a str {
        match self {
            Self::Day(text) | Self::Hour(text) => text,
        }
    }
}

/// Which way the stacks of an aggregate page are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    /// From the root to the leaf: what does the program do?
    #[default]
    Forward,
    /// From the leaf to the root: who calls this?
    Reversed,
}

/// The query of an aggregate page.
///
/// As text: `entry=NAME` (absent: all entry points), `clock=cpu|wall` (absent: the service's
/// default), `direction=reversed` (absent: forward).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AggregateQuery<'a> {
    /// The entry point, or all of them.
    pub entry: Option<&'a str>,
    /// The clock, or the collector's choice.
    pub clock: Option<&'a str>,
    /// Which way the stacks are read.
    pub direction: Direction,
}

/// The page of one request profile: `/profile/ID`.
#[must_use]
pub fn profile(id: &str) -> String {
    format!("/profile/{}", encode(id))
}

/// The speedscope JSON of one request profile: `/fetch/ID`.
#[must_use]
pub fn fetch(id: &str) -> String {
    format!("/fetch/{}", encode(id))
}

/// The page of a day or an hour: `/day/YYYY-MM-DD/SERVICE?…` or `/hour/YYYY-MM-DDTHH/SERVICE?…`.
#[must_use]
pub fn aggregate(bucket: Bucket<'_>, service: &str, query: AggregateQuery<'_>) -> String {
    let mut url = format!(
        "/{}/{}/{}",
        bucket.word(),
        encode(bucket.text()),
        encode(service)
    );
    let direction = match query.direction {
        Direction::Forward => None,
        Direction::Reversed => Some("reversed"),
    };
    let pairs = [
        ("entry", query.entry),
        ("clock", query.clock),
        ("direction", direction),
    ];
    push_query(&mut url, &pairs);
    url
}

/// The bundled speedscope, opened on the time-ordered view of one request profile.
///
/// speedscope splits its fragment at `&` and `=` before it decodes, so both are encoded in the
/// values.
#[must_use]
pub fn speedscope(id: &str, title: &str) -> String {
    format!(
        "/speedscope/index.html#profileURL={}&title={}&view=time-ordered",
        encode(&fetch(id)),
        encode(title)
    )
}

/// Appends the pairs that have a value as a query.
fn push_query(url: &mut String, pairs: &[(&str, Option<&str>)]) {
    let mut separator = '?';
    for (key, value) in pairs {
        if let Some(value) = value {
            let _infallible = write!(url, "{separator}{key}={}", encode(value));
            separator = '&';
        }
    }
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
#[must_use]
pub fn encode(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aggregate_link_holds_every_choice_encoded() {
        let query = AggregateQuery {
            entry: Some("GET /a b?c=d&e"),
            clock: Some("cpu"),
            direction: Direction::Reversed,
        };
        assert_eq!(
            aggregate(Bucket::Hour("2026-11-22T10"), "shop/eu", query),
            "/hour/2026-11-22T10/shop%2Feu?entry=GET%20%2Fa%20b%3Fc%3Dd%26e&clock=cpu&direction=reversed"
        );
    }

    #[test]
    fn the_default_query_is_no_query() {
        let url = aggregate(Bucket::Day("2026-11-22"), "shop", AggregateQuery::default());
        assert_eq!(url, "/day/2026-11-22/shop");
    }

    #[test]
    fn speedscope_values_hold_no_raw_separator() {
        let url = speedscope("abc", "a=b&c#d");
        assert_eq!(
            url,
            "/speedscope/index.html#profileURL=%2Ffetch%2Fabc&title=a%3Db%26c%23d&view=time-ordered"
        );
    }

    #[test]
    fn an_hour_knows_its_day() {
        assert_eq!(Bucket::Hour("2026-11-22T10").day(), "2026-11-22");
    }
}

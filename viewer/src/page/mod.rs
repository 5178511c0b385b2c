//! The pages: one input struct and one function each.
//!
//! The structs hold what the collector already knows; strings are raw (escaping happens here),
//! times are UTC. Every page is a whole HTML document, to be sent as `text/html; charset=utf-8`
//! with [`csp::page`](crate::csp::page) as its `Content-Security-Policy` and
//! `X-Content-Type-Options: nosniff`.

mod aggregate;
mod error;
mod function_table;
mod graph;
mod index;
mod layout;
mod profile;
mod summary;

use flashlamp_profile::{Nanos, Profile, Tally, Timestamp};

pub use self::aggregate::aggregate;
pub use self::error::error;
pub use self::index::index;
pub use self::profile::profile;
pub use crate::link::{Bucket, Direction};

/// What `/` shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct IndexPage<'a> {
    /// The services, in the order to show.
    pub services: &'a [Service<'a>],
    /// How many more services there are that the page does not show.
    pub services_more: usize,
    /// Whether there are services, days or entry points that are neither shown nor counted as more.
    pub is_cut: bool,
    /// The latest request profiles, newest first.
    pub latest: &'a [RequestRow<'a>],
}

/// One service on the index.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its entry points, in the order to show. They link to the newest of `days`.
    pub entries: &'a [Entry<'a>],
    /// How many more entry points there are that the page does not show.
    pub entries_more: usize,
    /// The days that have samples, as `YYYY-MM-DD`, newest first.
    pub days: &'a [&'a str],
}

/// One entry point of a service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry<'a> {
    /// Its name: the route of a web service, or `(none)` for samples outside of any.
    pub name: &'a str,
    /// Its part of the samples, from 0 to 1, where that is known.
    pub share: Option<f64>,
}

/// One request profile in a list.
#[derive(Debug, Clone, Copy)]
pub struct RequestRow<'a> {
    /// The id, as in `/profile/ID`.
    pub id: &'a str,
    /// What was profiled, as `GET /checkout`.
    pub name: &'a str,
    /// The service.
    pub service: &'a str,
    /// When it began.
    pub start: Option<Timestamp>,
    /// How long it took.
    pub duration: Option<Nanos>,
    /// What was stored of it.
    pub stored: Tally,
    /// What was lost of it, for all reasons.
    pub lost: Tally,
}

/// What `/profile/ID` shows. Start, duration, period, samples and losses are the profile's own.
#[derive(Debug, Clone, Copy)]
pub struct ProfilePage<'a> {
    /// The id, as in the route.
    pub id: &'a str,
    /// What was profiled, as `GET /checkout`.
    pub name: &'a str,
    /// The service.
    pub service: &'a str,
    /// The entry point, where one is known.
    pub entry: Option<&'a str>,
    /// The clock: `wall` or `cpu`.
    pub clock: &'a str,
    /// The profile, with its times.
    pub profile: &'a Profile,
    /// Other forms of the same profile.
    pub downloads: &'a [Download<'a>],
}

/// What `/day/…` and `/hour/…` show.
#[derive(Debug, Clone, Copy)]
pub struct AggregatePage<'a> {
    /// The service.
    pub service: &'a str,
    /// The day or the hour.
    pub bucket: Bucket<'a>,
    /// The bucket before this one that is worth a link, in the same form; `None` for no link.
    pub previous: Option<&'a str>,
    /// The bucket after this one that is worth a link, in the same form; `None` for no link.
    pub next: Option<&'a str>,
    /// The hours of this day that have samples, as `YYYY-MM-DDTHH`, oldest first; may be empty.
    pub hours: &'a [&'a str],
    /// The entry points of the service in this bucket, in the order to show.
    pub entries: &'a [Entry<'a>],
    /// The chosen entry point; `None` for all of them.
    pub entry: Option<&'a str>,
    /// The clocks that have samples in this bucket, as `cpu`, `wall`.
    pub clocks: &'a [&'a str],
    /// The clock that `profile` was measured with.
    pub clock: &'a str,
    /// Which way the stacks are read.
    pub direction: Direction,
    /// The merged profile of the bucket, for the chosen entry point and clock. May be empty.
    pub profile: &'a Profile,
    /// Other forms of the same profile.
    pub downloads: &'a [Download<'a>],
}

/// A link to another form of what a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Download<'a> {
    /// The word to show: `folded`, `pprof`, `speedscope`, `SVG`, `JSON`.
    pub label: &'a str,
    /// Where it is, ready for an `href`: already percent-encoded.
    pub href: &'a str,
}

/// What a browser sees of a refused or failed request.
#[derive(Debug, Clone, Copy)]
pub struct ErrorPage<'a> {
    /// The HTTP status, as 404.
    pub status: u16,
    /// The stable code of the API's error, as `unknown_profile`.
    pub code: &'a str,
    /// What is wrong, in a sentence for a person.
    pub detail: &'a str,
}

#[cfg(test)]
mod tests;

//! The page of a day or an hour of a service.

use flashlamp_profile::labels;
use maud::{Markup, html};

use super::function_table::function_table;
use super::graph::graph;
use super::layout::{Document, name};
use super::profile::downloads;
use super::{AggregatePage, Entry, summary};
use crate::link::{self, AggregateQuery, Bucket, Direction};
use crate::svg::Options;
use crate::{RenderError, format, text};

/// How many entry points are listed: those with the largest shares, and the chosen one.
const ENTRIES_MAX: usize = 100;
/// How many clocks are listed.
const CLOCKS_MAX: usize = 16;

/// Renders the merged profile of a day or an hour: where to go from here (other days, hours,
/// entry points, clocks, directions), samples and losses, the flame graph, the functions.
///
/// Widths are the clock's values, so that a share is a share of the clock; event counts where there are
/// none. An empty profile gives a
/// page that says so and keeps the navigation.
///
/// # Errors
///
/// As [`svg::flame_graph`](crate::svg::flame_graph).
pub fn aggregate(page: &AggregatePage<'_>) -> Result<String, RenderError> {
    let mut options = Options::new(page.profile);
    options.direction = page.direction;
    let url = link::aggregate(page.bucket, page.service, page.query());
    let label = format!("Flame graph of this {}", page.bucket.word());
    let graph = graph(page.profile, &options, &label, &when_empty(page))?;
    let main = html! {
        (head(page))
        (tabs(page))
        (summary::counts(page.profile))
        @if page.entry.is_some() && page.profile.lost().samples == 0 {
            p.hint { "Losses are known for the whole service only: see "
                a href=(page.url(|query| query.entry = None)) { "all entry points" } "." }
        }
        (downloads(page.downloads))
        (graph)
        (function_table(page.profile, &options, &url))
    };
    let title = format!("{} {}", page.service, page.bucket.text());
    let trail = html! {
        nav.trail {
            span { (name(page.service)) }
            @match page.bucket {
                Bucket::Day(_) => span { "day" },
                Bucket::Hour(hour) => {
                    a href=(link::aggregate(Bucket::Day(page.bucket.day()), page.service, page.query())) {
                        (name(Bucket::Hour(hour).day()))
                    }
                    span { "hour" }
                },
            }
        }
    };
    Ok(Document {
        title: &title,
        trail,
        main,
    }
    .into_html())
}

impl<'a> AggregatePage<'a> {
    /// The query that leads to this page.
    fn query(&self) -> AggregateQuery<'a> {
        AggregateQuery {
            entry: self.entry,
            clock: Some(self.clock),
            direction: self.direction,
        }
    }

    /// The address of this page with another choice.
    fn url(&self, change: impl FnOnce(&mut AggregateQuery<'a>)) -> String {
        let mut query = self.query();
        change(&mut query);
        link::aggregate(self.bucket, self.service, query)
    }

    /// The same for another day or hour.
    fn url_of(&self, text: &str) -> String {
        let bucket = match self.bucket {
            Bucket::Day(_) => Bucket::Day(text),
            Bucket::Hour(_) => Bucket::Hour(text),
        };
        link::aggregate(bucket, self.service, self.query())
    }
}

fn head(page: &AggregatePage<'_>) -> Markup {
    html! {
        section.head {
            h1 {
                (name(page.service))
                @if let Some(entry) = page.entry { " " span.entry { (name(entry)) } }
            }
            nav.when aria-label="Time" {
                (step(page, page.previous, "‹", "prev"))
                b { (text::visible(&readable(page.bucket))) }
                (step(page, page.next, "›", "next"))
            }
            @if !page.hours.is_empty() { (hours(page)) }
        }
    }
}

/// `2026-11-22`, or `2026-11-22 10:00–10:59`.
fn readable(bucket: Bucket<'_>) -> String {
    match bucket {
        Bucket::Day(day) => day.to_owned(),
        Bucket::Hour(text) => match text.split_once('T') {
            Some((day, hour)) => format!("{day} {hour}:00–{hour}:59"),
            None => text.to_owned(),
        },
    }
}

fn step(page: &AggregatePage<'_>, to: Option<&str>, arrow: &str, rel: &str) -> Markup {
    let label = match rel {
        "prev" => format!("Previous {}", page.bucket.word()),
        _ => format!("Next {}", page.bucket.word()),
    };
    html! {
        @match to {
            Some(to) => a.step rel=(rel) href=(page.url_of(to)) title=(label) aria-label=(label) {
                (arrow)
            },
            None => span.step aria-hidden="true" { (arrow) },
        }
    }
}

/// The hours of the day: those with samples are links.
fn hours(page: &AggregatePage<'_>) -> Markup {
    let current = match page.bucket {
        Bucket::Hour(hour) => Some(hour),
        Bucket::Day(_) => None,
    };
    html! {
        nav.hours aria-label="Hours" {
            @for hour in 0..24 {
                @let text = format!("{}T{hour:02}", page.bucket.day());
                @let label = format!("{hour:02}");
                @if page.hours.contains(&text.as_str()) {
                    a href=(link::aggregate(Bucket::Hour(&text), page.service, page.query()))
                        aria-current=[(current == Some(text.as_str())).then_some("page")] {
                        (label)
                    }
                } @else {
                    span { (label) }
                }
            }
        }
    }
}

fn tabs(page: &AggregatePage<'_>) -> Markup {
    let reversed = page.direction == Direction::Reversed;
    html! {
        div.choices {
            (entry_tabs(page))
            @if page.clocks.len() > 1 {
                nav.tabs.switch aria-label="Clock" {
                    @for clock in listed(page.clocks, CLOCKS_MAX, |clock| *clock == page.clock) {
                        @let url = page.url(|query| query.clock = Some(clock));
                        (tab(&url, page.clock == *clock, &name(clock)))
                    }
                }
            } @else {
                p.clock {
                    (name(page.clock))
                    // Text without times has been counted by no clock that we know of.
                    @if page.clock != "samples" { " clock" }
                }
            }
            nav.tabs.switch aria-label="Direction" {
                (tab(&page.url(|query| query.direction = Direction::Forward), !reversed,
                    &html! { "forward" }))
                (tab(&page.url(|query| query.direction = Direction::Reversed), reversed,
                    &html! { "reversed" }))
            }
        }
    }
}

fn entry_tabs(page: &AggregatePage<'_>) -> Markup {
    let is_chosen = |entry: &Entry<'_>| page.entry == Some(entry.name);
    // What has no entry point stands last, and may be the largest of all.
    let is_kept = |entry: &Entry<'_>| is_chosen(entry) || entry.name == labels::NO_ENTRY;
    let listed: Vec<_> = listed(page.entries, ENTRIES_MAX, is_kept).collect();
    let left_out = page.entries.len() - listed.len();
    html! {
        nav.tabs aria-label="Entry points" {
            (tab(&page.url(|query| query.entry = None), page.entry.is_none(), &html! { "all" }))
            @for entry in listed {
                @let url = page.url(|query| query.entry = Some(entry.name));
                (tab(&url, is_chosen(entry), &html! {
                    (name(entry.name))
                    @if let Some(share) = entry.share { small { (format::share(share)) } }
                }))
            }
            @if left_out != 0 {
                span.more { "and " (format::count(u64::try_from(left_out).unwrap_or(u64::MAX)))
                    " smaller, each at " code { "?entry=NAME" } }
            }
        }
    }
}

/// The first `max` of a list, and the chosen one wherever it stands.
fn listed<T>(all: &[T], max: usize, is_chosen: impl Fn(&T) -> bool) -> impl Iterator<Item = &T> {
    let all = all.iter().enumerate();
    all.filter_map(move |(place, one)| (place < max || is_chosen(one)).then_some(one))
}

fn tab(url: &str, is_current: bool, label: &Markup) -> Markup {
    html! { a href=(url) aria-current=[is_current.then_some("page")] { (label) } }
}

fn when_empty(page: &AggregatePage<'_>) -> Markup {
    html! {
        h2 {
            @match page.bucket {
                Bucket::Day(_) => "No samples on this day",
                Bucket::Hour(_) => "No samples in this hour",
            }
        }
        p {
            @if page.profile.lost().samples != 0 {
                "Everything that was taken was lost; the reasons are above."
            } @else if page.entry.is_some() {
                "This entry point was not running, or not sampled. "
                a href=(page.url(|query| query.entry = None)) { "Look at all entry points" } "."
            } @else {
                "The service was not running, or its agent could not send. "
                a href=(link::INDEX) { "Look at what there is" } "."
            }
        }
    }
}

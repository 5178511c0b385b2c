//! The page of one request profile.

use flashlamp_profile::{Column, Nanos, markers};
use maud::{Markup, html};

use super::function_table::function_table;
use super::graph::graph;
use super::layout::{Document, name};
use super::{Download, ProfilePage, summary};
use crate::svg::{Options, Unit};
use crate::{RenderError, assets, format, link, text};

/// Renders one request profile: facts, samples and losses, the time-ordered view (the bundled
/// speedscope), the flame graph, the functions.
///
/// Without an embedded speedscope the page says so and shows the rest.
///
/// # Errors
///
/// As [`svg::flame_graph`](crate::svg::flame_graph).
pub fn profile(page: &ProfilePage<'_>) -> Result<String, RenderError> {
    render(page, assets::speedscope_is_embedded())
}

/// The page, as it is with or without an embedded speedscope.
pub(super) fn render(page: &ProfilePage<'_>, with_speedscope: bool) -> Result<String, RenderError> {
    let mut options = Options::new(page.profile);
    if options.unit == Unit::Duration {
        options.unit = Unit::Milliseconds;
    }
    let url = link::profile(page.id);
    let empty = html! {
        h2 { "No samples" }
        p { "This request ended before its first sample was due, or ran on no thread that was "
            "sampled. Toggle a longer request, or a shorter period." }
    };
    let graph = graph(
        page.profile,
        &options,
        "Flame graph of this request",
        &empty,
    )?;
    let main = html! {
        (head(page, options.column))
        (summary::counts(page.profile))
        (downloads(page.downloads))
        @if !page.profile.is_empty() { (time_order(page, with_speedscope)) }
        section {
            h2 { "Flame graph" }
            (graph)
        }
        (function_table(page.profile, &options, &url))
    };
    let trail = html! { nav.trail { span { (name(page.service)) } span { "request" } } };
    Ok(Document {
        title: page.name,
        trail,
        main,
    }
    .into_html())
}

fn head(page: &ProfilePage<'_>, column: Column) -> Markup {
    let profile = page.profile;
    let gap = profile.marker_total(markers::NOT_ON_A_THREAD, column);
    let is_time = matches!(Unit::of(profile, column), Unit::Duration);
    html! {
        section.head {
            h1 { (name(page.name)) }
            dl.facts {
                (summary::fact("Service", &name(page.service)))
                @if let Some(entry) = page.entry {
                    (summary::fact("Entry point", &name(entry)))
                }
                @if let Some(start) = profile.start() {
                    (summary::fact("Started", &html! {
                        time datetime=(format::rfc3339(start)) { (format::utc(start)) }
                    }))
                }
                @if let Some(duration) = profile.duration() {
                    (summary::fact("Took", &html! { (format::milliseconds(duration)) }))
                }
                (summary::fact("Clock", &name(page.clock)))
                @if let Some(period) = profile.period() {
                    (summary::fact("Period", &html! {
                        (format::duration(Nanos::from_nanos(period.as_nanos())))
                    }))
                }
            }
            @if is_time && (gap != 0 || page.clock == "wall") {
                p.gap title="The request waited: for a timer, a socket, a lock, or its turn." {
                    "not on a thread: " b { (format::milliseconds(Nanos::from_nanos(gap))) }
                }
            }
        }
    }
}

fn time_order(page: &ProfilePage<'_>, with_speedscope: bool) -> Markup {
    let address = link::speedscope(page.id, &text::visible(page.name));
    html! {
        section.time-order {
            h2 { "Time order" }
            @if with_speedscope {
                iframe src=(address) title="The request in time order, in speedscope" {}
                p.hint { a href=(address) { "Open in the whole window" } }
            } @else {
                p.note {
                    "This collector was built without speedscope (npm was absent), so there is no "
                    "view in time order here. The same samples are in the graph below, and "
                    a href=(link::fetch(page.id)) { "as speedscope JSON" } "."
                }
            }
        }
    }
}

/// Links to other forms of what a page shows.
pub(super) fn downloads(downloads: &[Download<'_>]) -> Markup {
    html! {
        @if !downloads.is_empty() {
            nav.downloads aria-label="Other forms" {
                span { "Get it as" }
                @for download in downloads {
                    a href=(download.href) { (text::visible(download.label)) }
                }
            }
        }
    }
}

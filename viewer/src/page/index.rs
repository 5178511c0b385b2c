//! The index page.

use maud::{Markup, html};

use super::layout::{Document, bar, name};
use super::{IndexPage, RequestRow, Service};
use crate::link::{self, AggregateQuery, Bucket};
use crate::{format, text};

/// How many days of a service are shown; the rest is a step away on the page of a day.
const DAYS_MAX: usize = 14;

/// Renders the index: services with their entry points and days, and the latest request
/// profiles. Where there is nothing yet, it says how to get something.
#[must_use]
pub fn index(page: &IndexPage<'_>) -> String {
    let main = html! {
        section.head { h1 { "Services" } }
        @if page.services.is_empty() {
            (no_services(!page.latest.is_empty()))
        } @else {
            div.services { @for service in page.services { (card(service)) } }
            (left_out(page))
        }
        section.latest {
            h2 { "Latest requests" }
            @if page.latest.is_empty() { (no_requests()) } @else { (requests(page.latest)) }
        }
    };
    Document {
        title: "Services",
        trail: html! {},
        main,
    }
    .into_html()
}

fn card(service: &Service<'_>) -> Markup {
    let newest = service.days.first().copied();
    let url = |entry| {
        let query = AggregateQuery {
            entry,
            ..AggregateQuery::default()
        };
        newest.map(|day| link::aggregate(Bucket::Day(day), service.name, query))
    };
    html! {
        section.card {
            h2 {
                @match url(None) {
                    Some(url) => a href=(url) { (name(service.name)) },
                    None => (name(service.name)),
                }
            }
            @if !service.days.is_empty() {
                nav.days aria-label="Days" {
                    @for day in service.days.iter().take(DAYS_MAX) {
                        @let query = AggregateQuery::default();
                        a href=(link::aggregate(Bucket::Day(day), service.name, query)) {
                            (text::visible(day))
                        }
                    }
                    @if service.days.len() > DAYS_MAX { span { "…" } }
                }
            }
            ul.entries {
                @for entry in service.entries {
                    li {
                        a href=[url(Some(entry.name))] { (name(entry.name)) }
                        @if let Some(share) = entry.share {
                            (bar(share)) small { (format::share(share)) }
                        }
                    }
                }
            }
            @if service.entries_more > 0 {
                p { small { "Entry points not listed: " (count(service.entries_more)) } }
            }
        }
    }
}

/// Says what is not on the page, where something is not.
fn left_out(page: &IndexPage<'_>) -> Markup {
    html! {
        @if page.services_more > 0 {
            p { "Services not listed: " (count(page.services_more)) ", see "
                a href=(link::SERVICES) { (link::SERVICES) } }
        }
        @if page.is_cut {
            p { "There is more than can be listed here: services, days or entry points are left "
                "out. Each has its page all the same." }
        }
    }
}

fn count(number: usize) -> String {
    format::count(u64::try_from(number).unwrap_or(u64::MAX))
}

fn requests(latest: &[RequestRow<'_>]) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr {
                    th scope="col" { "Request" }
                    th scope="col" { "Service" }
                    th scope="col" { "Started" }
                    th.number scope="col" { "Took" }
                    th.number scope="col" { "Samples" }
                    th.number scope="col" { "Lost" }
                } }
                tbody { @for row in latest { (request(row)) } }
            }
        }
    }
}

fn request(row: &RequestRow<'_>) -> Markup {
    html! {
        tr {
            td { a href=(link::profile(row.id)) { (name(row.name)) } }
            td { (name(row.service)) }
            td.time { @if let Some(start) = row.start {
                time datetime=(format::rfc3339(start)) { (format::utc(start)) }
            } }
            td.number { @if let Some(duration) = row.duration { (format::milliseconds(duration)) } }
            td.number { (format::count(row.stored.samples)) }
            td.number.losses[row.lost.samples != 0] { (format::count(row.lost.samples)) }
        }
    }
}

fn no_services(has_requests: bool) -> Markup {
    html! {
        section.empty {
            h2 {
                @if has_requests { "No samples of a whole service yet" }
                @else { "Nothing has arrived yet" }
            }
            p { "Add the agent to a service and point it at this collector. Its first samples "
                "are here some ten seconds after it has used CPU time." }
            pre { code {
                "let agent = flashlamp::Agent::builder()\n"
                "    .service(\"shop\")\n"
                "    .collector(\"http://this-collector:4140\")\n"
                "    .allow_unsigned_toggles() // who can reach the service may ask for a profile\n"
                "    .start()?;\n"
                "let app = Router::new().route(…).layer(agent.request_layer());"
            } }
        }
    }
}

fn no_requests() -> Markup {
    html! {
        div.empty {
            p { "No request was profiled yet. Ask a service for one:" }
            pre { code { "curl -i -H 'X-Flashlamp: profile' http://your-service/some/path" } }
            p { "The answer's header " code { "X-Flashlamp-Profile" }
                " is the address of the profile." }
        }
    }
}

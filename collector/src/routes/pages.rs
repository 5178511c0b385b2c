//! The pages: read from the store, hand to the viewer, answer.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use flashlamp_profile::{Nanos, Profile, Timestamp, labels};
use flashlamp_viewer::link::{self, Bucket, Direction};
use flashlamp_viewer::page::{self, AggregatePage, Download, Entry, IndexPage, ProfilePage};
use serde::Deserialize;

use super::answer::answer;
use super::params::{self, Path};
use super::{flamegraph, profiles as profile_routes};
use crate::aggregate::query::{self, Answer, Query};
use crate::allowance::Allowance;
use crate::catalogue::{self, Catalogue, ServiceSummary};
use crate::error::{ApiError, Code};
use crate::limits;
use crate::profiles::{self, Filter, Meta};
use crate::series::Clock;
use crate::state::AppState;
use crate::store::Snapshot;
use crate::store::keys::TENANT;
use crate::time::{Day, Hour};

/// `/`: services, entry points, days, and the latest request profiles.
pub(super) async fn index(State(state): State<AppState>) -> Result<Response, ApiError> {
    let today = Day::of(state.clock.now());
    let work = move |snapshot: &dyn Snapshot, allowance: &mut Allowance| {
        let found = catalogue::read(snapshot, TENANT, today, allowance)?;
        let (all, count) = (Filter::default(), limits::INDEX_PROFILES);
        let latest = profiles::latest(snapshot, TENANT, &all, count, allowance)?;
        Ok(super::html(index_page(&found, &latest)))
    };
    answer(&state, work).await
}

fn index_page(found: &Catalogue, latest: &[Meta]) -> String {
    let services = fitting(&found.services);
    let days: Vec<Vec<String>> = services
        .iter()
        .map(|service| service.days.iter().map(ToString::to_string).collect())
        .collect();
    let days: Vec<Vec<&str>> = days
        .iter()
        .map(|days| days.iter().map(String::as_str).collect())
        .collect();
    let entries: Vec<Vec<Entry<'_>>> = services
        .iter()
        .map(|service| {
            service
                .entries
                .iter()
                .map(|name| Entry { name, share: None })
                .collect()
        })
        .collect();
    let shown: Vec<page::Service<'_>> = services
        .iter()
        .zip(entries.iter().zip(&days))
        .map(|(service, (entries, days))| page::Service {
            name: &service.name,
            entries,
            entries_more: service.entries_more,
            days,
        })
        .collect();
    let latest: Vec<page::RequestRow<'_>> = latest
        .iter()
        .map(|meta| page::RequestRow {
            id: &meta.id,
            name: &meta.name,
            service: &meta.service,
            start: meta.time_ns.map(Timestamp::from_nanos),
            duration: meta.duration_ns.map(Nanos::from_nanos),
            stored: meta.stored.into(),
            lost: meta.lost(),
        })
        .collect();
    page::index(&IndexPage {
        services: &shown,
        services_more: found.services.len() - services.len(),
        is_cut: !found.complete,
        latest: &latest,
    })
}

/// The services that fit on the page: each name stands in a link, where a byte may take three, and
/// beside it.
fn fitting(services: &[ServiceSummary]) -> &[ServiceSummary] {
    let mut left = limits::INDEX_PAGE_BYTES_MAX;
    let fits = |service: &&ServiceSummary| {
        let link = 100 + 4 * service.name.len();
        let entries: usize = service
            .entries
            .iter()
            .map(|entry| link + 9 * entry.len())
            .sum();
        let bytes = link * (1 + service.days.len()) + entries;
        left.checked_sub(bytes).map(|rest| left = rest).is_some()
    };
    let count = services.iter().take_while(fits).count();
    services.get(..count).unwrap_or(services)
}

/// `/profile/ID`: one request.
pub(super) async fn profile(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = params::id(&id)?;
    let work = move |snapshot: &dyn Snapshot, allowance: &mut Allowance| {
        let (meta, profile) = profile_routes::find(snapshot, id, allowance)?;
        allow_page(&profile, allowance)?;
        let fetch = link::fetch(&meta.id);
        let forms = [
            ("speedscope", ""),
            ("pprof", "?format=pprof"),
            ("folded", "?format=folded"),
            ("SVG", "?format=svg"),
            ("JSON", "?format=json"),
        ];
        let forms = forms.map(|(label, query)| (label, format!("{fetch}{query}")));
        let downloads = forms
            .each_ref()
            .map(|(label, href)| Download { label, href });
        let shown = ProfilePage {
            id: &meta.id,
            name: &meta.name,
            service: &meta.service,
            entry: meta.entry.as_deref(),
            clock: &meta.clock,
            profile: &profile,
            downloads: &downloads,
        };
        Ok(super::html(page::profile(&shown)?))
    };
    answer(&state, work).await
}

/// What an aggregate page can be asked. Further parameters are the graph's own (zoom, search).
#[derive(Debug, Default, Deserialize)]
struct AggregateQuery {
    entry: Option<String>,
    clock: Option<String>,
    direction: Option<String>,
    reverse: Option<String>,
}

/// A stretch of time that has a page.
#[derive(Debug, Clone, Copy)]
enum Span {
    Day(Day),
    Hour(Hour),
}

impl Span {
    fn hours(self) -> (Hour, Hour) {
        match self {
            Self::Day(day) => (day.first_hour(), day.plus(1).first_hour()),
            Self::Hour(hour) => (hour, hour.plus(1)),
        }
    }

    fn day(self) -> Day {
        self.hours().0.day()
    }

    fn neighbours(self) -> [Self; 2] {
        match self {
            Self::Day(day) => [Self::Day(day.minus(1)), Self::Day(day.plus(1))],
            Self::Hour(hour) => [Self::Hour(hour.minus(1)), Self::Hour(hour.plus(1))],
        }
    }

    fn text(self) -> String {
        match self {
            Self::Day(day) => day.to_string(),
            Self::Hour(hour) => hour.to_string(),
        }
    }
}

/// `/day/YYYY-MM-DD/SERVICE`.
pub(super) async fn day(
    State(state): State<AppState>,
    Path((date, service)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let day = Day::parse(&date).ok_or_else(|| {
        ApiError::new(
            Code::BadDate,
            format!("{date:?} is not a day of the calendar: YYYY-MM-DD"),
        )
    })?;
    aggregate(state, Span::Day(day), service, &uri).await
}

/// `/hour/YYYY-MM-DDTHH/SERVICE`.
pub(super) async fn hour(
    State(state): State<AppState>,
    Path((text, service)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let hour = Hour::parse(&text).ok_or_else(|| {
        let detail = format!("{text:?} is not an hour of the calendar: YYYY-MM-DDTHH, in UTC");
        ApiError::new(Code::BadDate, detail)
    })?;
    aggregate(state, Span::Hour(hour), service, &uri).await
}

async fn aggregate(
    state: AppState,
    span: Span,
    service: String,
    uri: &Uri,
) -> Result<Response, ApiError> {
    let asked: AggregateQuery = super::query(uri)?;
    let reversed = asked.direction.as_deref() == Some("reversed")
        || flamegraph::reverse(asked.reverse.as_deref())?;
    let direction = if reversed {
        Direction::Reversed
    } else {
        Direction::Forward
    };
    let (from, until) = span.hours();
    let query = Query {
        tenant: TENANT.to_owned(),
        service: params::service(Some(service))?,
        entry: params::entry(asked.entry.filter(|entry| !entry.is_empty()))?,
        clock: asked
            .clock
            .filter(|clock| !clock.is_empty())
            .as_deref()
            .map(Clock::parse),
        from,
        until,
    };
    let work = move |snapshot: &dyn Snapshot, allowance: &mut Allowance| {
        let answer = flamegraph::read(snapshot, &query, allowance)?;
        allow_page(&answer.profile, allowance)?;
        let around = Around::read(snapshot, &query.service, span, allowance)?;
        Ok(super::html(aggregate_page(
            &query, span, direction, &answer, &around,
        )?))
    };
    answer(&state, work).await
}

/// Makes room for what a page takes beside its profile: the tree and the table of functions. What
/// is written of them has a bound of its own.
fn allow_page(profile: &Profile, allowance: &mut Allowance) -> Result<(), ApiError> {
    let nodes = profile
        .stack_node_count()
        .saturating_mul(limits::TREE_NODE_BYTES);
    Ok(allowance.set(allowance.held().saturating_add(nodes))?)
}

/// What lies beside the bucket of a page.
struct Around {
    neighbours: [Option<String>; 2],
    hours: Vec<String>,
}

impl Around {
    fn read(
        snapshot: &dyn Snapshot,
        service: &str,
        span: Span,
        allowance: &mut Allowance,
    ) -> Result<Self, ApiError> {
        let mut hours_of = |day| query::hours_of_day(snapshot, TENANT, service, day, allowance);
        let hours = hours_of(span.day())?;
        let mut neighbours = [None, None];
        for (neighbour, found) in span.neighbours().into_iter().zip(&mut neighbours) {
            let has_samples = match neighbour {
                Span::Day(day) => catalogue::has_day(snapshot, TENANT, service, day)?,
                Span::Hour(hour) if hour.day() == span.day() => hours.contains(&hour),
                Span::Hour(hour) => hours_of(hour.day())?.contains(&hour),
            };
            *found = has_samples.then(|| neighbour.text());
        }
        Ok(Self {
            neighbours,
            hours: hours.iter().map(ToString::to_string).collect(),
        })
    }
}

fn aggregate_page(
    query: &Query,
    span: Span,
    direction: Direction,
    answer: &Answer,
    around: &Around,
) -> Result<String, ApiError> {
    let text = span.text();
    let forms = ["folded", "pprof", "speedscope", "svg", "json"]
        .map(|format| (format, download(query, answer, direction, format)));
    let downloads = forms
        .each_ref()
        .map(|(label, href)| Download { label, href });
    let hours: Vec<&str> = around.hours.iter().map(String::as_str).collect();
    let clocks: Vec<&str> = answer.clocks.iter().map(Clock::as_str).collect();
    let [previous, next] = &around.neighbours;
    let shown = AggregatePage {
        service: &query.service,
        bucket: match span {
            Span::Day(_) => Bucket::Day(&text),
            Span::Hour(_) => Bucket::Hour(&text),
        },
        previous: previous.as_deref(),
        next: next.as_deref(),
        hours: &hours,
        entries: &shares(answer),
        entry: query.entry.as_deref(),
        clocks: &clocks,
        clock: answer.clock.as_str(),
        direction,
        profile: &answer.profile,
        downloads: &downloads,
    };
    Ok(page::aggregate(&shown)?)
}

/// The entry points with their part of what the clock says: largest first, `(none)` last.
fn shares(answer: &Answer) -> Vec<Entry<'_>> {
    let total: u64 = answer
        .weights
        .values()
        .copied()
        .fold(0, u64::saturating_add);
    let weight_of = |name: &String| answer.weights.get(name).copied().unwrap_or(0);
    let names = answer.entries.keys();
    let mut entries: Vec<(&String, u64)> = names.map(|name| (name, weight_of(name))).collect();
    entries.sort_by_key(|(name, weight)| (*name == labels::NO_ENTRY, std::cmp::Reverse(*weight)));
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share is shown with a few digits"
    )]
    let share = |weight: u64| weight as f64 / total.max(1) as f64;
    let mut shares = Vec::with_capacity(entries.len());
    for (name, weight) in entries {
        let share = Some(share(weight));
        shares.push(Entry { name, share });
    }
    shares
}

fn download(query: &Query, answer: &Answer, direction: Direction, format: &str) -> String {
    let mut href = format!(
        "/api/v1/flamegraph?service={}&clock={}&from={}&until={}&format={format}",
        link::encode(&query.service),
        link::encode(answer.clock.as_str()),
        query.from.start().as_secs(),
        query.until.start().as_secs(),
    );
    if let Some(entry) = &query.entry {
        href.push_str("&entry=");
        href.push_str(&link::encode(entry));
    }
    if direction == Direction::Reversed && !matches!(format, "pprof" | "speedscope") {
        href.push_str("&reverse=1");
    }
    href
}

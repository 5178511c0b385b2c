//! `GET /api/v1/flamegraph`: a merged profile in any format.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use flashlamp_profile::{CallTree, Column, Profile, Tally, Timestamp, encode};
use flashlamp_viewer::{RenderError, csp, svg};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::answer;
use super::{params, tree};
use crate::aggregate::query::{self, Answer, Query, QueryError};
use crate::allowance::{Allowance, Growing};
use crate::error::{ApiError, Code};
use crate::limits;
use crate::profiles::{Count, Meta};
use crate::series::Clock;
use crate::state::AppState;
use crate::store::Snapshot;
use crate::store::keys::TENANT;
use crate::time::rfc3339;

/// How a profile is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Folded,
    Pprof,
    Speedscope,
    Svg,
    Json,
}

impl Format {
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "folded" => Ok(Self::Folded),
            "pprof" => Ok(Self::Pprof),
            "speedscope" => Ok(Self::Speedscope),
            "svg" => Ok(Self::Svg),
            "json" => Ok(Self::Json),
            _ => {
                let detail = "`format` is one of folded, pprof, speedscope, svg and json";
                Err(ApiError::new(Code::BadFormat, detail))
            }
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlamegraphQuery {
    service: Option<String>,
    entry: Option<String>,
    clock: Option<String>,
    from: Option<String>,
    until: Option<String>,
    format: Option<String>,
    reverse: Option<String>,
}

/// Adds up a range and writes it.
pub(super) async fn flamegraph(
    State(state): State<AppState>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let asked: FlamegraphQuery = super::query(&uri)?;
    let format = Format::parse(asked.format.as_deref().unwrap_or("json"))?;
    let reversed = reverse(asked.reverse.as_deref())?;
    if reversed && matches!(format, Format::Pprof | Format::Speedscope) {
        let detail = "`reverse` goes with the formats folded, svg and json";
        return Err(ApiError::new(Code::BadParameter, detail));
    }
    let from = params::instant("from", asked.from.as_deref())?;
    let until = params::instant("until", asked.until.as_deref())?;
    let (from, until) = params::hours(from, until, state.clock.now())?;
    let query = Query {
        tenant: TENANT.to_owned(),
        service: params::service(asked.service)?,
        entry: params::entry(asked.entry)?,
        clock: asked.clock.as_deref().map(Clock::parse),
        from,
        until,
    };
    let work = move |snapshot: &dyn Snapshot, allowance: &mut Allowance| {
        let answer = read(snapshot, &query, allowance)?;
        render_answer(&query, answer, format, reversed, allowance)
    };
    answer(&state, work).await
}

/// Reads `reverse`: `1`, `true` or nothing behind the name mean yes.
pub(super) fn reverse(text: Option<&str>) -> Result<bool, ApiError> {
    match text {
        None | Some("0" | "false") => Ok(false),
        Some("" | "1" | "true") => Ok(true),
        Some(_) => Err(ApiError::new(Code::BadParameter, "`reverse` is 1 or 0")),
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Read(error) => error.into(),
            QueryError::Allowance(error) => error.into(),
            error @ QueryError::Row(_) => Self::internal(&error),
        }
    }
}

/// Adds up a range, or says `no_samples`.
pub(super) fn read(
    snapshot: &dyn Snapshot,
    query: &Query,
    allowance: &mut Allowance,
) -> Result<Answer, ApiError> {
    let answer = query::read(snapshot, query, allowance)?;
    answer.ok_or_else(|| {
        let entry = query
            .entry
            .as_ref()
            .map_or(String::new(), |entry| format!(", entry {entry:?}"));
        let clock = query.clock.as_ref().map_or(String::new(), |clock| {
            format!(", clock {:?}", clock.as_str())
        });
        let (from, until) = (rfc3339(query.from.start()), rfc3339(query.until.start()));
        let detail = format!(
            "nothing is stored for service {:?}{entry}{clock} from {from} until {until}",
            query.service
        );
        ApiError::new(Code::NoSamples, detail)
    })
}

fn render_answer(
    query: &Query,
    answer: Answer,
    format: Format,
    reversed: bool,
    allowance: &mut Allowance,
) -> Result<Response, ApiError> {
    let title = query.entry.as_ref().map_or_else(
        || format!("{} {}", query.service, query.from),
        |entry| format!("{} {entry} {}", query.service, query.from),
    );
    let time = |ns| rfc3339(Timestamp::from_nanos(ns));
    let covered = (rfc3339(query.from.start()), rfc3339(query.until.start()));
    let data = (time(answer.data_ns.0), time(answer.data_ns.1));
    let about = if format == Format::Json {
        about_answer(query, &answer, &covered, &data)
    } else {
        Value::Null
    };
    let profile = answer.profile.renamed(&title);
    let view = View {
        profile: &profile,
        column: answer.column,
        title: &title,
        reversed,
        about,
    };
    let mut response = view.render(format, allowance)?;
    let headers = response.headers_mut();
    for (name, text) in [
        ("x-flashlamp-from", covered.0),
        ("x-flashlamp-until", covered.1),
        ("x-flashlamp-data-from", data.0),
        ("x-flashlamp-data-until", data.1),
        ("x-flashlamp-clock", answer.clock.as_str().to_owned()),
    ] {
        // A clock's name comes from a sender and may not be fit for a header.
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    Ok(response)
}

fn about_answer(
    query: &Query,
    answer: &Answer,
    covered: &(String, String),
    data: &(String, String),
) -> Value {
    let entries: BTreeMap<&str, Count> = answer
        .entries
        .iter()
        .map(|(entry, tally)| (entry.as_str(), (*tally).into()))
        .collect();
    let clocks: Vec<&str> = answer.clocks.iter().map(Clock::as_str).collect();
    let (stored, lost) = (answer.stored(None), answer.lost());
    json!({
        "service": query.service,
        "entry": query.entry,
        "clock": answer.clock.as_str(),
        "clocks": clocks,
        "covered": {"from": covered.0, "until": covered.1},
        "data": {"from": data.0, "until": data.1},
        "entries": entries,
        "service_total": {
            "taken": Count::from(stored + lost),
            "stored": Count::from(stored),
            "lost": Count::from(lost),
            "losses": losses(&answer.losses),
        },
    })
}

fn losses(losses: &BTreeMap<String, Tally>) -> BTreeMap<&str, Count> {
    losses
        .iter()
        .map(|(reason, tally)| (reason.as_str(), (*tally).into()))
        .collect()
}

/// Writes one request profile.
pub(super) fn render_request(
    meta: &Meta,
    profile: &Profile,
    format: Format,
    allowance: &mut Allowance,
) -> Result<Response, ApiError> {
    let about =
        json!({"id": meta.id, "service": meta.service, "entry": meta.entry, "clock": meta.clock});
    let column = Column::default_for(profile);
    View {
        profile,
        column,
        title: &meta.name,
        reversed: false,
        about,
    }
    .render(format, allowance)
}

/// A profile about to be written.
struct View<'a> {
    profile: &'a Profile,
    column: Column,
    title: &'a str,
    reversed: bool,
    /// What the JSON says beside the tree.
    about: Value,
}

impl View<'_> {
    /// Writes it within `allowance`, which holds the profile.
    fn render(self, format: Format, allowance: &mut Allowance) -> Result<Response, ApiError> {
        let more = self.writing_bytes(format);
        allowance.set(allowance.held().saturating_add(more))?;
        match format {
            Format::Folded => {
                let text = encode::folded(self.profile, self.column);
                let text = if self.reversed {
                    reversed_folded(&text)
                } else {
                    text
                };
                Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
            }
            Format::Pprof => {
                let headers = [
                    (header::CONTENT_TYPE, "application/octet-stream"),
                    (
                        header::CONTENT_DISPOSITION,
                        "attachment; filename=\"profile.pb.gz\"",
                    ),
                ];
                Ok((headers, encode::pprof(self.profile)).into_response())
            }
            Format::Speedscope => {
                let headers = [(header::CONTENT_TYPE, "application/json")];
                Ok((headers, encode::speedscope(self.profile)).into_response())
            }
            Format::Svg => self.svg(),
            Format::Json => self.json(allowance),
        }
    }

    /// How much memory writing takes at most, beside the profile. JSON is measured as it grows.
    fn writing_bytes(&self, format: Format) -> usize {
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let times = |count: usize, bytes: usize| count.saturating_mul(bytes);
        let extent = self.profile.extent();
        let (frames, text) = (size(extent.stacks.frames), size(extent.stacks.text_bytes));
        let tree = times(self.profile.stack_node_count(), limits::TREE_NODE_BYTES);
        let lists = times(size(extent.samples.frames), 2 * size_of::<u64>());
        match format {
            // The tree, the text, and turned around the text twice more, and once as slices.
            Format::Folded if self.reversed => tree
                .saturating_add(times(frames, size_of::<&str>()))
                .saturating_add(times(text, 3)),
            Format::Folded => tree.saturating_add(times(text, 2)),
            // The form before encoding lists frames by number, and repeats the tables.
            Format::Pprof => lists.saturating_add(times(self.profile.heap_bytes(), 4)),
            // It does so once for each value.
            Format::Speedscope => times(lists, self.profile.value_types().len().max(1))
                .saturating_add(times(self.profile.heap_bytes(), 4)),
            Format::Json if self.reversed => times(frames, limits::TREE_NODE_BYTES),
            Format::Svg | Format::Json => tree,
        }
    }

    fn svg(&self) -> Result<Response, ApiError> {
        let options = svg::Options {
            title: self.title.to_owned(),
            column: self.column,
            unit: svg::Unit::of(self.profile, self.column),
            direction: if self.reversed {
                svg::Direction::Reversed
            } else {
                svg::Direction::Forward
            },
            ..svg::Options::new(self.profile)
        };
        let graph = svg::flame_graph(self.profile, &options)?;
        let headers = [
            (header::CONTENT_TYPE, "image/svg+xml"),
            (header::CONTENT_SECURITY_POLICY, csp::svg()),
        ];
        Ok((headers, graph).into_response())
    }

    fn json(self, allowance: &mut Allowance) -> Result<Response, ApiError> {
        let tree = if self.reversed {
            CallTree::reversed(self.profile, self.column)
        } else {
            CallTree::new(self.profile, self.column)
        };
        let document = Document {
            about: self.about,
            unit: &self.column.value_type(self.profile).unit,
            reversed: self.reversed,
            period_ns: self
                .profile
                .period()
                .map(flashlamp_profile::Period::as_nanos),
            taken: self.profile.taken().into(),
            stored: self.profile.stored().into(),
            lost: self.profile.lost().into(),
            losses: losses(self.profile.losses()),
            truncated: self.profile.truncated().into(),
            nodes: tree::Nodes(&tree),
        };
        let mut text = Growing::new(allowance);
        let written = serde_json::to_writer(&mut text, &document);
        let text = text.finish()?;
        written.map_err(|error| ApiError::internal(&error))?;
        Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
    }
}

/// A profile as JSON.
#[derive(Debug, Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    about: Value,
    unit: &'a str,
    reversed: bool,
    period_ns: Option<u64>,
    taken: Count,
    stored: Count,
    lost: Count,
    losses: BTreeMap<&'a str, Count>,
    truncated: Count,
    nodes: tree::Nodes<'a>,
}

/// Turns each stack of folded text around: leaf first. The encoder leaves no `;` in a name and
/// one space before the count.
fn reversed_folded(text: &str) -> String {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| {
            let (stack, count) = line.rsplit_once(' ').unwrap_or((line, "0"));
            let frames: Vec<&str> = stack.rsplit(';').collect();
            format!("{} {count}\n", frames.join(";"))
        })
        .collect();
    lines.sort_unstable();
    lines.concat()
}

impl From<RenderError> for ApiError {
    fn from(error: RenderError) -> Self {
        Self::internal(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::reversed_folded;

    #[test]
    fn folded_stacks_are_turned_around_and_sorted() {
        assert_eq!(reversed_folded("a;b x;c 3\na;z 1\n"), "c;b x;a 3\nz;a 1\n");
        assert_eq!(reversed_folded(""), "");
    }
}

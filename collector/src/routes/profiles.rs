//! Reading request profiles: the list, one's metadata, one's samples.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use flashlamp_profile::{Profile, Timestamp};
use flashlamp_viewer::link;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::answer;
use super::params::{self, Nothing, Path};
use crate::allowance::Allowance;
use crate::error::{ApiError, Code};
use crate::limits;
use crate::profiles::{self, Count, Filter, Meta, ProfileError, ProfileId};
use crate::state::AppState;
use crate::store::Snapshot;
use crate::store::keys::TENANT;
use crate::time::rfc3339;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    service: Option<String>,
    entry: Option<String>,
    limit: Option<usize>,
}

/// `GET /api/v1/profiles`: the latest request profiles, newest first.
pub(super) async fn list(State(state): State<AppState>, uri: Uri) -> Result<Response, ApiError> {
    let query: ListQuery = super::query(&uri)?;
    let limit = query.limit.unwrap_or(limits::INDEX_PROFILES);
    if limit == 0 || limit > limits::LIST_PROFILES_MAX {
        let detail = format!(
            "the parameter `limit` is 1 to {}",
            limits::LIST_PROFILES_MAX
        );
        return Err(ApiError::new(Code::BadParameter, detail));
    }
    let filter = Filter {
        service: query
            .service
            .map(|service| params::service(Some(service)))
            .transpose()?,
        entry: params::entry(query.entry)?,
    };
    let public_url = state.public_url().to_owned();
    let work = move |snapshot: &dyn Snapshot, allowance: &mut Allowance| {
        let found = profiles::latest(snapshot, TENANT, &filter, limit, allowance)?;
        let rows: Vec<Value> = found
            .iter()
            .map(|meta| meta_json(&public_url, meta))
            .collect();
        Ok(Json(json!({ "profiles": rows })).into_response())
    };
    answer(&state, work).await
}

/// `GET /api/v1/profiles/ID`: what is known about one.
pub(super) async fn meta(
    State(state): State<AppState>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, ApiError> {
    let Nothing {} = super::query(&uri)?;
    let id = params::id(&id)?;
    let public_url = state.public_url().to_owned();
    let meta = state
        .readers
        .read(move |snapshot| find_meta(snapshot, id))
        .await?;
    Ok(Json(meta_json(&public_url, &meta)))
}

/// `GET /fetch/ID`: the samples as speedscope JSON, or in another format.
pub(super) async fn fetch(
    State(state): State<AppState>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct FetchQuery {
        format: Option<String>,
    }
    let query: FetchQuery = super::query(&uri)?;
    let format = super::flamegraph::Format::parse(query.format.as_deref().unwrap_or("speedscope"))?;
    let id = params::id(&id)?;
    let work = move |snapshot: &dyn Snapshot, allowance: &mut Allowance| {
        let (meta, profile) = find(snapshot, id, allowance)?;
        super::flamegraph::render_request(&meta, &profile, format, allowance)
    };
    answer(&state, work).await
}

/// One profile's metadata, or `profile_not_found`.
fn find_meta(snapshot: &dyn Snapshot, id: ProfileId) -> Result<Meta, ApiError> {
    profiles::meta(snapshot, TENANT, id)?.ok_or_else(|| not_found(id))
}

/// One profile with its metadata, or `profile_not_found`.
pub(super) fn find(
    snapshot: &dyn Snapshot,
    id: ProfileId,
    allowance: &mut Allowance,
) -> Result<(Meta, Profile), ApiError> {
    let meta = find_meta(snapshot, id)?;
    let profile = profiles::samples(snapshot, TENANT, id, allowance)?;
    Ok((meta, profile.ok_or_else(|| not_found(id))?))
}

fn not_found(id: ProfileId) -> ApiError {
    ApiError::new(
        Code::ProfileNotFound,
        format!("no request profile has the id {id}; a new one arrives a moment after its request"),
    )
}

impl From<ProfileError> for ApiError {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::Allowance(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

fn meta_json(public_url: &str, meta: &Meta) -> Value {
    let time = |ns: Option<u64>| ns.map(|ns| rfc3339(Timestamp::from_nanos(ns)));
    json!({
        "id": meta.id,
        "service": meta.service,
        "entry": meta.entry,
        "name": meta.name,
        "url": meta.url,
        "time": time(meta.time_ns),
        "received": time(Some(meta.received_ns)),
        "duration_ns": meta.duration_ns,
        "period_ns": meta.period_ns,
        "clock": meta.clock,
        "taken": Count::from(meta.taken()),
        "stored": meta.stored,
        "lost": Count::from(meta.lost()),
        "losses": meta.losses,
        "truncated": meta.truncated,
        "not_on_a_thread_ns": meta.not_on_a_thread_ns,
        "page_url": format!("{public_url}{}", link::profile(&meta.id)),
        "fetch_url": format!("{public_url}{}", link::fetch(&meta.id)),
    })
}

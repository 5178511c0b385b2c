//! `POST /api/v1/profiles` and `POST /api/v1/samples`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use flashlamp_viewer::link;
use serde::Deserialize;
use serde_json::json;

use super::params;
use crate::aggregate::window::{Identity, Span, Window, read_marker};
use crate::error::{ApiError, Code};
use crate::ingest::{self, Admitted, body};
use crate::limits;
use crate::metrics::Metrics;
use crate::profiles::{self, Count, Meta, ProfileId, Told};
use crate::random;
use crate::state::AppState;
use crate::store::keys::TENANT;
use crate::store::{Key, WriteError};
use crate::time::rfc3339;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileQuery {
    service: Option<String>,
    entry: Option<String>,
    name: Option<String>,
    id: Option<String>,
    url: Option<String>,
}

/// Stores one request profile.
pub(super) async fn profile(
    State(state): State<AppState>,
    uri: Uri,
    headers: HeaderMap,
    mut body: Body,
) -> Result<Response, ApiError> {
    let stored = store_profile(&state, &uri, &headers, &mut body).await;
    settled(stored, body).await
}

/// Hands on what became of a body. What is left of a refused one is read away first.
async fn settled(stored: Result<Response, ApiError>, mut body: Body) -> Result<Response, ApiError> {
    if stored.is_err() {
        body::discard(&mut body).await;
    }
    stored
}

async fn store_profile(
    state: &AppState,
    uri: &Uri,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Response, ApiError> {
    let query: ProfileQuery = super::query(uri)?;
    let id = query
        .id
        .as_deref()
        .map(params::id)
        .transpose()?
        .unwrap_or_else(ProfileId::random);
    let told = Told {
        service: params::service(query.service)?,
        entry: params::entry(query.entry)?,
        name: params::shown("name", query.name, limits::NAME_BYTES_MAX)?,
        url: params::shown("url", query.url, limits::URL_BYTES_MAX)?,
    };
    let admitted = ingest::admit(state, headers, body).await?;
    let now = state.clock.now();
    let work = move || {
        let Admitted {
            profile,
            bytes,
            reservation,
        } = admitted;
        let meta = Meta::of(id, told, &profile, &bytes, now);
        let profile = profile.renamed(&meta.name);
        let batch = profiles::batch(TENANT, id, &meta, &profile)?;
        Ok((meta, profile, batch, reservation))
    };
    let (meta, profile, batch, _reservation) = state.decode(work).await?;
    let count = move |metrics: &Metrics| {
        metrics.stored(profile.stored(), profile.losses(), now.as_nanos());
        metrics.profiles_stored.add(1);
    };
    match state.write(batch, count).await {
        Ok(()) => Ok(profile_answer(state, StatusCode::CREATED, &meta)),
        Err(WriteError::Present { value, .. }) => {
            // What stands there may be of a release that is read but no longer written.
            let there = profiles::read_meta(&value).map_err(|error| ApiError::internal(&error))?;
            if !there.is_same_upload(&meta) {
                let detail = format!("the id {id} has another profile already");
                return Err(ApiError::new(Code::IdTaken, detail));
            }
            state.metrics.repeats.add(1);
            Ok(profile_answer(state, StatusCode::OK, &there))
        }
        Err(error) => Err(error.into()),
    }
}

fn profile_answer(state: &AppState, status: StatusCode, meta: &Meta) -> Response {
    let at = |path: String| format!("{}{path}", state.public_url());
    let page = at(link::profile(&meta.id));
    let answer = json!({
        "id": meta.id,
        "url": page,
        "fetch_url": at(link::fetch(&meta.id)),
        "meta_url": at(format!("/api/v1/profiles/{}", meta.id)),
        "taken": Count::from(meta.taken()),
        "stored": meta.stored,
        "lost": Count::from(meta.lost()),
    });
    (status, [(header::LOCATION, page)], Json(answer)).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SamplesQuery {
    service: Option<String>,
    entry: Option<String>,
    from: Option<String>,
    until: Option<String>,
}

/// Adds a window of samples to its hour and its day.
pub(super) async fn samples(
    State(state): State<AppState>,
    uri: Uri,
    headers: HeaderMap,
    mut body: Body,
) -> Result<Response, ApiError> {
    let stored = store_samples(&state, &uri, &headers, &mut body).await;
    settled(stored, body).await
}

async fn store_samples(
    state: &AppState,
    uri: &Uri,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Response, ApiError> {
    let query: SamplesQuery = super::query(uri)?;
    let service = params::service(query.service)?;
    let entry = params::entry(query.entry)?;
    let from = params::instant("from", query.from.as_deref())?;
    let until = params::instant("until", query.until.as_deref())?;
    let key = params::idempotency_key(headers)?;
    let admitted = ingest::admit(state, headers, body).await?;
    let now = state.clock.now();
    let work = move || {
        let Admitted {
            profile,
            bytes,
            reservation,
        } = admitted;
        let claimed = Span::of(from, until, &profile, now)?;
        let (span, corrected) = claimed.placed(now)?;
        // A window that names no time, in its address or its body, is the same whenever it comes.
        let named = from
            .or(until)
            .or_else(|| profile.start())
            .map(|_| claimed.from);
        let identity = key.map(|key| Identity::new(key, named, &bytes));
        let window = Window::new(&service, entry.as_deref(), &profile, span)?;
        let window_id = identity.as_ref().map_or_else(
            || random::hex(&random::id()),
            |identity| identity.key.clone(),
        );
        let batch = window.batch(identity.as_ref(), &window_id, now)?;
        Ok((
            Taken {
                window,
                identity,
                corrected,
            },
            batch,
            reservation,
        ))
    };
    let (taken, batch, _reservation) = state.decode(work).await?;
    let (stored, losses, corrected) = (
        taken.window.stored(),
        taken.window.row.profile.losses().clone(),
        taken.corrected,
    );
    let count = move |metrics: &Metrics| {
        metrics.stored(stored, &losses, now.as_nanos());
        metrics.windows_stored.add(1);
        metrics.clocks_corrected.add(corrected.into());
    };
    match state.write(batch, count).await {
        Ok(()) => Ok(taken.answer(false)),
        Err(WriteError::Present { key, value }) => taken.repeated(state, &key, &value),
        Err(error) => Err(error.into()),
    }
}

/// A window on its way into the store.
struct Taken {
    window: Window,
    identity: Option<Identity>,
    corrected: bool,
}

impl Taken {
    fn answer(&self, repeat: bool) -> Response {
        let (row, stored) = (&self.window.row, self.window.stored());
        let time = |ns| rfc3339(flashlamp_profile::Timestamp::from_nanos(ns));
        let answer = json!({
            "service": self.window.series.service,
            "from": time(row.from_ns),
            "until": time(row.until_ns),
            "stored": Count::from(stored),
            "lost": Count::from(row.profile.lost()),
            "clock_corrected": self.corrected,
            "repeat": repeat,
        });
        Json(answer).into_response()
    }

    /// The window was there already, or its key was used for another one.
    fn repeated(&self, state: &AppState, key: &Key, value: &[u8]) -> Result<Response, ApiError> {
        let same = self.identity.as_ref().is_some_and(|identity| {
            *key == identity.marker(&self.window.series.service)
                && read_marker(value).is_some_and(|(_, hash)| hash == identity.body_sha256)
        });
        if same {
            state.metrics.repeats.add(1);
            return Ok(self.answer(true));
        }
        let detail = "this Idempotency-Key came before, with another body";
        Err(ApiError::new(Code::IdempotencyKeyReused, detail))
    }
}

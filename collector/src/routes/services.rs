//! `GET /api/v1/services`: the index as JSON.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::answer::answer;
use super::params::Nothing;
use crate::allowance::Allowance;
use crate::catalogue::{self, Catalogue};
use crate::error::ApiError;
use crate::series::Clock;
use crate::state::AppState;
use crate::store::Snapshot;
use crate::store::keys::TENANT;
use crate::time::Day;

/// Services, their days and their entry points, and whether that is all.
pub(super) async fn list(State(state): State<AppState>, uri: Uri) -> Result<Response, ApiError> {
    let Nothing {} = super::query(&uri)?;
    let today = Day::of(state.clock.now());
    let work = move |snapshot: &dyn Snapshot, allowance: &mut Allowance| {
        let found = catalogue::read(snapshot, TENANT, today, allowance)?;
        Ok(Json(catalogue_json(&found)).into_response())
    };
    answer(&state, work).await
}

fn catalogue_json(found: &Catalogue) -> Value {
    let rows: Vec<Value> = found
        .services
        .iter()
        .map(|service| {
            let days: Vec<String> = service.days.iter().map(ToString::to_string).collect();
            let clocks: Vec<&str> = service.clocks.iter().map(Clock::as_str).collect();
            json!({
                "service": service.name,
                "days": days,
                "entries": service.entries,
                "entries_more": service.entries_more,
                "clocks": clocks,
            })
        })
        .collect();
    json!({ "services": rows, "complete": found.complete })
}

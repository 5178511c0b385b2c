//! `GET /api/v1/services`: the index as JSON.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde_json::{Value, json};

use super::params::Nothing;
use crate::catalogue;
use crate::error::ApiError;
use crate::series::Clock;
use crate::state::AppState;
use crate::store::keys::TENANT;
use crate::time::Day;

/// Services, their days and their entry points, and whether that is all.
pub(super) async fn list(State(state): State<AppState>, uri: Uri) -> Result<Json<Value>, ApiError> {
    let Nothing {} = super::query(&uri)?;
    let today = Day::of(state.clock.now());
    let found = state
        .readers
        .read(move |snapshot| Ok(catalogue::read(snapshot, TENANT, today)?))
        .await?;
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
    Ok(Json(
        json!({ "services": rows, "complete": found.complete }),
    ))
}

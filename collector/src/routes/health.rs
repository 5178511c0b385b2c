//! `/healthz` and `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;
use crate::metrics::Gauges;
use crate::state::AppState;
use crate::store::Key;
use crate::store::keys;

/// `ok` while the store can be read and what is written to it would be found after a restart. It
/// does not queue behind pages: a busy collector is alive.
pub(super) async fn healthz(State(state): State<AppState>) -> Result<&'static str, ApiError> {
    let key: Key = keys::profile_meta(keys::TENANT, [0; 16]);
    state
        .readers
        .probe(move |snapshot| Ok(snapshot.get(&key).map(|_| "ok\n")?))
        .await
}

/// The counters, for Prometheus.
pub(super) async fn metrics(State(state): State<AppState>) -> Response {
    let store = Arc::clone(&state.store);
    let gauges = Gauges {
        queued: store.queued_count() as u64,
        decoding_bytes: state.budget.taken(),
        answers_bytes: state.readers.answers_bytes(),
        disk_bytes: store.disk_bytes().unwrap_or(0),
        now_ns: state.clock.now().as_nanos(),
    };
    let text = state.metrics.text(gauges);
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
        .into_response()
}

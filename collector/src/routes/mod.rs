//! All of HTTP: the table of routes, and what is done around each of them.

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use flashlamp_viewer::{csp, page};
use serde::de::DeserializeOwned;

use crate::error::{ApiError, Code};
use crate::ingest::body;
use crate::state::AppState;

mod answer;
mod assets;
mod flamegraph;
mod health;
mod ingest;
mod pages;
mod params;
mod profiles;
mod services;
mod tree;

/// Every route of the collector.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/", get(pages::index))
        .route("/profile/{id}", get(pages::profile))
        .route("/day/{date}/{service}", get(pages::day))
        .route("/hour/{hour}/{service}", get(pages::hour))
        .route("/fetch/{id}", get(profiles::fetch))
        .route(
            "/api/v1/profiles",
            post(ingest::profile).get(profiles::list),
        )
        .route("/api/v1/profiles/{id}", get(profiles::meta))
        .route("/api/v1/samples", post(ingest::samples))
        .route("/api/v1/services", get(services::list))
        .route("/api/v1/flamegraph", get(flamegraph::flamegraph))
        .route("/assets/{name}", get(assets::own))
        .route("/speedscope", get(assets::speedscope_index))
        .route("/speedscope/", get(assets::speedscope_index))
        .route("/speedscope/{*path}", get(assets::speedscope))
        .route("/healthz", get(health::healthz))
        .route("/metrics", get(health::metrics))
        .fallback(async |body: Body| {
            let detail = "there is nothing at this address";
            refuse(ApiError::new(Code::NotFound, detail), body).await
        })
        .method_not_allowed_fallback(async |body: Body| {
            let detail = "this address does not take this method";
            refuse(ApiError::new(Code::MethodNotAllowed, detail), body).await
        })
        .layer(middleware::from_fn_with_state(state.clone(), around))
        .with_state(state)
}

/// What every answer has in common: it is counted, a refusal is in the language of who asked, and
/// the headers that keep browsers strict are there.
async fn around(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let in_flight = state.metrics.request();
    let wants_html = wants_html(request.headers());
    let mut response = match check_sender(&state, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refuse(refusal, request.into_body()).await,
    };
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        state.metrics.refused(error.code());
        if wants_html {
            response = error_page(&error, &response);
        }
    }
    let headers = response.headers_mut();
    for (name, value) in STRICT {
        headers.entry(name).or_insert(value);
    }
    drop(in_flight);
    response
}

/// Refuses a request whose body nobody has read: its sender is to see the refusal.
async fn refuse(refusal: ApiError, mut body: Body) -> Response {
    body::discard(&mut body).await;
    refusal.into_response()
}

/// Keeps out what a page of another site makes a browser ask.
fn check_sender(state: &AppState, request: &Request) -> Result<(), ApiError> {
    if let Some(name) = names(request).find(|name| !state.hosts.admits(name)) {
        let detail = format!(
            "this collector does not answer to {name:?}; where that is its name, start it with \
             --allowed-host (FLASHLAMP_ALLOWED_HOSTS) or --public-url"
        );
        return Err(ApiError::new(Code::BadHost, detail));
    }
    if changes_something(request) && is_cross_site(request.headers()) {
        let detail = "a page of another site may not send this";
        return Err(ApiError::new(Code::CrossSite, detail));
    }
    Ok(())
}

/// What a request calls the collector: browsers always do, programs may leave it out.
fn names(request: &Request) -> impl Iterator<Item = &str> {
    let hosts = request.headers().get_all(header::HOST).into_iter();
    let absolute = request.uri().authority().map(Authority::as_str);
    hosts
        .map(|value| value.to_str().unwrap_or("?"))
        .chain(absolute)
}

/// What a handler does not set itself.
const STRICT: [(HeaderName, HeaderValue); 6] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (header::VARY, HeaderValue::from_static("accept")),
];

fn changes_something(request: &Request) -> bool {
    !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    )
}

/// Whether a browser says that a page of another site made it send this. Programs say nothing.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text("sec-fetch-site");
    let origin =
        text("origin").map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
        || origin.is_some_and(|origin| Some(origin) != text("host"))
}

/// Whether a person with a browser asked: programs do not name `text/html`.
fn wants_html(headers: &HeaderMap) -> bool {
    let mut accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("text/html"))
}

fn error_page(error: &ApiError, plain: &Response) -> Response {
    let status = error.status();
    let detail = error.detail();
    let shown = page::ErrorPage {
        status: status.as_u16(),
        code: error.code(),
        detail,
    };
    let mut response = (status, html(page::error(&shown))).into_response();
    for name in [header::RETRY_AFTER, header::ALLOW] {
        if let Some(value) = plain.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// A page of the viewer, under its own policy.
fn html(page: String) -> Response {
    ([(header::CONTENT_SECURITY_POLICY, csp::page())], Html(page)).into_response()
}

/// Reads the query of a request. Each type says whether it takes parameters that it does not know:
/// those of the API do not, so that a misspelt one is not taken for an absent one; pages do, as
/// their graphs keep zoom and search there.
fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    if !params::is_utf8(uri.query().unwrap_or("")) {
        let detail = "the query is not UTF-8 behind its percent signs";
        return Err(ApiError::new(Code::BadParameter, detail));
    }
    let read = Query::<T>::try_from_uri(uri);
    read.map(|Query(query)| query).map_err(|rejection| {
        let text = rejection.body_text();
        let detail = text
            .strip_prefix("Failed to deserialize query string: ")
            .unwrap_or(&text);
        ApiError::new(Code::BadParameter, detail)
    })
}

//! Static files of the viewer: its style and script, and the bundled speedscope.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use flashlamp_viewer::assets::{self, Asset};

use super::params::Path;
use crate::error::{ApiError, Code};

/// `/assets/{name}`.
pub(super) async fn own(Path(name): Path<String>) -> Result<Response, ApiError> {
    assets::asset(&name).map(file).ok_or_else(missing)
}

/// `/speedscope`: relative links want the whole address.
pub(super) async fn speedscope_index() -> Redirect {
    Redirect::temporary("/speedscope/index.html")
}

/// `/speedscope/{path}`.
pub(super) async fn speedscope(Path(path): Path<String>) -> Result<Response, ApiError> {
    if !assets::speedscope_is_embedded() {
        let detail = "this build has no speedscope; npm was not there when it was made";
        return Err(ApiError::new(Code::NotFound, detail));
    }
    assets::speedscope(&path).map(file).ok_or_else(missing)
}

fn missing() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such file")
}

fn file(asset: Asset) -> Response {
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, asset.cache_control),
    ];
    let mut response = (headers, asset.bytes).into_response();
    if let Some(policy) = asset.csp {
        let policy = HeaderValue::from_static(policy);
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

//! What an entry point answers when it cannot do its work.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShopError {
    /// The thing with this name or number is not in the shop: 404.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The request makes no sense, and this is why: 422.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The password is not that of this customer: 401.
    #[error("wrong name or password")]
    WrongPassword,
    /// The bank did not take the charge: 502.
    #[error("the bank did not answer as it should: {0}")]
    Bank(#[source] anyhow::Error),
    /// The database failed: 500.
    #[error("the database failed")]
    Database(#[from] rusqlite::Error),
    /// Data of ours could not be written as JSON, text or gzip: 500.
    #[error("could not write the answer")]
    Render(#[source] anyhow::Error),
}

impl ShopError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::WrongPassword => StatusCode::UNAUTHORIZED,
            Self::Bank(_) => StatusCode::BAD_GATEWAY,
            Self::Database(_) | Self::Render(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for ShopError {
    fn into_response(self) -> Response {
        (self.status(), Json(json!({ "error": self.to_string() }))).into_response()
    }
}

//! What a request can be told when it is not served, in one closed list.
//!
//! A [`Code`] is a promise to clients: it is in API.md and does not change. The detail is for
//! people and may. What goes wrong inside is logged once, here, and never shown.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flashlamp_profile::DecodeError;
use tracing::error;

use crate::allowance::AllowanceError;
use crate::budget::BudgetError;
use crate::limits;
use crate::store::{ReadError, WriteError};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $status:ident;)+) => {
        /// Why a request was refused, but for what is wrong inside a body
        /// ([`DecodeError::CODES`]).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }
        }
    };
}

codes! {
    /// A query parameter is unknown, given twice, or not of its type.
    BadParameter = "bad_parameter", BAD_REQUEST;
    /// `service` is missing, empty, too long, `.` or `..`, or does not look like what it is.
    BadService = "bad_service", BAD_REQUEST;
    /// `entry` is empty, too long, or holds control characters.
    BadEntry = "bad_entry", BAD_REQUEST;
    /// `name` or `url` is too long.
    BadName = "bad_name", BAD_REQUEST;
    /// `id` is not 32 hexadecimal digits.
    BadId = "bad_id", BAD_REQUEST;
    /// `from` or `until` is neither UNIX seconds nor RFC 3339.
    BadTime = "bad_time", BAD_REQUEST;
    /// `from` is after `until`, or the range is longer than allowed.
    BadTimeRange = "bad_time_range", BAD_REQUEST;
    /// A date or an hour in the path is not one of the calendar.
    BadDate = "bad_date", BAD_REQUEST;
    /// `format` is none of those that there are.
    BadFormat = "bad_format", BAD_REQUEST;
    /// `Idempotency-Key` is empty, too long, not printable ASCII, or there are several.
    BadIdempotencyKey = "bad_idempotency_key", BAD_REQUEST;
    /// The zstd stream is damaged, ends early, or needs too large a window.
    BadZstd = "bad_zstd", BAD_REQUEST;
    /// More entry points in one window than allowed.
    TooManyEntries = "too_many_entries", BAD_REQUEST;
    /// More reasons for loss in one body than allowed, or a longer one.
    TooManyLosses = "too_many_losses", BAD_REQUEST;
    /// The body ended early or broke off.
    BodyIncomplete = "body_incomplete", BAD_REQUEST;
    /// A browser was sent by another site.
    CrossSite = "cross_site", FORBIDDEN;
    /// The request names a host that this collector does not answer to.
    BadHost = "bad_host", MISDIRECTED_REQUEST;
    /// No request profile has this id.
    ProfileNotFound = "profile_not_found", NOT_FOUND;
    /// Nothing was stored for this service, entry, clock and range.
    NoSamples = "no_samples", NOT_FOUND;
    /// There is no such address.
    NotFound = "not_found", NOT_FOUND;
    /// The address is there but not for this method.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED;
    /// The body took too long to arrive.
    BodyTimeout = "body_timeout", REQUEST_TIMEOUT;
    /// The id has another profile already.
    IdTaken = "id_taken", CONFLICT;
    /// The idempotency key came before, with another body.
    IdempotencyKeyReused = "idempotency_key_reused", CONFLICT;
    /// The body is larger than allowed as sent.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE;
    /// More frames over all samples than allowed.
    TooManyFrames = "too_many_frames", PAYLOAD_TOO_LARGE;
    /// `Content-Encoding` is none of identity, gzip and zstd.
    UnsupportedEncoding = "unsupported_encoding", UNSUPPORTED_MEDIA_TYPE;
    /// The answer would take more memory than one answer may.
    AnswerTooLarge = "answer_too_large", UNPROCESSABLE_ENTITY;
    /// The window ended longer ago than late data is taken.
    TooLate = "too_late", UNPROCESSABLE_ENTITY;
    /// Something failed inside; the log has it.
    Internal = "internal", INTERNAL_SERVER_ERROR;
    /// Too many bodies are being decoded, or too many pages drawn.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE;
    /// Too much waits to be written.
    WriteQueueFull = "write_queue_full", SERVICE_UNAVAILABLE;
    /// The collector is stopping.
    Stopping = "stopping", SERVICE_UNAVAILABLE;
    /// The data was deleted, moved or replaced under the running collector.
    StorageGone = "storage_gone", SERVICE_UNAVAILABLE;
    /// The disk is full.
    StorageFull = "storage_full", INSUFFICIENT_STORAGE;
}

/// A request that was not served, and why.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl ApiError {
    /// A refusal with a sentence for a person: lower case, no full stop.
    /// Cut to [`limits::DETAIL_BYTES_MAX`], for it may quote what was sent.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            status: code.status(),
            code: code.as_str(),
            detail: cut(detail.into()),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable word.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The sentence for a person.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether the same request may succeed a little later.
    pub fn is_temporary(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
            || self.status == StatusCode::INSUFFICIENT_STORAGE
    }

    /// A fault of ours: logged here, hidden from the client.
    pub fn internal(failure: &(dyn std::error::Error + 'static)) -> Self {
        error!(error = %chain(failure), "failed to serve a request");
        Self::new(
            Code::Internal,
            "something went wrong inside; the collector's log has it",
        )
    }

    /// Too many requests of the costly kind at once.
    pub fn overloaded() -> Self {
        Self::new(
            Code::Overloaded,
            "too much is being worked on at once; try again shortly",
        )
    }

    /// A body that unfolds to more than any answer could hold: stored, it could not be read.
    pub(crate) fn unreadable() -> Self {
        let detail = format!(
            "the stacks unfold to more than {} MiB, which no answer could hold; send it in pieces",
            limits::STORED_BYTES_MAX >> 20
        );
        Self::new(Code::TooManyFrames, detail)
    }

    fn storage_gone() -> Self {
        let detail = "the data folder was deleted, moved or replaced under the running collector: \
                      put it back, or start the collector again";
        Self::new(Code::StorageGone, detail)
    }
}

/// At most [`limits::DETAIL_BYTES_MAX`] of what is said.
fn cut(mut detail: String) -> String {
    if detail.len() > limits::DETAIL_BYTES_MAX {
        detail.truncate(detail.floor_char_boundary(limits::DETAIL_BYTES_MAX));
        detail.push('…');
    }
    detail
}

/// An error and its sources, in one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({"error": {"code": self.code, "detail": self.detail}});
        let mut response = (self.status, Json(body)).into_response();
        if self.is_temporary() {
            let seconds = HeaderValue::from(limits::RETRY_AFTER_SECONDS);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        // The layer around all routes counts it, and turns it into a page for a browser.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> Self {
        let code = error.code();
        let status = match error {
            DecodeError::InflatedTooLarge { .. }
            | DecodeError::TooManySamples { .. }
            | DecodeError::TooManyStacks { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self {
            status,
            code,
            detail: cut(chain(&error)),
        }
    }
}

impl From<BudgetError> for ApiError {
    /// For a body: a bound of its own keeps each within the budget.
    fn from(_error: BudgetError) -> Self {
        Self::overloaded()
    }
}

impl From<AllowanceError> for ApiError {
    fn from(error: AllowanceError) -> Self {
        match error {
            AllowanceError::Budget(BudgetError::TooLarge { bytes_max }) => {
                let detail = format!(
                    "this answer takes more than {} MiB of memory; \
                     ask for one entry point or a shorter time",
                    bytes_max >> 20
                );
                Self::new(Code::AnswerTooLarge, detail)
            }
            // Who has gone does not see it; what was outgrown is begun again.
            AllowanceError::Budget(BudgetError::Taken)
            | AllowanceError::Outgrown { .. }
            | AllowanceError::Unwanted => Self::overloaded(),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Gone => Self::storage_gone(),
            error @ ReadError::Engine(_) => Self::internal(&error),
        }
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Busy => Self::new(
                Code::WriteQueueFull,
                "too much waits to be written; try again shortly",
            ),
            WriteError::Locked => Self::new(
                Code::WriteQueueFull,
                "another program has locked the data; try again shortly",
            ),
            WriteError::Full => Self::new(
                Code::StorageFull,
                "there is no room left in the data folder",
            ),
            WriteError::Closed => Self::new(Code::Stopping, "the collector is stopping"),
            WriteError::Gone => Self::storage_gone(),
            error @ (WriteError::Present { .. }
            | WriteError::Absent { .. }
            | WriteError::Engine(_)) => Self::internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The first cell of each row of the tables under the heading "Error codes" of API.md.
    fn documented() -> BTreeSet<String> {
        let text = include_str!("../API.md");
        let section = text.split("\n## Error codes\n").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.map(|row| row.split('`').next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn api_md_lists_every_code_and_no_other() {
        let mut known: BTreeSet<String> = Code::ALL
            .iter()
            .map(|code| code.as_str().to_owned())
            .collect();
        assert_eq!(known.len(), Code::ALL.len(), "a code stands twice");
        for code in DecodeError::CODES {
            assert!(known.insert((*code).to_owned()), "{code} stands twice");
        }
        assert_eq!(documented(), known);
    }

    #[test]
    fn api_md_states_the_status_of_every_code() {
        let text = include_str!("../API.md");
        for code in Code::ALL {
            let row = format!("| `{}` | {} |", code.as_str(), code.status().as_u16());
            assert!(text.contains(&row), "API.md should hold {row}");
        }
    }
}

//! Answers that take memory: counted from the first row that is read to the last byte that is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::allowance::Allowance;
use crate::error::ApiError;
use crate::limits;
use crate::reading::Work;
use crate::state::AppState;
use crate::store::Snapshot;

/// Makes an answer within the memory of small or large answers. `work` says what it uses before it
/// uses it, and may be called twice.
///
/// # Errors
/// `overloaded`, `answer_too_large`, and what `work` says.
pub(super) async fn answer(
    state: &AppState,
    work: impl Work<Response>,
) -> Result<Response, ApiError> {
    let work = move |snapshot: &dyn Snapshot, allowance: &mut Allowance| {
        let response = work(snapshot, allowance)?;
        // What it was made from is free again; from here on the body counts alone.
        let sent = response.body().size_hint().exact().unwrap_or(u64::MAX);
        allowance.set(usize::try_from(sent).unwrap_or(usize::MAX))?;
        Ok(response)
    };
    let (response, allowance) = state.readers.read_within(work).await?;
    count_until_sent(response, allowance).await
}

/// Keeps what the body takes until it has been sent.
async fn count_until_sent(response: Response, allowance: Allowance) -> Result<Response, ApiError> {
    let (head, body) = response.into_parts();
    let bytes = body
        .collect()
        .await
        .map_err(|error| ApiError::internal(&error))?
        .to_bytes();
    let body = Body::new(Sent {
        bytes,
        _allowance: allowance,
    });
    Ok(Response::from_parts(head, body))
}

/// A body that is handed over in pieces, so that it counts until its last piece is on the way: a
/// client that reads slowly keeps it in memory for as long.
#[derive(Debug)]
struct Sent {
    bytes: Bytes,
    _allowance: Allowance,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.bytes.len().min(limits::SENT_PIECE_BYTES);
        if piece == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::data(self.bytes.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::budget::Budget;

    #[tokio::test]
    async fn a_body_counts_until_it_was_handed_over() {
        let budget = Budget::new(4 << 20);
        let mut allowance = Allowance::new(&budget, CancellationToken::new());
        allowance.set(1 << 20).unwrap();
        let whole = vec![7; 1 << 20];
        let response = Response::new(Body::from(whole.clone()));
        let response = count_until_sent(response, allowance).await.unwrap();
        assert_eq!(budget.taken(), 1 << 20);
        let mut body = response.into_body();
        assert_eq!(body.size_hint().exact(), Some(1 << 20));
        let mut sent = Vec::new();
        while let Some(frame) = body.frame().await {
            assert_eq!(budget.taken(), 1 << 20);
            sent.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        assert!(sent == whole);
        drop(body);
        assert_eq!(budget.taken(), 0);
    }
}

//! A response body that belongs to its request: its polls are marked and profiled too, and the
//! request ends with it.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::Scope;

pin_project! {
    /// The body of a response that went through the request layer; behaves as the body inside.
    #[derive(Debug)]
    pub struct ProfiledBody<B> {
        #[pin]
        inner: B,
        // After `inner`: a body that is not read to its end is dropped before the profile ends.
        // That drop is not a poll: it is not marked, and its time is a gap.
        scope: Scope,
    }
}

impl<B> ProfiledBody<B> {
    pub(super) fn new(inner: B, scope: Scope) -> Self {
        Self { inner, scope }
    }
}

impl<B: Body> Body for ProfiledBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let guard = this.scope.enter();
        let polled = this.inner.poll_frame(context);
        drop(guard);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            this.scope.end();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

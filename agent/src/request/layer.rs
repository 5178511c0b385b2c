//! The tower layer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{HeaderName, HeaderValue};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::ProfiledBody;
use super::profiled::ProfiledRequest;
use super::{Scope, toggle};
use crate::agent::Shared;
use crate::entries::clean;

const TOGGLE: HeaderName = HeaderName::from_static("x-flashlamp");
const PROFILE: HeaderName = HeaderName::from_static("x-flashlamp-profile");
const STATUS: HeaderName = HeaderName::from_static("x-flashlamp-status");

/// The entry point of requests that no route template and no [`EntryPoint`] names.
const UNMATCHED: &str = "(unmatched)";

/// Names a request's entry point: put it into the request's extensions, outside of the layer.
/// Keep the number of names small (a template, not a path); beyond 2,048 they are `(other)`.
///
/// Where it is absent, the route template of axum is taken (feature `axum`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPoint(pub Arc<str>);

/// Marks and profiles requests; see [`Agent::request_layer`](crate::Agent::request_layer).
///
/// A request that is not profiled costs two marks a poll. One with `X-Flashlamp: profile`
/// (optionally `; period=1ms; name=...`) is profiled on the wall clock until its response body
/// ends, for five minutes at most (what comes after is not profiled, and the profile is sent
/// when the body is polled next). Its response carries `X-Flashlamp-Profile: URL`; where that is refused, an
/// `X-Flashlamp-Status` that says why.
#[derive(Clone, Debug)]
pub struct RequestLayer {
    shared: Arc<Shared>,
}

impl RequestLayer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl<S> Layer<S> for RequestLayer {
    type Service = RequestService<S>;

    fn layer(&self, inner: S) -> RequestService<S> {
        RequestService {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// A service inside the request layer.
#[derive(Clone, Debug)]
pub struct RequestService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for RequestService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<ProfiledBody<R>>;
    type Error = S::Error;
    type Future = RequestFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut scope = Scope::new(Arc::clone(&self.shared), &entry_name(&request));
        let header = toggled(&mut scope, &request);
        let guard = scope.enter();
        let inner = self.inner.call(request);
        drop(guard);
        RequestFuture {
            inner,
            scope: Some(scope),
            header,
        }
    }
}

/// Begins the profile that the request asks for; the header for its response.
fn toggled<B>(scope: &mut Scope, request: &Request<B>) -> Option<(HeaderName, HeaderValue)> {
    let value = request.headers().get(TOGGLE)?.to_str().ok()?;
    let toggle = toggle::parse(value)?;
    // The path without its query, which may hold what is nobody's business.
    let name = clean(&format!("{} {}", request.method(), request.uri().path()));
    match ProfiledRequest::begin(&scope.shared, &toggle, scope.entry, name) {
        Ok(profiled) => {
            let url = format!("{}/profile/{}", scope.shared.public_url, profiled.id);
            scope.profiled = Some(profiled);
            Some((PROFILE, HeaderValue::try_from(url).ok()?))
        }
        Err(refusal) => Some((STATUS, HeaderValue::from_static(refusal.text()))),
    }
}

fn entry_name<B>(request: &Request<B>) -> String {
    if let Some(EntryPoint(name)) = request.extensions().get() {
        return clean(name);
    }
    #[cfg(feature = "axum")]
    if let Some(path) = request.extensions().get::<axum::extract::MatchedPath>() {
        return clean(path.as_str());
    }
    UNMATCHED.to_owned()
}

pin_project! {
    /// The future of a [`RequestService`].
    #[derive(Debug)]
    pub struct RequestFuture<F> {
        #[pin]
        inner: F,
        // After `inner`: when the request is cancelled, its profile ends after its future is
        // dropped. That drop is not a poll: it is not marked, and its time is a gap.
        scope: Option<Scope>,
        header: Option<(HeaderName, HeaderValue)>,
    }
}

impl<F, R, E> Future for RequestFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ProfiledBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = match this.scope {
            Some(scope) => {
                let guard = scope.enter();
                let polled = this.inner.poll(context);
                drop(guard);
                polled
            }
            None => this.inner.poll(context),
        };
        let result = ready!(polled);
        // A future is not polled again after it was ready.
        let Some(scope) = this.scope.take() else {
            return Poll::Pending;
        };
        Poll::Ready(result.map(|response| {
            let mut response = response.map(|body| ProfiledBody::new(body, scope));
            if let Some((name, value)) = this.header.take() {
                response.headers_mut().insert(name, value);
            }
            response
        }))
    }
}

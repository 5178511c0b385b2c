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

use super::Scope;
use super::body::ProfiledBody;
use super::profiled::{ProfiledRequest, Refusal};
use super::toggle::{self, Slip};
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
/// when the body is polled next). Its response carries `X-Flashlamp-Profile: URL`; where a profile
/// is refused, or something in the toggle makes no sense, an `X-Flashlamp-Status` says why in
/// one of the fixed texts that README lists.
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
        let answer = answer_to_toggle(&mut scope, &request);
        let guard = scope.enter();
        let inner = self.inner.call(request);
        drop(guard);
        RequestFuture {
            inner,
            scope: Some(scope),
            answer,
        }
    }
}

/// The headers for the response to a toggled request.
#[derive(Debug, Default)]
struct Answer {
    profile: Option<HeaderValue>,
    status: Option<&'static str>,
}

/// Begins the profile that the request asks for.
fn answer_to_toggle<B>(scope: &mut Scope, request: &Request<B>) -> Answer {
    let Some(value) = request.headers().get(TOGGLE) else {
        return Answer::default();
    };
    match begin(scope, request, value) {
        Ok((url, slip)) => Answer {
            profile: HeaderValue::try_from(url).ok(),
            status: slip.map(Slip::text),
        },
        Err(refusal) => Answer {
            profile: None,
            status: Some(refusal.text()),
        },
    }
}

/// The profile's URL, and what of the toggle was not taken as it stands.
fn begin<B>(
    scope: &mut Scope,
    request: &Request<B>,
    value: &HeaderValue,
) -> Result<(String, Option<Slip>), Refusal> {
    // Before the value is looked at: who may not toggle learns nothing else.
    if !scope.shared.unsigned_toggles {
        return Err(Refusal::Unsigned);
    }
    let toggle = value.to_str().ok().and_then(toggle::parse);
    let toggle = toggle.ok_or(Refusal::NotAToggle)?;
    // The path without its query, which may hold what is nobody's business.
    let name = clean(&format!("{} {}", request.method(), request.uri().path()));
    let profiled = ProfiledRequest::begin(&scope.shared, &toggle, scope.entry, name)?;
    let url = format!("{}/profile/{}", scope.shared.public_url, profiled.id);
    scope.profiled = Some(profiled);
    Ok((url, toggle.slip))
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
        answer: Answer,
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
            let Answer { profile, status } = std::mem::take(this.answer);
            if let Some(url) = profile {
                response.headers_mut().insert(PROFILE, url);
            }
            if let Some(text) = status {
                let text = HeaderValue::from_static(text);
                response.headers_mut().insert(STATUS, text);
            }
            response
        }))
    }
}

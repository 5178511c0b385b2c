//! The tower service, and axum's routes to it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Method, Request, Response};
use tower_service::Service;

use super::answer::{self, PprofBody, Refusal};
use super::places::{Pull, Pulls};
use super::query;
use crate::Clock;
use crate::process::Process;

/// Serves `/debug/pprof/`: an index, `profile` and `wall`; see
/// [`Agent::pprof_service`](crate::Agent::pprof_service).
///
/// The last part of the path says what is asked for, so it may stand below any prefix. `profile`
/// samples all threads on the CPU clock, `wall` on the wall clock:
///
/// | query | | without it |
/// |---|---|---|
/// | `seconds=N` | how long, 1 to 300 | 30 |
/// | `clock=cpu`, `clock=wall` | which time | as the path says |
/// | `period=10ms` | the distance of samples, `1ms` to `1s` | 10 ms |
///
/// Other parameters are ignored; of several of one name the first counts. The answer is a pprof
/// file with entry points as labels and losses as comments. Four profiles are taken at once; each
/// holds its samples in memory until it is over, half a million of them at most (20 MB): what
/// exceeds that is counted as `collection_full`. Sampling ends at once when the future is dropped,
/// as servers do when the client goes away, and when the agent is stopped, which then answers with
/// what there is.
///
/// A refusal is a line of text, `code: what to do`. The codes are stable:
///
/// | code | status | |
/// |---|---|---|
/// | `bad_seconds`, `bad_clock`, `bad_period` | 400 | a value that makes no sense |
/// | `no_such_profile` | 404 | also `heap`, `cmdline`, `symbol` and the others of Go |
/// | `bad_method` | 405 | neither `GET` nor `HEAD` |
/// | `too_many_profiles` | 429 | with `Retry-After` |
/// | `stopped` | 503 | after the agent's shutdown, and in a forked child |
/// | `not_started` | 503 | with the text of the [`StartError`](crate::StartError) |
/// | `failed` | 500 | a mistake of the agent's |
///
/// # Security
/// Profiles show names of functions, files and libraries, and taking one costs time. There is no
/// access control here: serve it on an administrator's listener, not on that of the public.
#[derive(Clone, Debug)]
pub struct PprofService {
    pub(super) pulls: Arc<Pulls>,
}

impl Default for PprofService {
    fn default() -> Self {
        Self::new()
    }
}

impl PprofService {
    /// One without an agent, for a program that is only ever asked. Its clones share the bound on
    /// profiles at once; what [`Agent::pprof_service`](crate::Agent::pprof_service) gives stops
    /// with the agent.
    ///
    /// ```
    /// use flashlamp::PprofService;
    ///
    /// let admin: axum::Router = PprofService::new().into_routes();
    /// # let _ = admin;
    /// ```
    pub fn new() -> Self {
        Self::of(Arc::new(Pulls::new(Process::current())))
    }

    pub(crate) fn of(pulls: Arc<Pulls>) -> Self {
        Self { pulls }
    }

    /// Routes of axum to it, below `/debug/pprof/`.
    #[cfg(feature = "axum")]
    pub fn into_routes<S: Clone + Send + Sync + 'static>(self) -> axum::Router<S> {
        axum::Router::new()
            .route_service("/debug/pprof", self.clone())
            .route_service("/debug/pprof/", self.clone())
            .route_service("/debug/pprof/{profile}", self)
    }

    fn answer<B>(&self, request: &Request<B>) -> Answer {
        let is_head = request.method() == Method::HEAD;
        if !is_head && request.method() != Method::GET {
            return Answer::refused(&Refusal::BadMethod);
        }
        let asked = match request.uri().path().rsplit('/').next() {
            Some("") | None => return Answer::Ready(Some(answer::index())),
            Some("pprof") => return Answer::Ready(Some(answer::to_index())),
            Some("profile") => ("profile", Clock::Cpu),
            Some("wall") => ("wall", Clock::Wall),
            Some(_) => return Answer::refused(&Refusal::NoSuchProfile),
        };
        let (name, clock) = asked;
        let query = request.uri().query().unwrap_or_default();
        let asked = match query::parse(clock, query) {
            Ok(asked) => asked,
            Err(refusal) => return Answer::refused(&refusal),
        };
        if is_head {
            // Whether it would be answered, without the seconds that it would take.
            return Answer::Ready(Some(answer::of_profile(name, Vec::new())));
        }
        match Pull::begin(&self.pulls, asked) {
            Ok(pull) => Answer::Later { name, pull },
            Err(refusal) => Answer::refused(&refusal),
        }
    }
}

impl<B> Service<Request<B>> for PprofService {
    type Response = Response<PprofBody>;
    type Error = Infallible;
    type Future = PprofFuture;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> PprofFuture {
        PprofFuture {
            answer: self.answer(&request),
            is_head: request.method() == Method::HEAD,
        }
    }
}

/// The future of a [`PprofService`]. Dropping it ends the sampling.
#[derive(Debug)]
pub struct PprofFuture {
    answer: Answer,
    is_head: bool,
}

#[derive(Debug)]
enum Answer {
    /// `None` when it was given out.
    Ready(Option<Response<PprofBody>>),
    Later {
        name: &'static str,
        pull: Pull,
    },
}

impl Answer {
    fn refused(refusal: &Refusal) -> Self {
        Self::Ready(Some(answer::of_refusal(refusal)))
    }
}

impl Future for PprofFuture {
    type Output = Result<Response<PprofBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.answer {
            // A future is not polled again after it was ready.
            Answer::Ready(answer) => match answer.take() {
                Some(answer) => answer,
                None => return Poll::Pending,
            },
            Answer::Later { name, pull } => match ready!(pull.poll(context)) {
                Ok(pprof) => answer::of_profile(name, pprof),
                Err(refusal) => answer::of_refusal(&refusal),
            },
        };
        self.answer = Answer::Ready(None);
        let answer = if self.is_head {
            answer::without_body(answer)
        } else {
            answer
        };
        Poll::Ready(Ok(answer))
    }
}

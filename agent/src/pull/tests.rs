//! The service without a server.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tower_service::Service as _;

use super::{PprofBody, PprofFuture, PprofService};
use crate::clock;
use crate::limits;
use crate::process::Process;

fn call(service: &PprofService, path: &str) -> PprofFuture {
    service.clone().call(Request::get(path).body(()).unwrap())
}

/// Sends a word when it is woken.
struct Bell(mpsc::Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

/// Waits for the answer without a runtime.
fn answer(mut future: PprofFuture) -> Response<PprofBody> {
    let (bell, rings) = mpsc::channel();
    let waker = Waker::from(Arc::new(Bell(bell)));
    loop {
        match Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(Ok(answer)) => return answer,
            Poll::Ready(Err(never)) => match never {},
            Poll::Pending => rings.recv().unwrap(),
        }
    }
}

fn sessions() -> usize {
    Process::current().lock().sessions.len()
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = clock::monotonic_ns() + 20_000_000_000;
    while !condition() {
        assert!(clock::monotonic_ns() < deadline, "waited too long: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn profile_that_nobody_waits_for_ends_at_once() {
    let service = PprofService::new();
    let asked = call(&service, "/debug/pprof/profile?seconds=300");
    until("the session begins", || sessions() > 0);
    drop(asked);
    until("the session ends", || sessions() == 0);
    let places = || service.pulls.taken();
    until("the place is free", || places() == 0);
}

#[test]
fn stopping_answers_with_what_there_is_and_begins_nothing_more() {
    let service = PprofService::new();
    let asked = call(&service, "/debug/pprof/profile?seconds=300");
    until("the session begins", || sessions() > 0);
    service.pulls.stop();
    let stopped = answer(asked);
    assert_eq!(stopped.status(), StatusCode::OK);
    let later = answer(call(&service, "/debug/pprof/profile"));
    assert_eq!(later.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn more_than_the_bound_are_told_when_to_come_again() {
    let service = PprofService::new();
    let path = "/debug/pprof/wall?seconds=100";
    let mut asked: Vec<_> = (0..limits::PULLS_MAX)
        .map(|_| call(&service, path))
        .collect();
    let refused = answer(call(&service, path));
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait = &refused.headers()["retry-after"];
    let wait: u64 = wait.to_str().unwrap().parse().unwrap();
    assert!((1..=100).contains(&wait), "{wait}");
    drop(asked.pop());
    until("a place is free", || {
        service.pulls.taken() < limits::PULLS_MAX
    });
    let again = call(&service, path);
    assert_eq!(service.pulls.taken(), limits::PULLS_MAX);
    drop((again, asked));
}

#[test]
fn last_part_of_the_path_says_what_is_asked_for() {
    let service = PprofService::new();
    for (path, status, kind) in [
        ("/debug/pprof/", 200, "text/html; charset=utf-8"),
        ("/", 200, "text/html; charset=utf-8"),
        ("/admin/debug/pprof", 301, "text/plain; charset=utf-8"),
        ("/debug/pprof/heap", 404, "text/plain; charset=utf-8"),
        ("/debug/pprof/cmdline", 404, "text/plain; charset=utf-8"),
        ("/debug/pprof/symbol", 404, "text/plain; charset=utf-8"),
        ("/profile?seconds=x", 400, "text/plain; charset=utf-8"),
        (
            "/debug/pprof/wall?clock=x",
            400,
            "text/plain; charset=utf-8",
        ),
    ] {
        let answer = answer(call(&service, path));
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], kind, "{path}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        let for_go = answer.headers().contains_key("x-go-pprof");
        assert_eq!(for_go, status >= 400, "{path}");
    }
}

#[test]
fn redirect_leads_to_no_other_host() {
    let asked = call(&PprofService::new(), "//example.com/pprof");
    assert_eq!(answer(asked).headers()["location"], "pprof/");
}

#[test]
fn page_and_texts_tell_the_bounds_that_there_are() {
    let bounds = (
        limits::PULL_SECONDS_DEFAULT,
        limits::PULL_SECONDS_MAX,
        limits::PULL_PERIOD_DEFAULT.as_millis(),
        limits::PULL_PERIOD_MIN.as_millis(),
        limits::PULL_PERIOD_MAX.as_secs(),
    );
    assert_eq!(bounds, (30, 300, 10, 1, 1), "they stand in the texts");
    assert_eq!((limits::PULLS_MAX, limits::PULL_SAMPLES_MAX), (4, 500_000));
}

#[test]
fn body_says_its_size_and_is_given_out_once() {
    let page = answer(call(&PprofService::new(), "/debug/pprof/"));
    let size = http_body::Body::size_hint(page.body()).exact();
    let mut body = page.into_body();
    let mut frames = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body.frame()).poll(&mut context) {
        frames.push(frame.unwrap().into_data().unwrap());
    }
    assert_eq!(frames.len(), 1);
    assert_eq!(size, Some(frames[0].len() as u64));
}

//! The request layer under axum and tokio, with a tiny collector.

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use flashlamp::profile::{Column, Profile, labels, markers};
use flashlamp::{Agent, EntryPoint, Stats};
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::stub::{Received, Stub};

const SOON: Duration = Duration::from_secs(20);
const MS: Duration = Duration::from_millis(1);

#[inline(never)]
fn spin_in_handler(duration: Duration) -> u64 {
    let end = Instant::now() + duration;
    let mut value = 1_u64;
    while Instant::now() < end {
        for _ in 0..1000 {
            value = black_box(value.wrapping_mul(31));
        }
    }
    value
}

async fn compute() -> String {
    format!("{}", spin_in_handler(60 * MS))
}

async fn wait_and_compute() -> &'static str {
    tokio::time::sleep(50 * MS).await;
    black_box(spin_in_handler(30 * MS));
    "waited"
}

async fn compute_in_many_polls() -> &'static str {
    for _ in 0..200 {
        black_box(spin_in_handler(MS / 3));
        tokio::task::yield_now().await;
    }
    "computed"
}

async fn hang() -> &'static str {
    std::future::pending::<()>().await;
    "never"
}

async fn explode() -> &'static str {
    black_box(spin_in_handler(5 * MS));
    panic!("a bug of the handler");
}

/// Three pieces, each after a wait and some work.
struct Slow(u32, Option<Pin<Box<tokio::time::Sleep>>>);

impl HttpBody for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        let sleep = self
            .1
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(20 * MS)));
        std::task::ready!(sleep.as_mut().poll(context));
        black_box(spin_in_handler(15 * MS));
        self.0 -= 1;
        self.1 = None;
        Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(
            b"piece ",
        )))))
    }
}

async fn stream() -> Response {
    Response::new(Body::new(Slow(3, None)))
}

struct Setup {
    stub: Stub,
    agent: Agent,
    app: Router,
}

fn setup(configure: impl FnOnce(flashlamp::AgentBuilder) -> flashlamp::AgentBuilder) -> Setup {
    let stub = Stub::accepting();
    let builder = Agent::builder()
        .service("shop")
        .collector(&*stub.url)
        .period(MS);
    let agent = configure(builder).start().unwrap();
    let app = Router::new()
        .route("/compute/{id}", get(compute))
        .route("/wait", get(wait_and_compute))
        .route("/many", get(compute_in_many_polls))
        .route("/hang", get(hang))
        .route("/explode", get(explode))
        .route("/stream", get(stream))
        .layer(agent.request_layer());
    Setup { stub, agent, app }
}

fn toggled() -> Setup {
    setup(flashlamp::AgentBuilder::allow_unsigned_toggles)
}

fn request(path: &str, toggle: Option<&str>) -> Request {
    let mut request = Request::builder().uri(path);
    if let Some(toggle) = toggle {
        request = request.header("x-flashlamp", toggle);
    }
    request.body(Body::empty()).unwrap()
}

async fn send(app: &Router, path: &str, toggle: Option<&str>) -> (HeaderMap, Bytes) {
    let response = app.clone().oneshot(request(path, toggle)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    (
        headers,
        response.into_body().collect().await.unwrap().to_bytes(),
    )
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn profiles(stub: &Stub) -> Vec<Received> {
    stub.received()
        .into_iter()
        .filter(|one| !one.is_window())
        .collect()
}

fn finish(setup: Setup) -> (Stats, Vec<Received>) {
    // A request that has just ended is finished by the drain.
    assert!(setup.agent.flush(SOON));
    let stats = setup.agent.shutdown(SOON);
    assert_eq!(
        stats.taken,
        stats.stored + stats.lost_total() + stats.in_flight,
        "{stats:?}"
    );
    assert!(!stats.lost.contains_key("unaccounted"), "{stats:?}");
    assert_eq!(setup.stub.stored(), stats.stored, "{stats:?}");
    (stats, profiles(&setup.stub))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap()
}

/// All of a request's time is in its profile: samples on threads, gaps between them.
fn assert_whole(profile: &Profile) {
    let counted = profile.column_total(Column::Value(0));
    let duration = profile.duration().unwrap().as_nanos();
    println!("{}: {counted} of {duration} ns", profile.name());
    assert!(
        counted.abs_diff(duration) < nanos(15 * MS) + duration / 5,
        "{counted} of {duration}"
    );
}

fn time_in(profile: &Profile, function: &str) -> u64 {
    let rows = flashlamp::profile::by_function(profile, Column::Value(0));
    rows.iter()
        .filter(|row| row.name.ends_with(function))
        .map(|row| row.total)
        .sum()
}

#[test]
fn toggle_is_refused_unless_it_was_allowed() {
    let setup = setup(|builder| builder);
    let (headers, _) = runtime().block_on(send(&setup.app, "/compute/1", Some("profile")));
    assert!(
        headers["x-flashlamp-status"]
            .to_str()
            .unwrap()
            .starts_with("refused; unsigned")
    );
    assert!(!headers.contains_key("x-flashlamp-profile"));
    let (garbage, _) = runtime().block_on(send(&setup.app, "/compute/1", Some("garbage")));
    assert_eq!(
        garbage["x-flashlamp-status"], headers["x-flashlamp-status"],
        "who may not toggle learns nothing else"
    );
    assert!(finish(setup).1.is_empty());
}

#[test]
fn toggle_that_makes_no_sense_is_told_so_in_fixed_words() {
    let setup = toggled();
    let runtime = runtime();
    for (toggle, profiled, status) in [
        ("garbage", false, "refused; the toggle does not begin"),
        ("profile;period=abc", true, "ignored; the period is no"),
        ("profile; colour=abc", true, "ignored; a parameter is"),
        ("profile; name=cart", true, ""),
    ] {
        let (headers, _) = runtime.block_on(send(&setup.app, "/many", Some(toggle)));
        assert_eq!(headers.contains_key("x-flashlamp-profile"), profiled);
        let found = headers.get("x-flashlamp-status");
        let found = found.map_or("", |found| found.to_str().unwrap());
        assert!(found.starts_with(status), "{toggle}: {found}");
        assert_eq!(found.is_empty(), status.is_empty(), "{toggle}: {found}");
        let sent_back = headers.values().any(|value| {
            let value = value.as_bytes();
            let holds = |word: &[u8]| value.windows(word.len()).any(|at| at == word);
            holds(b"=abc") || holds(b"garbage") || holds(b"cart")
        });
        assert!(!sent_back, "{toggle}: {headers:?}");
    }
    assert_eq!(finish(setup).1.len(), 3);
}

#[test]
fn toggled_request_gets_its_link_and_its_profile() {
    let setup = setup(|builder| {
        builder
            .allow_unsigned_toggles()
            .public_url("https://profiles.example/lamp/")
    });
    let runtime = runtime();
    let (headers, _) = runtime.block_on(send(&setup.app, "/wait", Some("profile; period=1ms")));
    let (plain, _) = runtime.block_on(send(&setup.app, "/wait", None));
    assert!(!plain.contains_key("x-flashlamp-profile"));
    let (_, profiles) = finish(setup);
    assert_eq!(profiles.len(), 1, "only the toggled one");
    let link = headers["x-flashlamp-profile"].to_str().unwrap();
    let id = link
        .strip_prefix("https://profiles.example/lamp/profile/")
        .unwrap();
    assert!(
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
    let expected =
        format!("/api/v1/profiles?service=shop&entry=%2Fwait&name=GET%20%2Fwait&id={id}");
    assert_eq!(profiles[0].path, expected);
    let profile = profiles[0].profile();
    assert_eq!(profile.name(), "GET /wait");
    assert_whole(&profile);
    assert!(time_in(&profile, "spin_in_handler") > nanos(20 * MS));
    let waited = profile.marker_total(markers::NOT_ON_A_THREAD, Column::Value(0));
    assert!(waited > nanos(40 * MS), "{waited}");
    assert_eq!(
        profile.marker_total(markers::NOT_ON_A_THREAD, Column::Events),
        0
    );
    for sample in profile.samples() {
        assert_eq!(profile.label(sample.labels(), labels::ENTRY), Some("/wait"));
        assert!(sample.time().is_some());
    }
}

#[test]
fn name_and_period_come_from_the_toggle() {
    let setup = toggled();
    let toggle = "profile; period=5ms; name=a big cart";
    runtime().block_on(send(&setup.app, "/compute/7", Some(toggle)));
    let (_, profiles) = finish(setup);
    let profile = profiles[0].profile();
    assert_eq!(profile.name(), "a big cart");
    assert_eq!(profile.period().unwrap().as_nanos(), 5_000_000);
    assert!(
        profiles[0].path.contains("entry=%2Fcompute%2F%7Bid%7D"),
        "{}",
        profiles[0].path
    );
}

#[test]
fn continuous_samples_carry_their_entry_point() {
    let setup = toggled();
    let runtime = runtime();
    for _ in 0..5 {
        runtime.block_on(send(&setup.app, "/compute/1", None));
    }
    drop(runtime);
    spin_in_handler(200 * MS);
    assert!(setup.agent.flush(SOON));
    let mut of_entry = std::collections::BTreeMap::<String, u64>::new();
    for window in setup.stub.received() {
        let profile = window.profile();
        for sample in profile.samples() {
            let entry = profile.label(sample.labels(), labels::ENTRY).unwrap();
            *of_entry.entry(entry.to_owned()).or_default() += sample.event_count().as_u64();
        }
    }
    println!("{of_entry:?}");
    // 300 and 200 ms of the wall clock; a busy machine gives less of the processor.
    assert!(of_entry["/compute/{id}"] >= 10, "{of_entry:?}");
    assert!(of_entry[labels::NO_ENTRY] >= 1, "{of_entry:?}");
    finish(setup);
}

#[test]
fn streaming_body_belongs_to_its_request() {
    let setup = toggled();
    let (_, body) = runtime().block_on(send(&setup.app, "/stream", Some("profile")));
    assert_eq!(&body[..], b"piece piece piece ");
    let (_, profiles) = finish(setup);
    let profile = profiles[0].profile();
    assert_whole(&profile);
    assert!(profile.duration().unwrap().as_nanos() > nanos(100 * MS));
    assert!(time_in(&profile, "spin_in_handler") > nanos(30 * MS));
    assert!(profile.marker_total(markers::NOT_ON_A_THREAD, Column::Value(0)) > nanos(45 * MS));
}

#[test]
fn polls_shorter_than_the_period_are_sampled_like_one_long_one() {
    let setup = toggled();
    runtime().block_on(send(&setup.app, "/many", Some("profile")));
    let (_, profiles) = finish(setup);
    let profile = profiles[0].profile();
    assert_whole(&profile);
    let computed = time_in(&profile, "spin_in_handler");
    println!("{computed} ns in polls of a third of the period");
    // 200 polls of a third of a millisecond.
    assert!(computed > nanos(45 * MS), "{computed}");
}

#[test]
fn too_many_requests_at_once_are_served_and_not_profiled() {
    let setup = setup(|builder| builder.allow_unsigned_toggles().profiled_requests_max(2));
    let runtime = runtime();
    let headers = runtime.block_on(async {
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let app = setup.app.clone();
                tokio::spawn(async move { send(&app, "/wait", Some("profile")).await.0 })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.push(task.await.unwrap());
        }
        all
    });
    let profiled = headers
        .iter()
        .filter(|one| one.contains_key("x-flashlamp-profile"))
        .count();
    let refused = headers.iter().filter(|one| {
        one.get("x-flashlamp-status")
            .is_some_and(|status| status.to_str().unwrap().starts_with("refused; too many"))
    });
    assert!((2..6).contains(&profiled), "{profiled}");
    assert_eq!(refused.count() + profiled, 6);
    // Those that ended made room again.
    let after = runtime.block_on(async {
        loop {
            let (headers, _) = send(&setup.app, "/compute/1", Some("profile")).await;
            if headers.contains_key("x-flashlamp-profile") {
                return headers;
            }
        }
    });
    assert!(after.contains_key("x-flashlamp-profile"));
    assert_eq!(finish(setup).1.len(), profiled + 1);
}

#[test]
fn profiled_requests_at_once_hold_only_their_own_samples() {
    let setup = toggled();
    let runtime = runtime();
    runtime.block_on(async {
        let one = |path: &'static str| {
            let app = setup.app.clone();
            tokio::spawn(async move { send(&app, path, Some("profile")).await })
        };
        let tasks = [
            one("/wait"),
            one("/compute/1"),
            one("/wait"),
            one("/compute/2"),
        ];
        for task in tasks {
            task.await.unwrap();
        }
    });
    let (_, profiles) = finish(setup);
    assert_eq!(profiles.len(), 4);
    for profile in profiles.iter().map(Received::profile) {
        assert_whole(&profile);
        let (compute, wait) = ("::compute::{{closure}}", "::wait_and_compute::{{closure}}");
        let waits = profile.name().contains("wait");
        let (own, other) = if waits {
            (wait, compute)
        } else {
            (compute, wait)
        };
        assert_eq!(time_in(&profile, other), 0);
        assert!(time_in(&profile, own) > 0);
    }
}

#[test]
fn panicking_handler_still_gets_its_profile() {
    let setup = toggled();
    let runtime = runtime();
    let app = setup.app.clone();
    let task = async move { app.oneshot(request("/explode", Some("profile"))).await };
    let joined = runtime.block_on(async { tokio::spawn(task).await });
    assert!(joined.unwrap_err().is_panic());
    // The thread's timer is disarmed and free for the next request.
    runtime.block_on(send(&setup.app, "/compute/1", Some("profile")));
    let (_, profiles) = finish(setup);
    assert_eq!(profiles.len(), 2);
    assert_whole(&profiles[1].profile());
}

#[test]
fn cancelled_request_still_gets_its_profile() {
    let setup = toggled();
    runtime().block_on(async {
        let app = setup.app.clone();
        let hanging = app.oneshot(request("/hang", Some("profile")));
        assert!(tokio::time::timeout(40 * MS, hanging).await.is_err());
    });
    let (_, profiles) = finish(setup);
    let profile = profiles[0].profile();
    assert!(profile.marker_total(markers::NOT_ON_A_THREAD, Column::Value(0)) > nanos(30 * MS));
    assert_whole(&profile);
}

#[test]
fn layer_outlives_its_agent() {
    let setup = toggled();
    let Setup { stub, agent, app } = setup;
    drop(agent);
    let (headers, body) = runtime().block_on(send(&app, "/compute/1", Some("profile")));
    assert!(!body.is_empty());
    assert!(
        headers["x-flashlamp-status"]
            .to_str()
            .unwrap()
            .contains("stopped")
    );
    assert!(profiles(&stub).is_empty());
}

#[test]
fn entry_point_can_be_named_by_an_extension() {
    let setup = toggled();
    let mut request = request("/compute/1", Some("profile"));
    request
        .extensions_mut()
        .insert(EntryPoint(Arc::from("a job")));
    let response = runtime()
        .block_on(setup.app.clone().oneshot(request))
        .unwrap();
    drop(response);
    let (_, profiles) = finish(setup);
    assert!(
        profiles[0].path.contains("entry=a%20job"),
        "{}",
        profiles[0].path
    );
}

#[test]
fn profiled_request_inside_a_profiled_request_is_refused() {
    let setup = toggled();
    let app = setup.app.clone().layer(setup.agent.request_layer());
    let (headers, _) = runtime().block_on(send(&app, "/wait", Some("profile")));
    assert!(headers.contains_key("x-flashlamp-profile"));
    assert!(
        headers["x-flashlamp-status"]
            .to_str()
            .unwrap()
            .contains("outer layer")
    );
    let (_, profiles) = finish(setup);
    assert_eq!(profiles.len(), 1);
    assert_whole(&profiles[0].profile());
}

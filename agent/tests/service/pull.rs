//! Profiles by pull, over TCP, as scrapers ask for them.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use axum::Router;
use flashlamp::profile::{Column, Limits, Profile, decode, encode, labels};
use flashlamp::{Agent, PprofService};

use crate::stub::{Stub, until};

const SOON: Duration = Duration::from_secs(20);

/// Serves on a thread of its own, which ends with the test's process.
fn serve(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, routes).await.unwrap();
        });
    });
    address
}

fn agent_routes() -> (Agent, SocketAddr) {
    let builder = Agent::builder().service("shop");
    let agent = builder.collector(&*Stub::accepting().url).start().unwrap();
    let address = serve(agent.pprof_routes());
    (agent, address)
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn profile(&self) -> Profile {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        decode::pprof(&self.body, &Limits::default()).unwrap()
    }
}

fn send(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn receive(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: status.parse().unwrap(),
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        body,
    }
}

fn request(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: shop\r\n{more}Connection: close\r\n\r\n")
}

fn get(address: SocketAddr, path: &str) -> Answer {
    receive(send(address, &request("GET", path, "")))
}

#[inline(never)]
fn burn_in_the_service() -> u64 {
    (0..100_000).fold(1_u64, |value, n| black_box(value.wrapping_mul(31) ^ n))
}

/// Keeps a thread busy until the test ends.
fn busy() {
    std::thread::spawn(|| {
        loop {
            black_box(burn_in_the_service());
        }
    });
}

#[test]
fn profile_is_answered_as_go_answers_it() {
    busy();
    let (_agent, address) = agent_routes();
    let answer = get(address, "/debug/pprof/profile?seconds=1");
    let profile = answer.profile();
    let header = |name: &str| answer.headers.get(name).map(String::as_str);
    assert_eq!(header("content-type"), Some("application/octet-stream"));
    let file = Some("attachment; filename=\"profile\"");
    assert_eq!(header("content-disposition"), file);
    assert_eq!(header("content-encoding"), None, "the file is gzip itself");
    assert_eq!(answer.body[..2], [0x1f, 0x8b]);
    let length = answer.body.len().to_string();
    assert_eq!(header("content-length"), Some(&*length));
    let types: Vec<_> = profile.value_types().iter().map(|one| &*one.name).collect();
    assert_eq!(types, ["cpu"]);
    assert!(profile.duration().unwrap().as_nanos() >= 1_000_000_000);
    assert_eq!(profile.period().unwrap().as_nanos(), 10_000_000);
    let folded = encode::folded(&profile, Column::Events);
    assert!(folded.contains("burn_in_the_service"), "{folded}");
    assert!(!folded.contains("flashlamp::pull"), "ours is not sampled");
    let program = std::env::current_exe().unwrap();
    let first = &profile.mappings()[0].path;
    assert_eq!(*first, program.to_str().unwrap(), "for pprof the program");
    let untimed = profile.samples().all(|sample| sample.time().is_none());
    assert!(untimed, "scrapers add profiles up");
}

#[test]
fn scrapers_get_what_they_ask_for_in_their_ways() {
    busy();
    let (_agent, address) = agent_routes();
    // Parca: `params` of the job come first, and `seconds` once for every time that it looked
    // for targets. Alloy: the interval less one second. Go: no more than the address.
    for (path, more, clock) in [
        (
            "/debug/pprof/profile?seconds=1&seconds=1&seconds=1",
            "User-Agent: conprof/\r\nAccept-Encoding: gzip\r\n",
            "cpu",
        ),
        (
            "/debug/pprof/profile?clock=wall&seconds=1",
            "User-Agent: conprof/\r\nAccept-Encoding: gzip\r\n",
            "wall",
        ),
        (
            "/debug/pprof/wall?seconds=1",
            "User-Agent: Alloy/v1.11.0 (linux; docker)\r\nAccept-Encoding: gzip\r\n",
            "wall",
        ),
        (
            "/debug/pprof/profile?seconds=1",
            "User-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n",
            "cpu",
        ),
    ] {
        let answer = receive(send(address, &request("GET", path, more)));
        let profile = answer.profile();
        assert!(!answer.headers.contains_key("content-encoding"), "{path}");
        assert_eq!(profile.value_types()[0].name, clock, "{path}");
        assert!(profile.samples().len() > 0, "{path}");
    }
}

#[test]
fn refusals_have_a_code_and_say_what_to_do() {
    let (_agent, address) = agent_routes();
    for (path, status, code) in [
        ("/debug/pprof/profile?seconds=0", 400, "bad_seconds: "),
        ("/debug/pprof/profile?seconds=soon", 400, "bad_seconds: "),
        ("/debug/pprof/profile?clock=moon", 400, "bad_clock: "),
        ("/debug/pprof/wall?period=1us", 400, "bad_period: "),
        ("/debug/pprof/heap", 404, "no_such_profile: "),
    ] {
        let answer = get(address, path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text().starts_with(code), "{path}: {}", answer.text());
        assert!(answer.text().ends_with('\n'));
        assert_eq!(answer.headers["x-go-pprof"], "1", "{path}");
        let disposition = answer.headers.get("content-disposition");
        assert_eq!(disposition, None, "{path}");
    }
    let post = request("POST", "/debug/pprof/symbol", "Content-Length: 0\r\n");
    let posted = receive(send(address, &post));
    assert_eq!(posted.status, 405);
    assert_eq!(posted.headers["allow"], "GET, HEAD");
}

#[test]
fn head_is_answered_at_once_and_without_a_profile() {
    let (_agent, address) = agent_routes();
    let head = |path: &str| receive(send(address, &request("HEAD", path, "")));
    let there = head("/debug/pprof/profile?seconds=300");
    assert_eq!((there.status, there.body.len()), (200, 0));
    assert_eq!(there.headers["content-type"], "application/octet-stream");
    let length = there.headers.get("content-length");
    assert_eq!(length, None, "what GET would answer has another");
    assert_eq!(head("/debug/pprof/profile?seconds=0").status, 400);
    assert_eq!(head("/debug/pprof/").status, 200);
}

#[test]
fn index_tells_what_there_is_also_without_its_last_slash() {
    let (_agent, address) = agent_routes();
    let index = get(address, "/debug/pprof/");
    assert_eq!(index.status, 200);
    for link in ["href=\"profile?seconds=5\"", "href=\"wall?seconds=5\""] {
        assert!(index.text().contains(link), "{}", index.text());
    }
    let moved = get(address, "/debug/pprof");
    assert_eq!((moved.status, &*moved.headers["location"]), (301, "pprof/"));
}

#[test]
fn client_that_goes_away_frees_its_place_and_too_many_are_refused() {
    let (_agent, address) = agent_routes();
    let long = request("GET", "/debug/pprof/profile?seconds=300", "");
    let mut waiting: Vec<TcpStream> = (0..4).map(|_| send(address, &long)).collect();
    // Connections are taken in no order: ask until all four have their places.
    until("four places are taken", || {
        get(address, "/debug/pprof/profile?seconds=1").status == 429
    });
    let refused = get(address, "/debug/pprof/profile?seconds=1");
    assert!(refused.text().starts_with("too_many_profiles: "));
    let wait: u64 = refused.headers["retry-after"].parse().unwrap();
    assert!((1..=300).contains(&wait), "{wait}");
    drop(waiting.pop());
    until("the place is free", || {
        get(address, "/debug/pprof/profile?seconds=1").status == 200
    });
    drop(waiting);
}

#[test]
fn entry_points_are_labels_and_the_books_are_the_profile_s_own() {
    busy();
    let (agent, address) = agent_routes();
    let profile = get(address, "/debug/pprof/profile?seconds=1").profile();
    let labels: BTreeSet<_> = profile
        .samples()
        .flat_map(|sample| profile.label_pairs(sample.labels()))
        .collect();
    assert_eq!(labels, BTreeSet::from([(labels::ENTRY, labels::NO_ENTRY)]));
    assert_eq!(profile.lost().events, 0, "{:?}", profile.losses());
    assert!(profile.stored().events > 0);
    // The agent's own books are of what goes to the collector.
    let stats = agent.shutdown(SOON);
    assert_eq!(stats.lost_total().events, 0, "{stats:?}");
    assert_eq!(stats.faults, 0);
    let stopped = get(address, "/debug/pprof/profile?seconds=1");
    assert_eq!(stopped.status, 503);
    assert!(stopped.text().starts_with("stopped: "));
}

#[test]
fn service_stands_below_any_prefix_and_without_an_agent() {
    busy();
    let nested = Router::new().nest_service("/inside/debug/pprof", PprofService::new());
    let address = serve(nested);
    let profile = get(address, "/inside/debug/pprof/profile?seconds=1").profile();
    assert!(profile.stored().events > 0);
    assert_eq!(get(address, "/inside/debug/pprof/").status, 200);
}

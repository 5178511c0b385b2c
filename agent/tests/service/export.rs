//! The agent against a tiny collector: every sample is stored, lost with a reason, or in flight.

use std::hint::black_box;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use flashlamp::profile::{Tally, labels};
use flashlamp::{Agent, StartError, Stats};

use crate::stub::{Stub, until};

const SOON: Duration = Duration::from_secs(20);

fn start(url: &str) -> Agent {
    let period = Duration::from_millis(1);
    Agent::builder()
        .service("a shop")
        .collector(url)
        .period(period)
        .start()
        .unwrap()
}

/// Works until the agent has taken so many more samples, however busy the machine is.
fn work(agent: &Agent, samples: u64) {
    let taken = || agent.stats().taken.samples;
    let enough = taken() + samples;
    until("samples", || {
        spin();
        taken() >= enough
    });
}

/// Works for a moment.
fn spin() {
    let value = (0..100_000_u64).fold(1_u64, |value, _| black_box(value.wrapping_mul(31)));
    black_box(value);
}

fn assert_balanced(stats: &Stats) {
    assert_eq!(
        stats.taken,
        stats.stored + stats.lost_total() + stats.in_flight,
        "{stats:?}"
    );
    assert!(!stats.lost.contains_key("unaccounted"), "{stats:?}");
    assert_eq!(stats.faults, 0);
}

extern "C" fn other_handler(_signal: libc::c_int) {}

fn set_handler(handler: libc::sighandler_t) {
    // SAFETY: the handlers used here do nothing, or are the default.
    let before = unsafe { libc::signal(libc::SIGPROF, handler) };
    assert_ne!(before, libc::SIG_ERR);
}

/// Blocks or unblocks the sampling signal for this thread.
fn change_mask(how: libc::c_int) {
    // SAFETY: sigset_t is a C array of integers: all zeroes is valid.
    let mut mask: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `mask` is live, and the signal exists.
    unsafe { libc::sigaddset(&raw mut mask, libc::SIGPROF) };
    // SAFETY: changes this thread's mask only.
    unsafe { libc::pthread_sigmask(how, &raw const mask, std::ptr::null_mut()) };
}

#[test]
fn handler_that_was_replaced_is_told_and_the_default_is_undone() {
    let stub = Stub::accepting();
    let agent = start(&stub.url);
    assert!(!agent.stats().handler_replaced);
    // A signal that comes meanwhile would end the process: those to this thread have to wait, and on
    // the CPU clock a thread that waits has none.
    change_mask(libc::SIG_BLOCK);
    set_handler(libc::SIG_DFL);
    until("the look", || agent.stats().handler_replaced);
    change_mask(libc::SIG_UNBLOCK);
    let before = agent.stats().taken.samples;
    work(&agent, 5);
    assert!(agent.stats().taken.samples > before, "our handler is back");
    set_handler(other_handler as *const () as libc::sighandler_t);
    let stats = agent.shutdown(SOON);
    assert_balanced(&stats);
}

/// Losses without those of the kernel: on a busy machine a CPU timer may not come to its signal.
fn lost_by_us(stats: &Stats) -> Tally {
    let of_the_kernel = ["undelivered", "unseen"];
    let ours = stats
        .lost
        .iter()
        .filter(|(reason, _)| !of_the_kernel.contains(&reason.as_str()));
    ours.map(|(_, tally)| *tally).sum()
}

#[test]
fn everything_taken_is_stored_by_the_collector() {
    let stub = Stub::accepting();
    let agent = start(&stub.url);
    work(&agent, 10);
    assert_balanced(&agent.stats());
    assert!(agent.stats().in_flight.samples > 0);
    assert!(agent.flush(SOON));
    work(&agent, 5);
    let stats = agent.shutdown(SOON);
    assert_balanced(&stats);
    assert!(stats.taken.samples >= 15, "{stats:?}");
    assert_eq!(lost_by_us(&stats), Tally::default(), "{stats:?}");
    assert_eq!(stats.in_flight, Tally::default());
    assert_eq!(stub.stored(), stats.stored, "the collector counts the same");
    let windows = stub.received();
    assert!(windows.len() >= 2);
    for window in &windows {
        assert!(
            window
                .path
                .starts_with("/api/v1/samples?service=a%20shop&from="),
            "{}",
            window.path
        );
        assert_eq!(window.headers["content-type"], "application/x-protobuf");
        let profile = window.profile();
        for sample in profile.samples() {
            assert_eq!(
                profile.label(sample.labels(), labels::ENTRY),
                Some(labels::NO_ENTRY)
            );
        }
    }
    let keys: std::collections::BTreeSet<_> = windows
        .iter()
        .map(|window| window.headers["idempotency-key"].clone())
        .collect();
    assert_eq!(keys.len(), windows.len(), "each window has its own key");
    assert!(keys.iter().all(|key| key.find('-') == Some(32)), "{keys:?}");
}

#[test]
fn collector_can_be_named_by_its_host() {
    let stub = Stub::accepting();
    let agent = start(&stub.url.replace("127.0.0.1", "localhost"));
    work(&agent, 5);
    let stats = agent.shutdown(SOON);
    assert_balanced(&stats);
    assert_eq!(stats.stored, stats.taken, "{stats:?}");
    assert_eq!(stub.stored(), stats.stored);
}

#[test]
fn busy_collector_is_asked_again_with_the_same_key() {
    let stub = Stub::answering(|count, _| match count {
        0 => (503, vec![("retry-after", "1".to_owned())]),
        1 => (429, Vec::new()),
        2 => (500, Vec::new()),
        _ => (204, Vec::new()),
    });
    let agent = start(&stub.url);
    work(&agent, 5);
    let stats = agent.shutdown(SOON);
    assert_balanced(&stats);
    assert_eq!(stats.stored, stats.taken, "{stats:?}");
    let received = stub.received();
    assert!(received.len() >= 4);
    let keys: Vec<_> = received
        .iter()
        .map(|one| &one.headers["idempotency-key"])
        .collect();
    assert_eq!(keys[0], keys[3], "the same piece is the same key");
    assert_eq!(received[0].body, received[3].body);
}

#[test]
fn refused_window_is_a_loss_that_the_next_one_tells_of() {
    let stub = Stub::answering(|count, _| (if count == 0 { 400 } else { 204 }, Vec::new()));
    let agent = start(&stub.url);
    work(&agent, 5);
    assert!(agent.flush(SOON));
    let refused = agent.stats().lost["collector_refused"];
    assert!(refused.samples > 0);
    work(&agent, 5);
    let stats = agent.shutdown(SOON);
    assert_balanced(&stats);
    assert_eq!(stats.lost["collector_refused"], refused);
    assert_eq!(
        stub.lost()["collector_refused"],
        refused,
        "the collector knows what it refused"
    );
    assert_eq!(stub.stored(), stats.stored);
}

#[test]
fn unreachable_collector_costs_bounded_time_and_counted_samples() {
    // Nobody gets this port from the system, unlike one that was free a moment ago.
    let agent = start("http://127.0.0.1:1");
    work(&agent, 5);
    let began = Instant::now();
    assert!(!agent.flush(Duration::from_millis(300)));
    assert_balanced(&agent.stats());
    let stats = agent.shutdown(Duration::from_millis(300));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_balanced(&stats);
    assert_eq!(stats.stored, Tally::default());
    assert!(
        stats.lost["collector_unreachable"].samples >= 5,
        "{stats:?}"
    );
    assert_eq!(stats.lost["collector_unreachable"], lost_by_us(&stats));
}

#[test]
fn silent_collector_does_not_hold_up_the_drop() {
    // Accepts by the kernel's backlog and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let agent = start(&format!("http://{}", listener.local_addr().unwrap()));
    work(&agent, 5);
    let began = Instant::now();
    drop(agent);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn outage_that_ends_loses_nothing() {
    let gate = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let open = std::sync::Arc::clone(&gate);
    let stub = Stub::answering(move |_, _| {
        let status = if open.load(std::sync::atomic::Ordering::SeqCst) {
            204
        } else {
            502
        };
        (status, Vec::new())
    });
    let agent = start(&stub.url);
    work(&agent, 5);
    assert!(!agent.flush(Duration::from_millis(100)));
    gate.store(true, std::sync::atomic::Ordering::SeqCst);
    work(&agent, 5);
    let stats = agent.shutdown(SOON);
    assert_balanced(&stats);
    assert_eq!(lost_by_us(&stats), Tally::default(), "{stats:?}");
    assert_eq!(stub.stored(), stats.stored);
}

#[test]
fn windows_are_sent_without_being_asked() {
    let stub = Stub::accepting();
    let agent = start(&stub.url);
    until("a window", || {
        spin();
        stub.received().iter().any(crate::stub::Received::is_window)
    });
    assert_balanced(&agent.shutdown(SOON));
}

#[test]
fn two_agents_keep_their_books_apart() {
    let (one, two) = (Stub::accepting(), Stub::accepting());
    let (first, second) = (start(&one.url), start(&two.url));
    work(&first, 10);
    let stats = first.shutdown(SOON);
    assert_balanced(&stats);
    assert_eq!(one.stored(), stats.stored);
    work(&second, 5);
    let stats = second.shutdown(SOON);
    assert_balanced(&stats);
    assert_eq!(two.stored(), stats.stored);
}

#[test]
fn agent_without_a_collector_does_not_start() {
    let error = Agent::builder()
        .service("shop")
        .collector("127.0.0.1:1")
        .start()
        .unwrap_err();
    assert!(matches!(error, StartError::BadUrl { .. }), "{error}");
}

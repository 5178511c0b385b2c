//! One request, without a service around it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, RwLock, mpsc};
use std::time::Duration;

use super::profiled::{ProfiledRequest, Refusal};
use super::toggle::Slip;
use super::{Scope, toggle};
use crate::agent::Shared;
use crate::clock;
use crate::entries::EntryNames;
use crate::perf_map::JitMap;
use crate::process::Process;
use crate::registry::Registry;
use crate::sampler::watch::Watch;
use crate::symbolize::Symbolizer;

/// The state of a process that is not this one, as a forked child finds it.
fn process_of_the_parent() -> &'static Process {
    let pid = -1;
    Box::leak(Box::new(Process {
        pid,
        watch: Mutex::new(Watch::default()),
        registry: Mutex::new(Registry::new(pid)),
        wake: Condvar::new(),
        perf_map: Mutex::new(None),
        jit: Mutex::new(JitMap::default()),
        ended_requests: Mutex::new(Vec::new()),
        entries: RwLock::new(EntryNames::default()),
        symbols: Mutex::new(Symbolizer::default()),
    }))
}

#[test]
fn request_in_a_forked_child_needs_no_lock_of_the_parent() {
    let process = process_of_the_parent();
    // Held by threads of the parent, which the child does not have.
    let registry = process.lock();
    let entries = process.entries.write().unwrap();
    let (done, waits) = mpsc::channel();
    std::thread::spawn(move || {
        let mut scope = Scope::new(Arc::new(Shared::idle(process)), "/cart");
        let marked = scope.enter().mark.is_some();
        drop(scope);
        done.send(marked).unwrap();
    });
    let marked = waits.recv_timeout(Duration::from_secs(20));
    assert!(!marked.expect("the request goes through"));
    drop((registry, entries));
}

#[test]
fn readme_lists_every_status() {
    let readme = include_str!("../../README.md");
    let refusals = [
        Refusal::Unsigned,
        Refusal::NotAToggle,
        Refusal::TooMany,
        Refusal::Stopped,
        Refusal::NoTimer,
        Refusal::Nested,
    ];
    let slips = [
        Slip::PeriodUnreadable,
        Slip::PeriodOutOfRange,
        Slip::NameEmpty,
        Slip::ParameterUnknown,
    ];
    let texts = refusals.map(Refusal::text).into_iter();
    for text in texts.chain(slips.map(Slip::text)) {
        assert!(readme.contains(&format!("\n| `{text}` |")), "{text}");
    }
}

#[test]
fn profile_of_a_request_that_does_not_end_is_ended_at_the_limit() {
    let process = Process::current();
    let shared = Arc::new(Shared::idle(process));
    let mut scope = Scope::new(Arc::clone(&shared), "/events");
    let toggle = toggle::parse("profile").unwrap();
    let name = "GET /events".to_owned();
    let begun = ProfiledRequest::begin(&shared, &toggle, scope.entry, name).unwrap();
    scope.profiled = Some(begun);
    drop(scope.enter());
    let profiled = scope.profiled.as_mut().expect("it has only begun");
    profiled.until_ns = clock::monotonic_ns();
    assert!(scope.enter().mark.is_some(), "the request goes on");
    assert!(scope.profiled.is_none());
    // The drain may have come before.
    process.lock().cycle();
    let deadline = clock::monotonic_ns() + 20_000_000_000;
    while shared.profiled_requests.load(Ordering::Acquire) > 0 {
        assert!(clock::monotonic_ns() < deadline, "its place is not free");
        std::thread::yield_now();
    }
}

//! What reading takes is bounded, however wide and deep the stored data is.
#![cfg(test)]

mod fixture;

use std::ops::ControlFlow;

use fixture::Server;
use flashlamp_collector::store::KeyRange;
use flashlamp_collector::store::keys::{self, Bucket, Series};
use flashlamp_collector::time::Day;

/// Folded text of `count` functions whose names have `length` bytes and begin with `prefix`.
fn wide(prefix: &str, count: usize, length: usize) -> String {
    let line = |number| format!("main;{prefix}{number:0length$} 1\n");
    (0..count).map(line).collect()
}

const MADE_OF_IT: [&str; 7] = [
    "/api/v1/flamegraph?service=wide&format=json",
    "/api/v1/flamegraph?service=wide&format=folded",
    "/api/v1/flamegraph?service=wide&format=folded&reverse=1",
    "/api/v1/flamegraph?service=wide&format=pprof",
    "/api/v1/flamegraph?service=wide&format=speedscope",
    "/api/v1/flamegraph?service=wide&format=svg",
    "/day/2026-11-22/wide",
];

#[test]
fn an_answer_that_does_not_fit_is_refused_and_others_go_on() {
    let server = Server::start_with(|config| {
        config.small_answer_bytes = 1 << 20;
        config.large_answer_bytes = 6 << 20;
    });
    server.window("service=small", "main 1\n");
    server.window("service=wide", &wide("f", 20_000, 40));
    for address in MADE_OF_IT {
        let reply = server.get(address);
        let refused = (reply.status, reply.code().to_string());
        assert_eq!(refused, (422, "answer_too_large".to_owned()), "{address}");
        assert_eq!(server.metric("flashlamp_answers_bytes"), 0);
    }
    assert_eq!(server.folded("service=small"), "main 1\n");
}

#[test]
fn lists_count_as_other_answers_do() {
    let server = Server::start_with(|config| {
        config.small_answer_bytes = 4 << 10;
        config.large_answer_bytes = 32 << 10;
    });
    let lists = ["/api/v1/services", "/api/v1/profiles", "/"];
    for address in lists {
        assert_eq!(server.get(address).status, 200, "{address}");
    }
    let (name, url) = ("s".repeat(200), "u".repeat(2_000));
    for number in 0..30 {
        server.window(&format!("service={name}{number}"), "main 1\n");
        let query = format!("service=s&url=http://{url}");
        let reply = server.post(&format!("/api/v1/profiles?{query}"), b"main 1\n");
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
    for address in lists {
        let reply = server.get(address);
        let refused = (reply.status, reply.code().to_string());
        assert_eq!(refused, (422, "answer_too_large".to_owned()), "{address}");
    }
    assert_eq!(server.metric("flashlamp_answers_bytes"), 0);
}

#[test]
fn the_same_answers_are_given_where_there_is_room() {
    let server = Server::start_with(|_| {});
    server.window("service=wide", &wide("f", 20_000, 40));
    for address in MADE_OF_IT {
        assert_eq!(server.get(address).status, 200, "{address}");
    }
    assert_eq!(server.metric("flashlamp_answers_bytes"), 0);
}

#[test]
fn names_times_depth_is_counted_before_it_is_written() {
    let server = Server::start_with(|config| config.large_answer_bytes = 64 << 20);
    // One name of 16 KB, in stacks of which each has it once more: 1 MB becomes 1 GB of text.
    let name = "n".repeat(16_000);
    let speedscope = serde_json::json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "shared": {"frames": [{"name": name}]},
        "profiles": [{
            "type": "sampled", "name": "deep", "unit": "none", "startValue": 0, "endValue": 400,
            "samples": (1..=400).map(|depth| vec![0; depth]).collect::<Vec<_>>(),
            "weights": vec![1; 400],
        }],
    });
    let body = serde_json::to_vec(&speedscope).unwrap();
    let reply = server.post("/api/v1/samples?service=deep", &body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    for format in ["folded", "folded&reverse=1"] {
        let address = format!("/api/v1/flamegraph?service=deep&format={format}");
        let reply = server.get(&address);
        assert_eq!(reply.code(), "answer_too_large", "{address}");
    }
    for format in ["pprof", "speedscope", "json"] {
        let address = format!("/api/v1/flamegraph?service=deep&format={format}");
        assert_eq!(server.get(&address).status, 200, "{address}");
    }
}

/// How many parts the day has, and how many of them are open.
fn parts_of_day(server: &Server) -> (usize, usize) {
    let series = Series {
        tenant: keys::TENANT.to_owned(),
        service: "wide".to_owned(),
        types: String::new(),
    };
    let day = Bucket::Day(Day::parse("2026-11-22").unwrap());
    let count = |range: &KeyRange| {
        let mut count = 0;
        let snapshot = server.store.snapshot().unwrap();
        let mut visit = |_: &[u8]| {
            count += 1;
            ControlFlow::Continue(())
        };
        snapshot.scan_keys(range, &mut visit).unwrap();
        count
    };
    (
        count(&keys::parts(&series, day)),
        count(&keys::open_parts(&series, day)),
    )
}

#[test]
fn a_wide_day_stays_in_parts_of_which_each_can_be_read() {
    let server = Server::start();
    // Any two of these windows are too large to be merged.
    for prefix in ["a", "b", "c"] {
        server.window("service=wide", &wide(prefix, 700, 13_000));
    }
    server.window("service=wide", "main;small 1\n");
    server.window("service=wide", "main;small 1\n");
    server.clock.set(fixture::instant("2026-11-23T00:10:00Z"));
    while server.compact() > 0 {}
    let (all, open) = parts_of_day(&server);
    assert!((3..=4).contains(&all), "{all} parts");
    assert!(open <= 1, "{open} open parts");
    let day = "from=2026-11-22T00:00:00Z&until=2026-11-23T00:00:00Z";
    let folded = server.folded(&format!("service=wide&{day}"));
    assert_eq!(folded.lines().count(), 3 * 700 + 1);
    assert!(folded.contains("main;small 2\n"));
}

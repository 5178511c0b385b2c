//! Bad input: each kind gets its code, and nothing of it is stored.

#![cfg(test)]

mod fixture;

use std::io::Write as _;

use fixture::{Reply, Server};
use serde_json::{Value, json};

/// A speedscope file with one frame, two samples and these replacements.
fn speedscope(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut file = json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "shared": {"frames": [{"name": "main"}]},
        "profiles": [{
            "type": "sampled", "name": "p", "unit": "nanoseconds",
            "startValue": 0, "endValue": 3, "samples": [[0], [0]], "weights": [1, 2],
        }],
    });
    change(&mut file);
    serde_json::to_vec(&file).unwrap()
}

fn gzip_of_zeros(bytes: u64) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(
        &mut std::io::Read::take(std::io::repeat(0), bytes),
        &mut encoder,
    )
    .unwrap();
    encoder.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Sends a body to both addresses; both refuse it alike and store nothing of it.
fn check(server: &Server, headers: &[(&str, &str)], body: &[u8], status: u16, code: &str) {
    for path in [
        "/api/v1/samples?service=bad",
        "/api/v1/profiles?service=bad",
    ] {
        let reply = server.post_with(path, body, headers);
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (status, code),
            "{}",
            reply.text()
        );
        assert!(!reply.json()["error"]["detail"].as_str().unwrap().is_empty());
        let browser: Vec<_> = headers
            .iter()
            .copied()
            .chain([("accept", "text/html")])
            .collect();
        let page = server.post_with(path, body, &browser);
        assert_eq!(page.status, status);
        assert!(page.text().contains(code), "{}", page.text());
    }
    let count = format!("flashlamp_requests_refused_total{{code=\"{code}\"}}");
    assert!(server.metric(&count) >= 4, "{code} is not counted");
    nothing_is_stored(server);
}

fn nothing_is_stored(server: &Server) {
    assert_eq!(
        server.get("/api/v1/services").json(),
        json!({"services": [], "complete": true})
    );
    assert_eq!(
        server.get("/api/v1/profiles").json(),
        json!({"profiles": []})
    );
    assert_eq!(server.metric("flashlamp_samples_stored_total"), 0);
    assert_eq!(server.metric("flashlamp_decode_budget_taken_bytes"), 0);
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[test]
fn bodies_that_are_not_what_they_say_are_refused() {
    let server = Server::start();
    let pprof = [("content-type", "application/x-protobuf")];
    let text = [("content-type", "text/plain; charset=utf-8")];
    check(&server, &[], b"", 400, "empty_body");
    check(&server, JSON, b"main 1\n", 400, "bad_json");
    check(&server, &pprof, b"main 1\n", 400, "bad_pprof");
    check(&server, &text, b"\xFF\xFE 1\n", 400, "not_utf8");
    check(&server, &[], b"gr\xF6\xDFe 1\n", 400, "not_utf8");
    check(&server, &text, b"main one\n", 400, "folded_line");
    check(
        &server,
        &[("content-encoding", "gzip")],
        b"main 1\n",
        400,
        "bad_gzip",
    );
    check(
        &server,
        &[("content-encoding", "zstd")],
        b"main 1\n",
        400,
        "bad_zstd",
    );
    check(
        &server,
        &[("content-encoding", "br")],
        b"main 1\n",
        415,
        "unsupported_encoding",
    );
    check(
        &server,
        &[("content-encoding", "gzip, gzip")],
        b"",
        415,
        "unsupported_encoding",
    );
    let whole = gzip(b"main 1\n");
    check(
        &server,
        &[("content-encoding", "gzip")],
        &whole[..whole.len() - 4],
        400,
        "bad_gzip",
    );
    check(&server, &[], &whole[..whole.len() - 4], 400, "bad_gzip");
    let thrice = gzip(&gzip(&gzip(b"main 1\n")));
    check(
        &server,
        &[("content-encoding", "gzip")],
        &thrice,
        400,
        "nested_compression",
    );
}

#[test]
fn speedscope_files_that_do_not_hold_together_are_refused() {
    let server = Server::start();
    let p = |file: &mut Value| std::mem::take(&mut file["profiles"][0]);
    let with = |key: &'static str, value: Value| {
        speedscope(move |file| {
            let mut profile = p(file);
            profile[key] = value;
            file["profiles"][0] = profile;
        })
    };
    check(
        &server,
        JSON,
        &with("weights", json!([1])),
        400,
        "weights_length",
    );
    check(
        &server,
        JSON,
        &with("weights", json!([1, 2, 3])),
        400,
        "weights_length",
    );
    check(
        &server,
        JSON,
        &with("weights", json!([1, -2])),
        400,
        "weight_negative",
    );
    check(
        &server,
        JSON,
        &with("weights", json!([1, null])),
        400,
        "weight_not_a_number",
    );
    check(
        &server,
        JSON,
        &with("samples", json!([[0], [1]])),
        400,
        "frame_index",
    );
    check(
        &server,
        JSON,
        &with("samples", json!([[0], [7_000_000]])),
        400,
        "frame_index",
    );
    check(
        &server,
        JSON,
        &with("type", json!("sampledd")),
        400,
        "unknown_profile_type",
    );
    check(
        &server,
        JSON,
        &with("unit", json!("fortnights")),
        400,
        "unknown_unit",
    );
    let nan = String::from_utf8(speedscope(|_| {}))
        .unwrap()
        .replace("[1,2]", "[1,NaN]");
    check(&server, JSON, nan.as_bytes(), 400, "bad_json");
}

#[test]
fn a_stack_of_100_000_frames_is_refused_and_one_of_1_000_is_drawn() {
    let server = Server::start();
    let folded = |depth: usize| {
        let mut text = vec!["f"; depth].join(";");
        text.push_str(" 1\n");
        text
    };
    check(
        &server,
        &[],
        folded(100_000).as_bytes(),
        400,
        "stack_too_deep",
    );
    let deep = speedscope(|file| {
        file["profiles"][0]["samples"][0] = json!(vec![0; 100_000]);
    });
    check(&server, JSON, &deep, 400, "stack_too_deep");
    server.window("service=deep", &folded(1_000));
    for path in [
        "/day/2026-11-22/deep",
        "/api/v1/flamegraph?service=deep&format=json",
    ] {
        assert_eq!(server.get(path).status, 200);
    }
}

/// 4,000 frames are opened once, and 5,000 leaves one after the other on top of them: 20 million
/// frames in less than a megabyte.
#[test]
fn stacks_that_share_their_beginning_are_bounded_by_what_they_unfold_to() {
    let server = Server::start();
    let (depth, leaves) = (4_000, 5_000);
    let event =
        |kind: &str, frame: usize, at: usize| json!({"type": kind, "frame": frame, "at": at});
    let opened = (0..depth).map(|frame| event("O", frame, 0));
    let on_top = (0..leaves).flat_map(|leaf| {
        [
            event("O", depth + leaf, leaf),
            event("C", depth + leaf, leaf + 1),
        ]
    });
    let closed = (0..depth).rev().map(|frame| event("C", frame, leaves));
    let events: Vec<Value> = opened.chain(on_top).chain(closed).collect();
    let frames: Vec<Value> = (0..depth + leaves)
        .map(|n| json!({"name": format!("f{n}")}))
        .collect();
    let file = json!({
        "shared": {"frames": frames},
        "profiles": [{"type": "evented", "name": "p", "unit": "none", "startValue": 0,
            "endValue": leaves, "events": events}],
    });
    let body = serde_json::to_vec(&file).unwrap();
    assert!(body.len() < 1 << 20);
    check(&server, JSON, &body, 413, "too_many_frames");
}

/// 500 stacks of 4,000 frames with ten values each: 20 million frames as speedscope lists them.
#[test]
fn stacks_are_counted_once_for_each_value() {
    use flashlamp_profile::{
        EventCount, FrameSpec, LabelSetId, NewSample, ProfileBuilder, ValueType, encode,
    };
    let server = Server::start();
    let mut builder = ProfileBuilder::new();
    let types: Vec<_> = (0..10)
        .map(|number| ValueType::new(format!("value {number}"), "count"))
        .collect();
    builder.value_types(&types);
    let shared = builder.frame(&FrameSpec::new("main"));
    let below = builder.stack_root_first(vec![shared; 3_999]);
    for leaf in 0..500 {
        let leaf = builder.frame(&FrameSpec::new(&format!("f{leaf}")));
        let stack = Some(builder.stack(below, leaf));
        builder.sample(NewSample {
            stack,
            event_count: EventCount::ONE,
            values: &[1; 10],
            time: None,
            thread: None,
            labels: LabelSetId::EMPTY,
        });
    }
    let body = encode::pprof(&builder.build().unwrap());
    check(&server, &[], &body, 413, "too_many_frames");
}

#[test]
fn bombs_are_refused_and_cost_what_is_allowed() {
    let server = Server::start();
    let before = resident_bytes_max();
    let bomb = gzip_of_zeros(1 << 30);
    assert!(bomb.len() < 2 << 20);
    check(
        &server,
        &[("content-encoding", "gzip")],
        &bomb,
        413,
        "inflated_too_large",
    );
    check(&server, &[], &bomb, 413, "inflated_too_large");
    check(
        &server,
        &[("content-encoding", "gzip")],
        &gzip(&bomb),
        413,
        "inflated_too_large",
    );
    let zeros = vec![0; 64 << 20];
    let bomb = zstd::bulk::compress(&zeros, 3).unwrap();
    drop(zeros);
    check(
        &server,
        &[("content-encoding", "zstd")],
        &bomb,
        413,
        "inflated_too_large",
    );
    check(
        &server,
        &[("content-encoding", "gzip")],
        &gzip(&bomb),
        413,
        "inflated_too_large",
    );
    // The test's own 64 MiB of zeros count too.
    let grown = resident_bytes_max() - before;
    assert!(grown < 320 << 20, "the peak grew by {grown} bytes");
}

#[test]
fn a_gzip_body_of_very_many_members_is_refused() {
    let server = Server::start();
    let body = gzip(b"").repeat(700_000);
    check(&server, &[], &body, 400, "bad_gzip");
    check(
        &server,
        &[("content-encoding", "gzip")],
        &body,
        400,
        "bad_gzip",
    );
}

#[test]
fn a_zstd_frame_that_wants_a_huge_window_is_refused() {
    let server = Server::start();
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.write_all(b"main 1\n").unwrap();
    let frame = encoder.finish().unwrap();
    check(
        &server,
        &[("content-encoding", "zstd")],
        &frame,
        400,
        "bad_zstd",
    );
}

/// The largest resident size that this process has had.
fn resident_bytes_max() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim()
        .trim_end_matches(" kB")
        .trim()
        .parse::<u64>()
        .unwrap()
        * 1_024
}

#[test]
fn a_body_that_is_too_large_as_sent_is_refused() {
    let server = Server::start();
    let body = vec![b'x'; (16 << 20) + 1];
    check(&server, &[], &body, 413, "body_too_large");
    let path = format!("{}/api/v1/samples?service=bad", server.url);
    // Without a length in front: the bound holds while it streams.
    let reader = std::io::Read::take(std::io::repeat(b'x'), 40 << 20);
    let mut reader = reader;
    let request = fixture::client().post(&path);
    let reply = Reply::read(
        request
            .send(ureq::SendBody::from_reader(&mut reader))
            .unwrap(),
    );
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (413, "body_too_large")
    );
    nothing_is_stored(&server);
}

/// Query of a window, and the code it is refused with.
const BAD_WINDOWS: &[(&str, &str)] = &[
    ("", "bad_service"),
    ("?service=", "bad_service"),
    ("?service=LONG", "bad_service"),
    ("?service=a%0Ab", "bad_service"),
    ("?service=.", "bad_service"),
    ("?service=%2E%2e", "bad_service"),
    ("?service=%20%20", "bad_service"),
    ("?service=shop%E2%80%8B", "bad_service"),
    ("?service=%E2%80%AEpohs", "bad_service"),
    ("?service=sh%E2%81%A6op", "bad_service"),
    ("?service=%EF%BB%BFshop", "bad_service"),
    ("?service=s&entry=", "bad_entry"),
    ("?service=s&entry=LONG", "bad_entry"),
    ("?service=s&frmo=1", "bad_parameter"),
    ("?service=s&service=t", "bad_parameter"),
    ("?service=%FF", "bad_parameter"),
    ("?service=s&entry=%C3%28", "bad_parameter"),
    ("?service=s&from=yesterday", "bad_time"),
    ("?service=s&from=-1", "bad_time"),
    ("?service=s&until=1e9", "bad_time"),
    (
        "?service=s&from=1795342000&until=1795341000",
        "bad_time_range",
    ),
    (
        "?service=s&from=1795334400&until=1795341000",
        "bad_time_range",
    ),
];

/// Query of a request profile, and the code it is refused with.
const BAD_PROFILES: &[(&str, &str)] = &[
    ("", "bad_service"),
    ("?service=s&name=%ED%A0%80", "bad_parameter"),
    ("?service=s&id=12", "bad_id"),
    ("?service=s&id=gggggggggggggggggggggggggggggggg", "bad_id"),
    ("?service=s&name=LONG", "bad_name"),
    (
        "?service=s&url=LONGLONGLONGLONGLONGLONGLONGLONGLONG",
        "bad_name",
    ),
    ("?service=s&from=1", "bad_parameter"),
];

#[test]
fn parameters_that_make_no_sense_are_refused() {
    let server = Server::start();
    let long = "x".repeat(256);
    for (address, table) in [
        ("/api/v1/samples", BAD_WINDOWS),
        ("/api/v1/profiles", BAD_PROFILES),
    ] {
        for (query, code) in table {
            let path = format!("{address}{}", query.replace("LONG", &long));
            let reply = server.post(&path, b"main 1\n");
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (400, *code),
                "{path}"
            );
        }
    }
    let late = server.post("/api/v1/samples?service=s&from=1&until=2", b"main 1\n");
    assert_eq!((late.status, late.code().as_str()), (422, "too_late"));
    for keys in [
        &[" "][..],
        &[long.as_str()],
        &["a\tb"],
        &["kü"],
        &["a", "b"],
        &["a", "a"],
        &["a", ""],
    ] {
        let headers: Vec<_> = keys.iter().map(|key| ("idempotency-key", *key)).collect();
        let reply = server.post_with("/api/v1/samples?service=s", b"main 1\n", &headers);
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, "bad_idempotency_key"),
            "{keys:?}"
        );
    }
    nothing_is_stored(&server);
}

/// An address, its status and its code; `ID` stands for an id that has no profile.
const BAD_QUESTIONS: &[(&str, u16, &str)] = &[
    ("/nope", 404, "not_found"),
    ("/assets/../Cargo.toml", 404, "not_found"),
    ("/assets/nope", 404, "not_found"),
    ("/api/v1/nope", 404, "not_found"),
    ("/api/v1/samples", 405, "method_not_allowed"),
    ("/profile/xyz", 400, "bad_id"),
    ("/fetch/xyz", 400, "bad_id"),
    ("/profile/ID", 404, "profile_not_found"),
    ("/fetch/ID", 404, "profile_not_found"),
    ("/fetch/ID?format=gif", 400, "bad_format"),
    ("/api/v1/profiles/ID", 404, "profile_not_found"),
    ("/api/v1/profiles?limit=0", 400, "bad_parameter"),
    ("/api/v1/profiles?limit=many", 400, "bad_parameter"),
    ("/api/v1/profiles?nope=1", 400, "bad_parameter"),
    ("/api/v1/profiles?service=%FF", 400, "bad_parameter"),
    ("/api/v1/profiles/ID?nope=1", 400, "bad_parameter"),
    ("/api/v1/services?nope=1", 400, "bad_parameter"),
    ("/fetch/ID?nope=1", 400, "bad_parameter"),
    ("/api/v1/flamegraph", 400, "bad_service"),
    ("/api/v1/flamegraph?service=s&nope=1", 400, "bad_parameter"),
    (
        "/api/v1/flamegraph?service=s&entry=%C3",
        400,
        "bad_parameter",
    ),
    ("/day/2026-11-22/s?entry=%C3", 400, "bad_parameter"),
    ("/day/2026-11-22/s?entry=a&entry=b", 400, "bad_parameter"),
    ("/api/v1/flamegraph?service=t", 404, "no_samples"),
    (
        "/api/v1/flamegraph?service=s&entry=/nope",
        404,
        "no_samples",
    ),
    ("/api/v1/flamegraph?service=s&clock=nope", 404, "no_samples"),
    ("/api/v1/flamegraph?service=s&format=gif", 400, "bad_format"),
    (
        "/api/v1/flamegraph?service=s&reverse=maybe",
        400,
        "bad_parameter",
    ),
    (
        "/api/v1/flamegraph?service=s&format=pprof&reverse=1",
        400,
        "bad_parameter",
    ),
    ("/api/v1/flamegraph?service=s&from=x", 400, "bad_time"),
    (
        "/api/v1/flamegraph?service=s&from=2&until=1",
        400,
        "bad_time_range",
    ),
    ("/api/v1/flamegraph?service=s&from=1", 400, "bad_time_range"),
    ("/day/2026-02-30/s", 400, "bad_date"),
    ("/day/2026-11-2/s", 400, "bad_date"),
    ("/day/today/s", 400, "bad_date"),
    ("/hour/2026-11-22T24/s", 400, "bad_date"),
    ("/hour/2026-11-22/s", 400, "bad_date"),
    ("/day/2026-11-21/s", 404, "no_samples"),
    ("/hour/2026-11-22T09/s", 404, "no_samples"),
    ("/day/2026-11-22/t", 404, "no_samples"),
    ("/day/2026-11-22/s?entry=%0A", 400, "bad_entry"),
    ("/day/2026-11-22/%00", 400, "bad_service"),
    ("/day/2026-11-22/%FF", 400, "bad_parameter"),
    ("/profile/%FF", 400, "bad_parameter"),
];

#[test]
fn questions_that_make_no_sense_are_refused() {
    let server = Server::start();
    server.window("service=s", "main 1\n");
    for (path, status, code) in BAD_QUESTIONS {
        let path = path.replace("ID", &"0".repeat(32));
        let reply = server.get(&path);
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (*status, *code),
            "{path}"
        );
        let page = server.get_as(&path, "text/html");
        assert_eq!(page.status, *status, "{path}");
        assert!(page.text().contains(code), "{path}");
    }
}

#[test]
fn pages_take_parameters_that_they_do_not_know() {
    let server = Server::start();
    server.window("service=s", "main 1\n");
    let stored = server.post("/api/v1/profiles?service=s", b"main 1\n");
    let id = stored.json()["id"].as_str().unwrap().to_owned();
    for path in [
        "/?nope=1",
        "/day/2026-11-22/s?x=1.5&s=main&nope",
        "/hour/2026-11-22T10/s?nope=1&nope=2",
        &format!("/profile/{id}?x=1&s=%23"),
        "/healthz?nope",
        "/metrics?nope=1",
    ] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
}

#[test]
fn a_window_with_too_many_entry_points_is_refused() {
    use flashlamp_profile::{EventCount, FrameSpec, NewSample, ProfileBuilder, encode};
    let server = Server::start();
    let body = |entries: usize, length: usize| {
        let mut builder = ProfileBuilder::new();
        let frame = builder.frame(&FrameSpec::new("main"));
        let stack = builder.stack_root_first([frame]);
        for number in 0..entries {
            let entry = format!("{number:0length$}");
            let labels = builder.labels(&[("entry", &entry)]);
            builder.sample(NewSample {
                stack,
                event_count: EventCount::ONE,
                values: &[],
                time: None,
                thread: None,
                labels,
            });
        }
        encode::pprof(&builder.build().unwrap())
    };
    let send = |body: Vec<u8>| server.post("/api/v1/samples?service=s", &body);
    assert_eq!(send(body(1_001, 4)).code(), "too_many_entries");
    assert_eq!(send(body(1, 256)).code(), "bad_entry");
    let made = |entry: &str, value_type: &str| {
        let mut builder = ProfileBuilder::new();
        builder.value_types(&[flashlamp_profile::ValueType::new(value_type, "count")]);
        let labels = builder.labels(&[("entry", entry)]);
        builder.sample(NewSample {
            stack: None,
            event_count: EventCount::ONE,
            values: &[1],
            time: None,
            thread: None,
            labels,
        });
        encode::pprof(&builder.build().unwrap())
    };
    assert_eq!(send(made("/a\n", "alloc")).code(), "bad_entry");
    // What separates the types in a key.
    assert_eq!(send(made("/a", "a\u{1F}count\u{1E}b")).code(), "bad_pprof");
    nothing_is_stored(&server);
    assert_eq!(send(made("/a", "alloc")).status, 200);
    assert_eq!(send(body(1_000, 4)).status, 200);
}

#[test]
fn reasons_for_loss_are_few_and_short() {
    use flashlamp_profile::{ProfileBuilder, Tally, encode};
    let server = Server::start();
    let lost = |reasons: &[String]| {
        let mut builder = ProfileBuilder::new();
        for reason in reasons {
            let one = Tally {
                samples: 1,
                events: 1,
            };
            builder.loss(reason, one);
        }
        encode::pprof(&builder.build().unwrap())
    };
    let many: Vec<String> = (0..65).map(|number| format!("reason_{number}")).collect();
    check(&server, &[], &lost(&many), 400, "too_many_losses");
    check(
        &server,
        &[],
        &lost(&["r".repeat(256)]),
        400,
        "too_many_losses",
    );
    let sent = server.post("/api/v1/samples?service=s", &lost(&many[..64]));
    assert_eq!(sent.status, 200, "{}", sent.text());
}

#[test]
fn counts_far_above_reality_are_refused_and_sums_at_the_ceiling_stay_readable() {
    let server = Server::start();
    let largest = 1_u64 << 56;
    let body = |count: u64| format!("main {count}\n").into_bytes();
    check(&server, &[], &body(largest + 1), 400, "counts_too_large");
    for _ in 0..130 {
        let sent = server.post("/api/v1/samples?service=s", &body(largest));
        assert_eq!(sent.status, 200, "{}", sent.text());
    }
    let ceiling = format!("main {}\n", i64::MAX);
    assert_eq!(server.folded("service=s"), ceiling);
    assert!(server.compact() > 0);
    assert_eq!(server.folded("service=s"), ceiling);
}

//! What the HTTP side promises: formats, numbers, refusals, pages.

#![cfg(test)]

mod fixture;

use std::io::Write as _;

use fixture::{Reply, Server};
use flashlamp_profile::{
    EventCount, FrameSpec, LabelSetId, NewSample, Profile, ProfileBuilder, Tally, ValueType,
    encode, labels, losses,
};
use serde_json::json;

/// A CPU profile with two entry points, overruns and losses: 3 samples of 5 events, 2 lost of 7.
fn window_profile() -> Profile {
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::CPU]);
    for (entry, name, events) in [
        ("/a", "parse", 1_u64),
        ("/a", "render", 3),
        ("/b", "query", 1),
    ] {
        let frames = [
            builder.frame(&FrameSpec::new("main")),
            builder.frame(&FrameSpec::new(name)),
        ];
        let stack = builder.stack_root_first(frames);
        let labels = builder.labels(&[(labels::ENTRY, entry)]);
        builder.sample(NewSample {
            stack,
            event_count: EventCount::new(events),
            values: &[events * 1_000],
            time: None,
            thread: None,
            labels,
        });
    }
    builder.loss(
        losses::RING_FULL,
        Tally {
            samples: 2,
            events: 7,
        },
    );
    builder.build().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).unwrap()
}

#[test]
fn every_format_and_compression_is_taken() {
    let server = Server::start();
    let folded = b"main;a 3\nmain;b 1\n".to_vec();
    let profile = flashlamp_profile::decode::folded(&folded, &Default::default()).unwrap();
    let bodies = [
        ("", folded.clone()),
        ("", encode::speedscope(&profile).into_bytes()),
        ("", encode::pprof(&profile)),
        ("", encode::pprof_uncompressed(&profile)),
        ("", gzip(&folded)),
        ("", zstd(&folded)),
        ("gzip", gzip(&folded)),
        ("zstd", zstd(&folded)),
        ("gzip", gzip(&encode::pprof(&profile))),
        ("zstd", zstd(&encode::pprof(&profile))),
        ("identity", folded),
    ];
    for (number, (encoding, body)) in bodies.iter().enumerate() {
        let headers = [("content-encoding", *encoding)];
        let headers = if encoding.is_empty() {
            &[][..]
        } else {
            &headers[..]
        };
        let reply = server.post_with(&format!("/api/v1/samples?service=s{number}"), body, headers);
        assert_eq!(reply.status, 200, "{number}: {}", reply.text());
        let sum = server.folded(&format!("service=s{number}&clock=samples"));
        assert_eq!(sum, "main;a 3\nmain;b 1\n", "body {number}");

        let reply = server.post_with(
            &format!("/api/v1/profiles?service=s{number}"),
            body,
            headers,
        );
        assert_eq!(reply.status, 201, "{number}: {}", reply.text());
        let id = reply.json()["id"].as_str().unwrap().to_owned();
        let one = server.get(&format!("/fetch/{id}?format=json")).json();
        assert_eq!(
            one["stored"],
            json!({"samples": 4, "events": 4}),
            "body {number}"
        );
    }
}

#[test]
fn taken_is_stored_and_lost_in_every_answer() {
    let server = Server::start();
    let body = encode::pprof(&window_profile());
    let (stored, lost) = (
        json!({"samples": 3, "events": 5}),
        json!({"samples": 2, "events": 7}),
    );
    let taken = json!({"samples": 5, "events": 12});

    let told = server.post("/api/v1/samples?service=shop", &body).json();
    assert_eq!((&told["stored"], &told["lost"]), (&stored, &lost));

    for compacted in [false, true] {
        if compacted {
            server.clock.set(fixture::instant("2026-11-22T12:00:00Z"));
            assert!(server.compact() > 0);
        }
        let sum = server.get("/api/v1/flamegraph?service=shop").json();
        assert_eq!(
            (&sum["taken"], &sum["stored"], &sum["lost"]),
            (&taken, &stored, &lost)
        );
        assert_eq!(sum["losses"], json!({"ring_full": lost}));
        assert_eq!(sum["entries"]["/a"], json!({"samples": 2, "events": 4}));
        assert_eq!(
            (&sum["clock"], &sum["unit"]),
            (&json!("cpu"), &json!("nanoseconds"))
        );
        assert_eq!(sum["nodes"][0]["total"], 5_000);

        let one = server
            .get("/api/v1/flamegraph?service=shop&entry=/a")
            .json();
        assert_eq!(one["stored"], json!({"samples": 2, "events": 4}));
        assert_eq!(one["service_total"]["taken"], taken);
        assert_eq!(one["service_total"]["losses"], json!({"ring_full": lost}));

        let page = server.get("/day/2026-11-22/shop").text();
        for part in [
            "data-taken=\"5\"",
            "data-stored=\"3\"",
            "data-lost=\"2\"",
            "data-taken-events=\"12\"",
            "data-stored-events=\"5\"",
            "data-lost-events=\"7\"",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }

    let told = server.post("/api/v1/profiles?service=shop", &body).json();
    assert_eq!(
        (&told["taken"], &told["stored"], &told["lost"]),
        (&taken, &stored, &lost)
    );
    let id = told["id"].as_str().unwrap();
    let meta = server.get(&format!("/api/v1/profiles/{id}")).json();
    assert_eq!(
        (&meta["taken"], &meta["stored"], &meta["lost"]),
        (&taken, &stored, &lost)
    );
    assert_eq!(meta["losses"], json!({"ring_full": lost}));

    assert_eq!(server.metric("flashlamp_samples_stored_total"), 6);
    assert_eq!(server.metric("flashlamp_events_stored_total"), 10);
    assert_eq!(
        server.metric("flashlamp_samples_lost_total{reason=\"ring_full\"}"),
        4
    );
    assert_eq!(
        server.metric("flashlamp_events_lost_total{reason=\"ring_full\"}"),
        14
    );
    assert_eq!(server.metric("flashlamp_profiles_stored_total"), 1);
    assert_eq!(server.metric("flashlamp_windows_stored_total"), 1);
}

#[test]
fn a_window_sent_again_is_counted_once_even_after_compaction() {
    let server = Server::start();
    let path = "/api/v1/samples?service=shop&from=2026-11-22T10:00:00Z&until=2026-11-22T10:00:10Z";
    let send = |body: &[u8]| server.post_with(path, body, &[("idempotency-key", "agent-1")]);
    assert_eq!(send(b"main 3\n").json()["repeat"], false);
    assert_eq!(send(b"main 3\n").json()["repeat"], true);
    let compressed = [("idempotency-key", "agent-1"), ("content-encoding", "gzip")];
    assert_eq!(
        server
            .post_with(path, &gzip(b"main 3\n"), &compressed)
            .json()["repeat"],
        true
    );

    server.clock.set(fixture::instant("2026-11-22T12:00:00Z"));
    assert!(server.compact() > 0);
    assert_eq!(send(b"main 3\n").json()["repeat"], true);
    let other = send(b"main 4\n");
    assert_eq!(
        (other.status, other.code().as_str()),
        (409, "idempotency_key_reused")
    );
    assert_eq!(server.folded("service=shop"), "main 3\n");
    assert_eq!(server.metric("flashlamp_samples_stored_total"), 3);
    assert_eq!(server.metric("flashlamp_repeats_total"), 3);
}

#[test]
fn a_retry_is_known_although_the_senders_clock_is_ahead() {
    let server = Server::start();
    let path = "/api/v1/samples?service=shop&from=2026-11-22T15:00:00Z&until=2026-11-22T15:00:10Z";
    let send = || {
        server
            .post_with(path, b"main 3\n", &[("idempotency-key", "a-1")])
            .json()
    };
    let first = send();
    assert_eq!(first["clock_corrected"], true);
    assert_eq!(first["until"], "2026-11-22T10:30:00Z");
    // The hour turns before the retry comes.
    server.clock.set(fixture::instant("2026-11-22T11:00:30Z"));
    assert_eq!(send()["repeat"], true);
    assert_eq!(server.folded("service=shop"), "main 3\n");
    assert_eq!(server.metric("flashlamp_clocks_corrected_total"), 1);
}

#[test]
fn late_windows_are_taken_for_a_day_and_then_refused() {
    let server = Server::start();
    let send = |from: &str| {
        let query = format!("service=shop&from={from}&until={from}");
        server.post(&format!("/api/v1/samples?{query}"), b"main 1\n")
    };
    assert_eq!(send("2026-11-21T11:00:00Z").status, 200);
    let late = send("2026-11-21T09:59:59Z");
    assert_eq!((late.status, late.code().as_str()), (422, "too_late"));
    assert_eq!(
        server.folded("service=shop&from=2026-11-20T00:00:00Z"),
        "main 1\n"
    );
}

#[test]
fn an_entry_point_of_the_address_is_for_samples_that_have_none() {
    let server = Server::start();
    server.window("service=shop&entry=/jobs", "main;work 2\n");
    server.window("service=shop", "main;idle 1\n");
    assert_eq!(server.folded("service=shop&entry=/jobs"), "main;work 2\n");
    assert_eq!(server.folded("service=shop&entry=(none)"), "main;idle 1\n");
    assert_eq!(server.folded("service=shop"), "main;idle 1\nmain;work 2\n");
    assert_eq!(
        server.folded("service=shop&reverse=1"),
        "idle;main 1\nwork;main 2\n"
    );
    let services = server.get("/api/v1/services").json();
    assert_eq!(
        services["services"][0],
        json!({"service": "shop", "days": ["2026-11-22"], "entries": ["/jobs", "(none)"], "entries_more": 0,
            "clocks": ["samples"]})
    );
}

#[test]
fn series_of_different_types_answer_for_the_clock_that_they_share() {
    let server = Server::start();
    let one = |types: &[ValueType], values: &[u64]| {
        let mut builder = ProfileBuilder::new();
        builder.value_types(types);
        let frame = builder.frame(&FrameSpec::new("main"));
        let stack = builder.stack_root_first([frame]);
        let labels = LabelSetId::EMPTY;
        builder.sample(NewSample {
            stack,
            event_count: EventCount::ONE,
            values,
            time: None,
            thread: None,
            labels,
        });
        encode::pprof(&builder.build().unwrap())
    };
    let send = |body: &[u8]| assert_eq!(server.post("/api/v1/samples?service=s", body).status, 200);
    send(&one(&[ValueType::WALL], &[7]));
    assert_eq!(server.folded("service=s"), "main 7\n");
    send(&one(&[ValueType::CPU, ValueType::WALL], &[100, 1_000]));
    send(&one(&[ValueType::CPU], &[20]));
    assert_eq!(server.folded("service=s"), "main 120\n");
    assert_eq!(server.folded("service=s&clock=wall"), "main 1007\n");
    assert_eq!(server.folded("service=s&clock=samples"), "main 3\n");
    let sum = server.get("/api/v1/flamegraph?service=s").json();
    assert_eq!(sum["clocks"], json!(["cpu", "wall"]));
    let none = server.get("/api/v1/flamegraph?service=s&clock=alloc");
    assert_eq!((none.status, none.code().as_str()), (404, "no_samples"));

    // Another unit under the same name is another clock, and is never added to the first.
    send(&one(&[ValueType::new("cpu", "milliseconds")], &[3]));
    assert_eq!(server.folded("service=s"), "main 120\n");
    assert_eq!(server.folded("service=s&clock=cpu"), "main 120\n");
    assert_eq!(
        server.folded("service=s&clock=cpu/milliseconds"),
        "main 3\n"
    );
    let sum = server.get("/api/v1/flamegraph?service=s").json();
    assert_eq!(
        sum["clocks"],
        json!(["cpu/nanoseconds", "cpu/milliseconds", "wall"])
    );
    assert_eq!(
        server
            .get("/day/2026-11-22/s?clock=cpu%2Fmilliseconds")
            .status,
        200
    );
}

#[test]
fn an_answer_states_the_range_that_it_covers() {
    let server = Server::start();
    server.window(
        "service=s&from=2026-11-22T08:59:50Z&until=2026-11-22T09:00:00Z",
        "a 1\n",
    );
    server.window(
        "service=s&from=2026-11-22T09:00:00Z&until=2026-11-22T09:00:10Z",
        "b 1\n",
    );
    let path = "/api/v1/flamegraph?format=folded&service=s";
    let reply = server.get(&format!(
        "{path}&from=2026-11-22T09:20:00Z&until=2026-11-22T09:30:00Z"
    ));
    assert_eq!(reply.text(), "b 1\n");
    assert_eq!(reply.header("x-flashlamp-from"), "2026-11-22T09:00:00Z");
    assert_eq!(reply.header("x-flashlamp-until"), "2026-11-22T10:00:00Z");
    assert_eq!(
        reply.header("x-flashlamp-data-until"),
        "2026-11-22T09:00:10Z"
    );
    let (eight, nine) = (1_795_334_400, 1_795_338_000);
    assert_eq!(
        server.folded(&format!("service=s&from={eight}&until={nine}")),
        "a 1\n"
    );
    assert_eq!(
        server.folded(&format!("service=s&from={eight}&until={nine}.001")),
        "a 1\nb 1\n"
    );
    let none = server.get(&format!("{path}&from={}&until={eight}", eight - 7_200));
    assert_eq!((none.status, none.code().as_str()), (404, "no_samples"));
}

#[test]
fn a_profile_is_stored_once_under_its_id() {
    let server = Server::start();
    let id = "00112233445566778899aabbccddeeff";
    let path = format!("/api/v1/profiles?service=s&entry=/x&name=GET%20/x&id={id}");
    let first = server.post(&path, b"main 1\n");
    assert_eq!(first.status, 201);
    assert_eq!(
        first.header("location"),
        format!("{}/profile/{id}", server.url)
    );
    assert_eq!(first.json()["url"], format!("{}/profile/{id}", server.url));
    let again = server.post(&path, b"main 1\n");
    assert_eq!((again.status, again.json()), (200, first.json()));
    let other = server.post(&path, b"main 2\n");
    assert_eq!((other.status, other.code().as_str()), (409, "id_taken"));
    let other = server.post(&path.replace("service=s", "service=t"), b"main 1\n");
    assert_eq!((other.status, other.code().as_str()), (409, "id_taken"));
    let list = server.get("/api/v1/profiles").json();
    assert_eq!(list["profiles"].as_array().unwrap().len(), 1);
    assert_eq!(list["profiles"][0]["name"], "GET /x");
    assert_eq!(server.metric("flashlamp_profiles_stored_total"), 1);
    let speedscope = server.get(&format!("/fetch/{id}"));
    assert_eq!(speedscope.header("content-type"), "application/json");
    assert_eq!(speedscope.json()["profiles"][0]["samples"], json!([[0]]));
}

#[test]
fn a_profiles_own_name_is_cut_to_what_a_name_may_be() {
    let server = Server::start();
    let named = |name: &str| {
        let mut builder = ProfileBuilder::new();
        builder.name(name);
        let frame = builder.frame(&FrameSpec::new("main"));
        let stack = builder.stack_root_first([frame]);
        builder.sample(NewSample {
            stack,
            event_count: EventCount::ONE,
            values: &[],
            time: None,
            thread: None,
            labels: LabelSetId::EMPTY,
        });
        encode::pprof(&builder.build().unwrap())
    };
    let stored = |name: &str| {
        let path = format!("/api/v1/profiles?service=s&id={:032x}", name.len());
        let body = named(name);
        assert_eq!(server.post(&path, &body).status, 201);
        assert_eq!(
            server.post(&path, &body).status,
            200,
            "it is the same again"
        );
        let list = server.get("/api/v1/profiles?limit=100").json();
        let rows = list["profiles"].as_array().unwrap();
        let id = format!("{:032x}", name.len());
        let row = rows.iter().find(|row| row["id"] == id).unwrap().clone();
        assert_eq!(row["stored"], json!({"samples": 1, "events": 1}));
        row["name"].as_str().unwrap().to_owned()
    };
    assert_eq!(stored(&"x".repeat(255)), "x".repeat(255));
    assert_eq!(stored(&"x".repeat(256)), format!("{}…", "x".repeat(252)));
    assert_eq!(stored(&"ü".repeat(8_000)), format!("{}…", "ü".repeat(126)));
}

#[test]
fn the_list_of_profiles_is_newest_first_and_can_be_narrowed() {
    let server = Server::start();
    for (minute, (service, entry)) in [("a", "/x"), ("b", "/x"), ("a", "/y"), ("a", "/x")]
        .into_iter()
        .enumerate()
    {
        server
            .clock
            .set(fixture::instant(&format!("2026-11-22T10:3{minute}:00Z")));
        let path = format!("/api/v1/profiles?service={service}&entry={entry}&name=n{minute}");
        assert_eq!(server.post(&path, b"main 1\n").status, 201);
    }
    let names = |query: &str| {
        let list = server.get(&format!("/api/v1/profiles?{query}")).json();
        let rows = list["profiles"].as_array().unwrap().clone();
        rows.iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(names(""), "n3 n2 n1 n0");
    assert_eq!(names("limit=2"), "n3 n2");
    assert_eq!(names("service=a"), "n3 n2 n0");
    assert_eq!(names("service=a&entry=/x&limit=1"), "n3");
}

#[test]
fn hostile_names_reach_no_page_as_markup() {
    let server = Server::start();
    let evil = "</script><script>alert(1)</script>\"'&\u{202e}\u{1b}[31m";
    let mut builder = ProfileBuilder::new();
    builder.name(evil);
    let frame = builder.frame(&FrameSpec::new(evil).file(evil));
    let stack = builder.stack_root_first([frame]);
    // An entry point with control characters is refused.
    let evil_entry = evil.replace('\u{1b}', "");
    let labels = builder.labels(&[(labels::ENTRY, &evil_entry)]);
    builder.sample(NewSample {
        stack,
        event_count: EventCount::ONE,
        values: &[],
        time: None,
        thread: None,
        labels,
    });
    builder.loss(
        evil,
        Tally {
            samples: 1,
            events: 1,
        },
    );
    let body = encode::pprof(&builder.build().unwrap());
    let service = "%3C%2Fscript%3E%22%27";
    let posted = server.post(&format!("/api/v1/samples?service={service}"), &body);
    assert_eq!(posted.status, 200, "{}", posted.text());
    let posted = server
        .post(&format!("/api/v1/profiles?service={service}"), &body)
        .json();
    let id = posted["id"].as_str().unwrap();
    let entry = flashlamp_viewer::link::encode(&evil_entry);
    let of_entry = server.get(&format!("/day/2026-11-22/{service}?entry={entry}"));
    assert_eq!(of_entry.status, 200, "{}", of_entry.text());
    for path in [
        "/".to_owned(),
        format!("/profile/{id}"),
        format!("/day/2026-11-22/{service}"),
        format!("/day/2026-11-22/{service}?direction=reversed"),
        format!("/hour/2026-11-22T10/{service}"),
        format!("/fetch/{id}?format=svg"),
        format!("/api/v1/flamegraph?service={service}&format=svg"),
        format!("/day/2026-11-22/nothing?entry={entry}"),
        format!("/day/{entry}/{service}"),
    ] {
        let reply = server.get_as(&path, "text/html");
        let text = reply.text();
        assert!(
            reply.status == 200 || reply.status == 404 || reply.status == 400,
            "{path} {text}"
        );
        for raw in ["<script>alert", "\u{202e}", "\u{1b}"] {
            assert!(!text.contains(raw), "{path} holds {raw:?}");
        }
    }
    let metrics = server.get("/metrics").text();
    assert!(!metrics.contains('\u{1b}'), "{metrics}");
    let tree = server
        .get(&format!("/api/v1/flamegraph?service={service}"))
        .json();
    assert_eq!(tree["nodes"][1]["name"], evil);
}

#[test]
fn names_that_look_strange_lead_to_their_pages() {
    let server = Server::start();
    for service in ["...", ".a", "a b", "größe 函数", "a/../b", "%2E", "?#&=+;"] {
        let word = flashlamp_viewer::link::encode(service);
        server.window(&format!("service={word}&entry=.."), "main 1\n");
        let day = format!("/day/2026-11-22/{word}?entry=..");
        assert!(server.get("/").text().contains(&day), "{day}");
        assert_eq!(server.get(&day).status, 200, "{day}");
    }
    // An entry point may deceive; the page shows what it holds.
    server.window("service=s&entry=%E2%80%AEa", "main 1\n");
    let page = server.get("/day/2026-11-22/s?entry=%E2%80%AEa").text();
    assert!(page.contains("⟨U+202E⟩a") && !page.contains('\u{202e}'));
}

#[test]
fn every_page_and_form_of_what_was_stored_answers() {
    let server = Server::start();
    let body = encode::pprof(&window_profile());
    let query = "service=a/b%20c&from=2026-11-21T23:59:00Z&until=2026-11-21T23:59:10Z";
    assert_eq!(
        server
            .post(&format!("/api/v1/samples?{query}"), &body)
            .status,
        200
    );
    let posted = server.post("/api/v1/samples?service=a/b%20c", &body);
    assert_eq!(posted.status, 200, "{}", posted.text());
    let posted = server
        .post("/api/v1/profiles?service=a/b%20c", &body)
        .json();
    let id = posted["id"].as_str().unwrap();
    // Every link of every page is followed once.
    let mut seen = std::collections::BTreeSet::new();
    let mut open = vec![
        "/".to_owned(),
        format!("/profile/{id}"),
        "/api/v1/services".to_owned(),
        "/api/v1/profiles".to_owned(),
        "/healthz".to_owned(),
        "/metrics".to_owned(),
    ];
    while let Some(path) = open.pop() {
        let path = path.split('#').next().unwrap().to_owned();
        if !path.starts_with('/') || !seen.insert(path.clone()) || path.starts_with("/speedscope/")
        {
            continue;
        }
        let reply = server.get_as(&path, "text/html");
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        strict(&path, &reply);
        if reply.header("content-type").starts_with("text/html") {
            let text = reply.text();
            for attribute in ["href=\"", "src=\""] {
                let links = text.split(attribute).skip(1);
                open.extend(
                    links.map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&")),
                );
            }
        }
    }
    for part in [
        "/day/2026-11-22/",
        "/day/2026-11-21/",
        "/hour/2026-11-21T23/",
        "format=pprof",
        "direction=reversed",
        "/fetch/",
        "/assets/",
    ] {
        assert!(
            seen.iter().any(|path| path.contains(part)),
            "{part} in {seen:?}"
        );
    }
}

fn strict(path: &str, reply: &Reply) {
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
    let policy = reply.header("content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
    assert_eq!(reply.header("access-control-allow-origin"), "", "{path}");
}

#[test]
fn a_browser_gets_a_page_and_a_program_gets_json() {
    let server = Server::start();
    let missing = "/profile/00000000000000000000000000000000";
    let page = server.get_as(missing, "text/html,application/xhtml+xml,*/*;q=0.8");
    assert_eq!(page.status, 404);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text().contains("profile_not_found"));
    strict(missing, &page);
    let plain = server.get(missing);
    assert_eq!(
        (plain.status, plain.code().as_str()),
        (404, "profile_not_found")
    );
    assert!(plain.json()["error"]["detail"].is_string());
    assert_eq!(
        server.metric("flashlamp_requests_refused_total{code=\"profile_not_found\"}"),
        2
    );
}

/// Runs the examples of API.md, in order, in one folder.
#[test]
fn the_examples_of_the_documentation_work() {
    if !fixture::is_there("curl") {
        return;
    }
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let text = include_str!("../API.md");
    let blocks: Vec<&str> = text.split("```sh\n").skip(1).collect();
    let mut count = 0;
    for block in blocks {
        let script = block.split("```").next().unwrap();
        if script.starts_with("flashlamp serve") {
            continue;
        }
        let script = script.replace("http://127.0.0.1:4140", &server.url);
        let script = script.replace("curl -sS", "curl -sS --fail-with-body");
        let mut shell = std::process::Command::new("sh");
        let output = shell
            .args(["-ec", &script])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{script}: {said}");
        count += 1;
    }
    assert!(count >= 5, "{count} examples");
    assert!(
        std::fs::read_to_string(folder.path().join("shop.svg"))
            .unwrap()
            .contains("parse")
    );
    let pprof = std::fs::read(folder.path().join("shop.pb.gz")).unwrap();
    assert_eq!(
        flashlamp_profile::decode::any(&pprof, &Default::default())
            .unwrap()
            .stored()
            .events,
        4
    );
}

/// What another site can make a browser send without asking: a form, or a fetch without CORS.
#[test]
fn a_browser_cannot_be_sent_by_another_site_to_store_something() {
    let server = Server::start();
    for path in ["/api/v1/samples?service=s", "/api/v1/profiles?service=s"] {
        for headers in [
            [("sec-fetch-site", "cross-site")],
            [("sec-fetch-site", "same-site")],
            [("origin", "http://evil.example")],
            [("origin", "null")],
        ] {
            let reply = server.post_with(path, b"main 1\n", &headers);
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (403, "cross_site"),
                "{headers:?}"
            );
        }
        let same = [
            ("origin", server.url.as_str()),
            ("sec-fetch-site", "same-origin"),
        ];
        assert!(server.post_with(path, b"main 1\n", &same).status < 300);
    }
    assert_eq!(server.metric("flashlamp_samples_stored_total"), 2);
}

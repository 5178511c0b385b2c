//! The data of every earlier format version is read by this release.
//!
//! `golden/format-N.db` is a store that a release of format N wrote and closed. It holds, for the
//! service `shop` on 2026-11-22: two windows at 09:00, merged; one window at 10:29:50, as it came;
//! one request profile. A new format adds a file and leaves the old ones as they are.
#![cfg(test)]

mod fixture;

use fixture::Server;
use serde_json::json;

const GOLDEN: &[(&str, &[u8])] = &[
    ("format-1", include_bytes!("golden/format-1.db")),
    ("format-2", include_bytes!("golden/format-2.db")),
];

#[test]
fn the_data_of_every_format_version_is_read() {
    for (name, bytes) in GOLDEN {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("flashlamp.db"), bytes).unwrap();
        let server = Server::start_in(folder, |_| {});
        check(&server, name);
        // Merging goes on with what the earlier release left.
        server.clock.set(fixture::instant("2026-11-23T06:00:00Z"));
        assert!(server.compact() > 0, "{name}");
        check(&server, name);
    }
}

fn check(server: &Server, name: &str) {
    let day = "from=2026-11-22T00:00:00Z&until=2026-11-23T00:00:00Z";
    let sum = server
        .get(&format!("/api/v1/flamegraph?service=shop&{day}"))
        .json();
    assert_eq!(sum["stored"], json!({"samples": 6, "events": 9}), "{name}");
    assert_eq!(
        sum["losses"],
        json!({"ring_full": {"samples": 3, "events": 6}}),
        "{name}"
    );
    assert_eq!(
        sum["entries"],
        json!({"/a": {"samples": 3, "events": 6}, "/b": {"samples": 3, "events": 3}}),
        "{name}"
    );
    assert_eq!(sum["clock"], "cpu", "{name}");
    let folded = server.folded(&format!("service=shop&{day}"));
    assert_eq!(folded, "main;parse 6000\nmain;query 3000\n", "{name}");
    let hour = "from=2026-11-22T09:00:00Z&until=2026-11-22T10:00:00Z";
    let folded = server.folded(&format!("service=shop&entry=/b&{hour}"));
    assert_eq!(folded, "main;query 2000\n", "{name}");

    let id = "000102030405060708090a0b0c0d0e0f";
    let meta = server.get(&format!("/api/v1/profiles/{id}")).json();
    assert_eq!(
        (&meta["name"], &meta["entry"]),
        (&json!("GET /a"), &json!("/a")),
        "{name}"
    );
    assert_eq!(meta["taken"], json!({"samples": 3, "events": 5}), "{name}");
    let text = server.get(&format!("/fetch/{id}?format=folded")).text();
    assert_eq!(text, "main;parse 2000\nmain;query 1000\n", "{name}");

    // A window of then is still known when it is sent again.
    server.clock.set(fixture::instant(fixture::NOW));
    let reply = server.post_with(
        "/api/v1/samples?service=shop&from=2026-11-22T09:00:00Z&until=2026-11-22T09:00:10Z",
        b"other 1\n",
        &[("idempotency-key", "golden-0")],
    );
    assert_eq!(reply.code(), "idempotency_key_reused", "{name}");
}

/// Writes the golden file of the present format, where `FLASHLAMP_WRITE_GOLDEN` names a path.
/// Used once for each format; what is there is never written again.
#[test]
fn a_golden_file_can_be_written_for_a_new_format() {
    use flashlamp_profile::{
        EventCount, FrameSpec, NewSample, ProfileBuilder, Tally, ValueType, encode, labels,
    };
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::CPU]);
    for (entry, name, events) in [("/a", "parse", 2_u64), ("/b", "query", 1)] {
        let frames = [
            builder.frame(&FrameSpec::new("main")),
            builder.frame(&FrameSpec::new(name)),
        ];
        let stack = builder.stack_root_first(frames);
        let labels = builder.labels(&[(labels::ENTRY, entry)]);
        let (event_count, values) = (EventCount::new(events), [events * 1_000]);
        builder.sample(NewSample {
            stack,
            event_count,
            values: &values,
            time: None,
            thread: None,
            labels,
        });
    }
    builder.loss(
        "ring_full",
        Tally {
            samples: 1,
            events: 2,
        },
    );
    let body = encode::pprof(&builder.build().unwrap());

    let server = Server::start();
    let send = |number: usize, from: &str, until: &str| {
        let path = format!("/api/v1/samples?service=shop&from={from}&until={until}");
        let key = format!("golden-{number}");
        assert_eq!(
            server
                .post_with(&path, &body, &[("idempotency-key", &key)])
                .status,
            200
        );
    };
    send(0, "2026-11-22T09:00:00Z", "2026-11-22T09:00:10Z");
    send(1, "2026-11-22T09:00:10Z", "2026-11-22T09:00:20Z");
    assert_eq!(server.compact(), 1);
    send(2, "2026-11-22T10:29:50Z", "2026-11-22T10:30:00Z");
    let id = "000102030405060708090a0b0c0d0e0f";
    let path = format!("/api/v1/profiles?service=shop&entry=/a&name=GET%20/a&id={id}");
    assert_eq!(server.post(&path, &body).status, 201);
    check(&server, "present");
    let folder = server.stop();
    if let Some(path) = std::env::var_os("FLASHLAMP_WRITE_GOLDEN") {
        std::fs::copy(folder.path().join("flashlamp.db"), path).unwrap();
    }
}

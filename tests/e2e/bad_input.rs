//! The worst bodies at the door of the real program: each is refused with a code, nothing of it
//! is stored, and the memory stays within its bound.

use std::io::Write as _;

use anyhow::{Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use harness::clock::{self, HOUR};
use harness::collector::Collector;
use harness::http::{self, Answer};

/// What the collector may have resident at most, whatever it is sent: its decoding budget of
/// 256 MiB, itself, and what its allocator keeps for a moment of what was freed (the bombs leave
/// 80 MB with the allocator of glibc and up to 305 with ours, which keeps less after answers).
const RESIDENT_BYTES_MAX: u64 = 448 << 20;

/// Gzip of `inflated_bytes` of one letter: a thousandth of it on the wire.
fn bomb(inflated_bytes: usize) -> Result<Vec<u8>> {
    let piece = vec![b'a'; 1 << 20];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..inflated_bytes >> 20 {
        encoder.write_all(&piece)?;
    }
    Ok(encoder.finish()?)
}

fn samples_path() -> String {
    let from = clock::unix_seconds() / HOUR * HOUR - HOUR;
    format!(
        "/api/v1/samples?service=bad&entry=e&from={from}&until={}",
        from + 10
    )
}

/// Checks that an answer is a refusal with a code, and gives the code.
fn refusal(answer: &Answer) -> Result<String> {
    ensure!(
        (400..500).contains(&answer.status),
        "{} {}",
        answer.status,
        answer.text()
    );
    let code = answer.json()?["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    ensure!(!code.is_empty(), "a refusal has a code: {}", answer.text());
    Ok(code)
}

#[test]
fn bombs_from_many_senders_at_once_are_refused_within_the_memory_bound() -> Result<()> {
    let collector = Collector::start()?;
    let bomb = bomb(1 << 30)?;
    let url = collector.url(&samples_path());
    let answers: Vec<Result<Answer>> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| http::post(&url, &[("content-encoding", "gzip")], &bomb)))
            .collect();
        senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .collect()
    });
    for answer in answers {
        let answer = answer?;
        // A full decoding budget asks a sender to come back; the bomb itself is refused.
        let busy = matches!(answer.status, 429 | 503) && answer.header("retry-after").is_some();
        if !busy {
            assert_eq!(refusal(&answer)?, "inflated_too_large");
        }
    }
    let resident = collector.process().resident_bytes_max()?;
    ensure!(
        resident < RESIDENT_BYTES_MAX,
        "resident: {} MiB",
        resident >> 20
    );
    assert_nothing_stored(&collector)
}

#[test]
fn a_stack_of_a_hundred_thousand_frames_is_refused() -> Result<()> {
    let collector = Collector::start()?;
    let folded = format!("{}leaf 1\n", "f;".repeat(100_000));
    let answer = collector.post(&samples_path(), &[], folded.as_bytes())?;
    assert_eq!(refusal(&answer)?, "stack_too_deep");
    let frames = vec!["0"; 100_000].join(",");
    let speedscope = speedscope(&frames, "1");
    let answer = collector.post(&samples_path(), &[], speedscope.as_bytes())?;
    assert_eq!(refusal(&answer)?, "stack_too_deep");
    let resident = collector.process().resident_bytes_max()?;
    ensure!(
        resident < RESIDENT_BYTES_MAX,
        "resident: {} MiB",
        resident >> 20
    );
    assert_nothing_stored(&collector)
}

/// A speedscope file of one sample.
fn speedscope(stack: &str, weights: &str) -> String {
    format!(
        r#"{{"shared":{{"frames":[{{"name":"f"}}]}},"profiles":[{{"type":"sampled","name":"p",
        "unit":"nanoseconds","startValue":0,"endValue":1,"samples":[[{stack}]],"weights":[{weights}]}}]}}"#
    )
}

#[test]
fn bodies_that_are_not_what_they_say_are_refused_each_with_its_code() -> Result<()> {
    let collector = Collector::start()?;
    let cases: [(&str, String, &str); 7] = [
        (
            "a wrong number of weights",
            speedscope("0", "1,2"),
            "weights_length",
        ),
        (
            "a negative weight",
            speedscope("0", "-1"),
            "weight_negative",
        ),
        (
            "a weight that is no number",
            speedscope("0", "NaN"),
            "bad_json",
        ),
        (
            "a frame that is not there",
            speedscope("7", "1"),
            "frame_index",
        ),
        ("half a JSON", "{\"shared\":".to_owned(), "bad_json"),
        ("nothing", String::new(), "empty_body"),
        (
            "folded text without counts",
            "main;leaf\n".to_owned(),
            "folded_line",
        ),
    ];
    for (what, body, code) in &cases {
        for path in [
            samples_path(),
            "/api/v1/profiles?service=bad&name=n".to_owned(),
        ] {
            let answer = collector.post(&path, &[], body.as_bytes())?;
            ensure!(
                refusal(&answer)? == *code,
                "{what}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
    let refused = collector.metric("flashlamp_requests_refused_total", "")?;
    ensure!(refused >= 14, "refusals are counted: {refused}");
    assert_nothing_stored(&collector)
}

#[test]
fn hostile_names_are_shown_as_text() -> Result<()> {
    let collector = Collector::start()?;
    let hostile = "</script><img src=x onerror=alert(1)>\"'&\u{1}\u{1b}[31m";
    let body = format!("main;{hostile} 5\n");
    let name = "%3C%2Fscript%3E%3Cimg%20src%3Dx%3E%22%27";
    let path = format!("/api/v1/profiles?service={name}&entry={name}&name={name}");
    let text = [("content-type", "text/plain")];
    let answer = collector.post(&path, &text, body.as_bytes())?;
    ensure!(answer.status == 201, "stored: {}", answer.text());
    let url = answer.json()?["url"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let html = [("accept", "text/html")];
    for url in [url, collector.url("/")] {
        let page = http::fetch(&url, &html)?;
        ensure!(page.status == 200, "{url}: {}", page.status);
        ensure!(
            !page.text().contains("<img src=x"),
            "{url}: no name becomes markup"
        );
        ensure!(
            !page.text().contains('\u{1b}'),
            "{url}: no control character comes through"
        );
    }
    Ok(())
}

#[test]
fn what_is_not_there_is_said_as_html_to_a_browser_and_as_json_to_a_program() -> Result<()> {
    let collector = Collector::start()?;
    let unknown = format!("/profile/{}", "0".repeat(32));
    let paths = [
        (unknown.as_str(), 404),
        ("/profile/no-id", 400),
        ("/day/2026-02-30/shop", 400),
        ("/hour/2026-01-01T25/shop", 400),
        ("/nowhere", 404),
    ];
    for (path, status) in paths {
        let answer = collector.get(path)?;
        ensure!(
            answer.status == status,
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
        refusal(&answer)?;
        let page = http::fetch(&collector.url(path), &[("accept", "text/html")])?;
        ensure!(
            page.status == status,
            "{path} for a browser: {}",
            page.status
        );
        let is_html = page
            .header("content-type")
            .is_some_and(|t| t.starts_with("text/html"));
        ensure!(
            is_html && page.text().contains("<html"),
            "{path}: a page for a browser"
        );
    }
    Ok(())
}

fn assert_nothing_stored(collector: &Collector) -> Result<()> {
    ensure!(collector.get("/healthz")?.status == 200, "it is alive");
    let stored = collector.metric("flashlamp_samples_stored_total", "")?
        + collector.metric("flashlamp_profiles_stored_total", "")?;
    ensure!(stored == 0, "half a body was stored: {stored}");
    let index = http::fetch(&collector.url("/"), &[("accept", "text/html")])?;
    ensure!(
        !index.text().contains("/bad?"),
        "the index lists nothing of it"
    );
    Ok(())
}

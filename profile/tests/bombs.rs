//! Bodies that are small on the wire and large in memory.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "the whole file is a test"
)]

use std::io::Write as _;

use flashlamp_profile::{Limits, decode};
use flate2::Compression;
use flate2::write::GzEncoder;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn check(bytes: &[u8], code: &str) {
    let limits = Limits {
        inflated_bytes_max: 1 << 20,
        ..Limits::default()
    };
    assert_eq!(decode::any(bytes, &limits).unwrap_err().code(), code);
}

#[test]
fn inflation_stops_at_the_limit() {
    let zeros = gzip(&vec![0; 50 << 20]);
    assert!(zeros.len() < 100_000, "the bomb is small: {}", zeros.len());
    check(&zeros, "inflated_too_large");
    check(&gzip(&zeros), "inflated_too_large");
    check(&gzip(&gzip(&gzip(b"a 1\n"))), "nested_compression");
    check(&vec![b'a'; (1 << 20) + 1], "inflated_too_large");
}

#[test]
fn a_damaged_stream_is_refused() {
    let whole = gzip(b"main;a 1\n");
    check(&whole[..whole.len() - 3], "bad_gzip");
    check(&[0x1f, 0x8b, 0, 0], "bad_gzip");
}

/// Two bytes each on the wire, some dozens in memory.
#[test]
fn a_million_empty_messages_are_refused() {
    let limits = Limits {
        samples_max: 1_000,
        stack_nodes_max: 1_000,
        ..Limits::default()
    };
    let refused = |tag: u8, code: &str| {
        let body: Vec<u8> = [tag << 3 | 2, 0].repeat(1_000_000);
        assert_eq!(
            decode::pprof(&body, &limits).unwrap_err().code(),
            code,
            "field {tag}"
        );
    };
    refused(2, "too_many_samples");
    refused(6, "too_many_stacks");
    refused(1, "too_many_stacks");
}

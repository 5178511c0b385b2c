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
    let refusal = decode::any(bytes, &limits).map(|profile| profile.stored());
    assert_eq!(refusal.unwrap_err().code(), code);
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

/// Twenty bytes each on the wire, a decoder each.
#[test]
fn a_stream_of_more_members_than_a_tool_writes_is_refused() {
    let member = gzip(b"a 1\n");
    let limits = Limits::default();
    let profile = decode::any(&member.repeat(1_024), &limits).unwrap();
    assert_eq!(profile.stored().samples, 1_024);
    check(&member.repeat(1_025), "bad_gzip");
    check(&gzip(b"").repeat(700_000), "bad_gzip");
    check(&[gzip(b"a 1\n"), vec![0; 8]].concat(), "bad_gzip");
}

/// Five bytes hold four deflate blocks in which nothing is. A decoder that makes its tables anew for
/// each of the thirteen million takes half a minute for what is no more than 16 MiB.
#[test]
fn blocks_that_hold_nothing_are_passed_over() {
    let head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03";
    // Ten bits each: not the last, the fixed code, the end of the block.
    let blocks = b"\x02\x08\x20\x80\x00".repeat((16 << 20) / 5);
    // The last one, stored and empty; then checksum and length.
    let tail = b"\x01\x00\x00\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00";
    check(&[&head[..], &blocks, tail].concat(), "empty_body");
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
    refused(1, "bad_pprof");
}

fn varint(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.extend(u8::try_from(number));
}

/// A field of bytes: its key, its length, the bytes.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    varint(bytes.len(), &mut out);
    out.extend(bytes);
    out
}

/// A field of a number.
fn number(tag: u8, value: usize) -> Vec<u8> {
    let mut out = vec![tag << 3];
    varint(value, &mut out);
    out
}

/// A pprof profile of one sample type, with a name of 10,000 bytes as string 2, a mapping of that
/// name, a function, and `more`.
fn pprof_with(more: &[u8]) -> Vec<u8> {
    let strings = ["", "thread id", &"n".repeat(10_000), "thread name"];
    let mut body: Vec<u8> = field(1, &[]);
    for text in strings {
        body.extend(field(6, text.as_bytes()));
    }
    body.extend(field(3, &[number(1, 1), number(5, 2)].concat()));
    body.extend(field(5, &number(1, 1)));
    body.extend(more);
    body
}

/// One sample of one value, and these fields.
fn sample(more: &[u8]) -> Vec<u8> {
    field(2, &[&number(2, 1), more].concat())
}

/// 2,000 uses of a name of 10,000 bytes would be 20 MB of a body of 100 kB.
fn many(make: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    pprof_with(&(1..=2_000).flat_map(make).collect::<Vec<_>>())
}

#[test]
fn a_name_that_is_used_often_does_not_fill_the_memory() {
    let mapping = |at| {
        field(
            3,
            &[number(1, at + 1), number(2, at), number(5, 2)].concat(),
        )
    };
    check(&many(mapping), "bad_pprof");
    let location = |at| {
        let unnamed = [number(1, at), number(2, 1), number(3, at)].concat();
        [field(4, &unnamed), sample(&number(1, at))].concat()
    };
    check(&many(location), "bad_pprof");
    let thread = |at| {
        let id = field(3, &[number(1, 1), number(3, at)].concat());
        let name = field(3, &[number(1, 3), number(2, 2)].concat());
        sample(&[id, name].concat())
    };
    check(&many(thread), "bad_pprof");
    let label = |at| {
        sample(&field(
            3,
            &[number(1, 2), number(3, at), number(4, 2)].concat(),
        ))
    };
    check(&many(label), "bad_pprof");
    let types = field(1, &[number(1, 2), number(2, 2)].concat());
    check(&pprof_with(&types.repeat(2_000)), "bad_pprof");
}

#[test]
fn what_repeats_in_a_sample_is_counted_before_it_is_decoded() {
    check(
        &pprof_with(&sample(&field(3, &[]).repeat(36))),
        "too_many_labels",
    );
    check(
        &pprof_with(&sample(&number(1, 1).repeat(4_097))),
        "stack_too_deep",
    );
    check(
        &pprof_with(&sample(&field(1, &[1; 4_097]))),
        "stack_too_deep",
    );
    check(&pprof_with(&sample(&number(2, 1))), "bad_pprof");
    let lines = [number(1, 1), field(4, &number(1, 1)).repeat(4_097)].concat();
    let deep = [field(4, &lines), sample(&number(1, 1))].concat();
    check(&pprof_with(&deep), "stack_too_deep");
    let fine = [sample(&field(3, &number(1, 2)).repeat(32)), sample(&[])].concat();
    assert!(decode::pprof(&pprof_with(&fine), &Limits::default()).is_ok());
}

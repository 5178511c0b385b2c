//! Counts near the largest number.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "the whole file is a test"
)]

use flashlamp_profile::{
    Column, DecodeError, EventCount, FrameSpec, LabelSetId, Limits, NewSample, Profile,
    ProfileBuilder, Tally, ValueType, decode, encode, merge,
};

const LIMIT: u64 = 1 << 56;

/// Two samples in `main`: (samples, events, value) each, and what was lost.
fn profile(rows: [(u64, u64, u64); 2], lost: Tally) -> Profile {
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::CPU]);
    let main = builder.frame(&FrameSpec::new("main"));
    let stack = Some(builder.stack(None, main));
    for (samples, events, value) in rows {
        builder.samples(
            samples,
            NewSample {
                stack,
                event_count: EventCount::new(events),
                values: &[value],
                time: None,
                thread: None,
                labels: LabelSetId::EMPTY,
            },
        );
    }
    builder.loss("ring_full", lost);
    builder.build().unwrap()
}

fn check(bytes: &[u8], expected: Result<(), &str>) {
    let read = decode::any(bytes, &Limits::default());
    let code = read.as_ref().map(|_| ()).map_err(DecodeError::code);
    assert_eq!(code, expected, "{read:?}");
    decode::any(bytes, &Limits::TRUSTED).unwrap();
}

#[test]
fn sums_of_a_body_reach_the_limit_and_not_beyond() {
    let none = Tally::default();
    let tally = |samples, events| Tally { samples, events };
    let large = Err("counts_too_large");
    let check = |rows, lost, expected| check(&encode::pprof(&profile(rows, lost)), expected);
    check([(1, 1, LIMIT / 2), (1, 1, LIMIT / 2)], none, Ok(()));
    check([(1, 1, LIMIT / 2), (1, 1, LIMIT / 2 + 1)], none, large);
    check([(1, LIMIT - 1, 0), (1, 1, 0)], none, Ok(()));
    check([(1, LIMIT, 0), (1, 1, 0)], none, large);
    check([(LIMIT - 1, 1, 0), (1, 1, 0)], none, Ok(()));
    check([(LIMIT, 1, 0), (1, 1, 0)], none, large);
    let one = (1, 1, 0);
    check([one, one], tally(LIMIT - 2, LIMIT - 2), Ok(()));
    check([one, one], tally(LIMIT - 1, 0), large);
    check([one, one], tally(0, LIMIT - 1), large);
    check([one, one], tally(u64::MAX, u64::MAX), large);
    let top = (i64::MAX as u64, i64::MAX as u64, i64::MAX as u64);
    check([top, top], none, large);
}

#[test]
fn every_format_has_the_limit() {
    check(format!("a {LIMIT}\n").as_bytes(), Ok(()));
    check(
        format!("a {LIMIT}\nb 1\n").as_bytes(),
        Err("counts_too_large"),
    );
    for unit in ["none", "nanoseconds", "bytes"] {
        let file = |second| {
            format!(
                r#"{{"shared":{{"frames":[{{"name":"a"}}]}},"profiles":[{{"type":"sampled",
                    "name":"p","unit":"{unit}","startValue":0,"endValue":0,
                    "samples":[[0],[]],"weights":[{LIMIT},{second}]}}]}}"#
            )
        };
        check(file(0).as_bytes(), Ok(()));
        check(file(1).as_bytes(), Err("counts_too_large"));
    }
}

/// Sums of many bodies may saturate; what is stored of them says the same.
#[test]
fn a_saturated_sum_reads_back_in_every_format() {
    let top = (u64::MAX, u64::MAX, u64::MAX);
    let lost = Tally {
        samples: u64::MAX,
        events: u64::MAX,
    };
    let one = profile([top, top], lost);
    let sum = merge([&one, &one]).unwrap();
    assert_eq!(sum.column_total(Column::Events), i64::MAX as u64);
    for bytes in [
        encode::pprof(&sum),
        encode::speedscope(&sum).into_bytes(),
        encode::folded(&sum, Column::Events).into_bytes(),
    ] {
        let read = decode::any(&bytes, &Limits::TRUSTED).unwrap();
        let total = read.column_total(Column::default_for(&read));
        assert_eq!(total, i64::MAX as u64);
    }
}

//! Our pprof messages against those of the `pprof` crate, which are generated from the schema.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "the whole file is a test"
)]

use std::collections::BTreeMap;

use flashlamp_profile::{
    EventCount, FrameKind, FrameSpec, LabelSetId, Limits, Mapping, NewSample, Profile,
    ProfileBuilder, Timestamp, ValueType, decode, encode, losses,
};
use pprof::protos;
use pprof::protos::Message as _;

/// A sample with an inlined frame, a label, overruns and a loss.
fn written() -> Profile {
    let mut builder = ProfileBuilder::new();
    builder
        .start(Timestamp::from_secs(7))
        .value_types(&[ValueType::CPU]);
    let mapping = builder.mapping(Mapping {
        path: "/bin/app".into(),
        build_id: "b1d".into(),
        start: 0x1000,
        end: 0x2000,
        file_offset: 0x10,
    });
    let main = FrameSpec::new("main")
        .file("main.rs")
        .line(3)
        .mapping(mapping)
        .address(0x1004);
    let inlined = FrameSpec::new("inlined").line(9).kind(FrameKind::Inline);
    let frames = [builder.frame(&main), builder.frame(&inlined)];
    let stack = builder.stack_root_first(frames);
    let labels = builder.labels(&[("entry", "/x")]);
    let row = NewSample {
        stack,
        event_count: EventCount::new(2),
        values: &[20],
        time: None,
        thread: None,
        labels,
    };
    builder.sample(row);
    builder.loss(
        losses::RING_FULL,
        flashlamp_profile::Tally {
            samples: 1,
            events: 4,
        },
    );
    builder.build().unwrap()
}

#[test]
fn what_we_write_is_what_the_schema_says() {
    let profile = written();
    let bytes = encode::pprof_uncompressed(&profile);
    let theirs = protos::Profile::decode(bytes.as_slice()).unwrap();
    let text = |index: i64| theirs.string_table[usize::try_from(index).unwrap()].as_str();
    let types: Vec<_> = theirs
        .sample_type
        .iter()
        .map(|of| (text(of.ty), text(of.unit)))
        .collect();
    let expected = [
        ("samples", "count"),
        ("cpu", "nanoseconds"),
        ("observations", "count"),
    ];
    assert_eq!(types, expected);
    assert_eq!(theirs.time_nanos, 7_000_000_000);
    assert_eq!(theirs.sample[0].value, [2, 20, 1]);
    assert_eq!(text(theirs.sample[0].label[0].key), "entry");
    assert_eq!(text(theirs.sample[0].label[0].str), "/x");
    assert_eq!(theirs.location[0].address, 0x1004);
    let lines: Vec<_> = theirs.location[0]
        .line
        .iter()
        .map(|line| {
            let of = |function: &&protos::Function| function.id == line.function_id;
            let function = theirs.function.iter().find(of).unwrap();
            (text(function.name), text(function.filename), line.line)
        })
        .collect();
    assert_eq!(
        lines,
        [("inlined", "", 9), ("main", "main.rs", 3)],
        "the innermost is first"
    );
    assert_eq!(text(theirs.mapping[0].build_id), "b1d");
    assert_eq!(text(theirs.comment[0]), "flashlamp.lost.ring_full=1/4");
}

#[test]
fn what_the_schema_says_is_what_we_read() {
    let strings = [
        "",
        "samples",
        "count",
        "cpu",
        "nanoseconds",
        "main",
        "leaf",
        "a.go",
        "bytes",
    ];
    let place =
        |text: &str| i64::try_from(strings.iter().position(|have| *have == text).unwrap()).unwrap();
    let of = |ty, unit| protos::ValueType {
        ty: place(ty),
        unit: place(unit),
    };
    let function = |id, name| protos::Function {
        id,
        name: place(name),
        filename: place("a.go"),
        ..protos::Function::default()
    };
    let location = |id| protos::Location {
        id,
        line: vec![protos::Line {
            function_id: id,
            line: 5,
        }],
        ..protos::Location::default()
    };
    let theirs = protos::Profile {
        sample_type: vec![of("samples", "count"), of("cpu", "nanoseconds")],
        sample: vec![protos::Sample {
            location_id: vec![2, 1],
            value: vec![3, 30],
            label: vec![protos::Label {
                key: place("bytes"),
                num: 64,
                ..protos::Label::default()
            }],
        }],
        location: vec![location(1), location(2)],
        function: vec![function(1, "main"), function(2, "leaf")],
        string_table: strings.iter().map(|text| (*text).to_owned()).collect(),
        period_type: Some(of("cpu", "nanoseconds")),
        period: 10,
        ..protos::Profile::default()
    };
    let profile = decode::pprof(&theirs.encode_to_vec(), &Limits::default()).unwrap();
    assert_eq!(
        encode::folded(&profile, flashlamp_profile::Column::Value(0)),
        "main;leaf 30\n"
    );
    let sample = profile.samples().next().unwrap();
    assert_eq!(sample.event_count(), EventCount::new(3));
    let labels: BTreeMap<_, _> = profile.label_pairs(sample.labels()).collect();
    assert_eq!(labels, BTreeMap::from([("bytes", "64")]));
    assert_eq!(profile.period().unwrap().as_nanos(), 10);
    assert_ne!(sample.labels(), LabelSetId::EMPTY);
}

/// Refusals of messages that the schema allows and a profile does not.
#[test]
fn bad_messages_are_refused_with_a_code() {
    let good = || protos::Profile {
        sample_type: vec![protos::ValueType { ty: 1, unit: 2 }],
        sample: vec![protos::Sample {
            location_id: vec![1],
            value: vec![1],
            ..protos::Sample::default()
        }],
        location: vec![protos::Location {
            id: 1,
            line: vec![protos::Line {
                function_id: 1,
                line: 0,
            }],
            ..protos::Location::default()
        }],
        function: vec![protos::Function {
            id: 1,
            name: 3,
            ..protos::Function::default()
        }],
        string_table: ["", "samples", "count", "f"].map(str::to_owned).to_vec(),
        ..protos::Profile::default()
    };
    let check = |change: fn(&mut protos::Profile), expected: Result<(), &str>| {
        let mut theirs = good();
        change(&mut theirs);
        let found = decode::pprof(&theirs.encode_to_vec(), &Limits::default());
        assert_eq!(
            found
                .as_ref()
                .map(|_| ())
                .map_err(flashlamp_profile::DecodeError::code),
            expected
        );
    };
    check(|_| {}, Ok(()));
    check(|p| p.sample[0].location_id = vec![7], Err("dangling_index"));
    check(
        |p| p.location[0].line[0].function_id = 9,
        Err("dangling_index"),
    );
    check(|p| p.function[0].name = 99, Err("dangling_index"));
    check(|p| p.function[0].name = -1, Err("dangling_index"));
    check(|p| p.location[0].mapping_id = 5, Err("dangling_index"));
    check(|p| p.sample[0].value = vec![-1], Err("value_negative"));
    check(|p| p.sample[0].value = vec![1, 2], Err("bad_pprof"));
    check(|p| p.sample_type.clear(), Err("bad_pprof"));
    check(
        |p| p.sample[0].location_id = vec![1; 100_000],
        Err("stack_too_deep"),
    );
    check(
        |p| p.string_table[3] = "n".repeat(20_000),
        Err("name_too_long"),
    );
}

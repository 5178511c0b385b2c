//! Laws of the model, on generated profiles.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "the whole file is a test"
)]

use std::collections::{BTreeMap, BTreeSet};

use flashlamp_profile::{
    CallTree, CallerNode, Callers, Column, EventCount, FrameKind, FrameSpec, Limits, Mapping,
    Nanos, Node, Period, Profile, ProfileBuilder, Tally, Timestamp, ValueType, by_function, decode,
    encode, merge,
};
use flashlamp_profile::{LabelSetId, Merger, NewSample, Part};
use proptest::prelude::*;

/// What a generated frame is made of.
type FrameParts = (String, Option<String>, u32, FrameKind, u64);

/// What a generated sample is made of: frames root first, sample count, events, value, time,
/// thread, entry point.
type SampleParts = (
    Vec<FrameParts>,
    u64,
    u64,
    u64,
    u64,
    Option<u64>,
    Option<String>,
);

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]{1,2}",
        1 => Just("</script>;\"'\u{202e}\n".to_owned()),
        1 => "\\PC{1,6}",
    ]
}

fn kind() -> impl Strategy<Value = FrameKind> {
    prop_oneof![
        5 => Just(FrameKind::Native),
        2 => Just(FrameKind::Inline),
        1 => Just(FrameKind::Jit),
        1 => Just(FrameKind::Guest),
        1 => Just(FrameKind::Kernel),
        1 => Just(FrameKind::Marker),
    ]
}

fn frame() -> impl Strategy<Value = FrameParts> {
    (
        name(),
        proptest::option::of("[x-z]{1,2}"),
        0..3_u32,
        kind(),
        0..3_u64,
    )
}

fn sample() -> impl Strategy<Value = SampleParts> {
    (
        proptest::collection::vec(frame(), 0..6),
        0..4_u64,
        0..5_u64,
        0..1_000_u64,
        0..50_u64,
        proptest::option::of(0..3_u64),
        proptest::option::of("/[a-b]"),
    )
}

fn build(samples: &[SampleParts], losses: &[(String, Tally)], timed: bool) -> Profile {
    let mut builder = ProfileBuilder::new();
    builder
        .name("generated")
        .start(Timestamp::from_secs(1_700_000_000))
        .duration(Nanos::from_millis(5))
        .period(Period::from_nanos(1_000).unwrap())
        .value_types(&[ValueType::WALL]);
    let mapping = builder.mapping(Mapping {
        path: "/usr/bin/app".into(),
        build_id: "abcdef".into(),
        start: 0x1000,
        end: 0x9000,
        file_offset: 0x200,
    });
    for (frames, count, events, value, time, thread, entry) in samples {
        let mut stack = None;
        for (name, file, line, kind, address) in frames {
            let spec = FrameSpec::new(name)
                .file(file.as_deref().unwrap_or_default())
                .line(*line)
                .kind(*kind)
                .address(*address);
            // Only native frames lie in an object file; unmapped ones are legal too.
            let mapped = *kind == FrameKind::Native && *address > 0;
            let spec = if mapped { spec.mapping(mapping) } else { spec };
            let frame = builder.frame(&spec);
            stack = Some(builder.stack(stack, frame));
        }
        let labels = match entry {
            Some(entry) => builder.labels(&[("entry", entry), ("host", "h1")]),
            None => LabelSetId::EMPTY,
        };
        let thread = thread.map(|tid| builder.thread(tid, "worker"));
        let row = NewSample {
            stack,
            event_count: EventCount::new(*events),
            values: &[*value],
            time: timed.then(|| Nanos::from_nanos(*time)),
            thread,
            labels,
        };
        builder.samples(*count, row);
    }
    for (reason, tally) in losses {
        builder.loss(reason, *tally);
    }
    builder.build().unwrap()
}

fn losses() -> impl Strategy<Value = Vec<(String, Tally)>> {
    let tally = (0..5_u64, 0..9_u64).prop_map(|(samples, events)| Tally { samples, events });
    proptest::collection::vec(("[a-c]_[a-c]", tally), 0..3)
}

fn profile(timed: bool) -> impl Strategy<Value = Profile> {
    (proptest::collection::vec(sample(), 0..12), losses())
        .prop_map(move |(samples, losses)| build(&samples, &losses, timed))
}

/// A root-first stack as text.
fn stack_text(profile: &Profile, detailed: bool, sample: &flashlamp_profile::Sample<'_>) -> String {
    let Some(stack) = sample.stack() else {
        return String::new();
    };
    let mut text = String::new();
    for frame in profile.stack_root_first(stack) {
        let (name, file, kind) = (frame.name(), frame.file(), frame.kind());
        text.push_str(&format!("{name:?} {file:?} {kind:?}"));
        if detailed {
            let mapping = frame.mapping().map(|mapping| &mapping.build_id);
            text.push_str(&format!(
                " {:?} {:?} {mapping:?}",
                frame.line(),
                frame.address()
            ));
        }
        text.push('\n');
    }
    text
}

/// Everything in a profile, in its order.
fn everything(profile: &Profile) -> String {
    let mut text = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}\n",
        profile.name(),
        profile.start(),
        profile.duration(),
        profile.period(),
        profile.value_types(),
        profile.losses()
    );
    for sample in profile.samples() {
        let labels: Vec<_> = profile.label_pairs(sample.labels()).collect();
        let thread = sample.thread().map(|id| profile.thread(id));
        text.push_str(&format!(
            "{} {:?} {:?} {:?} {labels:?} {thread:?}\n{}",
            sample.sample_count(),
            sample.event_count(),
            sample.values(),
            sample.time(),
            stack_text(profile, true, &sample)
        ));
    }
    text
}

/// Samples, events and values by labels and stack.
type Rows = BTreeMap<String, (u64, u64, Vec<u64>)>;

/// What the sum of profiles is made of, without any order.
fn contents(profile: &Profile) -> (String, Rows) {
    let header = format!(
        "{:?} {:?} {:?} {:?} {:?}",
        profile.name(),
        profile.start(),
        profile.duration(),
        profile.period(),
        profile.losses()
    );
    let mut rows = Rows::new();
    for sample in profile.samples() {
        let labels: Vec<_> = profile.label_pairs(sample.labels()).collect();
        let key = format!("{labels:?} {}", stack_text(profile, false, &sample));
        let row = rows
            .entry(key)
            .or_insert_with(|| (0, 0, vec![0; sample.values().len()]));
        row.0 += sample.sample_count();
        row.1 += sample.event_count().as_u64();
        for (sum, value) in row.2.iter_mut().zip(sample.values()) {
            *sum += value;
        }
    }
    (header, rows)
}

fn check_totals(node: Node<'_>) -> u64 {
    let children: u64 = node.children().map(check_totals).sum();
    assert_eq!(node.total(), node.self_value() + children, "{node:?}");
    node.total()
}

/// Opens every node that has `total_min` and checks it against the tree that is made whole.
fn check_opened(opened: CallerNode<'_>, whole: Node<'_>, total_min: u64) {
    let face = |node: Node<'_>| (node.total(), node.self_value());
    assert_eq!(
        (opened.total(), opened.self_value()),
        face(whole),
        "{whole:?}"
    );
    assert_eq!((opened.name(), opened.file()), (whole.name(), whole.file()));
    assert_eq!(opened.kind(), whole.kind());
    assert_eq!(opened.open_count() == 0, whole.children().len() == 0);
    let below = opened.open(total_min);
    let kept: Vec<_> = whole
        .children()
        .filter(|child| child.total() >= total_min)
        .collect();
    assert_eq!(below.children.len(), kept.len(), "{whole:?}");
    assert_eq!(below.has_smaller, whole.children().len() > kept.len());
    for (child, kept) in below.children.into_iter().zip(kept) {
        check_opened(child, kept, total_min);
    }
}

/// The sum over the samples in which each function (name, file) is, summed sample by sample.
fn totals_of_functions(profile: &Profile, column: Column) -> BTreeMap<(&str, Option<&str>), u64> {
    let mut totals = BTreeMap::new();
    for sample in profile.samples() {
        let frames = sample.stack().map(|stack| profile.stack_leaf_first(stack));
        let frames = frames.into_iter().flatten();
        let functions: BTreeSet<_> = frames.map(|frame| (frame.name(), frame.file())).collect();
        for function in functions {
            *totals.entry(function).or_default() += column.of(&sample);
        }
    }
    totals.retain(|_, total| *total != 0);
    totals
}

proptest! {
    #[test]
    fn pprof_loses_nothing(profile in prop_oneof![profile(true), profile(false)]) {
        let decoded = decode::any(&encode::pprof(&profile), &Limits::default()).unwrap();
        prop_assert_eq!(everything(&decoded), everything(&profile));
        prop_assert_eq!(encode::pprof(&decoded), encode::pprof(&profile));
    }

    #[test]
    fn speedscope_keeps_stacks_weights_and_losses(profile in profile(true)) {
        let json = encode::speedscope(&profile);
        let decoded = decode::any(json.as_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(
            encode::folded(&decoded, Column::Value(0)),
            encode::folded(&profile, Column::Value(0))
        );
        prop_assert_eq!(decoded.losses(), profile.losses());
        prop_assert_eq!(decoded.start(), profile.start());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        for one in json["profiles"].as_array().unwrap() {
            let weights = one["weights"].as_array().unwrap().iter();
            let sum: u64 = weights.map(|weight| weight.as_u64().unwrap()).sum();
            prop_assert_eq!(one["endValue"].as_u64(), Some(sum));
        }
    }

    #[test]
    fn folded_text_read_back_says_the_same(profile in profile(false)) {
        let text = encode::folded(&profile, Column::Events);
        let decoded = decode::folded(text.as_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(encode::folded(&decoded, Column::Events), text);
        prop_assert_eq!(decoded.stored().events, profile.stored().events);
    }

    #[test]
    fn merging_is_commutative_and_associative(
        a in profile(true), b in profile(false), c in profile(true)
    ) {
        let merged = |profiles: &[&Profile]| merge(profiles.iter().copied()).unwrap();
        let ab_c = contents(&merged(&[&merged(&[&a, &b]), &c]));
        prop_assert_eq!(&ab_c, &contents(&merged(&[&a, &merged(&[&b, &c])])));
        prop_assert_eq!(&ab_c, &contents(&merged(&[&c, &b, &a])));
        prop_assert_eq!(&ab_c, &contents(&merged(&[&a, &b, &c])));
    }

    #[test]
    fn merging_keeps_every_tally(a in profile(true), b in profile(false)) {
        let merged = merge([&a, &b]).unwrap();
        prop_assert_eq!(merged.stored(), a.stored() + b.stored());
        prop_assert_eq!(merged.lost(), a.lost() + b.lost());
        prop_assert_eq!(merged.taken(), a.taken() + b.taken());
        let total = |profile: &Profile| profile.column_total(Column::Value(0));
        prop_assert_eq!(total(&merged), total(&a) + total(&b));
    }

    #[test]
    fn every_view_sums_to_the_whole(profile in profile(false)) {
        for column in [Column::Events, Column::Value(0)] {
            let total = profile.column_total(column);
            prop_assert_eq!(check_totals(CallTree::new(&profile, column).root()), total);
            prop_assert_eq!(check_totals(CallTree::reversed(&profile, column).root()), total);
            let rows = by_function(&profile, column);
            let selves: u64 = rows.iter().map(|row| row.self_value).sum();
            prop_assert_eq!(selves + profile_stackless(&profile, column), total);
            prop_assert!(rows.iter().all(|row| row.self_value <= row.total));
            let totals = rows.iter().map(|row| ((row.name, row.file), row.total));
            prop_assert_eq!(totals.collect::<BTreeMap<_, _>>(), totals_of_functions(&profile, column));
        }
    }

    #[test]
    fn callers_are_the_reversed_tree_without_its_small_nodes(
        profile in profile(false),
        total_min in 0..40_u64,
    ) {
        for (column, total_min) in [(Column::Events, total_min / 8), (Column::Value(0), 50 * total_min)] {
            let whole = CallTree::reversed(&profile, column);
            check_opened(Callers::new(&profile, column).root(), whole.root(), total_min);
        }
    }

    #[test]
    fn the_extent_bounds_what_is_written_out(profile in prop_oneof![profile(true), profile(false)]) {
        let extent = profile.extent();
        let depth = |id| profile.stack_leaf_first(id).count() as u64;
        let stacks: Vec<_> = profile.samples().filter_map(|sample| sample.stack()).collect();
        let distinct: BTreeSet<_> = stacks.iter().copied().collect();
        prop_assert_eq!(extent.samples.frames, stacks.into_iter().map(depth).sum::<u64>());
        prop_assert_eq!(extent.stacks.frames, distinct.into_iter().map(depth).sum::<u64>());
        for column in [Column::Events, Column::Value(0)] {
            let text = encode::folded(&profile, column);
            prop_assert!(text.len() as u64 <= extent.stacks.text_bytes, "{}", text);
            for tree in [CallTree::new(&profile, column), CallTree::reversed(&profile, column)] {
                let (nodes, text) = written(tree.root());
                prop_assert!(nodes <= extent.stacks.frames && text <= extent.stacks.text_bytes);
            }
        }
    }

    #[test]
    fn the_parts_of_a_label_sum_to_the_whole(profile in profile(true)) {
        let mut merger = Merger::new();
        for value in ["", "/a", "/b"] {
            merger.add_part(&profile, &Part::default().with_label("entry", value)).unwrap();
        }
        let (sum, whole) = (merger.finish(), merge([&profile]).unwrap());
        prop_assert_eq!(sum.stored(), whole.stored());
        for column in [Column::Events, Column::Value(0)] {
            prop_assert_eq!(encode::folded(&sum, column), encode::folded(&whole, column));
        }
        let by_value: Tally = profile.label_values("entry", "(none)").into_values().sum();
        prop_assert_eq!(by_value, profile.stored());
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let limits = Limits::default();
        let _ = decode::any(&bytes, &limits);
        let _ = decode::pprof(&bytes, &limits);
        let _ = decode::speedscope(&bytes, &limits);
        let _ = decode::folded(&bytes, &limits);
    }

    #[test]
    fn damaged_files_are_refused_or_read_but_never_panic(
        profile in profile(true), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut pprof = encode::pprof_uncompressed(&profile);
        let place = at.index(pprof.len());
        pprof[place] = byte;
        let _ = decode::pprof(&pprof, &Limits::default());
        let mut json = encode::speedscope(&profile).into_bytes();
        let place = at.index(json.len());
        json[place] = byte;
        let _ = decode::speedscope(&json, &Limits::default());
    }
}

/// The nodes below one, and the bytes of their names.
fn written(node: Node<'_>) -> (u64, u64) {
    node.children().fold((0, 0), |(nodes, text), child| {
        let (more, longer) = written(child);
        (nodes + more + 1, text + longer + child.name().len() as u64)
    })
}

fn profile_stackless(profile: &Profile, column: Column) -> u64 {
    profile
        .samples()
        .filter(|sample| sample.stack().is_none())
        .map(|one| column.of(&one))
        .sum()
}

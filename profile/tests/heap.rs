//! What a profile says it takes in memory, against an allocator that counts.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "the whole file is a test"
)]

use std::fmt::Write as _;

use flashlamp_profile::{
    EventCount, FrameSpec, Limits, Mapping, Merger, NewSample, Profile, ProfileBuilder, Tally,
    ValueType, decode, encode,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Runs `make` and compares what is allocated after it with what its result says of itself.
fn check<T>(what: &str, make: impl FnOnce() -> T, heap_bytes: impl Fn(&T) -> usize) {
    let before = ALLOCATOR.current_usage();
    let made = make();
    let allocated = ALLOCATOR.current_usage() - before;
    let said = heap_bytes(&made);
    assert!(
        allocated > 100_000,
        "{what}: {allocated} bytes are too few to compare"
    );
    assert!(
        said * 4 <= allocated * 5 && allocated * 4 <= said * 5,
        "{what}: allocated {allocated}, said {said}"
    );
}

/// 20,000 functions, each with a long name of its own.
fn many_names() -> String {
    (0..20_000).fold(String::new(), |mut text, number| {
        writeln!(text, "main;a_function_with_the_number_{number:0100} 1").unwrap();
        text
    })
}

/// Ten names in 2,000 stacks of 100 to 200 frames.
fn deep_stacks() -> String {
    (0..2_000).fold(String::new(), |mut text, number| {
        for level in 0..100 + number % 100 {
            write!(text, "f{};", (number + level * level) % 10).unwrap();
        }
        writeln!(text, "leaf{number} 1").unwrap();
        text
    })
}

/// 50,000 samples of one stack, with two values, 500 sets of labels and 100 threads.
fn many_samples() -> Profile {
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::CPU, ValueType::WALL]);
    let main = builder.frame(&FrameSpec::new("main"));
    let stack = Some(builder.stack(None, main));
    for number in 0..50_000_u64 {
        let entry = format!("/route/{}", number % 500);
        let labels = builder.labels(&[("entry", &entry), ("shard", "one of many")]);
        let thread = Some(builder.thread(number % 100, "worker"));
        builder.sample(NewSample {
            stack,
            event_count: EventCount::ONE,
            values: &[number, number],
            time: None,
            thread,
            labels,
        });
    }
    builder.build().unwrap()
}

/// 2,000 mappings and 2,000 reasons for loss.
fn many_mappings() -> Profile {
    let mut builder = ProfileBuilder::new();
    for number in 0..2_000_u64 {
        builder.mapping(Mapping {
            path: format!("/usr/lib/some/folder/library_{number}.so"),
            build_id: format!("{number:040x}"),
            start: number << 12,
            ..Mapping::default()
        });
        builder.loss(
            &format!("a_reason_for_loss_{number}"),
            Tally::one(EventCount::ONE),
        );
    }
    builder.build().unwrap()
}

fn folded(text: &str) -> Profile {
    decode::folded(text.as_bytes(), &Limits::TRUSTED).unwrap()
}

fn sum(profiles: &[Profile]) -> Merger {
    let mut merger = Merger::new();
    for profile in profiles {
        merger.add(profile).unwrap();
    }
    merger
}

/// One test, so that nothing else allocates beside it.
#[test]
fn heap_bytes_is_within_a_quarter_of_what_was_allocated() {
    for (what, text) in [("names", many_names()), ("deep", deep_stacks())] {
        check(what, || folded(&text), Profile::heap_bytes);
        // Names are shared, so what was added has to be gone before it is measured.
        let added = || sum(&[folded(&text), folded(&text)]);
        check(what, added, Merger::heap_bytes);
        check(what, || added().finish(), Profile::heap_bytes);
    }
    for (what, make) in [
        ("samples", many_samples as fn() -> Profile),
        ("mappings", many_mappings),
    ] {
        check(what, make, Profile::heap_bytes);
        let pprof = encode::pprof_uncompressed(&make());
        let decoded = || decode::pprof(&pprof, &Limits::TRUSTED).unwrap();
        check(what, decoded, Profile::heap_bytes);
        let profile = make();
        check(what, || profile.clone(), Profile::heap_bytes);
    }
    let both = || sum(&[folded(&many_names()), folded(&deep_stacks())]);
    check("both", both, Merger::heap_bytes);
}

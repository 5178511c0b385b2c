//! Merge, call tree and encoding, on stacks shaped like a service's.
//!
//! `cargo bench -p flashlamp-profile`. The baseline of a merge is the plain sum of the same
//! folded lines in a hash map of text, measured in the same run.
#![expect(clippy::unwrap_used, reason = "a bench")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use flashlamp_profile::{CallTree, Column, Limits, Profile, by_function, decode, encode, merge};

/// Stacks of depth 8 to 40 over 3,000 functions, shared near the root; the same every time.
fn folded(seed: u64, lines: usize) -> String {
    let mut state = seed;
    let mut next = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut text = String::new();
    for _ in 0..lines {
        let depth = 8 + next(32);
        for level in 0..depth {
            let choices = if level < 4 { 3 } else { 3_000 };
            let separator = if level == 0 { "" } else { ";" };
            write!(
                text,
                "{separator}module::level_{level}::function_{}",
                next(choices)
            )
            .unwrap();
        }
        writeln!(text, " {}", 1 + next(9)).unwrap();
    }
    text
}

fn profiles(count: u64) -> (Vec<String>, Vec<Profile>) {
    let texts: Vec<String> = (0..count).map(|seed| folded(seed, 2_000)).collect();
    let decoded = |text: &String| decode::folded(text.as_bytes(), &Limits::TRUSTED).unwrap();
    let profiles = texts.iter().map(decoded).collect();
    (texts, profiles)
}

fn benches(criterion: &mut Criterion) {
    let (texts, profiles) = profiles(8);
    criterion.bench_function(
        "baseline: 8 x 2,000 folded lines into a HashMap",
        |bencher| {
            bencher.iter(|| {
                let mut sums: HashMap<&str, u64> = HashMap::new();
                for line in texts.iter().flat_map(|text| text.lines()) {
                    let (stack, count) = line.rsplit_once(' ').unwrap();
                    *sums.entry(stack).or_default() += count.parse::<u64>().unwrap();
                }
                black_box(sums.len())
            });
        },
    );
    criterion.bench_function("merge: 8 profiles of 2,000 stacks", |bencher| {
        bencher.iter(|| merge(black_box(&profiles)).unwrap());
    });
    let merged = merge(&profiles).unwrap();
    criterion.bench_function("call tree of the merge", |bencher| {
        bencher.iter(|| CallTree::new(black_box(&merged), Column::Events).node_count());
    });
    criterion.bench_function("by_function of the merge", |bencher| {
        bencher.iter(|| by_function(black_box(&merged), Column::Events).len());
    });
    criterion.bench_function("encode pprof, not compressed", |bencher| {
        bencher.iter(|| encode::pprof_uncompressed(black_box(&merged)).len());
    });
    let bytes = encode::pprof_uncompressed(&merged);
    criterion.bench_function("decode pprof, not compressed", |bencher| {
        bencher.iter(|| {
            decode::pprof(black_box(&bytes), &Limits::TRUSTED)
                .unwrap()
                .stored()
        });
    });
}

criterion_group!(all, benches);
criterion_main!(all);

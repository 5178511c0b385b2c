//! From collected samples to a profile with names.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, PoisonError};

use flashlamp_profile::{
    EventCount, FrameId, FrameKind, FrameSpec, LabelSetId, Mapping, MappingId, Nanos, NewSample,
    Period, Profile, ProfileBuilder, StackId, Tally, ValueType, labels,
};

use crate::Clock;
use crate::collection::{Chunk, Location, Losses, RawSample};
use crate::mappings::Module;
use crate::process::Process;
use crate::symbolize::Wanted;

/// What a profile is to hold beside its stacks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detail<'a> {
    /// The profile's name.
    pub(crate) name: &'a str,
    /// Times of samples: a profile to look at, not to add up.
    pub(crate) timeline: bool,
    /// Threads of samples. A request is on one thread at a time, so its profile has none: it
    /// is one timeline, whatever threads its polls ran on.
    pub(crate) threads: bool,
    /// The entry point as a label.
    pub(crate) entries: bool,
    /// Losses beside the chunk's own.
    pub(crate) more_losses: &'a Losses,
}

/// Builds the profile of a chunk; symbolizes, so it may take seconds the first time.
///
/// Runs on the host's threads and reads debug information that others wrote: a panic of the
/// readers costs the profile, not the host.
pub(crate) fn profile_of(process: &Process, chunk: &Chunk, detail: Detail<'_>) -> Profile {
    profile_or_lost(chunk, detail, || build(process, chunk, detail))
}

fn profile_or_lost(
    chunk: &Chunk,
    detail: Detail<'_>,
    build: impl FnOnce() -> Option<Profile>,
) -> Profile {
    // What a panic may leave half done behind the process's locks are caches, each entry of
    // which is put in whole.
    let built = std::panic::catch_unwind(std::panic::AssertUnwindSafe(build));
    let built = built.ok().flatten();
    built.unwrap_or_else(|| lost_profile(chunk, detail))
}

fn build(process: &Process, chunk: &Chunk, detail: Detail<'_>) -> Option<Profile> {
    let mut builder = ProfileBuilder::new();
    let value_types: &[ValueType] = match chunk.clock {
        Clock::Cpu => &[ValueType::CPU],
        Clock::Wall => &[ValueType::WALL, ValueType::CPU],
    };
    builder
        .name(detail.name)
        .start(chunk.start.utc)
        .value_types(value_types);
    builder.duration(Nanos::from_nanos(chunk.duration_ns));
    if let Some(period) = Period::from_nanos(chunk.period_ns) {
        builder.period(period);
    }
    let stacks = add_stacks(process, chunk, &mut builder);
    let threads: Vec<_> = chunk
        .collection
        .threads
        .iter()
        .map(|(tid, name)| builder.thread(u64::from(tid.unsigned_abs()), name))
        .collect();
    // A copy: a request with a new name waits for every reader, and the rows may be many.
    let entries = process
        .entries
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let rows = if detail.timeline {
        in_order(chunk)
    } else {
        summed(chunk)
    };
    for (sample_count, events, sample) in rows {
        let since_start = sample.time_ns.saturating_sub(chunk.start.monotonic_ns);
        let entry = entries.name(sample.entry).unwrap_or(labels::NO_ENTRY);
        let label_set = if detail.entries {
            builder.labels(&[(labels::ENTRY, entry)])
        } else {
            LabelSetId::EMPTY
        };
        let at = |index: u32| usize::try_from(index).ok();
        let row = NewSample {
            stack: sample.stack.and_then(|node| stacks.get(at(node)?).copied()),
            event_count: EventCount::new(events),
            values: match chunk.clock {
                Clock::Cpu => &[sample.cpu_ns],
                Clock::Wall => &[sample.wall_ns, sample.cpu_ns],
            },
            time: detail.timeline.then_some(Nanos::from_nanos(since_start)),
            thread: sample
                .thread
                .filter(|_| detail.threads)
                .and_then(|index| threads.get(at(index)?).copied()),
            labels: label_set,
        };
        builder.samples(sample_count, row);
    }
    for losses in [&chunk.losses, detail.more_losses] {
        for (reason, tally) in losses {
            builder.loss(reason, *tally);
        }
    }
    builder.build().ok()
}

/// How many samples a row stands for, their events, and the row.
type Row = (u64, u64, RawSample);

/// Each sample by itself, in order of time.
fn in_order(chunk: &Chunk) -> Vec<Row> {
    let row = |sample: &RawSample| {
        (
            u64::from(sample.events > 0),
            u64::from(sample.events),
            *sample,
        )
    };
    let mut rows: Vec<Row> = chunk.collection.samples.iter().map(row).collect();
    rows.sort_by_key(|(_, _, sample)| sample.time_ns);
    rows
}

/// Equal stacks of one entry point as one row: what adds up needs no more.
fn summed(chunk: &Chunk) -> Vec<Row> {
    let mut rows = BTreeMap::<(Option<u32>, u32), Row>::new();
    for (sample_count, events, sample) in in_order(chunk) {
        let key = (sample.stack, sample.entry);
        match rows.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert((sample_count, events, sample));
            }
            Entry::Occupied(mut occupied) => {
                let (sample_counts, event_sum, sum) = occupied.get_mut();
                *sample_counts = sample_counts.saturating_add(sample_count);
                *event_sum = event_sum.saturating_add(events);
                sum.wall_ns = sum.wall_ns.saturating_add(sample.wall_ns);
                sum.cpu_ns = sum.cpu_ns.saturating_add(sample.cpu_ns);
            }
        }
    }
    rows.into_values().collect()
}

/// What is left when a profile cannot be built, which only a panic in its symbols can cause:
/// the books still balance.
fn lost_profile(chunk: &Chunk, detail: Detail<'_>) -> Profile {
    let mut builder = ProfileBuilder::new();
    builder.name(detail.name);
    let more: Tally = detail.more_losses.values().copied().sum();
    let all: Tally = chunk.stored() + chunk.lost() + more;
    builder.loss(flashlamp_profile::losses::UNACCOUNTED, all);
    builder.build().unwrap_or_else(|_| {
        ProfileBuilder::new()
            .build()
            .expect("a profile of nothing is valid")
    })
}

/// Node of the chunk's tree to stack of the profile.
fn add_stacks(process: &Process, chunk: &Chunk, builder: &mut ProfileBuilder) -> Vec<StackId> {
    let frames = add_frames(process, chunk, builder);
    let mut stacks: Vec<StackId> = Vec::with_capacity(chunk.collection.stacks.len());
    for (parent, location) in &chunk.collection.stacks {
        let mut stack =
            parent.and_then(|parent| stacks.get(usize::try_from(parent).ok()?).copied());
        let frames = usize::try_from(*location)
            .ok()
            .and_then(|index| frames.get(index));
        for frame in frames.into_iter().flatten() {
            stack = Some(builder.stack(stack, *frame));
        }
        // Parents come before children, and every location has at least one frame.
        stacks.extend(stack);
    }
    stacks
}

/// The frames of each location, the caller first (an inlined function after it).
fn add_frames(process: &Process, chunk: &Chunk, builder: &mut ProfileBuilder) -> Vec<Vec<FrameId>> {
    let mut symbols = process
        .symbols
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    // pprof takes the first mapping for the program.
    let program = |location: &Location| match location {
        Location::Object { module, .. } if module.is_program() => Some(mapping_of(module)),
        _ => None,
    };
    if let Some(program) = chunk.collection.locations.iter().find_map(program) {
        builder.mapping(program);
    }
    let wanted: Vec<Wanted> = chunk
        .collection
        .locations
        .iter()
        .filter_map(wanted)
        .collect();
    let mut found = symbols.resolve_all(&wanted).into_iter();
    drop(symbols);
    let mut last: Option<(Arc<Module>, MappingId)> = None;
    let mut all = Vec::with_capacity(chunk.collection.locations.len());
    for location in &chunk.collection.locations {
        let frames = match location {
            Location::Marker(name) => {
                vec![builder.frame(&FrameSpec::new(name).kind(FrameKind::Marker))]
            }
            Location::Jit { name, address } => {
                let spec = FrameSpec::new(name).kind(FrameKind::Jit).address(*address);
                vec![builder.frame(&spec)]
            }
            Location::Unknown { address } => {
                let name = format!("[unknown]+{address:#x}");
                vec![builder.frame(&FrameSpec::new(&name).address(*address))]
            }
            Location::Object { module, address } => {
                let mapping = match &last {
                    Some((known, mapping)) if Arc::ptr_eq(known, module) => *mapping,
                    _ => builder.mapping(mapping_of(module)),
                };
                last = Some((Arc::clone(module), mapping));
                let functions = found.next().unwrap_or_else(|| Arc::from([]));
                object_frames(builder, &functions, module, mapping, *address)
            }
        };
        all.push(frames);
    }
    all
}

/// What has to be looked up for a location.
fn wanted(location: &Location) -> Option<Wanted> {
    match location {
        Location::Object { module, address } => Some((Arc::clone(module), *address)),
        _ => None,
    }
}

fn object_frames(
    builder: &mut ProfileBuilder,
    functions: &[crate::symbolize::Function],
    module: &Module,
    mapping: MappingId,
    address: u64,
) -> Vec<FrameId> {
    let avma = module.base.wrapping_add(address);
    let Some((code, inlined)) = functions.split_last() else {
        let name = format!("{}+{address:#x}", module.object());
        return vec![builder.frame(&FrameSpec::new(&name).mapping(mapping).address(avma))];
    };
    let mut frames = Vec::with_capacity(functions.len());
    for (index, function) in std::iter::once(code)
        .chain(inlined.iter().rev())
        .enumerate()
    {
        let mut spec = FrameSpec::new(&function.name).line(function.line);
        if let Some(file) = &function.file {
            spec = spec.file(file);
        }
        spec = if index == 0 {
            spec.mapping(mapping).address(avma)
        } else {
            spec.kind(FrameKind::Inline)
        };
        frames.push(builder.frame(&spec));
    }
    frames
}

fn mapping_of(module: &Module) -> Mapping {
    Mapping {
        path: module.path.clone(),
        build_id: module.build_id.clone(),
        start: module.text_start,
        end: module.text_end,
        file_offset: module.text_offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Anchor;
    use crate::collection::Collection;

    #[test]
    fn panic_in_the_symbols_loses_the_profile_and_balances_the_books() {
        let tally = |events| Tally { samples: 1, events };
        let chunk = Chunk {
            collection: Collection::new(8),
            losses: Losses::from([("ring_full", tally(3))]),
            start: Anchor::now(),
            duration_ns: 1,
            clock: Clock::Cpu,
            period_ns: 1,
        };
        let detail = Detail {
            name: "a profile",
            timeline: false,
            threads: false,
            entries: false,
            more_losses: &Losses::from([("queue_full", tally(4))]),
        };
        let profile = profile_or_lost(&chunk, detail, || panic!("malformed debug information"));
        let lost: Tally = profile.losses().values().copied().sum();
        assert_eq!((lost.samples, lost.events), (2, 7));
    }
}

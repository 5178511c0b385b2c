//! The only way to make a [`Profile`].

use std::collections::BTreeMap;

use crate::error::BuildError;
use crate::frame::{Frame, FrameId, FrameKind, FrameRecord};
use crate::function::{Function, FunctionId};
use crate::interner::{Contents as _, Interner};
use crate::label::LabelSetId;
use crate::loss::Tally;
use crate::mapping::{Mapping, MappingId};
use crate::profile::Profile;
use crate::sample::SampleRow;
use crate::stack::StackId;
use crate::string_table::StringId;
use crate::thread::{Thread, ThreadId};
use crate::units::{EventCount, Nanos, Period, SUM_MAX, Timestamp};
use crate::value_type::ValueType;

/// Collects tables and samples, then checks them once.
///
/// Names, frames, stacks, threads and label sets are interned: the same input gives the same
/// id, and the same calls in the same order give the same profile. An id belongs to the builder
/// that gave it out; [`Self::build`] refuses ids that point past a table's end.
///
/// ```
/// use flashlamp_profile::{EventCount, FrameSpec, LabelSetId, NewSample, ProfileBuilder, ValueType};
///
/// let mut builder = ProfileBuilder::new();
/// builder.value_types(&[ValueType::WALL]);
/// let main = builder.frame(&FrameSpec::new("main").file("src/main.rs").line(3));
/// let stack = builder.stack(None, main);
/// builder.sample(NewSample {
///     stack: Some(stack),
///     event_count: EventCount::ONE,
///     values: &[1_000_000],
///     time: None,
///     thread: None,
///     labels: LabelSetId::EMPTY,
/// });
/// let profile = builder.build()?;
/// assert_eq!(profile.stored().samples, 1);
/// # Ok::<(), flashlamp_profile::BuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProfileBuilder {
    /// What is there so far; handed out once it was checked.
    profile: Profile,
    interners: Interners,
    error: Option<BuildError>,
}

/// One for each table that holds each different entry once. A finished profile needs none.
#[derive(Clone, Debug, Default)]
struct Interners {
    strings: Interner,
    mappings: Interner,
    functions: Interner,
    frames: Interner,
    stacks: Interner,
    labels: Interner,
    threads: Interner,
}

/// A frame to be added. Only the name is required.
#[derive(Clone, Copy, Debug)]
pub struct FrameSpec<'a> {
    name: &'a str,
    file: Option<&'a str>,
    line: u32,
    kind: FrameKind,
    mapping: Option<MappingId>,
    address: u64,
}

impl<'a> FrameSpec<'a> {
    /// A native frame of this function.
    pub const fn new(name: &'a str) -> Self {
        Self {
            name,
            file: None,
            line: 0,
            kind: FrameKind::Native,
            mapping: None,
            address: 0,
        }
    }

    /// The source file; empty means unknown.
    #[must_use]
    pub const fn file(self, file: &'a str) -> Self {
        Self {
            file: if file.is_empty() { None } else { Some(file) },
            ..self
        }
    }

    /// The line, from 1; 0 means unknown.
    #[must_use]
    pub const fn line(self, line: u32) -> Self {
        Self { line, ..self }
    }

    /// Where the code comes from.
    #[must_use]
    pub const fn kind(self, kind: FrameKind) -> Self {
        Self { kind, ..self }
    }

    /// The object file. Ignored for inline frames, which share their caller's.
    #[must_use]
    pub const fn mapping(self, mapping: MappingId) -> Self {
        Self {
            mapping: Some(mapping),
            ..self
        }
    }

    /// The address in the process (an AVMA); 0 means unknown. Ignored for inline frames.
    #[must_use]
    pub const fn address(self, address: u64) -> Self {
        Self { address, ..self }
    }
}

/// A sample to be added.
#[derive(Clone, Copy, Debug)]
pub struct NewSample<'a> {
    /// The stack; `None` where nothing ran.
    pub stack: Option<StackId>,
    /// How many periods it stands for.
    pub event_count: EventCount,
    /// One value for each value type of the profile, in their units.
    pub values: &'a [u64],
    /// When, since the profile's start.
    pub time: Option<Nanos>,
    /// On which thread.
    pub thread: Option<ThreadId>,
    /// With which labels.
    pub labels: LabelSetId,
}

impl ProfileBuilder {
    /// An empty builder, without value types.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the profile's name.
    pub fn name(&mut self, name: &str) -> &mut Self {
        name.clone_into(&mut self.profile.name);
        self
    }

    /// Sets the instant that sample times count from.
    pub const fn start(&mut self, start: Timestamp) -> &mut Self {
        self.profile.start = Some(start);
        self
    }

    /// Sets how long was watched.
    pub const fn duration(&mut self, duration: Nanos) -> &mut Self {
        self.profile.duration = Some(duration);
        self
    }

    /// Sets the nominal distance between samples.
    pub const fn period(&mut self, period: Period) -> &mut Self {
        self.profile.period = Some(period);
        self
    }

    /// Sets what the samples' values measure. Has to come before the first sample.
    pub fn value_types(&mut self, value_types: &[ValueType]) -> &mut Self {
        if self.profile.rows.is_empty() {
            self.profile.value_types = value_types.to_vec();
        } else {
            self.fail(BuildError::ValueTypesTooLate);
        }
        self
    }

    /// Adds a mapping, or finds an equal one.
    pub fn mapping(&mut self, mapping: Mapping) -> MappingId {
        let mappings = &mut self.profile.mappings;
        MappingId(self.interners.mappings.intern(mappings, mapping))
    }

    /// Adds a frame, or finds an equal one.
    pub fn frame(&mut self, spec: &FrameSpec<'_>) -> FrameId {
        let inline = spec.kind == FrameKind::Inline;
        let mapping = spec.mapping.filter(|_| !inline);
        if mapping.is_some_and(|id| id.0 as usize >= self.profile.mappings.len()) {
            self.fail(BuildError::ForeignId { table: "mapping" });
        }
        let name = self.string(spec.name);
        let file = spec.file.map(|file| self.string(file));
        let function = self.function(Function { name, file });
        let address = if inline { 0 } else { spec.address };
        let (line, kind) = (spec.line, spec.kind);
        self.record(FrameRecord {
            function,
            line,
            kind,
            mapping,
            address,
        })
    }

    /// The frame of another profile that has this frame's function and kind, and nothing else of
    /// it. Its names are shared.
    pub(crate) fn same_function(&mut self, frame: Frame<'_>) -> FrameId {
        let (name, file) = frame.texts();
        let (strings, interner) = (&mut self.profile.strings, &mut self.interners.strings);
        let name = strings.share(interner, name);
        let file = file.map(|file| strings.share(interner, file));
        let function = self.function(Function { name, file });
        self.record(FrameRecord {
            function,
            line: 0,
            kind: frame.kind(),
            mapping: None,
            address: 0,
        })
    }

    fn string(&mut self, text: &str) -> StringId {
        let strings = &mut self.profile.strings;
        strings.intern(&mut self.interners.strings, text)
    }

    fn function(&mut self, function: Function) -> FunctionId {
        let functions = &mut self.profile.functions;
        functions.intern(&mut self.interners.functions, function)
    }

    fn record(&mut self, record: FrameRecord) -> FrameId {
        let frames = &mut self.profile.frames;
        frames.intern(&mut self.interners.frames, record)
    }

    /// Adds the stack that is `parent` and one more frame towards the leaf, or finds it.
    ///
    /// `None` as the parent makes `frame` a root.
    pub fn stack(&mut self, parent: Option<StackId>, frame: FrameId) -> StackId {
        if parent.is_some_and(|id| id.0 as usize >= self.profile.stacks.len()) {
            self.fail(BuildError::ForeignId { table: "stack" });
        }
        if frame.0 as usize >= self.profile.frames.len() {
            self.fail(BuildError::ForeignId { table: "frame" });
        }
        let stacks = &mut self.profile.stacks;
        stacks.intern(&mut self.interners.stacks, parent, frame)
    }

    /// Adds a whole stack, root first; `None` if there are no frames.
    pub fn stack_root_first(
        &mut self,
        frames: impl IntoIterator<Item = FrameId>,
    ) -> Option<StackId> {
        frames
            .into_iter()
            .fold(None, |parent, frame| Some(self.stack(parent, frame)))
    }

    /// How many nodes the tree of stacks has so far.
    pub fn stack_node_count(&self) -> usize {
        self.profile.stacks.len()
    }

    /// Adds a thread, or finds an equal one.
    pub fn thread(&mut self, tid: u64, name: &str) -> ThreadId {
        let thread = Thread {
            tid,
            name: name.to_owned(),
        };
        let threads = &mut self.profile.threads;
        ThreadId(self.interners.threads.intern(threads, thread))
    }

    /// Adds a label set, or finds an equal one. Of two values for one key the last one counts.
    pub fn labels(&mut self, pairs: &[(&str, &str)]) -> LabelSetId {
        let sorted: BTreeMap<&str, &str> = pairs.iter().copied().collect();
        let set = sorted
            .into_iter()
            .map(|(key, value)| (self.string(key), self.string(value)))
            .collect();
        let labels = &mut self.profile.labels;
        labels.intern(&mut self.interners.labels, set)
    }

    /// Adds one sample. With an event count of zero it is measured time, such as a gap,
    /// and counts as no sample.
    pub fn sample(&mut self, sample: NewSample<'_>) -> &mut Self {
        let sample_count = u64::from(sample.event_count != EventCount::ZERO);
        self.samples(sample_count, sample)
    }

    /// Adds one row that stands for `sample_count` equal samples; its event count and values
    /// are their sums.
    pub fn samples(&mut self, sample_count: u64, sample: NewSample<'_>) -> &mut Self {
        let NewSample {
            stack,
            event_count,
            values,
            time,
            thread,
            labels,
        } = sample;
        if values.len() != self.profile.value_types.len() {
            self.fail(BuildError::ValueCount {
                sample: self.profile.rows.len(),
                expected: self.profile.value_types.len(),
                found: values.len(),
            });
        }
        let foreign = [
            (
                "stack",
                stack.is_some_and(|id| id.0 as usize >= self.profile.stacks.len()),
            ),
            (
                "thread",
                thread.is_some_and(|id| id.index() >= self.profile.threads.len()),
            ),
            ("label set", labels.0 as usize >= self.profile.labels.len()),
        ];
        if let Some((table, _)) = foreign.into_iter().find(|(_, foreign)| *foreign) {
            self.fail(BuildError::ForeignId { table });
        }
        self.profile.rows.push(SampleRow {
            stack,
            sample_count,
            event_count,
            time,
            thread,
            labels,
        });
        self.profile.values.extend_from_slice(values);
        self
    }

    /// Adds `sample_count` samples to the row of the same stack and labels, up to [`SUM_MAX`]; makes one
    /// if `sums` knows none. The sample has neither time nor thread, and all rows came this way.
    pub(crate) fn add_to_sum(
        &mut self,
        sums: &mut Interner,
        sample_count: u64,
        sample: NewSample<'_>,
    ) {
        let rows = self.profile.rows.len();
        let key = SampleRow {
            stack: sample.stack,
            sample_count: 0,
            event_count: EventCount::ZERO,
            time: None,
            thread: None,
            labels: sample.labels,
        };
        let make = || key;
        let is = |row: &SampleRow| row.stack == key.stack && row.labels == key.labels;
        let place = sums.intern_with(&mut self.profile.rows, key.hash(), is, make) as usize;
        let width = sample.values.len();
        if place == rows {
            self.profile.values.resize((rows + 1) * width, 0);
        }
        let row = &mut self.profile.rows[place];
        let add = |sum: u64, more: u64| sum.saturating_add(more).min(SUM_MAX);
        row.sample_count = add(row.sample_count, sample_count);
        row.event_count =
            EventCount::new(add(row.event_count.as_u64(), sample.event_count.as_u64()));
        let sums = &mut self.profile.values[place * width..(place + 1) * width];
        for (sum, value) in sums.iter_mut().zip(sample.values) {
            *sum = add(*sum, *value);
        }
    }

    /// How many rows were added so far.
    pub fn row_count(&self) -> usize {
        self.profile.rows.len()
    }

    /// Adds to the losses of this reason.
    pub fn loss(&mut self, reason: &str, tally: Tally) -> &mut Self {
        if !tally.is_zero() {
            *self.profile.losses.entry(reason.to_owned()).or_default() += tally;
        }
        self
    }

    /// About how many bytes of memory what was added so far takes; see [`Profile::heap_bytes`].
    pub fn heap_bytes(&self) -> usize {
        let interners = &self.interners;
        let interners = [
            &interners.strings,
            &interners.mappings,
            &interners.functions,
            &interners.frames,
            &interners.stacks,
            &interners.labels,
            &interners.threads,
        ];
        let interners = interners.into_iter().map(Interner::heap_bytes);
        self.profile.heap_bytes() + interners.sum::<usize>()
    }

    fn fail(&mut self, error: BuildError) {
        self.error.get_or_insert(error);
    }

    /// Makes the profile. Samples that all have a time are sorted by it, those of one time
    /// stay in the order in which they were added; otherwise nothing is sorted.
    ///
    /// # Errors
    /// The first [`BuildError`] that any call ran into.
    pub fn build(self) -> Result<Profile, BuildError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut profile = self.profile;
        profile.sort_by_time();
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(values: &[u64]) -> NewSample<'_> {
        NewSample {
            stack: None,
            event_count: EventCount::ONE,
            values,
            time: None,
            thread: None,
            labels: LabelSetId::EMPTY,
        }
    }

    #[test]
    fn wrong_number_of_values_is_refused() {
        let mut builder = ProfileBuilder::new();
        builder
            .value_types(&[ValueType::CPU])
            .sample(plain(&[1]))
            .sample(plain(&[]));
        let error = BuildError::ValueCount {
            sample: 1,
            expected: 1,
            found: 0,
        };
        assert_eq!(builder.build().unwrap_err(), error);
    }

    #[test]
    fn ids_of_another_builder_are_refused() {
        let mut other = ProfileBuilder::new();
        let frame = other.frame(&FrameSpec::new("f"));
        let stack = other.stack(None, frame);
        let mut builder = ProfileBuilder::new();
        builder.sample(NewSample {
            stack: Some(stack),
            ..plain(&[])
        });
        assert_eq!(
            builder.build().unwrap_err(),
            BuildError::ForeignId { table: "stack" }
        );
    }

    #[test]
    fn value_types_after_a_sample_are_refused() {
        let mut builder = ProfileBuilder::new();
        builder.sample(plain(&[])).value_types(&[ValueType::CPU]);
        assert_eq!(builder.build().unwrap_err(), BuildError::ValueTypesTooLate);
    }

    #[test]
    fn samples_are_sorted_by_time_and_ties_keep_their_order() {
        let mut builder = ProfileBuilder::new();
        builder.value_types(&[ValueType::CPU]);
        for (time, value) in [(5, 50), (1, 10), (5, 51), (0, 0)] {
            let time = Some(Nanos::from_nanos(time));
            builder.sample(NewSample {
                time,
                ..plain(&[value])
            });
        }
        let profile = builder.build().unwrap();
        let values: Vec<u64> = profile.samples().map(|sample| sample.values()[0]).collect();
        assert_eq!(values, [0, 10, 50, 51]);
    }

    #[test]
    fn the_last_of_two_values_for_one_label_counts() {
        let mut builder = ProfileBuilder::new();
        let labels = builder.labels(&[("entry", "/a"), ("entry", "/b")]);
        let profile = builder.build().unwrap();
        assert_eq!(profile.label(labels, "entry"), Some("/b"));
    }
}

//! The profile itself: tables and header, read-only.

use std::collections::BTreeMap;

use crate::column::Column;
use crate::frame::{Frame, FrameId, FrameKind, FrameTable, markers};
use crate::function::{FunctionId, FunctionTable};
use crate::label::{LabelSetId, LabelTable};
use crate::loss::Tally;
use crate::mapping::{Mapping, MappingId};
use crate::sample::{Sample, SampleRow};
use crate::stack::{StackId, StackTable};
use crate::string_table::StringTable;
use crate::thread::{Thread, ThreadId};
use crate::units::{Nanos, Period, Timestamp, index};
use crate::value_type::ValueType;

/// A set of samples and what is known about them; always valid.
///
/// Ids (of stacks, frames, threads, label sets) belong to the profile that handed them out.
/// Used with another profile they name something else there, or panic.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    pub(crate) name: String,
    pub(crate) start: Option<Timestamp>,
    pub(crate) duration: Option<Nanos>,
    pub(crate) period: Option<Period>,
    pub(crate) value_types: Vec<ValueType>,
    pub(crate) strings: StringTable,
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) functions: FunctionTable,
    pub(crate) frames: FrameTable,
    pub(crate) stacks: StackTable,
    pub(crate) labels: LabelTable,
    pub(crate) threads: Vec<Thread>,
    pub(crate) rows: Vec<SampleRow>,
    pub(crate) values: Vec<u64>,
    pub(crate) losses: BTreeMap<String, Tally>,
}

impl Profile {
    /// The name; empty where it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instant that sample times count from.
    pub const fn start(&self) -> Option<Timestamp> {
        self.start
    }

    /// How long was watched.
    pub const fn duration(&self) -> Option<Nanos> {
        self.duration
    }

    /// The nominal distance between samples, where there was one.
    pub const fn period(&self) -> Option<Period> {
        self.period
    }

    /// What the samples' values measure; empty where there are event counts only.
    pub fn value_types(&self) -> &[ValueType] {
        &self.value_types
    }

    /// The first value type, or [`ValueType::SAMPLES`]: what a series of such profiles is of.
    pub fn main_type(&self) -> ValueType {
        Column::default_for(self).value_type(self)
    }

    /// Every sample; in order of time where all have one.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = Sample<'_>> + Clone + '_ {
        let width = self.value_types.len();
        self.rows
            .iter()
            .enumerate()
            .map(move |(place, row)| Sample {
                row,
                values: &self.values[place * width..(place + 1) * width],
            })
    }

    /// Whether there is neither a sample nor a loss.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.losses.is_empty()
    }

    /// How many different stacks there are, callers' stacks counted: the nodes of their tree.
    pub fn stack_node_count(&self) -> usize {
        self.stacks.len()
    }

    /// The frames of a stack, leaf first. An inline frame stands before its caller.
    pub fn stack_leaf_first(&self, id: StackId) -> impl Iterator<Item = Frame<'_>> + '_ {
        self.stacks
            .leaf_first(id)
            .map(|frame| Frame::new(self, frame))
    }

    /// The frames of a stack, root first.
    pub fn stack_root_first(&self, id: StackId) -> Vec<Frame<'_>> {
        let mut frames: Vec<_> = self.stack_leaf_first(id).collect();
        frames.reverse();
        frames
    }

    /// One frame.
    pub const fn frame(&self, id: FrameId) -> Frame<'_> {
        Frame::new(self, id)
    }

    /// One mapping.
    pub fn mapping(&self, id: MappingId) -> &Mapping {
        &self.mappings[id.0 as usize]
    }

    /// Every mapping that a frame may name.
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// Every thread.
    pub fn threads(&self) -> &[Thread] {
        &self.threads
    }

    /// One thread.
    pub fn thread(&self, id: ThreadId) -> &Thread {
        &self.threads[id.index()]
    }

    /// The value of a label in a set.
    pub fn label(&self, set: LabelSetId, key: &str) -> Option<&str> {
        self.label_pairs(set)
            .find(|(have, _)| *have == key)
            .map(|(_, value)| value)
    }

    /// The labels of a set, sorted by key.
    pub fn label_pairs(&self, set: LabelSetId) -> impl Iterator<Item = (&str, &str)> + '_ {
        let pairs = self.labels.set(set).iter();
        pairs.map(|(key, value)| (self.strings.text(*key), self.strings.text(*value)))
    }

    /// The values of a label over all samples, sorted, with what was stored under each.
    /// Samples without the label are counted under `without`.
    pub fn label_values<'p>(&'p self, key: &str, without: &'p str) -> BTreeMap<&'p str, Tally> {
        let mut tallies = BTreeMap::new();
        for sample in self.samples() {
            let value = self.label(sample.labels(), key).unwrap_or(without);
            *tallies.entry(value).or_insert_with(Tally::default) += sample.tally();
        }
        tallies
    }

    /// The sum of a column by the value of a label; `without` stands for samples that do not have it.
    pub fn label_totals<'p>(
        &'p self,
        key: &str,
        without: &'p str,
        column: Column,
    ) -> BTreeMap<&'p str, u64> {
        let mut of_set = vec![0_u64; self.labels.len()];
        for sample in self.samples() {
            let total = &mut of_set[sample.labels().0 as usize];
            *total = total.saturating_add(column.of(&sample));
        }
        let mut totals = BTreeMap::new();
        for (set, total) in (0..).zip(of_set).filter(|(_, total)| *total != 0) {
            let value = self.label(LabelSetId(set), key).unwrap_or(without);
            let sum: &mut u64 = totals.entry(value).or_default();
            *sum = sum.saturating_add(total);
        }
        totals
    }

    /// What is in the profile. A sample of event count zero was measured, not taken by a
    /// timer: it is not counted here.
    pub fn stored(&self) -> Tally {
        self.samples().map(|sample| sample.tally()).sum()
    }

    /// What was taken and did not get into the profile, over all reasons.
    pub fn lost(&self) -> Tally {
        self.losses.values().copied().sum()
    }

    /// What was taken: stored and lost.
    pub fn taken(&self) -> Tally {
        self.stored() + self.lost()
    }

    /// The losses by reason, sorted by reason; never a zero.
    pub const fn losses(&self) -> &BTreeMap<String, Tally> {
        &self.losses
    }

    /// The samples whose callers were cut at the maximum depth.
    pub fn truncated(&self) -> Tally {
        let roots = self.roots();
        let truncated = |frame: FrameId| self.is_marker(frame, markers::TRUNCATED);
        self.samples()
            .filter(|sample| {
                sample
                    .stack()
                    .is_some_and(|id| truncated(roots[id.0 as usize]))
            })
            .map(|sample| sample.tally())
            .sum()
    }

    /// The sum over the samples whose leaf is this marker frame.
    pub fn marker_total(&self, name: &str, column: Column) -> u64 {
        self.samples()
            .filter(|sample| {
                let leaf = sample.stack().map(|id| self.stacks.node(id).frame);
                leaf.is_some_and(|frame| self.is_marker(frame, name))
            })
            .fold(0, |sum: u64, sample| sum.saturating_add(column.of(&sample)))
    }

    /// The sum of a column over all samples, saturating.
    pub fn column_total(&self, column: Column) -> u64 {
        self.samples()
            .fold(0, |sum: u64, sample| sum.saturating_add(column.of(&sample)))
    }

    /// The same profile under another name.
    #[must_use]
    pub fn renamed(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The sum of a column for each stack itself (not its callers), by place in the table.
    pub(crate) fn self_values(&self, column: Column) -> Vec<u64> {
        let mut sums = vec![0_u64; self.stacks.len()];
        for sample in self.samples() {
            if let Some(stack) = sample.stack() {
                let sum = &mut sums[stack.0 as usize];
                *sum = sum.saturating_add(column.of(&sample));
            }
        }
        sums
    }

    /// The sum of a column over the samples without a stack.
    pub(crate) fn stackless_value(&self, column: Column) -> u64 {
        self.samples()
            .filter(|sample| sample.stack().is_none())
            .fold(0, |sum: u64, sample| sum.saturating_add(column.of(&sample)))
    }

    pub(crate) fn function_name(&self, id: FunctionId) -> &str {
        self.strings.text(self.functions.function(id).name)
    }

    pub(crate) fn function_file(&self, id: FunctionId) -> Option<&str> {
        self.functions
            .function(id)
            .file
            .map(|file| self.strings.text(file))
    }

    /// Sorts the samples by time where every one has one.
    pub(crate) fn sort_by_time(&mut self) {
        let rows = &self.rows;
        let timed = rows.iter().all(|row| row.time.is_some());
        if !timed || rows.is_sorted_by_key(|row| row.time) {
            return;
        }
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|place| rows[*place].time);
        let width = self.value_types.len();
        let mut values = Vec::with_capacity(self.values.len());
        for place in &order {
            values.extend_from_slice(&self.values[place * width..(place + 1) * width]);
        }
        self.rows = order.into_iter().map(|place| self.rows[place]).collect();
        self.values = values;
    }

    /// The place of every function in the order of their names and files, by place in the
    /// table. Names may be long and alike: who sorts many siblings compares places instead.
    pub(crate) fn function_ranks(&self) -> Vec<u32> {
        self.ranks_of(self.functions.iter())
    }

    /// The places of these functions in the order of names and files, by place in the table;
    /// others have none that means anything.
    pub(crate) fn ranks_of(&self, functions: impl Iterator<Item = FunctionId>) -> Vec<u32> {
        let mut order: Vec<FunctionId> = functions.collect();
        order.sort_unstable();
        order.dedup();
        let key = |id: FunctionId| (self.function_name(id), self.function_file(id));
        order.sort_unstable_by(|left, right| key(*left).cmp(&key(*right)));
        let mut ranks = vec![0; self.functions.len()];
        for (rank, id) in order.into_iter().enumerate() {
            ranks[id.0 as usize] = index(rank);
        }
        ranks
    }

    /// The root frame of every stack, by place in the table.
    fn roots(&self) -> Vec<FrameId> {
        let mut roots = Vec::with_capacity(self.stacks.len());
        for (_, node) in self.stacks.iter() {
            let root = node
                .parent
                .map_or(node.frame, |parent| roots[parent.0 as usize]);
            roots.push(root);
        }
        roots
    }

    fn is_marker(&self, frame: FrameId, name: &str) -> bool {
        let frame = self.frame(frame);
        frame.kind() == FrameKind::Marker && frame.name() == name
    }
}

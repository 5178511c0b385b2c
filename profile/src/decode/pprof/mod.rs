//! pprof protobuf, ours and anybody's.
//!
//! Two ways to be small on the wire and large in memory are closed. The outer message is walked
//! field by field, samples are decoded one at a time, and what repeats in them is counted before
//! that: a list of empty messages, two bytes each, would otherwise take forty times its size. And
//! a name stands once in the file, however often it is used: where we keep a copy for each use
//! (mappings, threads, unnamed locations, numeric labels), all copies together may take as much
//! as a whole file.

use std::collections::HashMap;

use crate::builder::{FrameSpec, NewSample, ProfileBuilder};
use crate::error::DecodeError;
use crate::frame::{FrameId, FrameKind};
use crate::limits::Limits;
use crate::loss::Tally;
use crate::mapping::{Mapping, MappingId};
use crate::pprof_proto as proto;
use crate::pprof_proto::{KIND_MAPPINGS, words};
use crate::profile::Profile;
use crate::stack::StackId;
use crate::thread::ThreadId;
use crate::units::{EventCount, Nanos, Period, Timestamp};

use super::fields::{bad, repeats};
use super::inflate::gunzip_if_needed;
use super::{depth_fits, finished, nodes_fit, samples_fit};

mod tables;

use tables::{Tables, message, unsigned};

/// Reads a pprof file, gzip or bare.
///
/// The sample type (samples, count) holds the event counts, the others become value types;
/// where there is none, every sample counts as one event. Lines inside a location are inline
/// frames but for the last. A location without lines is named `object+0xoffset`. Numeric
/// labels become text; times, threads and losses are read back from files of ours.
///
/// # Errors
/// [`DecodeError::Pprof`] for what is no such message, [`DecodeError::DanglingIndex`],
/// [`DecodeError::NegativeValue`], and the limits.
pub fn pprof(bytes: &[u8], limits: &Limits) -> Result<Profile, DecodeError> {
    let bytes = gunzip_if_needed(bytes, limits)?;
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let tables = Tables::read(&bytes, limits)?;
    let mut reading = Reading::new(&tables, limits)?;
    for (number, sample) in tables.samples.iter().enumerate() {
        samples_fit(number + 1, limits)?;
        reading.sample(number, sample)?;
    }
    finished(reading.builder, limits)
}

/// What one number of every sample is.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Events,
    Observations,
    Value,
}

struct Reading<'t> {
    tables: &'t Tables<'t>,
    limits: &'t Limits,
    builder: ProfileBuilder,
    roles: Vec<Role>,
    locations: HashMap<u64, Vec<FrameId>>,
    mappings: HashMap<u64, Option<MappingId>>,
    /// By thread id and the place of the name.
    threads: HashMap<(u64, i64), ThreadId>,
    /// What copies of names take so far.
    copied_bytes: usize,
}

impl<'t> Reading<'t> {
    fn new(tables: &'t Tables<'t>, limits: &'t Limits) -> Result<Self, DecodeError> {
        let mut builder = ProfileBuilder::new();
        let (mut roles, mut value_types) = (Vec::new(), Vec::new());
        for value_type in &tables.sample_types {
            let value_type = tables.value_type(*value_type)?;
            let role = match (&*value_type.name, &*value_type.unit) {
                ("samples", "count") if !roles.contains(&Role::Events) => Role::Events,
                (words::OBSERVATIONS, "count") => Role::Observations,
                _ => Role::Value,
            };
            if role == Role::Value {
                value_types.push(value_type);
            }
            roles.push(role);
        }
        builder.value_types(&value_types);
        let mut reading = Self {
            tables,
            limits,
            builder,
            roles,
            locations: HashMap::new(),
            mappings: HashMap::new(),
            threads: HashMap::new(),
            copied_bytes: 0,
        };
        reading.header()?;
        Ok(reading)
    }

    fn header(&mut self) -> Result<(), DecodeError> {
        let tables = self.tables;
        if tables.time_nanos > 0 {
            self.builder
                .start(Timestamp::from_nanos(unsigned(tables.time_nanos)));
        }
        if tables.duration_nanos > 0 {
            self.builder
                .duration(Nanos::from_nanos(unsigned(tables.duration_nanos)));
        }
        let period_type = tables
            .period_type
            .map(|of| tables.value_type(of))
            .transpose()?;
        if period_type.is_some_and(|of| of.is_time())
            && let Some(period) = Period::from_nanos(unsigned(tables.period))
        {
            self.builder.period(period);
        }
        let mut ids: Vec<u64> = tables.mappings.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.mapping(id)?;
        }
        for comment in &tables.comments {
            self.comment(tables.string(*comment)?);
        }
        Ok(())
    }

    /// Counts a copy of a name.
    fn copy_fits(&mut self, name: &str) -> Result<(), DecodeError> {
        self.copied_bytes = self.copied_bytes.saturating_add(name.len());
        if self.copied_bytes > self.limits.inflated_bytes_max {
            return Err(bad("its names are used so often that they are too large"));
        }
        Ok(())
    }

    /// Our own comments; others are only for people.
    fn comment(&mut self, comment: &str) {
        if let Some(name) = comment.strip_prefix(words::NAME) {
            self.builder.name(name);
        }
        let loss = comment
            .strip_prefix(words::LOST)
            .and_then(|loss| loss.rsplit_once('='));
        if let Some((reason, tally)) = loss
            && let Some((samples, events)) = tally.split_once('/')
            && let (Ok(samples), Ok(events)) = (samples.parse(), events.parse())
        {
            self.builder.loss(reason, Tally { samples, events });
        }
    }

    /// The mapping of this id; none for id 0 and for the names of kinds.
    fn mapping(&mut self, id: u64) -> Result<Option<MappingId>, DecodeError> {
        if id == 0 {
            return Ok(None);
        }
        if let Some(known) = self.mappings.get(&id) {
            return Ok(*known);
        }
        let mapping = self.raw_mapping(id)?;
        let path = self.tables.string(mapping.filename)?;
        let known = if kind_of(path).is_some() {
            None
        } else {
            let build_id = self.tables.string(mapping.build_id)?;
            self.copy_fits(path)?;
            self.copy_fits(build_id)?;
            Some(self.builder.mapping(Mapping {
                path: path.to_owned(),
                build_id: build_id.to_owned(),
                start: mapping.memory_start,
                end: mapping.memory_limit,
                file_offset: mapping.file_offset,
            }))
        };
        self.mappings.insert(id, known);
        Ok(known)
    }

    fn raw_mapping(&self, id: u64) -> Result<proto::Mapping, DecodeError> {
        let dangling = DecodeError::DanglingIndex {
            what: "mapping",
            index: id,
        };
        self.tables.mappings.get(&id).copied().ok_or(dangling)
    }

    fn sample(&mut self, number: usize, bytes: &[u8]) -> Result<(), DecodeError> {
        if repeats(bytes, 2, true)? != self.roles.len() {
            return Err(bad(
                "a sample has another number of values than there are sample types",
            ));
        }
        depth_fits(number, repeats(bytes, 1, true)?, self.limits)?;
        labels_fit(number, repeats(bytes, 3, false)?, OWN_LABELS, self.limits)?;
        let sample: proto::Sample = message(bytes)?;
        if let Some(value) = sample.value.iter().find(|value| **value < 0) {
            return Err(DecodeError::NegativeValue {
                sample: number,
                value: *value,
            });
        }
        let (mut events, mut observations, mut values) = (None, None, Vec::new());
        for (role, value) in self.roles.iter().zip(&sample.value) {
            match role {
                Role::Events => events = Some(unsigned(*value)),
                Role::Observations => observations = Some(unsigned(*value)),
                Role::Value => values.push(unsigned(*value)),
            }
        }
        let events = events.unwrap_or(1);
        let stack = self.stack(number, &sample.location_id)?;
        let row = NewSample {
            stack,
            event_count: EventCount::new(events),
            values: &values,
            time: None,
            thread: None,
            labels: crate::LabelSetId::EMPTY,
        };
        let row = self.labelled(number, &sample.label, row)?;
        self.builder.samples(observations.unwrap_or(events), row);
        Ok(())
    }

    /// The stack of these locations, leaf first.
    fn stack(&mut self, number: usize, ids: &[u64]) -> Result<Option<StackId>, DecodeError> {
        let mut parent = None;
        let mut depth = 0_usize;
        for id in ids.iter().rev() {
            if !self.locations.contains_key(id) {
                let frames = self.location(number, *id)?;
                self.locations.insert(*id, frames);
            }
            let frames = &self.locations[id];
            depth = depth.saturating_add(frames.len());
            depth_fits(number, depth, self.limits)?;
            for frame in frames {
                parent = Some(self.builder.stack(parent, *frame));
            }
            nodes_fit(self.builder.stack_node_count(), self.limits)?;
        }
        Ok(parent)
    }

    /// The frames of a location, root first: the one that is not inlined, then the inlined.
    fn location(&mut self, number: usize, id: u64) -> Result<Vec<FrameId>, DecodeError> {
        let tables = self.tables;
        let dangling = DecodeError::DanglingIndex {
            what: "location",
            index: id,
        };
        let bytes = tables.locations.get(&id).ok_or(dangling)?;
        depth_fits(number, repeats(bytes, 4, false)?, self.limits)?;
        let location: proto::Location = message(bytes)?;
        let mapping = self.mapping(location.mapping_id)?;
        let kind = match location.mapping_id {
            0 => FrameKind::Native,
            id => kind_of(tables.string(self.raw_mapping(id)?.filename)?).unwrap_or_default(),
        };
        if location.line.is_empty() {
            let name = self.unknown_name(&location)?;
            self.copy_fits(&name)?;
            let spec = placed(FrameSpec::new(&name), kind, mapping, location.address);
            return Ok(vec![self.builder.frame(&spec)]);
        }
        let mut frames = Vec::with_capacity(location.line.len());
        for (place, line) in location.line.iter().rev().enumerate() {
            let index = line.function_id;
            let dangling = DecodeError::DanglingIndex {
                what: "function",
                index,
            };
            let function = self.tables.functions.get(&index).ok_or(dangling)?;
            let spec = FrameSpec::new(self.tables.string(function.name)?)
                .file(self.tables.string(function.filename)?)
                .line(u32::try_from(line.line).unwrap_or(0));
            let inline = place > 0;
            let spec = if inline {
                spec.kind(FrameKind::Inline)
            } else {
                placed(spec, kind, mapping, location.address)
            };
            frames.push(self.builder.frame(&spec));
        }
        Ok(frames)
    }

    fn unknown_name(&self, location: &proto::Location) -> Result<String, DecodeError> {
        if location.mapping_id == 0 {
            return Ok(format!("{:#x}", location.address));
        }
        let mapping = self.raw_mapping(location.mapping_id)?;
        let path = self.tables.string(mapping.filename)?;
        let object = path.rsplit('/').next().unwrap_or(path);
        let offset = location.address.wrapping_sub(mapping.memory_start);
        Ok(format!(
            "{object}+{:#x}",
            offset.wrapping_add(mapping.file_offset)
        ))
    }

    /// The row with its labels, and with the time and thread that ours carry as labels.
    fn labelled<'r>(
        &mut self,
        number: usize,
        labels: &[proto::Label],
        mut row: NewSample<'r>,
    ) -> Result<NewSample<'r>, DecodeError> {
        let (mut tid, mut thread_name) = (None, 0);
        let mut pairs: Vec<(&str, String)> = Vec::new();
        for label in labels {
            let key = self.tables.string(label.key)?;
            let text = self.tables.string(label.str)?;
            match key {
                words::END_TIMESTAMP => {
                    let start = unsigned(self.tables.time_nanos);
                    let time = unsigned(label.num).saturating_sub(start);
                    row.time = Some(Nanos::from_nanos(time));
                }
                words::THREAD_ID => tid = text.parse().ok().or(Some(unsigned(label.num))),
                words::THREAD_NAME => thread_name = label.str,
                _ if label.str != 0 || label.num == 0 => pairs.push((key, text.to_owned())),
                _ => {
                    let unit = self.tables.string(label.num_unit)?;
                    self.copy_fits(unit)?;
                    pairs.push((key, format!("{}{unit}", label.num)));
                }
            }
        }
        labels_fit(number, pairs.len(), 0, self.limits)?;
        row.thread = tid.map(|tid| self.thread(tid, thread_name)).transpose()?;
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        row.labels = self.builder.labels(&pairs);
        Ok(row)
    }

    /// The thread of this id, whose name stands at `name`.
    fn thread(&mut self, tid: u64, name: i64) -> Result<ThreadId, DecodeError> {
        if let Some(known) = self.threads.get(&(tid, name)) {
            return Ok(*known);
        }
        let text = self.tables.string(name)?;
        self.copy_fits(text)?;
        let id = self.builder.thread(tid, text);
        self.threads.insert((tid, name), id);
        Ok(id)
    }
}

/// The labels of ours that become something else: time, thread id, thread name.
const OWN_LABELS: usize = 3;

/// Checks the number of labels on a sample against the limit and `more`.
const fn labels_fit(
    sample: usize,
    count: usize,
    more: usize,
    limits: &Limits,
) -> Result<(), DecodeError> {
    let limit = limits.labels_max;
    if count > limit.saturating_add(more) {
        Err(DecodeError::TooManyLabels { sample, limit })
    } else {
        Ok(())
    }
}

/// A frame with its place in the process.
fn placed(
    spec: FrameSpec<'_>,
    kind: FrameKind,
    mapping: Option<MappingId>,
    address: u64,
) -> FrameSpec<'_> {
    let spec = spec.kind(kind).address(address);
    mapping.map_or(spec, |mapping| spec.mapping(mapping))
}

/// The kind of frame that a mapping's name stands for.
fn kind_of(path: &str) -> Option<FrameKind> {
    if path.starts_with("[kernel") {
        return Some(FrameKind::Kernel);
    }
    KIND_MAPPINGS
        .iter()
        .find(|(_, name)| *name == path)
        .map(|(kind, _)| *kind)
}

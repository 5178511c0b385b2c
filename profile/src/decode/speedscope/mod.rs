//! Speedscope JSON, sampled and evented.

mod json;

use std::collections::BTreeMap;

use crate::builder::{FrameSpec, NewSample, ProfileBuilder};
use crate::error::{DecodeError, SpeedscopeError};
use crate::frame::{FrameId, FrameKind, markers};
use crate::label::LabelSetId;
use crate::limits::Limits;
use crate::profile::Profile;
use crate::stack::StackId;
use crate::thread::ThreadId;
use crate::units::{EventCount, Nanos, Period};
use crate::value_type::ValueType;

use self::json::{File, Notes, OneProfile, Weight};
use super::inflate::gunzip_if_needed;
use super::{depth_fits, finished, name_fits, nodes_fit, samples_fit};

/// Reads a speedscope file, gzip or plain.
///
/// Several profiles in a file become threads of one profile. Weights in a unit of time become
/// nanoseconds of type (wall, nanoseconds), unless the file is ours and says otherwise;
/// weights without a unit become event counts, rounded. A sample's time is the sum of the
/// weights before it. An `endValue` below the sum of the weights is accepted, as Excimer
/// writes it. Of a file of ours only the first value type is read back.
///
/// # Errors
/// [`DecodeError::Json`] for what is no such file, [`DecodeError::Speedscope`] with the
/// profile and the reason, and the limits.
pub fn speedscope(bytes: &[u8], limits: &Limits) -> Result<Profile, DecodeError> {
    let bytes = gunzip_if_needed(bytes, limits)?;
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let file: File = serde_json::from_slice(&bytes).map_err(DecodeError::Json)?;
    Reading::new(&file, limits)?.run()
}

/// What a file's weights are.
#[derive(Clone, Debug, PartialEq)]
enum Unit {
    Events,
    Nanos { scale: f64, value_type: ValueType },
    Bytes,
}

struct Reading<'f> {
    file: &'f File,
    limits: &'f Limits,
    builder: ProfileBuilder,
    frames: Vec<FrameId>,
    notes: Notes,
}

impl<'f> Reading<'f> {
    fn new(file: &'f File, limits: &'f Limits) -> Result<Self, DecodeError> {
        let mut builder = ProfileBuilder::new();
        let mut frames = Vec::with_capacity(file.shared.frames.len());
        for frame in &file.shared.frames {
            let path = frame.file.as_deref().unwrap_or_default();
            name_fits(&frame.name, limits)?;
            name_fits(path, limits)?;
            let line = frame.line.unwrap_or_default();
            let kind = marker_kind(&frame.name);
            let spec = FrameSpec::new(&frame.name).file(path).line(line).kind(kind);
            frames.push(builder.frame(&spec));
        }
        let notes = file.flashlamp.clone().unwrap_or_default();
        Ok(Self {
            file,
            limits,
            builder,
            frames,
            notes,
        })
    }

    fn run(mut self) -> Result<Profile, DecodeError> {
        let named =
            |profile: &&OneProfile| self.file.profiles.len() == 1 && !profile.name.is_empty();
        let only = self
            .file
            .profiles
            .first()
            .filter(named)
            .map(|profile| profile.name.as_str());
        let name = only.or(self.file.name.as_deref()).unwrap_or_default();
        name_fits(name, self.limits)?;
        self.builder.name(name);
        self.header();
        let file = self.file;
        let first_column = |profile: &OneProfile| profile.column() == 0;
        let count = file
            .profiles
            .iter()
            .filter(|profile| first_column(profile))
            .count();
        let mut unit: Option<Unit> = None;
        for (place, profile) in file.profiles.iter().enumerate() {
            let fail = |reason| DecodeError::Speedscope {
                profile: place,
                reason,
            };
            if !first_column(profile) {
                continue;
            }
            let this = unit_of(profile).map_err(fail)?;
            if *unit.get_or_insert_with(|| this.clone()) != this {
                return Err(fail(SpeedscopeError::MixedUnits));
            }
            self.set_value_type(&this);
            let thread = (count > 1).then(|| self.builder.thread(place as u64, &profile.name));
            match profile.r#type.as_str() {
                "sampled" => self.sampled(place, profile, &this, thread)?,
                "evented" => self.evented(place, profile, &this, thread)?,
                other => return Err(fail(SpeedscopeError::UnknownType(other.to_owned()))),
            }
        }
        finished(self.builder, self.limits)
    }

    fn header(&mut self) {
        if let Some(start) = self.notes.start_ns {
            self.builder.start(start);
        }
        if let Some(duration) = self.notes.duration_ns {
            self.builder.duration(duration);
        }
        if let Some(period) = self.notes.period_ns {
            self.builder.period(period);
        }
        let losses: BTreeMap<_, _> = std::mem::take(&mut self.notes.losses);
        for (reason, tally) in losses {
            self.builder.loss(&reason, tally);
        }
    }

    fn set_value_type(&mut self, unit: &Unit) {
        if self.builder.row_count() > 0 {
            return;
        }
        match unit {
            Unit::Events => {}
            Unit::Nanos { value_type, .. } => {
                self.builder.value_types(std::slice::from_ref(value_type));
            }
            Unit::Bytes => {
                self.builder
                    .value_types(&[ValueType::new("memory", "bytes")]);
            }
        }
    }

    fn sampled(
        &mut self,
        place: usize,
        profile: &OneProfile,
        unit: &Unit,
        thread: Option<ThreadId>,
    ) -> Result<(), DecodeError> {
        let fail = |reason| DecodeError::Speedscope {
            profile: place,
            reason,
        };
        let (samples, weights) = (profile.samples.len(), profile.weights.len());
        if samples != weights {
            return Err(fail(SpeedscopeError::WeightsLength { samples, weights }));
        }
        samples_fit(
            self.builder.row_count().saturating_add(samples),
            self.limits,
        )?;
        let mut time =
            scaled(profile.start_value, unit).ok_or_else(|| fail(SpeedscopeError::BadRange))?;
        for (number, (stack, weight)) in profile.samples.iter().zip(&profile.weights).enumerate() {
            let weight = amount(*weight, number, unit).map_err(fail)?;
            depth_fits(number, stack.len(), self.limits)?;
            let mut parent = None;
            for index in stack {
                let frame = self.frame(*index, number).map_err(fail)?;
                parent = Some(self.builder.stack(parent, frame));
            }
            self.add(parent, weight, time, (unit, thread))?;
            time = time.saturating_add(weight);
        }
        Ok(())
    }

    /// Intervals between events become samples of the frames open in them.
    fn evented(
        &mut self,
        place: usize,
        profile: &OneProfile,
        unit: &Unit,
        thread: Option<ThreadId>,
    ) -> Result<(), DecodeError> {
        let fail = |reason| DecodeError::Speedscope {
            profile: place,
            reason,
        };
        let start = scaled(profile.start_value, unit);
        let mut last = start.ok_or_else(|| fail(SpeedscopeError::BadRange))?;
        let mut open: Vec<(u32, StackId)> = Vec::new();
        for (number, event) in profile.events.iter().enumerate() {
            let at = scaled(event.at, unit).filter(|at| *at >= last);
            let at = at.ok_or_else(|| fail(SpeedscopeError::EventOrder(number)))?;
            if at > last {
                samples_fit(self.builder.row_count() + 1, self.limits)?;
                let stack = open.last().map(|(_, stack)| *stack);
                self.add(stack, at - last, last, (unit, thread))?;
                last = at;
            }
            match event.r#type.as_str() {
                "O" => {
                    let frame = self.frame(event.frame, number).map_err(fail)?;
                    let parent = open.last().map(|(_, stack)| *stack);
                    open.push((event.frame, self.builder.stack(parent, frame)));
                    depth_fits(number, open.len(), self.limits)?;
                }
                "C" if open.pop().is_some_and(|(frame, _)| frame == event.frame) => {}
                _ => return Err(fail(SpeedscopeError::EventMismatch(number))),
            }
        }
        if open.is_empty() {
            Ok(())
        } else {
            Err(fail(SpeedscopeError::EventMismatch(profile.events.len())))
        }
    }

    fn frame(&self, index: u32, sample: usize) -> Result<FrameId, SpeedscopeError> {
        let missing = SpeedscopeError::FrameIndex {
            sample,
            index: u64::from(index),
        };
        self.frames.get(index as usize).copied().ok_or(missing)
    }

    fn add(
        &mut self,
        stack: Option<StackId>,
        weight: u64,
        time: u64,
        (unit, thread): (&Unit, Option<ThreadId>),
    ) -> Result<(), DecodeError> {
        nodes_fit(self.builder.stack_node_count(), self.limits)?;
        let values = [weight];
        let (event_count, values, time): (_, &[u64], _) = match unit {
            Unit::Events => (weight, &[], None),
            Unit::Bytes => (1, &values, None),
            Unit::Nanos { .. } => (periods(weight, self.notes.period_ns), &values, Some(time)),
        };
        let row = NewSample {
            stack,
            event_count: EventCount::new(event_count),
            values,
            time: time.map(Nanos::from_nanos),
            thread,
            labels: LabelSetId::EMPTY,
        };
        if *unit == Unit::Events {
            self.builder.samples(weight, row);
        } else {
            self.builder.sample(row);
        }
        Ok(())
    }
}

/// Names that we give to marker frames are read back as such.
fn marker_kind(name: &str) -> FrameKind {
    if markers::ALL.contains(&name) {
        FrameKind::Marker
    } else {
        FrameKind::Native
    }
}

/// Event counts from a weight: how many periods it is, rounded; one where there is no period.
fn periods(weight: u64, period: Option<Period>) -> u64 {
    match period {
        Some(period) => weight.saturating_add(period.as_nanos() / 2) / period.as_nanos(),
        None => 1,
    }
}

fn unit_of(profile: &OneProfile) -> Result<Unit, SpeedscopeError> {
    let value_type = match profile.value_type() {
        Some("cpu") => ValueType::CPU,
        _ => ValueType::WALL,
    };
    let nanos = |scale| Unit::Nanos { scale, value_type };
    match profile.unit.as_str() {
        "none" => Ok(Unit::Events),
        "nanoseconds" => Ok(nanos(1.0)),
        "microseconds" => Ok(nanos(1e3)),
        "milliseconds" => Ok(nanos(1e6)),
        "seconds" => Ok(nanos(1e9)),
        "bytes" => Ok(Unit::Bytes),
        other => Err(SpeedscopeError::UnknownUnit(other.to_owned())),
    }
}

fn amount(weight: Weight, number: usize, unit: &Unit) -> Result<u64, SpeedscopeError> {
    match weight {
        Weight::NotANumber => Err(SpeedscopeError::WeightNotANumber(number)),
        Weight::Negative => Err(SpeedscopeError::WeightNegative(number)),
        Weight::Whole(_) | Weight::Float(_) => {
            scaled(weight, unit).ok_or(SpeedscopeError::WeightTooLarge(number))
        }
    }
}

/// A weight or instant in the unit that we keep; `None` if it is negative, no number or beyond
/// 2^63. Whole nanoseconds stay exact.
fn scaled(weight: Weight, unit: &Unit) -> Option<u64> {
    const TOO_LARGE: f64 = 9.223_372_036_854_776e18;
    let scale = if let Unit::Nanos { scale, .. } = unit {
        *scale
    } else {
        1.0
    };
    let float = match weight {
        Weight::Whole(value) if scale <= 1.0 => {
            return i64::try_from(value).is_ok().then_some(value);
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "scaled values are rounded anyway"
        )]
        Weight::Whole(value) => value as f64,
        Weight::Float(value) => value,
        Weight::Negative | Weight::NotANumber => return None,
    };
    let value = (float * scale).round();
    if !(0.0..TOO_LARGE).contains(&value) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to lie in 0..2^63"
    )]
    Some(value as u64)
}

#[cfg(test)]
mod tests;

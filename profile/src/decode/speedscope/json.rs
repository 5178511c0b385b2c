//! The file's JSON, read without taking much more memory than its text.
//!
//! Lists of lists are flattened while they are parsed: `[[],[],…]` costs a hostile sender as
//! much as it costs us.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use crate::loss::Tally;
use crate::units::{Nanos, Period, Timestamp};

#[derive(Deserialize)]
pub(super) struct File {
    pub(super) shared: Shared,
    pub(super) profiles: Vec<OneProfile>,
    pub(super) name: Option<String>,
    pub(super) flashlamp: Option<Notes>,
}

#[derive(Deserialize)]
pub(super) struct Shared {
    pub(super) frames: Vec<JsonFrame>,
}

#[derive(Deserialize)]
pub(super) struct JsonFrame {
    pub(super) name: String,
    pub(super) file: Option<String>,
    #[serde(default, deserialize_with = "line")]
    pub(super) line: Option<u32>,
}

/// Lines that are no small whole number say nothing, and are no reason to refuse a file.
fn line<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(match Weight::deserialize(deserializer)? {
        Weight::Whole(line) => u32::try_from(line).ok(),
        Weight::Float(_) | Weight::Negative | Weight::NotANumber => None,
    })
}

/// One profile of either type; what its type does not use stays empty.
#[derive(Deserialize)]
pub(super) struct OneProfile {
    pub(super) r#type: String,
    #[serde(default)]
    pub(super) name: String,
    pub(super) unit: String,
    #[serde(default, rename = "startValue")]
    pub(super) start_value: Weight,
    #[serde(default)]
    pub(super) samples: Stacks,
    #[serde(default)]
    pub(super) weights: Vec<Weight>,
    #[serde(default)]
    pub(super) events: Vec<Event>,
    #[serde(default)]
    flashlamp: Option<ProfileNotes>,
}

impl OneProfile {
    /// Which value type of our own file this is; 0 for any other file.
    pub(super) fn column(&self) -> usize {
        self.flashlamp.as_ref().map_or(0, |notes| notes.column)
    }

    /// The name of the value type in our own files.
    pub(super) fn value_type(&self) -> Option<&str> {
        self.flashlamp.as_ref().map(|notes| notes.r#type.as_str())
    }
}

#[derive(Deserialize)]
struct ProfileNotes {
    r#type: String,
    column: usize,
}

#[derive(Deserialize)]
pub(super) struct Event {
    pub(super) r#type: String,
    pub(super) frame: u32,
    pub(super) at: Weight,
}

/// What our own files say beside what speedscope knows.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Notes {
    pub(super) start_ns: Option<Timestamp>,
    pub(super) duration_ns: Option<Nanos>,
    pub(super) period_ns: Option<Period>,
    #[serde(default)]
    pub(super) losses: BTreeMap<String, Tally>,
}

/// A number as JSON may hold it, or what stands in its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Weight {
    Whole(u64),
    Float(f64),
    Negative,
    NotANumber,
}

impl Default for Weight {
    fn default() -> Self {
        Self::Whole(0)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WeightVisitor)
    }
}

struct WeightVisitor;

impl Visitor<'_> for WeightVisitor {
    type Value = Weight;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Weight, E> {
        Ok(Weight::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Weight, E> {
        Ok(u64::try_from(value).map_or(Weight::Negative, Weight::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Weight, E> {
        Ok(match value {
            value if !value.is_finite() => Weight::NotANumber,
            value if value < 0.0 => Weight::Negative,
            value => Weight::Float(value),
        })
    }

    /// What `JSON.stringify` makes of NaN.
    fn visit_unit<E>(self) -> Result<Weight, E> {
        Ok(Weight::NotANumber)
    }

    fn visit_str<E>(self, _: &str) -> Result<Weight, E> {
        Ok(Weight::NotANumber)
    }
}

/// `samples`: frame indexes of all stacks one after the other, and where each ends.
#[derive(Default)]
pub(super) struct Stacks {
    frames: Vec<u32>,
    ends: Vec<usize>,
}

impl Stacks {
    pub(super) const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Each stack, root first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u32]> + '_ {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.frames[start..*end])
    }
}

impl<'de> Deserialize<'de> for Stacks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(StacksVisitor)
    }
}

struct StacksVisitor;

impl<'de> Visitor<'de> for StacksVisitor {
    type Value = Stacks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of lists of frame indexes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Stacks, A::Error> {
        let mut stacks = Stacks::default();
        while seq
            .next_element_seed(OneStack(&mut stacks.frames))?
            .is_some()
        {
            stacks.ends.push(stacks.frames.len());
        }
        Ok(stacks)
    }
}

/// Appends one stack to the flat list.
struct OneStack<'s>(&'s mut Vec<u32>);

impl<'de> serde::de::DeserializeSeed<'de> for OneStack<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for OneStack<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of frame indexes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(index) = seq.next_element()? {
            self.0.push(index);
        }
        Ok(())
    }
}

//! What a sample's values measure.

use std::borrow::Cow;

/// The name and unit of one column of values, as in pprof's `sample_type`.
///
/// Event counts are no value type: every sample has them. A profile without value types is of
/// type [`ValueType::SAMPLES`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueType {
    /// What is measured, such as `cpu`.
    pub name: Cow<'static, str>,
    /// In which unit, such as `nanoseconds`.
    pub unit: Cow<'static, str>,
}

impl ValueType {
    /// Time on a CPU, in nanoseconds.
    pub const CPU: Self = Self::fixed("cpu", "nanoseconds");
    /// Time by the clock on the wall, in nanoseconds.
    pub const WALL: Self = Self::fixed("wall", "nanoseconds");
    /// Event counts: the type of a profile that has no other.
    pub const SAMPLES: Self = Self::fixed("samples", "count");

    const fn fixed(name: &'static str, unit: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            unit: Cow::Borrowed(unit),
        }
    }

    /// A value type of any name and unit.
    pub fn new(name: impl Into<String>, unit: impl Into<String>) -> Self {
        Self {
            name: Cow::Owned(name.into()),
            unit: Cow::Owned(unit.into()),
        }
    }

    /// Whether the unit is nanoseconds.
    pub fn is_time(&self) -> bool {
        self.unit == "nanoseconds"
    }
}

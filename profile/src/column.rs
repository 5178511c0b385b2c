//! Which of a sample's numbers a view sums.

use crate::profile::Profile;
use crate::sample::Sample;
use crate::value_type::ValueType;

/// One number of every sample: its event count or one of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Column {
    /// Event counts.
    Events,
    /// The value of this place in [`Profile::value_types`]; zero where there is no such place.
    Value(usize),
}

impl Column {
    /// The first value type where there is one, else event counts.
    pub fn default_for(profile: &Profile) -> Self {
        if profile.value_types().is_empty() {
            Self::Events
        } else {
            Self::Value(0)
        }
    }

    /// The column of this value type; `None` where the profile has none such.
    pub fn of_type(profile: &Profile, value_type: &ValueType) -> Option<Self> {
        profile
            .value_types()
            .iter()
            .position(|have| have == value_type)
            .map(Self::Value)
    }

    /// The number that this column holds for a sample.
    pub fn of(self, sample: &Sample<'_>) -> u64 {
        match self {
            Self::Events => sample.event_count().as_u64(),
            Self::Value(place) => sample.values().get(place).copied().unwrap_or(0),
        }
    }

    /// The type of the numbers in this column.
    pub fn value_type(self, profile: &Profile) -> ValueType {
        match self {
            Self::Events => ValueType::SAMPLES,
            Self::Value(place) => profile
                .value_types()
                .get(place)
                .cloned()
                .unwrap_or(ValueType::SAMPLES),
        }
    }
}

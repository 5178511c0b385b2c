//! What a series is of: the value types, as one word of a key, and the choice among them.

use flashlamp_profile::{Column, NewSample, Profile, ProfileBuilder, StackId, ValueType};

/// Between the name and the unit of one type.
const UNIT: char = '\u{1F}';
/// Between two types.
const TYPE: char = '\u{1E}';

/// The value types of a profile as one word, in their order. Empty where there are event counts
/// only.
pub fn type_key(types: &[ValueType]) -> String {
    let word = |value_type: &ValueType| format!("{}{UNIT}{}", value_type.name, value_type.unit);
    types
        .iter()
        .map(word)
        .collect::<Vec<_>>()
        .join(&TYPE.to_string())
}

/// The names of the types in a word that [`type_key`] made.
pub fn type_names(key: &str) -> impl Iterator<Item = &str> {
    key.split(TYPE)
        .filter(|word| !word.is_empty())
        .map(|word| word.split_once(UNIT).map_or(word, |(name, _unit)| name))
}

/// What a query measures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clock {
    /// Event counts, whatever else was measured.
    Samples,
    /// The value type of this name: `cpu`, `wall`, …
    Named(String),
}

impl Clock {
    /// The word that stands for event counts.
    pub const SAMPLES: &'static str = "samples";

    /// Reads the word of a query.
    pub fn parse(word: &str) -> Self {
        if word == Self::SAMPLES {
            Self::Samples
        } else {
            Self::Named(word.to_owned())
        }
    }

    /// The word of a query.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Samples => Self::SAMPLES,
            Self::Named(name) => name,
        }
    }

    /// Every clock that series of these types can answer, `cpu` first, then `wall`, then the
    /// rest; `samples` only where there is nothing else.
    pub fn offered<'a>(type_keys: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        let mut names: Vec<&str> = type_keys.into_iter().flat_map(type_names).collect();
        let rank = |name: &str| match name {
            "cpu" => 0,
            "wall" => 1,
            _ => 2,
        };
        names.sort_unstable_by_key(|name| (rank(name), *name));
        names.dedup();
        if names.is_empty() {
            return vec![Self::Samples];
        }
        names.into_iter().map(Self::parse).collect()
    }

    /// Whether a series of these types has anything to say to this clock.
    pub fn is_in(&self, type_key: &str) -> bool {
        match self {
            Self::Samples => true,
            Self::Named(name) => type_names(type_key).any(|have| have == name),
        }
    }

    /// Where this clock stands in a profile.
    pub fn column(&self, profile: &Profile) -> Option<Column> {
        match self {
            Self::Samples => Some(Column::Events),
            Self::Named(name) => profile
                .value_types()
                .iter()
                .position(|have| have.name == *name)
                .map(Column::Value),
        }
    }
}

/// The same samples with one column only: the value of that column where it is a value type, none
/// where it is the event count. Profiles of different types can be merged after this.
///
/// Keeps what a merge keeps: functions, kinds, labels, losses, period and range.
///
/// # Panics
/// Never: a valid profile stays valid.
pub fn project(profile: &Profile, column: Column) -> Profile {
    let mut builder = ProfileBuilder::new();
    if let Column::Value(_) = column {
        builder.value_types(&[column.value_type(profile)]);
    }
    copy_header(profile, &mut builder);
    for sample in profile.samples() {
        let stack = copy_stack(profile, sample.stack(), &mut builder);
        let pairs: Vec<_> = profile.label_pairs(sample.labels()).collect();
        let labels = builder.labels(&pairs);
        let value = [column.of(&sample)];
        builder.samples(
            sample.sample_count(),
            NewSample {
                stack,
                event_count: sample.event_count(),
                values: if column == Column::Events {
                    &[]
                } else {
                    &value
                },
                time: None,
                thread: None,
                labels,
            },
        );
    }
    builder
        .build()
        .expect("ids and values come from a valid profile")
}

/// Copies name, range, period and losses.
pub(crate) fn copy_header(profile: &Profile, builder: &mut ProfileBuilder) {
    builder.name(profile.name());
    if let Some(start) = profile.start() {
        builder.start(start);
    }
    if let Some(duration) = profile.duration() {
        builder.duration(duration);
    }
    if let Some(period) = profile.period() {
        builder.period(period);
    }
    for (reason, tally) in profile.losses() {
        builder.loss(reason, *tally);
    }
}

/// Copies a stack by what identifies its frames: name, file and kind.
pub(crate) fn copy_stack(
    profile: &Profile,
    stack: Option<StackId>,
    builder: &mut ProfileBuilder,
) -> Option<StackId> {
    let mut parent = None;
    for frame in profile.stack_root_first(stack?) {
        let spec = flashlamp_profile::FrameSpec::new(frame.name()).kind(frame.kind());
        let frame = builder.frame(&spec.file(frame.file().unwrap_or_default()));
        parent = Some(builder.stack(parent, frame));
    }
    parent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_offered_first_and_samples_only_alone() {
        let key = |types: &[ValueType]| type_key(types);
        let offered = |keys: &[String]| {
            let clocks = Clock::offered(keys.iter().map(String::as_str));
            clocks
                .iter()
                .map(Clock::as_str)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(offered(&[]), "samples");
        assert_eq!(offered(&[key(&[])]), "samples");
        assert_eq!(offered(&[key(&[ValueType::WALL]), key(&[])]), "wall");
        let both = key(&[ValueType::WALL, ValueType::CPU]);
        assert_eq!(offered(&[both.clone(), key(&[ValueType::CPU])]), "cpu wall");
        assert!(Clock::parse("cpu").is_in(&both));
        assert!(!Clock::parse("cp").is_in(&both));
        assert!(Clock::Samples.is_in(&both));
    }
}

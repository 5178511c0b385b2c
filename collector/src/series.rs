//! What a series is of: its names, the value types as one word of a key, and the choice among
//! them.

use std::collections::BTreeSet;

use flashlamp_profile::{Column, Profile, ValueType};

use crate::limits;

/// Between the name and the unit of one type.
const UNIT: char = '\u{1F}';
/// Between two types.
const TYPE: char = '\u{1E}';

/// Checks the name of a service or an entry point; says what is wrong with it.
pub(crate) fn check_word(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is missing or empty".to_owned());
    }
    if text.len() > limits::NAME_BYTES_MAX {
        return Err(format!("is longer than {} bytes", limits::NAME_BYTES_MAX));
    }
    if text.chars().any(char::is_control) {
        return Err("holds control characters".to_owned());
    }
    Ok(())
}

/// The value types of a profile as one word, in their order. Empty where there are event counts
/// only. Different types have different words, as long as none holds a control character, which
/// no body may.
pub fn type_key(types: &[ValueType]) -> String {
    let word = |value_type: &ValueType| format!("{}{UNIT}{}", value_type.name, value_type.unit);
    types
        .iter()
        .map(word)
        .collect::<Vec<_>>()
        .join(&TYPE.to_string())
}

/// Whether [`type_key`] tells these types from all others, and is no longer than a key may be;
/// says what is wrong with them.
pub(crate) fn check_types(types: &[ValueType]) -> Result<(), &'static str> {
    let mut words = types.iter().flat_map(|one| [&one.name, &one.unit]);
    let bytes: usize = words.clone().map(|word| word.len()).sum();
    if bytes > limits::TYPES_BYTES_MAX {
        return Err("the names and units of the sample types take more than 1,024 bytes");
    }
    if words.any(|word| word.contains(char::is_control)) {
        return Err("the name or unit of a sample type holds control characters");
    }
    Ok(())
}

/// The name and unit of each type in a word that [`type_key`] made.
fn types_in(key: &str) -> impl Iterator<Item = (&str, &str)> {
    key.split(TYPE).filter_map(|word| word.split_once(UNIT))
}

/// What a query measures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clock {
    /// Event counts, whatever else was measured.
    Samples,
    /// The value type of this name, `cpu` or `wall`, or of this name and unit, `cpu/nanoseconds`.
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
    /// rest; `samples` only where there is nothing else. A name that comes in several units is
    /// offered with each.
    pub fn offered<'a>(type_keys: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        let types: BTreeSet<_> = type_keys.into_iter().flat_map(types_in).collect();
        let rank = |name: &str| match name {
            "cpu" => 0,
            "wall" => 1,
            _ => 2,
        };
        let mut sorted: Vec<_> = types.iter().copied().collect();
        sorted.sort_by_key(|(name, unit)| (rank(name), *name, *unit != NANOSECONDS, *unit));
        if sorted.is_empty() {
            return vec![Self::Samples];
        }
        let word = |(name, unit): &(&str, &str)| {
            if types.iter().filter(|(other, _)| other == name).count() == 1 {
                Self::parse(name)
            } else {
                Self::Named(format!("{name}/{unit}"))
            }
        };
        sorted.iter().map(word).collect()
    }

    /// What this clock means among series of these types; `None` where it is in none of them.
    /// A name that comes in several units means nanoseconds, else the first by name.
    pub fn measure<'a>(&self, type_keys: impl IntoIterator<Item = &'a str>) -> Option<Measure> {
        let Self::Named(word) = self else {
            return Some(Measure::Events);
        };
        let named = |(name, unit): &(&str, &str)| {
            name == word
                || word
                    .strip_prefix(name)
                    .and_then(|rest| rest.strip_prefix('/'))
                    == Some(unit)
        };
        let types = type_keys.into_iter().flat_map(types_in).filter(named);
        types
            .min_by_key(|(name, unit)| (name != word, *unit != NANOSECONDS, *unit))
            .map(|(name, unit)| Measure::Value(ValueType::new(name, unit)))
    }
}

const NANOSECONDS: &str = "nanoseconds";

/// What is summed: one value type with its unit, so that only like is added to like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measure {
    /// Event counts.
    Events,
    /// The values of this type.
    Value(ValueType),
}

impl Measure {
    /// Whether series of these types hold it.
    pub fn is_in(&self, type_key: &str) -> bool {
        match self {
            Self::Events => true,
            Self::Value(of) => types_in(type_key).any(|have| have == (&*of.name, &*of.unit)),
        }
    }

    /// Where it stands in a profile.
    pub fn column(&self, profile: &Profile) -> Option<Column> {
        match self {
            Self::Events => Some(Column::Events),
            Self::Value(of) => Column::of_type(profile, of),
        }
    }
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
    }

    #[test]
    fn types_that_no_key_can_hold_are_refused() {
        let of = |name: &str| check_types(&[ValueType::CPU, ValueType::new(name, "bytes")]);
        assert_eq!(of("memory"), Ok(()));
        assert!(of("mem\u{1e}ory").unwrap_err().contains("control"));
        let rest = limits::TYPES_BYTES_MAX - "cpunanosecondsbytes".len();
        assert_eq!(of(&"m".repeat(rest)), Ok(()));
        assert!(of(&"m".repeat(rest + 1)).unwrap_err().contains("1,024"));
    }

    #[test]
    fn a_name_in_several_units_is_offered_with_each() {
        let types = [
            ValueType::new("cpu", "milliseconds"),
            ValueType::CPU,
            ValueType::new("a/b", "bytes"),
        ];
        let keys: Vec<String> = types
            .iter()
            .map(|one| type_key(std::slice::from_ref(one)))
            .collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let offered = Clock::offered(keys.iter().copied());
        let words: Vec<&str> = offered.iter().map(Clock::as_str).collect();
        assert_eq!(words, ["cpu/nanoseconds", "cpu/milliseconds", "a/b"]);
        let check = |word: &str, expected: Option<&ValueType>| {
            let measure = Clock::parse(word).measure(keys.iter().copied());
            let expected = expected.cloned().map(Measure::Value);
            assert_eq!(measure, expected, "{word}");
        };
        check("cpu", Some(&types[1]));
        check("cpu/milliseconds", Some(&types[0]));
        check("a/b", Some(&types[2]));
        check("a/b/bytes", Some(&types[2]));
        for absent in ["cp", "cpu/", "cpu/seconds", "a"] {
            check(absent, None);
        }
        let events = Clock::parse("samples").measure(keys.iter().copied());
        assert_eq!(events, Some(Measure::Events));
    }
}

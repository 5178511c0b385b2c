//! Parts of a profile.

use std::borrow::Cow;

use crate::column::Column;
use crate::label::LabelSetId;
use crate::profile::Profile;
use crate::sample::Sample;
use crate::units::index;
use crate::value_type::ValueType;

/// Which samples of a profile a sum takes, and what of them; see
/// [`Merger::add_part`](crate::Merger::add_part). The default is everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part<'a> {
    with_label: Option<(&'a str, &'a str)>,
    column: Option<Column>,
    only_label: Option<(&'a str, &'a str)>,
}

impl<'a> Part<'a> {
    /// The samples whose label `key` has this value; an empty `value` means without the label.
    ///
    /// Losses have no labels, so none can be said to be of such a part: it has none, and whoever
    /// shows it shows the whole profile's losses beside it.
    #[must_use]
    pub const fn with_label(self, key: &'a str, value: &'a str) -> Self {
        Self {
            with_label: Some((key, value)),
            ..self
        }
    }

    /// The value of this column alone; none where it is the event count. Profiles of different
    /// types can be added up after this.
    #[must_use]
    pub const fn column(self, column: Column) -> Self {
        Self {
            column: Some(column),
            ..self
        }
    }

    /// The label `key` alone, with the value `without` where a sample does not have it.
    #[must_use]
    pub const fn only_label(self, key: &'a str, without: &'a str) -> Self {
        Self {
            only_label: Some((key, without)),
            ..self
        }
    }

    pub(crate) const fn has_losses(&self) -> bool {
        self.with_label.is_none()
    }

    pub(crate) fn value_types<'p>(&self, profile: &'p Profile) -> Cow<'p, [ValueType]> {
        match self.column {
            None => Cow::Borrowed(profile.value_types()),
            Some(Column::Events) => Cow::Borrowed(&[]),
            Some(column) => Cow::Owned(vec![column.value_type(profile)]),
        }
    }

    /// The samples that are of the part, in their order.
    pub(crate) fn samples<'p>(
        &self,
        profile: &'p Profile,
    ) -> impl Iterator<Item = Sample<'p>> + Clone + use<'p> {
        let is_in = |set| match self.with_label {
            None => true,
            Some((key, value)) => profile.label(set, key).unwrap_or_default() == value,
        };
        let sets = 0..profile.labels.len();
        let is_in: Vec<bool> = sets.map(|place| is_in(LabelSetId(index(place)))).collect();
        profile
            .samples()
            .filter(move |sample| is_in[sample.labels().0 as usize])
    }

    /// What stays of a sample's values.
    pub(crate) fn values<'p>(&self, sample: &Sample<'p>) -> &'p [u64] {
        match self.column {
            None => sample.values(),
            Some(Column::Events) => &[],
            Some(Column::Value(place)) => sample.values().get(place..=place).unwrap_or(&[0]),
        }
    }

    /// What stays of a label set.
    pub(crate) fn label_pairs<'s>(
        &'s self,
        profile: &'s Profile,
        set: LabelSetId,
    ) -> Vec<(&'s str, &'s str)> {
        match self.only_label {
            None => profile.label_pairs(set).collect(),
            Some((key, without)) => vec![(key, profile.label(set, key).unwrap_or(without))],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventCount, FrameSpec, Merger, NewSample, ProfileBuilder, Tally, encode};

    /// `main;a` of the entry point `/a`, which took 7 ns, and `main;b` without labels.
    fn profile() -> Profile {
        let mut builder = ProfileBuilder::new();
        builder.value_types(&[ValueType::WALL, ValueType::CPU]);
        let [main, a, b] = ["main", "a", "b"].map(|name| builder.frame(&FrameSpec::new(name)));
        let root = builder.stack(None, main);
        let stacks = [builder.stack(Some(root), a), builder.stack(Some(root), b)];
        let pairs = [("entry", "/a"), ("tenant", "t")];
        let labels = [builder.labels(&pairs), LabelSetId::EMPTY];
        for (stack, labels) in stacks.into_iter().zip(labels) {
            builder.sample(NewSample {
                stack: Some(stack),
                event_count: EventCount::new(2),
                values: &[9, 7],
                time: None,
                thread: None,
                labels,
            });
        }
        let tally = Tally {
            samples: 1,
            events: 1,
        };
        builder.loss("ring_full", tally);
        builder.build().unwrap()
    }

    fn sum(part: &Part<'_>) -> Profile {
        let mut merger = Merger::new();
        merger.add_part(&profile(), part).unwrap();
        merger.finish()
    }

    #[test]
    fn only_the_samples_of_the_label_stay_with_their_stacks() {
        let part = |value| sum(&Part::default().with_label("entry", value));
        let folded = |value| encode::folded(&part(value), Column::Events);
        assert_eq!(folded("/a"), "main;a 2\n");
        assert_eq!(folded(""), "main;b 2\n");
        assert_eq!(folded("/nowhere"), "");
        assert_eq!(part("/a").stack_node_count(), 2);
        assert!(part("/a").lost().is_zero(), "a loss has no label");
    }

    #[test]
    fn a_column_alone_has_its_type_and_values() {
        let cpu = sum(&Part::default().column(Column::Value(1)));
        assert_eq!(cpu.value_types(), [ValueType::CPU]);
        assert_eq!(
            encode::folded(&cpu, Column::Value(0)),
            "main;a 7\nmain;b 7\n"
        );
        assert_eq!(cpu.stored(), profile().stored());
        assert_eq!(cpu.lost(), profile().lost());
        let events = sum(&Part::default().column(Column::Events));
        assert_eq!(events.value_types(), []);
        assert_eq!(events.stored(), profile().stored());
    }

    #[test]
    fn one_label_alone_is_on_every_sample() {
        let part = sum(&Part::default().only_label("entry", "(none)"));
        let labels: Vec<Vec<_>> = part
            .samples()
            .map(|sample| part.label_pairs(sample.labels()).collect())
            .collect();
        assert_eq!(labels, [[("entry", "/a")], [("entry", "(none)")]]);
    }
}

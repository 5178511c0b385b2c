//! Parts of a profile.

use crate::builder::{FrameSpec, NewSample, ProfileBuilder};
use crate::frame::FrameId;
use crate::mapping::MappingId;
use crate::profile::Profile;
use crate::stack::StackId;

/// The samples whose label `key` has this value; an empty `value` means without the label.
///
/// The header stays. Losses have no labels, so none can be said to be of this part: the result
/// has none, and whoever shows it shows the whole profile's losses beside it.
#[must_use]
#[expect(
    clippy::missing_panics_doc,
    reason = "parts of a valid profile are valid"
)]
pub fn with_label(profile: &Profile, key: &str, value: &str) -> Profile {
    let keep: Vec<bool> = (0..profile.labels.len())
        .map(|place| {
            let id = crate::LabelSetId(crate::units::index(place));
            profile.label(id, key).unwrap_or_default() == value
        })
        .collect();
    let mut copy = Copy::new(profile);
    for sample in profile
        .samples()
        .filter(|sample| keep[sample.labels().0 as usize])
    {
        let pairs: Vec<_> = profile.label_pairs(sample.labels()).collect();
        let row = NewSample {
            stack: sample.stack().map(|id| copy.stack(id)),
            event_count: sample.event_count(),
            values: sample.values(),
            time: sample.time(),
            thread: sample.thread(),
            labels: copy.builder.labels(&pairs),
        };
        copy.builder.samples(sample.sample_count(), row);
    }
    copy.builder
        .build()
        .expect("ids and values come from a valid profile")
}

/// A builder that takes over header, mappings and threads, and stacks as they are used.
struct Copy<'p> {
    profile: &'p Profile,
    builder: ProfileBuilder,
    frames: Vec<Option<FrameId>>,
    stacks: Vec<Option<StackId>>,
}

impl<'p> Copy<'p> {
    fn new(profile: &'p Profile) -> Self {
        let mut builder = ProfileBuilder::new();
        builder
            .name(profile.name())
            .value_types(profile.value_types());
        if let Some(start) = profile.start() {
            builder.start(start);
        }
        if let Some(duration) = profile.duration() {
            builder.duration(duration);
        }
        if let Some(period) = profile.period() {
            builder.period(period);
        }
        for mapping in &profile.mappings {
            builder.mapping(mapping.clone());
        }
        for thread in &profile.threads {
            builder.thread(thread.tid, &thread.name);
        }
        let frames = vec![None; profile.frames.len()];
        let stacks = vec![None; profile.stacks.len()];
        Self {
            profile,
            builder,
            frames,
            stacks,
        }
    }

    fn stack(&mut self, id: StackId) -> StackId {
        let mut missing = Vec::new();
        let mut next = Some(id);
        let mut parent = None;
        while let Some(id) = next {
            if let Some(known) = self.stacks[id.0 as usize] {
                parent = Some(known);
                break;
            }
            missing.push(id);
            next = self.profile.stacks.node(id).parent;
        }
        for id in missing.into_iter().rev() {
            let frame = self.frame(self.profile.stacks.node(id).frame);
            let stack = self.builder.stack(parent, frame);
            self.stacks[id.0 as usize] = Some(stack);
            parent = Some(stack);
        }
        parent.expect("a stack has at least one frame")
    }

    fn frame(&mut self, id: FrameId) -> FrameId {
        if let Some(known) = self.frames[id.0 as usize] {
            return known;
        }
        let frame = self.profile.frame(id);
        let spec = FrameSpec::new(frame.name())
            .file(frame.file().unwrap_or_default())
            .line(frame.line().unwrap_or_default())
            .kind(frame.kind())
            .address(frame.address().unwrap_or_default());
        // Mappings were taken over in their order, so their ids are the same.
        let mapping: Option<MappingId> = frame.mapping_id();
        let spec = mapping.map_or(spec, |mapping| spec.mapping(mapping));
        let known = self.builder.frame(&spec);
        self.frames[id.0 as usize] = Some(known);
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, EventCount, LabelSetId, encode};

    #[test]
    fn only_the_samples_of_the_label_stay_with_their_stacks() {
        let mut builder = ProfileBuilder::new();
        let main = builder.frame(&FrameSpec::new("main"));
        let (a, b) = (
            builder.frame(&FrameSpec::new("a")),
            builder.frame(&FrameSpec::new("b")),
        );
        let root = builder.stack(None, main);
        let stacks = [builder.stack(Some(root), a), builder.stack(Some(root), b)];
        let labels = [builder.labels(&[("entry", "/a")]), LabelSetId::EMPTY];
        for (stack, labels) in stacks.into_iter().zip(labels) {
            builder.sample(NewSample {
                stack: Some(stack),
                event_count: EventCount::new(2),
                values: &[],
                time: None,
                thread: None,
                labels,
            });
        }
        let profile = builder.build().unwrap();
        let folded = |value| encode::folded(&with_label(&profile, "entry", value), Column::Events);
        assert_eq!(folded("/a"), "main;a 2\n");
        assert_eq!(folded(""), "main;b 2\n");
        assert_eq!(folded("/nowhere"), "");
    }
}

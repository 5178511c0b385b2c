//! What a profile cannot show, and what to do about it.
//!
//! Nothing of this is stored: it follows from the names, so that it is the same after a profile was
//! sent, kept and merged, as far as the names are.

use std::fmt;

use crate::frame::{Frame, FrameId, FrameKind};
use crate::loss::Tally;
use crate::profile::Profile;
use crate::units::index;

/// Samples whose stacks lack something that another build of the program would show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// An async function or block is only `{async_fn#0}`: line tables have no paths.
    UnnamedAsync(Tally),
    /// Code of a Rust program has no file: there is no debug information, so inlined functions,
    /// as async ones mostly are, have no frame at all. Known where frames have their mappings, and
    /// told from a tenth of the samples on: some parts of the standard library are so always.
    NoDebugInfo(Tally),
}

impl Note {
    /// The samples that it is about.
    pub const fn tally(self) -> Tally {
        match self {
            Self::UnnamedAsync(tally) | Self::NoDebugInfo(tally) => tally,
        }
    }

    /// What is missing and what to do, without the number of samples.
    pub const fn text(self) -> &'static str {
        match self {
            Self::UnnamedAsync(_) => {
                "async functions without their names: build with debug = 1, not line-tables-only"
            }
            Self::NoDebugInfo(_) => {
                "inlined functions, async ones among them, are missing: build with debug = 1"
            }
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} samples: {}", self.tally().samples, self.text())
    }
}

impl Profile {
    /// What it cannot show; empty where nothing is known to be missing. Looks at each frame,
    /// stack and sample once.
    pub fn notes(&self) -> Vec<Note> {
        let unnamed = |frame: Frame<'_>| frame.name().starts_with("{async_");
        let no_debug_info = |frame: Frame<'_>| {
            frame.kind() == FrameKind::Native
                && frame.mapping().is_some()
                && frame.file().is_none()
                && frame.name().contains("::")
        };
        let unnamed = self.tally_with(unnamed);
        let no_debug_info = self.tally_with(no_debug_info);
        let is_much = no_debug_info.samples >= self.stored().samples.div_ceil(10);
        let mut notes = Vec::new();
        if !unnamed.is_zero() {
            notes.push(Note::UnnamedAsync(unnamed));
        }
        if !no_debug_info.is_zero() && is_much {
            notes.push(Note::NoDebugInfo(no_debug_info));
        }
        notes
    }

    /// The samples with such a frame in their stacks.
    fn tally_with(&self, is_such: impl Fn(Frame<'_>) -> bool) -> Tally {
        let ids = (0..self.frames.len()).map(|place| FrameId(index(place)));
        let frames: Vec<bool> = ids.map(|id| is_such(self.frame(id))).collect();
        if !frames.contains(&true) {
            return Tally::default();
        }
        let mut stacks: Vec<bool> = Vec::with_capacity(self.stacks.len());
        for (_, node) in self.stacks.iter() {
            let parent = node.parent.is_some_and(|parent| stacks[parent.0 as usize]);
            stacks.push(parent || frames[node.frame.0 as usize]);
        }
        self.samples()
            .filter(|sample| sample.stack().is_some_and(|id| stacks[id.0 as usize]))
            .map(|sample| sample.tally())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventCount, FrameSpec, LabelSetId, NewSample};
    use crate::{Limits, Mapping, ProfileBuilder, decode, encode};

    fn check(folded: &str, expected: &[Note]) {
        let profile = decode::folded(folded.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(profile.notes(), expected, "{folded}");
    }

    #[test]
    fn bare_async_names_are_noted_wherever_they_stand_in_a_stack() {
        let unnamed = |samples| Note::UnnamedAsync(Tally { samples, events: 6 });
        check("main;{async_fn#0};work 6\nmain;idle 2\n", &[unnamed(6)]);
        check("main;{async_block#3} 6\n", &[unnamed(6)]);
        check("main;shop::cart::{async_fn#0} 6\n", &[]);
        check("main;shop::cart::{{closure}} 6\n", &[]);
        check("main;{closure#0} 6\n", &[]);
    }

    /// A profile of one sample: a Rust function of a loaded object.
    fn of_object(file: &str) -> Profile {
        let mut builder = ProfileBuilder::new();
        let mapping = builder.mapping(Mapping {
            path: "/usr/bin/shop".to_owned(),
            ..Mapping::default()
        });
        let frame = FrameSpec::new("shop::checksum").file(file);
        let frame = builder.frame(&frame.mapping(mapping).address(0x1000));
        let stack = builder.stack(None, frame);
        builder.sample(NewSample {
            stack: Some(stack),
            event_count: EventCount::ONE,
            values: &[],
            time: None,
            thread: None,
            labels: LabelSetId::EMPTY,
        });
        builder.build().unwrap()
    }

    #[test]
    fn program_without_debug_information_is_noted() {
        let one = Tally::one(EventCount::ONE);
        assert_eq!(of_object("").notes(), [Note::NoDebugInfo(one)]);
        assert_eq!(of_object("shop.rs").notes(), []);
        check("main;shop::checksum 2\n", &[]);
    }

    #[test]
    fn pprof_tells_its_notes_to_people_and_reads_back_the_same() {
        let profile = of_object("");
        let bytes = encode::pprof_uncompressed(&profile);
        let note = profile.notes()[0].to_string();
        assert!(note.starts_with("1 samples: inlined functions"), "{note}");
        let has = |text: &str| bytes.windows(text.len()).any(|one| one == text.as_bytes());
        assert!(has(&format!("flashlamp.note={note}")));
        let back = decode::pprof(&bytes, &Limits::default()).unwrap();
        assert_eq!(back.notes(), profile.notes());
        assert_eq!(encode::pprof_uncompressed(&back), bytes);
    }
}

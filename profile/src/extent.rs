//! How large a profile is where its stacks are written out.

use crate::frame::markers;
use crate::function::FunctionId;
use crate::profile::Profile;

/// How large a profile is once each stack is written out with all of its frames.
///
/// Stacks share their beginnings in a profile, and names are kept once; where a format repeats
/// them, its size is names times depth, which the size of a body does not bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Each different stack that has samples, once.
    ///
    /// Bounds folded text, and the nodes and names of a reversed call tree (and of one that is
    /// not reversed), for any column.
    pub stacks: Written,
    /// Each sample, with its stack.
    ///
    /// Its frames bound what pprof and speedscope list: pprof once, speedscope once for each
    /// value type. Both write a name once.
    pub samples: Written,
}

/// What stacks take that are written out. Both numbers saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Their frames: the sum of their depths.
    pub frames: u64,
    /// The bytes of their frames' names, with a separator after each and a count after each
    /// stack: what folded text takes at most. Files are not counted.
    pub text_bytes: u64,
}

/// A space, the digits of the largest count, a newline.
const COUNT_BYTES: u64 = 21;

impl Written {
    /// A stack with its count.
    const fn line(self) -> Self {
        Self {
            text_bytes: self.text_bytes.saturating_add(COUNT_BYTES),
            ..self
        }
    }
}

impl std::ops::AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.frames = self.frames.saturating_add(other.frames);
        self.text_bytes = self.text_bytes.saturating_add(other.text_bytes);
    }
}

impl Profile {
    /// How large the profile is where its stacks are written out.
    ///
    /// Costs one step for each function, stack node and sample: no stack is walked.
    pub fn extent(&self) -> Extent {
        let stackless = Written {
            frames: 0,
            text_bytes: markers::NO_STACK.len() as u64,
        };
        let paths = self.paths();
        // By place in the table of stacks, and one for samples without a stack.
        let mut seen = vec![false; paths.len() + 1];
        let mut extent = Extent::default();
        for sample in self.samples() {
            let place = sample.stack().map(|id| id.0 as usize);
            let line = place.map_or(stackless, |place| paths[place]).line();
            extent.samples += line;
            let seen = &mut seen[place.unwrap_or(paths.len())];
            if !std::mem::replace(seen, true) {
                extent.stacks += line;
            }
        }
        extent
    }

    /// The length of every stack, without a count, by place in the table.
    fn paths(&self) -> Vec<Written> {
        let names: Vec<u64> = self
            .functions
            .iter()
            .map(|id| self.name_bytes(id))
            .collect();
        let mut paths: Vec<Written> = Vec::with_capacity(self.stacks.len());
        for (_, node) in self.stacks.iter() {
            let function = self.frames.record(node.frame).function;
            let mut path = Written {
                frames: 1,
                text_bytes: names[function.0 as usize].saturating_add(1),
            };
            if let Some(parent) = node.parent {
                path += paths[parent.0 as usize];
            }
            paths.push(path);
        }
        paths
    }

    /// The bytes of a name; folded text writes a marker for one that cannot be seen.
    fn name_bytes(&self, id: FunctionId) -> u64 {
        let name = self.function_name(id);
        let blank = name.chars().all(|c| c.is_whitespace() || c.is_control());
        let least = if blank { markers::NO_STACK.len() } else { 0 };
        name.len().max(least) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Column, EventCount, FrameSpec, LabelSetId, Limits, NewSample, ProfileBuilder, decode,
        encode,
    };

    fn check(folded: &str, stacks: (u64, u64), samples: (u64, u64)) {
        let profile = decode::folded(folded.as_bytes(), &Limits::default()).unwrap();
        let extent = profile.extent();
        let numbers = |written: Written| (written.frames, written.text_bytes);
        assert_eq!(numbers(extent.stacks), stacks, "{folded:?}");
        assert_eq!(numbers(extent.samples), samples, "{folded:?}");
    }

    #[test]
    fn a_stack_counts_once_and_a_sample_with_its_whole_stack() {
        check("", (0, 0), (0, 0));
        check("main 1\n", (1, 5 + 21), (1, 5 + 21));
        check("main;a 1\nmain;a 2\n", (2, 7 + 21), (4, 14 + 42));
        check("main;a 1\nmain 2\n", (3, 12 + 42), (3, 12 + 42));
        check(" 3\n 4\n", (0, 10 + 21), (0, 20 + 42));
    }

    #[test]
    fn a_name_that_cannot_be_seen_is_as_long_as_its_marker() {
        let mut builder = ProfileBuilder::new();
        let blank = builder.frame(&FrameSpec::new("\u{1}"));
        let stack = builder.stack(None, blank);
        builder.sample(NewSample {
            stack: Some(stack),
            event_count: EventCount::new(u64::MAX),
            values: &[],
            time: None,
            thread: None,
            labels: LabelSetId::EMPTY,
        });
        let profile = builder.build().unwrap();
        let text = encode::folded(&profile, Column::Events);
        let bound = profile.extent().stacks.text_bytes;
        assert_eq!(
            bound,
            text.len() as u64 + 1,
            "the separator after the last frame"
        );
    }
}

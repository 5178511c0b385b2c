//! Sums of profiles.

use crate::builder::{NewSample, ProfileBuilder};
use crate::error::MergeError;
use crate::frame::FrameId;
use crate::interner::Interner;
use crate::label::LabelSetId;
use crate::profile::Profile;
use crate::stack::StackId;
use crate::units::{Period, Timestamp};
use crate::value_type::ValueType;

/// Adds up profiles of one series.
///
/// Samples of the same stack and labels become one; stacks are the same when the functions
/// (name, file) and kinds of their frames are. An unsymbolized frame keeps its name
/// `object+0xoffset`. Sums saturate.
///
/// The contents of the sum do not depend on order or grouping: it is commutative and
/// associative. Its range covers the ranges of all profiles; its period and name are the
/// profiles' where all agree, else none; losses are added by reason. Times, threads, lines,
/// mappings and addresses of single samples are dropped.
///
/// Costs one hash for each stack node, and one for each sample.
#[derive(Debug, Default)]
pub struct Merger {
    builder: ProfileBuilder,
    value_types: Option<Vec<ValueType>>,
    name: Option<String>,
    period: Option<Option<Period>>,
    range: Option<(Timestamp, Timestamp)>,
    /// By stack and labels.
    sums: Interner,
}

impl Merger {
    /// An empty sum.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one profile.
    ///
    /// # Errors
    /// [`MergeError::ValueTypes`] if it measures something else than those before it; nothing
    /// of it was added then.
    pub fn add(&mut self, profile: &Profile) -> Result<(), MergeError> {
        self.accept_header(profile)?;
        let stacks = self.stacks_of(profile);
        let mut label_sets: Vec<Option<LabelSetId>> = vec![None; profile.labels.len()];
        for sample in profile.samples() {
            let set = sample.labels();
            let labels = *label_sets[set.0 as usize].get_or_insert_with(|| {
                let pairs: Vec<_> = profile.label_pairs(set).collect();
                self.builder.labels(&pairs)
            });
            let row = NewSample {
                stack: sample.stack().map(|id| stacks[id.0 as usize]),
                event_count: sample.event_count(),
                values: sample.values(),
                time: None,
                thread: None,
                labels,
            };
            let count = sample.sample_count();
            self.builder.add_to_sum(&mut self.sums, count, row);
        }
        for (reason, tally) in profile.losses() {
            self.builder.loss(reason, *tally);
        }
        Ok(())
    }

    /// About how many bytes of memory the sum takes so far; see [`Profile::heap_bytes`].
    pub fn heap_bytes(&self) -> usize {
        self.builder.heap_bytes() + self.sums.heap_bytes()
    }

    fn accept_header(&mut self, profile: &Profile) -> Result<(), MergeError> {
        match &self.value_types {
            Some(left) if left != profile.value_types() => {
                return Err(MergeError::ValueTypes {
                    left: left.clone(),
                    right: profile.value_types().to_vec(),
                });
            }
            Some(_) => {}
            None => {
                self.value_types = Some(profile.value_types().to_vec());
                self.builder.value_types(profile.value_types());
            }
        }
        match &mut self.name {
            Some(name) if name != profile.name() => name.clear(),
            Some(_) => {}
            None => self.name = Some(profile.name().to_owned()),
        }
        self.period = match self.period {
            Some(period) if period != profile.period() => Some(None),
            _ => Some(profile.period()),
        };
        if let Some(start) = profile.start() {
            let end = start + profile.duration().unwrap_or_default();
            let (from, until) = self.range.unwrap_or((start, end));
            self.range = Some((from.min(start), until.max(end)));
        }
        Ok(())
    }

    /// This sum's stack for each of the profile's, by place in its table.
    fn stacks_of(&mut self, profile: &Profile) -> Vec<StackId> {
        let mut frames: Vec<Option<FrameId>> = vec![None; profile.frames.len()];
        let mut stacks: Vec<StackId> = Vec::with_capacity(profile.stacks.len());
        for (_, node) in profile.stacks.iter() {
            let frame = *frames[node.frame.0 as usize]
                .get_or_insert_with(|| self.builder.same_function(profile.frame(node.frame)));
            let parent = node.parent.map(|parent| stacks[parent.0 as usize]);
            stacks.push(self.builder.stack(parent, frame));
        }
        stacks
    }

    /// The sum. Without any profile it is the empty profile.
    #[expect(
        clippy::missing_panics_doc,
        reason = "sums of valid profiles are valid"
    )]
    pub fn finish(mut self) -> Profile {
        if let Some((from, until)) = self.range {
            self.builder.start(from).duration(until.since(from));
        }
        if let Some(Some(period)) = self.period {
            self.builder.period(period);
        }
        self.builder.name(&self.name.unwrap_or_default());
        self.builder
            .build()
            .expect("ids and values come from valid profiles")
    }
}

/// The sum of these profiles; see [`Merger`].
///
/// # Errors
/// [`MergeError::ValueTypes`] if they do not all measure the same.
pub fn merge<'a>(profiles: impl IntoIterator<Item = &'a Profile>) -> Result<Profile, MergeError> {
    let mut merger = Merger::new();
    for profile in profiles {
        merger.add(profile)?;
    }
    Ok(merger.finish())
}

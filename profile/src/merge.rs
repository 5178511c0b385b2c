//! Sums of profiles.

use crate::builder::{NewSample, ProfileBuilder};
use crate::error::MergeError;
use crate::frame::FrameId;
use crate::interner::Interner;
use crate::label::LabelSetId;
use crate::part::Part;
use crate::profile::Profile;
use crate::stack::StackId;
use crate::units::{Period, Timestamp};
use crate::value_type::ValueType;

/// Adds up profiles of one series.
///
/// Samples of the same stack and labels become one; stacks are the same when the functions
/// (name, file) and kinds of their frames are. An unsymbolized frame keeps its name
/// `object+0xoffset`. Sums stop at 2^63 - 1, the largest number that pprof can say.
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
        self.add_part(profile, &Part::default())
    }

    /// Adds what `part` says of one profile.
    ///
    /// # Errors
    /// [`MergeError::ValueTypes`] if the part measures something else than what came before it;
    /// nothing of it was added then.
    pub fn add_part(&mut self, profile: &Profile, part: &Part<'_>) -> Result<(), MergeError> {
        self.accept_header(profile, &part.value_types(profile))?;
        let samples = part.samples(profile);
        let stacks = self.stacks_of(profile, samples.clone().filter_map(|one| one.stack()));
        let mut label_sets: Vec<Option<LabelSetId>> = vec![None; profile.labels.len()];
        for sample in samples {
            let set = sample.labels();
            let labels = *label_sets[set.0 as usize]
                .get_or_insert_with(|| self.builder.labels(&part.label_pairs(profile, set)));
            let row = NewSample {
                stack: sample.stack().and_then(|id| stacks[id.0 as usize]),
                event_count: sample.event_count(),
                values: part.values(&sample),
                time: None,
                thread: None,
                labels,
            };
            let count = sample.sample_count();
            self.builder.add_to_sum(&mut self.sums, count, row);
        }
        for (reason, tally) in profile.losses().iter().filter(|_| part.has_losses()) {
            self.builder.loss(reason, *tally);
        }
        Ok(())
    }

    /// About how many bytes of memory the sum takes so far; see [`Profile::heap_bytes`].
    pub fn heap_bytes(&self) -> usize {
        self.builder.heap_bytes() + self.sums.heap_bytes()
    }

    fn accept_header(
        &mut self,
        profile: &Profile,
        value_types: &[ValueType],
    ) -> Result<(), MergeError> {
        match &self.value_types {
            Some(left) if left != value_types => {
                return Err(MergeError::ValueTypes {
                    left: left.clone(),
                    right: value_types.to_vec(),
                });
            }
            Some(_) => {}
            None => {
                self.value_types = Some(value_types.to_vec());
                self.builder.value_types(value_types);
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

    /// This sum's stack for each of the profile's, by place in its table; `None` where neither a
    /// sample nor another stack in `used` stands on it.
    fn stacks_of(
        &mut self,
        profile: &Profile,
        used: impl Iterator<Item = StackId>,
    ) -> Vec<Option<StackId>> {
        let mut is_used = vec![false; profile.stacks.len()];
        for id in used {
            is_used[id.0 as usize] = true;
        }
        // A parent stands before its children.
        for (id, node) in profile.stacks.iter().rev() {
            if let (true, Some(parent)) = (is_used[id.0 as usize], node.parent) {
                is_used[parent.0 as usize] = true;
            }
        }
        let mut frames: Vec<Option<FrameId>> = vec![None; profile.frames.len()];
        let mut stacks: Vec<Option<StackId>> = Vec::with_capacity(is_used.len());
        for ((_, node), is_used) in profile.stacks.iter().zip(is_used) {
            stacks.push(is_used.then(|| {
                let frame = *frames[node.frame.0 as usize]
                    .get_or_insert_with(|| self.builder.same_function(profile.frame(node.frame)));
                let parent = node.parent.and_then(|parent| stacks[parent.0 as usize]);
                self.builder.stack(parent, frame)
            }));
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

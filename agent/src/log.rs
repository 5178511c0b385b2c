//! What a profiler collected, with names.

use std::collections::BTreeMap;

use flashlamp_profile::{
    Column, EventCount, Frame, FunctionRow, Nanos, Period, Profile, ProfileBuilder, Sample, Tally,
    Thread, Timestamp, ValueType, by_function, encode,
};

use crate::clock;
use crate::collection::Losses;
use crate::profiler::Clock;

/// What a [`Profiler`](crate::Profiler) collected: samples in order of time, with names.
///
/// All of `taken = stored + lost` is in it: what was sampled and is not here is in
/// [`losses`](Self::losses).
#[derive(Clone, Debug)]
pub struct Log {
    profile: Profile,
    period: Period,
}

impl Log {
    pub(crate) fn new(profile: Profile, period: Period) -> Self {
        Self { profile, period }
    }

    /// A log of nothing. Takes no lock, so that a forked child may make it.
    pub(crate) fn empty(clock: Clock, period: Period) -> Self {
        Self::of_losses(clock, period, &Losses::new())
    }

    /// A log without samples.
    pub(crate) fn of_losses(clock: Clock, period: Period, losses: &Losses) -> Self {
        let mut builder = ProfileBuilder::new();
        let value_type = match clock {
            Clock::Cpu => ValueType::CPU,
            Clock::Wall => ValueType::WALL,
        };
        builder
            .start(clock::utc_now())
            .value_types(&[value_type])
            .period(period);
        for (reason, tally) in losses {
            builder.loss(reason, *tally);
        }
        let profile = builder.build().expect("a profile of nothing is valid");
        Self { profile, period }
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.profile.samples().len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sum of all event counts: `event_count * period` is the time that was spent. At
    /// least [`len`](Self::len), more where the timer overran.
    pub fn event_count(&self) -> EventCount {
        EventCount::new(self.profile.stored().events)
    }

    /// The nominal distance between two samples.
    pub fn period(&self) -> Period {
        self.period
    }

    /// What was taken and is not in the log, by reason, in samples and event counts.
    pub fn losses(&self) -> &BTreeMap<String, Tally> {
        self.profile.losses()
    }

    /// The samples in order of time.
    pub fn iter(&self) -> LogIter<'_> {
        let samples: Vec<Sample<'_>> = self.profile.samples().collect();
        LogIter {
            profile: &self.profile,
            samples: samples.into_iter(),
        }
    }

    /// Folded text, one line for each stack: `root;caller;leaf COUNT`, in event counts.
    pub fn folded(&self) -> String {
        encode::folded(&self.profile, Column::Events)
    }

    /// A speedscope file (JSON) of this name: one time-ordered profile for each thread, weights
    /// in nanoseconds.
    pub fn speedscope(&self, name: &str) -> String {
        encode::speedscope(&self.profile.clone().renamed(name))
    }

    /// A pprof file (gzip), with times, threads and losses.
    pub fn pprof(&self) -> Vec<u8> {
        encode::pprof(&self.profile)
    }

    /// Self and total event counts for each function, the largest total first.
    pub fn by_function(&self) -> Vec<FunctionRow<'_>> {
        by_function(&self.profile, Column::Events)
    }

    /// The profile behind the log.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The profile behind the log, without a copy.
    pub fn into_profile(self) -> Profile {
        self.profile
    }
}

impl<'a> IntoIterator for &'a Log {
    type Item = LogEntry<'a>;
    type IntoIter = LogIter<'a>;

    fn into_iter(self) -> LogIter<'a> {
        self.iter()
    }
}

/// The samples of a [`Log`], in order of time.
#[derive(Clone, Debug)]
pub struct LogIter<'a> {
    profile: &'a Profile,
    samples: std::vec::IntoIter<Sample<'a>>,
}

impl<'a> Iterator for LogIter<'a> {
    type Item = LogEntry<'a>;

    fn next(&mut self) -> Option<LogEntry<'a>> {
        self.samples.next().map(|sample| LogEntry {
            profile: self.profile,
            sample,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.samples.size_hint()
    }
}

impl ExactSizeIterator for LogIter<'_> {}

/// One sample of a [`Log`].
#[derive(Clone, Copy, Debug)]
pub struct LogEntry<'a> {
    profile: &'a Profile,
    sample: Sample<'a>,
}

impl<'a> LogEntry<'a> {
    /// When the sample was taken, in UTC.
    pub fn timestamp(&self) -> Timestamp {
        let start = self.profile.start().map_or(0, Timestamp::as_nanos);
        Timestamp::from_nanos(start.saturating_add(self.since_start().as_nanos()))
    }

    /// When the sample was taken, since the log's start, by the monotonic clock.
    pub fn since_start(&self) -> Nanos {
        self.sample.time().unwrap_or(Nanos::ZERO)
    }

    /// How many periods the sample stands for: 1, and 1 more for each overrun of the timer.
    pub fn event_count(&self) -> EventCount {
        self.sample.event_count()
    }

    /// The thread it was taken on.
    pub fn thread(&self) -> Option<&'a Thread> {
        self.sample
            .thread()
            .map(|thread| self.profile.thread(thread))
    }

    /// The stack, leaf first. Inlined functions are frames of their own.
    pub fn stack(&self) -> Vec<Frame<'a>> {
        let stack = self.sample.stack();
        stack
            .map(|stack| self.profile.stack_leaf_first(stack).collect())
            .unwrap_or_default()
    }
}

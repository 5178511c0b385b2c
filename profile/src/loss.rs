//! What was taken and not stored, by reason.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use crate::EventCount;

/// A count of samples, and of the events (periods) that they stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tally {
    /// Samples.
    pub samples: u64,
    /// Event counts; at least `samples` where every sample was taken by a timer.
    pub events: u64,
}

impl Tally {
    /// One sample of this event count.
    pub const fn one(events: EventCount) -> Self {
        Self {
            samples: 1,
            events: events.as_u64(),
        }
    }

    /// Whether nothing was counted.
    pub const fn is_zero(self) -> bool {
        self.samples == 0 && self.events == 0
    }

    /// The difference, each count not below zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self {
            samples: self.samples.saturating_sub(other.samples),
            events: self.events.saturating_sub(other.events),
        }
    }
}

impl Add for Tally {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            samples: self.samples.saturating_add(other.samples),
            events: self.events.saturating_add(other.events),
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::default(), Add::add)
    }
}

/// Names of loss reasons that Flashlamp itself counts. Other senders may use their own:
/// lower-case letters, digits and underscores.
pub mod losses {
    /// The thread's ring was full: the drain did not come in time.
    pub const RING_FULL: &str = "ring_full";
    /// The agent held as many samples as it may before they were sent.
    pub const COLLECTION_FULL: &str = "collection_full";
    /// Sampling would have taken more time than the program itself.
    pub const OVERLOAD: &str = "overload";
    /// CPU time whose signal had not come when sampling ended: the kernel sends those of CPU timers
    /// on its tick.
    pub const UNDELIVERED: &str = "undelivered";
    /// CPU time of threads before they were found, or that had ended by then.
    pub const UNSEEN: &str = "unseen";
    /// The queue to the collector was full: the oldest window made room.
    pub const QUEUE_FULL: &str = "queue_full";
    /// The collector refused the profile.
    pub const COLLECTOR_REFUSED: &str = "collector_refused";
    /// The collector could not be reached until the agent stopped.
    pub const COLLECTOR_UNREACHABLE: &str = "collector_unreachable";
    /// The books did not balance: a bug, shown rather than hidden.
    pub const UNACCOUNTED: &str = "unaccounted";
}

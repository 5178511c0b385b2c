//! What the handler writes for one sample.
//!
//! ```text
//! word 0   session (32) | state (8) | quality (8, lowest)
//! word 1   monotonic time in nanoseconds
//! word 2   event count (32) | entry point (32)
//! word 3   nanoseconds on a CPU that the sample stands for
//! word 4   nanoseconds off it
//! word 5.. addresses, leaf first: the interrupted instruction, then return addresses
//! ```

use super::{Full, Reservation};

/// Words before the addresses.
const HEADER_WORDS: u64 = 5;

/// How far the stack of a sample reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quality {
    /// To the thread's first function.
    Complete,
    /// Cut at the maximum depth: callers are missing.
    Truncated,
    /// The unwinder found no way on: callers are missing.
    Lost(Lost),
}

/// Why there was no way on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// No table knows the code, and frame pointers make no sense.
    Table,
    /// The table says what is not followed, or what cannot be.
    Rule,
    /// The rule needs a register that is known for the interrupted frame only.
    Register,
    /// The stack cannot be read there.
    Memory,
    /// There is not room enough to walk the stack.
    Room,
}

impl Quality {
    const ALL: [Self; 7] = [
        Self::Complete,
        Self::Truncated,
        Self::Lost(Lost::Table),
        Self::Lost(Lost::Rule),
        Self::Lost(Lost::Register),
        Self::Lost(Lost::Memory),
        Self::Lost(Lost::Room),
    ];
}

/// What the thread was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It ran. Time off the CPU was spent waiting for one: the thread never gave it up.
    Running,
    /// It waited, by its own doing, in a system call or for a page.
    Blocked,
    /// As before, and it is not asked again until it has run: what it waits from here on is told by
    /// a record that is [`Still`](Self::Still) blocked.
    Paused,
    /// It waits, or waited, where the last sample found it. The record has no stack.
    Still,
}

impl State {
    const ALL: [Self; 4] = [Self::Running, Self::Blocked, Self::Paused, Self::Still];
}

/// A sample without its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The session that the sample belongs to.
    pub(crate) session: u32,
    /// When it was taken, on the monotonic clock.
    pub(crate) time_ns: u64,
    /// Periods that it stands for.
    pub(crate) events: u32,
    /// The entry point that the thread was working for.
    pub(crate) entry: u32,
    /// How far the stack reaches.
    pub(crate) quality: Quality,
    /// What the thread was doing.
    pub(crate) state: State,
    /// Time on a CPU that the sample stands for.
    pub(crate) running_ns: u64,
    /// Time off it.
    pub(crate) off_ns: u64,
}

impl Header {
    /// Writes the header; the quality may be unknown yet, see [`set_quality`](Self::set_quality).
    ///
    /// # Signal safety
    /// Five atomic stores.
    pub(crate) fn write(&self, record: &mut Reservation<'_>) -> Result<(), Full> {
        record.push(self.first_word())?;
        record.push(self.time_ns)?;
        record.push(u64::from(self.events) << 32 | u64::from(self.entry))?;
        record.push(self.running_ns)?;
        record.push(self.off_ns)
    }

    /// Corrects the quality of a header that was written as the record's first words.
    ///
    /// # Signal safety
    /// One atomic store.
    pub(crate) fn set_quality(mut self, record: &mut Reservation<'_>, quality: Quality) {
        self.quality = quality;
        record.set(0, self.first_word());
    }

    fn first_word(&self) -> u64 {
        let quality = match self.quality {
            Quality::Complete => 0,
            Quality::Truncated => 1,
            Quality::Lost(Lost::Table) => 2,
            Quality::Lost(Lost::Rule) => 3,
            Quality::Lost(Lost::Register) => 4,
            Quality::Lost(Lost::Memory) => 5,
            Quality::Lost(Lost::Room) => 6,
        };
        let state: u64 = match self.state {
            State::Running => 0,
            State::Blocked => 1,
            State::Paused => 2,
            State::Still => 3,
        };
        u64::from(self.session) << 32 | state << 8 | quality
    }
}

/// Splits a record into its header and its addresses, leaf first; `None` where it is too short.
pub(crate) fn parse(record: &[u64]) -> Option<(Header, &[u64])> {
    let (head, addresses) = record.split_at_checked(usize::try_from(HEADER_WORDS).ok()?)?;
    let [first, time_ns, third, running_ns, off_ns] = *head else {
        return None;
    };
    let quality = Quality::ALL.get(usize::try_from(first & 0xff).ok()?)?;
    let state = State::ALL.get(usize::try_from(first >> 8 & 0xff).ok()?)?;
    let header = Header {
        session: high(first),
        time_ns,
        events: high(third),
        entry: u32::try_from(third & 0xffff_ffff).ok()?,
        quality: *quality,
        state: *state,
        running_ns,
        off_ns,
    };
    Some((header, addresses))
}

fn high(word: u64) -> u32 {
    u32::try_from(word >> 32).unwrap_or(0)
}

//! What the handler writes for one sample.
//!
//! ```text
//! word 0   session (32) | quality (8, lowest)
//! word 1   monotonic time in nanoseconds
//! word 2   event count (32) | entry point (32)
//! word 3.. addresses, leaf first: the interrupted instruction, then return addresses
//! ```

use super::{Full, Reservation};

/// Words before the addresses.
const HEADER_WORDS: u64 = 3;

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
}

impl Header {
    /// Writes the header; the quality may be unknown yet, see [`set_quality`].
    ///
    /// # Signal safety
    /// Three atomic stores.
    pub(crate) fn write(&self, record: &mut Reservation<'_>) -> Result<(), Full> {
        record.push(self.first_word())?;
        record.push(self.time_ns)?;
        record.push(u64::from(self.events) << 32 | u64::from(self.entry))
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
        u64::from(self.session) << 32 | quality
    }
}

/// Splits a record into its header and its addresses, leaf first; `None` where it is too short.
pub(crate) fn parse(record: &[u64]) -> Option<(Header, &[u64])> {
    let (head, addresses) = record.split_at_checked(usize::try_from(HEADER_WORDS).ok()?)?;
    let [first, time_ns, third] = *head else {
        return None;
    };
    let quality = Quality::ALL.get(usize::try_from(first & 0xff).ok()?)?;
    let header = Header {
        session: high(first),
        time_ns,
        events: high(third),
        entry: u32::try_from(third & 0xffff_ffff).ok()?,
        quality: *quality,
    };
    Some((header, addresses))
}

fn high(word: u64) -> u32 {
    u32::try_from(word >> 32).unwrap_or(0)
}

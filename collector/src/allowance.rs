//! What one answer may take while it is made: memory from a budget that answers share, for as long
//! as somebody waits for it.
//!
//! Most answers are small and are made side by side. One that outgrows what each may have is begun
//! again, alone, with a budget of its own: so a few wide days asked for at once come one after the
//! other, and none keeps small answers waiting.

use std::io;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::budget::{Budget, BudgetError, Reservation, append};

/// Why an answer is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AllowanceError {
    /// It takes too much memory, or too much at the moment.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// It is not a small one.
    #[error("this takes more than the {bytes_max} bytes of memory of a small answer")]
    Outgrown {
        /// What a small answer may take.
        bytes_max: usize,
    },
    /// The client has gone.
    #[error("nobody waits for this any more")]
    Unwanted,
}

/// The memory of one answer. Those who make it say how much they use before they use it.
#[derive(Debug)]
pub struct Allowance {
    reservation: Reservation,
    bytes_max: usize,
    outgrown: bool,
    gone: CancellationToken,
}

impl Allowance {
    /// A share of `budget`, until `gone` is cancelled.
    pub fn new(budget: &Arc<Budget>, gone: CancellationToken) -> Self {
        Self::at_most(usize::MAX, budget, gone)
    }

    /// A share of `budget` that never has more than `bytes_max`.
    pub fn at_most(bytes_max: usize, budget: &Arc<Budget>, gone: CancellationToken) -> Self {
        Self {
            reservation: budget.reserve(),
            bytes_max,
            outgrown: false,
            gone,
        }
    }

    /// As much as one likes: for tests, and for programs that read a store by themselves.
    pub fn unlimited() -> Self {
        Self::new(&Budget::new(u64::MAX), CancellationToken::new())
    }

    /// Says that `bytes` are in use from here on, more or fewer than before.
    ///
    /// # Errors
    /// [`AllowanceError`] if the budget does not have them, or nobody waits any more.
    pub fn set(&mut self, bytes: usize) -> Result<(), AllowanceError> {
        if self.gone.is_cancelled() {
            return Err(AllowanceError::Unwanted);
        }
        if bytes > self.bytes_max {
            self.outgrown = true;
            let bytes_max = self.bytes_max;
            return Err(AllowanceError::Outgrown { bytes_max });
        }
        self.reservation.grow_to(bytes as u64)?;
        self.reservation.shrink_to(bytes as u64);
        Ok(())
    }

    /// Whether it was ever asked for more than it may have.
    pub fn is_outgrown(&self) -> bool {
        self.outgrown
    }

    /// Gives back all that is held.
    pub fn release(&mut self) {
        self.reservation.shrink_to(0);
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        usize::try_from(self.reservation.held()).unwrap_or(usize::MAX)
    }
}

/// Bytes in memory that grow within an [`Allowance`].
#[derive(Debug)]
pub(crate) struct Growing<'a> {
    bytes: Vec<u8>,
    /// What was in use before.
    base: usize,
    allowance: &'a mut Allowance,
    refused: Option<AllowanceError>,
}

impl<'a> Growing<'a> {
    /// No bytes yet, on top of what the allowance holds.
    pub(crate) fn new(allowance: &'a mut Allowance) -> Self {
        Self {
            bytes: Vec::new(),
            base: allowance.held(),
            allowance,
            refused: None,
        }
    }

    /// What was written, or why it did not go on.
    pub(crate) fn finish(self) -> Result<Vec<u8>, AllowanceError> {
        self.refused.map_or(Ok(self.bytes), Err)
    }
}

impl io::Write for Growing<'_> {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let claim = |both| self.allowance.set(self.base + both);
        if let Err(refused) = append(&mut self.bytes, more, claim) {
            self.refused = Some(refused);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_nobody_waits_for_is_not_made() {
        let gone = CancellationToken::new();
        let mut allowance = Allowance::new(&Budget::new(1 << 20), gone.clone());
        allowance.set(1).unwrap();
        gone.cancel();
        assert_eq!(allowance.set(1), Err(AllowanceError::Unwanted));
    }

    #[test]
    fn a_small_one_says_that_it_was_outgrown() {
        let (budget, gone) = (Budget::new(4 << 20), CancellationToken::new());
        let mut allowance = Allowance::at_most(1 << 20, &budget, gone);
        allowance.set(1 << 20).unwrap();
        assert!(!allowance.is_outgrown());
        let bytes_max = 1 << 20;
        let outgrown = Err(AllowanceError::Outgrown { bytes_max });
        assert_eq!(allowance.set(bytes_max + 1), outgrown);
        assert!(allowance.is_outgrown());
    }

    #[test]
    fn a_vector_grows_within_its_allowance() {
        let budget = Budget::new(4 << 20);
        let mut allowance = Allowance::new(&budget, CancellationToken::new());
        allowance.set(1 << 20).unwrap();
        let mut growing = Growing::new(&mut allowance);
        growing.write_all(b"abc").unwrap();
        assert_eq!(growing.finish().unwrap(), b"abc");
        let mut growing = Growing::new(&mut allowance);
        let piece = vec![0; 64 << 10];
        let refused = (0..100).find_map(|_| growing.write_all(&piece).err());
        assert!(refused.is_some());
        let bytes_max = 4 << 20;
        let too_large = BudgetError::TooLarge { bytes_max };
        assert_eq!(growing.finish(), Err(too_large.into()));
        drop(allowance);
        assert_eq!(budget.taken(), 0);
    }
}

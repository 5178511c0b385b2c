//! The bytes that all bodies being decoded, or all answers being made, may take together.
//!
//! Problem: a bound for each does not bound their sum. Sixty-four agents whose windows arrive in
//! the same second would inflate to more than a gigabyte, and eight flame graphs of wide days took
//! fourteen. So each takes from one budget before it grows, and one that finds it empty is sent
//! away with `Retry-After`; a client that obeys is served a moment later, from memory that is free
//! again. What would not fit into the whole budget is told so, for then waiting does not help.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits;

/// Why a reservation did not grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// Others hold what is missing; a moment later it may be free.
    #[error("the memory for this is taken by others at the moment")]
    Taken,
    /// More than the whole budget.
    #[error("this takes more than the {bytes_max} bytes of memory that there are for it")]
    TooLarge {
        /// The whole budget.
        bytes_max: u64,
    },
}

/// A number of bytes that reservations share.
#[derive(Debug)]
pub struct Budget {
    bytes_max: u64,
    taken: AtomicU64,
}

impl Budget {
    /// A budget of this many bytes, all of them free.
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            bytes_max,
            taken: AtomicU64::new(0),
        })
    }

    /// How many bytes are taken now.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// A reservation of nothing, to be grown.
    pub fn reserve(self: &Arc<Self>) -> Reservation {
        Reservation {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }
}

/// A part of a [`Budget`], given back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reservation {
    /// Makes sure that at least `bytes` are held; takes whole steps, so that calling it for every
    /// few bytes is cheap.
    ///
    /// # Errors
    /// [`BudgetError`] if the budget does not have them. What was held stays held.
    pub fn grow_to(&mut self, bytes: u64) -> Result<(), BudgetError> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let step = limits::BUDGET_STEP_BYTES;
        let more = (bytes - self.bytes).div_ceil(step).saturating_mul(step);
        let bytes_max = self.budget.bytes_max;
        if bytes > bytes_max {
            return Err(BudgetError::TooLarge { bytes_max });
        }
        // The last step may be smaller than the others: the whole budget can be held.
        let more = more.min(bytes_max - self.bytes);
        let taken = &self.budget.taken;
        let take = |now: u64| now.checked_add(more).filter(|sum| *sum <= bytes_max);
        match taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => {
                self.bytes += more;
                Ok(())
            }
            Err(_) => Err(BudgetError::Taken),
        }
    }

    /// How many bytes are held.
    pub fn held(&self) -> u64 {
        self.bytes
    }

    /// Gives back what is held beyond `bytes`, in whole steps.
    pub fn shrink_to(&mut self, bytes: u64) {
        let kept = bytes
            .div_ceil(limits::BUDGET_STEP_BYTES)
            .saturating_mul(limits::BUDGET_STEP_BYTES);
        let back = self.bytes.saturating_sub(kept);
        self.bytes -= back;
        self.budget.taken.fetch_sub(back, Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Adds `more` to `out`. Where that has to move, `claim` is asked first for what both places take:
/// while a vector moves, the old and the new one exist side by side.
pub(crate) fn append<E>(
    out: &mut Vec<u8>,
    more: &[u8],
    claim: impl FnOnce(usize) -> Result<(), E>,
) -> Result<(), E> {
    let length = out.len() + more.len();
    if length > out.capacity() {
        let capacity = (2 * out.capacity()).max(length);
        claim(out.capacity() + capacity)?;
        out.reserve_exact(capacity - out.len());
    }
    out.extend_from_slice(more);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_reservations_stays_within_the_budget() {
        let step = limits::BUDGET_STEP_BYTES;
        let budget = Budget::new(4 * step);
        let (mut a, mut b) = (budget.reserve(), budget.reserve());
        a.grow_to(1).unwrap();
        a.grow_to(step).unwrap();
        assert_eq!(budget.taken(), step);
        b.grow_to(3 * step).unwrap();
        assert_eq!(a.grow_to(step + 1), Err(BudgetError::Taken));
        let bytes_max = 4 * step;
        let too_large = Err(BudgetError::TooLarge { bytes_max });
        assert_eq!(a.grow_to(bytes_max + 1), too_large);
        drop(b);
        a.grow_to(4 * step).unwrap();
        assert_eq!(budget.taken(), 4 * step);
        a.shrink_to(step + 1);
        assert_eq!(budget.taken(), 2 * step);
        a.shrink_to(3 * step);
        assert_eq!(budget.taken(), 2 * step);
        drop(a);
        assert_eq!(budget.taken(), 0);
    }
}

//! The bytes that all bodies being decoded may take together.
//!
//! Problem: a bound for each body does not bound their sum. Sixty-four agents whose windows arrive
//! in the same second would inflate to more than a gigabyte. So every body takes from one budget
//! before it grows, and a body that finds it empty is sent away with `Retry-After`; a sender that
//! obeys is served a moment later, from memory that is free again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::ApiError;
use crate::limits;

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
    /// `overloaded` if the budget does not have them now. What was held stays held.
    pub fn grow_to(&mut self, bytes: u64) -> Result<(), ApiError> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let step = limits::BUDGET_STEP_BYTES;
        let more = (bytes - self.bytes).div_ceil(step).saturating_mul(step);
        let taken = &self.budget.taken;
        let take = |now: u64| {
            now.checked_add(more)
                .filter(|sum| *sum <= self.budget.bytes_max)
        };
        match taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => {
                self.bytes += more;
                Ok(())
            }
            Err(_) => Err(ApiError::overloaded()),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
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
        assert_eq!(a.grow_to(step + 1).unwrap_err().code(), "overloaded");
        drop(b);
        a.grow_to(4 * step).unwrap();
        assert_eq!(budget.taken(), 4 * step);
        drop(a);
        assert_eq!(budget.taken(), 0);
    }
}

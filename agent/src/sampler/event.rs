//! Which timer slot the signal of a perf event is for.
//!
//! Such a signal says only which descriptor it is of. The table is made when the first event is, and
//! never freed; a signal that arrives late finds a slot whose use is over.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys;

/// Descriptors that can be events: half a megabyte of words, of which the used ones take memory.
const DESCRIPTORS_MAX: usize = 65_536;

/// Signal values by descriptor; 0 where there was never any.
static VALUES: OnceLock<Box<[AtomicU64]>> = OnceLock::new();

/// Has signals of this descriptor mean this value; false where its number is too high.
pub(crate) fn set(descriptor: i32, value: u64) -> bool {
    let values = VALUES.get_or_init(|| sys::zeroed_words(DESCRIPTORS_MAX));
    let place = usize::try_from(descriptor).ok();
    let Some(word) = place.and_then(|place| values.get(place)) else {
        return false;
    };
    word.store(value, Ordering::SeqCst);
    true
}

/// The value that a signal of this descriptor stands for.
///
/// # Signal safety
/// Two atomic loads.
pub(super) fn value_of(descriptor: i32) -> Option<u64> {
    let word = VALUES.get()?.get(usize::try_from(descriptor).ok()?)?;
    Some(word.load(Ordering::SeqCst)).filter(|value| *value != 0)
}

//! The atomics of the ring: the one place to swap them for a model checker's.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};

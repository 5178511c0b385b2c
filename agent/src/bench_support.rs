//! What benches need and nobody else.

use crate::profiler::Profiler;
use crate::sampler::shared;

/// The value that the signals of the profiler's first timer carry; 0 where it has none.
pub fn signal_value(profiler: &Profiler) -> u64 {
    profiler.signal_value()
}

/// What the unwind tables of this process hold: functions, rows, bytes, and descriptions that make
/// no sense. Only while nothing else starts or stops.
pub fn unwind_tables(_running: &Profiler) -> (usize, usize, usize, usize) {
    let extent = shared::published().extent();
    (extent.functions, extent.rows, extent.bytes, extent.faults)
}

//! Aggregates: windows of samples, and their exact sums by hour and by day.
//!
//! A window arrives and becomes one *delta* row, never changed. Compaction replaces the deltas of
//! an hour by one *part* of the hour and one of the day, in one atomic write; parts are merged
//! among themselves the same way. So at every instant each sample stands once in the hours
//! (deltas and hour parts) and once in the days (deltas and day parts), and a query adds up one
//! or the other.

pub mod query;
mod row;
pub mod window;

pub use row::{Row, RowError, Tallies};
pub(crate) use row::{Sum, is_readable, pack, unpack, unpacking_bytes};

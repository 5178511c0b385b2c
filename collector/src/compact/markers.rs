//! Markers of windows that nobody can send again.

use std::ops::ControlFlow;

use flashlamp_profile::Timestamp;

use super::{CompactError, snapshot};
use crate::aggregate::query::QueryError;
use crate::aggregate::window::read_marker;
use crate::limits;
use crate::store::keys;
use crate::store::{Batch, Key, Store, WriteError};
use crate::time::Hour;

/// Deletes the markers of windows that would be refused as late by now. Returns how many.
///
/// A marker stands under the hour that its window claims. Those in the past go by that hour;
/// those that claim no hour, or one ahead of now, go by the time they were written, and have to be
/// read for that: once an hour is often enough.
///
/// # Errors
/// As [`CompactError`].
pub fn sweep_markers(
    store: &dyn Store,
    now: Timestamp,
    go_on: &dyn Fn() -> bool,
) -> Result<usize, CompactError> {
    let mut count = 0;
    while go_on() {
        let gone = old_markers(store, now)?;
        if gone.is_empty() {
            break;
        }
        count += gone.len();
        let mut batch = Batch::new();
        for key in gone {
            batch.delete_if_present(key);
        }
        match store.write(batch)?.wait() {
            // Another collector was faster: look again at what is left.
            Ok(()) | Err(WriteError::Absent { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(count)
}

/// The first of the markers that may go.
fn old_markers(store: &dyn Store, now: Timestamp) -> Result<Vec<Key>, QueryError> {
    let old = Hour::of(now).minus(limits::MARKER_HOURS);
    let mut gone = Vec::new();
    let view = snapshot(store)?;
    let past = keys::markers(Hour::from_number(0), old);
    view.scan_keys(&past, &mut |key| take_marker(&mut gone, key))?;
    let ahead = keys::markers_from(Hour::of(now).plus(1));
    view.scan(&ahead, &mut |key, value| {
        let written = read_marker(value).map(|(at, _)| Hour::of(at));
        if written.is_some_and(|written| written < old) {
            return take_marker(&mut gone, key);
        }
        ControlFlow::Continue(())
    })?;
    Ok(gone)
}

fn take_marker(gone: &mut Vec<Key>, key: &[u8]) -> ControlFlow<()> {
    gone.push(Key::from_scan(key));
    if gone.len() < 1_000 {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}

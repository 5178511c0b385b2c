//! Windows of a continuous session, cut on UTC multiples of their length.

use std::sync::Arc;

use flashlamp_profile::Timestamp;

#[cfg(feature = "http")]
use super::session::Totals;
use crate::clock::{self, Anchor};
#[cfg(feature = "http")]
use crate::collection::Losses;
use crate::collection::{Chunk, Collection};

/// Takes windows as they end. Called with the registry locked: it must only queue.
pub(crate) trait WindowSink: Send + Sync + std::fmt::Debug {
    /// One window, from its first to its last instant.
    fn take(&self, chunk: Chunk, from: Timestamp, until: Timestamp);
}

/// The window that is being filled.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) sink: Arc<dyn WindowSink>,
    length_ns: u64,
    from: Timestamp,
    until: Timestamp,
    /// The end on the monotonic clock, by which samples are told apart.
    end_ns: u64,
    /// Samples that belong to the next window.
    pub(super) next: Option<Collection>,
}

impl Window {
    /// Begins a window now; it ends at the next UTC multiple of `length_ns`.
    pub(crate) fn begin(sink: Arc<dyn WindowSink>, length_ns: u64, now: Anchor) -> Self {
        let mut window = Self {
            sink,
            length_ns: length_ns.max(1),
            from: now.utc,
            until: now.utc,
            end_ns: now.monotonic_ns,
            next: None,
        };
        window.advance(now);
        window
    }

    fn advance(&mut self, now: Anchor) {
        let utc = now.utc.as_nanos();
        let into = utc % self.length_ns;
        let rest = self.length_ns - into;
        self.from = now.utc;
        self.until = Timestamp::from_nanos(utc.saturating_add(rest));
        self.end_ns = now.monotonic_ns.saturating_add(rest);
    }

    /// Whether a sample of this time belongs to the next window.
    pub(super) fn is_past(&self, time_ns: u64) -> bool {
        time_ns >= self.end_ns
    }

    /// Whether the window is over. Ask after all rings were drained.
    pub(super) fn is_over(&self, now_ns: u64) -> bool {
        now_ns >= self.end_ns
    }
}

impl super::Session {
    /// Hands the present window to its sink: the whole of it where it is over, what there is
    /// where `cut_now` is set.
    pub(crate) fn seal_window(&mut self, cut_now: bool) {
        let Some(window) = &mut self.window else {
            return;
        };
        let over = window.is_over(clock::monotonic_ns());
        if !over && !cut_now {
            return;
        }
        let now = Anchor::now();
        let from = window.from;
        let until = if over {
            window.until
        } else {
            now.utc.max(from)
        };
        let next = window
            .next
            .take()
            .unwrap_or_else(|| self.collection.successor());
        window.advance(now);
        let sink = Arc::clone(&window.sink);
        let chunk = self.take_chunk_for(next, now);
        sink.take(chunk, from, until);
    }

    /// Hands over all that a session which has ended still has. The window may have ended since
    /// the last round of the drain, so that the last samples are the next window's.
    #[cfg(feature = "http")]
    pub(crate) fn seal_rest(&mut self) {
        self.seal_window(true);
        if !self.collected().is_zero() {
            self.seal_window(true);
        }
    }

    /// What handlers counted, and all losses, from one reading of the handlers' counters: the
    /// two agree even while handlers run.
    #[cfg(feature = "http")]
    pub(crate) fn books(&self) -> (Totals, Losses) {
        // The collections' losses do not change while the registry is locked; those of handlers
        // are taken from `totals`.
        let mut lost = self.losses_with_next();
        let totals = self.totals();
        lost.extend(totals.counts.losses());
        lost.retain(|_, tally| !tally.is_zero());
        (totals, lost)
    }

    /// Whether its window is over.
    pub(super) fn is_window_over(&self, now_ns: u64) -> bool {
        let window = self.window.as_ref();
        window.is_some_and(|window| window.is_over(now_ns))
    }

    /// The collection that a sample of this time goes to.
    pub(super) fn collection_for(&mut self, time_ns: u64) -> &mut Collection {
        match &mut self.window {
            Some(window) if window.is_past(time_ns) => window
                .next
                .get_or_insert_with(|| self.collection.successor()),
            _ => &mut self.collection,
        }
    }
}

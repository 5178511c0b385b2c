//! What waits for the collector: in which order, for how long, and how much of it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flashlamp_profile::{Timestamp, losses};

use super::item::{Item, Kind};
use super::ledger::{Books, Ledger, Verdict};
use crate::clock;
use crate::collection::{Chunk, Losses};
use crate::limits;
use crate::registry::WindowSink;
use crate::sys;

#[derive(Debug, Default)]
struct State {
    /// In the order in which they are due, so that no request waits behind a window that is
    /// sent later.
    items: VecDeque<Item>,
    /// Of all items: see [`Item::size`].
    size: usize,
    sending: bool,
    books: Books,
    sequence: u64,
    windows: u64,
    /// Callers of [`Queue::flush`] that wait. While there are any, everything is sent now: no
    /// spreading, no waiting after failures.
    urgent_count: usize,
    /// No more pieces; give up at this time (monotonic).
    closed_at_ns: Option<u64>,
    /// The time is up, or the export has ended: nothing is sent any more.
    abandoned: bool,
}

/// The queue; see the module.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    window_ns: u64,
}

impl Queue {
    pub(crate) fn new(window: Duration) -> Self {
        let window_ns = clock::nanos(window);
        Self {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            window_ns,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a piece; the oldest make room and are counted.
    pub(crate) fn push(&self, kind: Kind, chunk: Chunk, delay: Duration) {
        let mut state = self.lock();
        state.sequence += 1;
        let item = Item {
            kind,
            sequence: state.sequence,
            carried: Losses::new(),
            stored: chunk.stored(),
            ready_ns: clock::monotonic_ns().saturating_add(clock::nanos(delay)),
            chunk,
        };
        state.books.wait_for(&item);
        if state.abandoned {
            state.books.lose(&item, losses::COLLECTOR_UNREACHABLE);
            return;
        }
        state.size = state.size.saturating_add(item.size());
        let not_later = |waiting: &Item| waiting.ready_ns <= item.ready_ns;
        let place = state.items.partition_point(not_later);
        state.items.insert(place, item);
        while state.items.len() > limits::QUEUE_ITEMS_MAX
            || (state.size > limits::QUEUE_SIZE_MAX && state.items.len() > 1)
        {
            if let Some(oldest) = state.pop_oldest() {
                state.books.lose(&oldest, losses::QUEUE_FULL);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The next piece, when it is due; `None` when the queue is closed and empty.
    pub(super) fn next(&self) -> Option<Item> {
        let mut state = self.lock();
        loop {
            if state.abandoned {
                return None;
            }
            let hurry = state.is_urgent();
            let wait = match state.items.front() {
                None if state.closed_at_ns.is_some() => {
                    // Nobody comes for a piece that is pushed from here on.
                    state.abandoned = true;
                    return None;
                }
                None => Duration::MAX,
                Some(_) if hurry => Duration::ZERO,
                Some(item) => {
                    Duration::from_nanos(item.ready_ns.saturating_sub(clock::monotonic_ns()))
                }
            };
            if !wait.is_zero() {
                let wait = wait.min(Duration::from_secs(3600));
                let waited = self.changed.wait_timeout(state, wait);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let item = state.pop_to_send()?;
            state.sending = !item.is_quiet();
            self.changed.notify_all();
            if state.sending {
                return Some(item);
            }
        }
    }

    /// Enters what became of a piece into the books.
    pub(super) fn settle(&self, item: &Item, verdict: Verdict) {
        let mut state = self.lock();
        if !state.abandoned {
            state.sending = false;
            state.books.settle(item, verdict);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// How long the present piece may still take; `None` when it is to be given up.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let state = self.lock();
        if state.abandoned {
            return None;
        }
        let Some(end) = state.closed_at_ns else {
            return Some(limits::HTTP_TIMEOUT);
        };
        let left = end
            .checked_sub(clock::monotonic_ns())
            .filter(|left| *left > 0)?;
        Some(Duration::from_nanos(left).min(limits::HTTP_TIMEOUT))
    }

    /// Waits before the next attempt; shorter when somebody waits for the queue to empty.
    pub(super) fn pause(&self, wait: Duration) {
        let end = clock::monotonic_ns().saturating_add(clock::nanos(wait));
        let mut state = self.lock();
        loop {
            let hurry = state.is_urgent();
            let now = clock::monotonic_ns();
            let left = Duration::from_nanos(end.saturating_sub(now));
            if left.is_zero() || state.abandoned {
                return;
            }
            if hurry {
                // Never faster than the first backoff, whoever is in a hurry.
                let short = left.min(limits::BACKOFF_MIN);
                drop(
                    self.changed
                        .wait_timeout_while(state, short, |state| !state.abandoned),
                );
                return;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends without delay until the queue is empty or the time is up; tells whether it is
    /// empty.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        let mut state = self.lock();
        state.urgent_count += 1;
        self.changed.notify_all();
        let busy = |state: &mut State| state.sending || !state.items.is_empty();
        let waited = self.changed.wait_timeout_while(state, timeout, busy);
        let (mut state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        state.urgent_count = state.urgent_count.saturating_sub(1);
        !result.timed_out()
    }

    /// As [`flush`](Self::flush), then ends the export: what is left is counted as lost.
    pub(crate) fn close(&self, timeout: Duration) {
        let mut state = self.lock();
        let end = clock::monotonic_ns().saturating_add(clock::nanos(timeout));
        state.closed_at_ns = Some(end);
        self.changed.notify_all();
        let busy = |state: &mut State| state.sending || !state.items.is_empty();
        let waited = self.changed.wait_timeout_while(state, timeout, busy);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.abandoned = true;
        while let Some(item) = state.pop() {
            state.books.lose(&item, losses::COLLECTOR_UNREACHABLE);
        }
        // With what is still being sent.
        state.books.give_up();
        drop(state);
        self.changed.notify_all();
    }

    /// Changes the books.
    pub(crate) fn enter(&self, change: impl FnOnce(&mut Ledger)) {
        change(&mut self.lock().books.ledger);
    }

    /// The books as they stand.
    pub(crate) fn ledger(&self) -> Ledger {
        self.lock().books.ledger.clone()
    }
}

impl State {
    fn is_urgent(&self) -> bool {
        self.urgent_count > 0 || self.closed_at_ns.is_some()
    }

    /// The next piece; a window takes along what is to be told of earlier ones.
    fn pop_to_send(&mut self) -> Option<Item> {
        let mut item = self.pop()?;
        if matches!(item.kind, Kind::Window { .. }) {
            item.carried = self.books.take_carried();
        }
        Some(item)
    }

    /// The piece that was queued first, whenever it is due.
    fn pop_oldest(&mut self) -> Option<Item> {
        let places = 0..self.items.len();
        self.take(places.min_by_key(|place| self.items.get(*place).map(|item| item.sequence))?)
    }

    fn pop(&mut self) -> Option<Item> {
        self.take(0)
    }

    fn take(&mut self, place: usize) -> Option<Item> {
        let item = self.items.remove(place)?;
        self.size = self.size.saturating_sub(item.size());
        Some(item)
    }
}

impl WindowSink for Queue {
    fn take(&self, chunk: Chunk, from: Timestamp, until: Timestamp) {
        let mut state = self.lock();
        state.windows += 1;
        // Spread over the next window, so that a fleet does not arrive in one second; the
        // first goes soon, so that somebody who just started sees something.
        let spread = if state.windows == 1 {
            self.window_ns.min(1_000_000_000)
        } else {
            self.window_ns
        };
        drop(state);
        let delay = Duration::from_nanos(sys::random_u64() % spread.max(1));
        self.push(Kind::Window { from, until }, chunk, delay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::tests::{chunk, request};

    fn push_request(queue: &Queue) {
        queue.push(request(""), chunk(), Duration::ZERO);
    }

    #[test]
    fn stack_nodes_count_towards_the_bound_on_what_waits() {
        let queue = Queue::new(Duration::from_secs(10));
        for _ in 0..3 {
            push_request(&queue);
        }
        assert_eq!(queue.lock().size, 6, "a sample and a node each");
        queue.lock().size = limits::QUEUE_SIZE_MAX;
        push_request(&queue);
        assert_eq!(queue.lock().items.len(), 3, "the oldest made room");
    }

    #[test]
    fn piece_that_comes_after_the_export_ended_does_not_wait() {
        let queue = Queue::new(Duration::from_secs(10));
        // As `close` leaves it while it waits.
        queue.lock().closed_at_ns = Some(u64::MAX);
        assert!(queue.next().is_none());
        push_request(&queue);
        assert!(queue.lock().items.is_empty());
    }

    #[test]
    fn flush_that_is_over_does_not_end_the_hurry_of_another() {
        let queue = Queue::new(Duration::from_secs(10));
        queue.lock().urgent_count += 1;
        assert!(queue.flush(Duration::from_secs(20)));
        assert!(queue.lock().is_urgent());
    }
}

//! A request that is over: from its scope to the export.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use flashlamp_profile::{labels, losses};

use crate::agent::Shared;
use crate::clock::Anchor;
use crate::export::Kind;
use crate::process::Process;
use crate::registry::Registry;
use crate::sampler::slot::Counts;
use crate::sampler::wall::Pools;

/// A finished request whose last samples may still be in rings.
#[derive(Debug)]
pub(crate) struct EndedRequest {
    pub(super) shared: Arc<Shared>,
    pub(super) session: u32,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) entry: u32,
    pub(super) start: Anchor,
    pub(super) end_ns: u64,
    /// Beginning and length of the times without a thread.
    pub(super) gaps: Vec<(u64, u64)>,
    /// Counted by handlers, poll by poll.
    pub(super) counts: Counts,
    /// Time in polls that no sample was charged with.
    pub(super) pools: Pools,
}

impl Process {
    /// Leaves a finished request to the drain. Takes only a lock of its own.
    pub(super) fn end_request(&self, request: EndedRequest) {
        self.ended_requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
        self.wake.notify_all();
    }

    /// Requests that ended; take them before the rings are drained, finish them after.
    pub(crate) fn take_ended_requests(&self) -> Vec<EndedRequest> {
        std::mem::take(
            &mut self
                .ended_requests
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl EndedRequest {
    /// Closes the request's books and queues its profile. The rings have been drained.
    pub(crate) fn finish(self, registry: &mut Registry) {
        let Some(mut session) = registry.sessions.remove(&self.session) else {
            return;
        };
        let drained = session.totals().drained;
        let unaccounted = self.counts.written().saturating_sub(drained);
        let mut chunk = session.take_chunk();
        for (start_ns, len_ns) in self.gaps {
            chunk.collection.add_gap(start_ns, len_ns, self.entry);
        }
        if !self.pools.is_empty() {
            let collection = &mut chunk.collection;
            collection.add_left_over(self.end_ns, self.pools, None, self.entry);
        }
        let lost = self.counts.losses().into_iter();
        for (reason, tally) in lost.chain([(losses::UNACCOUNTED, unaccounted)]) {
            if !tally.is_zero() {
                *chunk.losses.entry(reason).or_default() += tally;
            }
        }
        chunk.start = self.start;
        chunk.duration_ns = self.end_ns.saturating_sub(self.start.monotonic_ns);
        let taken = self.counts.taken;
        self.shared.queue.enter(|ledger| {
            ledger.requests_taken += taken;
            ledger.add_ended_losses(&chunk.losses);
        });
        let names = self
            .shared
            .process
            .entries
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let entry = names
            .name(self.entry)
            .unwrap_or(labels::NO_ENTRY)
            .to_owned();
        drop(names);
        let kind = Kind::Request {
            id: self.id,
            entry,
            name: self.name,
        };
        self.shared.queue.push(kind, chunk, Duration::ZERO);
        self.shared.profiled_requests.fetch_sub(1, Ordering::AcqRel);
    }
}

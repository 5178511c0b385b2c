//! One round of the drain.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::TrySendError;
use std::sync::{Arc, PoisonError};

use super::{Registry, Session};
use crate::clock;
use crate::collection::Resolver;
use crate::limits;
use crate::process::Process;
use crate::ring::record;
use crate::sampler::slot::{ThreadSlot, take_written};

impl Registry {
    /// Whether it is time to look at the list of threads again.
    pub(crate) fn is_scan_due(&self) -> bool {
        let some_sample_all = self.sessions.values().any(Session::samples_all_threads);
        let pause = if some_sample_all {
            self.scan_pause
        } else {
            limits::THREAD_SCAN_PAUSE_MAX
        };
        elapsed(self.threads_scanned_ns, clock::monotonic_ns(), pause)
    }

    /// Whether it is time to compare the unwind tables with what is loaded.
    pub(crate) fn is_module_look_due(&self) -> bool {
        let pause = limits::MODULE_CHECK_INTERVAL;
        elapsed(self.modules_checked_ns, clock::monotonic_ns(), pause)
    }

    /// Empties the rings, hands on what is due.
    pub(crate) fn cycle(&mut self) {
        self.drained_any = false;
        self.look_at_maps();
        #[cfg(feature = "tower")]
        let ended = Process::current().take_ended_requests();
        self.drain_rings();
        self.look_at_pauses();
        self.tell_waits_where_due();
        for session in self.sessions.values_mut() {
            session.seal_window(false);
            session.flush_if_due();
        }
        #[cfg(feature = "tower")]
        for request in ended {
            request.finish(self);
        }
        self.free_tables();
    }

    /// Moves every record to its session's collection.
    pub(crate) fn drain_rings(&mut self) {
        let mut jit = Process::current()
            .jit
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let resolver = Resolver {
            modules: &self.modules,
            jit: &jit,
        };
        let began = clock::monotonic_ns();
        let written = take_written();
        self.drained_any |= !written.is_empty();
        for index in written {
            let tid = ThreadSlot::at(index).map(|slot| slot.tid.load(Ordering::SeqCst));
            let Some((tid, thread)) = tid.and_then(|tid| self.threads.get_key_value(&tid)) else {
                continue;
            };
            let of = (index, (*tid, &thread.name));
            while thread.slot.ring.pop(&mut self.record) {
                take_in(&self.record, of, &mut self.sessions, &resolver);
            }
        }
        // What was sampled before the last round began is drained by now: forget what ended
        // before it.
        jit.forget_before(self.drained_ns);
        self.drained_ns = began;
    }
}

/// Adds a record to its session; one of a session that has ended is left out, and that
/// session's books have told so.
fn take_in(
    record: &[u64],
    of: (u32, (i32, &Arc<str>)),
    sessions: &mut BTreeMap<u32, Session>,
    resolver: &Resolver<'_>,
) {
    if let Some((header, addresses)) = record::parse(record)
        && let Some(session) = sessions.get_mut(&header.session)
    {
        session.add(&header, addresses, of, resolver);
    }
}

impl Session {
    /// Whether there are enough samples for the flush callback.
    pub(super) fn is_flush_due(&self) -> bool {
        let flush = self.flush_at.as_ref();
        flush.is_some_and(|flush| self.collection.samples.len() >= flush.samples)
    }

    /// Hands the samples, when there are enough, to the thread that runs the flush callback.
    fn flush_if_due(&mut self) {
        let Some(flush) = self.flush_at.as_ref().filter(|_| self.is_flush_due()) else {
            return;
        };
        let to = flush.to.clone();
        let chunk = self.take_chunk();
        // The callback is slow and its queue full, or its thread is gone: keep collecting, up to
        // the bound, from where on it counts as lost.
        if let Err(TrySendError::Full(chunk) | TrySendError::Disconnected(chunk)) =
            to.try_send(chunk)
        {
            self.give_back(chunk);
        }
    }
}

fn elapsed(since_ns: u64, now_ns: u64, interval: std::time::Duration) -> bool {
    now_ns.saturating_sub(since_ns) >= clock::nanos(interval)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use crate::collection::RawSample;
    use crate::registry::{FlushAt, Plan, Session, SessionThreads};
    use crate::{Clock, limits};

    #[test]
    fn samples_that_nobody_takes_stay_in_the_session() {
        let (to, from) = sync_channel(1);
        let mut session = Session::new(
            1,
            Plan {
                clock: Clock::Cpu,
                period_ns: 1_000_000,
                depth_max: limits::DEPTH_DEFAULT,
                threads: SessionThreads::None,
                samples_max: 10,
                flush_at: Some(FlushAt { samples: 1, to }),
                window: None,
            },
        );
        let sample = RawSample {
            time_ns: 1,
            wall_ns: 1_000_000,
            cpu_ns: 1_000_000,
            stack: None,
            events: 1,
            thread: None,
            entry: 0,
        };
        session.collection.samples.push(sample);
        session.flush_if_due();
        assert_eq!(session.collection.samples.len(), 0, "sent");
        session.collection.samples.push(sample);
        session.flush_if_due();
        assert_eq!(session.collection.samples.len(), 1, "the queue is full");
        drop(from);
        session.flush_if_due();
        assert_eq!(session.collection.samples.len(), 1, "the thread is gone");
    }
}

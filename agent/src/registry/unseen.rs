//! CPU time that no timer saw: of threads that were not found yet, or never.
//!
//! Threads are found by looking at the list of them, now and then. What runs in between shows in the
//! clock of the process, which counts all threads, and in no thread's that has a timer.

use super::Registry;
use super::session::SessionThreads;
use crate::clock;
use crate::sampler::threads;
use crate::sampler::wall::Reading;

/// What is known of it for one session.
#[derive(Debug)]
pub(super) struct Unseen {
    /// The clock of the process without our own threads, when the session began.
    began_ns: u64,
    /// CPU time of threads that had a timer and are gone, as it was counted.
    of_gone_ns: u64,
    /// Told so far, in periods.
    told: u64,
}

impl Unseen {
    pub(super) fn begin() -> Self {
        Self {
            began_ns: host_cpu_ns(),
            of_gone_ns: 0,
            told: 0,
        }
    }

    /// A thread that had a timer is gone: what its handler counted is what is known of it.
    pub(super) fn thread_is_gone(&mut self, counted_ns: u64) {
        self.of_gone_ns = self.of_gone_ns.saturating_add(counted_ns);
    }
}

/// CPU time of the process without our own threads.
fn host_cpu_ns() -> u64 {
    clock::process_cpu_ns().saturating_sub(threads::own_cpu_ns())
}

impl Registry {
    /// Counts what no timer of a session of all threads saw, as lost.
    pub(super) fn note_unseen(&mut self, session: u32) {
        let Some(session) = self.sessions.get_mut(&session) else {
            return;
        };
        if session.threads != SessionThreads::All {
            return;
        }
        // Before the threads' clocks, which go on: what is found is rather too little.
        let all_ns = host_cpu_ns().saturating_sub(session.unseen.began_ns);
        let of_timer = |one: &super::SessionTimer| {
            let now = Reading::of(one.tid);
            now.map_or(0, |now| now.cpu_ns.saturating_sub(one.armed_cpu_ns))
        };
        let of_timers: u64 = session.timers.iter().map(of_timer).sum();
        let seen_ns = of_timers.saturating_add(session.unseen.of_gone_ns);
        let period_ns = session.period_ns.max(1);
        let periods = all_ns.saturating_sub(seen_ns) / period_ns;
        // Each thread's beginning and end are somewhere within a period.
        if periods < 2 * (session.timers.len() as u64 + 1) {
            return;
        }
        let news = periods.saturating_sub(session.unseen.told);
        session.unseen.told = session.unseen.told.saturating_add(news);
        session.retired.add_unseen(news);
    }
}

//! From a finished window or request to the collector.
//!
//! One thread (`flashlamp-export`) takes pieces from a bounded queue, names their frames,
//! encodes and posts them. What cannot be delivered becomes a loss with a reason, and travels
//! in the next window that can be sent, so that the collector knows what it never saw.

mod http;
mod item;
mod ledger;
mod queue;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

#[cfg(feature = "tower")]
pub(crate) use self::http::random_hex;
pub(crate) use self::http::{Collector, checked_url};
pub(crate) use self::item::{Item, Kind};
pub(crate) use self::ledger::Ledger;
use self::ledger::Verdict;
pub(crate) use self::queue::Queue;
use crate::error::StartError;
use crate::process::Process;
use crate::resolve::{Detail, profile_of};
use crate::sampler::threads::OwnThread;
use flashlamp_profile::encode;

/// Starts the export thread. It ends when the queue is closed.
pub(crate) fn spawn(
    process: &'static Process,
    queue: Arc<Queue>,
    collector: Collector,
) -> Result<(), StartError> {
    let name = "flashlamp-export";
    let body = move || {
        let _own = OwnThread::enter();
        while let Some(item) = queue.next() {
            // A fault must not reach the host; the piece it happened on is counted as lost.
            let sent = catch_unwind(AssertUnwindSafe(|| {
                deliver(process, &queue, &collector, &item)
            }));
            queue.settle(&item, sent.unwrap_or(Verdict::Fault));
        }
    };
    // The thread is not joined: it may be in an exchange with a collector that hangs, and
    // stopping is bounded. The queue tells when it is done.
    match std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
    {
        Ok(_detached) => Ok(()),
        Err(source) => Err(StartError::ThreadRefused { name, source }),
    }
}

fn deliver(process: &Process, queue: &Queue, collector: &Collector, item: &Item) -> Verdict {
    let (name, timeline) = match &item.kind {
        Kind::Window { .. } => ("", false),
        Kind::Request { name, .. } => (name.as_str(), true),
    };
    let detail = Detail {
        name,
        timeline,
        threads: false,
        entries: true,
        more_losses: &item.carried,
    };
    let body = encode::pprof(&profile_of(process, &item.chunk, detail));
    let mut failures = 0;
    loop {
        let Some(time_left) = queue.time_left() else {
            return Verdict::Unreachable;
        };
        match collector.post(item, &body, time_left) {
            http::Answer::Stored => return Verdict::Stored,
            http::Answer::Refused => return Verdict::Refused,
            http::Answer::Later(wait) => queue.pause(http::backoff(failures).max(wait)),
            http::Answer::Failed => queue.pause(http::backoff(failures)),
        }
        failures += 1;
    }
}

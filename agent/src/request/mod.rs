//! One request: the mark on the threads that poll it, and its profile where it asked for one.
//!
//! A request's future is polled now on this thread, now on that, and in between by none. In
//! each poll the thread carries the request's entry point, so that continuous samples can be
//! told apart. A profiled request also arms, in each poll, the polling thread's own wall timer
//! with what was left of the period when the last poll ended: the phase is carried, so samples
//! are spaced by time on a thread, whichever thread. The time between polls becomes samples of
//! event count 0 with the frame `[not on a thread]`.
//!
//! A profile lasts five minutes at most (`limits::REQUEST_DURATION_MAX`): with the first poll
//! after that it is over and is sent, and the request goes on without one.

mod body;
mod ended;
mod layer;
mod local;
mod profiled;
#[cfg(test)]
mod tests;
mod toggle;

use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use self::body::ProfiledBody;
pub(crate) use self::ended::EndedRequest;
pub use self::layer::{EntryPoint, RequestFuture, RequestLayer, RequestService};
use self::local::Local;
use self::profiled::{ArmedPoll, ProfiledRequest};
use crate::agent::Shared;
use crate::sampler::slot::ThreadSlot;

/// What belongs to one request, from the layer's `call` to the end or drop of its body.
#[derive(Debug)]
pub(crate) struct Scope {
    shared: Arc<Shared>,
    /// False in a forked child that serves through its parent's layer: the parent's locks may
    /// be held by threads that are not there, and its slots are not this process's.
    active: bool,
    entry: u32,
    profiled: Option<Box<ProfiledRequest>>,
}

impl Scope {
    fn new(shared: Arc<Shared>, entry: &str) -> Self {
        let active = shared.process.is_current();
        let entry = if active {
            shared.process.entry_id(entry)
        } else {
            0
        };
        Self {
            shared,
            active,
            entry,
            profiled: None,
        }
    }

    /// Marks the calling thread until the guard is dropped, which has to be on this thread.
    fn enter(&mut self) -> PollGuard<'_> {
        if !self.active {
            return PollGuard {
                mark: None,
                _armed: None,
            };
        }
        let profiled = self.profiled.as_deref();
        if profiled.is_some_and(ProfiledRequest::is_too_long) {
            self.end();
        }
        let slot = Local::slot(self.shared.process);
        let previous = slot.map(|slot| slot.entry.swap(self.entry, Ordering::Relaxed));
        let armed = self.profiled.as_deref_mut().map(ProfiledRequest::enter);
        PollGuard {
            mark: slot.zip(previous),
            _armed: armed,
        }
    }

    /// The request or its profile is over: the profile, where it has one, goes its way.
    fn end(&mut self) {
        if let Some(profiled) = self.profiled.take() {
            profiled.end(&self.shared);
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.end();
    }
}

/// One poll; see [`Scope::enter`].
#[derive(Debug)]
struct PollGuard<'s> {
    mark: Option<(&'static ThreadSlot, u32)>,
    _armed: Option<ArmedPoll<'s>>,
}

impl Drop for PollGuard<'_> {
    fn drop(&mut self) {
        if let Some((slot, previous)) = self.mark {
            slot.entry.store(previous, Ordering::Relaxed);
        }
    }
}

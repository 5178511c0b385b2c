//! The profiles that are being taken: few at once, each on a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use flashlamp_profile::encode;

use super::answer::Refusal;
use super::query::Asked;
use crate::clock;
use crate::collection::{Chunk, Losses};
use crate::drain::start_session;
use crate::error::StartError;
use crate::limits;
use crate::process::Process;
use crate::registry::{Plan, SessionThreads};
use crate::resolve::{Detail, profile_of};
use crate::sampler::threads::OwnThread;

/// The places for profiles, and who has them.
#[derive(Debug)]
pub(crate) struct Pulls {
    process: &'static Process,
    state: Mutex<State>,
    /// Something that ends a profile early has happened.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// For each profile that is being taken when it will be over, on the monotonic clock.
    ends_ns: Vec<u64>,
    is_stopped: bool,
}

impl Pulls {
    pub(crate) fn new(process: &'static Process) -> Self {
        Self {
            process,
            state: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// Begins no more profiles, and ends those that are being taken: their requests are answered
    /// with what there is. Not in a forked child, where the lock may be held by a thread that is
    /// not there.
    pub(crate) fn stop(&self) {
        self.lock().is_stopped = true;
        self.ended.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many profiles are being taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.lock().ends_ns.len()
    }

    fn admit(self: &Arc<Self>, asked: Asked) -> Result<Place, Refusal> {
        let now = clock::monotonic_ns();
        let mut state = self.lock();
        if state.is_stopped {
            return Err(Refusal::Stopped);
        }
        if state.ends_ns.len() >= limits::PULLS_MAX {
            let first = state.ends_ns.iter().min().copied().unwrap_or(now);
            let left = Duration::from_nanos(first.saturating_sub(now));
            let seconds_left = left.as_secs().saturating_add(1);
            return Err(Refusal::TooMany { seconds_left });
        }
        let end_ns = now.saturating_add(clock::nanos(asked.length));
        state.ends_ns.push(end_ns);
        Ok(Place {
            pulls: Arc::clone(self),
            end_ns,
        })
    }
}

/// A place for one profile, until it is dropped.
#[derive(Debug)]
struct Place {
    pulls: Arc<Pulls>,
    end_ns: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.pulls.lock();
        let place = state.ends_ns.iter().position(|one| *one == self.end_ns);
        if let Some(place) = place {
            state.ends_ns.swap_remove(place);
        }
    }
}

/// One profile, on the side of who asked. Dropped before it is there, it is not taken further.
#[derive(Debug)]
pub(super) struct Pull {
    pulls: Arc<Pulls>,
    shared: Arc<Mutex<Progress>>,
}

/// Where a profile is. Its lock comes after that of [`Pulls`].
#[derive(Debug)]
enum Progress {
    /// Who waits for it is woken by this.
    Running(Option<Waker>),
    Cancelled,
    Ended(Result<Vec<u8>, Refusal>),
}

impl Pull {
    /// Begins a profile, which is over after the time that was asked for.
    pub(super) fn begin(pulls: &Arc<Pulls>, asked: Asked) -> Result<Self, Refusal> {
        if !pulls.process.is_current() {
            return Err(Refusal::Stopped);
        }
        let place = pulls.admit(asked)?;
        let shared = Arc::new(Mutex::new(Progress::Running(None)));
        let of_thread = Arc::clone(&shared);
        let name = "flashlamp-pull";
        let body = move || {
            let _own = OwnThread::enter();
            // A fault must not reach the host, nor leave who asked waiting.
            let taken = catch_unwind(AssertUnwindSafe(|| take(&place, asked, &of_thread)));
            // First, so that who has an answer finds the place free.
            drop(place);
            settle(&of_thread, taken.unwrap_or(Err(Refusal::Failed)));
        };
        let spawned = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body);
        spawned.map_err(|source| not_started(&StartError::ThreadRefused { name, source }))?;
        Ok(Self {
            pulls: Arc::clone(pulls),
            shared,
        })
    }

    /// The file when it is there; `context` is woken then.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Result<Vec<u8>, Refusal>> {
        let mut progress = progress(&self.shared);
        match &mut *progress {
            Progress::Running(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            Progress::Cancelled => Poll::Pending,
            Progress::Ended(taken) => Poll::Ready(std::mem::replace(taken, Err(Refusal::Failed))),
        }
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        // In a forked child the thread is not there, and may have held a lock.
        if !self.pulls.process.is_current() {
            return;
        }
        // The thread looks at its progress and waits under this lock: it does not miss the call.
        let state = self.pulls.lock();
        let before = std::mem::replace(&mut *progress(&self.shared), Progress::Cancelled);
        drop(state);
        self.pulls.ended.notify_all();
        // The host's waker goes without our locks.
        drop(before);
    }
}

fn progress(shared: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_cancelled(shared: &Mutex<Progress>) -> bool {
    matches!(*progress(shared), Progress::Cancelled)
}

fn settle(shared: &Mutex<Progress>, taken: Result<Vec<u8>, Refusal>) {
    let before = std::mem::replace(&mut *progress(shared), Progress::Ended(taken));
    // The host's waker runs without our lock.
    if let Progress::Running(Some(waker)) = before {
        waker.wake();
    }
}

fn not_started(error: &StartError) -> Refusal {
    let why = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    Refusal::NotStarted { why }
}

/// A session that ends with this, however that comes about.
struct Running {
    process: &'static Process,
    session: u32,
}

impl Running {
    fn end(&self) -> Option<Chunk> {
        let session = self.process.lock().finish(self.session);
        session.map(|mut session| session.take_chunk())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.process.lock().finish(self.session);
    }
}

/// Takes a profile, on the thread that is there for it.
fn take(place: &Place, asked: Asked, shared: &Mutex<Progress>) -> Result<Vec<u8>, Refusal> {
    let process = place.pulls.process;
    let plan = Plan {
        clock: asked.clock,
        period_ns: clock::nanos(asked.period),
        depth_max: limits::DEPTH_DEFAULT,
        threads: SessionThreads::All,
        samples_max: limits::PULL_SAMPLES_MAX,
        flush_at: None,
        window: None,
    };
    let session = start_session(process, plan).map_err(|error| not_started(&error))?;
    let running = Running { process, session };
    wait(place, asked.length, shared);
    let chunk = running.end().ok_or(Refusal::Failed)?;
    if is_cancelled(shared) {
        // Nobody listens; naming would cost the host for nothing.
        return Err(Refusal::Stopped);
    }
    // As windows are: without times, which nobody adds up, and with entry points.
    let detail = Detail {
        name: "",
        timeline: false,
        threads: false,
        entries: true,
        more_losses: &Losses::new(),
    };
    Ok(encode::pprof(&profile_of(process, &chunk, detail)))
}

/// Waits until the time is over, nobody waits for the profile any more, or the agent stops.
fn wait(place: &Place, length: Duration, shared: &Mutex<Progress>) {
    // From here: starting took its time.
    let until = clock::monotonic_ns().saturating_add(clock::nanos(length));
    let mut state = place.pulls.lock();
    loop {
        let left = until.saturating_sub(clock::monotonic_ns());
        if left == 0 || state.is_stopped || is_cancelled(shared) {
            return;
        }
        let waited = place
            .pulls
            .ended
            .wait_timeout(state, Duration::from_nanos(left));
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

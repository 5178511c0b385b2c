//! The profile of one request while it runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::ended::EndedRequest;
use super::local::{Local, WallTimer};
use super::toggle::Toggle;
use crate::Clock;
use crate::agent::Shared;
use crate::clock::{self, Anchor};
use crate::drain::start_session;
use crate::export::random_hex;
use crate::limits;
use crate::process::Process;
use crate::registry::{Plan, SessionThreads};
use crate::sampler::handler::tell_wait as tell_wait_in_ring;
use crate::sampler::signal;
use crate::sampler::slot::{Counts, ThreadSlot, TimerSlot};
use crate::sampler::wall::{Account, Pools, Reading};
use crate::sys;

/// Why a toggled request is not profiled, as the response's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Unsigned,
    NotAToggle,
    TooMany,
    Stopped,
    NoTimer,
    Nested,
}

impl Refusal {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Unsigned => "refused; unsigned toggles are not allowed by this service",
            Self::NotAToggle => "refused; the toggle does not begin with profile",
            Self::TooMany => "refused; too many requests are being profiled",
            Self::Stopped => "refused; the agent is stopped",
            Self::NoTimer => "refused; no timer can be created",
            Self::Nested => "refused; an outer layer profiles this request",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct ProfiledRequest {
    process: &'static Process,
    session: u32,
    pub(super) id: String,
    name: String,
    entry: u32,
    period: Duration,
    /// What is left to the next sample.
    phase: Duration,
    start: Anchor,
    /// When the profile is over, whether or not the request is.
    pub(super) until_ns: u64,
    /// When the last poll ended.
    left_ns: u64,
    /// Beginning and length of the times without a thread.
    gaps: Vec<(u64, u64)>,
    /// Counted by handlers, poll by poll.
    counts: Counts,
    /// Time in polls that no sample was charged with yet.
    pools: Pools,
}

impl ProfiledRequest {
    /// Begins to profile a request whose toggle is allowed.
    pub(super) fn begin(
        shared: &Arc<Shared>,
        toggle: &Toggle,
        entry: u32,
        name: String,
    ) -> Result<Box<Self>, Refusal> {
        if !shared.is_running() {
            return Err(Refusal::Stopped);
        }
        let process = shared.process;
        let wall = Local::wall_timer(process).map_err(|_refused| Refusal::NoTimer)?;
        if wall.timer.session.load(Ordering::Relaxed) != 0 {
            return Err(Refusal::Nested);
        }
        let limit = shared.profiled_requests_max;
        let admit = |count: usize| (count < limit).then_some(count + 1);
        let admitted =
            shared
                .profiled_requests
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, admit);
        admitted.map_err(|_count| Refusal::TooMany)?;
        let plan = Plan {
            clock: Clock::Wall,
            period_ns: clock::nanos(toggle.period),
            depth_max: limits::DEPTH_DEFAULT,
            threads: SessionThreads::None,
            samples_max: limits::REQUEST_SAMPLES_MAX,
            flush_at: None,
            window: None,
        };
        let Ok(session) = start_session(process, plan) else {
            shared.profiled_requests.fetch_sub(1, Ordering::AcqRel);
            return Err(Refusal::NoTimer);
        };
        // Uniform in (0, period]. Not the registry's: the drain, which was just woken, has its lock.
        let period_ns = clock::nanos(toggle.period).max(1);
        let phase = Duration::from_nanos(sys::random_u64() % period_ns + 1);
        let start = Anchor::now();
        Ok(Box::new(Self {
            process,
            session,
            id: random_hex(),
            name: toggle.name.clone().unwrap_or(name),
            entry,
            period: toggle.period,
            phase,
            start,
            until_ns: start
                .monotonic_ns
                .saturating_add(clock::nanos(limits::REQUEST_DURATION_MAX)),
            left_ns: start.monotonic_ns,
            gaps: Vec::new(),
            counts: Counts::default(),
            pools: Pools::default(),
        }))
    }

    /// Whether the profile has lasted as long as one may.
    pub(super) fn is_too_long(&self) -> bool {
        clock::monotonic_ns() >= self.until_ns
    }

    /// A poll begins: the time since the last one was spent by no thread; the timer goes on
    /// with what was left of the period.
    pub(super) fn enter(&mut self) -> ArmedPoll<'_> {
        let now = clock::monotonic_ns();
        self.add_gap(now);
        let wall = Local::wall_timer(self.process).ok();
        // A profiled request inside another one's poll: the thread's timer is taken.
        let wall = wall.filter(|wall| wall.timer.session.load(Ordering::Relaxed) == 0);
        let before = wall.map(|wall| {
            let before = wall.timer.counts();
            let period_ns = clock::nanos(self.period);
            wall.timer.period_ns.store(period_ns, Ordering::Relaxed);
            let account = Account {
                last: Reading {
                    wall_ns: now,
                    ..Reading::of_this_thread()
                },
                pools: std::mem::take(&mut self.pools),
            };
            let due_ns = now.saturating_add(clock::nanos(self.phase));
            wall.timer.wall.begin(&account, due_ns);
            wall.timer.session.store(self.session, Ordering::SeqCst);
            // Cannot fail on a timer that exists; if it does there are no samples.
            drop(wall.kernel.set(self.phase, self.period));
            before
        });
        ArmedPoll {
            armed: wall.zip(before),
            request: self,
        }
    }

    fn add_gap(&mut self, now_ns: u64) {
        let gap = now_ns.saturating_sub(self.left_ns);
        if gap == 0 {
            return;
        }
        if self.gaps.len() < limits::REQUEST_GAPS_MAX {
            self.gaps.push((self.left_ns, gap));
        } else if let Some((_, last)) = self.gaps.last_mut() {
            *last = last.saturating_add(gap);
        }
    }

    /// The request is over; the drain collects the last of its samples and sends the profile.
    pub(super) fn end(mut self, shared: &Arc<Shared>) {
        let end_ns = clock::monotonic_ns();
        self.add_gap(end_ns);
        if !self.process.is_current() {
            return;
        }
        self.process.end_request(EndedRequest {
            shared: Arc::clone(shared),
            session: self.session,
            id: self.id,
            name: self.name,
            entry: self.entry,
            start: self.start,
            end_ns,
            gaps: self.gaps,
            counts: self.counts,
            pools: self.pools,
        });
    }
}

/// A poll with the timer armed; disarms it when dropped, also by a panic.
#[derive(Debug)]
pub(super) struct ArmedPoll<'r> {
    armed: Option<(WallTimer, Counts)>,
    request: &'r mut ProfiledRequest,
}

impl ArmedPoll<'_> {
    /// Disarms the timer, and takes what the poll's samples were not charged with.
    fn disarm(&mut self, wall: WallTimer, before: &Counts) {
        let timer = wall.timer;
        // From here on nobody starts the timer: not the handler, which finds no session, and not the
        // drain once it is done with the cell.
        timer.session.store(0, Ordering::SeqCst);
        let has_paused = timer.wall.claim_when_free();
        let left = wall.kernel.set(Duration::ZERO, Duration::ZERO).ok();
        let left = left.filter(|left| !left.is_zero());
        self.request.phase = left.unwrap_or(self.request.period);
        // On this thread the handler cannot run while we do: the account is ours, and the counters
        // are final.
        let mut account = timer.wall.account();
        let passed = account.pass(Reading::of_this_thread());
        self.request.pools = account.pools;
        if has_paused {
            if let Some(waker) = wall.kernel.waker {
                drop(waker.set(Duration::ZERO, Duration::ZERO));
            }
            tell_wait(timer, self.request.session, self.request.entry, passed.time);
            self.request.pools.running_ns += passed.time.running_ns;
        } else {
            self.request.pools.add(passed.time);
        }
        self.request.counts += timer.counts().since(before);
        self.request.left_ns = account.last.wall_ns;
    }
}

/// Tells what the calling thread waited where its timer paused.
fn tell_wait(timer: &TimerSlot, session: u32, entry: u32, passed: Pools) {
    // The ring has one producer at a time: this thread's handler, which cannot run meanwhile.
    let was_blocked = sys::block_signal(signal::SIGNAL);
    if let Some(thread) = ThreadSlot::at(timer.thread.load(Ordering::SeqCst)) {
        let woken = (session, clock::monotonic_ns(), entry);
        tell_wait_in_ring(timer, thread, woken, passed);
    }
    if !was_blocked {
        sys::unblock_signal(signal::SIGNAL);
    }
}

impl Drop for ArmedPoll<'_> {
    fn drop(&mut self) {
        self.request.left_ns = clock::monotonic_ns();
        // In a child that was forked within the poll the timer is the parent's, and nobody is there
        // who could give back the cell.
        let armed = self.armed.take();
        if let Some((wall, before)) = armed.filter(|_| self.request.process.is_current()) {
            self.disarm(wall, &before);
        }
    }
}
